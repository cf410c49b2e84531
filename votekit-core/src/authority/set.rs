//! The file `authorities`: who decides, with which keys, and how many of them it takes; and the
//! outside witnesses, if there are any.
//!
//! Every machine of an installation has the same bytes, installed by hand. The policy of each
//! election is computed from them.

use std::collections::HashSet;
use std::fmt;

use super::set_rule::{
    AuthorityKey, AuthoritySetError, AuthoritySetRule, COUNT_MAX, FORMAT, NAME_LENGTH_MAX,
    check_length, check_name,
};
use super::set_witness::SetWitness;
use crate::ballot::BallotPublicKey;
use crate::id::{Digest, ElectionId};
use crate::log::checkpoint::{cosigner_name_of, origin_of};
use crate::log::encoding::parse_decimal;
use crate::log::note::{KeyKind, KeyName, VerifierKey};
use crate::log::policy::{Authority, Policy, PolicyError, PolicyRule, Witness};

/// The lines of the file, from 1: format, base, quorum, then one line for each authority. If there
/// are outside witnesses, one line for each witness follows, then their quorum.
const BASE_LINE: usize = 2;
const QUORUM_LINE: usize = 3;
const FIRST_MEMBER_LINE: usize = 4;

/// How the lines of outside witnesses and of their quorum begin.
const WITNESS: &str = "witness ";
const WITNESS_QUORUM: &str = "witness-quorum ";

/// One authority: its name and its public keys, raw.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorityMember {
    /// The name, which is also its name in the policy of an election.
    pub name: KeyName,
    /// The log key (Ed25519).
    pub log: [u8; 32],
    /// The cosigner key (Ed25519).
    pub cosigner: [u8; 32],
    /// The statement key (Ed25519).
    pub statement: [u8; 32],
    /// The transport key (X25519).
    pub transport: [u8; 32],
}

impl AuthorityMember {
    /// Parses a line of the file, without its line feed.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn parse_line(line: &str) -> Result<Self, AuthoritySetRule> {
        let member = Self::parse_form(line)?;
        member.check()?;
        Ok(member)
    }

    fn parse_form(line: &str) -> Result<Self, AuthoritySetRule> {
        let words: Vec<&str> = line.split(' ').collect();
        let ["authority", name, log, cosigner, statement, transport] = words.as_slice() else {
            return Err(AuthoritySetRule::MemberForm);
        };
        Ok(Self {
            name: name.parse().map_err(AuthoritySetRule::Name)?,
            log: parse_key(AuthorityKey::Log, log)?,
            cosigner: parse_key(AuthorityKey::Cosigner, cosigner)?,
            statement: parse_key(AuthorityKey::Statement, statement)?,
            transport: parse_key(AuthorityKey::Transport, transport)?,
        })
    }

    fn check(&self) -> Result<(), AuthoritySetRule> {
        check_name(&self.name)?;
        for (kind, key) in self.keys() {
            let is_usable = match kind {
                AuthorityKey::Transport => BallotPublicKey::from_bytes(*key).is_usable(),
                _ => VerifierKey::new(self.name.clone(), KeyKind::Ed25519, key).is_ok(),
            };
            if !is_usable {
                return Err(AuthoritySetRule::KeyPoint(kind));
            }
        }
        Ok(())
    }

    /// The keys in the order of the line.
    fn keys(&self) -> [(AuthorityKey, &[u8; 32]); 4] {
        [
            (AuthorityKey::Log, &self.log),
            (AuthorityKey::Cosigner, &self.cosigner),
            (AuthorityKey::Statement, &self.statement),
            (AuthorityKey::Transport, &self.transport),
        ]
    }
}

impl fmt::Display for AuthorityMember {
    /// Writes the line, without its line feed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "authority {}", self.name)?;
        self.keys().iter().try_for_each(|(_, key)| write!(formatter, " {}", const_hex::encode(key)))
    }
}

impl fmt::Debug for AuthorityMember {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// The authorities of an installation, with the bytes of their file.
///
/// ```
/// use votekit_core::authority::AuthoritySet;
///
/// let set = AuthoritySet::parse(&std::fs::read("../fixtures/vectors/authorities/authorities")?)?;
/// assert_eq!((set.members().len(), set.quorum()), (4, 3));
/// assert!(set.policy(&"L2025-001".parse()?, true)?.is_of_election("votekit.example/L2025-001"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AuthoritySet {
    bytes: Vec<u8>,
    base: KeyName,
    quorum: usize,
    members: Vec<AuthorityMember>,
    /// The statement key of each member, in the order of the members.
    statement_keys: Vec<VerifierKey>,
    witnesses: Vec<SetWitness>,
    /// 0 without outside witnesses.
    witness_quorum: usize,
}

