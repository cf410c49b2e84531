//! Writes files and folders atomically: they appear whole or not at all. Only [`replace`] and
//! `write_output` overwrite an existing file.
//!
//! A folder is written beside its target as `.<name>.partial`, synced and renamed. A killed run
//! leaves that folder behind; the next run with the same target finds it unlocked and removes it.
//! An interrupted run may clean up: see `interruption`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use votekit_files::{TemporaryFile, parent_of, sync_folder, sync_placed};

use crate::error::CommandError;
use crate::interruption::Staged;

/// Read permission of a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Only the owner: mode 0600.
    Private,
    /// As the user's file mask allows: mode 0666 before the mask.
    Public,
}

impl Secrecy {
    fn mode(self) -> u32 {
        match self {
            Self::Private => 0o600,
            Self::Public => 0o666,
        }
    }
}

/// A folder being written. It is removed when dropped before [`StagedFolder::commit`].
#[derive(Debug)]
pub(crate) struct StagedFolder {
    target: PathBuf,
    staging: PathBuf,
    /// Locked until the process ends; distinguishes a running process from a killed one.
    _lock: File,
    committed: bool,
}

impl StagedFolder {
    /// Stages a folder that will become `target`, which must not exist, or be empty.
    ///
    /// # Errors
    /// When the target is not empty, another run is writing it, or its parent cannot be written.
    pub(crate) fn create(target: &Path) -> Result<Self, CommandError> {
        refuse_occupied(target)?;
        let parent = parent_of(target);
        fs::create_dir_all(parent).map_err(|error| CommandError::writing(parent, &error))?;
        let name = target.file_name().ok_or_else(|| {
            CommandError::usage(format!("{} cannot be an output folder", target.display()))
                .hint("choose a new folder, such as hashes")
        })?;
        let staging = parent.join(format!(".{}.partial", name.to_string_lossy()));
        let mut staged = Staged::lock();
        let lock = create_locked(&staging)?;
        staged.add(&staging);
        Ok(Self { target: target.to_owned(), staging, _lock: lock, committed: false })
    }

    /// Writes one file of the folder and syncs it. `name` may contain subfolders.
    ///
    /// # Errors
    /// When it cannot be written completely. The message gives the final path of the file.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), CommandError> {
        self.write_as(name, Secrecy::Public, bytes)
    }

    /// Writes one file of the folder as [`StagedFolder::write`] does, with a permission.
    ///
    /// # Errors
    /// As for [`StagedFolder::write`].
    pub(crate) fn write_as(
        &self,
        name: &str,
        secrecy: Secrecy,
        bytes: &[u8],
    ) -> Result<(), CommandError> {
        let write = || -> io::Result<()> {
            let path = self.staging.join(name);
            let staged = Staged::lock();
            fs::create_dir_all(parent_of(&path))?;
            let mut open = File::options();
            let mut file = open.write(true).create_new(true).mode(secrecy.mode()).open(path)?;
            drop(staged);
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(|error| CommandError::writing(&self.target.join(name), &error))
    }

    /// Creates one file of the folder, for a caller that writes it in pieces and syncs it.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(crate) fn create_file(&self, name: &str) -> Result<File, CommandError> {
        let _staged = Staged::lock();
        File::create_new(self.staging.join(name))
            .map_err(|error| CommandError::writing(&self.target.join(name), &error))
    }

    /// Syncs a file created by [`StagedFolder::create_file`] to disk.
    ///
    /// # Errors
    /// When the sync fails.
    pub(crate) fn sync_file(&self, name: &str) -> Result<(), CommandError> {
        let sync = || File::open(self.staging.join(name))?.sync_all();
        sync().map_err(|error| CommandError::writing(&self.target.join(name), &error))
    }

    /// Gives the folder its final name, durably.
    ///
    /// # Errors
    /// When the target was created meanwhile, or the disk fails; no partial output is left. An
    /// error after the rename says that the target exists.
    pub(crate) fn commit(self) -> Result<(), CommandError> {
        self.commit_with(None)
    }

    /// Commits the folder together with a file: both appear or neither, however the run is
    /// interrupted, short of a power cut.
    ///
    /// # Errors
    /// As for [`StagedFolder::commit`].
    pub(crate) fn commit_with(mut self, file: Option<StagedFile>) -> Result<(), CommandError> {
        let failed = |error: &io::Error| CommandError::writing(&self.target, error);
        sync_folder(&self.staging).map_err(|error| failed(&error))?;
        file.as_ref().map_or(Ok(()), StagedFile::sync)?;
        // The lock keeps an interruption from coming between the two renames.
        let mut staged = Staged::lock();
        let beside = file.map(|file| file.appear(&mut staged)).transpose()?;
        if let Err(error) = fs::rename(&self.staging, &self.target) {
            // A file that cannot be removed is ignored: the error below matters more.
            beside.map(fs::remove_file);
            return Err(failed(&error));
        }
        staged.remove(&self.staging);
        drop(staged);
        self.committed = true;
        for path in [Some(&self.target), beside.as_ref()].into_iter().flatten() {
            sync_placed(path).map_err(|error| CommandError::writing(path, &error))?;
        }
        Ok(())
    }
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        if !self.committed {
            let mut staged = Staged::lock();
            // A failure here is ignored: the next run with this target removes the folder.
            let _ = fs::remove_dir_all(&self.staging);
            staged.remove(&self.staging);
        }
    }
}

