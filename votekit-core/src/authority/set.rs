//! The file `authorities`: who decides, with which keys, and how many of them it takes.
//!
//! Every machine of an installation has the same bytes, installed by hand. The policy of each
//! election is computed from them.

use std::collections::HashSet;
use std::fmt;

use crate::ballot::BallotPublicKey;
use crate::id::{Digest, ElectionId};
use crate::log::checkpoint::{cosigner_name_of, origin_of};
use crate::log::encoding::parse_decimal;
use crate::log::note::{KeyError, KeyKind, KeyName, VerifierKey};
use crate::log::policy::{Authority, Policy, PolicyError, PolicyRule};

/// The first line.
const FORMAT: &str = "votekit-authorities/1";
/// The lines of the file, from 1: format, base, quorum, then one of each authority.
const BASE_LINE: usize = 2;
const QUORUM_LINE: usize = 3;
const FIRST_MEMBER_LINE: usize = 4;

/// Names that a policy gives to groups, or reserves.
const RESERVED_NAMES: [&str; 4] = ["authorities", "both", "none", "witnesses"];

/// Why bytes are not a set of authorities. Lines count from 1, in the file as it is or would be
/// written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthoritySetError {
    /// A line breaks a rule.
    #[error("line {line}: {rule}")]
    Malformed {
        /// The line.
        line: usize,
        /// The rule it breaks.
        rule: AuthoritySetRule,
    },
    /// The file exceeds the length limit.
    #[error("a file of authorities has at most {max} bytes, this one has {length}")]
    TooLong {
        /// Bytes found.
        length: usize,
        /// Bytes accepted.
        max: usize,
    },
}

/// The rules of a set of authorities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthoritySetRule {
    /// Each line ends in a line feed, the last one too.
    #[error("each line ends in a line feed")]
    LineEnd,
    /// The file is UTF-8.
    #[error("the file is UTF-8")]
    Utf8,
    /// The first line has one form.
    #[error("the first line is `{}`", FORMAT)]
    Format,
    /// The second line has one form.
    #[error("the second line is `base <key name>`")]
    BaseForm,
    /// The third line has one form.
    #[error("the third line is `quorum <k>`, a decimal without leading zero")]
    QuorumForm,
    /// The other lines have one form.
    #[error("the line is `authority <name> <log> <cosigner> <statement> <transport>`")]
    MemberForm,
    /// The name is malformed.
    #[error("{0}")]
    Name(KeyError),
    /// Names are bounded.
    #[error(
        "a name has at most {max} bytes, this one has {length}",
        max = AuthoritySet::NAME_LENGTH_MAX
    )]
    NameLength {
        /// Bytes found.
        length: usize,
    },
    /// A policy cannot hold the name.
    #[error("the name of an authority does not hold U+007F")]
    NameCharacter,
    /// A name is the last part of the names of keys.
    #[error("the name of an authority holds no slash")]
    NameSlash,
    /// A policy uses the name for something else.
    #[error("the name {0} is reserved")]
    ReservedName(KeyName),
    /// A key has one form.
    #[error("the {0} key is 64 lower-case hexadecimal digits")]
    KeyForm(AuthorityKey),
    /// The bytes are not a point of the curve, or one of small order.
    #[error("the {0} key is not a usable public key")]
    KeyPoint(AuthorityKey),
    /// Names are unique.
    #[error("another authority has the name {0}")]
    DuplicateName(KeyName),
    /// No key has two uses.
    #[error("the {0} key is already in the file")]
    DuplicateKey(AuthorityKey),
    /// The number of authorities is bounded.
    #[error("there are 1 to {} authorities", AuthoritySet::COUNT_MAX)]
    Count,
    /// A quorum is a majority or more.
    #[error("the quorum of {authorities} authorities is from {least} to {authorities}")]
    Quorum {
        /// The number of authorities.
        authorities: usize,
        /// Their smallest majority.
        least: usize,
    },
}

/// The use of a public key of an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthorityKey {
    /// Ed25519: signs checkpoints as the log.
    Log,
    /// Ed25519: cosigns checkpoints.
    Cosigner,
    /// Ed25519: signs statements and proposals.
    Statement,
    /// X25519: secrets are sealed to it.
    Transport,
}

