use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const LENGTH: Duration = Duration::from_millis(2000);
const RENEW_INTERVAL: Duration = Duration::from_millis(400);

fn at(milliseconds: u64) -> Monotonic {
    Monotonic(Duration::from_millis(milliseconds))
}

fn lease() -> LeaderLease {
    LeaderLease::new(LENGTH, RENEW_INTERVAL)
}

/// A lease that was granted in term 1, asked for at 0.
fn granted() -> LeaderLease {
    let mut lease = lease();
    assert_eq!(lease.step(Event::Tick, at(0)), [Command::Request { length: LENGTH, at_least: 0 }]);
    let role = Role::Leader { term: 1, until: at(2000) };
    let announced = lease.step(Event::Granted { term: 1 }, at(300));
    assert_eq!(announced, [Command::Announce(role)]);
    lease
}

#[test]
fn the_lease_counts_from_the_request_and_ends_by_itself() {
    let lease = granted();
    assert_eq!(lease.term(at(1999)), Some(1));
    assert_eq!(lease.term(at(2000)), None);
}

#[test]
fn renewal_in_one_term_extends_the_lease_and_announces_nothing() {
    let mut lease = granted();
    assert_eq!(lease.step(Event::Tick, at(399)), []);
    assert_eq!(
        lease.step(Event::Tick, at(400)),
        [Command::Request { length: LENGTH, at_least: 0 }]
    );
    assert_eq!(lease.step(Event::Granted { term: 1 }, at(500)), []);
    assert_eq!(lease.term(at(2399)), Some(1));
}

#[test]
fn no_second_request_is_sent_while_one_is_in_flight() {
    let mut lease = lease();
    assert_eq!(lease.step(Event::Tick, at(0)).len(), 1);
    assert_eq!(lease.step(Event::Tick, at(10_000)), []);
    assert_eq!(lease.step(Event::Failed, at(10_001)), []);
    assert_eq!(lease.step(Event::Tick, at(10_002)).len(), 1);
}

#[test]
fn a_refusal_names_the_leader() {
    let mut lease = granted();
    lease.step(Event::Tick, at(400));
    let role = Role::Follower { leader: Some("node-2/1".to_owned()) };
    let announced = lease.step(Event::Refused { leader: "node-2/1".to_owned() }, at(500));
    assert_eq!(announced, [Command::Announce(role)]);
    assert_eq!((lease.term(at(501)), lease.other_leader()), (None, Some("node-2/1")));
}

#[test]
fn a_grant_in_a_term_that_was_overtaken_is_released() {
    let mut lease = granted();
    lease.step(Event::Tick, at(400));
    lease.step(Event::Overtaken { term: Some(3) }, at(450));
    assert_eq!(lease.step(Event::Granted { term: 1 }, at(460)), [Command::Release]);
    assert_eq!(lease.term(at(461)), None);
    lease.step(Event::Tick, at(900));
    lease.step(Event::Granted { term: 4 }, at(910));
    assert_eq!(lease.term(at(911)), Some(4));
}

#[test]
fn overtaken_without_a_term_rules_out_the_own_one() {
    let mut lease = granted();
    lease.step(Event::Tick, at(400));
    lease.step(Event::Overtaken { term: None }, at(450));
    assert_eq!(lease.step(Event::Granted { term: 1 }, at(460)), [Command::Release]);
    assert_eq!(lease.term(at(461)), None);
}

#[test]
fn resigned_node_releases_a_late_lease_and_requests_no_other() {
    let mut lease = granted();
    lease.step(Event::Tick, at(400));
    let commands = lease.step(Event::Resign, at(410));
    assert_eq!(commands, [Command::Announce(Role::Resigned), Command::Release]);
    assert_eq!(lease.step(Event::Granted { term: 1 }, at(420)), [Command::Release]);
    assert_eq!(lease.step(Event::Tick, at(9000)), []);
    assert_eq!(lease.term(at(421)), None);
}

