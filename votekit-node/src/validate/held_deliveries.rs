//! Deliveries that this node cannot process now: of elections that are halted here, or that it does
//! not know yet, and batches whose numbers are taken by rows that no node signed.
//!
//! Their votes were answered, so they are neither refused nor acknowledged: the ballot box keeps
//! them, and leaves their room to the batches of other elections. They occupy no task. A held
//! delivery is processed once this node can process it. It is acknowledged once its batch is
//! staged, possibly by another node, usually the node that published it (`direct_staging`). The
//! other deliveries are delivered again to the next process.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::JoinSet;
use votekit_core::batch::Batch;
use votekit_core::id::ElectionId;
use votekit_store::log_summary::LogSummary;
use votekit_store::{BatchName, Delivery, DeliveryTag, ValidatedBatch};

use crate::context::NodeContext;

/// Interval between polls of the held deliveries.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// How soon a batch that waits for the log is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How soon a batch whose number is taken is tried again.
const NUMBER_TAKEN_INTERVAL: Duration = Duration::from_secs(5);

/// Interval between queries for staged batches among them, and the maximum number in one query.
const QUERY_INTERVAL: Duration = Duration::from_secs(1);
const NAMES_PER_QUERY: usize = 1000;

/// The most bytes of batches that are kept to be processed later. Anyone who can write to the
/// ballot box can send batches of elections that do not exist, tens of thousands of them. Of a
/// batch that does not fit, only the name is recorded.
const BYTES_MAX: usize = 64 << 20;

/// A delivery of one of the two steps of processing.
pub(crate) trait BatchDelivery {
    /// Its batch.
    fn batch(&self) -> &Batch;
    /// Identifies it to the ballot box.
    fn tag(&self) -> DeliveryTag;
    /// Whether its batch is known to be staged: then only the acknowledgement is missing, which no
    /// state of its election hinders.
    fn is_staged(&self) -> bool;
}

impl BatchDelivery for Delivery {
    fn batch(&self) -> &Batch {
        &self.batch
    }

    fn tag(&self) -> DeliveryTag {
        DeliveryTag::Received(self.tag)
    }

    fn is_staged(&self) -> bool {
        false
    }
}

impl BatchDelivery for ValidatedBatch {
    fn batch(&self) -> &Batch {
        &self.batch
    }

    fn tag(&self) -> DeliveryTag {
        DeliveryTag::Collected(self.tag)
    }

    fn is_staged(&self) -> bool {
        self.is_staged
    }
}

/// Why a delivery is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hindrance {
    /// Its election is halted on this node, until the node stops.
    Halted,
    /// This node does not know its election: it may be behind the ledger, or connected to another
    /// ledger than the other nodes. A node that acknowledges a batch answers for its votes.
    Unknown,
    /// This node has not read the log to its present end: the admission of the batch's node may be
    /// there.
    Behind,
    /// The ledger has a row under the number of the batch that no admitted node signed: anyone who
    /// can write to the ledger can insert one. Its votes are decided once that row is removed.
    NumberTaken,
}

impl Hindrance {
    /// The minimum time for which a batch is held. `NumberTaken` needs an operator.
    fn pause(self) -> Duration {
        match self {
            Self::Halted | Self::Unknown => Duration::ZERO,
            Self::Behind => RETRY_INTERVAL,
            Self::NumberTaken => NUMBER_TAKEN_INTERVAL,
        }
    }
}

/// The reason why this node cannot process a batch of an election, as far as its memory shows.
pub(crate) fn hindrance(context: &NodeContext, law_id: &ElectionId) -> Option<Hindrance> {
    if context.damaged(law_id).is_some() {
        return Some(Hindrance::Halted);
    }
    // A node that does not share its ledger knows every election.
    (context.is_shared && context.election(law_id).is_none()).then_some(Hindrance::Unknown)
}

/// A delivery that is held.
struct Held<D> {
    name: BatchName,
    /// It is not processed again before this time.
    retry_at: Instant,
    /// `None` for an election that is halted until this node stops, and if there was no room.
    delivery: Option<D>,
}

/// The held deliveries of one step.
pub(crate) struct HeldDeliveries<D> {
    held: BTreeMap<DeliveryTag, Held<D>>,
    /// The bytes of their batches at the last poll, plus those of batches added since.
    bytes: usize,
    next_poll: Instant,
    next_query: Instant,
    /// The last delivery that was named in a query to the ledger.
    asked: Option<DeliveryTag>,
    /// The deliveries that were acknowledged since the last poll, because they were staged
    /// elsewhere.
    staged: Arc<Mutex<Vec<DeliveryTag>>>,
    /// The query in progress, if any: it delays no delivery.
    query: JoinSet<()>,
}

impl<D: BatchDelivery> HeldDeliveries<D> {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            held: BTreeMap::new(),
            bytes: 0,
            next_poll: now,
            next_query: now,
            asked: None,
            staged: Arc::default(),
            query: JoinSet::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The time of the next poll.
    pub(crate) fn next_poll(&self) -> tokio::time::Instant {
        self.next_poll.into()
    }

    /// Holds a delivery.
    pub(crate) fn add(&mut self, context: &NodeContext, delivery: D, why: Hindrance) {
        report(delivery.batch(), why);
        let tag = delivery.tag();
        if !context.ballot_box.hold(tag) {
            return;
        }
        if self.held.is_empty() {
            self.next_poll = Instant::now() + POLL_INTERVAL;
        }
        self.insert(delivery, Instant::now() + why.pause(), why != Hindrance::Halted);
    }

