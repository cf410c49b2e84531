use std::path::Path;

use rusqlite::Connection;
use votekit_core::id::ElectionId;

use super::*;
use crate::embedded::schema;
use crate::embedded::writes::{Probe, PutManifest};

/// Inserts a number. Refuses odd numbers; fails if the table does not exist.
struct Insert {
    number: i64,
    table: &'static str,
}

impl Write for Insert {
    type Output = i64;

    fn apply(&self, connection: &Connection) -> Result<i64, Fault> {
        if self.number % 2 == 1 {
            let law_id: ElectionId = "L1".parse().expect("a law id");
            return Err(fault::malformed(&law_id, "numbers are even").into());
        }
        connection.execute(
            &format!("INSERT INTO {} (law_id) VALUES (?1)", self.table),
            [self.number.to_string()],
        )?;
        Ok(self.number)
    }
}

fn insert(
    number: i64,
    table: &'static str,
) -> (Box<dyn Job>, oneshot::Receiver<Result<i64, EngineError>>) {
    let (reply, answer) = oneshot::channel();
    (Box::new(Queued { write: Insert { number, table }, result: None, reply }), answer)
}

fn writer(folder: &Path) -> WriterThread {
    let connection = schema::open_writer(&folder.join("ledger.sqlite")).expect("a new ledger");
    let poison = Arc::new(Poison::new());
    let checkpointer =
        Checkpointer::start(&folder.join(schema::FILE), Arc::clone(&poison)).expect("a thread");
    let health = Arc::default();
    WriterThread { connection, checkpointer, tail: Arc::new(Tail::new()), poison, health }
}

fn count(writer: &WriterThread) -> i64 {
    writer
        .connection
        .query_row("SELECT count(*) FROM election", [], |row| row.get(0))
        .expect("a count")
}

#[test]
fn one_refusal_leaves_the_rest_of_the_group_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let writer = writer(folder.path());
    let (jobs, answers): (Vec<_>, Vec<_>) =
        (0..10).map(|number| insert(number, "election")).unzip();
    writer.write_group(jobs);
    for (number, answer) in (0..10).zip(answers) {
        let answer = answer.blocking_recv().expect("an answer");
        assert_eq!(answer.is_ok(), number % 2 == 0, "{number}: {answer:?}");
    }
    assert_eq!(count(&writer), 5);
}

#[test]
fn one_failed_statement_rolls_the_group_back_and_the_next_group_is_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let writer = writer(folder.path());
    let (jobs, answers): (Vec<_>, Vec<_>) =
        [insert(2, "election"), insert(4, "no_such_table"), insert(6, "election")]
            .into_iter()
            .unzip();
    writer.write_group(jobs);
    for answer in answers {
        let answer = answer.blocking_recv().expect("an answer");
        assert!(matches!(answer, Err(EngineError::Unavailable { .. })), "{answer:?}");
    }
    assert_eq!(count(&writer), 0);
    let (job, answer) = insert(8, "election");
    writer.write_group(vec![job]);
    assert_eq!(answer.blocking_recv().expect("an answer").expect("written"), 8);
    assert_eq!(count(&writer), 1);
}

#[test]
fn full_disk_is_reported_and_recovers() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let writer = writer(folder.path());
    let pages: i64 = writer
        .connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .expect("a count");
    let limit = |pages: i64| {
        writer
            .connection
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .expect("a limit");
    };
    limit(pages + 2);
    let put = || {
        let (reply, answer) = oneshot::channel();
        writer.write_group(vec![Box::new(Queued {
            write: PutManifest { bytes: vec![1; 100_000] },
            result: None,
            reply,
        })]);
        answer.blocking_recv().expect("an answer")
    };
    let error = put().expect_err("there is no room");
    let is_full = |error: &EngineError| {
        let EngineError::Unavailable { reason, .. } = error else { panic!("{error}") };
        assert!(reason.contains("disk is full"), "{error}");
    };
    is_full(&error);
    is_full(&writer.health.check().expect_err("it is known"));
    // A refused write writes nothing, so it does not clear the failure.
    let (refused, _) = insert(1, "election");
    writer.write_group(vec![refused]);
    is_full(&writer.health.check().expect_err("still"));
    limit(pages + 1000);
    put().expect("there is room again");
    writer.health.check().expect("a write succeeded");
    assert!(writer.poison.get().is_none());
}