/// The ledger's row: holder, term, end of the lease.
#[derive(Default)]
struct LedgerRow {
    holder: Option<usize>,
    term: u64,
    until: Monotonic,
}

impl LedgerRow {
    fn acquire(&mut self, node: usize, now: Monotonic) -> Event {
        if self.holder != Some(node) {
            if now < self.until {
                return Event::Refused { leader: self.holder.unwrap_or(0).to_string() };
            }
            (self.holder, self.term) = (Some(node), self.term + 1);
        }
        self.until = now + LENGTH;
        Event::Granted { term: self.term }
    }

    fn release(&mut self, node: usize, now: Monotonic) {
        if self.holder == Some(node) {
            self.until = now;
            self.holder = None;
        }
    }
}

/// A message on its way: when it arrives, and at whom.
enum InFlight {
    ToLedger(usize),
    ToNode(usize, Event),
}

/// The treatment of each message by the network: its delay, and whether it is lost.
#[derive(Debug, Clone, Copy)]
struct Fate {
    delay: u64,
    lost: bool,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let delay = prop_oneof![4 => 0..50_u64, 1 => 0..4000_u64];
    let fate = (delay, prop::bool::weighted(0.15));
    prop::collection::vec(fate.prop_map(|(delay, lost)| Fate { delay, lost }), 1..200)
}

proptest! {
    /// Whatever is lost or delayed, no two nodes lead at one time, and the terms of leaders only
    /// grow.
    #[test]
    fn at_most_one_node_leads(fates in fates(), resigning in 0..6000_u64) {
        let mut fates = fates.into_iter().cycle();
        let mut row = LedgerRow::default();
        let mut nodes = [lease(), lease(), lease()];
        let mut in_flight: VecDeque<(u64, InFlight)> = VecDeque::new();
        let mut last_term = 0;
        let mut led = false;
        for now in (0..12_000).step_by(10) {
            if now / 10 == resigning / 10 {
                for command in nodes[0].step(Event::Resign, at(now)) {
                    if command == Command::Release { row.release(0, at(now)) }
                }
            }
            for (node, lease) in nodes.iter_mut().enumerate() {
                for command in lease.step(Event::Tick, at(now)) {
                    let Command::Request { .. } = command else { continue };
                    let fate = fates.next().expect("endless");
                    let message = if fate.lost {
                        // The driver waits for the answer no longer than the lease lasts.
                        (now + 2000, InFlight::ToNode(node, Event::Failed))
                    } else {
                        (now + fate.delay.min(1990), InFlight::ToLedger(node))
                    };
                    in_flight.push_back(message);
                }
            }
            for _ in 0..in_flight.len() {
                let (due, message) = in_flight.pop_front().expect("counted");
                if due > now {
                    in_flight.push_back((due, message));
                    continue;
                }
                match message {
                    InFlight::ToLedger(node) => {
                        let answer = row.acquire(node, at(now));
                        let fate = fates.next().expect("endless");
                        let answer = if fate.lost { Event::Failed } else { answer };
                        let due = now + fate.delay;
                        in_flight.push_back((due, InFlight::ToNode(node, answer)));
                    }
                    InFlight::ToNode(node, event) => {
                        for command in nodes[node].step(event, at(now)) {
                            if command == Command::Release { row.release(node, at(now)) }
                        }
                    }
                }
            }
            let terms: Vec<u64> = nodes.iter().filter_map(|node| node.term(at(now))).collect();
            prop_assert!(terms.len() <= 1, "{terms:?} at {now}");
            if let Some(&term) = terms.first() {
                prop_assert!(term >= last_term, "term {term} after {last_term}");
                (last_term, led) = (term, true);
            }
        }
        let quiet = fates.by_ref().take(200).all(|fate| !fate.lost && fate.delay < 1000);
        prop_assert!(led || !quiet, "no node led although nothing was lost");
    }
}
