//! Outside witnesses: heads are pushed to them under each leader, and a result is certified once
//! they have cosigned, or for a reason in the log.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_core::authority::{AuthoritySet, SetWitness};
use votekit_core::log::checkpoint::origin_of;
use votekit_core::log::merkle::TreeHash;
use votekit_core::log::note::{KeyKind, KeyName, VerifierKey};
use votekit_core::log::policy::VerifyError;
use votekit_node::data_folder::DataFolder;
use votekit_node::{AdminError, CertifyElection, ElectionView, Node, WitnessHead};
use votekit_store::WitnessLine;
use votekit_witness_test::{Witness, serve};

use crate::installation::{Installation, base};
use crate::support::{TestDir, law};

/// An upper bound for waits: a witness gets one request in 10 seconds, and retries take longer.
const WITNESS_WAIT: Duration = Duration::from_secs(90);

/// A witness that trusts the log key of an authority, and is not served yet.
fn witness(set: &AuthoritySet, feeder: &str, state: &Path) -> Witness {
    let feeder: KeyName = feeder.parse().expect("a name");
    let origin = origin_of(set.base(), &law(), false).expect("a name");
    let log = set.member(&feeder).expect("an authority").log;
    let key = VerifierKey::new(origin.clone(), KeyKind::Ed25519, &log).expect("a key");
    let mut witness = Witness::new("witness.example/w1", &[9; 32], state).expect("a witness");
    witness.trust(origin.as_str(), &key.to_string()).expect("a key");
    witness
}

/// The witness as the file of the authorities has it, at an address.
fn listed(witness: &Witness, address: &str, feeder: &str) -> SetWitness {
    SetWitness {
        name: "w1".parse().expect("a name"),
        key: witness.vkey().parse().expect("a verifier key"),
        url: format!("http://{address}/"),
        fed_by: feeder.parse().expect("a name"),
    }
}

/// Adds a witness that is served from now on, fed by an authority.
fn with_served(set: AuthoritySet, feeder: &str, state: &Path) -> AuthoritySet {
    let witness = witness(&set, feeder, state);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let listed = listed(&witness, &address, feeder);
    std::thread::spawn(move || serve(&listener, &Arc::new(witness)));
    set.with_witnesses(vec![listed], 1).expect("a witness")
}

/// How far the witness has cosigned, as a node sees it.
async fn head_of_witness(node: &Node) -> WitnessHead {
    let view = node.cluster_view().await.expect("a view");
    view.witnesses[0].elections[0].clone()
}

