//! The rules that fields break: ids, credentials, choices, addresses, definitions, secrets.

use votekit_core::credential::{CredentialError, PepperError};
use votekit_core::election::{ChoiceIdError, Definition, DefinitionError, TextPart};
use votekit_core::email::{EmailAddress, EmailError};
use votekit_core::envelope::{FieldRule, JsonKind};
use votekit_core::id::IdError;
use votekit_core::instant::TimeError;
use votekit_core::key_file::KeyFileError;

use crate::InWords;

impl InWords for FieldRule {
    fn in_words(&self) -> String {
        let text = match self {
            Self::Repeated => "is given more than once",
            Self::Missing => "is missing",
            Self::NotText { found } => {
                return format!("must be a text in quotation marks, not {}", json_kind(*found));
            }
            Self::HalfCharacter => "contains an unpaired surrogate, which is not valid text",
            Self::Credential(error) => return error.in_words(),
            Self::Law(error) => return error.in_words(),
            Self::Choice(error) => return error.in_words(),
            Self::OtherField { name: Some(name), .. } => {
                return format!(
                    "has the field '{name}': a vote has only nas, code, law_id and vote"
                );
            }
            Self::OtherField { name: None, position } => {
                return format!(
                    "has an unknown field (number {position}): a vote has only nas, code, law_id \
                     and vote"
                );
            }
            Self::Wide => "is UTF-16 or UTF-32 text: send it as UTF-8",
            Self::NotUtf8 => "is not UTF-8 text",
            Self::NotObject => "must be a JSON object with the fields nas, code, law_id and vote",
            Self::CutShort => "is incomplete: the JSON ends too early",
            Self::NotJson { line, column } => {
                return format!("is not JSON at line {line}, column {column}");
            }
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
                "a NAS contains only digits, spaces and hyphens: character {position} is something \
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

    fn hint(&self) -> Option<String> {
        let is_short = matches!(self, Self::NasLength { digits: 0..9 });
        is_short.then(|| {
            "spreadsheets such as Excel drop leading zeros: copy nas and code from their source \
             again, and format both columns as text before pasting"
                .to_owned()
        })
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
            Self::NotOneAt => "an e-mail address contains exactly one @",
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
                "the ballot key is weak (a point of small order): anyone could read every choice"
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
                "the number of new votes after which results are published must be at least \
                 1"
                .to_owned()
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

impl InWords for KeyFileError {
    fn in_words(&self) -> String {
        match self {
            Self::Form => {
                "not a key file: expected one line that begins with 64 hexadecimal digits"
                    .to_owned()
            }
            Self::Check => {
                "the key does not match its check: use another copy of the file".to_owned()
            }
            other => other.to_string(),
        }
    }
}

impl InWords for PepperError {
    fn in_words(&self) -> String {
        "not a pepper file: expected one line 'votekit-pepper/1 ' followed by 64 lower-case \
         hexadecimal digits"
            .to_owned()
    }
}
