//! The kinds of table that are read, and their columns.

use std::fmt;

/// The kind of a CSV file, which determines its required columns. All kinds are read by the same
/// rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// An electoral roll: `nas`, `code`, `law_id`.
    Roll,
    /// Votes to be cast: the columns of a roll, plus `vote`.
    Votes,
    /// Members of an association: at least one of `email`, `name` and `id`.
    Members,
}

impl Table {
    /// The columns that are read, each found by its name.
    #[must_use]
    pub const fn columns(self) -> &'static [Field] {
        match self {
            Self::Roll => &Field::REQUIRED,
            Self::Votes => &Field::REQUIRED_OF_VOTES,
            Self::Members => &Field::OF_MEMBERS,
        }
    }

    /// The required columns. A list of members requires any one of its columns.
    #[must_use]
    pub const fn required(self) -> &'static [Field] {
        match self {
            Self::Members => &[],
            other => other.columns(),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Roll => "roll",
            Self::Votes => "file of votes",
            Self::Members => "list of members",
        })
    }
}

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The social insurance number.
    Nas,
    /// The access code.
    Code,
    /// The law id.
    ElectionId,
    /// The choice, in a file of votes.
    Vote,
    /// The e-mail address, in a list of members.
    Email,
    /// The name, in a list of members.
    Name,
    /// The id in the records of the association, in a list of members.
    Id,
    /// Another column, by its position from 1; 0 for the row as a whole.
    Column(u32),
}

impl Field {
    /// The columns every roll has.
    pub const REQUIRED: [Self; 3] = [Self::Nas, Self::Code, Self::ElectionId];
    /// The columns every file of votes has.
    pub const REQUIRED_OF_VOTES: [Self; 4] = [Self::Nas, Self::Code, Self::ElectionId, Self::Vote];
    /// The columns that a list of members may have.
    pub const OF_MEMBERS: [Self; 3] = [Self::Email, Self::Name, Self::Id];
    /// The row as a whole.
    pub const ROW: Self = Self::Column(0);

    /// The name in headers; empty for other columns.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nas => "nas",
            Self::Code => "code",
            Self::ElectionId => "law_id",
            Self::Vote => "vote",
            Self::Email => "email",
            Self::Name => "name",
            Self::Id => "id",
            Self::Column(_) => "",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(0) => formatter.write_str("row"),
            Self::Column(column) => write!(formatter, "column {column}"),
            named => formatter.write_str(named.name()),
        }
    }
}
