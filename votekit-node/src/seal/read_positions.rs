//! The positions in staging that were read and are not sealed yet, to be compared with those in the
//! ledger: after a roll-back, or a change by another program, a position that was read may have
//! another batch, and an unread batch may be between two positions that were read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::ops::RangeInclusive;
use std::time::Instant;

use votekit_core::id::Digest;
use votekit_store::{StagedPosition, StagingId};

/// The most rows that are no batches whose positions are kept, in some 2 MB: another program may
/// insert any number of them.
const UNREADABLE_MAX: usize = 1 << 16;

/// What was read of staging after a position.
#[derive(Debug)]
pub(crate) struct ReadPositions {
    from: StagingId,
    read: BTreeMap<StagingId, Digest>,
    /// The rows that were passed over, since they are no batches.
    unreadable: BTreeSet<StagingId>,
    /// The range of the positions of further such rows: an unread row in this range is not a
    /// difference, and none is read again. A batch that is moved there is found once a block seals
    /// past it, by the node that has it, or when a node starts.
    unrecorded: Option<RangeInclusive<StagingId>>,
}

/// When staging was surveyed, and how far.
#[derive(Debug)]
pub(crate) struct StagingSurvey {
    pub(crate) last: Instant,
    /// Whether staging was read since, too early for another survey.
    pub(crate) has_unsurveyed_read: bool,
    /// The position after which the next survey begins, if that is not sealed meanwhile.
    pub(crate) after: StagingId,
    /// The position after which the next survey reads rows again that may have been repaired.
    pub(crate) reread_after: StagingId,
    /// The rows without bytes that the last survey found.
    pub(crate) emptied: Vec<StagedPosition>,
    /// The earliest time at which batches that wait for long are staged again.
    pub(crate) next_restage: Instant,
}

impl StagingSurvey {
    /// No survey yet.
    pub(crate) fn new() -> Self {
        Self {
            last: Instant::now(),
            has_unsurveyed_read: false,
            after: StagingId(0),
            reread_after: StagingId(0),
            emptied: Vec::new(),
            next_restage: Instant::now(),
        }
    }
}

impl ReadPositions {
    /// Nothing was read after a position yet.
    pub(crate) fn new(from: StagingId) -> Self {
        let (read, unreadable) = (BTreeMap::new(), BTreeSet::new());
        Self { from, read, unreadable, unrecorded: None }
    }

    /// The position after which every batch that was read is known.
    pub(crate) fn from(&self) -> StagingId {
        self.from
    }

    /// Records a batch that was read.
    pub(crate) fn add(&mut self, id: StagingId, batch: Digest) {
        self.read.insert(id, batch);
    }

    /// Records a row that is not a batch: the position of each of the first [`UNREADABLE_MAX`], and
    /// the range of further ones.
    pub(crate) fn add_unreadable(&mut self, id: StagingId) {
        if self.unreadable.len() < UNREADABLE_MAX {
            self.unreadable.insert(id);
        } else if !self.unreadable.contains(&id) {
            let known = self.unrecorded.take().unwrap_or(id..=id);
            self.unrecorded = Some(id.min(*known.start())..=id.max(*known.end()));
        }
    }

    /// The recorded rows after a position that are no batches, in order.
    pub(crate) fn unreadable_after(&self, after: StagingId) -> impl Iterator<Item = StagingId> {
        self.unreadable.range((Excluded(after), Unbounded)).copied()
    }

    /// Drops the places up to a position: they are sealed.
    pub(crate) fn forget(&mut self, through: StagingId) {
        if through > self.from {
            let next = StagingId(through.0.saturating_add(1));
            self.read = self.read.split_off(&next);
            self.unreadable = self.unreadable.split_off(&next);
            self.unrecorded = self.unrecorded.take().filter(|rows| *rows.end() > through);
            self.from = through;
        }
    }

    /// Whether the ledger has, after a position and up to another one, the batches that were read
    /// there and no further ones. `positions` is all that it has in between.
    pub(crate) fn agree_with(
        &self,
        positions: &[StagedPosition],
        after: StagingId,
        through: StagingId,
    ) -> bool {
        let after = after.max(self.from);
        if through <= after {
            return true;
        }
        let is_between = |position: &&StagedPosition| position.id > after && position.id <= through;
        let stored: BTreeMap<StagingId, &StagedPosition> =
            positions.iter().filter(is_between).map(|position| (position.id, position)).collect();
        // A batch that lost its bytes is still where it was.
        let is_stored = |(id, batch): (&StagingId, &Digest)| {
            stored.get(id).is_some_and(|position| position.digest == *batch)
        };
        let is_passed_over = |id: &StagingId| {
            self.unreadable.contains(id)
                || self.unrecorded.as_ref().is_some_and(|rows| rows.contains(id))
        };
        let is_read = |position: &&StagedPosition| match self.read.get(&position.id) {
            Some(batch) => *batch == position.digest,
            None => is_passed_over(&position.id),
        };
        self.read.range((Excluded(after), Included(through))).all(is_stored)
            && stored.values().filter(|position| position.has_batch).all(is_read)
    }
}

#[cfg(test)]
mod tests {
    use votekit_core::id::{BatchNumber, Epoch, NodeId, Sequence};

    use super::*;

