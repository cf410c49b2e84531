//! The hashes of the tree (RFC 6962 section 2.1, SHA-256): of a leaf, of a node, of no leaves.

use sha2::{Digest as _, Sha256};

use crate::id::hex_bytes;

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
