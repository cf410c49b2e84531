//! `votekit registry rebuild`: replaces the content of the registry by the state of the log.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use votekit_node::archive::log_electors::LogElectors;
use votekit_store::services::redis::refuse_settings;

use super::{TargetArgs, open_registry, warnings};
use crate::context::Context;
use crate::error::CommandError;
use crate::{admin_target, progress};

/// Rebuild the registry from the ledger and the rolls that a node keeps
///
/// Every election of the ledger is restored as recorded in its log: who is registered, who is
/// revoked, who has voted and by which request. Whatever else the registry held of it is removed.
/// The command can be interrupted and run again, and nodes may continue to take votes meanwhile; a
/// credential marked while it runs may get the hint 'accepted' twice, and the log decides as ever.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit registry rebuild --registry redis://redis.example.ca:6379 --data node/ \\
    --ledger 'postgres://votekit@postgres/votekit?password_file=postgres.password'")]
pub(super) struct Args {
    #[command(flatten)]
    target: TargetArgs,
}

#[derive(Serialize)]
struct Report {
    elections: Vec<Rebuilt>,
}

#[derive(Serialize)]
struct Rebuilt {
    law_id: String,
    registered: u64,
    voted: u64,
    manifests: Vec<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let data: &PathBuf = args.target.data.as_ref().ok_or_else(|| {
        CommandError::usage(
            "give --data with a node's data folder: the registry is rebuilt from its ledger and \
             rolls",
        )
    })?;
    let archive = args.target.archive(data)?;
    let elections = archive.elections()?;
    args.target.refuse_absent(&elections, "the ledger")?;
    let report = admin_target::run(async {
        let registry = open_registry(&args.target.registry).await?;
        let findings = registry.check_settings(0).await?;
        refuse_settings(&findings)?;
        warnings(&findings).for_each(|finding| context.output.warning(finding));
        let mut rebuilt = Vec::new();
        for law_id in elections.iter().filter(|law_id| args.target.matches(law_id)) {
            let log = LogElectors::read(&archive, law_id)?;
            if log.origins.is_empty() {
                context.output.note(format!("{law_id}: no roll has taken effect; left as it is"));
                continue;
            }
            let electors = log.electors.iter().map(|list| list.keys.len() as u64).sum();
            refuse_settings(&registry.check_settings(electors).await?)?;
            let bar = progress::count("rebuilding", Some(electors));
            let done = registry
                .rebuild(law_id, &log.electors, Some(&log.origins), &|electors| bar.inc(electors))
                .await;
            bar.finish_and_clear();
            done?;
            let manifests = log.manifests().iter().map(ToString::to_string).collect();
            rebuilt.push(Rebuilt {
                law_id: law_id.to_string(),
                registered: log.registered,
                voted: log.accepted,
                manifests,
            });
        }
        Ok(Report { elections: rebuilt })
    })?;
    context.output.result(&report)
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.elections.is_empty() {
            return writeln!(
                formatter,
                "nothing to rebuild: the ledger has no election with a roll"
            );
        }
        for Rebuilt { law_id, registered, voted, .. } in &self.elections {
            writeln!(
                formatter,
                "{law_id}: rebuilt, {registered} electors registered, {voted} of them have voted"
            )?;
        }
        Ok(())
    }
}
