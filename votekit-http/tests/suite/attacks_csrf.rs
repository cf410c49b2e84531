//! Forms and calls that a page of another site sends with the cookies of its reader.

use crate::account_support::add;
use crate::attack_support::{
    ACCOUNT_COOKIE, FORM, JSON, OWN_ORIGIN, begin_session, get, post, sign_in,
};
use crate::form_support::{form, hidden};
use crate::http_support::{Client, Served, config};
use crate::support::{LAW, create_request, law};
use votekit_node::{CreateElection, OpenElection};
use votekit_store::{AccountId, AccountRole, AccountState};

/// A draft, beside the open election of each test.
const DRAFT: &str = "L2025-900";

/// An election of members.
const CLUB: &str = "CLUB-1";

/// The forms of officials that are about the draft.
fn official_forms(account: &str) -> Vec<String> {
    let mut forms: Vec<_> = ["amend", "open", "close", "certify", "annul", "roll"]
        .map(|step| format!("/fr/officials/elections/{DRAFT}/{step}"))
        .to_vec();
    forms.push("/fr/officials/new".to_owned());
    forms.push("/fr/officials/accounts".to_owned());
    forms.push("/fr/accounts/sign-out".to_owned());
    forms.extend(
        ["disable", "enable"].map(|change| format!("/fr/officials/accounts/{account}/{change}")),
    );
    forms
}

/// A site with a voter, a member and two sessions of an administrator.
struct Site {
    served: Served,
    /// The cookies of the administrator.
    official: [String; 2],
    member: String,
    /// The cookies of two voters.
    voters: [String; 2],
    /// Another account, by its id.
    other: String,
}

impl Site {
    async fn open() -> Self {
        let served = Served::open_with(config(), create_request()).await;
        let draft = CreateElection { law_id: DRAFT.to_owned(), ..create_request() };
        served.node.create(draft).await.expect("created");
        let node = &served.node;
        let administrator = add(node, "admin@exemple.ca", AccountRole::Administrator).await.id;
        let other = add(node, "auditor@exemple.ca", AccountRole::Auditor).await.id;
        let member = add(node, "membre@exemple.ca", AccountRole::Voter).await.id;
        let club = CreateElection { law_id: CLUB.to_owned(), ..create_request() };
        node.create_with_members(club, &[member]).await.expect("created");
        let club = CLUB.parse().expect("a law id");
        node.open(&club, OpenElection::default()).await.expect("opened");
        let official = [
            begin_session(node, administrator, "one").await,
            begin_session(node, administrator, "two").await,
        ];
        let member = begin_session(node, member, "one").await;
        let voters = [sign_in(&served, LAW, 1).await, sign_in(&served, LAW, 2).await];
        Self { official, member, voters, other: hex(other), served }
    }

    /// Nothing has changed.
    async fn check(&self) {
        for election in self.served.node.elections() {
            let expected = if election.law_id == DRAFT { "draft" } else { "open" };
            assert_eq!((election.state.as_str(), election.received), (expected, 0));
        }
        let accounts = self.served.node.accounts();
        let stored = accounts.accounts("", 10).await.expect("read");
        assert_eq!(stored.len(), 3);
        assert!(stored.iter().all(|account| account.state == AccountState::Active));
        let home = get(&self.served, "/fr/officials", &self.official[0]).await;
        assert_eq!(home.status, 200, "still signed in");
    }
}

