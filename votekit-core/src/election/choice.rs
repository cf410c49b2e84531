//! The choices on a ballot.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The id of the blank vote.
pub const BLANK: &str = "blanc";

/// The id of a choice: 1 to 50 of `a-z0-9._-`, such as `oui`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChoiceId(String);

/// A text is not a choice id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a choice id")]
pub struct ChoiceIdError;

impl ChoiceId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn check(text: &str) -> Result<(), ChoiceIdError> {
        Self::check_bytes(text.as_bytes())
    }

    /// Checks the bytes of a choice id without allocating.
    ///
    /// # Errors
    /// [`ChoiceIdError`].
    pub fn check_bytes(text: &[u8]) -> Result<(), ChoiceIdError> {
        let allowed = |byte: &u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
        };
        if (1..=50).contains(&text.len()) && text.iter().all(allowed) {
            Ok(())
        } else {
            Err(ChoiceIdError)
        }
    }
}

impl FromStr for ChoiceId {
    type Err = ChoiceIdError;

    fn from_str(text: &str) -> Result<Self, ChoiceIdError> {
        Self::check(text).map(|()| Self(text.to_owned()))
    }
}

impl TryFrom<String> for ChoiceId {
    type Error = ChoiceIdError;

    fn try_from(text: String) -> Result<Self, ChoiceIdError> {
        Self::check(&text).map(|()| Self(text))
    }
}

impl From<ChoiceId> for String {
    fn from(choice: ChoiceId) -> Self {
        choice.0
    }
}

impl fmt::Display for ChoiceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for ChoiceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One choice on the ballot, with its labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The id used in votes and results.
    pub id: ChoiceId,
    /// The French label.
    pub fr: String,
    /// The English label.
    pub en: String,
}

impl Choice {
    /// A choice with the customary labels for `oui`, `non` and `blanc`, and the id itself as the
    /// label of any other.
    #[must_use]
    pub fn with_customary_labels(id: ChoiceId) -> Self {
        let (fr, en) = match id.as_str() {
            "oui" => ("Oui", "Yes"),
            "non" => ("Non", "No"),
            BLANK => ("Bulletin blanc", "Blank ballot"),
            other => (other, other),
        };
        Self { fr: fr.to_owned(), en: en.to_owned(), id }
    }
}
