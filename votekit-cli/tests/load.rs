//! `votekit load`.
#![cfg(feature = "node")]

mod support;

use rusqlite::Connection;
use support::node::Node;
use support::poll::{self, LAW};
use support::{TestDir, mode_of, names_in};

const LOAD: [&str; 4] = ["load", "hashes", "--data", "node"];
const PEPPER: [&str; 2] = ["--pepper-file", "referendum.pepper"];

fn load(dir: &TestDir) -> support::Outcome {
    dir.run(&[&LOAD[..], &PEPPER].concat())
}

/// Creates the election.
fn create(dir: &TestDir) {
    let titles = ["--title-fr", "Eau", "--title-en", "Water"];
    dir.run(&[&["election", "create", LAW][..], &titles, &["--data", "node"]].concat()).succeeds();
}

/// Asserts that no roll is kept, completely or in part, and that the correct roll can still be
/// loaded.
#[track_caller]
fn nothing_was_loaded(dir: &TestDir) {
    no_roll_is_there(dir);
    assert!(load(dir).succeeds().starts_with("L2025-001: 30 credentials kept"));
}

fn chmod(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("changed");
}

#[track_caller]
fn no_roll_is_there(dir: &TestDir) {
    assert!(!dir.exists("node/rolls") || names_in(&dir.path("node/rolls")).is_empty());
}

#[test]
fn a_roll_that_is_refused_leaves_no_new_folder_behind() {
    let (dir, _) = poll::hashed(30);
    dir.run(&["load", "nope", "--data", "node"]).fails(3, &["nope/manifest.json"]);
    dir.run(&LOAD).fails(3, &["none was given"]);
    assert!(!dir.exists("node"));
    // A folder with other content is left as it is, and does not become a data folder.
    std::fs::create_dir(dir.path("node")).expect("made");
    dir.write("node/notes", "yours");
    chmod(&dir.path("node"), 0o755);
    load(&dir).fails(4, &["node is not a data folder, and is not empty: it holds 'notes'"]);
    assert_eq!(
        (names_in(&dir.path("node")), mode_of(&dir.path("node"))),
        (vec!["notes".into()], 0o755)
    );
    let trial = dir.run(&[&["load", "hashes", "--data", "trial"][..], &PEPPER].concat());
    assert!(trial.succeeds().starts_with("L2025-001: 30 credentials kept"));
    assert!(
        trial.stderr.starts_with("warning: the logs of trial begin with votekit.example")
            && trial.stderr.contains("--log-base"),
        "{}",
        trial.stderr
    );
    let again = dir.run(&[&["load", "hashes", "--data", "trial"][..], &PEPPER].concat());
    assert_eq!((again.code, again.stderr.as_str()), (0, ""));
    // An empty folder gets its permissions back after a refused roll.
    std::fs::remove_file(dir.path("node/notes")).expect("removed");
    dir.run(&["load", "nope", "--data", "node"]).fails(3, &["nope/manifest.json"]);
    assert_eq!((names_in(&dir.path("node")).len(), mode_of(&dir.path("node"))), (0, 0o755));
    let named = [&LOAD[..], &PEPPER, &["--log-base", "elections.example"]].concat();
    let named = dir.run(&named);
    assert!(named.succeeds().starts_with("L2025-001: 30 credentials kept"));
    assert_eq!(named.stderr, "");
    assert!(
        String::from_utf8(dir.read("node/votekit.toml"))
            .expect("UTF-8")
            .contains("elections.example")
    );
    dir.run(&["load", "nope", "--data", "node"]).fails(3, &["nope/manifest.json"]);
    assert_eq!(
        names_in(&dir.path("node/rolls")).len(),
        1,
        "a data folder that was there is left alone"
    );
}

fn change(dir: &TestDir, name: &str, from: &str, to: &str) {
    let text = String::from_utf8(dir.read(name)).expect("UTF-8");
    assert!(text.contains(from), "{name} holds no {from}");
    dir.write(name, text.replacen(from, to, 1));
}

