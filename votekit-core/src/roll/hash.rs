//! From chunks of a roll to the sorted registry keys of each law.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use zeroize::Zeroize;

use super::chunk::Chunk;
use super::fault::{Field, RowFault, RowRule};
use super::header::RollHeader;
use super::row::{RawRow, Rows};
use crate::credential::{AccessCode, CredentialError, CredentialHasher, Nas, RegistryKey};
use crate::id::LawId;

/// What is asked of rows besides being well formed.
#[derive(Debug, Clone, Default)]
pub struct RollRules {
    /// NAS must pass the Luhn check.
    pub check_digit: bool,
    /// Only these laws are hashed; empty for all. Rows of other laws are counted and otherwise ignored.
    pub laws: BTreeSet<LawId>,
}

/// The rows of one law, column by column: 40 bytes a row.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) keys: Vec<RegistryKey>,
    /// The NAS as a number. Wiped on drop.
    pub(super) nas: Vec<u32>,
    pub(super) lines: Vec<u32>,
}

impl Columns {
    fn append(&mut self, mut other: Self) {
        self.keys.append(&mut other.keys);
        self.nas.extend_from_slice(&other.nas);
        self.lines.append(&mut other.lines);
    }
}

impl Drop for Columns {
    fn drop(&mut self) {
        self.nas.zeroize();
    }
}

/// What one chunk came to.
#[derive(Default)]
pub struct HashedChunk {
    laws: Vec<(LawId, Columns)>,
    /// The bad rows.
    pub faults: Vec<RowFault>,
    /// Good rows of the laws asked for.
    pub hashed: u64,
    /// Rows of other laws.
    pub ignored: u64,
    /// Characters of the shortest access code.
    code_length_min: Option<u32>,
}

impl std::fmt::Debug for HashedChunk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "HashedChunk({} hashed, {} faults)", self.hashed, self.faults.len())
    }
}

/// Parses, checks and hashes the rows of one chunk. Threads share nothing.
#[must_use]
pub fn hash_chunk(chunk: &Chunk, header: &RollHeader, rules: &RollRules, hasher: &CredentialHasher) -> HashedChunk {
    let mut hashed = HashedChunk::default();
    let mut laws = LawLookup::new(rules);
    let clean = chunk.bytes().is_ascii() && !chunk.bytes().contains(&0);
    let mut rows = Rows::new(chunk.bytes(), chunk.line());
    while let Some(row) = rows.next_row(header) {
        if let Err(fault) = hash_row(&row, header, clean, &mut laws, rules, hasher, &mut hashed) {
            hashed.faults.push(fault);
        }
    }
    hashed
}

fn hash_row(
    row: &RawRow<'_>,
    header: &RollHeader,
    clean: bool,
    laws: &mut LawLookup<'_>,
    rules: &RollRules,
    hasher: &CredentialHasher,
    hashed: &mut HashedChunk,
) -> Result<(), RowFault> {
    let [nas, code, law] = row.fields(header, clean)?;
    // The law first: a fault in a row of a law that nobody asked for is none.
    let place = laws.find(law, &mut hashed.laws).map_err(|error| row.fault_in(Field::LawId, error.into()))?;
    let Some(place) = place else {
        hashed.ignored += 1;
        return Ok(());
    };
    let nas = Nas::parse(nas).map_err(|error| row.fault_in(Field::Nas, error.into()))?;
    if rules.check_digit && !nas.passes_check_digit() {
        return Err(row.fault_in(Field::Nas, CredentialError::NasCheckDigit.into()));
    }
    let code = AccessCode::parse(code).map_err(|error| row.fault_in(Field::Code, error.into()))?;
    let length = u32::try_from(code.as_bytes().len()).unwrap_or(u32::MAX);
    hashed.code_length_min = shorter(hashed.code_length_min, Some(length));
    let (law_id, columns) = &mut hashed.laws[place];
    columns.keys.push(hasher.registry_key(&nas, &code, law_id));
    columns.nas.push(number_of(&nas));
    // RollChunks refuses a roll of more lines than this holds.
    columns.lines.push(u32::try_from(row.line).unwrap_or(u32::MAX));
    hashed.hashed += 1;
    Ok(())
}

fn shorter(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    [one, other].into_iter().flatten().min()
}

fn number_of(nas: &Nas) -> u32 {
    nas.as_bytes().iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

/// A law id from the bytes of a field.
pub(super) fn law_id(text: &[u8]) -> Result<LawId, CredentialError> {
    LawId::check(text)?;
    Ok(std::str::from_utf8(text).unwrap_or_default().parse()?)
}

/// Finds a law's place in a chunk's list. Neighbouring rows are mostly of one law, so the last answer is tried first.
struct LawLookup<'a> {
    rules: &'a RollRules,
    /// `None` for a law that is not asked for.
    places: HashMap<Vec<u8>, Option<usize>>,
    last: usize,
}

impl<'a> LawLookup<'a> {
    fn new(rules: &'a RollRules) -> Self {
        Self { rules, places: HashMap::new(), last: 0 }
    }

    /// The law's place; `None` when it is not asked for.
    fn find(&mut self, text: &[u8], laws: &mut Vec<(LawId, Columns)>) -> Result<Option<usize>, CredentialError> {
        if laws.get(self.last).is_some_and(|(law_id, _)| law_id.as_str().as_bytes() == text) {
            return Ok(Some(self.last));
        }
        let place = match self.places.get(text) {
            Some(place) => *place,
            None => self.admit(text, laws)?,
        };
        self.last = place.unwrap_or(self.last);
        Ok(place)
    }

