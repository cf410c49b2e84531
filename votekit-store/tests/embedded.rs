//! Guarantees of the embedded engine beyond the contract: damage is reported and not repaired, a
//! second process is kept out, a purge leaves no traces.
//!
//! Long because each kind of damage is a case, and all share their helpers.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use votekit_core::FixedRng;
use votekit_core::ballot::{BallotSecretKey, ChoiceIndex};
use votekit_core::batch::{Batch, BatchHeader, NodeKey};
use votekit_core::credential::CredentialHash;
use votekit_core::envelope::Envelope;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, RequestId, Sequence};
use votekit_core::instant::UnixMinutes;
use votekit_core::log::merkle::{TreeBuilder, leaf_hash};
use votekit_store::embedded::EmbeddedEngine;
use votekit_store::faults::Faulty;
use votekit_store::testing::seeded_faults::{Odds, SeededFaults};
use votekit_store::{
    BallotBox, BatchName, BlockCommit, Conflict, Documents, EngineError, Engines, Head,
    LeaderFence, Leadership, Leases, Ledger, LogStore, NewRow, Rounds, RowId, RowKind, RowOutcome,
    RowsRead, Staging, StagingId, StoredBlock,
};

fn law() -> ElectionId {
    "L2025-001".parse().expect("a law id")
}

fn envelope(number: u64) -> Envelope {
    let bytes = *Digest::of(&number.to_be_bytes()).as_bytes();
    Envelope {
        request: RequestId::from_bytes(bytes[..16].try_into().expect("16 bytes")),
        hash: CredentialHash::from_bytes(bytes),
        received: UnixMinutes(28_333_333),
        choice: ChoiceIndex(1),
    }
}

fn batch(sequence: u64, envelopes: std::ops::Range<u64>) -> Arc<Batch> {
    batch_of(law(), sequence, envelopes)
}

fn batch_of(law_id: ElectionId, sequence: u64, envelopes: std::ops::Range<u64>) -> Arc<Batch> {
    let node_key = NodeKey::from_seed(&[1; 32]);
    let number =
        BatchNumber { node: node_key.node_id(), epoch: Epoch(1), sequence: Sequence(sequence) };
    let header = BatchHeader { law_id, number, confirmed_through: Sequence(0), last: false };
    let envelopes: Vec<Envelope> = envelopes.map(envelope).collect();
    let ballot_key = BallotSecretKey::from_seed(&[2; 32]).public_key();
    Arc::new(
        Batch::seal(header, &envelopes, &ballot_key, &node_key, &mut FixedRng::new(0))
            .expect("a usable key"),
    )
}

/// Fills a ledger with two blocks of 300 leaves and three staged batches, the first two of them
/// sealed.
async fn fill(folder: &Path) {
    let engine = EmbeddedEngine::open(folder).expect("a new ledger");
    let mut places = Vec::new();
    for sequence in 1..=3 {
        let batch = batch(sequence, 100 * sequence..100 * sequence + 50);
        let place = engine.ledger.stage(&batch, &Vec::new()).await.expect("staged");
        places.push((place, batch.digest()));
    }
    let mut tree = TreeBuilder::new();
    for height in 1..=2_u8 {
        let (sealed_through, batch) = places[usize::from(height) - 1];
        let commit = block(law(), &mut tree, height, 1, sealed_through);
        let commit = BlockCommit { sealed_batch: Some(batch), ..BlockCommit::clone(&commit) };
        engine.ledger.commit(&Arc::new(commit)).await.expect("committed");
    }
}

