//! A node whose engines refuse, delay, half-apply and forget loses no answered vote and counts none
//! twice, and the close reconciles.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{HANG_TIMEOUT, TestDir, create_request, decided_at_last, law, vote};
use votekit_core::decision::Decision;
use votekit_core::envelope::VoteRequest;
use votekit_core::id::RequestId;
use votekit_node::OpenElection;
use votekit_node::config::Config;
use votekit_node::data_folder::DataFolder;
use votekit_node::{AdminError, Node, SubmitError};
use votekit_store::Engines;
use votekit_store::embedded::EmbeddedEngine;
use votekit_store::faults::Faulty;
use votekit_store::testing::seeded_faults::{Odds, SeededFaults};

const VOTERS: u32 = 60;

async fn start(dir: &TestDir, seed: u64) -> Node {
    let folder = DataFolder::open(&dir.path("node"), None).expect("a data folder");
    let engine = EmbeddedEngine::open(folder.path()).expect("the engine opens");
    let faults = |role| SeededFaults::new(seed + role, Odds::BAD_DAY);
    let roles = Engines {
        registry: Arc::new(Faulty::new(engine.registry, faults(0))),
        ballot_box: Arc::new(Faulty::new(engine.ballot_box, faults(1))),
        ledger: Arc::new(Faulty::new(engine.ledger, faults(2))),
        accounts: Arc::new(Faulty::new(engine.accounts, faults(3))),
    };
    // At the start the engines are asked once for their elections: with these seeds that succeeds.
    Node::start_on(folder, Config::default(), roles).await.expect("the node starts")
}

/// Retries while an engine is unavailable, as officials do.
async fn insist<T>(mut call: impl AsyncFnMut() -> Result<T, AdminError>) -> Result<T, AdminError> {
    let until = Instant::now() + HANG_TIMEOUT;
    loop {
        match call().await {
            Err(AdminError::Engine(error)) => {
                assert!(Instant::now() < until, "{error}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            definite => return definite,
        }
    }
}

/// Votes as a careful client does: with an idempotency key, retrying with the same key until it is
/// answered.
async fn cast(node: &Node, index: u32, choice: &str, key: &str) -> RequestId {
    let until = Instant::now() + HANG_TIMEOUT;
    loop {
        match node.submit(&vote(index, choice), Some(key.as_bytes()), None).await {
            Ok(request) => return request,
            Err(
                error @ (SubmitError::Unavailable(_)
                | SubmitError::OutcomeUnknown { .. }
                | SubmitError::Busy { .. }),
            ) => {
                assert!(Instant::now() < until, "{error}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => panic!("refused: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answered_vote_counts_once_on_bad_days() {
    for seed in [1, 20, 300] {
        let dir = TestDir::new(VOTERS);
        let node = start(&dir, seed).await;
        insist(async || node.load(&dir.path("hashes"), None).await).await.expect("loaded");
        match insist(async || node.create(create_request()).await).await {
            Ok(_) | Err(AdminError::Exists { .. }) => {}
            Err(error) => panic!("not created: {error}"),
        }
        insist(async || node.load(&dir.path("hashes"), None).await).await.expect("loaded");
        insist(async || node.open(&law(), OpenElection::default()).await).await.expect("opened");
        let mut casting = tokio::task::JoinSet::new();
        for voter in 0..2 * VOTERS {
            let node = node.clone();
            // Every elector votes twice, with two keys; one of the two votes counts.
            casting.spawn(async move {
                let request = cast(&node, voter % VOTERS, "oui", &format!("key-{voter}")).await;
                decided_at_last(&node, request).await
            });
        }
        let decisions = casting.join_all().await;
        let accepted = decisions
            .iter()
            .filter(|decision| matches!(decision, Decision::Accepted { .. }))
            .count();
        assert_eq!(accepted, VOTERS as usize, "seed {seed}");
        let duplicates = decisions
            .iter()
            .filter(|decision| matches!(decision, Decision::Duplicate { attempt: 2, .. }));
        assert_eq!(duplicates.count(), VOTERS as usize, "seed {seed}");
        let closed = insist(async || node.close(&law()).await).await.expect("closed");
        assert_eq!(
            (closed.accepted, closed.duplicate, closed.invalid),
            (u64::from(VOTERS), u64::from(VOTERS), 0)
        );
        assert_eq!(node.failure(), None, "seed {seed}");
        node.shutdown().await;
        // On a good day the folder reads back to the same totals.
        let node = dir.start().await;
        let results = node.results(&law(), None).await.expect("shown");
        assert_eq!(results.count_of("oui"), u64::from(VOTERS));
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nothing_is_stored_no_credential_is_looked_at() {
    let dir = TestDir::new(3);
    let folder = DataFolder::open(&dir.path("node"), None).expect("a data folder");
    let engine = EmbeddedEngine::open(folder.path()).expect("the engine opens");
    let outage = SeededFaults::new(1, Odds { unavailable_percent: 100, ..Odds::NONE });
    let ballot_box = Arc::new(Faulty::new(Arc::clone(&engine.ballot_box), outage));
    let roles = Engines { ballot_box, ..Engines::from(engine) };
    let node = Node::start_on(folder, Config::default(), roles).await.expect("the node starts");
    node.load(&dir.path("hashes"), None).await.expect("loaded");
    node.create(create_request()).await.expect("created");
    node.open(&law(), OpenElection::default()).await.expect("opened");
    let prefix = node.throttle().prefix([192, 0, 2, 1].into());
    let cast = async |vote: VoteRequest| {
        let origin = node.throttle().origin(prefix, &vote.credential.nas);
        node.submit(&vote, None, Some(origin)).await
    };
    // The first vote finds the outage. From then on a wrong code gets the same answer as a correct
    // one, however often it is sent, and is not counted.
    for _ in 0..20 {
        for vote in [vote(1, "oui"), vote(99, "oui")] {
            let refused = cast(vote).await;
            assert!(matches!(refused, Err(SubmitError::Unavailable(_))), "{refused:?}");
        }
    }
    assert_eq!(node.gauges().throttle_pairs, 0);
    assert_eq!(node.gauges().votes_pending, 0);
    node.abandon();
}
