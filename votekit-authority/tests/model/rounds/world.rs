//! A state of the model, in a compact form.

use super::scope::{Scope, Splits};

/// The maximum numbers of authorities, terms and heights of a scope.
pub(crate) const AUTHORITIES_MAX: usize = 5;
pub(crate) const TERMS_MAX: usize = 3;
pub(crate) const HEIGHTS_MAX: usize = 2;

/// Two blocks that every honest authority can make.
pub(crate) const HONEST_BLOCKS: [u8; 2] = [1, 2];
/// A block that every honest authority refuses.
pub(crate) const FALSE_BLOCK: u8 = 3;

/// A value of each authority.
type Each<T> = [T; AUTHORITIES_MAX];

/// The rows of the ledger, the memories of the authorities, and all their cosignatures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) rows: Rows,
    pub(crate) memories: Each<Memory>,
    /// A proposal that was read and is not accepted yet. A crash loses it.
    pub(crate) pending: Each<Option<TermBlock>>,
    /// The blocks that each authority ever cosigned, by height, as a set of bits.
    pub(crate) signed: [Each<u8>; HEIGHTS_MAX],
    pub(crate) is_emptied: bool,
}

/// The contents of the ledger. Statements are about the height above the head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Rows {
    /// The height of the head.
    pub(crate) head: u8,
    /// The present term, and the leader of each.
    pub(crate) term: u8,
    pub(crate) leaders: [Option<u8>; TERMS_MAX],
    /// The blocks proposed in each term, as a set of bits. An honest leader proposes one, and with
    /// an honest ledger all authorities take the first.
    pub(crate) proposals: [u8; TERMS_MAX],
    pub(crate) votes: [Each<Option<VoteRow>>; TERMS_MAX],
    /// The block that each authority has accepted in each term; 0 for none.
    pub(crate) accepts: [Each<u8>; TERMS_MAX],
    /// The block of each cosignature; 0 for none.
    pub(crate) lines: Each<u8>,
}

/// A block, and a term in which it was accepted or proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TermBlock {
    pub(crate) term: u8,
    pub(crate) block: u8,
}

/// The content of a vote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct VoteRow {
    /// The certified height.
    pub(crate) certified: u8,
    /// The block accepted above it.
    pub(crate) accepted: Option<TermBlock>,
}

/// The durable state of an authority.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Memory {
    /// Term and leader of the last vote.
    pub(crate) promise: Option<(u8, u8)>,
    /// The certified height.
    pub(crate) certified: u8,
    /// The block accepted above it.
    pub(crate) accepted: Option<TermBlock>,
    /// The block cosigned above it; 0 for none.
    pub(crate) cosigned: u8,
}

impl Memory {
    /// The promised term; 0 for none.
    pub(crate) fn promised_term(&self) -> u8 {
        self.promise.map_or(0, |(term, _)| term)
    }
}

impl Rows {
    /// The leader of a term, if it was given.
    pub(crate) fn leader(&self, term: u8) -> Option<u8> {
        self.leaders[slot(term)]
    }

    /// Drops the statements about a height that is in the log.
    pub(crate) fn advance(&mut self) {
        self.head += 1;
        self.proposals = Default::default();
        self.accepts = Default::default();
        self.lines = Default::default();
    }
}

/// The array index of a term, which counts from 1.
pub(crate) fn slot(term: u8) -> usize {
    usize::from(term) - 1
}

/// The number of an authority, as states keep it.
pub(crate) fn number(place: usize) -> u8 {
    u8::try_from(place).expect("few authorities")
}

/// The bit of a block in a set.
pub(crate) const fn bit(block: u8) -> u8 {
    1 << block
}

/// The blocks of a scope.
pub(crate) fn blocks(scope: &Scope) -> impl Iterator<Item = u8> + use<> {
    let last = if scope.liars > 0 { FALSE_BLOCK } else { HONEST_BLOCKS[1] };
    HONEST_BLOCKS[0]..=last
}

