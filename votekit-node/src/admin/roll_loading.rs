//! Loading of a hashed roll or supplement from a folder: it is checked, kept, and applied to each
//! election of its laws.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;
use utoipa::ToSchema;
use votekit_core::credential::HashScheme;
use votekit_core::election_log::RollContent;
use votekit_core::id::ElectionId;

use crate::admin::supplement_report::{LiveBefore, SupplementReport};
use crate::data_folder::DataFolder;
use crate::error::AdminError;
use crate::node::Node;
use crate::roll_store::{self, Kept, LoadProgress};

/// Timeout for reading, checking and copying the files of a roll: eight million electors take
/// minutes from a slow disk.
const LOAD_TIME: Duration = Duration::from_secs(600);

/// The outcome of loading a roll, election by election.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LoadReport {
    /// SHA-256 of the manifest.
    pub manifest: String,
    /// Whether credentials are hashed under a pepper.
    pub peppered: bool,
    /// Whether the pepper was not compared with the manifest: one of several authorities has no
    /// pepper. Absent otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_pepper: bool,
    /// The names of the officials whose signatures of the manifest were verified. Absent if this
    /// node requires no signature.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<String>,
    /// One row for each law.
    pub laws: Vec<LoadedLaw>,
}

/// The outcome of loading a roll in one election.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LoadedLaw {
    /// The law.
    pub law_id: String,
    /// Keys the manifest registers or adds.
    pub keys: u64,
    /// The outcome: `loaded`, `kept` until the election is created, or `unchanged`.
    pub outcome: LoadOutcome,
    /// Electors registered for the election now; 0 without an election.
    pub registered: u64,
    /// The changes of a supplement; absent for a roll, and for a supplement loaded earlier.
    #[serde(flatten)]
    pub changes: Option<SupplementReport>,
}

/// The outcome of loading a roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LoadOutcome {
    /// The roll took effect now.
    Loaded,
    /// The roll is kept until the election is created.
    Kept,
    /// The roll had taken effect earlier: nothing changed.
    Unchanged,
}

impl LoadReport {
    /// The report on a roll that is kept in the data folder.
    pub(crate) fn new(kept: &Kept, laws: Vec<LoadedLaw>) -> Self {
        Self {
            manifest: kept.manifest.digest().to_hex(),
            peppered: kept.manifest.body().scheme == HashScheme::HmacSha256,
            without_pepper: kept.lacks_pepper,
            signed_by: kept.signed_by.clone(),
            laws,
        }
    }
}

