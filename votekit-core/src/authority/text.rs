//! Reads the lines of a statement in their fixed order.

use super::statement::{StatementError, TermLeader};
use crate::id::{Digest, ElectionId};
use crate::log::merkle::TreeHash;
use crate::log::note::KeyName;
use crate::log::parse_decimal;

/// The lines of a text, read one after the other.
pub(super) struct Lines<'a> {
    lines: std::iter::Peekable<std::str::Lines<'a>>,
    number: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { lines: text.lines().peekable(), number: 0 }
    }

    /// The value of the next line, which has this field.
    pub(super) fn field(&mut self, field: &'static str) -> Result<&'a str, StatementError> {
        let line = self.next(field)?;
        line.strip_prefix(field)
            .and_then(|rest| rest.strip_prefix(' '))
            .ok_or(StatementError::Line { line: self.number, field })
    }

    /// The next line, whole.
    pub(super) fn next(&mut self, field: &'static str) -> Result<&'a str, StatementError> {
        self.number += 1;
        self.lines.next().ok_or(StatementError::Line { line: self.number, field })
    }

    /// Whether the next line has this field.
    pub(super) fn is_next(&mut self, field: &str) -> bool {
        self.lines
            .peek()
            .is_some_and(|line| line.strip_prefix(field).is_some_and(|rest| rest.starts_with(' ')))
    }

    pub(super) fn number_of(&mut self, field: &'static str) -> Result<u64, StatementError> {
        let text = self.field(field)?;
        parse_decimal(text.as_bytes()).ok_or(self.wrong(field))
    }

    pub(super) fn name_of(&mut self, field: &'static str) -> Result<KeyName, StatementError> {
        let text = self.field(field)?;
        text.parse().map_err(|_| self.wrong(field))
    }

    pub(super) fn election(&mut self) -> Result<ElectionId, StatementError> {
        let text = self.field("election")?;
        text.parse().map_err(|_| self.wrong("election"))
    }

    pub(super) fn root(&mut self) -> Result<TreeHash, StatementError> {
        let text = self.field("root")?;
        TreeHash::from_hex(text.as_bytes()).map_err(|_| self.wrong("root"))
    }

    pub(super) fn digest(&mut self, field: &'static str) -> Result<Digest, StatementError> {
        let text = self.field(field)?;
        Digest::from_hex(text.as_bytes()).map_err(|_| self.wrong(field))
    }

    pub(super) fn leadership(&mut self) -> Result<TermLeader, StatementError> {
        Ok(TermLeader { term: self.number_of("term")?, leader: self.name_of("leader")? })
    }

    /// The error of the line just read.
    pub(super) fn wrong(&self, field: &'static str) -> StatementError {
        StatementError::Line { line: self.number, field }
    }

    pub(super) fn end(mut self) -> Result<(), StatementError> {
        match self.lines.next() {
            None => Ok(()),
            Some(_) => Err(StatementError::Line { line: self.number + 1, field: "nothing more" }),
        }
    }
}
