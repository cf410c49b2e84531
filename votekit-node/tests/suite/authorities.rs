//! Several authorities in one process, over one embedded ledger: votes are decided by all and
//! cosigned by a quorum, whoever leads.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use votekit_core::bundle::MemorySource;
use votekit_core::bundle::verify::{Options, Pin, verify};
use votekit_core::decision::Decision;
use votekit_core::key_file;
use votekit_node::node_name::NodeName;
use votekit_node::{AdminError, CallRule};
use votekit_store::AccountId;

use crate::installation::{Installation, path_of, wait_until};
use crate::support::{LAW, create_request, law, vote};

#[tokio::test(flavor = "multi_thread")]
async fn three_authorities_decide_and_a_quorum_certifies() {
    let installation = Installation::start(3, 2).await;
    installation.open_poll().await;
    for index in 0..5 {
        installation.assert_accepts(index, "oui").await;
    }
    let decision = installation.cast(0, "non").await;
    assert!(matches!(decision, Decision::Duplicate { .. }), "{decision:?}");
    installation.assert_agreement().await;
    let closed = installation.by_leader(async |node| node.close(&law()).await).await;
    assert_eq!((closed.state.as_str(), closed.accepted, closed.duplicate), ("closed", 5, 1));
    installation.assert_agreement().await;
    assert_eq!(LAW, closed.law_id);
    // Each of them makes the bundle that a verifier accepts under the policy of all.
    for index in 0..3 {
        let node = installation.authority(index);
        let mut lines = Vec::new();
        let bundle = node.bundle(&law(), |piece| lines.extend_from_slice(piece)).await;
        let bundle = bundle.expect("a bundle");
        let mut files: MemorySource =
            bundle.files.into_iter().map(|file| (file.name, file.bytes)).collect();
        files.insert("leaves.jsonl".to_owned(), lines);
        let mut options = Options::default();
        options.pin = Some(Pin::Policy(node.policy(&law()).expect("a policy")));
        let verification = verify(&files, &options).expect("files in memory");
        assert!(verification.is_proven(), "{:?}", verification.failures);
    }
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_leader_seals_after_the_leader_is_killed() {
    let mut installation = Installation::start_with_vote().await;
    for round in 1..=3 {
        let leader = installation.leader().await;
        installation.kill(leader);
        installation.assert_accepts(round, "oui").await;
        installation.restart(leader).await;
    }
    installation.close_and_stop(4).await;
}

/// As after a close that gave up when the ledger did not answer.
#[tokio::test(flavor = "multi_thread")]
async fn leases_that_stay_stopped_in_an_open_poll_are_granted_again() {
    let installation = Installation::start_with_vote().await;
    installation.assert_agreement().await;
    let ledger = &installation.engines().ledger;
    ledger.set_takes_votes(&law(), false).await.expect("stopped");
    // No vote is answered, so no block is made: only the leader can grant them.
    wait_until("leases are not granted again", async || {
        let head = ledger.head(&law()).await.expect("read");
        head.is_some_and(|head| head.takes_votes)
    })
    .await;
    installation.assert_accepts(1, "oui").await;
    installation.close_and_stop(2).await;
}

/// The key of such an election would be in the folder of one authority: the others could not check
/// its roll, and the ingest node could not take a vote.
#[tokio::test(flavor = "multi_thread")]
async fn an_election_of_members_is_refused_by_name() {
    let installation = Installation::start(3, 2).await;
    let node = installation.authority(0);
    let refused = node.create_with_members(create_request(), &[AccountId([1; 16])]).await;
    match refused {
        Err(AdminError::Field { field, rule: CallRule::MembersAuthorities }) => {
            assert_eq!(field, "eligible_voters");
        }
        other => panic!("{other:?}"),
    }
    assert!(node.elections().is_empty());
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ballot_key_of_officials_is_sealed_to_every_authority() {
    let installation = Installation::start(3, 2).await;
    let file = installation.path().join("ballot.key");
    fs::write(&file, key_file::to_text(&[7; 32]).as_bytes()).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("changed");
    installation.by_leader(async |node| node.install_ballot_key(&law(), &file).await).await;
    installation.open_poll().await;
    installation.assert_accepts(0, "oui").await;
    installation.assert_agreement().await;
    for number in 1..=3 {
        let kept = path_of(installation.path(), number).join("keys/ballot").join(LAW);
        assert_eq!(fs::read(kept).expect("sealed to it"), fs::read(&file).expect("there"));
    }
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_node_takes_no_votes_and_the_close_does_not_wait_for_it() {
    let mut installation = Installation::start_with_vote().await;
    installation.kill_ingest();
    let name: NodeName = "ingest-1".parse().expect("a name");
    let retired = installation.by_leader(async |node| node.retire_record(&name).await).await;
    assert_eq!((retired.node.name.as_str(), retired.elections), ("ingest-1", vec![LAW.to_owned()]));
    let view = installation.authority(0).cluster_view().await.expect("the ledger answers");
    assert!(view.nodes.is_empty(), "{:?}", view.nodes);
    // Its process is back, and its key still in the log: it begins no epoch.
    installation.start_ingest().await;
    let refused = installation.ingest().submit(&vote(1, "oui"), None, None).await;
    assert!(refused.is_err(), "{refused:?}");
    installation.assert_closes(1).await;
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_take_turns_where_a_term_has_a_length_and_votes_go_on() {
    let installation = Installation::start_with_terms(3, 2, 1).await;
    installation.open_poll().await;
    let mut leaders = BTreeSet::from([installation.leader().await]);
    let mut votes = 0;
    while leaders.len() < 2 {
        assert!(votes < 40, "one authority leads all the time");
        installation.assert_accepts(votes, "oui").await;
        votes += 1;
        tokio::time::sleep(Duration::from_millis(300)).await;
        leaders.insert(installation.leader().await);
    }
    installation.assert_agreement().await;
    installation.assert_closes(u64::from(votes)).await;
    installation.stop().await;
}