    fn digest(batch: &str) -> Digest {
        Digest::compute(batch.as_bytes())
    }

    fn position(id: u64, batch: &str) -> StagedPosition {
        let node = NodeId::from_bytes([1; 8]);
        let number = BatchNumber { node, epoch: Epoch(1), sequence: Sequence(id) };
        StagedPosition { id: StagingId(id), number, digest: digest(batch), has_batch: true }
    }

    fn read(from: u64, batches: &[(u64, &str)]) -> ReadPositions {
        let mut positions = ReadPositions::new(StagingId(from));
        batches.iter().for_each(|(id, batch)| positions.add(StagingId(*id), digest(batch)));
        positions
    }

    #[test]
    fn a_batch_below_the_last_one_is_noticed_when_the_last_one_is_where_it_was() {
        let positions = read(7, &[(8, "first"), (9, "lost"), (10, "last")]);
        let agree =
            |stored: &[StagedPosition]| positions.agree_with(stored, StagingId(0), StagingId(10));
        assert!(agree(&[position(8, "first"), position(9, "lost"), position(10, "last")]));
        // The ledger was rolled back to place 8, and has grown again.
        assert!(!agree(&[position(8, "first"), position(9, "other"), position(10, "last")]));
        assert!(!agree(&[position(8, "first"), position(10, "last")]), "one is gone");
        assert!(!agree(&[]));
        // Another program has moved a row to a place that was passed.
        let gap = read(7, &[(8, "first"), (10, "last")]);
        let moved = [position(8, "first"), position(9, "moved"), position(10, "last")];
        assert!(!gap.agree_with(&moved, StagingId(0), StagingId(10)));
        // One that is still to be read.
        let later = [position(8, "first"), position(10, "last"), position(11, "later")];
        assert!(gap.agree_with(&later, StagingId(0), StagingId(10)));
    }

    #[test]
    fn a_row_that_is_no_batch_is_no_difference_until_it_is_sealed() {
        let mut positions = read(7, &[(8, "first"), (10, "last")]);
        let stored = [position(8, "first"), position(9, "no batch"), position(10, "last")];
        assert!(!positions.agree_with(&stored, StagingId(0), StagingId(10)));
        positions.add_unreadable(StagingId(9));
        assert!(positions.agree_with(&stored, StagingId(0), StagingId(10)));
        let unreadable = |positions: &ReadPositions, after| -> Vec<u64> {
            positions.unreadable_after(StagingId(after)).map(|id| id.0).collect()
        };
        assert_eq!((unreadable(&positions, 0), unreadable(&positions, 9)), (vec![9], vec![]));
        positions.forget(StagingId(9));
        assert!(unreadable(&positions, 0).is_empty());
    }

    #[test]
    fn rows_that_are_no_batches_are_recorded_up_to_a_limit_and_then_are_no_difference() {
        let mut positions = read(7, &[(8, "first"), (200_000, "last")]);
        let end = 9 + UNREADABLE_MAX as u64;
        (9..=end + 5).for_each(|id| positions.add_unreadable(StagingId(id)));
        assert_eq!(positions.unreadable_after(StagingId(0)).count(), UNREADABLE_MAX);
        assert_eq!(positions.unreadable_after(StagingId(0)).last(), Some(StagingId(end - 1)));
        let agree = |positions: &ReadPositions, id, last| {
            let stored = [position(8, "first"), position(id, "no batch"), position(200_000, last)];
            positions.agree_with(&stored, StagingId(0), StagingId(200_000))
        };
        for passed_over in [9, end - 1, end, end + 5] {
            assert!(agree(&positions, passed_over, "last"), "{passed_over}");
        }
        assert!(!agree(&positions, end + 6, "last"), "one that was not passed over");
        assert!(!agree(&positions, end, "other"), "what was read is compared as before");
        positions.forget(StagingId(end + 4));
        assert!(agree(&positions, end + 5, "last"));
        positions.forget(StagingId(end + 5));
        positions.add_unreadable(StagingId(end + 7));
        assert_eq!(positions.unreadable_after(StagingId(0)).count(), 1, "there is room again");
        assert!(!agree(&positions, end + 6, "last"));
    }

    #[test]
    fn places_without_bytes_sealed_places_and_other_parts_are_no_difference() {
        let mut positions = read(7, &[(8, "first"), (10, "last")]);
        let emptied = StagedPosition { has_batch: false, ..position(8, "first") };
        let unread = StagedPosition { has_batch: false, ..position(9, "never read") };
        let stored = [emptied, unread, position(10, "last")];
        assert!(positions.agree_with(&stored, StagingId(0), StagingId(10)));
        assert!(positions.agree_with(&stored[2..], StagingId(9), StagingId(10)), "a part");
        positions.forget(StagingId(8));
        assert_eq!(positions.from(), StagingId(8));
        assert!(
            positions.agree_with(&stored[2..], StagingId(0), StagingId(10)),
            "the rest is sealed"
        );
        positions.forget(StagingId(5));
        assert_eq!(positions.from(), StagingId(8), "what is forgotten stays forgotten");
        positions.forget(StagingId(u64::MAX));
        assert!(positions.agree_with(&[position(9, "sealed")], StagingId(0), StagingId(10)));
    }
}
