//! The log of one file's unsynced changes.

use std::ffi::c_int;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use faultdisk::journal::Journal;
use faultdisk::record::FileRecord;

use crate::descriptor::{Descriptor, c_string, status_of};
use crate::real::{self, fatal, fatal_errno};

/// Bytes read and logged at once.
const CHUNK: usize = 1 << 20;

/// A file's log. It is locked while the change it records is made.
pub(crate) struct FileLog {
    log: Descriptor,
    empty: bool,
    /// Whether a sync has failed. The log is then never cleared.
    lost: bool,
}

impl FileLog {
    /// Opens the log of an inode, which an earlier process may have started.
    pub(crate) fn open(journal: &Path, inode: u64) -> Self {
        let log = open_log(&Journal::files(journal).join(inode.to_string()));
        let bytes = read_log(&log);
        let (records, length) = FileRecord::parse_log(&bytes)
            .unwrap_or_else(|rule| fatal(&format!("a file's log: {rule}")));
        set_length(&log, length);
        Self { log, empty: records.is_empty(), lost: records.contains(&FileRecord::Lost) }
    }

    /// Resets the log for a new file.
    pub(crate) fn begin(&mut self) {
        set_length(&self.log, 0);
        (self.empty, self.lost) = (true, false);
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
        if self.lost {
            self.append(&FileRecord::Synced.mark());
        } else if !self.empty {
            set_length(&self.log, 0);
            self.empty = true;
        }
    }

    /// Records that a sync failed. If `file` is given, undoes in it the changes that sync covered.
    pub(crate) fn sync_failed(&mut self, file: Option<c_int>) {
        if let Some(file) = file {
            self.take_back(file);
        }
        self.append(&FileRecord::Lost.mark());
        self.lost = true;
    }

    /// Undoes the unsynced changes. A power cut may undo them again, to the same result.
    fn take_back(&self, file: c_int) {
        let path = c_string(format!("/proc/self/fd/{file}").as_bytes());
        // SAFETY: reads the flags of a descriptor; the path ends with a zero byte.
        let again = unsafe {
            let writable = libc::fcntl(file, libc::F_GETFL) & libc::O_ACCMODE != libc::O_RDONLY;
            (!writable).then(|| {
                Descriptor(real::openat64(
                    libc::AT_FDCWD,
                    path.as_ptr(),
                    libc::O_WRONLY | libc::O_CLOEXEC,
                    0,
                ))
            })
        };
        let file = again.as_ref().map_or(file, |descriptor| descriptor.0);
        let bytes = read_log(&self.log);
        let (records, _) = FileRecord::parse_log(&bytes)
            .unwrap_or_else(|rule| fatal(&format!("a file's log: {rule}")));
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
                fatal_errno("what a failed sync lost cannot be taken back");
            }
            write_at(file, before, *offset);
        }
    }

    fn append(&mut self, record: &[u8]) {
        append(&self.log, record);
        self.empty = false;
    }

    /// Appends bytes of the file itself.
    fn append_from(&self, file: c_int, mut offset: u64, mut length: u64) {
        if length == 0 {
            return;
        }
        // A write-only file is read through another descriptor.
        // SAFETY: reads the flags of a descriptor, whatever it is.
        let write_only =
            unsafe { libc::fcntl(file, libc::F_GETFL) } & libc::O_ACCMODE == libc::O_WRONLY;
        let again = write_only.then(|| {
            let path = c_string(format!("/proc/self/fd/{file}").as_bytes());
            // SAFETY: the path ends with a zero byte.
            Descriptor(unsafe {
                real::openat64(libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC, 0)
            })
        });
        let file = again.as_ref().map_or(file, |descriptor| descriptor.0);
        let mut chunk = vec![0; CHUNK.min(usize::try_from(length).unwrap_or(CHUNK))];
        while length > 0 {
            let wanted = chunk.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            // SAFETY: the buffer is at least as long as `wanted`.
            let read = unsafe {
                real::pread64(file, chunk.as_mut_ptr().cast(), wanted, offset.cast_signed())
            };
            let Ok(read @ 1..) = usize::try_from(read) else {
                fatal_errno("what is overwritten cannot be read")
            };
            append(&self.log, &chunk[..read]);
            offset += read as u64;
            length -= read as u64;
        }
    }
}

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
            fatal_errno("the journal cannot be read")
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
            fatal_errno("the journal cannot be written")
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
            fatal_errno("what a failed sync lost cannot be taken back")
        };
        bytes = &bytes[written..];
        offset += written as u64;
    }
}

pub(crate) fn set_length(log: &Descriptor, length: usize) {
    // SAFETY: sets the length of the journal's own file.
    if unsafe { real::ftruncate64(log.0, length as i64) } != 0 {
        fatal_errno("the journal cannot be cut");
    }
}

fn length_of(file: c_int) -> u64 {
    let status = status_of(file).unwrap_or_else(|| fatal_errno("a file has no length"));
    status.st_size.cast_unsigned()
}
