//! Sign-in: one answer for all that is wrong, codes that count once, the throttle.

use votekit_node::config::{Config, ThrottleConfig};

use super::*;
use crate::accounts::NewCredentials;
use crate::accounts::fixture::{EMAIL, Fixture, PASSWORD, code};
use crate::accounts::password::outdated_hash_for_test;

#[tokio::test]
async fn a_member_needs_no_second_factor() {
    let fixture = Fixture::open().await;
    let link = fixture.invite(EMAIL, AccountRole::Voter).await;
    let choice = NewCredentials { password: PASSWORD, totp_secret: "", code: "" };
    let codes = fixture.accounts.accept_invitation(&link, choice).await.expect("accepted");
    assert!(codes.is_empty());
    assert_eq!(code(fixture.sign_in(PASSWORD, "").await), "done");
    let attempt =
        SignInAttempt { email: EMAIL, password: PASSWORD, code: "", from_officials_network: false };
    let elsewhere = fixture.accounts.sign_in(attempt, fixture.prefix("192.0.2.1")).await;
    assert_eq!(code(elsewhere), "done", "members sign in from everywhere");
    fixture.end().await;
}

#[tokio::test]
async fn every_wrong_sign_in_gets_one_answer() {
    let fixture = Fixture::open().await;
    let official = fixture.official(AccountRole::Auditor).await;
    let right = fixture.code(&official.secret, 0);
    let far = fixture.code(&official.secret, 3);
    let mut host = 0;
    for (email, password, code_sent) in [
        ("unknown@exemple.ca", PASSWORD, right.as_str()),
        ("not an address", PASSWORD, right.as_str()),
        ("\0", PASSWORD, right.as_str()),
        (EMAIL, "correct cheval pile agraf", right.as_str()),
        (EMAIL, "", right.as_str()),
        (EMAIL, PASSWORD, ""),
        (EMAIL, PASSWORD, far.as_str()),
        (EMAIL, PASSWORD, "ABCDE-FGHJK"),
    ] {
        host += 1;
        let address = format!("192.0.2.{host}");
        let refused = fixture.sign_in_from(&address, email, password, code_sent).await;
        assert_eq!(code(refused), "sign-in-refused", "{email} {code_sent}");
    }
    let attempt = SignInAttempt {
        email: EMAIL,
        password: PASSWORD,
        code: &right,
        from_officials_network: false,
    };
    let elsewhere = fixture.accounts.sign_in(attempt, fixture.prefix("192.0.2.99")).await;
    assert_eq!(code(elsewhere), "sign-in-refused", "a network from which officials may not work");
    let email = format!(" {} ", EMAIL.to_uppercase());
    let signed_in = fixture.sign_in_from("192.0.2.98", &email, PASSWORD, &right).await;
    assert_eq!(code(signed_in), "done", "nothing above used the code");
    fixture.disable().await;
    let late = fixture.code(&official.secret, 1);
    assert_eq!(code(fixture.sign_in(PASSWORD, &late).await), "sign-in-refused", "disabled");
    fixture.end().await;
}

#[tokio::test]
async fn each_code_is_used_once_even_by_two_nodes_at_once() {
    let fixture = Fixture::open().await;
    let official = fixture.official(AccountRole::Administrator).await;
    let other = AccountService::new(&fixture.node);
    let now = fixture.code(&official.secret, 0);
    let attempt = |code| SignInAttempt {
        email: EMAIL,
        password: PASSWORD,
        code,
        from_officials_network: true,
    };
    let (one, two) = tokio::join!(
        fixture.accounts.sign_in(attempt(&now), fixture.prefix("192.0.2.1")),
        other.sign_in(attempt(&now), fixture.prefix("192.0.2.2")),
    );
    let mut codes = [code(one), code(two)];
    codes.sort_unstable();
    assert_eq!(codes, ["done", "sign-in-refused"]);

    let recovery = official.codes[3].as_str().to_lowercase();
    assert_eq!(code(fixture.sign_in(PASSWORD, &recovery).await), "done");
    assert_eq!(code(fixture.sign_in(PASSWORD, &recovery).await), "sign-in-refused");
    assert_eq!(fixture.stored().await.recovery_codes.len(), 9);
    let other = official.codes[0].as_str();
    assert_eq!(code(fixture.sign_in(PASSWORD, other).await), "done", "the others stay");
    fixture.end().await;
}

#[tokio::test]
async fn wrong_passwords_delay_their_network_and_no_other() {
    let fixture = Fixture::open().await;
    let official = fixture.official(AccountRole::Auditor).await;
    for number in 0..6 {
        let wrong = format!("wrong password number {number}");
        assert_eq!(code(fixture.sign_in(&wrong, "").await), "sign-in-refused", "{number}");
    }
    let now = fixture.code(&official.secret, 0);
    for email in [EMAIL, "JEANNE@exemple.ca"] {
        let delayed = fixture.sign_in_from("192.0.2.1", email, PASSWORD, &now).await;
        assert_eq!(code(delayed), "back-off", "{email}");
    }
    let neighbour = fixture.sign_in_from("192.0.2.1", "other@exemple.ca", PASSWORD, "").await;
    assert_eq!(code(neighbour), "sign-in-refused", "another account is not delayed");
    let elsewhere = fixture.sign_in_from("192.0.2.2", EMAIL, PASSWORD, &now).await;
    assert_eq!(code(elsewhere), "done", "the account is not locked");
    fixture.end().await;
}

