//! A power cut: sets files and names back to their durable state, then redoes some of the unsynced
//! changes.

mod content;
mod names;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::chance::Chance;
use crate::error::DiskError;
use crate::journal::Journal;
use crate::record::{FileRecord, NameRecord};
use crate::report::CutReport;

/// The fate of unsynced changes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Loss {
    /// All of it is lost.
    Everything,
    /// The seed decides.
    Some { seed: u64 },
}

pub(crate) fn cut_power(root: &Path, journal: &Path, loss: Loss) -> Result<CutReport, DiskError> {
    let mut chance = match loss {
        Loss::Everything => None,
        Loss::Some { seed } => Some(Chance::new(seed)),
    };
    let names_path = Journal::names(journal);
    let names = match fs::read(&names_path) {
        Ok(log) => {
            NameRecord::parse_log(&log)
                .map_err(|rule| DiskError::Journal { path: names_path.clone(), rule })?
                .0
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(DiskError::Io { path: names_path, source }),
    };
    let mut report = CutReport::default();
    // While every name is where the program left it, find the file of each log: on the disk, or
    // held in the journal after its removal.
    let mut files = BTreeMap::new();
    for folder in [root, &Journal::held(journal)] {
        for file in files_below(folder)? {
            let inode = fs::symlink_metadata(&file).map_err(DiskError::io(&file))?.ino();
            files.entry(file).or_insert(inode);
        }
    }
    let mut done = std::collections::BTreeSet::new();
    for (file, inode) in &files {
        let log_path = Journal::files(journal).join(inode.to_string());
        // Several names of one file share one log.
        if !done.insert(*inode) || !log_path.exists() {
            continue;
        }
        let log = fs::read(&log_path).map_err(DiskError::io(&log_path))?;
        let (records, _) = FileRecord::parse_log(&log)
            .map_err(|rule| DiskError::Journal { path: log_path, rule })?;
        let shown = file.strip_prefix(root).or_else(|_| file.strip_prefix(journal)).unwrap_or(file);
        report.files.extend(content::set_back(
            file,
            &shown.to_string_lossy(),
            records,
            chance.as_mut(),
        )?);
    }
    report.names = names::set_back(root, journal, NameRecord::pending(names), chance.as_mut())?;
    for folder in [Journal::files(journal), Journal::held(journal)] {
        fs::remove_dir_all(&folder).map_err(DiskError::io(&folder))?;
    }
    let emptied = fs::write(Journal::names(journal), b"").and_then(|()| Journal::create(journal));
    emptied.map_err(DiskError::io(journal))?;
    Ok(report)
}

/// Lists every file below a folder, sorted.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, DiskError> {
    let mut files = Vec::new();
    walk(folder, &mut |path, is_folder| {
        if !is_folder {
            files.push(path.to_owned());
        }
    })?;
    files.sort();
    Ok(files)
}

/// Visits a folder and everything below it.
fn walk(folder: &Path, show: &mut impl FnMut(&Path, bool)) -> Result<(), DiskError> {
    show(folder, true);
    for entry in fs::read_dir(folder).map_err(DiskError::io(folder))? {
        let entry = entry.map_err(DiskError::io(folder))?;
        if entry.file_type().map_err(DiskError::io(folder))?.is_dir() {
            walk(&entry.path(), show)?;
        } else {
            show(&entry.path(), false);
        }
    }
    Ok(())
}
