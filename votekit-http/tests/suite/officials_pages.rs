//! Officials at their pages, without JavaScript: the requests of browsers, over real connections,
//! and those of attackers.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::form_support::{PASSWORD, app_code, form, hidden, recovery_codes};
use crate::http_support::{Answer, Client, Served, ballot, config};
use crate::support::LAW;
use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;
use votekit_store::{Account, AccountId, AccountRole, Invitation};

const INVITATION: &str = "/fr/accounts/invitation";
const SIGN_IN: &str = "/fr/accounts/sign-in";

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A browser: one connection, its cookie, and the page that is shown.
pub(crate) struct Browser {
    pub(crate) client: Client,
    pub(crate) cookie: String,
    pub(crate) page: Answer,
}

impl Browser {
    /// Makes an account, follows its link and signs in, all on the pages.
    pub(crate) async fn with_new_account(served: &Served, email: &str, role: AccountRole) -> Self {
        // The token of a link has 43 characters of base64url.
        let digest = Digest::compute(email.as_bytes()).to_hex();
        let link = digest[..43].to_owned();
        let mut id = [0; 16];
        id.copy_from_slice(&digest.as_bytes()[..16]);
        let account = Account {
            invitation: Some(Invitation {
                token: Digest::compute(link.as_bytes()),
                expires: UnixSeconds(seconds() + 3600),
            }),
            ..Account::new(AccountId(id), email.to_owned(), role, UnixSeconds(seconds()))
        };
        served.node.accounts().add(&[account]).await.expect("added");
        let mut client = Client::connect(served.at.public).await;
        let page = client.get(&format!("{INVITATION}?token={link}")).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let mut browser = Self { client, cookie: String::new(), page };
        let secret = hidden(browser.page.text(), INVITATION, "secret");
        let code = app_code(&secret, seconds());
        let typed = [
            ("token", link.as_str()),
            ("secret", secret.as_str()),
            ("password", PASSWORD),
            ("repeat", PASSWORD),
            ("code", code.as_str()),
        ];
        browser.post(INVITATION, &typed).await;
        let codes = recovery_codes(browser.page.text());
        let typed = [("email", email), ("password", PASSWORD), ("code", codes[0].as_str())];
        browser.post(SIGN_IN, &typed).await;
        assert_eq!(browser.page.header("location"), "/fr/officials", "{}", browser.page.text());
        browser
    }

