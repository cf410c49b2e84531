//! Checks a block made by another process: makes it again from the same inputs, and compares the
//! bytes.

use super::block::{BlockMaker, leaves_of_block};
use super::evidence::{self, EvidenceFault};
use super::propose::{EventRefused, OnOutcome, OpenedBatch, Proposal};
use super::{ElectionLog, ElectionLogError, LogEvent, ReplaySource, RollContent, RollLoad};
use crate::ballot::BallotSecretKey;
use crate::decision::PendingDecisions;
use crate::epochs::OrderError;
use crate::id::{BatchNumber, Digest};
use crate::log::leaf::{
    BatchLeaf, BlockLeaf, ElectionEvent, Leaf, LeafError, NodeEvent, RollEvent,
};

/// Why a block is refused: its first leaf that does not follow from the inputs.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The index of the leaf in the log.
    pub leaf: u64,
    /// The rule that it breaks.
    pub rule: RefusalRule,
    /// The canonical bytes of the leaf as this log makes it; `None` if it makes none there.
    pub own: Option<Vec<u8>>,
    /// The bytes of the leaf in the block; `None` if the block has none there.
    pub theirs: Option<Vec<u8>>,
}

/// The rule that a refused block breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusalRule {
    /// The block's bytes end within a leaf.
    #[error("the bytes of the block end within a leaf")]
    Truncated,
    /// A leaf does not parse.
    #[error(transparent)]
    Malformed(LeafError),
    /// A block has events, or batches, or the close, and then its `block` leaf.
    #[error(
        "a block has events, or batches with their entries, or the close, and ends with a block leaf"
    )]
    Shape,
    /// A log starts with the draft, and with nothing else.
    #[error("a log starts with a block that holds the draft alone")]
    Draft,
    /// The event is not possible.
    #[error("the event is not possible: {0}")]
    Event(ElectionLogError),
    /// Votes cannot be sealed in this state of the log.
    #[error("the votes cannot be taken: {0}")]
    Votes(ElectionLogError),
    /// The batch is not the next of its epoch.
    #[error(transparent)]
    Order(OrderError),
    /// The batch leaf does not match the stored batch.
    #[error("{0}")]
    Evidence(EvidenceFault),
    /// A second copy of a request carries another choice than the first.
    #[error("the envelope repeats a request with another choice")]
    ReplayedChoice,
    /// The leaf differs from the leaf that follows from the inputs.
    #[error("the leaf is not the one that follows from the inputs")]
    Differs,
}

impl RefusalRule {
    /// The rule's name, for logs, metrics and statements.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Malformed(_) => "malformed",
            Self::Shape => "shape",
            Self::Draft => "draft",
            Self::Event(_) => "event",
            Self::Votes(_) => "votes",
            Self::Order(_) => "order",
            Self::Evidence(_) => "evidence",
            Self::ReplayedChoice => "replayed-choice",
            Self::Differs => "differs",
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "leaf {}: {}", self.leaf, self.rule)?;
        if self.rule == RefusalRule::Differs {
            let text = |leaf: &Option<Vec<u8>>| match leaf {
                Some(leaf) => String::from_utf8_lossy(leaf).into_owned(),
                None => "no leaf".to_owned(),
            };
            write!(formatter, " (expected {}, found {})", text(&self.own), text(&self.theirs))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Refusal({self})")
    }
}

impl std::error::Error for Refusal {}

/// Why a block was not checked to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The block is wrong; no further input can change that.
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
    /// The shards that a `roll` leaf names are not available: the block cannot be decided yet.
    #[error("leaf {leaf}: the shards of manifest {manifest} are not available")]
    MissingRoll {
        /// The index of the leaf in the log.
        leaf: u64,
        /// The manifest.
        manifest: Digest,
    },
    /// A batch is not available: the block cannot be decided yet, or its evidence is destroyed.
    #[error("leaf {leaf}: batch {number} is not available")]
    MissingEvidence {
        /// The index of the leaf in the log.
        leaf: u64,
        /// The batch.
        number: BatchNumber,
    },
    /// Evidence of earlier blocks is destroyed: the sums that this leaf depends on are not known.
    #[error("leaf {leaf}: earlier evidence is destroyed, so the sums of the votes are unknown")]
    UnknownSums {
        /// The index of the leaf in the log.
        leaf: u64,
    },
}

