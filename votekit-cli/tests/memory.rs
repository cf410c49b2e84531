//! The memory of a running node: it contains no NAS, no code and no body of a vote once it is
//! answered, and no key of an election once it is purged. The tests search the memory of a real
//! node from outside.
#![cfg(feature = "node")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use support::node::Node;
use support::poll::LAW;
use support::process_memory::{Needle, as_root, find};
use support::{TestDir, private};

/// Votes per node: many times the number of connections, so that buffers are reused.
const ELECTORS: usize = 300;

/// Connections that stay open, idle, while the memory is searched.
const CONNECTIONS: usize = 10;

/// Number of searches before a finding counts: an answer reaches its voter before the connection's
/// task has finished with it.
const SEARCHES: usize = 12;
const SEARCH_PAUSE: Duration = Duration::from_millis(250);

/// Prefixes of all NAS and all codes of this poll, long enough to be unique.
const NAS_START: &str = "90731";
const CODE_START: &str = "ZQXJ7";

struct Elector {
    nas: String,
    code: String,
}

fn elector(index: usize) -> Elector {
    Elector { nas: format!("{NAS_START}{index:04}"), code: format!("{CODE_START}{index:05}") }
}

/// Texts that only a vote brings into a node's memory.
fn canaries() -> Vec<Needle> {
    let text = |name, text: &str| Needle::bytes(name, text.as_bytes());
    vec![
        Needle::number("a NAS", NAS_START, 4),
        text("a NAS as written", "907-310-"),
        text("an escaped NAS", &format!("\\u0039{}", &NAS_START[1..])),
        text("a code", CODE_START),
        text("a code as written", &CODE_START.to_lowercase()),
        text("a body", &format!("{{\"nas\":\"{}", &NAS_START[..3])),
    ]
}

/// Prepares an open poll of electors with known credentials, in the folder `node`.
fn opened(dir: &TestDir) {
    let rows = (0..2 * ELECTORS)
        .map(elector)
        .map(|elector| format!("{},{},{LAW}\n", elector.nas, elector.code));
    dir.write("roll.csv", format!("nas,code,law_id\n{}", rows.collect::<String>()));
    dir.run(&["pepper", "generate", "-o", "pepper"]).succeeds();
    dir.run(&["hashgen", "roll.csv", "--out", "hashes", "--pepper-file", "pepper"]).succeeds();
    dir.run(&["load", "hashes", "--data", "node", "--pepper-file", "pepper"]).succeeds();
    let titles = ["--title-fr", "Eau", "--title-en", "Water"];
    dir.run(&[&["election", "create", LAW, "--data", "node"][..], &titles].concat()).succeeds();
    dir.run(&["election", "open", LAW, "--yes", "--data", "node"]).succeeds();
}

/// A stream that carries requests.
trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// A keep-alive connection.
struct Connection(BufReader<Box<dyn Wire>>);

impl Connection {
    fn plain(node: &Node) -> Self {
        Self::over(Box::new(tcp(node)))
    }

    fn tls(node: &Node) -> Self {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(tls_file("cert.pem"));
        roots.add(certificate.expect("a certificate")).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(Arc::new(config), name).expect("a configuration");
        Self::over(Box::new(StreamOwned::new(client, tcp(node))))
    }

    fn over(wire: Box<dyn Wire>) -> Self {
        Self(BufReader::new(wire))
    }

    fn send(&mut self, bytes: &str) {
        self.0.get_mut().write_all(bytes.as_bytes()).expect("the node reads");
        self.0.get_mut().flush().expect("the node reads");
    }

    /// Reads the status and the body of the next answer.
    fn answer(&mut self) -> (u16, String) {
        let mut status = String::new();
        self.0.read_line(&mut status).expect("an answer");
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("the head of an answer");
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("the body of an answer");
        let status = status.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), String::from_utf8(body).expect("UTF-8"))
    }

    /// Sends a request and asserts the status of its answer. The body is sent in pieces, one packet
    /// each.
    #[track_caller]
    fn post(&mut self, headers: &str, pieces: &[&str], status: u16) {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        self.send(&format!(
            "POST /api/v1/vote HTTP/1.1\r\nhost: node\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n{headers}\r\n{}",
            pieces[0]
        ));
        for piece in &pieces[1..] {
            std::thread::sleep(Duration::from_millis(2));
            self.send(piece);
        }
        let (found, body) = self.answer();
        assert_eq!(found, status, "{body}");
    }

    #[track_caller]
    fn is_open(&mut self) {
        self.send("GET /api/v1/health HTTP/1.1\r\nhost: node\r\n\r\n");
        assert_eq!(self.answer().0, 200);
    }
}

