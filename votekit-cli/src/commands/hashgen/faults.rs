//! Telling the official which rows are bad: on the terminal without their values, in the file of
//! rejects with them.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use votekit_core::roll::{HashedRoll, RollChunks, RowFault, Rows};

use super::plural;
use super::read::{Source, roll_error};
use crate::atomic_output::{Secrecy, StagedFile};
use crate::error::CommandError;

/// Faults printed; the rest is counted.
const PRINTED_MAX: usize = 100;
/// Faults in JSON errors; the rest is counted.
const DETAILED_MAX: usize = 10_000;

/// The same NAS and law with two codes always stops.
pub(super) fn refuse_conflicts(name: &str, roll: &HashedRoll) -> Result<(), CommandError> {
    let conflicts = &roll.conflicts;
    if conflicts.is_empty() {
        return Ok(());
    }
    let mut message =
        format!("{name}: the same elector has two codes for the same law; nothing was written");
    for conflict in conflicts.iter().take(PRINTED_MAX) {
        let _ = write!(
            message,
            "\n  lines {} and {}, law {}",
            conflict.first_line, conflict.line, conflict.law_id
        );
    }
    and_more(&mut message, conflicts.len());
    let listed: Vec<Value> = conflicts
        .iter()
        .take(DETAILED_MAX)
        .map(|conflict| json!({ "first_line": conflict.first_line, "line": conflict.line, "law_id": conflict.law_id }))
        .collect();
    Err(CommandError::bad_input(message)
        .hint("find out which code the elector was sent, and delete the other row")
        .details(json!({ "file": name, "conflicts": listed, "conflicts_total": conflicts.len() })))
}

/// Reports every bad row of the given rolls, if there is one.
pub(super) fn refuse_faults(rolls: &[(&str, &HashedRoll)], hint: &str) -> Result<(), CommandError> {
    let total: usize = rolls.iter().map(|(_, roll)| roll.faults.len()).sum();
    if total == 0 {
        return Ok(());
    }
    let faults = || {
        rolls.iter().flat_map(|(name, roll)| roll.faults.iter().map(move |fault| (*name, fault)))
    };
    let mut message = format!("{total} bad {}; nothing was written", plural(total as u64, "row"));
    for (name, fault) in faults().take(PRINTED_MAX) {
        let _ = write!(message, "\n  {name}: {fault}");
    }
    and_more(&mut message, total);
    let listed: Vec<Value> =
        faults().take(DETAILED_MAX).map(|(name, fault)| described(name, fault)).collect();
    Err(CommandError::bad_input(message)
        .hint(hint)
        .details(json!({ "faults": listed, "faults_total": total })))
}

fn described(name: &str, fault: &RowFault) -> Value {
    json!({ "file": name, "line": fault.line, "field": fault.field.to_string(), "rule": fault.rule.to_string() })
}

fn and_more(message: &mut String, total: usize) {
    if total > PRINTED_MAX {
        let _ = write!(message, "\n  … and {} more", total - PRINTED_MAX);
    }
}

/// Writes the bad rows as they stand, with what is wrong, to a file that the owner alone can read.
/// It appears when committed.
pub(super) fn write_rejects(
    path: &Path,
    source: &mut Source,
    roll: &HashedRoll,
) -> Result<StagedFile, CommandError> {
    let name = source.name().to_owned();
    let mut file = StagedFile::create(path, Secrecy::Private)?;
    let failed = |error: csv::Error| CommandError::writing(path, &error.into());
    let mut table = csv::Writer::from_writer(&mut file);
    table.write_record(["line", "field", "rule", "row"]).map_err(failed)?;

    let again = source.again().map_err(|error| CommandError::reading(name.as_ref(), &error))?;
    let mut chunks = RollChunks::open(again).map_err(|error| roll_error(&name, &error))?;
    let mut faults = roll.faults.iter().peekable();
    while let Some(chunk) = chunks.next_chunk().map_err(|error| roll_error(&name, &error))? {
        let mut rows = Rows::new(chunk.bytes(), chunk.line());
        while let Some(row) = rows.next_row(chunks.header()) {
            if let Some(fault) = faults.next_if(|fault| fault.line == row.line) {
                let [line, field, rule] =
                    [fault.line.to_string(), fault.field.to_string(), fault.rule.to_string()];
                table
                    .write_record([line.as_bytes(), field.as_bytes(), rule.as_bytes(), row.bytes])
                    .map_err(failed)?;
            }
        }
    }
    if faults.next().is_some() {
        return Err(CommandError::bad_input(format!("{name} changed while it was being read")));
    }
    table.flush().map_err(|error| CommandError::writing(path, &error))?;
    drop(table);
    Ok(file)
}