#[test]
fn a_failed_commit_is_permanently_fatal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let writer = writer(folder.path());
    // A deferred foreign key fails at COMMIT, which simulates a failing disk.
    let trap = "CREATE TABLE trap (election INTEGER REFERENCES election (id) \
                DEFERRABLE INITIALLY DEFERRED);
                CREATE TRIGGER spring AFTER INSERT ON election \
                BEGIN INSERT INTO trap VALUES (-1); END;";
    writer.connection.execute_batch(trap).expect("a trap");
    let (jobs, answers): (Vec<_>, Vec<_>) =
        [2, 4].map(|number| insert(number, "election")).into_iter().unzip();
    writer.write_group(jobs);
    for answer in answers {
        assert!(matches!(
            answer.blocking_recv().expect("an answer"),
            Err(EngineError::Fatal { .. })
        ));
    }
    writer.connection.execute_batch("DROP TRIGGER spring").expect("no trap");
    let (job, answer) = insert(6, "election");
    writer.write_group(vec![job]);
    assert!(
        matches!(answer.blocking_recv().expect("an answer"), Err(EngineError::Fatal { .. })),
        "poisoned for good"
    );
    assert_eq!(count(&writer), 0);
}

#[test]
fn failed_sync_is_fatal_at_every_point() {
    for code in [rusqlite::ffi::SQLITE_IOERR_FSYNC, rusqlite::ffi::SQLITE_IOERR_DIR_FSYNC] {
        let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        assert!(matches!(fault::statement_error(&error), EngineError::Fatal { .. }));
        assert!(matches!(fault::commit_error(&error), EngineError::Fatal { .. }));
    }
    let full =
        rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None);
    assert!(matches!(fault::commit_error(&full), EngineError::Unavailable { .. }));
    let failed = rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_WRITE),
        None,
    );
    assert!(matches!(fault::statement_error(&failed), EngineError::Unavailable { .. }));
    assert!(matches!(fault::commit_error(&failed), EngineError::Fatal { .. }));
}

#[test]
fn a_probe_writes_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let writer = writer(folder.path());
    let version = || -> i64 {
        writer
            .connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .expect("a version")
    };
    let log = || {
        let pages =
            writer.connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1));
        pages.map(|pages: i64| pages).expect("a length")
    };
    let (before, pages) = (version(), log());
    writer.health.record_failure(unavailable("the disk was full"));
    let (reply, answer) = oneshot::channel();
    writer.write_group(vec![Box::new(Queued { write: Probe, result: None, reply })]);
    answer.blocking_recv().expect("an answer").expect("written");
    assert_eq!(version(), before);
    assert!(log() > pages, "nothing came to the disk");
    writer.health.check().expect("it is over");
}

#[test]
fn a_thread_that_panics_poisons_the_ledger_at_once() {
    struct Bomb;
    impl Write for Bomb {
        type Output = ();

        fn apply(&self, _: &Connection) -> Result<(), Fault> {
            panic!("a test panics")
        }
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(schema::FILE);
    let connection = schema::open_writer(&path).expect("a new ledger");
    let poison = Arc::new(Poison::new());
    let checkpointer = Checkpointer::start(&path, Arc::clone(&poison)).expect("a thread");
    let tail = Arc::new(Tail::new());
    let writer =
        Writer::start(connection, checkpointer, tail, Arc::clone(&poison)).expect("a thread");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let answer = runtime.block_on(writer.write(Bomb));
    assert!(matches!(answer, Err(EngineError::Panicked { .. })), "{answer:?}");
    let known = runtime.block_on(poison.wait());
    assert!(matches!(known, EngineError::Panicked { .. }), "{known}");
}

#[test]
fn a_frequent_line_is_due_once_an_interval() {
    let sparse = Sparse::every(Duration::from_secs(1));
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    assert_eq!([0, 10, 999].map(|time| sparse.due(at(time))), [Some(0), None, None]);
    assert_eq!([1000, 1001].map(|time| sparse.due(at(time))), [Some(2), None]);
    assert_eq!(sparse.due(at(9000)), Some(1));
}
