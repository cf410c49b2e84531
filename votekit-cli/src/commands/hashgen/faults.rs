//! Reports the bad rows of a roll: on the terminal without their values, in the file of rejects
//! with them.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::str::FromStr;

use serde_json::{Value, json};
use votekit_core::roll::{Conflict, HashedRoll, RollChunks, RowFault, Rows};
use votekit_messages::InWords as _;

use super::read::Source;
use crate::atomic_output::{Secrecy, StagedFile};
use crate::error::CommandError;
use crate::table_error::{self, BadRows, DETAILED_MAX, PRINTED_MAX, and_more, plural};

/// Maximum number of bad rows to leave out: a count, or a share of all rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum RejectsMax {
    Count(u64),
    Percent(f64),
}

impl RejectsMax {
    fn allows(self, rejects: u64, rows: u64) -> bool {
        match self {
            Self::Count(count) => rejects <= count,
            Self::Percent(percent) => rejects as f64 * 100.0 <= percent * rows as f64,
        }
    }
}

impl FromStr for RejectsMax {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "give a number of rows, such as 25, or a share, such as 1% or 0.5%";
        match text.strip_suffix('%') {
            None => text.parse().map(Self::Count).map_err(|_| FORM),
            Some(percent) => match percent.trim_end().parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Self::Percent(percent)),
                _ => Err(FORM),
            },
        }
    }
}

impl std::fmt::Display for RejectsMax {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => count.fmt(formatter),
            Self::Percent(percent) => write!(formatter, "{percent}%"),
        }
    }
}

/// Fails if one NAS has two codes for one law; such rows are never skipped. Reports the bad rows
/// too, so that one correction is enough.
pub(super) fn refuse_conflicts(rolls: &[(&str, &HashedRoll)]) -> Result<(), CommandError> {
    let conflicts: Vec<(&str, &Conflict)> = rolls
        .iter()
        .flat_map(|(name, roll)| roll.conflicts.iter().map(move |conflict| (*name, conflict)))
        .collect();
    if conflicts.is_empty() {
        return Ok(());
    }
    let mut message =
        "the same elector has two codes for the same law; nothing was written".to_owned();
    for (name, Conflict { law_id, first_line, line, .. }) in conflicts.iter().take(PRINTED_MAX) {
        let _ = write!(message, "\n  {name}: lines {first_line} and {line}, law {law_id}");
    }
    and_more(&mut message, conflicts.len());
    let files = faults_of(rolls);
    let bad = BadRows { files: &files, outcome: "nothing was written", hint: "" };
    bad.append(&mut message);
    let described = |(name, conflict): &(&str, &Conflict)| {
        json!({
            "file": name,
            "first_line": conflict.first_line,
            "line": conflict.line,
            "law_id": conflict.law_id,
        })
    };
    let listed: Vec<Value> = conflicts.iter().take(DETAILED_MAX).map(described).collect();
    Err(CommandError::bad_input(message)
        .hint("find out which code the elector was sent, and delete the other row")
        .details(json!({
            "conflicts": listed,
            "conflicts_total": conflicts.len(),
            "faults": bad.described(),
            "faults_total": bad.total(),
        })))
}

fn faults_of<'r>(rolls: &[(&'r str, &'r HashedRoll)]) -> Vec<(&'r str, &'r [RowFault])> {
    rolls.iter().map(|(name, roll)| (*name, roll.faults.as_slice())).collect()
}

/// Fails if the given rolls have bad rows, and reports every one.
pub(super) fn refuse_faults(rolls: &[(&str, &HashedRoll)], hint: &str) -> Result<(), CommandError> {
    BadRows { files: &faults_of(rolls), outcome: "nothing was written", hint }.refuse()
}

