//! Number of conformance cases each engine ran: the same for every engine of a role, and never
//! zero.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::project;

/// The variable with the path of the file to which each suite appends a line.
const CASES_FILE: &str = "VOTEKIT_CASES_FILE";

const ROLES: [&str; 4] = ["registry", "ballot box", "ledger", "accounts"];

/// The file in which the suites report how many cases they ran.
pub(crate) struct Cases {
    file: PathBuf,
}

impl Cases {
    /// Starts with an empty file.
    pub(crate) fn begin() -> Result<Self> {
        Ok(Self { file: project::scratch("cases")?.join("cases") })
    }

    /// Makes a `cargo test` report its cases.
    pub(crate) fn collect(&self, command: &mut Command) {
        command.env(CASES_FILE, &self.file);
    }

    /// Prints the reported numbers, and compares the engines.
    ///
    /// # Errors
    /// When an engine ran no case of a role, or not the same number as another, or a case failed.
    pub(crate) fn check(&self, engines: &[&str]) -> Result<()> {
        let text =
            fs::read_to_string(&self.file).context("no suite reported its number of cases")?;
        let reports = parse(&text)?;
        print(&reports);
        let faults = faults(&reports, engines);
        ensure!(faults.is_empty(), "{}", faults.join("; "));
        Ok(())
    }
}

/// The reports of each engine and role: the numbers of cases, and how many failed. A suite that ran
/// twice reports the same number.
type SuiteReports = BTreeMap<(String, String), (BTreeSet<u64>, u64)>;

/// Parses lines of `ENGINE TAB ROLE TAB CASES TAB FAILED`.
fn parse(text: &str) -> Result<SuiteReports> {
    let mut reports = SuiteReports::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [engine, role, cases, failed] = fields[..] else {
            anyhow::bail!("a suite reported '{line}'")
        };
        let (counts, failures) = reports.entry((engine.to_owned(), role.to_owned())).or_default();
        counts.insert(cases.parse().with_context(|| format!("a suite reported '{line}'"))?);
        *failures += failed.parse::<u64>().with_context(|| format!("a suite reported '{line}'"))?;
    }
    Ok(reports)
}

fn print(reports: &SuiteReports) {
    let row = |first: &str, cells: [String; ROLES.len()]| {
        let cells: String = cells.iter().map(|cell| format!(" {cell:>10}")).collect();
        println!("{first:<30}{cells}");
    };
    row("conformance cases", ROLES.map(str::to_owned));
    let engines: BTreeSet<&str> = reports.keys().map(|(engine, _)| engine.as_str()).collect();
    for engine in engines {
        row(engine, ROLES.map(|role| shown(reports, engine, role)));
    }
}

fn shown(reports: &SuiteReports, engine: &str, role: &str) -> String {
    let numbers = reports
        .get(&(engine.to_owned(), role.to_owned()))
        .map(|(counts, _)| counts.iter().map(u64::to_string));
    numbers.map_or_else(|| "-".to_owned(), |numbers| numbers.collect::<Vec<_>>().join("|"))
}

fn faults(reports: &SuiteReports, engines: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    for role in ROLES {
        let mut all_counts: BTreeSet<u64> = BTreeSet::new();
        for engine in engines {
            match reports.get(&((*engine).to_owned(), role.to_owned())) {
                Some((counts, _)) if !counts.contains(&0) => all_counts.extend(counts),
                _ => faults.push(format!("{engine} ran no case of the {role}")),
            }
        }
        if all_counts.len() > 1 {
            let each: Vec<_> = engines
                .iter()
                .map(|engine| format!("{engine} {}", shown(reports, engine, role)))
                .collect();
            faults.push(format!(
                "the engines did not run the same cases of the {role}: {}",
                each.join(", ")
            ));
        }
    }
    let failed = reports.iter().filter(|(_, (_, failed))| *failed > 0);
    faults.extend(failed.map(|((engine, role), (_, failed))| {
        format!("{engine} failed {failed} cases of the {role}")
    }));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "embedded\tregistry\t21\t0\nembedded\tballot box\t11\t0\nembedded\tledger\t29\t0\n\
        embedded\taccounts\t32\t0\n\
        embedded on bad day 1\tledger\t27\t0\nembedded\tledger\t29\t0\n";
    const SERVICES: &str = "services\tregistry\t21\t0\nservices\tballot box\t11\t0\n\
        services\tledger\t29\t0\nservices\taccounts\t32\t0\n";

    fn found(text: &str, engines: &[&str]) -> Result<Vec<String>> {
        Ok(faults(&parse(text)?, engines))
    }

    #[test]
    fn engines_that_agree_pass() -> Result<()> {
        assert!(found(GOOD, &["embedded"])?.is_empty());
        assert!(found(&format!("{GOOD}{SERVICES}"), &["embedded", "services"])?.is_empty());
        Ok(())
    }

    #[test]
    fn an_engine_without_cases_is_reported() -> Result<()> {
        let missing = found(GOOD, &["embedded", "services"])?;
        assert_eq!(missing.len(), 4, "{missing:?}");
        let none =
            found(&format!("{GOOD}{}", SERVICES.replace("11", "0")), &["embedded", "services"])?;
        assert_eq!(none, ["services ran no case of the ballot box"]);
        Ok(())
    }

    #[test]
    fn differing_counts_and_failures_are_reported() -> Result<()> {
        let fewer =
            found(&format!("{GOOD}{}", SERVICES.replace("29", "28")), &["embedded", "services"])?;
        assert_eq!(
            fewer,
            ["the engines did not run the same cases of the ledger: embedded 29, services 28"]
        );
        let failed = found(&GOOD.replace("27\t0", "27\t2"), &["embedded"])?;
        assert_eq!(failed, ["embedded on bad day 1 failed 2 cases of the ledger"]);
        assert!(parse("embedded registry 21").is_err());
        Ok(())
    }
}
