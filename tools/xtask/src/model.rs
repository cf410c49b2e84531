//! `cargo xtask model`: the rounds of several authorities in every order of steps, in all scopes,
//! and with each guard left out.

use anyhow::Result;

use crate::project;

/// Explore the model of the rounds in all scopes; the tests run the small ones.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only scopes and left-out guards whose name contains this word.
    word: Option<String>,
}

/// Runs the example `model` of votekit-authority.
///
/// # Errors
/// When a scope is not clean, or the absence of a guard breaks nothing.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let example = ["run", "--quiet", "--package", "votekit-authority", "--example", "model"];
    let mut command = project::cargo(example);
    command.arg("--").args(&arguments.word);
    project::succeed(&mut command)
}
