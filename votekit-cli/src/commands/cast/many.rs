//! Casts the votes of a CSV file, which is checked completely before the first is cast. Writes one
//! outcome per row, without NAS or code.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use votekit_core::roll::{RollRules, Table, read_table};
use zeroize::Zeroizing;

use crate::atomic_output::{Secrecy, StagedFile};
use crate::ballot_call::{self, Ballot};
use crate::client::Client;
use crate::context::Context;
use crate::error::CommandError;
use crate::output::plain;
use crate::progress;
use crate::table_error::{self, BadRows};

/// A row of the file, as sent.
struct Row {
    line: u64,
    nas: Zeroizing<String>,
    code: Zeroizing<String>,
    law_id: String,
    vote: Zeroizing<String>,
}

/// Outcome of a row that got no complete answer: its vote may or may not be stored.
const NO_ANSWER: &str = "no-answer";

/// Outcome of one row.
#[derive(Debug, Clone, Serialize)]
struct Outcome {
    line: u64,
    outcome: String,
    detail: String,
    request_id: String,
}

#[derive(Serialize)]
struct Report {
    rows: u64,
    outcomes: BTreeMap<String, u64>,
    output: Option<PathBuf>,
}

pub(super) async fn run(
    client: Client,
    from: &Path,
    output: Option<&Path>,
    concurrency: u16,
    wait_seconds: u64,
    context: &Context,
) -> Result<(), CommandError> {
    let rows = read(from)?;
    let bar = progress::count("casting", Some(rows.len() as u64));
    let client = Arc::new(client);
    let permits = Arc::new(Semaphore::new(usize::from(concurrency)));
    let mut casting = JoinSet::new();
    let mut outcomes = Vec::with_capacity(rows.len());
    for row in rows {
        let permit = Arc::clone(&permits).acquire_owned().await;
        let client = Arc::clone(&client);
        casting.spawn(async move {
            let outcome = cast(&client, &row, wait_seconds).await;
            drop(permit);
            outcome
        });
        while let Some(done) = casting.try_join_next() {
            outcomes.push(joined(done)?);
            bar.inc(1);
        }
    }
    while let Some(done) = casting.join_next().await {
        outcomes.push(joined(done)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    outcomes.sort_by_key(|outcome| outcome.line);
    write(&outcomes, output, context)?;
    let mut counted = BTreeMap::new();
    for outcome in &outcomes {
        *counted.entry(outcome.outcome.clone()).or_insert(0) += 1;
    }
    let report = Report {
        rows: outcomes.len() as u64,
        outcomes: counted,
        output: output.map(Path::to_owned),
    };
    match output {
        Some(_) => context.output.result(&report)?,
        None => context.output.note(report),
    }
    all_answered(&outcomes)
}

/// Fails if any row got no answer; the outcome file is already written.
fn all_answered(outcomes: &[Outcome]) -> Result<(), CommandError> {
    let mut unanswered = outcomes.iter().filter(|outcome| outcome.outcome == NO_ANSWER);
    let Some(first) = unanswered.next() else { return Ok(()) };
    let (count, rows) = (1 + unanswered.count(), outcomes.len());
    Err(CommandError::configuration(format!(
        "{count} of {rows} votes got no answer: {}",
        first.detail
    ))
    .hint(
        "cast those rows again when the node answers: a vote that already arrived still counts \
         once",
    ))
}

fn joined(
    done: Result<Result<Outcome, CommandError>, tokio::task::JoinError>,
) -> Result<Outcome, CommandError> {
    done.map_err(|error| CommandError::internal(format!("a vote was not cast: {error}")))?
}

async fn cast(client: &Client, row: &Row, wait_seconds: u64) -> Result<Outcome, CommandError> {
    let ballot = Ballot { nas: &row.nas, code: &row.code, law_id: &row.law_id, vote: &row.vote };
    let line = row.line;
    let answer =
        match ballot_call::cast(client, &ballot, &ballot_call::fresh_key()?, wait_seconds).await {
            Ok(answer) => answer,
            // A failed call must not lose the outcomes of the other rows.
            Err(error) => {
                return Ok(Outcome {
                    line,
                    outcome: NO_ANSWER.to_owned(),
                    detail: error.message,
                    request_id: String::new(),
                });
            }
        };
    Ok(match answer {
        Ok(answer) => Outcome {
            line,
            detail: match (&answer.reason, answer.attempt_count) {
                (Some(reason), _) => plain(reason),
                (None, Some(attempt)) => format!("attempt {attempt}"),
                (None, None) => String::new(),
            },
            outcome: plain(&answer.status),
            request_id: plain(&answer.request_id),
        },
        Err(refused) => {
            let problem = refused.problem();
            let fields: Vec<String> = problem
                .errors
                .iter()
                .map(|error| format!("{}: {}", error.field, error.rule))
                .collect();
            let detail = if fields.is_empty() {
                problem.code
            } else {
                format!("{} ({})", problem.code, fields.join("; "))
            };
            Outcome {
                line,
                outcome: "refused".to_owned(),
                detail: plain(&detail),
                request_id: plain(&problem.request_id.unwrap_or_default()),
            }
        }
    })
}

/// Reads the whole file by the rules of a roll. Fails if any row is bad, so that nothing is cast.
fn read(path: &Path) -> Result<Vec<Row>, CommandError> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| CommandError::reading(path, &error))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(CommandError::bad_input(format!("cannot read {name}: it is a folder")));
    }
    let mut rows = Vec::new();
    let secret = |text: &[u8]| Zeroizing::new(String::from_utf8_lossy(text).into_owned());
    let faults = read_table(file, Table::Votes, &RollRules::default(), |row| {
        rows.push(Row {
            line: row.line,
            nas: secret(row.nas.as_bytes()),
            code: secret(row.code.as_bytes()),
            law_id: row.law_id.to_owned(),
            vote: Zeroizing::new(row.vote.to_owned()),
        });
    })
    .map_err(|error| table_error::unreadable(&name, &error))?;
    let (files, hint) = ([(name.as_str(), faults.as_slice())], "correct these rows");
    BadRows { files: &files, outcome: "nothing was cast", hint }.refuse()?;
    if rows.is_empty() {
        return Err(CommandError::bad_input(format!("{name}: the file has a header but no row")));
    }
    Ok(rows)
}

fn write(
    outcomes: &[Outcome],
    output: Option<&Path>,
    context: &Context,
) -> Result<(), CommandError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for outcome in outcomes {
        writer.serialize(outcome).map_err(|error| CommandError::internal(error.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|error| CommandError::internal(error.to_string()))?;
    match output {
        None => context.output.data(&bytes),
        Some(path) => {
            let mut file = StagedFile::create(path, Secrecy::Public)?;
            file.write_all(&bytes).map_err(|error| CommandError::writing(path, &error))?;
            file.commit()
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted: Vec<String> =
            self.outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        write!(formatter, "{} votes cast: {}", self.rows, counted.join(", "))
    }
}
