//! The state of one election, as its log tells it, and the making of the next block.
//!
//! A [`ElectionLog`] is moved in two ways that must agree: by making blocks ([`ElectionLog::record`],
//! [`ElectionLog::seal`], [`ElectionLog::close`]) and by reading them back ([`ElectionLog::replay`]), the
//! whole log or what came after a [`snapshot`]. Making a block is a pure function of the log,
//! the batches and the times handed in: every authority that has the same log makes the same bytes.
//!
//! Long because the acts that move a log and the questions it answers share its private
//! state; blocks, replay, snapshots and scrubbing have files of their own.

mod block;
mod evidence;
mod replay;
mod scrub;
pub mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ballot::BallotSecretKey;
use crate::batch::{Batch, BatchError, NodePublicKey, VerifiedBatch};
use crate::credential::HashScheme;
use crate::decision::DecisionState;
use crate::election::{Definition, DefinitionError, ResultsPolicy, State, Window, check_text};
use crate::electorate::{Changes, Electorate, ElectorateError, KeyList};
use crate::epochs::{EpochProgress, OrderError};
use crate::id::{Digest, Epoch, NodeId};
use crate::instant::UnixMinutes;
use crate::log::leaf::{
    BatchLeaf, BlockLeaf, Counts as CountsLeaf, ElectionEvent, Leaf, LeafError, NodeEvent,
    RollEvent,
};
use crate::log::merkle::TreeBuilder;
use crate::reconcile::{Imbalance, Report};
use crate::request_index::requests_expected;
use crate::results::Results;
use crate::tally::{self, Counts, Tally, Totals};

pub use block::{Block, BlockMaker, leaves_of_block};
pub use evidence::{Evidence, EvidenceFault};
pub use replay::ReplaySource;
pub use scrub::{FindFirst, Scrub, ScrubError};

use block::BlockBuilder;

/// Characters of a reason in the log at the most.
pub const REASON_LENGTH_MAX: usize = 500;

/// How far the effective closing may lie after the time at which the closing is recorded, in
/// minutes.
///
/// Without this bound an election without a planned closing could stay open for years behind a
/// closing that is in the log already. A node names the minute after the last one in which any node
/// may still answer a voter: at most 2 minutes ahead, with leases of 3 seconds (`closing_time` in
/// `votekit-node/src/closing.rs`). It names a later one only while its clock stands behind stamps
/// that it gave out and has not sealed; then the closing is refused until the clock catches up.
pub const CLOSING_AHEAD_MINUTES_MAX: u64 = 5;

/// Whether a closing recorded at a time names one that lies too far ahead.
pub(crate) fn is_too_far_ahead(closes: UnixMinutes, at: UnixMinutes) -> bool {
    closes.0.saturating_sub(at.0) > CLOSING_AHEAD_MINUTES_MAX
}

/// A roll that takes effect: its manifest and its keys.
#[derive(Debug, Clone)]
pub struct RollLoad {
    /// SHA-256 of the manifest.
    pub manifest: Digest,
    /// The manifest that this one supplements.
    pub parent: Option<Digest>,
    /// The roll that this one replaces, by its first manifest: only in a draft.
    pub replaces: Option<Digest>,
    /// How credentials are hashed.
    pub scheme: HashScheme,
    /// What it brings.
    pub content: RollContent,
}

/// What sealing came to.
#[derive(Debug)]
pub struct Sealed {
    /// The block.
    pub block: Block,
    /// Batches that are not in it, each with the reason.
    pub refused: Vec<(VerifiedBatch, OrderError)>,
}

/// What a manifest brings to one election.
#[derive(Debug, Clone)]
pub enum RollContent {
    /// A roll's keys.
    Roll(Arc<KeyList>),
    /// A supplement's changes.
    Supplement(Arc<Changes>),
}

impl RollContent {
    /// The most credentials that it can add.
    #[must_use]
    pub fn electors(&self) -> u64 {
        match self {
            Self::Roll(keys) => keys.len() as u64,
            Self::Supplement(changes) => {
                (changes.add.len() + changes.replace.len() + changes.readmit.len()) as u64
            }
        }
    }
}

