//! The report of an authority to operators: that it runs, its clock, and the elections that are
//! halted on it.
//!
//! Nothing is decided from a status. It is signed: another writer of the ledger can withhold it,
//! but cannot forge it.

use std::fmt::Write as _;

use super::set::AuthoritySet;
use super::text::{Fields, StatementError, StatementRule};
use crate::id::ElectionId;
use crate::instant::UnixSeconds;
use crate::log::note::KeyName;

/// The first line.
const FORMAT: &str = "votekit-status/1";

/// The status of one authority at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityStatus {
    /// The authority that reports.
    pub authority: KeyName,
    /// How often its memory had been opened, from 1.
    pub incarnation: u64,
    /// When it was made, on the ledger's clock.
    pub at: UnixSeconds,
    /// By how many milliseconds the authority's own clock is ahead of the ledger's; negative when
    /// it is behind.
    pub clock_offset: i64,
    /// Bytes free in the file system of its data folder, if it could measure them.
    pub free_bytes: Option<u64>,
    /// Whether it signs statements. False after its memory was restored from an older copy.
    pub signs: bool,
    /// Its logs, ascending by law id, each once.
    pub elections: Vec<ElectionStatus>,
}

/// How far an authority is with one election.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectionStatus {
    /// The election.
    pub law_id: ElectionId,
    /// The height of the log as the authority has applied it; 0 if it could not read it.
    pub height: u64,
    /// Whether a fault halted the election on this authority.
    pub is_halted: bool,
}

impl AuthorityStatus {
    /// The largest offset that is reported, in milliseconds: over 31 years.
    pub const CLOCK_OFFSET_MAX: i64 = 1_000_000_000_000;

    /// The text that is signed, with its final line feed.
    #[must_use]
    pub fn text(&self, base: &KeyName) -> String {
        let free = self.free_bytes.map_or_else(|| "unknown".to_owned(), |free| free.to_string());
        let signs = if self.signs { "yes" } else { "no" };
        let mut text = format!(
            "{FORMAT}\nbase {base}\nauthority {}\nincarnation {}\nat {}\nclock-offset {}\n\
             free-bytes {free}\nsigns {signs}\n",
            self.authority, self.incarnation, self.at.0, self.clock_offset,
        );
        for ElectionStatus { law_id, height, is_halted } in &self.elections {
            let halted = if *is_halted { "yes" } else { "no" };
            // Writing to a string does not fail.
            let _ = writeln!(text, "election {law_id}\nheight {height}\nhalted {halted}");
        }
        text
    }

    /// Parses a signed text of this installation. Verifies no signature.
    pub(super) fn parse_text(text: &str, set: &AuthoritySet) -> Result<Self, StatementError> {
        let mut fields = Fields::open(text, FORMAT, set)?;
        let authority = fields.member("authority")?;
        let incarnation = fields.number("incarnation", 1)?;
        let at = UnixSeconds(fields.number("at", 0)?);
        if !at.minute_floor().is_in_range() {
            return Err(fields.malformed(StatementRule::Time));
        }
        let clock_offset = fields.signed("clock-offset", Self::CLOCK_OFFSET_MAX)?;
        let free_bytes = fields.optional_number("free-bytes")?;
        let signs = fields.flag("signs")?;
        let mut elections: Vec<ElectionStatus> = Vec::new();
        while fields.is_next("election") {
            let law_id: ElectionId = fields.id("election")?;
            if elections.last().is_some_and(|before| before.law_id >= law_id) {
                return Err(fields.malformed(StatementRule::ElectionOrder));
            }
            let height = fields.number("height", 0)?;
            let is_halted = fields.flag("halted")?;
            elections.push(ElectionStatus { law_id, height, is_halted });
        }
        fields.end()?;
        Ok(Self { authority, incarnation, at, clock_offset, free_bytes, signs, elections })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::sample::SampleAuthority;
    use crate::authority::vectors;

    fn parse(text: &str) -> Result<AuthorityStatus, StatementError> {
        AuthorityStatus::parse_text(text, &vectors::set())
    }

    fn text() -> String {
        vectors::status().text(vectors::set().base())
    }

    #[test]
    fn a_status_is_read_as_it_is_written() {
        assert_eq!(parse(&text()), Ok(vectors::status()));
        for clock_offset in [-AuthorityStatus::CLOCK_OFFSET_MAX, -1, 0, 1] {
            let status = AuthorityStatus {
                clock_offset,
                free_bytes: None,
                signs: false,
                elections: Vec::new(),
                ..vectors::status()
            };
            assert_eq!(parse(&status.text(vectors::set().base())), Ok(status));
        }
    }

    #[test]
    fn each_rule_of_a_status_is_enforced() {
        let offset = || StatementRule::Signed { max: AuthorityStatus::CLOCK_OFFSET_MAX };
        for (from, to, line, rule) in [
            ("votekit-status/1", "votekit-statement/1", 1, StatementRule::Format(FORMAT)),
            ("incarnation 2", "incarnation 0", 4, StatementRule::Number { least: 1 }),
            ("at 1763712000", "at 0", 5, StatementRule::Time),
            ("clock-offset -1250", "clock-offset -0", 6, offset()),
            ("clock-offset -1250", "clock-offset +1250", 6, offset()),
            ("clock-offset -1250", "clock-offset -01", 6, offset()),
            ("clock-offset -1250", "clock-offset --1", 6, offset()),
            ("clock-offset -1250", "clock-offset 1000000000001", 6, offset()),
            ("free-bytes 104857600", "free-bytes none", 7, StatementRule::NumberOrUnknown),
            ("signs yes", "signs true", 8, StatementRule::Flag),
            ("election L2025-002", "election L2025-001", 12, StatementRule::ElectionOrder),
            ("halted yes", "halted maybe", 14, StatementRule::Flag),
            ("halted yes\n", "halted yes\nmore 1\n", 15, StatementRule::Trailing),
        ] {
            assert!(text().contains(from), "{from:?}");
            let fault = StatementError::Malformed { line, rule };
            assert_eq!(parse(&text().replacen(from, to, 1)), Err(fault), "{from:?} -> {to:?}");
        }
    }

    #[test]
    fn a_status_counts_only_under_the_key_of_the_authority_it_names() {
        let set = vectors::set();
        let key = |number| SampleAuthority::new(number).statement_key();
        let bytes = key(1).sign_status(&vectors::status());
        assert_eq!(set.verify_status(&bytes), Ok(vectors::status()));
        for number in [2, 3, 4] {
            assert!(set.verify_status(&key(number).sign_status(&vectors::status())).is_err());
        }
        assert!(set.verify_statement(&bytes).is_err() && set.verify_proposal(&bytes).is_err());
        assert!(set.verify_status(&key(3).sign_statement(&vectors::vote())).is_err());
    }
}