impl fmt::Display for AuthorityKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Log => "log",
            Self::Cosigner => "cosigner",
            Self::Statement => "statement",
            Self::Transport => "transport",
        })
    }
}

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
        check_length(&self.name)?;
        if self.name.as_str().contains('\u{7f}') {
            return Err(AuthoritySetRule::NameCharacter);
        }
        if self.name.as_str().contains('/') {
            return Err(AuthoritySetRule::NameSlash);
        }
        if RESERVED_NAMES.contains(&self.name.as_str()) {
            return Err(AuthoritySetRule::ReservedName(self.name.clone()));
        }
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
    /// One of each member, in their order.
    statement_keys: Vec<VerifierKey>,
}

impl AuthoritySet {
    /// The most authorities accepted.
    pub const COUNT_MAX: usize = 32;
    /// The longest base and the longest name of an authority accepted, in bytes.
    pub const NAME_LENGTH_MAX: usize = 255;
    /// The longest file accepted, in bytes. No canonical file is as long.
    pub const BYTES_MAX: usize = 1 << 15;

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
        Ok(Self { bytes, base, quorum, members, statement_keys })
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
        for (place, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let line = line
                .strip_suffix(b"\n")
                .ok_or_else(|| malformed(place + 1, AuthoritySetRule::LineEnd))?;
            let line = std::str::from_utf8(line)
                .map_err(|_| malformed(place + 1, AuthoritySetRule::Utf8))?;
            lines.push(line);
        }
        // A missing line is an empty one: it has not the form either.
        let line = |number: usize| lines.get(number - 1).copied().unwrap_or_default();
        if line(1) != FORMAT {
            return Err(malformed(1, AuthoritySetRule::Format));
        }
        let base = parse_base(line(BASE_LINE)).map_err(|rule| malformed(BASE_LINE, rule))?;
        let quorum = parse_quorum(line(QUORUM_LINE))
            .ok_or_else(|| malformed(QUORUM_LINE, AuthoritySetRule::QuorumForm))?;
        let rest = lines.get(FIRST_MEMBER_LINE - 1..).unwrap_or_default();
        let members = rest
            .iter()
            .enumerate()
            .map(|(place, line)| {
                AuthorityMember::parse_form(line)
                    .map_err(|rule| malformed(FIRST_MEMBER_LINE + place, rule))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Self::new(base, quorum, members)
    }

    /// The bytes of the file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the file's bytes, which people compare between machines.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.bytes)
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

    /// Whether there is one authority only.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.members.len() == 1
    }

    /// The policy of an election under these authorities.
    ///
    /// # Errors
    /// [`PolicyError`] if two log keys have one key id under the election's origin, which a policy
    /// cannot tell apart. It depends on the law id, and happens by chance to fewer than one in a
    /// million; a key can be searched for that makes it happen.
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
            .map(|(place, member)| {
                let (log_line, witness_line) = (place + 1, self.members.len() + place + 1);
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
        Policy::of_election(&authorities, self.quorum)
    }

    /// The key that verifies the statements of an authority: type 0x01, named
    /// `<base>/statement/<name>`.
    #[must_use]
    pub fn statement_key(&self, name: &KeyName) -> Option<VerifierKey> {
        let place = self.members.iter().position(|member| member.name == *name)?;
        self.statement_keys.get(place).cloned()
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

/// Checks the members alone and against one another. Returns their statement keys.
fn check_members(
    base: &KeyName,
    members: &[AuthorityMember],
) -> Result<Vec<VerifierKey>, AuthoritySetError> {
    let mut known: HashSet<&[u8; 32]> = HashSet::new();
    let mut statement_keys = Vec::with_capacity(members.len());
    for (place, member) in members.iter().enumerate() {
        let malformed = |rule| malformed(FIRST_MEMBER_LINE + place, rule);
        member.check().map_err(malformed)?;
        if members[..place].iter().any(|earlier| earlier.name == member.name) {
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

fn check_length(name: &KeyName) -> Result<(), AuthoritySetRule> {
    let length = name.as_str().len();
    if length <= AuthoritySet::NAME_LENGTH_MAX {
        return Ok(());
    }
    Err(AuthoritySetRule::NameLength { length })
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

fn parse_quorum(line: &str) -> Option<usize> {
    let quorum = parse_decimal(line.strip_prefix("quorum ")?.as_bytes())?;
    usize::try_from(quorum).ok()
}

fn parse_key(kind: AuthorityKey, text: &str) -> Result<[u8; 32], AuthoritySetRule> {
    // Any 32 bytes in their one hexadecimal form, as of a digest.
    let key = Digest::from_hex(text.as_bytes()).map_err(|_| AuthoritySetRule::KeyForm(kind))?;
    Ok(*key.as_bytes())
}

#[cfg(test)]
#[path = "set_test.rs"]
mod tests;
