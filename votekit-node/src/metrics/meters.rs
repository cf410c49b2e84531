//! The recorder of the metrics: the handle, the name and the description of each.

use std::sync::LazyLock;

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder as _, SharedString,
    Unit,
};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

pub(super) static RECORDER: LazyLock<PrometheusRecorder> = LazyLock::new(build_recorder);
pub(super) static HANDLE: LazyLock<PrometheusHandle> = LazyLock::new(|| RECORDER.handle());
pub(super) static METERS: LazyLock<Meters> = LazyLock::new(|| Meters::register(&RECORDER));

/// The handles of all pushed metrics.
pub(super) struct Meters {
    pub(super) submitted: Counter,
    pub(super) accepted: Counter,
    pub(super) duplicate: Counter,
    pub(super) invalid: Counter,
    pub(super) duplicate_attempts: Counter,
    pub(super) per_second: Gauge,
    pub(super) validation_latency: Histogram,
    pub(super) batches_marked: Counter,
    pub(super) batches_forwarded: Counter,
    pub(super) batches_staged: Counter,
    pub(super) batches_staged_directly: Counter,
    pub(super) batches_refused: Counter,
    pub(super) commits_open: Gauge,
    pub(super) blocks: Counter,
    pub(super) leaves: Counter,
    pub(super) sealing: Histogram,
    pub(super) connections: Gauge,
    pub(super) leading: Gauge,
    pub(super) connections_refused: Counter,
    pub(super) connections_dismissed: Counter,
    pub(super) connections_yielded: Counter,
    pub(super) wrong_codes: [Counter; WRONG_BANDS.len()],
    pub(super) sign_ins_accepted: Counter,
    pub(super) sign_ins_refused: Counter,
    pub(super) sign_ins_back_off: Counter,
    pub(super) sign_ins_address_share: Counter,
    pub(super) sign_ins_busy: Counter,
    pub(super) reads_refused: Counter,
    pub(super) readers_events: Gauge,
    pub(super) readers_socket: Gauge,
    pub(super) readers_slow: Counter,
    pub(super) readers_silent: Counter,
    pub(super) readers_refused: Counter,
    pub(super) fan_out: Histogram,
    pub(super) refused_back_off: Counter,
    pub(super) refused_address_share: Counter,
    pub(super) refused_rate: Counter,
    pub(super) refused_not_recognised: Counter,
    pub(super) refused_duplicates: Counter,
    pub(super) snapshots_written: Counter,
    pub(super) snapshots_refused: Counter,
    pub(super) rounds_certified: Counter,
    pub(super) proposals_refused: Counter,
    pub(super) applied_despite_guard: Counter,
    pub(super) round_rows_refused: Counter,
    pub(super) witness_cosigned: Counter,
    pub(super) witness_failed: Counter,
    pub(super) scrubbed: Counter,
    pub(super) log_lines_dropped: Counter,
    pub(super) writes_failed: Counter,
    pub(super) calls_retried: Counter,
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

/// Bands of the number of a wrong code: the lowest of each, and its label.
pub(super) const WRONG_BANDS: [(u32, &str); 4] = [(21, "21+"), (6, "6-20"), (2, "2-5"), (0, "1")];

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

pub(super) fn register_gauge(
    recorder: &PrometheusRecorder,
    name: &'static str,
    labels: Vec<Label>,
) -> Gauge {
    recorder.register_gauge(&Key::from_parts(name, labels), &METADATA)
}

pub(super) fn register_histogram(
    recorder: &PrometheusRecorder,
    name: &'static str,
    labels: Vec<Label>,
) -> Histogram {
    recorder.register_histogram(&Key::from_parts(name, labels), &METADATA)
}
