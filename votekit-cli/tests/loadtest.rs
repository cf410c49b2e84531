//! `votekit loadtest` against a socket that answers every request with 202, and against a node.
#![cfg(feature = "loadtest")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::node::Node;
use support::poll;

/// Answers every request on every connection until the test ends.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(stream));
        }
    });
    url
}

/// Requests of the generators are small and arrive whole, one at a time: one read is one request.
fn answer(mut stream: TcpStream) {
    let body = r#"{"request_id":"000102030405060708090a0b0c0d0e0f","status":"pending"}"#;
    let answer = format!(
        "HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut request = [0; 4096];
    while matches!(stream.read(&mut request), Ok(1..))
        && stream.write_all(answer.as_bytes()).is_ok()
    {}
}

fn write_roll(folder: &Path, rows: u32) -> PathBuf {
    let rows: String = (1..=rows).map(|row| format!("L1,SECRET{row},{row:09}\n")).collect();
    let path = folder.join("roll.csv");
    std::fs::write(&path, format!("law_id,code,nas\n{rows}")).expect("write the roll");
    path
}

fn loadtest(url: &str, roll: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_votekit"));
    command
        .args(["loadtest", "--node", url, "--roll"])
        .arg(roll)
        .args(more)
        .output()
        .expect("run votekit")
}

#[test]
fn a_roll_that_hashgen_refuses_is_refused_in_the_same_words() {
    let folder = tempfile::tempdir().expect("folder");
    let roll = folder.path().join("roll.csv");
    for (text, said) in [
        (
            "nas,code,law_id\r000000042,SECRET42,L1\r",
            "the lines end with a carriage return (CR) alone",
        ),
        ("nas,code,code,law_id\n", "the header names the column 'code' twice"),
        (
            "nas,code,law_id,nom\n000000042,SECRET42,L1,\"Roy\n000000059,SECRET59,L1,Roy\n",
            "line 2, column 4: a quotation mark is opened and never closed",
        ),
        (
            "nas,code,law_id\n42,SECRET42,L1\n",
            "line 2, nas: a NAS has exactly 9 digits, this one has 2",
        ),
    ] {
        std::fs::write(&roll, text).expect("write the roll");
        let refused = loadtest("http://127.0.0.1:9", &roll, &["--users", "1", "--iterations", "1"]);
        let hashed = Command::new(env!("CARGO_BIN_EXE_votekit"))
            .args(["hashgen"])
            .arg(&roll)
            .arg("--out")
            .arg(folder.path().join("hashes"))
            .output()
            .expect("run votekit");
        let [refused_text, hashed_text] =
            [&refused, &hashed].map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
        assert_eq!(
            (refused.status.code(), hashed.status.code()),
            (Some(3), Some(3)),
            "{refused_text}"
        );
        assert!(refused_text.contains(said) && !refused_text.contains("SECRET"), "{refused_text}");
        // Only the outcome and the hint differ.
        let faulty_line =
            |text: &str| text.lines().find(|line| line.contains("line ")).map(str::to_owned);
        assert_eq!(faulty_line(&refused_text), faulty_line(&hashed_text));
    }
}

#[test]
fn a_rate_gives_a_report_in_json() {
    let folder = tempfile::tempdir().expect("folder");
    let roll = write_roll(folder.path(), 100);
    let (report, journal) =
        (folder.path().join("report.json"), folder.path().join("journal.jsonl"));
    let [report_text, journal_text] = [&report, &journal].map(|path| path.to_str().expect("text"));
    let more = [
        "--rate",
        "100",
        "--duration",
        "1s",
        "--json",
        "--report",
        report_text,
        "--journal",
        journal_text,
    ];
    let output = loadtest(&serve(), &roll, &more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&printed["planned"], &printed["taken"]), (&100.into(), &100.into()));
    assert_eq!(printed["to_taken_us"]["count"], 100);
    assert!(
        printed["generator"]["cpu_share"].is_number()
            && printed["to_taken_us"]["p99.9"].is_number()
    );
    let written: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&report).expect("the report")).expect("JSON");
    assert_eq!(written, printed);
    let journal = std::fs::read_to_string(journal).expect("the journal");
    assert!(journal.lines().count() == 202 && !journal.contains("SECRET"), "{journal}");
}

#[test]
fn mistakes_have_their_exit_codes() {
    let folder = tempfile::tempdir().expect("folder");
    let roll = write_roll(folder.path(), 10);
    let code = |url: &str, more: &[&str]| loadtest(url, &roll, more).status.code();
    let url = serve();
    assert_eq!(code(&url, &["--rate", "100"]), Some(2), "a rate needs a duration");
    assert_eq!(
        code(&url, &["--rate", "10", "--duration", "1s", "--users", "3"]),
        Some(2),
        "a rate has no users"
    );
    assert_eq!(code(&url, &["--rate", "10", "--duration", "1s", "--duplicates", "100%"]), Some(2));
    assert_eq!(code("ftp://127.0.0.1", &[]), Some(2));
    assert_eq!(
        code(&url, &["--rate", "100", "--duration", "1s"]),
        Some(3),
        "the roll is too small"
    );
    let existing = folder.path().join("journal.jsonl");
    std::fs::write(&existing, "kept").expect("write");
    let existing = existing.to_str().expect("text");
    assert_eq!(
        code(&url, &["--rate", "10", "--duration", "1s", "--journal", existing]),
        Some(4),
        "the journal exists"
    );
    let closed = TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address");
    assert_eq!(
        code(&format!("http://{closed}"), &["--rate", "10", "--duration", "1s"]),
        Some(4),
        "nobody is there"
    );
}

