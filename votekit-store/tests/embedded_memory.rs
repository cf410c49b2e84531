//! The memory of an authority: every record is there after a restart, what contradicts it is
//! refused, and a lost or damaged memory does not open.

mod ledger_samples;

use std::path::Path;
use std::sync::Arc;

use ledger_samples::{Log, batch, batch_of, law};
use votekit_core::authority::{AcceptedBlock, LogPoint, TermLeader};
use votekit_core::batch::Batch;
use votekit_core::id::{ElectionId, Epoch, Sequence};
use votekit_store::memory::{AuthorityMemory, MemoryError};
use votekit_store::{BlockCommit, EngineError};

fn created() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    AuthorityMemory::create(folder.path()).expect("created");
    folder
}

fn opened(folder: &Path) -> AuthorityMemory {
    AuthorityMemory::open(folder).expect("opened")
}

fn leadership(term: u64, leader: &str) -> TermLeader {
    TermLeader { term, leader: leader.parse().expect("a name") }
}

fn vote(memory: &AuthorityMemory, term: u64) {
    memory
        .record_vote(&leadership(term, "north"), format!("vote {term}").as_bytes())
        .expect("recorded");
}

fn point(commit: &BlockCommit) -> LogPoint {
    let head = &commit.head;
    LogPoint { height: head.height, size: head.size, root: head.root }
}

fn accept(
    memory: &AuthorityMemory,
    term: u64,
    commit: &BlockCommit,
    batches: &[Arc<Batch>],
) -> Result<(), MemoryError> {
    let accepted = AcceptedBlock { term, point: point(commit) };
    let statement = format!("accept {term} {}", commit.head.root);
    memory
        .record_accepted(&law(), &accepted, &commit.block, batches, statement.as_bytes())
        .map(|_| ())
}

fn cosign(memory: &AuthorityMemory, commit: &BlockCommit) -> Result<(), MemoryError> {
    let line = format!("line {}", commit.head.root);
    memory.record_cosigned(&law(), &point(commit), line.as_bytes())
}

fn certify(
    memory: &AuthorityMemory,
    commit: &BlockCommit,
    batches: &[Arc<Batch>],
) -> Result<(), MemoryError> {
    memory
        .record_certified(&law(), &point(commit), &commit.block, batches, &commit.head.checkpoint)
        .map(|_| ())
}

#[test]
fn every_record_is_there_after_a_reopen() {
    let folder = created();
    let memory = opened(folder.path());
    let mut log = Log::new();
    let (first, second, third) = (log.block(3), log.block(300), log.block(1));
    let batches = [batch(1, 1), batch(2, 1)];
    vote(&memory, 7);
    accept(&memory, 7, &first, &batches).expect("accepted");
    cosign(&memory, &first).expect("cosigned");
    certify(&memory, &first, &batches).expect("certified");
    accept(&memory, 7, &second, &[]).expect("accepted");
    cosign(&memory, &second).expect("cosigned");
    vote(&memory, 9);
    accept(&memory, 9, &second, &[batch(1, 2)]).expect("accepted again");
    memory.record_other_statement("refuse", Some(&law()), 3, 9, b"refuse").expect("recorded");
    memory.record_other_statement("suspect", None, 0, 9, b"suspect").expect("recorded");
    let seen = [(batch(1, 1).number(), batch(1, 1).digest())];
    assert!(memory.record_observed(&law(), &seen).expect("recorded").is_empty());
    drop(memory);

    let memory = opened(folder.path());
    let state = memory.state().expect("read");
    assert_eq!(state.promise, Some(leadership(9, "north")));
    let accepted = AcceptedBlock { term: 9, point: point(&second) };
    assert_eq!(
        state.elections,
        [(law(), Some(point(&first)), Some(accepted), Some(point(&second)))]
    );
    let own = |kind, height, term| {
        let law_id = law();
        let about = (!["vote", "suspect"].contains(&kind)).then_some(&law_id);
        memory.statement(kind, about, height, term).expect("read")
    };
    assert_eq!(own("vote", 0, 7).as_deref(), Some(&b"vote 7"[..]));
    assert_eq!(own("vote", 0, 9).as_deref(), Some(&b"vote 9"[..]));
    let again = format!("accept 9 {}", second.head.root);
    assert_eq!(own("accept", 2, 9).as_deref(), Some(again.as_bytes()));
    let line = format!("line {}", first.head.root);
    assert_eq!(own("cosign", 1, 0).as_deref(), Some(line.as_bytes()));
    assert_eq!(own("refuse", 3, 9).as_deref(), Some(&b"refuse"[..]));
    assert_eq!(own("suspect", 0, 9).as_deref(), Some(&b"suspect"[..]));
    let number = batch(1, 1).number();
    assert_eq!(memory.observed(&law()).expect("read"), [(number.node, Epoch(1), Sequence(1))]);
    let block = memory.block(&law(), 1).expect("read").expect("stored");
    assert_eq!((block.point, &block.block), (point(&first), &first.block));
    assert_eq!(block.checkpoint.as_ref(), Some(&first.head.checkpoint));
    assert_eq!(block.batches, batches);
    let block = memory.block(&law(), 2).expect("read").expect("stored");
    assert_eq!((&block.block, block.checkpoint), (&second.block, None));
    assert_eq!(block.batches, [batch(1, 2)], "the first accept had no batches at hand");
    assert_eq!(memory.block(&law(), 3).expect("read"), None);
    certify(&memory, &third, &[]).expect("heights may be left out");
}

