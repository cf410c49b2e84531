//! A change of the password by its holder.

use votekit_store::AccountRole;

use super::*;
use crate::accounts::fixture::{Fixture, PASSWORD, code, fields, sent_back, with_token};

const NEW: &str = "une autre phrase de passe";

async fn change(fixture: &Fixture, current: &str, new: &str) -> Result<TokenPair, Problem> {
    let id = fixture.stored().await.id;
    let change = PasswordChange { current, new };
    fixture.accounts.change_password(id, change, fixture.prefix("192.0.2.1")).await
}

#[tokio::test]
async fn a_new_password_ends_every_session_but_that_of_the_answer() {
    let fixture = Fixture::open().await;
    let official = fixture.official(AccountRole::Auditor).await;
    let account = fixture.stored().await;
    let before = fixture.accounts.tokens(&account).await.expect("tokens");
    let set = fixture.accounts.begin_page_session(&account).await.expect("begun");
    let pair = change(&fixture, PASSWORD, NEW).await.expect("changed");
    assert_eq!(code(fixture.accounts.bearer(&with_token(&before.access)).await), "token-refused");
    assert_eq!(code(fixture.accounts.refresh(&before.refresh, true).await), "token-refused");
    assert!(fixture.caller(&sent_back(&set)).await.is_none());
    assert_eq!(code(fixture.accounts.bearer(&with_token(&pair.access)).await), "done");
    let now = fixture.code(&official.secret, 0);
    assert_eq!(code(fixture.sign_in(PASSWORD, &now).await), "sign-in-refused");
    assert_eq!(code(fixture.sign_in(NEW, &now).await), "done", "with the factor as before");
    fixture.disable().await;
    assert_eq!(code(change(&fixture, NEW, PASSWORD).await), "token-refused");
    fixture.end().await;
}

#[tokio::test]
async fn a_wrong_password_changes_nothing_and_is_throttled() {
    let fixture = Fixture::open().await;
    fixture.official(AccountRole::Observer).await;
    let before = fixture.stored().await;
    assert_eq!(fields(change(&fixture, "another password", NEW).await), ["current_password"]);
    for weak in ["court", "motdepasse2026", &"a".repeat(200)] {
        assert_eq!(fields(change(&fixture, PASSWORD, weak).await), ["new_password"]);
    }
    assert_eq!(fixture.stored().await, before);
    for _ in 0..5 {
        assert_eq!(fields(change(&fixture, "another password", NEW).await), ["current_password"]);
    }
    assert_eq!(code(change(&fixture, PASSWORD, NEW).await), "back-off");
    assert_eq!(code(fixture.sign_in(PASSWORD, "").await), "back-off", "the same pair");
    fixture.end().await;
}
