//! Describes an election whose log could not be read at the start.

use votekit_core::election::State;
use votekit_core::election_log::ElectionLog;
use votekit_core::id::ElectionId;

use super::READ_BATCH_LEN;
use crate::context::NodeContext;
use crate::election::{CheckpointSigner, DamagedElection};
use crate::error::NodeError;

/// Describes an election whose log could not be read.
///
/// It is on public lists, so that voters see that it is halted. They show its definition only if
/// the readable leaves include the opening: the definition of a draft may not be announced yet.
pub(crate) async fn describe(
    context: &NodeContext,
    law_id: ElectionId,
    error: &NodeError,
) -> DamagedElection {
    let log = follow_to_opening(context, &law_id).await;
    let signer = log.as_ref().and_then(|log| {
        CheckpointSigner::new(&context.folder, &law_id, log.definition().binding).ok()
    });
    let opened = log.filter(|log| log.state() != State::Draft);
    let definition = opened.map(|log| log.definition().clone());
    DamagedElection::new(law_id, error.to_string(), definition, signer)
}

/// The log as far as it can be followed, at most through its opening. `None` if it has no first
/// block.
async fn follow_to_opening(context: &NodeContext, law_id: &ElectionId) -> Option<ElectionLog> {
    let mut followed: Option<ElectionLog> = None;
    loop {
        let height = followed.as_ref().map_or(0, ElectionLog::height) + 1;
        let read = context.ledger.blocks(law_id, height, READ_BATCH_LEN).await;
        let Ok(blocks) = read else { return followed };
        if blocks.is_empty() {
            return followed;
        }
        for block in blocks {
            let Some(log) = &mut followed else {
                followed = Some(ElectionLog::follow_first(&block.leaves).ok()?);
                continue;
            };
            if log.state() != State::Draft {
                return followed;
            }
            let Ok(effect) = log.follow(&block.leaves, &mut |_| {}) else { return followed };
            log.apply(effect);
        }
    }
}
