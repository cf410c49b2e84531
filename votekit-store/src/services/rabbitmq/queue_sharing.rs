//! Spreads queues over the processes that consume them: a process with more than its share stops
//! consuming one queue, and the process that has waited longest takes it over.
//!
//! The broker does not report which consumer is active; deliveries show it. So only queues with
//! traffic are spread; the others do not matter. The broker does not count waiting consumers
//! either, so each process also consumes one queue that is always empty, and counts the consumers
//! of that queue.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use parking_lot::Mutex;

use super::delivery_tracker::DeliveryTracker;
use super::reconnector::Session;
use super::topology::{Names, count};

/// Interval between checks; up to half as long is added, so that processes do not act at the same
/// time.
const CHECK_INTERVAL: Duration = Duration::from_secs(3);

/// Pause after a failed check.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// The subscriptions of a step, by queue.
pub(super) struct Shares(Mutex<Vec<Option<Arc<DeliveryTracker>>>>);

impl Shares {
    pub(super) fn new(queues: usize) -> Self {
        Self(Mutex::new(vec![None; queues]))
    }

    pub(super) fn subscribed(&self, tracker: &Arc<DeliveryTracker>) {
        let mut trackers = self.0.lock();
        trackers[tracker.queue] = Some(Arc::clone(tracker));
    }

    fn active(&self) -> Vec<Arc<DeliveryTracker>> {
        let trackers = self.0.lock();
        trackers.iter().flatten().filter(|tracker| tracker.is_active()).cloned().collect()
    }
}

/// Gives up one queue at a time while this process has more than its share. Runs as long as the
/// session.
///
/// Best effort: without it, each queue stays with the process that consumed it first. So the
/// counting queue, which lives on a single node of the broker, need not be available.
pub(super) async fn keep_to_share(session: &Session, names: &Names, shares: &Shares) -> Infallible {
    loop {
        let Err(error) = watch(session, names, shares).await;
        tracing::warn!(
            event = "queue_sharing_failed",
            %error,
            "validation queues not shared, retrying"
        );
        tokio::time::sleep(RETRY_INTERVAL + jitter()).await;
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
        tokio::time::sleep(CHECK_INTERVAL + jitter()).await;
        let (_, processes) = count(&channel, &names.validators).await?;
        let active = shares.active();
        let Some(last) = active.last() else { continue };
        if active.len() > share(names.validation.len(), processes as usize) {
            tracing::info!(
                event = "queue_released",
                queue = %names.validation[last.queue],
                processes,
                "validation queue released to another process"
            );
            last.release();
        }
    }
}

/// The share of one process, rounded up.
fn share(queues: usize, processes: usize) -> usize {
    queues.div_ceil(processes.max(1))
}

/// A random time of up to half of [`CHECK_INTERVAL`].
fn jitter() -> Duration {
    // Without random numbers, processes act at the same time, which causes extra handovers.
    CHECK_INTERVAL * (getrandom::u32().unwrap_or_default() % 256) / 512
}
