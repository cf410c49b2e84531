//! Rolls in the data folder: checked completely before anything changes, and stored under the
//! digest of their manifest.

mod error;
mod files;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use votekit_core::credential::{CredentialHasher, HashScheme, PepperId};
use votekit_core::election_log::RollContent;
use votekit_core::id::{Digest, ElectionId};
use votekit_core::manifest::Manifest;
use votekit_files::{sync_parent, sync_placed};

pub use self::error::{RollError, UnsignedReason};
pub(crate) use self::files::requires_signatures;
pub use self::files::{CheckedRoll, read_roll};
use self::files::{
    check_signature, content_of, for_each_file, read_manifest, read_pepper, stored_pepper,
};
use crate::data_folder::{DataFolder, FileDamage, FolderError, write_whole};

/// The progress of a load. It can be aborted until it begins to store the roll.
#[derive(Debug, Default)]
pub(crate) struct LoadProgress(AtomicU8);

const READING: u8 = 0;
const KEEPING: u8 = 1;
const GIVEN_UP: u8 = 2;

impl LoadProgress {
    /// Aborts the load. `false` when it is being stored already: then it is complete in a moment.
    pub(crate) fn give_up(&self) -> bool {
        self.end_reading(GIVEN_UP)
    }

    fn keep(&self) -> Result<(), RollError> {
        if self.end_reading(KEEPING) { Ok(()) } else { Err(RollError::GivenUp) }
    }

    fn go_on(&self) -> Result<(), RollError> {
        if self.0.load(Ordering::Acquire) == GIVEN_UP { Err(RollError::GivenUp) } else { Ok(()) }
    }

    fn end_reading(&self, next: u8) -> bool {
        self.0.compare_exchange(READING, next, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// A roll stored in the data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RollView {
    /// SHA-256 of the manifest, which names the roll.
    pub manifest: String,
    /// The manifest that this supplement follows; null for a roll.
    pub parent: Option<String>,
    /// The date given by the officials.
    pub date: Option<String>,
    /// Whether credentials are hashed under a pepper.
    pub peppered: bool,
    /// One row per law.
    pub laws: Vec<RolledLaw>,
}

/// The content of a stored roll for one election.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolledLaw {
    /// The law.
    pub law_id: String,
    /// Electors it registers, or adds.
    pub registered: u64,
    /// Electors it revokes.
    pub revoked: u64,
    /// Whether the log of this law's election names the manifest. Otherwise the roll waits until
    /// the election is created.
    pub in_use: bool,
}

/// Whether a node must have the pepper of a roll that it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PepperNeed {
    /// It hashes the credentials of voters.
    Required,
    /// The node decides only by registry keys, as one of several authorities that accepts no votes.
    /// An available pepper is compared with the manifest.
    Optional,
}

/// A roll that [`keep`] has stored in the data folder, or found there.
pub(crate) struct Kept {
    pub(crate) manifest: Manifest,
    /// Whether this call stored it.
    pub(crate) is_new: bool,
    /// Whether it is hashed under a pepper that this folder does not have.
    pub(crate) lacks_pepper: bool,
    /// The names of the officials whose signatures were verified; empty where none is required.
    pub(crate) signed_by: Vec<String>,
}

/// The manifest of a roll that is about to be loaded.
///
/// # Errors
/// [`RollError`] with the file and the rule.
pub(crate) fn offered_manifest(source: &Path) -> Result<Manifest, RollError> {
    read_manifest(source)
}

