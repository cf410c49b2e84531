//! Ends the epochs that this node left open: those of previous runs, and one that the ledger has
//! lost. An epoch ends with a signed last batch, whichever run signs it, and however often: it is
//! the same bytes each time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest as _, Sha256};
use votekit_core::batch::{Batch, BatchHeader, NodeKey};
use votekit_core::election::State;
use votekit_core::election_log::ElectionLog;
use votekit_core::id::{BatchNumber, Epoch, NodeId, Sequence};
use votekit_store::EngineError;
use votekit_store::retry::until_definite;

use super::epoch_marks::EpochMarks;
use crate::context::NodeContext;
use crate::election::ElectionHandle;
use crate::error::ElectionFault;
use crate::recovery::restaging::restage_stored;

/// Interval between checks whether the staged batches are sealed.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How long a batch may wait to be decided before it is staged again.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// How long a row of an earlier epoch that this node has not signed may stay before it does not
/// count.
const UNSIGNED_AFTER: Duration = Duration::from_secs(15);

/// Interval between looks at a ledger that lacks batches of this node.
const ROLLBACK_INTERVAL: Duration = Duration::from_secs(1);

/// The epochs that earlier runs of this node left open: those that the ledger has given out, those
/// that the log has open, and those that this node knows itself. The ledger and its log may have
/// been rolled back.
pub(crate) fn earlier_epochs(
    log: &ElectionLog,
    node: NodeId,
    given: Vec<Epoch>,
    marks: Option<&EpochMarks>,
) -> Vec<Epoch> {
    let mut earlier = given;
    if let Some(marks) = marks.filter(|_| log.state() < State::Closed) {
        let epochs = log.decisions().epochs();
        earlier.extend(epochs.open().filter(|(of, _)| *of == node).map(|(_, epoch)| epoch));
        let known = marks.epochs().into_iter();
        earlier.extend(known.filter(|epoch| !epochs.progress(node, *epoch).ended));
        earlier.sort_unstable();
        earlier.dedup();
    }
    earlier
}

/// Ends epochs of this node, as a task. Another one may be open meanwhile: voters do not wait.
/// Those of previous runs are fenced already.
pub(crate) async fn run(
    context: Arc<NodeContext>,
    election: Arc<ElectionHandle>,
    node_key: NodeKey,
    marks: Option<Arc<EpochMarks>>,
    epochs: Vec<Epoch>,
) {
    for epoch in epochs {
        if let Err(error) = end(&context, &election, &node_key, marks.as_deref(), epoch).await {
            return context.fail_election(&election, &error);
        }
    }
}

