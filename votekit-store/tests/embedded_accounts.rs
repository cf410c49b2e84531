//! Guarantees of the embedded accounts beyond the contract: private files, several openings at a
//! time, damage that is reported and not repaired, no traces of what was removed.

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;
use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;
use votekit_store::embedded::{ACCOUNTS_FILE_NAME, EmbeddedAccounts};
use votekit_store::{
    Account, AccountId, AccountRole, AccountState, Accounts, EngineError, NewSession, SessionKind,
};

const PASSWORD: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2VjcmV0LXNhbHQ$c2VjcmV0LWhhc2g";

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn open(folder: &Path) -> EmbeddedAccounts {
    EmbeddedAccounts::open(folder).expect("the accounts open")
}

fn official(number: u8) -> Account {
    Account {
        state: AccountState::Active,
        password: Some(PASSWORD.to_owned()),
        ..Account::new(
            AccountId([number; 16]),
            format!("official-{number}@example.org"),
            AccountRole::Administrator,
            UnixSeconds(100),
        )
    }
}

/// Changes the file without the engine.
fn change(folder: &Path, sql: &str) {
    Connection::open(folder.join(ACCOUNTS_FILE_NAME))
        .expect("the file")
        .execute_batch(sql)
        .expect(sql);
}

#[tokio::test]
async fn the_files_are_private() {
    let folder = folder();
    let accounts = open(folder.path());
    accounts.add(&[official(1)]).await.expect("added");
    for suffix in ["", "-wal", "-shm"] {
        let path = folder.path().join(format!("{ACCOUNTS_FILE_NAME}{suffix}"));
        let mode = std::fs::metadata(&path).expect("a file").mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_openings_see_and_exclude_one_another() {
    let folder = folder();
    let first = open(folder.path());
    let second = open(folder.path());
    first.add(&[official(1)]).await.expect("added");
    let seen = second.account(AccountId([1; 16])).await.expect("read");
    assert!(seen == Some(official(1)), "what one added the other does not see");
    assert!(second.add(&[Account { id: AccountId([2; 16]), ..official(1) }]).await.is_err());
    // Of changes to one version, one succeeds, whatever opening it comes through.
    let change = official(1);
    let (one, other) = tokio::join!(first.update(&change), second.update(&change));
    assert!(one.is_ok() != other.is_ok(), "{one:?}, {other:?}");
    // A closed opening takes nothing from the other.
    drop(second);
    first.add(&[official(3)]).await.expect("added");
    drop(first);
    let accounts = open(folder.path());
    assert_eq!(accounts.accounts("", 10).await.expect("read").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_wait_for_one_another() {
    let folder = folder();
    let openings = [open(folder.path()), open(folder.path()), open(folder.path())];
    let mut adding = tokio::task::JoinSet::new();
    for (index, accounts) in (0_u8..).zip(openings) {
        adding.spawn(async move {
            for number in 0..20 {
                accounts.add(&[official(index * 20 + number)]).await.expect("added");
            }
        });
    }
    adding.join_all().await;
    assert_eq!(open(folder.path()).accounts("", 100).await.expect("read").len(), 60);
}

#[tokio::test]
async fn a_reader_creates_and_changes_nothing() {
    let folder = folder();
    assert!(EmbeddedAccounts::open_read_only(folder.path()).expect("nothing there").is_none());
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
    open(folder.path()).add(&[official(1)]).await.expect("added");
    let before = std::fs::read(folder.path().join(ACCOUNTS_FILE_NAME)).expect("the file");
    let reader = EmbeddedAccounts::open_read_only(folder.path()).expect("opened").expect("there");
    assert_eq!(reader.accounts("", 10).await.expect("read").len(), 1);
    let refused = reader.add(&[official(2)]).await.expect_err("a reader writes");
    assert!(matches!(refused, EngineError::Unavailable { .. }), "{refused}");
    drop(reader);
    assert_eq!(std::fs::read(folder.path().join(ACCOUNTS_FILE_NAME)).expect("the file"), before);
}

#[tokio::test]
async fn closed_accounts_are_one_file() {
    let folder = folder();
    open(folder.path()).add(&[official(1)]).await.expect("added");
    let log = folder.path().join(format!("{ACCOUNTS_FILE_NAME}-wal"));
    assert_eq!(std::fs::metadata(log).map_or(0, |log| log.len()), 0, "the log was not emptied");
}

#[tokio::test]
async fn foreign_newer_and_damaged_files_are_left_alone() {
    for (sql, expected) in [
        ("PRAGMA application_id = 7", "not a votekit database of accounts"),
        ("PRAGMA user_version = 99", "newer version of votekit"),
        ("PRAGMA user_version = 0", "schema version 0"),
    ] {
        let folder = folder();
        open(folder.path()).add(&[official(1)]).await.expect("added");
        change(folder.path(), sql);
        for opened in [
            EmbeddedAccounts::open(folder.path()).map(Some),
            EmbeddedAccounts::open_read_only(folder.path()),
        ] {
            let error = opened.expect_err(sql).to_string();
            assert!(error.contains(expected), "{sql}: {error}");
            assert!(error.contains("accounts"), "{sql}: {error}");
        }
    }
    let folder = folder();
    let path = folder.path().join(ACCOUNTS_FILE_NAME);
    std::fs::write(&path, "no database".repeat(1000)).expect("a file");
    let error = EmbeddedAccounts::open(folder.path()).expect_err("no database");
    assert!(matches!(error, EngineError::Corrupt { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), "no database".repeat(1000));
    std::fs::remove_file(&path).expect("removed");
    symlink(folder.path().join("elsewhere"), &path).expect("a link");
    let error = EmbeddedAccounts::open(folder.path()).expect_err("a link").to_string();
    assert!(error.contains("is not a regular file"), "{error}");
    assert!(!folder.path().join("elsewhere").exists());
}

#[tokio::test]
async fn rows_that_no_version_wrote_are_reported() {
    for sql in [
        "UPDATE account SET role = 'king'",
        "UPDATE account SET state = ''",
        "UPDATE account SET recovery_codes = x'00'",
        "UPDATE account SET invitation = zeroblob(32)",
        "UPDATE account SET id = x'00'",
        "UPDATE account SET version = -1",
    ] {
        let folder = folder();
        open(folder.path()).add(&[official(1)]).await.expect("added");
        change(folder.path(), sql);
        let error = open(folder.path()).accounts("", 10).await.expect_err(sql);
        assert!(matches!(error, EngineError::Corrupt { .. }), "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_failed_commit_stops_every_call() {
    let folder = folder();
    drop(open(folder.path()));
    change(
        folder.path(),
        "CREATE TABLE trap (id INTEGER REFERENCES account_session (id) DEFERRABLE INITIALLY DEFERRED);
         CREATE TRIGGER spring AFTER INSERT ON account BEGIN INSERT INTO trap VALUES (-1); END;",
    );
    let accounts = open(folder.path());
    let fatal =
        |error: &EngineError| assert!(matches!(error, EngineError::Fatal { .. }), "{error}");
    fatal(&accounts.add(&[official(1)]).await.expect_err("the commit fails"));
    fatal(&accounts.accounts("", 10).await.expect_err("no read"));
    fatal(&accounts.end_sessions(AccountId([1; 16])).await.expect_err("no write"));
}

#[tokio::test]
async fn removed_rows_leave_no_trace_in_the_file() {
    let folder = folder();
    let accounts = open(folder.path());
    let token = Digest::compute(b"a cookie");
    accounts.add(&[official(1)]).await.expect("added");
    let session = NewSession {
        token,
        account: AccountId([1; 16]),
        kind: SessionKind::Pages,
        expires: UnixSeconds(1_000),
        idle_until: UnixSeconds(1_000),
    };
    accounts.begin_session(&session).await.expect("begun");
    let traces =
        || (occurs(folder.path(), PASSWORD.as_bytes()), occurs(folder.path(), token.as_bytes()));
    assert_eq!(traces(), (true, true), "the search finds what is there");
    accounts.update(&Account { password: None, ..official(1) }).await.expect("updated");
    assert_eq!(accounts.remove_expired(UnixSeconds(1_000)).await.expect("removed"), 1);
    assert_eq!(traces(), (false, false), "while it is open");
    drop(accounts);
    assert_eq!(traces(), (false, false), "after it was closed");
}

/// Whether bytes occur in any file of a folder.
fn occurs(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).expect("the folder").any(|file| {
        let text = std::fs::read(file.expect("a file").path()).expect("its bytes");
        text.windows(bytes.len()).any(|window| window == bytes)
    })
}
