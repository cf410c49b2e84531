//! Keys, signed notes, and the two files that name keys: the authorities, and a policy.

use votekit_core::authority::{AuthoritySet, AuthoritySetError, AuthoritySetRule};
use votekit_core::log::note::{KeyError, Note, NoteError, NoteRule, SignatureError};
use votekit_core::log::policy::{Policy, PolicyError, PolicyRule};

use crate::InWords;

impl InWords for KeyError {
    fn in_words(&self) -> String {
        let text = match self {
            Self::NameEmpty => "a key name has at least one character",
            Self::NameCharacter { position } => {
                return format!(
                    "a key name holds no space, plus sign or control character: character \
                     {position} is one"
                );
            }
            Self::Form => {
                "a verifier key is a name, 8 hexadecimal digits and base64, joined by plus signs: \
                 copy the whole line"
            }
            Self::Base64 => {
                "the last part of a verifier key is padded base64, and this one is not: copy the \
                 whole line"
            }
            Self::Kind { byte } => {
                return format!(
                    "keys of type {byte:#04x} are not supported, only 0x01 (Ed25519) and 0x04 \
                     (cosignature)"
                );
            }
            Self::Length { length } => {
                return format!(
                    "an Ed25519 public key has 32 bytes, this one has {length}: copy the whole line"
                );
            }
            Self::Point => "the public key is not a usable Ed25519 key",
            Self::Id { found, computed } => {
                return format!(
                    "the key id is {found}, but name and key give {computed}: one of them was \
                     changed, so copy the line again"
                );
            }
            other => return other.to_string(),
        };
        text.to_owned()
    }
}

impl InWords for SignatureError {
    fn in_words(&self) -> String {
        match self {
            Self::Length { length } => {
                format!("it has {length} bytes, which no signature by a key of its type has")
            }
            Self::Time => "its time is out of range".to_owned(),
            Self::Mismatch => {
                "the key did not sign this text, or the text was changed after it was signed"
                    .to_owned()
            }
            other => other.to_string(),
        }
    }
}

impl InWords for NoteError {
    fn in_words(&self) -> String {
        match self {
            Self::Malformed { line, rule } => format!("line {line}: {}", rule.in_words()),
            Self::TooLong { length, max } => {
                format!("a signed note has at most {max} bytes, this one has {length}")
            }
            Self::Signature { line, name, cause } => {
                format!("line {line}: the signature of {name} is not valid: {}", cause.in_words())
            }
            Self::NoKnownKey => "no signature by a known key".to_owned(),
            Self::UnknownKey { line, name } => {
                format!("line {line}: signed by {name}, whose key is not expected here")
            }
            Self::Repeated { line, name } => format!("line {line}: a second signature by {name}"),
            other => other.to_string(),
        }
    }
}

impl InWords for NoteRule {
    fn in_words(&self) -> String {
        let text = match self {
            Self::Utf8 => "a signed note is UTF-8 text",
            Self::ControlCharacter => {
                "a signed note has no control characters except line feeds: was it saved with \
                 another kind of line end?"
            }
            Self::TextEnd => "the signed text ends in a line feed",
            Self::Separator => "an empty line must separate the text from the signatures",
            Self::NoSignature => "there is no signature line after the text",
            Self::TooManySignatures => {
                return format!(
                    "a signed note has at most {} signature lines",
                    Note::SIGNATURES_MAX
                );
            }
            Self::SignatureForm => {
                "a signature line is an em dash, a space, the key name, a space, the signature and \
                 a line feed"
            }
            Self::Name(error) => return error.in_words(),
            Self::Base64 => "the signature is not padded base64 in its canonical form",
            Self::Short => "the signature is cut short: it has no more than its key id",
            other => return other.to_string(),
        };
        text.to_owned()
    }
}

impl InWords for AuthoritySetError {
    fn in_words(&self) -> String {
        match self {
            Self::Malformed { line, rule } => format!("line {line}: {}", rule.in_words()),
            Self::TooLong { length, max } => {
                format!("a file of authorities has at most {max} bytes, this one has {length}")
            }
            other => other.to_string(),
        }
    }
}

