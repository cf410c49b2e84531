//! The visibility of a draft: until the poll opens, its log does not exist for callers who are not
//! officials.

use std::collections::BTreeSet;

use crate::account_support::token_of;
use crate::http_support::{Answer, Client, Served, ballot, config};
use crate::live_support::{close_of, receive, socket};
use crate::support::{LAW, create_request, law};
use serde_json::{Value, json};
use votekit_core::election::ResultsPolicy;
use votekit_core::id::Digest;
use votekit_node::config::Config;
use votekit_node::{CreateElection, OpenElection};
use votekit_store::AccountRole::{Administrator, Auditor, Observer, Voter};

/// In the texts of the draft, and nowhere else.
const SECRET: &str = "Announced on Monday";

/// An election that does not exist.
const UNKNOWN: &str = "L9";

/// A node with a draft and its roll.
async fn drafted() -> Served {
    drafted_on(config()).await
}

async fn drafted_on(config: Config) -> Served {
    let served = Served::empty(config).await;
    served.node.load(&served.roll(), None).await.expect("loaded");
    let draft = CreateElection {
        title_fr: SECRET.to_owned(),
        title_en: SECRET.to_owned(),
        description_fr: SECRET.to_owned(),
        description_en: SECRET.to_owned(),
        results: Some(ResultsPolicy::Live),
        ..create_request()
    };
    served.node.create(draft).await.expect("created");
    served
}

/// Addresses below that of the log of the draft: each of them exists.
fn parts(served: &Served) -> Vec<String> {
    let manifest = std::fs::read(served.roll().join("manifest.json")).expect("a manifest");
    let size = served.node.election(&law()).expect("created").log_size;
    vec![
        "checkpoint".to_owned(),
        "policy".to_owned(),
        format!("manifest/{}", Digest::compute(&manifest)),
        format!("tile/0/000.p/{size}"),
        format!("tile/entries/000.p/{size}"),
    ]
}

async fn get(served: &Served, law_id: &str, part: &str, token: Option<&str>) -> Answer {
    let path = format!("/log/{law_id}/{part}");
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    Client::connect(served.at.public).await.send("GET", &path, &headers, "").await
}

fn fields(answer: &Answer) -> BTreeSet<String> {
    answer.headers.keys().map(ToString::to_string).collect()
}

/// The callers, each with its token, and whether it reads drafts.
async fn callers(served: &Served) -> Vec<(&'static str, Option<String>, bool)> {
    let node = served.node.admin_token().expect("a token").as_str().to_owned();
    let mut callers = vec![("nothing", None, false), ("the node's token", Some(node), true)];
    for (role, reads) in [(Voter, false), (Observer, true), (Auditor, true), (Administrator, true)]
    {
        let email = format!("{role:?}@exemple.ca").to_lowercase();
        let token = token_of(served, &email, role).await;
        callers.push((role.as_str(), Some(token), reads));
    }
    callers
}

