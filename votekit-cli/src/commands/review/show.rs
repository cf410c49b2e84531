//! `votekit review show`.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use votekit_core::decision::Decision;
use votekit_core::id::RequestId;

use super::case::{self, Case, for_each_case};
use super::receipt;
use crate::atomic_output::write_output;
use crate::context::Context;
use crate::error::CommandError;
use crate::log_source::ArchiveArgs;
use crate::output::plain;

/// Show one decided request: its decision, the other attempts of its credential, the remarks, and
/// its proof of inclusion
///
/// The proof is computed from the whole log and verified against the checkpoint's root. With -o it
/// is written as a receipt, which `votekit verify receipt` verifies.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit review show 0c6f3a1d9b8e47f2a5d0c3b6e9f81724 --data node/ -o request.receipt")]
pub(super) struct Args {
    /// Request, as given to its voter and recorded in the log
    request: RequestId,

    /// Write the proof of inclusion to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    source: ArchiveArgs,
}

#[derive(Serialize)]
struct Report {
    law_id: String,
    #[serde(flatten)]
    case: Case,
    /// The accepted request of the same credential.
    accepted_request: Option<String>,
    /// Number of decided requests of the same credential, this one included; 1 for an invalid one,
    /// whose credential the log does not show.
    attempts: usize,
    inclusion: Inclusion,
}

#[derive(Serialize)]
struct Inclusion {
    log_size: u64,
    root: String,
    /// Sibling hashes on the path to the root, from the leaf up, in hexadecimal.
    path: Vec<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let (archive, law_id) = args.source.open()?;
    let case = case::find(&archive, &law_id, args.request)?
        .ok_or_else(|| case::unknown(&law_id, args.request))?;
    let (mut accepted_request, mut attempts) = (None, 0);
    for_each_case(&archive, &law_id, |entry, other| {
        if case.hash.is_some() && other.hash == case.hash {
            attempts += 1;
            if matches!(entry.decision, Decision::Accepted { .. }) {
                accepted_request = Some(other.request);
            }
        }
    })?;
    let receipt = receipt::make(&archive, &law_id, case.leaf_index)?;
    if let Some(path) = &args.output {
        write_output(path, receipt.proof.to_string().as_bytes())?;
    }
    let path = receipt.path.iter().map(|hash| const_hex::encode(hash.as_bytes())).collect();
    let inclusion = Inclusion {
        log_size: receipt.size,
        root: const_hex::encode(receipt.root.as_bytes()),
        path,
    };
    context.output.result(&Report {
        law_id: law_id.to_string(),
        case,
        accepted_request,
        attempts: attempts.max(1),
        inclusion,
    })
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let case = &self.case;
        writeln!(formatter, "request {} of {}", case.request, self.law_id)?;
        match (case.attempt, case.reason) {
            (Some(attempt), _) => {
                writeln!(formatter, "  duplicate: attempt {attempt} of {}", self.attempts)?
            }
            (None, Some(reason)) => writeln!(formatter, "  invalid: {reason}")?,
            (None, None) => {
                writeln!(formatter, "  accepted; attempts of its credential: {}", self.attempts)?
            }
        }
        if let Some(accepted) =
            self.accepted_request.as_ref().filter(|accepted| **accepted != case.request)
        {
            writeln!(formatter, "  the request that counts is {accepted}")?;
        }
        writeln!(formatter, "  received in the minute {}, in batch {}", case.minute, case.batch)?;
        writeln!(
            formatter,
            "  leaf {} of a log of {} leaves with root {}",
            case.leaf_index, self.inclusion.log_size, self.inclusion.root
        )?;
        writeln!(formatter, "  proven by {} hashes", self.inclusion.path.len())?;
        for remark in &case.remarks {
            writeln!(formatter, "  {} {}: {}", remark.at, plain(&remark.by), plain(&remark.text))?;
        }
        Ok(())
    }
}
