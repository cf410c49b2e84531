//! The kinds of table that are read.

use std::fmt;

use super::fault::Field;

/// The kind of a CSV file, which determines its required columns. All kinds are read by the same
/// rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// An electoral roll: `nas`, `code`, `law_id`.
    Roll,
    /// Votes to be cast: the columns of a roll, plus `vote`.
    Votes,
}

impl Table {
    /// The required columns.
    #[must_use]
    pub const fn required(self) -> &'static [Field] {
        match self {
            Self::Roll => &Field::REQUIRED,
            Self::Votes => &Field::REQUIRED_OF_VOTES,
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Roll => "roll",
            Self::Votes => "file of votes",
        })
    }
}