impl InWords for AuthoritySetRule {
    fn in_words(&self) -> String {
        let text = match self {
            Self::LineEnd => {
                "each line ends in a line feed, the last one too: is the file complete?"
            }
            Self::Utf8 => "the file is not UTF-8 text",
            Self::Format => "the first line is `votekit-authorities/1`",
            Self::BaseForm => "the second line is `base <key name>`",
            Self::QuorumForm => "the third line is `quorum <k>`, a decimal without leading zero",
            Self::MemberForm => {
                "the line is `authority <name> <log> <cosigner> <statement> <transport>`"
            }
            Self::Name(error) => return error.in_words(),
            Self::NameLength { length } => {
                return format!(
                    "a name has at most {} bytes, this one has {length}",
                    AuthoritySet::NAME_LENGTH_MAX
                );
            }
            Self::NameCharacter => "a name does not contain U+007F, a control character",
            Self::NameSlash => "a name has no slash: it is the last part of the names of keys",
            Self::ReservedName(name) => return format!("the name {name} is reserved"),
            Self::KeyForm(key) => {
                return format!("the {key} key is not 64 lower-case hexadecimal digits");
            }
            Self::KeyPoint(key) => return format!("the {key} key is not a usable public key"),
            Self::DuplicateName(name) => return format!("another authority has the name {name}"),
            Self::DuplicateKey(key) => {
                return format!("the {key} key is already in the file: each key has one use");
            }
            Self::Count => {
                return format!("there are 1 to {} authorities", AuthoritySet::COUNT_MAX);
            }
            Self::Quorum { authorities, least } => {
                return format!(
                    "the quorum of {authorities} authorities is from {least} to {authorities}"
                );
            }
            witness => return witness_rule(witness),
        };
        text.to_owned()
    }
}

/// The text for a fault of the lines of outside witnesses.
fn witness_rule(rule: &AuthoritySetRule) -> String {
    let text = match rule {
        AuthoritySetRule::WitnessForm => {
            "the line is `witness <name> <verifier key> <URL> <authority>`"
        }
        AuthoritySetRule::WitnessKey(error) => {
            return format!("the key of the witness: {}", error.in_words());
        }
        AuthoritySetRule::WitnessKeyKind => {
            "the key of a witness is of type 0x04, which cosigns; this one signs logs"
        }
        AuthoritySetRule::WitnessUrl => {
            return format!(
                "the URL of a witness begins with http:// or https://, and has at most {} bytes of \
                 ASCII without white space",
                AuthoritySet::NAME_LENGTH_MAX
            );
        }
        AuthoritySetRule::UnknownFeeder(name) => {
            return format!(
                "{name}, which is to feed the witness, is not an authority of the file"
            );
        }
        AuthoritySetRule::DuplicateWitnessKey => {
            "the key of the witness is already in the file: each key has one use"
        }
        AuthoritySetRule::WitnessCount => {
            return format!("there are at most {} outside witnesses", AuthoritySet::COUNT_MAX);
        }
        AuthoritySetRule::WitnessQuorumForm => {
            "the line after the witnesses is `witness-quorum <k>`, a decimal without leading zero"
        }
        AuthoritySetRule::WitnessQuorum { witnesses } => {
            return format!("the quorum of {witnesses} outside witnesses is from 1 to {witnesses}");
        }
        other => return other.to_string(),
    };
    text.to_owned()
}

impl InWords for PolicyError {
    fn in_words(&self) -> String {
        match self {
            Self::Malformed { line, rule } => format!("line {line}: {}", rule.in_words()),
            Self::TooLong { length, max } => {
                format!("a policy has at most {max} bytes, this one has {length}")
            }
            Self::NoQuorum => "there is no quorum line: is the file complete?".to_owned(),
            other => other.to_string(),
        }
    }
}

