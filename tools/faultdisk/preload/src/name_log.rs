//! The log of name changes that are not durable.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use faultdisk::journal::Journal;
use faultdisk::record::NameRecord;

use crate::descriptor::{Descriptor, c_string};
use crate::file_log::{append, open_log, read_log, set_length};
use crate::location::Location;
use crate::real::{self, fatal};

/// The name log. It is locked while the change it records is made.
pub(crate) struct NameLog {
    log: Descriptor,
    held: PathBuf,
    pending: Vec<NameRecord>,
    last_number: u64,
}

impl NameLog {
    /// Opens the log, which an earlier process may have started.
    pub(crate) fn open(journal: &Path) -> Self {
        let log = open_log(&Journal::names(journal));
        let (records, length) = NameRecord::parse_log(&read_log(&log))
            .unwrap_or_else(|rule| fatal(&format!("the log of names: {rule}")));
        set_length(&log, length);
        let last_number = records.iter().map(NameRecord::number).max().unwrap_or(0);
        Self {
            log,
            held: Journal::held(journal),
            pending: NameRecord::pending(records),
            last_number,
        }
    }

    /// Records that a file or folder was created.
    pub(crate) fn made(&mut self, location: &Location, inode: u64) {
        let number = self.next_number();
        self.add(NameRecord::Made {
            number,
            inode,
            folder: location.folder_inode,
            name: location.name.clone(),
        });
    }

    /// Records a removal before it is made, and keeps a removed file. Returns the number to undo it
    /// by.
    pub(crate) fn remove(&mut self, location: &Location, status: &libc::stat) -> u64 {
        let number = self.next_number();
        let is_folder = status.st_mode & libc::S_IFMT == libc::S_IFDIR;
        if !is_folder {
            location.hold(&self.held_path(number));
        }
        let folder_mode = if is_folder { status.st_mode } else { 0 };
        let (folder, name) = (location.folder_inode, location.name.clone());
        self.add(NameRecord::Removed { number, inode: status.st_ino, folder, folder_mode, name });
        number
    }

    /// Records a renaming before it is made, and keeps a replaced file. Returns the number to undo
    /// it by.
    pub(crate) fn rename(
        &mut self,
        location: &Location,
        inode: u64,
        new: &Location,
        replaced: Option<&libc::stat>,
    ) -> u64 {
        if replaced.is_some_and(|status| status.st_mode & libc::S_IFMT == libc::S_IFDIR) {
            fatal(&format!(
                "{} is a folder that would be replaced, which this disk cannot undo",
                new.shown.display()
            ));
        }
        let number = self.next_number();
        if replaced.is_some() {
            new.hold(&self.held_path(number));
        }
        self.add(NameRecord::Renamed {
            number,
            inode,
            folder: location.folder_inode,
            new_folder: new.folder_inode,
            replaces: replaced.is_some(),
            name: location.name.clone(),
            new_name: new.name.clone(),
        });
        number
    }

    /// Records that a change failed.
    pub(crate) fn undo(&mut self, number: u64) {
        append(&self.log, &NameRecord::Undone { number }.encode());
        self.settle(|change| change.number() == number);
    }

    /// Records that a folder was synced.
    pub(crate) fn synced(&mut self, folder: u64) {
        if self.pending.iter().any(|change| change.decided_by() == folder) {
            append(&self.log, &NameRecord::Synced { folder }.encode());
            self.settle(|change| change.decided_by() == folder);
        }
    }

    fn add(&mut self, change: NameRecord) {
        append(&self.log, &change.encode());
        self.pending.push(change);
    }

    /// Drops settled changes, and the files kept for them.
    fn settle(&mut self, settled: impl Fn(&NameRecord) -> bool) {
        let (settled, pending) = std::mem::take(&mut self.pending).into_iter().partition(settled);
        self.pending = pending;
        if self.pending.is_empty() {
            set_length(&self.log, 0);
        }
        let settled: Vec<NameRecord> = settled;
        for change in settled {
            let held = c_string(self.held_path(change.number()).as_os_str().as_bytes());
            let errno = real::errno();
            // SAFETY: the path ends with a zero byte. Most changes have no kept file; then this
            // fails.
            unsafe { real::unlinkat(libc::AT_FDCWD, held.as_ptr(), 0) };
            real::set_errno(errno);
        }
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn held_path(&self, number: u64) -> PathBuf {
        self.held.join(number.to_string())
    }
}
