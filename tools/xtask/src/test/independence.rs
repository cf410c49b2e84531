//! Verifies that the checker shares no code with votekit.

use anyhow::{Result, ensure};

use crate::project;

const CHECKER: &str = "votekit-checker";

/// Fails when the checker links any other crate of the project.
pub(crate) fn check_tree() -> Result<()> {
    let mut command = project::cargo([
        "tree",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--package",
        CHECKER,
    ]);
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{} failed: {}", project::words(&command), output.status);
    let tree = String::from_utf8(output.stdout)?;
    let own = own_crates(&tree);
    ensure!(tree.lines().any(|line| line.starts_with(CHECKER)), "cargo tree listed nothing");
    ensure!(own.is_empty(), "the checker links code of the project: {}", own.join(", "));
    println!("the checker links no other crate of the project");
    Ok(())
}

/// Crates in `cargo tree` output with a path, hence of this project, except the checker. Crates
/// from a registry have no path.
fn own_crates(tree: &str) -> Vec<&str> {
    tree.lines().filter(|line| line.contains(" (/") && !line.starts_with(CHECKER)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_of_the_project_are_found_by_their_path() {
        let tree = "votekit-checker v0.1.0 (/w/checker)\nsha2 v0.11.0\nvotekit-core v0.1.0 (/w/votekit-core)\nserde v1.0.0 (*)\n";
        assert_eq!(own_crates(tree), ["votekit-core v0.1.0 (/w/votekit-core)"]);
    }
}
