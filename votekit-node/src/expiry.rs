//! Removes expired sessions and keys of tokens from the store of accounts. They are invalid anyway;
//! their removal keeps the tables small, and old tokens off the disk.

use std::sync::Arc;
use std::time::Duration;

use votekit_store::EngineError;

use crate::context::NodeContext;

/// Delay of the first removal: a start writes nothing that can wait.
const FIRST_DELAY: Duration = Duration::from_secs(60);

/// Pause between two removals.
const REMOVAL_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Removes expired rows until the node stops.
pub(crate) async fn run(context: Arc<NodeContext>) {
    let mut delay = FIRST_DELAY;
    loop {
        tokio::time::sleep(delay).await;
        delay = REMOVAL_INTERVAL;
        match context.accounts.remove_expired(context.now().seconds()).await {
            Ok(removed) => {
                tracing::debug!(
                    event = "expired_sessions_removed",
                    removed,
                    "expired sessions removed"
                );
            }
            // The engine cannot be used any more, and no other task may have noticed.
            Err(error @ (EngineError::Fatal { .. } | EngineError::Panicked { .. })) => {
                context.fail(&error);
                return;
            }
            Err(error) => {
                tracing::warn!(
                    event = "expired_sessions_kept",
                    %error,
                    "expired sessions not removed, retrying"
                );
            }
        }
    }
}
