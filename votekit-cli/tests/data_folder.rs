//! Folders that are not data folders, rolls that do not fit together, and commands that only read.
#![cfg(feature = "node")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use support::node::Node;
use support::poll::{self, LAW};
use support::{TestDir, names_in};

const DATA: [&str; 2] = ["--data", "node"];

/// Returns everything in a folder, with permissions and times; files with their bytes.
fn tree(folder: &Path) -> BTreeMap<String, (u32, i64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let seen = fs::metadata(&next).expect("a folder");
        let name = next.display().to_string();
        found.insert(name, (seen.mode(), seen.mtime_nsec(), Vec::new()));
        for entry in fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            // SQLite's shared memory, in which readers record the state they read: not data, and
            // recreated whenever the database is opened first.
            } else if !["ledger", "accounts"]
                .iter()
                .any(|name| path.ends_with(format!("{name}.sqlite-shm")))
            {
                let seen = fs::metadata(&path).expect("a file");
                let bytes = fs::read(&path).expect("a file");
                found.insert(path.display().to_string(), (seen.mode(), seen.mtime_nsec(), bytes));
            }
        }
    }
    found
}

/// Every verb that takes `--data` and does not create a folder.
fn verbs() -> Vec<Vec<&'static str>> {
    let digest = "0000000000000000000000000000000000000000000000000000000000000000";
    let titles = ["--title-fr", "F", "--title-en", "E"];
    let mut verbs = vec![
        [&["election", "create", LAW][..], &titles].concat(),
        vec!["roll", "list"],
        vec!["roll", "discard", digest],
        vec!["election", "list"],
        vec!["election", "show", LAW],
        vec!["node", "list", LAW],
        vec!["node", "keys"],
        vec!["node", "show", "--name", "ingest-1"],
        vec!["authority", "show"],
        vec!["authority", "renew"],
        vec!["ledger", "discard-above", LAW, "--keep", "kept"],
        vec!["node", "admit", LAW, "ingest-1"],
        vec!["node", "retire", LAW, "ingest-1"],
        vec!["witness", "request"],
        vec!["serve"],
        vec!["results"],
        vec!["recount"],
        vec!["export", "results", "--format", "json"],
        vec!["export", "bundle", "bundle"],
        vec!["batch", "show", "3f1c9a0b7e55d2c4/1/7"],
        vec!["review", "list"],
        vec!["review", "show", "00000000000000000000000000000000"],
        vec!["review", "annotate", "00000000000000000000000000000000", "--by", "B", "--text", "T"],
        vec!["review", "export", "--format", "csv"],
        vec!["user", "list"],
        vec!["user", "add", "a@example.org", "--role", "auditor"],
        vec!["user", "disable", "a@example.org"],
        vec!["user", "enable", "a@example.org"],
        vec!["user", "reset", "a@example.org"],
    ];
    if cfg!(feature = "services") {
        verbs.push(vec!["registry", "check", "--registry", "redis://127.0.0.1:1"]);
        verbs.push(vec!["registry", "rebuild", "--registry", "redis://127.0.0.1:1"]);
    }
    for step in ["open", "close", "certify", "purge"] {
        verbs.push(vec!["election", step, LAW, "--yes"]);
    }
    verbs
}

#[test]
fn no_verb_makes_a_data_folder_of_a_folder_with_something_else() {
    let dir = TestDir::new();
    fs::create_dir(dir.path("node")).expect("made");
    dir.write("node/photo.jpg", "hello");
    fs::set_permissions(dir.path("node"), fs::Permissions::from_mode(0o755)).expect("changed");
    let before = tree(&dir.path("node"));
    for verb in verbs() {
        let outcome = dir.run(&[&verb[..], &DATA].concat());
        assert!(matches!(outcome.code, 3 | 4), "{verb:?}: {} {}", outcome.code, outcome.stderr);
        assert!(outcome.stderr.contains("data folder"), "{verb:?}: {}", outcome.stderr);
        assert_eq!(tree(&dir.path("node")), before, "{verb:?}");
    }
    // Verbs that create a data folder do so only in a new or empty folder.
    let keygen = &["authority", "keygen", "--name", "a"][..];
    for verb in [&["load", "hashes"][..], &["serve", "--init"], keygen] {
        let outcome = dir.run(&[verb, &DATA].concat());
        outcome.fails(
            4,
            &["is not empty: it holds 'photo.jpg'", "hint: choose a new or empty folder"],
        );
        assert_eq!(tree(&dir.path("node")), before, "{verb:?}");
    }
}

