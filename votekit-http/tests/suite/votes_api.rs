//! Voters at the interface for programs: sign-in for several laws, the vote with the cookie of a
//! session, the view of the session afterwards, and the refusals.

use crate::account_support::{account, call, send, token_of};
use crate::http_support::{Answer, Client, Served, config};
use crate::officials::Official;
use crate::support::{LAW, create_request, credential, law};
use serde_json::{Value, json};
use votekit_core::credential::Credential;
use votekit_core::election::ResultsPolicy;
use votekit_node::{CreateElection, OpenElection};
use votekit_store::AccountRole;

const SESSION: &str = "/api/v1/session";
const KEY: &str = "8e03978e-40d5-43e8-bc93-6894a57f9324";

/// A front end that runs in a browser, on this node's origin.
struct FrontEnd {
    client: Client,
    cookie: String,
}

impl FrontEnd {
    async fn open(served: &Served) -> Self {
        Self { client: Client::connect(served.at.public).await, cookie: String::new() }
    }

    async fn send(
        &mut self,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let cookie = self.cookie.clone();
        let mut headers = vec![
            ("origin", "http://localhost"),
            ("content-type", "application/json"),
            ("cookie", cookie.as_str()),
        ];
        headers.extend(more);
        let answer = self.client.send(method, path, &headers, body.to_owned()).await;
        if let Some(pair) =
            answer.header("set-cookie").split(';').next().filter(|it| !it.is_empty())
        {
            self.cookie = pair.to_owned();
        }
        answer
    }

    async fn sign_in(&mut self, index: u32, laws: &[&str]) -> Answer {
        let body = sign_in(index, laws).to_string();
        self.send("POST", SESSION, &[], &body).await
    }

    async fn vote(&mut self, law: &str, choice: &str) -> Answer {
        let headers = [("idempotency-key", KEY), ("prefer", "wait=30")];
        let body = json!({"vote": choice}).to_string();
        self.send("PUT", &format!("/api/v1/votes/{law}"), &headers, &body).await
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }
}

