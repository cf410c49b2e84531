//! Runs the examples of docs/integration.md unchanged, in order, against a node that the test
//! prepares, and compares their output with the answers shown. `sh set` sets variables; they get
//! the values of that node.

#![cfg(feature = "node")]

mod support;

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};
use support::TestDir;
use support::authenticator::{accept_invitation, code_at, from_base32};
use support::examples::{Block, ExampleFolder, Examples, blocks, document};
use support::http::Http;
use support::node::Node;
use support::poll::{self, Elector, LAW};

const DOCUMENT: &str = "docs/integration.md";

/// The election that the document creates, and the folder with its hashed roll.
const CREATED: &str = "L2030-001";
const ROLL: &str = "forests";

/// The election of the members.
const MEMBERS: &str = "M2025-001";

const OFFICIAL: &str = "official@example.com";
const OFFICIAL_PASSWORD: &str = "cloud window turtle monday";
const MEMBER: &str = "alice@example.com";
const MEMBER_PASSWORD: &str = "river candle seventeen maple";

#[test]
fn every_example_of_the_integration_page_answers_as_shown() {
    let (dir, electors) = prepare();
    let folder = ExampleFolder::new(dir);
    let node = Node::serve(&folder.dir);
    let values = Values::prepare(&folder.dir, &node, &electors[0]);
    let mut examples = Examples::start(&folder);
    let text = document(DOCUMENT);
    for block in blocks(DOCUMENT, &text) {
        match block.info {
            "sh set" => {
                examples.evaluate(&values.set(&block));
            }
            _ => examples.follow(&block),
        }
    }
    examples.assert_counts(30, 30);
    let log = node.log_path();
    node.stop();
    let log = fs::read_to_string(log).expect("a log");
    assert!(!log.contains(r#""alarm":true"#), "the node raised an alarm:\n{log}");
}

/// A folder with the open election, and the hashed roll of the election that the document creates.
fn prepare() -> (TestDir, Vec<Elector>) {
    let options = ["--blank", "--results", "after_vote", "--publish-every", "1"];
    let (dir, electors) = poll::drafted(20, &options);
    dir.run(&["election", "open", LAW, "--yes", "--data", "node"]).succeeds();
    let sample = ["roll", "sample", "--electors", "20", "--law", CREATED, "--seed", "8"];
    dir.run(&[&sample[..], &["-o", "forests.csv"]].concat()).succeeds();
    let hashgen = ["hashgen", "forests.csv", "--out", ROLL, "--pepper-file", "referendum.pepper"];
    dir.run(&hashgen).succeeds();
    (dir, electors)
}

/// The values of the document's variables.
struct Values(Vec<(&'static str, String)>);

impl Values {
    /// Makes the accounts, and an open election for the member.
    fn prepare(dir: &TestDir, node: &Node, elector: &Elector) -> Self {
        let http = Http::new();
        let mut codes =
            accept_invitation(&http, &invite_official(dir, node), OFFICIAL_PASSWORD, true);
        let mut next_code = || codes.pop().expect("a recovery code");
        let invited = invite_member(&http, node, &next_code());
        accept_invitation(&http, &invited, MEMBER_PASSWORD, false);
        Self(vec![
            ("NODE", node.public.clone()),
            ("ROLL", dir.path(ROLL).display().to_string()),
            ("NAS", elector.nas.clone()),
            ("CODE", elector.code.clone()),
            ("OFFICIAL", OFFICIAL.to_owned()),
            ("OFFICIAL_PASSWORD", OFFICIAL_PASSWORD.to_owned()),
            ("OFFICIAL_CODE", next_code()),
            ("MEMBER", MEMBER.to_owned()),
            ("MEMBER_PASSWORD", MEMBER_PASSWORD.to_owned()),
        ])
    }

    /// A script that sets the variables of a block. Each value is used.
    fn set(&self, block: &Block<'_>) -> String {
        let names: Vec<&str> = block.variables().collect();
        let known: Vec<&str> = self.0.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, known, "{}: the variables that the test sets", block.place());
        self.0.iter().map(|(name, value)| format!("{name}='{value}'\n")).collect()
    }
}

/// Returns the one-time link of an administrator.
fn invite_official(dir: &TestDir, node: &Node) -> String {
    let add = ["user", "add", OFFICIAL, "--role", "administrator", "--url", &node.public];
    let invited = dir.run(&[&add[..], &["--data", "node", "--json"]].concat()).json();
    text(&invited["accounts"][0]["link"])
}

/// As the official, opens an election for the member; returns the member's one-time link.
fn invite_member(http: &Http, node: &Node, code: &str) -> String {
    let api = format!("{}/api/v1", node.public);
    let sign_in = json!({ "email": OFFICIAL, "password": OFFICIAL_PASSWORD, "code": code });
    let tokens = post(http, &format!("{api}/auth/login"), None, &sign_in);
    let token = text(&tokens["access_token"]);
    let election = json!({
        "law_id": MEMBERS,
        "title_fr": "Assemblée du club",
        "title_en": "Assembly of the club",
        "eligible_voters": [MEMBER],
    });
    let created = post(http, &format!("{api}/elections"), Some(&token), &election);
    post(http, &format!("{api}/elections/{MEMBERS}/open"), Some(&token), &json!({}));
    format!("{}{}", node.public, text(&created["invitations"][0]["path"]))
}

/// Sends JSON; returns the JSON of a successful answer.
#[track_caller]
fn post(http: &Http, url: &str, token: Option<&str>, body: &Value) -> Value {
    let mut request = http.request(Method::POST, url).header("content-type", "application/json");
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = http.send(request.body(body.to_string())).expect("an answer");
    assert!(matches!(answer.status, 200 | 201), "{url}: {} {}", answer.status, answer.body);
    answer.json()
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text")).to_owned()
}

#[test]
fn codes_of_the_app_are_those_of_rfc_6238() {
    let secret = from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    assert_eq!(secret, b"12345678901234567890");
    for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
        assert_eq!(code_at(&secret, seconds), code, "{seconds}");
    }
}