/// A parsed block: its leaves with their bytes.
struct ParsedBlock<'a> {
    first: u64,
    leaves: Vec<(&'a [u8], Leaf)>,
    maker: BlockMaker,
}

impl<'a> ParsedBlock<'a> {
    fn parse(first: u64, leaves: &'a [u8]) -> Result<Self, Box<Refusal>> {
        let mut parsed = Vec::new();
        for (bytes, leaf) in leaves_of_block(leaves).zip(first..) {
            let bytes = bytes.ok_or_else(|| refusal(leaf, RefusalRule::Truncated, None))?;
            let read = Leaf::parse(bytes)
                .map_err(|error| refusal(leaf, RefusalRule::Malformed(error), Some(bytes)))?;
            parsed.push((bytes, read));
        }
        let maker = match parsed.last() {
            Some((_, Leaf::Block(BlockLeaf { term, leader, sealed_at, .. }))) => {
                BlockMaker { term: *term, leader: leader.clone(), at: *sealed_at }
            }
            last => {
                let leaf = first + (parsed.len() as u64).saturating_sub(1);
                return Err(refusal(leaf, RefusalRule::Shape, last.map(|(bytes, _)| *bytes)));
            }
        };
        Ok(Self { first, leaves: parsed, maker })
    }

    /// The leaves before the `block` leaf, each with its index.
    fn content(&self) -> impl Iterator<Item = (u64, &'a [u8], &Leaf)> {
        let count = self.leaves.len() - 1;
        self.leaves[..count]
            .iter()
            .zip(self.first..)
            .map(|((bytes, leaf), index)| (index, *bytes, leaf))
    }

    /// Finds the first leaf that differs from `own`, a block made from the same inputs.
    fn compare(&self, own: &[u8]) -> Result<(), Box<Refusal>> {
        let mut own = leaves_of_block(own).map(|leaf| leaf.expect("an own block is whole"));
        let mut theirs = self.leaves.iter().map(|(bytes, _)| *bytes);
        for leaf in self.first.. {
            match (own.next(), theirs.next()) {
                (None, None) => break,
                (own, theirs) if own == theirs => {}
                (own, theirs) => {
                    let own = own.map(<[u8]>::to_vec);
                    let refused = refusal(leaf, RefusalRule::Differs, theirs);
                    return Err(Box::new(Refusal { own, ..*refused }));
                }
            }
        }
        Ok(())
    }
}

impl ParsedBlock<'_> {
    /// The `batch` leaves, each with its index and bytes.
    fn batches(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let batches = self.content().filter(|(_, _, leaf)| matches!(leaf, Leaf::Batch(_)));
        batches.map(|(index, bytes, _)| (index, bytes))
    }

    /// Returns the fault found at `index`, unless an earlier leaf differs: the first fault is
    /// reported.
    fn first_fault(&self, own: &Proposal, index: u64, fault: CheckError) -> CheckError {
        match self.compare(&own.block.leaves) {
            Err(refused) if refused.leaf < index => refused.into(),
            _ => fault,
        }
    }
}

fn refusal(leaf: u64, rule: RefusalRule, theirs: Option<&[u8]>) -> Box<Refusal> {
    Box::new(Refusal { leaf, rule, own: None, theirs: theirs.map(<[u8]>::to_vec) })
}

