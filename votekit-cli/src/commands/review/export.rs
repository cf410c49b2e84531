//! `votekit review export`.

use std::path::PathBuf;

use super::case::{Case, Filter};
use crate::atomic_output::write_output;
use crate::context::Context;
use crate::error::CommandError;
use crate::log_source::ArchiveArgs;

/// Export the requests that did not count, with their remarks, as CSV or JSON
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit review export --format csv --data node/ -o review.csv")]
pub(super) struct Args {
    /// Output format
    #[arg(long, value_enum)]
    format: Format,

    /// File to write; standard output when omitted
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    filter: Filter,

    #[command(flatten)]
    source: ArchiveArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A table for spreadsheets, one request per row
    Csv,
    /// For programs
    Json,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let (archive, law_id) = args.source.open()?;
    let cases = args.filter.cases(&archive, &law_id)?;
    let bytes = match args.format {
        Format::Csv => to_csv(&cases),
        Format::Json => {
            serde_json::to_vec_pretty(&cases).map_err(anyhow::Error::from).map(|mut json| {
                json.push(b'\n');
                json
            })
        }
    }?;
    match &args.output {
        Some(path) => write_output(path, &bytes),
        None => context.output.data(&bytes),
    }
}

fn to_csv(cases: &[Case]) -> Result<Vec<u8>, anyhow::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "request_id",
        "status",
        "attempt",
        "reason",
        "minute",
        "batch",
        "leaf_index",
        "remarks",
    ])?;
    for case in cases {
        let remarks: Vec<String> = case
            .remarks
            .iter()
            .map(|remark| format!("{} {}: {}", remark.at, remark.by, remark.text))
            .collect();
        writer.write_record([
            &case.request,
            case.decision,
            &case.attempt.map(|attempt| attempt.to_string()).unwrap_or_default(),
            case.reason.unwrap_or_default(),
            &case.minute,
            &case.batch,
            &case.leaf_index.to_string(),
            &remarks.join("\n"),
        ])?;
    }
    Ok(writer.into_inner()?)
}
