//! A node: its folder, its engines, its elections, and the tasks that move votes along.
//!
//! [`Node::start`] reads every log back and starts the tasks; the HTTP layer and the command line
//! call the methods; [`Node::shutdown`] publishes what was taken, seals it and stops.
//!
//! Long because starting, watching and stopping the tasks share the state of all of them.

mod error;
mod submission;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinHandle};
use votekit_core::election::State;
use votekit_core::election_log::ElectionLog;
use votekit_core::id::ElectionId;
use votekit_core::instant::UnixMillis;

use crate::admission::Admission;
use crate::config::{Config, Role};
use crate::data_folder::{Belonging, DataFolder, FolderError};
use crate::election_handle::{ElectionHandle, ElectionHandleParts};
use crate::epoch_end;
use crate::intake::{Intake, Submission};
use crate::leader_lease::{self, LeaderLease};
use crate::lease;
use crate::memory::overwriting_stack;
use crate::node_name::NodeName;
use crate::pending::Pending;
use crate::roll_store;
use crate::scrubbing;
use crate::sealing::{Sealer, SealerCommand};
use crate::snapshots;
use crate::staging;
use crate::throttle::Throttle;
use crate::validation;
use crate::watch;
use votekit_store::clock;
use votekit_store::embedded::EmbeddedEngine;
use votekit_store::essential;
use votekit_store::{BallotBox, EngineError, Engines, Ledger, Registry, RollOrigin};

pub use error::{AdminError, NodeError, SubmitError};

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
    elections: RwLock<BTreeMap<ElectionId, Arc<ElectionHandle>>>,
    pub(crate) lead: LeaderLease,
    /// Whether other processes use the same engines.
    pub(crate) is_shared: bool,
    /// Held while an election is created, or taken up.
    pub(crate) creating: tokio::sync::Mutex<()>,
    /// Held by the one roll that is being loaded.
    pub(crate) loading: Arc<tokio::sync::Mutex<()>>,
    /// What the watch saw last.
    pub(crate) observed: Arc<watch::Observed>,
    failure: tokio::sync::watch::Sender<Option<Failure>>,
    /// Whether nobody is to be kept waiting any more: the node is about to stop.
    hurrying: tokio::sync::watch::Sender<bool>,
    /// Added to the wall clock, in milliseconds: 0 but in tests of a clock that steps.
    clock_offset: AtomicI64,
    tasks: Mutex<Vec<(AbortHandle, JoinHandle<()>)>>,
}

/// Why a node stops by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    reason: String,
    /// A fault of votekit, and not of the disk, a server or the configuration.
    is_panic: bool,
}

/// Whose task it is decides what a panic in it ends.
#[derive(Clone)]
enum Owner {
    /// The node.
    Node,
    /// One election.
    Election(Arc<ElectionHandle>),
}

/// How often a node asks for elections that other nodes created.
const LOOK_FOR_ELECTIONS_EVERY: Duration = Duration::from_millis(500);

impl NodeContext {
    /// Whether this node has a role.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.config.roles.contains(&role)
    }

    /// One process on engines of its own must do everything.
    fn check_roles(&self) -> Result<(), NodeError> {
        let missing = Role::ALL.into_iter().find(|role| !self.has(*role) && !self.is_shared);
        missing.map_or(Ok(()), |role| Err(NodeError::Role { role }))
    }

    pub(crate) fn now(&self) -> UnixMillis {
        let offset = self.clock_offset.load(Ordering::Relaxed);
        UnixMillis(clock::now().0.saturating_add_signed(offset))
    }

    pub(crate) fn election(&self, law_id: &ElectionId) -> Option<Arc<ElectionHandle>> {
        self.elections.read().unwrap_or_else(PoisonError::into_inner).get(law_id).cloned()
    }

    pub(crate) fn elections(&self) -> Vec<Arc<ElectionHandle>> {
        self.elections.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
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
    fn spawn(self: &Arc<Self>, owner: Owner, task: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(overwriting_stack(task));
        let end = task.abort_handle();
        let shared = Arc::clone(self);
        let watched = tokio::spawn(async move {
            if let Err(error) = task.await
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
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push((end, watched));
    }

    /// Resolves when nobody is to be kept waiting any more.
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

#[cfg(feature = "services")]
async fn open_services(
    registry: &str,
    ballot_box: &str,
    ledger: &str,
) -> Result<(Engines, String), NodeError> {
    use votekit_store::services;
    let addresses = services::ServiceAddresses::parse(registry, ballot_box, ledger)?;
    Ok(services::open(&addresses).await?)
}

#[cfg(not(feature = "services"))]
async fn open_services(
    _registry: &str,
    _ballot_box: &str,
    _ledger: &str,
) -> Result<(Engines, String), NodeError> {
    Err(NodeError::NoServices)
}

/// A running node. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    pub(crate) shared: Arc<NodeContext>,
}

impl fmt::Debug for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Node({:?})", self.shared.elections())
    }
}