/// Reads, checks and stores a hashed roll or supplement. Storing one again changes nothing. Blocks
/// the thread while the files are read and copied.
///
/// # Errors
/// [`RollError`] with the file and the rule; then nothing is stored.
pub(crate) fn keep(
    folder: &DataFolder,
    source: &Path,
    pepper: (Option<&Path>, PepperNeed),
    progress: &LoadProgress,
) -> Result<Kept, RollError> {
    let (pepper_file, need) = pepper;
    let manifest = read_manifest(source)?;
    let signed_by = check_signature(folder, source, &manifest)?;
    let pepper = match pepper_file {
        Some(path) => Some(read_pepper(path)?),
        None => stored_pepper(folder, &manifest)?,
    };
    let lacks_pepper = manifest.body().pepper.is_some() && pepper.is_none();
    if need == PepperNeed::Required || !lacks_pepper {
        manifest.hasher(pepper.as_ref()).map_err(|error| RollError::Manifest {
            path: source.join("manifest.json"),
            source: error,
        })?;
    }
    if let Some(parent) = manifest.body().parent
        && !folder.roll_path(&parent).join("manifest.json").exists()
    {
        return Err(RollError::NoParent { parent });
    }
    let target = folder.roll_path(&manifest.digest());
    let unfinished = target.with_extension("unfinished");
    let is_new = !target.exists();
    if !is_new {
        for_each_file(source, &manifest, |_, _| progress.go_on())?;
        progress.keep()?;
    } else {
        copy_files(source, &manifest, &unfinished, progress)?;
    }
    if let Some(pepper) = &pepper {
        folder.keep_pepper(pepper)?;
    }
    if is_new {
        // Done last, so that a stored roll is always complete and has the pepper that its node
        // needs.
        let rename = || fs::rename(&unfinished, &target).and_then(|()| sync_placed(&target));
        rename().map_err(|source| FolderError::Io { path: target.clone(), source })?;
    }
    Ok(Kept { manifest, is_new, lacks_pepper, signed_by })
}

/// Removes a stored roll, and its pepper unless another stored roll is hashed under it. The caller
/// has made sure that no election uses the roll.
///
/// # Errors
/// [`RollError`]; the remains of the roll then no longer count as a roll.
pub(crate) fn discard(folder: &DataFolder, digest: &Digest) -> Result<(), RollError> {
    let marks = manifest(folder, digest)?.body().pepper;
    let path = folder.roll_path(digest);
    // Renamed first: a removal cut short must not leave half a roll under the name of a complete
    // one.
    let aside = path.with_extension("unfinished");
    let remove = || {
        if aside.exists() {
            fs::remove_dir_all(&aside)?;
        }
        fs::rename(&path, &aside)?;
        sync_parent(&path)?;
        fs::remove_dir_all(&aside)
    };
    remove().map_err(|source| FolderError::Io { path: path.clone(), source })?;
    marks.map_or(Ok(()), |marks| destroy_pepper(folder, &marks.id, digest))
}

/// Destroys the members' key of a stored roll, whose election is purged: from then on it is
/// impossible to compute which member has which hash in the log. Another roll is not changed.
///
/// # Errors
/// [`RollError`].
pub(crate) fn destroy_members_key(folder: &DataFolder, digest: &Digest) -> Result<(), RollError> {
    let manifest = manifest(folder, digest)?;
    match manifest.body().pepper {
        Some(marks) if manifest.is_of_members() => destroy_pepper(folder, &marks.id, digest),
        _ => Ok(()),
    }
}

/// Destroys a pepper, unless another roll is hashed under it.
fn destroy_pepper(folder: &DataFolder, id: &PepperId, roll: &Digest) -> Result<(), RollError> {
    for other in manifests(folder)? {
        let is_same = other.body().pepper.is_some_and(|marks| marks.id == *id);
        if is_same && other.digest() != *roll {
            return Ok(());
        }
    }
    Ok(folder.destroy_pepper(id)?)
}

/// Every stored manifest, each after its parent.
///
/// # Errors
/// [`RollError`] when one cannot be read.
pub(crate) fn manifests(folder: &DataFolder) -> Result<Vec<Manifest>, RollError> {
    let mut waiting = Vec::new();
    for digest in folder.rolls()? {
        waiting.push(manifest(folder, &digest)?);
    }
    let mut ordered: Vec<Manifest> = Vec::new();
    while let Some(next) = waiting.iter().position(|manifest| {
        let is_placed = |parent| ordered.iter().any(|placed| placed.digest() == parent);
        manifest.body().parent.is_none_or(is_placed)
    }) {
        ordered.push(waiting.remove(next));
    }
    // Supplements whose parent is missing are useless, but are listed.
    ordered.extend(waiting);
    Ok(ordered)
}

/// Every stored roll, with the rolls that it replaces.
pub(crate) struct KeptRolls(Vec<(Manifest, Vec<Digest>)>);

