//! The roll in memory, packed: 10 bytes and the access code a row, so that 8 million electors fit
//! in about 150 MB.
//!
//! Rows keep the order of the file and are named by their number: row 1 is the first record after
//! the header.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use csv::{ByteRecord, ErrorKind, ReaderBuilder};
use votekit_core::credential::{AccessCode, CredentialError, Nas};
use votekit_core::id::LawId;
use zeroize::Zeroize;

use crate::error::LoadError;
use crate::zeroed::SecretBuffer;

/// Credentials to vote with, packed.
pub struct RollSource {
    /// Each NAS as a number below 10^9.
    numbers: Vec<u32>,
    /// All access codes, end to end.
    codes: SecretBuffer,
    /// Where each row's code ends in `codes`.
    code_ends: Vec<u32>,
    /// Each row's place in `laws`.
    law_places: Vec<u16>,
    laws: Vec<LawId>,
    /// Row numbers in the file, kept only when laws were left out.
    row_numbers: Option<Vec<u32>>,
}

/// One row of the roll, borrowed from it. Prints as its number.
#[derive(Clone, Copy)]
pub struct RollRow<'roll> {
    /// The row of the file, from 1, not counting the header.
    pub number: u32,
    /// The NAS as a number; it is written with 9 digits.
    pub(crate) nas: u32,
    /// The access code, canonical.
    pub(crate) code: &'roll [u8],
    /// Which of [`RollSource::laws`].
    pub law_place: usize,
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
    /// [`LoadError`] naming file, line and field; the first problem ends the reading.
    pub fn open(path: &Path, laws: &[LawId]) -> Result<Self, LoadError> {
        let file =
            File::open(path).map_err(|source| LoadError::File { path: path.to_owned(), source })?;
        Self::read(file, path, laws)
    }

    /// Reads a roll from `reader`; `path` names it in errors.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read(reader: impl Read, path: &Path, laws: &[LawId]) -> Result<Self, LoadError> {
        let mut csv =
            ReaderBuilder::new().has_headers(false).buffer_capacity(1 << 20).from_reader(reader);
        let mut record = ByteRecord::new();
        if !csv.read_byte_record(&mut record).map_err(|error| csv_error(path, &error))? {
            return Err(LoadError::RollColumn { path: path.to_owned(), column: "nas" });
        }
        let columns = Columns::find(&record, path)?;
        let mut builder = Builder::new(laws);
        let mut row = 0_u32;
        while csv.read_byte_record(&mut record).map_err(|error| csv_error(path, &error))? {
            let line = record.position().map_or(0, csv::Position::line);
            row = row
                .checked_add(1)
                .ok_or_else(|| LoadError::RollTooLarge { path: path.to_owned() })?;
            builder
                .push(row, [columns.nas, columns.code, columns.law].map(|column| &record[column]))
                .map_err(|problem| match problem {
                    RowProblem::Field(source) => {
                        LoadError::RollField { path: path.to_owned(), line, source }
                    }
                    RowProblem::TooLarge => LoadError::RollTooLarge { path: path.to_owned() },
                })?;
        }
        builder.finish().ok_or_else(|| LoadError::RollEmpty {
            path: path.to_owned(),
            filtered: !laws.is_empty(),
        })
    }

    /// Rows to vote with; at least one.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.numbers.len() as u64
    }

    /// Whether there is none; a roll that was read has at least one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The laws met, in the order of the file.
    #[must_use]
    pub fn laws(&self) -> &[LawId] {
        &self.laws
    }

    /// The row at `index`, from 0 and below [`len`](Self::len).
    #[must_use]
    pub fn row(&self, index: u64) -> RollRow<'_> {
        let index = index as usize;
        let code_start = if index == 0 { 0 } else { self.code_ends[index - 1] as usize };
        RollRow {
            number: self.row_numbers.as_ref().map_or(index as u32 + 1, |numbers| numbers[index]),
            nas: self.numbers[index],
            code: &self.codes[code_start..self.code_ends[index] as usize],
            law_place: usize::from(self.law_places[index]),
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

fn csv_error(path: &Path, error: &csv::Error) -> LoadError {
    let line = error.position().map_or(0, csv::Position::line);
    let problem = match error.kind() {
        ErrorKind::Io(source) => {
            return LoadError::File {
                path: path.to_owned(),
                source: std::io::Error::new(source.kind(), source.to_string()),
            };
        }
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields where the header has {expected_len}")
        }
        _ => "not a CSV record".to_owned(),
    };
    LoadError::RollFormat { path: path.to_owned(), line, problem }
}

struct Columns {
    nas: usize,
    code: usize,
    law: usize,
}

