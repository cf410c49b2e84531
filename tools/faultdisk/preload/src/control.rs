//! The ordered faults.

use std::ffi::{OsStr, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use faultdisk::{CONTROL_BYTES, Faults};

use crate::descriptor::{Descriptor, c_string, status_of};
use crate::file_log::{append, open_log};
use crate::lock::lock;
use crate::real::{self, fatal, fatal_errno};

/// The control page that a harness writes, and the state of its orders.
pub(crate) struct Control {
    page: Option<Page>,
    /// The generation of the orders in effect.
    followed: AtomicU64,
    /// Whether reads of some file fail. Lets most reads pass without taking the lock.
    reads_fail: AtomicBool,
    orders: Mutex<Orders>,
    met: Descriptor,
}

#[derive(Default)]
struct Orders {
    faults: Faults,
    last_met: String,
}

/// The control file's page, mapped read-only.
struct Page(*const u8);

// SAFETY: the mapping is never written or unmapped here, and is read by volatile and atomic loads.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

impl Control {
    pub(crate) fn open(control: Option<&OsStr>, met: &Path) -> Self {
        Self {
            page: control.map(|path| Page::map(path.as_bytes())),
            followed: AtomicU64::new(0),
            reads_fail: AtomicBool::new(false),
            orders: Mutex::default(),
            met: open_log(met),
        }
    }

    /// Whether a read of the file with this path must fail. The path is resolved only if some reads
    /// fail.
    pub(crate) fn fails_read(&self, path: impl FnOnce() -> Option<PathBuf>) -> bool {
        self.load_orders();
        if !self.reads_fail.load(Ordering::Relaxed) {
            return false;
        }
        let Some(path) = path() else { return false };
        let mut orders = lock(&self.orders);
        orders.faults.failing_reads
            && Path::new(&orders.faults.file) == path
            && self.meet(&mut orders, "EIO read", &path)
    }

    /// The number of bytes to write to the file with this path: all, some, or an error number. The
    /// path is resolved only if some writes fail.
    pub(crate) fn admit_write(
        &self,
        path: impl FnOnce() -> Option<PathBuf>,
        length: u64,
    ) -> Result<u64, c_int> {
        self.load_orders();
        let mut orders = lock(&self.orders);
        if !orders.faults.failing_writes && orders.faults.space_bytes.is_none() {
            return Ok(length);
        }
        let path = path().unwrap_or_default();
        if orders.faults.failing_writes && Path::new(&orders.faults.file) == path {
            self.meet(&mut orders, "EIO write", &path);
            return Err(libc::EIO);
        }
        let Some(space) = orders.faults.space_bytes else { return Ok(length) };
        let admitted = length.min(space);
        orders.faults.space_bytes = Some(space - admitted);
        if admitted < length {
            self.meet(&mut orders, "ENOSPC write", &path);
        }
        if admitted == 0 && length > 0 { Err(libc::ENOSPC) } else { Ok(admitted) }
    }

    /// Whether this sync fails; if so, whether it undoes the writes it should have made durable.
    pub(crate) fn fails_sync(&self, path: &Path) -> Option<bool> {
        self.load_orders();
        let mut orders = lock(&self.orders);
        if !orders.faults.file.is_empty() && Path::new(&orders.faults.file) != path {
            return None;
        }
        match orders.faults.failing_sync {
            Some(1) => {
                orders.faults.failing_sync = None;
                self.meet(&mut orders, "EIO sync", path);
                Some(orders.faults.failing_sync_takes_back)
            }
            Some(place) => {
                orders.faults.failing_sync = Some(place - 1);
                None
            }
            None => None,
        }
    }

    /// Extra time a sync takes, in microseconds.
    pub(crate) fn sync_micros(&self) -> u64 {
        self.load_orders();
        lock(&self.orders).faults.sync_micros
    }

    /// Loads new orders, if there are any.
    fn load_orders(&self) {
        let Some(page) = &self.page else { return };
        let generation = page.generation();
        if generation == 0 || generation == self.followed.load(Ordering::Acquire) {
            return;
        }
        let mut orders = lock(&self.orders);
        let bytes = page.copy();
        // The page is being written: a later call loads it.
        if page.generation() != generation || Faults::generation(&bytes) != generation {
            return;
        }
        *orders = Orders { faults: Faults::decode(&bytes), last_met: String::new() };
        self.reads_fail.store(orders.faults.failing_reads, Ordering::Relaxed);
        self.followed.store(generation, Ordering::Release);
    }

    /// Records that a fault was met. Consecutive repeats are recorded once.
    fn meet(&self, orders: &mut Orders, what: &str, path: &Path) -> bool {
        let line = format!("{what} {}\n", path.display());
        if orders.last_met != line {
            append(&self.met, line.as_bytes());
            orders.last_met = line;
        }
        true
    }
}

impl Page {
    fn map(path: &[u8]) -> Self {
        // SAFETY: the path ends with a zero byte.
        let file = Descriptor(unsafe {
            real::openat64(
                libc::AT_FDCWD,
                c_string(path).as_ptr(),
                libc::O_RDONLY | libc::O_CLOEXEC,
                0,
            )
        });
        if file.0 < 0 {
            fatal_errno("the control file cannot be opened");
        }
        if status_of(file.0).is_none_or(|status| status.st_size < CONTROL_BYTES as i64) {
            fatal("the control file is too short");
        }
        // SAFETY: a new read-only mapping of a file that is long enough.
        let page = unsafe {
            real::mmap64(
                std::ptr::null_mut(),
                CONTROL_BYTES,
                libc::PROT_READ,
                libc::MAP_SHARED,
                file.0,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            fatal_errno("the control file cannot be mapped");
        }
        Self(page.cast_const().cast())
    }

    fn generation(&self) -> u64 {
        // SAFETY: the page stays mapped and begins with an aligned number.
        u64::from_le(unsafe { &*self.0.cast::<AtomicU64>() }.load(Ordering::Acquire))
    }

    fn copy(&self) -> [u8; CONTROL_BYTES] {
        // SAFETY: the page stays mapped. Bytes that change during the copy are detected by the
        // generation.
        unsafe { self.0.cast::<[u8; CONTROL_BYTES]>().read_volatile() }
    }
}
