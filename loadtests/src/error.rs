//! The errors that prevent or end a load test.

use std::fmt;
use std::path::PathBuf;

use votekit_core::roll::{RollError, RowFault};

/// An error that prevents or ends a load test. Failures of single requests are not errors: the
/// report counts them by kind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The roll cannot be parsed.
    #[error("{}: {source}", path.display())]
    Roll {
        /// The roll.
        path: PathBuf,
        /// The fault.
        source: RollError,
    },
    /// The roll has invalid rows.
    #[error("{}: {} bad rows, the first: {}", path.display(), faults.len(), FirstFault(faults))]
    RollRows {
        /// The roll.
        path: PathBuf,
        /// The faults; at least one.
        faults: Vec<RowFault>,
    },
    /// No row remains to vote with.
    #[error("{}: no row to vote with{}", path.display(), if *filtered { " for the laws asked for" } else { "" })]
    RollEmpty {
        /// The roll.
        path: PathBuf,
        /// Whether the rows were filtered by election.
        filtered: bool,
    },
    /// The roll has more than the generator can address: 2^32 rows, 4 GiB of access codes, or
    /// 65,535 laws.
    #[error("{}: the roll is too large for one generator: split it", path.display())]
    RollTooLarge {
        /// The roll.
        path: PathBuf,
    },
    /// The mix of ballots is invalid.
    #[error(transparent)]
    Mix(#[from] MixError),
    /// The plan needs more electors than the roll has.
    #[error("the plan needs {needed} electors who have not voted, and the roll has {available}")]
    RollTooSmall {
        /// First votes in the plan.
        needed: u64,
        /// Rows in the roll.
        available: u64,
    },
    /// A node's address is not an http or https URL.
    #[error("node address: {problem}")]
    NodeAddress {
        /// The fault.
        problem: String,
    },
    /// An option has an invalid value.
    #[error("{option}: {problem}")]
    Plan {
        /// The option, as written on the command line.
        option: &'static str,
        /// The fault.
        problem: String,
    },
    /// No node accepted a connection before the run.
    #[error("cannot connect to {node}: {problem}")]
    Unreachable {
        /// The node's address.
        node: String,
        /// The system's error.
        problem: String,
    },
    /// A thread or the runtime could not be started, or ended abnormally.
    #[error("the generator's threads: {problem}")]
    Thread {
        /// The failure.
        problem: String,
    },
    /// Goose refused its configuration or failed.
    #[error("goose: {problem}")]
    Goose {
        /// Goose's error.
        problem: String,
    },
}

/// Why a mix cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MixError {
    /// No choice was given.
    #[error("at least one choice is needed")]
    NoChoice,
    /// A choice's text is malformed.
    #[error(
        "a choice is an id of 1 to 50 of A-Z, a-z, 0-9, '.', '_' and '-', or that id, '=' and a weight from 1 to 1000000"
    )]
    Choice,
    /// The shares leave no first votes.
    #[error("duplicates and unknown votes together must stay below 100%")]
    NoFirstVote,
}

struct FirstFault<'a>(&'a [RowFault]);

impl fmt::Display for FirstFault<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.first().map_or(Ok(()), |fault| fault.fmt(formatter))
    }
}
