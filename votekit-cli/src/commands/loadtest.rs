//! `votekit loadtest`: a thin verb over the load generators.

mod threshold;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use votekit_core::id::ElectionId;
use votekit_loadtests::ballot_mix::{BallotKind, BallotMix, MixOptions, WeightedChoice};
use votekit_loadtests::goose_scenarios::{GooseOptions, run_goose};
use votekit_loadtests::hostile::HostilePlan;
use votekit_loadtests::http_client::NodeUrl;
use votekit_loadtests::live::LivePlan;
use votekit_loadtests::open_loop::{OpenLoopPlan, RunControl, run_open_loop};
use votekit_loadtests::roll_source::RollSource;
use votekit_loadtests::schedule::{Rate, Schedule, parse_duration};
use votekit_loadtests::{LoadError, Share};
use votekit_node::ElectionView;

use self::threshold::{Measured, Threshold};
use crate::admin_target;
use crate::argument;
use crate::atomic_output::{Secrecy, StagedFile};
use crate::client::Client;
use crate::context::Context;
use crate::error::CommandError;
use crate::progress;
use crate::table_error::{self, BadRows};

/// Put a running node under load
///
/// By default goose simulates users, each of whom waits for an answer before the next vote. With
/// --rate, votes are sent at a given rate whatever the node does, and latency counts from the
/// intended send time: only that shows how long a voter would have waited. The report also shows
/// the generator's own cost and lateness. Use a synthetic roll and an election made for the
/// purpose: the votes are real.
///
/// The exit code is 0 when votes were taken and no --fail-if threshold was reached, 4 when no vote
/// was taken, 5 when a threshold was reached. The report is written in each case.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit loadtest --node http://127.0.0.1:8080 --roll roll.csv --users 50 --run-time 1m --report-file report.html
  votekit loadtest --node http://127.0.0.1:8080 --roll roll.csv --rate 500 --duration 30s --duplicates 5% --unknown 1%
  votekit loadtest --node http://127.0.0.1:8080 --roll roll.csv --rate 100..5000 --duration 2m --report report.json
  votekit loadtest --node http://127.0.0.1:8080 --roll roll.csv --rate 1000 --duration 1m --guesses 50000 --hostile-addresses 1000")]
pub(crate) struct Args {
    /// Address of the node; with --rate, may be repeated to spread connections over several nodes
    #[arg(long = "node", value_name = "URL", required = true)]
    nodes: Vec<String>,

    /// Roll to vote with, with the columns nas, code and law_id in any order
    #[arg(long, value_name = "FILE")]
    roll: PathBuf,

    #[command(flatten)]
    mix: MixArgs,

    /// Seconds to ask the node to wait for the decision (Prefer: wait)
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=300))]
    wait: Option<u32>,

    /// Send an Idempotency-Key with each vote; the same seed gives the same keys
    #[arg(long)]
    idempotency_keys: bool,

    /// Fail when a measurement reaches a limit: METRIC, one of > >= < <=, LIMIT. The metrics are
    /// errors (votes not taken, as a count or in percent); with --rate also mean, p50, p90, p95,
    /// p99, p99.9 and max (time to the answer: 250ms, 1.5s, 900us) and rate (votes taken per
    /// second). May be repeated: --fail-if 'p99>250ms' --fail-if 'errors>0.1%'
    #[arg(long = "fail-if", value_name = "THRESHOLD")]
    fail_if: Vec<Threshold>,

    /// Timeout for an answer [default: 10s with --rate, else 60s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,

    #[command(flatten)]
    goose: GooseArgs,

    #[command(flatten)]
    open_loop: OpenLoopArgs,

    #[command(flatten)]
    live: LiveArgs,

    #[command(flatten)]
    hostile: HostileArgs,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Votes")]
struct MixArgs {
    /// Vote only on this law; may be repeated [default: all of the roll]
    #[arg(long = "law", value_name = "ID", value_parser = argument::parse::<ElectionId>)]
    laws: Vec<ElectionId>,

    /// Choice, optionally with a weight, such as oui=55; may be repeated
    #[arg(long = "choice", value_name = "ID[=WEIGHT]", default_values = ["oui", "non"])]
    choices: Vec<WeightedChoice>,

    /// Share of blank votes
    #[arg(long, value_name = "SHARE", default_value = "0%")]
    blank: Share,

