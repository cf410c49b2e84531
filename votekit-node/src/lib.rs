//! The votekit node.