#[test]
fn a_roll_waits_for_its_election_and_is_loaded_once() {
    let (dir, _) = poll::hashed(30);
    let kept = load(&dir);
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
            "L2025-001: 30 credentials kept; they take effect when the election is created\n\
             unsigned: this node requires no signature\nmanifest: {manifest}\n"
        )
    );
    assert_eq!(names_in(&dir.path("node/rolls")), [manifest.as_str()]);
    create(&dir);
    let show = ["election", "show", LAW, "--data", "node", "--json"];
    let before = dir.run(&show).json();
    assert_eq!(before["registered"], 30);
    // The pepper is known from the first load.
    let again = dir.run(&LOAD);
    assert_eq!(
        again.succeeds(),
        format!(
            "L2025-001: loaded before, nothing changed (30 electors)\n\
             unsigned: this node requires no signature\nmanifest: {manifest}\n"
        )
    );
    assert_eq!(dir.run(&show).json(), before);
    let json = dir.run(&[&LOAD[..], &["--json"]].concat()).json();
    assert_eq!(
        json,
        serde_json::json!({ "manifest": manifest, "peppered": true, "laws": [
            { "law_id": LAW, "keys": 30, "outcome": "unchanged", "registered": 30 }] })
    );
}

#[test]
fn loading_again_never_unspends() {
    let (dir, electors) = poll::opened(5);
    let node = Node::serve(&dir);
    let cast = ["cast", "--node", &node.public, "--from", "votes.csv"];
    dir.write("votes.csv", poll::votes([(&electors[0], "oui")]));
    assert!(dir.run(&cast).succeeds().contains("\n2,accepted,,"));
    let admin = ["--node", &node.admin, "--data", "node"];
    assert!(
        dir.run(&[&["load", "hashes"][..], &admin].concat())
            .succeeds()
            .contains("nothing changed (5 electors)")
    );
    assert!(dir.run(&cast).succeeds().contains("\n2,duplicate,attempt 2,"));
}

#[test]
fn a_supplement_follows_its_roll() {
    let (dir, electors) = poll::hashed(30);
    poll::revoke(&dir, &electors[0]);
    let supplement = ["load", "supplement", "--data", "node", "--pepper-file", "referendum.pepper"];
    dir.run(&supplement)
        .fails(3, &["the supplement is made for manifest", "which has not been loaded"]);
    no_roll_is_there(&dir);
    load(&dir).succeeds();
    assert!(dir.run(&supplement).succeeds().starts_with(
        "L2025-001: kept, 0 added, 0 replaced, 1 revoked; it takes effect when the election is created\n"
    ));
    create(&dir);
    assert_eq!(
        dir.run(&["election", "show", LAW, "--data", "node", "--json"]).json()["registered"],
        29
    );
    assert!(
        dir.run(&supplement)
            .succeeds()
            .starts_with("L2025-001: loaded before, nothing changed (29 electors)\n")
    );
}

