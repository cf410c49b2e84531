//! The pacer: releases votes at their intended times, from its own thread, independently of the
//! connections.
//!
//! Connections wait on a semaphore and take the next vote when one is released. Available permits
//! are due votes that no connection was free for: the backlog.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::Semaphore;

use crate::journal::Watermark;
use crate::recorder::{new_histogram, record_us};
use crate::schedule::Schedule;

/// The controls of a run: reads its progress and stops it early.
#[derive(Debug, Default)]
pub struct RunControl {
    stopped: AtomicBool,
    released: AtomicU64,
    answered: AtomicU64,
}

impl RunControl {
    /// Stops releasing votes. Votes in flight are awaited, and the report is made.
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

/// The queue of released votes. It stores only counts: votes are taken in order.
#[derive(Debug)]
pub(crate) struct Releases {
    permits: Semaphore,
    next: AtomicU64,
    /// Votes in the run; lowered when the run is stopped.
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
        (sequence < self.votes.load(Ordering::Acquire)).then_some(sequence)
    }
}

/// The pacer's measurements.
#[derive(Debug)]
pub(crate) struct Pacing {
    /// Delay of each release, in microseconds: the generator's own lateness.
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
    /// Number of connections that wait for votes: each needs a permit to see the end.
    pub(crate) takers: usize,
}

impl Pacer {
    /// The shortest sleep. At high rates votes are released in groups at this interval.
    const SLEEP_MIN: Duration = Duration::from_micros(100);
    /// The longest sleep, so that a stop is noticed.
    const SLEEP_MAX: Duration = Duration::from_millis(20);

    /// Releases every vote of the schedule, or until the run is stopped.
    pub(crate) fn run(self) -> Pacing {
        let mut pacing = Pacing { release_lag: new_histogram(), backlog_max: 0, released: 0 };
        while pacing.released < self.schedule.total() && !self.must_stop() {
            let released = self.release_due(&mut pacing);
            if released < self.schedule.total() {
                let due = self.start + self.schedule.offset(released);
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

    fn release_due(&self, pacing: &mut Pacing) -> u64 {
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
        pacing.released
    }
}
