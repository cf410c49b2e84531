use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/election")
}

fn leaves() -> String {
    fs::read_to_string(golden().join("bundle/leaves.jsonl")).expect("the golden log")
}

fn ballot_key() -> [u8; 32] {
    let text = fs::read_to_string(golden().join("ballot.key")).expect("the golden key");
    let mut key = [0; 32];
    let digits = text.trim();
    const_hex::decode_to_slice(digits, &mut key).expect("64 digits");
    key
}

fn evidence(name: &BatchName) -> io::Result<Option<Vec<u8>>> {
    let name = format!("{}.{}.{}.batch", name.node, name.epoch, name.sequence);
    fs::read(golden().join("evidence").join(name)).map(Some)
}

fn differences(leaves: &str) -> Vec<Difference> {
    recount(leaves.as_bytes(), evidence, &ballot_key()).expect("fixtures read").differences
}

#[test]
fn the_golden_election_is_confirmed() {
    let found = recount(leaves().as_bytes(), evidence, &ballot_key()).expect("fixtures read");
    assert_eq!(found.differences, []);
    assert_eq!((found.batches, found.envelopes, found.accepted), (6, 16, 8));
    let choices = [("oui", 4), ("non", 2), ("blanc", 1)].map(|(id, count)| (id.to_owned(), count));
    assert_eq!((found.choices.as_slice(), found.spoiled), (choices.as_slice(), 1));
    assert_eq!(found.published, Some(vec![4, 2, 1, 1]));
}

#[test]
fn other_totals_are_told() {
    let log = leaves();
    let totals = log.lines().rfind(|line| line.contains(r#""leaf":"totals""#)).expect("totals");
    let forged = log.replace(totals, &totals.replace("[4,2,1,1]", "[3,3,1,1]"));
    assert!(
        matches!(differences(&forged)[..], [Difference::Totals { .. }]),
        "{:?}",
        differences(&forged)
    );
}

#[test]
fn a_vote_turned_invalid_or_another_elector_is_told() {
    let log = leaves();
    let accepted = log
        .lines()
        .find(|line| line.contains(r#""decision":"accepted""#))
        .expect("an accepted vote");
    // A leaf that reads well.
    let duplicate = accepted
        .replace(r#""accepted""#, r#""duplicate""#)
        .replace(r#","minute""#, r#","attempt":2,"minute""#);
    let found = differences(&log.replacen(accepted, &duplicate, 1));
    let (totals, decisions): (Vec<_>, Vec<_>) =
        found.iter().partition(|difference| matches!(difference, Difference::Totals { .. }));
    assert!(!totals.is_empty(), "{found:?}");
    assert!(!decisions.is_empty(), "{found:?}");
    let is_decision = |difference: &&Difference| matches!(difference, Difference::Decision { .. });
    assert!(decisions.iter().all(is_decision), "{found:?}");
    // One that does not.
    let malformed = accepted.replace("accepted", "duplicate");
    let found = differences(&log.replacen(accepted, &malformed, 1));
    assert!(found.iter().any(|difference| matches!(difference, Difference::Log { .. })));
    let hash = accepted.split(r#""hash":""#).nth(1).expect("a hash");
    let other = log.replacen(&hash[..8], "00000000", 1);
    // The vote of the envelope is then not counted: whatever else is found follows from that.
    let entries = differences(&other);
    let entries =
        entries.iter().filter(|difference| matches!(difference, Difference::Entry { .. }));
    assert_eq!(entries.count(), 1);
    let request = accepted.split(r#""request":""#).nth(1).expect("a request");
    let other = log.replacen(&request[..8], "00000000", 1);
    assert!(
        differences(&other).iter().any(|difference| matches!(difference, Difference::Entry { .. }))
    );
}

#[test]
fn lost_and_changed_evidence_is_told() {
    let lost = |name: &BatchName| if name.sequence == 1 { Ok(None) } else { evidence(name) };
    let found =
        recount(leaves().as_bytes(), lost, &ballot_key()).expect("fixtures read").differences;
    assert!(found.iter().any(|difference| matches!(difference, Difference::Missing { .. })));
    for position in [0, 9, 20, 60, 120, 300] {
        let changed = |name: &BatchName| {
            let mut bytes = evidence(name)?.expect("there");
            if let Some(byte) = bytes.get_mut(position) {
                *byte ^= 1;
            }
            Ok(Some(bytes))
        };
        let found = recount(leaves().as_bytes(), changed, &ballot_key())
            .expect("fixtures read")
            .differences;
        assert!(
            found.iter().any(|difference| matches!(difference, Difference::Batch { .. })),
            "byte {position}"
        );
    }
}

#[test]
fn with_another_key_everything_is_spoiled() {
    let found = recount(leaves().as_bytes(), evidence, &[9; 32]).expect("fixtures read");
    assert_eq!(found.spoiled, 8);
    assert!(!found.differences.is_empty());
}

#[test]
fn what_is_no_log_is_told() {
    assert!(!differences("").is_empty());
    assert!(!differences("{}\nnot json\n").is_empty());
}