/// Something an official or an operator does, to be recorded in a block of its own.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LogEvent {
    /// The definition of a draft is replaced.
    Amend {
        /// The whole new definition: same law, binding and ballot key.
        definition: Box<Definition>,
    },
    /// A roll or a supplement takes effect.
    Load(RollLoad),
    /// An ingest node is admitted.
    Admit(NodePublicKey),
    /// An epoch of a node that is gone for good is ended: its numbers above what the log holds are
    /// void.
    Retire {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: Epoch,
    },
    /// The poll opens.
    Open {
        /// The first minute whose votes count.
        opens: UnixMinutes,
        /// Rules of a binding election that are waived.
        waivers: Vec<String>,
    },
    /// The poll closes: votes received from this minute on do not count.
    Closing {
        /// The effective closing time, at most [`CLOSING_AHEAD_MINUTES_MAX`] minutes ahead. The
        /// planned one takes its place if that is earlier.
        closes: UnixMinutes,
        /// Why the poll closes before the planned closing: needed if it does, else not written.
        reason: Option<String>,
    },
    /// The result is declared official.
    Certify {
        /// SHA-256 of the results as JSON.
        results: Digest,
    },
    /// The election is declared void.
    Annul {
        /// Why.
        reason: String,
    },
    /// Evidence and keys are about to be destroyed.
    Purge,
}