impl InWords for PolicyRule {
    fn in_words(&self) -> String {
        let text = match self {
            Self::LineEnd => {
                "each line ends in a line feed, the last one too: is the file complete?"
            }
            Self::ControlCharacter => {
                "a policy has no control characters except tabs and line feeds: was it saved with \
                 another kind of line end?"
            }
            Self::Keyword => "a line begins with `log`, `witness`, `group`, `quorum` or `#`",
            Self::LogForm => "the line is `log <vkey> [<url>]`",
            Self::WitnessForm => "the line is `witness <name> <vkey> [<url>]`",
            Self::GroupForm => {
                "the line is `group <name> all|any|<k> <name>…`, with at least one member"
            }
            Self::QuorumForm => "the line is `quorum <name>`",
            Self::Key(error) => return error.in_words(),
            Self::KeyText => "the verifier key is not UTF-8 text",
            Self::KeyKind { expected, found } => {
                return format!(
                    "the key on this line is of type {:#04x}; logs have keys of type 0x01, and \
                     witnesses of type 0x04, so it should be of type {:#04x}",
                    found.byte(),
                    expected.byte()
                );
            }
            Self::DuplicateKey => "this public key is already listed",
            Self::SecondOrigin => "the log keys of an election have its origin as their name",
            Self::SharedKey => "a log key cannot also be a cosigner key",
            Self::Majority { least } => {
                return format!(
                    "the quorum of an election is a majority of its authorities: {least} or more"
                );
            }
            Self::KeyCollision => "another key has this name and key id",
            names => return name_rule(names),
        };
        text.to_owned()
    }
}

/// The text for a fault of the names and groups of a policy.
fn name_rule(rule: &PolicyRule) -> String {
    let text = match rule {
        PolicyRule::DuplicateName(name) => return format!("the name {name} is already defined"),
        PolicyRule::ReservedName => "the name none is reserved for the quorum line",
        PolicyRule::UndefinedName(name) => {
            return format!("the name {name} is not defined above this line");
        }
        PolicyRule::SecondMembership(name) => {
            return format!("{name} is already a member of a group");
        }
        PolicyRule::Threshold { members } => {
            return format!(
                "the threshold is a decimal from 1 to the number of members, {members}"
            );
        }
        PolicyRule::SecondQuorum => "there is a quorum line already",
        PolicyRule::TooMany => {
            return format!(
                "a policy has at most {} logs, witnesses and groups each",
                Policy::ENTRIES_MAX
            );
        }
        other => return other.to_string(),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_policy_is_named_by_line_and_rule() {
        for (text, words) in [
            ("", "there is no quorum line: is the file complete?"),
            ("quorum none", "line 1: each line ends in a line feed, the last one too"),
            ("other\n", "line 1: a line begins with `log`"),
            ("# x\nlog\n", "line 2: the line is `log <vkey> [<url>]`"),
            ("log a+b\n", "line 1: a verifier key is a name, 8 hexadecimal digits and base64"),
            ("quorum none\nquorum none\n", "line 2: there is a quorum line already"),
        ] {
            let error = Policy::parse(text.as_bytes()).expect_err("malformed");
            assert!(error.in_words().starts_with(words), "{text:?}: {}", error.in_words());
        }
    }

    #[test]
    fn a_malformed_file_of_authorities_is_named_by_line_and_rule() {
        for (text, words) in [
            ("votekit\n", "line 1: the first line is `votekit-authorities/1`"),
            ("votekit-authorities/1\nbase a b\n", "line 2: "),
        ] {
            let error = AuthoritySet::parse(text.as_bytes()).expect_err("malformed");
            assert!(error.in_words().starts_with(words), "{text:?}: {}", error.in_words());
        }
    }

    #[test]
    fn an_error_inside_a_note_has_its_own_words() {
        let text = "text\n\n\u{2014} a+b AAAA\n";
        let error = Note::parse(text.as_bytes()).expect_err("a plus sign in the name");
        assert_eq!(
            error.in_words(),
            "line 3: a key name holds no space, plus sign or control character: character 2 is one"
        );
        let empty = "".parse::<votekit_core::log::note::KeyName>().expect_err("no name");
        assert_eq!(empty.in_words(), "a key name has at least one character");
    }
}
