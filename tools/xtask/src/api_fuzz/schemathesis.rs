//! Schemathesis, in a Python environment of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::project;
use crate::python::{python, require_module};

/// The version of Schemathesis and of everything that it imports: another version of Hypothesis
/// makes other requests from a seed.
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// No server error, and no answer outside the document. Its other checks want answers that the
/// document cannot promise, such as 400 for every request that breaks the schema: a request may
/// break several rules at once.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance,response_headers_conformance";

/// The time for one answer.
const ANSWER_SECONDS: &str = "30";

/// The program.
pub(super) struct Schemathesis {
    python: PathBuf,
}

/// A listener, a caller, and the operations to call.
pub(super) struct Target {
    pub(super) name: &'static str,
    pub(super) url: String,
    /// Header fields of every request.
    pub(super) headers: Vec<String>,
    /// Options that select operations.
    pub(super) filters: Vec<String>,
    /// Whether its operations are those of a listener, and counted as tested.
    pub(super) counts: bool,
}

/// The report of one run.
#[derive(Deserialize)]
pub(super) struct Report {
    exit_code: i32,
    pub(super) operations: Operations,
    pub(super) test_cases: TestCases,
    /// Its output.
    #[serde(skip)]
    pub(super) text: String,
}

#[derive(Deserialize)]
pub(super) struct Operations {
    pub(super) total: u64,
    pub(super) selected: u64,
    tested: u64,
}

#[derive(Deserialize)]
pub(super) struct TestCases {
    pub(super) generated: u64,
}

impl Report {
    /// Whether an answer was wrong, or a selected operation could not be called.
    pub(super) fn failed(&self) -> bool {
        self.exit_code != 0
            || self.operations.selected == 0
            || self.operations.tested != self.operations.selected
    }
}

impl Schemathesis {
    /// The program that an earlier run installed; if there is none, installs it.
    ///
    /// # Errors
    /// When it cannot be installed.
    pub(super) fn find_or_install() -> Result<Self> {
        let folder = project::target_dir()?.join("xtask-files/schemathesis");
        let found = Self { python: folder.join("bin/python") };
        let installed = folder.join("installed.txt");
        if found.python.exists()
            && fs::read_to_string(&installed).is_ok_and(|versions| versions == REQUIREMENTS)
        {
            return Ok(found);
        }
        println!("installing Schemathesis in {}", folder.display());
        // Debian's Python has the module `venv`, and what it needs only with this package.
        require_module("ensurepip, venv", &["python3", "python3-venv"])?;
        let folder = project::scratch("schemathesis")?;
        project::succeed(python(&["-m", "venv"]).arg(&folder))?;
        let requirements = folder.join("requirements.txt");
        fs::write(&requirements, REQUIREMENTS)?;
        let mut install = Command::new(&found.python);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        install.args(["--no-input", "--only-binary", ":all:", "--requirement"]);
        project::succeed(install.arg(requirements).stdin(Stdio::null()))?;
        // Last: an installation that was interrupted begins again.
        fs::write(installed, REQUIREMENTS)?;
        Ok(found)
    }

    /// The Python of the environment.
    pub(super) fn python(&self) -> &Path {
        &self.python
    }

    /// Calls the operations of a target, and waits for the report.
    ///
    /// # Errors
    /// When there is no report, or none before the deadline.
    pub(super) fn send(
        &self,
        target: &Target,
        document: &Path,
        (examples, seed): (u32, u64),
        deadline: Instant,
    ) -> Result<Report> {
        let folder = document.parent().context("a document in a folder")?;
        let (report, printed) = (
            folder.join(format!("{}.json", target.name)),
            folder.join(format!("{}.txt", target.name)),
        );
        let mut command = Command::new(&self.python);
        command.args(["-m", "schemathesis.cli", "run"]).arg(document);
        command.args(["--url", &target.url, "--checks", CHECKS, "--request-timeout"]);
        command.args([ANSWER_SECONDS, "--max-examples", &examples.to_string()]);
        // Several workers at once are not repeatable, and gain nothing on so fast a node.
        command.args(["--seed", &seed.to_string(), "--workers", "1"]);
        command.args(["--generation-database", "none", "--warnings", "off", "--no-color"]);
        command.args(&target.filters);
        for header in &target.headers {
            command.args(["--header", header]);
        }
        command.args(["--report", "json", "--report-json-path"]).arg(&report);
        let output = File::create(&printed)?;
        // A configuration of Schemathesis further up in the tree does not apply to this folder, and
        // no proxy to this machine.
        command.current_dir(folder).env("NO_PROXY", "*").env("no_proxy", "*");
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| self.python.display().to_string())?;
        let ended = wait(child, deadline).with_context(|| {
            format!("{}: the output so far is in {}", target.name, printed.display())
        })?;
        let text = fs::read_to_string(&printed)?;
        let report = fs::read(&report).with_context(|| {
            format!("Schemathesis ended with {ended}, without a report:\n{text}")
        })?;
        Ok(Report { text: faults(&text).to_owned(), ..serde_json::from_slice(&report)? })
    }
}

/// Waits for the end of a process; kills it at the deadline.
fn wait(mut child: Child, deadline: Instant) -> Result<ExitStatus> {
    loop {
        if let Some(ended) = child.try_wait()? {
            return Ok(ended);
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            bail!("Schemathesis was killed at the deadline of all runs");
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// The part of the printed text about errors and failures, or all of it.
fn faults(text: &str) -> &str {
    let is_heading = |line: &str| {
        let heading = line.trim_matches('=');
        line.starts_with("==") && matches!(heading, " ERRORS " | " FAILURES ")
    };
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        if is_heading(line.trim_end()) {
            return &text[begin..];
        }
        begin += line.len();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_fails_with_an_operation_that_was_not_called() -> Result<()> {
        let read = |selected: u64, exit_code: i32| -> Result<Report> {
            let text = format!(
                r#"{{"exit_code": {exit_code}, "seed": 1, "test_cases": {{"generated": 9}},
                     "operations": {{"total": 7, "selected": {selected}, "tested": 2}}}}"#
            );
            Ok(serde_json::from_str(&text)?)
        };
        assert!(!read(2, 0)?.failed());
        assert!(read(3, 0)?.failed() && read(2, 1)?.failed());
        Ok(())
    }

    #[test]
    fn failed_operations_are_shown_without_passed_ones() {
        let text = "Schemathesis\n  1 passed\n==== FAILURES ====\n1. 500\n==== SUMMARY ====\n";
        assert_eq!(faults(text), "==== FAILURES ====\n1. 500\n==== SUMMARY ====\n");
        assert_eq!(faults("usage: no such option\n"), "usage: no such option\n");
    }

    #[test]
    fn a_process_is_killed_at_the_deadline() -> Result<()> {
        let sleep = |seconds: &str| Command::new("sleep").arg(seconds).spawn();
        assert!(wait(sleep("0")?, Instant::now() + Duration::from_secs(60))?.success());
        let begun = Instant::now();
        assert!(wait(sleep("60")?, begun + Duration::from_millis(100)).is_err());
        assert!(begun.elapsed() < Duration::from_secs(30), "it was not killed");
        Ok(())
    }
}
