//! The real guards, called on a small state. A mutation replaces one call by its absence.

use std::collections::BTreeMap;

use votekit_authority::round::{Choice, Quorum, RoundMemory, RoundView, choose};
use votekit_core::authority::{
    Accept, AcceptedBlock, BlockProposal, ElectionVote, LogPoint, TermLeader, Vote,
};
use votekit_core::id::{Digest, ElectionId};
use votekit_core::instant::UnixSeconds;
use votekit_core::log::merkle::TreeHash;
use votekit_core::log::note::KeyName;

use super::scope::{Mutations, Scope};
use super::world::{FALSE_BLOCK, Memory, TermBlock, VoteRow, World, bit, blocks, slot};

fn name(place: usize) -> KeyName {
    format!("authority-{place}").parse().expect("a key name")
}

fn law() -> ElectionId {
    "L1".parse().expect("an id")
}

fn leadership(term: u8, leader: u8) -> TermLeader {
    TermLeader { term: term.into(), leader: name(leader.into()) }
}

/// A block has one leaf, and its root names its height and itself.
fn point(height: u8, block: u8) -> LogPoint {
    match height {
        0 => LogPoint::empty(),
        _ => LogPoint {
            height: height.into(),
            size: height.into(),
            root: TreeHash::from_bytes([16 * height + block; 32]),
        },
    }
}

fn block_of(point: &LogPoint) -> u8 {
    point.root.as_bytes()[0] % 16
}

fn accepted(height: u8, of: TermBlock) -> AcceptedBlock {
    AcceptedBlock { term: of.term.into(), point: point(height, of.block) }
}

fn term_block(of: &AcceptedBlock) -> TermBlock {
    TermBlock { term: u8::try_from(of.term).expect("few terms"), block: block_of(&of.point) }
}

impl Memory {
    fn open(self) -> RoundMemory {
        let mut memory = RoundMemory::default();
        if let Some((term, leader)) = self.promise {
            memory.record_vote(leadership(term, leader));
        }
        memory.record_certified(&law(), point(self.certified, 0));
        if let Some(of) = self.accepted {
            memory.record_accepted(&law(), accepted(self.certified + 1, of));
        }
        if self.cosigned != 0 {
            memory.record_cosigned(&law(), point(self.certified + 1, self.cosigned));
        }
        memory
    }

    /// The durable state after a change that [`RoundMemory`] applies. Votes are applied elsewhere,
    /// because they change only the promise, and names cannot be converted back to indices.
    fn changed(self, change: impl FnOnce(&mut RoundMemory)) -> Self {
        let mut memory = self.open();
        change(&mut memory);
        let election = memory.election(&law());
        Self {
            promise: self.promise,
            certified: u8::try_from(election.certified.height).expect("few heights"),
            accepted: election.accepted.as_ref().map(term_block),
            cosigned: election.cosigned.as_ref().map_or(0, block_of),
        }
    }

    /// After a block of the log was made and found the same.
    pub(crate) fn certified(self) -> Self {
        let next = point(self.certified + 1, 0);
        self.changed(|memory| memory.record_certified(&law(), next))
    }

    /// After an accept.
    fn accepted(self, of: TermBlock) -> Self {
        let block = accepted(self.certified + 1, of);
        self.changed(|memory| memory.record_accepted(&law(), block))
    }

    /// After a cosignature.
    fn cosigned(self, block: u8) -> Self {
        let point = point(self.certified + 1, block);
        self.changed(|memory| memory.record_cosigned(&law(), point))
    }
}

impl VoteRow {
    fn read(vote: &Vote) -> Self {
        let election = vote.elections.first();
        election.map_or_else(Self::default, |election| Self {
            certified: u8::try_from(election.certified.height).expect("few heights"),
            accepted: election.accepted.as_ref().map(term_block),
        })
    }

    fn write(self, leadership: TermLeader, mutations: Mutations) -> Vote {
        let reported = self.accepted.filter(|_| !mutations.ignore_votes);
        let election = ElectionVote {
            law_id: law(),
            certified: point(self.certified, 0),
            accepted: reported.map(|of| accepted(self.certified + 1, of)),
        };
        Vote { leadership, elections: vec![election] }
    }
}

/// The vote for the leader of a term, with what is durable after it.
pub(crate) fn vote(memory: Memory, term: u8, leader: u8) -> Option<(VoteRow, Memory)> {
    let vote = memory.open().vote(&leadership(term, leader), true).ok()?;
    Some((VoteRow::read(&vote), Memory { promise: Some((term, leader)), ..memory }))
}

/// All accepts in the ledger about the height above the head.
pub(crate) fn view(world: &World, scope: &Scope) -> RoundView {
    let mut view = empty_view(world);
    for term in 1..=scope.terms {
        for (place, block) in world.rows.accepts[slot(term)].iter().enumerate() {
            if *block != 0 {
                add_accept(&mut view, world, place, TermBlock { term, block: *block });
            }
        }
    }
    view
}

/// The view of an authority that has read no statement.
pub(crate) fn empty_view(world: &World) -> RoundView {
    RoundView::new(u64::from(world.rows.head) + 1)
}

/// The accepts of one block alone, as a ledger that lies shows them, with those of every liar.
fn view_of(world: &World, scope: &Scope, block: u8) -> RoundView {
    let mut view = empty_view(world);
    for term in 1..=scope.terms {
        for (place, accepted) in world.rows.accepts[slot(term)].iter().enumerate() {
            let lies = (scope.honest()..scope.quorum.authorities).contains(&place);
            if *accepted == block || (lies && scope.ledger_lies()) {
                add_accept(&mut view, world, place, TermBlock { term, block });
            }
        }
    }
    view
}

