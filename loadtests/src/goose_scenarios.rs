//! Voters as goose users: each votes, sometimes asks for the state of its vote, sometimes reads the
//! results, and repeats.
//!
//! Goose is a closed loop: a user waits for the answer before it continues, so the node's speed
//! sets the rate. Use it for the number of concurrent voters, with goose's own reports; for latency
//! at a given rate use the [open loop](crate::open_loop).

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use goose::GooseAttack;
use goose::config::GooseConfiguration;
use goose::goose::{
    GooseMethod, GooseRequest, GooseUser, Scenario, Transaction, TransactionFunction,
    TransactionResult,
};
use goose::metrics::GooseMetrics;
use serde::Serialize;
use votekit_core::id::RequestId;

use crate::answer::NodeAnswer;
use crate::ballot_mix::{BallotKind, BallotMix};
use crate::error::LoadError;
use crate::http_client::{ExchangeError, NodeUrl};
use crate::journal::idempotency_key;
use crate::recorder::FailureKind;

/// The goose options that apply to voters; absent ones keep goose's defaults.
#[derive(Debug, Clone, Default)]
pub struct GooseOptions {
    /// Concurrent users; one a processor by default.
    pub users: Option<usize>,
    /// Users started a second, such as `10` or `0.5`.
    pub hatch_rate: Option<String>,
    /// How long to run once all users have started, such as `30s` or `1h30m`.
    pub run_time: Option<String>,
    /// Iterations a user makes; unlimited by default.
    pub iterations: Option<usize>,
    /// Upper limit of requests a second, all users together.
    pub throttle_requests: Option<usize>,
    /// Reports to write: `.html`, `.json` or `.md`.
    pub report_files: Vec<PathBuf>,
    /// A file with one line a request. It contains no bodies.
    pub request_log: Option<PathBuf>,
    /// Timeout of a request in seconds; 60 by default.
    pub timeout_s: Option<f64>,
    /// Whether goose prints its progress on the terminal.
    pub verbose: bool,
    /// `Prefer: wait=N`, in seconds.
    pub wait_s: Option<u32>,
    /// Whether each vote carries an `Idempotency-Key`.
    pub idempotency_keys: bool,
}

/// The result of a goose run. Displays as goose's own tables.
#[derive(Debug, Clone, Serialize)]
pub struct GooseSummary {
    /// `votekit-goose-summary/1`.
    pub format: &'static str,
    /// The node.
    pub node: String,
    /// Maximum number of concurrent users.
    pub users_max: usize,
    /// Duration in seconds, including starting and stopping the users.
    pub duration_s: usize,
    /// Votes by intended kind.
    pub votes_by_kind: BTreeMap<BallotKind, u64>,
    /// Requests by name.
    pub requests: BTreeMap<String, RequestCounts>,
    /// Votes that were not accepted for storage, by kind of failure.
    pub errors: Vec<crate::report::FailureCount>,
    /// Whether the roll was used up before the run time ended.
    pub roll_used_up: bool,
    #[serde(skip)]
    tables: String,
}

/// The results of the requests of one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestCounts {
    /// Requests answered as expected.
    pub succeeded: usize,
    /// Requests that failed.
    pub failed: usize,
    /// Answers by HTTP status; 0 stands for no answer.
    pub by_status: BTreeMap<u16, usize>,
}

impl fmt::Display for GooseSummary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.tables.trim_end())?;
        if self.errors.is_empty() {
            return Ok(());
        }
        write!(formatter, "\n\nVotes that were not taken:")?;
        self.errors.iter().try_for_each(|error| write!(formatter, "\n{error}"))
    }
}

/// Runs goose's users against `node`, and blocks until their time is over, the roll is used up, or
/// the user interrupts.
///
/// Redirects goose's standard output to standard error: standard output is for the summary.
///
/// # Errors
/// [`LoadError::Goose`] with goose's error, [`LoadError::Thread`] when the runtime cannot start.
pub fn run_goose(
    node: &NodeUrl,
    options: &GooseOptions,
    mix: Arc<BallotMix>,
) -> Result<GooseSummary, LoadError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| LoadError::Thread { problem: error.to_string() })?;
    let booth = Arc::new(Booth {
        capacity: mix.capacity(),
        mix,
        wait_s: options.wait_s,
        idempotency_keys: options.idempotency_keys,
        next: AtomicU64::new(0),
        tallies: Mutex::default(),
    });
    let aside =
        StdoutAside::begin().map_err(|error| LoadError::Goose { problem: error.to_string() })?;
    let metrics = runtime
        .block_on(attack(node, options, &booth))
        .map_err(|error| LoadError::Goose { problem: error.to_string() })?;
    drop(aside);
    Ok(summarise(node, &metrics, &booth))
}

