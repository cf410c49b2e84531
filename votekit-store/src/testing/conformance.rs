//! One suite that every engine runs: a case for each sentence of the contracts in
//! this crate.
//!
//! An engine's test hands in a way to make a [`Place`], runs the three suites and asserts that each
//! case held, and how many there were ([`report_cases`]). [`Which::RetrySafe`] leaves out the cases
//! that count calls, so that the rest can be run over an engine that fails at random
//! ([`Engines::unreliable`]).

mod ballot_box;
mod ledger;
mod registry;
mod samples;

use std::fs::OpenOptions;
use std::future::Future;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use super::unreliable::{Odds, Persistent, Unreliable};
use crate::{EngineError, Engines};

/// The storage of one case: fresh when it is made, the same each time it is opened.
#[async_trait]
pub trait Place: Send + Sync {
    /// Opens the engine on what is stored here. Everything that was opened before has been dropped,
    /// but in the case that asks what happens otherwise.
    ///
    /// # Errors
    /// As the engine.
    async fn open(&self) -> Result<Engines, EngineError>;
}

impl Engines {
    /// The same roles behind faults, and behind callers that try again: what a node makes of a bad
    /// day.
    #[must_use]
    pub fn unreliable(self, seed: u64, odds: Odds) -> Self {
        Self {
            registry: Arc::new(Persistent::new(Unreliable::new(self.registry, seed, odds))),
            ballot_box: Arc::new(Persistent::new(Unreliable::new(
                self.ballot_box,
                seed.wrapping_add(1),
                odds,
            ))),
            ledger: Arc::new(Persistent::new(Unreliable::new(
                self.ledger,
                seed.wrapping_add(2),
                odds,
            ))),
        }
    }
}

/// Which cases are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Those that hold also when a call is made more than once.
    RetrySafe,
}

/// What came of one case.
#[derive(Debug)]
pub struct CaseResult {
    /// The case, as a sentence with underscores.
    pub name: &'static str,
    /// Whether it held.
    pub outcome: Result<(), CaseError>,
}

/// Why a case did not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// The engine failed where it should not have.
    #[error("the engine failed: {0}")]
    Engine(#[from] EngineError),
    /// The engine did something else than its contract says.
    #[error("{expectation}")]
    Broken {
        /// What was expected, and what was found.
        expectation: String,
    },
    /// Something that must come did not.
    #[error("{what} did not come")]
    Missing {
        /// What.
        what: &'static str,
    },
}

/// Runs the cases of [`Registry`](super::Registry).
pub async fn registry_cases(make: impl Fn() -> Box<dyn Place>, which: Which) -> Vec<CaseResult> {
    run(&[registry::CASES], make, which).await
}

/// Runs the cases of [`BallotBox`](super::BallotBox).
pub async fn ballot_box_cases(make: impl Fn() -> Box<dyn Place>, which: Which) -> Vec<CaseResult> {
    run(&[ballot_box::CASES], make, which).await
}

/// Runs the cases of [`Ledger`](super::Ledger).
pub async fn ledger_cases(make: impl Fn() -> Box<dyn Place>, which: Which) -> Vec<CaseResult> {
    run(&ledger::CASES, make, which).await
}

/// The environment variable with the file that [`report_cases`] adds its lines to.
pub const CASES_FILE: &str = "VOTEKIT_CASES_FILE";

/// Tells how many cases an engine ran for a role, and gives that number back.
///
/// The line `conformance: <engine> <role>: <n> cases` goes to standard output: a suite that
/// silently ran nothing proves nothing. When [`CASES_FILE`] names a file, `<engine> TAB <role> TAB
/// <n> TAB <how many failed> LF` is added to it, so that whoever runs the tests can hold the
/// engines against one another. Engines are `embedded` and `services`, roles `registry`, `ballot
/// box` and `ledger`; a run under conditions of its own says so in the engine's name: `embedded on
/// bad day 1`.
///
/// # Panics
/// When a case did not hold, with each that did not; and when the file cannot be written.
#[expect(clippy::print_stdout, reason = "it speaks to whoever reads the output of the tests")]
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
        // One write a line: several test programs may add to the file at once.
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
    /// Whether it counts calls, so that a call made twice breaks it.
    exact: bool,
    run: for<'place> fn(&'place dyn Place) -> Running<'place>,
}

type Running<'place> = Pin<Box<dyn Future<Output = Outcome> + Send + 'place>>;

async fn run(
    cases: &[&[Case]],
    make: impl Fn() -> Box<dyn Place>,
    which: Which,
) -> Vec<CaseResult> {
    let mut results = Vec::new();
    for case in cases.iter().copied().flatten().filter(|case| which == Which::All || !case.exact) {
        let place = make();
        results.push(CaseResult { name: case.name, outcome: (case.run)(&*place).await });
    }
    results
}

/// A case that also holds when calls are made more than once.
macro_rules! case {
    ($case:ident) => {
        Case { name: stringify!($case), exact: false, run: |place| Box::pin($case(place)) }
    };
}

/// A case that counts calls.
macro_rules! exact_case {
    ($case:ident) => {
        Case { name: stringify!($case), exact: true, run: |place| Box::pin($case(place)) }
    };
}

/// Ends the case unless two values are equal.
macro_rules! ensure_eq {
    ($found:expr, $expected:expr, $what:expr) => {
        // A match keeps temporary values of both sides alive.
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

/// Ends the case unless something holds.
macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err(CaseError::Broken { expectation: format!($($what)+) });
        }
    };
}

use {case, ensure, ensure_eq, exact_case};
