//! Turns a roll of additions and a roll of revocations into change files.
//!
//! A node knows registry keys and no NAS, so it cannot see that two keys belong to one elector. The
//! rule that an elector has one live credential per law is therefore enforced here, where the roll
//! and the files of earlier supplements are available.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::hashes::{GatheredRoll, HashedRoll};
use super::repetition::Sequential;
use super::sorted_chunk::SortedChunk;
use crate::credential::RegistryKey;
use crate::id::ElectionId;
use crate::shard::{Changes, ChangesError};

/// A row of a file read before. File 0 is the roll; the earlier additions and revocations follow,
/// in the order in which they were applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowLocation {
    /// Index of the file.
    pub file: usize,
    /// Line in that file.
    pub line: u64,
}

/// The credentials, before a supplement, of the electors that its files name.
///
/// Built from the roll, then updated with each earlier supplement.
#[derive(Default)]
pub struct LiveCredentials {
    laws: BTreeMap<ElectionId, HashMap<u32, History>>,
    files: usize,
}

/// The credentials of one elector for one law. More than one of them is live only if an earlier
/// supplement was made without these checks.
#[derive(Default)]
struct History {
    live: Vec<(RegistryKey, RowLocation)>,
    revoked: Vec<(RegistryKey, RowLocation)>,
}

/// Two rolls, compared with each other and with the credentials before them.
#[derive(Debug)]
#[non_exhaustive]
pub struct HashedSupplement {
    /// The roll of additions, with its faults.
    pub add: HashedRoll,
    /// The roll of revocations, with its faults.
    pub revoke: HashedRoll,
    /// One change file per law, by law id.
    pub changes: Vec<Changes>,
    /// Rows that contradict the registered credentials, by file and line; a supplement must have
    /// none.
    pub contradictions: Vec<Contradiction>,
    /// Additions for electors whose earlier code was revoked separately: each replaces that code.
    pub readmissions: Vec<Readmission>,
}

/// The file of a supplement that holds a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeFile {
    /// The file of additions.
    Add,
    /// The file of revocations.
    Revoke,
}

/// A row of a supplement that cannot be right.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contradiction {
    /// The file of the row.
    pub file: ChangeFile,
    /// The line of the row.
    pub line: u64,
    /// The law of the row.
    pub law_id: ElectionId,
    /// The kind of contradiction.
    pub rule: ContradictionRule,
}

/// How a row of a supplement contradicts the credentials before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContradictionRule {
    /// An addition gives the elector a second code while the one registered here stays live.
    SecondCode {
        /// Where the live code is registered.
        registered: RowLocation,
    },
    /// The same credential is registered already.
    Registered {
        /// Where it is registered.
        registered: RowLocation,
    },
    /// A revocation for an elector who is not registered for the law.
    Unregistered,
    /// A revocation with a code other than the elector's.
    OtherCode {
        /// Where the elector's code is registered.
        registered: RowLocation,
    },
    /// A revocation of a credential that was revoked before.
    RevokedBefore {
        /// Where it was revoked.
        revoked: RowLocation,
    },
    /// The same credential is added and revoked.
    Unchanged {
        /// The line of the revocation.
        revoked_line: u64,
    },
}

impl ContradictionRule {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SecondCode { .. } => "second-code",
            Self::Registered { .. } => "registered-already",
            Self::Unregistered => "not-registered",
            Self::OtherCode { .. } => "other-code",
            Self::RevokedBefore { .. } => "revoked-before",
            Self::Unchanged { .. } => "unchanged",
        }
    }
}

/// An elector who gets a new code after an earlier supplement revoked the old one. The change file
/// pairs the two, because a node may have refused that revocation: if the old code had been used,
/// the new one must not be added.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readmission {
    /// The line of the addition.
    pub line: u64,
    /// The law of the addition.
    pub law_id: ElectionId,
    /// Where the old code was revoked.
    pub revoked: RowLocation,
}

