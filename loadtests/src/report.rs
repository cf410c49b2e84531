//! The open loop's report: JSON for programs, and a short text for people.
//!
//! How to read it: `to_taken_us` is the wait of a voter who votes at the intended time;
//! `service_us` excludes the wait for a free connection, and is called latency by closed-loop
//! tools. `send_lag_us` is the difference. `generator.release_lag_us` and `generator.cpu_share`
//! (processor time of this process over wall time; 1 is one core) show whether the generator itself
//! kept up: when `generator.saturated` is true, the figures reflect the generator as much as the
//! node.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2Serializer};
use serde::Serialize;

use crate::answer::VoteState;
use crate::ballot_mix::{BallotKind, BallotMix};
pub use crate::distribution::Distribution;
use crate::distribution::Microseconds;
use crate::hostile::HostileReport;
use crate::journal::UNSENT;
use crate::live::LiveReport;
use crate::pacer::Pacing;
use crate::plan::OpenLoopPlan;
use crate::recorder::Recorder;
pub use crate::recorder::{FailureKind, SecondRow};

/// The report of an open-loop run.
#[derive(Debug, Clone, Serialize)]
pub struct OpenLoopReport {
    /// `votekit-load-report/1`.
    pub format: &'static str,
    /// The generator's version.
    pub tool: String,
    /// The nodes.
    pub nodes: Vec<String>,
    /// Start, in unix milliseconds.
    pub started_at_ms: u64,
    /// The seed.
    pub seed: u64,
    /// Planned votes a second, such as `5000` or `100..5000`.
    pub rate_asked: String,
    /// Planned duration in seconds.
    pub duration_asked_s: f64,
    /// Votes sent a second, over the time from the first vote to the end of the schedule or to the
    /// last release.
    pub rate_sent: f64,
    /// Votes taken a second, over the time from the start to the last end.
    pub rate_taken: f64,
    /// Seconds from the start to the last end.
    pub duration_s: f64,
    /// Connections used.
    pub connections: usize,
    /// Threads used.
    pub threads: usize,
    /// Whether the run was stopped early.
    pub stopped: bool,
    /// Votes planned.
    pub planned: u64,
    /// Votes sent, or attempted.
    pub sent: u64,
    /// Votes answered, with any status.
    pub answered: u64,
    /// Votes taken: answered 202, or 200 once decided (`Prefer: wait`), with a request id.
    pub taken: u64,
    /// Votes by intended kind.
    pub votes_by_kind: BTreeMap<BallotKind, u64>,
    /// Answers by HTTP status.
    pub answers_by_status: BTreeMap<u16, u64>,
    /// States in the answers to taken votes.
    pub answers_by_state: BTreeMap<VoteState, u64>,
    /// Votes not taken, by kind of failure.
    pub errors: Vec<FailureCount>,
    /// From the intended send time to the answer of a taken vote.
    pub to_taken_us: Distribution,
    /// From the intended send time to the end of every vote, including failed ones.
    pub to_end_us: Distribution,
    /// From the actual send time to the answer of a taken vote.
    pub service_us: Distribution,
    /// From the intended to the actual send time: the wait for a free connection plus the
    /// generator's own delay.
    pub send_lag_us: Distribution,
    /// Decisions, obtained by waiting or by following a sample.
    pub decisions: Decisions,
    /// The results of the hostile load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostile: Option<HostileReport>,
    /// The readers of live updates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live: Option<LiveReport>,
    /// The generator's own cost and delay.
    pub generator: GeneratorFacts,
    /// Counts for each second.
    pub seconds: Vec<SecondRow>,
    /// `to_taken_us` as an HdrHistogram in its V2 encoding, in base64: histograms of several
    /// generators can be added.
    pub to_taken_us_hdr: String,
    /// Reasons to distrust the figures.
    pub warnings: Vec<String>,
}

/// The number of failures of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureCount {
    /// The kind of failure.
    #[serde(flatten)]
    pub failure: FailureKind,
    /// The number of failures.
    pub count: u64,
}

/// Decisions obtained by waiting or following.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decisions {
    /// By state.
    pub by_state: BTreeMap<VoteState, u64>,
    /// Votes followed by polling.
    pub followed: u64,
    /// Votes of the sample that were not followed because the poller's queue was full.
    pub skipped: u64,
    /// Followed votes still undecided at the timeout.
    pub unresolved: u64,
    /// Pause between two polls of a followed vote: the resolution of their times.
    pub follow_interval_ms: u64,
    /// From the intended send time to the decision as seen by the voter.
    pub to_decision_us: Distribution,
}