#[test]
fn the_incarnation_rises_with_each_opening() {
    let folder = created();
    for incarnation in 1..=3 {
        let memory = opened(folder.path());
        assert_eq!(memory.incarnation(), incarnation);
        vote(&memory, incarnation);
        let state = memory.state().expect("read");
        assert_eq!(state.promise, Some(leadership(incarnation, "north")));
    }
}

#[test]
fn a_second_opening_is_refused_until_the_first_is_closed() {
    let folder = created();
    let memory = opened(folder.path());
    let error = AuthorityMemory::open(folder.path()).expect_err("it is held");
    assert!(matches!(error, MemoryError::InUse { .. }), "{error}");
    drop(memory);
    assert_eq!(opened(folder.path()).incarnation(), 2, "the refused opening counts for nothing");
}

#[test]
fn an_existing_memory_is_not_created_again() {
    let folder = created();
    let error = AuthorityMemory::create(folder.path()).expect_err("it exists");
    assert!(matches!(error, EngineError::Misconfigured { .. }), "{error}");
    assert!(error.to_string().contains("memory.sqlite exists already"), "{error}");
    std::fs::remove_file(folder.path().join("memory.sqlite")).expect("removed");
    std::fs::write(folder.path().join("memory.sqlite-wal"), b"").expect("written");
    AuthorityMemory::create(folder.path()).expect_err("its write-ahead log exists");
}

/// Opens a memory that must be refused, and returns the error.
fn refused(folder: &Path) -> MemoryError {
    let error = AuthorityMemory::open(folder).expect_err("refused");
    let said = error.to_string();
    assert!(said.contains("memory.sqlite"), "{said}");
    error
}

fn assert_lost(error: &MemoryError, said: &str) {
    assert!(error.to_string().contains(said), "{error}");
    let lost = matches!(
        error,
        MemoryError::Missing { .. } | MemoryError::NoDatabase { .. } | MemoryError::Damaged { .. }
    );
    assert!(lost, "{error}");
}

