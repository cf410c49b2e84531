//! What counts: the rules, and the state they are applied to.
//!
//! [`Fold::decide`] is a pure function of (batch, roll, window, fold of the log so far): every
//! authority that has the same log and the same batch comes to the same entries. The registry of an
//! engine is only a hint; this is the truth.
//!
//! The order of the rules: a request that the log has already decided is a replay and gets no
//! entry; a stamp outside the window is `early` or `late`; a credential that no roll holds is
//! `unknown`; one that was revoked is `revoked`; one that has voted is a duplicate, with its
//! attempt counted; what remains is accepted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::credential::{CredentialHash, HashScheme};
use crate::election::{Timing, Window};
use crate::id::{BatchNumber, Epoch, NodeId, RequestId, Sequence};
use crate::instant::UnixMinutes;
use crate::registry::{Elector, Electorate, Standing};
use crate::request_index::{Decided, RequestIndex};

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
        /// The how-manieth attempt of the credential this is, the accepted one included: from 2.
        attempt: u32,
    },
    /// The vote does not count, and its credential stays unspent.
    Invalid {
        /// Why.
        reason: InvalidReason,
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
        }
    }

    /// Reads a reason.
    #[must_use]
    pub fn from_bytes(text: &[u8]) -> Option<Self> {
        [Self::Unknown, Self::Revoked, Self::Early, Self::Late]
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
    /// When it was received, to the minute.
    pub minute: UnixMinutes,
}

/// Why a batch cannot be decided now, or ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// A batch of this number is in the log already.
    #[error("batch {number} is in the log already")]
    Sealed {
        /// The batch.
        number: BatchNumber,
    },
    /// Batches before this one are missing.
    #[error("batch {number} came before batch {expected} of the same epoch", expected = expected.0)]
    Gap {
        /// The batch.
        number: BatchNumber,
        /// The sequence that should come next.
        expected: Sequence,
    },
    /// The epoch has ended.
    #[error("batch {number} came after the end of its epoch")]
    Ended {
        /// The batch.
        number: BatchNumber,
    },
}

/// How far the log has come with one epoch of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochProgress {
    /// The last sequence in the log; 0 for none.
    pub through: Sequence,
    /// Whether the epoch has ended.
    pub ended: bool,
}

/// The state of an election that follows from its log alone: who has voted, which requests are
/// decided, which batches are in.
#[derive(Debug, Default)]
pub struct Fold {
    requests: RequestIndex,
    epochs: BTreeMap<(NodeId, Epoch), EpochProgress>,
}

impl Fold {
    /// The fold of an empty log, with room for the requests of so many electors.
    #[must_use]
    pub fn with_capacity(requests: usize) -> Self {
        Self { requests: RequestIndex::with_capacity(requests), ..Self::default() }
    }

    /// Decides every envelope of a batch, in order, and moves the fold. `None` stands for a replay,
    /// which has no entry. `first_entry` is the index in the log of the first entry there will be.
    ///
    /// # Errors
    /// [`OrderError`] when the batch is not the next of its epoch; nothing has changed then.
    pub fn decide(
        &mut self,
        batch: &Batch,
        electorate: &mut Electorate,
        scheme: HashScheme,
        window: &Window,
        first_entry: u64,
    ) -> Result<Vec<Option<Entry>>, OrderError> {
        self.take_batch(batch.number(), batch.header().last)?;
        let mut index = first_entry;
        let entries = batch.envelopes().map(|envelope| {
            if self.requests.contains(&envelope.request) {
                return None;
            }
            let (decision, elector) = match window.timing(envelope.received) {
                Timing::Early => (Decision::Invalid { reason: InvalidReason::Early }, None),
                Timing::Late => (Decision::Invalid { reason: InvalidReason::Late }, None),
                Timing::InTime => decide_in_time(&envelope.hash, electorate, scheme),
            };
            let entry =
                Entry { request: envelope.request, decision, minute: envelope.received.minutes() };
            self.requests.insert(Decided::new(envelope.request, index, elector));
            index += 1;
            Some(entry)
        });
        Ok(entries.collect())
    }

