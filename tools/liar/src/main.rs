//! `votekit-liar`: one authority of an installation, with its real keys, that does one false thing
//! and prints how the others answer it.
//!
//! ```text
//! folder ─▶ history ─▶ honest next block ─▶ lie ─▶ proposal ─▶ round ─▶ JSON
//!  keys      log, batches,                  edits    signed       rows of the
//!  rolls     replayed                       leaves                others
//!   │
//!   └──▶ intruder: a batch of a node that is not admitted ─▶ staging
//! ```
//!
//! It is built on the public formats (docs/formats.md), the rules of votekit-core and the ledger of
//! votekit-store alone, and writes nothing into the data folder. The authority's own node must be
//! stopped, and the leader too: a liar takes the leadership like any other, when the lease is free.
//!
//! Exit codes: 0 the others held, 1 a false block is certified, 2 the lie was not possible.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks to the person who runs it"
)]

mod folder;
mod history;
mod intruder;
mod lie;
mod proposal;
mod round;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use votekit_core::authority::TermLeader;
use votekit_core::id::ElectionId;
use votekit_core::instant::UnixSeconds;
use votekit_store::LogStore as _;
use votekit_store::services::postgres::PostgresLedger;
use votekit_store::services::url::{Service, ServiceAddress};

use self::folder::Folder;
use self::history::History;
use self::lie::Lie;
use self::proposal::Forged;
use self::round::Leader;

/// How often a liar looks whether the log and the staging allow its lie.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// How long it waits for the votes of all others before it goes on with those that it has.
const VOTES_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the head of the log must stay as it is before a false block follows it: what a quorum
/// had accepted under the leader before is appended meanwhile.
const SETTLED: Duration = Duration::from_millis(1_500);

/// How long the others have, once all have refused, to suspect the liar.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Take the leadership with the keys of one authority, propose a false block, and print how the
/// others answer.
#[derive(Parser)]
#[command(name = "votekit-liar")]
struct Arguments {
    /// What to do.
    lie: Lie,
    /// The data folder of the authority; its node must be stopped.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The address of the ledger: postgres://…
    #[arg(long, value_name = "URL")]
    ledger: String,
    /// The election.
    #[arg(long, value_name = "LAW")]
    law: ElectionId,
    /// How long to wait for the leadership, and then for a block that allows the lie.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    /// How long to wait for the answers of the others.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    answers: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Lies once. Returns whether a false block is certified.
async fn run(arguments: &Arguments) -> Result<bool> {
    let folder = Folder::open(&arguments.data)?;
    let address = ServiceAddress::parse(Service::PostgreSql, &arguments.ledger)?;
    let ledger = Arc::new(PostgresLedger::open(&address).await?);
    if arguments.lie == Lie::RogueBatch {
        let answers = Duration::from_secs(arguments.answers);
        return intruder::stage(&folder, &ledger, &arguments.law, answers, now()?).await;
    }
    let wait = Duration::from_secs(arguments.wait);
    let leader = Leader::acquire(Arc::clone(&ledger), folder.key.name(), wait).await?;
    let outcome = lie(arguments, &folder, &ledger, &leader).await;
    leader.release().await;
    outcome
}

async fn lie(
    arguments: &Arguments,
    folder: &Folder,
    ledger: &PostgresLedger,
    leader: &Leader,
) -> Result<bool> {
    let leadership = TermLeader { term: leader.term, leader: folder.key.name().clone() };
    let mut answers = round::Answers::new(folder, &arguments.law, &leadership);
    let others = answers.others();
    answers.wait(ledger, VOTES_TIMEOUT, |answers| answers.voters().len() >= others).await?;
    settle(ledger, &arguments.law, Duration::from_secs(arguments.wait)).await?;

    let proposing = match arguments.lie {
        Lie::StaleTerm => {
            let term = answers.term_of_another();
            let term = term.context("no earlier term in which all others voted for another")?;
            TermLeader { term, ..leadership.clone() }
        }
        _ => leadership.clone(),
    };
    let forged = forge(arguments, folder, ledger, &proposing).await?;
    let mut outcomes = Vec::new();
    for block in &forged {
        outcomes.push(block.put(ledger, folder, leader.holder()).await?);
    }
    let height = forged.first().context("a lie proposes a block")?.height();
    answers.expect(height, proposing.term);
    let patience = Duration::from_secs(arguments.answers);
    answers.wait(ledger, patience, round::Answers::is_refused_by_all).await?;
    if answers.is_refused_by_all() {
        answers.wait(ledger, AFTERMATH, |_| false).await?;
    }

    let mut proposals = Vec::new();
    let mut certified = 0;
    for (block, outcome) in forged.iter().zip(outcomes) {
        let is_certified = block.is_in_log(ledger).await?;
        certified += usize::from(is_certified);
        proposals.push(block.describe(&outcome, is_certified));
    }
    // Of two true blocks of one height one may be certified: the lie is that there are two.
    let allowed = usize::from(arguments.lie == Lie::SecondRoot);
    let is_believed = certified > allowed;
    println!("{:#}", answers.describe(arguments.lie.name(), proposals, is_believed));
    Ok(is_believed)
}

/// Waits until the log has not grown for a while.
async fn settle(ledger: &PostgresLedger, law_id: &ElectionId, timeout: Duration) -> Result<()> {
    let until = Instant::now() + timeout;
    let (mut height, mut since) = (0, Instant::now());
    while since.elapsed() < SETTLED && Instant::now() < until {
        let head = ledger.head(law_id).await?.context("the election has no log")?;
        if head.height != height {
            (height, since) = (head.height, Instant::now());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// Makes the false block, or the two of [`Lie::SecondRoot`], as soon as the honest next block
/// allows it.
async fn forge(
    arguments: &Arguments,
    folder: &Folder,
    ledger: &PostgresLedger,
    leadership: &TermLeader,
) -> Result<Vec<Forged>> {
    let until = Instant::now() + Duration::from_secs(arguments.wait);
    loop {
        let history = History::read(ledger, folder, &arguments.law).await?;
        let forged = proposal::forge(&history, folder, arguments.lie, leadership, now()?)?;
        match forged {
            Ok(forged) => return Ok(forged),
            Err(_) if Instant::now() < until => tokio::time::sleep(POLL_INTERVAL).await,
            Err(reason) => bail!("no block that allows the lie: {reason}"),
        }
    }
}

/// The time of this machine.
fn now() -> Result<UnixSeconds> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Ok(UnixSeconds(since.context("reading the clock")?.as_secs()))
}