    fn admit(&mut self, text: &[u8], laws: &mut Vec<(LawId, Columns)>) -> Result<Option<usize>, CredentialError> {
        let law_id = law_id(text)?;
        let asked_for = self.rules.laws.is_empty() || self.rules.laws.contains(&law_id);
        let place = asked_for.then_some(laws.len());
        if asked_for {
            laws.push((law_id, Columns::default()));
        }
        self.places.insert(text.to_vec(), place);
        Ok(place)
    }
}

/// Sorts in place; lets a caller with threads use them.
pub trait Sorter {
    /// Ascending, in any way: equal keys are identical.
    fn sort_keys(&self, keys: &mut [RegistryKey]);
    /// Ascending, in any way.
    fn sort_numbers(&self, numbers: &mut [u64]);
}

/// Sorts on the calling thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sequential;

impl Sorter for Sequential {
    fn sort_keys(&self, keys: &mut [RegistryKey]) {
        keys.sort_unstable();
    }

    fn sort_numbers(&self, numbers: &mut [u64]) {
        numbers.sort_unstable();
    }
}

/// The same NAS and law with two codes: only the authority knows which one is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The law.
    pub law_id: LawId,
    /// The line that came first.
    pub first_line: u64,
    /// The line with another code.
    pub line: u64,
}

/// Gathers hashed chunks, in any order.
#[derive(Default)]
pub struct RollHashes {
    pub(super) laws: BTreeMap<LawId, Columns>,
    faults: Vec<RowFault>,
    rows: u64,
    ignored: u64,
    code_length_min: Option<u32>,
}

impl std::fmt::Debug for RollHashes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RollHashes({} rows, {} faults)", self.rows, self.faults.len())
    }
}

/// One law's registry keys, ascending and distinct.
#[derive(Clone, PartialEq, Eq)]
pub struct LawKeys {
    /// The law.
    pub law_id: LawId,
    /// What its shards hold.
    pub keys: Vec<RegistryKey>,
}

impl std::fmt::Debug for LawKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LawKeys({}, {} keys)", self.law_id, self.keys.len())
    }
}

/// A whole roll, hashed.
#[derive(Debug)]
pub struct HashedRoll {
    /// The laws that have at least one good row, by id.
    pub laws: Vec<LawKeys>,
    /// Bad rows by line, exact duplicates among them.
    pub faults: Vec<RowFault>,
    /// Same NAS and law, two codes; by line.
    pub conflicts: Vec<Conflict>,
    /// Rows of the laws asked for: registered + duplicates + rejects, when there is no conflict.
    pub rows: u64,
    /// How many of the faults are exact duplicates.
    pub duplicates: u64,
    /// Rows of other laws.
    pub ignored: u64,
    /// Characters of the shortest access code among the good rows; 0 when there is none.
    pub code_length_min: u32,
}

impl HashedRoll {
    /// Bad rows that are no duplicates.
    #[must_use]
    pub fn rejects(&self) -> u64 {
        self.faults.len() as u64 - self.duplicates
    }
}

impl RollHashes {
    /// Adds what a chunk came to.
    pub fn add(&mut self, chunk: HashedChunk) {
        self.rows += chunk.hashed + chunk.faults.len() as u64;
        self.ignored += chunk.ignored;
        self.code_length_min = shorter(self.code_length_min, chunk.code_length_min);
        self.faults.extend(chunk.faults);
        for (law_id, columns) in chunk.laws {
            self.laws.entry(law_id).or_default().append(columns);
        }
    }

    /// Finds duplicates and conflicts and sorts each law's keys.
    #[must_use]
    pub fn finish(self, sorter: &impl Sorter) -> HashedRoll {
        let mut roll = HashedRoll {
            laws: Vec::new(),
            faults: self.faults,
            conflicts: Vec::new(),
            rows: self.rows,
            duplicates: 0,
            ignored: self.ignored,
            code_length_min: self.code_length_min.unwrap_or(0),
        };
        for (law_id, mut columns) in self.laws {
            find_repetitions(&law_id, &columns, sorter, &mut roll);
            // Freed before the keys are sorted: at 8 million rows it matters.
            let mut keys = std::mem::take(&mut columns.keys);
            drop(columns);
            sorter.sort_keys(&mut keys);
            keys.dedup();
            if !keys.is_empty() {
                roll.laws.push(LawKeys { law_id, keys });
            }
        }
        roll.faults.sort_unstable_by_key(|fault| fault.line);
        roll.conflicts.sort_unstable_by_key(|conflict| conflict.line);
        roll
    }
}

/// Sorts (NAS, place) pairs, so that rows of one NAS become neighbours, and compares their keys.
fn find_repetitions(law_id: &LawId, columns: &Columns, sorter: &impl Sorter, roll: &mut HashedRoll) {
    let mut index: Vec<u64> = Vec::with_capacity(columns.nas.len());
    index.extend(columns.nas.iter().zip(0_u64..).map(|(nas, place)| u64::from(*nas) << 32 | place));
    sorter.sort_numbers(&mut index);
    for group in index.chunk_by(|left, right| left >> 32 == right >> 32).filter(|group| group.len() > 1) {
        let mut places: Vec<usize> = group.iter().map(|entry| (entry & u64::from(u32::MAX)) as usize).collect();
        places.sort_unstable_by_key(|place| columns.lines[*place]);
        let first_line = u64::from(columns.lines[places[0]]);
        for place in &places[1..] {
            let line = u64::from(columns.lines[*place]);
            if columns.keys[*place] == columns.keys[places[0]] {
                roll.duplicates += 1;
                roll.faults.push(RowFault { line, field: Field::ROW, rule: RowRule::Duplicate { first_line } });
            } else {
                roll.conflicts.push(Conflict { law_id: law_id.clone(), first_line, line });
            }
        }
    }
    index.zeroize();
}
