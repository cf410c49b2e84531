//! Tests of the mix: shares add up, each row votes first once, bodies follow the API contract.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::*;

fn roll(rows: u32) -> RollSource {
    let mut text = b"nas,code,law_id\n".to_vec();
    for row in 1..=rows {
        text.extend_from_slice(format!("{row:09},CODE{row:05},L{}\n", row % 2).as_bytes());
    }
    RollSource::read(text.as_slice(), Path::new("roll.csv"), &[]).expect("a good roll")
}

fn options(duplicates: &str, unknown: &str, blank: &str) -> MixOptions {
    let share = |text: &str| text.parse().expect("share");
    MixOptions {
        duplicates: share(duplicates),
        unknown: share(unknown),
        blank: share(blank),
        ..MixOptions::default()
    }
}

fn body(ballot: &Ballot<'_>) -> serde_json::Value {
    let mut body = Vec::new();
    ballot.write_body(&mut body);
    serde_json::from_slice(&body).expect("a body is JSON")
}

#[test]
fn bodies_follow_the_contract() {
    let mix = BallotMix::new(roll(100), MixOptions::default()).expect("mix");
    for sequence in 0..100 {
        let ballot = mix.ballot(sequence).expect("enough rows");
        let row = ballot.row.expect("a row");
        let expected = serde_json::json!({
            "nas": format!("{row:09}"), "code": format!("CODE{row:05}"), "law_id": format!("L{}", row % 2), "vote": ballot.choice
        });
        assert_eq!(body(&ballot), expected);
        assert_eq!(ballot.law_id, format!("L{}", row % 2));
    }
    assert!(mix.ballot(100).is_none(), "the roll is used up");
}

#[test]
fn each_row_votes_first_once() {
    let mix = BallotMix::new(roll(900), options("7%", "3%", "0")).expect("mix");
    let votes = 1_000;
    assert!(mix.check_capacity(votes).is_ok());
    let mut rows = HashSet::new();
    let mut kinds = BTreeMap::new();
    for ballot in (0..votes).map(|sequence| mix.ballot(sequence).expect("enough rows")) {
        *kinds.entry(ballot.kind).or_insert(0_u64) += 1;
        match ballot.kind {
            BallotKind::First => {
                assert!(rows.insert(ballot.row.expect("a row")), "{ballot:?} votes first twice")
            }
            BallotKind::Duplicate => {
                assert!(rows.contains(&ballot.row.expect("a row")), "{ballot:?} repeats nobody")
            }
            BallotKind::Unknown => assert_eq!(ballot.row, None),
        }
    }
    assert_eq!(kinds[&BallotKind::First], mix.first_votes(votes));
    assert_eq!(kinds[&BallotKind::Unknown], 30);
    assert!((69..=70).contains(&kinds[&BallotKind::Duplicate]), "{kinds:?}");
}

#[test]
fn a_roll_that_is_too_small_is_refused_with_the_numbers() {
    let mix = BallotMix::new(roll(10), options("50%", "0", "0")).expect("mix");
    assert!(mix.check_capacity(20).is_ok());
    assert!(matches!(
        mix.check_capacity(22),
        Err(LoadError::RollTooSmall { needed: 11, available: 10 })
    ));
}

#[test]
fn the_capacity_is_the_last_run_that_fits() {
    for (duplicates, unknown) in [("0", "0"), ("10%", "0"), ("50%", "49%"), ("99.9999%", "0")] {
        let mix = BallotMix::new(roll(90), options(duplicates, unknown, "0")).expect("mix");
        let capacity = mix.capacity();
        assert!(mix.check_capacity(capacity).is_ok(), "{duplicates} {unknown}");
        assert!(mix.check_capacity(capacity + 1).is_err(), "{duplicates} {unknown}");
    }
}

#[test]
fn choices_follow_their_weights() {
    let choices = vec!["oui=3".parse().expect("choice"), "non".parse().expect("choice")];
    let mix = BallotMix::new(roll(20_000), MixOptions { choices, ..options("0", "0", "10%") })
        .expect("mix");
    let mut counts = BTreeMap::new();
    for sequence in 0..20_000 {
        *counts.entry(mix.ballot(sequence).expect("enough rows").choice).or_insert(0) += 1;
    }
    assert!((1_800..2_200).contains(&counts[BLANK_CHOICE]), "{counts:?}");
    assert!((13_000..14_000).contains(&counts["oui"]), "{counts:?}");
    assert_eq!(counts.values().sum::<i32>(), 20_000);
}

#[test]
fn runs_repeat_by_seed() {
    let first = BallotMix::new(roll(50), options("10%", "10%", "10%")).expect("mix");
    let again = BallotMix::new(roll(50), options("10%", "10%", "10%")).expect("mix");
    let other = BallotMix::new(roll(50), MixOptions { seed: 2, ..options("10%", "10%", "10%") })
        .expect("mix");
    let bodies = |mix: &BallotMix| {
        (0..50).map(|sequence| body(&mix.ballot(sequence).expect("rows"))).collect::<Vec<_>>()
    };
    assert_eq!(bodies(&first), bodies(&again));
    assert_ne!(bodies(&first), bodies(&other));
}

#[test]
fn impossible_mixes_are_refused() {
    let refused = |options| BallotMix::new(roll(1), options).expect_err("refused").to_string();
    assert!(refused(options("60%", "40%", "0")).contains("below 100%"));
    assert!(
        refused(MixOptions { choices: Vec::new(), ..MixOptions::default() }).contains("choice")
    );
    for text in ["", "=3", "oui=0", "oui=x", "o\"ui", "oui=1000001"] {
        assert_eq!(text.parse::<WeightedChoice>(), Err(MixError::Choice), "{text:?}");
    }
}

#[test]
fn a_ballot_prints_without_its_credential() {
    let mix = BallotMix::new(roll(1), MixOptions::default()).expect("mix");
    let printed = format!("{:?}", mix.ballot(0).expect("row"));
    assert!(!printed.contains("CODE") && !printed.contains("000000001"), "{printed}");
}
