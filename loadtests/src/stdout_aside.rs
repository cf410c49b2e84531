//! Redirects standard output while a library prints on it.

use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

/// While this lives, standard output goes to standard error.
#[derive(Debug)]
pub(crate) struct StdoutAside {
    stdout: OwnedFd,
}

impl StdoutAside {
    /// Redirects until dropped.
    pub(crate) fn begin() -> io::Result<Self> {
        io::stdout().flush()?;
        let stdout = rustix::io::dup(rustix::stdio::stdout())?;
        rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
        Ok(Self { stdout })
    }
}

impl Drop for StdoutAside {
    fn drop(&mut self) {
        // The rest of the buffer still belongs to the library. Errors cannot be returned from here;
        // a broken standard output shows itself with the next result.
        let _ = io::stdout().flush();
        let _ = rustix::stdio::dup2_stdout(&self.stdout);
    }
}
