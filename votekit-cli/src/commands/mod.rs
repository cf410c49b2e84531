//! One file a verb, each with its `Args` and its `run`.

pub(crate) mod completions;
pub(crate) mod hashgen;
#[cfg(feature = "loadtest")]
pub(crate) mod loadtest;
pub(crate) mod man;
pub(crate) mod manifest;
pub(crate) mod pepper;
pub(crate) mod recount;
pub(crate) mod roll;
pub(crate) mod verify;

use crate::cli::Command;
use crate::context::Context;
use crate::error::CommandError;

/// Runs one verb.
///
/// # Errors
/// What the verb failed with.
pub(crate) fn run(command: Command, context: &Context) -> Result<(), CommandError> {
    match command {
        Command::Roll(args) => roll::run(args, context),
        Command::Hashgen(args) => hashgen::run(args, context),
        Command::Pepper(args) => pepper::run(args, context),
        Command::Manifest(args) => manifest::run(args, context),
        Command::Verify(args) => verify::run(args, context),
        Command::Recount(args) => recount::run(args, context),
        #[cfg(feature = "loadtest")]
        Command::Loadtest(args) => loadtest::run(args, context),
        Command::Completions(args) => completions::run(args, context),
        Command::Man(args) => man::run(args, context),
    }
}
