//! Measures the cost of each step in processing a vote, on one core and in microseconds per vote,
//! next to its lower bound: the cost of the bare operations that the step cannot avoid.
//!
//! `cargo run --release -p votekit-core --example parts`
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::{Seek as _, Write as _};
use std::sync::Arc;
use std::time::Instant;

use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};
use votekit_core::ballot::{BallotSecretKey, ChoiceIndex};
use votekit_core::batch::{Batch, BatchHeader, NodeKey};
use votekit_core::credential::{CredentialHash, CredentialHasher, HashScheme, RegistryKey};
use votekit_core::election::{Bilingual, Choice, Definition, ResultsPolicy};
use votekit_core::election_log::{
    BlockContent, BlockMaker, ElectionLog, LogEvent, RollContent, RollLoad,
};
use votekit_core::electorate::KeyList;
use votekit_core::envelope::{Envelope, VoteRequest};
use votekit_core::id::{BatchNumber, Digest, Epoch, RequestId, Sequence};
use votekit_core::instant::UnixMinutes;
use votekit_core::log::merkle::{TreeBuilder, leaf_hash};

/// The time of all events.
const MINUTE: UnixMinutes = UnixMinutes(29_400_000);

/// Votes per batch and batches per block, about as a node under full load makes them.
const BATCH: u64 = 128;
const BATCHES: u64 = 8;
/// Number of blocks made.
const BLOCKS: u64 = 200;
const VOTES: u64 = BATCH * BATCHES * BLOCKS;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    println!("{:<44} {:>10} {:>10}  the least", "part", "µs a vote", "least");
    let sha256 = time(1 << 20, |number| Sha256::digest(number.to_be_bytes()));
    reading(sha256)?;
    let (node, ballot) = (NodeKey::from_seed(&[2; 32]), BallotSecretKey::from_seed(&[1; 32]));
    let bytes = batches(&node, &ballot)?;
    blocks(&node, &ballot, &bytes, sha256)?;
    syncs(bytes[0].len())
}

/// Microseconds per call of `turn`.
fn time<T>(turns: u64, mut turn: impl FnMut(u64) -> T) -> f64 {
    let began = Instant::now();
    for number in 0..turns {
        black_box(turn(number));
    }
    began.elapsed().as_secs_f64() * 1e6 / turns as f64
}

fn print_row(part: &str, cost: f64, least: f64, what: &str) {
    println!("{part:<44} {cost:>10.3} {least:>10.3}  {what}");
}

fn reading(sha256: f64) -> Outcome {
    let body = br#"{"nas":"123456789","code":"ABC12345","law_id":"L2025-001","vote":"oui"}"#;
    let copy = time(VOTES, |_| black_box(body).to_vec());
    let parse = time(VOTES, |_| VoteRequest::parse(black_box(body)));
    print_row("read the vote's JSON", parse, copy, "copying its bytes");
    let vote = VoteRequest::parse(body).map_err(|_| "the vote cannot be parsed")?;
    let (hasher, credential) = (CredentialHasher::plain(), vote.credential);
    let hash =
        time(VOTES, |_| hasher.hash_parts(&credential.nas, &credential.code, &credential.law_id));
    print_row("hash the credential", hash, sha256, "one block of SHA-256");
    Ok(())
}

/// Seals, verifies and opens batches; returns their bytes.
fn batches(node: &NodeKey, ballot: &BallotSecretKey) -> Outcome<Vec<Vec<u8>>> {
    let law_id = "L2025-001".parse()?;
    let public = ballot.public_key();
    let mut sealed = Vec::new();
    let mut failed = None;
    let seal = time(BATCHES * BLOCKS, |number| {
        let header = BatchHeader {
            law_id: Clone::clone(&law_id),
            number: BatchNumber {
                node: node.node_id(),
                epoch: Epoch(1),
                sequence: Sequence(number + 1),
            },
            confirmed_through: Sequence(number),
            last: false,
        };
        let envelopes: Vec<Envelope> =
            (number * BATCH..(number + 1) * BATCH).map(envelope).collect();
        match Batch::seal(header, &envelopes, &public, node, &mut Random) {
            Ok(batch) => sealed.push(batch.as_bytes().to_vec()),
            Err(error) => failed = Some(error),
        }
    });
    failed.map_or(Ok(()), Err)?;
    let key = SigningKey::from_bytes(&[2; 32]);
    let sign = time(2000, |number| key.sign(&number.to_be_bytes()));
    let exchange = time(2000, |_| BallotSecretKey::from_bytes([3; 32]).public_key());
    print_row(
        "seal a batch (encrypt, sign)",
        seal / BATCH as f64,
        (sign + 2.0 * exchange) / BATCH as f64,
        "a signature and two X25519",
    );
    let public_key = node.public_key();
    let parsed: Vec<Arc<Batch>> = sealed
        .iter()
        .map(|bytes| Batch::parse(bytes.clone()).map(Arc::new))
        .collect::<Result<_, _>>()?;
    let law_id = "L2025-001".parse()?;
    let verify =
        time(BATCHES * BLOCKS, |number| parsed[number as usize].verify(&law_id, &public_key));
    let verifying = key.verifying_key();
    let signature = key.sign(b"message");
    let bare = time(2000, |_| verifying.verify_strict(b"message", &signature));
    print_row(
        "verify a batch",
        verify / BATCH as f64,
        bare / BATCH as f64,
        "an Ed25519 verification",
    );
    let open = time(BATCHES * BLOCKS, |number| parsed[number as usize].open(ballot));
    print_row("open a batch's choices", open / BATCH as f64, exchange / BATCH as f64, "one X25519");
    Ok(sealed)
}

