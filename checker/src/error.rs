//! What stops a check before it can say anything.

use std::fmt;
use std::path::{Path, PathBuf};

/// A file is missing, or is not what it should be.
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
    /// A line is not of the form it should have.
    Form {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, without a credential.
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

/// A file's text.
pub(crate) fn read_text(path: &Path) -> Result<String, ReadError> {
    std::fs::read_to_string(path)
        .map_err(|source| ReadError::File { path: path.to_owned(), source })
}
