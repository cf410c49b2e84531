//! `votekit pepper`.

use crate::context::Context;
use crate::error::CommandError;

/// Make and name peppers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args, _context: &Context) -> Result<(), CommandError> {
    Err(CommandError::internal("being written"))
}
