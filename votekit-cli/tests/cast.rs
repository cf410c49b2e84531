//! `votekit cast`, which must leave no NAS and no code behind.
#![cfg(feature = "node")]

mod support;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use support::http::Http;
use support::node::Node;
use support::poll::{self, Elector, LAW};
use support::{Outcome, TestDir};

fn one(dir: &TestDir, node: &str, input: &str, more: &[&str]) -> Outcome {
    dir.run_with_input(
        &[&["cast", "--node", node, "--law", LAW][..], more].concat(),
        input.as_bytes(),
    )
}

fn lines(elector: &Elector, vote: &str) -> String {
    format!("{}\n{}\n{vote}\n", elector.nas, elector.code)
}

/// Returns an address without a listener.
fn unreachable_node() -> String {
    let address =
        TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    format!("http://{address}")
}

#[test]
fn one_vote_is_cast_from_standard_input() {
    let (dir, electors) = poll::opened(5);
    let node = Node::serve(&dir);
    let said = one(&dir, &node.public, &lines(&electors[0], "oui"), &["--receipt", "receipt"]);
    let request = said
        .succeeds()
        .strip_prefix("Your vote is recorded and counts.\nrequest ")
        .expect("accepted")
        .trim()
        .to_owned();
    assert!(
        said.stderr.contains("Loi sur l’eau / Water Act") && said.stderr.contains("Oui / Yes"),
        "{}",
        said.stderr
    );
    assert_eq!(
        Http::new().get(&format!("{}/api/v1/vote/{request}", node.public)).json()["status"],
        "accepted"
    );
    let bundle = dir.run(&["export", "bundle", "bundle", "--node", &node.public, "--json"]).json();
    let fingerprint = bundle["policy_fingerprint"].as_str().expect("a fingerprint");
    let receipt = dir.run(&[
        "verify",
        "receipt",
        "receipt",
        "--fingerprint",
        fingerprint,
        "--bundle",
        "bundle",
    ]);
    assert!(
        receipt.succeeds().contains(&request)
            && receipt.stdout.contains("accepted: the vote counts")
    );
    // NAS and code may be written in other forms.
    let spaced =
        format!("{} {}-{}", &electors[1].nas[..3], &electors[1].nas[3..6], &electors[1].nas[6..]);
    let input = format!("{spaced}\n  {}\nnon\n", electors[1].code.to_lowercase());
    assert!(
        one(&dir, &node.public, &input, &[])
            .succeeds()
            .starts_with("Your vote is recorded and counts.")
    );
    // If the law is omitted, it is the first line of standard input.
    let input = format!("{LAW}\n{}", lines(&electors[2], "blanc"));
    let asked = dir.run_with_input(&["cast", "--node", &node.public, "--json"], input.as_bytes());
    assert_eq!(asked.json()["status"], "accepted");
    assert_eq!(asked.stderr, "");
}

#[test]
fn a_vote_that_does_not_count_is_reported_as_such() {
    let (dir, electors) = poll::opened(5);
    poll::revoke(&dir, &electors[4]);
    dir.run(&["load", "supplement", "--data", "node"]).succeeds();
    let node = Node::serve(&dir);
    one(&dir, &node.public, &lines(&electors[0], "oui"), &[]).succeeds();
    let again = one(&dir, &node.public, &lines(&electors[0], "non"), &[]);
    assert!(
        again
            .succeeds()
            .starts_with("This credential has voted before (attempt 2). The first vote counts")
    );
    let revoked = one(&dir, &node.public, &lines(&electors[4], "oui"), &[]);
    assert!(
        revoked.succeeds().starts_with("This vote does not count: this access code was replaced")
    );
    let unknown =
        one(&dir, &node.public, &format!("{}\nZZGUESS1\noui\n", electors[1].nas), &["--json"]);
    assert_eq!(
        (&unknown.json()["status"], &unknown.json()["reason"]),
        (&"invalid".into(), &"unknown".into())
    );
}

