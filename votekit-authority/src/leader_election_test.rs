//! Leader election with one and with several authorities.

use super::*;

const LENGTH: Duration = Duration::from_secs(2);

fn name(text: &str) -> KeyName {
    text.parse().expect("a key name")
}

fn at(milliseconds: u64) -> Monotonic {
    Monotonic(Duration::from_millis(milliseconds))
}

fn election(authorities: usize, quorum: usize) -> LeaderElection {
    let lease = LeaderLease::new(LENGTH, Duration::from_millis(400));
    LeaderElection::new(lease, name("a"), Quorum { authorities, quorum })
}

fn granted(election: &mut LeaderElection, term: u64, now: Monotonic) -> Vec<Command> {
    let asked = election.step(Event::Lease(leader_lease::Event::Tick), now);
    assert!(matches!(asked[..], [Command::Request { .. }]), "{asked:?}");
    election.step(Event::Lease(leader_lease::Event::Granted { term }), now)
}

fn vote(by: &str, leader: &str, term: u64) -> Event {
    let leadership = TermLeader { term, leader: name(leader) };
    Event::Voted { authority: name(by), leadership }
}

#[test]
fn a_single_authority_leads_with_the_lease() {
    let mut alone = election(1, 1);
    let commands = granted(&mut alone, 1, at(0));
    assert!(matches!(commands[..], [Command::Announce(Role::Leader { term: 1, .. })]));
    assert_eq!(alone.term(at(1)), Some(1));
}

#[test]
fn a_candidate_leads_once_a_quorum_has_voted_for_it() {
    let mut one = election(4, 3);
    assert_eq!(granted(&mut one, 7, at(0)), [Command::VoteForSelf { term: 7 }]);
    assert_eq!(one.term(at(1)), None);
    assert_eq!(one.candidate_term(), Some(7));
    for event in [vote("a", "a", 7), vote("a", "a", 7), vote("b", "c", 7), vote("b", "a", 6)] {
        assert!(one.step(event, at(2)).is_empty());
    }
    assert!(one.step(vote("b", "a", 7), at(3)).is_empty());
    let commands = one.step(vote("c", "a", 7), at(4));
    assert!(matches!(commands[..], [Command::Announce(Role::Leader { term: 7, .. })]));
    assert_eq!(one.term(at(5)), Some(7));
    assert_eq!(one.term(at(2001)), None, "the lease is over");
}

#[test]
fn a_candidate_without_votes_gives_way() {
    let mut one = election(3, 2);
    granted(&mut one, 7, at(0));
    let commands = one.step(Event::Lease(leader_lease::Event::Tick), at(3000));
    assert!(commands.contains(&Command::Release), "{commands:?}");
    assert!(one.step(Event::Lease(leader_lease::Event::Tick), at(5999)).is_empty(), "pauses");
    let asked = one.step(Event::Lease(leader_lease::Event::Tick), at(6000));
    assert!(matches!(asked[..], [Command::Request { at_least: 8, .. }]), "{asked:?}");
}

#[test]
fn a_leader_that_steps_down_releases_its_lease() {
    let mut one = election(3, 2);
    granted(&mut one, 7, at(0));
    one.step(vote("a", "a", 7), at(1));
    one.step(vote("b", "a", 7), at(1));
    assert_eq!(one.term(at(2)), Some(7));
    let commands = one.step(Event::StepDown, at(3));
    assert!(commands.contains(&Command::Release));
    assert_eq!(one.term(at(4)), None);
    assert!(one.step(Event::StepDown, at(5)).is_empty(), "there is nothing to step down from");
}

#[test]
fn a_renewed_lease_keeps_the_leader_without_new_votes() {
    let mut one = election(3, 2);
    granted(&mut one, 7, at(0));
    one.step(vote("a", "a", 7), at(1));
    one.step(vote("b", "a", 7), at(1));
    assert!(granted(&mut one, 7, at(500)).is_empty());
    assert_eq!(one.term(at(2400)), Some(7));
    // A new term of the same holder needs new votes.
    assert_eq!(granted(&mut one, 8, at(2600)), [Command::VoteForSelf { term: 8 }]);
    assert_eq!(one.term(at(2601)), None);
}

#[test]
fn a_leader_whose_blocks_find_no_quorum_steps_down() {
    let mut one = election(4, 3);
    granted(&mut one, 7, at(0));
    for by in ["a", "b", "c"] {
        one.step(vote(by, "a", 7), at(1));
    }
    let refused = |by: &str, term: u64| Event::RefusedBy { authority: name(by), term };
    for event in [refused("b", 6), refused("c", 7), refused("c", 7), refused("a", 7)] {
        assert!(one.step(event, at(2)).is_empty());
    }
    assert_eq!(one.term(at(3)), Some(7), "one of three may be wrong");
    assert!(one.step(refused("b", 7), at(4)).contains(&Command::Release));
    assert_eq!(one.term(at(5)), None);
}

#[test]
fn votes_that_end_the_candidacy_late_are_announced() {
    let mut one = election(3, 2);
    granted(&mut one, 7, at(0));
    one.step(vote("a", "a", 7), at(1));
    // The lease has just run out; the renewal comes after the vote.
    let commands = one.step(vote("b", "a", 7), at(2001));
    assert!(matches!(commands[..], [Command::Announce(Role::Leader { term: 7, .. })]));
    assert_eq!(one.term(at(2001)), None);
    assert!(granted(&mut one, 7, at(2002)).is_empty());
    assert_eq!(one.term(at(2003)), Some(7));
}

