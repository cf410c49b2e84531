//! A node in a child process, as an operator runs it.

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use faultdisk::FaultDisk;
use rustix::process::{Pid, Signal};
use serde_json::Value;

use super::{SERVICES, TestDir};

/// `votekit serve` on ports chosen by the system. The node is killed however the test ends.
pub(crate) struct Node {
    child: Child,
    pub(crate) public: String,
    pub(crate) admin: String,
    pub(crate) metrics: String,
    log: PathBuf,
}

impl Node {
    /// Serves the folder `node` of the test folder, without a rate limit.
    #[track_caller]
    pub(crate) fn serve(dir: &TestDir) -> Self {
        Self::serve_with(dir, &["--rate-limit", "0"])
    }

    /// Serves with further options. Log lines are appended to `node.log`.
    #[track_caller]
    pub(crate) fn serve_with(dir: &TestDir, more: &[&str]) -> Self {
        Self::start(dir, more, |_| {}).unwrap_or_else(|log| panic!("it did not start: {log}"))
    }

    /// Serves with a process that the test prepares: where its log lines go, or its disk.
    #[track_caller]
    pub(crate) fn serve_prepared(
        dir: &TestDir,
        more: &[&str],
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        Self::start(dir, more, prepare).unwrap_or_else(|log| panic!("it did not start: {log}"))
    }

    /// Serves the folder `node` of the test folder from a disk that can fail.
    #[track_caller]
    pub(crate) fn serve_from(dir: &TestDir, disk: &FaultDisk) -> Self {
        Self::start(dir, &["--rate-limit", "0"], |command| disk.apply(command))
            .unwrap_or_else(|log| panic!("it did not start: {log}"))
    }

    /// Serves the folder `node`, which may be damaged. The error has the log of a node that
    /// refused.
    pub(crate) fn try_serve(dir: &TestDir, disk: Option<&FaultDisk>) -> Result<Self, String> {
        Self::start(dir, &["--rate-limit", "0"], |command| {
            disk.into_iter().for_each(|disk| disk.apply(command))
        })
    }

    fn start(
        dir: &TestDir,
        more: &[&str],
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_votekit"));
        command.args(["serve", "--init", "--data", "node", "--json"]).env("VOTEKIT_LOG", "debug");
        for listener in ["--listen", "--admin-listen", "--metrics-listen"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        let log = dir.path("node.log");
        let log_file =
            OpenOptions::new().create(true).append(true).open(&log).expect("a writable folder");
        for variable in SERVICES {
            command.env_remove(variable);
        }
        command
            .args(more)
            .current_dir(dir.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file);
        prepare(&mut command);
        let child = childguard::guard(&mut command).spawn().expect("the node starts");
        let mut node = Self {
            child,
            public: String::new(),
            admin: String::new(),
            metrics: String::new(),
            log,
        };
        let mut line = String::new();
        let stdout = node.child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("readable");
        let Ok(listening) = serde_json::from_str::<Value>(&line) else {
            let ended = node.child.wait().expect("it ends");
            return Err(format!("{ended}: {}", node.log()));
        };
        let address = |name: &str| listening[name].as_str().expect("an address").to_owned();
        (node.public, node.admin, node.metrics) =
            (address("public"), address("admin"), address("metrics"));
        Ok(node)
    }

    /// Process id, for threads that outlive a borrow.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it like a power cut: no handler runs.
    pub(crate) fn cut_off(mut self) {
        self.child.kill().expect("it runs");
        let ended = self.child.wait().expect("it ends");
        assert_eq!(
            ended.signal(),
            Some(9),
            "it was to be killed, and ended by itself: {}",
            self.log()
        );
    }

    /// Stops it as an operator does.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        terminate(self.child.id());
        let ended = self.child.wait().expect("it ends");
        assert!(ended.success(), "{ended}: {}", self.log());
    }

    /// Waits until it exits.
    pub(crate) fn ended(mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }

    /// Path of its log file.
    pub(crate) fn log_path(&self) -> PathBuf {
        self.log.clone()
    }

    /// All log lines so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // An error means that the node has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends SIGTERM to a process that the test started.
pub(crate) fn terminate(id: u32) {
    signal(id, Signal::TERM);
}

/// Sends a signal to a process that the test started.
pub(crate) fn signal(id: u32, signal: Signal) {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process id");
    rustix::process::kill_process(id, signal).expect("it runs");
}
