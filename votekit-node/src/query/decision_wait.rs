//! Waits for the decision on one request without a limit, for readers of live updates; a client
//! with `Prefer: wait` has a limit.

use votekit_core::decision::Decision;
use votekit_core::id::RequestId;

use super::{ReadError, VoteStatus};
use crate::node::Node;

impl Node {
    /// Waits for the decision on a request, however long it takes, and returns it once it is
    /// durable. `None` if the request was never issued here and is in no log, also when its copies
    /// turn out not to be stored. Cancel safe.
    ///
    /// Nothing is polled: a request in flight has a list of those who wait for it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn decision(&self, request: RequestId) -> Result<Option<Decision>, ReadError> {
        loop {
            // Registered before the status is read: no decision comes in between.
            let decided = self.context.pending.decided(&request);
            match self.status(request).await? {
                Some(VoteStatus::Decided(decision)) => return Ok(Some(decision)),
                Some(VoteStatus::Pending { .. }) => {}
                None => return Ok(None),
            }
            match decided {
                // An error means that no copy was stored: the status shows this.
                Some(decided) => {
                    let _ = decided.await;
                }
                None => self.durable(&request).await,
            }
        }
    }

    /// Waits until the leaf of a request that is in a log is durable. Returns at once for a request
    /// that is in none.
    pub(super) async fn durable(&self, request: &RequestId) {
        let Some((election, index)) = self.find(request).await else { return };
        let mut committed = election.watch_committed();
        // The sender lives as long as the election.
        let _ = committed.wait_for(|committed| committed.size() > index).await;
    }
}