async fn attack(
    node: &NodeUrl,
    options: &GooseOptions,
    booth: &Arc<Booth>,
) -> Result<GooseMetrics, goose::GooseError> {
    let scenario = Scenario::new("Voter")
        .register_transaction(
            transaction(booth, "vote", |booth, user| Box::pin(vote(booth, user))).set_weight(10)?,
        )
        .register_transaction(
            transaction(booth, "follow", |booth, user| Box::pin(follow(booth, user)))
                .set_weight(3)?,
        )
        .register_transaction(
            transaction(booth, "results", |booth, user| Box::pin(results(booth, user)))
                .set_weight(1)?,
        );
    GooseAttack::initialize_with_config(configuration(node, options))?
        .register_scenario(scenario)
        .execute()
        .await
}

fn configuration(node: &NodeUrl, options: &GooseOptions) -> GooseConfiguration {
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let mut configuration = GooseConfiguration::default();
    // With the trailing slash goose appends relative paths to the path of the address.
    configuration.host = Some(format!("{}/", node.as_str()));
    configuration.users = options.users;
    configuration.increase_rate = options.hatch_rate.clone();
    configuration.run_time = options.run_time.clone();
    configuration.iterations = options.iterations;
    configuration.throttle_requests = options.throttle_requests;
    configuration.report_file = options.report_files.iter().map(text).collect();
    configuration.request_log = options.request_log.as_ref().map(text);
    configuration.timeout = options.timeout_s.map(|seconds| seconds.to_string());
    // Counts include the time while users start, so that they agree with the votes sent; goose does
    // not allow this together with iterations.
    configuration.no_reset_metrics = options.iterations.is_none();
    // Goose warns about each failed request; the summary counts them by kind instead.
    configuration.quiet = if options.verbose { 0 } else { 2 };
    // The caller prints the tables, from the summary.
    configuration.no_print_metrics = true;
    // No remote control: a load test opens no port.
    configuration.no_telnet = true;
    configuration
}

/// State shared by the users.
#[derive(Debug)]
struct Booth {
    mix: Arc<BallotMix>,
    capacity: u64,
    wait_s: Option<u32>,
    idempotency_keys: bool,
    next: AtomicU64,
    tallies: Mutex<Tallies>,
}

#[derive(Debug, Default)]
struct Tallies {
    kinds: BTreeMap<BallotKind, u64>,
    failures: BTreeMap<FailureKind, u64>,
    roll_used_up: bool,
}

