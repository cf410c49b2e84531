//! Policies (C2SP tlog-policy): the known logs, the known witnesses, and which of the witnesses
//! must have cosigned.
//!
//! A policy file is a verifier's only trusted input. Any policy of the specification with Ed25519
//! keys is accepted (logs of type 0x01, witnesses of type 0x04); [`Policy::of_election`] writes the
//! policy of a votekit election.

use std::fmt;

mod parse;
mod verify;

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

/// One authority of an election, for [`Policy::of_election`].
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

    /// Writes the policy of an election: every log key of its authorities, and `quorum` of their
    /// cosigners.
    ///
    /// # Errors
    /// [`PolicyError`] if there is no authority, if two share a name or a key, if a key is of the
    /// wrong type, if log keys differ in their name, if a log key cosigns, or if the quorum is no
    /// number of authorities; the line is that of the resulting policy.
    pub fn of_election(authorities: &[Authority], quorum: usize) -> Result<Self, PolicyError> {
        use std::fmt::Write as _;
        let mut text = String::new();
        let mut members = String::new();
        // Writing to a string does not fail.
        for authority in authorities {
            let _ = writeln!(text, "log {}", authority.log_key);
        }
        for authority in authorities {
            let _ = writeln!(text, "witness {} {}", authority.name, authority.cosigner_key);
            let _ = write!(members, " {}", authority.name);
        }
        let _ = write!(text, "group authorities {quorum}{members}\nquorum authorities\n");
        let policy = Self::parse(text.as_bytes())?;
        policy.check_election()?;
        Ok(policy)
    }

    /// Checks the rules of an election beyond those of every policy. The logs come first, one line
    /// each, then the witnesses.
    fn check_election(&self) -> Result<(), PolicyError> {
        let (logs, witnesses) = (&self.logs, &self.witnesses);
        if let Some(place) = logs.iter().position(|log| log.key.name() != logs[0].key.name()) {
            return Err(PolicyError::Malformed { line: place + 1, rule: PolicyRule::SecondOrigin });
        }
        let is_log =
            |key: &VerifierKey| logs.iter().any(|log| log.key.public_key() == key.public_key());
        if let Some(place) = witnesses.iter().position(|witness| is_log(&witness.key)) {
            return Err(PolicyError::Malformed {
                line: logs.len() + place + 1,
                rule: PolicyRule::SharedKey,
            });
        }
        Ok(())
    }

    /// Whether this is, byte for byte, the policy of an election with this origin, with cosigner
    /// keys that are named after their authorities and a quorum that is a majority or more.
    #[must_use]
    pub fn is_of_election(&self, origin: &str) -> bool {
        let names = self
            .witnesses
            .iter()
            .map(|witness| std::str::from_utf8(witness.name.as_bytes()).ok()?.parse().ok());
        let authorities: Option<Vec<Authority>> = names
            .zip(self.logs.iter().zip(&self.witnesses))
            .map(|(name, (log, witness))| {
                Some(Authority {
                    name: name?,
                    log_key: log.key.clone(),
                    cosigner_key: witness.key.clone(),
                })
            })
            .collect();
        let Some(authorities) = authorities else { return false };
        let quorum = self.groups.first().map_or(0, |group| group.threshold);
        if quorum <= authorities.len() / 2 {
            return false;
        }
        // `<base>/<law>` or `<base>/test/<law>`: a base may itself end in `/test`.
        let parent = origin.rsplit_once('/').map(|(parent, _)| parent);
        let bases = [parent, parent.and_then(|parent| parent.strip_suffix("/test"))];
        let is_named_below = |base: &str| {
            authorities.iter().all(|Authority { name, cosigner_key, .. }| {
                cosigner_key.name().as_str() == format!("{base}/authority/{name}")
            })
        };
        self.logs.iter().all(|log| log.key.name().as_str() == origin)
            && bases.into_iter().flatten().any(is_named_below)
            && Self::of_election(&authorities, quorum).is_ok_and(|policy| policy == *self)
    }

    /// The bytes of the file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the file's bytes, which a verifier pins.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.bytes)
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
        // Members are defined before their group, so one pass in order decides every group.
        let mut met: Vec<bool> = Vec::with_capacity(self.groups.len());
        let has_witnessed = |member: &Member, met: &[bool]| match *member {
            Member::Witness(place) => cosigned.get(place) == Some(&true),
            Member::Group(place) => met[place],
        };
        for group in &self.groups {
            let count = group.members.iter().filter(|member| has_witnessed(member, &met)).count();
            met.push(count >= group.threshold);
        }
        self.quorum.is_none_or(|member| has_witnessed(&member, &met))
    }
}

const LOG_KIND: KeyKind = KeyKind::Ed25519;
const WITNESS_KIND: KeyKind = KeyKind::CosignatureV1;

#[cfg(test)]
#[path = "policy_test.rs"]
mod tests;