#[test]
fn missing_and_foreign_files_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("memory.sqlite");
    let error = refused(folder.path());
    assert!(matches!(error, MemoryError::Missing { .. }));
    assert_lost(&error, "memory.sqlite missing");
    assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 0, "nothing is written");

    std::fs::write(folder.path().join("memory.sqlite-wal"), b"").expect("written");
    let error = refused(folder.path());
    assert!(matches!(error, MemoryError::NoDatabase { .. }));
    assert_lost(&error, "without its database");
    std::fs::remove_file(folder.path().join("memory.sqlite-wal")).expect("removed");

    std::fs::write(&path, b"").expect("written");
    assert_lost(&refused(folder.path()), "is empty");
    std::fs::write(&path, [b'x'; 8192]).expect("written");
    assert_lost(&refused(folder.path()), "is not a database");
    std::fs::remove_file(&path).expect("removed");
    let foreign = rusqlite::Connection::open(&path).expect("opened");
    foreign.execute_batch("CREATE TABLE other (one TEXT)").expect("created");
    drop(foreign);
    assert_lost(&refused(folder.path()), "but not a memory of a votekit authority");
    std::fs::remove_file(&path).expect("removed");
    let foreign = rusqlite::Connection::open(&path).expect("opened");
    foreign.execute_batch("CREATE TABLE other (one TEXT); DROP TABLE other").expect("dropped");
    drop(foreign);
    assert_lost(&refused(folder.path()), "without tables");
    std::fs::remove_file(&path).expect("removed");
    std::os::unix::fs::symlink("elsewhere", &path).expect("linked");
    assert_lost(&refused(folder.path()), "not a regular file");
}

/// Changes a closed memory by hand.
fn change(folder: &Path, sql: &str) {
    let connection =
        rusqlite::Connection::open(folder.join("memory.sqlite")).expect("opened by hand");
    connection.execute_batch(sql).expect("changed by hand");
}