impl ElectionLog {
    /// Checks the first block of a log. Returns the log after it.
    ///
    /// # Errors
    /// [`CheckError::Refused`] unless the block holds a valid draft and nothing else.
    pub fn check_first(leaves: &[u8]) -> Result<Self, CheckError> {
        let block = ParsedBlock::parse(0, leaves)?;
        let Some((_, bytes, Leaf::Election(ElectionEvent::Draft { definition, .. }))) =
            block.content().next()
        else {
            let (bytes, _) = block.leaves[0];
            return Err(refusal(0, RefusalRule::Draft, Some(bytes)).into());
        };
        definition.check().map_err(|error| {
            refusal(0, RefusalRule::Event(ElectionLogError::Definition(error)), Some(bytes))
        })?;
        let (log, own) = Self::begin(definition.clone(), &block.maker);
        block.compare(&own.leaves)?;
        Ok(log)
    }

    /// Checks the next block: makes it again from its own inputs, and compares every byte. Changes
    /// nothing; apply the effect of the proposal once the block is durable.
    ///
    /// # Errors
    /// [`CheckError::Refused`] with the first leaf that differs and the rule it breaks; the other
    /// variants when an input is not available.
    pub fn check(
        &self,
        leaves: &[u8],
        ballot_key: &BallotSecretKey,
        source: &mut dyn ReplaySource,
    ) -> Result<Proposal, CheckError> {
        self.check_with(leaves, ballot_key, source, &mut |_, _| {})
    }

    pub(super) fn check_with(
        &self,
        leaves: &[u8],
        ballot_key: &BallotSecretKey,
        source: &mut dyn ReplaySource,
        on_outcome: &mut OnOutcome<'_>,
    ) -> Result<Proposal, CheckError> {
        let block = ParsedBlock::parse(self.state.tree.size(), leaves)?;
        let proposal = match block.content().next() {
            Some((leaf, _, Leaf::Batch(_) | Leaf::Election(ElectionEvent::Closed { .. })))
                if self.state.evidence_missing =>
            {
                return Err(CheckError::UnknownSums { leaf });
            }
            Some((_, _, Leaf::Batch(_))) => {
                self.make_batches(&block, ballot_key, source, on_outcome)?
            }
            Some((index, bytes, Leaf::Election(ElectionEvent::Closed { .. }))) => self
                .propose_close(&block.maker)
                .map_err(|error| refusal(index, RefusalRule::Event(error), Some(bytes)))?,
            Some(_) => self.make_events(&block, source)?,
            None => {
                return Err(refusal(block.first, RefusalRule::Shape, None).into());
            }
        };
        block.compare(&proposal.block.leaves)?;
        Ok(proposal)
    }

    fn make_batches(
        &self,
        block: &ParsedBlock<'_>,
        ballot_key: &BallotSecretKey,
        source: &mut dyn ReplaySource,
        on_outcome: &mut OnOutcome<'_>,
    ) -> Result<Proposal, CheckError> {
        let mut batches: Vec<OpenedBatch> = Vec::new();
        let mut order = PendingDecisions::default();
        let mut fault = None;
        for (index, bytes, leaf) in block.content() {
            let Leaf::Batch(leaf) = leaf else { continue };
            // Check the order first: a source may return each batch only once.
            let next = self.decisions.take_batch(&mut order, &leaf.position(), None);
            let opened = next
                .map_err(|error| refusal(index, RefusalRule::Order(error), Some(bytes)).into())
                .and_then(|()| self.evidence_of(leaf, index, bytes, source));
            match opened {
                Ok(batch) => batches.push(batch),
                Err(error) => {
                    fault = Some((index, error));
                    break;
                }
            }
        }
        let places: Vec<_> = block.batches().collect();
        let proposal = self
            .propose_batches(batches.into_iter(), ballot_key, &block.maker, on_outcome)
            .map_err(|error| refusal(block.first, RefusalRule::Votes(error), Some(places[0].1)))?;
        if let Some((place, error)) = proposal.refused.first() {
            let (index, bytes) = places[*place];
            fault = Some((index, refusal(index, RefusalRule::Order(*error), Some(bytes)).into()));
        }
        match fault {
            Some((index, error)) => Err(block.first_fault(&proposal, index, error)),
            None => Ok(proposal),
        }
    }

