//! The places in staging that were read and are not sealed yet, to be compared with those that the
//! ledger has: after it was rolled back, or by another program, a place that was read may have
//! another batch, and a place between two that were read may have one that no one has read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::ops::RangeInclusive;
use std::time::Instant;

use votekit_core::id::Digest;
use votekit_store::{StagedPlace, StagingId};

/// The most rows that are no batches whose positions are kept, in some 2 MB: another program may
/// insert any number of them.
const UNREADABLE_MAX: usize = 1 << 16;

/// What was read of staging after a position.
#[derive(Debug)]
pub(crate) struct ReadPlaces {
    from: StagingId,
    read: BTreeMap<StagingId, Digest>,
    /// The rows that were passed over, since they are no batches.
    unreadable: BTreeSet<StagingId>,
    /// The positions of further such rows, from the first to the last one: in between, a row that
    /// was not read is no difference, and none is looked at again. A batch that is moved there is
    /// found once a block seals past it, by the node that has it, or when a node starts.
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
    pub(crate) emptied: Vec<StagedPlace>,
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

impl ReadPlaces {
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

    /// Records a row that is no batch: of the first [`UNREADABLE_MAX`], each position; of further
    /// ones, from where to where they are.
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
    /// there and no further ones. `places` is all that it has in between.
    pub(crate) fn agree_with(
        &self,
        places: &[StagedPlace],
        after: StagingId,
        through: StagingId,
    ) -> bool {
        let after = after.max(self.from);
        if through <= after {
            return true;
        }
        let is_between = |place: &&StagedPlace| place.id > after && place.id <= through;
        let stored: BTreeMap<StagingId, &StagedPlace> =
            places.iter().filter(is_between).map(|place| (place.id, place)).collect();
        // A batch that lost its bytes is still where it was.
        let is_stored = |(id, batch): (&StagingId, &Digest)| {
            stored.get(id).is_some_and(|place| place.digest == *batch)
        };
        let is_passed_over = |id: &StagingId| {
            self.unreadable.contains(id)
                || self.unrecorded.as_ref().is_some_and(|rows| rows.contains(id))
        };
        let is_read = |place: &&StagedPlace| match self.read.get(&place.id) {
            Some(batch) => *batch == place.digest,
            None => is_passed_over(&place.id),
        };
        self.read.range((Excluded(after), Included(through))).all(is_stored)
            && stored.values().filter(|place| place.has_batch).all(is_read)
    }
}

#[cfg(test)]
mod tests {
    use votekit_core::id::{BatchNumber, Epoch, NodeId, Sequence};

    use super::*;

    fn digest(batch: &str) -> Digest {
        Digest::of(batch.as_bytes())
    }

    fn place(id: u64, batch: &str) -> StagedPlace {
        let node = NodeId::from_bytes([1; 8]);
        let number = BatchNumber { node, epoch: Epoch(1), sequence: Sequence(id) };
        StagedPlace { id: StagingId(id), number, digest: digest(batch), has_batch: true }
    }

    fn read(from: u64, batches: &[(u64, &str)]) -> ReadPlaces {
        let mut places = ReadPlaces::new(StagingId(from));
        batches.iter().for_each(|(id, batch)| places.add(StagingId(*id), digest(batch)));
        places
    }

    #[test]
    fn a_batch_below_the_last_one_is_noticed_when_the_last_one_is_where_it_was() {
        let places = read(7, &[(8, "first"), (9, "lost"), (10, "last")]);
        let agree = |stored: &[StagedPlace]| places.agree_with(stored, StagingId(0), StagingId(10));
        assert!(agree(&[place(8, "first"), place(9, "lost"), place(10, "last")]));
        // The ledger was rolled back to place 8, and has grown again.
        assert!(!agree(&[place(8, "first"), place(9, "other"), place(10, "last")]));
        assert!(!agree(&[place(8, "first"), place(10, "last")]), "one is gone");
        assert!(!agree(&[]));
        // Another program has moved a row to a place that was passed.
        let gap = read(7, &[(8, "first"), (10, "last")]);
        let moved = [place(8, "first"), place(9, "moved"), place(10, "last")];
        assert!(!gap.agree_with(&moved, StagingId(0), StagingId(10)));
        // One that is still to be read.
        let later = [place(8, "first"), place(10, "last"), place(11, "later")];
        assert!(gap.agree_with(&later, StagingId(0), StagingId(10)));
    }

    #[test]
    fn a_row_that_is_no_batch_is_no_difference_until_it_is_sealed() {
        let mut places = read(7, &[(8, "first"), (10, "last")]);
        let stored = [place(8, "first"), place(9, "no batch"), place(10, "last")];
        assert!(!places.agree_with(&stored, StagingId(0), StagingId(10)));
        places.add_unreadable(StagingId(9));
        assert!(places.agree_with(&stored, StagingId(0), StagingId(10)));
        let unreadable = |places: &ReadPlaces, after| -> Vec<u64> {
            places.unreadable_after(StagingId(after)).map(|id| id.0).collect()
        };
        assert_eq!((unreadable(&places, 0), unreadable(&places, 9)), (vec![9], vec![]));
        places.forget(StagingId(9));
        assert!(unreadable(&places, 0).is_empty());
    }

    #[test]
    fn rows_that_are_no_batches_are_recorded_up_to_a_limit_and_then_are_no_difference() {
        let mut places = read(7, &[(8, "first"), (200_000, "last")]);
        let end = 9 + UNREADABLE_MAX as u64;
        (9..=end + 5).for_each(|id| places.add_unreadable(StagingId(id)));
        assert_eq!(places.unreadable_after(StagingId(0)).count(), UNREADABLE_MAX);
        assert_eq!(places.unreadable_after(StagingId(0)).last(), Some(StagingId(end - 1)));
        let agree = |places: &ReadPlaces, id, last| {
            let stored = [place(8, "first"), place(id, "no batch"), place(200_000, last)];
            places.agree_with(&stored, StagingId(0), StagingId(200_000))
        };
        for passed_over in [9, end - 1, end, end + 5] {
            assert!(agree(&places, passed_over, "last"), "{passed_over}");
        }
        assert!(!agree(&places, end + 6, "last"), "one that was not passed over");
        assert!(!agree(&places, end, "other"), "what was read is compared as before");
        places.forget(StagingId(end + 4));
        assert!(agree(&places, end + 5, "last"));
        places.forget(StagingId(end + 5));
        places.add_unreadable(StagingId(end + 7));
        assert_eq!(places.unreadable_after(StagingId(0)).count(), 1, "there is room again");
        assert!(!agree(&places, end + 6, "last"));
    }

    #[test]
    fn places_without_bytes_sealed_places_and_other_parts_are_no_difference() {
        let mut places = read(7, &[(8, "first"), (10, "last")]);
        let emptied = StagedPlace { has_batch: false, ..place(8, "first") };
        let unread = StagedPlace { has_batch: false, ..place(9, "never read") };
        let stored = [emptied, unread, place(10, "last")];
        assert!(places.agree_with(&stored, StagingId(0), StagingId(10)));
        assert!(places.agree_with(&stored[2..], StagingId(9), StagingId(10)), "a part");
        places.forget(StagingId(8));
        assert_eq!(places.from(), StagingId(8));
        assert!(places.agree_with(&stored[2..], StagingId(0), StagingId(10)), "the rest is sealed");
        places.forget(StagingId(5));
        assert_eq!(places.from(), StagingId(8), "what is forgotten stays forgotten");
        places.forget(StagingId(u64::MAX));
        assert!(places.agree_with(&[place(9, "sealed")], StagingId(0), StagingId(10)));
    }
}
