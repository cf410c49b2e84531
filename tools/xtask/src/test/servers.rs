//! Which test files need servers: they get the servers, or are left out by name.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::project;
use crate::services::{Rig, TEST_VARIABLES};

/// Folders whose test files may need servers, with the prefix of such files' names.
pub(super) const WANTING: [(&str, &str); 4] = [
    ("votekit-store", "services_"),
    ("votekit-node", "services_"),
    ("votekit-cli", "services_"),
    ("tools/xtask", "services"),
];

/// Makes a `cargo test` of the workspace run the test files that need no servers.
///
/// # Errors
/// When there are no such files.
pub(crate) fn select_without_servers(command: &mut Command) -> Result<()> {
    let (run, _) = test_files(project::root())?;
    select(command, &run)?;
    for variable in TEST_VARIABLES {
        command.env_remove(variable);
    }
    Ok(())
}

/// Makes a `cargo test` of the workspace run the test files that need servers, over these servers.
///
/// # Errors
/// When there are no such files.
pub(crate) fn select_with_servers(command: &mut Command, rig: &Rig) -> Result<()> {
    let (_, wanting) = test_files(project::root())?;
    select(command, &wanting)?;
    command.envs(rig.site().test_variables());
    Ok(())
}

/// Prints the names of the test files that are left out without servers.
pub(crate) fn print_left_out() -> Result<()> {
    let (_, names) = test_files(project::root())?;
    println!("{} test files skipped, which need servers: {}", names.len(), names.join(", "));
    Ok(())
}

fn select(command: &mut Command, names: &[String]) -> Result<()> {
    ensure!(!names.is_empty(), "no test files found");
    for name in names {
        command.args(["--test", name]);
    }
    Ok(())
}

/// The names of all test files of the workspace, sorted: those that need no servers, and those that
/// do.
fn test_files(root: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let (mut run, mut left_out) = (Vec::new(), Vec::new());
    for member in project::crate_folders(root)? {
        let wanting = WANTING.iter().find(|(package, _)| member == **package);
        for file in project::files_below(&root.join(&member).join("tests"))? {
            // Files at the top, and folders with a `main.rs`, are test programs.
            let depth = file.components().count();
            let stem = if depth == 2 && file.ends_with("main.rs") {
                file.parent()
            } else {
                Some(file.as_path())
            };
            let is_program = depth == 1
                && file.extension().is_some_and(|extension| extension == "rs")
                || stem != Some(&file);
            let Some(name) = stem.and_then(|stem| stem.file_stem()).filter(|_| is_program) else {
                continue;
            };
            let name = name.to_string_lossy().into_owned();
            let wants = wanting.is_some_and(|(_, prefix)| name.starts_with(prefix));
            if wants { left_out.push(name) } else { run.push(name) }
        }
    }
    // Two packages may have files of the same name: cargo runs both.
    for names in [&mut run, &mut left_out] {
        names.sort();
        names.dedup();
    }
    Ok((run, left_out))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_what_wants_servers_is_left_out() -> Result<()> {
        let root = project::scratch("servers-test")?;
        let members = ["votekit-store", "votekit-node", "votekit-http", "votekit-cli"];
        let members = members.map(|member| format!("\"{member}\"")).join(", ");
        let manifest = format!("members = [{members}, \"tools/checker\"]");
        fs::write(root.join("Cargo.toml"), manifest)?;
        for file in [
            "votekit-store/tests/services_postgres.rs",
            "votekit-store/tests/embedded.rs",
            "votekit-node/tests/support/mod.rs",
            "votekit-http/tests/tls/cert.pem",
            "votekit-cli/tests/services_demo.rs",
            "votekit-cli/tests/serve.rs",
            "votekit-cli/tests/long/main.rs",
            "tools/checker/tests/services_of_others.rs",
        ] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().expect("a file has a folder"))?;
            fs::write(path, "")?;
        }
        let (run, left_out) = test_files(&root)?;
        assert_eq!(run, ["embedded", "long", "serve", "services_of_others"]);
        assert_eq!(left_out, ["services_demo", "services_postgres"]);
        Ok(())
    }
}
