//! `votekit-liar`: one authority lies, and the program prints how the others answer.
//!
//! Exit codes: 0 the others held, 1 a false block is certified, 2 the lie was not possible.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks to the person who runs it"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use votekit_core::id::ElectionId;
use votekit_liar::{Attempt, AuthorityFolder, Leader, Lie, Outcome, stage_rogue_batch};
use votekit_store::Ledger;
use votekit_store::services::postgres::PostgresLedger;
use votekit_store::services::url::{Service, ServiceAddress};

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
    let folder = AuthorityFolder::open(&arguments.data)?;
    let address = ServiceAddress::parse(Service::PostgreSql, &arguments.ledger)?;
    let ledger: Arc<dyn Ledger> = Arc::new(PostgresLedger::open(&address).await?);
    let outcome = lie(arguments, &folder, ledger).await?;
    println!("{:#}", outcome.description);
    Ok(outcome.is_believed)
}

async fn lie(
    arguments: &Arguments,
    folder: &AuthorityFolder,
    ledger: Arc<dyn Ledger>,
) -> Result<Outcome> {
    let answers = Duration::from_secs(arguments.answers);
    if arguments.lie == Lie::RogueBatch {
        return stage_rogue_batch(folder, &*ledger, &arguments.law, answers).await;
    }
    let wait = Duration::from_secs(arguments.wait);
    let attempt = Attempt {
        folder,
        law_id: &arguments.law,
        lie: arguments.lie,
        wait,
        answers,
        aftermath: AFTERMATH,
    };
    let leader = Leader::acquire(Arc::clone(&ledger), folder.name(), wait).await?;
    let outcome = attempt.run(&*ledger, &leader).await;
    leader.release().await;
    outcome
}