fn hex(id: AccountId) -> String {
    id.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The header fields by which browsers and attackers state the origin of a request, except for this
/// node's pages.
const FOREIGN: [&[(&str, &str)]; 13] = [
    &[],
    &[("origin", "https://evil.example")],
    &[("origin", "null")],
    &[("origin", "")],
    &[("origin", "http://localhost.evil.example")],
    &[("origin", "http://evil.example@localhost")],
    &[("origin", "http://localhost:8080")],
    &[("origin", "https://localhost")],
    &[("origin", "http://localhost"), ("origin", "https://evil.example")],
    &[("referer", "http://localhost/fr/")],
    &[("origin", "http://localhost"), ("sec-fetch-site", "cross-site")],
    &[("origin", "http://localhost"), ("sec-fetch-site", "same-site")],
    &[("origin", "http://localhost"), ("sec-fetch-site", "none")],
];

#[tokio::test(flavor = "multi_thread")]
async fn no_form_and_no_call_with_a_cookie_is_accepted_from_another_origin() {
    let site = Site::open().await;
    let [official, _] = &site.official;
    let [voter, _] = &site.voters;
    let vote = format!("/fr/vote/{LAW}");
    let mut calls: Vec<(&str, String, &String, (&str, &str))> = Vec::new();
    for path in official_forms(&site.other) {
        calls.push(("POST", path, official, FORM));
    }
    for rest in ["", "/ballot", "/cast"] {
        calls.push(("POST", format!("{vote}{rest}"), voter, FORM));
    }
    for path in ["/fr/session/extend", "/fr/sign-out", "/fr/receipts/check"] {
        calls.push(("POST", path.to_owned(), voter, FORM));
    }
    for path in ["/fr/accounts/sign-in", "/fr/accounts/invitation"] {
        calls.push(("POST", path.to_owned(), official, FORM));
    }
    calls.push(("POST", format!("/fr/members/{CLUB}"), &site.member, FORM));
    for method in ["POST", "DELETE"] {
        calls.push((method, "/api/v1/session".to_owned(), voter, JSON));
    }
    calls.push(("PUT", format!("/api/v1/votes/{LAW}"), voter, JSON));
    for (method, path, cookie, kind) in calls {
        for origin in FOREIGN {
            let sent = [("cookie", cookie.as_str()), kind];
            let mut client = Client::connect(site.served.at.public).await;
            let answer = client.send(method, &path, &[&sent[..], origin].concat(), "token=x").await;
            let context = format!("{method} {path} from {origin:?}: {}", answer.text());
            assert_eq!(answer.status, 403, "{context}");
            assert!(answer.text().contains("foreign-origin"), "{context}");
            assert!(answer.header("set-cookie").is_empty(), "{context}");
        }
    }
    site.check().await;
    site.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_an_official_needs_the_token_of_its_session_and_purpose() {
    let site = Site::open().await;
    let [mine, theirs] = &site.official;
    let forged = "0".repeat(64);
    // A token of this session, for another form.
    let home = get(&site.served, "/fr/officials", mine).await;
    let of_sign_out = hidden(home.text(), "/fr/accounts/sign-out", "token");
    for path in official_forms(&site.other) {
        let of_other_form = if path.ends_with("sign-out") { "" } else { of_sign_out.as_str() };
        for token in ["", "0", forged.as_str(), of_other_form, &of_sign_out.to_uppercase()[1..]] {
            let typed = [("token", token), ("confirm", DRAFT), ("step", "discard")];
            let answer = post(&site.served, &path, mine, &typed).await;
            assert_eq!(answer.status, 403, "{path} {token}");
            assert!(answer.text().contains("foreign-origin"), "{path} {token}");
        }
        let without = post(&site.served, &path, mine, &[("confirm", DRAFT)]).await;
        assert_eq!(without.status, 403, "{path}");
    }
    // The tokens that the pages of another session of the same account have.
    let accounts = "/fr/officials/accounts";
    let disable = format!("{accounts}/{}/disable", site.other);
    let amend = format!("/fr/officials/elections/{DRAFT}/amend");
    for (page, action) in [
        (accounts, accounts),
        (accounts, disable.as_str()),
        ("/fr/officials/new", "/fr/officials/new"),
        (amend.as_str(), amend.as_str()),
        (accounts, "/fr/accounts/sign-out"),
    ] {
        let shown = get(&site.served, page, theirs).await;
        let token = hidden(shown.text(), action, "token");
        assert_eq!(token.len(), 64, "{page}");
        let answer = post(&site.served, action, mine, &[("token", token.as_str())]).await;
        assert_eq!(answer.status, 403, "{action}");
        // A field that is sent twice counts as absent.
        let own = get(&site.served, page, mine).await;
        let own = hidden(own.text(), action, "token");
        let twice = [("token", own.as_str()), ("token", own.as_str())];
        let answer = post(&site.served, action, mine, &twice).await;
        assert_eq!(answer.status, 403, "{action}");
        // In the address it does not count.
        let path = format!("{action}?token={own}");
        let answer = post(&site.served, &path, mine, &[]).await;
        assert_eq!(answer.status, 403, "{path}");
    }
    site.check().await;
    site.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_a_voter_needs_the_token_of_its_session_and_step() {
    let site = Site::open().await;
    let [mine, theirs] = &site.voters;
    let (ballot, cast) = (format!("/fr/vote/{LAW}/ballot"), format!("/fr/vote/{LAW}/cast"));
    let their_ballot = get(&site.served, &ballot, theirs).await;
    let their_token = hidden(their_ballot.text(), &ballot, "token");
    let their_sign_out = hidden(their_ballot.text(), "/fr/sign-out", "token");
    let typed = [("choice", "oui"), ("token", their_token.as_str())];
    let their_check = post(&site.served, &ballot, theirs, &typed).await;
    let key = hidden(their_check.text(), &cast, "key");
    let their_cast = hidden(their_check.text(), &cast, "token");
    assert_eq!((key.len(), their_cast.len()), (32, 64));
    let forged = "0".repeat(64);
    for token in ["", forged.as_str(), &their_token, &their_cast, &their_sign_out] {
        let typed = [("choice", "oui"), ("key", key.as_str()), ("token", token)];
        for path in [&ballot, &cast] {
            let answer = post(&site.served, path, mine, &typed).await;
            assert_eq!(answer.status, 403, "{path}");
            assert!(!answer.text().contains(&cast), "no button that votes: {path}");
        }
        for path in ["/fr/session/extend", "/fr/sign-out"] {
            let answer = post(&site.served, path, mine, &typed).await;
            assert_eq!(answer.status, 403, "{path}");
            assert!(!answer.header("set-cookie").contains("Max-Age=0"), "{path}");
        }
    }
    // The token of the button is for one key: another key would be another request.
    let other_key = "0".repeat(32);
    for (key, token) in
        [(other_key.as_str(), &their_cast), ("", &their_cast), (key.as_str(), &their_token)]
    {
        let typed = [("choice", "non"), ("key", key), ("token", token.as_str())];
        assert_eq!(post(&site.served, &cast, theirs, &typed).await.status, 403, "{key}");
    }
    // Without a session there is nothing that a form could do.
    for cookie in ["", ACCOUNT_COOKIE] {
        let typed = [("choice", "oui"), ("key", key.as_str()), ("token", their_cast.as_str())];
        assert_eq!(post(&site.served, &cast, cookie, &typed).await.status, 403);
    }
    site.check().await;
    site.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_link_and_no_plain_body_changes_anything() {
    let site = Site::open().await;
    let [official, _] = &site.official;
    let [voter, _] = &site.voters;
    for (path, cookie) in [
        (format!("/fr/vote/{LAW}/cast"), voter),
        ("/fr/session/extend".to_owned(), voter),
        ("/fr/sign-out".to_owned(), voter),
        ("/fr/accounts/sign-out".to_owned(), official),
        (format!("/fr/officials/accounts/{}/disable", site.other), official),
    ] {
        let answer = get(&site.served, &path, cookie).await;
        assert_eq!(answer.status, 405, "{path}");
    }
    // The requests that a page of another site can send without a preflight: these types need none.
    let new = "/fr/officials/new";
    let token = hidden(get(&site.served, new, official).await.text(), new, "token");
    let body = form(&[("token", token.as_str()), ("law_id", "L1"), ("step", "save")]);
    for kind in ["text/plain", "multipart/form-data; boundary=x", "application/json", ""] {
        let headers = [("cookie", official.as_str()), ("content-type", kind), OWN_ORIGIN];
        let mut client = Client::connect(site.served.at.public).await;
        let answer = client.send("POST", new, &headers, body.clone()).await;
        assert_eq!(answer.status, 400, "{kind}");
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let vote = crate::http_support::ballot(3, "oui");
        let headers = [("content-type", kind), ("origin", "https://evil.example")];
        let mut client = Client::connect(site.served.at.public).await;
        let answer = client.send("POST", "/api/v1/vote", &headers, vote).await;
        assert_eq!(answer.problem(), (415, "not-json".to_owned()), "{kind}");
    }
    assert!(site.served.node.election(&law()).is_some_and(|election| election.received == 0));
    site.check().await;
    site.served.end().await;
}
