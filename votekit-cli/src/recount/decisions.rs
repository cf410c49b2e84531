//! Makes every decision again, once all envelopes are known: each request is decided once, and its
//! later copies are replays or clashes; each credential is accepted once, and its attempts are
//! counted.
//!
//! Uses 48 bytes per envelope, sorted twice. Credentials are compared by the first 16 bytes of
//! their registry keys.

use super::Difference;
use super::line::LogDecision;
use super::rolls::{CredentialStatus, Key, Rolls, StatusHistory};

/// One envelope, and the log's decision on it.
struct Decided {
    request: [u8; 16],
    key: Key,
    line: u32,
    decision: LogDecision,
    /// `None` if it does not decrypt.
    choice: Option<u16>,
}

/// The envelopes so far, in log order.
#[derive(Default)]
pub(super) struct Decisions(Vec<Decided>);

impl Decisions {
    pub(super) fn push(
        &mut self,
        line: u64,
        request: [u8; 16],
        key: Key,
        decision: LogDecision,
        choice: Option<u16>,
    ) {
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        self.0.push(Decided { request, key, line, decision, choice });
    }

    /// Returns the decisions that do not follow from the envelopes and the rolls, and whether the
    /// rolls were available.
    pub(super) fn check(mut self, rolls: Rolls) -> (Vec<Difference>, bool) {
        let mut found = Vec::new();
        self.0.sort_unstable_by_key(|decided| (decided.request, decided.line));
        for copies in self.0.chunk_by(|one, next| one.request == next.request) {
            check_request(copies, &mut found);
        }
        // Replays and clashes are not attempts of a credential.
        self.0.retain(|decided| {
            !matches!(decided.decision, LogDecision::Replay | LogDecision::Clash)
        });
        self.0.sort_unstable_by_key(|decided| (decided.key, decided.line));
        let statuses = rolls.apply(|key| self.line_of_accepted(key));
        for attempts in self.0.chunk_by(|one, next| one.key == next.key) {
            check_credential(attempts, statuses.as_ref(), &mut found);
        }
        found.sort_by_key(Difference::line);
        (found, statuses.is_some())
    }

    /// Line of the first accepted vote of a credential. The envelopes must be sorted by key and
    /// line.
    fn line_of_accepted(&self, key: &Key) -> Option<u32> {
        let first = self.0.partition_point(|decided| decided.key < *key);
        let mut attempts = self.0[first..].iter().take_while(|decided| decided.key == *key);
        attempts.find(|decided| decided.decision == LogDecision::Accepted).map(|vote| vote.line)
    }
}

/// Checks the copies of a request: the first copy is decided; a later copy is a replay, or with
/// another credential a clash.
fn check_request(copies: &[Decided], found: &mut Vec<Difference>) {
    let [first, others @ ..] = copies else { return };
    let mut differs = |line: u32, what: &str| {
        found.push(Difference::Decision { line: line.into(), what: what.to_owned() });
    };
    if matches!(first.decision, LogDecision::Replay | LogDecision::Clash) {
        differs(first.line, "the request was not decided before");
    }
    for copy in others {
        let expected = if copy.key == first.key { LogDecision::Replay } else { LogDecision::Clash };
        if copy.decision != expected {
            let what = if expected == LogDecision::Replay {
                "the request was decided before: this is a replay"
            } else {
                "the request was decided before for another credential: this is a clash"
            };
            differs(copy.line, what);
        } else if expected == LogDecision::Replay
            && copy.choice.zip(first.choice).is_some_and(|(one, other)| one != other)
        {
            differs(copy.line, "the replay carries another choice than the first copy");
        }
    }
}

/// Checks the attempts of a credential: the first vote in time of a registered credential is
/// accepted; later ones are duplicates, each with its attempt number. A credential that has voted
/// cannot be revoked. Without the rolls, the log is trusted on which credentials were not
/// registered.
fn check_credential(
    attempts: &[Decided],
    statuses: Option<&StatusHistory>,
    found: &mut Vec<Difference>,
) {
    let mut count = 0_u32;
    for attempt in attempts {
        let standing = statuses.map(|statuses| statuses.at(&attempt.key, attempt.line));
        let expected = match (count, attempt.decision, standing) {
            (_, LogDecision::Early | LogDecision::Late, _)
            | (0, LogDecision::Unknown | LogDecision::Revoked, None) => continue,
            (0, _, Some(CredentialStatus::Unknown)) => LogDecision::Unknown,
            (0, _, Some(CredentialStatus::Revoked)) => LogDecision::Revoked,
            (0, ..) => LogDecision::Accepted,
            (count, ..) => LogDecision::Duplicate { attempt: (count + 1).min(ATTEMPTS_MAX) },
        };
        if attempt.decision != expected {
            let what = match expected {
                LogDecision::Unknown => "no roll holds the credential".to_owned(),
                LogDecision::Revoked => "the credential was revoked before".to_owned(),
                LogDecision::Accepted => "the credential votes for the first time here".to_owned(),
                _ => format!("the credential has voted before: this is attempt {}", count + 1),
            };
            found.push(Difference::Decision { line: attempt.line.into(), what });
        }
        if matches!(expected, LogDecision::Accepted | LogDecision::Duplicate { .. }) {
            count = (count + 1).min(ATTEMPTS_MAX);
        }
    }
}

/// The attempt number saturates here (`docs/formats.md`, section 6).
const ATTEMPTS_MAX: u32 = (1 << 30) - 1;