impl Node {
    /// Opens the services that the configuration names, or else the embedded engine in the data
    /// folder, reads every log back and starts the tasks.
    ///
    /// # Errors
    /// [`NodeError`]; nothing runs then.
    pub async fn start(folder: DataFolder, config: Config) -> Result<Self, NodeError> {
        if let (Some(registry), Some(ballot_box), Some(ledger)) =
            (&config.registry, &config.ballot_box, &config.ledger)
        {
            let (roles, installation) = open_services(registry, ballot_box, ledger).await?;
            folder.belong_to(&Belonging::Services { installation })?;
            return Self::start_on(folder, config, roles).await;
        }
        folder.belong_to(&Belonging::Itself)?;
        let path = folder.path().to_owned();
        let opened = tokio::task::spawn_blocking(move || EmbeddedEngine::open(&path)).await;
        let engine = opened.map_err(|error| EngineError::Fatal {
            engine: "SQLite",
            reason: error.to_string(),
        })??;
        let EmbeddedEngine { registry, ballot_box, ledger } = engine;
        Self::start_on(folder, config, Engines { registry, ballot_box, ledger }).await
    }

    /// Starts a node on any engines.
    ///
    /// # Errors
    /// [`NodeError`]; nothing runs then.
    pub async fn start_on(
        folder: DataFolder,
        config: Config,
        engine: Engines,
    ) -> Result<Self, NodeError> {
        let mut life = [0; 4];
        getrandom::fill(&mut life)?;
        let shared = Arc::new(NodeContext {
            lead: LeaderLease::new(config.name.as_ref().map_or("node", NodeName::as_str), life),
            is_shared: engine.ledger.is_shared(),
            throttle: Throttle::new(&config.throttle),
            admission: Admission::new(&config),
            config,
            folder,
            registry: engine.registry,
            ballot_box: engine.ballot_box,
            ledger: engine.ledger,
            pending: Pending::new(),
            elections: RwLock::default(),
            creating: tokio::sync::Mutex::default(),
            loading: Arc::default(),
            observed: Arc::default(),
            failure: tokio::sync::watch::Sender::new(None),
            hurrying: tokio::sync::watch::Sender::new(false),
            clock_offset: AtomicI64::new(0),
            tasks: Mutex::default(),
        });
        let node = Self { shared };
        node.shared.check_roles()?;
        if !node.shared.is_shared {
            leader_lease::take_for_ever(&node.shared).await?;
        }
        node.take_up_elections(true).await?;
        if node.shared.has(Role::Validate) {
            node.shared.spawn(Owner::Node, validation::run(Arc::clone(&node.shared)));
        }
        if node.shared.has(Role::Seal) {
            node.shared.spawn(Owner::Node, staging::run(Arc::clone(&node.shared)));
            if node.shared.is_shared {
                // Whoever is told that this node runs may want it to lead.
                leader_lease::ask(&node.shared).await;
                node.shared.spawn(Owner::Node, leader_lease::run(Arc::clone(&node.shared)));
            }
        }
        if node.shared.is_shared {
            let watching = node.clone();
            node.shared.spawn(Owner::Node, async move { watching.watch_elections().await });
        }
        node.shared.spawn(Owner::Node, watch::run(Arc::clone(&node.shared)));
        let shared = Arc::clone(&node.shared);
        node.shared.spawn(Owner::Node, async move {
            let what = essential::panicked().await;
            shared.fail_by_panic(&format_args!("a task of an engine panicked: {what}"));
        });
        tracing::info!(elections = node.shared.elections().len(), "the node has started");
        node.resume_closes();
        Ok(node)
    }

