//! `votekit authority renew`.

use std::path::PathBuf;

use votekit_node::data_folder::DataFolder;

use super::NewKeys;
use crate::context::Context;
use crate::error::CommandError;

/// Give an authority new keys and an empty memory
///
/// For an authority whose memory was lost or restored from a copy, or whose keys may be known to
/// others. The node must be stopped. The old keys and the old memory are kept in
/// DATA/retired-TIME/; keep them, and never restore them.
///
/// The logs of elections that exist already name the old keys: this authority signs nothing more
/// for them, and they continue only while the others are a quorum. New elections need a new file of
/// the authorities (`votekit policy make`) on every machine. Run an interrupted renewal again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit authority renew --data node/")]
pub(super) struct Args {
    /// Data folder of the authority, whose node is stopped
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let (folder, retired) = DataFolder::renew_authority(&args.data)?;
    let has_file = folder.authorities_path().exists();
    let keys = NewKeys::read(&folder, &args.data, Some(retired.clone()))?;
    context.output.note(format_args!(
        "the old keys and the old memory are in {}: keep them, and never restore them",
        retired.display()
    ));
    context.output.note(
        "elections drafted before this cannot be signed by this authority any more: their logs \
         name the old keys",
    );
    if has_file {
        context.output.note(format_args!(
            "{} names the old keys: the node does not start before a new file, with this line, is \
             installed on every machine",
            folder.authorities_path().display()
        ));
    }
    context.output.result(&keys)
}