impl AuthoritySet {
    /// The most authorities accepted.
    pub const COUNT_MAX: usize = COUNT_MAX;
    /// The longest base and the longest name of an authority accepted, in bytes.
    pub const NAME_LENGTH_MAX: usize = NAME_LENGTH_MAX;
    /// The longest file accepted, in bytes. No canonical file is as long.
    pub const BYTES_MAX: usize = 1 << 16;

    /// Makes the set from its parts. `quorum` is how many authorities it takes, a majority or more.
    ///
    /// # Errors
    /// [`AuthoritySetError::Malformed`].
    pub fn new(
        base: KeyName,
        quorum: usize,
        members: Vec<AuthorityMember>,
    ) -> Result<Self, AuthoritySetError> {
        check_length(&base).map_err(|rule| malformed(BASE_LINE, rule))?;
        let count = members.len();
        if !(1..=Self::COUNT_MAX).contains(&count) {
            let line = FIRST_MEMBER_LINE + count.min(Self::COUNT_MAX);
            return Err(malformed(line, AuthoritySetRule::Count));
        }
        let least = count / 2 + 1;
        if !(least..=count).contains(&quorum) {
            let rule = AuthoritySetRule::Quorum { authorities: count, least };
            return Err(malformed(QUORUM_LINE, rule));
        }
        let statement_keys = check_members(&base, &members)?;
        let bytes = encode(&base, quorum, &members);
        let (witnesses, witness_quorum) = (Vec::new(), 0);
        Ok(Self { bytes, base, quorum, members, statement_keys, witnesses, witness_quorum })
    }

    /// The same authorities with outside witnesses, of which `quorum` must cosign. Replaces the
    /// outside witnesses that it has.
    ///
    /// # Errors
    /// [`AuthoritySetError::Malformed`].
    pub fn with_witnesses(
        self,
        witnesses: Vec<SetWitness>,
        quorum: usize,
    ) -> Result<Self, AuthoritySetError> {
        let first_line = FIRST_MEMBER_LINE + self.members.len();
        let count = witnesses.len();
        if count > COUNT_MAX {
            return Err(malformed(first_line + COUNT_MAX, AuthoritySetRule::WitnessCount));
        }
        for (index, witness) in witnesses.iter().enumerate() {
            let rule = self.broken_by(witness, &witnesses[..index]);
            rule.map_err(|rule| malformed(first_line + index, rule))?;
        }
        let is_quorum = if count == 0 { quorum == 0 } else { (1..=count).contains(&quorum) };
        if !is_quorum {
            let rule = AuthoritySetRule::WitnessQuorum { witnesses: count };
            return Err(malformed(first_line + count, rule));
        }
        let mut bytes = encode(&self.base, self.quorum, &self.members);
        for witness in &witnesses {
            bytes.extend_from_slice(format!("{witness}\n").as_bytes());
        }
        if count > 0 {
            bytes.extend_from_slice(format!("{WITNESS_QUORUM}{quorum}\n").as_bytes());
        }
        Ok(Self { bytes, witnesses, witness_quorum: quorum, ..self })
    }

    /// The rule that an outside witness breaks, given the authorities and the witnesses before it.
    fn broken_by(
        &self,
        witness: &SetWitness,
        earlier: &[SetWitness],
    ) -> Result<(), AuthoritySetRule> {
        witness.check()?;
        let names = self.members.iter().map(|member| &member.name);
        if names.chain(earlier.iter().map(|one| &one.name)).any(|name| *name == witness.name) {
            return Err(AuthoritySetRule::DuplicateName(witness.name.clone()));
        }
        let public = witness.key.public_key();
        let own = self.members.iter().flat_map(AuthorityMember::keys).map(|(_, key)| key);
        if own.chain(earlier.iter().map(|one| one.key.public_key())).any(|key| key == public) {
            return Err(AuthoritySetRule::DuplicateWitnessKey);
        }
        match self.member(&witness.fed_by) {
            Some(_) => Ok(()),
            None => Err(AuthoritySetRule::UnknownFeeder(witness.fed_by.clone())),
        }
    }

