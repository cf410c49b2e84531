//! The environment shared by all parts of a run: time, random numbers, messages, checks, and the
//! record of events.

use std::collections::VecDeque;
use std::fmt;

use super::checks::Checks;
use super::election::Election;
use super::ledger::Request;
use super::network::{CallId, Caller, Network};
use super::random::Random;
use super::scenario::{Mutation, Scenario};

/// The number of events that a run keeps for its schedule.
const EVENTS_MAX: usize = 200;

/// The surroundings of authorities and ingest nodes.
#[derive(Debug)]
pub(super) struct Environment {
    /// Milliseconds since the run began: the ledger's clock.
    pub(super) now: u64,
    pub(super) random: Random,
    pub(super) scenario: Scenario,
    pub(super) election: Election,
    pub(super) network: Network,
    pub(super) checks: Checks,
    /// Whether the faults have ended, and the poll is to close.
    pub(super) is_healed: bool,
    /// False blocks that leaders may still propose.
    pub(super) false_blocks: u32,
    /// Blocks that a leader of a later term proposed again.
    pub(super) proposed_again: u64,
    /// Suspicions of holders of the lease that are not elected.
    pub(super) suspicions: u64,
    pub(super) events: VecDeque<String>,
}

impl Environment {
    pub(super) fn has(&self, mutation: Mutation) -> bool {
        self.scenario.mutation == Some(mutation)
    }

    /// Sends a request to the ledger.
    pub(super) fn call(&mut self, caller: Caller, request: Request) -> CallId {
        self.network.call(caller, request, self.now, &self.scenario, &mut self.random)
    }

    /// Adds an event to the schedule.
    pub(super) fn note(&mut self, event: fmt::Arguments<'_>) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        let (seconds, milliseconds) = (self.now / 1000, self.now % 1000);
        self.events.push_back(format!("{seconds:>3}.{milliseconds:03} {event}"));
    }
}