async fn end(
    context: &NodeContext,
    election: &ElectionHandle,
    node_key: &NodeKey,
    marks: Option<&EpochMarks>,
    epoch: Epoch,
) -> Result<(), ElectionFault> {
    let (law_id, node) = (election.law_id(), node_key.node_id());
    // The lease may be held by another process, on a copy of the folder: wait until it runs out.
    loop {
        let leases = until_definite("end_epoch", || context.ledger.leases(law_id)).await?;
        let Some(held) = leases.iter().find(|lease| lease.node == node && lease.epoch == epoch)
        else {
            break;
        };
        tokio::time::sleep(held.remaining.max(POLL_INTERVAL)).await;
    }
    // The run that had it published an unknown number of batches: all of them must be staged first.
    until_definite("end_epoch", || context.ballot_box.settle(law_id)).await?;
    let Some(through) = staged_through(context, election, node, marks, epoch).await? else {
        return Ok(());
    };
    let mut last_look = Instant::now();
    loop {
        let progress = election.log().decisions().epochs().progress(node, epoch);
        if progress.ended || election.committed().state() >= State::Closed {
            return Ok(());
        }
        if progress.through >= through {
            break;
        }
        if context.is_shared && last_look.elapsed() >= STALLED_AFTER {
            last_look = Instant::now();
            let next = BatchNumber { node, epoch, sequence: progress.through.next() };
            until_definite("end_epoch", || restage_stored(context, election, next)).await?;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let end = Arc::new(last_batch(election, node_key, epoch, through)?);
    until_definite("end_epoch", || context.ballot_box.publish(&end)).await?;
    if let Some(marks) = marks {
        marks.confirm(epoch, through.next());
    }
    Ok(())
}

/// The last batch of an epoch, after the one that was confirmed last.
pub(crate) fn last_batch(
    election: &ElectionHandle,
    node_key: &NodeKey,
    epoch: Epoch,
    through: Sequence,
) -> Result<Batch, ElectionFault> {
    let law_id = election.law_id().clone();
    let number = BatchNumber { node: node_key.node_id(), epoch, sequence: through.next() };
    // It encrypts nothing, so its key need not be a secret. With a random one, two runs would sign
    // two batches of one number.
    let mut rng = RepeatedRng::new(&format!("{law_id}\n{number}"));
    let header = BatchHeader { law_id, number, confirmed_through: through, last: true };
    let sealed = Batch::seal(header, &[], &election.definition.ballot_key, node_key, &mut rng);
    sealed.map_err(|error| ElectionFault::damaged(error.to_string()))
}

/// Bytes that depend only on a text. Not for secrets.
struct RepeatedRng {
    seed: [u8; 32],
    counter: u64,
}

impl RepeatedRng {
    fn new(text: &str) -> Self {
        let seed = Sha256::new().chain_update("votekit-epoch-end/1\n").chain_update(text);
        Self { seed: seed.finalize().into(), counter: 0 }
    }
}

impl TryRng for RepeatedRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(32) {
            let counter = self.counter.to_be_bytes();
            let block = Sha256::new().chain_update(self.seed).chain_update(counter).finalize();
            self.counter += 1;
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for RepeatedRng {}

/// The last batch of an epoch that is staged; `None` if none was. Waits while the ledger lacks
/// batches, or blocks, that this node knows of: it was rolled back, and an end below them would be
/// a second batch under the number of one that counts. The authorities restore them.
async fn staged_through(
    context: &NodeContext,
    election: &ElectionHandle,
    node: NodeId,
    marks: Option<&EpochMarks>,
    epoch: Epoch,
) -> Result<Option<Sequence>, ElectionFault> {
    let confirmed = marks.map_or(Sequence(0), |marks| marks.confirmed(epoch));
    let (mut waits, mut unsigned_since) = (false, None);
    loop {
        // The height of the log before what it decides.
        let height = election.committed().height;
        let is_behind = marks.is_some_and(|marks| marks.has_read_beyond(height));
        let read = || context.ledger.staged_through(election.law_id(), node, epoch);
        let staged = until_definite("end_epoch", read).await?;
        let through = staged.unwrap_or(Sequence(0));
        let decided = election.log().decisions().epochs().progress(node, epoch);
        let known = confirmed.max(decided.through);
        let is_over = decided.ended || election.committed().state() >= State::Closed;
        // Only rows of a shared ledger may be another program's.
        let is_known = through == known || (through > known && !context.is_shared);
        if is_over || (!is_behind && is_known) {
            return Ok(staged);
        }
        if !is_behind && through > known {
            let number = BatchNumber { node, epoch, sequence: through };
            if is_signed(context, election, number).await? {
                return Ok(staged);
            }
            // A node that has a batch whose row was changed stages it again by then.
            let since = *unsigned_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= UNSIGNED_AFTER {
                return signed_after(context, election, number, known).await;
            }
            tokio::time::sleep(ROLLBACK_INTERVAL).await;
            continue;
        }
        if !std::mem::replace(&mut waits, true) {
            tracing::error!(
                event = "epoch_end_waits",
                alarm = true,
                law_id = %election.law_id(),
                epoch = epoch.0,
                "the ledger lacks batches or blocks that this node knows: it was rolled back, an \
                 earlier epoch is not ended"
            );
        }
        tokio::time::sleep(ROLLBACK_INTERVAL).await;
    }
}

/// The last of the batches that follow one another after a known one and that this node has signed,
/// before a row that it has not. Another program may write a row of any number: the epoch would
/// never reach it.
async fn signed_after(
    context: &NodeContext,
    election: &ElectionHandle,
    unsigned: BatchNumber,
    known: Sequence,
) -> Result<Option<Sequence>, ElectionFault> {
    tracing::error!(
        event = "epoch_end_passes_over",
        alarm = true,
        law_id = %election.law_id(),
        batch = %unsigned,
        "the ledger has a row of an earlier epoch that this node has not signed: it does not count"
    );
    let mut through = known;
    while through.next() < unsigned.sequence {
        let next = BatchNumber { sequence: through.next(), ..unsigned };
        if !is_signed(context, election, next).await? {
            break;
        }
        through = next.sequence;
    }
    Ok(Some(through).filter(|through| *through > Sequence(0)))
}

/// Whether the ledger has a batch of this number that its node has signed.
async fn is_signed(
    context: &NodeContext,
    election: &ElectionHandle,
    number: BatchNumber,
) -> Result<bool, ElectionFault> {
    let read = || context.ledger.staged_batch(election.law_id(), number);
    match until_definite("end_epoch", read).await {
        Ok(stored) => Ok(stored.is_some_and(|batch| election.log().verify_batch(&batch).is_ok())),
        Err(EngineError::Corrupt { .. }) if context.is_shared => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use votekit_core::ballot::BallotSecretKey;

    use super::*;

    #[test]
    fn the_end_of_an_epoch_is_the_same_bytes_each_time() {
        let node = NodeKey::from_seed(&[1; 32]);
        let key = BallotSecretKey::from_seed(&[9; 32]).public_key();
        let end = |law_id: &str, epoch| {
            let number =
                BatchNumber { node: node.node_id(), epoch: Epoch(epoch), sequence: Sequence(5) };
            let mut rng = RepeatedRng::new(&format!("{law_id}\n{number}"));
            let law_id = law_id.parse().expect("a law id");
            let header = BatchHeader { law_id, number, confirmed_through: Sequence(4), last: true };
            Batch::seal(header, &[], &key, &node, &mut rng).expect("the ballot key is usable")
        };
        assert_eq!(end("L1", 2).as_bytes(), end("L1", 2).as_bytes());
        assert_ne!(end("L1", 2).digest(), end("L1", 3).digest());
        assert_ne!(end("L1", 2).digest(), end("L2", 2).digest());
    }
}
