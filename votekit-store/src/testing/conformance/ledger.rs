//! The cases of [`crate::Ledger`].

mod leases;
mod log;
mod staging;

use leases::{
    a_block_of_a_deposed_leader_is_refused, a_fenced_epoch_is_given_no_lease, a_lead_runs_out,
    a_reader_never_misses_a_batch, leases_are_given_and_extended,
    leases_of_several_elections_are_renewed_in_one_call, leases_run_out,
    no_lease_is_given_to_an_epoch_there_is_not, no_lease_is_given_where_no_votes_are_taken,
    of_many_that_ask_one_leads, one_leads_until_it_resigns, remarks_are_kept_once_and_in_order,
    who_opens_the_same_place_shares_it_or_is_refused,
};
use log::{
    a_block_of_a_lower_term_is_refused, a_block_that_comes_too_late_is_refused,
    a_block_that_contradicts_itself_is_refused, a_block_that_does_not_follow_is_refused,
    another_block_in_the_heads_place_is_refused, blocks_are_read_from_a_height_on,
    committing_the_head_again_succeeds, full_tiles_are_kept, heads_and_blocks_survive_a_restart,
    leaves_are_read_in_any_range, only_one_of_two_competing_blocks_commits,
    positions_and_changes_follow_heads_and_staging, the_first_block_creates_the_log,
};
use staging::{
    a_number_belongs_to_one_batch, a_purged_batch_stays_purged, epochs_are_listed,
    epochs_are_never_given_twice, epochs_count_from_1, many_tasks_stage_at_once,
    numbers_are_of_an_election_a_node_and_an_epoch, places_ascend_in_order_of_arrival,
    purging_counts_and_spares_the_rest, sealed_batches_remain_as_evidence,
    staged_batches_are_read_in_parts, staging_again_gives_the_same_place,
    staging_survives_a_restart, the_highest_sequence_of_an_epoch_is_told,
    unsealed_batches_are_those_after_the_head,
};

use super::samples::{SampleLog, batches, law, node};
use super::{Case, CaseError, Outcome, Place, case, ensure, ensure_eq, exact_case};
use crate::{Conflict, EngineError, Hints, StagingId};

pub(super) const CASES: &[Case] = &[
    case!(a_new_ledger_is_empty),
    case!(the_engine_answers_a_ping),
    case!(manifests_are_named_by_their_digest),
    case!(places_ascend_in_order_of_arrival),
    case!(staging_again_gives_the_same_place),
    case!(a_number_belongs_to_one_batch),
    case!(numbers_are_of_an_election_a_node_and_an_epoch),
    case!(staged_batches_are_read_in_parts),
    case!(staging_survives_a_restart),
    case!(many_tasks_stage_at_once),
    case!(the_highest_sequence_of_an_epoch_is_told),
    case!(unsealed_batches_are_those_after_the_head),
    case!(sealed_batches_remain_as_evidence),
    exact_case!(purging_counts_and_spares_the_rest),
    case!(a_purged_batch_stays_purged),
    exact_case!(epochs_count_from_1),
    case!(epochs_are_never_given_twice),
    case!(epochs_are_listed),
    case!(the_first_block_creates_the_log),
    case!(heads_and_blocks_survive_a_restart),
    case!(a_block_that_does_not_follow_is_refused),
    case!(a_block_of_a_lower_term_is_refused),
    case!(a_block_that_comes_too_late_is_refused),
    case!(a_block_that_contradicts_itself_is_refused),
    case!(committing_the_head_again_succeeds),
    case!(another_block_in_the_heads_place_is_refused),
    case!(only_one_of_two_competing_blocks_commits),
    case!(blocks_are_read_from_a_height_on),
    case!(leaves_are_read_in_any_range),
    case!(full_tiles_are_kept),
    case!(positions_and_changes_follow_heads_and_staging),
    case!(leases_are_given_and_extended),
    case!(leases_of_several_elections_are_renewed_in_one_call),
    case!(leases_run_out),
    case!(no_lease_is_given_where_no_votes_are_taken),
    case!(a_fenced_epoch_is_given_no_lease),
    case!(no_lease_is_given_to_an_epoch_there_is_not),
    case!(one_leads_until_it_resigns),
    case!(a_lead_runs_out),
    case!(of_many_that_ask_one_leads),
    case!(a_block_of_a_deposed_leader_is_refused),
    case!(remarks_are_kept_once_and_in_order),
    case!(a_reader_never_misses_a_batch),
    case!(who_opens_the_same_place_shares_it_or_is_refused),
];

/// Ends a case unless a call was refused with the expected conflict.
fn expect_conflict<T: std::fmt::Debug>(
    answer: Result<T, EngineError>,
    expected: impl Fn(&Conflict) -> bool,
    what: &str,
) -> Outcome {
    match answer {
        Err(EngineError::Conflict(conflict)) if expected(&conflict) => Ok(()),
        answer => Err(CaseError::Broken {
            expectation: format!("{what}: expected to be refused, found {answer:?}"),
        }),
    }
}

async fn a_new_ledger_is_empty(place: &dyn Place) -> Outcome {
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

async fn the_engine_answers_a_ping(place: &dyn Place) -> Outcome {
    let ledger = place.open().await?.ledger;
    ledger.ping().await?;
    for batch in batches(&law("L1"), 3) {
        ledger.stage(&batch, &Hints::new()).await?;
    }
    SampleLog::new(&law("L1")).grow(&*ledger, 1).await?;
    Ok(ledger.ping().await?)
}

async fn manifests_are_named_by_their_digest(place: &dyn Place) -> Outcome {
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
