//! One election on this node: its log, its keys, its durable state, and the channels to its tasks
//! with the commands that they carry.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use votekit_core::ballot::{BallotSecretKey, ChoiceIndex};
use votekit_core::credential::{CredentialHash, CredentialHasher};
use votekit_core::election::Definition;
use votekit_core::election_log::{Effect, ElectionLog, LogEvent};
use votekit_core::envelope::{Envelope, VoterToken};
use votekit_core::id::{Digest, ElectionId, Epoch, NodeId, RequestId};
use votekit_core::instant::UnixMillis;
use votekit_store::StagingId;
use zeroize::Zeroizing;

use super::snapshots::WriteError;
use super::{
    CheckpointSigner, Committed, ElectionSecrets, Lease, Snapshots, UnsealedBatches, WitnessedHead,
    WriteGate,
};
use crate::clock::{HELD_MAX_MILLIS, HeldClock, PassedCloses};
use crate::error::{AdminError, ElectionFault};
use crate::memory::stack_used;

/// The position of a log and of its staging in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) height: u64,
    /// The last staging id of the election.
    pub(crate) staged: StagingId,
}

/// One election on this node.
pub(crate) struct ElectionHandle {
    pub(crate) definition: Definition,
    /// `None` once the evidence has been destroyed.
    secrets: RwLock<Option<ElectionSecrets>>,
    pub(crate) signer: Arc<CheckpointSigner>,
    /// Contains durable blocks only. Locked for writing while a block is applied, never across an
    /// await and never while a block is made.
    log: RwLock<ElectionLog>,
    committed: watch::Sender<Arc<Committed>>,
    /// The position of the log and of its staging in a shared ledger, as far as this node knows.
    position: watch::Sender<Position>,
    hasher: RwLock<Option<(Option<Digest>, CredentialHasher)>>,
    pub(crate) intake: mpsc::Sender<Submission>,
    /// Whether the engine stores the batches that the intake publishes.
    pub(crate) writes: WriteGate,
    /// The batches that this node published and has not seen in the log of a shared ledger yet.
    pub(crate) unsealed: UnsealedBatches,
    pub(crate) sealer: mpsc::Sender<SealerCommand>,
    /// In Unix milliseconds. The floor is the latest issued stamp, or the time of the last block.
    pub(crate) clock: HeldClock,
    passed_closes: PassedCloses,
    /// Why a fault halted the election on this node, if it did.
    halted: OnceLock<String>,
    /// The epoch in use, and the lease to answer voters in it.
    lease: Mutex<Option<Lease>>,
    /// Whether the intake was asked to end its epoch because another node closes the election.
    finishing: AtomicBool,
    /// Batches up to this staging id were staged before this run of the node.
    staged_at_start: StagingId,
    /// Notified when a batch has been staged.
    pub(crate) staged: Notify,
    pub(crate) snapshots: Snapshots,
    /// The head that is served.
    pub(crate) witnessed: WitnessedHead,
    /// Locked while an administrative call changes the election.
    pub(crate) admin: Arc<tokio::sync::Mutex<()>>,
}

/// The parts of an election handle.
pub(crate) struct ElectionHandleParts {
    pub(crate) log: ElectionLog,
    pub(crate) committed: Committed,
    pub(crate) secrets: Option<ElectionSecrets>,
    pub(crate) signer: Arc<CheckpointSigner>,
    pub(crate) hasher: Option<CredentialHasher>,
    pub(crate) staged_at_start: StagingId,
    pub(crate) snapshots: Snapshots,
    pub(crate) intake: mpsc::Sender<Submission>,
    pub(crate) sealer: mpsc::Sender<SealerCommand>,
}

impl ElectionHandle {
    pub(crate) fn new(parts: ElectionHandleParts) -> Self {
        let floor = parts.committed.results.updated_at.start().millis().0;
        Self {
            definition: parts.log.definition().clone(),
            secrets: RwLock::new(parts.secrets),
            signer: parts.signer,
            log: RwLock::new(parts.log),
            position: watch::Sender::new(Position {
                height: parts.committed.height,
                staged: parts.staged_at_start,
            }),
            committed: watch::Sender::new(Arc::new(parts.committed)),
            hasher: RwLock::new(parts.hasher.map(|hasher| (None, hasher))),
            intake: parts.intake,
            writes: WriteGate::default(),
            unsealed: UnsealedBatches::default(),
            sealer: parts.sealer,
            clock: HeldClock::new(floor, HELD_MAX_MILLIS),
            passed_closes: PassedCloses::default(),
            halted: OnceLock::new(),
            lease: Mutex::default(),
            finishing: AtomicBool::new(false),
            staged_at_start: parts.staged_at_start,
            staged: Notify::new(),
            snapshots: parts.snapshots,
            witnessed: WitnessedHead::default(),
            admin: Arc::default(),
        }
    }

