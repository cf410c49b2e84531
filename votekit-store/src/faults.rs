//! Injected faults: a wrapper over each role in which calls fail as a [`FaultPlan`] decides.
//!
//! Calls fail as networks and disks do: they are refused before anything happens, delayed, or made
//! with an outcome that the caller does not learn. Behind the feature `faults`: for tests, and for
//! demonstrations of an outage.

mod accounts;
mod ballot_box;
mod ledger;
mod registry;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use votekit_core::id::ElectionId;

use crate::retry::is_passing;
use crate::{EngineError, Head};

/// The effect of a call on an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// It changes nothing.
    Read,
    /// It may change something.
    Write,
}

/// The fault that is injected into a call.
#[derive(Debug)]
pub enum Fault {
    /// The call is made.
    None,
    /// The call is made after a delay.
    Delay(Duration),
    /// The call is not made, and fails with this error.
    FailBefore(EngineError),
    /// The call is made, and then fails with this error if it succeeded.
    FailAfter(EngineError),
}

/// Decides which calls of a role fail.
pub trait FaultPlan: Send + Sync + 'static {
    /// The fault of the next call.
    fn next_fault(&self, call: Call) -> Fault;

    /// Whether the next acknowledgement of a batch is not made, but reported as made.
    fn loses_acknowledgement(&self) -> bool {
        false
    }

    /// The maximum number of attempts for one call, at least 1. As a caller would do, further
    /// attempts are made while the outcome is not definite.
    fn attempts_max(&self) -> u32 {
        1
    }
}

/// A role in which calls fail according to a plan.
#[derive(Debug)]
pub struct Faulty<T: ?Sized, P> {
    plan: P,
    is_shared: bool,
    rolled_back: Mutex<Option<(ElectionId, Head)>>,
    inner: Arc<T>,
}

impl<T: ?Sized, P: FaultPlan> Faulty<T, P> {
    /// Wraps a role.
    #[must_use]
    pub fn new(inner: Arc<T>, plan: P) -> Self {
        Self { plan, is_shared: false, rolled_back: Mutex::default(), inner }
    }

    /// Reports the ledger as shared, as if other processes used it.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.is_shared = true;
        self
    }

    /// From now on, reports this head for a log, as if the server had been restored from a backup.
    pub fn rolled_back(&self, law_id: ElectionId, head: Head) {
        *self.rolled_back.lock() = Some((law_id, head));
    }

    async fn read<R, F>(&self, call: impl FnMut() -> F + Send) -> Result<R, EngineError>
    where
        F: Future<Output = Result<R, EngineError>> + Send,
    {
        self.make(Call::Read, call).await
    }

    async fn write<R, F>(&self, call: impl FnMut() -> F + Send) -> Result<R, EngineError>
    where
        F: Future<Output = Result<R, EngineError>> + Send,
    {
        self.make(Call::Write, call).await
    }

    async fn make<R, F>(
        &self,
        kind: Call,
        mut call: impl FnMut() -> F + Send,
    ) -> Result<R, EngineError>
    where
        F: Future<Output = Result<R, EngineError>> + Send,
    {
        let mut attempts = 1;
        loop {
            match self.attempt(kind, call()).await {
                Err(error) if is_passing(&error) && attempts < self.plan.attempts_max() => {
                    attempts += 1;
                }
                definite => return definite,
            }
            tokio::task::yield_now().await;
        }
    }

    async fn attempt<R>(
        &self,
        kind: Call,
        call: impl Future<Output = Result<R, EngineError>> + Send,
    ) -> Result<R, EngineError> {
        match self.plan.next_fault(kind) {
            Fault::None => call.await,
            Fault::Delay(delay) => {
                tokio::time::sleep(delay).await;
                call.await
            }
            Fault::FailBefore(error) => Err(error),
            Fault::FailAfter(error) => call.await.and(Err(error)),
        }
    }
}
