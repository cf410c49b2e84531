//! An election of the members of an association: from accounts to a purged log.

use crate::support::{TestDir, create_request, decided, law, write_roll};
use votekit_core::credential::CredentialHash;
use votekit_core::decision::Decision;
use votekit_core::id::RequestId;
use votekit_core::manifest::Manifest;
use votekit_node::data_folder::DataFolder;
use votekit_node::{AdminError, CheckedRoll, CreateElection, Node, OpenElection, SubmitError};
use votekit_store::AccountId;

fn account(number: u8) -> AccountId {
    AccountId([number; 16])
}

fn accounts(numbers: std::ops::Range<u8>) -> Vec<AccountId> {
    numbers.map(account).collect()
}

/// A node with an open election of three members.
async fn open(dir: &TestDir) -> Node {
    let node = dir.start().await;
    node.create_with_members(create_request(), &accounts(1..4)).await.expect("created");
    node.open(&law(), OpenElection::default()).await.expect("opened");
    node
}

fn hash_of(node: &Node, number: u8) -> CredentialHash {
    node.member_hash(&law(), account(number)).expect("an election of members")
}

async fn cast(node: &Node, number: u8, choice: &str, key: &str) -> RequestId {
    let choice = choice.parse().expect("a choice");
    let hash = hash_of(node, number);
    node.submit_recognised(&law(), hash, &choice, key.as_bytes()).await.expect("taken")
}

fn has_entry(node: &Node, number: u8) -> Option<bool> {
    node.has_entry(&law(), &hash_of(node, number))
}

