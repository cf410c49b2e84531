//! Queues spread over the processes that consume them: whoever has more than its share gives one up, and the process that waits longest takes it over.
//!
//! The broker does not tell a consumer that it is the active one. What comes does: so only queues in which something moves are shared out, which are the ones that
//! matter.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::types::ShortString;

use super::link::Session;
use super::topology::count;
use super::track::Track;

/// How often shares are looked at; up to half as long again is added, so that processes do not act at once.
const EVERY: Duration = Duration::from_secs(3);

/// The subscriptions of a step.
pub(super) struct Shares(Mutex<Vec<Option<Arc<Track>>>>);

impl Shares {
    pub(super) fn new(queues: usize) -> Self {
        Self(Mutex::new(vec![None; queues]))
    }

    pub(super) fn subscribed(&self, track: &Arc<Track>) {
        let mut tracks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tracks[track.queue] = Some(Arc::clone(track));
    }

    fn active(&self) -> Vec<Arc<Track>> {
        let tracks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tracks.iter().flatten().filter(|track| track.is_active()).cloned().collect()
    }
}

/// Gives up a queue at a time while this process has more than its share, until the session ends.
pub(super) async fn keep_to_share(session: &Session, queues: &[ShortString], shares: &Shares) -> lapin::Result<()> {
    let channel = session.connection.create_channel().await?;
    loop {
        tokio::time::sleep(EVERY + jitter()).await;
        let active = shares.active();
        let Some(last) = active.last() else { continue };
        let (_, consumers) = count(&channel, &queues[last.queue]).await?;
        if active.len() > share(queues.len(), consumers as usize) {
            tracing::info!(queue = %queues[last.queue], consumers, "a queue is given to another process");
            last.give_way();
        }
    }
}

/// The queues that one of so many processes should have, rounded up.
fn share(queues: usize, processes: usize) -> usize {
    queues.div_ceil(processes.max(1))
}

/// Up to half of the pause.
fn jitter() -> Duration {
    // Without randomness processes act at once, which costs a change of hands.
    EVERY * (getrandom::u32().unwrap_or_default() % 256) / 512
}
