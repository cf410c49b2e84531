//! `votekit roll list` and `votekit roll discard`: the rolls that a node keeps.

use std::fmt;

use serde::Serialize;
use votekit_core::id::Digest;
use votekit_node::RollView;
use votekit_node::config::Config;

use crate::admin_target::{self, AdminTargetArgs};
use crate::argument;
use crate::context::Context;
use crate::error::CommandError;
use crate::output::plain;
use crate::records::Records;

/// List the rolls and supplements that a node keeps, and which elections use them
///
/// Nothing is written; a running node may be using the data folder.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit roll list --data node/")]
pub(super) struct ListArgs {
    #[command(flatten)]
    target: AdminTargetArgs,
}

/// Remove a loaded roll that no election uses
///
/// For a roll that was loaded by mistake, or has to be hashed again. Its pepper is removed too,
/// unless another roll is hashed under the same one. A roll that the log of an election names is
/// kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit roll discard 6f3c…the whole digest, as `votekit roll list` shows it… --data node/")]
pub(super) struct DiscardArgs {
    /// SHA-256 of the roll's manifest
    #[arg(value_name = "DIGEST", value_parser = argument::parse::<Digest>)]
    manifest: Digest,

    #[command(flatten)]
    target: AdminTargetArgs,
}

#[derive(Serialize)]
#[serde(transparent)]
struct List(Vec<RollView>);

#[derive(Serialize)]
struct Discarded {
    discarded: RollView,
}

pub(super) fn list(args: &ListArgs, context: &Context) -> Result<(), CommandError> {
    let rolls = admin_target::run(async { Records::open(&args.target)?.rolls().await })?;
    context.output.result(&List(rolls))
}

pub(super) fn discard(args: &DiscardArgs, context: &Context) -> Result<(), CommandError> {
    let discarded = admin_target::with_target(&args.target, Config::default(), async |target| {
        target.discard_roll(&args.manifest).await
    })?;
    context.output.result(&Discarded { discarded })
}

impl fmt::Display for List {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return writeln!(formatter, "no rolls");
        }
        self.0.iter().try_for_each(|roll| write_roll(formatter, roll))
    }
}

impl fmt::Display for Discarded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roll = &self.discarded;
        let laws: Vec<String> = roll.laws.iter().map(|law| plain(&law.law_id)).collect();
        writeln!(formatter, "discarded {} ({})", plain(&roll.manifest), laws.join(", "))
    }
}

fn write_roll(formatter: &mut fmt::Formatter<'_>, roll: &RollView) -> fmt::Result {
    let kind = match &roll.parent {
        None => "roll".to_owned(),
        Some(parent) => format!("supplement to {}", plain(parent)),
    };
    let pepper = if roll.peppered { "with a pepper" } else { "WITHOUT a pepper" };
    let date = roll.date.as_deref().map(|date| format!(", {}", plain(date))).unwrap_or_default();
    writeln!(formatter, "{}\n  {kind}, {pepper}{date}", plain(&roll.manifest))?;
    for law in &roll.laws {
        let counts = match &roll.parent {
            None => format!("{} electors", law.registered),
            Some(_) => format!("{} added, {} revoked", law.registered, law.revoked),
        };
        let state = if law.in_use {
            "in use by the election"
        } else {
            "kept until the election is created"
        };
        writeln!(formatter, "  {:<20} {counts}, {state}", plain(&law.law_id))?;
    }
    Ok(())
}
