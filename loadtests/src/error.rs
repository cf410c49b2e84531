//! Why a load test cannot start, or had to end.

use std::path::PathBuf;

use votekit_core::credential::CredentialError;

use crate::ballot_mix::MixError;

/// Why a load test cannot start, or had to end. Failures of single requests are no errors: the
/// report counts them by kind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The roll is no CSV.
    #[error("{}: line {line}: {problem}", path.display())]
    RollFormat {
        /// The roll.
        path: PathBuf,
        /// The line of the file, from 1; 0 when it is unknown.
        line: u64,
        /// What is wrong, without repeating the row.
        problem: String,
    },
    /// The roll's header lacks a column, or names one twice.
    #[error("{}: the header needs one column '{column}'", path.display())]
    RollColumn {
        /// The roll.
        path: PathBuf,
        /// The column that is missing or repeated.
        column: &'static str,
    },
    /// A field of the roll is malformed.
    #[error("{}: line {line}: {source}", path.display())]
    RollField {
        /// The roll.
        path: PathBuf,
        /// The line of the file, from 1.
        line: u64,
        /// The rule that is broken.
        source: CredentialError,
    },
    /// No row is left to vote with.
    #[error("{}: no row to vote with{}", path.display(), if *filtered { " for the laws asked for" } else { "" })]
    RollEmpty {
        /// The roll.
        path: PathBuf,
        /// Whether laws were asked for.
        filtered: bool,
    },
    /// The roll holds more than the generator can address: 2^32 rows, 4 GiB of access codes, or
    /// 65,535 laws.
    #[error("{}: the roll is too large for one generator: split it", path.display())]
    RollTooLarge {
        /// The roll.
        path: PathBuf,
    },
    /// The mix of ballots makes no sense.
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
    /// A node's address is no http or https URL.
    #[error("node address: {problem}")]
    NodeAddress {
        /// What is wrong.
        problem: String,
    },
    /// An option has a value that cannot work.
    #[error("{option}: {problem}")]
    Plan {
        /// The option, as the command line writes it.
        option: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// No node accepted a connection before the run.
    #[error("cannot connect to {node}: {problem}")]
    Unreachable {
        /// The node's address.
        node: String,
        /// What the system said.
        problem: String,
    },
    /// A thread or the runtime could not be started, or ended abnormally.
    #[error("the generator's threads: {problem}")]
    Thread {
        /// What happened.
        problem: String,
    },
    /// Goose refused its configuration or failed.
    #[error("goose: {problem}")]
    Goose {
        /// What goose said.
        problem: String,
    },
}
