//! The results of an open poll under `after_vote`, by GET with the token of a member: those who
//! have voted see them, and no other caller sees or measures anything.

use crate::account_support::{PASSWORD, account, add, app_code, login, send, token_of};
use crate::http_support::{Answer, Client, Served, config};
use crate::live_support::WAIT;
use crate::support::{LAW, create_request, law};
use serde_json::json;
use votekit_core::election::ResultsPolicy;
use votekit_node::config::Config;
use votekit_node::{CreateElection, OpenElection};
use votekit_store::AccountRole;

const VOTED: &str = "voted@exemple.ca";
const WAITING: &str = "waiting@exemple.ca";
const ELSEWHERE: &str = "elsewhere@exemple.ca";

/// Another open election.
const OTHER_LAW: &str = "L2025-002";

/// The origin that the node names.
const KNOWN: &str = "https://app.exemple.ca";
const OTHER: &str = "https://evil.example";

const KEY: (&str, &str) = ("idempotency-key", "8e03978e-40d5-43e8-bc93-6894a57f9324");

fn path() -> String {
    format!("/api/v1/results/{LAW}")
}

/// Serves two open elections of members: two members may vote in the first, another member in the
/// second.
async fn served(config: Config, policy: ResultsPolicy) -> Served {
    let served = Served::empty(config).await;
    for (law_id, emails) in [(LAW, &[VOTED, WAITING][..]), (OTHER_LAW, &[ELSEWHERE])] {
        let id = |email: &&str| account(email, AccountRole::Voter).id;
        let members: Vec<_> = emails.iter().map(id).collect();
        let law_id = law_id.to_owned();
        let request = CreateElection { law_id, results: Some(policy), ..create_request() };
        served.node.create_with_members(request, &members).await.expect("created");
    }
    for law in [LAW, OTHER_LAW] {
        let law = law.parse().expect("a law id");
        served.node.open(&law, OpenElection::default()).await.expect("opened");
    }
    served
}

/// Votes with the token of a member, and waits for the decision.
async fn vote(served: &Served, token: &str, law: &str) {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), KEY, WAIT];
    let path = format!("/api/v1/votes/{law}");
    let voted = send(served, "PUT", &path, &headers, Some(json!({"vote": "oui"}))).await;
    assert_eq!(voted.json()["status"], "accepted", "{voted:?}");
}

/// Asks for the results with a token and other header fields.
async fn fetch_results(
    served: &Served,
    method: &str,
    token: &str,
    fields: &[(&str, &str)],
) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [fields, &[("authorization", bearer.as_str())]].concat();
    Client::connect(served.at.public).await.send(method, &path(), &headers, "").await
}

/// All that a caller sees of an answer.
fn seen(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let text = |value: &hyper::header::HeaderValue| value.to_str().expect("ASCII").to_owned();
    let fields = answer.headers.iter().filter(|(name, _)| *name != "date");
    let mut fields: Vec<_> = fields.map(|(name, value)| (name.to_string(), text(value))).collect();
    fields.sort();
    (answer.status.as_u16(), fields, answer.text().to_owned())
}

