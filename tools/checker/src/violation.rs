//! The rules a check verifies, and their violations.

use std::fmt;
use std::path::{Path, PathBuf};

/// The rule that was broken. Each variant states the condition that must be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// A vote reported as stored is in the log.
    Lost,
    /// A request is decided once, and an idempotency key stands for one request.
    Doubled,
    /// An elector has at most one accepted vote.
    AcceptedTwice,
    /// An elector whose vote was reported as stored has an accepted vote.
    NotCounted,
    /// An unknown credential never counts, and an elector's credential is never unknown.
    WrongDecision,
    /// The decision reported to a voter is the decision in the log.
    ReportedOtherwise,
    /// Every entry comes from a vote that was sent.
    Unexplained,
    /// The results count the accepted votes of each choice.
    WrongCount,
    /// Received = accepted + duplicate + invalid + replayed.
    Accounts,
    /// The leaves are those that the checkpoint signed.
    WrongRoot,
    /// A checkpoint is signed by a log key of the policy.
    NotSigned,
    /// The quorum of the policy has cosigned the bundle's checkpoint, that of its authorities every
    /// other one.
    NoQuorum,
}

impl Rule {
    /// The rule's name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::AcceptedTwice => "accepted-twice",
            Self::NotCounted => "not-counted",
            Self::WrongDecision => "wrong-decision",
            Self::ReportedOtherwise => "reported-otherwise",
            Self::Unexplained => "unexplained",
            Self::WrongCount => "wrong-count",
            Self::Accounts => "accounts",
            Self::WrongRoot => "wrong-root",
            Self::NotSigned => "not-signed",
            Self::NoQuorum => "no-quorum",
        }
    }
}

/// One broken rule, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The broken rule.
    pub rule: Rule,
    /// The file where it was found.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The description of the violation. It names electors by row only.
    pub what: String,
}

impl Violation {
    pub(crate) fn new(rule: Rule, path: &Path, line: usize, what: impl Into<String>) -> Self {
        Self { rule, path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}: {}: {}",
            self.path.display(),
            self.line,
            self.rule.name(),
            self.what
        )
    }
}
