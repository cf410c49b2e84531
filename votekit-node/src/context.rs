//! The data that the tasks of a node share: engines, state, the latest observations. Also the
//! consequences of a failed task.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use votekit_core::authority::{AuthoritySet, AuthorityStatus};
use votekit_core::election::State;
use votekit_core::id::{ElectionId, RequestId};
use votekit_core::instant::UnixMillis;
use votekit_store::{Accounts, BallotBox, EngineError, Hint, Ledger, Registry, clock};

use crate::audit::{AuditEvent, AuditFields, AuditLog};
use crate::authority::{AuthorityContext, DraftTasks};
use crate::config::{Config, Role};
use crate::data_folder::DataFolder;
use crate::election::{DamagedElection, ElectionHandle};
use crate::error::ElectionFault;
use crate::error::NodeError;
use crate::failure::NodeFailure;
use crate::leader::LeaderLease;
use crate::limits::admission::VoteAdmission;
use crate::limits::throttle::Throttle;
use crate::memory::overwriting_stack;
use crate::pending::Pending;
use crate::roll_store::PepperNeed;
use crate::upload_claims::UploadClaims;

/// State shared by the tasks of a node.
pub(crate) struct NodeContext {
    pub(crate) config: Config,
    pub(crate) folder: DataFolder,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) ballot_box: Arc<dyn BallotBox>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) accounts: Arc<dyn Accounts>,
    pub(crate) pending: Pending,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) admission: VoteAdmission,
    pub(crate) elections: RwLock<BTreeMap<ElectionId, Arc<ElectionHandle>>>,
    /// Elections whose logs could not be read back at the start: they are halted, and not among
    /// `elections`.
    pub(crate) damaged: RwLock<BTreeMap<ElectionId, Arc<DamagedElection>>>,
    /// Changes with each election that is added or halted.
    pub(crate) listed: tokio::sync::watch::Sender<u64>,
    pub(crate) leader_lease: LeaderLease,
    /// All authorities, if there are several.
    pub(crate) authorities: Option<Arc<AuthoritySet>>,
    /// The authorities, or the only authority, if their file names outside witnesses.
    pub(crate) witness_set: Option<Arc<AuthoritySet>>,
    /// This node as one of several authorities.
    pub(crate) authority: Option<Arc<AuthorityContext>>,
    pub(crate) audit: AuditLog,
    /// Elections of which this authority takes part in the round about the first block.
    pub(crate) drafting: Mutex<DraftTasks>,
    /// Whether other processes use the same engines.
    pub(crate) is_shared: bool,
    /// Locked while an election is created or loaded.
    pub(crate) creating: tokio::sync::Mutex<()>,
    /// Locked while a roll is loaded: one at a time.
    pub(crate) loading: Arc<tokio::sync::Mutex<()>>,
    /// Which uploaded files of rolls are in use.
    pub(crate) uploads: Arc<UploadClaims>,
    /// The latest observations of the watch.
    pub(crate) observed: Arc<Observed>,
    pub(crate) failure: tokio::sync::watch::Sender<Option<NodeFailure>>,
    /// True once the node is about to stop: open requests are then answered without waiting.
    pub(crate) hurrying: tokio::sync::watch::Sender<bool>,
    /// Added to the wall clock, in milliseconds; 0 except in tests of a clock that steps.
    pub(crate) clock_offset: AtomicI64,
    /// The tasks of the node, and their jobs: see [`Job`].
    pub(crate) tasks: TaskTracker,
    /// Cancelled to end every task at once.
    pub(crate) stop: CancellationToken,
}

/// A job that a task of the node spawned. It is aborted with the task and is not awaited then, so a
/// stop waits until the last job is dropped: engines are closed when the stop returns.
pub(crate) struct Job {
    // Fields are dropped in this order: the engines first.
    context: Arc<NodeContext>,
    _running: TaskTrackerToken,
}

impl std::ops::Deref for Job {
    type Target = NodeContext;

    fn deref(&self) -> &NodeContext {
        &self.context
    }
}

/// The owner of a task, which a panic in the task stops or halts.
#[derive(Clone)]
pub(crate) enum Owner {
    Node,
    Election(Arc<ElectionHandle>),
}

