//! The possible steps from a state.

use std::fmt;

use votekit_authority::round::RoundView;

use super::guards;
use super::scope::{LedgerKind, Mutations, Scope, Splits};
use super::world::{
    HONEST_BLOCKS, Memory, Rows, TermBlock, VoteRow, World, bit, blocks, number, slot,
};

/// One step, and the state after it.
pub(crate) struct Step {
    pub(crate) action: Action,
    /// Whether the honest authorities can take it without the liars.
    pub(crate) is_honest: bool,
    pub(crate) after: World,
}

/// The description of a step. Indices of authorities refer to the canonical state before the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Action {
    what: &'static str,
    place: Option<usize>,
    /// 0 where there is none.
    term: u8,
    block: u8,
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.what)?;
        if let Some(place) = self.place {
            write!(formatter, " by {place}")?;
        }
        if self.term != 0 {
            write!(formatter, " in term {}", self.term)?;
        }
        if self.block != 0 {
            write!(formatter, " of block {}", self.block)?;
        }
        Ok(())
    }
}

/// All steps of a state.
pub(crate) fn steps(world: &World, scope: &Scope, mutations: Mutations) -> Vec<Step> {
    let can_empty = scope.ledger == LedgerKind::EmptiedOnce && !world.is_emptied;
    if !world.is_open(scope) && !can_empty {
        return Vec::new();
    }
    let mut steps = Steps { world, scope, mutations, found: Vec::new() };
    let view = guards::view(world, scope);
    steps.acquire();
    for place in 0..scope.honest() {
        steps.vote(place);
        steps.lose(place);
        if world.is_open(scope) && world.memories[place].certified == world.rows.head {
            steps.propose(place);
            steps.accept(place, &view);
            steps.cosign(place);
            steps.send(place);
        }
        steps.follow(place);
    }
    steps.lie_as_leader();
    if !scope.ledger_lies() {
        steps.append();
        steps.lie_in_rows();
        if can_empty {
            steps.push("ledger emptied", None, 0, 0, |after| {
                after.rows = Rows::default();
                after.is_emptied = true;
            });
            steps.blame_liar();
        }
    }
    steps.found
}

struct Steps<'a> {
    world: &'a World,
    scope: &'a Scope,
    mutations: Mutations,
    found: Vec<Step>,
}

