//! Compares a log with its evidence: each leaf of a batch is about one envelope, in order, and its
//! decision is recomputed. Used by replay and scrub.

use std::sync::Arc;

use super::batch_leaf;
use crate::ballot::ChoiceIndex;
use crate::batch::{Batch, BatchError, NodePublicKey, VerifiedBatch};
use crate::decision::{DecisionState, Outcome, PendingDecisions};
use crate::epochs::OrderError;
use crate::id::ElectionId;
use crate::log::leaf::BatchLeaf;

/// The evidence of a batch: the stored bytes, and the choices that the ballot key decrypts.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The stored batch.
    pub batch: Arc<Batch>,
    /// One choice per envelope; `None` for a spoiled vote.
    pub choices: Vec<Option<ChoiceIndex>>,
}

/// A difference between a log and its evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceFault {
    /// The stored batch does not verify.
    #[error("the stored batch does not verify: {0}")]
    Batch(BatchError),
    /// The batch's node is not admitted.
    #[error("the batch's node is not admitted")]
    NotAdmitted,
    /// The leaf does not match the stored batch.
    #[error("the leaf is not that of the stored batch")]
    Leaf,
    /// The batch is not the next of its epoch.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// A leaf is about another envelope.
    #[error("the leaf does not decide envelope {envelope_index} of its batch")]
    Envelope {
        /// The index of the envelope, from 0.
        envelope_index: usize,
    },
    /// A leaf decides differently from the rules.
    #[error("the leaf's decision on envelope {envelope_index} of its batch differs from the rules")]
    Decision {
        /// The index of the envelope, from 0.
        envelope_index: usize,
    },
    /// A replay carries another choice than the first copy of its request.
    #[error("envelope {envelope_index} of the batch repeats a request with another choice")]
    ReplayedChoice {
        /// The index of the envelope, from 0.
        envelope_index: usize,
    },
    /// A batch has more or fewer leaves than envelopes.
    #[error("a batch has one leaf per envelope: found {leaves} for {envelopes}")]
    Count {
        /// Leaves found, at least.
        leaves: usize,
        /// Envelopes of the batch.
        envelopes: usize,
    },
}

/// Verifies the evidence of a batch leaf.
pub(super) fn verify(
    leaf: &BatchLeaf,
    evidence: &Evidence,
    law_id: &ElectionId,
    key: Option<&NodePublicKey>,
) -> Result<VerifiedBatch, EvidenceFault> {
    let key = key.ok_or(EvidenceFault::NotAdmitted)?;
    let verified = evidence.batch.verify(law_id, key).map_err(EvidenceFault::Batch)?;
    if batch_leaf(&verified) == *leaf { Ok(verified) } else { Err(EvidenceFault::Leaf) }
}

/// The leaves that must follow a batch leaf.
pub(super) struct ExpectedLeaves {
    count: ExpectedCount,
    /// The expected leaf of each envelope. `None` if the evidence is destroyed.
    outcomes: Option<(VerifiedBatch, Vec<ExpectedLeaf>)>,
}

/// The expected outcome of one envelope, and its choice.
type ExpectedLeaf = (Outcome, Option<ChoiceIndex>);

impl ExpectedLeaves {
    /// The leaves of a batch whose evidence is available.
    pub(super) fn from_evidence(
        batch: VerifiedBatch,
        outcomes: Vec<Outcome>,
        choices: Vec<Option<ChoiceIndex>>,
    ) -> Self {
        let count = ExpectedCount::new(batch.count());
        let outcomes = outcomes.into_iter().zip(choices).collect();
        Self { count, outcomes: Some((batch, outcomes)) }
    }

    /// The leaves of a batch whose evidence is destroyed: only their number is known.
    pub(super) fn from_count(leaf: &BatchLeaf) -> Self {
        Self { count: ExpectedCount::new(leaf.count as usize), outcomes: None }
    }

    /// Compares the next leaf. Returns the index of its envelope, and the choice if the evidence
    /// shows one.
    pub(super) fn take(
        &mut self,
        found: &Outcome,
    ) -> Result<(usize, Option<ChoiceIndex>), EvidenceFault> {
        let envelope_index = self.count.take()?;
        let Some((batch, outcomes)) = &self.outcomes else { return Ok((envelope_index, None)) };
        let (expected, choice) = &outcomes[envelope_index];
        if found != expected {
            let envelope = batch.envelopes().nth(envelope_index);
            return Err(match envelope.is_some_and(|envelope| found.names(&envelope)) {
                true => EvidenceFault::Decision { envelope_index },
                false => EvidenceFault::Envelope { envelope_index },
            });
        }
        Ok((envelope_index, *choice))
    }

    /// Whether the evidence is available.
    pub(super) fn is_known(&self) -> bool {
        self.outcomes.is_some()
    }

    /// Checks that no leaf is missing.
    pub(super) fn finish(&self) -> Result<(), EvidenceFault> {
        self.count.finish()
    }
}

/// Counts the leaves that follow a batch leaf: one for each envelope.
pub(super) struct ExpectedCount {
    envelopes: usize,
    taken: usize,
}

impl ExpectedCount {
    /// The rule that a wrong count breaks.
    pub(super) const RULE: &str = "a batch has one leaf an envelope";

    pub(super) fn new(envelopes: usize) -> Self {
        Self { envelopes, taken: 0 }
    }

    /// Counts a leaf, and returns the index of its envelope. Fails if it is one too many.
    pub(super) fn take(&mut self) -> Result<usize, EvidenceFault> {
        let envelope_index = self.taken;
        self.taken += 1;
        if envelope_index < self.envelopes { Ok(envelope_index) } else { Err(self.fault()) }
    }

    /// Checks that no leaf is missing.
    pub(super) fn finish(&self) -> Result<(), EvidenceFault> {
        if self.taken == self.envelopes { Ok(()) } else { Err(self.fault()) }
    }

    fn fault(&self) -> EvidenceFault {
        EvidenceFault::Count { leaves: self.taken, envelopes: self.envelopes }
    }
}

/// The choices of decided requests, in the order of decision: 2 bytes per request.
#[derive(Debug, Default)]
pub(super) struct DecidedChoices(pub(super) Vec<u16>);

impl DecidedChoices {
    /// Records the choice of a new request, or compares that of a replay with the first copy.
    /// Returns `false` if they differ.
    pub(super) fn take(
        &mut self,
        outcome: &Outcome,
        choice: Option<ChoiceIndex>,
        first_rank: Option<usize>,
    ) -> bool {
        let choice = choice.map_or(SPOILED, |choice| choice.0);
        match (outcome, first_rank) {
            (Outcome::Decided(_), Some(rank)) if rank == self.0.len() => {
                self.0.push(choice);
                true
            }
            (Outcome::Replayed(_), Some(rank)) => {
                let first = self.0.get(rank).copied().unwrap_or(choice);
                first == choice || first == SPOILED || choice == SPOILED
            }
            // A clash is a decision that is never recorded.
            _ => true,
        }
    }
}

/// Marks a choice that does not decrypt: it matches any choice.
const SPOILED: u16 = u16::MAX;

/// The rank of a request among the decided requests, after the pending decisions of a block.
pub(super) fn rank_of(
    decisions: &DecisionState,
    pending: &PendingDecisions,
    outcome: &Outcome,
) -> Option<usize> {
    let request = match outcome {
        Outcome::Decided(entry) => &entry.request,
        Outcome::Replayed(replay) => &replay.request,
    };
    decisions.find_first(pending, request).map(|first| first.rank)
}
