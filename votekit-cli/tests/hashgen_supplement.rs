//! `votekit hashgen --supplement-of`.

mod support;

use support::{Outcome, TestDir, fixture, names_in};

/// A test folder with the roll of `fixtures/rolls/good.csv`, hashed into `hashes`.
fn hashed() -> TestDir {
    let dir = TestDir::new();
    dir.write("roll.csv", std::fs::read(fixture("rolls/good.csv")).expect("the fixture"));
    dir.run(&["hashgen", "roll.csv", "--out", "hashes"]).succeeds();
    dir
}

/// Writes both files of changes.
fn write(dir: &TestDir, add: &str, revoke: &str) {
    dir.write("add.csv", format!("nas,code,law_id\n{add}"));
    dir.write("revoke.csv", format!("nas,code,law_id\n{revoke}"));
}

/// Makes a supplement to `parent` from both files of changes.
fn supplement(dir: &TestDir, parent: &str, out: &str, more: &[&str]) -> Outcome {
    let base = ["hashgen", "--supplement-of", parent, "--roll", "roll.csv", "--out", out];
    let files = ["--add", "add.csv", "--revoke", "revoke.csv"];
    dir.run(&[&base[..], &files, more].concat())
}

#[test]
fn a_supplement_adds_revokes_and_replaces_under_the_same_pepper() {
    let dir = TestDir::new();
    dir.run(&["pepper", "generate", "-o", "p"]).succeeds();
    dir.run(&["pepper", "generate", "-o", "other"]).succeeds();
    dir.write("roll.csv", std::fs::read(fixture("rolls/good.csv")).expect("the fixture"));
    dir.run(&["hashgen", "roll.csv", "--out", "hashes", "--pepper-file", "p"]).succeeds();
    write(
        &dir,
        "000000018,NEWC1234,L2025-001\n000000042,ABCD1238,L2025-001\n",
        "000000018,ABCD1234,L2025-001\n000000026,ABCD1235,L2025-001\n",
    );
    let make = |more: &[&str]| supplement(&dir, "hashes/manifest.json", "s", more);
    make(&[]).fails(3, &["none was given"]);
    make(&["--pepper-file", "other"]).fails(3, &["made with the pepper"]);
    assert!(!dir.exists("s"));

    let made = make(&["--pepper-file", "p", "--json"]).json();
    let law = &made["laws"][0];
    assert_eq!(
        (law["added"].as_u64(), law["revoked"].as_u64(), law["replaced"].as_u64()),
        (Some(1), Some(1), Some(1))
    );
    assert_eq!(made["warnings"], serde_json::json!([]));
    assert_eq!(names_in(&dir.path("s")), ["L2025-001.changes.json", "manifest.json"]);
    dir.run(&["manifest", "verify", "s", "--pepper-file", "p"]).succeeds();
    let again = supplement(&dir, "hashes", "s-again", &["--pepper-file", "p"]);
    let advice = "'votekit manifest verify s-again --pepper-file p'";
    assert!(again.succeeds().contains(advice), "{}", again.stdout);

    let manifest: serde_json::Value =
        serde_json::from_slice(&dir.read("s/manifest.json")).expect("JSON");
    assert_eq!(manifest["parent"], made["parent_sha256"]);
    // The revoked keys are registered ones.
    let changes: serde_json::Value =
        serde_json::from_slice(&dir.read("s/L2025-001.changes.json")).expect("JSON");
    let shard = String::from_utf8(dir.read("hashes/L2025-001.0001.json")).expect("UTF-8");
    for key in [&changes["revoke"][0], &changes["replace"][0][0]] {
        assert!(shard.contains(key.as_str().expect("hexadecimal")));
    }
}

