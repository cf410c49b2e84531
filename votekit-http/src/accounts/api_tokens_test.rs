//! Tokens of programs, while the account changes.

use super::*;
use crate::accounts::office::{EMAIL, Office, code, with_token};

#[tokio::test]
async fn a_token_says_who_calls_until_the_account_changes() {
    let office = Office::open().await;
    office.official(AccountRole::Auditor).await;
    let pair = office.accounts.tokens(&office.stored().await).await.expect("tokens");
    let caller = office.accounts.bearer(&with_token(&pair.access)).await.expect("valid");
    assert_eq!((caller.email.as_str(), caller.role), (EMAIL, AccountRole::Auditor));
    for wrong in ["", "x", pair.refresh.as_str(), &format!("{}x", *pair.access)] {
        let refused = office.accounts.bearer(&with_token(wrong)).await;
        assert_eq!(code(refused), "token-refused", "{wrong}");
    }
    assert_eq!(code(office.accounts.bearer(&HeaderMap::new()).await), "token-refused");
    let promoted = Account { role: AccountRole::Administrator, ..office.stored().await };
    office.node.accounts().update(&promoted).await.expect("changed");
    let refused = office.accounts.bearer(&with_token(&pair.access)).await;
    assert_eq!(code(refused), "token-refused", "the role of the token is not the account's");
    let pair = office.accounts.refresh(&pair.refresh, true).await.expect("the next pair");
    let caller = office.accounts.bearer(&with_token(&pair.access)).await.expect("valid");
    assert_eq!(caller.role, AccountRole::Administrator);
    office.disable().await;
    assert_eq!(code(office.accounts.bearer(&with_token(&pair.access)).await), "token-refused");
    assert_eq!(code(office.accounts.refresh(&pair.refresh, true).await), "token-refused");
    office.end().await;
}

#[tokio::test]
async fn a_refresh_token_is_used_once_and_its_reuse_ends_the_session() {
    let office = Office::open().await;
    office.official(AccountRole::Observer).await;
    let account = office.stored().await;
    let accounts = &office.accounts;
    let first = accounts.tokens(&account).await.expect("tokens");
    let apart = accounts.tokens(&account).await.expect("tokens");
    let second = accounts.refresh(&first.refresh, true).await.expect("the next pair");
    let third = accounts.refresh(&second.refresh, true).await.expect("the next pair");
    assert_eq!(code(accounts.refresh(&first.refresh, true).await), "token-refused", "reused");
    assert_eq!(
        code(accounts.refresh(&third.refresh, true).await),
        "token-refused",
        "with its session"
    );
    for ended in [&first, &second, &third] {
        let refused = accounts.bearer(&with_token(&ended.access)).await;
        assert_eq!(code(refused), "token-refused", "so do its access tokens");
    }
    let apart = accounts.refresh(&apart.refresh, true).await.expect("another session stays");
    assert_eq!(code(accounts.bearer(&with_token(&apart.access)).await), "done");
    accounts.end_refresh(&apart.refresh).await.expect("ended");
    assert_eq!(code(accounts.bearer(&with_token(&apart.access)).await), "token-refused");
    assert_eq!(code(accounts.refresh(&apart.refresh, true).await), "token-refused");
    accounts.end_refresh(&apart.refresh).await.expect("nothing to end");
    accounts.end_refresh("x").await.expect("nothing to end");
    let idle = accounts.tokens(&account).await.expect("tokens");
    office.node.step_clock(3601 * 1000);
    assert_eq!(
        code(accounts.refresh(&idle.refresh, true).await),
        "token-refused",
        "idle for an hour"
    );
    office.end().await;
}

#[tokio::test]
async fn an_official_refreshes_from_the_networks_of_officials_alone() {
    let office = Office::open().await;
    office.official(AccountRole::Auditor).await;
    let account = office.stored().await;
    let pair = office.accounts.tokens(&account).await.expect("tokens");
    let elsewhere = office.accounts.refresh(&pair.refresh, false).await;
    assert_eq!(code(elsewhere), "forbidden");
    let pair = office.accounts.refresh(&pair.refresh, true).await.expect("it was not used up");
    let member = Account { role: AccountRole::Voter, ..office.stored().await };
    office.node.accounts().update(&member).await.expect("changed");
    office.accounts.refresh(&pair.refresh, false).await.expect("members are everywhere");
    office.disable().await;
    let unknown = opaque::draw().expect("random bytes");
    assert_eq!(code(office.accounts.refresh(&unknown, false).await), "token-refused");
    office.end().await;
}
