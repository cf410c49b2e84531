//! Several elections in one session, and its end, asked of the router.

use super::*;

/// One roll of three laws: the first two have the same codes, the third has its own.
const LAWS: [(&str, &str, u32); 3] =
    [(LAW, "CODE", 30), ("L2025-002", "CODE", 30), ("L2025-003", "OTHER", 30)];

async fn site_of_laws() -> Site {
    let dir = TestDir::with_laws(&LAWS);
    let node = dir.open_polls().await;
    let api = Api::new(node, b"token");
    Site { gate: Gate::new(&api), router: routes::public(&api), api, _dir: dir }
}

impl Site {
    /// Sends NAS and code of the elector with index `index` to the sign-in of a law.
    async fn send_code(&self, law: &str, letters: &str, index: u32, cookie: &str) -> Answer {
        let (nas, _) = typed(index);
        let code = format!("{letters}-{index:04}");
        let fields = [("nas", nas.as_str()), ("code", code.as_str())];
        self.post(&format!("/fr/vote/{law}"), cookie, &fields).await
    }
}

#[tokio::test]
async fn one_sign_in_opens_each_law_of_its_code_and_others_are_added() {
    let site = site_of_laws().await;
    let signed_in = site.send_code(LAW, "code", 3, "").await;
    assert_eq!(signed_in.status, StatusCode::SEE_OTHER, "{}", signed_in.html);
    assert_eq!(signed_in.header("location"), "/fr/session");
    let cookie = signed_in.cookie();
    for lang in Lang::ALL {
        let code = lang.code();
        let page = site.get(&format!("/{code}/session"), &cookie).await;
        assert_eq!(page.status, StatusCode::OK);
        page.check_page(lang);
        assert!(page.title().starts_with(lang.ballots_title()), "{}", page.title());
        page.shows(&lang.ballots_left(2));
        for law in [LAW, "L2025-002"] {
            page.shows(&format!("href=\"/{code}/vote/{law}/ballot\""));
        }
        page.shows(&format!("href=\"/{code}/vote/L2025-003\" aria-label"));
        page.shows(&format!("href=\"/{code}/session\" aria-current=\"page\""));
    }

    let (cookie, vote) = site.vote(LAW, "oui", &cookie).await;
    let outcome = site.get(&vote, &cookie).await;
    outcome.shows("outcome good");
    outcome.shows("href=\"/fr/vote/L2025-002/ballot\"");
    outcome.shows("Bulletin suivant");
    let page = site.get("/fr/session", &cookie).await;
    page.shows(&format!("href=\"{vote}\""));
    page.shows("<span class=\"tag open\">Enregistré</span>");
    page.shows("Il vous reste un bulletin");
    page.lacks(&format!("/fr/vote/{LAW}/ballot"));

    // The third law has its own code; the others stay.
    let added = site.send_code("L2025-003", "other", 3, &cookie).await;
    assert_eq!(added.header("location"), "/fr/vote/L2025-003/ballot");
    let (cookie, third) = site.vote("L2025-003", "non", &added.cookie()).await;
    let (cookie, last) = site.vote("L2025-002", "non", &cookie).await;
    site.get(&third, &cookie).await.shows("outcome good");
    let outcome = site.get(&last, &cookie).await;
    outcome.shows("outcome good");
    outcome.lacks("Bulletin suivant");
    outcome.shows("href=\"/fr/session\"");
    let page = site.get("/fr/session", &cookie).await;
    page.shows("Il ne vous reste aucun bulletin");
    assert_eq!(page.html.matches("tag open\">Enregistré").count(), 3, "{}", page.html);
    for (law, ..) in LAWS {
        let law = law.parse().expect("a law id");
        assert_eq!(site.api.node.election(&law).expect("it").accepted, 1, "{law}");
    }
    site.end().await;
}

