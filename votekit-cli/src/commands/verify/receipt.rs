//! `votekit verify receipt`.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use votekit_core::bundle::{
    ReceiptError, ReceiptFault, ReceiptVerdict, RecordedDecision, Source, check_receipt,
};
use votekit_core::decision::{Decision, InvalidReason};
use votekit_core::instant::UnixSeconds;
use votekit_messages::InWords as _;

use super::{PIN_HINT, Trust};
use crate::bundle_folder::{BundleFolder, warn_of_system_files};
use crate::context::Context;
use crate::error::CommandError;
use crate::output::plain;

/// Verify a voter's receipt: that the decision on a vote is in the log the authorities signed
///
/// A receipt proves that a vote is recorded and how it was decided, never what was chosen.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit verify receipt receipt.txt --policy policy-from-the-authority
  votekit verify receipt receipt.txt --fingerprint 6b1f... --bundle L2025-001/

With --fingerprint, or with nothing pinned, the policy itself is read from the bundle.
Exit codes: 0 proven; 3 cannot be read; 5 something is wrong; 6 consistent, but no policy was pinned.")]
pub(crate) struct Args {
    /// Receipt, as returned by the node
    #[arg(value_name = "FILE")]
    receipt: PathBuf,

    #[command(flatten)]
    trust: Trust,

    /// Published bundle; also check that it contains this decision at the same index
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
}

/// Verifies the receipt and reports the facts that it proves.
pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let receipt = read(&args.receipt)?;
    let pin = args.trust.pin()?;
    let open = |folder: &PathBuf| BundleFolder::open(folder, "looking it up");
    let bundle = args.bundle.as_ref().map(open).transpose()?;
    if let Some(bundle) = &bundle {
        warn_of_system_files(context, bundle.system_files());
    }
    let source = bundle.as_ref().map(|bundle| bundle as &dyn Source);
    let checked = check_receipt(&receipt, source, pin.as_ref());
    if let Some(bundle) = &bundle {
        bundle.finish();
    }
    match checked.map_err(|error| unchecked(&args.receipt, &error))? {
        ReceiptVerdict::Proven(recorded) => context.output.result(&Report::new(true, &recorded)),
        ReceiptVerdict::Consistent(recorded) => {
            context.output.result(&Report::new(false, &recorded))?;
            Err(CommandError::not_authenticated(
                "the receipt is consistent, but nothing proves who made it",
            )
            .hint(PIN_HINT))
        }
        ReceiptVerdict::Failed(fault) => Err(refuted(&args.receipt, &fault)),
    }
}

/// The error for a receipt that cannot be checked.
fn unchecked(path: &Path, error: &ReceiptError) -> CommandError {
    let words = error.in_words();
    match error {
        ReceiptError::Form(_) => CommandError::bad_input(format!("{}: {words}", path.display())),
        ReceiptError::NoPolicy => CommandError::usage(words).hint(PIN_HINT),
        _ => CommandError::bad_input(words),
    }
}

/// The error for a receipt that proves nothing.
fn refuted(path: &Path, fault: &ReceiptFault) -> CommandError {
    let words = fault.in_words();
    let ReceiptFault::Bundle(failures) = fault else {
        return CommandError::verification_failed(format!("{}: {words}", path.display()));
    };
    let listed: String = failures.list().iter().map(|failure| format!("\n{failure}")).collect();
    let refused = CommandError::verification_failed(format!("{words}{listed}"));
    match failures.list().first() {
        Some(first) => refused.details(serde_json::json!({ "rule": first.rule.name() })),
        None => refused,
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    fs::read(path).map_err(|error| CommandError::reading(path, &error))
}

/// The facts that the receipt proves.
#[derive(Serialize)]
struct Report {
    authenticated: bool,
    request_id: String,
    decision: &'static str,
    meaning: String,
    received: String,
    index: u64,
    origin: String,
    size: u64,
    in_bundle: bool,
}

impl Report {
    fn new(authenticated: bool, recorded: &RecordedDecision) -> Self {
        let RecordedDecision { entry, inclusion, in_bundle, .. } = recorded;
        let checkpoint = inclusion.checkpoint.checkpoint();
        Self {
            authenticated,
            request_id: entry.request.to_hex(),
            decision: decision_name(&entry.decision),
            meaning: meaning(&entry.decision),
            received: UnixSeconds(entry.minute.0.saturating_mul(60)).to_rfc3339(),
            index: inclusion.index,
            origin: checkpoint.origin().to_owned(),
            size: checkpoint.size(),
            in_bundle: *in_bundle,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "request:   {}", self.request_id)?;
        writeln!(out, "decision:  {}: {}", self.decision, plain(&self.meaning))?;
        writeln!(out, "received:  in the minute from {}", self.received)?;
        writeln!(
            out,
            "recorded:  leaf {} of {} in the log {}",
            self.index,
            self.size,
            plain(&self.origin)
        )?;
        if self.in_bundle {
            writeln!(out, "published: the bundle holds this decision at its place")?;
        }
        match self.authenticated {
            true => write!(
                out,
                "VERIFIED: the authorities of the pinned policy signed a log that holds this decision"
            ),
            false => write!(out, "CONSISTENT, NOT AUTHENTICATED: anyone could have made it"),
        }
    }
}

const fn decision_name(decision: &Decision) -> &'static str {
    match decision {
        Decision::Accepted { .. } => "accepted",
        Decision::Duplicate { .. } => "duplicate",
        Decision::Invalid { .. } => "invalid",
        _ => "unknown to this version",
    }
}

fn meaning(decision: &Decision) -> String {
    match decision {
        Decision::Accepted { .. } => "the vote counts".to_owned(),
        Decision::Duplicate { attempt, .. } => {
            format!("this was attempt {attempt} with the same credential; only the first counts")
        }
        Decision::Invalid { reason, .. } => match reason {
            InvalidReason::Unknown => "no roll of this election holds the credential".to_owned(),
            InvalidReason::Revoked => "the credential was revoked".to_owned(),
            InvalidReason::Early => "it was received before the opening".to_owned(),
            InvalidReason::Late => "it was received at or after the closing time".to_owned(),
            other => other.as_str().to_owned(),
        },
        _ => "see the leaf".to_owned(),
    }
}
