//! The effect of a write that is interrupted. The records are tested in `tests/embedded_memory.rs`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::embedded::fault::unavailable;

fn created() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    AuthorityMemory::create(folder.path()).expect("created");
    folder
}

fn opened(folder: &Path) -> AuthorityMemory {
    AuthorityMemory::open(folder).expect("opened")
}

fn leadership(term: u64) -> TermLeader {
    TermLeader { term, leader: "north".parse().expect("a name") }
}

/// Writes all of a vote, as [`AuthorityMemory::record_vote`] does.
fn write_vote(connection: &Connection, term: u64) -> Result<(), Stop> {
    statements::put(connection, Key::vote(term), b"a vote")?;
    let mut authority = AuthorityRow::read(connection)?;
    authority.promise = Some(leadership(term));
    authority.write(connection)
}

fn assert_promises_first_term(memory: &AuthorityMemory) {
    assert_eq!(memory.state().expect("read").promise, Some(leadership(1)));
    assert_eq!(memory.statement("vote", None, 0, 2).expect("read"), None);
}

#[test]
fn failed_and_refused_writes_leave_the_old_state() {
    let folder = created();
    let memory = opened(folder.path());
    memory.record_vote(&leadership(1), b"the vote").expect("recorded");
    let failed = memory.database.write(|connection| -> Result<(), Stop> {
        write_vote(connection, 2)?;
        Err(Fault::from(unavailable("the disk is full")).into())
    });
    assert!(matches!(failed, Err(MemoryError::Unavailable { .. })), "{failed:?}");
    assert_promises_first_term(&memory);
    let refused = memory.database.write(|connection| -> Result<(), Stop> {
        write_vote(connection, 2)?;
        Err(MemoryError::Malformed { rule: "a rule" }.into())
    });
    assert!(matches!(refused, Err(MemoryError::Malformed { .. })), "{refused:?}");
    assert_promises_first_term(&memory);
    memory.record_vote(&leadership(2), b"the second vote").expect("recorded");
}

#[test]
fn a_panic_in_a_write_leaves_the_old_state_and_ends_the_memory() {
    let folder = created();
    let memory = opened(folder.path());
    memory.record_vote(&leadership(1), b"the vote").expect("recorded");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        memory.database.write(|connection| -> Result<(), Stop> {
            write_vote(connection, 2)?;
            panic!("between two rows");
        })
    }));
    assert!(panicked.is_err());
    let after = memory.state().expect_err("the memory has ended");
    assert!(matches!(after, MemoryError::Fatal { .. }), "{after}");
    drop(memory);
    assert_promises_first_term(&opened(folder.path()));
}

#[test]
fn an_uncommitted_transaction_leaves_the_old_state() {
    let folder = created();
    let memory = opened(folder.path());
    memory.record_vote(&leadership(1), b"the vote").expect("recorded");
    drop(memory);
    let path = folder.path().join("memory.sqlite");
    let connection = crate::embedded::schema::open_memory(&path).expect("opened");
    connection.execute_batch("BEGIN IMMEDIATE").expect("begun");
    write_vote(&connection, 2).expect("written");
    // As if the process ended here.
    drop(connection);
    assert_promises_first_term(&opened(folder.path()));
}

#[test]
fn errors_are_small() {
    // A result larger than this is moved about with every call.
    assert!(size_of::<MemoryError>() < 128, "{}", size_of::<MemoryError>());
    assert!(size_of::<Stop>() < 128, "{}", size_of::<Stop>());
}
