//! Reads a stored log block by block, and checks each block against its evidence.
//!
//! Once evidence is purged, its blocks cannot be made again. Their leaves are then accepted as
//! stored ([`ElectionLog::replay`]), and only the signed root vouches for them.

use super::check::{CheckError, Refusal, RefusalRule};
use super::evidence::{DecidedChoices, Evidence, ExpectedCount, rank_of};
use super::propose::{Effect, NextState};
use super::{ElectionLog, ElectionLogError, LogEvent, RollContent, RollLoad, leaves_of_block};
use crate::ballot::{BallotSecretKey, ChoiceIndex};
use crate::decision::Outcome;
use crate::election::State;
use crate::log::leaf::{BatchLeaf, BlockLeaf, ElectionEvent, Leaf, NodeEvent, RollEvent};
use crate::log::merkle::leaf_hash;
use crate::tally::{Tally, Totals};

/// The inputs of a check or replay besides the leaves.
pub trait ReplaySource {
    /// The keys or changes that a `roll` leaf names. `None` if they are not available.
    fn roll(&mut self, event: &RollEvent) -> Option<RollContent>;

    /// The evidence of a batch, as stored; this module checks that it is the right one. `None` if
    /// it is not available.
    fn evidence(&mut self, batch: &BatchLeaf) -> Option<Evidence>;
}

/// Why a log cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// A block does not follow from its evidence, or an input is missing.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// A leaf of a block whose evidence is destroyed contradicts those before it.
    #[error(transparent)]
    Leaf(#[from] ElectionLogError),
}

/// A log being read, from its first block or from a snapshot.
#[derive(Debug, Default)]
pub struct LogReplay {
    log: Option<ElectionLog>,
    /// The choice of each decided request, to compare a second copy with the first. `None` if
    /// earlier choices are not known.
    choices: Option<DecidedChoices>,
}

impl LogReplay {
    /// Starts at the first block.
    #[must_use]
    pub fn new() -> Self {
        Self { log: None, choices: Some(DecidedChoices::default()) }
    }

    /// Continues a log. The choices of its earlier votes are not known; [`super::Scrub`] compares
    /// them.
    #[must_use]
    pub fn resume(log: ElectionLog) -> Self {
        Self { log: Some(log), choices: None }
    }

    /// The log read so far; `None` before the first block.
    #[must_use]
    pub fn log(&self) -> Option<&ElectionLog> {
        self.log.as_ref()
    }

    /// The log read so far; `None` before the first block.
    #[must_use]
    pub fn finish(self) -> Option<ElectionLog> {
        self.log
    }

    /// Reads the next block: checks it, or accepts its leaves as stored if evidence is missing.
    /// Whether evidence may be missing is for the caller to decide, after the last block
    /// ([`ElectionLog::evidence_missing`]).
    ///
    /// # Errors
    /// [`ReplayError`]; nothing has changed then.
    pub fn read(
        &mut self,
        leaves: &[u8],
        ballot_key: &BallotSecretKey,
        source: &mut dyn ReplaySource,
    ) -> Result<(), ReplayError> {
        let Some(log) = &mut self.log else {
            self.log = Some(ElectionLog::check_first(leaves)?);
            return Ok(());
        };
        let mut outcomes: Vec<(Outcome, Option<ChoiceIndex>)> = Vec::new();
        let mut keep = |outcome: &Outcome, choice| outcomes.push((*outcome, choice));
        let effect = match log.check_with(leaves, ballot_key, source, &mut keep) {
            Ok(proposal) => {
                if let Some(choices) = &mut self.choices {
                    take_choices(choices, log, &proposal.effect, &outcomes, leaves)?;
                }
                proposal.effect
            }
            Err(CheckError::MissingEvidence { .. } | CheckError::UnknownSums { .. }) => {
                let effect = log.replay(leaves, source)?;
                // Without this block's choices, later copies have nothing to be compared with.
                self.choices = None;
                effect
            }
            Err(error) => return Err(error.into()),
        };
        log.apply(effect);
        Ok(())
    }
}

