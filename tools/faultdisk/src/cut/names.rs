//! Sets names back after a power cut.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::walk;
use crate::chance::Chance;
use crate::error::DiskError;
use crate::journal::Journal;
use crate::record::NameRecord;
use crate::report::Count;

/// Sets names back: undoes pending changes, last one first, then redoes those that chance keeps, if
/// still possible.
pub(super) fn set_back(
    root: &Path,
    journal: &Path,
    pending: Vec<NameRecord>,
    chance: Option<&mut Chance>,
) -> Result<Count, DiskError> {
    if pending.is_empty() {
        return Ok(Count::default());
    }
    let mut folders = Folders::open(root, journal)?;
    for change in pending.iter().rev() {
        folders.undo(change).map_err(DiskError::io(root))?;
    }
    let mut count = Count::default();
    for (change, keep) in pending.iter().zip(keeps(pending.len(), chance)) {
        if keep && folders.redo(change).map_err(DiskError::io(root))? {
            count.kept += 1;
        } else {
            count.dropped += 1;
        }
    }
    Ok(count)
}

fn keeps(changes: usize, chance: Option<&mut Chance>) -> Vec<bool> {
    let Some(chance) = chance else { return vec![false; changes] };
    match chance.below(4) {
        0 => vec![false; changes],
        1 => vec![true; changes],
        // A journalling file system keeps the order of name changes.
        2 => {
            let reached = usize::try_from(chance.below(changes as u64)).expect("below a length");
            (0..changes).map(|path| path < reached).collect()
        }
        _ => (0..changes).map(|_| chance.one_in(2)).collect(),
    }
}

/// The folders of the disk by inode. Each stays open and is reached through its descriptor, because
/// it may be renamed in the meantime.
struct Folders {
    open: HashMap<u64, File>,
    held: PathBuf,
}

impl Folders {
    fn open(root: &Path, journal: &Path) -> Result<Self, DiskError> {
        let mut paths = Vec::new();
        walk(root, &mut |path, is_folder| {
            if is_folder {
                paths.push(path.to_owned());
            }
        })?;
        let mut open = HashMap::new();
        for path in paths {
            let folder = File::open(&path).map_err(DiskError::io(&path))?;
            open.insert(folder.metadata().map_err(DiskError::io(&path))?.ino(), folder);
        }
        Ok(Self { open, held: Journal::held(journal) })
    }

    /// The path of a name; `None` when its folder no longer exists.
    fn path_of(&self, folder: u64, name: &OsStr) -> Option<PathBuf> {
        let folder = self.open.get(&folder)?;
        Some(Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name))
    }

    fn held(&self, number: u64) -> PathBuf {
        self.held.join(number.to_string())
    }

    fn undo(&mut self, change: &NameRecord) -> io::Result<()> {
        match change {
            NameRecord::Made { number, inode, folder, name } => match self.path_of(*folder, name) {
                Some(path) if inode_of(&path)? == Some(*inode) => {
                    fs::rename(path, self.held(*number))
                }
                _ => Ok(()),
            },
            NameRecord::Removed { number, inode, folder, folder_mode, name } => {
                let Some(path) = self.path_of(*folder, name) else { return Ok(()) };
                if inode_of(&path)?.is_some() {
                    return Ok(());
                }
                if *folder_mode == 0 {
                    return fs::hard_link(self.held(*number), path);
                }
                fs::DirBuilder::new().mode(*folder_mode & 0o7777).create(&path)?;
                // Later records name the removed folder's inode; this folder replaces it.
                self.open.insert(*inode, File::open(path)?);
                Ok(())
            }
            NameRecord::Renamed { number, inode, folder, new_folder, replaces, name, new_name } => {
                let (Some(old), Some(new)) =
                    (self.path_of(*folder, name), self.path_of(*new_folder, new_name))
                else {
                    return Ok(());
                };
                if inode_of(&new)? != Some(*inode) || inode_of(&old)?.is_some() {
                    return Ok(());
                }
                fs::rename(&new, old)?;
                if *replaces { fs::hard_link(self.held(*number), new) } else { Ok(()) }
            }
            NameRecord::Synced { .. } | NameRecord::Undone { .. } => Ok(()),
        }
    }

    /// Redoes a change. Returns whether it was possible.
    fn redo(&mut self, change: &NameRecord) -> io::Result<bool> {
        match change {
            NameRecord::Made { number, folder, name, .. } => match self.path_of(*folder, name) {
                Some(path) if self.held(*number).exists() && inode_of(&path)?.is_none() => {
                    fs::rename(self.held(*number), path).map(|()| true)
                }
                _ => Ok(false),
            },
            NameRecord::Removed { number, inode, folder, folder_mode, name } => {
                let Some(path) = self.path_of(*folder, name) else { return Ok(false) };
                if *folder_mode != 0 {
                    return Ok(fs::remove_dir(path).is_ok());
                }
                let there = inode_of(&path)?;
                if there.is_none()
                    || (there != Some(*inode) && there != inode_of(&self.held(*number))?)
                {
                    return Ok(false);
                }
                fs::remove_file(path).map(|()| true)
            }
            NameRecord::Renamed { inode, folder, new_folder, name, new_name, .. } => {
                let (Some(old), Some(new)) =
                    (self.path_of(*folder, name), self.path_of(*new_folder, new_name))
                else {
                    return Ok(false);
                };
                if inode_of(&old)? != Some(*inode) {
                    return Ok(false);
                }
                Ok(fs::rename(old, new).is_ok())
            }
            NameRecord::Synced { .. } | NameRecord::Undone { .. } => Ok(false),
        }
    }
}

fn inode_of(path: &Path) -> io::Result<Option<u64>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata.ino())),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
