//! Gathers hashed chunks into a hashed roll.

use std::collections::BTreeMap;

use super::chunk::Tail;
use super::code_lengths::CodeLengths;
use super::fault::{RollError, RowFault, RowRule};
use super::hash::{ChunkTally, HashScratch, HashedChunk, RollHasher};
use super::law_keys::LawKeys;
use super::repetition::{Repeated, Threads, repeated_rows};
use super::sorted_chunk::SortedChunk;
use super::table::Field;
use crate::credential::RegistryKey;
use crate::id::ElectionId;

/// The same NAS and law with two codes: only the authority knows which code is right.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// The law.
    pub law_id: ElectionId,
    /// The first line with this NAS and law.
    pub first_line: u64,
    /// The later line with another code.
    pub line: u64,
}

/// Gathers hashed chunks in any order, and parses those again that were cut within a record.
pub struct RollHashes<'h> {
    hasher: &'h RollHasher,
    gathered: GatheredRoll,
    /// The number of the next chunk in file order.
    next: u64,
    /// Chunks that arrived before their turn, by number.
    waiting: BTreeMap<u64, HashedChunk>,
    /// The incomplete record at the end of the last chunk gathered.
    tail: Tail,
    scratch: HashScratch,
}

impl std::fmt::Debug for RollHashes<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RollHashes({:?}, {} chunks wait)", self.gathered, self.waiting.len())
    }
}

/// All rows of a roll, checked and hashed individually, and not yet compared with each other.
#[derive(Default)]
pub struct GatheredRoll {
    pub(super) laws: BTreeMap<ElectionId, Vec<SortedChunk>>,
    code_lengths: BTreeMap<ElectionId, CodeLengths>,
    faults: Vec<RowFault>,
    rows: u64,
    ignored: u64,
}

impl std::fmt::Debug for GatheredRoll {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "GatheredRoll({} rows, {} faults)", self.rows, self.faults.len())
    }
}

/// A whole roll, hashed.
#[derive(Debug)]
#[non_exhaustive]
pub struct HashedRoll {
    /// The laws that have at least one good row, by id.
    pub laws: Vec<LawKeys>,
    /// Bad rows and exact duplicates, by line.
    pub faults: Vec<RowFault>,
    /// Conflicts (same NAS and law, two codes), by line.
    pub conflicts: Vec<Conflict>,
    /// Rows of the requested laws: registered + duplicates + rejects, unless there are conflicts.
    pub rows: u64,
    /// The number of faults that are exact duplicates.
    pub duplicates: u64,
    /// Rows of other laws.
    pub ignored: u64,
    /// Length of the shortest access code among the good rows in characters; 0 if there is none.
    pub code_length_min: u32,
    /// The lengths of the access codes of each law.
    pub code_lengths: BTreeMap<ElectionId, CodeLengths>,
}

impl HashedRoll {
    /// Number of bad rows other than duplicates.
    #[must_use]
    pub fn rejects(&self) -> u64 {
        self.faults.len() as u64 - self.duplicates
    }
}

impl<'h> RollHashes<'h> {
    /// Gathers the chunks hashed by `hasher`.
    #[must_use]
    pub fn new(hasher: &'h RollHasher) -> Self {
        Self {
            hasher,
            gathered: GatheredRoll::default(),
            next: 0,
            waiting: BTreeMap::new(),
            tail: Tail::none(),
            scratch: HashScratch::default(),
        }
    }

    /// The number of the chunk that is needed before any later chunk can be released.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// Adds a hashed chunk.
    ///
    /// # Errors
    /// [`RollError::RowLength`] when a record is too long.
    pub fn add(&mut self, chunk: HashedChunk) -> Result<(), RollError> {
        self.waiting.insert(chunk.number(), chunk);
        while let Some(mut chunk) = self.waiting.remove(&self.next) {
            self.next += 1;
            // An incomplete record means that this chunk was cut wrongly: join and hash it again.
            if !self.tail.is_none() {
                let joined = chunk.chunk.behind(&self.tail)?;
                chunk = self.hasher.hash(joined, &mut self.scratch);
            }
            self.tail = chunk.tail;
            self.gathered.take(chunk.tally);
        }
        Ok(())
    }

