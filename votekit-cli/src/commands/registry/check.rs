//! `votekit registry check`: compares settings, counts, manifests and the status of credentials
//! with the log.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use votekit_core::credential::RegistryKey;
use votekit_core::id::{Digest, ElectionId};
use votekit_node::archive::Archive;
use votekit_node::archive::log_electors::LogElectors;
use votekit_store::FirstUse;
use votekit_store::services::redis::{Difference, LawMeta, RedisRegistry, Survey};

use super::{TargetArgs, open_registry};
use crate::admin_target;
use crate::context::Context;
use crate::error::CommandError;

/// Count the registry, and compare it with the ledger and the rolls that a node keeps
///
/// The servers' settings are checked, every election is counted, and with --data its manifests, its
/// number of electors and a sample of its credentials are compared with the log. A vote in flight,
/// or a mark that Redis lost, is reported but is not a failure: the registry only gives hints.
/// Electors that are missing, revoked on one side only, or of another roll end the command with
/// exit code 5.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit registry check --registry redis://redis.example.ca:6379
  votekit registry check --registry redis://redis.example.ca:6379 --data node/ --full")]
pub(super) struct Args {
    #[command(flatten)]
    target: TargetArgs,

    /// Number of credentials to compare in each election
    #[arg(long, value_name = "N", default_value_t = 10_000, requires = "data")]
    sample: usize,

    /// Compare every credential
    #[arg(long, conflicts_with = "sample", requires = "data")]
    full: bool,
}

#[derive(Serialize)]
struct Report {
    cluster: bool,
    settings: Vec<String>,
    elections: Vec<Checked>,
}

#[derive(Serialize)]
struct Checked {
    law_id: String,
    registered: u64,
    used: u64,
    revoked: u64,
    buckets: u64,
    manifests: Vec<String>,
    /// Credentials compared with the log; 0 without a data folder.
    compared: u64,
    faults: Vec<String>,
    remarks: Vec<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let archive = args.target.data.as_deref().map(|data| args.target.archive(data)).transpose()?;
    let report = admin_target::run(async {
        let registry = open_registry(&args.target.registry).await?;
        let mut laws = registry.laws().await?;
        if let Some(archive) = &archive {
            laws.extend(archive.elections()?);
        }
        laws.sort_unstable();
        laws.dedup();
        args.target.refuse_absent(&laws, "the registry")?;
        let mut elections = Vec::new();
        for law_id in laws.iter().filter(|law_id| args.target.matches(law_id)) {
            elections.push(check(args, &registry, archive.as_ref(), law_id).await?);
        }
        let electors = elections.iter().map(|checked| checked.registered + checked.revoked).sum();
        let settings =
            registry.check_settings(electors).await?.iter().map(ToString::to_string).collect();
        Ok(Report { cluster: registry.is_cluster(), settings, elections })
    })?;
    context.output.result(&report)?;
    let faults: Vec<&str> =
        report.elections.iter().flat_map(|checked| &checked.faults).map(String::as_str).collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(CommandError::verification_failed(faults.join("\n")).hint(
        "`votekit registry rebuild` restores the registry from the ledger; until then hints may be \
         wrong, decisions are not",
    ))
}

async fn check(
    args: &Args,
    registry: &RedisRegistry,
    archive: Option<&Archive>,
    law_id: &ElectionId,
) -> Result<Checked, CommandError> {
    let log = match archive {
        Some(archive) if archive.head(law_id)?.is_some() => {
            Some(LogElectors::read(archive, law_id)?)
        }
        _ => None,
    };
    let meta = registry.meta(law_id).await?;
    let Some(meta) = meta.filter(|meta| meta.ready) else {
        return Ok(Checked::not_loaded(law_id, log.as_ref()));
    };
    let mut checked = Checked::counted(law_id, &meta, &registry.survey(law_id).await?);
    if let Some(log) = &log {
        checked.hold_against(log, &meta);
        let credentials = sample(log, if args.full { usize::MAX } else { args.sample });
        checked.compared = credentials.len() as u64;
        let mut found: BTreeMap<Difference, u64> = BTreeMap::new();
        for difference in registry.compare(law_id, &credentials).await?.into_iter().flatten() {
            *found.entry(difference).or_default() += 1;
        }
        checked.count(&found);
    }
    Ok(checked)
}

