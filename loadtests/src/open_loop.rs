//! The open loop: votes are sent at a given rate, and their latency counts from the intended send
//! time.
//!
//! A separate thread releases votes by the schedule; a fixed number of keep-alive connections sends
//! them, each one vote at a time. When the node stalls, released votes wait for a connection while
//! their latency grows. The generator's own cost and delay are also measured, so that a saturated
//! generator is not mistaken for a slow node.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use tokio::task::LocalSet;
use votekit_core::id::RequestId;

use crate::answer::VoteState;
use crate::ballot_mix::BallotMix;
use crate::decision_poll::{DecisionPoll, Followed};
use crate::error::LoadError;
use crate::hostile::{HostileRun, Target, is_loopback, loopback_address};
use crate::http_client::{Client, ClientOptions, ExchangeError, NodeAnswer, NodeUrl};
use crate::journal::{Journal, JournalLine, JournalOptions, idempotency_key};
use crate::live::LiveRun;
pub use crate::pacer::RunControl;
use crate::pacer::{Pacer, Pacing, Releases};
pub use crate::plan::OpenLoopPlan;
use crate::recorder::{self, Recorder, VoteEnd, VoteTimes};
use crate::report::{OpenLoopReport, RunFacts};
use crate::share::Share;
use crate::shuffle::{Stream, draw_below};
use crate::zeroed::SecretBuffer;

/// Runs `plan` with the votes of `mix` to its end, or until `control` stops it. Blocks; starts its
/// own threads.
///
/// # Errors
/// [`LoadError`] when the run cannot start (then nothing was sent), or when the journal could not
/// be written. Failed votes are not errors: the report counts them.
pub fn run_open_loop(
    plan: &OpenLoopPlan,
    mix: Arc<BallotMix>,
    control: Arc<RunControl>,
) -> Result<OpenLoopReport, LoadError> {
    plan.check(&mix)?;
    let addresses = plan.nodes.iter().map(NodeUrl::resolve).collect::<Result<Vec<_>, _>>()?;
    if plan.addresses > 0 && !addresses.iter().all(is_loopback) {
        let problem = "the node must be on this machine, at 127.0.0.1".to_owned();
        return Err(LoadError::Plan { option: "--addresses", problem });
    }
    plan.hostile.check(&plan.nodes, &addresses)?;
    plan.live.check(&plan.nodes[0], &addresses[0])?;
    check_reachable(plan, &addresses)?;
    raise_file_descriptor_limit();
    let journal = plan
        .journal
        .clone()
        .map(|path| Journal::start(Arc::clone(&mix), journal_options(plan, path)))
        .transpose()?;

    let live = start_readers(plan, &mix, addresses[0])?;
    let started_at_ms =
        std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_millis() as u64);
    let releases = Arc::new(Releases::new(plan.schedule.total()));
    let cpu_before = process_cpu_time();
    // Threads connect before the clock starts.
    let start = Instant::now() + Duration::from_millis(100);
    let hostile =
        HostileRun::start(plan.hostile, &targets(plan, &addresses), &mix, &control, start)?;
    let carriers =
        spawn_carriers(plan, &mix, &control, &releases, &addresses, journal.as_ref(), start)?;
    let pacer = Pacer {
        schedule: plan.schedule,
        start,
        releases,
        control: Arc::clone(&control),
        watermark: journal.as_ref().map(Journal::watermark),
        takers: plan.connections,
    };
    let pacer = spawn("pacer", move || {
        std::thread::sleep(start.saturating_duration_since(Instant::now()));
        pacer.run()
    })?;

    let pacing: Pacing = join(pacer)?;
    let mut recorder = Recorder::default();
    for carrier in carriers {
        recorder.merge(join(carrier)??);
    }
    let wall = start.elapsed();
    let hostile = hostile.finish(plan.hostile)?;
    let live = live.finish()?;
    let cpu = process_cpu_time().saturating_sub(cpu_before);
    if let Some(journal) = journal {
        journal.finish()?;
    }
    let facts = RunFacts {
        plan,
        mix: &mix,
        started_at_ms,
        wall,
        cpu,
        stopped: control.is_stopped(),
        hostile,
        live,
    };
    Ok(OpenLoopReport::new(&facts, recorder, &pacing))
}

