//! HTTP itself: messages that break its rules, codings, caches, browsers, and the interface
//! document compared with the answers.

use crate::http_support::{Answer, Client, Served, ballot, config};
use crate::support::{LAW, create_request};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const WAIT: (&str, &str) = ("prefer", "wait=30");

/// Sends bytes, and reads the answer until the connection is closed.
async fn raw(served: &Served, sent: &str) -> String {
    let mut stream = TcpStream::connect(served.at.public).await.expect("a connection");
    stream.write_all(sent.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer, and an orderly end");
    answer
}

/// Checks that an answer is problem details with the headers of every answer, and returns the
/// document.
fn problem(answer: &str, status: u16) -> Value {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    for line in [
        "content-type: application/problem+json",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "content-security-policy: default-src 'none'; frame-ancestors 'none'",
        "cache-control: no-store",
        "connection: close",
    ] {
        assert!(head.lines().any(|header| header == line), "{line}\n{answer}");
    }
    let length = format!("content-length: {}", body.len());
    assert!(head.lines().any(|header| header == length), "{answer}");
    let problem: Value = serde_json::from_str(body).expect("problem details");
    assert_eq!(problem["status"], status);
    problem
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_breaks_a_rule_of_http_is_refused_with_problem_details() {
    let served = Served::open().await;
    let body = ballot(1, "oui");
    let vote = |version: &str, headers: &str| {
        format!(
            "POST /api/v1/vote HTTP/{version}\r\n{headers}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    for hosts in ["", "host: a\r\nhost: a\r\n", "host: a\r\nhost: b\r\n", "host: a b\r\n"] {
        let refused = problem(&raw(&served, &vote("1.1", hosts)).await, 400);
        assert_eq!(
            (&refused["code"], &refused["errors"][0]["field"]),
            (&json!("malformed"), &json!("Host"))
        );
    }
    let chunked = |coding: &str| {
        format!(
            "POST /api/v1/vote HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ntransfer-encoding: {coding}\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        )
    };
    for coding in ["gzip, chunked", "gzip\r\ntransfer-encoding: chunked", "chunked, chunked"] {
        let refused = problem(&raw(&served, &chunked(coding)).await, 501);
        assert_eq!(refused["code"], "transfer-coding", "{coding}");
    }
    // Messages that hyper itself refuses.
    for (message, status, code) in [
        ("POST /api/v1/vote HTTP/1.1\r\nhost : h\r\n\r\n".to_owned(), 400, "malformed"),
        ("nonsense\r\n\r\n".to_owned(), 400, "malformed"),
        ("GET /api/v1/vote HTTP/3.7\r\nhost: h\r\n\r\n".to_owned(), 400, "malformed"),
        (vote("1.1", "host: h\r\ncontent-length: 1\r\n"), 400, "malformed"),
        (chunked("gzip"), 400, "malformed"),
        (
            format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", "a: b\r\n".repeat(101)),
            431,
            "headers-too-large",
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: h\r\na: {}\r\n\r\n", "b".repeat(300_000)),
            431,
            "headers-too-large",
        ),
    ] {
        let refused = problem(&raw(&served, &message).await, status);
        assert_eq!(refused["code"], code, "{message:.80}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", "a".repeat(66_000));
    let refused = raw(&served, &long).await;
    let status = if refused.contains(" 414 ") { 414 } else { 431 };
    assert!(
        problem(&refused, status)["code"]
            .as_str()
            .is_some_and(|code| code.ends_with("-long") || code.ends_with("-large"))
    );
    // Also after a good request on the same connection.
    let pair = format!("GET /api/v1/health HTTP/1.1\r\nhost: h\r\n\r\n{}", "nonsense\r\n\r\n");
    let both = raw(&served, &pair).await;
    let second = both.rfind("HTTP/1.1 400").unwrap_or_else(|| panic!("{both}"));
    assert!(both.starts_with("HTTP/1.1 200"), "{both}");
    problem(&both[second..], 400);
    // HTTP/1.0 does not require a Host.
    let old = raw(&served, &vote("1.0", "")).await;
    assert!(old.starts_with("HTTP/1.0 202"), "{old}");
    assert_eq!(served.vote(&ballot(2, "oui"), &[WAIT]).await.json()["status"], "accepted");
    assert_eq!(served.node.election(&crate::support::law()).expect("there").received, 2);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_read_in_utf_8_and_in_no_content_coding() {
    let served = Served::open().await;
    let mut client = Client::connect(served.at.public).await;
    // The body is never read: the header suffices.
    for coding in ["gzip", "br", "identity, gzip"] {
        let refused = client.vote(&ballot(1, "oui"), &[("content-encoding", coding)]).await;
        assert_eq!(refused.problem(), (415, "content-coding".to_owned()), "{coding}");
        assert_eq!(refused.header("accept-encoding"), "identity");
    }
    let identity = client.vote(&ballot(1, "oui"), &[WAIT, ("content-encoding", "identity")]).await;
    assert_eq!(identity.json()["status"], "accepted");
    let marked = client.vote(&format!("\u{feff}{}", ballot(2, "oui")), &[WAIT]).await;
    assert_eq!(marked.json()["status"], "accepted");
    let json = [("content-type", "application/json")];
    let wide: Vec<u8> = ballot(3, "oui").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for body in [wide.clone(), [b"\xff\xfe".to_vec(), wide].concat()] {
        let refused = client.send("POST", "/api/v1/vote", &json, body).await;
        assert_eq!(refused.problem().0, 400);
        assert!(refused.text().contains("UTF-16"), "{}", refused.text());
    }
    let token = format!("Bearer {}", served.node.admin_token().expect("a token").as_str());
    let mut admin = Client::connect(served.at.administration).await;
    let headers = [
        ("authorization", token.as_str()),
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
    ];
    let refused = admin.send("POST", "/api/v1/admin/elections", &headers, "{}").await;
    assert_eq!(refused.problem(), (415, "content-coding".to_owned()));
    let marked = "\u{feff}{\"law_id\":\"L9\",\"title_fr\":\"Loi\",\"title_en\":\"Act\"}";
    let created = admin.send("POST", "/api/v1/admin/elections", &headers[..2], marked).await;
    assert_eq!(created.status, 201);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_waited_for_too() {
    let served = Served::open().await;
    let mut client = Client::connect(served.at.public).await;
    let request = client.vote(&ballot(1, "oui"), &[]).await.request_id();
    let path = format!("/api/v1/vote/{request}");
    let decided = client.send("GET", &path, &[WAIT], "").await;
    assert_eq!(decided.json(), json!({"request_id": request, "status": "accepted"}));
    assert_eq!(decided.header("preference-applied"), "wait=30");
    for ignored in ["wait=abc", "wait", "wait=\"5", "wait=x, wait=5", "=;,"] {
        let plain = client.send("GET", &path, &[("prefer", ignored)], "").await;
        assert_eq!(plain.status, 200, "{ignored}");
        assert!(!plain.headers.contains_key("preference-applied"), "{ignored}");
        let vote = client.vote(&ballot(2, "oui"), &[("prefer", ignored)]).await;
        assert_eq!(vote.status, 202, "{ignored}");
    }
    let unknown = format!("/api/v1/vote/{}", "0".repeat(32));
    let unknown = client.send("GET", &unknown, &[WAIT], "").await;
    assert_eq!(unknown.problem(), (404, "unknown-request".to_owned()));
    served.end().await;
}

/// Each readable address, with its `Cache-Control`, and whether a page of any origin may read it.
#[tokio::test(flavor = "multi_thread")]
async fn each_address_has_its_cache_and_cors_fields() {
    let served = Served::open().await;
    let request = served.vote(&ballot(1, "oui"), &[WAIT]).await.request_id();
    let checkpoint = served.get(&format!("/log/{LAW}/checkpoint")).await;
    let size = checkpoint.text().lines().nth(1).expect("a size").to_owned();
    let immutable = "public, max-age=31536000, immutable";
    let mut client = Client::connect(served.at.public).await;
    for (path, cache, is_open, is_tagged) in [
        (format!("/log/{LAW}/checkpoint"), "no-cache", true, true),
        (format!("/log/{LAW}/policy"), "no-cache", true, true),
        (format!("/log/{LAW}/tile/0/000.p/{size}"), immutable, true, true),
        (format!("/log/{LAW}/tile/entries/000.p/{size}"), immutable, true, true),
        (format!("/api/v1/results/{LAW}"), "no-cache", true, true),
        ("/api/v1/results".to_owned(), "no-cache", true, true),
        ("/api/v1/elections".to_owned(), "no-cache", false, true),
        (format!("/api/v1/elections/{LAW}"), "no-cache", false, true),
        ("/api/v1/openapi.json".to_owned(), "public, max-age=300", false, true),
        ("/api/v1/health".to_owned(), "no-store", false, false),
        (format!("/api/v1/vote/{request}"), "no-store", false, false),
        (format!("/api/v1/vote/{request}/receipt"), "no-store", false, false),
    ] {
        let page = client.get(&path).await;
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.header("cache-control"), cache, "{path}");
        let allowed = |answer: &Answer| answer.header("access-control-allow-origin") == "*";
        assert_eq!(allowed(&page), is_open, "{path}");
        let etag = page.header("etag").to_owned();
        assert_eq!(!etag.is_empty(), is_tagged, "{path}");
        let again = client.send("GET", &path, &[("if-none-match", &etag)], "").await;
        if is_tagged {
            assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{path}");
            assert_eq!(again.header("etag"), etag, "{path}");
            assert_eq!(again.header("cache-control"), cache, "{path}");
            assert_eq!(allowed(&again), is_open, "{path}");
        }
        let other = client.send("GET", &path, &[("if-none-match", "\"other\"")], "").await;
        assert_eq!((other.status.as_u16(), &other.body), (200, &page.body), "{path}");
        let head = client.send("HEAD", &path, &[], "").await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{path}");
        assert!(
            !client
                .send("OPTIONS", &path, &[("origin", "https://a.example")], "")
                .await
                .status
                .is_success()
        );
    }
    // Changed content has another tag.
    let etag = client.get(&format!("/log/{LAW}/checkpoint")).await.header("etag").to_owned();
    served.vote(&ballot(2, "oui"), &[WAIT]).await;
    for path in [format!("/log/{LAW}/checkpoint"), format!("/api/v1/results/{LAW}")] {
        let after = client.send("GET", &path, &[("if-none-match", &etag)], "").await;
        assert_eq!(after.status, 200, "{path}");
    }
    // An error can be read across origins if the page can; a vote never can.
    let missing = client.get(&format!("/log/{LAW}/tile/0/000")).await;
    assert_eq!(
        (missing.status.as_u16(), missing.header("access-control-allow-origin")),
        (404, "*")
    );
    let origin = ("origin", "https://a.example");
    for answer in [
        client.vote(&ballot(3, "oui"), &[origin]).await,
        client.vote("{}", &[origin]).await,
        client
            .send(
                "OPTIONS",
                "/api/v1/vote",
                &[origin, ("access-control-request-method", "POST")],
                "",
            )
            .await,
    ] {
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{answer:?}");
    }
    let metrics = Client::connect(served.at.metrics).await.get("/metrics").await;
    assert_eq!(metrics.header("cache-control"), "no-store");
    let admin = served.admin("GET", "/api/v1/admin/elections", None).await;
    assert_eq!(admin.header("cache-control"), "no-store");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_are_compressed_for_clients_that_accept_gzip() {
    let served = Served::open().await;
    for index in 0..20 {
        served.vote(&ballot(index, "oui"), &[WAIT]).await;
    }
    let mut client = Client::connect(served.at.public).await;
    let checkpoint = client.get(&format!("/log/{LAW}/checkpoint")).await;
    let size = checkpoint.text().lines().nth(1).expect("a size").to_owned();
    for path in ["/api/v1/openapi.json".to_owned(), format!("/log/{LAW}/tile/entries/000.p/{size}")]
    {
        let plain = client.get(&path).await;
        assert_eq!(plain.header("vary"), "Accept-Encoding", "{path}");
        assert!(!plain.headers.contains_key("content-encoding"), "{path}");
        let accept = ("accept-encoding", "br, gzip");
        let compressed = client.send("GET", &path, &[accept], "").await;
        assert_eq!(compressed.header("content-encoding"), "gzip", "{path}");
        assert_eq!(compressed.header("vary"), "Accept-Encoding", "{path}");
        assert_ne!(compressed.header("etag"), plain.header("etag"), "{path}");
        assert!(2 * compressed.body.len() < plain.body.len(), "{path}: {}", compressed.body.len());
        let mut whole = Vec::new();
        std::io::Read::read_to_end(
            &mut flate2::read::GzDecoder::new(&compressed.body[..]),
            &mut whole,
        )
        .expect("gzip");
        assert_eq!(whole, plain.body, "{path}");
        let known = ("if-none-match", compressed.header("etag"));
        assert_eq!(client.send("GET", &path, &[accept, known], "").await.status, 304, "{path}");
    }
    let hashes = format!("/log/{LAW}/tile/0/000.p/{size}");
    let hashes = client.send("GET", &hashes, &[("accept-encoding", "gzip")], "").await;
    assert!(!hashes.headers.contains_key("content-encoding"), "hashes do not get smaller");
    served.end().await;
}

/// Sends bad requests of every kind to every documented operation. The client checks that each
/// answer is documented, as for every answer in these tests.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_a_bad_request_is_documented() {
    let served = Served::open_with(config(), create_request()).await;
    let document: Value = serde_json::from_str(&votekit_http::openapi_json_text()).expect("JSON");
    let token = format!("Bearer {}", served.node.admin_token().expect("a token").as_str());
    let json_type = ("content-type", "application/json");
    let mut met = std::collections::BTreeSet::new();
    for (template, item) in document["paths"].as_object().expect("paths") {
        let is_admin = template.starts_with("/api/v1/admin");
        let address = match template.as_str() {
            "/metrics" => served.at.metrics,
            _ if is_admin => served.at.administration,
            _ => served.at.public,
        };
        for method in item.as_object().expect("operations").keys().map(|text| text.to_uppercase()) {
            if method == "SERVERS" {
                continue;
            }
            // Never the election of the other requests.
            for parts in [["L9", "00"], ["%ff", "%ff"], ["a%20b", "..%2f"], [LAW, "zz"]] {
                let acts =
                    is_admin && method == "POST" && parts[0] == LAW && !template.contains("{node}");
                // A stream of events has no end to wait for.
                let streams = template.ends_with("/events") && parts[0] == LAW;
                if streams || acts && !template.ends_with("/open") {
                    continue;
                }
                let path = template
                    .replace("{law_id}", parts[0])
                    .replace("{request_id}", parts[1])
                    .replace("{digest}", parts[1])
                    .replace("{node}", parts[1])
                    .replace("{path}", parts[1]);
                let huge = "x".repeat((1 << 20) + 1);
                for (headers, body) in [
                    (vec![json_type], ""),
                    (vec![json_type], "{}"),
                    (vec![json_type], "[1]"),
                    (vec![json_type], "{\"waivers\":5,\"x\":1}"),
                    (vec![json_type], huge.as_str()),
                    (vec![json_type, ("content-encoding", "gzip")], "{}"),
                    (vec![("content-type", "text/plain")], "{}"),
                    (vec![json_type, ("idempotency-key", "short")], "{}"),
                    (vec![("prefer", "wait=0"), ("votekit-voter-token", "zz")], ""),
                    (vec![json_type, ("transfer-encoding", "gzip, chunked")], "{}"),
                ] {
                    let mut client = Client::connect(address).await;
                    let with_token = [&headers[..], &[("authorization", token.as_str())]].concat();
                    let body = if method == "GET" { String::new() } else { body.to_owned() };
                    let answer = client.send(&method, &path, &with_token, body.clone()).await;
                    met.insert(answer.status.as_u16());
                    if is_admin {
                        let mut client = Client::connect(address).await;
                        let refused = client.send(&method, &path, &headers, body).await;
                        assert!([401, 501].contains(&refused.status.as_u16()), "{path}");
                    }
                }
            }
        }
    }
    for status in [200, 400, 404, 409, 413, 415, 501] {
        assert!(met.contains(&status), "{status}: {met:?}");
    }
    served.end().await;
}
