//! The keys of one node and of its neighbours, on the store of a real node.

use std::time::Duration;

use tokio::time::timeout;
use votekit_node::Node;
use votekit_node::config::Config;
use votekit_node::data_folder::DataFolder;
use votekit_store::{AccountId, AccountRole};

use super::*;

const ISSUER: &str = "vote.example";
const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const GRANT: Grant = Grant {
    account: AccountId([7; 16]),
    role: AccountRole::Observer,
    session: Digest::from_bytes([8; 32]),
};

/// The id of no key.
const INVENTED: &str = "00112233445566778899aabbccddeeff";

async fn node() -> (tempfile::TempDir, Node) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = DataFolder::open(folder.path(), None).expect("a data folder");
    (folder, Node::start(data, Config::default()).await.expect("a node"))
}

fn code(verified: Result<ValidToken, Problem>) -> Result<Grant, &'static str> {
    verified.map(|valid| valid.grant).map_err(|problem| problem.kind().code)
}

#[tokio::test]
async fn a_key_is_published_before_its_first_token_and_replaced_before_it_expires() {
    let (_folder, node) = node().await;
    let keys = TokenKeys::new(Arc::clone(node.accounts()));
    assert!(node.accounts().token_keys(NOW).await.expect("read").is_empty());
    let token = keys.sign(ISSUER, GRANT, NOW).await.expect("signed");
    assert_eq!(code(keys.verify(token.as_bytes(), ISSUER, NOW).await), Ok(GRANT));
    let published = node.accounts().token_keys(NOW).await.expect("read");
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].expires, UnixSeconds(NOW.0 + PUBLISHED_SECONDS));

    let last = UnixSeconds(NOW.0 + SIGNING_SECONDS - 1);
    let late = keys.sign(ISSUER, GRANT, last).await.expect("signed");
    let end = UnixSeconds(last.0 + LIFETIME_SECONDS - 1);
    assert_eq!(code(keys.verify(late.as_bytes(), ISSUER, end).await), Ok(GRANT), "to its end");
    let next = UnixSeconds(NOW.0 + SIGNING_SECONDS);
    let token = keys.sign(ISSUER, GRANT, next).await.expect("signed");
    assert_eq!(code(keys.verify(token.as_bytes(), ISSUER, next).await), Ok(GRANT));
    let published = node.accounts().token_keys(next).await.expect("read");
    assert_eq!(published.len(), 2, "the earlier one still verifies its last tokens");
    node.shutdown().await;
}

#[tokio::test]
async fn tokens_of_other_nodes_are_verified_by_their_published_keys() {
    let (_folder, node) = node().await;
    let [one, other] = [(); 2].map(|()| TokenKeys::new(Arc::clone(node.accounts())));
    let token = other.sign(ISSUER, GRANT, NOW).await.expect("signed");
    assert_eq!(code(one.verify(token.as_bytes(), ISSUER, NOW).await), Ok(GRANT));

    // The first token of a fresh key is not refused, although the keys were read a moment ago and
    // another id was invented.
    let invented = token::sign(&SigningKey::from_bytes(&[9; 32]), INVENTED, ISSUER, GRANT, NOW);
    assert_eq!(code(one.verify(invented.as_bytes(), ISSUER, NOW).await), Err("token-refused"));
    let stranger = TokenKeys::new(Arc::clone(node.accounts()));
    let token = stranger.sign(ISSUER, GRANT, NOW).await.expect("signed");
    let verified = timeout(Duration::from_secs(1), one.verify(token.as_bytes(), ISSUER, NOW)).await;
    assert_eq!(code(verified.expect("within a second")), Ok(GRANT));

    let expired = UnixSeconds(NOW.0 + PUBLISHED_SECONDS);
    assert!(one.find(&published_id(&node).await, NOW).is_some());
    assert!(one.find(&published_id(&node).await, expired).is_none());
    node.shutdown().await;
}

async fn published_id(node: &Node) -> String {
    node.accounts().token_keys(NOW).await.expect("read").swap_remove(0).id
}

#[tokio::test]
async fn a_token_of_no_published_key_is_refused() {
    let (_folder, node) = node().await;
    let keys = TokenKeys::new(Arc::clone(node.accounts()));
    let own = keys.sign(ISSUER, GRANT, NOW).await.expect("signed");
    let stranger = SigningKey::from_bytes(&[9; 32]);
    let own_id = published_id(&node).await;
    for kid in [INVENTED, "unknown", "", &own_id.to_uppercase(), &own_id] {
        let token = token::sign(&stranger, kid, ISSUER, GRANT, NOW);
        let verified = keys.verify(token.as_bytes(), ISSUER, NOW).await;
        assert_eq!(code(verified), Err("token-refused"), "{kid}");
    }
    assert_eq!(code(keys.verify(own.as_bytes(), "other.example", NOW).await), Err("token-refused"));
    node.shutdown().await;
}