    /// Parses the file from arbitrary bytes; accepts only its one canonical form.
    ///
    /// # Errors
    /// [`AuthoritySetError`] with the line and the rule it breaks.
    pub fn parse(bytes: &[u8]) -> Result<Self, AuthoritySetError> {
        if bytes.len() > Self::BYTES_MAX {
            return Err(AuthoritySetError::TooLong { length: bytes.len(), max: Self::BYTES_MAX });
        }
        let mut lines: Vec<&str> = Vec::new();
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let line = line
                .strip_suffix(b"\n")
                .ok_or_else(|| malformed(index + 1, AuthoritySetRule::LineEnd))?;
            let line = std::str::from_utf8(line)
                .map_err(|_| malformed(index + 1, AuthoritySetRule::Utf8))?;
            lines.push(line);
        }
        // A missing line is treated as an empty line, which does not have the form either.
        let line = |number: usize| lines.get(number - 1).copied().unwrap_or_default();
        if line(1) != FORMAT {
            return Err(malformed(1, AuthoritySetRule::Format));
        }
        let base = parse_base(line(BASE_LINE)).map_err(|rule| malformed(BASE_LINE, rule))?;
        let quorum = parse_number(line(QUORUM_LINE), "quorum ")
            .ok_or_else(|| malformed(QUORUM_LINE, AuthoritySetRule::QuorumForm))?;
        let rest = lines.get(FIRST_MEMBER_LINE - 1..).unwrap_or_default();
        let is_of_witness =
            |line: &&str| line.starts_with(WITNESS) || line.starts_with(WITNESS_QUORUM);
        let count = rest.iter().position(is_of_witness).unwrap_or(rest.len());
        let (rest, of_witnesses) = rest.split_at(count);
        let members = rest
            .iter()
            .enumerate()
            .map(|(index, line)| {
                AuthorityMember::parse_form(line)
                    .map_err(|rule| malformed(FIRST_MEMBER_LINE + index, rule))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let set = Self::new(base, quorum, members)?;
        let Some((last, of_witnesses)) = of_witnesses.split_last() else { return Ok(set) };
        let first_line = FIRST_MEMBER_LINE + count;
        let witnesses = of_witnesses
            .iter()
            .enumerate()
            .map(|(index, line)| {
                SetWitness::parse_form(line).map_err(|rule| malformed(first_line + index, rule))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let last_line = first_line + witnesses.len();
        let quorum = parse_number(last, WITNESS_QUORUM)
            // Without witnesses the line is left out, so a quorum of 0 is not written.
            .filter(|_| !witnesses.is_empty())
            .ok_or_else(|| malformed(last_line, AuthoritySetRule::WitnessQuorumForm))?;
        set.with_witnesses(witnesses, quorum)
    }

    /// The bytes of the file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the file's bytes, which people compare between machines.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::compute(&self.bytes)
    }

    /// The base of all key names and origins.
    #[must_use]
    pub fn base(&self) -> &KeyName {
        &self.base
    }

    /// How many authorities it takes.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.quorum
    }

    /// The authorities, in the file's order.
    #[must_use]
    pub fn members(&self) -> &[AuthorityMember] {
        &self.members
    }

    /// The authority of a name.
    #[must_use]
    pub fn member(&self, name: &KeyName) -> Option<&AuthorityMember> {
        self.members.iter().find(|member| member.name == *name)
    }

    /// The outside witnesses, in the file's order.
    #[must_use]
    pub fn witnesses(&self) -> &[SetWitness] {
        &self.witnesses
    }

    /// How many of the outside witnesses must cosign; 0 without any.
    #[must_use]
    pub fn witness_quorum(&self) -> usize {
        self.witness_quorum
    }

    /// An authority that alone could keep the quorum of outside witnesses from cosigning, if there
    /// is one: it can sign a false head as the log and feed it to its witnesses, which then cosign
    /// no other head. `None` for an installation with a single authority, which can always do this.
    #[must_use]
    pub fn can_lock_witnesses(&self) -> Option<&KeyName> {
        let fed = |name: &KeyName| self.witnesses.iter().filter(|one| one.fed_by == *name).count();
        let left = |member: &&AuthorityMember| self.witnesses.len() - fed(&member.name);
        let one = self.members.iter().find(|member| left(member) < self.witness_quorum);
        one.filter(|_| !self.is_single()).map(|member| &member.name)
    }

    /// Whether there is one authority only.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.members.len() == 1
    }