/// The next block of a log, of 300 leaves.
fn block(
    law_id: ElectionId,
    tree: &mut TreeBuilder,
    height: u8,
    fence: u64,
    sealed_through: StagingId,
) -> Arc<BlockCommit> {
    let (first_leaf, mut leaves, mut full_tiles) = (tree.size(), Vec::new(), Vec::new());
    for _ in 0..300 {
        leaves.extend_from_slice(&[0, 1, height]);
        tree.append(leaf_hash(&[height]), &mut full_tiles);
    }
    let head = Head {
        size: tree.size(),
        height: height.into(),
        root: tree.root(),
        fence,
        checkpoint: b"checkpoint".to_vec(),
        sealed_through,
        takes_votes: true,
    };
    let block = StoredBlock { height: height.into(), first_leaf, leaf_count: 300, leaves };
    let sealed_batch = None;
    Arc::new(BlockCommit { law_id, block, full_tiles, head, sealed_batch, not_after: None })
}

/// Changes the file of a ledger without the engine, and opens it again.
async fn open_after(sql: &str) -> (tempfile::TempDir, Result<EmbeddedEngine, EngineError>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fill(folder.path()).await;
    Connection::open(folder.path().join("ledger.sqlite"))
        .expect("the file")
        .execute_batch(sql)
        .expect("the change");
    let opened = EmbeddedEngine::open(folder.path());
    (folder, opened)
}

