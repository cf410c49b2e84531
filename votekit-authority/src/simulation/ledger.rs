//! The ledger in memory: leadership, rows, staged batches, the certified log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use votekit_core::authority::{LogPoint, StatementBody, TermLeader};
use votekit_core::batch::Batch;
use votekit_core::id::BatchNumber;
use votekit_core::log::note::KeyName;

use super::random::Random;
use super::row::{CertifiedBlock, Row, RowBody, RowKey};

/// The maximum distance of the term in a lease request from the present term.
const TERM_STEP_MAX: u64 = 1000;

/// A call to the ledger.
#[derive(Debug)]
pub(super) enum Request {
    /// Acquires the leader lease; `at_least` is the minimum number of a new term. The lease of the
    /// term `passes_over` ends in the same step.
    Acquire { at_least: u64, passes_over: Option<u64> },
    /// Releases the caller's lease.
    Release,
    /// Stores a row. A proposal of the present term is stored with `as_leader`.
    Put { row: Arc<Row>, as_leader: bool },
    /// Reads.
    Read(ReadRequest),
    /// Stages a batch.
    Stage(Arc<Batch>),
    /// Appends a certified block.
    Append(Arc<CertifiedBlock>),
}

/// The parts of the ledger that one request reads, all at the same time.
#[derive(Debug, Default)]
pub(super) struct ReadRequest {
    pub(super) rows_after: Option<u64>,
    pub(super) blocks_above: Option<u64>,
    pub(super) leadership: bool,
    pub(super) staged: bool,
}

/// The answer to a call.
#[derive(Debug)]
pub(super) enum Answer {
    Granted {
        term: u64,
    },
    Following {
        leader: KeyName,
        term: u64,
    },
    Put(RowOutcome),
    Seen(Box<Seen>),
    /// The call was executed, had been executed before, or had nothing to do.
    Done,
    /// The block does not follow the head.
    NotNext,
}

/// The outcome of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowOutcome {
    Stored,
    Present,
    /// Another row has the key.
    Other,
    /// A proposal or an accept that is not of the present term.
    Late,
}

/// The result of a read request.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) rows: Option<SeenRows>,
    pub(super) head: Option<(LogPoint, Vec<Arc<CertifiedBlock>>)>,
    pub(super) leadership: Option<TermLeader>,
    pub(super) staged: Option<BTreeMap<BatchNumber, Arc<Batch>>>,
}

#[derive(Debug)]
pub(super) struct SeenRows {
    /// In any order; some may have been read before.
    pub(super) rows: Vec<(u64, Arc<Row>)>,
    /// The highest id in the table.
    pub(super) last: u64,
}

/// The circumstances of a call.
pub(super) struct CallContext<'a> {
    pub(super) now: u64,
    pub(super) caller: &'a KeyName,
    pub(super) is_fenced: bool,
    pub(super) lease_length: Duration,
    pub(super) random: &'a mut Random,
}

/// The ledger. A clone is a copy from which it can be restored.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    term: u64,
    leader: Option<KeyName>,
    lease_until: u64,
    /// Row ids count from 1.
    rows: Vec<Arc<Row>>,
    places: BTreeMap<RowKey, usize>,
    staged: BTreeMap<BatchNumber, Arc<Batch>>,
    blocks: Vec<Arc<CertifiedBlock>>,
}

impl Ledger {
    /// A ledger with the first blocks of a log, at least one.
    pub(super) fn new(blocks: Vec<Arc<CertifiedBlock>>) -> Self {
        Self {
            term: 0,
            leader: None,
            lease_until: 0,
            rows: Vec::new(),
            places: BTreeMap::new(),
            staged: BTreeMap::new(),
            blocks,
        }
    }

    pub(super) fn term(&self) -> u64 {
        self.term
    }

    pub(super) fn head(&self) -> LogPoint {
        self.blocks.last().expect("the log has a block").point
    }

    pub(super) fn is_staged(&self, number: &BatchNumber) -> bool {
        self.staged.contains_key(number)
    }

    /// Ends the lease early. Returns whether there was an unexpired lease.
    pub(super) fn expire_lease(&mut self, now: u64) -> bool {
        let lasted = now < self.lease_until;
        self.lease_until = self.lease_until.min(now);
        lasted
    }

