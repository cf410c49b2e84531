//! The data folder of a node: its lock, its format, its keys, its rolls.
//!
//! ```text
//! DATA/
//!   votekit.toml      format, base name of the logs, name of the authority
//!   lock ledger.lock  locked while a process uses the folder
//!   officials         written by people: keys, one of which must sign each manifest
//!   authorities       written by people: the keys of several authorities, and their quorum
//!   keys/             0700; each file 0600, one line: 64 hexadecimal digits and an 8-digit check
//!                     (admin-token: without the check)
//!     node log cosigner transport admin-token
//!     statement         of one of several authorities, made with its folder
//!     ballot/<law id>   request/<law id>   pepper/<pepper id>
//!   rolls/<manifest SHA-256>/   manifest.json and the shards or change files, as loaded
//!   incoming/<law id>/          the same, as officials upload them; removed when they are loaded
//!   nodes/<name>/     of several nodes that share the folder, the files of one: key, lock,
//!                     snapshots/ epochs/
//!   snapshots/<law id>/   the state of a log, so that a start reads only the rest; may be deleted
//!   epochs/<law id>       the epochs of a node on a shared ledger, the last batch confirmed in
//!                         each, and the height of the log that it has read
//!   memory/           what one of several authorities has signed and accepted: never from a copy
//!   retired-<time>/   keys and memory of an authority before `authority renew`
//!   services          the ledger on services that the folder belongs to, if any
//!   ledger.sqlite     staging, evidence, blocks, tiles, heads
//!   accounts.sqlite   accounts of officials and members, without a ledger on services; other
//!                     processes may write to it beside a running node
//! ```

mod error;
mod permissions;
mod private_file;

mod lock;

mod authority;
mod belonging;
mod keys;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use votekit_core::id::{Digest, ElectionId};
use votekit_core::log::note::KeyName;
use votekit_files::{TemporaryFile, sync_folder};

pub use self::belonging::Belonging;
pub use self::error::{AuthorityMismatch, Exposure, FileDamage, FolderError, LedgerMismatch};
pub use self::keys::read_admin_token;
pub use self::permissions::check_private;
pub(crate) use self::permissions::make_private_folder;
pub(crate) use self::private_file::write_whole;
use crate::node_name::NodeName;
use lock::{lock, shared_lock};
use permissions::tighten;
use private_file::{TOKEN, clear_temporary, random, read_secret, write_secret};

/// The file that marks a folder as a data folder.
const IDENTITY: &str = "votekit.toml";

/// Names allowed in a folder that becomes a data folder: files that people put there beforehand,
/// those of the file system, and the remains of an interrupted start.
const BEFOREHAND: [&str; 7] =
    ["officials", "authorities", "lost+found", "lock", "nodes", "keys", "votekit.toml~"];

/// The folders of every data folder.
const FOLDERS: [&str; 6] =
    ["keys", "keys/ballot", "keys/request", "keys/pepper", "rolls", "snapshots"];

/// The folder of uploaded rolls.
const INCOMING: &str = "incoming";

/// The format that this program writes.
const FORMAT: u32 = 1;

/// The content of the identity file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    format: u32,
    base: String,
    authority: String,
}

/// A data folder locked by this process. Dropping it releases the folder.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    identity: Identity,
    /// The folder for a named node's own files.
    own: Option<PathBuf>,
    /// Empty if the folder is only read.
    locks: Vec<File>,
}

impl DataFolder {
    /// The default base name of logs. It identifies no organisation: choose one before an election
    /// that matters.
    pub const DEFAULT_BASE: &'static str = votekit_core::binding::DEFAULT_BASE;

    /// Whether a folder is a data folder. Writes nothing.
    #[must_use]
    pub fn is_one(path: &Path) -> bool {
        path.join(IDENTITY).is_file()
    }

    /// Opens an existing data folder. Writes nothing into a folder that is not one.
    ///
    /// # Errors
    /// [`FolderError`], among others [`FolderError::NotOne`].
    pub fn open_existing(path: &Path) -> Result<Self, FolderError> {
        if !Self::is_one(path) {
            return Err(FolderError::NotOne { path: path.to_owned() });
        }
        Self::open(path, None)
    }

    /// Opens a data folder, or creates it in an empty or missing folder. `base` names the logs;
    /// `None` takes the name stored in the folder, or [`DataFolder::DEFAULT_BASE`].
    ///
    /// # Errors
    /// [`FolderError`], among others [`FolderError::Occupied`].
    pub fn open(path: &Path, base: Option<&KeyName>) -> Result<Self, FolderError> {
        refuse_foreign(path)?;
        make_private_folder(path)?;
        tighten(path)?;
        let lock = lock(path, FlockOperation::NonBlockingLockExclusive)?;
        let mut folder = Self::prepare(path, base, lock)?;
        folder.secret("node")?;
        folder.own = None;
        Ok(folder)
    }

