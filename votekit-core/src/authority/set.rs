//! The file `authorities`: names and public keys of all authorities, and their quorum.

use std::fmt;

use crate::id::{Digest, ElectionId};
use crate::log::checkpoint::{cosigner_name_of, origin_of};
use crate::log::note::{KeyError, KeyKind, KeyName, VerifierKey};
use crate::log::policy::{Authority, Policy};

/// The first line of the file.
const FORMAT: &str = "votekit-authorities/1";

/// Names that stand for groups of a policy, or for none.
const RESERVED: [&str; 4] = ["authorities", "witnesses", "both", "none"];

/// One authority: its name and its public keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityMember {
    /// Its name.
    pub name: KeyName,
    /// The Ed25519 key that signs checkpoints as the log.
    pub log: [u8; 32],
    /// The Ed25519 key that cosigns checkpoints.
    pub cosigner: [u8; 32],
    /// The Ed25519 key that signs statements and proposals.
    pub statement: [u8; 32],
    /// The X25519 key to which the keys of elections are sealed.
    pub transport: [u8; 32],
}

/// The authorities of an installation, as all of them have it installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthoritySet {
    bytes: Vec<u8>,
    base: KeyName,
    quorum: usize,
    members: Vec<AuthorityMember>,
    keys: Vec<MemberKeys>,
}

/// The keys of a member, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MemberKeys {
    statement: VerifierKey,
    cosigner: VerifierKey,
}

/// Why bytes are not the file `authorities`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {rule}")]
#[non_exhaustive]
pub struct AuthoritySetError {
    /// The line, from 1.
    pub line: usize,
    /// The rule that it breaks.
    pub rule: AuthoritySetRule,
}

/// A rule of the file `authorities`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthoritySetRule {
    /// The file has its first line.
    #[error("the file begins with the line `votekit-authorities/1`")]
    Format,
    /// The second line is the base.
    #[error("the second line is `base <name>`")]
    Base,
    /// The third line is the quorum.
    #[error("the third line is `quorum <number>`")]
    Quorum,
    /// Further lines are authorities.
    #[error(
        "a line of an authority is `authority <name> <log> <cosigner> <statement> <transport>`, \
         its keys as 64 lower-case hexadecimal digits"
    )]
    Member,
    /// Every line ends in a line feed, and nothing follows the last one.
    #[error("each line ends in one line feed")]
    LineEnd,
    /// Names are key names that no slash divides.
    #[error("{0}")]
    Name(KeyError),
    /// A name stands in the names of keys.
    #[error("the name of an authority holds no slash")]
    Slash,
    /// A key is usable.
    #[error("the {key} key: {error}")]
    Key {
        /// Which key.
        key: &'static str,
        /// What is wrong with it.
        error: KeyError,
    },
    /// Names that a policy uses for groups.
    #[error("the name {0} is reserved")]
    Reserved(KeyName),
    /// Names are unique.
    #[error("the name {0} is listed twice")]
    SecondName(KeyName),
    /// All keys differ.
    #[error("the {key} key is listed twice: every key of the file is another one")]
    SecondKey {
        /// Which key.
        key: &'static str,
    },
    /// The number of authorities is bounded.
    #[error("there are from 1 to {} authorities", AuthoritySet::COUNT_MAX)]
    Count,
    /// The quorum is a majority or more.
    #[error("the quorum of {authorities} authorities is from {min} to {authorities}")]
    QuorumRange {
        /// How many authorities there are.
        authorities: usize,
        /// The smallest majority.
        min: usize,
    },
}

