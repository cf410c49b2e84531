//! Verifies a whole log again while the log restored from its snapshot is in use: everything in the
//! snapshot must follow from the leaves and the evidence.
//!
//! Every batch is decided again with a separate electorate (4 bytes per elector in addition to the
//! shared keys). The restored log is asked which requests are decided; 2 bytes per request are kept
//! for their choices.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::evidence::{self, DecidedChoices, EvidenceFault, ExpectedLeaves};
use super::{ElectionLog, ReplaySource, RollContent, leaves_of_block};
use crate::batch::{NodePublicKey, VerifiedBatch};
use crate::credential::HashScheme;
use crate::decision::{Decision, Entry, InvalidReason, Outcome, decide_envelope};
use crate::election::Window;
use crate::electorate::{CredentialStatus, Electorate};
use crate::epochs::Epochs;
use crate::id::{BatchNumber, ElectionId, NodeId, RequestId};
use crate::log::leaf::{BatchLeaf, ElectionEvent, Leaf, LeafError, NodeEvent, RollEvent};
use crate::log::merkle::{TreeBuilder, TreeHash, leaf_hash};
use crate::request_index::{FirstDecision, Subject};
use crate::tally::Counts;

/// Reads a log again, up to the size it had at the start.
pub struct Scrub {
    law_id: ElectionId,
    electorate: Electorate,
    scheme: Option<HashScheme>,
    window: Window,
    nodes: BTreeMap<NodeId, NodePublicKey>,
    epochs: Epochs,
    expected: Expected,
    tree: TreeBuilder,
    height: u64,
    decided: usize,
    counts: Counts,
    choices: DecidedChoices,
    /// The leaves that the current batch must have, and the first decision on each of its requests.
    batch: Option<OpenBatch>,
    /// Set if evidence was missing: the counts cannot be made again.
    evidence_missing: bool,
}

struct OpenBatch {
    leaves: ExpectedLeaves,
    firsts: Vec<Option<FirstDecision>>,
}

/// Looks up the first decisions on requests, in the order given.
pub type FindFirst<'a> = dyn Fn(&[RequestId]) -> Vec<Option<FirstDecision>> + 'a;

/// The values that the scrub must arrive at.
struct Expected {
    size: u64,
    height: u64,
    root: TreeHash,
    decided: usize,
    counts: Counts,
}

/// A fault in a log, in its evidence, or in the state made from them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScrubError {
    /// A leaf does not parse.
    #[error("leaf {index}: {error}")]
    Leaf {
        /// Its index in the log.
        index: u64,
        /// The error.
        error: LeafError,
    },
    /// A leaf contradicts the state of the node.
    #[error("leaf {index}: {rule}")]
    Contradiction {
        /// Its index in the log.
        index: u64,
        /// The rule that is violated.
        rule: &'static str,
    },
    /// The evidence of a batch is missing, or is not what the log names.
    #[error("leaf {index}: the stored batch {number} is missing or is not the one that was sealed")]
    Evidence {
        /// The index of the batch's leaf.
        index: u64,
        /// The batch.
        number: BatchNumber,
    },
    /// A leaf differs from the evidence.
    #[error("leaf {index}: {fault}")]
    Differs {
        /// Its index in the log.
        index: u64,
        /// The difference.
        fault: EvidenceFault,
    },
    /// All leaves were read, and result in something other than what was signed or shown.
    #[error("{size} leaves were re-read: {rule}")]
    Whole {
        /// Leaves read.
        size: u64,
        /// The rule that is violated.
        rule: &'static str,
    },
}

impl Scrub {
    /// Starts to read a log again, up to its present size.
    #[must_use]
    pub fn new(log: &ElectionLog) -> Self {
        let expected = Expected {
            size: log.state.tree.size(),
            height: log.state.height,
            root: log.state.root,
            decided: log.decisions.requests().len(),
            counts: log.state.tally.counts().clone(),
        };
        Self {
            law_id: log.state.definition.law_id.clone(),
            electorate: Electorate::default(),
            scheme: None,
            window: Window { opens: None, closes: None },
            nodes: BTreeMap::new(),
            epochs: Epochs::default(),
            tree: TreeBuilder::new(),
            height: 0,
            decided: 0,
            counts: Counts::zero(expected.counts.choices.len()),
            choices: DecidedChoices::default(),
            batch: None,
            evidence_missing: false,
            expected,
        }
    }

    /// The height of the next block to read; `None` when all are read.
    #[must_use]
    pub fn next_height(&self) -> Option<u64> {
        (self.height < self.expected.height).then_some(self.height + 1)
    }

