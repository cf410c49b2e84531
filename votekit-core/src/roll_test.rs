//! Compares the roll parser with the csv crate, across chunk sizes, and with bad input.

use proptest::prelude::*;

use super::*;
use crate::credential::{CredentialError, CredentialHasher, RegistryKey};
use crate::id::{Digest, IdError};

const GOOD: &str = "nas,code,law_id\n123456789,ABC123,L2025-001\n123456780,ABC124,L2025-001\n";

fn hasher_of<R: std::io::Read>(chunks: &RollChunks<R>, rules: &RollRules) -> RollHasher {
    RollHasher::new(*chunks.header(), rules.clone(), CredentialHasher::plain())
}

/// Hashes as threads would: chunks are hashed as cut, and added in another order.
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
fn faults_name_line_field_and_rule_and_never_the_value() {
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
            "line 2, nas: NAS of 8 digits, not 9",
            "line 3, nas: NAS with a wrong character at 9",
            "line 4, code: access code with a wrong character at 3",
            "line 5, code: access code of 3 characters, not 4 to 32",
            "line 6, law_id: law id of 0 characters, not 1 to 50",
            "line 7, law_id: cut short",
            "line 8, code: cut short",
            "line 9, row: 4 fields, expected 3",
            "line 10, nas: stray quotation mark",
            "line 11, code: zero byte",
            "line 12, code: quotation mark not closed",
        ]
    );
    let long = format!("nas,code,law_id\n123456789,ABC123,{}\n", "L".repeat(51));
    let rule = CredentialError::Law(IdError::LawLength { length: 51 }).into();
    assert_eq!(
        hash(long.as_bytes()).faults,
        [RowFault { line: 2, field: Field::ElectionId, rule }]
    );
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
fn invalid_utf8_matters_in_required_columns_only() {
    let roll = b"nas,pr\xe9nom,code,law_id\n123456789,Ren\xe9,ABC123,L1\n12345678\xff,x,ABC123,L1\n123456780,x,ABC1\xc3,L1\n";
    let hashed = hash(roll);
    assert_eq!(hashed.laws[0].count(), 1);
    assert_eq!(
        hashed.faults,
        [
            RowFault { line: 3, field: Field::Nas, rule: RowRule::Utf8 },
            RowFault { line: 4, field: Field::Code, rule: RowRule::Utf8 },
        ]
    );
    // A zero byte is damage, not another encoding.
    let damaged = hash(b"nas,code,law_id,name\n123456789,ABC123,L1,R\0\0\n");
    assert_eq!(
        damaged.faults,
        [RowFault { line: 2, field: Field::Column(4), rule: RowRule::Zero }]
    );
}

#[test]
fn characters_that_cannot_be_seen_are_named() {
    let roll = "nas,code,law_id\n\
        123\u{2007}456\u{2007}789,ABC123,L1\n\
        123\u{a0}456\u{202f}789,ABC123,L1\n\
        123456780,ABC\u{200b}124,L1\n\
        123456781,ABC123,L1\u{a0}\n\
        123456782,ABC123,L1 \n\
        123456783,ABC123,\u{feff}L1\n\
        123456784,ABC123,L 1\r\r\n\
        ,,\n";
    let found = faults(roll);
    let expected = [
        "line 2, nas: invisible U+2007 (a space of another width) at 4",
        "line 4, code: invisible U+200B (a zero-width space) at 4",
        "line 5, law_id: invisible U+00A0 (a no-break space) at 3",
        "line 6, law_id: invisible U+0020 (a space) at 3",
        "line 7, law_id: invisible U+FEFF (a byte-order mark) at 1",
        "line 8, law_id: invisible U+000D (a carriage return) at 4",
        "line 9, row: separators only",
    ];
    assert_eq!(found, expected);
}