impl NodeContext {
    /// Whether this node has a role.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.config.roles.contains(&role)
    }

    /// Whether this node decides batches again, and may seal them. Other nodes follow the log.
    pub(crate) fn decides(&self) -> bool {
        self.has(Role::Seal)
    }

    /// Whether this node reads staged batches: to decide them, or to report them as in flight.
    pub(crate) fn reads_staging(&self) -> bool {
        self.decides() || self.has(Role::Query) || self.has(Role::Ingest)
    }

    /// Whether this node needs the peppers of rolls. One of several authorities needs them only if
    /// it accepts votes too.
    pub(crate) fn pepper_need(&self) -> PepperNeed {
        match self.authorities.is_none() || self.has(Role::Ingest) {
            true => PepperNeed::Required,
            false => PepperNeed::Optional,
        }
    }

    /// Checks that a node on unshared engines, the only process, has every role.
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

    /// An election whose log could not be read back.
    pub(crate) fn damaged(&self, law_id: &ElectionId) -> Option<Arc<DamagedElection>> {
        self.damaged.read().get(law_id).cloned()
    }

    pub(crate) fn damaged_elections(&self) -> Vec<Arc<DamagedElection>> {
        self.damaged.read().values().cloned().collect()
    }

    /// Why an election is halted on this node, if it is.
    pub(crate) fn halted(&self, law_id: &ElectionId) -> Option<String> {
        match self.election(law_id) {
            Some(election) => election.halted().map(str::to_owned),
            None => self.damaged(law_id).map(|damaged| damaged.reason().to_owned()),
        }
    }

    /// Records a failure after which the node must stop; the first failure is kept.
    pub(crate) fn fail(&self, error: &EngineError) {
        self.stop_by_itself(NodeFailure::Engine(error.clone()));
    }

    /// Records the panic of a task that the node cannot run without.
    pub(crate) fn fail_by_panic(&self, what: &dyn fmt::Display) {
        self.stop_by_itself(NodeFailure::Panicked { what: what.to_string() });
    }

    fn stop_by_itself(&self, failure: NodeFailure) {
        tracing::error!(event = "node_failed", error = %failure, "node failed, stopping");
        self.failure.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(failure);
            first
        });
    }

    /// Records a failure of one election. A fatal engine error or a panic, which concerns every
    /// election, stops the node; any other error halts that election on this node, and no other.
    pub(crate) fn fail_election(&self, election: &ElectionHandle, fault: &ElectionFault) {
        match fault {
            ElectionFault::Engine(
                error @ (EngineError::Fatal { .. } | EngineError::Panicked { .. }),
            ) => self.fail(error),
            fault => self.halt(election, &fault.to_string()),
        }
    }

    /// Halts an election on this node: until the node restarts, no vote is taken for it and nothing
    /// of it is sealed here. Votes already answered are durable.
    fn halt(&self, election: &ElectionHandle, reason: &str) {
        if election.halt(reason) {
            self.report_halt(election.law_id(), reason);
            self.listed.send_modify(|changes| *changes += 1);
            // Wakes the sealer, which then ends.
            election.staged.notify_one();
            if election.committed().state() < State::Certified {
                self.leave_lead("an election is halted here", election.law_id());
            }
        }
    }

    /// Whether an election that needs blocks is halted here. An election whose log cannot be read
    /// counts too, because it may need blocks.
    pub(crate) fn is_hindered(&self) -> bool {
        let is_halted = |election: &Arc<ElectionHandle>| {
            election.halted().is_some() && election.committed().state() < State::Certified
        };
        self.elections().iter().any(is_halted) || !self.damaged_elections().is_empty()
    }

    /// Leaves the lead to the other authorities: this authority can propose no block of an
    /// election, and would delay its votes as long as it leads.
    fn leave_lead(&self, reason: &str, law_id: &ElectionId) {
        if self.authority.is_none() {
            return;
        }
        if self.leader_lease.term().is_some() {
            tracing::warn!(
                event = "halted_leader_stepped_down",
                %law_id,
                reason,
                "this leader cannot propose blocks of an election, it steps down"
            );
        }
        self.leader_lease.hinder();
    }

    fn report_halt(&self, law_id: &ElectionId, reason: &str) {
        tracing::error!(
            event = "election_halted",
            alarm = true,
            %law_id,
            reason,
            "election halted on this node"
        );
        let of_election = AuditFields::for_election(law_id);
        let fields = AuditFields { reason: Some(reason), ..of_election };
        self.audit.record(AuditEvent::ElectionHalted, &fields);
    }

    /// Lists an election whose log cannot be read back, as halted. The others are not affected.
    pub(crate) fn add_damaged(&self, election: DamagedElection) {
        self.report_halt(election.law_id(), election.reason());
        // Whether it needs blocks is not known.
        self.leave_lead("the log of an election cannot be read here", election.law_id());
        self.damaged.write().insert(election.law_id().clone(), Arc::new(election));
        self.listed.send_modify(|changes| *changes += 1);
    }

    /// Spawns a task. If it panics, the node stops or the election that owns it halts: nothing may
    /// continue as if its work were done.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        owner: Owner,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let mut task = self.tasks.spawn(overwriting_stack(task));
        let context = Arc::clone(self);
        self.tasks.spawn(async move {
            let ended = tokio::select! {
                ended = &mut task => ended,
                () = context.stop.cancelled() => {
                    task.abort();
                    task.await
                }
            };
            if let Err(error) = ended
                && error.is_panic()
            {
                match owner {
                    Owner::Node => {
                        context
                            .fail_by_panic(&format_args!("a task of the node panicked: {error}"));
                    }
                    Owner::Election(election) => {
                        context.halt(&election, &format!("a task panicked: {error}"));
                    }
                }
            }
        });
    }

    /// Passes the registry's hints on requests in flight to their voters and to the throttle.
    pub(crate) fn report_hints(&self, hints: impl Iterator<Item = (RequestId, Hint)>) {
        for (request, hint) in hints {
            let turn = self.pending.record_hint(&request, hint);
            if let Some(turn) = turn
                && matches!(hint, Hint::Unknown | Hint::Revoked)
            {
                turn.record_failure();
            }
        }
    }

    /// The context for a job that a task spawns.
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
        // The sender lives as long as `self`.
        let _ = hurrying.wait_for(|hurrying| *hurrying).await;
    }
}

