//! `votekit hashgen`.

use crate::context::Context;
use crate::error::CommandError;

/// Turn an electoral roll into hashes, on an offline machine
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args, _context: &Context) -> Result<(), CommandError> {
    Err(CommandError::internal("being written"))
}