/// Decides verified batches and makes blocks of them.
fn blocks(node: &NodeKey, ballot: &BallotSecretKey, batches: &[Vec<u8>], sha256: f64) -> Outcome {
    let public = node.public_key();
    let mut keys: Vec<RegistryKey> = (0..VOTES)
        .map(|elector| HashScheme::Sha256.registry_key(&envelope(elector).hash))
        .collect();
    keys.sort_unstable();
    let keys = Arc::new(KeyList::new(keys)?);
    let text = Bilingual { fr: "Loi".to_owned(), en: "Law".to_owned() };
    let definition = Definition {
        law_id: "L2025-001".parse()?,
        title: text.clone(),
        description: text,
        choices: vec![
            Choice::with_customary_labels("oui".parse()?),
            Choice::with_customary_labels("non".parse()?),
        ],
        binding: false,
        results: ResultsPolicy::AfterClose,
        publish_every: 1,
        opens: None,
        closes: None,
        ballot_key: ballot.public_key(),
    };
    let maker = BlockMaker { term: 1, leader: "authority-1".to_owned(), at: MINUTE };
    let (mut log, _) = ElectionLog::begin(definition, &maker);
    let load = RollLoad {
        manifest: Digest::compute(b"manifest"),
        parent: None,
        replaces: None,
        scheme: HashScheme::Sha256,
        content: RollContent::Roll(Arc::clone(&keys)),
    };
    let events = [
        LogEvent::Load(load),
        LogEvent::Admit(public),
        LogEvent::Open { opens: MINUTE, waivers: vec![] },
    ];
    log.apply(log.propose(&BlockContent::Events(&events), &maker)?.effect);
    let parsed = batches
        .iter()
        .map(|bytes| Ok(log.verify_batch(&Arc::new(Batch::parse(bytes.clone())?))?))
        .collect::<Result<Vec<_>, Box<dyn std::error::Error>>>()?;
    let find =
        time(VOTES, |elector| keys.find(&HashScheme::Sha256.registry_key(&envelope(elector).hash)));
    let (mut leaves, mut refused) = (0, 0);
    let began = Instant::now();
    for block in parsed.chunks(BATCHES as usize) {
        let content = BlockContent::Batches { batches: block, ballot_key: ballot };
        let made = log.propose(&content, &maker)?;
        leaves += u64::from(made.block.leaf_count);
        refused += made.refused.len();
        log.apply(made.effect);
    }
    let seal = began.elapsed().as_secs_f64() * 1e6 / VOTES as f64;
    if refused > 0 || log.report().accepted != VOTES {
        return Err(format!("{} of {VOTES} votes were accepted", log.report().accepted).into());
    }
    print_row(
        "decide and make blocks (with the opening)",
        seal,
        find + 4.0 * sha256,
        "a look-up, a leaf of 3 blocks, a node of the tree",
    );
    let (mut tree, mut tiles, leaf) = (TreeBuilder::new(), Vec::new(), [7; 180]);
    let merkle = time(leaves, |_| {
        tree.append(leaf_hash(black_box(&leaf)), &mut tiles);
        tiles.clear();
    });
    print_row(
        "  of that the Merkle tree",
        merkle,
        5.0 * sha256,
        "three blocks for the leaf, two for its node",
    );
    Ok(())
}

/// Writes and syncs the data of a batch, overwriting one file: the part that SQLite cannot avoid.
fn syncs(batch_bytes: usize) -> Outcome {
    let path = std::env::temp_dir().join(format!("votekit-parts-{}", std::process::id()));
    let mut file = File::create(&path)?;
    // The batch, its votes' leaves, and one or two pages of indexes.
    let bytes = vec![7; batch_bytes + 180 * BATCH as usize + 8192];
    file.write_all(&bytes)?;
    file.sync_all()?;
    let mut failed = None;
    let sync = time(500, |_| {
        let written =
            file.rewind().and_then(|()| file.write_all(&bytes)).and_then(|()| file.sync_data());
        failed = written.err().or(failed.take());
    });
    std::fs::remove_file(&path)?;
    failed.map_or(Ok(()), Err)?;
    println!(
        "{:<44} {:>10} {:>10.3}  writing and syncing {} KiB, shared by {BATCH} votes",
        "the ledger (see bench vote --profile)",
        "–",
        sync / BATCH as f64,
        bytes.len() / 1024
    );
    Ok(())
}

fn envelope(number: u64) -> Envelope {
    let digest = Digest::compute(&number.to_be_bytes());
    let (request, _) = digest.as_bytes().split_first_chunk().expect("a digest has 32 bytes");
    Envelope {
        request: RequestId::from_bytes(*request),
        hash: CredentialHash::from_bytes(*digest.as_bytes()),
        received: MINUTE,
        choice: ChoiceIndex(u16::from(number.is_multiple_of(3))),
    }
}

/// Returns constant bytes: only the work is measured.
struct Random;

impl rand_core::TryRng for Random {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(7)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(7)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        out.fill(7);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Random {}
