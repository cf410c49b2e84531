//! Fills a new data folder with an open election in which every elector has voted, without HTTP:
//! for measuring the costs of a node with many votes.
//!
//! `cargo run --release -p votekit-node --example fill -- DIR ELECTORS`
//!
//! One vote in 20 is a duplicate, one in 100 has an unknown credential. Batches are staged as a
//! node stages them, and a node seals them, a million electors at a time.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use getrandom::SysRng;
use rand_core::UnwrapErr;
use votekit_core::ballot::ChoiceIndex;
use votekit_core::batch::{Batch, BatchHeader};
use votekit_core::credential::{CredentialHash, HashScheme, RegistryKey};
use votekit_core::envelope::Envelope;
use votekit_core::id::{BatchNumber, Digest, ElectionId, RequestId, Sequence};
use votekit_core::instant::UnixMinutes;
use votekit_core::manifest::{FileRow, LawRow, Manifest, ManifestBody, RollFacts};
use votekit_core::shard::{ShardFormat, ShardHead};
use votekit_node::Node;
use votekit_node::config::Config;
use votekit_node::data_folder::DataFolder;
use votekit_node::{CreateElection, OpenElection};
use votekit_store::embedded::EmbeddedEngine;
use votekit_store::{BallotBox as _, Leases as _};

const LAW: &str = "L2025-001";
const BATCH: u64 = 4096;
const CHUNK_LEN: u64 = 1 << 20;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), Some(electors), None) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: fill DIR ELECTORS".into());
    };
    let electors =
        electors.to_str().and_then(|text| text.parse().ok()).ok_or("ELECTORS is a number")?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(fill(Path::new(&folder), electors))
}

async fn fill(folder: &Path, electors: u64) -> Outcome {
    let (data, hashes) = (folder.join("node"), folder.join("hashes"));
    write_roll(&hashes, electors)?;
    let node = start(&data).await?;
    node.load(&hashes, None).await?;
    std::fs::remove_dir_all(&hashes)?;
    let create = CreateElection {
        law_id: LAW.to_owned(),
        title_fr: "Loi".to_owned(),
        title_en: "Law".to_owned(),
        description_fr: String::new(),
        description_en: String::new(),
        choices: vec![],
        blank: true,
        binding: false,
        results: None,
        publish_every: None,
        opens: None,
        closes: None,
    };
    node.create(create).await?;
    node.open(&LAW.parse()?, OpenElection::default()).await?;
    node.shutdown().await;
    let mut done = 0;
    while done < electors {
        let until = (done + CHUNK_LEN).min(electors);
        let began = Instant::now();
        stage(&data, done, until).await?;
        let node = start(&data).await?;
        while node.elections()[0].accepted < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        node.shutdown().await;
        println!(
            "{until} electors have voted; the last {} in {:.1} s",
            until - done,
            began.elapsed().as_secs_f64()
        );
        done = until;
    }
    Ok(())
}

async fn start(data: &Path) -> Outcome<Node> {
    Ok(Node::start(DataFolder::open(data, None)?, Config { scrub: false, ..Config::default() })
        .await?)
}

/// Stages the votes of some electors, as a node in its own epoch.
async fn stage(data: &Path, from: u64, until: u64) -> Outcome {
    let folder = DataFolder::open(data, None)?;
    let (node_key, law_id) = (folder.node_key()?, LAW.parse::<ElectionId>()?);
    let ballot_key =
        folder.ballot_key(&law_id)?.ok_or("an election has a ballot key")?.public_key();
    let engine = EmbeddedEngine::open(data)?;
    let node = node_key.node_id();
    let epoch = engine.ledger.allocate_epoch(&law_id, node).await?;
    let received = UnixMinutes(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 60);
    let batches = (until - from).div_ceil(BATCH);
    for batch in 0..batches {
        let indices = from + batch * BATCH..(from + (batch + 1) * BATCH).min(until);
        let mut envelopes = Vec::new();
        for index in indices {
            let mut add = |elector: u64, copy: u64| {
                let choice = ChoiceIndex(u16::try_from(index % 3).unwrap_or(0));
                envelopes.push(Envelope {
                    request: request(index, copy),
                    hash: hash(elector),
                    received,
                    choice,
                });
            };
            add(index, 0);
            if index % 20 == 0 {
                add(index, 1);
            }
            if index % 100 == 0 {
                add(u64::MAX - index, 2);
            }
        }
        let sequence = Sequence(batch + 1);
        let header = BatchHeader {
            law_id: law_id.clone(),
            number: BatchNumber { node, epoch, sequence },
            confirmed_through: Sequence(batch),
            last: batch + 1 == batches,
        };
        let sealed =
            Batch::seal(header, &envelopes, &ballot_key, &node_key, &mut UnwrapErr(SysRng))?;
        engine.ballot_box.publish(&Arc::new(sealed)).await?;
    }
    Ok(())
}

fn write_roll(folder: &Path, electors: u64) -> Outcome {
    std::fs::create_dir_all(folder)?;
    let mut keys: Vec<RegistryKey> =
        (0..electors).map(|elector| RegistryKey::from_bytes(*hash(elector).as_bytes())).collect();
    keys.sort_unstable();
    let law_id: ElectionId = LAW.parse()?;
    let shards = u32::try_from(keys.chunks(ShardHead::KEYS_MAX).len())?;
    let mut rows = Vec::new();
    for (shard, keys) in (1..).zip(keys.chunks(ShardHead::KEYS_MAX)) {
        let head = ShardHead { law_id: law_id.clone(), shard, shards };
        let (file, bytes) =
            (head.file_name(ShardFormat::Json), head.encode(ShardFormat::Json, keys));
        std::fs::write(folder.join(&file), &bytes)?;
        rows.push(FileRow {
            file,
            law_id: law_id.clone(),
            shard,
            count: keys.len() as u64,
            sha256: Digest::compute(&bytes),
        });
    }
    let roll = RollFacts {
        sha256: Digest::compute(b"roll"),
        rows: electors,
        duplicates: 0,
        rejects: 0,
        code_length_min: 8,
    };
    let manifest = Manifest::new(ManifestBody {
        tool: "votekit fill".to_owned(),
        scheme: HashScheme::Sha256,
        pepper: None,
        date: None,
        parent: None,
        roll,
        laws: vec![LawRow { law_id, registered: electors, shards, revoked: 0 }],
        shards: rows,
        changes: vec![],
    })?;
    Ok(std::fs::write(folder.join(Manifest::FILE_NAME), manifest.encode())?)
}

/// A credential hash made from a number: no real credential has it.
fn hash(elector: u64) -> CredentialHash {
    CredentialHash::from_bytes(*Digest::compute(&elector.to_be_bytes()).as_bytes())
}

fn request(index: u64, copy: u64) -> RequestId {
    let digest = Digest::compute(&[index.to_be_bytes(), copy.to_be_bytes()].concat());
    let (id, _) = digest.as_bytes().split_first_chunk::<16>().expect("a digest has 32 bytes");
    RequestId::from_bytes(*id)
}
