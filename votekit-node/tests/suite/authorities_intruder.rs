//! Several authorities, and a program that writes into their ledger without any of their keys: it
//! keeps no statement out, and no lease for long; what it removes is made up for, and what it
//! states of a node counts for nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use votekit_core::authority::{NodeAdmission, StatementKey};
use votekit_core::ballot::BallotSecretKey;
use votekit_core::batch::NodeKey;
use votekit_core::decision::Decision;
use votekit_core::id::{Digest, RequestId};
use votekit_core::log::note::KeyName;
use votekit_node::node_name::NodeName;
use votekit_node::node_record::NodeRecord;
use votekit_node::{AdminError, CallRule};
use votekit_store::{Leadership, Ledger, NewRow, RowId, RowKind, RowOutcome};

use crate::installation::{Installation, WAIT, base, wait_until};
use crate::support::{law, vote};

/// The length of the intruder's lease.
const LEASE: Duration = Duration::from_secs(2);

/// The last term in which a vote is stored.
async fn last_voted_term(ledger: &dyn Ledger) -> u64 {
    let (mut after, mut last) = (RowId(0), 0);
    loop {
        let read = ledger.rows_after(after, 1000).await.expect("rows");
        let Some(through) = read.through() else { return last };
        after = through;
        let votes = read.rows.iter().filter(|row| row.kind == RowKind::Vote);
        last = votes.map(|row| row.term).max().unwrap_or(0).max(last);
    }
}

/// Rows that no authority signed, under the keys of those that the next rounds will have.
async fn insert_rows(ledger: &dyn Ledger) {
    let term = last_voted_term(ledger).await;
    let height = ledger.head(&law()).await.expect("read").expect("a head").height;
    for authority in ["a1", "a2", "a3"] {
        for number in 1..=6 {
            let row = |kind: RowKind, height, term| NewRow {
                kind,
                authority: authority.to_owned(),
                law_id: kind.is_of_block().then(law),
                height,
                term,
                bytes: format!("invented {number}").into_bytes(),
                leaves: Vec::new(),
            };
            for ahead in 1..=6 {
                let stored = [
                    row(RowKind::Vote, 0, term + ahead),
                    row(RowKind::Suspect, 0, term + ahead),
                    row(RowKind::Refuse, height + ahead, term + ahead),
                    row(RowKind::Accept, height + ahead, term),
                    row(RowKind::Cosign, height + ahead, 0),
                ];
                for row in stored {
                    let outcome = ledger.put_row(&row, None).await.expect("answered");
                    let is_late = matches!(outcome, RowOutcome::Late { .. });
                    assert!(!is_late || row.kind == RowKind::Accept, "{outcome:?}: {row:?}");
                }
            }
        }
    }
}

/// Inserts an epoch of each node, above its last one.
fn insert_epoch(installation: &Installation, above: u32) {
    let sql = "INSERT INTO epoch (election, node, epoch) \
               SELECT election, node, max(epoch) + ?1 FROM epoch GROUP BY election, node";
    assert!(installation.tables().execute(sql, (above,)).expect("SQL") > 0);
}

