//! The ledger under SIGKILL: every acknowledged batch is there, unchanged, once.
//!
//! A child process (this binary, run again for one test) stages batches and prints each number once
//! it is acknowledged; the parent kills it at some point, reopens the ledger and compares.

mod ledger_samples;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use ledger_samples::{law, sealed};
use votekit_core::batch::{Batch, NodeKey};
use votekit_core::id::{BatchNumber, Digest, Epoch};
use votekit_store::embedded::EmbeddedEngine;
use votekit_store::{Leases, Staging, StagingId};

const FOLDER: &str = "VOTEKIT_TEST_KILL_FOLDER";
const ROUNDS: u64 = 6;
const WRITERS: u8 = 4;

/// A batch by its number. Parent and child make the same one.
fn batch(by: u8, epoch: Epoch, sequence: u64) -> Arc<Batch> {
    let seed = Digest::compute(format!("{by} {} {sequence}", epoch.0).as_bytes());
    let count = 1 + u64::from(seed.as_bytes()[0]) * 4;
    let vote = |index: u64| {
        *Digest::compute(&[seed.as_bytes().as_slice(), &index.to_be_bytes()].concat()).as_bytes()
    };
    sealed(by, epoch, sequence, (0..count).map(vote))
}

/// Stages until it is killed. Does nothing unless the test below started it.
#[test]
fn child_that_stages_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let engine =
            EmbeddedEngine::open(Path::new(&folder)).expect("a ledger that was killed opens");
        let mut writers = tokio::task::JoinSet::new();
        for by in 0..WRITERS {
            let ledger = Arc::clone(&engine.ledger);
            writers.spawn(async move {
                let node = NodeKey::from_seed(&[by; 32]).node_id();
                let epoch = ledger.allocate_epoch(&law(), node).await.expect("an epoch");
                for sequence in 1.. {
                    ledger.stage(&batch(by, epoch, sequence), &Vec::new()).await.expect("staged");
                    let line = format!("{by} {} {sequence}\n", epoch.0);
                    std::io::stdout().write_all(line.as_bytes()).expect("the parent listens");
                }
            });
        }
        while writers.join_next().await.is_some() {}
    });
}

#[test]
fn acknowledged_batches_survive_a_kill() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        // Number of acknowledgements before the kill: different in each round, the same in each
        // run.
        let until = 1 + (round * 7919 + 13) % 150;
        acknowledged.extend(stage_and_kill(folder.path(), until));
        check(folder.path(), &acknowledged);
    }
    assert!(
        acknowledged.len() as u64 >= ROUNDS,
        "{} batches were acknowledged",
        acknowledged.len()
    );
}

fn stage_and_kill(folder: &Path, until: u64) -> Vec<(u8, Epoch, u64)> {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    let mut child = childguard::guard(&mut command)
        .args(["--exact", "child_that_stages_until_it_is_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let output = BufReader::new(child.stdout.take().expect("its output"));
    let mut acknowledged = Vec::new();
    let mut killed = false;
    for line in output.lines() {
        // The output is read to its end: everything the child printed was acknowledged.
        acknowledged.extend(parse(&line.expect("lines of text")));
        if acknowledged.len() as u64 >= until && !killed {
            child.kill().expect("it is killed");
            killed = true;
        }
    }
    let status = child.wait().expect("it ends");
    assert!(!status.success() && killed, "the child ended by itself: {status}");
    acknowledged
}

/// Parses a printed number. The test harness prints lines too, and the last line may be cut.
fn parse(line: &str) -> Option<(u8, Epoch, u64)> {
    let mut fields = line.rsplit("... ").next()?.split(' ');
    let number = (
        fields.next()?.parse().ok()?,
        Epoch(fields.next()?.parse().ok()?),
        fields.next()?.parse().ok()?,
    );
    fields.next().is_none().then_some(number)
}

fn check(folder: &Path, acknowledged: &[(u8, Epoch, u64)]) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let engine = EmbeddedEngine::open(folder).expect("a ledger that was killed opens");
    let staged =
        runtime.block_on(engine.ledger.staged(&law(), StagingId(0), usize::MAX)).expect("it reads");
    let mut by_number: BTreeMap<BatchNumber, Arc<Batch>> = BTreeMap::new();
    for staged in staged {
        let second = by_number.insert(staged.batch.number(), staged.batch);
        assert!(second.is_none(), "{second:?} is there twice");
    }
    for (by, epoch, sequence) in acknowledged {
        let expected = batch(*by, *epoch, *sequence);
        let found = by_number.get(&expected.number());
        assert_eq!(
            found.map(|batch| batch.as_bytes()),
            Some(expected.as_bytes()),
            "batch {}",
            expected.number()
        );
    }
}
