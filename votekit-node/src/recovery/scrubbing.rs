//! Scrubbing after a start from a snapshot: reads the whole log and the evidence again while votes
//! are taken, at a low pace and with bounded memory.
//!
//! A start that replays a log has read all of it; a start from a snapshot has not. Damage in old
//! leaves or batches, or a snapshot that contradicts the log, would show only at the recount.
//! Therefore the node searches for damage as soon as it serves, and halts the election if it finds
//! any.

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_core::election::State;
use votekit_core::election_log::{Scrub, ScrubError};
use votekit_core::id::RequestId;
use votekit_store::retry::until_definite;
use votekit_store::{EngineError, StagingId, StoredBlock};

use crate::context::NodeContext;
use crate::election::ElectionHandle;
use crate::error::ElectionFault;
use crate::memory::with_overwritten_stack;
use crate::metrics;
use crate::recovery::{EvidenceReader, READ_BATCH_LEN};
use crate::roll_store::Rolls;

/// Seconds of rest for each second of work: voting has priority.
const REST_FACTOR: u32 = 3;

/// Interval between progress log lines.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Reads the log of an election again, as a task. If anything is wrong the election is halted.
pub(crate) async fn run(context: Arc<NodeContext>, election: Arc<ElectionHandle>, scrub: Scrub) {
    let began = Instant::now();
    match read_all(&context, &election, scrub).await {
        Ok(leaves) => {
            let seconds = began.elapsed().as_secs();
            tracing::info!(
                event = "log_scrubbed",
                law_id = %election.law_id(),
                leaves,
                seconds,
                "log verified in the background, no damage found"
            );
        }
        Err(error) => {
            tracing::error!(
                event = "log_damaged",
                alarm = true,
                law_id = %election.law_id(),
                %error,
                "log, evidence or snapshot damaged"
            );
            context.fail_election(&election, &error);
        }
    }
}

async fn read_all(
    context: &Arc<NodeContext>,
    election: &Arc<ElectionHandle>,
    mut scrub: Scrub,
) -> Result<u64, ElectionFault> {
    let damaged = |error: &dyn Display| {
        let law_id = election.law_id();
        ElectionFault::damaged(format!("the log of {law_id} was re-read and is damaged: {error}"))
    };
    // A failed disk, for one, concerns all elections.
    let unreadable = |error: EngineError| match error {
        EngineError::Corrupt { .. } => damaged(&error),
        error => ElectionFault::Engine(error),
    };
    let mut evidence = EvidenceReader::new(election.law_id().clone(), StagingId(0));
    let mut last_logged = Instant::now();
    while let Some(height) = scrub.next_height() {
        let read = || context.ledger.blocks(election.law_id(), height, READ_BATCH_LEN);
        let blocks = until_definite("scrub_log", read).await.map_err(unreadable)?;
        if blocks.is_empty() {
            return Err(damaged(&format_args!("block {height} is missing")));
        }
        let began = Instant::now();
        for block in &blocks {
            evidence.read_for(&*context.ledger, block, |_| false).await.map_err(unreadable)?;
        }
        let (sharing, reading) = (Arc::clone(context), Arc::clone(election));
        let blocking = tokio::task::spawn_blocking(move || {
            let before = scrub.size();
            let read = with_overwritten_stack(|| {
                blocks.iter().try_for_each(|block| {
                    read_block(&sharing, &reading, &mut scrub, &mut evidence, block)
                })
            });
            metrics::scrubbed(scrub.size() - before);
            (read, scrub, evidence)
        });
        let read;
        (read, scrub, evidence) = blocking.await.map_err(|error| damaged(&error))?;
        read.map_err(|error| damaged(&error))?;
        if last_logged.elapsed() > LOG_INTERVAL {
            last_logged = Instant::now();
            tracing::info!(
                event = "log_scrub_progressed",
                law_id = %election.law_id(),
                leaves = scrub.size(),
                "log being verified in the background"
            );
        }
        tokio::time::sleep(began.elapsed() * REST_FACTOR).await;
    }
    scrub.finish().map(|()| scrub.size()).map_err(|error| damaged(&error))
}

/// Reads one block, if it is the next one: blocks sealed since the start were read when they were
/// made.
fn read_block(
    context: &NodeContext,
    election: &ElectionHandle,
    scrub: &mut Scrub,
    evidence: &mut EvidenceReader,
    block: &StoredBlock,
) -> Result<(), ScrubError> {
    if scrub.next_height() != Some(block.height) {
        return Ok(());
    }
    // The log is locked for one batch at a time only.
    let find_first = |requests: &[RequestId]| {
        let log = election.log();
        let index = log.decisions().requests();
        requests.iter().map(|request| index.find_first(request)).collect()
    };
    let ballot_key = election.ballot_key();
    // Only from `Certified` on may a purge be under way or done: key and evidence of any other
    // election must be there.
    let purged = election.committed().state() >= State::Certified;
    let rolls = Rolls::new(&context.folder, election.law_id());
    let mut source = evidence.source(ballot_key.as_ref(), Some(&rolls));
    scrub.read(&block.leaves, &find_first, purged, &mut source)
}
