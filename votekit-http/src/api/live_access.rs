//! The topics that the reader of a WebSocket may follow, according to the token of its first
//! message, the cookie of the handshake, and the results policy.
//!
//! ```text
//! elections, blocks, turnout   anyone, of elections that were opened; officials, of drafts too
//! results                      anyone, with the counts that everyone may see; under after_vote
//!                              those who have voted see the counts before the close
//! vote                         anyone: the request id is the handle
//! nodes                        administrators and auditors
//! ```
//!
//! Officials see no counts that are not everyone's.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{Extensions, HeaderMap, StatusCode};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use votekit_core::id::{ElectionId, RequestId};
use votekit_node::memory::stack_used;
use votekit_store::AccountRole;

use super::live_vote;
use super::results::is_opened_by;
use crate::accounts::{TokenHolder, TokenSession};
use crate::context::Api;
use crate::guard::officials_network::is_officials_network;
use crate::guard::same_origin::check_same_origin;
use crate::live::message::is_after_vote;
use crate::live::subscriptions::{ReaderTopic, Subscribe, Subscriptions};
use crate::live::topic::Topic;
use crate::members;
use crate::problem::Problem;
use crate::published;
use crate::sessions::Session;

/// The data about the reader in the handshake.
#[derive(Default)]
pub(crate) struct Handshake {
    /// The votes that the session of a voter has cast.
    votes_cast: Vec<(ElectionId, RequestId)>,
    /// Whether officials may work from the network of the request.
    is_from_office: bool,
}

/// A subscription that is granted.
pub(crate) struct Admitted {
    pub(crate) subscriptions: Subscriptions,
    /// The session of the reader's token, if it sent one.
    pub(crate) session: Option<HeldSession>,
}

/// The session of a reader's token.
#[derive(Clone, Copy)]
pub(crate) struct HeldSession {
    pub(crate) session: TokenSession,
    /// When the token expires.
    pub(crate) until: Instant,
}

/// Why a subscription is refused: the code and the reason of the close frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SubscribeRefusal {
    pub(crate) code: CloseCode,
    pub(crate) reason: Cow<'static, str>,
}

impl From<Problem> for SubscribeRefusal {
    fn from(problem: Problem) -> Self {
        let kind = problem.kind();
        let code = match kind.status {
            StatusCode::SERVICE_UNAVAILABLE => CloseCode::Again,
            StatusCode::INTERNAL_SERVER_ERROR => CloseCode::Error,
            _ => CloseCode::Policy,
        };
        Self { code, reason: kind.code.into() }
    }
}

impl Handshake {
    /// Reads the session of a voter, which counts only from a page of this node, and the network.
    pub(crate) fn read(api: &Api, headers: &HeaderMap, extensions: &Extensions) -> Self {
        let is_from_office = is_officials_network(extensions, api.node.config());
        if check_same_origin(headers, api.sessions.is_confidential()).is_err() {
            return Self { is_from_office, ..Self::default() };
        }
        // The session contains hashes of credentials.
        stack_used();
        let cast = |session: Session| -> Vec<_> {
            session.votes_cast().map(|(law, request)| (law.clone(), request)).collect()
        };
        let session = api.sessions.open(headers, api.now());
        Self { votes_cast: session.map(cast).unwrap_or_default(), is_from_office }
    }

    fn request_for(&self, law: &ElectionId) -> Option<RequestId> {
        self.votes_cast.iter().find(|(cast, _)| cast == law).map(|(_, request)| *request)
    }
}

/// Reads the first message of a reader, and subscribes to its topics: to all or to none.
///
/// # Errors
/// [`SubscribeRefusal`], which repeats nothing of the message.
pub(crate) async fn subscribe(
    api: &Api,
    handshake: Handshake,
    text: &str,
) -> Result<Admitted, SubscribeRefusal> {
    let Subscribe { topics, token } = Subscribe::parse(text)
        .map_err(|reason| SubscribeRefusal { code: CloseCode::Policy, reason })?;
    let holder = match token {
        Some(token) => Some(identify(api, &handshake, token.as_bytes()).await?),
        None => None,
    };
    let reader = Reader { api, handshake, holder };
    let mut subscriptions = Subscriptions::new();
    for (topic, from) in topics {
        match topic {
            ReaderTopic::Topic(topic) => reader.follow(&mut subscriptions, topic, from).await?,
            ReaderTopic::Vote(request) => {
                reader.follow_vote(&mut subscriptions, request, from).await?;
            }
        }
    }
    let session = reader.holder.as_ref();
    let session =
        session.map(|holder| HeldSession { session: holder.session, until: reader.until(holder) });
    Ok(Admitted { subscriptions, session })
}