    /// Keeps a delivery for later processing, if it is to be retried and there is room; otherwise
    /// keeps its name only.
    fn insert(&mut self, delivery: D, retry_at: Instant, is_retried: bool) {
        let (tag, name) = (delivery.tag(), BatchName::from(delivery.batch()));
        let size = delivery.batch().as_bytes().len();
        let has_room = self.bytes + size <= BYTES_MAX;
        let delivery = (is_retried && has_room).then_some(delivery);
        self.bytes += if delivery.is_some() { size } else { 0 };
        self.held.insert(tag, Held { name, retry_at, delivery });
    }

    fn count_bytes(&mut self) {
        let kept = self.held.values().filter_map(|held| held.delivery.as_ref());
        self.bytes = kept.map(|delivery| delivery.batch().as_bytes().len()).sum();
    }

    /// Drops the deliveries that the ballot box will deliver again, and queries the ledger for
    /// those that are staged by now. Returns at most `limit` deliveries that this node can try to
    /// process.
    pub(crate) fn poll(&mut self, context: &Arc<NodeContext>, limit: usize) -> Vec<D> {
        let now = Instant::now();
        self.next_poll = now + POLL_INTERVAL;
        for tag in std::mem::take(&mut *self.staged.lock()) {
            self.held.remove(&tag);
        }
        self.held.retain(|tag, _| context.ballot_box.hold(*tag));
        let ready = self.take_ready(limit, now, |law_id| hindrance(context, law_id).is_none());
        self.count_bytes();
        // A query that panicked is repeated, as a failed query is.
        while self.query.try_join_next().is_some() {}
        if now >= self.next_query && self.query.is_empty() && !self.held.is_empty() {
            self.next_query = now + QUERY_INTERVAL;
            let names = self.next_names();
            let (job, staged) = (context.job(), Arc::clone(&self.staged));
            self.query.spawn(async move { acknowledge_staged(&job, names, &staged).await });
        }
        ready
    }

    /// Takes deliveries that this node can try to process, in the order of their arrival.
    fn take_ready(
        &mut self,
        limit: usize,
        now: Instant,
        is_free: impl Fn(&ElectionId) -> bool,
    ) -> Vec<D> {
        let is_ready = |(_, held): &(&DeliveryTag, &Held<D>)| {
            held.delivery.is_some() && held.retry_at <= now && is_free(&held.name.law_id)
        };
        let ready: Vec<DeliveryTag> =
            self.held.iter().filter(is_ready).map(|(tag, _)| *tag).take(limit).collect();
        ready.iter().filter_map(|tag| self.held.remove(tag)?.delivery).collect()
    }

    /// The names for the next query, in the order of the deliveries.
    fn next_names(&mut self) -> Vec<(DeliveryTag, BatchName)> {
        let after = self.asked.map_or(Unbounded, Excluded);
        let later = self.held.range((after, Unbounded)).map(|(tag, held)| (*tag, &held.name));
        let names: Vec<_> =
            later.take(NAMES_PER_QUERY).map(|(tag, name)| (tag, name.clone())).collect();
        // After the last names, the first names are next.
        self.asked = names.last().map(|(tag, _)| *tag).filter(|_| names.len() == NAMES_PER_QUERY);
        names
    }
}

/// Acknowledges deliveries whose batches are staged. A failed acknowledgement is retried by a later
/// query.
async fn acknowledge_staged(
    context: &NodeContext,
    names: Vec<(DeliveryTag, BatchName)>,
    staged: &Mutex<Vec<DeliveryTag>>,
) {
    let (tags, names): (Vec<DeliveryTag>, Vec<BatchName>) = names.into_iter().unzip();
    let are_staged = match context.ledger.are_staged(&names).await {
        Ok(are_staged) => are_staged,
        Err(error) => {
            tracing::debug!(
                event = "held_batches_not_compared",
                %error,
                "batches in the ballot box not compared with staging"
            );
            return;
        }
    };
    for tag in tags.into_iter().zip(are_staged).filter(|(_, is)| *is).map(|(tag, _)| tag) {
        if context.ballot_box.acknowledge_staged(tag).await.is_ok() {
            staged.lock().push(tag);
        }
    }
}

/// Limits the log lines about held deliveries: there may be one for each batch.
static HALTED: LogSummary = LogSummary::new();
static UNKNOWN: LogSummary = LogSummary::new();
static NUMBER_TAKEN: LogSummary = LogSummary::new();

fn report(batch: &Batch, why: Hindrance) {
    let law_id = &batch.header().law_id;
    match why {
        Hindrance::Halted => {
            if let Some(count) = HALTED.due(Instant::now()) {
                tracing::warn!(
                    event = "batch_election_halted",
                    batch = %batch.number(),
                    %law_id,
                    count,
                    "batch stays in the ballot box, its election is halted"
                );
            }
        }
        Hindrance::Unknown => {
            if let Some(count) = UNKNOWN.due(Instant::now()) {
                tracing::error!(
                    event = "batch_election_unknown",
                    alarm = true,
                    batch = %batch.number(),
                    %law_id,
                    count,
                    "batch waits, its election is not in the ledger"
                );
            }
        }
        Hindrance::NumberTaken => {
            if let Some(count) = NUMBER_TAKEN.due(Instant::now()) {
                tracing::error!(
                    event = "batch_number_taken",
                    alarm = true,
                    batch = %batch.number(),
                    %law_id,
                    count,
                    "batch waits, the ledger has a row under its number that no node signed"
                );
            }
        }
        Hindrance::Behind => tracing::debug!(
            event = "batch_waits_for_log",
            batch = %batch.number(),
            %law_id,
            "batch waits until this node has read the log"
        ),
    }
}

#[cfg(test)]
#[path = "held_deliveries_test.rs"]
mod tests;
