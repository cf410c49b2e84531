//! Faults that halt one election, faults that end the node; a clock that steps back.

mod http_support;
#[path = "../../votekit-node/tests/support/mod.rs"]
mod support;

use std::time::Duration;

use http_support::{Served, ballot, config};
use support::{LAW, create_request, law, vote};
use votekit_http::listener::ServeError;
use votekit_node::{AdminError, SubmitError};
use votekit_node::{CreateElection, DependencyFault, OpenElection};

/// An upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

async fn wait_until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(WAIT_TIMEOUT, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited for: {what}"));
}

/// A node with the customary election open, and a second election beside it.
async fn two_polls() -> Served {
    let served = Served::open().await;
    let second = CreateElection { law_id: "L2".to_owned(), ..create_request() };
    served.node.create(second).await.expect("created");
    served
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_task_of_an_election_halts_that_one_alone() {
    let served = two_polls().await;
    let second = "L2".parse().expect("a law id");
    served.node.panic_in_task(Some(&second));
    wait_until("the halt", async || served.node.halted(&second).is_some()).await;
    assert_eq!(served.node.failure(), None);
    // The open election continues, and health names the halted one.
    assert_eq!(served.vote(&ballot(1, "oui"), &[("prefer", "wait=20")]).await.status, 200);
    let health = served.get("/api/v1/health").await;
    assert_eq!(health.status, 200, "{}", health.text());
    assert!(health.text().contains("\"election L2\"") && health.text().contains("halted: "));
    let refused = served.node.open(&second, OpenElection::default()).await;
    assert!(matches!(refused, Err(AdminError::Halted { .. })), "{refused:?}");
    // A halted open poll takes no vote, and the node is then not healthy.
    served.node.panic_in_task(Some(&law()));
    wait_until("the halt", async || served.node.halted(&law()).is_some()).await;
    let answer = served.vote(&ballot(2, "oui"), &[]).await;
    assert_eq!(answer.problem(), (503, "halted".to_owned()));
    assert_eq!(served.get("/api/v1/health").await.status, 503);
    let answer = served.admin("POST", &format!("/api/v1/admin/elections/{LAW}/close"), None).await;
    assert_eq!(answer.problem(), (503, "halted".to_owned()));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_task_of_the_node_shows_and_ends_it_as_a_fault() {
    let served = Served::open().await;
    let node = served.node.clone();
    node.panic_in_task(None);
    let failure = tokio::time::timeout(WAIT_TIMEOUT, node.failed()).await.expect("it fails");
    assert!(failure.to_string().contains("panicked") && failure.is_panic(), "{failure}");
    let health = node.health().await;
    let fault = Some(DependencyFault::Failed(failure));
    assert!(!health.healthy && health.dependencies.iter().any(|one| one.fault == fault));
    let ended = served.ended().await;
    assert!(matches!(ended, Err(ServeError::Panicked { .. })), "{ended:?}");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_steps_back_a_little_is_held_and_further_refuses_votes() {
    let served = Served::open().await;
    let cast = async |index| served.node.submit(&vote(index, "oui"), None, None).await;
    cast(0).await.expect("taken");
    served.node.step_clock(-8_000);
    cast(1).await.expect("held at the latest stamp");
    served.node.step_clock(-60_000);
    let refused = cast(2).await;
    assert!(matches!(refused, Err(SubmitError::Clock { .. })), "{refused:?}");
    let answer = served.vote(&ballot(2, "oui"), &[]).await;
    assert_eq!(answer.problem(), (503, "clock".to_owned()));
    let health = served.get("/api/v1/health").await;
    assert_eq!(health.status, 503);
    assert!(health.text().contains("it went back: it is 6"), "{}", health.text());
    let metrics = async || {
        let text = http_support::Client::connect(served.at.metrics).await.get("/metrics").await;
        let line = text.text().lines().find(|line| line.starts_with("clock_behind_seconds "));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0)
    };
    wait_until("the metric", async || metrics().await > 50.0).await;
    // Once the clock has caught up, votes are taken again.
    served.node.step_clock(70_000);
    cast(2).await.expect("taken");
    assert_eq!(served.get("/api/v1/health").await.status, 200);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_close_that_has_passed_stays_passed() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("now");
    let closes = votekit_core::instant::UnixSeconds(now.as_secs() + 7200).to_rfc3339();
    let request = CreateElection { closes: Some(closes), ..create_request() };
    let served = Served::open_with(config(), request).await;
    assert_eq!(served.vote(&ballot(0, "oui"), &[]).await.status, 202);
    served.node.step_clock(3 * 3_600_000);
    assert_eq!(served.vote(&ballot(1, "oui"), &[]).await.problem(), (409, "closed".to_owned()));
    // Not even back to a time at which votes were in time.
    served.node.step_clock(-3 * 3_600_000);
    assert_eq!(served.vote(&ballot(1, "oui"), &[]).await.problem(), (409, "closed".to_owned()));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_close_that_passed_unseen_by_voters_stays_passed_too() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("now");
    let closes = votekit_core::instant::UnixSeconds(now.as_secs() + 7200).to_rfc3339();
    let request = CreateElection { closes: Some(closes), ..create_request() };
    let served = Served::open_with(config(), request).await;
    assert_eq!(served.vote(&ballot(0, "oui"), &[("prefer", "wait=30")]).await.status, 200);
    // The node checks its clock once a second, with or without votes. A clock that is behind the
    // vote, and then is not, shows when.
    let is_behind = || !served.node.gauges().clock_behind.is_zero();
    served.node.step_clock(-60_000);
    wait_until("a check before the planned close", async || is_behind()).await;
    served.node.step_clock(60_000 + 3 * 3_600_000);
    wait_until("a check after it", async || !is_behind()).await;
    served.node.step_clock(-3 * 3_600_000);
    assert_eq!(served.vote(&ballot(1, "oui"), &[]).await.problem(), (409, "closed".to_owned()));
    served.end().await;
}
