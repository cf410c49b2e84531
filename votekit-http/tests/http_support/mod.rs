//! A served node, and a client that speaks HTTP/1.1 to it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::sync::LazyLock;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use votekit_core::credential::Credential;
use votekit_http::listener::{Addresses, ServeError, Server};
use votekit_node::Node;
use votekit_node::config::Config;
use votekit_node::data_folder::DataFolder;
use votekit_node::{CreateElection, OpenElection};

use crate::support::{LAW, TestDir, create_request, credential, law};

/// A node behind its three listeners, on ports that the system chose.
pub struct Served {
    pub node: Node,
    pub at: Addresses,
    pub url: String,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
    _dir: TestDir,
}

/// The default configuration on free ports, without a rate limit.
pub fn config() -> Config {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        listen: free,
        admin_listen: free,
        metrics_listen: free,
        rate_limit_per_second: 0,
        ..Config::default()
    }
}

impl Served {
    /// Serves an empty node beside a roll of 30 electors.
    pub async fn empty(config: Config) -> Self {
        Self::on(TestDir::new(30), config).await
    }

    /// Serves the node of a folder.
    pub async fn on(dir: TestDir, config: Config) -> Self {
        let folder = DataFolder::open(&dir.path("node"), None).expect("a data folder");
        let node = Node::start(folder, config).await.expect("the node starts");
        let server = Server::bind(node.clone()).await.expect("free ports");
        let (at, url) = (server.addresses(), server.public_url());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.run(async {
            // Resolves on the stop signal, or when the test is over.
            let _ = stopped.await;
        }));
        Self { node, at, url, stop, serving, _dir: dir }
    }

    /// Serves a node with the roll loaded and the requested election open.
    pub async fn open_with(config: Config, request: CreateElection) -> Self {
        let served = Self::empty(config).await;
        served.node.load(&served.roll(), None).await.expect("loaded");
        served.node.create(request).await.expect("created");
        served.node.open(&law(), OpenElection::default()).await.expect("opened");
        served
    }

    /// Serves a node with the customary election open.
    pub async fn open() -> Self {
        Self::open_with(config(), create_request()).await
    }

    /// The folder of the hashed roll.
    pub fn roll(&self) -> std::path::PathBuf {
        self._dir.path("hashes")
    }

    /// Stops serving without waiting for the shutdown.
    pub fn stop(self) -> JoinHandle<Result<(), ServeError>> {
        self.stop.send(()).expect("still serving");
        self.serving
    }

    /// Waits until the server has stopped without a signal.
    pub async fn ended(self) -> Result<(), ServeError> {
        self.serving.await.expect("no panic")
    }

    /// Stops the server, then the node.
    pub async fn end(self) {
        let node = self.node.clone();
        self.stop().await.expect("no panic").expect("an orderly end");
        node.shutdown().await;
    }

    pub async fn get(&self, path: &str) -> Answer {
        Client::connect(self.at.public).await.get(path).await
    }

    pub async fn vote(&self, body: &str, headers: &[(&str, &str)]) -> Answer {
        Client::connect(self.at.public).await.vote(body, headers).await
    }

    pub async fn admin(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let token = format!("Bearer {}", self.node.admin_token().expect("a token").as_str());
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
        Client::connect(self.at.administration).await.send(method, path, &headers, body).await
    }
}

/// The body of a vote of the elector with index `index`.
pub fn ballot(index: u32, choice: &str) -> String {
    let Credential { nas, code, .. } = credential(index);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("ASCII");
    json!({"nas": text(nas.as_bytes()), "code": text(code.as_bytes()), "law_id": LAW, "vote": choice}).to_string()
}

/// A vote with a wrong code under the NAS of the elector with index `index`; each `number` gives
/// another code.
pub fn guess(index: u32, number: u32) -> String {
    let nas = credential(index).nas;
    let nas = String::from_utf8(nas.as_bytes().to_vec()).expect("ASCII");
    let code = format!("WRONG{number:04}");
    json!({"nas": nas, "code": code, "law_id": LAW, "vote": "oui"}).to_string()
}

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&votekit_http::openapi_json_text()).expect("JSON"));

/// Whether an address is one of the pages for people, which the document does not list.
fn is_page(path: &str) -> bool {
    path == "/" || ["/fr", "/en", "/static/"].iter().any(|start| path.starts_with(start))
}

