//! The server around the interface: TLS, limits on connections and time, the orderly shutdown.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::http_support::{Client, Served, ballot, config};
use crate::support::{TestDir, create_request};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use votekit_http::listener::{ServeError, Server};
use votekit_node::Node;
use votekit_node::config::Config;
use votekit_node::data_folder::DataFolder;

fn tls_file(name: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name);
    // A key that others can read is refused, but a checkout makes it readable for all.
    if let Ok(there) = fs::metadata(&file) {
        let mut permissions = there.permissions();
        permissions.set_mode(0o600);
        fs::set_permissions(&file, permissions).expect("set");
    }
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_travel_by_tls() {
    let config = Config {
        tls_cert: Some(tls_file("cert.pem")),
        tls_key: Some(tls_file("key.pem")),
        ..config()
    };
    let served = Served::open_with(config, create_request()).await;
    assert!(served.url.starts_with("https://127.0.0.1:"));
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(tls_file("cert.pem")).expect("a certificate"))
        .expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
    let stream = TcpStream::connect(served.at.public).await.expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = connector.connect(name, stream).await.expect("a handshake");
    let mut client = Client::over(stream).await;
    for index in 0..3 {
        let answer = client.vote(&ballot(index, "oui"), &[("prefer", "wait=30")]).await;
        assert_eq!(answer.json()["status"], "accepted");
        assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
    }
    // A client that speaks plain HTTP gets no plain answer.
    let mut plain = TcpStream::connect(served.at.public).await.expect("a connection");
    plain.write_all(b"GET /api/v1/health HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("written");
    let mut answer = Vec::new();
    // The server may close in any way.
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
    drop(client);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_at_the_start_name_their_cause() {
    let bind = async |config: Config| {
        let dir = TestDir::new(1);
        let folder = DataFolder::open(&dir.path("node"), None).expect("a data folder");
        let node = Node::start(folder, config).await.expect("the node starts");
        let error = Server::bind(node.clone()).await.expect_err("refused");
        node.shutdown().await;
        error
    };
    let tls = |cert: &str, key: &str| Config {
        tls_cert: Some(tls_file(cert)),
        tls_key: Some(tls_file(key)),
        ..config()
    };
    for (config, file) in [
        (tls("missing.pem", "key.pem"), "missing.pem"),
        (tls("key.pem", "key.pem"), "key.pem"),
        (tls("cert.pem", "cert.pem"), "cert.pem"),
        (tls("cert.pem", "README.md"), "README.md"),
    ] {
        let error = bind(config).await;
        assert!(
            matches!(error, ServeError::TlsFile { .. }) && error.to_string().contains(file),
            "{error}"
        );
    }
    let error = bind(tls("cert.pem", "other-key.pem")).await;
    assert!(matches!(error, ServeError::TlsIdentity { .. }), "{error}");
    let open_to_all = Config { listen: "0.0.0.0:0".parse().expect("an address"), ..config() };
    let error = bind(open_to_all).await;
    assert!(matches!(error, ServeError::Config(_)) && error.to_string().contains("TLS"), "{error}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let error = bind(Config { admin_listen: address, ..config() }).await;
    assert!(
        matches!(error, ServeError::Bind { .. })
            && error.to_string().contains(&address.to_string()),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_requests_in_flight_finish() {
    let served = Served::open().await;
    let (node, address) = (served.node.clone(), served.at.public);
    let mut idle = TcpStream::connect(address).await.expect("a connection");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let body = ballot(1, "oui");
    let head = format!(
        "POST /api/v1/vote HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.expect("the handler waits for the body");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    let ended = served.stop();
    // The shutdown closes an idle connection, which shows that it has begun.
    assert_eq!(idle.read(&mut [0]).await.expect("closed in order"), 0);
    stream.write_all(body.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 202") && answer.contains("connection: close"), "{answer}");
    drop((stream, idle));
    ended.await.expect("no panic").expect("an orderly end");
    assert!(TcpStream::connect(address).await.is_err());
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connection_is_closed() {
    let served =
        Served::open_with(Config { header_timeout_seconds: 1, ..config() }, create_request()).await;
    for said in ["", "POST /api/v1/vote HTTP/1.1\r\nhost: h\r\n"] {
        let mut stream = TcpStream::connect(served.at.public).await.expect("a connection");
        stream.write_all(said.as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("closed in order");
        assert!(!answer.starts_with(b"HTTP/1.1 2"));
    }
    // A connection that is silent after its first request.
    let mut stream = TcpStream::connect(served.at.public).await.expect("a connection");
    stream.write_all(b"GET /api/v1/elections HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("written");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("closed in order");
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    let config = Config { request_timeout_seconds: 1, ..config() };
    served.end().await;
    let served = Served::open_with(config, create_request()).await;
    let mut stream = TcpStream::connect(served.at.public).await.expect("a connection");
    let head = "POST /api/v1/vote HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 408");
    drop(stream);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_cap_an_idle_connection_makes_room() {
    let served =
        Served::open_with(Config { connections_max: 2, ..config() }, create_request()).await;
    let mut longest_idle = TcpStream::connect(served.at.public).await.expect("a connection");
    let mut second = Client::connect(served.at.public).await;
    assert_eq!(second.get("/api/v1/elections").await.status, 200);
    let mut newcomer = Client::connect(served.at.public).await;
    assert_eq!(newcomer.get("/api/v1/elections").await.status, 200);
    assert_eq!(longest_idle.read(&mut [0]).await.expect("closed in order"), 0);
    assert_eq!(second.get("/api/v1/elections").await.status, 200, "it was not the longest idle");
    assert_eq!(newcomer.get("/api/v1/elections").await.status, 200);
    drop((second, newcomer));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_a_bounded_life() {
    let config = Config { connection_requests_max: 3, ..config() };
    let served = Served::open_with(config, create_request()).await;
    let mut client = Client::connect(served.at.public).await;
    let mut said = Vec::new();
    for _ in 0..3 {
        said.push(client.get("/api/v1/elections").await.header("connection").to_owned());
    }
    assert_eq!(said, ["", "", "close"]);
    served.end().await;
    // The idle time allowed is longer than the connection's longest life.
    let config = Config {
        connection_seconds_max: 1,
        header_timeout_seconds: 3600,
        ..crate::http_support::config()
    };
    let served = Served::open_with(config, create_request()).await;
    let mut stream = TcpStream::connect(served.at.public).await.expect("a connection");
    stream.write_all(b"GET /api/v1/elections HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("written");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("closed in order");
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    served.end().await;
}
