//! Starting and stopping a node, and its elections.
//!
//! [`Node::start`] reads every log back and starts the tasks; [`Node::shutdown`] publishes the
//! votes taken, seals them and stops.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use votekit_core::authority::AuthoritySet;
use votekit_core::election::State;
use votekit_core::election_log::ElectionLog;
use votekit_core::id::ElectionId;
use votekit_store::embedded::EmbeddedEngine;
use votekit_store::{EngineError, Engines, LogPosition, RollOrigin, essential};

use crate::audit::AuditLog;
use crate::authority::AuthorityContext;
use crate::config::{Config, Role};
use crate::context::{NodeContext, Owner};
use crate::data_folder::{Belonging, DataFolder, FolderError};
use crate::election::{ElectionHandle, ElectionHandleParts, Position, SealerCommand, Submission};
use crate::error::NodeError;
use crate::ingest::epoch_marks::{self, EpochMarks};
use crate::ingest::intake::Intake;
use crate::ingest::{direct_staging, epoch_end, lease_renewal};
use crate::limits::admission::VoteAdmission;
use crate::limits::throttle::Throttle;
use crate::node::Node;
use crate::node_name::NodeName;
use crate::pending::Pending;
use crate::recovery::{damaged_log, document_copies, scrubbing, snapshots};
use crate::seal::sealer::Sealer;
use crate::seal::{leader_lease, leader_rotation, row_feed, row_removal};
use crate::validate::staging::Staging;
use crate::validate::step_loop;
use crate::validate::validation::Validation;
use crate::witness::pusher;
use crate::{expiry, recovery, status_report, watch};

/// How long a node waits for a change of the ledger before it polls, while votes are in flight and
/// while there are none: a change may be missed, and a batch that is staged after others announces
/// no change.
const SLOW_POLL_INTERVAL: Duration = Duration::from_secs(1);
const REST_POLL_INTERVAL: Duration = Duration::from_secs(5);

/// How soon a node retries loading an election.
const TAKE_UP_INTERVAL: Duration = Duration::from_millis(500);

/// The shortest time between two polls of a ledger that changes all the time.
const POLL_SPACING_MIN: Duration = Duration::from_millis(10);

impl Node {
    /// Opens the configured services, or else the embedded engine in the data folder, reads every
    /// log back and starts the tasks.
    ///
    /// # Errors
    /// [`NodeError`]; then nothing runs.
    pub async fn start(folder: DataFolder, config: Config) -> Result<Self, NodeError> {
        if let (Some(registry), Some(ballot_box), Some(ledger)) =
            (&config.registry, &config.ballot_box, &config.ledger)
        {
            let (roles, installation) = open_services(registry, ballot_box, ledger).await?;
            folder.belong_to(&Belonging::Services { installation })?;
            return Self::start_on(folder, config, roles).await;
        }
        folder.belong_to(&Belonging::Itself)?;
        let engine = EmbeddedEngine::open_in_background(folder.path().to_owned()).await?;
        Self::start_on(folder, config, engine.into()).await
    }

