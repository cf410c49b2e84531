//! The tasks that take part in rounds about first blocks: a few at a time, scheduled round-robin.
//!
//! A draft may never be accepted: its keys have not reached this authority, or the others refuse
//! it. No number of such drafts may block another draft. Therefore, while other drafts wait, a task
//! ends after a fixed time. The next task is for a draft that has had none yet, then for the draft
//! whose last task is the oldest. Nothing that is read from the ledger changes this order: rows of
//! other programs are not on the board, and a draft is on it only with the signature of the leader.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use votekit_core::id::ElectionId;

/// The maximum number of tasks. A lying leader can propose thousands of drafts, and each task
/// queries the ledger ten times a second.
const TASKS_MAX: usize = 16;

/// The time after which the task of a draft ends while others wait: several times the duration of a
/// round.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);

/// The elections of which this authority takes part in the round about the first block.
#[derive(Debug, Default)]
pub(crate) struct DraftTasks {
    running: BTreeSet<ElectionId>,
    /// The number of the last turn of each draft that had one.
    turns: BTreeMap<ElectionId, u64>,
    last_turn: u64,
    /// Whether drafts wait for a task to end.
    has_waiting: bool,
}

impl DraftTasks {
    /// Chooses the drafts whose tasks are to be started now.
    pub(crate) fn start(&mut self, drafts: BTreeSet<ElectionId>) -> Vec<ElectionId> {
        self.turns.retain(|law_id, _| drafts.contains(law_id) || self.running.contains(law_id));
        let mut waiting: Vec<(u64, ElectionId)> = drafts
            .into_iter()
            .filter(|law_id| !self.running.contains(law_id))
            .map(|law_id| (self.turns.get(&law_id).copied().unwrap_or(0), law_id))
            .collect();
        waiting.sort_unstable();
        let room = TASKS_MAX.saturating_sub(self.running.len());
        self.has_waiting = waiting.len() > room;
        waiting.truncate(room);
        let started: Vec<ElectionId> = waiting.into_iter().map(|(_, law_id)| law_id).collect();
        for law_id in &started {
            self.last_turn += 1;
            self.turns.insert(law_id.clone(), self.last_turn);
            self.running.insert(law_id.clone());
        }
        started
    }

    /// Whether a task that has run for this long must end, because other drafts wait.
    pub(crate) fn is_turn_over(&self, after: Duration) -> bool {
        self.has_waiting && after >= TURN_TIMEOUT
    }

    /// Records the end of a task. Returns whether drafts wait for a free task.
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
        assert!(!tasks.is_turn_over(TURN_TIMEOUT), "nothing waits");
        let first = few.first().expect("one").clone();
        assert!(!tasks.end(&first));
        assert_eq!(tasks.start(few), [first]);
    }

    #[test]
    fn drafts_that_are_never_accepted_hold_up_a_new_one_for_one_turn() {
        for stuck in [TASKS_MAX, 10 * TASKS_MAX] {
            let mut tasks = DraftTasks::default();
            let mut all = drafts(0..stuck);
            let mut running = tasks.start(all.clone());
            // All of them have run before, and run again or wait.
            for _ in 0..stuck {
                let ended = running.remove(0);
                tasks.end(&ended);
                running.extend(tasks.start(all.clone()));
            }
            // Its name is also the last in the order.
            let new: ElectionId = "Z".parse().expect("a law id");
            all.insert(new.clone());
            assert!(tasks.start(all.clone()).is_empty());
            assert!(tasks.is_turn_over(TURN_TIMEOUT) && !tasks.is_turn_over(TURN_TIMEOUT / 2));
            let ended = running.remove(0);
            assert!(tasks.end(&ended));
            assert_eq!(tasks.start(all.clone()), std::slice::from_ref(&new), "{stuck}");
            // Its next turn comes after each of the others has had one.
            running.push(new.clone());
            let mut turns = 0;
            loop {
                let ended = running.remove(0);
                tasks.end(&ended);
                let started = tasks.start(all.clone());
                turns += started.len();
                if started.contains(&new) {
                    break;
                }
                running.extend(started);
            }
            assert!(turns <= stuck + 1, "{turns} turns, {stuck} drafts");
        }
    }

    #[test]
    fn an_election_that_is_not_a_draft_any_more_is_forgotten() {
        let mut tasks = DraftTasks::default();
        let started = tasks.start(drafts(0..5));
        for law_id in &started {
            tasks.end(law_id);
        }
        assert!(tasks.start(BTreeSet::new()).is_empty());
        assert!(tasks.turns.is_empty() && !tasks.has_waiting);
    }
}
