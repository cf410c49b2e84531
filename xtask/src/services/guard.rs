//! A process that ends the servers when the one that started them cannot: it was interrupted or
//! killed.
//!
//! It holds the other end of a pipe, as the guard of every other child does (crate childguard).
//! Servers have a guard of their own: they end in their own order, and their folder is removed.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use super::rig;

/// Said by a program that leaves its servers running on purpose.
const DISMISSED: &[u8] = b"dismissed";

/// This program's own file, even after a build has put another in its place, as the tests' own
/// build does.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// The watch over one rig; its end begins when this is dropped.
pub(super) struct Guard(Child);

impl Guard {
    /// Starts to watch over the servers that are written down in a file.
    pub(super) fn set(record_file: &Path) -> Result<Self> {
        let mut command = Command::new(THIS_PROGRAM);
        command.args(["services", "guard"]).arg(record_file);
        // It must outlive Ctrl-C.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        // And the end of all other children.
        childguard::unmark(&mut command);
        Ok(Self(command.spawn().context("starting the guard of the servers")?))
    }

    /// Lets the servers run on.
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

/// What the guard does.
#[derive(clap::Args)]
pub(super) struct Arguments {
    record: PathBuf,
}

/// Waits for the pipe to close.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let mut said = Vec::new();
    std::io::stdin().read_to_end(&mut said)?;
    if said != DISMISSED {
        rig::stop(&arguments.record)?;
    }
    Ok(())
}
