//! The Merkle tree of RFC 6962 section 2.1 over SHA-256: hashes, growth, roots and proofs.
//!
//! - [`TreeBuilder`] grows a tree leaf by leaf and returns each tile as it fills: the writer's
//!   side.
//! - [`RootHasher`] computes the root of a stream of leaves without keeping the tree, in parts if
//!   needed: the verifier's side.
//! - [`prove_inclusion`] and [`prove_consistency`] read tiles; [`verify_inclusion`] and
//!   [`verify_consistency`] need only hashes.
//!
//! Sizes and indices count leaves.

mod builder;
mod prove;
mod root;
mod verify;

pub use builder::{FullTile, RestoreError, TreeBuilder};
pub use prove::{ProveError, TileReader, prove_consistency, prove_inclusion, root_of_tiles};
pub use root::{MisalignedError, RootHasher};
pub use verify::{ProofError, verify_consistency, verify_inclusion};

pub use super::tree_hash::{TreeHash, empty_root, leaf_hash, node_hash};

/// Joins the perfect subtrees of a tree, given from left to right, each larger than the next. RFC
/// 6962 splits off the largest power of two each time, so they join from the right.
fn join_from_right(subtrees: impl DoubleEndedIterator<Item = TreeHash>) -> Option<TreeHash> {
    subtrees.rev().reduce(|right, left| node_hash(&left, &right))
}

/// The hash of a perfect subtree from the hashes of its 2^k equal parts.
fn perfect_hash(parts: &[TreeHash]) -> TreeHash {
    debug_assert!(
        parts.len().is_power_of_two(),
        "a perfect subtree has 2^k parts, not {}",
        parts.len()
    );
    match parts {
        [part] => *part,
        _ => {
            let (left, right) = parts.split_at(parts.len() / 2);
            node_hash(&perfect_hash(left), &perfect_hash(right))
        }
    }
}

#[cfg(test)]
#[path = "merkle_test.rs"]
mod tests;
