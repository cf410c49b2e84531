//! The roll parser against the csv crate, against every chunk size, and against bad input.

use proptest::prelude::*;

use super::*;
use crate::credential::{CredentialError, CredentialHasher, Pepper, RegistryKey};
use crate::id::{Digest, IdError};

const GOOD: &str = "nas,code,law_id\n123456789,ABC123,L2025-001\n123456780,ABC124,L2025-001\n";

fn hasher_of<R: std::io::Read>(chunks: &RollChunks<R>, rules: &RollRules) -> RollHasher {
    RollHasher::new(*chunks.header(), rules.clone(), CredentialHasher::plain())
}

/// Hashes as threads would: chunks as they are cut, added in another order.
fn hash_all(
    roll: &[u8],
    chunk_size: usize,
    rules: &RollRules,
) -> Result<(HashedRoll, Digest), RollError> {
    let mut chunks = RollChunks::with_chunk_size(roll, chunk_size)?;
    let hasher = hasher_of(&chunks, rules);
    let mut hashes = RollHashes::new(&hasher);
    let mut scratch = HashScratch::default();
    let mut held = Vec::new();
    while let Some(chunk) = chunks.next_cut()? {
        held.push(hasher.hash(chunk, &mut scratch));
        if held.len() == 3 {
            held.drain(..).rev().try_for_each(|chunk| hashes.add(chunk))?;
        }
    }
    held.into_iter().rev().try_for_each(|chunk| hashes.add(chunk))?;
    Ok((hashes.end()?.finish(&Sequential), chunks.digest()))
}

/// The laws with their keys.
fn laws(roll: &HashedRoll) -> Vec<(String, Vec<RegistryKey>)> {
    roll.laws.iter().map(|law| (law.law_id().to_string(), law.to_vec())).collect()
}

fn hash(roll: &[u8]) -> HashedRoll {
    hash_all(roll, 1 << 20, &RollRules::default()).expect("a readable roll").0
}

fn faults(roll: &str) -> Vec<String> {
    hash(roll.as_bytes()).faults.iter().map(ToString::to_string).collect()
}

fn header_error(roll: &[u8]) -> RollError {
    RollChunks::open(roll).expect_err("a bad header")
}

#[test]
fn every_way_of_writing_a_roll_gives_the_same_keys() {
    let expected = laws(&hash(GOOD.as_bytes()));
    assert_eq!(expected[0].1.len(), 2);
    for roll in [
        "\u{feff}nas,code,law_id\r\n123456789,ABC123,L2025-001\r\n123456780,ABC124,L2025-001\r\n",
        "LAW_ID,Name,NAS,Code\nL2025-001,\"Roy, É.\",123 456 789,abc123\nL2025-001,x,123-456-780,ABC124",
        "\u{feff}\"nas\",\"code\",\"law_id\"\n\"123456789\",\"ABC123\",\"L2025-001\"\n\"123456780\",\" abc124 \",\"L2025-001\"\r",
        "\n\r\n nas , code , law_id \n\n123456780,ABC124,L2025-001\n\r\n123456789,ABC123,L2025-001\n\n",
        "note,nas,code,law_id\n\"two\nlines, \"\"quoted\"\"\",123456789,ABC123,L2025-001\n,123456780,ABC124,L2025-001\n",
    ] {
        let hashed = hash(roll.as_bytes());
        assert_eq!((laws(&hashed), hashed.faults), (expected.clone(), vec![]), "{roll:?}");
    }
}

#[test]
fn faults_tell_line_field_and_rule_and_never_the_value() {
    let roll = "nas,code,law_id\n\
        12345678,ABC123,L1\n\
        12345678O,ABC123,L1\n\
        123456789,AB|C,L1\n\
        123456789,ABC,L1\n\
        123456789,ABC123,\n\
        123456789,ABC123\n\
        123456789\n\
        123456789,ABC123,L1,extra\n\
        \"123456789\"9,ABC123,L1\n\
        123456789,ABC\u{0},L1\n\
        123456789,\"ABC123,L1\n";
    assert_eq!(
        faults(roll),
        [
            "line 2, nas: a NAS has exactly 9 digits, this one has 8",
            "line 3, nas: a NAS holds digits, spaces and hyphens only: character 9 is something else",
            "line 4, code: an access code is made of letters A-Z and digits: character 3 is something else",
            "line 5, code: an access code has 4 to 32 characters, this one has 3",
            "line 6, law_id: a law id has 1 to 50 characters, this one has 0",
            "line 7, law_id: the row is cut short: this field is missing",
            "line 8, code: the row is cut short: this field is missing",
            "line 9, row: the row has 4 fields, the header names 3",
            "line 10, nas: a quotation mark is out of place",
            "line 11, code: the text holds a zero byte",
            "line 12, code: a quotation mark is opened and never closed",
        ]
    );
    let long = format!("nas,code,law_id\n123456789,ABC123,{}\n", "L".repeat(51));
    let rule = CredentialError::Law(IdError::LawLength { length: 51 }).into();
    assert_eq!(hash(long.as_bytes()).faults, [RowFault { line: 2, field: Field::LawId, rule }]);
}

