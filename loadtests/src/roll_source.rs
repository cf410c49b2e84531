//! The roll in memory, packed: 10 bytes and the access code a row, so that 8 million electors fit
//! in about 150 MB.
//!
//! Rows keep the order of the file and are identified by their number: row 1 is the first record
//! after the header.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use votekit_core::id::ElectionId;
use votekit_core::roll::{RollError, RollRules, Table, TableRow, read_table};
use zeroize::Zeroize;

use crate::error::LoadError;
use crate::zeroed::SecretBuffer;

/// The credentials to vote with, packed.
pub struct RollSource {
    /// Each NAS as a number below 10^9.
    numbers: Vec<u32>,
    /// All access codes, concatenated.
    codes: SecretBuffer,
    /// End of each row's code in `codes`.
    code_ends: Vec<u32>,
    /// Index of each row's law in `laws`.
    law_indices: Vec<u16>,
    laws: Vec<ElectionId>,
    /// Row numbers in the file; present only when rows were filtered by law.
    row_numbers: Option<Vec<u32>>,
}

/// One row of the roll, borrowed from it. Its `Debug` output shows only its number.
#[derive(Clone, Copy)]
pub struct RollRow<'roll> {
    /// The row in the file, from 1, not counting the header.
    pub number: u32,
    /// The NAS as a number; written with 9 digits.
    pub(crate) nas: u32,
    /// The access code in canonical form.
    pub(crate) code: &'roll [u8],
    /// Index into [`RollSource::laws`].
    pub law_index: usize,
}

impl fmt::Debug for RollRow<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RollRow({}, redacted)", self.number)
    }
}

impl RollSource {
    /// Reads the roll at `path`, keeping only rows of `laws` unless that is empty.
    ///
    /// # Errors
    /// [`LoadError`] with every invalid row.
    pub fn open(path: &Path, laws: &[ElectionId]) -> Result<Self, LoadError> {
        let file =
            File::open(path).map_err(|source| LoadError::File { path: path.to_owned(), source })?;
        Self::read(file, path, laws)
    }

    /// Reads a roll from `reader`; `path` is used in errors.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read(reader: impl Read, path: &Path, laws: &[ElectionId]) -> Result<Self, LoadError> {
        let path = || path.to_owned();
        let mut rules = RollRules::default();
        rules.laws.extend(laws.iter().cloned());
        let mut builder = Builder::new(!laws.is_empty());
        let mut fits = true;
        let faults = read_table(reader, Table::Roll, &rules, |row| {
            fits = fits && builder.push(&row).is_some();
        })
        .map_err(|source| match source {
            RollError::Read(source) => LoadError::File { path: path(), source },
            source => LoadError::Roll { path: path(), source },
        })?;
        if !faults.is_empty() {
            return Err(LoadError::RollRows { path: path(), faults });
        }
        if !fits {
            return Err(LoadError::RollTooLarge { path: path() });
        }
        builder
            .finish()
            .ok_or_else(|| LoadError::RollEmpty { path: path(), filtered: !laws.is_empty() })
    }

    /// Number of rows to vote with; at least one.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.numbers.len() as u64
    }

    /// Whether there are no rows; a roll that was read has at least one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The laws found, in the order of the file.
    #[must_use]
    pub fn laws(&self) -> &[ElectionId] {
        &self.laws
    }

    /// The row at `index`, which counts from 0 and must be below [`len`](Self::len).
    #[must_use]
    pub fn row(&self, index: u64) -> RollRow<'_> {
        let index = index as usize;
        let code_start = if index == 0 { 0 } else { self.code_ends[index - 1] as usize };
        RollRow {
            number: self.row_numbers.as_ref().map_or(index as u32 + 1, |numbers| numbers[index]),
            nas: self.numbers[index],
            code: &self.codes[code_start..self.code_ends[index] as usize],
            law_index: usize::from(self.law_indices[index]),
        }
    }
}

impl Drop for RollSource {
    fn drop(&mut self) {
        self.numbers.zeroize();
    }
}

impl fmt::Debug for RollSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RollSource({} rows of {} laws, redacted)", self.len(), self.laws.len())
    }
}

struct Builder {
    places: HashMap<String, u16>,
    source: RollSource,
}

impl Builder {
    fn new(is_filtered: bool) -> Self {
        let source = RollSource {
            numbers: Vec::new(),
            codes: SecretBuffer::default(),
            code_ends: Vec::new(),
            law_indices: Vec::new(),
            laws: Vec::new(),
            row_numbers: is_filtered.then(Vec::new),
        };
        Self { places: HashMap::new(), source }
    }

