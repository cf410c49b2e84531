//! The guards: the conditions under which an authority may make a statement. No guard may be
//! weakened; the model of this crate shows for each guard which invariant is violated without it.

use votekit_core::authority::{
    AcceptedBlock, BlockProposal, ElectionVote, LogPoint, TermLeader, Vote,
};
use votekit_core::id::ElectionId;

use super::{Quorum, RoundMemory, RoundView};

/// The maximum distance of a promised term from the highest term that an authority has seen.
/// Without a bound, one answer of a lying ledger could use up all terms, because a promise is never
/// withdrawn.
pub const TERM_STEP_MAX: u64 = 1000;

/// The highest term of an authority's first promise: the authority has seen no term, and the ledger
/// may have been in use for a long time. More terms remain above it than any installation uses.
pub const FIRST_TERM_MAX: u64 = 1 << 32;

/// Why an authority does not vote for a leadership.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoVote {
    /// It has promised the same or a later term.
    #[error("term {term} is not above the promised term {promised}")]
    Stale {
        /// The term seen.
        term: u64,
        /// The term promised.
        promised: u64,
    },
    /// The leader is not an authority.
    #[error("{leader} is not an authority")]
    NotConfigured {
        /// The name seen.
        leader: String,
    },
    /// The term is too far above those that it has seen.
    #[error("term {term} is too far ahead: no term above {highest} is promised")]
    FarAhead {
        /// The term of the leadership.
        term: u64,
        /// The highest term that it promises now.
        highest: u64,
    },
}

/// Why an authority does not accept a proposed block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAccepted {
    /// It has not promised this leadership.
    #[error("the proposal is of term {term}, which is not the promised leadership")]
    NotPromised {
        /// The term of the proposal.
        term: u64,
    },
    /// The block does not follow the last certified block.
    #[error("the proposal is of height {height}, the next height is {next}")]
    NotNext {
        /// The height of the proposal.
        height: u64,
        /// The height after the last certified block.
        next: u64,
    },
    /// The block that this authority made has other bytes.
    #[error("the proposed block is not the block that this authority made")]
    OtherBytes,
    /// It has cosigned another block at this height.
    #[error("another block of height {height} is cosigned")]
    CosignedOther {
        /// The height.
        height: u64,
    },
    /// It has accepted another block of the same proposal's term: the leader proposed two.
    #[error("another block of height {height} is accepted in term {term}")]
    AcceptedOther {
        /// The height.
        height: u64,
        /// The term of both proposals.
        term: u64,
    },
    /// A quorum has accepted another block at this height.
    #[error("a quorum has accepted another block of height {height}")]
    OtherAcceptedByQuorum {
        /// The height.
        height: u64,
    },
}

/// Why an authority does not cosign a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotCosigned {
    /// The block does not follow the last certified block.
    #[error("the block is of height {height}, the next height is {next}")]
    NotNext {
        /// The height of the block.
        height: u64,
        /// The height after the last certified block.
        next: u64,
    },
    /// Too few authorities have accepted it in one term.
    #[error("{accepts} of {quorum} authorities have accepted the block")]
    TooFewAccepts {
        /// Accepts of one term.
        accepts: usize,
        /// Accepts that are required.
        quorum: usize,
    },
    /// It has cosigned another block at this height.
    #[error("another block of height {height} is cosigned")]
    CosignedOther {
        /// The height.
        height: u64,
    },
    /// A quorum has accepted another block at this height. Only lying authorities can cause this.
    #[error("a quorum has accepted another block of height {height}")]
    OtherAcceptedByQuorum {
        /// The height.
        height: u64,
    },
}

impl NotAccepted {
    /// The name of the rule, for logs and metrics.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::NotPromised { .. } => "not-promised",
            Self::NotNext { .. } => "not-next-height",
            Self::OtherBytes => "other-bytes",
            Self::CosignedOther { .. } => "cosigned-other",
            Self::AcceptedOther { .. } => "accepted-other",
            Self::OtherAcceptedByQuorum { .. } => "other-accepted-by-quorum",
        }
    }
}

impl NotCosigned {
    /// The name of the rule, for logs and metrics.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::NotNext { .. } => "not-next-height",
            Self::TooFewAccepts { .. } => "too-few-accepts",
            Self::CosignedOther { .. } => "cosigned-other",
            Self::OtherAcceptedByQuorum { .. } => "other-accepted-by-quorum",
        }
    }
}

