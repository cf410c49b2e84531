use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const PAIR: u64 = 0x1234_5678_9abc_def0;
const DAY_MS: u64 = 24 * 3600 * 1000;

fn rules() -> PairRules {
    PairRules { wrong_free: 5, delay_min_ms: 1000, delay_max_ms: 60_000, forget_ms: DAY_MS }
}

fn pairs() -> Pairs {
    Pairs::new(rules(), 1024)
}

/// Makes a wrong attempt whose hint arrives at once.
fn wrong(pairs: &mut Pairs, pair: u64, at: u64) -> Result<(), u64> {
    match pairs.begin(pair, Millis(at), Millis(at)) {
        Begin::Turn(id) => {
            pairs.record_failure(pair, id);
            Ok(())
        }
        Begin::Refused { wait_ms } => Err(wait_ms),
        Begin::InTurn { .. } => panic!("nothing is pending"),
    }
}

fn turn(pairs: &mut Pairs, at: u64) -> AttemptId {
    match pairs.begin(PAIR, Millis(at), Millis(at)) {
        Begin::Turn(id) => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn five_are_free_and_then_each_wait_doubles_up_to_a_minute() {
    let (mut pairs, mut now) = (pairs(), 7);
    for number in 0..6 {
        assert_eq!(wrong(&mut pairs, PAIR, now), Ok(()), "{number}");
    }
    for wait_s in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        assert_eq!(wrong(&mut pairs, PAIR, now), Err(wait_s * 1000));
        now += wait_s * 1000;
        assert_eq!(wrong(&mut pairs, PAIR, now), Ok(()));
    }
    assert_eq!(wrong(&mut pairs, PAIR + 1, now), Ok(()), "another pair has its own");
}

#[test]
fn a_pair_has_1450_tries_in_a_day() {
    let (mut pairs, mut now, mut tries) = (pairs(), 0, 0);
    while now < DAY_MS {
        match wrong(&mut pairs, PAIR, now) {
            Ok(()) => tries += 1,
            Err(wait_ms) => now += wait_ms,
        }
    }
    // docs/threats.md is calculated from this number.
    assert_eq!(tries, 1450);
}

#[test]
fn a_day_after_the_last_wrong_code_the_pair_is_forgotten() {
    let mut pairs = pairs();
    while wrong(&mut pairs, PAIR, 0).is_ok() {}
    assert_eq!(wrong(&mut pairs, PAIR, 1000), Ok(()));
    let free = (0..10).filter(|_| wrong(&mut pairs, PAIR, 1000 + DAY_MS).is_ok()).count();
    assert_eq!(free, 6, "as new: five, and the one that begins the waits");
}

#[test]
fn attempts_wait_for_the_hint_of_the_one_before() {
    let mut pairs = pairs();
    let first = turn(&mut pairs, 0);
    let next = pairs.begin(PAIR, Millis(10), Millis(10));
    assert_eq!(next, Begin::InTurn { wait_ms: 90 });
    assert!(matches!(pairs.begin(PAIR + 1, Millis(10), Millis(10)), Begin::Turn(_)));
    pairs.record_failure(PAIR, first);
    assert!(matches!(pairs.begin(PAIR, Millis(10), Millis(60)), Begin::Turn(_)));
}

#[test]
fn overdue_hint_counts_as_wrong_until_it_arrives() {
    let mut pairs = pairs();
    let attempts: Vec<_> = (0..6).map(|number| turn(&mut pairs, number * 100)).collect();
    assert_eq!(
        pairs.begin(PAIR, Millis(600), Millis(600)),
        Begin::Refused { wait_ms: 900 },
        "six are overdue, the last since 500"
    );
    assert_eq!(pairs.len(), 0, "none is counted for good");
    pairs.clear(PAIR, attempts[2]);
    let late = turn(&mut pairs, 601);
    pairs.clear(PAIR, late);
    for attempt in attempts {
        pairs.record_failure(PAIR, attempt);
    }
    assert_eq!((pairs.len(), pairs.pending_len()), (1, 0));
    assert_eq!(wrong(&mut pairs, PAIR, 700), Ok(()), "five were wrong: this is the sixth");
    assert_eq!(wrong(&mut pairs, PAIR, 700), Err(1000));
}

#[test]
fn a_missing_hint_stays_counted() {
    let mut pairs = pairs();
    let attempts: Vec<_> = (0..6).map(|number| turn(&mut pairs, number * 100)).collect();
    pairs.expire_hints(Millis(60_499));
    assert_eq!((pairs.len(), pairs.pending_len()), (1, 1), "the last may still come");
    pairs.expire_hints(Millis(60_500));
    assert_eq!((pairs.len(), pairs.pending_len()), (1, 0));
    // Later hints are neither counted again nor undone.
    pairs.record_failure(PAIR, attempts[0]);
    pairs.clear(PAIR, attempts[1]);
    assert_eq!(wrong(&mut pairs, PAIR, 60_600), Ok(()));
    assert_eq!(wrong(&mut pairs, PAIR, 60_600), Err(2000), "six before, and this one");
}

#[test]
fn the_longest_unseen_of_eight_is_evicted() {
    let mut pairs = Pairs::new(rules(), 8);
    for pair in 0..8 {
        while wrong(&mut pairs, pair << 8, 100 + pair).is_ok() {}
    }
    // The first is seen again.
    assert_eq!(wrong(&mut pairs, 0, 1100), Ok(()));
    assert_eq!(wrong(&mut pairs, 8 << 8, 1101), Ok(()));
    assert_eq!(pairs.len(), 8, "memory has a bound");
    assert_eq!(wrong(&mut pairs, 0, 1101), Err(1999), "it was seen last");
    assert!(wrong(&mut pairs, 7 << 8, 1106).is_err());
    assert_eq!(wrong(&mut pairs, 1 << 8, 1102), Ok(()), "evicted, and let through");
}

#[test]
fn a_flood_of_pairs_takes_no_more_room() {
    let mut pairs = Pairs::new(rules(), 1000);
    for number in 0..20_000_u64 {
        // Digests are hashes, spread over all bits.
        let digest = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        assert_eq!(wrong(&mut pairs, digest, number), Ok(()));
    }
    assert_eq!((pairs.len(), pairs.wrong.len()), (1000, 1000));
}

/// An attempt of a pair, and the delay of its hint.
#[derive(Debug, Clone, Copy)]
struct Event {
    at: u64,
    pair: u64,
    is_wrong: bool,
    /// The time until the hint arrives.
    hint_ms: u64,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0..40_u64, 0..3_u64, any::<bool>(), 0..HINT_TIME_MS);
    proptest::collection::vec(event, 0..60).prop_map(|events| {
        let mut at = 0;
        let event = |(gap, pair, is_wrong, hint_ms)| {
            at += gap * gap * 4;
            Event { at, pair, is_wrong, hint_ms }
        };
        events.into_iter().map(event).collect()
    })
}

