//! Manipulations by a person with write access to PostgreSQL: restores an older copy, inserts rows,
//! changes rows.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::cluster::Cluster;
use crate::chaos::alarms::{Marks, Report};
use crate::chaos::member::Part;
use crate::chaos::node::PROCESS_TIMEOUT;

/// How long the log must stay unchanged before the ledger is restored from the older copy. All
/// staged batches are sealed then. Batches that were staged a moment before could be in no
/// authority's memory.
const SETTLING_TIME: Duration = Duration::from_secs(2);

/// Two rows of rounds that no authority signed: one that is valid except for its signature, and one
/// that does not match its own digest either.
const INSERT_ROWS: &str = r"
    WITH given AS (UPDATE votekit.round_order SET last = last + 2 RETURNING last)
    INSERT INTO votekit.round_row
        (id, kind, authority, election, height, term, digest, bytes, leaves)
    SELECT last - 1, 'suspect', 'authority-1', NULL::bigint, 0, 1000000 + last,
        sha256(int8send(4::bigint) || 'fake'::bytea), 'fake'::bytea, ''::bytea FROM given
    UNION ALL
    SELECT last, 'suspect', 'authority-2', NULL::bigint, 0, 1000001 + last,
        decode(repeat('00', 32), 'hex'), 'fake'::bytea, ''::bytea FROM given";

const REMOVE_ROWS: &str = "DELETE FROM votekit.round_row WHERE bytes = 'fake'::bytea";

/// Reads the last position given in staging.
const STAGED: &str = "SELECT last FROM votekit.staging";

/// The outcome of a manipulation.
#[derive(Debug, Clone)]
pub(crate) struct ByHand {
    /// The manipulation and its effect.
    pub(crate) description: String,
    /// The authorities that raised the alarm.
    pub(crate) alarmed: Vec<usize>,
    /// The names of the alarms, and the batch if they name one.
    pub(crate) alarm: String,
    /// From the manipulation, or from its repair by an operator, until votes are decided again.
    pub(crate) decided_again: Duration,
}

impl Cluster {
    /// Restores PostgreSQL from a copy made before some votes were decided, while all authorities
    /// run. The authorities must append the lost blocks again, and report it.
    pub(crate) fn roll_ledger_back(&mut self) -> Result<ByHand> {
        self.fleet.rig.copy_postgresql()?;
        let copied = self.fleet.log_size();
        self.fleet.grows_from(copied, Instant::now())?;
        let intakes = self.fleet.members_of(Part::Intake);
        self.signal(&intakes, Signal::STOP)?;
        self.fleet.stopped.clone_from(&intakes);
        let whole = self.settled()?;
        let marks = self.fleet.mark();
        let begun = Instant::now();
        let restored = self.fleet.rig.restore_postgresql();
        self.signal(&intakes, Signal::CONT)?;
        self.fleet.stopped.clear();
        restored?;
        let noticed = self.any_reports(&marks, "ledger_rolled_back")?;
        let restored = self.any_reports(&marks, "ledger_restored")?;
        let decided_again = self.fleet.grows_from(whole, begun)?;
        let names: Vec<&str> =
            restored.iter().map(|index| self.fleet.members[*index].name.as_str()).collect();
        Ok(ByHand {
            description: format!(
                "{} leaves appended again by {}",
                whole - copied,
                names.join(", ")
            ),
            alarmed: noticed,
            alarm: "ledger_rolled_back, ledger_restored".to_owned(),
            decided_again,
        })
    }

    /// Inserts rows of rounds that no authority signed. Every authority must refuse them, and votes
    /// must be decided as before.
    pub(crate) fn insert_rows(&mut self) -> Result<ByHand> {
        let authorities = self.fleet.members_of(Part::Authority);
        let marks = self.fleet.mark();
        let refused = |cluster: &Self, index: usize| {
            cluster.fleet.members[index].metric("round_rows_refused_total", "").unwrap_or(0.0)
        };
        let counts: Vec<f64> = authorities.iter().map(|index| refused(self, *index)).collect();
        let (begun, before) = (Instant::now(), self.fleet.log_size());
        self.fleet.rig.ask_postgresql(INSERT_ROWS)?;
        for (index, count) in authorities.iter().zip(counts) {
            for report in [Report::Alarms, Report::Audit] {
                self.fleet.expect_report(&marks, *index, report, |line| {
                    line["event"] == "round_row_refused"
                })?;
            }
            ensure!(
                refused(self, *index) > count,
                "{} counts no refused row",
                self.fleet.members[*index].name
            );
        }
        let decided_again = self.fleet.grows_from(before, begun)?;
        // A reader that does not skip damaged rows, such as the liar, would stop at these rows.
        self.fleet.rig.ask_postgresql(REMOVE_ROWS)?;
        Ok(ByHand {
            description: "two statements without a valid signature".to_owned(),
            alarmed: authorities,
            alarm: "round_row_refused".to_owned(),
            decided_again,
        })
    }

