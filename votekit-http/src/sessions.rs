//! The voter's session: an opaque, encrypted cookie. The node keeps no record of it, except that it
//! was signed out.
//!
//! ```text
//! cookie   base64url( nonce 24 ‖ XChaCha20-Poly1305( session, padded to 1,024 bytes ) ‖ tag 16 )
//! keys     made hourly, kept in memory only, the last three kept: a cookie lives 2 h at the most
//! session  id, expiry, mark of the person, (law, H) not yet cast, (law, request id) cast; never
//!          NAS or code
//! ```
//!
//! H of an election leaves the session when its vote is cast, so that a stolen cookie casts nothing
//! twice. A session that was signed out is remembered until its last cookie has expired, so that a
//! copy of the cookie opens nothing. A form contains a token over the session's id, under hourly
//! keys that are kept longer.
//!
//! Each process has its own keys: behind a load balancer a voter stays with one node, or signs in
//! again at another node; the choice is kept in the form meanwhile.

mod session;

mod key_ring;

mod form_token;

mod ended_sessions;

use axum::http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use votekit_core::instant::UnixSeconds;

use self::ended_sessions::EndedSessions;
pub(crate) use self::form_token::Form;
use self::key_ring::{KeyRing, SEALED_CHARS};
pub(crate) use self::session::{RETRY_KEY_CHARS, Session};
use crate::guard::session_cookie::SessionCookie;

/// The time for which a session is valid after its last request. A cookie stays readable for two
/// hours at least, so the keys never end a session before this does.
pub(crate) const LIFETIME_SECONDS: u64 = 30 * 60;

/// The cookie of a voter.
pub(crate) const VOTER_COOKIE: SessionCookie =
    SessionCookie::new("__Host-votekit", "votekit-local", SEALED_CHARS);

/// Why a session cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SessionError {
    /// The system returned no random bytes.
    #[error("the system returned no random bytes")]
    Random,
    /// The session has no room for another election.
    #[error("the session holds as many elections as fit")]
    Full,
}

impl From<getrandom::Error> for SessionError {
    fn from(_: getrandom::Error) -> Self {
        Self::Random
    }
}

impl From<SessionError> for crate::problem::Problem {
    fn from(error: SessionError) -> Self {
        tracing::error!(event = "session_failed", %error, "voter session not created");
        Self::Internal
    }
}

/// The sessions of a node: the keys, and the base to which every cookie is bound.
pub(crate) struct Sessions {
    ring: Mutex<KeyRing>,
    /// Complete, as the keys are: no other process opens these cookies.
    ended: Mutex<EndedSessions>,
    /// The base of the node's logs: a cookie of another installation is refused.
    base: String,
    /// Whether voters reach the node over TLS.
    is_confidential: bool,
}

impl Sessions {
    /// Without keys: they are made when the first session is sealed.
    pub(crate) fn new(base: String, is_confidential: bool) -> Self {
        let (ring, ended) = (Mutex::new(KeyRing::new()), Mutex::default());
        Self { ring, ended, base, is_confidential }
    }

    /// The session of a request, if it contains a session that is valid now.
    pub(crate) fn open(&self, headers: &HeaderMap, now: UnixSeconds) -> Option<Session> {
        let sealed = VOTER_COOKIE.values(headers, self.is_confidential);
        let mut ring = self.ring.lock();
        ring.retire(now);
        sealed
            .filter_map(|value| ring.open(value, &self.base))
            .find_map(|plain| Session::decode(&plain))
            .filter(|session| session.is_valid_at(now))
            .filter(|session| !self.ended.lock().contains(session.id()))
    }

    /// The `Set-Cookie` field for a session, valid from now on for the whole lifetime.
    ///
    /// # Errors
    /// [`SessionError`].
    pub(crate) fn seal(
        &self,
        session: &mut Session,
        now: UnixSeconds,
    ) -> Result<HeaderValue, SessionError> {
        session.renew(UnixSeconds(now.0.saturating_add(LIFETIME_SECONDS)));
        let plain = session.encode()?;
        let sealed = self.ring.lock().seal(&plain, &self.base, now)?;
        Ok(VOTER_COOKIE.set(&sealed, self.is_confidential))
    }

    /// Ends the session of a request, if it contains a session that is valid now: every copy of the
    /// cookie is void from now on. Returns the `Set-Cookie` field that removes the cookie.
    pub(crate) fn end(&self, headers: &HeaderMap, now: UnixSeconds) -> HeaderValue {
        if let Some(session) = self.open(headers, now) {
            self.ended.lock().insert(session.id(), now);
        }
        VOTER_COOKIE.clear(self.is_confidential)
    }

    /// The token for a form of this session.
    ///
    /// # Errors
    /// [`SessionError::Random`].
    pub(crate) fn form_token(
        &self,
        session: &Session,
        form: &Form<'_>,
        now: UnixSeconds,
    ) -> Result<String, SessionError> {
        let mut ring = self.ring.lock();
        let key = ring.form_key(now)?;
        Ok(form_token::token(key, session.id(), form))
    }

    /// Whether a token was made for this form of this session, under a key that is still kept.
    pub(crate) fn admits(
        &self,
        session: &Session,
        form: &Form<'_>,
        token: &str,
        now: UnixSeconds,
    ) -> bool {
        let mut ring = self.ring.lock();
        ring.retire(now);
        ring.form_keys().any(|key| form_token::is_token(key, session.id(), form, token))
    }

    /// Whether voters reach the node over TLS.
    pub(crate) fn is_confidential(&self) -> bool {
        self.is_confidential
    }
}

#[cfg(test)]
#[path = "sessions_test.rs"]
mod tests;
