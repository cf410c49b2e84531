//! Every engine runs the conformance suite, whole and on a bad day, and says how many cases it ran.

// The counts are for whoever reads the test's output: a suite that silently ran nothing proves nothing.
#![allow(clippy::print_stdout)]

use async_trait::async_trait;
use tempfile::TempDir;
use votekit_node::engine::EngineError;
use votekit_node::engine::Roles;
use votekit_node::engine::conformance::{CaseResult, Place, Which, ballot_box_cases, ledger_cases, registry_cases};
use votekit_node::engine::embedded::EmbeddedEngine;
use votekit_node::engine::unreliable::Odds;

const REGISTRY_CASES: usize = 21;
const BALLOT_BOX_CASES: usize = 17;
const BALLOT_BOX_CASES_RETRY_SAFE: usize = 16;
const LEDGER_CASES: usize = 29;
const LEDGER_CASES_RETRY_SAFE: usize = 27;

struct Folder {
    folder: TempDir,
    bad_day: Option<u64>,
}

impl Folder {
    fn make(bad_day: Option<u64>) -> Box<dyn Place> {
        Box::new(Self { folder: tempfile::tempdir().expect("a temporary folder"), bad_day })
    }
}

#[async_trait]
impl Place for Folder {
    async fn open(&self) -> Result<Roles, EngineError> {
        let engine = EmbeddedEngine::open(self.folder.path())?;
        let roles = Roles { registry: engine.registry, ballot_box: engine.ballot_box, ledger: engine.ledger };
        Ok(match self.bad_day {
            Some(seed) => roles.unreliable(seed, Odds::BAD_DAY),
            None => roles,
        })
    }
}

/// Counts the cases; fails with each that did not hold.
fn count(role: &str, results: &[CaseResult]) -> usize {
    let broken: Vec<String> = results
        .iter()
        .filter_map(|case| case.outcome.as_ref().err().map(|error| format!("{role}: {}: {error}", case.name)))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    results.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_embedded_engine_conforms() {
    let make = || Folder::make(None);
    let registry = count("registry", &registry_cases(make, Which::All).await);
    let ballot_box = count("ballot box", &ballot_box_cases(make, Which::All).await);
    let ledger = count("ledger", &ledger_cases(make, Which::All).await);
    println!("conformance: embedded registry: {registry} cases, ballot box: {ballot_box} cases, ledger: {ledger} cases");
    assert_eq!((registry, ballot_box, ledger), (REGISTRY_CASES, BALLOT_BOX_CASES, LEDGER_CASES));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_embedded_engine_conforms_on_a_bad_day() {
    for seed in [1, 2_025] {
        let make = || Folder::make(Some(seed));
        let registry = count("registry", &registry_cases(make, Which::RetrySafe).await);
        let ballot_box = count("ballot box", &ballot_box_cases(make, Which::RetrySafe).await);
        let ledger = count("ledger", &ledger_cases(make, Which::RetrySafe).await);
        println!(
            "conformance: embedded on bad day {seed}: registry: {registry} cases, ballot box: {ballot_box} cases, ledger: {ledger} cases"
        );
        assert_eq!((registry, ballot_box, ledger), (REGISTRY_CASES, BALLOT_BOX_CASES_RETRY_SAFE, LEDGER_CASES_RETRY_SAFE));
    }
}
