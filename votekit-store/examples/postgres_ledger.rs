//! Measures how fast a PostgreSQL ledger stages and commits: `cargo run --release --example
//! postgres_ledger --features services -- 'postgres://…?schema=bench'`.

// The example prints its measurements.
#![allow(clippy::print_stdout)]

#[path = "../tests/ledger_samples/mod.rs"]
mod ledger_samples;

use std::sync::Arc;
use std::time::Instant;

use ledger_samples::{Log, batch_of};
use votekit_store::services::postgres::PostgresLedger;
use votekit_store::services::url::{Service, ServiceAddress};
use votekit_store::{Hints, LogStore, Staging};

const CALLERS: u8 = 64;
const BATCHES_EACH: u64 = 40;
const VOTES_PER_BATCH: u64 = 100;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("give the address of a ledger")?;
    let ledger = Arc::new(
        PostgresLedger::open(&ServiceAddress::parse(Service::PostgreSql, &address)?).await?,
    );
    let mut tasks = tokio::task::JoinSet::new();
    let batches: Vec<Vec<_>> = (0..CALLERS)
        .map(|by| {
            (1..=BATCHES_EACH).map(|sequence| batch_of(by, sequence, VOTES_PER_BATCH)).collect()
        })
        .collect();
    let begin = Instant::now();
    for batches in batches {
        let ledger = Arc::clone(&ledger);
        tasks.spawn(async move {
            for batch in batches {
                ledger.stage(&batch, &Hints::new()).await.expect("staged");
            }
        });
    }
    tasks.join_all().await;
    let batches = u64::from(CALLERS) * BATCHES_EACH;
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "staged {batches} batches of {VOTES_PER_BATCH}: {:.0} votes/s",
        (batches * VOTES_PER_BATCH) as f64 / seconds
    );
    let mut log = Log::new();
    for votes in [100, 1000] {
        let blocks: Vec<_> = (0..100).map(|_| log.block(votes)).collect();
        let begin = Instant::now();
        for block in &blocks {
            ledger.commit(block).await?;
        }
        let seconds = begin.elapsed().as_secs_f64();
        println!(
            "committed 100 blocks of {votes}: {:.1} ms each, {:.0} votes/s",
            seconds * 10.0,
            f64::from(votes) * 100.0 / seconds
        );
    }
    Ok(())
}
