//! `votekit registry`: compares the registry that nodes share with the log, and rebuilds it. Opens
//! it for all verbs that work on it.

mod check;
mod rebuild;

use std::path::{Path, PathBuf};

use votekit_core::id::ElectionId;
use votekit_node::archive::Archive;
use votekit_store::services::redis::{Finding, RedisRegistry, Severity};
use votekit_store::services::url::{Service, ServiceAddress};

use crate::argument;
use crate::context::Context;
use crate::error::CommandError;
use crate::log_source::LedgerArgs;

/// Check the registry that nodes share on Redis, or rebuild it from the ledger
///
/// The registry is a hint: it states at once what to expect of a vote. The log decides. So no vote
/// is lost whatever happens to the registry, and it can be rebuilt while votes are coming in.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Check(check::Args),
    Rebuild(rebuild::Args),
}

/// Runs `votekit registry`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    match args.action {
        Action::Check(args) => check::run(&args, context),
        Action::Rebuild(args) => rebuild::run(&args, context),
    }
}

/// Opens the registry on Redis by its address.
pub(crate) async fn open_registry(url: &str) -> Result<RedisRegistry, CommandError> {
    Ok(RedisRegistry::open(&ServiceAddress::parse(Service::Redis, url)?).await?)
}

/// Settings that an operator should know of.
pub(crate) fn warnings(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.severity == Severity::Warning)
}

/// Registry, ledger and elections, for both verbs
#[derive(Debug, clap::Args)]
struct TargetArgs {
    /// Registry: address of a Redis server, or of one node of a cluster
    #[arg(long, value_name = "URL", env = "VOTEKIT_REGISTRY", hide_env_values = true)]
    registry: String,

    /// Data folder of a node, running or stopped: the rolls it keeps, and its ledger unless
    /// --ledger is given
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    #[command(flatten)]
    ledger: LedgerArgs,

    /// Only this election; may be repeated
    #[arg(long = "election", value_name = "LAW_ID", value_parser = argument::parse::<ElectionId>)]
    elections: Vec<ElectionId>,
}

impl TargetArgs {
    /// Opens the ledger.
    fn archive(&self, data: &Path) -> Result<Archive, CommandError> {
        self.ledger.open(data)
    }

    fn matches(&self, law_id: &ElectionId) -> bool {
        self.elections.is_empty() || self.elections.contains(law_id)
    }

    /// Refuses a named election that does not exist: its id is probably misspelt.
    fn refuse_absent(&self, there: &[ElectionId], location: &str) -> Result<(), CommandError> {
        match self.elections.iter().find(|law_id| !there.contains(law_id)) {
            Some(law_id) => {
                Err(CommandError::bad_input(format!("there is no election {law_id} in {location}")))
            }
            None => Ok(()),
        }
    }
}
