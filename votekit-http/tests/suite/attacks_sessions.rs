//! Misused cookies and tokens: fixed before a sign-in, swapped between purposes, nodes and
//! elections, used after a sign-out.

use crate::account_support::{PASSWORD, RECOVERY_CODES, add, login, send};
use crate::attack_support::{
    ACCOUNT_COOKIE, JSON, OWN_ORIGIN, VOTER_COOKIE, begin_session, cookie_of, get, post, sign_in,
    typed,
};
use crate::form_support::hidden;
use crate::http_support::{Answer, Client, Served, config};
use crate::support::{LAW, TestDir, create_request, law};
use serde_json::json;
use votekit_node::OpenElection;
use votekit_store::{AccountId, AccountRole};

const KEY: &str = "8e03978e-40d5-43e8-bc93-6894a57f9324";

/// Votes through the interface with the cookie of a voter.
async fn vote(served: &Served, cookie: &str, choice: &str, key: &str) -> Answer {
    let headers =
        [("cookie", cookie), JSON, OWN_ORIGIN, ("idempotency-key", key), ("prefer", "wait=30")];
    let body = json!({ "vote": choice }).to_string();
    let mut client = Client::connect(served.at.public).await;
    client.send("PUT", &format!("/api/v1/votes/{LAW}"), &headers, body).await
}

