//! The state of one authority that must survive every restart.

use std::collections::BTreeMap;

use votekit_core::authority::{AcceptedBlock, LogPoint, TermLeader};
use votekit_core::id::ElectionId;

/// The promise of an authority, and its state in each election.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct RoundMemory {
    /// The leadership of its last vote: the authority accepts blocks of no other leadership.
    pub promise: Option<TermLeader>,
    /// One entry for each election.
    pub elections: BTreeMap<ElectionId, ElectionMemory>,
}

/// The certified, accepted and cosigned blocks of an authority in one election.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ElectionMemory {
    /// The last block that it knows to be certified.
    pub certified: LogPoint,
    /// The block that it accepted last above `certified`, if any.
    pub accepted: Option<AcceptedBlock>,
    /// The block that it cosigned above `certified`, if any.
    pub cosigned: Option<LogPoint>,
}

impl Default for ElectionMemory {
    fn default() -> Self {
        Self { certified: LogPoint::empty(), accepted: None, cosigned: None }
    }
}

impl RoundMemory {
    /// Records a vote that is durable.
    pub fn record_vote(&mut self, leadership: TermLeader) {
        self.promise = Some(leadership);
    }

    /// Records an accept that is durable.
    pub fn record_accepted(&mut self, law_id: &ElectionId, accepted: AcceptedBlock) {
        self.elections.entry(law_id.clone()).or_default().accepted = Some(accepted);
    }

    /// Records a cosignature that is durable.
    pub fn record_cosigned(&mut self, law_id: &ElectionId, point: LogPoint) {
        self.elections.entry(law_id.clone()).or_default().cosigned = Some(point);
    }

    /// Records that a block is certified. Drops an accepted or cosigned block at or below its
    /// height.
    pub fn record_certified(&mut self, law_id: &ElectionId, point: LogPoint) {
        let election = self.elections.entry(law_id.clone()).or_default();
        if point.height <= election.certified.height {
            return;
        }
        election.certified = point;
        election.accepted =
            election.accepted.filter(|accepted| accepted.point.height > point.height);
        election.cosigned = election.cosigned.filter(|cosigned| cosigned.height > point.height);
    }

    /// The state of an election; empty for an unknown election.
    #[must_use]
    pub fn election(&self, law_id: &ElectionId) -> ElectionMemory {
        self.elections.get(law_id).cloned().unwrap_or_default()
    }
}
