//! A small consistent election, which the tests then make inconsistent.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::{Inputs, Report, check, merkle};

pub(crate) const ORIGIN: &str = "votekit.example/test/L1";

/// The seed of the outside witness's key.
pub(crate) const OUTSIDE: u8 = 21;

/// The seed of the log's key in the policy.
const LOG: u8 = 7;

/// The seeds of the authorities' keys, of which two are a quorum.
const AUTHORITIES: [u8; 3] = [11, 12, 13];

/// Everything that a check reads, before it is written to files.
pub(crate) struct Sample {
    pub(crate) journal: Vec<Value>,
    pub(crate) leaves: Vec<Value>,
    pub(crate) results: Value,
    /// The key that signs the checkpoints; the policy always names that of [`LOG`].
    pub(crate) key: SigningKey,
    /// Replaces the computed root of the leaves.
    pub(crate) root: Option<merkle::Hash>,
    /// The leaves covered by an earlier checkpoint. Outside witnesses have not cosigned it.
    pub(crate) seen: Option<Vec<Value>>,
    /// The seeds of the keys that cosign the checkpoints; `None` for a policy without a quorum.
    pub(crate) cosigned_by: Option<Vec<u8>>,
    /// Whether the policy requires the cosignature of [`OUTSIDE`].
    pub(crate) has_outside: bool,
}

impl Sample {
    /// Rows 1 to 3 vote oui, oui and non and get answers; row 1 votes again; one vote has an
    /// invented credential; row 4 gets no answer, and its vote counts; row 5 gets no answer, and
    /// its vote is not in the log. One envelope is a replay.
    pub(crate) fn good() -> Self {
        let votes = [
            (Some(1), "oui"),
            (Some(2), "oui"),
            (Some(3), "non"),
            (Some(1), "non"),
            (None, "oui"),
            (Some(4), "non"),
            (Some(5), "oui"),
        ];
        let mut journal = vec![json!({
            "line": "start", "format": "votekit-load/1",
            "seed": 1, "votes": 7, "rows": 5, "nodes": [],
        })];
        journal.extend((0..).zip(votes).map(|(seq, (row, choice))| vote(seq, row, choice)));
        // The second vote is answered on its retry.
        journal.extend([
            unanswered(1),
            answered(0, 100),
            answered(1, 101),
            answered(2, 102),
            answered(3, 103),
            answered(4, 104),
        ]);
        journal.extend([unanswered(5), unanswered(6), answered(0, 100)]);
        journal.push(json!({
            "line": "decision", "seq": 3, "at_us": 1,
            "request_id": request(103), "state": "duplicate",
        }));
        let report =
            json!({"received": 7, "accepted": 4, "duplicate": 1, "invalid": 1, "replayed": 1});
        let leaves = vec![
            json!({"leaf": "batch", "count": 3}),
            entry(100, "accepted", Some(1)),
            entry(101, "accepted", Some(2)),
            entry(102, "accepted", Some(3)),
            json!({"leaf": "batch", "count": 4}),
            entry(103, "duplicate", Some(1)),
            entry(104, "invalid", None),
            entry(105, "accepted", Some(4)),
            json!({"leaf": "replay", "request": request(100), "minute": 1}),
            json!({"leaf": "election", "state": "closed", "report": report}),
        ];
        let mut results = report;
        results["spoiled"] = 0.into();
        results["choices"] = json!([{"id": "oui", "count": 2}, {"id": "non", "count": 2}]);
        Self {
            journal,
            leaves,
            results,
            key: key(LOG),
            root: None,
            seen: None,
            cosigned_by: None,
            has_outside: false,
        }
    }

    /// Writes the files and checks them.
    pub(crate) fn check(&self) -> Report {
        let folder = TempDir::new().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let lines =
            |values: &[Value]| values.iter().map(|value| format!("{value}\n")).collect::<String>();
        fs::create_dir(path("bundle")).expect("a folder");
        fs::write(path("journal"), lines(&self.journal)).expect("written");
        fs::write(path("bundle/leaves.jsonl"), lines(&self.leaves)).expect("written");
        fs::write(path("bundle/results.json"), self.results.to_string()).expect("written");
        let rows: String = (1..=5).map(|row| credential(row) + "\n").collect();
        fs::write(path("roll.csv"), format!("nas,code,law_id\n{rows}")).expect("written");
        fs::write(path("policy"), self.policy()).expect("written");
        let cosigners = self.cosigned_by.as_deref().unwrap_or_default();
        let checkpoint = self.checkpoint(&self.leaves, self.root, cosigners);
        fs::write(path("bundle/checkpoint"), checkpoint).expect("written");
        let mut checkpoints = Vec::new();
        if let Some(seen) = &self.seen {
            let authorities: Vec<u8> =
                cosigners.iter().copied().filter(|seed| *seed != OUTSIDE).collect();
            fs::write(path("seen"), self.checkpoint(seen, None, &authorities)).expect("written");
            checkpoints.push(path("seen"));
        }
        let (bundle, roll, policy) = (path("bundle"), path("roll.csv"), path("policy"));
        check(&Inputs { journals: vec![path("journal")], bundle, roll, policy, checkpoints })
            .expect("everything reads")
    }

