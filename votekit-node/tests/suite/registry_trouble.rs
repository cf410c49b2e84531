//! Votes are decided and the node continues, however the registry fails: it only gives hints.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{TestDir, create_request, law, vote};
use async_trait::async_trait;
use votekit_core::credential::RegistryKey;
use votekit_core::decision::Decision;
use votekit_core::electorate::{Changes, KeyList};
use votekit_core::id::ElectionId;
use votekit_node::Node;
use votekit_node::config::Config;
use votekit_node::data_folder::DataFolder;
use votekit_node::{OpenElection, VoteStatus};
use votekit_store::embedded::EmbeddedEngine;
use votekit_store::{EngineError, Engines, Hint, KnownElectors, Mark, Registry, RollOrigin};

/// Accepts rolls; marks, counts and pings fail with the given error.
struct Failing(fn() -> EngineError);

#[async_trait]
impl Registry for Failing {
    async fn is_registered(&self, _: &ElectionId, _: &RegistryKey) -> Result<bool, EngineError> {
        Err(self.0())
    }

    async fn add_roll(&self, _: &ElectionId, _: &Arc<KeyList>) -> Result<(), EngineError> {
        Ok(())
    }

    async fn apply(&self, _: &ElectionId, _: &Changes) -> Result<(), EngineError> {
        Ok(())
    }

    async fn mark(&self, _: &ElectionId, _: &[Mark]) -> Result<Vec<Hint>, EngineError> {
        Err(self.0())
    }

    async fn restore_all(
        &self,
        _: &ElectionId,
        _: Vec<KnownElectors>,
        _: Option<&RollOrigin>,
    ) -> Result<(), EngineError> {
        Ok(())
    }

    async fn registered(&self, _: &ElectionId) -> Result<u64, EngineError> {
        Err(self.0())
    }

    async fn ping(&self) -> Result<(), EngineError> {
        Err(self.0())
    }
}

const ENGINE: &str = "the registry of this test";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_registry_does_not_stop_voting() {
    let errors: [fn() -> EngineError; 4] = [
        || EngineError::Corrupt { engine: ENGINE, reason: "a key holds something else".to_owned() },
        || EngineError::Misconfigured {
            engine: ENGINE,
            reason: "OOM".to_owned(),
            hint: "more memory".to_owned(),
        },
        || EngineError::Fatal { engine: ENGINE, reason: "for good".to_owned() },
        || EngineError::Unavailable { engine: ENGINE, reason: "it is away".to_owned() },
    ];
    for error in errors {
        let dir = TestDir::new(3);
        let folder = DataFolder::open(&dir.path("node"), None).expect("a data folder");
        let engine = EmbeddedEngine::open(folder.path()).expect("the engine opens");
        let roles = Engines { registry: Arc::new(Failing(error)), ..Engines::from(engine) };
        let node = Node::start_on(folder, Config::default(), roles).await.expect("the node starts");
        node.load(&dir.path("hashes"), None).await.expect("loaded");
        node.create(create_request()).await.expect("created");
        node.open(&law(), OpenElection::default()).await.expect("opened");
        for index in 0..2 {
            let request = node.submit(&vote(index, "oui"), None, None).await.expect("taken");
            let status = node.wait(request, Duration::from_secs(30)).await.expect("looked at");
            assert!(
                matches!(status, Some(VoteStatus::Decided(Decision::Accepted { .. }))),
                "{}: {status:?}",
                error()
            );
        }
        assert_eq!(node.failure(), None, "{}", error());
        assert_eq!(node.close(&law()).await.expect("closed").accepted, 2);
        node.shutdown().await;
    }
}
