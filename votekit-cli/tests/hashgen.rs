//! `votekit hashgen`, except for supplements.

mod support;

use std::fs;

use support::{TestDir, fixture, mode_of, names_in};

/// Returns all files of a folder, by name.
fn content(dir: &TestDir, folder: &str) -> Vec<(String, Vec<u8>)> {
    let names = names_in(&dir.path(folder)).into_iter();
    names.map(|name| (name.clone(), dir.read(&format!("{folder}/{name}")))).collect()
}

#[test]
fn a_roll_becomes_shards_and_a_manifest() {
    let dir = TestDir::new();
    let hashed = dir.run(&["hashgen", &fixture("rolls/good.csv"), "--out", "hashes"]);
    let text = hashed.succeeds();
    assert!(text.contains("L2025-001: 3 registered, 1 shard\n"), "{text}");
    assert!(text.contains("next: "), "{text}");
    assert_eq!(
        names_in(&dir.path("hashes")),
        ["L2025-001.0001.json", "L2025-002.0001.json", "manifest.json"]
    );
    assert_eq!(dir.names(), ["hashes"]);
    for (name, bytes) in content(&dir, "hashes") {
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            !text.contains("000000018") && !text.contains("ABCD1234"),
            "{name} tells who is in the roll"
        );
    }
}

#[test]
fn the_same_roll_gives_the_same_bytes_in_every_writing_and_with_any_threads() {
    let dir = TestDir::new();
    dir.run(&[
        "roll",
        "sample",
        "--electors",
        "60000",
        "--law",
        "L1",
        "--law",
        "L2",
        "-o",
        "roll.csv",
    ])
    .succeeds();
    dir.run(&["hashgen", "roll.csv", "--out", "one", "--threads", "1", "--shard-size", "7000"])
        .succeeds();
    dir.run(&["hashgen", "roll.csv", "--out", "four", "--threads", "4", "--shard-size", "7000"])
        .succeeds();
    assert_eq!(content(&dir, "one"), content(&dir, "four"));
    assert_eq!(content(&dir, "one").len(), 2 * 9 + 1);

    dir.run(&["hashgen", &fixture("rolls/good.csv"), "--out", "plain"]).succeeds();
    dir.run(&["hashgen", &fixture("rolls/good-quoted-bom-crlf.csv"), "--out", "quoted"]).succeeds();
    let semicolons = fixture("rolls/good-semicolons.csv");
    dir.run(&["hashgen", &semicolons, "--out", "semicolons"]).succeeds();
    for shard in ["L2025-001.0001.json", "L2025-002.0001.json"] {
        assert_eq!(dir.read(&format!("plain/{shard}")), dir.read(&format!("quoted/{shard}")));
        assert_eq!(dir.read(&format!("plain/{shard}")), dir.read(&format!("semicolons/{shard}")));
    }
}

#[test]
fn standard_input_and_binary_shards_hold_the_same_keys() {
    let dir = TestDir::new();
    let roll = fs::read(fixture("rolls/good.csv")).expect("the fixture");
    dir.run_with_input(&["hashgen", "-", "--out", "a", "--format", "bin"], &roll).succeeds();
    dir.run(&["hashgen", &fixture("rolls/good.csv"), "--out", "b", "--format", "bin"]).succeeds();
    assert_eq!(content(&dir, "a"), content(&dir, "b"));
    dir.run(&["manifest", "verify", "a"]).succeeds();
}

#[test]
fn only_the_laws_asked_for_are_hashed() {
    let dir = TestDir::new();
    let roll = fixture("rolls/good.csv");
    let hashed =
        dir.run(&["hashgen", &roll, "--out", "one", "--law", "L2025-002", "--json"]).json();
    assert_eq!(
        (hashed["rows"].as_u64(), hashed["ignored_rows_of_other_laws"].as_u64()),
        (Some(1), Some(3))
    );
    dir.run(&["hashgen", &roll, "--out", "none", "--law", "L2025-003"])
        .fails(3, &["no valid row for the law L2025-003"]);
    assert!(!dir.exists("none"));
}

