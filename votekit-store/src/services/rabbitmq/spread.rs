//! Queues spread over the processes that consume them: whoever has more than its share gives one
//! up, and the process that waits longest takes it over.
//!
//! The broker does not tell a consumer that it is the active one. What comes does: so only queues
//! in which something moves are shared out, which are the ones that matter. Nor does it count those
//! who wait for a queue: so each process consumes one more queue, in which nothing ever comes, and
//! whose consumers it counts.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use parking_lot::Mutex;

use super::link::Session;
use super::topology::{Names, count};
use super::track::Track;

/// How often shares are looked at; up to half as long again is added, so that processes do not act
/// at once.
const EVERY: Duration = Duration::from_secs(3);

/// How long it is left at that when they cannot be looked at.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The subscriptions of a step.
pub(super) struct Shares(Mutex<Vec<Option<Arc<Track>>>>);

impl Shares {
    pub(super) fn new(queues: usize) -> Self {
        Self(Mutex::new(vec![None; queues]))
    }

    pub(super) fn subscribed(&self, track: &Arc<Track>) {
        let mut tracks = self.0.lock();
        tracks[track.queue] = Some(Arc::clone(track));
    }

    fn active(&self) -> Vec<Arc<Track>> {
        let tracks = self.0.lock();
        tracks.iter().flatten().filter(|track| track.is_active()).cloned().collect()
    }
}

/// Gives up a queue at a time while this process has more than its share, for as long as the
/// session lasts.
///
/// Without it queues are consumed all the same, by whoever came first: so its queue, which one
/// broker of a cluster has alone, may be away.
pub(super) async fn keep_to_share(session: &Session, names: &Names, shares: &Shares) -> Infallible {
    loop {
        let Err(error) = watch(session, names, shares).await;
        tracing::warn!(%error, "validation queues are not shared out for now; trying again");
        tokio::time::sleep(AGAIN_AFTER + jitter()).await;
    }
}

async fn watch(session: &Session, names: &Names, shares: &Shares) -> lapin::Result<Infallible> {
    let channel = session.connection.create_channel().await?;
    let options = QueueDeclareOptions::durable().auto_delete();
    channel.queue_declare(names.validators.clone(), options, FieldTable::default()).await?;
    let _present = channel
        .basic_consume(
            names.validators.clone(),
            ShortString::default(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    loop {
        tokio::time::sleep(EVERY + jitter()).await;
        let (_, processes) = count(&channel, &names.validators).await?;
        let active = shares.active();
        let Some(last) = active.last() else { continue };
        if active.len() > share(names.validation.len(), processes as usize) {
            tracing::info!(queue = %names.validation[last.queue], processes, "a queue is given to another process");
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
