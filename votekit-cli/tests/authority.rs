//! `votekit authority`, `votekit policy`, `votekit nodes`, `votekit leader`, `votekit ledger`, and
//! the records of nodes.
#![cfg(feature = "node")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use support::node::Node;
use support::{Outcome, TestDir, mode_of, names_in, poll};

const BASE: &str = "elections.example";

/// The keys of an authority, and the others of its node.
const KEYS: [&str; 6] = ["log", "cosigner", "statement", "transport", "node", "admin-token"];

fn run_keygen(dir: &TestDir, name: &str) -> Outcome {
    dir.run(&["authority", "keygen", "--data", name, "--name", name, "--base", BASE])
}

/// Makes an authority in a folder of its name, and returns its line.
fn keygen(dir: &TestDir, name: &str) -> String {
    run_keygen(dir, name).succeeds().trim_end().to_owned()
}

/// Makes authorities, and writes the line of each to a file.
fn authorities(names: &[&str]) -> TestDir {
    let dir = TestDir::new();
    for name in names {
        let line = keygen(&dir, name);
        dir.write(&format!("{name}.line"), format!("{line}\n"));
    }
    dir
}

fn make(dir: &TestDir, quorum: &str, lines: &[&str]) -> Outcome {
    let options = ["policy", "make", "--quorum", quorum, "--base", BASE];
    dir.run(&[&options[..], lines].concat())
}

#[test]
fn keygen_makes_private_keys_and_prints_the_line() {
    let dir = TestDir::new();
    let made = run_keygen(&dir, "a");
    let line = made.succeeds().trim_end().to_owned();
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!((words.len(), &words[..2]), (6, &["authority", "a"][..]), "{line}");
    let is_key = |word: &&str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    assert!(words[2..].iter().all(is_key), "{line}");
    assert!(made.stderr.contains("of the base elections.example"), "{}", made.stderr);
    assert_eq!(mode_of(&dir.path("a/keys")), 0o700);
    for key in KEYS {
        assert_eq!(mode_of(&dir.path(&format!("a/keys/{key}"))), 0o600, "{key}");
        let secret = String::from_utf8(dir.read(&format!("a/keys/{key}"))).expect("text");
        let secret = &secret[..64];
        assert!(!made.stdout.contains(secret) && !made.stderr.contains(secret), "{key}");
    }
    assert!(dir.exists("a/memory"));
    let shown = dir.run(&["authority", "show", "--data", "a"]);
    assert_eq!(shown.succeeds(), format!("base {BASE}\n{line}\n# installed: none\n"));
    let json = dir.run(&["authority", "show", "--data", "a", "--json"]).json();
    assert_eq!((&json["line"], &json["base"]), (&line.into(), &BASE.into()));
    assert!(json["authorities"].is_null());
    let trial = dir.run(&["authority", "keygen", "--data", "b", "--name", "b", "--json"]).json();
    assert_eq!((&trial["name"], &trial["base"]), (&"b".into(), &"votekit.example".into()));
}

#[test]
fn keygen_refuses_names_and_folders_that_are_in_use() {
    let dir = TestDir::new();
    for (name, said) in [
        ("a b", "space"),
        ("a+b", "plus sign"),
        ("a/b", "no slash"),
        ("none", "the name none is reserved"),
        ("authorities", "the name authorities is reserved"),
    ] {
        let refused = dir.run(&["authority", "keygen", "--data", "a", "--name", name]);
        refused.fails(2, &["--name", said]);
    }
    assert!(!dir.exists("a"), "nothing was made");
    keygen(&dir, "a");
    let before = dir.read("a/keys/log");
    run_keygen(&dir, "a").fails(4, &["a is a data folder already", "hint: choose a new or empty"]);
    // Keys without the file of the folder may have signed: they are not taken over.
    fs::remove_file(dir.path("a/votekit.toml")).expect("removed");
    run_keygen(&dir, "a").fails(4, &["is not empty: it holds '"]);
    assert_eq!(dir.read("a/keys/log"), before);
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let dir = TestDir::new();
    keygen(&dir, "a");
    for key in ["statement", "transport", "log", "cosigner"] {
        let file = dir.path(&format!("a/keys/{key}"));
        fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("changed");
        dir.run(&["authority", "show", "--data", "a"])
            .fails(4, &[&format!("{key}: other accounts have access to it (mode 0644)"), "chmod"]);
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("changed");
    }
    dir.run(&["authority", "show", "--data", "a"]).succeeds();
}

