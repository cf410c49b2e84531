//! `cargo xtask test`: every check, one after the other, with a table of times and one last line `N passed, N failed`.
//!
//! A check that fails does not stop the others: one run tells everything that is wrong. All of them share one build
//! configuration, so that clippy and doc share their metadata, and the tests and the binary their code.

mod independence;
mod offline;
mod report;
mod sources;
mod suite;
mod tools;

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;

use self::report::Report;
use self::suite::Counts;
use crate::{chaos, man, project};

/// Run every check.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The engine the node's tests run on, handed to them as VOTEKIT_TEST_ENGINE.
    #[arg(long, value_enum, default_value_t = Engine::Embedded)]
    engine: Engine,
}

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    Embedded,
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
        }
    }
}

const CLIPPY_DENY: [&str; 3] = ["--", "-D", "warnings"];

/// Runs every check. Failures are in the report: nothing may be printed after its last line.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let mut report = Report::default();

    report.check("tools", tools::check);
    report.check("format", || {
        project::succeed(&mut project::cargo(["fmt", "--all", "--check"]))?;
        project::succeed(&mut project::cargo(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))
    });
    report.check("long files", || sources::check_lengths(project::root()));
    report.check("test files", || sources::check_test_files(project::root()));
    report.check("clippy", || {
        let arguments = ["clippy", "--workspace", "--all-targets"].iter().chain(&CLIPPY_DENY);
        project::succeed(&mut project::cargo(arguments))
    });
    // Tests of bad disks load it, and would build it by themselves.
    report.check("preloaded library", || project::succeed(&mut project::cargo(["build", "--package", "faultdisk-preload"])));
    report.suite("tests", || tests(arguments, &["--workspace", "--lib"]));
    report.check("checker: no code of votekit", independence::check_tree);
    report.check("chaos", || chaos::run(&chaos::Arguments::short()));
    report.suite("doc tests", || {
        let mut command = project::cargo(["test", "--workspace", "--no-fail-fast", "--doc"]);
        suite::run(&mut command)
    });
    report.check("documentation", || {
        let mut command = project::cargo(["doc", "--workspace", "--no-deps"]);
        project::succeed(command.env("RUSTDOCFLAGS", "-D warnings"))
    });
    report.check("man pages", man::check);
    // Last, because it leaves the offline binary where the full one was.
    report.check("offline: no network code", offline::check_tree);
    report.check("offline: clippy", || {
        let arguments = ["clippy", "--all-targets"].iter().chain(&offline::PACKAGE).chain(&CLIPPY_DENY);
        project::succeed(&mut project::cargo(arguments))
    });
    report.suite("offline: tests", || tests(arguments, &offline::PACKAGE));

    if report.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All tests but doc tests of the chosen packages; their binaries are built on the way.
fn tests(arguments: &Arguments, packages: &[&str]) -> Result<Counts> {
    let mut command = project::cargo(["test", "--no-fail-fast", "--bins", "--tests"]);
    // Tests that are ignored write golden files anew: they are called by name, after a deliberate change of format.
    command.args(packages).env("VOTEKIT_TEST_ENGINE", arguments.engine.name());
    suite::run(&mut command)
}
