//! One election on this node: its chronicle, its keys, what of it is durable, and the ways to its tasks.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::{Notify, mpsc};
use votekit_core::ballot::BallotSecretKey;
use votekit_core::chronicle::{Block, Chronicle};
use votekit_core::credential::CredentialHasher;
use votekit_core::election::{Definition, State};
use votekit_core::id::LawId;
use votekit_core::instant::UnixSeconds;
use votekit_core::log::checkpoint::{Checkpoint, CheckpointError, Cosigner, SignedCheckpoint, cosigner_name_of, origin_of};
use votekit_core::log::merkle::TreeBuilder;
use votekit_core::log::note::{KeyName, SigningKey};
use votekit_core::log::policy::{Authority, Policy};
use votekit_core::results::Results;

use crate::data_folder::DataFolder;
use crate::engine::StagingId;
use crate::intake::Submission;
use crate::node::NodeError;
use crate::sealing::SealerCommand;

/// One election on this node.
pub(crate) struct ElectionCell {
    pub(crate) definition: Definition,
    pub(crate) ballot_key: Option<BallotSecretKey>,
    pub(crate) signer: CheckpointSigner,
    /// Runs ahead of what is durable by at most the block in the making.
    chronicle: RwLock<Chronicle>,
    committed: RwLock<Arc<Committed>>,
    hasher: RwLock<Option<CredentialHasher>>,
    pub(crate) intake: mpsc::Sender<Submission>,
    pub(crate) sealer: mpsc::Sender<SealerCommand>,
    /// Rung when a batch has been staged.
    pub(crate) staged: Notify,
    /// Held by the one who changes an election through administration.
    pub(crate) admin: Arc<tokio::sync::Mutex<()>>,
}

/// What of an election is durable: everything that is told to anyone.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) results: Results,
    pub(crate) height: u64,
    pub(crate) tree: TreeBuilder,
    pub(crate) checkpoint: Vec<u8>,
    pub(crate) sealed_through: StagingId,
    pub(crate) closes: Option<UnixSeconds>,
    pub(crate) opens: Option<UnixSeconds>,
}

impl Committed {
    pub(crate) fn of(chronicle: &Chronicle, checkpoint: Vec<u8>, sealed_through: StagingId) -> Self {
        Self {
            results: chronicle.results(),
            height: chronicle.height(),
            tree: chronicle.tree().clone(),
            checkpoint,
            sealed_through,
            closes: chronicle.window().closes,
            opens: chronicle.window().opens.or(chronicle.definition().opens),
        }
    }

    pub(crate) fn state(&self) -> State {
        self.results.state
    }

    /// Leaves in the log.
    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }
}

/// Everything a cell is made of.
pub(crate) struct CellParts {
    pub(crate) chronicle: Chronicle,
    pub(crate) committed: Committed,
    pub(crate) ballot_key: Option<BallotSecretKey>,
    pub(crate) signer: CheckpointSigner,
    pub(crate) hasher: Option<CredentialHasher>,
    pub(crate) intake: mpsc::Sender<Submission>,
    pub(crate) sealer: mpsc::Sender<SealerCommand>,
}

impl ElectionCell {
    pub(crate) fn new(parts: CellParts) -> Self {
        Self {
            definition: parts.chronicle.definition().clone(),
            ballot_key: parts.ballot_key,
            signer: parts.signer,
            chronicle: RwLock::new(parts.chronicle),
            committed: RwLock::new(Arc::new(parts.committed)),
            hasher: RwLock::new(parts.hasher),
            intake: parts.intake,
            sealer: parts.sealer,
            staged: Notify::new(),
            admin: Arc::default(),
        }
    }

    pub(crate) fn law_id(&self) -> &LawId {
        &self.definition.law_id
    }

    pub(crate) fn committed(&self) -> Arc<Committed> {
        Arc::clone(&self.committed.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_committed(&self, committed: Committed) {
        *self.committed.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(committed);
    }

    pub(crate) fn chronicle(&self) -> RwLockReadGuard<'_, Chronicle> {
        self.chronicle.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the sealer alone.
    pub(crate) fn chronicle_mut(&self) -> RwLockWriteGuard<'_, Chronicle> {
        self.chronicle.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn hasher(&self) -> Option<CredentialHasher> {
        self.hasher.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_hasher(&self, hasher: CredentialHasher) {
        *self.hasher.write().unwrap_or_else(PoisonError::into_inner) = Some(hasher);
    }
}

impl fmt::Debug for ElectionCell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ElectionCell({})", self.law_id())
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
    pub(crate) fn new(folder: &DataFolder, law_id: &LawId, binding: bool) -> Result<Self, NodeError> {
        let (base, authority) = (folder.base()?, folder.authority()?);
        let origin = origin_of(&base, law_id, binding)?;
        let log_key = SigningKey::from_seed(origin.clone(), &*folder.log_seed()?);
        let cosigner = Cosigner::from_seed(cosigner_name_of(&base, authority.as_str())?, &*folder.cosigner_seed()?);
        let policy = Policy::of_election(&[Authority {
            name: authority.clone(),
            log_key: log_key.verifier().clone(),
            cosigner_key: cosigner.verifier().clone(),
        }])?;
        Ok(Self { origin, log_key, cosigner, authority, policy })
    }

    /// The signed checkpoint of the log after a block.
    pub(crate) fn sign(&self, block: &Block, at: UnixSeconds) -> Result<Vec<u8>, CheckpointError> {
        let checkpoint = Checkpoint::new(&self.origin, block.size_after(), block.root);
        let log_signature = checkpoint.sign(&self.log_key)?;
        let cosignature = self.cosigner.cosign(&checkpoint, at)?;
        Ok(SignedCheckpoint::new(checkpoint, log_signature, [cosignature])?.to_string().into_bytes())
    }
}
