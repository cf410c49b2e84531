//! The lifecycle of a referendum on a node, without HTTP: every decision, restarts at every point,
//! the close, refusals.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::{
    LAW, TestDir, create_request, decided, law, vote, write_roll, write_supplement,
};
use rusqlite::Connection;
use votekit_core::decision::{Decision, InvalidReason};
use votekit_core::election::{ResultsPolicy, State};
use votekit_core::envelope::VoterToken;
use votekit_core::id::RequestId;
use votekit_core::log::policy::Policy;
use votekit_core::log::proof::Proof;
use votekit_node::config::Config;
use votekit_node::data_folder::DataFolder;
use votekit_node::{AdminError, Node, SubmitError};
use votekit_node::{CreateElection, LoadOutcome, OpenElection, ResultsError};
use votekit_store::Engines;
use votekit_store::embedded::EmbeddedEngine;
use votekit_store::faults::{Call, Fault, FaultPlan, Faulty};

async fn cast(node: &Node, index: u32, choice: &str) -> (RequestId, Decision) {
    let request = node.submit(&vote(index, choice), None, None).await.expect("taken");
    (request, decided(node, request).await)
}

fn accepted(decision: Decision) -> bool {
    matches!(decision, Decision::Accepted { .. })
}

/// Counts the writes of a ledger that are made outside of it.
struct CountedWrites(Arc<AtomicU64>);

impl FaultPlan for CountedWrites {
    fn next_fault(&self, call: Call) -> Fault {
        self.0.fetch_add(u64::from(call == Call::Write), Ordering::Relaxed);
        Fault::None
    }
}