/// Returns at most `at_most` credentials, spread evenly over all.
fn sample(log: &LogElectors, at_most: usize) -> Vec<(RegistryKey, FirstUse)> {
    let all: usize = log.electors.iter().map(|list| list.keys.len()).sum();
    log.credentials().step_by(all.div_ceil(at_most.max(1)).max(1)).collect()
}

impl Checked {
    fn not_loaded(law_id: &ElectionId, log: Option<&LogElectors>) -> Self {
        let wanted = log.is_some_and(|log| !log.origins.is_empty());
        let text = format!("{law_id}: the load of its roll is unfinished");
        let (faults, remarks) =
            if wanted { (vec![text], Vec::new()) } else { (Vec::new(), vec![text]) };
        Self {
            law_id: law_id.to_string(),
            registered: 0,
            used: 0,
            revoked: 0,
            buckets: 0,
            manifests: Vec::new(),
            compared: 0,
            faults,
            remarks,
        }
    }

    fn counted(law_id: &ElectionId, meta: &LawMeta, survey: &Survey) -> Self {
        let mut faults = Vec::new();
        if survey.buckets_missing > 0 {
            faults.push(format!(
                "{law_id}: {} of {} buckets and their electors are missing",
                survey.buckets_missing, survey.buckets
            ));
        }
        if survey.registered() != meta.registered {
            faults.push(format!(
                "{law_id}: {} electors are registered, {} were loaded",
                survey.registered(),
                meta.registered
            ));
        }
        Self {
            law_id: law_id.to_string(),
            registered: survey.registered(),
            used: survey.used,
            revoked: survey.revoked,
            buckets: survey.buckets,
            manifests: meta.manifests.iter().map(Digest::to_hex).collect(),
            compared: 0,
            faults,
            remarks: Vec::new(),
        }
    }

    fn hold_against(&mut self, log: &LogElectors, meta: &LawMeta) {
        let law_id = &self.law_id;
        if self.registered != log.registered {
            self.faults.push(format!(
                "{law_id}: {} electors are registered, {} by the log",
                self.registered, log.registered
            ));
        }
        if let (Some(scheme), Some(origin)) = (&meta.scheme, log.origins.last())
            && *scheme != origin.scheme_word()
        {
            self.faults.push(format!(
                "{law_id}: loaded under {scheme}, the log has {}",
                origin.scheme_word()
            ));
        }
        let log = log.manifests();
        for manifest in meta.manifests.iter().filter(|manifest| !log.contains(manifest)) {
            self.faults.push(format!(
                "{law_id}: manifest {manifest} was loaded, and has not taken effect by the log"
            ));
        }
        // Not a fault: the counts show whether its credentials are present.
        for manifest in log.iter().filter(|manifest| !meta.manifests.contains(manifest)) {
            self.remarks.push(format!(
                "{law_id}: manifest {manifest} of the log is not among those that were loaded"
            ));
        }
    }

    fn count(&mut self, found: &BTreeMap<Difference, u64>) {
        for (difference, count) in found {
            let text =
                format!("{}: {count} of {} credentials: {difference}", self.law_id, self.compared);
            match difference {
                Difference::Missing | Difference::NotRevoked | Difference::Revoked => {
                    self.faults.push(text)
                }
                Difference::Unmarked | Difference::OtherRequest | Difference::AheadOfTheLog => {
                    self.remarks.push(text)
                }
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", if self.cluster { "a cluster" } else { "one server" })?;
        for setting in &self.settings {
            writeln!(formatter, "setting: {setting}")?;
        }
        if self.elections.is_empty() {
            writeln!(formatter, "no roll is loaded")?;
        }
        for checked in &self.elections {
            let Checked {
                law_id,
                registered,
                used,
                revoked,
                buckets,
                compared,
                remarks,
                faults,
                ..
            } = checked;
            writeln!(
                formatter,
                "{law_id}: {registered} electors registered, {used} marked, {revoked} revoked, in {buckets} buckets"
            )?;
            if *compared > 0 {
                writeln!(formatter, "{law_id}: {compared} credentials compared with the log")?;
            }
            for text in remarks {
                writeln!(formatter, "remark: {text}")?;
            }
            for text in faults {
                writeln!(formatter, "FAULT: {text}")?;
            }
        }
        Ok(())
    }
}
