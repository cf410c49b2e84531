//! The ledger and the accounts on PostgreSQL run the whole conformance suite, also with injected
//! faults, and report the number of cases they ran.

mod free_port;
mod postgres_support;

use std::sync::Arc;

use async_trait::async_trait;
use postgres_support::{address, drop_schema, fresh_schema};
use tempfile::TempDir;
use votekit_store::embedded::EmbeddedEngine;
use votekit_store::services::postgres::PostgresLedger;
use votekit_store::testing::conformance::{
    TestStorage, Which, accounts_cases, ledger_cases, report_cases,
};
use votekit_store::testing::seeded_faults::Odds;
use votekit_store::{EngineError, Engines};

const LEDGER_CASES: usize = 83;
const LEDGER_CASES_RETRY_SAFE: usize = 76;
const ACCOUNTS_CASES: usize = 33;
const ACCOUNTS_CASES_RETRY_SAFE: usize = 26;

/// A separate schema. The other roles, which the cases do not use, are embedded.
struct Schema {
    name: String,
    folder: TempDir,
    bad_day: Option<u64>,
}

impl Schema {
    fn make(bad_day: Option<u64>) -> Box<dyn TestStorage> {
        Box::new(Self {
            name: fresh_schema(),
            folder: tempfile::tempdir().expect("a temporary folder"),
            bad_day,
        })
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        drop_schema(&self.name);
    }
}

#[async_trait]
impl TestStorage for Schema {
    async fn open(&self) -> Result<Engines, EngineError> {
        let engine = EmbeddedEngine::open(self.folder.path())?;
        let ledger = Arc::new(PostgresLedger::open(&address(&self.name)).await?);
        let accounts = Arc::new(ledger.accounts());
        let (registry, ballot_box) = (engine.registry, engine.ballot_box);
        let roles = Engines { registry, ballot_box, ledger, accounts };
        Ok(match self.bad_day {
            Some(seed) => roles.unreliable(seed, Odds::BAD_DAY),
            None => roles,
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_ledger_on_postgresql_conforms() {
    let cases =
        report_cases("services", "ledger", &ledger_cases(|| Schema::make(None), Which::All).await);
    assert_eq!(cases, LEDGER_CASES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_ledger_on_postgresql_conforms_on_a_bad_day() {
    let cases = report_cases(
        "services on bad day 2025",
        "ledger",
        &ledger_cases(|| Schema::make(Some(2_025)), Which::RetrySafe).await,
    );
    assert_eq!(cases, LEDGER_CASES_RETRY_SAFE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_accounts_on_postgresql_conform() {
    let cases = report_cases(
        "services",
        "accounts",
        &accounts_cases(|| Schema::make(None), Which::All).await,
    );
    assert_eq!(cases, ACCOUNTS_CASES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_accounts_on_postgresql_conform_on_a_bad_day() {
    let cases = report_cases(
        "services on bad day 2025",
        "accounts",
        &accounts_cases(|| Schema::make(Some(2_025)), Which::RetrySafe).await,
    );
    assert_eq!(cases, ACCOUNTS_CASES_RETRY_SAFE);
}
