//! The restart of an embedded node in whose log everybody has voted, beside reading its snapshot with `cat`.

use anyhow::Result;

use super::Workbench;
use super::paired::{Line, Pair};
use crate::project;

/// Fills a data folder and pairs the opening of it, which ends with an orderly stop, with `cat` of its snapshot.
pub(super) fn prepare(workbench: &Workbench) -> Result<Pair> {
    let folder = workbench.folder.join("filled");
    project::succeed(&mut project::cargo(["build", "--release", "--package", "votekit-node", "--example", "fill"]))?;
    let mut fill = std::process::Command::new(project::target_dir()?.join("release/examples/fill"));
    project::succeed(fill.arg(&folder).arg(workbench.electors.to_string()))?;
    let data = folder.join("node");
    let ours = Line::new(&workbench.votekit).words(["election", "show", "L2025-001", "--data", "{input}"]);
    let beside = match &workbench.beside {
        Some(command) => Line::parse(command)?,
        None => {
            let snapshot = data.join("snapshots/L2025-001");
            let files = project::files_below(&snapshot)?;
            files.into_iter().fold(Line::new("cat"), |line, file| line.word(snapshot.join(file)))
        }
    };
    Ok(Pair { input: data, ours, beside })
}
