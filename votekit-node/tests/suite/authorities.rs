//! Several authorities in one process, over one embedded ledger: votes are decided by all and
//! cosigned by a quorum, whoever leads.

use votekit_core::decision::Decision;
use votekit_node::{AdminError, CallRule};
use votekit_store::AccountId;

use crate::installation::Installation;
use crate::support::{LAW, create_request, law};

#[tokio::test(flavor = "multi_thread")]
async fn three_authorities_decide_and_a_quorum_certifies() {
    let installation = Installation::start(3, 2).await;
    installation.open_poll().await;
    for place in 0..5 {
        let decision = installation.cast(place, "oui").await;
        assert!(matches!(decision, Decision::Accepted { .. }), "{decision:?}");
    }
    let decision = installation.cast(0, "non").await;
    assert!(matches!(decision, Decision::Duplicate { .. }), "{decision:?}");
    installation.assert_agreement().await;
    let closed = installation.by_leader(async |node| node.close(&law()).await).await;
    assert_eq!((closed.state.as_str(), closed.accepted, closed.duplicate), ("closed", 5, 1));
    installation.assert_agreement().await;
    assert_eq!(LAW, closed.law_id);
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_leader_seals_after_the_leader_is_killed() {
    let mut installation = Installation::start(3, 2).await;
    installation.open_poll().await;
    installation.cast(0, "oui").await;
    for round in 1..=3 {
        let leader = installation.leader().await;
        installation.kill(leader);
        let decision = installation.cast(round, "oui").await;
        assert!(matches!(decision, Decision::Accepted { .. }), "{decision:?}");
        installation.restart(leader).await;
    }
    let closed = installation.by_leader(async |node| node.close(&law()).await).await;
    assert_eq!((closed.state.as_str(), closed.accepted), ("closed", 4));
    installation.assert_agreement().await;
    installation.stop().await;
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
