//! Staging batches again whose rows another program has removed, changed or moved.
//!
//! A row that is not a batch, or that is at a position that readers have passed, counts as missing:
//! a node that has the batch stages it again, at a position above. This replaces the row with the
//! batch's number, unless that row is another batch that the same node signed: of two such batches
//! the first counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::try_join_all;
use votekit_core::batch::Batch;
use votekit_core::election::State;
use votekit_core::election_log::leaves_of_block;
use votekit_core::id::{BatchNumber, Digest};
use votekit_core::log::leaf::ElectionEvent;
use votekit_store::retry::until_definite;
use votekit_store::{Conflict, EngineError, Hints, StagingId};

use crate::authority::election_event;
use crate::context::NodeContext;
use crate::election::ElectionHandle;
use crate::error::ElectionFault;
use crate::recovery::is_decided;

/// The number of positions in one read, and the maximum number of reads: another program may have
/// inserted any number of rows. A batch that is not found among them is staged again, without
/// effect if it is there.
const PLACES_PER_READ: usize = 1024;
const READS_MAX: usize = 64;

/// How often staging is attempted against a program that keeps taking the next position.
const ATTEMPTS_MAX: usize = 16;

/// Batches staged at a time.
const STAGED_AT_ONCE: usize = 64;

/// Stages an undecided batch above a position, unless it is there with all its bytes. Returns
/// whether it has a new position. `above` is at most the position up to which the own log is
/// sealed, or that of a head that this log has reached.
///
/// # Errors
/// [`EngineError`], among others [`Conflict::BatchNumber`] when another batch of its node is stored
/// under its number.
pub(crate) async fn restage(
    context: &NodeContext,
    election: &ElectionHandle,
    batch: &Arc<Batch>,
    hints: &Hints,
    above: StagingId,
) -> Result<bool, EngineError> {
    // Nothing more is decided in another state, and evidence may have been destroyed. The row of a
    // batch that was decided since `above` was read must not move: it is sealed where it is.
    let is_over = !matches!(election.committed().state(), State::Open | State::Closing);
    if is_over || is_decided(&election.log(), &batch.number()) {
        return Ok(false);
    }
    if is_purged_by_now(context, election).await? {
        return Ok(false);
    }
    let signed = signed_row(context, election, batch).await?;
    if let Some(other) = signed.as_ref().filter(|other| other.digest() != batch.digest()) {
        let (law_id, number) = (election.law_id().clone(), batch.number());
        let (stored, offered) = (other.digest(), batch.digest());
        return Err(Conflict::BatchNumber { law_id, number, stored, offered }.into());
    }
    // A key can sign a batch twice. The bytes that are stored stay: the log may name their
    // signature, and two nodes with two copies would replace each other's for ever.
    let batch = signed.as_ref().unwrap_or(batch);
    Ok(context.ledger.restage(batch, hints, above).await?.is_new)
}

