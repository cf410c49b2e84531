//! Several nodes on one engine: each of them takes votes and answers for them, one seals, and a
//! node that stops is replaced.
//!
//! Long because the cases share an engine of several nodes and the waits for their effects.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{HANG_TIMEOUT, LAW, TestDir, create_request, decided_at_last, insist, law, vote};
use votekit_core::ballot::{BallotSecretKey, ChoiceIndex};
use votekit_core::batch::{Batch, BatchHeader, NodeKey};
use votekit_core::credential::CredentialHash;
use votekit_core::decision::Decision;
use votekit_core::election_log::ElectionLogError;
use votekit_core::envelope::Envelope;
use votekit_core::id::{BatchNumber, ElectionId, Epoch, NodeId, RequestId, Sequence};
use votekit_core::instant::UnixMinutes;
use votekit_node::config::{Config, Role};
use votekit_node::data_folder::DataFolder;
use votekit_node::node_name::NodeName;
use votekit_node::{AdminError, Node, NodeError, SubmitError};
use votekit_node::{ElectionView, OpenElection, VoteStatus};
use votekit_store::embedded::{EmbeddedEngine, EmbeddedLedger};
use votekit_store::faults::Faulty;
use votekit_store::testing::seeded_faults::{Odds, SeededFaults};
use votekit_store::{Engines, Ledger, LogStore, StagingId};

/// An upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// The roles of the node that seals, where another takes votes.
const SEALER_ROLES: [Role; 2] = [Role::Seal, Role::Validate];

/// One engine used by several nodes.
fn engine(folder: &Path, odds: Odds) -> Engines {
    engine_and_ledger(folder, odds).0
}

/// As [`engine`], with the ledger, so that a test can restore an earlier state of it.
fn engine_and_ledger(
    folder: &Path,
    odds: Odds,
) -> (Engines, Arc<Faulty<EmbeddedLedger, SeededFaults>>) {
    let engine = EmbeddedEngine::open(folder).expect("the engine opens");
    let ledger = Arc::new(Faulty::new(engine.ledger, SeededFaults::new(6, odds)).shared());
    let ballot_box = Arc::new(Faulty::new(engine.ballot_box, SeededFaults::new(5, odds)));
    (
        Engines {
            registry: engine.registry,
            ballot_box,
            ledger: Arc::clone(&ledger) as Arc<dyn Ledger>,
            accounts: engine.accounts,
        },
        ledger,
    )
}

async fn start(dir: &TestDir, engine: &Engines, name: &str, roles: &[Role]) -> Node {
    let name: NodeName = name.parse().expect("a name");
    let until = Instant::now() + HANG_TIMEOUT;
    loop {
        let folder =
            DataFolder::open_named(&dir.path("shared"), None, &name).expect("a data folder");
        let config = Config {
            name: Some(name.clone()),
            roles: roles.to_vec(),
            rate_limit_per_second: 0,
            ..Config::default()
        };
        match Node::start_on(folder, config, engine.clone()).await {
            Err(NodeError::Engine(error)) => assert!(Instant::now() < until, "{error}"),
            started => return started.expect("the node starts"),
        }
    }
}

/// Calls one node after another until the leader succeeds. The leader can change meanwhile, and its
/// followers know the elections that it created.
async fn insist_on_any<T>(
    nodes: &[Node],
    mut call: impl AsyncFnMut(&Node) -> Result<T, AdminError>,
) {
    let mut turn = nodes.iter().cycle();
    insist(async || call(turn.next().expect("a node")).await).await;
}

/// Succeeds if the election was created now, or by an earlier call whose answer was lost.
fn or_exists<T>(created: Result<T, AdminError>) -> Result<(), AdminError> {
    match created {
        Err(AdminError::Exists { .. }) => Ok(()),
        created => created.map(|_| ()),
    }
}

/// Succeeds if the poll was opened now, or by an earlier call whose answer was lost.
fn or_open<T>(opened: Result<T, AdminError>) -> Result<(), AdminError> {
    match opened {
        Err(AdminError::Refused(ElectionLogError::State { .. }) | AdminError::State { .. }) => {
            Ok(())
        }
        opened => opened.map(|_| ()),
    }
}

