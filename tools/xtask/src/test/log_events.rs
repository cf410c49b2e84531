//! Every log line of the product is an event with fields, and `docs/monitoring.md` lists every
//! event of level `INFO` and above, with its level.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::project;

/// The sources that log.
const PRODUCT: [&str; 4] =
    ["votekit-store/src", "votekit-node/src", "votekit-http/src", "votekit-cli/src"];

const PAGE: &str = "docs/monitoring.md";

/// Begins the chapter with the table of events.
const CHAPTER: &str = "## Log lines";

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// With fewer events, the sources are not in the format parsed here.
const EVENTS_MIN: usize = 80;

/// The level of each event: `alarm`, or one of [`LEVELS`].
type Events = BTreeMap<String, String>;

/// Fails for every log line that does not begin with its event, for every event that the page does
/// not list, and for every event on the page that is not logged.
pub(crate) fn check(root: &Path) -> Result<()> {
    let page = fs::read_to_string(root.join(PAGE)).with_context(|| format!("reading {PAGE}"))?;
    let (mut logged, mut faults) = (Events::new(), Vec::new());
    for folder in PRODUCT {
        for file in project::files_below(&root.join(folder))? {
            let file = Path::new(folder).join(file);
            if file.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(root.join(&file))
                    .with_context(|| format!("reading {}", file.display()))?;
                faults.extend(survey(&file, &source, &page, &mut logged));
            }
        }
    }
    let count = logged.len();
    ensure!(count >= EVENTS_MIN, "{count} events are logged, fewer than {EVENTS_MIN}");
    faults.extend(differences(&logged, &listed(&page)?));
    ensure!(faults.is_empty(), "log lines:\n  {}", faults.join("\n  "));
    println!("{count} events are logged; {PAGE} lists those of level info and above");
    Ok(())
}

/// Adds the events of a source file, and returns its faults.
fn survey(file: &Path, source: &str, page: &str, logged: &mut Events) -> Vec<String> {
    let mut faults = Vec::new();
    // Audit events have a page of their own, which a test of their module compares.
    for call in calls(source).iter().filter(|call| !call.is_audit()) {
        let location = format!("{}:{}", file.display(), call.line);
        let Some(event) = call.event() else {
            faults.push(format!("{location}: the first argument is not `event = \"name\"`"));
            continue;
        };
        let level = call.level();
        let other = logged.insert(event.to_owned(), level.to_owned());
        if let Some(other) = other.filter(|other| other != level) {
            faults.push(format!("{location}: {event} is logged as {other} and as {level}"));
        }
    }
    let unlisted = operations(source).filter(|name| !page.contains(&format!("`{name}`")));
    faults.extend(unlisted.map(|name| format!("{PAGE} does not list the operation {name}")));
    faults
}

/// A call of a macro that logs.
struct Call<'source> {
    level: &'source str,
    arguments: &'source str,
    line: usize,
}

impl<'source> Call<'source> {
    /// The name in the first argument, which is `event = "name"`.
    fn event(&self) -> Option<&'source str> {
        let (name, _) = self.arguments.trim_start().strip_prefix("event = \"")?.split_once('"')?;
        let is_allowed = |character: char| matches!(character, 'a'..='z' | '0'..='9' | '_');
        (!name.is_empty() && name.chars().all(is_allowed)).then_some(name)
    }

    fn is_audit(&self) -> bool {
        self.arguments.trim_start().starts_with("target: AUDIT_TARGET")
    }

    fn level(&self) -> &'source str {
        if self.arguments.contains("alarm = true") { "alarm" } else { self.level }
    }
}

fn calls(source: &str) -> Vec<Call<'_>> {
    let mut calls = Vec::new();
    for (at, path) in source.match_indices("tracing::") {
        let Some((level, rest)) = source[at + path.len()..].split_once("!(") else { continue };
        if LEVELS.contains(&level) {
            let line = source[..at].matches('\n').count() + 1;
            calls.push(Call { level, arguments: arguments(rest), line });
        }
    }
    calls
}

