//! `votekit cast`: casts one vote from a prompt, or many from a file.

mod many;
mod one;

use std::path::PathBuf;

use votekit_core::id::ElectionId;

use crate::client::Client;
use crate::context::Context;
use crate::error::CommandError;
use crate::office;

/// Cast one vote, or many from a file
///
/// NAS and access code are asked for at the prompt, or read from standard input, a line each; they
/// are never given on the command line, where others could see them. With --from each row of a CSV
/// file is cast, and what became of it written to a row of the outcome file (accepted, duplicate,
/// invalid, refused, or no-answer when the node could not be reached). The file is read by the
/// rules of a roll, and checked whole first: while a row is bad, nothing is cast. The exit code is
/// 0 when every vote was answered, whatever the decision: a vote that does not count was cast all
/// the same.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit cast --node http://127.0.0.1:8080 --law L2025-001
  votekit cast --node http://127.0.0.1:8080 --from votes.csv -o outcomes.csv

The columns of the file are nas, code, law_id and vote, in any order. The outcome file holds no NAS and no code.")]
pub(crate) struct Args {
    /// The public address of a node, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    node: String,

    /// The law to vote on; asked for when left out
    #[arg(long, value_name = "LAW_ID", conflicts_with = "from")]
    law: Option<ElectionId>,

    /// Where to write the receipt of the one vote, for `votekit verify receipt`
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    receipt: Option<PathBuf>,

    /// Cast every row of this CSV file
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// Where to write the outcomes of --from; standard output when left out
    #[arg(short, long, value_name = "FILE", requires = "from")]
    output: Option<PathBuf>,

    /// Votes on their way at the same time, with --from
    #[arg(long, value_name = "N", default_value_t = 32, requires = "from", value_parser = clap::value_parser!(u16).range(1..=1024))]
    at_once: u16,

    /// How long to wait for the decision on each vote, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=30))]
    wait: u64,
}

/// Casts.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let client = Client::new(&args.node)?.for_secrets()?;
    office::run(async {
        match &args.from {
            Some(from) => {
                many::run(client, from, args.output.as_deref(), args.at_once, args.wait, context)
                    .await
            }
            None => one::run(&client, args.law, args.receipt.as_deref(), args.wait, context).await,
        }
    })
}