#[test]
fn a_line_number_is_that_of_the_records_start() {
    let roll = "note,nas,code,law_id\n\"a\nb\nc\",123456789,ABC123,L1\n\n\"d\ne\",1,ABC123,L1\nf,2,ABC123,L1\n";
    assert_eq!(
        hash(roll.as_bytes()).faults.iter().map(|fault| fault.line).collect::<Vec<_>>(),
        [6, 8]
    );
}

#[test]
fn invalid_utf8_spoils_its_row_only_and_names_its_column() {
    let roll = b"nas,code,law_id,name\n123456789,ABC123,L1,Ren\xe9\n123456780,ABC123,L1,x\n12345678\xff,ABC123,L1,x\n";
    let hashed = hash(roll);
    assert_eq!(hashed.laws[0].count(), 1);
    assert_eq!(
        hashed.faults,
        [
            RowFault { line: 2, field: Field::Column(4), rule: RowRule::Utf8 },
            RowFault { line: 4, field: Field::Nas, rule: RowRule::Utf8 },
        ]
    );
}

#[test]
fn bad_headers_are_told_apart() {
    assert!(matches!(header_error(b""), RollError::Empty));
    assert!(matches!(header_error(b"\xef\xbb\xbf"), RollError::Empty));
    assert!(matches!(header_error(b"\n\r\n\n"), RollError::Empty));
    assert!(matches!(header_error(b"\xff\xfen\0a\0s\0"), RollError::Utf16));
    assert!(matches!(header_error(b"nas,code,law_id,\xe9\n"), RollError::HeaderText { line: 1 }));
    assert!(matches!(
        header_error(b"\nnas,code\n"),
        RollError::HeaderMissing { line: 2, field: Field::LawId, separator: None }
    ));
    assert!(matches!(
        header_error(b"nas;code;law_id\n"),
        RollError::HeaderMissing { separator: Some(';'), .. }
    ));
    assert!(matches!(
        header_error(b"nas,code,law_id,NAS\n"),
        RollError::HeaderTwice { field: Field::Nas, .. }
    ));
    let without = header_error(b"123456789,ABC123,L1\n");
    assert!(!without.to_string().contains("123456789"), "{without}");
}

#[test]
fn a_header_alone_is_no_error_here_and_has_no_rows() {
    let hashed = hash(b"nas,code,law_id");
    assert_eq!((hashed.rows, hashed.laws.len(), hashed.faults.len()), (0, 0, 0));
}

#[test]
fn a_quotation_mark_that_is_never_closed_does_not_fill_the_memory() {
    let mut roll = b"nas,code,law_id\n123456789,\"ABC123,L1\n".to_vec();
    roll.resize(3 << 20, b'x');
    let error = hash_all(&roll, 4096, &RollRules::default()).expect_err("an endless row");
    assert!(matches!(error, RollError::RowLength { line: 2, .. }), "{error}");
}

#[test]
fn a_stray_quotation_mark_spoils_no_other_row() {
    let hashed = hash(b"nas,code,law_id\n123456789,ABC\"123,L1\n123456780,ABC123,L1\n");
    assert_eq!((hashed.faults.len(), hashed.laws[0].count()), (1, 1));
}

