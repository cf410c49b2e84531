use votekit_core::credential::CredentialError;
use votekit_core::roll::{Field, InvisibleCharacter, RollRules, read_table};

use super::*;

fn refused(bytes: &[u8], table: Table) -> RollError {
    read_table(bytes, table, &RollRules::default(), |_| {}).expect_err("a bad header")
}

#[test]
fn a_table_that_cannot_be_read_has_a_hint_on_its_cause() {
    let roll = Table::Roll;
    for (bytes, table, words, advice) in [
        (&b"\xff\xfen\0a\0s\0"[..], roll, "the roll is UTF-16 text, not UTF-8", "CSV UTF-8"),
        (b"PK\x03\x04\x14\0", roll, "a spreadsheet's workbook (.xlsx, .ods)", "as 'CSV UTF-8'"),
        (b"\xd0\xcf\x11\xe0\xa1", roll, "a workbook of Excel (.xls)", "as 'CSV UTF-8'"),
        (b"\x1f\x8b\x08\0", roll, "compressed (gzip)", "decompress"),
        (b"nas,code,law_id\r1,A,L1\r", roll, "end with a carriage return (CR) alone", "CR alone"),
        (b"sep=,\r\nnas,code,law_id\n", roll, "no column 'nas'", "delete the first line: 'sep='"),
        (b"\"nas;code;law_id\"\n", roll, "no column 'nas'", "within quotation marks"),
        (b"nas;code;law_id;Nom, x\n", roll, "no column 'nas'", "both commas and semicolons"),
        (b"nas;cod\xe9;law_id\n", roll, "no column 'code'", "Windows-1252"),
        (b"nas\tcode\tlaw_id\n", roll, "no column 'nas'", "with commas"),
        (
            "nas,\u{a0}code,law_id\n".as_bytes(),
            roll,
            "no column 'code'",
            "character 5 of the header is U+00A0 (a no-break space), which is invisible",
        ),
        (b"num\xe9ro,code,law_id\n", roll, "no column 'nas'", "not valid UTF-8"),
        (b"numero,code,law_id\n", roll, "no column 'nas'", "such as: nas,code,law_id"),
        (b"nas,code,law_id\n", Table::Votes, "no column 'vote'", "nas,code,law_id,vote"),
        (b"", Table::Votes, "the file of votes is empty", "nas,code,law_id,vote"),
        (b"nas,code,law_id,NAS\n", roll, "names the column 'nas' twice", "rename one"),
    ] {
        let error = refused(bytes, table);
        let hint = error.hint().unwrap_or_default();
        assert!(error.in_words().contains(words), "{}", error.in_words());
        assert!(hint.contains(advice), "{hint}");
    }
}

#[test]
fn rows_are_named_by_line_field_and_rule() {
    let fault = |field, rule| RowFault { line: 7, field, rule };
    let short = CredentialError::NasLength { digits: 8 };
    let character = InvisibleCharacter::new('\u{200b}').expect("invisible");
    for (fault, words, advice) in [
        (
            fault(Field::Nas, short.into()),
            "line 7, nas: a NAS has exactly 9 digits, this one has 8",
            "leading zeros",
        ),
        (
            fault(Field::Code, RowRule::Invisible { position: 2, character }),
            "line 7, code: character 2 is U+200B (a zero-width space), which is invisible",
            "retype",
        ),
        (
            fault(Field::Name, RowRule::Utf8),
            "line 7, name: the text is not valid UTF-8",
            "(Windows-1252, 'ANSI'), as Excel writes 'CSV' files with commas or semicolons: save \
             the file again as 'CSV UTF-8'",
        ),
        (
            fault(Field::ROW, RowRule::QuoteRunsOn { lines: 1 }),
            "line 7, row: a quotation mark seems to be missing: the quoted text continues over 1 \
             line end into other rows",
            "is doubled",
        ),
        (
            fault(Field::Email, RowRule::MemberTwice { first_line: 3 }),
            "line 7, email: the same as on line 3",
            "one right to vote",
        ),
    ] {
        assert_eq!(fault.in_words(), words);
        assert!(fault.hint().is_some_and(|hint| hint.contains(advice)), "{:?}", fault.hint());
    }
    let long = CredentialError::NasLength { digits: 10 };
    assert_eq!(RowRule::from(long).hint(), None);
}
