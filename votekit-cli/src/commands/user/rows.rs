//! The officials to invite, from the command line or a CSV file: checked as a whole, so that all of
//! them are invited or none.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use votekit_messages::InWords as _;
use votekit_store::{AccountRole, Accounts, EmailAddress};

use crate::error::CommandError;
use crate::output::plain;
use crate::table_error::{DETAILED_MAX, PRINTED_MAX, and_more, plural};

/// The roles of officials. Members are not invited here.
const ROLES: [AccountRole; 3] =
    [AccountRole::Administrator, AccountRole::Auditor, AccountRole::Observer];

/// Rule for a role that is none of [`ROLES`].
const ROLE_RULE: &str = "the role is administrator, auditor or observer";

/// One official to invite.
pub(super) struct Official {
    /// The line of the file, or the position among the arguments, from 1.
    number: u64,
    pub(super) email: EmailAddress,
    pub(super) role: AccountRole,
}

/// The officials to invite, in the order given.
pub(super) struct Officials {
    /// The file, unless they were given as arguments.
    file: Option<String>,
    pub(super) rows: Vec<Official>,
}

/// A row as given.
struct RawRow {
    number: u64,
    email: String,
    role: Result<AccountRole, &'static str>,
}

/// The fault of a row.
struct Fault {
    number: u64,
    field: &'static str,
    rule: String,
}

impl Officials {
    /// Checks addresses given as arguments.
    pub(super) fn from_arguments(
        emails: &[String],
        role: AccountRole,
    ) -> Result<Self, CommandError> {
        let raw = (1..).zip(emails);
        let raw =
            raw.map(|(number, email)| RawRow { number, email: email.clone(), role: Ok(role) });
        Self::check(None, raw.collect())
    }

    /// Reads a file with the columns `email` and `role`, in any order; other columns are ignored.
    pub(super) fn read(path: &Path) -> Result<Self, CommandError> {
        let bytes = fs::read(path).map_err(|error| CommandError::reading(path, &error))?;
        let name = path.display().to_string();
        let raw = parse(&bytes).map_err(|rule| {
            CommandError::bad_input(format!("{name}: {rule}; no account was made"))
                .hint("the file is a CSV with the columns email and role, in UTF-8")
        })?;
        Self::check(Some(name), raw)
    }

    fn check(file: Option<String>, raw: Vec<RawRow>) -> Result<Self, CommandError> {
        let (mut rows, mut faults) = (Vec::new(), Vec::new());
        let location = |number: u64| match &file {
            Some(_) => format!("in line {number}"),
            None => format!("address {number}"),
        };
        let mut seen: HashMap<EmailAddress, u64> = HashMap::new();
        for RawRow { number, email, role } in raw {
            let mut fault = |field, rule: String| faults.push(Fault { number, field, rule });
            match (email.parse::<EmailAddress>(), role) {
                (Ok(email), Ok(role)) => match seen.get(&email) {
                    Some(first) => fault("email", format!("{email} is {} too", location(*first))),
                    None => {
                        seen.insert(email.clone(), number);
                        rows.push(Official { number, email, role });
                    }
                },
                (email, role) => {
                    if let Err(error) = email {
                        fault("email", error.in_words());
                    }
                    if let Err(rule) = role {
                        fault("role", rule.to_owned());
                    }
                }
            }
        }
        let officials = Self { file, rows };
        officials.refuse(&faults)?;
        if officials.rows.is_empty() {
            let name = officials.file.unwrap_or_default();
            return Err(CommandError::bad_input(format!("{name} has no rows")));
        }
        Ok(officials)
    }

    /// Refuses officials who have an account already.
    pub(super) async fn refuse_known(&self, accounts: &dyn Accounts) -> Result<(), CommandError> {
        let mut faults = Vec::new();
        for Official { number, email, .. } in &self.rows {
            if let Some(account) = accounts.account_by_email(email.as_str()).await? {
                let rule =
                    format!("{email} has an account already ({}, {})", account.role, account.state);
                faults.push(Fault { number: *number, field: "email", rule });
            }
        }
        self.refuse(&faults).map_err(|error| {
            error.hint("`votekit user reset` gives an existing account a new link")
        })
    }