#[tokio::test]
async fn a_law_that_takes_no_votes_leaves_the_others_alone() {
    let site = site_of_laws().await;
    let cookie = site.send_code(LAW, "code", 4, "").await.cookie();
    site.api.node.close(&law()).await.expect("closed");
    for lang in Lang::ALL {
        let code = lang.code();
        let page = site.get(&format!("/{code}/session"), &cookie).await;
        page.shows(lang.takes_no_votes());
        page.shows(lang.ballots_left_one());
        page.lacks(&format!("href=\"/{code}/vote/{LAW}/ballot\""));
        let ballot = site.get(&format!("/{code}/vote/{LAW}/ballot"), &cookie).await;
        assert_eq!(ballot.status, StatusCode::CONFLICT);
        ballot.check_page(lang);
        ballot.shows(lang.problem("closed").title);
        ballot.shows("<time datetime=\"");
    }
    let (cookie, vote) = site.vote("L2025-002", "oui", &cookie).await;
    site.get(&vote, &cookie).await.shows("outcome good");
    site.end().await;
}

#[tokio::test]
async fn without_a_session_the_ballots_page_leads_to_the_sign_in() {
    let site = site_of_laws().await;
    for lang in Lang::ALL {
        let code = lang.code();
        let page = site.get(&format!("/{code}/session"), "").await;
        assert_eq!(page.status, StatusCode::OK);
        page.check_page(lang);
        page.shows(lang.ballots_signed_out());
        for (law, ..) in LAWS {
            page.shows(&format!("href=\"/{code}/vote/{law}\""));
        }
        page.lacks("data-session-seconds");
        assert!(!page.headers.contains_key(SET_COOKIE));
    }
    site.end().await;
}

#[tokio::test]
async fn sign_in_shows_the_session_and_another_person_begins_a_new_one() {
    let site = site_of_laws().await;
    let cookie = site.send_code(LAW, "code", 5, "").await.cookie();
    let known = site.get(&format!("/fr/vote/{LAW}"), &cookie).await;
    known.shows("Une session est déjà ouverte pour ce scrutin");
    known.shows(&format!("class=\"link\" href=\"/fr/vote/{LAW}/ballot\""));
    let start = site.get("/fr/", &cookie).await;
    start.shows(&format!("href=\"/fr/vote/{LAW}/ballot\""));
    site.get("/en/vote/L2025-003", &cookie).await.shows("will be added to your ballots");
    let (cookie, vote) = site.vote(LAW, "oui", &cookie).await;
    let voted = site.get(&format!("/fr/vote/{LAW}"), &cookie).await;
    voted.shows(&format!("class=\"link\" href=\"{vote}\""));
    // Nearly all of twelve other electors are detected: they see nothing of the first elector's
    // ballots.
    let mut kept = 0;
    for index in 6..18 {
        let other = site.send_code("L2025-003", "other", index, &cookie).await;
        assert_eq!(other.status, StatusCode::SEE_OTHER);
        let page = site.get("/fr/session", &other.cookie()).await;
        kept += usize::from(page.html.contains(&vote));
    }
    assert!(kept <= 2, "{kept}");
    let same = site.send_code("L2025-003", "other", 5, &cookie).await;
    site.get("/fr/session", &same.cookie()).await.shows(&vote);
    site.end().await;
}

#[tokio::test]
async fn a_code_of_another_law_opens_that_one_and_keeps_a_choice() {
    let site = site_of_laws().await;
    let other = site.send_code(LAW, "other", 6, "").await;
    assert_eq!(other.header("location"), "/fr/session");
    let page = site.get("/fr/session", &other.cookie()).await;
    page.shows("href=\"/fr/vote/L2025-003/ballot\"");
    page.shows(&format!("href=\"/fr/vote/{LAW}\" aria-label=\"Ajouter mon code"));

    let (nas, key) = (typed(6).0, "ab".repeat(16));
    let fields =
        [("nas", nas.as_str()), ("code", "other-0006"), ("choice", "non"), ("key", key.as_str())];
    for lang in Lang::ALL {
        let path = format!("/{}/vote/{LAW}", lang.code());
        let answer = site.post(&path, "", &fields).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        answer.check_page(lang);
        answer.shows(lang.code_of_another_law());
        assert_eq!(answer.hidden(&path, "choice"), "non");
        assert_eq!(answer.hidden(&path, "key"), key);
        answer.lacks("other-0006");
        // The other law is open, and the right code leads to the check page.
        let right = [("nas", nas.as_str()), ("code", "code-0006"), fields[2], fields[3]];
        let check = site.post(&path, &answer.cookie(), &right).await;
        assert_eq!(check.status, StatusCode::OK);
        check.shows(lang.not_voted_yet());
    }
    site.end().await;
}