impl LiveCredentials {
    /// The credentials in a roll of those electors whom any of `named` names.
    #[must_use]
    pub fn from_roll(roll: &GatheredRoll, named: &[&GatheredRoll]) -> Self {
        let mut laws: BTreeMap<ElectionId, HashMap<u32, History>> = BTreeMap::new();
        for (law_id, runs) in &roll.laws {
            let numbers: HashSet<u32> = named
                .iter()
                .filter_map(|other| other.laws.get(law_id))
                .flat_map(|runs| electors(runs).map(|(nas, _, _)| nas))
                .collect();
            let mut histories: HashMap<u32, History> = HashMap::new();
            for (nas, key, line) in electors(runs).filter(|(nas, _, _)| numbers.contains(nas)) {
                let live = &mut histories.entry(nas).or_default().live;
                // Of exact duplicates, keep the first line.
                match live.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, location)) => location.line = location.line.min(line),
                    None => live.push((key, RowLocation { file: 0, line })),
                }
            }
            laws.insert(law_id.clone(), histories);
        }
        Self { laws, files: 1 }
    }

    /// Applies an earlier supplement as a node did. Pass an empty roll for a file that it did not
    /// have.
    pub fn apply(&mut self, add: &GatheredRoll, revoke: &GatheredRoll) {
        let (add_file, revoke_file) = (self.files, self.files + 1);
        self.files += 2;
        for (law_id, runs) in &revoke.laws {
            let histories = self.laws.entry(law_id.clone()).or_default();
            for (nas, key, line) in electors(runs) {
                let history = histories.entry(nas).or_default();
                history.live.retain(|(live, _)| *live != key);
                history.revoked.push((key, RowLocation { file: revoke_file, line }));
            }
        }
        for (law_id, runs) in &add.laws {
            let histories = self.laws.entry(law_id.clone()).or_default();
            for (nas, key, line) in electors(runs) {
                let history = histories.entry(nas).or_default();
                history.revoked.retain(|(revoked, _)| *revoked != key);
                if history.live.iter().all(|(live, _)| *live != key) {
                    history.live.push((key, RowLocation { file: add_file, line }));
                }
            }
        }
    }

    fn history(&self, law_id: &ElectionId, nas: u32) -> Option<&History> {
        self.laws.get(law_id)?.get(&nas)
    }
}

impl std::fmt::Debug for LiveCredentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LiveCredentials({} laws, {} files)", self.laws.len(), self.files)
    }
}

/// Compares additions and revocations with each other and with the credentials before them. The
/// same NAS and law in both is a replacement.
///
/// # Errors
/// [`ChangesError`] cannot result from rolls that were hashed under one scheme and have no
/// conflict.
pub fn hash_supplement(
    live: &LiveCredentials,
    add: GatheredRoll,
    revoke: GatheredRoll,
) -> Result<HashedSupplement, ChangesError> {
    let law_ids: BTreeSet<ElectionId> =
        add.laws.keys().chain(revoke.laws.keys()).cloned().collect();
    let mut comparison = Comparison {
        live,
        contradictions: Vec::new(),
        readmissions: Vec::new(),
        readmitted: BTreeMap::new(),
    };
    let mut changes = Vec::new();
    for law_id in law_ids {
        changes.push(comparison.compare(law_id, &add, &revoke)?);
    }
    let Comparison { mut contradictions, mut readmissions, .. } = comparison;
    contradictions.sort_by_key(|found| (found.file, found.line));
    readmissions.sort_by_key(|found| found.line);
    let (add, revoke) = (add.finish(&Sequential), revoke.finish(&Sequential));
    Ok(HashedSupplement { add, revoke, changes, contradictions, readmissions })
}

/// Key and line of a row.
type Row = (RegistryKey, u64);

struct Comparison<'a> {
    live: &'a LiveCredentials,
    contradictions: Vec<Contradiction>,
    readmissions: Vec<Readmission>,
    /// Old and new key of each readmission of the law being compared, by NAS.
    readmitted: BTreeMap<u32, (RegistryKey, RegistryKey)>,
}

