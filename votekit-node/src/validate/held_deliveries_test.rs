use getrandom::SysRng;
use rand_core::UnwrapErr;
use votekit_core::ballot::BallotSecretKey;
use votekit_core::batch::{BatchHeader, NodeKey};
use votekit_core::id::{BatchNumber, Epoch, Sequence};

use super::*;

fn delivery(law_id: &str, tag: u64) -> Delivery {
    let node = NodeKey::from_seed(&[1; 32]);
    let number = BatchNumber { node: node.node_id(), epoch: Epoch(1), sequence: Sequence(tag) };
    let law_id = law_id.parse().expect("a law id");
    let header = BatchHeader { law_id, number, confirmed_through: Sequence(tag - 1), last: false };
    let ballot_key = BallotSecretKey::from_seed(&[9; 32]).public_key();
    let sealed = Batch::seal(header, &[], &ballot_key, &node, &mut UnwrapErr(SysRng));
    Delivery { batch: Arc::new(sealed.expect("the ballot key is usable")), tag }
}

fn tags(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|delivery| delivery.tag).collect()
}

#[test]
fn processable_deliveries_are_released_in_order_and_once() {
    let (mut held, now) = (HeldDeliveries::<Delivery>::new(), Instant::now());
    for tag in 1..=4 {
        held.insert(delivery("L1", tag), now, true);
    }
    held.insert(delivery("L2", 5), now, true);
    held.insert(delivery("L1", 6), now + RETRY_INTERVAL, true);
    held.insert(delivery("L3", 7), now, false);
    let is_known = |law_id: &ElectionId| law_id.as_str() != "L2";
    assert_eq!(tags(&held.take_ready(3, now, is_known)), [1, 2, 3]);
    assert_eq!(tags(&held.take_ready(9, now, is_known)), [4]);
    assert_eq!(tags(&held.take_ready(9, now + RETRY_INTERVAL, is_known)), [6]);
    assert_eq!(tags(&held.take_ready(9, now, |_| true)), [5], "its election is known by now");
    assert_eq!(held.held.len(), 1, "a halted election's stays until it is staged");
    assert!(held.take_ready(0, now, |_| true).is_empty());
}

#[test]
fn a_batch_whose_number_is_taken_is_tried_again_after_a_pause() {
    let (mut held, now) = (HeldDeliveries::<Delivery>::new(), Instant::now());
    held.insert(delivery("L1", 1), now + Hindrance::NumberTaken.pause(), true);
    held.insert(delivery("L1", 2), now + Hindrance::Unknown.pause(), true);
    assert_eq!(tags(&held.take_ready(9, now, |_| true)), [2], "it keeps no other one back");
    assert!(held.take_ready(9, now + RETRY_INTERVAL, |_| true).is_empty());
    assert_eq!(tags(&held.take_ready(9, now + NUMBER_TAKEN_INTERVAL, |_| true)), [1]);
}

#[test]
fn batches_that_do_not_fit_are_held_by_their_names() {
    let (mut held, now) = (HeldDeliveries::<Delivery>::new(), Instant::now());
    let size = delivery("L1", 1).batch().as_bytes().len();
    held.bytes = BYTES_MAX - 2 * size;
    for tag in 1..=3 {
        held.insert(delivery("L1", tag), now, true);
    }
    assert_eq!(held.next_names().len(), 3, "the ledger is asked about each");
    assert_eq!(tags(&held.take_ready(9, now, |_| true)), [1, 2]);
    held.count_bytes();
    assert_eq!((held.bytes, held.held.len()), (0, 1));
    held.insert(delivery("L1", 4), now, true);
    assert_eq!(tags(&held.take_ready(9, now, |_| true)), [4], "there is room again");
}

#[test]
fn the_ledger_is_asked_about_all_of_them_in_turn() {
    let (mut held, now) = (HeldDeliveries::<Delivery>::new(), Instant::now());
    assert!(held.next_names().is_empty());
    let sample = BatchName::from(delivery("L1", 1).batch());
    let count = NAMES_PER_QUERY as u64 + 10;
    for tag in 1..=count {
        let number = BatchNumber { sequence: Sequence(tag), ..sample.number };
        let name = BatchName { number, ..sample.clone() };
        let one = Held { name, retry_at: now, delivery: None };
        held.held.insert(DeliveryTag::Received(tag), one);
    }
    let mut ask = || -> (u64, usize) {
        let names = held.next_names();
        let (_, first) = names.first().expect("some are held");
        (first.number.sequence.0, names.len())
    };
    assert_eq!([ask(), ask(), ask()], [(1, NAMES_PER_QUERY), (1001, 10), (1, NAMES_PER_QUERY)]);
}