#[test]
fn goose_writes_its_reports() {
    let folder = tempfile::tempdir().expect("folder");
    let roll = write_roll(folder.path(), 500);
    let report = folder.path().join("report.json");
    let report_text = report.to_str().expect("text");
    let more = [
        "--users",
        "2",
        "--hatch-rate",
        "10",
        "--iterations",
        "3",
        "--report-file",
        report_text,
        "--json",
    ];
    let output = loadtest(&serve(), &roll, &more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("only JSON on standard output");
    assert!(summary["votes_by_kind"]["first"].as_u64().is_some_and(|votes| votes > 0), "{summary}");
    assert!(report.exists());
}

/// With `--wait` a node answers 200 once it has decided; such a vote counts as taken.
#[test]
fn votes_that_a_node_decides_while_the_client_waits_are_taken() {
    let (dir, _) = poll::opened(120);
    let node = Node::serve(&dir);
    let run = |more: &[&str]| {
        let fixed = ["loadtest", "--roll", "roll.csv", "--wait", "10", "--json"];
        let limits = ["--node", &node.public, "--fail-if", "errors>0"];
        dir.run(&[&fixed[..], &limits, more].concat()).json()
    };
    let report = run(&["--rate", "50", "--duration", "1s", "--duplicates", "10%"]);
    assert_eq!((&report["taken"], &report["answers_by_status"]["200"]), (&50.into(), &50.into()));
    let report = run(&["--users", "2", "--hatch-rate", "10", "--iterations", "5"]);
    assert_eq!(report["errors"], serde_json::json!([]), "{report}");
    node.stop();
}

/// Refuses every vote, like a node whose poll is not open.
fn refuse() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let body = r#"{"code":"not-open-yet"}"#;
                let head = "HTTP/1.1 409 Conflict\r\ncontent-type: application/problem+json";
                let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let mut request = [0; 4096];
                while matches!(stream.read(&mut request), Ok(1..))
                    && stream.write_all(answer.as_bytes()).is_ok()
                {}
            });
        }
    });
    url
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_run_in_which_no_vote_is_taken_fails_and_names_each_kind_of_error_once() {
    let folder = tempfile::tempdir().expect("folder");
    let roll = write_roll(folder.path(), 200);
    let url = refuse();
    let (code, stdout, stderr) =
        said(&loadtest(&url, &roll, &["--rate", "50", "--duration", "1s"]));
    assert_eq!(code, Some(4), "{stderr}");
    assert!(stderr.contains("none of 50 votes was accepted"), "{stderr}");
    assert_eq!(stdout.matches("http 409 not-open-yet").count(), 1, "{stdout}");
    let users = ["--users", "2", "--hatch-rate", "10", "--iterations", "20"];
    let (code, stdout, stderr) = said(&loadtest(&url, &roll, &users));
    assert_eq!(code, Some(4), "{stderr}");
    assert_eq!(stdout.matches("http 409 not-open-yet").count(), 1, "{stdout}");
    assert!(!stderr.contains("WARN"), "{stderr}");
}

#[test]
fn a_threshold_that_is_reached_fails_the_run() {
    let folder = tempfile::tempdir().expect("folder");
    let roll = write_roll(folder.path(), 500);
    let url = serve();
    let rate = ["--rate", "50", "--duration", "1s", "--json"];
    let run = |more: &[&str]| said(&loadtest(&url, &roll, &[&rate[..], more].concat()));
    assert_eq!(run(&["--fail-if", "errors>0", "--fail-if", "p99>1000s"]).0, Some(0));
    let (code, stdout, stderr) = run(&["--fail-if", "rate>0", "--fail-if", "max>=0us"]);
    assert_eq!(code, Some(5), "{stderr}");
    assert!(stderr.contains("rate>0: it was ") && stderr.contains("max>=0us: it was "), "{stderr}");
    serde_json::from_str::<serde_json::Value>(&stdout).expect("the report is there all the same");
    let (code, _, stderr) = run(&["--fail-if", "p98>1ms"]);
    assert!(code == Some(2) && stderr.contains("'p98' is not measured"), "{stderr}");
    let (code, _, stderr) = said(&loadtest(&url, &roll, &["--fail-if", "p99>1ms"]));
    assert!(code == Some(2) && stderr.contains("measured with --rate only"), "{stderr}");
}
