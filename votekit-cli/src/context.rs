//! What every command is handed besides its arguments.

use crate::output::Output;

/// The surroundings of one run.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where results, notes and errors go.
    pub(crate) output: Output,
}

impl Context {
    /// The surroundings of a run that prints for people, or with `json` for programs.
    pub(crate) fn new(json: bool) -> Self {
        Self { output: Output::new(json) }
    }
}
