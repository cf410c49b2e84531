//! Reports rows of staging whose bytes another program has removed or changed, or that it has
//! moved.

use std::time::Instant;

use votekit_core::batch::Batch;

use crate::log_summary::LogSummary;

/// Limits the lines about such rows: anyone who can write to the ledger can empty all of them.
static ROWS_EMPTIED: LogSummary = LogSummary::new();

/// Limits the lines about batches that are staged again for another reason.
static ROWS_REPLACED: LogSummary = LogSummary::new();

/// Reports that a batch is staged again because its row was not whole, or was below the position of
/// its readers.
pub(crate) fn report_restaged(batch: &Batch) {
    if let Some(count) = ROWS_REPLACED.due(Instant::now()) {
        tracing::error!(
            event = "batch_restaged",
            alarm = true,
            batch = %batch.number(),
            law_id = %batch.header().law_id,
            count,
            "the row of an undecided batch was changed or moved: it is staged again"
        );
    }
}

/// Reports that the bytes of a staged batch were gone, and are stored again.
pub(crate) fn report_bytes_restored(batch: &Batch) {
    if let Some(count) = ROWS_EMPTIED.due(Instant::now()) {
        tracing::error!(
            event = "batch_bytes_restored",
            alarm = true,
            batch = %batch.number(),
            law_id = %batch.header().law_id,
            count,
            "the row of a batch had lost its bytes, or had others: they are stored again"
        );
    }
}
