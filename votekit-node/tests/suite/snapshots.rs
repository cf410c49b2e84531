//! A start from a snapshot results in the same state as the whole log, and a snapshot that would
//! not is rejected.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{LAW, TestDir, create_request, decided, law, vote, write_supplement};
use votekit_core::decision::{Decision, InvalidReason};
use votekit_core::election::ResultsPolicy;
use votekit_core::election_log::snapshot::SEGMENT_REQUESTS;
use votekit_core::id::{Digest, ElectionId, RequestId};
use votekit_node::Node;
use votekit_node::config::Config;
use votekit_node::data_folder::DataFolder;
use votekit_node::{CreateElection, OpenElection, SubmitError};

const WAIT: Duration = Duration::from_secs(30);

fn config() -> Config {
    Config { rate_limit_per_second: 0, scrub: false, ..Config::default() }
}

async fn start(dir: &TestDir, config: Config) -> Node {
    let folder = DataFolder::open(&dir.path("node"), None).expect("a data folder");
    Node::start(folder, config).await.expect("the node starts")
}

/// Starts from the first leaf of every log.
async fn replay(dir: &TestDir) -> Node {
    start(dir, Config { replay: true, ..config() }).await
}

async fn opened(dir: &TestDir, policy: ResultsPolicy, publish_every: u64) -> Node {
    let node = start(dir, config()).await;
    node.load(&dir.path("hashes"), None).await.expect("loaded");
    let request = CreateElection {
        results: Some(policy),
        publish_every: Some(publish_every),
        ..create_request()
    };
    node.create(request).await.expect("created");
    node.open(&law(), OpenElection::default()).await.expect("opened");
    node
}

async fn cast(node: &Node, elector: u32, choice: &str) -> (RequestId, Decision) {
    let request = node.submit(&vote(elector, choice), None, None).await.expect("taken");
    (request, decided(node, request).await)
}

fn snapshots(dir: &TestDir) -> PathBuf {
    dir.path("node").join("snapshots").join(LAW)
}

/// Everything that a node reports of an election and of these requests.
async fn fingerprint(node: &Node, requests: &[(RequestId, Decision)]) -> String {
    let mut fingerprint = format!(
        "{:?}\n{:?}\n{:?}\n",
        node.election(&law()),
        node.checkpoint(&law()).as_deref().map(Digest::compute),
        node.results(&law(), None).await
    );
    for (request, decision) in requests {
        assert_eq!(decided(node, *request).await, *decision);
        fingerprint +=
            &format!("{}\n", Digest::compute(&node.receipt(*request).await.expect("decided")));
    }
    fingerprint
}

/// The report of a node that replays the whole log of a stopped one. The stop itself adds the end
/// of an epoch to the log.
async fn fingerprint_by_replay(dir: &TestDir, requests: &[(RequestId, Decision)]) -> String {
    let node = replay(dir).await;
    let fingerprint = fingerprint(&node, requests).await;
    node.shutdown().await;
    fingerprint
}

