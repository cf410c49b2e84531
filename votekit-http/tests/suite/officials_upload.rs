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
struct Desk {
    served: Served,
    official: Browser,
    token: String,
}

impl Desk {
    async fn open() -> Self {
        let served = Served::empty(config()).await;
        served.node.create(create_request()).await.expect("created");
        let email = "admin@example.ca";
        let mut official =
            Browser::of_new_account(&served, email, AccountRole::Administrator).await;
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
    let mut desk = Desk::open().await;
    let (manifest, shard) = (desk.file("manifest.json"), desk.file(SHARD));
    desk.upload(&[(SHARD, &shard), ("manifest.json", &manifest)]).await;
    assert_eq!(desk.official.page.status, 303, "{}", desk.official.page.text());
    assert_eq!(desk.official.page.header("location"), format!("{PAGE}?done=uploaded"));
    assert_eq!(desk.kept(), [SHARD, "manifest.json"]);
    for (name, bytes) in [(SHARD, &shard), ("manifest.json", &manifest)] {
        assert_eq!(&std::fs::read(desk.incoming().join(name)).expect("kept"), bytes, "{name}");
    }
    desk.official.get(&format!("{PAGE}?done=uploaded")).await;
    desk.official.shows("Les fichiers sont téléversés.");
    desk.official.submit(PAGE, PAGE, &[("step", "load")]).await;
    let loaded = format!("/fr/officials/elections/{LAW}?done=loaded");
    assert_eq!(desk.official.page.header("location"), loaded);
    assert!(!desk.incoming().exists());
    desk.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_sends_file_by_file_and_gets_no_page() {
    let mut desk = Desk::open().await;
    for name in ["manifest.json", SHARD] {
        let body = multipart(&desk.token, &[(name, &desk.file(name))]);
        desk.send("http://localhost", "*/*", body).await;
        assert_eq!(desk.official.page.status, 204, "{name}");
    }
    assert_eq!(desk.kept(), [SHARD, "manifest.json"]);
    // The page shows the error, in its language.
    let body = multipart(&desk.token, &[(SHARD, b"nas,code\n046454286,SECRET99\n")]);
    desk.send("http://localhost", "*/*", body).await;
    desk.is_refused(422, "cette liste n’est pas hachée");
    desk.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_that_is_not_hashed_leaves_no_byte_and_is_explained_at_the_field() {
    let mut desk = Desk::open().await;
    let rows = "046454286,SECRET99,L2025-001\r\n".repeat(20_000);
    let roll = format!("nas,code,law_id\r\n{rows}");
    for name in ["liste.csv", SHARD, "manifest.json"] {
        desk.upload(&[(name, roll.as_bytes())]).await;
        desk.is_refused(422, "href=\"#files\"");
        desk.official.shows("votekit hashgen");
        desk.official.shows("aria-invalid=\"true\"");
        for value in ["046454286", "SECRET99"] {
            assert!(!desk.official.page.text().contains(value));
        }
        assert_eq!(desk.kept(), [""; 0], "{name}");
    }
    // Files before it are whole, and kept; those behind it are not read.
    let (manifest, shard) = (desk.file("manifest.json"), desk.file(SHARD));
    let files: [(&str, &[u8]); 3] =
        [("manifest.json", &manifest), ("liste.csv", roll.as_bytes()), (SHARD, &shard)];
    desk.upload(&files).await;
    desk.is_refused(422, "liste.csv\u{a0}: cette liste n’est pas hachée");
    assert_eq!(desk.kept(), ["manifest.json"]);
    desk.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_says_why_and_keeps_nothing() {
    let mut desk = Desk::open().await;
    desk.upload(&[("", b"")]).await;
    desk.is_refused(422, "Choisissez les fichiers à téléverser.");
    desk.upload(&[]).await;
    desk.is_refused(422, "Choisissez les fichiers à téléverser.");
    desk.upload(&[("notes.txt", b"hello")]).await;
    desk.is_refused(422, "notes.txt\u{a0}: ce n’est pas le nom d’un fichier");
    desk.upload(&[(SHARD, b"hello")]).await;
    desk.is_refused(422, "le contenu n’est pas celui d’une liste hachée");
    desk.upload(&[(SHARD, b"")]).await;
    desk.is_refused(422, "le contenu n’est pas celui d’une liste hachée");
    desk.upload(&[("manifest.json", b"{\n  \"format\": \"votekit-manifest/1\",\n}")]).await;
    desk.is_refused(422, "ce manifeste n’est pas valide");
    assert_eq!(desk.kept(), [""; 0]);
    let (manifest, mut shard) = (desk.file("manifest.json"), desk.file(SHARD));
    let at = shard.len() - 10;
    shard[at] ^= 1;
    desk.upload(&[("manifest.json", &manifest), (SHARD, &shard)]).await;
    desk.is_refused(422, "le contenu n’est pas celui que nomme le manifeste");
    assert_eq!(desk.kept(), ["manifest.json"]);
    desk.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_never_leaves_the_folder_of_the_upload() {
    let mut desk = Desk::open().await;
    let shard = desk.file(SHARD);
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
        desk.upload(&[(name, &shard)]).await;
        desk.is_refused(422, "fichier 1\u{a0}: ce n’est pas le nom d’un fichier");
        assert!(!desk.official.page.text().contains("admin-token"));
    }
    // A name that breaks out of its header field makes no form.
    desk.upload(&[("x\"\r\nContent-Disposition: form-data; name=\"y", &shard)]).await;
    assert_eq!(desk.official.page.status, 422, "{}", desk.official.page.text());
    assert!(!desk.served.node.folder().join("incoming").exists());
    desk.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_session_or_purpose_is_not_read() {
    let mut desk = Desk::open().await;
    let shard = desk.file(SHARD);
    let files: [(&str, &[u8]); 1] = [(SHARD, &shard)];
    let good = multipart(&desk.token, &files);
    for origin in ["https://evil.example", "null", "http://localhost.evil.example", ""] {
        desk.send(origin, "text/html", good.clone()).await;
        desk.is_refused(403, "foreign-origin");
    }
    desk.official.get(PAGE).await;
    let other_form = hidden(desk.official.page.text(), "/fr/accounts/sign-out", "token");
    let (forged, long) = ("0".repeat(64), "0".repeat(100_000));
    for wrong in ["", forged.as_str(), other_form.as_str(), long.as_str()] {
        desk.send("http://localhost", "text/html", multipart(wrong, &files)).await;
        desk.is_refused(403, "foreign-origin");
    }
    // The token must come first, before any other field of the form.
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"files\"; \
         filename=\"{SHARD}\"\r\n\r\n"
    );
    let token = multipart(&desk.token, &[]);
    let late = [head.as_bytes(), &shard, b"\r\n", &token].concat();
    desk.send("http://localhost", "text/html", late).await;
    desk.is_refused(403, "foreign-origin");
    assert!(!desk.served.node.folder().join("incoming").exists());
    // Another form of the page does not load files, and this address accepts no other form.
    let cookie = desk.official.cookie.clone();
    let headers = [
        ("cookie", cookie.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
        ("origin", "http://localhost"),
    ];
    let body = format!("token={}&step=load", desk.token);
    let page = desk.official.client.send("POST", FILES, &headers, body.clone()).await;
    assert_eq!(page.status, 400, "{}", page.text());
    let page = desk.official.client.send("POST", PAGE, &headers, body).await;
    assert_eq!(page.status, 403, "{}", page.text());
    desk.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_upload() {
    let mut desk = Desk::open().await;
    let good = multipart(&desk.token, &[(SHARD, &desk.file(SHARD))]);
    for (email, role) in [
        ("auditor@example.ca", AccountRole::Auditor),
        ("observer@example.ca", AccountRole::Observer),
    ] {
        let reader = Browser::of_new_account(&desk.served, email, role).await;
        let cookie = std::mem::replace(&mut desk.official.cookie, reader.cookie.clone());
        desk.send("http://localhost", "text/html", good.clone()).await;
        desk.is_refused(403, "#forbidden");
        desk.official.cookie = cookie;
    }
    desk.official.cookie = String::new();
    desk.send("http://localhost", "text/html", good).await;
    assert_eq!(desk.official.page.status, 303);
    let sign_in = format!("/fr/accounts/sign-in?next=/officials/elections/{LAW}/roll");
    assert_eq!(desk.official.page.header("location"), sign_in);
    assert!(!desk.served.node.folder().join("incoming").exists());
    desk.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_cut_off_leaves_nothing_half_made() {
    let mut desk = Desk::open().await;
    // A body that ends within a file, at the length in its header.
    let mut body = multipart(&desk.token, &[(SHARD, &desk.file(SHARD))]);
    body.truncate(body.len() - BOUNDARY.len() - 10);
    desk.send("http://localhost", "text/html", body).await;
    desk.is_refused(422, "L’envoi n’est pas arrivé en entier.");
    assert_eq!(desk.kept(), [""; 0]);
    // A connection that is cut, after more than is collected before the first write.
    let mut shard = desk.file(SHARD);
    shard.resize(3 << 20, b' ');
    let body = multipart(&desk.token, &[(SHARD, &shard)]);
    let head = format!(
        "POST {FILES} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nCookie: {}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n",
        desk.official.cookie,
        body.len()
    );
    let mut stream = TcpStream::connect(desk.served.at.public).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(&body[..body.len() - 1000]).await.expect("sent");
    let is_begun = |desk: &Desk| desk.kept().iter().any(|name| name.starts_with(".votekit-"));
    wait_until(&desk, is_begun).await;
    drop(stream);
    wait_until(&desk, |desk| desk.kept().is_empty()).await;
    desk.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_ends_with_the_account_of_its_sender() {
    let desk = Desk::open().await;
    let (manifest, shard) = (desk.file("manifest.json"), desk.file(SHARD));
    let body = multipart(&desk.token, &[("manifest.json", &manifest), (SHARD, &shard)]);
    let head = format!(
        "POST {FILES} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nCookie: {}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n",
        desk.official.cookie,
        body.len()
    );
    let mut stream = TcpStream::connect(desk.served.at.public).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("sent");
    // The first file, and the boundary behind it.
    let first = multipart(&desk.token, &[("manifest.json", &manifest)]).len() - 4;
    stream.write_all(&body[..first]).await.expect("sent");
    wait_until(&desk, |desk| desk.kept() == ["manifest.json"]).await;
    let disable = |account: &mut Account| account.state = AccountState::Disabled;
    change(&desk.served.node, "admin@example.ca", disable).await;
    stream.write_all(&body[first..]).await.expect("sent");
    let mut answer = vec![0; 13];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 403 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(desk.kept(), ["manifest.json"]);
    desk.served.end().await;
}

/// Waits until something is so.
async fn wait_until(desk: &Desk, is_so: impl Fn(&Desk) -> bool) {
    let begun = Instant::now();
    while !is_so(desk) {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "{:?}", desk.kept());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_announces_too_much_is_refused_unread() {
    let desk = Desk::open().await;
    let mut stream = TcpStream::connect(desk.served.at.public).await.expect("a connection");
    let head = format!(
        "POST {FILES} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nCookie: {}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n",
        desk.official.cookie,
        5_u64 << 30
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 64];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer));
    desk.served.end().await;
}
