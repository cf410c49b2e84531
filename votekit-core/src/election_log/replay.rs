//! Reading a log back: the same state, from the leaves and the evidence.
//!
//! With the evidence every batch is decided again, and each leaf must be what its envelope comes
//! to. Without it, once it has been purged, the leaves are applied as they stand.

use super::evidence::{
    self, DecidedChoices, Evidence, EvidenceFault, ExpectedLeaves, at, place_of,
};
use super::{ElectionLog, ElectionLogError, LogEvent, RollContent, RollLoad, leaves_of_block};
use crate::ballot::BallotSecretKey;
use crate::decision::Outcome;
use crate::election::State;
use crate::log::leaf::{BatchLeaf, BlockLeaf, ElectionEvent, Leaf, NodeEvent, RollEvent};
use crate::log::merkle::leaf_hash;
use crate::tally::{Counts, Tally, Totals};

/// What replaying a log needs besides its leaves.
pub trait ReplaySource {
    /// The keys or changes that a `roll` leaf names. `None` when they are not at hand.
    fn roll(&mut self, event: &RollEvent) -> Option<RollContent>;

    /// The evidence of a batch, as stored: whether it is the right one is checked here. `None` when
    /// it is gone.
    fn evidence(&mut self, batch: &BatchLeaf) -> Option<Evidence>;
}

/// What of the current block has been read.
struct OpenBlock {
    counts: Counts,
    /// The leaves that the current batch must have.
    expected: Option<(BatchLeaf, ExpectedLeaves)>,
}

impl OpenBlock {
    /// Ends the current batch.
    fn end_batch(&mut self) -> Result<(), EvidenceFault> {
        self.expected.take().map_or(Ok(()), |(_, expected)| expected.finish())
    }
}

impl ElectionLog {
    /// Reads one stored block back. Pass `None` for the first block of a log.
    ///
    /// # Errors
    /// [`ElectionLogError::Leaf`] or [`ElectionLogError::Contradiction`] for a damaged log; the
    /// log is of no use then.
    pub fn replay(
        log: Option<Self>,
        leaves: &[u8],
        ballot_key: &BallotSecretKey,
        source: &mut dyn ReplaySource,
    ) -> Result<Self, ElectionLogError> {
        let mut log = log;
        Self::replay_into(&mut log, leaves, ballot_key, source)?;
        log.ok_or(ElectionLogError::Contradiction { index: 0, rule: "a block is not empty" })
    }

    /// Reads on by one stored block.
    ///
    /// # Errors
    /// As [`ElectionLog::replay`]; the log is of no use then.
    pub fn replay_next(
        &mut self,
        leaves: &[u8],
        ballot_key: &BallotSecretKey,
        source: &mut dyn ReplaySource,
    ) -> Result<(), ElectionLogError> {
        let draft = Self::draft(self.definition.clone());
        let mut log = Some(std::mem::replace(self, draft));
        let replayed = Self::replay_into(&mut log, leaves, ballot_key, source);
        *self = log.expect("what there was is still there");
        replayed
    }

    fn replay_into(
        log: &mut Option<Self>,
        leaves: &[u8],
        ballot_key: &BallotSecretKey,
        source: &mut dyn ReplaySource,
    ) -> Result<(), ElectionLogError> {
        let mut open = None;
        let mut full_tiles = Vec::new();
        for bytes in leaves_of_block(leaves) {
            let index = log.as_ref().map_or(0, |log| log.tree.size());
            let bytes = bytes.ok_or(ElectionLogError::Contradiction {
                index,
                rule: "the block's bytes end within a leaf",
            })?;
            let leaf =
                Leaf::parse(bytes).map_err(|error| ElectionLogError::Leaf { index, error })?;
            let log = match (&mut *log, &leaf) {
                (Some(log), _) => log,
                (none, Leaf::Election(ElectionEvent::Draft { definition, .. })) => {
                    let mut draft = Self::draft(definition.clone());
                    draft.choices = Some(Vec::new());
                    none.insert(draft)
                }
                (None, _) => {
                    return Err(ElectionLogError::Contradiction {
                        index,
                        rule: "a log starts with the draft",
                    });
                }
            };
            let choices = log.definition.choices.len();
            let open = open
                .get_or_insert_with(|| OpenBlock { counts: Counts::zero(choices), expected: None });
            log.replay_leaf(&leaf, index, open, ballot_key, source)?;
            log.tree.append(leaf_hash(bytes), &mut full_tiles);
        }
        Ok(())
    }

    fn replay_leaf(
        &mut self,
        leaf: &Leaf,
        index: u64,
        open: &mut OpenBlock,
        ballot_key: &BallotSecretKey,
        source: &mut dyn ReplaySource,
    ) -> Result<(), ElectionLogError> {
        let contradiction = |rule| ElectionLogError::Contradiction { index, rule };
        if !matches!(leaf, Leaf::Entry(_) | Leaf::Replay(_)) {
            open.end_batch().map_err(at(index))?;
        }
        match leaf {
            Leaf::Election(event) => self.replay_event(event, open),
            Leaf::Roll(event) => self.replay_roll(event, index, source)?,
            Leaf::Node(NodeEvent::Admitted { key, .. }) => {
                self.apply_event(&LogEvent::Admit(*key), self.updated_at)?;
            }
            Leaf::Node(NodeEvent::Retired { node, epoch, .. }) => {
                self.decisions.epochs_mut().retire(*node, *epoch);
            }
            Leaf::Batch(batch) => self.replay_batch(batch, index, open, source)?,
            Leaf::Entry(entry) => self.replay_outcome(&Outcome::Decided(*entry), index, open)?,
            Leaf::Replay(replay) => {
                self.replay_outcome(&Outcome::Replayed(*replay), index, open)?;
            }
            Leaf::Counts(_) => {
                let height = self.height + 1;
                self.tally.add_block(&open.counts, ballot_key, &self.definition.law_id, height);
                if !self.evidence_missing {
                    self.publish();
                }
            }
            Leaf::Totals(totals) => {
                self.replay_totals(totals).ok_or(contradiction("totals match the evidence"))?
            }
            Leaf::Block(BlockLeaf { height, sealed_at, .. }) => {
                self.height += 1;
                self.updated_at = *sealed_at;
                if self.height != *height {
                    return Err(contradiction("block heights follow one another"));
                }
            }
        }
        Ok(())
    }