/// A poll with every kind of vote, a supplement in the middle, and more votes after it.
async fn a_day(dir: &TestDir, node: &Node) -> Vec<(RequestId, Decision)> {
    let mut requests = Vec::new();
    for elector in [1, 2, 1, 3, 1, 90, 4] {
        requests.push(cast(node, elector, if elector % 2 == 0 { "oui" } else { "non" }).await);
    }
    write_supplement(&dir.path("late"), &dir.manifest, &[50, 51], &[1, 5, 6], false);
    node.load(&dir.path("late"), None).await.expect("loaded");
    for elector in [5, 50, 50, 7] {
        requests.push(cast(node, elector, "blanc").await);
    }
    requests
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_gives_what_the_log_gives() {
    for (policy, every) in [
        (ResultsPolicy::Live, 1),
        (ResultsPolicy::Live, 2),
        (ResultsPolicy::AfterVote, 3),
        (ResultsPolicy::AfterClose, 1),
    ] {
        let dir = TestDir::new(20);
        let node = opened(&dir, policy, every).await;
        let mut requests = a_day(&dir, &node).await;
        node.shutdown().await;
        let by_replay = fingerprint_by_replay(&dir, &requests).await;
        let node = start(&dir, config()).await;
        assert_eq!(fingerprint(&node, &requests).await, by_replay, "{policy:?} {every}");
        // Voting continues from the same state: attempts are counted, revoked codes stay revoked,
        // an added elector can vote.
        let next = [
            cast(&node, 1, "oui").await,
            cast(&node, 6, "oui").await,
            cast(&node, 51, "oui").await,
        ];
        assert!(matches!(next[0].1, Decision::Duplicate { attempt: 4, .. }), "{:?}", next[0]);
        assert!(matches!(next[1].1, Decision::Invalid { reason: InvalidReason::Revoked, .. }));
        assert!(matches!(next[2].1, Decision::Accepted { .. }), "{:?}", next[2]);
        requests.extend(next);
        let closed = node.close(&law()).await.expect("closed");
        assert_eq!((closed.accepted, closed.duplicate, closed.invalid), (7, 4, 3));
        node.certify(&law()).await.expect("certified");
        let at_the_end = fingerprint(&node, &requests).await;
        node.shutdown().await;
        for from_snapshot in [true, false] {
            let node = if from_snapshot { start(&dir, config()).await } else { replay(&dir).await };
            assert_eq!(
                fingerprint(&node, &requests).await,
                at_the_end,
                "{policy:?} {every} {from_snapshot}"
            );
            node.shutdown().await;
        }
        let node = start(&dir, config()).await;
        node.purge(&law()).await.expect("purged");
        let purged = fingerprint(&node, &requests).await;
        node.shutdown().await;
        let node = start(&dir, config()).await;
        assert_eq!(fingerprint(&node, &requests).await, purged);
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tail_is_read_after_an_older_snapshot() {
    let dir = TestDir::new(20);
    let node = opened(&dir, ResultsPolicy::AfterClose, 1).await;
    let mut requests = vec![cast(&node, 1, "oui").await, cast(&node, 2, "non").await];
    node.shutdown().await;
    let older = fs::read(snapshots(&dir).join("head")).expect("a snapshot");
    let node = start(&dir, config()).await;
    requests.extend(a_day(&dir, &node).await);
    node.shutdown().await;
    let whole = fingerprint_by_replay(&dir, &requests).await;
    fs::write(snapshots(&dir).join("head"), older).expect("written");
    let node = start(&dir, config()).await;
    assert_eq!(fingerprint(&node, &requests).await, whole);
    let closed = node.close(&law()).await.expect("closed");
    let results = node.results(&law(), None).await.expect("shown");
    assert_eq!(results.counts.total(), closed.accepted);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_election_has_its_own() {
    let dir = TestDir::new(5);
    let node = opened(&dir, ResultsPolicy::Live, 1).await;
    let other = CreateElection { law_id: "L2025-002".to_owned(), ..create_request() };
    node.create(other).await.expect("created");
    let requests = vec![cast(&node, 1, "oui").await];
    node.shutdown().await;
    let before = fingerprint_by_replay(&dir, &requests).await;
    // The snapshot of one election is rejected as the snapshot of another.
    let theirs = dir.path("node").join("snapshots/L2025-002/head");
    fs::copy(snapshots(&dir).join("head"), &theirs).expect("copied");
    let node = start(&dir, config()).await;
    assert_eq!(fingerprint(&node, &requests).await, before);
    let other =
        node.election(&"L2025-002".parse::<ElectionId>().expect("a law id")).expect("there");
    assert_eq!((other.state.as_str(), other.accepted), ("draft", 0));
    node.shutdown().await;
}

/// Damages the files of a snapshot. Each time the node must start with the same report and write
/// the next snapshot whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_not_believed() {
    type Damage = fn(&Path);
    let damages: [Damage; 7] = [
        |folder| flip(&folder.join("head"), 40),
        |folder| flip(&folder.join("segment-000000"), 40_000),
        |folder| fs::remove_file(folder.join("segment-000000")).expect("removed"),
        |folder| cut(&folder.join("head")),
        |folder| cut(&folder.join("segment-000000")),
        |folder| fs::write(folder.join("head"), b"").expect("written"),
        |folder| fs::remove_dir_all(folder).expect("removed"),
    ];
    let dir = TestDir::new(100);
    let node = opened(&dir, ResultsPolicy::Live, 1).await;
    let requests =
        vec![cast(&node, 1, "oui").await, cast(&node, 1, "non").await, cast(&node, 2, "oui").await];
    let mut casting = tokio::task::JoinSet::new();
    for caster in 0..64 {
        let node = node.clone();
        casting.spawn(async move {
            for _ in 0..SEGMENT_REQUESTS.div_ceil(64) {
                node.submit(&vote(caster, "oui"), None, None).await.expect("taken");
            }
        });
    }
    casting.join_all().await;
    let last = node.submit(&vote(3, "oui"), None, None).await.expect("taken");
    decided(&node, last).await;
    node.shutdown().await;
    let before = fingerprint_by_replay(&dir, &requests).await;
    assert!(snapshots(&dir).join("segment-000000").exists());
    for (number, damage) in damages.into_iter().enumerate() {
        damage(&snapshots(&dir));
        let node = start(&dir, config()).await;
        assert_eq!(fingerprint(&node, &requests).await, before, "damage {number}");
        node.shutdown().await;
        assert!(snapshots(&dir).join("head").exists());
    }
    let node = start(&dir, config()).await;
    assert_eq!(fingerprint(&node, &requests).await, before);
    node.shutdown().await;
}

fn flip(path: &Path, index: usize) {
    let mut bytes = fs::read(path).expect("there");
    bytes[index] ^= 4;
    fs::write(path, bytes).expect("written");
}

fn cut(path: &Path) {
    let bytes = fs::read(path).expect("there");
    fs::write(path, &bytes[..bytes.len() - 1]).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn rolled_back_ledger_is_not_continued() {
    let dir = TestDir::new(20);
    let node = opened(&dir, ResultsPolicy::Live, 1).await;
    let requests = vec![cast(&node, 1, "oui").await];
    node.shutdown().await;
    let ledger = dir.path("node").join("ledger.sqlite");
    let older = fs::read(&ledger).expect("a ledger");
    let node = replay(&dir).await;
    let before = fingerprint(&node, &requests).await;
    cast(&node, 2, "non").await;
    node.shutdown().await;
    let newer = fs::read(snapshots(&dir).join("head")).expect("a snapshot");
    fs::write(&ledger, older).expect("written");
    let ahead = refusal(&dir).await;
    assert!(
        ahead.contains("ledger of L2025-001 is an older copy")
            && ahead.contains("leaves, the ledger has"),
        "{ahead}"
    );
    assert!(refusal(&dir).await.contains("the ledger has"), "nor the second time");
    // An operator may still start by a replay, and the next snapshot is of this log.
    let node = replay(&dir).await;
    assert_eq!(fingerprint(&node, &requests).await.lines().last(), before.lines().last());
    assert_eq!(node.election(&law()).expect("there").accepted, 1);
    for elector in [3, 4, 5] {
        cast(&node, elector, "oui").await;
    }
    node.shutdown().await;
    start(&dir, config()).await.shutdown().await;
    // The log has grown beyond the snapshot, and is not its continuation.
    fs::write(snapshots(&dir).join("head"), newer).expect("written");
    let other = refusal(&dir).await;
    assert!(other.contains("does not continue the snapshot"), "{other}");
    replay(&dir).await.shutdown().await;
}

/// Returns the error of a start.
async fn refusal(dir: &TestDir) -> String {
    let folder = DataFolder::open(&dir.path("node"), None).expect("a data folder");
    Node::start(folder, config()).await.expect_err("the node does not start").to_string()
}

/// Changes a byte of the ledger of a stopped node, `after` bytes behind every occurrence of the
/// text: moved rows leave copies behind.
fn change_ledger(dir: &TestDir, text: &[u8], after: usize) {
    let path = dir.path("node").join("ledger.sqlite");
    let mut bytes = fs::read(&path).expect("a ledger");
    let found: Vec<_> =
        (0..bytes.len()).filter(|start| bytes[*start..].starts_with(text)).collect();
    assert!(!found.is_empty(), "it stands there");
    for start in found {
        let changed = &mut bytes[start + text.len() + after];
        *changed = if *changed == b'7' { b'8' } else { b'7' };
    }
    fs::write(path, bytes).expect("written");
}

/// A start from a snapshot reads neither old leaves nor old batches; the later scrub does, and the
/// election is halted.
#[tokio::test(flavor = "multi_thread")]
async fn damage_behind_a_snapshot_is_found_after_the_start() {
    let damages: [Option<(&[u8], usize)>; 3] =
        [Some((br#""decision":"accepted","hash":""#, 9)), Some((b"VKBATCH1", 120)), None];
    for damage in damages {
        let dir = TestDir::new(20);
        let node = opened(&dir, ResultsPolicy::Live, 1).await;
        let requests =
            [cast(&node, 1, "oui").await, cast(&node, 1, "oui").await, cast(&node, 2, "non").await];
        node.shutdown().await;
        if let Some((text, after)) = damage {
            change_ledger(&dir, text, after);
        }
        let node = start(&dir, Config { scrub: true, ..config() }).await;
        if damage.is_none() {
            // Voting continues meanwhile, and nothing is found.
            assert!(matches!(cast(&node, 3, "non").await.1, Decision::Accepted { .. }));
            assert_eq!(decided(&node, requests[0].0).await, requests[0].1);
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert_eq!(node.halted(&law()), None);
        } else {
            let halted = async {
                loop {
                    match node.halted(&law()) {
                        Some(reason) => return reason,
                        None => tokio::time::sleep(Duration::from_millis(10)).await,
                    }
                }
            };
            let reason = tokio::time::timeout(WAIT, halted).await.expect("the election is halted");
            assert!(reason.contains("was re-read and is damaged"), "{reason}");
            assert!(!node.health().await.healthy);
            let refused = node.submit(&vote(3, "non"), None, None).await;
            assert!(matches!(refused, Err(SubmitError::Halted)), "{refused:?}");
        }
        assert_eq!(node.failure(), None, "other elections are not affected");
        node.shutdown().await;
    }
}
