//! A node and the pepper of a shared registry: loaded rolls bear their origin, and a registry
//! loaded under another pepper is refused.
#![cfg(feature = "services")]

mod support;

use std::sync::Arc;

use redis::cluster::ClusterClient;
use support::{TestDir, create_request, law, pepper, vote};
use votekit_core::credential::HashScheme;
use votekit_core::electorate::KeyList;
use votekit_core::id::Digest;
use votekit_core::manifest::PepperMarks;
use votekit_node::OpenElection;
use votekit_node::config::Config;
use votekit_node::data_folder::DataFolder;
use votekit_node::{AdminError, Node, NodeError};
use votekit_store::embedded::EmbeddedEngine;
use votekit_store::services::redis::RedisRegistry;
use votekit_store::services::url::{Service, ServiceAddress};
use votekit_store::{EngineError, Engines, RollOrigin};

fn cluster() -> String {
    std::env::var("VOTEKIT_TEST_REDIS")
        .expect("VOTEKIT_TEST_REDIS is not set: `cargo xtask test` starts the servers, or `cargo xtask services up`")
}

/// A registry that no other test or earlier run uses, and its prefix.
async fn registry() -> (RedisRegistry, String) {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos();
    let prefix = format!("o{}-{now:x}", std::process::id());
    let address = ServiceAddress::parse(Service::Redis, &format!("{}?prefix={prefix}", cluster()))
        .expect("an address");
    (RedisRegistry::open(&address).await.expect("the cluster is there"), prefix)
}

async fn start(place: &TestDir, registry: &RedisRegistry) -> Result<Node, NodeError> {
    let folder = DataFolder::open(&place.path("node"), None).expect("a data folder");
    let engine = EmbeddedEngine::open(folder.path()).expect("the engine opens");
    let roles = Engines { registry: Arc::new(registry.clone()), ..Engines::from(engine) };
    Node::start_on(folder, Config::default(), roles).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_refuses_a_registry_under_another_pepper() {
    let place = TestDir::new(10);
    let (registry, prefix) = registry().await;
    let node = start(&place, &registry).await.expect("started");
    node.load(&place.path("hashes"), None).await.expect("loaded");
    node.create(create_request()).await.expect("created");
    node.open(&law(), OpenElection::default()).await.expect("opened");
    let meta = registry.meta(&law()).await.expect("read").expect("there");
    assert_eq!((meta.ready, meta.registered, meta.scheme.as_deref()), (true, 10, Some("sha256")));
    assert_eq!(meta.manifests, [place.manifest.digest()], "what a node loads bears its manifest");
    node.shutdown().await;
    // After a restart it finds its own registry.
    let node = start(&place, &registry).await.expect("started again");
    node.shutdown().await;
    // The registry of another installation under the same name.
    let client = ClusterClient::new(vec![cluster()]).expect("a cluster");
    let mut redis = client.get_async_connection().await.expect("connected");
    let meta = format!("{prefix}:{{{}}}", law());
    redis::cmd("HSET")
        .arg(&meta)
        .arg("scheme")
        .arg("hmac-sha256 0 0")
        .query_async::<()>(&mut redis)
        .await
        .expect("set");
    match start(&place, &registry).await {
        Err(NodeError::Engine(EngineError::Misconfigured { reason, hint, .. })) => {
            assert!(
                reason.contains(
                    "it holds L2025-001 under another pepper or hash scheme (hmac-sha256 0 0)"
                ),
                "{reason}"
            );
            assert!(hint.contains("?prefix=NAME") && hint.contains("registry rebuild"), "{hint}");
        }
        other => panic!("{other:?}"),
    }
    // A value that cannot be parsed is reported, and stops no voter.
    redis::cmd("HSET")
        .arg(&meta)
        .arg("bits")
        .arg("many")
        .query_async::<()>(&mut redis)
        .await
        .expect("set");
    let node = start(&place, &registry).await.expect("started all the same");
    let request = node.submit(&vote(3, "oui"), None, None).await.expect("taken");
    node.wait(request, std::time::Duration::from_secs(20)).await.expect("decided");
    assert_eq!(node.failure(), None);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_roll_under_another_pepper_than_the_registry_takes_no_effect() {
    let place = TestDir::new(10);
    let (registry, _) = registry().await;
    let origin = RollOrigin {
        manifest: Digest::of(b"other"),
        scheme: HashScheme::HmacSha256,
        pepper: Some(PepperMarks::new(&pepper())),
    };
    let other = Arc::new(KeyList::new(Vec::new()).expect("nobody"));
    registry.load_roll(&law(), &other, Some(&origin), &|_| {}).await.expect("loaded");
    let node = start(&place, &registry).await.expect("started");
    node.create(create_request()).await.expect("created");
    match node.load(&place.path("hashes"), None).await {
        Err(AdminError::Engine(EngineError::Misconfigured { reason, .. })) => {
            assert!(reason.contains("under another pepper or hash scheme"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        node.election(&law()).expect("there").registered,
        0,
        "the log does not say that they are registered"
    );
    node.shutdown().await;
}