    /// Opens a folder shared by several nodes, each under its name; the first node creates it.
    /// While they run, the folder cannot be opened without a name.
    ///
    /// # Errors
    /// [`FolderError`], among others if a node of this name is running.
    pub fn open_named(
        path: &Path,
        base: Option<&KeyName>,
        name: &NodeName,
    ) -> Result<Self, FolderError> {
        refuse_foreign(path)?;
        let own = path.join("nodes").join(name.as_str());
        make_private_folder(&own)?;
        tighten(path)?;
        check_private(&own)?;
        let own_lock = lock(&own, FlockOperation::NonBlockingLockExclusive)?;
        let mut folder = match lock(path, FlockOperation::NonBlockingLockExclusive) {
            // No other process uses the folder: create the missing files, then share the lock with
            // others.
            Ok(lock) => {
                let folder = Self::prepare(path, base, lock)?;
                for lock in &folder.locks {
                    flock(lock, FlockOperation::LockShared).map_err(|error| FolderError::Io {
                        path: path.to_owned(),
                        source: error.into(),
                    })?;
                }
                folder
            }
            Err(FolderError::InUse { .. }) => {
                let lock = shared_lock(path)?;
                Self {
                    path: path.to_owned(),
                    identity: identity(path, base)?,
                    own: None,
                    locks: vec![lock],
                }
            }
            Err(error) => return Err(error),
        };
        folder.locks.push(own_lock);
        let key = own.join("key");
        if read_secret(&key)?.is_none() {
            write_secret(&key, &*random(&key)?)?;
        }
        folder.own = Some(own);
        Ok(folder)
    }

    fn prepare(path: &Path, base: Option<&KeyName>, lock: File) -> Result<Self, FolderError> {
        let identity = identity(path, base)?;
        let folders = make_folders(path)?;
        for folder in folders.iter().filter(|folder| folder.starts_with(path.join("keys"))) {
            check_private(folder)?;
            clear_temporary(folder)?;
        }
        let folder = Self { path: path.to_owned(), identity, own: None, locks: vec![lock] };
        for name in ["log", "cosigner", TOKEN] {
            folder.secret(name)?;
        }
        folder.prepare_authority_keys()?;
        clear_uploads(&folder.path.join(INCOMING))?;
        // An earlier run may have been killed between creating a name and syncing it. Nothing that
        // depends on the name may outlive it.
        for folder in folders.iter().map(PathBuf::as_path).chain([path]) {
            sync_folder(folder).map_err(FolderError::io(folder))?;
        }
        Ok(folder)
    }

    /// Checks whether a node could lock this folder now, without changing it. A missing folder
    /// passes if its nearest existing parent is writable.
    ///
    /// # Errors
    /// [`FolderError`], among others if another process has locked it.
    pub fn check_usable(path: &Path, name: Option<&NodeName>) -> Result<(), FolderError> {
        use rustix::fs::Access;
        let nearest = path.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
        rustix::fs::access(nearest, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| FolderError::Io { path: nearest.to_owned(), source: error.into() })?;
        if !path.join("votekit.toml").exists() {
            return Ok(());
        }
        identity(path, None)?;
        match name {
            None => lock(path, FlockOperation::NonBlockingLockExclusive).map(|_| ()),
            Some(name) => {
                lock(path, FlockOperation::NonBlockingLockShared)?;
                let own = path.join("nodes").join(name.as_str());
                if own.is_dir() {
                    lock(&own, FlockOperation::NonBlockingLockExclusive)?;
                }
                Ok(())
            }
        }
    }

    /// Opens an existing folder for reading, without locking it: another process may be using it.
    ///
    /// # Errors
    /// [`FolderError`], among others if it is not a data folder.
    pub fn peek(path: &Path) -> Result<Self, FolderError> {
        if !Self::is_one(path) {
            return Err(FolderError::NotOne { path: path.to_owned() });
        }
        check_private(&path.join("keys"))?;
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path, None)?,
            own: None,
            locks: Vec::new(),
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The base name: the origins of all logs begin with it.
    ///
    /// # Errors
    /// [`FolderError::Damaged`] if the identity file has no usable name.
    pub fn base(&self) -> Result<KeyName, FolderError> {
        self.name(&self.identity.base)
    }

    /// The name of this node as an authority.
    ///
    /// # Errors
    /// [`FolderError::Damaged`] if the identity file has no usable name.
    pub fn authority(&self) -> Result<KeyName, FolderError> {
        self.name(&self.identity.authority)
    }

    fn name(&self, text: &str) -> Result<KeyName, FolderError> {
        text.parse().map_err(|error| FolderError::Damaged {
            path: self.path.join(IDENTITY),
            damage: FileDamage::Name(error),
        })
    }

    /// The folder of a kept roll.
    #[must_use]
    pub fn roll_path(&self, manifest: &Digest) -> PathBuf {
        self.path.join("rolls").join(manifest.to_hex())
    }