    pub(crate) async fn get(&mut self, path: &str) {
        let cookie = self.cookie.clone();
        self.page = self.client.send("GET", path, &[("cookie", &cookie)], "").await;
    }

    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) {
        self.post_from("http://localhost", path, fields).await;
    }

    /// Sends a form as a page of this origin.
    async fn post_from(&mut self, origin: &str, path: &str, fields: &[(&str, &str)]) {
        let cookie = self.cookie.clone();
        let headers = [
            ("cookie", cookie.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
            // An older browser, which sends no `Sec-Fetch-Site`.
            ("origin", origin),
        ];
        self.page = self.client.send("POST", path, &headers, form(fields)).await;
        let set = self.page.header("set-cookie");
        if let Some(pair) = set.split(';').next().filter(|pair| !pair.is_empty()) {
            self.cookie = pair.to_owned();
        }
    }

    /// Opens a page and sends its form with this action.
    pub(crate) async fn submit(&mut self, page: &str, action: &str, typed: &[(&str, &str)]) {
        self.get(page).await;
        assert_eq!(self.page.status, 200, "{page}: {}", self.page.text());
        let token = hidden(self.page.text(), action, "token");
        let fields = [&[("token", token.as_str())][..], typed].concat();
        self.post(action, &fields).await;
    }

    pub(crate) fn shows(&self, text: &str) {
        assert!(self.page.text().contains(text), "no {text:?} in {}", self.page.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_election_is_held_from_its_creation_to_its_certified_result() {
    let served = Served::empty(config()).await;
    served.node.load(&served.roll(), None).await.expect("loaded");
    let mut official =
        Browser::with_new_account(&served, "admin@example.ca", AccountRole::Administrator).await;
    let new = "/fr/officials/new";
    let definition = [
        ("law_id", LAW),
        ("title_fr", "Loi sur l’eau"),
        ("title_en", "Water Act"),
        ("rows", "2"),
        ("choice_0_id", "oui"),
        ("choice_0_fr", "Oui"),
        ("choice_0_en", "Yes"),
        ("choice_1_id", "non"),
        ("choice_1_fr", "Non"),
        ("choice_1_en", "No"),
        ("blank", "on"),
        ("nature", "test"),
        ("results", "after_close"),
        ("publish_every", "20"),
        ("closes", "2036-11-22T08:00"),
        ("closes_offset", "-05:00"),
    ];
    official.submit(new, new, &definition).await;
    let page = format!("/fr/officials/elections/{LAW}");
    assert_eq!(official.page.header("location"), format!("{page}?done=created"));
    official.get(&format!("{page}?done=created")).await;
    official.shows("Le scrutin est créé");
    official.shows("admin@example.ca</dd>");
    // The same form again, from the other tab.
    official.submit(new, new, &definition).await;
    assert_eq!(official.page.status, 409);
    official.shows("Ce scrutin existe déjà");

    let open = format!("{page}/open");
    official.submit(&open, &open, &[("confirm", LAW)]).await;
    assert_eq!(official.page.header("location"), format!("{page}?done=open"));
    for (index, choice) in [(1, "oui"), (2, "non"), (3, "oui"), (3, "non")] {
        served.vote(&ballot(index, choice), &[("prefer", "wait=20")]).await;
    }
    official.get("/fr/officials").await;
    official.shows("3 sur 30");

    // Before the planned close a reason is needed.
    let close = format!("{page}/close");
    official.submit(&close, &close, &[("confirm", LAW)]).await;
    assert_eq!(official.page.status, 422);
    official.shows("href=\"#reason\"");
    let typed = [("confirm", LAW), ("reason", "panne au bureau central")];
    official.submit(&close, &close, &typed).await;
    assert_eq!(official.page.header("location"), format!("{page}?done=close"));
    official.get(&format!("{page}?done=close")).await;
    official.shows("Les comptes concordent");
    official.shows("Dépouillé, pas encore certifié");
    official.get(&format!("{page}/results/json")).await;
    assert_eq!(official.page.json()["accepted"], 3);
    assert!(official.page.header("content-disposition").starts_with("attachment; "));
    let certify = format!("{page}/certify");
    official.submit(&certify, &certify, &[("confirm", LAW)]).await;
    official.get(&format!("{page}?done=certify")).await;
    official.shows("Le résultat est officiel.");
    let bundle = format!("{page}/bundle.zip");
    official.shows(&format!("href=\"{bundle}\""));
    official.get(&bundle).await;
    assert_eq!(official.page.header("content-type"), "application/zip");
    assert!(official.page.header("content-disposition").ends_with("-bundle.zip\""));
    assert!(official.page.body.starts_with(b"PK\x03\x04"));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_role_escalates() {
    let served = Served::open().await;
    let email = "admin@example.ca";
    let mut official = Browser::with_new_account(&served, email, AccountRole::Administrator).await;
    let page = format!("/fr/officials/elections/{LAW}");
    let close = format!("{page}/close");
    official.get(&close).await;
    let theirs = hidden(official.page.text(), &close, "token");
    for (email, role) in [
        ("auditor@example.ca", AccountRole::Auditor),
        ("observer@example.ca", AccountRole::Observer),
    ] {
        let mut reader = Browser::with_new_account(&served, email, role).await;
        for path in [
            "/fr/officials/new",
            "/fr/officials/accounts",
            &format!("{page}/open"),
            &close,
            &format!("{page}/certify"),
            &format!("{page}/annul"),
            &format!("{page}/amend"),
            &format!("{page}/roll"),
        ] {
            // Even with the token of another session's form.
            let typed = [("token", theirs.as_str()), ("confirm", LAW), ("step", "load")];
            reader.post(path, &typed).await;
            assert_eq!(reader.page.status, 403, "{email} {path}");
            reader.shows("#forbidden");
        }
    }
    assert_eq!(served.node.elections()[0].state, "open");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_or_session_changes_nothing() {
    let served = Served::open().await;
    let email = "admin@example.ca";
    let mut official = Browser::with_new_account(&served, email, AccountRole::Administrator).await;
    let close = format!("/fr/officials/elections/{LAW}/close");
    official.get(&close).await;
    let token = hidden(official.page.text(), &close, "token");
    let good = [("token", token.as_str()), ("confirm", LAW)];
    for origin in ["https://evil.example", "null", "http://localhost.evil.example", ""] {
        official.post_from(origin, &close, &good).await;
        assert_eq!(official.page.status, 403, "{origin}");
        official.shows("foreign-origin");
    }
    let annul = format!("/fr/officials/elections/{LAW}/annul");
    official.get("/fr/officials").await;
    let other_form = hidden(official.page.text(), "/fr/accounts/sign-out", "token");
    let forged = "0".repeat(64);
    for wrong in ["", forged.as_str(), other_form.as_str()] {
        official.post(&close, &[("token", wrong), ("confirm", LAW)]).await;
        assert_eq!(official.page.status, 403, "{wrong}");
    }
    official.post(&close, &[("confirm", LAW)]).await;
    assert_eq!(official.page.status, 403, "without a token");
    official.post(&annul, &good).await;
    assert_eq!(official.page.status, 403, "the token of another step");
    let mut second =
        Browser::with_new_account(&served, "second@example.ca", AccountRole::Administrator).await;
    second.post(&close, &good).await;
    assert_eq!(second.page.status, 403, "the token of another session");
    assert_eq!(served.node.elections()[0].state, "open");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_of_the_pages_leads_to_another_site() {
    let served = Served::open().await;
    let email = "admin@example.ca";
    let mut official = Browser::with_new_account(&served, email, AccountRole::Administrator).await;
    for path in [
        "/fr/officials?next=//evil.example",
        "/fr/accounts/sign-in?next=https://evil.example",
        "/fr/officials/elections/..%2f..%2fevil.example",
        "/fr/officials/elections/%2f%2fevil.example/open",
        "/fr/officials/elections/L1%0d%0aset-cookie:x=1",
        "/fr/officials/accounts?after=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        "/fr/officials/elections/new?done=%3Cscript%3E",
    ] {
        official.get(path).await;
        let to = official.page.header("location");
        assert!(to.is_empty() || to.starts_with("/fr/officials"), "{path}: {to}");
        for marker in ["<script>", "href=\"//", "href=\"http", "action=\"//", "action=\"http"] {
            assert!(!official.page.text().contains(marker), "{path}: {}", official.page.text());
        }
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_wait_and_lock_nothing_out() {
    let served = Served::empty(config()).await;
    let email = "admin@example.ca";
    let mut official = Browser::with_new_account(&served, email, AccountRole::Administrator).await;
    for attempt in 0..6 {
        let password = format!("wrong password {attempt}");
        let typed = [("email", email), ("password", password.as_str()), ("code", "000000")];
        official.post(SIGN_IN, &typed).await;
        assert_eq!(official.page.status, 422, "{attempt}");
        assert!(!official.page.text().contains(&password));
    }
    let typed = [("email", email), ("password", PASSWORD), ("code", "000000")];
    official.post(SIGN_IN, &typed).await;
    assert_eq!(official.page.status, 429);
    assert!(!official.page.header("retry-after").is_empty());
    official.shows("Trop de tentatives échouées");
    official.get("/fr/officials").await;
    assert_eq!(official.page.status, 200, "the session that was begun is not touched");
    served.end().await;
}
