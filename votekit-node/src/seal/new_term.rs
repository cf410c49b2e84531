//! The first work of a new leader: to settle, for each election, the block that may have been
//! agreed under its predecessors.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_authority::round::{Choice, RoundView, choose};
use votekit_core::authority::{AcceptedBlock, LogPoint, TermLeader};
use votekit_core::batch::Batch;
use votekit_core::election::State;
use votekit_core::election_log::{Proposal, batches_of_block};
use votekit_core::id::BatchNumber;

use votekit_store::retry::until_definite;

use crate::authority::{AuthorityContext, ProposalRow};
use crate::election::LEASE_LENGTH;
use crate::error::ElectionFault;
use crate::recovery::READ_BATCH_LEN;
use crate::recovery::ledger_restore::stage_again;
use crate::roll_store::Rolls;
use crate::seal::acceptor::make_again;
use crate::seal::made_block::RoundInputs;
use crate::seal::proposals::NotMade;
use crate::seal::sealer::Sealer;

/// The pause between two polls for a certified block that the ledger lacks, or for a missing input
/// of a block.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The interval between checks whether leases were left stopped. Each check is a query, for each
/// open poll.
const REGRANT_INTERVAL: Duration = Duration::from_secs(10);

/// How long a new leader waits for these before it steps down for another authority.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether a block could be proposed again.
enum Again {
    /// The block, or another block of its height, is in the log now.
    Moved,
    /// This authority makes other bytes, or has none: it may be passed over.
    Unusable,
    /// An input is missing.
    Wait,
}

impl Sealer {
    /// Proposes the block again that may have been agreed. Returns whether this leader may propose
    /// its own blocks now.
    pub(crate) async fn settle_term(&mut self, term: u64) -> Result<bool, ElectionFault> {
        let Some(authority) = self.context.authority.clone() else { return Ok(true) };
        let leadership = TermLeader { term, leader: authority.name.clone() };
        let began = Instant::now();
        let mut excluded: Vec<LogPoint> = Vec::new();
        while self.context.leader_lease.term() == Some(term) {
            let head = self.log_point();
            let rows = authority.board.rows(self.election.law_id(), head.height + 1);
            let view = rows.map_or_else(|| RoundView::new(head.height + 1), |rows| rows.view);
            let votes = authority.board.votes(&leadership);
            let law_id = self.election.law_id();
            match choose(authority.quorum(), &votes, law_id, &head, &view, &excluded) {
                Choice::Free => {
                    self.grant_leases_again().await?;
                    return Ok(true);
                }
                Choice::StepDown => break,
                Choice::Behind { certified } => {
                    tracing::warn!(
                        event = "ledger_lacks_certified_block",
                        law_id = %self.election.law_id(),
                        certified = certified.height,
                        head = head.height,
                        "the ledger lacks a block that a quorum has certified"
                    );
                    tokio::time::sleep(POLL_INTERVAL).await;
                    self.follow().await?;
                }
                Choice::Again(accepted) => {
                    match self.propose_again(&authority, &leadership, &accepted).await? {
                        Again::Moved => self.follow().await?,
                        Again::Unusable => excluded.push(accepted.point),
                        Again::Wait => {
                            tokio::time::sleep(POLL_INTERVAL).await;
                            self.follow().await?;
                        }
                    }
                }
            }
            if began.elapsed() > SETTLE_TIMEOUT {
                break;
            }
        }
        if self.context.leader_lease.term() == Some(term) {
            tracing::warn!(
                event = "term_not_settled",
                law_id = %self.election.law_id(),
                term,
                "this leader cannot settle what was accepted before it, and steps down"
            );
            self.context.leader_lease.step_down();
        }
        Ok(false)
    }

    /// Allows leases again after an earlier leader stopped them for a closing that was not agreed.
    async fn grant_leases_again(&self) -> Result<(), ElectionFault> {
        if self.state() == State::Open {
            let (ledger, law_id) = (&self.context.ledger, self.election.law_id());
            until_definite("grant_leases", || ledger.set_takes_votes(law_id, true)).await?;
        }
        Ok(())
    }

    /// Grants leases again that a close has left stopped: it gave up when the ledger did not
    /// answer, or a leader stopped them after its term had ended. Neither lets a new term begin,
    /// and a poll without votes makes no block.
    pub(crate) async fn regrant_stopped_leases(&self, last_check: &mut Instant) {
        let is_needed = self.context.authority.is_some() && self.state() == State::Open;
        if !is_needed || last_check.elapsed() < REGRANT_INTERVAL {
            return;
        }
        *last_check = Instant::now();
        let (ledger, law_id) = (&self.context.ledger, self.election.law_id());
        // A ledger that was rolled back grants no leases until it is restored.
        let height = self.election.committed().height;
        let is_stopped = match ledger.head(law_id).await {
            Ok(head) => head.is_some_and(|head| head.height == height && !head.takes_votes),
            Err(_) => false,
        };
        // Tried once: this node may cease to lead while it retries. The next check tries again.
        if is_stopped && ledger.set_takes_votes(law_id, true).await.is_ok() {
            tracing::warn!(
                event = "leases_granted_again",
                %law_id,
                height,
                "leases were stopped in an open poll, granted again"
            );
        }
    }