    /// Share of votes that repeat an earlier credential
    #[arg(long, value_name = "SHARE", default_value = "0%")]
    duplicates: Share,

    /// Share of votes whose credential is on no roll
    #[arg(long, value_name = "SHARE", default_value = "0%")]
    unknown: Share,

    /// Seed of the votes and their order
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Users (goose)")]
struct GooseArgs {
    /// Number of simultaneous users [default: one per processor]
    #[arg(long, value_name = "N", conflicts_with = "rate")]
    users: Option<usize>,

    /// Users started per second [default: 1]
    #[arg(long, value_name = "RATE", conflicts_with = "rate")]
    hatch_rate: Option<String>,

    /// Run time once all users have started, such as 30s or 1h30m [default: until interrupted]
    #[arg(long, value_name = "TIME", conflicts_with_all = ["rate", "iterations"])]
    run_time: Option<String>,

    /// Number of rounds per user
    #[arg(long, value_name = "N", conflicts_with = "rate")]
    iterations: Option<usize>,

    /// Maximum requests per second, of all users together
    #[arg(long, value_name = "N", conflicts_with = "rate")]
    throttle_requests: Option<usize>,

    /// Write goose's report: .html, .json or .md; may be repeated
    #[arg(long = "report-file", value_name = "FILE", conflicts_with = "rate")]
    report_files: Vec<PathBuf>,

    /// Write one line per request to this file
    #[arg(long, value_name = "FILE", conflicts_with = "rate")]
    request_log: Option<PathBuf>,

    /// Show goose's progress
    #[arg(long, short, conflicts_with = "rate")]
    verbose: bool,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Open loop")]
struct OpenLoopArgs {
    /// Votes per second, or a ramp such as 100..5000
    #[arg(long, value_name = "N", requires = "duration")]
    rate: Option<Rate>,

    /// Duration of sending, such as 30s or 5m
    #[arg(long, value_name = "TIME", requires = "rate", value_parser = parse_duration)]
    duration: Option<Duration>,

    /// Number of keep-alive connections; each carries one vote at a time [default: 64]
    #[arg(long, value_name = "N", requires = "rate")]
    connections: Option<usize>,

    /// Number of local source addresses of the connections (127.2.0.1 and up), to simulate networks
    /// of voters [default: one]
    #[arg(long, value_name = "N", requires = "rate")]
    addresses: Option<u32>,

    /// Number of threads that carry the connections [default: 1]
    #[arg(long, value_name = "N", requires = "rate")]
    threads: Option<usize>,

    /// Maximum time at the end for votes that still wait for a connection [default: 10s]
    #[arg(long, value_name = "TIME", requires = "rate", value_parser = parse_duration)]
    drain: Option<Duration>,

    /// Retry a vote that got no answer, or was asked to retry, under its key and at the nodes in
    /// turn, until it is answered or the drain is over
    #[arg(long, requires = "rate", requires = "idempotency_keys")]
    retry: bool,

    /// Share of taken votes to send once more under their key, like voters who missed the answer
    #[arg(long, value_name = "SHARE", requires = "rate", requires = "idempotency_keys")]
    resend: Option<Share>,

    /// Share of votes to poll until they are decided
    #[arg(long, value_name = "SHARE", requires = "rate")]
    follow: Option<Share>,

    /// Polling interval of a followed vote [default: 20ms]
    #[arg(long, value_name = "TIME", requires = "rate", value_parser = parse_duration)]
    follow_interval: Option<Duration>,

    /// Stop following a vote that is undecided for this long [default: 30s]
    #[arg(long, value_name = "TIME", requires = "rate", value_parser = parse_duration)]
    follow_patience: Option<Duration>,

    /// Write each vote (its row, never the credential) to this file before it is sent, then its
    /// outcome
    #[arg(long, value_name = "FILE", requires = "rate")]
    journal: Option<PathBuf>,

    /// Write the report as JSON to this file
    #[arg(long, value_name = "FILE", requires = "rate")]
    report: Option<PathBuf>,

    /// Trust these certificate authorities (PEM) in addition to the system's
    #[arg(long, value_name = "FILE", requires = "rate")]
    tls_ca: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Readers of live updates beside the votes, reported separately")]
struct LiveArgs {
    /// Number of WebSockets that follow the results of the first law, at the first node
    #[arg(long, value_name = "N", requires = "rate")]
    live_readers: Option<usize>,

