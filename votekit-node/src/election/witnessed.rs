//! The head of a log with the lines of its outside witnesses. A line in the ledger counts once its
//! signature is verified: any program may have written it.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use votekit_core::authority::SetWitness;
use votekit_core::id::ElectionId;
use votekit_core::log::checkpoint::{Checkpoint, SignedCheckpoint};
use votekit_core::log::merkle::TreeHash;
use votekit_core::log::note::KeyName;
use votekit_core::log::policy::{Policy, WitnessedCheckpoint};
use votekit_store::{EngineError, WitnessLine, Witnessed};

use crate::error::ElectionFault;

/// How often the lines over the head of one log are read from the ledger at most, however many
/// clients ask for it.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// The names of the outside witnesses of a policy: lines under other names are not read.
pub(crate) fn witness_names(policy: &Policy) -> Vec<String> {
    policy.outside_witnesses().iter().map(|witness| witness.name.to_string()).collect()
}

/// Reads the lines that show how far outside witnesses have cosigned a log: those over its head,
/// and the last lines over smaller trees. Other lines do not affect which lines over the head are
/// found.
pub(crate) async fn read_cosigned(
    ledger: &dyn Witnessed,
    law_id: &ElectionId,
    head: (u64, TreeHash),
    witnesses: &[String],
) -> Result<Vec<WitnessLine>, EngineError> {
    let mut lines = ledger.witness_lines(law_id, head.0, &head.1, witnesses).await?;
    lines.extend(ledger.latest_witness_lines(law_id, head.0, witnesses).await?);
    Ok(lines)
}

/// Adds the lines of outside witnesses in the ledger to a signed head of a log.
pub(crate) async fn read_witnessed(
    ledger: &dyn Witnessed,
    policy: &Policy,
    law_id: &ElectionId,
    checkpoint: &[u8],
) -> Result<WitnessedCheckpoint, ElectionFault> {
    let signed = SignedCheckpoint::parse(checkpoint).map_err(|error| {
        ElectionFault::damaged(format!("the checkpoint of {law_id} in the ledger: {error}"))
    })?;
    let (size, root) = (signed.unverified().size(), signed.unverified().root());
    let lines = ledger.witness_lines(law_id, size, &root, &witness_names(policy)).await?;
    Ok(policy.with_witness_lines(&signed, lines.iter().map(|stored| stored.line.as_slice())))
}

/// The size of the largest tree of a log that an outside witness has cosigned, as stored lines show
/// it; 0 for none. A line over another tree of the size of the `head` is not over this log.
pub(crate) fn cosigned_size(
    witness: &SetWitness,
    origin: &KeyName,
    head: (u64, TreeHash),
    lines: &[WitnessLine],
) -> u64 {
    let has_cosigned = |line: &&WitnessLine| {
        let (size, root) = (line.size, line.root);
        line.witness == witness.name.as_str()
            && (size != head.0 || root == head.1)
            && witness.has_cosigned(&Checkpoint::new(origin, size, root), &line.line)
    };
    lines.iter().filter(has_cosigned).map(|line| line.size).max().unwrap_or(0)
}

/// The head that is served, with the lines of outside witnesses that were known when it was read
/// last.
#[derive(Debug, Default)]
pub(crate) struct WitnessedHead(Mutex<Cached>);

#[derive(Debug, Default)]
struct Cached {
    /// The checkpoint as the log has it.
    checkpoint: Vec<u8>,
    /// The same with the lines of witnesses.
    note: Vec<u8>,
    /// Whether no line is missing.
    is_complete: bool,
    read_at: Option<Instant>,
}

impl WitnessedHead {
    /// The note for a checkpoint of the log. `None` if this caller has to read the ledger for it;
    /// until then, other callers get the last known note, or the checkpoint alone.
    pub(crate) fn get(&self, checkpoint: &[u8]) -> Option<Vec<u8>> {
        let mut cached = self.0.lock();
        let is_same = cached.checkpoint == checkpoint;
        let is_recent = cached.read_at.is_some_and(|at| at.elapsed() < READ_INTERVAL);
        let is_current = is_recent || (is_same && cached.is_complete);
        if !is_current {
            cached.read_at = Some(Instant::now());
            return None;
        }
        Some(if is_same { cached.note.clone() } else { checkpoint.to_vec() })
    }

    /// Records the lines that were read, and returns the note.
    pub(crate) fn set(&self, checkpoint: &[u8], read: &WitnessedCheckpoint) -> Vec<u8> {
        let note = read.checkpoint.to_string().into_bytes();
        let mut cached = self.0.lock();
        cached.checkpoint = checkpoint.to_vec();
        cached.note.clone_from(&note);
        cached.is_complete = read.missing.is_empty();
        note
    }

    /// Makes the next reader read the ledger: a line was stored.
    pub(crate) fn forget(&self) {
        let mut cached = self.0.lock();
        cached.read_at = None;
        cached.is_complete = false;
    }
}

#[cfg(test)]
mod tests {
    use votekit_core::instant::UnixSeconds;
    use votekit_core::log::checkpoint::Cosigner;
    use votekit_core::log::merkle::leaf_hash;

    use super::*;

    #[test]
    fn only_lines_that_the_witness_signed_over_this_log_count() {
        let name = |text: &str| -> KeyName { text.parse().expect("a name") };
        let origin = name("votes.example/L1");
        let cosigner = Cosigner::from_seed(name("witness.example/w1"), &[9; 32]);
        let witness = SetWitness {
            name: name("w1"),
            key: cosigner.verifier().clone(),
            url: "https://witness.example/".to_owned(),
            fed_by: name("a1"),
        };
        let signed = |size: u64, root: &[u8]| {
            let root = leaf_hash(root);
            let checkpoint = Checkpoint::new(&origin, size, root);
            let line = cosigner.cosign(&checkpoint, UnixSeconds(1_763_712_000)).expect("a time");
            let line = line.to_string().into_bytes();
            WitnessLine { witness: "w1".to_owned(), height: 3, size, root, line }
        };
        let true_one = signed(30, b"root");
        let invented = WitnessLine { size: 40, line: b"no line".to_vec(), ..true_one.clone() };
        let moved = WitnessLine { size: 40, ..true_one.clone() };
        let of_other = WitnessLine { witness: "w2".to_owned(), ..signed(39, b"root") };
        let forked = signed(40, b"another root");
        let lines = [invented, moved, of_other, forked.clone(), true_one];
        let size_of = |head| cosigned_size(&witness, &origin, head, &lines);
        assert_eq!(size_of((40, leaf_hash(b"root"))), 30);
        assert_eq!(size_of((41, leaf_hash(b"root"))), 40, "it knows that size");
        assert_eq!(size_of((40, forked.root)), 40);
        assert_eq!(cosigned_size(&witness, &origin, (40, forked.root), &lines[..3]), 0);
    }
}