#[tokio::test]
async fn an_outdated_hash_is_replaced_when_its_holder_signs_in() {
    let fixture = Fixture::open().await;
    let link = fixture.invite(EMAIL, AccountRole::Voter).await;
    let choice = NewCredentials { password: PASSWORD, totp_secret: "", code: "" };
    fixture.accounts.accept_invitation(&link, choice).await.expect("accepted");
    let outdated = outdated_hash_for_test(PASSWORD);
    let changed = Account { password: Some(outdated.clone()), ..fixture.stored().await };
    fixture.node.accounts().update(&changed).await.expect("changed");
    assert_eq!(code(fixture.sign_in("wrong password", "").await), "sign-in-refused");
    assert_eq!(fixture.stored().await.password, Some(outdated));
    assert_eq!(code(fixture.sign_in(PASSWORD, "").await), "done");
    let stored = fixture.stored().await.password.expect("a hash");
    assert!(stored.starts_with("$argon2id$v=19$m=19456,"), "{stored}");
    assert_eq!(code(fixture.sign_in(PASSWORD, "").await), "done");
    fixture.end().await;
}

/// Instead of measuring time: each attempt costs one hash, for every kind of wrong value.
#[tokio::test]
async fn known_and_unknown_accounts_cost_the_same_work() {
    let throttle = ThrottleConfig { delay_seconds_min: 60, ..ThrottleConfig::default() };
    let fixture = Fixture::open_with(Config { throttle, ..Config::default() }).await;
    let official = fixture.official(AccountRole::Auditor).await;
    fixture.invite("invited@exemple.ca", AccountRole::Auditor).await;
    let right = fixture.code(&official.secret, 0);
    let mut host = 0;
    for (email, password, code_sent) in [
        ("unknown@exemple.ca", PASSWORD, right.as_str()),
        ("not an address", PASSWORD, right.as_str()),
        ("invited@exemple.ca", PASSWORD, right.as_str()),
        (EMAIL, "correct cheval pile agraf", right.as_str()),
        (EMAIL, "", ""),
        (EMAIL, PASSWORD, "000000"),
        (EMAIL, PASSWORD, "ABCDE-FGHJK"),
    ] {
        host += 1;
        let before = fixture.hashes();
        let address = format!("192.0.2.{host}");
        let refused = fixture.sign_in_from(&address, email, password, code_sent).await;
        assert_eq!(code(refused), "sign-in-refused", "{email} {code_sent}");
        assert_eq!(fixture.hashes() - before, 1, "{email} {code_sent}");
    }
    let before = fixture.hashes();
    assert_eq!(code(fixture.sign_in(PASSWORD, &right).await), "done");
    assert_eq!(fixture.hashes() - before, 1, "a success does not cost more");
    fixture.disable().await;
    let before = fixture.hashes();
    assert_eq!(code(fixture.sign_in(PASSWORD, &right).await), "sign-in-refused");
    assert_eq!(fixture.hashes() - before, 1, "a disabled account");
    // In back-off none of them costs a hash.
    for email in [EMAIL, "unknown@exemple.ca"] {
        for attempt in 0..6 {
            let wrong = fixture.sign_in_from("198.51.100.1", email, "wrong password", "").await;
            assert_eq!(code(wrong), "sign-in-refused", "{email} {attempt}");
        }
        let before = fixture.hashes();
        let held_up = fixture.sign_in_from("198.51.100.1", email, PASSWORD, &right).await;
        assert_eq!((code(held_up), fixture.hashes() - before), ("back-off", 0), "{email}");
    }
    fixture.end().await;
}

#[tokio::test]
async fn a_second_factor_is_not_guessed_from_many_networks() {
    let throttle = ThrottleConfig { delay_seconds_min: 60, ..ThrottleConfig::default() };
    let fixture = Fixture::open_with(Config { throttle, ..Config::default() }).await;
    let official = fixture.official(AccountRole::Administrator).await;
    // Without the password nothing is counted by the account.
    for host in 1..=12 {
        let address = format!("192.0.2.{host}");
        let wrong = fixture.sign_in_from(&address, EMAIL, "wrong password", "000000").await;
        assert_eq!(code(wrong), "sign-in-refused", "{address}");
    }
    let now = fixture.code(&official.secret, 0);
    let signed_in = fixture.sign_in_from("198.51.100.1", EMAIL, PASSWORD, &now).await;
    assert_eq!(code(signed_in), "done", "no one without the password locks the account");
    for host in 101..=111 {
        let address = format!("192.0.2.{host}");
        let wrong = fixture.sign_in_from(&address, EMAIL, PASSWORD, "000000").await;
        assert_eq!(code(wrong), "sign-in-refused", "{address}");
    }
    let next = fixture.code(&official.secret, 1);
    let held_up = fixture.sign_in_from("198.51.100.2", EMAIL, PASSWORD, &next).await;
    assert_eq!(code(held_up), "sign-in-refused", "the answer to a guesser stays the same");
    let recovery = official.codes[0].as_str();
    let recovered = fixture.sign_in_from("198.51.100.3", EMAIL, PASSWORD, recovery).await;
    assert_eq!(code(recovered), "done", "its holder signs in all the same");
    fixture.end().await;
}
