//! Ctrl-C while files are in the making: they are removed, and the process ends as if nobody had
//! caught the signal.
//!
//! What is in the making is listed here, and changes its state only under the list's lock. Whoever
//! is interrupted takes the lock for good: from then on nothing is made and nothing appears.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use crate::error::CommandError;

static STAGED: Mutex<Staged> = Mutex::new(Staged(Vec::new()));

/// Files and folders in the making.
pub(crate) struct Staged(Vec<PathBuf>);

impl Staged {
    /// The list. Held while something is made, appears under its name, or is removed.
    pub(crate) fn lock() -> MutexGuard<'static, Self> {
        STAGED.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This is in the making.
    pub(crate) fn add(&mut self, path: &Path) {
        self.0.push(path.to_owned());
    }

    /// This has appeared, or is gone.
    pub(crate) fn remove(&mut self, path: &Path) {
        self.0.retain(|staged| staged != path);
    }
}

/// From here on an interrupted process leaves nothing behind that was in the making. For verbs that
/// are done whole or not at all; one that keeps what it has when it is interrupted does not call
/// this.
///
/// # Errors
/// When the operating system has no handles or threads left.
pub(crate) fn sweep_when_interrupted() -> Result<(), CommandError> {
    let install = || -> io::Result<()> {
        let (mut wake, waker) = io::pipe()?;
        let caught = Arc::new(AtomicUsize::new(0));
        for signal in [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| !is_ignored(*signal)) {
            // Handlers run in the order of their registration: first it is noted which signal it
            // was.
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
    install().map_err(|error| {
        CommandError::configuration(format!("cannot prepare for interruptions: {error}"))
    })
}

/// Removes what is in the making and lets the signal do what it does.
fn end(signal: usize) {
    // Held to the end of the process.
    let staged = Staged::lock();
    for path in &staged.0 {
        // Nothing can be done about a failure here: the process is to end.
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
    let _ = low_level::emulate_default_handler(signal as i32);
}

/// Whether whoever started this process had the signal ignored, as `nohup` does. Where the system
/// does not tell, it is not.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
