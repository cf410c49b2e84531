//! `votekit man`: writes the man pages. Hidden, since only the project's own checks call it.

use std::path::PathBuf;

use crate::error::CommandError;

/// Write the man pages into a folder, one per command
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder for the pages; created if missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes `votekit.1`, `votekit-roll.1`, `votekit-roll-sample.1` and so on.
pub(crate) fn run(args: Args, tree: clap::Command) -> Result<(), CommandError> {
    std::fs::create_dir_all(&args.out)
        .and_then(|()| clap_mangen::generate_to(tree, &args.out))
        .map_err(|error| CommandError::writing(&args.out, &error))
}
