//! The batch that a leader has to seal next, and the time for which it has been due; and the round
//! that the leader has left open. Pure; used by the watch of a follower.

use std::time::{Duration, Instant};

use votekit_core::authority::{SuspectReason, TermLeader};
use votekit_core::id::BatchNumber;

/// How long a leader may leave out a batch that could be sealed.
const LEFT_OUT_MAX: Duration = Duration::from_secs(10);

/// How long the round about a block of one leadership may be open. A leader that finds no quorum
/// steps down after half of this time. A lying leader may not, and its block may make the others
/// wait for an input: a batch that does not exist, a minute of another clock.
const ROUND_OPEN_MAX: Duration = Duration::from_secs(30);

/// The observations of this authority about its leader.
#[derive(Debug, Default)]
pub(crate) struct LeaderWatch {
    due: Option<DueBatch>,
    round: Option<OpenRound>,
    /// The last term whose leader is suspected of sealing too little.
    suspected: u64,
}

/// The first batch that could be sealed, the time since when, and the height of the log then.
#[derive(Debug)]
struct DueBatch {
    number: BatchNumber,
    leadership: TermLeader,
    since: Instant,
    height: u64,
}

/// The round of a leadership at a height, and when it was first seen.
#[derive(Debug)]
struct OpenRound {
    leadership: TermLeader,
    height: u64,
    since: Instant,
}

impl LeaderWatch {
    /// Records that a block of a leadership is proposed above a height and not in the log. Returns
    /// the reason to suspect its leader, once a term.
    pub(crate) fn note_round(
        &mut self,
        leadership: TermLeader,
        height: u64,
    ) -> Option<SuspectReason> {
        self.due = None;
        let known = self.round.take();
        if self.suspected >= leadership.term {
            return None;
        }
        let is_same = |round: &OpenRound| round.leadership == leadership && round.height == height;
        let since = known.filter(is_same).map_or_else(Instant::now, |round| round.since);
        let term = leadership.term;
        self.round = Some(OpenRound { leadership, height, since });
        if since.elapsed() < ROUND_OPEN_MAX {
            return None;
        }
        self.suspected = term;
        Some(SuspectReason::Idle)
    }

    /// Records the batch that is due under a leadership. Returns the reason to suspect its leader,
    /// once a term.
    pub(crate) fn note(
        &mut self,
        number: Option<BatchNumber>,
        leadership: TermLeader,
        height: u64,
    ) -> Option<SuspectReason> {
        self.round = None;
        // If no batch is due, nothing is recorded: the next batch gets the full time.
        let known = self.due.take();
        let number = number.filter(|_| self.suspected < leadership.term)?;
        let known = known.filter(|due| due.number == number && due.leadership == leadership);
        let since = known.as_ref().map_or_else(Instant::now, |due| due.since);
        let first_height = known.map_or(height, |due| due.height);
        let term = leadership.term;
        self.due = Some(DueBatch { number, leadership, since, height: first_height });
        if since.elapsed() < LEFT_OUT_MAX {
            return None;
        }
        self.suspected = term;
        Some(if height > first_height { SuspectReason::LeftOut } else { SuspectReason::Idle })
    }
}

#[cfg(test)]
mod tests {
    use votekit_core::id::{Epoch, NodeId, Sequence};

    use super::*;

    #[test]
    fn a_leader_is_suspected_once_a_term_and_by_what_it_did_meanwhile() {
        let node = NodeId::from_bytes([1; 8]);
        let number = |sequence| BatchNumber { node, epoch: Epoch(1), sequence: Sequence(sequence) };
        let led = |term| TermLeader { term, leader: "a1".parse().expect("a name") };
        let mut watch = LeaderWatch::default();
        let age = |watch: &mut LeaderWatch| {
            let due = watch.due.as_mut().expect("a due batch");
            due.since = due.since.checked_sub(LEFT_OUT_MAX).expect("an uptime of ten seconds");
        };
        assert_eq!(watch.note(Some(number(1)), led(1), 5), None);
        age(&mut watch);
        assert_eq!(watch.note(Some(number(2)), led(1), 6), None, "another batch is due");
        age(&mut watch);
        assert_eq!(watch.note(Some(number(2)), led(1), 9), Some(SuspectReason::LeftOut));
        assert_eq!(watch.note(Some(number(2)), led(1), 9), None, "once a term");
        assert_eq!(watch.note(Some(number(2)), led(2), 9), None, "a new leader has time");
        age(&mut watch);
        assert_eq!(watch.note(Some(number(2)), led(2), 9), Some(SuspectReason::Idle));
    }

    #[test]
    fn a_leader_is_suspected_whose_round_stays_open() {
        let led = |term| TermLeader { term, leader: "a1".parse().expect("a name") };
        let mut watch = LeaderWatch::default();
        let age = |watch: &mut LeaderWatch| {
            let round = watch.round.as_mut().expect("an open round");
            round.since = round.since.checked_sub(ROUND_OPEN_MAX).expect("an uptime of a minute");
        };
        assert_eq!(watch.note_round(led(1), 5), None);
        age(&mut watch);
        assert_eq!(watch.note_round(led(1), 6), None, "the block before is in the log");
        age(&mut watch);
        assert_eq!(watch.note(None, led(1), 6), None);
        assert_eq!(watch.note_round(led(1), 6), None, "it was not open meanwhile");
        age(&mut watch);
        assert_eq!(watch.note_round(led(2), 6), None, "a new leader has time");
        age(&mut watch);
        assert_eq!(watch.note_round(led(2), 6), Some(SuspectReason::Idle));
        assert_eq!(watch.note_round(led(2), 6), None, "once a term");
    }
}
