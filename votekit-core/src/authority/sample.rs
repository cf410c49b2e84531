//! Authorities with fixed keys, for tests.
//!
//! Every key derives from a fixed seed that `fixtures/README.md` lists: never use one for a real
//! election.

use super::{AuthorityMember, AuthoritySet, SetWitness, StatementKey};
use crate::ballot::BallotSecretKey;
use crate::id::ElectionId;
use crate::log::checkpoint::{Cosigner, cosigner_name_of, origin_of};
use crate::log::note::{KeyName, SigningKey};

/// The base of the sample's key names.
pub const BASE: &str = "votekit.example";

/// The secret keys of one authority, `authority-1` to `authority-32`.
///
/// Each seed is one byte 32 times: the authority's number plus 32 for the log key, 64 for the
/// cosigner key, 96 for the statement key and 128 for the transport key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleAuthority {
    number: u8,
}

impl SampleAuthority {
    /// The authority of a number.
    ///
    /// # Panics
    /// For a number that is not from 1 to 32.
    #[must_use]
    pub fn new(number: u8) -> Self {
        assert!((1..=32).contains(&number), "authorities are numbered 1 to 32");
        Self { number }
    }

    /// The name.
    ///
    /// # Panics
    /// Never: the name is well formed.
    #[must_use]
    pub fn name(&self) -> KeyName {
        format!("authority-{}", self.number).parse().expect("a key name")
    }

    /// The log key, for one election.
    ///
    /// # Panics
    /// Never: the name is well formed.
    #[must_use]
    pub fn log_key(&self, law_id: &ElectionId, binding: bool) -> SigningKey {
        let origin = origin_of(&base(), law_id, binding).expect("a key name");
        SigningKey::from_seed(origin, &[32 + self.number; 32])
    }

    /// The cosigner key.
    ///
    /// # Panics
    /// Never: the name is well formed.
    #[must_use]
    pub fn cosigner(&self) -> Cosigner {
        let name = cosigner_name_of(&base(), self.name().as_str()).expect("a key name");
        Cosigner::from_seed(name, &[64 + self.number; 32])
    }

    /// The statement key.
    #[must_use]
    pub fn statement_key(&self) -> StatementKey {
        StatementKey::from_seed(&base(), &self.name(), &[96 + self.number; 32])
    }

    /// The transport key.
    #[must_use]
    pub fn transport_key(&self) -> BallotSecretKey {
        BallotSecretKey::from_seed(&[128 + self.number; 32])
    }

    /// The public keys.
    #[must_use]
    pub fn member(&self) -> AuthorityMember {
        // The name of a log key depends on the election, its bytes do not.
        let log = SigningKey::from_seed(base(), &[32 + self.number; 32]);
        AuthorityMember {
            name: self.name(),
            log: *log.verifier().public_key(),
            cosigner: *self.cosigner().verifier().public_key(),
            statement: self.statement_key().public(),
            transport: *self.transport_key().public_key().as_bytes(),
        }
    }
}

/// The base as a key name.
///
/// # Panics
/// Never: it is well formed.
#[must_use]
pub fn base() -> KeyName {
    BASE.parse().expect("a key name")
}

/// The set of the authorities 1 to `count`.
///
/// # Panics
/// For a count that is not from 1 to 32, or a quorum that is not from a majority to the count.
#[must_use]
pub fn authority_set(count: u8, quorum: usize) -> AuthoritySet {
    let members = (1..=count).map(|number| SampleAuthority::new(number).member()).collect();
    AuthoritySet::new(base(), quorum, members).expect("sample authorities")
}

/// The key of an outside witness, from 1 to 32: `witness.example/w1` and so on. Its seed is the
/// byte 200 plus the number, 32 times.
///
/// # Panics
/// For a number that is not from 1 to 32.
#[must_use]
pub fn witness_cosigner(number: u8) -> Cosigner {
    assert!((1..=32).contains(&number), "witnesses are numbered 1 to 32");
    let name = format!("witness.example/w{number}").parse().expect("a key name");
    Cosigner::from_seed(name, &[200 + number; 32])
}

/// An outside witness, fed by the authority of the same number.
///
/// # Panics
/// For a number that is not from 1 to 32.
#[must_use]
pub fn witness(number: u8, url: &str) -> SetWitness {
    SetWitness {
        name: format!("w{number}").parse().expect("a key name"),
        key: witness_cosigner(number).verifier().clone(),
        url: url.to_owned(),
        fed_by: SampleAuthority::new(number).name(),
    }
}
