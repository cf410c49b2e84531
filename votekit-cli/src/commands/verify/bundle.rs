//! `votekit verify bundle`.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::thread;

use serde_json::{Value, json};
use votekit_core::bundle::verify::{Options, ReadError, Verification, verify};
use votekit_core::bundle::{Failure, Rule, Source, Verdict};
use votekit_core::export::json::Document;
use votekit_core::id::Digest;
use votekit_core::manifest::ManifestError;
use votekit_messages::InWords as _;

use super::{PIN_HINT, Trust};
use crate::bundle_folder::{BundleFolder, warn_of_system_files};
use crate::context::Context;
use crate::error::CommandError;
use crate::output::plain;

/// Verify everything that can be verified of a publication bundle, and list every failure
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit verify bundle L2025-001/ --policy policy-from-the-authority
  votekit verify bundle L2025-001/ --fingerprint 6b1f... --shards hashes/

Exit codes: 0 proven; 3 cannot be read; 5 something is wrong; 6 consistent, but no policy was pinned.")]
pub(crate) struct Args {
    /// Folder of the bundle
    #[arg(value_name = "DIR")]
    bundle: PathBuf,

    #[command(flatten)]
    trust: Trust,

    /// Folder with a manifest and its shards or change file, to check that every accepted hash was
    /// registered; give one for the roll and one for each supplement
    #[arg(long, value_name = "DIR")]
    shards: Vec<PathBuf>,
}

/// Verifies the bundle and reports.
pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let pin = args.trust.pin()?;
    let bundle = BundleFolder::open(&args.bundle, "verifying")?;
    let shards: Result<Vec<_>, _> =
        args.shards.iter().map(|folder| BundleFolder::open(folder, "registered")).collect();
    let shards = shards?;
    for folder in std::iter::once(&bundle).chain(&shards) {
        warn_of_system_files(context, folder.system_files());
    }
    let mut options = Options::default();
    options.pin = pin;
    options.shards = shards.iter().map(|folder| folder as &dyn Source).collect();
    options.threads = thread::available_parallelism().map_or(1, usize::from);
    let verification = verify(&bundle, &options).map_err(|error| unreadable(&error));
    bundle.finish();
    shards.iter().for_each(BundleFolder::finish);
    let verification = verification?;
    refuse_other_shards(&verification)?;
    context.output.result(&Report(&verification))?;
    if let Some(reason) = unwitnessed(&verification) {
        context.output.warning(format_args!(
            "the log was certified without its outside witnesses, for this reason: {}",
            plain(reason)
        ));
    }
    match verification.verdict() {
        Verdict::Proven => Ok(()),
        Verdict::Consistent => Err(CommandError::not_authenticated(
            "the bundle is consistent, but nothing proves who made it",
        )
        .hint(PIN_HINT)),
        Verdict::Failed => {
            let (count, rules) =
                (verification.failures.total(), verification.failures.counts().len());
            let plural = |count: u64| if count == 1 { "" } else { "s" };
            let text = format!(
                "{count} failure{}, of {rules} rule{}",
                plural(count),
                plural(rules as u64)
            );
            Err(CommandError::verification_failed(format!("the bundle does not verify: {text}")))
        }
    }
}

/// The refusal of a file that cannot be read, or of a manifest in a folder of shards.
fn unreadable(error: &ReadError) -> CommandError {
    let cause = error.source.get_ref().and_then(|cause| cause.downcast_ref::<ManifestError>());
    CommandError::bad_input(match cause {
        Some(refused) => format!("cannot read {}: {}", error.file, refused.in_words()),
        None => error.in_words(),
    })
}

/// Fails if the only fault is that the folders of shards are not those of the log: this is a
/// mistake in the command, not a fault of the bundle.
fn refuse_other_shards(verification: &Verification) -> Result<(), CommandError> {
    let counts = verification.failures.counts();
    if !verification.has_other_shards() || counts.keys().any(|rule| *rule != Rule::Electorate) {
        return Ok(());
    }
    let wanted: BTreeSet<&Digest> = verification.manifests.iter().collect();
    let given: BTreeSet<&Digest> = verification.shard_manifests.iter().collect();
    let mut message = "the folders after --shards are not those of this election".to_owned();
    // Writing to a text does not fail.
    for manifest in wanted.difference(&given) {
        let _ = write!(message, "\n  missing: the folder with the manifest {manifest}");
    }
    for manifest in given.difference(&wanted) {
        let _ =
            write!(message, "\n  not of this election: the folder with the manifest {manifest}");
    }
    Err(CommandError::bad_input(message)
        .hint(
            "give the folder of the roll and of each supplement that was loaded, and no other; \
             'votekit manifest verify DIR' prints the manifest of a folder",
        )
        .details(json!({ "manifests": wanted, "given": given })))
}

/// The reason for which the log waives the outside witnesses that are missing.
fn unwitnessed(verification: &Verification) -> Option<&str> {
    let is_signed = verification.origin.is_some() && !verification.is_witnessed;
    verification.witness_waiver.as_deref().filter(|_| is_signed)
}

/// The report, for people or as JSON.
struct Report<'a>(&'a Verification);

