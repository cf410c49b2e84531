//! The log of one file's unsynced changes: what a power cut may undo.

use std::ffi::c_int;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use faultdisk::journal::Journal;
use faultdisk::record::FileRecord;

use crate::descriptor::{Descriptor, c_string, path_of, status_of};
use crate::real::{self, fatal, fatal_errno};

/// The maximum number of bytes copied into the log in one step.
const CHUNK_LENGTH_MAX: usize = 1 << 20;

/// A file's log. It is locked while the change it records is made.
pub(crate) struct FileLog {
    log: Descriptor,
    is_empty: bool,
    /// The log is then never cleared: it keeps what the failed sync lost.
    has_failed_sync: bool,
}

impl FileLog {
    /// Opens the log of an inode, which an earlier process may have started. Cuts off an incomplete
    /// last record: its change was not made. This is sound because only one process at a time
    /// writes to a disk.
    pub(crate) fn open(journal: &Path, inode: u64) -> Self {
        let log = open_log(&Journal::files(journal).join(inode.to_string()));
        let bytes = read_log(&log);
        let (records, length) = FileRecord::parse_log(&bytes)
            .unwrap_or_else(|problem| fatal(&format!("the log of inode {inode}: {problem}")));
        set_length(&log, length);
        let has_failed_sync = records.contains(&FileRecord::Lost);
        Self { log, is_empty: records.is_empty(), has_failed_sync }
    }

    /// Resets the log for a new file.
    pub(crate) fn begin(&mut self) {
        set_length(&self.log, 0);
        (self.is_empty, self.has_failed_sync) = (true, false);
    }

    /// Records a write before it is made.
    pub(crate) fn write(&mut self, file: c_int, offset: u64, length: u64) {
        let file_length = length_of(file);
        let before = file_length.saturating_sub(offset).min(length);
        self.append(&FileRecord::write_head(offset, length, file_length, before));
        self.append_from(file, offset, before);
    }

    /// Records a new length before it is set.
    pub(crate) fn resize(&mut self, file: c_int, length: u64) {
        let file_length = length_of(file);
        if file_length == length {
            return;
        }
        let before = file_length.saturating_sub(length);
        self.append(&FileRecord::resize_head(length, file_length, before));
        self.append_from(file, length, before);
    }

    /// Records that all changes so far are durable.
    pub(crate) fn synced(&mut self) {
        // The log also holds changes that the failed sync lost: mark the sync, do not clear.
        if self.has_failed_sync {
            self.append(&FileRecord::Synced.mark());
        } else if !self.is_empty {
            set_length(&self.log, 0);
            self.is_empty = true;
        }
    }

    /// Records that a sync failed. If `file` is given, undoes in it the changes that sync covered.
    pub(crate) fn sync_failed(&mut self, file: Option<c_int>) {
        if let Some(file) = file {
            self.undo_unsynced(file);
        }
        self.append(&FileRecord::Lost.mark());
        self.has_failed_sync = true;
    }

    /// Undoes the changes since the last sync, successful or failed. A power cut may undo them
    /// again, to the same result.
    fn undo_unsynced(&self, file: c_int) {
        let flags = flags_of(file);
        // On Linux, O_APPEND appends even when an offset is given: pwrite(2).
        let is_unsuitable =
            flags & libc::O_ACCMODE == libc::O_RDONLY || flags & libc::O_APPEND != 0;
        let reopened = is_unsuitable.then(|| reopen(file, libc::O_WRONLY));
        let file = reopened.as_ref().map_or(file, |descriptor| descriptor.0);
        let bytes = read_log(&self.log);
        let (records, _) = FileRecord::parse_log(&bytes)
            .unwrap_or_else(|problem| fatal(&format!("{}: {problem}", name_of(self.log.0))));
        let is_mark =
            |record: &&FileRecord| matches!(record, FileRecord::Synced | FileRecord::Lost);
        for record in records.iter().rev().take_while(|record| !is_mark(record)) {
            let (offset, file_length, before) = match record {
                FileRecord::Write { offset, file_length, before, .. } => {
                    (offset, file_length, before)
                }
                FileRecord::Resize { length, file_length, before } => (length, file_length, before),
                FileRecord::Synced | FileRecord::Lost => continue,
            };
            // SAFETY: sets the length of a file that is open for writing.
            if unsafe { real::ftruncate64(file, file_length.cast_signed()) } != 0 {
                fatal_errno(&format!("{}: a lost change cannot be undone", name_of(file)));
            }
            write_at(file, before, *offset);
        }
    }

    fn append(&mut self, record: &[u8]) {
        append(&self.log, record);
        self.is_empty = false;
    }

