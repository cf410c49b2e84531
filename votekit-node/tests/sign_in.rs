//! A voter signs in, then casts the vote: recognised or not, the throttle, and the vote.

mod support;

use std::time::Duration;

use support::{LAW, TestDir, credential, law, vote};
use votekit_core::credential::Credential;
use votekit_core::decision::Decision;
use votekit_core::id::RequestId;
use votekit_node::config::Config;
use votekit_node::data_folder::DataFolder;
use votekit_node::limits::throttle::Prefix;
use votekit_node::{Node, SubmitError, VoteStatus};

fn prefix(node: &Node, host: u8) -> Prefix {
    node.throttle().prefix([192, 0, 2, host].into())
}

/// The credential of an elector with a wrong code.
fn wrong(place: u32, attempt: u32) -> Credential {
    let (nas, code) = (format!("0{place:08}"), format!("WRONG{attempt:04}"));
    Credential::parse(nas.as_bytes(), code.as_bytes(), LAW.as_bytes()).expect("well formed")
}

async fn decided(node: &Node, request: RequestId) -> Decision {
    match node.wait(request, Duration::from_secs(30)).await.expect("the ledger answers") {
        Some(VoteStatus::Decided(decision)) => decision,
        other => panic!("not decided: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recognised_credential_votes_once() {
    let node = TestDir::new(20).open_poll().await;
    let from = prefix(&node, 1);
    let hash = node.recognise(&credential(3), from).await.expect("asked").expect("recognised");
    let oui = "oui".parse().expect("a choice");
    let key = b"a key that others cannot guess";
    let request = node.submit_recognised(&law(), hash, &oui, key).await.expect("taken");
    assert!(matches!(decided(&node, request).await, Decision::Accepted { .. }));
    // The same form sent again is the same request, and the same credential by the API a duplicate.
    let again = node.submit_recognised(&law(), hash, &oui, key).await.expect("taken");
    assert_eq!(again, request);
    let other = node.submit(&vote(3, "non"), None, None).await.expect("taken");
    assert!(matches!(decided(&node, other).await, Decision::Duplicate { attempt: 2, .. }));
    // A used credential is recognised as before.
    assert_eq!(node.recognise(&credential(3), from).await.expect("asked"), Some(hash));
    let unknown = "peut-etre".parse().expect("a choice");
    let refused = node.submit_recognised(&law(), hash, &unknown, key).await;
    assert!(matches!(refused, Err(SubmitError::UnknownChoice)), "{refused:?}");
    node.close(&law()).await.expect("closed");
    let refused = node.recognise(&credential(4), from).await;
    assert!(matches!(refused, Err(SubmitError::NotOpen { .. })), "{refused:?}");
    node.shutdown().await;
}

/// Signing in is an attempt like a vote: wrong codes of one address for one elector are slowed
/// down, and neither the elector elsewhere nor others behind the address are.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_at_the_sign_in_count_in_the_throttle() {
    let node = TestDir::new(20).open_poll().await;
    let from = prefix(&node, 1);
    for attempt in 0..6 {
        assert_eq!(node.recognise(&wrong(5, attempt), from).await.expect("asked"), None);
    }
    let refused = node.recognise(&credential(5), from).await;
    assert!(matches!(refused, Err(SubmitError::BackOff { .. })), "{refused:?}");
    // A vote of the pair is held up by the same count.
    let origin = node.throttle().origin(from, &credential(5).nas);
    let refused = node.submit(&vote(5, "oui"), None, Some(origin)).await;
    assert!(matches!(refused, Err(SubmitError::BackOff { .. })), "{refused:?}");
    assert!(node.recognise(&credential(5), prefix(&node, 2)).await.expect("asked").is_some());
    assert!(node.recognise(&credential(6), from).await.expect("asked").is_some());
    node.shutdown().await;
}

/// A guesser at the sign-in takes nothing from the rate of the votes.
#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_do_not_use_up_the_rate_of_votes() {
    let place = TestDir::new(20);
    place.open_poll().await.shutdown().await;
    let config = Config { rate_limit_per_second: 2, ..Config::default() };
    let folder = DataFolder::open(&place.path("node"), None).expect("a data folder");
    let node = Node::start(folder, config).await.expect("the node starts");
    for attempt in 0..10 {
        let answer = node.recognise(&wrong(attempt, attempt), prefix(&node, 1)).await;
        assert_eq!(answer.expect("asked"), None);
    }
    let origin = |place| Some(node.throttle().origin(prefix(&node, 2), &credential(place).nas));
    for place in [5, 6] {
        node.submit(&vote(place, "oui"), None, origin(place)).await.expect("the rate is whole");
    }
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_sees_each_block() {
    let node = TestDir::new(20).open_poll().await;
    let mut watch = node.watch(&law()).expect("an election");
    let (height, view) = watch.current();
    assert_eq!((view.state.as_str(), view.accepted), ("open", 0));
    node.submit(&vote(1, "oui"), None, None).await.expect("taken");
    loop {
        watch.changed().await;
        let (now, view) = watch.current();
        assert!(now > height);
        if view.accepted == 1 {
            break;
        }
    }
    assert!(node.watch(&"NONE".parse().expect("an id")).is_none());
    node.shutdown().await;
}