    /// Starts a node on the given engines.
    ///
    /// # Errors
    /// [`NodeError`]; then nothing runs.
    pub async fn start_on(
        folder: DataFolder,
        config: Config,
        engine: Engines,
    ) -> Result<Self, NodeError> {
        let mut life = [0; 4];
        getrandom::fill(&mut life)?;
        let installed = folder.authorities()?.map(Arc::new);
        let witness_set = witness_set(&folder, &config, installed.as_ref())?;
        let authorities = installed.filter(|set| !set.is_single());
        let authority = match &authorities {
            Some(set) if config.roles.contains(&Role::Seal) => {
                Some(Arc::new(AuthorityContext::open(&folder, (**set).clone())?))
            }
            _ => None,
        };
        let audit = AuditLog::new(
            config.name.as_ref().map(NodeName::to_string),
            authority.as_ref().map(|own| (own.name.to_string(), own.incarnation())),
        );
        let context = Arc::new(NodeContext {
            leader_lease: leader_lease::new(
                config.name.as_ref().map_or("node", NodeName::as_str),
                life,
                engine.ledger.is_shared(),
                authority.as_deref(),
                audit.clone(),
            ),
            audit,
            authorities,
            witness_set,
            authority,
            drafting: parking_lot::Mutex::default(),
            is_shared: engine.ledger.is_shared(),
            throttle: Throttle::new(&config.throttle),
            admission: VoteAdmission::new(&config),
            config,
            folder,
            registry: engine.registry,
            ballot_box: engine.ballot_box,
            ledger: engine.ledger,
            accounts: engine.accounts,
            pending: Pending::new(),
            elections: RwLock::default(),
            damaged: RwLock::default(),
            listed: tokio::sync::watch::Sender::new(0),
            creating: tokio::sync::Mutex::default(),
            loading: Arc::default(),
            uploads: Arc::default(),
            observed: Arc::default(),
            failure: tokio::sync::watch::Sender::new(None),
            hurrying: tokio::sync::watch::Sender::new(false),
            clock_offset: AtomicI64::new(0),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        let node = Self { context };
        node.context.check_roles()?;
        row_feed::check_own_statements(&node.context).await?;
        if !node.context.is_shared {
            leader_lease::acquire_exclusive(&node.context).await?;
        }
        node.read_back_elections().await?;
        if let Some(authority) = &node.context.authority {
            let feed = row_feed::run(Arc::clone(&node.context), Arc::clone(authority));
            node.context.spawn(Owner::Node, feed);
            let copies = document_copies::run(Arc::clone(&node.context), Arc::clone(authority));
            node.context.spawn(Owner::Node, copies);
            node.context.spawn(Owner::Node, row_removal::run(Arc::clone(&node.context)));
            let length = Duration::from_secs(node.context.config.leader_term_seconds);
            if !length.is_zero() {
                let (context, authority) = (Arc::clone(&node.context), Arc::clone(authority));
                let rotation = leader_rotation::run(context, authority, length);
                node.context.spawn(Owner::Node, rotation);
            }
        }
        pusher::start(&node)?;
        if node.context.has(Role::Validate) {
            let validation = step_loop::run::<Validation>(Arc::clone(&node.context));
            node.context.spawn(Owner::Node, validation);
        }
        if node.context.has(Role::Seal) {
            node.context.spawn(Owner::Node, step_loop::run::<Staging>(Arc::clone(&node.context)));
            if node.context.is_shared {
                // Requested before the start returns: the caller may want this node to lead.
                leader_lease::request(&node.context).await;
                node.context.spawn(Owner::Node, leader_lease::run(Arc::clone(&node.context)));
            }
        }
        if node.context.is_shared {
            let watching = node.clone();
            node.context.spawn(Owner::Node, async move { watching.watch_logs().await });
            if node.context.has(Role::Ingest) {
                let id = node.context.folder.node_key()?.node_id();
                let renewing = lease_renewal::renew_loop(Arc::clone(&node.context), id);
                node.context.spawn(Owner::Node, renewing);
                let staging = direct_staging::run(Arc::clone(&node.context));
                node.context.spawn(Owner::Node, staging);
            }
        }
        node.context.spawn(Owner::Node, watch::run(Arc::clone(&node.context)));
        if let Some(set) = &node.context.authorities {
            let statuses = status_report::run(Arc::clone(&node.context), Arc::clone(set));
            node.context.spawn(Owner::Node, statuses);
        }
        node.context.spawn(Owner::Node, expiry::run(Arc::clone(&node.context)));
        let context = Arc::clone(&node.context);
        node.context.spawn(Owner::Node, async move {
            let what = essential::panicked().await;
            context.fail_by_panic(&format_args!("a task of an engine panicked: {what}"));
        });
        tracing::info!(
            event = "node_started",
            elections = node.context.elections().len(),
            halted = node.context.damaged_elections().len(),
            "node started"
        );
        node.resume_closes();
        Ok(node)
    }

    /// Reads back every election of the ledger, at the start, and checks the registry against each.
    /// An election whose log is damaged is halted, and the others are still read.
    async fn read_back_elections(&self) -> Result<(), NodeError> {
        let mut law_ids = self.context.ledger.elections().await?;
        if let Some(authority) = &self.context.authority {
            // A ledger that was restored from an older copy may lack whole elections.
            let mut lost = authority.certified_elections();
            lost.retain(|law_id| !law_ids.contains(law_id));
            law_ids.extend(lost);
        }
        for law_id in law_ids {
            match self.read_back_and_check(&law_id).await {
                // Its keys may be encrypted to this node later, or again, in place of a row that
                // another program has changed: the election is recovered then.
                Err(NodeError::BallotKey { .. } | NodeError::SealedKeys { .. })
                    if self.context.authorities.is_some() => {}
                Err(error) if error.halts_one_election() => {
                    if self.is_lost(&law_id).await {
                        continue;
                    }
                    let damaged = damaged_log::describe(&self.context, law_id, &error).await;
                    self.context.add_damaged(damaged);
                }
                read => read?,
            }
        }
        Ok(())
    }

    /// Whether the ledger was restored from a copy that is older than an election, and this
    /// authority lacks a part of its log too: another authority restores the log, and this one
    /// loads the election then.
    async fn is_lost(&self, law_id: &ElectionId) -> bool {
        self.context.authority.is_some()
            && matches!(self.context.ledger.head(law_id).await, Ok(None))
    }

    async fn read_back_and_check(&self, law_id: &ElectionId) -> Result<(), NodeError> {
        let (log, parts) = recovery::read_back(&self.context, law_id).await?;
        self.check_registry(law_id, &log).await?;
        self.add_election(log, parts).map(|_| ())
    }

    /// Reads back every election of the ledger that this node does not have yet. Returns those that
    /// it could not read: they may be complete in a moment, as the keys of an election are written
    /// before its log, but the folder may be on a network.
    pub(crate) async fn load_elections(&self) -> Result<Vec<(ElectionId, NodeError)>, NodeError> {
        let _creating = self.context.creating.lock().await;
        let mut left = Vec::new();
        for law_id in self.context.ledger.elections().await? {
            if self.context.election(&law_id).is_some() || self.context.damaged(&law_id).is_some() {
                continue;
            }
            let read = recovery::read_back(&self.context, &law_id).await;
            match read.and_then(|(log, parts)| self.add_election(log, parts)) {
                Ok(_) => {}
                Err(error) if error.halts_one_election() => left.push((law_id, error)),
                Err(error) => return Err(error),
            }
        }
        Ok(left)
    }

    /// Refuses a registry that was loaded under another pepper: every voter would be unknown to it.
    /// With any other fault, votes are decided without the registry.
    async fn check_registry(
        &self,
        law_id: &ElectionId,
        log: &ElectionLog,
    ) -> Result<(), NodeError> {
        let Some(digest) = log.last_manifest().filter(|_| log.state() < State::Closed) else {
            return Ok(());
        };
        let manifest = recovery::election_keys::manifest(&self.context, &digest).await?;
        let origin = RollOrigin::from_manifest(&manifest);
        match self.context.registry.check_origin(law_id, &origin).await {
            Ok(()) => Ok(()),
            Err(error @ EngineError::Misconfigured { .. }) => Err(error.into()),
            Err(error) => {
                tracing::warn!(
                    event = "registry_check_failed",
                    %law_id,
                    %error,
                    "registry not compared with the log"
                );
                Ok(())
            }
        }
    }

    /// Watches all logs of a shared ledger with one query, after each change and from time to time:
    /// wakes the tasks of logs that have grown, and loads elections that other nodes created.
    async fn watch_logs(&self) {
        let ledger = &self.context.ledger;
        let mut changes = ledger.changes();
        let mut take_up_at = Instant::now();
        loop {
            let seen = changes.borrow_and_update().logs;
            let mut has_new = false;
            match ledger.positions().await {
                Ok(positions) => {
                    has_new = self.wake(positions);
                    if has_new && Instant::now() >= take_up_at {
                        take_up_at = Instant::now() + TAKE_UP_INTERVAL;
                        self.load_new_elections().await;
                    }
                }
                Err(error) => tracing::debug!(
                    event = "ledger_poll_failed",
                    %error,
                    "ledger positions not read"
                ),
            }
            tokio::time::sleep(POLL_SPACING_MIN).await;
            tokio::select! {
                // The sender lives as long as the engine.
                Ok(()) = async { changes.wait_for(|now| now.logs != seen).await.map(drop) } => {}
                () = tokio::time::sleep(self.poll_interval(has_new)) => {}
            }
        }
    }

    /// How long `watch_logs` waits for a change.
    fn poll_interval(&self, has_new: bool) -> Duration {
        if has_new {
            return TAKE_UP_INTERVAL;
        }
        let is_at_rest = |election: &Arc<ElectionHandle>| {
            let committed = election.committed();
            let takes_batches = matches!(committed.state(), State::Open | State::Closing);
            // While a batch waits in staging, the next batch is not announced.
            let has_unsealed = election.position().staged > committed.sealed_through;
            election.unsealed.is_empty() && !(takes_batches && has_unsealed)
        };
        let is_quiet =
            self.context.pending.len() == 0 && self.context.elections().iter().all(is_at_rest);
        if is_quiet { REST_POLL_INTERVAL } else { SLOW_POLL_INTERVAL }
    }

    /// Passes positions on to the elections. Returns whether there are elections that this node
    /// does not have.
    fn wake(&self, positions: Vec<LogPosition>) -> bool {
        let mut has_new = false;
        for LogPosition { law_id, height, staged } in positions {
            match self.context.election(&law_id) {
                Some(election) => election.set_position(Position { height, staged }),
                None => has_new |= self.context.damaged(&law_id).is_none(),
            }
        }
        has_new
    }

    async fn load_new_elections(&self) {
        let failed = match self.load_elections().await {
            Ok(left) => left.into_iter().map(|(_, error)| error).collect(),
            Err(error) => vec![error],
        };
        for error in failed {
            tracing::warn!(
                event = "election_recovery_failed",
                %error,
                "election created by another node not recovered, retrying"
            );
        }
    }

    /// Sets up the handle of an election and starts its tasks.
    pub(crate) fn add_election(
        &self,
        log: ElectionLog,
        recovered: recovery::Recovered,
    ) -> Result<Arc<ElectionHandle>, NodeError> {
        let node_key = self.context.folder.node_key()?;
        let marks = self.epoch_marks(&log.definition().law_id)?;
        let (node, given) = (node_key.node_id(), recovered.earlier_epochs);
        let earlier = epoch_end::earlier_epochs(&log, node, given, marks.as_deref());
        let (intake, submissions) = mpsc::channel(self.context.config.queue_votes_max);
        let (sealer, commands) = mpsc::channel(16);
        let election = Arc::new(ElectionHandle::new(ElectionHandleParts {
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
        self.context.elections.write().insert(election.law_id().clone(), Arc::clone(&election));
        self.context.listed.send_modify(|changes| *changes += 1);
        let context = || Arc::clone(&self.context);
        let owner = || Owner::Election(Arc::clone(&election));
        if let Some(marks) = &marks
            && self.context.authorities.is_some()
            && self.context.has(Role::Ingest)
        {
            let heights = epoch_marks::note_heights(Arc::clone(&election), Arc::clone(marks));
            self.context.spawn(owner(), heights);
        }
        let intake = Intake::new(context(), Arc::clone(&election), node_key.clone(), marks.clone());
        self.context.spawn(owner(), intake.run(submissions));
        let sealer = Sealer::new(context(), Arc::clone(&election), node);
        self.context.spawn(owner(), sealer.run(commands));
        let end = epoch_end::run(context(), Arc::clone(&election), node_key, marks, earlier);
        self.context.spawn(owner(), end);
        self.context.spawn(owner(), snapshots::keep_writing(Arc::clone(&election)));
        if let Some(scrub) = recovered.scrub.filter(|_| self.context.config.scrub) {
            self.context.spawn(owner(), scrubbing::run(context(), Arc::clone(&election), scrub));
        }
        Ok(election)
    }

    /// This node's own record of its epochs in an election, on a shared ledger.
    fn epoch_marks(&self, law_id: &ElectionId) -> Result<Option<Arc<EpochMarks>>, NodeError> {
        if !self.context.is_shared {
            return Ok(None);
        }
        let path = self.context.folder.epochs_path(law_id);
        let marks = EpochMarks::open(&path).map_err(|source| NodeError::EpochRecord {
            law_id: law_id.clone(),
            source: FolderError::Io { path, source },
        })?;
        Ok(Some(Arc::new(marks)))
    }

    /// Resumes closes that a previous run began.
    fn resume_closes(&self) {
        for election in self.context.elections() {
            // Of several nodes the leader resumes the close.
            if election.committed().state() != State::Closing || self.context.is_shared {
                continue;
            }
            tracing::info!(
                event = "close_resumed",
                law_id = %election.law_id(),
                "interrupted close resumed"
            );
            let owner = Owner::Election(Arc::clone(&election));
            self.context.spawn(owner, async move {
                let (reply, closed) = oneshot::channel();
                if election.sealer.send(SealerCommand::Close { reason: None, reply }).await.is_ok()
                    && let Ok(Err(error)) = closed.await
                {
                    tracing::error!(
                        event = "close_failed",
                        alarm = true,
                        law_id = %election.law_id(),
                        %error,
                        "resumed close failed"
                    );
                }
            });
        }
    }

    /// Writes something that changes nothing, so that already the first health report shows whether
    /// writes are stored.
    pub async fn observe_writes(&self) {
        watch::observe_writes(&self.context).await;
    }

    /// Publishes the votes taken, seals them, ends the epochs and stops the tasks.
    pub async fn shutdown(self) {
        self.shutdown_within(Duration::from_secs(100 * 365 * 24 * 3600)).await;
    }

    /// As [`Node::shutdown`], but gives up unfinished work after `time`: votes already answered are
    /// durable, and the next start, or another node, resumes the work.
    pub async fn shutdown_within(self, time: Duration) {
        let until = tokio::time::Instant::now() + time;
        self.hurry();
        if self.failure().is_none() {
            let mut waiting: BTreeSet<ElectionId> = BTreeSet::new();
            let mut finishing = tokio::task::JoinSet::new();
            for election in self.context.elections() {
                if election.halted().is_none() {
                    waiting.insert(election.law_id().clone());
                    finishing.spawn(async move {
                        finish(&election, until).await;
                        election.law_id().clone()
                    });
                }
            }
            while !finishing.is_empty() {
                match tokio::time::timeout(STOP_NEWS_INTERVAL, finishing.join_next()).await {
                    Ok(Some(Ok(law_id))) => drop(waiting.remove(&law_id)),
                    Ok(_) => {}
                    Err(_) => {
                        tracing::info!(
                            event = "stop_delayed",
                            law_ids = ?waiting,
                            votes_pending = self.context.pending.len(),
                            "stop waits for votes to be published and sealed"
                        );
                    }
                }
            }
            if self.context.is_shared {
                leader_lease::resign(&self.context).await;
            }
        }
        tracing::info!(event = "node_stopped", failed = self.failure().is_some(), "node stopped");
        // A task that blocks its thread does not end, so it is not awaited.
        let until = until.max(tokio::time::Instant::now() + ABORT_TIME);
        let _ = tokio::time::timeout_at(until, self.context.end_tasks()).await;
    }
}

/// The file of the authorities, if it names outside witnesses. A node that seals as the only
/// authority then signs under the keys of that file, so they have to be its own; of several
/// authorities that is checked in any case.
fn witness_set(
    folder: &DataFolder,
    config: &Config,
    installed: Option<&Arc<AuthoritySet>>,
) -> Result<Option<Arc<AuthoritySet>>, NodeError> {
    let Some(set) = installed.filter(|set| !set.witnesses().is_empty()) else { return Ok(None) };
    if set.is_single() && config.roles.contains(&Role::Seal) {
        let name = folder.authority()?;
        folder.own_authority(set)?.ok_or(NodeError::NotAnAuthority { name })?;
    }
    Ok(Some(Arc::clone(set)))
}

/// Interval between log lines of a stop that waits.
const STOP_NEWS_INTERVAL: Duration = Duration::from_secs(5);

/// How long aborted tasks may take to end.
const ABORT_TIME: Duration = Duration::from_secs(1);

/// Publishes and seals the votes that one election has taken, as far as the time allows.
async fn finish(election: &Arc<ElectionHandle>, until: tokio::time::Instant) {
    let law_id = election.law_id();
    let ended = async {
        let (reply, finished) = oneshot::channel();
        if election.intake.send(Submission::Finish(reply)).await.is_ok()
            && let Ok(Err(error)) = finished.await
        {
            tracing::warn!(
                event = "epoch_end_failed",
                %law_id,
                %error,
                "epoch not ended, the next start ends it"
            );
        }
    };
    if tokio::time::timeout_at(until, ended).await.is_err() {
        tracing::warn!(
            event = "epoch_end_timed_out",
            %law_id,
            "epoch not ended in time, the next start ends it"
        );
    }
    let sealed = async {
        let (reply, stopped) = oneshot::channel();
        if election.sealer.send(SealerCommand::Stop(reply)).await.is_ok() {
            // A sealer that failed has reported it.
            let _ = stopped.await;
        }
    };
    if tokio::time::timeout_at(until, sealed).await.is_err() {
        tracing::warn!(
            event = "stop_sealing_timed_out",
            %law_id,
            "sealing not finished in time, the next start resumes it"
        );
        // The state in memory may be ahead of the durable state.
        return;
    }
    if tokio::time::timeout_at(until, snapshots::write_last(election)).await.is_err() {
        tracing::warn!(
            event = "last_snapshot_timed_out",
            %law_id,
            "last snapshot not written in time, the next start takes longer"
        );
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
