//! A node: its folder, its engines, its elections, and the tasks that move votes along.
//!
//! [`Node::start`] reads every log back and starts the tasks; the HTTP layer and the command line
//! call the methods; [`Node::shutdown`] publishes what was taken, seals it and stops.

mod error;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use votekit_core::chronicle::Chronicle;
use votekit_core::election::{State, Timing, Window};
use votekit_core::envelope::{Envelope, VoteRequest};
use votekit_core::id::{LawId, RequestId};
use votekit_core::instant::UnixMillis;

use crate::admission::Admission;
use crate::clock;
use crate::config::{Config, Role};
use crate::data_folder::{Belonging, DataFolder, FolderError};
use crate::election_cell::{CellParts, ElectionCell};
use crate::engine::embedded::EmbeddedEngine;
use crate::engine::{BallotBox, EngineError, Ledger, Mark, Registry, Roles, RollOrigin};
use crate::epoch_end;
use crate::intake::{Intake, IntakeError, Submission};
use crate::leadership::{self, Lead};
use crate::lease;
use crate::node_name::NodeName;
use crate::pending::Pending;
use crate::random::random_request_id;
use crate::roll_store;
use crate::scrubbing;
use crate::sealing::{Sealer, SealerCommand};
use crate::snapshots;
use crate::staging;
use crate::throttle::{Origin, Throttle};
use crate::validation;

pub use error::{AdminError, NodeError, SubmitError};

/// What the tasks of a node share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) folder: DataFolder,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) ballot_box: Arc<dyn BallotBox>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) pending: Pending,
    pub(crate) throttle: Throttle,
    pub(crate) admission: Admission,
    elections: RwLock<BTreeMap<LawId, Arc<ElectionCell>>>,
    pub(crate) lead: Lead,
    /// Whether other processes use the same engines.
    pub(crate) is_shared: bool,
    /// Held while an election is created, or taken up.
    pub(crate) creating: tokio::sync::Mutex<()>,
    failure: watch::Sender<Option<String>>,
    tasks: Mutex<Vec<(AbortHandle, JoinHandle<()>)>>,
}

/// How often a node asks for elections that other nodes created.
const LOOK_FOR_ELECTIONS_EVERY: Duration = Duration::from_millis(500);

impl Shared {
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
        clock::now()
    }

    pub(crate) fn election(&self, law_id: &LawId) -> Option<Arc<ElectionCell>> {
        self.elections.read().unwrap_or_else(PoisonError::into_inner).get(law_id).cloned()
    }

    pub(crate) fn elections(&self) -> Vec<Arc<ElectionCell>> {
        self.elections.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Notes a failure after which the node must stop; the first is kept.
    pub(crate) fn fail(&self, error: &dyn fmt::Display) {
        tracing::error!(%error, "the node stops");
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert_with(|| error.to_string());
            first
        });
    }

    /// Starts a task. Should it panic, the node stops: nothing may go on as if somebody were still
    /// deciding.
    fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(task);
        let end = task.abort_handle();
        let shared = Arc::clone(self);
        let watched = tokio::spawn(async move {
            if let Err(error) = task.await
                && error.is_panic()
            {
                shared.fail(&format_args!("a task of the node panicked: {error}"));
            }
        });
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push((end, watched));
    }
}

#[cfg(feature = "services")]
async fn open_services(
    registry: &str,
    ballot_box: &str,
    ledger: &str,
) -> Result<(Roles, String), NodeError> {
    use crate::engine::services;
    let addresses = services::ServiceAddresses::parse(registry, ballot_box, ledger)?;
    Ok(services::open(&addresses).await?)
}

#[cfg(not(feature = "services"))]
async fn open_services(
    _registry: &str,
    _ballot_box: &str,
    _ledger: &str,
) -> Result<(Roles, String), NodeError> {
    Err(NodeError::NoServices)
}

