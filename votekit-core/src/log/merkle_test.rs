use std::collections::HashMap;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::log::samples::{SampleTree, leaf};
use crate::log::tile::{Tile, TilePath};

/// RFC 6962 section 2.1 word for word, recursive, over ranges of leaves. Shares nothing with the
/// code under test.
struct Naive {
    leaves: Vec<Vec<u8>>,
    known: HashMap<(usize, usize), [u8; 32]>,
}

impl Naive {
    fn new(size: u64) -> Self {
        Self { leaves: (0..size).map(leaf).collect(), known: HashMap::new() }
    }

    fn sha(parts: &[&[u8]]) -> [u8; 32] {
        parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize().into()
    }

    /// MTH(D[from:to]).
    fn mth(&mut self, from: usize, to: usize) -> [u8; 32] {
        if let Some(hash) = self.known.get(&(from, to)) {
            return *hash;
        }
        let hash = match to - from {
            0 => Self::sha(&[]),
            1 => Self::sha(&[&[0], &self.leaves[from]]),
            n => {
                let k = Self::k(n);
                let (left, right) = (self.mth(from, from + k), self.mth(from + k, to));
                Self::sha(&[&[1], &left, &right])
            }
        };
        self.known.insert((from, to), hash);
        hash
    }

    /// The largest power of two smaller than n.
    fn k(n: usize) -> usize {
        (0..).map(|bit| 1 << bit).take_while(|k| *k < n).last().expect("n > 1")
    }

    /// PATH(m, D[from:to]).
    fn path(&mut self, m: usize, from: usize, to: usize) -> Vec<[u8; 32]> {
        if to - from == 1 {
            return Vec::new();
        }
        let k = Self::k(to - from);
        let (mut path, sibling) = if m < k {
            (self.path(m, from, from + k), self.mth(from + k, to))
        } else {
            (self.path(m - k, from + k, to), self.mth(from, from + k))
        };
        path.push(sibling);
        path
    }

    /// SUBPROOF(m, D[from:to], b).
    fn subproof(&mut self, m: usize, from: usize, to: usize, complete: bool) -> Vec<[u8; 32]> {
        if m == to - from {
            return if complete { Vec::new() } else { vec![self.mth(from, to)] };
        }
        let k = Self::k(to - from);
        let (mut proof, sibling) = if m <= k {
            (self.subproof(m, from, from + k, complete), self.mth(from + k, to))
        } else {
            (self.subproof(m - k, from + k, to, false), self.mth(from, from + k))
        };
        proof.push(sibling);
        proof
    }
}

fn raw(hashes: &[TreeHash]) -> Vec<[u8; 32]> {
    hashes.iter().map(|hash| *hash.as_bytes()).collect()
}

