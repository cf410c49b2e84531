//! `votekit results`: shows the results that may be seen.

use std::fmt;

use serde::Serialize;
use votekit_core::export::json::Document;
use votekit_core::results::Results;

use crate::commands::export::read_results;
use crate::context::Context;
use crate::error::CommandError;
use crate::log_source::LogArgs;
use crate::output::plain;

/// Show the results of an election, as far as its log has opened them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit results --node http://127.0.0.1:8080
  votekit results --data node/ --election L2025-001 --json")]
pub(crate) struct Args {
    #[command(flatten)]
    log: LogArgs,
}

struct Table(Results);

/// Runs `votekit results`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    context.output.result(&Table(read_results(&args.log)?))
}

impl Serialize for Table {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Document::new(&self.0).serialize(serializer)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let results = &self.0;
        let title = &results.definition.title;
        writeln!(
            formatter,
            "{}: {} / {} ({})",
            results.law_id(),
            plain(&title.fr),
            plain(&title.en),
            results.state
        )?;
        for (choice, count) in results.definition.choices.iter().zip(&results.counts.choices) {
            writeln!(formatter, "  {:<24} {count:>10}", choice.id.as_str())?;
        }
        if results.counts.spoiled > 0 {
            writeln!(formatter, "  {:<24} {:>10}", "(spoiled)", results.counts.spoiled)?;
        }
        writeln!(formatter, "  {:<24} {:>10}", "total", results.counts.total())?;
        let (turnout, registered) = (results.turnout_percent(), results.registered);
        writeln!(formatter, "  turnout {turnout} % of {registered} registered")?;
        // Before the close the results omit the latest votes, while turnout includes them.
        let (shown, accepted) = (results.counts.total(), results.report.accepted);
        if shown < accepted {
            writeln!(
                formatter,
                "  {accepted} votes are accepted, of which the results show {shown}"
            )?;
        }
        Ok(())
    }
}
