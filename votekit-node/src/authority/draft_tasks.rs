//! The tasks that take part in rounds about first blocks: a few at a time.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use votekit_core::id::ElectionId;

/// Tasks at a time. An elected liar can propose thousands of drafts, and each task queries the
/// ledger ten times a second.
const TASKS_MAX: usize = 16;

/// The elections of which this authority takes part in the round about the first block.
#[derive(Debug, Default)]
pub(crate) struct DraftTasks {
    running: BTreeSet<ElectionId>,
    /// The election whose task was started last.
    last: Option<ElectionId>,
    /// Whether drafts wait for a task to end.
    has_waiting: bool,
}

impl DraftTasks {
    /// Chooses the drafts whose tasks are to be started now, in turn: drafts that are never
    /// accepted keep no other one waiting for ever.
    pub(crate) fn start(&mut self, drafts: BTreeSet<ElectionId>) -> Vec<ElectionId> {
        let after = self.last.clone().map_or(Unbounded, Excluded);
        let later = drafts.range((after, Unbounded));
        // After the last one, the first ones are next.
        let in_turn = later.chain(&drafts).filter(|law_id| !self.running.contains(*law_id));
        let room = TASKS_MAX.saturating_sub(self.running.len());
        let mut started: Vec<ElectionId> = Vec::new();
        self.has_waiting = false;
        for law_id in in_turn {
            if started.contains(law_id) {
                break;
            }
            if started.len() == room {
                self.has_waiting = true;
                break;
            }
            started.push(law_id.clone());
        }
        self.running.extend(started.iter().cloned());
        self.last = started.last().cloned().or(self.last.take());
        started
    }

    /// Records the end of a task. Returns whether drafts wait for its place.
    pub(crate) fn end(&mut self, law_id: &ElectionId) -> bool {
        self.running.remove(law_id);
        std::mem::take(&mut self.has_waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drafts(numbers: std::ops::Range<usize>) -> BTreeSet<ElectionId> {
        numbers.map(|number| format!("L{number:04}").parse().expect("a law id")).collect()
    }

    #[test]
    fn thousands_of_drafts_have_few_tasks_and_each_gets_its_turn() {
        let (mut tasks, all) = (DraftTasks::default(), drafts(0..2000));
        let mut seen = BTreeSet::new();
        let mut running = tasks.start(all.clone());
        assert_eq!(running.len(), TASKS_MAX);
        assert!(tasks.start(all.clone()).is_empty(), "there is no room");
        for _ in 0..all.len() {
            let ended = running.remove(0);
            assert!(tasks.end(&ended), "others wait");
            running.extend(tasks.start(all.clone()));
            assert_eq!(running.len(), TASKS_MAX);
            seen.insert(ended);
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn a_draft_that_runs_is_not_started_twice_and_nothing_waits_while_there_is_room() {
        let (mut tasks, few) = (DraftTasks::default(), drafts(0..3));
        assert_eq!(tasks.start(few.clone()).len(), 3);
        assert!(tasks.start(few.clone()).is_empty());
        let first = few.first().expect("one").clone();
        assert!(!tasks.end(&first));
        assert_eq!(tasks.start(few), [first]);
    }
}
