//! The cases of [`crate::Ledger`].

mod leadership;
mod log;
mod rounds;
mod certified_blocks;
mod leases;
mod old_rows;
mod repair;
mod staging;
mod witnessed;

use votekit_core::log::merkle::TreeHash;

use super::samples::{SampleLog, batches, law, node};
use super::{
    Case, CaseError, Outcome, TestStorage, case, ensure, ensure_eq, exact_case, expect_conflict,
};
use crate::{Conflict, Hints, RowId, RowsRead, StagingId};

/// By file, in the order of the contract.
pub(super) const CASES: [&[Case]; 10] = [
    CASES_OF_ALL,
    staging::CASES,
    log::CASES,
    leases::CASES,
    leadership::CASES,
    rounds::CASES,
    certified_blocks::CASES,
    old_rows::CASES,
    repair::CASES,
    witnessed::CASES,
];

const CASES_OF_ALL: &[Case] = &[
    case!(a_new_ledger_is_empty),
    case!(the_engine_answers_a_ping),
    case!(manifests_are_named_by_their_digest),
    case!(sealed_keys_are_kept_for_each_recipient),
    exact_case!(a_purge_removes_sealed_keys),
    case!(the_last_record_of_each_node_is_kept),
];

async fn a_new_ledger_is_empty(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let law_id = law("L1");
    ensure_eq!(ledger.elections().await?, [], "elections");
    ensure_eq!(ledger.epochs(&law_id).await?, [], "epochs");
    ensure!(
        ledger.staged(&law_id, StagingId(0), 10).await?.is_empty(),
        "a new ledger has staged batches"
    );
    ensure_eq!(
        ledger.staged_through(&law_id, node(1), votekit_core::id::Epoch(1)).await?,
        None,
        "the highest sequence"
    );
    ensure_eq!(ledger.head(&law_id).await?, None, "head");
    ensure_eq!(ledger.blocks(&law_id, 1, 10).await?, [], "blocks");
    ensure_eq!(ledger.leaves(&law_id, 0, 1).await?, None, "a leaf");
    ensure_eq!(ledger.tile(&law_id, 0, 0).await?, None, "tile");
    ensure_eq!(ledger.purge_evidence(&law_id).await?, 0, "batches purged");
    ensure_eq!(ledger.rows_after(RowId(0), 10).await?, RowsRead::default(), "rows of rounds");
    ensure_eq!(ledger.sealed_key(&law_id, &[1; 32]).await?, None, "a sealed key");
    let (root, names) = (TreeHash::from_bytes([1; 32]), ["w1".to_owned()]);
    let lines = ledger.witness_lines(&law_id, 0, &root, &names).await?;
    ensure_eq!(lines, [], "lines of witnesses");
    let latest = ledger.latest_witness_lines(&law_id, 9, &names).await?;
    ensure_eq!(latest, [], "last lines of witnesses");
    ensure!(ledger.node_records().await?.is_empty(), "a new ledger has records of nodes");
    Ok(())
}

async fn the_engine_answers_a_ping(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    ledger.ping().await?;
    for batch in batches(&law("L1"), 3) {
        ledger.stage(&batch, &Hints::new()).await?;
    }
    SampleLog::new(&law("L1")).grow(&*ledger, 1).await?;
    Ok(ledger.ping().await?)
}

async fn manifests_are_named_by_their_digest(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let manifests = [&b"first"[..], b"", &[0xff; 100_000]];
    for manifest in manifests.iter().chain(&manifests) {
        let digest = ledger.put_manifest(manifest).await?;
        ensure_eq!(digest, votekit_core::id::Digest::compute(manifest), "the manifest's name");
    }
    drop(ledger);
    let ledger = storage.open().await?.ledger;
    for manifest in manifests {
        let found = ledger.manifest(&votekit_core::id::Digest::compute(manifest)).await?;
        ensure!(
            found.as_deref() == Some(manifest),
            "a manifest of {} bytes was not kept",
            manifest.len()
        );
    }
    ensure_eq!(
        ledger.manifest(&votekit_core::id::Digest::compute(b"other")).await?,
        None,
        "a manifest that was never put"
    );
    Ok(())
}

async fn sealed_keys_are_kept_for_each_recipient(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let (one, other) = ([1; 32], [2; 32]);
    ledger.put_sealed_key(&law("L1"), &one, b"first").await?;
    ledger.put_sealed_key(&law("L1"), &other, b"").await?;
    ledger.put_sealed_key(&law("L2"), &one, &[0xff; 5000]).await?;
    ledger.put_sealed_key(&law("L1"), &one, b"second").await?;
    ensure_eq!(ledger.elections().await?, [], "a sealed key creates no log");
    drop(ledger);
    let ledger = storage.open().await?.ledger;
    for (law_id, recipient, expected) in [
        ("L1", one, Some(b"second".to_vec())),
        ("L1", other, Some(Vec::new())),
        ("L2", one, Some(vec![0xff; 5000])),
        ("L2", other, None),
        ("L3", one, None),
    ] {
        let found = ledger.sealed_key(&law(law_id), &recipient).await?;
        ensure_eq!(found, expected, format!("the key of {law_id} for {}", recipient[0]));
    }
    let mut recipients = ledger.sealed_key_recipients().await?;
    recipients.sort_unstable();
    let expected = [(law("L1"), one), (law("L1"), other), (law("L2"), one)];
    ensure_eq!(recipients, expected, "the recipients of all keys");
    Ok(())
}

async fn a_purge_removes_sealed_keys(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    for batch in batches(&law("L1"), 3) {
        ledger.stage(&batch, &Hints::new()).await?;
    }
    for law_id in ["L1", "L2"] {
        ledger.put_sealed_key(&law(law_id), &[1; 32], b"key").await?;
    }
    ensure_eq!(ledger.purge_evidence(&law("L1")).await?, 3, "batches purged");
    ensure_eq!(ledger.sealed_key(&law("L1"), &[1; 32]).await?, None, "the key that was purged");
    let left = ledger.sealed_key_recipients().await?;
    ensure_eq!(left, [(law("L2"), [1; 32])], "the recipients that are left");
    ensure!(
        ledger.sealed_key(&law("L2"), &[1; 32]).await?.is_some(),
        "the key of another election was purged too"
    );
    Ok(())
}

async fn the_last_record_of_each_node_is_kept(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let records: [(&str, &[u8]); 4] = [("b", b"first"), ("Z", b"z"), ("é", b""), ("b", b"second")];
    for (name, bytes) in records {
        ledger.put_node_record(name, bytes).await?;
    }
    let malformed = |conflict: &Conflict| matches!(conflict, Conflict::Malformed { .. });
    let too_long = "x".repeat(256);
    for name in ["", "a\0b", too_long.as_str()] {
        let refused = ledger.put_node_record(name, b"bytes").await;
        expect_conflict(refused, malformed, "a name that breaks a rule")?;
    }
    drop(ledger);
    let expected = [("Z", "z"), ("b", "second"), ("é", "")]
        .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    let found = storage.open().await?.ledger.node_records().await?;
    ensure_eq!(found, expected, "records after a restart");
    Ok(())
}