/// Identifies the holder of a token. A token that is not valid is refused for all topics: its
/// sender expects more than the public data.
async fn identify(api: &Api, handshake: &Handshake, token: &[u8]) -> Result<TokenHolder, Problem> {
    let holder = api.accounts.holder(token).await?;
    let is_admitted = holder.caller.role == AccountRole::Voter || handshake.is_from_office;
    if is_admitted { Ok(holder) } else { Err(Problem::ForeignNetwork) }
}

/// The roles that follow the nodes of an election.
const NODE_READERS: &[AccountRole] = &[AccountRole::Administrator, AccountRole::Auditor];

/// One reader.
struct Reader<'a> {
    api: &'a Api,
    handshake: Handshake,
    holder: Option<TokenHolder>,
}

impl Reader<'_> {
    async fn follow(
        &self,
        subscriptions: &mut Subscriptions,
        topic: Topic,
        from: Option<u64>,
    ) -> Result<(), Problem> {
        if let Some(law) = topic.law_id()
            && !self.is_official()
        {
            published::election(&self.api.node, law)?;
        }
        let (topic, from, until) = match topic {
            Topic::Nodes(_) => (topic, from, Some(self.official_until()?)),
            Topic::Results(law) => match self.sees_counts(&law).await {
                // Always with a snapshot: the version may be one without the counts.
                Some(CountsAccess { until }) => (Topic::VoterResults(law), None, until),
                None => (Topic::Results(law), from, None),
            },
            topic => (topic, from, None),
        };
        let unreadable = || match topic.law_id() {
            Some(law) => self.api.unreadable(law),
            None => Problem::UnknownElection,
        };
        let subscription = self.api.live.subscribe(&topic, from).ok_or_else(unreadable)?;
        subscriptions.follow(topic, subscription, until);
        Ok(())
    }

    async fn follow_vote(
        &self,
        subscriptions: &mut Subscriptions,
        request: RequestId,
        from: Option<u64>,
    ) -> Result<(), Problem> {
        let node = &self.api.node;
        let status = node.status(request).await?.ok_or(Problem::UnknownRequest)?;
        subscriptions.follow_texts(live_vote::follow(node.clone(), request, status, from));
        Ok(())
    }

    /// Whether the reader sees drafts.
    fn is_official(&self) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.caller.role != AccountRole::Voter)
    }

    /// When the token of an official expires who sees everything that officials see.
    fn official_until(&self) -> Result<Instant, Problem> {
        let holder = self.holder.as_ref().ok_or(Problem::TokenRefused)?;
        if !NODE_READERS.contains(&holder.caller.role) {
            return Err(Problem::WrongRole { needs: NODE_READERS });
        }
        Ok(self.until(holder))
    }

    /// Whether the reader has voted, in an election that then shows the counts.
    async fn sees_counts(&self, law: &ElectionId) -> Option<CountsAccess> {
        let node = &self.api.node;
        if !node.election(law).is_some_and(|election| is_after_vote(&election.results)) {
            return None;
        }
        if let Some(request) = self.handshake.request_for(law) {
            let voter = node.voter_token(law, &request).map(|token| (request, token));
            if is_opened_by(self.api, law, voter).await {
                return Some(CountsAccess { until: None });
            }
        }
        let holder = self.holder.as_ref()?;
        let has_voted = holder.caller.role == AccountRole::Voter
            && members::has_voted(self.api, &holder.caller, law) == Some(true);
        has_voted.then(|| CountsAccess { until: Some(self.until(holder)) })
    }

    fn until(&self, holder: &TokenHolder) -> Instant {
        let left = holder.expires.millis().0.saturating_sub(self.api.node.now().0);
        Instant::now() + Duration::from_millis(left)
    }
}

/// A reader sees the counts, until its token expires; without a limit for a reader with a session,
/// because a cast vote stays cast.
struct CountsAccess {
    until: Option<Instant>,
}

#[cfg(test)]
#[path = "live_access_test.rs"]
mod tests;