impl Node {
    /// Loads a hashed roll or supplement from a folder: checks every digest, count and signature,
    /// keeps it, and applies it to each existing election. Loading it again changes nothing and
    /// never unspends a credential.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn load(
        &self,
        folder: &Path,
        pepper: Option<&Path>,
    ) -> Result<LoadReport, AdminError> {
        self.take_roll(folder, pepper, false).await
    }

    /// Loads a hashed roll that replaces the present roll of its laws, in elections that are
    /// drafts. Their logs keep both.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn replace_roll(
        &self,
        folder: &Path,
        pepper: Option<&Path>,
    ) -> Result<LoadReport, AdminError> {
        self.take_roll(folder, pepper, true).await
    }

    async fn take_roll(
        &self,
        folder: &Path,
        pepper: Option<&Path>,
        replace: bool,
    ) -> Result<LoadReport, AdminError> {
        let loading = Arc::clone(&self.context.loading);
        let loading = Arc::new(loading.try_lock_owned().map_err(|_| AdminError::Loading)?);
        // This node may not follow an election yet that another node created a moment ago: the roll
        // must not be kept as that of a future election.
        let left = match self.context.is_shared {
            true => self.load_elections().await?,
            false => Vec::new(),
        };
        let source = folder.to_owned();
        let offered = self.on_files(move |_| Ok(roll_store::offered_manifest(&source)?)).await?;
        let laws = &offered.body().laws;
        let is_offered = |law_id: &ElectionId| laws.iter().any(|row| row.law_id == *law_id);
        if let Some((_, error)) = left.into_iter().find(|(law_id, _)| is_offered(law_id)) {
            return Err(error.into());
        }
        laws.iter().try_for_each(|row| self.check_readable(&row.law_id))?;
        let replaced = self.check_offered(&offered, replace).await?;
        let kept = self.keep_roll(folder, pepper, &loading).await?;
        let _creating = self.context.creating.lock().await;
        let loaded = self.load_kept(&kept).await;
        let digest = kept.manifest.digest();
        if let Err(error) = &loaded
            && kept.is_new
            && error.is_refusal()
            && self.use_of(&digest).await.is_none()
        {
            // A refused roll is removed. If the removal fails, the roll is listed as kept.
            let discard = move |folder: &DataFolder| Ok(roll_store::discard(folder, &digest)?);
            if let Err(error) = self.on_files(discard).await {
                tracing::warn!(event = "roll_discard_failed", %error, "refused roll not removed");
            }
        }
        if loaded.is_ok() && !replaced.is_empty() {
            self.on_files(move |folder| Ok(roll_store::note_replaced(folder, &digest, &replaced)?))
                .await?;
        }
        loaded
    }

    async fn load_kept(&self, kept: &Kept) -> Result<LoadReport, AdminError> {
        let manifest = &kept.manifest;
        self.context.ledger.put_manifest(&manifest.encode()).await?;
        let mut laws = Vec::new();
        for row in &manifest.body().laws {
            let content = match manifest.is_supplement() {
                true => {
                    let (digest, law_id) = (manifest.digest(), row.law_id.clone());
                    self.on_files(move |folder| Ok(roll_store::content(folder, &digest, &law_id)?))
                        .await?
                }
                false => None,
            };
            let content = content.as_ref();
            let (outcome, registered, changes) = match self.context.election(&row.law_id) {
                None => (LoadOutcome::Kept, 0, content.and_then(SupplementReport::planned)),
                Some(election) => {
                    let before = match content {
                        Some(RollContent::Supplement(changes)) => {
                            Some(LiveBefore::new(changes, election.log().electorate()))
                        }
                        _ => None,
                    };
                    let follows = self.context.authority.is_some()
                        && self.context.leader_lease.term().is_none();
                    let outcome = if follows && !election.log().has_manifest(&manifest.digest()) {
                        // The leader records it; this authority has it for its check.
                        LoadOutcome::Kept
                    } else {
                        match self.prepare_roll(election.law_id(), manifest).await? {
                            Some(roll) => {
                                self.take_effect(&election, roll).await?;
                                LoadOutcome::Loaded
                            }
                            None => LoadOutcome::Unchanged,
                        }
                    };
                    let changes = before
                        .filter(|_| outcome == LoadOutcome::Loaded)
                        .map(|before| before.compare(election.log().electorate()));
                    (outcome, election.committed().results.registered, changes)
                }
            };
            laws.push(LoadedLaw {
                law_id: row.law_id.to_string(),
                keys: row.registered,
                outcome,
                registered,
                changes,
            });
        }
        Ok(LoadReport::new(kept, laws))
    }

    /// Reads, checks and keeps a roll on a blocking thread, and aborts when reading its files takes
    /// too long. No other roll is loaded until that thread has ended.
    async fn keep_roll(
        &self,
        folder: &Path,
        pepper: Option<&Path>,
        loading: &Arc<OwnedMutexGuard<()>>,
    ) -> Result<Kept, AdminError> {
        let (source, pepper) = (folder.to_owned(), pepper.map(Path::to_owned));
        let need = self.context.pepper_need();
        let progress = Arc::new(LoadProgress::default());
        let (reading, loading) = (Arc::clone(&progress), Arc::clone(loading));
        let keep = self.on_files(move |folder| {
            let kept = roll_store::keep(folder, &source, (pepper.as_deref(), need), &reading);
            drop(loading);
            Ok(kept?)
        });
        let mut keep = std::pin::pin!(keep);
        match tokio::time::timeout(LOAD_TIME, &mut keep).await {
            Ok(kept) => kept,
            Err(_) if progress.give_up() => {
                Err(AdminError::TooLong { seconds: LOAD_TIME.as_secs() })
            }
            // Already read and checked: only the pepper and the rename are left.
            Err(_) => keep.await,
        }
    }
}
