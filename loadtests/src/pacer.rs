//! The pacer: releases votes at their intended times, on its own thread, whether or not a
//! connection is free.
//!
//! Connections wait on a semaphore, and each permit is one released vote. Permits that are still
//! available are due votes for which no connection was free: the backlog.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::Semaphore;

use crate::journal::Watermark;
use crate::recorder::{new_histogram, record_us};
use crate::schedule::Schedule;

/// Reads the progress of a run and stops it early, from any thread.
#[derive(Debug, Default)]
pub struct RunControl {
    stopped: AtomicBool,
    released: AtomicU64,
    answered: AtomicU64,
}

impl RunControl {
    /// Stops releasing votes. Votes that were released before are still sent and their answers
    /// awaited, with retries no longer than the plan's `drain`. Samples without a decision count as
    /// unresolved. Then the report is made.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// Whether the run was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Votes released so far.
    #[must_use]
    pub fn released(&self) -> u64 {
        self.released.load(Ordering::Relaxed)
    }

    /// Votes answered so far, with any status.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn count_answer(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// The queue of released votes. It stores only counts, because votes are taken in order.
#[derive(Debug)]
pub(crate) struct Releases {
    permits: Semaphore,
    next: AtomicU64,
    /// Votes in the run; lowered to those released when the pacer ends.
    votes: AtomicU64,
}

impl Releases {
    pub(crate) fn new(votes: u64) -> Self {
        Self { permits: Semaphore::new(0), next: AtomicU64::new(0), votes: AtomicU64::new(votes) }
    }

    /// Waits for the next vote; `None` once all have been taken.
    pub(crate) async fn take(&self) -> Option<u64> {
        self.permits.acquire().await.ok()?.forget();
        let sequence = self.next.fetch_add(1, Ordering::Relaxed);
        // The last permits stand for no vote: see `Pacer::run`.
        (sequence < self.votes.load(Ordering::Acquire)).then_some(sequence)
    }
}

/// The pacer's measurements.
#[derive(Debug)]
pub(crate) struct Pacing {
    /// Delay of each release, in microseconds: the generator's own lateness, including the wait for
    /// the journal.
    pub(crate) release_lag: Histogram<u64>,
    pub(crate) backlog_max: u64,
    pub(crate) released: u64,
}

#[derive(Debug)]
pub(crate) struct Pacer {
    pub(crate) schedule: Schedule,
    pub(crate) start: Instant,
    pub(crate) releases: Arc<Releases>,
    pub(crate) control: Arc<RunControl>,
    pub(crate) watermark: Option<Watermark>,
    /// The number of connections that take votes: each needs one more permit to see the end.
    pub(crate) takers: usize,
}

impl Pacer {
    /// The shortest sleep. At high rates votes are released in groups at this interval.
    const SLEEP_MIN: Duration = Duration::from_micros(100);
    /// The longest sleep, so that a stop is noticed in time.
    const SLEEP_MAX: Duration = Duration::from_millis(20);

    /// Releases votes until the schedule ends, the run is stopped or the journal fails.
    pub(crate) fn run(self) -> Pacing {
        let mut pacing = Pacing { release_lag: new_histogram(), backlog_max: 0, released: 0 };
        while pacing.released < self.schedule.total() && !self.must_stop() {
            self.release_due(&mut pacing);
            if pacing.released < self.schedule.total() {
                let due = self.start + self.schedule.offset(pacing.released);
                // A vote that is due but not yet durable in the journal is polled for.
                let sleep = due.saturating_duration_since(Instant::now());
                std::thread::sleep(sleep.clamp(Self::SLEEP_MIN, Self::SLEEP_MAX));
            }
        }
        // First lower the number of votes, then wake every connection: each finds no vote left.
        self.releases.votes.store(pacing.released, Ordering::Release);
        self.releases.permits.add_permits(self.takers);
        pacing
    }

    fn must_stop(&self) -> bool {
        self.control.is_stopped() || self.watermark.as_ref().is_some_and(Watermark::has_failed)
    }

    /// Releases the votes that are due, as far as they are durable in the journal.
    fn release_due(&self, pacing: &mut Pacing) {
        let first = pacing.released;
        let limit =
            self.watermark.as_ref().map_or(u64::MAX, Watermark::durable).min(self.schedule.total());
        let now = self.start.elapsed();
        while pacing.released < limit {
            let offset = self.schedule.offset(pacing.released);
            if offset > now {
                break;
            }
            record_us(&mut pacing.release_lag, now - offset);
            pacing.released += 1;
        }
        if pacing.released > first {
            self.control.released.store(pacing.released, Ordering::Relaxed);
            if let Some(watermark) = &self.watermark {
                watermark.released(pacing.released);
            }
            self.releases.permits.add_permits((pacing.released - first) as usize);
            pacing.backlog_max =
                pacing.backlog_max.max(self.releases.permits.available_permits() as u64);
        }
    }
}
