//! Reading a log back: the same state, from the leaves alone, with the evidence only for the counts
//! that leaves do not tell.

use std::collections::HashMap;

use super::{Act, Chronicle, ChronicleError, RollContent, RollLoad, leaves_of_block};
use crate::ballot::{BallotSecretKey, ChoiceIndex};
use crate::decision::{Decision, Entry};
use crate::election::State;
use crate::id::RequestId;
use crate::log::leaf::{BatchLeaf, BlockLeaf, ElectionEvent, Leaf, NodeEvent, RollEvent};
use crate::log::merkle::leaf_hash;
use crate::tally::{Counts, Tally, Totals};

/// What replaying a log needs besides its leaves.
pub trait ReplaySource {
    /// The keys or changes that a `roll` leaf names. `None` when they are not at hand.
    fn roll(&mut self, event: &RollEvent) -> Option<RollContent>;

    /// The opened choices of a batch, envelope by envelope, with the requests. `None` when the
    /// evidence is gone.
    fn choices(&mut self, batch: &BatchLeaf) -> Option<Vec<(RequestId, Option<ChoiceIndex>)>>;
}

/// What of the current block has been read.
struct OpenBlock {
    counts: Counts,
    /// The choices of the current batch; `None` once evidence was missing.
    choices: Option<HashMap<RequestId, Option<ChoiceIndex>>>,
}

impl Chronicle {
    /// Reads one stored block back. The first block of a log makes the chronicle: pass `None` then.
    ///
    /// # Errors
    /// [`ChronicleError::Leaf`] or [`ChronicleError::Contradiction`] for a damaged log; the
    /// chronicle is of no use then.
    pub fn replay(
        chronicle: Option<Self>,
        leaves: &[u8],
        ballot_key: &BallotSecretKey,
        source: &mut dyn ReplaySource,
    ) -> Result<Self, ChronicleError> {
        let mut chronicle = chronicle;
        Self::replay_into(&mut chronicle, leaves, ballot_key, source)?;
        chronicle.ok_or(ChronicleError::Contradiction { index: 0, rule: "a block is not empty" })
    }

    /// Reads on by one stored block.
    ///
    /// # Errors
    /// As [`Chronicle::replay`]; the chronicle is of no use then.
    pub fn replay_next(
        &mut self,
        leaves: &[u8],
        ballot_key: &BallotSecretKey,
        source: &mut dyn ReplaySource,
    ) -> Result<(), ChronicleError> {
        let draft = Self::draft(self.definition.clone());
        let mut chronicle = Some(std::mem::replace(self, draft));
        let replayed = Self::replay_into(&mut chronicle, leaves, ballot_key, source);
        *self = chronicle.expect("what there was is still there");
        replayed
    }

    fn replay_into(
        chronicle: &mut Option<Self>,
        leaves: &[u8],
        ballot_key: &BallotSecretKey,
        source: &mut dyn ReplaySource,
    ) -> Result<(), ChronicleError> {
        let mut open = None;
        let mut full_tiles = Vec::new();
        for bytes in leaves_of_block(leaves) {
            let index = chronicle.as_ref().map_or(0, |chronicle| chronicle.tree.size());
            let bytes = bytes.ok_or(ChronicleError::Contradiction {
                index,
                rule: "the block's bytes end within a leaf",
            })?;
            let leaf = Leaf::parse(bytes).map_err(|error| ChronicleError::Leaf { index, error })?;
            let chronicle = match (&mut *chronicle, &leaf) {
                (Some(chronicle), _) => chronicle,
                (none, Leaf::Election(ElectionEvent::Draft { definition, .. })) => {
                    none.insert(Self::draft(definition.clone()))
                }
                (None, _) => {
                    return Err(ChronicleError::Contradiction {
                        index,
                        rule: "a log starts with the draft",
                    });
                }
            };
            let choices = chronicle.definition.choices.len();
            let open = open
                .get_or_insert_with(|| OpenBlock { counts: Counts::zero(choices), choices: None });
            chronicle.replay_leaf(&leaf, index, open, ballot_key, source)?;
            chronicle.tree.append(leaf_hash(bytes), &mut full_tiles);
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
    ) -> Result<(), ChronicleError> {
        let contradiction = |rule| ChronicleError::Contradiction { index, rule };
        match leaf {
            Leaf::Election(event) => self.replay_event(event),
            Leaf::Roll(event) => self.replay_roll(event, index, source)?,
            Leaf::Node(NodeEvent::Admitted { key, .. }) => {
                self.apply_act(&Act::Admit(*key), self.updated_at)?;
            }
            Leaf::Node(NodeEvent::Retired { node, epoch, .. }) => {
                self.fold.retire(*node, *epoch);
            }
            Leaf::Batch(batch) => {
                self.fold.take_batch(batch.number(), batch.last)?;
                self.report.received += u64::from(batch.count);
                self.report.replayed += u64::from(batch.count);
                // A request that stands twice in a batch was decided by its first envelope.
                open.choices =
                    source.choices(batch).map(|choices| choices.into_iter().rev().collect());
                self.evidence_missing |= open.choices.is_none();
            }
            Leaf::Entry(entry) => {
                let scheme = self.scheme.ok_or(contradiction("entries follow a roll"))?;
                self.fold.replay(entry, &mut self.electorate, scheme, index);
                self.replay_entry(entry, open)
                    .ok_or(contradiction("a batch has no more entries than envelopes"))?;
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

    fn replay_event(&mut self, event: &ElectionEvent) {
        match event {
            ElectionEvent::Draft { .. } => {}
            ElectionEvent::Open { opens, .. } => self.open_at(*opens),
            ElectionEvent::Closing { closes, .. } => self.closing_at(*closes),
            ElectionEvent::Closed { .. } => self.state = State::Closed,
            ElectionEvent::Certified { .. } => self.state = State::Certified,
        }
    }

    fn replay_roll(
        &mut self,
        event: &RollEvent,
        index: u64,
        source: &mut dyn ReplaySource,
    ) -> Result<(), ChronicleError> {
        let content: RollContent = source.roll(event).ok_or(ChronicleError::Contradiction {
            index,
            rule: "the shards of the roll are at hand",
        })?;
        let load = RollLoad {
            manifest: event.manifest,
            parent: event.parent,
            scheme: event.scheme,
            content,
        };
        let replayed = self.load(&load)?;
        if replayed == *event {
            Ok(())
        } else {
            Err(ChronicleError::Contradiction {
                index,
                rule: "the shards at hand are those that were loaded",
            })
        }
    }

    fn replay_entry(&mut self, entry: &Entry, open: &mut OpenBlock) -> Option<()> {
        self.report.replayed = self.report.replayed.checked_sub(1)?;
        match entry.decision {
            Decision::Accepted { .. } => self.report.accepted += 1,
            Decision::Duplicate { .. } => self.report.duplicate += 1,
            Decision::Invalid { .. } => self.report.invalid += 1,
        }
        let choice = open
            .choices
            .as_ref()
            .and_then(|choices| choices.get(&entry.request).copied().flatten());
        open.counts.count(Some(entry), choice);
        Some(())
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
