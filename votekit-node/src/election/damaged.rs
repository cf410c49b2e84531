//! An election whose log could not be read back at the start: it is listed, and halted.

use std::fmt;

use votekit_core::election::Definition;
use votekit_core::id::ElectionId;

use super::CheckpointSigner;

/// An election whose log, evidence, rolls or keys are damaged. It has no tasks: no vote is accepted
/// for it, and nothing of it is read or written.
pub(crate) struct DamagedElection {
    law_id: ElectionId,
    reason: String,
    /// Present if the readable leaves include the opening.
    definition: Option<Definition>,
    signer: Option<CheckpointSigner>,
}

impl DamagedElection {
    /// `reason` describes the damage and its location.
    pub(crate) fn new(
        law_id: ElectionId,
        reason: String,
        definition: Option<Definition>,
        signer: Option<CheckpointSigner>,
    ) -> Self {
        Self { law_id, reason, definition, signer }
    }

    pub(crate) fn law_id(&self) -> &ElectionId {
        &self.law_id
    }

    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    pub(crate) fn definition(&self) -> Option<&Definition> {
        self.definition.as_ref()
    }

    pub(crate) fn signer(&self) -> Option<&CheckpointSigner> {
        self.signer.as_ref()
    }
}

impl fmt::Debug for DamagedElection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DamagedElection({}: {})", self.law_id, self.reason)
    }
}
