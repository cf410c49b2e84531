//! One election on this node: its log, its keys, what of it is durable, and the ways to its
//! tasks.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::{Notify, mpsc};
use votekit_core::ballot::{BallotSecretKey, ChoiceIndex};
use votekit_core::credential::{CredentialHash, CredentialHasher};
use votekit_core::election::{Definition, State};
use votekit_core::election_log::{Block, Effect, ElectionLog};
use votekit_core::envelope::{RequestKey, VoterToken};
use votekit_core::id::{Digest, ElectionId, Epoch, NodeId, RequestId};
use votekit_core::instant::{UnixMillis, UnixMinutes, UnixSeconds};
use votekit_core::log::checkpoint::{
    Checkpoint, CheckpointError, Cosigner, SignedCheckpoint, cosigner_name_of, origin_of,
};
use votekit_core::log::merkle::TreeBuilder;
use votekit_core::log::note::{KeyName, SigningKey};
use votekit_core::log::policy::{Authority, Policy};
use votekit_core::results::Results;

use crate::clock::{HELD_MAX_MILLIS, HeldClock, PassedCloses};
use crate::data_folder::{DataFolder, FolderError};
use crate::intake::Submission;
use crate::lease::Lease;
use crate::memory::stack_used;
use crate::node::NodeError;
use crate::sealing::SealerCommand;
use crate::snapshots::Snapshots;
use crate::write_gate::WriteGate;
use votekit_store::{Head, StagingId};

/// One election on this node.
pub(crate) struct ElectionHandle {
    pub(crate) definition: Definition,
    /// `None` once the evidence has been destroyed.
    secrets: RwLock<Option<ElectionSecrets>>,
    pub(crate) signer: CheckpointSigner,
    /// Holds durable blocks only. Locked for writing while a block is applied, never across an
    /// await and never while a block is made.
    log: RwLock<ElectionLog>,
    committed: RwLock<Arc<Committed>>,
    hasher: RwLock<Option<(Option<Digest>, CredentialHasher)>>,
    pub(crate) intake: mpsc::Sender<Submission>,
    /// Whether what the intake publishes is stored.
    pub(crate) writes: WriteGate,
    pub(crate) sealer: mpsc::Sender<SealerCommand>,
    /// In unix milliseconds. Its floor is the latest stamp that was given out, and the last block.
    pub(crate) clock: HeldClock,
    passed_closes: PassedCloses,
    /// Why this node does nothing more for this election, if a fault halted it.
    halted: OnceLock<String>,
    /// The epoch in use, and the right to answer voters in it.
    lease: Mutex<Option<Lease>>,
    /// Whether the intake was asked to end its epoch, since another node closes the election.
    finishing: AtomicBool,
    /// Batches staged up to here were staged before this life of the node.
    staged_at_start: StagingId,
    /// Rung when a batch has been staged.
    pub(crate) staged: Notify,
    pub(crate) snapshots: Snapshots,
    /// Held by the one who changes an election through administration.
    pub(crate) admin: Arc<tokio::sync::Mutex<()>>,
}

/// The secret keys of one election, destroyed together.
#[derive(Clone)]
pub(crate) struct ElectionSecrets {
    pub(crate) ballot_key: BallotSecretKey,
    pub(crate) request_key: RequestKey,
}

impl ElectionSecrets {
    /// Those of an election that exists; `None` once they have been destroyed.
    pub(crate) fn read(
        folder: &DataFolder,
        law_id: &ElectionId,
    ) -> Result<Option<Self>, NodeError> {
        stack_used();
        let keys = folder.ballot_key(law_id)?.zip(folder.request_key(law_id)?);
        Ok(keys.map(|(ballot_key, request_key)| Self { ballot_key, request_key }))
    }

    /// Those of a new election.
    pub(crate) fn make(folder: &DataFolder, law_id: &ElectionId) -> Result<Self, FolderError> {
        stack_used();
        Ok(Self {
            ballot_key: folder.make_ballot_key(law_id)?,
            request_key: folder.make_request_key(law_id)?,
        })
    }
}

/// What of an election is durable: everything that is told to anyone.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) results: Results,
    pub(crate) height: u64,
    pub(crate) tree: TreeBuilder,
    pub(crate) checkpoint: Vec<u8>,
    pub(crate) sealed_through: StagingId,
    pub(crate) closes: Option<UnixMinutes>,
    pub(crate) opens: Option<UnixMinutes>,
    /// Whether the log admits the ingest key of this node: without that no batch of it would ever
    /// be sealed.
    pub(crate) admits_this_node: bool,
}

