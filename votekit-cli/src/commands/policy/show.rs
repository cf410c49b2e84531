//! `votekit policy show`.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use serde::Serialize;
use votekit_core::authority::AuthoritySet;
use votekit_core::id::ElectionId;
use votekit_messages::InWords as _;

use crate::argument;
use crate::context::Context;
use crate::error::CommandError;

/// Print the policy of an election of these authorities
///
/// The policy is what a verifier trusts: the keys of all authorities for the log of this election,
/// the quorum that must have signed, and the outside witnesses if there are any (C2SP tlog-policy).
/// Publish it, or its SHA-256, before the poll opens; `votekit verify` takes either.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit policy show --authorities authorities L2025-001 --binding > L2025-001.policy
  votekit policy show --authorities node/authorities L2025-001 --json")]
pub(super) struct Args {
    /// Election
    #[arg(value_parser = argument::parse::<ElectionId>)]
    law_id: ElectionId,

    /// File of the authorities, as `votekit policy make` wrote it
    #[arg(long, value_name = "FILE")]
    authorities: PathBuf,

    /// The election is binding: the log of a test has another name
    #[arg(long)]
    binding: bool,
}

#[derive(Serialize)]
struct Report {
    law_id: String,
    fingerprint: String,
    quorum: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    witnesses: Vec<String>,
    witness_quorum: usize,
    policy: String,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.policy)
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let path = &args.authorities;
    let bytes = fs::read(path).map_err(|error| CommandError::reading(path, &error))?;
    let set = AuthoritySet::parse(&bytes).map_err(|error| {
        CommandError::bad_input(format!("{}, {}", path.display(), error.in_words()))
            .hint("give the file of the authorities as `votekit policy make` wrote it")
    })?;
    let policy = set.policy(&args.law_id, args.binding).map_err(|error| {
        CommandError::bad_input(format!("{}: {}", path.display(), error.in_words()))
    })?;
    let fingerprint = policy.fingerprint().to_hex();
    if !context.output.is_json() {
        context.output.note(format_args!("SHA-256 {fingerprint}"));
        // Unchanged: the fingerprint is of these bytes.
        return context.output.data(policy.as_bytes());
    }
    context.output.result(&Report {
        law_id: args.law_id.to_string(),
        fingerprint,
        quorum: set.quorum(),
        witnesses: set.witnesses().iter().map(|witness| witness.name.to_string()).collect(),
        witness_quorum: set.witness_quorum(),
        policy: String::from_utf8_lossy(policy.as_bytes()).into_owned(),
    })
}
