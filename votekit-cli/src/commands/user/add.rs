//! `votekit user add`.

use std::path::PathBuf;

use votekit_node::accounts::{self, invited_account};
use votekit_store::{Account, AccountRole, Accounts, Conflict, EngineError, clock};

use super::TimedLinkArgs;
use super::rows::{Official, Officials, parse_role};
use super::target::TargetArgs;
use crate::admin_target;
use crate::context::Context;
use crate::error::CommandError;
use crate::interruption;
use crate::random::no_random_numbers;

/// Invite officials: make their accounts, and a one-time link for each
///
/// Pass each link to its official over a channel that you trust: the first to follow it has the
/// account. All accounts are made, or none.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit user add m.roy@example.org --role administrator --url https://vote.example.org --data node/
  votekit user add --from officials.csv --csv links.csv --url https://vote.example.org --data node/
  votekit user add a@example.org b@example.org --role auditor --ledger 'postgres://votekit@postgres/votekit?password_file=postgres.password'

A file of officials:
  email,role
  m.roy@example.org,administrator
  a.tremblay@example.org,observer")]
pub(super) struct Args {
    /// E-mail address of an official; may be repeated
    #[arg(value_name = "EMAIL", required_unless_present = "from", conflicts_with = "from")]
    emails: Vec<String>,

    /// Role of these officials: administrator (creates and conducts elections, and invites
    /// officials), auditor (reads everything, changes nothing) or observer (reads elections and
    /// turnout)
    #[arg(
        long, value_name = "ROLE", value_parser = parse_role,
        required_unless_present = "from", conflicts_with = "from"
    )]
    role: Option<AccountRole>,

    /// CSV file of officials, with the columns email and role
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    #[command(flatten)]
    links: TimedLinkArgs,

    #[command(flatten)]
    target: TargetArgs,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let officials = match (&args.from, args.role) {
        (Some(path), _) => Officials::read(path)?,
        (None, Some(role)) => Officials::from_arguments(&args.emails, role)?,
        (None, None) => return Err(CommandError::usage("give --role, or --from with a file")),
    };
    let links = &args.links.output;
    links.warn(context);
    interruption::sweep_when_interrupted()?;
    let report = admin_target::run(async {
        let accounts = args.target.open().await?;
        officials.refuse_known(&*accounts).await?;
        let (mut made, mut invited) = (Vec::new(), Vec::new());
        for Official { email, role, .. } in &officials.rows {
            let link = args.links.draw()?;
            let account = invited_account(email, *role, &link, clock::now().seconds())
                .map_err(no_random_numbers)?;
            invited.push(links.invited(&account, &link));
            made.push(account);
        }
        let file = links.stage(&invited)?;
        add(&*accounts, &made).await?;
        links.finish(file, invited)
    })?;
    context.output.result(&report)
}

async fn add(store: &dyn Accounts, made: &[Account]) -> Result<(), CommandError> {
    match accounts::add(store, made).await {
        Err(EngineError::Conflict(Conflict::AccountExists)) => Err(CommandError::bad_input(
            "another process has made an account with one of these addresses; this command made \
             none",
        )
        .hint("repeat the command: it names the address")),
        added => Ok(added?),
    }
}
