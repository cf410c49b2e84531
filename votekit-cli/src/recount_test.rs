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

/// The evidence of the golden election, optionally without its rolls, or with one batch changed or
/// lost.
#[derive(Default)]
struct Golden {
    without_rolls: bool,
    lost: Option<u64>,
    changed: Option<usize>,
}

impl Evidence for Golden {
    fn batch(&self, name: &BatchName) -> io::Result<Option<Vec<u8>>> {
        if self.lost == Some(name.sequence) {
            return Ok(None);
        }
        let name = format!("{}.{}.{}.batch", name.node, name.epoch, name.sequence);
        let mut bytes = fs::read(golden().join("evidence").join(name))?;
        if let Some(byte) = self.changed.and_then(|position| bytes.get_mut(position)) {
            *byte ^= 1;
        }
        Ok(Some(bytes))
    }

    fn roll(&self, manifest: &[u8; 32]) -> io::Result<Option<RollRows>> {
        let law_id = "L2025-001".parse().expect("a law");
        for folder in ["shards", "shards-supplement"] {
            let (digest, content) = votekit_node::read_roll(&golden().join(folder), &law_id)
                .map_err(io::Error::other)?;
            if digest.as_bytes() == manifest && !self.without_rolls {
                return Ok(content.as_ref().map(crate::commands::recount::rows));
            }
        }
        Ok(None)
    }
}

fn count(leaves: &str, evidence: &Golden) -> Recount {
    recount(leaves.as_bytes(), evidence, &ballot_key()).expect("fixtures read")
}

fn differences(leaves: &str) -> Vec<Difference> {
    count(leaves, &Golden::default()).differences
}

#[test]
fn the_golden_election_is_confirmed() {
    let found = count(&leaves(), &Golden::default());
    assert_eq!(found.differences, []);
    assert!(found.rolls_checked);
    let without_rolls = Golden { without_rolls: true, ..Golden::default() };
    let blind = count(&leaves(), &without_rolls);
    assert_eq!((blind.differences, blind.rolls_checked), (vec![], false));
    assert_eq!((found.batches, found.envelopes, found.accepted), (6, 16, 8));
    let choices = [("oui", 4), ("non", 2), ("blanc", 1)].map(|(id, count)| (id.to_owned(), count));
    assert_eq!((found.choices.as_slice(), found.spoiled), (choices.as_slice(), 1));
    assert_eq!(found.published, Some(vec![4, 2, 1, 1]));
}