#[tokio::test(flavor = "multi_thread")]
async fn log_of_a_draft_is_not_found_except_by_officials() {
    let served = drafted().await;
    let (callers, parts) = (callers(&served).await, parts(&served));
    let mut read: Vec<Vec<u8>> = Vec::new();
    for part in &parts {
        for (caller, token, reads_drafts) in &callers {
            let answer = get(&served, LAW, part, token.as_deref()).await;
            let case = format!("{part} with {caller}: {answer:?}");
            if *reads_drafts {
                assert_eq!(answer.status, 200, "{case}");
                assert_eq!(answer.header("cache-control"), "private, no-store", "{case}");
                assert_ne!(answer.header("access-control-allow-origin"), "*", "{case}");
                read.push(answer.body.to_vec());
                continue;
            }
            assert_eq!(answer.problem(), (404, "unknown-election".to_owned()), "{case}");
            let unknown = get(&served, UNKNOWN, part, token.as_deref()).await;
            assert_eq!(
                (&answer.body, fields(&answer)),
                (&unknown.body, fields(&unknown)),
                "{case}"
            );
        }
        let refused = get(&served, LAW, part, Some("x")).await;
        assert_eq!(refused.problem(), (401, "token-refused".to_owned()), "{part}");
    }
    served.node.open(&law(), OpenElection::default()).await.expect("opened");
    let mut read = read.into_iter();
    for part in &parts {
        for (caller, token, read_drafts) in &callers {
            let answer = get(&served, LAW, part, token.as_deref()).await;
            assert_eq!(answer.status, 200, "{part} with {caller}: {answer:?}");
            let before = if *read_drafts { read.next() } else { None };
            // Another head has replaced the head of the draft, and contains the leaves that the
            // latter signed.
            let is_same = before.is_none_or(|before| before == answer.body);
            assert!(is_same || part == "checkpoint", "{part} with {caller}");
        }
        let public = get(&served, LAW, part, None).await;
        assert!(!public.header("cache-control").contains("no-store"), "{part}: {public:?}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_token_reads_no_draft_from_a_network_that_is_not_of_officials() {
    let officials_from = vec!["192.0.2.0/24".parse().expect("a range")];
    let served = drafted_on(Config { officials_from, ..config() }).await;
    let node = served.node.admin_token().expect("a token").as_str().to_owned();
    for part in &parts(&served) {
        let answer = get(&served, LAW, part, Some(&node)).await;
        assert_eq!(answer.problem(), (404, "unknown-election".to_owned()), "{part}");
        let unknown = get(&served, UNKNOWN, part, None).await;
        assert_eq!(answer.body, unknown.body, "{part}");
    }
    served.node.open(&law(), OpenElection::default()).await.expect("opened");
    for part in &parts(&served) {
        assert_eq!(get(&served, LAW, part, Some(&node)).await.status, 200, "{part}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_public_answer_has_a_word_of_a_draft() {
    let served = drafted().await;
    let api = |rest: &str| format!("/api/v1/{rest}");
    let mut paths = vec![
        api("elections"),
        api(&format!("elections/{LAW}")),
        api(&format!("elections/{LAW}/candidates")),
        api("results"),
        api(&format!("results/{LAW}")),
        api(&format!("results/{LAW}/events")),
        api("user/voted-elections"),
        api("health"),
    ];
    for lang in ["fr", "en"] {
        for rest in ["", "elections", "session", "receipts", "help"] {
            paths.push(format!("/{lang}/{rest}"));
        }
        paths.push(format!("/{lang}/results/{LAW}"));
        paths.push(format!("/{lang}/vote/{LAW}"));
        paths.push(format!("/{lang}/vote/{LAW}/ballot"));
    }
    paths.extend(parts(&served).iter().map(|part| format!("/log/{LAW}/{part}")));
    for path in paths {
        let answer = served.get(&path).await;
        assert!(!answer.text().contains(SECRET), "{path}: {}", answer.text());
    }
    let vote = served.vote(&ballot(1, "oui"), &[]).await;
    assert_eq!(vote.problem(), (409, "not-open-yet".to_owned()));
    assert!(!vote.text().contains(SECRET), "{}", vote.text());
    // What `/metrics` shows; the dashboards of operators may have more readers.
    let gauges = served.node.gauges().elections;
    assert!(gauges.len() == 1 && gauges[0].votes_by_choice.is_empty(), "{gauges:?}");
    let subscribe = |topic: &str| json!({"subscribe": [topic]}).to_string();
    let list: Value = receive(&mut socket(served.at.public, subscribe("elections")).await).await;
    let text = list.to_string();
    assert!(!text.contains(SECRET) && !text.contains(LAW), "{text}");
    for topic in ["blocks", "turnout", "results"] {
        let subscribe = subscribe(&format!("{topic}/{LAW}"));
        let closed = close_of(&mut socket(served.at.public, subscribe).await).await;
        assert_eq!(closed, (1008, "not-open-yet".to_owned()), "{topic}");
    }
    served.node.open(&law(), OpenElection::default()).await.expect("opened");
    assert!(served.get(&format!("/api/v1/elections/{LAW}")).await.text().contains(SECRET));
    assert!(!served.node.gauges().elections[0].votes_by_choice.is_empty());
    served.end().await;
}
