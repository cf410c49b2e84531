//! `votekit load`.
#![cfg(feature = "node")]

mod support;

use rusqlite::Connection;
use support::node::Node;
use support::poll::{self, LAW};
use support::{Desk, mode_of, names_in};

const LOAD: [&str; 4] = ["load", "hashes", "--data", "node"];
const PEPPER: [&str; 2] = ["--pepper-file", "referendum.pepper"];

fn load(desk: &Desk) -> support::Outcome {
    desk.run(&[&LOAD[..], &PEPPER].concat())
}

/// Asserts that no roll is kept, completely or in part, and that the right one can still be loaded.
#[track_caller]
fn nothing_was_loaded(desk: &Desk) {
    no_roll_is_there(desk);
    assert!(load(desk).succeeds().starts_with("L2025-001: 30 credentials kept"));
}

fn chmod(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("changed");
}

#[track_caller]
fn no_roll_is_there(desk: &Desk) {
    assert!(!desk.exists("node/rolls") || names_in(&desk.path("node/rolls")).is_empty());
}

#[test]
fn a_roll_that_is_refused_leaves_no_new_folder_behind() {
    let (desk, _) = poll::hashed(30);
    desk.run(&["load", "nope", "--data", "node"]).fails(3, &["nope/manifest.json"]);
    desk.run(&LOAD).fails(3, &["none was given"]);
    assert!(!desk.exists("node"));
    // A folder with other content is left as it is, and does not become a data folder.
    std::fs::create_dir(desk.path("node")).expect("made");
    desk.write("node/notes", "yours");
    chmod(&desk.path("node"), 0o755);
    load(&desk).fails(4, &["node is not a data folder, and is not empty: it holds 'notes'"]);
    assert_eq!(
        (names_in(&desk.path("node")), mode_of(&desk.path("node"))),
        (vec!["notes".into()], 0o755)
    );
    // An empty folder gets its permissions back after a refused roll.
    std::fs::remove_file(desk.path("node/notes")).expect("removed");
    desk.run(&["load", "nope", "--data", "node"]).fails(3, &["nope/manifest.json"]);
    assert_eq!((names_in(&desk.path("node")).len(), mode_of(&desk.path("node"))), (0, 0o755));
    let named = [&LOAD[..], &PEPPER, &["--base", "elections.example"]].concat();
    assert!(desk.run(&named).succeeds().starts_with("L2025-001: 30 credentials kept"));
    assert!(
        String::from_utf8(desk.read("node/votekit.toml"))
            .expect("UTF-8")
            .contains("elections.example")
    );
    desk.run(&["load", "nope", "--data", "node"]).fails(3, &["nope/manifest.json"]);
    assert_eq!(
        names_in(&desk.path("node/rolls")).len(),
        1,
        "a data folder that was there is left alone"
    );
}

fn change(desk: &Desk, name: &str, from: &str, to: &str) {
    let text = String::from_utf8(desk.read(name)).expect("UTF-8");
    assert!(text.contains(from), "{name} holds no {from}");
    desk.write(name, text.replacen(from, to, 1));
}

#[test]
fn a_roll_waits_for_its_election_and_is_loaded_once() {
    let (desk, _) = poll::hashed(30);
    let kept = load(&desk);
    let manifest = kept
        .succeeds()
        .lines()
        .last()
        .and_then(|line| line.strip_prefix("manifest: "))
        .expect("a digest")
        .to_owned();
    assert_eq!(
        kept.stdout,
        format!(
            "L2025-001: 30 credentials kept; they take effect when the election is created\nmanifest: {manifest}\n"
        )
    );
    assert_eq!(names_in(&desk.path("node/rolls")), [manifest.as_str()]);
    desk.run(&[
        "election",
        "create",
        LAW,
        "--title-fr",
        "Eau",
        "--title-en",
        "Water",
        "--data",
        "node",
    ])
    .succeeds();
    let show = ["election", "show", LAW, "--data", "node", "--json"];
    let before = desk.run(&show).json();
    assert_eq!(before["registered"], 30);
    // The pepper is known from the first load.
    let again = desk.run(&LOAD);
    assert_eq!(
        again.succeeds(),
        format!("L2025-001: loaded before, nothing changed (30 electors)\nmanifest: {manifest}\n")
    );
    assert_eq!(desk.run(&show).json(), before);
    let json = desk.run(&[&LOAD[..], &["--json"]].concat()).json();
    assert_eq!(
        json,
        serde_json::json!({ "manifest": manifest, "peppered": true, "laws": [
            { "law_id": LAW, "keys": 30, "outcome": "unchanged", "registered": 30 }] })
    );
}

