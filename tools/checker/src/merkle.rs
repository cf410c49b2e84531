//! The Merkle tree of RFC 6962, section 2.1, written from its recursive definition; for many sizes
//! of one log from its complete subtrees.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

pub(crate) type Hash = [u8; 32];

/// The hash of a leaf: SHA-256(0x00, leaf).
pub(crate) fn leaf_hash(leaf: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(leaf).finalize().into()
}

/// The root over leaf hashes. The left subtree has the largest power of two below the leaf count.
pub(crate) fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [only] => *only,
        _ => {
            let left = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(left);
            node(root(left), root(right))
        }
    }
}

fn node(left: Hash, right: Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root over the first leaves, for each of these sizes that the leaves reach. One pass: a long
/// run has thousands of checkpoints.
pub(crate) fn prefix_roots(leaves: &[Hash], sizes: &BTreeSet<usize>) -> BTreeMap<usize, Hash> {
    let mut roots = BTreeMap::new();
    if sizes.contains(&0) {
        roots.insert(0, root(&[]));
    }
    // Complete subtrees from left to right, each with its number of leaves.
    let mut subtrees: Vec<(usize, Hash)> = Vec::new();
    for (place, leaf) in leaves.iter().enumerate() {
        let mut last = (1, *leaf);
        while let Some((size, left)) = subtrees.pop_if(|(size, _)| *size == last.0) {
            last = (2 * size, node(left, last.1));
        }
        subtrees.push(last);
        if sizes.contains(&(place + 1)) {
            let hashes = subtrees.iter().rev().map(|(_, hash)| *hash);
            if let Some(root) = hashes.reduce(|right, left| node(left, right)) {
                roots.insert(place + 1, root);
            }
        }
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of Certificate Transparency's reference implementation.
    #[test]
    fn the_roots_are_those_of_certificate_transparency() {
        let inputs = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let leaves: Vec<Hash> =
            inputs.iter().map(|leaf| leaf_hash(&const_hex::decode(leaf).expect("hex"))).collect();
        for (size, expected) in [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ] {
            assert_eq!(const_hex::encode(root(&leaves[..size])), expected, "{size} leaves");
        }
    }

    #[test]
    fn the_roots_of_all_prefixes_are_those_of_the_definition() {
        let leaves: Vec<Hash> = (0..70_u8).map(|number| leaf_hash(&[number])).collect();
        let roots = prefix_roots(&leaves, &(0..100).collect());
        assert_eq!(roots.len(), 71, "larger sizes have no root");
        for (size, found) in roots {
            assert_eq!(found, root(&leaves[..size]), "{size} leaves");
        }
    }
}
