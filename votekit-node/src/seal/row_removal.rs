//! Removes the rows of rounds that no round needs any more, as the leader: rows of blocks in the
//! log are removed with the next blocks (`quorum`); this module removes votes and suspicions of
//! terms that have ended, and refusals.
//!
//! Rows carry no time. Once a minute each authority records which row is the last, so that it knows
//! the age of rows if it leads later. Refusals stay ten minutes, so that people can see them; they
//! are in the memory of the authority that signed them, in its log lines and in its audit log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_store::{EngineError, RowId};

use crate::context::NodeContext;

/// The age at which a row is removed.
const ROW_AGE_MIN: Duration = Duration::from_secs(600);

/// The pause between two polls.
const POLL_INTERVAL: Duration = Duration::from_secs(60);

/// Rows removed in one call.
const ROWS_PER_CALL: usize = 1000;

/// The maximum number of calls after one poll: the rest is removed after later polls.
const CALLS_MAX: u32 = 20;

/// Polls once a minute as long as the node runs, and removes old rows while it leads.
pub(crate) async fn run(context: Arc<NodeContext>) {
    let mut ages = RowAges::default();
    loop {
        if let Err(error) = remove(&context, &mut ages).await {
            tracing::debug!(event = "old_rows_not_removed", %error, "old rows not removed");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn remove(context: &NodeContext, ages: &mut RowAges) -> Result<(), EngineError> {
    let last = context.ledger.rows_after(RowId(u64::MAX), 0).await?.last;
    let through = ages.note(Instant::now(), last);
    if through == RowId(0) || context.leader_lease.term().is_none() {
        return Ok(());
    }
    for _ in 0..CALLS_MAX {
        let removed = context.ledger.remove_old_rows(through, ROWS_PER_CALL).await?;
        if removed > 0 {
            tracing::debug!(event = "old_rows_removed", removed, "rows of old rounds removed");
        }
        if removed < ROWS_PER_CALL as u64 {
            break;
        }
    }
    Ok(())
}

/// Which row was the last at which time.
#[derive(Debug, Default)]
struct RowAges {
    polled: VecDeque<(Instant, RowId)>,
    /// Every row up to this one is older than [`ROW_AGE_MIN`].
    old_through: RowId,
}

impl RowAges {
    /// Records the last row. Returns the last row that is older than the limit.
    fn note(&mut self, now: Instant, last: RowId) -> RowId {
        if self.polled.back().is_some_and(|(_, known)| last < *known) {
            // The ledger was restored from an older copy: the ages of its rows are unknown.
            *self = Self::default();
        }
        self.polled.push_back((now, last));
        while let Some((at, id)) = self.polled.front()
            && now.duration_since(*at) >= ROW_AGE_MIN
        {
            self.old_through = *id;
            self.polled.pop_front();
        }
        self.old_through
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_old_ten_minutes_after_they_were_the_last() {
        let mut ages = RowAges::default();
        let began = Instant::now();
        let mut note =
            |minute: u64, last| ages.note(began + Duration::from_secs(60 * minute), RowId(last)).0;
        assert_eq!([note(0, 5), note(1, 7), note(9, 9)], [0, 0, 0]);
        assert_eq!([note(10, 9), note(11, 20), note(12, 30)], [5, 7, 7]);
        assert_eq!(note(30, 31), 30);
        assert_eq!(note(31, 8), 0, "the ledger was rolled back");
        assert_eq!([note(40, 9), note(41, 9)], [0, 8]);
    }
}
