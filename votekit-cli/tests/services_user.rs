//! `votekit user`, on a real PostgreSQL.
#![cfg(feature = "services")]

mod support;

use support::{Outcome, TestDir, poll, services};
use votekit_store::services::postgres::PostgresLedger;
use votekit_store::services::url::{Service, ServiceAddress};

/// The address of a ledger that no other test uses, and that does not exist yet.
fn address() -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos();
    let server = services::address("VOTEKIT_TEST_POSTGRES");
    let join = if server.contains('?') { '&' } else { '?' };
    format!("{server}{join}schema=user_{}_{now}", std::process::id())
}

/// Makes the ledger, as the first start of a node does.
fn make(url: &str) {
    let address = ServiceAddress::parse(Service::PostgreSql, url).expect("an address");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(PostgresLedger::open(&address)).expect("a ledger");
}

fn user(dir: &TestDir, url: &str, arguments: &[&str]) -> Outcome {
    dir.run(&[&["user"], arguments, &["--ledger", url]].concat())
}

#[test]
fn accounts_are_in_the_ledger_of_the_nodes() {
    let (dir, url) = (TestDir::new(), address());
    // A wrong schema must not become a new ledger.
    user(&dir, &url, &["list"]).fails(4, &["holds no ledger"]);
    let add = ["add", "a@example.org", "b@example.org", "--role", "administrator"];
    user(&dir, &url, &add).fails(4, &["holds no ledger"]);
    make(&url);
    assert_eq!(user(&dir, &url, &["list"]).succeeds(), "no accounts\n");
    assert_eq!(user(&dir, &url, &add).succeeds().matches("?token=").count(), 2);
    user(&dir, &url, &add).fails(3, &["address 1: a@example.org has an account already"]);
    user(&dir, &url, &["disable", "a@example.org"]).succeeds();
    let listed = user(&dir, &url, &["list", "--json"]).json();
    assert_eq!((&listed[0]["state"], &listed[1]["state"]), (&"disabled".into(), &"invited".into()));
    user(&dir, &url, &["enable", "a@example.org"]).succeeds();
    assert!(user(&dir, &url, &["reset", "a@example.org"]).succeeds().contains("?token="));
}

#[test]
fn a_folder_of_another_ledger_is_refused() {
    let (dir, _) = poll::loaded(3);
    let url = address();
    make(&url);
    user(&dir, &url, &["list", "--data", "node"])
        .fails(4, &["its ledger is in the folder itself, and services were given"]);
}