impl KeptRolls {
    /// Reads every stored manifest and its note of replaced rolls.
    ///
    /// # Errors
    /// [`RollError`] when one cannot be read.
    pub(crate) fn read(folder: &DataFolder) -> Result<Self, RollError> {
        let with_note = |manifest: Manifest| {
            let replaces = replaced_by(folder, &manifest.digest())?;
            Ok((manifest, replaces))
        };
        manifests(folder)?.into_iter().map(with_note).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a roll is stored.
    pub(crate) fn contains(&self, digest: &Digest) -> bool {
        self.0.iter().any(|(manifest, _)| manifest.digest() == *digest)
    }

    /// The rolls of a law that no other roll of it replaces, each after its parent.
    pub(crate) fn in_effect(&self, law_id: &ElectionId) -> Vec<&Manifest> {
        let of_law = self.0.iter().filter(|(manifest, _)| manifest.law(law_id).is_some());
        let mut gone: Vec<Digest> =
            of_law.clone().flat_map(|(_, replaces)| replaces).copied().collect();
        let mut in_effect = Vec::new();
        for (manifest, _) in of_law {
            // Manifests come after their parents, so one pass finds every supplement of a replaced
            // roll.
            let follows_gone = manifest.body().parent.is_some_and(|parent| gone.contains(&parent));
            if follows_gone || gone.contains(&manifest.digest()) {
                gone.push(manifest.digest());
            } else {
                in_effect.push(manifest);
            }
        }
        in_effect
    }
}

/// The file in a roll's folder that lists the rolls it replaces: one digest per line.
const REPLACES: &str = "replaces";

/// Records which rolls a stored roll replaces, for the laws of both: an election created later gets
/// the new one.
///
/// # Errors
/// [`RollError`].
pub(crate) fn note_replaced(
    folder: &DataFolder,
    digest: &Digest,
    replaced: &[Digest],
) -> Result<(), RollError> {
    let mut all = replaced_by(folder, digest)?;
    all.extend(replaced.iter().filter(|other| *other != digest));
    all.sort_unstable();
    all.dedup();
    write_note(folder, digest, &all)?;
    // This roll may itself have been replaced: it is in effect again.
    for other in all {
        let mut of_other = replaced_by(folder, &other)?;
        let before = of_other.len();
        of_other.retain(|replaced| replaced != digest);
        if of_other.len() < before {
            write_note(folder, &other, &of_other)?;
        }
    }
    Ok(())
}

fn write_note(folder: &DataFolder, digest: &Digest, replaced: &[Digest]) -> Result<(), RollError> {
    let lines: String = replaced.iter().map(|digest| format!("{digest}\n")).collect();
    let path = folder.roll_path(digest).join(REPLACES);
    let written = write_whole(&path, lines.as_bytes());
    Ok(written.map_err(|source| FolderError::Io { path, source })?)
}

fn replaced_by(folder: &DataFolder, digest: &Digest) -> Result<Vec<Digest>, RollError> {
    let path = folder.roll_path(digest).join(REPLACES);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(FolderError::Io { path, source }.into()),
    };
    let read = text.lines().map(str::parse).collect::<Result<Vec<_>, _>>();
    read.map_err(|_| FolderError::Damaged { path, damage: FileDamage::NotDigest }.into())
}

/// Lists the stored rolls. `used` contains the manifests that each election's log names.
///
/// # Errors
/// [`RollError`] when a manifest cannot be read.
pub(crate) fn list(
    folder: &DataFolder,
    used: &[(ElectionId, Vec<Digest>)],
) -> Result<Vec<RollView>, RollError> {
    let view = |manifest: &Manifest| {
        let (digest, body) = (manifest.digest(), manifest.body());
        let is_used = |law_id: &ElectionId| {
            used.iter().any(|(used, manifests)| used == law_id && manifests.contains(&digest))
        };
        RollView {
            manifest: digest.to_hex(),
            parent: body.parent.map(|parent| parent.to_hex()),
            date: body.date.clone(),
            peppered: body.scheme == HashScheme::HmacSha256,
            laws: body
                .laws
                .iter()
                .map(|row| RolledLaw {
                    law_id: row.law_id.to_string(),
                    registered: row.registered,
                    revoked: row.revoked,
                    in_use: is_used(&row.law_id),
                })
                .collect(),
        }
    };
    Ok(manifests(folder)?.iter().map(view).collect())
}

