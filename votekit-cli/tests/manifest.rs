//! `votekit manifest`.

mod support;

use support::{Desk, fixture, mode_of};

fn hashed() -> Desk {
    let desk = Desk::new();
    desk.run(&["hashgen", &fixture("rolls/good.csv"), "--out", "hashes"]).succeeds();
    desk
}

fn keygen(desk: &Desk, name: &str) -> String {
    let made = desk.run(&[
        "manifest",
        "keygen",
        "--name",
        &format!("elections.example/{name}"),
        "-o",
        name,
    ]);
    made.succeeds().trim().to_owned()
}

#[test]
fn officials_sign_one_after_the_other_and_anyone_verifies() {
    let desk = hashed();
    let (marie, jean, other) =
        (keygen(&desk, "marie"), keygen(&desk, "jean"), keygen(&desk, "other"));
    assert_eq!(mode_of(&desk.path("marie")), 0o600);
    desk.run(&["manifest", "sign", "hashes", "--key", "marie"]).succeeds();
    desk.run(&["manifest", "sign", "hashes", "--key", "jean", "--name", "elections.example/jean"])
        .succeeds();
    desk.run(&["manifest", "sign", "hashes", "--key", "jean"])
        .fails(3, &["already signed by elections.example/jean"]);
    desk.run(&["manifest", "sign", "hashes", "--key", "other", "--name", "x"])
        .fails(3, &["the key of elections.example/other"]);

    let verified = desk.run(&["manifest", "verify", "hashes", "--vkey", &marie, "--vkey", &jean]);
    assert!(
        verified.succeeds().contains("signed by elections.example/jean: checked\n"),
        "{}",
        verified.stdout
    );
    // A signature that was not checked is named as such.
    let verified = desk.run(&["manifest", "verify", "hashes", "--vkey", &marie]);
    let jean_unchecked =
        "signature of elections.example/jean: NOT checked (give the key with --vkey)\n";
    assert!(verified.succeeds().contains(jean_unchecked), "{}", verified.stdout);
    assert!(!verified.stdout.contains("signature of elections.example/marie"));
    let json = desk.run(&["manifest", "verify", "hashes", "--json"]).json();
    assert_eq!(json["signed_by"], serde_json::json!([]));
    assert_eq!(
        json["unchecked_signatures"],
        serde_json::json!(["elections.example/marie", "elections.example/jean"])
    );
    desk.run(&["manifest", "verify", "hashes", "--vkey", &other])
        .fails(5, &["elections.example/other: no signature"]);
    desk.run(&["manifest", "verify", "hashes", "--vkey", "nonsense"]).fails(2, &["--vkey"]);
}

#[test]
fn an_unsigned_manifest_does_not_verify_with_a_key() {
    let desk = hashed();
    let marie = keygen(&desk, "marie");
    let unsigned = desk.run(&["manifest", "verify", "hashes"]);
    assert!(unsigned.succeeds().contains("signatures: none\n"), "{}", unsigned.stdout);
    desk.run(&["manifest", "verify", "hashes", "--vkey", &marie])
        .fails(5, &["the manifest is not signed"]);
}

#[test]
fn a_signature_is_of_one_manifest() {
    let desk = hashed();
    let marie = keygen(&desk, "marie");
    desk.run(&["manifest", "sign", "hashes", "--key", "marie"]).succeeds();
    desk.run(&["hashgen", &fixture("rolls/good.csv"), "--out", "other", "--law", "L2025-001"])
        .succeeds();
    desk.write("other/manifest.note", desk.read("hashes/manifest.note"));
    desk.run(&["manifest", "verify", "other", "--vkey", &marie])
        .fails(5, &["signs another manifest"]);
    desk.run(&["manifest", "sign", "other", "--key", "marie"])
        .fails(3, &["signs another manifest"]);
}

#[test]
fn every_changed_byte_of_a_shard_is_found_and_all_findings_are_listed() {
    let desk = hashed();
    let mut shard = desk.read("hashes/L2025-001.0001.json");
    shard[130] ^= 1;
    desk.write("hashes/L2025-001.0001.json", shard);
    std::fs::remove_file(desk.path("hashes/L2025-002.0001.json")).expect("there");
    desk.write("hashes/extra.json", "{}");
    let refused = desk.run(&["manifest", "verify", "hashes"]);
    let texts = [
        "L2025-001.0001.json has been changed",
        "cannot read L2025-002.0001.json",
        "extra.json is not in the manifest",
    ];
    refused.fails(5, &texts);
    let marie = keygen(&desk, "marie");
    assert!(!marie.is_empty());
    desk.run(&["manifest", "sign", "hashes", "--key", "marie"]).fails(5, &texts);
    assert!(!desk.exists("hashes/manifest.note"));
}

#[test]
fn a_wrong_count_is_found() {
    let desk = hashed();
    let text = String::from_utf8(desk.read("hashes/manifest.json")).expect("UTF-8");
    desk.write("hashes/manifest.json", text.replace("\"registered\": 3", "\"registered\": 4"));
    desk.run(&["manifest", "verify", "hashes"])
        .fails(5, &["states 4 keys for the law L2025-001, its files add up to 3"]);
    desk.write("hashes/manifest.json", text.replace("\"rows\": 4", "\"rows\": 5"));
    desk.run(&["manifest", "verify", "hashes"]).fails(5, &["states 5 rows"]);
    desk.write("hashes/manifest.json", text.replace("  \"date\"", "\t\"date\""));
    desk.run(&["manifest", "verify", "hashes"]).fails(5, &["not in canonical form"]);
}

#[test]
fn another_pepper_is_found() {
    let desk = Desk::new();
    for name in ["p", "q"] {
        desk.run(&["pepper", "generate", "-o", name]).succeeds();
    }
    desk.run(&["hashgen", &fixture("rolls/good.csv"), "--out", "hashes", "--pepper-file", "p"])
        .succeeds();
    let verified = desk.run(&["manifest", "verify", "hashes", "--pepper-file", "p"]);
    assert!(verified.succeeds().contains("pepper: the one given is the right one\n"));
    desk.run(&["manifest", "verify", "hashes", "--pepper-file", "q"])
        .fails(5, &["made with the pepper"]);
}

#[test]
fn a_malformed_key_file_is_refused() {
    let desk = hashed();
    desk.write("key", "secret stuff");
    let refused = desk.run(&["manifest", "sign", "hashes", "--key", "key"]);
    refused.fails(3, &["key is not a signing key", "keygen"]);
    assert!(!refused.stderr.contains("secret stuff"));
}

#[test]
fn files_of_the_operating_system_are_named_apart() {
    let desk = hashed();
    let names = [".DS_Store", "._manifest.json", "Thumbs.db", "desktop.ini"];
    for name in names {
        desk.write(&format!("hashes/{name}"), "bytes");
    }
    let verified = desk.run(&["manifest", "verify", "hashes"]);
    verified.succeeds();
    for name in names {
        let said = format!("warning: {name} was created by the operating system; delete it\n");
        assert!(verified.stderr.contains(&said), "{}", verified.stderr);
    }
    desk.write("hashes/extra", "bytes");
    desk.run(&["manifest", "verify", "hashes"]).fails(5, &["extra is not in the manifest"]);
}
