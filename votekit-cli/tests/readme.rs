//! Runs the README's examples unchanged, in order, and compares their output with the answers
//! shown.
//!
//! The words after a block's fence state its kind:
//!
//! | block | what happens |
//! | --- | --- |
//! | `sh run` | is run; one shell runs them all, so that variables persist |
//! | `sh node` | starts a node: the command shown, on free ports |
//! | `sh set` | sets variables; they get the addresses of that node |
//! | `text answer`, `json answer` | expected output of the block before; `…` matches anything |
//!
//! Any other block is not run.

#![cfg(feature = "node")]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

#[test]
fn every_example_of_the_readme_answers_as_shown() {
    let curl = Command::new("curl").arg("--version").output();
    assert!(
        curl.is_ok_and(|output| output.status.success()),
        "curl is not on this machine, and the README's examples are made with it: install the package 'curl'"
    );
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"))
        .expect("the README");
    let dir = TestDir::new();
    let mut shell = Shell::start(&dir);
    let mut node = None;
    let (mut printed, mut run, mut compared) = (String::new(), 0, 0);
    for block in blocks(&readme) {
        match block.info {
            "sh run" => {
                printed = shell.run(&block);
                run += 1;
            }
            "sh node" => node = Some(NodeProcess::start(&block, &dir)),
            "sh set" => {
                let text = node
                    .as_ref()
                    .expect("a node is started before its addresses are set")
                    .variables(&block);
                shell.run(&Block { text, ..block });
            }
            "text answer" => {
                assert!(
                    fits(block.text.trim(), printed.trim()),
                    "{} shows\n{}\nprinted:\n{printed}",
                    block.place(),
                    block.text
                );
                compared += 1;
            }
            "json answer" => {
                let read = |text: &str| -> Value {
                    serde_json::from_str(text)
                        .unwrap_or_else(|error| panic!("{}: {error} in\n{text}", block.place()))
                };
                if let Some(difference) =
                    difference(&read(&block.text), &read(&printed), "the answer")
                {
                    panic!("{}: {difference}\nprinted:\n{printed}", block.place());
                }
                compared += 1;
            }
            _ => {}
        }
    }
    assert!(
        run >= 20 && compared >= 15,
        "{run} blocks run, {compared} answers compared: has the README lost its marks?"
    );
    let node = node.expect("the README starts a node");
    let document = shell.run(&Block {
        info: "sh run",
        line: 0,
        text: "curl -s $NODE/api/v1/openapi.json\n".to_owned(),
    });
    every_call_is_listed(&readme, &serde_json::from_str(&document).expect("an OpenAPI document"));
    node.stop();
}

/// The README's table lists every call of the node's OpenAPI document.
fn every_call_is_listed(readme: &str, interface: &Value) {
    let paths = interface["paths"].as_object().expect("paths");
    assert!(paths.len() > 10, "{} paths", paths.len());
    for (path, methods) in paths {
        for method in methods.as_object().expect("methods").keys() {
            let call = format!("`{} {path}`", method.to_uppercase());
            let shortened = format!("`…/{}`", path.rsplit('/').next().unwrap_or_default());
            assert!(
                readme.contains(&call) || readme.contains(&shortened),
                "the README does not list {call}"
            );
        }
    }
}

/// A fenced block of the README.
struct Block<'a> {
    info: &'a str,
    /// Line of its fence, from 1.
    line: usize,
    text: String,
}

impl Block<'_> {
    fn place(&self) -> String {
        format!("README.md, line {}", self.line)
    }
}

fn blocks(readme: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for (index, line) in readme.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some(Block { info, line: index + 1, text: String::new() }),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "the README's last block is not closed");
    blocks
}

