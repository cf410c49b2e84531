//! `votekit manifest`.

mod support;

use support::{TestDir, fixture, mode_of};

fn hashed() -> TestDir {
    let dir = TestDir::new();
    dir.run(&["hashgen", &fixture("rolls/good.csv"), "--out", "hashes"]).succeeds();
    dir
}

#[test]
fn officials_sign_one_after_the_other_and_anyone_verifies() {
    let dir = hashed();
    let (marie, jean, other) =
        (dir.official_key("marie"), dir.official_key("jean"), dir.official_key("other"));
    assert_eq!(mode_of(&dir.path("marie")), 0o600);
    dir.run(&["manifest", "sign", "hashes", "--key", "marie"]).succeeds();
    dir.run(&["manifest", "sign", "hashes", "--key", "jean", "--name", "elections.example/jean"])
        .succeeds();
    dir.run(&["manifest", "sign", "hashes", "--key", "jean"])
        .fails(3, &["already signed by elections.example/jean"]);
    dir.run(&["manifest", "sign", "hashes", "--key", "other", "--name", "x"])
        .fails(3, &["the key of elections.example/other"]);

    let verified = dir.run(&["manifest", "verify", "hashes", "--vkey", &marie, "--vkey", &jean]);
    assert!(
        verified.succeeds().contains("signed by elections.example/jean: checked\n"),
        "{}",
        verified.stdout
    );
    // A signature that was not checked is named as such.
    let verified = dir.run(&["manifest", "verify", "hashes", "--vkey", &marie]);
    let jean_unchecked =
        "signature of elections.example/jean: NOT checked (give the key with --vkey)\n";
    assert!(verified.succeeds().contains(jean_unchecked), "{}", verified.stdout);
    assert!(!verified.stdout.contains("signature of elections.example/marie"));
    let json = dir.run(&["manifest", "verify", "hashes", "--json"]).json();
    assert_eq!(json["signed_by"], serde_json::json!([]));
    assert_eq!(
        json["unchecked_signatures"],
        serde_json::json!(["elections.example/marie", "elections.example/jean"])
    );
    dir.run(&["manifest", "verify", "hashes", "--vkey", &other])
        .fails(5, &["elections.example/other: no signature"]);
    dir.run(&["manifest", "verify", "hashes", "--vkey", "nonsense"]).fails(2, &["--vkey"]);
}

#[test]
fn an_unsigned_manifest_does_not_verify_with_a_key() {
    let dir = hashed();
    let marie = dir.official_key("marie");
    let unsigned = dir.run(&["manifest", "verify", "hashes"]);
    assert!(unsigned.succeeds().contains("signatures: none\n"), "{}", unsigned.stdout);
    dir.run(&["manifest", "verify", "hashes", "--vkey", &marie])
        .fails(5, &["the manifest is not signed"]);
}

#[test]
fn a_signature_is_of_one_manifest() {
    let dir = hashed();
    let marie = dir.official_key("marie");
    dir.run(&["manifest", "sign", "hashes", "--key", "marie"]).succeeds();
    dir.run(&["hashgen", &fixture("rolls/good.csv"), "--out", "other", "--law", "L2025-001"])
        .succeeds();
    dir.write("other/manifest.note", dir.read("hashes/manifest.note"));
    dir.run(&["manifest", "verify", "other", "--vkey", &marie])
        .fails(5, &["signs another manifest"]);
    dir.run(&["manifest", "sign", "other", "--key", "marie"]).fails(3, &["signs another manifest"]);
}

#[test]
fn every_changed_byte_of_a_shard_is_found_and_all_findings_are_listed() {
    let dir = hashed();
    let mut shard = dir.read("hashes/L2025-001.0001.json");
    shard[130] ^= 1;
    dir.write("hashes/L2025-001.0001.json", shard);
    std::fs::remove_file(dir.path("hashes/L2025-002.0001.json")).expect("there");
    dir.write("hashes/extra.json", "{}");
    let refused = dir.run(&["manifest", "verify", "hashes"]);
    let texts = [
        "L2025-001.0001.json has been changed",
        "cannot read L2025-002.0001.json",
        "extra.json is not in the manifest",
    ];
    refused.fails(5, &texts);
    let marie = dir.official_key("marie");
    assert!(!marie.is_empty());
    dir.run(&["manifest", "sign", "hashes", "--key", "marie"]).fails(5, &texts);
    assert!(!dir.exists("hashes/manifest.note"));
}

#[test]
fn a_wrong_count_is_found() {
    let dir = hashed();
    let text = String::from_utf8(dir.read("hashes/manifest.json")).expect("UTF-8");
    dir.write("hashes/manifest.json", text.replace("\"registered\": 3", "\"registered\": 4"));
    dir.run(&["manifest", "verify", "hashes"])
        .fails(5, &["states 4 keys for the law L2025-001, its files add up to 3"]);
    dir.write("hashes/manifest.json", text.replace("\"rows\": 4", "\"rows\": 5"));
    dir.run(&["manifest", "verify", "hashes"]).fails(5, &["states 5 rows"]);
    dir.write("hashes/manifest.json", text.replace("  \"date\"", "\t\"date\""));
    dir.run(&["manifest", "verify", "hashes"]).fails(5, &["not in canonical form"]);
}

#[test]
fn another_pepper_is_found() {
    let dir = TestDir::new();
    for name in ["p", "q"] {
        dir.run(&["pepper", "generate", "-o", name]).succeeds();
    }
    dir.run(&["hashgen", &fixture("rolls/good.csv"), "--out", "hashes", "--pepper-file", "p"])
        .succeeds();
    let verified = dir.run(&["manifest", "verify", "hashes", "--pepper-file", "p"]);
    assert!(verified.succeeds().contains("pepper: the one given is the right one\n"));
    dir.run(&["manifest", "verify", "hashes", "--pepper-file", "q"])
        .fails(5, &["made with the pepper"]);
}

#[test]
fn a_malformed_key_file_is_refused() {
    let dir = hashed();
    dir.write("key", "secret stuff");
    let refused = dir.run(&["manifest", "sign", "hashes", "--key", "key"]);
    refused.fails(3, &["key is not a signing key", "keygen"]);
    assert!(!refused.stderr.contains("secret stuff"));
}

#[test]
fn files_of_the_operating_system_are_named_apart() {
    let dir = hashed();
    let names = [".DS_Store", "._manifest.json", "Thumbs.db", "desktop.ini"];
    for name in names {
        dir.write(&format!("hashes/{name}"), "bytes");
    }
    let verified = dir.run(&["manifest", "verify", "hashes"]);
    verified.succeeds();
    for name in names {
        let said = format!("warning: {name} was created by the operating system; delete it\n");
        assert!(verified.stderr.contains(&said), "{}", verified.stderr);
    }
    dir.write("hashes/extra", "bytes");
    dir.run(&["manifest", "verify", "hashes"]).fails(5, &["extra is not in the manifest"]);
}