impl AuthorityMember {
    /// Parses the line of one authority, without its line feed.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse_line(line: &str) -> Result<Self, AuthoritySetRule> {
        let parts: Vec<&str> = line.split(' ').collect();
        let ["authority", name, log, cosigner, statement, transport] = parts[..] else {
            return Err(AuthoritySetRule::Member);
        };
        let key = |text: &str| {
            let digest = Digest::from_hex(text.as_bytes());
            digest.map(|digest| *digest.as_bytes()).map_err(|_| AuthoritySetRule::Member)
        };
        let name: KeyName = name.parse().map_err(AuthoritySetRule::Name)?;
        if name.as_str().contains('/') {
            return Err(AuthoritySetRule::Slash);
        }
        if RESERVED.contains(&name.as_str()) {
            return Err(AuthoritySetRule::Reserved(name));
        }
        Ok(Self {
            name,
            log: key(log)?,
            cosigner: key(cosigner)?,
            statement: key(statement)?,
            transport: key(transport)?,
        })
    }

    fn keys(&self) -> [(&'static str, &[u8; 32]); 4] {
        [
            ("log", &self.log),
            ("cosigner", &self.cosigner),
            ("statement", &self.statement),
            ("transport", &self.transport),
        ]
    }
}

impl fmt::Display for AuthorityMember {
    /// Writes the line, without its line feed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "authority {}", self.name)?;
        for (_, key) in self.keys() {
            write!(formatter, " {}", Digest::from_bytes(*key).to_hex())?;
        }
        Ok(())
    }
}

impl AuthoritySet {
    /// The most authorities accepted.
    pub const COUNT_MAX: usize = 32;

    /// The lines before the first authority.
    const HEAD_LINES: usize = 3;

    /// Makes the file of these authorities, in this order.
    ///
    /// # Errors
    /// [`AuthoritySetError`] with the line that would be wrong.
    pub fn new(
        base: KeyName,
        quorum: usize,
        members: Vec<AuthorityMember>,
    ) -> Result<Self, AuthoritySetError> {
        let mut text = format!("{FORMAT}\nbase {base}\nquorum {quorum}\n");
        for member in &members {
            text.push_str(&member.to_string());
            text.push('\n');
        }
        let at = |line, rule| AuthoritySetError { line, rule };
        let count = members.len();
        if !(1..=Self::COUNT_MAX).contains(&count) {
            return Err(at(Self::HEAD_LINES + count.min(Self::COUNT_MAX), AuthoritySetRule::Count));
        }
        let min = count / 2 + 1;
        if !(min..=count).contains(&quorum) {
            return Err(at(3, AuthoritySetRule::QuorumRange { authorities: count, min }));
        }
        let mut keys: Vec<MemberKeys> = Vec::with_capacity(count);
        for (place, member) in members.iter().enumerate() {
            let line = Self::HEAD_LINES + 1 + place;
            check_distinct(member, &members[..place]).map_err(|rule| at(line, rule))?;
            keys.push(checked_keys(&base, member).map_err(|rule| at(line, rule))?);
        }
        Ok(Self { bytes: text.into_bytes(), base, quorum, members, keys })
    }

    /// Parses the file. It has one form: what differs from the bytes of [`AuthoritySet::as_bytes`]
    /// is refused.
    ///
    /// # Errors
    /// [`AuthoritySetError`] with the first line that breaks a rule.
    pub fn parse(bytes: &[u8]) -> Result<Self, AuthoritySetError> {
        let at = |line, rule| AuthoritySetError { line, rule };
        let text = std::str::from_utf8(bytes).map_err(|_| at(1, AuthoritySetRule::Format))?;
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let mut stripped = Vec::with_capacity(lines.len());
        for (place, line) in lines.iter().enumerate() {
            let line = line.strip_suffix('\n').ok_or(at(place + 1, AuthoritySetRule::LineEnd))?;
            stripped.push(line);
        }
        let get = |place: usize| stripped.get(place).copied().unwrap_or("");
        if get(0) != FORMAT {
            return Err(at(1, AuthoritySetRule::Format));
        }
        let base = get(1).strip_prefix("base ").ok_or(at(2, AuthoritySetRule::Base))?;
        let base: KeyName = base.parse().map_err(|error| at(2, AuthoritySetRule::Name(error)))?;
        let quorum = get(2).strip_prefix("quorum ").ok_or(at(3, AuthoritySetRule::Quorum))?;
        let quorum = crate::log::parse_decimal(quorum.as_bytes())
            .and_then(|quorum| usize::try_from(quorum).ok())
            .ok_or(at(3, AuthoritySetRule::Quorum))?;
        let mut members = Vec::new();
        for (place, line) in stripped.iter().enumerate().skip(Self::HEAD_LINES) {
            if members.len() == Self::COUNT_MAX {
                return Err(at(place + 1, AuthoritySetRule::Count));
            }
            let member = AuthorityMember::parse_line(line).map_err(|rule| at(place + 1, rule))?;
            members.push(member);
        }
        Self::new(base, quorum, members)
    }