#[test]
fn the_file_of_the_authorities_is_made_from_their_lines() {
    let dir = authorities(&["a", "b", "c"]);
    let made = make(&dir, "2", &["a.line", "b.line", "c.line"]);
    let fingerprint = made.succeeds().trim_end().to_owned();
    assert!(made.stderr.contains("3 authorities, quorum 2, so that 1 may be down"));
    let text = String::from_utf8(dir.read("authorities")).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["votekit-authorities/1", "base elections.example", "quorum 2"]);
    for (name, line) in ["a", "b", "c"].into_iter().zip(&lines[3..]) {
        let own = String::from_utf8(dir.read(&format!("{name}.line"))).expect("text");
        assert_eq!(own.trim_end(), *line);
    }
    make(&dir, "2", &["a.line", "b.line", "c.line"]).fails(4, &["authorities already exists"]);

    // The output of `show`, a file with several lines, and a line on the command line.
    let shown = dir.run(&["authority", "show", "--data", "a"]);
    let more = format!("# of the east\n\n{}\n", lines[4]);
    dir.write("shown", format!("{}{more}", shown.succeeds()));
    let again = make(&dir, "2", &["shown", lines[5], "-o", "again", "--json"]).json();
    assert_eq!(dir.read("again"), text.as_bytes());
    assert_eq!(again["fingerprint"], fingerprint);
    assert_eq!(again["authorities"], serde_json::json!(["a", "b", "c"]));

    // Installed, every machine shows the same.
    for name in ["a", "b", "c"] {
        dir.write(&format!("{name}/authorities"), &text);
        let shown = dir.run(&["authority", "show", "--data", name]);
        let installed = format!("# installed: SHA-256 {fingerprint}, quorum 2 of 3\n");
        assert!(shown.succeeds().ends_with(&installed), "{}", shown.stdout);
        assert_eq!(shown.stderr, "");
    }
}

#[test]
fn a_file_that_is_not_of_this_authority_is_warned_of() {
    let dir = authorities(&["a", "b"]);
    let show = || dir.run(&["authority", "show", "--data", "a"]);
    make(&dir, "1", &["b.line", "-o", "of-b"]).succeeds();
    fs::copy(dir.path("of-b"), dir.path("a/authorities")).expect("installed");
    let warned = show();
    warned.succeeds();
    assert!(warned.stderr.contains("does not list this authority"), "{}", warned.stderr);
    // The name of a with the keys of b.
    let text = String::from_utf8(dir.read("of-b")).expect("text");
    dir.write("a/authorities", text.replace("authority b", "authority a"));
    let warned = show();
    warned.succeeds();
    assert!(warned.stderr.contains("the log key of a in it"), "{}", warned.stderr);
    dir.write("a/authorities", text.replace(BASE, "other.example"));
    assert!(show().stderr.contains("it is for the base other.example"));
    dir.write("a/authorities", text.replace("quorum 1", "quorum 2"));
    let warned = show();
    warned.succeeds();
    assert!(warned.stderr.contains("a/authorities: line 3: the quorum of 1"), "{}", warned.stderr);
    let json = dir.run(&["authority", "show", "--data", "a", "--json"]).json();
    assert!(json["authorities"].is_null());
}

#[test]
fn a_quorum_below_a_majority_names_the_smallest_allowed() {
    let dir = authorities(&["a", "b", "c", "d"]);
    let lines = ["a.line", "b.line", "c.line", "d.line"];
    for quorum in ["0", "1", "2"] {
        make(&dir, quorum, &lines).fails(
            2,
            &[
                &format!("--quorum {quorum}: the quorum of 4 authorities is from 3 to 4"),
                "hint: the smallest quorum allowed is 3",
            ],
        );
    }
    make(&dir, "5", &lines).fails(2, &["from 3 to 4", "hint: the largest quorum is 4"]);
    make(&dir, "many", &lines).fails(2, &["--quorum"]);
    assert!(!dir.exists("authorities"));
    make(&dir, "4", &lines).succeeds();
}

