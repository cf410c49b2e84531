//! The head of a log with the lines of its outside witnesses.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use votekit_core::id::ElectionId;
use votekit_core::log::checkpoint::SignedCheckpoint;
use votekit_core::log::policy::{Policy, WitnessedCheckpoint};
use votekit_store::{EngineError, Ledger};

/// How often the lines over the head of one log are read from the ledger at most, however many
/// clients ask for it.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// Adds the lines of outside witnesses in the ledger to a signed head of a log.
pub(crate) async fn read_witnessed(
    ledger: &dyn Ledger,
    policy: &Policy,
    law_id: &ElectionId,
    checkpoint: &[u8],
) -> Result<WitnessedCheckpoint, EngineError> {
    let signed = SignedCheckpoint::parse(checkpoint).map_err(|error| EngineError::Corrupt {
        engine: "ledger",
        reason: format!("the checkpoint of {law_id}: {error}"),
    })?;
    let lines = ledger.witness_lines(law_id, signed.unverified().size()).await?;
    Ok(policy.with_witness_lines(&signed, lines.iter().map(|stored| stored.line.as_slice())))
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
    /// The note for a checkpoint of the log. `None` if the ledger has to be read for it: by this
    /// caller, the others get what is known until then.
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

    /// Records what was read, and returns the note.
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
