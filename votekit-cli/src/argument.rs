//! Arguments of the types of the core, whose errors have the texts of the catalogue.

use std::str::FromStr;

use votekit_messages::InWords;

/// Parses an argument, as a `value_parser` of clap: clap itself would show the error's `Display`,
/// which is for logs.
pub(crate) fn parse<T>(text: &str) -> Result<T, String>
where
    T: FromStr,
    T::Err: InWords,
{
    text.parse().map_err(|error: T::Err| error.in_words())
}
