//! The results: a row a case.

use std::fmt;
use std::time::Duration;

/// The result of a case.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) case: &'static str,
    /// The nodes that refused it.
    pub(super) refused_by: Vec<String>,
    /// The leaf that the refusals name.
    pub(super) leaf: Option<u64>,
    pub(super) rule: String,
    /// The event of the alarm, and what it names.
    pub(super) alarm: String,
    /// From the end of the case, or from its repair, until votes were decided again.
    pub(super) decided_again: Option<Duration>,
    /// Why the case was not refused as expected.
    pub(super) failure: Option<String>,
}

impl Row {
    /// A case that was not refused as expected.
    pub(super) fn failed(case: &'static str, error: &anyhow::Error) -> Self {
        Self {
            case,
            refused_by: Vec::new(),
            leaf: None,
            rule: String::new(),
            alarm: String::new(),
            decided_again: None,
            failure: Some(format!("{error:#}")),
        }
    }

    /// Whether it was refused as expected.
    pub(super) fn is_refused(&self) -> bool {
        self.failure.is_none()
    }

    fn cells(&self) -> [String; 6] {
        if let Some(failure) = &self.failure {
            let nothing = String::new;
            let failed = format!("FAILED: {failure}");
            return [self.case.to_owned(), failed, nothing(), nothing(), nothing(), nothing()];
        }
        let leaf = self.leaf.map_or_else(|| "-".to_owned(), |leaf| leaf.to_string());
        let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        [
            self.case.to_owned(),
            self.refused_by.join(" "),
            leaf,
            self.rule.clone(),
            self.alarm.clone(),
            self.decided_again.map_or_else(|| "-".to_owned(), seconds),
        ]
    }
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = self.cells();
        let full: Vec<&str> =
            cells.iter().map(String::as_str).filter(|cell| !cell.is_empty()).collect();
        formatter.write_str(&full.join(" | "))
    }
}

const HEAD: [&str; 6] = ["case", "refused by", "leaf", "rule", "alarm", "decided again after"];

/// Prints all rows in columns.
pub(super) fn print(rows: &[Row]) {
    if !rows.is_empty() {
        print!("{}", columns(rows));
    }
}

fn columns(rows: &[Row]) -> String {
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(rows.iter().map(Row::cells));
    let mut widths = [0; 6];
    for (row, line) in lines.iter().enumerate() {
        // A failure may be long, and has no cells behind it.
        let is_failure = row > 0 && !rows[row - 1].is_refused();
        let counted = if is_failure { 1 } else { line.len() };
        for (width, cell) in widths.iter_mut().zip(line).take(counted) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        let joined = cells.collect::<Vec<_>>().join(" | ");
        text.push_str(joined.trim_end_matches([' ', '|']));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells_and_a_failure_is_one_cell() {
        let refused = Row {
            case: "wrong-count",
            refused_by: vec!["authority-1".to_owned(), "authority-2".to_owned()],
            leaf: Some(1_204),
            rule: "differs".to_owned(),
            alarm: "proposal_refused".to_owned(),
            decided_again: Some(Duration::from_millis(2_340)),
            failure: None,
        };
        let failed = Row::failed("stale-term", &anyhow::anyhow!("believed, and much more"));
        assert!(refused.is_refused() && !failed.is_refused());
        let text = columns(&[refused, failed]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "case        | refused by              | leaf | rule    | alarm            | decided again after",
                "wrong-count | authority-1 authority-2 | 1204 | differs | proposal_refused | 2.3 s",
                "stale-term  | FAILED: believed, and much more",
            ]
        );
    }
}