#[test]
fn malformed_votes_are_refused_before_sending() {
    let (dir, electors) = poll::opened(5);
    let node = Node::serve(&dir);
    let Elector { nas, code } = &electors[0];
    for (input, said) in [
        (format!("98765432\n{code}\noui\n"), "a NAS has exactly 9 digits, this one has 8"),
        (format!("98765432x\n{code}\noui\n"), "character 9 is something else"),
        (
            format!("{nas}\nZZ|GUESS\noui\n"),
            "an access code is made of letters A-Z and digits: character 3",
        ),
        (format!("{nas}\nZZ1\noui\n"), "an access code has 4 to 32 characters, this one has 3"),
        (format!("{nas}\n{code}\npeut-etre\n"), "hint: choose one of: oui, non, blanc"),
        (format!("{nas}\n{code}\n"), "Vote is missing: the input ended"),
        (String::new(), "NAS is missing: the input ended"),
    ] {
        let refused = one(&dir, &node.public, &input, &[]);
        refused.fails(3, &[said]);
        for secret in ["98765432", "ZZ|GUESS", "ZZ1", nas, code] {
            assert!(!refused.stderr.contains(secret), "{}", refused.stderr);
        }
    }
    let received = dir
        .run(&["election", "show", LAW, "--node", &node.admin, "--data", "node", "--json"])
        .json();
    assert_eq!(received["received"], 0);
    dir.run_with_input(&["cast", "--node", &node.public, "--law", "NOPE"], b"")
        .fails(3, &["election"]);
    one(&dir, &unreachable_node(), &lines(&electors[0], "oui"), &[])
        .fails(4, &["cannot be reached", "hint: check the address, and that the node is running"]);
    one(&dir, "127.0.0.1", "", &[])
        .fails(2, &["is not the address of a node", "hint: such as http://127.0.0.1:8080"]);
    dir.run(&["cast", "--node", &node.public, nas, code]).fails(2, &["unexpected argument"]);
    dir.run(&["cast", "--node", &node.public, "--concurrency", "5"]).fails(2, &["--from"]);
}

#[test]
fn outside_the_poll_a_vote_is_refused() {
    let (dir, electors) = poll::drafted(5, &[]);
    let node = Node::serve(&dir);
    let admin = ["--node", &node.admin, "--data", "node"];
    one(&dir, &node.public, &lines(&electors[0], "oui"), &[]).fails(3, &["draft"]);
    dir.run(&[&["election", "open", LAW, "--yes"][..], &admin].concat()).succeeds();
    one(&dir, &node.public, &lines(&electors[0], "oui"), &[]).succeeds();
    dir.run(&[&["election", "close", LAW, "--yes"][..], &admin].concat()).succeeds();
    one(&dir, &node.public, &lines(&electors[1], "oui"), &[]).fails(3, &["closed"]);
}

/// Produces every outcome of `cast --from`. The last elector must be revoked.
fn every_outcome(dir: &TestDir, node: &Node, electors: &[Elector]) -> Vec<Outcome> {
    let mut said = Vec::new();
    let cast = ["cast", "--node", &node.public, "--from", "votes.csv"];
    // A spreadsheet that writes semicolons makes no difference.
    let votes = poll::votes(electors[..3].iter().zip(["oui", "non", "blanc"]));
    dir.write("votes.csv", votes.replace(',', ";"));
    said.push(dir.run(&[&cast[..], &["-o", "outcomes-1.csv"]].concat()));
    let again = poll::votes([
        (&electors[0], "non"),
        (electors.last().expect("one"), "oui"),
        (&electors[3], "peut-etre"),
    ]);
    let (nas, code) = (&electors[3].nas, &electors[3].code);
    let rest = [format!("{nas},ZZGUESS1,{LAW},oui\n"), format!("{nas},{code},NOPE,oui\n")];
    dir.write("votes.csv", again.clone() + &rest.concat());
    said.push(dir.run(&[&cast[..], &["-o", "outcomes-2.csv"]].concat()));
    // A file with a bad row is refused as a whole: the good vote in its first row is not cast
    // either.
    let bad = [
        format!("98765432,{code},{LAW},oui\n"),
        format!("{nas},ZZ|GUESS,{LAW},oui\n"),
        format!("{nas},{code},{},oui\n", "x".repeat(51)),
        format!("{nas},{code},{LAW},Oui\n"),
    ];
    dir.write("votes.csv", again + &bad.concat());
    said.push(dir.run(&[&cast[..], &["-o", "outcomes-3.csv"]].concat()));
    said
}

