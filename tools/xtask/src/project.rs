//! The project's paths, and how to call cargo on it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The workspace's root folder.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).expect("xtask lies in tools")
}

/// The folders of all crates, from the workspace's list of members.
pub(crate) fn crate_folders(root: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(root.join("Cargo.toml")).context("reading Cargo.toml")?;
    let members = text.split_once("members = [").and_then(|(_, rest)| rest.split_once(']'));
    let (members, _) = members.context("Cargo.toml lists no members")?;
    Ok(members
        .split(',')
        .map(|member| member.trim().trim_matches('"').to_owned())
        .filter(|member| !member.is_empty())
        .collect())
}

/// The folder cargo builds into: this program is `<target>/debug/xtask`.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let program = std::env::current_exe().context("finding this program's own file")?;
    let target = program
        .parent()
        .and_then(Path::parent)
        .context("this program is not in a cargo target folder")?;
    Ok(target.to_owned())
}

/// Creates a new, empty folder under the target folder, for one chore's files.
pub(crate) fn scratch(name: &str) -> Result<PathBuf> {
    let folder = target_dir()?.join("xtask-files").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder)
}

/// A cargo command in the workspace's root, as if from a fresh shell.
///
/// `cargo run` sets variables about this program's own package. Build scripts that watch them (such
/// as ring's) would rerun at every switch between `cargo xtask` and plain cargo, so they are
/// removed.
pub(crate) fn cargo<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
            .iter()
            .any(|prefix| name_text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    // Incremental state was 5 of the 13 GB of a whole run in a clean checkout, and filled its disk.
    // The rule does not depend on where it runs: what continuous integration builds, a developer
    // builds. The price is that `cargo build` by hand has artefacts of its own; an exported
    // CARGO_INCREMENTAL, 0 or 1, makes both share one set.
    if std::env::var_os("CARGO_INCREMENTAL").is_none() {
        command.env("CARGO_INCREMENTAL", "0");
    }
    command.current_dir(root()).args(arguments);
    command
}

/// Runs a command to its end, with its output passed through.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {}", words(command)))?;
    ensure!(status.success(), "{} failed: {status}", words(command));
    Ok(())
}

/// A command as typed in a shell.
pub(crate) fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Every file below a folder, sorted, as relative paths. A missing folder has no files.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(next) = pending.pop() {
        if !next.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&next).with_context(|| format!("listing {}", next.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            } else {
                files.push(
                    entry.path().strip_prefix(folder).expect("found below the folder").to_owned(),
                );
            }
        }
    }
    files.sort();
    Ok(files)
}
