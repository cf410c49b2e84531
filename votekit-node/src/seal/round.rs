//! The steps of a round that every authority takes about a block that it has made itself: accept,
//! cosign, append.
//!
//! Each step checks the guards of votekit-authority, makes the statement durable in the own memory,
//! and only then stores it in the ledger. Each step is safe to repeat: a statement is sent again
//! unchanged.

use std::sync::Arc;
use std::time::Instant;

use votekit_authority::round::{NotAccepted, NotCosigned};
use votekit_core::authority::{Accept, BlockProposal, LogPoint, StatementBody, TermLeader};
use votekit_core::batch::Batch;
use votekit_core::election_log::Block;
use votekit_core::id::{Digest, ElectionId};
use votekit_core::instant::UnixMinutes;
use votekit_core::log::checkpoint::{Checkpoint, SignedCheckpoint};
use votekit_core::log::merkle::FullTile;
use votekit_core::log::note::Signature;
use votekit_store::retry::until_definite;
use votekit_store::{
    BlockCommit, Conflict, EngineError, Head, NewRow, RowKind, RowOutcome, StagingId, StoredBlock,
};

use crate::audit::{AuditEvent, AuditFields};
use crate::authority::{AuthorityContext, HeightRows};
use crate::context::NodeContext;
use crate::election::CheckpointSigner;
use crate::error::{ElectionFault, NotReady};
use crate::recovery::ledger_restore::stage_again;
use crate::seal::seal_queue::{StagingMark, report_lost_staging};

/// A block that this authority has made itself.
#[derive(Debug, Clone)]
pub(crate) struct RoundBlock {
    pub(crate) stored: StoredBlock,
    pub(crate) full_tiles: Vec<FullTile>,
    pub(crate) point: LogPoint,
    pub(crate) sealed_at: UnixMinutes,
    pub(crate) takes_votes: bool,
    pub(crate) sealed_through: StagingMark,
    /// The batches that the block decides.
    pub(crate) batches: Vec<Arc<Batch>>,
}

impl RoundBlock {
    pub(crate) fn new(
        block: Block,
        batches: Vec<Arc<Batch>>,
        takes_votes: bool,
        sealed_through: StagingMark,
    ) -> Self {
        let point = LogPoint { height: block.height, size: block.size_after(), root: block.root };
        Self {
            point,
            sealed_at: block.sealed_at,
            stored: StoredBlock {
                height: block.height,
                first_leaf: block.first_leaf,
                leaf_count: block.leaf_count,
                leaves: block.leaves,
            },
            full_tiles: block.full_tiles,
            takes_votes,
            sealed_through,
            batches,
        }
    }

    /// The proposal of this block under a leadership.
    pub(crate) fn proposal(
        &self,
        law_id: &ElectionId,
        leadership: TermLeader,
        proposed_at: votekit_core::instant::UnixSeconds,
    ) -> BlockProposal {
        BlockProposal {
            law_id: law_id.clone(),
            leadership,
            first_leaf: self.stored.first_leaf,
            leaf_count: self.stored.leaf_count,
            point: self.point,
            digest: Digest::of(&self.stored.leaves),
            takes_votes: self.takes_votes,
            proposed_at,
        }
    }
}

/// The steps of this authority in the rounds of one election.
pub(crate) struct Round {
    pub(crate) context: Arc<NodeContext>,
    pub(crate) authority: Arc<AuthorityContext>,
    pub(crate) signer: Arc<CheckpointSigner>,
    pub(crate) law_id: ElectionId,
}

/// The outcome of accepting.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// The accept is durable and in the ledger.
    Stored,
    /// A guard forbids it.
    Forbidden { rule: &'static str },
    /// A later term has begun.
    Late { term: u64 },
}

impl Round {
    /// The rows about the next height, as far as they are verified.
    pub(crate) fn rows(&self, height: u64) -> Option<HeightRows> {
        self.authority.board.rows(&self.law_id, height)
    }

