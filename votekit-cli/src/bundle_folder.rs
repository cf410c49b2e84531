//! A bundle, or a folder of shards, on disk.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use votekit_core::bundle::Source;

use crate::error::CommandError;
use crate::progress;
use crate::system_files;

/// Maximum depth of subfolders followed. A bundle has one level; a deeper file is reported as not
/// belonging to it.
const DEPTH_MAX: usize = 4;

/// The files of a folder, with a progress bar for the bytes read.
#[derive(Debug)]
pub(crate) struct BundleFolder {
    root: PathBuf,
    names: Vec<String>,
    system_files: Vec<String>,
    bar: ProgressBar,
}

impl BundleFolder {
    /// Lists a folder.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub(crate) fn open(root: &Path, label: &'static str) -> Result<Self, CommandError> {
        let mut names = Vec::new();
        let mut size = 0;
        list(root, "", 0, &mut names, &mut size)
            .map_err(|error| CommandError::reading(root, &error))?;
        let (system_files, names) = names.into_iter().partition(|name| system_files::is_one(name));
        let bar = progress::bytes(label, Some(size));
        Ok(Self { root: root.to_owned(), names, system_files, bar })
    }

    /// Files that the operating system created; they are not part of the folder.
    pub(crate) fn system_files(&self) -> &[String] {
        &self.system_files
    }

    /// Removes the progress bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Source for BundleFolder {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.names.clone())
    }

    fn irregular(&self) -> io::Result<Vec<(String, &'static str)>> {
        let mut found = Vec::new();
        find_irregular(&self.root, "", 0, &mut found)?;
        Ok(found)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        let path = self.root.join(name);
        // Opening a pipe would block until a writer opens it.
        if !fs::metadata(&path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
        }
        Ok(Box::new(self.bar.wrap_read(File::open(path)?)))
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
