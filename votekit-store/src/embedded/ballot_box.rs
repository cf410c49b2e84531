//! The ballot box of one process: the staging table stores the batches, and a queue in memory
//! delivers them.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore, mpsc};
use votekit_core::batch::Batch;
use votekit_core::id::ElectionId;

use super::EmbeddedLedger;
use super::fault::{ENGINE, unavailable};
use super::tail::Backlog;
use crate::{
    BallotBox, Delivery, DeliveryTag, EngineError, Hints, Staging, StagingId, ValidatedBatch,
};

/// Maximum of published, unacknowledged batches. Further publications wait.
const UNACKNOWLEDGED_MAX: usize = 1024;

/// Batches of the backlog per read.
const BACKLOG_PAGE_LEN: usize = 64;

/// A ballot box over the ledger's staging.
///
/// Batches that were not sealed when the ledger was opened are delivered first. An unacknowledged
/// delivery is repeated when the ledger is next opened, unless its batch is sealed by then.
pub struct EmbeddedBallotBox {
    ledger: Arc<EmbeddedLedger>,
    capacity: Arc<Semaphore>,
    published: mpsc::UnboundedSender<Published>,
    incoming: AsyncMutex<Incoming>,
    /// Bounded by `capacity`.
    forwarded: mpsc::UnboundedSender<ValidatedBatch>,
    validated: AsyncMutex<mpsc::UnboundedReceiver<ValidatedBatch>>,
    deliveries: Mutex<Deliveries>,
}

/// A durable batch and its permit of the capacity.
type Published = (Arc<Batch>, OwnedSemaphorePermit);

struct Incoming {
    backlog: VecDeque<Backlog>,
    page: VecDeque<Arc<Batch>>,
    /// Bounded by `capacity`.
    published: mpsc::UnboundedReceiver<Published>,
}

#[derive(Default)]
struct Deliveries {
    last_tag: u64,
    /// Holds the permits of the capacity; a batch of the backlog has none.
    unacknowledged: HashMap<u64, OwnedSemaphorePermit>,
}

impl EmbeddedBallotBox {
    /// A ballot box over a ledger that was just opened.
    #[must_use]
    pub fn new(ledger: Arc<EmbeddedLedger>) -> Self {
        let (published, receiver) = mpsc::unbounded_channel();
        let (forwarded, validated) = mpsc::unbounded_channel();
        let incoming = Incoming {
            backlog: ledger.backlog().into(),
            page: VecDeque::new(),
            published: receiver,
        };
        Self {
            ledger,
            capacity: Arc::new(Semaphore::new(UNACKNOWLEDGED_MAX)),
            published,
            incoming: AsyncMutex::new(incoming),
            forwarded,
            validated: AsyncMutex::new(validated),
            deliveries: Mutex::default(),
        }
    }

    fn deliver(&self, batch: Arc<Batch>, permit: Option<OwnedSemaphorePermit>) -> Delivery {
        let mut deliveries = self.deliveries();
        deliveries.last_tag += 1;
        let tag = deliveries.last_tag;
        if let Some(permit) = permit {
            deliveries.unacknowledged.insert(tag, permit);
        }
        Delivery { batch, tag }
    }

    fn deliveries(&self) -> MutexGuard<'_, Deliveries> {
        self.deliveries.lock()
    }
}

#[async_trait]
impl BallotBox for EmbeddedBallotBox {
    async fn publish(&self, batch: &Arc<Batch>) -> Result<(), EngineError> {
        let (batch, ledger, published) =
            (Arc::clone(batch), Arc::clone(&self.ledger), self.published.clone());
        let capacity = Arc::clone(&self.capacity);
        // In a separate task: a caller that stops waiting must not leave a batch staged and
        // undelivered.
        let publication = tokio::spawn(async move {
            let permit = tokio::select! {
                permit = capacity.acquire_owned() => permit.expect("the semaphore is never closed"),
                failure = ledger.failed() => return Err(failure),
            };
            ledger.stage(&batch, &Hints::new()).await?;
            // Without a receiver, the batch is still durable, and is delivered when the ledger is
            // next opened.
            let _ = published.send((batch, permit));
            Ok(())
        });
        match publication.await {
            Ok(outcome) => outcome,
            // The task panicked, before or after the batch was staged.
            Err(error) => Err(EngineError::OutcomeUnknown {
                engine: ENGINE,
                reason: format!("the publication did not complete: {error}"),
            }),
        }
    }