    /// Applies an entry read back from the log, where it stands at `index`.
    pub fn replay(
        &mut self,
        entry: &Entry,
        electorate: &mut Electorate,
        scheme: HashScheme,
        index: u64,
    ) {
        let elector = match &entry.decision {
            Decision::Accepted { hash } | Decision::Duplicate { hash, .. } => {
                electorate.find(&scheme.registry_key(hash))
            }
            Decision::Invalid { .. } => None,
        };
        if let Some(elector) = elector {
            electorate.attempt_by(elector);
        }
        self.requests.insert(Decided::new(entry.request, index, elector));
    }

    /// Applies a batch leaf read back from the log, or takes the next batch.
    ///
    /// # Errors
    /// [`OrderError`] when it is not the next of its epoch.
    pub fn take_batch(&mut self, number: BatchNumber, last: bool) -> Result<(), OrderError> {
        let progress = self.progress(number.node, number.epoch);
        if number.sequence <= progress.through {
            return Err(OrderError::Sealed { number });
        }
        if progress.ended {
            return Err(OrderError::Ended { number });
        }
        let expected = progress.through.next();
        if number.sequence != expected {
            return Err(OrderError::Gap { number, expected });
        }
        self.epochs
            .insert((number.node, number.epoch), EpochProgress { through: expected, ended: last });
        Ok(())
    }

    /// Ends an epoch that will not end by itself: its numbers above what the log holds are void.
    pub fn retire(&mut self, node: NodeId, epoch: Epoch) -> Sequence {
        let through = self.progress(node, epoch).through;
        self.epochs.insert((node, epoch), EpochProgress { through, ended: true });
        through
    }

    /// How far the log has come with an epoch.
    #[must_use]
    pub fn progress(&self, node: NodeId, epoch: Epoch) -> EpochProgress {
        let none = EpochProgress { through: Sequence(0), ended: false };
        self.epochs.get(&(node, epoch)).copied().unwrap_or(none)
    }

    /// The epochs the log knows and that have not ended.
    pub fn open_epochs(&self) -> impl Iterator<Item = (NodeId, Epoch)> + '_ {
        self.epochs.iter().filter(|(_, progress)| !progress.ended).map(|(key, _)| *key)
    }

    /// The epochs the log knows, each with how far it has come.
    pub fn epochs(&self) -> impl Iterator<Item = (NodeId, Epoch, EpochProgress)> + '_ {
        self.epochs.iter().map(|((node, epoch), progress)| (*node, *epoch, *progress))
    }

    /// The decided requests, each with the index of its entry in the log.
    #[must_use]
    pub fn requests(&self) -> &RequestIndex {
        &self.requests
    }

    /// The fold that was so told.
    pub(crate) fn restore(
        requests: RequestIndex,
        epochs: impl Iterator<Item = (NodeId, Epoch, EpochProgress)>,
    ) -> Self {
        Self {
            requests,
            epochs: epochs.map(|(node, epoch, progress)| ((node, epoch), progress)).collect(),
        }
    }
}

/// Decides a vote that came in time, and says for which elector it counts as an attempt.
fn decide_in_time(
    hash: &CredentialHash,
    electorate: &mut Electorate,
    scheme: HashScheme,
) -> (Decision, Option<Elector>) {
    let elector = electorate.find(&scheme.registry_key(hash));
    match elector.map_or(Standing::Unknown, |elector| electorate.attempt_by(elector)) {
        Standing::Unknown => (Decision::Invalid { reason: InvalidReason::Unknown }, None),
        Standing::Revoked => (Decision::Invalid { reason: InvalidReason::Revoked }, None),
        Standing::First => (Decision::Accepted { hash: *hash }, elector),
        Standing::Again { attempt } => (Decision::Duplicate { hash: *hash, attempt }, elector),
    }
}

#[cfg(test)]
#[path = "decision_test.rs"]
mod tests;
