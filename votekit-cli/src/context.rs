//! The context that every command receives besides its arguments.

use crate::output::Output;

/// Context of one run.
#[derive(Debug)]
pub(crate) struct Context {
    /// Destination of results, notes and errors.
    pub(crate) output: Output,
}

impl Context {
    /// Creates the context of a run that prints for people, or with `json` for programs.
    pub(crate) fn new(json: bool) -> Self {
        Self { output: Output::new(json) }
    }
}
