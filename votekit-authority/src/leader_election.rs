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
//!
//! A leader steps down when it cannot work, and when too many authorities refuse its blocks for a
//! quorum to accept them. A lease granted in a term below the promise is released at once: a ledger
//! that was restored from an older copy grants old terms again.
//!
//! Followers watch the lease. A follower suspects a holder that is not elected within 10 s: it
//! lies, or the votes for it do not reach the ledger, and nothing is decided in its term. An honest
//! candidate steps down long before that. When a quorum suspects the holder, each authority
//! requests the lease at once, and the first request ends the holder's lease in the same step.
//!
//! An authority on which an election is halted can propose none of its blocks. It leaves the lead
//! to the others: it steps down, releases the first lease that it is granted afterwards, and keeps
//! a second lease only if no other authority has led meanwhile. So it leads again only while no
//! other authority can.

use std::collections::BTreeSet;
use std::time::Duration;

use votekit_core::authority::TermLeader;
use votekit_core::log::note::KeyName;

use crate::leader_lease::{self, LeaderLease, Role};
use crate::monotonic::Monotonic;
use crate::round::{Quorum, TERM_STEP_MAX};

/// How long a candidate waits for the votes of a quorum before it steps down in favour of another.
pub const CANDIDACY_TIMEOUT: Duration = Duration::from_secs(3);

/// How long an authority does not request the lease after it stepped down.
pub const STEP_DOWN_PAUSE: Duration = Duration::from_secs(3);

/// How long another authority may hold the lease of a term without the votes of a quorum before it
/// is suspected. Far longer than [`CANDIDACY_TIMEOUT`], so that no honest candidate is suspected.
pub const ELECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The interval between two requests that pass over the same lease, while the ledger still shows
/// it: the first request may have failed, or its effect was lost when the ledger was restored from
/// an older copy.
const PASS_OVER_INTERVAL: Duration = Duration::from_secs(1);

/// The election of leaders, as one authority sees it.
#[derive(Debug, Clone)]
pub struct LeaderElection {
    lease: LeaderLease,
    name: KeyName,
    quorum: Quorum,
    candidacy: Option<Candidacy>,
    /// No request for the lease before this time.
    paused_until: Option<Monotonic>,
    /// After a request that failed: the highest term that the ledger cannot refuse as too far.
    at_least_max: Option<u64>,
    /// Whether an election that needs blocks is halted on this authority.
    is_hindered: bool,
    /// Whether this authority has released a lease to the others since another authority last led.
    has_yielded: bool,
    /// The lease of another authority that the ledger showed last.
    watched: Option<WatchedTerm>,
    /// The term that the next request passes over.
    passes_over: Option<u64>,
}

#[derive(Debug, Clone)]
struct Candidacy {
    term: u64,
    since: Monotonic,
    voters: BTreeSet<KeyName>,
    is_elected: bool,
    /// The authorities that refused a block of this term.
    refusing: BTreeSet<KeyName>,
    /// The authorities that suspect this leader.
    suspecting: BTreeSet<KeyName>,
}

/// The lease of a term that another authority holds.
#[derive(Debug, Clone)]
struct WatchedTerm {
    term: u64,
    /// `None` if the holder is not an authority: no vote for it counts.
    holder: Option<KeyName>,
    /// When the lease was first seen, or when its holder was last suspected.
    since: Monotonic,
    voters: BTreeSet<KeyName>,
    suspecting: BTreeSet<KeyName>,
    passed_over_at: Option<Monotonic>,
}

/// An input of the state machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An event of the lease.
    Lease(leader_lease::Event),
    /// A verified vote was read, or this authority's own vote was stored.
    Voted {
        /// The authority that votes.
        authority: KeyName,
        /// The leadership that it votes for.
        leadership: TermLeader,
    },
    /// Another authority refused a block that was proposed in a term.
    RefusedBy {
        /// The authority that refuses.
        authority: KeyName,
        /// The term of the proposal.
        term: u64,
    },
    /// The ledger shows that another authority holds the lease of a term now. The driver has
    /// already passed in every vote for that leadership that is in the ledger.
    HeldBy {
        /// The term.
        term: u64,
        /// The holder; `None` if it is not an authority.
        holder: Option<KeyName>,
    },
    /// A verified suspicion of the leader of a term was read, or this authority's own was stored.
    SuspectedBy {
        /// The authority that suspects.
        authority: KeyName,
        /// The term.
        term: u64,
    },
    /// This leader cannot do its work, or an operator asks it to step down.
    StepDown,
    /// An election that needs blocks is halted on this authority: another authority should lead, if
    /// any can. Each further event of this kind makes this authority release the lease once more.
    Hindered,
}

