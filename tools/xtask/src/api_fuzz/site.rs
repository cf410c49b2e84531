//! The node under test: an open election, an official and electors, and its document with examples
//! that exist on it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::bench::node::{self, LAW, Node};
use crate::project;

/// Signs the callers in.
const CALLERS_SCRIPT: &str = include_str!("callers.py");

const ELECTORS: u64 = 20;

const OFFICIAL: &str = "official@example.com";

/// The election of the member.
const MEMBERS_LAW: &str = "M1";

/// A node, and those who call it.
pub(super) struct Site {
    pub(super) node: Node,
    pub(super) callers: Callers,
    /// The administrator's token of the administration listener.
    pub(super) admin_token: String,
    /// The file of the OpenAPI document.
    pub(super) document: PathBuf,
    /// The operations that take the token of an account.
    pub(super) account_operations: Vec<String>,
}

/// Credentials of callers, and ids that exist on the node.
#[derive(Deserialize)]
pub(super) struct Callers {
    /// The access token of an administrator.
    pub(super) official: String,
    /// The access token of a member who has not voted yet.
    pub(super) member: String,
    /// The cookie of a voter who has not voted yet.
    pub(super) cookie: String,
    /// A vote that was accepted.
    request_id: String,
    /// The digest of the roll's manifest.
    roll: String,
}

/// An elector of the sample roll.
#[derive(Serialize)]
struct Elector {
    nas: String,
    code: String,
}

/// The line of `votekit user add --json`.
#[derive(Deserialize)]
struct Invited {
    accounts: Vec<Invitation>,
}

#[derive(Deserialize)]
struct Invitation {
    link: String,
}

impl Site {
    /// Starts a node in a new folder.
    pub(super) fn open(votekit: &Path, folder: &Path, python: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let (roll, hashes) = node::hashed_roll(votekit, ELECTORS, folder)?;
        let data = folder.join("node");
        node::open_election(votekit, &hashes, &data)?;
        let node = Node::start(votekit, &data)?;
        let [first, second, third] = electors(&fs::read_to_string(roll)?)?;
        let admin_token = fs::read_to_string(data.join("keys/admin-token"))?.trim().to_owned();
        let request = json!({
            "node": node.url,
            "admin": node.admin_url,
            "admin_token": admin_token,
            "email": OFFICIAL,
            "link": invite(votekit, &data, &node.url)?,
            "law_id": LAW,
            "members_law_id": MEMBERS_LAW,
            "electors": [first, second],
        });
        let callers = sign_in(python, &request)?;
        let mut text: Value = serde_json::from_str(&node.get("/api/v1/openapi.json")?)?;
        set_examples(&mut text, &callers, &third)?;
        let document = folder.join("openapi.json");
        fs::write(&document, serde_json::to_vec(&text)?)?;
        let account_operations = account_operations(&text);
        Ok(Self { node, callers, admin_token, document, account_operations })
    }

    /// The URL of the listener for metrics.
    pub(super) fn metrics_url(&self) -> &str {
        self.node.metrics_url.trim_end_matches("/metrics")
    }

    /// Stops the node, which must have reported no error.
    pub(super) fn close(self) -> Result<()> {
        let log = self.node.log.clone();
        self.node.stop()?;
        let text = fs::read_to_string(&log)?;
        let errors: Vec<&str> = text.lines().filter(|line| is_error(line)).collect();
        ensure!(
            errors.is_empty(),
            "{} has {} errors, such as\n{}",
            log.display(),
            errors.len(),
            errors[0]
        );
        Ok(())
    }
}

/// Whether a line of a node's log reports an error.
fn is_error(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|line| line["level"] == "ERROR")
}

/// The first electors of a roll.
fn electors(roll: &str) -> Result<[Elector; 3]> {
    let mut electors = roll.lines().skip(1).filter_map(|line| {
        let (nas, rest) = line.split_once(',')?;
        let (code, _) = rest.split_once(',')?;
        Some(Elector { nas: nas.to_owned(), code: code.to_owned() })
    });
    let mut next = || electors.next().context("the sample roll has too few electors");
    Ok([next()?, next()?, next()?])
}

