//! The metrics of the node, as Prometheus text.
//!
//! Long because each metric is listed three times: its call, its handle, its description.
//!
//! Intake, validation and sealing call the functions here once per batch, never once per vote.
//! Their handles are made once, so a call is a few atomic operations and allocates nothing. Values
//! that can be read from the node at a scrape (queue depth, heights, published counts) are not
//! pushed here: `exposition.rs` of votekit-http reads them.
//!
//! The recorder is separate from the global one of the `metrics` crate, which is left to the
//! program that embeds the node.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder as _, SharedString,
    Unit,
};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use votekit_core::id::ElectionId;

/// The decision on a vote: the `status` label of `votes_validated_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The vote counts.
    Accepted,
    /// The credential has voted before.
    Duplicate,
    /// The vote does not count: unknown, revoked, early or late.
    Invalid,
}

/// Counts `n` votes made durable and answered 202. Once per batch.
pub fn submitted(n: u64) {
    METERS.submitted.increment(n);
    SUBMITTED.fetch_add(n, Ordering::Relaxed);
}

/// Counts `n` votes with this decision. Duplicates are counted in `duplicate_attempts_total` too.
/// Once per batch and status.
pub fn validated(status: Status, n: u64) {
    match status {
        Status::Accepted => METERS.accepted.increment(n),
        Status::Duplicate => {
            METERS.duplicate.increment(n);
            METERS.duplicate_attempts.increment(n);
        }
        Status::Invalid => METERS.invalid.increment(n),
    }
}

/// Records that `n` votes waited this long from their stamp on arrival to their decision. Once per
/// batch, with the wait of its oldest envelope.
pub fn validation_latency(latency: Duration, n: usize) {
    METERS.validation_latency.record_many(latency.as_secs_f64(), n);
}

/// Records a block of `leaves` leaves, and the time to decide, sign and commit it.
pub fn sealed(leaves: u64, elapsed: Duration) {
    METERS.blocks.increment(1);
    METERS.leaves.increment(leaves);
    METERS.sealing.record(elapsed.as_secs_f64());
}

/// A step that a batch has completed: the `step` label of `batches_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The registry marked its credentials.
    Marked,
    /// The ballot box confirmed that it forwards it to staging.
    Forwarded,
    /// The ledger stored it for the sealer.
    Staged,
    /// This node published it, the ballot box took too long, and the node stored it in the ledger.
    StagedDirectly,
    /// It is not forwarded: it is not by the node that it names, or another batch has its number.
    /// An alarm in the log gives details.
    Refused,
}

/// Counts a step of a batch in this process.
pub fn batch(step: Step) {
    let counter = match step {
        Step::Marked => &METERS.batches_marked,
        Step::Forwarded => &METERS.batches_forwarded,
        Step::Staged => &METERS.batches_staged,
        Step::StagedDirectly => &METERS.batches_staged_directly,
        Step::Refused => &METERS.batches_refused,
    };
    counter.increment(1);
}

/// A commit in flight, counted until this is dropped.
pub struct OpenCommit(());

impl OpenCommit {
    /// Counts one more, until dropped.
    pub fn count() -> Self {
        METERS.commits_open.increment(1.0);
        Self(())
    }
}

impl Drop for OpenCommit {
    fn drop(&mut self) {
        METERS.commits_open.decrement(1.0);
    }
}

/// Why a vote was refused before it was stored: the `reason` label of `votes_refused_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its pair of prefix and NAS is in back-off.
    BackOff,
    /// Its address exceeds its share.
    AddressShare,
    /// More votes per second than this node takes.
    Rate,
    /// No roll contains its credential, and the budget for such votes is used up.
    NotRecognised,
    /// Its credential was used, and its duplicates arrive faster than they are stored.
    Duplicates,
}

