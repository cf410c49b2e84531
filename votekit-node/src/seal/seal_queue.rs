//! The seal queue: batches that are staged and not in the log, read once, in the order in
//! which they were staged.
//!
//! Batches of one node may be staged in another order than they were made in, since they travel
//! through several queues. Each waits here for its predecessor; others are not held up. A leader
//! takes the next block out of the seal_queue; whoever follows finds the evidence of the leader's block
//! in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use votekit_core::batch::{Batch, VerifiedBatch};
use votekit_core::election::State;
use votekit_core::election_log::ElectionLog;
use votekit_core::id::{BatchNumber, Epoch, NodeId, Sequence};
use votekit_store::{Staged, StagingId};

/// How far a stamp may lie in the future before its batch has to wait, in milliseconds.
const FUTURE_MILLIS_MAX: u64 = 60_000;

/// How long a batch may wait for its predecessor before that is an alarm: the predecessor was
/// confirmed, and is on its way through another queue.
const PATIENCE: Duration = Duration::from_secs(10);

/// No more is read while so many bytes wait, unless for the evidence of a block, or because all of
/// them wait for something that was not read yet.
const BYTES_MAX: usize = 64 << 20;

/// Batches that are staged and not in the log.
#[derive(Debug)]
pub(crate) struct SealQueue {
    read_through: StagingId,
    waiting: BTreeMap<StagingId, Waiting>,
    places: HashMap<BatchNumber, StagingId>,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    batch: Arc<Batch>,
    since: Instant,
    /// Whether there was an alarm about it.
    alarmed: bool,
}

/// What becomes of a waiting batch now.
enum Turn {
    /// It can be sealed.
    Next(VerifiedBatch),
    /// It is in the log.
    Sealed,
    /// It will never be sealed.
    Refused,
    /// Its predecessor has not been taken out.
    AfterOther(VerifiedBatch),
    /// Its stamp lies in the future.
    Later,
}

impl SealQueue {
    /// Reads from a place on.
    pub(crate) fn new(sealed_through: StagingId) -> Self {
        Self {
            read_through: sealed_through,
            waiting: BTreeMap::new(),
            places: HashMap::new(),
            bytes: 0,
        }
    }

    /// Whether no batch waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Where to read on.
    pub(crate) fn read_through(&self) -> StagingId {
        self.read_through
    }

    /// Whether more should be read before something is taken out.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes < BYTES_MAX
    }

    /// Puts in what was read after [`SealQueue::read_through`].
    pub(crate) fn put(&mut self, staged: Vec<Staged>) {
        for Staged { id, batch, .. } in staged {
            self.read_through = id;
            self.bytes += batch.as_bytes().len();
            self.places.insert(batch.number(), id);
            self.waiting.insert(id, Waiting { batch, since: Instant::now(), alarmed: false });
        }
    }

    /// A batch that waits.
    pub(crate) fn batch(&self, number: &BatchNumber) -> Option<&Arc<Batch>> {
        self.waiting.get(self.places.get(number)?).map(|waiting| &waiting.batch)
    }

    /// Removes a batch that is in the log now.
    pub(crate) fn remove(&mut self, number: &BatchNumber) -> Option<Arc<Batch>> {
        let place = self.places.get(number).copied()?;
        self.remove_at(place)
    }

    /// Everything staged up to here is in the log or was refused, once these batches are sealed.
    pub(crate) fn sealed_through_with(&self, sealed: &[VerifiedBatch]) -> StagingId {
        let sealed: BTreeSet<StagingId> =
            sealed.iter().filter_map(|batch| self.places.get(&batch.number())).copied().collect();
        let mut left = self.waiting.keys().filter(|id| !sealed.contains(id));
        left.next().map_or(self.read_through, |first| StagingId(first.0 - 1))
    }

    /// Chooses the batches of the next block, at most so many. They stay in the queue until the
    /// block is durable. Removes what is refused or in the log already.
    pub(crate) fn next_block(
        &mut self,
        log: &ElectionLog,
        now_millis: u64,
        most: usize,
    ) -> Vec<VerifiedBatch> {
        let mut block = Vec::new();
        let mut gone = Vec::new();
        let mut expected = BTreeMap::new();
        let mut early: BTreeMap<BatchNumber, VerifiedBatch> = BTreeMap::new();
        for (id, waiting) in &mut self.waiting {
            if block.len() >= most {
                break;
            }
            let number = waiting.batch.number();
            match turn(waiting, log, &mut expected, now_millis) {
                Turn::Later => {}
                Turn::AfterOther(batch) => {
                    early.insert(number, batch);
                }
                Turn::Sealed | Turn::Refused => gone.push(*id),
                Turn::Next(batch) => {
                    block.push(batch);
                    // Its successors may have come before it.
                    let mut follower = number;
                    loop {
                        follower.sequence = follower.sequence.next();
                        let Some(batch) = early.remove(&follower) else { break };
                        block.push(batch);
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
        let waiting = self.places.get(number).and_then(|place| self.waiting.get_mut(place));
        if let Some(waiting) = waiting
            && !std::mem::replace(&mut waiting.alarmed, true)
        {
            tracing::error!(
                event = "batch_unsealable",
                alarm = true,
                batch = %number,
                %error,
                "staged batch cannot be sealed"
            );
        }
    }

    fn remove_at(&mut self, place: StagingId) -> Option<Arc<Batch>> {
        let Waiting { batch, .. } = self.waiting.remove(&place)?;
        self.places.remove(&batch.number());
        self.bytes -= batch.as_bytes().len();
        Some(batch)
    }
}

fn turn(
    waiting: &mut Waiting,
    log: &ElectionLog,
    expected: &mut BTreeMap<(NodeId, Epoch), Sequence>,
    now_millis: u64,
) -> Turn {
    let Waiting { batch, since, alarmed } = waiting;
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
        if !*alarmed && since.elapsed() > PATIENCE {
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
    // Once the poll is closing, such a stamp is late, whatever the time is. Minutes never decrease
    // in a batch.
    let latest = batch.envelopes().next_back().map_or(0, |envelope| envelope.received.0);
    if log.state() == State::Open && latest * 60_000 > now_millis + FUTURE_MILLIS_MAX {
        if !*alarmed {
            *alarmed = true;
            tracing::error!(
                event = "batch_stamp_ahead",
                alarm = true,
                batch = %number,
                "batch waits, its stamp is ahead of the clock"
            );
        }
        return Turn::Later;
    }
    *next = number.sequence.next();
    Turn::Next(verified)
}