#[test]
fn each_row_of_a_file_has_its_outcome() {
    let (dir, electors) = poll::opened(6);
    poll::revoke(&dir, &electors[5]);
    dir.run(&["load", "supplement", "--data", "node"]).succeeds();
    let node = Node::serve(&dir);
    let said = every_outcome(&dir, &node, &electors);
    assert_eq!(said[0].succeeds(), "3 votes cast: 3 accepted\n");
    assert_eq!(said[1].succeeds(), "5 votes cast: 1 duplicate, 2 invalid, 2 refused\n");
    said[2].fails(
        3,
        &[
            "4 bad rows; nothing was cast",
            "votes.csv: line 5, nas: a NAS has exactly 9 digits, this one has 8",
            "votes.csv: line 6, code: an access code is made of letters A-Z and digits: character 3",
            "votes.csv: line 7, law_id: a law id has 1 to 50 characters, this one has 51",
            "votes.csv: line 8, vote: a choice has 1 to 50 characters",
        ],
    );
    assert!(!dir.exists("outcomes-3.csv"));
    let outcomes = |name: &str| -> Vec<Vec<String>> {
        let text = String::from_utf8(dir.read(name)).expect("UTF-8");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(
            reader.headers().expect("a header"),
            vec!["line", "outcome", "detail", "request_id"]
        );
        reader.records().map(|row| row.expect("CSV").iter().map(str::to_owned).collect()).collect()
    };
    for (index, row) in outcomes("outcomes-1.csv").iter().enumerate() {
        assert_eq!(
            (row[0].as_str(), row[1].as_str(), row[3].len()),
            (["2", "3", "4"][index], "accepted", 32)
        );
    }
    let expected = [
        ("2", "duplicate", "attempt 2"),
        ("3", "invalid", "revoked"),
        ("4", "refused", "unknown-choice"),
        ("5", "invalid", "unknown"),
        ("6", "refused", "unknown-election"),
    ];
    let found = outcomes("outcomes-2.csv");
    assert_eq!(found.len(), expected.len());
    for (row, (line, outcome, detail)) in found.iter().zip(expected) {
        assert!(row[0] == line && row[1] == outcome && row[2].starts_with(detail), "{row:?}");
        assert_eq!(row[3].is_empty(), outcome == "refused", "{row:?}");
    }
}

#[test]
fn files_that_cannot_be_cast_are_refused_whole() {
    let (dir, electors) = poll::opened(3);
    let node = Node::serve(&dir);
    let Elector { nas, code } = &electors[0];
    let (row, other) = (format!("{nas},{code},{LAW}"), &electors[1]);
    let other = format!("{},{},{LAW}", other.nas, other.code);
    for (bytes, said) in [
        (
            format!("nas,code,vote\n{nas},{code},oui\n").into_bytes(),
            &["votes.csv: line 1: the header has no column 'law_id'", "nas,code,law_id,vote"][..],
        ),
        (
            format!("nas,code,law_id,vote\n{row}\n").into_bytes(),
            &["votes.csv: line 2, vote: the row is cut short"],
        ),
        (
            b"nas,code,law_id,vote\n1,\xff,L,oui\n".to_vec(),
            &["line 2, code: the text is not valid UTF-8"],
        ),
        (Vec::new(), &["votes.csv: the file of votes is empty", "hint: "]),
        (b"nas,code,law_id,vote\n".to_vec(), &["a header but no row"]),
        // The first row is good; the unclosed quote would swallow the second.
        (
            format!("nas,code,law_id,vote,nom\n{row},oui,\"Roy\n{other},non,Cote\n").into_bytes(),
            &[
                "votes.csv: line 2, column 5: a quotation mark is opened and never closed",
                "nothing was cast",
            ],
        ),
        (
            format!("nas,code,law_id,vote,nom\n{row},oui,\"Roy\n{other},non,Cote\"\n").into_bytes(),
            &["line 2, column 5: a quotation mark seems to be missing"],
        ),
        (
            format!("nas,code,law_id,vote,vote\n{row},oui,non\n").into_bytes(),
            &["line 1: the header names the column 'vote' twice"],
        ),
        (
            format!("nas,code,law_id,vote\r{row},oui\r").into_bytes(),
            &[
                "line 1: the lines end with a carriage return (CR) alone",
                "hint: the lines end with CR alone",
            ],
        ),
        (
            format!("nas,code,law_id,vote\n{nas},{code}, {LAW},oui\n").into_bytes(),
            &["line 2, law_id: character 1 is U+0020 (a space), which is invisible"],
        ),
    ] {
        dir.write("votes.csv", &bytes);
        let refused =
            dir.run(&["cast", "--node", &node.public, "--from", "votes.csv", "-o", "out.csv"]);
        refused.fails(3, said);
        assert!(
            !refused.stderr.contains(nas.as_str()) && !refused.stderr.contains(code.as_str()),
            "{}",
            refused.stderr
        );
        assert!(!dir.exists("out.csv"));
        // A header that hashgen refuses too is refused in the same words.
        if bytes.contains(&b'\r') {
            let hashed = dir.run(&["hashgen", "votes.csv", "--out", "hashes-of-votes"]);
            assert_eq!((hashed.code, &hashed.stderr), (refused.code, &refused.stderr));
        }
    }
    let show = ["election", "show", LAW, "--node", &node.admin, "--data", "node", "--json"];
    assert_eq!(dir.run(&show).json()["received"], 0);
    dir.run(&["cast", "--node", &node.public, "--from", "nothing.csv"]).fails(3, &["nothing.csv"]);
    // Columns in any order and case, after a byte-order mark.
    dir.write(
        "votes.csv",
        format!("\u{feff}Vote,LAW_ID,note,CODE,nas\r\noui,{LAW},x,{code},{nas}\r\n"),
    );
    let printed = dir.run(&["cast", "--node", &node.public, "--from", "votes.csv"]);
    assert!(
        printed.succeeds().starts_with("line,outcome,detail,request_id\n2,accepted,,"),
        "{}",
        printed.stdout
    );
}