impl Steps<'_> {
    fn push(
        &mut self,
        what: &'static str,
        place: Option<usize>,
        term: u8,
        block: u8,
        change: impl FnOnce(&mut World),
    ) {
        let mut after = *self.world;
        change(&mut after);
        let action = Action { what, place, term, block };
        let after = after.canonical(self.scope);
        let is_honest = place.is_none_or(|place| place < self.scope.honest());
        self.found.push(Step { action, is_honest, after });
    }

    /// Marks the last step as one that needs a liar or a fault of the ledger, on which honest
    /// authorities cannot rely.
    fn blame_liar(&mut self) {
        if let Some(step) = self.found.last_mut() {
            step.is_honest = false;
        }
    }

    /// The lease may expire at any time, and any authority may get the next lease.
    fn acquire(&mut self) {
        let Self { world, scope, .. } = *self;
        if !world.is_open(scope) {
            return;
        }
        let can_lead = if scope.liars_lead { scope.quorum.authorities } else { scope.honest() };
        for place in 0..can_lead {
            let promised = match place < scope.honest() {
                true => world.memories[place].promised_term(),
                false => 0,
            };
            let term = world.rows.term.max(promised) + 1;
            if term > scope.terms {
                continue;
            }
            self.push("lease", Some(place), term, 0, |after| {
                after.rows.term = term;
                after.rows.leaders[slot(term)] = Some(number(place));
                if !scope.ledger_lies() {
                    // Only the leader of the present term reads its votes.
                    after.rows.votes = Default::default();
                }
            });
        }
    }

    /// An authority may see the leader of an earlier term late.
    fn vote(&mut self, place: usize) {
        let Self { world, scope, mutations, .. } = *self;
        for term in world.terms(scope).filter(|_| world.is_open(scope)) {
            let Some(leader) = world.rows.leader(term) else { continue };
            let Some((row, memory)) = guards::vote(world.memories[place], term, leader) else {
                continue;
            };
            let is_read = self.is_row_read(place, term);
            if mutations.vote_before_durable && is_read {
                self.push("vote before durable", Some(place), term, 0, |after| {
                    after.rows.votes[slot(term)][place] = Some(row);
                });
                continue;
            }
            let sends = is_read && !World::sends_later(scope);
            self.push("vote", Some(place), term, 0, |after| {
                after.memories[place] = memory;
                if sends {
                    after.rows.votes[slot(term)][place] = Some(row);
                }
            });
        }
    }

    /// Whether a vote of a term is still missed in the ledger.
    fn is_row_read(&self, place: usize, term: u8) -> bool {
        let Self { world, scope, .. } = *self;
        (term == world.rows.term || scope.ledger_lies())
            && world.rows.votes[slot(term)][place].is_none()
            && world.is_vote_read(scope, term)
    }

    /// A crash loses the proposal that was read; a memory restored from an older copy loses the
    /// promise.
    fn lose(&mut self, place: usize) {
        if self.world.pending[place].is_some() {
            self.push("crash", Some(place), 0, 0, |after| after.pending[place] = None);
        }
        if self.mutations.forget_vote && self.world.memories[place].promise.is_some() {
            self.push("promise forgotten", Some(place), 0, 0, |after| {
                after.memories[place].promise = None;
            });
        }
    }

    /// A leader takes all votes in the ledger, chooses and proposes, once a height.
    fn propose(&mut self, place: usize) {
        let Self { world, scope, mutations, .. } = *self;
        for term in world.terms(scope) {
            let own = Some(number(place));
            let is_present = term == world.rows.term || scope.ledger_lies();
            let has_promised = world.memories[place].promise == Some((term, number(place)));
            if !is_present
                || world.rows.leader(term) != own
                || !has_promised
                || world.rows.proposals[slot(term)] != 0
            {
                continue;
            }
            for block in guards::choices(world, scope, mutations, term, number(place)) {
                self.push("proposal", Some(place), term, block, |after| {
                    after.rows.proposals[slot(term)] = bit(block);
                    if world.rows.head + 1 == scope.heights {
                        after.rows.votes[slot(term)] = Default::default();
                    }
                });
            }
        }
    }

    fn accept(&mut self, place: usize, view: &RoundView) {
        let Self { world, scope, mutations, .. } = *self;
        let nothing = guards::empty_view(world);
        let seen = if scope.ledger_lies() { &nothing } else { view };
        let before = world.memories[place].accepted;
        for term in world.terms(scope) {
            let proposals = world.rows.proposals[slot(term)];
            for block in blocks(scope).filter(|block| proposals & bit(*block) != 0) {
                let proposed = TermBlock { term, block };
                let is_known = before == Some(proposed) || world.pending[place] == Some(proposed);
                if is_known {
                    continue;
                }
                let accepted = guards::accept(world, scope, mutations, place, proposed, seen);
                let Some(memory) = accepted else { continue };
                if scope.splits == Splits::AfterReading {
                    self.push("proposal read", Some(place), term, block, |after| {
                        after.pending[place] = Some(proposed);
                    });
                } else {
                    self.push_accept(place, proposed, memory);
                }
            }
        }
        // The guard uses the accepts visible when the proposal was read, not those visible now.
        if let Some(proposed) = world.pending[place]
            && let Some(memory) = guards::accept(world, scope, mutations, place, proposed, &nothing)
        {
            self.push_accept(place, proposed, memory);
        }
    }

    fn push_accept(&mut self, place: usize, proposed: TermBlock, memory: Memory) {
        let Self { world, scope, mutations, .. } = *self;
        let TermBlock { term, block } = proposed;
        let sends = !World::sends_later(scope)
            && world.takes_accepts(scope, term, mutations.late_accepts)
            && world.rows.accepts[slot(term)][place] == 0;
        self.push("accept", Some(place), term, block, |after| {
            after.memories[place] = memory;
            after.pending[place] = None;
            if sends {
                after.rows.accepts[slot(term)][place] = block;
            }
        });
    }

    fn cosign(&mut self, place: usize) {
        let Self { world, scope, mutations, .. } = *self;
        let height = usize::from(world.rows.head);
        for block in HONEST_BLOCKS {
            if world.memories[place].cosigned == block {
                continue;
            }
            let cosigned = guards::cosign(world, scope, mutations, place, block);
            let Some(memory) = cosigned else { continue };
            self.push("cosignature", Some(place), 0, block, |after| {
                after.memories[place] = memory;
                after.signed[height][place] |= bit(block);
                if !World::sends_later(scope) && !scope.ledger_lies() {
                    after.rows.lines[place] = block;
                }
            });
        }
    }

    /// Statements that are durable and not in the ledger are sent as they were.
    fn send(&mut self, place: usize) {
        let Self { world, scope, mutations, .. } = *self;
        let Memory { promise, certified, accepted, cosigned } = world.memories[place];
        if cosigned != 0 && world.rows.lines[place] == 0 && !scope.ledger_lies() {
            self.push("cosignature sent", Some(place), 0, cosigned, |after| {
                after.rows.lines[place] = cosigned;
            });
        }
        if !World::sends_later(scope) {
            return;
        }
        if let Some((term, leader)) = promise
            && world.rows.term == term
            && world.rows.leader(term) == Some(leader)
            && self.is_row_read(place, term)
            && !mutations.vote_before_durable
            && accepted.is_none_or(|before| before.term < term)
        {
            self.push("vote sent", Some(place), term, 0, |after| {
                after.rows.votes[slot(term)][place] = Some(VoteRow { certified, accepted });
            });
        }
        if let Some(TermBlock { term, block }) = accepted
            && world.rows.accepts[slot(term)][place] == 0
            && world.takes_accepts(scope, term, mutations.late_accepts)
        {
            self.push("accept sent", Some(place), term, block, |after| {
                after.rows.accepts[slot(term)][place] = block;
            });
        }
    }

    /// The head is ahead: the authority makes the block and certifies it. It is behind: an
    /// authority that has the block appends it again.
    fn follow(&mut self, place: usize) {
        let Self { world, scope, .. } = *self;
        let certified = world.memories[place].certified;
        if certified < world.rows.head {
            self.push("head followed", Some(place), 0, 0, |after| {
                after.memories[place] = world.memories[place].certified();
                after.pending[place] = None;
            });
        }
        if certified > world.rows.head {
            self.push("block stored again", Some(place), 0, 0, |after| after.rows.advance());
        }
        debug_assert!(certified <= scope.heights, "no block above the scope");
    }

    /// Anyone appends a block with the cosignatures of a quorum.
    fn append(&mut self) {
        let Self { world, scope, .. } = *self;
        for block in blocks(scope).filter(|_| world.is_open(scope)) {
            let lines = world.rows.lines[..scope.honest()].iter();
            let honest = lines.filter(|line| **line == block).count();
            if honest + scope.liars < scope.quorum.quorum {
                continue;
            }
            self.push("append", None, 0, block, |after| after.rows.advance());
            if honest < scope.quorum.quorum {
                self.blame_liar();
            }
        }
    }

    /// A leader that lies proposes what it likes, without votes. An honest ledger shows all
    /// authorities its first proposal first.
    fn lie_as_leader(&mut self) {
        let Self { world, scope, .. } = *self;
        for term in world.terms(scope).filter(|_| world.is_open(scope)) {
            let Some(leader) = world.rows.leader(term).map(usize::from) else { continue };
            let proposals = world.rows.proposals[slot(term)];
            let is_first = term == world.rows.term && proposals == 0;
            let takes = scope.ledger_lies() || is_first;
            if leader < scope.honest() || !takes {
                continue;
            }
            for block in blocks(scope).filter(|block| proposals & bit(*block) == 0) {
                self.push("lie: proposal", Some(leader), term, block, |after| {
                    after.rows.proposals[slot(term)] |= bit(block);
                });
            }
        }
    }

    /// Votes and accepts of those that lie, in the ledger for all to see. Their cosignatures need
    /// no rows: they count for every block.
    fn lie_in_rows(&mut self) {
        let Self { world, scope, mutations, .. } = *self;
        if !world.is_open(scope) {
            return;
        }
        for place in scope.honest()..scope.quorum.authorities {
            for term in world.terms(scope) {
                let leads = world.rows.leader(term).map(usize::from);
                if leads.is_some_and(|leader| leader < scope.honest())
                    && self.is_row_read(place, term)
                {
                    for row in guards::lies(world, scope, term) {
                        let block = row.accepted.map_or(0, |accepted| accepted.block);
                        self.push("lie: vote", Some(place), term, block, |after| {
                            after.rows.votes[slot(term)][place] = Some(row);
                        });
                    }
                }
                if world.rows.accepts[slot(term)][place] != 0
                    || !world.takes_accepts(scope, term, mutations.late_accepts)
                {
                    continue;
                }
                for block in blocks(scope) {
                    self.push("lie: accept", Some(place), term, block, |after| {
                        after.rows.accepts[slot(term)][place] = block;
                    });
                }
            }
        }
    }
}
