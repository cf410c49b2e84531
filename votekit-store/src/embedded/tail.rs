//! The end of each log in memory: its head, and the staged batches that are not sealed yet.
//!
//! The sealer reads the unsealed batches over and over, and must not wait for a disk. The writer
//! thread updates the tail after each COMMIT and before it answers, so every confirmed write is
//! visible here.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use votekit_core::batch::Batch;
use votekit_core::id::ElectionId;

use crate::{Changes, Head, Hints, Staged, StagingId};

/// Limit of unsealed batches in memory, in bytes, over all elections. Above it, sealing reads from
/// the disk until it has caught up.
const BYTES_MAX: usize = 256 << 20;

/// The tails of all elections.
pub(super) struct Tail {
    tails: Mutex<Tails>,
    bytes_max: usize,
    changes: watch::Sender<Changes>,
}

#[derive(Default)]
struct Tails {
    elections: HashMap<ElectionId, ElectionTail>,
    bytes: usize,
}

#[derive(Default)]
struct ElectionTail {
    head: Option<Head>,
    /// The last position staged.
    staged: StagingId,
    unsealed: BTreeMap<StagingId, Arc<Batch>>,
    /// The last batch that did not fit in memory. While it is unsealed, memory contains only a
    /// prefix of the unsealed batches.
    spilled_through: Option<StagingId>,
}

/// The staged, unsealed batches of an election, as a range of positions: above `after`, up to and
/// including `through`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backlog {
    pub(super) law_id: ElectionId,
    pub(super) after: StagingId,
    pub(super) through: StagingId,
}

impl Tail {
    pub(super) fn new() -> Self {
        Self::with_bytes_max(BYTES_MAX)
    }

    fn with_bytes_max(bytes_max: usize) -> Self {
        Self { tails: Mutex::default(), bytes_max, changes: watch::Sender::default() }
    }

    /// Adds a batch that was staged after all others of its election.
    pub(super) fn stage(&self, id: StagingId, batch: &Arc<Batch>) {
        let mut tails = self.lock();
        let fits = tails.bytes + batch.as_bytes().len() <= self.bytes_max;
        let tail = tails.elections.entry(batch.header().law_id.clone()).or_default();
        tail.staged = id;
        if tail.unsealed.is_empty() && tail.spilled_through.is_none() {
            self.changes.send_modify(|changes| changes.logs += 1);
        }
        // After a batch that did not fit, none may be added: memory must hold a prefix without
        // gaps.
        if !fits || tail.spilled_through.is_some() {
            tail.spilled_through = Some(id);
            return;
        }
        tail.unsealed.insert(id, Arc::clone(batch));
        tails.bytes += batch.as_bytes().len();
    }

    /// Releases a batch whose row has moved to another position.
    pub(super) fn release(&self, law_id: &ElectionId, id: StagingId) {
        let mut tails = self.lock();
        let tail = tails.elections.get_mut(law_id);
        if let Some(batch) = tail.and_then(|tail| tail.unsealed.remove(&id)) {
            tails.bytes -= batch.as_bytes().len();
        }
    }

    /// Moves a head, and releases the batches that it seals.
    pub(super) fn advance(&self, law_id: &ElectionId, head: Head) {
        let mut tails = self.lock();
        let tail = tails.elections.entry(law_id.clone()).or_default();
        let unsealed = tail.unsealed.split_off(&StagingId(head.sealed_through.0.saturating_add(1)));
        let sealed = std::mem::replace(&mut tail.unsealed, unsealed);
        tail.spilled_through =
            tail.spilled_through.filter(|spilled| *spilled > head.sealed_through);
        tail.head = Some(head);
        self.changes.send_modify(|changes| changes.logs += 1);
        tails.bytes -= sealed.values().map(|batch| batch.as_bytes().len()).sum::<usize>();
    }

    /// Releases all batches of an election.
    pub(super) fn purge(&self, law_id: &ElectionId) {
        let mut tails = self.lock();
        if let Some(tail) = tails.elections.get_mut(law_id) {
            let purged = std::mem::take(&mut tail.unsealed);
            tail.spilled_through = None;
            tails.bytes -= purged.values().map(|batch| batch.as_bytes().len()).sum::<usize>();
        }
    }

    /// Forgets an election.
    pub(super) fn remove(&self, law_id: &ElectionId) {
        let mut tails = self.lock();
        if let Some(tail) = tails.elections.remove(law_id) {
            tails.bytes -=
                tail.unsealed.values().map(|batch| batch.as_bytes().len()).sum::<usize>();
        }
    }

    /// Reports that a term began, or that a leader lease was released or passed over.
    pub(super) fn notify_of_leader(&self) {
        self.changes.send_modify(|changes| changes.logs += 1);
    }

    /// Reports that a row of a round was stored.
    pub(super) fn notify_of_row(&self) {
        self.changes.send_modify(|changes| changes.rows += 1);
    }

    pub(super) fn changes(&self) -> watch::Receiver<Changes> {
        self.changes.subscribe()
    }

    /// The last position staged for an election.
    pub(super) fn staged(&self, law_id: &ElectionId) -> StagingId {
        self.lock().elections.get(law_id).map_or(StagingId(0), |tail| tail.staged)
    }

