//! The means of attackers: connections from several addresses, raw messages, the cookies of every
//! caller, and a check of each tag of a page.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use votekit_core::id::Digest;
use votekit_core::instant::UnixSeconds;
use votekit_node::Node;
use votekit_store::{AccountId, NewSession, SessionKind};

use crate::form_support::form;
use crate::http_support::{Answer, Client, Served};

pub const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
pub const JSON: (&str, &str) = ("content-type", "application/json");
pub const OWN_ORIGIN: (&str, &str) = ("origin", "http://localhost");

/// The names of the cookies on a listener without TLS.
pub const ACCOUNT_COOKIE: &str = "votekit-account-local";
pub const VOTER_COOKIE: &str = "votekit-local";

/// A connection from the loopback address 127.0.0.`host`: another network, for the limits.
pub async fn client_from(host: u8, to: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().expect("a socket");
    let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, host));
    socket.bind(SocketAddr::new(address, 0)).expect("a loopback address");
    Client::over(socket.connect(to).await.expect("a connection")).await
}

/// Sends bytes, and reads until the connection is closed.
pub async fn raw(at: SocketAddr, message: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(at).await.expect("a connection");
    stream.write_all(message.as_ref()).await.expect("written");
    let mut answer = Vec::new();
    // A refusal in the middle of a body may arrive as a reset after the answer.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Begins a session of the pages for an account: its cookie. Each name is another session.
pub async fn begin_session(node: &Node, account: AccountId, name: &str) -> String {
    // The token of a session has 43 characters of base64url.
    let token =
        Digest::compute(&[&account.0[..], name.as_bytes()].concat()).to_hex()[..43].to_owned();
    let later = UnixSeconds(node.now().seconds().0 + 3600);
    let session = NewSession {
        token: Digest::compute(token.as_bytes()),
        account,
        kind: SessionKind::Pages,
        expires: later,
        idle_until: later,
    };
    node.accounts().begin_session(&session).await.expect("begun");
    format!("{ACCOUNT_COOKIE}={token}")
}

/// The pair that an answer sets as a cookie.
pub fn cookie_of(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap_or_default().to_owned()
}

pub async fn get(served: &Served, path: &str, cookie: &str) -> Answer {
    let mut client = Client::connect(served.at.public).await;
    client.send("GET", path, &[("cookie", cookie)], "").await
}

/// Sends a form as a page of this node.
pub async fn post(served: &Served, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
    let mut client = Client::connect(served.at.public).await;
    let headers = [("cookie", cookie), FORM, OWN_ORIGIN];
    client.send("POST", path, &headers, form(fields)).await
}

/// NAS and code of the elector with index `index`.
pub fn typed(index: u32) -> (String, String) {
    (format!("0{index:08}"), format!("CODE{index:04}"))
}

/// Signs in the elector with index `index` on the page of a law, and returns the cookie.
pub async fn sign_in(served: &Served, law: &str, index: u32) -> String {
    let (nas, code) = typed(index);
    let fields = [("nas", nas.as_str()), ("code", code.as_str())];
    let answer = post(served, &format!("/fr/vote/{law}"), "", &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    cookie_of(&answer)
}

/// Checks that a page has no inline script, no event handler, no style and no address of another
/// site: any content of its texts is rendered as text.
pub fn check_inert(html: &str) {
    // No text has a `<`: each `<` begins a tag of the templates.
    for tag in html.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        let parts: Vec<&str> = tag.split('"').collect();
        for (index, part) in parts.iter().enumerate().step_by(2) {
            for name in part.split_ascii_whitespace() {
                let name = name.to_ascii_lowercase();
                assert!(!name.starts_with("on") && !name.starts_with("style"), "<{tag}>");
                assert!(!name.starts_with("srcdoc"), "<{tag}>");
                let is_address = ["href=", "src=", "action=", "formaction="].contains(&&*name);
                let value = parts.get(index + 1).copied().unwrap_or_default();
                assert!(!is_address || is_local(value), "<{tag}>");
            }
        }
        let name = tag.split_ascii_whitespace().next().unwrap_or_default();
        let is_script = name.eq_ignore_ascii_case("script");
        assert!(!is_script || tag.contains(" src=\"/static/"), "<{tag}>");
        for other in ["iframe", "object", "embed", "base", "img", "style", "math"] {
            assert!(!name.eq_ignore_ascii_case(other), "<{tag}>");
        }
    }
}

fn is_local(address: &str) -> bool {
    let is_path =
        address.starts_with('/') && !["//", "/\\"].iter().any(|start| address.starts_with(start));
    is_path || address.is_empty() || address.starts_with('#') || address.starts_with("otpauth://")
}
