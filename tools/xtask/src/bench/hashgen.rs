//! `cargo xtask bench hashgen`: hashes a roll with votekit and with DuckDB alternately; the ratio
//! of their times, and votekit's memory an elector.
//!
//! The time votekit waits for the disk at its end is not counted: DuckDB does not wait. Everything
//! else is counted, though DuckDB neither validates rows nor sorts nor looks for duplicates.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use wait4::Wait4;

use super::paired::median;
use super::row::Row;
use super::{Workbench, node};
use crate::project;

/// Maximum ratio of votekit's time to DuckDB's.
const RATIO_MAX: f64 = 0.30;
/// Bytes of memory allowed for votekit as a whole, and for each elector in addition.
const OVERHEAD_BYTES: u64 = 64 << 20;
const BYTES_MAX: f64 = 64.0;
const SCRIPT: &str = include_str!("duckdb_hash.py");

/// Runs the pairs for both shard formats.
///
/// # Errors
/// When there is no Python with DuckDB, or a run fails.
pub(super) fn run(setup: &Workbench) -> Result<Vec<Row>> {
    let python = setup.python.clone().unwrap_or_else(|| "python3".into());
    let version = duckdb_version(&python)?;
    let roll = setup.folder.join("roll.csv");
    let script = setup.folder.join("duckdb_hash.py");
    fs::write(&script, SCRIPT)?;
    node::sample_roll(&setup.votekit, setup.electors, &roll)?;
    let mut rows = Vec::new();
    let threads = thread::available_parallelism()?.to_string();

    for format in ["json", "bin"] {
        let mut pairs = Vec::new();
        for run in 0..=setup.runs {
            let ours = || {
                let mut command = Command::new(&setup.votekit);
                command.arg("hashgen").arg(&roll).args([
                    "--json",
                    "--threads",
                    &threads,
                    "--format",
                    format,
                    "--out",
                ]);
                sampled(command, &setup.folder)
            };
            let duckdb = || {
                let mut command = Command::new(&python);
                command.arg(&script).arg(&roll);
                sampled_with(command, &setup.folder, &[&threads])
            };
            // Alternate who goes first: whatever slows the machine down slows both.
            let pair = if run % 2 == 0 {
                let ours = ours()?;
                (ours, duckdb()?)
            } else {
                let duckdb = duckdb()?;
                (ours()?, duckdb)
            };
            // The first pair warms the page cache for both.
            if run > 0 {
                pairs.push(pair);
            }
        }
        rows.extend(report(format, &version, setup.electors, &pairs));
    }
    Ok(rows)
}

