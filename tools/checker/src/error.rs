//! The error that stops a check before it has a result.

use std::fmt;
use std::path::{Path, PathBuf};

/// A file is missing or malformed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be read.
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line does not have the expected form.
    Form {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The fault, without a credential.
        problem: String,
    },
}

impl ReadError {
    pub(crate) fn form(path: &Path, line: usize, problem: impl Into<String>) -> Self {
        Self::Form { path: path.to_owned(), line, problem: problem.into() }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, source } => write!(formatter, "{}: {source}", path.display()),
            Self::Form { path, line, problem } => {
                write!(formatter, "{}:{line}: {problem}", path.display())
            }
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Form { .. } => None,
        }
    }
}

/// Reads a file as text.
pub(crate) fn read_text(path: &Path) -> Result<String, ReadError> {
    std::fs::read_to_string(path)
        .map_err(|source| ReadError::File { path: path.to_owned(), source })
}
