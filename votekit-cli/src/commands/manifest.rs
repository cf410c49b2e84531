//! `votekit manifest`.

use crate::context::Context;
use crate::error::CommandError;

/// Sign and verify manifests
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args, _context: &Context) -> Result<(), CommandError> {
    Err(CommandError::internal("being written"))
}