#[test]
fn bad_rolls_are_refused_with_line_and_field_and_nothing_is_written() {
    let dir = TestDir::new();
    for (file, texts) in [
        ("empty.csv", &["empty.csv: the roll is empty", "hint: "] as &[_]),
        ("missing-column.csv", &["line 1: the header has no column 'law_id'"]),
        (
            "nas-of-8-digits.csv",
            &["nas-of-8-digits.csv: line 3, nas: a NAS has exactly 9 digits, this one has 8"],
        ),
        ("nas-with-letters.csv", &["line 3, nas: ", "character 6"]),
        ("code-with-bar.csv", &["line 3, code: ", "character 4"]),
        ("law-of-51-characters.csv", &["line 3, law_id: ", "1 to 50 characters, this one has 51"]),
        ("invalid-utf8.csv", &["line 2, code: the text is not valid UTF-8"]),
        ("cut-short.csv", &["line 3, law_id: the row is cut short"]),
        ("quote-unclosed.csv", &["line 3, code: a quotation mark is opened and never closed"]),
        ("duplicate.csv", &["line 3, row: the same elector and law as line 2"]),
        ("two-codes.csv", &["two codes for the same law", "lines 2 and 4, law L2025-001"]),
    ] {
        let refused =
            dir.run(&["hashgen", &fixture(&format!("rolls/bad/{file}")), "--out", "hashes"]);
        refused.fails(3, texts);
        assert!(
            !refused.stderr.contains("ABC") && !refused.stderr.contains("00000"),
            "{}",
            refused.stderr
        );
        assert!(dir.names().is_empty(), "{file} left {:?}", dir.names());
    }
    // A second code does not hide the bad rows.
    let rows = ["000000018,ABCD1234,L1", "1,ABCD1235,L1", "000000018,ABCD1299,L1", "2,ABCD1236,L1"];
    let both = format!("nas,code,law_id\n{}\n", rows.join("\n"));
    dir.run_with_input(&["hashgen", "-", "--out", "hashes"], both.as_bytes()).fails(
        3,
        &[
            "the same elector has two codes for the same law; nothing was written",
            "standard input: lines 2 and 4, law L1",
            "2 bad rows as well:",
            "standard input: line 3, nas: a NAS has exactly 9 digits, this one has 1",
            "standard input: line 5, nas",
        ],
    );
    dir.run(&["hashgen", "absent.csv", "--out", "hashes"]).fails(3, &["cannot read absent.csv"]);
    dir.run(&["hashgen", ".", "--out", "hashes"]).fails(3, &["it is a folder"]);
    dir.run_with_input(&["hashgen", "-", "--out", "hashes"], b"nas,code,law_id\n")
        .fails(3, &["no valid row"]);
}

#[test]
fn a_header_that_cannot_be_read_names_the_cause() {
    let dir = TestDir::new();
    let utf16: Vec<u8> = "nas,code,law_id\n000000042,7KQ2M9XA,L1\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let row = "000000042,7KQ2M9XA,L2025-001";
    for (bytes, texts) in [
        (
            format!("nas,code,law_id\r{row}\r").into_bytes(),
            &["line 1: the lines end with a carriage return", "hint: the lines end with CR alone"]
                [..],
        ),
        (
            utf16,
            &["the roll is UTF-16 text, not UTF-8", "hint: save the file again as 'CSV UTF-8'"],
        ),
        (
            format!("sep=,\r\nnas,code,law_id\n{row}\n").into_bytes(),
            &["no column 'nas'", "hint: delete the first line: 'sep=' is for Excel only"],
        ),
        (
            format!("nas,\u{a0}code,law_id\n{row}\n").into_bytes(),
            &["no column 'code'", "hint: character 5 of the header is U+00A0 (a no-break space)"],
        ),
        (
            format!("\u{feff}\u{feff}nas,code,law_id\n{row}\n").into_bytes(),
            &["no column 'nas'", "hint: character 1 of the header is U+FEFF (a byte-order mark)"],
        ),
        (
            b"PK\x03\x04rest".to_vec(),
            &["a spreadsheet's workbook", "hint: open it in the spreadsheet"],
        ),
    ] {
        dir.write("roll.csv", bytes);
        let refused = dir.run(&["hashgen", "roll.csv", "--out", "hashes"]);
        refused.fails(3, texts);
        assert!(!refused.stderr.contains("must name the columns"), "{}", refused.stderr);
        assert_eq!(dir.names(), ["roll.csv"]);
    }
}

#[test]
fn ignored_columns_may_be_in_another_encoding() {
    let dir = TestDir::new();
    dir.write("roll.csv", b"nas,code,law_id,pr\xe9nom\n000000018,ABCD1234,L1,Ren\xe9\n");
    let hashed = dir.run(&["hashgen", "roll.csv", "--out", "hashes"]);
    assert!(hashed.succeeds().contains("L1: 1 registered"), "{}", hashed.stdout);
    dir.write("plain.csv", b"nas,code,law_id\n000000018,ABCD1234,L1\n");
    dir.run(&["hashgen", "plain.csv", "--out", "plain"]).succeeds();
    assert_eq!(dir.read("hashes/L1.0001.json"), dir.read("plain/L1.0001.json"));
}

