//! Decides a batch of votes: reads the bytes that an ingest node has signed, verifies them, and
//! makes the block that records each decision. The election is that of `fixtures/election`.
//!
//! `cargo run -p votekit-core --example decide_batch`
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::fs;
use std::sync::Arc;

use votekit_core::ballot::BallotSecretKey;
use votekit_core::batch::Batch;
use votekit_core::election_log::{
    BlockContent, BlockMaker, ElectionLog, LogEvent, RollContent, RollLoad, leaves_of_block,
};
use votekit_core::electorate::KeyList;
use votekit_core::instant::UnixMinutes;
use votekit_core::log::leaf::{ElectionEvent, Leaf};
use votekit_core::manifest::Manifest;

const ELECTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/election");
/// The public key of the ingest node that signed the batch.
const NODE_KEY: &str = "8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394";
/// When the poll opens: 2025-11-21T04:40:00Z.
const OPENS: UnixMinutes = UnixMinutes(29_395_000);

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    // A log begins with the definition of its election.
    let published = fs::read(format!("{ELECTION}/bundle/leaves.jsonl"))?;
    let first = published.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Leaf::Election(ElectionEvent::Draft { definition, .. }) = Leaf::parse(first)? else {
        return Err("the log does not begin with a draft".into());
    };
    let maker = BlockMaker { term: 1, leader: "authority-1".to_owned(), at: OPENS };
    let (mut log, _draft) = ElectionLog::begin(definition, &maker);

    // The roll is loaded, an ingest node admitted, the poll opened: one block.
    let open = LogEvent::Open { opens: OPENS, waivers: Vec::new() };
    let events = [LogEvent::Load(roll()?), LogEvent::Admit(NODE_KEY.parse()?), open];
    let proposal = log.propose(&BlockContent::Events(&events), &maker)?;
    log.apply(proposal.effect);

    // A verified batch can come only from an admitted node, for this election.
    let bytes = fs::read(format!("{ELECTION}/evidence/596cba8e2d5d25ad.1.1.batch"))?;
    let batch = log.verify_batch(&Arc::new(Batch::parse(bytes)?))?;

    // A proposal changes nothing until it is applied, once its block is durable.
    let ballot_key = BallotSecretKey::from_seed(&[1; 32]);
    let content = BlockContent::Batches { batches: &[batch], ballot_key: &ballot_key };
    let proposal = log.propose(&content, &maker)?;
    for leaf in leaves_of_block(&proposal.block.leaves).flatten() {
        println!("{}", String::from_utf8_lossy(leaf));
    }
    log.apply(proposal.effect);
    println!("{}", log.report());
    Ok(())
}

/// The registry keys of the roll, as its manifest lists them.
fn roll() -> Outcome<RollLoad> {
    let manifest = Manifest::parse(&fs::read(format!("{ELECTION}/shards/manifest.json"))?)?;
    let mut keys = Vec::new();
    for row in &manifest.body().shards {
        let bytes = fs::read(format!("{ELECTION}/shards/{}", row.file))?;
        keys.extend(manifest.read_shard(row, &bytes)?);
    }
    Ok(RollLoad {
        manifest: manifest.digest(),
        parent: None,
        replaces: None,
        scheme: manifest.body().scheme,
        content: RollContent::Roll(Arc::new(KeyList::new(keys)?)),
    })
}
