//! The scopes of the search, and the mutants: scopes in which guards are left out.

use votekit_authority::round::Quorum;

/// Bounds of one search.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    pub(crate) name: &'static str,
    pub(crate) quorum: Quorum,
    /// The number of authorities that make arbitrary statements: those with the highest indices.
    pub(crate) liars: usize,
    /// Whether they may lead.
    pub(crate) liars_lead: bool,
    pub(crate) heights: u8,
    pub(crate) terms: u8,
    pub(crate) splits: Splits,
    pub(crate) ledger: LedgerKind,
    /// Whether the search takes too long for the regular tests.
    pub(crate) is_large: bool,
}

/// Which steps of an authority can be interrupted by the steps of others, and by its crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Splits {
    /// A statement becomes durable and enters the ledger in one step.
    Nowhere,
    /// A proposal and the accepts visible at that time are read in one step; the proposal is
    /// accepted later or never.
    AfterReading,
    /// A statement becomes durable first, and enters the ledger later or never.
    AfterDurable,
}

/// The behaviour of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LedgerKind {
    /// Stores and shows every row as specified.
    Honest,
    /// As `Honest`, but loses everything once.
    EmptiedOnce,
    /// Shows each reader any subset of the signed rows, and accepts every row at any time. Progress
    /// is not required of it.
    Lies,
}

impl Scope {
    const fn new(name: &'static str, authorities: usize, quorum: usize) -> Self {
        Self {
            name,
            quorum: Quorum { authorities, quorum },
            liars: 0,
            liars_lead: true,
            heights: 1,
            terms: 2,
            splits: Splits::Nowhere,
            ledger: LedgerKind::Honest,
            is_large: false,
        }
    }

    const fn liars(self, liars: usize) -> Self {
        Self { liars, ..self }
    }

    const fn heights(self, heights: u8) -> Self {
        Self { heights, ..self }
    }

    const fn terms(self, terms: u8) -> Self {
        Self { terms, ..self }
    }

    const fn splits(self, splits: Splits) -> Self {
        Self { splits, ..self }
    }

    const fn ledger(self, ledger: LedgerKind) -> Self {
        Self { ledger, ..self }
    }

    const fn large(self) -> Self {
        Self { is_large: true, ..self }
    }

    /// The number of authorities that follow the guards: those with the lowest indices.
    pub(crate) const fn honest(&self) -> usize {
        self.quorum.authorities - self.liars
    }

    /// Whether the ledger lies.
    pub(crate) fn ledger_lies(&self) -> bool {
        self.ledger == LedgerKind::Lies
    }
}

const THREE: Scope = Scope::new("three", 3, 2);
const LIAR: Scope = Scope::new("three, one lies", 3, 2).liars(1);
const FOLLOWING_LIAR: Scope =
    Scope { name: "three, one lies and never leads", liars_lead: false, ..LIAR };
const LYING_LEDGER: Scope = Scope::new("three, the ledger lies", 3, 2).ledger(LedgerKind::Lies);
const LYING_LEDGER_AND_LIAR: Scope =
    Scope::new("four, the ledger and one lie", 4, 3).liars(1).ledger(LedgerKind::Lies);

/// All scopes. With all guards, each search finds no violation.
pub(crate) const SCOPES: &[Scope] = &[
    THREE,
    Scope::new("three, interrupted after reading", 3, 2).splits(Splits::AfterReading),
    Scope::new("three, interrupted after durable", 3, 2).splits(Splits::AfterDurable),
    Scope::new("three, two heights", 3, 2).heights(2),
    Scope::new("three, ledger emptied once", 3, 2).ledger(LedgerKind::EmptiedOnce),
    Scope::new("four", 4, 3),
    LIAR,
    FOLLOWING_LIAR,
    LYING_LEDGER,
    Scope::new("four, the ledger lies", 4, 3).ledger(LedgerKind::Lies),
    LYING_LEDGER_AND_LIAR,
    Scope::new("five", 5, 3).large(),
    Scope::new("three, three terms", 3, 2).terms(3).large(),
    Scope::new("four, one lies", 4, 3).liars(1).large(),
    Scope::new("three, one lies, interrupted after reading", 3, 2)
        .liars(1)
        .splits(Splits::AfterReading)
        .large(),
    Scope::new("three, one lies, two heights", 3, 2).liars(1).heights(2).large(),
];

