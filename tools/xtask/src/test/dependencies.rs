//! The officials' offline binary: `votekit` without the feature `node`, without any network code.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::project;

/// Selects the offline binary in the workspace.
pub(crate) const PACKAGE: [&str; 3] = ["--package", "votekit-cli", "--no-default-features"];

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
pub(crate) fn check_tree() -> Result<()> {
    let mut command =
        project::cargo(["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    let output = command.args(PACKAGE).stderr(std::process::Stdio::inherit()).output()?;
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
    fn network_crates_are_found_by_whole_name() {
        let tree = "votekit-cli v0.1.0 (/somewhere)\nserde v1.0.0\nserde v1.0.0 (*)\ntokio-like v1.0.0\nmio v1.2.3\n";
        assert_eq!(crates(tree), (4, vec!["mio"]));
    }
}