impl Committed {
    pub(crate) fn of(
        log: &ElectionLog,
        node: NodeId,
        checkpoint: Vec<u8>,
        sealed_through: StagingId,
    ) -> Self {
        Self {
            results: log.results(),
            height: log.height(),
            tree: log.tree().clone(),
            checkpoint,
            sealed_through,
            closes: log.window().closes,
            opens: log.window().opens.or(log.definition().opens),
            admits_this_node: log.node_key(node).is_some(),
        }
    }

    pub(crate) fn state(&self) -> State {
        self.results.state
    }

    /// Fails with a rule unless a head can be one of the same log, here or further on: what was
    /// told once is never taken back.
    pub(crate) fn check_goes_on(&self, head: &Head) -> Result<(), &'static str> {
        if head.height < self.height || head.size < self.size() {
            return Err("its log is shorter than one that this node has seen");
        }
        if head.height == self.height
            && (head.size != self.size() || head.checkpoint != self.checkpoint)
        {
            return Err("its log ends as one that this node has seen does, and is another");
        }
        Ok(())
    }

    /// Leaves in the log.
    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }
}

/// Everything a cell is made of.
pub(crate) struct ElectionHandleParts {
    pub(crate) log: ElectionLog,
    pub(crate) committed: Committed,
    pub(crate) secrets: Option<ElectionSecrets>,
    pub(crate) signer: CheckpointSigner,
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
            committed: RwLock::new(Arc::new(parts.committed)),
            hasher: RwLock::new(parts.hasher.map(|hasher| (None, hasher))),
            intake: parts.intake,
            writes: WriteGate::default(),
            sealer: parts.sealer,
            clock: HeldClock::new(floor, HELD_MAX_MILLIS),
            passed_closes: PassedCloses::default(),
            halted: OnceLock::new(),
            lease: Mutex::default(),
            finishing: AtomicBool::new(false),
            staged_at_start: parts.staged_at_start,
            staged: Notify::new(),
            snapshots: parts.snapshots,
            admin: Arc::default(),
        }
    }

    pub(crate) fn law_id(&self) -> &ElectionId {
        &self.definition.law_id
    }

    /// A vote was stamped with this time.
    pub(crate) fn note_stamp(&self, received: UnixMillis) {
        self.clock.raise(received.0);
    }

    /// The latest stamp that was given out, or the time of the last block.
    pub(crate) fn latest_stamp(&self) -> UnixMillis {
        UnixMillis(self.clock.floor())
    }

    /// Whether the planned close has ever come: by this clock, or by the log's own times. A clock
    /// that steps back opens nothing again.
    pub(crate) fn planned_close_has_passed(&self, committed: &Committed, wall: UnixMillis) -> bool {
        let now = wall.0.max(self.clock.floor());
        committed
            .closes
            .is_some_and(|closes| self.passed_closes.has_come(closes.start().millis().0, now))
    }

    /// Halts the election on this node. Says whether it was not halted before.
    pub(crate) fn halt(&self, reason: &str) -> bool {
        self.halted.set(reason.to_owned()).is_ok()
    }

    /// Why the election is halted on this node, if it is.
    pub(crate) fn halted(&self) -> Option<&str> {
        self.halted.get().map(String::as_str)
    }

    pub(crate) fn committed(&self) -> Arc<Committed> {
        Arc::clone(&self.committed.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_committed(&self, committed: Committed) {
        self.clock.raise(committed.results.updated_at.start().millis().0);
        *self.committed.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(committed);
    }

    /// The log. Readers wait for each other and for a block to be applied, never for one to be made.
    pub(crate) fn log(&self) -> RwLockReadGuard<'_, ElectionLog> {
        self.log.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a block that is durable.
    pub(crate) fn apply(&self, effect: Effect) {
        self.log.write().unwrap_or_else(PoisonError::into_inner).apply(effect);
    }

    pub(crate) fn ballot_key(&self) -> Option<BallotSecretKey> {
        stack_used();
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        secrets.as_ref().map(|secrets| secrets.ballot_key.clone())
    }

    /// The id of a request with an idempotency key.
    pub(crate) fn request_id(
        &self,
        hash: &CredentialHash,
        choice: ChoiceIndex,
        key: &[u8],
    ) -> Option<RequestId> {
        stack_used();
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        secrets.as_ref().map(|secrets| secrets.request_key.request_id(hash, choice, key))
    }

    /// Whether a request is decided in the log.
    pub(crate) fn has_decided(&self, request: &RequestId) -> bool {
        self.log().decisions().requests().contains(request)
    }

    /// The token that shows that its holder sent a request.
    pub(crate) fn voter_token(&self, request: &RequestId) -> Option<VoterToken> {
        stack_used();
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        secrets.as_ref().map(|secrets| secrets.request_key.voter_token(request))
    }

    /// Forgets the keys; they are zeroed.
    pub(crate) fn forget_secrets(&self) {
        *self.secrets.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn hasher(&self) -> Option<CredentialHasher> {
        self.hasher
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map(|(_, hasher)| hasher.clone())
    }

    /// Whether the hasher in use was taken from another manifest, or is not known to be of this
    /// one.
    pub(crate) fn hasher_changes(&self, manifest: &Digest) -> bool {
        let hasher = self.hasher.read().unwrap_or_else(PoisonError::into_inner);
        hasher.as_ref().is_none_or(|(of, _)| of.as_ref() != Some(manifest))
    }

    pub(crate) fn set_hasher(&self, manifest: Digest, hasher: CredentialHasher) {
        *self.hasher.write().unwrap_or_else(PoisonError::into_inner) =
            Some((Some(manifest), hasher));
    }

    /// The epoch in use, with its lease.
    pub(crate) fn lease(&self) -> Option<Lease> {
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_lease(&self, lease: Lease) {
        let mut current = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        // One that was asked for before the epoch changed comes too late.
        if current.is_none_or(|current| current.epoch <= lease.epoch) {
            *current = Some(lease);
        }
    }

    /// The epoch in use.
    pub(crate) fn epoch(&self) -> Option<Epoch> {
        self.lease().map(|lease| lease.epoch)
    }

    /// Whether what is staged right after a place was staged before this life of the node.
    pub(crate) fn staged_before(&self, place: StagingId) -> bool {
        place < self.staged_at_start
    }

    /// Whether the intake is to be asked to finish now: once, unless that failed.
    pub(crate) fn ask_to_finish(&self) -> bool {
        !self.finishing.swap(true, Ordering::Relaxed)
    }

    /// The intake could not finish, and is to be asked again.
    pub(crate) fn finish_again(&self) {
        self.finishing.store(false, Ordering::Relaxed);
    }
}

impl fmt::Debug for ElectionHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ElectionHandle({})", self.law_id())
    }
}

/// Signs and cosigns the checkpoints of one election, as its only authority.
pub(crate) struct CheckpointSigner {
    pub(crate) origin: KeyName,
    log_key: SigningKey,
    cosigner: Cosigner,
    pub(crate) authority: KeyName,
    pub(crate) policy: Policy,
}

impl CheckpointSigner {
    pub(crate) fn new(
        folder: &DataFolder,
        law_id: &ElectionId,
        binding: bool,
    ) -> Result<Self, NodeError> {
        let (base, authority) = (folder.base()?, folder.authority()?);
        let origin = origin_of(&base, law_id, binding)?;
        let log_key = SigningKey::from_seed(origin.clone(), &*folder.log_seed()?);
        let cosigner = Cosigner::from_seed(
            cosigner_name_of(&base, authority.as_str())?,
            &*folder.cosigner_seed()?,
        );
        let policy = Policy::of_election(&[Authority {
            name: authority.clone(),
            log_key: log_key.verifier().clone(),
            cosigner_key: cosigner.verifier().clone(),
        }])?;
        Ok(Self { origin, log_key, cosigner, authority, policy })
    }

    /// The signed checkpoint of the log after a block. `now` is the clock; a cosignature is never
    /// older than its block.
    pub(crate) fn sign(&self, block: &Block, now: UnixSeconds) -> Result<Vec<u8>, CheckpointError> {
        let at = now.max(block.sealed_at.start());
        let checkpoint = Checkpoint::new(&self.origin, block.size_after(), block.root);
        let log_signature = checkpoint.sign(&self.log_key)?;
        let cosignature = self.cosigner.cosign(&checkpoint, at)?;
        Ok(SignedCheckpoint::new(checkpoint, log_signature, [cosignature])?
            .to_string()
            .into_bytes())
    }
}