#[test]
fn many_faults_are_cut_in_print_and_counted_by_rule() {
    let dir = TestDir::new();
    let roll = format!("nas,code,law_id\n{}000000018,A,L1\n", "1,ABCD,L1\n".repeat(150));
    dir.write("roll.csv", roll);
    let refused = dir.run(&["hashgen", "roll.csv", "--out", "hashes"]);
    refused.fails(
        3,
        &[
            "151 bad rows; nothing was written",
            "line 101, nas",
            "… and 51 more",
            "by rule:\n  150 like line 2, nas: a NAS has exactly 9 digits, this one has 1\n  1: line 152, code: ",
            "hint: spreadsheets such as Excel drop leading zeros",
        ],
    );
    assert!(!refused.stderr.contains("line 102,"));
    let refused = dir.run(&["--json", "hashgen", "roll.csv", "--out", "hashes"]);
    let error: serde_json::Value = serde_json::from_str(&refused.stderr).expect("one JSON error");
    assert_eq!(error["error"]["kind"], "bad-input");
    let details = &error["error"]["details"];
    assert_eq!(
        (&details["faults_total"], &details["faults"][149]["line"]),
        (&151.into(), &151.into())
    );
    assert_eq!(
        details["faults_by_rule"][0],
        serde_json::json!({ "field": "nas", "code": "nas-length", "count": 150, "first_line": 2 })
    );
}

#[test]
fn skipped_rows_go_to_a_private_file_as_they_stand_and_can_be_read_again() {
    let dir = TestDir::new();
    let roll = "nas,code,law_id,nom\n000000018,ABCD1234,L1,Roy\n\"1\",\"x\ny\",L1,\"Roy, \"\"J\"\"\"\n\
        000000018,abcd1234,L1,Roy\n000000026,ABCD1235,L1,C\u{f4}t\u{e9}\n000000034,ABCD1236\n";
    dir.write("roll.csv", roll);
    let expected = "line,rule,nas,code,law_id,nom\n\
        3,\"nas: a NAS has exactly 9 digits, this one has 1\",\"1\",\"x\ny\",L1,\"Roy, \"\"J\"\"\"\n\
        5,\"row: the same elector and law as line 2, with the same code\",000000018,abcd1234,L1,Roy\n\
        7,\"law_id: the row is cut short: this field is missing\",000000034,ABCD1236\n";
    let skip = ["--on-error", "skip", "--max-rejects", "50%"];
    let skipped = dir
        .run(&[&["hashgen", "roll.csv", "--out", "hashes", "--json"][..], &skip].concat())
        .json();
    assert_eq!((skipped["rejects"].as_u64(), skipped["duplicates"].as_u64()), (Some(2), Some(1)));
    assert_eq!(skipped["left_out_by_rule"].as_array().map(Vec::len), Some(3));
    assert_eq!(String::from_utf8(dir.read("hashes-rejects.csv")).expect("UTF-8"), expected);
    assert_eq!(mode_of(&dir.path("hashes-rejects.csv")), 0o600);

    let arguments = [&["hashgen", "-", "--out", "again", "--rejects", "r.csv"][..], &skip].concat();
    let said = dir.run_with_input(&arguments, roll.as_bytes());
    assert!(
        said.succeeds().contains(
            "skipped: 2 bad rows and 1 exact duplicate, listed in r.csv\n  1: line 3, nas"
        )
    );
    assert_eq!(dir.read("r.csv"), dir.read("hashes-rejects.csv"));
    assert_eq!(content(&dir, "again"), content(&dir, "hashes"));
    dir.run(&["manifest", "verify", "hashes"]).succeeds();

    // The file of rejects is a roll: rows corrected in it can be read from it.
    dir.run(&["hashgen", "r.csv", "--out", "never"]).fails(
        3,
        &["2 bad rows", "r.csv: line 2, nas: a NAS has exactly 9 digits", "r.csv: line 5, law_id"],
    );
    let corrected = expected
        .replace("\"1\",\"x\ny\"", "000000034,\"ABCD1236\"")
        .replace("000000034,ABCD1236\n", "000000042,ABCD1237,L1,\n");
    dir.write("corrected.csv", corrected);
    let read = dir.run(&["hashgen", "corrected.csv", "--out", "corrected"]);
    assert!(read.succeeds().contains("L1: 3 registered"), "{}", read.stdout);
    // Or as a supplement, except for the elector who was registered before.
    dir.run(&[
        "hashgen",
        "--supplement-of",
        "hashes",
        "--roll",
        "roll.csv",
        "--add",
        "corrected.csv",
        "--out",
        "s",
    ])
    .fails(3, &["corrected.csv: line 3, law L1: the elector is registered already"]);

    // With a byte order mark, spreadsheets read the rows in their original encoding.
    dir.write("marked.csv", format!("\u{feff}{roll}"));
    let arguments = [&["hashgen", "marked.csv", "--out", "marked"][..], &skip].concat();
    dir.run(&arguments).succeeds();
    assert_eq!(dir.read("marked-rejects.csv"), format!("\u{feff}{expected}").as_bytes());

    // The file has the separator of the roll.
    dir.write("semicolons.csv", "nas;code;law_id\n000000018;ABCD1234;L1\n1;ABCD1235;L1\n");
    dir.run(&[&["hashgen", "semicolons.csv", "--out", "semi"][..], &skip].concat()).succeeds();
    assert_eq!(
        String::from_utf8(dir.read("semi-rejects.csv")).expect("UTF-8"),
        "line;rule;nas;code;law_id\n\
         3;\"nas: a NAS has exactly 9 digits, this one has 1\";1;ABCD1235;L1\n"
    );
    dir.run(&["hashgen", "semi-rejects.csv", "--out", "never"])
        .fails(3, &["semi-rejects.csv: line 2, nas: a NAS has exactly 9 digits"]);

    let conflicting = dir.run(
        &[&["hashgen", &fixture("rolls/bad/two-codes.csv"), "--out", "never"][..], &skip].concat(),
    );
    conflicting.fails(3, &["lines 2 and 4"]);
    assert!(!dir.exists("never") && !dir.exists("never-rejects.csv"));
}

