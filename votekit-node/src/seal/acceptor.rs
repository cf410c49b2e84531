//! A follower's part in the rounds of an election: makes the proposed block itself, compares the
//! bytes, and accepts, cosigns and appends it.
//!
//! An authority never cosigns a block that it merely read: it makes the block itself from its own
//! batches, rolls and keys. A block that differs is refused with its first differing leaf.

use std::collections::HashMap;
use std::sync::Arc;

use votekit_core::authority::{
    BlockProposal, LogPoint, Refuse, StatementBody, SuspectReason, TermLeader,
};
use votekit_core::ballot::BallotSecretKey;
use votekit_core::batch::Batch;
use votekit_core::election::State;
use votekit_core::election_log::{CheckError, Proposal, Refusal};
use votekit_core::id::{BatchNumber, Digest};
use votekit_store::{Head, RowKind, StoredBlock};

use crate::audit::{AuditEvent, AuditFields};
use crate::authority::{AuthorityContext, ProposalRow};
use crate::election::ElectionHandle;
use crate::error::ElectionFault;
use crate::metrics;
use crate::recovery::{BlockSource, check_root};
use crate::roll_store::Rolls;
use crate::seal::proposals::{Made, NotMade};
use crate::seal::round::{APPEND_DELAY, Accepted, Round, RoundBlock};
use crate::seal::sealer::Sealer;

/// The rule of a proposal in a term in which this authority voted for another leader.
const NOT_LEADER_OF_TERM: &str = "not-leader-of-term";

/// The rule of another block of one height under one leadership.
const SECOND_PROPOSAL: &str = "second-proposal";

/// A refusal: the first leaf that differs, and the rule that it breaks.
struct Refused {
    leaf: u64,
    rule: String,
    own: Option<Vec<u8>>,
    theirs: Option<Vec<u8>>,
}

impl Sealer {
    /// Checks the proposals of the next height, and takes part in their round. Called while this
    /// authority follows.
    pub(crate) async fn take_part(&mut self) -> Result<(), ElectionFault> {
        let Some(authority) = self.context.authority.clone() else { return Ok(()) };
        if authority.is_rolled_back() {
            return Ok(());
        }
        let height = self.election.committed().height + 1;
        let Some(rows) = authority.board.rows(self.election.law_id(), height) else {
            return Ok(());
        };
        let round = self.round(&authority);
        // Of a leader's proposals at one height the first counts: otherwise authorities that read
        // two proposals in different orders could wait for each other forever.
        let mut first: Vec<&ProposalRow> = Vec::new();
        for row in &rows.proposals {
            let leadership = &row.proposal.leadership;
            let before = first.iter().find(|known| known.proposal.leadership == *leadership);
            match before.copied() {
                None if has_led(&authority, leadership) => first.push(row),
                None => self.refuse_leader(&authority, &row.proposal, NOT_LEADER_OF_TERM).await?,
                Some(known) if known.proposal.digest != row.proposal.digest => {
                    self.refuse_leader(&authority, &row.proposal, SECOND_PROPOSAL).await?;
                }
                Some(_) => {}
            }
        }
        // The proposal of the promised leadership comes first: proposals that were stored after it,
        // under a past term, must not delay it.
        let promise = authority.promise();
        first.sort_by_key(|row| promise.as_ref() == Some(&row.proposal.leadership));
        for row in first.into_iter().rev().filter(|row| row.has_block()) {
            let is_promised = authority.promise().as_ref() == Some(&row.proposal.leadership);
            // A proposal of another leadership is not accepted here: it matters only once a quorum
            // has accepted it. A lying authority can sign any number of them.
            if !is_promised && rows.view.count_accepts(&row.proposal.point) < authority.set.quorum()
            {
                continue;
            }
            let is_known = self.acceptor.made.as_ref().is_some_and(|made| {
                made.digest == row.proposal.digest && made.block.point == row.proposal.point
            });
            if !is_known && !self.make(&authority, row, is_promised).await? {
                continue;
            }
            if is_promised && !self.accept_made(&round, &authority, row).await? {
                continue;
            }
            break;
        }
        self.cosign_made(&round, height).await
    }

    /// The round of this election.
    pub(crate) fn round(&self, authority: &Arc<AuthorityContext>) -> Round {
        Round {
            context: Arc::clone(&self.context),
            authority: Arc::clone(authority),
            signer: Arc::clone(&self.election.signer),
            law_id: self.election.law_id().clone(),
        }
    }

