//! The form that uploads the files of a hashed roll: the requests of browsers with and without a
//! script, and those of attackers.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::officials_pages::Browser;
use crate::account_support::change;
use crate::form_support::hidden;
use crate::http_support::{Client, Served, config};
use crate::support::{LAW, create_request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use votekit_store::{Account, AccountRole, AccountState};

const PAGE: &str = "/fr/officials/elections/L2025-001/roll";
const FILES: &str = "/fr/officials/elections/L2025-001/roll/files";
const SHARD: &str = "L2025-001.0001.json";

/// An upper bound for waits, not a target.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
const BOUNDARY: &str = "----WebKitFormBoundaryAbC123";

/// The body of a form with a token and files, as browsers encode it.
fn multipart(token: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n{token}\r\n"
    )
    .into_bytes();
    for (name, bytes) in files {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"files\"; \
             filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// A draft on a node, and an administrator at its page of the roll.
struct RollPage {
    served: Served,
    official: Browser,
    token: String,
}

impl RollPage {
    async fn open() -> Self {
        let served = Served::empty(config()).await;
        served.node.create(create_request()).await.expect("created");
        let email = "admin@example.ca";
        let mut official =
            Browser::with_new_account(&served, email, AccountRole::Administrator).await;
        official.get(PAGE).await;
        let token = hidden(official.page.text(), FILES, "token");
        assert_eq!(token.len(), 64, "{}", official.page.text());
        Self { served, official, token }
    }

    /// Sends a body as a page of this origin, with `accept` as the accepted types.
    async fn send(&mut self, origin: &str, accept: &str, body: Vec<u8>) {
        let cookie = self.official.cookie.clone();
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let headers = [
            ("cookie", cookie.as_str()),
            ("content-type", content_type.as_str()),
            ("origin", origin),
            ("accept", accept),
        ];
        // A separate connection: a refused form may end it.
        let mut client = Client::connect(self.served.at.public).await;
        self.official.page = client.send("POST", FILES, &headers, body).await;
    }

    /// Sends files as a browser without JavaScript.
    async fn upload(&mut self, files: &[(&str, &[u8])]) {
        let body = multipart(&self.token, files);
        self.send("http://localhost", "text/html,*/*;q=0.8", body).await;
    }

    fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.served.roll().join(name)).expect("a file of the roll")
    }

    fn incoming(&self) -> PathBuf {
        self.served.node.folder().join("incoming").join(LAW)
    }

    /// The names of the files that were kept.
    fn kept(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.incoming()) else { return Vec::new() };
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
            .collect();
        names.sort_unstable();
        names
    }

    fn is_refused(&self, status: u16, text: &str) {
        assert_eq!(self.official.page.status, status, "{}", self.official.page.text());
        self.official.shows(text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_is_uploaded_and_loaded_in_a_browser_without_a_script() {
    let mut roll_page = RollPage::open().await;
    let (manifest, shard) = (roll_page.file("manifest.json"), roll_page.file(SHARD));
    roll_page.upload(&[(SHARD, &shard), ("manifest.json", &manifest)]).await;
    assert_eq!(roll_page.official.page.status, 303, "{}", roll_page.official.page.text());
    assert_eq!(roll_page.official.page.header("location"), format!("{PAGE}?done=uploaded"));
    assert_eq!(roll_page.kept(), [SHARD, "manifest.json"]);
    for (name, bytes) in [(SHARD, &shard), ("manifest.json", &manifest)] {
        assert_eq!(&std::fs::read(roll_page.incoming().join(name)).expect("kept"), bytes, "{name}");
    }
    roll_page.official.get(&format!("{PAGE}?done=uploaded")).await;
    roll_page.official.shows("Les fichiers sont téléversés.");
    roll_page.official.submit(PAGE, PAGE, &[("step", "load")]).await;
    let loaded = format!("/fr/officials/elections/{LAW}?done=loaded");
    assert_eq!(roll_page.official.page.header("location"), loaded);
    assert!(!roll_page.incoming().exists());
    roll_page.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_sends_file_by_file_and_gets_no_page() {
    let mut roll_page = RollPage::open().await;
    for name in ["manifest.json", SHARD] {
        let body = multipart(&roll_page.token, &[(name, &roll_page.file(name))]);
        roll_page.send("http://localhost", "*/*", body).await;
        assert_eq!(roll_page.official.page.status, 204, "{name}");
    }
    assert_eq!(roll_page.kept(), [SHARD, "manifest.json"]);
    // The page shows the error, in its language.
    let body = multipart(&roll_page.token, &[(SHARD, b"nas,code\n046454286,SECRET99\n")]);
    roll_page.send("http://localhost", "*/*", body).await;
    roll_page.is_refused(422, "cette liste n’est pas hachée");
    roll_page.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_that_is_not_hashed_leaves_no_byte_and_is_explained_at_the_field() {
    let mut roll_page = RollPage::open().await;
    let rows = "046454286,SECRET99,L2025-001\r\n".repeat(20_000);
    let roll = format!("nas,code,law_id\r\n{rows}");
    for name in ["liste.csv", SHARD, "manifest.json"] {
        roll_page.upload(&[(name, roll.as_bytes())]).await;
        roll_page.is_refused(422, "href=\"#files\"");
        roll_page.official.shows("votekit hashgen");
        roll_page.official.shows("aria-invalid=\"true\"");
        for value in ["046454286", "SECRET99"] {
            assert!(!roll_page.official.page.text().contains(value));
        }
        assert_eq!(roll_page.kept(), [""; 0], "{name}");
    }
    // Files before it are whole, and kept; those behind it are not read.
    let (manifest, shard) = (roll_page.file("manifest.json"), roll_page.file(SHARD));
    let files: [(&str, &[u8]); 3] =
        [("manifest.json", &manifest), ("liste.csv", roll.as_bytes()), (SHARD, &shard)];
    roll_page.upload(&files).await;
    roll_page.is_refused(422, "liste.csv\u{a0}: cette liste n’est pas hachée");
    assert_eq!(roll_page.kept(), ["manifest.json"]);
    roll_page.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refused_upload_names_its_rule_and_keeps_no_file() {
    let mut roll_page = RollPage::open().await;
    roll_page.upload(&[("", b"")]).await;
    roll_page.is_refused(422, "Choisissez les fichiers à téléverser.");
    roll_page.upload(&[]).await;
    roll_page.is_refused(422, "Choisissez les fichiers à téléverser.");
    roll_page.upload(&[("notes.txt", b"hello")]).await;
    roll_page.is_refused(422, "notes.txt\u{a0}: ce n’est pas le nom d’un fichier");
    roll_page.upload(&[(SHARD, b"hello")]).await;
    roll_page.is_refused(422, "le contenu n’est pas celui d’une liste hachée");
    roll_page.upload(&[(SHARD, b"")]).await;
    roll_page.is_refused(422, "le contenu n’est pas celui d’une liste hachée");
    roll_page.upload(&[("manifest.json", b"{\n  \"format\": \"votekit-manifest/1\",\n}")]).await;
    roll_page.is_refused(422, "ce manifeste n’est pas valide");
    assert_eq!(roll_page.kept(), [""; 0]);
    let (manifest, mut shard) = (roll_page.file("manifest.json"), roll_page.file(SHARD));
    let at = shard.len() - 10;
    shard[at] ^= 1;
    roll_page.upload(&[("manifest.json", &manifest), (SHARD, &shard)]).await;
    roll_page.is_refused(422, "le contenu n’est pas celui que nomme le manifeste");
    assert_eq!(roll_page.kept(), ["manifest.json"]);
    roll_page.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_never_leaves_the_folder_of_the_upload() {
    let mut roll_page = RollPage::open().await;
    let shard = roll_page.file(SHARD);
    for name in [
        "..",
        "../x.json",
        "../../keys/admin-token",
        "/etc/passwd",
        "..\\x",
        "C:\\L2025-001.0001.json",
        ".hidden",
        ".votekit-0000000000000000",
        "a b",
        "%2e%2e%2fx",
        "café.json",
        "a\0b",
        "folder/L2025-001.0001.json",
    ] {
        roll_page.upload(&[(name, &shard)]).await;
        roll_page.is_refused(422, "fichier 1\u{a0}: ce n’est pas le nom d’un fichier");
        assert!(!roll_page.official.page.text().contains("admin-token"));
    }
    // A name that breaks out of its header field makes no form.
    roll_page.upload(&[("x\"\r\nContent-Disposition: form-data; name=\"y", &shard)]).await;
    assert_eq!(roll_page.official.page.status, 422, "{}", roll_page.official.page.text());
    assert!(!roll_page.served.node.folder().join("incoming").exists());
    roll_page.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_session_or_purpose_is_not_read() {
    let mut roll_page = RollPage::open().await;
    let shard = roll_page.file(SHARD);
    let files: [(&str, &[u8]); 1] = [(SHARD, &shard)];
    let good = multipart(&roll_page.token, &files);
    for origin in ["https://evil.example", "null", "http://localhost.evil.example", ""] {
        roll_page.send(origin, "text/html", good.clone()).await;
        roll_page.is_refused(403, "foreign-origin");
    }
    roll_page.official.get(PAGE).await;
    let other_form = hidden(roll_page.official.page.text(), "/fr/accounts/sign-out", "token");
    let (forged, long) = ("0".repeat(64), "0".repeat(100_000));
    for wrong in ["", forged.as_str(), other_form.as_str(), long.as_str()] {
        roll_page.send("http://localhost", "text/html", multipart(wrong, &files)).await;
        roll_page.is_refused(403, "foreign-origin");
    }
    // The token must come first, before any other field of the form.
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"files\"; \
         filename=\"{SHARD}\"\r\n\r\n"
    );
    let token = multipart(&roll_page.token, &[]);
    let late = [head.as_bytes(), &shard, b"\r\n", &token].concat();
    roll_page.send("http://localhost", "text/html", late).await;
    roll_page.is_refused(403, "foreign-origin");
    assert!(!roll_page.served.node.folder().join("incoming").exists());
    // Another form of the page does not load files, and this address accepts no other form.
    let cookie = roll_page.official.cookie.clone();
    let headers = [
        ("cookie", cookie.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
        ("origin", "http://localhost"),
    ];
    let body = format!("token={}&step=load", roll_page.token);
    let page = roll_page.official.client.send("POST", FILES, &headers, body.clone()).await;
    assert_eq!(page.status, 400, "{}", page.text());
    let page = roll_page.official.client.send("POST", PAGE, &headers, body).await;
    assert_eq!(page.status, 403, "{}", page.text());
    roll_page.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_upload() {
    let mut roll_page = RollPage::open().await;
    let good = multipart(&roll_page.token, &[(SHARD, &roll_page.file(SHARD))]);
    for (email, role) in [
        ("auditor@example.ca", AccountRole::Auditor),
        ("observer@example.ca", AccountRole::Observer),
    ] {
        let reader = Browser::with_new_account(&roll_page.served, email, role).await;
        let cookie = std::mem::replace(&mut roll_page.official.cookie, reader.cookie.clone());
        roll_page.send("http://localhost", "text/html", good.clone()).await;
        roll_page.is_refused(403, "#forbidden");
        roll_page.official.cookie = cookie;
    }
    roll_page.official.cookie = String::new();
    roll_page.send("http://localhost", "text/html", good).await;
    assert_eq!(roll_page.official.page.status, 303);
    let sign_in = format!("/fr/accounts/sign-in?next=/officials/elections/{LAW}/roll");
    assert_eq!(roll_page.official.page.header("location"), sign_in);
    assert!(!roll_page.served.node.folder().join("incoming").exists());
    roll_page.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_cut_off_leaves_nothing_half_made() {
    let mut roll_page = RollPage::open().await;
    // A body that ends within a file, at the length in its header.
    let mut body = multipart(&roll_page.token, &[(SHARD, &roll_page.file(SHARD))]);
    body.truncate(body.len() - BOUNDARY.len() - 10);
    roll_page.send("http://localhost", "text/html", body).await;
    roll_page.is_refused(422, "L’envoi n’est pas arrivé en entier.");
    assert_eq!(roll_page.kept(), [""; 0]);
    // A connection that is cut, after more than is collected before the first write.
    let mut shard = roll_page.file(SHARD);
    shard.resize(3 << 20, b' ');
    let body = multipart(&roll_page.token, &[(SHARD, &shard)]);
    let head = format!(
        "POST {FILES} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nCookie: {}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n",
        roll_page.official.cookie,
        body.len()
    );
    let mut stream = TcpStream::connect(roll_page.served.at.public).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(&body[..body.len() - 1000]).await.expect("sent");
    let is_begun =
        |roll_page: &RollPage| roll_page.kept().iter().any(|name| name.starts_with(".votekit-"));
    wait_until(&roll_page, is_begun).await;
    drop(stream);
    wait_until(&roll_page, |roll_page| roll_page.kept().is_empty()).await;
    roll_page.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_ends_with_the_account_of_its_sender() {
    let roll_page = RollPage::open().await;
    let (manifest, shard) = (roll_page.file("manifest.json"), roll_page.file(SHARD));
    let body = multipart(&roll_page.token, &[("manifest.json", &manifest), (SHARD, &shard)]);
    let head = format!(
        "POST {FILES} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nCookie: {}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n",
        roll_page.official.cookie,
        body.len()
    );
    let mut stream = TcpStream::connect(roll_page.served.at.public).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("sent");
    // The first file, and the boundary behind it.
    let first = multipart(&roll_page.token, &[("manifest.json", &manifest)]).len() - 4;
    stream.write_all(&body[..first]).await.expect("sent");
    wait_until(&roll_page, |roll_page| roll_page.kept() == ["manifest.json"]).await;
    let disable = |account: &mut Account| account.state = AccountState::Disabled;
    change(&roll_page.served.node, "admin@example.ca", disable).await;
    stream.write_all(&body[first..]).await.expect("sent");
    let mut answer = vec![0; 13];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 403 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(roll_page.kept(), ["manifest.json"]);
    roll_page.served.end().await;
}

/// Waits until something is so.
async fn wait_until(roll_page: &RollPage, is_so: impl Fn(&RollPage) -> bool) {
    let begun = Instant::now();
    while !is_so(roll_page) {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "{:?}", roll_page.kept());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_announces_too_much_is_refused_unread() {
    let roll_page = RollPage::open().await;
    let mut stream = TcpStream::connect(roll_page.served.at.public).await.expect("a connection");
    let head = format!(
        "POST {FILES} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nCookie: {}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n",
        roll_page.official.cookie,
        5_u64 << 30
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 64];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer));
    roll_page.served.end().await;
}