    /// Number of local source addresses of the readers (127.3.0.1 and up) [default: one]
    #[arg(long, value_name = "N", requires = "live_readers")]
    live_addresses: Option<u32>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Hostile load beside the votes, reported separately")]
struct HostileArgs {
    /// Number of votes per second with credentials that do not exist
    #[arg(long, value_name = "N", requires = "rate")]
    guesses: Option<u32>,

    /// Number of silent connections; one that the node closes is reopened
    #[arg(long, value_name = "N", requires = "rate")]
    idle_connections: Option<usize>,

    /// Number of connections that send one byte per second, half of them within a head, half within
    /// a body
    #[arg(long, value_name = "N", requires = "rate")]
    slow_connections: Option<usize>,

    /// Number of connections that send useless requests, so that they are never idle for a second
    #[arg(long, value_name = "N", requires = "rate")]
    busy_connections: Option<usize>,

    /// Number of connections that repeat the first vote of the run under its key
    #[arg(long, value_name = "N", requires = "rate")]
    replay_connections: Option<usize>,

    /// Number of connections that read the OpenAPI description repeatedly
    #[arg(long, value_name = "N", requires = "rate")]
    reader_connections: Option<usize>,

    /// Number of local source addresses of the hostile load (127.1.0.1 and up) [default: one]
    #[arg(long, value_name = "N", requires = "rate")]
    hostile_addresses: Option<u32>,
}

/// Runs `votekit loadtest`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let failed = |error| command_error(error, &args.roll);
    let nodes = args
        .nodes
        .iter()
        .map(|node| NodeUrl::parse(node))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    if args.open_loop.rate.is_none()
        && let Some(threshold) = args.fail_if.iter().find(|threshold| threshold.wants_rate())
    {
        return Err(CommandError::usage(format!("'{threshold}' is measured with --rate only"))
            .hint("without --rate, errors can be limited: --fail-if 'errors>0.1%'"));
    }
    let roll = RollSource::open(&args.roll, &args.mix.laws).map_err(failed)?;
    let mix = Arc::new(BallotMix::new(roll, args.mix.options()).map_err(failed)?);
    let before = VoteCounts::fetch(&args.nodes[0], &mix);
    before.warn(context);
    let (laws, first) = (Arc::clone(&mix), args.nodes[0].clone());
    let ran = match (args.open_loop.rate, args.open_loop.duration) {
        (Some(rate), Some(duration)) => {
            run_at_rate(&args, nodes, Schedule::new(rate, duration).map_err(failed)?, mix, context)
        }
        _ => run_users(&args, &nodes, mix, context),
    }?;
    before.warn_of_used_roll(&VoteCounts::fetch(&first, &laws), ran.duplicates, context);
    ran.outcome
}

/// Result of a run.
struct Ran {
    /// Votes that were intended as duplicates.
    duplicates: u64,
    outcome: Result<(), CommandError>,
}

impl Ran {
    fn new(
        measured: Measured<'_>,
        kinds: &BTreeMap<BallotKind, u64>,
        thresholds: &[Threshold],
    ) -> Self {
        let reached: Vec<String> =
            thresholds.iter().filter_map(|threshold| threshold.reached(measured)).collect();
        let outcome = if measured.taken == 0 {
            Err(CommandError::configuration(format!(
                "none of {} votes was accepted",
                measured.votes
            ))
            .hint(
                "see the errors by kind in the report: is the poll open, are the choices on the \
                 ballot, is the rate limit lifted (serve --rate-limit 0)?",
            ))
        } else if reached.is_empty() {
            Ok(())
        } else {
            Err(CommandError::verification_failed(reached.join("\n")))
        };
        let duplicates = kinds.get(&BallotKind::Duplicate).copied().unwrap_or_default();
        Self { duplicates, outcome }
    }
}

/// Vote counts of the elections of a roll, as reported by the node. Zero if it does not report
/// them: a load test runs without.
#[derive(Default)]
struct VoteCounts {
    accepted: u64,
    duplicate: u64,
}

impl VoteCounts {
    fn fetch(node: &str, mix: &BallotMix) -> Self {
        let ask = async {
            let client = Client::new(node)?;
            client.call::<(), Vec<ElectionView>>(Method::GET, "/api/v1/elections", None).await
        };
        let Ok(elections) = admin_target::run(ask) else { return Self::default() };
        let laws = mix.laws();
        let of_roll = elections
            .iter()
            .filter(|election| laws.iter().any(|law| law.to_string() == election.law_id));
        of_roll.fold(Self::default(), |sum, election| Self {
            accepted: sum.accepted + election.accepted,
            duplicate: sum.duplicate + election.duplicate,
        })
    }