#[test]
fn lines_that_do_not_fit_together_are_refused_by_their_place() {
    let dir = authorities(&["a", "b"]);
    let line = |name: &str| {
        let bytes = dir.read(&format!("{name}.line"));
        String::from_utf8(bytes).expect("text").trim_end().to_owned()
    };
    let (a, b) = (line("a"), line("b"));
    let key = |line: &str, index: usize| line.split(' ').nth(2 + index).expect("a key").to_owned();
    make(&dir, "2", &["a.line", "a.line"]).fails(
        3,
        &[
            "a.line, line 1 and a.line, line 1 are both the line of a",
            "give each authority a different name",
        ],
    );
    dir.write("renamed", a.replace("authority a", "authority c"));
    make(&dir, "2", &["a.line", "renamed"])
        .fails(3, &["renamed, line 1: the log key of c is also the log key of a (a.line, line 1)"]);
    dir.write("mixed", b.replace(&key(&b, 2), &key(&a, 0)));
    make(&dir, "2", &["a.line", "mixed"])
        .fails(3, &["mixed, line 1: the statement key of b is also the log key of a"]);
    dir.write("own", b.replace(&key(&b, 1), &key(&b, 0)));
    make(&dir, "1", &["own"]).fails(3, &["own, line 1: the log key of b is also the cosigner key"]);

    let other = ["authority", "keygen", "--data", "e", "--name", "e", "--base", "other.example"];
    dir.run(&other).succeeds();
    let shown = dir.run(&["authority", "show", "--data", "e"]);
    dir.write("e.line", shown.succeeds());
    make(&dir, "2", &["a.line", "e.line"]).fails(
        3,
        &["e.line, line 1: this authority has the base other.example, and --base is elections"],
    );

    dir.write("weak", b.replace(&key(&b, 0), &"0".repeat(64)));
    make(&dir, "2", &["a.line", "weak"]).fails(3, &["weak, line 1: the log key"]);
    for (text, said) in [
        (a.to_uppercase(), "line 1: the line is `authority <name>"),
        (a.replace(' ', "  "), "line 1: the line is `authority <name>"),
        (format!("# only\n{a} more"), "line 2: the line is `authority <name>"),
        (a.replace("authority a", "authority none"), "line 1: the name none is reserved"),
        ("# nothing\n".to_owned(), "has no line of an authority"),
    ] {
        dir.write("bad", text);
        make(&dir, "1", &["bad"]).fails(3, &["bad", said, "hint: `votekit authority show"]);
    }
    make(&dir, "1", &["absent"]).fails(3, &["cannot read absent"]);
    assert!(!dir.exists("authorities"));
}

#[test]
fn the_policy_of_an_election_follows_from_the_file() {
    let dir = authorities(&["a", "b", "c"]);
    make(&dir, "2", &["a.line", "b.line", "c.line"]).succeeds();
    let show = |more: &[&str]| {
        let verb = ["policy", "show", "--authorities", "authorities", "L2025-001"];
        dir.run(&[&verb[..], more].concat())
    };
    let shown = show(&["--binding"]);
    let policy = shown.succeeds();
    assert!(policy.ends_with("group authorities 2 a b c\nquorum authorities\n"), "{policy}");
    assert_eq!(policy.matches("log elections.example/L2025-001+").count(), 3, "{policy}");
    let json = show(&["--binding", "--json"]).json();
    assert_eq!((&json["policy"], &json["quorum"]), (&policy.into(), &2.into()));
    let fingerprint = json["fingerprint"].as_str().expect("hexadecimal digits");
    assert!(shown.stderr.contains(fingerprint), "{}", shown.stderr);
    let test = show(&[]);
    assert!(test.succeeds().contains("log elections.example/test/L2025-001+"), "{}", test.stdout);
    let text = String::from_utf8(dir.read("authorities")).expect("text");
    dir.write("authorities", text.replace("quorum 2", "quorum 1"));
    show(&[]).fails(3, &["authorities, line 3: the quorum of 3 authorities is from 2 to 3"]);
}

