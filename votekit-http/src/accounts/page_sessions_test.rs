//! Sessions of pages: their duration, and the events that end them.

use votekit_store::AccountRole;

use super::*;
use crate::accounts::office::{Office, sent_back};

#[tokio::test]
async fn a_page_session_lasts_while_it_is_used_and_its_account_is_active() {
    let office = Office::open().await;
    office.official(AccountRole::Auditor).await;
    let account = office.stored().await;
    let accounts = &office.accounts;
    let set = accounts.begin_page_session(&account).await.expect("begun");
    let text = set.to_str().expect("visible ASCII");
    assert!(text.starts_with("votekit-account-local="), "{text}");
    assert!(text.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{text}");
    let headers = sent_back(&set);
    let first = office.caller(&headers).await.expect("valid");
    assert_eq!((first.id, first.role), (account.id, AccountRole::Auditor));
    let token = first.form_token("open L1");
    for _ in 0..24 {
        office.node.step_clock(29 * 60 * 1000);
        let again = office.caller(&headers).await.expect("in use");
        assert!(again.admits("open L1", &token));
    }
    office.node.step_clock(29 * 60 * 1000);
    assert!(office.caller(&headers).await.is_none(), "twelve hours in all");

    let headers = sent_back(&accounts.begin_page_session(&account).await.expect("begun"));
    let other = office.caller(&headers).await.expect("valid");
    assert!(!other.admits("open L1", &token), "another session");
    office.node.step_clock(31 * 60 * 1000);
    assert!(office.caller(&headers).await.is_none(), "idle");

    let headers = sent_back(&accounts.begin_page_session(&account).await.expect("begun"));
    let cleared = accounts.end_page_session(&headers).await.expect("ended");
    assert!(cleared.to_str().expect("visible ASCII").contains("Max-Age=0"));
    assert!(office.caller(&headers).await.is_none());
    let headers = sent_back(&accounts.begin_page_session(&account).await.expect("begun"));
    office.disable().await;
    assert!(office.caller(&headers).await.is_none(), "disabled");
    assert!(office.caller(&HeaderMap::new()).await.is_none());
    office.end().await;
}