/// A running node. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    pub(crate) shared: Arc<Shared>,
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
        Self::start_on(folder, config, Roles { registry, ballot_box, ledger }).await
    }

    /// Starts a node on any engines.
    ///
    /// # Errors
    /// [`NodeError`]; nothing runs then.
    pub async fn start_on(
        folder: DataFolder,
        config: Config,
        engine: Roles,
    ) -> Result<Self, NodeError> {
        let mut life = [0; 4];
        getrandom::fill(&mut life)?;
        let shared = Arc::new(Shared {
            lead: Lead::new(config.name.as_ref().map_or("node", NodeName::as_str), life),
            is_shared: engine.ledger.is_shared(),
            throttle: Throttle::new(config.throttle.clone()),
            admission: Admission::new(&config),
            config,
            folder,
            registry: engine.registry,
            ballot_box: engine.ballot_box,
            ledger: engine.ledger,
            pending: Pending::new(),
            elections: RwLock::default(),
            creating: tokio::sync::Mutex::default(),
            failure: watch::Sender::new(None),
            tasks: Mutex::default(),
        });
        let node = Self { shared };
        node.shared.check_roles()?;
        if !node.shared.is_shared {
            leadership::take_for_ever(&node.shared).await?;
        }
        node.take_up_elections(true).await?;
        if node.shared.has(Role::Validate) {
            node.shared.spawn(validation::run(Arc::clone(&node.shared)));
        }
        if node.shared.has(Role::Seal) {
            node.shared.spawn(staging::run(Arc::clone(&node.shared)));
            if node.shared.is_shared {
                // Whoever is told that this node runs may want it to lead.
                leadership::ask(&node.shared).await;
                node.shared.spawn(leadership::run(Arc::clone(&node.shared)));
            }
        }
        if node.shared.is_shared {
            let watching = node.clone();
            node.shared.spawn(async move { watching.watch_elections().await });
        }
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
                let (chronicle, parts) = crate::recovery::read_back(&self.shared, &law_id).await?;
                if starting {
                    self.check_registry(&law_id, &chronicle).await?;
                }
                self.add_election(chronicle, parts)?;
            }
        }
        Ok(())
    }

    /// Refuses a registry that was loaded under another pepper: every voter would be unknown to it.
    /// Whatever else is wrong with it, votes are decided without.
    async fn check_registry(&self, law_id: &LawId, chronicle: &Chronicle) -> Result<(), NodeError> {
        let Some(digest) = chronicle.last_manifest().filter(|_| chronicle.state() < State::Closed)
        else {
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
        chronicle: Chronicle,
        recovered: crate::recovery::Recovered,
    ) -> Result<Arc<ElectionCell>, NodeError> {
        let node_key = self.shared.folder.node_key()?;
        let (intake, submissions) = mpsc::channel(self.shared.config.queue_votes_max);
        let (sealer, commands) = mpsc::channel(16);
        let cell = Arc::new(ElectionCell::new(CellParts {
            chronicle,
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
        let node = node_key.node_id();
        self.shared
            .spawn(Intake::new(shared(), Arc::clone(&cell), node_key.clone()).run(submissions));
        self.shared.spawn(Sealer::new(shared(), Arc::clone(&cell), node).run(commands));
        self.shared.spawn(epoch_end::run(
            shared(),
            Arc::clone(&cell),
            node_key,
            recovered.earlier_epochs,
        ));
        if self.shared.is_shared && self.shared.has(Role::Ingest) {
            self.shared.spawn(lease::keep(shared(), Arc::clone(&cell), node));
        }
        self.shared.spawn(snapshots::keep_writing(Arc::clone(&cell)));
        if let Some(scrub) = recovered.scrub.filter(|_| self.shared.config.scrub) {
            self.shared.spawn(scrubbing::run(shared(), Arc::clone(&cell), scrub));
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
            self.shared.spawn(async move {
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

    /// The back-off on wrong credentials.
    #[must_use]
    pub fn throttle(&self) -> &Throttle {
        &self.shared.throttle
    }

    /// Says when to come back if no vote can be taken now. Takes nothing of the rate.
    pub(crate) fn check_rate(&self, now: Instant) -> Result<(), Duration> {
        self.shared.admission.check(now)
    }

    /// Forgets what has nothing more to tell about rates. Called every few seconds.
    pub(crate) fn forget_quiet(&self) {
        self.shared.admission.forget_quiet();
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

    /// Takes a vote: checks it against the election, stamps it, and waits until it is durable. One
    /// with an origin came over the network, and is admitted first.
    ///
    /// # Errors
    /// [`SubmitError`], which says whether anything was stored.
    pub async fn submit(
        &self,
        vote: &VoteRequest,
        idempotency_key: Option<&[u8]>,
        origin: Option<Origin>,
    ) -> Result<RequestId, SubmitError> {
        let received = self.now().minutes();
        let cell =
            self.shared.election(&vote.credential.law_id).ok_or(SubmitError::UnknownElection)?;
        if !self.shared.has(Role::Ingest) {
            let reason = "it does not have the role of taking votes: send them to a node that has"
                .to_owned();
            return Err(SubmitError::Unavailable(EngineError::Unavailable {
                engine: "this node",
                reason,
            }));
        }
        let committed = cell.committed();
        let not_open = || SubmitError::NotOpen {
            state: committed.state(),
            opens: committed.opens,
            closes: committed.closes,
        };
        let window = Window { opens: committed.opens, closes: committed.closes };
        if committed.state() != State::Open || window.timing(received) != Timing::InTime {
            return Err(not_open());
        }
        if !committed.admits_this_node {
            let reason =
                "this node's key is not admitted to the election: is this its own data folder?"
                    .to_owned();
            return Err(SubmitError::Unavailable(EngineError::Unavailable {
                engine: "the log",
                reason,
            }));
        }
        cell.note_stamp(received);
        let choice = committed
            .results
            .definition
            .choice_index(&vote.choice)
            .ok_or(SubmitError::UnknownChoice)?;
        let hasher = cell.hasher().ok_or_else(not_open)?;
        let credential = &vote.credential;
        let hash = hasher.hash_parts(&credential.nas, &credential.code, &credential.law_id);
        let request = match idempotency_key {
            Some(key) => cell.request_id(&hash, choice, key).ok_or_else(not_open)?,
            None => random_request_id().map_err(|error| {
                SubmitError::Unavailable(EngineError::Unavailable {
                    engine: "system",
                    reason: error.to_string(),
                })
            })?,
        };
        let origin = match origin {
            Some(origin) => self.admit(
                &cell,
                origin,
                Mark { key: hasher.scheme().registry_key(&hash), request },
            )?,
            None => None,
        };
        let (reply, durable) = oneshot::channel();
        self.shared.pending.issue(request, origin);
        let submission = Submission::Vote(Envelope { request, hash, received, choice }, reply);
        if cell.intake.try_send(submission).is_err() {
            self.shared.pending.withdraw(&request);
            return Err(SubmitError::Busy { retry_after: Duration::from_secs(1) });
        }
        match durable.await {
            Ok(Ok(())) => Ok(request),
            Ok(Err(IntakeError::Finished)) => {
                let committed = cell.committed();
                let (opens, closes) = (committed.opens, committed.closes);
                Err(SubmitError::NotOpen {
                    state: committed.state().max(State::Closing),
                    opens,
                    closes,
                })
            }
            Ok(Err(IntakeError::Unavailable(error))) => Err(SubmitError::Unavailable(error)),
            Ok(Err(IntakeError::OutcomeUnknown)) | Err(_) => {
                Err(SubmitError::OutcomeUnknown { request })
            }
        }
    }

    /// Lets in a vote that came over the network. A full queue is told before the credential is
    /// looked at, as a spent rate is.
    fn admit(
        &self,
        cell: &ElectionCell,
        origin: Origin,
        mark: Mark,
    ) -> Result<Option<Origin>, SubmitError> {
        if cell.intake.capacity() == 0 {
            return Err(SubmitError::Busy { retry_after: Duration::from_secs(1) });
        }
        let Shared { admission, throttle, registry, .. } = &*self.shared;
        admission.admit(origin, throttle, &**registry, (cell.law_id(), &mark))
    }

    /// Resolves with the reason when the node has failed for good and must stop.
    pub async fn failed(&self) -> String {
        let mut failure = self.shared.failure.subscribe();
        loop {
            if let Some(reason) = failure.borrow_and_update().clone() {
                return reason;
            }
            if failure.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Why the node has failed for good, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.shared.failure.borrow().clone()
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
        if self.failure().is_none() {
            for cell in self.shared.elections() {
                let (reply, finished) = oneshot::channel();
                if cell.intake.send(Submission::Finish(reply)).await.is_ok()
                    && let Ok(Err(error)) = finished.await
                {
                    tracing::warn!(law_id = %cell.law_id(), %error, "the epoch was not ended; the next start does it");
                }
                let (reply, stopped) = oneshot::channel();
                if cell.sealer.send(SealerCommand::Stop(reply)).await.is_ok() {
                    // A sealer that failed has said so.
                    let _ = stopped.await;
                }
                snapshots::write_last(&cell).await;
            }
            if self.shared.is_shared {
                leadership::resign(&self.shared).await;
            }
        }
        tracing::info!(failed = self.failure().is_some(), "the node has stopped");
        let tasks =
            std::mem::take(&mut *self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for (task, watched) in tasks {
            task.abort();
            // An aborted task has nothing to say.
            let _ = watched.await;
        }
    }
}