#[tokio::test]
async fn damage_to_the_rows_of_an_election_is_found_at_the_opening_and_is_of_it_alone() {
    let (_folder, whole) = open_after("SELECT 1").await;
    let whole = whole.expect("nothing is damaged").ledger;
    whole.head(&law()).await.expect("nothing is damaged").expect("a head");
    for (sql, expected) in [
        ("UPDATE head SET size = 599", "table head"),
        ("UPDATE head SET height = 3", "table head"),
        ("UPDATE head SET sealed_through = 1", "table head"),
        ("UPDATE head SET checkpoint = x'00'", "table head"),
        ("DELETE FROM head", "the last block is 2"),
        ("DELETE FROM block WHERE height = 1", "block 2"),
        ("DELETE FROM block WHERE height = 2", "the last block is 1"),
        ("UPDATE block SET first_leaf = 301 WHERE height = 2", "leaf 301"),
        ("DELETE FROM leaves WHERE first_leaf = 256", "up to 256"),
        ("DELETE FROM leaves WHERE first_leaf >= 512", "the head is at"),
        ("UPDATE leaves SET leaf_count = 1 WHERE first_leaf = 0", "up to 1"),
        ("DELETE FROM tile WHERE idx = 0", "tiles of level 0"),
        ("UPDATE batch SET bytes = zeroblob(200) WHERE id = 3", "batch 3"),
        ("UPDATE batch SET bytes = (SELECT bytes FROM batch WHERE id = 1) WHERE id = 3", "batch 3"),
        ("UPDATE batch SET digest = zeroblob(32) WHERE id = 3", "batch 3"),
        ("UPDATE batch SET sequence = 7 WHERE id = 3", "batch 3"),
        ("UPDATE batch SET node = x'00' WHERE id = 3", "table batch: column node: "),
        ("UPDATE block SET leaf_count = -1 WHERE height = 2", "table block: column leaf_count: -1"),
        (
            "UPDATE leaves SET first_leaf = -1 WHERE first_leaf = 0",
            "table leaves: column first_leaf",
        ),
    ] {
        let (_folder, engine) = open_after(sql).await;
        let engine = engine.expect("the file can be read");
        let ledger = &engine.ledger;
        let is_named = |error: EngineError| {
            let EngineError::Corrupt { reason, .. } = error else { panic!("{sql}: {error}") };
            assert!(reason.contains(expected), "{sql}: {reason}");
        };
        assert_eq!(ledger.elections().await.expect("listed"), [law()], "{sql}");
        is_named(ledger.head(&law()).await.expect_err(sql));
        is_named(ledger.blocks(&law(), 1, 1).await.expect_err(sql));
        is_named(ledger.staged(&law(), StagingId(2), 1).await.expect_err(sql));
        is_named(ledger.stage(&batch(4, 0..1), &Vec::new()).await.expect_err(sql));
        let node = NodeKey::from_seed(&[1; 32]).node_id();
        is_named(ledger.allocate_epoch(&law(), node).await.expect_err(sql));
        // Another election is written and read as usual, and is the only election with a delivery.
        let other: ElectionId = "L2".parse().expect("a law id");
        let (voted, mut tree) = (batch_of(other.clone(), 1, 0..1), TreeBuilder::new());
        engine.ballot_box.publish(&voted).await.expect("published");
        let delivered = engine.ballot_box.receive().await.expect("delivered");
        assert_eq!(delivered.batch.header().law_id, other, "{sql}");
        let commit = block(other.clone(), &mut tree, 1, 1, StagingId(0));
        ledger.commit(&commit).await.expect("committed");
        assert_eq!(ledger.head(&other).await.expect("read"), Some(commit.head.clone()));
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_as_a_whole_is_not_opened() {
    for (sql, expected) in [
        ("UPDATE election SET law_id = 'L 1'", "election"),
        ("PRAGMA application_id = 7", "not a votekit ledger"),
        ("PRAGMA user_version = 0", "schema version 0"),
    ] {
        match open_after(sql).await.1 {
            Err(EngineError::Corrupt { reason, .. }) => {
                assert!(reason.contains(expected), "{sql}: {reason}")
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn damaged_evidence_blocks_and_tiles_are_not_served() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fill(folder.path()).await;
    let change = "UPDATE batch SET bytes = zeroblob(length(bytes)) WHERE id = 1; UPDATE tile SET hashes = x'00';
                  UPDATE leaves SET bytes = zeroblob(length(bytes)) WHERE first_leaf = 0;";
    Connection::open(folder.path().join("ledger.sqlite"))
        .expect("the file")
        .execute_batch(change)
        .expect("the change");
    let ledger =
        EmbeddedEngine::open(folder.path()).expect("what is sealed is not read again").ledger;
    let corrupt =
        |error: EngineError| assert!(matches!(error, EngineError::Corrupt { .. }), "{error}");
    corrupt(ledger.staged(&law(), StagingId(0), 10).await.expect_err("evidence"));
    corrupt(ledger.tile(&law(), 0, 0).await.expect_err("a tile"));
    corrupt(ledger.blocks(&law(), 1, 1).await.expect_err("a block"));
    corrupt(ledger.leaves(&law(), 5, 1).await.expect_err("a leaf"));
    ledger.blocks(&law(), 2, 1).await.expect("another block is whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_term_begins_after_the_blocks_that_were_queued_before_it() {
    const LONG: Duration = Duration::from_secs(3600);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ledger = EmbeddedEngine::open(folder.path()).expect("a new ledger").ledger;
    let first = ledger.acquire_leadership("first", LONG, 0).await.expect("granted");
    assert!(matches!(first, Leadership::Leading { term: 1 }), "{first:?}");
    // Another connection keeps the writer waiting.
    let other = Connection::open(folder.path().join("ledger.sqlite")).expect("the file");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let mut tree = TreeBuilder::new();
    let commit = block(law(), &mut tree, 1, 1, StagingId(0));
    let (to, queued) = (Arc::clone(&ledger), Arc::clone(&commit));
    let committing = tokio::spawn(async move { to.commit(&queued).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    ledger.release_leadership("first").await.expect("released");
    let to = Arc::clone(&ledger);
    let acquiring = tokio::spawn(async move { to.acquire_leadership("second", LONG, 0).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!acquiring.is_finished(), "a block of the first term is queued before it");
    other.execute_batch("ROLLBACK").expect("the lock is free");
    committing.await.expect("no panic").expect("stored in its term");
    let second = acquiring.await.expect("no panic").expect("granted");
    assert!(matches!(second, Leadership::Leading { term: 2 }), "{second:?}");
    let late = block(law(), &mut tree, 2, 1, StagingId(0));
    let refused = ledger.commit(&late).await.expect_err("of the first term");
    assert!(matches!(refused, EngineError::Conflict(Conflict::Term { .. })), "{refused}");
}

/// An engine that several nodes of this process use.
fn open_shared(folder: &Path) -> Engines {
    EmbeddedEngine::open(folder).expect("opened").into_shared()
}

#[tokio::test]
async fn a_row_of_a_shared_ledger_that_is_no_batch_is_passed_over_and_replaced() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ledger = open_shared(folder.path()).ledger;
    let (staged, hints) = ([1, 2, 3].map(|sequence| batch(sequence, 0..1)), Vec::new());
    let name = [BatchName::from(&*staged[1])];
    for batch in &staged {
        ledger.stage(batch, &hints).await.expect("staged");
    }
    let tables = Connection::open(folder.path().join("ledger.sqlite")).expect("the file");
    let damage = |change: &str| {
        let sql = format!("UPDATE batch SET {change} WHERE sequence = 2");
        assert_eq!(tables.execute(&sql, ()).expect("SQL"), 1, "{change}");
    };
    for change in [
        "bytes = x'00'",
        "bytes = (SELECT bytes FROM batch WHERE sequence = 1)",
        "digest = x'00'",
        "digest = zeroblob(32)",
    ] {
        damage(change);
        let read = ledger.read_staging(&law(), StagingId(0), 10).await.expect("read");
        assert_eq!((read.batches.len(), read.unreadable.len()), (2, 1), "{change}");
        assert_eq!(ledger.are_staged(&name).await.expect("read"), [false], "{change}");
        let id = read.unreadable[0].id;
        // A page of it alone hides no batch behind it.
        let before = StagingId(id.0 - 1);
        let behind = ledger.staged(&law(), before, 1).await.expect("read");
        let expected = usize::from(read.batches.iter().any(|staged| staged.id > id));
        assert_eq!(behind.len(), expected, "{change}");
        let again = ledger.restage(&staged[1], &hints, StagingId(0)).await.expect("restaged");
        assert!(again.is_new && again.id > id, "{change}: {again:?}");
        assert_eq!(ledger.are_staged(&name).await.expect("read"), [true], "{change}");
        assert_eq!(ledger.staged(&law(), StagingId(0), 10).await.expect("read").len(), 3);
    }
    // Its node may stage it as if it were not there.
    damage("bytes = x'00'");
    ledger.stage(&staged[1], &hints).await.expect("staged");
    let last = ledger.staged(&law(), StagingId(0), 10).await.expect("read").pop();
    assert_eq!(last.map(|last| last.batch.digest()), Some(staged[1].digest()));
    // The same batch but for the signature: both may be valid, and the log may name the stored one.
    let mut resigned = staged[1].as_bytes().to_vec();
    *resigned.last_mut().expect("a signature") ^= 1;
    let sql = "UPDATE batch SET bytes = ?1 WHERE sequence = 2";
    assert_eq!(tables.execute(sql, (resigned,)).expect("SQL"), 1);
    let before = ledger.staged(&law(), StagingId(0), 10).await.expect("read").pop().expect("one");
    let unsure = ledger.stage(&staged[1], &hints).await;
    assert!(matches!(unsure, Err(EngineError::Corrupt { .. })), "{unsure:?}");
    let kept = ledger.staged(&law(), StagingId(0), 10).await.expect("read").pop().expect("one");
    assert_eq!((kept.id, kept.batch.as_bytes()), (before.id, before.batch.as_bytes()));
    damage("digest = x'00'");
    let places = ledger.staged_places(&law(), StagingId(0), 10).await.expect("read");
    assert_eq!(places.len(), 2, "that of the changed row has no digest");
}

#[tokio::test]
async fn a_certified_block_replaces_rows_above_the_head() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ledger = open_shared(folder.path()).ledger;
    let mut tree = TreeBuilder::new();
    let [first, second] = [1, 2].map(|height| block(law(), &mut tree, height, 1, StagingId(0)));
    ledger.append(&first).await.expect("appended");
    let tables = Connection::open(folder.path().join("ledger.sqlite")).expect("the file");
    tables
        .execute_batch(
            "INSERT INTO block (election, height, first_leaf, leaf_count)
                 SELECT id, 2, 300, 1 FROM election;
             INSERT INTO leaves (election, first_leaf, leaf_count, digest, bytes)
                 SELECT id, 301, 1, x'00', x'00' FROM election;
             INSERT INTO tile (election, level, idx, digest, hashes)
                 SELECT id, 0, 1, x'00', x'00' FROM election",
        )
        .expect("SQL");
    let refused = ledger.commit(&second).await;
    assert!(matches!(refused, Err(EngineError::Corrupt { .. })), "{refused:?}");
    ledger.append(&second).await.expect("it is certified");
    assert_eq!(ledger.head(&law()).await.expect("read"), Some(second.head.clone()));
    let blocks = ledger.blocks(&law(), 1, 10).await.expect("read");
    assert_eq!(blocks, [first.block.clone(), second.block.clone()]);
    assert!(ledger.tile(&law(), 0, 1).await.expect("whole").is_some());
}

#[tokio::test]
async fn a_shared_ledger_begins_a_new_term_at_each_start() {
    const LONG: Duration = Duration::from_secs(3600);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let accept = |term| NewRow {
        kind: RowKind::Accept,
        authority: "a".to_owned(),
        law_id: Some(law()),
        height: 1,
        term,
        bytes: b"accept".to_vec(),
        leaves: Vec::new(),
    };
    let mut last = 0;
    for _ in 0..3 {
        let ledger = open_shared(folder.path()).ledger;
        assert!(ledger.is_shared());
        // Until the next term begins, the last term is the present term, as before the restart.
        let ahead = ledger.put_row(&accept(last + 1), None).await.expect("answered");
        assert_eq!(ahead, RowOutcome::Late { term: last });
        let led = ledger.acquire_leadership("first", LONG, 0).await.expect("granted");
        let Leadership::Leading { term } = led else { panic!("{led:?}") };
        assert_eq!(term, last + 1, "another node may have stated something in the last term");
        let stored = ledger.put_row(&accept(term), None).await.expect("answered");
        assert_eq!(stored, RowOutcome::Stored);
        last = term;
    }
    // A ledger of one node continues the term.
    let ledger = EmbeddedEngine::open(folder.path()).expect("opened").ledger;
    assert!(!ledger.is_shared());
    let led = ledger.acquire_leadership("first", LONG, 0).await.expect("granted");
    assert_eq!(led, Leadership::Leading { term: last });
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_nodes_one_gets_each_batch() {
    const BATCHES: u64 = 40;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let engines = open_shared(folder.path());
    let mut nodes: tokio::task::JoinSet<()> = tokio::task::JoinSet::new();
    let (report, mut reported) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..3 {
        let (engines, report) = (engines.clone(), report.clone());
        nodes.spawn(async move {
            loop {
                let delivery = engines.ballot_box.receive().await.expect("delivered");
                engines.ballot_box.forward(&delivery, &Vec::new()).await.expect("forwarded");
                let validated = engines.ballot_box.collect().await.expect("collected");
                let number = validated.batch.number();
                engines.ballot_box.acknowledge(&validated).await.expect("acknowledged");
                report.send((delivery.batch.number(), number)).expect("the test listens");
            }
        });
    }
    for sequence in 1..=BATCHES {
        let batch = batch(sequence, sequence..sequence + 1);
        engines.ballot_box.publish(&batch).await.expect("published");
    }
    let (mut delivered, mut collected) = (HashSet::new(), HashSet::new());
    for _ in 1..=BATCHES {
        let (one, other) = reported.recv().await.expect("a node works");
        assert!(delivered.insert(one), "{one} was delivered twice");
        assert!(collected.insert(other), "{other} was collected twice");
    }
    nodes.shutdown().await;
    assert!(reported.try_recv().is_err(), "a batch was delivered once more");
}

#[tokio::test]
async fn a_ledger_of_the_version_before_rounds_is_migrated() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fill(folder.path()).await;
    Connection::open(folder.path().join("ledger.sqlite"))
        .expect("the file")
        .execute_batch(
            "DROP TABLE leadership; DROP TABLE round_row; DROP TABLE sealed_key;
             DROP TABLE node_record; DROP TABLE witness_line; PRAGMA user_version = 1",
        )
        .expect("the version before");
    let ledger = EmbeddedEngine::open(folder.path()).expect("migrated").ledger;
    assert_eq!(ledger.head(&law()).await.expect("read").expect("a head").height, 2);
    assert_eq!(ledger.rows_after(RowId(0), 10).await.expect("read"), RowsRead::default());
    // Blocks of term 1 are stored, the table of terms is new.
    let led = ledger.acquire_leadership("first", Duration::from_secs(60), 0).await.expect("led");
    assert_eq!(led, Leadership::Leading { term: 1 });
}

#[tokio::test]
async fn a_changed_row_of_a_round_is_reported_as_damage_and_passed_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let row = NewRow {
        kind: RowKind::Cosign,
        authority: "a".to_owned(),
        law_id: Some(law()),
        height: 1,
        term: 0,
        bytes: b"line".to_vec(),
        leaves: Vec::new(),
    };
    let ledger = EmbeddedEngine::open(folder.path()).expect("a new ledger").ledger;
    ledger.put_row(&row, None).await.expect("stored");
    let other = NewRow { authority: "b".to_owned(), ..row.clone() };
    ledger.put_row(&other, None).await.expect("stored");
    drop(ledger);
    for (change, expected) in [
        ("bytes = x'00'", "does not match its digest"),
        ("bytes = zeroblob(1048577)", "column"),
        ("kind = 'other'", "its kind is unknown"),
        ("kind = CAST(x'ff' AS TEXT)", "column kind"),
        ("height = -1", "column height"),
        ("digest = x'00'", "column digest"),
    ] {
        let change = format!("UPDATE round_row SET {change} WHERE authority = 'a'");
        let file = Connection::open(folder.path().join("ledger.sqlite")).expect("the file");
        file.execute_batch(&change).expect("the change");
        drop(file);
        let ledger = EmbeddedEngine::open(folder.path()).expect("opened").ledger;
        let read = ledger.rows_after(RowId(0), 10).await.expect("the row behind it is read");
        let [damaged] = read.damaged.as_slice() else { panic!("{change}: {read:?}") };
        assert!(damaged.reason.contains(expected), "{change}: {}", damaged.reason);
        assert_eq!((damaged.id, read.rows.len(), read.through()), (RowId(1), 1, Some(RowId(2))));
        drop(ledger);
        let file = Connection::open(folder.path().join("ledger.sqlite")).expect("the file");
        let repair = "UPDATE round_row SET bytes = CAST('line' AS BLOB), kind = 'cosign', \
                      height = 1, leaves = x'', \
                      digest = (SELECT digest FROM round_row WHERE authority = 'b')";
        file.execute_batch(repair).expect("repaired");
    }
    let ledger = EmbeddedEngine::open(folder.path()).expect("opened").ledger;
    let read = ledger.rows_after(RowId(0), 10).await.expect("whole");
    assert_eq!((read.rows.len(), read.damaged.len()), (2, 0));
    drop(ledger);
    let file = Connection::open(folder.path().join("ledger.sqlite")).expect("the file");
    file.execute_batch("UPDATE round_row SET bytes = x'00' WHERE authority = 'a'")
        .expect("the change");
    drop(file);
    // Sent again, it replaces the damaged one, where a reader of both finds it.
    let ledger = EmbeddedEngine::open(folder.path()).expect("opened").ledger;
    assert_eq!(ledger.put_row(&row, None).await.expect("stored"), RowOutcome::Stored);
    let read = ledger.rows_after(RowId(2), 10).await.expect("read");
    assert_eq!((read.rows.len(), read.rows[0].authority.as_str()), (1, "a"));
    let read = ledger.rows_after(RowId(0), 10).await.expect("read");
    assert_eq!((read.rows.len(), read.damaged.len()), (2, 0));
}

/// Copies the files of a ledger, and replaces those in the target.
fn copy_ledger(from: &Path, to: &Path) {
    for name in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let _ = std::fs::remove_file(to.join(name));
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).expect("copied");
        }
    }
}

#[tokio::test]
async fn a_ledger_rolled_back_shows_other_rows_at_the_same_positions() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let vote = |term: u64| NewRow {
        kind: RowKind::Vote,
        authority: "a".to_owned(),
        law_id: None,
        height: 0,
        term,
        bytes: format!("vote {term}").into_bytes(),
        leaves: Vec::new(),
    };
    let copy = tempfile::tempdir().expect("a temporary folder");
    let ledger = EmbeddedEngine::open(folder.path()).expect("a new ledger").ledger;
    ledger.put_row(&vote(1), None).await.expect("stored");
    drop(ledger);
    copy_ledger(folder.path(), copy.path());
    let ledger = EmbeddedEngine::open(folder.path()).expect("opened").ledger;
    ledger.put_row(&vote(2), None).await.expect("stored");
    let known = ledger.rows_after(RowId(0), 10).await.expect("read").rows;
    drop(ledger);
    copy_ledger(copy.path(), folder.path());
    let ledger = EmbeddedEngine::open(folder.path()).expect("opened").ledger;
    ledger.put_row(&vote(3), None).await.expect("stored");
    let read = ledger.rows_after(known[1].id, 10).await.expect("read");
    assert_eq!((read.rows.len(), read.last), (0, known[1].id), "nothing seems to be new");
    assert!(read.after.is_some() && read.after != Some(known[1].digest()));
    let read = ledger.rows_after(known[0].id, 10).await.expect("read");
    assert_eq!((read.rows.len(), read.after), (1, Some(known[0].digest())));
}

#[tokio::test]
async fn an_unreliable_ledger_fails_probes_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ledger = EmbeddedEngine::open(folder.path()).expect("a new ledger").ledger;
    let odds = Odds { unavailable_percent: 100, ..Odds::BAD_DAY };
    let failing = Faulty::new(Arc::clone(&ledger), SeededFaults::new(1, odds));
    let refused = failing.probe().await.expect_err("as planned");
    assert!(matches!(refused, EngineError::Unavailable { .. }), "{refused}");
    ledger.probe().await.expect("the ledger itself is well");
}

#[tokio::test]
async fn a_newer_ledger_is_left_alone() {
    match open_after("PRAGMA user_version = 99").await.1 {
        Err(EngineError::Unavailable { reason, .. }) => {
            assert!(reason.contains("newer version of votekit"), "{reason}")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn other_files_are_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger.sqlite");
    std::fs::write(&path, "no database".repeat(1000)).expect("a file");
    assert!(matches!(EmbeddedEngine::open(folder.path()), Err(EngineError::Corrupt { .. })));
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), "no database".repeat(1000));
    std::fs::remove_file(&path).expect("it goes");
    Connection::open(&path)
        .expect("a database")
        .execute_batch("CREATE TABLE other (a)")
        .expect("a table");
    assert!(matches!(EmbeddedEngine::open(folder.path()), Err(EngineError::Corrupt { .. })));
}

#[tokio::test]
async fn a_second_process_is_kept_out() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = EmbeddedEngine::open(folder.path()).expect("a new ledger");
    match EmbeddedEngine::open(folder.path()) {
        Err(EngineError::Unavailable { reason, .. }) => {
            assert!(reason.contains("another process"), "{reason}")
        }
        other => panic!("{other:?}"),
    }
    drop(first);
    EmbeddedEngine::open(folder.path()).expect("it was let go");
}

