//! Hashes a chunk of a roll to registry keys.

use std::collections::{BTreeSet, HashMap};

use super::chunk::{Chunk, Tail};
use super::code_lengths::CodeLengths;
use super::fault::{RowFault, RowRule};
use super::header::RollHeader;
use super::invisible::{self, InvisibleCharacter};
use super::plain_row::{PlainRow, plain_row};
use super::record::{Rows, Separator};
use super::row::{RawRow, is_clean};
use super::sorted_chunk::{Columns, Elector, SortedChunk};
use super::table::Field;
use crate::credential::{AccessCode, CredentialError, CredentialHasher, KeyBatch, Nas};
use crate::id::ElectionId;

/// Rules for rows beyond being well formed.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RollRules {
    /// NAS must pass the Luhn check and must not be nine zeros.
    pub check_digit: bool,
    /// Laws to hash; empty for all. Rows of other laws are counted and otherwise ignored.
    pub laws: BTreeSet<ElectionId>,
}

/// Parses, checks and hashes the rows of one roll. Can be shared by threads.
#[derive(Debug, Clone)]
pub struct RollHasher {
    header: RollHeader,
    rules: RollRules,
    hasher: CredentialHasher,
}

/// Memory reused from chunk to chunk; each thread has its own.
#[derive(Default)]
pub struct HashScratch {
    columns: Vec<Columns>,
}

impl std::fmt::Debug for HashScratch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "HashScratch({} laws)", self.columns.len())
    }
}

/// The result of one chunk, with the chunk itself, until it is certain that the chunk was cut where
/// a record begins.
pub struct HashedChunk {
    pub(super) chunk: Chunk,
    pub(super) tail: Tail,
    pub(super) tally: ChunkTally,
}

/// The result of the rows of one chunk.
#[derive(Default)]
pub(super) struct ChunkTally {
    pub(super) laws: Vec<(ElectionId, SortedChunk, CodeLengths)>,
    pub(super) faults: Vec<RowFault>,
    /// Number of good rows of the requested laws.
    pub(super) hashed: u64,
    /// Number of rows of other laws.
    pub(super) ignored: u64,
}

impl HashedChunk {
    /// Index of the chunk in the roll, from 0.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.chunk.number()
    }
}

impl std::fmt::Debug for HashedChunk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "HashedChunk({} hashed, {} faults)",
            self.tally.hashed,
            self.tally.faults.len()
        )
    }
}

impl RollHasher {
    /// Hashes the rows of a roll with this header.
    #[must_use]
    pub fn new(header: RollHeader, rules: RollRules, hasher: CredentialHasher) -> Self {
        Self { header, rules, hasher }
    }

    /// Parses, checks and hashes the rows of one chunk.
    #[must_use]
    pub fn hash(&self, chunk: Chunk, scratch: &mut HashScratch) -> HashedChunk {
        let mut laws = LawLookup::new(&self.rules);
        let mut rows = ChunkRows {
            rules: &self.rules,
            laws: &mut laws,
            columns: &mut scratch.columns,
            batch: KeyBatch::new(&self.hasher),
            batch_index: None,
            hasher: &self.hasher,
            tally: ChunkTally::default(),
        };
        let tail = rows.hash_all(&chunk, &self.header);
        let mut tally = rows.tally;
        for (law_id, columns) in laws.admitted.into_iter().zip(&mut scratch.columns) {
            if !columns.keys.is_empty() {
                tally.laws.push((law_id, SortedChunk::new(columns), columns.lengths.counted()));
            }
            columns.clear();
        }
        HashedChunk { chunk, tail, tally }
    }
}

/// State while the rows of one chunk are hashed.
struct ChunkRows<'a, 'r> {
    rules: &'r RollRules,
    laws: &'a mut LawLookup<'r>,
    /// One entry per law, indexed like `laws.admitted`.
    columns: &'a mut Vec<Columns>,
    batch: KeyBatch<'r>,
    /// The law whose keys are in the batch.
    batch_index: Option<usize>,
    hasher: &'r CredentialHasher,
    tally: ChunkTally,
}

