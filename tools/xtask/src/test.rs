//! `cargo xtask test`: runs all checks one after the other, and prints a table of times and of disk
//! space, and a last line `N passed, N failed`.
//!
//! A failing check does not stop the others: one run reports everything that is wrong. All checks
//! share one build configuration, so that clippy and doc share their metadata, and the tests and
//! the binary their code.
//!
//! Tests of engines that are servers run over real ones, which this chore starts. With `--engine
//! embedded` those tests are left out, and their names are printed; a test never skips itself.

mod conformance;
mod dependencies;
mod disk;
mod examples;
mod findings;
mod log_events;
mod suite;
mod report;
mod servers;
mod sources;
mod tools;
mod wording;

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;

use self::report::Report;
use self::suite::Counts;
use crate::browser::BrowserTools;
use crate::services::Rig;
use crate::{api_fuzz, byzantine, chaos, man, modules, project, services};

/// Run every check.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The engines to test. All but the embedded one need servers: missing programs are installed
    /// on Debian, as root.
    #[arg(long, value_enum, default_value_t = Engine::All)]
    engine: Engine,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    All,
    Embedded,
}

impl Engine {
    /// Their names in the conformance suite.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::All => &["embedded", "services"],
            Self::Embedded => &["embedded"],
        }
    }
}

const CLIPPY_DENY: [&str; 3] = ["--", "-D", "warnings"];

/// Runs every check. Failures are part of the report: nothing may be printed after its last line.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let mut report = Report::begin();

    report.check("disk space", disk::check);
    if !report.has_passed() {
        // On a full disk every other check would fail too, each with a message of its own.
        report.finish();
        return ExitCode::FAILURE;
    }
    texts(&mut report);
    // The tests of faulty disks load it, and would otherwise build it themselves.
    report.check("preloaded library", || {
        project::succeed(&mut project::cargo(["build", "--package", "faultdisk-preload"]))
    });
    let mut browser = None;
    report.check("browser", || {
        browser = Some(BrowserTools::find_or_install()?);
        Ok(())
    });
    let mut rig = None;
    if arguments.engine == Engine::All {
        report.check("servers", || {
            rig = Some(services::start_for_a_run()?);
            Ok(())
        });
    }
    let cases = conformance::Cases::begin();
    report.suite("tests", || tests(rig.as_ref(), browser.as_ref(), cases.as_ref().ok()));
    if let Some(rig) = rig {
        report.check("servers: to the end", || rig.end());
    }
    report.check("tools: no code of votekit", dependencies::check_independent);
    report.check("findings: their tests exist", || findings::check(project::root()));
    report.check("modules: one direction", || modules::check(project::root()));
    report.check("OpenAPI: Schemathesis", || api_fuzz::run(&api_fuzz::Arguments::short()));
    report.check("chaos", || chaos::run(&chaos::Arguments::short()));
    if arguments.engine == Engine::All {
        report.check("chaos on services", || chaos::run(&chaos::Arguments::short_on_services()));
        report.check("chaos with three authorities", || {
            chaos::run(&chaos::Arguments::short_with_authorities())
        });
        report.check("lies and manipulations", || byzantine::run(&byzantine::Arguments::short()));
    }
    report.suite("doc tests", || {
        let mut command = project::cargo(["test", "--workspace", "--no-fail-fast", "--doc"]);
        suite::run(&mut command)
    });
    report.check("examples", examples::check);
    report.check("documentation", || {
        let mut command = project::cargo(["doc", "--workspace", "--no-deps"]);
        project::succeed(command.env("RUSTDOCFLAGS", "-D warnings"))
    });
    report.check("man pages", man::check);
    offline(&mut report);
    report.check("conformance", || cases?.check(arguments.engine.names()));

    if report.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The checks that need no build of the tests: tools, format, the rules of the project, clippy.
fn texts(report: &mut Report) {
    report.check("tools", tools::check);
    report.check("format", || {
        project::succeed(&mut project::cargo(["fmt", "--all", "--check"]))?;
        project::succeed(&mut project::cargo([
            "fmt",
            "--manifest-path",
            "tools/fuzz/Cargo.toml",
            "--check",
        ]))
    });
    report.check("long files", || sources::check_lengths(project::root()));
    report.check("wording", || wording::check(project::root()));
    report.check("log events", || log_events::check(project::root()));
    report.check("test files", || {
        sources::check_test_files(project::root())?;
        sources::check_declared(project::root())
    });
    report
        .check("test files that need servers", || sources::check_names_of_wanting(project::root()));
    report.check("clippy", || {
        let arguments = ["clippy", "--workspace", "--all-targets"].iter().chain(&CLIPPY_DENY);
        project::succeed(&mut project::cargo(arguments))
    });
}

/// The officials' offline binary, last: it replaces the full binary.
fn offline(report: &mut Report) {
    report.check("offline: no network code", dependencies::check_offline);
    report.check("offline: clippy", || {
        let arguments = ["clippy", "--all-targets"]
            .iter()
            .chain(&dependencies::OFFLINE_PACKAGE)
            .chain(&CLIPPY_DENY);
        project::succeed(&mut project::cargo(arguments))
    });
    report.suite("offline: tests", || {
        let mut command = project::cargo(["test", "--no-fail-fast", "--bins", "--tests"]);
        suite::run(command.args(dependencies::OFFLINE_PACKAGE))
    });
}

/// All tests of the workspace except doc tests; also builds their binaries. Without servers, the
/// tests that need them are left out.
///
/// Tests over servers mostly wait, so they run beside the others.
///
/// Ignored tests rewrite golden files: run them by name, after a deliberate change of format.
fn tests(
    rig: Option<&Rig>,
    browser: Option<&BrowserTools>,
    cases: Option<&conformance::Cases>,
) -> Result<Counts> {
    let command = || {
        let mut command = project::cargo(["test", "--no-fail-fast", "--workspace"]);
        if let Some(browser) = browser {
            browser.hand_over(&mut command);
        }
        if let Some(cases) = cases {
            cases.collect(&mut command);
        }
        command
    };
    let mut embedded = command();
    embedded.args(["--lib", "--bins"]);
    servers::select_without_servers(&mut embedded)?;
    let Some(rig) = rig else {
        servers::print_left_out()?;
        return suite::run(&mut embedded);
    };
    project::succeed(command().args(["--lib", "--bins", "--tests", "--no-run", "--quiet"]))?;
    let mut services = command();
    servers::select_with_servers(&mut services, rig)?;
    suite::run_both(&mut embedded, "services │ ", services)
}