    /// Reads back every election of the ledger that this node does not have yet. A node that starts
    /// holds the registry against each.
    async fn take_up_elections(&self, starting: bool) -> Result<(), NodeError> {
        let _creating = self.shared.creating.lock().await;
        for law_id in self.shared.ledger.elections().await? {
            if self.shared.election(&law_id).is_none() {
                let (log, parts) = crate::recovery::read_back(&self.shared, &law_id).await?;
                if starting {
                    self.check_registry(&law_id, &log).await?;
                }
                self.add_election(log, parts)?;
            }
        }
        Ok(())
    }

    /// Refuses a registry that was loaded under another pepper: every voter would be unknown to it.
    /// Whatever else is wrong with it, votes are decided without.
    async fn check_registry(
        &self,
        law_id: &ElectionId,
        log: &ElectionLog,
    ) -> Result<(), NodeError> {
        let Some(digest) = log.last_manifest().filter(|_| log.state() < State::Closed) else {
            return Ok(());
        };
        let origin = RollOrigin::of(&roll_store::manifest(&self.shared.folder, &digest)?);
        match self.shared.registry.check_origin(law_id, &origin).await {
            Ok(()) => Ok(()),
            Err(error @ EngineError::Misconfigured { .. }) => Err(error.into()),
            Err(error) => {
                tracing::warn!(%law_id, %error, "the registry was not held against the log");
                Ok(())
            }
        }
    }

    /// Takes up elections that other nodes create.
    async fn watch_elections(&self) {
        loop {
            tokio::time::sleep(LOOK_FOR_ELECTIONS_EVERY).await;
            match self.take_up_elections(false).await {
                Ok(()) => {}
                // It may be there in a moment: its keys are written first, but the folder may be on
                // a network.
                Err(error) => tracing::warn!(%error, "an election cannot be taken up yet"),
            }
        }
    }

    /// Sets up the cell of an election and starts its tasks.
    pub(crate) fn add_election(
        &self,
        log: ElectionLog,
        recovered: crate::recovery::Recovered,
    ) -> Result<Arc<ElectionHandle>, NodeError> {
        let node_key = self.shared.folder.node_key()?;
        let (intake, submissions) = mpsc::channel(self.shared.config.queue_votes_max);
        let (sealer, commands) = mpsc::channel(16);
        let cell = Arc::new(ElectionHandle::new(ElectionHandleParts {
            log,
            committed: recovered.committed,
            secrets: recovered.secrets,
            signer: recovered.signer,
            hasher: recovered.hasher,
            staged_at_start: recovered.staged_at_start,
            snapshots: recovered.snapshots,
            intake,
            sealer,
        }));
        let mut elections = self.shared.elections.write().unwrap_or_else(PoisonError::into_inner);
        elections.insert(cell.law_id().clone(), Arc::clone(&cell));
        let shared = || Arc::clone(&self.shared);
        let owner = || Owner::Election(Arc::clone(&cell));
        let node = node_key.node_id();
        let intake = Intake::new(shared(), Arc::clone(&cell), node_key.clone());
        self.shared.spawn(owner(), intake.run(submissions));
        self.shared.spawn(owner(), Sealer::new(shared(), Arc::clone(&cell), node).run(commands));
        let earlier = recovered.earlier_epochs;
        self.shared.spawn(owner(), epoch_end::run(shared(), Arc::clone(&cell), node_key, earlier));
        if self.shared.is_shared && self.shared.has(Role::Ingest) {
            self.shared.spawn(owner(), lease::keep(shared(), Arc::clone(&cell), node));
        }
        self.shared.spawn(owner(), snapshots::keep_writing(Arc::clone(&cell)));
        if let Some(scrub) = recovered.scrub.filter(|_| self.shared.config.scrub) {
            self.shared.spawn(owner(), scrubbing::run(shared(), Arc::clone(&cell), scrub));
        }
        Ok(cell)
    }

