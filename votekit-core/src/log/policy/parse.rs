//! Parses a policy file, line by line.

use std::collections::{HashMap, HashSet};

use super::{Group, LOG_KIND, Log, Member, Policy, PolicyName, WITNESS_KIND, Witness};
use crate::log::encoding::parse_decimal;
use crate::log::note::{KeyError, KeyId, KeyKind, KeyName, VerifierKey};

/// Why bytes are not a policy. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A line breaks a rule.
    #[error("line {line}: {rule}")]
    Malformed {
        /// The line.
        line: usize,
        /// The rule it breaks.
        rule: PolicyRule,
    },
    /// The file exceeds the length limit.
    #[error("policy of {length} bytes, over {max}")]
    TooLong {
        /// Bytes found.
        length: usize,
        /// Bytes accepted.
        max: usize,
    },
    /// The quorum line is missing.
    #[error("no quorum line")]
    NoQuorum,
}

/// The rules of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyRule {
    /// Each line ends in a line feed, including the last line.
    #[error("no line feed at the end")]
    LineEnd,
    /// Tab and line feed are the only control characters.
    #[error("control character")]
    ControlCharacter,
    /// A line begins with one of four words.
    #[error("not `log`, `witness`, `group`, `quorum` or `#`")]
    Keyword,
    /// A log line has one form.
    #[error("not `log <vkey> [<url>]`")]
    LogForm,
    /// A witness line has one form.
    #[error("not `witness <name> <vkey> [<url>]`")]
    WitnessForm,
    /// A group line has one form.
    #[error("not `group <name> all|any|<k> <name>…`")]
    GroupForm,
    /// A quorum line has one form.
    #[error("not `quorum <name>`")]
    QuorumForm,
    /// The key is malformed.
    #[error("{0}")]
    Key(KeyError),
    /// The key is not UTF-8.
    #[error("verifier key not UTF-8")]
    KeyText,
    /// Logs sign with type 0x01, witnesses with type 0x04.
    #[error("key of type {:#04x}, expected {:#04x}", found.byte(), expected.byte())]
    KeyKind {
        /// The type that fits.
        expected: KeyKind,
        /// The type found.
        found: KeyKind,
    },
    /// No two logs, and no two witnesses, have the same public key.
    #[error("public key repeated")]
    DuplicateKey,
    /// An election's logs have one origin.
    #[error("log key of a second origin")]
    SecondOrigin,
    /// An authority's log key and cosigner key differ.
    #[error("key of a log and of a cosigner")]
    SharedKey,
    /// The quorum of an election is a majority of its authorities or more.
    #[error("quorum below the majority, {least}")]
    Majority {
        /// The smallest majority.
        least: usize,
    },
    /// A name and an id identify one key.
    #[error("name and key id repeated")]
    KeyCollision,
    /// Names are defined once.
    #[error("name {0} defined twice")]
    DuplicateName(PolicyName),
    /// `none` is predefined.
    #[error("name none reserved")]
    ReservedName,
    /// Names are defined before they are used.
    #[error("name {0} not defined before")]
    UndefinedName(PolicyName),
    /// Each name is a member once in the whole file.
    #[error("member {0} repeated")]
    SecondMembership(PolicyName),
    /// The threshold is from 1 to the number of members.
    #[error("threshold not 1 to {members}")]
    Threshold {
        /// Members of the group.
        members: usize,
    },
    /// There is one quorum line.
    #[error("second quorum line")]
    SecondQuorum,
    /// The numbers of logs, witnesses and groups are bounded.
    #[error("over {} logs, witnesses or groups", Policy::ENTRIES_MAX)]
    TooMany,
}

impl Policy {
    /// Parses a policy from arbitrary bytes.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > Self::BYTES_MAX {
            return Err(PolicyError::TooLong { length: bytes.len(), max: Self::BYTES_MAX });
        }
        let mut reader = Reader::default();
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            reader.line(line).map_err(|rule| PolicyError::Malformed { line: index + 1, rule })?;
        }
        let quorum = reader.quorum.ok_or(PolicyError::NoQuorum)?;
        let Reader { logs, witnesses, groups, .. } = reader;
        Ok(Self { bytes: bytes.to_vec(), logs, witnesses, groups, quorum })
    }
}

#[derive(Default)]
struct Reader {
    logs: Vec<Log>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    /// The quorum line, once read; `Some(None)` for `quorum none`.
    quorum: Option<Option<Member>>,
    names: HashMap<PolicyName, Member>,
    members: HashSet<PolicyName>,
    key_ids: HashSet<(KeyName, KeyId)>,
}

