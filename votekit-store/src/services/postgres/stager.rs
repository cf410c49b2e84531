//! Stages batches in groups: those that arrive while a statement runs go into the next one, so one
//! disk sync of the server answers many callers.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use votekit_core::batch::Batch;
use votekit_core::id::Digest;

use super::connections::Connections;
use super::fault::{corrupt, malformed, unavailable};
use super::rows::{column, value};
use crate::emptied_row::report_bytes_restored;
use crate::error::NUMBER_RULE;
use crate::essential;
use crate::services::hints;
use crate::{Conflict, EngineError, Hints, StagingId};

/// Maximum number of waiting batches; further callers wait to be queued.
const QUEUE_LENGTH: usize = 1024;

/// Maximum number of batches in one statement. Their answer fits the buffer of any socket: the
/// server never waits for a stopped client.
const GROUP_BATCHES_MAX: usize = 512;

/// A group of this size, in bytes, takes no more batches from the queue.
const GROUP_BYTES_MAX: usize = 16 << 20;

/// The queue of the staging task. When it is dropped, the task writes what was queued and ends.
#[derive(Debug)]
pub(super) struct Stager(mpsc::Sender<Waiting>);

struct Waiting {
    batch: Arc<Batch>,
    sequence: i64,
    hints: Vec<u8>,
    reply: oneshot::Sender<Result<StagingId, EngineError>>,
}

impl Stager {
    pub(super) fn start(connections: Arc<Connections>) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_LENGTH);
        essential::spawn("the stager of PostgreSQL", run(connections, waiting));
        Self(queue)
    }

    /// Stages a batch, even if the caller stops waiting.
    pub(super) async fn stage(
        &self,
        batch: &Arc<Batch>,
        hints: &Hints,
    ) -> Result<StagingId, EngineError> {
        let rule = || malformed(&batch.header().law_id, NUMBER_RULE);
        let sequence = column(batch.number().sequence.0).ok_or_else(rule)?;
        let (reply, answer) = oneshot::channel();
        let waiting =
            Waiting { batch: Arc::clone(batch), sequence, hints: hints::encode(hints), reply };
        let ended = |_| unavailable("the ledger is being closed");
        self.0.send(waiting).await.map_err(|_| unavailable("the ledger is being closed"))?;
        answer.await.map_err(ended)?
    }
}

async fn run(connections: Arc<Connections>, mut queue: mpsc::Receiver<Waiting>) {
    while let Some(first) = queue.recv().await {
        let mut bytes = first.batch.as_bytes().len();
        let mut group = vec![first];
        while group.len() < GROUP_BATCHES_MAX
            && bytes < GROUP_BYTES_MAX
            && let Ok(next) = queue.try_recv()
        {
            bytes += next.batch.as_bytes().len();
            group.push(next);
        }
        match write(&connections, &group).await {
            Ok(answers) => {
                for (waiting, answer) in group.into_iter().zip(answers) {
                    let _ = waiting.reply.send(answer);
                }
            }
            Err(error) => {
                for waiting in group {
                    let _ = waiting.reply.send(Err(error.clone()));
                }
            }
        }
    }
}

/// Writes a group, and returns an answer for each batch.
async fn write(
    connections: &Connections,
    group: &[Waiting],
) -> Result<Vec<Result<StagingId, EngineError>>, EngineError> {
    let of_each = |number: fn(&Waiting) -> i64| group.iter().map(number).collect::<Vec<i64>>();
    let law_ids: Vec<&str> =
        group.iter().map(|waiting| waiting.batch.header().law_id.as_str()).collect();
    let numbers: Vec<_> = group.iter().map(|waiting| waiting.batch.number()).collect();
    let nodes: Vec<&[u8]> =
        numbers.iter().map(|number| number.node.as_bytes().as_slice()).collect();
    let digests: Vec<Digest> = group.iter().map(|waiting| waiting.batch.digest()).collect();
    let digest_bytes: Vec<&[u8]> =
        digests.iter().map(|digest| digest.as_bytes().as_slice()).collect();
    let hints: Vec<&[u8]> = group.iter().map(|waiting| waiting.hints.as_slice()).collect();
    let bytes: Vec<&[u8]> = group.iter().map(|waiting| waiting.batch.as_bytes()).collect();
    let row = connections
        .session()
        .await?
        .write(
            "SELECT places, stored, restored FROM stage($1, $2, $3, $4, $5, $6, $7)",
            &[
                &law_ids,
                &nodes,
                &of_each(|waiting| waiting.batch.number().epoch.0.into()),
                &of_each(|waiting| waiting.sequence),
                &digest_bytes,
                &hints,
                &bytes,
            ],
        )
        .await?;
    let (places, stored): (Vec<i64>, Vec<Vec<u8>>) =
        (value(&row, "places")?, value(&row, "stored")?);
    let restored: Vec<bool> = value(&row, "restored")?;
    for (waiting, _) in group.iter().zip(restored).filter(|(_, restored)| *restored) {
        report_bytes_restored(&waiting.batch);
    }
    if places.len() != group.len() || stored.len() != group.len() {
        return Err(corrupt(format!(
            "function stage returned {} rows for {} batches",
            places.len(),
            group.len()
        )));
    }
    let answers = group.iter().zip(digests).zip(places.into_iter().zip(stored));
    Ok(answers
        .map(|((waiting, offered), (place, stored))| {
            check_stored(&waiting.batch, offered, place, &stored)
        })
        .collect())
}

fn check_stored(
    batch: &Batch,
    offered: Digest,
    place: i64,
    stored: &[u8],
) -> Result<StagingId, EngineError> {
    let damage =
        || corrupt(format!("table batch: the row of batch {} cannot be decoded", batch.number()));
    let stored = Digest::from_bytes(stored.try_into().map_err(|_| damage())?);
    if stored != offered {
        let law_id = batch.header().law_id.clone();
        return Err(
            Conflict::BatchNumber { law_id, number: batch.number(), stored, offered }.into()
        );
    }
    u64::try_from(place).map(StagingId).map_err(|_| damage())
}
