//! Files that appear completely or not at all, and survive a power loss once they have appeared.
//!
//! ```text
//! create a temporary file in the folder of the target      O_EXCL, mode as given, less the umask
//! write, sync                                              an error removes the temporary file
//! rename                                                   replaces the target, or refuses to
//! sync the folder                                          an error says that the file is in place
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// A file under a temporary name. It is removed when dropped before it is renamed.
#[derive(Debug)]
pub struct TemporaryFile {
    path: PathBuf,
    file: File,
    is_renamed: bool,
}

impl TemporaryFile {
    /// The start of each random name: what a killed process leaves is known by it.
    pub const PREFIX: &str = ".votekit-";

    /// Creates a file under a random name in the folder of `target`.
    ///
    /// # Errors
    /// When the folder cannot be written, or the system gives no random number.
    pub fn create_beside(target: &Path, mode: u32) -> io::Result<Self> {
        let number = getrandom::u64().map_err(|error| {
            io::Error::other(format!("the system gives no random number: {error}"))
        })?;
        let name = format!("{}{number:016x}", Self::PREFIX);
        Self::create(parent_of(target).join(name), mode)
    }

    /// Creates a file under a fixed name, and first removes a leftover of an earlier run. A
    /// symbolic link is removed, never followed.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn create_anew(path: &Path, mode: u32) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Self::create(path.to_owned(), mode),
        }
    }

    fn create(path: PathBuf, mode: u32) -> io::Result<Self> {
        let file = OpenOptions::new().create_new(true).write(true).mode(mode).open(&path)?;
        Ok(Self { path, file, is_renamed: false })
    }

    /// The temporary name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs what was written.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Syncs the file and gives it its final name, durably. Replaces a file of that name.
    ///
    /// # Errors
    /// When the disk fails. The previous file is unchanged, unless the error says that the new one
    /// is in place.
    pub fn replace(mut self, target: &Path) -> io::Result<()> {
        self.sync()?;
        fs::rename(&self.path, target)?;
        self.is_renamed = true;
        sync_placed(target)
    }

    /// Gives a synced file its final name, unless that name exists. Does not sync the folder:
    /// [`sync_placed`] does.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], or the error of the file system.
    pub fn rename_new(mut self, target: &Path) -> io::Result<()> {
        match renameat_with(CWD, &self.path, CWD, target, RenameFlags::NOREPLACE) {
            Ok(()) => self.is_renamed = true,
            // The file system or the kernel does not support the flag. A link refuses an existing
            // name too; the temporary name is removed on drop.
            Err(Errno::INVAL | Errno::NOSYS) => fs::hard_link(&self.path, target)?,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

impl Write for TemporaryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.is_renamed {
            // A failure is ignored: the error that led here matters more.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The folder of a file or folder that has its final name could not be synced.
#[derive(Debug, thiserror::Error)]
#[error("already in place, but may not survive a power loss: {cause}")]
struct NotDurable {
    cause: io::Error,
}

/// Syncs the folder of a file or folder that just got its final name.
///
/// # Errors
/// When the disk fails. The error says that the target is in place.
pub fn sync_placed(target: &Path) -> io::Result<()> {
    sync_parent(target).map_err(|cause| io::Error::new(cause.kind(), NotDurable { cause }))
}

/// Syncs the folder that holds `path`, as [`sync_folder`].
///
/// # Errors
/// When the disk fails.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    sync_folder(parent_of(path))
}

/// Syncs a folder: the names created, changed or removed in it become durable.
///
/// # Errors
/// When the disk fails.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Returns the folder that holds `path`; the current folder for a bare name. Looks at the text
/// only: `path` must end with a name, not with `..`.
#[must_use]
pub fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<_> =
            entries.map(|entry| name(entry).into_string().expect("text")).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn replace_leaves_one_file_with_its_mode() {
        let folder = folder();
        let target = folder.path().join("key");
        for bytes in [b"old", b"new"] {
            let mut file = TemporaryFile::create_beside(&target, 0o600).expect("created");
            file.write_all(bytes).expect("written");
            file.replace(&target).expect("replaced");
            assert_eq!(fs::read(&target).expect("read"), bytes);
        }
        let mode = fs::metadata(&target).expect("there").permissions().mode();
        assert_eq!((mode & 0o777, names(folder.path())), (0o600, vec!["key".to_owned()]));
    }

    #[test]
    fn a_file_dropped_before_its_rename_is_removed() {
        let folder = folder();
        let mut file =
            TemporaryFile::create_beside(&folder.path().join("key"), 0o600).expect("created");
        file.write_all(b"half").expect("written");
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn rename_new_never_replaces() {
        let folder = folder();
        let target = folder.path().join("key");
        let create = |bytes: &[u8]| {
            let mut file = TemporaryFile::create_beside(&target, 0o600)?;
            file.write_all(bytes)?;
            file.sync()?;
            file.rename_new(&target)
        };
        create(b"first").expect("placed");
        let error = create(b"second").expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&target).expect("read"), b"first");
        assert_eq!(names(folder.path()), ["key"]);
    }

    #[test]
    fn a_leftover_is_replaced_and_a_symbolic_link_never_followed() {
        let folder = folder();
        let (victim, temporary) = (folder.path().join("victim"), folder.path().join("key~"));
        fs::write(&victim, "as it was").expect("written");
        symlink(&victim, &temporary).expect("planted");
        for _ in 0..2 {
            let mut file = TemporaryFile::create_anew(&temporary, 0o600).expect("created");
            file.write_all(b"new").expect("written");
            // A killed process drops nothing, so the file stays as a leftover.
            std::mem::forget(file);
        }
        assert_eq!(fs::read(&temporary).expect("read"), b"new");
        assert_eq!(fs::read_to_string(&victim).expect("read"), "as it was");
    }

    #[test]
    fn a_failed_sync_of_the_folder_says_that_the_file_is_in_place() {
        let error = sync_placed(&folder().path().join("gone/key")).expect_err("no such folder");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().starts_with("already in place, but may not survive"), "{error}");
    }
}
