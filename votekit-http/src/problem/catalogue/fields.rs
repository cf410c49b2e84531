//! The rules that fields break.

use votekit_core::credential::CredentialError;
use votekit_core::election::{ChoiceIdError, Definition, DefinitionError, TextPart};
use votekit_core::email::{EmailAddress, EmailError};
use votekit_core::envelope::{FieldRule, JsonKind};
use votekit_core::id::IdError;
use votekit_core::instant::TimeError;
use votekit_core::shard::ShardHead;
use votekit_node::{CallRule, MemberFault, MemberRule};

use super::InWords;

impl InWords for FieldRule {
    fn in_words(&self) -> String {
        let text = match self {
            Self::Repeated => "is given more than once",
            Self::Missing => "is missing",
            Self::NotText { found } => {
                return format!("must be a text in quotation marks, not {}", json_kind(*found));
            }
            Self::HalfCharacter => "holds half of a surrogate pair, which is not text",
            Self::Credential(error) => return error.in_words(),
            Self::Law(error) => return error.in_words(),
            Self::Choice(error) => return error.in_words(),
            Self::OtherField { name: Some(name), .. } => {
                return format!(
                    "has the field '{name}': a vote has nas, code, law_id and vote alone"
                );
            }
            Self::OtherField { name: None, position } => {
                return format!(
                    "has another field, as number {position} of its fields: a vote has nas, code, \
                     law_id and vote alone"
                );
            }
            Self::Wide => "is UTF-16 or UTF-32 text: send it as UTF-8",
            Self::NotUtf8 => "is not UTF-8 text",
            Self::NotObject => "must be a JSON object with the fields nas, code, law_id and vote",
            Self::CutShort => "is cut short: the JSON does not end",
            Self::NotJson { line, column } => {
                return format!("is not JSON at line {line}, column {column}");
            }
            // The core is a library, and may have further rules.
            other => return other.to_string(),
        };
        text.to_owned()
    }
}

fn json_kind(kind: JsonKind) -> &'static str {
    match kind {
        JsonKind::Object => "an object",
        JsonKind::Array => "an array",
        JsonKind::Boolean => "true or false",
        JsonKind::Null => "null",
        JsonKind::Number => "a number",
    }
}

impl InWords for IdError {
    fn in_words(&self) -> String {
        match self {
            Self::LawLength { length } => {
                format!("a law id has 1 to 50 characters, this one has {length}")
            }
            Self::LawCharacter { position } => format!(
                "a law id is made of A-Z, a-z, 0-9, '.', '_' and '-': character {position} is \
                 something else"
            ),
            Self::LawDots => "a law id may not be '.' or '..'".to_owned(),
            Self::Hex { expected } => {
                format!("expected {expected} lower-case hexadecimal digits")
            }
            other => other.to_string(),
        }
    }
}

impl InWords for ChoiceIdError {
    fn in_words(&self) -> String {
        "a choice has 1 to 50 characters of a-z, 0-9, '.', '_' and '-'".to_owned()
    }
}

impl InWords for TimeError {
    fn in_words(&self) -> String {
        "expected a time with its offset, such as 2026-11-21T08:00:00-05:00 or \
         2026-11-21T13:00:00Z"
            .to_owned()
    }
}

impl InWords for CredentialError {
    fn in_words(&self) -> String {
        match self {
            Self::NasLength { digits } => {
                format!("a NAS has exactly 9 digits, this one has {digits}")
            }
            Self::NasCharacter { position } => format!(
                "a NAS holds digits, spaces and hyphens only: character {position} is something \
                 else"
            ),
            Self::NasCheckDigit => "the NAS fails its check digit".to_owned(),
            Self::NasZeros => "a NAS of nine zeros is never issued".to_owned(),
            Self::CodeLength { length } => {
                format!("an access code has 4 to 32 characters, this one has {length}")
            }
            Self::CodeCharacter { position } => format!(
                "an access code is made of letters A-Z and digits: character {position} is \
                 something else"
            ),
            Self::Law(error) => error.in_words(),
            other => other.to_string(),
        }
    }
}

impl InWords for EmailError {
    fn in_words(&self) -> String {
        let text = match self {
            Self::Missing => "the e-mail address is missing",
            Self::TooLong => {
                return format!(
                    "the e-mail address has more than {} bytes",
                    EmailAddress::BYTES_MAX
                );
            }
            Self::NotOneAt => "an e-mail address has one @",
            Self::Invisible => {
                "an e-mail address has no spaces, control characters or invisible characters"
            }
            Self::Special => "an e-mail address has none of the characters \" ( ) , : ; < > [ ] \\",
            Self::Local => "the part before the @ is empty, or has a dot in the wrong place",
            Self::Domain => "the part after the @ is not the name of a domain, such as example.org",
            other => return other.to_string(),
        };
        text.to_owned()
    }
}

