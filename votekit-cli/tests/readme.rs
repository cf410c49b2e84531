//! Runs the examples of the README and then those of docs/http-api.md, which continue them,
//! unchanged and in order, and compares their output with the answers shown. `sh node` starts a
//! node: the command shown, on free ports. `sh set` sets variables; they get the addresses of that
//! node.

#![cfg(feature = "node")]

mod support;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::Value;
use support::TestDir;
use support::examples::{Block, ExampleFolder, Examples, blocks, difference, document, fits};

const README: &str = "README.md";

/// Its examples use the folder, the node and the variables of the README's.
const HTTP_API: &str = "docs/http-api.md";

#[test]
fn every_example_of_the_readme_answers_as_shown() {
    let readme = document(README);
    let http_api = document(HTTP_API);
    let folder = ExampleFolder::new(TestDir::new());
    let mut examples = Examples::start(&folder);
    let mut node = None;
    for block in blocks(README, &readme).into_iter().chain(blocks(HTTP_API, &http_api)) {
        match block.info {
            "sh node" => node = Some(NodeProcess::start(&block, &folder)),
            "sh set" => {
                let node = node.as_ref();
                let node = node.expect("a node is started before its addresses are set");
                examples.evaluate(&node.variables(&block));
            }
            _ => examples.follow(&block),
        }
    }
    examples.assert_counts(20, 15);
    let node = node.expect("the README starts a node");
    let interface = examples.evaluate("curl -s $NODE/api/v1/openapi.json\n");
    every_call_is_listed(
        &http_api,
        &serde_json::from_str(&interface).expect("an OpenAPI document"),
    );
    node.stop();
}

/// The table of docs/http-api.md lists every call of the node's OpenAPI document.
fn every_call_is_listed(page: &str, interface: &Value) {
    let paths = interface["paths"].as_object().expect("paths");
    assert!(paths.len() > 10, "{} paths", paths.len());
    for (path, methods) in paths {
        for method in methods.as_object().expect("methods").keys() {
            let call = format!("`{} {path}`", method.to_uppercase());
            let shortened = format!("`…/{}`", path.rsplit('/').next().unwrap_or_default());
            assert!(
                page.contains(&call) || page.contains(&shortened),
                "{HTTP_API} does not list {call}"
            );
        }
    }
}

/// The node that the README starts, killed when dropped.
struct NodeProcess {
    child: Child,
    listening: Value,
    log: PathBuf,
}

impl NodeProcess {
    fn start(block: &Block<'_>, folder: &ExampleFolder) -> Self {
        let free =
            "--listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0 --json";
        let log = folder.test_file("node.log");
        let mut command = folder.command();
        command.args(["-c", &format!("exec {} {free}", block.text.trim())]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a writable folder"));
        let mut child = childguard::guard(&mut command).spawn().expect("a shell starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("the node prints text");
        let mut node = Self { child, listening: Value::Null, log };
        node.listening = serde_json::from_str(&line).unwrap_or_else(|_| {
            panic!("{}: the node did not start:\n{line}{}", block.place(), node.said())
        });
        node
    }

    /// The block's variables, set to this node's addresses.
    fn variables(&self, block: &Block<'_>) -> String {
        let set = block.variables().map(|name| {
            let address = match name {
                "NODE" => &self.listening["public"],
                "ADMIN" => &self.listening["admin"],
                "METRICS" => &self.listening["metrics"],
                _ => panic!("{}: {name} is not the address of a node", block.place()),
            };
            let address = address
                .as_str()
                .unwrap_or_else(|| panic!("the node tells no {name}: {}", self.listening));
            format!("{name}={}\n", address.trim_end_matches("/metrics"))
        });
        set.collect()
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Stops the node as an operator does, with SIGTERM. It must exit successfully and without an
    /// alarm.
    fn stop(mut self) {
        let id = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .expect("a process has an id");
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("the node runs");
        let ended = self.child.wait().expect("the node ends");
        assert!(ended.success(), "the node ended with {ended}:\n{}", self.said());
        assert!(
            !self.said().contains(r#""alarm":true"#),
            "the node raised an alarm:\n{}",
            self.said()
        );
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // A failed example must not leave a node behind; after a normal stop it is already gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn shown_output_is_matched_in_full() {
    assert!(fits("a…c…", "abbc\nd") && fits("…", "") && fits("a", "a"));
    assert!(!fits("a…c", "abcd") && !fits("a", "ab") && !fits("…x…y", "ay"));
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let differs = |shown: &str, found: &str| difference(&json(shown), &json(found), "it").is_some();
    assert!(!differs(r#"{"a":"…","b":[1,"x…"]}"#, r#"{"b":[1,"xyz"],"a":7}"#));
    assert!(!differs(r#"{"a":1,"…":"…"}"#, r#"{"a":1,"b":2}"#));
    assert!(differs(r#"{"a":1}"#, r#"{"a":1,"b":2}"#) && differs(r#"{"a":1,"b":2}"#, r#"{"a":1}"#));
    assert!(differs("[1]", "[1,2]") && differs("1", "2") && differs(r#""x…""#, r#""y""#));
}
