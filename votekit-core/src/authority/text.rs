//! The lines of a signed text: `<name> <value>`, in a fixed order and in one canonical form.

use std::str::FromStr;

use super::point::{AcceptedBlock, LogPoint, TermLeader};
use super::set::AuthoritySet;
use crate::id::{Digest, IdError};
use crate::log::encoding::parse_decimal;
use crate::log::note::{KeyError, KeyName, NoteError};

/// The largest number in a text, the same as in JSON.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// Why bytes are not a statement or a proposal of an authority. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// The note is malformed, or not signed by exactly the statement key of the authority that it
    /// names.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A line of the text breaks a rule.
    #[error("line {line}: {rule}")]
    Malformed {
        /// The line.
        line: usize,
        /// The rule it breaks.
        rule: StatementRule,
    },
}

/// The rules of the texts that authorities sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementRule {
    /// The first line names the format.
    #[error("the first line is `{0}`")]
    Format(&'static str),
    /// The fields have a fixed order.
    #[error("the line is `{0} …`")]
    Field(&'static str),
    /// The text belongs to this installation.
    #[error("the base is {0}")]
    Base(KeyName),
    /// A name is malformed.
    #[error("{0}")]
    Name(KeyError),
    /// Only authorities of this installation are named.
    #[error("{0} is not an authority of this installation")]
    NotMember(KeyName),
    /// A law id, a digest or a key is malformed.
    #[error("{0}")]
    Id(IdError),
    /// A number has one form and a range.
    #[error("the number is a decimal from {least} to {max} without leading zero", max = NUMBER_MAX)]
    Number {
        /// The smallest number accepted.
        least: u64,
    },
    /// A signed number has one form and a range.
    #[error("the number is a decimal from -{max} to {max} without leading zero, and not -0")]
    Signed {
        /// The largest number accepted.
        max: i64,
    },
    /// A number that may be unknown.
    #[error("the value is a decimal without leading zero, or `unknown`")]
    NumberOrUnknown,
    /// There are four kinds of statements.
    #[error("the kind is `vote`, `accept`, `refuse` or `suspect`")]
    Kind,
    /// The end of a log is three words.
    #[error(
        "the end of a log is its height, size and root; the size is at least the height, and \
         height 0 is the empty log"
    )]
    Point,
    /// An accepted block is four words.
    #[error("an accepted block is its term, height, size and root")]
    AcceptedForm,
    /// An accepted block is not certified yet.
    #[error("an accepted block is above the certified one")]
    AcceptedHeight,
    /// A vote reports only accepts of earlier terms.
    #[error("a vote names blocks accepted in earlier terms only")]
    AcceptedTerm,
    /// Elections have a fixed order.
    #[error("elections ascend by law id, each once")]
    ElectionOrder,
    /// The rule of a refusal is a short name.
    #[error("the name of a rule is 1 to 40 of a-z, 0-9 and '-'")]
    RuleName,
    /// The name of a node is a short name.
    #[error("the name of a node is 1 to 40 of a-z, 0-9 and '-'")]
    NodeName,
    /// There are four reasons.
    #[error("the reason is `refused`, `left-out`, `idle` or `step-down`")]
    Reason,
    /// A flag is `yes` or `no`.
    #[error("the value is `yes` or `no`")]
    Flag,
    /// The block's leaves follow those before it.
    #[error("the size is first plus count")]
    Size,
    /// Times lie in the range of the formats.
    #[error("the time is a second of the years 2000 to 9999")]
    Time,
    /// Nothing follows the last field.
    #[error("the text ends before this line")]
    Trailing,
}

/// Reads the fields of a text in their order.
pub(super) struct Fields<'text> {
    set: &'text AuthoritySet,
    rest: &'text str,
    /// The number of the line last read.
    line: usize,
}

impl<'text> Fields<'text> {
    /// Reads the first two lines: the format and the base.
    pub(super) fn open(
        text: &'text str,
        format: &'static str,
        set: &'text AuthoritySet,
    ) -> Result<Self, StatementError> {
        let mut fields = Self { set, rest: text, line: 1 };
        let rest = text.strip_prefix(format).and_then(|rest| rest.strip_prefix('\n'));
        fields.rest = rest.ok_or_else(|| fields.malformed(StatementRule::Format(format)))?;
        if fields.value("base")? != set.base().as_str() {
            return Err(fields.malformed(StatementRule::Base(set.base().clone())));
        }
        Ok(fields)
    }

    /// An error at the line last read.
    pub(super) fn malformed(&self, rule: StatementRule) -> StatementError {
        StatementError::Malformed { line: self.line, rule }
    }

    /// Whether the next line is that field.
    pub(super) fn is_next(&self, name: &str) -> bool {
        self.rest.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '))
    }

