//! Runs `cargo test` and counts its cases from its output.

use std::io::{BufRead, BufReader};
use std::ops::AddAssign;
use std::process::{Command, Stdio};

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
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", project::words(command)))?;
    let output = child.stdout.take().expect("asked for a pipe");
    let mut counts = Counts::default();
    for line in BufReader::new(output).split(b'\n') {
        // A test may print anything; only cargo's own ASCII lines matter here.
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        counts += result_line(&line).unwrap_or_default();
    }
    let status = child.wait()?;
    ensure!(status.code().is_some(), "{} was killed: {status}", project::words(command));
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
        assert_eq!(result_line("test credential::tests::errors_name_the_position ... ok"), None);
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
}