    /// Adds the last record of the file. Call it once every chunk has been added.
    ///
    /// # Errors
    /// [`RollError::RowLength`] when the last record is too long.
    pub fn end(mut self) -> Result<GatheredRoll, RollError> {
        debug_assert!(self.waiting.is_empty(), "a chunk is missing");
        if !self.tail.is_none() {
            let last = self.tail.into_last_chunk(self.next)?;
            self.gathered.take(self.hasher.hash(last, &mut self.scratch).tally);
        }
        Ok(self.gathered)
    }
}

impl GatheredRoll {
    fn take(&mut self, tally: ChunkTally) {
        self.rows += tally.hashed + tally.faults.len() as u64;
        self.ignored += tally.ignored;
        self.faults.extend(tally.faults);
        for (law_id, run, lengths) in tally.laws {
            self.code_lengths.entry(law_id.clone()).or_default().extend(lengths);
            self.laws.entry(law_id).or_default().push(run);
        }
    }

    /// The lengths of the access codes of each law.
    #[must_use]
    pub fn code_lengths(&self) -> &BTreeMap<ElectionId, CodeLengths> {
        &self.code_lengths
    }

    /// Bad rows. Exact duplicates are not among them yet.
    #[must_use]
    pub fn faults(&self) -> &[RowFault] {
        &self.faults
    }

    /// The number of distinct credentials of each law.
    #[must_use]
    pub fn registered(&self, threads: &impl Threads) -> BTreeMap<ElectionId, u64> {
        let distinct = |runs: &Vec<SortedChunk>| {
            let rows: usize = runs.iter().map(|run| run.keys.len()).sum();
            let repeated = repeated_rows(runs, threads);
            let mut keys: Vec<_> = repeated.iter().map(|row| row.key).collect();
            keys.sort_unstable();
            keys.dedup();
            (rows - (repeated.len() - keys.len())) as u64
        };
        self.laws.iter().map(|(law_id, runs)| (law_id.clone(), distinct(runs))).collect()
    }

    /// Finds duplicates and conflicts.
    #[must_use]
    pub fn finish(self, threads: &impl Threads) -> HashedRoll {
        let mut roll = HashedRoll {
            laws: Vec::new(),
            faults: self.faults,
            conflicts: Vec::new(),
            rows: self.rows,
            duplicates: 0,
            ignored: self.ignored,
            code_length_min: self
                .code_lengths
                .values()
                .filter_map(CodeLengths::shortest)
                .min()
                .unwrap_or(0),
            code_lengths: self.code_lengths,
        };
        for (law_id, mut runs) in self.laws {
            let repeated = repeated_rows(&runs, threads);
            let surplus = roll.note_repetitions(&law_id, &repeated);
            let keys = runs.iter_mut().map(|run| std::mem::take(&mut run.keys)).collect();
            // NAS and lines are no longer needed: free them before the next law.
            drop(runs);
            roll.laws.push(LawKeys::new(law_id, keys, surplus));
        }
        roll.faults.sort_unstable_by_key(|fault| fault.line);
        roll.conflicts.sort_unstable_by_key(|conflict| conflict.line);
        roll
    }
}

impl HashedRoll {
    /// Separates exact duplicates from conflicts. Returns the surplus keys.
    fn note_repetitions(&mut self, law_id: &ElectionId, repeated: &[Repeated]) -> Vec<RegistryKey> {
        let mut surplus = Vec::new();
        for group in repeated.chunk_by(|one, next| one.nas == next.nas) {
            let first_line = u64::from(group[0].line);
            for (index, row) in group.iter().enumerate().skip(1) {
                let line = u64::from(row.line);
                // A repeated second code counts as a conflict below; its key is surplus too.
                if group[..index].iter().any(|earlier| earlier.key == row.key) {
                    surplus.push(row.key);
                }
                if row.key == group[0].key {
                    self.duplicates += 1;
                    self.faults.push(RowFault {
                        line,
                        field: Field::ROW,
                        rule: RowRule::Duplicate { first_line },
                    });
                } else {
                    self.conflicts.push(Conflict { law_id: law_id.clone(), first_line, line });
                }
            }
        }
        surplus
    }
}