/// Invites the official, and returns the one-time link.
fn invite(votekit: &Path, data: &Path, url: &str) -> Result<String> {
    let mut command = Command::new(votekit);
    command.args(["user", "add", OFFICIAL, "--role", "administrator", "--json"]);
    command.args(["--url", url, "--data"]).arg(data).stderr(Stdio::null());
    let output = command.output().context("starting votekit")?;
    ensure!(output.status.success(), "{} failed: {}", project::words(&command), output.status);
    let Invited { accounts } = serde_json::from_slice(&output.stdout)?;
    Ok(accounts.into_iter().next().context("no account was made")?.link)
}

fn sign_in(python: &Path, request: &Value) -> Result<Callers> {
    let mut command = Command::new(python);
    command.args(["-c", CALLERS_SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| python.display().to_string())?;
    let mut input = child.stdin.take().context("standard input is not piped")?;
    input.write_all(request.to_string().as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "callers.py ended with {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The ids of operations that require the token of an account.
fn account_operations(document: &Value) -> Vec<String> {
    let items = document["paths"].as_object().into_iter().flat_map(|paths| paths.values());
    let operations = items.filter_map(Value::as_object).flat_map(|item| item.values());
    let secured = operations.filter(|operation| operation["security"][0].get("account").is_some());
    secured.filter_map(|operation| operation["operationId"].as_str()).map(str::to_owned).collect()
}

/// Replaces the examples of the document by values that exist on the node. Schemathesis sends them
/// beside its own; without them hardly a request would find what it names.
fn set_examples(document: &mut Value, callers: &Callers, elector: &Elector) -> Result<()> {
    let Elector { nas, code } = elector;
    let vote = json!({ "nas": nas, "code": code, "law_id": LAW, "vote": "oui" });
    let sign_in = json!({ "nas": nas, "code": code, "law_ids": [LAW] });
    let paths = document["paths"].as_object_mut().context("a document without paths")?;
    let items = paths.values_mut().filter_map(Value::as_object_mut);
    for operation in items.flat_map(|item| item.values_mut()) {
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            let examples = match parameter["name"].as_str() {
                Some("law_id") => vec![LAW, MEMBERS_LAW],
                Some("request_id") => vec![callers.request_id.as_str()],
                Some("digest" | "manifest") => vec![callers.roll.as_str()],
                Some("file") => vec!["manifest.json"],
                _ => continue,
            };
            let named = examples.iter().map(|text| ((*text).to_owned(), json!({ "value": text })));
            parameter["examples"] = Value::Object(named.collect());
            // The two exclude one another.
            parameter.as_object_mut().context("a parameter")?.remove("example");
        }
        let body = match operation["operationId"].as_str() {
            Some("castVote") => &vote,
            Some("voterSignIn") => &sign_in,
            _ => continue,
        };
        operation["requestBody"]["content"]["application/json"]["example"] = body.clone();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_exist_on_the_node() -> Result<()> {
        let callers = Callers {
            official: String::new(),
            member: String::new(),
            cookie: String::new(),
            request_id: "0a".to_owned(),
            roll: "0b".to_owned(),
        };
        let [elector, ..] = electors("nas,code,law_id\n1,A,x\n2,B,x\n3,C,x\n")?;
        let mut document = json!({ "paths": { "/a/{law_id}/{digest}": { "post": {
            "operationId": "castVote",
            "parameters": [{ "name": "law_id", "example": "L9" }, { "name": "digest" }],
        } }, "/b": { "get": { "operationId": "b", "security": [{ "account": [] }] } } } });
        assert_eq!(account_operations(&document), ["b"]);
        set_examples(&mut document, &callers, &elector)?;
        let operation = &document["paths"]["/a/{law_id}/{digest}"]["post"];
        assert_eq!(operation["parameters"][0]["examples"][LAW]["value"], LAW);
        assert_eq!(operation["parameters"][0].get("example"), None);
        assert_eq!(operation["parameters"][1]["examples"]["0b"]["value"], "0b");
        let body = &operation["requestBody"]["content"]["application/json"]["example"];
        assert_eq!((&body["nas"], &body["code"]), (&json!("1"), &json!("A")));
        assert!(electors("nas,code,law_id\n1,A,x\n").is_err());
        Ok(())
    }

    #[test]
    fn an_error_in_the_log_is_found() {
        assert!(is_error(r#"{"level":"ERROR","event":"x"}"#));
        assert!(!is_error(r#"{"level":"WARN","event":"x"}"#) && !is_error("ERROR"));
    }
}