#[test]
fn bad_headers_are_distinguished() {
    assert!(matches!(header_error(b""), RollError::Empty { .. }));
    assert!(matches!(header_error(b"\xef\xbb\xbf"), RollError::Empty { .. }));
    assert!(matches!(header_error(b"\n\r\n\n"), RollError::Empty { .. }));
    assert!(matches!(
        header_error(b"\nnas,code\n"),
        RollError::HeaderMissing {
            line: 2,
            field: Field::ElectionId,
            cause: HeaderCause::Unnamed,
            ..
        }
    ));
    assert!(matches!(
        header_error(b"nas,code,law_id,NAS\n"),
        RollError::HeaderTwice { field: Field::Nas, .. }
    ));
    for header in [
        // The header contains a row; contains no row in any line; is followed by no row.
        &b"nas,code,law_id,\"note\n123456789,ABC123,L1,a\n"[..],
        b"nas,code,law_id,\"note\n123\r456789,ABC123,L1,a\n",
        b"nas,code,law_id,\"note\n",
    ] {
        assert!(matches!(header_error(header), RollError::HeaderRunsOn { line: 1 }));
    }
    let without = header_error(b"123456789,ABC123,L1\n");
    assert!(!without.to_string().contains("123456789"), "{without}");
}

/// The error names the actual cause, which is not always a missing column.
#[test]
fn a_header_that_cannot_be_read_names_the_cause() {
    let long = [b"nas,code,law_id\r".as_slice(), &b"123456789,ABC123,L1\r".repeat(60_000)].concat();
    let invisible = |position, character| {
        let character = InvisibleCharacter::new(character).expect("invisible");
        Some(HeaderCause::Invisible { position, character })
    };
    let separator = |character| Some(HeaderCause::Separator(character));
    for (bytes, text, cause) in [
        (&b"\xff\xfen\0a\0s\0"[..], "roll in UTF-16", None),
        (b"n\0a\0s\0,\0c\0o\0d\0e\0\n\0", "roll in UTF-16", None),
        (b"\0n\0a\0s\0,", "roll in UTF-16", None),
        (b"PK\x03\x04\x14\0", "not CSV: zip file", None),
        (b"\xd0\xcf\x11\xe0\xa1", "not CSV: old Excel workbook", None),
        (b"\x1f\x8b\x08\0", "not CSV: gzip file", None),
        (b"nas,code,law_id\r1,A,L1\r", "ends with CR", None),
        // Here all columns are found, and the rows are part of the header.
        (b"nas,code,law_id,nom\r1,A,L1,x\r", "ends with CR", None),
        (&long, "line 1: ends with CR", None),
        (b"sep=,\r\nnas,code,law_id\n", "no column 'nas'", Some(HeaderCause::SeparatorLine)),
        (b"SEP=;\nnas;code;law_id\n", "no column 'nas'", Some(HeaderCause::SeparatorLine)),
        (b"\"nas;code;law_id\"\n", "no column 'nas'", separator(';')),
        (b"nas;code;law_id;Nom, x\n", "no column 'nas'", Some(HeaderCause::TwoSeparators)),
        (b"nas;cod\xe9;law_id\n", "no column 'code'", Some(HeaderCause::Encoding)),
        (b"nas\tcode\tlaw_id\n", "no column 'nas'", separator('\t')),
        ("nas,\u{a0}code,law_id\n".as_bytes(), "no column 'code'", invisible(5, '\u{a0}')),
        (
            "\u{feff}\u{feff}nas,code,law_id\n".as_bytes(),
            "no column 'nas'",
            invisible(1, '\u{feff}'),
        ),
        (
            "Élève,nas,code,law_\u{200b}id\n".as_bytes(),
            "no column 'law_id'",
            invisible(20, '\u{200b}'),
        ),
        (b"num\xe9ro,code,law_id\n", "no column 'nas'", Some(HeaderCause::Encoding)),
        (b"numero,code,law_id\n", "no column 'nas'", Some(HeaderCause::Unnamed)),
    ] {
        let error = header_error(bytes);
        assert!(error.to_string().contains(text), "{error} is not {text:?}");
        let found = match error {
            RollError::HeaderMissing { cause, .. } => Some(cause),
            _ => None,
        };
        assert_eq!(found, cause, "{text:?}");
    }
    // Rows can end this way even if the header does not.
    let mixed =
        [b"nas,code,law_id\n".as_slice(), &b"123456789,ABC123,L1\r".repeat(60_000)].concat();
    let error = hash_all(&mixed, 1 << 16, &RollRules::default()).expect_err("one endless row");
    assert!(matches!(error, RollError::LineEnds { line: 2 }), "{error}");
}

#[test]
fn a_header_alone_is_accepted_and_has_no_rows() {
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
    let hashed = hash(b"nas,code,law_id\n\"123456789\"x,ABC123,L1\n123456780,ABC123,L1\n");
    assert_eq!(hashed.faults[0].rule, RowRule::QuoteStray);
    assert!(!hashed.faults[0].rule.loses_position());
}