    /// The value of the next line, which must be that field.
    pub(super) fn value(&mut self, name: &'static str) -> Result<&'text str, StatementError> {
        self.line += 1;
        let field = self.rest.split_once('\n').and_then(|(line, rest)| {
            let value = line.strip_prefix(name)?.strip_prefix(' ')?;
            Some((value, rest))
        });
        let Some((value, rest)) = field else {
            return Err(self.malformed(StatementRule::Field(name)));
        };
        self.rest = rest;
        Ok(value)
    }

    /// A decimal from `least`.
    pub(super) fn number(&mut self, name: &'static str, least: u64) -> Result<u64, StatementError> {
        let value = self.value(name)?;
        parse_number(value, least).ok_or_else(|| self.malformed(StatementRule::Number { least }))
    }

    /// A decimal from `-max` to `max`.
    pub(super) fn signed(&mut self, name: &'static str, max: i64) -> Result<i64, StatementError> {
        let value = self.value(name)?;
        let number = match value.strip_prefix('-') {
            Some(digits) => parse_number(digits, 1).and_then(|number| i64::try_from(number).ok()),
            None => parse_number(value, 0).and_then(|number| i64::try_from(number).ok()),
        };
        let is_negative = value.starts_with('-');
        match number.filter(|number| *number <= max) {
            Some(number) => Ok(if is_negative { -number } else { number }),
            None => Err(self.malformed(StatementRule::Signed { max })),
        }
    }

    /// A decimal, or `unknown`.
    pub(super) fn optional_number(
        &mut self,
        name: &'static str,
    ) -> Result<Option<u64>, StatementError> {
        match self.value(name)? {
            "unknown" => Ok(None),
            value => parse_number(value, 0)
                .map(Some)
                .ok_or_else(|| self.malformed(StatementRule::NumberOrUnknown)),
        }
    }

    /// A law id, digest, root or key.
    pub(super) fn id<T: FromStr<Err = IdError>>(
        &mut self,
        name: &'static str,
    ) -> Result<T, StatementError> {
        let value = self.value(name)?;
        value.parse::<T>().map_err(|error| self.malformed(StatementRule::Id(error)))
    }

    /// A digest or `none`.
    pub(super) fn optional_digest(
        &mut self,
        name: &'static str,
    ) -> Result<Option<Digest>, StatementError> {
        match self.value(name)? {
            "none" => Ok(None),
            value => value
                .parse::<Digest>()
                .map(Some)
                .map_err(|error| self.malformed(StatementRule::Id(error))),
        }
    }

    /// `yes` or `no`.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, StatementError> {
        match self.value(name)? {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err(self.malformed(StatementRule::Flag)),
        }
    }

    /// The name of an authority.
    pub(super) fn member(&mut self, name: &'static str) -> Result<KeyName, StatementError> {
        let value = self.value(name)?;
        let member =
            value.parse::<KeyName>().map_err(|error| self.malformed(StatementRule::Name(error)))?;
        if self.set.member(&member).is_none() {
            return Err(self.malformed(StatementRule::NotMember(member)));
        }
        Ok(member)
    }

    /// Two lines: term and leader.
    pub(super) fn leadership(&mut self) -> Result<TermLeader, StatementError> {
        Ok(TermLeader { term: self.number("term", 1)?, leader: self.member("leader")? })
    }

    /// The end of a log in one line.
    pub(super) fn point(&mut self, name: &'static str) -> Result<LogPoint, StatementError> {
        let value = self.value(name)?;
        parse_point(value).ok_or_else(|| self.malformed(StatementRule::Point))
    }

    /// An accepted block in one line.
    pub(super) fn accepted(&mut self, name: &'static str) -> Result<AcceptedBlock, StatementError> {
        let value = self.value(name)?;
        let block = value.split_once(' ').and_then(|(term, point)| {
            Some(AcceptedBlock { term: parse_number(term, 1)?, point: parse_point(point)? })
        });
        block.ok_or_else(|| self.malformed(StatementRule::AcceptedForm))
    }

    /// Checks that no line is left.
    pub(super) fn end(mut self) -> Result<(), StatementError> {
        self.line += 1;
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed(StatementRule::Trailing)) }
    }
}

fn parse_number(text: &str, least: u64) -> Option<u64> {
    parse_decimal(text.as_bytes()).filter(|number| (least..=NUMBER_MAX).contains(number))
}

fn parse_point(text: &str) -> Option<LogPoint> {
    let words: Vec<&str> = text.split(' ').collect();
    let [height, size, root] = words.as_slice() else { return None };
    let height = parse_number(height, 0)?;
    // Each block has a leaf at least, its own.
    let point = LogPoint { height, size: parse_number(size, height)?, root: root.parse().ok()? };
    (height > 0 || point == LogPoint::empty()).then_some(point)
}
