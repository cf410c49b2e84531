//! What officials and operators do with elections: create, load a roll, open, close, certify,
//! purge.
//!
//! Long because each act of an official stands here with its checks; one file each would share all
//! of its imports and its private helpers.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::ToSchema;
use votekit_core::batch::NodePublicKey;
use votekit_core::chronicle::{Act, BlockMaker, Chronicle, ChronicleError, RollContent, RollLoad};
use votekit_core::credential::HashScheme;
use votekit_core::election::{
    BLANK, Bilingual, Choice, ChoiceId, ChoiceIdError, Definition, ResultsPolicy, State,
};
use votekit_core::envelope::FieldError;
use votekit_core::export;
use votekit_core::id::{LawId, NodeId};
use votekit_core::instant::{TimeError, UnixMinutes, UnixSeconds};
use votekit_core::manifest::Manifest;

use crate::data_folder::DataFolder;
use crate::election_cell::{CheckpointSigner, Committed, ElectionCell, ElectionSecrets};
use crate::engine::{BlockCommit, EngineError, Head, RollOrigin, StagingId, StoredBlock};
use crate::node::{AdminError, Node};
use crate::recovery::{Recovered, add_to_registry};
use crate::retry::until_definite;
use crate::roll_store;
use crate::sealing::SealerCommand;
use crate::snapshots::Snapshots;
use crate::view::{ElectionView, EpochView, NodeView};

/// The shortest access code of a binding election.
const CODE_LENGTH_MIN: u32 = 8;

/// A choice as it is asked for: by its id, or with its labels.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "must be a list of ids, or of objects with id, fr and en")]
pub enum ChoiceRequest {
    /// The id alone: `oui`, `non` and `blanc` get their customary labels, another choice is
    /// labelled by its id.
    Id(String),
    /// With its labels.
    Labelled {
        /// The id.
        id: String,
        /// The French label.
        fr: String,
        /// The English label.
        en: String,
    },
}

/// What an election is to be.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateElection {
    /// The law put to the vote.
    #[schema(pattern = "^[A-Za-z0-9._-]+$", min_length = 1, max_length = 50)]
    pub law_id: String,
    /// The French title.
    #[schema(min_length = 1, max_length = 500)]
    pub title_fr: String,
    /// The English title.
    #[schema(min_length = 1, max_length = 500)]
    pub title_en: String,
    /// The French description.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description_fr: String,
    /// The English description.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description_en: String,
    /// The choices; `oui` and `non` when none is given.
    #[serde(default)]
    pub choices: Vec<ChoiceRequest>,
    /// Whether a blank vote can be cast.
    #[serde(default)]
    pub blank: bool,
    /// Whether the result binds.
    #[serde(default)]
    pub binding: bool,
    /// `live`, `after_vote` or `after_close`; `live` when not given, and for a binding election
    /// `after_close`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub results: Option<ResultsPolicy>,
    /// Under `live`: how many accepted votes must be new before results are published again. 1 when
    /// not given.
    #[serde(default)]
    pub publish_every: Option<u64>,
    /// When the poll opens, in RFC 3339 with its offset.
    #[serde(default)]
    pub opens: Option<String>,
    /// When it closes, in RFC 3339 with its offset.
    #[serde(default)]
    pub closes: Option<String>,
}

/// How an election is to be opened.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OpenElection {
    /// Rules of a binding election that are waived, by name: `results`. Each is written in the log.
    #[schema(value_type = Vec<Waiver>, max_items = 1)]
    pub waivers: Vec<String>,
}

/// A rule of binding elections that can be waived.
// Only the documentation uses this type: a waiver is read as text, to be refused with its reason.
#[allow(dead_code)]
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum Waiver {
    /// That results are shown after the close only.
    Results,
}

/// What loading a roll came to, election by election.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LoadReport {
    /// SHA-256 of the manifest.
    pub manifest: String,
    /// Whether credentials are hashed under a pepper.
    pub peppered: bool,
    /// A row a law.
    pub laws: Vec<LoadedLaw>,
}

