//! Ends the epochs that this node left open: those of previous runs, and one that the ledger has
//! lost. To end an epoch, the node publishes its [last batch](super::last_batch), once all earlier
//! batches of the epoch are decided.

use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_core::batch::NodeKey;
use votekit_core::election::State;
use votekit_core::election_log::ElectionLog;
use votekit_core::id::{BatchNumber, Epoch, NodeId, Sequence};
use votekit_store::EngineError;
use votekit_store::retry::until_definite;

use super::epoch_marks::EpochMarks;
use super::last_batch::last_batch;
use crate::context::NodeContext;
use crate::election::ElectionHandle;
use crate::error::ElectionFault;
use crate::recovery::restaging::restage_stored;

/// Interval between checks whether the staged batches are decided.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Interval at which the next undecided batch is staged again.
const RESTAGE_INTERVAL: Duration = Duration::from_secs(5);

/// The time after which a row of an earlier epoch is ignored if this node has not signed it.
const UNSIGNED_TIMEOUT: Duration = Duration::from_secs(15);

/// Interval between reads of a ledger that lacks batches of this node, or has a row that this node
/// has not signed.
const LEDGER_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The epochs that earlier runs of this node left open: those that the ledger has allocated, those
/// that are open in the log, and those in the node's own record. If the ledger was restored from an
/// older copy, only the record has them all.
pub(crate) fn earlier_epochs(
    log: &ElectionLog,
    node: NodeId,
    allocated: Vec<Epoch>,
    marks: Option<&EpochMarks>,
) -> Vec<Epoch> {
    let mut earlier = allocated;
    if let Some(marks) = marks.filter(|_| log.state() < State::Closed) {
        let epochs = log.decisions().epochs();
        earlier.extend(epochs.open().filter(|(owner, _)| *owner == node).map(|(_, epoch)| epoch));
        let known = marks.epochs().into_iter();
        earlier.extend(known.filter(|epoch| !epochs.progress(node, *epoch).ended));
        earlier.sort_unstable();
        earlier.dedup();
    }
    earlier
}

/// The task that ends epochs of this node. Those of previous runs are fenced already. Voters do not
/// wait for it: the intake publishes their votes in a new epoch.
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
    // The run of this epoch published an unknown number of batches: all of them must be staged
    // before the last one is known.
    until_definite("end_epoch", || context.ballot_box.settle(law_id)).await?;
    let Some(through) = staged_through(context, election, node, marks, epoch).await? else {
        return Ok(());
    };
    let mut restaged_at = Instant::now();
    loop {
        let progress = election.log().decisions().epochs().progress(node, epoch);
        if progress.ended || election.committed().state() >= State::Closed {
            return Ok(());
        }
        if progress.through >= through {
            break;
        }
        if context.is_shared && restaged_at.elapsed() >= RESTAGE_INTERVAL {
            restaged_at = Instant::now();
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

/// The last staged batch of an epoch; `None` if none is staged. Waits while the ledger lacks
/// batches or blocks that this node knows: it was restored from an older copy, and the authorities
/// will append them again. The end of the epoch must not reuse the number of a batch that counts.
async fn staged_through(
    context: &NodeContext,
    election: &ElectionHandle,
    node: NodeId,
    marks: Option<&EpochMarks>,
    epoch: Epoch,
) -> Result<Option<Sequence>, ElectionFault> {
    let confirmed = marks.map_or(Sequence(0), |marks| marks.confirmed(epoch));
    let (mut is_reported, mut unsigned_since) = (false, None);
    loop {
        // Read before the decisions, which then include the blocks up to this height.
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
            // Within this time, a node that has the batch of a changed row stages it again.
            let since = *unsigned_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= UNSIGNED_TIMEOUT {
                return pass_over_unsigned(context, election, number, known).await;
            }
        } else if !std::mem::replace(&mut is_reported, true) {
            tracing::error!(
                event = "epoch_end_waits",
                alarm = true,
                law_id = %election.law_id(),
                epoch = epoch.0,
                "ledger lacks batches or blocks that this node knows, earlier epoch not ended"
            );
        }
        tokio::time::sleep(LEDGER_POLL_INTERVAL).await;
    }
}

/// Reports and ignores the row `unsigned`, which another program has written: its number may be one
/// that the epoch never reaches. Returns the last of the consecutive batches after `known` that
/// this node has signed; `None` if the epoch has none.
async fn pass_over_unsigned(
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
        "row of an earlier epoch ignored: this node has not signed it"
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

/// Whether the ledger has a batch with this number and the signature of its node.
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
