//! `votekit witness`, and the outside witnesses of `votekit policy`.
#![cfg(feature = "node")]

mod support;

use support::TestDir;

const BASE: &str = "elections.example";

/// The witnesses of the golden file of authorities.
const W1: &str = "witness.example/w1+";

/// Authorities `a`, `b` and `c`, and the line of each in a file.
fn authorities() -> TestDir {
    let dir = TestDir::new();
    for name in ["a", "b", "c"] {
        let keygen = ["authority", "keygen", "--data", name, "--name", name, "--base", BASE];
        let line = dir.run(&keygen).succeeds().trim_end().to_owned();
        dir.write(&format!("{name}.line"), format!("{line}\n"));
    }
    dir
}

/// The verifier keys of three witnesses, from the golden file.
fn keys() -> Vec<String> {
    let file = std::fs::read_to_string(support::fixture("vectors/authorities/witnessed"));
    let file = file.expect("the golden file");
    let lines = file.lines().filter_map(|line| line.strip_prefix("witness "));
    lines.map(|line| line.split(' ').nth(1).expect("a key").to_owned()).collect()
}

fn make(dir: &TestDir, options: &[&str]) -> support::Outcome {
    let fixed = ["policy", "make", "--quorum", "2", "--base", BASE, "-o", "authorities"];
    dir.run(&[&fixed[..], options, &["a.line", "b.line", "c.line"]].concat())
}

#[test]
fn the_file_names_witnesses_and_their_operators_get_what_they_need() {
    let (dir, keys) = (authorities(), keys());
    let [north, south] = [
        format!("north={},https://north.example/w/,c", keys[0]),
        format!("south={},https://south.example", keys[1]),
    ];
    let options =
        ["--witness", north.as_str(), "--witness", south.as_str(), "--witness-quorum", "1"];
    let made = make(&dir, &options);
    made.succeeds();
    assert!(!made.stderr.contains("warning"), "{}", made.stderr);
    let file = String::from_utf8(dir.read("authorities")).expect("text");
    assert!(file.contains(&format!("\nwitness north {} https://north.example/w/ c\n", keys[0])));
    // Without a named authority, the second authority of the file sends heads to the second
    // witness.
    assert!(file.contains(&format!("\nwitness south {} https://south.example b\n", keys[1])));
    assert!(file.ends_with("\nwitness-quorum 1\n"), "{file}");
    let shown = dir.run(&["policy", "show", "--authorities", "authorities", "L1", "--json"]).json();
    assert_eq!((&shown["witnesses"][1], &shown["witness_quorum"]), (&"south".into(), &1.into()));
    assert!(shown["policy"].as_str().is_some_and(|policy| policy.ends_with("\nquorum both\n")));
    dir.write("a/authorities", &file);
    let request = ["witness", "request", "--data", "a", "--election", "L1"];
    let printed = dir.run(&request).succeeds().to_owned();
    for said in [
        "witness north, fed by c",
        "POST https://north.example/w/add-checkpoint",
        "POST https://south.example/add-checkpoint",
        "origin      elections.example/L1",
        "log key     elections.example/L1+",
        "one request in 10 s",
        W1,
    ] {
        assert!(printed.contains(said), "{said}: {printed}");
    }
    let test = dir.run(&[&request[..], &["--test", "--json"]].concat()).json();
    assert_eq!(test[0]["logs"][0]["origin"], "elections.example/test/L1");
    assert_ne!(test[0]["logs"][0]["log_key"], test[1]["logs"][0]["log_key"], "two authorities");
}

#[test]
fn invalid_witnesses_are_refused_and_risks_raise_a_warning() {
    let (dir, keys) = (authorities(), keys());
    let given = |text: &str, more: &[&str]| make(&dir, &[&["--witness", text][..], more].concat());
    let good = format!("w={},https://w.example,a", keys[0]);
    given(&good, &[]).fails(2, &["--witness-quorum"]);
    make(&dir, &["--witness-quorum", "1"]).fails(2, &["--witness"]);
    let quorum = ["--witness-quorum", "1"];
    for (bad, said) in [
        ("w".to_owned(), "the line is `witness"),
        (format!("w={}", keys[0]), "the line is `witness"),
        (format!("w={},ftp://w.example", keys[0]), "http:// or https://"),
        (format!("w={},https://w.example,z", keys[0]), "not an authority of the file"),
        (format!("a={},https://w.example", keys[0]), "has the name a"),
        (format!("w={}x,https://w.example", keys[0]), "the key of the witness"),
    ] {
        given(&bad, &quorum).fails(3, &["--witness", said]);
    }
    given(&good, &["--witness-quorum", "2"]).fails(3, &["--witness-quorum", "from 1 to 1"]);
    assert!(!dir.exists("authorities"), "nothing was made");
    let other = format!("v={},https://v.example,a", keys[1]);
    let both = ["--witness", other.as_str(), "--witness-quorum", "1"];
    let made = given(&good, &both);
    made.succeeds();
    assert!(made.stderr.contains("warning: a alone can keep the witnesses"), "{}", made.stderr);
    let none = dir.run(&["witness", "request", "--data", "a", "--election", "L1"]);
    none.fails(3, &["a has no file of the authorities", "votekit policy make"]);
}
