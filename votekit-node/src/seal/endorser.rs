//! Chooses how the blocks of an election are endorsed: by one authority alone, or by a quorum.

use std::sync::Arc;

use votekit_core::id::ElectionId;

use crate::context::NodeContext;
use crate::election::CheckpointSigner;
use crate::seal::endorse::{Endorse, SoleAuthority};
use crate::seal::quorum::QuorumEndorse;

/// The endorsement of an election's blocks: by a quorum where there are several authorities.
pub(crate) fn endorser(
    context: &Arc<NodeContext>,
    signer: Arc<CheckpointSigner>,
    law_id: ElectionId,
) -> Box<dyn Endorse> {
    match &context.authority {
        Some(authority) => {
            let (context, authority) = (Arc::clone(context), Arc::clone(authority));
            Box::new(QuorumEndorse::new(context, authority, signer, law_id))
        }
        None => Box::new(SoleAuthority::new(Arc::clone(context), signer, law_id)),
    }
}
