//! The round about the first block of an election, on authorities that do not have the election
//! yet.
//!
//! An authority accepts a draft only if its keys were encrypted to this authority. Therefore a
//! quorum can open every vote that is encrypted to the ballot key of the draft.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use votekit_core::authority::LogPoint;
use votekit_core::election::State;
use votekit_core::election_log::ElectionLog;
use votekit_core::id::ElectionId;
use votekit_store::{StagingId, StoredBlock};

use crate::authority::{AuthorityContext, ProposalRow};
use crate::context::{NodeContext, Owner};
use crate::election::CheckpointSigner;
use crate::error::{ElectionFault, NodeError};
use crate::recovery::election_keys;
use crate::seal::event_facts::check_draft;
use crate::seal::proposals::NotMade;
use crate::seal::round::{APPEND_DELAY, Accepted, QuorumSeen, Round, RoundBlock};
use crate::seal::seal_queue::StagingMark;

/// How long an authority takes part in the round about a draft if no other draft waits.
const DRAFT_TIMEOUT: Duration = Duration::from_secs(60);

/// The pause between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The pause after a first block that was not accepted, before it is checked again.
const FAILURE_PAUSE: Duration = Duration::from_secs(2);

/// Starts tasks for proposed first blocks of elections that this authority does not have; the rest
/// waits until a task ends.
pub(crate) fn start_draft_tasks(context: &Arc<NodeContext>, authority: &Arc<AuthorityContext>) {
    // Drafts of other leaderships stay in the ledger forever if no log begins with them.
    let Some(promise) = authority.promise() else { return };
    let drafts =
        authority.board.drafts(&promise).into_iter().filter(|law_id| {
            context.election(law_id).is_none() && context.damaged(law_id).is_none()
        });
    let drafts: BTreeSet<ElectionId> = drafts.collect();
    let started = context.drafting.lock().start(drafts);
    for law_id in started {
        let (task, authority) = (Arc::clone(context), Arc::clone(authority));
        context.spawn(Owner::Node, async move {
            let changes = authority.board.changes(&law_id);
            let took_part = AssertUnwindSafe(take_part(&task, &authority, &law_id));
            let fault = match took_part.catch_unwind().await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                // No other election depends on one that has not begun.
                Err(_) => Some("a task panicked".to_owned()),
            };
            if let Some(error) = fault {
                tracing::error!(
                    event = "draft_not_accepted",
                    alarm = true,
                    %law_id,
                    error,
                    "the first block of an election was not accepted"
                );
                // Its row stays, and the draft is checked again after each row that is read.
                tokio::time::sleep(FAILURE_PAUSE).await;
            }
            let has_waiting = task.drafting.lock().end(&law_id);
            // A row that was read meanwhile did not start a task, because this task existed.
            if has_waiting || changes.has_changed().unwrap_or(false) {
                start_draft_tasks(&task, &authority);
            }
        });
    }
}

async fn take_part(
    context: &Arc<NodeContext>,
    authority: &Arc<AuthorityContext>,
    law_id: &ElectionId,
) -> Result<(), NodeError> {
    let began = Instant::now();
    let mut changes = authority.board.changes(law_id);
    let mut quorum_seen = QuorumSeen::default();
    while began.elapsed() < DRAFT_TIMEOUT
        && !context.drafting.lock().is_turn_over(began.elapsed())
        && context.election(law_id).is_none()
        && !authority.is_rolled_back()
    {
        changes.mark_unchanged();
        if context.ledger.head(law_id).await?.is_some() {
            return Ok(());
        }
        let rows = authority.board.rows(law_id, 1);
        let promise = authority.promise();
        let promised = rows.as_ref().and_then(|rows| {
            rows.proposals
                .iter()
                .find(|row| Some(&row.proposal.leadership) == promise.as_ref() && row.has_block())
        });
        if promised.is_none() {
            // Another leadership was promised since: its drafts need this task.
            return Ok(());
        }
        // A leader takes part in the round of its own block in `quorum`, not here.
        if let (Some(rows), Some(row)) = (&rows, promised)
            && row.proposal.leadership.leader != authority.name
            && let Some((round, block)) = make(context, authority, law_id, row).await?
        {
            let fault = |error: ElectionFault| NodeError::Round { error: error.to_string() };
            if let Accepted::Stored =
                round.accept(&block, &row.proposal, rows).await.map_err(fault)?
                && round.cosign(&block, rows).await.map_err(fault)?.is_ok()
                && let Some(rows) = round.rows(1)
                && round.valid_lines(&block, &rows).len() >= authority.set.quorum()
                && quorum_seen.elapsed(block.point) >= APPEND_DELAY
            {
                let fence = row.proposal.leadership.term;
                round.append(&block, &rows, fence).await.map_err(fault)?;
            }
        }
        let _ = tokio::time::timeout(POLL_INTERVAL, changes.changed()).await;
    }
    Ok(())
}

/// Makes the first block, if the keys of the election were encrypted to this authority.
async fn make(
    context: &Arc<NodeContext>,
    authority: &Arc<AuthorityContext>,
    law_id: &ElectionId,
    row: &ProposalRow,
) -> Result<Option<(Round, RoundBlock)>, NodeError> {
    election_keys::obtain(context, law_id).await?;
    let Some(ballot_key) = context.folder.ballot_key(law_id)? else { return Ok(None) };
    let log = ElectionLog::check_first(&row.leaves)
        .map_err(|error| NodeError::Round { error: error.to_string() })?;
    let definition = log.definition();
    if definition.law_id != *law_id || definition.ballot_key != ballot_key.public_key() {
        return Err(NodeError::Round {
            error: "the ballot key of the draft is not the one sealed to this authority".into(),
        });
    }
    match check_draft(context, authority, law_id, row, definition) {
        Ok(()) => {}
        Err(NotMade::Later { what, .. }) => {
            tracing::debug!(event = "proposal_waits", %law_id, what, "draft not decided yet");
            return Ok(None);
        }
        Err(NotMade::Refused { leaf, rule, .. }) => {
            return Err(NodeError::Round {
                error: format!("leaf {leaf} of the draft breaks the rule {rule}"),
            });
        }
    }
    let point = LogPoint { height: 1, size: log.tree().size(), root: log.root() };
    let signer = Arc::new(CheckpointSigner::new(&context.folder, law_id, definition.binding)?);
    let block = RoundBlock {
        stored: StoredBlock {
            height: 1,
            first_leaf: 0,
            leaf_count: u32::try_from(point.size).unwrap_or(u32::MAX),
            leaves: row.leaves.to_vec(),
        },
        full_tiles: Vec::new(),
        point,
        sealed_at: log.updated_at(),
        takes_votes: log.state() == State::Open,
        sealed_through: StagingMark::from_head(StagingId(0)),
        batches: Vec::new(),
    };
    let round = Round {
        context: Arc::clone(context),
        authority: Arc::clone(authority),
        signer,
        law_id: law_id.clone(),
    };
    Ok(Some((round, block)))
}