#[test]
fn another_schema_and_changed_rows_are_refused() {
    let folder = created();
    let memory = opened(folder.path());
    let mut log = Log::new();
    let first = log.block(1);
    vote(&memory, 3);
    accept(&memory, 3, &first, &[]).expect("accepted");
    cosign(&memory, &first).expect("cosigned");
    drop(memory);
    change(folder.path(), "PRAGMA user_version = 99");
    let error = refused(folder.path());
    assert!(matches!(error, MemoryError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("newer version"), "{error}");
    change(folder.path(), "PRAGMA user_version = 1");
    for (forth, back, table) in [
        (
            "UPDATE authority SET promise_term = promise_term - 1",
            "UPDATE authority SET promise_term = promise_term + 1",
            "table authority",
        ),
        (
            "UPDATE accepted SET term = term - 1",
            "UPDATE accepted SET term = term + 1",
            "table accepted",
        ),
        (
            "UPDATE cosigned SET size = size + 1",
            "UPDATE cosigned SET size = size - 1",
            "table cosigned",
        ),
    ] {
        change(folder.path(), forth);
        assert_lost(&refused(folder.path()), table);
        change(folder.path(), back);
    }
    drop(opened(folder.path()));
    change(folder.path(), "DELETE FROM authority");
    assert_lost(&refused(folder.path()), "its row is missing");
}

#[test]
fn damaged_pages_are_refused() {
    let folder = created();
    let memory = opened(folder.path());
    let mut log = Log::new();
    vote(&memory, 1);
    for _ in 0..20 {
        certify(&memory, &log.block(50), &[]).expect("certified");
    }
    drop(memory);
    let path = folder.path().join("memory.sqlite");
    let mut bytes = std::fs::read(&path).expect("read");
    // The first page of each table and index begins with its kind.
    for page in bytes.chunks_mut(4096).skip(1).filter(|page| page[0] == 0x0d) {
        page[0] = 0xff;
    }
    std::fs::write(&path, bytes).expect("written");
    let error = refused(folder.path());
    assert!(matches!(error, MemoryError::Damaged { .. }), "{error}");
    assert_lost(&error, "memory.sqlite damaged");
}

#[test]
fn a_promise_is_never_lowered() {
    let folder = created();
    let memory = opened(folder.path());
    vote(&memory, 5);
    for lower in [leadership(4, "north"), leadership(5, "south")] {
        let error = memory.record_vote(&lower, b"another").expect_err("refused");
        assert!(matches!(error, MemoryError::LowerPromise { .. }), "{error}");
        assert_eq!(error.rule(), Some("lower-promise"));
    }
    let error = memory.record_vote(&leadership(5, "north"), b"another").expect_err("refused");
    assert!(matches!(error, MemoryError::OtherStatement { kind: "vote", .. }), "{error}");
    vote(&memory, 5);
    assert_eq!(memory.state().expect("read").promise, Some(leadership(5, "north")));
    assert_eq!(memory.statement("vote", None, 0, 4).expect("read"), None);
    assert_eq!(memory.all_own_statements("vote").expect("read").len(), 1);
}

#[test]
fn an_accept_needs_the_promised_term_and_the_next_height() {
    let folder = created();
    let memory = opened(folder.path());
    let mut log = Log::new();
    let (first, second) = (log.block(2), log.block(2));
    let error = accept(&memory, 1, &first, &[]).expect_err("nothing is promised");
    assert!(matches!(error, MemoryError::NotPromised { term: 1, promised: None }), "{error}");
    vote(&memory, 2);
    let error = accept(&memory, 1, &first, &[]).expect_err("another term is promised");
    assert!(matches!(error, MemoryError::NotPromised { promised: Some(2), .. }), "{error}");
    certify(&memory, &first, &[]).expect("certified");
    let error = accept(&memory, 2, &first, &[]).expect_err("it is certified");
    assert!(matches!(error, MemoryError::Settled { height: 1, certified: 1, .. }), "{error}");
    accept(&memory, 2, &second, &[]).expect("accepted");
    accept(&memory, 2, &second, &[]).expect("the same again");
    let other = other_second(2);
    let error = accept(&memory, 2, &other, &[]).expect_err("one accept a term");
    assert!(matches!(error, MemoryError::OtherStatement { kind: "accept", .. }), "{error}");
    vote(&memory, 3);
    accept(&memory, 3, &other, &[]).expect("what was accepted alone may change");
    let block = memory.block(&law(), 2).expect("read").expect("stored");
    assert_eq!(block.block, other.block);
    assert_eq!(memory.highest_statement_terms().expect("read"), [("vote", 3), ("accept", 3)]);
}

/// Another block after the first block of two leaves.
fn other_second(leaf_count: u32) -> Arc<BlockCommit> {
    let mut log = Log::new();
    log.block(2);
    log.block_of(&(0..leaf_count).map(|leaf| format!("other {leaf}")).collect::<Vec<_>>())
}

#[test]
fn one_root_a_height_is_cosigned_and_certified() {
    let folder = created();
    let memory = opened(folder.path());
    let mut log = Log::new();
    let (first, second, other) = (log.block(2), log.block(2), other_second(2));
    certify(&memory, &first, &[]).expect("certified");
    cosign(&memory, &second).expect("cosigned");
    cosign(&memory, &second).expect("the same again");
    let line = memory.record_cosigned(&law(), &point(&second), b"another line");
    assert!(matches!(line, Err(MemoryError::OtherStatement { .. })), "{line:?}");
    vote(&memory, 1);
    for error in [
        cosign(&memory, &other),
        accept(&memory, 1, &other, &[]),
        certify(&memory, &other, &[batch(1, 1)]),
    ] {
        let error = error.expect_err("another root is cosigned");
        assert!(matches!(error, MemoryError::OtherCosigned { height: 2, .. }), "{error}");
    }
    assert_eq!(memory.block(&law(), 2).expect("read"), None, "nothing of it was written");
    certify(&memory, &second, &[]).expect("certified");
    certify(&memory, &second, &[]).expect("the same again");
    let forked = Log::new().block(1);
    let error = certify(&memory, &forked, &[]).expect_err("another root is certified");
    assert!(matches!(error, MemoryError::OtherCertified { height: 1, .. }), "{error}");
    let error = cosign(&memory, &forked).expect_err("another root is certified");
    assert_eq!(error.rule(), Some("certified-other"));
    cosign(&memory, &first).expect("late, over the certified root");
    let state = memory.state().expect("read");
    assert_eq!(state.elections, [(law(), Some(point(&second)), None, None)]);
}

#[test]
fn contradictory_blocks_are_refused() {
    let folder = created();
    let memory = opened(folder.path());
    let mut log = Log::new();
    let (first, second) = (log.block(2), log.block(3));
    let malformed = |outcome: Result<Vec<_>, MemoryError>| {
        let error = outcome.expect_err("refused");
        assert!(matches!(error, MemoryError::Malformed { .. }), "{error}");
    };
    malformed(memory.record_certified(&law(), &point(&first), &second.block, &[], b"note"));
    let mut short = first.block.clone();
    short.leaves.truncate(9);
    malformed(memory.record_certified(&law(), &point(&first), &short, &[], b"note"));
    let elsewhere: ElectionId = "L2025-002".parse().expect("a law id");
    let batches = [batch(1, 1)];
    malformed(memory.record_certified(&elsewhere, &point(&first), &first.block, &batches, b"note"));
    certify(&memory, &Log::new().block(1), &[]).expect("certified");
    malformed(memory.record_certified(&law(), &point(&second), &second.block, &[], b"note"));
    for kind in ["vote", "accept", "cosign", "proposal"] {
        let error = memory.record_other_statement(kind, None, 0, 1, b"note").expect_err("refused");
        assert!(matches!(error, MemoryError::Malformed { .. }), "{error}");
    }
}

#[test]
fn a_second_batch_of_one_number_is_kept_apart() {
    let folder = created();
    let memory = opened(folder.path());
    let mut log = Log::new();
    let (first, second, third) = (log.block(1), log.block(1), log.block(1));
    let (kept, other) = (batch_of(1, 1, 2), batch_of(1, 1, 3));
    let record = |commit: &BlockCommit, batch: &Arc<Batch>| {
        let batches = std::slice::from_ref(batch);
        memory
            .record_certified(&law(), &point(commit), &commit.block, batches, b"checkpoint")
            .expect("certified")
    };
    assert!(record(&first, &kept).is_empty());
    let reported = record(&second, &other);
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0].number, kept.number());
    assert_eq!((reported[0].stored, reported[0].offered), (kept.digest(), other.digest()));
    record(&third, &other);
    assert_eq!(memory.other_batches(&law()).expect("read"), [Arc::clone(&other)]);
    for (height, batch) in [(1, &kept), (2, &other), (3, &other)] {
        let block = memory.block(&law(), height).expect("read").expect("stored");
        assert_eq!(block.batches, [Arc::clone(batch)], "block {height}");
    }
    let seen = |batch: &Batch| {
        memory.record_observed(&law(), &[(batch.number(), batch.digest())]).expect("recorded")
    };
    assert!(seen(&kept).is_empty());
    assert!(seen(&kept).is_empty());
    assert_eq!(seen(&other)[0].offered, other.digest());
}

