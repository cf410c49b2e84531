//! The rules that decide votes, and the state they apply to.
//!
//! [`DecisionState::decide`] is a pure function of (batch, roll, window, state of the log so far):
//! all authorities that have the same log and the same batch make the same leaves. The registry of
//! an engine only gives hints.
//!
//! The rules in order (`decide_envelope`): a request that the log has already decided is a replay,
//! or, with another hash H, a clash; a minute outside the window is `early` or `late`; a credential
//! in no roll is `unknown`; a revoked credential is `revoked`; a vote of a credential that has
//! voted is a duplicate, and the attempt is counted; any other vote is accepted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::batch::{SealedEnvelope, VerifiedBatch};
use crate::credential::{CredentialHash, HashScheme, RegistryKey};
use crate::election::{Timing, Window};
use crate::electorate::{CredentialStatus, Elector, Electorate, PendingAttempts};
use crate::envelope::EnvelopeDigest;
use crate::epochs::{BatchPosition, EpochProgress, Epochs, OrderError};
use crate::id::{BatchNumber, ElectionId, Epoch, NodeId, RequestId};
use crate::instant::UnixMinutes;
use crate::request_index::{FirstDecision, RequestIndex, Subject, requests_expected};

/// The decision on a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// The vote counts.
    Accepted {
        /// H of the credential.
        hash: CredentialHash,
    },
    /// The credential has voted before.
    Duplicate {
        /// H of the credential.
        hash: CredentialHash,
        /// Attempt number of the credential, from 2: the accepted attempt is 1.
        attempt: u32,
    },
    /// The vote does not count, and its credential stays unspent.
    Invalid {
        /// The reason.
        reason: InvalidReason,
        /// cᵢ: binds the entry to its envelope without showing H.
        envelope: EnvelopeDigest,
    },
}

/// Why a vote is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum InvalidReason {
    /// The credential is on no roll of this election.
    Unknown,
    /// The credential was revoked.
    Revoked,
    /// Received before the opening.
    Early,
    /// Received at the closing time or after it.
    Late,
    /// The request id was decided before with another credential.
    Clash,
}

impl InvalidReason {
    /// The reason as written in leaves and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Early => "early",
            Self::Late => "late",
            Self::Clash => "clash",
        }
    }

    /// Parses a reason.
    #[must_use]
    pub fn from_bytes(text: &[u8]) -> Option<Self> {
        [Self::Unknown, Self::Revoked, Self::Early, Self::Late, Self::Clash]
            .into_iter()
            .find(|reason| reason.as_str().as_bytes() == text)
    }
}

/// The decision on one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The request.
    pub request: RequestId,
    /// The decision.
    pub decision: Decision,
    /// The minute in which it was received.
    pub minute: UnixMinutes,
}

/// A second copy of a request that was decided earlier in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// The request.
    pub request: RequestId,
    /// cᵢ: binds the leaf to its envelope.
    pub envelope: EnvelopeDigest,
}

/// The outcome of one envelope of a batch: exactly one leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The request is decided.
    Decided(Entry),
    /// The request was decided before.
    Replayed(Replay),
}

impl Outcome {
    /// The entry, if the request is decided.
    #[must_use]
    pub fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Decided(entry) => Some(entry),
            Self::Replayed(_) => None,
        }
    }

    /// Whether the leaf of this outcome can be about the envelope: its request, and its H and
    /// minute or cᵢ.
    #[must_use]
    pub fn names(&self, envelope: &SealedEnvelope) -> bool {
        match self {
            Self::Replayed(replay) => {
                replay.request == envelope.request && replay.envelope == envelope.digest()
            }
            Self::Decided(Entry { request, decision, minute }) => {
                let bound = match decision {
                    Decision::Accepted { hash } | Decision::Duplicate { hash, .. } => {
                        *hash == envelope.hash
                    }
                    Decision::Invalid { envelope: digest, .. } => *digest == envelope.digest(),
                };
                bound && *request == envelope.request && *minute == envelope.received
            }
        }
    }
}

/// The state that decisions depend on: the electorate, the decided requests, and the progress of
/// each epoch.
///
/// [`DecisionState::decide`] changes nothing: the changes of a batch are collected in
/// [`PendingDecisions`], and take effect with [`DecisionState::apply`] once the block is durable.
#[derive(Debug)]
pub struct DecisionState {
    law_id: ElectionId,
    electorate: Electorate,
    requests: RequestIndex,
    epochs: Epochs,
}

/// Decisions that are made but not applied yet: those of one block.
#[derive(Debug, Default)]
pub struct PendingDecisions {
    /// The electorate after a roll or a supplement, which replaces the present one.
    electorate: Option<Electorate>,
    attempts: PendingAttempts,
    /// New requests, each with the index of its entry in the log.
    requests: RequestIndex,
    epochs: BTreeMap<(NodeId, Epoch), EpochProgress>,
}

impl DecisionState {
    /// The state of an empty log.
    #[must_use]
    pub fn new(law_id: ElectionId, electorate: Electorate) -> Self {
        let room = usize::try_from(electorate.registered()).map_or(0, requests_expected);
        let requests = RequestIndex::with_capacity(room);
        Self { law_id, electorate, requests, epochs: Epochs::default() }
    }