/// The version of the Python's DuckDB.
fn duckdb_version(python: &Path) -> Result<String> {
    let asked =
        Command::new(python).args(["-c", "import duckdb; print(duckdb.__version__)"]).output();
    let version = asked
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    version.with_context(|| {
        format!(
            "{} has no DuckDB to run beside votekit: python3 -m venv VENV && VENV/bin/pip install duckdb, then --python VENV/bin/python",
            python.display()
        )
    })
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample {
    /// Without the wait for the disk.
    seconds: f64,
    flush_seconds: f64,
    /// Of all processors, user and system time.
    processor_seconds: f64,
    memory_bytes_max: u64,
}

fn sampled(command: Command, folder: &Path) -> Result<Sample> {
    sampled_with(command, folder, &[])
}

/// Runs a command with a new path for its output as an argument, followed by `last`.
fn sampled_with(mut command: Command, folder: &Path, last: &[&str]) -> Result<Sample> {
    let (output, log) = (folder.join("output"), folder.join("log"));
    let written = File::create(&log)?;
    command
        .arg(&output)
        .args(last)
        .stdin(Stdio::null())
        .stdout(written.try_clone()?)
        .stderr(written);
    let begun = Instant::now();
    let used = command
        .spawn()
        .with_context(|| format!("starting {}", project::words(&command)))?
        .wait4()?;
    let seconds = begun.elapsed().as_secs_f64();
    let printed = fs::read_to_string(&log)?;
    ensure!(
        used.status.success(),
        "{} failed: {}\n{printed}",
        project::words(&command),
        used.status
    );
    let removed =
        if output.is_dir() { fs::remove_dir_all(&output) } else { fs::remove_file(&output) };
    removed.with_context(|| format!("{} left no output", project::words(&command)))?;
    let flush_seconds = flush_seconds(&printed);
    let processor_seconds = (used.rusage.utime + used.rusage.stime).as_secs_f64();
    Ok(Sample {
        seconds: seconds - flush_seconds,
        flush_seconds,
        processor_seconds,
        memory_bytes_max: used.rusage.maxrss,
    })
}

/// The member `flush_seconds` of votekit's summary; 0 for any other program.
fn flush_seconds(printed: &str) -> f64 {
    let member = printed.split_once("\"flush_seconds\":").map_or("", |(_, rest)| rest.trim_start());
    let end = member
        .find(|byte: char| !matches!(byte, '0'..='9' | '.' | 'e' | '-'))
        .unwrap_or(member.len());
    member[..end].parse().unwrap_or(0.0)
}

fn report(format: &str, version: &str, electors: u64, pairs: &[(Sample, Sample)]) -> [Row; 2] {
    let ours =
        |figure: fn(&Sample) -> f64| median(pairs.iter().map(|(ours, _)| figure(ours)).collect());
    let duckdb = |figure: fn(&Sample) -> f64| {
        median(pairs.iter().map(|(_, duckdb)| figure(duckdb)).collect())
    };
    let ratios = pairs.iter().map(|(ours, duckdb)| ours.seconds / duckdb.seconds).collect();
    // The memory beyond 64 MiB, divided by the number of electors.
    let memory = pairs
        .iter()
        .map(|(ours, _)| {
            (ours.memory_bytes_max.saturating_sub(OVERHEAD_BYTES)) as f64 / electors as f64
        })
        .collect();
    let times = format!(
        "{:.2} s, and {:.2} s for the disk, not counted; DuckDB {version} {:.2} s; processor {:.2} s and {:.2} s",
        ours(|sample| sample.seconds),
        ours(|sample| sample.flush_seconds),
        duckdb(|sample| sample.seconds),
        ours(|sample| sample.processor_seconds),
        duckdb(|sample| sample.processor_seconds),
    );
    let peak = format!(
        "beyond 64 MiB; {:.0} MiB in all",
        ours(|sample| sample.memory_bytes_max as f64) / f64::from(1 << 20)
    );
    [
        Row::at_most(format!("hashgen: {format} / DuckDB"), ratios, RATIO_MAX, times),
        Row::at_most(format!("hashgen: {format}, B an elector"), memory, BYTES_MAX, peak),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_for_the_disk_is_found_in_the_summary() {
        assert_eq!(
            flush_seconds("{\"elapsed_seconds\":1.5,\"flush_seconds\":0.25,\"rows\":3}"),
            0.25
        );
        assert_eq!(flush_seconds("{\n  \"flush_seconds\": 1e-3\n}"), 0.001);
        assert_eq!(flush_seconds(""), 0.0);
    }

    #[test]
    fn a_report_holds_medians_against_targets() {
        let sample = |seconds: f64, mib: u64| Sample {
            seconds,
            flush_seconds: 0.5,
            processor_seconds: 2.0 * seconds,
            memory_bytes_max: mib << 20,
        };
        let pairs = [
            (sample(1.0, 96), sample(4.0, 1)),
            (sample(2.0, 96), sample(4.0, 1)),
            (sample(1.0, 96), sample(5.0, 1)),
        ];
        let [time, memory] = report("json", "2.0", 1 << 20, &pairs).map(|row| row.to_string());
        assert!(
            time.contains("0.250") && time.contains("0.200–0.500") && time.contains("yes"),
            "{time}"
        );
        assert!(memory.contains("32.000") && memory.contains("yes"), "{memory}");
    }

    #[test]
    fn missing_duckdb_is_reported_with_the_package_to_install() {
        let error =
            duckdb_version("/absent/python".as_ref()).expect_err("there is none").to_string();
        assert!(error.contains("pip install duckdb") && error.contains("--python"), "{error}");
    }
}
