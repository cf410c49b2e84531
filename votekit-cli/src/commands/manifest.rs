//! `votekit manifest`: officials sign the manifest of a hashed roll; anyone verifies the folder.

mod key;
mod verify;
mod sign;

use crate::context::Context;
use crate::error::CommandError;

/// Sign the manifest of a hashed roll, and verify that nothing in its folder was changed
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Keygen(key::Args),
    Sign(sign::Args),
    Verify(verify::Args),
}

/// Runs `votekit manifest`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    match args.action {
        Action::Keygen(args) => key::run(args, context),
        Action::Sign(args) => sign::run(args, context),
        Action::Verify(args) => verify::run(args, context),
    }
}
