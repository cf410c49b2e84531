//! `votekit recount`: decrypts the stored votes and counts them again.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::Serialize;
use votekit_core::credential::RegistryKey;
use votekit_core::election::State;
use votekit_core::election_log::RollContent;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, Sequence};
use votekit_messages::InWords as _;
use votekit_node::archive::Archive;
use votekit_node::{NodeError, read_roll};
use votekit_store::EngineError;

use crate::context::Context;
use crate::error::CommandError;
use crate::log_source::ArchiveArgs;
use crate::recount::{BatchName, Evidence, Recount, RollRows, recount, shorten};

/// Decrypt the stored votes and count them again, by code that shares nothing with the tally
///
/// The recount reads the log and the encrypted batches in the node's data folder, opens them with
/// the ballot key, makes every decision again, and compares its counts with the totals that the log
/// published. It reads who was registered from the rolls in the data folder, or from those given
/// with --shards. It works from the close until `votekit election purge` destroys the evidence.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit recount --data node/ --election L2025-001
  votekit recount --data node/ --shards hashes/ --shards supplement-1/")]
pub(crate) struct Args {
    #[command(flatten)]
    source: ArchiveArgs,

    /// Folder with a manifest and its shards or change file, used instead of the data folder's own;
    /// give one for the roll and one for each supplement
    #[arg(long, value_name = "DIR")]
    shards: Vec<PathBuf>,
}

/// Content of the data folder, and of the roll folders given with it.
struct Stored<'a> {
    archive: &'a Archive,
    law_id: &'a ElectionId,
    /// Rolls to use instead of those of the data folder.
    given: BTreeMap<Digest, Option<RollContent>>,
}

impl Evidence for Stored<'_> {
    fn batch(&self, name: &BatchName) -> io::Result<Option<Vec<u8>>> {
        let node = name.node.parse().map_err(io::Error::other)?;
        let number =
            BatchNumber { node, epoch: Epoch(name.epoch), sequence: Sequence(name.sequence) };
        let batch = self.archive.batch(self.law_id, number).map_err(|error| match error {
            // An unreadable batch is a difference like any other: the recount names it and
            // continues.
            EngineError::Corrupt { reason, .. } => {
                io::Error::new(io::ErrorKind::InvalidData, reason)
            }
            error => io::Error::other(NodeError::from(error)),
        })?;
        Ok(batch.map(|batch| batch.as_bytes().to_vec()))
    }

    fn roll(&self, manifest: &[u8; 32]) -> io::Result<Option<RollRows>> {
        let digest = Digest::from_bytes(*manifest);
        let content = match self.given.get(&digest) {
            Some(given) => given.clone(),
            None if self.given.is_empty() => {
                self.archive.roll(&digest, self.law_id).map_err(io::Error::other)?
            }
            None => None,
        };
        Ok(content.as_ref().map(rows))
    }
}

/// Converts the rows of a roll to the form that the recount compares.
pub(crate) fn rows(content: &RollContent) -> RollRows {
    let short = |key: &RegistryKey| shorten(key.as_bytes());
    let all = |keys: &[RegistryKey]| keys.iter().map(short).collect();
    match content {
        RollContent::Roll(keys) => RollRows::Roll(all(keys.keys())),
        RollContent::Supplement(changes) => RollRows::Supplement {
            add: all(&changes.add),
            revoke: all(&changes.revoke),
            replace: changes.replace.iter().map(|(old, new)| (short(old), short(new))).collect(),
            readmit: changes.readmit.iter().map(|(old, new)| (short(old), short(new))).collect(),
        },
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Report(Recount);

/// Runs `votekit recount`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let (archive, law_id) = args.source.open()?;
    refuse_before_the_close(&archive, &law_id)?;
    let key = archive.ballot_key(&law_id)?.ok_or_else(|| {
        CommandError::bad_input(format!("the ballot key of {law_id} is not in the data folder"))
            .hint("`votekit election purge` destroys it: no recount is possible after that")
    })?;
    let given = args
        .shards
        .iter()
        .map(|folder| read_roll(folder, &law_id))
        .collect::<Result<BTreeMap<_, _>, _>>()
        .map_err(|error| CommandError::bad_input(error.in_words()))?;
    let stored = Stored { archive: &archive, law_id: &law_id, given };
    let counted = recount(archive.lines(&law_id), &stored, key.expose_bytes())
        .map_err(|error| unreadable(&error))?;
    let report = Report(counted);
    context.output.result(&report)?;
    if report.0.differences.is_empty() {
        return Ok(());
    }
    let first: Vec<String> =
        report.0.differences.iter().take(100).map(ToString::to_string).collect();
    Err(CommandError::verification_failed(format!(
        "the recount does not agree with the log:\n{}",
        first.join("\n")
    )))
}

/// The error of a log, a batch or a roll that cannot be read.
fn unreadable(error: &io::Error) -> CommandError {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<NodeError>());
    let words = cause.map_or_else(|| error.to_string(), |cause| cause.in_words());
    CommandError::configuration(words)
}

/// Refuses a count while the poll is open: it would reveal partial results that are still secret,
/// and after each vote the choice of that vote.
fn refuse_before_the_close(archive: &Archive, law_id: &ElectionId) -> Result<(), CommandError> {
    let state = archive.state(law_id)?;
    if state >= State::Closed {
        return Ok(());
    }
    Err(CommandError::bad_input(format!(
        "{law_id} is {state}: stored votes are counted again only after the close"
    ))
    .hint(
        "`votekit election close` closes the poll; `votekit results` shows the results published \
         so far",
    ))
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recount = &self.0;
        writeln!(
            formatter,
            "{}: {} batches decrypted, {} votes in them",
            recount.law_id, recount.batches, recount.envelopes
        )?;
        for (choice, count) in &recount.choices {
            writeln!(formatter, "  {choice:<24} {count:>10}")?;
        }
        if recount.spoiled > 0 {
            writeln!(formatter, "  {:<24} {:>10}", "(spoiled)", recount.spoiled)?;
        }
        writeln!(formatter, "  {:<24} {:>10}", "accepted", recount.accepted)?;
        writeln!(
            formatter,
            "{}",
            if recount.rolls_checked {
                "every vote was looked up in the rolls that the log names"
            } else {
                "NOT checked: votes decided as unknown or revoked; give the rolls with --shards"
            }
        )?;
        match (&recount.published, recount.differences.is_empty()) {
            (Some(_), true) => writeln!(formatter, "the published totals are confirmed"),
            (None, true) => writeln!(formatter, "the log has published no totals yet"),
            (_, false) => writeln!(formatter, "{} differences", recount.differences.len()),
        }
    }
}
