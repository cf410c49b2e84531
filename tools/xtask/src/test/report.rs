//! The result and the duration of each check.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::suite::Counts;

#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    counts: Counts,
}

struct Row {
    name: &'static str,
    took: Duration,
    cases: Option<Counts>,
    failure: Option<String>,
}

impl Report {
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
        println!(
            "── {name}: {} in {:.1} s",
            failure.as_deref().unwrap_or("passed"),
            took.as_secs_f64()
        );
        self.counts += cases.unwrap_or_default();
        self.rows.push(Row { name, took, cases, failure });
    }

    /// Prints the table, and as its last line the number of test cases. Returns whether every check
    /// passed.
    pub(crate) fn finish(self) -> bool {
        println!("\n{:<26} {:>8} {:>8}  result", "check", "seconds", "cases");
        for row in &self.rows {
            let cases = row.cases.map_or_else(String::new, |cases| cases.passed.to_string());
            let verdict = if row.failure.is_some() { "FAILED" } else { "passed" };
            println!("{:<26} {:>8.1} {cases:>8}  {verdict}", row.name, row.took.as_secs_f64());
        }
        let total: Duration = self.rows.iter().map(|row| row.took).sum();
        println!("{:<26} {:>8.1} {:>8}", "all", total.as_secs_f64(), self.counts.passed);

        let failures: Vec<_> =
            self.rows.iter().filter_map(|row| Some((row.name, row.failure.as_ref()?))).collect();
        for (name, failure) in &failures {
            println!("\n{name} FAILED: {failure}");
        }
        println!("\n{} passed, {} failed", self.counts.passed, self.counts.failed);
        failures.is_empty()
    }
}
