//! The data of an election that officials see in addition to its public view. Nothing in it depends
//! on the results policy: counts by choice are in it only where every policy shows them.

use votekit_core::election::{Definition, State};
use votekit_core::id::{Digest, ElectionId};
use votekit_core::instant::UnixMinutes;
use votekit_core::reconcile::Report;
use votekit_core::tally::Counts;

use crate::node::Node;

/// The definition, the times and the accounts of an election.
#[derive(Debug, Clone)]
pub struct OfficialView {
    /// The definition, with planned times. The log publishes it.
    pub definition: Definition,
    /// The state.
    pub state: State,
    /// When the poll opened.
    pub opened: Option<UnixMinutes>,
    /// When it closed.
    pub closed: Option<UnixMinutes>,
    /// Electors registered.
    pub registered: u64,
    /// The received votes, by outcome.
    pub report: Report,
    /// Counts by choice: all zero in a draft, all votes after the close, `None` in between and
    /// where this node does not know them.
    pub counts: Option<Counts>,
    /// The manifests of the rolls in effect, in their order.
    pub manifests: Vec<Digest>,
}

impl Node {
    /// One election as officials see it. `None` if there is no such election.
    #[must_use]
    pub fn official_view(&self, law_id: &ElectionId) -> Option<OfficialView> {
        let election = self.context.election(law_id)?;
        let committed = election.committed();
        let results = &committed.results;
        let state = committed.state();
        let is_open = matches!(state, State::Open | State::Closing);
        let counts = (committed.knows_counts && !is_open).then(|| results.counts.clone());
        Some(OfficialView {
            definition: results.definition.clone(),
            state,
            opened: results.opened,
            closed: results.closed,
            registered: results.registered,
            report: results.report,
            counts,
            manifests: election.log().manifests().to_vec(),
        })
    }
}
