//! A folder on disk as the source of a bundle's files, or of the shards of a roll.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Source;

/// Maximum depth of subfolders followed. A bundle has one level; a deeper file is reported as not
/// belonging to it.
const DEPTH_MAX: usize = 4;

/// The files of a folder, as listed when it was opened. It only reads.
///
/// [`Source::irregular`] reports entries that a bundle cannot contain: links, devices, empty
/// folders. Files that the operating system adds to folders are left out, see [`is_system_file`].
///
/// ```no_run
/// use votekit_core::bundle::{FolderSource, verify::{Options, verify}};
/// let bundle = FolderSource::open("publication")?;
/// println!("{:?}", verify(&bundle, &Options::default())?.verdict());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FolderSource {
    root: PathBuf,
    /// Ascending.
    names: Vec<String>,
    system_files: Vec<String>,
    size: u64,
}

impl FolderSource {
    /// Lists a folder. Links to folders are not followed.
    ///
    /// # Errors
    /// When the folder or one of its subfolders cannot be listed.
    pub fn open(root: impl AsRef<Path>) -> io::Result<Self> {
        let root = root.as_ref();
        let (mut listed, mut size) = (Vec::new(), 0);
        list(root, "", 0, &mut listed, &mut size)?;
        listed.sort_unstable();
        let (system_files, names) = listed.into_iter().partition(|name| is_system_file(name));
        Ok(Self { root: root.to_owned(), names, system_files, size })
    }

    /// Files that the operating system added; [`Source::names`] leaves them out.
    #[must_use]
    pub fn system_files(&self) -> &[String] {
        &self.system_files
    }

    /// The size of all files in bytes, when the folder was opened.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// Whether macOS or Windows adds files of this name to the folders that it shows. They are not part
/// of the content.
#[must_use]
pub fn is_system_file(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.starts_with("._")
        || [".DS_Store", "Thumbs.db", "desktop.ini"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
}

impl Source for FolderSource {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.names.clone())
    }

    fn irregular(&self) -> io::Result<Vec<(String, &'static str)>> {
        let mut found = Vec::new();
        find_irregular(&self.root, "", 0, &mut found)?;
        Ok(found)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        // Only listed names: another one could lead out of the folder.
        if self.names.binary_search_by(|known| known.as_str().cmp(name)).is_err() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let path = self.root.join(name);
        // Opening a pipe would block until a writer opens it.
        if !fs::metadata(&path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
        }
        Ok(Box::new(File::open(path)?))
    }
}

/// Lists files below a folder, with `/` as the separator. Links to folders are not followed.
fn list(
    folder: &Path,
    prefix: &str,
    depth: usize,
    names: &mut Vec<String>,
    size: &mut u64,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() && depth < DEPTH_MAX {
            list(&entry.path(), &format!("{name}/"), depth + 1, names, size)?;
        } else {
            *size += entry.metadata()?.len();
            names.push(name);
        }
    }
    Ok(())
}

/// Finds entries that are neither regular files nor non-empty folders. Links are not followed:
/// their targets are not part of the folder.
fn find_irregular(
    folder: &Path,
    prefix: &str,
    depth: usize,
    found: &mut Vec<(String, &'static str)>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            found.push((name, "a symbolic link, not a regular file"));
        } else if kind.is_dir() {
            if fs::read_dir(entry.path())?.next().is_none() {
                found.push((name, "an empty folder"));
            } else if depth < DEPTH_MAX {
                find_irregular(&entry.path(), &format!("{name}/"), depth + 1, found)?;
            }
        } else if !kind.is_file() {
            found.push((name, "not a regular file"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "folder_test.rs"]
mod tests;
