//! `votekit roll`.

use crate::context::Context;
use crate::error::CommandError;

/// Make sample rolls
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args, _context: &Context) -> Result<(), CommandError> {
    Err(CommandError::internal("being written"))
}
