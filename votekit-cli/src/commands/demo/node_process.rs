//! The node of a demo, in a separate process.

use std::process::Child;
use std::time::Duration;

use crate::admin_target;
use crate::commands::serve::stop_signal;
use crate::context::Context;
use crate::error::CommandError;

/// Interval at which a demo that keeps its node checks that the node still runs.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// A node in a child process, killed when dropped.
pub(super) struct NodeProcess {
    child: Child,
    pub(super) public: String,
    pub(super) admin: String,
}

impl NodeProcess {
    /// A node that has printed the URLs of its listeners.
    pub(super) fn new(child: Child, public: String, admin: String) -> Self {
        Self { child, public, admin }
    }

    /// Prints a report, and keeps the node running until a signal ends the demo.
    pub(super) fn keep(
        mut self,
        context: &Context,
        report: impl FnOnce() -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        admin_target::run(async {
            // Installed before the report is printed: its reader may end the demo at once.
            let stop = stop_signal()?;
            report()?;
            context.output.note("the node keeps running; stop it with Ctrl-C");
            tokio::select! {
                () = stop => Ok(()),
                ended = self.ended() => ended,
            }
        })?;
        self.stop()
    }

    /// Waits until the node exits by itself.
    async fn ended(&mut self) -> Result<(), CommandError> {
        let failed = |error: std::io::Error| CommandError::configuration(error.to_string());
        while self.child.try_wait().map_err(failed)?.is_none() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Stops the node as an operator does, with SIGTERM.
    pub(super) fn stop(mut self) -> Result<(), CommandError> {
        if let Some(id) =
            rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(0))
        {
            // An error means that the node has ended already.
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let ended =
            self.child.wait().map_err(|error| CommandError::configuration(error.to_string()))?;
        if ended.success() {
            Ok(())
        } else {
            Err(CommandError::configuration(format!("the node ended: {ended}")))
        }
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // A failed demo must not leave a node behind; after a normal stop it is already gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
