//! Checks, on a follower, whether the leader seals the staged batches. Also keeps the durable marks
//! of the batches that were seen in staging, so that an authority knows them after their rows are
//! removed.

use std::sync::Arc;

use votekit_core::authority::{SuspectReason, TermLeader};
use votekit_core::batch::Batch;
use votekit_core::election::State;
use votekit_core::id::{BatchNumber, Digest};
use votekit_store::Staged;

use crate::authority::AuthorityContext;
use crate::error::ElectionFault;
use crate::seal::own_statements::suspicion;
use crate::seal::sealer::Sealer;

impl Sealer {
    /// Asks for another leader if the present leader does not seal a batch that could be sealed, or
    /// leaves a round open.
    pub(crate) async fn watch_leader(&mut self) -> Result<(), ElectionFault> {
        let Some(authority) = self.context.authority.clone() else { return Ok(()) };
        let Some(leadership) = authority.promise() else { return Ok(()) };
        if authority.is_rolled_back()
            || leadership.leader == authority.name
            || self.context.leader_lease.other_leader().is_none()
            || !matches!(self.state(), State::Open | State::Closing)
        {
            return Ok(());
        }
        let law_id = self.election.law_id();
        let height = self.election.committed().height;
        // An open round is not evidence against its leader for a while: a quorum may be missing.
        let rows = authority.board.rows(law_id, height + 1);
        let is_proposed = rows.is_some_and(|rows| {
            rows.proposals.iter().any(|row| row.proposal.leadership == leadership)
        });
        // The block may be in the log, and this node has not read it yet.
        let is_behind = self.election.position().height > height;
        if is_proposed && !is_behind {
            return match self.leader_watch.note_round(leadership.clone(), height) {
                Some(reason) => self.suspect_of_open_round(&authority, &leadership, reason).await,
                None => Ok(()),
            };
        }
        let due = match is_proposed || self.seal_queue.is_empty() {
            true => None,
            false => self.seal_queue.first_due(&self.election.log(), self.context.now().0),
        };
        let Some(reason) = self.leader_watch.note(due, leadership.clone(), height) else {
            return Ok(());
        };
        tracing::error!(
            event = "batch_left_out",
            alarm = true,
            law_id = %self.election.law_id(),
            batch = due.map(|number| number.to_string()),
            leader = %leadership.leader,
            term = leadership.term,
            reason = %reason,
            "the leader does not seal a batch that could be sealed"
        );
        self.suspect(&authority, &leadership, reason).await
    }

    async fn suspect_of_open_round(
        &self,
        authority: &Arc<AuthorityContext>,
        leadership: &TermLeader,
        reason: SuspectReason,
    ) -> Result<(), ElectionFault> {
        tracing::error!(
            event = "round_left_open",
            alarm = true,
            law_id = %self.election.law_id(),
            leader = %leadership.leader,
            term = leadership.term,
            "the leader's block finds no quorum, and the leader does not step down"
        );
        self.suspect(authority, leadership, reason).await
    }

    /// Asks for another leader: the suspicion is durable before the ledger has it.
    pub(crate) async fn suspect(
        &self,
        authority: &Arc<AuthorityContext>,
        leadership: &TermLeader,
        reason: SuspectReason,
    ) -> Result<(), ElectionFault> {
        if authority.is_rolled_back() {
            return Ok(());
        }
        let row = suspicion(&self.context, authority, leadership, reason).await?;
        self.round(authority).put(&row, None).await.map(|_| ())
    }

    /// Makes durable which batches were seen in staging: those that an admitted node has signed for
    /// an epoch that has not ended. Any other batch is void.
    pub(crate) async fn record_observed(&self, staged: &[Staged]) -> Result<(), ElectionFault> {
        let Some(authority) = &self.context.authority else { return Ok(()) };
        if staged.is_empty() {
            return Ok(());
        }
        let election = Arc::clone(&self.election);
        let batches: Vec<Arc<Batch>> =
            staged.iter().map(|staged| Arc::clone(&staged.batch)).collect();
        authority
            .durable(move |memory| {
                let seen: Vec<(BatchNumber, Digest)> = {
                    let log = election.log();
                    let epochs = log.decisions().epochs();
                    let counts = |batch: &&Arc<Batch>| {
                        let number = batch.number();
                        !epochs.progress(number.node, number.epoch).ended
                            && log.verify_batch(batch).is_ok()
                    };
                    batches.iter().filter(counts).map(|one| (one.number(), one.digest())).collect()
                };
                memory.record_observed(election.law_id(), &seen)
            })
            .await
            .map(|_| ())
    }
}
