//! The states of a poll, receipts, help and personal information, asked of the router.

use std::time::Duration;

use votekit_core::election::ResultsPolicy;
use votekit_core::log::checkpoint::SignedCheckpoint;
use votekit_core::log::proof::Proof;
use votekit_node::Node;
use votekit_node::config::{Config, PagesConfig};
use votekit_node::data_folder::DataFolder;

use super::*;
use crate::problem::KINDS;

/// A node with these texts and an election that is created and not opened.
async fn draft_site(pages: PagesConfig, request: CreateElection) -> Site {
    let dir = TestDir::new(30);
    let config = Config { rate_limit_per_second: 0, pages, ..Config::default() };
    let folder = DataFolder::open(&dir.path("node"), None).expect("a data folder");
    let node = Node::start(folder, config).await.expect("the node starts");
    node.load(&dir.path("hashes"), None).await.expect("loaded");
    node.create(request).await.expect("created");
    let api = Api::new(node, b"token");
    Site { gate: Gate::new(&api), router: routes::public(&api), api, _dir: dir }
}

/// A text as a browser encodes it in a form.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn page_of_an_unopened_poll_shows_its_opening() {
    let pages = PagesConfig {
        time_zone: Some("EST5EDT,M3.2.0,M11.1.0".parse().expect("a zone")),
        time_zone_fr: "heure de l’Est".to_owned(),
        contact: "1 800 555-0100".to_owned(),
        ..PagesConfig::default()
    };
    let request =
        CreateElection { opens: Some("2099-02-01T13:00:00Z".to_owned()), ..create_request() };
    let site = draft_site(pages, request).await;
    // Opened in advance: it takes votes from its hour on.
    site.api.node.open(&law(), OpenElection::default()).await.expect("opened");
    for (lang, time) in [
        (
            Lang::Fr,
            "1er février 2099, 8\u{a0}h\u{a0}00, heure de l’Est (1er février 2099, 13\u{a0}h\u{a0}00 UTC)",
        ),
        (Lang::En, "February 1, 2099, 8:00, EST (February 1, 2099, 13:00 UTC)"),
    ] {
        let code = lang.code();
        let early = site.get(&format!("/{code}/vote/{LAW}"), "").await;
        assert_eq!(early.status, StatusCode::CONFLICT);
        early.check_page(lang);
        let title = lang.problem("not-open-yet").title;
        assert!(early.title().starts_with(&format!("{}{title}", lang.error_prefix())));
        early.shows("<time datetime=\"2099-02-01T13:00:00Z\" data-utc=\"");
        early.shows(time);
        early.shows(lang.column_opens());
        early.shows("class=\"code\">E-");
        let start = site.get(&format!("/{code}/"), "").await;
        start.shows(lang.upcoming_title());
        start.shows(time);
        start.shows("1 800 555-0100");
        let list = site.get(&format!("/{code}/elections"), "").await;
        list.shows(&format!("data-election=\"{LAW}\" data-state=\"open\""));
        list.shows("/static/elections-");
        list.shows(lang.list_changed());
        list.shows(&format!("data-vote hidden aria-label=\"{}", lang.vote_now_short()));
    }
    site.end().await;
}

/// By its id a reader learns that it is not open yet, and when it is planned to open.
#[tokio::test]
async fn a_draft_is_on_no_page_of_voters_and_readers() {
    let request =
        CreateElection { opens: Some("2099-02-01T13:00:00Z".to_owned()), ..create_request() };
    let site = draft_site(PagesConfig::default(), request).await;
    for lang in Lang::ALL {
        let code = lang.code();
        for path in ["/", "/elections", "/session"] {
            let page = site.get(&format!("/{code}{path}"), "").await;
            assert_eq!(page.status, StatusCode::OK, "{path}");
            page.lacks(LAW);
            page.lacks("class=\"banner\"");
        }
        let ballot = format!("/{code}/vote/{LAW}/ballot");
        let typed = [("nas", "x"), ("code", "x"), ("choice", "oui")];
        for answer in [
            site.get(&format!("/{code}/results/{LAW}"), "").await,
            site.get(&format!("/{code}/vote/{LAW}"), "").await,
            site.post(&format!("/{code}/vote/{LAW}"), "", &typed).await,
            site.post(&ballot, "", &typed).await,
            site.post(&format!("/{code}/vote/{LAW}/cast"), "", &typed).await,
        ] {
            assert_eq!(answer.status, StatusCode::CONFLICT);
            answer.check_page(lang);
            answer.shows(lang.problem("not-open-yet").title);
            answer.shows("<time datetime=\"2099-02-01T13:00:00Z\"");
            answer.lacks("Water Act");
            answer.lacks("Loi sur l’eau");
        }
    }
    site.end().await;
}

