//! Guessing credentials and passwords: slowed down from one network, never for another, and the
//! answers say nothing but recognised or not.

use crate::account_support::{PASSWORD, RECOVERY_CODES, add, change};
use crate::attack_support::{FORM, JSON, OWN_ORIGIN, client_from, typed};
use crate::form_support::form;
use crate::http_support::{Answer, Client, Served, ballot, config};
use crate::support::{LAW, TestDir, create_request};
use serde_json::{Value, json};
use votekit_node::config::{Config, ThrottleConfig};
use votekit_store::{AccountRole, AccountState};

const SESSION: &str = "/api/v1/session";
const LOGIN: &str = "/api/v1/auth/login";
const SIGN_IN: &str = "/fr/accounts/sign-in";

/// Waits that no test sits out.
async fn served() -> Served {
    let throttle = ThrottleConfig { delay_seconds_min: 60, ..ThrottleConfig::default() };
    Served::open_with(Config { throttle, ..config() }, create_request()).await
}

/// Signs in for laws through the interface, as a front end of this node.
async fn session(client: &mut Client, nas: &str, code: &str, laws: &[&str]) -> Answer {
    let body = json!({"nas": nas, "code": code, "law_ids": laws}).to_string();
    client.send("POST", SESSION, &[JSON, OWN_ORIGIN], body).await
}

/// Signs in on the page of the law.
async fn page(client: &mut Client, nas: &str, code: &str) -> Answer {
    let fields = form(&[("nas", nas), ("code", code)]);
    client.send("POST", &format!("/fr/vote/{LAW}"), &[FORM, OWN_ORIGIN], fields).await
}

/// Signs in with an account through the interface.
async fn login(client: &mut Client, email: &str, password: &str, code: &str) -> Answer {
    let body = json!({"email": email, "password": password, "code": code}).to_string();
    client.send("POST", LOGIN, &[JSON], body).await
}

/// Signs in with an account on the page.
async fn account_page(client: &mut Client, email: &str, password: &str, code: &str) -> Answer {
    let fields = form(&[("email", email), ("password", password), ("code", code)]);
    client.send("POST", SIGN_IN, &[FORM, OWN_ORIGIN], fields).await
}

