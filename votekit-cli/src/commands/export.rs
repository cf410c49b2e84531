//! `votekit export`: writes results in formats of other systems, and the publication bundle.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use votekit_core::bundle::Writer;
use votekit_core::export;
use votekit_core::log::checkpoint::SignedCheckpoint;
use votekit_core::log::policy::Policy;
use votekit_core::results::Results;
use votekit_messages::InWords as _;

use crate::admin_target;
use crate::atomic_output::{StagedFolder, write_output};
use crate::context::Context;
use crate::error::CommandError;
use crate::log_source::{LogArgs, LogHead, LogSource, fingerprint};
use crate::progress;

/// Export the results or the publication bundle
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Results(ResultsArgs),
    Bundle(BundleArgs),
}

/// Write the results as CSV, JSON or NIST SP 1500-100 JSON
///
/// Only results that the public log has opened are written.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit export results --format csv --data node/ > results.csv
  votekit export results --format nist --node http://127.0.0.1:8080 -o results.nist.json")]
struct ResultsArgs {
    /// Output format
    #[arg(long, value_enum)]
    format: Format,

    /// File to write; standard output when omitted
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A table for spreadsheets
    Csv,
    /// For programs
    Json,
    /// NIST SP 1500-100 version 2, for election reporting systems
    Nist,
}

/// Write the publication bundle: a folder with which anyone can verify the election offline
///
/// The bundle contains the log, its signed checkpoint, the policy, the manifests and the results.
/// Verify it with `votekit verify bundle`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit export bundle publication/ --data node/ --election L2025-001")]
struct BundleArgs {
    /// Folder to create
    folder: PathBuf,

    #[command(flatten)]
    log: LogArgs,
}

/// Summary of a written bundle.
#[derive(Serialize)]
struct BundleReport {
    folder: PathBuf,
    law_id: String,
    state: String,
    leaves: u64,
    files: usize,
    policy_fingerprint: String,
    /// The warning about its outside witnesses.
    #[serde(skip)]
    warning: Option<String>,
}

/// Runs `votekit export`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    match args.action {
        Action::Results(args) => run_results(&args, context),
        Action::Bundle(args) => run_bundle(&args, context),
    }
}

fn run_results(args: &ResultsArgs, context: &Context) -> Result<(), CommandError> {
    let results = read_results(&args.log)?;
    let bytes = match args.format {
        Format::Csv => export::csv::to_csv(&results),
        // As in the bundle: a `certified` leaf states the SHA-256 of this form.
        Format::Json => export::json::to_json(&results.as_certified()),
        Format::Nist => export::nist::to_nist(&results),
    };
    match &args.output {
        Some(path) => write_output(path, &bytes),
        None => context.output.data(&bytes),
    }
}

/// Reads the results that the public log has opened.
pub(crate) fn read_results(log: &LogArgs) -> Result<Results, CommandError> {
    admin_target::run(async {
        let source = LogSource::open(log).await?;
        let mut writer = Writer::new();
        let head = source.read(&mut writer, |_| Ok(())).await?;
        let checkpoint = SignedCheckpoint::parse(&head.checkpoint)
            .map_err(|error| CommandError::verification_failed(error.in_words()))?;
        writer.account().results(checkpoint.unverified().root()).ok_or_else(|| {
            CommandError::bad_input(format!("the results of {} have not been opened", source.law_id))
                .hint("they are opened at the close, or while voting when the election was created with --results live")
        })
    })
}

fn run_bundle(args: &BundleArgs, context: &Context) -> Result<(), CommandError> {
    let report = admin_target::run(write_bundle(&args.folder, &args.log))?;
    context.output.result(&report)?;
    report.warning.iter().for_each(|warning| context.output.warning(warning));
    Ok(())
}

async fn write_bundle(folder: &Path, log: &LogArgs) -> Result<BundleReport, CommandError> {
    let source = LogSource::open(log).await?;
    let staged = StagedFolder::create(folder)?;
    let path = folder.join("leaves.jsonl");
    let failed = |error: io::Error| CommandError::writing(&path, &error);
    let mut leaves = BufWriter::with_capacity(1 << 20, staged.create_file("leaves.jsonl")?);
    let bar = progress::count("reading the log", None);
    let mut writer = Writer::new();
    let head = source
        .read(&mut writer, |line| {
            bar.inc(1);
            leaves.write_all(line).map_err(failed)
        })
        .await?;
    bar.finish_and_clear();
    leaves.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
    let state = writer.account().state().map(|state| state.to_string()).unwrap_or_default();
    let count = writer.account().leaves();
    let warning = witness_warning(&head, writer.account().witness_waiver());
    let files = writer.finish(&head.checkpoint, &head.policy, &head.manifests)?;
    for file in &files {
        staged.write(&file.name, &file.bytes)?;
    }
    staged.commit()?;
    Ok(BundleReport {
        folder: folder.to_owned(),
        law_id: source.law_id.to_string(),
        state,
        leaves: count,
        files: files.len() + 1,
        policy_fingerprint: fingerprint(&head.policy),
        warning,
    })
}

/// The warning if too few outside witnesses have cosigned the head of the log.
fn witness_warning(head: &LogHead, waiver: Option<&str>) -> Option<String> {
    let policy = Policy::parse(&head.policy).ok()?;
    let signed = SignedCheckpoint::parse(&head.checkpoint).ok()?;
    let witnessed = policy.with_witness_lines(&signed, std::iter::empty::<&[u8]>());
    if witnessed.is_witnessed {
        return None;
    }
    let missing: Vec<String> = witnessed.missing.iter().map(ToString::to_string).collect();
    let (quorum, missing) = (policy.witness_quorum(), missing.join(", "));
    Some(match waiver {
        Some(reason) => format!(
            "the result was certified without {quorum} outside witnesses, for this reason: {reason}"
        ),
        None => format!(
            "fewer than {quorum} outside witnesses have cosigned this head, missing: {missing}; \
             `votekit verify` refuses the bundle: export it again once they have cosigned"
        ),
    })
}

impl fmt::Display for BundleReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{}: {} files, {} leaves ({})",
            self.folder.display(),
            self.files,
            self.leaves,
            self.state
        )?;
        writeln!(formatter, "policy fingerprint: {}", self.policy_fingerprint)?;
        writeln!(
            formatter,
            "publish the fingerprint where everyone can see it; verify the bundle with"
        )?;
        writeln!(
            formatter,
            "  votekit verify bundle {} --fingerprint {}",
            self.folder.display(),
            self.policy_fingerprint
        )
    }
}
