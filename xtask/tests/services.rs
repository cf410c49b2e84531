//! `cargo xtask services` as a person uses it: servers come up, break, come back, and leave nothing
//! behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// An end for waits, not a target.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program with a target folder of its own, so that servers that somebody is playing with are
/// left alone.
struct Program {
    target: PathBuf,
}

impl Program {
    fn new(name: &str) -> Result<Self, std::io::Error> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(target.join("debug"))?;
        let program = target.join("debug/xtask");
        if program.exists() {
            fs::remove_file(&program)?;
        }
        // A link, no copy: a file that is written while another test starts a program is busy to
        // whoever runs it.
        fs::hard_link(env!("CARGO_BIN_EXE_xtask"), program)?;
        Ok(Self { target })
    }

    fn services(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.target.join("debug/xtask"));
        command.arg("services").args(words).stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Result<Output, std::io::Error> {
        self.services(words).output()
    }

    /// Runs a verb that must succeed; gives back what it printed.
    fn succeed(&self, words: &[&str]) -> Result<String, Box<dyn std::error::Error>> {
        let output = self.run(words)?;
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    fn record(&self) -> PathBuf {
        self.target.join("services.json")
    }

    fn wait(&self, what: &str, holds: impl Fn() -> bool) {
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

/// The folder of the servers, as it is written down.
fn folder(program: &Program) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let record: serde_json::Value = serde_json::from_slice(&fs::read(program.record())?)?;
    Ok(record["folder"].as_str().ok_or("no folder")?.into())
}

fn line<'text>(text: &'text str, begin: &str) -> &'text str {
    text.lines().find(|line| line.starts_with(begin)).unwrap_or("no such line")
}

#[test]
fn servers_come_up_break_come_back_and_leave_nothing() -> TestResult {
    let program = Program::new("services-playing")?;
    let up = program.succeed(&["up"])?;
    assert!(up.lines().all(|line| line.starts_with("export VOTEKIT_")), "{up}");
    let test_variables = [
        "VOTEKIT_TEST_REDIS='redis://",
        "VOTEKIT_TEST_AMQP='amqp://",
        "VOTEKIT_TEST_POSTGRES='postgres://",
    ];
    for expected in test_variables.iter().chain(&[
        "VOTEKIT_REGISTRY=",
        "VOTEKIT_BALLOT_BOX=",
        "VOTEKIT_LEDGER=",
    ]) {
        assert!(up.contains(expected), "{expected} is not in\n{up}");
    }
    let stored = folder(&program)?;

    let twice = program.run(&["up"])?;
    assert!(!twice.status.success());
    assert!(String::from_utf8_lossy(&twice.stderr).contains("servers run already"), "{twice:?}");

    let status = program.succeed(&["status"])?;
    assert_eq!(status.lines().filter(|line| line.ends_with("  answers")).count(), 9, "{status}");
    assert_eq!(status.lines().filter(|line| line.contains(": master of ")).count(), 3, "{status}");
    assert_eq!(
        status.lines().filter(|line| line.contains(": replica of redis-")).count(),
        3,
        "{status}"
    );
    assert!(status.ends_with("the Redis Cluster is whole\n"), "{status}");

    for server in ["redis-1", "rabbitmq", "postgresql"] {
        program.succeed(&["pause", server])?;
        let paused = program.succeed(&["status"])?;
        assert!(line(&paused, server).ends_with("runs, and does not answer"), "{paused}");
        program.succeed(&["resume", server])?;
        program.wait(server, || {
            program.succeed(&["status"]).is_ok_and(|now| line(&now, server).ends_with("  answers"))
        });
        program.succeed(&["kill", server])?;
        let killed = program.succeed(&["status"])?;
        assert!(line(&killed, server).ends_with("does not run"), "{killed}");
        program.succeed(&["restart", server])?;
    }
    program.wait("a whole cluster", || {
        program.succeed(&["status"]).is_ok_and(|now| now.ends_with("is whole\n"))
    });

    assert_eq!(program.succeed(&["down"])?, "9 servers stopped\n");
    assert!(!stored.exists() && !program.record().exists());
    assert!(working_in(&stored)?.is_empty(), "{:?} still run", working_in(&stored)?);
    assert_eq!(program.succeed(&["down"])?, "0 servers stopped\n");
    Ok(())
}

#[test]
fn servers_end_when_the_program_that_starts_them_is_killed() -> TestResult {
    let program = Program::new("services-killed")?;
    let mut child: Child =
        program.services(&["up"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    program.wait("a server that is written down", || {
        fs::read_to_string(program.record()).is_ok_and(|text| text.contains("rabbitmq"))
    });
    let stored = folder(&program)?;
    child.kill()?;
    child.wait()?;
    program.wait("the folder to be removed", || !stored.exists() && !program.record().exists());
    assert!(working_in(&stored)?.is_empty(), "{:?} still run", working_in(&stored)?);
    Ok(())
}

/// The numbers of the processes that work in a folder, removed or not.
fn working_in(folder: &Path) -> Result<Vec<String>, std::io::Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        if fs::read_link(entry.path().join("cwd")).is_ok_and(|place| place.starts_with(folder)) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

#[test]
fn an_unknown_server_and_a_full_folder_are_told() -> TestResult {
    let program = Program::new("services-refused")?;
    let unknown = program.run(&["kill", "redis-7"])?;
    assert!(
        String::from_utf8_lossy(&unknown.stderr)
            .contains("there are: epmd, rabbitmq, postgresql, redis-1"),
        "{unknown:?}"
    );
    let nothing = program.run(&["status"])?;
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("no servers run"), "{nothing:?}");
    let full = program.run(&["up", "--folder", &program.target.to_string_lossy()])?;
    assert!(!full.status.success() && program.target.join("debug/xtask").exists());
    assert!(
        String::from_utf8_lossy(&full.stderr).contains("must be empty, or not there"),
        "{full:?}"
    );
    Ok(())
}
