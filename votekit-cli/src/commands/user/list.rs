//! `votekit user list`.

use std::fmt;

use serde::Serialize;
use votekit_store::{Account, AccountState, clock};

use super::target::TargetArgs;
use crate::admin_target;
use crate::context::Context;
use crate::error::CommandError;
use crate::output::plain;

/// List the accounts, with role, state and whether the second factor is set up
///
/// Nothing is written; a running node may be using the data folder.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit user list --data node/")]
pub(super) struct Args {
    #[command(flatten)]
    target: TargetArgs,
}

/// The accounts, as printed.
#[derive(Serialize)]
#[serde(transparent)]
struct List(Vec<Row>);

#[derive(Serialize)]
struct Row {
    email: String,
    role: &'static str,
    state: &'static str,
    created: String,
    second_factor: bool,
    link_expires: Option<String>,
    #[serde(skip)]
    is_link_void: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let rows = admin_target::run(async {
        let mut rows = Vec::new();
        if let Some(accounts) = args.target.open_read_only().await? {
            super::for_each(&*accounts, |account| rows.push(row(account))).await?;
        }
        Ok(rows)
    })?;
    context.output.result(&List(rows))
}

fn row(account: &Account) -> Row {
    let expires = account
        .invitation
        .filter(|_| account.state == AccountState::Invited)
        .map(|invitation| invitation.expires);
    Row {
        email: account.email.clone(),
        role: account.role.as_str(),
        state: account.state.as_str(),
        created: account.created.to_rfc3339(),
        second_factor: account.totp.is_some(),
        link_expires: expires.map(|expires| expires.to_rfc3339()),
        is_link_void: expires.is_some_and(|expires| expires <= clock::now().seconds()),
    }
}

impl fmt::Display for List {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return writeln!(formatter, "no accounts");
        }
        let width = self.0.iter().map(|row| row.email.chars().count()).max().unwrap_or(0).max(5);
        writeln!(
            formatter,
            "{:<width$}  {:<13}  {:<8}  {:<20}  second factor",
            "email", "role", "state", "created"
        )?;
        for row in &self.0 {
            let email = plain(&row.email);
            let factor = if row.second_factor { "yes" } else { "no" };
            write!(
                formatter,
                "{email:<width$}  {:<13}  {:<8}  {:<20}  {factor}",
                row.role, row.state, row.created
            )?;
            match &row.link_expires {
                Some(expires) if row.is_link_void => {
                    writeln!(formatter, " (link expired {expires})")?;
                }
                Some(expires) => writeln!(formatter, " (link until {expires})")?,
                None => writeln!(formatter)?,
            }
        }
        Ok(())
    }
}
