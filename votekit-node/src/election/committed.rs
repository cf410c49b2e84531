//! The durable state of an election that readers see.

use votekit_core::election::State;
use votekit_core::election_log::ElectionLog;
use votekit_core::id::NodeId;
use votekit_core::instant::UnixMinutes;
use votekit_core::log::merkle::TreeBuilder;
use votekit_core::results::Results;
use votekit_store::{Head, StagingId};

/// The durable state of an election. Readers see nothing else.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) results: Results,
    pub(crate) height: u64,
    pub(crate) tree: TreeBuilder,
    pub(crate) checkpoint: Vec<u8>,
    pub(crate) sealed_through: StagingId,
    /// Whether `results` has the counts that may be shown: a node that only follows the log knows
    /// no running counts that the log does not open.
    pub(crate) knows_counts: bool,
    pub(crate) closes: Option<UnixMinutes>,
    pub(crate) opens: Option<UnixMinutes>,
    /// Whether the log admits the ingest key of this node: otherwise none of its batches would ever
    /// be sealed.
    pub(crate) admits_this_node: bool,
}

impl Committed {
    pub(crate) fn new(
        log: &ElectionLog,
        node: NodeId,
        checkpoint: Vec<u8>,
        sealed_through: StagingId,
    ) -> Self {
        Self {
            results: log.results(),
            height: log.height(),
            tree: log.tree().clone(),
            checkpoint,
            sealed_through,
            knows_counts: log.knows_counts(),
            closes: log.window().closes,
            opens: log.window().opens.or(log.definition().opens),
            admits_this_node: log.node_key(node).is_some(),
        }
    }

    pub(crate) fn state(&self) -> State {
        self.results.state
    }

    /// The closing time for display. A poll that is closed by hand still accepts the votes of that
    /// minute, so the log has the following minute.
    pub(crate) fn closing_minute(&self) -> Option<UnixMinutes> {
        let is_by_hand =
            self.state() >= State::Closing && self.closes != self.results.definition.closes;
        self.closes.map(|closes| UnixMinutes(closes.0.saturating_sub(u64::from(is_by_hand))))
    }

    /// Checks that `head` equals this log's head or can extend it: a published result is never
    /// withdrawn. Otherwise fails with the rule that it breaks.
    pub(crate) fn check_extends(&self, head: &Head) -> Result<(), &'static str> {
        if head.height < self.height || head.size < self.size() {
            return Err("its log is shorter than a log seen by this node");
        }
        if head.height == self.height
            && (head.size != self.size()
                || head.root.as_bytes() != self.results.log_root.as_bytes())
        {
            return Err("its log has the size of a log seen by this node, but another root");
        }
        Ok(())
    }

    /// Leaves in the log.
    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }
}