    pub(crate) fn law_id(&self) -> &ElectionId {
        &self.definition.law_id
    }

    /// Records that a vote was stamped with this time.
    pub(crate) fn note_stamp(&self, received: UnixMillis) {
        self.clock.raise(received.0);
    }

    /// The latest issued stamp, or the time of the last block.
    pub(crate) fn latest_stamp(&self) -> UnixMillis {
        UnixMillis(self.clock.floor())
    }

    /// Whether the planned close has ever passed, by this clock or by the log's own times. A clock
    /// that steps back reopens nothing.
    pub(crate) fn planned_close_has_passed(&self, committed: &Committed, wall: UnixMillis) -> bool {
        let now = wall.0.max(self.clock.floor());
        committed
            .closes
            .is_some_and(|closes| self.passed_closes.has_come(closes.start().millis().0, now))
    }

    /// Halts the election on this node. Returns whether it was not halted before.
    pub(crate) fn halt(&self, reason: &str) -> bool {
        self.halted.set(reason.to_owned()).is_ok()
    }

    /// Why the election is halted on this node, if it is.
    pub(crate) fn halted(&self) -> Option<&str> {
        self.halted.get().map(String::as_str)
    }

    pub(crate) fn committed(&self) -> Arc<Committed> {
        Arc::clone(&self.committed.borrow())
    }

    pub(crate) fn set_committed(&self, committed: Committed) {
        self.clock.raise(committed.results.updated_at.start().millis().0);
        self.committed.send_replace(Arc::new(committed));
    }

    /// Notifies of each durable block.
    pub(crate) fn watch_committed(&self) -> watch::Receiver<Arc<Committed>> {
        self.committed.subscribe()
    }

    /// Waits until this node has the log committed up to a height.
    pub(crate) async fn committed_up_to(&self, height: u64) {
        let mut committed = self.committed.subscribe();
        // The sender lives as long as `self`.
        let _ = committed.wait_for(|committed| committed.height >= height).await;
    }

    /// Records the position of the log and of its staging in the ledger.
    pub(crate) fn set_position(&self, position: Position) {
        self.position.send_if_modified(|known| std::mem::replace(known, position) != position);
    }

    /// The position of the log and of its staging in the ledger, as it was read last.
    pub(crate) fn position(&self) -> Position {
        *self.position.borrow()
    }

    /// Notifies when the log or its staging moved in the ledger.
    pub(crate) fn positions(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }

    /// The log. Readers may wait while a block is applied, never while a block is made.
    pub(crate) fn log(&self) -> RwLockReadGuard<'_, ElectionLog> {
        self.log.read()
    }

    /// Applies a durable block.
    pub(crate) fn apply(&self, effect: Effect) {
        self.log.write().apply(effect);
    }

    /// Writes the blocks that the snapshot on disk lacks. Blocks the thread.
    pub(crate) fn write_snapshot(&self) -> Result<(), WriteError> {
        // The staging id is read first, then the log, which may be ahead of it: at worst a restart
        // reads a few batches too many.
        let sealed_through = self.committed().sealed_through;
        self.snapshots.write(self.law_id(), sealed_through, &self.log)
    }

    pub(crate) fn ballot_key(&self) -> Option<BallotSecretKey> {
        stack_used();
        let secrets = self.secrets.read();
        secrets.as_ref().and_then(|secrets| secrets.ballot_key.clone())
    }

    /// Derives the id of a request with an idempotency key.
    pub(crate) fn request_id(
        &self,
        hash: &CredentialHash,
        choice: ChoiceIndex,
        key: &[u8],
    ) -> Option<RequestId> {
        stack_used();
        let secrets = self.secrets.read();
        secrets.as_ref().map(|secrets| secrets.request_key.request_id(hash, choice, key))
    }

    /// Whether the log has decided a request.
    pub(crate) fn has_decided(&self, request: &RequestId) -> bool {
        self.log().decisions().requests().contains(request)
    }

    /// The token that proves that its holder sent a request.
    pub(crate) fn voter_token(&self, request: &RequestId) -> Option<VoterToken> {
        stack_used();
        let secrets = self.secrets.read();
        secrets.as_ref().map(|secrets| secrets.request_key.voter_token(request))
    }

    /// Whether the keys are in memory.
    pub(crate) fn has_secrets(&self) -> bool {
        self.secrets.read().is_some()
    }

    /// Drops the keys, and the hasher if its key is a members' key, which is destroyed with them;
    /// they are zeroed.
    pub(crate) fn forget_secrets(&self) {
        *self.secrets.write() = None;
        let mut hasher = self.hasher.write();
        if hasher.as_ref().is_some_and(|(_, hasher)| hasher.is_of_members()) {
            *hasher = None;
        }
    }

    pub(crate) fn hasher(&self) -> Option<CredentialHasher> {
        self.hasher.read().as_ref().map(|(_, hasher)| hasher.clone())
    }

    /// Whether the hasher in use belongs to another manifest, or is not known to belong to this
    /// manifest.
    pub(crate) fn hasher_changes(&self, manifest: &Digest) -> bool {
        let hasher = self.hasher.read();
        hasher.as_ref().is_none_or(|(of, _)| of.as_ref() != Some(manifest))
    }

    pub(crate) fn set_hasher(&self, manifest: Digest, hasher: CredentialHasher) {
        *self.hasher.write() = Some((Some(manifest), hasher));
    }

    /// The epoch in use, with its lease.
    pub(crate) fn lease(&self) -> Option<Lease> {
        *self.lease.lock()
    }

    pub(crate) fn set_lease(&self, lease: Lease) {
        let mut current = self.lease.lock();
        // A lease requested before the epoch changed arrives too late.
        if current.is_none_or(|current| current.epoch <= lease.epoch) {
            *current = Some(lease);
        }
    }

    /// The epoch in use.
    pub(crate) fn epoch(&self) -> Option<Epoch> {
        self.lease().map(|lease| lease.epoch)
    }

    /// Whether the batch after a staging id was staged before this run of the node.
    pub(crate) fn staged_before(&self, position: StagingId) -> bool {
        position < self.staged_at_start
    }

    /// Whether to ask the intake to finish now: only once, unless it failed.
    pub(crate) fn begin_finish(&self) -> bool {
        !self.finishing.swap(true, Ordering::Relaxed)
    }

    /// Records that the intake could not finish and must be asked again.
    pub(crate) fn retry_finish(&self) {
        self.finishing.store(false, Ordering::Relaxed);
    }
}

impl fmt::Debug for ElectionHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ElectionHandle({})", self.law_id())
    }
}

/// A command to an election's intake.
pub(crate) enum Submission {
    /// A vote, and the channel on which its outcome is reported.
    ///
    /// Boxed, because a channel reuses its blocks without freeing them: they would keep choices
    /// beside hashes.
    Vote(Box<Zeroizing<Envelope>>, Voter),
    /// Publishes everything before this, then ends the epoch: no more votes are taken.
    Finish(oneshot::Sender<Result<(), ElectionFault>>),
}

/// Why a vote did not become durable.
#[derive(Debug, Clone)]
pub(crate) enum IntakeError {
    /// The intake has finished: the poll is closing, or the node is stopping.
    Finished,
    /// Nothing was stored.
    Unavailable(ElectionFault),
    /// It may have been stored, and the batch is published until it is.
    OutcomeUnknown,
}

/// The outcome of storing a request.
pub(crate) type Stored = Result<(), IntakeError>;

/// Receives the outcome of one vote.
pub(crate) type Voter = oneshot::Sender<Stored>;

/// A command to the sealer.
pub(crate) enum SealerCommand {
    /// Records events in one block.
    Record(Vec<LogEvent>, oneshot::Sender<Result<(), AdminError>>),
    /// Closes the election, or resumes an earlier close where it stopped.
    Close { reason: Option<String>, reply: oneshot::Sender<Result<(), AdminError>> },
    /// Ends every epoch of a node that is permanently gone.
    Retire(NodeId, oneshot::Sender<Result<(), AdminError>>),
    /// Seals the staged batches and stops.
    Stop(oneshot::Sender<()>),
}
