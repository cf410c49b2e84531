//! `votekit review`: shows reviewers the requests that did not count, and keeps their remarks.

mod case;
mod annotate;
mod export;
mod list;
mod receipt;
mod show;

use crate::context::Context;
use crate::error::CommandError;

/// Review duplicate and invalid votes, as recorded in the log
///
/// The log has decided once what counts; a review changes no decision. Nothing here shows a choice
/// or names an elector.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    List(list::Args),
    Show(show::Args),
    Annotate(annotate::Args),
    Export(export::Args),
}

/// Runs `votekit review`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    match args.action {
        Action::List(args) => list::run(&args, context),
        Action::Show(args) => show::run(&args, context),
        Action::Annotate(args) => annotate::run(&args, context),
        Action::Export(args) => export::run(&args, context),
    }
}
