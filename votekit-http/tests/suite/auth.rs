//! Sign-in with an account over HTTP: tokens, roles, networks, other origins.

use crate::account_support::{
    PASSWORD, RECOVERY_CODES, add, app_code, call, change, login, send, token_of,
};
use crate::http_support::{Answer, Client, Served, config};
use serde_json::json;
use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;
use votekit_node::config::{Config, ThrottleConfig};
use votekit_store::{AccountRole, AccountState, NewSession, SessionKind};

const EMAIL: &str = "jeanne@exemple.ca";
const ME: &str = "/api/v1/auth/me";
const REFRESH: &str = "/api/v1/auth/refresh";
const PASSWORD_PATH: &str = "/api/v1/auth/password";

fn text(answer: &Answer, member: &str) -> String {
    answer.json()[member].as_str().unwrap_or_else(|| panic!("{member}: {answer:?}")).to_owned()
}

async fn refresh(served: &Served, token: &str) -> Answer {
    send(served, "POST", REFRESH, &[], Some(json!({"refresh_token": token}))).await
}

fn refused(code: &str) -> (u16, String) {
    (401, code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_signs_in_calls_refreshes_and_signs_out() {
    let served = Served::empty(config()).await;
    let account = add(&served.node, EMAIL, AccountRole::Auditor).await;
    let signed_in = login(&served, EMAIL, PASSWORD, &app_code(&served.node, 0)).await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    assert_eq!(signed_in.header("cache-control"), "no-store");
    assert_eq!(signed_in.json()["token_type"], "Bearer");
    assert_eq!(signed_in.json()["expires_in"], 600);
    let me = call(&served, &text(&signed_in, "access_token"), "GET", ME, None).await;
    let id: String = account.id.0.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(me.json(), json!({"id": id, "email": EMAIL, "role": "auditor"}));

    let first = text(&signed_in, "refresh_token");
    let next = refresh(&served, &first).await;
    assert_eq!(next.status, 200, "{next:?}");
    let me = call(&served, &text(&next, "access_token"), "GET", ME, None).await;
    assert_eq!(me.status, 200);
    let reused = refresh(&served, &first).await;
    assert_eq!(reused.problem(), refused("token-refused"), "reused");
    // No oracle: an unknown token gets the same answer.
    assert_eq!(reused.text(), refresh(&served, &"A".repeat(43)).await.text());
    let second = text(&next, "refresh_token");
    assert_eq!(refresh(&served, &second).await.problem(), refused("token-refused"), "ended");
    for pair in [&signed_in, &next] {
        let me = call(&served, &text(pair, "access_token"), "GET", ME, None).await;
        assert_eq!(me.problem(), refused("token-refused"), "with its access tokens");
    }

    let recovered = login(&served, EMAIL, PASSWORD, RECOVERY_CODES[0]).await;
    let apart = login(&served, EMAIL, PASSWORD, RECOVERY_CODES[1]).await;
    let (token, access) = (text(&recovered, "refresh_token"), text(&recovered, "access_token"));
    assert_eq!(call(&served, &access, "GET", ME, None).await.status, 200);
    for _ in 0..2 {
        let body = Some(json!({"refresh_token": token}));
        let ended = send(&served, "POST", "/api/v1/auth/logout", &[], body).await;
        assert_eq!((ended.status.as_u16(), ended.body.len()), (204, 0));
    }
    assert_eq!(refresh(&served, &token).await.problem(), refused("token-refused"));
    let me = call(&served, &access, "GET", ME, None).await;
    assert_eq!(me.problem(), refused("token-refused"), "at once");
    let me = call(&served, &text(&apart, "access_token"), "GET", ME, None).await;
    assert_eq!(me.status, 200, "another session of the account stays");
    served.end().await;
}

/// Two tabs of one front end, or the owner and a thief: they cannot be distinguished.
#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_that_refresh_at_once_get_one_pair_and_their_session_ends() {
    let served = Served::empty(config()).await;
    add(&served.node, EMAIL, AccountRole::Auditor).await;
    for code in RECOVERY_CODES {
        let signed_in = login(&served, EMAIL, PASSWORD, code).await;
        let token = text(&signed_in, "refresh_token");
        let (one, other) = tokio::join!(refresh(&served, &token), refresh(&served, &token));
        let (won, lost) = if one.status == 200 { (one, other) } else { (other, one) };
        assert_eq!(won.status, 200, "{won:?}");
        assert_eq!(lost.problem(), refused("token-refused"));
        let next = refresh(&served, &text(&won, "refresh_token")).await;
        assert_eq!(next.problem(), refused("token-refused"));
        for pair in [&signed_in, &won] {
            let me = call(&served, &text(pair, "access_token"), "GET", ME, None).await;
            assert_eq!(me.problem(), refused("token-refused"));
        }
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_sign_in_gets_the_same_answer() {
    // Waits that no test sits out.
    let throttle = ThrottleConfig { delay_seconds_min: 60, ..ThrottleConfig::default() };
    let served = Served::empty(Config { throttle, ..config() }).await;
    add(&served.node, EMAIL, AccountRole::Administrator).await;
    add(&served.node, "disabled@exemple.ca", AccountRole::Auditor).await;
    change(&served.node, "disabled@exemple.ca", |account| {
        account.state = AccountState::Disabled;
    })
    .await;
    let now = app_code(&served.node, 0);
    let mut bodies = Vec::new();
    for (email, password, code) in [
        (EMAIL, "another password", now.as_str()),
        (EMAIL, PASSWORD, "000000"),
        (EMAIL, PASSWORD, ""),
        ("unknown@exemple.ca", PASSWORD, now.as_str()),
        ("disabled@exemple.ca", PASSWORD, now.as_str()),
        ("", "", ""),
    ] {
        let answer = login(&served, email, password, code).await;
        assert_eq!(answer.problem(), refused("sign-in-refused"), "{email} {code}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        bodies.push(answer.body);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");

    assert_eq!(login(&served, EMAIL, PASSWORD, &now).await.status, 200);
    let again = login(&served, EMAIL, PASSWORD, &now).await;
    assert_eq!(again.problem(), refused("sign-in-refused"), "a code is used once");
    let spaced = format!("{} {}", &RECOVERY_CODES[1][..5], &RECOVERY_CODES[1][6..]);
    assert_eq!(login(&served, EMAIL, PASSWORD, &spaced).await.status, 200);
    let again = login(&served, EMAIL, PASSWORD, RECOVERY_CODES[1]).await;
    assert_eq!(again.problem(), refused("sign-in-refused"), "so is a recovery code");
    // The sixth wrong password of the pair begins the waits.
    login(&served, EMAIL, "another password", "").await;
    let delayed = login(&served, EMAIL, PASSWORD, RECOVERY_CODES[0]).await;
    assert_eq!(delayed.problem(), (429, "back-off".to_owned()));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_body_is_refused_and_nothing_of_it_repeated() {
    let served = Served::empty(config()).await;
    for path in ["/api/v1/auth/login", REFRESH, "/api/v1/auth/logout"] {
        for body in [
            json!({"email": "SECRET", "password": 5, "code": ["SECRET"]}),
            json!({"refresh_token": 5, "SECRET": "SECRET"}),
            json!(["SECRET"]),
            json!("SECRET"),
        ] {
            let answer = send(&served, "POST", path, &[], Some(body)).await;
            assert_eq!(answer.problem(), (400, "malformed".to_owned()), "{path}");
            assert!(!answer.text().contains("SECRET"), "{}", answer.text());
        }
        let plain = send(&served, "POST", path, &[("content-type", "text/plain")], None).await;
        assert_eq!(plain.problem(), (415, "not-json".to_owned()));
        let large = json!({"email": "a".repeat(10_000), "refresh_token": ""});
        let large = send(&served, "POST", path, &[], Some(large)).await;
        assert_eq!(large.problem(), (413, "body-too-large".to_owned()));
    }
    let unknown = refresh(&served, "SECRET").await;
    assert_eq!(unknown.problem(), refused("token-refused"));
    assert!(!unknown.text().contains("SECRET"), "{}", unknown.text());
    assert!(unknown.text().contains("the refresh token is not valid"), "{}", unknown.text());
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_invite_auditors_list_and_others_do_neither() {
    let served = Served::empty(config()).await;
    let administrator = token_of(&served, EMAIL, AccountRole::Administrator).await;
    let auditor = token_of(&served, "auditor@exemple.ca", AccountRole::Auditor).await;
    let observer = token_of(&served, "observer@exemple.ca", AccountRole::Observer).await;
    let path = "/api/v1/accounts";
    let body = || Some(json!({"email": " New@Exemple.ca", "role": "observer"}));
    for token in [&auditor, &observer] {
        let refused = call(&served, token, "POST", path, body()).await;
        assert_eq!(refused.problem(), (403, "forbidden".to_owned()));
        assert!(refused.text().contains("with the role administrator"), "{}", refused.text());
    }
    let invited = call(&served, &administrator, "POST", path, body()).await;
    assert_eq!(invited.status, 201, "{invited:?}");
    let link = text(&invited, "link");
    let token = link.strip_prefix("/fr/accounts/invitation?token=").expect("the path");
    assert_eq!(token.len(), 43);
    let again = call(&served, &administrator, "POST", path, body()).await;
    assert_ne!(text(&again, "link"), link, "a new link; the earlier one is void");
    let taken = Some(json!({"email": "auditor@exemple.ca", "role": "auditor"}));
    let taken = call(&served, &administrator, "POST", path, taken).await;
    assert_eq!(taken.problem(), (409, "account-exists".to_owned()));
    for (email, role, field) in [("no address", "auditor", "email"), ("a@b.ca", "owner", "role")] {
        let body = Some(json!({"email": email, "role": role}));
        let answer = call(&served, &administrator, "POST", path, body).await;
        assert_eq!(answer.problem(), (400, "malformed".to_owned()));
        assert_eq!(answer.json()["errors"][0]["field"], field);
    }

    assert_eq!(call(&served, &observer, "GET", path, None).await.problem().1, "forbidden");
    for token in [&administrator, &auditor] {
        let listed = call(&served, token, "GET", path, None).await.json();
        let accounts = listed["accounts"].as_array().expect("accounts");
        let emails: Vec<_> =
            accounts.iter().map(|account| account["email"].as_str().expect("a text")).collect();
        let expected = ["auditor@exemple.ca", EMAIL, "new@exemple.ca", "observer@exemple.ca"];
        assert_eq!(emails, expected);
        assert_eq!(
            (&accounts[2]["state"], &accounts[2]["role"]),
            (&json!("invited"), &json!("observer"))
        );
        assert_eq!(accounts[0]["has_second_factor"], true);
        assert!(listed.get("next").is_none());
        for secret in ["password", "argon2", "totp", "recovery"] {
            assert!(!listed.to_string().contains(secret), "{listed}");
        }
    }
    let after = format!("{path}?after=new@exemple.ca");
    let rest = call(&served, &auditor, "GET", &after, None).await.json();
    assert_eq!(rest["accounts"].as_array().map(Vec::len), Some(1));
    let wrong = call(&served, &auditor, "GET", &format!("{path}?limit=5"), None).await;
    assert_eq!(wrong.problem(), (400, "malformed".to_owned()));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_disable_enable_and_reset_the_accounts_of_others() {
    let served = Served::empty(config()).await;
    let administrator = token_of(&served, EMAIL, AccountRole::Administrator).await;
    let email = "auditor@exemple.ca";
    let auditor = token_of(&served, email, AccountRole::Auditor).await;
    let path = |id: &str, verb: &str| format!("/api/v1/accounts/{id}/{verb}");
    let own = text(&call(&served, &administrator, "GET", ME, None).await, "id");
    let id = text(&call(&served, &auditor, "GET", ME, None).await, "id");
    for verb in ["disable", "enable", "reset"] {
        let refused = call(&served, &auditor, "POST", &path(&own, verb), None).await;
        assert_eq!(refused.problem(), (403, "forbidden".to_owned()), "an auditor may not");
        let refused = call(&served, &administrator, "POST", &path(&own, verb), None).await;
        assert_eq!(refused.problem(), (403, "forbidden".to_owned()), "not oneself");
        let no_ids =
            ["00".repeat(16), "nonsense".to_owned(), id.to_uppercase(), id[1..].to_owned()];
        for unknown in no_ids {
            let answer = call(&served, &administrator, "POST", &path(&unknown, verb), None).await;
            assert_eq!(answer.problem(), (404, "unknown-account".to_owned()), "{unknown}");
        }
    }
    let me = call(&served, &administrator, "GET", ME, None).await;
    assert_eq!(me.status, 200, "nothing of this changed it");

    for _ in 0..2 {
        let disabled = call(&served, &administrator, "POST", &path(&id, "disable"), None).await;
        assert_eq!(disabled.status, 200, "{disabled:?}");
        assert_eq!(
            (text(&disabled, "email"), text(&disabled, "state")),
            (email.into(), "disabled".into())
        );
    }
    let me = call(&served, &auditor, "GET", ME, None).await;
    assert_eq!(me.problem(), refused("token-refused"));
    let signed_in = login(&served, email, PASSWORD, RECOVERY_CODES[0]).await;
    assert_eq!(signed_in.problem(), refused("sign-in-refused"));
    let reset = call(&served, &administrator, "POST", &path(&id, "reset"), None).await;
    assert_eq!(reset.problem(), (409, "account-state".to_owned()));
    let enabled = call(&served, &administrator, "POST", &path(&id, "enable"), None).await;
    assert_eq!(text(&enabled, "state"), "active");
    let me = call(&served, &auditor, "GET", ME, None).await;
    assert_eq!(me.problem(), refused("token-refused"), "its session has ended");
    let signed_in = login(&served, email, PASSWORD, RECOVERY_CODES[0]).await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");

    let reset = call(&served, &administrator, "POST", &path(&id, "reset"), None).await;
    let link = text(&reset, "link");
    let token = link.strip_prefix("/fr/accounts/invitation?token=").expect("the path");
    let digest = votekit_store::Invitation::digest_of(token);
    let invited = served.node.accounts().account_by_invitation(&digest).await.expect("read");
    assert_eq!(invited.map(|account| account.state), Some(AccountState::Invited));
    let me = call(&served, &text(&signed_in, "access_token"), "GET", ME, None).await;
    assert_eq!(me.problem(), refused("token-refused"));
    let again = login(&served, email, PASSWORD, RECOVERY_CODES[1]).await;
    assert_eq!(again.problem(), refused("sign-in-refused"), "the password is gone");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_holder_changes_the_password_with_the_present_one() {
    let served = Served::empty(config()).await;
    let token = token_of(&served, EMAIL, AccountRole::Auditor).await;
    let member = token_of(&served, "member@exemple.ca", AccountRole::Voter).await;
    let new = "une autre phrase de passe";
    let body =
        |current: &str, new: &str| Some(json!({"current_password": current, "new_password": new}));
    for (current, new, field) in [
        ("another password", new, "current_password"),
        (PASSWORD, "court", "new_password"),
        (PASSWORD, EMAIL, "new_password"),
    ] {
        let answer = call(&served, &token, "PUT", PASSWORD_PATH, body(current, new)).await;
        assert_eq!(answer.problem(), (400, "malformed".to_owned()));
        assert_eq!(answer.json()["errors"][0]["field"], field);
        assert!(!answer.text().contains("another password"), "{}", answer.text());
    }
    let missing = Some(json!({"current_password": PASSWORD}));
    let missing = call(&served, &token, "PUT", PASSWORD_PATH, missing).await;
    assert_eq!(missing.json()["errors"][0]["field"], "new_password");
    let anonymous = send(&served, "PUT", PASSWORD_PATH, &[], body(PASSWORD, new)).await;
    assert_eq!(anonymous.problem(), refused("token-refused"));
    assert_eq!(call(&served, &token, "GET", ME, None).await.status, 200, "nothing is changed");

    let changed = call(&served, &token, "PUT", PASSWORD_PATH, body(PASSWORD, new)).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(changed.header("cache-control"), "no-store");
    let me = call(&served, &token, "GET", ME, None).await;
    assert_eq!(me.problem(), refused("token-refused"), "the earlier session has ended");
    let me = call(&served, &text(&changed, "access_token"), "GET", ME, None).await;
    assert_eq!(me.json()["email"], EMAIL);
    assert_eq!(refresh(&served, &text(&changed, "refresh_token")).await.status, 200);
    let old = login(&served, EMAIL, PASSWORD, RECOVERY_CODES[0]).await;
    assert_eq!(old.problem(), refused("sign-in-refused"));
    assert_eq!(login(&served, EMAIL, new, RECOVERY_CODES[0]).await.status, 200);
    // Members have passwords too, and their sessions are apart.
    let changed = call(&served, &member, "PUT", PASSWORD_PATH, body(PASSWORD, new)).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn officials_sign_in_from_their_networks_alone() {
    let officials_from = vec!["192.0.2.0/24".parse().expect("a range")];
    let elsewhere = Served::empty(Config { officials_from, ..config() }).await;
    let away = add(&elsewhere.node, EMAIL, AccountRole::Administrator).await;
    add(&elsewhere.node, "member@exemple.ca", AccountRole::Voter).await;
    let code = app_code(&elsewhere.node, 0);
    let official = login(&elsewhere, EMAIL, PASSWORD, &code).await;
    assert_eq!(official.problem(), refused("sign-in-refused"));
    let member = login(&elsewhere, "member@exemple.ca", PASSWORD, &code).await;
    let me = call(&elsewhere, &text(&member, "access_token"), "GET", ME, None).await;
    assert_eq!(me.status, 200);
    assert_eq!(refresh(&elsewhere, &text(&member, "refresh_token")).await.status, 200);
    // A session that began at the office is not used up from elsewhere.
    let (token, later) = ("A".repeat(43), UnixSeconds(elsewhere.node.now().seconds().0 + 3600));
    let session = NewSession {
        token: Digest::compute(token.as_bytes()),
        account: away.id,
        kind: SessionKind::Refresh,
        expires: later,
        idle_until: later,
    };
    elsewhere.node.accounts().begin_session(&session).await.expect("begun");
    for _ in 0..2 {
        let refused = refresh(&elsewhere, &token).await;
        assert_eq!(refused.problem(), (403, "forbidden".to_owned()));
    }
    elsewhere.end().await;

    let officials_from = vec!["127.0.0.0/8".parse().expect("a range")];
    let office = Served::empty(Config { officials_from, ..config() }).await;
    let token = token_of(&office, EMAIL, AccountRole::Administrator).await;
    assert_eq!(call(&office, &token, "GET", ME, None).await.status, 200);
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_known_origins_call_with_tokens_and_no_others() {
    let origin = "https://app.exemple.ca";
    let cors_origins = vec![origin.to_owned()];
    let served = Served::empty(Config { cors_origins, ..config() }).await;
    let token = token_of(&served, EMAIL, AccountRole::Auditor).await;
    let bearer = format!("Bearer {token}");
    let allowed = |answer: &Answer| answer.header("access-control-allow-origin").to_owned();
    let asks = ("access-control-request-method", "POST");
    for path in ["/api/v1/auth/login", REFRESH, ME, "/api/v1/accounts"] {
        let preflight = send(&served, "OPTIONS", path, &[("origin", origin), asks], None).await;
        assert_eq!((preflight.status.as_u16(), allowed(&preflight).as_str()), (204, origin));
        let headers = preflight.header("access-control-allow-headers");
        assert!(headers.contains("authorization") && headers.contains("content-type"));
        assert!(!preflight.headers.contains_key("access-control-allow-credentials"));
        assert_eq!(preflight.header("vary"), "Origin");
        for other in ["https://evil.example", "null", "http://app.exemple.ca"] {
            let preflight = send(&served, "OPTIONS", path, &[("origin", other), asks], None).await;
            assert_eq!((preflight.status.as_u16(), allowed(&preflight).as_str()), (405, ""));
        }
    }
    let own = [("origin", origin), ("authorization", bearer.as_str())];
    let me = send(&served, "GET", ME, &own, None).await;
    assert_eq!((me.status.as_u16(), allowed(&me).as_str()), (200, origin));
    let refused = send(&served, "GET", ME, &[("origin", origin)], None).await;
    assert_eq!((refused.status.as_u16(), allowed(&refused).as_str()), (401, origin));
    let other = [("origin", "https://evil.example"), ("authorization", bearer.as_str())];
    let me = send(&served, "GET", ME, &other, None).await;
    assert_eq!((me.status.as_u16(), allowed(&me).as_str()), (200, ""));
    assert_eq!(me.header("vary"), "Origin");
    // Public reads stay as they are, and votes are no calls of accounts.
    let results = send(&served, "GET", "/api/v1/results", &[("origin", origin)], None).await;
    assert_eq!(allowed(&results), "*");
    let vote = send(&served, "OPTIONS", "/api/v1/vote", &[("origin", origin), asks], None).await;
    assert_eq!((vote.status.as_u16(), allowed(&vote).as_str()), (405, ""));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_have_a_share_of_their_own() {
    let config = Config { rate_limit_per_address_per_second: Some(10), ..config() };
    let served = Served::empty(config).await;
    let mut answers = Vec::new();
    for number in 0..4 {
        let email = format!("unknown-{number}@exemple.ca");
        answers.push(login(&served, &email, PASSWORD, "").await.problem());
    }
    let share = (429, "rate-limited".to_owned());
    assert_eq!(answers[0], refused("sign-in-refused"));
    assert!(answers.contains(&share), "{answers:?}");
    let mut client = Client::connect(served.at.public).await;
    assert_eq!(client.get("/api/v1/elections").await.status, 200, "reads are not affected");
    served.end().await;
}
