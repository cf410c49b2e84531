//! Several authorities after a loss: of an authority, of the majority, of a part of the ledger, of
//! an authority's memory; and rows changed by hand.
//!
//! Long because each way to lose something is one test, and they share their helpers.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use votekit_core::authority::{
    AuthoritySet, Refuse, Statement, StatementBody, StatementKey, TermLeader,
};
use votekit_core::decision::Decision;
use votekit_core::id::Digest;
use votekit_node::config::{Config, Role};
use votekit_node::data_folder::DataFolder;
use votekit_node::log_repair::{Discard, RepairError, own_certificate};
use votekit_node::node_name::NodeName;
use votekit_node::{Node, NodeError, VoteStatus, metrics};
use votekit_store::embedded::EmbeddedEngine;
use votekit_store::memory::{AuthorityMemory, MemoryError};
use votekit_store::{RowId, RowKind};

use crate::installation::{Installation, WAIT, path_of, wait_until};
use crate::support::{law, vote};

/// How long nothing may happen where nothing shall happen.
const QUIET: Duration = Duration::from_secs(2);

/// The log that every authority has, once nothing has been added for a while.
async fn settled_log(installation: &Installation) -> String {
    let until = Instant::now() + WAIT;
    let mut known = installation.logs();
    loop {
        tokio::time::sleep(2 * QUIET).await;
        let logs = installation.logs();
        if logs == known && logs.windows(2).all(|pair| pair[0] == pair[1]) {
            return known.remove(0);
        }
        assert!(Instant::now() < until, "{logs:?}");
        known = logs;
    }
}

/// The log of a stopped installation that runs again without its ingest node: the end of that
/// node's epoch may have been left to be sealed.
async fn whole_log(installation: &Installation) -> String {
    let until = Instant::now() + WAIT;
    for authority in installation.authorities.iter().flatten() {
        loop {
            let nodes = authority.nodes(&law()).await.expect("the ledger answers");
            if nodes.iter().flat_map(|node| &node.epochs).all(|epoch| epoch.ended) {
                break;
            }
            assert!(Instant::now() < until, "{nodes:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    settled_log(installation).await
}

/// Copies the files of a database, in place of those in the target.
fn copy_database(from: &Path, to: &Path, name: &str) {
    fs::create_dir_all(to).expect("a folder");
    let is_part =
        |path: &Path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name));
    let files = |folder: &Path| -> Vec<_> {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| is_part(path)).collect()
    };
    for old in files(to) {
        fs::remove_file(old).expect("removed");
    }
    for file in files(from) {
        fs::copy(&file, to.join(file.file_name().expect("a name"))).expect("copied");
    }
}

/// Stops every node, copies the ledger, and starts the authorities again.
async fn copy_ledger(installation: &mut Installation) {
    installation.stop_all().await;
    let folder = installation.path();
    copy_database(&folder.join("ledger"), &folder.join("copy"), "ledger.sqlite");
    installation.start_authorities().await;
}