/// Compares the choice of each second copy in a block with that of the first copy, and records the
/// choices of the block's new requests. The block is not applied yet: after a refusal neither the
/// log nor the choices have changed.
fn take_choices(
    choices: &mut DecidedChoices,
    log: &ElectionLog,
    effect: &Effect,
    outcomes: &[(Outcome, Option<ChoiceIndex>)],
    leaves: &[u8],
) -> Result<(), CheckError> {
    let known = choices.0.len();
    for (outcome, choice) in outcomes {
        let rank = rank_of(log.decisions(), &effect.decisions, outcome);
        if !choices.take(outcome, *choice, rank) {
            choices.0.truncate(known);
            let theirs = Some(Leaf::from(*outcome).to_bytes());
            let rule = RefusalRule::ReplayedChoice;
            let leaf = leaf_index(leaves, log.tree().size(), theirs.as_deref());
            return Err(Box::new(Refusal { leaf, rule, own: None, theirs }).into());
        }
    }
    Ok(())
}

/// The index of a leaf in the log, by its bytes.
fn leaf_index(leaves: &[u8], first: u64, wanted: Option<&[u8]>) -> u64 {
    let place = leaves_of_block(leaves).position(|leaf| leaf == wanted);
    first + place.unwrap_or(0) as u64
}

impl ElectionLog {
    /// Accepts the leaves of the next block as stored, for a block whose evidence is destroyed.
    /// Changes nothing; apply the effect.
    ///
    /// The sums of the votes are then known only from the `totals` leaves.
    ///
    /// # Errors
    /// [`ElectionLogError::Leaf`] or [`ElectionLogError::Contradiction`] for a damaged log.
    pub fn replay(
        &self,
        leaves: &[u8],
        source: &mut dyn ReplaySource,
    ) -> Result<Effect, ElectionLogError> {
        let mut next = NextState::new(self);
        next.next.evidence_missing = true;
        next.accept_leaves(leaves, &mut Rolls::Held(source), &mut |_| {})?;
        Ok(next.into_effect())
    }
}

/// How a reader loads a roll.
pub(super) enum Rolls<'a> {
    /// With its keys.
    Held(&'a mut dyn ReplaySource),
    /// By the counts in its leaf.
    Counted,
}