    fn policy(&self) -> String {
        let mut policy = format!("log {}\n", vkey(ORIGIN, 1, &key(LOG)));
        if self.cosigned_by.is_none() {
            return policy;
        }
        for seed in AUTHORITIES {
            policy += &format!("witness a{seed} {}\n", vkey(&cosigner(seed), 4, &key(seed)));
        }
        let group = "group authorities 2 a11 a12 a13\n";
        policy += &if self.has_outside {
            let witness = vkey(&cosigner(OUTSIDE), 4, &key(OUTSIDE));
            format!(
                "witness w {witness}\n{group}group witnesses 1 w\n\
                 group both all authorities witnesses\nquorum both\n"
            )
        } else {
            format!("{group}quorum authorities\n")
        };
        policy
    }

    fn checkpoint(&self, leaves: &[Value], root: Option<merkle::Hash>, cosigners: &[u8]) -> String {
        let hashes: Vec<_> =
            leaves.iter().map(|leaf| merkle::leaf_hash(leaf.to_string().as_bytes())).collect();
        let root = root.unwrap_or_else(|| merkle::root(&hashes));
        let text = format!("{ORIGIN}\n{}\n{}\n", leaves.len(), STANDARD.encode(root));
        let hash = key_hash(ORIGIN, 1, &self.key);
        let signature =
            STANDARD.encode([&hash[..], &self.key.sign(text.as_bytes()).to_bytes()].concat());
        let mut note = format!("{text}\n— {ORIGIN} {signature}\n");
        for seed in cosigners {
            let (name, key) = (cosigner(*seed), key(*seed));
            let signature = key.sign(format!("cosignature/v1\ntime 5\n{text}").as_bytes());
            let (hash, time) = (key_hash(&name, 4, &key), 5_u64.to_be_bytes());
            let bytes = [&hash[..], &time[..], &signature.to_bytes()].concat();
            note += &format!("— {name} {}\n", STANDARD.encode(bytes));
        }
        note
    }
}

pub(crate) fn request(number: u64) -> String {
    format!("{number:032x}")
}

pub(crate) fn vote(seq: u64, row: Option<u64>, choice: &str) -> Value {
    let kind = if row.is_some() { "first" } else { "unknown" };
    let key = format!("k{seq}");
    let mut line = json!({
        "line": "vote", "seq": seq, "kind": kind, "law_id": "L1", "choice": choice, "key": key,
    });
    if let Some(row) = row {
        line["row"] = row.into();
    }
    line
}

pub(crate) fn answered(seq: u64, number: u64) -> Value {
    json!({
        "line": "outcome", "seq": seq, "at_us": 1, "status": 202,
        "request_id": request(number), "state": "pending",
    })
}

pub(crate) fn unanswered(seq: u64) -> Value {
    json!({"line": "outcome", "seq": seq, "at_us": 1, "error": "timeout"})
}

pub(crate) fn entry(number: u64, decision: &str, row: Option<u64>) -> Value {
    let mut leaf =
        json!({"leaf": "entry", "request": request(number), "decision": decision, "minute": 1});
    if let Some(row) = row {
        leaf["hash"] = const_hex::encode(Sha256::digest(credential(row).replace(',', "|"))).into();
    }
    leaf
}

fn credential(row: u64) -> String {
    format!("{row:09},CODE{row},L1")
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// The name of a cosigner's key.
fn cosigner(seed: u8) -> String {
    format!("votekit.example/authority/a{seed}")
}

fn vkey(name: &str, algorithm: u8, key: &SigningKey) -> String {
    let encoded = STANDARD.encode([&[algorithm][..], key.verifying_key().as_bytes()].concat());
    format!("{name}+{}+{encoded}", const_hex::encode(key_hash(name, algorithm, key)))
}

fn key_hash(name: &str, algorithm: u8, key: &SigningKey) -> [u8; 4] {
    let public = key.verifying_key().to_bytes();
    let digest = Sha256::digest([name.as_bytes(), &[b'\n', algorithm], &public].concat());
    digest[..4].try_into().expect("four bytes")
}
