//! Runs `cargo test` and counts its cases from its output.

use std::io::{self, BufRead, BufReader, Read};
use std::ops::AddAssign;
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, Result, ensure};

use crate::project;

/// Numbers of test cases, by outcome.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Whether the command failed: a test program that aborts, or does not compile, counts no case.
    pub(crate) unsuccessful: bool,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.unsuccessful |= other.unsuccessful;
    }
}

impl Counts {
    /// Why these counts are a failure; `None` for a success.
    pub(crate) fn failure(&self) -> Option<String> {
        match self {
            Self { failed: 1.., .. } => Some(format!("{} cases failed", self.failed)),
            Self { unsuccessful: true, .. } => {
                Some("no case failed, but a test program ended badly or did not compile".into())
            }
            Self { passed: 0, .. } => Some("not one case ran".into()),
            _ => None,
        }
    }
}

/// Runs a `cargo test` command, passes its output through, and adds up its `test result:` lines.
pub(crate) fn run(command: &mut Command) -> Result<Counts> {
    let output = command.stdout(Stdio::piped());
    let mut child =
        output.spawn().with_context(|| format!("starting {}", project::words(command)))?;
    let output = child.stdout.take().expect("asked for a pipe");
    count(child, output, "", &project::words(command))
}

/// Runs two `cargo test` commands at the same time. Each line of the second one begins with its
/// label.
///
/// The programs must be built already: cargo holds a lock while it builds.
pub(crate) fn run_both(first: &mut Command, label: &str, mut second: Command) -> Result<Counts> {
    let words = project::words(&second);
    // Its standard error too: cargo prints there which program runs.
    let (output, input) = io::pipe()?;
    second.stdout(input.try_clone()?).stderr(input);
    let child = second.spawn().with_context(|| format!("starting {words}"))?;
    // It holds the other end of the pipe, which would never end.
    drop(second);
    thread::scope(|scope| {
        let beside = scope.spawn(|| count(child, output, label, &words));
        let counts = run(first);
        let beside = beside.join().expect("counting does not panic");
        let mut counts = counts?;
        counts += beside?;
        Ok(counts)
    })
}

/// Prints the output of a running `cargo test`, and adds up its `test result:` lines.
fn count(mut child: Child, output: impl Read, label: &str, words: &str) -> Result<Counts> {
    let mut counts = Counts::default();
    for line in BufReader::new(output).split(b'\n') {
        // A test may print anything; only cargo's own ASCII lines matter here.
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{label}{line}");
        counts += result_line(&line).unwrap_or_default();
    }
    let status = child.wait()?;
    ensure!(status.code().is_some(), "{words} was killed: {status}");
    counts.unsuccessful = !status.success();
    Ok(counts)
}

/// Parses `test result: ok. 12 passed; 0 failed; 1 ignored; …`; `None` for any other line.
fn result_line(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |word: &str| {
        let field = numbers.split("; ").find_map(|field| field.strip_suffix(word))?;
        field.trim().parse().ok()
    };
    Some(Counts { passed: count(" passed")?, failed: count(" failed")?, unsuccessful: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_read() {
        let line = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s";
        assert_eq!(result_line(line), Some(Counts { passed: 12, failed: 0, unsuccessful: false }));
        let line = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(result_line(line), Some(Counts { passed: 1, failed: 2, unsuccessful: false }));
    }

    #[test]
    fn other_lines_are_not() {
        assert_eq!(result_line("test credential::tests::errors_say_where ... ok"), None);
        assert_eq!(result_line("test result: ok. many passed"), None);
    }

    #[test]
    fn a_success_has_cases_and_no_failure() {
        let counts = |passed, failed, unsuccessful| Counts { passed, failed, unsuccessful };
        assert_eq!(counts(3, 0, false).failure(), None);
        assert!(counts(0, 0, false).failure().is_some());
        assert!(counts(3, 1, true).failure().is_some());
        assert!(counts(3, 0, true).failure().is_some());
    }

    #[test]
    fn the_cases_of_both_commands_count() -> Result<()> {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let mut first = shell("echo 'test result: ok. 2 passed; 0 failed; 0 ignored'");
        let second = shell("echo 'test result: FAILED. 3 passed; 1 failed; 0 ignored'; exit 101");
        let counts = run_both(&mut first, "second: ", second)?;
        assert_eq!(counts, Counts { passed: 5, failed: 1, unsuccessful: true });
        Ok(())
    }
}
