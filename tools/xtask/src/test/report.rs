//! The result and the duration of each check, and the space that it added to the target folder.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::disk;
use super::suite::Counts;
use crate::project;

pub(crate) struct Report {
    rows: Vec<Row>,
    counts: Counts,
    /// The bytes in the target folder after the last check.
    used: u64,
}

struct Row {
    name: &'static str,
    took: Duration,
    /// Negative after a check that removed files.
    added_mib: i64,
    cases: Option<Counts>,
    failure: Option<String>,
}

impl Report {
    pub(crate) fn begin() -> Self {
        Self { rows: Vec::new(), counts: Counts::default(), used: used() }
    }

    /// Whether every check so far passed.
    pub(crate) fn has_passed(&self) -> bool {
        self.rows.iter().all(|row| row.failure.is_none())
    }

    /// Runs one check that either passes or fails.
    pub(crate) fn check(&mut self, name: &'static str, run: impl FnOnce() -> Result<()>) {
        self.row(name, || match run() {
            Ok(()) => (None, None),
            Err(error) => (None, Some(format!("{error:#}"))),
        });
    }

    /// Runs one test suite. It fails when a case fails, when it cannot be built, and when it has no
    /// cases.
    pub(crate) fn suite(&mut self, name: &'static str, run: impl FnOnce() -> Result<Counts>) {
        self.row(name, || match run() {
            Ok(counts) => (Some(counts), counts.failure()),
            Err(error) => (None, Some(format!("{error:#}"))),
        });
    }

    fn row(&mut self, name: &'static str, run: impl FnOnce() -> (Option<Counts>, Option<String>)) {
        println!("\n── {name} ──");
        let begun = Instant::now();
        let (cases, failure) = run();
        let took = begun.elapsed();
        let before = std::mem::replace(&mut self.used, used());
        let added_mib = signed_mib(self.used) - signed_mib(before);
        println!(
            "── {name}: {} in {:.1} s, {added_mib:+} MiB",
            failure.as_deref().unwrap_or("passed"),
            took.as_secs_f64()
        );
        self.counts += cases.unwrap_or_default();
        self.rows.push(Row { name, took, added_mib, cases, failure });
    }

    /// Prints the table, and as its last line the number of test cases. Returns whether every check
    /// passed.
    pub(crate) fn finish(self) -> bool {
        println!("\n{:<29} {:>8} {:>8} {:>8}  result", "check", "seconds", "MiB", "cases");
        for row in &self.rows {
            let Row { name, added_mib, .. } = row;
            let cases = row.cases.map_or_else(String::new, |cases| cases.passed.to_string());
            let verdict = if row.failure.is_some() { "FAILED" } else { "passed" };
            let seconds = row.took.as_secs_f64();
            println!("{name:<29} {seconds:>8.1} {added_mib:>8} {cases:>8}  {verdict}");
        }
        let total: Duration = self.rows.iter().map(|row| row.took).sum();
        let (seconds, used) = (total.as_secs_f64(), disk::mib(self.used));
        println!("{:<29} {seconds:>8.1} {used:>8} {:>8}", "all", self.counts.passed);

        let failures: Vec<_> =
            self.rows.iter().filter_map(|row| Some((row.name, row.failure.as_ref()?))).collect();
        for (name, failure) in &failures {
            println!("\n{name} FAILED: {failure}");
        }
        println!("\n{} passed, {} failed", self.counts.passed, self.counts.failed);
        failures.is_empty()
    }
}

/// The bytes in the target folder; 0 where it is unknown, since no check may fail for the table.
fn used() -> u64 {
    project::target_dir().map_or(0, |target| disk::used(&target))
}

fn signed_mib(bytes: u64) -> i64 {
    i64::try_from(disk::mib(bytes)).unwrap_or(i64::MAX)
}