#[test]
fn loading_again_never_unspends() {
    let (desk, electors) = poll::opened(5);
    let node = Node::serve(&desk);
    let cast = ["cast", "--node", &node.public, "--from", "votes.csv"];
    desk.write("votes.csv", poll::votes([(&electors[0], "oui")]));
    assert!(desk.run(&cast).succeeds().contains("\n2,accepted,,"));
    let office = ["--node", &node.admin, "--data", "node"];
    assert!(
        desk.run(&[&["load", "hashes"][..], &office].concat())
            .succeeds()
            .contains("nothing changed (5 electors)")
    );
    assert!(desk.run(&cast).succeeds().contains("\n2,duplicate,attempt 2,"));
}

#[test]
fn a_supplement_follows_its_roll() {
    let (desk, electors) = poll::hashed(30);
    poll::revoke(&desk, &electors[0]);
    let supplement = ["load", "supplement", "--data", "node", "--pepper-file", "referendum.pepper"];
    desk.run(&supplement)
        .fails(3, &["the supplement is made for manifest", "which has not been loaded"]);
    no_roll_is_there(&desk);
    load(&desk).succeeds();
    assert!(desk.run(&supplement).succeeds().starts_with(
        "L2025-001: kept, 0 added, 0 replaced, 1 revoked; it takes effect when the election is created\n"
    ));
    desk.run(&[
        "election",
        "create",
        LAW,
        "--title-fr",
        "Eau",
        "--title-en",
        "Water",
        "--data",
        "node",
    ])
    .succeeds();
    assert_eq!(
        desk.run(&["election", "show", LAW, "--data", "node", "--json"]).json()["registered"],
        29
    );
    assert!(
        desk.run(&supplement)
            .succeeds()
            .starts_with("L2025-001: loaded before, nothing changed (29 electors)\n")
    );
}

#[test]
fn a_supplement_reports_what_it_changed_and_what_was_refused() {
    let (desk, electors) = poll::opened(6);
    let node = Node::serve(&desk);
    desk.write("votes.csv", poll::votes([(&electors[0], "oui"), (&electors[1], "oui")]));
    desk.run(&["cast", "--node", &node.public, "--from", "votes.csv"]).succeeds();
    let row = |elector: &poll::Elector, code: &str| format!("{},{code},{LAW}\n", elector.nas);
    let lost = |electors: &[poll::Elector]| -> String {
        electors.iter().map(|elector| row(elector, &elector.code)).collect()
    };
    // Electors 0 and 1 have voted; 0 and 2 get another code.
    let new = row(&electors[0], "NEWC0000")
        + &row(&electors[2], "NEWC0002")
        + "000000042,NEWC0042,"
        + LAW;
    desk.write("add.csv", format!("nas,code,law_id\n{new}\n"));
    desk.write("revoke.csv", format!("nas,code,law_id\n{}", lost(&electors[..4])));
    desk.run(&[
        "hashgen",
        "--supplement-of",
        "hashes",
        "--roll",
        "roll.csv",
        "--add",
        "add.csv",
        "--revoke",
        "revoke.csv",
        "--out",
        "supplement",
        "--pepper-file",
        "referendum.pepper",
    ])
    .succeeds();
    let office = ["--node", &node.admin, "--data", "node"];
    let load = || desk.run(&[&["load", "supplement"][..], &office].concat());
    let loaded = load();
    assert!(loaded.succeeds().starts_with(
        "L2025-001: loaded, 1 added, 1 replaced, 1 revoked, 2 refused; 6 electors registered\n"
    ));
    assert_eq!(
        loaded.stderr,
        "warning: L2025-001: 2 revocations were refused: the code has been used, its vote counts, \
         and a replacement was not added\n"
    );
    // A second load changes nothing, and refuses nothing anew.
    let again = desk.run(&[&["load", "supplement", "--json"][..], &office].concat());
    assert_eq!(
        again.json()["laws"][0],
        serde_json::json!({ "law_id": LAW, "keys": 3, "outcome": "unchanged", "registered": 6 })
    );
    assert_eq!(again.stderr, "");
    // The next supplement, with JSON output.
    desk.write("revoke-2.csv", format!("nas,code,law_id\n{}", lost(&electors[4..5])));
    desk.run(&[
        "hashgen",
        "--supplement-of",
        "supplement",
        "--roll",
        "roll.csv",
        "--prior-add",
        "add.csv",
        "--prior-revoke",
        "revoke.csv",
        "--revoke",
        "revoke-2.csv",
        "--out",
        "supplement-2",
        "--pepper-file",
        "referendum.pepper",
    ])
    .succeeds();
    let second = desk.run(&[&["load", "supplement-2", "--json"][..], &office].concat()).json();
    assert_eq!(
        second["laws"][0],
        serde_json::json!({
            "law_id": LAW, "keys": 0, "outcome": "loaded", "registered": 5,
            "added": 0, "replaced": 0, "revoked": 1, "refused": 0, "unknown": 0,
        })
    );
}

