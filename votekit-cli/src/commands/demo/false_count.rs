//! The lie of the demo: a block with a false count, under the keys of one authority. The others
//! make the block themselves, and refuse it.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::runtime::Runtime;
use votekit_core::id::ElectionId;
use votekit_liar::{Attempt, AuthorityFolder, Leader, Lie, Outcome};
use votekit_node::memory::overwriting_stack;
use votekit_store::Ledger;

use super::ballots::{Elector, cast_until_decided};
use super::cluster::Cluster;
use super::steps::{Demo, LAW, unexpected};
use crate::admin_target;
use crate::ballot_call;
use crate::client::Client;
use crate::error::CommandError;

/// How long the lying authority waits for the lease, and then for a vote to misreport.
const LEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long it waits for the answers of the others. A leader that has just stepped down does not
/// look for the next one for three seconds.
const ANSWERS_TIMEOUT: Duration = Duration::from_secs(8);

/// How long it takes at most until a lease that was released is taken.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Interval between two polls of the lease.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long the threads may take to end.
const THREADS_TIMEOUT: Duration = Duration::from_secs(2);

/// A false count, and who refused it.
#[derive(Serialize)]
pub(super) struct FalseCount {
    proposed_by: &'static str,
    refused_by: Vec<String>,
    /// The index of the first leaf that differs in the log.
    leaf: u64,
    rule: String,
}

/// Proposes a false count with the keys of an authority whose node is down, while an elector votes.
pub(super) fn propose(
    demo: &mut Demo<'_>,
    cluster: &Cluster,
    liar: usize,
    elector: &Elector,
) -> Result<FalseCount, CommandError> {
    demo.say("The keys of the killed authority are used to lie: a false count is proposed");
    let runtime = admin_target::runtime()?;
    let proposed = propose_on(&runtime, demo, cluster, liar, elector);
    runtime.shutdown_timeout(THREADS_TIMEOUT);
    let refused = proposed?;
    demo.note(format!(
        "{} leads for a moment, and exchanges the counts of two choices in a block",
        refused.proposed_by
    ));
    demo.note(&refused);
    Ok(refused)
}

fn propose_on(
    runtime: &Runtime,
    demo: &Demo<'_>,
    cluster: &Cluster,
    liar: usize,
    elector: &Elector,
) -> Result<FalseCount, CommandError> {
    let folder = AuthorityFolder::open(cluster.data(liar))?;
    let ledger = cluster.ledger(demo, runtime)?;
    let leader = take_lead(runtime, demo, cluster, &ledger, &folder)?;
    let law_id: ElectionId = LAW.parse().expect("the law of the demo is one");
    let attempt = Attempt {
        folder: &folder,
        law_id: &law_id,
        lie: Lie::WrongCount,
        wait: LEAD_TIMEOUT,
        answers: ANSWERS_TIMEOUT,
        aftermath: Duration::ZERO,
    };
    let (client, key) = (Client::new(cluster.public()?)?, ballot_call::fresh_key()?);
    let (lied, voted) = runtime.block_on(overwriting_stack(async {
        let lie = async {
            let lied = attempt.run(&*ledger, &leader).await;
            leader.release().await;
            lied
        };
        tokio::join!(lie, cast_until_decided(&client, elector, &key))
    }));
    let refused = refused(cluster.name(liar), &lied?)?;
    let voted = voted?;
    if voted.status != "accepted" {
        return Err(unexpected(&format!("the vote after the false count is {}", voted.status)));
    }
    Ok(refused)
}

/// Gets the leader lease for the lying authority, by asking each leader to step down.
fn take_lead(
    runtime: &Runtime,
    demo: &Demo<'_>,
    cluster: &Cluster,
    ledger: &Arc<dyn Ledger>,
    folder: &AuthorityFolder,
) -> Result<Leader, CommandError> {
    let (ledger, name) = (Arc::clone(ledger), folder.name().clone());
    let acquired = runtime.spawn(async move { Leader::acquire(ledger, &name, LEAD_TIMEOUT).await });
    while !acquired.is_finished() {
        cluster.step_down(demo)?;
        // Another authority may be the first: then it is asked to step down too.
        let until = Instant::now() + RELEASE_TIMEOUT;
        while !acquired.is_finished() && Instant::now() < until {
            thread::sleep(POLL_INTERVAL);
        }
    }
    let acquired = runtime.block_on(acquired);
    Ok(acquired.map_err(|error| CommandError::internal(error.to_string()))??)
}

/// The refusals among the answers. Any other outcome is an error.
fn refused(liar: &'static str, outcome: &Outcome) -> Result<FalseCount, CommandError> {
    let refusals = outcome.description["refused"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |refusal: &serde_json::Value| refusal["authority"].as_str().map(str::to_owned);
    match refusals.first() {
        Some(first) if !outcome.is_believed => Ok(FalseCount {
            proposed_by: liar,
            refused_by: refusals.iter().filter_map(name).collect(),
            leaf: first["leaf"].as_u64().unwrap_or_default(),
            rule: first["rule"].as_str().unwrap_or_default().to_owned(),
        }),
        _ => Err(unexpected(&format!("a false count was not refused: {}", outcome.description))),
    }
}

impl FalseCount {
    /// The authority with whose keys it was proposed.
    pub(super) fn proposed_by(&self) -> &'static str {
        self.proposed_by
    }
}

impl fmt::Display for FalseCount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} made the block too, and refused it at leaf {}, by the rule {}",
            self.refused_by.join(" and "),
            self.leaf,
            self.rule
        )
    }
}