#[test]
fn a_node_that_is_not_there_loses_no_outcome() {
    let (dir, electors) = poll::opened(3);
    dir.write("votes.csv", poll::votes(electors.iter().map(|elector| (elector, "oui"))));
    let gone =
        dir.run(&["cast", "--node", &unreachable_node(), "--from", "votes.csv", "-o", "out.csv"]);
    gone.fails(
        4,
        &["3 of 3 votes got no answer", "cannot be reached", "hint: cast those rows again"],
    );
    let outcomes = String::from_utf8(dir.read("out.csv")).expect("UTF-8");
    assert_eq!(
        outcomes.lines().filter(|line| line.contains(",no-answer,")).count(),
        3,
        "{outcomes}"
    );
}

#[test]
fn no_nas_and_no_code_is_left_behind() {
    let (dir, electors) = poll::opened(6);
    poll::revoke(&dir, &electors[5]);
    dir.run(&["load", "supplement", "--data", "node"]).succeeds();
    let node = Node::serve_with(&dir, &["--rate-limit", "0", "--log-level", "trace"]);
    let mut said = every_outcome(&dir, &node, &electors);
    said.push(one(&dir, &node.public, &lines(&electors[4], "oui"), &["--receipt", "receipt"]));
    let metrics = Http::new().get(&node.metrics).body;
    for verb in ["close", "certify"] {
        said.push(dir.run(&[
            "election",
            verb,
            LAW,
            "--yes",
            "--node",
            &node.admin,
            "--data",
            "node",
        ]));
    }
    said.push(dir.run(&["export", "bundle", "bundle", "--node", &node.public]));
    said.push(dir.run(&["recount", "--data", "node", "--json"]));
    // While the node runs, its write-ahead log exists too.
    let mut outputs = vec![("metrics".to_owned(), metrics.into_bytes())];
    outputs.extend(
        said.iter()
            .flat_map(|outcome| [&outcome.stdout, &outcome.stderr])
            .map(|text| ("output".to_owned(), text.clone().into())),
    );
    outputs.extend(files_below(&dir.path("")).into_iter().map(|path| {
        let name = path.strip_prefix(dir.path("")).expect("below").to_string_lossy().into_owned();
        (name, fs::read(path).expect("readable"))
    }));
    outputs.retain(|(name, _)| !["roll.csv", "votes.csv", "lost.csv"].contains(&name.as_str()));
    for expected in [
        "node.log",
        "node/ledger.sqlite",
        "node/ledger.sqlite-wal",
        "outcomes-2.csv",
        "bundle/leaves.jsonl",
        "receipt",
    ] {
        assert!(
            outputs
                .iter()
                .any(|(name, bytes)| name == expected && (name == "node.log" || !bytes.is_empty())),
            "{expected} was not looked into"
        );
    }
    let guesses = ["98765432", "ZZGUESS1", "ZZ|GUESS"].map(str::to_owned);
    let secrets = electors
        .iter()
        .flat_map(|Elector { nas, code }| [nas.clone(), code.clone(), code.to_lowercase()])
        .chain(guesses);
    for secret in secrets {
        for (name, bytes) in &outputs {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "a NAS or a code stands in {name}");
        }
    }
    node.stop();
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let paths = support::names_in(folder).into_iter().map(|name| folder.join(name));
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