    /// Accepts a proposal of a block that this authority has made itself, unless it has accepted it
    /// already.
    pub(crate) async fn accept(
        &self,
        block: &RoundBlock,
        proposal: &BlockProposal,
        rows: &HeightRows,
    ) -> Result<Accepted, ElectionFault> {
        if self.authority.is_rolled_back() {
            return Ok(Accepted::Forbidden { rule: "rolled-back" });
        }
        let term = proposal.leadership.term;
        let height = block.point.height;
        let before = self
            .authority
            .with_state(|state| state.elections.get(&self.law_id).and_then(|e| e.accepted));
        let is_again = before.is_some_and(|own| own.term == term && own.point == block.point);
        let bytes = if is_again {
            let law_id = self.law_id.clone();
            let stored = self
                .authority
                .durable(move |memory| memory.statement("accept", Some(&law_id), height, term))
                .await?;
            match stored {
                Some(bytes) => bytes,
                None => self.sign_accept(block, proposal),
            }
        } else {
            match self.decide_accept(block, proposal, rows).await? {
                Ok(bytes) => bytes,
                Err(forbidden) => return Ok(Accepted::Forbidden { rule: forbidden.rule() }),
            }
        };
        let row = self.authority.row(RowKind::Accept, Some(&self.law_id), height, term, bytes);
        Ok(match self.put(&row, None).await? {
            RowOutcome::Late { term } => Accepted::Late { term },
            RowOutcome::Stored | RowOutcome::Present => Accepted::Stored,
        })
    }

    /// Signs an accept and makes it durable, if the guards allow it. No vote is signed meanwhile.
    async fn decide_accept(
        &self,
        block: &RoundBlock,
        proposal: &BlockProposal,
        rows: &HeightRows,
    ) -> Result<Result<Vec<u8>, NotAccepted>, ElectionFault> {
        let _promise = self.authority.hold_promise().await;
        let quorum = self.authority.quorum();
        let decided = self
            .authority
            .with_state(|state| state.accept(proposal, &block.point, &rows.view, quorum));
        let accepted = match decided {
            Ok(accepted) => accepted,
            Err(forbidden) => return Ok(Err(forbidden)),
        };
        let bytes = self.sign_accept(block, proposal);
        let (law_id, made, statement) = (self.law_id.clone(), block.clone(), bytes.clone());
        self.authority
            .durable(move |memory| {
                memory.record_accepted(&law_id, &accepted, &made.stored, &made.batches, &statement)
            })
            .await?;
        self.authority.record(|state| state.record_accepted(&self.law_id, accepted));
        Ok(Ok(bytes))
    }

    fn sign_accept(&self, block: &RoundBlock, proposal: &BlockProposal) -> Vec<u8> {
        self.authority.sign(StatementBody::Accept(Accept {
            law_id: self.law_id.clone(),
            leadership: proposal.leadership.clone(),
            point: block.point,
        }))
    }

    /// Cosigns a block that a quorum has accepted. Returns the rule that forbids it, if any.
    pub(crate) async fn cosign(
        &self,
        block: &RoundBlock,
        rows: &HeightRows,
    ) -> Result<Result<(), NotCosigned>, ElectionFault> {
        if self.authority.is_rolled_back() {
            // The callers have checked this: the check here is for a statement found in between.
            return Err(ElectionFault::NotReady(NotReady::NotLeading));
        }
        let quorum = self.authority.quorum();
        let height = block.point.height;
        let before = self
            .authority
            .with_state(|state| state.elections.get(&self.law_id).and_then(|e| e.cosigned));
        let kept = if before == Some(block.point) {
            let law_id = self.law_id.clone();
            self.authority
                .durable(move |memory| memory.statement("cosign", Some(&law_id), height, 0))
                .await?
        } else {
            let decided = self
                .authority
                .with_state(|state| state.cosign(&self.law_id, &block.point, &rows.view, quorum));
            if let Err(forbidden) = decided {
                return Ok(Err(forbidden));
            }
            None
        };
        let bytes = match kept {
            Some(bytes) => bytes,
            None => self.sign_cosigned(block).await?,
        };
        let row = self.authority.row(RowKind::Cosign, Some(&self.law_id), height, 0, bytes);
        let _stored = self.put(&row, None).await?;
        // Recorded at once, not when the row is read.
        let by = &self.authority.name;
        let cosigned = self
            .authority
            .set
            .verify_cosigned(&row.bytes, &self.law_id, by)
            .map_err(|error| ElectionFault::damaged(format!("the own cosignature: {error}")))?;
        self.authority.board.add_cosigned(by.clone(), &self.law_id, height, cosigned);
        Ok(Ok(()))
    }