/// The answers to the wrong codes in the order of their arrival, when the attempts of each pair
/// arrive one after another and each hint takes its time.
fn answers(events: impl Iterator<Item = Event>) -> BTreeMap<u64, Vec<(u64, Option<u64>)>> {
    let (mut pairs, mut answers) = (pairs(), BTreeMap::<_, Vec<_>>::new());
    let mut hints: Vec<(u64, u64, AttemptId, bool)> = Vec::new();
    let hint_until = |pairs: &mut Pairs, hints: &mut Vec<(u64, u64, AttemptId, bool)>, now| {
        hints.sort_unstable_by_key(|hint| hint.0);
        while hints.first().is_some_and(|hint| hint.0 <= now) {
            let (_, pair, id, is_wrong) = hints.remove(0);
            if is_wrong { pairs.record_failure(pair, id) } else { pairs.clear(pair, id) }
        }
    };
    for event in events {
        let mut now = event.at;
        let answer = loop {
            hint_until(&mut pairs, &mut hints, now);
            match pairs.begin(event.pair, Millis(event.at), Millis(now)) {
                Begin::InTurn { .. } => now = hints.first().expect("it waits for one").0,
                Begin::Refused { wait_ms } => break Some(wait_ms),
                Begin::Turn(id) => {
                    hints.push((now + event.hint_ms, event.pair, id, event.is_wrong));
                    break None;
                }
            }
        };
        if event.is_wrong {
            answers.entry(event.pair).or_default().push((event.at, answer));
        }
    }
    answers
}

proptest! {
    /// No answer reveals whether and when correct votes arrive between wrong ones, not even to the
    /// voter's own prefix, although each hint takes time.
    #[test]
    fn votes_that_are_not_wrong_leave_no_trace(events in events()) {
        let wrong_alone = answers(events.iter().copied().filter(|event| event.is_wrong));
        prop_assert_eq!(answers(events.iter().copied()), wrong_alone);
    }
}