/// The node refused to revoke a used code. A later supplement that gives its elector another code
/// adds nothing; an elector whose code was in fact revoked gets the new one.
#[test]
fn a_new_code_after_a_refused_revocation_gives_no_second_vote() {
    let (desk, electors) = poll::opened(3);
    let node = Node::serve(&desk);
    let office = ["--node", &node.admin, "--data", "node"];
    let cast = |elector: &poll::Elector, code: &str| {
        let elector = poll::Elector { nas: elector.nas.clone(), code: code.to_owned() };
        desk.write("votes.csv", poll::votes([(&elector, "oui")]));
        desk.run(&["cast", "--node", &node.public, "--from", "votes.csv"]).stdout
    };
    assert!(cast(&electors[0], &electors[0].code).contains("accepted"));
    let rows = |codes: [&str; 2]| {
        let row = |place: usize| format!("{},{},{LAW}\n", electors[place].nas, codes[place]);
        format!("nas,code,law_id\n{}{}", row(0), row(1))
    };
    desk.write("lost.csv", rows([&electors[0].code, &electors[1].code]));
    desk.write("new.csv", rows(["NEWCODE0", "NEWCODE1"]));
    let hashgen = |more: &[&str]| {
        let fixed = ["hashgen", "--roll", "roll.csv", "--pepper-file", "referendum.pepper"];
        desk.run(&[&fixed[..], more].concat()).succeeds();
    };
    hashgen(&["--supplement-of", "hashes", "--revoke", "lost.csv", "--out", "s1"]);
    let first = desk.run(&[&["load", "s1"][..], &office].concat());
    assert!(first.succeeds().contains("1 revoked, 1 refused"), "{}", first.stdout);
    let prior = ["--supplement-of", "s1", "--prior-revoke", "lost.csv"];
    hashgen(&[&prior[..], &["--add", "new.csv", "--out", "s2"]].concat());
    let second = desk.run(&[&["load", "s2"][..], &office].concat());
    assert!(
        second.succeeds().contains("1 added, 0 replaced, 0 revoked, 1 refused"),
        "{}",
        second.stdout
    );
    assert!(cast(&electors[0], "NEWCODE0").contains("invalid"));
    assert!(cast(&electors[1], "NEWCODE1").contains("accepted"));
    node.stop();
    desk.run(&["election", "close", LAW, "--yes", "--data", "node"]).succeeds();
    desk.run(&["recount", "--data", "node"]).succeeds();
    desk.run(&["export", "bundle", "bundle", "--data", "node"]).succeeds();
    let trust = ["--policy", "bundle/policy"];
    let shards = ["--shards", "hashes", "--shards", "s1", "--shards", "s2"];
    desk.run(&[&["verify", "bundle", "bundle"][..], &trust, &shards].concat()).succeeds();
    let second_verifier =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/second_verifier/verify.py");
    let output = std::process::Command::new("python3")
        .arg(second_verifier)
        .args([&["bundle"][..], &trust, &shards].concat())
        .current_dir(desk.path("."))
        .output()
        .expect("python3");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("VERIFIED"), "{said}");
}

/// A log with a supplement of short codes in a binding poll would fail every verification.
#[test]
fn a_binding_poll_that_is_open_takes_no_supplement_with_short_codes() {
    let (desk, electors) = poll::drafted(3, &["--binding"]);
    desk.run(&["election", "open", LAW, "--yes", "--behind-tls-proxy", "--data", "node"])
        .succeeds();
    let supplement = |code: &str, folder: &str| {
        desk.write("add.csv", format!("nas,code,law_id\n000000042,{code},{LAW}\n"));
        let words = ["hashgen", "--supplement-of", "hashes", "--roll", "roll.csv"];
        let more = ["--add", "add.csv", "--out", folder, "--pepper-file", "referendum.pepper"];
        desk.run(&[&words[..], &more].concat()).succeeds();
        desk.run(&["load", folder, "--data", "node"])
    };
    let kept = names_in(&desk.path("node/rolls"));
    supplement("SHORT42", "short").fails(
        3,
        &["L2025-001 is binding: access codes must have at least 8 characters", "has 7", "hint: "],
    );
    assert_eq!(names_in(&desk.path("node/rolls")), kept, "nothing was kept");
    assert!(supplement("LONG-EN-OUGH", "long").succeeds().contains("1 added"));
    desk.run(&["export", "bundle", "bundle", "--data", "node"]).succeeds();
    let verified = ["verify", "bundle", "bundle", "--policy", "bundle/policy"];
    desk.run(&verified).succeeds();
    assert_eq!(electors.len(), 3);
}