/// Counts a vote that was answered 429 and not stored.
pub fn vote_refused(reason: Refusal) {
    let meters = &*METERS;
    let counter = match reason {
        Refusal::BackOff => &meters.refused_back_off,
        Refusal::AddressShare => &meters.refused_address_share,
        Refusal::Rate => &meters.refused_rate,
        Refusal::NotRecognised => &meters.refused_not_recognised,
        Refusal::Duplicates => &meters.refused_duplicates,
    };
    counter.increment(1);
}

/// Counts a vote with a wrong code, which is the wrong code of this number for its NAS, as far as
/// is remembered.
pub fn wrong_code(number: u32) {
    let band = WRONG_BANDS.iter().position(|(from, _)| number >= *from).unwrap_or(0);
    METERS.wrong_codes[band].increment(1);
}

/// Bands of that number: the lowest of each, and its label.
const WRONG_BANDS: [(u32, &str); 4] = [(21, "21+"), (6, "6-20"), (2, "2-5"), (0, "1")];

/// The outcome of an attempt to sign in with an account: a label of `sign_ins_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// It succeeded.
    Accepted,
    /// An unknown or disabled account, a wrong password or a wrong code.
    Refused,
    /// Its pair of prefix and e-mail address is in back-off.
    BackOff,
    /// Its address exceeds its share.
    AddressShare,
    /// Too many passwords are waiting to be checked.
    Busy,
}

/// Counts an attempt to sign in with an account.
pub fn sign_in(outcome: SignIn) {
    let meters = &*METERS;
    let counter = match outcome {
        SignIn::Accepted => &meters.sign_ins_accepted,
        SignIn::Refused => &meters.sign_ins_refused,
        SignIn::BackOff => &meters.sign_ins_back_off,
        SignIn::AddressShare => &meters.sign_ins_address_share,
        SignIn::Busy => &meters.sign_ins_busy,
    };
    counter.increment(1);
}

/// Counts a read request over the share of its address.
pub fn read_refused() {
    METERS.reads_refused.increment(1);
}

/// Counts a connection over the share of its address, closed at once.
pub fn connection_refused() {
    METERS.connections_refused.increment(1);
}

/// Counts an idle connection closed in favour of a new one.
pub fn connection_dismissed() {
    METERS.connections_dismissed.increment(1);
}

/// Counts an answered connection closed in favour of a new one.
pub fn connection_yielded() {
    METERS.connections_yielded.increment(1);
}

/// Counts a head that was pushed to an outside witness, by whether it was cosigned.
pub fn witness_request(is_cosigned: bool) {
    let meters = &*METERS;
    let counter = if is_cosigned { &meters.witness_cosigned } else { &meters.witness_failed };
    counter.increment(1);
}

/// Sets how many leaves of a log an outside witness has not cosigned yet.
pub(crate) fn witness_behind(witness: &str, law_id: &ElectionId, leaves: u64) {
    let labels = vec![
        Label::new("witness", witness.to_owned()),
        Label::new("law_id", law_id.as_str().to_owned()),
    ];
    register_gauge(&RECORDER, "witness_behind_leaves", labels).set(leaves as f64);
}

/// Counts a written snapshot.
pub fn snapshot_written() {
    METERS.snapshots_written.increment(1);
}

/// Counts a snapshot that was found and not used: it is damaged, or contradicts the ledger.
pub fn snapshot_refused() {
    METERS.snapshots_refused.increment(1);
}

/// Counts a block that a quorum of the authorities has certified.
pub fn round_certified() {
    METERS.rounds_certified.increment(1);
}

/// Counts a proposed block that this authority refused.
pub fn proposal_refused() {
    METERS.proposals_refused.increment(1);
}

/// Counts a certified block that this authority applied although one of its guards forbids it.
pub fn applied_despite_guard() {
    METERS.applied_despite_guard.increment(1);
}

/// Counts a row of a round that differs from the statement that its authority signed.
pub fn round_row_refused() {
    METERS.round_rows_refused.increment(1);
}

/// Counts leaves read again after the start.
pub fn scrubbed(leaves: u64) {
    METERS.scrubbed.increment(leaves);
}

/// Counts a log line that could not be written.
pub fn log_line_dropped() {
    METERS.log_lines_dropped.increment(1);
}

