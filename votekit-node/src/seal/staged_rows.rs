//! The last batch of an epoch that is staged: a batch that its node has signed, whatever other rows
//! state numbers of the epoch.
//!
//! The row with the highest number may be another program's. Then four sources show the last
//! batch: the rows after the last sealed one, as long as each is signed; the batches that this node
//! has read; those after them in staging; and, at the callers, those that an authority has marked
//! in its memory.

use std::time::Instant;

use votekit_authority::quiescence::EpochProgress;
use votekit_core::id::{BatchNumber, Epoch, NodeId, Sequence};
use votekit_store::log_summary::LogSummary;
use votekit_store::{EngineError, Staged};

use crate::recovery::READ_BATCH_LEN;
use crate::seal::sealer::Sealer;

/// The most pages that are read of the rows that the node has not read yet: another program may
/// insert rows without end.
const UNREAD_PAGES_MAX: usize = 64;

/// Limits the lines about rows that no node has signed: each look finds them again.
static UNSIGNED: LogSummary = LogSummary::new();

/// What the ledger has staged of an epoch.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StagedRows {
    /// The last batch.
    pub(crate) through: Option<Sequence>,
    /// The last row above, if its node has not signed it.
    pub(crate) unsigned_through: Option<Sequence>,
}

impl Sealer {
    /// Reads what the ledger has staged of an epoch.
    pub(crate) async fn staged_rows(
        &self,
        node: NodeId,
        epoch: Epoch,
    ) -> Result<StagedRows, EngineError> {
        let (ledger, law_id) = (&self.context.ledger, self.election.law_id());
        let last = ledger.staged_through(law_id, node, epoch).await?;
        let decided = self.election.log().decisions().epochs().progress(node, epoch);
        let undecided = last.filter(|last| *last > decided.through && !decided.ended);
        let number = |sequence| BatchNumber { node, epoch, sequence };
        // Only rows of a shared ledger may be another program's.
        let Some(last) = undecided.filter(|_| self.context.is_shared) else {
            return Ok(StagedRows { through: last, unsigned_through: None });
        };
        if self.is_signed(number(last)).await? {
            return Ok(StagedRows { through: Some(last), unsigned_through: None });
        }
        let mut through = decided.through;
        while through.next() < last && self.is_signed(number(through.next())).await? {
            through = through.next();
        }
        let through = through.max(self.last_read(node, epoch));
        Ok(StagedRows {
            through: Some(through).filter(|through| *through > Sequence(0)),
            unsigned_through: Some(last),
        })
    }

    /// The last batch of an epoch among those that this node has read and that are undecided; 0
    /// when there is none.
    fn last_read(&self, node: NodeId, epoch: Epoch) -> Sequence {
        let log = self.election.log();
        let read = self.seal_queue.batches().filter(|batch| {
            let number = batch.number();
            (number.node, number.epoch) == (node, epoch) && log.verify_batch(batch).is_ok()
        });
        read.map(|batch| batch.number().sequence).max().unwrap_or(Sequence(0))
    }

    /// Whether the ledger has a batch of this number that its node has signed.
    async fn is_signed(&self, number: BatchNumber) -> Result<bool, EngineError> {
        match self.context.ledger.staged_batch(self.election.law_id(), number).await {
            Ok(stored) => {
                let log = self.election.log();
                Ok(stored.is_some_and(|batch| log.verify_batch(&batch).is_ok()))
            }
            Err(EngineError::Corrupt { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Where an epoch has a row that its node has not signed, counts the batches after the rows
    /// that this node has read. Returns whether staging was read to its end.
    pub(crate) async fn count_unread(
        &self,
        epochs: &mut [EpochProgress],
    ) -> Result<bool, EngineError> {
        if epochs.iter().all(|one| one.unsigned_through.is_none()) {
            return Ok(true);
        }
        let (ledger, law_id) = (&self.context.ledger, self.election.law_id());
        let mut after = self.seal_queue.read_through();
        for _ in 0..UNREAD_PAGES_MAX {
            let read = ledger.read_staging(law_id, after, READ_BATCH_LEN).await?;
            let Some(through) = read.through() else { return Ok(true) };
            self.count_signed(&read.batches, epochs);
            after = through;
        }
        Ok(false)
    }

    /// Counts the batches that their nodes have signed.
    fn count_signed(&self, batches: &[Staged], epochs: &mut [EpochProgress]) {
        let log = self.election.log();
        for Staged { batch, .. } in batches {
            let number = batch.number();
            if log.verify_batch(batch).is_err() {
                continue;
            }
            let of_batch =
                epochs.iter_mut().find(|one| (one.node, one.epoch) == (number.node, number.epoch));
            if let Some(one) = of_batch {
                one.note_observed(number.sequence);
            }
        }
    }

    /// Reports the rows that no node has signed. Where it is not known yet whether a batch is among
    /// the rows to be read, they count as staged.
    pub(crate) async fn review_unsigned(
        &self,
        epochs: &mut [EpochProgress],
    ) -> Result<(), EngineError> {
        let is_known = self.count_unread(epochs).await?;
        for one in epochs {
            let Some(sequence) = one.unsigned_through.filter(|_| !one.is_ended) else { continue };
            if !is_known {
                one.count_unsigned();
            } else if let Some(count) = UNSIGNED.due(Instant::now()) {
                let batch = BatchNumber { node: one.node, epoch: one.epoch, sequence };
                tracing::error!(
                    event = "epoch_row_unsigned",
                    alarm = true,
                    law_id = %self.election.law_id(),
                    %batch,
                    count,
                    "a row of an open epoch is not a batch that its node has signed"
                );
            }
        }
        Ok(())
    }
}
