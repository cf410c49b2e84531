//! The seal queue: batches that are staged and not in the log, each read once, in staging order.
//!
//! Batches of one node may be staged out of order, since they travel through several queues. Each
//! waits here for its predecessor and holds up no others. A leader takes the next block out of the
//! queue; a follower finds the evidence of the leader's block in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_core::batch::{Batch, VerifiedBatch};
use votekit_core::election::State;
use votekit_core::election_log::ElectionLog;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, Sequence};
use votekit_core::instant::UnixMinutes;
use votekit_store::{Staged, StagingId};

use crate::seal::read_positions::ReadPositions;

/// How far in the future a stamp may be before its batch has to wait, in milliseconds.
const FUTURE_MILLIS_MAX: u64 = 60_000;

/// How long a batch may wait for its predecessor before an alarm: the predecessor was confirmed,
/// and is in flight in another queue.
const GAP_ALARM_TIMEOUT: Duration = Duration::from_secs(10);

/// Read-ahead limit in bytes. Exceeded only to fetch the evidence of a block or a missing
/// predecessor.
const BYTES_MAX: usize = 64 << 20;

/// Votes after which a block takes no further batch: its leaves are one row, of some 50 MB then.
const BLOCK_VOTES_MAX: usize = 1 << 18;

/// A position in staging, up to which batches were read or are sealed, and the batch there.
/// Positions begin anew in a ledger that was rolled back: the batch shows whether one still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StagingMark {
    pub(crate) id: StagingId,
    /// The batch that was read there; `None` for a position that was taken from the head, where the
    /// ledger compared it.
    pub(crate) batch: Option<Digest>,
}

impl StagingMark {
    /// The position of the head.
    pub(crate) fn from_head(id: StagingId) -> Self {
        Self { id, batch: None }
    }

    /// This position, or that of the head if it is not below: what is sealed stays sealed.
    pub(crate) fn at_least(self, sealed_through: StagingId) -> Self {
        if self.id > sealed_through { self } else { Self::from_head(sealed_through) }
    }
}

/// Batches that are staged and not in the log.
#[derive(Debug)]
pub(crate) struct SealQueue {
    /// The last batch read.
    last: StagingMark,
    /// The last row read that is no batch. Nothing is sealed through it, unless a batch is above.
    passed: StagingId,
    read: ReadPositions,
    waiting: BTreeMap<StagingId, Waiting>,
    positions: HashMap<BatchNumber, StagingId>,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    batch: Arc<Batch>,
    /// The batch of the election that was read before it, waiting or not.
    before: StagingMark,
    since: Instant,
    /// Whether an alarm was raised for it.
    alarmed: bool,
}

/// The verdict on a waiting batch.
enum Turn {
    /// It can be sealed.
    Next(VerifiedBatch),
    /// It is in the log.
    Sealed,
    /// It will never be sealed.
    Refused,
    /// Its predecessor is not in the log or in this block yet.
    AfterOther(VerifiedBatch),
    /// Its stamp lies in the future.
    Later,
}

impl SealQueue {
    /// An empty queue that reads after a staging id.
    pub(crate) fn new(sealed_through: StagingId) -> Self {
        Self {
            last: StagingMark::from_head(sealed_through),
            passed: StagingId(0),
            read: ReadPositions::new(sealed_through),
            waiting: BTreeMap::new(),
            positions: HashMap::new(),
            bytes: 0,
        }
    }

    /// Whether the queue is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The staging id of the last row read.
    pub(crate) fn read_through(&self) -> StagingId {
        self.last.id.max(self.passed)
    }

    /// The last batch read.
    pub(crate) fn last(&self) -> StagingMark {
        self.last
    }

    /// The positions that were read and are not forgotten.
    pub(crate) fn read_positions(&self) -> &ReadPositions {
        &self.read
    }

    /// Forgets which batches were read up to a position: they are sealed.
    pub(crate) fn forget_read(&mut self, sealed_through: StagingId) {
        self.read.forget(sealed_through);
    }

    /// Notes the batch at the position from which the queue reads, before any was read.
    pub(crate) fn note_first(&mut self, batch: Digest) {
        self.last.batch = self.last.batch.or(Some(batch));
    }

