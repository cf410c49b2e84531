//! The accounts of a node: kept across restarts, in a file beside the ledger.

use crate::support::TestDir;
use votekit_core::instant::UnixSeconds;
use votekit_store::embedded::EmbeddedAccounts;
use votekit_store::{Account, AccountId, AccountRole, Accounts as _};

fn official(number: u8) -> Account {
    Account::new(
        AccountId([number; 16]),
        format!("official-{number}@example.org"),
        AccountRole::Administrator,
        UnixSeconds(100),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_survive_a_restart_and_can_be_added_beside_the_node() {
    let dir = TestDir::new(3);
    let node = dir.start().await;
    node.accounts().add(&[official(1)]).await.expect("added");
    let beside = EmbeddedAccounts::open(&dir.path("node")).expect("opened beside the node");
    beside.add(&[official(2)]).await.expect("added beside it");
    drop(beside);
    let found = node.accounts().accounts("", 10).await.expect("read");
    assert!(found == [official(1), official(2)], "{found:?}");
    node.shutdown().await;
    let node = dir.start().await;
    let found = node.accounts().accounts("", 10).await.expect("read");
    assert!(found == [official(1), official(2)], "{found:?}");
    node.shutdown().await;
}