#[test]
fn a_shard_with_one_byte_changed_is_refused() {
    let (desk, _) = poll::hashed(30);
    let whole = desk.read("hashes/L2025-001.0001.json");
    let mut damaged = whole.clone();
    let place = damaged.len() - 10;
    damaged[place] = if damaged[place] == b'0' { b'1' } else { b'0' };
    desk.write("hashes/L2025-001.0001.json", &damaged);
    load(&desk).fails(
        3,
        &["hashes/L2025-001.0001.json", "has been changed: its SHA-256 is", "the manifest states"],
    );
    desk.write("hashes/L2025-001.0001.json", &whole);
    nothing_was_loaded(&desk);
    // A damaged copy is refused even after the roll is loaded.
    desk.write("hashes/L2025-001.0001.json", &damaged);
    load(&desk).fails(3, &["has been changed"]);
}

#[test]
fn a_manifest_with_a_wrong_count_is_refused() {
    let (desk, _) = poll::hashed(30);
    let whole = desk.read("hashes/manifest.json");
    for (from, to, said) in [
        (
            "\"registered\": 30",
            "\"registered\": 31",
            "the manifest states 31 keys for the law L2025-001, its files add up to 30",
        ),
        (
            "\"rows\": 30",
            "\"rows\": 29",
            "the manifest states 29 rows of the roll, its parts add up to 30",
        ),
        ("  \"date\"", "\"date\"", "not in canonical form"),
        ("\"votekit-manifest/1\"", "\"votekit-manifest/9\"", "manifest.json"),
    ] {
        change(&desk, "hashes/manifest.json", from, to);
        load(&desk).fails(3, &["hashes/manifest.json", said]);
        desk.write("hashes/manifest.json", &whole);
    }
    // Row and shard agree with each other, but not with the file.
    change(&desk, "hashes/manifest.json", "\"registered\": 30", "\"registered\": 31");
    change(&desk, "hashes/manifest.json", "\"rows\": 30", "\"rows\": 31");
    change(&desk, "hashes/manifest.json", "\"count\": 30", "\"count\": 31");
    load(&desk).fails(3, &["L2025-001.0001.json"]);
    desk.write("hashes/manifest.json", &whole);
    nothing_was_loaded(&desk);
}

#[test]
fn files_that_are_not_there_are_named() {
    let (desk, _) = poll::hashed(30);
    desk.run(&["load", "elsewhere", "--data", "node"]).fails(3, &["elsewhere/manifest.json"]);
    std::fs::rename(desk.path("hashes/L2025-001.0001.json"), desk.path("aside")).expect("moved");
    load(&desk).fails(3, &["hashes/L2025-001.0001.json"]);
    std::fs::rename(desk.path("aside"), desk.path("hashes/L2025-001.0001.json")).expect("moved");
    nothing_was_loaded(&desk);
    desk.run(&["load", "hashes"]).fails(2, &["--data"]);
    desk.run(&["load", "hashes", "--node", "http://127.0.0.1:1"])
        .fails(2, &["administrator's token", "hint: "]);
}

#[test]
fn the_pepper_must_be_that_of_the_manifest() {
    let (desk, _) = poll::hashed(30);
    desk.run(&LOAD).fails(3, &["the manifest was made with the pepper", "none was given"]);
    desk.run(&["pepper", "generate", "-o", "other.pepper"]).succeeds();
    desk.run(&[&LOAD[..], &["--pepper-file", "other.pepper"]].concat())
        .fails(3, &["made with the pepper", "the one given is"]);
    desk.write("bad.pepper", "votekit-pepper/1 00\n");
    desk.run(&[&LOAD[..], &["--pepper-file", "bad.pepper"]].concat())
        .fails(3, &["bad.pepper", "not a pepper file"]);
    desk.run(&["hashgen", "roll.csv", "--out", "plain"]).succeeds();
    desk.run(&[&["load", "plain", "--data", "node"][..], &PEPPER].concat())
        .fails(3, &["made without a pepper; one was given"]);
    nothing_was_loaded(&desk);
}

