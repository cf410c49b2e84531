//! One-time links: the values that they set, single use, and expiry.

use super::*;
use crate::accounts::fixture::{EMAIL, Fixture, PASSWORD, code, fields, sent_back};

#[tokio::test]
async fn a_link_sets_the_credentials_once() {
    let fixture = Fixture::open().await;
    let accounts = &fixture.accounts;
    assert_eq!(fields(accounts.invite("not an address", AccountRole::Auditor).await), ["email"]);
    let first = fixture.invite(EMAIL, AccountRole::Auditor).await;
    let link = fixture.invite(EMAIL, AccountRole::Auditor).await;
    assert_eq!(code(accounts.invited(&first).await), "invitation-void", "it was replaced");
    let other_role = accounts.invite(EMAIL, AccountRole::Observer).await;
    assert_eq!(code(other_role), "account-exists");
    assert_eq!(code(fixture.sign_in("", "").await), "sign-in-refused", "no password yet");

    let account = accounts.invited(&link).await.expect("valid");
    assert_eq!((account.email.as_str(), account.state), (EMAIL, AccountState::Invited));
    let offer = accounts.offer_second_factor(&account).expect("random bytes");
    assert!(offer.uri.starts_with("otpauth://totp/votekit.example:jeanne%40exemple.ca?"));
    let secret = TotpSecret::from_base32(&offer.secret).expect("base 32");
    let right = fixture.code(&secret, 0);
    let choice = |password, totp_secret, code| NewCredentials { password, totp_secret, code };
    for (chosen, expected) in [
        (choice("court", &offer.secret, &right), vec!["password"]),
        (choice(EMAIL, &offer.secret, &right), vec!["password"]),
        (choice(PASSWORD, &offer.secret, "000000x"), vec!["code"]),
        (choice(PASSWORD, "", ""), vec!["code"]),
        (choice("motdepasse2026", "AAAA", ""), vec!["password", "code"]),
    ] {
        assert_eq!(fields(accounts.accept_invitation(&link, chosen).await), expected);
    }
    let chosen = choice(PASSWORD, &offer.secret, &right);
    let codes = accounts.accept_invitation(&link, chosen).await.expect("accepted");
    assert_eq!(codes.len(), 10);
    let stored = fixture.stored().await;
    assert_eq!((stored.state, stored.recovery_codes.len()), (AccountState::Active, 10));
    assert!(stored.invitation.is_none() && stored.totp.is_some());
    assert_eq!(code(accounts.invited(&link).await), "invitation-void", "it was used");
    assert_eq!(code(accounts.accept_invitation(&link, chosen).await), "invitation-void");
    assert_eq!(code(accounts.invited("").await), "invitation-void");
    assert_eq!(code(accounts.invite(EMAIL, AccountRole::Auditor).await), "account-exists");
    assert_eq!(code(fixture.sign_in(PASSWORD, &right).await), "sign-in-refused", "a code once");
    fixture.end().await;
}

#[tokio::test]
async fn a_link_expires() {
    let fixture = Fixture::open().await;
    let link = fixture.invite(EMAIL, AccountRole::Auditor).await;
    fixture.node.step_clock(3 * 24 * 3600 * 1000 - 10_000);
    assert_eq!(code(fixture.accounts.invited(&link).await), "done");
    fixture.node.step_clock(20_000);
    assert_eq!(code(fixture.accounts.invited(&link).await), "invitation-void");
    fixture.end().await;
}

#[tokio::test]
async fn new_credentials_end_the_sessions_before() {
    let fixture = Fixture::open().await;
    fixture.official(AccountRole::Auditor).await;
    let account = fixture.stored().await;
    let pair = fixture.accounts.tokens(&account).await.expect("tokens");
    let set = fixture.accounts.begin_page_session(&account).await.expect("begun");
    // As the command line does for a lost password.
    let token = opaque::draw().expect("random bytes");
    let invitation = Some(votekit_store::Invitation {
        token: opaque::digest_of(token.as_bytes()).expect("its form"),
        expires: UnixSeconds(fixture.node.now().seconds().0 + 60),
    });
    let renewed = Account { invitation, ..account };
    fixture.node.accounts().update(&renewed).await.expect("changed");
    let offer = fixture.accounts.offer_second_factor(&renewed).expect("random bytes");
    let secret = TotpSecret::from_base32(&offer.secret).expect("base 32");
    let now = fixture.code(&secret, 0);
    let password = "une autre phrase de passe";
    let choice = NewCredentials { password, totp_secret: &offer.secret, code: &now };
    fixture.accounts.accept_invitation(&token, choice).await.expect("accepted");
    assert_eq!(code(fixture.accounts.refresh(&pair.refresh, true).await), "token-refused");
    let session = fixture.accounts.page_session(&sent_back(&set)).await.expect("read");
    assert!(session.is_none());
    let next = fixture.code(&secret, 1);
    assert_eq!(code(fixture.sign_in(PASSWORD, &next).await), "sign-in-refused");
    assert_eq!(code(fixture.sign_in(password, &next).await), "done");
    fixture.end().await;
}
