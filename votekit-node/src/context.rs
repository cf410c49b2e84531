//! What the tasks of a node share, and what a failure of one of them ends.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use votekit_core::id::{ElectionId, RequestId};
use votekit_core::instant::UnixMillis;
use votekit_store::{BallotBox, EngineError, Hint, Ledger, Registry, clock};

use crate::config::{Config, Role};
use crate::data_folder::DataFolder;
use crate::election::ElectionHandle;
use crate::error::NodeError;
use crate::leader::LeaderLease;
use crate::limits::admission::Admission;
use crate::limits::throttle::Throttle;
use crate::memory::overwriting_stack;
use crate::observed::Observed;
use crate::pending::Pending;

/// What the tasks of a node share.
pub(crate) struct NodeContext {
    pub(crate) config: Config,
    pub(crate) folder: DataFolder,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) ballot_box: Arc<dyn BallotBox>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) pending: Pending,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) admission: Admission,
    pub(crate) elections: RwLock<BTreeMap<ElectionId, Arc<ElectionHandle>>>,
    pub(crate) lead: LeaderLease,
    /// Whether other processes use the same engines.
    pub(crate) is_shared: bool,
    /// Held while an election is created, or taken up.
    pub(crate) creating: tokio::sync::Mutex<()>,
    /// Held by the one roll that is being loaded.
    pub(crate) loading: Arc<tokio::sync::Mutex<()>>,
    /// What the watch saw last.
    pub(crate) observed: Arc<Observed>,
    pub(crate) failure: tokio::sync::watch::Sender<Option<Failure>>,
    /// True once the node is about to stop: open requests are then answered without waiting.
    pub(crate) hurrying: tokio::sync::watch::Sender<bool>,
    /// Added to the wall clock, in milliseconds: 0 but in tests of a clock that steps.
    pub(crate) clock_offset: AtomicI64,
    /// The tasks of the node, and their jobs: see [`Job`].
    pub(crate) tasks: TaskTracker,
    /// Cancelled to end every task at once.
    pub(crate) stop: CancellationToken,
}

/// A job that a task of the node started beside itself. It is aborted with the task, and nothing
/// awaits it then: a stop waits until the last one is dropped, so that engines are closed when it
/// returns.
pub(crate) struct Job {
    // Dropped in this order: the engines first.
    context: Arc<NodeContext>,
    _running: TaskTrackerToken,
}

impl std::ops::Deref for Job {
    type Target = NodeContext;

    fn deref(&self) -> &NodeContext {
        &self.context
    }
}

/// Why a node stops by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    /// A fault of votekit, and not of the disk, a server or the configuration.
    pub(crate) is_panic: bool,
}

/// Whose task it is decides what a panic in it ends.
#[derive(Clone)]
pub(crate) enum Owner {
    /// The node.
    Node,
    /// One election.
    Election(Arc<ElectionHandle>),
}

impl NodeContext {
    /// Whether this node has a role.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.config.roles.contains(&role)
    }

    /// One process on engines of its own must do everything.
    pub(crate) fn check_roles(&self) -> Result<(), NodeError> {
        let missing = Role::ALL.into_iter().find(|role| !self.has(*role) && !self.is_shared);
        missing.map_or(Ok(()), |role| Err(NodeError::Role { role }))
    }

    pub(crate) fn now(&self) -> UnixMillis {
        let offset = self.clock_offset.load(Ordering::Relaxed);
        UnixMillis(clock::now().0.saturating_add_signed(offset))
    }

    pub(crate) fn election(&self, law_id: &ElectionId) -> Option<Arc<ElectionHandle>> {
        self.elections.read().get(law_id).cloned()
    }

    pub(crate) fn elections(&self) -> Vec<Arc<ElectionHandle>> {
        self.elections.read().values().cloned().collect()
    }

    /// Notes a failure after which the node must stop; the first is kept.
    pub(crate) fn fail(&self, error: &EngineError) {
        let is_panic = matches!(error, EngineError::Panicked { .. });
        self.stop_by_itself(Failure { reason: error.to_string(), is_panic });
    }

    /// Notes a failure that no engine reported.
    pub(crate) fn fail_with(&self, reason: String) {
        self.stop_by_itself(Failure { reason, is_panic: false });
    }

    /// Notes that a task without which nothing can go on has panicked.
    pub(crate) fn fail_by_panic(&self, what: &dyn fmt::Display) {
        self.stop_by_itself(Failure { reason: what.to_string(), is_panic: true });
    }

    fn stop_by_itself(&self, failure: Failure) {
        tracing::error!(error = failure.reason, "the node stops");
        self.failure.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(failure);
            first
        });
    }

    /// Notes a failure of one election. What every election depends on stops the node; anything
    /// else halts that election on this node, and no other.
    pub(crate) fn fail_election(&self, cell: &ElectionHandle, error: &EngineError) {
        match error {
            EngineError::Fatal { .. } | EngineError::Panicked { .. } => self.fail(error),
            error => halt(cell, &error.to_string()),
        }
    }

    /// Starts a task. Should it panic, the node stops, or the election whose task it is halts:
    /// nothing may go on as if its work were done.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        owner: Owner,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let mut task = self.tasks.spawn(overwriting_stack(task));
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            let ended = tokio::select! {
                ended = &mut task => ended,
                () = shared.stop.cancelled() => {
                    task.abort();
                    task.await
                }
            };
            if let Err(error) = ended
                && error.is_panic()
            {
                match owner {
                    Owner::Node => {
                        shared.fail_by_panic(&format_args!("a task of the node panicked: {error}"));
                    }
                    Owner::Election(cell) => halt(&cell, &format!("a task panicked: {error}")),
                }
            }
        });
    }

    /// Passes the registry's hints on requests in flight to their voters and to the throttle.
    pub(crate) fn report_hints(&self, hints: impl Iterator<Item = (RequestId, Hint)>) {
        for (request, hint) in hints {
            let turn = self.pending.hint(&request, hint);
            if let Some(turn) = turn
                && matches!(hint, Hint::Unknown | Hint::Revoked)
            {
                turn.wrong();
            }
        }
    }

    /// This context, for a job that a task starts.
    pub(crate) fn job(self: &Arc<Self>) -> Job {
        Job { context: Arc::clone(self), _running: self.tasks.token() }
    }

    /// Ends every task at once, and waits until the last of them and of their jobs is dropped.
    pub(crate) async fn end_tasks(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Resolves when the node is about to stop and open requests must be answered at once.
    pub(crate) async fn hurried(&self) {
        let mut hurrying = self.hurrying.subscribe();
        // The sender lives as long as this.
        let _ = hurrying.wait_for(|hurrying| *hurrying).await;
    }
}

/// Halts an election on this node: no vote is taken for it and nothing of it is sealed here until
/// the node is started again. What was answered is durable.
fn halt(cell: &ElectionHandle, reason: &str) {
    if cell.halt(reason) {
        tracing::error!(law_id = %cell.law_id(), reason, "alarm: an election is halted on this node");
    }
}