impl World {
    /// Whether another height is to be certified.
    pub(crate) fn is_open(&self, scope: &Scope) -> bool {
        self.rows.head < scope.heights
    }

    /// The terms that were given.
    pub(crate) fn terms(&self, scope: &Scope) -> impl Iterator<Item = u8> + use<> {
        let leaders = self.rows.leaders;
        (1..=scope.terms).filter(move |term| leaders[slot(*term)].is_some())
    }

    /// Whether a vote of this term can still be read: an honest leader that has proposed for the
    /// last height reads none. Such votes are not kept, so that fewer states differ.
    pub(crate) fn is_vote_read(&self, scope: &Scope, term: u8) -> bool {
        let is_last = self.rows.head + 1 == scope.heights;
        let is_honest = |leader: u8| usize::from(leader) < scope.honest();
        let is_settled =
            self.rows.proposals[slot(term)] != 0 && self.rows.leader(term).is_some_and(is_honest);
        !(is_last && is_settled)
    }

    /// Whether the accepts of this term are taken.
    pub(crate) fn takes_accepts(&self, scope: &Scope, term: u8, takes_late: bool) -> bool {
        term == self.rows.term || takes_late || scope.ledger_lies()
    }

    /// Whether an authority's statements reach the ledger in a step of their own.
    pub(crate) fn sends_later(scope: &Scope) -> bool {
        scope.splits == Splits::AfterDurable
    }

    /// The blocks of a height that a quorum can have cosigned, if every liar cosigns every block.
    pub(crate) fn certified(
        &self,
        scope: &Scope,
        height_before: u8,
    ) -> impl Iterator<Item = u8> + use<> {
        let signed = self.signed[usize::from(height_before)];
        let (honest, liars, quorum) = (scope.honest(), scope.liars, scope.quorum.quorum);
        blocks(scope).filter(move |block| {
            let cosigners = signed[..honest].iter().filter(|set| *set & bit(*block) != 0).count();
            cosigners > 0 && cosigners + liars >= quorum
        })
    }

    /// The state with its honest authorities in a fixed order: they are exchangeable.
    pub(crate) fn canonical(mut self, scope: &Scope) -> Self {
        let mut order: [usize; AUTHORITIES_MAX] = std::array::from_fn(|place| place);
        order[..scope.honest()].sort_by_key(|place| self.sort_key(*place));
        if order.is_sorted() {
            return self;
        }
        let mut moved = [0_u8; AUTHORITIES_MAX];
        for (new, old) in order.iter().enumerate() {
            moved[*old] = number(new);
        }
        let renamed = |place: u8| moved[usize::from(place)];
        self.rows.leaders = self.rows.leaders.map(|leader| leader.map(renamed));
        self.rows.votes = self.rows.votes.map(|votes| order.map(|old| votes[old]));
        self.rows.accepts = self.rows.accepts.map(|accepts| order.map(|old| accepts[old]));
        self.rows.lines = order.map(|old| self.rows.lines[old]);
        self.pending = order.map(|old| self.pending[old]);
        self.signed = self.signed.map(|signed| order.map(|old| signed[old]));
        self.memories = order.map(|old| {
            let memory = self.memories[old];
            let promise = memory.promise.map(|(term, leader)| (term, renamed(leader)));
            Memory { promise, ..memory }
        });
        self
    }

    /// All that is about one authority, without the numbers of others.
    fn sort_key(&self, place: usize) -> impl Ord + use<> {
        let rows = &self.rows;
        let leads = rows.leaders.map(|leader| leader == Some(number(place)));
        let Memory { promise, certified, accepted, cosigned } = self.memories[place];
        let promised = promise.map(|(term, leader)| {
            let is_known = rows.leaders[slot(term)] == Some(leader);
            (term, usize::from(leader) == place, is_known)
        });
        (
            (promised, certified, accepted, cosigned, leads),
            rows.votes.map(|votes| votes[place]),
            rows.accepts.map(|accepts| accepts[place]),
            rows.lines[place],
            self.signed.map(|signed| signed[place]),
            self.pending[place],
        )
    }
}
