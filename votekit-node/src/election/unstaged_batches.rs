//! The batches of this node that the ballot box has confirmed and that were not seen in the ledger
//! yet.
//!
//! A batch stays here for some milliseconds: until the node reads it in staging, or in the log.
//! Bounded, since the ledger may be away for long: a batch that does not fit is not remembered, and
//! waits in the ballot box alone.

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
pub(crate) struct UnstagedBatches(Mutex<Confirmed>);

#[derive(Debug, Default)]
struct Confirmed {
    /// Each with the time of its confirm.
    batches: BTreeMap<BatchNumber, (Arc<Batch>, Instant)>,
    bytes: usize,
}

impl UnstagedBatches {
    /// Remembers a batch that was confirmed at a time, if there is room.
    pub(crate) fn add(&self, batch: &Arc<Batch>, at: Instant) {
        let size = batch.as_bytes().len();
        let mut confirmed = self.0.lock();
        // The newest is dropped: the oldest holds up all others of its epoch.
        if confirmed.batches.len() < COUNT_MAX && confirmed.bytes + size <= BYTES_MAX {
            let replaced = confirmed.batches.insert(batch.number(), (Arc::clone(batch), at));
            let replaced = replaced.map_or(0, |(batch, _)| batch.as_bytes().len());
            confirmed.bytes = confirmed.bytes + size - replaced;
        }
    }

    /// Removes a batch that is staged.
    pub(crate) fn remove(&self, number: &BatchNumber) {
        let mut confirmed = self.0.lock();
        if let Some((batch, _)) = confirmed.batches.remove(number) {
            confirmed.bytes -= batch.as_bytes().len();
        }
    }

    /// Removes all batches but those that `is_wanted`.
    pub(crate) fn retain(&self, is_wanted: impl Fn(&BatchNumber) -> bool) {
        let mut confirmed = self.0.lock();
        confirmed.batches.retain(|number, _| is_wanted(number));
        confirmed.bytes = confirmed.batches.values().map(|(batch, _)| batch.as_bytes().len()).sum();
    }

    /// Whether there is no batch.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().batches.is_empty()
    }

    /// The batches that were confirmed at least `age` before `now`, in the order of their numbers.
    pub(crate) fn older_than(&self, age: Duration, now: Instant) -> Vec<Arc<Batch>> {
        let confirmed = self.0.lock();
        let is_old = |at: Instant| now.saturating_duration_since(at) >= age;
        let old = confirmed.batches.values().filter(|(_, at)| is_old(*at));
        old.map(|(batch, _)| Arc::clone(batch)).collect()
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
    fn a_batch_is_old_once_its_age_has_passed_and_until_it_is_staged() {
        let (unstaged, start) = (UnstagedBatches::default(), Instant::now());
        for sequence in 1..=3 {
            unstaged.add(&batch(sequence), start + SECOND * u32::try_from(sequence).expect("few"));
        }
        let old = |after| sequences(&unstaged.older_than(2 * SECOND, start + after));
        assert!(old(2 * SECOND).is_empty());
        assert_eq!(old(4 * SECOND), [1, 2]);
        unstaged.remove(&batch(1).number());
        assert_eq!(old(9 * SECOND), [2, 3]);
        unstaged.retain(|number| number.sequence > Sequence(2));
        assert_eq!(old(9 * SECOND), [3]);
        assert!(!unstaged.is_empty());
        unstaged.remove(&batch(3).number());
        unstaged.remove(&batch(3).number());
        assert!(unstaged.is_empty());
        assert_eq!(unstaged.0.lock().bytes, 0);
    }

    #[test]
    fn a_batch_beyond_the_limit_is_not_remembered() {
        let (unstaged, at) = (UnstagedBatches::default(), Instant::now());
        let (first, second) = (batch(1), batch(2));
        unstaged.0.lock().bytes = BYTES_MAX - first.as_bytes().len();
        unstaged.add(&first, at);
        unstaged.add(&second, at);
        assert_eq!(sequences(&unstaged.older_than(Duration::ZERO, at)), [1]);
        // Room is counted anew from what is left.
        unstaged.retain(|_| true);
        unstaged.add(&second, at);
        unstaged.add(&second, at);
        assert_eq!(sequences(&unstaged.older_than(Duration::ZERO, at)), [1, 2]);
        let size = first.as_bytes().len() + second.as_bytes().len();
        assert_eq!(unstaged.0.lock().bytes, size);
    }
}