/// A poll whose ledger has an epoch of each node, this far above its last one, closes.
async fn assert_closes_beside_epoch(above: u32) {
    let installation = Installation::start_with_vote().await;
    insert_epoch(&installation, above);
    installation.close_and_stop(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_far_above_keeps_no_run_of_a_node_from_beginning_one() {
    let mut installation = Installation::start_with_vote().await;
    insert_epoch(&installation, 5000);
    installation.kill_ingest();
    installation.start_ingest().await;
    installation.assert_accepts(1, "oui").await;
    installation.close_and_stop(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_no_authority_signed_keep_none_of_theirs_out() {
    let mut installation = Installation::start_with_vote().await;
    let ledger = Arc::clone(&installation.engines().ledger);
    insert_rows(&*ledger).await;
    installation.assert_accepts(1, "oui").await;
    let leader = installation.leader().await;
    installation.kill(leader);
    installation.assert_accepts(2, "non").await;
    installation.restart(leader).await;
    installation.close_and_stop(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_no_authority_holds_does_not_last() {
    let installation = Installation::start_with_vote().await;
    let ledger = Arc::clone(&installation.engines().ledger);
    let holder = "intruder/1";
    let mut answer = ledger.acquire_leadership(holder, LEASE, 0).await.expect("answered");
    if let Leadership::Following { term, .. } = answer {
        answer = ledger.pass_over(term, holder, LEASE, 0).await.expect("answered");
    }
    let until = Instant::now() + WAIT;
    while matches!(answer, Leadership::Leading { .. }) {
        assert!(Instant::now() < until, "the intruder keeps the lease");
        tokio::time::sleep(Duration::from_millis(200)).await;
        answer = ledger.acquire_leadership(holder, LEASE, 0).await.expect("answered");
    }
    installation.assert_accepts(1, "oui").await;
    installation.assert_closes(2).await;
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_that_the_ledger_has_lost_is_ended_by_the_run_that_had_it() {
    let installation = Installation::start_with_vote().await;
    let ledger = installation.tables();
    assert!(ledger.execute("DELETE FROM epoch", ()).expect("SQL") > 0);
    drop(ledger);
    // The lease of the lost epoch runs out: the next batch is of another one.
    tokio::time::sleep(Duration::from_secs(4)).await;
    installation.assert_accepts(1, "oui").await;
    installation.close_and_stop(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_the_epochs_of_the_ledger_is_filled_at_the_close() {
    assert_closes_beside_epoch(3).await;
}

/// The record of a node that no authority has admitted.
fn own_record() -> NodeRecord {
    let name = "intruder".parse().expect("a name");
    let key = NodeKey::from_seed(&[99; 32]).public_key();
    let transport = BallotSecretKey::from_seed(&[98; 32]).public_key();
    NodeRecord::new(name, key, transport).expect("usable keys")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_that_no_node_can_have_begun_delays_no_close() {
    assert_closes_beside_epoch(5000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_no_authority_admitted_is_in_no_log_and_gets_no_key() {
    let installation = Installation::start(3, 2).await;
    let (ledger, record) = (Arc::clone(&installation.engines().ledger), own_record());
    // As another program writes it; and signed, but by no authority.
    let name: KeyName = "a1".parse().expect("a name");
    let admission = NodeAdmission {
        authority: name.clone(),
        node: "intruder-2".to_owned(),
        key: record.key,
        transport: record.transport,
        is_retired: false,
    };
    let signed = StatementKey::from_seed(&base(), &name, &[97; 32]).sign_admission(&admission);
    for (name, bytes) in [("intruder", record.to_string().into_bytes()), ("intruder-2", signed)] {
        ledger.put_node_record(name, &bytes).await.expect("stored");
    }
    installation.open_poll().await;
    installation.cast(0, "oui").await;
    // This authority may not have been in the quorum.
    installation.assert_agreement().await;
    let node = installation.authority(0);
    let nodes = node.nodes(&law()).await.expect("the ledger answers");
    assert_eq!(nodes.len(), 1, "{nodes:?}");
    assert_ne!(nodes[0].public_key, record.key.to_string());
    let sealed = ledger.sealed_key(&law(), record.transport.as_bytes()).await.expect("read");
    assert_eq!(sealed, None, "the request key would open votes to trial");
    let view = node.cluster_view().await.expect("the ledger answers");
    let names: Vec<&str> = view.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["ingest-1"]);
    // An operator admits it to the log alone, without its record.
    let rule = installation
        .by_leader(async |node| match node.admit_node(&law(), record.key).await {
            Err(AdminError::Field { rule, .. }) => Ok(rule),
            Err(error) => Err(error),
            Ok(admitted) => panic!("{admitted:?}"),
        })
        .await;
    assert_eq!(rule, CallRule::NodeWithoutRecord);
    installation.by_leader(async |node| node.admit_record(&record).await).await;
    installation.by_leader(async |node| node.admit_node(&law(), record.key).await).await;
    installation.close_and_stop(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn epochs_that_the_ledger_passes_over_are_in_the_log_at_the_close() {
    let mut installation = Installation::start_with_vote().await;
    insert_epoch(&installation, 900);
    // The next run of the node gets one below.
    installation.kill_ingest();
    installation.start_ingest().await;
    installation.assert_accepts(1, "oui").await;
    installation.close_and_stop(2).await;
}

/// A number that a statement in SQL finds in the ledger.
fn number(ledger: &Connection, sql: &str) -> i64 {
    ledger.query_row(sql, (), |row| row.get(0)).expect("SQL")
}

/// Changes one row of the ledger.
fn change(ledger: &Connection, sql: &str) {
    assert_eq!(ledger.execute(sql, ()).expect("SQL"), 1, "{sql}");
}

/// Waits until a statement in SQL finds a number other than this one.
async fn wait_for_other(ledger: &Connection, sql: &str, known: i64) {
    let until = Instant::now() + WAIT;
    while number(ledger, sql) == known {
        assert!(Instant::now() < until, "{sql} is {known}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The last position in staging.
const LAST_ROW: &str = "SELECT max(id) FROM batch";

/// Kills all authorities but the leader, and submits a vote, whose batch is staged when this
/// returns. Returns the request, and the places of those that were killed.
async fn submit_undecided(installation: &mut Installation, voter: u32) -> (RequestId, [usize; 2]) {
    installation.assert_agreement().await;
    let others = installation.kill_followers().await;
    let ledger = installation.tables();
    let decided_row = number(&ledger, LAST_ROW);
    let request = installation.submit(voter, "oui").await;
    // The answer needs the ballot box, which stages the batch a moment later.
    wait_for_other(&ledger, LAST_ROW, decided_row).await;
    (request, others)
}

/// Starts authorities again, after which these votes are accepted, and the poll closes.
async fn assert_decides(
    installation: &mut Installation,
    others: [usize; 2],
    requests: &[RequestId],
    accepted: u64,
) {
    for other in others {
        installation.restart(other).await;
    }
    for request in requests {
        installation.assert_accepted(*request).await;
    }
    installation.assert_none_halted();
    installation.assert_closes(accepted).await;
    installation.assert_agreement().await;
}

/// A row of staging that no votekit has written.
const INSERT_GARBAGE: &str = "INSERT INTO batch (election, node, epoch, sequence, digest, bytes) \
     SELECT election, x'0102030405060708', 1, 1, zeroblob(32), x'00' FROM batch LIMIT 1";

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_staging_that_are_no_batches_halt_nothing_and_hide_no_batch() {
    let mut installation = Installation::start_with_vote().await;
    let ledger = installation.tables();
    change(&ledger, INSERT_GARBAGE);
    installation.assert_accepts(1, "oui").await;
    let (request, others) = submit_undecided(&mut installation, 2).await;
    // The node that took the vote, and the leader, have the batch as it was.
    let changed = number(&ledger, LAST_ROW);
    change(&ledger, "UPDATE batch SET bytes = x'00' WHERE id = (SELECT max(id) FROM batch)");
    wait_for_other(&ledger, LAST_ROW, changed).await;
    let of_place = format!("SELECT count(*) FROM batch WHERE id = {changed}");
    assert_eq!(number(&ledger, &of_place), 0, "its row has moved");
    drop(ledger);
    assert_decides(&mut installation, others, &[request], 3).await;
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_above_the_head_of_a_log_halt_nothing() {
    let installation = Installation::start(3, 2).await;
    installation.open_poll().await;
    installation.cast(0, "oui").await;
    installation.assert_agreement().await;
    let ledger = installation.tables();
    // In the place of the next block and of its first leaves.
    change(
        &ledger,
        "INSERT INTO block (election, height, first_leaf, leaf_count) \
         SELECT election, height + 1, size, 1 FROM head",
    );
    change(
        &ledger,
        "INSERT INTO leaves (election, first_leaf, leaf_count, digest, bytes) \
         SELECT election, size, 1, zeroblob(32), x'00' FROM head",
    );
    drop(ledger);
    let decision = installation.cast(1, "oui").await;
    assert!(matches!(decision, Decision::Accepted { .. }), "{decision:?}");
    for index in 0..3 {
        assert_eq!(installation.authority(index).halted(&law()), None, "a{}", index + 1);
    }
    installation.assert_closes(2).await;
    installation.assert_agreement().await;
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_row_states_another_digest_is_stored_again_and_decided() {
    let mut installation = Installation::start_with_vote().await;
    let (request, others) = submit_undecided(&mut installation, 1).await;
    let ledger = installation.tables();
    let changed = number(&ledger, LAST_ROW);
    let digest = "UPDATE batch SET digest = zeroblob(32) WHERE id = (SELECT max(id) FROM batch)";
    change(&ledger, digest);
    wait_for_other(&ledger, LAST_ROW, changed).await;
    drop(ledger);
    assert_decides(&mut installation, others, &[request], 2).await;
    installation.stop().await;
}

/// Inserts a row under a number that the epoch of the last batch does not reach, in SQL.
fn row_far_above() -> String {
    format!(
        "INSERT INTO batch (election, node, epoch, sequence, digest, bytes) \
         SELECT election, node, epoch, 1000000, zeroblob(32), x'00' \
         FROM batch WHERE id = ({LAST_ROW})"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_a_number_to_come_keeps_no_lost_node_from_being_retired() {
    let mut installation = Installation::start(3, 2).await;
    installation.open_poll().await;
    installation.cast(0, "oui").await;
    change(&installation.tables(), &row_far_above());
    installation.kill_ingest();
    let name: NodeName = "ingest-1".parse().expect("a name");
    installation.by_leader(async |node| node.retire_record(&name).await).await;
    installation.assert_closes(1).await;
    installation.assert_agreement().await;
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_a_number_to_come_keeps_no_earlier_epoch_open() {
    let mut installation = Installation::start_with_vote().await;
    let ledger = installation.tables();
    change(&ledger, &row_far_above());
    drop(ledger);
    // The next run of the node ends the epoch: it looks for the last batch in the ledger.
    installation.kill_ingest();
    installation.start_ingest().await;
    installation.assert_accepts(1, "oui").await;
    installation.close_and_stop(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_row_has_a_wrong_signature_is_stored_again_and_decided() {
    let mut installation = Installation::start_with_vote().await;
    let (request, others) = submit_undecided(&mut installation, 1).await;
    let ledger = installation.tables();
    let changed = number(&ledger, LAST_ROW);
    // The digest does not cover the signature: the row still decodes.
    let bytes = format!("SELECT bytes FROM batch WHERE id = {changed}");
    let mut bytes: Vec<u8> = ledger.query_row(&bytes, (), |row| row.get(0)).expect("SQL");
    *bytes.last_mut().expect("a signature") ^= 1;
    let set = format!("UPDATE batch SET bytes = ?1 WHERE id = {changed}");
    assert_eq!(ledger.execute(&set, (bytes,)).expect("SQL"), 1);
    wait_for_other(&ledger, LAST_ROW, changed).await;
    drop(ledger);
    assert_decides(&mut installation, others, &[request], 2).await;
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undecided_batch_that_is_moved_among_the_sealed_ones_is_decided() {
    let mut installation = Installation::start_with_vote().await;
    let ledger = installation.tables();
    change(&ledger, INSERT_GARBAGE);
    let free = number(&ledger, LAST_ROW);
    installation.cast(1, "oui").await;
    let sealed = "SELECT sealed_through FROM head";
    assert!(number(&ledger, sealed) > free, "a batch behind it is sealed");
    change(&ledger, &format!("DELETE FROM batch WHERE id = {free}"));
    let (request, others) = submit_undecided(&mut installation, 2).await;
    // Read before the change, which the node may notice at once.
    let hidden = number(&ledger, &format!("{LAST_ROW} WHERE id < ({LAST_ROW})"));
    change(&ledger, &format!("UPDATE batch SET id = {free} WHERE id = ({LAST_ROW})"));
    wait_for_other(&ledger, LAST_ROW, hidden).await;
    drop(ledger);
    assert_decides(&mut installation, others, &[request], 3).await;
    installation.stop().await;
}

/// Raises the position up to which the head says that staging is sealed, to the last one.
fn raise_sealed_through(ledger: &Connection) {
    let last = number(ledger, LAST_ROW);
    let columns = "SELECT size, height, fence, takes_votes, root, checkpoint FROM head";
    let head = ledger.query_row(columns, (), |row| {
        let numbers: [i64; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
        Ok((numbers, row.get::<_, Vec<u8>>(4)?, row.get::<_, Vec<u8>>(5)?))
    });
    let ([size, height, fence, takes_votes], root, checkpoint) = head.expect("a head");
    let numbers = [size, height, fence, last, takes_votes].map(i64::to_be_bytes);
    let digest = Digest::compute(&[numbers.as_flattened(), &root[..], &checkpoint[..]].concat());
    let raise = "UPDATE head SET sealed_through = ?1, digest = ?2";
    assert_eq!(ledger.execute(raise, (last, digest.as_bytes())).expect("SQL"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_a_changed_head_calls_sealed_is_decided_without_its_node() {
    let mut installation = Installation::start(3, 2).await;
    installation.open_poll().await;
    installation.cast(0, "oui").await;
    installation.assert_agreement().await;
    // No authority reads the batch, and the node that took the vote does not return.
    for index in 0..3 {
        installation.kill(index);
    }
    let ledger = installation.tables();
    let decided_row = number(&ledger, LAST_ROW);
    let request = installation.ingest().submit(&vote(1, "oui"), None, None).await;
    request.expect("answered without an authority");
    wait_for_other(&ledger, LAST_ROW, decided_row).await;
    drop(ledger);
    installation.kill_ingest();
    installation.stop_all().await;
    raise_sealed_through(&installation.tables());
    installation.start_authorities().await;
    let name: NodeName = "ingest-1".parse().expect("a name");
    installation.by_leader(async |node| node.retire_record(&name).await).await;
    installation.assert_closes(2).await;
    installation.assert_agreement().await;
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undecided_batch_that_loses_its_bytes_is_stored_again_and_decided() {
    let mut installation = Installation::start_with_vote().await;
    let (first, others) = submit_undecided(&mut installation, 1).await;
    let ledger = installation.tables();
    // As a purge leaves it, which no log records.
    change(&ledger, "UPDATE batch SET bytes = NULL WHERE id = (SELECT max(id) FROM batch)");
    // No further batch comes: the node that took the vote compares staging with what it has.
    wait_for_other(&ledger, "SELECT count(*) FROM batch WHERE bytes IS NULL", 1).await;
    let second = installation.submit(2, "oui").await;
    drop(ledger);
    assert_decides(&mut installation, others, &[first, second], 3).await;
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retirement_that_no_authority_signed_retires_no_node() {
    let mut installation = Installation::start_with_vote().await;
    let ledger = Arc::clone(&installation.engines().ledger);
    let stored = async || {
        let records = ledger.node_records().await.expect("read");
        let record = records.into_iter().find(|(name, _)| name == "ingest-1");
        String::from_utf8(record.expect("there").1).expect("text")
    };
    let changed = stored().await.replace("retired no", "retired yes");
    ledger.put_node_record("ingest-1", changed.as_bytes()).await.expect("stored");
    // It begins an epoch all the same.
    installation.kill_ingest();
    installation.start_ingest().await;
    installation.assert_accepts(1, "oui").await;
    // The authority that admitted it has a copy, and compares it with the ledger when it starts.
    for index in 0..3 {
        installation.kill(index);
        installation.restart(index).await;
    }
    wait_until("the record is not restored", async || stored().await.contains("retired no")).await;
    installation.close_and_stop(2).await;
}