    /// Accepts the block made, once the guards of events allow it. Returns whether the round may
    /// continue.
    async fn accept_made(
        &mut self,
        round: &Round,
        authority: &Arc<AuthorityContext>,
        row: &ProposalRow,
    ) -> Result<bool, ElectionFault> {
        let term = row.proposal.leadership.term;
        let Some(made) = &self.acceptor.made else { return Ok(false) };
        let has_accepted = authority.with_state(|state| {
            let election = state.elections.get(self.election.law_id());
            election
                .and_then(|election| election.accepted)
                .is_some_and(|accepted| accepted.term == term && accepted.point == made.block.point)
        });
        if has_accepted {
            return Ok(true);
        }
        if self.acceptor.has_refused(&row.proposal) {
            return Ok(false);
        }
        let block = made.block.clone();
        match self.check_events(authority, row, &block).await {
            Ok(()) => self.acceptor.forbidden = None,
            Err(NotMade::Later { what, rule }) => {
                self.acceptor.forbidden = rule.map(|rule| (row.proposal.digest, rule.to_owned()));
                self.report_waiting(block.point.height, &what);
                return Ok(false);
            }
            Err(NotMade::Refused { leaf, rule, own, theirs }) => {
                self.acceptor.forbidden = Some((row.proposal.digest, rule.clone()));
                self.refuse(authority, &row.proposal, Refused { leaf, rule, own, theirs }).await?;
                return Ok(false);
            }
        }
        // Read again: accepts of another block may have arrived during the wait above.
        let Some(rows) = round.rows(block.point.height) else { return Ok(false) };
        match round.accept(&block, &row.proposal, &rows).await? {
            Accepted::Stored => Ok(true),
            Accepted::Late { .. } => Ok(false),
            Accepted::Forbidden { rule } => {
                tracing::debug!(
                    event = "proposal_forbidden",
                    law_id = %self.election.law_id(),
                    height = block.point.height,
                    term,
                    rule,
                    "a guard forbids accepting the proposal"
                );
                Ok(false)
            }
        }
    }

    /// Cosigns the block made once a quorum has accepted it, and appends it if the leader does not.
    async fn cosign_made(&mut self, round: &Round, height: u64) -> Result<(), ElectionFault> {
        let Some(made) = &self.acceptor.made else { return Ok(()) };
        if made.block.point.height != height {
            return Ok(());
        }
        let block = made.block.clone();
        let Some(rows) = round.rows(height) else { return Ok(()) };
        if let Err(not_cosigned) = round.cosign(&block, &rows).await? {
            tracing::trace!(
                event = "block_not_cosigned",
                law_id = %self.election.law_id(),
                height,
                rule = not_cosigned.rule(),
                "block not cosigned yet"
            );
            return Ok(());
        }
        let Some(rows) = round.rows(height) else { return Ok(()) };
        let lines = round.valid_lines(&block, &rows).len();
        if lines >= round.authority.set.quorum()
            && self.acceptor.quorum_seen.elapsed(block.point) >= APPEND_DELAY
        {
            let fence = round.authority.promise().map_or(0, |promise| promise.term);
            round.append(&block, &rows, fence).await?;
        }
        Ok(())
    }

    /// Makes the proposed block from this authority's own inputs, and compares the bytes, once for
    /// each proposal whose inputs are available. Returns whether it is made. Only a proposal of the
    /// promised leadership is refused by a statement.
    async fn make(
        &mut self,
        authority: &Arc<AuthorityContext>,
        row: &ProposalRow,
        is_promised: bool,
    ) -> Result<bool, ElectionFault> {
        let proposal = &row.proposal;
        if self.acceptor.has_refused(proposal)
            || (!is_promised && self.acceptor.differs(proposal))
            || proposal.first_leaf != self.election.log().tree().size()
        {
            return Ok(false);
        }
        let (made, batches) = self.make_from_leaves(row.leaves.to_vec()).await?;
        let refused = match made {
            Ok(made) => {
                let takes_votes = made.effect.state() == State::Open;
                let is_same = made.block.root == proposal.point.root
                    && made.block.size_after() == proposal.point.size
                    && takes_votes == proposal.takes_votes;
                if is_same {
                    self.keep_made(made, batches, proposal.digest);
                    return Ok(true);
                }
                let leaf = proposal.point.size.saturating_sub(1);
                NotMade::Refused { leaf, rule: "proposal-differs".into(), own: None, theirs: None }
            }
            Err(not_made) => not_made,
        };
        match refused {
            NotMade::Later { what, .. } => self.report_waiting(proposal.point.height, &what),
            NotMade::Refused { leaf, rule, own, theirs } if is_promised => {
                self.refuse(authority, proposal, Refused { leaf, rule, own, theirs }).await?;
            }
            NotMade::Refused { .. } => self.acceptor.note_differing(proposal),
        }
        Ok(false)
    }

