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
    // The lease has just expired; the renewal comes after the vote.
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
    let request = Command::Request { length: LENGTH, at_least: 10, passes_over: None };
    assert_eq!(asked, [request]);
    one.step(Event::Lease(leader_lease::Event::Granted { term: 10 }), at(401));
    one.record_promise(&TermLeader { term: 10, leader: name("a") });
    assert!(granted(&mut one, 10, at(800)).is_empty(), "its own promise holds no renewal up");
}

#[test]
fn a_ledger_that_was_rolled_back_far_is_raised_in_steps() {
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
    // It leads because no other can, and renews its lease like any leader.
    assert_eq!(granted(&mut one, 9, at(5500)), []);
    assert_eq!(one.term(at(7000)), Some(9));
}

#[test]
fn hindered_authority_yields_again_after_another_has_led() {
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

fn held_by(one: &mut LeaderElection, term: u64, holder: Option<&str>, now: u64) -> Vec<Command> {
    one.step(Event::HeldBy { term, holder: holder.map(name) }, at(now))
}

fn suspicion(term: u64, leader: &str) -> Vec<Command> {
    vec![Command::Suspect { leadership: TermLeader { term, leader: name(leader) } }]
}

/// The term that the one command, a request, passes over.
fn passed_over(commands: &[Command]) -> Option<u64> {
    let [Command::Request { passes_over, .. }] = commands else { panic!("{commands:?}") };
    *passes_over
}

fn suspected_by(one: &mut LeaderElection, by: &str, term: u64, now: u64) -> Vec<Command> {
    one.step(Event::SuspectedBy { authority: name(by), term }, at(now))
}

#[test]
fn a_holder_of_the_lease_without_votes_is_suspected() {
    let mut one = election(4, 3);
    assert_eq!(held_by(&mut one, 7, Some("b"), 0), []);
    for event in [vote("a", "b", 7), vote("b", "b", 7), vote("c", "b", 6), vote("c", "d", 7)] {
        assert!(one.step(event, at(1)).is_empty());
    }
    assert_eq!(held_by(&mut one, 7, Some("b"), 9999), [], "two votes, and time left");
    assert_eq!(held_by(&mut one, 7, Some("b"), 10_000), suspicion(7, "b"));
    assert_eq!(held_by(&mut one, 7, Some("b"), 19_999), []);
    assert_eq!(held_by(&mut one, 7, Some("b"), 20_000), suspicion(7, "b"), "it may be lost");
    assert_eq!(one.suspectable(), [TermLeader { term: 7, leader: name("b") }]);
    // Another term, and another holder, have their own time.
    assert_eq!(held_by(&mut one, 8, Some("b"), 30_001), []);
    assert_eq!(held_by(&mut one, 8, Some("c"), 40_001), []);
    assert_eq!(held_by(&mut one, 8, Some("c"), 50_001), suspicion(8, "c"));
}

#[test]
fn an_elected_leader_is_not_suspected_of_having_no_votes() {
    let mut one = election(4, 3);
    assert_eq!(held_by(&mut one, 7, Some("b"), 0), []);
    for by in ["a", "b", "c"] {
        assert!(one.step(vote(by, "b", 7), at(1)).is_empty());
    }
    assert_eq!(held_by(&mut one, 7, Some("b"), 60_000), []);
    // This authority leads in between, which ends the watch.
    granted(&mut one, 8, at(60_001));
    assert_eq!(one.suspectable(), [TermLeader { term: 8, leader: name("a") }]);
    assert_eq!(held_by(&mut one, 7, Some("b"), 60_002), [], "votes are passed in again");
}

#[test]
fn a_lease_that_a_quorum_suspects_is_passed_over_and_asked_for_at_once() {
    let mut one = election(3, 2);
    refused(&mut one, "b/1", at(0));
    assert_eq!(held_by(&mut one, 7, Some("b"), 0), []);
    assert_eq!(suspected_by(&mut one, "a", 6, 1), []);
    assert_eq!(suspected_by(&mut one, "a", 7, 1), []);
    assert_eq!(suspected_by(&mut one, "a", 7, 2), [], "one authority counts once");
    assert_eq!(tick(&mut one, at(3)), [], "the next request is due later");
    assert_eq!(suspected_by(&mut one, "c", 7, 3), []);
    assert_eq!(passed_over(&tick(&mut one, at(3))), Some(7), "at once");
    let answer = leader_lease::Event::Refused { leader: "b/1".to_owned() };
    one.step(Event::Lease(answer), at(4));
    assert_eq!(suspected_by(&mut one, "c", 7, 4), []);
    assert_eq!(tick(&mut one, at(4)), [], "once for now");
    // A ledger that still shows the lease may have been restored from an older copy.
    assert_eq!(held_by(&mut one, 7, Some("b"), 1003), []);
    assert_eq!(passed_over(&tick(&mut one, at(1003))), Some(7));
    one.step(Event::Lease(leader_lease::Event::Granted { term: 8 }), at(1004));
    assert_eq!(passed_over(&tick(&mut one, at(1403))), None, "a renewal passes nothing over");
}

#[test]
fn a_leader_that_a_quorum_suspects_steps_down() {
    let mut one = election(3, 2);
    granted(&mut one, 7, at(0));
    one.step(vote("a", "a", 7), at(1));
    one.step(vote("b", "a", 7), at(1));
    assert_eq!(suspected_by(&mut one, "b", 7, 2), []);
    assert_eq!(suspected_by(&mut one, "c", 6, 2), []);
    assert!(suspected_by(&mut one, "c", 7, 3).contains(&Command::Release));
    assert_eq!(one.term(at(4)), None);
    assert_eq!(suspected_by(&mut one, "c", 7, 5), [], "it leads no more");
}

#[test]
fn a_holder_that_is_no_authority_is_passed_over_after_the_same_time() {
    let mut one = election(3, 2);
    assert_eq!(held_by(&mut one, 7, None, 0), []);
    assert_eq!(held_by(&mut one, 7, None, 9999), []);
    refused(&mut one, "stranger", at(9999));
    assert_eq!(held_by(&mut one, 7, None, 10_000), []);
    assert_eq!(passed_over(&tick(&mut one, at(10_000))), Some(7));
    assert_eq!(one.suspectable(), [], "no statement names it");
    let mut alone = election(1, 1);
    for now in [0, 10_000, 20_000] {
        assert_eq!(held_by(&mut alone, 7, Some("b"), now), [], "its processes take turns");
    }
}
