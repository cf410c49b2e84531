//! Every engine runs the whole conformance suite, also with injected faults, and reports the number
//! of cases it ran.

use async_trait::async_trait;
use tempfile::TempDir;
use votekit_store::EngineError;
use votekit_store::Engines;
use votekit_store::embedded::EmbeddedEngine;
use votekit_store::testing::conformance::{
    TestStorage, Which, accounts_cases, ballot_box_cases, ledger_cases, registry_cases,
    report_cases,
};
use votekit_store::testing::seeded_faults::Odds;

const REGISTRY_CASES: usize = 21;
const REGISTRY_CASES_RETRY_SAFE: usize = 20;
const BALLOT_BOX_CASES: usize = 18;
const BALLOT_BOX_CASES_RETRY_SAFE: usize = 16;
const LEDGER_CASES: usize = 83;
const LEDGER_CASES_RETRY_SAFE: usize = 76;
const ACCOUNTS_CASES: usize = 33;
const ACCOUNTS_CASES_RETRY_SAFE: usize = 26;

/// How the roles of an engine are used.
#[derive(Debug, Clone, Copy)]
enum Use {
    OneNode,
    OneNodeOnABadDay { seed: u64 },
    SeveralNodes,
}

struct Folder {
    folder: TempDir,
    usage: Use,
}

impl Folder {
    fn make(usage: Use) -> Box<dyn TestStorage> {
        Box::new(Self { folder: tempfile::tempdir().expect("a temporary folder"), usage })
    }
}

#[async_trait]
impl TestStorage for Folder {
    async fn open(&self) -> Result<Engines, EngineError> {
        let engine = EmbeddedEngine::open(self.folder.path())?;
        Ok(match self.usage {
            Use::OneNode => engine.into(),
            Use::OneNodeOnABadDay { seed } => Engines::from(engine).unreliable(seed, Odds::BAD_DAY),
            Use::SeveralNodes => engine.into_shared(),
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_embedded_engine_conforms() {
    let make = || Folder::make(Use::OneNode);
    let registry = report_cases("embedded", "registry", &registry_cases(make, Which::All).await);
    let ballot_box =
        report_cases("embedded", "ballot box", &ballot_box_cases(make, Which::All).await);
    let ledger = report_cases("embedded", "ledger", &ledger_cases(make, Which::All).await);
    let accounts = report_cases("embedded", "accounts", &accounts_cases(make, Which::All).await);
    assert_eq!((registry, ballot_box, ledger), (REGISTRY_CASES, BALLOT_BOX_CASES, LEDGER_CASES));
    assert_eq!(accounts, ACCOUNTS_CASES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_embedded_engine_of_several_nodes_conforms() {
    let make = || Folder::make(Use::SeveralNodes);
    let engine = "embedded, shared";
    assert!(make().open().await.expect("opened").ledger.is_shared());
    let registry = report_cases(engine, "registry", &registry_cases(make, Which::All).await);
    let ballot_box = report_cases(engine, "ballot box", &ballot_box_cases(make, Which::All).await);
    let ledger = report_cases(engine, "ledger", &ledger_cases(make, Which::All).await);
    let accounts = report_cases(engine, "accounts", &accounts_cases(make, Which::All).await);
    assert_eq!((registry, ballot_box, ledger), (REGISTRY_CASES, BALLOT_BOX_CASES, LEDGER_CASES));
    assert_eq!(accounts, ACCOUNTS_CASES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_embedded_engine_conforms_on_a_bad_day() {
    for seed in [1, 2_025] {
        let make = || Folder::make(Use::OneNodeOnABadDay { seed });
        let engine = format!("embedded on bad day {seed}");
        let registry =
            report_cases(&engine, "registry", &registry_cases(make, Which::RetrySafe).await);
        let ballot_box =
            report_cases(&engine, "ballot box", &ballot_box_cases(make, Which::RetrySafe).await);
        let ledger = report_cases(&engine, "ledger", &ledger_cases(make, Which::RetrySafe).await);
        assert_eq!(
            (registry, ballot_box, ledger),
            (REGISTRY_CASES_RETRY_SAFE, BALLOT_BOX_CASES_RETRY_SAFE, LEDGER_CASES_RETRY_SAFE)
        );
        let accounts =
            report_cases(&engine, "accounts", &accounts_cases(make, Which::RetrySafe).await);
        assert_eq!(accounts, ACCOUNTS_CASES_RETRY_SAFE);
    }
}
