//! The cases of [`crate::Ledger`].

mod leases;
mod log;
mod staging;

use super::samples::{SampleLog, batches, law, node};
use super::{Case, CaseError, Outcome, TestStorage, case, ensure, ensure_eq};
use crate::{Hints, StagingId};

/// By file, in the order of the contract.
pub(super) const CASES: [&[Case]; 4] = [CASES_OF_ALL, staging::CASES, log::CASES, leases::CASES];

const CASES_OF_ALL: &[Case] = &[
    case!(a_new_ledger_is_empty),
    case!(the_engine_answers_a_ping),
    case!(manifests_are_named_by_their_digest),
];

async fn a_new_ledger_is_empty(place: &dyn TestStorage) -> Outcome {
    let ledger = place.open().await?.ledger;
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
    Ok(())
}

async fn the_engine_answers_a_ping(place: &dyn TestStorage) -> Outcome {
    let ledger = place.open().await?.ledger;
    ledger.ping().await?;
    for batch in batches(&law("L1"), 3) {
        ledger.stage(&batch, &Hints::new()).await?;
    }
    SampleLog::new(&law("L1")).grow(&*ledger, 1).await?;
    Ok(ledger.ping().await?)
}

async fn manifests_are_named_by_their_digest(place: &dyn TestStorage) -> Outcome {
    let ledger = place.open().await?.ledger;
    let manifests = [&b"first"[..], b"", &[0xff; 100_000]];
    for manifest in manifests.iter().chain(&manifests) {
        let digest = ledger.put_manifest(manifest).await?;
        ensure_eq!(digest, votekit_core::id::Digest::of(manifest), "the manifest's name");
    }
    drop(ledger);
    let ledger = place.open().await?.ledger;
    for manifest in manifests {
        let found = ledger.manifest(&votekit_core::id::Digest::of(manifest)).await?;
        ensure!(
            found.as_deref() == Some(manifest),
            "a manifest of {} bytes was not kept",
            manifest.len()
        );
    }
    ensure_eq!(
        ledger.manifest(&votekit_core::id::Digest::of(b"other")).await?,
        None,
        "a manifest that was never put"
    );
    Ok(())
}
