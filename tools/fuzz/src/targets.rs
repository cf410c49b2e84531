//! One function per parser of external bytes. Each checks a property of the parsed value, not only
//! the absence of panics, and returns whether the bytes were accepted.
//!
//! To add a target: add a function here, its line in [`TARGETS`], and seeds in
//! `tools/fuzz/corpus/<name>/`, at least one that is accepted and one that is refused.

use votekit_core::authority::AuthoritySet;
use votekit_core::ballot::BallotSecretKey;
use votekit_core::batch::Batch;
use votekit_core::envelope::VoteRequest;
use votekit_core::id::{Digest, ElectionId};
use votekit_core::log::checkpoint::SignedCheckpoint;
use votekit_core::log::leaf::Leaf;
use votekit_core::log::note::Note;
use votekit_core::log::policy::Policy;
use votekit_core::log::proof::Proof;
use votekit_core::log::tile::{self, TilePath};
use votekit_core::manifest::Manifest;
use votekit_core::roll::read_roll;
use votekit_core::shard::{Changes, ShardFormat, ShardHead};

/// Returns whether the bytes were accepted. Panics if a property is violated.
pub(crate) type Target = fn(&[u8]) -> bool;

/// Every target by name.
pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("authorities", authorities),
    ("batch", batch),
    ("changes", changes),
    ("checkpoint", checkpoint),
    ("entry_bundle", entry_bundle),
    ("http_vote", http_vote),
    ("leaf", leaf),
    ("manifest", manifest),
    ("note", note),
    ("policy", policy),
    ("proof", proof),
    ("roll", roll),
    ("shard_binary", shard_binary),
    ("shard_json", shard_json),
    ("statement", statement),
    ("tile_path", tile_path),
];

/// A set of authorities keeps its bytes, and the policy made from it is that of an election.
fn authorities(data: &[u8]) -> bool {
    let Ok(set) = AuthoritySet::parse(data) else { return false };
    assert_eq!(set.as_bytes(), data);
    assert_eq!(set.fingerprint(), Digest::compute(data));
    let law_id: ElectionId = "L2025-001".parse().expect("a law id");
    let origin = format!("{}/{law_id}", set.base());
    // Two keys of one id have no policy.
    if let Ok(policy) = set.policy(&law_id, true) {
        assert!(policy.is_of_election(&origin));
        assert_eq!(policy.authorities().len(), set.members().len());
    }
    true
}

/// A batch keeps its bytes, holds the stated number of envelopes, and opens to that number of
/// choices with any key.
fn batch(data: &[u8]) -> bool {
    let Ok(batch) = Batch::parse(data.to_vec()) else { return false };
    assert_eq!(batch.as_bytes(), data);
    assert_eq!(batch.digest(), Digest::compute(&data[..data.len() - 64]));
    assert_eq!(batch.envelopes().len(), batch.count());
    assert_eq!(batch.open(&BallotSecretKey::from_seed(&[1; 32])).len(), batch.count());
    true
}

/// A change file is read from its canonical bytes only.
fn changes(data: &[u8]) -> bool {
    let Ok(changes) = Changes::decode(data) else { return false };
    assert_eq!(changes.encode(), data);
    true
}

/// A checkpoint is written as it was read, and its fields alone reproduce the signed text.
fn checkpoint(data: &[u8]) -> bool {
    let Ok(signed) = SignedCheckpoint::parse(data) else { return false };
    assert_eq!(signed.to_string().as_bytes(), data);
    assert_eq!(signed.unverified().text(), signed.note().text());
    true
}

/// The entries of a bundle, reassembled, are the bundle.
fn entry_bundle(data: &[u8]) -> bool {
    let Ok(entries) = tile::entries(data).collect::<Result<Vec<_>, _>>() else { return false };
    assert!(entries.len() <= usize::from(tile::TILE_WIDTH));
    let mut bundle = Vec::new();
    for entry in entries {
        tile::push_entry(&mut bundle, entry).expect("an entry that was read fits");
    }
    assert_eq!(bundle, data);
    true
}

