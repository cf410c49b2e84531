//! axe-core, which `cargo xtask browser` downloads: part of no page, put into each by the test.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::browser::Browser;

/// The variable with the path of `axe.min.js`.
const VARIABLE: &str = "VOTEKIT_TEST_AXE";

const RUN: &str = include_str!("scripts/axe.js");

/// The source of axe-core.
pub(crate) struct Axe(String);

/// The report of a run.
#[derive(Deserialize)]
struct Report {
    version: String,
    findings: Vec<String>,
}

impl Axe {
    /// Reads the file that the environment names.
    pub(crate) fn load() -> Result<Self> {
        let file = std::env::var_os(VARIABLE)
            .with_context(|| format!("no {VARIABLE}: run these tests by `cargo xtask browser`"))?;
        Ok(Self(fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?))
    }

    /// The violations of WCAG 2.2 A and AA that axe finds in the page.
    pub(crate) async fn violations(&self, browser: &Browser) -> Result<Vec<String>> {
        if browser.run("return !window.axe;").await? == true {
            browser.run(&self.0).await?;
        }
        let report = browser.run_async(RUN, Vec::new()).await?;
        let report: Report = serde_json::from_value(report)?;
        ensure!(!report.version.is_empty(), "{}", report.findings.join("\n"));
        Ok(report.findings)
    }
}