impl ChunkRows<'_, '_> {
    /// Hashes all whole records and returns the incomplete last one.
    fn hash_all(&mut self, chunk: &Chunk, header: &RollHeader) -> Tail {
        // Chosen once per chunk, so that the loop compares each byte with a constant.
        match header.separator() {
            Separator::Comma => self.hash_separated::<b','>(chunk, header),
            Separator::Semicolon => self.hash_separated::<b';'>(chunk, header),
        }
    }

    fn hash_separated<const SEPARATOR: u8>(&mut self, chunk: &Chunk, header: &RollHeader) -> Tail {
        let bytes = chunk.bytes();
        // Computed when the first row arrives that is not plain.
        let mut clean = None;
        let plain = header.is_plain();
        let mut rows = Rows::new(bytes, chunk.line(), header.separator());
        loop {
            while plain
                && let Some(row) = plain_row::<SEPARATOR>(rows.rest(), self.laws.last_text())
            {
                let line = rows.line();
                rows.skip_row(row.length);
                if let Err(fault) = self.take_plain(&row, line) {
                    self.tally.faults.push(fault);
                }
            }
            rows.skip_empty_lines();
            let left = rows.rest().len();
            let Some(row) = rows.next_row(header) else { break };
            if rows.ran_out() && !chunk.is_at_end() {
                self.flush();
                return chunk.tail(bytes.len() - left, row.line);
            }
            let clean = *clean.get_or_insert_with(|| is_clean(bytes));
            if let Err(fault) = self.take(&row, header, clean) {
                self.tally.faults.push(fault);
            }
        }
        self.flush();
        Tail::none()
    }

    #[inline]
    fn take_plain(&mut self, row: &PlainRow<'_>, line: u64) -> Result<(), RowFault> {
        let index = match row.law {
            None => Some(self.laws.last),
            Some(law) => self.laws.find(law).map_err(|error| RowFault {
                line,
                field: Field::ElectionId,
                rule: field_rule(Field::ElectionId, law, error),
            })?,
        };
        let Some(index) = index else {
            self.tally.ignored += 1;
            return Ok(());
        };
        if self.rules.check_digit {
            let issued = Nas::parse(row.nas).and_then(|nas| nas.check_issued());
            issued.map_err(|error| RowFault { line, field: Field::Nas, rule: error.into() })?;
        }
        self.push(index, row.nas, row.number, (&row.code.bytes, row.code.length), line);
        Ok(())
    }

    fn take(&mut self, row: &RawRow<'_>, header: &RollHeader, clean: bool) -> Result<(), RowFault> {
        let [nas, code, law] = row.fields(header, clean)?;
        // Check the law first: faults in rows of laws that were not requested do not count.
        let index =
            self.laws.find(law).map_err(|error| bad_field(row, Field::ElectionId, law, error))?;
        let Some(index) = index else {
            self.tally.ignored += 1;
            return Ok(());
        };
        let nas = checked_nas(row, nas, self.rules)?;
        let code =
            AccessCode::parse(code).map_err(|error| bad_field(row, Field::Code, code, error))?;
        self.push(index, nas.as_bytes(), number_of(&nas), code.padded(), row.line);
        Ok(())
    }

    /// Adds a good row of a law.
    #[inline]
    fn push(
        &mut self,
        index: usize,
        nas: &[u8; 9],
        number: u32,
        (code, code_length): (&[u8; 32], usize),
        line: u64,
    ) {
        if self.batch_index != Some(index) {
            self.turn_to(index);
        }
        let columns = &mut self.columns[index];
        if self.batch.is_full() {
            self.batch.flush(&mut columns.keys);
        }
        // Messages longer than one SHA-256 block are hashed singly; flush first to keep the order.
        if !self.batch.push(nas, code, code_length) {
            self.batch.flush(&mut columns.keys);
            let (nas, code) = (Nas::parse(nas), AccessCode::parse(&code[..code_length]));
            let (Ok(nas), Ok(code)) = (nas, code) else { return };
            columns.keys.push(self.hasher.registry_key(&nas, &code, &self.laws.admitted[index]));
        }
        // `RollChunks` refuses rolls with more than `u32::MAX` lines.
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        columns.electors.push(Elector { nas: number, line });
        columns.lengths.push(code_length, line);
        self.tally.hashed += 1;
    }

    /// Switches to another law's rows.
    fn turn_to(&mut self, index: usize) {
        self.flush();
        while self.columns.len() <= index {
            self.columns.push(Columns::default());
        }
        self.batch.set_law(&self.laws.admitted[index]);
        self.batch_index = Some(index);
    }