    fn warn(&self, context: &Context) {
        if self.accepted > 0 {
            context.output.warning(format_args!(
                "{} votes are already accepted: if they are of this roll, its votes are decided as \
                 duplicates, which cost the node less",
                self.accepted
            ));
        }
    }

    fn warn_of_used_roll(&self, after: &Self, meant: u64, context: &Context) {
        let decided = after.duplicate.saturating_sub(self.duplicate);
        if decided > meant {
            context.output.warning(format_args!(
                "the roll has voted already: {decided} votes were decided as duplicates, and {meant} were meant to be; make another roll (votekit roll sample --seed) and another election"
            ));
        }
    }
}

impl MixArgs {
    fn options(&self) -> MixOptions {
        let Self { choices, blank, duplicates, unknown, seed, .. } = self;
        MixOptions {
            choices: choices.clone(),
            blank: *blank,
            duplicates: *duplicates,
            unknown: *unknown,
            seed: *seed,
        }
    }
}

fn run_users(
    args: &Args,
    nodes: &[NodeUrl],
    mix: Arc<BallotMix>,
    context: &Context,
) -> Result<Ran, CommandError> {
    let [node] = nodes else {
        return Err(CommandError::usage("goose supports one node at a time")
            .hint("give one --node, or use --rate"));
    };
    let goose = &args.goose;
    let options = GooseOptions {
        users: goose.users,
        hatch_rate: goose.hatch_rate.clone(),
        run_time: goose.run_time.clone(),
        iterations: goose.iterations,
        throttle_requests: goose.throttle_requests,
        report_files: goose.report_files.clone(),
        request_log: goose.request_log.clone(),
        timeout_s: args.timeout.map(|timeout| timeout.as_secs_f64()),
        verbose: goose.verbose,
        wait_s: args.wait,
        idempotency_keys: args.idempotency_keys,
    };
    let summary =
        run_goose(node, &options, mix).map_err(|error| command_error(error, &args.roll))?;
    if summary.roll_used_up {
        context.output.warning("every row of the roll had voted before the time was over");
    }
    context.output.result(&summary)?;
    let votes: u64 = summary.votes_by_kind.values().sum();
    let errors: u64 = summary.errors.iter().map(|error| error.count).sum();
    let measured = Measured { votes, taken: votes.saturating_sub(errors), open_loop: None };
    Ok(Ran::new(measured, &summary.votes_by_kind, &args.fail_if))
}

fn run_at_rate(
    args: &Args,
    nodes: Vec<NodeUrl>,
    schedule: Schedule,
    mix: Arc<BallotMix>,
    context: &Context,
) -> Result<Ran, CommandError> {
    let plan = plan(args, nodes, schedule)?;
    // Created before the run: without a writable report the run would be useless.
    let report_path = args.open_loop.report.as_deref();
    let report_file =
        report_path.map(|path| StagedFile::create(path, Secrecy::Public)).transpose()?;
    let control = Arc::new(RunControl::default());
    stop_on_interrupt(Arc::clone(&control))?;
    let report = with_progress(&control, schedule.total(), || {
        run_open_loop(&plan, mix, Arc::clone(&control))
    })
    .map_err(|error| command_error(error, &args.roll))?;
    if let (Some(mut file), Some(path)) = (report_file, report_path) {
        serde_json::to_writer_pretty(&mut file, &report)
            .map_err(|error| CommandError::writing(path, &error.into()))?;
        file.commit()?;
    }
    context.output.result(&report)?;
    let (votes, taken) = (report.votes_by_kind.values().sum(), report.taken);
    let measured = Measured { votes, taken, open_loop: Some(&report) };
    Ok(Ran::new(measured, &report.votes_by_kind, &args.fail_if))
}

fn plan(
    args: &Args,
    nodes: Vec<NodeUrl>,
    schedule: Schedule,
) -> Result<OpenLoopPlan, CommandError> {
    let options = &args.open_loop;
    let read =
        |path: &PathBuf| std::fs::read(path).map_err(|error| CommandError::reading(path, &error));
    let defaults = OpenLoopPlan::new(nodes, schedule);
    Ok(OpenLoopPlan {
        connections: options.connections.unwrap_or(defaults.connections),
        addresses: options.addresses.unwrap_or(defaults.addresses),
        threads: options.threads.unwrap_or(defaults.threads),
        timeout: args.timeout.unwrap_or(defaults.timeout),
        drain: options.drain.unwrap_or(defaults.drain),
        wait_s: args.wait,
        idempotency_keys: args.idempotency_keys,
        retry: options.retry,
        resend: options.resend.unwrap_or(defaults.resend),
        follow: options.follow.unwrap_or(defaults.follow),
        follow_interval: options.follow_interval.unwrap_or(defaults.follow_interval),
        follow_patience: options.follow_patience.unwrap_or(defaults.follow_patience),
        journal: options.journal.clone(),
        hostile: HostilePlan {
            guesses_per_second: args.hostile.guesses.unwrap_or(0),
            idle_connections: args.hostile.idle_connections.unwrap_or(0),
            slow_connections: args.hostile.slow_connections.unwrap_or(0),
            busy_connections: args.hostile.busy_connections.unwrap_or(0),
            replay_connections: args.hostile.replay_connections.unwrap_or(0),
            reader_connections: args.hostile.reader_connections.unwrap_or(0),
            addresses: args.hostile.hostile_addresses.unwrap_or(0),
        },
        live: LivePlan {
            readers: args.live.live_readers.unwrap_or(0),
            addresses: args.live.live_addresses.unwrap_or(0),
        },
        tls_ca_pem: options.tls_ca.as_ref().map(read).transpose()?,
        ..defaults
    })
}

/// Stops sending at the first interrupt, so that a report is still written; a second one ends the
/// process.
fn stop_on_interrupt(control: Arc<RunControl>) -> Result<(), CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::internal(format!("cannot handle interrupts: {error}"))
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let listen = async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            control.stop();
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            // 128 + SIGINT, as if the signal had ended the process.
            std::process::exit(130);
        }
    };
    std::thread::Builder::new()
        .name("interrupt".to_owned())
        .spawn(move || runtime.block_on(listen))
        .map_err(failed)?;
    Ok(())
}

