//! The data folder of one of several authorities: its keys, its memory, and the file of all
//! authorities.
//!
//! An authority that forgets its statements can be made to sign contradictory ones. Therefore no
//! key of an authority is ever generated again while its memory exists, and no memory is created
//! for keys that have signed: [`DataFolder::renew_authority`] moves both aside together, the keys
//! first.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use votekit_core::authority::{AuthorityMember, AuthoritySet, StatementKey};
use votekit_core::ballot::BallotSecretKey;
use votekit_core::log::checkpoint::Cosigner;
use votekit_core::log::note::{KeyName, SigningKey};
use votekit_files::sync_folder;
use votekit_store::clock;
use votekit_store::memory::AuthorityMemory;
use zeroize::Zeroizing;

use super::error::{AuthorityMismatch, FileDamage, FolderError};
use super::lock::lock;
use super::permissions::{check_private, make_private_folder, tighten};
use super::private_file::{TOKEN, random, read_secret, write_secret};
use super::{DataFolder, FORMAT, Identity, identity, make_folders, refuse_all_but, write_identity};
use crate::memory::stack_used;

/// The file of all authorities: the same bytes on every machine.
const AUTHORITIES: &str = "authorities";

/// The folder of the memory.
const MEMORY: &str = "memory";

/// Begins the names of folders with former keys and memories; the time follows.
const RETIRED: &str = "retired-";

/// The key that signs statements, which only an authority has.
const STATEMENT: &str = "statement";

/// The key to which the keys of elections are sealed.
const TRANSPORT: &str = "transport";

/// The keys whose public halves are in the line of an authority.
const KEYS: [&str; 4] = ["log", "cosigner", STATEMENT, TRANSPORT];

/// Names allowed in a folder that becomes an authority's. Unlike for other data folders, keys are
/// not among them: they may have signed statements that are in no memory.
const BEFOREHAND: [&str; 4] = ["officials", AUTHORITIES, "lost+found", "lock"];

impl DataFolder {
    /// Creates the data folder of an authority, with all its keys and an empty memory, in an empty
    /// or missing folder.
    ///
    /// # Errors
    /// [`FolderError`], among others [`FolderError::Present`] and [`FolderError::Occupied`]. A
    /// failed creation leaves no key behind.
    pub fn create_authority(
        path: &Path,
        base: &KeyName,
        name: &KeyName,
    ) -> Result<Self, FolderError> {
        refuse_occupied(path)?;
        make_private_folder(path)?;
        tighten(path)?;
        let lock = lock(path, FlockOperation::NonBlockingLockExclusive)?;
        // Another process may have created it before the lock was taken.
        refuse_occupied(path)?;
        let identity = Identity {
            format: FORMAT,
            base: base.as_str().to_owned(),
            authority: name.as_str().to_owned(),
        };
        let folder = Self { path: path.to_owned(), identity, own: None, locks: vec![lock] };
        if let Err(error) = folder.write_authority() {
            folder.remove_unfinished();
            return Err(error);
        }
        Ok(folder)
    }

    /// Gives an authority new keys and an empty memory. The former keys and memory are kept in a
    /// separate folder, whose path is returned. The next call completes an interrupted one.
    ///
    /// # Errors
    /// [`FolderError`], among others [`FolderError::NotAuthority`], and [`FolderError::InUse`]
    /// while a node runs.
    pub fn renew_authority(path: &Path) -> Result<(Self, PathBuf), FolderError> {
        if !Self::is_one(path) {
            return Err(FolderError::NotOne { path: path.to_owned() });
        }
        let lock = lock(path, FlockOperation::NonBlockingLockExclusive)?;
        let identity = identity(path, None)?;
        let folder = Self { path: path.to_owned(), identity, own: None, locks: vec![lock] };
        check_private(&path.join("keys"))?;
        if !folder.was_authority()? {
            return Err(FolderError::NotAuthority { path: path.to_owned() });
        }
        let retired = folder.retire_authority()?;
        for name in KEYS {
            let key = folder.key_path(name);
            write_secret(&key, &*random(&key)?)?;
        }
        folder.create_memory()?;
        Ok((folder, retired))
    }

