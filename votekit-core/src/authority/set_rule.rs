//! The rules of the file `authorities`, and of the names in it.

use std::fmt;

use crate::log::note::{KeyError, KeyName};

/// The first line.
pub(super) const FORMAT: &str = "votekit-authorities/1";

/// The most authorities accepted, and the most outside witnesses.
pub(super) const COUNT_MAX: usize = 32;

/// The longest base, name and URL accepted, in bytes.
pub(super) const NAME_LENGTH_MAX: usize = 255;

/// Names that a policy gives to groups, or reserves.
pub(super) const RESERVED_NAMES: [&str; 4] = ["authorities", "both", "none", "witnesses"];

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
    #[error("authorities of {length} bytes, over {max}")]
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
    /// Each line ends in a line feed, including the last line.
    #[error("no line feed at the end")]
    LineEnd,
    /// The file is UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// The first line has one form.
    #[error("not `{}`", FORMAT)]
    Format,
    /// The second line has one form.
    #[error("not `base <key name>`")]
    BaseForm,
    /// The third line has one form.
    #[error("not `quorum <k>`")]
    QuorumForm,
    /// The other lines have one form.
    #[error("not `authority <name> <log> <cosigner> <statement> <transport>`")]
    MemberForm,
    /// The name is malformed.
    #[error("{0}")]
    Name(KeyError),
    /// Names are bounded.
    #[error("name of {length} bytes, over {max}", max = NAME_LENGTH_MAX)]
    NameLength {
        /// Bytes found.
        length: usize,
    },
    /// A policy cannot contain the name.
    #[error("name with U+007F")]
    NameCharacter,
    /// A name is the last part of the names of keys.
    #[error("name with a slash")]
    NameSlash,
    /// A policy uses the name for something else.
    #[error("name {0} reserved")]
    ReservedName(KeyName),
    /// A key has one form.
    #[error("{0} key not 64 hexadecimal digits in lower case")]
    KeyForm(AuthorityKey),
    /// The bytes are not a point of the curve, or are a point of small order.
    #[error("{0} key not usable")]
    KeyPoint(AuthorityKey),
    /// Names are unique.
    #[error("name {0} repeated")]
    DuplicateName(KeyName),
    /// No key has two uses.
    #[error("{0} key repeated")]
    DuplicateKey(AuthorityKey),
    /// The number of authorities is bounded.
    #[error("not 1 to {} authorities", COUNT_MAX)]
    Count,
    /// A quorum is a majority or more.
    #[error("quorum not {least} to {authorities}")]
    Quorum {
        /// The number of authorities.
        authorities: usize,
        /// Their smallest majority.
        least: usize,
    },
    /// The lines of outside witnesses have one form.
    #[error("not `witness <name> <verifier key> <URL> <authority>`")]
    WitnessForm,
    /// The verifier key of an outside witness is malformed.
    #[error("witness key: {0}")]
    WitnessKey(KeyError),
    /// Witnesses cosign.
    #[error("witness key not of type 0x04")]
    WitnessKeyKind,
    /// A witness is reached by HTTP.
    #[error("witness URL not http(s), not ASCII, or over {max} bytes", max = NAME_LENGTH_MAX)]
    WitnessUrl,
    /// A witness is fed by an authority of the file.
    #[error("{0} feeds a witness, and is not an authority")]
    UnknownFeeder(KeyName),
    /// A public key has one use.
    #[error("witness key repeated")]
    DuplicateWitnessKey,
    /// The number of outside witnesses is bounded.
    #[error("over {} outside witnesses", COUNT_MAX)]
    WitnessCount,
    /// The last line has one form, where there are outside witnesses.
    #[error("not `witness-quorum <k>`")]
    WitnessQuorumForm,
    /// A quorum of witnesses is from one to all.
    #[error("witness quorum not 1 to {witnesses}")]
    WitnessQuorum {
        /// The number of outside witnesses.
        witnesses: usize,
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
    /// X25519: secrets are encrypted to it.
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

/// Checks the name of an authority or of an outside witness.
pub(super) fn check_name(name: &KeyName) -> Result<(), AuthoritySetRule> {
    check_length(name)?;
    if name.as_str().contains('\u{7f}') {
        return Err(AuthoritySetRule::NameCharacter);
    }
    if name.as_str().contains('/') {
        return Err(AuthoritySetRule::NameSlash);
    }
    if RESERVED_NAMES.contains(&name.as_str()) {
        return Err(AuthoritySetRule::ReservedName(name.clone()));
    }
    Ok(())
}

pub(super) fn check_length(name: &KeyName) -> Result<(), AuthoritySetRule> {
    let length = name.as_str().len();
    if length <= NAME_LENGTH_MAX {
        return Ok(());
    }
    Err(AuthoritySetRule::NameLength { length })
}