    /// Signs a cosignature and makes it durable.
    async fn sign_cosigned(&self, block: &RoundBlock) -> Result<Vec<u8>, ElectionFault> {
        let LogPoint { size, root, .. } = block.point;
        let now = self.context.now().seconds();
        let cosigned = self
            .signer
            .cosign(size, root, block.sealed_at, now)
            .map_err(|error| ElectionFault::damaged(error.to_string()))?;
        let bytes = cosigned.to_string().into_bytes();
        let (law_id, point, kept) = (self.law_id.clone(), block.point, bytes.clone());
        self.authority
            .durable(move |memory| memory.record_cosigned(&law_id, &point, &kept))
            .await?;
        self.authority.record(|state| state.record_cosigned(&self.law_id, point));
        Ok(bytes)
    }

    /// The cosignature lines over a block, in the order of the authorities.
    pub(crate) fn valid_lines(&self, block: &RoundBlock, rows: &HeightRows) -> Vec<Signature> {
        let checkpoint = Checkpoint::new(&self.signer.origin, block.point.size, block.point.root);
        let members = self.authority.set.members().iter();
        members.filter_map(|one| rows.cosignature(&one.name, &checkpoint).cloned()).collect()
    }

    /// The certificate of a block: its checkpoint with the cosignatures of a quorum; `None` while
    /// there are too few.
    pub(crate) fn certificate(
        &self,
        block: &RoundBlock,
        rows: &HeightRows,
    ) -> Result<Option<Vec<u8>>, ElectionFault> {
        let lines = self.valid_lines(block, rows);
        if lines.len() < self.authority.set.quorum() {
            return Ok(None);
        }
        let checkpoint = Checkpoint::new(&self.signer.origin, block.point.size, block.point.root);
        let signed = self
            .signer
            .log_signature(&checkpoint)
            .and_then(|signature| SignedCheckpoint::new(checkpoint, signature, lines))
            .map_err(|error| ElectionFault::damaged(error.to_string()))?;
        Ok(Some(signed.to_string().into_bytes()))
    }

