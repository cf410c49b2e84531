//! An ingest node that no official has admitted: it takes no votes, and a batch under such a key is
//! not sealed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::table::Row;
use crate::chaos::LAW;
use crate::chaos::alarms::{Report, read_from};
use crate::chaos::authorities::{Cluster, member};
use crate::chaos::member::{Member, Part};
use crate::chaos::node::post;

/// The name of the node.
const NAME: &str = "rogue-1";

/// The number of the node: it selects addresses that no other node has.
const NUMBER: u64 = 99;

/// How long votes are sent to the node.
const ATTEMPTS: Duration = Duration::from_secs(3);

/// How long the liar waits whether its batch is sealed, in seconds.
const ANSWER_SECONDS: u64 = 5;

/// Plays both: the node, and the batch.
pub(super) fn play(cluster: &mut Cluster, case: &'static str) -> Result<Row> {
    let reason = refused_vote(cluster)?;
    let marks = cluster.fleet.mark();
    let (begun, before) = (Instant::now(), cluster.fleet.log_size());
    let authorities = cluster.fleet.members_of(Part::Authority);
    let index = *authorities.first().context("there are authorities")?;
    let ended = cluster.lie_beside(index, "rogue-batch", ANSWER_SECONDS)?;
    ensure!(ended.code == Some(0), "the batch: {}{}", ended.answers, ended.errors);
    let staged: serde_json::Value =
        serde_json::from_str(&ended.answers).context("reading the liar's report")?;
    let batch = staged["batch"].as_str().context("the liar reports no batch")?;
    // The leader chooses what is sealed: only the leader decides about a batch that no block has.
    let alarmed = cluster.fleet.expect_some(&marks, &authorities, Report::Alarms, |line| {
        line["event"] == "staged_batch_refused" && line["batch"] == batch
    })?;
    let decided_again = cluster.fleet.grows_from(before, begun)?;
    cluster.fleet.recovers(case)?;
    let names = alarmed.iter().map(|index| cluster.fleet.members[*index].name.clone());
    Ok(Row {
        case,
        refused_by: [NAME.to_owned()].into_iter().chain(names).collect(),
        leaf: None,
        rule: format!("not admitted ({reason})"),
        alarm: format!("staged_batch_refused, batch {batch}"),
        decided_again: Some(decided_again),
        failure: None,
    })
}

/// Starts a node that is not admitted, in addition to the others, and sends it a vote. Returns the
/// reason that it logs.
fn refused_vote(cluster: &Cluster) -> Result<String> {
    let mut rogue = member(Part::Intake, NAME, NUMBER, &cluster.fleet.rig)?;
    cluster.equip(&rogue)?;
    rogue.start(&cluster.fleet.votekit, &cluster.fleet.folder)?;
    let refused = send_votes(&rogue);
    rogue.stop()?;
    refused?;
    let lines = read_from(&cluster.fleet.folder.join(rogue.log()), 0);
    let reasons = lines.iter().filter(|line| line["event"] == "election_recovery_failed");
    let mut reasons = reasons.filter_map(|line| line["error"].as_str());
    let keyless = reasons.any(|reason| reason.contains("ballot key or request key"));
    ensure!(keyless, "the node does not log why it knows no election");
    Ok("it has no keys of the election".to_owned())
}

/// Sends votes for a while. The keys of the election are encrypted only to admitted nodes: to this
/// node the election is unknown.
fn send_votes(rogue: &Member) -> Result<()> {
    let vote = serde_json::json!({
        "nas": "000 000 042", "code": "7KQ2M9XA", "law_id": LAW, "vote": "oui",
    })
    .to_string();
    let begun = Instant::now();
    while begun.elapsed() < ATTEMPTS {
        let answer = post(rogue.addresses.public(), "/api/v1/vote", &vote);
        ensure!(
            matches!(answer, Some((404, _)) | None),
            "a node that is not admitted does not refuse a vote: {answer:?}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
