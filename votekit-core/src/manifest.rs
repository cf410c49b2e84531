//! The manifest: the list of a hashed roll's files, so that none can be left out, added or changed
//! unnoticed.
//!
//! Specified in `docs/formats.md` section 4. [`Manifest::parse`] accepts only canonical bytes whose
//! counts and names agree with each other, so every `Manifest` is consistent.
//! [`Manifest::read_shard`] and [`Manifest::read_changes`] compare the listed files with it.

mod check;
mod error;

pub use error::ManifestError;

use serde::{Deserialize, Serialize};

use crate::credential::{CredentialHasher, HashScheme, Pepper, PepperId, RegistryKey};
use crate::id::{Digest, ElectionId};
use crate::shard::{Changes, ShardFormat, ShardHead};

/// The content of a `manifest.json`, checked by its constructors [`Manifest::new`] and
/// [`Manifest::parse`].
///
/// ```
/// use votekit_core::credential::HashScheme;
/// use votekit_core::id::Digest;
/// use votekit_core::manifest::{Manifest, ManifestBody, RollFacts};
/// let manifest = Manifest::new(ManifestBody {
///     tool: "votekit 0.1.0".into(),
///     scheme: HashScheme::Sha256,
///     pepper: None,
///     date: None,
///     parent: None,
///     roll: RollFacts {
///         sha256: Digest::compute(b"the roll"),
///         rows: 0,
///         duplicates: 0,
///         rejects: 0,
///         code_length_min: 0,
///     },
///     laws: vec![],
///     shards: vec![],
///     changes: vec![],
/// })?;
/// assert_eq!(Manifest::parse(&manifest.encode())?, manifest);
/// # Ok::<(), votekit_core::manifest::ManifestError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest(ManifestBody);

/// The fields of a manifest, unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestBody {
    /// The program that made it, such as `votekit 0.1.0`.
    pub tool: String,
    /// The hash scheme of the credentials.
    pub scheme: HashScheme,
    /// Identifies the pepper; present if and only if the scheme is keyed.
    pub pepper: Option<PepperMarks>,
    /// The date, `YYYY-MM-DD`, if requested.
    pub date: Option<String>,
    /// In a supplement, the digest of the supplemented manifest.
    pub parent: Option<Digest>,
    /// Counts of the roll.
    pub roll: RollFacts,
    /// One row per law, by id.
    pub laws: Vec<LawRow>,
    /// One row per shard, by law and number; empty in a supplement.
    pub shards: Vec<FileRow>,
    /// In a supplement, one row per change file, by law.
    pub changes: Vec<FileRow>,
}

/// Identifies a pepper without revealing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PepperMarks {
    /// The pepper's id.
    pub id: PepperId,
    /// The pepper's check value.
    pub check: Digest,
}

impl PepperMarks {
    /// The marks of a pepper.
    #[must_use]
    pub fn new(pepper: &Pepper) -> Self {
        Self { id: pepper.id(), check: pepper.check_value() }
    }
}

/// Counts of the hashed roll; rows = registered + revoked + duplicates + rejects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollFacts {
    /// SHA-256 of the roll's bytes; for a supplement see [`RollFacts::supplement_digest`].
    pub sha256: Digest,
    /// Rows of the requested laws.
    pub rows: u64,
    /// Number of exact duplicates left out.
    pub duplicates: u64,
    /// Number of bad rows left out.
    pub rejects: u64,
    /// Length in characters of the shortest access code hashed or added; 0 if there is none.
    /// Binding elections require 8.
    pub code_length_min: u32,
}

impl RollFacts {
    /// The `sha256` of a supplement: SHA-256 of the digests of the additions file and the
    /// revocations file, 64 bytes together; a missing file counts as an empty file.
    #[must_use]
    pub fn supplement_digest(add: Option<Digest>, revoke: Option<Digest>) -> Digest {
        let empty = Digest::compute(b"");
        let (add, revoke) = (add.unwrap_or(empty), revoke.unwrap_or(empty));
        Digest::compute(&[*add.as_bytes(), *revoke.as_bytes()].concat())
    }
}

/// One law of the roll.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LawRow {
    /// The law.
    pub law_id: ElectionId,
    /// Number of keys in its shards; in a supplement, of keys added.
    pub registered: u64,
    /// Number of its shards; 0 in a supplement.
    pub shards: u32,
    /// Number of keys revoked; 0 except in a supplement.
    pub revoked: u64,
}

/// A file listed in the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRow {
    /// The file's name, without any folder.
    pub file: String,
    /// The file's law.
    pub law_id: ElectionId,
    /// The file's number, from 1.
    pub shard: u32,
    /// Number of keys; in a change file, of keys added plus keys revoked.
    pub count: u64,
    /// SHA-256 of the file's bytes.
    pub sha256: Digest,
}

#[derive(Serialize, Deserialize)]
enum Format {
    #[serde(rename = "votekit-manifest/1")]
    Manifest1,
}

/// The whole file. `flatten` makes serde accept unknown keys; the check for canonical bytes rejects
/// them.
#[derive(Serialize, Deserialize)]
struct Wire<B> {
    format: Format,
    #[serde(flatten)]
    body: B,
}

impl Manifest {
    /// The manifest's file name.
    pub const FILE_NAME: &'static str = "manifest.json";
    /// The file name of the manifest's signatures.
    pub const NOTE_FILE_NAME: &'static str = "manifest.note";
    /// The `tool` of the roll of an election of members: its keys are derived from accounts, with a
    /// members' key instead of the pepper.
    pub const MEMBERS_TOOL: &'static str = "votekit-members/1";

