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

use sha2::{Digest as _, Sha256};

use crate::id::hex_bytes;

mod builder;
mod prove;
mod root;
mod verify;

pub use builder::{FullTile, RestoreError, TreeBuilder};
pub use prove::{ProveError, TileReader, prove_consistency, prove_inclusion, root_of_tiles};
pub use root::{MisalignedError, RootHasher};
pub use verify::{ProofError, verify_consistency, verify_inclusion};

hex_bytes! {
    /// The Merkle tree hash of some consecutive leaves: of one leaf, of a subtree, or of the whole
    /// tree.
    TreeHash, 32
}

/// The hash of one leaf: SHA-256 of 0x00 and its bytes.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> TreeHash {
    TreeHash(Sha256::new().chain_update([0x00]).chain_update(leaf).finalize().into())
}

/// The hash of two subtrees side by side: SHA-256 of 0x01 and their hashes.
#[must_use]
pub fn node_hash(left: &TreeHash, right: &TreeHash) -> TreeHash {
    let mut message = [0x01; 65];
    message[1..33].copy_from_slice(left.as_bytes());
    message[33..].copy_from_slice(right.as_bytes());
    TreeHash(Sha256::digest(message).into())
}

/// The root of the tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> TreeHash {
    TreeHash(Sha256::digest([]).into())
}

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