/// The embedded ballot box stages a batch as it publishes it: the node only commits the block.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_on_the_embedded_engine_is_staged_once() {
    let dir = TestDir::new(20);
    let folder = DataFolder::open(&dir.path("node"), None).expect("a data folder");
    let engine = EmbeddedEngine::open(folder.path()).expect("the engine opens");
    let writes = Arc::new(AtomicU64::new(0));
    let ledger = Faulty::new(Arc::clone(&engine.ledger), CountedWrites(Arc::clone(&writes)));
    let engines = Engines { ledger: Arc::new(ledger), ..Engines::from(engine) };
    let node = Node::start_on(folder, Config::default(), engines).await.expect("the node starts");
    dir.open_polls_of(&node).await;
    // The first vote allocates an epoch.
    assert!(accepted(cast(&node, 1, "oui").await.1));
    for voter in 2..5 {
        let before = writes.load(Ordering::Relaxed);
        assert!(accepted(cast(&node, voter, "oui").await.1));
        assert_eq!(writes.load(Ordering::Relaxed) - before, 1, "the block alone");
    }
    assert_eq!(node.close(&law()).await.expect("closed").accepted, 4);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_vote_is_decided_and_counted() {
    let dir = TestDir::new(20);
    let node = dir.open_poll().await;
    let (first, decision) = cast(&node, 1, "oui").await;
    assert!(accepted(decision));
    let (_, decision) = cast(&node, 1, "non").await;
    assert!(matches!(decision, Decision::Duplicate { attempt: 2, .. }), "{decision:?}");
    let (_, decision) = cast(&node, 99, "oui").await;
    assert!(matches!(decision, Decision::Invalid { reason: InvalidReason::Unknown, .. }));
    assert!(accepted(cast(&node, 2, "blanc").await.1));
    // A repeat, before or after its decision, is the same request.
    let keyed = node.submit(&vote(3, "non"), Some(b"key"), None).await.expect("taken");
    assert!(accepted(decided(&node, keyed).await));
    assert_eq!(node.submit(&vote(3, "non"), Some(b"key"), None).await.expect("taken"), keyed);
    assert!(accepted(decided(&node, keyed).await));
    assert!(matches!(
        node.submit(&vote(4, "peut-etre"), None, None).await,
        Err(SubmitError::UnknownChoice)
    ));

    let receipt = node.receipt(first).await.expect("recorded");
    let proof = Proof::parse(&receipt).expect("reads");
    let policy = Policy::parse(&node.policy(&law()).expect("there")).expect("reads");
    proof.verify_strict(proof.extra(), &policy).expect("verifies");

    let closed = node.close(&law()).await.expect("closed");
    assert_eq!(closed.state, "closed");
    assert_eq!((closed.accepted, closed.duplicate, closed.invalid), (3, 1, 1));
    let results = node.results(&law(), None).await.expect("shown");
    assert_eq!(
        (results.count_of("oui"), results.count_of("non"), results.count_of("blanc")),
        (1, 1, 1)
    );
    // A decided request is answered from the index: no second envelope, no replay.
    assert_eq!(results.report.replayed, 0);
    match node.submit(&vote(5, "oui"), None, None).await {
        Err(SubmitError::NotOpen { state: State::Closed, closes: Some(closes), .. }) => {
            assert!(closes <= node.now().minutes(), "{closes:?} is not in the future");
        }
        other => panic!("{other:?}"),
    }
    node.certify(&law()).await.expect("certified");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_changes_nothing() {
    let dir = TestDir::new(50);
    let mut node = dir.open_poll().await;
    let mut requests = Vec::new();
    for round in 0..3 {
        for elector in 0..5 {
            requests.push(
                cast(&node, round * 5 + elector, if elector % 2 == 0 { "oui" } else { "non" })
                    .await,
            );
        }
        let before = (node.election(&law()), node.checkpoint(&law()));
        node.shutdown().await;
        node = dir.start().await;
        let after = (node.election(&law()), node.checkpoint(&law()));
        assert_eq!(
            format!("{:?}", before.0.map(|view| view.accepted)),
            format!("{:?}", after.0.map(|view| view.accepted))
        );
        for (request, decision) in &requests {
            assert_eq!(decided(&node, *request).await, *decision);
        }
        let (_, again) = cast(&node, round * 5, "non").await;
        assert!(matches!(again, Decision::Duplicate { .. }));
    }
    let closed = node.close(&law()).await.expect("closed");
    assert_eq!((closed.accepted, closed.duplicate), (15, 3));
    node.shutdown().await;
    let node = dir.start().await;
    let results = node.results(&law(), None).await.expect("shown");
    assert_eq!((results.count_of("oui"), results.count_of("non")), (9, 6));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_voters_at_once_each_count_once() {
    let dir = TestDir::new(300);
    let node = dir.open_poll().await;
    let mut casting = tokio::task::JoinSet::new();
    for attempt in 0..900_u32 {
        let node = node.clone();
        casting.spawn(async move { cast(&node, attempt % 300, "oui").await.1 });
    }
    let decisions = casting.join_all().await;
    assert_eq!(decisions.iter().filter(|decision| accepted(**decision)).count(), 300);
    let mut attempts: Vec<u32> = decisions
        .iter()
        .filter_map(|decision| match decision {
            Decision::Duplicate { attempt, .. } => Some(*attempt),
            _ => None,
        })
        .collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [vec![2; 300], vec![3; 300]].concat());
    let closed = node.close(&law()).await.expect("closed");
    assert_eq!((closed.accepted, closed.duplicate), (300, 600));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn supplements_revoke_and_add_and_never_unspend() {
    let dir = TestDir::new(10);
    let node = dir.open_poll().await;
    assert!(accepted(cast(&node, 1, "oui").await.1));
    let again = node.load(&dir.path("hashes"), None).await.expect("loaded");
    assert_eq!(again.laws[0].outcome, LoadOutcome::Unchanged);
    write_supplement(&dir.path("late"), &dir.manifest, &[50], &[1, 2], false);
    let loaded = node.load(&dir.path("late"), None).await.expect("loaded");
    assert_eq!((loaded.laws[0].outcome, loaded.laws[0].registered), (LoadOutcome::Loaded, 10));
    assert!(matches!(
        cast(&node, 2, "oui").await.1,
        Decision::Invalid { reason: InvalidReason::Revoked, .. }
    ));
    assert!(
        matches!(cast(&node, 1, "oui").await.1, Decision::Duplicate { attempt: 2, .. }),
        "spent, so not revoked"
    );
    assert!(accepted(cast(&node, 50, "non").await.1));
    node.shutdown().await;
    let node = dir.start().await;
    assert!(matches!(
        cast(&node, 2, "oui").await.1,
        Decision::Invalid { reason: InvalidReason::Revoked, .. }
    ));
    assert!(matches!(cast(&node, 50, "oui").await.1, Decision::Duplicate { .. }));
    let again = node.load(&dir.path("late"), None).await.expect("loaded");
    assert_eq!(again.laws[0].outcome, LoadOutcome::Unchanged);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicting_rolls_are_refused_and_change_nothing() {
    let dir = TestDir::new(10);
    let node = dir.start().await;
    assert!(matches!(
        node.submit(&vote(1, "oui"), None, None).await,
        Err(SubmitError::UnknownElection)
    ));
    node.create(create_request()).await.expect("created");
    assert!(matches!(node.create(create_request()).await, Err(AdminError::Exists { .. })));
    assert!(matches!(
        node.submit(&vote(1, "oui"), None, None).await,
        Err(SubmitError::NotOpen { state: State::Draft, .. })
    ));
    assert!(node.open(&law(), OpenElection::default()).await.is_err(), "no roll yet");
    let shard = dir.path("hashes").join(format!("{LAW}.0001.json"));
    let good = std::fs::read(&shard).expect("there");
    let mut bad = good.clone();
    bad[150] ^= 1;
    std::fs::write(&shard, &bad).expect("written");
    assert!(matches!(node.load(&dir.path("hashes"), None).await, Err(AdminError::Roll(_))));
    std::fs::write(&shard, &good).expect("written");
    node.load(&dir.path("hashes"), None).await.expect("loaded");
    write_roll(&dir.path("other"), 5, false);
    assert!(node.load(&dir.path("other"), None).await.is_err(), "a second roll");
    node.open(&law(), OpenElection::default()).await.expect("opened");
    assert!(node.open(&law(), OpenElection::default()).await.is_err(), "opened twice");
    assert!(node.certify(&law()).await.is_err(), "certified while open");
    assert!(matches!(node.purge(&law()).await, Err(AdminError::State { .. })));
    assert!(accepted(cast(&node, 1, "oui").await.1));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_election_opens_only_when_it_is_safe() {
    let dir = TestDir::new(10);
    let node = dir.start().await;
    node.load(&dir.path("hashes"), None).await.expect("loaded");
    let request =
        CreateElection { binding: true, results: Some(ResultsPolicy::Live), ..create_request() };
    node.create(request).await.expect("created");
    match node.open(&law(), OpenElection::default()).await {
        Err(AdminError::NotSafe { missing }) => {
            for rule in ["a pepper", "before the close", "without TLS", "default name"] {
                assert!(
                    missing.iter().any(|missing| missing.to_string().contains(rule)),
                    "{rule}: {missing:?}"
                );
            }
            assert_eq!(missing.len(), 4, "{missing:?}");
            let to_open = node.missing_to_open(&law(), &[]).await.expect("known");
            assert_eq!(to_open, missing, "the same before an attempt");
        }
        other => panic!("opened: {other:?}"),
    }
    assert_eq!(node.election(&law()).expect("there").state, "draft");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_follow_the_policy() {
    for (policy, shown_to_all, shown_to_voters) in [
        (ResultsPolicy::Live, true, true),
        (ResultsPolicy::AfterVote, false, true),
        (ResultsPolicy::AfterClose, false, false),
    ] {
        let dir = TestDir::new(10);
        let node = dir.start().await;
        node.load(&dir.path("hashes"), None).await.expect("loaded");
        node.create(CreateElection { results: Some(policy), ..create_request() })
            .await
            .expect("created");
        node.open(&law(), OpenElection::default()).await.expect("opened");
        let (request, _) = cast(&node, 1, "oui").await;
        let (unknown, _) = cast(&node, 77, "oui").await;
        let shown = |results: Result<votekit_core::results::Results, ResultsError>| results.is_ok();
        assert_eq!(shown(node.results(&law(), None).await), shown_to_all, "{policy:?}");
        let key = |request| {
            Some((
                request,
                node.voter_token(&law(), &request).unwrap_or(VoterToken::from_bytes([0; 16])),
            ))
        };
        assert_eq!(shown(node.results(&law(), key(request)).await), shown_to_voters, "{policy:?}");
        assert_eq!(shown(node.results(&law(), key(unknown)).await), shown_to_all, "{policy:?}");
        // Request ids are public in the log: an id without its token gives no access.
        let guessed = Some((request, VoterToken::from_bytes([7; 16])));
        assert_eq!(shown(node.results(&law(), guessed).await), shown_to_all, "{policy:?}");
        assert_eq!(shown(node.results_for_voters(&law())), shown_to_voters, "{policy:?}");
        node.close(&law()).await.expect("closed");
        assert!(shown(node.results(&law(), None).await));
        assert!(shown(node.results_for_voters(&law())));
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_leaves_the_totals() {
    let dir = TestDir::new(10);
    let node = dir.open_poll().await;
    cast(&node, 1, "oui").await;
    node.close(&law()).await.expect("closed");
    node.certify(&law()).await.expect("certified");
    let before = node.results(&law(), None).await.expect("shown");
    assert!(node.purge(&law()).await.expect("purged") > 0);
    node.shutdown().await;
    let node = dir.start().await;
    let after = node.results(&law(), None).await.expect("shown");
    assert_eq!((&after.counts, &after.report), (&before.counts, &before.report));
    assert!(after.log_size > before.log_size, "the log says that it was purged");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn until_it_is_certified_an_election_needs_its_keys_and_its_evidence() {
    let dir = TestDir::new(10);
    let node = dir.open_poll().await;
    cast(&node, 1, "oui").await;
    node.close(&law()).await.expect("closed");
    node.shutdown().await;
    let keys = ["ballot", "request"].map(|kind| dir.path("node/keys").join(kind).join(LAW));
    let aside = dir.path("aside");
    for key in &keys {
        fs::rename(key, &aside).expect("moved");
        let said = halt(&dir).await;
        assert!(said.starts_with("ballot key or request key of L2025-001 missing"), "{said}");
        fs::rename(&aside, key).expect("moved");
    }
    let ledger = dir.path("node/ledger.sqlite");
    let whole = fs::read(&ledger).expect("a ledger");
    let connection = Connection::open(&ledger).expect("the ledger");
    connection.execute("UPDATE batch SET bytes = NULL", ()).expect("SQL");
    drop(connection);
    assert!(halt(&dir).await.contains("evidence of an election that is not certified is missing"));
    fs::write(&ledger, whole).expect("written");
    let node = dir.start().await;
    node.certify(&law()).await.expect("certified");
    node.shutdown().await;
    // After the certification they may be destroyed.
    for key in &keys {
        fs::remove_file(key).expect("removed");
    }
    dir.start().await.shutdown().await;
}

/// Returns why a start that reads the whole log halts the election.
async fn halt(dir: &TestDir) -> String {
    let folder = DataFolder::open(&dir.path("node"), None).expect("a data folder");
    let config = Config { replay: true, ..Config::default() };
    let node = Node::start(folder, config).await.expect("the node starts");
    let reason = node.halted(&law()).expect("the election is halted");
    node.shutdown().await;
    reason
}