/// Sets whether this node leads, that is, seals.
pub fn leading(leads: bool) {
    METERS.leading.set(if leads { 1.0 } else { 0.0 });
}

/// An open connection, counted until this is dropped.
#[derive(Debug)]
pub struct OpenConnection(());

impl OpenConnection {
    /// Counts one more, until dropped.
    pub fn count() -> Self {
        METERS.connections.increment(1.0);
        Self(())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        METERS.connections.decrement(1.0);
    }
}

/// How a reader of live updates is connected: the `kind` label of `live_readers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReaderKind {
    /// Server-Sent Events.
    Events,
    /// A WebSocket.
    Socket,
}

impl ReaderKind {
    fn gauge(self) -> &'static Gauge {
        match self {
            Self::Events => &METERS.readers_events,
            Self::Socket => &METERS.readers_socket,
        }
    }
}

/// A reader of live updates, counted until this is dropped.
#[derive(Debug)]
pub struct LiveReader(ReaderKind);

impl LiveReader {
    /// Counts one more, until dropped.
    #[must_use]
    pub fn count(kind: ReaderKind) -> Self {
        kind.gauge().increment(1.0);
        Self(kind)
    }
}

impl Drop for LiveReader {
    fn drop(&mut self) {
        self.0.gauge().decrement(1.0);
    }
}

/// Why the node closed the stream of a reader: the `reason` label of `live_readers_dropped_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReaderDrop {
    /// It did not read as fast as the numbers changed.
    Slow,
    /// Nothing arrived from it, not even the answer to a ping.
    Silent,
    /// It sent an invalid message, or too much.
    Refused,
}

/// Counts a reader whose stream the node closed.
pub fn live_reader_dropped(reason: ReaderDrop) {
    let counter = match reason {
        ReaderDrop::Slow => &METERS.readers_slow,
        ReaderDrop::Silent => &METERS.readers_silent,
        ReaderDrop::Refused => &METERS.readers_refused,
    };
    counter.increment(1);
}

/// Records the time from a committed block to the fan-out of its numbers. Once per fan-out, with
/// the time of its oldest block.
pub fn live_fan_out(delay: Duration) {
    METERS.fan_out.record(delay.as_secs_f64());
}

/// The durations of one route's requests by method and status. Made once per route, when the router
/// is built.
pub struct RouteMeter {
    route: &'static str,
    histograms: [[std::sync::OnceLock<Histogram>; STATUSES.len()]; METHODS.len()],
}

/// The methods that routes accept; any other, and so every 405, counts under the last.
const METHODS: [&str; 3] = ["GET", "POST", "other"];

/// The statuses that the node answers; any other counts under the last.
const STATUSES: [u16; 20] = [
    101, 200, 201, 202, 400, 401, 403, 404, 405, 408, 409, 413, 415, 421, 422, 426, 429, 500, 503,
    0,
];

impl RouteMeter {
    /// A meter for the route of this pattern.
    pub fn new(route: &'static str) -> Self {
        Self { route, histograms: Default::default() }
    }

    /// Records an answered request.
    pub fn answered(&self, method: &str, status: u16, elapsed: Duration) {
        let method = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1);
        let status =
            STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len() - 1);
        let histogram = self.histograms[method][status].get_or_init(|| {
            let labels = vec![
                Label::from_static_parts("route", self.route),
                Label::from_static_parts("method", METHODS[method]),
                Label::new("status", STATUSES[status].to_string()),
            ];
            register_histogram(&RECORDER, "api_request_duration_seconds", labels)
        });
        histogram.record(elapsed.as_secs_f64());
    }
}

/// A gauge read from the node at each scrape: its name, its labels, its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The name, which is described below.
    pub name: &'static str,
    /// Labels and their values.
    pub labels: Vec<(&'static str, String)>,
    /// The value now.
    pub value: f64,
}