/// The latest observations of the node about itself, made by the watch.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// In milliseconds.
    clock_behind: AtomicU64,
    /// In milliseconds.
    clock_offset: Mutex<Option<i64>>,
    space: Mutex<Option<Space>>,
    statuses: Mutex<Vec<AuthorityStatus>>,
    /// A reading of the ledger's clock, and when it was made.
    ledger_time: Mutex<Option<(UnixMillis, Instant)>>,
}

/// The space in a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) free: u64,
    pub(crate) size: u64,
}

impl Observed {
    /// Records how far the clock is behind, in milliseconds.
    pub(crate) fn set_clock_behind(&self, milliseconds: u64) {
        self.clock_behind.store(milliseconds, Ordering::Relaxed);
    }

    /// Records by how many milliseconds the clock is ahead of the ledger's; negative if it is
    /// behind.
    pub(crate) fn set_clock_offset(&self, milliseconds: i64) {
        *self.clock_offset.lock() = Some(milliseconds);
    }

    /// The number of milliseconds by which the clock is ahead of the ledger's; `None` before the
    /// first comparison.
    pub(crate) fn clock_offset(&self) -> Option<i64> {
        *self.clock_offset.lock()
    }

    /// Records a reading of the ledger's clock.
    pub(crate) fn set_ledger_time(&self, now: UnixMillis) {
        *self.ledger_time.lock() = Some((now, Instant::now()));
    }

    /// The time on the ledger's clock, by the last reading of it; `None` before the first. Setting
    /// this machine's clock does not change it.
    pub(crate) fn ledger_time(&self) -> Option<UnixMillis> {
        let (read, at) = (*self.ledger_time.lock())?;
        let elapsed = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
        Some(UnixMillis(read.0.saturating_add(elapsed)))
    }

    /// Records the statuses of the authorities as last read from the ledger.
    pub(crate) fn set_statuses(&self, statuses: Vec<AuthorityStatus>) {
        *self.statuses.lock() = statuses;
    }

    /// The statuses of the authorities as last read from the ledger.
    pub(crate) fn statuses(&self) -> Vec<AuthorityStatus> {
        self.statuses.lock().clone()
    }

    /// Records the measured space; `None` when it could not be measured.
    pub(crate) fn set_space(&self, space: Option<Space>) {
        *self.space.lock() = space;
    }

    /// How far the clock is behind the latest time that was issued or sealed.
    pub(crate) fn clock_behind(&self) -> Duration {
        Duration::from_millis(self.clock_behind.load(Ordering::Relaxed))
    }

    /// The space in the file system of the data folder, if it could be measured.
    pub(crate) fn space(&self) -> Option<Space> {
        *self.space.lock()
    }
}