#[test]
fn skipping_stops_above_the_limit_of_rejects() {
    let dir = TestDir::new();
    let good: String = (0..200).map(|nas| format!("{nas:09},ABCD1234,L1\n")).collect();
    let roll = |bad: usize| format!("nas,code,law_id\n{good}{}", "1,ABCD1234,L1\n".repeat(bad));
    let skip = |more: &[&str]| {
        dir.run(&[&["hashgen", "roll.csv", "--out", "hashes", "--on-error", "skip"], more].concat())
    };
    dir.write("roll.csv", roll(3));
    skip(&[]).fails(
        3,
        &[
            "roll.csv: 3 of 203 rows are bad, more than --max-rejects 1%; nothing was written",
            "3 like line 202, nas: a NAS has exactly 9 digits, this one has 1",
            "hint: spreadsheets such as Excel drop leading zeros",
        ],
    );
    skip(&["--max-rejects", "2"]).fails(3, &["more than --max-rejects 2"]);
    skip(&["--max-rejects", "1.4%"]).fails(3, &["more than --max-rejects 1.4%"]);
    skip(&["--max-rejects", "many"]).fails(2, &["such as 25, or a share, such as 1%"]);
    assert_eq!(dir.names(), ["roll.csv"]);
    skip(&["--max-rejects", "3"]).succeeds();
    dir.write("roll.csv", roll(2));
    dir.run(&["hashgen", "roll.csv", "--out", "below", "--on-error", "skip"]).succeeds();
}

#[test]
fn a_fault_that_may_hide_other_rows_is_never_skipped() {
    let dir = TestDir::new();
    let roll = |third: &str| {
        let rows: String = (1..=1000)
            .map(|nas| {
                let nom = if nas == 3 { third } else { "Roy" };
                format!("{nas:09},AAAA{nas:04},L1,{nom}\n")
            })
            .collect();
        format!("nas,code,law_id,nom\n{rows}")
    };
    let closed = roll("\"Roy").replace("AAAA0900,L1,Roy", "AAAA0900,L1,Roy\"");
    for (text, said) in [
        (roll("\"Roy"), "roll.csv: line 4, column 4: a quotation mark is opened and never closed"),
        (
            closed,
            "line 4, column 4: a quotation mark seems to be missing: the quoted text continues \
             over 897 line ends",
        ),
        (
            roll("Roy\r000001001,AAAA1001,L1,Roy"),
            "line 4, row: a carriage return without a line feed",
        ),
    ] {
        dir.write("roll.csv", text);
        let skip =
            ["hashgen", "roll.csv", "--out", "d", "--on-error", "skip", "--max-rejects", "100%"];
        dir.run(&skip)
            .fails(3, &[said, "rows after it may be lost", "nothing was written", "hint: "]);
        dir.run(&["hashgen", "roll.csv", "--out", "d"]).fails(3, &[said, "nothing was written"]);
        assert_eq!(dir.names(), ["roll.csv"]);
    }
}

