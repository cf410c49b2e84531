//! Output: results go to standard output; notes, warnings, hints and errors to standard error.
//!
//! If the reader closes the pipe early (`votekit … | head`), printing ends but the command does
//! not: it keeps its own exit code.
//!
//! Titles, labels, reasons and a node's answers are untrusted text. [`plain`] blanks the characters
//! in it that could control a terminal or add a line. Everything written to the terminal passes the
//! same filter, except for line breaks.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::json;

use crate::error::CommandError;

/// The two output streams, and whether results and errors are JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// Creates an output for people, or with `json` for programs.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether results are JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints the result of a command: its `Display` for people, its `Serialize` as one line of
    /// JSON for programs.
    ///
    /// # Errors
    /// When standard output cannot be written, unless its reader has gone.
    pub(crate) fn result<T: Serialize + Display>(&self, result: &T) -> Result<(), CommandError> {
        let text = if self.json {
            let text = serde_json::to_string(result)
                .map_err(|error| CommandError::internal(format!("cannot write JSON: {error}")))?;
            escaped(&text)
        } else {
            plain_lines(&result.to_string())
        };
        self.data(format!("{}\n", text.trim_end_matches('\n')).as_bytes())
    }

    /// Writes bytes to standard output, unchanged.
    ///
    /// # Errors
    /// When standard output cannot be written, unless its reader has gone.
    pub(crate) fn data(&self, bytes: &[u8]) -> Result<(), CommandError> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(CommandError::writing("standard output".as_ref(), &error))
            }
            _ => Ok(()),
        }
    }

    /// Prints a line for the person at the terminal; nothing with `--json`.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.is_json() {
            to_stderr(&plain_lines(&format!("{text}\n")));
        }
    }

    /// Prints a question without a line break; the answer is read elsewhere. Goes to standard error
    /// even with `--json`, since a person is there.
    #[cfg(feature = "node")]
    pub(crate) fn question(&self, text: impl Display) {
        to_stderr(&plain_lines(&text.to_string()));
    }

    /// Prints a warning: the command succeeds, but a person should know of it.
    pub(crate) fn warning(&self, text: impl Display) {
        if self.json {
            let line = json!({ "warning": text.to_string() }).to_string();
            to_stderr(&format!("{}\n", escaped(&line)));
        } else {
            to_stderr(&plain_lines(&format!("warning: {text}\n")));
        }
    }

    /// Prints the error that ended the command.
    pub(crate) fn error(&self, error: &CommandError) {
        if self.json {
            let body = json!({
                "kind": error.kind.name(),
                "message": error.message.trim_end(),
                "hint": error.hint,
                "details": error.details,
            });
            to_stderr(&format!("{}\n", escaped(&json!({ "error": body }).to_string())));
            return;
        }
        let hint = error.hint.as_ref().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
        to_stderr(&plain_lines(&format!("error: {}\n{hint}", error.message.trim_end())));
    }
}

/// Writes to standard error. A failure is ignored: there is nowhere to report it.
pub(crate) fn to_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Makes untrusted text safe for one line: replaces every control character, line separator and
/// direction mark by a space.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|character| if is_active(character) { ' ' } else { character }).collect()
}

/// The same for text of several lines.
fn plain_lines(text: &str) -> String {
    let blank = |character| if character != '\n' && is_active(character) { ' ' } else { character };
    text.chars().map(blank).collect()
}

/// Escapes these characters in JSON; its values stay the same.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        // ASCII control characters are already escaped, except DEL. Each of them is one UTF-16
        // unit.
        if is_active(character) {
            text.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            text.push(character);
        }
    }
    text
}

/// Whether a character affects a terminal, a line or the writing direction: C0, DEL, C1, line and
/// paragraph separators, and direction marks.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'
                | '\u{2029}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTIVE: [char; 18] = [
        '\0', '\t', '\n', '\r', '\u{1b}', '\u{1f}', '\u{7f}', '\u{80}', '\u{9b}', '\u{9f}',
        '\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{202e}', '\u{2066}',
        '\u{2069}',
    ];

    #[test]
    fn text_of_others_drives_no_terminal() {
        for character in ACTIVE {
            assert_eq!(plain(&format!("a{character}b")), "a b", "{character:?}");
            let kept = if character == '\n' { "a\nb" } else { "a b" };
            assert_eq!(plain_lines(&format!("a{character}b")), kept, "{character:?}");
        }
        let harmless = "Loi sur l’eau — Œuvre, 北京, مياه, e\u{301}, \u{a0}";
        assert_eq!(plain(harmless), harmless);
    }

    #[test]
    fn json_keeps_its_values_and_shows_them_escaped() {
        let value = json!({ "title": ACTIVE.iter().collect::<String>() });
        let text = escaped(&value.to_string());
        assert!(!text.chars().any(is_active), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), value);
    }
}
