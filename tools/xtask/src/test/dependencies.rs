//! Checks which crates programs link: checker and witness link no code of votekit, the officials'
//! offline binary no network code.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::project;

/// Programs that share no code with what they test.
const INDEPENDENT: [&str; 2] = ["votekit-checker", "votekit-witness-test"];

/// Fails if an independent program links any other crate of the project.
pub(crate) fn check_independent() -> Result<()> {
    for package in INDEPENDENT {
        let mut command = project::cargo(["tree", "--edges", "normal,build", "--prefix", "none"]);
        command.args(["--format", "{p}", "--package", package]);
        let output = command.stderr(std::process::Stdio::inherit()).output()?;
        ensure!(output.status.success(), "{} failed: {}", project::words(&command), output.status);
        let tree = String::from_utf8(output.stdout)?;
        let own = own_crates(&tree, package);
        ensure!(tree.lines().any(|line| line.starts_with(package)), "cargo tree listed nothing");
        ensure!(own.is_empty(), "{package} links code of the project: {}", own.join(", "));
        println!("{package} links no other crate of the project");
    }
    Ok(())
}

/// Crates in `cargo tree` output with a path, hence of this project, except the package itself.
/// Crates from a registry have no path.
fn own_crates<'a>(tree: &'a str, package: &str) -> Vec<&'a str> {
    tree.lines().filter(|line| line.contains(" (/") && !line.starts_with(package)).collect()
}

/// Selects the officials' offline binary in the workspace: `votekit` without the feature `node`.
pub(crate) const OFFLINE_PACKAGE: [&str; 3] = ["--package", "votekit-cli", "--no-default-features"];

/// Crates that open sockets or speak a network protocol.
const NETWORK_CRATES: [&str; 19] = [
    "async-io",
    "async-std",
    "axum",
    "goose",
    "h2",
    "hyper",
    "lapin",
    "mio",
    "native-tls",
    "quinn",
    "redis",
    "reqwest",
    "rustls",
    "socket2",
    "tokio",
    "ureq",
    "votekit-http",
    "votekit-node",
    "votekit-store",
];

/// Fails when the offline binary links a crate that can use a network.
pub(crate) fn check_offline() -> Result<()> {
    let mut command =
        project::cargo(["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    let output = command.args(OFFLINE_PACKAGE).stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{} failed: {}", project::words(&command), output.status);
    let tree = String::from_utf8(output.stdout)?;
    let (linked, forbidden) = crates(&tree);
    ensure!(linked > 1, "cargo tree listed nothing");
    ensure!(
        forbidden.is_empty(),
        "the offline binary links network code: {}",
        forbidden.join(", ")
    );
    println!("{linked} crates linked, none of them reaches a network");
    Ok(())
}

/// The number of crates in `cargo tree` output, and those among them that can use a network.
fn crates(tree: &str) -> (usize, Vec<&str>) {
    let linked: BTreeSet<&str> =
        tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let forbidden = linked.iter().copied().filter(|name| NETWORK_CRATES.contains(name)).collect();
    (linked.len(), forbidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_of_the_project_are_found_by_their_path() {
        let tree = "votekit-checker v0.1.0 (/w/checker)\nsha2 v0.11.0\nvotekit-core v0.1.0 (/w/votekit-core)\nserde v1.0.0 (*)\n";
        assert_eq!(own_crates(tree, "votekit-checker"), ["votekit-core v0.1.0 (/w/votekit-core)"]);
    }

    #[test]
    fn network_crates_are_found_by_whole_name() {
        let tree = "votekit-cli v0.1.0 (/somewhere)\nserde v1.0.0\nserde v1.0.0 (*)\ntokio-like v1.0.0\nmio v1.2.3\n";
        assert_eq!(crates(tree), (4, vec!["mio"]));
    }
}