    /// Adds a row; `None` when the roll exceeds the limits of the generator.
    fn push(&mut self, row: &TableRow<'_>) -> Option<()> {
        let number = u32::try_from(row.number).ok()?;
        let law_index = self.law_index(row.law_id)?;
        let source = &mut self.source;
        source.codes.extend_from_slice(row.code.as_bytes());
        source.code_ends.push(u32::try_from(source.codes.len()).ok()?);
        let digits = row.nas.as_bytes().iter();
        source.numbers.push(digits.fold(0, |number, digit| 10 * number + u32::from(digit - b'0')));
        source.law_indices.push(law_index);
        if let Some(numbers) = &mut source.row_numbers {
            numbers.push(number);
        }
        Some(())
    }

    fn law_index(&mut self, law_id: &str) -> Option<u16> {
        if let Some(place) = self.places.get(law_id) {
            return Some(*place);
        }
        let place = u16::try_from(self.places.len()).ok()?;
        // The reader has validated it.
        self.source.laws.push(law_id.parse().ok()?);
        self.places.insert(law_id.to_owned(), place);
        Some(place)
    }

    fn finish(mut self) -> Option<RollSource> {
        let source = &mut self.source;
        source.numbers.shrink_to_fit();
        source.codes.shrink_to_fit();
        source.code_ends.shrink_to_fit();
        source.law_indices.shrink_to_fit();
        (!source.is_empty()).then_some(self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], laws: &[&str]) -> Result<RollSource, LoadError> {
        let laws: Vec<ElectionId> = laws.iter().map(|law| law.parse().expect("law")).collect();
        RollSource::read(text, Path::new("roll.csv"), &laws)
    }

    #[test]
    fn any_column_order_case_mark_and_line_end() {
        let roll = read(b"\xef\xbb\xbfLaw_Id,extra,CODE,Nas\r\nL1,x,abc123,012-345 678\r\nL2,\"a,b\",ZZZZ9,000000001\r\n", &[])
            .expect("roll");
        assert_eq!(roll.len(), 2);
        let (first, second) = (roll.row(0), roll.row(1));
        assert_eq!((first.number, first.nas, first.code), (1, 12_345_678, b"ABC123".as_slice()));
        assert_eq!((second.number, second.nas, second.code), (2, 1, b"ZZZZ9".as_slice()));
        assert_eq!(roll.laws()[second.law_index].as_str(), "L2");
    }

    #[test]
    fn a_filter_keeps_the_rows_numbers() {
        let roll = read(
            b"nas,code,law_id\n000000001,AAAA,L1\n000000002,BBBB,L2\n000000003,CCCC,L1\n",
            &["L1"],
        )
        .expect("roll");
        assert_eq!((0..roll.len()).map(|index| roll.row(index).number).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(roll.laws().len(), 1);
    }

    #[test]
    fn every_bad_row_is_named_and_repeats_no_secret() {
        let text = b"nas,code,law_id\n000000001,AAAA,L1\n12345678X,BBBB,L1\n000000001,SECRET99\n";
        let error = read(text, &[]).expect_err("two bad rows");
        let LoadError::RollRows { faults, .. } = &error else { panic!("{error}") };
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [3, 4]);
        let printed = format!("{error} {error:?}");
        assert!(!printed.contains("12345678") && !printed.contains("SECRET99"), "{printed}");
        // Rows of other laws are not checked.
        let roll = read(b"nas,code,law_id\n1,A,L2\n000000001,AAAA,L1\n", &["L1"]).expect("roll");
        assert_eq!((roll.len(), roll.row(0).number), (1, 2));
    }

    #[test]
    fn an_unclosed_quotation_mark_hides_no_rows() {
        let text = b"nas,code,law_id,nom\n000000001,AAAA,L1,\"Roy\n000000002,BBBB,L1,Roy\n";
        let error = read(text, &[]).expect_err("an unclosed quotation mark");
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    #[test]
    fn a_roll_needs_its_columns_and_rows() {
        for text in
            [&b""[..], b"nas,law_id\n", b"nas,code,code,law_id\n", b"nas,code,law_id\r1,2,3"]
        {
            assert!(matches!(read(text, &[]), Err(LoadError::Roll { .. })), "{text:?}");
        }
        assert!(matches!(
            read(b"nas,code,law_id\n", &[]),
            Err(LoadError::RollEmpty { filtered: false, .. })
        ));
        let other = read(b"nas,code,law_id\n000000001,AAAA,L1\n", &["L2"]);
        assert!(matches!(other, Err(LoadError::RollEmpty { filtered: true, .. })));
    }

    #[test]
    fn rows_are_packed() {
        let mut text = b"nas,code,law_id\n".to_vec();
        for number in 0..10_000 {
            text.extend_from_slice(format!("{number:09},CODE{number:04},L1\n").as_bytes());
        }
        let roll = read(&text, &[]).expect("roll");
        assert_eq!(roll.row(9_999).code, b"CODE9999");
    }

    #[test]
    fn nothing_secret_prints() {
        let roll = read(b"nas,code,law_id\n000000001,AAAA,L1\n", &[]).expect("roll");
        let printed = format!("{roll:?} {:?}", roll.row(0));
        assert!(!printed.contains("AAAA") && !printed.contains("000000001"), "{printed}");
    }
}