impl Columns {
    fn find(header: &ByteRecord, path: &Path) -> Result<Self, LoadError> {
        let place = |column: &'static str| {
            let mut places = header
                .iter()
                .enumerate()
                .filter(|(_, name)| column_name(name).eq_ignore_ascii_case(column.as_bytes()));
            match (places.next(), places.next()) {
                (Some((place, _)), None) => Ok(place),
                _ => Err(LoadError::RollColumn { path: path.to_owned(), column }),
            }
        };
        Ok(Self { nas: place("nas")?, code: place("code")?, law: place("law_id")? })
    }
}

/// A header's name without a byte-order mark and without white space around it.
fn column_name(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name).trim_ascii()
}

enum RowProblem {
    Field(CredentialError),
    TooLarge,
}

impl From<CredentialError> for RowProblem {
    fn from(source: CredentialError) -> Self {
        Self::Field(source)
    }
}

struct Builder<'filter> {
    wanted: &'filter [LawId],
    places: HashMap<Vec<u8>, u16>,
    source: RollSource,
}

impl<'filter> Builder<'filter> {
    fn new(wanted: &'filter [LawId]) -> Self {
        let source = RollSource {
            numbers: Vec::new(),
            codes: SecretBuffer::default(),
            code_ends: Vec::new(),
            law_places: Vec::new(),
            laws: Vec::new(),
            row_numbers: (!wanted.is_empty()).then(Vec::new),
        };
        Self { wanted, places: HashMap::new(), source }
    }

    fn push(&mut self, number: u32, [nas, code, law]: [&[u8]; 3]) -> Result<(), RowProblem> {
        let nas = Nas::parse(nas)?;
        let code = AccessCode::parse(code)?;
        LawId::check(law).map_err(CredentialError::Law)?;
        if !self.wanted.is_empty()
            && !self.wanted.iter().any(|wanted| wanted.as_str().as_bytes() == law)
        {
            return Ok(());
        }
        let law_place = self.law_place(law)?;
        let source = &mut self.source;
        source.codes.extend_from_slice(code.as_bytes());
        source.code_ends.push(u32::try_from(source.codes.len()).map_err(|_| RowProblem::TooLarge)?);
        source.numbers.push(
            nas.as_bytes().iter().fold(0, |number, digit| 10 * number + u32::from(digit - b'0')),
        );
        source.law_places.push(law_place);
        if let Some(numbers) = &mut source.row_numbers {
            numbers.push(number);
        }
        Ok(())
    }

    fn law_place(&mut self, law: &[u8]) -> Result<u16, RowProblem> {
        if let Some(place) = self.places.get(law) {
            return Ok(*place);
        }
        let place = u16::try_from(self.places.len()).map_err(|_| RowProblem::TooLarge)?;
        let text = std::str::from_utf8(law).unwrap_or_default();
        self.source.laws.push(text.parse().map_err(CredentialError::Law)?);
        self.places.insert(law.to_vec(), place);
        Ok(place)
    }

    fn finish(mut self) -> Option<RollSource> {
        let source = &mut self.source;
        source.numbers.shrink_to_fit();
        source.codes.shrink_to_fit();
        source.code_ends.shrink_to_fit();
        source.law_places.shrink_to_fit();
        (!source.is_empty()).then_some(self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], laws: &[&str]) -> Result<RollSource, LoadError> {
        let laws: Vec<LawId> = laws.iter().map(|law| law.parse().expect("law")).collect();
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
        assert_eq!(roll.laws()[second.law_place].as_str(), "L2");
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
    fn errors_name_the_line_and_repeat_no_secret() {
        let error = read(b"nas,code,law_id\n000000001,AAAA,L1\n12345678X,BBBB,L1\n", &[])
            .expect_err("letter");
        assert!(matches!(error, LoadError::RollField { line: 3, .. }), "{error}");
        assert!(!error.to_string().contains("12345678"), "{error}");
        let error = read(b"nas,code,law_id\n000000001,SECRET99\n", &[]).expect_err("short row");
        assert!(matches!(error, LoadError::RollFormat { line: 2, .. }), "{error}");
        assert!(!error.to_string().contains("SECRET99"), "{error}");
    }

    #[test]
    fn a_roll_needs_its_columns_and_rows() {
        assert!(matches!(read(b"", &[]), Err(LoadError::RollColumn { column: "nas", .. })));
        assert!(matches!(
            read(b"nas,law_id\n", &[]),
            Err(LoadError::RollColumn { column: "code", .. })
        ));
        assert!(matches!(
            read(b"nas,code,code,law_id\n", &[]),
            Err(LoadError::RollColumn { column: "code", .. })
        ));
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
