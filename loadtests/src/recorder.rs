//! The measurements of one thread. Recorders are merged at the end: threads share no measurement
//! state during the run.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::answer::{NodeAnswer, ProblemCode, VoteState};
use crate::ballot_mix::BallotKind;
use crate::http_client::ExchangeError;
use crate::journal::UNSENT;

/// A histogram of microseconds from 1 µs to 1 hour with 3 significant digits.
pub(crate) fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("the bounds are valid")
}

/// Records a time. Values above the histogram's maximum count as the maximum.
pub(crate) fn record_us(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
}

/// Intended, actual and end time of one vote, from the start of the run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VoteTimes {
    pub(crate) intended: Duration,
    pub(crate) sent: Duration,
    pub(crate) ended: Duration,
}

/// The end of a vote.
#[derive(Debug)]
pub(crate) enum VoteEnd {
    /// It was sent, with an answer or an error.
    Sent(Result<NodeAnswer, ExchangeError>),
    /// No connection was free before the run ended.
    Unsent,
}

impl VoteEnd {
    /// The answer, if there is one.
    pub(crate) fn answer(&self) -> Option<&NodeAnswer> {
        match self {
            Self::Sent(answer) => answer.as_ref().ok(),
            Self::Unsent => None,
        }
    }

    /// The error's name; `None` for an answer.
    pub(crate) fn error_name(&self) -> Option<&'static str> {
        match self {
            Self::Sent(answer) => answer.as_ref().err().map(|error| error.name()),
            Self::Unsent => Some(UNSENT),
        }
    }

    fn failure(&self) -> Option<FailureKind> {
        match self {
            Self::Sent(answer) => FailureKind::from_answer(answer),
            Self::Unsent => Some(FailureKind { kind: UNSENT, status: None, code: None }),
        }
    }
}

/// A kind of failure: no answer, or an answer that does not confirm that the vote is stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FailureKind {
    /// `connect`, `timeout`, `closed`, `malformed`, `unsent`, or `http` for an answer other than
    /// 202 or 200.
    pub kind: &'static str,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The problem's stable code.
    pub code: Option<ProblemCode>,
}

/// One second of the run, by intended send time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SecondRow {
    /// The second, from 0.
    pub second: u64,
    /// Votes intended to be sent in this second.
    pub votes: u64,
    /// Votes taken: answered 202, or 200 once decided.
    pub taken: u64,
    /// Votes not taken.
    pub failed: u64,
    /// The longest time to the answer of a taken vote, in microseconds.
    pub to_taken_us_max: u64,
}

/// Counts and histograms of one thread, or of all after merging.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) kinds: BTreeMap<BallotKind, u64>,
    pub(crate) by_status: BTreeMap<u16, u64>,
    pub(crate) failures: BTreeMap<FailureKind, u64>,
    pub(crate) answer_states: BTreeMap<VoteState, u64>,
    pub(crate) decisions: BTreeMap<VoteState, u64>,
    pub(crate) follows: u64,
    pub(crate) follows_skipped: u64,
    pub(crate) unresolved: u64,
    pub(crate) seconds: Vec<SecondRow>,
    pub(crate) to_taken: Histogram<u64>,
    pub(crate) to_end: Histogram<u64>,
    pub(crate) service: Histogram<u64>,
    pub(crate) send_lag: Histogram<u64>,
    pub(crate) to_decision: Histogram<u64>,
    pub(crate) last_end: Duration,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            kinds: BTreeMap::new(),
            by_status: BTreeMap::new(),
            failures: BTreeMap::new(),
            answer_states: BTreeMap::new(),
            decisions: BTreeMap::new(),
            follows: 0,
            follows_skipped: 0,
            unresolved: 0,
            seconds: Vec::new(),
            to_taken: new_histogram(),
            to_end: new_histogram(),
            service: new_histogram(),
            send_lag: new_histogram(),
            to_decision: new_histogram(),
            last_end: Duration::ZERO,
        }
    }
}

