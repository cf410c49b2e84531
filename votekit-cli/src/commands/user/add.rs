//! `votekit user add`.

use std::path::PathBuf;

use votekit_store::{
    Account, AccountId, AccountRole, AccountState, Accounts, Conflict, EngineError, clock,
};

use super::link::{Invited, Link, LinkArgs};
use super::rows::{Official, Officials, parse_role};
use super::target::TargetArgs;
use crate::admin_target;
use crate::context::Context;
use crate::error::CommandError;
use crate::interruption;

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
    links: LinkArgs,

    #[command(flatten)]
    target: TargetArgs,
}

/// Calls of one addition while its outcome is unknown.
const ATTEMPTS_MAX: u32 = 3;

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let officials = match (&args.from, args.role) {
        (Some(path), _) => Officials::read(path)?,
        (None, Some(role)) => Officials::from_arguments(&args.emails, role)?,
        (None, None) => return Err(CommandError::usage("give --role, or --from with a file")),
    };
    args.links.warn(context);
    interruption::sweep_when_interrupted()?;
    let report = admin_target::run(async {
        let accounts = args.target.open().await?;
        officials.refuse_known(&*accounts).await?;
        let (mut made, mut invited) = (Vec::new(), Vec::new());
        for official in &officials.rows {
            let link = args.links.make()?;
            let account = account(official, &link)?;
            invited.push(Invited::new(&account, &link));
            made.push(account);
        }
        let file = args.links.stage(&invited)?;
        add(&*accounts, &made).await?;
        args.links.finish(file, invited)
    })?;
    context.output.result(&report)
}

fn account(official: &Official, link: &Link) -> Result<Account, CommandError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| {
        CommandError::configuration(format!("the system returned no random numbers: {error}"))
    })?;
    Ok(Account {
        id: AccountId(id),
        email: official.email.as_str().to_owned(),
        role: official.role,
        state: AccountState::Invited,
        password: None,
        totp: None,
        totp_step: 0,
        recovery_codes: Vec::new(),
        invitation: Some(link.invitation),
        created: clock::now().seconds(),
        version: 0,
    })
}

/// Adds the accounts. An unknown outcome becomes known by the same call again: without it the links
/// would be lost.
async fn add(accounts: &dyn Accounts, made: &[Account]) -> Result<(), CommandError> {
    let mut attempts = 1;
    loop {
        match accounts.add(made).await {
            Err(EngineError::OutcomeUnknown { .. }) if attempts < ATTEMPTS_MAX => attempts += 1,
            Err(EngineError::Conflict(Conflict::AccountExists)) => {
                return Err(CommandError::bad_input(
                    "another process has made an account with one of these addresses; no account \
                     was made",
                )
                .hint("repeat the command: it names the address"));
            }
            added => return Ok(added?),
        }
    }
}
