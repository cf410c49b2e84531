//! Sessions of pages: their duration, and the events that end them.

use votekit_store::AccountRole;

use super::*;
use crate::accounts::fixture::{Fixture, sent_back};

#[tokio::test]
async fn a_page_session_lasts_while_it_is_used_and_its_account_is_active() {
    let fixture = Fixture::open().await;
    fixture.official(AccountRole::Auditor).await;
    let account = fixture.stored().await;
    let accounts = &fixture.accounts;
    let set = accounts.begin_page_session(&account).await.expect("begun");
    let text = set.to_str().expect("visible ASCII");
    assert!(text.starts_with("votekit-account-local="), "{text}");
    assert!(text.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{text}");
    let headers = sent_back(&set);
    let first = fixture.caller(&headers).await.expect("valid");
    assert_eq!((first.id, first.role), (account.id, AccountRole::Auditor));
    let token = first.form_token("open L1");
    for _ in 0..24 {
        fixture.node.step_clock(29 * 60 * 1000);
        let again = fixture.caller(&headers).await.expect("in use");
        assert!(again.admits("open L1", &token));
    }
    fixture.node.step_clock(29 * 60 * 1000);
    assert!(fixture.caller(&headers).await.is_none(), "twelve hours in all");

    let headers = sent_back(&accounts.begin_page_session(&account).await.expect("begun"));
    let other = fixture.caller(&headers).await.expect("valid");
    assert!(!other.admits("open L1", &token), "another session");
    fixture.node.step_clock(31 * 60 * 1000);
    assert!(fixture.caller(&headers).await.is_none(), "idle");

    let headers = sent_back(&accounts.begin_page_session(&account).await.expect("begun"));
    let cleared = accounts.end_page_session(&headers).await.expect("ended");
    assert!(cleared.to_str().expect("visible ASCII").contains("Max-Age=0"));
    assert!(fixture.caller(&headers).await.is_none());
    let headers = sent_back(&accounts.begin_page_session(&account).await.expect("begun"));
    fixture.disable().await;
    assert!(fixture.caller(&headers).await.is_none(), "disabled");
    assert!(fixture.caller(&HeaderMap::new()).await.is_none());
    fixture.end().await;
}