/// What loading a roll came to in one election.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LoadedLaw {
    /// The law.
    pub law_id: String,
    /// Keys the manifest registers or adds.
    pub keys: u64,
    /// What became of it: `loaded`, `kept` until the election is created, or `unchanged`.
    pub outcome: LoadOutcome,
    /// Electors registered for the election now; 0 while there is none.
    pub registered: u64,
}

/// What became of a roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LoadOutcome {
    /// It took effect now.
    Loaded,
    /// It is kept until the election is created.
    Kept,
    /// It had taken effect before: nothing changed.
    Unchanged,
}

impl CreateElection {
    /// The definition this asks for, with the key its choices are sealed to.
    fn definition(
        self,
        ballot_key: votekit_core::ballot::BallotPublicKey,
    ) -> Result<Definition, AdminError> {
        let mut choices = if self.choices.is_empty() {
            vec![ChoiceRequest::Id("oui".to_owned()), ChoiceRequest::Id("non".to_owned())]
        } else {
            self.choices
        };
        let has_blank = choices.iter().any(|choice| choice.id() == BLANK);
        if self.blank && !has_blank {
            choices.push(ChoiceRequest::Id(BLANK.to_owned()));
        }
        let default_policy =
            if self.binding { ResultsPolicy::AfterClose } else { ResultsPolicy::Live };
        let mut faults = Vec::new();
        let law_id = kept(&mut faults, "law_id", self.law_id.parse());
        let choices: Option<Vec<_>> = choices
            .into_iter()
            .map(|choice| kept(&mut faults, "choices", choice.choice()))
            .collect();
        let opens = planned(self.opens.as_deref(), UnixSeconds::minute_floor);
        let opens = kept(&mut faults, "opens", opens).flatten();
        let closes = planned(self.closes.as_deref(), UnixSeconds::minute_ceil);
        let closes = kept(&mut faults, "closes", closes).flatten();
        let choices_are_wrong = choices.is_none();
        let definition = Definition {
            // Where it is wrong, another one stands for it while the rest is checked.
            law_id: law_id.unwrap_or_else(|| "law".parse().expect("a law id")),
            title: Bilingual { fr: self.title_fr, en: self.title_en },
            description: Bilingual { fr: self.description_fr, en: self.description_en },
            choices: choices.unwrap_or_default(),
            binding: self.binding,
            results: self.results.unwrap_or(default_policy),
            publish_every: self.publish_every.unwrap_or(1),
            opens,
            closes,
            ballot_key,
        };
        let broken = definition.faults();
        faults.extend(
            broken
                .into_iter()
                .filter(|(field, _)| !(choices_are_wrong && *field == "choices"))
                .map(|(field, error)| FieldError { field, rule: error.to_string() }),
        );
        if faults.is_empty() { Ok(definition) } else { Err(AdminError::Fields { errors: faults }) }
    }
}

/// The value of a field; its error goes with the others.
fn kept<T, E: std::fmt::Display>(
    faults: &mut Vec<FieldError>,
    field: &'static str,
    value: Result<T, E>,
) -> Option<T> {
    value.map_err(|error| faults.push(FieldError { field, rule: error.to_string() })).ok()
}

impl ChoiceRequest {
    fn id(&self) -> &str {
        match self {
            Self::Id(id) | Self::Labelled { id, .. } => id,
        }
    }

    fn choice(self) -> Result<Choice, ChoiceIdError> {
        let id: ChoiceId = self.id().parse()?;
        Ok(match self {
            Self::Id(_) => Choice::with_customary_labels(id),
            Self::Labelled { fr, en, .. } => Choice { id, fr, en },
        })
    }
}

/// A planned time, to the minute.
fn planned(
    text: Option<&str>,
    round: fn(UnixSeconds) -> UnixMinutes,
) -> Result<Option<UnixMinutes>, TimeError> {
    text.map(|text| UnixSeconds::from_rfc3339(text).map(round)).transpose()
}