fn with_progress<T>(control: &RunControl, votes: u64, work: impl FnOnce() -> T) -> T {
    let bar = progress::count("voting", Some(votes));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                bar.set_position(control.answered());
                std::thread::sleep(Duration::from_millis(100));
            }
            bar.finish_and_clear();
        });
        let result = work();
        done.store(true, Ordering::Release);
        result
    })
}

fn command_error(error: LoadError, roll: &Path) -> CommandError {
    let message = error.to_string();
    match error {
        LoadError::File { path, source } if path == roll => CommandError::reading(&path, &source),
        LoadError::File { path, source } => CommandError::writing(&path, &source),
        LoadError::Roll { path, source } => {
            table_error::unreadable(&path.display().to_string(), &source)
        }
        LoadError::RollRows { path, faults } => {
            let name = path.display().to_string();
            let (files, hint) = ([(name.as_str(), faults.as_slice())], "correct these rows");
            let refused = BadRows { files: &files, outcome: "nothing was sent", hint }.refuse();
            refused.err().unwrap_or_else(|| CommandError::bad_input(message))
        }
        LoadError::RollEmpty { .. } | LoadError::RollTooLarge { .. } => {
            CommandError::bad_input(message)
        }
        LoadError::RollTooSmall { .. } => CommandError::bad_input(message).hint(
            "make a larger roll (votekit roll sample), lower --rate or --duration, or raise \
             --duplicates",
        ),
        LoadError::Mix(_) | LoadError::NodeAddress { .. } | LoadError::Plan { .. } => {
            CommandError::usage(message)
        }
        LoadError::Unreachable { .. } => CommandError::configuration(message)
            .hint("check the address, and that the node is running"),
        LoadError::Goose { .. } => CommandError::configuration(message),
        _ => CommandError::internal(message),
    }
}