#[test]
fn a_term_below_the_promise_is_given_back() {
    let mut one = election(3, 2);
    one.record_promise(&TermLeader { term: 9, leader: name("b") });
    assert_eq!(granted(&mut one, 8, at(0)), [Command::Release]);
    assert_eq!(one.candidate_term(), None);
    let asked = one.step(Event::Lease(leader_lease::Event::Tick), at(400));
    assert_eq!(asked, [Command::Request { length: LENGTH, at_least: 10 }]);
    one.step(Event::Lease(leader_lease::Event::Granted { term: 10 }), at(401));
    one.record_promise(&TermLeader { term: 10, leader: name("a") });
    assert!(granted(&mut one, 10, at(800)).is_empty(), "its own promise holds no renewal up");
}

#[test]
fn a_ledger_that_was_put_back_far_is_raised_in_steps() {
    let mut one = election(3, 2);
    one.record_promise(&TermLeader { term: 2499, leader: name("b") });
    let mut now = 0;
    let mut ask = |one: &mut LeaderElection, answer: leader_lease::Event| {
        now += 400;
        let asked = one.step(Event::Lease(leader_lease::Event::Tick), at(now));
        let [Command::Request { at_least, .. }] = asked.as_slice() else { panic!("{asked:?}") };
        (*at_least, one.step(Event::Lease(answer), at(now)))
    };
    // The ledger is at term 3: it refuses a term that is 2,497 above.
    assert_eq!(ask(&mut one, leader_lease::Event::Failed), (2500, vec![]));
    let (at_least, commands) = ask(&mut one, leader_lease::Event::Granted { term: 1000 });
    assert_eq!((at_least, commands), (1000, vec![Command::Release]));
    let (at_least, commands) = ask(&mut one, leader_lease::Event::Granted { term: 2000 });
    assert_eq!((at_least, commands), (2000, vec![Command::Release]));
    let (at_least, commands) = ask(&mut one, leader_lease::Event::Granted { term: 2500 });
    assert_eq!((at_least, commands), (2500, vec![Command::VoteForSelf { term: 2500 }]));
}

fn tick(one: &mut LeaderElection, now: Monotonic) -> Vec<Command> {
    one.step(Event::Lease(leader_lease::Event::Tick), now)
}

fn refused(one: &mut LeaderElection, leader: &str, now: Monotonic) {
    let asked = tick(one, now);
    assert!(matches!(asked[..], [Command::Request { .. }]), "{asked:?}");
    let event = leader_lease::Event::Refused { leader: leader.to_owned() };
    one.step(Event::Lease(event), now);
}

#[test]
fn a_hindered_leader_steps_down_and_leads_again_only_if_no_other_wants_to() {
    let mut one = election(3, 2);
    granted(&mut one, 7, at(0));
    one.step(vote("a", "a", 7), at(1));
    one.step(vote("b", "a", 7), at(1));
    let commands = one.step(Event::Hindered, at(10));
    assert!(commands.contains(&Command::Release), "{commands:?}");
    assert_eq!(one.term(at(11)), None);
    assert_eq!(tick(&mut one, at(3009)), [], "a pause as after each step-down");
    // The others had the pause, and have the length of a lease more.
    assert_eq!(granted(&mut one, 8, at(3010)), [Command::Release]);
    assert_eq!(one.candidate_term(), None);
    assert_eq!(tick(&mut one, at(5009)), []);
    assert_eq!(granted(&mut one, 9, at(5010)), [Command::VoteForSelf { term: 9 }]);
    one.step(vote("a", "a", 9), at(5011));
    one.step(vote("b", "a", 9), at(5011));
    assert_eq!(one.term(at(5012)), Some(9));
    // It leads for want of another, and renews its lease like any leader.
    assert_eq!(granted(&mut one, 9, at(5500)), []);
    assert_eq!(one.term(at(7000)), Some(9));
}

#[test]
fn a_hindered_authority_yields_anew_after_another_has_led() {
    let mut one = election(3, 2);
    assert_eq!(one.step(Event::Hindered, at(0)), [], "it leads nothing");
    refused(&mut one, "b/1", at(0));
    assert_eq!(granted(&mut one, 8, at(400)), [Command::Release]);
    refused(&mut one, "c/1", at(2400));
    assert_eq!(granted(&mut one, 10, at(2800)), [Command::Release], "c was there meanwhile");
    assert_eq!(tick(&mut one, at(4799)), []);
    assert_eq!(granted(&mut one, 11, at(4800)), [Command::VoteForSelf { term: 11 }]);
    // An authority that can lead is there now: it has a chance again.
    assert!(one.step(Event::Hindered, at(4900)).contains(&Command::Release));
    assert_eq!(granted(&mut one, 12, at(7900)), [Command::Release]);
}

#[test]
fn a_single_authority_yields_to_none() {
    let mut alone = election(1, 1);
    assert_eq!(alone.step(Event::Hindered, at(0)), []);
    let commands = granted(&mut alone, 1, at(1));
    assert!(matches!(commands[..], [Command::Announce(Role::Leader { term: 1, .. })]));
}
