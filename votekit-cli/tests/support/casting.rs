//! Concurrent voters, the knowledge of each about the vote, and the comparison with the log.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::TestDir;
use super::http::Http;
use super::poll::{Elector, LAW};

/// Number of threads that cast concurrently.
const CASTERS: usize = 4;

/// A repeatable sequence of numbers (splitmix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// The knowledge of a voter about the vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// It was taken, under this request id.
    Taken(String),
    /// It was refused, and nothing is stored.
    Refused,
    /// The connection broke.
    Unknown,
}

/// Casts the votes of voters who have no confirmation of theirs yet, each under a separate key,
/// until the node has ended.
pub(crate) fn cast(
    node: &str,
    electors: &[Elector],
    known: &mut BTreeMap<usize, Known>,
    answered: &AtomicUsize,
) {
    let waiting: Vec<usize> = (0..electors.len())
        .filter(|index| !matches!(known.get(index), Some(Known::Taken(_))))
        .collect();
    let found: Vec<(usize, Known)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CASTERS)
            .map(|caster| {
                let mine: Vec<usize> =
                    waiting.iter().copied().skip(caster).step_by(CASTERS).collect();
                scope.spawn(move || cast_some(node, electors, &mine, answered))
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    for (index, now) in found {
        known.insert(index, now);
    }
}

fn cast_some(
    node: &str,
    electors: &[Elector],
    indices: &[usize],
    answered: &AtomicUsize,
) -> Vec<(usize, Known)> {
    let http = Http::new();
    let mut found = Vec::new();
    for &index in indices {
        let vote = if index % 3 == 0 { "non" } else { "oui" };
        // Some wait for the decision; most continue once their vote is durable.
        let wait = if index % 5 == 0 { 10 } else { 0 };
        match http.vote(node, &electors[index], vote, &format!("key-{index:016}"), wait) {
            Ok(answer) if matches!(answer.status, 200 | 202) => {
                found.push((index, Known::Taken(answer.request_id())));
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answer) => {
                assert!(matches!(answer.status, 409 | 503), "{} {}", answer.status, answer.body);
                found.push((
                    index,
                    if answer.status == 409 { Known::Refused } else { Known::Unknown },
                ));
            }
            Err(_) => {
                found.push((index, Known::Unknown));
                break;
            }
        }
    }
    found
}

/// Asserts that the log of a closed election has each of these requests accepted exactly once, and
/// is consistent.
#[track_caller]
pub(crate) fn holds_once(dir: &TestDir, known: &BTreeMap<usize, Known>) {
    let report = dir.run(&["export", "bundle", "bundle", "--data", "node", "--json"]).json();
    let leaves = String::from_utf8(dir.read("bundle/leaves.jsonl")).expect("UTF-8");
    let mut entries: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for leaf in leaves.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")) {
        if leaf["leaf"] == "entry" {
            let text = |name: &str| leaf[name].as_str().expect("text").to_owned();
            entries.entry(text("request")).or_default().push(text("decision"));
        }
    }
    for (index, known) in known {
        if let Known::Taken(request) = known {
            assert_eq!(
                entries.get(request).map(Vec::as_slice),
                Some(&["accepted".to_owned()][..]),
                "elector {index}, {request}"
            );
        }
    }
    assert!(
        entries.values().all(|decisions| *decisions == ["accepted"]),
        "an entry that nobody should have"
    );
    let show = dir.run(&["election", "show", LAW, "--data", "node", "--json"]).json();
    assert_eq!(
        (&show["state"], &show["accepted"], &show["duplicate"]),
        (&"closed".into(), &entries.len().into(), &0.into())
    );
    assert!(
        dir.run(&["recount", "--data", "node"])
            .succeeds()
            .contains("the published totals are confirmed")
    );
    let fingerprint = report["policy_fingerprint"].as_str().expect("a fingerprint");
    dir.run(&["verify", "bundle", "bundle", "--fingerprint", fingerprint, "--shards", "hashes"])
        .succeeds();
}