impl RoundMemory {
    /// The vote for a leadership, if it is above the promise. It must be durable before it is
    /// published.
    ///
    /// # Errors
    /// [`NoVote`].
    pub fn vote(&self, seen: &TermLeader, is_configured: bool) -> Result<Vote, NoVote> {
        self.vote_within(seen, is_configured, 0)
    }

    /// As [`RoundMemory::vote`], for an authority that was absent for many terms. `signed` is a
    /// term that [`Quorum::blocking`] authorities have signed, at least one of which is honest. It
    /// bounds the term of the vote as the authority's own promise does.
    ///
    /// # Errors
    /// [`NoVote`].
    pub fn vote_within(
        &self,
        seen: &TermLeader,
        is_configured: bool,
        signed: u64,
    ) -> Result<Vote, NoVote> {
        if !is_configured {
            return Err(NoVote::NotConfigured { leader: seen.leader.as_str().to_owned() });
        }
        if let Some(promise) = &self.promise
            && seen.term <= promise.term
        {
            return Err(NoVote::Stale { term: seen.term, promised: promise.term });
        }
        let highest = match &self.promise {
            Some(promise) => promise.term.max(signed).saturating_add(TERM_STEP_MAX),
            None => FIRST_TERM_MAX.max(signed.saturating_add(TERM_STEP_MAX)),
        };
        if seen.term > highest {
            return Err(NoVote::FarAhead { term: seen.term, highest });
        }
        let elections = self.elections.iter().map(|(law_id, election)| ElectionVote {
            law_id: law_id.clone(),
            certified: election.certified,
            accepted: election.accepted,
        });
        Ok(Vote { leadership: seen.clone(), elections: elections.collect() })
    }

    /// The accept of a proposed block, of which this authority has made `own`. It must be durable,
    /// with the batches of the block, before it is published.
    ///
    /// # Errors
    /// [`NotAccepted`].
    pub fn accept(
        &self,
        proposal: &BlockProposal,
        own: &LogPoint,
        seen: &RoundView,
        quorum: Quorum,
    ) -> Result<AcceptedBlock, NotAccepted> {
        let term = proposal.leadership.term;
        if self.promise.as_ref() != Some(&proposal.leadership) {
            return Err(NotAccepted::NotPromised { term });
        }
        let election = self.election(&proposal.law_id);
        let (height, next) = (proposal.point.height, election.certified.height + 1);
        if height != next || proposal.first_leaf != election.certified.size {
            return Err(NotAccepted::NotNext { height, next });
        }
        if proposal.point != *own {
            return Err(NotAccepted::OtherBytes);
        }
        if election.cosigned.is_some_and(|cosigned| cosigned != *own) {
            return Err(NotAccepted::CosignedOther { height });
        }
        if election.accepted.is_some_and(|before| before.term == term && before.point != *own) {
            return Err(NotAccepted::AcceptedOther { height, term });
        }
        if seen.height() == height && seen.other_accepted_by_quorum(quorum, own) {
            return Err(NotAccepted::OtherAcceptedByQuorum { height });
        }
        Ok(AcceptedBlock { term, point: *own })
    }

    /// Whether this authority may cosign a block that it has made itself. The cosignature must be
    /// durable before it is published.
    ///
    /// # Errors
    /// [`NotCosigned`].
    pub fn cosign(
        &self,
        law_id: &ElectionId,
        own: &LogPoint,
        seen: &RoundView,
        quorum: Quorum,
    ) -> Result<(), NotCosigned> {
        let election = self.election(law_id);
        let (height, next) = (own.height, election.certified.height + 1);
        if height != next {
            return Err(NotCosigned::NotNext { height, next });
        }
        if election.cosigned.is_some_and(|cosigned| cosigned != *own) {
            return Err(NotCosigned::CosignedOther { height });
        }
        if seen.height() == height && seen.other_accepted_by_quorum(quorum, own) {
            return Err(NotCosigned::OtherAcceptedByQuorum { height });
        }
        let accepts = if seen.height() == height { seen.count_accepts(own) } else { 0 };
        if accepts < quorum.quorum {
            return Err(NotCosigned::TooFewAccepts { accepts, quorum: quorum.quorum });
        }
        Ok(())
    }
}
