//! The answers that pages of other origins can read: those of handlers, and refusals of every check
//! before them.

use crate::account_support::{send, token_of};
use crate::http_support::{Answer, Client, Served, config};
use crate::support::{LAW, create_request};
use votekit_node::config::Config;
use votekit_store::AccountRole;

/// The origin that the node names.
const KNOWN: &str = "https://app.exemple.ca";

const OTHER: &str = "https://evil.example";
const JSON: (&str, &str) = ("content-type", "application/json");
const LOGIN: &str = "/api/v1/auth/login";

fn with_origin(config: Config) -> Config {
    Config { cors_origins: vec![KNOWN.to_owned()], ..config }
}

fn allowed(answer: &Answer) -> &str {
    answer.header("access-control-allow-origin")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_can_be_read_where_the_answer_could_be() {
    let served = Served::open_with(with_origin(config()), create_request()).await;
    let unknown_vote = format!("/api/v1/vote/{}", "0".repeat(32));
    let checkpoint = format!("/log/{LAW}/checkpoint");
    let mut client = Client::connect(served.at.public).await;
    for (method, path, status, for_known, for_other) in [
        ("POST", "/api/v1/results", 405, "*", "*"),
        ("DELETE", checkpoint.as_str(), 405, "*", "*"),
        ("GET", "/log/nothing", 404, "*", "*"),
        ("GET", "/api/v1/results/L9", 404, "*", "*"),
        ("GET", LOGIN, 405, KNOWN, ""),
        ("GET", "/api/v1/nothing", 404, KNOWN, ""),
        ("GET", "/api/v1/elections/L9", 404, KNOWN, ""),
        ("PUT", "/api/v1/votes/L9", 404, KNOWN, ""),
        ("GET", "/api/v1/user/voted-elections", 401, KNOWN, ""),
        ("GET", unknown_vote.as_str(), 404, KNOWN, ""),
        ("GET", "/api/v1/vote", 405, "", ""),
        ("GET", "/fr/nothing", 404, "", ""),
        ("GET", "/nothing", 404, "", ""),
    ] {
        for (origin, expected) in [(KNOWN, for_known), (OTHER, for_other)] {
            let answer = client.send(method, path, &[("origin", origin)], "").await;
            assert_eq!(answer.status.as_u16(), status, "{method} {path}");
            assert_eq!(allowed(&answer), expected, "{method} {path} from {origin}");
            assert!(!answer.headers.contains_key("access-control-allow-credentials"));
        }
    }
    // Before the body is read.
    let huge = "x".repeat((1 << 20) + 1);
    let coded = ("transfer-encoding", "gzip, chunked");
    for (headers, body, status) in [
        (vec![JSON], huge.as_str(), 413),
        (vec![JSON, coded], "{}", 501),
        (vec![("content-type", "text/plain")], "{}", 415),
    ] {
        let headers = [&headers[..], &[("origin", KNOWN)]].concat();
        let mut client = Client::connect(served.at.public).await;
        let answer = client.send("POST", LOGIN, &headers, body.to_owned()).await;
        assert_eq!((answer.status.as_u16(), allowed(&answer)), (status, KNOWN));
    }
    served.end().await;
}

/// Repeats a call until the gate refuses it: with one call a second, the second or third call.
async fn refused(client: &mut Client, method: &str, path: &str, origin: &str) -> Answer {
    for _ in 0..100 {
        let answer = client.send(method, path, &[("origin", origin), JSON], "{}").await;
        if answer.status == 429 {
            return answer;
        }
    }
    panic!("{method} {path} is not refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_refuses_readably_too() {
    let limited = Config {
        read_limit_per_address_per_second: 1,
        rate_limit_per_address_per_second: Some(10),
        ..config()
    };
    let served = Served::open_with(with_origin(limited), create_request()).await;
    let mut client = Client::connect(served.at.public).await;
    for (method, path, for_known, for_other) in [
        ("GET", "/api/v1/results", "*", "*"),
        ("GET", "/api/v1/elections", KNOWN, ""),
        ("POST", LOGIN, KNOWN, ""),
        ("PUT", "/api/v1/votes/L9", KNOWN, ""),
        ("GET", "/api/v1/health", "", ""),
    ] {
        for (origin, expected) in [(KNOWN, for_known), (OTHER, for_other)] {
            let answer = refused(&mut client, method, path, origin).await;
            assert_eq!(allowed(&answer), expected, "{method} {path} from {origin}");
            let exposed = answer.header("access-control-expose-headers");
            assert_eq!(exposed.contains("Retry-After"), !expected.is_empty(), "{path}");
        }
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_known_origin_votes_with_the_token_of_a_member() {
    let served = Served::open_with(with_origin(config()), create_request()).await;
    let path = format!("/api/v1/votes/{LAW}");
    let asks = ("access-control-request-method", "PUT");
    for (origin, expected) in [(KNOWN, (204, KNOWN)), (OTHER, (405, ""))] {
        let preflight = send(&served, "OPTIONS", &path, &[("origin", origin), asks], None).await;
        assert_eq!((preflight.status.as_u16(), allowed(&preflight)), expected);
    }
    let token = token_of(&served, "member@exemple.ca", AccountRole::Voter).await;
    let bearer = format!("Bearer {token}");
    let key = ("idempotency-key", "a-key-that-others-cannot-guess");
    let headers = [("origin", KNOWN), ("authorization", bearer.as_str()), key];
    let body = Some(serde_json::json!({"vote": "oui"}));
    // The election has a roll, so the account does not belong to a member of it, and the page can
    // read this refusal.
    let answer = send(&served, "PUT", &path, &headers, body).await;
    assert_eq!((answer.problem(), allowed(&answer)), ((403, "forbidden".to_owned()), KNOWN));
    served.end().await;
}
