//! `votekit policy`: the file of all authorities, and the policies that follow from it.

mod make;
mod show;

use crate::context::Context;
use crate::error::CommandError;

/// Make the file of the authorities, and show the policy of an election that follows from it
///
/// The file has the public keys of all authorities and their quorum. Every machine of the
/// installation has the same bytes in DATA/authorities, installed by hand: compare the fingerprint.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Make(make::Args),
    Show(show::Args),
}

/// Hint on where a line comes from.
const LINE_HINT: &str = "`votekit authority show --data DIR` prints the line of an authority";

/// Runs `votekit policy`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    match args.action {
        Action::Make(args) => make::run(args, context),
        Action::Show(args) => show::run(&args, context),
    }
}
