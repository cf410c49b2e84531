//! Readers of live updates during the votes: WebSockets that follow the results of one election, as
//! the result page does.
//!
//! They run in a thread of their own. One more connection asks the node for its count of decided
//! votes every few milliseconds; the lag of a count is the time from the answer that shows it to
//! the moment when the last reader has a message with this count or a higher one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use hdrhistogram::Histogram;
use rustix::process::setpriority_process;
use rustix::thread::gettid;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use votekit_core::id::ElectionId;

use crate::distribution::{Distribution, Microseconds};
use crate::error::LoadError;
use crate::hostile::{ADDRESSES_MAX, is_loopback, loopback_address};
use crate::http_client::NodeUrl;
use crate::http1::{Connection, connect_from};
use crate::recorder::{new_histogram, record_us};

/// The readers in addition to the votes. The default is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LivePlan {
    /// Number of readers.
    pub readers: usize,
    /// The number of loopback source addresses that they use round-robin; 0: one address, chosen by
    /// the system.
    pub addresses: u32,
}

/// The results of the readers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LiveReport {
    /// Number of readers to open.
    pub asked: usize,
    /// Number that the node took.
    pub opened: usize,
    /// Readers whose connection ended before the run did.
    pub ended: usize,
    /// Messages received by all readers.
    pub messages: u64,
    /// From the first to the last reader of one message.
    pub spread_us: Distribution,
    /// From a decision that a status shows to the message of the last reader that includes it. The
    /// node sends at most four messages a second a topic.
    pub lag_us: Distribution,
}

impl LivePlan {
    const READERS_MAX: usize = 50_000;

    pub(crate) fn check(&self, node: &NodeUrl, address: &SocketAddr) -> Result<(), LoadError> {
        let refused =
            |option, problem: &str| Err(LoadError::Plan { option, problem: problem.to_owned() });
        if self.readers == 0 {
            return Ok(());
        }
        if node.is_tls() {
            return refused("--live-readers", "they are for http:// only");
        }
        if self.readers > Self::READERS_MAX {
            return refused("--live-readers", "expected at most 50000");
        }
        if self.addresses > ADDRESSES_MAX {
            return refused("--live-addresses", "expected at most 65000");
        }
        if self.addresses > 0 && !is_loopback(address) {
            return refused("--live-addresses", "the node must be on this machine, at 127.0.0.1");
        }
        Ok(())
    }
}

/// The first of the readers' addresses.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 3, 0, 1);

/// Readers opened a millisecond: the system's accept queue is short.
const CONNECTIONS_PER_MILLISECOND: u32 = 2;

/// The time for all readers to open; the votes begin then, or when all are open.
const OPEN_TIME: Duration = Duration::from_secs(60);

/// The pause between two questions for the count of decided votes.
const PROBE_INTERVAL: Duration = Duration::from_millis(2);

/// The time after the votes for the last messages.
const LAST_MESSAGES_TIMEOUT: Duration = Duration::from_secs(1);

/// Added to the nice value of the readers' thread.
const NICENESS: i32 = 10;

/// The buffer of a reader: messages are small.
const READ_BUFFER_BYTES: usize = 1024;

/// Running readers.
#[derive(Debug, Default)]
pub(crate) struct LiveRun {
    running: Option<(watch::Sender<bool>, JoinHandle<LiveReport>)>,
}

