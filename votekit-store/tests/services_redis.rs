//! The registry on a real Redis Cluster: the conformance suite, also with injected faults, and
//! cases of its own: lost marks, lost buckets, bad addresses.
//!
//! Long because all cases share a running cluster.
#![cfg(feature = "services")]

mod free_port;

use std::io::Write;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use free_port::free_port;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use tempfile::TempDir;
use votekit_core::credential::{HashScheme, RegistryKey};
use votekit_core::electorate::{Changes, KeyList};
use votekit_core::id::{Digest, ElectionId, RequestId};
use votekit_store::embedded::EmbeddedEngine;
use votekit_store::services::redis::{Difference, RedisRegistry};
use votekit_store::services::url::{Service, ServiceAddress};
use votekit_store::testing::conformance::{TestStorage, Which, registry_cases, report_cases};
use votekit_store::testing::seeded_faults::Odds;
use votekit_store::{
    EngineError, Engines, FirstUse, Hint, KnownElectors, Mark, Registry, RollOrigin,
};

/// An upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

const REGISTRY_CASES: usize = 21;
const REGISTRY_CASES_RETRY_SAFE: usize = 20;

/// The address of one node of a cluster of three masters and three replicas.
fn cluster() -> String {
    std::env::var("VOTEKIT_TEST_REDIS")
        .expect("VOTEKIT_TEST_REDIS is not set: `cargo xtask test` starts the servers, or `cargo xtask services up`")
}

/// A prefix that no other test or earlier run uses.
fn prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos();
    format!("t{}-{now:x}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn address(text: &str) -> ServiceAddress {
    ServiceAddress::parse(Service::Redis, text).expect("an address")
}

async fn registry(prefix: &str) -> RedisRegistry {
    let opened = RedisRegistry::open(&address(&format!("{}?prefix={prefix}", cluster()))).await;
    opened.expect("the cluster is there")
}

/// A separate registry on the cluster, or on one server. The other roles are not tested.
struct OnRedis {
    folder: TempDir,
    url: String,
    bad_day: Option<u64>,
}

impl OnRedis {
    fn make(server: &str, bad_day: Option<u64>) -> Box<dyn TestStorage> {
        let url = format!("{server}?prefix={}", prefix());
        Box::new(Self { folder: tempfile::tempdir().expect("a temporary folder"), url, bad_day })
    }
}

