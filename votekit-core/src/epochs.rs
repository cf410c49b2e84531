//! Batch numbers: the progress of each epoch of each ingest node in the log.
//!
//! Sequences of one epoch follow one another from 1, minutes never decrease, and no batch follows
//! the end of an epoch. Epochs of a node count from 1; at the close no epoch may be missing or
//! open.

use std::collections::BTreeMap;

use crate::id::{BatchNumber, Epoch, NodeId, Sequence};
use crate::instant::UnixMinutes;

/// Why a batch cannot be decided now, or ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// A batch of this number is in the log already.
    #[error("batch {number} is in the log already")]
    Sealed {
        /// The batch.
        number: BatchNumber,
    },
    /// Batches before this batch are missing.
    #[error("batch {number} came before batch {expected} of the same epoch", expected = expected.0)]
    Gap {
        /// The batch.
        number: BatchNumber,
        /// The sequence that should come next.
        expected: Sequence,
    },
    /// The epoch has ended.
    #[error("batch {number} came after the end of its epoch")]
    Ended {
        /// The batch.
        number: BatchNumber,
    },
    /// A confirmed-through number is lower than in an earlier batch of the epoch, or not below the
    /// batch's own sequence.
    #[error("batch {number} states a confirmed-through number that cannot be")]
    Confirmed {
        /// The batch.
        number: BatchNumber,
    },
    /// A minute is before a minute of an earlier batch of the epoch.
    #[error("batch {number} is stamped before an earlier batch of its epoch")]
    Minute {
        /// The batch.
        number: BatchNumber,
    },
    /// The batch belongs to another election.
    #[error("batch {number} belongs to another election")]
    Law {
        /// The batch.
        number: BatchNumber,
    },
}

/// The progress of one epoch of one node in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochProgress {
    /// The last sequence in the log; 0 for none.
    pub through: Sequence,
    /// The confirmed-through number of the last batch in the log; 0 for none.
    pub confirmed: Sequence,
    /// The latest minute of an envelope; 0 for none.
    pub minute: UnixMinutes,
    /// Whether the epoch has ended.
    pub ended: bool,
}

impl EpochProgress {
    /// No batch is in the log.
    pub const NONE: Self =
        Self { through: Sequence(0), confirmed: Sequence(0), minute: UnixMinutes(0), ended: false };

    /// The progress after the next batch. `first_minute` is that of its first envelope.
    ///
    /// # Errors
    /// The first rule that the batch breaks.
    pub fn after_batch(
        self,
        batch: &BatchPosition,
        first_minute: Option<UnixMinutes>,
    ) -> Result<Self, OrderError> {
        let BatchPosition { number, confirmed, last } = *batch;
        if number.sequence <= self.through {
            return Err(OrderError::Sealed { number });
        }
        if self.ended {
            return Err(OrderError::Ended { number });
        }
        let expected = self.through.next();
        if number.sequence != expected {
            return Err(OrderError::Gap { number, expected });
        }
        if confirmed < self.confirmed || confirmed >= number.sequence {
            return Err(OrderError::Confirmed { number });
        }
        if first_minute.is_some_and(|minute| minute < self.minute) {
            return Err(OrderError::Minute { number });
        }
        Ok(Self { through: number.sequence, confirmed, ended: last, ..self })
    }

    /// The progress after an envelope with this minute.
    #[must_use]
    pub fn after_minute(self, minute: UnixMinutes) -> Self {
        Self { minute: self.minute.max(minute), ..self }
    }

    /// The progress of an epoch that is retired: its batch numbers above the last in the log are
    /// void.
    #[must_use]
    pub fn retired(self) -> Self {
        Self { ended: true, ..self }
    }
}

/// The fields of a batch that the order of batches depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPosition {
    /// Its number.
    pub number: BatchNumber,
    /// Its confirmed-through number.
    pub confirmed: Sequence,
    /// Whether it ends its epoch.
    pub last: bool,
}

/// The epochs of one election.
#[derive(Debug, Default)]
pub struct Epochs(BTreeMap<(NodeId, Epoch), EpochProgress>);

impl Epochs {
    /// The epochs of a snapshot.
    pub(crate) fn restore(epochs: impl Iterator<Item = (NodeId, Epoch, EpochProgress)>) -> Self {
        Self(epochs.map(|(node, epoch, progress)| ((node, epoch), progress)).collect())
    }