async fn open_poll(dir: &TestDir, sealer: &Node) {
    insist(async || sealer.load(&dir.path("hashes"), None).await).await;
    insist(async || or_exists(sealer.create(create_request()).await)).await;
    insist(async || sealer.load(&dir.path("hashes"), None).await).await;
    insist(async || or_open(sealer.open(&law(), OpenElection::default()).await)).await;
}

/// Starts the node that seals and one that takes votes, and opens the poll.
async fn sealer_and_ingest(dir: &TestDir, engine: &Engines) -> (Node, Node) {
    let sealer = start(dir, engine, "sealer-1", &SEALER_ROLES).await;
    let ingest = start(dir, engine, "ingest-1", &[Role::Ingest]).await;
    open_poll(dir, &sealer).await;
    (sealer, ingest)
}

/// The id of the node `ingest-1`, as the leader lists it.
async fn ingest_node_id(sealer: &Node) -> NodeId {
    let nodes = sealer.nodes(&law()).await.expect("nodes");
    let node = nodes.iter().find(|node| node.name.as_deref() == Some("ingest-1"));
    node.and_then(|node| node.node.parse().ok()).expect("the node")
}

/// Stops nodes, none of which has failed.
async fn shut_down_sound(nodes: impl IntoIterator<Item = Node>) {
    for node in nodes {
        assert_eq!(node.failure(), None);
        node.shutdown().await;
    }
}