    /// Leaves read so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Reads the next block. `find_first` looks up the restored log; `purged` says whether evidence
    /// may be missing.
    ///
    /// # Errors
    /// [`ScrubError`]; the scrub cannot continue after it.
    pub fn read(
        &mut self,
        leaves: &[u8],
        find_first: &FindFirst<'_>,
        purged: bool,
        source: &mut dyn ReplaySource,
    ) -> Result<(), ScrubError> {
        let mut full_tiles = Vec::new();
        for bytes in leaves_of_block(leaves) {
            let index = self.tree.size();
            let bytes = bytes
                .ok_or(ScrubError::Contradiction { index, rule: "the block's bytes go on" })?;
            let leaf = Leaf::parse(bytes).map_err(|error| ScrubError::Leaf { index, error })?;
            self.take(&leaf, index, find_first, purged, source)?;
            self.tree.append(leaf_hash(bytes), &mut full_tiles);
            full_tiles.clear();
        }
        self.height += 1;
        Ok(())
    }

    fn take(
        &mut self,
        leaf: &Leaf,
        index: u64,
        find_first: &FindFirst<'_>,
        purged: bool,
        source: &mut dyn ReplaySource,
    ) -> Result<(), ScrubError> {
        let differs = |fault| ScrubError::Differs { index, fault };
        if !matches!(leaf, Leaf::Entry(_) | Leaf::Replay(_))
            && let Some(batch) = self.batch.take()
        {
            batch.leaves.finish().map_err(differs)?;
        }
        match leaf {
            Leaf::Election(event) => self.take_event(event),
            Leaf::Roll(event) => self.take_roll(event, index, source)?,
            Leaf::Node(NodeEvent::Admitted { node, key }) => drop(self.nodes.insert(*node, *key)),
            Leaf::Node(NodeEvent::Retired { node, epoch, .. }) => {
                self.epochs.retire(*node, *epoch);
            }
            Leaf::Batch(batch) => self.take_batch(batch, index, find_first, purged, source)?,
            Leaf::Entry(entry) => {
                self.take_outcome(&Outcome::Decided(*entry), index, find_first)?
            }
            Leaf::Replay(replay) => {
                self.take_outcome(&Outcome::Replayed(*replay), index, find_first)?;
            }
            Leaf::Counts(_) | Leaf::Totals(_) | Leaf::Block(_) => {}
        }
        Ok(())
    }

    fn take_event(&mut self, event: &ElectionEvent) {
        match event {
            ElectionEvent::Draft { definition, .. } | ElectionEvent::Amended { definition, .. } => {
                self.window.closes = definition.closes;
            }
            ElectionEvent::Open { opens, .. } => self.window.opens = Some(*opens),
            ElectionEvent::Closing { closes, .. } => self.window.closes = Some(*closes),
            _ => {}
        }
    }

    fn take_roll(
        &mut self,
        event: &RollEvent,
        index: u64,
        source: &mut dyn ReplaySource,
    ) -> Result<(), ScrubError> {
        let contradiction = |rule| ScrubError::Contradiction { index, rule };
        self.scheme = Some(event.scheme);
        match source.roll(event).ok_or(contradiction("the shards of the roll are available"))? {
            RollContent::Roll(keys) => {
                self.electorate = Electorate::default();
                self.electorate
                    .add_roll(Arc::clone(&keys))
                    .map_err(|_| contradiction("a roll has fewer than 2^31 electors"))?;
            }
            RollContent::Supplement(changes) => {
                // The effect of a supplement depends on which electors had voted, and determines
                // the numbers of its electors.
                let applied = self.electorate.apply(&changes);
                let stated = (event.added, event.revoked, event.refused);
                if stated != (applied.added, applied.revoked, applied.refused) {
                    return Err(contradiction("a supplement changes what its leaf states"));
                }
            }
        }
        Ok(())
    }

    fn take_batch(
        &mut self,
        leaf: &BatchLeaf,
        index: u64,
        find_first: &FindFirst<'_>,
        purged: bool,
        source: &mut dyn ReplaySource,
    ) -> Result<(), ScrubError> {
        let differs = |fault| ScrubError::Differs { index, fault };
        let first_minute = |batch: &VerifiedBatch| batch.envelopes().next().map(|one| one.received);
        let Some(evidence) = source.evidence(leaf) else {
            if !purged {
                return Err(ScrubError::Evidence { index, number: leaf.number() });
            }
            self.evidence_missing = true;
            self.epochs
                .take_batch(&leaf.position(), None)
                .map_err(|error| differs(error.into()))?;
            let leaves = ExpectedLeaves::from_count(leaf);
            self.batch = Some(OpenBatch { leaves, firsts: Vec::new() });
            return Ok(());
        };
        let batch = evidence::verify(leaf, &evidence, &self.law_id, self.nodes.get(&leaf.node))
            .map_err(differs)?;
        self.epochs
            .take_batch(&leaf.position(), first_minute(&batch))
            .map_err(|error| differs(error.into()))?;
        if let Some(last) = batch.envelopes().next_back() {
            self.epochs.take_minute(leaf.number(), last.received);
        }
        let scheme = self
            .scheme
            .ok_or(ScrubError::Contradiction { index, rule: "batches follow a roll" })?;
        let requests: Vec<RequestId> = batch.envelopes().map(|one| one.request).collect();
        let firsts = find_first(&requests);
        let outcomes = batch
            .envelopes()
            .zip(index + 1..)
            .zip(&firsts)
            .map(|((envelope, leaf), first)| {
                // The index also contains later decisions: only earlier decisions count here.
                let earlier = first.as_ref().filter(|first| first.leaf < leaf);
                let electorate = &mut self.electorate;
                decide_envelope(&envelope, earlier, electorate, scheme, &self.window).0
            })
            .collect();
        let leaves = ExpectedLeaves::from_evidence(batch, outcomes, evidence.choices);
        self.batch = Some(OpenBatch { leaves, firsts });
        Ok(())
    }