/// A vote in canonical form reads as the same vote; a refusal names a field and contains no number
/// long enough to be a secret.
fn http_vote(data: &[u8]) -> bool {
    match VoteRequest::parse(data) {
        Ok(vote) => {
            let text = |bytes: &[u8]| {
                String::from_utf8(bytes.to_vec()).expect("canonical fields are ASCII")
            };
            let (nas, code) =
                (text(vote.credential.nas.as_bytes()), text(vote.credential.code.as_bytes()));
            let (law, choice) = (vote.credential.law_id.as_str(), vote.choice.as_str());
            let canonical =
                format!(r#"{{"nas":"{nas}","code":"{code}","law_id":"{law}","vote":"{choice}"}}"#);
            assert_eq!(VoteRequest::parse(canonical.as_bytes()).as_ref(), Ok(&vote));
            let printed = format!("{vote:?}");
            assert!(!printed.contains(&nas), "a NAS was printed");
            true
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors {
                assert!(["nas", "code", "law_id", "vote", "body"].contains(&error.field));
                let rule = error.rule.to_string();
                assert!(longest_number(&rule) < 6, "a value was repeated: {rule}");
            }
            false
        }
    }
}

/// A leaf is read from its canonical bytes only.
fn leaf(data: &[u8]) -> bool {
    let Ok(leaf) = Leaf::parse(data) else { return false };
    assert_eq!(leaf.to_bytes(), data);
    assert!(data.len() <= Leaf::LENGTH_MAX);
    true
}

/// A manifest is read from its canonical bytes only.
fn manifest(data: &[u8]) -> bool {
    let Ok(manifest) = Manifest::parse(data) else { return false };
    assert_eq!(manifest.encode(), data);
    assert_eq!(manifest.digest(), Digest::compute(data));
    true
}

/// A note is written as it was read, and its parts reproduce it.
fn note(data: &[u8]) -> bool {
    let Ok(note) = Note::parse(data) else { return false };
    assert_eq!(note.to_string().as_bytes(), data);
    assert_eq!(Note::new(note.text().to_owned(), note.signatures().to_vec()).as_ref(), Ok(&note));
    true
}

/// A policy keeps its bytes. All witnesses together are a quorum; no witnesses are one only if the
/// policy requires none.
fn policy(data: &[u8]) -> bool {
    let Ok(policy) = Policy::parse(data) else { return false };
    assert_eq!(policy.as_bytes(), data);
    assert_eq!(policy.fingerprint(), Digest::compute(data));
    let witnesses = policy.witnesses().len();
    assert!(policy.is_quorum(&vec![true; witnesses]));
    assert_eq!(policy.is_quorum(&vec![false; witnesses]), policy.quorum().is_none());
    true
}

/// A proof is written as it was read, and its parts reproduce it.
fn proof(data: &[u8]) -> bool {
    let Ok(proof) = Proof::parse(data) else { return false };
    assert_eq!(proof.to_string().as_bytes(), data);
    let again =
        Proof::new(proof.extra(), proof.index(), proof.path().to_vec(), proof.checkpoint().clone());
    assert_eq!(again, proof);
    true
}

/// A roll in canonical form reads as the same electors, on ascending lines; a refusal contains no
/// number long enough to be a secret.
fn roll(data: &[u8]) -> bool {
    let rows = match read_roll(data) {
        Ok(rows) => rows,
        Err(error) => {
            assert!(longest_number(&error.to_string()) < 6, "a value was repeated: {error}");
            return false;
        }
    };
    assert!(rows.is_sorted_by(|earlier, later| earlier.line < later.line));
    let mut canonical = b"nas,code,law_id\n".to_vec();
    for row in &rows {
        let law = row.credential.law_id.as_str().as_bytes();
        let line = [
            row.credential.nas.as_bytes(),
            b",".as_slice(),
            row.credential.code.as_bytes(),
            b",",
            law,
            b"\n",
        ];
        canonical.extend(line.concat());
    }
    // Whether a header alone is refused is not part of this property.
    if !rows.is_empty() {
        let again = read_roll(canonical.as_slice()).expect("a canonical roll is read");
        assert!(again.iter().map(|row| &row.credential).eq(rows.iter().map(|row| &row.credential)));
    }
    true
}

fn shard_binary(data: &[u8]) -> bool {
    shard(ShardFormat::Binary, data)
}

fn shard_json(data: &[u8]) -> bool {
    shard(ShardFormat::Json, data)
}

/// A shard is read from its canonical bytes only, and its keys are ascending.
fn shard(format: ShardFormat, data: &[u8]) -> bool {
    let Ok((head, keys)) = ShardHead::decode(format, data) else { return false };
    assert!(keys.is_sorted_by(|earlier, later| earlier < later));
    assert_eq!(head.encode(format, &keys), data);
    true
}

/// A statement or a proposal is read from its canonical text only, and names authorities of the
/// set. The seeds contain the only valid signatures: accepted bytes must be one of the seeds.
fn statement(data: &[u8]) -> bool {
    let set = include_bytes!("../../../fixtures/vectors/authorities/authorities");
    let set = AuthoritySet::parse(set).expect("the golden authorities");
    let (text, leadership) = match (set.verify_statement(data), set.verify_proposal(data)) {
        (Ok(statement), Err(_)) => {
            assert!(set.member(&statement.authority).is_some());
            (statement.text(set.base()), statement.body.leadership().clone())
        }
        (Err(_), Ok(proposal)) => (proposal.text(set.base()), proposal.leadership),
        (Err(_), Err(_)) => return false,
        (Ok(_), Ok(_)) => panic!("a statement that is a proposal too"),
    };
    assert!(set.member(&leadership.leader).is_some());
    assert_eq!(Note::parse(data).expect("a verified note").text(), text);
    true
}

/// Each tile has exactly one path.
fn tile_path(data: &[u8]) -> bool {
    let Some(path) = std::str::from_utf8(data).ok().and_then(|text| text.parse::<TilePath>().ok())
    else {
        return false;
    };
    assert_eq!(path.to_string().as_bytes(), data);
    true
}

fn longest_number(text: &str) -> usize {
    text.split(|character: char| !character.is_ascii_digit()).map(str::len).max().unwrap_or(0)
}
