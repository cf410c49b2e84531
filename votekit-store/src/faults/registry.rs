//! The registry with faults.

use std::sync::Arc;

use async_trait::async_trait;
use votekit_core::credential::RegistryKey;
use votekit_core::electorate::{Changes, KeyList};
use votekit_core::id::ElectionId;

use super::{FaultPlan, Faulty};
use crate::{EngineError, Hint, KnownElectors, Mark, Registry, RollOrigin};

#[async_trait]
impl<T: Registry + ?Sized, P: FaultPlan> Registry for Faulty<T, P> {
    async fn check_origin(
        &self,
        law_id: &ElectionId,
        origin: &RollOrigin,
    ) -> Result<(), EngineError> {
        self.read(|| self.inner.check_origin(law_id, origin)).await
    }

    async fn prepare(
        &self,
        law_id: &ElectionId,
        origin: &RollOrigin,
        electors: u64,
    ) -> Result<(), EngineError> {
        self.read(|| self.inner.prepare(law_id, origin, electors)).await
    }

    async fn add_roll(&self, law_id: &ElectionId, keys: &Arc<KeyList>) -> Result<(), EngineError> {
        self.write(|| self.inner.add_roll(law_id, keys)).await
    }

    async fn apply(&self, law_id: &ElectionId, changes: &Changes) -> Result<(), EngineError> {
        self.write(|| self.inner.apply(law_id, changes)).await
    }

    async fn mark(&self, law_id: &ElectionId, marks: &[Mark]) -> Result<Vec<Hint>, EngineError> {
        self.write(|| self.inner.mark(law_id, marks)).await
    }

    async fn is_registered(
        &self,
        law_id: &ElectionId,
        key: &RegistryKey,
    ) -> Result<bool, EngineError> {
        self.read(|| self.inner.is_registered(law_id, key)).await
    }

    fn peek(&self, law_id: &ElectionId, mark: &Mark) -> Option<Hint> {
        self.inner.peek(law_id, mark)
    }

    fn surely_unused(&self, law_id: &ElectionId, mark: &Mark) -> bool {
        self.inner.surely_unused(law_id, mark)
    }

    async fn restore_all(
        &self,
        law_id: &ElectionId,
        electors: Vec<KnownElectors>,
        origin: Option<&RollOrigin>,
    ) -> Result<(), EngineError> {
        self.write(|| self.inner.restore_all(law_id, electors.clone(), origin)).await
    }

    async fn registered(&self, law_id: &ElectionId) -> Result<u64, EngineError> {
        self.read(|| self.inner.registered(law_id)).await
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.read(|| self.inner.ping()).await
    }
}