    /// Checks that a batch is the next of its epoch. `first_minute` is that of its first envelope.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check_next(
        &self,
        batch: &BatchPosition,
        first_minute: Option<UnixMinutes>,
    ) -> Result<(), OrderError> {
        let number = batch.number;
        self.progress(number.node, number.epoch).after_batch(batch, first_minute).map(|_| ())
    }

    /// Records the next batch.
    ///
    /// # Errors
    /// As [`Epochs::check_next`]; nothing is then changed.
    pub fn take_batch(
        &mut self,
        batch: &BatchPosition,
        first_minute: Option<UnixMinutes>,
    ) -> Result<(), OrderError> {
        let BatchNumber { node, epoch, .. } = batch.number;
        let progress = self.progress(node, epoch).after_batch(batch, first_minute)?;
        self.set(node, epoch, progress);
        Ok(())
    }

    /// Records the minute of an envelope of the last batch. Returns whether it is not before the
    /// minute of an earlier envelope.
    pub fn take_minute(&mut self, number: BatchNumber, minute: UnixMinutes) -> bool {
        let progress = self.progress(number.node, number.epoch);
        self.set(number.node, number.epoch, progress.after_minute(minute));
        minute >= progress.minute
    }

    /// Ends an epoch that its node will not end: its batch numbers above the last in the log are
    /// void.
    pub fn retire(&mut self, node: NodeId, epoch: Epoch) -> EpochProgress {
        let progress = self.progress(node, epoch).retired();
        self.set(node, epoch, progress);
        progress
    }

    /// The progress of an epoch.
    #[must_use]
    pub fn progress(&self, node: NodeId, epoch: Epoch) -> EpochProgress {
        self.0.get(&(node, epoch)).copied().unwrap_or(EpochProgress::NONE)
    }

    /// Sets the progress of an epoch.
    pub(crate) fn set(&mut self, node: NodeId, epoch: Epoch, progress: EpochProgress) {
        self.0.insert((node, epoch), progress);
    }

    /// The epochs in the log that have not ended.
    pub fn open(&self) -> impl Iterator<Item = (NodeId, Epoch)> + '_ {
        self.0.iter().filter(|(_, progress)| !progress.ended).map(|(key, _)| *key)
    }

    /// The first missing epoch of each gap before an epoch of the same node that the log knows.
    pub fn missing(&self) -> impl Iterator<Item = (NodeId, Epoch)> + '_ {
        let mut earlier: Option<(NodeId, Epoch)> = None;
        self.0.keys().flat_map(move |(node, epoch)| {
            let known = earlier.filter(|(earlier, _)| earlier == node).map_or(0, |(_, e)| e.0);
            earlier = Some((*node, *epoch));
            // One epoch per gap is enough: a log may contain an epoch number of four billion.
            (known + 1 < epoch.0).then_some((*node, Epoch(known + 1)))
        })
    }

    /// The epochs in the log, each with its progress.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, Epoch, EpochProgress)> + '_ {
        self.0.iter().map(|((node, epoch), progress)| (*node, *epoch, *progress))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(epoch: u32, sequence: u64, confirmed: u64, last: bool) -> BatchPosition {
        let node = NodeId::from_bytes([1; 8]);
        let number = BatchNumber { node, epoch: Epoch(epoch), sequence: Sequence(sequence) };
        BatchPosition { number, confirmed: Sequence(confirmed), last }
    }

    #[test]
    fn numbers_confirmations_and_minutes_follow() {
        let mut epochs = Epochs::default();
        let minute = UnixMinutes(100);
        epochs.take_batch(&position(1, 1, 0, false), Some(minute)).expect("the first");
        assert!(epochs.take_minute(position(1, 1, 0, false).number, minute));
        assert!(!epochs.take_minute(position(1, 1, 0, false).number, UnixMinutes(99)));
        let refused = |batch, minute| epochs.check_next(&batch, minute).expect_err("refused");
        assert!(matches!(refused(position(1, 1, 0, false), None), OrderError::Sealed { .. }));
        assert!(matches!(refused(position(1, 3, 1, false), None), OrderError::Gap { .. }));
        assert!(matches!(refused(position(1, 2, 2, false), None), OrderError::Confirmed { .. }));
        let earlier = Some(UnixMinutes(99));
        assert!(matches!(refused(position(1, 2, 1, false), earlier), OrderError::Minute { .. }));
        epochs.take_batch(&position(1, 2, 1, true), Some(minute)).expect("the last");
        let refused = epochs.check_next(&position(1, 3, 2, false), None).expect_err("ended");
        assert!(matches!(refused, OrderError::Ended { .. }));
    }

    #[test]
    fn a_missing_epoch_is_found_once_a_gap() {
        let mut epochs = Epochs::default();
        let node = NodeId::from_bytes([1; 8]);
        assert_eq!(epochs.missing().count(), 0);
        for epoch in [1, 2, 5] {
            epochs.retire(node, Epoch(epoch));
        }
        epochs.retire(NodeId::from_bytes([2; 8]), Epoch(2));
        let missing: Vec<_> = epochs.missing().collect();
        assert_eq!(missing, [(node, Epoch(3)), (NodeId::from_bytes([2; 8]), Epoch(1))]);
        assert_eq!(epochs.open().count(), 0);
    }
}