impl serde::Serialize for Report<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Verification { failures, .. } = self.0;
        let listed = failures.list().iter().map(|failure| {
            json!({
                "file": failure.file, "line": failure.line, "rule": failure.rule.name(), "found": failure.found,
            })
        });
        let counts: serde_json::Map<String, Value> = failures
            .counts()
            .iter()
            .map(|(rule, count)| (rule.name().to_owned(), (*count).into()))
            .collect();
        json!({
            "verified": self.0.verdict() == Verdict::Proven,
            "consistent": failures.is_empty(),
            "authenticated": self.0.authenticated,
            "law_id": self.0.definition.as_ref().map(|definition| definition.law_id.as_str()),
            "state": self.0.state,
            "origin": self.0.origin,
            "cosigned_by": self.0.cosigned_by,
            "witnessed": self.0.is_witnessed,
            "witness_waiver": self.0.witness_waiver,
            "policy_fingerprint": self.0.fingerprint,
            "leaves": self.0.leaves,
            "root": self.0.root,
            "registered": self.0.registered,
            "report": self.0.report,
            "shards_checked": self.0.shards_checked,
            "results": self.0.results.as_ref().map(Document::new),
            "failure_count": failures.total(),
            "failure_counts": counts,
            "failures": listed.collect::<Vec<_>>(),
        })
        .serialize(serializer)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.0;
        self.write_election(out)?;
        writeln!(out, "log:        {} leaves, root {}", found.leaves, found.root)?;
        if let Some(origin) = &found.origin {
            let cosigned_by = plain(&found.cosigned_by.join(", "));
            writeln!(out, "signed:     as {}, cosigned by {cosigned_by}", plain(origin))?;
        }
        if let Some(fingerprint) = &found.fingerprint {
            writeln!(
                out,
                "policy:     {fingerprint}{}",
                if found.authenticated { " (as pinned)" } else { "" }
            )?;
        }
        let report = &found.report;
        writeln!(
            out,
            "envelopes:  {} received = {} accepted + {} duplicate + {} invalid + {} replayed",
            report.received, report.accepted, report.duplicate, report.invalid, report.replayed
        )?;
        writeln!(out, "electors:   {} registered", found.registered)?;
        if found.shards_checked {
            writeln!(
                out,
                "shards:     every accepted and duplicate vote was looked up in the shards given"
            )?;
        }
        self.write_results(out)?;
        self.write_failures(out)?;
        self.write_verdict(out)
    }
}

impl Report<'_> {
    fn write_election(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(definition) = &self.0.definition else {
            return writeln!(out, "election:   the log defines none");
        };
        let nature = if definition.binding { "binding" } else { "not binding" };
        let (fr, en) = (plain(&definition.title.fr), plain(&definition.title.en));
        writeln!(out, "election:   {} ({nature}): {fr} / {en}", definition.law_id)?;
        self.0.state.map_or(Ok(()), |state| writeln!(out, "state:      {state}"))
    }

    fn write_results(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(results) = &self.0.results else {
            return writeln!(out, "results:    none yet: no totals are opened");
        };
        let caution = if self.0.failures.is_empty() {
            ""
        } else {
            " (as the log states them; see the failures below)"
        };
        writeln!(out, "results:{caution}")?;
        for (choice, count) in results.definition.choices.iter().zip(&results.counts.choices) {
            writeln!(out, "{count:>12}  {} / {}", plain(&choice.fr), plain(&choice.en))?;
        }
        if results.counts.spoiled > 0 {
            writeln!(out, "{:>12}  illisible / spoiled", results.counts.spoiled)?;
        }
        let (total, turnout) = (results.counts.total(), results.turnout_percent());
        writeln!(out, "{total:>12}  in all, turnout {turnout} %")?;
        // Before the close the results omit the latest votes, while turnout includes them.
        if results.counts.total() < results.report.accepted {
            writeln!(
                out,
                "{:>12}  accepted, the latest of them held back",
                results.report.accepted
            )?;
        }
        Ok(())
    }

    fn write_failures(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failures = &self.0.failures;
        if failures.is_empty() {
            return Ok(());
        }
        writeln!(out, "failures:")?;
        // A malformed line or an unsigned root makes later rules fail as well.
        let is_cause =
            |failure: &Failure| matches!(failure.rule, Rule::Leaf | Rule::Root | Rule::Checkpoint);
        let cause = failures.list().iter().position(is_cause);
        let listed = failures.list().len() as u64;
        for (index, failure) in failures.list().iter().enumerate() {
            writeln!(out, "  {}", plain(&failure.to_string()))?;
            if cause == Some(index) && failures.total() > index as u64 + 1 {
                writeln!(out, "    the following failures may be consequences of this one")?;
            }
        }
        match failures.total().checked_sub(listed) {
            Some(more @ 1..) => writeln!(out, "  … and {more} more"),
            _ => Ok(()),
        }
    }

    fn write_verdict(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self.0.verdict() {
            Verdict::Proven => {
                "VERIFIED: the authorities of the pinned policy vouch for this log, and the result follows from it"
            }
            Verdict::Consistent => {
                "CONSISTENT, NOT AUTHENTICATED: everything fits together, but anyone could have made it"
            }
            Verdict::Failed => "FAILED: do not rely on this bundle",
        })
    }
}
