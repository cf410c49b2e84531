//! `votekit user disable`, `enable` and `reset`.

use std::fmt;

use serde::Serialize;
use votekit_store::{
    Account, AccountRole, AccountState, Accounts, Conflict, EmailAddress, EngineError,
};

use super::link::{Invited, LinkArgs};
use super::target::TargetArgs;
use super::{find, for_each, parse_email};
use crate::admin_target;
use crate::context::Context;
use crate::error::CommandError;
use crate::interruption;
use crate::output::plain;

/// Disable an account, and end its sessions
///
/// Its holder can no longer sign in, and a one-time link of it is void. What the account did stays
/// on record. The last active administrator is disabled only with --force.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit user disable m.roy@example.org --data node/")]
pub(super) struct DisableArgs {
    /// E-mail address of the account
    #[arg(value_name = "EMAIL", value_parser = parse_email)]
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
    #[arg(value_name = "EMAIL", value_parser = parse_email)]
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
    #[arg(value_name = "EMAIL", value_parser = parse_email)]
    email: EmailAddress,

    #[command(flatten)]
    links: LinkArgs,

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

/// Attempts to change an account that other processes change at the same time.
const ATTEMPTS_MAX: u32 = 10;

pub(super) fn disable(args: &DisableArgs, context: &Context) -> Result<(), CommandError> {
    let account = admin_target::run(async {
        let accounts = args.target.open().await?;
        if !args.force {
            refuse_last_administrator(&*accounts, &args.email).await?;
        }
        let account = change(&*accounts, &args.email, |account| {
            account.state = AccountState::Disabled;
            account.invitation = None;
            Ok(())
        })
        .await?;
        accounts.end_sessions(account.id).await?;
        Ok(account)
    })?;
    context.output.result(&Changed::new(&account))
}

pub(super) fn enable(args: &EnableArgs, context: &Context) -> Result<(), CommandError> {
    let account = admin_target::run(async {
        let accounts = args.target.open().await?;
        change(&*accounts, &args.email, |account| {
            if account.state == AccountState::Disabled {
                account.state = match account.password {
                    Some(_) => AccountState::Active,
                    None => AccountState::Invited,
                };
            }
            Ok(())
        })
        .await
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
    args.links.warn(context);
    interruption::sweep_when_interrupted()?;
    let report = admin_target::run(async {
        let accounts = args.target.open().await?;
        let link = args.links.make()?;
        let invited = vec![Invited::new(&find(&*accounts, &args.email).await?, &link)];
        let file = args.links.stage(&invited)?;
        let account = change(&*accounts, &args.email, |account| {
            if account.state == AccountState::Disabled {
                return Err(CommandError::bad_input(format!("{} is disabled", args.email))
                    .hint("enable it first with `votekit user enable`"));
            }
            account.state = AccountState::Invited;
            account.password = None;
            account.totp = None;
            account.totp_step = 0;
            account.recovery_codes.clear();
            account.invitation = Some(link.invitation);
            Ok(())
        })
        .await?;
        accounts.end_sessions(account.id).await?;
        args.links.finish(file, invited)
    })?;
    context.output.result(&report)
}

/// Changes an account as it is stored now, again if another process changes it meanwhile.
async fn change(
    accounts: &dyn Accounts,
    email: &EmailAddress,
    edit: impl Fn(&mut Account) -> Result<(), CommandError>,
) -> Result<Account, CommandError> {
    for _ in 0..ATTEMPTS_MAX {
        let stored = find(accounts, email).await?;
        let mut account = stored.clone();
        edit(&mut account)?;
        if account == stored {
            return Ok(account);
        }
        match accounts.update(&account).await {
            Ok(()) => return Ok(account),
            Err(EngineError::Conflict(Conflict::AccountChanged)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(CommandError::configuration(format!("other processes keep changing the account {email}"))
        .hint("repeat the command"))
}

/// Refuses to leave an installation without an administrator who can sign in.
async fn refuse_last_administrator(
    accounts: &dyn Accounts,
    email: &EmailAddress,
) -> Result<(), CommandError> {
    let is_active = |account: &Account| {
        account.role == AccountRole::Administrator && account.state == AccountState::Active
    };
    if !is_active(&find(accounts, email).await?) {
        return Ok(());
    }
    let mut others = 0_u64;
    for_each(accounts, |account| {
        others += u64::from(is_active(account) && account.email != email.as_str());
    })
    .await?;
    if others > 0 {
        return Ok(());
    }
    Err(CommandError::bad_input(format!("{email} is the last active administrator"))
        .hint("invite another one first, or give --force"))
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
