//! Warnings about well-formed data that is most likely a mistake.

use std::collections::BTreeMap;
use std::fmt;

use super::code_lengths::{CodeLengths, ShortCodes};
use super::hashes::HashedRoll;
use crate::id::ElectionId;

/// A finding that does not block a roll, for an official to review.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RollWarning {
    /// Some codes of a law are shorter than the others.
    ShortCodes {
        /// The law.
        law_id: ElectionId,
        /// Count, lines and usual length.
        short: ShortCodes,
    },
    /// Two law ids differ in capitals only.
    LawCase {
        /// One id and its number of electors.
        one: (ElectionId, u64),
        /// The other id and its number of electors.
        other: (ElectionId, u64),
    },
}

impl RollWarning {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ShortCodes { .. } => "short-codes",
            Self::LawCase { .. } => "law-case",
        }
    }
}

impl fmt::Display for RollWarning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShortCodes { law_id, short } => {
                let ShortCodes { count, lines, usual, usual_count } = short;
                let (codes, are) = if *count == 1 { ("code", "is") } else { ("codes", "are") };
                let (line, more) = (
                    if *count == 1 { "line" } else { "lines" },
                    if *count > lines.len() as u64 { ", …" } else { "" },
                );
                let lines: Vec<String> = lines.iter().map(u64::to_string).collect();
                write!(
                    formatter,
                    "{law_id}: {count} {codes} {are} shorter than the other {usual_count} ({usual} characters): \
                     {line} {}{more}; spreadsheets drop leading zeros",
                    lines.join(", ")
                )
            }
            Self::LawCase { one: (one, ones), other: (other, others) } => write!(
                formatter,
                "the law ids {one} ({ones} registered) and {other} ({others} registered) differ in capitals \
                 only: are they the same law?"
            ),
        }
    }
}

/// Law ids that differ in capitals only; `laws` are in ascending order, with their numbers of
/// electors.
fn laws_alike(laws: &[(ElectionId, u64)]) -> Vec<RollWarning> {
    let mut by_lower_case: BTreeMap<String, &(ElectionId, u64)> = BTreeMap::new();
    let mut warnings = Vec::new();
    for law in laws {
        match by_lower_case.entry(law.0.as_str().to_ascii_lowercase()) {
            std::collections::btree_map::Entry::Occupied(known) => {
                warnings
                    .push(RollWarning::LawCase { one: (*known.get()).clone(), other: law.clone() });
            }
            std::collections::btree_map::Entry::Vacant(free) => drop(free.insert(law)),
        }
    }
    warnings
}

/// Codes shorter than the usual length of their law; `others` are the lengths in another file.
#[must_use]
pub fn short_codes(
    lengths: &BTreeMap<ElectionId, CodeLengths>,
    others: &BTreeMap<ElectionId, CodeLengths>,
) -> Vec<RollWarning> {
    let none = CodeLengths::default();
    let short = |(law_id, lengths): (&ElectionId, &CodeLengths)| {
        let short = lengths.shorter_than_usual(others.get(law_id).unwrap_or(&none))?;
        Some(RollWarning::ShortCodes { law_id: law_id.clone(), short })
    };
    lengths.iter().filter_map(short).collect()
}

impl HashedRoll {
    /// Warnings for an official to review, though every row is good.
    #[must_use]
    pub fn warnings(&self) -> Vec<RollWarning> {
        let laws: Vec<_> =
            self.laws.iter().map(|law| (law.law_id().clone(), law.count() as u64)).collect();
        let mut warnings = short_codes(&self.code_lengths, &BTreeMap::new());
        warnings.extend(laws_alike(&laws));
        warnings
    }
}