    /// Goes on with closes that an earlier life began.
    fn resume_closes(&self) {
        for cell in self.shared.elections() {
            // Of several nodes the one that leads goes on by itself.
            if cell.committed().state() != State::Closing || self.shared.is_shared {
                continue;
            }
            tracing::info!(law_id = %cell.law_id(), "going on with a close that was begun");
            let owner = Owner::Election(Arc::clone(&cell));
            self.shared.spawn(owner, async move {
                let (reply, closed) = oneshot::channel();
                if cell.sealer.send(SealerCommand::Close { reason: None, reply }).await.is_ok()
                    && let Ok(Err(error)) = closed.await
                {
                    tracing::error!(law_id = %cell.law_id(), %error, "alarm: the close cannot be completed");
                }
            });
        }
    }

    /// The time by this node's clock.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.shared.now()
    }

    /// The throttle on wrong codes.
    #[must_use]
    pub fn throttle(&self) -> &Throttle {
        &self.shared.throttle
    }

    /// Says when to come back if no vote can be taken now. Takes nothing of the rate.
    pub fn check_rate(&self, now: Instant) -> Result<(), Duration> {
        self.shared.admission.check(now)
    }

    /// Forgets what has nothing more to tell about rates. Called every few seconds.
    pub fn forget_quiet(&self) {
        self.shared.admission.forget_quiet();
        self.shared.throttle.give_up_hints(Instant::now());
    }

    /// What this node was told.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.shared.folder.path()
    }

    /// The administrator's token.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn admin_token(&self) -> Result<zeroize::Zeroizing<String>, FolderError> {
        self.shared.folder.admin_token()
    }

    /// Resolves with the reason when the node has failed for good and must stop.
    pub async fn failed(&self) -> String {
        let mut failure = self.shared.failure.subscribe();
        let first = failure.wait_for(Option::is_some).await.ok().and_then(|first| first.clone());
        match first {
            Some(failure) => failure.reason,
            // The sender lives as long as the node.
            None => std::future::pending().await,
        }
    }

    /// Why the node has failed for good, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.shared.failure.borrow().as_ref().map(|failure| failure.reason.clone())
    }

    /// Whether it failed by a panic: a fault of votekit, after which a new start may do better.
    #[must_use]
    pub fn has_panicked(&self) -> bool {
        self.shared.failure.borrow().as_ref().is_some_and(|failure| failure.is_panic)
    }

    /// Why an election is halted on this node, if it is.
    #[must_use]
    pub fn halted(&self, law_id: &ElectionId) -> Option<String> {
        self.shared.election(law_id)?.halted().map(str::to_owned)
    }

    /// Answers those who wait for a decision with what is known now: the node is about to stop.
    pub fn hurry(&self) {
        self.shared.hurrying.send_replace(true);
    }

    /// Writes something that changes nothing, so that health says from the first answer on whether
    /// writes are stored.
    pub async fn observe_writes(&self) {
        watch::observe_writes(&self.shared).await;
    }

    /// Moves this node's clock, for tests of a clock that steps.
    #[cfg(feature = "test-support")]
    pub fn step_clock(&self, milliseconds: i64) {
        self.shared.clock_offset.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// Panics in a task of the node, or of one of its elections, for tests of what that ends.
    #[cfg(feature = "test-support")]
    pub fn panic_in_task(&self, law_id: Option<&ElectionId>) {
        let cell = law_id.and_then(|law_id| self.shared.election(law_id));
        let owner = cell.map_or(Owner::Node, Owner::Election);
        self.shared.spawn(owner, async { panic!("a test panics") });
    }

    /// Ends every task at once, as a kill does: nothing is published, sealed or told any more.
    #[cfg(feature = "test-support")]
    pub fn abandon(self) {
        for (task, _) in
            std::mem::take(&mut *self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner))
        {
            task.abort();
        }
    }

    /// Publishes what was taken, seals it, ends the epochs and stops the tasks.
    pub async fn shutdown(self) {
        self.shutdown_within(Duration::from_secs(100 * 365 * 24 * 3600)).await;
    }

    /// As [`Node::shutdown`], and gives up what is not done after a time: what was answered is
    /// durable, and the next start, or another node, goes on with it.
    pub async fn shutdown_within(self, time: Duration) {
        let until = tokio::time::Instant::now() + time;
        self.hurry();
        if self.failure().is_none() {
            let mut waiting: BTreeSet<ElectionId> = BTreeSet::new();
            let mut finishing = tokio::task::JoinSet::new();
            for cell in self.shared.elections() {
                if cell.halted().is_none() {
                    waiting.insert(cell.law_id().clone());
                    finishing.spawn(async move {
                        finish(&cell, until).await;
                        cell.law_id().clone()
                    });
                }
            }
            while !finishing.is_empty() {
                match tokio::time::timeout(STOP_NEWS_INTERVAL, finishing.join_next()).await {
                    Ok(Some(Ok(law_id))) => drop(waiting.remove(&law_id)),
                    Ok(_) => {}
                    Err(_) => {
                        tracing::info!(elections = ?waiting, votes_pending = self.shared.pending.len(), "the stop waits for what was taken to be published and sealed");
                    }
                }
            }
            if self.shared.is_shared {
                leader_lease::resign(&self.shared).await;
            }
        }
        tracing::info!(failed = self.failure().is_some(), "the node has stopped");
        let tasks =
            std::mem::take(&mut *self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for (task, _) in &tasks {
            task.abort();
        }
        let ended = async {
            for (_, watched) in tasks {
                // An aborted task has nothing to say.
                let _ = watched.await;
            }
        };
        // One that blocks its thread does not end.
        let until = until.max(tokio::time::Instant::now() + ABORT_TIME);
        let _ = tokio::time::timeout_at(until, ended).await;
    }
}

