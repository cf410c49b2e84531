//! The demo of several authorities: the leader is killed during the poll, and the votes are decided
//! all the same.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use super::Args;
use super::ballots::{Elector, Expected, read_roll, vote_files};
use super::cluster::Cluster;
use super::steps::{CREATE, Demo, LAW, answered, counted, unexpected};
use crate::admin_target;
use crate::ballot_call::{self, Ballot, VoteAnswer};
use crate::client::Client;
use crate::context::Context;
use crate::error::CommandError;

/// Idempotency key of the vote that is cast while no authority leads.
const KEY: &str = "demo-idempotency-key-1";

/// Seconds that one call waits for the decision on that vote, and how long the demo does.
const CALL_SECONDS: u64 = 10;
const DECISION_TIMEOUT: Duration = Duration::from_secs(30);

/// Result of the demo.
#[derive(Serialize)]
struct Report {
    electors: u32,
    seconds: u64,
    authorities: usize,
    quorum: u64,
    killed_leader: &'static str,
    next_leader: &'static str,
    /// From the kill of the leader to the decision on a vote that was cast after it.
    failover_milliseconds: u64,
    outcomes: Vec<(&'static str, u64)>,
    results: Vec<(&'static str, u64)>,
    log_leaves: u64,
    fingerprint: String,
    files: Vec<(&'static str, PathBuf)>,
}

/// The change of the leader.
struct Failover {
    killed: usize,
    next: usize,
    took: Duration,
    request: String,
}

/// Runs `votekit demo --authorities`.
pub(super) fn run(args: &Args, count: usize, context: &Context) -> Result<(), CommandError> {
    let started = Instant::now();
    let mut demo = Demo::begin(args, context)?;
    demo.prepare_roll(args.electors())?;
    let mut cluster = Cluster::make(&mut demo, count)?;
    cluster.start(&mut demo)?;
    open_poll(&mut demo, &cluster)?;
    let electors = electors(&demo)?;
    let expected = vote(&mut demo, &cluster, &electors)?;
    let failover = kill_leader(&mut demo, &mut cluster, &electors[0])?;
    vote_again(&mut demo, &cluster)?;
    rejoin(&mut demo, &mut cluster, failover.killed)?;
    let certified = close(&mut demo, &cluster)?;
    demo.check_accounts(&certified, &expected)?;
    let fingerprint = verify(&mut demo, &cluster, &failover.request)?;
    let results = demo.json(&["results", "--node", cluster.public()?, "--json"])?;
    let report = Report {
        electors: args.electors(),
        authorities: count,
        quorum: cluster.quorum,
        killed_leader: cluster.name(failover.killed),
        next_leader: cluster.name(failover.next),
        failover_milliseconds: u64::try_from(failover.took.as_millis()).unwrap_or(u64::MAX),
        outcomes: vec![
            ("accepted", expected.accepted),
            ("duplicate", expected.duplicate),
            ("unknown", expected.unknown),
            ("refused", expected.refused),
        ],
        results: counted(&results, &expected)?.to_vec(),
        log_leaves: demo.log_leaves,
        fingerprint,
        files: [
            ("authorities and quorum", "authorities"),
            ("publication bundle", "bundle"),
            ("pinned policy", "policy"),
            ("a voter's receipt", "receipt.tlog-proof"),
        ]
        .map(|(what, name)| (what, PathBuf::from(demo.path(name))))
        .to_vec(),
        seconds: started.elapsed().as_secs(),
    };
    cluster.stop()?;
    context.output.result(&report)
}

fn open_poll(demo: &mut Demo<'_>, cluster: &Cluster) -> Result<(), CommandError> {
    demo.say("The leader admits the node that takes votes; each node loads the hashed roll itself");
    cluster.admit_ingest(demo)?;
    cluster.load_roll(demo)?;
    demo.say("Officials create the election and open the poll; a quorum signs each of these steps");
    cluster.by_leader(demo, &CREATE)?;
    cluster.by_leader(demo, &["election", "open", LAW, "--yes"])?;
    cluster.wait_for_state("open")
}

fn electors(demo: &Demo<'_>) -> Result<Vec<Elector>, CommandError> {
    let roll = demo.path("roll.csv");
    let text = fs::read_to_string(&roll)
        .map_err(|error| CommandError::reading(Path::new(&roll), &error))?;
    Ok(read_roll(&text))
}

/// Casts the first votes. Returns what is expected of all.
fn vote(
    demo: &mut Demo<'_>,
    cluster: &Cluster,
    electors: &[Elector],
) -> Result<Expected, CommandError> {
    demo.say("Electors vote: each authority decides every vote, and a quorum signs the log");
    let (first, second, mut expected) = vote_files(electors);
    // No code is revoked here, so the second elector's vote counts, as does that of the first,
    // which is cast after the leader is killed.
    expected.accepted += expected.revoked + 1;
    expected.oui += expected.revoked + 1;
    expected.revoked = 0;
    demo.write("votes.csv", &first)?;
    demo.write("votes-again.csv", &second)?;
    cast(demo, cluster, "votes.csv", "outcomes.csv")?;
    Ok(expected)
}

fn cast(
    demo: &Demo<'_>,
    cluster: &Cluster,
    votes: &str,
    outcomes: &str,
) -> Result<(), CommandError> {
    let (votes, outcomes) = (demo.path(votes), demo.path(outcomes));
    demo.votekit(&["cast", "--node", cluster.public()?, "--from", &votes, "-o", &outcomes])
}

/// Kills the leader, and casts a vote at once.
fn kill_leader(
    demo: &mut Demo<'_>,
    cluster: &mut Cluster,
    elector: &Elector,
) -> Result<Failover, CommandError> {
    demo.say("The leader is killed, and an elector votes at once");
    let leader = cluster.leader()?;
    let client = Client::new(cluster.public()?)?;
    let killed = cluster.kill(leader);
    demo.note(format!("{} is killed", cluster.name(leader)));
    let answer = admin_target::run(cast_until_decided(&client, elector))?;
    let took = killed.elapsed();
    if answer.status != "accepted" {
        return Err(unexpected(&format!("the vote after the kill is {}", answer.status)));
    }
    let next = cluster.leader()?;
    demo.note(format!(
        "{} leads now: the vote was decided {} ms after the kill",
        cluster.name(next),
        took.as_millis()
    ));
    Ok(Failover { killed: leader, next, took, request: answer.request_id })
}

/// Casts a vote, again with the same key while it is not decided.
async fn cast_until_decided(
    client: &Client,
    elector: &Elector,
) -> Result<VoteAnswer, CommandError> {
    let ballot =
        Ballot { nas: &elector.nas, code: &elector.code, law_id: &elector.law_id, vote: "oui" };
    let until = Instant::now() + DECISION_TIMEOUT;
    loop {
        let answer = answered(ballot_call::cast(client, &ballot, KEY, CALL_SECONDS).await?)?;
        if answer.status != "pending" || Instant::now() >= until {
            return Ok(answer);
        }
    }
}

fn vote_again(demo: &mut Demo<'_>, cluster: &Cluster) -> Result<(), CommandError> {
    demo.say("The votes that must not count are cast while that authority is down");
    cast(demo, cluster, "votes-again.csv", "outcomes-again.csv")
}

fn rejoin(demo: &mut Demo<'_>, cluster: &mut Cluster, place: usize) -> Result<(), CommandError> {
    demo.say("The killed authority starts again, with its keys and its memory");
    cluster.start_authority(demo, place)?;
    cluster.wait_for_log(place)?;
    demo.note(format!("{} has checked the log, and has what the others have", cluster.name(place)));
    Ok(())
}

fn close(demo: &mut Demo<'_>, cluster: &Cluster) -> Result<Value, CommandError> {
    demo.say("Officials close the poll: every authority makes the accounts and the totals itself");
    cluster.by_leader(demo, &["election", "close", LAW, "--yes"])?;
    let certified = cluster.by_leader(demo, &["election", "certify", LAW, "--yes"])?;
    cluster.wait_for_state("certified")?;
    Ok(certified)
}

/// Exports the bundle, and verifies it and the receipt of a vote with the pinned policy. Returns
/// the fingerprint of the policy.
fn verify(demo: &mut Demo<'_>, cluster: &Cluster, request: &str) -> Result<String, CommandError> {
    let public = cluster.public()?;
    let fingerprint = demo.publish(public)?;
    let client = Client::new(public)?;
    let path = format!("/api/v1/vote/{request}/receipt");
    let receipt = admin_target::run(client.send(Method::GET, &path, &[], None))?;
    if receipt.status != 200 {
        return Err(receipt.refusal());
    }
    let receipt_path = demo.path("receipt.tlog-proof");
    fs::write(&receipt_path, receipt.body)
        .map_err(|error| CommandError::writing(Path::new(&receipt_path), &error))?;
    demo.say(
        "Anyone verifies that a quorum has signed, with the policy that was pinned beforehand",
    );
    let (bundle, policy, hashes) = (demo.path("bundle"), demo.path("policy"), demo.path("hashes"));
    demo.votekit(&["verify", "bundle", &bundle, "--policy", &policy, "--shards", &hashes])?;
    let receipt = ["verify", "receipt", &receipt_path, "--policy", &policy, "--bundle", &bundle];
    demo.votekit(&receipt)?;
    Ok(fingerprint)
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "\nA referendum of {} electors, decided by {} authorities with a quorum of {}, in {} s",
            self.electors, self.authorities, self.quorum, self.seconds
        )?;
        writeln!(formatter, "\nThe leader was killed")?;
        writeln!(formatter, "  before  {}", self.killed_leader)?;
        writeln!(formatter, "  after   {}", self.next_leader)?;
        let milliseconds = self.failover_milliseconds;
        writeln!(formatter, "  {milliseconds} ms until the first vote was decided")?;
        for (title, counts) in
            [("Outcomes of the votes", &self.outcomes), ("The result", &self.results)]
        {
            writeln!(formatter, "\n{title}")?;
            for (name, count) in counts {
                writeln!(formatter, "  {count:>7} {name}")?;
            }
        }
        writeln!(formatter, "\nVerified: bundle and receipt, against the pinned policy")?;
        writeln!(formatter, "  {} leaves in the public log", self.log_leaves)?;
        writeln!(formatter, "  policy fingerprint {}", self.fingerprint)?;
        writeln!(formatter, "\nFiles")?;
        for (what, path) in &self.files {
            writeln!(formatter, "  {what:<22} {}", path.display())?;
        }
        Ok(())
    }
}
