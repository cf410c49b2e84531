//! `votekit batch`: shows a stored batch.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use serde::Serialize;
use votekit_core::batch::Batch;

use crate::context::Context;
use crate::error::CommandError;

/// Show a batch of sealed votes
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Show(ShowArgs),
}

/// Show what a batch file says: its number, its digest, its envelopes. Choices stay sealed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit batch show 00000007.batch")]
struct ShowArgs {
    /// The file, in the binary format of docs/formats.md, section 5
    file: PathBuf,
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
    received_unix_ms: u64,
}

/// Shows a batch.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let Action::Show(ShowArgs { file }) = args.action;
    let bytes = fs::read(&file).map_err(|error| CommandError::reading(&file, &error))?;
    let batch = Batch::parse(bytes).map_err(|error| CommandError::bad_input(format!("{}: {error}", file.display())))?;
    let (header, number) = (batch.header(), batch.number());
    let rows = batch.envelopes().map(|envelope| EnvelopeRow {
        request: envelope.request.to_hex(),
        hash: envelope.hash.to_hex(),
        received_unix_ms: envelope.received.0,
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

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = if self.last { ", the last of its epoch" } else { "" };
        writeln!(formatter, "batch {}/{}/{} of {}{last}", self.node, self.epoch, self.sequence, self.law_id)?;
        writeln!(formatter, "  confirmed through {}", self.confirmed_through)?;
        writeln!(formatter, "  digest {}", self.digest)?;
        writeln!(formatter, "  {} envelopes, choices sealed", self.count)?;
        for EnvelopeRow { request, hash, received_unix_ms } in &self.envelopes {
            writeln!(formatter, "  {request} {hash} {received_unix_ms}")?;
        }
        Ok(())
    }
}
