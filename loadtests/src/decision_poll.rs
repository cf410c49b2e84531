//! Follows a sample of votes to their decision by polling, on its own connection.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver;
use votekit_core::id::RequestId;

use crate::answer::VoteState;
use crate::http_client::Client;
use crate::journal::JournalLine;
use crate::pacer::RunControl;
use crate::recorder::Recorder;

/// A vote to follow.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) sequence: u64,
    pub(crate) request_id: RequestId,
    pub(crate) intended: Duration,
    pub(crate) answered: Duration,
}

/// The state of the poller of one thread.
pub(crate) struct DecisionPoll {
    pub(crate) client: Client,
    pub(crate) samples: Receiver<Followed>,
    pub(crate) start: Instant,
    /// Pause between two polls of one vote: the resolution of the measured times.
    pub(crate) interval: Duration,
    /// A vote still undecided this long after its 202 counts as unresolved.
    pub(crate) timeout: Duration,
    pub(crate) control: Arc<RunControl>,
    pub(crate) recorder: Rc<RefCell<Recorder>>,
    pub(crate) notes: Option<Sender<JournalLine<'static>>>,
}

impl DecisionPoll {
    /// Polls until the senders are gone and every sample is decided or unresolved.
    pub(crate) async fn run(mut self) {
        let mut queue: VecDeque<(Duration, Followed)> = VecDeque::new();
        loop {
            while let Ok(sample) = self.samples.try_recv() {
                queue.push_back((sample.answered + self.interval, sample));
            }
            let Some((due, sample)) = queue.pop_front() else {
                let Some(sample) = self.samples.recv().await else { return };
                queue.push_back((sample.answered + self.interval, sample));
                continue;
            };
            tokio::time::sleep_until((self.start + due).into()).await;
            if self.start.elapsed() > sample.answered + self.timeout || self.control.is_stopped() {
                self.recorder.borrow_mut().unresolved += 1;
                continue;
            }
            match self
                .client
                .fetch_status(sample.request_id)
                .await
                .ok()
                .and_then(|answer| answer.state)
            {
                Some(state) if state != VoteState::Pending => self.record(&sample, state),
                _ => queue.push_back((self.start.elapsed() + self.interval, sample)),
            }
        }
    }

    fn record(&self, sample: &Followed, state: VoteState) {
        let now = self.start.elapsed();
        self.recorder.borrow_mut().record_decision(state, now.saturating_sub(sample.intended));
        if let Some(notes) = &self.notes {
            let at_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
            let line = JournalLine::Decision {
                seq: sample.sequence,
                at_us,
                request_id: sample.request_id,
                state,
            };
            // A failed journal reports its error in `finish`.
            let _ = notes.send(line);
        }
    }
}
