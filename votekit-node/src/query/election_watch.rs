//! A subscription to the durable state of one election.

use std::sync::Arc;

use tokio::sync::watch;
use votekit_core::id::ElectionId;

use crate::election::{Committed, ElectionHandle, ElectionView};
use crate::node::Node;

/// Follows the durable state of one election: it moves with each block.
pub struct ElectionWatch {
    election: Arc<ElectionHandle>,
    committed: watch::Receiver<Arc<Committed>>,
}

impl Node {
    /// A subscription to one election; `None` when there is no such election.
    #[must_use]
    pub fn watch(&self, law_id: &ElectionId) -> Option<ElectionWatch> {
        let election = self.context.election(law_id)?;
        let committed = election.watch_committed();
        Some(ElectionWatch { election, committed })
    }
}

impl ElectionWatch {
    /// The height of the last block, and the election after it.
    #[must_use]
    pub fn current(&mut self) -> (u64, ElectionView) {
        let height = self.committed.borrow_and_update().height;
        (height, ElectionView::from_handle(&self.election))
    }

    /// Waits for the next block. Cancel safe. Pending for ever once the node has stopped.
    pub async fn changed(&mut self) {
        if self.committed.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl std::fmt::Debug for ElectionWatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "ElectionWatch({})", self.election.law_id())
    }
}
