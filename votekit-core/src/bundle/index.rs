//! The index of a bundle: every other file with its size and SHA-256.

use serde::{Deserialize, Serialize};

use crate::id::{Digest, ElectionId};

/// `index.json`, rows sorted by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The election.
    pub law_id: ElectionId,
    /// Every file but the index itself.
    pub files: Vec<IndexRow>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexRow {
    /// Its name in the bundle.
    pub file: String,
    /// Its length in bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
}

/// Why bytes are not an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The bytes are not JSON of the index's shape.
    #[error("not an index: line {line}, column {column}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// The index parses, but is not in its canonical form.
    #[error("not in canonical form, first at byte {position}")]
    NotCanonical {
        /// The first byte that differs, from 0.
        position: usize,
    },
}

#[derive(Serialize, Deserialize)]
enum Format {
    #[serde(rename = "votekit-bundle/1")]
    Bundle1,
}

#[derive(Serialize)]
struct Written<'a> {
    format: Format,
    law_id: &'a ElectionId,
    files: &'a [IndexRow],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[serde(rename = "format")]
    _format: Format,
    law_id: ElectionId,
    files: Vec<IndexRow>,
}

impl Index {
    /// Encodes `index.json`. Rows are sorted first.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut files = self.files.clone();
        files.sort_by(|one, other| one.file.cmp(&other.file));
        let written = Written { format: Format::Bundle1, law_id: &self.law_id, files: &files };
        let mut bytes = serde_json::to_vec_pretty(&written).expect("an index has text keys only");
        bytes.push(b'\n');
        bytes
    }

    /// Parses `index.json`.
    ///
    /// # Errors
    /// [`IndexError`] unless the bytes are the canonical form of an index.
    pub fn parse(bytes: &[u8]) -> Result<Self, IndexError> {
        let read: Read = serde_json::from_slice(bytes)
            .map_err(|error| IndexError::Syntax { line: error.line(), column: error.column() })?;
        let index = Self { law_id: read.law_id, files: read.files };
        match first_difference(bytes, &index.to_bytes()) {
            None => Ok(index),
            Some(position) => Err(IndexError::NotCanonical { position }),
        }
    }
}

/// The first byte, from 0, at which two files differ.
pub(super) fn first_difference(found: &[u8], expected: &[u8]) -> Option<usize> {
    (found != expected).then(|| {
        found.iter().zip(expected).take_while(|(found, expected)| found == expected).count()
    })
}
