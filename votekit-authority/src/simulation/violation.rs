//! The rules that every run must keep.

use std::fmt;

/// A rule that every run must keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// At one height at most one root has the cosignatures of a quorum.
    OneCertifiedRoot,
    /// An authority cosigns at most one root of a height.
    OneCosignedRoot,
    /// An authority makes at most one vote in a term, and one accept at a height in a term: the
    /// same bytes each time.
    OneStatement,
    /// An authority accepts no block of a term lower than one in which it has voted.
    AcceptBelowVote,
    /// A block that a quorum has accepted in one term is the only block proposed at its height in
    /// later terms.
    ProposalAgainstQuorum,
    /// An appended block was cosigned by a quorum, and accepted by a quorum in one term.
    AppendedWithoutQuorum,
    /// The log that an authority has applied is a prefix of the certified log.
    AppliedUncertified,
    /// The certified decisions are those of the reference.
    DecisionDiffers,
    /// A batch is sealed once.
    SealedTwice,
    /// The reports of all authorities are those of the reference, and balance.
    Unbalanced,
    /// No honest authority halts the election.
    Halted,
    /// Once the faults end, the poll closes on every authority.
    NoProgress,
    /// Every batch is sealed in the end.
    NotSealed,
}

impl Rule {
    /// A short name, for reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OneCertifiedRoot => "one-certified-root",
            Self::OneCosignedRoot => "one-cosigned-root",
            Self::OneStatement => "one-statement",
            Self::AcceptBelowVote => "accept-below-vote",
            Self::ProposalAgainstQuorum => "proposal-against-quorum",
            Self::AppendedWithoutQuorum => "appended-without-quorum",
            Self::AppliedUncertified => "applied-uncertified",
            Self::DecisionDiffers => "decision-differs",
            Self::SealedTwice => "sealed-twice",
            Self::Unbalanced => "unbalanced",
            Self::Halted => "halted",
            Self::NoProgress => "no-progress",
            Self::NotSealed => "not-sealed",
        }
    }
}

/// A rule that a run broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// Where, in words.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.rule.as_str(), self.detail)
    }
}
