//! The files of a roll in a folder that `hashgen` made, or in which a node stores it: read with
//! limits, and checked against the manifest and the keys of the officials.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use votekit_core::credential::Pepper;
use votekit_core::election_log::RollContent;
use votekit_core::electorate::{Changes, KeyList};
use votekit_core::id::{Digest, ElectionId};
use votekit_core::log::note::{Note, NoteError, VerifierKey};
use votekit_core::manifest::{FileRow, Manifest};
use zeroize::Zeroizing;

use super::error::{RollError, UnsignedReason};
use crate::data_folder::{DataFolder, FileDamage, FolderError};
use crate::regular_file::{self, RegularFileError};

/// The file of officials' keys in the data folder, one vkey per line. If the file exists, manifests
/// must be signed with one of these keys.
const OFFICIALS: &str = "officials";

/// The largest manifest: enough for tens of thousands of shards.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;

/// The largest file of signatures.
const NOTE_BYTES_MAX: u64 = 64 << 10;

/// The largest pepper file.
const PEPPER_BYTES_MAX: u64 = 4 << 10;

/// The maximum size of a change file, for any manifest.
const CHANGES_BYTES_MAX: u64 = 2 << 30;

/// Bytes that a shard or change file may have besides its keys.
const HEAD_BYTES_MAX: u64 = 64 << 10;

/// The most bytes that a key takes: 64 hexadecimal digits, quotation marks, commas, indentation.
const KEY_BYTES_MAX: u64 = 128;

/// A completely checked roll or supplement, with its content for each election.
#[derive(Debug)]
pub struct CheckedRoll {
    /// Its manifest.
    pub manifest: Manifest,
    /// By election, in the manifest's order.
    pub contents: Vec<(ElectionId, RollContent)>,
    /// The names of the officials whose signatures were verified; empty where none is required.
    pub signed_by: Vec<String>,
}

impl CheckedRoll {
    /// Reads and checks a folder that `hashgen` made, by the rules of a node that loads it: every
    /// digest and count, the pepper's check value, and, if the data folder names officials, the
    /// signature of an official. Stores nothing.
    ///
    /// # Errors
    /// [`RollError`] with the file and the rule.
    pub fn read(
        source: &Path,
        data: Option<&DataFolder>,
        pepper_file: Option<&Path>,
    ) -> Result<Self, RollError> {
        let manifest = read_manifest(source)?;
        let mut pepper = pepper_file.map(read_pepper).transpose()?;
        let mut signed_by = Vec::new();
        if let Some(data) = data {
            signed_by = check_signature(data, source, &manifest)?;
            if pepper.is_none() {
                pepper = stored_pepper(data, &manifest)?;
            }
        }
        manifest.hasher(pepper.as_ref()).map_err(|error| RollError::Manifest {
            path: source.join("manifest.json"),
            source: error,
        })?;
        let mut contents = Vec::with_capacity(manifest.body().laws.len());
        for row in &manifest.body().laws {
            if let Some(content) = content_of(source, &manifest, &row.law_id)? {
                contents.push((row.law_id.clone(), content));
            }
        }
        Ok(Self { manifest, contents, signed_by })
    }
}

/// The content of the roll or supplement in a folder for one election, with the digest of its
/// manifest. `None` when it has none.
///
/// # Errors
/// [`RollError`] with the file and the rule.
pub fn read_roll(
    path: &Path,
    law_id: &ElectionId,
) -> Result<(Digest, Option<RollContent>), RollError> {
    let manifest = read_manifest(path)?;
    Ok((manifest.digest(), content_of(path, &manifest, law_id)?))
}

/// Reads the manifest of a folder.
pub(super) fn read_manifest(folder: &Path) -> Result<Manifest, RollError> {
    let (path, bytes) = read_file(folder, "manifest.json", MANIFEST_BYTES_MAX)?;
    Manifest::parse(&bytes).map_err(|source| RollError::Manifest { path, source })
}

/// The content for one election; `None` when the roll has none.
pub(super) fn content_of(
    path: &Path,
    manifest: &Manifest,
    law_id: &ElectionId,
) -> Result<Option<RollContent>, RollError> {
    let body = manifest.body();
    if let Some(row) = body.changes.iter().find(|row| row.law_id == *law_id) {
        let (file, bytes) = read_file(path, &row.file, changes_bytes_max(row))?;
        let changes = manifest
            .read_changes(row, &bytes)
            .map_err(|source| RollError::Manifest { path: file, source })?;
        return Ok(Some(RollContent::Supplement(Arc::new(Changes::from(&changes)))));
    }
    if manifest.law(law_id).is_none() {
        return Ok(None);
    }
    let rows: Vec<_> = body.shards.iter().filter(|row| row.law_id == *law_id).collect();
    let read = |row: &&FileRow| {
        let (file, bytes) = read_file(path, &row.file, shard_bytes_max(row))?;
        manifest
            .read_shard(row, &bytes)
            .map_err(|source| RollError::Manifest { path: file, source })
    };
    let mut keys =
        Vec::with_capacity(rows.iter().map(|row| usize::try_from(row.count).unwrap_or(0)).sum());
    // One chunk per number of threads: the shards of a large roll need not all be in memory beside
    // its keys.
    for rows in rows.chunks(rayon::current_num_threads()) {
        for shard in rows.par_iter().map(read).collect::<Result<Vec<_>, _>>()? {
            keys.extend(shard);
        }
    }
    let list = KeyList::new(keys)
        .map_err(|error| FolderError::Damaged { path: path.to_owned(), damage: error.into() })?;
    Ok(Some(RollContent::Roll(Arc::new(list))))
}

