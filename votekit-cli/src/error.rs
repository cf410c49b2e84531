//! Errors of commands, and their only mapping to exit codes.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// The kinds of failure; each is one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// A fault inside votekit.
    Internal,
    /// The command line makes no sense.
    Usage,
    /// A file or a value handed in is bad; nothing was changed.
    BadInput,
    /// The disk, a folder, a server or the configuration is at fault.
    Configuration,
    /// A verification failed.
    VerificationFailed,
    /// Everything is consistent, but nothing pins who made it.
    NotAuthenticated,
}

impl ErrorKind {
    /// Stable name in JSON errors, and exit code.
    const fn name_and_code(self) -> (&'static str, u8) {
        match self {
            Self::Internal => ("internal", 1),
            Self::Usage => ("usage", 2),
            Self::BadInput => ("bad-input", 3),
            Self::Configuration => ("configuration", 4),
            Self::VerificationFailed => ("verification-failed", 5),
            Self::NotAuthenticated => ("not-authenticated", 6),
        }
    }

    /// Stable name in JSON errors.
    pub(crate) const fn name(self) -> &'static str {
        self.name_and_code().0
    }

    /// Exit code of the process.
    pub(crate) const fn code(self) -> u8 {
        self.name_and_code().1
    }
}

/// A failed command: its kind, a message, a hint, and details for programs. Never contains a NAS or
/// a code.
#[derive(Debug)]
pub(crate) struct CommandError {
    /// Decides the exit code.
    pub(crate) kind: ErrorKind,
    /// The message for people; may have several lines.
    pub(crate) message: String,
    /// The advice.
    pub(crate) hint: Option<String>,
    /// All details, for programs.
    pub(crate) details: Option<serde_json::Value>,
}

impl CommandError {
    /// Creates an error of a kind.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, details: None }
    }

    /// A fault inside votekit.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// The command line makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// The input is bad.
    pub(crate) fn bad_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadInput, message)
    }

    /// The environment is at fault.
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    /// A verification failed.
    pub(crate) fn verification_failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::VerificationFailed, message)
    }

    /// Everything is consistent, but nothing is pinned.
    pub(crate) fn not_authenticated(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotAuthenticated, message)
    }

    /// An input file cannot be read.
    pub(crate) fn reading(path: &Path, error: &io::Error) -> Self {
        Self::bad_input(format!("cannot read {}: {}", path.display(), plain_words(error)))
    }

    /// A file or folder cannot be written. Adds a hint when the disk is full.
    pub(crate) fn writing(path: &Path, error: &io::Error) -> Self {
        Self::configuration(format!("cannot write {}: {}", path.display(), plain_words(error)))
            .hint_of_room(error)
    }

    /// A file or folder of the data folder can be neither read nor written. Adds a hint when the
    /// disk is full.
    #[cfg(feature = "node")]
    pub(crate) fn using(path: &Path, error: &io::Error) -> Self {
        Self::configuration(format!("cannot use {}: {}", path.display(), plain_words(error)))
            .hint_of_room(error)
    }

    fn hint_of_room(self, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => self.hint(
                "free space on that disk or choose another folder, then run the command again",
            ),
            _ => self,
        }
    }

    /// Adds a hint.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a hint, if there is one.
    pub(crate) fn hint_if(self, hint: Option<String>) -> Self {
        Self { hint: hint.or(self.hint), ..self }
    }

    /// Adds details for programs.
    pub(crate) fn details(mut self, details: serde_json::Value) -> Self {
        self.details = Some(details);
        self
    }

    /// Exit code of the process.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind.code())
    }
}

/// The operating system's message in lower case, without its error number.
fn plain_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

impl fmt::Display for CommandError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for CommandError {}

/// An error that no command describes itself is internal, and reported with its causes.
impl From<anyhow::Error> for CommandError {
    fn from(error: anyhow::Error) -> Self {
        Self::internal(format!("{error:#}"))
    }
}