impl LiveRun {
    /// Opens the readers, and returns when all of them follow the election or have failed to.
    pub(crate) fn start(
        plan: &LivePlan,
        node: &NodeUrl,
        address: SocketAddr,
        law_id: &ElectionId,
    ) -> Result<Self, LoadError> {
        if plan.readers == 0 {
            return Ok(Self::default());
        }
        let failed = |error: std::io::Error| LoadError::Thread { problem: error.to_string() };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (stop, stopped) = watch::channel(false);
        let (ready, is_ready) = mpsc::channel();
        let audience = Audience {
            plan: plan.clone(),
            address,
            socket_url: node.as_str().replacen("http://", "ws://", 1) + "/api/v1/ws",
            subscription: format!(r#"{{"subscribe":["results/{law_id}"]}}"#),
            probe: node.get_request(&format!("/api/v1/elections/{law_id}")),
        };
        let thread = std::thread::Builder::new()
            .name("live readers".to_owned())
            .spawn(move || {
                // Real readers use the processors of other machines: votes go first here.
                let _ = setpriority_process(Some(gettid()), NICENESS);
                runtime.block_on(audience.run(ready, stopped))
            })
            .map_err(failed)?;
        // An error: the thread has panicked, which the end of the run reports.
        let _ = is_ready.recv_timeout(OPEN_TIME);
        Ok(Self { running: Some((stop, thread)) })
    }

    /// Waits for the last messages, closes the readers, and returns their report.
    pub(crate) fn finish(self) -> Result<Option<LiveReport>, LoadError> {
        let Some((stop, thread)) = self.running else { return Ok(None) };
        std::thread::sleep(LAST_MESSAGES_TIMEOUT);
        stop.send_replace(true);
        let panicked = |_| LoadError::Thread { problem: "one panicked".to_owned() };
        thread.join().map(Some).map_err(panicked)
    }
}

/// The state that all readers share.
struct Audience {
    plan: LivePlan,
    address: SocketAddr,
    socket_url: String,
    subscription: String,
    probe: Vec<u8>,
}

/// The observations of the readers.
#[derive(Default)]
struct Observations {
    opened: usize,
    failed: usize,
    ended: usize,
    messages: u64,
    /// By the count of decided votes in a message: its first and its last reader.
    received: BTreeMap<u64, (Instant, Instant)>,
    /// The counts that the node has shown, each with the time of its first answer.
    shown: Vec<(Instant, u64)>,
}

type SharedObservations = Rc<RefCell<Observations>>;

impl Audience {
    async fn run(self, ready: mpsc::Sender<()>, mut stop: watch::Receiver<bool>) -> LiveReport {
        let (local, shared) = (LocalSet::new(), SharedObservations::default());
        let (plan, audience) = (self.plan.clone(), Rc::new(self));
        for number in 0..plan.readers {
            let (audience, shared) = (Rc::clone(&audience), Rc::clone(&shared));
            let delay = Duration::from_millis(1) * (number as u32 / CONNECTIONS_PER_MILLISECOND);
            local.spawn_local(async move {
                tokio::time::sleep(delay).await;
                let source = loopback_address(FIRST_ADDRESS, audience.plan.addresses, number);
                audience.read(source, &shared).await;
            });
        }
        local.spawn_local(probe(Rc::clone(&audience), Rc::clone(&shared)));
        let (watched, readers) = (Rc::clone(&shared), plan.readers);
        local.spawn_local(async move {
            let is_settled = |seen: &Observations| seen.opened + seen.failed == readers;
            while !is_settled(&watched.borrow()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // The run may have begun without waiting any longer.
            let _ = ready.send(());
        });
        // The sender lives until it has sent.
        let stopped = async move { drop(stop.wait_for(|stopped| *stopped).await) };
        local.run_until(stopped).await;
        shared.borrow().report(readers)
    }

    /// One reader, to the end of its connection.
    async fn read(&self, source: Option<IpAddr>, shared: &SharedObservations) {
        let Some(mut socket) = self.open(source).await else {
            shared.borrow_mut().failed += 1;
            return;
        };
        shared.borrow_mut().opened += 1;
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Text(text) = message {
                shared.borrow_mut().message(&text);
            }
        }
        shared.borrow_mut().ended += 1;
    }

