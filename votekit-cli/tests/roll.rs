//! `votekit roll sample`, and behaviour common to all verbs.

mod support;

use std::collections::HashSet;

use support::TestDir;

#[test]
fn a_sample_is_repeatable_distinct_and_passes_its_own_checks() {
    let dir = TestDir::new();
    let arguments =
        ["roll", "sample", "--electors", "500", "--law", "L1", "--law", "L2", "--seed", "7", "-o"];
    dir.run(&[&arguments[..], &["a.csv"]].concat()).succeeds();
    let again = dir.run(&[&arguments[..], &["-"]].concat());
    assert_eq!(dir.read("a.csv"), again.succeeds().as_bytes());
    let numbers: HashSet<&str> =
        again.stdout.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert_eq!(numbers.len(), 500);
    assert!(numbers.iter().all(|number| number.starts_with('0')));

    let hashed =
        dir.run(&["hashgen", "a.csv", "--out", "hashes", "--check-digit", "--json"]).json();
    assert_eq!(
        (hashed["rows"].as_u64(), hashed["laws"][1]["registered"].as_u64()),
        (Some(1000), Some(500))
    );
}

#[test]
fn a_sample_never_overwrites() {
    let dir = TestDir::new();
    dir.write("roll.csv", "precious");
    let arguments = ["roll", "sample", "--electors", "5", "--law", "L1", "-o", "roll.csv"];
    dir.run(&arguments).fails(4, &["roll.csv already exists", "hint: "]);
    assert_eq!(dir.read("roll.csv"), b"precious");
}

#[test]
fn mistakes_in_arguments_leave_with_2() {
    let dir = TestDir::new();
    dir.run(&["roll", "sample", "--electors", "0", "--law", "L1", "-o", "x"])
        .fails(2, &["--electors"]);
    dir.run(&["roll", "sample", "--electors", "5", "--law", "L 1", "-o", "x"])
        .fails(2, &["character 2"]);
    dir.run(&["roll", "sample", "--electors", "5", "--law", "L1", "--law", "L1", "-o", "x"])
        .fails(2, &["twice"]);
    dir.run(&["frobnicate", "--json"]).fails(2, &["{\"error\":{", "\"kind\":\"usage\""]);
    assert!(dir.names().is_empty());
}

#[test]
fn a_closed_output_pipe_is_not_an_error() {
    let dir = TestDir::new();
    let piped = dir.shell("\"$VOTEKIT\" roll sample --electors 200000 --law L1 -o - | head -n 1");
    assert_eq!((piped.succeeds(), piped.stderr.as_str()), ("nas,code,law_id\n", ""));
}

#[test]
fn a_full_disk_is_reported_and_leaves_no_file() {
    let dir = TestDir::new();
    let full = dir.shell("\"$VOTEKIT\" roll sample --electors 200000 --law L1 -o - > /dev/full");
    full.fails(4, &["cannot write standard output", "no space left"]);
    // The shell ignores the signal, so that the write fails as on a full disk.
    let limited = "trap '' XFSZ; ulimit -f 8; exec \"$VOTEKIT\" roll sample --electors 200000 --law L1 -o roll.csv";
    dir.shell(limited).fails(4, &["cannot write roll.csv", "hint: free space"]);
    assert!(dir.names().is_empty());
}

#[test]
fn completions_and_man_pages_are_made_from_the_help() {
    let dir = TestDir::new();
    assert!(dir.run(&["completions", "bash"]).succeeds().contains("hashgen"));
    dir.run(&["man", "--out", "man"]).succeeds();
    let page = String::from_utf8(dir.read("man/votekit-hashgen.1")).expect("UTF-8");
    assert!(page.contains("Turn an electoral roll into hashes"));
    assert!(dir.exists("man/votekit-roll-sample.1") && !dir.exists("man/votekit-man.1"));
}
