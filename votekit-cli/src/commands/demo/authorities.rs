//! The demo of several authorities: during the poll the leader is killed, a false count is
//! proposed, and the network of an authority is cut. The votes are decided all the same.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use super::Args;
use super::ballots::{Elector, Expected, cast_until_decided, read_roll, vote_files};
use super::cluster::Cluster;
use super::false_count::{self, FalseCount};
use super::steps::{CREATE, Demo, LAW, counted, unexpected};
use crate::admin_target;
use crate::ballot_call;
use crate::client::Client;
use crate::context::Context;
use crate::error::CommandError;

/// Idempotency key of the vote that is cast while no authority leads.
const KEY: &str = "demo-idempotency-key-1";

/// The electors that vote during a failure, by their indices in the roll: see `vote_files`.
const AFTER_KILL: usize = 0;
const WITH_FALSE_COUNT: usize = 9;
const WITH_CUT_NETWORK: usize = 19;

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
    false_count: FalseCount,
    /// The authority whose network was cut; null where the services use TLS or other machines.
    network_cut: Option<&'static str>,
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
    let failover = kill_leader(&mut demo, &mut cluster, &electors[AFTER_KILL])?;
    vote_again(&mut demo, &cluster)?;
    let elector = &electors[WITH_FALSE_COUNT];
    let false_count = false_count::propose(&mut demo, &cluster, failover.killed, elector)?;
    rejoin(&mut demo, &mut cluster, failover.killed)?;
    let elector = &electors[WITH_CUT_NETWORK];
    let network_cut = cut_network(&mut demo, &cluster, failover.killed, elector)?;
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
        false_count,
        network_cut,
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
    cluster.by_leader(demo, &[&CREATE[..], &["--results", "after_close"]].concat())?;
    cluster.by_leader(demo, &["election", "open", LAW, "--yes"])?;
    cluster.wait_for_state("open")
}

fn electors(demo: &Demo<'_>) -> Result<Vec<Elector>, CommandError> {
    let roll = demo.path("roll.csv");
    let text = fs::read_to_string(&roll)
        .map_err(|error| CommandError::reading(Path::new(&roll), &error))?;
    Ok(read_roll(&text))
}

/// Casts the first votes. Returns the expected outcomes of all votes.
fn vote(
    demo: &mut Demo<'_>,
    cluster: &Cluster,
    electors: &[Elector],
) -> Result<Expected, CommandError> {
    demo.say("Electors vote: each authority decides every vote, and a quorum signs the log");
    let (first, second, mut expected) = vote_files(electors);
    // No code is revoked here, so the second elector's vote counts, as do those that are cast while
    // something is wrong.
    let others = expected.revoked + [AFTER_KILL, WITH_FALSE_COUNT, WITH_CUT_NETWORK].len() as u64;
    expected.accepted += others;
    expected.oui += others;
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
    let answer = admin_target::run(cast_until_decided(&client, elector, KEY))?;
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

fn vote_again(demo: &mut Demo<'_>, cluster: &Cluster) -> Result<(), CommandError> {
    demo.say("The votes that must not count are cast while that authority is down");
    cast(demo, cluster, "votes-again.csv", "outcomes-again.csv")
}

fn rejoin(demo: &mut Demo<'_>, cluster: &mut Cluster, index: usize) -> Result<(), CommandError> {
    demo.say("The killed authority starts again, with its keys and its memory");
    cluster.start_authority(demo, index)?;
    cluster.wait_for_log(index)?;
    demo.note(format!("{} has checked the log, and has what the others have", cluster.name(index)));
    Ok(())
}

/// Cuts the network of an authority that neither leads nor has lied, while an elector votes: the
/// others are a quorum. Returns its name.
fn cut_network(
    demo: &mut Demo<'_>,
    cluster: &Cluster,
    liar: usize,
    elector: &Elector,
) -> Result<Option<&'static str>, CommandError> {
    demo.say("The network of another authority is cut, and an elector votes");
    let Some(index) = cluster.other_than(&[liar, cluster.leader()?]) else {
        demo.note("left out: the services are on other machines, or use TLS");
        let (client, key) = (Client::new(cluster.public()?)?, ballot_call::fresh_key()?);
        admin_target::run(cast_until_decided(&client, elector, &key))?;
        return Ok(None);
    };
    let name = cluster.name(index);
    cluster.wire(index).cut();
    let (client, key) = (Client::new(cluster.public()?)?, ballot_call::fresh_key()?);
    let (answer, has_log) = admin_target::run(async {
        let answer = cast_until_decided(&client, elector, &key).await?;
        Ok((answer, cluster.has_log(index).await?))
    })?;
    if answer.status != "accepted" || has_log {
        let status = answer.status;
        return Err(unexpected(&format!(
            "with {name} cut off, its log: {has_log}, vote: {status}"
        )));
    }
    demo.note(format!("{name} is cut off: the others decide the vote without it"));
    cluster.wire(index).restore();
    cluster.wait_for_log(index)?;
    demo.note(format!("the network is restored: {name} has checked what it missed"));
    Ok(Some(name))
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
        writeln!(formatter, "\nA false count was proposed by {}", self.false_count.proposed_by())?;
        writeln!(formatter, "  {}", self.false_count)?;
        if let Some(name) = self.network_cut {
            writeln!(formatter, "\nThe network of {name} was cut, and restored")?;
        }
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
