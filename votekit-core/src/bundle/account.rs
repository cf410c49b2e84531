//! The account of an election: the facts that its log records. Results, README and index are all
//! derived from this one pass over the leaves.
//!
//! It checks no rule; the verifier does.

use crate::decision::{Decision, Outcome};
use crate::election::{Definition, State};
use crate::id::Digest;
use crate::instant::UnixMinutes;
use crate::log::leaf::{ElectionEvent, Leaf};
use crate::log::merkle::TreeHash;
use crate::reconcile::Report;
use crate::results::Results;
use crate::tally::{Counts, Totals};

/// The running account of a log, leaf by leaf.
#[derive(Debug, Clone, Default)]
pub struct Account {
    definition: Option<Definition>,
    state: Option<State>,
    opened: Option<UnixMinutes>,
    closed: Option<UnixMinutes>,
    registered: u64,
    received: u64,
    accepted: u64,
    duplicate: u64,
    invalid: u64,
    replayed: u64,
    totals: Option<Totals>,
    manifests: Vec<Digest>,
    leaves: u64,
    updated_at: Option<UnixMinutes>,
    /// Set at the end of the block that closed the election; nothing later changes it.
    as_of_close: Option<AsOfClose>,
    certified: Option<Digest>,
    witness_waiver: Option<String>,
}

/// The basis of the results: the account and the root at the end of the block that closed the
/// election.
#[derive(Debug, Clone)]
struct AsOfClose {
    account: Box<Account>,
    root: TreeHash,
}

impl Account {
    /// Takes the next leaf. `root` computes the root over all leaves up to this one; it is called
    /// once, at the end of the block that closes the election.
    pub fn take(&mut self, leaf: &Leaf, root: impl FnOnce() -> TreeHash) {
        self.leaves += 1;
        match leaf {
            Leaf::Election(event) => self.take_event(event),
            Leaf::Roll(roll) => {
                let before = if roll.replaces.is_some() { 0 } else { self.registered };
                self.registered = before
                    .saturating_add(roll.loaded)
                    .saturating_add(roll.added)
                    .saturating_sub(roll.revoked);
                self.manifests.push(roll.manifest);
            }
            Leaf::Batch(batch) => self.received += u64::from(batch.count),
            Leaf::Entry(entry) => self.count(&Outcome::Decided(*entry)),
            Leaf::Replay(replay) => self.count(&Outcome::Replayed(*replay)),
            Leaf::Totals(totals) => self.totals = Some(totals.clone()),
            Leaf::Block(block) => {
                self.updated_at = Some(block.sealed_at);
                if self.state >= Some(State::Closed) && self.as_of_close.is_none() {
                    let account = Box::new(self.clone());
                    self.as_of_close = Some(AsOfClose { account, root: root() });
                }
            }
            Leaf::Node(_) | Leaf::Counts(_) => {}
        }
    }

    /// Counts a line that is not a leaf, so that later leaves keep their index.
    pub(super) fn skip(&mut self) {
        self.leaves += 1;
    }

    /// [`Account::take`] for the leaf of an envelope.
    pub(super) fn take_outcome(&mut self, outcome: &Outcome) {
        self.leaves += 1;
        self.count(outcome);
    }

    fn count(&mut self, outcome: &Outcome) {
        match outcome.entry().map(|entry| &entry.decision) {
            None => self.replayed += 1,
            Some(Decision::Accepted { .. }) => self.accepted += 1,
            Some(Decision::Duplicate { .. }) => self.duplicate += 1,
            Some(Decision::Invalid { .. }) => self.invalid += 1,
        }
    }

    fn take_event(&mut self, event: &ElectionEvent) {
        self.state = Some(match event {
            ElectionEvent::Draft { definition, .. } | ElectionEvent::Amended { definition, .. } => {
                self.definition = Some(definition.clone());
                State::Draft
            }
            ElectionEvent::Open { opens, .. } => {
                self.opened = Some(*opens);
                State::Open
            }
            ElectionEvent::Closing { closes, .. } => {
                self.closed = Some(*closes);
                State::Closing
            }
            ElectionEvent::Closed { .. } => State::Closed,
            ElectionEvent::Certified { results, witness_waiver, .. } => {
                self.certified = Some(*results);
                self.witness_waiver.clone_from(witness_waiver);
                State::Certified
            }
            ElectionEvent::Annulled { .. } => State::Annulled,
            ElectionEvent::Purged { .. } => return,
        });
    }

    /// The definition of the election.
    #[must_use]
    pub fn definition(&self) -> Option<&Definition> {
        self.definition.as_ref()
    }

    /// The state of the election.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        self.state
    }

    /// Electors registered: loaded and added, less revoked.
    #[must_use]
    pub fn registered(&self) -> u64 {
        self.registered
    }

    /// The manifests of the rolls, in the order of the log.
    #[must_use]
    pub fn manifests(&self) -> &[Digest] {
        &self.manifests
    }

    /// The minute of the last block.
    #[must_use]
    pub fn updated_at(&self) -> Option<UnixMinutes> {
        self.updated_at
    }

    /// Leaves so far.
    #[must_use]
    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// The digest that a `certified` leaf states.
    #[must_use]
    pub fn certified(&self) -> Option<Digest> {
        self.certified
    }

    /// Why the result was certified before enough outside witnesses had cosigned, if it was.
    #[must_use]
    pub fn witness_waiver(&self) -> Option<&str> {
        self.witness_waiver.as_deref()
    }

    /// Counts of what was received, by outcome.
    #[must_use]
    pub fn report(&self) -> Report {
        let Self { received, accepted, duplicate, invalid, replayed, .. } = *self;
        Report { received, accepted, duplicate, invalid, replayed }
    }

    /// The results that the log shows; `None` before totals are opened. For a closed election they
    /// are as of the block that closed it, whatever follows; for an open one as of the head, whose
    /// root is passed in.
    #[must_use]
    pub fn results(&self, head_root: TreeHash) -> Option<Results> {
        match &self.as_of_close {
            Some(AsOfClose { account, root }) => {
                Some(Results { state: self.state?, ..account.results_here(*root)? })
            }
            None => self.results_here(head_root),
        }
    }

    fn results_here(&self, root: TreeHash) -> Option<Results> {
        let definition = self.definition.clone()?;
        let values = &self.totals.as_ref()?.values;
        // A sum that overflows cannot be of votes: such a log has no result.
        values.iter().try_fold(0_u64, |sum, value| sum.checked_add(*value))?;
        let mut counts = Counts::from_order(values)?;
        counts.choices.resize(definition.choices.len(), 0);
        Some(Results {
            state: self.state?,
            opened: self.opened,
            closed: self.closed,
            registered: self.registered,
            report: self.report(),
            counts,
            log_size: self.leaves,
            log_root: Digest::from_bytes(*root.as_bytes()),
            updated_at: self.updated_at?,
            definition,
        })
    }
}
