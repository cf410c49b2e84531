//! A voter signs in, then casts the vote: recognised or not, the throttle, and the vote.

use std::time::Duration;

use crate::support::{LAW, TestDir, credential, credential_for, decided, law, vote};
use votekit_core::credential::{Credential, CredentialHash, CredentialHasher};
use votekit_core::decision::Decision;
use votekit_core::id::ElectionId;
use votekit_node::config::{Config, ThrottleConfig};
use votekit_node::data_folder::DataFolder;
use votekit_node::limits::throttle::Prefix;
use votekit_node::{CreateElection, Node, OpenElection, SIGN_IN_LAWS_MAX, SubmitError};

fn prefix(node: &Node, host: u8) -> Prefix {
    node.throttle().prefix([192, 0, 2, host].into())
}

/// A node with a poll open for each law of the roll, and with waits that no test sits out, however
/// slow the machine is.
async fn open_polls(dir: &TestDir) -> Node {
    let throttle = ThrottleConfig { delay_seconds_min: 60, ..ThrottleConfig::default() };
    let config = Config { rate_limit_per_second: 0, throttle, ..Config::default() };
    let folder = DataFolder::open(&dir.path("node"), None).expect("a data folder");
    let node = Node::start(folder, config).await.expect("the node starts");
    dir.open_polls_of(&node).await;
    node
}

/// The credential of an elector with a wrong code.
fn wrong(index: u32, attempt: u32) -> Credential {
    let (nas, code) = (format!("0{index:08}"), format!("WRONG{attempt:04}"));
    Credential::parse(nas.as_bytes(), code.as_bytes(), LAW.as_bytes()).expect("well formed")
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
    let dir = TestDir::new(20);
    let node = open_polls(&dir).await;
    let from = prefix(&node, 1);
    for attempt in 0..6 {
        assert_eq!(node.recognise(&wrong(5, attempt), from).await.expect("asked"), None);
    }
    let refused = node.recognise(&credential(5), from).await;
    assert!(matches!(refused, Err(SubmitError::BackOff { .. })), "{refused:?}");
    // The same count delays a vote of the pair.
    let origin = node.throttle().origin(from, &credential(5).nas);
    let refused = node.submit(&vote(5, "oui"), None, Some(origin)).await;
    assert!(matches!(refused, Err(SubmitError::BackOff { .. })), "{refused:?}");
    assert!(node.recognise(&credential(5), prefix(&node, 2)).await.expect("asked").is_some());
    assert!(node.recognise(&credential(6), from).await.expect("asked").is_some());
    node.shutdown().await;
}

/// One roll of three laws: the first two have the same codes, the third has its own.
const LAWS: [(&str, &str, u32); 3] =
    [(LAW, "CODE", 20), ("L2025-002", "CODE", 10), ("L2025-003", "OTHER", 20)];

fn laws(indices: &[usize]) -> Vec<ElectionId> {
    indices.iter().map(|index| LAWS[*index].0.parse().expect("a law id")).collect()
}

/// Signs in the elector with index `index` for all laws, with a code that begins with these
/// letters.
async fn sign_in(
    node: &Node,
    letters: &str,
    index: u32,
    host: u8,
) -> Result<Vec<(ElectionId, CredentialHash)>, SubmitError> {
    let Credential { nas, code, .. } = &credential_for(LAW, letters, index);
    node.recognise_any(nas, code, &laws(&[0, 1, 2]), prefix(node, host)).await
}