impl Booth {
    fn tally(&self, change: impl FnOnce(&mut Tallies)) {
        // Ignores poison: counts stay valid after a panic of another user.
        change(&mut self.tallies.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The last vote of a user that received a request id.
#[derive(Debug, Clone)]
struct LastVote(RequestId);

type Step<'user> = Pin<Box<dyn Future<Output = TransactionResult> + Send + 'user>>;

fn transaction<F>(booth: &Arc<Booth>, name: &str, step: F) -> Transaction
where
    F: for<'user> Fn(Arc<Booth>, &'user mut GooseUser) -> Step<'user> + Send + Sync + 'static,
{
    let booth = Arc::clone(booth);
    let function: TransactionFunction = Arc::new(move |user| step(Arc::clone(&booth), user));
    Transaction::new(function).set_name(name)
}

async fn vote(booth: Arc<Booth>, user: &mut GooseUser) -> TransactionResult {
    let sequence = booth.next.fetch_add(1, Ordering::Relaxed);
    let Some(ballot) = booth.mix.ballot(sequence).filter(|_| sequence < booth.capacity) else {
        booth.tally(|tallies| tallies.roll_used_up = true);
        goose::trigger_killswitch("every row of the roll has voted");
        return Ok(());
    };
    let mut body = Vec::with_capacity(256);
    ballot.write_body(&mut body);
    let mut request = user
        .get_request_builder(&GooseMethod::Post, "api/v1/vote")?
        .header("content-type", "application/json")
        .body(body);
    if booth.idempotency_keys {
        request =
            request.header("idempotency-key", idempotency_key(booth.mix.seed(), ballot.sequence));
    }
    if let Some(wait) = booth.wait_s {
        request = request.header("prefer", format!("wait={wait}"));
    }
    let name = match ballot.kind {
        BallotKind::First => "vote",
        BallotKind::Duplicate => "vote (duplicate)",
        BallotKind::Unknown => "vote (unknown)",
    };
    let request = GooseRequest::builder()
        .method(GooseMethod::Post)
        .path("api/v1/vote")
        .name(name)
        .set_request_builder(request)
        .build();
    let kind = ballot.kind;
    let answer = match user.request(request).await?.response {
        Ok(response) => {
            let status = response.status().as_u16();
            response
                .bytes()
                .await
                .map(|body| NodeAnswer::parse(status, &body))
                .map_err(|_| ExchangeError::Closed)
        }
        Err(error) if error.is_timeout() => Err(ExchangeError::Timeout),
        Err(error) if error.is_connect() => Err(ExchangeError::Connect),
        Err(_) => Err(ExchangeError::Closed),
    };
    if let Ok(NodeAnswer { request_id: Some(id), .. }) = &answer {
        user.set_session_data(LastVote(*id));
    }
    let failure = FailureKind::from_answer(&answer);
    booth.tally(|tallies| {
        *tallies.kinds.entry(kind).or_default() += 1;
        if let Some(failure) = failure {
            *tallies.failures.entry(failure).or_default() += 1;
        }
    });
    Ok(())
}

async fn follow(_booth: Arc<Booth>, user: &mut GooseUser) -> TransactionResult {
    let Some(LastVote(id)) = user.get_session_data::<LastVote>().cloned() else { return Ok(()) };
    user.get_named(&format!("api/v1/vote/{id}"), "vote/{request_id}").await?;
    Ok(())
}

async fn results(booth: Arc<Booth>, user: &mut GooseUser) -> TransactionResult {
    let laws = booth.mix.laws();
    let law = &laws[booth.next.load(Ordering::Relaxed) as usize % laws.len()];
    user.get_named(&format!("api/v1/results/{law}"), "results/{law_id}").await?;
    Ok(())
}

fn summarise(node: &NodeUrl, metrics: &GooseMetrics, booth: &Booth) -> GooseSummary {
    let tallies = booth.tallies.lock().unwrap_or_else(PoisonError::into_inner);
    let requests = metrics
        .requests
        .values()
        .map(|request| {
            let by_status = request
                .status_code_counts
                .iter()
                .map(|(status, count)| (*status, *count))
                .collect();
            let counts = RequestCounts {
                succeeded: request.success_count,
                failed: request.fail_count,
                by_status,
            };
            (format!("{} {}", format!("{:?}", request.method).to_uppercase(), request.path), counts)
        })
        .collect();
    GooseSummary {
        format: "votekit-goose-summary/1",
        node: node.to_string(),
        users_max: metrics.maximum_users,
        duration_s: metrics.duration,
        votes_by_kind: tallies.kinds.clone(),
        requests,
        errors: crate::report::failures_by_count(&tallies.failures),
        roll_used_up: tallies.roll_used_up,
        tables: metrics.to_string(),
    }
}

/// While this lives, standard output goes to standard error: goose prints on it.
#[derive(Debug)]
struct StdoutAside {
    stdout: OwnedFd,
}

impl StdoutAside {
    /// Redirects until dropped.
    fn begin() -> io::Result<Self> {
        io::stdout().flush()?;
        let stdout = rustix::io::dup(rustix::stdio::stdout())?;
        rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
        Ok(Self { stdout })
    }
}

impl Drop for StdoutAside {
    fn drop(&mut self) {
        // The rest of the buffer still belongs to the library. Errors cannot be returned from here;
        // a broken standard output shows itself with the next result.
        let _ = io::stdout().flush();
        let _ = rustix::stdio::dup2_stdout(&self.stdout);
    }
}
