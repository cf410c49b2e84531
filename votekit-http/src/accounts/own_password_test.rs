//! A change of the password by its holder.

use votekit_store::AccountRole;

use super::*;
use crate::accounts::office::{Office, PASSWORD, code, fields, sent_back, with_token};

const NEW: &str = "une autre phrase de passe";

async fn change(office: &Office, current: &str, new: &str) -> Result<TokenPair, Problem> {
    let id = office.stored().await.id;
    let change = PasswordChange { current, new };
    office.accounts.change_password(id, change, office.prefix("192.0.2.1")).await
}

#[tokio::test]
async fn a_new_password_ends_every_session_but_that_of_the_answer() {
    let office = Office::open().await;
    let official = office.official(AccountRole::Auditor).await;
    let account = office.stored().await;
    let before = office.accounts.tokens(&account).await.expect("tokens");
    let set = office.accounts.begin_page_session(&account).await.expect("begun");
    let pair = change(&office, PASSWORD, NEW).await.expect("changed");
    assert_eq!(code(office.accounts.bearer(&with_token(&before.access)).await), "token-refused");
    assert_eq!(code(office.accounts.refresh(&before.refresh, true).await), "token-refused");
    assert!(office.caller(&sent_back(&set)).await.is_none());
    assert_eq!(code(office.accounts.bearer(&with_token(&pair.access)).await), "done");
    let now = office.code(&official.secret, 0);
    assert_eq!(code(office.sign_in(PASSWORD, &now).await), "sign-in-refused");
    assert_eq!(code(office.sign_in(NEW, &now).await), "done", "with the factor as before");
    office.disable().await;
    assert_eq!(code(change(&office, NEW, PASSWORD).await), "token-refused");
    office.end().await;
}

#[tokio::test]
async fn a_wrong_password_changes_nothing_and_is_throttled() {
    let office = Office::open().await;
    office.official(AccountRole::Observer).await;
    let before = office.stored().await;
    assert_eq!(fields(change(&office, "another password", NEW).await), ["current_password"]);
    for weak in ["court", "motdepasse2026", &"a".repeat(200)] {
        assert_eq!(fields(change(&office, PASSWORD, weak).await), ["new_password"]);
    }
    assert_eq!(office.stored().await, before);
    for _ in 0..5 {
        assert_eq!(fields(change(&office, "another password", NEW).await), ["current_password"]);
    }
    assert_eq!(code(change(&office, PASSWORD, NEW).await), "back-off");
    assert_eq!(code(office.sign_in(PASSWORD, "").await), "back-off", "the same pair");
    office.end().await;
}