/// Whether an address matches a path of the document with its variable parts.
fn matches(template: &str, path: &str) -> bool {
    let (mut parts, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (parts.next(), given.next()) {
            // The only part that contains slashes.
            (Some("{path}"), Some(_)) => return true,
            (Some(part), Some(text)) if part == text => {}
            (Some(part), Some(text)) if part.starts_with('{') && !text.is_empty() => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("visible ASCII"))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn request_id(&self) -> String {
        self.json()["request_id"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }

    /// Checks that the OpenAPI document has this answer, for this method and address.
    fn check_documented(&self, method: &str, path: &str) {
        if is_page(path) {
            return;
        }
        // The answer to a preflight belongs to the calls that it is about.
        if method == "OPTIONS" && self.headers.contains_key("access-control-allow-methods") {
            return;
        }
        let status = self.status.as_u16();
        let path = path.split('?').next().unwrap_or_default();
        let paths = DOCUMENT["paths"].as_object().expect("paths");
        let item = paths.iter().find(|(template, _)| matches(template, path)).map(|found| found.1);
        let asked = if method == "HEAD" { "GET" } else { method };
        let Some(operation) = item.and_then(|item| item.get(asked.to_lowercase())) else {
            let known = if item.is_some() { 405 } else { 404 };
            assert!(status == known || status == 401, "{method} {path}: {status}");
            return;
        };
        let is_of_another_listener = path == "/metrics" || path.starts_with("/api/v1/admin/");
        if is_of_another_listener && status == 404 && self.json()["code"] == "unknown-route" {
            return;
        }
        let documented = &operation["responses"][status.to_string()];
        assert!(documented.is_object(), "{method} {path}: {status} is not documented");
        let content_type = self.header("content-type");
        if !content_type.is_empty() {
            let content = documented["content"].as_object().expect("content");
            let essence = |text: &str| text.split(';').next().unwrap_or_default().to_owned();
            assert!(
                content.keys().any(|known| essence(known) == essence(content_type)),
                "{method} {path}: {status} with {content_type}"
            );
        }
        // The header fields on which a program acts.
        for name in ["etag", "location", "retry-after", "set-cookie", "www-authenticate"] {
            let fields = documented["headers"].as_object();
            let is_known = fields
                .is_some_and(|fields| fields.keys().any(|known| known.eq_ignore_ascii_case(name)));
            let is_sent = self.headers.contains_key(name);
            assert!(is_known || !is_sent, "{method} {path}: {status} with {name}");
        }
        if content_type == "application/problem+json" && !self.body.is_empty() {
            let code = self.json()["code"].as_str().expect("a code").to_owned();
            let codes = documented["description"].as_str().expect("a description");
            assert!(codes.contains(&format!("`{code}`")), "{method} {path}: {status} {code}");
        }
    }

    /// Checks the header fields for caches and browsers that every answer has.
    fn check_headers(&self, path: &str) {
        assert_eq!(self.header("x-content-type-options"), "nosniff", "{self:?}");
        if is_page(path) {
            let policy = self.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; "), "{self:?}");
            assert!(policy.contains("frame-ancestors 'none'"), "{self:?}");
            return;
        }
        assert_eq!(self.header("referrer-policy"), "no-referrer", "{self:?}");
        let policy = "default-src 'none'; frame-ancestors 'none'";
        assert_eq!(self.header("content-security-policy"), policy, "{self:?}");
        assert!(!self.header("cache-control").is_empty(), "{self:?}");
        if self.header("content-type") == "application/problem+json" {
            assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        }
    }

    /// Checks that this is problem details, and returns its status and code.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        let code = problem["code"].as_str().expect("a code").to_owned();
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["type"], format!("urn:problem-type:votekit:{code}"));
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        assert_eq!(
            self.headers.contains_key("retry-after"),
            matches!(self.status.as_u16(), 429 | 503) || code == "not-recorded-yet"
        );
        (self.status.as_u16(), code)
    }
}

/// One connection.
pub struct Client {
    sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("a connection")).await
    }

    pub async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> Self {
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection);
        Self { sender }
    }

    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        self.sender.ready().await.expect("an open connection");
        let (head, body) = self.sender.send_request(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        let answer = Answer { status: head.status, headers: head.headers, body };
        answer.check_documented(method, path);
        answer.check_headers(path);
        answer
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub async fn vote(&mut self, body: &str, headers: &[(&str, &str)]) -> Answer {
        let headers = [&[("content-type", "application/json")], headers].concat();
        self.send("POST", "/api/v1/vote", &headers, body.to_owned()).await
    }
}