impl Recorder {
    /// Maximum number of failure kinds with a code; beyond it codes are dropped, so that a server
    /// that invents codes cannot fill the memory.
    const FAILURE_KINDS_MAX: usize = 100;

    /// Records one vote.
    pub(crate) fn record(&mut self, kind: BallotKind, times: VoteTimes, end: &VoteEnd) {
        *self.kinds.entry(kind).or_default() += 1;
        self.last_end = self.last_end.max(times.ended);
        let latency = times.ended.saturating_sub(times.intended);
        record_us(&mut self.to_end, latency);
        if !matches!(end, VoteEnd::Unsent) {
            record_us(&mut self.send_lag, times.sent.saturating_sub(times.intended));
        }
        if let Some(answer) = end.answer() {
            *self.by_status.entry(answer.status).or_default() += 1;
        }
        let failure = end.failure();
        if failure.is_none() {
            record_us(&mut self.to_taken, latency);
            record_us(&mut self.service, times.ended.saturating_sub(times.sent));
            self.record_state(end, latency);
        }
        self.record_second(times.intended, failure.is_none().then_some(latency));
        if let Some(failure) = failure {
            self.record_failure(failure);
        }
    }

    /// Records the decision of a followed vote.
    pub(crate) fn record_decision(&mut self, state: VoteState, latency: Duration) {
        *self.decisions.entry(state).or_default() += 1;
        record_us(&mut self.to_decision, latency);
    }

    fn record_state(&mut self, end: &VoteEnd, latency: Duration) {
        let Some(state) = end.answer().and_then(|answer| answer.state) else { return };
        *self.answer_states.entry(state).or_default() += 1;
        if state != VoteState::Pending {
            self.record_decision(state, latency);
        }
    }