#[test]
fn where_officials_are_named_a_roll_must_be_signed() {
    let (desk, _) = poll::hashed(30);
    let vkey = |name: &str| {
        let made = desk.run(&[
            "manifest",
            "keygen",
            "--name",
            &format!("elections.example/{name}"),
            "-o",
            name,
        ]);
        made.succeeds().trim().to_owned()
    };
    let (marie, jean, _other) = (vkey("marie"), vkey("jean"), vkey("other"));
    std::fs::create_dir(desk.path("node")).expect("made");
    desk.write("node/officials", format!("{marie}\n{jean}\n"));
    load(&desk).fails(3, &["manifest.note", "requires signed manifests"]);
    desk.run(&["manifest", "sign", "hashes", "--key", "other"]).succeeds();
    load(&desk).fails(3, &["manifest.note", "requires signed manifests"]);
    desk.run(&["manifest", "sign", "hashes", "--key", "jean"]).succeeds();
    let note = desk.read("hashes/manifest.note");
    // A signature of another manifest is not accepted.
    desk.run(&["hashgen", "roll.csv", "--out", "plain"]).succeeds();
    desk.write("plain/manifest.note", note);
    desk.run(&["load", "plain", "--data", "node"]).fails(3, &["it signs another manifest"]);
    nothing_was_loaded(&desk);
    desk.write("node/officials", "nonsense\n");
    desk.run(&LOAD).fails(4, &["node/officials", "one verifier key a line"]);
}

#[test]
fn a_folder_in_use_is_reached_through_its_node() {
    let (desk, _) = poll::hashed(30);
    let node = Node::serve(&desk);
    load(&desk).fails(4, &["in use by another votekit process", "hint: ", "--node"]);
    let office = ["--node", &node.admin, "--data", "node"];
    let loaded = desk.run(&[&["load", "hashes"][..], &PEPPER, &office].concat());
    assert!(loaded.succeeds().starts_with("L2025-001: 30 credentials kept"));
    desk.run(&[&["load", "elsewhere"][..], &office].concat())
        .fails(3, &["elsewhere/manifest.json"]);
}

#[test]
fn a_data_folder_of_a_newer_version_is_left_alone() {
    let (desk, _) = poll::loaded(30);
    let identity = desk.read("node/votekit.toml");
    desk.write("node/votekit.toml", "format = 99\nfuture = true\n");
    load(&desk).fails(
        4,
        &[
            "written by a newer votekit (format 99, this one knows 1)",
            "hint: use the version of votekit that wrote it",
        ],
    );
    assert_eq!(desk.read("node/votekit.toml"), b"format = 99\nfuture = true\n");
    desk.run(&["results", "--data", "node"]).fails(4, &["newer votekit"]);
    desk.write("node/votekit.toml", identity);
    let ledger = Connection::open(desk.path("node/ledger.sqlite")).expect("the ledger");
    let version: i32 =
        ledger.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
    ledger.pragma_update(None, "user_version", 99).expect("set");
    drop(ledger);
    load(&desk).fails(4, &["written by a newer version of votekit (schema 99"]);
    desk.run(&["results", "--data", "node"]).fails(4, &["newer version of votekit"]);
    let ledger = Connection::open(desk.path("node/ledger.sqlite")).expect("the ledger");
    ledger.pragma_update(None, "user_version", version).expect("set");
    drop(ledger);
    assert!(load(&desk).succeeds().starts_with("L2025-001: 30 credentials kept"));
}

#[test]
fn a_full_disk_leaves_no_roll_and_loading_again_works() {
    let (desk, _) = poll::hashed(30);
    desk.run(&[
        "roll",
        "sample",
        "--electors",
        "4000",
        "--law",
        "L2025-002",
        "--seed",
        "7",
        "-o",
        "big.csv",
    ])
    .succeeds();
    desk.run(&["hashgen", "big.csv", "--out", "big"]).succeeds();
    desk.run(&["election", "list", "--data", "node"]).fails(
        3,
        &[
            "the data folder node does not exist",
            "hint: check the path; `votekit load` creates a data folder",
        ],
    );
    load(&desk).succeeds();
    let kept = names_in(&desk.path("node/rolls"));
    // The ledger is below the limit of 128 KiB, the shard of 268 kB is not.
    let limited = desk.shell("trap '' XFSZ; ulimit -f 256; exec \"$VOTEKIT\" load big --data node");
    limited.fails(4, &["cannot use node/rolls/", "file too large", "hint: free space"]);
    assert_eq!(names_in(&desk.path("node/rolls")), kept);
    assert!(
        desk.run(&["load", "big", "--data", "node"])
            .succeeds()
            .starts_with("L2025-002: 4000 credentials kept")
    );
    assert!(load(&desk).succeeds().starts_with("L2025-001: 30 credentials kept"));
}
