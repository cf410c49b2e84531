//! Policies (C2SP tlog-policy): the known logs, the known witnesses, and which of the witnesses
//! must have cosigned.
//!
//! A policy file is a verifier's only trusted input. Any policy of the specification with Ed25519
//! keys is accepted (logs of type 0x01, witnesses of type 0x04); [`Policy::for_election`] writes
//! the policy of a votekit election, [`Policy::for_election_with_witnesses`] writes a policy with
//! outside witnesses.

use std::fmt;
use std::str::FromStr;

mod election;
mod outside;
mod parse;
mod verify;

pub use outside::WitnessedCheckpoint;
pub use parse::{PolicyError, PolicyRule};
pub use verify::{Cosignature, VerifiedCheckpoint, VerifyError};

use super::note::{KeyKind, KeyName, VerifierKey};
use crate::id::Digest;

/// The name of a witness or group inside a policy: opaque bytes without white space or control
/// characters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyName(Vec<u8>);

impl PolicyName {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for PolicyName {
    type Err = PolicyNameError;

    fn from_str(text: &str) -> Result<Self, PolicyNameError> {
        let offends = |byte: u8| byte <= b' ' || byte == 0x7f;
        if text.is_empty() || text.bytes().any(offends) {
            return Err(PolicyNameError);
        }
        Ok(Self(text.as_bytes().to_vec()))
    }
}

/// A text is not the name of a witness or group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name in a policy is not empty and holds no white space or control character")]
pub struct PolicyNameError;

impl fmt::Display for PolicyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for PolicyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A log whose checkpoints are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Its key, named after the log's origin.
    pub key: VerifierKey,
    /// Its URL, if the policy gives one; opaque.
    pub url: Option<Vec<u8>>,
}

/// A witness whose cosignature counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Its name in the policy.
    pub name: PolicyName,
    /// Its key.
    pub key: VerifierKey,
    /// Its URL, if the policy gives one; opaque.
    pub url: Option<Vec<u8>>,
}

/// Witnesses and groups of which at least `threshold` must have witnessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name in the policy.
    pub name: PolicyName,
    /// Members that must have witnessed, from 1 to all.
    pub threshold: usize,
    /// Its members, each defined before it.
    pub members: Vec<Member>,
}

/// The object that a name in a policy stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    /// The witness at this index of [`Policy::witnesses`].
    Witness(usize),
    /// The group at this index of [`Policy::groups`].
    Group(usize),
}

/// One authority of an election, for [`Policy::for_election`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Its name in the policy.
    pub name: KeyName,
    /// Its log key (type 0x01), named after the election's origin.
    pub log_key: VerifierKey,
    /// Its cosigner key (type 0x04).
    pub cosigner_key: VerifierKey,
}

/// A policy, with the bytes it was read from.
///
/// ```
/// use votekit_core::log::policy::Policy;
///
/// let policy = Policy::parse(b"# Nobody needs to cosign.\nquorum none\n")?;
/// assert!(policy.is_quorum(&[]));
/// # Ok::<(), votekit_core::log::policy::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    bytes: Vec<u8>,
    logs: Vec<Log>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    quorum: Option<Member>,
}

impl Policy {
    /// The longest policy accepted, in bytes.
    pub const BYTES_MAX: usize = 1 << 18;
    /// The most logs, the most witnesses and the most groups accepted. The specification asks for
    /// at least 32 of each.
    pub const ENTRIES_MAX: usize = 256;

    /// The bytes of the file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the file's bytes, which a verifier pins.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::compute(&self.bytes)
    }

    /// The logs, in the file's order.
    #[must_use]
    pub fn logs(&self) -> &[Log] {
        &self.logs
    }

    /// The witnesses, in the file's order.
    #[must_use]
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// The witnesses that are authorities: the members of the group `authorities`, or every witness
    /// of a policy without that group.
    #[must_use]
    pub fn authorities(&self) -> Vec<&Witness> {
        match self.group_named(election::AUTHORITIES) {
            Some(index) => self.witnesses_in(index).collect(),
            None => self.witnesses.iter().collect(),
        }
    }

    /// The index of the group of a name.
    fn group_named(&self, name: &str) -> Option<usize> {
        self.groups.iter().position(|group| group.name.as_bytes() == name.as_bytes())
    }

    /// The witnesses that are members of the group at an index, in the group's order.
    fn witnesses_in(&self, group: usize) -> impl Iterator<Item = &Witness> {
        self.groups[group].members.iter().filter_map(move |member| match *member {
            Member::Witness(index) => self.witnesses.get(index),
            Member::Group(_) => None,
        })
    }

    /// The groups, in the file's order.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The witness or group that must have witnessed; `None` for `quorum none`.
    #[must_use]
    pub fn quorum(&self) -> Option<Member> {
        self.quorum
    }

    /// Whether these witnesses are a quorum: `cosigned` says, for each of [`Policy::witnesses`],
    /// whether it has cosigned. Missing elements count as not cosigned.
    #[must_use]
    pub fn is_quorum(&self, cosigned: &[bool]) -> bool {
        self.is_met(self.quorum, cosigned)
    }

    /// Whether these witnesses satisfy a witness or a group; `None` asks for none.
    fn is_met(&self, quorum: Option<Member>, cosigned: &[bool]) -> bool {
        // Members are defined before their group, so one pass in order decides every group.
        let mut met: Vec<bool> = Vec::with_capacity(self.groups.len());
        let has_witnessed = |member: &Member, met: &[bool]| match *member {
            Member::Witness(index) => cosigned.get(index) == Some(&true),
            Member::Group(index) => met[index],
        };
        for group in &self.groups {
            let count = group.members.iter().filter(|member| has_witnessed(member, &met)).count();
            met.push(count >= group.threshold);
        }
        quorum.is_none_or(|member| has_witnessed(&member, &met))
    }
}

const LOG_KIND: KeyKind = KeyKind::Ed25519;
const WITNESS_KIND: KeyKind = KeyKind::CosignatureV1;

#[cfg(test)]
#[path = "policy_test.rs"]
mod tests;