/// Stops every node, replaces the ledger by its copy, and starts the authorities again.
async fn restore_ledger(installation: &mut Installation) {
    installation.stop_all().await;
    let folder = installation.path();
    copy_database(&folder.join("copy"), &folder.join("ledger"), "ledger.sqlite");
    installation.start_authorities().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_authorities_with_a_quorum_of_three_go_on_without_one() {
    let mut installation = Installation::start(4, 3).await;
    installation.open_poll().await;
    installation.assert_accepts(0, "oui").await;
    let leader = installation.leader().await;
    installation.kill(leader);
    for index in 1..4 {
        installation.assert_accepts(index, "non").await;
    }
    installation.assert_agreement().await;
    // It catches up, and takes part again: another one may be gone.
    installation.restart(leader).await;
    installation.assert_agreement().await;
    installation.kill((leader + 1) % 4);
    installation.assert_accepts(4, "oui").await;
    installation.assert_closes(5).await;
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_are_answered_without_a_majority_and_sealed_when_it_returns() {
    let mut installation = Installation::start_with_vote().await;
    let others = installation.kill_followers().await;
    let request = installation.submit(1, "oui").await;
    let early = installation.ingest().wait(request, QUIET).await.expect("answers");
    assert!(!matches!(early, Some(VoteStatus::Decided(_))), "{early:?}");
    for other in others {
        installation.restart(other).await;
    }
    installation.assert_accepted(request).await;
    installation.assert_agreement().await;
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_restored_from_an_older_copy_is_rolled_back_whole() {
    let mut installation = Installation::start(4, 3).await;
    installation.open_poll().await;
    for index in 0..3 {
        installation.assert_accepts(index, "oui").await;
    }
    installation.assert_agreement().await;
    copy_ledger(&mut installation).await;
    installation.start_ingest().await;
    for index in 3..7 {
        installation.assert_accepts(index, "non").await;
    }
    installation.assert_agreement().await;
    installation.stop_all().await;
    // The stop seals the end of the epoch too: the log is the one that authorities read now.
    installation.start_authorities().await;
    let whole = whole_log(&installation).await;
    restore_ledger(&mut installation).await;
    installation.wait_for_log(&whole).await;
    installation.assert_none_halted();
    installation.start_ingest().await;
    let again = installation.cast(6, "oui").await;
    assert!(matches!(again, Decision::Duplicate { .. }), "{again:?}");
    installation.assert_accepts(7, "oui").await;
    let closed = installation.by_leader(async |node| node.close(&law()).await).await;
    let counts = (closed.state.as_str(), closed.accepted, closed.duplicate);
    assert_eq!(counts, ("closed", 8, 1));
    installation.assert_agreement().await;
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_keys_and_records_lost_with_the_ledger_are_restored() {
    let mut installation = Installation::start(3, 2).await;
    // The copy is from before the election and before the admission of the ingest node.
    copy_ledger(&mut installation).await;
    installation.start_ingest().await;
    installation.open_poll().await;
    installation.assert_accepts(0, "oui").await;
    installation.assert_agreement().await;
    installation.stop_all().await;
    // An authority compares its copies with the ledger when it starts.
    installation.start_authorities().await;
    let whole = whole_log(&installation).await;
    let keys = sealed_keys(&installation).await;
    assert_eq!(keys.iter().filter(|key| key.is_some()).count(), 4, "three authorities, one node");
    let records = admitted_records(&installation).await;
    assert_eq!(records.len(), 1);
    restore_ledger(&mut installation).await;
    installation.wait_for_log(&whole).await;
    wait_until("keys are missing", async || sealed_keys(&installation).await == keys).await;
    assert_eq!(admitted_records(&installation).await, records);
    // A node that has lost its copy of the keys obtains them again.
    let request_key = installation.path().join("ingest/keys/request").join(law().as_str());
    fs::remove_file(request_key).expect("the node had the key");
    installation.start_ingest().await;
    let again = installation.cast(0, "oui").await;
    assert!(matches!(again, Decision::Duplicate { .. }), "{again:?}");
    installation.assert_accepts(1, "non").await;
    installation.assert_agreement().await;
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_retired_after_the_copy_of_a_restored_ledger_stays_retired() {
    let mut installation = Installation::start_with_vote().await;
    installation.kill_ingest();
    installation.assert_agreement().await;
    copy_ledger(&mut installation).await;
    let name: NodeName = "ingest-1".parse().expect("a name");
    installation.by_leader(async |node| node.retire_record(&name).await).await;
    let retired = admitted_records(&installation).await;
    assert_eq!(retired[0].1.last().map(String::as_str), Some("retired yes"), "{retired:?}");
    let whole = settled_log(&installation).await;
    restore_ledger(&mut installation).await;
    installation.wait_for_log(&whole).await;
    wait_until("the node is admitted again", async || {
        admitted_records(&installation).await == retired
    })
    .await;
    installation.start_ingest().await;
    let refused = installation.ingest().submit(&vote(1, "oui"), None, None).await;
    assert!(refused.is_err(), "{refused:?}");
    installation.assert_closes(1).await;
    installation.stop().await;
}

/// As after the ledger was rolled back while a block was in flight: the batch up to which it seals
/// is staged elsewhere, and positions that were read may be given to other batches.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_whose_last_batch_is_not_where_it_was_seals_nothing_more_and_halts_nothing() {
    let mut installation = Installation::start_with_vote().await;
    installation.assert_agreement().await;
    let others = installation.kill_followers().await;
    let ledger = installation.tables();
    // The number of all proposals would not do: those of earlier blocks are removed in the end.
    let proposed = || -> i64 {
        let count = "SELECT count(*) FROM round_row JOIN head USING (election) \
                     WHERE kind = 'proposal' AND round_row.height > head.height";
        ledger.query_row(count, (), |row| row.get(0)).expect("SQL")
    };
    let request = installation.submit(1, "oui").await;
    wait_until("the vote is not proposed", async || proposed() > 0).await;
    let moved = "UPDATE batch SET id = id + 1000 WHERE id = (SELECT max(id) FROM batch)";
    assert_eq!(ledger.execute(moved, ()).expect("SQL"), 1);
    let last = "SELECT max(batch.id), sealed_through FROM head JOIN batch USING (election)";
    let positions = || -> (i64, i64) {
        let read = ledger.query_row(last, (), |row| Ok((row.get(0)?, row.get(1)?)));
        read.expect("a head")
    };
    let (_, before) = positions();
    for other in others {
        installation.restart(other).await;
    }
    installation.assert_accepted(request).await;
    assert_eq!(positions().1, before, "the block moves the position to no batch");
    // The next block seals through the batches where they are now.
    installation.assert_accepts(2, "oui").await;
    let (staged, sealed) = positions();
    assert_eq!(sealed, staged);
    drop(ledger);
    installation.assert_none_halted();
    installation.close_and_stop(3).await;
}

/// What the records of nodes state after the name of the authority that has signed them, without
/// the status that each authority states every few seconds. A record that is restored is signed by
/// the authority that does it.
async fn admitted_records(installation: &Installation) -> Vec<(String, Vec<String>)> {
    let records = installation.engines().ledger.node_records().await.expect("read");
    let of_nodes = records.into_iter().filter(|(name, _)| !name.starts_with("authority/"));
    let stated = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).expect("a note");
        text.lines().skip(3).take(4).map(str::to_owned).collect()
    };
    of_nodes.map(|(name, bytes)| (name, stated(bytes))).collect()
}

/// Opens the memory of an authority that has stopped, once the node holds it no longer.
fn open_memory(folder: &Path) -> AuthorityMemory {
    let until = Instant::now() + WAIT;
    loop {
        match AuthorityMemory::open(folder) {
            Ok(memory) => return memory,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Signs a refusal of a block with the keys of the authority at `index`, as if it had ended before
/// it sent the refusal. Returns the signed bytes.
fn refuse_and_stop(installation: &Installation, index: usize, leader: usize) -> Vec<u8> {
    let path = path_of(installation.path(), index + 1);
    let memory = open_memory(&path.join("memory"));
    let folder = DataFolder::peek(&path).expect("a folder");
    let (base, name) = (folder.base().expect("a base"), folder.authority().expect("a name"));
    let seed = folder.statement_seed().expect("a seed");
    let leader = format!("a{}", leader + 1).parse().expect("a name");
    let refuse = Refuse {
        law_id: law(),
        leadership: TermLeader { term: 1, leader },
        height: 4,
        digest: Digest::compute(b"a block"),
        leaf: 9,
        rule: "decision".to_owned(),
        own: None,
        theirs: None,
    };
    let incarnation = memory.incarnation();
    let body = StatementBody::Refuse(refuse);
    let statement = Statement { authority: name.clone(), incarnation, body };
    let bytes = StatementKey::from_seed(&base, &name, &seed).sign_statement(&statement);
    memory.record_other_statement("refuse", Some(&law()), 4, 1, &bytes).expect("recorded");
    bytes
}

/// The bytes of the rows of a kind in the ledger.
async fn rows_of(installation: &Installation, kind: RowKind) -> Vec<Vec<u8>> {
    let (mut after, mut found) = (RowId(0), Vec::new());
    loop {
        let read = installation.engines().ledger.rows_after(after, 100).await.expect("read");
        let Some(last) = read.rows.last() else { return found };
        after = last.id;
        found.extend(read.rows.into_iter().filter(|row| row.kind == kind).map(|row| row.bytes));
    }
}

async fn wait_for_row(installation: &Installation, kind: RowKind, bytes: &[u8]) {
    wait_until(&format!("{kind:?} was not sent again"), async || {
        rows_of(installation, kind).await.iter().any(|row| row == bytes)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_and_suspicions_are_sent_again_as_they_were() {
    let mut installation = Installation::start_with_vote().await;
    copy_ledger(&mut installation).await;
    installation.start_ingest().await;
    let leader = installation.leader().await;
    let index = (leader + 1) % 3;
    // One suspicion of three authorities changes no leader.
    installation.assert_accepts(1, "oui").await;
    let until = Instant::now() + WAIT;
    let suspicion = loop {
        // Without effect until this authority has promised to follow the leader: the others may
        // have been a quorum.
        installation.authority(index).request_step_down().await.expect("asked");
        if let Some(suspicion) = rows_of(&installation, RowKind::Suspect).await.pop() {
            break suspicion;
        }
        assert!(Instant::now() < until, "no suspicion");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    installation.shut_down(index).await;
    let refusal = refuse_and_stop(&installation, index, leader);
    installation.restart(index).await;
    wait_for_row(&installation, RowKind::Refuse, &refusal).await;
    let view = installation.authority(index).cluster_view().await.expect("the ledger answers");
    assert!(!view.rolled_back, "the memory holds what was signed for an operator");
    // The ledger loses both, and the vote, while every node is stopped.
    restore_ledger(&mut installation).await;
    wait_for_row(&installation, RowKind::Refuse, &refusal).await;
    wait_until("the suspicion was not sent again", async || {
        is_suspected_again(&installation, index, &suspicion).await
    })
    .await;
    installation.start_ingest().await;
    installation.assert_accepts(2, "oui").await;
    installation.assert_agreement().await;
    installation.stop().await;
}

/// Whether a suspicion is in the ledger again, unless its authority has promised a later term: then
/// nothing depends on it.
async fn is_suspected_again(installation: &Installation, index: usize, suspicion: &[u8]) -> bool {
    let path = path_of(installation.path(), index + 1);
    let file = fs::read(path.join("authorities")).expect("a file");
    let set = AuthoritySet::parse(&file).expect("authorities");
    let StatementBody::Suspect(suspect) = set.verify_statement(suspicion).expect("signed").body
    else {
        return false;
    };
    let promised = term_of(installation.authority(index), index).await;
    promised > Some(suspect.leadership.term)
        || rows_of(installation, RowKind::Suspect).await.iter().any(|row| row == suspicion)
}

/// The keys of the election as the ledger stores them encrypted to each authority and to the ingest
/// node.
async fn sealed_keys(installation: &Installation) -> Vec<Option<Vec<u8>>> {
    let file = fs::read(path_of(installation.path(), 1).join("authorities")).expect("a file");
    let set = AuthoritySet::parse(&file).expect("authorities");
    let mut recipients: Vec<[u8; 32]> =
        set.members().iter().map(|member| member.transport).collect();
    let ingest = DataFolder::peek(&installation.path().join("ingest")).expect("a folder");
    let transport = ingest.transport_key().expect("a key").public_key();
    recipients.push(*transport.as_bytes());
    let ledger = &installation.engines().ledger;
    let mut keys = Vec::new();
    for recipient in recipients {
        keys.push(ledger.sealed_key(&law(), &recipient).await.expect("read"));
    }
    keys
}

/// The highest term in which a statement of the authority at `index` was read.
async fn term_of(node: &Node, index: usize) -> Option<u64> {
    let view = node.cluster_view().await.expect("the ledger answers");
    view.authorities[index].term
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_with_an_older_memory_signs_nothing_and_the_others_go_on() {
    let mut installation = Installation::start(4, 3).await;
    installation.open_poll().await;
    let leader = installation.leader().await;
    let index = (leader + 1) % 4;
    let memory = path_of(installation.path(), index + 1).join("memory");
    let copy = installation.path().join("memory-copy");
    installation.shut_down(index).await;
    drop(open_memory(&memory));
    copy_database(&memory, &copy, "memory.sqlite");
    installation.restart(index).await;
    // It votes in a later term, which the copy does not know.
    let before = term_of(installation.authority(index), index).await;
    let leader = installation.leader().await;
    installation.shut_down(leader).await;
    installation.restart(leader).await;
    installation.assert_accepts(0, "oui").await;
    wait_until("it votes for no leader", async || {
        term_of(installation.authority(index), index).await > before
    })
    .await;
    installation.shut_down(index).await;
    drop(open_memory(&memory));
    copy_database(&copy, &memory, "memory.sqlite");
    installation.restart(index).await;
    let view = installation.authority(index).cluster_view().await.expect("the ledger answers");
    assert!(view.rolled_back);
    let signed = term_of(installation.authority(index), index).await;
    for elector in 1..4 {
        installation.assert_accepts(elector, "oui").await;
        assert!(!installation.authority(index).leads());
    }
    assert_eq!(term_of(installation.authority(index), index).await, signed);
    // It follows and serves what the others certify.
    installation.assert_agreement().await;
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_without_its_memory_does_not_start() {
    let mut installation = Installation::start(3, 2).await;
    installation.shut_down(2).await;
    let path = path_of(installation.path(), 3);
    fs::remove_dir_all(path.join("memory")).expect("removed");
    let until = Instant::now() + WAIT;
    let folder = loop {
        // The folder of a node that has just stopped may still be held.
        match DataFolder::open(&path, None) {
            Ok(folder) => break folder,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let config = Config { roles: vec![Role::Seal, Role::Query], ..Config::default() };
    let refused = Node::start_on(folder, config, installation.engines().clone()).await;
    assert!(matches!(refused, Err(NodeError::Memory(MemoryError::Missing { .. }))), "{refused:?}");
    assert!(!path.join("memory").exists(), "no memory is made beside used keys");
    installation.stop().await;
}

/// Rows of rounds refused by all nodes of this process.
fn refused_rows() -> u64 {
    let text = metrics::render();
    let is_value =
        |line: &&str| line.contains("round_rows_refused_total ") && !line.starts_with('#');
    let line = text.lines().find(is_value);
    let count = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    count.unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_changed_by_hand_are_refused_and_the_poll_continues() {
    let mut installation = Installation::start_with_vote().await;
    let before = refused_rows();
    let ledger = installation.tables();
    // A proposal that no authority signed, under a digest that is not its own.
    let inserted = ledger.execute(
        "INSERT INTO round_row (kind, authority, election, height, term, digest, bytes, leaves) \
         SELECT 'proposal', 'a1', id, 900, 1, zeroblob(32), x'00', x'0001ff' FROM election",
        (),
    );
    assert_eq!(inserted.expect("SQL"), 1);
    // A statement that its authority did not sign, changed where it stands.
    let changed = ledger.execute("UPDATE round_row SET bytes = x'00' WHERE kind = 'vote'", ());
    assert!(changed.expect("SQL") > 0);
    drop(ledger);
    wait_until("no row was refused", async || refused_rows() != before).await;
    for index in 1..3 {
        installation.assert_accepts(index, "oui").await;
    }
    // A node that reads every row passes over them too.
    let leader = installation.leader().await;
    let other = (leader + 1) % 3;
    installation.kill(other);
    installation.restart(other).await;
    installation.assert_accepts(3, "oui").await;
    installation.assert_agreement().await;
    installation.assert_closes(4).await;
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_under_the_keys_of_cosignatures_to_come_halt_nothing() {
    let installation = Installation::start_with_vote().await;
    let ledger = installation.tables();
    let inserted = ledger.execute(
        "WITH RECURSIVE
             heights (height) AS (SELECT 1 UNION ALL SELECT height + 1 FROM heights LIMIT 200),
             names (name) AS (VALUES ('a1'), ('a2'), ('a3'))
         INSERT OR IGNORE INTO round_row
             (kind, authority, election, height, term, digest, bytes, leaves)
         SELECT 'cosign', name, election.id, height, 0, zeroblob(32), x'ff', x''
         FROM election, heights, names",
        (),
    );
    assert!(inserted.expect("SQL") > 500);
    drop(ledger);
    for index in 1..4 {
        installation.assert_accepts(index, "oui").await;
    }
    installation.assert_none_halted();
    installation.close_and_stop(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_halted_the_election_leaves_the_lead_to_the_others() {
    let mut installation = Installation::start_with_vote().await;
    let halted = installation.leader().await;
    installation.authority(halted).panic_in_task(Some(&law()));
    wait_until("it leads what it cannot seal", async || {
        let node = installation.authority(halted);
        node.halted(&law()).is_some() && !node.leads()
    })
    .await;
    for index in 1..4 {
        installation.assert_accepts(index, "oui").await;
        assert!(!installation.authority(halted).leads());
    }
    // It votes for the others, and does not come before them when the leader stops.
    let leader = installation.leader().await;
    installation.shut_down(leader).await;
    installation.restart(leader).await;
    for index in 4..6 {
        installation.assert_accepts(index, "oui").await;
        assert!(!installation.authority(halted).leads());
    }
    // A restart reads the log back: it takes part again.
    installation.shut_down(halted).await;
    installation.restart(halted).await;
    installation.assert_agreement().await;
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_lost_while_the_nodes_run_are_sent_again() {
    let installation = Installation::start_with_vote().await;
    let ledger = installation.tables();
    // The positions of later rows go on, so that no reader sees fewer than it has read.
    assert!(ledger.execute("DELETE FROM round_row", ()).expect("SQL") > 0);
    drop(ledger);
    wait_until("votes are missing", async || {
        rows_of(&installation, RowKind::Vote).await.len() >= 3
    })
    .await;
    installation.assert_accepts(1, "oui").await;
    installation.assert_agreement().await;
    installation.stop().await;
}

/// Appends a block to the log that no authority made, and a head that none has signed.
fn forge_head(ledger: &Path) {
    let ledger = Connection::open(ledger).expect("the ledger");
    let numbers = ledger.query_row(
        "SELECT election, size, height, fence, sealed_through FROM head",
        (),
        |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?]),
    );
    let [election, size, height, fence, sealed_through]: [i64; 5] = numbers.expect("a head");
    let (leaf, root, checkpoint) = (b"\x00\x02{}", [7_u8; 32], b"no checkpoint");
    let block =
        "INSERT INTO block (election, height, first_leaf, leaf_count) VALUES (?1, ?2, ?3, 1)";
    ledger.execute(block, (election, height + 1, size)).expect("SQL");
    let leaves = "INSERT INTO leaves (election, first_leaf, leaf_count, digest, bytes) \
                  VALUES (?1, ?2, 1, ?3, ?4)";
    let digest = Digest::compute(leaf);
    ledger.execute(leaves, (election, size, digest.as_bytes(), &leaf[..])).expect("SQL");
    let numbers = [size + 1, height + 1, fence, sealed_through, 0].map(i64::to_be_bytes);
    let digest = Digest::compute(&[numbers.as_flattened(), &root[..], &checkpoint[..]].concat());
    let head = "UPDATE head SET size = ?1, height = ?2, root = ?3, checkpoint = ?4, \
                takes_votes = 0, digest = ?5";
    let changed =
        ledger.execute(head, (size + 1, height + 1, root, &checkpoint[..], digest.as_bytes()));
    assert_eq!(changed.expect("SQL"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn unverified_head_is_discarded_and_the_poll_continues() {
    let mut installation = Installation::start_with_vote().await;
    installation.assert_agreement().await;
    installation.stop_all().await;
    installation.start_authorities().await;
    let whole = whole_log(&installation).await;
    installation.stop_all().await;
    let path = installation.path().join("ledger");
    forge_head(&path.join("ledger.sqlite"));
    installation.start_authorities().await;
    for index in 0..3 {
        let reason = installation.authority(index).halted(&law());
        assert!(reason.is_some(), "a{} takes a forged block", index + 1);
    }
    installation.stop_all().await;
    let until = Instant::now() + WAIT;
    let ledger = loop {
        match EmbeddedEngine::open(&path) {
            Ok(engine) => break engine.ledger,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let folder = DataFolder::peek(&path_of(installation.path(), 1)).expect("a folder");
    let set = folder.authorities().expect("read").expect("installed");
    let certificate = loop {
        match own_certificate(&folder, &law()) {
            Ok(known) => break known.expect("a certified block"),
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let foreign = Discard::plan(&*ledger, &set, &law(), b"no checkpoint").await;
    assert!(matches!(foreign, Err(RepairError::NotCertified { .. })), "{foreign:?}");
    let discard = Discard::plan(&*ledger, &set, &law(), &certificate).await.expect("planned");
    let tables: Vec<&str> = discard.rows().iter().map(|row| row.table.as_str()).collect();
    assert_eq!(tables, ["head", "block", "leaves"]);
    discard.execute(&*ledger).await.expect("discarded");
    let again = Discard::plan(&*ledger, &set, &law(), &certificate).await;
    assert!(matches!(again, Err(RepairError::HeadVerifies { .. })), "{again:?}");
    drop(ledger);
    installation.start_authorities().await;
    installation.wait_for_log(&whole).await;
    installation.start_ingest().await;
    installation.assert_accepts(1, "non").await;
    installation.assert_agreement().await;
    installation.stop().await;
}
