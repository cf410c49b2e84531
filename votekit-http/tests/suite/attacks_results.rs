//! Results before the close: two elections that differ only in the choices of their voters look
//! alike to everyone, in all shown and all measurable data.

use std::collections::{BTreeMap, BTreeSet};

use crate::account_support::{add, token_of};
use crate::attack_support::{begin_session, cookie_of, get, sign_in, typed};
use crate::http_support::{Answer, Client, Served, config};
use crate::live_support::{Events, receive, socket};
use crate::support::{TestDir, create_request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use votekit_core::election::ResultsPolicy;
use votekit_node::{CreateElection, OpenElection};
use votekit_store::AccountRole;

/// The elections, each with the choice of all of its voters.
pub(crate) const LAWS: [(&str, &str); 2] = [("L2025-901", "oui"), ("L2025-902", "non")];

pub(crate) const VOTES: u32 = 6;

/// Serves a node with both elections open.
pub(crate) async fn served(policy: ResultsPolicy) -> Served {
    let served = Served::empty(config()).await;
    let laws = LAWS.map(|(law, _)| (law, "CODE", 30));
    let roll = TestDir::with_laws(&laws);
    served.node.load(&roll.path("hashes"), None).await.expect("loaded");
    for (law, _) in LAWS {
        let law_id = law.to_owned();
        let request = CreateElection { law_id, results: Some(policy), ..create_request() };
        served.node.create(request).await.expect("created");
        let law = law.parse().expect("a law id");
        served.node.open(&law, OpenElection::default()).await.expect("opened");
    }
    served
}

/// Casts the vote of the elector with index `index`, and waits for the decision.
pub(crate) async fn vote(served: &Served, law: &str, index: u32, choice: &str) -> Answer {
    let (nas, code) = typed(index);
    let body = json!({"nas": nas, "code": code, "law_id": law, "vote": choice}).to_string();
    let answer = served.vote(&body, &[("prefer", "wait=30")]).await;
    assert_eq!(answer.json()["status"], "accepted");
    answer
}

/// A text without the parts that differ between elections.
pub(crate) fn normal(text: &str) -> String {
    let mut text = text.to_owned();
    for (law, _) in LAWS {
        text = text.replace(law, "LAW");
    }
    // The height of the log.
    while let Some((before, rest)) = text.split_once(" data-version=\"") {
        let (_, after) = rest.split_once('"').expect("its end");
        text = [before, after].concat();
    }
    text
}

/// Checks that both answers are the same to a reader who measures them.
pub(crate) fn check_alike(path: &str, [one, other]: &[Answer; 2]) {
    assert_eq!(one.status, other.status, "{path}");
    let names = |answer: &Answer| -> BTreeSet<String> {
        answer.headers.keys().map(ToString::to_string).collect()
    };
    assert_eq!(names(one), names(other), "{path}");
    assert_eq!(normal(one.text()).len(), normal(other.text()).len(), "{path}");
    for answer in [one, other] {
        let length = answer.header("content-length");
        let is_of_body = length.is_empty() || length == answer.body.len().to_string();
        assert!(is_of_body || answer.body.is_empty(), "{path}: {length}");
        assert!(!answer.headers.contains_key("last-modified"), "{path}");
    }
}

/// The answers for both elections.
pub(crate) async fn both(
    served: &Served,
    path: &str,
    headers: &[(&str, &str)],
    method: &str,
) -> [Answer; 2] {
    let [one, other] = LAWS.map(|(law, _)| path.replace("{law}", law));
    let mut client = Client::connect(served.at.public).await;
    let one = client.send(method, &one, headers, "").await;
    [one, client.send(method, &other, headers, "").await]
}

/// The public leaves of a log.
pub(crate) async fn leaves(served: &Served, law: &str) -> Vec<Value> {
    let checkpoint = served.get(&format!("/log/{law}/checkpoint")).await;
    let size: usize = checkpoint.text().lines().nth(1).expect("a size").parse().expect("a number");
    assert!(size < 256, "one tile");
    let bundle = served.get(&format!("/log/{law}/tile/entries/000.p/{size}")).await;
    let leaves = votekit_core::log::tile::entries(&bundle.body).filter_map(Result::ok);
    leaves.map(|leaf| serde_json::from_slice(leaf).expect("JSON")).collect()
}

pub(crate) fn of_kind<'a>(leaves: &'a [Value], kind: &str) -> Vec<&'a Value> {
    leaves.iter().filter(|leaf| leaf["leaf"] == kind).collect()
}