    /// The state of a snapshot.
    pub(crate) fn restore(
        law_id: ElectionId,
        electorate: Electorate,
        requests: RequestIndex,
        epochs: Epochs,
    ) -> Self {
        Self { law_id, electorate, requests, epochs }
    }

    /// Decides every envelope of a batch, in order, after the pending decisions. Returns one
    /// outcome per envelope. `first_leaf` is the index in the log of the leaf of the first
    /// envelope.
    ///
    /// # Errors
    /// [`OrderError`] when the batch is not the next of its epoch, or belongs to another election;
    /// then nothing is added to `pending`.
    pub fn decide(
        &self,
        pending: &mut PendingDecisions,
        batch: &VerifiedBatch,
        scheme: HashScheme,
        window: &Window,
        first_leaf: u64,
    ) -> Result<Vec<Outcome>, OrderError> {
        let number = batch.number();
        if batch.header().law_id != self.law_id {
            return Err(OrderError::Law { number });
        }
        let first_minute = batch.envelopes().next().map(|envelope| envelope.received);
        self.take_batch(pending, &position(batch), first_minute)?;
        pending.requests.reserve_when_empty(batch.envelopes().len());
        if let Some(last) = batch.envelopes().next_back() {
            self.take_minute(pending, number, last.received);
        }
        let outcomes = batch.envelopes().zip(first_leaf..).map(|(envelope, leaf)| {
            let first = self.find_first(pending, &envelope.request);
            let PendingDecisions { electorate, attempts, .. } = &mut *pending;
            let electorate = electorate.as_ref().unwrap_or(&self.electorate);
            let mut attempts = AttemptsBeside { electorate, attempts };
            let (outcome, subject) =
                decide_envelope(&envelope, first.as_ref(), &mut attempts, scheme, window);
            if let Some(subject) = subject {
                pending.requests.insert(envelope.request, leaf, subject);
            }
            outcome
        });
        Ok(outcomes.collect())
    }

    /// Records an entry as the log states it, without its envelope: once evidence is purged.
    pub(crate) fn take_entry(
        &self,
        pending: &mut PendingDecisions,
        entry: &Entry,
        scheme: HashScheme,
        leaf: u64,
    ) {
        let subject = match &entry.decision {
            Decision::Accepted { hash } | Decision::Duplicate { hash, .. } => {
                let PendingDecisions { electorate, attempts, .. } = &mut *pending;
                let electorate = electorate.as_ref().unwrap_or(&self.electorate);
                electorate.find(&scheme.registry_key(hash)).map_or(Subject::Unknown, |elector| {
                    attempts.record_attempt(electorate, elector);
                    Subject::Elector(elector)
                })
            }
            Decision::Invalid { reason: InvalidReason::Clash, .. } => return,
            Decision::Invalid { .. } => Subject::Unknown,
        };
        if self.find_first(pending, &entry.request).is_none() {
            pending.requests.insert(entry.request, leaf, subject);
        }
    }

    /// Records the next batch of an epoch.
    pub(crate) fn take_batch(
        &self,
        pending: &mut PendingDecisions,
        batch: &BatchPosition,
        first_minute: Option<UnixMinutes>,
    ) -> Result<(), OrderError> {
        let BatchNumber { node, epoch, .. } = batch.number;
        let progress = self.progress(pending, node, epoch).after_batch(batch, first_minute)?;
        pending.epochs.insert((node, epoch), progress);
        Ok(())
    }

    /// Records the minute of an envelope of the last batch.
    pub(crate) fn take_minute(
        &self,
        pending: &mut PendingDecisions,
        number: BatchNumber,
        minute: UnixMinutes,
    ) {
        let progress = self.progress(pending, number.node, number.epoch).after_minute(minute);
        pending.epochs.insert((number.node, number.epoch), progress);
    }

    /// Retires an epoch.
    pub(crate) fn retire(
        &self,
        pending: &mut PendingDecisions,
        node: NodeId,
        epoch: Epoch,
    ) -> EpochProgress {
        let progress = self.progress(pending, node, epoch).retired();
        pending.epochs.insert((node, epoch), progress);
        progress
    }

    /// The progress of an epoch after the pending decisions.
    pub(crate) fn progress(
        &self,
        pending: &PendingDecisions,
        node: NodeId,
        epoch: Epoch,
    ) -> EpochProgress {
        let applied = || self.epochs.progress(node, epoch);
        pending.epochs.get(&(node, epoch)).copied().unwrap_or_else(applied)
    }

    /// The first decision on a request, also if it is pending. The places of the new requests
    /// follow those of the decided requests, in the order of their decision: after
    /// [`DecisionState::apply`] they are the same.
    pub(crate) fn find_first(
        &self,
        pending: &PendingDecisions,
        request: &RequestId,
    ) -> Option<FirstDecision> {
        self.requests.find_first(request).or_else(|| {
            let first = pending.requests.find_first(request)?;
            Some(FirstDecision { rank: self.requests.len() + first.rank, ..first })
        })
    }