#[test]
fn certified_blocks_are_read_in_order_and_in_parts() {
    let folder = created();
    let memory = opened(folder.path());
    let mut log = Log::new();
    let commits: Vec<_> = (1..=6).map(|leaf_count| log.block(leaf_count)).collect();
    // The fourth is missing at first, and the sixth is accepted alone.
    for index in [0, 1, 2, 4] {
        certify(&memory, &commits[index], &[batch(1, index as u64 + 1)]).expect("certified");
    }
    vote(&memory, 1);
    accept(&memory, 1, &commits[5], &[]).expect("accepted");
    let heights = |from, limit| -> Vec<u64> {
        let blocks = memory.certified_blocks(&law(), from, limit).expect("read");
        blocks.iter().map(|block| block.block.height).collect()
    };
    assert_eq!(heights(0, 100), [1, 2, 3, 5]);
    certify(&memory, &commits[3], &[]).expect("filled in");
    assert_eq!(heights(0, 100), [1, 2, 3, 4, 5]);
    assert_eq!(heights(2, 2), [2, 3]);
    assert_eq!(heights(6, 2), [0; 0]);
    let state = memory.state().expect("read");
    assert_eq!(state.elections[0].1, Some(point(&commits[4])), "the highest one");
    let elsewhere: ElectionId = "L2025-002".parse().expect("a law id");
    assert!(memory.certified_blocks(&elsewhere, 0, 9).expect("read").is_empty());
    let large = Log::new().block_of(&vec!["x".repeat(60_000); 150]);
    let other: ElectionId = "L2025-003".parse().expect("a law id");
    for height in 1..=2 {
        let mut block = large.block.clone();
        (block.height, block.first_leaf) = (height, 150 * (height - 1));
        let point = LogPoint { height, size: 150 * height, root: large.head.root };
        memory.record_certified(&other, &point, &block, &[], b"note").expect("certified");
    }
    assert_eq!(memory.certified_blocks(&other, 0, 9).expect("read").len(), 1, "a part");
}