    pub(super) fn head(&self, law_id: &ElectionId) -> Option<Head> {
        self.lock().elections.get(law_id).and_then(|tail| tail.head.clone())
    }

    /// The highest term of a committed block; 0 when there is no block.
    pub(super) fn highest_term(&self) -> u64 {
        self.lock()
            .elections
            .values()
            .filter_map(|tail| tail.head.as_ref())
            .map(|head| head.fence)
            .max()
            .unwrap_or(0)
    }

    /// The unsealed batches after a position; `None` when memory does not hold the whole answer.
    pub(super) fn unsealed(
        &self,
        law_id: &ElectionId,
        after: StagingId,
        limit: usize,
    ) -> Option<Vec<Staged>> {
        let tails = self.lock();
        let Some(tail) = tails.elections.get(law_id) else { return Some(Vec::new()) };
        // Sealed batches are on the disk only.
        if tail.head.as_ref().is_some_and(|head| after < head.sealed_through) {
            return None;
        }
        let range = (Bound::Excluded(after), Bound::Unbounded);
        let found: Vec<Staged> = tail
            .unsealed
            .range(range)
            .take(limit)
            .map(|(id, batch)| Staged { id: *id, batch: Arc::clone(batch), hints: Hints::new() })
            .collect();
        let complete =
            found.len() == limit || tail.spilled_through.is_none_or(|spilled| spilled <= after);
        complete.then_some(found)
    }

    /// The unsealed batches of each election, ordered by their last position.
    pub(super) fn backlog(&self) -> Vec<Backlog> {
        let tails = self.lock();
        let mut backlog: Vec<Backlog> = tails
            .elections
            .iter()
            .filter_map(|(law_id, tail)| {
                let last = tail.unsealed.last_key_value().map(|(id, _)| *id);
                let through = tail.spilled_through.or(last)?;
                let after = tail.head.as_ref().map_or(StagingId(0), |head| head.sealed_through);
                Some(Backlog { law_id: law_id.clone(), after, through })
            })
            .collect();
        backlog.sort_by_key(|backlog| backlog.through);
        backlog
    }

    fn lock(&self) -> MutexGuard<'_, Tails> {
        self.tails.lock()
    }
}

#[cfg(test)]
mod tests {
    use votekit_core::FixedRng;
    use votekit_core::ballot::BallotSecretKey;
    use votekit_core::batch::{BatchHeader, NodeKey};
    use votekit_core::id::{BatchNumber, Epoch, Sequence};

    use super::*;

    fn law_id() -> ElectionId {
        "L1".parse().expect("a law id")
    }

    fn batch(sequence: u64) -> Arc<Batch> {
        let node_key = NodeKey::from_seed(&[1; 32]);
        let number =
            BatchNumber { node: node_key.node_id(), epoch: Epoch(1), sequence: Sequence(sequence) };
        let header =
            BatchHeader { law_id: law_id(), number, confirmed_through: Sequence(0), last: false };
        let ballot_key = BallotSecretKey::from_seed(&[2; 32]).public_key();
        Arc::new(
            Batch::seal(header, &[], &ballot_key, &node_key, &mut FixedRng::new(1))
                .expect("a usable key"),
        )
    }

    fn head(sealed_through: u64) -> Head {
        Head {
            size: 1,
            height: 1,
            root: votekit_core::log::merkle::empty_root(),
            fence: 1,
            checkpoint: Vec::new(),
            sealed_through: StagingId(sealed_through),
            takes_votes: true,
        }
    }

    /// The positions in memory after `after`; `None` when the disk must be read.
    fn positions(tail: &Tail, after: u64, limit: usize) -> Option<Vec<u64>> {
        let staged = tail.unsealed(&law_id(), StagingId(after), limit)?;
        Some(staged.into_iter().map(|staged| staged.id.0).collect())
    }

    #[test]
    fn batches_beyond_the_memory_limit_stay_on_disk_until_sealed() {
        let tail = Tail::with_bytes_max(3 * batch(1).as_bytes().len());
        for position in 1..=5 {
            tail.stage(StagingId(position), &batch(position));
        }
        assert_eq!(positions(&tail, 0, 3), Some(vec![1, 2, 3]));
        assert_eq!(positions(&tail, 0, 4), None);
        assert_eq!(positions(&tail, 3, 1), None);
        assert_eq!(positions(&tail, 5, 1), Some(vec![]));
        assert_eq!(
            tail.backlog(),
            [Backlog { law_id: law_id(), after: StagingId(0), through: StagingId(5) }]
        );
        tail.advance(&law_id(), head(3));
        tail.stage(StagingId(6), &batch(6));
        assert_eq!(positions(&tail, 3, 1), None, "memory must not skip what it has no room for");
        tail.advance(&law_id(), head(6));
        tail.stage(StagingId(7), &batch(7));
        assert_eq!(positions(&tail, 6, 10), Some(vec![7]));
        assert_eq!(positions(&tail, 5, 10), None, "what is sealed is on the disk");
    }

    #[test]
    fn purged_batches_free_memory() {
        let tail = Tail::with_bytes_max(batch(1).as_bytes().len());
        for position in 1..=5 {
            tail.stage(StagingId(position), &batch(position));
            tail.purge(&law_id());
        }
        tail.stage(StagingId(6), &batch(6));
        assert_eq!(positions(&tail, 0, 10), Some(vec![6]));
    }
}
