//! Proposes a block: its content and its effect, without changing the log.

use super::block::{Block, BlockBuilder, BlockMaker};
use super::state::LogState;
use super::{Change, ElectionLog, ElectionLogError, LogEvent, batch_leaf};
use crate::ballot::{BallotSecretKey, ChoiceIndex};
use crate::batch::VerifiedBatch;
use crate::commitment::BlockContext;
use crate::decision::{Outcome, PendingDecisions};
use crate::election::{ResultsPolicy, State};
use crate::electorate::Electorate;
use crate::epochs::OrderError;
use crate::instant::UnixMinutes;
use crate::log::leaf::{BlockLeaf, CountsLeaf, ElectionEvent, Leaf};
use crate::log::merkle::TreeHash;
use crate::tally::{self, Counts, Totals};

/// The content of a block, without its maker.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum BlockContent<'a> {
    /// Events, in order.
    Events(&'a [LogEvent]),
    /// Batches to decide, in order. Each must be the next of its epoch; others are left out.
    Batches {
        /// The batches.
        batches: &'a [VerifiedBatch],
        /// The key that opens their choices.
        ballot_key: &'a BallotSecretKey,
    },
    /// The close: reconciles, and opens the totals.
    Close,
}

/// A block and its effect. Dropping it leaves no trace in the log.
#[derive(Debug)]
#[non_exhaustive]
pub struct Proposal {
    /// The block.
    pub block: Block,
    /// The effect to apply with [`ElectionLog::apply`] once the block is durable.
    pub effect: Effect,
    /// The batches left out, each by its index among those given, with the reason.
    pub refused: Vec<(usize, OrderError)>,
}

/// The changes that a block makes to the log it was made for.
#[derive(Debug)]
pub struct Effect {
    pub(super) base_size: u64,
    pub(super) next: LogState,
    pub(super) decisions: PendingDecisions,
}

impl Effect {
    /// The state of the election after the block.
    #[must_use]
    pub fn state(&self) -> State {
        self.next.state
    }

    /// Leaves in the log after the block.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.next.tree.size()
    }

    /// The root of the log after the block.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        self.next.root
    }
}

/// Why an event or the close is refused, and the index of the event.
pub(super) struct EventRefused {
    pub(super) place: usize,
    pub(super) error: ElectionLogError,
}

/// Called with each outcome of a batch and the choice of its envelope.
pub(super) type OnOutcome<'a> = dyn FnMut(&Outcome, Option<ChoiceIndex>) + 'a;

/// A batch with its decrypted choices.
pub(super) type OpenedBatch = (VerifiedBatch, Vec<Option<ChoiceIndex>>);

impl ElectionLog {
    /// Makes the next block without changing the log.
    ///
    /// A pure function of the log, the content and the maker: every authority that has the same log
    /// makes the same bytes.
    ///
    /// # Errors
    /// [`ElectionLogError`] when an event is not possible, votes cannot be taken in this state, or
    /// the close has to wait.
    pub fn propose(
        &self,
        content: &BlockContent<'_>,
        maker: &BlockMaker,
    ) -> Result<Proposal, ElectionLogError> {
        if self.state.followed {
            return Err(ElectionLogError::Followed);
        }
        match content {
            BlockContent::Events(events) => {
                self.propose_events(events, maker).map_err(|refused| refused.error)
            }
            BlockContent::Batches { batches, ballot_key } => {
                let opened = batches.iter().map(|batch| (batch.clone(), batch.open(ballot_key)));
                self.propose_batches(opened, ballot_key, maker, &mut |_, _| {})
            }
            BlockContent::Close => self.propose_close(maker),
        }
    }

    pub(super) fn propose_events(
        &self,
        events: &[LogEvent],
        maker: &BlockMaker,
    ) -> Result<Proposal, EventRefused> {
        let mut next = NextState::new(self);
        let mut block = next.block();
        for (place, event) in events.iter().enumerate() {
            let at = next.event_time(maker);
            let leaf =
                next.apply_event(event, at).map_err(|error| EventRefused { place, error })?;
            block.push(&leaf);
        }
        Ok(next.finish(block, maker))
    }

    pub(super) fn propose_batches(
        &self,
        batches: impl Iterator<Item = OpenedBatch>,
        ballot_key: &BallotSecretKey,
        maker: &BlockMaker,
        on_outcome: &mut OnOutcome<'_>,
    ) -> Result<Proposal, ElectionLogError> {
        let state = self.state.state;
        if !matches!(state, State::Open | State::Closing) {
            return Err(ElectionLogError::State { state, wanted: Change::Vote });
        }
        let scheme = self.state.scheme.ok_or(ElectionLogError::NoRoll)?;
        let mut next = NextState::new(self);
        let mut block = next.block();
        let mut counts = Counts::zero(self.state.definition.choices.len());
        let mut refused = Vec::new();
        for (place, (batch, choices)) in batches.enumerate() {
            // The leaf of the batch comes first; its entries start one leaf later.
            let (pending, first) = (&mut next.pending, block.next_leaf() + 1);
            match self.decisions.decide(pending, &batch, scheme, &self.state.window, first) {
                Ok(outcomes) => {
                    block.push(&Leaf::Batch(batch_leaf(&batch)));
                    for (outcome, choice) in outcomes.into_iter().zip(choices) {
                        next.next.report.count(outcome.entry());
                        counts.count(outcome.entry(), choice);
                        on_outcome(&outcome, choice);
                        block.push_outcome(outcome);
                    }
                }
                Err(error) => refused.push((place, error)),
            }
        }
        if block.leaf_count > 0 {
            let content = BlockContext::new(self.state.root.as_bytes(), &block.leaves);
            let commitments = tally::commit(&counts, ballot_key, &content);
            block.push(&Leaf::Counts(CountsLeaf { commitments }));
            next.next.tally.add_block(&counts, ballot_key, &content, self.state.height + 1);
            if let Some(totals) = next.next.publish() {
                block.push(&Leaf::Totals(totals));
            }
        }
        Ok(Proposal { refused, ..next.finish(block, maker) })
    }