#[test]
fn certifying_drops_accepts_and_keeps_cosignatures() {
    let folder = created();
    let memory = opened(folder.path());
    let mut log = Log::new();
    vote(&memory, 1);
    let commits: Vec<_> = (0..3).map(|_| log.block(1)).collect();
    for commit in &commits[..2] {
        accept(&memory, 1, commit, &[]).expect("accepted");
        cosign(&memory, commit).expect("cosigned");
        certify(&memory, commit, &[]).expect("certified");
    }
    accept(&memory, 1, &commits[2], &[]).expect("accepted");
    let accepts = memory.all_own_statements("accept").expect("read");
    assert_eq!(accepts.iter().map(|own| own.height).collect::<Vec<_>>(), [3]);
    let cosigned = memory.all_own_statements("cosign").expect("read");
    assert_eq!(cosigned.len(), 2);
    assert_eq!(memory.last_own_statements("cosign", 1).expect("read"), cosigned[1..]);
    assert_eq!(cosigned[0].law_id, Some(law()));
    assert_eq!(cosigned[0].bytes, format!("line {}", commits[0].head.root).into_bytes());
    assert!(memory.all_own_statements("proposal").is_err());
}

#[test]
fn statements_of_another_copy_are_recognized() {
    let folder = created();
    let memory = opened(folder.path());
    let mut log = Log::new();
    let (first, second) = (log.block(1), log.block(1));
    vote(&memory, 1);
    accept(&memory, 1, &first, &[]).expect("accepted");
    cosign(&memory, &first).expect("cosigned");
    certify(&memory, &first, &[]).expect("certified");
    drop(memory);
    let copy = tempfile::tempdir().expect("a temporary folder");
    std::fs::copy(folder.path().join("memory.sqlite"), copy.path().join("memory.sqlite"))
        .expect("copied");
    // The authority continues, and later the copy is put in its place.
    let memory = opened(folder.path());
    vote(&memory, 2);
    accept(&memory, 2, &second, &[]).expect("accepted");
    cosign(&memory, &second).expect("cosigned");
    for reason in ["left-out", "idle"] {
        memory
            .record_other_statement("suspect", None, 0, 2, reason.as_bytes())
            .expect("several suspicions of one term");
    }
    let copy = opened(copy.path());
    let (law, accepts) = (law(), [&first, &second].map(|commit| commit.head.root.to_string()));
    let own = [
        ("vote", None, 0, 1, "vote 1".to_owned(), true),
        ("accept", Some(&law), 1, 1, format!("accept 1 {}", accepts[0]), true),
        ("cosign", Some(&law), 1, 0, format!("line {}", accepts[0]), true),
        ("vote", None, 0, 2, "vote 2".to_owned(), false),
        ("accept", Some(&law), 2, 2, format!("accept 2 {}", accepts[1]), false),
        ("cosign", Some(&law), 2, 0, format!("line {}", accepts[1]), false),
        ("suspect", None, 0, 2, "left-out".to_owned(), false),
        ("suspect", None, 0, 2, "idle".to_owned(), false),
    ];
    for (kind, law_id, height, term, bytes, is_old) in own {
        let is_new_to = |memory: &AuthorityMemory| {
            memory.is_rolled_back(kind, law_id, height, term, bytes.as_bytes()).expect("read")
        };
        assert!(!is_new_to(&memory), "{bytes}");
        assert_eq!(is_new_to(&copy), !is_old, "{bytes}");
    }
    assert!(memory.is_rolled_back("vote", None, 0, 1, b"another").expect("read"));
    assert!(memory.is_rolled_back("accept", Some(&law), 1, 1, b"another").expect("read"));
}

