//! Child processes of a test, which end with it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// A running program, killed when dropped.
pub(crate) struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a program whose output is read.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child =
            childguard::guard(command).spawn().with_context(|| format!("starting {name}"))?;
        let output = child.stdout.take().context("standard output is not piped")?;
        Ok(Self { child, output: BufReader::new(output) })
    }

    /// Reads the next line that it prints.
    pub(crate) fn read_line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "the program ended without a further line");
        Ok(line.trim_end().to_owned())
    }

    /// Stops it with SIGTERM, as an operator does.
    pub(crate) fn stop(mut self) -> Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.context("no process id")?, Signal::TERM)?;
        let ended = self.child.wait()?;
        ensure!(ended.success(), "the program ended with {ended}");
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
