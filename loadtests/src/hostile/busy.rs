//! Connections that repeat a request: busy ones that only occupy their slot, replays of one vote
//! under its key, readers of the largest document.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::{HostilePlan, Target};
use crate::ballot_mix::BallotMix;
use crate::http1::connect_from;
use crate::journal::idempotency_key;

/// The results of connections that repeat a request.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BusyReport {
    /// Number of connections to keep open.
    pub connections: usize,
    /// Connections opened, including those reopened after the node closed them.
    pub made: u64,
    /// Connections that could not be opened.
    pub failed: u64,
    /// Answers a second.
    pub rate_answered: f64,
    /// Answers by status.
    pub answers_by_status: BTreeMap<u16, u64>,
}

/// The kind of request that connections repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BusyRequest {
    /// A path that does not exist, often enough that the connection is never idle for a second.
    KeepAlive,
    /// The same vote under the same key, at full speed.
    Replay,
    /// The OpenAPI description, at full speed.
    Read,
}

/// Pause between two requests of a connection that only keeps its slot.
const KEEP_INTERVAL: Duration = Duration::from_millis(700);

/// Pause before a closed or refused connection is reopened.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// Connections opened a millisecond at the start.
const CONNECTIONS_PER_MILLISECOND: u32 = 5;

impl BusyRequest {
    fn pause(self) -> Duration {
        if self == Self::KeepAlive { KEEP_INTERVAL } else { Duration::ZERO }
    }

    /// Builds the whole request.
    pub(super) fn request(self, target: &Target, mix: &BallotMix) -> Vec<u8> {
        let host = "HTTP/1.1\r\nhost: localhost\r\n\r\n";
        match self {
            Self::KeepAlive => format!("GET /x {host}").into_bytes(),
            Self::Read => format!("GET /api/v1/openapi.json {host}").into_bytes(),
            Self::Replay => {
                let mut body = Vec::new();
                if let Some(ballot) = mix.ballot(0) {
                    ballot.write_body(&mut body);
                }
                let key = idempotency_key(mix.seed(), 0);
                let rest =
                    format!("idempotency-key: {key}\r\ncontent-length: {}\r\n\r\n", body.len());
                [&target.vote_head, rest.as_bytes(), &body].concat()
            }
        }
    }
}

/// Sends requests until `stopped` resolves.
pub(super) async fn run(
    plan: HostilePlan,
    (kind, connections): (BusyRequest, usize),
    requests: Vec<(Target, Vec<u8>)>,
    start: Instant,
    stopped: impl Future<Output = ()>,
) -> BusyReport {
    let report = Rc::new(RefCell::new(BusyReport { connections, ..BusyReport::default() }));
    let requests: Vec<_> = requests
        .into_iter()
        .map(|(target, wire)| (target.address, Arc::<[u8]>::from(wire)))
        .collect();
    let local = LocalSet::new();
    for number in 0..connections {
        let (address, wire) = requests[number % requests.len()].clone();
        let (source, report) = (plan.source(number), Rc::clone(&report));
        let begin =
            start + Duration::from_millis(1) * (number as u32 / CONNECTIONS_PER_MILLISECOND);
        local.spawn_local(async move {
            tokio::time::sleep_until(begin.into()).await;
            loop {
                match connect_from(source, address).await {
                    Ok(stream) => {
                        report.borrow_mut().made += 1;
                        send_requests(stream, &wire, kind.pause(), &report).await;
                    }
                    Err(_) => report.borrow_mut().failed += 1,
                }
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
        });
    }
    local.run_until(stopped).await;
    let mut report = report.borrow().clone();
    let answered: u64 = report.answers_by_status.values().sum();
    report.rate_answered = (answered as f64 / start.elapsed().as_secs_f64()).round();
    report
}

/// Sends a request, waits for its answer, and repeats, until the connection ends.
async fn send_requests(
    mut stream: TcpStream,
    wire: &[u8],
    pause: Duration,
    report: &RefCell<BusyReport>,
) {
    let mut received = Vec::with_capacity(4096);
    loop {
        if stream.write_all(wire).await.is_err() {
            return;
        }
        received.clear();
        let (status, is_last) = loop {
            if matches!(stream.read_buf(&mut received).await, Ok(0) | Err(_)) {
                return;
            }
            if let Some(answer) = answer(&received) {
                break answer;
            }
        };
        *report.borrow_mut().answers_by_status.entry(status).or_insert(0) += 1;
        if is_last {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

/// The status of a complete answer, and whether the node closes the connection after it.
fn answer(received: &[u8]) -> Option<(u16, bool)> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_length) = answer.parse(received).ok()? else { return None };
    let header = |name: &str| {
        answer
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|one| one.value)
    };
    let length = std::str::from_utf8(header("content-length")?).ok()?;
    let body_length: usize = length.parse().ok()?;
    let is_last = header("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
    (received.len() >= head_length + body_length).then_some((answer.code?, is_last))
}

impl fmt::Display for BusyReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} connections, {} made, {} not; {:.0} answers a second",
            self.connections, self.made, self.failed, self.rate_answered
        )?;
        for (status, count) in &self.answers_by_status {
            write!(formatter, ", {status}: {count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_known_once_it_is_whole() {
        let stays = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nab";
        assert_eq!(answer(stays), Some((404, false)));
        assert!((0..stays.len()).all(|length| answer(&stays[..length]).is_none()));
        let leaves = b"HTTP/1.1 202 Accepted\r\nConnection: close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(answer(leaves), Some((202, true)));
    }
}