/// The guards that are left out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mutations {
    /// An authority cosigns any proposed block.
    pub(crate) cosign_without_accepts: bool,
    /// A new leader treats every vote as reporting no block.
    pub(crate) ignore_votes: bool,
    /// An authority accepts a block of any leadership.
    pub(crate) accept_unpromised: bool,
    /// An authority forgets its last promise.
    pub(crate) forget_vote: bool,
    /// An authority cosigns a second block at the same height.
    pub(crate) cosign_two_roots: bool,
    /// A vote is in the ledger before the promise is durable, and the authority may crash between.
    pub(crate) vote_before_durable: bool,
    /// The ledger stores accepts of earlier terms.
    pub(crate) late_accepts: bool,
    /// A new leader does not look at the accepts in the ledger.
    pub(crate) leader_free: bool,
    /// An authority accepts a block although the accepts of a quorum for another block are visible.
    pub(crate) accept_beside_quorum: bool,
    /// An authority cosigns a block although the accepts of a quorum for another block are visible.
    pub(crate) cosign_beside_quorum: bool,
}

/// A guard that is left out, and the scope in which the search then finds a violation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mutant {
    pub(crate) name: &'static str,
    pub(crate) scope: Scope,
    /// The guard, and the other guards that would hide its absence.
    pub(crate) mutations: Mutations,
    /// Only the guards that would hide its absence: if only these are left out, no violation
    /// occurs.
    pub(crate) others: Mutations,
}

const NONE: Mutations = Mutations {
    cosign_without_accepts: false,
    ignore_votes: false,
    accept_unpromised: false,
    forget_vote: false,
    cosign_two_roots: false,
    vote_before_durable: false,
    late_accepts: false,
    leader_free: false,
    accept_beside_quorum: false,
    cosign_beside_quorum: false,
};
const BESIDE: Mutations = Mutations { cosign_beside_quorum: true, ..NONE };
const BOTH_BESIDE: Mutations = Mutations { accept_beside_quorum: true, ..BESIDE };

/// Every guard left out in turn. An honest ledger makes some guards redundant, so these mutants
/// have a ledger that lies. The guards on what is visible make sense only with an honest ledger,
/// and back one another.
pub(crate) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "cosign without accepts",
        scope: THREE,
        mutations: Mutations { cosign_without_accepts: true, ..NONE },
        others: NONE,
    },
    Mutant {
        name: "ignore what votes report",
        scope: LYING_LEDGER,
        mutations: Mutations { ignore_votes: true, ..NONE },
        others: NONE,
    },
    Mutant {
        name: "accept in a term not promised",
        scope: LYING_LEDGER,
        mutations: Mutations { accept_unpromised: true, ..NONE },
        others: NONE,
    },
    Mutant {
        name: "forget a vote",
        scope: LYING_LEDGER,
        mutations: Mutations { forget_vote: true, ..NONE },
        others: NONE,
    },
    Mutant {
        name: "vote before it is durable",
        scope: LYING_LEDGER,
        mutations: Mutations { vote_before_durable: true, ..NONE },
        others: NONE,
    },
    Mutant {
        name: "cosign two roots",
        scope: LYING_LEDGER_AND_LIAR,
        mutations: Mutations { cosign_two_roots: true, ..NONE },
        others: NONE,
    },
    Mutant {
        name: "late accepts taken",
        scope: LIAR,
        mutations: Mutations { late_accepts: true, ..BESIDE },
        others: BESIDE,
    },
    Mutant {
        name: "accept beside a quorum's block",
        scope: LIAR,
        mutations: BOTH_BESIDE,
        others: BESIDE,
    },
    Mutant {
        name: "cosign beside a quorum's block",
        scope: LIAR,
        mutations: BOTH_BESIDE,
        others: Mutations { accept_beside_quorum: true, ..NONE },
    },
    Mutant {
        name: "leader free when q accepts are visible",
        scope: FOLLOWING_LIAR,
        mutations: Mutations { leader_free: true, ..BOTH_BESIDE },
        others: BOTH_BESIDE,
    },
];