    fn flush(&mut self) {
        if let Some(index) = self.batch_index {
            self.batch.flush(&mut self.columns[index].keys);
        }
    }
}

/// Parses a NAS and applies the requested checks.
pub(super) fn checked_nas(
    row: &RawRow<'_>,
    text: &[u8],
    rules: &RollRules,
) -> Result<Nas, RowFault> {
    let nas = Nas::parse(text).map_err(|error| bad_field(row, Field::Nas, text, error))?;
    if rules.check_digit {
        nas.check_issued().map_err(|error| row.fault_in(Field::Nas, error.into()))?;
    }
    Ok(nas)
}

/// A fault in one required field of a row.
#[cold]
pub(super) fn bad_field(
    row: &RawRow<'_>,
    field: Field,
    text: &[u8],
    error: impl Into<RowRule>,
) -> RowFault {
    row.fault_in(field, field_rule(field, text, error))
}

/// The rule that a field breaks. Bad encoding and invisible characters take precedence over all
/// other rules.
#[cold]
fn field_rule(field: Field, text: &[u8], error: impl Into<RowRule>) -> RowRule {
    let Ok(text) = std::str::from_utf8(text) else { return RowRule::Utf8 };
    if text.contains('\0') {
        return RowRule::Zero;
    }
    // NAS and codes may contain spaces, so a space is not their fault.
    let space = match field {
        Field::Nas | Field::Code => None,
        _ => text.chars().position(|character| character == ' '),
    };
    let invisible = invisible::first_in(text).filter(|(_, found)| {
        !matches!(field, Field::Nas | Field::Code)
            || !matches!(found.character(), '\u{a0}' | '\u{202f}')
    });
    match (space, invisible) {
        (Some(index), None) => {
            RowRule::Invisible { position: index + 1, character: InvisibleCharacter::SPACE }
        }
        (_, Some((position, character))) => RowRule::Invisible { position, character },
        (None, None) => error.into(),
    }
}

pub(super) fn number_of(nas: &Nas) -> u32 {
    nas.as_bytes().iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

/// A law id from the bytes of a field.
pub(super) fn law_id(text: &[u8]) -> Result<ElectionId, CredentialError> {
    ElectionId::check(text)?;
    Ok(std::str::from_utf8(text).unwrap_or_default().parse()?)
}

/// Finds a law's index in the chunk's list. Neighbouring rows mostly have the same law, so the last
/// result is tried first.
struct LawLookup<'a> {
    rules: &'a RollRules,
    /// The requested laws met so far, in the order of their indexes.
    admitted: Vec<ElectionId>,
    /// Index by law id; `None` for a law that was not requested.
    indices: HashMap<Vec<u8>, Option<usize>>,
    last: usize,
}

impl<'a> LawLookup<'a> {
    fn new(rules: &'a RollRules) -> Self {
        Self { rules, admitted: Vec::new(), indices: HashMap::new(), last: 0 }
    }

    /// The law of the last row; empty before the first.
    #[inline]
    fn last_text(&self) -> &[u8] {
        self.admitted.get(self.last).map_or(b"", |law_id| law_id.as_str().as_bytes())
    }

    /// The law's index; `None` if it was not requested.
    #[inline]
    fn find(&mut self, text: &[u8]) -> Result<Option<usize>, CredentialError> {
        if self.admitted.get(self.last).is_some_and(|law_id| law_id.as_str().as_bytes() == text) {
            return Ok(Some(self.last));
        }
        let index = match self.indices.get(text) {
            Some(index) => *index,
            None => self.admit(text)?,
        };
        // A law that was not requested has no index, so `last` stays.
        self.last = index.unwrap_or(self.last);
        Ok(index)
    }

    fn admit(&mut self, text: &[u8]) -> Result<Option<usize>, CredentialError> {
        let law_id = law_id(text)?;
        let asked_for = self.rules.laws.is_empty() || self.rules.laws.contains(&law_id);
        let index = asked_for.then_some(self.admitted.len());
        if asked_for {
            self.admitted.push(law_id);
        }
        self.indices.insert(text.to_vec(), index);
        Ok(index)
    }
}