impl Node {
    /// Creates an election as a draft. Rolls that were loaded before take effect.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn create(&self, request: CreateElection) -> Result<ElectionView, AdminError> {
        // The rules are checked before a key is made for an election that cannot be.
        let unkeyed = votekit_core::ballot::BallotPublicKey::from_bytes([9; 32]);
        let law_id = request.clone().definition(unkeyed)?.law_id;
        let _creating = self.shared.creating.lock().await;
        if self.shared.election(&law_id).is_some() {
            return Err(AdminError::Exists { law_id });
        }
        let rolls = self.kept_rolls(&law_id)?;
        let secrets = ElectionSecrets::make(&self.shared.folder, &law_id)?;
        let definition = request.definition(secrets.ballot_key.public_key())?;
        let signer = CheckpointSigner::new(&self.shared.folder, &law_id, definition.binding)?;
        let now = self.now();
        let at = now.minutes();
        let term =
            self.shared.lead.term().ok_or_else(|| AdminError::NotLeading {
                leader: self.shared.lead.other_leader(),
            })?;
        let maker = BlockMaker { term, leader: signer.authority.as_str().to_owned(), at };
        let (chronicle, block) = Chronicle::begin(definition, &maker);
        let checkpoint = signer
            .sign(&block, now.seconds())
            .map_err(|error| AdminError::Setup(Box::new(error.into())))?;
        let sealed_through = StagingId(0);
        let head = Head {
            size: block.size_after(),
            height: block.height,
            term,
            checkpoint: checkpoint.clone(),
            sealed_through,
            takes_votes: false,
        };
        let stored = StoredBlock {
            height: block.height,
            first_leaf: block.first_leaf,
            leaf_count: block.leaf_count,
            leaves: block.leaves,
        };
        let commit = BlockCommit {
            law_id: law_id.clone(),
            block: stored,
            full_tiles: block.full_tiles,
            head,
            not_after: None,
        };
        self.shared.ledger.commit(&Arc::new(commit)).await?;
        let node = self.shared.folder.node_key()?.node_id();
        let committed = Committed::of(&chronicle, node, checkpoint, sealed_through);
        let snapshots = Snapshots::new(&self.shared, &law_id, None);
        let secrets = Some(secrets);
        let recovered = Recovered {
            committed,
            secrets,
            signer,
            hasher: None,
            earlier_epochs: vec![],
            staged_at_start: StagingId(0),
            snapshots,
            scrub: None,
        };
        let cell = self.add_election(chronicle, recovered)?;
        for manifest in &rolls {
            self.take_effect(&cell, manifest).await?;
        }
        Ok(ElectionView::of(&cell))
    }

    /// Opens the poll, with the zero report. A binding election refuses while it lacks what binding
    /// elections need.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn open(
        &self,
        law_id: &LawId,
        request: OpenElection,
    ) -> Result<ElectionView, AdminError> {
        let cell = self.cell(law_id)?;
        let _busy = self.busy(&cell)?;
        if let Some(unknown) = request.waivers.iter().find(|waiver| *waiver != "results") {
            let rule = format!("'{unknown}' is no rule that can be waived; 'results' is");
            return Err(AdminError::Field { field: "waivers", rule });
        }
        if cell.definition.binding {
            self.check_binding(&cell, &request.waivers).await?;
        }
        let now = self.now().minutes();
        let planned = cell.committed().results.definition.opens;
        let opens = planned.map_or(now, |planned| planned.max(now));
        let mut waivers = request.waivers;
        waivers.dedup();
        let mut acts = vec![Act::Open { opens, waivers }];
        // Nodes with a name in this folder belong to whoever holds it; others are admitted one by
        // one.
        let mut keys = vec![self.shared.folder.node_key()?.public_key()];
        keys.extend(self.shared.folder.named_nodes()?.into_iter().map(|(_, key)| key));
        keys.sort_unstable();
        keys.dedup();
        let chronicle = cell.chronicle().await;
        acts.extend(
            keys.into_iter()
                .filter(|key| chronicle.node_key(key.node_id()).is_none())
                .map(Act::Admit),
        );
        drop(chronicle);
        self.record(&cell, acts).await?;
        Ok(ElectionView::of(&cell))
    }

    async fn check_binding(
        &self,
        cell: &ElectionCell,
        waivers: &[String],
    ) -> Result<(), AdminError> {
        let mut missing = Vec::new();
        let chronicle = cell.chronicle().await;
        if chronicle.scheme().is_none() {
            return Err(ChronicleError::NoRoll.into());
        }
        if chronicle.scheme() != Some(HashScheme::HmacSha256) {
            missing.push(
                "its roll must be hashed under a pepper (votekit hashgen --pepper-file)".to_owned(),
            );
        }
        if cell.committed().results.definition.results != ResultsPolicy::AfterClose
            && !waivers.iter().any(|waiver| waiver == "results")
        {
            missing.push(
                "results must be shown after the close only (or waive this rule: --waive results)"
                    .to_owned(),
            );
        }
        if !self.shared.config.is_confidential() {
            missing.push(
                "votes must reach the node by TLS (--tls-cert and --tls-key, or --tls-proxy)"
                    .to_owned(),
            );
        }
        if self.shared.folder.base()?.as_str() == DataFolder::DEFAULT_BASE {
            missing.push(format!(
                "its log must be named after you, and this folder still has the name {}: load the roll into a new folder with --base",
                DataFolder::DEFAULT_BASE
            ));
        }
        for digest in chronicle.manifests() {
            let facts = roll_store::manifest(&self.shared.folder, digest)?.body().roll;
            if (1..CODE_LENGTH_MIN).contains(&facts.code_length_min) {
                missing.push(format!(
                    "access codes must have at least {CODE_LENGTH_MIN} characters; the shortest of manifest {digest} has {}",
                    facts.code_length_min
                ));
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(AdminError::NotSafe { missing }) }
    }

    /// Closes the poll: takes no more votes, decides those taken, reconciles, opens the totals. A
    /// close that was interrupted goes on.
    ///
    /// # Errors
    /// [`AdminError`]; the election then stays `closing` and nothing is lost.
    pub async fn close(&self, law_id: &LawId) -> Result<ElectionView, AdminError> {
        let cell = self.cell(law_id)?;
        let _busy = self.busy(&cell)?;
        let (reply, closed) = oneshot::channel();
        cell.sealer
            .send(SealerCommand::Close { reason: None, reply })
            .await
            .map_err(|_| AdminError::Stopping)?;
        closed.await.map_err(|_| AdminError::Unanswered)??;
        Ok(ElectionView::of(&cell))
    }

    /// Admits an ingest node by its public key: from then on its batches are taken. Admitting again
    /// changes nothing.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn admit_node(
        &self,
        law_id: &LawId,
        key: NodePublicKey,
    ) -> Result<ElectionView, AdminError> {
        let cell = self.cell(law_id)?;
        let _busy = self.busy(&cell)?;
        let state = cell.committed().state();
        if state >= State::Closing {
            return Err(AdminError::State { state, wanted: "given a node" });
        }
        if cell.chronicle().await.node_key(key.node_id()).is_none() {
            self.record(&cell, vec![Act::Admit(key)]).await?;
        }
        Ok(ElectionView::of(&cell))
    }

    /// The ingest nodes that an election admits, each with its epochs.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn nodes(&self, law_id: &LawId) -> Result<Vec<NodeView>, AdminError> {
        let cell = self.cell(law_id)?;
        let leases = self.shared.ledger.leases(law_id).await?;
        let epochs = self.shared.ledger.epochs(law_id).await?;
        let names = self.shared.folder.named_nodes()?;
        let alone = !self.shared.is_shared;
        let chronicle = cell.chronicle().await;
        let nodes = chronicle.nodes().map(|(node, key)| NodeView {
            node: node.to_string(),
            public_key: key.to_string(),
            name: names.iter().find(|(_, named)| named == key).map(|(name, _)| name.to_string()),
            answering: leases.iter().any(|lease| lease.node == node)
                || (alone && chronicle.state() == State::Open),
            epochs: epochs
                .iter()
                .filter(|(owner, _)| *owner == node)
                .map(|(_, epoch)| {
                    let progress = chronicle.fold().epochs().progress(node, *epoch);
                    EpochView { epoch: epoch.0, sealed: progress.through.0, ended: progress.ended }
                })
                .collect(),
        });
        Ok(nodes.collect())
    }

    /// Retires an ingest node that is gone for good: it may answer nobody any more, what it
    /// confirmed is decided, and its numbers above are void in the log. Retiring again changes
    /// nothing.
    ///
    /// # Errors
    /// [`AdminError`]; what it could not do is done when it is asked again.
    pub async fn retire_node(
        &self,
        law_id: &LawId,
        node: NodeId,
    ) -> Result<ElectionView, AdminError> {
        let cell = self.cell(law_id)?;
        let _busy = self.busy(&cell)?;
        let (reply, retired) = oneshot::channel();
        cell.sealer
            .send(SealerCommand::Retire(node, reply))
            .await
            .map_err(|_| AdminError::Stopping)?;
        retired.await.map_err(|_| AdminError::Unanswered)??;
        Ok(ElectionView::of(&cell))
    }

    /// Declares the result official: the digest of the results as JSON goes into the log.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn certify(&self, law_id: &LawId) -> Result<ElectionView, AdminError> {
        let cell = self.cell(law_id)?;
        let _busy = self.busy(&cell)?;
        let committed = cell.committed();
        if committed.state() != State::Closed {
            return Err(AdminError::State { state: committed.state(), wanted: "certified" });
        }
        let results = export::json::certified_digest(&committed.results);
        self.record(&cell, vec![Act::Certify { results }]).await?;
        Ok(ElectionView::of(&cell))
    }

    /// Loads a hashed roll or supplement from a folder: checks every digest, count and signature,
    /// keeps it, and lets it take effect in each election that exists. Loading again changes
    /// nothing and never unspends.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn load(
        &self,
        folder: &Path,
        pepper: Option<&Path>,
    ) -> Result<LoadReport, AdminError> {
        let manifest = roll_store::keep(&self.shared.folder, folder, pepper)?;
        self.shared.ledger.put_manifest(&manifest.encode()).await?;
        let mut laws = Vec::new();
        for row in &manifest.body().laws {
            let (outcome, registered) = match self.shared.election(&row.law_id) {
                None => (LoadOutcome::Kept, 0),
                Some(cell) => {
                    let outcome = self.take_effect(&cell, &manifest).await?;
                    (outcome, cell.committed().results.registered)
                }
            };
            laws.push(LoadedLaw {
                law_id: row.law_id.to_string(),
                keys: row.registered,
                outcome,
                registered,
            });
        }
        let peppered = manifest.body().scheme == HashScheme::HmacSha256;
        Ok(LoadReport { manifest: manifest.digest().to_hex(), peppered, laws })
    }

    /// Destroys the evidence and the ballot key of a certified election. The log and its totals
    /// stay.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn purge(&self, law_id: &LawId) -> Result<u64, AdminError> {
        let cell = self.cell(law_id)?;
        let _busy = self.busy(&cell)?;
        let state = cell.committed().state();
        if !matches!(state, State::Certified | State::Annulled) {
            return Err(AdminError::State { state, wanted: "purged" });
        }
        if self.shared.lead.term().is_none() {
            return Err(AdminError::NotLeading { leader: self.shared.lead.other_leader() });
        }
        // The log says so first: evidence that is gone without a word in the log is damage.
        if !cell.chronicle().await.is_purged() {
            self.record(&cell, vec![Act::Purge]).await?;
        }
        let batches = self.shared.ledger.purge_evidence(law_id).await?;
        self.shared.folder.destroy_election_keys(law_id)?;
        cell.forget_secrets();
        Ok(batches)
    }

    fn cell(&self, law_id: &LawId) -> Result<Arc<ElectionCell>, AdminError> {
        self.shared
            .election(law_id)
            .ok_or_else(|| AdminError::UnknownElection { law_id: law_id.clone() })
    }

    /// One administrative call at a time on an election.
    fn busy(
        &self,
        cell: &Arc<ElectionCell>,
    ) -> Result<tokio::sync::OwnedMutexGuard<()>, AdminError> {
        let busy = || AdminError::Busy { law_id: cell.law_id().clone() };
        Arc::clone(&cell.admin).try_lock_owned().map_err(|_| busy())
    }

    async fn record(&self, cell: &ElectionCell, acts: Vec<Act>) -> Result<(), AdminError> {
        let (reply, recorded) = oneshot::channel();
        cell.sealer
            .send(SealerCommand::Record(acts, reply))
            .await
            .map_err(|_| AdminError::Stopping)?;
        recorded.await.map_err(|_| AdminError::Unanswered)?
    }

    /// The kept rolls that bring something to an election, each after its parent.
    fn kept_rolls(&self, law_id: &LawId) -> Result<Vec<Manifest>, AdminError> {
        let mut waiting = Vec::new();
        for digest in self.shared.folder.rolls()? {
            waiting.push(roll_store::manifest(&self.shared.folder, &digest)?);
        }
        let (mut ordered, mut placed) = (Vec::new(), BTreeSet::new());
        while let Some(next) = waiting.iter().position(|manifest| {
            manifest.body().parent.is_none_or(|parent| placed.contains(&parent))
        }) {
            let manifest = waiting.remove(next);
            placed.insert(manifest.digest());
            ordered.push(manifest);
        }
        ordered.retain(|manifest| manifest.law(law_id).is_some());
        Ok(ordered)
    }

    /// Lets a kept roll take effect in an election, unless it has.
    async fn take_effect(
        &self,
        cell: &ElectionCell,
        manifest: &Manifest,
    ) -> Result<LoadOutcome, AdminError> {
        let digest = manifest.digest();
        if cell.chronicle().await.has_manifest(&digest) {
            return Ok(LoadOutcome::Unchanged);
        }
        let Some(content) = roll_store::content(&self.shared.folder, &digest, cell.law_id())?
        else {
            return Ok(LoadOutcome::Unchanged);
        };
        let load = RollLoad {
            manifest: digest,
            parent: manifest.body().parent,
            replaces: None,
            scheme: manifest.body().scheme,
            content: content.clone(),
        };
        // What can fail is done before the log says that the roll took effect; the registry is a
        // hint, and asked again until it has it.
        let hasher = roll_store::hasher(&self.shared.folder, &digest)?;
        let origin = RollOrigin::of(manifest);
        let electors = electors(&content);
        until_definite("the registry", || {
            self.shared.registry.prepare(cell.law_id(), &origin, electors)
        })
        .await?;
        self.record(cell, vec![Act::Load(load)]).await?;
        cell.set_hasher(digest, hasher);
        let add = || add_to_registry(&self.shared, cell.law_id(), &content);
        until_definite("the registry", add).await.map_err(|error| match error {
            EngineError::Misconfigured { engine, reason, hint } => EngineError::Misconfigured {
                engine,
                reason,
                hint: format!("the roll has taken effect: {hint}; then `votekit registry rebuild`"),
            },
            other => other,
        })?;
        Ok(LoadOutcome::Loaded)
    }
}

/// Credentials that are added.
fn electors(content: &RollContent) -> u64 {
    match content {
        RollContent::Roll(keys) => keys.len() as u64,
        RollContent::Supplement(changes) => (changes.add.len() + changes.replace.len()) as u64,
    }
}