#[test]
fn differing_totals_are_reported() {
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
fn a_vote_turned_invalid_or_another_elector_is_reported() {
    let log = leaves();
    let accepted = log
        .lines()
        .find(|line| line.contains(r#""decision":"accepted""#))
        .expect("an accepted vote");
    // A well-formed leaf.
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
    // A malformed leaf.
    let malformed = accepted.replace("accepted", "duplicate");
    let found = differences(&log.replacen(accepted, &malformed, 1));
    assert!(found.iter().any(|difference| matches!(difference, Difference::Log { .. })));
    let hash = accepted.split(r#""hash":""#).nth(1).expect("a hash");
    let other = log.replacen(&hash[..8], "00000000", 1);
    // The vote of the envelope is then not counted: other differences follow from that.
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
fn lost_and_changed_evidence_is_reported() {
    let lost = Golden { lost: Some(1), ..Golden::default() };
    let found = count(&leaves(), &lost).differences;
    assert!(found.iter().any(|difference| matches!(difference, Difference::Missing { .. })));
    for position in [0, 9, 20, 60, 120, 300] {
        let changed = Golden { changed: Some(position), ..Golden::default() };
        let found = count(&leaves(), &changed).differences;
        assert!(
            found.iter().any(|difference| matches!(difference, Difference::Batch { .. })),
            "byte {position}"
        );
    }
}

#[test]
fn with_another_key_everything_is_spoiled() {
    let found = recount(leaves().as_bytes(), &Golden::default(), &[9; 32]).expect("fixtures read");
    assert_eq!(found.spoiled, 8);
    assert!(!found.differences.is_empty());
}

#[test]
fn malformed_logs_are_reported() {
    assert!(!differences("").is_empty());
    assert!(!differences("{}\nnot json\n").is_empty());
}

/// Returns the first accepted vote of the log: its line, and the digest of its envelope.
fn first_accepted(log: &str) -> (String, String) {
    let lines: Vec<&str> = log.lines().collect();
    let index = lines.iter().position(|line| line.contains(r#""decision":"accepted""#));
    let index = index.expect("an accepted vote");
    let batch = lines[..index].iter().rposition(|line| line.contains(r#""leaf":"batch""#));
    let batch = batch.expect("its batch");
    let name = BatchName { node: "596cba8e2d5d25ad".to_owned(), epoch: 1, sequence: 1 };
    let bytes = Golden::default().batch(&name).expect("read").expect("there");
    let envelopes = EvidenceBatch::read(&bytes).expect("a batch");
    let digest = envelopes.envelope_digest(index - batch - 1);
    (lines[index].to_owned(), const_hex::encode(digest))
}

fn request_of(line: &str) -> &str {
    line.split(r#""request":""#).nth(1).and_then(|rest| rest.get(..32)).expect("a request")
}

/// Only the rolls reveal that a registered elector was refused.
#[test]
fn a_registered_vote_decided_as_unknown_is_reported() {
    let log = leaves();
    let (line, envelope) = first_accepted(&log);
    let minute = line.split(r#""minute":"#).nth(1).expect("a minute");
    for reason in ["unknown", "revoked"] {
        let refused = format!(
            r#"{{"leaf":"entry","request":"{}","decision":"invalid","reason":"{reason}","envelope":"{envelope}","minute":{minute}"#,
            request_of(&line),
        );
        let forged = log.replacen(&line, &refused, 1);
        let decisions = |evidence: &Golden| {
            let found = count(&forged, evidence).differences;
            let is_decision = |found: &Difference| matches!(found, Difference::Decision { .. });
            found.iter().filter(|found| is_decision(found)).map(ToString::to_string).collect()
        };
        let blind = Golden { without_rolls: true, ..Golden::default() };
        // The replay of the same request follows a refused vote as well as an accepted one.
        assert_eq!(decisions(&blind), Vec::<String>::new());
        let found: Vec<String> = decisions(&Golden::default());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with("the credential votes for the first time here"), "{found:?}");
    }
}

/// The log swaps the reasons `unknown` and `revoked`.
#[test]
fn the_reason_of_a_refusal_is_checked_by_the_rolls() {
    for (from, to, said) in [
        (r#""reason":"unknown""#, r#""reason":"revoked""#, "no roll holds the credential"),
        (r#""reason":"revoked""#, r#""reason":"unknown""#, "the credential was revoked before"),
    ] {
        let found = differences(&leaves().replacen(from, to, 1));
        assert!(
            matches!(&found[..], [Difference::Decision { what, .. }] if what == said),
            "{found:?}"
        );
    }
}

/// A sealer that drops a vote reports it as a replay, omits its leaf, or names another request.
#[test]
fn a_vote_reported_as_a_replay_or_omitted_is_found() {
    let log = leaves();
    let (line, envelope) = first_accepted(&log);
    let replay =
        format!(r#"{{"leaf":"replay","request":"{}","envelope":"{envelope}"}}"#, request_of(&line));
    let found = differences(&log.replacen(&line, &replay, 1));
    let said = "the request was not decided before";
    assert!(
        found
            .iter()
            .any(|found| matches!(found, Difference::Decision { what, .. } if what == said)),
        "{found:?}"
    );
    let found = differences(&log.replacen(&format!("{line}\n"), "", 1));
    assert!(found.iter().any(|found| matches!(found, Difference::Count { .. })), "{found:?}");
    let true_replay = log.lines().find(|line| line.contains(r#""leaf":"replay""#)).expect("one");
    let others = log.lines().filter(|line| line.contains(r#""decision":"accepted""#));
    let other = others.map(request_of).find(|other| *other != request_of(true_replay));
    let other = true_replay.replace(request_of(true_replay), other.expect("another request"));
    let found = differences(&log.replacen(true_replay, &other, 1));
    assert!(found.iter().any(|found| matches!(found, Difference::Entry { .. })), "{found:?}");
}
