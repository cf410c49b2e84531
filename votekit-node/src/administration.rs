//! What officials and operators do with elections: create, load a roll, open, close, certify,
//! purge.
//!
//! Long because each act of an official stands here with its checks; one file each would share all
//! of its imports and its private helpers.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::ToSchema;
use votekit_core::batch::NodePublicKey;
use votekit_core::chronicle::{Act, BlockMaker, Chronicle, ChronicleError, RollContent, RollLoad};
use votekit_core::credential::HashScheme;
use votekit_core::election::{
    BLANK, Bilingual, Choice, ChoiceId, Definition, ResultsPolicy, State,
};
use votekit_core::export;
use votekit_core::id::{Digest, LawId, NodeId};
use votekit_core::instant::{TimeError, UnixMinutes, UnixSeconds};
use votekit_core::manifest::Manifest;

use crate::data_folder::DataFolder;
use crate::election_cell::{CheckpointSigner, Committed, ElectionCell, ElectionSecrets};
use crate::engine::{BlockCommit, EngineError, Head, RollOrigin, StagingId, StoredBlock};
use crate::node::{AdminError, Node};
use crate::recovery::{Recovered, add_to_registry};
use crate::retry::until_definite;
use crate::roll_store::{self, LoadProgress};
use crate::sealing::SealerCommand;
use crate::snapshots::Snapshots;
use crate::supplement_report::{LiveBefore, SupplementReport};
use crate::view::{ElectionView, EpochView, NodeView};

/// How long the files of a roll may take to be read, checked and copied: eight million electors
/// take minutes from a slow disk.
const LOAD_TIME: Duration = Duration::from_secs(600);

/// The shortest access code of a binding election.
const CODE_LENGTH_MIN: u32 = 8;

/// A choice as it is asked for: by its id, or with its labels.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
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
    pub law_id: String,
    /// The French title.
    pub title_fr: String,
    /// The English title.
    pub title_en: String,
    /// The French description.
    #[serde(default)]
    pub description_fr: String,
    /// The English description.
    #[serde(default)]
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
    pub waivers: Vec<String>,
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
    /// What a supplement changed; absent for a roll, and for what had been loaded before.
    #[serde(flatten)]
    pub changes: Option<SupplementReport>,
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
        let definition = Definition {
            law_id: self.law_id.parse().map_err(invalid("law_id"))?,
            title: Bilingual { fr: self.title_fr, en: self.title_en },
            description: Bilingual { fr: self.description_fr, en: self.description_en },
            choices: choices.into_iter().map(ChoiceRequest::choice).collect::<Result<_, _>>()?,
            binding: self.binding,
            results: self.results.unwrap_or(default_policy),
            publish_every: self.publish_every.unwrap_or(1),
            opens: planned(self.opens.as_deref(), UnixSeconds::minute_floor)
                .map_err(invalid("opens"))?,
            closes: planned(self.closes.as_deref(), UnixSeconds::minute_ceil)
                .map_err(invalid("closes"))?,
            ballot_key,
        };
        Ok(definition.checked()?)
    }
}

impl ChoiceRequest {
    fn id(&self) -> &str {
        match self {
            Self::Id(id) | Self::Labelled { id, .. } => id,
        }
    }