/// The text up to the parenthesis that ends the call. Parentheses in strings do not count.
fn arguments(text: &str) -> &str {
    let (mut depth, mut in_string, mut is_escaped) = (1, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if in_string => is_escaped = true,
            '"' => in_string = !in_string,
            '(' if !in_string => depth += 1,
            ')' if !in_string => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

/// The values of the field `operation`: what is retried until its outcome is definite.
fn operations(source: &str) -> impl Iterator<Item = &str> {
    let calls = source.split("until_definite(").skip(1);
    calls.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
}

/// The events in the first column of the page's table, with the level in the second.
fn listed(page: &str) -> Result<Events> {
    let (_, chapter) =
        page.split_once(CHAPTER).with_context(|| format!("{PAGE} lacks {CHAPTER}"))?;
    let table = chapter.lines().skip_while(|line| !line.starts_with('|'));
    let rows = table.take_while(|line| line.starts_with('|')).skip(2);
    let mut listed = Events::new();
    for row in rows {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let (Some(events), Some(level)) = (cells.next(), cells.next()) else { continue };
        for event in events.split('`').skip(1).step_by(2) {
            let other = listed.insert(event.to_owned(), level.to_owned());
            ensure!(other.is_none(), "{PAGE} lists {event} twice");
        }
    }
    Ok(listed)
}

fn differences(logged: &Events, listed: &Events) -> Vec<String> {
    let missing = logged
        .iter()
        .filter(|(_, level)| !["debug", "trace"].contains(&level.as_str()))
        .filter(|(event, level)| listed.get(*event) != Some(*level))
        .map(|(event, level)| format!("{PAGE} does not list {event} with level {level}"));
    let unknown = listed
        .keys()
        .filter(|event| !logged.contains_key(*event))
        .map(|event| format!("{PAGE} lists {event}, which is not logged"));
    missing.chain(unknown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(source: &str, logged: &mut Events) -> Vec<String> {
        survey(Path::new("a.rs"), source, "| `seal` |", logged)
    }

    #[test]
    fn a_log_line_begins_with_its_event() {
        let mut logged = Events::new();
        let good = "use tracing::Level;\n\
            tracing::error!(\n    event = \"log_damaged\",\n    alarm = true,\n\
            \x20   %error,\n    \"a)\\\"\"\n);\n\
            tracing::debug!(event = \"vote_stored\", size = size(), \"alarm = false\");\n";
        assert_eq!(faults(good, &mut logged), [""; 0]);
        let expected = [("log_damaged", "alarm"), ("vote_stored", "debug")];
        let expected = expected.map(|(event, level)| (event.to_owned(), level.to_owned()));
        assert_eq!(logged, Events::from(expected));
        for bad in [
            "tracing::warn!(\"a sentence\")",
            "tracing::warn!(%error, event = \"late\", \"text\")",
            "tracing::warn!(\n    event = \"Not a name\",\n    \"text\"\n)",
            "tracing::warn!(event = \"\", \"text\")",
        ] {
            assert_eq!(faults(bad, &mut logged).len(), 1, "{bad}");
        }
        let found = faults("\n\ntracing::warn!(event = \"vote_stored\", \"text\")", &mut logged);
        assert_eq!(found, ["a.rs:3: vote_stored is logged as debug and as warn"]);
    }

    #[test]
    fn the_page_lists_the_events_and_operations_that_are_logged() -> Result<()> {
        let page = "| `before` | info |\n## Log lines\n\nText.\n\n| event | level | do |\n\
            | --- | --- | --- |\n| `one`, `two` | info | `x` |\n| `three` | alarm | |\n\n\
            | `after` |";
        let events = |rows: &[(&str, &str)]| -> Events {
            rows.iter().map(|(event, level)| ((*event).to_owned(), (*level).to_owned())).collect()
        };
        let listed = listed(page)?;
        assert_eq!(listed, events(&[("one", "info"), ("three", "alarm"), ("two", "info")]));
        let quiet = events(&[("one", "info"), ("two", "info"), ("three", "alarm"), ("f", "debug")]);
        assert_eq!(differences(&quiet, &listed), [""; 0]);
        let loud = events(&[("one", "info"), ("three", "error"), ("four", "alarm")]);
        assert_eq!(
            differences(&loud, &listed),
            [
                "docs/monitoring.md does not list four with level alarm",
                "docs/monitoring.md does not list three with level error",
                "docs/monitoring.md lists two, which is not logged",
            ]
        );
        let calls = "until_definite(\"seal\", x); until_definite(\n    \"stage\", y)";
        assert_eq!(faults(calls, &mut Events::new()).len(), 1);
        Ok(())
    }

    #[test]
    fn the_product_logs_events_that_the_manual_lists() -> Result<()> {
        check(project::root())
    }
}
