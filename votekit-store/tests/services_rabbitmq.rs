//! The ballot box on a real RabbitMQ runs the conformance suite, and reports the number of cases.

mod free_port;
mod rabbitmq;

use votekit_store::testing::conformance::{Which, ballot_box_cases, report_cases};
use votekit_store::testing::seeded_faults::Odds;

use rabbitmq::Corner;

const BALLOT_BOX_CASES: usize = 18;
const BALLOT_BOX_CASES_RETRY_SAFE: usize = 16;

/// [`Odds::BAD_DAY`] without lost acknowledgements: the broker, and with it a settle, would wait
/// for one as long as the connection lives. In practice an acknowledgement is lost with its
/// connection, which requeues the delivery.
const BAD_DAY: Odds = Odds { acknowledgement_lost_percent: 0, ..Odds::BAD_DAY };

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_ballot_box_on_rabbitmq_conforms() {
    let cases = report_cases(
        "services",
        "ballot box",
        &ballot_box_cases(|| Corner::make(None), Which::All).await,
    );
    assert_eq!(cases, BALLOT_BOX_CASES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_ballot_box_on_rabbitmq_conforms_on_a_bad_day() {
    let cases = report_cases(
        "services on bad day 2025",
        "ballot box",
        &ballot_box_cases(|| Corner::make(Some((2_025, BAD_DAY))), Which::RetrySafe).await,
    );
    assert_eq!(cases, BALLOT_BOX_CASES_RETRY_SAFE);
}
