//! The handle of a running node, for programs that embed it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
#[cfg(feature = "test-support")]
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use votekit_core::id::ElectionId;
use votekit_core::instant::UnixMillis;
use votekit_core::log::note::KeyName;
use votekit_store::Accounts;

use crate::config::Config;
use crate::context::NodeContext;
#[cfg(feature = "test-support")]
use crate::context::Owner;
use crate::data_folder::FolderError;
use crate::failure::NodeFailure;
use crate::limits::throttle::Throttle;

/// A running node. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    pub(crate) context: Arc<NodeContext>,
}

impl fmt::Debug for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Node({:?})", self.context.elections())
    }
}

impl Node {
    /// The time by this node's clock.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.context.now()
    }

    /// The throttle on wrong codes.
    #[must_use]
    pub fn throttle(&self) -> &Throttle {
        &self.context.throttle
    }

    /// Checks whether the rate has room for a vote now, without using any of it. The error is the
    /// time to wait.
    pub fn check_rate(&self, now: Instant) -> Result<(), Duration> {
        self.context.admission.check(now)
    }

    /// Evicts rate state that has no effect any more, and counts attempts as wrong whose hint is
    /// overdue for too long. Called every few seconds.
    pub fn forget_quiet(&self) {
        self.context.admission.forget_quiet();
        self.context.throttle.expire_hints(Instant::now());
    }

    /// The configuration of this node.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.context.config
    }

    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.context.folder.path()
    }

    /// The base of the names of this node's logs.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn log_base(&self) -> Result<KeyName, FolderError> {
        self.context.folder.base()
    }

    /// The accounts of officials and members, their sessions, and the keys of tokens.
    #[must_use]
    pub fn accounts(&self) -> &Arc<dyn Accounts> {
        &self.context.accounts
    }

    /// The administrator's token.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn admin_token(&self) -> Result<zeroize::Zeroizing<String>, FolderError> {
        self.context.folder.admin_token()
    }

    /// Resolves with the reason when the node has failed permanently and must stop.
    pub async fn failed(&self) -> NodeFailure {
        let mut failure = self.context.failure.subscribe();
        let first = failure.wait_for(Option::is_some).await.ok().and_then(|first| first.clone());
        match first {
            Some(failure) => failure,
            // The sender lives as long as the node.
            None => std::future::pending().await,
        }
    }

    /// Why the node has failed permanently, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<NodeFailure> {
        self.context.failure.borrow().clone()
    }

    /// Why an election is halted on this node, if it is.
    #[must_use]
    pub fn halted(&self, law_id: &ElectionId) -> Option<String> {
        self.context.halted(law_id)
    }

    /// Whether this node leads: it seals.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.context.leader_lease.term().is_some()
    }

    /// Answers clients that wait for a decision with the present status: the node is about to stop.
    pub fn hurry(&self) {
        self.context.hurrying.send_replace(true);
    }

    /// Moves this node's clock, for tests of a clock that steps.
    #[cfg(feature = "test-support")]
    pub fn step_clock(&self, milliseconds: i64) {
        self.context.clock_offset.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// Panics in a task of the node, or of one of its elections, to test the consequences.
    #[cfg(feature = "test-support")]
    pub fn panic_in_task(&self, law_id: Option<&ElectionId>) {
        let election = law_id.and_then(|law_id| self.context.election(law_id));
        let owner = election.map_or(Owner::Node, Owner::Election);
        self.context.spawn(owner, async { panic!("a test panics") });
    }

    /// Aborts every task at once, as a kill does: nothing more is published, sealed or reported.
    /// The data folder is free once the tasks have ended.
    pub fn abandon(self) {
        self.context.stop.cancel();
    }
}
