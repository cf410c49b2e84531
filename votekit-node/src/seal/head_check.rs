//! The head of the ledger, before anything depends on it: that it is certified, and that the ledger
//! still holds the log that this node knows.

use std::sync::Arc;

use votekit_core::batch::Batch;
use votekit_store::retry::until_definite;
use votekit_store::{Head, StagingId};

use crate::authority::AuthorityContext;
use crate::election::Committed;
use crate::error::ElectionFault;
use crate::recovery::check_root;
use crate::recovery::ledger_restore::{
    PutBack, give_epochs_again, put_back, report_fork, stage_again,
};
use crate::seal::seal_queue::SealQueue;
use crate::seal::sealer::Sealer;

impl Sealer {
    /// The verified head, which extends the log in memory. `None` while the ledger lacks certified
    /// blocks that another authority has to put back.
    ///
    /// # Errors
    /// [`ElectionFault`] for a head that does not verify, or is not of this log: it halts the
    /// election on this node alone, and what was certified is still served.
    pub(crate) async fn read_head(&mut self) -> Result<Option<Head>, ElectionFault> {
        let law_id = self.election.law_id().clone();
        let read = || self.context.ledger.head(&law_id);
        let mut head = until_definite("follow_log", read).await?;
        if let Some(authority) = self.context.authority.clone() {
            match put_back(&self.context, &authority, &law_id, head.as_ref()).await? {
                PutBack::NotNeeded => {}
                PutBack::Waits => return Ok(None),
                PutBack::Restored => head = self.take_up_restored(&authority).await?,
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

    /// Begins staging anew if this authority has found the ledger put back since: another authority
    /// may have restored it before the head was looked at.
    pub(crate) async fn take_up_put_back(&mut self) -> Result<(), ElectionFault> {
        let Some(authority) = self.context.authority.clone() else { return Ok(()) };
        if self.put_backs != authority.put_backs() {
            self.take_up_restored(&authority).await?;
        }
        Ok(())
    }

    /// Whether this authority has found the ledger put back since staging was last begun anew. Its
    /// term may be the same.
    pub(crate) fn is_put_back(&self) -> bool {
        let authority = self.context.authority.as_ref();
        authority.is_some_and(|authority| authority.put_backs() != self.put_backs)
    }

    /// Reads staging again after the ledger was put back: its positions begin anew, and what was
    /// staged in the lost part alone is staged again.
    async fn take_up_restored(
        &mut self,
        authority: &Arc<AuthorityContext>,
    ) -> Result<Option<Head>, ElectionFault> {
        self.put_backs = authority.put_backs();
        let law_id = self.election.law_id().clone();
        give_epochs_again(&self.context, authority, &law_id).await?;
        let waiting: Vec<Arc<Batch>> = self.seal_queue.batches().map(Arc::clone).collect();
        stage_again(&self.context, &waiting).await?;
        let read = || self.context.ledger.head(&law_id);
        let head = until_definite("follow_log", read).await?;
        if let Some(head) = &head {
            self.read_staging_again(head);
        }
        authority.note_rows_put_back();
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
            Committed::new(&log, self.node, known.checkpoint.clone(), head.sealed_through)
        };
        self.set_committed(committed);
    }

    fn wait_for_restored(&mut self, head: &Head) {
        let known = self.election.committed();
        if known.sealed_through > head.sealed_through {
            tracing::error!(
                event = "ledger_put_back",
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