    /// Reports what the decision on a proposal waits for.
    fn report_waiting(&self, height: u64, what: &str) {
        tracing::debug!(
            event = "proposal_waits",
            law_id = %self.election.law_id(),
            height,
            what,
            "proposal not decided yet"
        );
    }

    fn keep_made(&mut self, made: Proposal, batches: Vec<Arc<Batch>>, digest: Digest) {
        let numbers: Vec<BatchNumber> = batches.iter().map(|batch| batch.number()).collect();
        let sealed_through = self.seal_queue.sealed_through_numbers(&numbers);
        // Another authority may have skipped refused batches that still wait here.
        let sealed_through = sealed_through.at_least(self.election.committed().sealed_through);
        let Proposal { block, effect, .. } = made;
        let entries = block.entries.clone();
        let takes_votes = effect.state() == State::Open;
        self.acceptor.made = Some(Made {
            block: RoundBlock::new(block, batches, takes_votes, sealed_through),
            effect,
            entries,
            digest,
        });
    }

    /// Applies a block of the log that this authority has made already. Returns whether it has.
    pub(crate) async fn apply_made(
        &mut self,
        stored: &StoredBlock,
        head: &Head,
    ) -> Result<bool, ElectionFault> {
        let is_made = self.acceptor.made.as_ref().is_some_and(|made| made.block.stored == *stored);
        if !is_made {
            self.acceptor.forget_through(stored.height);
            return Ok(false);
        }
        let Some(made) = self.acceptor.made.take() else { return Ok(false) };
        if stored.height == head.height {
            check_root(made.block.point.size, &made.block.point.root, &head.checkpoint).map_err(
                |rule| {
                    let law_id = self.election.law_id();
                    ElectionFault::damaged(format!("{law_id} has forked: {rule}"))
                },
            )?;
        }
        if let Some((digest, rule)) = self.acceptor.forbidden.take()
            && digest == made.digest
        {
            self.report_despite_guard(&made.block, &rule);
        }
        let numbers: Vec<BatchNumber> =
            made.block.batches.iter().map(|batch| batch.number()).collect();
        let batches = made.block.batches.clone();
        if stored.height == head.height {
            self.keep_certified(stored, batches, head).await?;
        } else {
            self.keep_certified_by_rows(&made.block).await?;
        }
        self.election.apply(made.effect);
        self.resolve_with(&numbers, &made.entries);
        Ok(true)
    }

    /// Reports a block of the log that a guard forbids although its decisions equal those made
    /// here: a quorum has decided otherwise about its events or its time.
    fn report_despite_guard(&self, block: &RoundBlock, rule: &str) {
        metrics::applied_despite_guard();
        tracing::error!(
            event = "block_applied_despite_guard",
            alarm = true,
            law_id = %self.election.law_id(),
            height = block.point.height,
            rule,
            "a quorum has certified a block that this authority would not accept"
        );
        let of_election = AuditFields::for_election(self.election.law_id());
        let fields = AuditFields { point: Some(block.point), rule: Some(rule), ..of_election };
        self.context.audit.record(AuditEvent::BlockAppliedDespiteGuard, &fields);
    }

    /// Makes a block below the head durable in the own memory, if its certificate can be made of
    /// the available rows: the ledger keeps only that of the head.
    async fn keep_certified_by_rows(&self, block: &RoundBlock) -> Result<(), ElectionFault> {
        let Some(authority) = self.context.authority.clone() else { return Ok(()) };
        let round = self.round(&authority);
        let Some(rows) = round.rows(block.point.height) else { return Ok(()) };
        if let Some(checkpoint) = round.certificate(block, &rows)? {
            round.record_certified(block, checkpoint).await?;
        }
        Ok(())
    }

    /// Makes a block of the log durable in the own memory, with its certificate if the head
    /// contains it.
    pub(crate) async fn keep_certified(
        &mut self,
        stored: &StoredBlock,
        batches: Vec<Arc<Batch>>,
        head: &Head,
    ) -> Result<(), ElectionFault> {
        let Some(authority) = self.context.authority.clone() else { return Ok(()) };
        if stored.height != head.height {
            return Ok(());
        }
        let point = LogPoint { height: head.height, size: head.size, root: head.root };
        let law_id = self.election.law_id().clone();
        let cosigned = authority.with_state(|state| state.election(&law_id).cosigned);
        if cosigned.is_some_and(|own| own.height == point.height && own != point) {
            return Err(ElectionFault::damaged(format!(
                "{law_id} has forked: the head at {} leaves is not the block that this authority \
                 cosigned",
                point.size
            )));
        }
        let (law, block, checkpoint) = (law_id.clone(), stored.clone(), head.checkpoint.clone());
        authority
            .durable(move |memory| {
                memory.record_certified(&law, &point, &block, &batches, &checkpoint)
            })
            .await?;
        authority.record(|state| state.record_certified(&law_id, point));
        authority.board.forget(&law_id, point);
        Ok(())
    }

