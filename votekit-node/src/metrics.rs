//! The metrics of the node, as Prometheus text.
//!
//! Intake, validation and sealing call the functions here once per batch, never once per vote.
//! Their handles are made once, so a call is a few atomic operations and allocates nothing. Values
//! that can be read from the node at a scrape (queue depth, heights, published counts) are not
//! pushed here: `exposition.rs` of votekit-http reads them.
//!
//! The recorder is separate from the global one of the `metrics` crate, which is left to the
//! program that embeds the node.

mod meters;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use metrics::{Gauge, Histogram, Label};
use votekit_core::id::ElectionId;

use self::meters::{HANDLE, METERS, RECORDER, WRONG_BANDS, register_gauge, register_histogram};

/// A copy of the counter `submitted`, which cannot be read back.
static SUBMITTED: AtomicU64 = AtomicU64::new(0);

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
    /// The name, which `meters` describes.
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
