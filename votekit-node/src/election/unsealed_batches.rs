//! The batches of this node that the ballot box has confirmed and that are not in the log yet.
//!
//! A batch stays here for some milliseconds, until the node reads it in the log. It is staged from
//! here if the ballot box does not stage it, and again if the ledger loses its bytes before it is
//! decided. Bounded, because the ledger may be unavailable for a long time: a batch that does not
//! fit is not remembered, and is in the ballot box or in staging only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use votekit_core::batch::Batch;
use votekit_core::id::BatchNumber;

/// Maximum number of batches.
const COUNT_MAX: usize = 8192;

/// Maximum size of the batches together, in bytes.
const BYTES_MAX: usize = 16 << 20;

/// Confirmed batches of one election, in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct UnsealedBatches(Mutex<Confirmed>);

#[derive(Debug, Default)]
struct Confirmed {
    batches: BTreeMap<BatchNumber, ConfirmedBatch>,
    bytes: usize,
}

#[derive(Debug)]
struct ConfirmedBatch {
    batch: Arc<Batch>,
    /// The time of its confirm.
    at: Instant,
    is_staged: bool,
}

impl Confirmed {
    fn fits(&self, size: usize) -> bool {
        self.batches.len() < COUNT_MAX && self.bytes + size <= BYTES_MAX
    }

    fn retain(&mut self, is_wanted: impl Fn(&BatchNumber, &ConfirmedBatch) -> bool) {
        self.batches.retain(|number, confirmed| is_wanted(number, confirmed));
        let sizes = self.batches.values().map(|confirmed| confirmed.batch.as_bytes().len());
        self.bytes = sizes.sum();
    }
}

impl UnsealedBatches {
    /// Remembers a batch that was confirmed at a time, if there is room.
    pub(crate) fn add(&self, batch: &Arc<Batch>, at: Instant) {
        let size = batch.as_bytes().len();
        let mut confirmed = self.0.lock();
        if !confirmed.fits(size) && confirmed.batches.values().any(|known| known.is_staged) {
            confirmed.retain(|_, known| !known.is_staged);
        }
        // The newest batch is dropped, not the oldest, because the oldest delays all others of its
        // epoch.
        if confirmed.fits(size) {
            let added = ConfirmedBatch { batch: Arc::clone(batch), at, is_staged: false };
            let replaced = confirmed.batches.insert(batch.number(), added);
            let replaced = replaced.map_or(0, |known| known.batch.as_bytes().len());
            confirmed.bytes = confirmed.bytes + size - replaced;
        }
    }

    /// Records that a batch is staged.
    pub(crate) fn note_staged(&self, number: &BatchNumber) {
        if let Some(confirmed) = self.0.lock().batches.get_mut(number) {
            confirmed.is_staged = true;
        }
    }

    /// Removes a batch.
    pub(crate) fn remove(&self, number: &BatchNumber) {
        let mut confirmed = self.0.lock();
        if let Some(removed) = confirmed.batches.remove(number) {
            confirmed.bytes -= removed.batch.as_bytes().len();
        }
    }

    /// Removes all batches but those that `is_wanted`.
    pub(crate) fn retain(&self, is_wanted: impl Fn(&BatchNumber) -> bool) {
        self.0.lock().retain(|number, _| is_wanted(number));
    }

    /// Whether there is no batch.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().batches.is_empty()
    }

    /// A batch by its number.
    pub(crate) fn batch(&self, number: &BatchNumber) -> Option<Arc<Batch>> {
        self.0.lock().batches.get(number).map(|confirmed| Arc::clone(&confirmed.batch))
    }

    /// The batches that were confirmed at least `age` before `now` and were read in staging, in the
    /// order of their numbers.
    pub(crate) fn staged_for(&self, age: Duration, now: Instant) -> Vec<Arc<Batch>> {
        self.older_than(age, now, |known| known.is_staged)
    }

    /// The batches that were confirmed at least `age` before `now` and are not known to be staged,
    /// in the order of their numbers.
    pub(crate) fn unstaged_for(&self, age: Duration, now: Instant) -> Vec<Arc<Batch>> {
        self.older_than(age, now, |known| !known.is_staged)
    }

    fn older_than(
        &self,
        age: Duration,
        now: Instant,
        is_wanted: impl Fn(&ConfirmedBatch) -> bool,
    ) -> Vec<Arc<Batch>> {
        let confirmed = self.0.lock();
        let is_old = |known: &ConfirmedBatch| now.saturating_duration_since(known.at) >= age;
        let found = confirmed.batches.values().filter(|known| is_old(known) && is_wanted(known));
        found.map(|known| Arc::clone(&known.batch)).collect()
    }
}

