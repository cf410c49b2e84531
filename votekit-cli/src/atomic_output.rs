//! Files and folders that appear whole or not at all, and never replace what is there.
//!
//! A folder is written beside its target as `.<name>.partial`, synced and renamed. A run that was
//! killed leaves that folder behind; the next run to the same target finds it unlocked and removes
//! it. A run that is interrupted may clean up after itself: see `interruption`.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tempfile::NamedTempFile;

use crate::error::CommandError;
use crate::interruption::Staged;

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// The owner alone: mode 0600.
    Private,
    /// Whoever the user's file mask lets read.
    Public,
}

/// A folder in the making. Dropped before [`StagedFolder::commit`], it vanishes.
#[derive(Debug)]
pub(crate) struct StagedFolder {
    target: PathBuf,
    staging: PathBuf,
    /// Held until the end: tells a run that is under way from one that was killed.
    _lock: File,
    committed: bool,
}

impl StagedFolder {
    /// Starts a folder that will be `target`, which must not exist, or be empty.
    ///
    /// # Errors
    /// When the target holds something, another run is writing it, or its parent cannot be written.
    pub(crate) fn create(target: &Path) -> Result<Self, CommandError> {
        refuse_occupied(target)?;
        let parent = parent_of(target);
        fs::create_dir_all(parent).map_err(|error| CommandError::writing(parent, &error))?;
        let name = target.file_name().ok_or_else(|| {
            CommandError::usage(format!("{} cannot be an output folder", target.display()))
                .hint("name a new folder, such as hashes")
        })?;
        let staging = parent.join(format!(".{}.partial", name.to_string_lossy()));
        let mut staged = Staged::lock();
        let lock = create_locked(&staging)?;
        staged.add(&staging);
        Ok(Self { target: target.to_owned(), staging, _lock: lock, committed: false })
    }

    /// Writes one file of the folder and syncs it. `name` may lead into a folder within.
    ///
    /// # Errors
    /// When it cannot be written whole. The message names the file as it would have been.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), CommandError> {
        let write = || -> io::Result<()> {
            let path = self.staging.join(name);
            let staged = Staged::lock();
            fs::create_dir_all(parent_of(&path))?;
            let mut file = File::create_new(path)?;
            drop(staged);
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(|error| CommandError::writing(&self.target.join(name), &error))
    }

    /// Makes one file of the folder, for a caller that writes it piece by piece and syncs it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn create_file(&self, name: &str) -> Result<File, CommandError> {
        let _staged = Staged::lock();
        File::create_new(self.staging.join(name))
            .map_err(|error| CommandError::writing(&self.target.join(name), &error))
    }

    /// Waits until the disk holds a file that was made by [`StagedFolder::create_file`].
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn sync_file(&self, name: &str) -> Result<(), CommandError> {
        let sync = || File::open(self.staging.join(name))?.sync_all();
        sync().map_err(|error| CommandError::writing(&self.target.join(name), &error))
    }

    /// Makes the folder appear under its name, durably.
    ///
    /// # Errors
    /// When the target has come into being meanwhile, or the disk refuses; nothing is left then.
    pub(crate) fn commit(self) -> Result<(), CommandError> {
        self.commit_with(None)
    }

    /// Makes the folder appear together with a file: both or none, whatever interrupts it, short of
    /// a power cut.
    ///
    /// # Errors
    /// As [`StagedFolder::commit`].
    pub(crate) fn commit_with(mut self, file: Option<StagedFile>) -> Result<(), CommandError> {
        let failed = |error: &io::Error| CommandError::writing(&self.target, error);
        File::open(&self.staging)
            .and_then(|staging| staging.sync_all())
            .map_err(|error| failed(&error))?;
        file.as_ref().map_or(Ok(()), StagedFile::sync)?;
        let mut staged = Staged::lock();
        let beside = file.map(|file| file.appear(&mut staged)).transpose()?;
        if let Err(error) = fs::rename(&self.staging, &self.target) {
            // Nothing can be done about a file that cannot be removed: the error below is what
            // matters.
            beside.map(fs::remove_file);
            return Err(failed(&error));
        }
        staged.remove(&self.staging);
        drop(staged);
        let parents =
            [Some(&self.target), beside.as_ref()].into_iter().flatten().map(|path| parent_of(path));
        for parent in parents {
            File::open(parent)
                .and_then(|parent| parent.sync_all())
                .map_err(|error| failed(&error))?;
        }
        self.committed = true;
        Ok(())
    }
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        if !self.committed {
            let mut staged = Staged::lock();
            // Nothing can be done about a failure here, and the next run tries again.
            let _ = fs::remove_dir_all(&self.staging);
            staged.remove(&self.staging);
        }
    }
}

