//! Guessed credentials at a high rate. Each request reuses the bytes of the last with other digits,
//! so that the generator costs little.
//!
//! Guesses are sent at their rate without waiting for answers: a connection pipelines them
//! (HTTP/1.1). Guesses the node does not read in time wait in the buffers of the connection; when
//! those are full, guesses are dropped, and counted.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use super::{HostilePlan, Target};
use crate::ballot_mix::BallotMix;
use crate::http1::connect_from;

/// Offset and length of the digits of the NAS in a body, after the leading 0.
const NAS_OFFSET: usize = r#"{"nas":"0"#.len();
const NAS_DIGITS: usize = 8;
/// Offset and length of the digits of the code in a body.
const CODE_OFFSET: usize = r#"{"nas":"000000000","code":""#.len();
const CODE_DIGITS: usize = 10;

/// Number of connections, unless there are more addresses.
const CONNECTIONS: usize = 256;

/// Pause between two releases of guesses.
const RELEASE_INTERVAL: Duration = Duration::from_millis(1);

/// Maximum backlog of guesses that no connection has taken, in seconds of their rate.
const BACKLOG_SECONDS_MAX: f64 = 0.1;

/// Pause before a closed or refused connection is reopened.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// The results of the guesses.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GuessReport {
    /// Guesses a second, as planned.
    pub rate_asked: u32,
    /// Guesses sent a second.
    pub rate_sent: f64,
    /// Guesses answered a second.
    pub rate_answered: f64,
    /// Guesses sent.
    pub sent: u64,
    /// Guesses dropped because the buffers of every connection were full.
    pub unsent: u64,
    /// Answered 429.
    pub refused_429: u64,
    /// Answered 202: stored.
    pub stored_202: u64,
    /// Answered otherwise.
    pub other: u64,
    /// Not answered when their connection or the run ended.
    pub unanswered: u64,
    /// Keep-alive connections used.
    pub connections: usize,
}

/// The body of a guess: a NAS that is never issued (its first digit is 0) and a code; the digits of
/// both are overwritten.
#[derive(Debug, Clone)]
pub(super) struct GuessBody {
    text: Vec<u8>,
}

impl GuessBody {
    /// A guess for the election and the choice of the first honest vote.
    pub(super) fn new(mix: &BallotMix) -> Self {
        let (law_id, choice) =
            mix.ballot(0).map_or(("", ""), |ballot| (ballot.law_id, ballot.choice));
        let text = format!(
            r#"{{"nas":"000000000","code":"0000000000","law_id":"{law_id}","vote":"{choice}"}}"#
        );
        Self { text: text.into_bytes() }
    }
}

/// Sends guesses until `stopped` resolves.
pub(super) async fn run(
    plan: HostilePlan,
    targets: Arc<[Target]>,
    body: GuessBody,
    start: Instant,
    stopped: impl Future<Output = ()>,
) -> GuessReport {
    let connections = CONNECTIONS.max(plan.addresses as usize);
    let report = Rc::new(RefCell::new(GuessReport {
        rate_asked: plan.guesses_per_second,
        connections,
        ..GuessReport::default()
    }));
    let released = Rc::new(Semaphore::new(0));
    let local = LocalSet::new();
    for number in 0..connections {
        let guesser = Guesser::new(&plan, &targets[number % targets.len()], &body, number);
        local.spawn_local(guesser.run(Rc::clone(&released), Rc::clone(&report)));
    }
    tokio::time::sleep_until(start.into()).await;
    local.spawn_local(release(
        f64::from(plan.guesses_per_second),
        Rc::clone(&released),
        Rc::clone(&report),
    ));
    local.run_until(stopped).await;
    let elapsed_s = start.elapsed().as_secs_f64();
    let mut report = report.borrow().clone();
    let answered = report.refused_429 + report.stored_202 + report.other;
    report.unanswered = report.sent - answered;
    report.rate_sent = (report.sent as f64 / elapsed_s).round();
    report.rate_answered = (answered as f64 / elapsed_s).round();
    report
}