#[test]
fn commands_that_read_write_nothing() {
    let (dir, electors) = poll::opened(4);
    let node = Node::serve(&dir);
    dir.write("votes.csv", poll::votes([(&electors[0], "oui"), (&electors[1], "non")]));
    dir.run(&["cast", "--node", &node.public, "--from", "votes.csv"]).succeeds();
    let running = ["--node", &node.admin, "--data", "node"];
    let shown = dir.run(&[&["election", "show", LAW, "--json"][..], &running].concat()).json();
    node.stop();
    let before = tree(&dir.path("node"));
    let read = |verb: &[&str]| {
        let outcome = dir.run(&[verb, &DATA, &["--json"]].concat());
        let json = outcome.json();
        let after = tree(&dir.path("node"));
        let names = |tree: &BTreeMap<String, _>| tree.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&after), names(&before), "{verb:?}");
        for (name, was) in &before {
            // Without printing the bytes: a ledger is unreadable.
            assert!(after[name] == *was, "{verb:?} changed {name}");
        }
        json
    };
    // The log alone shows the same as the running node, except that an orderly stop adds the last
    // batch.
    let mut alone = read(&["election", "show", LAW]);
    assert!(alone["log_size"].as_u64() >= shown["log_size"].as_u64());
    alone["log_size"] = shown["log_size"].clone();
    assert_eq!(alone, shown);
    let list = read(&["election", "list"]);
    assert_eq!((list[0]["accepted"].as_u64(), list[0]["state"].as_str()), (Some(2), Some("open")));
    let rolls = read(&["roll", "list"]);
    assert_eq!(rolls[0]["laws"][0]["in_use"], true);
    let nodes = read(&["node", "list", LAW]);
    assert_eq!(nodes[0]["answering"], false);
    assert!(nodes[0]["epochs"].as_array().is_some_and(|epochs| !epochs.is_empty()), "{nodes}");
    assert_eq!(read(&["results"])["accepted"], 2);
    read(&["review", "list"]);
    assert_eq!(read(&["user", "list"]), serde_json::json!([]));
}