#[test]
fn values_changed_by_a_spreadsheet_raise_a_warning() {
    let dir = TestDir::new();
    let roll = "nas,code,law_id\n000000042,7KQ2M9XA,L1\n000000059,12345678,L1\n\
        000000067,345678,L1\n000000075,B3XQ77ZP,L1\n";
    let text = "L1: 1 code is shorter than the other 3 (8 characters): line 4; spreadsheets drop leading zeros";
    dir.write("short.csv", roll);
    let hashed = dir.run(&["hashgen", "short.csv", "--out", "short"]);
    hashed.succeeds();
    assert_eq!(hashed.stderr, format!("warning: {text}\n"));
    assert!(hashed.stdout.contains("shortest code: 6 characters"), "{}", hashed.stdout);
    let hashed = dir.run(&["hashgen", "short.csv", "--out", "again", "--json"]);
    assert_eq!(
        hashed.json()["warnings"],
        serde_json::json!([{ "code": "short-codes", "text": text }])
    );
    assert_eq!(content(&dir, "again"), content(&dir, "short"));

    dir.write(
        "case.csv",
        "nas,code,law_id\n000000042,7KQ2M9XA,L2025-001\n000000059,B3XQ77ZP,L2025-001\n000000067,C3XQ77ZP,l2025-001\n",
    );
    let hashed = dir.run(&["hashgen", "case.csv", "--out", "case"]);
    hashed.succeeds();
    assert_eq!(
        hashed.stderr,
        "warning: the law ids L2025-001 (2 registered) and l2025-001 (1 registered) differ in \
         capitals only: are they the same law?\n"
    );
    let silent = dir.run(&["hashgen", &fixture("rolls/good.csv"), "--out", "good", "--json"]);
    assert_eq!(
        (silent.json()["warnings"].clone(), silent.stderr.as_str()),
        (serde_json::json!([]), "")
    );
}

#[test]
fn nine_zeros_fail_the_check_digit() {
    let dir = TestDir::new();
    dir.write("roll.csv", "nas,code,law_id\n000000000,7KQ2M9XA,L1\n");
    dir.run(&["hashgen", "roll.csv", "--out", "h", "--check-digit"])
        .fails(3, &["line 2, nas: a NAS of nine zeros is never issued"]);
    assert_eq!(dir.names(), ["roll.csv"]);
}

#[test]
fn an_occupied_folder_is_refused_and_an_empty_one_is_used() {
    let dir = TestDir::new();
    fs::create_dir(dir.path("full")).expect("writable");
    dir.write("full/precious", "x");
    let roll = fixture("rolls/good.csv");
    dir.run(&["hashgen", &roll, "--out", "full"])
        .fails(4, &["full already exists and is not an empty folder"]);
    assert_eq!(names_in(&dir.path("full")), ["precious"]);
    fs::create_dir(dir.path("empty")).expect("writable");
    dir.run(&["hashgen", &roll, "--out", "empty"]).succeeds();
    // The leftovers of a killed run do not matter.
    fs::create_dir(dir.path(".next.partial")).expect("writable");
    dir.write(".next.partial/L1.0001.json", "half");
    dir.run(&["hashgen", &roll, "--out", "next"]).succeeds();
    assert_eq!(dir.names(), ["empty", "full", "next"]);
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let dir = TestDir::new();
    dir.run(&["roll", "sample", "--electors", "2000", "--law", "L1", "-o", "roll.csv"]).succeeds();
    let limited =
        dir.shell("trap '' XFSZ; ulimit -f 8; exec \"$VOTEKIT\" hashgen roll.csv --out hashes");
    limited.fails(4, &["cannot write hashes/L1.0001.json: file too large", "hint: free space"]);
    assert_eq!(dir.names(), ["roll.csv"]);
}

#[test]
fn a_day_is_written_when_asked_for() {
    let dir = TestDir::new();
    let roll = fixture("rolls/good.csv");
    dir.run(&["hashgen", &roll, "--out", "a", "--date", "2026-11-21"]).succeeds();
    assert!(
        String::from_utf8_lossy(&dir.read("a/manifest.json")).contains("\"date\": \"2026-11-21\"")
    );
    dir.run(&["hashgen", &roll, "--out", "b", "--date", "tomorrow"])
        .fails(2, &["--date: expected a day"]);
    assert_eq!(dir.names(), ["a"]);
}
