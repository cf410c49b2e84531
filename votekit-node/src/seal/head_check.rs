//! The head of the ledger and the end of staging, before anything depends on them: that the head is
//! certified, and that the ledger still holds the log and the staged batches that this node knows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_core::batch::Batch;
use votekit_core::election::State;
use votekit_store::retry::until_definite;
use votekit_store::{Head, StagingId};

use crate::authority::AuthorityContext;
use crate::election::Committed;
use crate::error::ElectionFault;
use crate::recovery::check_root;
use crate::recovery::ledger_restore::{
    LedgerRestore, give_epochs_again, report_fork, restore_ledger,
};
use crate::recovery::restaging::stage_above;
use crate::seal::seal_queue::{SealQueue, StagingMark, report_lost_staging};
use crate::seal::sealer::Sealer;

/// Interval between polls of staging that ends below what was read.
const STAGING_POLL_INTERVAL: Duration = Duration::from_secs(1);

impl Sealer {
    /// The verified head, which extends the log in memory. `None` while the ledger lacks certified
    /// blocks that another authority has to append again.
    ///
    /// # Errors
    /// [`ElectionFault`] for a head that does not verify, or is not of this log: it halts the
    /// election on this node only, and what was certified is still served.
    pub(crate) async fn read_head(&mut self) -> Result<Option<Head>, ElectionFault> {
        let law_id = self.election.law_id().clone();
        let read = || self.context.ledger.head(&law_id);
        let mut head = until_definite("follow_log", read).await?;
        if let Some(authority) = self.context.authority.clone() {
            match restore_ledger(&self.context, &authority, &law_id, head.as_ref()).await? {
                LedgerRestore::NotNeeded => {}
                LedgerRestore::Waits => return Ok(None),
                LedgerRestore::Restored => head = self.take_up_restored(&authority).await?,
            }
        }
        let head = head.ok_or_else(|| ElectionFault::damaged("the log has lost its head"))?;
        self.verify_head(&head)?;
        // A node without a memory of its own waits until the authorities have put the ledger back.
        if self.context.authorities.is_some()
            && self.context.authority.is_none()
            && head.height < self.election.committed().height
        {
            self.wait_for_restored(&head);
            return Ok(None);
        }
        self.election
            .committed()
            .check_extends(&head)
            .map_err(|rule| {
                let rule = format!("{law_id} was restored from an older copy: {rule}");
                ElectionFault::damaged(rule)
            })
            .inspect_err(|error| report_fork(&self.context, &law_id, error))?;
        Ok(Some(head))
    }

    /// Verifies a head whose checkpoint is not the one that was verified last.
    fn verify_head(&self, head: &Head) -> Result<(), ElectionFault> {
        let committed = self.election.committed();
        if head.checkpoint == committed.checkpoint && head.size == committed.size() {
            return Ok(());
        }
        let law_id = self.election.law_id();
        let halted = |rule: String| {
            tracing::error!(
                event = "head_not_verified",
                alarm = true,
                %law_id,
                height = head.height,
                size = head.size,
                rule,
                "the head of the log does not verify"
            );
            ElectionFault::damaged(format!("the head of {law_id} in the ledger: {rule}"))
        };
        let policy = &self.election.signer.policy;
        policy
            .verify_strict_by_authorities(&head.checkpoint)
            .map_err(|error| halted(error.to_string()))?;
        check_root(head.size, &head.root, &head.checkpoint).map_err(|rule| halted(rule.to_owned()))
    }

    /// Begins staging anew if this authority has found the ledger rolled back since: another
    /// authority may have restored it before this node read the head.
    pub(crate) async fn handle_rollback(&mut self) -> Result<(), ElectionFault> {
        let Some(authority) = self.context.authority.clone() else { return Ok(()) };
        if self.rollbacks != authority.rollbacks(self.election.law_id()) {
            self.take_up_restored(&authority).await?;
        }
        Ok(())
    }

    /// Whether this authority has found the ledger rolled back since staging was last begun anew.
    /// Its term may be the same.
    pub(crate) fn is_rolled_back(&self) -> bool {
        let (authority, law_id) = (self.context.authority.as_ref(), self.election.law_id());
        authority.is_some_and(|authority| authority.rollbacks(law_id) != self.rollbacks)
    }

    /// Whether staging ends elsewhere than where it was read to. A lower end is polled once a
    /// second: the watch over all logs may be behind, or the ledger was rolled back.
    pub(crate) fn has_unread(&mut self, staged: StagingId) -> bool {
        let read = self.seal_queue.read_through();
        let is_lower = staged < read
            && matches!(self.state(), State::Open | State::Closing)
            && Instant::now() >= self.next_staging_poll;
        if is_lower {
            self.next_staging_poll = Instant::now() + STAGING_POLL_INTERVAL;
        }
        staged > read || is_lower
    }