#[tokio::test]
async fn pages_of_closed_and_halted_polls_show_their_state() {
    let site = Site::open().await;
    let cookie = site.sign_in(11).await;
    site.api.node.panic_in_task(Some(&law()));
    while site.api.node.halted(&law()).is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for lang in Lang::ALL {
        let sign_in = format!("/{}/vote/{LAW}", lang.code());
        for path in [sign_in.clone(), format!("{sign_in}/ballot")] {
            let halted = site.get(&path, &cookie).await;
            assert_eq!(halted.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
            halted.check_page(lang);
            halted.shows(lang.problem("halted").title);
            assert!(!halted.header("retry-after").is_empty());
        }
        let (nas, code) = typed(11);
        let fields = [("nas", nas.as_str()), ("code", code.as_str())];
        let halted = site.post(&sign_in, "", &fields).await;
        assert_eq!(halted.status, StatusCode::SERVICE_UNAVAILABLE);
        halted.shows(lang.problem("halted").title);
    }
    site.end().await;

    let site = Site::open().await;
    site.api.node.close(&law()).await.expect("closed");
    for lang in Lang::ALL {
        let closed = site.get(&format!("/{}/vote/{LAW}", lang.code()), "").await;
        assert_eq!(closed.status, StatusCode::CONFLICT);
        closed.check_page(lang);
        closed.shows(lang.problem("closed").title);
        closed.shows(lang.column_closes());
        closed.shows("<time datetime=\"");
    }
    site.end().await;
}

#[tokio::test]
async fn voters_see_after_vote_results_before_the_close() {
    let request = CreateElection { results: Some(ResultsPolicy::AfterVote), ..create_request() };
    let site = Site::open_with(request).await;
    let path = format!("/fr/results/{LAW}");
    let cookie = site.sign_in(15).await;
    for cookie in ["", cookie.as_str()] {
        site.get(&path, cookie).await.shows(Lang::Fr.withheld_after_vote());
    }
    let (cookie, vote) = site.vote(LAW, "oui", &cookie).await;
    site.get(&vote, &cookie).await.shows("outcome good");
    let shown = site.get(&path, &cookie).await;
    shown.shows("data-count=\"oui\"");
    shown.lacks(Lang::Fr.withheld_after_vote());
    site.get(&path, "").await.lacks("data-count");
    site.end().await;
}

#[tokio::test]
async fn problems_have_a_support_code_and_wrong_addresses_none() {
    let site = Site::open().await;
    let path = format!("/en/vote/{LAW}");
    let (nas, _) = typed(12);
    let refused = site.post(&path, "", &[("nas", nas.as_str()), ("code", "WRONG0001")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    refused.shows("Support code: <span class=\"code\">E-");
    let empty = site.post(&path, "", &[("nas", ""), ("code", "")]).await;
    empty.lacks("Support code");
    site.get("/en/nowhere", "").await.lacks("Support code");
    site.end().await;
}

#[tokio::test]
async fn a_receipt_is_checked_by_its_text_or_by_its_number() {
    let site = Site::open().await;
    let (cookie, vote) = site.vote(LAW, "oui", &site.sign_in(13).await).await;
    let outcome = site.get(&vote, &cookie).await;
    let request = outcome.hidden("/fr/receipts/check", "request");
    assert_eq!(vote, format!("/fr/votes/{request}"));
    let id = request.parse().expect("a request id");
    let receipt = site.api.node.receipt(id).await.expect("decided");
    let receipt = String::from_utf8(receipt).expect("text");
    for lang in Lang::ALL {
        let path = format!("/{}/receipts/check", lang.code());
        let as_sent_by_browsers = encoded(&receipt.replace('\n', "\r\n"));
        for field in [("request", request.as_str()), ("receipt", as_sent_by_browsers.as_str())] {
            let answer = site.post(&path, "", &[field]).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.html);
            answer.check_page(lang);
            assert!(answer.title().starts_with(lang.receipt_genuine_title()));
            answer.shows("outcome good");
            answer.shows(lang.receipt_accepted());
            answer.shows(&request);
            answer.shows("votekit verify receipt");
            answer.shows(lang.receipt_proves());
            answer.shows(&format!("/log/{LAW}/policy"));
            answer.lacks(">Oui<");
            let hash = CredentialHasher::plain().hash(&credential(13)).to_hex();
            answer.lacks(&hash);
        }
    }
    site.end().await;
}

#[tokio::test]
async fn forged_receipts_are_shown_as_invalid() {
    let site = Site::open().await;
    let (cookie, vote) = site.vote(LAW, "non", &site.sign_in(14).await).await;
    site.get(&vote, &cookie).await.shows("outcome good");
    let id = vote.strip_prefix("/fr/votes/").expect("its page").parse().expect("a request id");
    let receipt = site.api.node.receipt(id).await.expect("decided");
    let receipt = String::from_utf8(receipt).expect("text");
    let index = receipt.lines().find(|line| line.starts_with("index ")).expect("an index");
    let changed = receipt.replacen(index, "index 1", 1);
    let cut = receipt.lines().take(3).collect::<Vec<_>>().join("\n");
    let elsewhere = receipt.replace(&format!("/{LAW}"), "/L1999-001");
    for lang in Lang::ALL {
        let path = format!("/{}/receipts/check", lang.code());
        for (text, status, title) in [
            (changed.as_str(), 200, lang.receipt_changed_title()),
            (elsewhere.as_str(), 200, lang.receipt_other_title()),
            ("my secret code 1234", 422, lang.receipt_none_title()),
            (cut.as_str(), 422, lang.receipt_none_title()),
        ] {
            let answer = site.post(&path, "", &[("receipt", encoded(text).as_str())]).await;
            assert_eq!(answer.status.as_u16(), status, "{title}");
            answer.check_page(lang);
            answer.shows(title);
            answer.lacks("outcome good");
            answer.lacks("my secret code");
        }
        let empty = site.post(&path, "", &[("receipt", "%0D%0A")]).await;
        assert_eq!(empty.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(empty.title().starts_with(lang.error_prefix()));
        empty.shows("<a href=\"#receipt\">");
        let unknown = site.post(&path, "", &[("request", "0".repeat(32).as_str())]).await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND);
        unknown.shows(lang.problem("unknown-request").title);
        let long = site.post(&path, "", &[("receipt", "a".repeat(70_000).as_str())]).await;
        assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
        long.check_page(lang);
    }
    let foreign = Request::post("/fr/receipts/check")
        .header(HOST, "localhost")
        .header(ORIGIN, "http://evil.example")
        .header("content-type", "application/x-www-form-urlencoded");
    let foreign = site.exchange(foreign.body(Body::from("receipt=x")).expect("a request")).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    site.end().await;
}

/// An outside witness has the head of a draft, and could try it.
#[tokio::test]
async fn a_forged_receipt_shows_no_draft() {
    let site = draft_site(PagesConfig::default(), create_request()).await;
    let head = site.api.node.checkpoint(&law()).expect("a log");
    let head = SignedCheckpoint::parse(&head).expect("a checkpoint");
    let forged = Proof::new(b"{}", 0, Vec::new(), head).to_string();
    for lang in Lang::ALL {
        let path = format!("/{}/receipts/check", lang.code());
        let answer = site.post(&path, "", &[("receipt", encoded(&forged).as_str())]).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.html);
        answer.shows(lang.receipt_other_title());
    }
    site.end().await;
}

#[tokio::test]
async fn help_has_cause_and_remedy_of_each_problem() {
    let site = Site::open().await;
    for lang in Lang::ALL {
        let help = site.get(&format!("/{}/help", lang.code()), "").await;
        // Each code that a page names leads here.
        for kind in KINDS {
            let (code, text) = (kind.code, lang.problem(kind.code));
            help.shows(&format!("id=\"{code}\""));
            help.shows(&format!(">{}</h3>", text.title));
            help.shows(&format!("<dd>{}</dd>", lang.cause(code)));
            help.shows(&format!("<dd>{}</dd>", text.advice));
        }
    }
    site.end().await;
}

#[tokio::test]
async fn personal_information_has_the_text_of_the_organisation() {
    let pages = PagesConfig {
        privacy_fr: "Nous gardons la liste <un an>.\n\nEnsuite, elle est détruite.".to_owned(),
        privacy_en: "We keep the roll for a year.".to_owned(),
        ..PagesConfig::default()
    };
    let site = draft_site(pages, create_request()).await;
    for (lang, own) in [
        (Lang::Fr, ["<p>Nous gardons la liste &#60;un an&#62;.</p>", "<p>Ensuite, elle est"]),
        (Lang::En, ["<p>We keep the roll for a year.</p>", Lang::En.privacy_own()]),
    ] {
        let page = site.get(&format!("/{}/privacy", lang.code()), "").await;
        assert_eq!(page.status, StatusCode::OK);
        page.check_page(lang);
        for text in own {
            page.shows(text);
        }
        page.shows(lang.article_privacy()[0].heading);
        site.get(&format!("/{}/help", lang.code()), "").await.shows("/privacy\"");
    }
    site.end().await;
    let without = Site::open().await;
    without.get("/en/privacy", "").await.lacks(Lang::En.privacy_own());
    without.end().await;
}
