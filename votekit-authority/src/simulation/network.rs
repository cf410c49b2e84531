//! Calls under way: requests to the ledger and their answers, each with a delay of its own.

use std::collections::BTreeSet;

use super::ledger::{Answer, Request};
use super::random::Random;
use super::scenario::{Faults, Scenario};

/// Identifies a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallId(u64);

/// Who calls: an authority or an ingest node, by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Authority(usize),
    Ingest(usize),
}

/// A message that arrives.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A request, at the ledger. Its answer is sent with [`Network::reply`].
    Request { id: CallId, caller: Caller, request: Request },
    /// An answer, at its caller.
    Answer { id: CallId, caller: Caller, answer: Answer },
}

/// The messages under way.
#[derive(Debug, Default)]
pub(super) struct Network {
    messages: Vec<(u64, Arrival)>,
    calls: u64,
    /// Authorities that cannot send to the ledger or hear from it. A request that left before the
    /// cut still arrives.
    pub(super) cut: BTreeSet<usize>,
    /// Whether messages are lost or late.
    pub(super) is_reliable: bool,
}

impl Network {
    /// Sends a request. It may be lost or late.
    pub(super) fn call(
        &mut self,
        caller: Caller,
        request: Request,
        now: u64,
        scenario: &Scenario,
        random: &mut Random,
    ) -> CallId {
        self.calls += 1;
        let id = CallId(self.calls);
        if self.is_cut(caller) || self.is_lost(scenario, random) {
            return id;
        }
        let mut due = now + 1 + random.below(scenario.latency);
        if !self.is_reliable && random.happens(scenario.faults.late, 100) {
            due += random.below(Faults::LATE_MAX);
        }
        self.messages.push((due, Arrival::Request { id, caller, request }));
        id
    }

    /// Sends an answer. It may be lost.
    pub(super) fn reply(
        &mut self,
        id: CallId,
        caller: Caller,
        answer: Answer,
        now: u64,
        scenario: &Scenario,
        random: &mut Random,
    ) {
        if !self.is_lost(scenario, random) {
            let due = now + 1 + random.below(scenario.latency);
            self.messages.push((due, Arrival::Answer { id, caller, answer }));
        }
    }

    /// Takes one of the messages that are due, chosen at random.
    pub(super) fn arrival(&mut self, now: u64, random: &mut Random) -> Option<Arrival> {
        let due: Vec<usize> =
            (0..self.messages.len()).filter(|place| self.messages[*place].0 <= now).collect();
        if due.is_empty() {
            return None;
        }
        let (_, arrival) = self.messages.swap_remove(due[random.index(due.len())]);
        match arrival {
            Arrival::Answer { caller, .. } if self.is_cut(caller) => None,
            arrival => Some(arrival),
        }
    }

    fn is_cut(&self, caller: Caller) -> bool {
        matches!(caller, Caller::Authority(number) if self.cut.contains(&number))
    }

    fn is_lost(&self, scenario: &Scenario, random: &mut Random) -> bool {
        !self.is_reliable && random.happens(scenario.faults.loss, 40)
    }
}