#[cfg(test)]
mod tests {
    use getrandom::SysRng;
    use rand_core::UnwrapErr;
    use votekit_core::ballot::BallotSecretKey;
    use votekit_core::batch::{BatchHeader, NodeKey};
    use votekit_core::id::{Epoch, Sequence};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn batch(sequence: u64) -> Arc<Batch> {
        let node = NodeKey::from_seed(&[1; 32]);
        let number =
            BatchNumber { node: node.node_id(), epoch: Epoch(1), sequence: Sequence(sequence) };
        let law_id = "L1".parse().expect("a law id");
        let header =
            BatchHeader { law_id, number, confirmed_through: Sequence(sequence - 1), last: false };
        let ballot_key = BallotSecretKey::from_seed(&[9; 32]).public_key();
        let sealed = Batch::seal(header, &[], &ballot_key, &node, &mut UnwrapErr(SysRng));
        Arc::new(sealed.expect("the ballot key is usable"))
    }

    fn sequences(batches: &[Arc<Batch>]) -> Vec<u64> {
        batches.iter().map(|batch| batch.number().sequence.0).collect()
    }

    #[test]
    fn a_batch_is_overdue_once_its_age_has_passed_and_until_it_is_staged() {
        let (unsealed, start) = (UnsealedBatches::default(), Instant::now());
        for sequence in 1..=3 {
            unsealed.add(&batch(sequence), start + SECOND * u32::try_from(sequence).expect("few"));
        }
        let old = |after| sequences(&unsealed.unstaged_for(2 * SECOND, start + after));
        assert!(old(2 * SECOND).is_empty());
        assert_eq!(old(4 * SECOND), [1, 2]);
        let first = batch(1);
        unsealed.note_staged(&first.number());
        assert_eq!(old(4 * SECOND), [2]);
        assert_eq!(sequences(&unsealed.staged_for(2 * SECOND, start + 3 * SECOND)), [1]);
        assert!(unsealed.staged_for(2 * SECOND, start + 2 * SECOND).is_empty());
        let kept = unsealed.batch(&first.number()).expect("until it is in the log");
        assert_eq!(kept.number(), first.number());
        unsealed.remove(&first.number());
        assert!(unsealed.batch(&first.number()).is_none());
        assert_eq!(old(9 * SECOND), [2, 3]);
        unsealed.retain(|number| number.sequence > Sequence(2));
        assert_eq!(old(9 * SECOND), [3]);
        assert!(!unsealed.is_empty());
        unsealed.remove(&batch(3).number());
        unsealed.remove(&batch(3).number());
        assert!(unsealed.is_empty());
        assert_eq!(unsealed.0.lock().bytes, 0);
    }

    #[test]
    fn a_staged_batch_makes_room_for_one_that_is_not() {
        let (unsealed, at) = (UnsealedBatches::default(), Instant::now());
        let (first, second) = (batch(1), batch(2));
        unsealed.add(&first, at);
        unsealed.note_staged(&first.number());
        unsealed.0.lock().bytes = BYTES_MAX;
        unsealed.add(&second, at);
        assert_eq!(sequences(&unsealed.unstaged_for(Duration::ZERO, at)), [2]);
        assert!(unsealed.batch(&first.number()).is_none());
        assert_eq!(unsealed.0.lock().bytes, second.as_bytes().len());
    }

    #[test]
    fn a_batch_beyond_the_limit_is_not_remembered() {
        let (unsealed, at) = (UnsealedBatches::default(), Instant::now());
        let (first, second) = (batch(1), batch(2));
        unsealed.0.lock().bytes = BYTES_MAX - first.as_bytes().len();
        unsealed.add(&first, at);
        unsealed.add(&second, at);
        assert_eq!(sequences(&unsealed.unstaged_for(Duration::ZERO, at)), [1]);
        // The room is computed from the remaining batches.
        unsealed.retain(|_| true);
        unsealed.add(&second, at);
        unsealed.add(&second, at);
        assert_eq!(sequences(&unsealed.unstaged_for(Duration::ZERO, at)), [1, 2]);
        let size = first.as_bytes().len() + second.as_bytes().len();
        assert_eq!(unsealed.0.lock().bytes, size);
    }
}
