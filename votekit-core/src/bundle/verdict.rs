//! The verdict of a verification.

use std::fmt;

use super::verify::Verification;

/// What a bundle or a receipt proves. The variants are complete: another one would be a breaking
/// change, because callers decide by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Nothing is wrong, and the policy is the pinned one: the authorities of that policy vouch for
    /// the log, and everything shown follows from it.
    Proven,
    /// Nothing is wrong, but no policy was pinned: anyone could have made it.
    Consistent,
    /// Something is wrong: do not rely on it.
    Failed,
}

impl Verdict {
    /// A stable name for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Consistent => "consistent",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Verification {
    /// The verdict on the bundle.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match (self.failures.is_empty(), self.authenticated) {
            (true, true) => Verdict::Proven,
            (true, false) => Verdict::Consistent,
            (false, _) => Verdict::Failed,
        }
    }
}
