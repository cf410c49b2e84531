//! Removes what has expired from the store of accounts: sessions, and the keys of tokens. They are
//! void without it; it keeps the tables small, and old tokens off the disk.

use std::sync::Arc;
use std::time::Duration;

use votekit_store::EngineError;

use crate::context::NodeContext;

/// How long after the start it is done first: a start writes nothing that can wait.
const FIRST_DELAY: Duration = Duration::from_secs(60);

/// How often it is done.
const INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Removes what has expired as long as the node runs.
pub(crate) async fn run(context: Arc<NodeContext>) {
    let mut delay = FIRST_DELAY;
    loop {
        tokio::time::sleep(delay).await;
        delay = INTERVAL;
        match context.accounts.remove_expired(context.now().seconds()).await {
            Ok(removed) => {
                tracing::debug!(event = "expired_sessions_removed", removed, "expiry done");
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