    /// Whether this is the folder of one of several authorities.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.key_path(STATEMENT).exists()
    }

    /// Whether this is the folder of an authority, and the installed file lists several.
    ///
    /// # Errors
    /// [`FolderError::Damaged`] when the file of the authorities breaks a rule.
    pub fn is_of_several_authorities(&self) -> Result<bool, FolderError> {
        Ok(self.is_authority() && self.authorities()?.is_some_and(|set| !set.is_single()))
    }

    /// The seed of the key that signs the statements of this authority. It is generated with the
    /// folder, never later.
    ///
    /// # Errors
    /// [`FolderError`], among others if this is not the folder of an authority.
    pub fn statement_seed(&self) -> Result<Zeroizing<[u8; 32]>, FolderError> {
        self.kept_secret(STATEMENT)
    }

    /// The key to which the keys of elections are sealed for this node.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn transport_key(&self) -> Result<BallotSecretKey, FolderError> {
        self.kept_secret(TRANSPORT).map(|bytes| BallotSecretKey::from_bytes(*bytes))
    }

    /// The authorities of the installation, from the file that people install. `None` if there is
    /// none: then this node is the only authority.
    ///
    /// # Errors
    /// [`FolderError::Damaged`] with the line that is wrong.
    pub fn authorities(&self) -> Result<Option<AuthoritySet>, FolderError> {
        let path = self.authorities_path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FolderError::io(&path)(error)),
        };
        AuthoritySet::parse(&bytes)
            .map(Some)
            .map_err(|error| FolderError::Damaged { path, damage: FileDamage::Authorities(error) })
    }

    /// The entry of this authority in the file of the authorities, after comparing all four keys.
    /// `None` if the file does not name it. Called at the start of a node that is to seal: the name
    /// of any other node has no meaning in that file.
    ///
    /// # Errors
    /// [`FolderError::OtherAuthorities`] with the key that differs, or the base.
    pub fn own_authority<'set>(
        &self,
        set: &'set AuthoritySet,
    ) -> Result<Option<&'set AuthorityMember>, FolderError> {
        let path = self.authorities_path();
        let (own, listed) = (self.base()?, set.base());
        if own != *listed {
            let mismatch = AuthorityMismatch::Base { listed: listed.clone(), own };
            return Err(FolderError::OtherAuthorities { path, mismatch });
        }
        let name = self.authority()?;
        let Some(listed) = set.member(&name) else { return Ok(None) };
        let own = self.authority_member()?;
        let pairs = [
            ("log", own.log, listed.log),
            ("cosigner", own.cosigner, listed.cosigner),
            (STATEMENT, own.statement, listed.statement),
            (TRANSPORT, own.transport, listed.transport),
        ];
        match pairs.into_iter().find(|(_, own, listed)| own != listed) {
            None => Ok(Some(listed)),
            Some((key, ..)) => {
                let mismatch = AuthorityMismatch::Key { name, key };
                Err(FolderError::OtherAuthorities { path, mismatch })
            }
        }
    }

    /// The name and the public keys of this authority, for the file of the authorities.
    ///
    /// # Errors
    /// [`FolderError`], among others if this is not the folder of an authority.
    pub fn authority_member(&self) -> Result<AuthorityMember, FolderError> {
        stack_used();
        let (base, name) = (self.base()?, self.authority()?);
        // The name of a signing key is not part of its public half.
        let log = SigningKey::from_seed(base.clone(), &*self.log_seed()?);
        let cosigner = Cosigner::from_seed(base.clone(), &*self.cosigner_seed()?);
        let statement = StatementKey::from_seed(&base, &name, &*self.statement_seed()?);
        Ok(AuthorityMember {
            name,
            log: *log.verifier().public_key(),
            cosigner: *cosigner.verifier().public_key(),
            statement: statement.public(),
            transport: *self.transport_key()?.public_key().as_bytes(),
        })
    }

    /// The folder of this authority's memory.
    #[must_use]
    pub fn memory_path(&self) -> PathBuf {
        self.path.join(MEMORY)
    }

    /// The path of the file of the authorities.
    #[must_use]
    pub fn authorities_path(&self) -> PathBuf {
        self.path.join(AUTHORITIES)
    }

    /// Reads the keys that an opened folder must not have lost or exposed, and generates the
    /// transport key of a node that is not an authority.
    pub(super) fn prepare_authority_keys(&self) -> Result<(), FolderError> {
        let is_authority = read_secret(&self.key_path(STATEMENT))?.is_some();
        let transport = self.key_path(TRANSPORT);
        // The transport key of an authority is in a file on every machine: a new key would be
        // useless, and would hide the loss of the old key.
        if read_secret(&transport)?.is_none() && !is_authority {
            write_secret(&transport, &*random(&transport)?)?;
        }
        Ok(())
    }

    /// A key that is never generated on first use.
    fn kept_secret(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, FolderError> {
        let path = self.key_path(name);
        let missing =
            || FolderError::Damaged { path: path.clone(), damage: FileDamage::KeyMissing };
        read_secret(&path)?.ok_or_else(missing)
    }

    fn write_authority(&self) -> Result<(), FolderError> {
        let folders = make_folders(&self.path)?;
        for name in [&KEYS[..], &["node", TOKEN]].concat() {
            let key = self.key_path(name);
            write_secret(&key, &*random(&key)?)?;
        }
        self.create_memory()?;
        for folder in folders.iter().map(PathBuf::as_path).chain([&*self.path]) {
            sync_folder(folder).map_err(FolderError::io(folder))?;
        }
        // Written last, because it makes the folder a data folder. After an interrupted creation no
        // command treats the folder as a data folder.
        write_identity(&self.path, &self.identity)
    }

    /// Removes the files of a failed creation. Its keys have signed nothing.
    fn remove_unfinished(&self) {
        if Self::is_one(&self.path) {
            return;
        }
        for name in ["keys", "rolls", "snapshots", MEMORY] {
            // A failure is ignored: the error that led here matters more, and the next run refuses
            // the folder.
            let _ = fs::remove_dir_all(self.path.join(name));
        }
    }

    fn create_memory(&self) -> Result<(), FolderError> {
        let path = self.memory_path();
        AuthorityMemory::create(&path)
            .map_err(|error| FolderError::Io { path, source: io::Error::other(error.to_string()) })
    }

    /// Whether the folder is, or was before an interrupted renewal, that of an authority.
    fn was_authority(&self) -> Result<bool, FolderError> {
        if self.is_authority() || self.memory_path().exists() {
            return Ok(true);
        }
        let entries = fs::read_dir(&self.path).map_err(FolderError::io(&self.path))?;
        for entry in entries {
            let name = entry.map_err(FolderError::io(&self.path))?.file_name();
            if name.as_encoded_bytes().starts_with(RETIRED.as_bytes()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Moves keys and memory into a new folder. The keys come first: at no time does the folder
    /// have a key that has signed without the memory of its statements.
    fn retire_authority(&self) -> Result<PathBuf, FolderError> {
        let time = clock::now().seconds().to_rfc3339().replace(['-', ':'], "");
        let mut retired = self.path.join(format!("{RETIRED}{time}"));
        let mut number = 1;
        while retired.exists() {
            number += 1;
            retired = self.path.join(format!("{RETIRED}{time}-{number}"));
        }
        let (from, to) = (self.path.join("keys"), retired.join("keys"));
        make_private_folder(&to)?;
        for name in KEYS {
            move_to(&from.join(name), &to.join(name))?;
        }
        for folder in [&to, &from] {
            sync_folder(folder).map_err(FolderError::io(folder))?;
        }
        move_to(&self.memory_path(), &retired.join(MEMORY))?;
        for folder in [&retired, &self.path] {
            sync_folder(folder).map_err(FolderError::io(folder))?;
        }
        Ok(retired)
    }
}

/// Moves a file or folder, if it is there.
fn move_to(from: &Path, to: &Path) -> Result<(), FolderError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(FolderError::io(from)(error)),
        _ => Ok(()),
    }
}

/// Refuses to create an authority in a folder with any other content.
fn refuse_occupied(path: &Path) -> Result<(), FolderError> {
    if DataFolder::is_one(path) {
        return Err(FolderError::Present { path: path.to_owned() });
    }
    refuse_all_but(&BEFOREHAND, path)
}

#[cfg(test)]
#[path = "authority_test.rs"]
mod tests;
