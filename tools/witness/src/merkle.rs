//! Consistency proofs of the Merkle tree of RFC 6962, verified as RFC 9162, section 2.1.4.2 says.

use sha2::{Digest as _, Sha256};

pub(crate) type Hash = [u8; 32];

/// The root of the empty tree.
pub(crate) fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The hash of an inner node: SHA-256(0x01, left, right).
fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Whether the proof shows that the new tree begins with the old one. A tree is consistent with
/// itself, and the empty tree with every tree: both have the empty proof.
pub(crate) fn is_consistent(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    if old_size == 0 {
        return proof.is_empty();
    }
    if old_size > new_size {
        return false;
    }
    // The root of a complete old tree is itself a node of the new one: the proof leaves it out.
    let mut path = proof.iter();
    let first = if old_size.is_power_of_two() { Some(old_root) } else { path.next() };
    let Some(first) = first else { return false };
    let (mut old_node, mut new_node) = (old_size - 1, new_size - 1);
    let shift = old_node.trailing_ones();
    (old_node, new_node) = (old_node >> shift, new_node >> shift);
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in path {
        if new_node == 0 {
            return false;
        }
        if old_node & 1 == 1 || old_node == new_node {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while old_node & 1 == 0 && old_node != 0 {
                (old_node, new_node) = (old_node >> 1, new_node >> 1);
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        (old_node, new_node) = (old_node >> 1, new_node >> 1);
    }
    old_hash == *old_root && new_hash == *new_root && new_node == 0
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The leaf hashes of a log of this many different leaves.
    pub(crate) fn leaves(count: u64) -> Vec<Hash> {
        let hash = |number: u64| Sha256::new().chain_update([0]).chain_update(number.to_be_bytes());
        (0..count).map(|number| hash(number).finalize().into()).collect()
    }

    /// The largest power of two below a number of leaves.
    fn split(count: usize) -> usize {
        count.next_power_of_two() / 2
    }

    /// `MTH` of RFC 6962, section 2.1.
    pub(crate) fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [only] => *only,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                node_hash(&root(left), &root(right))
            }
        }
    }

    /// `PROOF` of RFC 6962, section 2.1.2.
    pub(crate) fn proof(old: usize, leaves: &[Hash]) -> Vec<Hash> {
        if old == 0 { Vec::new() } else { subproof(old, leaves, true) }
    }

    fn subproof(old: usize, leaves: &[Hash], is_whole: bool) -> Vec<Hash> {
        if old == leaves.len() {
            return if is_whole { Vec::new() } else { vec![root(leaves)] };
        }
        let at = split(leaves.len());
        let (left, right) = leaves.split_at(at);
        let (mut path, sibling) = if old <= at {
            (subproof(old, left, is_whole), root(right))
        } else {
            (subproof(old - at, right, false), root(left))
        };
        path.push(sibling);
        path
    }

    #[test]
    fn every_proof_of_small_trees_verifies_and_no_changed_one_does() {
        let leaves = leaves(19);
        for new in 0..=leaves.len() {
            for old in 0..=new {
                let (old_root, new_root) = (root(&leaves[..old]), root(&leaves[..new]));
                let good = proof(old, &leaves[..new]);
                let verify = |proof: &[Hash], old_root: &Hash, new_root: &Hash| {
                    is_consistent((old as u64, old_root), (new as u64, new_root), proof)
                };
                assert!(verify(&good, &old_root, &new_root), "{old} {new}");
                let longer = [good.as_slice(), &[[7; 32]]].concat();
                assert!(!verify(&longer, &old_root, &new_root), "{old} {new}");
                if old == 0 {
                    continue;
                }
                assert!(!verify(&good, &[7; 32], &new_root), "{old} {new}");
                assert!(!verify(&good, &old_root, &[7; 32]), "{old} {new}");
                for index in 0..good.len() {
                    let mut changed = good.clone();
                    changed[index][5] ^= 1;
                    assert!(!verify(&changed, &old_root, &new_root), "{old} {new} {index}");
                    assert!(!verify(&good[..index], &old_root, &new_root), "{old} {new} {index}");
                }
            }
        }
    }

    #[test]
    fn a_tree_does_not_shrink() {
        let leaves = leaves(4);
        let (old, new) = (root(&leaves), root(&leaves[..2]));
        assert!(!is_consistent((4, &old), (2, &new), &[]));
    }
}
