//! Reconciliation: at the close, every received envelope is accounted for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::decision::{Decision, Entry};
use crate::tally::Counts;

/// Counts of what was received, by outcome. All zero in the zero report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Report {
    /// Envelopes in sealed batches.
    pub received: u64,
    /// Votes that count.
    pub accepted: u64,
    /// Votes of credentials that had voted before.
    pub duplicate: u64,
    /// Votes that do not count, for any reason.
    pub invalid: u64,
    /// Second copies of requests decided earlier.
    pub replayed: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { received, accepted, duplicate, invalid, replayed } = self;
        write!(
            formatter,
            "{received} received, {accepted} accepted, {duplicate} duplicate, {invalid} invalid, \
             {replayed} replayed"
        )
    }
}

/// Counts that do not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Imbalance {
    /// received = accepted + duplicate + invalid + replayed.
    #[error("received {received}, decided {decided}")]
    Received {
        /// Envelopes received.
        received: u64,
        /// The sum over all outcomes.
        decided: u64,
    },
    /// accepted = the sum over choices, blank and spoiled included.
    #[error("accepted {accepted}, counted {counted}")]
    Accepted {
        /// Votes accepted.
        accepted: u64,
        /// The sum over choices and spoiled votes.
        counted: u64,
    },
    /// No more votes than electors.
    #[error("accepted {accepted}, registered {registered}")]
    Registered {
        /// Votes accepted.
        accepted: u64,
        /// Electors registered.
        registered: u64,
    },
}

impl Report {
    /// Counts one envelope's decision; `None` stands for a replay.
    pub fn count(&mut self, entry: Option<&Entry>) {
        self.received += 1;
        match entry.map(|entry| entry.decision) {
            None => self.replayed += 1,
            Some(Decision::Accepted { .. }) => self.accepted += 1,
            Some(Decision::Duplicate { .. }) => self.duplicate += 1,
            Some(Decision::Invalid { .. }) => self.invalid += 1,
        }
    }

    /// Checks the three sums of the close.
    ///
    /// # Errors
    /// The first sum that does not balance.
    ///
    /// ```
    /// use votekit_core::{reconcile::Report, tally::Counts};
    /// let mut report = Report::default();
    /// (report.received, report.accepted) = (4, 2);
    /// (report.duplicate, report.invalid) = (1, 1);
    /// report.reconcile(&Counts { choices: vec![1, 1], spoiled: 0 }, 10)?;
    /// assert!(report.reconcile(&Counts { choices: vec![1, 0], spoiled: 0 }, 10).is_err());
    /// # Ok::<(), votekit_core::reconcile::Imbalance>(())
    /// ```
    pub fn reconcile(&self, counts: &Counts, registered: u64) -> Result<(), Imbalance> {
        let decided = self.accepted + self.duplicate + self.invalid + self.replayed;
        if self.received != decided {
            return Err(Imbalance::Received { received: self.received, decided });
        }
        let counted = counts.total();
        if self.accepted != counted {
            return Err(Imbalance::Accepted { accepted: self.accepted, counted });
        }
        if self.accepted > registered {
            return Err(Imbalance::Registered { accepted: self.accepted, registered });
        }
        Ok(())
    }
}
