//! The sessions that were signed out, until no cookie of theirs is valid any more.

use std::collections::{HashSet, VecDeque};

use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;

use super::LIFETIME_SECONDS;
use super::session::SessionId;

/// The maximum number of remembered sessions: a hundred sign-outs a second. Above it the oldest
/// session is forgotten.
const SESSIONS_MAX: usize = 200_000;

/// How long a session is remembered: a request that is answered while the voter signs out may have
/// renewed the cookie a little later.
const KEPT_SECONDS: u64 = LIFETIME_SECONDS + 120;

const MARK_BYTES: usize = 16;

/// Half of the digest of the id of a session. The id itself is secret, and nothing needs it here.
type Mark = [u8; MARK_BYTES];

/// The sessions that were signed out.
#[derive(Default)]
pub(super) struct EndedSessions {
    marks: HashSet<Mark>,
    /// The same marks in the order of their sign-outs, each with the time until which it is kept.
    by_time: VecDeque<(UnixSeconds, Mark)>,
}

impl EndedSessions {
    /// Remembers a session that is signed out now.
    pub(super) fn insert(&mut self, id: &SessionId, now: UnixSeconds) {
        while self.by_time.front().is_some_and(|(until, _)| *until <= now)
            || self.by_time.len() >= SESSIONS_MAX
        {
            let Some((_, forgotten)) = self.by_time.pop_front() else { break };
            self.marks.remove(&forgotten);
        }
        let mark = mark_of(id);
        if self.marks.insert(mark) {
            let until = UnixSeconds(now.0.saturating_add(KEPT_SECONDS));
            self.by_time.push_back((until, mark));
        }
    }

    /// Whether a session was signed out.
    pub(super) fn contains(&self, id: &SessionId) -> bool {
        !self.marks.is_empty() && self.marks.contains(&mark_of(id))
    }
}

fn mark_of(id: &SessionId) -> Mark {
    let digest = Digest::compute(id.as_slice());
    let mut mark = [0; MARK_BYTES];
    mark.copy_from_slice(&digest.as_bytes()[..MARK_BYTES]);
    mark
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn id(number: u64) -> SessionId {
        let mut id = Zeroizing::new([0; 16]);
        id[..8].copy_from_slice(&number.to_be_bytes());
        id
    }

    fn at(seconds: u64) -> UnixSeconds {
        UnixSeconds(1_800_000_000 + seconds)
    }

    #[test]
    fn a_session_is_remembered_until_its_last_cookie_has_expired() {
        let mut ended = EndedSessions::default();
        ended.insert(&id(1), at(0));
        ended.insert(&id(1), at(1));
        ended.insert(&id(2), at(LIFETIME_SECONDS));
        assert!(ended.contains(&id(1)) && ended.contains(&id(2)) && !ended.contains(&id(3)));
        ended.insert(&id(3), at(KEPT_SECONDS));
        assert!(!ended.contains(&id(1)) && ended.contains(&id(2)) && ended.contains(&id(3)));
        assert_eq!((ended.marks.len(), ended.by_time.len()), (2, 2));
    }

    #[test]
    fn the_number_is_bounded_and_the_oldest_gives_way() {
        let mut ended = EndedSessions::default();
        let most = SESSIONS_MAX as u64;
        for number in 0..=most {
            ended.insert(&id(number), at(0));
        }
        assert_eq!((ended.marks.len(), ended.by_time.len()), (SESSIONS_MAX, SESSIONS_MAX));
        assert!(!ended.contains(&id(0)) && ended.contains(&id(1)) && ended.contains(&id(most)));
    }
}
