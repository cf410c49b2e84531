//! The log of one election: its state at one size, and how the next block is made.
//!
//! A block is proposed, checked and applied:
//!
//! - [`ElectionLog::propose`] makes a block from events, batches or the close. It is a pure
//!   function of the log, the content and the maker, and changes nothing.
//! - [`ElectionLog::check`] takes a block made by another process, makes it again from the same
//!   inputs, and compares every byte. A [`Refusal`] names the leaf and the rule.
//! - [`ElectionLog::apply`] applies the [`Effect`] of either, once the block is durable. A proposal
//!   that loses is dropped.
//!
//! [`LogReplay`] reads a stored log with `check`, from the first block or from a [`snapshot`].
//! [`ElectionLog::follow`] reads one without deciding: no rolls, no evidence, no ballot key.

mod block;
mod evidence;
mod state;
mod propose;
mod check;
mod event;
mod error;
mod replay;
mod follow;
mod scrub;
pub mod snapshot;

use std::sync::Arc;

use crate::batch::{Batch, NodePublicKey, VerifiedBatch};
use crate::credential::HashScheme;
use crate::decision::DecisionState;
use crate::election::{Definition, State, Window};
use crate::electorate::Electorate;
use crate::id::{Digest, NodeId};
use crate::instant::UnixMinutes;
use crate::log::leaf::{BatchLeaf, ElectionEvent, Leaf};
use crate::log::merkle::{TreeBuilder, TreeHash};
use crate::reconcile::Report;
use crate::results::Results;

pub use block::{Block, BlockMaker, batches_of_block, leaves_of_block};
pub use check::{CheckError, Refusal, RefusalRule};
pub use error::{Change, ElectionLogError, FixedPart};
pub(crate) use event::is_too_far_ahead;
pub use event::{CLOSING_AHEAD_MINUTES_MAX, LogEvent, REASON_LENGTH_MAX, RollContent, RollLoad};
pub use evidence::{Evidence, EvidenceFault};
pub use propose::{BlockContent, Effect, Proposal};
pub use replay::{LogReplay, ReplayError, ReplaySource};
pub use scrub::{FindFirst, Scrub, ScrubError};

use block::BlockBuilder;
use state::LogState;

/// The state of one election after a number of blocks.
#[derive(Debug)]
pub struct ElectionLog {
    state: LogState,
    decisions: DecisionState,
}

impl ElectionLog {
    /// Starts the log of an election: block 1, with the draft.
    #[must_use]
    pub fn begin(definition: Definition, maker: &BlockMaker) -> (Self, Block) {
        let decisions = DecisionState::new(definition.law_id.clone(), Electorate::default());
        let mut state = LogState::draft(definition.clone());
        let mut block = BlockBuilder::new(0);
        block.push(&Leaf::Election(ElectionEvent::Draft { at: maker.at, definition }));
        let block = state.finish(block, maker);
        (Self { state, decisions }, block)
    }

    /// Applies a block that is durable.
    ///
    /// # Panics
    /// When the effect was made at another size of the log. Of two proposals made at one size, the
    /// second must be dropped once the first is applied.
    pub fn apply(&mut self, effect: Effect) {
        let Effect { base_size, next, decisions } = effect;
        assert_eq!(base_size, self.state.tree.size(), "a block follows the log it was made for");
        self.state = next;
        self.decisions.apply(decisions);
    }

    /// Verifies a batch for this election: right law, admitted node, valid signature.
    ///
    /// # Errors
    /// [`ElectionLogError`] with the first rule it breaks.
    pub fn verify_batch(&self, batch: &Arc<Batch>) -> Result<VerifiedBatch, ElectionLogError> {
        let node = batch.number().node;
        let key = self.state.nodes.get(&node).ok_or(ElectionLogError::NotAdmitted { node })?;
        Ok(batch.verify(&self.state.definition.law_id, key)?)
    }

    /// The definition of the election.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.state.definition
    }

    /// The state of the election.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.state
    }

    /// The window in which votes count.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.state.window
    }

    /// How credentials are hashed, once a roll is loaded.
    #[must_use]
    pub fn scheme(&self) -> Option<HashScheme> {
        self.state.scheme
    }

    /// The manifest that was loaded last.
    #[must_use]
    pub fn last_manifest(&self) -> Option<Digest> {
        self.state.manifests.last().copied()
    }

    /// Whether a manifest is in effect.
    #[must_use]
    pub fn has_manifest(&self, manifest: &Digest) -> bool {
        self.state.manifests.contains(manifest)
    }

    /// Every manifest that the log names, including those of replaced rolls: reading the log needs
    /// all of them.
    pub fn named_manifests(&self) -> impl Iterator<Item = &Digest> {
        self.state.replaced.iter().chain(&self.state.manifests)
    }

    /// The manifests that are in effect, in order.
    #[must_use]
    pub fn manifests(&self) -> &[Digest] {
        &self.state.manifests
    }

    /// The electorate: who may vote and who has voted.
    #[must_use]
    pub fn electorate(&self) -> &Electorate {
        self.decisions.electorate()
    }

    /// The key of an admitted ingest node.
    #[must_use]
    pub fn node_key(&self, node: NodeId) -> Option<&NodePublicKey> {
        self.state.nodes.get(&node)
    }

    /// The admitted ingest nodes, in the order of their ids.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &NodePublicKey)> + '_ {
        self.state.nodes.iter().map(|(node, key)| (*node, key))
    }

    /// The decided requests and the sealed batches.
    #[must_use]
    pub fn decisions(&self) -> &DecisionState {
        &self.decisions
    }

    /// Counts of what was received, by outcome.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.state.report
    }

    /// The tree over all leaves.
    #[must_use]
    pub fn tree(&self) -> &TreeBuilder {
        &self.state.tree
    }

    /// The height of the last block.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.state.height
    }

    /// The time of the last block.
    #[must_use]
    pub fn updated_at(&self) -> UnixMinutes {
        self.state.updated_at
    }

    /// Whether the log states that evidence and keys are destroyed.
    #[must_use]
    pub fn is_purged(&self) -> bool {
        self.state.purged
    }

    /// Whether evidence was missing when the log was read back. This is right only after a purge.
    #[must_use]
    pub fn evidence_missing(&self) -> bool {
        self.state.evidence_missing
    }

    /// Whether this log is followed: it holds no electorate, and decides nothing.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.state.followed
    }

    /// The root of the log.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        self.state.root
    }

    /// The results that may be shown now: the sums last published; after the close, all votes.
    #[must_use]
    pub fn results(&self) -> Results {
        self.state.results(self.decisions.electorate())
    }
}

/// The leaf that records a batch.
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

#[cfg(test)]
#[path = "election_log/check_test.rs"]
mod check_test;

#[cfg(test)]
#[path = "election_log/follow_test.rs"]
mod follow_test;

#[cfg(test)]
#[path = "election_log/byzantine_test.rs"]
mod byzantine_test;
