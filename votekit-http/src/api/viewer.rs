//! The viewer of a request: answers to a voter with a session and to an account differ from public
//! answers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use axum::Json;
use axum::http::HeaderValue;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, VARY};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use votekit_core::id::{ElectionId, RequestId};
use votekit_node::memory::stack_used;
use votekit_store::{AccountId, AccountRole};

use crate::accounts::Caller;
use crate::context::Api;
use crate::guard::officials_network::is_officials_network;
use crate::members;
use crate::problem::Problem;
use crate::sessions::Session;

/// The request header fields on which the data that a viewer sees depend.
pub(crate) const VARY_BY_VIEWER: &str = "Cookie, Authorization";

/// The sender of a request that reads.
pub(crate) enum Viewer {
    /// Not signed in.
    Anyone,
    /// A voter with the cookie of a session.
    Voter(Session),
    /// An official or a member with a token.
    Account(Caller),
}

impl Viewer {
    /// Identifies the viewer of a request: by the token if there is one, else by the cookie. A
    /// cookie that is not valid any more is ignored.
    ///
    /// # Errors
    /// A token that is not valid, or of an official from another network, is a [`Problem`]: its
    /// sender expects more than the public answer.
    pub(crate) async fn identify(api: &Api, head: &Parts) -> Result<Self, Problem> {
        if head.headers.contains_key(AUTHORIZATION) {
            let caller = api.accounts.bearer(&head.headers).await?;
            let is_admitted = caller.role == AccountRole::Voter
                || is_officials_network(&head.extensions, api.node.config());
            if !is_admitted {
                return Err(Problem::ForeignNetwork);
            }
            return Ok(Self::Account(caller));
        }
        // The session contains hashes of credentials.
        stack_used();
        Ok(api.sessions.open(&head.headers, api.now()).map_or(Self::Anyone, Self::Voter))
    }

    /// Whether the viewer has voted in an election: in this session, or as a member. `None` for all
    /// others, and where this node does not know it.
    pub(crate) fn has_voted(&self, api: &Api, law: &ElectionId) -> Option<bool> {
        match self {
            Self::Anyone => None,
            Self::Voter(session) => Some(session.request_for(law).is_some()),
            Self::Account(caller) if self.is_member() => members::has_voted(api, caller, law),
            Self::Account(_) => None,
        }
    }

    /// Whether the viewer is an official, who sees drafts.
    pub(crate) fn is_official(&self) -> bool {
        matches!(self, Self::Account(caller) if caller.role != AccountRole::Voter)
    }

    /// Whether the viewer is a member with an account.
    pub(crate) fn is_member(&self) -> bool {
        matches!(self, Self::Account(caller) if caller.role == AccountRole::Voter)
    }

    /// The request with which the viewer's session cast its vote in an election.
    pub(crate) fn request_for(&self, law: &ElectionId) -> Option<RequestId> {
        match self {
            Self::Voter(session) => session.request_for(law),
            _ => None,
        }
    }

    /// The e-mail addresses of those who created elections, if the viewer is an official.
    ///
    /// # Errors
    /// [`Problem`], if the accounts cannot be read.
    pub(crate) async fn creators(&self, api: &Api) -> Result<HashMap<ElectionId, String>, Problem> {
        if !self.is_official() {
            return Ok(HashMap::new());
        }
        let accounts = api.node.accounts();
        let mut emails: HashMap<AccountId, Option<String>> = HashMap::new();
        let mut creators = HashMap::new();
        for (law, id) in accounts.creators().await? {
            let email = match emails.entry(id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => {
                    let account = accounts.account(id).await?;
                    unknown.insert(account.map(|account| account.email))
                }
            };
            if let Some(email) = email {
                creators.insert(law, email.clone());
            }
        }
        Ok(creators)
    }
}

/// An answer for one viewer only: no cache keeps it.
pub(crate) fn personal(answer: &impl Serialize) -> Response {
    let mut response = Json(answer).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static(VARY_BY_VIEWER));
    response
}