/// Votes as a careful client does: with an idempotency key, retrying with the same key until it is
/// answered.
async fn cast(node: &Node, elector: u32, key: &str) -> RequestId {
    let until = Instant::now() + HANG_TIMEOUT;
    loop {
        let refused = match node.submit(&vote(elector, "oui"), Some(key.as_bytes()), None).await {
            Ok(request) => return request,
            Err(
                error @ (SubmitError::Unavailable(_)
                | SubmitError::OutcomeUnknown { .. }
                | SubmitError::Busy { .. }
                // The node has not yet read of the election, or of its opening.
                | SubmitError::UnknownElection
                | SubmitError::NotOpen { .. }),
            ) => error,
            Err(error) => panic!("refused: {error}"),
        };
        assert!(Instant::now() < until, "{refused}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn until(node: &Node, what: impl Fn(&ElectionView) -> bool) -> ElectionView {
    let until = Instant::now() + HANG_TIMEOUT;
    loop {
        let view = node.election(&law());
        if let Some(view) = view.clone().filter(&what) {
            return view;
        }
        assert!(Instant::now() < until, "{view:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn roles_are_shared_among_nodes() {
    let dir = TestDir::new(40);
    let engine = engine(&dir.path("engine"), Odds::NONE);
    let sealer = start(&dir, &engine, "sealer-1", &[Role::Seal]).await;
    let validator = start(&dir, &engine, "validator-1", &[Role::Validate]).await;
    let ingest = [
        start(&dir, &engine, "ingest-1", &[Role::Ingest]).await,
        start(&dir, &engine, "ingest-2", &[Role::Ingest]).await,
    ];
    open_poll(&dir, &sealer).await;
    let mut requests = Vec::new();
    for elector in 0..40 {
        requests.push(cast(&ingest[elector as usize % 2], elector, "once").await);
    }
    // A retry on another node is the same request.
    assert_eq!(cast(&ingest[1], 0, "once").await, requests[0]);
    for request in &requests {
        for node in [&ingest[0], &ingest[1], &sealer, &validator] {
            assert!(matches!(decided_at_last(node, *request).await, Decision::Accepted { .. }));
        }
    }
    match sealer.submit(&vote(1, "oui"), None, None).await {
        Err(SubmitError::Unavailable(error)) => {
            assert!(error.to_string().contains("role"), "{error}")
        }
        answer => panic!("a sealer took a vote: {answer:?}"),
    }
    // A lease that a busy machine renews late is there again a moment later.
    let begun = Instant::now();
    loop {
        let nodes = sealer.nodes(&law()).await.expect("nodes");
        if nodes.iter().filter(|node| node.answering).count() == 2 {
            break;
        }
        assert!(begun.elapsed() < WAIT_TIMEOUT, "{nodes:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let closed = insist(async || sealer.close(&law()).await).await;
    assert_eq!((closed.accepted, closed.duplicate, closed.invalid), (40, 0, 0));
    for node in &ingest {
        until(node, |view| view.state == "closed" && view.accepted == 40).await;
        let receipt = node.receipt(requests[0]).await.expect("a receipt");
        assert_eq!(
            receipt,
            sealer.receipt(requests[0]).await.expect("a receipt"),
            "one log, one proof"
        );
    }
    // A node that follows the stored log shows the same as the deciding node, also after a start
    // with the whole log.
    let query = start(&dir, &engine, "query-1", &[Role::Query]).await;
    let results = sealer.results(&law(), None).await.expect("closed");
    until(&validator, |view| view.state == "closed").await;
    for node in [&query, &ingest[0], &validator] {
        assert_eq!(node.results(&law(), None).await.expect("closed"), results);
        assert_eq!(node.checkpoint(&law()), sealer.checkpoint(&law()));
    }
    assert_eq!(
        decided_at_last(&query, requests[7]).await,
        decided_at_last(&sealer, requests[7]).await
    );
    shut_down_sound(ingest.into_iter().chain([sealer, validator, query])).await;
}

/// Nodes that have only the role `ingest` read staging, also at their start: a vote that another
/// node accepted is the same request here, and is stored once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ingest_nodes_know_the_requests_that_others_have_in_flight() {
    let dir = TestDir::new(10);
    let engine = engine(&dir.path("engine"), Odds::NONE);
    let sealer = start(&dir, &engine, "sealer-1", &SEALER_ROLES).await;
    let first = start(&dir, &engine, "ingest-1", &[Role::Ingest]).await;
    let second = start(&dir, &engine, "ingest-2", &[Role::Ingest]).await;
    open_poll(&dir, &sealer).await;
    for (node, elector) in [(&first, 0), (&second, 1)] {
        let request = cast(node, elector, "k").await;
        decided_at_last(node, request).await;
    }
    // From now on no node seals: a vote that is taken stays in flight.
    sealer.shutdown().await;
    let request = cast(&first, 2, "once").await;
    let in_flight = async |node: &Node| {
        while !matches!(node.status(request).await, Ok(Some(VoteStatus::Pending { .. }))) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(WAIT_TIMEOUT, in_flight(&second)).await.expect("it reads on");
    second.shutdown().await;
    let again = start(&dir, &engine, "ingest-2", &[Role::Ingest]).await;
    let known = again.status(request).await.expect("read");
    assert!(matches!(known, Some(VoteStatus::Pending { .. })), "{known:?}");
    assert_eq!(cast(&again, 2, "once").await, request);
    let staged = engine.ledger.staged(&law(), StagingId(0), 100).await.expect("read");
    let copies = staged.iter().flat_map(|staged| staged.batch.envelopes());
    assert_eq!(copies.filter(|envelope| envelope.request == request).count(), 1);
    shut_down_sound([first, again]).await;
}

/// A client without a limit, such as the reader of a live update, waits as long as no node seals.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_decision_is_waited_for_without_a_limit() {
    let dir = TestDir::new(10);
    let engine = engine(&dir.path("engine"), Odds::NONE);
    let (sealer, ingest) = sealer_and_ingest(&dir, &engine).await;
    let first = cast(&ingest, 0, "first").await;
    decided_at_last(&ingest, first).await;
    sealer.shutdown().await;
    let request = cast(&ingest, 1, "once").await;
    let node = ingest.clone();
    let waiting = tokio::spawn(async move { node.decision(request).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "no node seals");
    let sealer = start(&dir, &engine, "sealer-1", &SEALER_ROLES).await;
    let waited = tokio::time::timeout(WAIT_TIMEOUT, waiting).await.expect("it is sealed");
    let decision = waited.expect("no panic").expect("read");
    assert!(matches!(decision, Some(Decision::Accepted { .. })), "{decision:?}");
    // A decision that is there is returned at once, and for a request of no one there is none.
    assert_eq!(sealer.decision(request).await.expect("read"), decision);
    let unknown = RequestId::from_bytes([9; 16]);
    assert_eq!(ingest.decision(unknown).await.expect("read"), None);
    shut_down_sound([ingest, sealer]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_sealer_takes_over() {
    let dir = TestDir::new(60);
    let engine = engine(&dir.path("engine"), Odds::NONE);
    let first = start(&dir, &engine, "sealer-1", &[Role::Seal]).await;
    open_poll(&dir, &first).await;
    let ingest = start(&dir, &engine, "ingest-1", &[Role::Ingest, Role::Validate]).await;
    insist(async || {
        let key = DataFolder::peek(&dir.path("shared"))
            .expect("the folder")
            .named_nodes()
            .expect("nodes");
        let (_, key) =
            key.into_iter().find(|(name, _)| name.as_str() == "ingest-1").expect("the node's key");
        first.admit_node(&law(), key).await
    })
    .await;
    let second = start(&dir, &engine, "sealer-2", &[Role::Seal]).await;
    let early = cast(&ingest, 0, "k").await;
    decided_at_last(&ingest, early).await;
    match second.close(&law()).await {
        Err(AdminError::NotLeading { leader: Some(leader) }) => {
            assert!(leader.starts_with("sealer-1/"), "{leader}")
        }
        answer => panic!("who does not lead closed the poll: {answer:?}"),
    }
    let requests: Vec<_> = {
        let mut requests = Vec::new();
        for elector in 1..30 {
            requests.push(cast(&ingest, elector, "k").await);
        }
        first.shutdown().await;
        for elector in 30..60 {
            requests.push(cast(&ingest, elector, "k").await);
        }
        requests
    };
    for request in requests {
        assert!(matches!(decided_at_last(&ingest, request).await, Decision::Accepted { .. }));
    }
    let head = engine.ledger.head(&law()).await.expect("a head").expect("there is one");
    assert!(head.fence >= 2, "a new leader begins a new term: {head:?}");
    let closed = insist(async || second.close(&law()).await).await;
    assert_eq!(closed.accepted, 60);
    assert_eq!((second.failure(), ingest.failure()), (None, None));
    second.shutdown().await;
    ingest.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_permanently_lost_node_can_be_retired() {
    let dir = TestDir::new(20);
    let engine = engine(&dir.path("engine"), Odds::NONE);
    let (sealer, gone) = sealer_and_ingest(&dir, &engine).await;
    for elector in 0..10 {
        cast(&gone, elector, "k").await;
    }
    until(&sealer, |view| view.accepted == 10).await;
    // Its tasks end, and nothing ends its epoch.
    gone.abandon();
    let refused = insist(async || match sealer.close(&law()).await {
        Err(error @ AdminError::NotLeading { .. }) => Err(error),
        Err(error) => Ok(error),
        Ok(closed) => panic!("a close did not wait: {closed:?}"),
    })
    .await;
    assert!(refused.to_string().contains("node"), "{refused}");
    assert_eq!(sealer.election(&law()).expect("there").state, "closing");
    let id = ingest_node_id(&sealer).await;
    insist(async || sealer.retire_node(&law(), id).await).await;
    insist(async || sealer.retire_node(&law(), id).await).await;
    let closed = until(&sealer, |view| view.state == "closed").await;
    assert_eq!((closed.accepted, closed.law_id.as_str()), (10, LAW));
    let nodes = sealer.nodes(&law()).await.expect("nodes");
    assert!(nodes.iter().flat_map(|node| &node.epochs).all(|epoch| epoch.ended));
    sealer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn returning_node_continues_in_another_epoch_during_its_retirement() {
    let dir = TestDir::new(60);
    let engine = engine(&dir.path("engine"), Odds::NONE);
    let (sealer, back) = sealer_and_ingest(&dir, &engine).await;
    cast(&back, 0, "k").await;
    until(&sealer, |view| view.accepted == 1).await;
    let id = ingest_node_id(&sealer).await;
    // The node answers voters all the while.
    let voting = async {
        for elector in 1..50 {
            cast(&back, elector, "k").await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let retiring = insist(async || sealer.retire_node(&law(), id).await);
    tokio::join!(voting, retiring);
    for elector in 50..60 {
        cast(&back, elector, "k").await;
    }
    let counted = until(&sealer, |view| view.received == 60).await;
    assert_eq!(counted.accepted, 60, "a vote that was answered was taken for void");
    let epochs: Vec<bool> = sealer
        .nodes(&law())
        .await
        .expect("nodes")
        .iter()
        .flat_map(|node| &node.epochs)
        .map(|epoch| epoch.ended)
        .collect();
    assert_eq!(epochs.iter().filter(|ended| **ended).count(), 1, "{epochs:?}");
    insist(async || sealer.close(&law()).await).await;
    back.shutdown().await;
    sealer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_ledger_that_was_rolled_back_is_not_followed() {
    let dir = TestDir::new(20);
    let (engine, ledger) = engine_and_ledger(&dir.path("engine"), Odds::NONE);
    let (sealer, ingest) = sealer_and_ingest(&dir, &engine).await;
    cast(&ingest, 0, "k").await;
    until(&ingest, |view| view.accepted == 1).await;
    let earlier = ledger.head(&law()).await.expect("read").expect("a head");
    for elector in 1..10 {
        cast(&ingest, elector, "k").await;
    }
    until(&ingest, |view| view.accepted == 10).await;
    ledger.rolled_back(law(), earlier);
    // The election halts on the node that has seen more, and the node reports it.
    let begun = Instant::now();
    let reason = loop {
        if let Some(reason) = ingest.halted(&law()) {
            break reason;
        }
        assert!(begun.elapsed() < WAIT_TIMEOUT, "an older ledger is followed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(
        reason.contains("was restored from an older copy") && reason.contains("shorter"),
        "{reason}"
    );
    assert!(!ingest.health().await.healthy);
    assert_eq!(ingest.failure(), None);
    ingest.shutdown().await;
    sealer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_lose_nothing_under_injected_faults() {
    let dir = TestDir::new(60);
    let engine = engine(&dir.path("engine"), Odds::BAD_DAY);
    let mut nodes = Vec::new();
    for name in ["all-1", "all-2", "all-3"] {
        nodes.push(start(&dir, &engine, name, &Role::ALL).await);
    }
    insist_on_any(&nodes, async |node| or_exists(node.create(create_request()).await)).await;
    insist_on_any(&nodes, async |node| node.load(&dir.path("hashes"), None).await).await;
    insist_on_any(&nodes, async |node| or_open(node.open(&law(), OpenElection::default()).await))
        .await;
    let mut casting = tokio::task::JoinSet::new();
    for voter in 0..120 {
        let node = nodes[voter as usize % 3].clone();
        // Every elector votes twice, on two nodes and with two keys; one of the two votes counts.
        casting.spawn(async move {
            let request = cast(&node, voter / 2, &format!("key-{voter}")).await;
            decided_at_last(&node, request).await
        });
    }
    let decisions = casting.join_all().await;
    let accepted =
        decisions.iter().filter(|decision| matches!(decision, Decision::Accepted { .. })).count();
    assert_eq!(accepted, 60);
    // The answer to the closing call may be lost.
    insist_on_any(&nodes, async |node| match node.close(&law()).await {
        Err(AdminError::State { .. }) => Ok(()),
        closed => closed.map(|_| ()),
    })
    .await;
    let closed = until(&nodes[0], |view| view.state == "closed").await;
    assert_eq!((closed.accepted, closed.duplicate, closed.invalid), (60, 60, 0));
    shut_down_sound(nodes).await;
}

/// A batch with one envelope, signed with the key of the seed.
fn batch(
    seed: &[u8; 32],
    epoch: u32,
    sequence: u64,
    definition_key: &votekit_core::ballot::BallotPublicKey,
) -> Batch {
    batch_for(law(), seed, epoch, sequence, definition_key, UnixMinutes(28_333_333))
}

fn batch_for(
    law_id: ElectionId,
    seed: &[u8; 32],
    epoch: u32,
    sequence: u64,
    definition_key: &votekit_core::ballot::BallotPublicKey,
    received: UnixMinutes,
) -> Batch {
    let key = NodeKey::from_seed(seed);
    let number =
        BatchNumber { node: key.node_id(), epoch: Epoch(epoch), sequence: Sequence(sequence) };
    let header =
        BatchHeader { law_id, number, confirmed_through: Sequence(sequence - 1), last: false };
    let envelope = Envelope {
        request: RequestId::from_bytes([seed[0]; 16]),
        hash: CredentialHash::from_bytes([7; 32]),
        received,
        choice: ChoiceIndex(0),
    };
    Batch::seal(
        header,
        &[envelope],
        definition_key,
        &key,
        &mut rand_core::UnwrapErr(getrandom::SysRng),
    )
    .expect("sealed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_batch_of_an_unknown_election_is_kept() {
    let dir = TestDir::new(10);
    let engine = engine(&dir.path("engine"), Odds::NONE);
    let key = BallotSecretKey::from_seed(&[3; 32]).public_key();
    let strange: ElectionId = "L-of-another-ledger".parse().expect("a law id");
    let received = UnixMinutes(28_333_333);
    let kept = Arc::new(batch_for(strange.clone(), &[9; 32], 1, 1, &key, received));
    engine.ballot_box.publish(&kept).await.expect("published");
    let node = start(&dir, &engine, "all-1", &Role::ALL).await;
    open_poll(&dir, &node).await;
    for elector in 0..10 {
        cast(&node, elector, "k").await;
    }
    assert_eq!(until(&node, |view| view.received == 10).await.accepted, 10, "others are held up");
    node.shutdown().await;
    drop(engine);
    // The next consumer receives it.
    let engine = self::engine(&dir.path("engine"), Odds::NONE);
    let next = tokio::time::timeout(Duration::from_secs(30), engine.ballot_box.receive());
    let delivery = next.await.expect("nothing came").expect("there is one");
    assert_eq!(
        delivery.batch.header().law_id,
        strange,
        "a node that does not know the election acknowledged it"
    );
}

/// The seed of a node's key, from the shared folder.
fn key_of(dir: &TestDir, name: &str) -> [u8; 32] {
    let path = dir.path("shared/nodes").join(name).join("key");
    let digits = std::fs::read_to_string(path).expect("the node's key");
    let mut seed = [0; 32];
    const_hex::decode_to_slice(&digits[..64], &mut seed).expect("64 digits");
    seed
}

/// A panic in any task of an election halts it: its sealer ends too.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_halted_election_is_not_sealed_any_more() {
    let dir = TestDir::new(10);
    let engine = engine(&dir.path("engine"), Odds::NONE);
    let node = start(&dir, &engine, "all-1", &Role::ALL).await;
    open_poll(&dir, &node).await;
    let first = cast(&node, 0, "k").await;
    decided_at_last(&node, first).await;
    let before = engine.ledger.head(&law()).await.expect("read").expect("a head");
    node.panic_in_task(Some(&law()));
    let begun = Instant::now();
    while node.halted(&law()).is_none() {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "the election is not halted");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The next batch of the node itself, which its sealer would take.
    let ballot_key = BallotSecretKey::from_seed(&[3; 32]).public_key();
    let seed = key_of(&dir, "all-1");
    let next = batch_for(law(), &seed, 1, 2, &ballot_key, node.now().minutes());
    engine.ballot_box.publish(&Arc::new(next)).await.expect("stored");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = engine.ledger.head(&law()).await.expect("read").expect("a head");
    assert_eq!(after, before);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn forged_altered_and_renumbered_batches_change_nothing() {
    let dir = TestDir::new(10);
    let engine = engine(&dir.path("engine"), Odds::NONE);
    let node = start(&dir, &engine, "all-1", &Role::ALL).await;
    open_poll(&dir, &node).await;
    let first = cast(&node, 0, "k").await;
    decided_at_last(&node, first).await;
    let ballot_key = BallotSecretKey::from_seed(&[3; 32]).public_key();
    let own = key_of(&dir, "all-1");
    // One by an unknown node, and one by the node itself with a bit changed afterwards.
    let forged = batch(&[9; 32], 1, 1, &ballot_key);
    let mut altered = batch(&own, 1, 50, &ballot_key).as_bytes().to_vec();
    let place_in_envelope = altered.len() / 2;
    altered[place_in_envelope] ^= 1;
    let altered = Batch::parse(altered).expect("it still reads");
    for wrong in [forged, altered] {
        engine
            .ballot_box
            .publish(&Arc::new(wrong))
            .await
            .expect("whoever reaches the box can put something in");
    }
    // Signed by the node, under the number of another batch.
    let renumbered = engine
        .ballot_box
        .publish(&Arc::new(batch(&own, 1, 1, &ballot_key)))
        .await
        .expect_err("the number is taken");
    assert!(renumbered.to_string().contains("offered"), "{renumbered}");
    for elector in 1..10 {
        let request = cast(&node, elector, "k").await;
        assert!(matches!(decided_at_last(&node, request).await, Decision::Accepted { .. }));
    }
    let view = node.election(&law()).expect("there");
    assert_eq!(
        (view.received, view.accepted, view.duplicate, view.invalid),
        (10, 10, 0, 0),
        "nothing forged was counted"
    );
    assert_eq!(node.failure(), None);
    node.shutdown().await;
}