    /// Checks that counts, numbers and names agree.
    ///
    /// # Errors
    /// [`ManifestError`] with the first broken rule.
    pub fn new(body: ManifestBody) -> Result<Self, ManifestError> {
        check::check(&body)?;
        Ok(Self(body))
    }

    /// Parses `manifest.json`; accepts only canonical bytes that pass [`Manifest::new`].
    ///
    /// # Errors
    /// [`ManifestError`] for the first fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let wire: Wire<ManifestBody> =
            serde_json::from_slice(bytes).map_err(|error| ManifestError::Json {
                line: error.line(),
                column: error.column(),
                reason: error.to_string(),
            })?;
        let manifest = Self::new(wire.body)?;
        if manifest.encode() == bytes { Ok(manifest) } else { Err(ManifestError::NotCanonical) }
    }

    /// Encodes `manifest.json`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let wire = Wire { format: Format::Manifest1, body: &self.0 };
        let mut bytes = serde_json::to_vec_pretty(&wire)
            .expect("a manifest has no map with keys other than text");
        bytes.push(b'\n');
        bytes
    }

    /// SHA-256 of the manifest's bytes, by which other documents refer to it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::compute(&self.encode())
    }

    /// The manifest's fields.
    #[must_use]
    pub fn body(&self) -> &ManifestBody {
        &self.0
    }

    /// Whether this is a supplement to another manifest.
    #[must_use]
    pub fn is_supplement(&self) -> bool {
        self.0.parent.is_some()
    }

    /// Whether the electors are members with accounts, by [`Manifest::MEMBERS_TOOL`].
    #[must_use]
    pub fn is_of_members(&self) -> bool {
        self.0.tool == Self::MEMBERS_TOOL && self.0.scheme == HashScheme::HmacSha256
    }

    /// The row of a law.
    #[must_use]
    pub fn law(&self, law_id: &ElectionId) -> Option<&LawRow> {
        self.0.laws.iter().find(|row| row.law_id == *law_id)
    }

    /// The hasher that this manifest requires.
    ///
    /// # Errors
    /// When a required pepper is missing, an unneeded one is given, or the pepper does not match
    /// the manifest.
    pub fn hasher(&self, pepper: Option<&Pepper>) -> Result<CredentialHasher, ManifestError> {
        match (&self.0.pepper, pepper) {
            (None, None) => Ok(CredentialHasher::plain()),
            (Some(marks), None) => Err(ManifestError::PepperMissing { id: marks.id }),
            (None, Some(_)) => Err(ManifestError::PepperUnasked),
            (Some(marks), Some(pepper)) if *marks == PepperMarks::new(pepper) => {
                Ok(match self.is_of_members() {
                    true => CredentialHasher::for_members(pepper),
                    false => CredentialHasher::peppered(pepper),
                })
            }
            (Some(marks), Some(pepper)) => {
                Err(ManifestError::PepperOther { expected: marks.id, given: pepper.id() })
            }
        }
    }

    /// Compares a shard's bytes with its row and returns its keys, ascending.
    ///
    /// # Errors
    /// [`ManifestError`] when digest, head or count differ.
    pub fn read_shard(
        &self,
        row: &FileRow,
        bytes: &[u8],
    ) -> Result<Vec<RegistryKey>, ManifestError> {
        check_digest(row, bytes)?;
        let file = || row.file.clone();
        let format = ShardFormat::from_file_name(&row.file)
            .ok_or_else(|| ManifestError::FileName { file: file() })?;
        let (head, keys) = ShardHead::decode(format, bytes)
            .map_err(|error| ManifestError::Shard { file: file(), error })?;
        let shards = self.law(&row.law_id).map_or(0, |law| law.shards);
        if head != (ShardHead { law_id: row.law_id.clone(), shard: row.shard, shards }) {
            return Err(ManifestError::ShardHead { file: file() });
        }
        check_count(row, keys.len() as u64)?;
        Ok(keys)
    }

    /// Compares a change file's bytes with its row and returns its changes.
    ///
    /// # Errors
    /// [`ManifestError`] when digest, law or counts differ.
    pub fn read_changes(&self, row: &FileRow, bytes: &[u8]) -> Result<Changes, ManifestError> {
        check_digest(row, bytes)?;
        let changes = Changes::decode(bytes)
            .map_err(|error| ManifestError::Changes { file: row.file.clone(), error })?;
        if *changes.law_id() != row.law_id {
            return Err(ManifestError::ShardHead { file: row.file.clone() });
        }
        check_count(row, changes.added_count() + changes.revoked_count())?;
        match self.law(&row.law_id) {
            Some(law)
                if law.registered == changes.added_count()
                    && law.revoked == changes.revoked_count() =>
            {
                Ok(changes)
            }
            _ => Err(ManifestError::ChangesCount { file: row.file.clone() }),
        }
    }

    /// The text that officials sign.
    #[must_use]
    pub fn note_text(&self) -> String {
        format!("votekit-manifest/1\n{}\n", self.digest())
    }
}

fn check_digest(row: &FileRow, bytes: &[u8]) -> Result<(), ManifestError> {
    let found = Digest::compute(bytes);
    if found == row.sha256 {
        return Ok(());
    }
    Err(ManifestError::FileDigest { file: row.file.clone(), expected: row.sha256, found })
}

fn check_count(row: &FileRow, found: u64) -> Result<(), ManifestError> {
    if found == row.count {
        return Ok(());
    }
    Err(ManifestError::FileCount { file: row.file.clone(), expected: row.count, found })
}

#[cfg(test)]
#[path = "manifest_test.rs"]
mod tests;
