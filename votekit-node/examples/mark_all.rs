//! Marks the credential of every elector of a hashed roll as used in a registry on Redis, as
//! validation does: in batches, two at a time. For benchmarks.
//!
//! `mark_all URL FOLDER [BATCH]` prints the number of marks and the time they took, as JSON.

// The printed line is the result.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::time::Instant;

use votekit_core::election_log::RollContent;
use votekit_core::id::RequestId;
use votekit_node::CheckedRoll;
use votekit_store::services::redis::RedisRegistry;
use votekit_store::services::url::{Service, ServiceAddress};
use votekit_store::{Hint, Mark, Registry};

const UNDER_WAY: usize = 2;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("mark_all URL FOLDER [BATCH]".into());
    };
    let batch: usize = arguments.next().map_or(Ok(500), |batch| batch.parse())?;
    let registry = RedisRegistry::open(&ServiceAddress::parse(Service::Redis, &url)?).await?;
    let roll = CheckedRoll::read(Path::new(&folder), None, None)?;
    let began = Instant::now();
    let mut marked = 0;
    for (law_id, content) in &roll.contents {
        let RollContent::Roll(keys) = content else { continue };
        // Votes do not arrive in the order of their hashes: every batch goes to all buckets, and to
        // all servers.
        let batches = keys.len().div_ceil(batch);
        let mut tasks = tokio::task::JoinSet::new();
        for first in 0..batches {
            let marks: Vec<Mark> = keys
                .keys()
                .iter()
                .skip(first)
                .step_by(batches)
                .map(|key| Mark { key: *key, request: request(key.as_bytes()) })
                .collect();
            marked += marks.len();
            while tasks.len() >= UNDER_WAY {
                tasks.join_next().await.ok_or("a task")??;
            }
            let (registry, law_id) = (registry.clone(), law_id.clone());
            tasks.spawn(async move {
                let hints = registry.mark(&law_id, &marks).await.expect("the registry answers");
                assert!(
                    hints.iter().all(|hint| *hint == Hint::Accepted),
                    "a vote was not expected to be accepted"
                );
            });
        }
        while let Some(done) = tasks.join_next().await {
            done?;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{{\"marked\":{marked},\"seconds\":{seconds:.3},\"batch\":{batch}}}");
    Ok(())
}

/// Derives the request id from other bytes than the first ones, which select the key's bucket.
fn request(key: &[u8; 32]) -> RequestId {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&key[16..]);
    RequestId::from_bytes(bytes)
}