#[test]
fn a_supplement_reports_what_it_changed_and_what_was_refused() {
    let (dir, electors) = poll::opened(6);
    let node = Node::serve(&dir);
    dir.write("votes.csv", poll::votes([(&electors[0], "oui"), (&electors[1], "oui")]));
    dir.run(&["cast", "--node", &node.public, "--from", "votes.csv"]).succeeds();
    let row = |elector: &poll::Elector, code: &str| format!("{},{code},{LAW}\n", elector.nas);
    let lost = |electors: &[poll::Elector]| -> String {
        electors.iter().map(|elector| row(elector, &elector.code)).collect()
    };
    // Electors 0 and 1 have voted; 0 and 2 get another code.
    let new = row(&electors[0], "NEWC0000")
        + &row(&electors[2], "NEWC0002")
        + "000000042,NEWC0042,"
        + LAW;
    dir.write("add.csv", format!("nas,code,law_id\n{new}\n"));
    dir.write("revoke.csv", format!("nas,code,law_id\n{}", lost(&electors[..4])));
    dir.run(&[
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
    let admin = ["--node", &node.admin, "--data", "node"];
    let load = || dir.run(&[&["load", "supplement"][..], &admin].concat());
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
    let again = dir.run(&[&["load", "supplement", "--json"][..], &admin].concat());
    assert_eq!(
        again.json()["laws"][0],
        serde_json::json!({ "law_id": LAW, "keys": 3, "outcome": "unchanged", "registered": 6 })
    );
    assert_eq!(again.stderr, "");
    // The next supplement, with JSON output.
    dir.write("revoke-2.csv", format!("nas,code,law_id\n{}", lost(&electors[4..5])));
    dir.run(&[
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
    let second = dir.run(&[&["load", "supplement-2", "--json"][..], &admin].concat()).json();
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
    let (dir, electors) = poll::opened(3);
    let node = Node::serve(&dir);
    let admin = ["--node", &node.admin, "--data", "node"];
    let cast = |elector: &poll::Elector, code: &str| {
        let elector = poll::Elector { nas: elector.nas.clone(), code: code.to_owned() };
        dir.write("votes.csv", poll::votes([(&elector, "oui")]));
        dir.run(&["cast", "--node", &node.public, "--from", "votes.csv"]).stdout
    };
    assert!(cast(&electors[0], &electors[0].code).contains("accepted"));
    let rows = |codes: [&str; 2]| {
        let row = |index: usize| format!("{},{},{LAW}\n", electors[index].nas, codes[index]);
        format!("nas,code,law_id\n{}{}", row(0), row(1))
    };
    dir.write("lost.csv", rows([&electors[0].code, &electors[1].code]));
    dir.write("new.csv", rows(["NEWCODE0", "NEWCODE1"]));
    let hashgen = |more: &[&str]| {
        let fixed = ["hashgen", "--roll", "roll.csv", "--pepper-file", "referendum.pepper"];
        dir.run(&[&fixed[..], more].concat()).succeeds();
    };
    hashgen(&["--supplement-of", "hashes", "--revoke", "lost.csv", "--out", "s1"]);
    let first = dir.run(&[&["load", "s1"][..], &admin].concat());
    assert!(first.succeeds().contains("1 revoked, 1 refused"), "{}", first.stdout);
    let prior = ["--supplement-of", "s1", "--prior-revoke", "lost.csv"];
    hashgen(&[&prior[..], &["--add", "new.csv", "--out", "s2"]].concat());
    let second = dir.run(&[&["load", "s2"][..], &admin].concat());
    assert!(
        second.succeeds().contains("1 added, 0 replaced, 0 revoked, 1 refused"),
        "{}",
        second.stdout
    );
    assert!(cast(&electors[0], "NEWCODE0").contains("invalid"));
    assert!(cast(&electors[1], "NEWCODE1").contains("accepted"));
    node.stop();
    dir.run(&["election", "close", LAW, "--yes", "--data", "node"]).succeeds();
    dir.run(&["recount", "--data", "node"]).succeeds();
    dir.run(&["export", "bundle", "bundle", "--data", "node"]).succeeds();
    let trust = ["--policy", "bundle/policy"];
    let shards = ["--shards", "hashes", "--shards", "s1", "--shards", "s2"];
    dir.run(&[&["verify", "bundle", "bundle"][..], &trust, &shards].concat()).succeeds();
    let second_verifier =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/second_verifier/verify.py");
    let output = std::process::Command::new("python3")
        .arg(second_verifier)
        .args([&["bundle"][..], &trust, &shards].concat())
        .current_dir(dir.path("."))
        .output()
        .expect("python3");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("VERIFIED"), "{said}");
}

/// A log with a supplement of short codes in a binding poll would fail every verification.
#[test]
fn a_binding_poll_that_is_open_takes_no_supplement_with_short_codes() {
    let (dir, electors) = poll::drafted(3, &["--binding"]);
    dir.run(&["election", "open", LAW, "--yes", "--behind-tls-proxy", "--data", "node"]).succeeds();
    let supplement = |code: &str, folder: &str| {
        dir.write("add.csv", format!("nas,code,law_id\n000000042,{code},{LAW}\n"));
        let words = ["hashgen", "--supplement-of", "hashes", "--roll", "roll.csv"];
        let more = ["--add", "add.csv", "--out", folder, "--pepper-file", "referendum.pepper"];
        dir.run(&[&words[..], &more].concat()).succeeds();
        dir.run(&["load", folder, "--data", "node"])
    };
    let kept = names_in(&dir.path("node/rolls"));
    supplement("SHORT42", "short").fails(
        3,
        &["L2025-001 is binding: access codes must have at least 8 characters", "has 7", "hint: "],
    );
    assert_eq!(names_in(&dir.path("node/rolls")), kept, "nothing was kept");
    assert!(supplement("LONG-EN-OUGH", "long").succeeds().contains("1 added"));
    dir.run(&["export", "bundle", "bundle", "--data", "node"]).succeeds();
    let verified = ["verify", "bundle", "bundle", "--policy", "bundle/policy"];
    dir.run(&verified).succeeds();
    assert_eq!(electors.len(), 3);
}

#[test]
fn a_shard_with_one_byte_changed_is_refused() {
    let (dir, _) = poll::hashed(30);
    let whole = dir.read("hashes/L2025-001.0001.json");
    let mut damaged = whole.clone();
    let index = damaged.len() - 10;
    damaged[index] = if damaged[index] == b'0' { b'1' } else { b'0' };
    dir.write("hashes/L2025-001.0001.json", &damaged);
    load(&dir).fails(
        3,
        &["hashes/L2025-001.0001.json", "has been changed: its SHA-256 is", "the manifest states"],
    );
    dir.write("hashes/L2025-001.0001.json", &whole);
    nothing_was_loaded(&dir);
    // A damaged copy is refused even after the roll is loaded.
    dir.write("hashes/L2025-001.0001.json", &damaged);
    load(&dir).fails(3, &["has been changed"]);
}

#[test]
fn a_manifest_with_a_wrong_count_is_refused() {
    let (dir, _) = poll::hashed(30);
    let whole = dir.read("hashes/manifest.json");
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
        change(&dir, "hashes/manifest.json", from, to);
        load(&dir).fails(3, &["hashes/manifest.json", said]);
        dir.write("hashes/manifest.json", &whole);
    }
    // Row and shard agree with each other, but not with the file.
    change(&dir, "hashes/manifest.json", "\"registered\": 30", "\"registered\": 31");
    change(&dir, "hashes/manifest.json", "\"rows\": 30", "\"rows\": 31");
    change(&dir, "hashes/manifest.json", "\"count\": 30", "\"count\": 31");
    load(&dir).fails(3, &["L2025-001.0001.json"]);
    dir.write("hashes/manifest.json", &whole);
    nothing_was_loaded(&dir);
}

#[test]
fn files_that_are_not_there_are_named() {
    let (dir, _) = poll::hashed(30);
    dir.run(&["load", "elsewhere", "--data", "node"]).fails(3, &["elsewhere/manifest.json"]);
    std::fs::rename(dir.path("hashes/L2025-001.0001.json"), dir.path("aside")).expect("moved");
    load(&dir).fails(3, &["hashes/L2025-001.0001.json"]);
    std::fs::rename(dir.path("aside"), dir.path("hashes/L2025-001.0001.json")).expect("moved");
    nothing_was_loaded(&dir);
    dir.run(&["load", "hashes"]).fails(2, &["--data"]);
    dir.run(&["load", "hashes", "--node", "http://127.0.0.1:1"])
        .fails(2, &["administrator's token", "hint: "]);
}

#[test]
fn the_pepper_must_be_that_of_the_manifest() {
    let (dir, _) = poll::hashed(30);
    dir.run(&LOAD).fails(3, &["the manifest was made with the pepper", "none was given"]);
    dir.run(&["pepper", "generate", "-o", "other.pepper"]).succeeds();
    dir.run(&[&LOAD[..], &["--pepper-file", "other.pepper"]].concat())
        .fails(3, &["made with the pepper", "the one given is"]);
    dir.write("bad.pepper", "votekit-pepper/1 00\n");
    dir.run(&[&LOAD[..], &["--pepper-file", "bad.pepper"]].concat())
        .fails(3, &["bad.pepper", "not a pepper file"]);
    dir.run(&["hashgen", "roll.csv", "--out", "plain"]).succeeds();
    dir.run(&[&["load", "plain", "--data", "node"][..], &PEPPER].concat())
        .fails(3, &["made without a pepper; one was given"]);
    nothing_was_loaded(&dir);
}

#[test]
fn where_officials_are_named_a_roll_must_be_signed() {
    let (dir, _) = poll::hashed(30);
    let [marie, jean, _other] = ["marie", "jean", "other"].map(|name| dir.official_key(name));
    std::fs::create_dir(dir.path("node")).expect("made");
    dir.write("node/officials", format!("{marie}\n{jean}\n"));
    load(&dir).fails(3, &["manifest.note", "requires signed manifests"]);
    dir.run(&["manifest", "sign", "hashes", "--key", "other"]).succeeds();
    load(&dir).fails(3, &["manifest.note", "requires signed manifests"]);
    dir.run(&["manifest", "sign", "hashes", "--key", "jean"]).succeeds();
    let note = dir.read("hashes/manifest.note");
    // A signature of another manifest is not accepted.
    dir.run(&["hashgen", "roll.csv", "--out", "plain"]).succeeds();
    dir.write("plain/manifest.note", note);
    dir.run(&["load", "plain", "--data", "node"]).fails(3, &["it signs another manifest"]);
    no_roll_is_there(&dir);
    let loaded = load(&dir);
    assert!(
        loaded.succeeds().contains("\nsigned by elections.example/jean\n"),
        "{}",
        loaded.stdout
    );
    let elsewhere = dir.run(&[&["load", "hashes", "--data", "other-node"][..], &PEPPER].concat());
    assert!(
        elsewhere.succeeds().contains("\nsignatures not verified: this node requires none\n"),
        "{}",
        elsewhere.stdout
    );
    dir.write("node/officials", "nonsense\n");
    dir.run(&LOAD).fails(4, &["node/officials", "one verifier key per line"]);
}

#[test]
fn a_folder_in_use_is_reached_through_its_node() {
    let (dir, _) = poll::hashed(30);
    let node = Node::serve(&dir);
    load(&dir).fails(4, &["in use by another votekit process", "hint: ", "--node"]);
    let admin = ["--node", &node.admin, "--data", "node"];
    let loaded = dir.run(&[&["load", "hashes"][..], &PEPPER, &admin].concat());
    assert!(loaded.succeeds().starts_with("L2025-001: 30 credentials kept"));
    dir.run(&[&["load", "elsewhere"][..], &admin].concat()).fails(3, &["elsewhere/manifest.json"]);
}

#[test]
fn a_data_folder_of_a_newer_version_is_left_alone() {
    let (dir, _) = poll::loaded(30);
    let identity = dir.read("node/votekit.toml");
    dir.write("node/votekit.toml", "format = 99\nfuture = true\n");
    load(&dir).fails(
        4,
        &[
            "written by a newer votekit (format 99, this one knows 1)",
            "hint: use the version of votekit that wrote it",
        ],
    );
    assert_eq!(dir.read("node/votekit.toml"), b"format = 99\nfuture = true\n");
    dir.run(&["results", "--data", "node"]).fails(4, &["newer votekit"]);
    dir.write("node/votekit.toml", identity);
    let ledger = Connection::open(dir.path("node/ledger.sqlite")).expect("the ledger");
    let version: i32 =
        ledger.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
    ledger.pragma_update(None, "user_version", 99).expect("set");
    drop(ledger);
    load(&dir).fails(4, &["written by a newer version of votekit (schema 99"]);
    dir.run(&["results", "--data", "node"]).fails(4, &["newer version of votekit"]);
    let ledger = Connection::open(dir.path("node/ledger.sqlite")).expect("the ledger");
    ledger.pragma_update(None, "user_version", version).expect("set");
    drop(ledger);
    assert!(load(&dir).succeeds().starts_with("L2025-001: 30 credentials kept"));
}

#[test]
fn a_full_disk_leaves_no_roll_and_loading_again_works() {
    let (dir, _) = poll::hashed(30);
    dir.run(&[
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
    dir.run(&["hashgen", "big.csv", "--out", "big"]).succeeds();
    dir.run(&["election", "list", "--data", "node"]).fails(
        3,
        &[
            "the data folder node does not exist",
            "hint: check the path; `votekit load` creates a data folder",
        ],
    );
    load(&dir).succeeds();
    let kept = names_in(&dir.path("node/rolls"));
    // The ledger is below the limit of 128 KiB, the shard of 268 kB is not.
    let limited = dir.shell("trap '' XFSZ; ulimit -f 256; exec \"$VOTEKIT\" load big --data node");
    limited.fails(4, &["cannot use node/rolls/", "file too large", "hint: free space"]);
    assert_eq!(names_in(&dir.path("node/rolls")), kept);
    assert!(
        dir.run(&["load", "big", "--data", "node"])
            .succeeds()
            .starts_with("L2025-002: 4000 credentials kept")
    );
    assert!(load(&dir).succeeds().starts_with("L2025-001: 30 credentials kept"));
}
