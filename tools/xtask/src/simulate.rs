//! `cargo xtask simulate`: several authorities under faults, with thousands of seeds.

use anyhow::Result;

use crate::project;

/// Simulate several authorities under faults with 10,000 seeds; the tests run 500.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Options of the example `simulate`, such as `--seeds 500`, `--seed 42` or `--mutations 400`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Runs the example `simulate` of votekit-authority.
///
/// # Errors
/// When a run breaks a rule, or a missing guard is not noticed.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let example = ["run", "--quiet", "--package", "votekit-authority", "--example", "simulate"];
    let mut command = project::cargo(example);
    command.arg("--").args(&arguments.options);
    project::succeed(&mut command)
}
