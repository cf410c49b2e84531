//! Runs the examples of the library and compares the last line of each with the expected one.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::project;

/// The examples of votekit-core for integrators, each with its last line.
const EXAMPLES: [(&str, &str); 4] = [
    ("hash_roll", "4 credentials registered, for 2 laws"),
    ("check_credential", "a wrong code: not registered"),
    ("decide_batch", "5 received, 2 accepted, 1 duplicate, 2 invalid, 0 replayed"),
    ("verify_bundle", "bundle proven, receipt proven"),
];

/// Builds the examples in the configuration of all other checks, and runs them.
pub(crate) fn check() -> Result<()> {
    let mut build = project::cargo(["build", "--workspace"]);
    for (name, _) in EXAMPLES {
        build.args(["--example", name]);
    }
    project::succeed(&mut build)?;
    let folder = project::target_dir()?.join("debug/examples");
    for (name, expected) in EXAMPLES {
        let printed = run(&folder.join(name))?;
        let last = printed.lines().last().unwrap_or_default();
        ensure!(last == expected, "{name} ends with {last:?}, not with {expected:?}:\n{printed}");
    }
    println!("{} examples ran, each to its last line", EXAMPLES.len());
    Ok(())
}

/// Runs a program to its end and returns what it printed.
fn run(program: &Path) -> Result<String> {
    let output = Command::new(program)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("starting {}", program.display()))?;
    ensure!(output.status.success(), "{} failed: {}", program.display(), output.status);
    Ok(String::from_utf8(output.stdout)?)
}