/// The names in a folder of the data folder.
fn names(dir: &TestDir, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(dir.path("node").join(folder)).expect("a folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
    entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_vote_once_and_see_that_they_have() {
    let dir = TestDir::new(3);
    let node = open(&dir).await;
    assert_eq!(node.election(&law()).expect("created").registered, 3);
    assert!(node.takes_members(&law()));
    assert!(node.has_member(&law(), &hash_of(&node, 1)).await.expect("asked"));
    assert!(!node.has_member(&law(), &hash_of(&node, 9)).await.expect("asked"), "not invited");
    assert_eq!(has_entry(&node, 1), Some(false));

    let key = "a key that others cannot guess";
    let request = cast(&node, 1, "oui", key).await;
    assert!(matches!(decided(&node, request).await, Decision::Accepted { .. }));
    assert_eq!(cast(&node, 1, "oui", key).await, request, "the same request again");
    assert_eq!((has_entry(&node, 1), has_entry(&node, 2)), (Some(true), Some(false)));
    let second = cast(&node, 1, "non", "another key, not to be guessed").await;
    assert!(matches!(decided(&node, second).await, Decision::Duplicate { attempt: 2, .. }));

    // The same from the stored log.
    node.shutdown().await;
    let node = dir.start().await;
    assert_eq!((has_entry(&node, 1), has_entry(&node, 2)), (Some(true), Some(false)));
    assert_eq!(has_entry(&node, 9), Some(false));
    let request = cast(&node, 2, "non", key).await;
    assert!(matches!(decided(&node, request).await, Decision::Accepted { .. }));
    node.close(&law()).await.expect("closed");
    assert_eq!((has_entry(&node, 2), has_entry(&node, 3)), (Some(true), Some(false)));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roll_is_like_any_other_and_its_key_is_of_this_election() {
    let dir = TestDir::new(3);
    let node = open(&dir).await;
    let rolls = node.rolls().await.expect("listed");
    assert_eq!((rolls.len(), rolls[0].peppered, rolls[0].laws[0].registered), (1, true, 3));
    assert_eq!(names(&dir, "rolls"), [rolls[0].manifest.clone()], "no leftover of its making");
    assert_eq!(names(&dir, "keys/pepper").len(), 1);
    let other = CreateElection { law_id: "L2".to_owned(), ..create_request() };
    node.create_with_members(other, &accounts(1..4)).await.expect("created");
    assert_eq!(names(&dir, "keys/pepper").len(), 2, "one key an election");
    let l2 = "L2".parse().expect("a law id");
    assert_ne!(node.member_hash(&l2, account(1)), node.member_hash(&law(), account(1)));
    node.shutdown().await;

    let folder = DataFolder::open(&dir.path("node"), None).expect("a data folder");
    let stored = dir.path("node").join("rolls").join(&rolls[0].manifest);
    let checked = CheckedRoll::read(&stored, Some(&folder), None).expect("a good roll");
    let body = checked.manifest.body();
    assert_eq!((body.tool.as_str(), body.roll.code_length_min), (Manifest::MEMBERS_TOOL, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_options_for_members_are_refused_and_leave_nothing() {
    let dir = TestDir::new(3);
    let node = dir.start().await;
    let refused = async |request: CreateElection| {
        node.create_with_members(request, &accounts(1..4)).await.expect_err("refused")
    };
    let binding = CreateElection { binding: true, ..create_request() };
    let error = refused(binding).await;
    assert!(matches!(error, AdminError::Field { field: "binding", .. }), "{error}");
    let bad = CreateElection { title_fr: String::new(), ..create_request() };
    assert!(matches!(refused(bad).await, AdminError::Fields { .. }));
    let none = node.create_with_members(create_request(), &[]).await.expect_err("no members");
    assert!(matches!(none, AdminError::Field { field: "eligible_voters", .. }), "{none}");
    assert!(names(&dir, "rolls").is_empty() && names(&dir, "keys/pepper").is_empty());

    // A law that has a roll, or an election.
    node.load(&dir.path("hashes"), None).await.expect("loaded");
    assert!(matches!(refused(create_request()).await, AdminError::SecondRoll { .. }));
    node.create(create_request()).await.expect("created");
    assert!(matches!(refused(create_request()).await, AdminError::Exists { .. }));
    assert_eq!((node.takes_members(&law()), node.member_hash(&law(), account(1))), (false, None));
    let hash = CredentialHash::from_bytes([7; 32]);
    assert_eq!(node.has_entry(&law(), &hash), None, "electors of a roll");

    // Officials sign the rolls of this folder.
    std::fs::write(dir.path("node").join("officials"), "").expect("written");
    let other = CreateElection { law_id: "L2".to_owned(), ..create_request() };
    let error = refused(other).await;
    assert!(matches!(error, AdminError::Field { field: "eligible_voters", .. }), "{error}");
    node.shutdown().await;
}

/// A binding election does not open with a members' roll, even if it got one.
#[tokio::test(flavor = "multi_thread")]
async fn a_roll_of_members_opens_no_binding_election() {
    let (dir, other) = (TestDir::new(3), TestDir::new(3));
    let node = open(&dir).await;
    let manifest = node.rolls().await.expect("listed")[0].manifest.clone();
    let key = names(&dir, "keys/pepper").remove(0);
    node.shutdown().await;
    let keys = |dir: &TestDir| dir.path("node").join("keys/pepper").join(&key);
    let second = other.start().await;
    std::fs::copy(keys(&dir), keys(&other)).expect("copied");
    let stored = dir.path("node").join("rolls").join(manifest);
    second.load(&stored, None).await.expect("loaded");
    let binding = CreateElection { binding: true, results: None, ..create_request() };
    second.create(binding).await.expect("created");
    match second.open(&law(), OpenElection::default()).await {
        Err(AdminError::NotSafe { missing }) => {
            let missing = format!("{missing:?}");
            assert!(missing.contains("hort") || missing.contains("at least 8"), "{missing}");
        }
        other => panic!("opened: {other:?}"),
    }
    second.shutdown().await;
}

/// After a purge no one can compute which member has which hash, and the node still starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_destroys_the_members_key() {
    let dir = TestDir::new(3);
    let node = open(&dir).await;
    let request = cast(&node, 1, "oui", "a key that others cannot guess").await;
    decided(&node, request).await;
    node.close(&law()).await.expect("closed");
    node.certify(&law()).await.expect("certified");
    assert_eq!(has_entry(&node, 1), Some(true));
    node.purge(&law()).await.expect("purged");
    assert!(names(&dir, "keys/pepper").is_empty());
    assert_eq!(node.member_hash(&law(), account(1)), None);
    node.shutdown().await;
    let node = dir.start().await;
    assert_eq!((node.takes_members(&law()), node.member_hash(&law(), account(1))), (false, None));
    assert_eq!(node.election(&law()).expect("its log").accepted, 1);
    node.purge(&law()).await.expect("again");
    node.shutdown().await;
}

/// A pepper stays after a purge, as before: other rolls may be hashed under it.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_leaves_peppers() {
    let dir = TestDir::new(3);
    let (hashes, pepper) = (dir.path("peppered"), dir.path("pepper"));
    write_roll(&hashes, 3, true);
    std::fs::write(&pepper, crate::support::pepper().to_file_text().as_bytes()).expect("written");
    let node = dir.start().await;
    node.load(&hashes, Some(&pepper)).await.expect("loaded");
    node.create(create_request()).await.expect("created");
    node.open(&law(), OpenElection::default()).await.expect("opened");
    node.close(&law()).await.expect("closed");
    node.certify(&law()).await.expect("certified");
    node.purge(&law()).await.expect("purged");
    assert_eq!(names(&dir, "keys/pepper").len(), 1);
    node.shutdown().await;
    dir.start().await.shutdown().await;
}

/// A member who signs in repeatedly cannot fill the log with duplicates.
#[tokio::test(flavor = "multi_thread")]
async fn duplicates_of_a_member_are_limited() {
    let dir = TestDir::new(3);
    let node = open(&dir).await;
    decided(&node, cast(&node, 1, "oui", "a key that others cannot guess").await).await;
    let (hash, choice) = (hash_of(&node, 1), "non".parse().expect("a choice"));
    let mut refused = None;
    for attempt in 0..20 {
        let key = format!("attempt number {attempt} of many");
        let taken = node.submit_recognised(&law(), hash, &choice, key.as_bytes()).await;
        match taken {
            Ok(request) => drop(decided(&node, request).await),
            Err(error) => refused = Some((attempt, error)),
        }
        if refused.is_some() {
            break;
        }
    }
    let (attempt, error) = refused.expect("refused in the end");
    assert!(matches!(error, SubmitError::TooManyDuplicates { .. }), "{error:?}");
    assert_eq!(attempt, 10, "after the burst");
    // The first vote still gets its answer.
    let request = cast(&node, 1, "oui", "a key that others cannot guess").await;
    assert!(matches!(decided(&node, request).await, Decision::Accepted { .. }));
    node.shutdown().await;
}