/// The readers of the first law of the roll.
fn start_readers(
    plan: &OpenLoopPlan,
    mix: &BallotMix,
    address: std::net::SocketAddr,
) -> Result<LiveRun, LoadError> {
    match mix.laws().first() {
        Some(law_id) => LiveRun::start(&plan.live, &plan.nodes[0], address, law_id),
        None => Ok(LiveRun::default()),
    }
}

fn journal_options(plan: &OpenLoopPlan, path: PathBuf) -> JournalOptions {
    let rate = plan.schedule.rate();
    // Half a second of votes: a slow disk delays no vote, and a crash leaves few votes that were
    // written but not sent.
    let ahead = (rate.from.max(rate.to) / 2.0) as u64;
    JournalOptions {
        path,
        votes: plan.schedule.total(),
        ahead: ahead.clamp(64, 500_000),
        idempotency_keys: plan.idempotency_keys,
        nodes: plan.nodes.iter().map(ToString::to_string).collect(),
    }
}

/// The first of the honest voters' source addresses.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 2, 0, 1);

/// Reports a wrong address at once instead of as a million failed votes. One reachable node is
/// enough.
fn check_reachable(
    plan: &OpenLoopPlan,
    addresses: &[std::net::SocketAddr],
) -> Result<(), LoadError> {
    let mut last = None;
    for (node, address) in plan.nodes.iter().zip(addresses) {
        match std::net::TcpStream::connect_timeout(address, plan.timeout) {
            Ok(_) => return Ok(()),
            Err(error) => {
                last = Some(LoadError::Unreachable {
                    node: node.to_string(),
                    problem: error.to_string(),
                })
            }
        }
    }
    last.map_or(Ok(()), Err)
}

fn targets(plan: &OpenLoopPlan, addresses: &[std::net::SocketAddr]) -> Vec<Target> {
    let targets = plan.nodes.iter().zip(addresses);
    targets
        .map(|(node, address)| Target { address: *address, vote_head: node.vote_head() })
        .collect()
}

/// Thousands of connections need as many file descriptors. If the limit cannot be raised, failed
/// connections are counted.
fn raise_file_descriptor_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// Processor time of this process, user and system.
fn process_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, LoadError> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map_err(|error| LoadError::Thread { problem: error.to_string() })
}

fn join<T>(thread: JoinHandle<T>) -> Result<T, LoadError> {
    thread.join().map_err(|_| LoadError::Thread { problem: "one panicked".to_owned() })
}

type CarrierResult = Result<Recorder, LoadError>;

fn spawn_carriers(
    plan: &OpenLoopPlan,
    mix: &Arc<BallotMix>,
    control: &Arc<RunControl>,
    releases: &Arc<Releases>,
    addresses: &[std::net::SocketAddr],
    journal: Option<&Journal>,
    start: Instant,
) -> Result<Vec<JoinHandle<CarrierResult>>, LoadError> {
    (0..plan.threads)
        .map(|thread| {
            let carrier = Carrier {
                plan: plan.clone(),
                mix: Arc::clone(mix),
                control: Arc::clone(control),
                releases: Arc::clone(releases),
                addresses: addresses.to_vec(),
                notes: journal.map(Journal::notes),
                start,
            };
            spawn("carrier", move || carrier.run(thread))
        })
        .collect()
}

/// One thread and its connections.
struct Carrier {
    plan: OpenLoopPlan,
    mix: Arc<BallotMix>,
    control: Arc<RunControl>,
    releases: Arc<Releases>,
    addresses: Vec<std::net::SocketAddr>,
    notes: Option<Sender<JournalLine<'static>>>,
    start: Instant,
}

impl Carrier {
    /// Maximum number of samples that wait for the poller of one thread.
    const FOLLOWED_MAX: usize = 10_000;

