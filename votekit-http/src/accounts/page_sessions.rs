//! Sessions of the pages for officials and members: a cookie with an opaque token. Unlike those of
//! voters they are stored, so that every node knows them and a disabled account loses them at once.

use axum::http::{HeaderMap, HeaderValue};
use votekit_core::id::Digest;
use votekit_store::{Account, SessionKind};

use super::caller::Caller;
use super::faults::store_failed;
use super::opaque;
use super::service::{AccountService, SessionTimes};
use crate::guard::session_cookie::SessionCookie;
use crate::problem::Problem;

const PAGE_TIMES: SessionTimes = SessionTimes { idle: 30 * 60, all: 12 * 3600 };

const ACCOUNT_COOKIE: SessionCookie =
    SessionCookie::new("__Host-votekit-account", "votekit-account-local", opaque::CHARS);

impl AccountService {
    /// Begins a session of an account that has signed in: the `Set-Cookie` field.
    ///
    /// # Errors
    /// The store is not available.
    pub(crate) async fn begin_page_session(
        &self,
        account: &Account,
    ) -> Result<HeaderValue, Problem> {
        let token = opaque::draw()?;
        let digest = Digest::compute(token.as_bytes());
        self.begin_session(digest, account.id, SessionKind::Pages, PAGE_TIMES).await?;
        Ok(ACCOUNT_COOKIE.set(&token, self.is_confidential))
    }

    /// The caller behind the cookie of a request; `None` without a session that is valid now.
    ///
    /// # Errors
    /// The store is not available.
    pub(crate) async fn page_session(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<Caller>, Problem> {
        for token in ACCOUNT_COOKIE.values(headers, self.is_confidential) {
            let Some(digest) = opaque::digest_of(token) else { continue };
            let now = self.now();
            let used = self.store.use_session(&digest, now, PAGE_TIMES.idle_until(now)).await;
            let Some(id) = used.map_err(store_failed)? else { continue };
            if let Some(account) = self.active(id).await? {
                return Ok(Some(Caller::with_session(account, token)));
            }
        }
        Ok(None)
    }

    /// Ends the session of a request: the `Set-Cookie` field that removes the cookie.
    ///
    /// # Errors
    /// The store is not available.
    pub(crate) async fn end_page_session(
        &self,
        headers: &HeaderMap,
    ) -> Result<HeaderValue, Problem> {
        for token in ACCOUNT_COOKIE.values(headers, self.is_confidential) {
            if let Some(digest) = opaque::digest_of(token) {
                self.store.end_session(&digest).await.map_err(store_failed)?;
            }
        }
        Ok(ACCOUNT_COOKIE.clear(self.is_confidential))
    }
}

#[cfg(test)]
#[path = "page_sessions_test.rs"]
mod tests;