#[async_trait]
impl TestStorage for OnRedis {
    async fn open(&self) -> Result<Engines, EngineError> {
        let engine = EmbeddedEngine::open(self.folder.path())?;
        let registry = Arc::new(RedisRegistry::open(&address(&self.url)).await?);
        let roles = Engines { registry, ..Engines::from(engine) };
        Ok(match self.bad_day {
            Some(seed) => roles.unreliable(seed, Odds::BAD_DAY),
            None => roles,
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_registry_on_a_cluster_conforms() {
    assert!(registry(&prefix()).await.is_cluster(), "VOTEKIT_TEST_REDIS is not a cluster");
    let cases = report_cases(
        "services",
        "registry",
        &registry_cases(|| OnRedis::make(&cluster(), None), Which::All).await,
    );
    assert_eq!(cases, REGISTRY_CASES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_registry_on_a_cluster_conforms_on_a_bad_day() {
    let cases = report_cases(
        "services on bad day 2025",
        "registry",
        &registry_cases(|| OnRedis::make(&cluster(), Some(2_025)), Which::RetrySafe).await,
    );
    assert_eq!(cases, REGISTRY_CASES_RETRY_SAFE);
}

/// A plain server of one test, killed when dropped.
struct OneServer {
    folder: TempDir,
    port: u16,
    process: Child,
}

impl OneServer {
    fn start() -> Self {
        let port = free_port();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let process = Self::spawn(&folder, port);
        Self { folder, port, process }
    }

    fn spawn(folder: &TempDir, port: u16) -> Child {
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--port",
        ]);
        let process = childguard::guard(&mut command)
            .arg(port.to_string())
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn();
        process.expect("redis-server is not installed: Debian's package is redis-server")
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn open(&self) -> RedisRegistry {
        let until = Instant::now() + WAIT_TIMEOUT;
        loop {
            let error = match RedisRegistry::open(&address(&self.url())).await {
                Ok(registry) => return registry,
                Err(error) => error,
            };
            let is_starting = match &error {
                EngineError::Misconfigured { reason, .. } => reason.contains("connection refused"),
                EngineError::Unavailable { .. } => true,
                _ => false,
            };
            assert!(is_starting && Instant::now() < until, "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    fn restart(&mut self) {
        self.process = Self::spawn(&self.folder, self.port);
    }
}

impl Drop for OneServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asserts that a call failed without effect, for a reason that contains this part.
fn assert_unavailable(error: &EngineError, reason_part: &str) {
    let is_expected = matches!(
        error,
        EngineError::Unavailable { reason, .. } if reason.contains(reason_part)
    );
    assert!(is_expected, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_registry_on_one_server_conforms() {
    let server = OneServer::start();
    assert!(!server.open().await.is_cluster());
    let cases = report_cases(
        "services, one Redis",
        "registry",
        &registry_cases(|| OnRedis::make(&server.url(), None), Which::All).await,
    );
    assert_eq!(cases, REGISTRY_CASES);
    let cases = report_cases(
        "services, one Redis, on bad day 2025",
        "registry",
        &registry_cases(|| OnRedis::make(&server.url(), Some(7)), Which::RetrySafe).await,
    );
    assert_eq!(cases, REGISTRY_CASES_RETRY_SAFE);
}

#[tokio::test]
async fn a_server_that_was_away_is_found_again() {
    let mut server = OneServer::start();
    let registry = server.open().await;
    registry.add_roll(&law(), &roll(1..=10)).await.expect("loaded");
    assert_eq!(registry.mark(&law(), &[mark(1, 1)]).await.expect("marked"), [Hint::Accepted]);
    server.kill();
    let failed = registry.mark(&law(), &[mark(2, 1)]).await.expect_err("it is away");
    assert!(
        matches!(failed, EngineError::Unavailable { .. } | EngineError::OutcomeUnknown { .. }),
        "{failed}"
    );
    // Further calls fail at once.
    let again = registry.mark(&law(), &[mark(2, 1)]).await.expect_err("it is away still");
    assert_unavailable(&again, "unavailable a moment ago");
    registry.ping().await.expect_err("it is away still");
    server.restart();
    let marks = [mark(1, 2), mark(2, 1)];
    let until = Instant::now() + WAIT_TIMEOUT;
    let answer = loop {
        match registry.mark(&law(), &marks).await {
            Ok(answer) => break answer,
            Err(error @ (EngineError::Unavailable { .. } | EngineError::OutcomeUnknown { .. })) => {
                assert!(Instant::now() < until, "{error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(answer, [Hint::Duplicate { attempt: 2 }, Hint::Accepted]);
    registry.ping().await.expect("it is back");
}

fn law() -> ElectionId {
    "L2025-001".parse().expect("a law id")
}

/// Keys that are distributed like digests.
fn key(number: u32) -> RegistryKey {
    let mut bytes = [0x5a; 32];
    bytes[..8]
        .copy_from_slice(&u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    RegistryKey::from_bytes(bytes)
}

fn roll(numbers: impl IntoIterator<Item = u32>) -> Arc<KeyList> {
    let mut keys: Vec<RegistryKey> = numbers.into_iter().map(key).collect();
    keys.sort_unstable();
    Arc::new(KeyList::new(keys).expect("keys differ"))
}

fn mark(key_number: u32, request: u32) -> Mark {
    let mut bytes = [1; 16];
    bytes[..4].copy_from_slice(&request.to_be_bytes());
    Mark { key: key(key_number), request: RequestId::from_bytes(bytes) }
}

/// A client that changes Redis as a failover or an operator would.
async fn redis() -> ClusterConnection {
    let client = ClusterClient::new(vec![cluster()]).expect("a cluster");
    client.get_async_connection().await.expect("connected")
}

/// The key of a credential's bucket, in an election of at most 4096 electors.
fn bucket_key(prefix: &str, key: &RegistryKey) -> String {
    format!("{prefix}:{{{}:6:{:x}}}", law(), key.as_bytes()[0] >> 2)
}

#[tokio::test]
async fn marks_that_a_failover_forgot_make_hints_optimistic() {
    let prefix = prefix();
    let registry = registry(&prefix).await;
    registry.add_roll(&law(), &roll(1..=500)).await.expect("loaded");
    let bucket = bucket_key(&prefix, &key(7));
    let mut redis = redis().await;
    let before: Vec<u8> =
        redis::cmd("DUMP").arg(&bucket).query_async(&mut redis).await.expect("the bucket is there");
    assert_eq!(registry.mark(&law(), &[mark(7, 1)]).await.expect("marked"), [Hint::Accepted]);
    let again = registry.mark(&law(), &[mark(7, 2)]).await.expect("marked");
    assert_eq!(again, [Hint::Duplicate { attempt: 2 }]);
    // As after a failover to a replica that had not received the marks.
    let restored = redis::cmd("RESTORE")
        .arg(&bucket)
        .arg(0)
        .arg(before)
        .arg("REPLACE")
        .query_async::<()>(&mut redis)
        .await;
    restored.expect("the bucket as it was");
    assert_eq!(
        registry.mark(&law(), &[mark(7, 3)]).await.expect("marked"),
        [Hint::Accepted],
        "optimistic, not unknown"
    );
    let used = FirstUse::by(&mark(7, 1).request);
    let differences = registry
        .compare(
            &law(),
            &[(key(7), used), (key(8), FirstUse::UNUSED), (key(9_999), FirstUse::UNUSED)],
        )
        .await;
    assert_eq!(
        differences.expect("compared"),
        [Some(Difference::OtherRequest), None, Some(Difference::Missing)]
    );
}

#[tokio::test]
async fn a_lost_bucket_is_not_reported_as_unknown_electors() {
    let prefix = prefix();
    let registry = registry(&prefix).await;
    registry.add_roll(&law(), &roll(1..=500)).await.expect("loaded");
    let bucket = bucket_key(&prefix, &key(7));
    redis::cmd("DEL").arg(&bucket).query_async::<()>(&mut redis().await).await.expect("deleted");
    let error = registry.mark(&law(), &[mark(7, 1)]).await.expect_err("a lost bucket");
    assert_unavailable(&error, "registry rebuild");
    let survey = registry.survey(&law()).await.expect("counted");
    assert_eq!((survey.buckets, survey.buckets_missing), (64, 1));
    assert!(survey.registered() < 500);
    // Only the log knows which of the lost electors have voted: they are not added again as unused.
    for refused in [
        registry.add_roll(&law(), &roll(1..=500)).await,
        registry.add_roll(&law(), &roll([7])).await,
        registry.apply(&law(), &Changes { revoke: vec![key(8)], ..Changes::default() }).await,
        registry.prepare(&law(), &origin(1), 500).await,
    ] {
        let (reason, hint) = misconfigured(refused);
        assert!(reason.contains("part (1 of 64 buckets) of L2025-001 is missing"), "{reason}");
        assert!(hint.contains("registry rebuild"), "{hint}");
    }
    assert_eq!(registry.survey(&law()).await.expect("counted").buckets_missing, 1);
    // An operator's rebuild, then a node's load.
    let keys = roll(1..=500);
    let voted = FirstUse::by(&mark(7, 1).request);
    let uses = keys
        .keys()
        .iter()
        .map(|known| if *known == key(7) { voted } else { FirstUse::UNUSED })
        .collect();
    let electors = vec![KnownElectors { keys: Arc::clone(&keys), uses }];
    registry.restore_all(&law(), electors, None).await.expect("rebuilt");
    registry.add_roll(&law(), &roll(1..=500)).await.expect("loaded");
    assert_eq!(
        registry.mark(&law(), &[mark(7, 2), mark(9_999, 1)]).await.expect("marked"),
        [Hint::Duplicate { attempt: 2 }, Hint::Unknown]
    );
    assert_eq!(registry.survey(&law()).await.expect("counted").registered(), 500);
}

#[tokio::test]
async fn an_election_of_which_only_the_electors_are_left_is_not_loaded_over_them() {
    let prefix = prefix();
    let registry = registry(&prefix).await;
    registry.add_roll(&law(), &roll(1..=500)).await.expect("loaded");
    let meta = format!("{prefix}:{{{}}}", law());
    redis::cmd("DEL").arg(&meta).query_async::<()>(&mut redis().await).await.expect("deleted");
    let (reason, hint) = misconfigured(registry.add_roll(&law(), &roll(1..=500)).await);
    assert!(
        reason.contains("its description of L2025-001 is missing")
            && hint.contains("registry rebuild"),
        "{reason} {hint}"
    );
    let electors = vec![KnownElectors { keys: roll(1..=500), uses: vec![FirstUse::UNUSED; 500] }];
    registry.restore_all(&law(), electors, None).await.expect("rebuilt");
    registry.add_roll(&law(), &roll(1..=500)).await.expect("loaded");
}

#[tokio::test]
async fn an_interrupted_load_is_ended_before_another_roll_is_begun() {
    let prefix = prefix();
    let registry = registry(&prefix).await;
    registry.load_roll(&law(), &roll(1..=40), Some(&origin(1)), &|_| {}).await.expect("loaded");
    // As if the load had been killed.
    let meta = format!("{prefix}:{{{}}}", law());
    let mut redis = redis().await;
    for field in ["manifests", "registered"] {
        redis::cmd("HSET")
            .arg(&meta)
            .arg(field)
            .arg(if field == "registered" { "0" } else { "" })
            .query_async::<()>(&mut redis)
            .await
            .expect("set");
    }
    redis::cmd("HSET")
        .arg(&meta)
        .arg("state")
        .arg("loading")
        .query_async::<()>(&mut redis)
        .await
        .expect("set");
    for refused in [
        registry.load_roll(&law(), &roll(20..=5000), Some(&origin(2)), &|_| {}).await.map(drop),
        registry.check_load(&law(), &origin(2), 5000).await,
        registry.prepare(&law(), &origin(2), 5000).await,
    ] {
        let (reason, hint) = misconfigured(refused);
        assert!(
            reason.contains("the load of L2025-001 from manifest ")
                && reason.contains("is unfinished"),
            "{reason}"
        );
        assert!(hint.contains("run that load again"), "{hint}");
    }
    // Without a manifest, the count reveals the other roll.
    let (reason, _) = misconfigured(registry.add_roll(&law(), &roll(30..=50)).await);
    assert!(
        reason.contains("50 credentials of L2025-001 are loaded, this roll has 21"),
        "{reason}"
    );
    let other = HashScheme::HmacSha256;
    let (reason, _) = misconfigured(
        registry
            .load_roll(
                &law(),
                &roll(1..=50),
                Some(&RollOrigin { scheme: other, ..origin(1) }),
                &|_| {},
            )
            .await
            .map(drop),
    );
    assert!(reason.contains("under another pepper or hash scheme"), "{reason}");
    registry.load_roll(&law(), &roll(1..=50), Some(&origin(1)), &|_| {}).await.expect("ended");
    let meta = registry.meta(&law()).await.expect("read").expect("there");
    assert_eq!((meta.ready, meta.registered, meta.manifests), (true, 50, vec![origin(1).manifest]));
}

fn origin(number: u8) -> RollOrigin {
    RollOrigin { manifest: Digest::compute(&[number]), scheme: HashScheme::Sha256, pepper: None }
}

fn misconfigured(refused: Result<(), EngineError>) -> (String, String) {
    match refused {
        Err(EngineError::Misconfigured { reason, hint, .. }) => (reason, hint),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_without_room_is_reported_before_and_during_the_load() {
    let server = OneServer::start();
    let registry = server.open().await;
    let client = redis::Client::open(server.url()).expect("an address");
    let mut redis = client.get_multiplexed_async_connection().await.expect("connected");
    let mut set = async |value: &str| {
        redis::cmd("CONFIG")
            .arg("SET")
            .arg("maxmemory")
            .arg(value)
            .query_async::<()>(&mut redis)
            .await
            .expect("set");
    };
    set("2000000").await;
    registry.prepare(&law(), &origin(1), 50_000).await.expect("there is room");
    let (reason, hint) = misconfigured(registry.prepare(&law(), &origin(1), 100_000).await);
    assert!(
        reason.contains("maxmemory is 2000000 bytes: its 100000 electors need 2800000"),
        "{reason}"
    );
    assert!(hint.contains("CONFIG SET"), "{hint}");
    assert_eq!(registry.registered(&law()).await.expect("read"), 0, "nothing is written");
    registry.add_roll(&law(), &roll(1..=500)).await.expect("loaded");
    set("1").await;
    let refused = registry.mark(&law(), &[mark(1, 1)]).await.expect_err("no room");
    let (reason, hint) = misconfigured(Err(refused));
    assert!(reason.contains("OOM") && hint.contains("maxmemory"), "{reason} {hint}");
    set("0").await;
    assert_eq!(registry.mark(&law(), &[mark(1, 1)]).await.expect("marked"), [Hint::Accepted]);
}

/// The ACL line of docs/operations.md grants exactly the rights that are needed.
#[tokio::test]
async fn the_documented_rights_suffice_and_fewer_are_reported() {
    let manual =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md"))
            .expect("the manual");
    let line =
        manual.lines().find(|line| line.starts_with("ACL SETUSER votekit ")).expect("the line");
    let words: Vec<&str> =
        line.split(' ').map(|word| if word.starts_with('>') { ">geheim" } else { word }).collect();
    let server = OneServer::start();
    server.open().await;
    let client = redis::Client::open(server.url()).expect("an address");
    let mut redis = client.get_multiplexed_async_connection().await.expect("connected");
    let mut allow = async |words: &[&str]| {
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(*word);
        });
        command.query_async::<()>(&mut redis).await.expect("set");
    };
    allow(&words).await;
    let url = server.url().replace("redis://", "redis://votekit:geheim@");
    let registry = RedisRegistry::open(&address(&url)).await.expect("opened");
    registry.prepare(&law(), &origin(1), 500).await.expect("prepared");
    assert_eq!(registry.check_settings(500).await.expect("looked at"), []);
    registry.add_roll(&law(), &roll(1..=500)).await.expect("loaded");
    registry.add_roll(&law(), &roll(1..=500)).await.expect("loaded again");
    let changes = Changes {
        revoke: vec![key(2)],
        replace: vec![(key(3), key(1003))],
        add: vec![key(1001)],
        ..Changes::default()
    };
    registry.apply(&law(), &changes).await.expect("applied");
    assert_eq!(
        registry.mark(&law(), &[mark(1, 1), mark(1, 2)]).await.expect("marked")[1],
        Hint::Duplicate { attempt: 2 }
    );
    registry.compare(&law(), &[(key(4), FirstUse::UNUSED)]).await.expect("compared");
    registry.survey(&law()).await.expect("counted");
    assert_eq!(registry.laws().await.expect("listed"), [law()]);
    let electors =
        vec![KnownElectors { keys: roll(1..=20_000), uses: vec![FirstUse::UNUSED; 20_000] }];
    registry.restore_all(&law(), electors, None).await.expect("rebuilt");
    registry.ping().await.expect("it answers");
    // One right is missing.
    allow(&["ACL", "SETUSER", "votekit", "-evalsha"]).await;
    let refused = registry.mark(&law(), &[mark(1, 1)]).await.expect_err("no right");
    assert!(misconfigured(Err(refused)).1.contains("docs/operations.md"));
    allow(&["ACL", "SETUSER", "votekit", "-get"]).await;
    self::refused(&url, "no permissions", "docs/operations.md").await;
}

#[tokio::test]
async fn replicas_are_looked_at_too() {
    let looked_at = async || {
        let answer: String = redis::cmd("CLUSTER")
            .arg("NODES")
            .query_async(&mut one(&cluster()).await)
            .await
            .expect("answered");
        let mut times = Vec::new();
        for line in answer.lines().filter(|line| line.contains("slave")) {
            let address =
                line.split(' ').nth(1).and_then(|word| word.split('@').next()).expect("an address");
            let answer: String = redis::cmd("INFO")
                .arg("commandstats")
                .query_async(&mut one(&format!("redis://{address}")).await)
                .await
                .expect("answered");
            let calls = answer.lines().find_map(|line| {
                line.strip_prefix("cmdstat_config|get:calls=")?.split(',').next()?.parse().ok()
            });
            times.push(calls.unwrap_or(0_u64));
        }
        times
    };
    let before = looked_at().await;
    assert_eq!(before.len(), 3);
    let findings = registry(&prefix()).await.check_settings(1).await.expect("looked at");
    assert!(
        findings.iter().all(|finding| !finding.text.contains("does not answer")),
        "{findings:?}"
    );
    assert!(looked_at().await.iter().zip(&before).all(|(after, before)| after > before));
}

/// Connects to one node of the cluster.
async fn one(address: &str) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(address).expect("an address");
    client.get_multiplexed_async_connection().await.expect("connected")
}

#[tokio::test]
async fn an_unfinished_load_is_reported_and_resumed() {
    let prefix = prefix();
    let registry = registry(&prefix).await;
    registry.add_roll(&law(), &roll(1..=500)).await.expect("loaded");
    registry.mark(&law(), &[mark(7, 1)]).await.expect("marked");
    // As if the loader had been killed: some buckets exist, others do not.
    let mut redis = redis().await;
    let meta = format!("{prefix}:{{{}}}", law());
    redis::cmd("HSET")
        .arg(&meta)
        .arg("state")
        .arg("loading")
        .query_async::<()>(&mut redis)
        .await
        .expect("set");
    redis::cmd("DEL")
        .arg(bucket_key(&prefix, &key(9)))
        .query_async::<()>(&mut redis)
        .await
        .expect("deleted");
    let other = self::registry(&prefix).await;
    let error = other.mark(&law(), &[mark(1, 1)]).await.expect_err("not loaded");
    assert_unavailable(&error, "is unfinished");
    other.add_roll(&law(), &roll(1..=500)).await.expect("loaded on");
    assert_eq!(other.registered(&law()).await.expect("read"), 500);
    let answer = other.mark(&law(), &[mark(7, 2), mark(9, 1)]).await.expect("marked");
    assert_eq!(answer, [Hint::Duplicate { attempt: 2 }, Hint::Accepted], "nothing is unspent");
}

#[tokio::test]
async fn attempts_without_end_fill_no_memory() {
    let prefix = prefix();
    let registry = registry(&prefix).await;
    registry.add_roll(&law(), &roll(1..=1)).await.expect("loaded");
    let marks: Vec<Mark> = (1..=1012).map(|request| mark(1, request)).collect();
    let answer = registry.mark(&law(), &marks).await.expect("marked");
    for (expectation, attempt) in answer.iter().zip(1_u32..) {
        let expected = if attempt == 1 {
            Hint::Accepted
        } else {
            Hint::Duplicate { attempt: attempt.min(1002) }
        };
        assert_eq!(*expectation, expected, "attempt {attempt}");
    }
    let later = format!("{}:d", bucket_key(&prefix, &key(1)));
    let kept: u32 =
        redis::cmd("HLEN").arg(&later).query_async(&mut redis().await).await.expect("counted");
    assert_eq!(kept, 1001, "1000 requests and their count");
}

#[tokio::test]
async fn a_batch_is_marked_after_the_servers_forgot_the_scripts() {
    let registry = registry(&prefix()).await;
    registry.add_roll(&law(), &roll(1..=500)).await.expect("loaded");
    redis::cmd("SCRIPT").arg("FLUSH").query_async::<()>(&mut redis().await).await.expect("flushed");
    let marks: Vec<Mark> = (1..=500).map(|number| mark(number, number)).collect();
    assert_eq!(registry.mark(&law(), &marks).await.expect("marked"), vec![Hint::Accepted; 500]);
}

#[tokio::test]
async fn electors_spread_over_all_masters_in_packed_lists() {
    let prefix = prefix();
    let registry = registry(&prefix).await;
    registry.add_roll(&law(), &roll(1..=4000)).await.expect("loaded");
    let marks: Vec<Mark> = (1..=4000).map(|number| mark(number, number)).collect();
    registry.mark(&law(), &marks).await.expect("marked");
    let mut redis = redis().await;
    for number in [1, 2_000, 4_000] {
        let bucket = bucket_key(&prefix, &key(number));
        let encoding: String = redis::cmd("OBJECT")
            .arg("ENCODING")
            .arg(&bucket)
            .query_async(&mut redis)
            .await
            .expect("answered");
        assert_eq!(encoding, "listpack");
    }
    let survey = registry.survey(&law()).await.expect("counted");
    assert_eq!(
        (survey.credentials, survey.used, survey.revoked, survey.buckets_missing),
        (4000, 4000, 0, 0)
    );
}

/// Asserts that opening fails with a reason and a hint that contain these texts, and no password.
async fn refused(text: &str, expected: &str, hinted: &str) {
    match RedisRegistry::open(&address(text)).await {
        Err(EngineError::Misconfigured { reason, hint, .. }) => {
            assert!(reason.contains(expected), "{text}: no {expected:?} in: {reason}");
            assert!(hint.contains(hinted), "{text}: no {hinted:?} in: {hint}");
            assert!(!reason.contains("geheim") && !hint.contains("geheim"), "{reason} {hint}");
        }
        other => panic!("{text}: {other:?}"),
    }
}

#[tokio::test]
async fn each_bad_address_is_reported_with_a_hint() {
    let good = cluster();
    let good = good.trim_end_matches('/');
    assert!(ServiceAddress::parse(Service::Redis, "http://localhost").is_err(), "another scheme");
    refused("redis://127.0.0.1:1", "connection refused", "host and port").await;
    refused("redis://no-such-host.invalid:6379", "the host name cannot be resolved", "name").await;
    refused(
        &good.replace("redis://", "redis://:geheim@"),
        "refuses the user or the password",
        "password_file",
    )
    .await;
    refused(
        &good.replace("redis://", "redis://nobody:geheim@"),
        "refuses the user or the password",
        "password_file",
    )
    .await;
    refused(&good.replace("redis://", "rediss://"), "does not", "redis://").await;
    // Not a Redis server: it answers with one line of HTTP and closes.
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = other.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in other.incoming().flatten() {
            let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        }
    });
    refused(&format!("redis://127.0.0.1:{port}"), "is not in the Redis protocol", "check the port")
        .await;
    refused(&format!("{good}/3"), "does not have database 3", "prefix").await;
    refused(&format!("{good}/votes"), "is not a database number", "omit it").await;
    refused(&format!("{good}?prefix=a:b"), "the prefix 'a:b'", "letters").await;
    refused(&format!("{good}?timeout=3"), "'timeout' is unknown", "prefix").await;
    refused(&format!("{good}?ca_file=/nowhere"), "ca_file requires TLS", "rediss://").await;
    refused(
        &format!("{}?ca_file=/nowhere", good.replace("redis://", "rediss://")),
        "cannot read ca_file",
        "PEM",
    )
    .await;
}

#[tokio::test]
async fn a_registry_of_another_layout_or_program_is_refused() {
    let prefix = prefix();
    let mut redis = redis().await;
    let here = format!("{}?prefix={prefix}", cluster());
    let layout = format!("{prefix}:layout");
    let mut call = async |command: &str, values: &[&str]| {
        let mut command = redis::cmd(command);
        command.arg(&layout).arg(values);
        command.query_async::<()>(&mut redis).await.expect("done");
    };
    call("SET", &["2"]).await;
    refused(&here, "layout 2, expected layout 1", "use the version of votekit that wrote it").await;
    call("SET", &["mine"]).await;
    refused(&here, "is not votekit's", "prefix").await;
    call("DEL", &[]).await;
    call("SADD", &["x"]).await;
    refused(&here, "something else", "prefix").await;
}
