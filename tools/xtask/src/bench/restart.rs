//! The restart of an embedded node in whose log all electors have voted, compared with reading its
//! snapshot with `cat`.

use anyhow::Result;

use super::Workbench;
use super::paired::{self, Line, Pair};
use super::row::Row;
use crate::project;

/// Fills a data folder and times opening it, which ends with an orderly stop, compared with `cat`
/// of its snapshot.
pub(super) fn run(workbench: &Workbench) -> Result<Vec<Row>> {
    let folder = workbench.folder.join("filled");
    project::succeed(&mut project::cargo([
        "build",
        "--release",
        "--package",
        "votekit-node",
        "--example",
        "fill",
    ]))?;
    let mut fill = std::process::Command::new(project::target_dir()?.join("release/examples/fill"));
    project::succeed(fill.arg(&folder).arg(workbench.electors.to_string()))?;
    let data = folder.join("node");
    let ours =
        Line::new(&workbench.votekit).words(["election", "show", "L2025-001", "--data", "{input}"]);
    let beside = match &workbench.beside {
        Some(command) => Line::parse(command)?,
        None => {
            let snapshot = data.join("snapshots/L2025-001");
            let files = project::files_below(&snapshot)?;
            files.into_iter().fold(Line::new("cat"), |line, file| line.word(snapshot.join(file)))
        }
    };
    let comparison =
        paired::measure(&Pair { input: data, ours, beside }, workbench.runs, &workbench.folder)?;
    Ok(vec![Row::at_most(
        "restart: open and leave, s",
        comparison.our_seconds(),
        5.0,
        comparison.detail(),
    )])
}
