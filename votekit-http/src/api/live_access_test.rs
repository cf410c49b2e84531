//! The table reader × topic: who follows what, and how the others are refused.

use serde_json::json;
use votekit_core::instant::UnixSeconds;
use votekit_node::CreateElection;
use votekit_store::{Account, AccountId, AccountState};

use super::*;
use crate::test_support::{TestDir, create_request};

/// The topics that anyone may follow.
const PUBLIC: [&str; 4] =
    ["elections", "blocks/L2025-001", "turnout/L2025-001", "results/L2025-001"];

const NODES: &str = "nodes/L2025-001";

/// A node with an open poll.
struct Site {
    api: std::sync::Arc<Api>,
    _dir: TestDir,
}

impl Site {
    async fn open() -> Self {
        let dir = TestDir::new(3);
        Self { api: Api::new(dir.open_poll().await, b"token"), _dir: dir }
    }

    /// Adds an account with a role, and returns its id and its access token.
    async fn token_of(&self, role: AccountRole) -> (AccountId, String) {
        let account = Account {
            state: AccountState::Active,
            ..Account::new(
                AccountId([role as u8 + 1; 16]),
                format!("{role:?}@exemple.ca").to_lowercase(),
                role,
                UnixSeconds(0),
            )
        };
        self.api.node.accounts().add(std::slice::from_ref(&account)).await.expect("added");
        let pair = self.api.accounts.tokens(&account).await.expect("tokens");
        (account.id, pair.access.to_string())
    }

    /// The code and the reason with which a topic is refused.
    async fn refusal(
        &self,
        topic: &str,
        token: Option<&str>,
        is_from_office: bool,
    ) -> Option<(CloseCode, String)> {
        let handshake = Handshake { is_from_office, ..Handshake::default() };
        let text = json!({"subscribe": [topic], "token": token}).to_string();
        let refusal = subscribe(&self.api, handshake, &text).await.err()?;
        Some((refusal.code, refusal.reason.into_owned()))
    }

    async fn end(self) {
        self.api.node.clone().shutdown().await;
    }
}

fn refused(reason: &str) -> Option<(CloseCode, String)> {
    Some((CloseCode::Policy, reason.to_owned()))
}

#[tokio::test]
async fn each_topic_has_its_readers() {
    let site = Site::open().await;
    for role in [None].into_iter().chain(AccountRole::ALL.map(Some)) {
        let token = match role {
            Some(role) => Some(site.token_of(role).await.1),
            None => None,
        };
        for topic in PUBLIC {
            let refusal = site.refusal(topic, token.as_deref(), true).await;
            assert_eq!(refusal, None, "{topic} {role:?}");
        }
        let expected = match role {
            None => refused("token-refused"),
            Some(AccountRole::Administrator | AccountRole::Auditor) => None,
            Some(AccountRole::Observer | AccountRole::Voter) => refused("forbidden"),
        };
        assert_eq!(site.refusal(NODES, token.as_deref(), true).await, expected, "{role:?}");
        // From another network an official reads nothing with the token; a member does.
        let expected = match role {
            None | Some(AccountRole::Voter) => None,
            Some(_) => refused("forbidden"),
        };
        assert_eq!(site.refusal(PUBLIC[0], token.as_deref(), false).await, expected, "{role:?}");
    }
    site.end().await;
}

#[tokio::test]
async fn the_topics_of_a_draft_are_for_officials() {
    let site = Site::open().await;
    let draft = CreateElection { law_id: "L9".to_owned(), ..create_request() };
    site.api.node.create(draft).await.expect("created");
    let (_, member) = site.token_of(AccountRole::Voter).await;
    let (_, observer) = site.token_of(AccountRole::Observer).await;
    for topic in ["blocks/L9", "turnout/L9", "results/L9", "nodes/L9"] {
        for token in [None, Some(member.as_str())] {
            let refusal = site.refusal(topic, token, true).await;
            assert_eq!(refusal, refused("not-open-yet"), "{topic}");
        }
        let expected = if topic == "nodes/L9" { refused("forbidden") } else { None };
        assert_eq!(site.refusal(topic, Some(&observer), true).await, expected, "{topic}");
    }
    site.end().await;
}

#[tokio::test]
async fn a_token_that_is_not_valid_is_refused_whatever_the_topic_is() {
    let site = Site::open().await;
    let (id, token) = site.token_of(AccountRole::Auditor).await;
    for wrong in ["", "x", &token[1..], &format!("{token}x"), &format!("Bearer {token}")] {
        for topic in [PUBLIC[0], NODES] {
            let refusal = site.refusal(topic, Some(wrong), true).await;
            assert_eq!(refusal, refused("token-refused"), "{topic}");
        }
    }
    assert_eq!(site.refusal(NODES, Some(&token), true).await, None);
    let accounts = site.api.node.accounts();
    let stored = accounts.account(id).await.expect("read").expect("there");
    let disabled = Account { state: AccountState::Disabled, ..stored };
    accounts.update(&disabled).await.expect("disabled");
    assert_eq!(site.refusal(PUBLIC[0], Some(&token), true).await, refused("token-refused"));
    site.end().await;
}

#[tokio::test]
async fn a_subscription_is_to_all_of_its_topics_or_to_none() {
    let site = Site::open().await;
    for (topic, reason) in [
        ("results/L9", "unknown-election"),
        ("vote/00000000000000000000000000000000", "unknown-request"),
        (NODES, "token-refused"),
    ] {
        let text = json!({"subscribe": ["elections", topic]}).to_string();
        let refusal = subscribe(&site.api, Handshake::default(), &text).await.err();
        assert_eq!(refusal.map(|refusal| refusal.reason), Some(reason.into()));
    }
    site.end().await;
}

#[test]
fn a_refusal_has_the_code_of_its_problem() {
    for (problem, code, reason) in [
        (Problem::TokenRefused, CloseCode::Policy, "token-refused"),
        (Problem::ForeignNetwork, CloseCode::Policy, "forbidden"),
        (Problem::Unavailable, CloseCode::Again, "unavailable"),
        (Problem::Internal, CloseCode::Error, "internal"),
    ] {
        let expected = SubscribeRefusal { code, reason: reason.into() };
        assert_eq!(SubscribeRefusal::from(problem), expected);
    }
}