    /// Fails if there is a fault, and lists all of them.
    fn refuse(&self, faults: &[Fault]) -> Result<(), CommandError> {
        if faults.is_empty() {
            return Ok(());
        }
        let total = faults.len();
        let mut message =
            format!("{total} bad {}; no account was made", plural(total as u64, "row"));
        for Fault { number, field, rule } in faults.iter().take(PRINTED_MAX) {
            let location = match &self.file {
                Some(file) => format!("{file}: line {number}, {field}"),
                None => format!("address {number}"),
            };
            let _ = write!(message, "\n  {location}: {}", plain(rule));
        }
        and_more(&mut message, total);
        let listed: Vec<Value> = faults
            .iter()
            .take(DETAILED_MAX)
            .map(|Fault { number, field, rule }| {
                json!({ "line": number, "field": field, "rule": rule })
            })
            .collect();
        Err(CommandError::bad_input(message)
            .details(json!({ "faults": listed, "faults_total": total })))
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<RawRow>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        format!("line {line} is not text in UTF-8")
    })?;
    let mut lines = (1..).zip(text.trim_start_matches('\u{feff}').lines());
    let header = lines.next().map_or("", |(_, line)| line);
    // In locales with a decimal comma, spreadsheets separate columns by semicolons.
    let delimiter = if header.contains(';') && !header.contains(',') { b';' } else { b',' };
    let header = fields(header, delimiter)?;
    let (email, role) = (column(&header, "email")?, column(&header, "role")?);
    let mut rows = Vec::new();
    for (number, line) in lines {
        let record = fields(line, delimiter).map_err(|rule| format!("line {number}: {rule}"))?;
        if record.iter().all(str::is_empty) {
            continue;
        }
        let role = record.get(role).unwrap_or_default().to_ascii_lowercase();
        let email = record.get(email).unwrap_or_default().to_owned();
        rows.push(RawRow { number, email, role: parse_role(&role) });
    }
    Ok(rows)
}

/// The fields of one line. A field does not continue on the next line: with a quotation mark too
/// few it would swallow rows.
fn fields(line: &str, delimiter: u8) -> Result<csv::StringRecord, String> {
    if line.matches('"').count() % 2 == 1 {
        return Err("a quotation mark is missing, or a field has a line break".to_owned());
    }
    let mut record = csv::StringRecord::new();
    csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .from_reader(line.as_bytes())
        .read_record(&mut record)
        .map_err(|error| error.to_string())?;
    Ok(record)
}

fn column(header: &csv::StringRecord, name: &str) -> Result<usize, String> {
    let mut found = header.iter().enumerate().filter(|(_, title)| title.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (Some((index, _)), None) => Ok(index),
        (None, _) => Err(format!("it has no column {name}")),
        (Some(_), Some(_)) => Err(format!("it has two columns {name}")),
    }
}

/// The role of an official with this name.
pub(super) fn parse_role(name: &str) -> Result<AccountRole, &'static str> {
    AccountRole::from_name(name).filter(|role| ROLES.contains(role)).ok_or(ROLE_RULE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<Vec<(u64, String, AccountRole)>, String> {
        let raw = parse(text.as_bytes())?;
        let officials =
            Officials::check(Some("f.csv".to_owned()), raw).map_err(|error| error.message)?;
        let row = |official: Official| (official.number, official.email.into(), official.role);
        Ok(officials.rows.into_iter().map(row).collect())
    }

    #[test]
    fn columns_may_come_in_any_order_from_any_spreadsheet() {
        let expected = [
            (2, "a@example.org".to_owned(), AccountRole::Auditor),
            (3, "b@example.org".to_owned(), AccountRole::Administrator),
        ];
        for text in [
            "email,role\na@example.org,auditor\nb@example.org,administrator\n",
            "\u{feff}Role;Name;Email\r\nauditor;A;a@example.org\r\nAdministrator;;B@example.org\r\n",
            "name,email,role\n\"Roy, A.\", a@example.org ,auditor\n,b@example.org,administrator",
        ] {
            assert_eq!(checked(text).as_deref(), Ok(&expected[..]), "{text}");
        }
    }

    #[test]
    fn every_bad_row_is_listed_with_its_line() {
        let text = "email,role\na@example.org,auditor\nb,auditor\n\nA@EXAMPLE.org,observer\n\
            c@example.org,voter\nd@example.org\n";
        let message = checked(text).expect_err("bad rows");
        let lines: Vec<&str> = message.lines().collect();
        assert_eq!(
            lines,
            [
                "4 bad rows; no account was made",
                "  f.csv: line 3, email: an e-mail address contains exactly one @",
                "  f.csv: line 5, email: a@example.org is in line 2 too",
                "  f.csv: line 6, role: the role is administrator, auditor or observer",
                "  f.csv: line 7, role: the role is administrator, auditor or observer",
            ]
        );
    }

    #[test]
    fn a_table_that_is_none_is_refused() {
        for (text, said) in [
            ("", "no column email"),
            ("a@example.org,auditor\n", "no column email"),
            ("email\na@example.org\n", "no column role"),
            ("email,role,email\n", "two columns email"),
            (
                "email,role,name\na@example.org,auditor,\"A\nb@example.org,auditor,B\n",
                "line 2: a quot",
            ),
            ("email,role\n", "has no rows"),
        ] {
            let error = checked(text).expect_err(text);
            assert!(error.contains(said), "{text:?}: {error}");
        }
        assert!(parse(b"email,role\n\xff@example.org,auditor\n").is_err());
    }
}