/// Releases guesses at the given rate, independently of the node. Drops those that no connection is
/// free for.
async fn release(rate: f64, released: Rc<Semaphore>, report: Rc<RefCell<GuessReport>>) {
    let start = Instant::now();
    let mut ticks = tokio::time::interval(RELEASE_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let backlog_max = (rate * BACKLOG_SECONDS_MAX) as usize + 1;
    let mut count = 0_u64;
    loop {
        ticks.tick().await;
        let due = (start.elapsed().as_secs_f64() * rate) as u64;
        let new = usize::try_from(due - count).unwrap_or(usize::MAX);
        let room = backlog_max.saturating_sub(released.available_permits());
        released.add_permits(new.min(room));
        report.borrow_mut().unsent += new.saturating_sub(room) as u64;
        count = due;
    }
}

/// One guessing connection.
struct Guesser {
    target: Target,
    source: Option<std::net::IpAddr>,
    wire: Vec<u8>,
    body_offset: usize,
    random: u64,
}

impl Guesser {
    fn new(plan: &HostilePlan, target: &Target, body: &GuessBody, number: usize) -> Self {
        let mut wire = target.vote_head.clone();
        wire.extend_from_slice(format!("content-length: {}\r\n\r\n", body.text.len()).as_bytes());
        let body_offset = wire.len();
        wire.extend_from_slice(&body.text);
        let random = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { target: target.clone(), source: plan.source(number), wire, body_offset, random }
    }

    async fn run(mut self, released: Rc<Semaphore>, report: Rc<RefCell<GuessReport>>) {
        loop {
            if let Ok(stream) = connect_from(self.source, self.target.address).await {
                // If this fails, guesses are sent more slowly, otherwise unchanged.
                let _ = stream.set_nodelay(true);
                let (reader, writer) = stream.into_split();
                tokio::select! {
                    () = self.send(writer, &released, &report) => {}
                    () = count_answers(reader, &report) => {}
                }
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    /// Sends until the connection ends.
    async fn send(
        &mut self,
        mut writer: OwnedWriteHalf,
        released: &Semaphore,
        report: &RefCell<GuessReport>,
    ) {
        // The semaphore is never closed.
        while let Ok(permit) = released.acquire().await {
            // One permit is one guess: it is not returned.
            permit.forget();
            self.guess();
            if writer.write_all(&self.wire).await.is_err() {
                return;
            }
            report.borrow_mut().sent += 1;
        }
    }

    /// Replaces the digits. An xorshift generator is good enough for guesses.
    fn guess(&mut self) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let mut word = self.random;
        let body = &mut self.wire[self.body_offset..];
        for (at, digits) in [(NAS_OFFSET, NAS_DIGITS), (CODE_OFFSET, CODE_DIGITS)] {
            for index in &mut body[at..at + digits] {
                *index = b'0' + (word % 10) as u8;
                word /= 10;
            }
        }
    }
}

/// Counts answers until the connection ends or sends something that is not an answer.
async fn count_answers(mut reader: OwnedReadHalf, report: &RefCell<GuessReport>) {
    let mut received = Vec::with_capacity(16 * 1024);
    while !matches!(reader.read_buf(&mut received).await, Ok(0) | Err(_)) {
        let mut begin = 0;
        while let Some((status, length)) = answer(&received[begin..]) {
            let report = &mut *report.borrow_mut();
            match status {
                429 => report.refused_429 += 1,
                202 => report.stored_202 += 1,
                _ => report.other += 1,
            }
            begin += length;
        }
        received.drain(..begin);
    }
}

/// The status and the length of the first answer, once it is complete.
fn answer(received: &[u8]) -> Option<(u16, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_length) = answer.parse(received).ok()? else { return None };
    let length =
        answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"))?;
    let body_length: usize = std::str::from_utf8(length.value).ok()?.parse().ok()?;
    let length = head_length.checked_add(body_length)?;
    (length <= received.len()).then_some((answer.code?, length))
}

impl fmt::Display for GuessReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}/s requested, {:.0}/s sent, {:.0}/s answered: sent {}, 429 {}, 202 {}, other {}, \
             unanswered {}; {} dropped; {} connections",
            self.rate_asked,
            self.rate_sent,
            self.rate_answered,
            self.sent,
            self.refused_429,
            self.stored_202,
            self.other,
            self.unanswered,
            self.unsent,
            self.connections
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn answers_are_distinguished() {
        let one = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 3\r\n\r\nabc";
        let both = [&one[..], b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"].concat();
        assert_eq!(answer(&both), Some((429, one.len())));
        assert_eq!(answer(&both[one.len()..]), Some((202, both.len() - one.len())));
        assert!((0..one.len()).all(|length| answer(&one[..length]).is_none()));
    }

    #[test]
    fn guesses_are_well_formed_and_differ() {
        let text =
            br#"{"nas":"000000000","code":"0000000000","law_id":"L1","vote":"oui"}"#.to_vec();
        let target = Target {
            address: "127.0.0.1:1".parse().expect("an address"),
            vote_head: b"POST /\r\n".to_vec(),
        };
        let mut guesser = Guesser::new(&HostilePlan::default(), &target, &GuessBody { text }, 3);
        let guesses: BTreeSet<String> = (0..100)
            .map(|_| {
                guesser.guess();
                let body: serde_json::Value =
                    serde_json::from_slice(&guesser.wire[guesser.body_offset..]).expect("JSON");
                let [nas, code] =
                    ["nas", "code"].map(|field| body[field].as_str().expect("a text").to_owned());
                assert!(nas.len() == 9 && nas.starts_with('0') && code.len() == 10, "{nas} {code}");
                nas + &code
            })
            .collect();
        assert_eq!(guesses.len(), 100);
    }
}
