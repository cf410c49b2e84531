//! `votekit batch`: shows a stored batch.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use votekit_core::batch::Batch;
use votekit_core::id::{BatchNumber, ElectionId, Epoch, Sequence};
use votekit_messages::InWords as _;

use crate::argument;
use crate::atomic_output::write_output;
use crate::context::Context;
use crate::error::CommandError;
use crate::log_source::{LedgerArgs, choose};

/// Show a stored batch of votes
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Show(ShowArgs),
}

/// Show the number, digest and envelopes of a batch; choices stay sealed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit batch show 3f1c9a0b7e55d2c4/1/7 --data node/
  votekit batch show saved.batch")]
struct ShowArgs {
    /// Number of the batch as in the log, NODE/EPOCH/SEQUENCE, with --data; or a file in the binary
    /// format
    batch: String,

    /// Data folder of a node, running or stopped
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    #[command(flatten)]
    ledger: LedgerArgs,

    /// Election; may be omitted when there is only one
    #[arg(
        long, value_name = "LAW_ID", requires = "data",
        value_parser = argument::parse::<ElectionId>
    )]
    election: Option<ElectionId>,

    /// Write the stored batch to this file, unchanged
    #[arg(short, long, value_name = "FILE", requires = "data")]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    law_id: String,
    node: String,
    epoch: u32,
    sequence: u64,
    confirmed_through: u64,
    last: bool,
    count: usize,
    digest: String,
    envelopes: Vec<EnvelopeRow>,
}

#[derive(Serialize)]
struct EnvelopeRow {
    request: String,
    hash: String,
    minute: String,
}

/// Runs `votekit batch`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let Action::Show(args) = args.action;
    let batch = match &args.data {
        Some(data) => stored(data, &args)?,
        None => {
            let file = PathBuf::from(&args.batch);
            let bytes = fs::read(&file).map_err(|error| CommandError::reading(&file, &error))?;
            Batch::parse(bytes).map_err(|error| {
                CommandError::bad_input(format!("{}: {}", file.display(), error.in_words()))
            })?
        }
    };
    if let Some(path) = &args.output {
        write_output(path, batch.as_bytes())?;
    }
    let (header, number) = (batch.header(), batch.number());
    let rows = batch.envelopes().map(|envelope| EnvelopeRow {
        request: envelope.request.to_hex(),
        hash: envelope.hash.to_hex(),
        minute: envelope.received.to_rfc3339(),
    });
    context.output.result(&Report {
        law_id: header.law_id.to_string(),
        node: number.node.to_hex(),
        epoch: number.epoch.0,
        sequence: number.sequence.0,
        confirmed_through: header.confirmed_through.0,
        last: header.last,
        count: batch.count(),
        digest: batch.digest().to_hex(),
        envelopes: rows.collect(),
    })
}

fn stored(data: &Path, args: &ShowArgs) -> Result<Batch, CommandError> {
    let archive = args.ledger.open(data)?;
    let law_id = choose(&archive, args.election.as_ref())?;
    let number = parse_number(&args.batch).ok_or_else(|| {
        CommandError::usage(format!("'{}' is not a batch number", args.batch)).hint(
            "a batch number is the node, its epoch and the sequence number, such as \
             3f1c9a0b7e55d2c4/1/7",
        )
    })?;
    archive
        .batch(&law_id, number)?
        .ok_or_else(|| CommandError::bad_input(format!("{law_id} has no batch {number}")))
}

fn parse_number(text: &str) -> Option<BatchNumber> {
    let mut parts = text.split('/');
    let node = parts.next()?.parse().ok()?;
    let epoch = Epoch(parts.next()?.parse().ok()?);
    let sequence = Sequence(parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(BatchNumber { node, epoch, sequence })
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = if self.last { ", the last of its epoch" } else { "" };
        writeln!(
            formatter,
            "batch {}/{}/{} of {}{last}",
            self.node, self.epoch, self.sequence, self.law_id
        )?;
        writeln!(formatter, "  confirmed through {}", self.confirmed_through)?;
        writeln!(formatter, "  digest {}", self.digest)?;
        writeln!(formatter, "  {} envelopes, choices sealed", self.count)?;
        for EnvelopeRow { request, hash, minute } in &self.envelopes {
            writeln!(formatter, "  {request} {hash} {minute}")?;
        }
        Ok(())
    }
}
