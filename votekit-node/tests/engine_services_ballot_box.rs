//! The ballot box on a real RabbitMQ runs the conformance suite, and says how many cases it ran.

// The counts are for whoever reads the test's output: a suite that silently ran nothing proves nothing.
#![allow(clippy::print_stdout)]

mod rabbitmq;

use votekit_node::engine::conformance::{CaseResult, Which, ballot_box_cases};
use votekit_node::engine::unreliable::Odds;

use rabbitmq::Corner;

const BALLOT_BOX_CASES: usize = 17;
const BALLOT_BOX_CASES_RETRY_SAFE: usize = 16;

/// As [`Odds::BAD_DAY`], with fewer lost acknowledgements: the broker gives a consumer so many messages at once and no more. On a real day an acknowledgement is
/// lost with its connection, and its place with it.
const BAD_DAY: Odds = Odds { acknowledgement_lost_percent: 2, ..Odds::BAD_DAY };

/// Counts the cases; fails with each that did not hold.
fn count(results: &[CaseResult]) -> usize {
    let broken: Vec<String> =
        results.iter().filter_map(|case| case.outcome.as_ref().err().map(|error| format!("{}: {error}", case.name))).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    results.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_ballot_box_on_rabbitmq_conforms() {
    let cases = count(&ballot_box_cases(|| Corner::make(None), Which::All).await);
    println!("conformance: services ballot box: {cases} cases");
    assert_eq!(cases, BALLOT_BOX_CASES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_ballot_box_on_rabbitmq_conforms_on_a_bad_day() {
    let cases = count(&ballot_box_cases(|| Corner::make(Some((2_025, BAD_DAY))), Which::RetrySafe).await);
    println!("conformance: services ballot box on a bad day: {cases} cases");
    assert_eq!(cases, BALLOT_BOX_CASES_RETRY_SAFE);
}
