//! Connections that are kept open against the node: idle connections send nothing, slow connections
//! send a byte a second.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::{HostilePlan, Target};
use crate::http1::connect_from;
use crate::recorder::{new_histogram, record_us};

/// The results of held connections.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeldReport {
    /// Number of connections to keep open.
    pub asked: usize,
    /// Connections opened, including those reopened after the node closed them.
    pub made: u64,
    /// Connections that could not be opened.
    pub failed: u64,
    /// Maximum number open at once.
    pub open_max: u64,
    /// Open at the end.
    pub open_at_end: u64,
    /// Closed by the node.
    pub closed_by_node: u64,
    /// How long the connections closed by the node were open, in milliseconds: the shortest, the
    /// median, the longest.
    pub closed_after_ms: [u64; 3],
    /// Answers received before the node closed, by status.
    pub answers_by_status: BTreeMap<u16, u64>,
}

/// How a held connection behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Idle,
    /// Sends a head slowly and never ends it.
    SlowHead,
    /// Sends a head, then slowly the body it announced.
    SlowBody,
}

struct Tally {
    report: HeldReport,
    open: u64,
    closed_after: Histogram<u64>,
}

/// Pause between two bytes of a slow connection.
const TRICKLE_INTERVAL: Duration = Duration::from_secs(1);

/// Pause before a closed connection is reopened.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections opened a millisecond at the start: the system's accept queue is short.
const CONNECTIONS_PER_MILLISECOND: u32 = 5;

/// Keeps connections open until `stopped` resolves. Returns the reports of the idle and of the slow
/// connections.
pub(super) async fn run(
    plan: HostilePlan,
    targets: Arc<[Target]>,
    start: Instant,
    stopped: impl Future<Output = ()>,
) -> [Option<HeldReport>; 2] {
    let tallies = [plan.idle_connections, plan.slow_connections]
        .map(|asked| Rc::new(RefCell::new(Tally::new(asked))));
    let local = LocalSet::new();
    for number in 0..plan.idle_connections + plan.slow_connections {
        let (manner, tally) = match number.checked_sub(plan.idle_connections) {
            None => (Manner::Idle, &tallies[0]),
            Some(index) if index % 2 == 0 => (Manner::SlowHead, &tallies[1]),
            Some(_) => (Manner::SlowBody, &tallies[1]),
        };
        let holder = Holder {
            target: targets[number % targets.len()].clone(),
            source: plan.source(number),
            manner,
            tally: Rc::clone(tally),
            begin: start + Duration::from_millis(1) * (number as u32 / CONNECTIONS_PER_MILLISECOND),
        };
        local.spawn_local(holder.run());
    }
    local.run_until(stopped).await;
    tallies.map(|tally| tally.borrow().finish())
}

/// One held connection and its replacements.
struct Holder {
    target: Target,
    source: Option<IpAddr>,
    manner: Manner,
    tally: Rc<RefCell<Tally>>,
    begin: Instant,
}

impl Holder {
    async fn run(self) {
        tokio::time::sleep_until(self.begin.into()).await;
        loop {
            match connect_from(self.source, self.target.address).await {
                Ok(stream) => {
                    let opened = Instant::now();
                    self.tally.borrow_mut().open();
                    let answered = self.hold(stream).await;
                    self.tally.borrow_mut().close(opened.elapsed(), &answered);
                }
                Err(_) => self.tally.borrow_mut().report.failed += 1,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Keeps one connection open until the node closes it, and returns the bytes that the node
    /// sent.
    async fn hold(&self, mut stream: TcpStream) -> Vec<u8> {
        let mut answered = Vec::new();
        let head_end: &[u8] = match self.manner {
            Manner::Idle => return read_to_end(&mut stream, answered).await,
            Manner::SlowHead => b"x-slow: ",
            Manner::SlowBody => b"content-length: 10000\r\n\r\n",
        };
        let head = [&self.target.vote_head, head_end].concat();
        if stream.write_all(&head).await.is_err() {
            return read_to_end(&mut stream, answered).await;
        }
        loop {
            let mut bytes = [0; 1024];
            match tokio::time::timeout(TRICKLE_INTERVAL, stream.read(&mut bytes)).await {
                Ok(Ok(0) | Err(_)) => return answered,
                Ok(Ok(length)) => answered.extend_from_slice(&bytes[..length]),
                Err(_) if stream.write_all(b"1").await.is_err() => return answered,
                Err(_) => {}
            }
        }
    }
}

async fn read_to_end(stream: &mut TcpStream, mut answered: Vec<u8>) -> Vec<u8> {
    // Returns the received bytes, after any end of the connection.
    let _ = stream.read_to_end(&mut answered).await;
    answered
}

impl Tally {
    fn new(asked: usize) -> Self {
        let report = HeldReport {
            asked,
            made: 0,
            failed: 0,
            open_max: 0,
            open_at_end: 0,
            closed_by_node: 0,
            closed_after_ms: [0; 3],
            answers_by_status: BTreeMap::new(),
        };
        Self { report, open: 0, closed_after: new_histogram() }
    }

    fn open(&mut self) {
        self.open += 1;
        self.report.made += 1;
        self.report.open_max = self.report.open_max.max(self.open);
    }

    fn close(&mut self, after: Duration, answered: &[u8]) {
        self.open -= 1;
        self.report.closed_by_node += 1;
        record_us(&mut self.closed_after, after);
        let status = answered
            .strip_prefix(b"HTTP/1.1 ")
            .and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok());
        if let Some(status) = status {
            *self.report.answers_by_status.entry(status).or_insert(0) += 1;
        }
    }

    fn finish(&self) -> Option<HeldReport> {
        let mut report = self.report.clone();
        report.open_at_end = self.open;
        if !self.closed_after.is_empty() {
            let times = &self.closed_after;
            report.closed_after_ms = [times.min(), times.value_at_quantile(0.5), times.max()]
                .map(|time_us| time_us / 1000);
        }
        (report.asked > 0).then_some(report)
    }
}

impl fmt::Display for HeldReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [shortest, middle, longest] = self.closed_after_ms;
        write!(
            formatter,
            "{} requested, at most {} at once, {} at the end; {} opened, {} failed; the node \
             closed {}",
            self.asked,
            self.open_max,
            self.open_at_end,
            self.made,
            self.failed,
            self.closed_by_node
        )?;
        if self.closed_by_node > 0 {
            write!(
                formatter,
                " after {shortest}, {middle}, {longest} ms (shortest, middle, longest)"
            )?;
        }
        for (status, count) in &self.answers_by_status {
            write!(formatter, ", with {status}: {count}")?;
        }
        Ok(())
    }
}
