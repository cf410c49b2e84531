//! Side doors: other addresses, methods and header fields than those that show results or take
//! attempts. None of them shows a count before the close, and none leads around the back-off.

use std::collections::BTreeSet;

use crate::attack_support::{FORM, JSON, OWN_ORIGIN, client_from, typed};
use crate::attacks_results::{
    LAWS, VOTES, both, check_alike, leaves, normal, of_kind, served, vote,
};
use crate::form_support::form;
use crate::http_support::{Client, Served, config};
use crate::support::{LAW, create_request};
use serde_json::json;
use votekit_core::election::ResultsPolicy;
use votekit_node::config::{Config, ThrottleConfig};

/// Serves two elections that differ only in the choices of their voters.
async fn voted(policy: ResultsPolicy) -> Served {
    let served = served(policy).await;
    for index in 1..=VOTES {
        for (law, choice) in LAWS {
            vote(&served, law, index, choice).await;
        }
    }
    served
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_address_method_or_field_shows_a_count_before_the_close() {
    let served = voted(ResultsPolicy::AfterVote).await;
    let nothing = "0".repeat(32);
    for (path, status) in [
        (format!("/api/v1/results/{{law}}?request_id={nothing}"), 403),
        ("/api/v1/results/{law}?state=closed&policy=live&format=csv".to_owned(), 403),
        ("/api/v1/results/{law}/".to_owned(), 404),
        ("/api/v1/results/{law}/csv".to_owned(), 404),
        ("/api/v1/results/{law}.csv".to_owned(), 404),
        ("/api/v1/elections/{law}/results".to_owned(), 404),
        ("/fr/results/{law}?state=closed&results=live".to_owned(), 200),
        ("/fr/results/{law}/".to_owned(), 404),
        ("/fr/results/{law}.json".to_owned(), 404),
        ("/en/results/{law}/csv".to_owned(), 404),
        ("/fr/officials/elections/{law}/results/json".to_owned(), 303),
        ("/log/{law}/results".to_owned(), 404),
        ("/log/{law}/results.json".to_owned(), 404),
        ("/log/{law}/tile/entries/000".to_owned(), 404),
        ("/log/{law}/tile/8/000".to_owned(), 404),
    ] {
        for condition in [
            ("accept", "text/event-stream"),
            ("accept", "application/xml, text/csv;q=0.9"),
            ("accept", "*/*;q=0"),
            ("if-match", "*"),
            ("if-none-match", "*"),
            ("range", "bytes=0-"),
            ("x-http-method-override", "GET"),
            ("x-original-url", "/api/v1/admin/elections"),
        ] {
            for method in ["GET", "HEAD"] {
                let answers = both(&served, &path, &[condition], method).await;
                let context = format!("{method} {path} {condition:?}");
                check_alike(&context, &answers);
                let [one, other] = &answers;
                assert_eq!(one.status.as_u16(), status, "{context}");
                assert!(!one.headers.contains_key("etag"), "{context}");
                assert!(!one.text().contains("data-count="), "{context}");
                let texts = answers.each_ref().map(|answer| normal(answer.text()));
                assert_eq!(without_code(&texts[0]), without_code(&texts[1]), "{context}");
                assert_eq!(other.status, one.status, "{context}");
            }
        }
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        for path in ["/api/v1/results/{law}", "/api/v1/results/{law}/events"] {
            let fields = [("x-http-method-override", "GET")];
            let answers = both(&served, path, &fields, method).await;
            check_alike(path, &answers);
            assert_eq!(answers[0].problem(), (405, "method-not-allowed".to_owned()), "{method}");
        }
    }
    served.end().await;
}

/// A page without its support code, which is random.
fn without_code(text: &str) -> String {
    match text.split_once(">E-") {
        Some((before, rest)) => [before, rest.get(8..).unwrap_or_default()].concat(),
        None => text.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_close_no_part_of_the_log_opens_a_sum_or_names_a_choice() {
    for policy in [ResultsPolicy::AfterClose, ResultsPolicy::AfterVote] {
        let served = voted(policy).await;
        let mut client = Client::connect(served.at.public).await;
        for (law, _) in LAWS {
            let public = leaves(&served, law).await;
            assert!(of_kind(&public, "totals").is_empty(), "{policy:?}");
            for leaf in public.iter().filter(|leaf| leaf["leaf"] != "election") {
                let text = leaf.to_string();
                assert!(!text.contains("\"oui\"") && !text.contains("\"non\""), "{text}");
            }
            // The other answers about the last tile consist of the same bytes.
            let path = format!("/log/{law}/tile/entries/000.p/{}", public.len());
            let whole = client.get(&path).await;
            assert_eq!(whole.status, 200, "{path}");
            let ranged = client.send("GET", &path, &[("range", "bytes=0-9")], "").await;
            assert_eq!((ranged.status.as_u16(), &ranged.body), (200, &whole.body), "{path}");
            let head = client.send("HEAD", &path, &[], "").await;
            assert_eq!(head.header("content-length"), whole.body.len().to_string(), "{path}");
            let tag = whole.header("etag").to_owned();
            let known = client.send("GET", &path, &[("if-none-match", &tag)], "").await;
            assert_eq!((known.status.as_u16(), known.body.len()), (304, 0), "{path}");
            // A tile of other widths is a beginning of it, or unknown.
            let beyond = format!("/log/{law}/tile/entries/000.p/{}", public.len() + 1);
            assert_eq!(client.get(&beyond).await.problem().0, 404, "{beyond}");
            let before = format!("/log/{law}/tile/entries/000.p/{}", public.len() - 1);
            let before = client.get(&before).await;
            assert!(before.status == 200 && whole.body.starts_with(&before.body), "{law}");
        }
        // The leaves of both elections have the same members, kind by kind.
        let mut shapes = Vec::new();
        for (law, _) in LAWS {
            let shape: BTreeSet<String> = leaves(&served, law)
                .await
                .iter()
                .map(|leaf| {
                    let members: Vec<_> = leaf.as_object().expect("an object").keys().collect();
                    format!("{}: {members:?}", leaf["leaf"])
                })
                .collect();
            shapes.push(shape);
        }
        assert_eq!(shapes[0], shapes[1], "{policy:?}");
        served.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_method_or_field_leads_around_the_back_off() {
    // A wait that no test sits out.
    let throttle = ThrottleConfig { delay_seconds_min: 60, ..ThrottleConfig::default() };
    let served = Served::open_with(Config { throttle, ..config() }, create_request()).await;
    let (nas, code) = typed(3);
    let mut guesser = client_from(1, served.at.public).await;
    let session =
        |nas: &str, code: &str| json!({"nas": nas, "code": code, "law_ids": [LAW]}).to_string();
    for attempt in 0..6 {
        let body = session(&nas, &format!("WRONG000{attempt}"));
        let answer = guesser.send("POST", "/api/v1/session", &[JSON, OWN_ORIGIN], body).await;
        assert_eq!(answer.status, 401, "{attempt}");
    }
    // The right code, in other spellings and with other header fields.
    let spaced = format!("{} {}-{}", &nas[..3], &nas[3..6], &nas[6..]);
    let (lower, dashed) = (code.to_lowercase(), format!("{}-{}", &code[..4], &code[4..]));
    let key = ("idempotency-key", "a-key-that-others-cannot-guess");
    for (nas, code, field) in [
        (&nas, &code, ("x-http-method-override", "PUT")),
        (&nas, &code, ("accept", "text/html")),
        (&nas, &code, ("accept-language", "en")),
        (&nas, &code, ("x-client-ip", "203.0.113.7")),
        (&nas, &code, ("forwarded", "for=203.0.113.7")),
        (&nas, &code, key),
        (&spaced, &code, key),
        (&nas, &lower, key),
        (&nas, &dashed, key),
    ] {
        let headers = [JSON, OWN_ORIGIN, field];
        let held_up = guesser.send("POST", "/api/v1/session", &headers, session(nas, code)).await;
        assert_eq!(held_up.problem(), (429, "back-off".to_owned()), "{code} {field:?}");
        let vote = json!({"nas": nas, "code": code, "law_id": LAW, "vote": "oui"}).to_string();
        let held_up = guesser.vote(&vote, &[field]).await;
        assert_eq!(held_up.problem(), (429, "back-off".to_owned()), "{code} {field:?}");
        let fields = form(&[("nas", nas.as_str()), ("code", code.as_str())]);
        // The law of the address in other digits.
        for law in [LAW.to_owned(), LAW.replace('-', "%2D"), LAW.replace('L', "%4c")] {
            let path = format!("/en/vote/{law}");
            let headers = [FORM, OWN_ORIGIN, field];
            let held_up = guesser.send("POST", &path, &headers, fields.clone()).await;
            assert_eq!(held_up.status, 429, "{path} {code} {field:?}");
        }
    }
    // Other addresses and methods take no attempt.
    for path in ["/api/v1/session/", "//api/v1/session", "/api/v1/vote/", "/API/v1/session"] {
        let body = session(&nas, &code);
        let answer = guesser.send("POST", path, &[JSON, OWN_ORIGIN], body).await;
        assert_eq!(answer.problem(), (404, "unknown-route".to_owned()), "{path}");
    }
    for (method, path) in
        [("GET", "/api/v1/session"), ("HEAD", "/api/v1/vote"), ("GET", "/api/v1/vote")]
    {
        let answer = guesser.send(method, path, &[OWN_ORIGIN], "").await;
        assert_eq!(answer.status, 405, "{method} {path}");
    }
    // The elector from another network is not delayed.
    let mut elector = client_from(2, served.at.public).await;
    let headers = [JSON, OWN_ORIGIN];
    let admitted = elector.send("POST", "/api/v1/session", &headers, session(&nas, &code)).await;
    assert_eq!(admitted.status, 200, "{admitted:?}");
    served.end().await;
}
