//! The cases, in the order in which they are played.

use anyhow::Result;

use super::expected::{Expected, LIES};
use super::intruder;
use super::lie;
use super::table::Row;
use crate::chaos::authorities::{ByHand, Cluster};

/// One lie or manipulation.
pub(super) struct Case {
    pub(super) name: &'static str,
    play: Play,
}

/// How a case is played.
enum Play {
    /// One authority lies as a leader.
    Lie(&'static Expected),
    /// A node that is not admitted takes votes, and a batch under its kind of key is staged.
    RogueIngest,
    /// PostgreSQL is restored from an older copy.
    RollLedgerBack,
    /// Rows of rounds are inserted by hand.
    InsertRows,
    /// A staged batch is changed by hand.
    ChangeBatch,
}

const OTHERS: [Case; 4] = [
    Case { name: "rogue-ingest", play: Play::RogueIngest },
    Case { name: "rows-inserted", play: Play::InsertRows },
    Case { name: "ledger-rolled-back", play: Play::RollLedgerBack },
    Case { name: "batch-changed", play: Play::ChangeBatch },
];

impl Case {
    /// Plays it. `number` counts the cases of a run: the authorities take turns to lie.
    pub(super) fn play(&self, cluster: &mut Cluster, number: usize) -> Result<Row> {
        match self.play {
            Play::Lie(expected) => lie::play(cluster, expected, number),
            Play::RogueIngest => intruder::play(cluster, self.name),
            Play::RollLedgerBack => {
                let done = cluster.roll_ledger_back()?;
                self.row(cluster, done, "ledger-rolled-back")
            }
            Play::InsertRows => {
                let done = cluster.insert_rows()?;
                self.row(cluster, done, "not signed")
            }
            Play::ChangeBatch => {
                let done = cluster.change_staged_batch()?;
                self.row(cluster, done, "digest")
            }
        }
    }

    fn row(&self, cluster: &mut Cluster, done: ByHand, rule: &str) -> Result<Row> {
        cluster.fleet.recovers(self.name)?;
        let names = done.alarmed.iter().map(|index| cluster.fleet.members[*index].name.clone());
        Ok(Row {
            case: self.name,
            refused_by: names.collect(),
            leaf: None,
            rule: format!("{rule} ({})", done.description),
            alarm: done.alarm,
            decided_again: Some(done.decided_again),
            failure: None,
        })
    }
}

fn all() -> impl Iterator<Item = Case> {
    let lies = LIES.iter().map(|lie| Case { name: lie.lie, play: Play::Lie(lie) });
    lies.chain(OTHERS)
}

/// The names of all cases.
pub(super) fn names() -> Vec<&'static str> {
    all().map(|case| case.name).collect()
}

/// The cases of these names, or all if none is named.
pub(super) fn chosen(names: &[String]) -> Vec<Case> {
    let is_chosen = |case: &Case| names.is_empty() || names.iter().any(|name| name == case.name);
    all().filter(is_chosen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let mut sorted = names();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!((sorted.len(), names().len()), (LIES.len() + 4, LIES.len() + 4));
        assert_eq!(chosen(&[]).len(), names().len());
        let one = chosen(&["batch-changed".to_owned()]);
        assert_eq!(one.iter().map(|case| case.name).collect::<Vec<_>>(), ["batch-changed"]);
    }

    #[test]
    fn the_short_run_plays_cases_that_there_are() {
        let short = super::super::Arguments::short();
        assert_eq!(chosen(&short.cases).len(), short.cases.len());
    }
}