/// Whether a text matches the one shown, where `…` stands for anything, including line breaks.
fn fits(shown: &str, found: &str) -> bool {
    let mut pieces = shown.split('…');
    let Some(mut rest) = pieces.next().and_then(|first| found.strip_prefix(first)) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

/// Returns the first difference between a JSON value shown and the one found. Text is matched by
/// [`fits`], the text `…` matches any value, and a member named `…` allows further members.
fn difference(shown: &Value, found: &Value, place: &str) -> Option<String> {
    match (shown, found) {
        (Value::String(shown), _) if shown == "…" => None,
        (Value::String(shown), Value::String(found)) if fits(shown, found) => None,
        (Value::Array(shown), Value::Array(found)) if shown.len() == found.len() => {
            let pairs = shown.iter().zip(found).enumerate();
            pairs.into_iter().find_map(|(index, (shown, found))| {
                difference(shown, found, &format!("{place}[{index}]"))
            })
        }
        (Value::Object(shown), Value::Object(found)) => {
            let unshown =
                found.keys().find(|key| !shown.contains_key(*key) && !shown.contains_key("…"));
            if let Some(key) = unshown {
                return Some(format!("{place}.{key} is not shown"));
            }
            shown.iter().filter(|(key, _)| *key != "…").find_map(|(key, value)| {
                let place = format!("{place}.{key}");
                found.get(key).map_or_else(
                    || Some(format!("{place} is missing")),
                    |found| difference(value, found, &place),
                )
            })
        }
        _ if shown == found => None,
        _ => Some(format!("{place} is {found}, the README shows {shown}")),
    }
}

/// The folder of the examples, and a separate one for the test's own files.
struct TestDir {
    dir: TempDir,
    aside: TempDir,
}

impl TestDir {
    fn new() -> Self {
        let folder = || TempDir::new().expect("a temporary folder");
        let (dir, aside) = (folder(), folder());
        // curl reports errors, and no call can hang forever.
        fs::write(aside.path().join(".curlrc"), "show-error\nmax-time = 60\n")
            .expect("a writable folder");
        Self { dir, aside }
    }

    fn aside(&self, name: &str) -> PathBuf {
        self.aside.path().join(name)
    }

    /// A POSIX shell in the folder, with `votekit` on its path.
    fn command(&self) -> Command {
        let built =
            Path::new(env!("CARGO_BIN_EXE_votekit")).parent().expect("a binary lies in a folder");
        let mut path = OsString::from(built);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command.current_dir(self.dir.path()).env("PATH", path).env("CURL_HOME", self.aside.path());
        // The node is local: no proxy of this machine applies.
        command.env("NO_PROXY", "*").env("no_proxy", "*");
        command
    }
}

/// One shell for all examples.
struct Shell<'a> {
    dir: &'a TestDir,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// Marks the end of a block's output.
const MARK: &str = "--- end of the block ---";

impl<'a> Shell<'a> {
    fn start(dir: &'a TestDir) -> Self {
        let stderr = File::create(dir.aside("stderr")).expect("a writable folder");
        let mut command = dir.command();
        command.arg("-eu").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = childguard::guard(&mut command).spawn().expect("a shell starts");
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self { dir, child, stdin, stdout }
    }

    /// Runs a block to its end and returns its standard output. A failing command fails the test.
    fn run(&mut self, block: &Block<'_>) -> String {
        let script = self.dir.aside("block.sh");
        fs::write(&script, &block.text).expect("a writable folder");
        // Read from a file, so that no command in it consumes the shell's own input.
        writeln!(
            self.stdin,
            "{{ . '{}'; }} </dev/null\nprintf '\\n%s\\n' '{MARK}'",
            script.display()
        )
        .expect("the shell reads on");
        let mut printed = String::new();
        loop {
            let before = printed.len();
            let read = self.stdout.read_line(&mut printed).expect("the examples print text");
            if printed[before..].trim_end() == MARK {
                printed.truncate(before);
                return printed.strip_suffix('\n').unwrap_or(&printed).to_owned();
            }
            if read == 0 {
                let said = fs::read_to_string(self.dir.aside("stderr")).unwrap_or_default();
                panic!(
                    "{} failed:\n{}\nprinted:\n{printed}\nsaid:\n{said}",
                    block.place(),
                    block.text
                );
            }
        }
    }
}

impl Drop for Shell<'_> {
    fn drop(&mut self) {
        // An error is ignored: the shell has then ended already, as wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The node that the README starts, killed when dropped.
struct NodeProcess {
    child: Child,
    listening: Value,
    log: PathBuf,
}

impl NodeProcess {
    fn start(block: &Block<'_>, dir: &TestDir) -> Self {
        let free =
            "--listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0 --json";
        let log = dir.aside("node.log");
        let mut command = dir.command();
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
        let set = block.text.lines().map(|line| {
            let (name, _) = line
                .split_once('=')
                .unwrap_or_else(|| panic!("{}: '{line}' sets nothing", block.place()));
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
fn what_is_shown_is_matched_in_full() {
    assert!(fits("a…c…", "abbc\nd") && fits("…", "") && fits("a", "a"));
    assert!(!fits("a…c", "abcd") && !fits("a", "ab") && !fits("…x…y", "ay"));
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let differs = |shown: &str, found: &str| difference(&json(shown), &json(found), "it").is_some();
    assert!(!differs(r#"{"a":"…","b":[1,"x…"]}"#, r#"{"b":[1,"xyz"],"a":7}"#));
    assert!(!differs(r#"{"a":1,"…":"…"}"#, r#"{"a":1,"b":2}"#));
    assert!(differs(r#"{"a":1}"#, r#"{"a":1,"b":2}"#) && differs(r#"{"a":1,"b":2}"#, r#"{"a":1}"#));
    assert!(differs("[1]", "[1,2]") && differs("1", "2") && differs(r#""x…""#, r#""y""#));
}
