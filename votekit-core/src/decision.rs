//! What counts: the rules, and the state they are applied to.
//!
//! [`DecisionState::decide`] is a pure function of (batch, roll, window, state of the log so far): every
//! authority that has the same log and the same batch makes the same leaves. The registry of an
//! engine only gives hints.
//!
//! The order of the rules (`decide_envelope`): a request that the log has decided is a replay, or
//! with another H a clash; a minute outside the window is `early` or `late`; a credential that no
//! roll holds is `unknown`; one that was revoked is `revoked`; one that has voted is a duplicate,
//! with its attempt counted; what remains is accepted.

use serde::{Deserialize, Serialize};

use crate::batch::{SealedEnvelope, VerifiedBatch};
use crate::credential::{CredentialHash, HashScheme};
use crate::election::{Timing, Window};
use crate::electorate::{CredentialStatus, Electorate};
use crate::envelope::EnvelopeDigest;
use crate::epochs::{BatchPlace, Epochs, OrderError};
use crate::id::{ElectionId, RequestId};
use crate::instant::UnixMinutes;
use crate::request_index::{FirstDecision, RequestIndex, Subject};

/// What became of a request.
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
        /// The number of this attempt of the credential, the accepted one included: from 2.
        attempt: u32,
    },
    /// The vote does not count, and its credential stays unspent.
    Invalid {
        /// Why.
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
    /// No roll of this election holds the credential.
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
    /// The reason as leaves and answers write it.
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

    /// Reads a reason.
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
    /// What became of it.
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

/// What one envelope of a batch comes to: exactly one leaf.
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

    /// Whether a leaf can be about this envelope: its request, and its H and minute or cᵢ.
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

/// The state of an election that follows from its log alone: which requests are decided and which
/// batches are in.
#[derive(Debug)]
pub struct DecisionState {
    law_id: ElectionId,
    requests: RequestIndex,
    epochs: Epochs,
}

impl DecisionState {
    /// The fold of an empty log, with room for so many requests.
    #[must_use]
    pub fn new(law_id: ElectionId, requests: usize) -> Self {
        let requests = RequestIndex::with_capacity(requests);
        Self { law_id, requests, epochs: Epochs::default() }
    }

    /// Decides every envelope of a batch, in order, and moves the fold: an outcome an envelope.
    /// `first_leaf` is the index in the log of the first one's leaf.
    ///
    /// # Errors
    /// [`OrderError`] when the batch is not the next of its epoch, or belongs to another election;
    /// nothing has changed then.
    pub fn decide(
        &mut self,
        batch: &VerifiedBatch,
        electorate: &mut Electorate,
        scheme: HashScheme,
        window: &Window,
        first_leaf: u64,
    ) -> Result<Vec<Outcome>, OrderError> {
        let number = batch.number();
        if batch.header().law_id != self.law_id {
            return Err(OrderError::Law { number });
        }
        let first_minute = batch.envelopes().next().map(|envelope| envelope.received);
        self.epochs.take_batch(&place(batch), first_minute)?;
        if let Some(last) = batch.envelopes().next_back() {
            self.epochs.take_minute(number, last.received);
        }
        let outcomes = batch.envelopes().zip(first_leaf..).map(|(envelope, leaf)| {
            let first = self.requests.find_first(&envelope.request);
            let (outcome, subject) =
                decide_envelope(&envelope, first.as_ref(), electorate, scheme, window);
            if let Some(subject) = subject {
                self.requests.insert(envelope.request, leaf, subject);
            }
            outcome
        });
        Ok(outcomes.collect())
    }

    /// Applies an entry read back from the log, where it stands at `index`, without its envelope:
    /// once evidence has been purged.
    pub(crate) fn apply_entry(
        &mut self,
        entry: &Entry,
        electorate: &mut Electorate,
        scheme: HashScheme,
        index: u64,
    ) {
        let subject = match &entry.decision {
            Decision::Accepted { hash } | Decision::Duplicate { hash, .. } => {
                electorate.find(&scheme.registry_key(hash)).map_or(Subject::Unknown, |elector| {
                    electorate.record_attempt(elector);
                    Subject::Elector(elector)
                })
            }
            Decision::Invalid { reason: InvalidReason::Clash, .. } => return,
            Decision::Invalid { .. } => Subject::Unknown,
        };
        self.requests.insert(entry.request, index, subject);
    }

    /// How far the log has come with each epoch.
    #[must_use]
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    pub(crate) fn epochs_mut(&mut self) -> &mut Epochs {
        &mut self.epochs
    }

    /// The decided requests, each with the index of its entry in the log.
    #[must_use]
    pub fn requests(&self) -> &RequestIndex {
        &self.requests
    }

    /// Makes room for so many requests in an empty fold.
    pub(crate) fn reserve(&mut self, requests: usize) {
        if self.requests.is_empty() {
            self.requests = RequestIndex::with_capacity(requests);
        }
    }

    /// The fold of a snapshot.
    pub(crate) fn restore(law_id: ElectionId, requests: RequestIndex, epochs: Epochs) -> Self {
        Self { law_id, requests, epochs }
    }
}

/// Decides one envelope: the rule of the log, for every authority, replay and scrub. `first` is the
/// earlier decision on the same request. Gives the subject under which a new request is recorded.
pub(crate) fn decide_envelope(
    envelope: &SealedEnvelope,
    first: Option<&FirstDecision>,
    electorate: &mut Electorate,
    scheme: HashScheme,
    window: &Window,
) -> (Outcome, Option<Subject>) {
    let SealedEnvelope { request, hash, received } = *envelope;
    let decided = |decision, subject| {
        (Outcome::Decided(Entry { request, decision, minute: received }), subject)
    };
    let invalid = |reason| {
        let subject = (reason != InvalidReason::Clash).then_some(Subject::Invalid(hash));
        decided(Decision::Invalid { reason, envelope: envelope.digest() }, subject)
    };
    if let Some(first) = first {
        let is_same = match first.subject {
            Subject::Elector(elector) => {
                electorate.find(&scheme.registry_key(&hash)) == Some(elector)
            }
            Subject::Invalid(first) => first == hash,
            // Only after a purge, when nothing is decided any more.
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

fn place(batch: &VerifiedBatch) -> BatchPlace {
    let header = batch.header();
    BatchPlace { number: header.number, confirmed: header.confirmed_through, last: header.last }
}

#[cfg(test)]
#[path = "decision_test.rs"]
mod tests;