    pub(super) fn propose_close(&self, maker: &BlockMaker) -> Result<Proposal, ElectionLogError> {
        let mut next = NextState::new(self);
        next.expect_state(State::Closing, Change::Close)?;
        // The close is a barrier: every epoch must have ended.
        let epochs = self.decisions.epochs();
        if let Some((node, epoch)) = epochs.open().next() {
            return Err(ElectionLogError::OpenEpoch { node, epoch: epoch.0 });
        }
        if let Some((node, epoch)) = epochs.missing().next() {
            return Err(ElectionLogError::MissingEpoch { node, epoch: epoch.0 });
        }
        let LogState { report, tally, .. } = &self.state;
        let registered = self.decisions.electorate().registered();
        report.reconcile(tally.counts(), registered)?;
        let mut block = next.block();
        let at = next.event_time(maker);
        block.push(&Leaf::Election(ElectionEvent::Closed { at, registered, report: *report }));
        block.push(&Leaf::Totals(tally.open(self.state.height + 1)));
        next.next.published = tally.clone();
        next.next.state = State::Closed;
        Ok(next.finish(block, maker))
    }
}

/// The state after a block under construction; the log itself does not change.
pub(super) struct NextState<'a> {
    pub(super) log: &'a ElectionLog,
    pub(super) next: LogState,
    pub(super) pending: PendingDecisions,
}

impl<'a> NextState<'a> {
    pub(super) fn new(log: &'a ElectionLog) -> Self {
        Self { log, next: log.state.clone(), pending: PendingDecisions::default() }
    }

    fn block(&self) -> BlockBuilder {
        BlockBuilder::new(self.log.state.tree.size())
    }

    /// The time of an event in the block: never before the last block.
    fn event_time(&self, maker: &BlockMaker) -> UnixMinutes {
        maker.at.max(self.next.updated_at)
    }

    /// The electorate with the changes of the block so far.
    pub(super) fn electorate(&self) -> &Electorate {
        self.pending.electorate().unwrap_or_else(|| self.log.decisions.electorate())
    }

    /// Number of decided requests, including those of the block.
    pub(super) fn decided(&self) -> usize {
        self.log.decisions.requests().len() + self.pending.requests()
    }

    fn finish(mut self, block: BlockBuilder, maker: &BlockMaker) -> Proposal {
        let block = self.next.finish(block, maker);
        Proposal { block, effect: self.into_effect(), refused: Vec::new() }
    }

    pub(super) fn into_effect(self) -> Effect {
        let base_size = self.log.state.tree.size();
        Effect { base_size, next: self.next, decisions: self.pending }
    }
}

impl LogState {
    /// Advances the published totals. With `publish_every` 1 these are all votes. With n > 1 they
    /// move only to a sum that has n new votes and behind which n newer votes stay hidden:
    /// otherwise two totals that differ by few votes would show how those few voted. Under `live`
    /// the new totals are opened in the log.
    pub(super) fn publish(&mut self) -> Option<Totals> {
        let every = self.definition.publish_every;
        let now = self.tally.counts().total();
        let due = if every <= 1 {
            (now > self.published.counts().total()).then(|| self.tally.clone())
        } else {
            // The candidate is the sum at the end of an earlier block. It may be published only
            // once n votes came after it; the present sum then becomes the next candidate.
            let candidate = self.candidate.get_or_insert_with(|| self.published.clone());
            let held_back = now - candidate.counts().total();
            if held_back < every {
                return None;
            }
            let due = self.candidate.replace(self.tally.clone())?;
            // False only for the first candidate, the empty sum: each later candidate has at least
            // n votes more than its predecessor, and only candidates are published.
            (due.counts().total() >= self.published.counts().total() + every).then_some(due)
        };
        self.published = due?;
        (self.definition.results == ResultsPolicy::Live)
            .then(|| self.published.open(self.published.height()))
    }

    /// Ends the block with its `block` leaf, and appends its leaves to the tree.
    pub(super) fn finish(&mut self, mut block: BlockBuilder, maker: &BlockMaker) -> Block {
        self.height += 1;
        // No clock is trusted alone: the time of a block is never before that of the last block,
        // nor before that of a vote in the block.
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
        self.root = self.tree.root();
        Block {
            height: self.height,
            first_leaf: block.first_leaf,
            leaf_count: block.leaf_count,
            leaves: block.leaves,
            full_tiles,
            root: self.root,
            entries: block.entries,
            sealed_at: self.updated_at,
        }
    }
}