/// Rows after such a fault may be lost, so the number of bad rows does not say how many.
#[test]
fn faults_that_may_hide_other_rows_are_distinguished() {
    let rows = |second: &str, third: &str| {
        format!(
            "nas,code,law_id,nom\n123456789,ABC123,L1,Roy\n123456780,ABC124,L1,{second}\n\
             123456781,ABC125,L1,Roy\n{third}\n123456783,ABC127,L1,Roy\n"
        )
    };
    let row = "123456782,ABC126,L1,";
    for (second, third) in [
        // Never closed; closed by the mark that opens another field, which text follows.
        ("\"Roy", format!("{row}Roy")),
        ("\"Roy", format!("{row}\"Roy\"")),
        ("\"Roy", format!("{row}\"Roy, Jean\"")),
        // Closed where a field ends, so that the text in between is well-formed CSV.
        ("\"Roy", format!("{row}Roy\"")),
        ("\"Roy", "123456782,ABC126\",L1,Roy".to_owned()),
        ("\"Roy", "123456782\",ABC126,L1,Roy".to_owned()),
        // Lines that end with a carriage return alone.
        ("Roy\r123456784,ABC128,L1,Roy", format!("{row}Roy")),
        ("\"Roy\"\r123456784,ABC128,L1,Roy", format!("{row}Roy")),
    ] {
        let text = rows(second, &third);
        let hashed = hash(text.as_bytes());
        let lost: Vec<_> =
            hashed.faults.iter().filter(|fault| fault.rule.loses_position()).collect();
        assert_eq!(lost.first().map(|fault| fault.line), Some(3), "{text} {:?}", hashed.faults);
        for chunk_size in [7, 31, 64] {
            let cut = hash_all(text.as_bytes(), chunk_size, &RollRules::default()).expect("read");
            assert_eq!(cut.0.faults, hashed.faults);
        }
    }
    // Quoted text over several lines is good, and a bad row with such text hides no other row.
    let text = rows("\"Roy\nJean, \"\"Ti\"\"\n123\"", "1,\"AB\nC\",L1,Roy");
    let hashed = hash(text.as_bytes());
    assert_eq!(hashed.faults.len(), 1);
    assert!(!hashed.faults[0].rule.loses_position());
}

#[test]
fn faults_are_counted_by_rule() {
    let roll = "nas,code,law_id\n1,ABCD1,L1\n12,ABCD1,L1\n123456789,A,L1\n123,ABCD1,L1\n";
    let hashed = hash(roll.as_bytes());
    let counts = count_by_rule(&hashed.faults);
    assert_eq!(
        counts.iter().map(|rule| (rule.count, rule.first.line)).collect::<Vec<_>>(),
        [(3, 2), (1, 4)]
    );
    assert_eq!(counts[0].first.rule.code(), "nas-length");
}

#[test]
fn codes_shortened_by_a_spreadsheet_are_warned_of() {
    let roll = "nas,code,law_id\n\
        000000042,7KQ2M9XA,L1\n000000059,12345678,L1\n000000067,345678,L1\n000000075,B3XQ77ZP,L1\n\
        000000042,7KQ2M9,L2\n";
    for chunk_size in [16, 1 << 20] {
        let (hashed, _) =
            hash_all(roll.as_bytes(), chunk_size, &RollRules::default()).expect("good");
        assert!(hashed.faults.is_empty());
        assert_eq!(
            hashed.warnings().iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "L1: 1 code is shorter than the other 3 (8 characters): line 4; spreadsheets drop leading zeros"
            ]
        );
        assert_eq!(hashed.code_length_min, 6);
    }
    assert_eq!(hash(GOOD.as_bytes()).warnings(), []);
}