/// The generator's own cost and delay.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GeneratorFacts {
    /// Processor seconds of this process during the run.
    pub cpu_s: f64,
    /// Processor seconds over wall seconds; 1 is one core.
    pub cpu_share: f64,
    /// From a vote's intended time to its release.
    pub release_lag_us: Distribution,
    /// Maximum number of votes that waited for a connection at once.
    pub backlog_max: u64,
    /// Whether the generator, not the node, may have determined the figures.
    pub saturated: bool,
}

/// Facts about the run that its recorder does not have.
pub(crate) struct RunFacts<'run> {
    pub(crate) plan: &'run OpenLoopPlan,
    pub(crate) mix: &'run BallotMix,
    pub(crate) started_at_ms: u64,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    pub(crate) stopped: bool,
    pub(crate) hostile: Option<HostileReport>,
    pub(crate) live: Option<LiveReport>,
}

impl OpenLoopReport {
    /// Assembles the report.
    pub(crate) fn new(facts: &RunFacts<'_>, recorder: Recorder, pacing: &Pacing) -> Self {
        let plan = facts.plan;
        let recorded: u64 = recorder.kinds.values().sum();
        let unsent: u64 = recorder
            .failures
            .iter()
            .filter(|(failure, _)| failure.kind == UNSENT)
            .map(|(_, count)| *count)
            .sum();
        let sent = recorded - unsent;
        let taken = recorder.to_taken.len();
        let schedule_end = plan.schedule.offset(pacing.released).as_secs_f64();
        let duration_s = recorder.last_end.as_secs_f64();
        let mut report = Self {
            format: "votekit-load-report/1",
            tool: format!("votekit {}", env!("CARGO_PKG_VERSION")),
            nodes: plan.nodes.iter().map(ToString::to_string).collect(),
            started_at_ms: facts.started_at_ms,
            seed: facts.mix.seed(),
            rate_asked: plan.schedule.rate().to_string(),
            duration_asked_s: plan.schedule.duration().as_secs_f64(),
            rate_sent: per_second(sent, schedule_end),
            rate_taken: per_second(taken, duration_s.max(schedule_end)),
            duration_s,
            connections: plan.connections,
            threads: plan.threads,
            stopped: facts.stopped,
            planned: plan.schedule.total(),
            sent,
            answered: recorder.by_status.values().sum(),
            taken,
            votes_by_kind: recorder.kinds.clone(),
            answers_by_status: recorder.by_status.clone(),
            answers_by_state: recorder.answer_states.clone(),
            errors: failures_by_count(&recorder.failures),
            to_taken_us: Distribution::from_histogram(&recorder.to_taken),
            to_end_us: Distribution::from_histogram(&recorder.to_end),
            service_us: Distribution::from_histogram(&recorder.service),
            send_lag_us: Distribution::from_histogram(&recorder.send_lag),
            decisions: Decisions {
                by_state: recorder.decisions.clone(),
                followed: recorder.follows,
                skipped: recorder.follows_skipped,
                unresolved: recorder.unresolved,
                follow_interval_ms: u64::try_from(plan.follow_interval.as_millis())
                    .unwrap_or(u64::MAX),
                to_decision_us: Distribution::from_histogram(&recorder.to_decision),
            },
            hostile: facts.hostile.clone(),
            live: facts.live.clone(),
            generator: GeneratorFacts::new(facts, pacing),
            to_taken_us_hdr: encode(&recorder.to_taken),
            seconds: recorder.seconds,
            warnings: Vec::new(),
        };
        report.warnings = report.find_warnings(unsent);
        report
    }

    fn find_warnings(&self, unsent: u64) -> Vec<String> {
        let mut warnings = Vec::new();
        let generator = &self.generator;
        if generator.saturated {
            warnings.push(format!(
                "the generator was saturated (release p99 {} late, {:.2} cores): its numbers do \
                 not measure the node",
                Microseconds(generator.release_lag_us.p99),
                generator.cpu_share
            ));
        }
        if unsent > 0 {
            warnings.push(format!(
                "{unsent} votes were not sent: to_taken_us leaves them out, to_end_us does not"
            ));
        }
        if generator.backlog_max > self.connections as u64 && !generator.saturated {
            warnings.push(format!(
                "up to {} votes waited for one of {} connections: more connections tell a slow node from too few connections",
                generator.backlog_max, self.connections
            ));
        }
        if self.stopped {
            warnings.push("the run was stopped early".to_owned());
        }
        warnings
    }
}