    /// Whether the queue is below its read-ahead limit.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes < BYTES_MAX
    }

    /// Adds a batch that was read after [`SealQueue::read_through`].
    pub(crate) fn put(&mut self, Staged { id, batch, .. }: Staged) {
        let digest = batch.digest();
        self.read.add(id, digest);
        // Its row may have moved here, after the ledger had lost its bytes.
        if let Some(moved) = self.positions.get(&batch.number()).copied() {
            self.remove_at(moved);
        }
        let mark = StagingMark { id, batch: Some(digest) };
        let before = std::mem::replace(&mut self.last, mark);
        // Also beyond the limit: a block in the log cannot be checked without its evidence.
        self.bytes += batch.as_bytes().len();
        self.positions.insert(batch.number(), id);
        self.waiting.insert(id, Waiting { batch, before, since: Instant::now(), alarmed: false });
    }

    /// Records that a batch was read after [`SealQueue::read_through`] that this node does not
    /// decide, or that is decided: it is not added.
    pub(crate) fn skip(&mut self, staged: &Staged) {
        let digest = staged.batch.digest();
        self.read.add(staged.id, digest);
        self.last = StagingMark { id: staged.id, batch: Some(digest) };
    }

    /// Records that a row was read after [`SealQueue::read_through`] that is no batch.
    pub(crate) fn pass_over(&mut self, id: StagingId) {
        self.read.add_unreadable(id);
        self.passed = self.passed.max(id);
    }

    /// The waiting batches that are the next of their epochs, `most` at most, if they have waited
    /// for at least `age`.
    pub(crate) fn stalled(&self, log: &ElectionLog, age: Duration, most: usize) -> Vec<Arc<Batch>> {
        let old = self.waiting.values().filter(|waiting| waiting.since.elapsed() >= age);
        let is_next = |batch: &&Arc<Batch>| is_next(log, batch.number());
        let batches = old.map(|waiting| &waiting.batch).filter(is_next);
        batches.filter(|batch| log.verify_batch(batch).is_ok()).take(most).map(Arc::clone).collect()
    }

    /// A waiting batch.
    pub(crate) fn batch(&self, number: &BatchNumber) -> Option<&Arc<Batch>> {
        self.waiting.get(self.positions.get(number)?).map(|waiting| &waiting.batch)
    }

    /// The waiting batches, in staging order.
    pub(crate) fn batches(&self) -> impl Iterator<Item = &Arc<Batch>> {
        self.waiting.values().map(|waiting| &waiting.batch)
    }

    /// The latest stamp in a waiting batch of an admitted node, but for batches that wait because
    /// their stamp is ahead of the clock.
    pub(crate) fn latest_stamp(&self, log: &ElectionLog, now_millis: u64) -> Option<UnixMinutes> {
        let sound = self.batches().filter(|batch| log.verify_batch(batch).is_ok());
        let stamps = sound.filter_map(|batch| latest_stamp(batch));
        stamps.filter(|stamp| !is_ahead(*stamp, now_millis)).max()
    }

    /// The first waiting batch that could be in the next block.
    pub(crate) fn first_due(&self, log: &ElectionLog, now_millis: u64) -> Option<BatchNumber> {
        let is_due = |batch: &&Arc<Batch>| {
            !waits_for_clock(log, batch, now_millis)
                && is_next(log, batch.number())
                && log.verify_batch(batch).is_ok()
        };
        self.batches().find(is_due).map(|batch| batch.number())
    }

    /// Removes a batch that is now in the log.
    pub(crate) fn remove(&mut self, number: &BatchNumber) -> Option<Arc<Batch>> {
        let position = self.positions.get(number).copied()?;
        self.remove_at(position)
    }

    /// The last batch read up to which all are in the log or were refused, once the batches of
    /// `sealed` are in the log.
    pub(crate) fn sealed_through_with(&self, sealed: &[VerifiedBatch]) -> StagingMark {
        let numbers: Vec<BatchNumber> = sealed.iter().map(|batch| batch.number()).collect();
        self.sealed_through_numbers(&numbers)
    }

    /// As [`SealQueue::sealed_through_with`], for the numbers of batches.
    pub(crate) fn sealed_through_numbers(&self, sealed: &[BatchNumber]) -> StagingMark {
        let sealed: BTreeSet<StagingId> =
            sealed.iter().filter_map(|number| self.positions.get(number)).copied().collect();
        let mut left = self.waiting.iter().filter(|(id, _)| !sealed.contains(id));
        // Up to the batch before the first one that stays.
        left.next().map_or(self.last, |(_, first)| first.before)
    }

    /// Chooses the batches of the next block: `most` at most, and none after [`BLOCK_VOTES_MAX`]
    /// votes. They stay in the queue until the block is durable. Removes batches that are refused
    /// or already in the log.
    pub(crate) fn next_block(
        &mut self,
        log: &ElectionLog,
        now_millis: u64,
        most: usize,
    ) -> Vec<VerifiedBatch> {
        let mut block: Vec<VerifiedBatch> = Vec::new();
        let mut votes = 0;
        let mut gone = Vec::new();
        let mut expected = BTreeMap::new();
        let mut early: BTreeMap<BatchNumber, VerifiedBatch> = BTreeMap::new();
        for (id, waiting) in &mut self.waiting {
            if block.len() >= most || votes >= BLOCK_VOTES_MAX {
                break;
            }
            let number = waiting.batch.number();
            match turn(waiting, log, &mut expected, now_millis) {
                Turn::Later => {}
                // Its predecessor may follow: it travelled through another queue.
                Turn::AfterOther(batch) => {
                    early.insert(number, batch);
                }
                Turn::Sealed | Turn::Refused => gone.push(*id),
                Turn::Next(batch) => {
                    votes += batch.count();
                    block.push(batch);
                    // Its successors may have been staged before it.
                    let mut follower = number;
                    while block.len() < most && votes < BLOCK_VOTES_MAX {
                        follower.sequence = follower.sequence.next();
                        let Some(batch) = early.remove(&follower) else { break };
                        // `turn` compares only the next batch of an epoch with the clock.
                        if waits_for_clock(log, &batch, now_millis) {
                            break;
                        }
                        votes += batch.count();
                        block.push(batch);
                        // `turn` has counted the predecessor only.
                        expected.insert((follower.node, follower.epoch), follower.sequence.next());
                    }
                }
            }
        }
        for id in gone {
            self.remove_at(id);
        }
        block
    }

    /// Raises an alarm about a batch that the log does not accept, unless it has raised one.
    pub(crate) fn report_unsealable(&mut self, number: &BatchNumber, error: &dyn Display) {
        let Some(position) = self.positions.get(number) else { return };
        let Some(waiting) = self.waiting.get_mut(position) else { return };
        if !std::mem::replace(&mut waiting.alarmed, true) {
            tracing::error!(
                event = "batch_unsealable",
                alarm = true,
                batch = %number,
                %error,
                "staged batch cannot be sealed"
            );
        }
    }

    fn remove_at(&mut self, position: StagingId) -> Option<Arc<Batch>> {
        let Waiting { batch, .. } = self.waiting.remove(&position)?;
        self.positions.remove(&batch.number());
        self.bytes -= batch.as_bytes().len();
        Some(batch)
    }
}

