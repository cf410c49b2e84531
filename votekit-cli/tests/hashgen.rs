//! `votekit hashgen`.

mod support;

use std::fs;

use support::{Desk, fixture, mode_of, names_in};

/// Everything in a folder, by name.
fn content(desk: &Desk, folder: &str) -> Vec<(String, Vec<u8>)> {
    let names = names_in(&desk.path(folder)).into_iter();
    names.map(|name| (name.clone(), desk.read(&format!("{folder}/{name}")))).collect()
}

#[test]
fn a_roll_becomes_shards_and_a_manifest() {
    let desk = Desk::new();
    let hashed = desk.run(&["hashgen", &fixture("rolls/good.csv"), "--out", "hashes"]);
    let text = hashed.succeeds();
    assert!(text.contains("L2025-001: 3 registered, 1 shard\n"), "{text}");
    assert!(text.contains("next: "), "{text}");
    assert_eq!(
        names_in(&desk.path("hashes")),
        ["L2025-001.0001.json", "L2025-002.0001.json", "manifest.json"]
    );
    assert_eq!(desk.names(), ["hashes"]);
    for (name, bytes) in content(&desk, "hashes") {
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            !text.contains("000000018") && !text.contains("ABCD1234"),
            "{name} tells who is in the roll"
        );
    }
}