/// A stored manifest.
///
/// # Errors
/// [`RollError`].
pub(crate) fn manifest(folder: &DataFolder, digest: &Digest) -> Result<Manifest, RollError> {
    read_manifest(&folder.roll_path(digest))
}

/// The content of a stored roll for one election. `None` when it has none.
///
/// # Errors
/// [`RollError`] when the stored files are damaged.
pub(crate) fn content(
    folder: &DataFolder,
    digest: &Digest,
    law_id: &ElectionId,
) -> Result<Option<RollContent>, RollError> {
    let path = folder.roll_path(digest);
    content_of(&path, &read_manifest(&path)?, law_id)
}

/// The stored rolls of one election, each read only once.
pub(crate) struct Rolls<'a> {
    folder: &'a DataFolder,
    law_id: &'a ElectionId,
    read: Mutex<HashMap<Digest, Option<RollContent>>>,
    failure: Mutex<Option<RollError>>,
}

impl<'a> Rolls<'a> {
    pub(crate) fn new(folder: &'a DataFolder, law_id: &'a ElectionId) -> Self {
        Self { folder, law_id, read: Mutex::default(), failure: Mutex::default() }
    }

    pub(crate) fn content(&self, digest: &Digest) -> Result<Option<RollContent>, RollError> {
        let mut read = self.read.lock();
        if let Some(content) = read.get(digest) {
            return Ok(content.clone());
        }
        let content = content(self.folder, digest, self.law_id)?;
        read.insert(*digest, content.clone());
        Ok(content)
    }

    /// As [`Rolls::content`], for callers that take no error: the error is stored for
    /// [`Rolls::failure`].
    pub(crate) fn content_if_whole(&self, digest: &Digest) -> Option<RollContent> {
        match self.content(digest) {
            Ok(content) => content,
            Err(error) => {
                *self.failure.lock() = Some(error);
                None
            }
        }
    }

    /// Takes the error that made a roll unavailable.
    pub(crate) fn failure(&self) -> Option<RollError> {
        self.failure.lock().take()
    }
}

/// The hasher that a stored roll requires.
///
/// # Errors
/// [`RollError`], among others when its pepper is not in the folder.
pub(crate) fn hasher(folder: &DataFolder, digest: &Digest) -> Result<CredentialHasher, RollError> {
    hasher_of(folder, &manifest(folder, digest)?)
}

/// How credentials are hashed under a manifest, with the pepper in the data folder.
pub(crate) fn hasher_of(
    folder: &DataFolder,
    manifest: &Manifest,
) -> Result<CredentialHasher, RollError> {
    let pepper = stored_pepper(folder, manifest)?;
    manifest.hasher(pepper.as_ref()).map_err(|source| RollError::Manifest {
        path: folder.roll_path(&manifest.digest()).join("manifest.json"),
        source,
    })
}

fn copy_files(
    source: &Path,
    manifest: &Manifest,
    target: &Path,
    progress: &LoadProgress,
) -> Result<(), RollError> {
    let io =
        |path: &Path, source| RollError::Folder(FolderError::Io { path: path.to_owned(), source });
    if target.exists() {
        fs::remove_dir_all(target).map_err(|error| io(target, error))?;
    }
    fs::create_dir(target).map_err(|error| io(target, error))?;
    let copied = for_each_file(source, manifest, |name, bytes| {
        progress.go_on()?;
        let path = target.join(name);
        write_whole(&path, bytes).map_err(|error| io(&path, error))
    })
    .and_then(|()| {
        let path = target.join("manifest.json");
        write_whole(&path, &manifest.encode()).map_err(|error| io(&path, error))
    })
    .and_then(|()| progress.keep());
    if copied.is_err() {
        // The failure itself is reported; a failure of this removal would not help.
        let _ = fs::remove_dir_all(target);
    }
    copied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_given_up_or_kept_and_never_both() {
        let progress = LoadProgress::default();
        assert!(progress.go_on().is_ok() && progress.give_up());
        assert!(matches!(progress.go_on(), Err(RollError::GivenUp)));
        assert!(matches!(progress.keep(), Err(RollError::GivenUp)));
        let progress = LoadProgress::default();
        assert!(progress.keep().is_ok() && progress.go_on().is_ok());
        assert!(!progress.give_up(), "it is being kept");
    }
}
