//! The conformance suite of all engines: a case for each sentence of the contracts in this crate.
//!
//! The test of an engine passes a function that makes a [`TestStorage`], runs the four suites, and
//! asserts that each case passed and how many ran ([`report_cases`]). [`Which::RetrySafe`] leaves
//! out the cases that count calls, so that the rest can run over an engine that fails at random
//! ([`Engines::unreliable`]).

mod samples;
mod accounts;
mod ballot_box;
mod ledger;
mod registry;

use std::fs::OpenOptions;
use std::future::Future;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use super::seeded_faults::{Odds, SeededFaults};
use crate::faults::Faulty;
use crate::{Conflict, EngineError, Engines};

/// The storage of one case: empty when made, and the same each time it is opened.
#[async_trait]
pub trait TestStorage: Send + Sync {
    /// Opens the engine on this storage. All engines opened before have been dropped, except in the
    /// case that tests a second opening.
    ///
    /// # Errors
    /// The errors of the engine.
    async fn open(&self) -> Result<Engines, EngineError>;
}

impl Engines {
    /// The same roles with injected faults, and with retries, as a node makes them.
    #[must_use]
    pub fn unreliable(self, seed: u64, odds: Odds) -> Self {
        let faults = |role| SeededFaults::new(seed.wrapping_add(role), odds).retried();
        Self {
            registry: Arc::new(Faulty::new(self.registry, faults(0))),
            ballot_box: Arc::new(Faulty::new(self.ballot_box, faults(1))),
            ledger: Arc::new(Faulty::new(self.ledger, faults(2))),
            accounts: Arc::new(Faulty::new(self.accounts, faults(3))),
        }
    }
}

/// Selects the cases to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All cases.
    All,
    /// The cases that also pass when calls are repeated.
    RetrySafe,
}

/// The result of one case.
#[derive(Debug)]
pub struct CaseResult {
    /// The name of the case, a sentence with underscores.
    pub name: &'static str,
    /// Whether the case passed.
    pub outcome: Result<(), CaseError>,
}

/// Why a case failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// The engine returned an unexpected error.
    #[error("the engine failed: {0}")]
    Engine(#[from] EngineError),
    /// The engine violated its contract.
    #[error("{expectation}")]
    Broken {
        /// The expected and the actual result.
        expectation: String,
    },
    /// An expected event did not occur in time.
    #[error("{what} did not come")]
    Missing {
        /// The event.
        what: &'static str,
    },
}

/// Runs the cases of [`Registry`](super::Registry).
pub async fn registry_cases(
    make: impl Fn() -> Box<dyn TestStorage>,
    which: Which,
) -> Vec<CaseResult> {
    run(&[registry::CASES], make, which).await
}

/// Runs the cases of [`BallotBox`](super::BallotBox).
pub async fn ballot_box_cases(
    make: impl Fn() -> Box<dyn TestStorage>,
    which: Which,
) -> Vec<CaseResult> {
    run(&[ballot_box::CASES], make, which).await
}

/// Runs the cases of [`Ledger`](super::Ledger).
pub async fn ledger_cases(
    make: impl Fn() -> Box<dyn TestStorage>,
    which: Which,
) -> Vec<CaseResult> {
    run(&ledger::CASES, make, which).await
}

/// Runs the cases of [`Accounts`](crate::Accounts).
pub async fn accounts_cases(
    make: impl Fn() -> Box<dyn TestStorage>,
    which: Which,
) -> Vec<CaseResult> {
    run(&accounts::CASES, make, which).await
}

/// The environment variable that names the file to which [`report_cases`] appends.
pub const CASES_FILE: &str = "VOTEKIT_CASES_FILE";

/// Reports how many cases an engine ran for a role, and returns that number.
///
/// Prints the line `conformance: <engine> <role>: <n> cases` to standard output, since a suite that
/// silently ran nothing proves nothing. If [`CASES_FILE`] names a file, appends
/// `<engine> TAB <role> TAB <n> TAB <number of failed> LF` to it, so that the test runner can
/// compare the engines. Engines are `embedded` and `services`; roles are `registry`, `ballot box`,
/// `ledger` and `accounts`. A run under special conditions has them in the engine's name:
/// `embedded on bad day 1`.
///
/// # Panics
/// When a case failed, with all failed cases; and when the file cannot be written.
#[expect(clippy::print_stdout, reason = "it prints to the output of the tests")]
pub fn report_cases(engine: &str, role: &str, results: &[CaseResult]) -> usize {
    let broken: Vec<String> = results
        .iter()
        .filter_map(|case| {
            case.outcome
                .as_ref()
                .err()
                .map(|error| format!("{engine} {role}: {}: {error}", case.name))
        })
        .collect();
    println!("conformance: {engine} {role}: {} cases", results.len());
    if let Some(path) = std::env::var_os(CASES_FILE) {
        let line = format!("{engine}\t{role}\t{}\t{}\n", results.len(), broken.len());
        // One write per line: several test programs may append to the file at once.
        let written = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        assert!(written.is_ok(), "{CASES_FILE}: {} cannot be written: {written:?}", path.display());
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    results.len()
}

type Outcome = Result<(), CaseError>;

struct Case {
    name: &'static str,
    /// Whether the case counts calls, so that a repeated call breaks it.
    exact: bool,
    run: for<'storage> fn(&'storage dyn TestStorage) -> Running<'storage>,
}

type Running<'storage> = Pin<Box<dyn Future<Output = Outcome> + Send + 'storage>>;

async fn run(
    cases: &[&[Case]],
    make: impl Fn() -> Box<dyn TestStorage>,
    which: Which,
) -> Vec<CaseResult> {
    let mut results = Vec::new();
    for case in cases.iter().copied().flatten().filter(|case| which == Which::All || !case.exact) {
        let storage = make();
        results.push(CaseResult { name: case.name, outcome: (case.run)(&*storage).await });
    }
    results
}

/// Ends a case unless a call was refused with the expected conflict.
fn expect_conflict<T: std::fmt::Debug>(
    answer: Result<T, EngineError>,
    expected: impl Fn(&Conflict) -> bool,
    what: &str,
) -> Outcome {
    match answer {
        Err(EngineError::Conflict(conflict)) if expected(&conflict) => Ok(()),
        answer => Err(CaseError::Broken {
            expectation: format!("{what}: expected to be refused, found {answer:?}"),
        }),
    }
}

/// A case that also passes when calls are repeated.
macro_rules! case {
    ($case:ident) => {
        Case { name: stringify!($case), exact: false, run: |storage| Box::pin($case(storage)) }
    };
}

/// A case that counts calls.
macro_rules! exact_case {
    ($case:ident) => {
        Case { name: stringify!($case), exact: true, run: |storage| Box::pin($case(storage)) }
    };
}

/// Ends the case unless two values are equal.
macro_rules! ensure_eq {
    ($found:expr, $expected:expr, $what:expr) => {
        // `match` keeps the temporaries of both sides alive.
        match (&$found, &$expected) {
            (found, expected) if found == expected => {}
            (found, expected) => {
                return Err(CaseError::Broken {
                    expectation: format!("{}: expected {expected:?}, found {found:?}", $what),
                });
            }
        }
    };
}

/// Ends the case unless a condition is true.
macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err(CaseError::Broken { expectation: format!($($what)+) });
        }
    };
}

use {case, ensure, ensure_eq, exact_case};