#[test]
fn a_second_roll_of_a_law_is_refused_and_a_roll_can_be_discarded() {
    let (dir, electors) = poll::hashed(30);
    let pepper = ["--pepper-file", "referendum.pepper"];
    let first = dir.run(&[&["load", "hashes", "--json"][..], &DATA, &pepper].concat()).json();
    let first = first["manifest"].as_str().expect("a digest").to_owned();
    poll::revoke(&dir, &electors[0]);
    // Another roll of the same law, as made after a correction.
    dir.run(&["roll", "sample", "--electors", "20", "--law", LAW, "--seed", "8", "-o", "new.csv"])
        .succeeds();
    dir.run(&["pepper", "generate", "-o", "new.pepper"]).succeeds();
    dir.run(&["hashgen", "new.csv", "--out", "new", "--pepper-file", "new.pepper"]).succeeds();
    let second = ["load", "new", "--data", "node", "--pepper-file", "new.pepper"];
    let (rolls, peppers) = (dir.path("node/rolls"), dir.path("node/keys/pepper"));
    let kept = (names_in(&rolls), names_in(&peppers));
    let said = format!("L2025-001 already has another roll, with the manifest {first}");
    dir.run(&second).fails(3, &[&said, "hint: `votekit roll list`"]);
    assert_eq!((names_in(&rolls), names_in(&peppers)), kept, "nothing of it stays");
    let list = dir.run(&["roll", "list", "--data", "node"]);
    let lines: Vec<&str> = list.succeeds().lines().collect();
    assert_eq!(lines[0], first);
    assert!(lines[1].starts_with("  roll, with a pepper"), "{}", list.stdout);
    let expected = "30 electors, kept until the election is created";
    assert!(
        lines[2].starts_with("  L2025-001 ") && lines[2].ends_with(expected),
        "{}",
        list.stdout
    );
    // A roll with a supplement cannot be discarded.
    dir.run(&["load", "supplement", "--data", "node"]).succeeds();
    let discard = |digest: &str| dir.run(&["roll", "discard", digest, "--data", "node"]);
    discard(&first).fails(3, &["follows the roll", "discard the supplement first"]);
    let rolls_listed = dir.run(&["roll", "list", "--data", "node", "--json"]).json();
    let supplement = rolls_listed[1]["manifest"].as_str().expect("a digest").to_owned();
    assert_eq!(rolls_listed[1]["parent"], first.as_str());
    assert!(discard(&supplement).succeeds().contains(&supplement));
    discard(&first).succeeds();
    assert_eq!((names_in(&rolls).len(), names_in(&peppers).len()), (0, 0), "its pepper goes too");
    discard(&first).fails(3, &["no roll with the manifest", "is loaded"]);
    assert_eq!(dir.run(&["roll", "list", "--data", "node"]).succeeds(), "no rolls\n");
    // The right roll replaces it, and is in use once the election is created.
    let loaded = dir.run(&second);
    assert!(loaded.succeeds().starts_with("L2025-001: 20 credentials kept"), "{}", loaded.stdout);
    let titles = ["--title-fr", "F", "--title-en", "E"];
    dir.run(&[&["election", "create", LAW][..], &titles, &DATA].concat()).succeeds();
    let rolls_listed = dir.run(&["roll", "list", "--data", "node", "--json"]).json();
    assert_eq!(rolls_listed[0]["laws"][0]["in_use"], true);
    let used = rolls_listed[0]["manifest"].as_str().expect("a digest").to_owned();
    // On a running node, through its API.
    let node = Node::serve(&dir);
    let admin = ["--node", &node.admin, "--data", "node"];
    let discard = |digest: &str| dir.run(&[&["roll", "discard", digest][..], &admin].concat());
    discard(&used).fails(3, &["is in use: the log of L2025-001 names it", "hint: "]);
    discard(&first).fails(3, &["no roll with the manifest", "is loaded"]);
    dir.run(&[&["load", "hashes"][..], &pepper, &admin].concat())
        .fails(3, &["already has another roll", "hint: `votekit roll list`"]);
    let listed = dir.run(&[&["roll", "list", "--json"][..], &admin].concat()).json();
    assert_eq!(listed, rolls_listed);
    dir.run(&["roll", "sample", "--electors", "5", "--law", "L2", "--seed", "8", "-o", "l2.csv"])
        .succeeds();
    dir.run(&["hashgen", "l2.csv", "--out", "l2"]).succeeds();
    let kept = dir.run(&[&["load", "l2", "--json"][..], &admin].concat()).json();
    assert!(discard(kept["manifest"].as_str().expect("a digest")).succeeds().contains("(L2)"));
    assert_eq!(names_in(&rolls), [used.as_str()]);
    node.stop();
}

