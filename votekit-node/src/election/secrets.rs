//! The secret keys of one election.

use votekit_core::ballot::{BallotPublicKey, BallotSecretKey};
use votekit_core::envelope::RequestKey;
use votekit_core::id::ElectionId;

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
    ) -> Result<Option<Self>, NodeError> {
        stack_used();
        let Some(request_key) = folder.request_key(law_id)? else { return Ok(None) };
        if !decides {
            let exists = folder.has_ballot_key(law_id);
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