/// Waits until the witness has cosigned more leaves than these. Returns how many.
async fn wait_for_cosigned(node: &Node, more_than: u64) -> u64 {
    let until = Instant::now() + WITNESS_WAIT;
    loop {
        let head = head_of_witness(node).await;
        if head.cosigned_size > more_than {
            return head.cosigned_size;
        }
        assert!(Instant::now() < until, "{head:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until a node serves a head that the whole policy verifies.
async fn wait_for_witnessed_head(node: &Node, installation: &Installation) {
    let until = Instant::now() + WITNESS_WAIT;
    loop {
        let head = node.witnessed_checkpoint(&law()).await.expect("a log");
        match installation.policy().verify_strict(&head) {
            Ok(_) => return,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Certifies the result, as soon as the witness has cosigned the closed log.
async fn certified(installation: &Installation) -> ElectionView {
    let until = Instant::now() + WITNESS_WAIT;
    loop {
        let leader = installation.leader().await;
        match installation.authority(leader).certify(&law()).await {
            Ok(certified) => return certified,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_cosigns_before_and_after_another_authority_leads() {
    let state = tempfile::tempdir().expect("a folder");
    let change = |set| with_served(set, "a1", state.path());
    let mut installation = Installation::start_with(3, 2, change).await;
    installation.open_poll().await;
    installation.cast(0, "oui").await;
    let before = wait_for_cosigned(installation.ingest(), 0).await;
    let leader = installation.leader().await;
    installation.kill(leader);
    installation.cast(1, "oui").await;
    installation.restart(leader).await;
    installation.cast(2, "non").await;
    wait_for_cosigned(installation.ingest(), before).await;
    installation.assert_closes(3).await;
    let certified = certified(&installation).await;
    assert_eq!(certified.state, "certified");
    installation.assert_agreement().await;
    for index in 0..3 {
        wait_for_witnessed_head(installation.authority(index), &installation).await;
    }
    wait_for_witnessed_head(installation.ingest(), &installation).await;
    let head = head_of_witness(installation.ingest()).await;
    assert_eq!((head.behind, head.origin.as_str()), (0, "votes.example.org/test/L2025-001"));
    let ledger = &installation.engines().ledger;
    let head = ledger.head(&law()).await.expect("read").expect("a head");
    let lines = ledger.witness_lines(&law(), head.size, &head.root, &["w1".to_owned()]).await;
    assert_eq!(lines.expect("read").len(), 1);
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_no_witness_signed_hold_up_no_certification() {
    let state = tempfile::tempdir().expect("a folder");
    let change = |set| with_served(set, "a1", state.path());
    let installation = Installation::start_with(3, 2, change).await;
    let ledger = Arc::clone(&installation.engines().ledger);
    let invent = async |witness: &str, height, size, root| {
        let (witness, line) = (witness.to_owned(), b"no line".to_vec());
        let line = WitnessLine { witness, height, size, root, line };
        ledger.put_witness_line(&law(), &line).await.expect("stored");
    };
    // Over a larger tree than there will be, before anything is pushed.
    invent("w1", 9, 1_000_000, TreeHash::from_bytes([1; 32])).await;
    installation.open_poll().await;
    installation.cast(0, "oui").await;
    let head = ledger.head(&law()).await.expect("read").expect("a head");
    invent("w1", head.height, head.size, head.root).await;
    // Of this size, but of no log; and under other names that come before the true one.
    for number in 0..100_u8 {
        invent("w1", head.height, head.size, TreeHash::from_bytes([number; 32])).await;
        invent(&format!("a{number}"), head.height, head.size, head.root).await;
    }
    installation.assert_closes(1).await;
    let certified = certified(&installation).await;
    assert_eq!(certified.state, "certified");
    wait_for_witnessed_head(installation.ingest(), &installation).await;
    // The certification is in the log, and its head is pushed a moment later.
    let until = Instant::now() + WITNESS_WAIT;
    while head_of_witness(installation.ingest()).await.behind > 0 {
        assert!(Instant::now() < until, "the last head has no cosignature");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_not_certified_without_witnesses_unless_they_are_waived() {
    let state = tempfile::tempdir().expect("a folder");
    let change = |set: AuthoritySet| {
        let witness = witness(&set, "a2", state.path());
        // Nothing listens there any more.
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr();
        let address = port.expect("an address").to_string();
        set.with_witnesses(vec![listed(&witness, &address, "a2")], 1).expect("a witness")
    };
    let installation = Installation::start_with(3, 2, change).await;
    installation.open_poll().await;
    installation.cast(0, "oui").await;
    installation.by_leader(async |node| node.close(&law()).await).await;
    installation.assert_agreement().await;
    let until = Instant::now() + WITNESS_WAIT;
    let missing = loop {
        let leader = installation.leader().await;
        match installation.authority(leader).certify(&law()).await {
            Err(AdminError::WitnessesMissing { missing, quorum, .. }) => {
                break (missing, quorum);
            }
            other => assert!(Instant::now() < until, "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(missing, (vec!["w1".to_owned()], 1));
    let reason = || CertifyElection { witness_waiver: Some("out of reach since Monday".into()) };
    let certified =
        installation.by_leader(async |node| node.certify_with(&law(), reason()).await).await;
    assert_eq!(certified.state, "certified");
    installation.assert_agreement().await;
    let ledger = &installation.engines().ledger;
    let head = ledger.head(&law()).await.expect("read").expect("a head");
    let block = ledger.blocks(&law(), head.height, 1).await.expect("read").remove(0);
    let leaves = String::from_utf8_lossy(&block.leaves).into_owned();
    assert!(leaves.contains(r#""witness_waiver":"out of reach since Monday""#), "{leaves}");
    let served = installation.ingest().witnessed_checkpoint(&law()).await.expect("a log");
    let verified = installation.policy().verify_strict(&served);
    assert!(matches!(verified, Err(VerifyError::NoQuorum { .. })), "{verified:?}");
    assert!(installation.policy().verify_strict_by_authorities(&served).is_ok());
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_authority_has_its_log_witnessed() {
    let state = tempfile::tempdir().expect("a folder");
    let dir = TestDir::new(3);
    let path = dir.path("node");
    let name: KeyName = "alone".parse().expect("a name");
    let made = DataFolder::create_authority(&path, &base(), &name).expect("made");
    let member = made.authority_member().expect("its keys");
    drop(made);
    let set = AuthoritySet::new(base(), 1, vec![member]).expect("an authority");
    let set = with_served(set, "alone", state.path());
    std::fs::write(path.join("authorities"), set.as_bytes()).expect("written");
    let node = dir.open_poll().await;
    node.close(&law()).await.expect("closed");
    node.certify(&law()).await.expect("the closed log is pushed at once");
    let policy = set.policy(&law(), false).expect("a policy");
    let until = Instant::now() + WITNESS_WAIT;
    loop {
        let head = node.witnessed_checkpoint(&law()).await.expect("a log");
        match policy.verify_strict(&head) {
            Ok(_) => break,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    node.shutdown().await;
}
