//! The secret keys of one election.

use votekit_core::ballot::BallotSecretKey;
use votekit_core::envelope::RequestKey;
use votekit_core::id::ElectionId;

use crate::data_folder::{DataFolder, FolderError};
use crate::error::NodeError;
use crate::memory::stack_used;

/// The secret keys of one election, destroyed together.
#[derive(Clone)]
pub(crate) struct ElectionSecrets {
    pub(crate) ballot_key: BallotSecretKey,
    pub(crate) request_key: RequestKey,
}

impl ElectionSecrets {
    /// Reads the keys of an existing election; `None` once they have been destroyed.
    pub(crate) fn read(
        folder: &DataFolder,
        law_id: &ElectionId,
    ) -> Result<Option<Self>, NodeError> {
        stack_used();
        let keys = folder.ballot_key(law_id)?.zip(folder.request_key(law_id)?);
        Ok(keys.map(|(ballot_key, request_key)| Self { ballot_key, request_key }))
    }

    /// Makes the keys of a new election.
    pub(crate) fn make(folder: &DataFolder, law_id: &ElectionId) -> Result<Self, FolderError> {
        stack_used();
        Ok(Self {
            ballot_key: folder.make_ballot_key(law_id)?,
            request_key: folder.make_request_key(law_id)?,
        })
    }
}