#[test]
fn copies_of_documents_stay_until_a_purge() {
    let folder = created();
    let memory = opened(folder.path());
    let (one, two) = ([1; 32], [2; 32]);
    memory.keep_sealed_key(&law(), &two, b"for two").expect("kept");
    memory.keep_sealed_key(&law(), &one, b"for one").expect("kept");
    memory.keep_sealed_key(&law(), &one, b"another").expect("the first one stays");
    memory.keep_node_record("ingest-2", b"node 2").expect("kept");
    memory.keep_node_record("ingest-1", b"another").expect("kept");
    memory.keep_node_record("ingest-1", b"node 1").expect("the last one stays");
    drop(memory);
    let memory = opened(folder.path());
    let keys = vec![(one, b"for one".to_vec()), (two, b"for two".to_vec())];
    assert_eq!(memory.sealed_keys(&law()).expect("read"), keys);
    let records = ["1", "2"].map(|n| (format!("ingest-{n}"), format!("node {n}").into_bytes()));
    assert_eq!(memory.node_records().expect("read"), records);
    assert!(memory.state().expect("read").elections.is_empty(), "nothing was signed");
    let elsewhere: ElectionId = "L2025-002".parse().expect("a law id");
    memory.keep_sealed_key(&elsewhere, &one, b"elsewhere").expect("kept");
    assert_eq!(memory.purge(&law()).expect("purged"), 0, "no batch");
    assert!(memory.sealed_keys(&law()).expect("read").is_empty());
    assert_eq!(memory.sealed_keys(&elsewhere).expect("read").len(), 1);
    let files = std::fs::read_dir(folder.path()).expect("the folder");
    for file in files.map(|file| file.expect("a file").path()) {
        let bytes = std::fs::read(file).expect("its bytes");
        assert!(!bytes.windows(7).any(|window| window == b"for one"), "the purge overwrites");
    }
}

#[test]
fn a_purge_leaves_no_byte_of_a_batch() {
    let folder = created();
    let memory = opened(folder.path());
    let mut log = Log::new();
    let sizes = [1, 3, 40, 500, 2000, 1, 1, 70];
    let batches: Vec<_> =
        (1..).zip(sizes).map(|(sequence, size)| batch_of(1, sequence, size)).collect();
    let other = batch_of(1, 1, 33);
    let (first, second) = (log.block(1), log.block(1));
    certify(&memory, &first, &batches).expect("certified");
    certify(&memory, &second, std::slice::from_ref(&other)).expect("certified");
    let all: Vec<_> = batches.iter().chain([&other]).collect();
    let envelopes: usize = all.iter().map(|batch| batch.count()).sum();
    // Overflow chains may split a hash, so the search misses a few even before the purge.
    assert!(traces(folder.path(), &all) > envelopes * 9 / 10, "the search finds what is there");
    assert_eq!(memory.purge(&law()).expect("purged"), all.len() as u64);
    assert_eq!(traces(folder.path(), &all), 0, "while it is open");
    assert_eq!(memory.purge(&law()).expect("purged"), 0);
    let block = memory.block(&law(), 1).expect("read").expect("the block stays");
    assert_eq!((block.block, block.batches), (first.block.clone(), Vec::new()));
    certify(&memory, &log.block(1), &batches).expect("certified");
    assert_eq!(traces(folder.path(), &all), 0, "a late copy is not stored");
    drop(memory);
    assert_eq!(traces(folder.path(), &all), 0, "after it was closed");
    let elsewhere: ElectionId = "L2025-002".parse().expect("a law id");
    assert_eq!(opened(folder.path()).purge(&elsewhere).expect("purged"), 0);
}

/// Counts the envelopes of which the credential hash occurs, by its first 8 bytes, anywhere in the
/// folder.
fn traces(folder: &Path, batches: &[&Arc<Batch>]) -> usize {
    let mut windows = std::collections::HashSet::new();
    for file in std::fs::read_dir(folder).expect("the folder") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("its bytes");
        windows.extend(bytes.windows(8).map(<[u8]>::to_vec));
    }
    let envelopes = batches.iter().flat_map(|batch| batch.envelopes());
    envelopes.filter(|envelope| windows.contains(&envelope.hash.as_bytes()[..8])).count()
}