    /// Refuses a proposal whose leader violates a rule of the rounds, without regard to its block.
    async fn refuse_leader(
        &mut self,
        authority: &Arc<AuthorityContext>,
        proposal: &BlockProposal,
        rule: &str,
    ) -> Result<(), ElectionFault> {
        if self.acceptor.has_refused(proposal)
            || !self.acceptor.has_room_for_refused(proposal.point.height)
        {
            return Ok(());
        }
        let leaf = proposal.point.size.saturating_sub(1);
        let refused = Refused { leaf, rule: rule.to_owned(), own: None, theirs: None };
        self.refuse(authority, proposal, refused).await
    }

    /// Records and publishes a refusal: a statement, a metric, an alarm.
    async fn refuse(
        &mut self,
        authority: &Arc<AuthorityContext>,
        proposal: &BlockProposal,
        refused: Refused,
    ) -> Result<(), ElectionFault> {
        let Refused { leaf, rule, own, theirs } = refused;
        self.acceptor.note_refused(proposal);
        metrics::proposal_refused();
        let text = |leaf: &Option<Vec<u8>>| {
            leaf.as_ref().map(|leaf| String::from_utf8_lossy(leaf).into_owned())
        };
        tracing::error!(
            event = "proposal_refused",
            alarm = true,
            law_id = %self.election.law_id(),
            leader = %proposal.leadership.leader,
            term = proposal.leadership.term,
            height = proposal.point.height,
            leaf,
            rule,
            own = text(&own),
            theirs = text(&theirs),
            "the proposed block is not the one that follows from this authority's inputs"
        );
        let (law_id, height) = (self.election.law_id().clone(), proposal.point.height);
        let of_leader = AuditFields::for_leader(&proposal.leadership);
        self.context.audit.record(
            AuditEvent::ProposalRefused,
            &AuditFields {
                law_id: Some(&law_id),
                point: Some(proposal.point),
                leaf: Some(leaf),
                rule: Some(&rule),
                ..of_leader
            },
        );
        let term = proposal.leadership.term;
        let bytes = authority.sign(StatementBody::Refuse(Refuse {
            law_id: law_id.clone(),
            leadership: proposal.leadership.clone(),
            height,
            digest: proposal.digest,
            leaf,
            rule,
            own: own.as_deref().map(Digest::compute),
            theirs: theirs.as_deref().map(Digest::compute),
        }));
        let (law, kept) = (law_id.clone(), bytes.clone());
        authority
            .durable(move |memory| {
                memory.record_other_statement("refuse", Some(&law), height, term, &kept)
            })
            .await?;
        let row = authority.row(RowKind::Refuse, Some(&law_id), height, term, bytes);
        let _stored = self.round(authority).put(&row, None).await?;
        authority.note_refused(&proposal.leadership.leader);
        self.suspect(authority, &proposal.leadership, SuspectReason::Refused).await
    }
}

/// Whether a leadership may have existed: this authority has not voted for another leader in its
/// term.
fn has_led(authority: &AuthorityContext, leadership: &TermLeader) -> bool {
    let voted = authority.board.voted_for(&authority.name, leadership.term);
    voted.is_none_or(|leader| leader == leadership.leader)
}

/// Makes a block again, and compares every byte.
pub(crate) fn make_again(
    election: &ElectionHandle,
    leaves: &[u8],
    batches: &HashMap<BatchNumber, Arc<Batch>>,
    rolls: &Rolls<'_>,
) -> Result<Proposal, NotMade> {
    let ballot_key = election.ballot_key();
    let mut source = BlockSource { batches, ballot_key: ballot_key.as_ref(), rolls: Some(rolls) };
    // Without the ballot key there is no evidence, and this dummy key decrypts nothing.
    let no_key = BallotSecretKey::from_bytes([0; 32]);
    let log = election.log();
    match log.check(leaves, ballot_key.as_ref().unwrap_or(&no_key), &mut source) {
        Ok(proposal) => Ok(proposal),
        Err(CheckError::Refused(refusal)) => {
            let Refusal { leaf, rule, own, theirs, .. } = *refusal;
            Err(NotMade::Refused { leaf, rule: rule.as_str().to_owned(), own, theirs })
        }
        Err(missing) => Err(NotMade::Later { what: missing.to_string(), rule: None }),
    }
}
