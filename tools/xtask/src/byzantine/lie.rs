//! Plays one lie of a leader: the others must refuse it, raise the alarm, and continue.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::expected::{Expected, Verdict};
use super::table::Row;
use crate::chaos::alarms::Report;
use crate::chaos::authorities::Cluster;
use crate::chaos::member::Part;

/// How often a lie is tried until all others have seen it.
const ATTEMPTS: usize = 4;

/// How long the liar waits for the refusals of all others, in seconds.
const ANSWER_SECONDS: u64 = 20;

/// The counter of refused proposals.
const REFUSED: &str = "proposals_refused_total";

/// The seconds of a minute in which an early close can be proposed: a vote of the same minute is in
/// the log by then, and the minute is young enough for the others' clocks.
const CLOSING_SECONDS: std::ops::RangeInclusive<u64> = 8..=20;

/// Plays a lie until all other authorities have seen it.
pub(super) fn play(cluster: &mut Cluster, expected: &Expected, number: usize) -> Result<Row> {
    let authorities = cluster.fleet.places(Part::Authority);
    let place = authorities[number % authorities.len()];
    let mut unseen = String::new();
    for _ in 0..ATTEMPTS {
        match attempt(cluster, expected, place)? {
            Ok(row) => return Ok(row),
            Err(why) => unseen = why,
        }
    }
    bail!("{} was not seen by all others in {ATTEMPTS} attempts: {unseen}", expected.lie)
}

/// Plays a lie once. The inner error says why not all others have seen it.
fn attempt(
    cluster: &mut Cluster,
    expected: &Expected,
    place: usize,
) -> Result<Result<Row, String>> {
    let others = cluster.others(place);
    // An authority does not vote for a leader that it refused in the last minutes; its next process
    // does not remember that.
    for other in &others {
        cluster.fleet.members[*other].stop()?;
        cluster.fleet.start(*other)?;
        cluster.fleet.recovers("a restart")?;
    }
    if expected.lie == "early-close" {
        wait_for_second(&CLOSING_SECONDS)?;
    }
    let names: Vec<String> =
        others.iter().map(|other| cluster.fleet.members[*other].name.clone()).collect();
    let liar = cluster.fleet.members[place].name.clone();
    let marks = cluster.fleet.mark();
    let count = |cluster: &Cluster, place: usize| {
        cluster.fleet.members[place].metric(REFUSED, "").unwrap_or(0.0)
    };
    let counts: Vec<f64> = others.iter().map(|other| count(cluster, *other)).collect();

    let ended = cluster.lie(place, expected.lie, ANSWER_SECONDS)?;
    let (begun, before) = (Instant::now(), cluster.fleet.log_size());
    let verdict = match ended.code {
        Some(0 | 1) => expected.judge(&ended.answers, &names)?,
        Some(2) => Verdict::Unseen { why: ended.errors },
        code => bail!("the liar ended with {code:?}: {}", ended.errors),
    };
    let refused = match verdict {
        Verdict::Unseen { why } => Err(why),
        Verdict::Refused { leaf } => {
            for (other, before) in others.iter().zip(counts) {
                for report in [Report::Alarms, Report::Audit] {
                    let is_it = |line: &serde_json::Value| {
                        line["event"] == "proposal_refused"
                            && line["leader"] == liar.as_str()
                            && line["rule"] == expected.rule
                            && line["leaf"] == leaf
                    };
                    cluster.fleet.expect_report(&marks, *other, report, is_it)?;
                }
                let name = &cluster.fleet.members[*other].name;
                ensure!(count(cluster, *other) > before, "{name} does not count the refusal");
            }
            Ok(leaf)
        }
    };
    let decided_again = cluster.fleet.grows_from(before, begun)?;
    cluster.fleet.start(place)?;
    cluster.fleet.recovers(expected.lie)?;
    Ok(refused.map(|leaf| Row {
        case: expected.lie,
        refused_by: names,
        leaf: Some(leaf),
        rule: expected.rule.to_owned(),
        alarm: "proposal_refused".to_owned(),
        decided_again: Some(decided_again),
        failure: None,
    }))
}

/// Waits until the clock is within these seconds of a minute.
fn wait_for_second(seconds: &std::ops::RangeInclusive<u64>) -> Result<()> {
    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("reading the clock")?;
        if seconds.contains(&(now.as_secs() % 60)) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

impl Cluster {
    /// Continues and restarts what a failed case left behind, and waits until everything works.
    pub(super) fn restore(&mut self) -> Result<()> {
        for place in 0..self.fleet.members.len() {
            if self.fleet.members[place].is_up() {
                self.fleet.members[place].signal(Signal::CONT)?;
            } else {
                self.fleet.start(place)?;
            }
        }
        self.fleet.stopped.clear();
        self.fleet.recovers("a failed case").map(drop)
    }
}