#[test]
fn exact_duplicates_are_faults_and_two_codes_are_conflicts() {
    let roll = "nas,code,law_id\n\
        123456789,ABC123,L1\n\
        123456780,ABC123,L1\n\
        123-456-789,abc123,L1\n\
        123456780,XYZ123,L1\n\
        123456789,XYZ999,L2\n";
    let hashed = hash(roll.as_bytes());
    assert_eq!(
        hashed.faults,
        [RowFault { line: 4, field: Field::ROW, rule: RowRule::Duplicate { first_line: 2 } }]
    );
    let law_id = "L1".parse().expect("a law id");
    assert_eq!(hashed.conflicts, [Conflict { law_id, first_line: 3, line: 5 }]);
    assert_eq!((hashed.rows, hashed.duplicates, hashed.rejects()), (5, 1, 0));
}

#[test]
fn rows_of_laws_that_nobody_asked_for_are_counted_and_ignored() {
    let roll = b"nas,code,law_id\n123456789,ABC123,L1\n1,x,L2\n123456780,ABC123,L2\n,,L 3\n";
    let rules = RollRules { laws: ["L1".parse().expect("a law id")].into(), check_digit: false };
    let (hashed, _) = hash_all(roll, 1 << 20, &rules).expect("a readable roll");
    assert_eq!((hashed.rows, hashed.ignored, hashed.rejects(), hashed.laws.len()), (2, 2, 1, 1));
}

#[test]
fn check_digits_are_checked_when_asked_for() {
    let roll = b"nas,code,law_id\n046454286,ABC123,L1\n046454287,ABC123,L1\n";
    let rules = RollRules { check_digit: true, ..RollRules::default() };
    let (hashed, _) = hash_all(roll, 1 << 20, &rules).expect("a readable roll");
    let rule = CredentialError::NasCheckDigit.into();
    assert_eq!(hashed.faults, [RowFault { line: 3, field: Field::Nas, rule }]);
}

#[test]
fn a_supplement_pairs_a_lost_letter_with_its_replacement() {
    let hashes = |roll: &[u8]| {
        let mut chunks = RollChunks::open(roll).expect("a readable roll");
        let chunk = chunks.next_chunk().expect("readable").expect("rows");
        let hasher = CredentialHasher::peppered(&Pepper::from_bytes([3; 32]));
        let hasher = RollHasher::new(*chunks.header(), RollRules::default(), hasher);
        let mut hashes = RollHashes::new(&hasher);
        hashes.add(hasher.hash(chunk, &mut HashScratch::default())).expect("short rows");
        hashes.end().expect("short rows")
    };
    let add =
        hashes(b"nas,code,law_id\n123456789,NEW123,L1\n111111111,NEW124,L1\n222222222,SAME12,L2\n");
    let revoke =
        hashes(b"nas,code,law_id\n123456789,OLD123,L1\n333333333,OLD124,L1\n222222222,SAME12,L2\n");
    let supplement = hash_supplement(add, revoke).expect("consistent");
    let first = &supplement.changes[0];
    assert_eq!((first.add().len(), first.revoke().len(), first.replace().len()), (1, 1, 1));
    assert_eq!(
        supplement.unchanged.iter().map(|same| (same.first_line, same.line)).collect::<Vec<_>>(),
        [(4, 4)]
    );
}

#[test]
fn a_roll_read_row_by_row_ends_at_the_first_fault() {
    assert_eq!(read_roll(GOOD.as_bytes()).expect("good").len(), 2);
    let error = read_roll(&b"nas,code,law_id\n123456789,ABC123,L1\n1,ABC123,L1\n"[..])
        .expect_err("a bad row");
    assert!(
        matches!(error, RollError::Row(RowFault { line: 3, field: Field::Nas, .. })),
        "{error}"
    );
}

#[test]
fn nothing_prints_a_value() {
    let mut chunks = RollChunks::open(GOOD.as_bytes()).expect("a good roll");
    let chunk = chunks.next_chunk().expect("readable").expect("rows");
    let mut rows = Rows::new(chunk.bytes(), chunk.line());
    let row = rows.next_row(chunks.header()).expect("a row");
    for printed in
        [format!("{chunks:?}"), format!("{chunk:?}"), format!("{rows:?}"), format!("{row:?}")]
    {
        assert!(!printed.contains("123456") && !printed.contains("ABC12"), "{printed}");
    }
}

/// The fields of each record as the csv crate reads them.
fn by_csv_crate(text: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let records = reader.byte_records().map(|record| record.expect("reading from memory"));
    records.map(|record| record.iter().map(<[u8]>::to_vec).collect()).collect()
}