    /// Changes a byte of a staged batch that no authority has read yet. No authority may count it:
    /// each skips the row, and the alarm names its position. The node that has published the batch
    /// stages it again.
    pub(crate) fn change_staged_batch(&mut self) -> Result<ByHand> {
        let authorities = self.fleet.members_of(Part::Authority);
        self.signal(&authorities, Signal::STOP)?;
        self.fleet.stopped.clone_from(&authorities);
        let marks = self.fleet.mark();
        let changed = self.change_newest_batch();
        self.signal(&authorities, Signal::CONT)?;
        self.fleet.stopped.clear();
        let id = changed?;
        // A node that has the batch stages it again within milliseconds, before some or all nodes
        // have read the row.
        let mut nodes = authorities;
        nodes.extend(self.fleet.members_of(Part::Intake));
        let alarmed = self.fleet.expect_some(&marks, &nodes, Report::Alarms, |line| {
            line["event"] == "batch_bytes_restored"
                || (line["event"] == "staged_row_unreadable" && line["position"] == id)
        })?;
        let begun = Instant::now();
        self.wait_until_moved(id)?;
        let decided_again = self.fleet.grows_from(self.fleet.log_size(), begun)?;
        Ok(ByHand {
            description: format!("batch {id}, staged again by its node"),
            alarmed,
            alarm: format!("staged_row_unreadable, position {id}, or batch_bytes_restored"),
            decided_again,
        })
    }

    /// Waits until no row of staging is at a position any more.
    fn wait_until_moved(&self, id: u64) -> Result<()> {
        let (rig, begun) = (&self.fleet.rig, Instant::now());
        let sql = format!("SELECT id FROM votekit.batch WHERE id = {id}");
        while !rig.ask_postgresql(&sql)?.is_empty() {
            ensure!(begun.elapsed() < PROCESS_TIMEOUT, "batch {id} is not staged again");
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Waits until batches arrive that the stopped authorities cannot have read, and flips a byte
    /// of the newest. Returns its position.
    fn change_newest_batch(&self) -> Result<u64> {
        let rig = &self.fleet.rig;
        let last = || -> Result<u64> {
            let rows = rig.ask_postgresql(STAGED)?;
            Ok(rows.first().context("staging has a last position")?.trim().parse()?)
        };
        let (read, begun) = (last()?, Instant::now());
        let id = loop {
            let id = last()?;
            if id >= read + 3 {
                break id;
            }
            ensure!(begun.elapsed() < PROCESS_TIMEOUT, "no batch is staged any more");
            std::thread::sleep(Duration::from_millis(50));
        };
        rig.ask_postgresql(&flip(id))?;
        Ok(id)
    }

    fn signal(&self, indices: &[usize], signal: Signal) -> Result<()> {
        indices.iter().try_for_each(|index| self.fleet.members[*index].signal(signal))
    }

    /// Waits until the authorities have the same log, and it does not grow. Returns its leaves.
    fn settled(&self) -> Result<u64> {
        let authorities = self.fleet.members_of(Part::Authority);
        let sizes = || -> Vec<Option<u64>> {
            authorities.iter().map(|index| self.fleet.members[*index].log_size()).collect()
        };
        let (begun, mut known, mut since) = (Instant::now(), sizes(), Instant::now());
        loop {
            if since.elapsed() > SETTLING_TIME
                && let Some(Some(size)) = known.first().copied()
                && known.iter().all(|other| *other == Some(size))
            {
                return Ok(size);
            }
            ensure!(begun.elapsed() < PROCESS_TIMEOUT, "the log does not settle: {known:?}");
            std::thread::sleep(Duration::from_millis(100));
            let now = sizes();
            if now != known {
                (known, since) = (now, Instant::now());
            }
        }
    }

    /// Waits until some authority has recorded an audit event and raised the alarm of its name.
    /// Returns those that have raised it.
    fn any_reports(&self, marks: &Marks, event: &str) -> Result<Vec<usize>> {
        let authorities = self.fleet.members_of(Part::Authority);
        let expect =
            |report| self.fleet.expect_some(marks, &authorities, report, |it| it["event"] == event);
        expect(Report::Audit).and_then(|_| expect(Report::Alarms)).context(event.to_owned())
    }
}

/// Flips a byte in the middle of a staged batch; done twice, it is as it was.
fn flip(id: u64) -> String {
    let middle = "octet_length(bytes) / 2";
    format!(
        "UPDATE votekit.batch SET bytes = set_byte(bytes, {middle}, get_byte(bytes, {middle}) # 255) \
         WHERE id = {id}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_named_by_its_position_alone() {
        let sql = flip(17);
        assert!(
            sql.ends_with("WHERE id = 17") && sql.matches("octet_length").count() == 2,
            "{sql}"
        );
    }
}