fn tcp(node: &Node) -> TcpStream {
    let (_, address) = node.public.split_once("://").expect("a URL");
    let stream = TcpStream::connect(address).expect("the node listens");
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    stream
}

fn tls_file(name: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../votekit-http/tests/tls").join(name);
    // The node refuses a key that others can read, and a checkout makes it readable by all.
    private(&file);
    file
}

fn body(nas: &str, code: &str, vote: &str) -> String {
    format!(r#"{{"nas":"{nas}","code":"{code}","law_id":"{LAW}","vote":"{vote}"}}"#)
}

/// Casts one vote, in a form that a client may use.
#[track_caller]
fn cast(connection: &mut Connection, index: usize) {
    let Elector { nas, code } = elector(index);
    let vote = if index.is_multiple_of(3) { "non" } else { "oui" };
    let plain = body(&nas, &code, vote);
    match index % 6 {
        0 => connection.post("", &[&plain], 202),
        // Head and body separately; then cut within the code.
        1 => connection.post("", &["", &plain], 202),
        2 => {
            let (start, end) = plain.split_at(34);
            connection.post("", &[start, end], 202);
        }
        3 => {
            let nas = format!("{}-{}-{}", &nas[..3], &nas[3..6], &nas[6..]);
            connection.post("", &[&body(&nas, &code.to_lowercase(), vote)], 202);
        }
        // The parser copies escaped text.
        4 => {
            let nas = format!("\\u0039{}", &nas[1..]);
            connection.post(
                &format!("idempotency-key: a-long-key-{index:0>16}\r\n"),
                &[&body(&nas, &code, vote)],
                202,
            );
        }
        _ => {
            connection.send(&format!(
                "POST /api/v1/vote HTTP/1.1\r\nhost: node\r\ncontent-type: application/json\r\n\
                 transfer-encoding: chunked\r\n\r\n{:x}\r\n{plain}\r\n0\r\n\r\n",
                plain.len()
            ));
            let (status, body) = connection.answer();
            assert_eq!(status, 202, "{body}");
        }
    }
}

/// Sends requests that are answered without a vote being counted.
fn refused(connection: &mut Connection, voted: usize, unknown: usize) {
    let Elector { nas, code } = elector(voted);
    // A duplicate, an unregistered credential, another law, an unknown choice.
    connection.post("", &[&body(&nas, &code, "oui")], 202);
    let stranger = elector(unknown);
    connection.post("", &[&body(&stranger.nas, &format!("{CODE_START}WRONG"), "oui")], 202);
    connection.post("", &[&body(&nas, &code, "oui").replace(LAW, "L-OTHER")], 404);
    connection.post("", &[&body(&nas, &code, "maybe")], 400);
    // Not votes: an extra field, a number instead of text, cut short, not JSON by its header.
    connection.post("", &[&body(&nas, &code, "oui").replace('}', &format!(",\"{nas}\":1}}"))], 400);
    connection.post("", &[&format!("{{\"nas\":{nas},\"code\":\"{code}\"}}")], 400);
    connection.post("", &[&body(&nas, &code, "oui")[..40]], 400);
    let text = body(&nas, &code, "oui");
    connection.send(&format!(
        "POST /api/v1/vote HTTP/1.1\r\nhost: node\r\ncontent-type: text/plain\r\n\
         content-length: {}\r\n\r\n{text}",
        text.len()
    ));
    assert_eq!(connection.answer().0, 415);
}

/// Asserts that nothing is found once the tasks have finished.
#[track_caller]
fn holds_none(node: &Node, needles: &[Needle]) {
    let mut found = Vec::new();
    for _ in 0..SEARCHES {
        found = find(node.id(), needles);
        if found.is_empty() {
            return;
        }
        std::thread::sleep(SEARCH_PAUSE);
    }
    panic!("{} left in memory:\n{}", found.len(), found.join("\n"));
}

/// Casts votes from `first` on over keep-alive connections, then searches while they are idle.
#[track_caller]
fn vote_and_search(node: &Node, connect: fn(&Node) -> Connection, first: usize) {
    let canaries = canaries();
    assert_eq!(find(node.id(), &canaries), Vec::<String>::new(), "before the first vote");
    let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| connect(node)).collect();
    for index in first..first + ELECTORS {
        cast(&mut connections[index % CONNECTIONS], index);
    }
    refused(&mut connections[3], first, 2 * ELECTORS);
    // A vote in progress is found, which shows that the search works.
    let Elector { nas, code } = elector(first);
    let again = body(&nas, &code, "oui");
    let mut under_way = connect(node);
    under_way.send(&format!(
        "POST /api/v1/vote HTTP/1.1\r\nhost: node\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{}",
        again.len(),
        &again[..60]
    ));
    // The node reads a moment after the bytes were sent.
    let mut found = String::new();
    let is_found = |found: &str| found.contains("a NAS at ") && found.contains("a body at ");
    for _ in 0..SEARCHES {
        std::thread::sleep(SEARCH_PAUSE);
        found = find(node.id(), &canaries).join("\n");
        if is_found(&found) {
            break;
        }
    }
    assert!(is_found(&found), "found only: {found}");
    under_way.send(&again[60..]);
    assert_eq!(under_way.answer().0, 202);
    holds_none(node, &canaries);
    connections.push(under_way);
    // All connections were open during the search.
    connections.iter_mut().for_each(Connection::is_open);
    holds_none(node, &canaries);
    drop(connections);
    holds_none(node, &canaries);
}