    fn evidence_of(
        &self,
        leaf: &BatchLeaf,
        index: u64,
        bytes: &[u8],
        source: &mut dyn ReplaySource,
    ) -> Result<OpenedBatch, CheckError> {
        let number = leaf.number();
        let evidence =
            source.evidence(leaf).ok_or(CheckError::MissingEvidence { leaf: index, number })?;
        let key = self.state.nodes.get(&leaf.node);
        let batch = evidence::verify(leaf, &evidence, &self.state.definition.law_id, key)
            .map_err(|fault| refusal(index, RefusalRule::Evidence(fault), Some(bytes)))?;
        Ok((batch, evidence.choices))
    }

    fn make_events(
        &self,
        block: &ParsedBlock<'_>,
        source: &mut dyn ReplaySource,
    ) -> Result<Proposal, CheckError> {
        let mut events = Vec::new();
        let mut fault = None;
        for (index, bytes, leaf) in block.content() {
            match log_event(leaf, index, source) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => {
                    let refused = refusal(index, RefusalRule::Shape, Some(bytes));
                    fault = Some((index, refused.into()));
                    break;
                }
                Err(missing) => {
                    fault = Some((index, missing));
                    break;
                }
            }
        }
        let proposal = match self.propose_events(&events, &block.maker) {
            Ok(proposal) => proposal,
            Err(EventRefused { place, error }) => {
                let (bytes, index) = (block.leaves[place].0, block.first + place as u64);
                fault =
                    Some((index, refusal(index, RefusalRule::Event(error), Some(bytes)).into()));
                // Make the events before this event: if one of their leaves differs, it is reported
                // first.
                let before = self.propose_events(&events[..place], &block.maker);
                before.map_err(|EventRefused { error, .. }| {
                    refusal(block.first, RefusalRule::Event(error), Some(block.leaves[0].0))
                })?
            }
        };
        match fault {
            Some((index, error)) => Err(block.first_fault(&proposal, index, error)),
            None => Ok(proposal),
        }
    }
}

/// The event that a leaf records; `None` for a leaf that records no [`LogEvent`].
fn log_event(
    leaf: &Leaf,
    index: u64,
    source: &mut dyn ReplaySource,
) -> Result<Option<LogEvent>, CheckError> {
    Ok(match leaf {
        Leaf::Election(event) => election_event(event),
        Leaf::Node(NodeEvent::Admitted { key, .. }) => Some(LogEvent::Admit(*key)),
        Leaf::Node(NodeEvent::Retired { node, epoch, .. }) => {
            Some(LogEvent::Retire { node: *node, epoch: *epoch })
        }
        Leaf::Roll(event) => Some(LogEvent::Load(roll_load(event, index, source)?)),
        _ => None,
    })
}

fn election_event(event: &ElectionEvent) -> Option<LogEvent> {
    Some(match event {
        ElectionEvent::Amended { definition, .. } => {
            LogEvent::Amend { definition: Box::new(definition.clone()) }
        }
        ElectionEvent::Open { opens, waivers, .. } => {
            LogEvent::Open { opens: *opens, waivers: waivers.clone() }
        }
        ElectionEvent::Closing { closes, reason, .. } => {
            LogEvent::Closing { closes: *closes, reason: reason.clone() }
        }
        ElectionEvent::Certified { witness_waiver, .. } => {
            LogEvent::Certify { witness_waiver: witness_waiver.clone() }
        }
        ElectionEvent::Annulled { reason, .. } => LogEvent::Annul { reason: reason.clone() },
        ElectionEvent::Purged { .. } => LogEvent::Purge,
        ElectionEvent::Draft { .. } | ElectionEvent::Closed { .. } => return None,
    })
}

fn roll_load(
    event: &RollEvent,
    leaf: u64,
    source: &mut dyn ReplaySource,
) -> Result<RollLoad, CheckError> {
    let manifest = event.manifest;
    let content: RollContent =
        source.roll(event).ok_or(CheckError::MissingRoll { leaf, manifest })?;
    Ok(RollLoad {
        manifest,
        parent: event.parent,
        replaces: event.replaces,
        scheme: event.scheme,
        content,
    })
}
