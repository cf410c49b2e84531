//! Endorsement by several authorities, as the leader sees it: proposes its block, takes part in the
//! round about it, and appends it once a quorum has cosigned.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use votekit_authority::round::NotCosigned;
use votekit_core::authority::{LogPoint, TermLeader};
use votekit_core::id::ElectionId;
use votekit_store::retry::until_definite;
use votekit_store::{Head, NewRow, RowKind, RowOutcome};

use crate::authority::AuthorityContext;
use crate::context::NodeContext;
use crate::election::CheckpointSigner;
use crate::error::ElectionFault;
use crate::metrics;
use crate::seal::endorse::{Endorse, Endorsement, ProposedBlock};
use crate::seal::round::{Accepted, Appended, Round, RoundBlock};

/// How long the leader waits for a row before it checks whether the head has moved or its lease is
/// over.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// How long a leader waits for a quorum before it steps down: the leader itself may be cut off from
/// the network.
const QUORUM_TIMEOUT: Duration = Duration::from_secs(15);

/// Heights of blocks in the log whose rows are kept: an authority that is some blocks behind makes
/// the certificates of those blocks from them, and a reader of rows finds the last row that it
/// read.
const HEIGHTS_KEPT: u64 = 16;

/// The endorsement of one election's blocks by a quorum of the authorities.
pub(crate) struct QuorumEndorse {
    round: Round,
    /// The term and the block of the last proposal. The same leadership signs no second block of
    /// one height: the others would treat it as lying.
    proposed: Mutex<Option<(u64, LogPoint)>>,
}

impl QuorumEndorse {
    pub(crate) fn new(
        context: Arc<NodeContext>,
        authority: Arc<AuthorityContext>,
        signer: Arc<CheckpointSigner>,
        law_id: ElectionId,
    ) -> Self {
        let round = Round { context, authority, signer, law_id };
        Self { round, proposed: Mutex::default() }
    }

    /// Records that a block is about to be proposed. Returns whether another block of its height
    /// was proposed in the same term before: the lease had expired, and was acquired again.
    fn has_proposed_other(&self, term: u64, point: LogPoint) -> bool {
        let mut proposed = self.proposed.lock();
        if let Some((before, known)) = *proposed
            && before == term
            && known.height == point.height
            && known != point
        {
            return true;
        }
        *proposed = Some((term, point));
        false
    }

    /// Stores the proposal of a block in the ledger. Returns the present term if this authority no
    /// longer leads in it.
    async fn propose(
        &self,
        block: &RoundBlock,
        leadership: &TermLeader,
    ) -> Result<Option<u64>, ElectionFault> {
        let Round { context, authority, law_id, .. } = &self.round;
        let term = leadership.term;
        if self.has_proposed_other(term, block.point) {
            tracing::warn!(
                event = "own_proposal_not_endorsed",
                %law_id,
                rule = "second-proposal",
                term,
                "another block of this height was proposed in this term, the leader steps down"
            );
            context.leader_lease.step_down();
            return Ok(Some(term));
        }
        let at = context.now().seconds();
        let proposal = block.proposal(law_id, leadership.clone(), at);
        let bytes = authority.key().sign_proposal(&proposal);
        let height = block.point.height;
        let row = authority.row(RowKind::Proposal, Some(law_id), height, term, bytes);
        let row = NewRow { leaves: block.stored.leaves.clone(), ..row };
        Ok(match self.round.put(&row, Some(&authority.holder())).await? {
            RowOutcome::Late { term } => Some(term),
            _ => None,
        })
    }

    /// Whether the round ends without an outcome: this authority signs nothing more, or the ledger
    /// was restored from an older copy since `rollbacks` was read. Then another batch may have the
    /// position in staging that the block names, and the block is settled like a block of an
    /// earlier leader.
    fn is_to_end(&self, rollbacks: u64) -> bool {
        let Round { context, authority, law_id, .. } = &self.round;
        if authority.is_rolled_back() {
            context.leader_lease.step_down();
            return true;
        }
        authority.rollbacks(law_id) != rollbacks
    }

    /// One pass over the round: accepts, cosigns and appends as far as the guards allow.
    async fn step(
        &self,
        block: &RoundBlock,
        leadership: &TermLeader,
    ) -> Result<Step, ElectionFault> {
        let Some(rows) = self.round.rows(block.point.height) else { return Ok(Step::Wait) };
        let own = rows.proposals.iter().find(|row| {
            row.proposal.leadership == *leadership && row.proposal.point == block.point
        });
        let has_accepted = self.round.authority.with_state(|state| {
            let election = state.elections.get(&self.round.law_id);
            election.and_then(|election| election.accepted).is_some_and(|accepted| {
                accepted.term == leadership.term && accepted.point == block.point
            })
        });
        if let Some(own) = own
            && !has_accepted
        {
            match self.round.accept(block, &own.proposal, &rows).await? {
                Accepted::Stored => {}
                Accepted::Late { term } => return Ok(Step::Lost { term }),
                Accepted::Forbidden { rule } => return Ok(Step::Forbidden { rule }),
            }
        }
        match self.round.cosign(block, &rows).await? {
            Ok(()) => {}
            Err(NotCosigned::TooFewAccepts { .. }) => return Ok(Step::Wait),
            Err(forbidden) => return Ok(Step::Forbidden { rule: forbidden.rule() }),
        }
        // The own line is on the board by now.
        let Some(rows) = self.round.rows(block.point.height) else { return Ok(Step::Wait) };
        Ok(match self.round.append(block, &rows, leadership.term).await? {
            Some(Appended::Head(head)) => Step::Moved(head),
            // The ledger was restored from a copy that is older than this election: following
            // restores the log.
            Some(Appended::Missing) => Step::Lost { term: leadership.term },
            None => Step::Wait,
        })
    }
}

