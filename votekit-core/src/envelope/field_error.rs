//! Errors in a field of a vote. They contain no value of the vote.

use std::fmt;

use crate::credential::CredentialError;
use crate::election::ChoiceIdError;
use crate::id::IdError;

/// An invalid field of a vote, and the rule it breaks. Never contains the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct FieldError {
    /// `nas`, `code`, `law_id`, `vote`, or `body` for a fault of the JSON itself.
    pub field: &'static str,
    /// The rule.
    pub rule: FieldRule,
}

/// The rule that a field of a vote breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldRule {
    /// A field occurs once.
    #[error("repeated")]
    Repeated,
    /// Every field is required.
    #[error("missing")]
    Missing,
    /// The values are texts.
    #[error("{found}, not a text")]
    NotText {
        /// The kind of the value that was found.
        found: JsonKind,
    },
    /// Escapes form whole characters.
    #[error("unpaired surrogate")]
    HalfCharacter,
    /// A NAS or an access code is well formed.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// A law id is well formed.
    #[error(transparent)]
    Law(#[from] IdError),
    /// A choice id is well formed.
    #[error(transparent)]
    Choice(#[from] ChoiceIdError),
    /// There are no other fields.
    #[error("{}", other_field(name.as_deref(), *position))]
    OtherField {
        /// Its name, unless the name may be a misplaced secret.
        name: Option<String>,
        /// Its position among the fields, from 1.
        position: usize,
    },
    /// The body is UTF-8, and this is another encoding of Unicode.
    #[error("UTF-16 or UTF-32, not UTF-8")]
    Wide,
    /// The body is UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// The body is an object.
    #[error("not a JSON object")]
    NotObject,
    /// The body is complete.
    #[error("JSON cut short")]
    CutShort,
    /// The body is JSON.
    #[error("not JSON: line {line}, column {column}")]
    NotJson {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1.
        column: usize,
    },
}

fn other_field(name: Option<&str>, position: usize) -> String {
    match name {
        Some(name) => format!("unknown field '{name}'"),
        None => format!("unknown field {position}"),
    }
}

/// A kind of JSON value other than text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonKind {
    /// `{…}`.
    Object,
    /// `[…]`.
    Array,
    /// `true` or `false`.
    Boolean,
    /// `null`.
    Null,
    /// A number.
    Number,
}

impl fmt::Display for JsonKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::Boolean => "true or false",
            Self::Null => "null",
            Self::Number => "a number",
        })
    }
}