    async fn open(&self, source: Option<IpAddr>) -> Option<WebSocketStream<TcpStream>> {
        let stream = connect_from(source, self.address).await.ok()?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
        let url = self.socket_url.as_str();
        let (mut socket, _) = client_async_with_config(url, stream, Some(config)).await.ok()?;
        socket.send(Message::text(self.subscription.as_str())).await.ok()?;
        Some(socket)
    }
}

/// Asks for the count of decided votes until the run ends.
async fn probe(audience: Rc<Audience>, shared: SharedObservations) {
    let mut connection: Option<Connection> = None;
    loop {
        tokio::time::sleep(PROBE_INTERVAL).await;
        let Some(open) = &mut connection else {
            connection = Connection::open(None, audience.address).await.ok();
            continue;
        };
        let Ok(answer) = open.exchange(&audience.probe).await else {
            connection = None;
            continue;
        };
        let received = serde_json::from_slice(answer.body).map(|Counted { received }| received);
        if let Ok(received) = received {
            shared.borrow_mut().show(received);
        }
        if !open.is_open() {
            connection = None;
        }
    }
}

/// The count of decided votes, in an answer or in the data of a message.
#[derive(Deserialize)]
struct Counted {
    received: u64,
}

#[derive(Deserialize)]
struct LiveMessage {
    data: Counted,
}

impl Observations {
    fn message(&mut self, text: &str) {
        self.messages += 1;
        if let Ok(LiveMessage { data }) = serde_json::from_str(text) {
            let now = Instant::now();
            self.received.entry(data.received).or_insert((now, now)).1 = now;
        }
    }

    fn show(&mut self, received: u64) {
        if self.shown.last().is_none_or(|(_, last)| *last < received) {
            self.shown.push((Instant::now(), received));
        }
    }

    fn report(&self, asked: usize) -> LiveReport {
        let (mut spread, mut lag): (Histogram<u64>, Histogram<u64>) =
            (new_histogram(), new_histogram());
        // The snapshots of the opening readers are not updates.
        let begun = self.shown.first().map(|(at, _)| *at);
        for (first, last) in self.received.values().filter(|(first, _)| Some(*first) > begun) {
            record_us(&mut spread, last.duration_since(*first));
        }
        for (at, received) in self.shown.iter().skip(1) {
            // Nothing for the last votes, if their message did not come before the end.
            if let Some((_, (_, last))) = self.received.range(received..).next() {
                record_us(&mut lag, last.saturating_duration_since(*at));
            }
        }
        LiveReport {
            asked,
            opened: self.opened,
            ended: self.ended,
            messages: self.messages,
            spread_us: Distribution::from_histogram(&spread),
            lag_us: Distribution::from_histogram(&lag),
        }
    }
}

impl fmt::Display for LiveReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |us: u64| Microseconds(us).to_string();
        let (spread, lag) = (&self.spread_us, &self.lag_us);
        write!(
            formatter,
            "live      {} readers of {} open, {} ended, {} messages; first to last reader {} \
             (median), {} (max); decision to last reader {} (median), {} (p99), {} (max)",
            self.opened,
            self.asked,
            self.ended,
            self.messages,
            time(spread.p50),
            time(spread.max),
            time(lag.p50),
            time(lag.p99),
            time(lag.max)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_of_a_count_ends_with_the_last_reader_that_has_it() {
        let (mut seen, begun) = (Observations::default(), Instant::now());
        let at = |milliseconds| begun + Duration::from_millis(milliseconds);
        seen.shown = vec![(at(0), 0), (at(10), 5), (at(20), 9), (at(90), 12)];
        seen.received.insert(0, (at(0), at(0)));
        seen.received.insert(7, (at(30), at(40)));
        seen.received.insert(9, (at(50), at(55)));
        let report = seen.report(2);
        assert_eq!(report.lag_us.count, 2, "no reader has the last count");
        assert!((29_900..=30_100).contains(&report.lag_us.min), "{:?}", report.lag_us);
        assert!((34_900..=35_100).contains(&report.lag_us.max), "{:?}", report.lag_us);
        assert_eq!(report.spread_us.count, 2);
    }

    #[test]
    fn a_message_is_counted_by_its_decided_votes() {
        let mut seen = Observations::default();
        let text = r#"{"topic":"results/L1","event":"update","data":{"version":3,"received":8}}"#;
        seen.message(text);
        seen.message("not JSON");
        assert_eq!((seen.messages, seen.received.len()), (2, 1));
        assert!(seen.received.contains_key(&8));
    }
}