/// Whether a batch is the next of its epoch.
pub(crate) fn is_next(log: &ElectionLog, number: BatchNumber) -> bool {
    let progress = log.decisions().epochs().progress(number.node, number.epoch);
    !progress.ended && number.sequence == progress.through.next()
}

/// Reports that a batch of staging is not where it was.
pub(crate) fn report_lost_staging(law_id: &ElectionId, mark: StagingMark) {
    tracing::error!(
        event = "staging_rolled_back",
        alarm = true,
        %law_id,
        position = mark.id.0,
        "the ledger has another batch, or none, at a position of staging that was read: it was \
         rolled back, staging is read again"
    );
}

fn turn(
    waiting: &mut Waiting,
    log: &ElectionLog,
    expected: &mut BTreeMap<(NodeId, Epoch), Sequence>,
    now_millis: u64,
) -> Turn {
    let Waiting { batch, since, alarmed, .. } = waiting;
    let number = batch.number();
    let progress = log.decisions().epochs().progress(number.node, number.epoch);
    if number.sequence <= progress.through {
        return Turn::Sealed;
    }
    let verified = match log.verify_batch(batch) {
        Ok(verified) => verified,
        Err(error) => {
            tracing::error!(
                event = "staged_batch_refused",
                alarm = true,
                batch = %number,
                %error,
                "staged batch refused"
            );
            return Turn::Refused;
        }
    };
    if progress.ended {
        tracing::error!(
            event = "staged_batch_refused",
            alarm = true,
            batch = %number,
            error = "its epoch has ended",
            "staged batch refused"
        );
        return Turn::Refused;
    }
    let next =
        expected.entry((number.node, number.epoch)).or_insert_with(|| progress.through.next());
    if number.sequence > *next {
        if !*alarmed && since.elapsed() > GAP_ALARM_TIMEOUT {
            *alarmed = true;
            tracing::error!(
                event = "batch_missing",
                alarm = true,
                batch = %number,
                expected = next.0,
                "batch waits for a missing predecessor"
            );
        }
        return Turn::AfterOther(verified);
    }
    if waits_for_clock(log, batch, now_millis) {
        if !*alarmed {
            *alarmed = true;
            tracing::error!(
                event = "batch_stamp_ahead",
                alarm = true,
                batch = %number,
                "batch waits, its timestamp is ahead of the clock"
            );
        }
        return Turn::Later;
    }
    *next = number.sequence.next();
    Turn::Next(verified)
}

/// Minutes never decrease in a batch, so its last stamp is the highest.
fn latest_stamp(batch: &Batch) -> Option<UnixMinutes> {
    batch.envelopes().next_back().map(|envelope| envelope.received)
}

/// Whether a batch has to wait for the clock. Once the poll is closing, a stamp in the future is
/// late whatever the time is, and need not wait.
fn waits_for_clock(log: &ElectionLog, batch: &Batch, now_millis: u64) -> bool {
    log.state() == State::Open
        && latest_stamp(batch).is_some_and(|stamp| is_ahead(stamp, now_millis))
}

/// Whether a stamp is in the future.
fn is_ahead(stamp: UnixMinutes, now_millis: u64) -> bool {
    stamp.0 * 60_000 > now_millis + FUTURE_MILLIS_MAX
}

#[cfg(test)]
#[path = "seal_queue_test.rs"]
mod tests;
