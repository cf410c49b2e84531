//! Ends the epochs that previous runs of this node left open: an epoch ends with a signed last
//! batch, whichever run signs it.

use std::sync::Arc;
use std::time::Duration;

use getrandom::SysRng;
use rand_core::UnwrapErr;
use votekit_core::batch::{Batch, BatchHeader, NodeKey};
use votekit_core::election::State;
use votekit_core::id::{BatchNumber, Epoch, NodeId, Sequence};
use votekit_store::retry::until_definite;

use super::epoch_marks::EpochMarks;
use crate::context::NodeContext;
use crate::election::ElectionHandle;
use crate::error::ElectionFault;

/// Interval between checks whether the staged batches are sealed.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Interval between looks at a ledger that lacks batches of this node.
const PUT_BACK_INTERVAL: Duration = Duration::from_secs(1);

/// Ends the epochs that previous runs of this node were given, as a task. The epoch of this run may
/// be open meanwhile: voters do not wait. The earlier epochs are fenced already.
pub(crate) async fn run(
    context: Arc<NodeContext>,
    election: Arc<ElectionHandle>,
    node_key: NodeKey,
    marks: Option<Arc<EpochMarks>>,
    epochs: Vec<Epoch>,
) {
    for epoch in epochs {
        let confirmed = marks.as_ref().map_or(Sequence(0), |marks| marks.confirmed(epoch));
        if let Err(error) = end(&context, &election, &node_key, epoch, confirmed).await {
            return context.fail_election(&election, &error);
        }
    }
}

async fn end(
    context: &NodeContext,
    election: &ElectionHandle,
    node_key: &NodeKey,
    epoch: Epoch,
    confirmed: Sequence,
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
    // The previous run published an unknown number of batches: all of them must be staged first.
    until_definite("end_epoch", || context.ballot_box.settle(law_id)).await?;
    let Some(through) = staged_through(context, election, node, epoch, confirmed).await? else {
        return Ok(());
    };
    loop {
        let progress = election.log().decisions().epochs().progress(node, epoch);
        if progress.ended || election.committed().state() >= State::Closed {
            return Ok(());
        }
        if progress.through >= through {
            break;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let number = BatchNumber { node, epoch, sequence: through.next() };
    let header = BatchHeader {
        law_id: law_id.clone(),
        number,
        confirmed_through: Sequence(through.0),
        last: true,
    };
    let sealed =
        Batch::seal(header, &[], &election.definition.ballot_key, node_key, &mut UnwrapErr(SysRng));
    let end = sealed.map_err(|error| ElectionFault::damaged(error.to_string()))?;
    let end = Arc::new(end);
    Ok(until_definite("end_epoch", || context.ballot_box.publish(&end)).await?)
}

/// The last batch of an epoch that is staged; `None` if none was. Waits while the ledger lacks
/// batches that this node knows of: it was put back, and an end below them would be a second batch
/// under the number of one that counts. The authorities stage them again.
async fn staged_through(
    context: &NodeContext,
    election: &ElectionHandle,
    node: NodeId,
    epoch: Epoch,
    confirmed: Sequence,
) -> Result<Option<Sequence>, ElectionFault> {
    let mut waits = false;
    loop {
        let read = || context.ledger.staged_through(election.law_id(), node, epoch);
        let staged = until_definite("end_epoch", read).await?;
        let through = staged.unwrap_or(Sequence(0));
        let decided = election.log().decisions().epochs().progress(node, epoch);
        if decided.ended || through >= confirmed.max(decided.through) {
            return Ok(staged);
        }
        if !std::mem::replace(&mut waits, true) {
            tracing::error!(
                event = "epoch_end_waits",
                alarm = true,
                law_id = %election.law_id(),
                epoch = epoch.0,
                "the ledger lacks batches of this node: it was put back, an earlier epoch is not \
                 ended"
            );
        }
        tokio::time::sleep(PUT_BACK_INTERVAL).await;
    }
}