/// The value of a cookie.
fn value(cookie: &str) -> &str {
    cookie.split_once('=').expect("a value").1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_one_purpose_is_none_of_another() {
    let served = Served::open().await;
    let account = add(&served.node, "admin@exemple.ca", AccountRole::Administrator).await;
    let page = begin_session(&served.node, account.id, "pages").await;
    let pair = login(&served, "admin@exemple.ca", PASSWORD, RECOVERY_CODES[0]).await.json();
    let access = pair["access_token"].as_str().expect("a token");
    let refresh = pair["refresh_token"].as_str().expect("a token");
    let voter = sign_in(&served, LAW, 1).await;
    let node = served.node.admin_token().expect("a token");
    for other in [access, refresh, value(&voter), node.as_str(), ""] {
        let answer = get(&served, "/fr/officials", &format!("{ACCOUNT_COOKIE}={other}")).await;
        assert_eq!(answer.header("location"), "/fr/accounts/sign-in");
        assert_eq!(get(&served, "/fr/officials", &format!("x={other}")).await.status, 303);
    }
    for other in [access, refresh, value(&page), node.as_str(), &"A".repeat(value(&voter).len())] {
        let cookie = format!("{VOTER_COOKIE}={other}");
        let answer = vote(&served, &cookie, "oui", KEY).await;
        assert_eq!(answer.problem(), (401, "not-signed-in".to_owned()));
    }
    for other in [access, value(&page), value(&voter), node.as_str()] {
        let body = json!({ "refresh_token": other });
        let answer = send(&served, "POST", "/api/v1/auth/refresh", &[], Some(body)).await;
        assert_eq!(answer.problem(), (401, "token-refused".to_owned()));
        let invitation = format!("/fr/accounts/invitation?token={other}");
        assert_eq!(served.get(&invitation).await.status, 410);
    }
    // None of these attempts has used up or ended the valid tokens and sessions.
    assert_eq!(get(&served, "/fr/officials", &page).await.status, 200);
    let body = json!({ "refresh_token": refresh });
    let answer = send(&served, "POST", "/api/v1/auth/refresh", &[], Some(body)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(vote(&served, &voter, "oui", KEY).await.json()["status"], "accepted");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_is_of_its_node_and_its_elections() {
    let (served, other) = (Served::open().await, Served::open().await);
    let roll = TestDir::with_laws(&[("OTHER-1", "OTHER", 30)]);
    roll.open_polls_of(&served.node).await;
    let cookie = sign_in(&served, LAW, 1).await;
    let elsewhere = vote(&other, &cookie, "oui", KEY).await;
    assert_eq!(elsewhere.problem(), (401, "not-signed-in".to_owned()));
    let ballot = format!("/fr/vote/{LAW}/ballot");
    assert_eq!(get(&other, &ballot, &cookie).await.status, 303, "to the sign-in");
    // The session of one election casts nothing in another.
    let headers = [("cookie", cookie.as_str()), JSON, OWN_ORIGIN, ("idempotency-key", KEY)];
    let mut client = Client::connect(served.at.public).await;
    let body = r#"{"vote":"oui"}"#;
    let answer = client.send("PUT", "/api/v1/votes/OTHER-1", &headers, body).await;
    assert_eq!(answer.problem(), (401, "not-signed-in".to_owned()));
    let answer = get(&served, "/fr/vote/OTHER-1/ballot", &cookie).await;
    assert_eq!(answer.header("location"), "/fr/vote/OTHER-1");
    for (served, elections) in [(served, 2), (other, 1)] {
        let found = served.node.elections();
        assert_eq!(found.len(), elections);
        assert!(found.iter().all(|election| election.received == 0));
        served.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_an_attacker_has_fixed_gets_nothing_of_its_victim() {
    let served = Served::open().await;
    // The attacker's session, put into the browser of the victim.
    let attackers = sign_in(&served, LAW, 1).await;
    let ballot = format!("/fr/vote/{LAW}/ballot");
    let page = get(&served, &ballot, &attackers).await;
    let attackers_token = hidden(page.text(), &ballot, "token");
    let (nas, code) = typed(2);
    let fields = [("nas", nas.as_str()), ("code", code.as_str())];
    let answer = post(&served, &format!("/fr/vote/{LAW}"), &attackers, &fields).await;
    let victims = cookie_of(&answer);
    assert!(!victims.is_empty() && victims != attackers);
    let fields = [("choice", "oui"), ("token", attackers_token.as_str())];
    assert_eq!(post(&served, &ballot, &victims, &fields).await.status, 403);
    let cast = vote(&served, &victims, "oui", KEY).await;
    let request = cast.request_id();
    // The attacker's cookie can see and cast only the attacker's own vote.
    let voted = get(&served, "/api/v1/user/voted-elections", &attackers).await;
    assert_eq!(voted.json(), json!([]));
    let own = vote(&served, &attackers, "non", KEY).await;
    assert_eq!(own.json()["status"], "accepted");
    assert_ne!(own.request_id(), request);

    let account = add(&served.node, "admin@exemple.ca", AccountRole::Administrator).await;
    let fixed = format!("{ACCOUNT_COOKIE}={}", "F".repeat(43));
    let fields =
        [("email", account.email.as_str()), ("password", PASSWORD), ("code", RECOVERY_CODES[0])];
    let signed_in = post(&served, "/fr/accounts/sign-in", &fixed, &fields).await;
    assert_eq!(signed_in.header("location"), "/fr/officials");
    let own = cookie_of(&signed_in);
    assert!(own.starts_with(ACCOUNT_COOKIE) && own != fixed);
    assert_eq!(get(&served, "/fr/officials", &fixed).await.status, 303);
    assert_eq!(get(&served, "/fr/officials", &own).await.status, 200);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_sent_again_after_the_sign_out_does_nothing() {
    let served = Served::open().await;
    let account = add(&served.node, "admin@exemple.ca", AccountRole::Administrator).await;
    let cookie = begin_session(&served.node, account.id, "pages").await;
    let close = format!("/fr/officials/elections/{LAW}/close");
    let page = get(&served, &close, &cookie).await;
    let token = hidden(page.text(), &close, "token");
    let sign_out = "/fr/accounts/sign-out";
    let of_sign_out = hidden(page.text(), sign_out, "token");
    let ended = post(&served, sign_out, &cookie, &[("token", of_sign_out.as_str())]).await;
    assert_eq!(ended.status, 200);
    assert!(ended.header("set-cookie").contains("Max-Age=0"));
    let fields = [("token", token.as_str()), ("confirm", LAW)];
    let answer = post(&served, &close, &cookie, &fields).await;
    let asked = format!("/fr/accounts/sign-in?next=/officials/elections/{LAW}/close");
    assert_eq!(answer.header("location"), asked, "the copy of the cookie is void");
    // The token is bound to the session: a new session of the same account does not accept it.
    let next = begin_session(&served.node, account.id, "next").await;
    assert_eq!(post(&served, &close, &next, &fields).await.status, 403);
    assert_eq!(served.node.elections()[0].state, "open");

    let voter = sign_in(&served, LAW, 3).await;
    let (ballot, cast) = (format!("/fr/vote/{LAW}/ballot"), format!("/fr/vote/{LAW}/cast"));
    let page = get(&served, &ballot, &voter).await;
    let sign_out = hidden(page.text(), "/fr/sign-out", "token");
    let token = hidden(page.text(), &ballot, "token");
    let fields = [("choice", "oui"), ("token", token.as_str())];
    let check = post(&served, &ballot, &voter, &fields).await;
    let (key, token) = (hidden(check.text(), &cast, "key"), hidden(check.text(), &cast, "token"));
    let ended = post(&served, "/fr/sign-out", &voter, &[("token", sign_out.as_str())]).await;
    let cleared = cookie_of(&ended);
    assert_eq!(cleared, format!("{VOTER_COOKIE}="));
    let fields = [("choice", "oui"), ("key", key.as_str()), ("token", token.as_str())];
    for cookie in ["", cleared.as_str()] {
        assert_eq!(post(&served, &cast, cookie, &fields).await.status, 403, "{cookie}");
    }
    assert_eq!(served.node.elections()[0].received, 0);
    served.end().await;
}

/// A copy of the cookie that was made before the sign-out: at a shared computer, or by a thief.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_voters_cookie_opens_nothing_after_the_sign_out() {
    let served = Served::open().await;
    let ballot = format!("/fr/vote/{LAW}/ballot");
    for (index, is_page) in [(5, true), (6, false)] {
        let first = sign_in(&served, LAW, index).await;
        // The page renews the cookie: there are two of one session.
        let page = get(&served, &ballot, &first).await;
        let renewed = cookie_of(&page);
        assert!(!renewed.is_empty() && renewed != first);
        let (ballot_token, sign_out_token) =
            (hidden(page.text(), &ballot, "token"), hidden(page.text(), "/fr/sign-out", "token"));
        if is_page {
            let fields = [("token", sign_out_token.as_str())];
            assert_eq!(post(&served, "/fr/sign-out", &renewed, &fields).await.status, 200);
        } else {
            let mut client = Client::connect(served.at.public).await;
            let headers = [("cookie", renewed.as_str()), OWN_ORIGIN];
            assert_eq!(client.send("DELETE", "/api/v1/session", &headers, "").await.status, 204);
        }
        for copy in [&first, &renewed] {
            let cast = vote(&served, copy, "oui", KEY).await;
            assert_eq!(cast.problem(), (401, "not-signed-in".to_owned()), "{index}");
            let voted = get(&served, "/api/v1/user/voted-elections", copy).await;
            assert_eq!(voted.problem(), (401, "not-signed-in".to_owned()), "{index}");
            assert_eq!(get(&served, &ballot, copy).await.status, 303, "to the sign-in");
            let fields = [("choice", "oui"), ("token", ballot_token.as_str())];
            assert_eq!(post(&served, &ballot, copy, &fields).await.status, 403, "{index}");
        }
        // The voter signs in again, beside the copy, and votes.
        let again = sign_in(&served, LAW, index).await;
        assert_eq!(vote(&served, &again, "oui", KEY).await.json()["status"], "accepted");
    }
    served.end().await;
}

/// A cookie from before the vote casts nothing a second time.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_voters_cookie_changes_no_vote() {
    let served = Served::open().await;
    let copy = sign_in(&served, LAW, 4).await;
    let cast = vote(&served, &copy, "oui", KEY).await;
    assert_eq!(cast.json()["status"], "accepted");
    let renewed = cookie_of(&cast);
    let again = vote(&served, &renewed, "non", "another-key-of-24-letters").await;
    assert_eq!(again.problem(), (409, "already-cast".to_owned()));
    let stolen = vote(&served, &copy, "non", "another-key-of-24-letters").await;
    assert_eq!(stolen.json()["status"], "duplicate");
    let results = served.get(&format!("/api/v1/results/{LAW}")).await.json();
    assert_eq!((&results["oui_count"], &results["non_count"]), (&json!(1), &json!(0)));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ballot_of_a_member_does_not_outlive_the_session_of_the_account() {
    let served = Served::empty(config()).await;
    let member = AccountId([7; 16]);
    served.node.create_with_members(create_request(), &[member]).await.expect("created");
    served.node.open(&law(), OpenElection::default()).await.expect("opened");
    let account = votekit_store::Account {
        id: member,
        ..crate::account_support::account("membre@exemple.ca", AccountRole::Voter)
    };
    served.node.accounts().add(&[account]).await.expect("added");
    let session = begin_session(&served.node, member, "pages").await;
    let entered = get(&served, &format!("/fr/members/{LAW}"), &session).await;
    let ballot = cookie_of(&entered);
    assert!(ballot.starts_with(VOTER_COOKIE), "{ballot}");
    let list = get(&served, "/fr/members", &session).await;
    let sign_out = "/fr/accounts/sign-out";
    let token = hidden(list.text(), sign_out, "token");
    let both = format!("{session}; {ballot}");
    let ended = post(&served, sign_out, &both, &[("token", token.as_str())]).await;
    assert_eq!(ended.status, 200);
    let cookies: Vec<_> = ended.headers.get_all("set-cookie").iter().collect();
    for name in [ACCOUNT_COOKIE, VOTER_COOKIE] {
        let is_removed =
            |set: &str| set.starts_with(&format!("{name}=;")) && set.contains("Max-Age=0");
        let is_found = cookies.iter().any(|set| set.to_str().is_ok_and(is_removed));
        assert!(is_found, "{name}: {cookies:?}");
    }
    // Nor does a copy of either cookie.
    let cast = vote(&served, &ballot, "oui", KEY).await;
    assert_eq!(cast.problem(), (401, "not-signed-in".to_owned()));
    assert_eq!(get(&served, "/fr/members", &session).await.status, 303, "to the sign-in");
    served.end().await;
}
