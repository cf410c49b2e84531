//! `votekit review list`.

use std::fmt;

use serde::Serialize;

use super::case::{Case, Filter};
use crate::context::Context;
use crate::error::CommandError;
use crate::log_source::ArchiveArgs;

/// List the requests that did not count, in log order
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit review list --data node/
  votekit review list --decision invalid --reason unknown --unmarked --data node/ --json")]
pub(super) struct Args {
    #[command(flatten)]
    filter: Filter,

    #[command(flatten)]
    source: ArchiveArgs,
}

#[derive(Serialize)]
#[serde(transparent)]
struct List(Vec<Case>);

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let (archive, law_id) = args.source.open()?;
    context.output.result(&List(args.filter.cases(&archive, &law_id)?))
}

impl fmt::Display for List {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.0 {
            let detail = match (case.attempt, case.reason) {
                (Some(attempt), _) => format!("attempt {attempt}"),
                (None, reason) => reason.unwrap_or_default().to_owned(),
            };
            let remarks = if case.remarks.is_empty() {
                String::new()
            } else {
                format!("  remarks: {}", case.remarks.len())
            };
            writeln!(
                formatter,
                "{}  {}  {:<9}  {detail:<10}  batch {}{remarks}",
                case.minute, case.request, case.decision, case.batch
            )?;
        }
        writeln!(formatter, "{} requests", self.0.len())
    }
}
