//! `votekit demo`: a whole referendum, from the roll to the verified result, with the commands that real people would give.

mod ballots;
mod steps;

use std::path::PathBuf;

use crate::context::Context;
use crate::error::CommandError;

/// Hold a small referendum from roll to verified result, and show each step
///
/// Everything is real: the roll is hashed under a pepper, a node is started, votes of every kind are cast over HTTP (valid, blank, duplicate, unknown, revoked, malformed,
/// and one repeated with its key), the poll is closed and reconciled, the stored votes are recounted by other code, and the publication bundle and one receipt are verified with the
/// pinned policy.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit demo
  votekit demo --electors 10000 --dir votekit-demo --keep")]
pub(crate) struct Args {
    /// Electors on the sample roll
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(20..=10_000_000))]
    electors: u32,

    /// The folder for all files; it must be new or empty
    #[arg(long, value_name = "DIR", default_value = "votekit-demo")]
    dir: PathBuf,

    /// Go on serving when the demo is done, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// Runs the demo.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    steps::run(&args, context)
}