    fn choice(self) -> Result<Choice, AdminError> {
        let id: ChoiceId = self.id().parse().map_err(invalid("choices"))?;
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

fn invalid<E: std::fmt::Display>(field: &'static str) -> impl Fn(E) -> AdminError {
    move |error| AdminError::Field { field, rule: error.to_string() }
}

impl Node {
    /// Creates an election as a draft. Rolls that were loaded before take effect.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn create(&self, request: CreateElection) -> Result<ElectionView, AdminError> {
        let law_id: LawId = request.law_id.parse().map_err(invalid("law_id"))?;
        let _creating = self.shared.creating.lock().await;
        if self.shared.election(&law_id).is_some() {
            return Err(AdminError::Exists { law_id });
        }
        // The rules are checked before a key is made for an election that cannot be.
        let unkeyed = votekit_core::ballot::BallotPublicKey::from_bytes([9; 32]);
        request.clone().definition(unkeyed)?;
        let (law, binding) = (law_id.clone(), request.binding);
        let (rolls, secrets, signer, node) = self
            .on_files(move |folder| {
                let rolls = kept_rolls(folder, &law)?;
                let secrets = ElectionSecrets::make(folder, &law)?;
                let signer = CheckpointSigner::new(folder, &law, binding)?;
                Ok((rolls, secrets, signer, folder.node_key()?.node_id()))
            })
            .await?;
        let definition = request.definition(secrets.ballot_key.public_key())?;
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
        // A clock that went back opens nothing before what the log holds already.
        let now = self.now().max(cell.latest_stamp()).minutes();
        let planned = cell.committed().results.definition.opens;
        let opens = planned.map_or(now, |planned| planned.max(now));
        let mut waivers = request.waivers;
        waivers.dedup();
        let mut acts = vec![Act::Open { opens, waivers }];
        // Nodes with a name in this folder belong to whoever holds it; others are admitted one by
        // one.
        let mut keys = self
            .on_files(|folder| {
                let mut keys = vec![folder.node_key()?.public_key()];
                keys.extend(folder.named_nodes()?.into_iter().map(|(_, key)| key));
                Ok(keys)
            })
            .await?;
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
        let digests: Vec<Digest> = chronicle.manifests().to_vec();
        drop(chronicle);
        let rolls = self
            .on_files(move |folder| {
                let read =
                    |digest| Ok((digest, roll_store::manifest(folder, &digest)?.body().roll));
                digests.into_iter().map(read).collect::<Result<Vec<_>, AdminError>>()
            })
            .await?;
        for (digest, facts) in rolls {
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
        self.ask_sealer(&cell, |reply| SealerCommand::Close { reason: None, reply }).await?;
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
        let names = self.on_files(|folder| Ok(folder.named_nodes()?)).await?;
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
        self.ask_sealer(&cell, |reply| SealerCommand::Retire(node, reply)).await?;
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
        let loading = Arc::clone(&self.shared.loading);
        let loading = Arc::new(loading.try_lock_owned().map_err(|_| AdminError::Loading)?);
        let manifest = self.keep_roll(folder, pepper, &loading).await?;
        self.shared.ledger.put_manifest(&manifest.encode()).await?;
        let mut laws = Vec::new();
        for row in &manifest.body().laws {
            let content = match manifest.is_supplement() {
                true => roll_store::content(&self.shared.folder, &manifest.digest(), &row.law_id)?,
                false => None,
            };
            let content = content.as_ref();
            let (outcome, registered, changes) = match self.shared.election(&row.law_id) {
                None => (LoadOutcome::Kept, 0, content.and_then(SupplementReport::planned)),
                Some(cell) => {
                    let before = match content {
                        Some(RollContent::Supplement(changes)) => {
                            Some(LiveBefore::new(changes, cell.chronicle().await.electorate()))
                        }
                        _ => None,
                    };
                    let outcome = self.take_effect(&cell, &manifest).await?;
                    let changes = match before.filter(|_| outcome == LoadOutcome::Loaded) {
                        Some(before) => Some(before.compare(cell.chronicle().await.electorate())),
                        None => None,
                    };
                    (outcome, cell.committed().results.registered, changes)
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
        let law = law_id.clone();
        self.on_files(move |folder| Ok(folder.destroy_election_keys(&law)?)).await?;
        cell.forget_secrets();
        Ok(batches)
    }

    fn cell(&self, law_id: &LawId) -> Result<Arc<ElectionCell>, AdminError> {
        self.shared
            .election(law_id)
            .ok_or_else(|| AdminError::UnknownElection { law_id: law_id.clone() })
    }

    /// One administrative call at a time on an election, and none on one that is halted here.
    fn busy(
        &self,
        cell: &Arc<ElectionCell>,
    ) -> Result<tokio::sync::OwnedMutexGuard<()>, AdminError> {
        if let Some(reason) = cell.halted() {
            return Err(halted(cell, reason));
        }
        let busy = || AdminError::Busy { law_id: cell.law_id().clone() };
        Arc::clone(&cell.admin).try_lock_owned().map_err(|_| busy())
    }

    async fn record(&self, cell: &ElectionCell, acts: Vec<Act>) -> Result<(), AdminError> {
        self.ask_sealer(cell, |reply| SealerCommand::Record(acts, reply)).await
    }

    /// Has the sealer of an election do something, and waits for what it says. A sealer that ends
    /// meanwhile may have done it.
    async fn ask_sealer(
        &self,
        cell: &ElectionCell,
        command: impl FnOnce(oneshot::Sender<Result<(), AdminError>>) -> SealerCommand,
    ) -> Result<(), AdminError> {
        let (reply, done) = oneshot::channel();
        if cell.sealer.send(command(reply)).await.is_err() {
            let halted = cell.halted().map(|reason| halted(cell, reason));
            return Err(halted.unwrap_or(AdminError::Stopping));
        }
        done.await.unwrap_or(Err(AdminError::OutcomeUnknown))
    }

    /// Works on files of the data folder, on a thread that may block: voters are waiting on the
    /// others.
    async fn on_files<T: Send + 'static>(
        &self,
        work: impl FnOnce(&DataFolder) -> Result<T, AdminError> + Send + 'static,
    ) -> Result<T, AdminError> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || work(&shared.folder)).await;
        // It panicked, and how far it had come is not known.
        done.unwrap_or(Err(AdminError::OutcomeUnknown))
    }

    /// Reads, checks and keeps a roll on a thread that may block, and gives it up when its files
    /// take too long. No other roll is loaded before that thread has ended.
    async fn keep_roll(
        &self,
        folder: &Path,
        pepper: Option<&Path>,
        loading: &Arc<tokio::sync::OwnedMutexGuard<()>>,
    ) -> Result<Manifest, AdminError> {
        let (source, pepper) = (folder.to_owned(), pepper.map(Path::to_owned));
        let progress = Arc::new(LoadProgress::default());
        let (reading, loading) = (Arc::clone(&progress), Arc::clone(loading));
        let keep = self.on_files(move |folder| {
            let kept = roll_store::keep(folder, &source, pepper.as_deref(), &reading);
            drop(loading);
            Ok(kept?)
        });
        let mut keep = std::pin::pin!(keep);
        match tokio::time::timeout(LOAD_TIME, &mut keep).await {
            Ok(kept) => kept,
            Err(_) if progress.give_up() => Err(AdminError::TooLong {
                what: "reading the files of the roll",
                seconds: LOAD_TIME.as_secs(),
            }),
            // Read and checked: what is left is two names.
            Err(_) => keep.await,
        }
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
        let law_id = cell.law_id().clone();
        let (content, hasher) = self
            .on_files(move |folder| {
                let content = roll_store::content(folder, &digest, &law_id)?;
                Ok((content, roll_store::hasher(folder, &digest)?))
            })
            .await?;
        let Some(content) = content else { return Ok(LoadOutcome::Unchanged) };
        let load = RollLoad {
            manifest: digest,
            parent: manifest.body().parent,
            replaces: None,
            scheme: manifest.body().scheme,
            content: content.clone(),
        };
        // What can fail is done before the log says that the roll took effect; the registry is a
        // hint, and asked again until it has it.
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

/// The kept rolls that bring something to an election, each after its parent.
fn kept_rolls(folder: &DataFolder, law_id: &LawId) -> Result<Vec<Manifest>, AdminError> {
    let mut waiting = Vec::new();
    for digest in folder.rolls()? {
        waiting.push(roll_store::manifest(folder, &digest)?);
    }
    let (mut ordered, mut placed) = (Vec::new(), BTreeSet::new());
    while let Some(next) = waiting
        .iter()
        .position(|manifest| manifest.body().parent.is_none_or(|parent| placed.contains(&parent)))
    {
        let manifest = waiting.remove(next);
        placed.insert(manifest.digest());
        ordered.push(manifest);
    }
    ordered.retain(|manifest| manifest.law(law_id).is_some());
    Ok(ordered)
}

fn halted(cell: &ElectionCell, reason: &str) -> AdminError {
    AdminError::Halted { law_id: cell.law_id().clone(), reason: reason.to_owned() }
}

/// Credentials that are added.
fn electors(content: &RollContent) -> u64 {
    match content {
        RollContent::Roll(keys) => keys.len() as u64,
        RollContent::Supplement(changes) => (changes.add.len() + changes.replace.len()) as u64,
    }
}