async fn metrics(served: &Served) -> String {
    let answer = Client::connect(served.at.metrics).await.get("/metrics").await;
    answer.text().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_close_no_answer_depends_on_a_choice() {
    let served = served(ResultsPolicy::AfterClose).await;
    let mut requests = Vec::new();
    for index in 1..=VOTES {
        for (law, choice) in LAWS {
            requests.push(vote(&served, law, index, choice).await.request_id());
        }
    }
    let results = "/api/v1/results/{law}";
    for path in [results, "/fr/results/{law}", "/en/results/{law}", "/fr/vote/{law}"] {
        for condition in [
            ("accept", "*/*"),
            ("if-none-match", "*"),
            ("if-none-match", "\"00000000000000000000000000000000\""),
            ("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("range", "bytes=0-0"),
            ("accept-encoding", "gzip"),
            ("accept", "text/csv"),
            ("origin", "https://evil.example"),
            ("votekit-voter-token", "00112233445566778899aabbccddeeff"),
        ] {
            for method in ["GET", "HEAD"] {
                let answers = both(&served, path, &[condition], method).await;
                let context = format!("{method} {path} {condition:?}");
                check_alike(&context, &answers);
                let [one, other] = &answers;
                assert_eq!(one.status, if path == results { 403 } else { 200 }, "{context}");
                assert!(!one.headers.contains_key("etag"), "{context}");
                assert_eq!(normal(one.text()), normal(other.text()), "{context}");
            }
        }
    }
    let shown = served.get("/api/v1/results").await.json();
    assert_eq!(shown, json!({"results": [], "withheld": [LAWS[0].0, LAWS[1].0]}));
    let views = both(&served, "/api/v1/elections/{law}", &[], "GET").await;
    let [one, other] = views.map(|answer| {
        let mut view = answer.json();
        for particular in ["law_id", "origin", "policy_fingerprint", "log_size", "opens"] {
            view[particular] = Value::Null;
        }
        view
    });
    assert_eq!(one, other);
    assert_eq!(one["accepted"], VOTES);
    // The outcome of a vote does not reveal its choice either.
    let outcomes = [
        served.get(&format!("/fr/votes/{}", requests[0])).await,
        served.get(&format!("/fr/votes/{}", requests[1])).await,
    ];
    check_alike("/fr/votes", &outcomes);

    for (law, _) in LAWS {
        assert!(!metrics(&served).await.contains(&format!("votes_by_law{{law_id=\"{law}\"")));
        let public = leaves(&served, law).await;
        assert!(of_kind(&public, "totals").is_empty(), "{law}");
    }
    for (law, _) in LAWS {
        let law = law.parse().expect("a law id");
        served.node.close(&law).await.expect("closed");
    }
    let mut commitments = BTreeSet::new();
    for (law, choice) in LAWS {
        let public = leaves(&served, law).await;
        assert_eq!(of_kind(&public, "totals").len(), 1, "{law}: one sum, at the close");
        assert_eq!(of_kind(&public, "totals")[0]["values"].as_array().map(Vec::len), Some(4));
        for counts in of_kind(&public, "counts") {
            assert_eq!(counts.as_object().map(|members| members.len()), Some(2), "{counts}");
            for commitment in counts["commitments"].as_array().expect("a list") {
                let text = commitment.as_str().expect("a text").to_owned();
                assert_eq!(text.len(), 64, "{text}");
                assert!(commitments.insert(text), "equal commitments would show equal counts");
            }
        }
        let results = served.get(&format!("/api/v1/results/{law}")).await.json();
        assert_eq!(results[format!("{choice}_count")], VOTES);
        assert!(metrics(&served).await.contains(&format!("votes_by_law{{law_id=\"{law}\"")));
    }
    served.end().await;
}

/// A message about an election, without the parts that differ between elections.
fn normal_message(mut data: Value) -> String {
    for particular in ["version", "height", "log_size", "request_id"] {
        data[particular] = Value::Null;
    }
    normal(&data.to_string())
}

/// The messages that the readers of an election receive once it has all votes, by topic: over a
/// WebSocket, with the status of a vote, and as an event stream.
async fn streamed(served: &Served, law: &str, request: &str) -> BTreeMap<String, String> {
    let numbers = [format!("results/{law}"), format!("turnout/{law}")];
    let mut topics = numbers.to_vec();
    topics.extend([format!("blocks/{law}"), format!("vote/{request}")]);
    let mut socket = socket(served.at.public, json!({ "subscribe": topics }).to_string()).await;
    let mut found = BTreeMap::new();
    while found.len() < topics.len() {
        let message = receive(&mut socket).await;
        let topic = message["topic"].as_str().expect("a topic").to_owned();
        let data = message["data"].clone();
        let is_complete = !numbers.contains(&topic) || data["accepted"] == VOTES;
        if is_complete && message["event"] != "end" {
            let name = topic.split('/').next().unwrap_or_default().to_owned();
            found.insert(name, normal_message(data));
        }
    }
    let mut events = Events::open_for(served.at.public, law, "").await;
    let data = loop {
        let event = events.next().await.expect("the stream goes on");
        if event.data["accepted"] == VOTES {
            break event.data;
        }
    };
    found.insert("events".to_owned(), normal_message(data));
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_close_no_stream_no_status_and_no_receipt_depends_on_a_choice() {
    let served = served(ResultsPolicy::AfterClose).await;
    let mut requests = Vec::new();
    for (law, choice) in LAWS {
        for index in 1..=VOTES {
            requests.push(vote(&served, law, index, choice).await.request_id());
        }
    }
    let firsts = [&requests[0], &requests[VOTES as usize]];
    let mut seen = Vec::new();
    for ((law, choice), request) in LAWS.into_iter().zip(firsts) {
        let streamed = streamed(&served, law, request).await;
        assert_eq!(streamed.len(), 5, "{streamed:?}");
        let choice = format!("\"{choice}\"");
        assert!(streamed.values().all(|text| !text.contains(&choice)), "{streamed:?}");
        assert!(streamed["events"].contains(r#""counts":null"#), "{streamed:?}");

        let status = served.get(&format!("/api/v1/vote/{request}")).await;
        let receipt = served.get(&format!("/api/v1/vote/{request}/receipt")).await;
        assert_eq!((status.status.as_u16(), receipt.status.as_u16()), (200, 200));
        // Apart from hashes and signatures, the receipt contains only the public leaf.
        let leaf = receipt.text().lines().find_map(|line| line.strip_prefix("extra "));
        let leaf = STANDARD.decode(leaf.expect("a leaf")).expect("base64");
        let leaf: Value = serde_json::from_slice(&leaf).expect("JSON");
        assert_eq!(leaf["leaf"], "entry");
        assert!(!leaf.to_string().contains(&choice), "{leaf}");
        let members: Vec<_> = leaf.as_object().expect("an object").keys().cloned().collect();
        let headers: BTreeSet<_> = receipt.headers.keys().map(ToString::to_string).collect();
        seen.push((streamed, normal_message(status.json()), members, headers));
    }
    assert_eq!(seen[0], seen[1]);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_close_officials_see_no_more_than_others() {
    let served = served(ResultsPolicy::AfterVote).await;
    for (law, choice) in LAWS {
        vote(&served, law, 1, choice).await;
    }
    let account = add(&served.node, "admin@exemple.ca", AccountRole::Administrator).await;
    let cookie = begin_session(&served.node, account.id, "pages").await;
    let token = token_of(&served, "auditor@exemple.ca", AccountRole::Auditor).await;
    let bearer = format!("Bearer {token}");
    let with_cookie = [("cookie", cookie.as_str())];
    let with_token = [("authorization", bearer.as_str())];
    let election = "/fr/officials/elections/{law}";
    for path in ["/close", "/results/csv", "/results/json", "/results/nist"] {
        let path = format!("{election}{path}");
        let answers = both(&served, &path, &with_cookie, "GET").await;
        check_alike(&path, &answers);
        assert!(path.ends_with("/close") || answers[0].status == 403, "{path}");
    }
    // The accounts of the election, between the headings before and after them.
    let accounts = both(&served, election, &with_cookie, "GET").await.map(|answer| {
        let (_, rest) = answer.text().split_once("id=\"accounts\"").expect("the accounts");
        normal(rest.split("id=\"files\"").next().unwrap_or_default())
    });
    assert_eq!(accounts[0], accounts[1]);
    let results = both(&served, "/api/v1/results/{law}", &with_token, "GET").await;
    check_alike("with the token of an auditor", &results);
    assert_eq!(results[0].problem(), (403, "results-withheld".to_owned()));
    let views = both(&served, "/api/v1/elections/{law}", &with_token, "GET").await;
    for (view, (_, choice)) in views.iter().zip(LAWS) {
        let json = view.json();
        let names: Vec<_> = json.as_object().expect("an object").keys().cloned().collect();
        assert!(!names.iter().any(|name| name.contains("count") || name.contains(choice)));
    }
    // Nor does the operator, on the other listener.
    let mut shown = Vec::new();
    for (law, _) in LAWS {
        let answer = served.admin("GET", &format!("/api/v1/admin/elections/{law}"), None).await;
        assert_eq!(answer.status, 200, "{law}");
        let mut view = answer.json();
        for particular in ["law_id", "origin", "policy_fingerprint", "log_size", "opens"] {
            view[particular] = Value::Null;
        }
        shown.push(view);
    }
    assert_eq!(shown[0], shown[1]);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_after_vote_a_key_opens_the_results_of_its_vote_alone() {
    let served = served(ResultsPolicy::AfterVote).await;
    let [(law, choice), (other_law, _)] = LAWS;
    let cast = vote(&served, law, 1, choice).await;
    let neighbour = vote(&served, law, 2, choice).await;
    let elsewhere = vote(&served, other_law, 1, choice).await;
    let path = format!("/api/v1/results/{law}");
    let token = |answer: &Answer| answer.header("votekit-voter-token").to_owned();
    for (request, token, status) in [
        (cast.request_id(), token(&cast), 200),
        (cast.request_id(), token(&neighbour), 403),
        (neighbour.request_id(), token(&cast), 403),
        (elsewhere.request_id(), token(&elsewhere), 403),
        (cast.request_id(), token(&elsewhere), 403),
        ("0".repeat(32), token(&cast), 403),
    ] {
        let mut client = Client::connect(served.at.public).await;
        let headers = [("votekit-voter-token", token.as_str())];
        let answer =
            client.send("GET", &format!("{path}?request_id={request}"), &headers, "").await;
        assert_eq!(answer.status, status, "{}", answer.text());
        let cache = if status == 200 { "private, no-store" } else { "no-store" };
        assert_eq!(answer.header("cache-control"), cache);
    }
    // A session that has voted elsewhere, or not yet, opens nothing; nor does a page.
    let cookie = sign_in(&served, other_law, 3).await;
    assert_eq!(get(&served, &path, &cookie).await.status, 403);
    let page = get(&served, &format!("/fr/results/{law}"), &cookie).await;
    assert!(!page.text().contains("data-count="), "{}", page.text());
    assert!(!cookie_of(&page).is_empty(), "the session is known to the page");
    served.end().await;
}
