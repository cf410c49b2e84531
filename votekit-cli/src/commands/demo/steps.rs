//! The steps of the demo. Each runs votekit itself, with the command that it shows.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use super::Args;
use super::ballots::{Expected, answered, read_roll, vote_files};
use super::node_process::NodeProcess;
use crate::admin_target;
use crate::atomic_output::refuse_occupied;
use crate::ballot_call::{self, Ballot};
use crate::client::Client;
use crate::context::Context;
use crate::error::CommandError;

pub(super) const LAW: &str = "L2025-001";

/// The command that creates the election, without the policy of its results.
pub(super) const CREATE: [&str; 8] = [
    "election",
    "create",
    LAW,
    "--title-fr",
    "Loi sur l’eau",
    "--title-en",
    "Water Act",
    "--blank",
];

/// Result of the demo.
#[derive(Serialize)]
struct Report {
    electors: u32,
    seconds: u64,
    outcomes: Vec<(&'static str, u64, String)>,
    results: Vec<(&'static str, u64)>,
    turnout: String,
    log_leaves: u64,
    fingerprint: String,
    files: Vec<(&'static str, PathBuf)>,
    node: Option<String>,
}

/// State of the running demo.
pub(super) struct Demo<'a> {
    context: &'a Context,
    dir: PathBuf,
    program: PathBuf,
    /// Environment variables of the commands: addresses of the services. Empty for the embedded
    /// engine.
    services: Vec<(&'static str, String)>,
    step: u32,
    pub(super) log_leaves: u64,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let started = Instant::now();
    let mut demo = Demo::begin(args, context)?;
    demo.prepare_roll(args.electors())?;
    demo.revoke_code()?;
    // With services, a node must run before anything can be loaded into it; with a data folder,
    // loading comes first.
    let node = if demo.services.is_empty() {
        demo.prepare_election(None)?;
        demo.serve()?
    } else {
        let node = demo.serve()?;
        demo.prepare_election(Some(&node))?;
        node
    };
    demo.pin_policy(&node)?;
    let (expected, receipt_of) = demo.vote(&node)?;
    let closed = demo.close(&node)?;
    demo.check_accounts(&closed, &expected)?;
    let fingerprint = demo.publish(&node.public)?;
    demo.verify(&fingerprint)?;
    let results = demo.json(&["results", "--data", &demo.path("node"), "--json"])?;
    let report = demo.report(args, &expected, &results, fingerprint, &node, started)?;
    let say = || {
        context.output.result(&report)?;
        context.output.note(format!("(the receipt is of request {receipt_of})"));
        Ok::<_, CommandError>(())
    };
    if !args.keep {
        say()?;
        return node.stop();
    }
    node.keep(context, say)
}

impl<'a> Demo<'a> {
    /// Starts in a new folder.
    pub(super) fn begin(args: &Args, context: &'a Context) -> Result<Self, CommandError> {
        refuse_occupied(&args.dir)?;
        fs::create_dir_all(&args.dir).map_err(|error| CommandError::writing(&args.dir, &error))?;
        let program =
            std::env::current_exe().map_err(|error| CommandError::internal(error.to_string()))?;
        Ok(Self {
            context,
            dir: args.dir.clone(),
            program,
            services: args.services()?,
            step: 0,
            log_leaves: 0,
        })
    }

    /// Whether the node runs on services.
    pub(super) fn has_services(&self) -> bool {
        !self.services.is_empty()
    }

    /// The addresses of the services, as environment variables.
    #[cfg(feature = "services")]
    pub(super) fn services(&self) -> &[(&'static str, String)] {
        &self.services
    }

    pub(super) fn prepare_roll(&mut self, electors: u32) -> Result<(), CommandError> {
        self.say("An electoral roll (a sample: no NAS in it was ever issued)");
        let electors = electors.to_string();
        self.votekit(&[
            "roll",
            "sample",
            "--electors",
            &electors,
            "--law",
            LAW,
            "--seed",
            "1",
            "-o",
            &self.path("roll.csv"),
        ])?;
        self.say("Offline, officials make a secret pepper and hash the roll under it");
        self.votekit(&["pepper", "generate", "-o", &self.path("referendum.pepper")])?;
        let (roll, pepper, hashes) =
            (self.path("roll.csv"), self.path("referendum.pepper"), self.path("hashes"));
        self.votekit(&["hashgen", &roll, "--out", &hashes, "--pepper-file", &pepper])
    }

    fn revoke_code(&mut self) -> Result<(), CommandError> {
        let (roll, pepper, hashes) =
            (self.path("roll.csv"), self.path("referendum.pepper"), self.path("hashes"));
        self.say("A letter was lost: its code is revoked and not replaced, in a supplement");
        let text = fs::read_to_string(&roll)
            .map_err(|error| CommandError::reading(Path::new(&roll), &error))?;
        let lost: Vec<&str> = text.lines().take(1).chain(text.lines().skip(2).take(1)).collect();
        self.write("lost.csv", &(lost.join("\n") + "\n"))?;
        let manifest = format!("{hashes}/manifest.json");
        let (lost, supplement) = (self.path("lost.csv"), self.path("supplement"));
        self.votekit(&[
            "hashgen",
            "--supplement-of",
            &manifest,
            "--roll",
            &roll,
            "--revoke",
            &lost,
            "--out",
            &supplement,
            "--pepper-file",
            &pepper,
        ])
    }

    fn prepare_election(&mut self, running: Option<&NodeProcess>) -> Result<(), CommandError> {
        self.say("Operators load the hashes into a node; officials create the election and open the poll");
        let (node, pepper) = (self.path("node"), self.path("referendum.pepper"));
        let mut admin = vec!["--data", &node];
        if let Some(running) = running {
            admin.extend(["--node", &running.admin]);
        }
        self.votekit(
            &[&["load", &self.path("hashes"), "--pepper-file", &pepper], &admin[..]].concat(),
        )?;
        self.votekit(&[&["load", &self.path("supplement")], &admin[..]].concat())?;
        self.votekit(&[&CREATE[..], &["--results", "after_close"], &admin[..]].concat())?;
        self.votekit(&[&["election", "open", LAW, "--yes"], &admin[..]].concat())
    }

    pub(super) fn serve(&mut self) -> Result<NodeProcess, CommandError> {
        self.say("A node serves");
        let node = self.path("node");
        let arguments = [
            "serve",
            "--data",
            &node,
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
            "--rate-limit",
            "0",
            "--json",
            "--init",
        ];
        let arguments = &arguments[..arguments.len() - usize::from(self.services.is_empty())];
        self.start_node(arguments, "node.log", &[])
    }

    /// Starts a node in a separate process, and waits until it listens. `environment` replaces
    /// variables that name the services.
    pub(super) fn start_node(
        &self,
        arguments: &[&str],
        log: &str,
        environment: &[(&'static str, String)],
    ) -> Result<NodeProcess, CommandError> {
        self.show(arguments);
        let log = self.dir.join(log);
        // A node that is started again continues its log.
        let log_file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(|error| CommandError::writing(&log, &error))?;
        let mut child = self
            .command(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .map_err(|error| {
                CommandError::configuration(format!("cannot start the node: {error}"))
            })?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            // A line that cannot be read or parsed is reported below.
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let listening: Value = serde_json::from_str(&line).unwrap_or_default();
        match (listening["public"].as_str(), listening["admin"].as_str()) {
            (Some(public), Some(admin)) => {
                let (public, admin) = (public.to_owned(), admin.to_owned());
                self.context.output.note(format!("    the node answers at {public}"));
                Ok(NodeProcess::new(child, public, admin))
            }
            _ => {
                drop(NodeProcess::new(child, String::new(), String::new()));
                let printed = fs::read_to_string(&log).unwrap_or_default();
                Err(CommandError::configuration(format!(
                    "the node did not start: {}",
                    printed.trim_end()
                )))
            }
        }
    }

    /// Saves the policy (signers and quorum) before the first vote, for the later verification.
    fn pin_policy(&self, node: &NodeProcess) -> Result<(), CommandError> {
        let client = Client::new(&node.public)?;
        let policy =
            admin_target::run(client.send(Method::GET, &format!("/log/{LAW}/policy"), &[], None))?;
        let pinned = self.dir.join("policy");
        fs::write(&pinned, policy.body).map_err(|error| CommandError::writing(&pinned, &error))?;
        self.context.output.note(format!("    its policy is pinned in {}", pinned.display()));
        Ok(())
    }

    fn vote(&mut self, node: &NodeProcess) -> Result<(Expected, String), CommandError> {
        self.say("Electors vote: each once, then some of every kind that must not count");
        let roll = self.path("roll.csv");
        let text = fs::read_to_string(&roll)
            .map_err(|error| CommandError::reading(Path::new(&roll), &error))?;
        let electors = read_roll(&text);
        let (first, second, mut expected) = vote_files(&electors);
        self.write("votes.csv", &first)?;
        self.write("votes-again.csv", &second)?;
        for (votes, outcomes) in
            [("votes.csv", "outcomes.csv"), ("votes-again.csv", "outcomes-again.csv")]
        {
            let (votes, outcomes) = (self.path(votes), self.path(outcomes));
            self.votekit(&["cast", "--node", &node.public, "--from", &votes, "-o", &outcomes])?;
        }
        self.say("One elector's connection breaks; the vote is sent again with the same key, and is the same request");
        let elector = &electors[0];
        let ballot =
            Ballot { nas: &elector.nas, code: &elector.code, law_id: &elector.law_id, vote: "oui" };
        let client = Client::new(&node.public)?;
        let (once, again, receipt) = admin_target::run(async {
            let once =
                answered(ballot_call::cast(&client, &ballot, "demo-idempotency-key-1", 10).await?)?;
            let again =
                answered(ballot_call::cast(&client, &ballot, "demo-idempotency-key-1", 10).await?)?;
            let path = format!("/api/v1/vote/{}/receipt", once.request_id);
            let receipt = client.send(Method::GET, &path, &[], None).await?;
            Ok((once, again, receipt))
        })?;
        if once.request_id != again.request_id
            || once.status != "accepted"
            || again.status != "accepted"
        {
            return Err(unexpected(&format!(
                "a repeated request is {} and then {}",
                once.status, again.status
            )));
        }
        expected.accepted += 1;
        expected.oui += 1;
        if receipt.status != 200 {
            return Err(receipt.refusal());
        }
        let path = self.dir.join("receipt.tlog-proof");
        fs::write(&path, receipt.body).map_err(|error| CommandError::writing(&path, &error))?;
        self.context
            .output
            .note(format!("    twice request {}: accepted, counted once", once.request_id));
        Ok((expected, once.request_id))
    }

    fn close(&mut self, node: &NodeProcess) -> Result<Value, CommandError> {
        self.say("Officials close the poll: every vote received is decided, the accounts are reconciled, the totals opened");
        let data = self.path("node");
        let admin = ["--yes", "--node", &node.admin, "--data", &data, "--json"];
        self.json(&[&["election", "close", LAW][..], &admin].concat())?;
        let certified = self.json(&[&["election", "certify", LAW][..], &admin].concat())?;
        self.say("The stored votes are decrypted and counted again, by code that shares nothing with the tally");
        self.votekit(&["recount", "--data", &data])?;
        Ok(certified)
    }

    pub(super) fn check_accounts(
        &self,
        closed: &Value,
        expected: &Expected,
    ) -> Result<(), CommandError> {
        let invalid = expected.unknown + expected.revoked;
        for (what, wanted) in [
            ("accepted", expected.accepted),
            ("duplicate", expected.duplicate),
            ("invalid", invalid),
        ] {
            let found = closed[what].as_u64();
            if found != Some(wanted) {
                return Err(unexpected(&format!(
                    "{wanted} votes should be {what}, the node reports {found:?}"
                )));
            }
        }
        Ok(())
    }

    pub(super) fn publish(&mut self, public: &str) -> Result<String, CommandError> {
        self.say("The publication bundle is made from the public log");
        let written =
            self.json(&["export", "bundle", &self.path("bundle"), "--node", public, "--json"])?;
        self.log_leaves = written["leaves"].as_u64().unwrap_or_default();
        Ok(written["policy_fingerprint"].as_str().unwrap_or_default().to_owned())
    }

    fn verify(&mut self, fingerprint: &str) -> Result<(), CommandError> {
        self.say("Anyone checks the bundle and a receipt offline, against the policy that was pinned beforehand");
        let (bundle, policy, hashes) =
            (self.path("bundle"), self.path("policy"), self.path("hashes"));
        let supplement = self.path("supplement");
        self.votekit(&[
            "verify",
            "bundle",
            &bundle,
            "--policy",
            &policy,
            "--shards",
            &hashes,
            "--shards",
            &supplement,
        ])?;
        let receipt = self.path("receipt.tlog-proof");
        self.votekit(&[
            "verify",
            "receipt",
            &receipt,
            "--fingerprint",
            fingerprint,
            "--bundle",
            &bundle,
        ])
    }

    fn report(
        &self,
        args: &Args,
        expected: &Expected,
        results: &Value,
        fingerprint: String,
        node: &NodeProcess,
        started: Instant,
    ) -> Result<Report, CommandError> {
        let counted = counted(results, expected)?;
        let outcome = |name, count, meaning: &str| (name, count, meaning.to_owned());
        Ok(Report {
            electors: args.electors(),
            seconds: started.elapsed().as_secs(),
            outcomes: vec![
                outcome("accepted", expected.accepted, "counted, each credential once"),
                outcome(
                    "duplicate",
                    expected.duplicate,
                    "the credential had voted: recorded, not counted",
                ),
                outcome("unknown", expected.unknown, "no such credential: recorded as invalid"),
                outcome("revoked", expected.revoked, "the code was revoked: recorded as invalid"),
                outcome(
                    "refused",
                    expected.refused,
                    "the ballot has no such choice: refused at once, nothing stored",
                ),
                outcome("repeated", 1, "sent twice with one key: one request, counted once"),
            ],
            results: counted.to_vec(),
            turnout: results["turnout"].as_str().unwrap_or_default().to_owned(),
            log_leaves: self.log_leaves,
            fingerprint,
            files: [
                ("roll", "roll.csv"),
                ("hashed roll", "hashes"),
                ("node's data", "node"),
                ("node's log lines", "node.log"),
                ("outcome of each vote", "outcomes.csv"),
                ("publication bundle", "bundle"),
                ("pinned policy", "policy"),
                ("a voter's receipt", "receipt.tlog-proof"),
            ]
            .map(|(what, name)| (what, self.dir.join(name)))
            .to_vec(),
            node: args.keep.then(|| node.public.clone()),
        })
    }

    pub(super) fn say(&mut self, what: &str) {
        self.step += 1;
        self.context.output.note(format!("\n{:>2}. {what}", self.step));
    }

    /// Prints a line below a step.
    pub(super) fn note(&self, text: impl fmt::Display) {
        self.context.output.note(format!("    {text}"));
    }

    fn show(&self, arguments: &[&str]) {
        let words: Vec<String> = arguments.iter().map(|argument| quoted(argument)).collect();
        self.context.output.note(format!("    $ votekit {}", words.join(" ")));
    }

    /// Runs votekit and shows its output.
    pub(super) fn votekit(&self, arguments: &[&str]) -> Result<(), CommandError> {
        self.show(arguments);
        let printed = self.output(arguments)?;
        for line in printed.lines().filter(|line| !line.is_empty()) {
            self.context.output.note(format!("      {line}"));
        }
        Ok(())
    }

    /// Runs votekit and parses the JSON it prints.
    pub(super) fn json(&self, arguments: &[&str]) -> Result<Value, CommandError> {
        self.show(arguments);
        let printed = self.output(arguments)?;
        serde_json::from_str(&printed).map_err(|error| {
            CommandError::internal(format!("`votekit {}`: {error}", arguments.join(" ")))
        })
    }

    /// Builds a votekit command whose environment names the services of this demo and no others.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        for name in [
            "VOTEKIT_REGISTRY",
            "VOTEKIT_BALLOT_BOX",
            "VOTEKIT_LEDGER",
            "VOTEKIT_NAME",
            "VOTEKIT_ROLES",
        ] {
            command.env_remove(name);
        }
        command.envs(self.services.iter().map(|(name, value)| (name, value)));
        command
    }

    fn output(&self, arguments: &[&str]) -> Result<String, CommandError> {
        let output = self.command(arguments).stdin(Stdio::null()).output().map_err(|error| {
            CommandError::configuration(format!("cannot start votekit: {error}"))
        })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let printed = String::from_utf8_lossy(&output.stderr);
        Err(CommandError::internal(format!(
            "`votekit {}` failed:\n{}",
            arguments.join(" "),
            printed.trim_end()
        )))
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.dir.join(name).to_string_lossy().into_owned()
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), CommandError> {
        let path = self.dir.join(name);
        fs::write(&path, text).map_err(|error| CommandError::writing(&path, &error))
    }
}

/// The counts by choice in the results, which must equal the expected counts.
pub(super) fn counted(
    results: &Value,
    expected: &Expected,
) -> Result<[(&'static str, u64); 3], CommandError> {
    let count = |choice: &str| {
        let choices = results["choices"].as_array().into_iter().flatten();
        choices
            .filter(|row| row["id"] == choice)
            .find_map(|row| row["count"].as_u64())
            .unwrap_or_default()
    };
    let counted = [("oui", count("oui")), ("non", count("non")), ("blanc", count("blanc"))];
    if counted != [("oui", expected.oui), ("non", expected.non), ("blanc", expected.blanc)] {
        return Err(unexpected(&format!("the results are {counted:?}")));
    }
    Ok(counted)
}

pub(super) fn unexpected(what: &str) -> CommandError {
    CommandError::internal(format!("unexpected result of the demo: {what}"))
}

fn quoted(argument: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@".contains(&byte);
    if !argument.is_empty()
        && OsStr::new(argument).as_encoded_bytes().iter().all(|byte| plain(*byte))
    {
        argument.to_owned()
    } else {
        format!("'{argument}'")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "\nA referendum of {} electors, held and verified in {} s",
            self.electors, self.seconds
        )?;
        writeln!(formatter, "\nOutcomes of the votes")?;
        for (name, count, meaning) in &self.outcomes {
            writeln!(formatter, "  {count:>7} {name:<10} {meaning}")?;
        }
        writeln!(formatter, "\nThe result (turnout {} %)", self.turnout)?;
        for (choice, count) in &self.results {
            writeln!(formatter, "  {count:>7} {choice}")?;
        }
        writeln!(formatter, "\nVerified: bundle and receipt, against the pinned policy")?;
        writeln!(formatter, "  {} leaves in the public log", self.log_leaves)?;
        writeln!(formatter, "  policy fingerprint {}", self.fingerprint)?;
        writeln!(formatter, "\nFiles")?;
        for (what, path) in &self.files {
            writeln!(formatter, "  {what:<21} {}", path.display())?;
        }
        if let Some(node) = &self.node {
            writeln!(formatter, "\nThe node answers at {node}")?;
        }
        Ok(())
    }
}
