//! `votekit verify receipt`.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use votekit_core::bundle::find_receipt;
use votekit_core::bundle::verify::Pin;
use votekit_core::decision::{Decision, Entry, InvalidReason};
use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;
use votekit_core::log::policy::Policy;
use votekit_core::log::proof::Proof;

use super::{PIN_HINT, Trust};
use crate::bundle_folder::BundleFolder;
use crate::context::Context;
use crate::error::CommandError;
use crate::output::plain;
use crate::system_files;

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

    /// Published bundle; also check that it holds this same decision at its place
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
}

/// Verifies the receipt and reports what it proves.
pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let bytes = read(&args.receipt)?;
    let receipt = Proof::parse(&bytes).map_err(|error| {
        CommandError::bad_input(format!("{} is no receipt: {error}", args.receipt.display()))
    })?;
    let entry = Entry::parse(receipt.extra()).map_err(|_| {
        CommandError::verification_failed(format!(
            "{} carries no decision on a vote",
            args.receipt.display()
        ))
    })?;
    let (policy, authenticated) = policy(args)?;
    let verified = receipt.verify(receipt.extra(), &policy).map_err(|error| {
        CommandError::verification_failed(format!("{}: {error}", args.receipt.display()))
    })?;
    let checkpoint = verified.checkpoint.checkpoint();
    if let Some(folder) = &args.bundle {
        check_bundle(folder, &receipt, context)?;
    }
    context.output.result(&Report {
        authenticated,
        request_id: entry.request.to_hex(),
        decision: decision_name(&entry.decision),
        meaning: in_words(&entry.decision),
        received: UnixSeconds(entry.minute.0.saturating_mul(60)).to_rfc3339(),
        index: verified.index,
        origin: checkpoint.origin().to_owned(),
        size: checkpoint.size(),
        in_bundle: args.bundle.is_some(),
    })?;
    if authenticated {
        return Ok(());
    }
    Err(CommandError::not_authenticated(
        "the receipt is consistent, but nothing proves who made it",
    )
    .hint(PIN_HINT))
}

/// Returns the policy for verifying the receipt, and whether it was pinned.
fn policy(args: &Args) -> Result<(Policy, bool), CommandError> {
    let from_bundle = || match &args.bundle {
        Some(folder) => read(&folder.join("policy")),
        None => Err(CommandError::usage("a receipt is held against a policy, and none is given")
            .hint(PIN_HINT)),
    };
    let (bytes, authenticated) = match args.trust.pin()? {
        Some(Pin::Policy(bytes)) => (bytes, true),
        Some(Pin::Fingerprint(fingerprint)) => {
            let bytes = from_bundle()?;
            if Digest::of(&bytes) != fingerprint {
                return Err(CommandError::verification_failed(
                    "the bundle's policy is not the one of that fingerprint",
                ));
            }
            (bytes, true)
        }
        None => (from_bundle()?, false),
    };
    let policy = Policy::parse(&bytes)
        .map_err(|error| CommandError::bad_input(format!("the policy: {error}")))?;
    Ok((policy, authenticated))
}

fn check_bundle(folder: &Path, receipt: &Proof, context: &Context) -> Result<(), CommandError> {
    let bundle = BundleFolder::open(folder, "looking it up")?;
    system_files::warn(context, bundle.system_files());
    let found = find_receipt(&bundle, receipt);
    bundle.finish();
    let found = found.map_err(|error| CommandError::reading(folder, &error))?;
    let Some(first) = found.failures.list().first() else { return Ok(()) };
    let message: Vec<String> = found.failures.list().iter().map(ToString::to_string).collect();
    Err(CommandError::verification_failed(format!(
        "the bundle does not hold what the receipt promised\n{}",
        message.join("\n")
    ))
    .details(serde_json::json!({ "rule": first.rule.name() })))
}

fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    fs::read(path).map_err(|error| CommandError::reading(path, &error))
}

/// What the receipt proves.
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
            writeln!(out, "published: the bundle holds this decision in its place")?;
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

fn in_words(decision: &Decision) -> String {
    match decision {
        Decision::Accepted { .. } => "the vote counts".to_owned(),
        Decision::Duplicate { attempt, .. } => {
            format!("this was attempt {attempt} with the same credential; only the first counts")
        }
        Decision::Invalid { reason, .. } => match reason {
            InvalidReason::Unknown => "no roll of this election holds the credential".to_owned(),
            InvalidReason::Revoked => "the credential was revoked".to_owned(),
            InvalidReason::Early => "it came before the opening".to_owned(),
            InvalidReason::Late => "it came at the closing time or after it".to_owned(),
            other => other.as_str().to_owned(),
        },
        _ => "see the leaf".to_owned(),
    }
}