fn by_us(text: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut rows = Rows::new(text, 1);
    let mut records = Vec::new();
    loop {
        let mut fields = Vec::new();
        let rest = rows.rest();
        let found = rows.next_record(|_, field| {
            // A field that starts behind a quotation mark was quoted: its doubled marks stand for
            // one.
            let start = field.bytes.as_ptr() as usize - rest.as_ptr() as usize;
            let quoted = start > 0 && rest[start - 1] == b'"';
            fields.push(if quoted { undouble(field.bytes) } else { field.bytes.to_vec() });
        });
        if found.is_none() {
            return records;
        }
        records.push(fields);
    }
}

fn undouble(bytes: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(bytes).replace("\"\"", "\"").into_bytes()
}

/// A field as a careful writer writes it: quoted when it must be, or anyway.
fn written_field() -> impl Strategy<Value = (String, String)> {
    ("[a-z0-9 ,\"\n\r]{0,8}", any::<bool>()).prop_map(|(value, quote)| {
        let must = value.contains([',', '"', '\n', '\r']);
        let text = if quote || must {
            format!("\"{}\"", value.replace('"', "\"\""))
        } else {
            value.clone()
        };
        (value, text)
    })
}

fn written_roll() -> impl Strategy<Value = String> {
    let row =
        (prop::collection::vec(written_field(), 1..5), prop::sample::select(vec!["\n", "\r\n"]));
    prop::collection::vec(row, 0..12).prop_map(|rows| {
        let line = |(fields, end): (Vec<(String, String)>, &str)| {
            let texts: Vec<String> = fields.into_iter().map(|(_, text)| text).collect();
            texts.join(",") + end
        };
        rows.into_iter().map(line).collect()
    })
}

/// Rolls in the making: good rows, bad rows, quotes and line breaks anywhere.
fn any_roll() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "[0-9]{9},[A-Z0-9]{6},L[12]\n",
        1 => "\"[0-9]{9}\",\"[A-Z]{4}\",\"L1\"\r\n",
        1 => "[0-9]{9},\"[A-Z\n]{3,6}\",L1\n",
        1 => "[0-9,\"\n\r]{0,12}",
    ];
    prop::collection::vec(piece, 0..20)
        .prop_map(|pieces| format!("nas,code,law_id\n{}", pieces.concat()).into_bytes())
}

proptest! {
    #[test]
    fn agrees_with_the_csv_crate_on_whatever_a_writer_writes(text in written_roll()) {
        prop_assert_eq!(by_us(text.as_bytes()), by_csv_crate(text.as_bytes()));
    }

    #[test]
    fn agrees_with_the_csv_crate_on_the_number_of_fields_of_any_text(text in "[a1,\"\n]{0,40}") {
        let expected: Vec<usize> = by_csv_crate(text.as_bytes()).iter().map(Vec::len).collect();
        let mut found = Vec::new();
        let mut rows = Rows::new(text.as_bytes(), 1);
        let mut columns = 0;
        while rows.next_record(|place, _| columns = place + 1).is_some() {
            found.push(columns);
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn chunks_of_any_size_give_the_same_result(roll in any_roll(), chunk_size in 1_usize..80) {
        let whole = hash_all(&roll, 1 << 20, &RollRules::default()).expect("a good header");
        let cut = hash_all(&roll, chunk_size, &RollRules::default()).expect("a good header");
        prop_assert_eq!(whole.1, cut.1);
        prop_assert_eq!(whole.1, Digest::of(&roll));
        prop_assert_eq!(laws(&whole.0), laws(&cut.0));
        prop_assert_eq!(whole.0.faults, cut.0.faults);
        prop_assert_eq!(whole.0.conflicts, cut.0.conflicts);
        prop_assert_eq!(whole.0.rows, cut.0.rows);
    }

    #[test]
    fn any_bytes_are_read_without_panic(roll in prop::collection::vec(any::<u8>(), 0..200), chunk_size in 1_usize..40) {
        let headed = [b"nas,code,law_id\n".as_slice(), &roll].concat();
        drop(hash_all(&roll, chunk_size, &RollRules::default()));
        drop(hash_all(&headed, chunk_size, &RollRules::default()));
    }

    #[test]
    fn rows_add_up(roll in any_roll()) {
        let hashed = hash(&roll);
        let registered: u64 = hashed.laws.iter().map(|law| law.count() as u64).sum();
        if hashed.conflicts.is_empty() {
            prop_assert_eq!(hashed.rows, registered + hashed.duplicates + hashed.rejects());
        }
    }
}