    /// The bytes of the file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the file, which people compare.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// The base name: the origins of all logs begin with it.
    #[must_use]
    pub fn base(&self) -> &KeyName {
        &self.base
    }

    /// How many authorities must accept and cosign a block.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.quorum
    }

    /// The authorities, in the order of the file.
    #[must_use]
    pub fn members(&self) -> &[AuthorityMember] {
        &self.members
    }

    /// An authority by its name.
    #[must_use]
    pub fn member(&self, name: &KeyName) -> Option<&AuthorityMember> {
        self.members.iter().find(|member| member.name == *name)
    }

    /// Whether there is one authority alone.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.members.len() == 1
    }

    /// The key that verifies the statements of an authority: `<base>/statement/<name>`.
    #[must_use]
    pub fn statement_key(&self, name: &KeyName) -> Option<&VerifierKey> {
        let place = self.members.iter().position(|member| member.name == *name)?;
        Some(&self.keys[place].statement)
    }

    /// The policy of an election of these authorities.
    ///
    /// # Panics
    /// Never: the keys were checked when the set was made.
    #[must_use]
    pub fn policy(&self, law_id: &ElectionId, binding: bool) -> Policy {
        let origin =
            origin_of(&self.base, law_id, binding).expect("a base and an id make an origin");
        let authorities: Vec<Authority> = self
            .members
            .iter()
            .zip(&self.keys)
            .map(|(member, keys)| Authority {
                name: member.name.clone(),
                log_key: VerifierKey::new(origin.clone(), KeyKind::Ed25519, &member.log)
                    .expect("the key was checked"),
                cosigner_key: keys.cosigner.clone(),
            })
            .collect();
        Policy::of_election(&authorities, self.quorum).expect("names and keys differ")
    }
}

fn check_distinct(
    member: &AuthorityMember,
    before: &[AuthorityMember],
) -> Result<(), AuthoritySetRule> {
    if before.iter().any(|other| other.name == member.name) {
        return Err(AuthoritySetRule::SecondName(member.name.clone()));
    }
    let own = member.keys();
    for (place, (name, key)) in own.iter().enumerate() {
        let mut earlier = before.iter().flat_map(|other| other.keys().map(|(_, key)| *key));
        let is_known = own[..place].iter().any(|(_, other)| other == key);
        if is_known || earlier.any(|other| other == **key) {
            return Err(AuthoritySetRule::SecondKey { key: name });
        }
    }
    Ok(())
}

fn checked_keys(base: &KeyName, member: &AuthorityMember) -> Result<MemberKeys, AuthoritySetRule> {
    let wrong = |key| move |error| AuthoritySetRule::Key { key, error };
    VerifierKey::new(base.clone(), KeyKind::Ed25519, &member.log).map_err(wrong("log"))?;
    let cosigner_name =
        cosigner_name_of(base, member.name.as_str()).map_err(AuthoritySetRule::Name)?;
    let cosigner = VerifierKey::new(cosigner_name, KeyKind::CosignatureV1, &member.cosigner)
        .map_err(wrong("cosigner"))?;
    let statement_name = super::statement::key_name_of(base, &member.name);
    let statement = VerifierKey::new(statement_name, KeyKind::Ed25519, &member.statement)
        .map_err(wrong("statement"))?;
    Ok(MemberKeys { statement, cosigner })
}
