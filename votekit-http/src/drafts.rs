//! Which elections are drafts: created, and never opened.

use votekit_core::id::ElectionId;
use votekit_node::{ElectionView, Node};

/// The state of a draft in a view.
const DRAFT: &str = "draft";

/// Whether an election is a draft. A view that was read before the opening still shows a draft; the
/// view of a halted election does not show it.
pub(crate) fn is_draft(node: &Node, election: &ElectionView) -> bool {
    election.state == DRAFT
        || election.law_id.parse::<ElectionId>().is_ok_and(|law| node.is_draft(&law))
}
