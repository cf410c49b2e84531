//! The kept rolls of a node: which election uses which, and how a kept roll takes effect.
//!
//! A law has one roll, followed by supplements one after another. A roll that does not fit into
//! this sequence is refused before anything is written.

use std::sync::Arc;

use votekit_core::credential::CredentialHasher;
use votekit_core::election::{Definition, State};
use votekit_core::election_log::{Change, ElectionLogError, LogEvent, RollLoad};
use votekit_core::id::{Digest, ElectionId};
use votekit_core::manifest::{LawRow, Manifest};
use votekit_store::retry::until_definite;
use votekit_store::{EngineError, RollOrigin};

use crate::call_rule::CallRule;
use crate::data_folder::DataFolder;
use crate::election::ElectionHandle;
use crate::error::AdminError;
use crate::node::Node;
use crate::recovery::{add_to_registry, known_electors};
use crate::roll_store::{self, KeptRolls, PepperNeed, RollView};

/// A kept roll, read and ready to take effect in an election.
pub(crate) struct PreparedRoll {
    load: RollLoad,
    /// `None` on a node that hashes no credentials.
    hasher: Option<CredentialHasher>,
    origin: RollOrigin,
}

impl Node {
    /// Returns the kept rolls of the data folder, each with the elections that use it.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn rolls(&self) -> Result<Vec<RollView>, AdminError> {
        let mut used = Vec::new();
        for election in self.context.elections() {
            let manifests = election.log().named_manifests().copied().collect();
            used.push((election.law_id().clone(), manifests));
        }
        let mut rolls = self.on_files(move |folder| Ok(roll_store::list(folder, &used)?)).await?;
        // While the log of an election cannot be read, it is not known which rolls it names.
        let damaged = self.context.damaged_elections();
        for law in rolls.iter_mut().flat_map(|roll| roll.laws.iter_mut()) {
            law.in_use |= damaged.iter().any(|one| one.law_id().as_str() == law.law_id);
        }
        Ok(rolls)
    }

    /// Removes a kept roll that no election uses, and its pepper if no other roll is hashed under
    /// it.
    ///
    /// # Errors
    /// [`AdminError`]; the roll then stays.
    pub async fn discard_roll(&self, manifest: &Digest) -> Result<RollView, AdminError> {
        let loading = Arc::clone(&self.context.loading);
        let _loading = loading.try_lock_owned().map_err(|_| AdminError::Loading)?;
        let _creating = self.context.creating.lock().await;
        if self.context.leader_lease.term().is_none() {
            return Err(self.not_leading());
        }
        let rolls = self.rolls().await?;
        let digest = manifest.to_hex();
        let unknown = || AdminError::UnknownRoll { manifest: *manifest };
        let roll = rolls.iter().find(|roll| roll.manifest == digest).ok_or_else(unknown)?;
        if let Some(law) = roll.laws.iter().find(|law| law.in_use) {
            let law_id = law.law_id.clone();
            return Err(AdminError::RollInUse { manifest: *manifest, law_id });
        }
        if let Some(follows) = rolls.iter().find(|other| other.parent.as_ref() == Some(&digest)) {
            let supplement = follows.manifest.clone();
            return Err(AdminError::RollHasSupplement { manifest: *manifest, supplement });
        }
        let digest = *manifest;
        self.on_files(move |folder| Ok(roll_store::discard(folder, &digest)?)).await?;
        Ok(roll.clone())
    }

    /// Refuses a roll that conflicts with the stored ones; a roll that is already kept fits. With
    /// `replace` it replaces the kept ones, in drafts only. Returns the rolls that it replaces.
    pub(crate) async fn check_offered(
        &self,
        manifest: &Manifest,
        replace: bool,
    ) -> Result<Vec<Digest>, AdminError> {
        let digest = manifest.digest();
        if replace && manifest.is_supplement() {
            let rule = CallRule::SupplementReplaces;
            return Err(AdminError::Field { field: "replace", rule });
        }
        let kept = self.on_files(|folder| Ok(KeptRolls::read(folder)?)).await?;
        if !replace && kept.contains(&digest) {
            return Ok(Vec::new());
        }
        let mut replaced = Vec::new();
        for row in &manifest.body().laws {
            let of_law = kept.in_effect(&row.law_id);
            self.check_law(row, manifest, &of_law, replace).await?;
            if replace {
                // Supplements go with the roll they follow.
                let rolls = of_law.iter().filter(|manifest| !manifest.is_supplement());
                let digests = rolls.map(|manifest| manifest.digest());
                replaced.extend(digests.filter(|other| *other != digest));
            }
        }
        Ok(replaced)
    }

    /// Refuses a roll that one of its laws cannot take. `of_law` contains the kept rolls of the law
    /// that are not replaced.
    async fn check_law(
        &self,
        row: &LawRow,
        manifest: &Manifest,
        of_law: &[&Manifest],
        replace: bool,
    ) -> Result<(), AdminError> {
        let mut state = State::Draft;
        let mut row_of_rolls: Vec<Digest> =
            of_law.iter().map(|manifest| manifest.digest()).collect();
        if let Some(election) = self.context.election(&row.law_id) {
            let committed = election.committed();
            state = committed.state();
            if state >= State::Closing {
                return Err(AdminError::State { state, wanted: Change::GiveRoll });
            }
            let length = manifest.body().roll.code_length_min;
            if committed.results.definition.binding
                && state > State::Draft
                && Definition::is_too_short_to_bind(length)
            {
                let law_id = row.law_id.clone();
                return Err(AdminError::ShortCodes { law_id, length });
            }
            let log = election.log();
            if log.last_manifest().is_some() {
                row_of_rolls = log.manifests().to_vec();
            }
        }
        if !replace {
            return follows(&row.law_id, manifest, &row_of_rolls);
        }
        if state > State::Draft && row_of_rolls.first() != Some(&manifest.digest()) {
            return Err(AdminError::State { state, wanted: Change::ReplaceRoll });
        }
        Ok(())
    }

    /// Returns the first election whose log names a manifest.
    pub(crate) async fn use_of(&self, manifest: &Digest) -> Option<ElectionId> {
        for election in self.context.elections() {
            if election.log().named_manifests().any(|named| named == manifest) {
                return Some(election.law_id().clone());
            }
        }
        None
    }

    /// Reads the kept rolls of an election about to be created, in the order in which they take
    /// effect.
    pub(crate) async fn prepare_rolls(
        &self,
        law_id: &ElectionId,
    ) -> Result<Vec<PreparedRoll>, AdminError> {
        let mut row_of_rolls = Vec::new();
        let mut prepared: Vec<PreparedRoll> = Vec::new();
        let kept = self.on_files(|folder| Ok(KeptRolls::read(folder)?)).await?;
        for manifest in kept.in_effect(law_id) {
            follows(law_id, manifest, &row_of_rolls)?;
            if prepared.first().is_some_and(|roll| roll.load.scheme != manifest.body().scheme) {
                return Err(ElectionLogError::Scheme.into());
            }
            row_of_rolls.push(manifest.digest());
            prepared.extend(self.prepare_roll(law_id, manifest).await?);
        }
        Ok(prepared)
    }

    /// Reads a kept roll, and prepares the registry for it. `None` if it has nothing for this
    /// election, or has already taken effect.
    pub(crate) async fn prepare_roll(
        &self,
        law_id: &ElectionId,
        manifest: &Manifest,
    ) -> Result<Option<PreparedRoll>, AdminError> {
        let digest = manifest.digest();
        if let Some(election) = self.context.election(law_id)
            && election.log().has_manifest(&digest)
        {
            return Ok(None);
        }
        let (law, need) = (law_id.clone(), self.context.pepper_need());
        let read = move |folder: &DataFolder| {
            let content = roll_store::content(folder, &digest, &law)?;
            let hasher = match need {
                PepperNeed::Required => Some(roll_store::hasher(folder, &digest)?),
                PepperNeed::Optional => None,
            };
            Ok((content, hasher))
        };
        let (content, hasher) = self.on_files(read).await?;
        let Some(content) = content else { return Ok(None) };
        // A roll that was kept while the node was stopped is not in the ledger yet, from which
        // nodes without rolls read it.
        let encoded = manifest.encode();
        until_definite("put_manifest", || self.context.ledger.put_manifest(&encoded)).await?;
        // Fallible steps come before the log records the roll. The registry contains hints only:
        // writes to it are retried until they succeed.
        let origin = RollOrigin::from_manifest(manifest);
        let replaces = match self.context.election(law_id).filter(|_| !manifest.is_supplement()) {
            Some(election) => election.log().manifests().first().copied(),
            None => None,
        };
        if replaces.is_none() {
            let electors = content.electors();
            let prepare = || self.context.registry.prepare(law_id, &origin, electors);
            until_definite("update_registry", prepare).await?;
        }
        let load = RollLoad {
            manifest: digest,
            parent: manifest.body().parent,
            replaces,
            scheme: manifest.body().scheme,
            content,
        };
        Ok(Some(PreparedRoll { load, hasher, origin }))
    }

    /// Makes a roll take effect in an election: records it in the log, then updates the registry.
    pub(crate) async fn take_effect(
        &self,
        election: &ElectionHandle,
        roll: PreparedRoll,
    ) -> Result<(), AdminError> {
        let PreparedRoll { load, hasher, origin } = roll;
        let digest = load.manifest;
        let (content, is_replacement) = (load.content.clone(), load.replaces.is_some());
        self.record(election, vec![LogEvent::Load(load)]).await?;
        if let Some(hasher) = hasher {
            election.set_hasher(digest, hasher);
        }
        let change = async || {
            if is_replacement {
                let electors = known_electors(&election.log());
                let law_id = election.law_id();
                return self.context.registry.restore_all(law_id, electors, Some(&origin)).await;
            }
            add_to_registry(&self.context, election.law_id(), &content).await
        };
        until_definite("update_registry", change).await.map_err(|error| match error {
            EngineError::Misconfigured { engine, reason, hint } => EngineError::Misconfigured {
                engine,
                reason,
                hint: format!("the roll has taken effect: {hint}; then `votekit registry rebuild`"),
            },
            other => other,
        })?;
        tracing::debug!(
            event = "roll_loaded",
            law_id = %election.law_id(),
            manifest = %origin.manifest,
            "roll loaded"
        );
        Ok(())
    }
}

/// Checks that a roll is a law's first, or a supplement to its latest.
pub(crate) fn follows(
    law_id: &ElectionId,
    manifest: &Manifest,
    row: &[Digest],
) -> Result<(), AdminError> {
    match (manifest.body().parent, row.last()) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(AdminError::SecondRoll { law_id: law_id.clone(), kept: row[0] }),
        (Some(parent), Some(last)) if parent == *last => Ok(()),
        (Some(parent), Some(last)) if row.contains(&parent) => {
            Err(AdminError::NotLatest { law_id: law_id.clone(), parent, last: *last })
        }
        (Some(parent), _) => Err(roll_store::RollError::NoParent { parent }.into()),
    }
}