impl Comparison<'_> {
    /// Compares the rows of one law and builds its change file.
    fn compare(
        &mut self,
        law_id: ElectionId,
        add: &GatheredRoll,
        revoke: &GatheredRoll,
    ) -> Result<Changes, ChangesError> {
        let mut added = by_nas(add.laws.get(&law_id));
        let mut revoked = by_nas(revoke.laws.get(&law_id));
        for (nas, row) in &revoked {
            // A key both added and revoked is reported once, with its addition.
            if added.get(nas).is_none_or(|(key, _)| *key != row.0) {
                self.check_revocation(&law_id, *nas, row);
            }
        }
        for (nas, row) in &added {
            self.check_addition(&law_id, *nas, row, revoked.get(nas));
        }
        let both: Vec<u32> =
            added.keys().filter(|nas| revoked.contains_key(nas)).copied().collect();
        let mut replace = Vec::with_capacity(both.len());
        for nas in both {
            if let (Some((old, _)), Some((new, _))) = (revoked.remove(&nas), added.remove(&nas))
                && old != new
            {
                replace.push((old, new));
            }
        }
        let mut readmit = Vec::new();
        for (nas, pair) in std::mem::take(&mut self.readmitted) {
            added.remove(&nas);
            readmit.push(pair);
        }
        let keys = |rest: BTreeMap<u32, Row>| rest.into_values().map(|(key, _)| key).collect();
        Changes::new(law_id, keys(added), keys(revoked), replace)?.with_readmissions(readmit)
    }

    fn check_revocation(&mut self, law_id: &ElectionId, nas: u32, (key, line): &Row) {
        let history = self.live.history(law_id, nas);
        let rule = match history {
            Some(history) if history.live.iter().any(|(live, _)| live == key) => return,
            Some(history) => {
                let before = history.revoked.iter().rev().find(|(revoked, _)| revoked == key);
                match (before, history.live.first()) {
                    (Some((_, revoked)), _) => {
                        ContradictionRule::RevokedBefore { revoked: *revoked }
                    }
                    (None, Some((_, registered))) => {
                        ContradictionRule::OtherCode { registered: *registered }
                    }
                    (None, None) => ContradictionRule::Unregistered,
                }
            }
            None => ContradictionRule::Unregistered,
        };
        self.contradict(ChangeFile::Revoke, *line, law_id, rule);
    }

    fn check_addition(
        &mut self,
        law_id: &ElectionId,
        nas: u32,
        (key, line): &Row,
        revocation: Option<&Row>,
    ) {
        if let Some((_, revoked_line)) = revocation.filter(|(revoked, _)| revoked == key) {
            let rule = ContradictionRule::Unchanged { revoked_line: *revoked_line };
            return self.contradict(ChangeFile::Add, *line, law_id, rule);
        }
        let Some(history) = self.live.history(law_id, nas) else { return };
        if let Some((_, registered)) = history.live.iter().find(|(live, _)| live == key) {
            let rule = ContradictionRule::Registered { registered: *registered };
            return self.contradict(ChangeFile::Add, *line, law_id, rule);
        }
        let stays = |live: &&(RegistryKey, RowLocation)| {
            revocation.is_none_or(|(revoked, _)| *revoked != live.0)
        };
        if let Some((_, registered)) = history.live.iter().find(stays) {
            let rule = ContradictionRule::SecondCode { registered: *registered };
            return self.contradict(ChangeFile::Add, *line, law_id, rule);
        }
        // Only the code revoked last is paired. The same code may be added again without pairing: a
        // node knows whether it was used.
        if revocation.is_none()
            && let Some((old, revoked)) = history.revoked.last()
            && old != key
        {
            let (line, revoked) = (*line, *revoked);
            self.readmissions.push(Readmission { line, law_id: law_id.clone(), revoked });
            self.readmitted.insert(nas, (*old, *key));
        }
    }

    fn contradict(
        &mut self,
        file: ChangeFile,
        line: u64,
        law_id: &ElectionId,
        rule: ContradictionRule,
    ) {
        self.contradictions.push(Contradiction { file, line, law_id: law_id.clone(), rule });
    }
}

/// NAS, key and line of each row.
fn electors(runs: &[SortedChunk]) -> impl Iterator<Item = (u32, RegistryKey, u64)> {
    runs.iter()
        .flat_map(|run| run.electors.iter().zip(&run.keys))
        .map(|(elector, key)| (elector.nas, *key, u64::from(elector.line)))
}

/// Key and line of each NAS; of a repeated NAS, those of its first line.
fn by_nas(runs: Option<&Vec<SortedChunk>>) -> BTreeMap<u32, Row> {
    let mut found: BTreeMap<u32, Row> = BTreeMap::new();
    for (nas, key, line) in runs.into_iter().flat_map(|runs| electors(runs)) {
        let entry = found.entry(nas).or_insert((key, line));
        if line < entry.1 {
            *entry = (key, line);
        }
    }
    found
}