/// The eight leaves and roots that implementations of Certificate Transparency share since its
/// first reference code.
#[test]
fn certificate_transparency_roots() {
    let leaves = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    assert_eq!(
        empty_root().to_hex(),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert_eq!(TreeBuilder::new().root(), empty_root());
    assert_eq!(RootHasher::new().root(), empty_root());
    let (mut builder, mut hasher) = (TreeBuilder::new(), RootHasher::new());
    for (leaf, root) in leaves.iter().zip(roots) {
        let hash = leaf_hash(&const_hex::decode(leaf).expect("hexadecimal"));
        builder.append(hash, &mut Vec::new());
        hasher.push(hash);
        assert_eq!(builder.root().to_hex(), root);
        assert_eq!(hasher.root().to_hex(), root);
    }
}

/// All trees up to this size are compared with the naive ones: past one full tile.
const SMALL: u64 = 300;

/// The roots of all small trees, the empty one first. Builder and naive tree agree on each.
fn small_roots(naive: &mut Naive) -> Vec<TreeHash> {
    let mut growing = TreeBuilder::new();
    let mut roots = vec![growing.root()];
    for size in 1..=SMALL {
        growing.append(leaf_hash(&leaf(size - 1)), &mut Vec::new());
        roots.push(growing.root());
        assert_eq!(growing.root().as_bytes(), &naive.mth(0, size as usize), "{size}");
    }
    roots
}

#[test]
fn inclusion_proofs_of_all_small_trees_match_the_naive_ones() {
    let (tree, mut naive) = (SampleTree::with_size(SMALL), Naive::new(SMALL));
    let roots = small_roots(&mut naive);
    let leaves: Vec<TreeHash> = (0..SMALL).map(|index| leaf_hash(&leaf(index))).collect();
    for size in 1..=SMALL {
        assert_eq!(root_of_tiles(&tree, size), Ok(roots[size as usize]));
        for index in 0..size {
            let proof = prove_inclusion(&tree, index, size).expect("in the tree");
            assert_eq!(
                raw(&proof),
                naive.path(index as usize, 0, size as usize),
                "{index} of {size}"
            );
            assert_eq!(
                verify_inclusion(
                    &leaves[index as usize],
                    index,
                    size,
                    &proof,
                    &roots[size as usize]
                ),
                Ok(())
            );
        }
    }
}

#[test]
fn consistency_proofs_of_all_small_trees_match_the_naive_ones() {
    let (tree, mut naive) = (SampleTree::with_size(SMALL), Naive::new(SMALL));
    let roots = small_roots(&mut naive);
    for second in 0..=SMALL {
        for first in 0..=second {
            let proof = prove_consistency(&tree, first, second).expect("in the tree");
            if first > 0 {
                assert_eq!(
                    raw(&proof),
                    naive.subproof(first as usize, 0, second as usize, true),
                    "{first} to {second}"
                );
            }
            let (old, new) = (&roots[first as usize], &roots[second as usize]);
            assert_eq!(verify_consistency(first, old, second, new, &proof), Ok(()));
        }
    }
}

/// For every index and size, no other length, order, hash, index or size is accepted.
#[test]
fn any_change_to_an_inclusion_proof_is_refused() {
    let tree = SampleTree::with_size(40);
    for size in 1..=40 {
        let root = root_of_tiles(&tree, size).expect("in the tree");
        for index in 0..size {
            let (hash, proof) = (
                leaf_hash(&leaf(index)),
                prove_inclusion(&tree, index, size).expect("in the tree"),
            );
            for changed in changes(&proof) {
                assert!(
                    verify_inclusion(&hash, index, size, &changed, &root).is_err(),
                    "{index} of {size}"
                );
            }
            for other in (0..=size).filter(|other| *other != index) {
                assert!(
                    verify_inclusion(&hash, other, size, &proof, &root).is_err(),
                    "{index} as {other} of {size}"
                );
            }
            assert!(verify_inclusion(&flipped(hash, 7), index, size, &proof, &root).is_err());
            assert!(verify_inclusion(&hash, index, size, &proof, &flipped(root, 31)).is_err());
        }
    }
}

#[test]
fn any_change_to_a_consistency_proof_is_refused() {
    let tree = SampleTree::with_size(40);
    let roots: Vec<TreeHash> =
        (0..=40).map(|size| root_of_tiles(&tree, size).expect("in the tree")).collect();
    for second in 0..=40 {
        for first in 0..=second {
            let (old, new) = (roots[first as usize], roots[second as usize]);
            let proof = prove_consistency(&tree, first, second).expect("in the tree");
            for changed in changes(&proof) {
                assert!(
                    verify_consistency(first, &old, second, &new, &changed).is_err(),
                    "{first} to {second}"
                );
            }
            assert!(
                verify_consistency(first, &flipped(old, 0), second, &new, &proof).is_err(),
                "{first} to {second}"
            );
            if first > 0 {
                assert!(
                    verify_consistency(first, &old, second, &flipped(new, 0), &proof).is_err(),
                    "{first} to {second}"
                );
            }
            if first < second {
                assert_eq!(
                    verify_consistency(second, &new, first, &old, &proof),
                    Err(ProofError::Shrunk { first: second, second: first })
                );
            }
        }
    }
}

/// The proof with each byte of each hash changed, with one hash too many, with one too few.
fn changes(proof: &[TreeHash]) -> Vec<Vec<TreeHash>> {
    let mut changes = Vec::new();
    for place in 0..proof.len() {
        for byte in 0..32 {
            let mut changed = proof.to_vec();
            changed[place] = flipped(changed[place], byte);
            changes.push(changed);
        }
        let mut shorter = proof.to_vec();
        shorter.remove(place);
        changes.push(shorter);
    }
    for place in 0..=proof.len() {
        let mut longer = proof.to_vec();
        longer.insert(place, empty_root());
        changes.push(longer);
    }
    changes
}

fn flipped(hash: TreeHash, byte: usize) -> TreeHash {
    let mut bytes = *hash.as_bytes();
    bytes[byte] ^= 0x10;
    TreeHash::from_bytes(bytes)
}

#[test]
fn proofs_at_the_ends_of_the_number_range_do_not_overflow() {
    let hash = empty_root();
    for (index, size) in
        [(u64::MAX - 1, u64::MAX), (0, u64::MAX), (1 << 63, u64::MAX), (u64::MAX, u64::MAX)]
    {
        for length in [0, 1, 63, 64, 65, 200] {
            assert!(verify_inclusion(&hash, index, size, &vec![hash; length], &hash).is_err());
            assert!(
                verify_consistency(
                    index.max(1),
                    &hash,
                    size,
                    &flipped(hash, 0),
                    &vec![hash; length]
                )
                .is_err()
            );
        }
    }
}

/// The example of tlog-tiles: 70,000 leaves.
#[test]
fn the_tiles_of_seventy_thousand_leaves() {
    let tree = SampleTree::with_size(70_000);
    let full = |level| tree.full_tiles.iter().filter(|full| full.tile.level() == level).count();
    assert_eq!((full(0), full(1), full(2)), (273, 1, 0));
    let partial: Vec<String> =
        tree.builder.partial_tiles().map(|(tile, _)| tile.to_string()).collect();
    assert_eq!(partial, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
    for (tile, hashes) in tree.builder.partial_tiles() {
        assert_eq!(hashes.len(), usize::from(tile.width()));
        assert_eq!(Tile::in_tree(70_000, tile.level(), tile.index()), Some(tile));
    }
    // Tiles are returned in the order in which they fill, each once it has 256 hashes.
    for (number, full) in tree.full_tiles.iter().filter(|full| full.tile.level() == 0).enumerate() {
        assert_eq!(
            full.tile.to_string(),
            TilePath::Tile(Tile::new(0, number as u64, 256).expect("full")).to_string()
        );
        assert_eq!(full.hashes[255], leaf_hash(&leaf(256 * number as u64 + 255)));
    }
    let level_1 = tree.full_tiles.iter().find(|full| full.tile.level() == 1).expect("one");
    let first: RootHasher = (0..256).map(|index| leaf_hash(&leaf(index))).collect();
    assert_eq!(level_1.hashes[0], first.root());

    let whole: RootHasher = (0..70_000).map(|index| leaf_hash(&leaf(index))).collect();
    assert_eq!(tree.builder.root(), whole.root());
    assert_eq!(root_of_tiles(&tree, 70_000), Ok(whole.root()));
    for size in [1, 255, 256, 257, 65_535, 65_536, 65_537, 69_999, 70_000] {
        let root = root_of_tiles(&tree, size).expect("in the tree");
        let part: RootHasher = (0..size).map(|index| leaf_hash(&leaf(index))).collect();
        assert_eq!(root, part.root());
        for index in [0, size / 2, size - 1] {
            let proof = prove_inclusion(&tree, index, size).expect("in the tree");
            assert_eq!(
                verify_inclusion(&leaf_hash(&leaf(index)), index, size, &proof, &root),
                Ok(())
            );
        }
        let proof = prove_consistency(&tree, size, 70_000).expect("in the tree");
        assert_eq!(verify_consistency(size, &root, 70_000, &whole.root(), &proof), Ok(()));
    }
}

#[test]
fn a_tree_of_256_has_a_full_tile_and_one_above_it() {
    let tree = SampleTree::with_size(256);
    assert_eq!(tree.full_tiles.len(), 1);
    let partial: Vec<String> =
        tree.builder.partial_tiles().map(|(tile, _)| tile.to_string()).collect();
    assert_eq!(partial, ["tile/1/000.p/1"]);
}

#[test]
fn a_restored_tree_grows_like_the_original() {
    for size in [0, 1, 255, 256, 300, 65_535, 65_536, 65_800] {
        let mut original = SampleTree::with_size(size).builder;
        let edge = (0..8).map(|level| original.partial_tile(level).to_vec()).collect();
        let mut restored = TreeBuilder::restore(size, edge).expect("its own edge");
        assert_eq!(restored, original);
        let (mut tiles, mut original_tiles) = (Vec::new(), Vec::new());
        for index in size..size + 300 {
            restored.append(leaf_hash(&leaf(index)), &mut tiles);
            original.append(leaf_hash(&leaf(index)), &mut original_tiles);
        }
        assert_eq!(restored.root(), original.root());
        assert_eq!(tiles, original_tiles);
    }
}

#[test]
fn a_tree_is_restored_from_its_own_edge_only() {
    let hash = empty_root();
    assert_eq!(
        TreeBuilder::restore(257, vec![vec![hash]]),
        Err(RestoreError { size: 257, level: 1, expected: 1, found: 0 })
    );
    assert_eq!(
        TreeBuilder::restore(1, vec![vec![hash; 2]]),
        Err(RestoreError { size: 1, level: 0, expected: 1, found: 2 })
    );
    let mut too_high = vec![Vec::new(); 9];
    too_high[8] = vec![hash];
    assert_eq!(
        TreeBuilder::restore(0, too_high),
        Err(RestoreError { size: 0, level: 8, expected: 0, found: 1 })
    );
    assert!(TreeBuilder::restore(257, vec![vec![hash], vec![hash]]).is_ok());
}

/// A reader with short or missing tiles results in an error, not in a proof.
#[test]
fn a_short_or_missing_tile_is_named() {
    struct Broken(usize);
    impl TileReader for Broken {
        type Error = &'static str;
        fn hashes(&self, _: Tile) -> Result<Vec<TreeHash>, Self::Error> {
            if self.0 == 0 { Err("gone") } else { Ok(vec![empty_root(); self.0]) }
        }
    }
    let tile = Tile::new(0, 0, 9).expect("a tile");
    assert_eq!(prove_inclusion(&Broken(0), 8, 9), Err(ProveError::Read { tile, source: "gone" }));
    assert_eq!(prove_inclusion(&Broken(8), 8, 9), Err(ProveError::ShortTile { tile, found: 8 }));
    assert_eq!(
        prove_inclusion(&Broken(8), 9, 9),
        Err(ProveError::Range(ProofError::Index { index: 9, size: 9 }))
    );
    assert_eq!(
        prove_consistency(&Broken(8), 9, 8),
        Err(ProveError::Range(ProofError::Shrunk { first: 9, second: 8 }))
    );
}

#[test]
fn a_misaligned_part_is_refused_and_changes_nothing() {
    let mut hasher: RootHasher = (0..3).map(|index| leaf_hash(&leaf(index))).collect();
    let before = hasher.clone();
    assert_eq!(hasher.push_subtree(1, empty_root()), Err(MisalignedError { size: 3, height: 1 }));
    assert_eq!(hasher.append(&before), Err(MisalignedError { size: 3, height: 1 }));
    assert_eq!(
        RootHasher::new().push_subtree(64, empty_root()),
        Err(MisalignedError { size: 0, height: 64 })
    );
    assert_eq!(hasher, before);
}

proptest! {
    #[test]
    fn aligned_parts_join_to_the_whole(height in 0u32..10, parts in 1u64..6, tail in 0u64..1024) {
        let part = 1u64 << height;
        let tail = tail.min(part);
        let hashes = |from: u64, to: u64| {
            (from..to).map(|index| leaf_hash(&leaf(index))).collect::<RootHasher>()
        };
        let mut joined = RootHasher::new();
        for number in 0..parts {
            joined.append(&hashes(number * part, (number + 1) * part)).expect("aligned");
        }
        joined.append(&hashes(parts * part, parts * part + tail)).expect("aligned");
        prop_assert_eq!(joined, hashes(0, parts * part + tail));
    }

    #[test]
    fn random_hashes_prove_nothing(
        index in any::<u64>(),
        size in any::<u64>(),
        proof in prop::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        let proof: Vec<TreeHash> = proof.into_iter().map(TreeHash::from_bytes).collect();
        let root = empty_root();
        prop_assert!(verify_inclusion(&leaf_hash(b"x"), index, size, &proof, &root).is_err());
        if index > 0 {
            prop_assert!(verify_consistency(index, &leaf_hash(b"x"), size, &root, &proof).is_err());
        }
    }
}
