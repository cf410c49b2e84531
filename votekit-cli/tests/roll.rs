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

/// The members' list of the tests, as a spreadsheet writes it.
const MEMBERS: &str = "\u{feff}Name,Email,Phone\r\nAnne Roy,Anne@example.com,1\r\n\
                       \"=HYPERLINK(\"\"x\"\")\",bob@example.com,2\r\n\"Roy, Carl\",,3\r\n";

fn members(dir: &TestDir, more: &[&str]) -> support::Outcome {
    let list = ["roll", "members", "members.csv", "--law", "L1"];
    let target = ["--url", "https://vote.example.ca", "--out", "drawn"];
    dir.run(&[&list[..], &target, more].concat())
}

/// The rows of a file without its header, each split at commas.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines().skip(1).map(|line| line.split(',').collect()).collect()
}

#[test]
fn each_member_gets_a_row_of_the_roll_and_its_link() {
    let dir = TestDir::new();
    dir.write("members.csv", MEMBERS);
    let report = members(&dir, &["--law", "L2", "--lang", "en", "--json"]).json();
    assert_eq!(report["members"], 3);
    for file in ["drawn/roll.csv", "drawn/links.csv"] {
        assert_eq!(support::mode_of(&dir.path(file)), 0o600, "{file}");
    }
    let text = |name: &str| String::from_utf8(dir.read(name)).expect("UTF-8");
    let (roll, links) = (text("drawn/roll.csv"), text("drawn/links.csv"));
    assert!(links.starts_with("\u{feff}email,name,link_L1,link_L2\r\n"), "{links}");
    assert!(links.contains("\r\nbob@example.com,\"'=HYPERLINK(\"\"x\"\")\",https://"), "{links}");
    assert!(links.contains("\r\n,\"Roy, Carl\",https://"), "{links}");
    let roll = rows(&roll);
    assert_eq!(roll.len(), 6, "a row a member and law");
    for (member, link) in roll.chunks(2).zip(links.lines().skip(1)) {
        let [first, second] = member else { panic!("two rows a member") };
        assert_eq!((first[2], second[2]), ("L1", "L2"));
        assert_eq!(first[..2], second[..2], "one number and one code a member");
        assert!(first[0].starts_with('0') && first[0].len() == 9 && first[1].len() == 10);
        for law in ["L1", "L2"] {
            let fragment = format!("/en/vote/{law}#c={}-{}", first[0], first[1]);
            assert!(link.contains(&format!("https://vote.example.ca{fragment}")), "{fragment}");
        }
    }
    let numbers: HashSet<&str> = roll.iter().map(|row| row[0]).collect();
    let codes: HashSet<&str> = roll.iter().map(|row| row[1]).collect();
    assert_eq!((numbers.len(), codes.len()), (3, 3));

    dir.run(&["pepper", "generate", "-o", "a.pepper"]).succeeds();
    let hashgen = ["hashgen", "drawn/roll.csv", "--out", "hashes", "--pepper-file", "a.pepper"];
    let hashed = dir.run(&[&hashgen[..], &["--check-digit", "--json"]].concat()).json();
    assert_eq!((hashed["rows"].as_u64(), hashed["code_length_min"].as_u64()), (Some(6), Some(10)));
    // Drawn again, nothing is the same.
    dir.run(&[
        "roll",
        "members",
        "members.csv",
        "--law",
        "L1",
        "--url",
        "http://localhost:8080",
        "--code-length",
        "12",
        "--out",
        "again",
    ])
    .succeeds();
    let again = text("again/roll.csv");
    assert!(rows(&again).iter().all(|row| !numbers.contains(row[0]) && row[1].len() == 12));
    assert!(text("again/links.csv").starts_with("\u{feff}email,name,link\r\n"));
}

#[test]
fn a_list_of_ids_is_read_from_standard_input() {
    let dir = TestDir::new();
    let list =
        ["roll", "members", "-", "--law", "L1", "--url", "https://a.example", "--out", "out"];
    dir.run_with_input(&list, b"id\nM-7\nM-8\n").succeeds();
    let links = String::from_utf8(dir.read("out/links.csv")).expect("UTF-8");
    assert!(
        links.starts_with("\u{feff}id,email,name,link\r\nM-7,,,https://a.example/fr/vote/L1#c=0")
    );
}

#[test]
fn a_list_of_members_with_semicolons_is_read() {
    let dir = TestDir::new();
    dir.write(
        "members.csv",
        "\u{feff}Nom;email;name\r\nx;anne@example.com;Roy, Anne\r\nx;;Bob\r\n",
    );
    members(&dir, &[]).succeeds();
    let links = String::from_utf8(dir.read("drawn/links.csv")).expect("UTF-8");
    assert!(links.contains("\r\nanne@example.com,\"Roy, Anne\",https://"), "{links}");
    assert!(links.contains("\r\n,Bob,https://"), "{links}");
}

#[test]
fn every_bad_row_of_a_list_of_members_is_reported_and_nothing_is_written() {
    let dir = TestDir::new();
    dir.write(
        "members.csv",
        "email,name\na@example.com,A\nb@\nA@example.com,B\n,\nc@example.com,C\n",
    );
    members(&dir, &[]).fails(
        3,
        &[
            "3 bad rows; nothing was written",
            "members.csv: line 3, email: the part after the @ is not the name of a domain",
            "members.csv: line 4, email: the same as on line 2",
            "members.csv: line 5, row: the row is empty: it has only separators",
        ],
    );
    dir.write("members.csv", b"email;name\na@example.com;Ren\xe9\n");
    let texts =
        ["line 2, name: the text is not valid UTF-8", "Windows-1252", "semicolons", "CSV UTF-8"];
    members(&dir, &[]).fails(3, &texts);
    dir.write("members.csv", "email,name\n");
    members(&dir, &[]).fails(3, &["no member"]);
    dir.write("members.csv", [0xff, 0xfe, b'e', 0]);
    members(&dir, &[]).fails(3, &["the list of members is UTF-16 text"]);
    assert_eq!(dir.names(), ["members.csv"]);
}

#[test]
fn credentials_of_members_never_overwrite_and_are_never_weak() {
    let dir = TestDir::new();
    dir.write("members.csv", MEMBERS);
    members(&dir, &["--code-length", "7"]).fails(2, &["--code-length"]);
    members(&dir, &["--law", "L1"]).fails(2, &["twice"]);
    let plain = ["--law", "L1", "--url", "http://vote.example.ca", "--out", "drawn"];
    dir.run(&[&["roll", "members", "members.csv"], &plain[..]].concat()).fails(2, &["https"]);
    members(&dir, &[]).succeeds();
    let before = dir.read("drawn/roll.csv");
    members(&dir, &[]).fails(4, &["drawn already exists"]);
    assert_eq!(dir.read("drawn/roll.csv"), before);
}
