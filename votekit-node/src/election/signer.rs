//! Signs checkpoints.

use votekit_core::election_log::Block;
use votekit_core::id::ElectionId;
use votekit_core::instant::UnixSeconds;
use votekit_core::log::checkpoint::{
    Checkpoint, CheckpointError, Cosigner, SignedCheckpoint, cosigner_name_of, origin_of,
};
use votekit_core::log::note::{KeyName, SigningKey};
use votekit_core::log::policy::{Authority, Policy};

use crate::data_folder::DataFolder;
use crate::error::NodeError;

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