/// Refuses to skip rows when one of them may hide others, or when they are too many.
pub(super) fn refuse_skipping(
    name: &str,
    roll: &HashedRoll,
    max: RejectsMax,
) -> Result<(), CommandError> {
    let bad = BadRows {
        files: &[(name, &roll.faults)],
        outcome: "nothing was written",
        hint: "correct the rows, or raise --max-rejects if they must be skipped",
    };
    bad.refuse_lost_position()?;
    let (rejects, rows) = (roll.rejects(), roll.rows);
    if max.allows(rejects, rows) {
        return Ok(());
    }
    let rows_are = if rejects == 1 { "row is" } else { "rows are" };
    Err(bad.refuse_as(format!(
        "{name}: {rejects} of {rows} {rows_are} bad, more than --max-rejects {max}; \
         nothing was written"
    )))
}

/// Stages a file of the bad rows, readable only by the owner: line and rule, then the columns of
/// the roll unchanged. It has the form of a roll, so that corrected rows can be read from it. It
/// appears when committed.
pub(super) fn write_rejects(
    path: &Path,
    source: &mut Source,
    roll: &HashedRoll,
) -> Result<StagedFile, CommandError> {
    let name = source.name().to_owned();
    let mut file = StagedFile::create(path, Secrecy::Private)?;
    let again = source.again().map_err(|error| CommandError::reading(name.as_ref(), &error))?;
    let unreadable = |error| table_error::unreadable(&name, &error);
    let mut chunks = RollChunks::open(again).map_err(unreadable)?;
    let mut faults = roll.faults.iter().peekable();
    let failed = |error: io::Error| CommandError::writing(path, &error);
    let mut table = BufWriter::new(&mut file);
    // The byte order mark makes spreadsheets read the file in the encoding of the roll.
    let mark: &[u8] = if chunks.has_mark() { b"\xef\xbb\xbf" } else { b"" };
    let separator = char::from(chunks.header().separator().byte());
    let added = format!("line{separator}rule{separator}");
    table
        .write_all(&[mark, added.as_bytes(), chunks.header_bytes(), b"\n"].concat())
        .map_err(failed)?;
    while let Some(chunk) = chunks.next_chunk().map_err(unreadable)? {
        let mut rows = Rows::new(chunk.bytes(), chunk.line(), chunks.header().separator());
        while let Some(row) = rows.next_row(chunks.header()) {
            if let Some(fault) = faults.next_if(|fault| fault.line == row.line) {
                // No escaping: no rule contains a quotation mark.
                let rule = format!("\"{}: {}\"", fault.field, fault.rule.in_words());
                write!(table, "{}{separator}{rule}{separator}", fault.line)
                    .and_then(|()| table.write_all(row.bytes))
                    .and_then(|()| table.write_all(b"\n"))
                    .map_err(failed)?;
            }
        }
    }
    if faults.next().is_some() {
        return Err(CommandError::bad_input(format!("{name} changed while it was being read")));
    }
    table.flush().map_err(failed)?;
    drop(table);
    Ok(file)
}

/// Describes the rows that were left out.
pub(super) fn left_out(rejects: u64, duplicates: u64) -> String {
    format!(
        "{rejects} bad {} and {duplicates} exact {}",
        plural(rejects, "row"),
        plural(duplicates, "duplicate")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_rejects_is_a_count_or_a_share() {
        let one_percent: RejectsMax = "1%".parse().expect("a share");
        assert!(one_percent.allows(10, 1000) && !one_percent.allows(11, 1000));
        assert!(one_percent.allows(0, 0) && !one_percent.allows(1, 99));
        let count: RejectsMax = "25".parse().expect("a count");
        assert!(count.allows(25, 30) && !count.allows(26, 8_000_000));
        assert_eq!("0.5 %".parse(), Ok(RejectsMax::Percent(0.5)));
        for wrong in ["", "%", "-1", "-1%", "101%", "1.5", "NaN%", "1e3x", "one"] {
            assert!(wrong.parse::<RejectsMax>().is_err(), "{wrong}");
        }
    }
}
