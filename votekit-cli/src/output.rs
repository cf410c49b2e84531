//! Where words go: results to standard output, notes, warnings, hints and errors to standard error.
//!
//! A reader that closes the pipe early (`votekit … | head`) ends the printing, not the command: its
//! exit code stays the command's own.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::json;

use crate::error::CommandError;

/// The two streams, and whether results and errors are JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// Prints for people, or with `json` for programs.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether results are JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// The result of a command: its `Display` for people, its `Serialize` as one line of JSON for
    /// programs.
    ///
    /// # Errors
    /// When standard output cannot be written, except that its reader has gone.
    pub(crate) fn result<T: Serialize + Display>(&self, result: &T) -> Result<(), CommandError> {
        let text = if self.json {
            serde_json::to_string(result)
                .map_err(|error| CommandError::internal(format!("cannot write JSON: {error}")))?
        } else {
            result.to_string()
        };
        self.data(format!("{}\n", text.trim_end_matches('\n')).as_bytes())
    }

    /// Bytes to standard output, as they are.
    ///
    /// # Errors
    /// When standard output cannot be written, except that its reader has gone.
    pub(crate) fn data(&self, bytes: &[u8]) -> Result<(), CommandError> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(CommandError::writing("standard output".as_ref(), &error))
            }
            _ => Ok(()),
        }
    }

    /// A line for the person at the terminal; nothing with `--json`.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.is_json() {
            to_stderr(&format!("{text}\n"));
        }
    }

    /// Something that went well enough, but that a person should know.
    pub(crate) fn warning(&self, text: impl Display) {
        if self.json {
            to_stderr(&format!("{}\n", json!({ "warning": text.to_string() })));
        } else {
            to_stderr(&format!("warning: {text}\n"));
        }
    }

    /// What ended the command.
    pub(crate) fn error(&self, error: &CommandError) {
        if self.json {
            let body = json!({
                "kind": error.kind.name(),
                "message": error.message.trim_end(),
                "hint": error.hint,
                "details": error.details,
            });
            to_stderr(&format!("{}\n", json!({ "error": body })));
            return;
        }
        let hint = error.hint.as_ref().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
        to_stderr(&format!("error: {}\n{hint}", error.message.trim_end()));
    }
}

/// Nobody can be told that standard error is closed.
fn to_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