/// Reads and checks every file that the manifest lists.
pub(super) fn for_each_file(
    source: &Path,
    manifest: &Manifest,
    mut each: impl FnMut(&str, &[u8]) -> Result<(), RollError>,
) -> Result<(), RollError> {
    for row in &manifest.body().shards {
        let (path, bytes) = read_file(source, &row.file, shard_bytes_max(row))?;
        manifest.read_shard(row, &bytes).map_err(|source| RollError::Manifest { path, source })?;
        each(&row.file, &bytes)?;
    }
    for row in &manifest.body().changes {
        let (path, bytes) = read_file(source, &row.file, changes_bytes_max(row))?;
        manifest
            .read_changes(row, &bytes)
            .map_err(|source| RollError::Manifest { path, source })?;
        each(&row.file, &bytes)?;
    }
    Ok(())
}

/// Reads a pepper from the file of the officials.
pub(super) fn read_pepper(path: &Path) -> Result<Pepper, RollError> {
    let bytes = Zeroizing::new(read_regular(path, PEPPER_BYTES_MAX)?);
    let text = std::str::from_utf8(&bytes).map_err(|error| RollError::Read {
        path: path.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidData, error),
    })?;
    Pepper::from_file_text(text)
        .map_err(|source| RollError::Pepper { path: path.to_owned(), source })
}

/// The pepper of a manifest, if it needs one and the data folder has it.
pub(super) fn stored_pepper(
    folder: &DataFolder,
    manifest: &Manifest,
) -> Result<Option<Pepper>, RollError> {
    match &manifest.body().pepper {
        Some(marks) => Ok(folder.pepper(&marks.id)?),
        None => Ok(None),
    }
}

/// Whether every manifest must be signed by an official.
pub(crate) fn requires_signatures(folder: &DataFolder) -> bool {
    folder.path().join(OFFICIALS).exists()
}

/// Verifies the signatures of a manifest, if the data folder names officials; returns the names of
/// those who signed it.
pub(super) fn check_signature(
    folder: &DataFolder,
    source: &Path,
    manifest: &Manifest,
) -> Result<Vec<String>, RollError> {
    let officials = folder.path().join(OFFICIALS);
    let keys = match fs::read_to_string(&officials) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(RollError::Read { path: officials, source }),
    };
    let keys: Result<Vec<VerifierKey>, _> = keys.lines().map(str::parse).collect();
    let keys = keys.map_err(|error| FolderError::Damaged {
        path: officials,
        damage: FileDamage::NotVerifierKeys(error),
    })?;
    let path = source.join("manifest.note");
    let unsigned = |reason| RollError::Unsigned { path: path.clone(), reason };
    let bytes = read_regular(&path, NOTE_BYTES_MAX).map_err(|error| match error {
        RollError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            unsigned(UnsignedReason::NoFile)
        }
        RollError::Read { source, .. } => unsigned(UnsignedReason::Unreadable(source)),
        other => other,
    })?;
    let verify = || -> Result<Option<Vec<String>>, NoteError> {
        let note = Note::parse(&bytes)?;
        let signed = note.verify(&keys)?;
        let names = signed.iter().map(|signature| keys[signature.key].name().to_string());
        Ok((note.text() == manifest.note_text()).then(|| names.collect()))
    };
    match verify() {
        Ok(Some(names)) => Ok(names),
        Ok(None) => Err(unsigned(UnsignedReason::OtherManifest)),
        Err(error) => Err(unsigned(UnsignedReason::Note(error))),
    }
}

fn shard_bytes_max(row: &FileRow) -> u64 {
    row.count.saturating_mul(KEY_BYTES_MAX).saturating_add(HEAD_BYTES_MAX)
}

fn changes_bytes_max(row: &FileRow) -> u64 {
    // A replacement names two keys and counts as two.
    shard_bytes_max(row).min(CHANGES_BYTES_MAX)
}

fn read_file(folder: &Path, name: &str, bytes_max: u64) -> Result<(PathBuf, Vec<u8>), RollError> {
    let path = folder.join(name);
    let bytes = read_regular(&path, bytes_max)?;
    Ok((path, bytes))
}

fn read_regular(path: &Path, bytes_max: u64) -> Result<Vec<u8>, RollError> {
    let path = || path.to_owned();
    regular_file::read(&path(), bytes_max).map_err(|error| match error {
        RegularFileError::Io(source) => RollError::Read { path: path(), source },
        RegularFileError::NotRegular(found) => RollError::NotRegular { path: path(), found },
        RegularFileError::TooLarge => RollError::TooLarge { path: path(), bytes_max },
    })
}