/// Everything that a guesser sees of an answer, without the typed values and without random digits.
fn seen(answer: &Answer, typed: &str) -> (u16, Vec<(String, String)>, String) {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| {
            let value = value.to_str().expect("visible ASCII");
            // A cookie is random, and of one length.
            let value = match name.as_str() {
                "set-cookie" => value.len().to_string(),
                _ => value.to_owned(),
            };
            (name.to_string(), value)
        })
        .collect();
    headers.sort();
    let mut text = if typed.is_empty() {
        answer.text().to_owned()
    } else {
        answer.text().replace(typed, "TYPED")
    };
    if let Some((before, rest)) = text.split_once(">E-") {
        text = [before, &rest[8..]].concat();
    }
    (answer.status.as_u16(), headers, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_credential_gets_one_answer_and_a_used_one_that_of_an_unused() {
    let served = served().await;
    let (nas, code) = typed(1);
    let used = served.vote(&ballot(1, "oui"), &[("prefer", "wait=30")]).await;
    assert_eq!(used.json()["status"], "accepted");
    let (unused_nas, unused_code) = typed(2);
    let mut host = 10;
    let mut refused = Vec::new();
    let mut accepted = Vec::new();
    for (nas, code, is_right) in [
        // A wrong code of an elector who has voted, of an elector who has not, of no elector.
        (nas.as_str(), "WRONG0001", false),
        (unused_nas.as_str(), "WRONG0001", false),
        (nas.as_str(), unused_code.as_str(), false),
        ("999999998", "WRONG0001", false),
        (nas.as_str(), code.as_str(), true),
        (unused_nas.as_str(), unused_code.as_str(), true),
    ] {
        host += 1;
        let mut client = client_from(host, served.at.public).await;
        let of_interface = session(&mut client, nas, code, &[LAW]).await;
        let of_page = page(&mut client, nas, code).await;
        let answers = (seen(&of_interface, ""), seen(&of_page, ""));
        if is_right { accepted.push(answers) } else { refused.push(answers) }
    }
    assert_eq!((refused[0].0.0, refused[0].1.0), (401, 422));
    assert_eq!((accepted[0].0.0, accepted[0].1.0), (200, 303));
    for list in [refused, accepted] {
        assert!(list.iter().all(|answers| *answers == list[0]), "{list:#?}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_counted_together_whatever_they_are_sent_to_and_lock_no_one_out() {
    let served = served().await;
    let (nas, code) = typed(3);
    let mut guesser = client_from(1, served.at.public).await;
    for (attempt, address) in ["203.0.113.1", "203.0.113.2", "::1"].into_iter().enumerate() {
        let wrong = format!("WRONG000{attempt}");
        assert_eq!(session(&mut guesser, &nas, &wrong, &[LAW]).await.status, 401);
        // An address that a client states itself counts for nothing.
        let headers = [FORM, OWN_ORIGIN, ("x-forwarded-for", address), ("x-real-ip", address)];
        let fields = form(&[("nas", nas.as_str()), ("code", wrong.as_str())]);
        let answer = guesser.send("POST", &format!("/en/vote/{LAW}"), &headers, fields).await;
        assert_eq!(answer.status, 422, "{attempt}");
    }
    let vote = json!({"nas": nas, "code": "WRONG0009", "law_id": LAW, "vote": "oui"}).to_string();
    let held_up = session(&mut guesser, &nas, &code, &[LAW]).await;
    assert_eq!(held_up.problem(), (429, "back-off".to_owned()), "the right code, too");
    assert!(!held_up.header("retry-after").is_empty());
    assert_eq!(page(&mut guesser, &nas, &code).await.status, 429);
    assert_eq!(guesser.vote(&vote, &[]).await.problem().1, "back-off");
    // No other spelling of the page leads around the count.
    for path in [format!("/%66r/vote/{LAW}"), format!("/f%72/vote/{LAW}")] {
        let fields = form(&[("nas", nas.as_str()), ("code", code.as_str())]);
        let answer = guesser.send("POST", &path, &[FORM, OWN_ORIGIN], fields).await;
        assert_eq!(answer.problem(), (404, "unknown-route".to_owned()), "{path}");
    }
    // The elector from another network, and another elector from this network.
    let mut elector = client_from(2, served.at.public).await;
    assert_eq!(session(&mut elector, &nas, &code, &[LAW]).await.status, 200);
    assert_eq!(page(&mut elector, &nas, &code).await.status, 303);
    let (nas, code) = typed(4);
    assert_eq!(session(&mut guesser, &nas, &code, &[LAW]).await.status, 200);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_for_several_laws_is_no_oracle() {
    let served = served().await;
    // The guesser may load another roll, with a code for the same NAS.
    let theirs = TestDir::with_laws(&[("THEIRS", "GUESS", 30)]);
    theirs.open_polls_of(&served.node).await;
    let (nas, right) = typed(5);
    let guess = "GUESS0005";
    let mut guesser = client_from(1, served.at.public).await;
    let own = session(&mut guesser, &nas, guess, &["THEIRS", LAW]).await;
    assert_eq!(own.json(), json!({"recognised": ["THEIRS"], "not_recognised": [LAW]}));
    for laws in [&[LAW, "THEIRS"][..], &[LAW, LAW, "THEIRS"], &["NONE", LAW, "THEIRS"]] {
        for _ in 0..2 {
            let refused = session(&mut guesser, &nas, guess, laws).await;
            assert_eq!(refused.problem(), (401, "sign-in-refused".to_owned()), "{laws:?}");
        }
    }
    let held_up = session(&mut guesser, &nas, &right, &[LAW]).await;
    assert_eq!(held_up.problem(), (429, "back-off".to_owned()));
    // Nor does the order help: a law of another roll is not tried.
    let mut elsewhere = client_from(2, served.at.public).await;
    let first = session(&mut elsewhere, &nas, &right, &["THEIRS", LAW]).await;
    assert_eq!(first.problem(), (401, "sign-in-refused".to_owned()));
    let many: Vec<String> = (0..17).map(|number| format!("L{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = session(&mut elsewhere, &nas, &right, &many).await;
    assert_eq!(refused.json()["errors"][0]["field"], "law_ids");
    let answer = session(&mut elsewhere, &nas, &right, &[LAW, "THEIRS"]).await;
    assert_eq!(answer.json(), json!({"recognised": [LAW], "not_recognised": ["THEIRS"]}));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn known_and_unknown_accounts_get_one_answer() {
    let served = served().await;
    let node = &served.node;
    for email in ["known@exemple.ca", "gone1@exemple.ca", "later@exemple.ca"] {
        add(node, email, AccountRole::Auditor).await;
    }
    change(node, "gone1@exemple.ca", |account| account.state = AccountState::Disabled).await;
    change(node, "later@exemple.ca", |account| {
        account.state = AccountState::Invited;
        account.password = None;
    })
    .await;
    let mut answers = Vec::new();
    let mut host = 20;
    for (email, password, code) in [
        ("known@exemple.ca", "another password", "000000"),
        ("known@exemple.ca", PASSWORD, "000000"),
        ("known@exemple.ca", PASSWORD, "ABCDE-FGHJJ"),
        ("gone1@exemple.ca", PASSWORD, RECOVERY_CODES[0]),
        ("later@exemple.ca", PASSWORD, RECOVERY_CODES[0]),
        ("other@exemple.ca", PASSWORD, RECOVERY_CODES[0]),
        ("not an address!!", PASSWORD, RECOVERY_CODES[0]),
    ] {
        host += 1;
        let mut client = client_from(host, served.at.public).await;
        let of_interface = login(&mut client, email, password, code).await;
        let of_page = account_page(&mut client, email, password, code).await;
        answers.push((seen(&of_interface, email), seen(&of_page, email)));
        // Until the wait, which comes for all of them.
        for attempt in 2..6 {
            let refused = login(&mut client, email, password, code).await;
            assert_eq!(refused.problem().1, "sign-in-refused", "{email} {attempt}");
        }
        let held_up = login(&mut client, email, PASSWORD, RECOVERY_CODES[1]).await;
        assert_eq!(held_up.problem(), (429, "back-off".to_owned()), "{email}");
        let retry: u64 = held_up.header("retry-after").parse().expect("seconds");
        assert!((1..=60).contains(&retry), "{email}");
        assert_eq!(account_page(&mut client, email, PASSWORD, RECOVERY_CODES[1]).await.status, 429);
    }
    assert_eq!((answers[0].0.0, answers[0].1.0), (401, 422));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    // The true holder, from another network.
    let mut holder = client_from(2, served.at.public).await;
    let signed_in = login(&mut holder, "known@exemple.ca", PASSWORD, RECOVERY_CODES[0]).await;
    assert_eq!(signed_in.status, 200, "{}", signed_in.text());
    let token: Value = signed_in.json()["access_token"].clone();
    assert!(token.is_string());
    let other = account_page(&mut holder, "known@exemple.ca", PASSWORD, RECOVERY_CODES[1]).await;
    assert_eq!(other.header("location"), "/fr/officials");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_sign_ins_has_a_share_and_takes_nothing_from_voters() {
    let limited = Config { rate_limit_per_address_per_second: Some(10), ..config() };
    let served = Served::open_with(limited, create_request()).await;
    let mut flood = client_from(1, served.at.public).await;
    let mut refused = 0;
    for number in 0..30 {
        let email = format!("person{number}@exemple.ca");
        let answer = login(&mut flood, &email, "any password", "").await;
        refused += u32::from(answer.status == 429);
    }
    assert!(refused >= 10, "one a second from one address: {refused}");
    for path in ["/%66r/accounts/sign-in", "/f%72/accounts/invitation", "/FR/accounts/sign-in"] {
        let answer = flood.send("POST", path, &[FORM, OWN_ORIGIN], "email=a&password=b").await;
        assert_eq!(answer.problem(), (404, "unknown-route".to_owned()), "{path}");
    }
    let vote = flood.vote(&ballot(6, "oui"), &[("prefer", "wait=30")]).await;
    assert_eq!(vote.json()["status"], "accepted", "the share of the votes is another one");
    let mut other = client_from(2, served.at.public).await;
    let answer = login(&mut other, "person@exemple.ca", "any password", "").await;
    assert_eq!(answer.problem(), (401, "sign-in-refused".to_owned()));
    served.end().await;
}
