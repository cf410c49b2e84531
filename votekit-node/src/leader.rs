//! Which node leads: the state machine of votekit-authority behind a lock.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use votekit_authority::leader_election::{Command, Event, LeaderElection};
use votekit_authority::leader_lease::{self, Role};
use votekit_authority::round::Quorum;
use votekit_core::authority::TermLeader;
use votekit_core::log::note::KeyName;

use crate::audit::{AuditEvent, AuditFields, AuditLog};
use crate::clock::monotonic;
use crate::metrics;

/// This node's view of the leader lease, and of the votes for it.
#[derive(Debug)]
pub(crate) struct LeaderLease {
    /// The node's name and a number that differs at each start of the process.
    pub(crate) holder: String,
    /// The name of the authority, or of the node if it is the only one.
    name: KeyName,
    audit: AuditLog,
    machine: Mutex<LeaderElection>,
    /// The term in which this node leads; receivers are notified of each change.
    changes: watch::Sender<Option<u64>>,
    /// The end of the lease of another holder, as the ledger reported it last.
    other_until: Mutex<Option<Instant>>,
    /// Commands of steps that were taken outside the task that executes them.
    pending: Mutex<Vec<Command>>,
    pub(crate) wake: Notify,
}

impl LeaderLease {
    /// A lease that this node does not have. `holder` differs at each start of a node, so that a
    /// restarted node is not taken for its predecessor. `times` are the length of the lease and the
    /// interval of its renewals.
    pub(crate) fn new(
        holder: String,
        name: KeyName,
        quorum: Quorum,
        times: (Duration, Duration),
        audit: AuditLog,
    ) -> Self {
        let (length, renew_interval) = times;
        let lease = leader_lease::LeaderLease::new(length, renew_interval);
        let machine = Mutex::new(LeaderElection::new(lease, name.clone(), quorum));
        Self {
            holder,
            name,
            audit,
            machine,
            changes: watch::Sender::new(None),
            other_until: Mutex::default(),
            pending: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// The holder name of a node that is the only authority, or of one of several processes of this
    /// authority. `life` is a random number of this process.
    pub(crate) fn holder_of(name: &str, life: [u8; 4]) -> String {
        let mut holder = format!("{name}/");
        for byte in life {
            let _ = write!(holder, "{byte:02x}");
        }
        holder
    }

    /// The term in which this node leads, if it does.
    pub(crate) fn term(&self) -> Option<u64> {
        self.lock().term(monotonic())
    }

    /// The term in which this node has the lease and waits for the votes of a quorum.
    pub(crate) fn candidate_term(&self) -> Option<u64> {
        self.lock().candidate_term()
    }

    /// The leaderships of which suspicions are to be passed in.
    pub(crate) fn suspectable(&self) -> Vec<TermLeader> {
        self.lock().suspectable()
    }

    /// The other node that leads, if known.
    pub(crate) fn other_leader(&self) -> Option<String> {
        self.lock().other_leader().map(str::to_owned)
    }

    /// The time until the next request is due: while another node leads, the time after which its
    /// lease can have expired. A request before that returns nothing new, unless the lease was
    /// released or is passed over.
    pub(crate) fn until_next_request(&self) -> Duration {
        let machine = self.lock();
        let due = machine.next_request().0.saturating_sub(monotonic().0);
        if machine.is_passing_over() {
            return due;
        }
        drop(machine);
        let other_until = *self.other_until.lock();
        other_until.map_or(due, |until| due.max(until.saturating_duration_since(Instant::now())))
    }

    /// Records the remaining time of the lease of another holder, if another holder has it.
    pub(crate) fn note_other_lease(&self, remaining: Option<Duration>) {
        *self.other_until.lock() = remaining.map(|remaining| Instant::now() + remaining);
    }

    /// Notifies when this node begins or ceases to lead. An expired lease does not notify: see
    /// [`LeaderLease::term`].
    pub(crate) fn changes(&self) -> watch::Receiver<Option<u64>> {
        self.changes.subscribe()
    }

    /// Records that the ledger refused a block, since another node has continued the log.
    pub(crate) fn overtaken(&self, term: Option<u64>) {
        let commands = self.step(Event::Lease(leader_lease::Event::Overtaken { term }));
        debug_assert!(commands.is_empty(), "a lost lease is not released");
    }

    /// Records the leadership that this node has promised to follow.
    pub(crate) fn record_promise(&self, promise: &TermLeader) {
        self.lock().record_promise(promise);
    }

    /// Stops leading at once. The task that renews the lease releases it.
    pub(crate) fn step_down(&self) {
        self.stop_leading(Event::StepDown);
    }

    /// Stops leading at once, and from now on leads only while no other authority can: an election
    /// that needs blocks is halted here.
    pub(crate) fn hinder(&self) {
        self.stop_leading(Event::Hindered);
    }

    fn stop_leading(&self, event: Event) {
        let commands = self.step(event);
        if !commands.is_empty() {
            self.pending.lock().extend(commands);
            self.wake.notify_one();
        }
    }

    /// Returns the commands of steps that were made elsewhere.
    pub(crate) fn take_pending(&self) -> Vec<Command> {
        std::mem::take(&mut *self.pending.lock())
    }

    /// Processes an event, and announces a change of role. Returns the commands for the ledger.
    pub(crate) fn step(&self, event: Event) -> Vec<Command> {
        let reason = reason_to_follow(&event);
        let mut machine = self.lock();
        let mut commands = machine.step(event, monotonic());
        commands.retain(|command| {
            let Command::Announce(role) = command else { return true };
            self.announce(role, reason);
            false
        });
        commands
    }

    fn announce(&self, role: &Role, reason: &str) {
        let term = match role {
            Role::Leader { term, .. } => {
                tracing::info!(
                    event = "leadership_acquired",
                    term,
                    leader = self.holder,
                    "this node leads"
                );
                Some(*term)
            }
            Role::Follower { leader } => {
                tracing::info!(event = "leader_changed", leader, "this node does not lead");
                None
            }
            Role::Resigned => None,
        };
        metrics::leading(term.is_some());
        let before = self.changes.send_replace(term);
        let own = Some(self.name.as_str());
        if let Some(before) = before.filter(|before| term != Some(*before)) {
            let reason = Some(reason);
            let fields =
                AuditFields { term: Some(before), leader: own, reason, ..Default::default() };
            self.audit.record(AuditEvent::LeaderSteppedDown, &fields);
        }
        if term.is_some() && term != before {
            let fields = AuditFields { term, leader: own, ..Default::default() };
            self.audit.record(AuditEvent::LeaderElected, &fields);
        }
    }

    fn lock(&self) -> MutexGuard<'_, LeaderElection> {
        self.machine.lock()
    }
}

/// Why a leader ceases to lead with this event, for the audit log.
fn reason_to_follow(event: &Event) -> &'static str {
    match event {
        Event::StepDown => "step-down",
        Event::Hindered => "halted",
        Event::SuspectedBy { .. } => "suspected",
        Event::Lease(leader_lease::Event::Resign) => "stop",
        Event::Lease(leader_lease::Event::Overtaken { .. }) => "overtaken",
        _ => "lease-lost",
    }
}