fn recognised(answer: &[(ElectionId, CredentialHash)]) -> Vec<ElectionId> {
    answer.iter().map(|(law_id, _)| law_id.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_opens_the_laws_whose_code_matches() {
    let node = TestDir::with_laws(&LAWS).open_polls().await;
    let both = sign_in(&node, "CODE", 3, 1).await.expect("asked");
    assert_eq!(recognised(&both), laws(&[0, 1]));
    for (law_id, hash) in &both {
        let credential = credential_for(law_id.as_str(), "CODE", 3);
        assert_eq!(*hash, CredentialHasher::plain().hash(&credential), "of its own law");
    }
    // On the roll of the first law only, and a code of the third law only.
    let first = sign_in(&node, "CODE", 15, 1).await.expect("asked");
    assert_eq!(recognised(&first), laws(&[0]));
    let third = sign_in(&node, "OTHER", 3, 1).await.expect("asked");
    assert_eq!(recognised(&third), laws(&[2]));
    // Each law has its own vote.
    for (law_id, hash) in both {
        let oui = "oui".parse().expect("a choice");
        let request = node.submit_recognised(&law_id, hash, &oui, &[7; 16]).await.expect("taken");
        assert!(matches!(decided(&node, request).await, Decision::Accepted { .. }));
    }
    assert_eq!(recognised(&sign_in(&node, "CODE", 3, 1).await.expect("asked")), laws(&[0, 1]));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_is_tried_for_the_open_laws_of_one_roll() {
    let dir = TestDir::with_laws(&LAWS);
    let node = dir.open_polls().await;
    let other =
        crate::support::write_roll_of_laws(&dir.path("other"), &[("L2026-001", "CODE", 20)]);
    node.load(&dir.path("other"), None).await.expect("loaded");
    let law_id = other.body().laws[0].law_id.clone();
    let request = crate::support::create_request();
    let request = CreateElection { law_id: law_id.to_string(), ..request };
    node.create(request).await.expect("created");
    node.open(&law_id, OpenElection::default()).await.expect("opened");
    assert_eq!(node.sign_in_laws(&laws(&[1])[0]), laws(&[1, 0, 2]), "the one signed in for first");
    assert_eq!(
        node.sign_in_laws(&law_id),
        std::slice::from_ref(&law_id),
        "the only law of its roll"
    );
    let none = "NONE".parse().expect("an id");
    assert_eq!(node.sign_in_laws(&none), [none], "the attempt says that there is none");
    node.close(&laws(&[1])[0]).await.expect("closed");
    assert_eq!(node.sign_in_laws(&law()), laws(&[0, 2]), "closed laws are left out");

    let Credential { nas, code, .. } = &credential(3);
    let tried = |wanted: Vec<ElectionId>| {
        let node = node.clone();
        async move { node.recognise_any(nas, code, &wanted, prefix(&node, 1)).await }
    };
    let closed_second = tried(laws(&[0, 1])).await.expect("asked");
    assert_eq!(recognised(&closed_second), laws(&[0]));
    let closed_first = tried(laws(&[1, 0])).await;
    assert!(matches!(closed_first, Err(SubmitError::NotOpen { .. })), "{closed_first:?}");
    let none = tried(Vec::new()).await;
    assert!(matches!(none, Err(SubmitError::UnknownElection)), "{none:?}");
    let repeated = tried(vec![law(); 2 * SIGN_IN_LAWS_MAX]).await.expect("asked");
    assert_eq!(recognised(&repeated), [law()]);
    node.shutdown().await;
}

/// The maker of another roll must not turn wrong codes into correct attempts, and test them without
/// a wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_another_roll_is_a_wrong_code() {
    let dir = TestDir::with_laws(&LAWS);
    let node = open_polls(&dir).await;
    crate::support::write_roll_of_laws(&dir.path("theirs"), &[("THEIRS", "GUESS", 20)]);
    node.load(&dir.path("theirs"), None).await.expect("loaded");
    let theirs: ElectionId = "THEIRS".parse().expect("a law id");
    let request = CreateElection { law_id: theirs.to_string(), ..crate::support::create_request() };
    node.create(request).await.expect("created");
    node.open(&theirs, OpenElection::default()).await.expect("opened");
    let tried = |letters: &'static str, wanted: [ElectionId; 2]| {
        let Credential { nas, code, .. } = credential_for(LAW, letters, 7);
        let node = node.clone();
        async move { node.recognise_any(&nas, &code, &wanted, prefix(&node, 1)).await }
    };
    let own = tried("GUESS", [theirs.clone(), law()]).await.expect("asked");
    assert_eq!(recognised(&own), std::slice::from_ref(&theirs));
    let right = tried("CODE", [law(), theirs.clone()]).await.expect("asked");
    assert_eq!(recognised(&right), [law()], "the law of another roll is left out");
    for attempt in 0..6 {
        let guess = tried("GUESS", [law(), theirs.clone()]).await.expect("asked");
        assert!(guess.is_empty(), "{attempt}");
    }
    let held_up = tried("CODE", [law(), theirs]).await;
    assert!(matches!(held_up, Err(SubmitError::BackOff { .. })), "{held_up:?}");
    node.shutdown().await;
}

/// Status and whole minutes of the answer to a wrong code.
fn answer(outcome: Result<Vec<(ElectionId, CredentialHash)>, SubmitError>) -> String {
    match outcome {
        Ok(recognised) => {
            assert!(recognised.is_empty(), "a wrong code");
            "not recognised".to_owned()
        }
        Err(SubmitError::BackOff { retry_after }) => {
            format!("wait {}", (retry_after.as_secs_f64() / 60.0).ceil())
        }
        Err(error) => panic!("{error}"),
    }
}

/// The property of the throttle: the answers to wrong codes do not depend on correct sign-ins
/// between them, of one law or of several, nor on the number of laws that a sign-in is tried for.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_sign_ins_are_answered_alike_whatever_correct_ones_come_between() {
    let dir = TestDir::with_laws(&LAWS);
    let node = open_polls(&dir).await;
    let schedules: [&[&str]; 4] = [&[], &["CODE"], &["OTHER"], &["CODE", "OTHER", "CODE"]];
    let mut answers = Vec::new();
    for (index, between) in schedules.into_iter().enumerate() {
        let index = u32::try_from(index).expect("small");
        let mut of_place = Vec::new();
        for attempt in 0..8 {
            for letters in between {
                // Held up like the wrong ones in the end, and no trace of it.
                let outcome = sign_in(&node, letters, index, 1).await;
                assert_eq!(outcome.is_ok(), attempt < 6, "{attempt}: {outcome:?}");
            }
            of_place.push(answer(sign_in(&node, &format!("BAD{attempt}"), index, 1).await));
        }
        answers.push(of_place);
    }
    // As many as for one law.
    let mut of_one_law = Vec::new();
    for attempt in 0..8 {
        let outcome = node.recognise(&wrong(9, attempt), prefix(&node, 1)).await;
        of_one_law.push(answer(outcome.map(|found| {
            assert_eq!(found, None);
            Vec::new()
        })));
    }
    for of_place in &answers {
        assert_eq!(of_place, &of_one_law);
    }
    assert_eq!(of_one_law[5..], ["not recognised", "wait 1", "wait 1"]);
    // Another network is not delayed.
    assert!(sign_in(&node, "CODE", 0, 2).await.is_ok_and(|found| found.len() == 2));
    node.shutdown().await;
}

/// A guesser at the sign-in takes nothing from the rate of the votes.
#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_do_not_use_up_the_rate_of_votes() {
    let dir = TestDir::new(20);
    dir.open_poll().await.shutdown().await;
    let config = Config { rate_limit_per_second: 2, ..Config::default() };
    let folder = DataFolder::open(&dir.path("node"), None).expect("a data folder");
    let node = Node::start(folder, config).await.expect("the node starts");
    for attempt in 0..10 {
        let answer = node.recognise(&wrong(attempt, attempt), prefix(&node, 1)).await;
        assert_eq!(answer.expect("asked"), None);
    }
    let origin = |index| Some(node.throttle().origin(prefix(&node, 2), &credential(index).nas));
    for index in [5, 6] {
        node.submit(&vote(index, "oui"), None, origin(index)).await.expect("the rate is whole");
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
        let changed = tokio::time::timeout(Duration::from_secs(30), watch.changed());
        changed.await.expect("the vote is decided");
        let (now, view) = watch.current();
        assert!(now > height);
        if view.accepted == 1 {
            break;
        }
    }
    assert!(node.watch(&"NONE".parse().expect("an id")).is_none());
    node.shutdown().await;
}
