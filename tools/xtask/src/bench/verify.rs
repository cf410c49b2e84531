//! Verifying a bundle, compared with one `sha256sum` of its leaves, which every verifier must at
//! least read.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::Workbench;
use super::paired::{self, Line, Pair};
use super::row::Row;
use crate::project;

pub(super) fn run(workbench: &Workbench) -> Result<Vec<Row>> {
    let folder = workbench.folder.join("demo");
    let mut demo = Command::new(&workbench.votekit);
    demo.args(["demo", "--electors", &workbench.electors.to_string(), "--dir"]).arg(&folder);
    project::succeed(&mut demo)?;
    compare(workbench, &folder.join("bundle"), &folder.join("policy"))
}

/// The row for an existing bundle.
pub(super) fn compare(workbench: &Workbench, bundle: &Path, policy: &Path) -> Result<Vec<Row>> {
    let ours = Line::new(&workbench.votekit)
        .words(["verify", "bundle", "{input}", "--policy"])
        .word(policy);
    let beside = match &workbench.beside {
        Some(command) => Line::parse(command)?,
        None => leaves(bundle)?.iter().fold(Line::new("sha256sum"), |line, file| line.word(file)),
    };
    let comparison = paired::measure(
        &Pair { input: bundle.to_owned(), ours, beside },
        workbench.runs,
        &workbench.folder,
    )?;
    Ok(vec![Row::at_most(
        "verify: bundle / sha256sum",
        comparison.ratios(),
        3.0,
        comparison.detail(),
    )])
}

/// The files of a bundle that contain its leaves.
fn leaves(bundle: &Path) -> Result<Vec<PathBuf>> {
    let files = project::files_below(bundle)?.into_iter();
    let leaves: Vec<_> = files
        .filter(|file| file.to_string_lossy().starts_with("leaves"))
        .map(|file| bundle.join(file))
        .collect();
    ensure!(!leaves.is_empty(), "{} holds no leaves", bundle.display());
    Ok(leaves)
}
