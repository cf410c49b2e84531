//! The leader lease of this node: the state machine of votekit-authority behind a lock.

use std::fmt::Write as _;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use votekit_authority::leader_lease::{self, Command, Event, Role};

use crate::clock::monotonic;
use crate::metrics;

/// This node's view of the leader lease.
#[derive(Debug)]
pub(crate) struct LeaderLease {
    /// The node's name and a number that differs at each start of the process.
    pub(crate) holder: String,
    machine: Mutex<leader_lease::LeaderLease>,
    /// The term in which this node leads; receivers are notified of each change.
    changes: watch::Sender<Option<u64>>,
}

impl LeaderLease {
    /// A lease that is not held. `life` is a random number of this process, so that a restarted
    /// node is not taken for its predecessor.
    pub(crate) fn new(
        name: &str,
        life: [u8; 4],
        length: Duration,
        renew_interval: Duration,
    ) -> Self {
        let mut holder = format!("{name}/");
        for byte in life {
            let _ = write!(holder, "{byte:02x}");
        }
        let machine = Mutex::new(leader_lease::LeaderLease::new(length, renew_interval));
        Self { holder, machine, changes: watch::Sender::new(None) }
    }

    /// The term in which this node leads, if it does.
    pub(crate) fn term(&self) -> Option<u64> {
        self.lock().term(monotonic())
    }

    /// The other node that leads, if known.
    pub(crate) fn other_leader(&self) -> Option<String> {
        self.lock().other_leader().map(str::to_owned)
    }

    /// How long until the next request is due.
    pub(crate) fn until_next_request(&self) -> Duration {
        self.lock().next_request().0.saturating_sub(monotonic().0)
    }

    /// Notifies when this node begins or ceases to lead. An expired lease does not notify: see
    /// [`LeaderLease::term`].
    pub(crate) fn changes(&self) -> watch::Receiver<Option<u64>> {
        self.changes.subscribe()
    }

    /// Records that the ledger refused a block, since another node has continued the log.
    pub(crate) fn overtaken(&self, term: Option<u64>) {
        let commands = self.step(Event::Overtaken { term });
        debug_assert!(commands.is_empty(), "a lost lease is not released");
    }

    /// Takes up an event, and announces a change of role. Returns the commands for the ledger.
    pub(crate) fn step(&self, event: Event) -> Vec<Command> {
        let mut machine = self.lock();
        let mut commands = machine.step(event, monotonic());
        commands.retain(|command| {
            let Command::Announce(role) = command else { return true };
            self.announce(role);
            false
        });
        commands
    }

    fn announce(&self, role: &Role) {
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
        self.changes.send_replace(term);
    }

    fn lock(&self) -> MutexGuard<'_, leader_lease::LeaderLease> {
        self.machine.lock()
    }
}