/// The outcome of one pass over a round.
enum Step {
    Wait,
    Moved(Head),
    Lost { term: u64 },
    Forbidden { rule: &'static str },
}

#[async_trait]
impl Endorse for QuorumEndorse {
    async fn endorse(&self, proposed: ProposedBlock) -> Result<Endorsement, ElectionFault> {
        let ProposedBlock { block, batches, term, sealed_through, takes_votes, .. } = proposed;
        let Round { context, authority, law_id, .. } = &self.round;
        let _open = authority.open_round();
        let block = RoundBlock::new(block, batches, takes_votes, sealed_through);
        let leadership = TermLeader { term, leader: authority.name.clone() };
        let began = Instant::now();
        let rollbacks = authority.rollbacks(law_id);
        let mut changes = authority.board.changes(law_id);
        let mut next_check = Instant::now() + POLL_INTERVAL;
        if self.is_to_end(rollbacks) {
            return Ok(Endorsement::LeadershipLost { term });
        }
        if let Some(term) = self.propose(&block, &leadership).await? {
            return Ok(Endorsement::LeadershipLost { term });
        }
        loop {
            changes.mark_unchanged();
            if self.is_to_end(rollbacks) {
                return Ok(Endorsement::LeadershipLost { term });
            }
            match self.step(&block, &leadership).await? {
                Step::Moved(head) => return self.moved(block, head).await,
                Step::Lost { term } => return Ok(Endorsement::LeadershipLost { term }),
                Step::Forbidden { rule } => {
                    tracing::warn!(
                        event = "own_proposal_not_endorsed",
                        %law_id,
                        rule,
                        term,
                        "this leader may not accept or cosign its own proposal"
                    );
                    context.leader_lease.step_down();
                    return Ok(Endorsement::LeadershipLost { term });
                }
                Step::Wait => {}
            }
            let _ = tokio::time::timeout(POLL_INTERVAL, changes.changed()).await;
            // Checked by time, not only when no row arrives: once another authority leads, rows of
            // later heights arrive continuously, and none of them is about this block.
            if Instant::now() < next_check {
                continue;
            }
            next_check = Instant::now() + POLL_INTERVAL;
            // Another authority may have appended the block, or a later leader another block.
            let head = until_definite("read_head", || context.ledger.head(law_id)).await?;
            if let Some(head) = head.filter(|head| head.height >= block.point.height) {
                return self.moved(block, head).await;
            }
            match context.leader_lease.term() {
                Some(now) if now == term => {}
                now => return Ok(Endorsement::LeadershipLost { term: now.unwrap_or(term) }),
            }
            if began.elapsed() > QUORUM_TIMEOUT {
                tracing::warn!(
                    event = "round_without_quorum",
                    %law_id,
                    height = block.point.height,
                    "no quorum endorsed the block in time, the leader steps down"
                );
                context.leader_lease.step_down();
                return Ok(Endorsement::LeadershipLost { term });
            }
        }
    }
}

impl QuorumEndorse {
    /// The head has reached the height of the block: checks whether it is this block.
    async fn moved(&self, block: RoundBlock, head: Head) -> Result<Endorsement, ElectionFault> {
        if head.height > block.point.height
            || head.root != block.point.root
            || head.size != block.point.size
        {
            // A later block may build on this block: following decides that.
            return Ok(Endorsement::Superseded { by: head });
        }
        let policy = &self.round.signer.policy;
        policy.verify_strict_by_authorities(&head.checkpoint).map_err(|error| {
            ElectionFault::damaged(format!("the head's checkpoint does not verify: {error}"))
        })?;
        self.round.record_certified(&block, head.checkpoint.clone()).await?;
        metrics::round_certified();
        let (law_id, height) = (&self.round.law_id, block.point.height);
        let ledger = &self.round.context.ledger;
        let through = height.saturating_sub(HEIGHTS_KEPT);
        if let Err(error) = ledger.remove_rows(law_id, through).await {
            // The removal of the rows of the next height includes them.
            tracing::debug!(event = "round_rows_not_removed", %law_id, %error, "rows not removed");
        }
        Ok(Endorsement::Certified(head))
    }
}