    /// Applies decisions that were made from exactly this state.
    pub fn apply(&mut self, pending: PendingDecisions) {
        if let Some(electorate) = pending.electorate {
            self.electorate = electorate;
            // With room for every elector the table is never rebuilt while votes arrive.
            let room = usize::try_from(self.electorate.registered()).map_or(0, requests_expected);
            self.requests.reserve_when_empty(room);
        }
        self.electorate.apply_attempts(&pending.attempts);
        self.requests.append(&pending.requests);
        for ((node, epoch), progress) in pending.epochs {
            self.epochs.set(node, epoch, progress);
        }
    }

    /// The electorate: who may vote and who has voted.
    #[must_use]
    pub fn electorate(&self) -> &Electorate {
        &self.electorate
    }

    /// The progress of each epoch.
    #[must_use]
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// The decided requests, each with the index of its entry in the log.
    #[must_use]
    pub fn requests(&self) -> &RequestIndex {
        &self.requests
    }
}

impl PendingDecisions {
    /// Replaces the electorate: a roll or a supplement took effect.
    pub(crate) fn set_electorate(&mut self, electorate: Electorate) {
        debug_assert!(self.attempts.is_empty(), "a block has events or votes, never both");
        self.electorate = Some(electorate);
    }

    /// The electorate after the pending roll or supplement, if there is one.
    pub(crate) fn electorate(&self) -> Option<&Electorate> {
        self.electorate.as_ref()
    }

    /// Number of new requests.
    pub(crate) fn requests(&self) -> usize {
        self.requests.len()
    }
}

/// The part of an electorate that the rules use: finds an elector and records an attempt.
pub(crate) trait AttemptRecorder {
    /// The elector with a key, registered or revoked.
    fn find(&self, key: &RegistryKey) -> Option<Elector>;

    /// Records an attempt of an elector.
    fn record_attempt(&mut self, elector: Elector) -> CredentialStatus;
}

impl AttemptRecorder for Electorate {
    fn find(&self, key: &RegistryKey) -> Option<Elector> {
        Self::find(self, key)
    }

    fn record_attempt(&mut self, elector: Elector) -> CredentialStatus {
        Self::record_attempt(self, elector)
    }
}

/// An unchanged electorate, with separate pending attempts.
struct AttemptsBeside<'a> {
    electorate: &'a Electorate,
    attempts: &'a mut PendingAttempts,
}

impl AttemptRecorder for AttemptsBeside<'_> {
    fn find(&self, key: &RegistryKey) -> Option<Elector> {
        self.electorate.find(key)
    }

    fn record_attempt(&mut self, elector: Elector) -> CredentialStatus {
        self.attempts.record_attempt(self.electorate, elector)
    }
}

/// Decides one envelope: the rules of the log, for every authority, replay and scrub. `first` is
/// the earlier decision on the same request. Also returns the subject under which a new request is
/// recorded.
pub(crate) fn decide_envelope(
    envelope: &SealedEnvelope,
    first: Option<&FirstDecision>,
    electorate: &mut impl AttemptRecorder,
    scheme: HashScheme,
    window: &Window,
) -> (Outcome, Option<Subject>) {
    let SealedEnvelope { request, hash, received } = *envelope;
    let decided = |decision, subject| {
        (Outcome::Decided(Entry { request, decision, minute: received }), subject)
    };
    let invalid = |reason| {
        // A clash is not recorded: its request keeps the first decision.
        let subject = (reason != InvalidReason::Clash).then_some(Subject::Invalid(hash));
        decided(Decision::Invalid { reason, envelope: envelope.digest() }, subject)
    };
    if let Some(first) = first {
        let is_same = match first.subject {
            Subject::Elector(elector) => {
                electorate.find(&scheme.registry_key(&hash)) == Some(elector)
            }
            Subject::Invalid(first) => first == hash,
            // This occurs only after a purge, when no vote is decided any more.
            Subject::Unknown => true,
        };
        return if is_same {
            (Outcome::Replayed(Replay { request, envelope: envelope.digest() }), None)
        } else {
            invalid(InvalidReason::Clash)
        };
    }
    match window.timing(received) {
        Timing::Early => return invalid(InvalidReason::Early),
        Timing::Late => return invalid(InvalidReason::Late),
        Timing::InTime => {}
    }
    let Some(elector) = electorate.find(&scheme.registry_key(&hash)) else {
        return invalid(InvalidReason::Unknown);
    };
    let subject = Some(Subject::Elector(elector));
    match electorate.record_attempt(elector) {
        CredentialStatus::Unknown => invalid(InvalidReason::Unknown),
        CredentialStatus::Revoked => invalid(InvalidReason::Revoked),
        CredentialStatus::First => decided(Decision::Accepted { hash }, subject),
        CredentialStatus::Again { attempt } => {
            decided(Decision::Duplicate { hash, attempt }, subject)
        }
    }
}

fn position(batch: &VerifiedBatch) -> BatchPosition {
    let header = batch.header();
    BatchPosition { number: header.number, confirmed: header.confirmed_through, last: header.last }
}

#[cfg(test)]
#[path = "decision_test.rs"]
mod tests;
