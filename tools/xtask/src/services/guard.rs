//! A process that ends the servers when the one that started them cannot, because it was
//! interrupted or killed.
//!
//! It holds the other end of a pipe, like the guard of all other children (crate childguard).
//! Servers have their own guard: they end in a certain order, and their folder is removed.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// Written by a program that leaves its servers running on purpose.
const DISMISSED: &[u8] = b"dismissed";

/// This program's own file, even after a build has replaced it, as the tests' own build does.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// The guard of one rig; dropping it makes the guard process end.
pub(super) struct Guard(Child);

impl Guard {
    /// Starts to guard the servers recorded in a file.
    pub(super) fn set(record_file: &Path) -> Result<Self> {
        let mut command = Command::new(THIS_PROGRAM);
        command.args(["services", "guard"]).arg(record_file);
        // It must outlive Ctrl-C.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        // It must also outlive the end of all other children.
        childguard::unmark(&mut command);
        Ok(Self(command.spawn().context("starting the guard of the servers")?))
    }

    /// Ends the guard and leaves the servers running.
    pub(super) fn dismiss(mut self) -> Result<()> {
        let mut pipe = self.0.stdin.take().context("the guard's pipe")?;
        pipe.write_all(DISMISSED).context("dismissing the guard of the servers")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The pipe closes; the guard finds nothing left to do and ends.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Guard the servers recorded in a file.
#[derive(clap::Args)]
pub(super) struct Arguments {
    record: PathBuf,
}

/// Waits for the pipe to close, then ends the servers with `stop` unless dismissed.
pub(super) fn run(arguments: &Arguments, stop: impl FnOnce(&Path) -> Result<usize>) -> Result<()> {
    let mut said = Vec::new();
    std::io::stdin().read_to_end(&mut said)?;
    if said != DISMISSED {
        stop(&arguments.record)?;
    }
    Ok(())
}
