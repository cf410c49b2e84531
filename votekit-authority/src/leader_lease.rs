//! The leader lease: of the nodes that may seal, the holder of the lease leads for as long as it
//! renews the lease.
//!
//! ```text
//! follower ──granted──▶ leader ──refused, overtaken, lease over──▶ follower
//!     └──────────── resign ──────────┴─────────▶ resigned
//! ```
//!
//! The lease saves work: without it several nodes would make blocks, and the ledger would accept
//! only one of them. It does not protect the log; the term does: the ledger refuses a block of an
//! earlier term.
//!
//! A node counts its lease from the time of its request, and the ledger from the time of its
//! answer, which is later. So the lease ends on the node before it ends in the ledger, if both
//! clocks run at the same speed.

use std::time::Duration;

use crate::monotonic::Monotonic;

/// The leader lease of one node.
#[derive(Debug, Clone)]
pub struct LeaderLease {
    length: Duration,
    renew_interval: Duration,
    role: Role,
    /// When the unanswered request was sent.
    asked: Option<Monotonic>,
    next_request: Monotonic,
    /// Grants of lower terms are released: the ledger would refuse their blocks.
    term_min: u64,
}

/// The role of a node, as far as it knows.
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
    /// This node is stopping and does not lead again.
    Resigned,
}

/// An input of the state machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// The ledger granted or renewed the lease.
    Granted {
        /// Terms begin at 1; each change of leader begins a higher term.
        term: u64,
    },
    /// Another node holds the lease.
    Refused {
        /// Its holder.
        leader: String,
    },
    /// The request failed or its outcome is unknown. A lease that was held expires at its time.
    Failed,
    /// The ledger refused a block, because another node has continued the log.
    Overtaken {
        /// The present term, where the ledger reported it.
        term: Option<u64>,
    },
    /// The node stops.
    Resign,
}

/// The next action of the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Request the lease, or its renewal, from the ledger. Answered by [`Event::Granted`],
    /// [`Event::Refused`] or [`Event::Failed`], exactly once.
    Request {
        /// Length of the lease, and the longest time to wait for the answer.
        length: Duration,
        /// The minimum number of a new term: blocks of lower terms would be refused.
        at_least: u64,
    },
    /// Release the lease in the ledger, so that another node need not wait until it expires.
    Release,
    /// The role changed: inform the tasks that depend on it.
    Announce(Role),
}

impl LeaderLease {
    /// A lease that is not held.
    ///
    /// A leader that failed delays the next leader by up to `length`. `renew_interval` is several
    /// times shorter, so that the lease survives one lost request.
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

    /// Makes the next request due now.
    pub fn hasten(&mut self, now: Monotonic) {
        self.next_request = self.next_request.min(now);
    }

    /// Sets the minimum number of a new term.
    pub fn require_term(&mut self, term_min: u64) {
        self.term_min = self.term_min.max(term_min);
    }

    /// Processes an event. The caller executes the commands in their order.
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
        // One request at a time: two answers could arrive in the wrong order.
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
            // The ledger accepts no block in this term. If this node renewed the lease, no node
            // could lead.
            return vec![Command::Release];
        }
        self.change(Role::Leader { term, until: asked + self.length })
    }

    /// Changes the role. Announces nothing if the lease was only extended, or after a resignation.
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