/// Sets gauges to the values just read.
pub fn read(readings: &[Reading]) {
    for reading in readings {
        let labels: Vec<_> =
            reading.labels.iter().map(|(name, value)| Label::new(*name, value.clone())).collect();
        register_gauge(&RECORDER, reading.name, labels).set(reading.value);
    }
}

/// Renders all metrics in the Prometheus text format 0.0.4.
pub fn render() -> String {
    METERS.writes_failed.absolute(votekit_store::failed_writes());
    METERS.calls_retried.absolute(votekit_store::retry::retried_calls());
    HANDLE.render()
}

/// Keeps the memory of histograms bounded and updates `votes_per_second`. Called every few seconds
/// while a node serves.
pub fn upkeep(rate: &mut RateWindow, now: Instant) {
    HANDLE.run_upkeep();
    if let Some(votes_per_second) = rate.advance(SUBMITTED.load(Ordering::Relaxed), now) {
        METERS.per_second.set(votes_per_second);
    }
}

/// The rate of a growing count between two readings of it.
#[derive(Debug)]
pub struct RateWindow {
    count: u64,
    since: Instant,
}

impl RateWindow {
    /// Starts at the present count.
    pub fn new(now: Instant) -> Self {
        Self { count: SUBMITTED.load(Ordering::Relaxed), since: now }
    }

    /// The rate per second since the last reading; `None` when no time has passed.
    fn advance(&mut self, count: u64, now: Instant) -> Option<f64> {
        let elapsed_s = now.saturating_duration_since(self.since).as_secs_f64();
        if elapsed_s <= 0.0 {
            return None;
        }
        let rate = count.saturating_sub(self.count) as f64 / elapsed_s;
        *self = Self { count, since: now };
        Some(rate)
    }
}

static RECORDER: LazyLock<PrometheusRecorder> = LazyLock::new(build_recorder);
static HANDLE: LazyLock<PrometheusHandle> = LazyLock::new(|| RECORDER.handle());
static METERS: LazyLock<Meters> = LazyLock::new(|| Meters::register(&RECORDER));
/// A copy of the counter of the same name, which cannot be read back.
static SUBMITTED: AtomicU64 = AtomicU64::new(0);

/// The handles of all pushed metrics.
struct Meters {
    submitted: Counter,
    accepted: Counter,
    duplicate: Counter,
    invalid: Counter,
    duplicate_attempts: Counter,
    per_second: Gauge,
    validation_latency: Histogram,
    batches_marked: Counter,
    batches_forwarded: Counter,
    batches_staged: Counter,
    batches_staged_directly: Counter,
    batches_refused: Counter,
    commits_open: Gauge,
    blocks: Counter,
    leaves: Counter,
    sealing: Histogram,
    connections: Gauge,
    leading: Gauge,
    connections_refused: Counter,
    connections_dismissed: Counter,
    connections_yielded: Counter,
    wrong_codes: [Counter; WRONG_BANDS.len()],
    sign_ins_accepted: Counter,
    sign_ins_refused: Counter,
    sign_ins_back_off: Counter,
    sign_ins_address_share: Counter,
    sign_ins_busy: Counter,
    reads_refused: Counter,
    readers_events: Gauge,
    readers_socket: Gauge,
    readers_slow: Counter,
    readers_silent: Counter,
    readers_refused: Counter,
    fan_out: Histogram,
    refused_back_off: Counter,
    refused_address_share: Counter,
    refused_rate: Counter,
    refused_not_recognised: Counter,
    refused_duplicates: Counter,
    snapshots_written: Counter,
    snapshots_refused: Counter,
    rounds_certified: Counter,
    proposals_refused: Counter,
    applied_despite_guard: Counter,
    round_rows_refused: Counter,
    witness_cosigned: Counter,
    witness_failed: Counter,
    scrubbed: Counter,
    log_lines_dropped: Counter,
    writes_failed: Counter,
    calls_retried: Counter,
}