/// Until the poll opens the roll can be replaced: the log names both, and only electors of the new
/// one can vote.
#[test]
fn the_roll_of_a_draft_is_replaced() {
    let (dir, electors) = poll::drafted(30, &["--blank"]);
    poll::revoke(&dir, &electors[0]);
    dir.run(&["load", "supplement", "--data", "node"]).succeeds();
    let first = dir.run(&["roll", "list", "--data", "node", "--json"]).json();
    let first = first[0]["manifest"].as_str().expect("a digest").to_owned();
    // The right roll has ten of the same electors, and another law.
    let mut rows = "nas,code,law_id\n".to_owned();
    for elector in &electors[..10] {
        rows += &format!("{},{},{LAW}\n", elector.nas, elector.code);
    }
    dir.write("right.csv", rows + "000000042,CODE0042,L2\n");
    let pepper = ["--pepper-file", "referendum.pepper"];
    dir.run(&[&["hashgen", "right.csv", "--out", "right"][..], &pepper].concat()).succeeds();
    dir.run(&["load", "supplement", "--replace", "--data", "node"])
        .fails(3, &["a supplement cannot replace a roll"]);
    let node = Node::serve(&dir);
    let admin = ["--node", &node.admin, "--data", "node"];
    dir.run(&[&["load", "right"][..], &admin].concat())
        .fails(3, &["already has another roll", "--replace"]);
    let replace = [&["load", "right", "--replace"][..], &admin].concat();
    let loaded = dir.run(&replace);
    assert!(loaded.succeeds().contains("10 electors"), "{}", loaded.stdout);
    dir.run(&replace).succeeds();
    // Back to the first roll, then to the right one again.
    let back = dir.run(&[&["load", "hashes", "--replace"][..], &admin].concat());
    assert!(back.succeeds().contains("30 electors"), "{}", back.stdout);
    assert!(dir.run(&replace).succeeds().contains("10 electors"));
    // The log needs the first roll too.
    dir.run(&[&["roll", "discard", &first][..], &admin].concat()).fails(3, &["is in use"]);
    // An election created later has only the new roll.
    let titles = ["--title-fr", "F", "--title-en", "E"];
    let created = dir.run(&[&["election", "create", "L2"][..], &titles, &admin].concat());
    assert!(created.succeeds().contains("registered   1\n"), "{}", created.stdout);
    let open = ["election", "open", LAW, "--yes"];
    dir.run(&[&open[..], &admin].concat()).succeeds();
    dir.run(&[&["load", "hashes", "--replace"][..], &admin].concat()).fails(
        3,
        &["the election is open: its roll cannot be replaced; this requires the state draft"],
    );
    let cast = |elector: &poll::Elector| {
        dir.write("votes.csv", poll::votes([(elector, "oui")]));
        dir.run(&["cast", "--node", &node.public, "--from", "votes.csv"]).stdout
    };
    // The first elector was revoked by a supplement of the replaced roll.
    for (elector, state) in [(0, "accepted"), (9, "accepted"), (10, "invalid"), (29, "invalid")] {
        let said = cast(&electors[elector]);
        assert!(said.contains(state), "elector {elector}: {said}");
    }
    node.stop();
    // From the log alone, without a snapshot.
    let _ = fs::remove_dir_all(dir.path("node/snapshots"));
    let node = Node::serve(&dir);
    dir.write("votes.csv", poll::votes([(&electors[11], "oui"), (&electors[1], "non")]));
    let said = dir.run(&["cast", "--node", &node.public, "--from", "votes.csv"]).stdout;
    assert!(said.contains("invalid") && said.contains("accepted"), "{said}");
    let bundle = ["export", "bundle", "online", "--node", &node.public, "--election", LAW];
    dir.run(&bundle).succeeds();
    node.stop();
    dir.run(&["election", "close", LAW, "--yes", "--data", "node"]).succeeds();
    dir.run(&["export", "bundle", "bundle", "--election", LAW, "--data", "node"]).succeeds();
    let policy = ["--policy", "bundle/policy"];
    let shards = ["--shards", "hashes", "--shards", "supplement", "--shards", "right"];
    let verify = |bundle: &str, more: &[&str]| {
        dir.run(&[&["verify", "bundle", bundle][..], &policy, more].concat())
    };
    assert!(verify("bundle", &shards).succeeds().contains("10 registered"), "registered");
    verify("online", &[]).succeeds();
    dir.run(&["recount", "--data", "node", "--election", LAW]).succeeds();
}

#[test]
fn supplement_reports_changes_and_refusals() {
    let (dir, electors) = poll::opened(5);
    poll::revoke(&dir, &electors[0]);
    let node = Node::serve(&dir);
    dir.write("votes.csv", poll::votes([(&electors[0], "oui")]));
    dir.run(&["cast", "--node", &node.public, "--from", "votes.csv"]).succeeds();
    let admin = ["--node", &node.admin, "--data", "node"];
    let load = dir.run(&[&["load", "supplement"][..], &admin].concat());
    let said = "L2025-001: loaded, 0 added, 0 replaced, 0 revoked, 1 refused; 5 electors";
    assert!(load.succeeds().starts_with(said), "{}", load.stdout);
    assert!(load.stderr.contains("L2025-001: 1 revocation was refused"));
    node.stop();
    // Another supplement to the same roll is refused before any part of it is kept.
    let kept = names_in(&dir.path("node/rolls"));
    poll::revoke_into(&dir, &electors[1], "other");
    dir.run(&["load", "other", "--data", "node"])
        .fails(3, &["L2025-001: the supplement is based on the manifest", "was loaded after it"]);
    assert_eq!(names_in(&dir.path("node/rolls")), kept);
}

#[test]
fn the_private_key_of_tls_must_be_private() {
    let (dir, _) = poll::loaded(3);
    dir.write("chain.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let key = dir.write("key.pem", "no key\n");
    let serve = [
        "serve",
        "--data",
        "node",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--metrics-listen",
        "127.0.0.1:0",
        "--tls-cert",
        "chain.pem",
        "--tls-key",
        "key.pem",
    ];
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("changed");
    dir.run(&serve).fails(4, &["key.pem: other accounts have access to it", "chmod go="]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("changed");
    let refused = dir.run(&serve);
    refused.fails(4, &["key.pem: "]);
    assert!(!refused.stderr.contains("have access"), "{}", refused.stderr);
}