    fn take_outcome(
        &mut self,
        outcome: &Outcome,
        index: u64,
        find_first: &FindFirst<'_>,
    ) -> Result<(), ScrubError> {
        let differs = |fault| ScrubError::Differs { index, fault };
        let batch = self
            .batch
            .as_mut()
            .ok_or(ScrubError::Contradiction { index, rule: "an entry belongs to a batch" })?;
        let (envelope_index, choice) = batch.leaves.take(outcome).map_err(differs)?;
        let is_known = batch.leaves.is_known();
        let first = match (is_known, outcome) {
            (true, _) => batch.firsts[envelope_index],
            (false, Outcome::Decided(entry)) => find_first(&[entry.request])[0],
            (false, Outcome::Replayed(_)) => None,
        };
        if let Outcome::Decided(entry) = outcome {
            self.take_entry(entry, index, first, is_known)?;
        }
        if is_known {
            let first_rank = first.map(|first| first.rank);
            if !self.choices.take(outcome, choice, first_rank) {
                return Err(differs(EvidenceFault::ReplayedChoice { envelope_index }));
            }
        }
        self.counts.count(outcome.entry(), choice);
        Ok(())
    }

    /// The log must know the request with this entry. Without evidence, only the electorate remains
    /// to compare with; the attempt is then recorded here, since no batch was decided again.
    fn take_entry(
        &mut self,
        entry: &Entry,
        index: u64,
        first: Option<FirstDecision>,
        is_decided_again: bool,
    ) -> Result<(), ScrubError> {
        if matches!(entry.decision, Decision::Invalid { reason: InvalidReason::Clash, .. }) {
            return Ok(());
        }
        let rule = "the node knows the request with this entry and elector";
        let contradiction = ScrubError::Contradiction { index, rule };
        let first = first.ok_or(contradiction.clone())?;
        let elector = match (&entry.decision, self.scheme) {
            (Decision::Accepted { hash } | Decision::Duplicate { hash, .. }, Some(scheme)) => {
                self.electorate.find(&scheme.registry_key(hash))
            }
            _ => None,
        };
        let known = match first.subject {
            Subject::Elector(elector) => Some(elector),
            Subject::Invalid(_) | Subject::Unknown => None,
        };
        if first.leaf != index || first.rank != self.decided || known != elector {
            return Err(contradiction);
        }
        if let (false, Some(elector)) = (is_decided_again, elector) {
            let follows = match (self.electorate.record_attempt(elector), entry.decision) {
                (CredentialStatus::First, Decision::Accepted { .. }) => true,
                (
                    CredentialStatus::Again { attempt },
                    Decision::Duplicate { attempt: stated, .. },
                ) => attempt == stated,
                _ => false,
            };
            if !follows {
                let rule = "an elector's first vote is accepted, and later ones are counted";
                return Err(ScrubError::Contradiction { index, rule });
            }
        }
        self.decided += 1;
        Ok(())
    }

    /// Compares the result with the state of the log at the start.
    ///
    /// # Errors
    /// [`ScrubError::Whole`].
    pub fn finish(&self) -> Result<(), ScrubError> {
        let Expected { size, height, root, decided, counts } = &self.expected;
        let rules = [
            (
                self.tree.size() == *size && self.height == *height,
                "the log has as many leaves and blocks as at the start",
            ),
            (self.tree.root() == *root, "they have the root that is signed"),
            (self.decided == *decided, "they decide the requests that the node knows"),
            (
                self.evidence_missing || self.counts == *counts,
                "the evidence gives the sums that the node counts with",
            ),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(ScrubError::Whole { size: self.tree.size(), rule }),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Scrub {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Scrub({} of {} leaves)", self.tree.size(), self.expected.size)
    }
}
