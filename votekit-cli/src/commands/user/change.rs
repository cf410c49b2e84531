//! `votekit user disable`, `enable` and `reset`.

use std::fmt;

use serde::Serialize;
use votekit_node::accounts::{self as changes, AccountError, LastAdministrator};
use votekit_store::{Account, AccountState, EmailAddress};

use super::target::TargetArgs;
use super::{TimedLinkArgs, find};
use crate::admin_target;
use crate::argument;
use crate::context::Context;
use crate::error::CommandError;
use crate::interruption;
use crate::output::plain;

/// Disable an account, and end its sessions
///
/// Its holder can no longer sign in, and its one-time link is void. The record of its actions
/// stays. The last active administrator is disabled only with --force.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit user disable m.roy@example.org --data node/")]
pub(super) struct DisableArgs {
    /// E-mail address of the account
    #[arg(value_name = "EMAIL", value_parser = argument::parse::<EmailAddress>)]
    email: EmailAddress,

    /// Disable the last active administrator too
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    target: TargetArgs,
}

/// Enable a disabled account
///
/// Its password and its second factor count again. An account that had none gets a new link with
/// `votekit user reset`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit user enable m.roy@example.org --data node/")]
pub(super) struct EnableArgs {
    /// E-mail address of the account
    #[arg(value_name = "EMAIL", value_parser = argument::parse::<EmailAddress>)]
    email: EmailAddress,

    #[command(flatten)]
    target: TargetArgs,
}

/// Give an account a new one-time link, and remove its password and its second factor
///
/// For an official who has lost the password or the telephone, or whose link has expired. Every
/// session of the account ends.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit user reset m.roy@example.org --url https://vote.example.org --data node/")]
pub(super) struct ResetArgs {
    /// E-mail address of the account
    #[arg(value_name = "EMAIL", value_parser = argument::parse::<EmailAddress>)]
    email: EmailAddress,

    #[command(flatten)]
    links: TimedLinkArgs,

    #[command(flatten)]
    target: TargetArgs,
}

/// An account after a change, as printed.
#[derive(Serialize)]
struct Changed {
    email: String,
    role: &'static str,
    state: &'static str,
}

pub(super) fn disable(args: &DisableArgs, context: &Context) -> Result<(), CommandError> {
    let last = if args.force { LastAdministrator::Lose } else { LastAdministrator::Keep };
    let account = admin_target::run(async {
        let accounts = args.target.open().await?;
        let id = find(&*accounts, &args.email).await?.id;
        let disabled = changes::disable(&*accounts, id, last).await;
        disabled.map_err(|error| refused(error, &args.email))
    })?;
    context.output.result(&Changed::new(&account))
}

pub(super) fn enable(args: &EnableArgs, context: &Context) -> Result<(), CommandError> {
    let account = admin_target::run(async {
        let accounts = args.target.open().await?;
        let id = find(&*accounts, &args.email).await?.id;
        let enabled = changes::enable(&*accounts, id).await;
        enabled.map_err(|error| refused(error, &args.email))
    })?;
    context.output.result(&Changed::new(&account))?;
    if account.state == AccountState::Invited && account.invitation.is_none() {
        context.output.note(format_args!(
            "{} has no password and no link: `votekit user reset` gives it one",
            args.email
        ));
    }
    Ok(())
}

pub(super) fn reset(args: &ResetArgs, context: &Context) -> Result<(), CommandError> {
    let links = &args.links.output;
    links.warn(context);
    interruption::sweep_when_interrupted()?;
    let report = admin_target::run(async {
        let accounts = args.target.open().await?;
        let account = find(&*accounts, &args.email).await?;
        let link = args.links.draw()?;
        let invited = vec![links.invited(&account, &link)];
        let file = links.stage(&invited)?;
        // Also of the last administrator: on this machine, another link can be made.
        let reset = changes::reset(&*accounts, account.id, &link, LastAdministrator::Lose).await;
        reset.map_err(|error| refused(error, &args.email))?;
        links.finish(file, invited)
    })?;
    context.output.result(&report)
}

/// The error for a change that was not made.
fn refused(error: AccountError, email: &EmailAddress) -> CommandError {
    match error {
        AccountError::Engine(error) => error.into(),
        AccountError::Unknown => CommandError::bad_input(format!("there is no account {email}")),
        AccountError::LastAdministrator => {
            CommandError::bad_input(format!("{email} is the last active administrator"))
                .hint("invite another one first, or give --force")
        }
        AccountError::Disabled => CommandError::bad_input(format!("{email} is disabled"))
            .hint("enable it first with `votekit user enable`"),
        AccountError::Busy => CommandError::configuration(format!(
            "other processes keep changing the account {email}"
        ))
        .hint("repeat the command"),
    }
}

impl Changed {
    fn new(account: &Account) -> Self {
        Self {
            email: account.email.clone(),
            role: account.role.as_str(),
            state: account.state.as_str(),
        }
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{} ({}): {}", plain(&self.email), self.role, self.state)
    }
}
