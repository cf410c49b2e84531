//! Holds what voters were told against what was published.
//!
//! A load client writes down every vote before it sends it, and then what it was told. After
//! whatever happened to the node (kills, power cuts, full disks), the election is closed and its
//! bundle published. This crate reads both and says where they disagree:
//!
//! ```text
//! journals ─▶ journal ─┐
//! roll.csv ─▶ roll ────┼─▶ rules ─▶ Report: counts, and every violation with its place
//! bundle/  ─▶ log ─────┤
//!            note ─────┤   who signed the checkpoint
//!            merkle ───┘   what tree the leaves make
//! ```
//!
//! It links no other crate of the project and parses, hashes and verifies by code of its own. It
//! takes files as they are and trusts none of them: what does not read is an error, what does not
//! agree is a violation.

mod error;
mod journal;
mod log;
mod merkle;
mod note;
mod report;
mod roll;
mod rules;
mod violation;

#[cfg(test)]
mod sample;

use std::path::PathBuf;

pub use error::ReadError;
pub use report::Report;
pub use violation::{Rule, Violation};

/// What to hold against what.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Journals of the load client, of one election.
    pub journals: Vec<PathBuf>,
    /// The publication bundle of the closed election.
    pub bundle: PathBuf,
    /// The roll that the load client voted from, and that was registered; hashed plainly.
    pub roll: PathBuf,
    /// The policy as it was known before the first vote.
    pub policy: PathBuf,
    /// Checkpoints that were seen while the poll was open: what they signed must still be there.
    pub checkpoints: Vec<PathBuf>,
}

/// Reads everything and checks every rule.
///
/// # Errors
/// [`ReadError`] when a file cannot be read or is not what it should be. Disagreement is no error:
/// the report lists it.
pub fn check(inputs: &Inputs) -> Result<Report, ReadError> {
    let journals =
        inputs.journals.iter().map(|path| journal::read(path)).collect::<Result<Vec<_>, _>>()?;
    let roll = roll::read(&inputs.roll)?;
    let log = log::read(&inputs.bundle)?;
    let policy = error::read_text(&inputs.policy)?;
    let keys =
        note::log_keys(&policy).ok_or_else(|| ReadError::form(&inputs.policy, 1, "no log key"))?;
    let mut report = Report::default();
    rules::check(&journals, &roll, &log, &mut report);
    let notes =
        std::iter::once(inputs.bundle.join("checkpoint")).chain(inputs.checkpoints.iter().cloned());
    for (place, path) in notes.enumerate() {
        let text = error::read_text(&path)?;
        rules::check_checkpoint(&path, &text, &keys, &log, place == 0, &mut report);
    }
    Ok(report)
}