#[test]
fn law_ids_that_differ_by_capitals_are_warned_of() {
    let roll = "nas,code,law_id\n000000042,7KQ2M9XA,L2025-001\n000000059,B3XQ77ZP,L2025-001\n000000067,C3XQ77ZP,l2025-001\n";
    assert_eq!(
        hash(roll.as_bytes()).warnings().iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["the law ids L2025-001 (2 registered) and l2025-001 (1 registered) differ in capitals \
          only: are they the same law?"]
    );
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
fn rows_of_unselected_laws_are_counted_and_ignored() {
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
    // Nine zeros pass the check sum, and are refused in every form of row.
    for zeros in ["000000000,ABC123,L1\n", "000 000 000,ABC123,L1\n"] {
        let roll = format!("nas,code,law_id\n{zeros}");
        let rule = CredentialError::NasZeros.into();
        let (hashed, _) = hash_all(roll.as_bytes(), 1 << 20, &rules).expect("a readable roll");
        assert_eq!(hashed.faults, [RowFault { line: 2, field: Field::Nas, rule }]);
        assert!(hash(roll.as_bytes()).faults.is_empty());
    }
}

#[test]
fn votes_are_read_by_the_rules_of_a_roll() {
    let read = |text: &str| {
        let mut rows = Vec::new();
        let faults = read_table(text.as_bytes(), Table::Votes, &RollRules::default(), |row| {
            rows.push((row.line, row.number, row.vote.to_owned(), row.law_id.to_owned()));
        });
        faults.map(|faults| (rows, faults.iter().map(ToString::to_string).collect::<Vec<_>>()))
    };
    let (rows, faults) = read(
        "Vote,nom,LAW_ID,code,nas\noui,\"Roy\nJean\",L1,abc123,123 456 789\n\
         Oui,Roy,L1,ABC123,123456789\n non,Roy,L1,ABC123,123456789\nnon,Roy,L1,ABC123\n",
    )
    .expect("a good header");
    assert_eq!(rows, [(2, 1, "oui".to_owned(), "L1".to_owned())]);
    assert_eq!(
        faults,
        [
            "line 4, vote: not a choice id",
            "line 5, vote: invisible U+0020 (a space) at 1",
            "line 6, nas: cut short",
        ]
    );
    let missing = read("nas,code,law_id\n").expect_err("no votes");
    assert_eq!(missing.to_string(), "line 1: no column 'vote'");
    assert!(matches!(missing, RollError::HeaderMissing { table: Table::Votes, .. }));
    let twice = read("nas,code,law_id,vote,VOTE\n").expect_err("two votes a row");
    assert_eq!(twice.to_string(), "line 1: column 'vote' repeated");
    assert_eq!(read("").expect_err("nothing").to_string(), "file of votes empty");
    // A roll may have a column of that name, which is then ignored.
    let mut plain = 0;
    let roll = "nas,code,law_id,vote\n123456789,ABC123,L1,Oui!\n";
    let faults = read_table(roll.as_bytes(), Table::Roll, &RollRules::default(), |_| plain += 1);
    assert_eq!((faults.expect("a good header"), plain), (vec![], 1));
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
    let mut rows = Rows::new(chunk.bytes(), chunk.line(), Separator::Comma);
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
    let mut rows = Rows::new(text, 1, Separator::Comma);
    let mut records = Vec::new();
    loop {
        let mut fields = Vec::new();
        let rest = rows.rest();
        let found = rows.next_record(|_, field| {
            // A field preceded by a quotation mark was quoted: its doubled marks stand for one.
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

/// A field as a correct writer writes it: quoted if necessary, or optionally.
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

/// Random rolls: good rows, bad rows, quotes and line breaks anywhere.
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
        let mut rows = Rows::new(text.as_bytes(), 1, Separator::Comma);
        let mut columns = 0;
        while rows.next_record(|index, _| columns = index + 1).is_some() {
            found.push(columns);
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn chunks_of_any_size_give_the_same_result(roll in any_roll(), chunk_size in 1_usize..80) {
        let whole = hash_all(&roll, 1 << 20, &RollRules::default()).expect("a good header");
        let cut = hash_all(&roll, chunk_size, &RollRules::default()).expect("a good header");
        prop_assert_eq!(whole.1, cut.1);
        prop_assert_eq!(whole.1, Digest::compute(&roll));
        prop_assert_eq!(laws(&whole.0), laws(&cut.0));
        prop_assert_eq!(whole.0.faults, cut.0.faults);
        prop_assert_eq!(whole.0.conflicts, cut.0.conflicts);
        prop_assert_eq!(whole.0.rows, cut.0.rows);
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        roll in prop::collection::vec(any::<u8>(), 0..200),
        chunk_size in 1_usize..40,
    ) {
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
