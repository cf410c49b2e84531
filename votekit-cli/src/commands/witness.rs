//! `votekit witness`: information for the operators of outside witnesses.

use std::fmt;
use std::path::Path;

use reqwest::Method;
use serde::Serialize;
use votekit_core::authority::{AuthoritySet, SetWitness};
use votekit_core::id::ElectionId;
use votekit_core::log::checkpoint::origin_of;
use votekit_core::log::note::{KeyKind, KeyName, VerifierKey};
use votekit_messages::InWords as _;
use votekit_node::data_folder::DataFolder;
use votekit_node::{ClusterView, WitnessView};

use crate::admin_target::{self, AdminTargetArgs, TargetLocation};
use crate::argument;
use crate::context::Context;
use crate::error::CommandError;
use crate::log_source::LedgerArgs;
use crate::output::plain;

/// Prepare outside witnesses of the logs
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Request(RequestArgs),
}

/// Print what the operator of each outside witness has to configure
///
/// A witness takes the heads of logs that it knows: each by its origin and by the key that signs
/// it. An origin has one key here, that of the authority that feeds the witness. Send the output to
/// the operators before the first election opens, and again for each later election: its log has an
/// origin of its own. Nothing is written; a running node may be using the data folder.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit witness request --data node/
  votekit witness request --data node/ --election L2025-001 --election L2025-002 --json")]
struct RequestArgs {
    #[command(flatten)]
    target: AdminTargetArgs,

    #[command(flatten)]
    ledger: LedgerArgs,

    /// Election that is not created yet, with only the data folder; it is binding unless --test is
    /// given. Without this option all existing elections are printed
    #[arg(long = "election", value_name = "LAW_ID", value_parser = argument::parse::<ElectionId>)]
    elections: Vec<ElectionId>,

    /// The elections named with --election are not binding
    #[arg(long, requires = "elections")]
    test: bool,
}

/// How often a witness is sent a head.
const RATE: &str = "one request in 10 s, and at once when a log is closed";

/// The information for the operator of one witness.
#[derive(Serialize)]
struct WitnessRequest {
    name: String,
    key: String,
    url: String,
    submission_url: String,
    fed_by: String,
    rate: &'static str,
    logs: Vec<LogRequest>,
}

/// One log.
#[derive(Serialize)]
struct LogRequest {
    law_id: String,
    origin: String,
    log_key: String,
}

/// The requests, as printed.
#[derive(Serialize)]
#[serde(transparent)]
struct Requests(Vec<WitnessRequest>);

/// Runs `votekit witness`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let Action::Request(args) = args.action;
    let requests = match args.target.location()? {
        TargetLocation::Folder(data) => requests_of_folder(&args, data)?,
        TargetLocation::Running(client) if args.elections.is_empty() => {
            let view: ClusterView = admin_target::run(async {
                client.call(Method::GET, "/api/v1/admin/nodes", None::<&()>).await
            })?;
            view.witnesses.into_iter().map(WitnessRequest::from).collect()
        }
        TargetLocation::Running(_) => {
            return Err(CommandError::usage("--election needs the data folder: give only --data"));
        }
    };
    if requests.is_empty() {
        return Err(CommandError::bad_input(
            "the file of the authorities names no outside witness",
        )
        .hint("name them with `votekit policy make --witness`"));
    }
    context.output.result(&Requests(requests))
}

impl From<WitnessView> for WitnessRequest {
    fn from(view: WitnessView) -> Self {
        let logs = view.elections.into_iter().map(|head| LogRequest {
            law_id: head.law_id,
            origin: head.origin,
            log_key: head.log_key,
        });
        Self {
            name: view.name,
            key: view.key,
            submission_url: SetWitness::submission_url_of(&view.url),
            url: view.url,
            fed_by: view.fed_by,
            rate: RATE,
            logs: logs.collect(),
        }
    }
}

/// The requests of the witnesses in the file of a data folder.
fn requests_of_folder(
    args: &RequestArgs,
    data: &Path,
) -> Result<Vec<WitnessRequest>, CommandError> {
    let set = DataFolder::peek(data)?.authorities()?.ok_or_else(|| {
        CommandError::bad_input(format!("{} has no file of the authorities", data.display()))
            .hint("make it with `votekit policy make`, and copy it to DATA/authorities")
    })?;
    if set.witnesses().is_empty() {
        return Ok(Vec::new());
    }
    let origins = origins(args, data, set.base())?;
    set.witnesses().iter().map(|witness| request(&set, witness, &origins)).collect()
}

fn request(
    set: &AuthoritySet,
    witness: &SetWitness,
    origins: &[(String, KeyName)],
) -> Result<WitnessRequest, CommandError> {
    let feeder = set
        .member(&witness.fed_by)
        .ok_or_else(|| CommandError::internal(format!("no authority feeds {}", witness.name)))?;
    let mut logs = Vec::new();
    for (law_id, origin) in origins {
        let key = VerifierKey::new(origin.clone(), KeyKind::Ed25519, &feeder.log)
            .map_err(|error| CommandError::bad_input(error.in_words()))?;
        logs.push(LogRequest {
            law_id: law_id.clone(),
            origin: origin.to_string(),
            log_key: key.to_string(),
        });
    }
    Ok(WitnessRequest {
        name: witness.name.to_string(),
        key: witness.key.to_string(),
        url: witness.url.clone(),
        submission_url: witness.submission_url(),
        fed_by: witness.fed_by.to_string(),
        rate: RATE,
        logs,
    })
}

/// The elections, each with the origin of its log.
fn origins(
    args: &RequestArgs,
    data: &Path,
    base: &KeyName,
) -> Result<Vec<(String, KeyName)>, CommandError> {
    let origin = |law_id: &ElectionId, binding| -> Result<(String, KeyName), CommandError> {
        let origin = origin_of(base, law_id, binding)
            .map_err(|error| CommandError::bad_input(error.in_words()))?;
        Ok((law_id.to_string(), origin))
    };
    if !args.elections.is_empty() {
        return args.elections.iter().map(|law_id| origin(law_id, !args.test)).collect();
    }
    let archive = args.ledger.open(data)?;
    let mut found = Vec::new();
    for law_id in archive.elections()? {
        if let Some(view) = archive.election(&law_id)? {
            found.push(origin(&law_id, view.binding)?);
        }
    }
    if found.is_empty() {
        return Err(CommandError::bad_input("no election exists yet")
            .hint("name the elections to come with --election"));
    }
    Ok(found)
}

impl fmt::Display for Requests {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, request) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(formatter)?;
            }
            writeln!(
                formatter,
                "witness {}, fed by {}",
                plain(&request.name),
                plain(&request.fed_by)
            )?;
            writeln!(formatter, "  cosigns as  {}", plain(&request.key))?;
            writeln!(formatter, "  takes       POST {}", plain(&request.submission_url))?;
            writeln!(formatter, "  rate        {}", request.rate)?;
            for log in &request.logs {
                writeln!(formatter, "  origin      {}", plain(&log.origin))?;
                writeln!(formatter, "  log key     {}", plain(&log.log_key))?;
            }
        }
        Ok(())
    }
}
