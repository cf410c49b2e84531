//! `cargo xtask fuzz`: runs libFuzzer on every parser of untrusted bytes.
//!
//! The coverage passes are part of the pinned stable compiler, and the code under test has no
//! `unsafe`, so no nightly compiler, sanitizer or other tool is needed: only a C++ compiler, for
//! libFuzzer itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::project;

/// Fuzz the parsers of untrusted bytes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Seconds to fuzz each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The largest input to try, in bytes.
    #[arg(long, default_value_t = 8192)]
    bytes_max: u32,
    /// The targets, by default all: the folders in `tools/fuzz/corpus`.
    targets: Vec<String>,
}

/// The instrumentation libFuzzer needs from the compiler: a counter for each edge, a table of code
/// locations, and the operands of comparisons.
const COVERAGE_FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
    -Ccodegen-units=1 -Cdebug-assertions --cfg fuzzing";

/// The result of one target.
struct Outcome {
    target: String,
    executions: u64,
    crashed: bool,
}

/// Fuzzes each target in turn.
///
/// # Errors
/// When a target is unknown, the fuzzer does not build, or an input makes a target fail.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let known = targets()?;
    for target in &arguments.targets {
        ensure!(
            known.contains(target),
            "no fuzz target '{target}'; there are: {}",
            known.join(", ")
        );
    }
    let chosen = if arguments.targets.is_empty() { &known } else { &arguments.targets };
    let fuzzer = build()?;
    let mut outcomes = Vec::new();
    for target in chosen {
        println!("\n── {target}, {} s ──", arguments.seconds);
        outcomes.push(fuzz(&fuzzer, target, arguments)?);
    }

    println!("\n{:<16} {:>12}  result", "target", "executions");
    for outcome in &outcomes {
        let verdict =
            if outcome.crashed { "CRASHED, see tools/fuzz/artifacts" } else { "no crash" };
        println!("{:<16} {:>12}  {verdict}", outcome.target, outcome.executions);
    }
    let crashed = outcomes.iter().filter(|outcome| outcome.crashed).count();
    if crashed > 0 {
        bail!("{crashed} of {} targets crashed", outcomes.len());
    }
    Ok(())
}

/// Each target has a folder of committed seeds; a test in the core verifies that the two lists
/// agree.
fn targets() -> Result<Vec<String>> {
    let folder = project::root().join("tools/fuzz/corpus");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Builds the fuzzer and returns its path.
fn build() -> Result<PathBuf> {
    let host = host()?;
    let folder = project::target_dir()?.join("fuzz");
    // With the host named as the target, the coverage flags do not apply to build scripts and
    // macros.
    let mut command = project::cargo([
        "build",
        "--release",
        "--manifest-path",
        "tools/fuzz/Cargo.toml",
        "--target",
        &host,
    ]);
    command.env("RUSTFLAGS", COVERAGE_FLAGS).env("CARGO_TARGET_DIR", &folder);
    project::succeed(&mut command)?;
    Ok(folder.join(host).join("release/votekit-fuzz"))
}

/// The target triple of this machine.
fn host() -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .current_dir(project::root())
        .output()
        .context("starting rustc")?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

/// Runs one target. New inputs stay in the target folder; the committed seeds stay few and small.
fn fuzz(fuzzer: &Path, target: &str, arguments: &Arguments) -> Result<Outcome> {
    let found = project::target_dir()?.join("fuzz/corpus").join(target);
    let artifacts = project::root().join("tools/fuzz/artifacts").join(target);
    fs::create_dir_all(&found)?;
    fs::create_dir_all(&artifacts)?;
    let mut command = Command::new(fuzzer);
    command.env("VOTEKIT_FUZZ_TARGET", target).stderr(Stdio::piped());
    command
        .arg(format!("-max_total_time={}", arguments.seconds))
        .arg(format!("-max_len={}", arguments.bytes_max));
    command.args(["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048", "-verbosity=0"]);
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    command.arg(found).arg(project::root().join("tools/fuzz/corpus").join(target));

    let output = command.output().with_context(|| format!("starting {}", fuzzer.display()))?;
    let log = String::from_utf8_lossy(&output.stderr);
    let crashed = !output.status.success();
    if crashed {
        println!("{log}");
    }
    let executions = executions(&log);
    ensure!(crashed || executions.is_some(), "the fuzzer printed no number of executions:\n{log}");
    let executions = executions.unwrap_or(0);
    println!("{executions} executions, {}", if crashed { "CRASHED" } else { "no crash" });
    Ok(Outcome { target: target.to_owned(), executions, crashed })
}

/// Reads libFuzzer's final statistics.
fn executions(log: &str) -> Option<u64> {
    log.lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::executions;

    #[test]
    fn statistics_are_read() {
        assert_eq!(
            executions("Done\nstat::number_of_executed_units: 1234\nstat::average_exec_per_sec: 1"),
            Some(1234)
        );
        assert_eq!(executions("nothing"), None);
    }
}
