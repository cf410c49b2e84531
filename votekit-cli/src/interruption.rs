//! Ctrl-C while files are being written: removes them, and ends the process as if the signal had
//! not been caught.
//!
//! Files and folders being written are listed here, and change their state only under the list's
//! lock. An interrupted process takes the lock and never releases it: from then on no file is
//! created or gets its final name.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::{Mutex, MutexGuard};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use crate::error::CommandError;

static STAGED: Mutex<Staged> = Mutex::new(Staged(Vec::new()));

/// Files and folders being written.
pub(crate) struct Staged(Vec<PathBuf>);

impl Staged {
    /// Locks the list. Callers keep the lock while an entry is created, gets its final name, or is
    /// removed.
    pub(crate) fn lock() -> MutexGuard<'static, Self> {
        STAGED.lock()
    }

    /// Adds a file or folder that is being written.
    pub(crate) fn add(&mut self, path: &Path) {
        self.0.push(path.to_owned());
    }

    /// Removes an entry that has its final name, or was deleted.
    pub(crate) fn remove(&mut self, path: &Path) {
        self.0.retain(|staged| staged != path);
    }
}

/// From now on an interrupted process removes its unfinished files. For verbs that finish
/// completely or not at all; a verb that keeps partial output when interrupted does not call this.
///
/// # Errors
/// When the operating system has no handles or threads left.
pub(crate) fn sweep_when_interrupted() -> Result<(), CommandError> {
    let install = || -> io::Result<()> {
        let (mut wake, waker) = io::pipe()?;
        let caught = Arc::new(AtomicUsize::new(0));
        for signal in [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| !is_ignored(*signal)) {
            // Handlers run in order of registration: the signal is stored before the thread is
            // woken.
            flag::register_usize(signal, Arc::clone(&caught), signal as usize)?;
            low_level::pipe::register(signal, OwnedFd::from(waker.try_clone()?))?;
        }
        thread::Builder::new().name("interruption".into()).spawn(move || {
            if wake.read_exact(&mut [0]).is_ok() {
                end(caught.load(Ordering::SeqCst));
            }
        })?;
        Ok(())
    };
    install()
        .map_err(|error| CommandError::configuration(format!("cannot handle interrupts: {error}")))
}

/// Removes unfinished files, then runs the default action of the signal.
fn end(signal: usize) {
    // Held until the process ends.
    let staged = Staged::lock();
    for path in &staged.0 {
        // A failure is ignored: the process is about to end.
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
    let _ = low_level::emulate_default_handler(signal as i32);
}

/// Whether the signal was ignored when the process started, as by `nohup`. Assumed not, if the
/// system does not say.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
