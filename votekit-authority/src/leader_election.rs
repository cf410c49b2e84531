//! Leader election: the authority that holds the lease of a term leads once a quorum has voted for
//! it in that term.
//!
//! ```text
//! follower ──lease granted──▶ candidate ──q votes──▶ leader
//!    ▲                           │ 3 s               │ lease over, overtaken, step-down
//!    └───────── pause ◀──────────┴───────────────────┘
//! ```
//!
//! The lease is the failure detector and breaks ties: there are no random timers. The votes make
//! the term safe: each is a promise to accept nothing of an earlier leadership. With one authority
//! the lease alone decides.

use std::collections::BTreeSet;
use std::time::Duration;

use votekit_core::authority::TermLeader;
use votekit_core::log::note::KeyName;

use crate::leader_lease::{self, LeaderLease, Role};
use crate::monotonic::Monotonic;
use crate::round::Quorum;

/// How long a candidate waits for the votes of a quorum before it lets another one try.
pub const CANDIDACY_TIMEOUT: Duration = Duration::from_secs(3);

/// How long an authority does not ask for the lease after it stepped down.
pub const STEP_DOWN_PAUSE: Duration = Duration::from_secs(3);

/// The election of leaders, as one authority sees it.
#[derive(Debug, Clone)]
pub struct LeaderElection {
    lease: LeaderLease,
    name: KeyName,
    quorum: Quorum,
    candidacy: Option<Candidacy>,
    /// No request for the lease before this time.
    paused_until: Option<Monotonic>,
}

#[derive(Debug, Clone)]
struct Candidacy {
    term: u64,
    since: Monotonic,
    voters: BTreeSet<KeyName>,
    is_elected: bool,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An event of the lease.
    Lease(leader_lease::Event),
    /// A verified vote was read, or the own one was stored.
    Voted {
        /// The authority that votes.
        authority: KeyName,
        /// The leadership that it votes for.
        leadership: TermLeader,
    },
    /// This leader cannot do its work, or an operator asks it to step down.
    StepDown,
}

/// What the driver does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Ask the ledger for the lease, or for more of it.
    Request {
        /// Length of the lease, and the longest time to wait for the answer.
        length: Duration,
        /// A new term is at least this one.
        at_least: u64,
    },
    /// Release the lease in the ledger.
    Release,
    /// Vote for this authority's own leadership of a term.
    VoteForSelf {
        /// The term.
        term: u64,
    },
    /// The role changed: inform the tasks that depend on it.
    Announce(Role),
}

impl LeaderElection {
    /// The election as authority `name` sees it, which holds no lease.
    #[must_use]
    pub fn new(lease: LeaderLease, name: KeyName, quorum: Quorum) -> Self {
        Self { lease, name, quorum, candidacy: None, paused_until: None }
    }

    /// The term in which this authority leads at a time.
    #[must_use]
    pub fn term(&self, now: Monotonic) -> Option<u64> {
        let term = self.lease.term(now)?;
        (self.is_alone() || self.elected_term() == Some(term)).then_some(term)
    }

    /// The term in which this authority holds the lease without the votes of a quorum.
    #[must_use]
    pub fn candidate_term(&self) -> Option<u64> {
        let candidacy = self.candidacy.as_ref().filter(|candidacy| !candidacy.is_elected)?;
        Some(candidacy.term)
    }

    /// The node that holds the lease instead, where it is known.
    #[must_use]
    pub fn other_leader(&self) -> Option<&str> {
        self.lease.other_leader()
    }

    /// When the next request is due.
    #[must_use]
    pub fn next_request(&self) -> Monotonic {
        let next = self.lease.next_request();
        self.paused_until.map_or(next, |until| until.max(next))
    }

    /// Requires new terms to be at least this one.
    pub fn require_term(&mut self, term_min: u64) {
        self.lease.require_term(term_min);
    }

    /// Takes up an event. Commands are to be executed in their order.
    pub fn step(&mut self, event: Event, now: Monotonic) -> Vec<Command> {
        match event {
            Event::Lease(leader_lease::Event::Tick) => self.tick(now),
            Event::Lease(event) => self.lease_step(event, now),
            Event::Voted { authority, leadership } => self.voted(authority, &leadership, now),
            Event::StepDown => self.step_down(now),
        }
    }

    fn is_alone(&self) -> bool {
        self.quorum.authorities <= 1
    }

    fn elected_term(&self) -> Option<u64> {
        let candidacy = self.candidacy.as_ref().filter(|candidacy| candidacy.is_elected)?;
        Some(candidacy.term)
    }

    fn tick(&mut self, now: Monotonic) -> Vec<Command> {
        let is_late = self.candidacy.as_ref().is_some_and(|candidacy| {
            !candidacy.is_elected && now >= candidacy.since + CANDIDACY_TIMEOUT
        });
        if is_late {
            return self.step_down(now);
        }
        if self.paused_until.is_some_and(|until| now < until) {
            return Vec::new();
        }
        self.paused_until = None;
        self.lease_step(leader_lease::Event::Tick, now)
    }

    fn lease_step(&mut self, event: leader_lease::Event, now: Monotonic) -> Vec<Command> {
        let commands = self.lease.step(event, now);
        let mut translated = Vec::with_capacity(commands.len());
        for command in commands {
            match command {
                leader_lease::Command::Request { length, at_least } => {
                    translated.push(Command::Request { length, at_least });
                }
                leader_lease::Command::Release => translated.push(Command::Release),
                leader_lease::Command::Announce(Role::Leader { term, .. }) if !self.is_alone() => {
                    let voters = BTreeSet::new();
                    self.candidacy =
                        Some(Candidacy { term, since: now, voters, is_elected: false });
                    translated.push(Command::VoteForSelf { term });
                }
                leader_lease::Command::Announce(role) => {
                    self.candidacy = None;
                    translated.push(Command::Announce(role));
                }
            }
        }
        translated
    }

    fn voted(
        &mut self,
        authority: KeyName,
        leadership: &TermLeader,
        now: Monotonic,
    ) -> Vec<Command> {
        let Some(candidacy) = &mut self.candidacy else { return Vec::new() };
        if leadership.leader != self.name || leadership.term != candidacy.term {
            return Vec::new();
        }
        candidacy.voters.insert(authority);
        if candidacy.is_elected || candidacy.voters.len() < self.quorum.quorum {
            return Vec::new();
        }
        candidacy.is_elected = true;
        let term = candidacy.term;
        // The lease may be over by now: then nobody needs to know.
        match self.lease.role() {
            Role::Leader { until, .. } if now < *until => {
                vec![Command::Announce(Role::Leader { term, until: *until })]
            }
            _ => Vec::new(),
        }
    }

    fn step_down(&mut self, now: Monotonic) -> Vec<Command> {
        if self.lease.term(now).is_none() && self.candidacy.is_none() {
            return Vec::new();
        }
        self.candidacy = None;
        self.paused_until = Some(now + STEP_DOWN_PAUSE);
        let mut commands = self.lease_step(leader_lease::Event::Overtaken { term: None }, now);
        commands.push(Command::Release);
        commands
    }
}

#[cfg(test)]
#[path = "leader_election_test.rs"]
mod tests;
