//! The public interface over real connections: votes of every kind, every bad input, and the data
//! that answers contain and withhold.

use std::time::{Duration, Instant};

use crate::http_support::{Client, Served, ballot, config, guess};
use crate::support::{LAW, create_request, law};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use votekit_core::election::ResultsPolicy;
use votekit_core::log::policy::Policy;
use votekit_core::log::proof::Proof;
use votekit_node::CreateElection;
use votekit_node::config::Config;
use votekit_node::config::ThrottleConfig;

const WAIT: (&str, &str) = ("prefer", "wait=30");
const KEY: &str = "a-key-of-20-letters.";

/// An upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_is_taken_decided_and_proved() {
    let served = Served::open().await;
    let mut client = Client::connect(served.at.public).await;
    let taken = client.vote(&ballot(1, "oui"), &[]).await;
    assert_eq!(taken.status, 202);
    assert_eq!(taken.header("content-type"), "application/json");
    let request = taken.request_id();
    assert_eq!(taken.header("location"), format!("/api/v1/vote/{request}"));
    assert_eq!(taken.header("cache-control"), "no-store");
    assert_eq!(taken.json(), json!({"request_id": request, "status": "pending"}));

    let second = client.vote(&ballot(1, "non"), &[WAIT]).await;
    assert_eq!((second.status.as_u16(), second.header("preference-applied")), (200, "wait=30"));
    assert_eq!(
        second.json(),
        json!({"request_id": second.request_id(), "status": "duplicate", "attempt_count": 2})
    );
    // The log is in order: the first vote is already decided.
    let first = client.get(&format!("/api/v1/vote/{request}")).await;
    assert_eq!(first.json(), json!({"request_id": request, "status": "accepted"}));
    assert_eq!(first.header("cache-control"), "no-store");
    assert_eq!(client.get(taken.header("location")).await.json(), first.json());
    let unknown = client.vote(&ballot(99, "non"), &[WAIT]).await;
    assert_eq!(
        unknown.json(),
        json!({"request_id": unknown.request_id(), "status": "invalid", "reason": "unknown"})
    );

    let receipt = client.get(&format!("/api/v1/vote/{request}/receipt")).await;
    assert_eq!(
        (receipt.status.as_u16(), receipt.header("content-type")),
        (200, "text/plain; charset=utf-8")
    );
    assert!(receipt.header("content-disposition").contains(&format!("{request}.tlog-proof")));
    let policy = client.get(&format!("/log/{LAW}/policy")).await;
    let policy = Policy::parse(&policy.body).expect("a policy");
    let proof = Proof::parse(&receipt.body).expect("a proof");
    proof.verify_strict(proof.extra(), &policy).expect("verifies");

    for path in [
        format!("/api/v1/vote/{}", "0".repeat(32)),
        "/api/v1/vote/zz".to_owned(),
        format!("/api/v1/vote/{}/receipt", "0".repeat(32)),
    ] {
        assert_eq!(
            client.get(&path).await.problem(),
            (404, "unknown-request".to_owned()),
            "{path}"
        );
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_makes_a_retry_the_same_request() {
    let served = Served::open().await;
    let mut client = Client::connect(served.at.public).await;
    let quoted = format!("\"{KEY}\"");
    let first = client.vote(&ballot(1, "oui"), &[("idempotency-key", &quoted)]).await.request_id();
    assert_eq!(
        client.vote(&ballot(1, "oui"), &[("idempotency-key", KEY)]).await.request_id(),
        first
    );
    assert_ne!(
        client
            .vote(&ballot(1, "oui"), &[("idempotency-key", "another-key-of-30-characters..")])
            .await
            .request_id(),
        first
    );
    assert_ne!(client.vote(&ballot(1, "oui"), &[]).await.request_id(), first);
    let again = client.vote(&ballot(1, "oui"), &[("idempotency-key", KEY), WAIT]).await;
    assert_eq!(again.json(), json!({"request_id": first, "status": "accepted"}));
    for key in ["two words of a longer key", "", "vote-1", &"k".repeat(15), &"k".repeat(256)] {
        let refused = client.vote(&ballot(1, "oui"), &[("idempotency-key", key)]).await;
        assert_eq!(refused.problem(), (400, "malformed".to_owned()));
        let error = &refused.json()["errors"][0];
        assert_eq!(error["field"], "Idempotency-Key");
        assert!(error["rule"].as_str().is_some_and(|rule| rule.contains("16 to 255")), "{error}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_body_is_refused_with_field_and_rule_and_no_value() {
    let served = Served::open().await;
    let mut client = Client::connect(served.at.public).await;
    let vote = |nas: &str, code: &str, law: &str, vote: &str| {
        json!({"nas": nas, "code": code, "law_id": law, "vote": vote}).to_string()
    };
    let good = ("000000001", "CODE0001", LAW, "oui");
    let deep = format!("{{\"nas\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
    let cases = [
        (vote("71234567", good.1, good.2, good.3), "nas"),
        (vote("7123456S9", good.1, good.2, good.3), "nas"),
        (vote(good.0, "SECRET|1", good.2, good.3), "code"),
        (vote(good.0, "S7C", good.2, good.3), "code"),
        (vote(good.0, good.1, &"L".repeat(51), good.3), "law_id"),
        (vote(good.0, good.1, "../etc", good.3), "law_id"),
        (vote(good.0, good.1, good.2, "OUI!"), "vote"),
        (vote(good.0, good.1, good.2, ""), "vote"),
        (vote(good.0, good.1, good.2, "712345678"), "vote"),
        (json!({"nas": good.0, "code": good.1, "law_id": good.2}).to_string(), "vote"),
        (
            r#"{"nas":"712345678","nas":"712345678","code":"CODE0001","law_id":"L","vote":"oui"}"#
                .to_owned(),
            "nas",
        ),
        (
            r#"{"nas":"712345678","code":"CODE0001","law_id":"L","vote":"oui","SECRET":1}"#
                .to_owned(),
            "body",
        ),
        (r#"{"nas":712345678,"code":"CODE0001","law_id":"L","vote":"oui"}"#.to_owned(), "nas"),
        (r#"{"nas":"712345678","code":null,"law_id":"L","vote":"oui"}"#.to_owned(), "code"),
        (r#"{"nas":"712345678","code":"CODE"#.to_owned(), "body"),
        (deep, "nas"),
        ("[".repeat(16 * 1024), "body"),
        ("712345678".to_owned(), "body"),
        (String::new(), "body"),
    ];
    for (body, field) in cases {
        let answer = client.vote(&body, &[]).await;
        let (status, code) = answer.problem();
        assert_eq!(status, 400, "{body}");
        assert!(
            code == "malformed" || (field == "vote" && code == "unknown-choice"),
            "{body}: {code}"
        );
        assert_eq!(answer.json()["errors"][0]["field"], field, "{body}");
        assert!(
            !answer.text().contains("71234") && !answer.text().contains("SECRET"),
            "{}",
            answer.text()
        );
    }
    for body in [vote("1", "!", "", ""), "{}".to_owned()] {
        let all = client.vote(&body, &[]).await.json();
        let fields: Vec<_> =
            all["errors"].as_array().expect("errors").iter().map(|error| &error["field"]).collect();
        assert_eq!(fields, ["nas", "code", "law_id", "vote"], "{all}");
    }
    assert_eq!(
        client.vote(&vote(good.0, good.1, "L9", good.3), &[]).await.problem(),
        (404, "unknown-election".to_owned())
    );
    assert_eq!(served.node.election(&law()).expect("there").received, 0);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_type_method_or_path_is_a_problem_too() {
    let served = Served::open().await;
    let mut client = Client::connect(served.at.public).await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
        let answer = client
            .send("POST", "/api/v1/vote", &[("content-type", content_type)], ballot(1, "oui"))
            .await;
        assert_eq!(answer.problem(), (415, "not-json".to_owned()));
    }
    assert_eq!(client.send("POST", "/api/v1/vote", &[], ballot(1, "oui")).await.problem().0, 415);
    let wrong = client.send("DELETE", "/api/v1/vote", &[], "").await;
    assert_eq!((wrong.problem().1.as_str(), wrong.header("allow")), ("method-not-allowed", "POST"));
    for path in [
        "/api/v1/votes",
        "/api/v2/vote",
        "/metrics",
        "/api/v1/admin/elections",
        "/api/v1/vote/%ff",
        "/log/x/y",
    ] {
        assert_eq!(client.get(path).await.problem(), (404, "unknown-route".to_owned()), "{path}");
    }
    for path in [
        "/api/v1/elections/L9",
        "/api/v1/results/L9",
        "/api/v1/results/a%20b",
        "/log/L9/checkpoint",
        "/log/L9/policy",
        "/log/L9/tile/0/000",
    ] {
        assert_eq!(
            client.get(path).await.problem(),
            (404, "unknown-election".to_owned()),
            "{path}"
        );
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_body_is_refused_and_the_refusal_arrives() {
    let served = Served::open().await;
    let huge = "x".repeat(10 << 20);
    // Announced: refused before any of it is sent.
    let mut stream = TcpStream::connect(served.at.public).await.expect("a connection");
    let head = format!(
        "POST /api/v1/vote HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        huge.len()
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 413");
    // Sent nevertheless, by a client that reads only at the end.
    let mut stream = TcpStream::connect(served.at.public).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("written");
    stream.write_all(huge.as_bytes()).await.expect("taken to the end");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the answer, not a reset");
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body-too-large"), "{answer}");
    // Unannounced, in one chunk beyond the limit.
    let mut stream = TcpStream::connect(served.at.public).await.expect("a connection");
    let chunked = format!(
        "POST /api/v1/vote HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{huge}\r\n0\r\n\r\n",
        huge.len()
    );
    stream.write_all(chunked.as_bytes()).await.expect("taken to the end");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the answer, not a reset");
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(served.vote(&ballot(1, "oui"), &[WAIT]).await.json()["status"], "accepted");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_opening_and_after_the_close_a_vote_is_refused() {
    let served = Served::empty(config()).await;
    served.node.load(&served.roll(), None).await.expect("loaded");
    let opens = Some("2126-01-01T08:00:00-05:00".to_owned());
    served.node.create(CreateElection { opens, ..create_request() }).await.expect("created");
    let draft = served.vote(&ballot(1, "oui"), &[]).await;
    assert_eq!(draft.problem(), (409, "not-open-yet".to_owned()));
    served.node.open(&law(), Default::default()).await.expect("opened");
    let early = served.vote(&ballot(1, "oui"), &[]).await;
    assert_eq!(early.problem(), (409, "not-open-yet".to_owned()));
    assert!(early.text().contains("2126-01-01T13:00:00Z"), "{}", early.text());
    served.end().await;

    let served = Served::open().await;
    assert_eq!(served.vote(&ballot(1, "oui"), &[WAIT]).await.status, 200);
    served.node.close(&law()).await.expect("closed");
    assert_eq!(served.vote(&ballot(2, "oui"), &[]).await.problem(), (409, "closed".to_owned()));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_limit_refuses_before_a_body_is_read() {
    let config =
        Config { rate_limit_per_second: 1, rate_limit_per_address_per_second: Some(0), ..config() };
    let served = Served::open_with(config, create_request()).await;
    let mut client = Client::connect(served.at.public).await;
    let mut codes = Vec::new();
    while codes.len() < 30 && !codes.contains(&"rate-limited".to_owned()) {
        // Only stored votes take from the rate.
        client.vote(&ballot(codes.len() as u32, "oui"), &[]).await;
        codes.push(client.vote("not json", &[]).await.problem().1);
    }
    assert_eq!(codes.last().map(String::as_str), Some("rate-limited"));
    assert_eq!(client.get("/api/v1/elections").await.status, 200, "only votes are limited");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_are_slowed_down_before_anything_is_stored() {
    let throttle = ThrottleConfig { delay_seconds_min: 600, ..all_stored() };
    let served = Served::open_with(Config { throttle, ..config() }, create_request()).await;
    let mut client = Client::connect(served.at.public).await;
    for number in 0..6 {
        let answer = client.vote(&guess(1, number), &[WAIT]).await;
        assert_eq!(answer.json()["reason"], "unknown", "{number}");
    }
    let back_off = (429, "back-off".to_owned());
    assert_eq!(client.vote(&guess(1, 7), &[]).await.problem(), back_off);
    let refused = client.vote(&ballot(1, "oui"), &[]).await;
    assert_eq!(refused.problem(), back_off, "the code is not looked at");
    assert!(refused.text().contains("from another network"), "{}", refused.text());
    assert_eq!(client.vote(&ballot(2, "oui"), &[WAIT]).await.json()["status"], "accepted");
    assert_eq!(served.node.gauges().votes_pending, 0);
    assert_eq!(served.node.gauges().throttle_pairs, 1);
    assert_eq!(served.node.election(&law()).expect("there").invalid, 6);
    served.end().await;
}

/// A throttle that stores every wrong code, unless its pair has to wait.
fn all_stored() -> ThrottleConfig {
    ThrottleConfig {
        delay_seconds_max: 600,
        wrong_stored_per_second: 0,
        wrong_stored_per_address_per_second: 0,
        ..ThrottleConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn elections_and_results_are_shown_by_policy() {
    let served = Served::open().await;
    served.vote(&ballot(1, "oui"), &[WAIT]).await;
    served.vote(&ballot(2, "blanc"), &[WAIT]).await;
    let elections = served.get("/api/v1/elections").await.json();
    assert_eq!(elections[0]["law_id"], LAW);
    assert_eq!(served.get(&format!("/api/v1/elections/{LAW}")).await.json(), elections[0]);
    let results = served.get(&format!("/api/v1/results/{LAW}")).await.json();
    assert_eq!(
        (&results["oui_count"], &results["blank_count"], &results["total_votes"]),
        (&json!(1), &json!(1), &json!(2))
    );
    let all = served.get("/api/v1/results").await.json();
    assert_eq!((&all["results"][0], &all["withheld"]), (&results, &json!([])));
    let metrics = Client::connect(served.at.metrics).await.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
    // The page is the whole process's: another node may have been read in between.
    let begun = Instant::now();
    for line in [
        "votes_submitted_total ",
        "votes_by_law{law_id=\"L2025-001\",choice=\"oui\"} 1",
        "api_request_duration_seconds_bucket{route=\"/api/v1/vote\",method=\"POST\",status=\"200\"",
        "queue_depth{law_id=\"L2025-001\"} 0",
        "block_height{",
        "checkpoint_age_seconds{",
    ] {
        loop {
            let metrics = Client::connect(served.at.metrics).await.get("/metrics").await;
            if metrics.text().contains(line) {
                break;
            }
            assert!(begun.elapsed() < WAIT_TIMEOUT, "{line}\n{}", metrics.text());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let health = served.get("/api/v1/health").await;
    assert_eq!((health.status.as_u16(), &health.json()["healthy"]), (200, &json!(true)));
    assert!(
        served.get("/api/v1/openapi.json").await.json()["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.1"))
    );
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn withheld_results_are_in_no_answer() {
    for policy in [ResultsPolicy::AfterVote, ResultsPolicy::AfterClose] {
        let request = CreateElection { results: Some(policy), ..create_request() };
        let served = Served::open_with(config(), request).await;
        // The metrics take the counts from here. Their page is the whole process's, and other tests
        // show results of the same law.
        assert!(
            served.node.gauges().elections[0].votes_by_choice.is_empty(),
            "{}",
            policy.as_str()
        );
        let key = |answer: &crate::http_support::Answer| {
            let token = answer.header("votekit-voter-token").to_owned();
            (format!("/api/v1/results/{LAW}?request_id={}", answer.request_id()), token)
        };
        let vote = served.vote(&ballot(1, "oui"), &[WAIT]).await;
        let duplicate = served.vote(&ballot(1, "oui"), &[WAIT]).await;
        assert_eq!(
            vote.header("votekit-voter-token").is_empty(),
            policy != ResultsPolicy::AfterVote
        );
        let path = format!("/api/v1/results/{LAW}");
        assert_eq!(served.get(&path).await.problem(), (403, "results-withheld".to_owned()));
        assert_eq!(
            served.get("/api/v1/results").await.json(),
            json!({"results": [], "withheld": [LAW]})
        );
        if policy == ResultsPolicy::AfterVote {
            let mut client = Client::connect(served.at.public).await;
            for (answer, status, cache) in
                [(&vote, 200, "private, no-store"), (&duplicate, 403, "no-store")]
            {
                let (path, token) = key(answer);
                let headers = [("votekit-voter-token", token.as_str())];
                let shown = client.send("GET", &path, &headers, "").await;
                assert_eq!(shown.status, status);
                assert_eq!(shown.header("cache-control"), cache);
                assert!(!shown.headers.contains_key("access-control-allow-origin"));
                assert!(!shown.headers.contains_key("etag"));
            }
            // A token in the address is refused, as addresses are logged by intermediaries.
            let (path, token) = key(&vote);
            let in_address = served.get(&format!("{path}&voter_token={token}")).await;
            assert_eq!(in_address.problem(), (400, "malformed".to_owned()));
            assert_eq!(in_address.json()["errors"][0]["field"], "voter_token");
            assert!(!in_address.text().contains(&token));
            for token in ["zz", &token.to_uppercase()] {
                let headers = [("votekit-voter-token", token)];
                let wrong = client.send("GET", &path, &headers, "").await;
                assert_eq!(wrong.json()["errors"][0]["field"], "Votekit-Voter-Token");
            }
        }
        // The request id alone is public once it is in the log.
        assert_eq!(
            served.get(&format!("{path}?request_id={}", vote.request_id())).await.status,
            403
        );
        for query in ["request_id=zz", "request_id=a&request_id=b"] {
            assert_eq!(
                served.get(&format!("{path}?{query}")).await.problem(),
                (400, "malformed".to_owned()),
                "{query}"
            );
        }
        served.node.close(&law()).await.expect("closed");
        assert_eq!(served.get(&path).await.json()["oui_count"], 1);
        served.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_served_as_tiles() {
    let served = Served::open().await;
    for index in 0..5 {
        served.vote(&ballot(index, "oui"), &[WAIT]).await;
    }
    let checkpoint = served.get(&format!("/log/{LAW}/checkpoint")).await;
    assert_eq!(checkpoint.header("content-type"), "text/plain; charset=utf-8");
    let size: usize = checkpoint.text().lines().nth(1).expect("a size").parse().expect("a number");
    let tile = served.get(&format!("/log/{LAW}/tile/0/000.p/{size}")).await;
    assert_eq!((tile.status.as_u16(), tile.body.len()), (200, 32 * size));
    assert_eq!(tile.header("content-type"), "application/octet-stream");
    assert!(tile.header("cache-control").contains("immutable"));
    let bundle = served.get(&format!("/log/{LAW}/tile/entries/000.p/{size}")).await;
    assert_eq!(votekit_core::log::tile::entries(&bundle.body).filter_map(Result::ok).count(), size);
    for path in
        ["0/000", "0/001.p/1", "1/000.p/1", "0/0", "x/000", "0/000.p/0", "entries/000", "99/000"]
    {
        let answer = served.get(&format!("/log/{LAW}/tile/{path}")).await;
        assert_eq!(answer.problem(), (404, "unknown-tile".to_owned()), "{path}");
    }
    served.end().await;
}