impl GeneratorFacts {
    /// A generator that releases one vote in a hundred later than this does not keep its schedule.
    const RELEASE_LAG_US_MAX: u64 = 5_000;

    fn new(facts: &RunFacts<'_>, pacing: &Pacing) -> Self {
        let release_lag_us = Distribution::from_histogram(&pacing.release_lag);
        let cpu_share = per_second_f64(facts.cpu.as_secs_f64(), facts.wall.as_secs_f64());
        // A thread uses one core at most: near that, the generator is the bottleneck.
        let busy = cpu_share > 0.95 * (facts.plan.threads + facts.plan.hostile.threads()) as f64;
        let saturated = busy || release_lag_us.p99 > Self::RELEASE_LAG_US_MAX;
        Self {
            cpu_s: facts.cpu.as_secs_f64(),
            cpu_share,
            release_lag_us,
            backlog_max: pacing.backlog_max,
            saturated,
        }
    }
}

fn per_second(count: u64, seconds: f64) -> f64 {
    per_second_f64(count as f64, seconds)
}

fn per_second_f64(amount: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { (amount / seconds * 1_000.0).round() / 1_000.0 } else { 0.0 }
}

/// The failures, the most frequent kinds first.
pub(crate) fn failures_by_count(failures: &BTreeMap<FailureKind, u64>) -> Vec<FailureCount> {
    let failures = failures.iter();
    let mut failures: Vec<_> = failures
        .map(|(failure, count)| FailureCount { failure: failure.clone(), count: *count })
        .collect();
    failures.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.failure.cmp(&b.failure)));
    failures
}

fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2Serializer::new()
        .serialize(histogram, &mut bytes)
        .expect("writing into memory cannot fail for bounded counts");
    STANDARD.encode(bytes)
}

/// One kind of failure on a line.
impl fmt::Display for FailureCount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FailureKind { kind, status, code } = &self.failure;
        let status = status.map_or_else(String::new, |status| format!(" {status}"));
        let code = code.as_ref().map_or_else(String::new, |code| format!(" {}", code.as_str()));
        write!(formatter, "  {:>8}  {kind}{status}{code}", self.count)
    }
}

impl fmt::Display for OpenLoopReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "asked     {} votes/s for {} s: {} votes",
            self.rate_asked, self.duration_asked_s, self.planned
        )?;
        writeln!(
            formatter,
            "sent      {} ({:.1}/s), answered {}, taken: {} ({:.1}/s)",
            self.sent, self.rate_sent, self.answered, self.taken, self.rate_taken
        )?;
        for error in &self.errors {
            writeln!(formatter, "{error}")?;
        }
        writeln!(
            formatter,
            "            p50        p90        p95        p99        p99.9      max"
        )?;
        line(formatter, "to taken", &self.to_taken_us)?;
        line(formatter, "service", &self.service_us)?;
        line(formatter, "send lag", &self.send_lag_us)?;
        if self.decisions.to_decision_us.count > 0 {
            line(formatter, "decision", &self.decisions.to_decision_us)?;
        }
        line(formatter, "release", &self.generator.release_lag_us)?;
        if let Some(hostile) = &self.hostile {
            writeln!(formatter, "{hostile}")?;
        }
        if let Some(live) = &self.live {
            writeln!(formatter, "{live}")?;
        }
        write!(
            formatter,
            "generator {:.2} cores, {} connections, backlog at most {}",
            self.generator.cpu_share, self.connections, self.generator.backlog_max
        )?;
        self.warnings.iter().try_for_each(|warning| write!(formatter, "\nwarning: {warning}"))
    }
}

fn line(formatter: &mut fmt::Formatter<'_>, name: &str, times: &Distribution) -> fmt::Result {
    write!(formatter, "{name:<10}")?;
    for time in [times.p50, times.p90, times.p95, times.p99, times.p99_9, times.max] {
        write!(formatter, "  {:<9}", Microseconds(time).to_string())?;
    }
    writeln!(formatter)
}