impl InWords for DefinitionError {
    fn in_words(&self) -> String {
        match self {
            Self::ChoiceCount { count } => {
                format!("an election has 2 to 100 choices, this one has {count}")
            }
            Self::ChoiceTwice { choice } => format!("the choice '{choice}' is given twice"),
            Self::TextLength { what, length, minimum, maximum } => format!(
                "{} has {length} characters; {minimum} to {maximum} are allowed",
                text_part(*what)
            ),
            Self::TextCharacter { what, position, character } => format!(
                "{}: character {position} is U+{character:04X}, a control or direction character",
                text_part(*what)
            ),
            Self::TextBlank { what } => format!("{} has only blank characters", text_part(*what)),
            Self::LabelTwice { first, second } => {
                format!("the choices '{first}' and '{second}' have the same label")
            }
            Self::BallotKey => {
                "the ballot key is a point of small order, under which anyone can read every choice"
                    .to_owned()
            }
            Self::Times { opens, closes } => {
                format!("the poll closes ({closes}) no later than it opens ({opens})")
            }
            Self::TooLong { length } => format!(
                "the definition takes {length} bytes in all; at most {} fit in the log",
                Definition::LENGTH_MAX
            ),
            Self::PublishEvery => {
                "the number of new votes after which results are published is at least 1".to_owned()
            }
            other => other.to_string(),
        }
    }
}

fn text_part(part: TextPart) -> &'static str {
    match part {
        TextPart::FrenchTitle => "the French title",
        TextPart::EnglishTitle => "the English title",
        TextPart::FrenchDescription => "the French description",
        TextPart::EnglishDescription => "the English description",
        TextPart::ChoiceLabel => "the label of a choice",
        TextPart::Reason => "the reason",
    }
}

impl InWords for CallRule {
    fn in_words(&self) -> String {
        let text = match self {
            Self::Law(error) => return error.in_words(),
            Self::Choice(error) => return error.in_words(),
            Self::Time(error) => return error.in_words(),
            Self::Definition(error) => return error.in_words(),
            Self::OpensInPast { opens, now } => {
                return format!(
                    "the poll would open at {opens}, and it is {now} now: leave this out to open \
                     it by hand"
                );
            }
            Self::ClosesInPast { closes, now } => {
                return format!("the poll would close at {closes}, and it is {now} now");
            }
            Self::NotWaivable { waiver } => {
                return format!("'{waiver}' is not a rule that can be waived; 'results' is");
            }
            Self::SupplementReplaces => {
                "a supplement cannot replace a roll: load it without `replace`"
            }
            Self::AnsweringNode => "this is the node that answers this call: it is not lost",
            Self::MembersBinding => {
                "an election of members with accounts cannot be binding: the person who runs the \
                 node can vote for any member"
            }
            Self::MembersUnsigned => {
                "this node takes only rolls that an official has signed: draw credentials offline \
                 (votekit roll members) and load their roll"
            }
            Self::MembersAuthorities => {
                "several authorities have data folders of their own, and the key of such an \
                 election is in one alone: draw credentials offline (votekit roll members) and \
                 load their roll"
            }
            Self::MemberCount => {
                return format!("an election has 1 to {} members", ShardHead::KEYS_MAX);
            }
            Self::NodeRecord(error) => return error.to_string(),
            Self::NodeNameTaken { name } => {
                return format!("another node is admitted as {name}: give this one another name");
            }
            Self::NodeKeyTaken { name } => {
                return format!("the node is admitted already, as {name}");
            }
            Self::NodeRetired { name } => {
                return format!(
                    "{name} was retired, which is final: admit new keys, under another name"
                );
            }
            Self::NodeNotAdmitted { name } => return format!("no node was admitted as {name}"),
            Self::AuthorityKey { authority } => {
                return format!(
                    "it is a key of the authority {authority}: a node has keys of its own"
                );
            }
            Self::FileUnread { reason } => {
                return format!("the node cannot read this file: {reason}");
            }
            Self::KeyFile(error) => return error.to_string(),
            Self::BallotKeyUsed { law_id } => {
                return format!(
                    "it is the ballot key of {law_id}: an election has a ballot key of its own"
                );
            }
            Self::OtherBallotKey => {
                "the data folder holds another ballot key for this election already"
            }
            Self::AddressCount { most } => {
                return format!(
                    "must have 1 to {most} e-mail addresses; for more members draw credentials \
                     offline with votekit roll members"
                );
            }
        };
        text.to_owned()
    }
}

impl InWords for MemberRule {
    fn in_words(&self) -> String {
        match self {
            Self::Email(error) => error.in_words(),
            Self::Repeated { first } => {
                format!("is the same address as {}[{first}]", MemberFault::LIST)
            }
            Self::Official => {
                "is the address of an official: a member needs another one".to_owned()
            }
            Self::Disabled => "is the address of an account that is disabled".to_owned(),
        }
    }
}
