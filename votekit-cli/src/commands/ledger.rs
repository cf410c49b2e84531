//! `votekit ledger`: repairs the ledger of several authorities.

use std::fmt;
use std::fs;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use votekit_core::id::ElectionId;
use votekit_messages::InWords as _;
use votekit_node::data_folder::DataFolder;
use votekit_node::log_repair::{Discard, RepairError, own_certificate};
use votekit_store::Ledger;
use votekit_store::embedded::EmbeddedLedger;

use crate::admin_target;
use crate::argument;
use crate::context::Context;
use crate::error::CommandError;
#[cfg(feature = "services")]
use crate::log_source::LedgerArgs;

/// Repair the ledger of several authorities
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    DiscardAbove(DiscardAboveArgs),
}

/// Discard the blocks of a log above a block that a quorum has certified
///
/// For an election that every authority has halted because the head of its log in the ledger does
/// not verify. The certificate is that of the last block that the authority of the data folder
/// knows, whose node is stopped; or a file with the checkpoint that a node serves at
/// /log/LAW_ID/checkpoint. It must carry the signatures of a quorum, and the leaves in the ledger
/// must have its root; a head that verifies is never discarded. The rows are written to a file
/// first. Then start the authorities again: they append the blocks above it that they have
/// certified.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit ledger discard-above L2025-001 --keep bad-rows.jsonl --data node/ \\
    --ledger 'postgres://votekit@postgres/votekit?password_file=postgres.password'
  votekit ledger discard-above L2025-001 --keep bad-rows.jsonl --data node/ --checkpoint head")]
struct DiscardAboveArgs {
    /// Election
    #[arg(value_parser = argument::parse::<ElectionId>)]
    law_id: ElectionId,

    /// Data folder of an authority, with the file of all authorities
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    #[cfg(feature = "services")]
    #[command(flatten)]
    ledger: LedgerArgs,

    /// Checkpoint that remains the head, certified by a quorum
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,

    /// New file for the discarded rows, one JSON object a line
    #[arg(long, value_name = "FILE")]
    keep: PathBuf,
}

#[derive(Serialize)]
struct Report {
    law_id: String,
    height: u64,
    size: u64,
    fault: String,
    rows: usize,
    kept: String,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { law_id, height, size, fault, rows, kept } = self;
        writeln!(formatter, "the head of {law_id} did not verify: {fault}")?;
        writeln!(formatter, "its log ends with block {height} again, at {size} leaves")?;
        writeln!(formatter, "{rows} rows are kept in {kept}")?;
        formatter.write_str("start the nodes of all authorities again")
    }
}

/// Runs `votekit ledger`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let Action::DiscardAbove(args) = args.action;
    let folder = DataFolder::peek(&args.data)?;
    let set = folder.authorities()?.ok_or_else(|| {
        CommandError::bad_input(format!("{} has no file authorities", args.data.display()))
            .hint("the log of a single authority is restored from a back-up of the ledger")
    })?;
    let checkpoint = certificate(&args, &folder)?;
    let report = admin_target::run(async {
        let ledger = open(&args).await?;
        let discard = Discard::plan(&*ledger, &set, &args.law_id, &checkpoint).await?;
        write_rows(&args, &discard).map_err(|error| CommandError::writing(&args.keep, &error))?;
        discard.execute(&*ledger).await?;
        Ok(Report {
            law_id: args.law_id.to_string(),
            height: discard.height(),
            size: discard.size(),
            fault: discard.fault().in_words(),
            rows: discard.rows().len(),
            kept: args.keep.display().to_string(),
        })
    })?;
    context.output.result(&report)
}

/// The checkpoint that remains the head.
fn certificate(args: &DiscardAboveArgs, folder: &DataFolder) -> Result<Vec<u8>, CommandError> {
    if let Some(path) = &args.checkpoint {
        return fs::read(path).map_err(|error| CommandError::reading(path, &error));
    }
    let known = own_certificate(folder, &args.law_id).map_err(|error| {
        CommandError::from(RepairError::from(error))
            .hint("stop the node of this authority, or give --checkpoint FILE")
    })?;
    known.ok_or_else(|| {
        CommandError::bad_input(format!(
            "this authority knows no certified block of {}",
            args.law_id
        ))
        .hint("use the data folder of another authority, or give --checkpoint FILE")
    })
}

async fn open(args: &DiscardAboveArgs) -> Result<Arc<dyn Ledger>, CommandError> {
    #[cfg(feature = "services")]
    if let Some(address) = args.ledger.address()? {
        let ledger = votekit_store::services::postgres::PostgresLedger::open(&address).await?;
        return Ok(Arc::new(ledger));
    }
    let path: &Path = &args.data;
    if !path.join("ledger.sqlite").exists() {
        return Err(CommandError::usage(format!("{} holds no ledger", path.display()))
            .hint("give the ledger of the authorities with --ledger URL"));
    }
    let ledger = EmbeddedLedger::open(path).map_err(|error| {
        CommandError::from(error).hint("if a node is running on the data folder, stop it first")
    })?;
    Ok(Arc::new(ledger))
}

/// Writes the rows to a new file, durably: nothing is discarded that is in no file.
fn write_rows(args: &DiscardAboveArgs, discard: &Discard) -> io::Result<()> {
    let mut text = Vec::new();
    let first = json!({
        "law_id": args.law_id.as_str(),
        "kept_height": discard.height(),
        "kept_size": discard.size(),
        "fault": discard.fault().in_words(),
    });
    writeln!(text, "{first}")?;
    for row in discard.rows() {
        let columns: Value = serde_json::from_str(&row.columns)?;
        writeln!(text, "{}", json!({ "table": row.table, "columns": columns }))?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.keep)?;
    file.write_all(&text)?;
    file.sync_all()
}

impl From<RepairError> for CommandError {
    fn from(error: RepairError) -> Self {
        let text = error.in_words();
        match error {
            RepairError::Engine(error) => error.into(),
            RepairError::Memory(error) => Self::configuration(text).hint_if(error.hint()),
            RepairError::NotCertified { .. } => Self::verification_failed(text)
                .hint("give the checkpoint as a node serves it, and the file of these authorities"),
            RepairError::NotHeld { .. } => Self::bad_input(text)
                .hint("restore the ledger from a back-up: the authorities append what it lacks"),
            RepairError::NewerCertified { .. } => Self::bad_input(text)
                .hint("use the data folder or the checkpoint of an authority that knows it"),
            RepairError::Changed { .. } => {
                Self::configuration(text).hint("nothing was discarded; try again with another file")
            }
            _ => Self::bad_input(text),
        }
    }
}