#[test]
fn the_same_roll_gives_the_same_bytes_in_every_writing_and_with_any_threads() {
    let desk = Desk::new();
    desk.run(&[
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
    desk.run(&["hashgen", "roll.csv", "--out", "one", "--threads", "1", "--shard-size", "7000"])
        .succeeds();
    desk.run(&["hashgen", "roll.csv", "--out", "four", "--threads", "4", "--shard-size", "7000"])
        .succeeds();
    assert_eq!(content(&desk, "one"), content(&desk, "four"));
    assert_eq!(content(&desk, "one").len(), 2 * 9 + 1);

    desk.run(&["hashgen", &fixture("rolls/good.csv"), "--out", "plain"]).succeeds();
    desk.run(&["hashgen", &fixture("rolls/good-quoted-bom-crlf.csv"), "--out", "quoted"])
        .succeeds();
    for shard in ["L2025-001.0001.json", "L2025-002.0001.json"] {
        assert_eq!(desk.read(&format!("plain/{shard}")), desk.read(&format!("quoted/{shard}")));
    }
}

#[test]
fn standard_input_and_binary_shards_hold_the_same_keys() {
    let desk = Desk::new();
    let roll = fs::read(fixture("rolls/good.csv")).expect("the fixture");
    desk.run_with_input(&["hashgen", "-", "--out", "a", "--format", "bin"], &roll).succeeds();
    desk.run(&["hashgen", &fixture("rolls/good.csv"), "--out", "b", "--format", "bin"]).succeeds();
    assert_eq!(content(&desk, "a"), content(&desk, "b"));
    desk.run(&["manifest", "verify", "a"]).succeeds();
}

#[test]
fn only_the_laws_asked_for_are_hashed() {
    let desk = Desk::new();
    let roll = fixture("rolls/good.csv");
    let hashed =
        desk.run(&["hashgen", &roll, "--out", "one", "--law", "L2025-002", "--json"]).json();
    assert_eq!(
        (hashed["rows"].as_u64(), hashed["ignored_rows_of_other_laws"].as_u64()),
        (Some(1), Some(3))
    );
    desk.run(&["hashgen", &roll, "--out", "none", "--law", "L2025-003"])
        .fails(3, &["no good row is for the law L2025-003"]);
    assert!(!desk.exists("none"));
}

#[test]
fn bad_rolls_are_refused_with_line_and_field_and_nothing_is_written() {
    let desk = Desk::new();
    for (file, texts) in [
        ("empty.csv", &["empty.csv: the roll is empty", "hint: "] as &[_]),
        ("missing-column.csv", &["line 1: the header has no column 'law_id'"]),
        ("semicolons.csv", &["no column 'nas'", "with commas"]),
        (
            "nas-of-8-digits.csv",
            &["nas-of-8-digits.csv: line 3, nas: a NAS has exactly 9 digits, this one has 8"],
        ),
        ("nas-with-letters.csv", &["line 3, nas: ", "character 6"]),
        ("code-with-bar.csv", &["line 3, code: ", "character 4"]),
        ("law-of-51-characters.csv", &["line 3, law_id: ", "1 to 50 characters, this one has 51"]),
        ("invalid-utf8.csv", &["line 2, column 4: the text is not valid UTF-8"]),
        ("cut-short.csv", &["line 3, law_id: the row is cut short"]),
        ("quote-unclosed.csv", &["line 3, code: a quotation mark is opened and never closed"]),
        ("duplicate.csv", &["line 3, row: the same elector and law as line 2"]),
        ("two-codes.csv", &["two codes for the same law", "lines 2 and 4, law L2025-001"]),
    ] {
        let refused =
            desk.run(&["hashgen", &fixture(&format!("rolls/bad/{file}")), "--out", "hashes"]);
        refused.fails(3, texts);
        assert!(
            !refused.stderr.contains("ABC") && !refused.stderr.contains("00000"),
            "{}",
            refused.stderr
        );
        assert!(desk.names().is_empty(), "{file} left {:?}", desk.names());
    }
    desk.run(&["hashgen", "absent.csv", "--out", "hashes"]).fails(3, &["cannot read absent.csv"]);
    desk.run(&["hashgen", ".", "--out", "hashes"]).fails(3, &["it is a folder"]);
    desk.run_with_input(&["hashgen", "-", "--out", "hashes"], b"nas,code,law_id\n")
        .fails(3, &["no good row"]);
}

#[test]
fn many_faults_are_cut_in_print_and_counted() {
    let desk = Desk::new();
    let roll = format!("nas,code,law_id\n{}", "1,ABCD,L1\n".repeat(150));
    desk.write("roll.csv", roll);
    let refused = desk.run(&["hashgen", "roll.csv", "--out", "hashes"]);
    refused.fails(3, &["150 bad rows; nothing was written", "line 101, nas", "… and 50 more"]);
    assert!(!refused.stderr.contains("line 102,"));
    let refused = desk.run(&["--json", "hashgen", "roll.csv", "--out", "hashes"]);
    let error: serde_json::Value = serde_json::from_str(&refused.stderr).expect("one JSON error");
    assert_eq!(error["error"]["kind"], "bad-input");
    assert_eq!(error["error"]["details"]["faults_total"], 150);
    assert_eq!(error["error"]["details"]["faults"][149]["line"], 151);
}

#[test]
fn skipped_rows_go_to_a_private_file_as_they_stand() {
    let desk = Desk::new();
    let roll = "nas,code,law_id\n000000018,ABCD1234,L1\n\"1\",\"x\ny\",L1\n000000018,abcd1234,L1\n000000026,ABCD1235,L1\n";
    desk.write("roll.csv", roll);
    let expected = "line,field,rule,row\n\
        3,nas,\"a NAS has exactly 9 digits, this one has 1\",\"\"\"1\"\",\"\"x\ny\"\",L1\"\n\
        5,row,\"the same elector and law as line 2, with the same code\",\"000000018,abcd1234,L1\"\n";
    let skipped = desk
        .run(&["hashgen", "roll.csv", "--out", "hashes", "--on-error", "skip", "--json"])
        .json();
    assert_eq!((skipped["rejects"].as_u64(), skipped["duplicates"].as_u64()), (Some(1), Some(1)));
    assert_eq!(String::from_utf8(desk.read("hashes-rejects.csv")).expect("UTF-8"), expected);
    assert_eq!(mode_of(&desk.path("hashes-rejects.csv")), 0o600);

    let arguments = ["hashgen", "-", "--out", "again", "--on-error", "skip", "--rejects", "r.csv"];
    desk.run_with_input(&arguments, roll.as_bytes()).succeeds();
    assert_eq!(desk.read("r.csv"), desk.read("hashes-rejects.csv"));
    assert_eq!(content(&desk, "again"), content(&desk, "hashes"));
    desk.run(&["manifest", "verify", "hashes"]).succeeds();

    let conflicting = desk.run(&[
        "hashgen",
        &fixture("rolls/bad/two-codes.csv"),
        "--out",
        "never",
        "--on-error",
        "skip",
    ]);
    conflicting.fails(3, &["lines 2 and 4"]);
    assert!(!desk.exists("never") && !desk.exists("never-rejects.csv"));
}

#[test]
fn an_occupied_folder_is_refused_and_an_empty_one_is_used() {
    let desk = Desk::new();
    fs::create_dir(desk.path("full")).expect("writable");
    desk.write("full/precious", "x");
    let roll = fixture("rolls/good.csv");
    desk.run(&["hashgen", &roll, "--out", "full"])
        .fails(4, &["full already exists and is not an empty folder"]);
    assert_eq!(names_in(&desk.path("full")), ["precious"]);
    fs::create_dir(desk.path("empty")).expect("writable");
    desk.run(&["hashgen", &roll, "--out", "empty"]).succeeds();
    // What a killed run left is in nobody's way.
    fs::create_dir(desk.path(".next.partial")).expect("writable");
    desk.write(".next.partial/L1.0001.json", "half");
    desk.run(&["hashgen", &roll, "--out", "next"]).succeeds();
    assert_eq!(desk.names(), ["empty", "full", "next"]);
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let desk = Desk::new();
    desk.run(&["roll", "sample", "--electors", "2000", "--law", "L1", "-o", "roll.csv"]).succeeds();
    let limited =
        desk.shell("trap '' XFSZ; ulimit -f 8; exec \"$VOTEKIT\" hashgen roll.csv --out hashes");
    limited.fails(4, &["cannot write hashes/L1.0001.json: file too large", "hint: make room"]);
    assert_eq!(desk.names(), ["roll.csv"]);
}

#[test]
fn a_day_is_written_when_asked_for() {
    let desk = Desk::new();
    let roll = fixture("rolls/good.csv");
    desk.run(&["hashgen", &roll, "--out", "a", "--date", "2026-11-21"]).succeeds();
    assert!(
        String::from_utf8_lossy(&desk.read("a/manifest.json")).contains("\"date\": \"2026-11-21\"")
    );
    desk.run(&["hashgen", &roll, "--out", "b", "--date", "tomorrow"])
        .fails(2, &["--date wants a day"]);
    assert_eq!(desk.names(), ["a"]);
}

#[test]
fn a_supplement_adds_revokes_and_replaces_under_the_same_pepper() {
    let desk = Desk::new();
    desk.run(&["pepper", "generate", "-o", "p"]).succeeds();
    desk.run(&["pepper", "generate", "-o", "other"]).succeeds();
    desk.run(&["hashgen", &fixture("rolls/good.csv"), "--out", "hashes", "--pepper-file", "p"])
        .succeeds();
    desk.write(
        "add.csv",
        "nas,code,law_id\n000000018,NEWC1234,L2025-001\n000000042,ABCD1238,L2025-001\n",
    );
    desk.write(
        "revoke.csv",
        "nas,code,law_id\n000000018,ABCD1234,L2025-001\n000000026,ABCD1235,L2025-001\n",
    );
    let base = [
        "hashgen",
        "--supplement-of",
        "hashes/manifest.json",
        "--add",
        "add.csv",
        "--revoke",
        "revoke.csv",
    ];
    desk.run(&[&base[..], &["--out", "s"]].concat()).fails(3, &["none was given"]);
    desk.run(&[&base[..], &["--out", "s", "--pepper-file", "other"]].concat())
        .fails(3, &["made with the pepper"]);
    assert!(!desk.exists("s"));

    let made =
        desk.run(&[&base[..], &["--out", "s", "--pepper-file", "p", "--json"]].concat()).json();
    let law = &made["laws"][0];
    assert_eq!(
        (law["added"].as_u64(), law["revoked"].as_u64(), law["replaced"].as_u64()),
        (Some(1), Some(1), Some(1))
    );
    assert_eq!(names_in(&desk.path("s")), ["L2025-001.changes.json", "manifest.json"]);
    desk.run(&["manifest", "verify", "s", "--pepper-file", "p"]).succeeds();

    let manifest: serde_json::Value =
        serde_json::from_slice(&desk.read("s/manifest.json")).expect("JSON");
    assert_eq!(manifest["parent"], made["parent_sha256"]);
    // What is revoked is what was registered.
    let changes: serde_json::Value =
        serde_json::from_slice(&desk.read("s/L2025-001.changes.json")).expect("JSON");
    let shard = String::from_utf8(desk.read("hashes/L2025-001.0001.json")).expect("UTF-8");
    for key in [&changes["revoke"][0], &changes["replace"][0][0]] {
        assert!(shard.contains(key.as_str().expect("hexadecimal")));
    }
}

#[test]
fn a_supplement_is_checked_like_a_roll() {
    let desk = Desk::new();
    desk.run(&["hashgen", &fixture("rolls/good.csv"), "--out", "hashes"]).succeeds();
    let supplement = |add: &str, revoke: &str| {
        desk.write("add.csv", format!("nas,code,law_id\n{add}"));
        desk.write("revoke.csv", format!("nas,code,law_id\n{revoke}"));
        desk.run(&[
            "hashgen",
            "--supplement-of",
            "hashes",
            "--add",
            "add.csv",
            "--revoke",
            "revoke.csv",
            "--out",
            "s",
        ])
    };
    supplement("1,ABCD1234,L2025-001\n", "").fails(3, &["add.csv: line 2, nas"]);
    supplement("000000042,ABCD1234,L9\n", "").fails(3, &["the law L9 is not in the roll"]);
    supplement("000000018,ABCD1234,L2025-001\n", "000000018,ABCD1234,L2025-001\n")
        .fails(3, &["add.csv line 2 adds what revoke.csv line 2 revokes"]);
    supplement("000000042,ABCD1234,L2025-001\n000000042,ABCD9999,L2025-001\n", "")
        .fails(3, &["add.csv", "lines 2 and 3"]);
    supplement("", "").fails(3, &["nothing to add or revoke"]);
    assert!(!desk.exists("s"));
    desk.run(&["hashgen", "--supplement-of", "hashes", "--out", "s"])
        .fails(2, &["--add FILE, --revoke FILE"]);
    desk.run(&["hashgen", "--out", "s"]).fails(2, &["ROLL.csv"]);
}