    fn record_second(&mut self, intended: Duration, latency: Option<Duration>) {
        let second = intended.as_secs();
        while self.seconds.len() as u64 <= second {
            self.seconds
                .push(SecondRow { second: self.seconds.len() as u64, ..SecondRow::default() });
        }
        let row = &mut self.seconds[second as usize];
        row.votes += 1;
        match latency {
            Some(latency) => {
                row.taken += 1;
                row.to_taken_us_max =
                    row.to_taken_us_max.max(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
            }
            None => row.failed += 1,
        }
    }

    fn record_failure(&mut self, mut failure: FailureKind) {
        if self.failures.len() >= Self::FAILURE_KINDS_MAX && !self.failures.contains_key(&failure) {
            failure.code = None;
        }
        *self.failures.entry(failure).or_default() += 1;
    }

    /// Adds the measurements of another thread.
    pub(crate) fn merge(&mut self, other: Self) {
        merge_counts(&mut self.kinds, other.kinds);
        merge_counts(&mut self.by_status, other.by_status);
        merge_counts(&mut self.failures, other.failures);
        merge_counts(&mut self.answer_states, other.answer_states);
        merge_counts(&mut self.decisions, other.decisions);
        self.follows += other.follows;
        self.follows_skipped += other.follows_skipped;
        self.unresolved += other.unresolved;
        self.last_end = self.last_end.max(other.last_end);
        for (mine, theirs) in [
            (&mut self.to_taken, &other.to_taken),
            (&mut self.to_end, &other.to_end),
            (&mut self.service, &other.service),
            (&mut self.send_lag, &other.send_lag),
            (&mut self.to_decision, &other.to_decision),
        ] {
            mine.add(theirs).expect("all histograms have the same bounds");
        }
        for row in other.seconds {
            while self.seconds.len() as u64 <= row.second {
                self.seconds
                    .push(SecondRow { second: self.seconds.len() as u64, ..SecondRow::default() });
            }
            let mine = &mut self.seconds[row.second as usize];
            mine.votes += row.votes;
            mine.taken += row.taken;
            mine.failed += row.failed;
            mine.to_taken_us_max = mine.to_taken_us_max.max(row.to_taken_us_max);
        }
    }
}

fn merge_counts<K: Ord>(mine: &mut BTreeMap<K, u64>, theirs: BTreeMap<K, u64>) {
    for (key, count) in theirs {
        *mine.entry(key).or_default() += count;
    }
}

impl FailureKind {
    /// Classifies an answer. A vote is taken if its answer is 202, or 200 if it was decided while
    /// the answer waited (`Prefer: wait`), with a request id. Anything else is a failure.
    pub(crate) fn from_answer(answer: &Result<NodeAnswer, ExchangeError>) -> Option<Self> {
        let (kind, status, code) = match answer {
            Ok(answer) if taken(answer.status) && answer.request_id.is_some() => return None,
            Ok(answer) if taken(answer.status) => {
                (ExchangeError::Malformed.name(), Some(answer.status), None)
            }
            Ok(answer) => ("http", Some(answer.status), answer.code.clone()),
            Err(error) => (error.name(), None, None),
        };
        Some(Self { kind, status, code })
    }
}

/// Whether a status confirms that a vote is stored.
pub(crate) fn taken(status: u16) -> bool {
    matches!(status, 200 | 202)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(intended_ms: u64, sent_ms: u64, ended_ms: u64) -> VoteTimes {
        let [intended, sent, ended] = [intended_ms, sent_ms, ended_ms].map(Duration::from_millis);
        VoteTimes { intended, sent, ended }
    }

    fn answer(status: u16, body: &str) -> VoteEnd {
        VoteEnd::Sent(Ok(NodeAnswer::parse(status, body.as_bytes())))
    }

    const PENDING: &str = r#"{"request_id":"000102030405060708090a0b0c0d0e0f","status":"pending"}"#;

    #[test]
    fn time_counts_from_the_intended_send() {
        let mut recorder = Recorder::default();
        recorder.record(BallotKind::First, times(1_000, 3_000, 3_010), &answer(202, PENDING));
        assert!(
            (2_005_000..=2_015_000).contains(&recorder.to_taken.max()),
            "{}",
            recorder.to_taken.max()
        );
        assert!((9_900..=10_100).contains(&recorder.service.max()));
        assert!((1_990_000..=2_010_000).contains(&recorder.send_lag.max()));
        assert_eq!(recorder.seconds[1].taken, 1);
    }

    #[test]
    fn failures_are_distinguished_and_bounded() {
        let mut recorder = Recorder::default();
        for number in 0..500 {
            recorder.record(
                BallotKind::First,
                times(0, 0, 1),
                &answer(400, &format!("{{\"code\":\"made-up-{number}\"}}")),
            );
        }
        recorder.record(
            BallotKind::Unknown,
            times(0, 0, 1),
            &VoteEnd::Sent(Err(ExchangeError::Timeout)),
        );
        recorder.record(BallotKind::Unknown, times(0, 0, 1), &answer(202, "{}"));
        assert!(
            recorder.failures.len() <= Recorder::FAILURE_KINDS_MAX + 3,
            "{}",
            recorder.failures.len()
        );
        assert_eq!(recorder.failures.values().sum::<u64>(), 502);
        assert!(
            recorder
                .failures
                .keys()
                .any(|failure| failure.kind == "malformed" && failure.status == Some(202))
        );
        assert_eq!(recorder.to_taken.len(), 0);
    }

    #[test]
    fn merging_adds_up() {
        let mut merged = Recorder::default();
        for second in [0, 5] {
            let mut recorder = Recorder::default();
            recorder.record(
                BallotKind::First,
                times(second * 1_000, second * 1_000, second * 1_000 + 1),
                &answer(202, PENDING),
            );
            merged.merge(recorder);
        }
        assert_eq!(
            (merged.to_taken.len(), merged.seconds.len(), merged.seconds[5].votes),
            (2, 6, 1)
        );
        assert_eq!(merged.answer_states[&VoteState::Pending], 2);
    }
}
