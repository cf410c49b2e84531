//! Authorities with fixed keys, and a small signed log, for the tests of this module.

use super::checkpoint::{Checkpoint, Cosigner, SignedCheckpoint};
use super::merkle::{FullTile, TileReader, TreeBuilder, TreeHash, leaf_hash};
use super::note::{KeyName, SigningKey};
use super::policy::{Authority, Policy};
use super::tile::Tile;
use crate::instant::UnixSeconds;

pub(super) fn origin() -> KeyName {
    "example.org/vote/test/L2025-001".parse().expect("a name")
}

/// One authority with keys derived from its number.
pub(super) struct SampleAuthority {
    pub(super) log_key: SigningKey,
    pub(super) cosigner: Cosigner,
    pub(super) public: Authority,
}

pub(super) fn authority(number: u8) -> SampleAuthority {
    let log_key = SigningKey::from_seed(origin(), &[number; 32]);
    let name = super::checkpoint::cosigner_name_of(
        &"example.org/vote".parse().expect("a name"),
        &format!("a{number}"),
    );
    let cosigner = Cosigner::from_seed(name.expect("a name"), &[0x80 | number; 32]);
    let public = Authority {
        name: format!("a{number}").parse().expect("a name"),
        log_key: log_key.verifier().clone(),
        cosigner_key: cosigner.verifier().clone(),
    };
    SampleAuthority { log_key, cosigner, public }
}

pub(super) fn authorities(count: u8) -> Vec<SampleAuthority> {
    (1..=count).map(authority).collect()
}

/// The policy in which a majority is a quorum.
pub(super) fn policy(authorities: &[SampleAuthority]) -> Policy {
    let public: Vec<Authority> =
        authorities.iter().map(|authority| authority.public.clone()).collect();
    Policy::for_election(&public, public.len() / 2 + 1).expect("a policy")
}

/// A checkpoint signed by the first authority and cosigned by those at the indices `cosigners`.
pub(super) fn signed(
    checkpoint: &Checkpoint,
    authorities: &[SampleAuthority],
    cosigners: &[usize],
) -> SignedCheckpoint {
    let log_signature = checkpoint.sign(&authorities[0].log_key).expect("its own log");
    let cosignatures = cosigners.iter().map(|place| {
        authorities[*place]
            .cosigner
            .cosign(checkpoint, UnixSeconds(1_763_700_000))
            .expect("an honest time")
    });
    SignedCheckpoint::new(checkpoint.clone(), log_signature, cosignatures).expect("few signatures")
}

/// A whole tree in memory.
pub(super) struct SampleTree {
    pub(super) builder: TreeBuilder,
    pub(super) full_tiles: Vec<FullTile>,
}

pub(super) fn leaf(index: u64) -> Vec<u8> {
    format!("leaf {index}").into_bytes()
}

impl SampleTree {
    /// A tree of `size` leaves: `leaf 0`, `leaf 1` and so on.
    pub(super) fn with_size(size: u64) -> Self {
        let mut tree = Self { builder: TreeBuilder::new(), full_tiles: Vec::new() };
        (0..size)
            .for_each(|index| tree.builder.append(leaf_hash(&leaf(index)), &mut tree.full_tiles));
        tree
    }
}

impl TileReader for SampleTree {
    type Error = std::convert::Infallible;

    fn hashes(&self, tile: Tile) -> Result<Vec<TreeHash>, Self::Error> {
        let full = self
            .full_tiles
            .iter()
            .find(|full| (full.tile.level(), full.tile.index()) == (tile.level(), tile.index()));
        Ok(full.map_or_else(
            || self.builder.partial_tile(tile.level()).to_vec(),
            |full| full.hashes.clone(),
        ))
    }
}