#[test]
fn a_supplement_is_checked_like_a_roll() {
    let dir = hashed();
    for (add, revoke, texts) in [
        ("1,ABCD1234,L2025-001\n", "", &["add.csv: line 2, nas"][..]),
        ("000000042,ABCD1234,L9\n", "", &["the law L9 is not in the roll"]),
        (
            "000000042,ABCD1234,l2025-001\n",
            "",
            &["the law l2025-001 is not in the roll", "hint: the roll spells it L2025-001"],
        ),
        (
            "000000018,ABCD1234,L2025-001\n",
            "000000018,ABCD1234,L2025-001\n",
            &["add.csv: line 2, law L2025-001: it adds what revoke.csv line 2 revokes"],
        ),
        (
            "000000042,ABCD1234,L2025-001\n000000042,ABCD9999,L2025-001\n",
            "",
            &["add.csv", "lines 2 and 3"],
        ),
        ("", "", &["nothing to add or revoke"]),
    ] {
        write(&dir, add, revoke);
        supplement(&dir, "hashes", "s", &[]).fails(3, texts);
        assert!(!dir.exists("s"));
    }
    dir.run(&["hashgen", "--supplement-of", "hashes", "--roll", "roll.csv", "--out", "s"])
        .fails(2, &["--add FILE, --revoke FILE"]);
    dir.run(&["hashgen", "--supplement-of", "hashes", "--add", "add.csv", "--out", "s"])
        .fails(2, &["a supplement needs --roll ROLL.csv", "hint: the roll is needed"]);
    dir.run(&["hashgen", "--out", "s"]).fails(2, &["ROLL.csv"]);
    assert!(!dir.exists("s"));
}

#[test]
fn no_elector_gets_a_second_live_code() {
    let dir = hashed();
    for (add, revoke, texts) in [
        (
            "000000042,ABCD1238,L2025-001\n000000018,NEWC1234,L2025-001\n",
            "",
            &[
                "1 row contradicts the roll; nothing was written",
                "add.csv: line 3, law L2025-001: a second code for an elector whose code stays live (roll.csv line 2)",
                "hint: to replace a code, put the old one into the file of revocations",
            ][..],
        ),
        (
            "000000018,ABCD1234,L2025-001\n",
            "",
            &[
                "the elector is registered already, with this code (roll.csv line 2)",
                "hint: delete the row",
            ],
        ),
        (
            "000000018,NEWC1234,L2025-001\n",
            "000000018,WRONG234,L2025-001\n",
            &[
                "revoke.csv: line 2, law L2025-001: the elector is registered with another code (roll.csv line 2)",
            ],
        ),
        (
            "",
            "000000042,ABCD1238,L2025-001\n",
            &["revoke.csv: line 2, law L2025-001: no such elector is registered for this law"],
        ),
    ] {
        write(&dir, add, revoke);
        let refused = supplement(&dir, "hashes", "s", &[]);
        refused.fails(3, texts);
        assert!(!dir.exists("s") && !refused.stderr.contains("0000000"), "{}", refused.stderr);
    }
    let refused = supplement(&dir, "hashes", "s", &["--json"]);
    let error: serde_json::Value = serde_json::from_str(&refused.stderr).expect("one JSON error");
    assert_eq!(error["error"]["details"]["contradictions"][0]["code"], "not-registered");
}

#[test]
fn the_roll_must_be_the_one_that_was_hashed() {
    let dir = hashed();
    write(&dir, "000000042,ABCD1238,L2025-001\n", "");
    let whole = dir.read("roll.csv");
    dir.write("roll.csv", [&whole[..], b"000000059,ABCD1239,L2025-001\n"].concat());
    supplement(&dir, "hashes", "s", &[])
        .fails(3, &["roll.csv is not the roll that was hashed", "hint: give the unchanged file"]);
    assert!(!dir.exists("s"));
    dir.write("roll.csv", &whole);
    // From standard input, as when the roll is kept encrypted.
    let arguments =
        ["hashgen", "--supplement-of", "hashes", "--roll", "-", "--add", "add.csv", "--out", "s"];
    dir.run_with_input(&arguments, &whole).succeeds();
}

#[test]
fn a_roll_of_some_laws_and_with_rows_left_out_is_read_as_it_was_hashed() {
    let dir = TestDir::new();
    // The second fails its check digit, the third is short, the last repeats the first.
    let roll = "nas,code,law_id\n046454286,ABCD1234,L1\n046454287,ABCD1235,L1\n1,ABCD1236,L1\n\
        046454286,ABCD1237,L2\n046454286,ABCD1234,L1\n";
    dir.write("roll.csv", roll);
    dir.run(&[
        "hashgen",
        "roll.csv",
        "--out",
        "hashes",
        "--law",
        "L1",
        "--check-digit",
        "--on-error",
        "skip",
        "--max-rejects",
        "2",
    ])
    .succeeds();
    // An elector refused for the check digit is not registered, and can be added.
    write(&dir, "046454287,ABCD1235,L1\n", "046454286,ABCD1234,L1\n");
    supplement(&dir, "hashes", "s", &[]).succeeds();
    write(&dir, "046454286,NEWC1237,L2\n", "");
    supplement(&dir, "hashes", "t", &[]).fails(3, &["the law L2 is not in the roll"]);
}

