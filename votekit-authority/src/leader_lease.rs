//! The leader lease: one of the nodes that may seal leads, for as long as it renews its lease.
//!
//! ```text
//! follower ──granted──▶ leader ──refused, overtaken, lease over──▶ follower
//!     └──────────── resign ──────────┴─────────▶ resigned
//! ```
//!
//! The lease saves work: without it several nodes would make blocks of which the ledger takes one.
//! It does not protect the log; the term does: the ledger refuses a block of an earlier term.
//!
//! A node counts its lease from the moment it asked. The ledger counts from the moment it answered,
//! which is later. So a node's lease ends before the ledger's, as far as both clocks run equally
//! fast.

use std::time::Duration;

use crate::monotonic::Monotonic;

/// The leader lease of one node.
#[derive(Debug, Clone)]
pub struct LeaderLease {
    length: Duration,
    renew_interval: Duration,
    role: Role,
    /// When the request was sent that has no answer yet.
    asked: Option<Monotonic>,
    next_request: Monotonic,
    /// Grants of earlier terms are stale: the ledger has refused a block of them.
    term_min: u64,
}

/// What a node knows of who leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Another node leads, or none.
    Follower {
        /// The holder of the lease, where it is known.
        leader: Option<String>,
    },
    /// This node leads.
    Leader {
        /// In this term.
        term: u64,
        /// Before this time.
        until: Monotonic,
    },
    /// This node stops and leads no more.
    Resigned,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// The ledger gave or renewed the lease.
    Granted {
        /// Terms begin at 1; each change of leader begins a higher one.
        term: u64,
    },
    /// Another node holds the lease.
    Refused {
        /// Its holder.
        leader: String,
    },
    /// The request failed or its outcome is unknown. A lease that was held runs out by itself.
    Failed,
    /// The ledger refused a block, since another node has continued the log.
    Overtaken {
        /// The present term, where the ledger reported it.
        term: Option<u64>,
    },
    /// The node stops.
    Resign,
}

/// What the driver does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Ask the ledger for the lease, or for more of it. Answered by [`Event::Granted`],
    /// [`Event::Refused`] or [`Event::Failed`], exactly once.
    Request {
        /// Length of the lease, and the longest time to wait for the answer.
        length: Duration,
        /// A new term is at least this one: blocks of earlier terms would be refused.
        at_least: u64,
    },
    /// Release the lease in the ledger, so that another node need not wait until it runs out.
    Release,
    /// The role changed: inform the tasks that depend on it.
    Announce(Role),
}

impl LeaderLease {
    /// A lease that is not held.
    ///
    /// `length` is how long a leader that failed delays the next one. `renew_interval` is several
    /// times shorter, so that one lost request does not cost the lease.
    #[must_use]
    pub const fn new(length: Duration, renew_interval: Duration) -> Self {
        Self {
            length,
            renew_interval,
            role: Role::Follower { leader: None },
            asked: None,
            next_request: Monotonic(Duration::ZERO),
            term_min: 0,
        }
    }

    /// How long a lease lasts.
    #[must_use]
    pub const fn length(&self) -> Duration {
        self.length
    }

    /// The term in which this node leads at a time.
    #[must_use]
    pub fn term(&self, now: Monotonic) -> Option<u64> {
        match self.role {
            Role::Leader { term, until } if now < until => Some(term),
            _ => None,
        }
    }

    /// The node that leads instead, where it is known.
    #[must_use]
    pub fn other_leader(&self) -> Option<&str> {
        match &self.role {
            Role::Follower { leader } => leader.as_deref(),
            _ => None,
        }
    }

    /// The role, as far as this node knows.
    #[must_use]
    pub const fn role(&self) -> &Role {
        &self.role
    }

    /// When the next request is due.
    #[must_use]
    pub const fn next_request(&self) -> Monotonic {
        self.next_request
    }

    /// Makes the next request due: the lease of another one has ended.
    pub fn hasten(&mut self, now: Monotonic) {
        self.next_request = self.next_request.min(now);
    }

    /// Requires new terms to be at least this one.
    pub fn require_term(&mut self, term_min: u64) {
        self.term_min = self.term_min.max(term_min);
    }

    /// Takes up an event. Commands are to be executed in their order.
    pub fn step(&mut self, event: Event, now: Monotonic) -> Vec<Command> {
        match event {
            Event::Tick => self.request(now),
            Event::Granted { term } => self.granted(term),
            Event::Refused { leader } => {
                self.asked = None;
                self.change(Role::Follower { leader: Some(leader) })
            }
            Event::Failed => {
                self.asked = None;
                Vec::new()
            }
            Event::Overtaken { term } => {
                let own = match self.role {
                    Role::Leader { term, .. } => term + 1,
                    _ => 0,
                };
                self.term_min = self.term_min.max(term.unwrap_or(own));
                self.change(Role::Follower { leader: None })
            }
            Event::Resign => {
                let mut commands = self.change(Role::Resigned);
                commands.push(Command::Release);
                commands
            }
        }
    }

    fn request(&mut self, now: Monotonic) -> Vec<Command> {
        // One request at a time: of two answers the older one could come last.
        if self.role == Role::Resigned || self.asked.is_some() || now < self.next_request {
            return Vec::new();
        }
        self.asked = Some(now);
        self.next_request = now + self.renew_interval;
        vec![Command::Request { length: self.length, at_least: self.term_min }]
    }

    fn granted(&mut self, term: u64) -> Vec<Command> {
        let Some(asked) = self.asked.take() else { return Vec::new() };
        if self.role == Role::Resigned {
            // The answer to a request that was sent before the stop.
            return vec![Command::Release];
        }
        if term < self.term_min {
            // A lease in a term in which the ledger takes no block: renewed, it would keep every
            // node from leading.
            return vec![Command::Release];
        }
        self.change(Role::Leader { term, until: asked + self.length })
    }

    /// Changes the role. A lease that was only extended, and a resigned node, announce nothing.
    fn change(&mut self, role: Role) -> Vec<Command> {
        if self.role == Role::Resigned {
            return Vec::new();
        }
        let same = match (&self.role, &role) {
            (Role::Leader { term: old, .. }, Role::Leader { term: new, .. }) => old == new,
            (old, new) => old == new,
        };
        self.role = role;
        if same { Vec::new() } else { vec![Command::Announce(self.role.clone())] }
    }
}

#[cfg(test)]
#[path = "leader_lease_test.rs"]
mod tests;
