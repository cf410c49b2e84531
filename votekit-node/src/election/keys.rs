//! The keys of one election: its secret keys, and those that sign its checkpoints.

use votekit_core::authority::CosignedCheckpoint;
use votekit_core::ballot::{BallotPublicKey, BallotSecretKey};
use votekit_core::election_log::Block;
use votekit_core::envelope::RequestKey;
use votekit_core::id::ElectionId;
use votekit_core::instant::{UnixMinutes, UnixSeconds};
use votekit_core::log::checkpoint::{
    Checkpoint, CheckpointError, Cosigner, SignedCheckpoint, cosigner_name_of, origin_of,
};
use votekit_core::log::merkle::TreeHash;
use votekit_core::log::note::{KeyName, Signature, SigningKey};
use votekit_core::log::policy::{Authority, Policy};

use crate::data_folder::{DataFolder, FolderError};
use crate::error::NodeError;
use crate::memory::stack_used;

/// The secret keys of one election, destroyed together.
#[derive(Clone)]
pub(crate) struct ElectionSecrets {
    /// Of a node that decides.
    pub(crate) ballot_key: Option<BallotSecretKey>,
    pub(crate) request_key: RequestKey,
}

impl ElectionSecrets {
    /// Reads the keys of an existing election; `None` once they have been destroyed. The ballot key
    /// of a node that does not decide stays on disk.
    pub(crate) fn read(
        folder: &DataFolder,
        law_id: &ElectionId,
        decides: bool,
    ) -> Result<Option<Self>, FolderError> {
        stack_used();
        let Some(request_key) = folder.request_key(law_id)? else { return Ok(None) };
        if !decides {
            // A node with its own data folder never has the ballot key.
            let exists = folder.has_ballot_key(law_id) || folder.authorities()?.is_some();
            return Ok(exists.then_some(Self { ballot_key: None, request_key }));
        }
        let ballot_key = folder.ballot_key(law_id)?;
        Ok(ballot_key.map(|key| Self { ballot_key: Some(key), request_key }))
    }

    /// Makes the keys of a new election, and returns the public key of the ballot.
    pub(crate) fn make(
        folder: &DataFolder,
        law_id: &ElectionId,
    ) -> Result<(Self, BallotPublicKey), FolderError> {
        stack_used();
        let ballot_key = folder.make_ballot_key(law_id)?;
        let public = ballot_key.public_key();
        let request_key = folder.make_request_key(law_id)?;
        Ok((Self { ballot_key: Some(ballot_key), request_key }, public))
    }
}

/// Signs and cosigns the checkpoints of one election, with the policy that verifies them.
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
        let policy = match folder.authorities()? {
            Some(set) => set.policy(law_id, binding)?,
            None => {
                let alone = Authority {
                    name: authority.clone(),
                    log_key: log_key.verifier().clone(),
                    cosigner_key: cosigner.verifier().clone(),
                };
                Policy::for_election(&[alone], 1)?
            }
        };
        Ok(Self { origin, log_key, cosigner, authority, policy })
    }

    /// The signature of a checkpoint as the log.
    pub(crate) fn log_signature(
        &self,
        checkpoint: &Checkpoint,
    ) -> Result<Signature, CheckpointError> {
        checkpoint.sign(&self.log_key)
    }

    /// The cosigned end of the log after a block. The cosignature is never older than the block.
    pub(crate) fn cosign(
        &self,
        size: u64,
        root: TreeHash,
        sealed_at: UnixMinutes,
        now: UnixSeconds,
    ) -> Result<CosignedCheckpoint, CheckpointError> {
        let checkpoint = Checkpoint::new(&self.origin, size, root);
        let line = self.cosigner.cosign(&checkpoint, now.max(sealed_at.start()))?;
        Ok(CosignedCheckpoint { checkpoint, line })
    }

    /// The signed checkpoint of the log after a block. `now` is the clock's time; a cosignature is
    /// never older than its block.
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