#[tokio::test]
async fn a_closed_ledger_is_one_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fill(folder.path()).await;
    let log = std::fs::metadata(folder.path().join("ledger.sqlite-wal")).map_or(0, |log| log.len());
    assert_eq!(log, 0, "the write-ahead log was not emptied");
}

#[tokio::test]
async fn a_failed_commit_stops_everything() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fill(folder.path()).await;
    let trap = "CREATE TABLE trap (election INTEGER REFERENCES election (id) DEFERRABLE INITIALLY DEFERRED);
                CREATE TRIGGER spring AFTER INSERT ON manifest BEGIN INSERT INTO trap VALUES (-1); END;";
    Connection::open(folder.path().join("ledger.sqlite"))
        .expect("the file")
        .execute_batch(trap)
        .expect("a trap");
    let engine = EmbeddedEngine::open(folder.path()).expect("it opens");
    let delivery = engine.ballot_box.receive().await.expect("the batch that was not sealed");
    assert!(engine.ledger.failure().is_none());
    let fatal =
        |error: &EngineError| assert!(matches!(error, EngineError::Fatal { .. }), "{error}");
    fatal(&engine.ledger.put_manifest(b"manifest").await.expect_err("the commit fails"));
    fatal(&engine.ledger.failed().await);
    fatal(&engine.ledger.failure().expect("it stays"));
    fatal(&engine.ledger.stage(&delivery.batch, &Vec::new()).await.expect_err("no write"));
    fatal(&engine.ledger.head(&law()).await.expect_err("no read"));
    fatal(&engine.ledger.ping().await.expect_err("no ping"));
    fatal(&engine.ballot_box.receive().await.expect_err("no delivery"));
    fatal(&engine.ballot_box.publish(&delivery.batch).await.expect_err("no publication"));
}

