//! The reports of the nodes of a run: the alarms in their logs, and their audit events.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use super::fleet::Fleet;

/// How long an alarm may take: an upper bound, not a target.
const ALARM_TIMEOUT: Duration = Duration::from_secs(60);

/// A file of lines that a node writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// The log lines, of which the alarms count.
    Alarms,
    /// The audit events.
    Audit,
}

/// How long the files of every node are at a moment: what follows was written later.
#[derive(Debug, Clone)]
pub(crate) struct Marks(Vec<[u64; 2]>);

impl Fleet {
    /// The present ends of all files.
    pub(crate) fn mark(&self) -> Marks {
        let length = |index: usize, report: Report| {
            fs::metadata(self.folder.join(self.file(index, report))).map_or(0, |file| file.len())
        };
        let both = |index| [length(index, Report::Alarms), length(index, Report::Audit)];
        Marks((0..self.members.len()).map(both).collect())
    }

    fn file(&self, index: usize, report: Report) -> String {
        match report {
            Report::Alarms => self.members[index].log(),
            Report::Audit => audit_log(&self.members[index].name),
        }
    }

    /// The reports of a node since a moment.
    pub(crate) fn reported(&self, marks: &Marks, index: usize, report: Report) -> Vec<Value> {
        let path = self.folder.join(self.file(index, report));
        let mark =
            marks.0.get(index).map_or(0, |marks| marks[usize::from(report == Report::Audit)]);
        let lines = read_from(&path, mark);
        match report {
            Report::Alarms => lines.into_iter().filter(|line| line["alarm"] == true).collect(),
            Report::Audit => lines,
        }
    }

    /// Waits until a node reports what is expected. Returns the line.
    pub(crate) fn expect_report(
        &self,
        marks: &Marks,
        index: usize,
        report: Report,
        is_expected: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let begun = Instant::now();
        loop {
            let lines = self.reported(marks, index, report);
            if let Some(line) = lines.iter().find(|line| is_expected(line)) {
                return Ok(line.clone());
            }
            if begun.elapsed() > ALARM_TIMEOUT {
                let events: Vec<&str> =
                    lines.iter().filter_map(|line| line["event"].as_str()).collect();
                bail!(
                    "{} did not report it in {}: {}",
                    self.members[index].name,
                    self.file(index, report),
                    events.join(", ")
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Fleet {
    /// Waits until some of the nodes report what is expected. Returns those that have by then.
    pub(crate) fn expect_some(
        &self,
        marks: &Marks,
        indices: &[usize],
        report: Report,
        is_expected: impl Fn(&Value) -> bool,
    ) -> Result<Vec<usize>> {
        let begun = Instant::now();
        let has_reported =
            |index: &usize| self.reported(marks, *index, report).iter().any(&is_expected);
        loop {
            let found: Vec<usize> = indices.iter().copied().filter(has_reported).collect();
            if !found.is_empty() {
                return Ok(found);
            }
            ensure!(begun.elapsed() < ALARM_TIMEOUT, "no node reports what is expected");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The file of a node's audit events, in the folder of the run.
pub(crate) fn audit_log(name: &str) -> String {
    format!("{name}.audit.jsonl")
}

/// The whole lines of a file from a position on.
pub(crate) fn read_from(path: &Path, position: u64) -> Vec<Value> {
    let bytes = fs::read(path).unwrap_or_default();
    let position = usize::try_from(position).unwrap_or(usize::MAX);
    parse(bytes.get(position..).unwrap_or_default())
}

/// The objects in lines of JSON. A line that is being written, and text of other programs, is left
/// out.
fn parse(bytes: &[u8]) -> Vec<Value> {
    let lines = bytes.split(|byte| *byte == b'\n');
    let parsed = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    parsed.filter(Value::is_object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_after_a_position_are_read() -> Result<()> {
        let folder = crate::project::scratch("alarms-test")?;
        let path = folder.join("log");
        assert!(read_from(&path, 0).is_empty());
        let first = "{\"event\":\"one\"}\n";
        fs::write(&path, format!("{first}not JSON\n{{\"event\":\"two\"}}\n3\n{{\"event\":\"thr"))?;
        let events = |position| -> Vec<String> {
            let lines = read_from(&path, position);
            lines.iter().filter_map(|line| line["event"].as_str().map(str::to_owned)).collect()
        };
        assert_eq!(events(0), ["one", "two"]);
        assert_eq!(events(first.len() as u64), ["two"]);
        assert!(events(1_000).is_empty());
        Ok(())
    }
}
