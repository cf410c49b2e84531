//! An ingest node: stages its batches in order, and repeats each until it is staged.
//!
//! It models node and ballot box together. It also stages again every batch that is missing after
//! the ledger was restored from an older copy.

use std::sync::Arc;

use super::environment::Environment;
use super::ledger::{Ledger, Request};
use super::network::{CallId, Caller};
use super::reference::Phase;

/// How long it waits for an answer, in milliseconds.
const CALL_TIMEOUT: u64 = 100;

/// One ingest node.
#[derive(Debug)]
pub(super) struct IngestNode {
    number: usize,
    call: Option<(CallId, u64)>,
    next: u64,
}

impl IngestNode {
    pub(super) const fn new(number: usize) -> Self {
        Self { number, call: None, next: 0 }
    }

    pub(super) fn answered(&mut self, id: CallId) {
        self.call.take_if(|(asked, _)| *asked == id);
    }

    pub(super) fn step(&mut self, ledger: &Ledger, env: &mut Environment) {
        match self.call {
            Some((_, since)) if env.now > since + CALL_TIMEOUT => self.call = None,
            Some(_) => return,
            None => {}
        }
        if env.now < self.next {
            return;
        }
        self.next = env.now + 50 + env.random.below(250);
        let phase = env.checks.reference.phase;
        let missing =
            env.election.batches[self.number].iter().find(|number| !ledger.is_staged(number));
        let Some(planned) = missing.and_then(|number| env.election.planned(number)) else {
            return;
        };
        // The last batch ends the epoch, which a node does when the poll is closing.
        let is_due = match planned.batch.header().last {
            true => phase == Phase::Closing,
            false => matches!(phase, Phase::Open | Phase::Closing),
        };
        if is_due {
            let batch = Arc::clone(&planned.batch);
            let id = env.call(Caller::Ingest(self.number), Request::Stage(batch));
            self.call = Some((id, env.now));
        }
    }
}
