//! `votekit user`: the accounts of officials.

mod rows;
mod target;
mod add;
mod change;
mod list;

use votekit_node::accounts::OneTimeLink;
use votekit_store::{Account, Accounts, EmailAddress, clock};

use crate::context::Context;
use crate::error::CommandError;
use crate::invitation_links::LinkArgs;
use crate::random::no_random_numbers;

/// Invite officials, and list, disable and reset their accounts
///
/// Officials sign in on the pages, and through the interface for programs, with an account. An
/// account begins with a one-time link: its holder follows the link, chooses a password and sets up
/// the second factor. No one else ever sees the password. The commands work in the data folder of a
/// node (--data), also while the node runs, or on the ledger of nodes that use services (--ledger).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Add(Box<add::Args>),
    List(list::Args),
    Disable(change::DisableArgs),
    Enable(change::EnableArgs),
    Reset(change::ResetArgs),
}

/// Runs `votekit user`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    match args.action {
        Action::Add(args) => add::run(&args, context),
        Action::List(args) => list::run(&args, context),
        Action::Disable(args) => change::disable(&args, context),
        Action::Enable(args) => change::enable(&args, context),
        Action::Reset(args) => change::reset(&args, context),
    }
}

/// Links: where they lead to, where they are written, and how long they are valid
#[derive(Debug, Clone, clap::Args)]
struct TimedLinkArgs {
    #[command(flatten)]
    output: LinkArgs,

    /// Hours for which the links are valid
    #[arg(
        long, value_name = "N", default_value_t = OneTimeLink::LIFETIME_SECONDS / 3600,
        value_parser = clap::value_parser!(u64).range(1..=720)
    )]
    hours: u64,
}

impl TimedLinkArgs {
    /// Draws a link that is valid from now on.
    fn draw(&self) -> Result<OneTimeLink, CommandError> {
        OneTimeLink::draw(clock::now().seconds(), self.hours * 3600).map_err(no_random_numbers)
    }
}

/// Accounts read at once.
const PAGE_LENGTH: usize = 500;

/// Calls `each` for every account, in the order of the addresses.
async fn for_each(
    accounts: &dyn Accounts,
    mut each: impl FnMut(&Account),
) -> Result<(), CommandError> {
    let mut after = String::new();
    loop {
        let page = accounts.accounts(&after, PAGE_LENGTH).await?;
        page.iter().for_each(&mut each);
        match page.last() {
            Some(last) => after.clone_from(&last.email),
            None => return Ok(()),
        }
    }
}

/// The account of an address.
async fn find(accounts: &dyn Accounts, email: &EmailAddress) -> Result<Account, CommandError> {
    accounts.account_by_email(email.as_str()).await?.ok_or_else(|| {
        CommandError::bad_input(format!("there is no account with the address {email}"))
            .hint("`votekit user list` shows the accounts")
    })
}