    fn run(self, thread: usize) -> CarrierResult {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| LoadError::Thread { problem: error.to_string() })?;
        let tls = tls_client(self.plan.tls_ca_pem.as_deref())?;
        let recorder = Rc::new(RefCell::new(Recorder::default()));
        let local = LocalSet::new();
        let (follow, samples) = tokio::sync::mpsc::channel(Self::FOLLOWED_MAX);
        let poll = DecisionPoll {
            client: self.client(thread, &tls, None),
            samples,
            start: self.start,
            interval: self.plan.follow_interval,
            timeout: self.plan.follow_patience,
            control: Arc::clone(&self.control),
            recorder: Rc::clone(&recorder),
            notes: self.notes.clone(),
        };
        local.spawn_local(poll.run());
        let mine = (thread..self.plan.connections).step_by(self.plan.threads);
        let clients: Vec<Vec<Client>> =
            mine.map(|connection| self.clients(connection, &tls)).collect();
        let carrier = Rc::new(self);
        for clients in clients {
            let connection = Connection {
                carrier: Rc::clone(&carrier),
                recorder: Rc::clone(&recorder),
                follow: follow.clone(),
                clients,
                at: 0,
            };
            local.spawn_local(connection.run());
        }
        drop((follow, carrier));
        runtime.block_on(local);
        Ok(recorder.take())
    }

    /// The client of a connection's node, followed by clients of the other nodes, used when that
    /// node gives no answer.
    fn clients(&self, connection: usize, tls: &reqwest::Client) -> Vec<Client> {
        let nodes = if self.plan.retry { self.plan.nodes.len() } else { 1 };
        (0..nodes).map(|further| self.client(connection + further, tls, self.plan.wait_s)).collect()
    }

    fn client(&self, connection: usize, tls: &reqwest::Client, wait_s: Option<u32>) -> Client {
        let index = connection % self.plan.nodes.len();
        // With `Prefer: wait` the node may delay its answer by that long.
        let timeout = self.plan.timeout + Duration::from_secs(u64::from(wait_s.unwrap_or(0)));
        let source = loopback_address(FIRST_ADDRESS, self.plan.addresses, connection);
        Client::new(
            &self.plan.nodes[index],
            self.addresses[index],
            tls,
            ClientOptions { timeout, wait_s, source },
        )
    }
}

fn tls_client(ca_pem: Option<&[u8]>) -> Result<reqwest::Client, LoadError> {
    let refused =
        |error: reqwest::Error| LoadError::Plan { option: "--tls-ca", problem: error.to_string() };
    let mut builder =
        reqwest::Client::builder().http1_only().redirect(reqwest::redirect::Policy::none());
    if let Some(pem) = ca_pem {
        builder =
            builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem).map_err(refused)?);
    }
    builder.build().map_err(refused)
}

/// One connection: takes the next vote, sends it, waits for its end, records it, and repeats.
struct Connection {
    carrier: Rc<Carrier>,
    recorder: Rc<RefCell<Recorder>>,
    follow: tokio::sync::mpsc::Sender<Followed>,
    /// Not empty; with retries one client a node.
    clients: Vec<Client>,
    /// Index of the client in use.
    at: usize,
}

impl Connection {
    /// Pause between two sendings of a vote: short, so that voters are waiting when a node is up
    /// again, as on a polling day.
    const RETRY_INTERVAL: Duration = Duration::from_millis(50);

