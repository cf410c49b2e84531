//! Children end with the process that started them, however it ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Set in a copy of this program that acts as a tool.
const PART: &str = "CHILDGUARD_TEST_PART";

/// Upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Starts children and waits for ever. Does nothing unless another test starts it.
#[test]
fn tool_that_starts_children() {
    let Ok(part) = std::env::var(PART) else { return };
    let guard = match part.as_str() {
        "tool" | "dismissed" => Some(childguard::guard_this_process().expect("guarded")),
        _ => None,
    };
    // Also a grandchild in its own session: only the mark ties it to this process.
    let mut marked = Command::new("sh");
    marked.args(["-c", "setsid sleep 300 & echo $! $$; wait"]);
    let mut spared = Command::new("sleep");
    childguard::unmark(spared.arg("300"));
    if part == "test" {
        childguard::guard(&mut marked);
    }
    let mut marked = marked.stdout(Stdio::piped()).spawn().expect("started");
    let mut spared = spared.stdout(Stdio::null()).spawn().expect("started");
    let mut pids = String::new();
    let stdout = marked.stdout.take().expect("piped");
    BufReader::new(stdout).read_line(&mut pids).expect("a line");
    // The test harness may have begun a line.
    let line = format!("\npids {} {}\n", spared.id(), pids.trim());
    std::io::stdout().write_all(line.as_bytes()).expect("written");
    if let ("dismissed", Some(guard)) = (part.as_str(), guard) {
        guard.dismiss();
    }
    // Waits until this process is killed.
    marked.wait().expect("it is waited for");
    spared.wait().expect("it is waited for");
}

/// A tool that runs, with the children it started.
struct Tool {
    process: Child,
    spared: u32,
    marked: Vec<u32>,
}

impl Tool {
    fn start(part: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "tool_that_starts_children", "--nocapture"]);
        // If this test itself is killed, everything ends.
        childguard::guard(&mut command).env(PART, part);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("started");
        let stdout = BufReader::new(process.stdout.take().expect("piped"));
        let line = stdout
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("pids ").map(str::to_owned))
            .expect("the tool says which children it has");
        let pids: Vec<u32> =
            line.split(' ').map(|pid| pid.parse().expect("a process id")).collect();
        Self { process, spared: pids[0], marked: pids[1..].to_vec() }
    }

    fn end(&mut self, signal: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.expect("kill runs").success());
        self.process.wait().expect("it ends");
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        for pid in self.marked.iter().chain([&self.spared]) {
            let _ = Command::new("kill").args(["-s", "KILL", &pid.to_string()]).output();
        }
    }
}

/// Whether a process runs; a zombie does not.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z")))
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "waited until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn marked_children_end_with_a_tool_that_is_killed() {
    for (part, signal) in [("tool", "TERM"), ("tool", "KILL"), ("tool", "INT"), ("test", "KILL")] {
        let mut tool = Tool::start(part);
        assert_eq!(tool.marked.len(), 2, "a grandchild and its parent");
        assert!(tool.marked.iter().all(|pid| runs(*pid)), "{part}");
        tool.end(signal);
        wait_until(&format!("the children of a {part} end after SIG{signal}"), || {
            !tool.marked.iter().any(|pid| runs(*pid))
        });
        assert!(runs(tool.spared), "{part}, SIG{signal}: it was not marked");
    }
}

#[test]
fn children_of_a_tool_that_dismissed_its_guard_run_on() {
    let mut tool = Tool::start("dismissed");
    // The guard is dismissed after this line was printed: wait until it has ended without killing.
    let guard = format!("childguard\0{}-", tool.process.id());
    wait_until("the guard has ended", || !command_lines().iter().any(|line| line.contains(&guard)));
    tool.end("KILL");
    std::thread::sleep(Duration::from_millis(500));
    assert!(tool.marked.iter().all(|pid| runs(*pid)));
}

fn command_lines() -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("Linux");
    let files = entries.filter_map(|entry| Some(entry.ok()?.path().join("cmdline")));
    files.filter_map(|file| std::fs::read_to_string(file).ok()).collect()
}