impl Meters {
    fn register(recorder: &PrometheusRecorder) -> Self {
        let validated = |status| {
            register_counter(
                recorder,
                "votes_validated_total",
                vec![Label::from_static_parts("status", status)],
            )
        };
        let refused = |reason| {
            register_counter(
                recorder,
                "votes_refused_total",
                vec![Label::from_static_parts("reason", reason)],
            )
        };
        let readers = |kind| {
            register_gauge(recorder, "live_readers", vec![Label::from_static_parts("kind", kind)])
        };
        let dropped = |reason| {
            register_counter(
                recorder,
                "live_readers_dropped_total",
                vec![Label::from_static_parts("reason", reason)],
            )
        };
        let sign_ins = |outcome| {
            register_counter(
                recorder,
                "sign_ins_total",
                vec![Label::from_static_parts("outcome", outcome)],
            )
        };
        let witnesses = |outcome| {
            register_counter(
                recorder,
                "witness_requests_total",
                vec![Label::from_static_parts("outcome", outcome)],
            )
        };
        let batches = |step| {
            register_counter(
                recorder,
                "batches_total",
                vec![Label::from_static_parts("step", step)],
            )
        };
        Self {
            submitted: register_counter(recorder, "votes_submitted_total", Vec::new()),
            accepted: validated("accepted"),
            duplicate: validated("duplicate"),
            invalid: validated("invalid"),
            duplicate_attempts: register_counter(recorder, "duplicate_attempts_total", Vec::new()),
            per_second: register_gauge(recorder, "votes_per_second", Vec::new()),
            validation_latency: register_histogram(
                recorder,
                "validation_latency_seconds",
                Vec::new(),
            ),
            batches_marked: batches("marked"),
            batches_forwarded: batches("forwarded"),
            batches_staged: batches("staged"),
            batches_staged_directly: batches("staged_directly"),
            batches_refused: batches("refused"),
            commits_open: register_gauge(recorder, "commits_open", Vec::new()),
            blocks: register_counter(recorder, "blocks_sealed_total", Vec::new()),
            leaves: register_counter(recorder, "leaves_sealed_total", Vec::new()),
            sealing: register_histogram(recorder, "sealing_duration_seconds", Vec::new()),
            connections: register_gauge(recorder, "http_connections", Vec::new()),
            leading: register_gauge(recorder, "node_leading", Vec::new()),
            connections_refused: register_counter(
                recorder,
                "http_connections_refused_total",
                Vec::new(),
            ),
            connections_dismissed: register_counter(
                recorder,
                "http_connections_dismissed_total",
                Vec::new(),
            ),
            connections_yielded: register_counter(
                recorder,
                "http_connections_yielded_total",
                Vec::new(),
            ),
            wrong_codes: WRONG_BANDS.map(|(_, band)| {
                let label = Label::from_static_parts("of_nas", band);
                register_counter(recorder, "wrong_codes_total", vec![label])
            }),
            sign_ins_accepted: sign_ins("accepted"),
            sign_ins_refused: sign_ins("refused"),
            sign_ins_back_off: sign_ins("back-off"),
            sign_ins_address_share: sign_ins("address-share"),
            sign_ins_busy: sign_ins("busy"),
            reads_refused: register_counter(recorder, "reads_refused_total", Vec::new()),
            readers_events: readers("events"),
            readers_socket: readers("websocket"),
            readers_slow: dropped("slow"),
            readers_silent: dropped("silent"),
            readers_refused: dropped("refused"),
            fan_out: register_histogram(recorder, "live_fan_out_seconds", Vec::new()),
            refused_back_off: refused("back-off"),
            refused_address_share: refused("address-share"),
            refused_rate: refused("rate"),
            refused_not_recognised: refused("not-recognised"),
            refused_duplicates: refused("duplicates"),
            snapshots_written: register_counter(recorder, "snapshots_written_total", Vec::new()),
            snapshots_refused: register_counter(recorder, "snapshots_refused_total", Vec::new()),
            rounds_certified: register_counter(recorder, "rounds_certified_total", Vec::new()),
            proposals_refused: register_counter(recorder, "proposals_refused_total", Vec::new()),
            applied_despite_guard: register_counter(
                recorder,
                "blocks_applied_despite_guard_total",
                Vec::new(),
            ),
            round_rows_refused: register_counter(recorder, "round_rows_refused_total", Vec::new()),
            witness_cosigned: witnesses("cosigned"),
            witness_failed: witnesses("failed"),
            scrubbed: register_counter(recorder, "leaves_scrubbed_total", Vec::new()),
            log_lines_dropped: register_counter(recorder, "log_lines_dropped_total", Vec::new()),
            writes_failed: register_counter(recorder, "ledger_writes_failed_total", Vec::new()),
            calls_retried: register_counter(recorder, "engine_calls_retried_total", Vec::new()),
        }
    }
}

