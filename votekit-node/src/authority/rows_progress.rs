//! The progress of reading the rows of the ledger, and whether the votes of a term were read.

use std::time::Instant;

use votekit_authority::leader_election::CANDIDACY_TIMEOUT;
use votekit_store::RowId;

/// The progress of reading the rows.
#[derive(Debug, Default)]
pub(crate) struct RowsProgress {
    /// Whether the last row was read a moment ago.
    is_last: bool,
    /// Every row up to here was read since the ledger was last found restored from an older copy.
    through: RowId,
    awaited: Option<AwaitedVotes>,
}

/// The votes of the term whose lease the ledger showed last.
#[derive(Debug)]
struct AwaitedVotes {
    term: u64,
    /// When its lease was first seen.
    seen: Instant,
    /// The last row when all of its votes were stored.
    last_row: Option<RowId>,
}

impl RowsProgress {
    /// Records up to where the rows were read, and whether these were all.
    pub(crate) fn note_read(&mut self, through: RowId, is_last: bool) {
        self.through = self.through.max(through);
        self.is_last = is_last;
    }

    /// Records that all rows have to be read again.
    pub(crate) fn note_rollback(&mut self) {
        *self = Self::default();
    }

    /// Whether the last row of the ledger has to be known to decide whether all votes of a term
    /// were read. The lease of the term was seen. If rows are inserted without end, the last row is
    /// never read. So the last row is queried once the votes for an honest holder are stored, or
    /// the holder has stepped down.
    pub(crate) fn needs_last_row(&mut self, term: u64, now: Instant) -> bool {
        let awaited = self.awaited.take().filter(|awaited| awaited.term == term);
        let awaited = awaited.unwrap_or(AwaitedVotes { term, seen: now, last_row: None });
        let awaited = self.awaited.insert(awaited);
        !self.is_last
            && awaited.last_row.is_none()
            && now.saturating_duration_since(awaited.seen) >= CANDIDACY_TIMEOUT
    }

    /// Records the last row that the ledger has, for the votes of a term.
    pub(crate) fn note_last_row(&mut self, term: u64, last: RowId) {
        if let Some(awaited) = self.awaited.as_mut().filter(|awaited| awaited.term == term) {
            awaited.last_row.get_or_insert(last);
        }
    }

    /// Whether all votes were read that the holder of a term needs. Until then, missing votes are
    /// not evidence.
    pub(crate) fn has_read_votes(&self, term: u64) -> bool {
        let awaited = self.awaited.as_ref().filter(|awaited| awaited.term == term);
        let last_row = awaited.and_then(|awaited| awaited.last_row);
        self.is_last || last_row.is_some_and(|last| last <= self.through)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rows_without_end_delay_the_judgement_of_a_term_until_its_votes_are_read() {
        let (mut progress, now) = (RowsProgress::default(), Instant::now());
        progress.note_read(RowId(100), false);
        assert!(!progress.needs_last_row(7, now) && !progress.has_read_votes(7));
        let stored = now + CANDIDACY_TIMEOUT;
        assert!(!progress.needs_last_row(7, stored - Duration::from_millis(1)));
        assert!(progress.needs_last_row(7, stored));
        progress.note_last_row(7, RowId(500));
        progress.note_last_row(7, RowId(9000));
        assert!(!progress.needs_last_row(7, stored), "it is asked for once");
        progress.note_read(RowId(499), false);
        assert!(!progress.has_read_votes(7));
        progress.note_read(RowId(500), false);
        progress.note_read(RowId(3), false);
        assert!(progress.has_read_votes(7), "also while all rows are read again");
        assert!(!progress.has_read_votes(8), "another term has other votes");
        assert!(!progress.needs_last_row(8, stored) && !progress.has_read_votes(7));
    }

    #[test]
    fn the_last_row_answers_for_every_term_and_a_rollback_for_none() {
        let (mut progress, now) = (RowsProgress::default(), Instant::now());
        progress.note_read(RowId(100), true);
        assert!(!progress.needs_last_row(7, now));
        assert!(!progress.needs_last_row(7, now + CANDIDACY_TIMEOUT), "it was read");
        assert!(progress.has_read_votes(7) && progress.has_read_votes(8));
        progress.note_last_row(7, RowId(90));
        progress.note_rollback();
        progress.note_last_row(7, RowId(90));
        assert!(!progress.has_read_votes(7));
    }
}
