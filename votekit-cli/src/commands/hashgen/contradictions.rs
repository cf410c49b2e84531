//! Rows of a supplement that contradict the roll it builds on.

use std::fmt::Write as _;

use serde_json::{Value, json};
use votekit_core::roll::{ChangeFile, Contradiction, ContradictionRule, Readmission};

use super::chain::PriorFiles;
use crate::error::CommandError;
use crate::table_error::{DETAILED_MAX, PRINTED_MAX, and_more, plural};

/// File names of a supplement.
pub(super) struct ChangeNames {
    pub(super) add: String,
    pub(super) revoke: String,
}

/// Fails if a row contradicts the registered credentials.
pub(super) fn refuse(
    contradictions: &[Contradiction],
    names: &ChangeNames,
    before: &PriorFiles,
) -> Result<(), CommandError> {
    let Some(first) = contradictions.first() else { return Ok(()) };
    let (total, rows) = (contradictions.len(), plural(contradictions.len() as u64, "row"));
    let contradict = if total == 1 { "contradicts" } else { "contradict" };
    let mut message = format!("{total} {rows} {contradict} the roll; nothing was written");
    for found in contradictions.iter().take(PRINTED_MAX) {
        let (name, line, law_id) = (names.name(found.file), found.line, &found.law_id);
        let rule = words(&found.rule, names, before);
        let _ = write!(message, "\n  {name}: line {line}, law {law_id}: {rule}");
    }
    and_more(&mut message, total);
    let described = |found: &Contradiction| {
        json!({
            "file": names.name(found.file),
            "line": found.line,
            "law_id": found.law_id,
            "code": found.rule.code(),
            "rule": words(&found.rule, names, before),
        })
    };
    let listed: Vec<Value> = contradictions.iter().take(DETAILED_MAX).map(described).collect();
    Err(CommandError::bad_input(message)
        .hint(hint(&first.rule))
        .details(json!({ "contradictions": listed, "contradictions_total": total })))
}

/// The warning for an elector whose earlier code is already revoked.
pub(super) fn readmitted(found: &Readmission, names: &ChangeNames, before: &PriorFiles) -> String {
    format!(
        "{} line {}, law {}: this elector's earlier code was revoked by {}; the new code replaces \
         it, and is not added if the elector has voted with the earlier one",
        names.add,
        found.line,
        found.law_id,
        before.place(found.revoked)
    )
}

impl ChangeNames {
    fn name(&self, file: ChangeFile) -> &str {
        match file {
            ChangeFile::Add => &self.add,
            ChangeFile::Revoke => &self.revoke,
        }
    }
}

fn words(rule: &ContradictionRule, names: &ChangeNames, before: &PriorFiles) -> String {
    match rule {
        ContradictionRule::SecondCode { registered } => format!(
            "a second code for an elector whose code stays live ({})",
            before.place(*registered)
        ),
        ContradictionRule::Registered { registered } => {
            format!(
                "the elector is registered already, with this code ({})",
                before.place(*registered)
            )
        }
        ContradictionRule::OtherCode { registered } => format!(
            "the elector is registered with another code ({}), and this one is not live",
            before.place(*registered)
        ),
        ContradictionRule::RevokedBefore { revoked } => {
            format!("this code was revoked before ({})", before.place(*revoked))
        }
        ContradictionRule::Unchanged { revoked_line } => format!(
            "it adds what {} line {revoked_line} revokes: the same elector, law and code",
            names.revoke
        ),
        _ => "no such elector is registered for this law".to_owned(),
    }
}

fn hint(rule: &ContradictionRule) -> &'static str {
    match rule {
        ContradictionRule::SecondCode { .. } => {
            "to replace a code, put the old one into the file of revocations (--revoke) and the new one into the file of additions (--add)"
        }
        ContradictionRule::Registered { .. } => "delete the row: it has no effect",
        ContradictionRule::OtherCode { .. } | ContradictionRule::Unregistered => {
            "revoke the code that the elector was sent, as the roll or an earlier supplement has it"
        }
        ContradictionRule::RevokedBefore { .. } => "delete the row: there is nothing to revoke",
        _ => {
            "a replacement has the new code in the file of additions and the old one in the file of revocations"
        }
    }
}