#[test]
fn a_chain_of_supplements_is_followed() {
    let dir = hashed();
    let keep = |number: u32| {
        for name in ["add", "revoke"] {
            let bytes = dir.read(&format!("{name}.csv"));
            dir.write(&format!("{name}-{number}.csv"), bytes);
        }
    };
    // The first replaces a code, so it has both files.
    write(&dir, "000000018,NEWC1234,L2025-001\n", "000000018,ABCD1234,L2025-001\n");
    supplement(&dir, "hashes", "s1", &[]).succeeds();
    keep(1);
    let first = ["--prior-add", "add-1.csv", "--prior-revoke", "revoke-1.csv"];
    // The second has only additions.
    dir.write("add-2.csv", "nas,code,law_id\n000000042,ABCD1238,L2025-001\n");
    let base = ["hashgen", "--supplement-of", "s1", "--roll", "roll.csv", "--add", "add-2.csv"];
    dir.run(&[&base[..], &["--out", "s2"]].concat())
        .fails(3, &["not those of the earlier supplement", "--prior-add"]);
    dir.run(&[&base[..], &first, &["--out", "s2"]].concat()).succeeds();

    let chain = [&first[..], &["--prior-add", "add-2.csv"]].concat();
    let third = |more: &[&str]| supplement(&dir, "s2/manifest.json", "s3", more);
    write(&dir, "000000042,NEWC1238,L2025-001\n", "");
    third(&chain)
        .fails(3, &["a second code for an elector whose code stays live (add-2.csv line 2)"]);
    write(&dir, "", "000000018,ABCD1234,L2025-001\n");
    third(&chain).fails(3, &["this code was revoked before (revoke-1.csv line 2)"]);
    write(&dir, "000000018,THIRD234,L2025-001\n", "000000018,NEWC1234,L2025-001\n");
    // Wrong order, too many, or changed.
    let mixed =
        ["--prior-add", "add-2.csv", "--prior-add", "add-1.csv", "--prior-revoke", "revoke-1.csv"];
    third(&mixed).fails(3, &["not those of the earlier supplement"]);
    third(&[&chain[..], &["--prior-add", "add-2.csv"]].concat())
        .fails(3, &["add-2.csv does not belong to any earlier supplement"]);
    assert!(!dir.exists("s3"));
    let made = third(&[&chain[..], &["--json"]].concat()).json();
    assert_eq!(made["laws"][0]["replaced"], 1);

    // If the folders of the chain are not beside one another, their manifests must be named.
    std::fs::create_dir(dir.path("aside")).expect("made");
    for folder in ["hashes", "s1"] {
        std::fs::rename(dir.path(folder), dir.path(&format!("aside/{folder}"))).expect("moved");
    }
    std::fs::remove_dir_all(dir.path("s3")).expect("removed");
    third(&chain).fails(3, &["which was not found", "hint: give each earlier manifest"]);
    let named = ["--prior-manifest", "aside/hashes/manifest.json", "--prior-manifest", "aside/s1"];
    third(&[&chain[..], &named].concat()).succeeds();
}

#[test]
fn a_new_code_after_a_revocation_and_a_short_code_are_warned_of() {
    let dir = hashed();
    write(&dir, "", "000000018,ABCD1234,L2025-001\n");
    supplement(&dir, "hashes", "s1", &[]).succeeds();
    dir.write("revoke-1.csv", dir.read("revoke.csv"));
    dir.write("add-1.csv", dir.read("add.csv"));
    write(&dir, "000000018,NEWC12,L2025-001\n", "");
    let prior = ["--prior-add", "add-1.csv", "--prior-revoke", "revoke-1.csv"];
    let made = supplement(&dir, "s1", "s2", &prior);
    made.succeeds();
    assert!(
        made.stderr.contains("warning: add.csv line 2, law L2025-001: this elector's earlier code was revoked by revoke-1.csv line 2")
            && made.stderr.contains("warning: L2025-001: 1 code is shorter than the other 3 (8 characters): line 2"),
        "{}",
        made.stderr
    );
}
