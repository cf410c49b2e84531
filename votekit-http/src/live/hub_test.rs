//! The hub of a node whose elections move, and of one at rest.

use std::sync::atomic::Ordering;

use tokio::time::timeout;
use votekit_node::OpenElection;

use self::support::{TestDir, create_request, law};
use super::*;

use crate::test_support as support;

/// An upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Four times the interval between two lists.
const REST_TIME: Duration = Duration::from_secs(1);

/// Waits for the list in which the customary election has a state.
async fn state(list: &mut Subscription, state: &str) {
    let wanted = format!(r#""state":"{state}""#);
    let seen = async {
        loop {
            let delivery = list.next().await.expect("it reads at once");
            if delivery.message.text(delivery.kind).contains(&wanted) {
                return;
            }
        }
    };
    timeout(WAIT_TIMEOUT, seen).await.unwrap_or_else(|_| panic!("waited for {state}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_made_when_an_election_moves_and_not_at_rest() {
    let dir = TestDir::new(3);
    let node = dir.start().await;
    let hub = LiveHub::new(node.clone());
    let running = tokio::spawn(Arc::clone(&hub).run());
    let mut list = hub.subscribe(&Topic::Elections, None).expect("a topic");
    let first = timeout(WAIT_TIMEOUT, list.next()).await.expect("in time").expect("not slow");
    assert!(first.message.text(first.kind).contains(r#""elections":[]"#));
    node.load(&dir.path("hashes"), None).await.expect("loaded");
    node.create(create_request()).await.expect("created");
    state(&mut list, "draft").await;
    node.open(&law(), OpenElection::default()).await.expect("opened");
    state(&mut list, "open").await;
    // A block may follow that changes no state.
    sleep(REST_TIME).await;
    let before = hub.lists.load(Ordering::Relaxed);
    sleep(REST_TIME).await;
    assert_eq!(hub.lists.load(Ordering::Relaxed), before, "nothing has moved");
    node.close(&law()).await.expect("closed");
    state(&mut list, "closed").await;
    running.abort();
    let _ = running.await;
    node.shutdown().await;
}