fn add_accept(view: &mut RoundView, world: &World, place: usize, of: TermBlock) {
    let leader = world.rows.leader(of.term).unwrap_or(0);
    let accept = Accept {
        law_id: law(),
        leadership: leadership(of.term, leader),
        point: point(world.rows.head + 1, of.block),
    };
    view.add_accept(name(place), &accept);
}

/// The durable state after a proposal is accepted, if the guards allow the accept.
pub(crate) fn accept(
    world: &World,
    scope: &Scope,
    mutations: Mutations,
    place: usize,
    proposed: TermBlock,
    seen: &RoundView,
) -> Option<Memory> {
    let memory = world.memories[place];
    let leadership = leadership(proposed.term, world.rows.leader(proposed.term)?);
    let mut opened = memory.open();
    if mutations.accept_unpromised {
        opened.record_vote(leadership.clone());
    }
    let height = world.rows.head + 1;
    let own = match proposed.block {
        // Every honest authority makes other bytes.
        FALSE_BLOCK => point(height, 0),
        block => point(height, block),
    };
    let proposal = BlockProposal {
        law_id: law(),
        leadership,
        first_leaf: world.rows.head.into(),
        leaf_count: 1,
        point: point(height, proposed.block),
        digest: Digest::from_bytes([proposed.block; 32]),
        takes_votes: true,
        proposed_at: UnixSeconds(0),
    };
    let nothing = empty_view(world);
    let seen = if mutations.accept_beside_quorum { &nothing } else { seen };
    opened.accept(&proposal, &own, seen, scope.quorum).ok()?;
    Some(memory.accepted(proposed))
}

/// The durable state after a block is cosigned, if the guards allow the cosignature.
pub(crate) fn cosign(
    world: &World,
    scope: &Scope,
    mutations: Mutations,
    place: usize,
    block: u8,
) -> Option<Memory> {
    let memory = world.memories[place];
    let mut opened = memory.open();
    let own = point(world.rows.head + 1, block);
    if mutations.cosign_two_roots && memory.cosigned != 0 {
        opened.record_cosigned(&law(), own);
    }
    let mut seen = if scope.ledger_lies() || mutations.cosign_beside_quorum {
        view_of(world, scope, block)
    } else {
        view(world, scope)
    };
    if mutations.cosign_without_accepts {
        let is_proposed = world.rows.proposals.iter().any(|set| set & bit(block) != 0);
        if !is_proposed {
            return None;
        }
        seen = empty_view(world);
        for place in 0..scope.quorum.authorities {
            add_accept(&mut seen, world, place, TermBlock { term: 1, block });
        }
    }
    opened.cosign(&law(), &own, &seen, scope.quorum).ok()?;
    Some(memory.cosigned(block))
}

/// The blocks that the leader of a term may propose. A ledger that lies shows any votes of a quorum
/// and no accepts.
pub(crate) fn choices(
    world: &World,
    scope: &Scope,
    mutations: Mutations,
    term: u8,
    leader: u8,
) -> Vec<u8> {
    let cast = &world.rows.votes[slot(term)];
    let leadership = leadership(term, leader);
    let write = |row: VoteRow| row.write(leadership.clone(), mutations);
    let mut chosen: Vec<u8> = Vec::new();
    if scope.ledger_lies() {
        let mut shown: Vec<BTreeMap<KeyName, Vote>> = vec![BTreeMap::new()];
        for (place, row) in cast.iter().enumerate().take(scope.quorum.authorities) {
            let reports: Vec<VoteRow> = match place < scope.honest() {
                true => row.iter().copied().collect(),
                false => lies(world, scope, term),
            };
            let before = shown.clone();
            for report in reports {
                shown.extend(before.iter().cloned().map(|mut votes| {
                    votes.insert(name(place), write(report));
                    votes
                }));
            }
        }
        let seen = empty_view(world);
        shown.retain(|votes| votes.len() >= scope.quorum.quorum);
        for votes in shown {
            chosen.extend(choice(world, scope.quorum, &votes, &seen, term));
        }
    } else {
        let rows = cast.iter().enumerate();
        let votes: BTreeMap<KeyName, Vote> =
            rows.filter_map(|(place, row)| Some((name(place), write((*row)?)))).collect();
        let seen = if mutations.leader_free { empty_view(world) } else { view(world, scope) };
        chosen.extend(choice(world, scope.quorum, &votes, &seen, term));
    }
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// All votes that a liar can make.
pub(crate) fn lies(world: &World, scope: &Scope, term: u8) -> Vec<VoteRow> {
    let certified = world.rows.head;
    let nothing = VoteRow { certified, accepted: None };
    let invented = (1..term).flat_map(|term| blocks(scope).map(move |block| (term, block)));
    let invented = invented.map(|(term, block)| {
        let accepted = Some(TermBlock { term, block });
        VoteRow { certified, accepted }
    });
    std::iter::once(nothing).chain(invented).collect()
}

/// The block that a leader may propose, if any: the block that it must propose again, or a block of
/// its own.
fn choice(
    world: &World,
    quorum: Quorum,
    votes: &BTreeMap<KeyName, Vote>,
    seen: &RoundView,
    term: u8,
) -> Option<u8> {
    let head = point(world.rows.head, 0);
    let mut excluded: Vec<LogPoint> = Vec::new();
    loop {
        match choose(quorum, votes, &law(), &head, seen, &excluded) {
            // Leaders of successive terms propose different blocks.
            Choice::Free => return Some(2 - term % 2),
            Choice::Again(again) if block_of(&again.point) == FALSE_BLOCK => {
                excluded.push(again.point);
            }
            Choice::Again(again) => return Some(block_of(&again.point)),
            Choice::Behind { .. } | Choice::StepDown => return None,
        }
    }
}