/// Refuses a target that holds something.
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
    .hint("name another folder, or move that one away first: votekit never overwrites"))
}

fn create_locked(staging: &Path) -> Result<File, CommandError> {
    let create = || -> io::Result<File> {
        match fs::create_dir(staging) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
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

/// A file in the making. Dropped before [`StagedFile::commit`], it vanishes.
#[derive(Debug)]
pub(crate) struct StagedFile {
    target: PathBuf,
    file: NamedTempFile,
}

impl StagedFile {
    /// Starts a file that will be `target`, which must not exist.
    ///
    /// # Errors
    /// When the target exists, or its folder cannot be written.
    pub(crate) fn create(target: &Path, secrecy: Secrecy) -> Result<Self, CommandError> {
        if target.symlink_metadata().is_ok() {
            return Err(already_exists(target));
        }
        let mode = match secrecy {
            Secrecy::Private => 0o600,
            Secrecy::Public => 0o666,
        };
        let mut staged = Staged::lock();
        let file = tempfile::Builder::new()
            .prefix(".votekit-")
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(parent_of(target))
            .map_err(|error| CommandError::writing(target, &error))?;
        staged.add(file.path());
        Ok(Self { target: target.to_owned(), file })
    }

    /// Makes the file appear under its name, durably.
    ///
    /// # Errors
    /// When the target has come into being meanwhile, or the disk refuses; nothing is left then.
    pub(crate) fn commit(self) -> Result<(), CommandError> {
        self.sync()?;
        let target = self.appear(&mut Staged::lock())?;
        File::open(parent_of(&target))
            .and_then(|parent| parent.sync_all())
            .map_err(|error| CommandError::writing(&target, &error))
    }

    fn sync(&self) -> Result<(), CommandError> {
        self.file.as_file().sync_all().map_err(|error| CommandError::writing(&self.target, &error))
    }

    /// Gives the file its name, not yet durably. The path is that name.
    fn appear(self, staged: &mut Staged) -> Result<PathBuf, CommandError> {
        let staging = self.file.path().to_owned();
        self.file.persist_noclobber(&self.target).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => already_exists(&self.target),
            _ => CommandError::writing(&self.target, &error.error),
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

/// Writes a new file in one go.
///
/// # Errors
/// As [`StagedFile`].
pub(crate) fn write_new(target: &Path, secrecy: Secrecy, bytes: &[u8]) -> Result<(), CommandError> {
    let mut file = StagedFile::create(target, secrecy)?;
    file.write_all(bytes).map_err(|error| CommandError::writing(target, &error))?;
    file.commit()
}

/// Replaces a file, or makes it, in one step: readers see the old bytes or the new ones.
///
/// # Errors
/// When its folder cannot be written; the old file stays.
pub(crate) fn replace(target: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".votekit-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(parent_of(target))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(target)?;
        File::open(parent_of(target))?.sync_all()
    };
    write().map_err(|error| CommandError::writing(target, &error))
}

fn already_exists(target: &Path) -> CommandError {
    CommandError::configuration(format!("{} already exists", target.display()))
        .hint("choose another name, or move that file away first: votekit never overwrites")
}

/// The folder that holds `path`; the current one for a bare name.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