impl Reader {
    fn line(&mut self, line: &[u8]) -> Result<(), PolicyRule> {
        let line = line.strip_suffix(b"\n").ok_or(PolicyRule::LineEnd)?;
        if line.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
            return Err(PolicyRule::ControlCharacter);
        }
        let items: Vec<&[u8]> = line
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|item| !item.is_empty())
            .collect();
        match items.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", rest @ ..] => self.log(rest),
            [b"witness", rest @ ..] => self.witness(rest),
            [b"group", rest @ ..] => self.group(rest),
            [b"quorum", rest @ ..] => self.quorum(rest),
            _ => Err(PolicyRule::Keyword),
        }
    }

    fn log(&mut self, items: &[&[u8]]) -> Result<(), PolicyRule> {
        let ([key], url) = optional_url(items).ok_or(PolicyRule::LogForm)?;
        let key = self.key(key, LOG_KIND)?;
        if self.logs.iter().any(|log| log.key.public_key() == key.public_key()) {
            return Err(PolicyRule::DuplicateKey);
        }
        self.claim_key_id(&key)?;
        check_room(self.logs.len())?;
        self.logs.push(Log { key, url: url.map(<[u8]>::to_vec) });
        Ok(())
    }

    fn witness(&mut self, items: &[&[u8]]) -> Result<(), PolicyRule> {
        let ([name, key], url) = optional_url(items).ok_or(PolicyRule::WitnessForm)?;
        let key = self.key(key, WITNESS_KIND)?;
        if self.witnesses.iter().any(|witness| witness.key.public_key() == key.public_key()) {
            return Err(PolicyRule::DuplicateKey);
        }
        self.claim_key_id(&key)?;
        check_room(self.witnesses.len())?;
        let name = self.define(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(Witness { name, key, url: url.map(<[u8]>::to_vec) });
        Ok(())
    }

    fn group(&mut self, items: &[&[u8]]) -> Result<(), PolicyRule> {
        let [name, threshold, names @ ..] = items else { return Err(PolicyRule::GroupForm) };
        if names.is_empty() {
            return Err(PolicyRule::GroupForm);
        }
        let threshold = parse_threshold(threshold, names.len())?;
        let members = names.iter().map(|name| self.member(name)).collect::<Result<_, _>>()?;
        check_room(self.groups.len())?;
        let name = self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { name, threshold, members });
        Ok(())
    }

    fn quorum(&mut self, items: &[&[u8]]) -> Result<(), PolicyRule> {
        let [name] = items else { return Err(PolicyRule::QuorumForm) };
        if self.quorum.is_some() {
            return Err(PolicyRule::SecondQuorum);
        }
        let none = *name == b"none";
        self.quorum =
            Some(if none { None } else { Some(self.resolve(&PolicyName(name.to_vec()))?) });
        Ok(())
    }

    fn key(&self, text: &[u8], expected: KeyKind) -> Result<VerifierKey, PolicyRule> {
        let text = std::str::from_utf8(text).map_err(|_| PolicyRule::KeyText)?;
        let key: VerifierKey = text.parse().map_err(PolicyRule::Key)?;
        if key.kind() == expected {
            Ok(key)
        } else {
            Err(PolicyRule::KeyKind { expected, found: key.kind() })
        }
    }

    /// Ensures that a signature line can name at most one key of the policy.
    fn claim_key_id(&mut self, key: &VerifierKey) -> Result<(), PolicyRule> {
        if self.key_ids.insert((key.name().clone(), key.id())) {
            Ok(())
        } else {
            Err(PolicyRule::KeyCollision)
        }
    }

    fn define(&mut self, name: &[u8], member: Member) -> Result<PolicyName, PolicyRule> {
        if name == b"none" {
            return Err(PolicyRule::ReservedName);
        }
        let name = PolicyName(name.to_vec());
        if self.names.contains_key(&name) {
            return Err(PolicyRule::DuplicateName(name));
        }
        self.names.insert(name.clone(), member);
        Ok(name)
    }

    fn member(&mut self, name: &[u8]) -> Result<Member, PolicyRule> {
        if name == b"none" {
            return Err(PolicyRule::ReservedName);
        }
        let name = PolicyName(name.to_vec());
        let member = self.resolve(&name)?;
        if self.members.insert(name.clone()) {
            Ok(member)
        } else {
            Err(PolicyRule::SecondMembership(name))
        }
    }

    fn resolve(&self, name: &PolicyName) -> Result<Member, PolicyRule> {
        self.names.get(name).copied().ok_or_else(|| PolicyRule::UndefinedName(name.clone()))
    }
}

type Item<'items> = &'items [u8];

/// Splits `N` items and an optional URL.
fn optional_url<'items, const N: usize>(
    items: &[Item<'items>],
) -> Option<([Item<'items>; N], Option<Item<'items>>)> {
    let (fixed, rest) = items.split_first_chunk::<N>()?;
    match rest {
        [] => Some((*fixed, None)),
        [url] => Some((*fixed, Some(*url))),
        _ => None,
    }
}

fn parse_threshold(text: &[u8], members: usize) -> Result<usize, PolicyRule> {
    match text {
        b"all" => Ok(members),
        b"any" => Ok(1),
        _ => parse_decimal(text)
            .and_then(|threshold| usize::try_from(threshold).ok())
            .filter(|threshold| (1..=members).contains(threshold))
            .ok_or(PolicyRule::Threshold { members }),
    }
}

fn check_room(entries: usize) -> Result<(), PolicyRule> {
    if entries < Policy::ENTRIES_MAX { Ok(()) } else { Err(PolicyRule::TooMany) }
}