    /// Decides a batch again, if its evidence is at hand.
    fn replay_batch(
        &mut self,
        leaf: &BatchLeaf,
        index: u64,
        open: &mut OpenBlock,
        source: &mut dyn ReplaySource,
    ) -> Result<(), ElectionLogError> {
        let contradiction = |rule| ElectionLogError::Contradiction { index, rule };
        let scheme = self.scheme.ok_or(contradiction("batches follow a roll"))?;
        let Some(evidence) = source.evidence(leaf) else {
            self.evidence_missing = true;
            self.choices = None;
            self.decisions.epochs_mut().take_batch(&leaf.place(), None)?;
            open.expected = Some((*leaf, ExpectedLeaves::of_count(leaf)));
            return Ok(());
        };
        let key = self.nodes.get(&leaf.node);
        let batch =
            evidence::verify(leaf, &evidence, &self.definition.law_id, key).map_err(at(index))?;
        let outcomes = self
            .decisions
            .decide(&batch, &mut self.electorate, scheme, &self.window, index + 1)
            .map_err(|error| at(index)(error.into()))?;
        let expected = ExpectedLeaves::of_evidence(batch, outcomes, evidence.choices);
        open.expected = Some((*leaf, expected));
        Ok(())
    }

    fn replay_outcome(
        &mut self,
        outcome: &Outcome,
        index: u64,
        open: &mut OpenBlock,
    ) -> Result<(), ElectionLogError> {
        let contradiction = |rule| ElectionLogError::Contradiction { index, rule };
        let (leaf, expected) =
            open.expected.as_mut().ok_or(contradiction("an entry belongs to a batch"))?;
        let choice = expected.take(outcome).map_err(at(index))?;
        if expected.is_known() {
            if let Some(choices) = self.choices.take() {
                let mut choices = DecidedChoices(choices);
                let place = place_of(self.decisions.requests(), outcome);
                if !choices.take(outcome, choice, place) {
                    let place = expected.last_place();
                    return Err(at(index)(EvidenceFault::ReplayedChoice { place }));
                }
                self.choices = Some(choices.0);
            }
        } else if let Outcome::Decided(entry) = outcome {
            let scheme = self.scheme.ok_or(contradiction("batches follow a roll"))?;
            self.decisions.epochs_mut().take_minute(leaf.number(), entry.minute);
            self.decisions.apply_entry(entry, &mut self.electorate, scheme, index);
        }
        self.report.count(outcome.entry());
        open.counts.count(outcome.entry(), choice);
        Ok(())
    }

    /// Frees what only a replay of a whole log keeps.
    pub fn finish_replay(&mut self) {
        self.choices = None;
    }

    fn replay_event(&mut self, event: &ElectionEvent, open: &mut OpenBlock) {
        match event {
            ElectionEvent::Draft { .. } => {}
            ElectionEvent::Amended { definition, .. } => {
                open.counts = Counts::zero(definition.choices.len());
                self.replace_definition(definition.clone());
            }
            ElectionEvent::Open { opens, .. } => self.open_at(*opens),
            ElectionEvent::Closing { closes, .. } => self.closing_at(*closes),
            ElectionEvent::Closed { .. } => self.state = State::Closed,
            ElectionEvent::Certified { .. } => self.state = State::Certified,
            ElectionEvent::Annulled { .. } => self.state = State::Annulled,
            ElectionEvent::Purged { .. } => self.purged = true,
        }
    }

    fn replay_roll(
        &mut self,
        event: &RollEvent,
        index: u64,
        source: &mut dyn ReplaySource,
    ) -> Result<(), ElectionLogError> {
        let content: RollContent = source.roll(event).ok_or(ElectionLogError::Contradiction {
            index,
            rule: "the shards of the roll are at hand",
        })?;
        let load = RollLoad {
            manifest: event.manifest,
            parent: event.parent,
            replaces: event.replaces,
            scheme: event.scheme,
            content,
        };
        let replayed = self.load(&load)?;
        if replayed == *event {
            Ok(())
        } else {
            Err(ElectionLogError::Contradiction {
                index,
                rule: "the shards at hand are those that were loaded",
            })
        }
    }

    /// With the evidence at hand the sums must agree. Once it has been destroyed, what was opened
    /// is all there is.
    fn replay_totals(&mut self, totals: &Totals) -> Option<()> {
        if self.evidence_missing {
            self.tally = Tally::opened(totals)?;
            self.published = self.tally.clone();
            return Some(());
        }
        if self.state >= State::Closed {
            self.published = self.tally.clone();
        }
        (self.published.open(totals.through) == *totals).then_some(())
    }
}