    async fn receive(&self) -> Result<Delivery, EngineError> {
        tokio::select! {
            // A poisoned ledger takes precedence over further deliveries.
            biased;
            failure = self.ledger.failed() => Err(failure),
            next = async { self.incoming.lock().await.next(&self.ledger).await } => {
                let (batch, permit) = next?;
                Ok(self.deliver(batch, permit))
            }
        }
    }

    async fn forward(&self, delivery: &Delivery, hints: &Hints) -> Result<(), EngineError> {
        let validated = ValidatedBatch {
            batch: Arc::clone(&delivery.batch),
            hints: hints.clone(),
            tag: delivery.tag,
            is_staged: true,
        };
        // Cannot fail: `self` owns the receiver too.
        let _ = self.forwarded.send(validated);
        Ok(())
    }

    async fn refuse(&self, delivery: &Delivery, _reason: &str) -> Result<(), EngineError> {
        self.deliveries().unacknowledged.remove(&delivery.tag);
        Ok(())
    }

    async fn collect(&self) -> Result<ValidatedBatch, EngineError> {
        tokio::select! {
            biased;
            failure = self.ledger.failed() => Err(failure),
            validated = async { self.validated.lock().await.recv().await } => {
                validated.ok_or_else(|| unavailable("the ballot box was closed"))
            }
        }
    }

    async fn acknowledge(&self, validated: &ValidatedBatch) -> Result<(), EngineError> {
        self.deliveries().unacknowledged.remove(&validated.tag);
        Ok(())
    }

    /// A published batch is already staged, so it is kept there.
    async fn reject(&self, validated: &ValidatedBatch, _reason: &str) -> Result<(), EngineError> {
        self.acknowledge(validated).await
    }

    /// The batch is staged, and delivered again when the ledger is next opened. Its permit is kept
    /// until it is acknowledged.
    fn hold(&self, _tag: DeliveryTag) -> bool {
        true
    }

    async fn acknowledge_staged(&self, tag: DeliveryTag) -> Result<(), EngineError> {
        let (DeliveryTag::Received(tag) | DeliveryTag::Collected(tag)) = tag;
        self.deliveries().unacknowledged.remove(&tag);
        Ok(())
    }

    /// A published batch is already staged, so there is nothing to wait for.
    async fn settle(&self, _law_id: &ElectionId) -> Result<(), EngineError> {
        self.ping().await
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.ledger.failure().map_or(Ok(()), Err)
    }
}

impl Incoming {
    /// Takes the next batch. Cancel safe.
    async fn next(
        &mut self,
        ledger: &EmbeddedLedger,
    ) -> Result<(Arc<Batch>, Option<OwnedSemaphorePermit>), EngineError> {
        loop {
            if let Some(batch) = self.page.pop_front() {
                return Ok((batch, None));
            }
            if self.backlog.is_empty() {
                let (batch, permit) = self
                    .published
                    .recv()
                    .await
                    .ok_or_else(|| unavailable("the ballot box was closed"))?;
                return Ok((batch, Some(permit)));
            }
            self.read_backlog(ledger).await?;
        }
    }

    async fn read_backlog(&mut self, ledger: &EmbeddedLedger) -> Result<(), EngineError> {
        let Some(Backlog { law_id, after, through }) = self.backlog.front_mut() else {
            return Ok(());
        };
        let page = match ledger.staged(law_id, *after, BACKLOG_PAGE_LEN).await {
            // Damage of one election keeps no other waiting. Its sealer reads the same rows and
            // reports them.
            Err(EngineError::Corrupt { .. }) => {
                self.backlog.pop_front();
                return Ok(());
            }
            page => page?,
        };
        let last: Option<StagingId> = page.last().map(|staged| staged.id);
        self.page.extend(
            page.into_iter().filter(|staged| staged.id <= *through).map(|staged| staged.batch),
        );
        match last {
            Some(last) if last < *through => *after = last,
            _ => {
                self.backlog.pop_front();
            }
        }
        Ok(())
    }
}

impl fmt::Debug for EmbeddedBallotBox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "EmbeddedBallotBox({} of {UNACKNOWLEDGED_MAX} places free)",
            self.capacity.available_permits()
        )
    }
}
