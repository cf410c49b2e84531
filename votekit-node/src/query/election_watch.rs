//! Subscriptions to the durable state of one election, and to the list of elections.

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

/// Watches the list of elections on this node: it changes with each added election.
#[derive(Debug)]
pub struct ElectionListWatch(watch::Receiver<u64>);

impl Node {
    /// A subscription to the list of elections. Changes before the call are not reported.
    #[must_use]
    pub fn watch_list(&self) -> ElectionListWatch {
        ElectionListWatch(self.context.listed.subscribe())
    }

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

impl ElectionListWatch {
    /// Waits for the next change. Cancel safe. Pending for ever once the node has stopped.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl std::fmt::Debug for ElectionWatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "ElectionWatch({})", self.election.law_id())
    }
}