    /// Whether the ledger still has the last batch that was read of staging where it was. To be
    /// asked after a read: one that the ledger answered before it was rolled back is found too.
    ///
    /// Rows of rounds and heads show most rollbacks. This one shows those that lost staged batches
    /// alone, and those that an authority restored before this node read the head: a node without a
    /// memory of its own would never know.
    pub(crate) async fn has_last_read(&mut self, last: StagingMark) -> Result<bool, ElectionFault> {
        if !self.context.is_shared || last.id == StagingId(0) {
            return Ok(true);
        }
        let (ledger, law_id) = (&self.context.ledger, self.election.law_id());
        let found = until_definite("read_staging", || ledger.batch_at(law_id, last.id)).await?;
        match last.batch {
            Some(known) => Ok(found == Some(known)),
            None => {
                if let Some(found) = found {
                    self.seal_queue.note_first(found);
                }
                Ok(true)
            }
        }
    }

    /// Begins staging anew after a batch was not where it was: the ledger was rolled back.
    pub(crate) async fn take_up_lost_staging(&mut self) -> Result<(), ElectionFault> {
        report_lost_staging(self.election.law_id(), self.seal_queue.last());
        match self.context.authority.clone() {
            Some(authority) => self.take_up_restored(&authority).await?,
            None => self.begin_staging_anew().await?,
        };
        Ok(())
    }

    /// Reads staging again after the ledger was rolled back, and sees to it that other rows are
    /// too.
    async fn take_up_restored(
        &mut self,
        authority: &Arc<AuthorityContext>,
    ) -> Result<Option<Head>, ElectionFault> {
        let law_id = self.election.law_id().clone();
        self.rollbacks = authority.rollbacks(&law_id);
        give_epochs_again(&self.context, authority, &law_id).await?;
        let head = self.begin_staging_anew().await?;
        authority.note_rows_rolled_back();
        Ok(head)
    }

    /// Reads staging again: its positions begin anew, and what was staged in the lost part alone is
    /// staged again.
    pub(crate) async fn begin_staging_anew(&mut self) -> Result<Option<Head>, ElectionFault> {
        let waiting: Vec<Arc<Batch>> = self.seal_queue.batches().map(Arc::clone).collect();
        let is_purged = self.election.log().is_purged();
        let (ledger, law_id) = (&self.context.ledger, self.election.law_id());
        let read = || ledger.head(law_id);
        // After a purge none is stored again: those that wait are void.
        if let Some(head) = until_definite("follow_log", read).await?.filter(|_| !is_purged) {
            // Blocks that this node has not read yet may have decided any of the batches: then no
            // row is moved.
            let committed = self.election.committed();
            let is_behind = head.height > committed.height;
            let above = if is_behind { StagingId(0) } else { head.sealed_through };
            let after = committed.sealed_through.min(head.sealed_through);
            stage_above(&self.context, &self.election, waiting, after, above).await?;
        }
        let head = until_definite("follow_log", read).await?;
        if let Some(head) = &head {
            self.read_staging_again(head);
        }
        Ok(head)
    }

    fn read_staging_again(&mut self, head: &Head) {
        // Blocks that this node has not read yet were made of batches at new positions, which may
        // be anywhere: without them, their evidence would be taken for missing.
        let is_behind = head.height > self.election.committed().height;
        let after = if is_behind { StagingId(0) } else { head.sealed_through };
        self.seal_queue = SealQueue::new(after);
        // A block that is made names a position in staging too: it is made again.
        self.acceptor.made = None;
        let committed = {
            let log = self.election.log();
            let known = self.election.committed();
            // Blocks that this node has not read may have sealed any position: a batch below one
            // would be taken for hidden, and its row moved.
            let sealed_through = if is_behind { StagingId(0) } else { head.sealed_through };
            Committed::new(&log, self.node, known.checkpoint.clone(), sealed_through)
        };
        self.set_committed(committed);
    }

    fn wait_for_restored(&mut self, head: &Head) {
        let known = self.election.committed();
        if known.sealed_through > head.sealed_through {
            tracing::error!(
                event = "ledger_rolled_back",
                alarm = true,
                law_id = %self.election.law_id(),
                height = head.height,
                known = known.height,
                "the ledger lacks blocks that this node has read, it waits for the authorities"
            );
        }
        // Once is enough: the positions in staging begin anew.
        self.read_staging_again(head);
    }
}
