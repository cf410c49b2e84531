//! `votekit review`: shows reviewers the requests that did not count, and keeps their remarks.

mod annotate;
mod case;
mod export;
mod list;
mod receipt;
mod show;

use std::path::PathBuf;

use votekit_core::id::ElectionId;
use votekit_node::archive::Archive;

use crate::context::Context;
use crate::error::CommandError;
use crate::log_source::{LedgerArgs, choose};

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

/// Source of the log
#[derive(Debug, clap::Args)]
struct SourceArgs {
    /// Data folder of a node, running or stopped
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    #[command(flatten)]
    ledger: LedgerArgs,

    /// Election; may be omitted when there is only one
    #[arg(long, value_name = "LAW_ID")]
    election: Option<ElectionId>,
}

impl SourceArgs {
    fn open(&self) -> Result<(Archive, ElectionId), CommandError> {
        let archive = self.ledger.open(&self.data)?;
        let law_id = choose(&archive, self.election.as_ref())?;
        Ok((archive, law_id))
    }
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