    /// Appends a block that a quorum has cosigned; `None` while there are too few cosignatures.
    pub(crate) async fn append(
        &self,
        block: &RoundBlock,
        rows: &HeightRows,
        fence: u64,
    ) -> Result<Option<Appended>, ElectionFault> {
        let Some(checkpoint) = self.certificate(block, rows)? else { return Ok(None) };
        let head = Head {
            size: block.point.size,
            height: block.point.height,
            root: block.point.root,
            fence,
            checkpoint,
            sealed_through: block.sealed_through.id,
            takes_votes: block.takes_votes,
        };
        let mut commit = Arc::new(BlockCommit {
            law_id: self.law_id.clone(),
            block: block.stored.clone(),
            full_tiles: block.full_tiles.clone(),
            head,
            sealed_batch: block.sealed_through.batch,
            not_after: None,
        });
        let ledger = &self.context.ledger;
        let mut appended = until_definite("append_block", || ledger.append(&commit)).await;
        let conflict = appended.as_ref().err().and_then(EngineError::conflict);
        let is_rolled_back = matches!(conflict, Some(Conflict::NotStaged { .. }));
        if is_rolled_back || matches!(conflict, Some(Conflict::Malformed { .. })) {
            if is_rolled_back {
                self.stage_lost(block).await?;
            }
            if let Some(again) = self.sealing_nothing_more(&commit).await? {
                commit = again;
                appended = until_definite("append_block", || ledger.append(&commit)).await;
            }
        }
        match appended {
            Ok(()) => {
                self.audit_certified(block, fence);
                Ok(Some(Appended::Head(commit.head.clone())))
            }
            Err(EngineError::Conflict(Conflict::Head { .. })) => {
                let head = until_definite("append_block", || ledger.head(&self.law_id)).await?;
                // An earlier attempt of this call succeeded: the log signature is this authority's.
                if head.as_ref().is_some_and(|head| head.checkpoint == commit.head.checkpoint) {
                    self.audit_certified(block, fence);
                }
                Ok(Some(head.map_or(Appended::Missing, Appended::Head)))
            }
            // The ledger was restored from an older copy once more: the next attempt appends the
            // block.
            Err(EngineError::Conflict(Conflict::NotStaged { .. })) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Stages the batches of a certified block again in a ledger that was restored from an older
    /// copy: this authority has them, and the ledger may have lost them.
    async fn stage_lost(&self, block: &RoundBlock) -> Result<(), ElectionFault> {
        report_lost_staging(&self.law_id, block.sealed_through);
        // All of staging has to be read again.
        self.authority.note_rollback(&self.law_id);
        stage_again(&self.context, &block.batches).await
    }

    /// The same block, which leaves the position in staging up to which batches are sealed where it
    /// is: in a ledger that was restored from an older copy, other batches or none have the
    /// positions known here. A lower position than possible does no harm.
    async fn sealing_nothing_more(
        &self,
        commit: &BlockCommit,
    ) -> Result<Option<Arc<BlockCommit>>, ElectionFault> {
        let head = until_definite("read_head", || self.context.ledger.head(&self.law_id)).await?;
        let sealed_through = head.map_or(StagingId(0), |head| head.sealed_through);
        if sealed_through == commit.head.sealed_through {
            return Ok(None);
        }
        let mut again = commit.clone();
        again.head.sealed_through = sealed_through;
        Ok(Some(Arc::new(again)))
    }

    /// Records for the audit log that this authority appended a certified block: one event a block
    /// in the installation.
    fn audit_certified(&self, block: &RoundBlock, term: u64) {
        let promise = self.authority.promise();
        let leader = promise.as_ref().filter(|promise| promise.term == term);
        let fields = AuditFields {
            law_id: Some(&self.law_id),
            term: Some(term),
            leader: leader.map(|promise| promise.leader.as_str()),
            point: Some(block.point),
            ..AuditFields::default()
        };
        self.context.audit.record(AuditEvent::BlockCertified, &fields);
    }

    /// Records that a block with its certificate is in the log.
    pub(crate) async fn record_certified(
        &self,
        block: &RoundBlock,
        checkpoint: Vec<u8>,
    ) -> Result<(), ElectionFault> {
        let (law_id, made) = (self.law_id.clone(), block.clone());
        self.authority
            .durable(move |memory| {
                memory.record_certified(
                    &law_id,
                    &made.point,
                    &made.stored,
                    &made.batches,
                    &checkpoint,
                )
            })
            .await?;
        self.authority.record(|state| state.record_certified(&self.law_id, block.point));
        self.authority.board.forget(&self.law_id, block.point);
        Ok(())
    }

    /// Stores a row in the ledger, and retries until the outcome is known.
    pub(crate) async fn put(
        &self,
        row: &NewRow,
        holder: Option<&str>,
    ) -> Result<RowOutcome, ElectionFault> {
        let ledger = &self.context.ledger;
        match until_definite("put_round_row", || ledger.put_row(row, holder)).await {
            // The row is well-formed, so its term is too far above that of a ledger whose term was
            // set back.
            Err(error @ EngineError::Conflict(Conflict::Malformed { .. })) => {
                tracing::warn!(
                    event = "row_not_stored",
                    kind = row.kind.as_str(),
                    term = row.term,
                    %error,
                    "the ledger refuses a row of this authority"
                );
                Ok(RowOutcome::Late { term: row.term })
            }
            put => Ok(put?),
        }
    }
}

/// The outcome of appending a block.
#[derive(Debug)]
pub(crate) enum Appended {
    /// The head of the log now. It is the head of this block, or of another block that was appended
    /// instead.
    Head(Head),
    /// The ledger has no log of this election any more.
    Missing,
}

/// The time since when a quorum of cosignatures is available: authorities other than the leader
/// wait before they append.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct QuorumSeen(Option<(LogPoint, Instant)>);

impl QuorumSeen {
    /// How long the quorum over a point has been available, from the first call on.
    pub(crate) fn elapsed(&mut self, point: LogPoint) -> std::time::Duration {
        match self.0 {
            Some((known, since)) if known == point => since.elapsed(),
            _ => {
                self.0 = Some((point, Instant::now()));
                std::time::Duration::ZERO
            }
        }
    }
}
