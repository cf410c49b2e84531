//! The members of an election, from a CSV file, and the faults of their rows.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::admin_target::RefusedMember;
use crate::commands::roll::members::read_list;
use crate::error::CommandError;
use crate::output::plain;
use crate::table_error::{DETAILED_MAX, PRINTED_MAX, and_more, plural};

/// The consequence of a bad row.
const OUTCOME: &str = "nothing was created";

/// The members in the order of their file.
pub(super) struct MemberFile {
    name: String,
    pub(super) emails: Vec<String>,
    /// The line of each address.
    lines: Vec<u64>,
}

impl MemberFile {
    /// Reads a list of members with a column `email`. Fails if any row is bad, or has no address.
    pub(super) fn read(path: &Path) -> Result<Self, CommandError> {
        let (name, list) = read_list(path, OUTCOME)?;
        let without: Vec<(u64, &str)> = list
            .members
            .iter()
            .filter(|member| member.email.is_none())
            .map(|member| (member.line, "the row has no e-mail address"))
            .collect();
        if !without.is_empty() {
            return Err(bad_rows(&name, &without).hint(
                "a member signs in with an e-mail address: the first line of the file names the \
                 column email",
            ));
        }
        let (emails, lines) = list
            .members
            .iter()
            .filter_map(|member| Some((member.email.as_ref()?.to_string(), member.line)))
            .unzip();
        Ok(Self { name, emails, lines })
    }

    /// The error for members whom the node refuses, by their lines.
    pub(super) fn refused(&self, faults: &[RefusedMember]) -> CommandError {
        let line = |index: usize| self.lines.get(index).copied().unwrap_or_default();
        let faults: Vec<(u64, &str)> =
            faults.iter().map(|fault| (line(fault.index), fault.rule.as_str())).collect();
        bad_rows(&self.name, &faults)
            .hint("`votekit user list` shows the accounts, their roles and their states")
    }
}

/// The error for rows, each with its line and the rule that its address breaks.
fn bad_rows(name: &str, faults: &[(u64, &str)]) -> CommandError {
    let total = faults.len();
    let mut message = format!("{total} bad {}; {OUTCOME}", plural(total as u64, "row"));
    for (line, rule) in faults.iter().take(PRINTED_MAX) {
        let _ = write!(message, "\n  {name}: line {line}, email: {}", plain(rule));
    }
    and_more(&mut message, total);
    let listed: Vec<Value> = faults
        .iter()
        .take(DETAILED_MAX)
        .map(|(line, rule)| json!({ "file": name, "line": line, "field": "email", "rule": rule }))
        .collect();
    CommandError::bad_input(message).details(json!({ "faults": listed, "faults_total": total }))
}