/// How often a stop says what it waits for.
const STOP_NEWS_INTERVAL: Duration = Duration::from_secs(5);

/// How long aborted tasks may take to end.
const ABORT_TIME: Duration = Duration::from_secs(1);

/// Publishes and seals what one election has taken, as far as the time allows.
async fn finish(cell: &Arc<ElectionHandle>, until: tokio::time::Instant) {
    let law_id = cell.law_id();
    let ended = async {
        let (reply, finished) = oneshot::channel();
        if cell.intake.send(Submission::Finish(reply)).await.is_ok()
            && let Ok(Err(error)) = finished.await
        {
            tracing::warn!(%law_id, %error, "the epoch was not ended; the next start does it");
        }
    };
    if tokio::time::timeout_at(until, ended).await.is_err() {
        tracing::warn!(%law_id, "the epoch was not ended in time; the next start does it");
    }
    let sealed = async {
        let (reply, stopped) = oneshot::channel();
        if cell.sealer.send(SealerCommand::Stop(reply)).await.is_ok() {
            // A sealer that failed has said so.
            let _ = stopped.await;
        }
    };
    if tokio::time::timeout_at(until, sealed).await.is_err() {
        tracing::warn!(%law_id, "sealing was given up at the stop; the next start goes on with it");
        // The state in memory may be ahead of what is durable.
        return;
    }
    if tokio::time::timeout_at(until, snapshots::write_last(cell)).await.is_err() {
        tracing::warn!(%law_id, "the last snapshot was given up; the next start takes longer");
    }
}

fn halted_here(reason: &str) -> EngineError {
    let reason = format!("it is halted on this node: {reason}");
    EngineError::Unavailable { engine: "the election", reason }
}