    /// Appends bytes of the file itself.
    fn append_from(&self, file: c_int, mut offset: u64, mut length: u64) {
        if length == 0 {
            return;
        }
        let is_write_only = flags_of(file) & libc::O_ACCMODE == libc::O_WRONLY;
        let reopened = is_write_only.then(|| reopen(file, libc::O_RDONLY));
        let file = reopened.as_ref().map_or(file, |descriptor| descriptor.0);
        let chunk_length = usize::try_from(length).unwrap_or(usize::MAX).min(CHUNK_LENGTH_MAX);
        let mut chunk = vec![0; chunk_length];
        while length > 0 {
            let wanted = chunk.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            // SAFETY: the buffer is at least as long as `wanted`.
            let read = unsafe {
                real::pread64(file, chunk.as_mut_ptr().cast(), wanted, offset.cast_signed())
            };
            let Ok(read @ 1..) = usize::try_from(read) else {
                fatal_errno(&format!("{}: overwritten bytes cannot be read", name_of(file)))
            };
            append(&self.log, &chunk[..read]);
            offset += read as u64;
            length -= read as u64;
        }
    }
}

/// Opens the file of a descriptor again, with another access mode.
fn reopen(file: c_int, access_mode: c_int) -> Descriptor {
    let path = c_string(format!("/proc/self/fd/{file}").as_bytes());
    // SAFETY: the path ends with a zero byte.
    let reopened =
        unsafe { real::openat64(libc::AT_FDCWD, path.as_ptr(), access_mode | libc::O_CLOEXEC, 0) };
    if reopened < 0 {
        fatal_errno(&format!("{} cannot be opened again", name_of(file)));
    }
    Descriptor(reopened)
}

fn flags_of(file: c_int) -> c_int {
    // SAFETY: reads the flags of a descriptor, whatever it is.
    unsafe { libc::fcntl(file, libc::F_GETFL) }
}

/// The path of an open file, for messages.
fn name_of(file: c_int) -> String {
    path_of(file).map_or_else(|| format!("descriptor {file}"), |path| path.display().to_string())
}

/// Opens or creates a log of the journal. The name log and the list of faults use it too.
pub(crate) fn open_log(path: &Path) -> Descriptor {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
    // SAFETY: the path ends with a zero byte.
    let log = unsafe {
        real::openat64(libc::AT_FDCWD, c_string(path.as_os_str().as_bytes()).as_ptr(), flags, 0o600)
    };
    if log < 0 {
        fatal_errno(&format!("{} cannot be opened", path.display()));
    }
    Descriptor(log)
}

pub(crate) fn read_log(log: &Descriptor) -> Vec<u8> {
    let mut bytes =
        vec![0; usize::try_from(length_of(log.0)).unwrap_or_else(|_| fatal("a log is too long"))];
    let mut read = 0;
    while read < bytes.len() {
        let rest = &mut bytes[read..];
        // SAFETY: the buffer has the given length.
        let more =
            unsafe { real::pread64(log.0, rest.as_mut_ptr().cast(), rest.len(), read as i64) };
        let Ok(more @ 1..) = usize::try_from(more) else {
            fatal_errno(&format!("{} cannot be read", name_of(log.0)))
        };
        read += more;
    }
    bytes
}

pub(crate) fn append(log: &Descriptor, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: the buffer has the given length.
        let written = unsafe { real::write(log.0, bytes.as_ptr().cast(), bytes.len()) };
        let Ok(written @ 1..) = usize::try_from(written) else {
            fatal_errno(&format!("{} cannot be written", name_of(log.0)))
        };
        bytes = &bytes[written..];
    }
}

fn write_at(file: c_int, mut bytes: &[u8], mut offset: u64) {
    while !bytes.is_empty() {
        // SAFETY: the buffer has the given length.
        let written = unsafe {
            real::pwrite64(file, bytes.as_ptr().cast(), bytes.len(), offset.cast_signed())
        };
        let Ok(written @ 1..) = usize::try_from(written) else {
            fatal_errno(&format!("{}: a lost change cannot be undone", name_of(file)))
        };
        bytes = &bytes[written..];
        offset += written as u64;
    }
}

pub(crate) fn set_length(log: &Descriptor, length: usize) {
    // SAFETY: sets the length of the journal's own file.
    if unsafe { real::ftruncate64(log.0, length as i64) } != 0 {
        fatal_errno(&format!("{} cannot be truncated", name_of(log.0)));
    }
}

fn length_of(file: c_int) -> u64 {
    // `status_of` keeps `errno`, so the reason is not known here.
    let status = status_of(file)
        .unwrap_or_else(|| fatal(&format!("the length of {} cannot be read", name_of(file))));
    status.st_size.cast_unsigned()
}
