//! `votekit cast`: casts one vote from a prompt, or many from a file.

mod many;
mod one;

use std::path::PathBuf;

use votekit_core::id::ElectionId;

use crate::admin_target;
use crate::argument;
use crate::client::Client;
use crate::context::Context;
use crate::error::CommandError;

/// Cast one vote, or many from a file
///
/// NAS and access code are prompted for, or read from standard input, one per line; they are never
/// given on the command line, where others could see them.
///
/// With --from, each row of a CSV file is cast, and its outcome is written as a row of the outcome
/// file: accepted, duplicate, invalid, refused, or no-answer when the node could not be reached.
/// The file follows the rules of a roll and is checked completely first: if any row is bad, nothing
/// is cast. The exit code is 0 when every vote was answered, even if some votes do not count.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit cast --node http://127.0.0.1:8080 --law L2025-001
  votekit cast --node http://127.0.0.1:8080 --from votes.csv -o outcomes.csv

The columns of the file are nas, code, law_id and vote, in any order. The outcome file holds no NAS and no code.")]
pub(crate) struct Args {
    /// Public address of a node, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    node: String,

    /// Law to vote on; prompted for when omitted
    #[arg(
        long, value_name = "LAW_ID", conflicts_with = "from",
        value_parser = argument::parse::<ElectionId>
    )]
    law: Option<ElectionId>,

    /// Write the receipt of the vote to this file, for `votekit verify receipt`
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    receipt: Option<PathBuf>,

    /// Cast every row of this CSV file
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// File for the outcomes of --from; standard output when omitted
    #[arg(short, long, value_name = "FILE", requires = "from")]
    output: Option<PathBuf>,

    /// Maximum number of votes in flight, with --from
    #[arg(long, value_name = "N", default_value_t = 32, requires = "from", value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,

    /// Seconds to wait for the decision on each vote
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=30))]
    wait: u64,
}

/// Runs `votekit cast`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let client = Client::new(&args.node)?.for_secrets()?;
    admin_target::run(async {
        match &args.from {
            Some(from) => {
                many::run(
                    client,
                    from,
                    args.output.as_deref(),
                    args.concurrency,
                    args.wait,
                    context,
                )
                .await
            }
            None => one::run(&client, args.law, args.receipt.as_deref(), args.wait, context).await,
        }
    })
}