impl NextState<'_> {
    /// Accepts the leaves of a block as stored.
    pub(super) fn accept_leaves(
        &mut self,
        leaves: &[u8],
        rolls: &mut Rolls<'_>,
        on_outcome: &mut dyn FnMut(&Outcome),
    ) -> Result<(), ElectionLogError> {
        let mut full_tiles = Vec::new();
        let mut batch: Option<(BatchLeaf, ExpectedCount)> = None;
        for bytes in leaves_of_block(leaves) {
            let index = self.next.tree.size();
            let bytes = bytes.ok_or(ElectionLogError::Contradiction {
                index,
                rule: "the block's bytes end within a leaf",
            })?;
            let leaf =
                Leaf::parse(bytes).map_err(|error| ElectionLogError::Leaf { index, error })?;
            self.accept_leaf(&leaf, index, &mut batch, rolls, on_outcome)?;
            self.next.tree.append(leaf_hash(bytes), &mut full_tiles);
        }
        self.next.root = self.next.tree.root();
        Ok(())
    }

    fn accept_leaf(
        &mut self,
        leaf: &Leaf,
        index: u64,
        batch: &mut Option<(BatchLeaf, ExpectedCount)>,
        rolls: &mut Rolls<'_>,
        on_outcome: &mut dyn FnMut(&Outcome),
    ) -> Result<(), ElectionLogError> {
        let contradiction = |rule| ElectionLogError::Contradiction { index, rule };
        let outcome = match leaf {
            Leaf::Entry(entry) => Some(Outcome::Decided(*entry)),
            Leaf::Replay(replay) => Some(Outcome::Replayed(*replay)),
            _ => None,
        };
        if let Some(outcome) = outcome {
            let (batch, count) =
                batch.as_mut().ok_or(contradiction("an entry belongs to a batch"))?;
            count.take().map_err(|_| contradiction(ExpectedCount::RULE))?;
            on_outcome(&outcome);
            return self.replay_outcome(batch, &outcome, index);
        }
        if let Some((_, count)) = batch.take() {
            count.finish().map_err(|_| contradiction(ExpectedCount::RULE))?;
        }
        match leaf {
            Leaf::Election(event) => self.replay_event(event),
            Leaf::Roll(event) => match rolls {
                Rolls::Held(source) => self.replay_roll(event, index, *source)?,
                Rolls::Counted => self.count_roll(event, index)?,
            },
            Leaf::Node(NodeEvent::Admitted { key, .. }) => {
                self.apply_event(&LogEvent::Admit(*key), self.next.updated_at)?;
            }
            Leaf::Node(NodeEvent::Retired { node, epoch, .. }) => {
                self.log.decisions.retire(&mut self.pending, *node, *epoch);
            }
            Leaf::Batch(leaf) => {
                self.next.scheme.ok_or(contradiction("batches follow a roll"))?;
                self.log.decisions.take_batch(&mut self.pending, &leaf.position(), None)?;
                *batch = Some((*leaf, ExpectedCount::new(leaf.count as usize)));
            }
            Leaf::Totals(totals) => {
                self.replay_totals(totals).ok_or(contradiction("totals open a sum"))?;
            }
            Leaf::Block(BlockLeaf { height, sealed_at, .. }) => {
                self.next.height += 1;
                self.next.updated_at = *sealed_at;
                if self.next.height != *height {
                    return Err(contradiction("block heights follow one another"));
                }
            }
            Leaf::Entry(_) | Leaf::Replay(_) | Leaf::Counts(_) => {}
        }
        Ok(())
    }

    fn replay_outcome(
        &mut self,
        batch: &BatchLeaf,
        outcome: &Outcome,
        index: u64,
    ) -> Result<(), ElectionLogError> {
        if let Outcome::Decided(entry) = outcome {
            let rule = "batches follow a roll";
            let scheme = self.next.scheme.ok_or(ElectionLogError::Contradiction { index, rule })?;
            let decisions = &self.log.decisions;
            decisions.take_minute(&mut self.pending, batch.number(), entry.minute);
            decisions.take_entry(&mut self.pending, entry, scheme, index);
        }
        self.next.report.count(outcome.entry());
        Ok(())
    }

    fn replay_event(&mut self, event: &ElectionEvent) {
        let next = &mut self.next;
        match event {
            ElectionEvent::Draft { .. } => {}
            ElectionEvent::Amended { definition, .. } => {
                next.replace_definition(definition.clone());
            }
            ElectionEvent::Open { opens, .. } => next.open_at(*opens),
            ElectionEvent::Closing { closes, .. } => next.closing_at(*closes),
            ElectionEvent::Closed { .. } => next.state = State::Closed,
            ElectionEvent::Certified { .. } => next.state = State::Certified,
            ElectionEvent::Annulled { .. } => next.state = State::Annulled,
            ElectionEvent::Purged { .. } => next.purged = true,
        }
    }

    fn replay_roll(
        &mut self,
        event: &RollEvent,
        index: u64,
        source: &mut dyn ReplaySource,
    ) -> Result<(), ElectionLogError> {
        let contradiction = |rule| ElectionLogError::Contradiction { index, rule };
        let content =
            source.roll(event).ok_or(contradiction("the shards of the roll are available"))?;
        let load = RollLoad {
            manifest: event.manifest,
            parent: event.parent,
            replaces: event.replaces,
            scheme: event.scheme,
            content,
        };
        let replayed = self.load(&load)?;
        (replayed == *event)
            .then_some(())
            .ok_or(contradiction("the shards available are those that were loaded"))
    }

    /// The opened totals are all that is left of the votes.
    fn replay_totals(&mut self, totals: &Totals) -> Option<()> {
        self.next.tally = Tally::opened(totals)?;
        self.next.published = self.next.tally.clone();
        Some(())
    }
}