    /// The policy of an election under these authorities.
    ///
    /// # Errors
    /// [`PolicyError`] if two log keys have the same key id under the election's origin, so that a
    /// policy cannot distinguish them. This depends on the law id. By chance it happens to fewer
    /// than one election in a million, but a key can be chosen on purpose to make it happen.
    pub fn policy(&self, law_id: &ElectionId, binding: bool) -> Result<Policy, PolicyError> {
        let fault = |line, error| PolicyError::Malformed { line, rule: PolicyRule::Key(error) };
        let origin = origin_of(&self.base, law_id, binding).map_err(|error| fault(1, error))?;
        let key = |line, name, kind, public_key| {
            VerifierKey::new(name, kind, public_key).map_err(|error| fault(line, error))
        };
        let authorities = self
            .members
            .iter()
            .enumerate()
            .map(|(index, member)| {
                let (log_line, witness_line) = (index + 1, self.members.len() + index + 1);
                let cosigner = cosigner_name_of(&self.base, member.name.as_str())
                    .map_err(|error| fault(witness_line, error))?;
                Ok(Authority {
                    name: member.name.clone(),
                    log_key: key(log_line, origin.clone(), KeyKind::Ed25519, &member.log)?,
                    cosigner_key: key(
                        witness_line,
                        cosigner,
                        KeyKind::CosignatureV1,
                        &member.cosigner,
                    )?,
                })
            })
            .collect::<Result<Vec<_>, PolicyError>>()?;
        let witnesses: Vec<Witness> =
            self.witnesses.iter().map(SetWitness::to_policy_witness).collect();
        Policy::for_election_with_witnesses(
            &authorities,
            self.quorum,
            &witnesses,
            self.witness_quorum,
        )
    }

    /// The key that verifies the statements of an authority: type 0x01, named
    /// `<base>/statement/<name>`.
    #[must_use]
    pub fn statement_key(&self, name: &KeyName) -> Option<VerifierKey> {
        let index = self.members.iter().position(|member| member.name == *name)?;
        self.statement_keys.get(index).cloned()
    }
}

impl fmt::Debug for AuthoritySet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (quorum, count) = (self.quorum, self.members.len());
        write!(
            formatter,
            "AuthoritySet({}, {quorum} of {count}, {})",
            self.base,
            self.fingerprint()
        )
    }
}

/// The name of an authority's statement key.
pub(super) fn statement_name_of(base: &KeyName, name: &KeyName) -> KeyName {
    format!("{base}/statement/{name}").parse().expect("two key names make a key name")
}

fn malformed(line: usize, rule: AuthoritySetRule) -> AuthoritySetError {
    AuthoritySetError::Malformed { line, rule }
}

/// Checks each member and all members together. Returns their statement keys.
fn check_members(
    base: &KeyName,
    members: &[AuthorityMember],
) -> Result<Vec<VerifierKey>, AuthoritySetError> {
    let mut known: HashSet<&[u8; 32]> = HashSet::new();
    let mut statement_keys = Vec::with_capacity(members.len());
    for (index, member) in members.iter().enumerate() {
        let malformed = |rule| malformed(FIRST_MEMBER_LINE + index, rule);
        member.check().map_err(malformed)?;
        if members[..index].iter().any(|earlier| earlier.name == member.name) {
            return Err(malformed(AuthoritySetRule::DuplicateName(member.name.clone())));
        }
        for (kind, key) in member.keys() {
            if !known.insert(key) {
                return Err(malformed(AuthoritySetRule::DuplicateKey(kind)));
            }
        }
        let name = statement_name_of(base, &member.name);
        let key = VerifierKey::new(name, KeyKind::Ed25519, &member.statement)
            .map_err(|_| malformed(AuthoritySetRule::KeyPoint(AuthorityKey::Statement)))?;
        statement_keys.push(key);
    }
    Ok(statement_keys)
}

fn encode(base: &KeyName, quorum: usize, members: &[AuthorityMember]) -> Vec<u8> {
    let mut text = format!("{FORMAT}\nbase {base}\nquorum {quorum}\n");
    for member in members {
        text.push_str(&member.to_string());
        text.push('\n');
    }
    text.into_bytes()
}

fn parse_base(line: &str) -> Result<KeyName, AuthoritySetRule> {
    let name = line.strip_prefix("base ").ok_or(AuthoritySetRule::BaseForm)?;
    name.parse().map_err(AuthoritySetRule::Name)
}

/// The number after a prefix.
fn parse_number(line: &str, prefix: &str) -> Option<usize> {
    let number = parse_decimal(line.strip_prefix(prefix)?.as_bytes())?;
    usize::try_from(number).ok()
}

fn parse_key(kind: AuthorityKey, text: &str) -> Result<[u8; 32], AuthoritySetRule> {
    // Any 32 bytes in their one hexadecimal form, as of a digest.
    let key = Digest::from_hex(text.as_bytes()).map_err(|_| AuthoritySetRule::KeyForm(kind))?;
    Ok(*key.as_bytes())
}

#[cfg(test)]
#[path = "set_test.rs"]
mod tests;