    /// Executes a call.
    pub(super) fn answer(&mut self, request: &Request, context: &mut CallContext<'_>) -> Answer {
        match request {
            Request::Acquire { at_least, passes_over } => {
                if *passes_over == Some(self.term) {
                    self.leader = None;
                }
                self.acquire(*at_least, context)
            }
            Request::Release => {
                if self.leader.as_ref() == Some(context.caller) {
                    self.expire_lease(context.now);
                }
                Answer::Done
            }
            Request::Put { row, as_leader } => Answer::Put(self.put(row, *as_leader, context)),
            Request::Read(read) => Answer::Seen(Box::new(self.read(read, context.random))),
            Request::Stage(batch) => {
                self.staged.entry(batch.number()).or_insert_with(|| Arc::clone(batch));
                Answer::Done
            }
            Request::Append(block) => {
                let head = self.head();
                let follows =
                    block.point.height == head.height + 1 && block.first_leaf == head.size;
                if !follows {
                    return Answer::NotNext;
                }
                self.blocks.push(Arc::clone(block));
                Answer::Done
            }
        }
    }

    fn acquire(&mut self, at_least: u64, context: &CallContext<'_>) -> Answer {
        let is_own = self.leader.as_ref() == Some(context.caller);
        if let Some(leader) = self.leader.as_ref().filter(|_| !is_own)
            && context.now < self.lease_until
        {
            return Answer::Following { leader: leader.clone(), term: self.term };
        }
        // If the caller is still the last leader, the term stays, unless the caller requires a
        // later term.
        if !is_own || at_least > self.term {
            self.term = at_least.min(self.term + TERM_STEP_MAX).max(self.term + 1);
        }
        self.leader = Some(context.caller.clone());
        self.lease_until = context.now + context.lease_length.as_millis() as u64;
        Answer::Granted { term: self.term }
    }

    fn put(&mut self, row: &Arc<Row>, as_leader: bool, context: &CallContext<'_>) -> RowOutcome {
        let is_late = match &row.body {
            RowBody::Proposal(block) if as_leader => {
                block.proposal.leadership.term != self.term
                    || self.leader.as_ref() != Some(context.caller)
            }
            RowBody::Statement(statement) => match &statement.body {
                StatementBody::Accept(accept) => {
                    context.is_fenced && accept.leadership.term != self.term
                }
                _ => false,
            },
            _ => false,
        };
        if is_late {
            return RowOutcome::Late;
        }
        let key = row.key();
        match self.places.get(&key) {
            Some(place) if self.rows[*place] == *row => RowOutcome::Present,
            Some(_) => RowOutcome::Other,
            None => {
                self.places.insert(key, self.rows.len());
                self.rows.push(Arc::clone(row));
                RowOutcome::Stored
            }
        }
    }

    fn read(&self, read: &ReadRequest, random: &mut Random) -> Seen {
        let leader = self.leader.as_ref().filter(|_| read.leadership);
        Seen {
            rows: read.rows_after.map(|after| self.rows_after(after, random)),
            head: read.blocks_above.map(|height| {
                let above = self.blocks.iter().filter(|block| block.point.height > height);
                (self.head(), above.cloned().collect())
            }),
            leadership: leader.map(|leader| TermLeader { term: self.term, leader: leader.clone() }),
            staged: read.staged.then(|| self.staged.clone()),
        }
    }

    /// The rows after an id, in any order, with some earlier rows repeated.
    fn rows_after(&self, after: u64, random: &mut Random) -> SeenRows {
        let last = self.rows.len() as u64;
        let known = usize::try_from(after.min(last)).expect("at most the number of rows");
        let row = |place: usize| (place as u64 + 1, Arc::clone(&self.rows[place]));
        let mut rows: Vec<(u64, Arc<Row>)> = (known..self.rows.len()).map(row).collect();
        for _ in 0..random.below(3) {
            if known > 0 {
                rows.push(row(random.index(known)));
            }
        }
        random.shuffle(&mut rows);
        SeenRows { rows, last }
    }
}
