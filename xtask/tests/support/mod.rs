//! Runs the real xtask, and looks at what it left behind.

// Each test file is a crate of its own and uses what it needs.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// An end for waits, not a target.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program with a target folder of its own, so that servers that somebody is playing with are
/// left alone.
pub(crate) struct Program {
    pub(crate) target: PathBuf,
}

impl Program {
    /// A target folder of this name, with this program in it.
    pub(crate) fn new(name: &str) -> Result<Self, std::io::Error> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        // What an earlier run left is not to be taken for what this one makes.
        if target.exists() {
            fs::remove_dir_all(&target)?;
        }
        fs::create_dir_all(target.join("debug"))?;
        let program = target.join("debug/xtask");
        // A link, no copy: a file that is written while another test starts a program is busy to
        // whoever runs it.
        fs::hard_link(env!("CARGO_BIN_EXE_xtask"), program)?;
        Ok(Self { target })
    }

    /// Ends a chore by a signal.
    pub(crate) fn end(&self, chore: &mut Child, signal: &str) -> Result<(), std::io::Error> {
        let sent = Command::new("kill").args(["-s", signal, &chore.id().to_string()]).status()?;
        assert!(sent.success(), "{sent}");
        chore.wait().map(drop)
    }

    /// What runs a chore.
    pub(crate) fn chore(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.target.join("debug/xtask"));
        command.args(words).stdin(Stdio::null());
        // Servers that `up` leaves running end with this test, also when it is killed.
        childguard::guard(&mut command);
        command
    }

    /// What runs a verb of `services`.
    pub(crate) fn services(&self, words: &[&str]) -> Command {
        self.chore(&[&["services"], words].concat())
    }

    /// Runs a verb of `services` to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Result<Output, std::io::Error> {
        self.services(words).output()
    }

    /// Runs a verb that must succeed; gives back what it printed.
    pub(crate) fn succeed(&self, words: &[&str]) -> Result<String, Box<dyn std::error::Error>> {
        let output = self.run(words)?;
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Where running servers are written down.
    pub(crate) fn record(&self) -> PathBuf {
        self.target.join("services.json")
    }

    /// Waits until `status` says what is wanted. A cluster may fail over whenever the machine is
    /// busy: what it says at one moment proves nothing.
    pub(crate) fn wait_for_status(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        loop {
            // It fails when no Redis node answers, and has then said what it knows of the others.
            let said = self.run(&["status"]).expect("xtask runs").stdout;
            let now = String::from_utf8_lossy(&said);
            if holds(&now) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "waited for {what}:\n{now}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until something holds.
    pub(crate) fn wait(&self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < PATIENCE, "waited for {what}");
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

/// The votekit that was built beside this program. There is none when a test is run alone, in a new
/// target folder.
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

/// The numbers and names of the processes that work in a folder, removed or not.
pub(crate) fn working_in(folder: &Path) -> Result<Vec<String>, std::io::Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let process = entry?.path();
        if fs::read_link(process.join("cwd")).is_ok_and(|place| place.starts_with(folder)) {
            let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
            found.push(format!("{} {}", process.display(), name.trim_end()));
        }
    }
    Ok(found)
}
