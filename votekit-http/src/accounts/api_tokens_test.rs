//! Tokens of programs, while the account changes.

use super::*;
use crate::accounts::fixture::{EMAIL, Fixture, code, with_token};

#[tokio::test]
async fn token_identifies_the_caller_until_the_account_changes() {
    let fixture = Fixture::open().await;
    fixture.official(AccountRole::Auditor).await;
    let pair = fixture.accounts.tokens(&fixture.stored().await).await.expect("tokens");
    let caller = fixture.accounts.bearer(&with_token(&pair.access)).await.expect("valid");
    assert_eq!((caller.email.as_str(), caller.role), (EMAIL, AccountRole::Auditor));
    for wrong in ["", "x", pair.refresh.as_str(), &format!("{}x", *pair.access)] {
        let refused = fixture.accounts.bearer(&with_token(wrong)).await;
        assert_eq!(code(refused), "token-refused", "{wrong}");
    }
    assert_eq!(code(fixture.accounts.bearer(&HeaderMap::new()).await), "token-refused");
    let promoted = Account { role: AccountRole::Administrator, ..fixture.stored().await };
    fixture.node.accounts().update(&promoted).await.expect("changed");
    let refused = fixture.accounts.bearer(&with_token(&pair.access)).await;
    assert_eq!(code(refused), "token-refused", "the role of the token is not the account's");
    let pair = fixture.accounts.refresh(&pair.refresh, true).await.expect("the next pair");
    let caller = fixture.accounts.bearer(&with_token(&pair.access)).await.expect("valid");
    assert_eq!(caller.role, AccountRole::Administrator);
    fixture.disable().await;
    assert_eq!(code(fixture.accounts.bearer(&with_token(&pair.access)).await), "token-refused");
    assert_eq!(code(fixture.accounts.refresh(&pair.refresh, true).await), "token-refused");
    fixture.end().await;
}

#[tokio::test]
async fn a_refresh_token_is_used_once_and_its_reuse_ends_the_session() {
    let fixture = Fixture::open().await;
    fixture.official(AccountRole::Observer).await;
    let account = fixture.stored().await;
    let accounts = &fixture.accounts;
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
    fixture.node.step_clock(3601 * 1000);
    assert_eq!(
        code(accounts.refresh(&idle.refresh, true).await),
        "token-refused",
        "idle for an hour"
    );
    fixture.end().await;
}

#[tokio::test]
async fn an_official_refreshes_from_the_networks_of_officials_alone() {
    let fixture = Fixture::open().await;
    fixture.official(AccountRole::Auditor).await;
    let account = fixture.stored().await;
    let pair = fixture.accounts.tokens(&account).await.expect("tokens");
    let elsewhere = fixture.accounts.refresh(&pair.refresh, false).await;
    assert_eq!(code(elsewhere), "forbidden");
    let pair = fixture.accounts.refresh(&pair.refresh, true).await.expect("it was not used up");
    let member = Account { role: AccountRole::Voter, ..fixture.stored().await };
    fixture.node.accounts().update(&member).await.expect("changed");
    fixture.accounts.refresh(&pair.refresh, false).await.expect("members are everywhere");
    fixture.disable().await;
    let unknown = opaque::draw().expect("random bytes");
    assert_eq!(code(fixture.accounts.refresh(&unknown, false).await), "token-refused");
    fixture.end().await;
}
