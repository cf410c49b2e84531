//! The server that stores nothing: an axum handler over hyper, which parses a vote and hashes its
//! credential.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::node;
use crate::project;

/// A running handler; killed on drop.
pub(super) struct BareHandler {
    child: Child,
    /// Where it listens.
    pub(super) address: String,
}

impl Drop for BareHandler {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl BareHandler {
    /// Builds the program.
    pub(super) fn build() -> Result<()> {
        build_example("bare_handler")
    }

    /// Starts it on a free port, and waits until it accepts connections. `votekit` is the path of
    /// the command, beside which examples are built.
    pub(super) fn start(votekit: &Path) -> Result<Self> {
        // A port that is free now; the handler binds it a moment later.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let child = Command::new(votekit.with_file_name("examples").join("bare_handler"))
            .arg(&address)
            .spawn()
            .context("starting the bare handler")?;
        let handler = Self { child, address };
        let begun = Instant::now();
        while TcpStream::connect(&handler.address).is_err() {
            ensure!(begun.elapsed() < Duration::from_secs(10), "the bare handler does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(handler)
    }

    /// Processor time used so far, in seconds.
    pub(super) fn processor_seconds(&self) -> Result<f64> {
        node::processor_seconds(self.child.id())
    }
}

/// Builds an example of the load generator.
pub(super) fn build_example(name: &str) -> Result<()> {
    let package = ["build", "--release", "--package", "votekit-loadtests", "--example", name];
    project::succeed(&mut project::cargo(package))
}