#[test]
fn renewed_keys_are_new_and_the_old_ones_are_kept() {
    let dir = authorities(&["a", "b"]);
    make(&dir, "2", &["a.line", "b.line"]).succeeds();
    fs::copy(dir.path("authorities"), dir.path("a/authorities")).expect("installed");
    let before = String::from_utf8(dir.read("a.line")).expect("text");
    let old_keys = KEYS.map(|key| dir.read(&format!("a/keys/{key}")));
    let renewed = dir.run(&["authority", "renew", "--data", "a"]);
    let line = renewed.succeeds().trim_end().to_owned();
    assert!(line.starts_with("authority a ") && line != before.trim_end(), "{line}");
    for said in ["elections drafted before this cannot be signed", "names the old keys: the node"] {
        assert!(renewed.stderr.contains(said), "{}", renewed.stderr);
    }
    let names = names_in(&dir.path("a"));
    let retired = names.iter().find(|name| name.starts_with("retired-")).expect("a folder");
    assert!(dir.exists(&format!("a/{retired}/memory")) && dir.exists("a/memory"));
    for (key, old) in KEYS.iter().zip(&old_keys) {
        let now = dir.read(&format!("a/keys/{key}"));
        let kept = format!("a/{retired}/keys/{key}");
        if ["node", "admin-token"].contains(key) {
            assert!(now == *old && !dir.exists(&kept), "{key}");
        } else {
            assert!(now != *old && dir.read(&kept) == *old, "{key}");
            assert_eq!(mode_of(&dir.path(&kept)), 0o600, "{key}");
        }
    }
    let shown = dir.run(&["authority", "show", "--data", "a"]);
    assert!(shown.succeeds().contains(&line));
    assert!(shown.stderr.contains("the log key of a in it"), "{}", shown.stderr);
    let again = dir.run(&["authority", "renew", "--data", "a", "--json"]).json();
    assert!(again["retired"].as_str().is_some_and(|path| path.contains("retired-")));
    dir.run(&["authority", "renew", "--data", "none"]).fails(3, &["none is not the data folder"]);
}

#[test]
fn only_folders_of_authorities_are_shown_and_renewed() {
    let (dir, _) = poll::opened(2);
    for verb in ["show", "renew"] {
        dir.run(&["authority", verb, "--data", "node"]).fails(
            3,
            &["node is not the folder of an authority", "hint: `votekit authority keygen`"],
        );
    }
    let node = Node::serve(&dir);
    dir.run(&["authority", "renew", "--data", "node"]).fails(4, &["is in use"]);
    node.stop();
}

#[test]
fn an_authority_keeps_a_roll_without_its_pepper() {
    let (dir, _) = poll::hashed(5);
    for name in ["a", "b"] {
        let line = keygen(&dir, name);
        dir.write(&format!("{name}.line"), format!("{line}\n"));
    }
    make(&dir, "2", &["a.line", "b.line"]).succeeds();
    fs::copy(dir.path("authorities"), dir.path("a/authorities")).expect("installed");
    let load = ["load", "hashes", "--data", "a"];
    let kept = dir.run(&load);
    assert!(kept.succeeds().starts_with("L2025-001: 5 credentials kept"), "{}", kept.stdout);
    assert!(kept.stderr.contains("an authority has no pepper"), "{}", kept.stderr);
    assert_eq!(names_in(&dir.path("a/rolls")).len(), 1);
    assert!(names_in(&dir.path("a/keys/pepper")).is_empty());
    assert!(!dir.exists("a/ledger.sqlite"), "no ledger of its own is made");
    let json = dir.run(&[&load[..], &["--json"]].concat()).json();
    assert_eq!((&json["without_pepper"], &json["peppered"]), (&true.into(), &true.into()));
    dir.run(&[&load[..], &["--replace"]].concat()).fails(2, &["--replace", "hint: start the node"]);
    // A pepper that is given is compared, and a damaged shard is found without one.
    dir.run(&["pepper", "generate", "-o", "other.pepper"]).succeeds();
    dir.run(&[&load[..], &["--pepper-file", "other.pepper"]].concat()).fails(3, &["pepper"]);
    let shard = names_in(&dir.path("hashes")).into_iter().find(|name| name.contains(poll::LAW));
    dir.write(&format!("hashes/{}", shard.expect("a shard")), "[]");
    dir.run(&load).fails(3, &["hashes/"]);
    // The only authority of an installation takes the votes too.
    let (other, _) = poll::hashed(5);
    keygen(&other, "c");
    other.run(&["load", "hashes", "--data", "c", "--log-base", BASE]).fails(3, &["none was given"]);
}