#[tokio::test]
async fn a_ballot_sent_again_has_the_same_retry_key() {
    let site = site_of_laws().await;
    let cookie = site.send_code(LAW, "code", 7, "").await.cookie();
    let key = async |law: &str, choice: &str| {
        let ballot = format!("/fr/vote/{law}/ballot");
        let token = site.get(&ballot, &cookie).await.hidden(&ballot, "token");
        let fields = [("choice", choice), ("token", token.as_str())];
        let check = site.post(&ballot, &cookie, &fields).await;
        check.hidden(&format!("/fr/vote/{law}/cast"), "key")
    };
    let first = key(LAW, "oui").await;
    assert_eq!(key(LAW, "oui").await, first, "the browser loaded the page again");
    assert_ne!(key(LAW, "non").await, first);
    assert_ne!(key("L2025-002", "oui").await, first);
    site.end().await;
}

/// Every way in which the extension may be sent, and its answer.
#[tokio::test]
async fn only_a_page_of_the_session_extends_it() {
    let site = site_of_laws().await;
    let cookie = site.send_code(LAW, "code", 8, "").await.cookie();
    let other = site.send_code(LAW, "code", 9, "").await.cookie();
    let page = site.get("/fr/session", &cookie).await;
    let token = page.data("data-session-token").to_owned();
    let path = "/fr/session/extend";
    assert_eq!(page.data("data-session-extend"), path);
    let extended = site.post(path, &cookie, &[("token", token.as_str())]).await;
    assert_eq!((extended.status, extended.html.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(extended.header("cache-control"), "no-store");
    assert!(extended.cookie().starts_with("votekit-local="));

    let sign_out = page.hidden("/fr/sign-out", "token");
    for (cookie, token) in
        [(&cookie, ""), (&cookie, "00"), (&cookie, sign_out.as_str()), (&other, token.as_str())]
    {
        let refused = site.post(path, cookie, &[("token", token)]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        refused.shows("foreign-origin");
        assert!(!refused.headers.contains_key(SET_COOKIE));
    }
    for origin in [None, Some("http://evil.example"), Some("null")] {
        let mut request = Request::post(path)
            .header(HOST, "localhost")
            .header(COOKIE, &cookie)
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        let body = Body::from(format!("token={token}"));
        let refused = site.exchange(request.body(body).expect("a request")).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{origin:?}");
        assert!(!refused.headers.contains_key(SET_COOKIE), "{origin:?}");
    }
    assert_eq!(site.get(path, &cookie).await.status, StatusCode::METHOD_NOT_ALLOWED);
    for lang in Lang::ALL {
        let path = format!("/{}/session/extend", lang.code());
        let ended = site.post(&path, "", &[("token", token.as_str())]).await;
        assert_eq!(ended.status, StatusCode::FORBIDDEN);
        ended.check_page(lang);
        ended.shows(lang.session_over_title());
        ended.shows(&format!("href=\"/{}/session\" lang=", lang.other().code()));
    }
    site.end().await;
}

#[tokio::test]
async fn a_session_ends_unless_it_is_extended() {
    let site = site_of_laws().await;
    let mut cookie = site.send_code(LAW, "code", 10, "").await.cookie();
    let page = site.get("/fr/session", &cookie).await;
    let token = page.data("data-session-token").to_owned();
    let ballot = format!("/fr/vote/{LAW}/ballot");
    for _ in 0..10 {
        site.api.node.step_clock(28 * 60 * 1000);
        let extended = site.post("/fr/session/extend", &cookie, &[("token", token.as_str())]).await;
        assert_eq!(extended.status, StatusCode::NO_CONTENT, "by the page that is still open");
        cookie = extended.cookie();
    }
    assert_eq!(site.get(&ballot, &cookie).await.status, StatusCode::OK);
    site.api.node.step_clock(31 * 60 * 1000);
    let ended = site.get(&ballot, &cookie).await;
    assert_eq!(ended.header("location"), format!("/fr/vote/{LAW}"));
    site.end().await;
}