/// Why an act or a batch does not fit the state of the election.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElectionLogError {
    /// The act is not possible in this state.
    #[error(
        "the election is {state}: it cannot be {wanted} now; an election is a draft, then open, closing, closed, certified, annulled"
    )]
    State {
        /// The state it is in.
        state: State,
        /// What was wanted, as a participle.
        wanted: &'static str,
    },
    /// A poll closes after it opens.
    #[error("the poll would close ({closes}) no later than it opens ({opens})")]
    Times {
        /// When it opens.
        opens: UnixMinutes,
        /// When it would close.
        closes: UnixMinutes,
    },
    /// The opening would be before the planned one.
    #[error("the poll would open ({opens}) before its planned opening ({planned})")]
    Early {
        /// When it would open.
        opens: UnixMinutes,
        /// The planned opening.
        planned: UnixMinutes,
    },
    /// A poll that closes before the planned closing needs a reason.
    #[error(
        "the poll would close ({closes}) before its planned closing ({planned}): that needs a reason"
    )]
    EarlyReason {
        /// When it would close.
        closes: UnixMinutes,
        /// The planned closing.
        planned: UnixMinutes,
    },
    /// The closing lies too far after the time at which it is recorded.
    #[error(
        "the poll would close ({closes}) more than {CLOSING_AHEAD_MINUTES_MAX} minutes after the closing is recorded ({at}): did the clock run ahead?"
    )]
    FarClosing {
        /// When it would close.
        closes: UnixMinutes,
        /// When the closing is recorded.
        at: UnixMinutes,
    },
    /// An amendment may not change this part of the definition.
    #[error("an amendment cannot change {what}")]
    Amendment {
        /// The part.
        what: &'static str,
    },
    /// The definition or a reason breaks a rule.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The node key is not usable.
    #[error("the key of node {node} is not a usable Ed25519 key")]
    NodeKey {
        /// The node.
        node: NodeId,
    },
    /// The election has been purged already.
    #[error("evidence and keys of this election are destroyed already")]
    Purged,
    /// No roll has been loaded.
    #[error("no roll has been loaded for this election")]
    NoRoll,
    /// A roll is loaded once; later changes come as supplements.
    #[error("another roll is loaded already; late changes come as supplements to it")]
    SecondRoll,
    /// A roll can be replaced in a draft only, and names the roll that it replaces.
    #[error(
        "the roll names another roll to replace than the one loaded, or the election is not a draft"
    )]
    Replaces,
    /// A supplement must name the manifest that was loaded last.
    #[error("the supplement is made for manifest {parent}, which is not the one loaded last")]
    Parent {
        /// The parent it names.
        parent: Digest,
    },
    /// A supplement hashes credentials as its roll does.
    #[error("the supplement hashes credentials by another scheme than the roll")]
    Scheme,
    /// The keys are no roll.
    #[error(transparent)]
    Electorate(#[from] ElectorateError),
    /// The batch is of a node that was not admitted.
    #[error("node {node} is not admitted to this election")]
    NotAdmitted {
        /// The node.
        node: NodeId,
    },
    /// The batch is of another election, or not signed by its node.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The batch does not follow.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The accounts of the close do not add up.
    #[error(transparent)]
    Imbalance(#[from] Imbalance),
    /// The epoch has ended already.
    #[error("epoch {epoch} of node {node} has ended already")]
    EpochEnded {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: u32,
    },
    /// An epoch has neither ended nor been retired.
    #[error("the close waits for node {node}, epoch {epoch}: it has not ended")]
    OpenEpoch {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: u32,
    },
    /// An epoch is missing although the node had a later one.
    #[error("the close waits for node {node}, epoch {epoch}: nothing in the log ends it")]
    MissingEpoch {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: u32,
    },
    /// The batch that the log names is not the stored one, or decides otherwise.
    #[error("leaf {index}: {fault}")]
    Evidence {
        /// The index of the leaf.
        index: u64,
        /// What differs.
        fault: EvidenceFault,
    },
    /// A leaf does not parse.
    #[error("leaf {index}: {error}")]
    Leaf {
        /// Its index in the log.
        index: u64,
        /// What is wrong.
        error: LeafError,
    },
    /// A leaf read back does not follow from those before it.
    #[error("leaf {index} does not follow from the log before it: {rule}")]
    Contradiction {
        /// Its index in the log.
        index: u64,
        /// The rule it breaks.
        rule: &'static str,
    },
}

/// The state of one election as its log tells it.
#[derive(Debug)]
pub struct ElectionLog {
    definition: Definition,
    state: State,
    window: Window,
    opened: Option<UnixMinutes>,
    closed: Option<UnixMinutes>,
    scheme: Option<HashScheme>,
    manifests: Vec<Digest>,
    /// Manifests of rolls, and of their supplements, that another roll has replaced.
    replaced: Vec<Digest>,
    /// How many requests were decided when each manifest took effect.
    decided_before: Vec<usize>,
    electorate: Electorate,
    nodes: BTreeMap<NodeId, NodePublicKey>,
    decisions: DecisionState,
    report: Report,
    tally: Tally,
    /// The sums last opened, or under the other policies the sums that may be shown.
    published: Tally,
    /// Sums that may be opened once as many newer votes are held back.
    candidate: Option<Tally>,
    tree: TreeBuilder,
    height: u64,
    updated_at: UnixMinutes,
    /// Whether the log says that evidence and keys are destroyed.
    purged: bool,
    /// Set while reading back a log whose evidence has been destroyed.
    evidence_missing: bool,
    /// While a whole log is read back: the choice of each decided request, so that a replay is
    /// compared with the first envelope.
    choices: Option<Vec<u16>>,
}

impl ElectionLog {
    /// Starts the log of an election: block 1, with the draft.
    #[must_use]
    pub fn begin(definition: Definition, maker: &BlockMaker) -> (Self, Block) {
        let mut log = Self::draft(definition.clone());
        let mut block = BlockBuilder::new(log.tree.size());
        block.push(&Leaf::Election(ElectionEvent::Draft { at: maker.at, definition }));
        let block = log.finish(block, maker);
        (log, block)
    }

    fn draft(definition: Definition) -> Self {
        let tally = Tally::new(definition.choices.len());
        Self {
            state: State::Draft,
            window: Window { opens: None, closes: definition.closes },
            opened: None,
            closed: None,
            scheme: None,
            manifests: Vec::new(),
            replaced: Vec::new(),
            decided_before: Vec::new(),
            electorate: Electorate::default(),
            nodes: BTreeMap::new(),
            decisions: DecisionState::new(definition.law_id.clone(), 0),
            report: Report::default(),
            published: tally.clone(),
            candidate: None,
            tally,
            tree: TreeBuilder::new(),
            height: 0,
            updated_at: UnixMinutes(0),
            purged: false,
            evidence_missing: false,
            choices: None,
            definition,
        }
    }

    /// Records acts in one block.
    ///
    /// # Errors
    /// [`ElectionLogError`] when one does not fit. Then the log may hold part of the acts and
    /// must be read back from the log.
    pub fn record(
        &mut self,
        acts: &[LogEvent],
        maker: &BlockMaker,
    ) -> Result<Block, ElectionLogError> {
        let mut block = BlockBuilder::new(self.tree.size());
        for act in acts {
            let leaf = self.apply_event(act, self.event_time(maker))?;
            block.push(&leaf);
        }
        Ok(self.finish(block, maker))
    }

    /// Verifies a batch for this election: right law, admitted node, good signature.
    ///
    /// # Errors
    /// [`ElectionLogError`] with the first rule it breaks.
    pub fn verify_batch(&self, batch: &Arc<Batch>) -> Result<VerifiedBatch, ElectionLogError> {
        let node = batch.number().node;
        let key = self.nodes.get(&node).ok_or(ElectionLogError::NotAdmitted { node })?;
        Ok(batch.verify(&self.definition.law_id, key)?)
    }

    /// Decides batches and seals them in one block. Each must be the next of its epoch; those that
    /// are not are left out and returned with the reason.
    ///
    /// # Errors
    /// [`ElectionLogError::State`] before the opening and after the close.
    pub fn seal(
        &mut self,
        batches: &[VerifiedBatch],
        ballot_key: &BallotSecretKey,
        maker: &BlockMaker,
    ) -> Result<Sealed, ElectionLogError> {
        if !matches!(self.state, State::Open | State::Closing) {
            return Err(ElectionLogError::State { state: self.state, wanted: "voted on" });
        }
        let scheme = self.scheme.ok_or(ElectionLogError::NoRoll)?;
        let mut block = BlockBuilder::new(self.tree.size());
        let mut counts = Counts::zero(self.definition.choices.len());
        let mut refused = Vec::new();
        for batch in batches {
            let first = block.next_leaf() + 1;
            match self.decisions.decide(batch, &mut self.electorate, scheme, &self.window, first) {
                Ok(outcomes) => {
                    block.push(&Leaf::Batch(batch_leaf(batch)));
                    for (outcome, choice) in outcomes.into_iter().zip(batch.open(ballot_key)) {
                        self.report.count(outcome.entry());
                        counts.count(outcome.entry(), choice);
                        block.push_outcome(outcome);
                    }
                }
                Err(error) => refused.push((batch.clone(), error)),
            }
        }
        let height = self.height + 1;
        if refused.len() < batches.len() {
            let commitments = tally::commit(&counts, ballot_key, &self.definition.law_id, height);
            block.push(&Leaf::Counts(CountsLeaf { commitments }));
            self.tally.add_block(&counts, ballot_key, &self.definition.law_id, height);
            if let Some(totals) = self.publish() {
                block.push(&Leaf::Totals(totals));
            }
        }
        Ok(Sealed { block: self.finish(block, maker), refused })
    }

    /// Closes the election: reconciles, opens the totals, records both.
    ///
    /// # Errors
    /// [`ElectionLogError`] while an epoch is open or an account does not add up; nothing has changed
    /// then.
    pub fn close(&mut self, maker: &BlockMaker) -> Result<Block, ElectionLogError> {
        if self.state != State::Closing {
            return Err(ElectionLogError::State { state: self.state, wanted: "closed" });
        }
        if let Some((node, epoch)) = self.decisions.epochs().open().next() {
            return Err(ElectionLogError::OpenEpoch { node, epoch: epoch.0 });
        }
        if let Some((node, epoch)) = self.decisions.epochs().missing().next() {
            return Err(ElectionLogError::MissingEpoch { node, epoch: epoch.0 });
        }
        self.report.reconcile(self.tally.counts(), self.electorate.registered())?;
        let mut block = BlockBuilder::new(self.tree.size());
        let (registered, report) = (self.electorate.registered(), self.report);
        block.push(&Leaf::Election(ElectionEvent::Closed {
            at: self.event_time(maker),
            registered,
            report,
        }));
        block.push(&Leaf::Totals(self.tally.open(self.height + 1)));
        self.published = self.tally.clone();
        self.state = State::Closed;
        Ok(self.finish(block, maker))
    }

    /// The time of an event in the block that is being made: never before the last block.
    fn event_time(&self, maker: &BlockMaker) -> UnixMinutes {
        maker.at.max(self.updated_at)
    }

    fn apply_event(&mut self, act: &LogEvent, at: UnixMinutes) -> Result<Leaf, ElectionLogError> {
        match act {
            LogEvent::Amend { definition } => self.amend(definition, at).map(Leaf::Election),
            LogEvent::Load(load) => self.load(load).map(Leaf::Roll),
            LogEvent::Admit(key) => self.admit(key).map(Leaf::Node),
            LogEvent::Retire { node, epoch } => self.retire(*node, *epoch).map(Leaf::Node),
            LogEvent::Open { opens, waivers } => self.open(*opens, waivers, at).map(Leaf::Election),
            LogEvent::Closing { closes, reason } => {
                self.begin_close(*closes, reason.as_deref(), at).map(Leaf::Election)
            }
            LogEvent::Certify { results } => {
                self.expect_state(State::Closed, "certified")?;
                self.state = State::Certified;
                Ok(Leaf::Election(ElectionEvent::Certified { at, results: *results }))
            }
            LogEvent::Annul { reason } => {
                check_text("the reason", reason, 1..=REASON_LENGTH_MAX)?;
                if !matches!(self.state, State::Closed | State::Certified) {
                    return Err(ElectionLogError::State { state: self.state, wanted: "annulled" });
                }
                self.state = State::Annulled;
                Ok(Leaf::Election(ElectionEvent::Annulled { at, reason: reason.clone() }))
            }
            LogEvent::Purge => {
                if !matches!(self.state, State::Certified | State::Annulled) {
                    return Err(ElectionLogError::State { state: self.state, wanted: "purged" });
                }
                if self.purged {
                    return Err(ElectionLogError::Purged);
                }
                self.purged = true;
                Ok(Leaf::Election(ElectionEvent::Purged { at }))
            }
        }
    }

    fn amend(
        &mut self,
        definition: &Definition,
        at: UnixMinutes,
    ) -> Result<ElectionEvent, ElectionLogError> {
        self.expect_state(State::Draft, "amended")?;
        definition.check()?;
        for (what, kept) in [
            ("the law id", definition.law_id == self.definition.law_id),
            ("whether the election is binding", definition.binding == self.definition.binding),
            ("the ballot key", definition.ballot_key == self.definition.ballot_key),
        ] {
            if !kept {
                return Err(ElectionLogError::Amendment { what });
            }
        }
        self.replace_definition(definition.clone());
        Ok(ElectionEvent::Amended { at, definition: definition.clone() })
    }

    fn replace_definition(&mut self, definition: Definition) {
        self.window.closes = definition.closes;
        self.tally = Tally::new(definition.choices.len());
        self.published = self.tally.clone();
        self.definition = definition;
    }

    fn admit(&mut self, key: &NodePublicKey) -> Result<NodeEvent, ElectionLogError> {
        let node = key.node_id();
        if !key.is_usable() {
            return Err(ElectionLogError::NodeKey { node });
        }
        if !matches!(self.state, State::Draft | State::Open) {
            return Err(ElectionLogError::State { state: self.state, wanted: "given a node" });
        }
        self.nodes.insert(node, *key);
        Ok(NodeEvent::Admitted { node, key: *key })
    }

    fn retire(&mut self, node: NodeId, epoch: Epoch) -> Result<NodeEvent, ElectionLogError> {
        if !self.nodes.contains_key(&node) {
            return Err(ElectionLogError::NotAdmitted { node });
        }
        if !matches!(self.state, State::Open | State::Closing) {
            return Err(ElectionLogError::State { state: self.state, wanted: "freed of a node" });
        }
        if self.decisions.epochs().progress(node, epoch).ended {
            return Err(ElectionLogError::EpochEnded { node, epoch: epoch.0 });
        }
        let EpochProgress { through, confirmed, .. } =
            self.decisions.epochs_mut().retire(node, epoch);
        Ok(NodeEvent::Retired { node, epoch, through, confirmed })
    }

    fn open(
        &mut self,
        opens: UnixMinutes,
        waivers: &[String],
        at: UnixMinutes,
    ) -> Result<ElectionEvent, ElectionLogError> {
        self.expect_state(State::Draft, "opened")?;
        if self.scheme.is_none() {
            return Err(ElectionLogError::NoRoll);
        }
        if let Some(planned) = self.definition.opens.filter(|planned| opens < *planned) {
            return Err(ElectionLogError::Early { opens, planned });
        }
        // A clock that stepped back opens no poll before the last block.
        let opens = opens.max(at);
        if let Some(closes) = self.window.closes.filter(|closes| *closes <= opens) {
            return Err(ElectionLogError::Times { opens, closes });
        }
        self.open_at(opens);
        Ok(ElectionEvent::Open {
            at,
            opens,
            closes: self.window.closes,
            registered: self.electorate.registered(),
            waivers: waivers.to_vec(),
            zero_report: self.report,
        })
    }

    fn begin_close(
        &mut self,
        closes: UnixMinutes,
        reason: Option<&str>,
        at: UnixMinutes,
    ) -> Result<ElectionEvent, ElectionLogError> {
        self.expect_state(State::Open, "closed")?;
        let planned = self.window.closes;
        let closes = planned.map_or(closes, |planned| planned.min(closes));
        if let Some(opens) = self.window.opens.filter(|opens| closes <= *opens) {
            return Err(ElectionLogError::Times { opens, closes });
        }
        if is_too_far_ahead(closes, at) {
            return Err(ElectionLogError::FarClosing { closes, at });
        }
        let early = planned.filter(|planned| closes < *planned);
        let reason = match (early, reason) {
            (None, _) => None,
            (Some(planned), None) => return Err(ElectionLogError::EarlyReason { closes, planned }),
            (Some(_), Some(reason)) => {
                check_text("the reason", reason, 1..=REASON_LENGTH_MAX)?;
                Some(reason.to_owned())
            }
        };
        self.closing_at(closes);
        Ok(ElectionEvent::Closing { at, closes, reason })
    }

    fn load(&mut self, load: &RollLoad) -> Result<RollEvent, ElectionLogError> {
        let wanted = "given a roll";
        match &load.content {
            RollContent::Roll(_) => self.expect_state(State::Draft, wanted)?,
            RollContent::Supplement(_) if !matches!(self.state, State::Draft | State::Open) => {
                return Err(ElectionLogError::State { state: self.state, wanted });
            }
            RollContent::Supplement(_) => {}
        }
        let mut event = RollEvent {
            manifest: load.manifest,
            parent: load.parent,
            replaces: load.replaces,
            scheme: load.scheme,
            loaded: 0,
            added: 0,
            revoked: 0,
            refused: 0,
        };
        match &load.content {
            RollContent::Roll(keys) => {
                match (load.replaces, self.manifests.first()) {
                    (None, Some(_)) => return Err(ElectionLogError::SecondRoll),
                    (replaces, root) if replaces != root.copied() => {
                        return Err(ElectionLogError::Replaces);
                    }
                    _ => {}
                }
                let mut electorate = Electorate::default();
                electorate.add_roll(Arc::clone(keys))?;
                self.electorate = electorate;
                self.replaced.append(&mut self.manifests);
                self.decided_before.clear();
                self.decisions.reserve(requests_expected(keys.len()));
                event.loaded = keys.len() as u64;
            }
            RollContent::Supplement(changes) => {
                if load.replaces.is_some() {
                    return Err(ElectionLogError::Replaces);
                }
                if load.parent != self.last_manifest() {
                    let parent = load.parent.ok_or(ElectionLogError::NoRoll)?;
                    return Err(ElectionLogError::Parent { parent });
                }
                if self.scheme != Some(load.scheme) {
                    return Err(ElectionLogError::Scheme);
                }
                let applied = self.electorate.apply(changes);
                (event.added, event.revoked, event.refused) =
                    (applied.added, applied.revoked, applied.refused);
            }
        }
        self.scheme = Some(load.scheme);
        self.manifests.push(load.manifest);
        self.decided_before.push(self.decisions.requests().len());
        Ok(event)
    }

    fn expect_state(&self, expected: State, wanted: &'static str) -> Result<(), ElectionLogError> {
        if self.state == expected {
            Ok(())
        } else {
            Err(ElectionLogError::State { state: self.state, wanted })
        }
    }

    fn open_at(&mut self, opens: UnixMinutes) {
        self.state = State::Open;
        self.opened = Some(opens);
        self.window.opens = Some(opens);
    }

    fn closing_at(&mut self, closes: UnixMinutes) {
        self.state = State::Closing;
        self.closed = Some(closes);
        self.window.closes = Some(closes);
    }

    /// Moves what may be shown: everything with `publish_every` 1; else sums that at least so many
    /// votes are new in, while as many newer ones are held back. Under `live` the sums are opened
    /// in the log.
    fn publish(&mut self) -> Option<Totals> {
        let every = self.definition.publish_every;
        let now = self.tally.counts().total();
        let due = if every <= 1 {
            (now > self.published.counts().total()).then(|| self.tally.clone())
        } else {
            let candidate = self.candidate.get_or_insert_with(|| self.published.clone());
            let held_back = now - candidate.counts().total();
            if held_back < every {
                return None;
            }
            let due = self.candidate.replace(self.tally.clone())?;
            (due.counts().total() >= self.published.counts().total() + every).then_some(due)
        };
        self.published = due?;
        (self.definition.results == ResultsPolicy::Live)
            .then(|| self.published.open(self.published.height()))
    }

    fn finish(&mut self, mut block: BlockBuilder, maker: &BlockMaker) -> Block {
        self.height += 1;
        // No clock is trusted alone: a block is never sealed before the last one, nor before a vote
        // that it holds.
        self.updated_at = maker.at.max(self.updated_at).max(block.latest);
        block.push(&Leaf::Block(BlockLeaf {
            height: self.height,
            term: maker.term,
            leader: maker.leader.clone(),
            sealed_at: self.updated_at,
        }));
        let mut full_tiles = Vec::new();
        for hash in block.hashes {
            self.tree.append(hash, &mut full_tiles);
        }
        Block {
            height: self.height,
            first_leaf: block.first_leaf,
            leaf_count: block.leaf_count,
            leaves: block.leaves,
            full_tiles,
            root: self.tree.root(),
            entries: block.entries,
            sealed_at: self.updated_at,
        }
    }
}

/// What is known of an election at this size of its log.
impl ElectionLog {
    /// What is put to the vote.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Where the election stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// When a vote counts.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// How credentials are hashed, once a roll is loaded.
    #[must_use]
    pub fn scheme(&self) -> Option<HashScheme> {
        self.scheme
    }

    /// The manifest loaded last.
    #[must_use]
    pub fn last_manifest(&self) -> Option<Digest> {
        self.manifests.last().copied()
    }

    /// Whether a manifest is in effect.
    #[must_use]
    pub fn has_manifest(&self, manifest: &Digest) -> bool {
        self.manifests.contains(manifest)
    }

    /// Every manifest that the log names, also of a roll that was replaced: what reads the log
    /// needs all of them.
    pub fn named_manifests(&self) -> impl Iterator<Item = &Digest> {
        self.replaced.iter().chain(&self.manifests)
    }

    /// The manifests that are in effect, in order.
    #[must_use]
    pub fn manifests(&self) -> &[Digest] {
        &self.manifests
    }

    /// Who may vote and who has.
    #[must_use]
    pub fn electorate(&self) -> &Electorate {
        &self.electorate
    }

    /// The keys of admitted ingest nodes.
    #[must_use]
    pub fn node_key(&self, node: NodeId) -> Option<&NodePublicKey> {
        self.nodes.get(&node)
    }

    /// The admitted ingest nodes, in the order of their ids.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &NodePublicKey)> + '_ {
        self.nodes.iter().map(|(node, key)| (*node, key))
    }

    /// Which requests are decided and which batches are in.
    #[must_use]
    pub fn decisions(&self) -> &DecisionState {
        &self.decisions
    }

    /// What was received and what became of it.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The tree over all leaves.
    #[must_use]
    pub fn tree(&self) -> &TreeBuilder {
        &self.tree
    }

    /// The height of the last block.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.height
    }

    /// The time of the last block.
    #[must_use]
    pub fn updated_at(&self) -> UnixMinutes {
        self.updated_at
    }

    /// Whether the log says that evidence and keys are destroyed.
    #[must_use]
    pub fn is_purged(&self) -> bool {
        self.purged
    }

    /// Whether evidence was missing when the log was read back: only right after it has been
    /// purged.
    #[must_use]
    pub fn evidence_missing(&self) -> bool {
        self.evidence_missing
    }

    /// The results that may be shown now: the sums last published, which after the close are all.
    #[must_use]
    pub fn results(&self) -> Results {
        Results {
            definition: self.definition.clone(),
            state: self.state,
            opened: self.opened,
            closed: self.closed,
            registered: self.electorate.registered(),
            report: self.report,
            counts: self.published.counts().clone(),
            log_size: self.tree.size(),
            log_root: Digest::from_bytes(*self.tree.root().as_bytes()),
            updated_at: self.updated_at,
        }
    }
}

/// The leaf that names a batch.
pub(crate) fn batch_leaf(batch: &VerifiedBatch) -> BatchLeaf {
    let (number, header) = (batch.number(), batch.header());
    BatchLeaf {
        node: number.node,
        epoch: number.epoch,
        sequence: number.sequence,
        confirmed: header.confirmed_through,
        last: header.last,
        count: u32::try_from(batch.count()).expect("a batch has at most 65,536 envelopes"),
        envelopes: batch.envelopes_digest(),
        digest: batch.digest(),
        signature: batch.signature(),
    }
}

#[cfg(test)]
#[path = "election_log/election_log_test.rs"]
mod tests;
