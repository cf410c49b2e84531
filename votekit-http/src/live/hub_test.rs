//! The hub of a node whose elections change, and of an idle node.

use std::sync::atomic::Ordering;

use tokio::time::timeout;
use votekit_core::election::ResultsPolicy;
use votekit_node::{CreateElection, OpenElection};

use self::support::{TestDir, create_request, law, vote};
use super::*;

use crate::test_support as support;

/// An upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Four times the interval between two lists.
const REST_TIME: Duration = Duration::from_secs(1);

/// Waits for a message with this text.
async fn seen(reader: &mut Subscription, wanted: &str) -> String {
    let seen = async {
        loop {
            let delivery = reader.next().await.expect("it reads at once");
            let text = delivery.message.text(delivery.kind);
            if text.contains(wanted) {
                return text.to_string();
            }
        }
    };
    timeout(WAIT_TIMEOUT, seen).await.unwrap_or_else(|_| panic!("waited for {wanted}"))
}

/// Waits for the list in which the customary election has a state.
async fn state(list: &mut Subscription, state: &str) {
    seen(list, &format!(r#""state":"{state}""#)).await;
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
    // A draft is for officials.
    assert!(timeout(REST_TIME, list.next()).await.is_err(), "nothing is new");
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

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_has_the_state_at_the_time_of_subscription() {
    let dir = TestDir::new(3);
    let node = dir.start().await;
    let hub = LiveHub::new(node.clone());
    let running = tokio::spawn(Arc::clone(&hub).run());
    node.load(&dir.path("hashes"), None).await.expect("loaded");
    node.create(create_request()).await.expect("created");
    let topics = [Topic::Turnout(law()), Topic::Results(law())];
    for topic in &topics {
        // The next message is then delayed.
        let mut early = hub.subscribe(topic, None).expect("a topic");
        state(&mut early, "draft").await;
    }
    node.open(&law(), OpenElection::default()).await.expect("opened");
    for from in [None, Some(0)] {
        for topic in &topics {
            let mut reader = hub.subscribe(topic, from).expect("a topic");
            let first = timeout(WAIT_TIMEOUT, reader.next()).await.expect("due").expect("quick");
            let text = first.message.text(first.kind);
            assert!(text.contains(r#""state":"open""#), "{text}");
        }
    }
    running.abort();
    let _ = running.await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_read_while_they_are_followed_and_not_otherwise() {
    let dir = TestDir::new(3);
    let node = dir.open_poll().await;
    let hub = LiveHub::new(node.clone());
    let running = tokio::spawn(Arc::clone(&hub).run());
    sleep(REST_TIME).await;
    assert_eq!(hub.node_lists.load(Ordering::Relaxed), 0, "no one follows them");
    let topic = Topic::Nodes(law());
    assert!(hub.subscribe(&Topic::Nodes("L9".parse().expect("a law id")), None).is_none());
    let mut reader = hub.subscribe(&topic, None).expect("a topic");
    let first = timeout(WAIT_TIMEOUT, reader.next()).await.expect("in time").expect("not slow");
    let text = first.message.text(first.kind);
    assert!(text.starts_with(r#"{"topic":"nodes/L2025-001","event":"snapshot","#), "{text}");
    assert!(text.contains(r#""answering":true"#), "{text}");
    // A reader that returns with the version has the list already; a batch in the log is a change.
    let mut again = hub.subscribe(&topic, Some(first.message.version)).expect("a topic");
    assert!(timeout(REST_TIME, again.next()).await.is_err(), "nothing is new");
    node.submit(&vote(1, "oui"), None, None).await.expect("taken");
    for reader in [&mut reader, &mut again] {
        seen(reader, r#""event":"update""#).await;
    }
    drop((reader, again));
    sleep(2 * REST_TIME).await;
    let before = hub.node_lists.load(Ordering::Relaxed);
    sleep(2 * REST_TIME).await;
    assert_eq!(hub.node_lists.load(Ordering::Relaxed), before, "no one follows them any more");
    // Changes in the meantime are in the first message of the next reader.
    node.close(&law()).await.expect("closed");
    let mut late = hub.subscribe(&topic, None).expect("a topic");
    let first = timeout(WAIT_TIMEOUT, late.next()).await.expect("in time").expect("not slow");
    let text = first.message.text(first.kind);
    assert!(text.contains(r#""ended":true"#), "{text}");
    running.abort();
    let _ = running.await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn voters_read_other_results_than_the_public_before_the_close() {
    let dir = TestDir::new(3);
    let node = dir.start().await;
    node.load(&dir.path("hashes"), None).await.expect("loaded");
    let results = Some(ResultsPolicy::AfterVote);
    node.create(CreateElection { results, ..create_request() }).await.expect("created");
    node.open(&law(), OpenElection::default()).await.expect("opened");
    let hub = LiveHub::new(node.clone());
    let running = tokio::spawn(Arc::clone(&hub).run());
    let [mut voter, mut reader] = [Topic::VoterResults(law()), Topic::Results(law())]
        .map(|topic| hub.subscribe(&topic, None).expect("a topic"));
    node.submit(&vote(1, "oui"), None, None).await.expect("taken");
    seen(&mut voter, r#""accepted":1,"duplicate":0,"invalid":0,"registered":3,"counts":[{"#).await;
    seen(&mut reader, r#""accepted":1,"duplicate":0,"invalid":0,"registered":3,"counts":null"#)
        .await;
    node.close(&law()).await.expect("closed");
    for reader in [&mut voter, &mut reader] {
        let closed = seen(reader, r#""state":"closed""#).await;
        assert!(closed.contains(r#""counts":[{"id":"oui","count":1}"#), "{closed}");
    }
    running.abort();
    let _ = running.await;
    node.shutdown().await;
}
