//! `votekit load --registry`: loads a roll into the registry that nodes share.

use std::sync::Arc;

use votekit_core::election_log::RollContent;
use votekit_core::id::ElectionId;
use votekit_core::manifest::Manifest;
use votekit_node::AdminError;
use votekit_node::data_folder::DataFolder;
use votekit_node::{CheckedRoll, LoadOutcome, LoadReport, LoadedLaw};
use votekit_store::services::redis::{LawMeta, RedisRegistry, RollOrigin, refuse_settings};

use super::{Args, print};
use crate::commands::registry::{open_registry, warnings};
use crate::context::Context;
use crate::error::CommandError;
use crate::{admin_target, progress};

/// Checks the roll, the servers and the content of the registry, then loads.
pub(super) fn run(args: &Args, url: &str, context: &Context) -> Result<(), CommandError> {
    let data = args.target.data().map(DataFolder::peek).transpose()?;
    let roll = CheckedRoll::read(&args.folder, data.as_ref(), args.pepper_file.as_deref())
        .map_err(AdminError::Roll)?;
    let origin = RollOrigin::from_manifest(&roll.manifest);
    let report = admin_target::run(async {
        let registry = open_registry(url).await?;
        let mut before = Vec::with_capacity(roll.contents.len());
        let mut new = 0;
        for (law_id, content) in &roll.contents {
            let meta = registry.meta(law_id).await?;
            registry.check_load(law_id, &origin, content.electors()).await?;
            refuse_other(&roll.manifest, law_id, meta.as_ref())?;
            if !meta.as_ref().is_some_and(|meta| is_loaded(meta, &origin)) {
                new += content.electors();
            }
            before.push(meta);
        }
        let findings = registry.check_settings(new).await?;
        refuse_settings(&findings)?;
        warnings(&findings).for_each(|finding| context.output.warning(finding));
        load(&registry, &roll, &origin, before).await
    })?;
    print(report, &args.folder, context)
}

fn is_loaded(meta: &LawMeta, origin: &RollOrigin) -> bool {
    meta.ready && meta.manifests.contains(&origin.manifest)
}

async fn load(
    registry: &RedisRegistry,
    roll: &CheckedRoll,
    origin: &RollOrigin,
    before: Vec<Option<LawMeta>>,
) -> Result<LoadReport, CommandError> {
    let mut laws = Vec::with_capacity(roll.contents.len());
    for ((law_id, content), meta) in roll.contents.iter().zip(before) {
        let counted = match meta.is_some_and(|meta| is_loaded(&meta, origin)) {
            true => Some(registry.survey(law_id).await?),
            false => None,
        };
        let (keys, outcome, registered) = match (content, counted) {
            (content, Some(survey)) => {
                (content.electors(), LoadOutcome::Unchanged, survey.registered())
            }
            (RollContent::Roll(keys), None) => {
                let bar = progress::count("loading", Some(keys.len() as u64));
                let loaded = registry
                    .load_roll(law_id, keys, Some(origin), &|electors| bar.inc(electors))
                    .await;
                bar.finish_and_clear();
                (keys.len() as u64, LoadOutcome::Loaded, loaded?)
            }
            (RollContent::Supplement(changes), None) => {
                let registered =
                    registry.load_supplement(law_id, &Arc::clone(changes), Some(origin)).await?;
                (content.electors(), LoadOutcome::Loaded, registered)
            }
        };
        // The registry gives hints: the changes of a supplement are counted where they are decided.
        let changes = None;
        laws.push(LoadedLaw { law_id: law_id.to_string(), keys, outcome, registered, changes });
    }
    Ok(LoadReport {
        manifest: origin.manifest.to_hex(),
        peppered: origin.pepper.is_some(),
        without_pepper: false,
        signed_by: roll.signed_by.clone(),
        laws,
    })
}

/// Refuses a second roll: the registry takes one roll and its supplements.
fn refuse_other(
    manifest: &Manifest,
    law_id: &ElectionId,
    meta: Option<&LawMeta>,
) -> Result<(), CommandError> {
    let digest = manifest.digest();
    let loaded = meta.map_or(&[][..], |meta| &meta.manifests);
    match manifest.body().parent {
        _ if loaded.contains(&digest) => Ok(()),
        Some(parent) if !loaded.contains(&parent) => Err(CommandError::bad_input(format!(
            "{law_id}: the supplement is made for manifest {parent}, which has not been loaded into this registry"
        ))
        .hint("load that one first")),
        None if !loaded.is_empty() => {
            Err(CommandError::bad_input(format!("{law_id}: the registry holds another roll, of manifest {}", loaded[0]))
                .hint("changes to a roll are loaded as supplements; `votekit registry rebuild` \
                       restores the registry from the ledger"))
        }
        _ => Ok(()),
    }
}
