//! Runs the real xtask, and inspects what it left behind.

// Each test file is a separate crate and uses only a part.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(120);

/// The program with its own target folder, so that it does not touch servers a developer has
/// started.
pub(crate) struct Program {
    pub(crate) target: PathBuf,
}

impl Program {
    /// Creates a target folder of this name, with this program in it.
    pub(crate) fn new(name: &str) -> Result<Self, std::io::Error> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        // The results of an earlier run must not be mistaken for this one's.
        if target.exists() {
            fs::remove_dir_all(&target)?;
        }
        fs::create_dir_all(target.join("debug"))?;
        let program = target.join("debug/xtask");
        // A link instead of a copy: executing a file fails (text file busy) if a child of another
        // test still has it open for writing.
        fs::hard_link(env!("CARGO_BIN_EXE_xtask"), program)?;
        Ok(Self { target })
    }

    /// Ends a chore with a signal.
    pub(crate) fn end(&self, chore: &mut Child, signal: &str) -> Result<(), std::io::Error> {
        let sent = Command::new("kill").args(["-s", signal, &chore.id().to_string()]).status()?;
        assert!(sent.success(), "{sent}");
        chore.wait().map(drop)
    }

    /// A command that runs a chore.
    pub(crate) fn chore(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.target.join("debug/xtask"));
        command.args(words).stdin(Stdio::null());
        // Servers that `up` leaves running end with this test, even when it is killed.
        childguard::guard(&mut command);
        command
    }

    /// A command that runs a verb of `services`.
    pub(crate) fn services(&self, words: &[&str]) -> Command {
        self.chore(&[&["services"], words].concat())
    }

    /// Runs a verb of `services` to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Result<Output, std::io::Error> {
        self.services(words).output()
    }

    /// Runs a verb that must succeed; returns its output.
    pub(crate) fn succeed(&self, words: &[&str]) -> Result<String, Box<dyn std::error::Error>> {
        let output = self.run(words)?;
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The file that records running servers.
    pub(crate) fn record(&self) -> PathBuf {
        self.target.join("services.json")
    }

    /// Waits until the output of `status` satisfies a condition. A cluster may fail over whenever
    /// the machine is busy: a single output proves nothing.
    pub(crate) fn wait_for_status(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        loop {
            // It fails when no Redis node answers, after printing the state of the others.
            let said = self.run(&["status"]).expect("xtask runs").stdout;
            let now = String::from_utf8_lossy(&said);
            if holds(&now) {
                return;
            }
            assert!(begun.elapsed() < WAIT_TIMEOUT, "waited for {what}:\n{now}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until a condition is true.
    pub(crate) fn wait(&self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < WAIT_TIMEOUT, "waited for {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // After a failed assertion the servers may still run.
        let _ = self.run(&["down"]);
    }
}

/// The votekit built beside this program. It is missing when a test runs alone, in a new target
/// folder.
pub(crate) fn votekit() -> Result<String, Box<dyn std::error::Error>> {
    let built = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("votekit");
    if !built.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--package", "votekit-cli"]);
        assert!(childguard::guard(&mut build).status()?.success(), "votekit is not built");
    }
    Ok(built.into_os_string().into_string().map_err(|path| format!("{path:?} is no text"))?)
}

/// The ids and names of the processes whose working directory is in a folder, removed or not.
pub(crate) fn working_in(folder: &Path) -> Result<Vec<String>, std::io::Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let process = entry?.path();
        if fs::read_link(process.join("cwd")).is_ok_and(|path| path.starts_with(folder)) {
            let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
            found.push(format!("{} {}", process.display(), name.trim_end()));
        }
    }
    Ok(found)
}
