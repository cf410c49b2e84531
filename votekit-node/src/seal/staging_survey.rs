//! The survey of staging: which places the ledger has for the batches that are not sealed.
//!
//! A reader goes on after the last batch that it read. It would pass over a batch that appears
//! below, and over a row whose bytes another program has removed: such a row looks like that of a
//! purged batch, and nothing is purged before the log of an election is certified. So a reader
//! compares all places above the sealed ones with those that it has read: once a second while it
//! reads and while it has batches that are not sealed, and once a minute otherwise.
//!
//! A row that is no batch is passed over. A batch that this node has and that stays undecided may
//! have such a row, or one that lies among the sealed ones: it is staged again above those.

use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_core::batch::Batch;
use votekit_core::election::State;
use votekit_store::log_summary::LogSummary;
use votekit_store::retry::until_definite;
use votekit_store::{Conflict, EngineError, Hints, StagedPlace, StagingId, UnreadableRow};

use crate::error::ElectionFault;
use crate::recovery::restaging::{is_purged_by_now, restage, stage_above};
use crate::seal::seal_queue::is_next;
use crate::seal::sealer::Sealer;

/// The shortest time between two surveys of one election.
const INTERVAL: Duration = Duration::from_secs(1);

/// The longest time between two surveys of an election that takes batches.
const IDLE_INTERVAL: Duration = Duration::from_secs(60);

/// How long a batch may wait to be decided before the node stages it again.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// The most batches that are staged again at a time: the next one of each epoch.
const STALLED_MAX: usize = 16;

/// The number of rows that are not batches which one survey reads again, because they may have been
/// repaired. The next survey reads the rows after them.
const REREAD_MAX: usize = 8;

/// Places read in one survey. The next one goes on where the last ended.
const PLACES_PER_SURVEY: usize = 1024;

/// Limits the lines about rows without bytes: anyone who can write to the ledger can empty any
/// number of them.
static EMPTIED: LogSummary = LogSummary::new();

/// Limits the lines about rows that are no batches.
static UNREADABLE: LogSummary = LogSummary::new();

impl Sealer {
    /// Whether a survey is due although nothing is read.
    pub(crate) fn needs_survey(&self) -> bool {
        let is_idle = !self.survey.has_unsurveyed_read
            && self.election.unsealed.is_empty()
            && self.seal_queue.is_empty();
        let interval = if is_idle { IDLE_INTERVAL } else { INTERVAL };
        self.surveys() && self.survey.last.elapsed() >= interval
    }

    fn surveys(&self) -> bool {
        self.context.is_shared
            && self.context.reads_staging()
            && matches!(self.state(), State::Open | State::Closing)
    }

    /// Surveys staging, if that is due. Returns whether staging is read anew: then what was read of
    /// it before does not hold.
    pub(crate) async fn survey_staging(&mut self) -> Result<bool, ElectionFault> {
        if !self.surveys() {
            return Ok(false);
        }
        if self.survey.last.elapsed() < INTERVAL {
            // The last read of a burst is surveyed too, when the interval has passed.
            self.survey.has_unsurveyed_read = true;
            return Ok(false);
        }
        self.survey.last = Instant::now();
        self.survey.has_unsurveyed_read = false;
        let sealed_through = self.election.committed().sealed_through;
        self.seal_queue.forget_read(sealed_through);
        let after = self.survey.after.max(self.seal_queue.read_places().from());
        let (ledger, law_id) = (&self.context.ledger, self.election.law_id());
        let read = || ledger.staged_places(law_id, after, PLACES_PER_SURVEY);
        let places = until_definite("survey_staging", read).await?;
        let last = places.last().filter(|_| places.len() >= PLACES_PER_SURVEY);
        let surveyed = last.map_or(StagingId(u64::MAX), |place| place.id);
        self.survey.after = last.map_or(StagingId(0), |place| place.id);
        let through = surveyed.min(self.seal_queue.read_through());
        if !self.seal_queue.read_places().agree_with(&places, after, through) {
            self.take_up_lost_staging().await?;
            return Ok(true);
        }
        Ok(self.take_up_emptied(&places).await?
            || self.take_up_repaired().await?
            || self.restage_stalled().await?)
    }

    /// Passes over rows that are no batches, and reports them.
    pub(crate) fn pass_over(&mut self, rows: &[UnreadableRow]) {
        for UnreadableRow { id, reason } in rows {
            self.seal_queue.pass_over(*id);
            if let Some(count) = UNREADABLE.due(Instant::now()) {
                tracing::error!(
                    event = "staged_row_unreadable",
                    alarm = true,
                    law_id = %self.election.law_id(),
                    position = id.0,
                    reason,
                    count,
                    "a row of staging is no batch, skipped"
                );
            }
        }
    }