fn sign_in(index: u32, laws: &[&str]) -> Value {
    let Credential { nas, code, .. } = credential(index);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("ASCII");
    json!({"nas": text(nas.as_bytes()), "code": text(code.as_bytes()), "law_ids": laws})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_signs_in_votes_once_and_sees_it() {
    let served = Served::open().await;
    let mut voter = FrontEnd::open(&served).await;
    let signed_in = voter.sign_in(1, &[LAW, "L9"]).await;
    assert_eq!(signed_in.json(), json!({"recognised": [LAW], "not_recognised": ["L9"]}));
    assert_eq!(signed_in.header("cache-control"), "no-store");
    assert!(signed_in.header("set-cookie").ends_with("; HttpOnly; SameSite=Strict"));
    let before = voter.get("/api/v1/elections").await;
    assert_eq!(before.json()[0]["has_voted"], false);
    assert_eq!(voter.get("/api/v1/user/voted-elections").await.json(), json!([]));

    let signed_in_cookie = voter.cookie.clone();
    let cast = voter.vote(LAW, "oui").await;
    assert_eq!((cast.status.as_u16(), &cast.json()["status"]), (200, &json!("accepted")));
    let request = cast.request_id();
    assert_ne!(voter.cookie, signed_in_cookie, "the session was renewed");

    let seen = voter.get(&format!("/api/v1/elections/{LAW}")).await;
    assert_eq!(
        (&seen.json()["has_voted"], seen.header("cache-control")),
        (&json!(true), "no-store")
    );
    let voted = voter.get("/api/v1/user/voted-elections").await.json();
    assert_eq!((&voted[0]["law_id"], &voted[0]["request_id"]), (&json!(LAW), &json!(request)));
    let twice = voter.vote(LAW, "non").await;
    assert_eq!(twice.problem(), (409, "already-cast".to_owned()));
    assert_eq!(twice.request_id(), request);

    // The answer was lost: the browser has the cookie from before, and repeats the request.
    voter.cookie = signed_in_cookie;
    assert_eq!(voter.vote(LAW, "oui").await.request_id(), request);
    assert_eq!(served.node.elections()[0].received, 1);
    let anonymous = served.get("/api/v1/elections").await;
    assert!(anonymous.json()[0].get("has_voted").is_none());

    let out = voter.send("DELETE", SESSION, &[], "").await;
    assert_eq!(out.status, 204);
    assert!(voter.cookie.ends_with('='), "{}", voter.cookie);
    assert_eq!(voter.vote(LAW, "oui").await.problem(), (401, "not-signed-in".to_owned()));
    let voted = voter.get("/api/v1/user/voted-elections").await;
    assert_eq!(voted.problem(), (401, "not-signed-in".to_owned()));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_wait_the_vote_is_received_like_any_other() {
    let served = Served::open().await;
    let mut voter = FrontEnd::open(&served).await;
    voter.sign_in(2, &[LAW]).await;
    let path = format!("/api/v1/votes/{LAW}");
    let cast = voter.send("PUT", &path, &[("idempotency-key", KEY)], r#"{"vote":"non"}"#).await;
    assert_eq!((cast.status.as_u16(), &cast.json()["status"]), (202, &json!("pending")));
    assert_eq!(cast.header("location"), format!("/api/v1/vote/{}", cast.request_id()));
    assert!(!cast.header("set-cookie").is_empty());
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_votes_are_refused_and_the_session_still_votes() {
    let served = Served::open().await;
    let mut voter = FrontEnd::open(&served).await;
    let path = format!("/api/v1/votes/{LAW}");
    let body = r#"{"vote":"oui"}"#;
    let unsigned = voter.send("PUT", &path, &[("idempotency-key", KEY)], body).await;
    assert_eq!(unsigned.problem(), (401, "not-signed-in".to_owned()));
    voter.sign_in(3, &[LAW]).await;
    let field = |answer: &Answer| {
        assert_eq!(answer.problem(), (400, "malformed".to_owned()));
        assert!(!answer.text().contains("S3CRET"), "{}", answer.text());
        answer.json()["errors"][0]["field"].as_str().expect("a field").to_owned()
    };
    let without_key = voter.send("PUT", &path, &[], body).await;
    assert_eq!(field(&without_key), "Idempotency-Key");
    for (body, expected) in [
        ("{}", "vote"),
        (r#"{"vote":5}"#, "vote"),
        (r#"{"vote":"S3CRET!"}"#, "vote"),
        (r#"{"vote":"oui","vote":"non"}"#, "vote"),
        (r#"{"vote":"oui","S3CRET":1}"#, "body"),
        (r#"["S3CRET"]"#, "body"),
        ("", "body"),
    ] {
        let refused = voter.send("PUT", &path, &[("idempotency-key", KEY)], body).await;
        assert_eq!(field(&refused), expected, "{body}");
    }
    let choice = voter.vote(LAW, "peut-etre").await;
    assert_eq!(choice.problem(), (400, "unknown-choice".to_owned()));
    assert_eq!(voter.vote("L9", "oui").await.problem(), (404, "unknown-election".to_owned()));

    // A page of another site, with the voter's cookie.
    let cookie = voter.cookie.clone();
    for origin in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        for (method, path) in [("PUT", path.as_str()), ("DELETE", SESSION), ("POST", SESSION)] {
            let headers = [
                origin,
                ("cookie", cookie.as_str()),
                ("content-type", "application/json"),
                ("idempotency-key", KEY),
            ];
            let mut client = Client::connect(served.at.public).await;
            let refused = client.send(method, path, &headers, body).await;
            assert_eq!(refused.problem(), (403, "foreign-origin".to_owned()), "{method} {path}");
        }
    }
    assert_eq!(served.node.elections()[0].received, 0, "nothing was cast");
    assert_eq!(voter.vote(LAW, "oui").await.status, 200);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_is_one_attempt_and_repeats_nothing() {
    let served = Served::open().await;
    let mut voter = FrontEnd::open(&served).await;
    let mut wrong = sign_in(4, &[LAW]);
    wrong["code"] = json!("S3CRET99");
    let unknown = json!({"nas": "999999998", "code": "S3CRET99", "law_ids": [LAW]});
    let unknown = voter.send("POST", SESSION, &[], &unknown.to_string()).await;
    for _ in 0..6 {
        let refused = voter.send("POST", SESSION, &[], &wrong.to_string()).await;
        assert_eq!(refused.text(), unknown.text(), "an unknown NAS is refused like a wrong code");
        assert_eq!(refused.problem(), (401, "sign-in-refused".to_owned()));
        let detail = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains("NAS and code are not recognised"), "{detail}");
        assert!(refused.header("set-cookie").is_empty());
    }
    let held_up = voter.sign_in(4, &[LAW]).await;
    assert_eq!(held_up.problem(), (429, "back-off".to_owned()));
    for (body, expected) in [
        (
            json!({"nas": "12345678X", "code": "|S3CRET", "law_ids": []}),
            vec!["nas", "code", "law_ids"],
        ),
        (json!({"nas": 5, "code": null}), vec!["nas", "code", "law_ids"]),
        (json!({"nas": "000000005", "code": "CODE0005", "law_ids": ["a b"]}), vec!["law_ids"]),
    ] {
        let refused = voter.send("POST", SESSION, &[], &body.to_string()).await;
        assert_eq!(refused.problem(), (400, "malformed".to_owned()));
        let errors = refused.json()["errors"].as_array().expect("errors").clone();
        let fields: Vec<_> = errors.iter().map(|error| error["field"].clone()).collect();
        assert_eq!(fields, expected, "{body}");
        assert!(!refused.text().contains("S3CRET") && !refused.text().contains("12345678"));
    }
    let unknown = voter.sign_in(5, &["L8", "L9"]).await;
    assert_eq!(unknown.problem(), (404, "unknown-election".to_owned()));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_after_the_vote_are_shown_to_the_session_that_cast_it() {
    let request = CreateElection { results: Some(ResultsPolicy::AfterVote), ..create_request() };
    let served = Served::open_with(config(), request).await;
    let results = format!("/api/v1/results/{LAW}");
    let mut voter = FrontEnd::open(&served).await;
    voter.sign_in(6, &[LAW]).await;
    let withheld = voter.get(&results).await;
    assert_eq!(withheld.problem(), (403, "results-withheld".to_owned()));
    let cast = voter.vote(LAW, "oui").await;
    assert_eq!(cast.json()["status"], "accepted");
    assert!(!cast.header("votekit-voter-token").is_empty());
    let shown = voter.get(&results).await;
    let expected = (200, "private, no-store");
    assert_eq!((shown.status.as_u16(), shown.header("cache-control")), expected);
    assert_eq!(served.get(&results).await.problem(), (403, "results-withheld".to_owned()));
    // A second vote with the credential is a duplicate: it opens nothing.
    let mut again = FrontEnd::open(&served).await;
    again.sign_in(6, &[LAW]).await;
    assert_eq!(again.vote(LAW, "non").await.json()["status"], "duplicate");
    assert_eq!(again.get(&results).await.problem(), (403, "results-withheld".to_owned()));
    served.end().await;
}

/// An election of the members of another association.
const OTHER_CLUB: &str = "CLUB-2";

#[tokio::test(flavor = "multi_thread")]
async fn a_member_votes_once_with_a_token_and_sees_it_without_a_request() {
    let served = Served::empty(config()).await;
    let emails = ["membre@exemple.ca", "autre@exemple.ca"];
    for (law, email) in [LAW, OTHER_CLUB].into_iter().zip(emails) {
        let request = CreateElection { law_id: law.to_owned(), ..create_request() };
        let members = [account(email, AccountRole::Voter).id];
        served.node.create_with_members(request, &members).await.expect("created");
        let law = law.parse().expect("a law id");
        served.node.open(&law, OpenElection::default()).await.expect("opened");
    }
    let token = token_of(&served, emails[0], AccountRole::Voter).await;
    let other = token_of(&served, emails[1], AccountRole::Voter).await;
    let seen = async |token: &str| {
        let path = format!("/api/v1/elections/{LAW}");
        let election = call(&served, token, "GET", &path, None).await.json();
        let voted = call(&served, token, "GET", "/api/v1/user/voted-elections", None).await;
        assert_eq!(voted.header("cache-control"), "no-store");
        (election["has_voted"].clone(), voted.json())
    };
    let vote = async |law: &str, key: &str, choice: &str| {
        let bearer = format!("Bearer {token}");
        let headers =
            [("authorization", bearer.as_str()), ("idempotency-key", key), ("prefer", "wait=30")];
        let body = Some(json!({ "vote": choice }));
        send(&served, "PUT", &format!("/api/v1/votes/{law}"), &headers, body).await
    };
    assert_eq!(seen(token.as_str()).await, (json!(false), json!([])));
    let elsewhere = vote(OTHER_CLUB, KEY, "oui").await;
    assert_eq!(elsewhere.problem(), (403, "forbidden".to_owned()));
    let cast = vote(LAW, KEY, "oui").await;
    assert_eq!((cast.status.as_u16(), &cast.json()["status"]), (200, &json!("accepted")));
    assert!(cast.header("set-cookie").is_empty());
    assert_eq!(vote(LAW, KEY, "oui").await.request_id(), cast.request_id(), "a retry");
    assert_eq!(served.node.election(&law()).map(|election| election.received), Some(1));
    let again = vote(LAW, "another-key-of-24-letters", "non").await;
    assert_eq!(again.json()["status"], "duplicate");

    let (has_voted, voted) = seen(token.as_str()).await;
    assert_eq!((has_voted, voted.as_array().map(Vec::len)), (json!(true), Some(1)));
    // No record joins the account and the request.
    assert_eq!((&voted[0]["law_id"], &voted[0]["request_id"]), (&json!(LAW), &Value::Null));
    assert_eq!(seen(other.as_str()).await, (json!(false), json!([])));
    let official = Official::sign_in(&served, AccountRole::Auditor).await;
    assert_eq!(seen(official.token.as_str()).await, (Value::Null, json!([])));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_official_has_no_vote() {
    let served = Served::open().await;
    let official = Official::sign_in(&served, AccountRole::Administrator).await;
    let token = format!("Bearer {}", official.token);
    let headers = [
        ("authorization", token.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", KEY),
    ];
    let mut client = Client::connect(served.at.public).await;
    let path = format!("/api/v1/votes/{LAW}");
    let refused = client.send("PUT", &path, &headers, r#"{"vote":"oui"}"#).await;
    assert_eq!(refused.problem(), (403, "forbidden".to_owned()));
    let voted = official.get("/api/v1/user/voted-elections").await;
    assert_eq!(voted.json(), json!([]));
    served.end().await;
}
