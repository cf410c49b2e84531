//! Verifies entries against the shards: builds the electorate as a node does, and repeats every
//! attempt.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use super::{Line, ReadError};
use crate::bundle::{Rule, Source};
use crate::credential::{HashScheme, RegistryKey};
use crate::decision::{Decision, Entry};
use crate::electorate::{Changes, ChangesApplied, CredentialStatus, Electorate, KeyList};
use crate::id::{Digest, ElectionId};
use crate::log::leaf::RollEvent;
use crate::manifest::Manifest;

/// The shards of each manifest, and the electorate that the log has loaded so far.
pub(super) struct Shards<'a> {
    folders: BTreeMap<Digest, (Manifest, &'a dyn Source)>,
    electorate: Electorate,
    /// Whether all rolls so far were found; otherwise no entry is checked.
    complete: bool,
}

impl<'a> Shards<'a> {
    /// Reads the manifest of each folder.
    pub(super) fn open(sources: &[&'a dyn Source]) -> Result<Option<Self>, ReadError> {
        if sources.is_empty() {
            return Ok(None);
        }
        let mut folders = BTreeMap::new();
        for source in sources {
            let bytes = read(*source, Manifest::FILE_NAME)?;
            let manifest = Manifest::parse(&bytes).map_err(|error| ReadError {
                file: Manifest::FILE_NAME.to_owned(),
                source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
            })?;
            folders.insert(Digest::compute(&bytes), (manifest, *source));
        }
        Ok(Some(Self { folders, electorate: Electorate::default(), complete: true }))
    }

    /// The manifests of the folders, sorted.
    pub(super) fn manifests(&self) -> Vec<Digest> {
        self.folders.keys().copied().collect()
    }

    /// Whether all rolls of the log so far were found and read, so that every entry was checked.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Loads the roll that a leaf names.
    pub(super) fn load(&mut self, roll: &RollEvent, law_id: &ElectionId, line: &mut Line<'_>) {
        if roll.parent.is_none() {
            (self.electorate, self.complete) = (Electorate::default(), true);
        }
        let loaded = match self.folders.get(&roll.manifest) {
            None => Err(format!("no folder of shards has the manifest {}", roll.manifest)),
            Some((manifest, source)) if manifest.is_supplement() => {
                changes(manifest, *source, law_id).map(|changes| {
                    let applied = self.electorate.apply(&changes);
                    let stated = ChangesApplied {
                        added: roll.added,
                        revoked: roll.revoked,
                        refused: roll.refused,
                    };
                    if applied != stated {
                        line.fail(
                            Rule::Electorate,
                            format_args!("the changes come to {applied}; the leaf states {stated}"),
                        );
                    }
                })
            }
            Some((manifest, source)) => keys(manifest, *source, law_id).and_then(|keys| {
                let keys = KeyList::new(keys).map_err(|error| error.to_string())?;
                self.electorate.add_roll(Arc::new(keys)).map_err(|error| error.to_string())
            }),
        };
        if let Err(error) = loaded {
            self.complete = false;
            line.fail(Rule::Electorate, format_args!("{error}"));
        }
    }

    /// Repeats the attempt of an entry.
    pub(super) fn check(&mut self, entry: &Entry, scheme: HashScheme, line: &mut Line<'_>) {
        let (hash, expected) = match &entry.decision {
            Decision::Accepted { hash } => (hash, CredentialStatus::First),
            Decision::Duplicate { hash, attempt } => {
                (hash, CredentialStatus::Again { attempt: *attempt })
            }
            Decision::Invalid { .. } => return,
        };
        if !self.complete {
            return;
        }
        let found = match self.electorate.attempt(&scheme.registry_key(hash)) {
            status if status == expected => return,
            CredentialStatus::Unknown => "is not registered".to_owned(),
            CredentialStatus::Revoked => "was revoked".to_owned(),
            CredentialStatus::First => "had not voted before".to_owned(),
            CredentialStatus::Again { attempt } => format!("makes its attempt {attempt}"),
        };
        line.fail(Rule::Electorate, format_args!("{hash} {found}"));
    }
}

fn keys(
    manifest: &Manifest,
    source: &dyn Source,
    law_id: &ElectionId,
) -> Result<Vec<RegistryKey>, String> {
    let mut keys = Vec::new();
    for row in manifest.body().shards.iter().filter(|row| row.law_id == *law_id) {
        let bytes = read(source, &row.file).map_err(|error| error.to_string())?;
        keys.append(&mut manifest.read_shard(row, &bytes).map_err(|error| error.to_string())?);
    }
    Ok(keys)
}

fn changes(
    manifest: &Manifest,
    source: &dyn Source,
    law_id: &ElectionId,
) -> Result<Changes, String> {
    let mut all = Changes::default();
    for row in manifest.body().changes.iter().filter(|row| row.law_id == *law_id) {
        let bytes = read(source, &row.file).map_err(|error| error.to_string())?;
        let file = manifest.read_changes(row, &bytes).map_err(|error| error.to_string())?;
        let Changes { add, revoke, replace, readmit } = Changes::from(&file);
        all.add.extend(add);
        all.revoke.extend(revoke);
        all.replace.extend(replace);
        all.readmit.extend(readmit);
    }
    Ok(all)
}

fn read(source: &dyn Source, name: &str) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    let read = source.open(name).and_then(|mut reader| reader.read_to_end(&mut bytes));
    read.map_err(|source| ReadError { file: name.to_owned(), source })?;
    Ok(bytes)
}