    /// Reads staging anew if a row that was passed over is a batch now: an operator has repaired
    /// it.
    async fn take_up_repaired(&mut self) -> Result<bool, ElectionFault> {
        let unreadable = self.seal_queue.read_places().unreadable_after(self.survey.reread_after);
        let unreadable: Vec<StagingId> = unreadable.take(REREAD_MAX).collect();
        // After the last ones, the first are next: any number of other rows may lie before one.
        let last = unreadable.last().copied().filter(|_| unreadable.len() == REREAD_MAX);
        self.survey.reread_after = last.unwrap_or(StagingId(0));
        let (ledger, law_id) = (&self.context.ledger, self.election.law_id());
        for id in unreadable {
            let before = StagingId(id.0.saturating_sub(1));
            let read = || ledger.read_staging(law_id, before, 1);
            let read = until_definite("survey_staging", read).await?;
            if read.batches.iter().any(|staged| staged.id == id) {
                self.begin_staging_anew().await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Stages batches again that this node has and that have not been decided for long, unless they
    /// are whole at a position that will be read. Most often they are, and wait for another reason.
    async fn restage_stalled(&mut self) -> Result<bool, ElectionFault> {
        if Instant::now() < self.survey.next_restage {
            return Ok(false);
        }
        self.survey.next_restage = Instant::now() + STALLED_AFTER;
        let stalled = {
            let log = self.election.log();
            let mut stalled = self.seal_queue.stalled(&log, STALLED_AFTER, STALLED_MAX);
            let own = self.election.unsealed.staged_for(STALLED_AFTER, Instant::now());
            stalled.extend(own.into_iter().filter(|own| is_next(&log, own.number())));
            stalled
        };
        let above = self.election.committed().sealed_through;
        let (hints, mut is_moved) = (Hints::new(), false);
        for batch in &stalled {
            let again = || restage(&self.context, &self.election, batch, &hints, above);
            match until_definite("stage_again", again).await {
                Ok(is_new) => is_moved |= is_new,
                // The first of two batches that were signed with one number counts. And another
                // program may have taken the new position: a later survey retries.
                Err(
                    EngineError::Conflict(Conflict::BatchNumber { .. })
                    | EngineError::Corrupt { .. },
                ) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if is_moved {
            self.begin_staging_anew().await?;
        }
        Ok(is_moved)
    }

    /// Reports the undecided batches whose bytes are gone, and stages those again that this node
    /// has. Any other one is missing, as if it had never been staged.
    async fn take_up_emptied(&mut self, places: &[StagedPlace]) -> Result<bool, ElectionFault> {
        let emptied = self.emptied(places);
        let is_purged = || is_purged_by_now(&self.context, &self.election);
        if !emptied.is_empty() && until_definite("survey_staging", is_purged).await? {
            // This node is behind: the log that it will read explains them.
            return Ok(false);
        }
        let copies: Vec<Arc<Batch>> =
            emptied.iter().filter_map(|place| self.own_copy(place)).collect();
        for place in emptied.iter().filter(|place| !self.survey.emptied.contains(place)) {
            if let Some(count) = EMPTIED.due(Instant::now()) {
                tracing::error!(
                    event = "staged_batch_emptied",
                    alarm = true,
                    law_id = %self.election.law_id(),
                    batch = %place.number,
                    has_copy = copies.iter().any(|copy| copy.number() == place.number),
                    count,
                    "the row of an undecided batch has lost its bytes"
                );
            }
        }
        self.survey.emptied = emptied;
        if copies.is_empty() {
            return Ok(false);
        }
        // At new places: those of the waiting ones are read again.
        let above = self.election.committed().sealed_through;
        stage_above(&self.context, &self.election, copies, above, above).await?;
        self.begin_staging_anew().await?;
        Ok(true)
    }

    /// The rows without bytes that no purge explains: of batches of admitted nodes that the own log
    /// has not decided.
    fn emptied(&self, places: &[StagedPlace]) -> Vec<StagedPlace> {
        let log = self.election.log();
        let epochs = log.decisions().epochs();
        let is_undecided = |place: &&StagedPlace| {
            let number = place.number;
            let progress = epochs.progress(number.node, number.epoch);
            !place.has_batch
                && !progress.ended
                && number.sequence > progress.through
                && log.node_key(number.node).is_some()
        };
        places.iter().filter(is_undecided).copied().collect()
    }

    /// The batch of a place, if this node has it: in its queue, or because it has published it.
    fn own_copy(&self, place: &StagedPlace) -> Option<Arc<Batch>> {
        let waiting = self.seal_queue.batch(&place.number).map(Arc::clone);
        let known = waiting.or_else(|| self.election.unsealed.batch(&place.number));
        known.filter(|batch| batch.digest() == place.digest)
    }
}
