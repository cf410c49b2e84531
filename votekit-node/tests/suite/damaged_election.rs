//! An election whose rows, keys or rolls are damaged is halted when the node starts; the others
//! take votes, and nothing untrue is said about it.

use std::fs;

use crate::support::{LAW, TestDir, create_request, decided, law, vote};
use rusqlite::Connection;
use votekit_core::decision::Decision;
use votekit_core::id::{ElectionId, RequestId};
use votekit_node::config::Config;
use votekit_node::data_folder::DataFolder;
use votekit_node::{AdminError, Node, ReadError, ReceiptError, ResultsError, SubmitError};
use votekit_node::{CreateElection, DependencyFault, OpenElection};

/// The election beside the customary one.
const OTHER: &str = "L2";

fn other() -> ElectionId {
    OTHER.parse().expect("a law id")
}

/// The folder of a stopped node: the usual election is open, the other election is a draft.
async fn two_elections() -> TestDir {
    let dir = TestDir::new(10);
    let node = dir.open_poll().await;
    let second = CreateElection { law_id: OTHER.to_owned(), ..create_request() };
    node.create(second).await.expect("created");
    node.shutdown().await;
    dir
}

/// Starts a node that reads the whole log.
async fn start(dir: &TestDir) -> Node {
    let folder = DataFolder::open(&dir.path("node"), None).expect("a data folder");
    let config = Config { replay: true, rate_limit_per_second: 0, ..Config::default() };
    Node::start(folder, config).await.expect("the node starts")
}

/// Changes rows of one election in the ledger of a stopped node.
fn change(dir: &TestDir, sql: &str, law_id: &str) {
    let ledger = Connection::open(dir.path("node/ledger.sqlite")).expect("the ledger");
    let of_one = format!("(SELECT id FROM election WHERE law_id = '{law_id}')");
    let changed = ledger.execute(&format!("{sql} WHERE election = {of_one}"), ());
    assert!(changed.expect("SQL") > 0, "{sql}");
}

fn is_halted<T: std::fmt::Debug>(refused: Result<T, AdminError>, what: &str) {
    assert!(matches!(refused, Err(AdminError::Halted { .. })), "{what}: {refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_damaged_election_is_halted_and_the_others_take_votes() {
    type Damage = fn(&TestDir);
    let damages: [(&str, Damage); 7] = [
        ("no block", |dir| change(dir, "DELETE FROM block", OTHER)),
        ("no head", |dir| change(dir, "DELETE FROM head", OTHER)),
        ("a changed head", |dir| change(dir, "UPDATE head SET checkpoint = x'00'", OTHER)),
        ("changed leaves", |dir| change(dir, "UPDATE leaves SET bytes = x'0001'", OTHER)),
        ("a value of another kind", |dir| change(dir, "UPDATE block SET leaf_count = -1", OTHER)),
        ("no ballot key", |dir| {
            fs::remove_file(dir.path("node/keys/ballot").join(OTHER)).expect("removed");
        }),
        ("a damaged request key", |dir| {
            fs::write(dir.path("node/keys/request").join(OTHER), "7").expect("written");
        }),
    ];
    for (what, damage) in damages {
        let dir = two_elections().await;
        damage(&dir);
        let node = start(&dir).await;
        let reason = node.halted(&other()).unwrap_or_else(|| panic!("{what}: not halted"));
        assert!(!reason.is_empty(), "{what}");
        assert_eq!(node.halted(&law()), None, "{what}");
        let views = node.elections();
        let states: Vec<_> =
            views.iter().map(|view| (view.law_id.as_str(), view.state.as_str())).collect();
        assert_eq!(states, [(OTHER, "halted"), (LAW, "open")], "{what}");
        assert!(node.election(&other()).expect("listed").is_halted(), "{what}");
        assert_eq!(node.gauges().elections_halted, 1, "{what}");
        let health = node.health().await;
        assert!(health.healthy, "{what}: votes are taken for the open election");
        let named = health.dependencies.iter().find(|one| one.name == "election L2");
        let fault = named.and_then(|one| one.fault.as_ref());
        assert!(matches!(fault, Some(DependencyFault::Halted { .. })), "{what}");
        is_halted(node.open(&other(), OpenElection::default()).await, what);
        is_halted(node.close(&other()).await, what);
        is_halted(node.nodes(&other()).await, what);
        let again = CreateElection { law_id: OTHER.to_owned(), ..create_request() };
        is_halted(node.create(again).await, what);
        let request = node.submit(&vote(1, "oui"), None, None).await.expect("taken");
        assert!(matches!(decided(&node, request).await, Decision::Accepted { .. }), "{what}");
        // A request that no readable log has may be in the log that cannot be read.
        let unknown = RequestId::from_bytes([7; 16]);
        assert!(matches!(node.status(unknown).await, Err(ReadError::Halted)), "{what}");
        assert!(matches!(node.receipt(unknown).await, Err(ReceiptError::Halted)), "{what}");
        let results = node.results(&other(), None).await;
        assert!(matches!(results, Err(ResultsError::Halted)), "{what}: {results:?}");
        assert_eq!(node.failure(), None, "{what}");
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_poll_takes_no_vote_and_continues_once_repaired() {
    let dir = TestDir::new(10);
    let node = dir.open_poll().await;
    let request = node.submit(&vote(1, "oui"), None, None).await.expect("taken");
    let before = decided(&node, request).await;
    node.shutdown().await;
    let ledger = dir.path("node/ledger.sqlite");
    let whole = fs::read(&ledger).expect("a ledger");
    change(&dir, "UPDATE leaves SET bytes = x'0001'", LAW);
    let node = start(&dir).await;
    let refused = node.submit(&vote(2, "oui"), None, None).await;
    assert!(matches!(refused, Err(SubmitError::Halted)), "{refused:?}");
    assert!(matches!(node.status(request).await, Err(ReadError::Halted)));
    assert!(!node.health().await.healthy, "no votes are taken");
    // Its roll is neither discarded nor kept as that of a future election.
    let rolls = node.rolls().await.expect("read");
    assert!(rolls[0].laws[0].in_use, "{rolls:?}");
    let discarded = node.discard_roll(&dir.manifest.digest()).await;
    assert!(matches!(discarded, Err(AdminError::RollInUse { .. })), "{discarded:?}");
    is_halted(node.load(&dir.path("hashes"), None).await, "a roll");
    assert_eq!(node.failure(), None);
    node.shutdown().await;
    fs::write(&ledger, whole).expect("written");
    let node = start(&dir).await;
    assert_eq!(node.halted(&law()), None);
    assert_eq!(decided(&node, request).await, before);
    let request = node.submit(&vote(2, "non"), None, None).await.expect("taken");
    assert!(matches!(decided(&node, request).await, Decision::Accepted { .. }));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_election_shows_its_definition_once_it_was_opened() {
    let dir = two_elections().await;
    for law_id in [LAW, OTHER] {
        fs::remove_file(dir.path("node/keys/ballot").join(law_id)).expect("removed");
    }
    let node = start(&dir).await;
    let view = |law_id: &ElectionId| node.election(law_id).expect("listed");
    let (opened, draft) = (view(&law()), view(&other()));
    assert!(opened.is_halted() && draft.is_halted());
    assert_eq!((opened.title.en.as_str(), opened.choices.len()), ("Water Act", 3));
    // Its question may not be announced yet.
    assert_eq!((draft.title.en.as_str(), draft.choices.len()), (OTHER, 0));
    assert_eq!(draft.title.fr, OTHER);
    node.shutdown().await;
}