    async fn run(mut self) {
        // A failure recurs, and is counted, with the first vote.
        let _: Result<(), ExchangeError> = self.clients[self.at].connect().await;
        let carrier = Rc::clone(&self.carrier);
        let schedule = carrier.plan.schedule;
        let unsent_from = schedule.offset(schedule.total()) + carrier.plan.drain;
        let mut body = SecretBuffer::with_capacity(256);
        while let Some(sequence) = carrier.releases.take().await {
            // The plan was checked against the roll: every vote has a ballot.
            let Some(ballot) = carrier.mix.ballot(sequence) else { return };
            let intended = schedule.offset(sequence);
            let sent = carrier.start.elapsed();
            let end = if sent > unsent_from {
                VoteEnd::Unsent
            } else {
                body.clear();
                ballot.write_body(&mut body);
                let key = carrier
                    .plan
                    .idempotency_keys
                    .then(|| idempotency_key(carrier.mix.seed(), sequence));
                VoteEnd::Sent(self.send(sequence, &body, key.as_deref(), unsent_from).await)
            };
            let times = VoteTimes { intended, sent, ended: carrier.start.elapsed() };
            self.recorder.borrow_mut().record(ballot.kind, times, &end);
            self.note(sequence, times.ended, &end);
            if let Some(answer) = end.answer() {
                carrier.control.count_answer();
                if let (202, Some(id), Some(VoteState::Pending)) =
                    (answer.status, answer.request_id, answer.state)
                {
                    self.follow(sequence, id, times);
                }
                if recorder::taken(answer.status)
                    && self.draws(Stream::Resend, sequence, carrier.plan.resend)
                {
                    let key = idempotency_key(carrier.mix.seed(), sequence);
                    let again = VoteEnd::Sent(self.clients[self.at].vote(&body, Some(&key)).await);
                    self.note(sequence, carrier.start.elapsed(), &again);
                }
            }
        }
    }

    /// Sends a vote. With `retry`, repeats it on the nodes round-robin until the answer is final.
    /// Records all outcomes except the last.
    async fn send(
        &mut self,
        sequence: u64,
        body: &[u8],
        key: Option<&str>,
        give_up_after: Duration,
    ) -> Result<NodeAnswer, ExchangeError> {
        let carrier = Rc::clone(&self.carrier);
        let mut give_up_after = give_up_after;
        let mut stopped = false;
        // Each vote starts with the connection's own node, so that a restarted node gets its voters
        // back.
        self.at = 0;
        loop {
            let answer = self.clients[self.at].vote(body, key).await;
            let now = carrier.start.elapsed();
            if carrier.control.is_stopped() && !stopped {
                stopped = true;
                give_up_after = give_up_after.min(now + carrier.plan.drain);
            }
            if !carrier.plan.retry || is_final_answer(&answer) || now > give_up_after {
                return answer;
            }
            self.note(sequence, now, &VoteEnd::Sent(answer));
            // With several nodes, another node may answer.
            self.at = (self.at + 1) % self.clients.len();
            tokio::time::sleep(Self::RETRY_INTERVAL).await;
        }
    }

    fn note(&self, sequence: u64, ended: Duration, end: &VoteEnd) {
        let Some(notes) = &self.carrier.notes else { return };
        let at_us = u64::try_from(ended.as_micros()).unwrap_or(u64::MAX);
        let answer = end.answer();
        let line = JournalLine::Outcome {
            seq: sequence,
            at_us,
            status: answer.map(|answer| answer.status),
            request_id: answer.and_then(|answer| answer.request_id),
            state: answer.and_then(|answer| answer.state),
            code: answer
                .and_then(|answer| answer.code.as_ref())
                .map(|code| code.as_str().to_owned().into()),
            error: end.error_name().map(Into::into),
        };
        // A failed journal reports its error in `finish`.
        let _ = notes.send(line);
    }

    fn follow(&self, sequence: u64, request_id: RequestId, times: VoteTimes) {
        if !self.draws(Stream::Follow, sequence, self.carrier.plan.follow) {
            return;
        }
        let sample =
            Followed { sequence, request_id, intended: times.intended, answered: times.ended };
        let followed = self.follow.try_send(sample).is_ok();
        let mut recorder = self.recorder.borrow_mut();
        recorder.follows += u64::from(followed);
        recorder.follows_skipped += u64::from(!followed);
    }

    /// Whether vote `sequence` belongs to the random share for this purpose.
    fn draws(&self, stream: Stream, sequence: u64, share: Share) -> bool {
        let point = draw_below(
            self.carrier.mix.seed(),
            stream,
            sequence,
            u64::from(Share::ALL.parts_per_million()),
        );
        point < u64::from(share.parts_per_million())
    }
}

/// Whether the answer is final, so that a retry would change nothing.
fn is_final_answer(answer: &Result<NodeAnswer, ExchangeError>) -> bool {
    matches!(answer, Ok(answer) if !matches!(answer.status, 408 | 429 | 503))
}