    /// Stops leases before a closing is proposed again, and waits until the last one has expired.
    /// An earlier leader has done so, but if the ledger was restored from an older copy since, it
    /// may have granted leases again.
    async fn hold_leases_back(&self) -> Result<(), ElectionFault> {
        let (ledger, law_id) = (&self.context.ledger, self.election.law_id());
        until_definite("grant_leases", || ledger.set_takes_votes(law_id, false)).await?;
        let until = Instant::now() + LEASE_LENGTH;
        while Instant::now() < until
            && !until_definite("grant_leases", || ledger.leases(law_id)).await?.is_empty()
        {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// The end of the log as this node has applied it.
    pub(crate) fn log_point(&self) -> LogPoint {
        let log = self.election.log();
        LogPoint { height: log.height(), size: log.tree().size(), root: log.root() }
    }

    async fn propose_again(
        &mut self,
        authority: &Arc<AuthorityContext>,
        leadership: &TermLeader,
        accepted: &AcceptedBlock,
    ) -> Result<Again, ElectionFault> {
        let height = accepted.point.height;
        let rows = authority.board.rows(self.election.law_id(), height);
        let known = rows.and_then(|rows| {
            let is_it =
                |row: &&ProposalRow| row.proposal.point == accepted.point && row.has_block();
            Some(rows.proposals.iter().find(is_it)?.leaves.to_vec())
        });
        let leaves = match known {
            Some(leaves) => leaves,
            None => {
                let law_id = self.election.law_id().clone();
                let kept = authority.durable(move |memory| memory.block(&law_id, height)).await?;
                match kept {
                    Some(kept) => kept.block.leaves,
                    None => return Ok(Again::Unusable),
                }
            }
        };
        let (made, batches) = self.make_from_leaves(leaves).await?;
        let proposal = match made {
            Ok(proposal) => proposal,
            Err(NotMade::Refused { leaf, rule, .. }) => {
                tracing::error!(
                    event = "accepted_block_refused",
                    alarm = true,
                    law_id = %self.election.law_id(),
                    height,
                    leaf,
                    rule,
                    "a block that another authority accepted differs from the one of this authority"
                );
                return Ok(Again::Unusable);
            }
            Err(NotMade::Later { .. }) => {
                self.stage_accepted_again(authority, &accepted.point).await?;
                return Ok(Again::Wait);
            }
        };
        if proposal.block.root != accepted.point.root {
            return Ok(Again::Unusable);
        }
        let numbers: Vec<BatchNumber> = batches.iter().map(|batch| batch.number()).collect();
        let sealed_through = self.seal_queue.sealed_through_numbers(&numbers);
        let inputs = RoundInputs { batches, sealed_through, term: leadership.term };
        let entries = proposal.block.entries.clone();
        if self.state() == State::Open && proposal.effect.state() != State::Open {
            self.hold_leases_back().await?;
        }
        self.endorse_and_apply(proposal, inputs, None).await?;
        self.resolve_with(&numbers, &entries);
        Ok(Again::Moved)
    }

    /// Stages the batches of a block that this authority accepted again: a ledger that was restored
    /// from an older copy may have lost them without losing a block, and after a restart only the
    /// memory has them.
    async fn stage_accepted_again(
        &self,
        authority: &AuthorityContext,
        point: &LogPoint,
    ) -> Result<(), ElectionFault> {
        let (law_id, height) = (self.election.law_id().clone(), point.height);
        let kept = authority.durable(move |memory| memory.block(&law_id, height)).await?;
        match kept.filter(|kept| kept.point == *point) {
            Some(kept) => stage_again(&self.context, &kept.batches).await,
            None => Ok(()),
        }
    }

    /// Makes a block again from its leaves and this authority's own inputs. Returns the batches
    /// that it decides too.
    pub(crate) async fn make_from_leaves(
        &mut self,
        leaves: Vec<u8>,
    ) -> Result<(Result<Proposal, NotMade>, Vec<Arc<Batch>>), ElectionFault> {
        let numbers: Vec<BatchNumber> = batches_of_block(&leaves).collect();
        while self.state() <= State::Closing
            && numbers.iter().any(|number| self.seal_queue.batch(number).is_none())
            && self.read_seal_queue_on(READ_BATCH_LEN).await?
        {}
        let batches: HashMap<BatchNumber, Arc<Batch>> = numbers
            .iter()
            .filter_map(|number| Some((*number, Arc::clone(self.seal_queue.batch(number)?))))
            .collect();
        let ordered: Vec<Arc<Batch>> =
            numbers.iter().filter_map(|number| batches.get(number).map(Arc::clone)).collect();
        let context = Arc::clone(&self.context);
        let made = self
            .blocking(move |election| {
                let rolls = Rolls::new(&context.folder, election.law_id());
                make_again(election, &leaves, &batches, &rolls)
            })
            .await?;
        Ok((made, ordered))
    }
}
