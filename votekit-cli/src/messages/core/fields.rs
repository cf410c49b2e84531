//! NAS, access codes, laws, choices, e-mail addresses.

use votekit_core::credential::{CredentialError, PepperError};
use votekit_core::election::ChoiceIdError;
use votekit_core::email::{EmailAddress, EmailError};
use votekit_core::id::IdError;
use votekit_core::key_file::KeyFileError;

use super::InWords;

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
            // The core is a library, and may have further rules; so in the other files.
            other => other.to_string(),
        }
    }
}

impl InWords for ChoiceIdError {
    fn in_words(&self) -> String {
        "a choice has 1 to 50 characters of a-z, 0-9, '.', '_' and '-'".to_owned()
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

impl InWords for KeyFileError {
    fn in_words(&self) -> String {
        match self {
            Self::Form => {
                "not a key file: expected one line that begins with 64 hexadecimal digits"
                    .to_owned()
            }
            Self::Check => {
                "the key does not match its check: take another copy of the file".to_owned()
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