#[test]
fn a_node_is_admitted_by_its_record() {
    let (dir, _) = poll::opened(2);
    // The folder of an ingest node on another machine.
    dir.run(&["authority", "keygen", "--data", "ingest", "--name", "any"]).succeeds();
    let show = ["node", "show", "--data", "ingest", "--name", "ingest-1"];
    let record = dir.run(&show).succeeds().trim_end().to_owned();
    assert_eq!((record.split(' ').count(), &record[..14]), (4, "node ingest-1 "));
    let json = dir.run(&[&show[..], &["--json"]].concat()).json();
    assert_eq!((&json["record"], &json["name"]), (&record.as_str().into(), &"ingest-1".into()));
    dir.run(&["node", "show", "--data", "ingest", "--name", "Ingest"]).fails(2, &["--name"]);

    let node = Node::serve(&dir);
    let at = ["--admin", &node.admin, "--data", "node"];
    let admit = |record: &str| dir.run(&[&["node", "admit", record][..], &at].concat());
    assert!(admit(&record).succeeds().starts_with("admitted ingest-1: "));
    admit(&record).succeeds();
    let other = dir.run(&["node", "show", "--data", "node", "--name", "ingest-1"]);
    admit(other.succeeds()).fails(3, &["name: another node is admitted as ingest-1"]);
    admit("node ingest-1 00 00").fails(2, &["a record is one line", "hint: `votekit node show`"]);
    dir.run(&["node", "admit", &record, "--data", "node"]).fails(2, &["--admin"]);
    dir.run(&[&["node", "admit", &record, "more"][..], &at].concat())
        .fails(2, &["a record must be the only argument"]);
    dir.run(&[&["node", "admit", poll::LAW][..], &at].concat())
        .fails(2, &["give the node after the election"]);
    let view = dir.run(&[&["nodes", "--json"][..], &at].concat()).json();
    assert_eq!(view["nodes"][0]["name"], "ingest-1");
    assert_eq!(view["nodes"][0]["public_key"], json["public_key"]);

    let retire = |name: &str| dir.run(&[&["node", "retire", name][..], &at].concat());
    retire("ingest-9").fails(3, &["no node was admitted as ingest-9"]);
    retire(poll::LAW)
        .fails(2, &["is not the name of a node", "hint: give an election and the node"]);
    dir.run(&["node", "retire", "ingest-1", "--data", "node"]).fails(2, &["--admin"]);
    for _ in 0..2 {
        assert!(retire("ingest-1").succeeds().starts_with("retired ingest-1: "));
    }
    let view = dir.run(&[&["nodes", "--json"][..], &at].concat()).json();
    assert_eq!(view["nodes"], serde_json::json!([]));
    // Its name and its keys stay taken, and it is not admitted again itself.
    admit(other.succeeds()).fails(3, &["name: another node is admitted as ingest-1"]);
    admit(&record).fails(3, &["name: ingest-1 was retired, which is final"]);
    let view = dir.run(&[&["nodes", "--json"][..], &at].concat()).json();
    assert_eq!(view["nodes"], serde_json::json!([]));
    node.stop();
}

#[test]
fn the_table_shows_the_only_authority() {
    let (dir, _) = poll::opened(2);
    let node = Node::serve(&dir);
    let at = ["--admin", &node.admin, "--data", "node"];
    let shown = dir.run(&[&["nodes"][..], &at].concat());
    let lines: Vec<&str> = shown.succeeds().lines().collect();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let titles = "NAME ROLE TERM INCARNATION CERTIFIED LAG REFUSALS HALTED SEEN CLOCK";
    assert_eq!(words(lines[0]).join(" "), titles);
    let row = words(lines[1]);
    assert_eq!((row[0].as_str(), row[1].as_str(), row[3].as_str()), ("authority-1", "leader", "-"));
    assert!(row[4].starts_with(&format!("{}:", poll::LAW)), "{row:?}");
    assert_eq!(row[5..], ["0", "0", "-", "-", "-"]);
    assert!(shown.stdout.ends_with("one authority: no file of authorities is installed\n"));
    dir.run(&[&["leader", "step-down"][..], &at].concat())
        .fails(3, &["this node is not one of several authorities"]);
    dir.run(&["nodes", "--admin", &node.admin]).fails(2, &["requires the administrator's token"]);
    node.stop();
}

#[test]
fn discard_requires_authorities_a_certificate_and_a_ledger() {
    let dir = authorities(&["a", "b", "c"]);
    let discard = ["ledger", "discard-above", "L1", "--keep", "kept", "--data", "a"];
    let with = |more: &[&str]| dir.run(&[&discard[..], more].concat());
    with(&[]).fails(3, &["a has no file authorities", "hint: the log of a single authority"]);
    make(&dir, "2", &["a.line", "b.line", "c.line"]).succeeds();
    fs::copy(dir.path("authorities"), dir.path("a/authorities")).expect("installed");
    with(&[]).fails(3, &["knows no certified block of L1", "hint: use the data folder of another"]);
    with(&["--checkpoint", "missing"]).fails(3, &["cannot read missing"]);
    dir.write("note", "not a checkpoint\n");
    with(&["--checkpoint", "note"]).fails(2, &["a holds no ledger", "hint: give the ledger"]);
    assert!(!dir.exists("kept") && !dir.exists("a/ledger.sqlite"), "nothing was written");
}