/// The next action of the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Ask the ledger for the lease, or for more of it.
    Request {
        /// Length of the lease, and the longest time to wait for the answer.
        length: Duration,
        /// The minimum number of a new term.
        at_least: u64,
        /// The term whose lease ends in the same step: a quorum suspects its holder, or its holder
        /// is not an authority.
        passes_over: Option<u64>,
    },
    /// Release the lease in the ledger.
    Release,
    /// Vote for this authority's own leadership of a term.
    VoteForSelf {
        /// The term.
        term: u64,
    },
    /// Suspect the holder of the lease of a term of doing nothing: no quorum votes for it.
    Suspect {
        /// The term, and its holder.
        leadership: TermLeader,
    },
    /// The role changed: inform the tasks that depend on it.
    Announce(Role),
}

impl Candidacy {
    const fn new(term: u64, since: Monotonic) -> Self {
        Self {
            term,
            since,
            voters: BTreeSet::new(),
            is_elected: false,
            refusing: BTreeSet::new(),
            suspecting: BTreeSet::new(),
        }
    }
}

impl LeaderElection {
    /// The election as authority `name` sees it, which holds no lease.
    #[must_use]
    pub fn new(lease: LeaderLease, name: KeyName, quorum: Quorum) -> Self {
        Self {
            lease,
            name,
            quorum,
            candidacy: None,
            paused_until: None,
            at_least_max: None,
            is_hindered: false,
            has_yielded: false,
            watched: None,
            passes_over: None,
        }
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

    /// The leaderships whose suspicions the driver must pass in: that of the own lease, and that of
    /// the other authority whose lease the ledger showed last.
    #[must_use]
    pub fn suspectable(&self) -> Vec<TermLeader> {
        let own = self.candidacy.as_ref();
        let own = own.map(|own| TermLeader { term: own.term, leader: self.name.clone() });
        let watched = self.watched.as_ref().and_then(|watched| {
            Some(TermLeader { term: watched.term, leader: watched.holder.clone()? })
        });
        own.into_iter().chain(watched).collect()
    }

    /// Whether the next request passes a lease over.
    #[must_use]
    pub const fn is_passing_over(&self) -> bool {
        self.passes_over.is_some()
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

    /// Sets the minimum number of a new term.
    pub fn require_term(&mut self, term_min: u64) {
        self.lease.require_term(term_min);
    }

    /// Records the promise of this authority's last vote: it leads in no earlier term, nor in the
    /// promised term if the vote was for another leader.
    pub fn record_promise(&mut self, promise: &TermLeader) {
        let is_own = promise.leader == self.name;
        self.lease.require_term(if is_own { promise.term } else { promise.term + 1 });
    }

    /// Processes an event. The caller executes the commands in their order.
    pub fn step(&mut self, event: Event, now: Monotonic) -> Vec<Command> {
        match event {
            Event::Lease(leader_lease::Event::Tick) => self.tick(now),
            Event::Lease(event) => self.lease_step(event, now),
            Event::Voted { authority, leadership } => self.voted(authority, &leadership),
            Event::RefusedBy { authority, term } => self.refused_by(authority, term, now),
            Event::HeldBy { term, holder } => self.held_by(term, holder, now),
            Event::SuspectedBy { authority, term } => self.suspected_by(authority, term, now),
            Event::StepDown => self.step_down(now),
            Event::Hindered => {
                (self.is_hindered, self.has_yielded) = (true, false);
                self.step_down(now)
            }
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
        self.note_answer(&event);
        if matches!(event, leader_lease::Event::Granted { .. }) {
            self.watched = None;
        }
        match event {
            leader_lease::Event::Granted { .. } if self.is_to_yield() => {
                return self.yield_lease(now);
            }
            // Another authority leads: when it is gone, the others have the first chance again.
            leader_lease::Event::Refused { .. } => self.has_yielded = false,
            _ => {}
        }
        let commands = self.lease.step(event, now);
        let mut translated = Vec::with_capacity(commands.len());
        for command in commands {
            match command {
                leader_lease::Command::Request { length, at_least } => {
                    let at_least = self.at_least_max.map_or(at_least, |max| at_least.min(max));
                    let passes_over = self.passes_over.take();
                    translated.push(Command::Request { length, at_least, passes_over });
                }
                leader_lease::Command::Release => translated.push(Command::Release),
                leader_lease::Command::Announce(Role::Leader { term, .. }) if !self.is_alone() => {
                    self.candidacy = Some(Candidacy::new(term, now));
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

    /// Derives from an answer the highest term that the next request may require. A ledger that was
    /// restored from an older copy may be more than [`TERM_STEP_MAX`] terms behind the promise and
    /// fails every request for such a term. Its term is then raised in steps, by leases that are
    /// released at once.
    fn note_answer(&mut self, event: &leader_lease::Event) {
        match event {
            leader_lease::Event::Failed => self.at_least_max = Some(TERM_STEP_MAX),
            leader_lease::Event::Granted { term } if self.at_least_max.is_some() => {
                self.at_least_max = Some(term.saturating_add(TERM_STEP_MAX));
            }
            leader_lease::Event::Refused { .. } => self.at_least_max = None,
            _ => {}
        }
    }

    fn is_to_yield(&self) -> bool {
        self.is_hindered && !self.has_yielded && !self.is_alone()
    }

    /// Releases a lease, and requests none for the length of a lease, so that the others can
    /// acquire it.
    fn yield_lease(&mut self, now: Monotonic) -> Vec<Command> {
        self.has_yielded = true;
        let until = now + self.lease.length();
        self.paused_until = Some(self.paused_until.map_or(until, |paused| paused.max(until)));
        // The request is answered, and the lease is not held.
        let commands = self.lease.step(leader_lease::Event::Failed, now);
        debug_assert!(commands.is_empty(), "a failed request commands nothing");
        vec![Command::Release]
    }

    fn voted(&mut self, authority: KeyName, leadership: &TermLeader) -> Vec<Command> {
        if let Some(watched) = &mut self.watched
            && watched.term == leadership.term
            && watched.holder.as_ref() == Some(&leadership.leader)
        {
            watched.voters.insert(authority.clone());
        }
        let Some(candidacy) = &mut self.candidacy else { return Vec::new() };
        if leadership.leader != self.name || leadership.term != candidacy.term {
            return Vec::new();
        }
        candidacy.voters.insert(authority);
        if candidacy.is_elected || candidacy.voters.len() < self.quorum.quorum {
            return Vec::new();
        }
        candidacy.is_elected = true;
        // The lease may have expired a moment ago. The role is announced nevertheless: a renewal in
        // the same term would not announce it, and `term` checks when the lease ends.
        vec![Command::Announce(self.lease.role().clone())]
    }

    fn refused_by(&mut self, authority: KeyName, term: u64, now: Monotonic) -> Vec<Command> {
        let Some(candidacy) = &mut self.candidacy else { return Vec::new() };
        // Its own refusal of its own block would show before it proposes.
        if candidacy.term != term || !candidacy.is_elected || authority == self.name {
            return Vec::new();
        }
        candidacy.refusing.insert(authority);
        if candidacy.refusing.len() < self.quorum.blocking() {
            return Vec::new();
        }
        self.step_down(now)
    }

    /// Watches the lease of another authority. Suspects the holder after every [`ELECTION_TIMEOUT`]
    /// without the votes of a quorum, again and again: a suspicion may have been lost.
    fn held_by(&mut self, term: u64, holder: Option<KeyName>, now: Monotonic) -> Vec<Command> {
        if self.is_alone() {
            return Vec::new();
        }
        let quorum = self.quorum.quorum;
        let known = self.watched.take();
        let known = known.filter(|watched| watched.term == term && watched.holder == holder);
        let watched = self.watched.insert(known.unwrap_or(WatchedTerm {
            term,
            holder,
            since: now,
            voters: BTreeSet::new(),
            suspecting: BTreeSet::new(),
            passed_over_at: None,
        }));
        if watched.suspecting.len() >= quorum {
            self.pass_over(now);
            return Vec::new();
        }
        if watched.voters.len() >= quorum || now < watched.since + ELECTION_TIMEOUT {
            return Vec::new();
        }
        watched.since = now;
        let Some(leader) = watched.holder.clone() else {
            // No statement names it, and no vote for it counts.
            self.pass_over(now);
            return Vec::new();
        };
        vec![Command::Suspect { leadership: TermLeader { term, leader } }]
    }

    fn suspected_by(&mut self, authority: KeyName, term: u64, now: Monotonic) -> Vec<Command> {
        let quorum = self.quorum.quorum;
        if let Some(candidacy) = self.candidacy.as_mut().filter(|own| own.term == term) {
            candidacy.suspecting.insert(authority);
            let is_over = candidacy.suspecting.len() >= quorum;
            return if is_over { self.step_down(now) } else { Vec::new() };
        }
        if let Some(watched) = self.watched.as_mut().filter(|watched| watched.term == term) {
            watched.suspecting.insert(authority);
            if watched.suspecting.len() >= quorum {
                self.pass_over(now);
            }
        }
        Vec::new()
    }

    /// Passes over the lease that is watched with the next request, which is due at once.
    fn pass_over(&mut self, now: Monotonic) {
        let Some(watched) = &mut self.watched else { return };
        if watched.passed_over_at.is_none_or(|at| now >= at + PASS_OVER_INTERVAL) {
            watched.passed_over_at = Some(now);
            self.passes_over = Some(watched.term);
            self.lease.hasten(now);
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