#[tokio::test]
async fn another_batch_under_a_number_is_not_published() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let engine = EmbeddedEngine::open(folder.path()).expect("a new ledger");
    engine.ballot_box.publish(&batch(1, 0..1)).await.expect("published");
    let error = engine.ballot_box.publish(&batch(1, 1..2)).await.expect_err("refused");
    assert!(matches!(error, EngineError::Conflict(Conflict::BatchNumber { .. })), "{error}");
}

#[tokio::test]
async fn a_purge_leaves_no_trace() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let engine = EmbeddedEngine::open(folder.path()).expect("a new ledger");
    let sizes = [1, 3, 40, 500, 2000, 1, 1, 70];
    let mut first = 0;
    for (sequence, size) in (1..).zip(sizes) {
        engine
            .ledger
            .stage(&batch(sequence, first..first + size), &Vec::new())
            .await
            .expect("staged");
        first += size;
    }
    // Overflow chains may split a hash, so the search misses a few even before the purge.
    assert!(traces(folder.path(), first) > first * 9 / 10, "the search finds what is there");
    assert_eq!(engine.ledger.purge_evidence(&law()).await.expect("purged"), sizes.len() as u64);
    assert_eq!(traces(folder.path(), first), 0, "while it is open");
    assert!(engine.ledger.staged(&law(), StagingId(0), 100).await.expect("read").is_empty());
    drop(engine);
    assert_eq!(traces(folder.path(), first), 0, "after it was closed");
}

/// Counts the envelopes whose credential hash occurs, by its first 8 bytes, anywhere in the folder.
fn traces(folder: &Path, envelopes: u64) -> u64 {
    let mut windows = HashSet::new();
    for file in std::fs::read_dir(folder).expect("the folder") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("its bytes");
        windows.extend(bytes.windows(8).map(<[u8]>::to_vec));
    }
    (0..envelopes)
        .filter(|number| windows.contains(&envelope(*number).hash.as_bytes()[..8]))
        .count() as u64
}
