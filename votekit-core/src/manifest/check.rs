//! Checks that a manifest is consistent.

use time::Date;
use time::macros::format_description;

use super::{FileRow, LawRow, ManifestBody, ManifestError};
use crate::credential::{AccessCode, HashScheme};
use crate::id::ElectionId;
use crate::log::leaf::Leaf;
use crate::shard::{Changes, ShardFormat, ShardHead};

pub(super) fn check(body: &ManifestBody) -> Result<(), ManifestError> {
    if body.pepper.is_some() != (body.scheme == HashScheme::HmacSha256) {
        return Err(ManifestError::Scheme);
    }
    if body.date.as_deref().is_some_and(|date| !is_day(date)) {
        return Err(ManifestError::Date);
    }
    if let Some(pair) = body.laws.windows(2).find(|pair| pair[0].law_id >= pair[1].law_id) {
        return Err(ManifestError::LawOrder { law_id: pair[1].law_id.clone() });
    }
    check_code_length(body)?;
    check_kind(body)?;
    check_files(body)?;
    check_rows(body)
}

fn is_day(text: &str) -> bool {
    // Require ten characters: the parser also accepts a sign or a longer year.
    text.len() == 10 && Date::parse(text, format_description!("[year]-[month]-[day]")).is_ok()
}

/// The shortest access code has 4 to 32 characters if any credential was hashed, and 0 otherwise.
fn check_code_length(body: &ManifestBody) -> Result<(), ManifestError> {
    let length = body.roll.code_length_min;
    let hashed = body.laws.iter().any(|law| law.registered > 0);
    let allowed = if hashed {
        (AccessCode::LENGTH_MIN..=AccessCode::LENGTH_MAX).contains(&(length as usize))
    } else {
        length == 0
    };
    if allowed { Ok(()) } else { Err(ManifestError::CodeLength { length }) }
}

fn check_kind(body: &ManifestBody) -> Result<(), ManifestError> {
    let pure = if body.parent.is_some() {
        body.shards.is_empty() && body.laws.iter().all(|law| law.shards == 0)
    } else {
        body.changes.is_empty() && body.laws.iter().all(|law| law.revoked == 0 && law.shards > 0)
    };
    if pure { Ok(()) } else { Err(ManifestError::Kind) }
}

/// The files must be exactly those of the laws, in order and with their numbers, and their counts
/// must add up.
fn check_files(body: &ManifestBody) -> Result<(), ManifestError> {
    let (files, is_supplement) =
        if body.parent.is_some() { (&body.changes, true) } else { (&body.shards, false) };
    let mut rest = files.as_slice();
    for law in &body.laws {
        let length = rest.iter().take_while(|row| row.law_id == law.law_id).count();
        let (own, others) = rest.split_at(length);
        rest = others;
        check_law(law, own, is_supplement)?;
    }
    rest.first().map_or(Ok(()), |row| Err(ManifestError::FileOrder { file: row.file.clone() }))
}

fn check_law(law: &LawRow, files: &[FileRow], is_supplement: bool) -> Result<(), ManifestError> {
    let expected = if is_supplement { 1 } else { law.shards };
    let numbered = files.iter().zip(1..).all(|(row, number)| row.shard == number);
    if files.len() != expected as usize || !numbered || files.len() > ShardHead::SHARDS_MAX {
        return Err(ManifestError::ShardNumbers { law_id: law.law_id.clone(), shards: expected });
    }
    for row in files {
        if !is_named_well(row, is_supplement) {
            return Err(ManifestError::FileName { file: row.file.clone() });
        }
        if !is_supplement && row.count > ShardHead::KEYS_MAX as u64 {
            return Err(ManifestError::ShardCount { file: row.file.clone(), count: row.count });
        }
    }
    let stated = law.registered.saturating_add(law.revoked);
    let found = files.iter().fold(0_u64, |sum, row| sum.saturating_add(row.count));
    if stated == found { Ok(()) } else { Err(law_count(&law.law_id, stated, found)) }
}

/// The name is derived from law and number, so it cannot point outside the folder.
fn is_named_well(row: &FileRow, is_supplement: bool) -> bool {
    if is_supplement {
        return row.file == Changes::file_name(&row.law_id);
    }
    let head = ShardHead { law_id: row.law_id.clone(), shard: row.shard, shards: row.shard };
    ShardFormat::from_file_name(&row.file).is_some_and(|format| row.file == head.file_name(format))
}

fn check_rows(body: &ManifestBody) -> Result<(), ManifestError> {
    let keys = body
        .laws
        .iter()
        .fold(0_u64, |sum, law| sum.saturating_add(law.registered).saturating_add(law.revoked));
    let found = keys.saturating_add(body.roll.duplicates).saturating_add(body.roll.rejects);
    // All other counts are parts of `rows`, so this bounds them too.
    if body.roll.rows > Leaf::INTEGER_MAX {
        Err(ManifestError::TooManyRows { rows: body.roll.rows })
    } else if found == body.roll.rows {
        Ok(())
    } else {
        Err(ManifestError::Rows { stated: body.roll.rows, found })
    }
}

fn law_count(law_id: &ElectionId, stated: u64, found: u64) -> ManifestError {
    ManifestError::LawCount { law_id: law_id.clone(), stated, found }
}