/// Stages the batch that the ledger has under a number again above the sealed positions, if its
/// node has signed it and it is undecided: another program may have moved its row to where readers
/// have passed, or have raised the position up to which staging counts as sealed. Returns whether
/// it has a new position.
///
/// # Errors
/// [`EngineError`] when the ledger fails.
pub(crate) async fn restage_stored(
    context: &NodeContext,
    election: &ElectionHandle,
    number: BatchNumber,
) -> Result<bool, EngineError> {
    let batch = match context.ledger.staged_batch(election.law_id(), number).await {
        Ok(Some(batch)) => batch,
        // Without its bytes nothing is left to stage.
        Ok(None) | Err(EngineError::Corrupt { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let is_signed = election.log().verify_batch(&batch).is_ok();
    if !is_signed {
        return Ok(false);
    }
    let above = election.committed().sealed_through;
    match restage(context, election, &batch, &Hints::new(), above).await {
        // Another program has changed the row since, or has taken the new position: a later call
        // tries again.
        Err(EngineError::Conflict(_) | EngineError::Corrupt { .. }) => Ok(false),
        staged => staged,
    }
}

/// Whether the evidence of an election was destroyed, perhaps by a block that this node has not
/// read yet: its process may have been suspended since the poll was open. To be called before a
/// batch is staged whose row may be that of a purged batch.
///
/// # Errors
/// [`EngineError`] when the ledger fails.
pub(crate) async fn is_purged_by_now(
    context: &NodeContext,
    election: &ElectionHandle,
) -> Result<bool, EngineError> {
    if !context.is_shared || election.log().is_purged() {
        return Ok(election.log().is_purged());
    }
    let (ledger, law_id) = (&context.ledger, election.law_id());
    let Some(head) = ledger.head(law_id).await? else { return Ok(false) };
    if head.takes_votes || head.height <= election.committed().height {
        return Ok(false);
    }
    // A purge is the last event of a log.
    let last = ledger.blocks(law_id, head.height, 1).await?;
    let leaves = last.iter().flat_map(|block| leaves_of_block(&block.leaves)).flatten();
    let mut events = leaves.filter_map(election_event);
    Ok(events.any(|event| matches!(event, ElectionEvent::Purged { .. })))
}

/// The batch that is stored under the number of a batch, if its node has signed it. One that is not
/// signed was written by another program.
async fn signed_row(
    context: &NodeContext,
    election: &ElectionHandle,
    batch: &Batch,
) -> Result<Option<Arc<Batch>>, EngineError> {
    match context.ledger.staged_batch(election.law_id(), batch.number()).await {
        Ok(stored) => Ok(stored.filter(|stored| election.log().verify_batch(stored).is_ok())),
        // The row cannot be read.
        Err(EngineError::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The digest of another batch that is stored under the number of a batch and is signed by its
/// node.
///
/// # Errors
/// [`EngineError`] when the ledger fails.
pub(crate) async fn other_signed(
    context: &NodeContext,
    election: &ElectionHandle,
    batch: &Batch,
) -> Result<Option<Digest>, EngineError> {
    let signed = signed_row(context, election, batch).await?;
    Ok(signed.map(|other| other.digest()).filter(|digest| *digest != batch.digest()))
}

/// Stages undecided batches again, except those that are staged above a position. They are looked
/// for after the position `after`.
///
/// # Errors
/// [`ElectionFault`] when the ledger fails.
pub(crate) async fn stage_above(
    context: &NodeContext,
    election: &ElectionHandle,
    batches: Vec<Arc<Batch>>,
    after: StagingId,
    above: StagingId,
) -> Result<(), ElectionFault> {
    let mut missing: BTreeMap<BatchNumber, Arc<Batch>> =
        batches.into_iter().map(|batch| (batch.number(), batch)).collect();
    let (ledger, law_id, mut after) = (&context.ledger, election.law_id(), after.max(above));
    for _ in 0..READS_MAX {
        if missing.is_empty() {
            return Ok(());
        }
        let read = || ledger.staged_places(law_id, after, PLACES_PER_READ);
        let places = until_definite("stage_again", read).await?;
        for place in places.iter().filter(|place| place.has_batch) {
            let found = missing.get(&place.number);
            if found.is_some_and(|batch| batch.digest() == place.digest) {
                missing.remove(&place.number);
            }
        }
        match places.last() {
            Some(last) if places.len() >= PLACES_PER_READ => after = last.id,
            _ => break,
        }
    }
    let is_purged = || is_purged_by_now(context, election);
    if missing.is_empty() || until_definite("stage_again", is_purged).await? {
        return Ok(());
    }
    let missing: Vec<Arc<Batch>> = missing.into_values().collect();
    for group in missing.chunks(STAGED_AT_ONCE) {
        let staging = group.iter().map(|batch| stage_missing(context, election, batch, above));
        try_join_all(staging).await?;
    }
    Ok(())
}

async fn stage_missing(
    context: &NodeContext,
    election: &ElectionHandle,
    batch: &Arc<Batch>,
    above: StagingId,
) -> Result<(), EngineError> {
    let hints = Hints::new();
    let stage = || stage_undecided(context, election, batch, &hints, above);
    for _ in 1..ATTEMPTS_MAX {
        match until_definite("stage_again", stage).await {
            // Another program may have taken the new position just before.
            Err(EngineError::Corrupt { .. }) if context.is_shared => {}
            // The first of two batches that were signed with one number counts.
            Err(EngineError::Conflict(Conflict::BatchNumber { .. })) if context.is_shared => {
                return Ok(());
            }
            staged => return staged,
        }
    }
    until_definite("stage_again", stage).await
}

/// Stages an undecided batch above a position, unless it is there. Does not wait for a ledger that
/// is unavailable.
///
/// # Errors
/// As [`restage`].
pub(crate) async fn stage_undecided(
    context: &NodeContext,
    election: &ElectionHandle,
    batch: &Arc<Batch>,
    hints: &Hints,
    above: StagingId,
) -> Result<(), EngineError> {
    // The ledger groups these calls; there is rarely another row.
    match context.ledger.stage(batch, hints).await {
        Ok(id) if id > above || !context.is_shared => Ok(()),
        Err(error) if !context.is_shared || !is_number_taken(&error) => Err(error),
        _ => restage(context, election, batch, hints, above).await.map(|_| ()),
    }
}

/// Whether another row has the number of a batch.
fn is_number_taken(error: &EngineError) -> bool {
    matches!(error.conflict(), Some(Conflict::BatchNumber { .. }))
        || matches!(error, EngineError::Corrupt { .. })
}