    /// The folder of the files that officials upload for an election.
    #[must_use]
    pub(crate) fn incoming_path(&self, law_id: &ElectionId) -> PathBuf {
        self.path.join(INCOMING).join(law_id.as_str())
    }

    /// The folder of an election's snapshots.
    #[must_use]
    pub fn snapshot_path(&self, law_id: &ElectionId) -> PathBuf {
        self.own.as_ref().unwrap_or(&self.path).join("snapshots").join(law_id.as_str())
    }

    /// The file of this node's epochs in an election.
    #[must_use]
    pub fn epochs_path(&self, law_id: &ElectionId) -> PathBuf {
        self.own.as_ref().unwrap_or(&self.path).join("epochs").join(law_id.as_str())
    }

    /// The manifests of all kept rolls.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn rolls(&self) -> Result<Vec<Digest>, FolderError> {
        let path = self.path.join("rolls");
        let entries = fs::read_dir(&path).map_err(FolderError::io(&path))?;
        let mut rolls = Vec::new();
        for entry in entries {
            let name = entry.map_err(FolderError::io(&path))?.file_name();
            // A name that is not a digest is an interrupted copy; loading the roll again overwrites
            // it.
            rolls.extend(name.to_str().and_then(|name| name.parse::<Digest>().ok()));
        }
        rolls.sort_unstable();
        Ok(rolls)
    }
}

/// Refuses to turn a folder with other content into a data folder.
fn refuse_foreign(path: &Path) -> Result<(), FolderError> {
    if DataFolder::is_one(path) { Ok(()) } else { refuse_all_but(&BEFOREHAND, path) }
}

/// Refuses a folder with files of other names than these. Hidden files are allowed too.
fn refuse_all_but(allowed: &[&str], path: &Path) -> Result<(), FolderError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(FolderError::io(path)(error)),
    };
    for entry in entries {
        let name = entry.map_err(FolderError::io(path))?.file_name();
        let name = name.to_string_lossy();
        if !allowed.contains(&name.as_ref()) && !name.starts_with('.') {
            let (path, found) = (path.to_owned(), name.into_owned());
            return Err(FolderError::Occupied { path, found });
        }
    }
    Ok(())
}

fn identity(folder: &Path, base: Option<&KeyName>) -> Result<Identity, FolderError> {
    /// Parsed first, so that a newer format with other settings is reported as newer.
    #[derive(Deserialize)]
    struct FormatOnly {
        format: u32,
    }
    let path = folder.join(IDENTITY);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let base = base.map_or(DataFolder::DEFAULT_BASE, KeyName::as_str).to_owned();
            let identity = Identity { format: FORMAT, base, authority: "authority-1".to_owned() };
            write_identity(folder, &identity)?;
            return Ok(identity);
        }
        Err(source) => return Err(FolderError::Io { path, source }),
    };
    let damaged = |error: toml::de::Error| FolderError::Damaged {
        path: path.clone(),
        damage: FileDamage::Settings { reason: error.to_string() },
    };
    let FormatOnly { format } = toml::from_str(&text).map_err(damaged)?;
    if format > FORMAT {
        return Err(FolderError::Newer { path: folder.to_owned(), found: format, known: FORMAT });
    }
    let identity: Identity = toml::from_str(&text).map_err(damaged)?;
    match base {
        Some(wanted) if wanted.as_str() != identity.base => {
            Err(FolderError::OtherBase { found: identity.base, wanted: wanted.as_str().to_owned() })
        }
        _ => Ok(identity),
    }
}

fn write_identity(folder: &Path, identity: &Identity) -> Result<(), FolderError> {
    let path = folder.join(IDENTITY);
    let text = toml::to_string(identity).map_err(|error| FolderError::Damaged {
        path: path.clone(),
        damage: FileDamage::Settings { reason: error.to_string() },
    })?;
    write_whole(&path, text.as_bytes()).map_err(FolderError::io(&path))
}

/// Creates the folders of a data folder.
fn make_folders(path: &Path) -> Result<[PathBuf; FOLDERS.len()], FolderError> {
    let folders = FOLDERS.map(|name| path.join(name));
    folders.iter().try_for_each(|folder| make_private_folder(folder))?;
    Ok(folders)
}

/// Removes the remains of uploads that were interrupted by a kill.
fn clear_uploads(incoming: &Path) -> Result<(), FolderError> {
    for upload in entries_of(incoming)? {
        for file in entries_of(&upload)? {
            let name = file.file_name().unwrap_or_default().as_encoded_bytes();
            if name.starts_with(TemporaryFile::PREFIX.as_bytes()) {
                fs::remove_file(&file).map_err(FolderError::io(&file))?;
            }
        }
    }
    Ok(())
}

/// The paths in a folder; none if it is not there or is not a folder.
fn entries_of(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).map_err(FolderError::io(folder))?;
    entries.map(|entry| Ok(entry.map_err(FolderError::io(folder))?.path())).collect()
}

#[cfg(test)]
#[path = "data_folder_test.rs"]
mod tests;
