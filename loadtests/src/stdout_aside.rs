//! Standard output, out of the way of a library that prints on it.

use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

/// While this lives, what is printed on standard output goes to standard error.
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
        // What is left in the buffer still belongs to the library. Neither call can be reported
        // from here, and a standard output that is broken shows itself with the next result.
        let _ = io::stdout().flush();
        let _ = rustix::stdio::dup2_stdout(&self.stdout);
    }
}