fn votes_leave_nothing() {
    let dir = TestDir::new();
    opened(&dir);
    let node = Node::serve(&dir);
    vote_and_search(&node, Connection::plain, 0);
    node.stop();
    let (cert, key) = (tls_file("cert.pem"), tls_file("key.pem"));
    let tls =
        ["--tls-cert", cert.to_str().expect("UTF-8"), "--tls-key", key.to_str().expect("UTF-8")];
    let node = Node::serve_with(&dir, &[&["--rate-limit", "0"], &tls[..]].concat());
    vote_and_search(&node, Connection::tls, ELECTORS);
    let protection = log_line(&node, "memory_protection");
    assert_eq!(protection["undumpable"], true);
    assert_eq!(protection["no_core_file"], true);
    assert!(protection["locked"].is_boolean(), "{protection}");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", node.id())).expect("it runs");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    node.stop();
}

#[test]
fn an_answered_vote_leaves_no_nas_no_code_and_no_body_in_memory() {
    as_root("an_answered_vote_leaves_no_nas_no_code_and_no_body_in_memory", votes_leave_nothing);
}

/// Returns the last log line with this event.
#[track_caller]
fn log_line(node: &Node, event: &str) -> Value {
    let log = node.log();
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.rfind(|line| line["event"] == event).unwrap_or_else(|| panic!("no {event}: {log}"))
}

/// Forms of a secret key in memory: its halves, its digits, and its first half under the two
/// constants of HMAC.
fn key_needles(dir: &TestDir) -> Vec<Needle> {
    let mut needles = Vec::new();
    for kind in ["ballot", "request"] {
        let text = String::from_utf8(dir.read(&format!("node/keys/{kind}/{LAW}"))).expect("text");
        let digits = text.split(' ').next().expect("digits").trim();
        let key = const_hex::decode(digits).expect("64 hexadecimal digits");
        let padded = |pad: u8| key[..16].iter().map(|byte| byte ^ pad).collect::<Vec<u8>>();
        needles.extend([
            Needle::bytes("the first half of a key", &key[..16]),
            Needle::bytes("the second half of a key", &key[16..]),
            Needle::bytes("the digits of a key", &digits.as_bytes()[..32]),
            Needle::bytes("the inner key of an HMAC", &padded(0x36)),
            Needle::bytes("the outer key of an HMAC", &padded(0x5c)),
        ]);
    }
    needles
}

/// Asserts that each of the two keys exists exactly once, after the last votes are sealed.
#[track_caller]
fn holds_one_copy(node: &Node, needles: &[Needle]) {
    let mut found = String::new();
    for _ in 0..SEARCHES {
        found = find(node.id(), needles).join("\n");
        let counts = ["the first half of a key at ", "the second half of a key at "]
            .map(|half| found.matches(half).count());
        if counts == [2, 2] {
            return;
        }
        std::thread::sleep(SEARCH_PAUSE);
    }
    panic!("not one copy of each key:\n{found}");
}

fn a_purge_leaves_no_key() {
    let dir = TestDir::new();
    opened(&dir);
    // After a restart the node reads snapshots and evidence under the key.
    let node = Node::serve(&dir);
    let mut connection = Connection::plain(&node);
    (0..60).for_each(|index| cast(&mut connection, index));
    node.stop();
    let node = Node::serve(&dir);
    let mut connection = Connection::plain(&node);
    (60..120).for_each(|index| cast(&mut connection, index));
    let needles = key_needles(&dir);
    holds_one_copy(&node, &needles);
    let verb = |verb: &str, more: &[&str]| {
        let target = ["--data", "node", "--node", &node.admin];
        dir.run(&[&["election", verb, LAW][..], &target, more].concat()).succeeds().to_owned()
    };
    verb("close", &["--yes"]);
    verb("certify", &["--yes"]);
    verb("purge", &["--yes"]);
    holds_none(&node, &needles);
    node.stop();
}

#[test]
fn a_purged_election_leaves_no_key_in_memory() {
    as_root("a_purged_election_leaves_no_key_in_memory", a_purge_leaves_no_key);
}
