//! The published log: the leaves of the bundle, and its results file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{ReadError, read_text};
use crate::merkle::{Hash, leaf_hash};

/// The log of a bundle, reduced to what the rules need.
#[derive(Debug)]
pub(crate) struct Log {
    /// `leaves.jsonl`.
    pub(crate) leaves_path: PathBuf,
    /// `results.json`.
    pub(crate) results_path: PathBuf,
    pub(crate) leaf_hashes: Vec<Hash>,
    pub(crate) entries: Vec<Entry>,
    /// Indexes into `entries` by request id, in log order.
    pub(crate) by_request: HashMap<String, Vec<usize>>,
    /// Envelopes in all batches.
    pub(crate) received: u64,
    /// Replay leaves.
    pub(crate) replayed: u64,
    pub(crate) results: Value,
    /// The report of the `closed` leaf.
    pub(crate) close_report: Option<Value>,
    /// Whether the `certified` leaf waives the outside witnesses.
    pub(crate) waives_witnesses: bool,
}

/// One decided vote: an `entry` leaf.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The line, from 1.
    pub(crate) line: usize,
    pub(crate) request: String,
    pub(crate) decision: String,
    /// The credential hash; invalid entries have none.
    pub(crate) hash: Option<String>,
}

/// Reads a bundle from its folder.
pub(crate) fn read(bundle: &Path) -> Result<Log, ReadError> {
    let (leaves_path, results_path) = (bundle.join("leaves.jsonl"), bundle.join("results.json"));
    let text = read_text(&leaves_path)?;
    let results = read_text(&results_path)?;
    let results = serde_json::from_str(&results)
        .map_err(|error| ReadError::form(&results_path, 1, error.to_string()))?;
    let mut log = Log {
        leaves_path: leaves_path.clone(),
        results_path,
        leaf_hashes: Vec::new(),
        entries: Vec::new(),
        by_request: HashMap::new(),
        received: 0,
        replayed: 0,
        results,
        close_report: None,
        waives_witnesses: false,
    };
    // Not `lines()`: it would strip a carriage return from the bytes that are hashed.
    for (index, leaf) in text.strip_suffix('\n').unwrap_or(&text).split('\n').enumerate() {
        log.leaf_hashes.push(leaf_hash(leaf.as_bytes()));
        let malformed = |problem: &str| ReadError::form(&leaves_path, index + 1, problem);
        let value: Value =
            serde_json::from_str(leaf).map_err(|error| malformed(&error.to_string()))?;
        match value["leaf"].as_str() {
            Some("entry") => log
                .push(index + 1, &value)
                .ok_or_else(|| malformed("an entry has a request and a decision"))?,
            Some("replay") => log.replayed += 1,
            Some("batch") => {
                log.received +=
                    value["count"].as_u64().ok_or_else(|| malformed("a batch has a count"))?
            }
            Some("election") if value["state"] == "closed" => {
                log.close_report = Some(value["report"].clone())
            }
            Some("election") if value["state"] == "certified" => {
                log.waives_witnesses = value["witness_waiver"].is_string()
            }
            Some(_) => {}
            None => return Err(malformed("a leaf names its kind")),
        }
    }
    Ok(log)
}

impl Log {
    fn push(&mut self, line: usize, value: &Value) -> Option<()> {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let entry = Entry {
            line,
            request: text("request")?,
            decision: text("decision")?,
            hash: text("hash"),
        };
        self.by_request.entry(entry.request.clone()).or_default().push(self.entries.len());
        self.entries.push(entry);
        Some(())
    }
}