/// Upper bounds of the buckets, in seconds: fine where the targets lie (milliseconds), coarse up to
/// the longest wait.
const DURATION_BUCKETS_S: [f64; 14] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

fn build_recorder() -> PrometheusRecorder {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATION_BUCKETS_S)
        .expect("the bounds are not empty");
    let recorder = builder.build_recorder();
    describe(&recorder);
    recorder
}

fn describe(recorder: &PrometheusRecorder) {
    let name = KeyName::from_const_str;
    let text = SharedString::const_str;
    recorder.describe_counter(
        name("votes_submitted_total"),
        None,
        text("Votes made durable and answered 202."),
    );
    recorder.describe_counter(
        name("votes_validated_total"),
        None,
        text("Votes decided, by status."),
    );
    recorder.describe_counter(
        name("duplicate_attempts_total"),
        None,
        text("Votes with a credential that had voted before."),
    );
    recorder.describe_gauge(
        name("votes_per_second"),
        None,
        text("Votes made durable a second, over the last few seconds."),
    );
    let latency = text("From a vote's arrival to its decision.");
    recorder.describe_histogram(name("validation_latency_seconds"), Some(Unit::Seconds), latency);
    let duration = text("From the head of a request to its answer.");
    recorder.describe_histogram(
        name("api_request_duration_seconds"),
        Some(Unit::Seconds),
        duration,
    );
    recorder.describe_counter(
        name("batches_total"),
        None,
        text("Batches by the step that this node did for them."),
    );
    recorder.describe_gauge(
        name("commits_open"),
        None,
        text("Commits whose answer from the ledger this node waits for."),
    );
    recorder.describe_counter(
        name("blocks_sealed_total"),
        None,
        text("Blocks committed by this node."),
    );
    recorder.describe_counter(
        name("leaves_sealed_total"),
        None,
        text("Leaves in the blocks committed by this node."),
    );
    let sealing = text("From the first decision of a block to its commit.");
    recorder.describe_histogram(name("sealing_duration_seconds"), Some(Unit::Seconds), sealing);
    recorder.describe_gauge(
        name("node_leading"),
        None,
        text("1 while this node leads: it seals. 0 while another does."),
    );
    recorder.describe_gauge(
        name("http_connections"),
        None,
        text("Connections open now, on all listeners."),
    );
    let refused = text("Connections over the share of their address, closed at once.");
    recorder.describe_counter(name("http_connections_refused_total"), None, refused);
    let dismissed = text("Idle connections closed to make room for new ones.");
    recorder.describe_counter(name("http_connections_dismissed_total"), None, dismissed);
    let yielded = text("Answered connections closed to make room for new ones.");
    recorder.describe_counter(name("http_connections_yielded_total"), None, yielded);
    let wrong = text("Votes with a wrong code, by the number of wrong codes of their NAS so far.");
    recorder.describe_counter(name("wrong_codes_total"), None, wrong);
    let sign_ins = text("Attempts to sign in with an account, by outcome.");
    recorder.describe_counter(name("sign_ins_total"), None, sign_ins);
    let reads = text("Requests to read answered 429 for the share of their address.");
    recorder.describe_counter(name("reads_refused_total"), None, reads);
    recorder.describe_gauge(
        name("live_readers"),
        None,
        text("Readers of live updates connected now."),
    );
    let dropped = text("Readers of live updates whose stream the node closed, by reason.");
    recorder.describe_counter(name("live_readers_dropped_total"), None, dropped);
    let fan_out = text("From a committed block to the fan-out of its numbers.");
    recorder.describe_histogram(name("live_fan_out_seconds"), Some(Unit::Seconds), fan_out);
    recorder.describe_gauge(
        name("throttle_pairs"),
        None,
        text("Pairs of address prefix and NAS with wrong codes that are remembered."),
    );
    let votes_refused = text(
        "Votes answered 429 for their rate, their address or their credential; nothing was stored.",
    );
    recorder.describe_counter(name("votes_refused_total"), None, votes_refused);
    recorder.describe_counter(
        name("snapshots_written_total"),
        None,
        text("Snapshots written by this node."),
    );
    let refused = text("Snapshots that were found at the start and not used.");
    recorder.describe_counter(name("snapshots_refused_total"), None, refused);
    let certified = text("Blocks that were proposed here and certified by a quorum.");
    recorder.describe_counter(name("rounds_certified_total"), None, certified);
    let refused = text("Proposed blocks that this authority refused.");
    recorder.describe_counter(name("proposals_refused_total"), None, refused);
    let applied = text("Certified blocks that a guard of this authority forbids.");
    recorder.describe_counter(name("blocks_applied_despite_guard_total"), None, applied);
    let refused = text("Rows of rounds that are not what their authority signed.");
    recorder.describe_counter(name("round_rows_refused_total"), None, refused);
    let pushed = text("Heads pushed to outside witnesses, by what became of them.");
    recorder.describe_counter(name("witness_requests_total"), None, pushed);
    let behind = text("Leaves of a log that an outside witness has not cosigned yet.");
    recorder.describe_gauge(name("witness_behind_leaves"), None, behind);
    recorder.describe_counter(
        name("leaves_scrubbed_total"),
        None,
        text("Leaves read again after the start."),
    );
    recorder.describe_counter(
        name("log_lines_dropped_total"),
        None,
        text("Log lines that could not be written."),
    );
    recorder.describe_counter(
        name("ledger_writes_failed_total"),
        None,
        text("Groups of writes that the embedded ledger did not store."),
    );
    recorder.describe_counter(
        name("engine_calls_retried_total"),
        None,
        text("Calls repeated because an engine was not available."),
    );
    let healthy = text("1 while /api/v1/health answers 200; 0 while it answers 503.");
    recorder.describe_gauge(name("node_healthy"), None, healthy);
    let halted = text("Elections that a fault halted on this node.");
    recorder.describe_gauge(name("elections_halted"), None, halted);
    let behind = text("How far this machine's clock is behind a time that it issued or read.");
    recorder.describe_gauge(name("clock_behind_seconds"), Some(Unit::Seconds), behind);
    let offset = text("By how much this machine's clock is ahead of the ledger's.");
    recorder.describe_gauge(name("clock_offset_seconds"), Some(Unit::Seconds), offset);
    describe_authorities(recorder);
    let free = text("Bytes free for this process in the file system of the data folder.");
    recorder.describe_gauge(name("data_free_bytes"), Some(Unit::Bytes), free);
    let size = text("Size of the file system of the data folder.");
    recorder.describe_gauge(name("data_size_bytes"), Some(Unit::Bytes), size);
    let by_law = text("Accepted votes by choice, where the results policy publishes them now.");
    recorder.describe_gauge(name("votes_by_law"), None, by_law);
    recorder.describe_gauge(name("queue_depth"), None, text("Votes that wait to become durable."));
    recorder.describe_gauge(
        name("votes_pending"),
        None,
        text("Votes issued by this node and not yet decided."),
    );
    recorder.describe_gauge(name("block_height"), None, text("Height of the last block."));
    recorder.describe_gauge(name("log_size"), None, text("Leaves in the log."));
    let age = text("Time since the last block was sealed.");
    recorder.describe_gauge(name("checkpoint_age_seconds"), Some(Unit::Seconds), age);
}