fn check_shown(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), &answer.json()["oui_count"]), (200, &json!(1)));
    assert_eq!(answer.header("cache-control"), "private, no-store");
    assert!(answer.header("vary").contains("Authorization"), "{answer:?}");
    assert!(!answer.headers.contains_key("etag"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_has_voted_gets_the_results_and_all_others_the_same_refusal() {
    let served = served(config(), ResultsPolicy::AfterVote).await;
    let voted = token_of(&served, VOTED, AccountRole::Voter).await;
    let mut others = Vec::new();
    for email in [WAITING, ELSEWHERE, "of-nothing@exemple.ca"] {
        others.push(token_of(&served, email, AccountRole::Voter).await);
    }
    for role in [AccountRole::Administrator, AccountRole::Auditor, AccountRole::Observer] {
        let email = format!("{role:?}@exemple.ca").to_lowercase();
        others.push(token_of(&served, &email, role).await);
    }
    // Before its vote the member sees the same as the others.
    let before = seen(&fetch_results(&served, "GET", &voted, &[]).await);
    vote(&served, &voted, LAW).await;
    vote(&served, &others[1], OTHER_LAW).await;
    for condition in [
        ("accept", "*/*"),
        ("accept", "text/csv"),
        ("if-none-match", "*"),
        ("range", "bytes=0-0"),
        ("accept-encoding", "gzip"),
    ] {
        for method in ["GET", "HEAD"] {
            let mut client = Client::connect(served.at.public).await;
            let public = client.send(method, &path(), &[condition], "").await;
            assert_eq!(public.status, 403, "{method} {condition:?}");
            let refused = seen(&fetch_results(&served, method, &others[0], &[condition]).await);
            assert_eq!((refused.0, refused.2.as_str()), (403, public.text()));
            for other in &others[1..] {
                let answer = fetch_results(&served, method, other, &[condition]).await;
                assert_eq!(seen(&answer), refused, "{method} {condition:?}");
            }
            if method == "GET" {
                assert_eq!(before, refused, "{condition:?}");
                check_shown(&fetch_results(&served, "GET", &voted, &[condition]).await);
            } else {
                let shown = fetch_results(&served, "HEAD", &voted, &[condition]).await;
                assert_eq!((shown.status.as_u16(), shown.text()), (200, ""));
            }
        }
    }
    // A token that is not valid is refused, not ignored; none counts in an address.
    for wrong in ["x", &voted[1..], ""] {
        let refused = fetch_results(&served, "GET", wrong, &[]).await;
        assert_eq!(refused.problem(), (401, "token-refused".to_owned()), "{wrong}");
    }
    let in_address = served.get(&format!("{}?token={voted}&access_token={voted}", path())).await;
    assert_eq!(in_address.problem(), (403, "results-withheld".to_owned()));

    served.node.close(&law()).await.expect("closed");
    check_shown(&fetch_results(&served, "GET", &others[0], &[]).await);
    let public = served.get(&path()).await;
    assert_eq!((public.status.as_u16(), &public.json()["oui_count"]), (200, &json!(1)));
    assert!(public.headers.contains_key("etag") && public.header("vary").contains("Authorization"));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_results_end_with_the_session_and_under_after_close_no_vote_opens_them() {
    for policy in [ResultsPolicy::AfterVote, ResultsPolicy::AfterClose] {
        let served = served(config(), policy).await;
        add(&served.node, VOTED, AccountRole::Voter).await;
        let tokens = login(&served, VOTED, PASSWORD, &app_code(&served.node, 0)).await.json();
        let token = tokens["access_token"].as_str().expect("a token").to_owned();
        vote(&served, &token, LAW).await;
        let answer = fetch_results(&served, "GET", &token, &[]).await;
        if policy == ResultsPolicy::AfterVote {
            check_shown(&answer);
        } else {
            assert_eq!(answer.problem(), (403, "results-withheld".to_owned()));
        }
        let refresh = json!({"refresh_token": tokens["refresh_token"]});
        let ended = send(&served, "POST", "/api/v1/auth/logout", &[], Some(refresh)).await;
        assert_eq!(ended.status, 204, "{ended:?}");
        let refused = fetch_results(&served, "GET", &token, &[]).await;
        assert_eq!(refused.problem(), (401, "token-refused".to_owned()));
        served.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_known_origin_reads_the_results_with_a_token_and_no_other_page_does() {
    let config = Config { cors_origins: vec![KNOWN.to_owned()], ..config() };
    let served = served(config, ResultsPolicy::AfterVote).await;
    let token = token_of(&served, VOTED, AccountRole::Voter).await;
    vote(&served, &token, LAW).await;
    let allowed = |answer: &Answer| answer.header("access-control-allow-origin").to_owned();
    let asks = [
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization"),
    ];
    for (origin, status, expected) in [(KNOWN, 204, KNOWN), (OTHER, 405, "")] {
        let fields = [&asks[..], &[("origin", origin)]].concat();
        let preflight = send(&served, "OPTIONS", &path(), &fields, None).await;
        let found = (preflight.status.as_u16(), allowed(&preflight));
        assert_eq!(found, (status, expected.to_owned()), "{origin}");
        let shown = fetch_results(&served, "GET", &token, &[("origin", origin)]).await;
        check_shown(&shown);
        assert_eq!(allowed(&shown), expected, "{origin}");
        let mut vary = shown.headers.get_all("vary").iter();
        assert!(vary.any(|value| value == "Origin"), "{shown:?}");
        // A refusal can be read where the answer could be.
        let refused = fetch_results(&served, "GET", "x", &[("origin", origin)]).await;
        assert_eq!((refused.status.as_u16(), allowed(&refused)), (401, expected.to_owned()));
        // Without a token the answer is everyone's.
        let public = send(&served, "GET", &path(), &[("origin", origin)], None).await;
        assert_eq!((public.status.as_u16(), allowed(&public)), (403, "*".to_owned()));
    }
    served.end().await;
}
