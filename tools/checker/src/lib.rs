//! Compares the answers of the node to voters with its published bundle.
//!
//! A load client records every vote before it sends it, and every answer. After faults (kills,
//! power cuts, full disks) the election is closed and its bundle published. This crate reads both
//! and reports where they disagree:
//!
//! ```text
//! journals ─▶ journal ─┐
//! roll.csv ─▶ roll ────┼─▶ rules ─▶ Report: counts, and every violation with its place
//! bundle/  ─▶ log ─────┤
//!            note ─────┤   who signed and cosigned the checkpoints
//!            merkle ───┘   what tree the leaves make
//! ```
//!
//! It depends on no other crate of the project: it has its own parsing, hashing and verification.
//! It trusts no file: a file that cannot be parsed is an error, and a contradiction between files
//! is a violation.

mod error;
mod violation;
mod report;
mod roll;
mod journal;
mod merkle;
mod note;
mod log;
mod rules;

#[cfg(test)]
mod sample;

use std::path::PathBuf;

use self::note::Policy;

pub use error::ReadError;
pub use report::Report;
pub use violation::{Rule, Violation};

/// The files to compare.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Journals of the load client, of one election.
    pub journals: Vec<PathBuf>,
    /// The publication bundle of the closed election.
    pub bundle: PathBuf,
    /// The roll the load client voted from, which was also registered; hashed without a pepper.
    pub roll: PathBuf,
    /// The policy as known before the first vote.
    pub policy: PathBuf,
    /// Checkpoints fetched while the election was open, from any node: the leaves they signed must
    /// still be there, and the quorum of the policy's authorities has cosigned each.
    pub checkpoints: Vec<PathBuf>,
}

/// Reads everything and checks every rule.
///
/// # Errors
/// [`ReadError`] when a file cannot be read or is malformed. Disagreements are not errors: the
/// report lists them.
pub fn check(inputs: &Inputs) -> Result<Report, ReadError> {
    let journals =
        inputs.journals.iter().map(|path| journal::read(path)).collect::<Result<Vec<_>, _>>()?;
    let roll = roll::read(&inputs.roll)?;
    let log = log::read(&inputs.bundle)?;
    let policy = error::read_text(&inputs.policy)?;
    let policy = Policy::parse(&policy)
        .ok_or_else(|| ReadError::form(&inputs.policy, 1, "no log key, or a malformed line"))?;
    let mut report = Report::default();
    rules::check(&journals, &roll, &log, &mut report);
    let paths =
        std::iter::once(inputs.bundle.join("checkpoint")).chain(inputs.checkpoints.iter().cloned());
    let notes = paths
        .map(|path| error::read_text(&path).map(|text| (path, text)))
        .collect::<Result<Vec<_>, _>>()?;
    rules::check_checkpoints(&notes, &policy, &log, &mut report);
    Ok(report)
}