/// Describes the metrics from the statuses of several authorities.
fn describe_authorities(recorder: &PrometheusRecorder) {
    let name = KeyName::from_const_str;
    let text = SharedString::const_str;
    let up = text("1 while the authority reports; 0 once it has not for 15 seconds.");
    recorder.describe_gauge(name("authority_up"), None, up);
    let offset = text("By how much an authority's clock is ahead of the ledger's, by its report.");
    recorder.describe_gauge(name("authority_clock_offset_seconds"), Some(Unit::Seconds), offset);
    let halted = text("Elections that a fault halted on an authority, by its report.");
    recorder.describe_gauge(name("authority_elections_halted"), None, halted);
}

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

fn register_counter(
    recorder: &PrometheusRecorder,
    name: &'static str,
    labels: Vec<Label>,
) -> Counter {
    recorder.register_counter(&Key::from_parts(name, labels), &METADATA)
}

fn register_gauge(recorder: &PrometheusRecorder, name: &'static str, labels: Vec<Label>) -> Gauge {
    recorder.register_gauge(&Key::from_parts(name, labels), &METADATA)
}

fn register_histogram(
    recorder: &PrometheusRecorder,
    name: &'static str,
    labels: Vec<Label>,
) -> Histogram {
    recorder.register_histogram(&Key::from_parts(name, labels), &METADATA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_pushed_is_rendered_under_its_name() {
        submitted(3);
        validated(Status::Accepted, 1);
        validated(Status::Duplicate, 1);
        validated(Status::Invalid, 1);
        validation_latency(Duration::from_millis(3), 3);
        sealed(7, Duration::from_millis(2));
        vote_refused(Refusal::NotRecognised);
        wrong_code(21);
        sign_in(SignIn::BackOff);
        witness_request(true);
        witness_behind("w1", &"L1".parse().expect("a law id"), 7);
        batch(Step::Staged);
        batch(Step::StagedDirectly);
        let _commit = OpenCommit::count();
        let _reader = LiveReader::count(ReaderKind::Socket);
        live_reader_dropped(ReaderDrop::Slow);
        live_fan_out(Duration::from_millis(2));
        RouteMeter::new("/api/v1/vote").answered("POST", 202, Duration::from_millis(1));
        read(&[Reading {
            name: "votes_by_law",
            labels: vec![("law_id", "L1".to_owned()), ("choice", "oui".to_owned())],
            value: 2.0,
        }]);
        let text = render();
        for line in [
            "# TYPE votes_submitted_total counter",
            "votes_validated_total{status=\"accepted\"}",
            "duplicate_attempts_total ",
            "# TYPE votes_per_second gauge",
            "validation_latency_seconds_bucket{le=\"0.005\"}",
            "sealing_duration_seconds_count ",
            "votes_refused_total{reason=\"not-recognised\"}",
            "wrong_codes_total{of_nas=\"21+\"} ",
            "sign_ins_total{outcome=\"back-off\"} ",
            "witness_requests_total{outcome=\"cosigned\"} ",
            "witness_behind_leaves{witness=\"w1\",law_id=\"L1\"} 7",
            "batches_total{step=\"staged\"} ",
            "batches_total{step=\"staged_directly\"} ",
            "# TYPE commits_open gauge",
            "live_readers{kind=\"websocket\"} ",
            "live_readers_dropped_total{reason=\"slow\"} ",
            "live_fan_out_seconds_bucket{le=\"0.0025\"}",
            "api_request_duration_seconds_bucket{route=\"/api/v1/vote\",method=\"POST\",status=\"202\",le=\"0.001\"}",
            "votes_by_law{law_id=\"L1\",choice=\"oui\"} 2",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_rate_is_the_difference_over_the_time() {
        let start = Instant::now();
        let mut window = RateWindow { count: 10, since: start };
        assert_eq!(window.advance(10, start), None);
        assert_eq!(window.advance(30, start + Duration::from_secs(2)), Some(10.0));
        assert_eq!(window.advance(30, start + Duration::from_secs(3)), Some(0.0));
    }
}