/// Refuses a target that is not empty.
///
/// # Errors
/// When `target` is a file, or a folder that is not empty.
pub(crate) fn refuse_occupied(target: &Path) -> Result<(), CommandError> {
    let occupied = match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    };
    if !occupied {
        return Ok(());
    }
    Err(CommandError::configuration(format!(
        "{} already exists and is not an empty folder",
        target.display()
    ))
    .hint("choose another folder, or move that one away first: votekit never overwrites"))
}

fn create_locked(staging: &Path) -> Result<File, CommandError> {
    let create = || -> io::Result<File> {
        match fs::create_dir(staging) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // A leftover whose lock is free belongs to a killed run.
                let leftover = File::open(staging)?;
                flock(&leftover, FlockOperation::NonBlockingLockExclusive)?;
                fs::remove_dir_all(staging)?;
                fs::create_dir(staging)?;
            }
            created => created?,
        }
        let lock = File::open(staging)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(lock)
    };
    create().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => {
            CommandError::configuration(format!("another votekit is writing {}", staging.display()))
        }
        _ => CommandError::writing(staging, &error),
    })
}

/// A file being written. It is removed when dropped before [`StagedFile::commit`].
#[derive(Debug)]
pub(crate) struct StagedFile {
    target: PathBuf,
    file: TemporaryFile,
}

impl StagedFile {
    /// Stages a file that will become `target`, which must not exist.
    ///
    /// # Errors
    /// When the target exists, or its folder cannot be written.
    pub(crate) fn create(target: &Path, secrecy: Secrecy) -> Result<Self, CommandError> {
        if target.symlink_metadata().is_ok() {
            return Err(already_exists(target));
        }
        let mut staged = Staged::lock();
        let file = TemporaryFile::create_beside(target, secrecy.mode())
            .map_err(|error| CommandError::writing(target, &error))?;
        staged.add(file.path());
        Ok(Self { target: target.to_owned(), file })
    }

    /// Gives the file its final name, durably.
    ///
    /// # Errors
    /// When the target was created meanwhile, or the disk fails; no partial output is left.
    pub(crate) fn commit(self) -> Result<(), CommandError> {
        self.sync()?;
        let target = self.appear(&mut Staged::lock())?;
        sync_placed(&target).map_err(|error| CommandError::writing(&target, &error))
    }

    fn sync(&self) -> Result<(), CommandError> {
        self.file.sync().map_err(|error| CommandError::writing(&self.target, &error))
    }

    /// Gives the file its final name without syncing its folder. Returns that name.
    fn appear(self, staged: &mut Staged) -> Result<PathBuf, CommandError> {
        let staging = self.file.path().to_owned();
        self.file.rename_new(&self.target).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => already_exists(&self.target),
            _ => CommandError::writing(&self.target, &error),
        })?;
        staged.remove(&staging);
        Ok(self.target)
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a new file in one call.
///
/// # Errors
/// As for [`StagedFile`].
pub(crate) fn write_new(target: &Path, secrecy: Secrecy, bytes: &[u8]) -> Result<(), CommandError> {
    let mut file = StagedFile::create(target, secrecy)?;
    file.write_all(bytes).map_err(|error| CommandError::writing(target, &error))?;
    file.commit()
}

/// Replaces or creates a file atomically: readers see the old bytes or the new ones.
///
/// # Errors
/// When its folder cannot be written; the old file is kept.
pub(crate) fn replace(target: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let write = || -> io::Result<()> {
        let mut file = TemporaryFile::create_beside(target, Secrecy::Public.mode())?;
        file.write_all(bytes)?;
        file.replace(target)
    };
    write().map_err(|error| CommandError::writing(target, &error))
}

/// Writes the file that a command was asked for with `-o`, and replaces an earlier one, which keeps
/// its permissions. A full disk leaves the earlier one unchanged. A device, a pipe or a symbolic
/// link is written in place: the rename would replace its name.
///
/// # Errors
/// When the file or its folder cannot be written.
#[cfg(feature = "node")]
pub(crate) fn write_output(target: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let Ok(found) = target.symlink_metadata() else { return replace(target, bytes) };
    let write = || -> io::Result<()> {
        if !found.is_file() {
            return fs::write(target, bytes);
        }
        // Only a check: a rename would replace a file that its owner has write-protected.
        File::options().write(true).open(target)?;
        let mut file = TemporaryFile::create_beside(target, Secrecy::Private.mode())?;
        fs::set_permissions(file.path(), found.permissions())?;
        file.write_all(bytes)?;
        file.replace(target)
    };
    write().map_err(|error| CommandError::writing(target, &error))
}

fn already_exists(target: &Path) -> CommandError {
    CommandError::configuration(format!("{} already exists", target.display()))
        .hint("choose another name, or move that file away first: votekit never overwrites")
}

#[cfg(all(test, feature = "node"))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn an_output_replaces_a_file_and_is_written_through_a_link() {
        let folder = TempDir::new().expect("a folder");
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        write_output(&file, b"first, and longer").expect("created");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("set");
        write_output(&file, b"second").expect("replaced");
        assert_eq!(fs::read(&file).expect("a file"), b"second");
        assert_eq!(file.metadata().expect("a file").permissions().mode() & 0o777, 0o640);
        write_output(&link, b"third").expect("written in place");
        assert_eq!(fs::read(&file).expect("a file"), b"third");
        assert!(link.symlink_metadata().expect("a link").is_symlink());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing is left");
    }

    #[test]
    fn an_output_to_a_full_device_fails_and_a_folder_is_not_replaced() {
        assert!(write_output(Path::new("/dev/full"), b"bytes").is_err());
        assert!(Path::new("/dev/full").exists());
        let folder = TempDir::new().expect("a folder");
        assert!(write_output(folder.path(), b"bytes").is_err());
    }
}
