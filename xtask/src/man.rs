//! `cargo xtask man`: the pages in `man/`, made by the command line itself, so that help and manual
//! cannot disagree.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::project;

/// Writes `man/` anew.
pub(crate) fn run() -> Result<()> {
    let fresh = generate()?;
    let kept = kept();
    if kept.exists() {
        fs::remove_dir_all(&kept).context("emptying man/")?;
    }
    let files = project::files_below(&fresh)?;
    for file in &files {
        let destination = kept.join(file);
        fs::create_dir_all(destination.parent().expect("a file has a folder"))?;
        fs::copy(fresh.join(file), &destination)
            .with_context(|| format!("writing {}", destination.display()))?;
    }
    println!("{} files written to man/", files.len());
    Ok(())
}

/// Fails when `man/` is not what the command line would write now.
pub(crate) fn check() -> Result<()> {
    let fresh = generate()?;
    let stale = differences(&kept(), &fresh)?;
    ensure!(
        stale.is_empty(),
        "man/ is out of date, run `cargo xtask man`:\n  {}",
        stale.join("\n  ")
    );
    Ok(())
}

fn kept() -> PathBuf {
    project::root().join("man")
}

/// Builds `votekit` and lets it write its pages into an empty folder.
fn generate() -> Result<PathBuf> {
    // `--examples` (there are none) makes cargo resolve features as `cargo test` does, so that
    // nothing compiles twice.
    project::succeed(&mut project::cargo([
        "build",
        "--quiet",
        "--workspace",
        "--bins",
        "--examples",
    ]))?;
    let folder = project::scratch("man")?;
    let votekit = project::target_dir()?.join("debug/votekit");
    project::succeed(Command::new(votekit).arg("man").arg("--out").arg(&folder))?;
    ensure!(!project::files_below(&folder)?.is_empty(), "votekit man wrote nothing");
    Ok(folder)
}

/// One line a file that is missing, superfluous or different.
fn differences(kept: &Path, fresh: &Path) -> Result<Vec<String>> {
    let mut names: BTreeSet<PathBuf> = project::files_below(kept)?.into_iter().collect();
    names.extend(project::files_below(fresh)?);
    let mut found = Vec::new();
    for name in names {
        let (old, new) = (kept.join(&name), fresh.join(&name));
        let verdict = match (old.exists(), new.exists()) {
            (false, _) => "missing",
            (_, false) => "no longer made",
            _ if fs::read(&old)? != fs::read(&new)? => "changed",
            _ => continue,
        };
        found.push(format!("{}: {verdict}", name.display()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_drift_is_found() -> Result<()> {
        let (kept, fresh) =
            (project::scratch("man-test/kept")?, project::scratch("man-test/fresh")?);
        for (folder, name, text) in [
            (&kept, "same.1", "a"),
            (&fresh, "same.1", "a"),
            (&kept, "changed.1", "a"),
            (&fresh, "changed.1", "b"),
            (&kept, "gone.1", "a"),
            (&fresh, "new.1", "a"),
        ] {
            fs::write(folder.join(name), text)?;
        }
        assert_eq!(
            differences(&kept, &fresh)?,
            ["changed.1: changed", "gone.1: no longer made", "new.1: missing"]
        );
        assert!(differences(&fresh, &fresh)?.is_empty());
        Ok(())
    }
}
