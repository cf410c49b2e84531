//! Follows a log without deciding: for a node that takes votes or answers questions, and never
//! seals.
//!
//! The leaves are accepted as stored, and the signed root vouches for them. A followed log holds no
//! electorate, only its size, so it takes the memory of the decided requests: 24 bytes each. It
//! needs neither rolls nor evidence nor the ballot key.

use super::propose::{Effect, NextState};
use super::replay::Rolls;
use super::state::LogState;
use super::{CheckError, ElectionLog, ElectionLogError};
use crate::decision::Outcome;
use crate::election::{ResultsPolicy, State};
use crate::electorate::Electorate;
use crate::log::leaf::RollEvent;

impl ElectionLog {
    /// Starts following a log, from its first block.
    ///
    /// # Errors
    /// [`CheckError`] when it does not begin an election.
    pub fn follow_first(leaves: &[u8]) -> Result<Self, CheckError> {
        let mut log = Self::check_first(leaves)?;
        log.state.followed = true;
        Ok(log)
    }

    /// Accepts the next block as stored, and reports the outcome of each envelope. Changes nothing;
    /// apply the effect, and compare its root with a signed checkpoint.
    ///
    /// # Errors
    /// [`ElectionLogError::Leaf`] or [`ElectionLogError::Contradiction`] for a damaged log.
    ///
    /// # Panics
    /// When the log is not a followed log.
    pub fn follow(
        &self,
        leaves: &[u8],
        on_outcome: &mut dyn FnMut(&Outcome),
    ) -> Result<Effect, ElectionLogError> {
        assert!(self.state.followed, "a log that decides checks its blocks");
        let mut next = NextState::new(self);
        next.accept_leaves(leaves, &mut Rolls::Counted, on_outcome)?;
        Ok(next.into_effect())
    }
}

impl ElectionLog {
    /// Whether [`ElectionLog::results`] has the counts that may be shown. A followed log has the
    /// counts that the log publishes: under `live` the running counts, otherwise the counts of the
    /// close.
    #[must_use]
    pub fn knows_counts(&self) -> bool {
        let LogState { state, definition, .. } = &self.state;
        !self.state.followed || definition.results == ResultsPolicy::Live || *state >= State::Closed
    }
}

impl NextState<'_> {
    /// Counts the electors of a roll or a supplement.
    pub(super) fn count_roll(
        &mut self,
        event: &RollEvent,
        index: u64,
    ) -> Result<(), ElectionLogError> {
        let registered = if event.parent.is_none() {
            self.next.replaced.append(&mut self.next.manifests);
            self.next.decided_before.clear();
            event.loaded
        } else {
            let added = self.electorate().registered().checked_add(event.added);
            let left = added.and_then(|count| count.checked_sub(event.revoked));
            let rule = "a supplement revokes registered credentials only";
            left.ok_or(ElectionLogError::Contradiction { index, rule })?
        };
        self.pending.set_electorate(Electorate::counted(registered));
        self.next.scheme = Some(event.scheme);
        self.next.manifests.push(event.manifest);
        self.next.decided_before.push(self.decided());
        Ok(())
    }
}
