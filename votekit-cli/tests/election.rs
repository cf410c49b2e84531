//! `votekit election`: the states of an election, offline and on a running node.
#![cfg(feature = "node")]

mod support;

use support::TestDir;
use support::http::Http;
use support::node::Node;
use support::poll::{self, LAW};

const DATA: [&str; 2] = ["--data", "node"];

fn election(dir: &TestDir, verb: &str, more: &[&str]) -> support::Outcome {
    let asks = ["open", "close", "certify", "purge"];
    let certain: &[&str] = if asks.contains(&verb) { &["--yes"] } else { &[] };
    dir.run(&[&["election", verb, LAW][..], certain, more].concat())
}

fn create(dir: &TestDir, law: &str, more: &[&str]) -> support::Outcome {
    dir.run(
        &[
            &[
                "election",
                "create",
                law,
                "--title-fr",
                "Eau",
                "--title-en",
                "Water",
                "--data",
                "node",
            ][..],
            more,
        ]
        .concat(),
    )
}

#[test]
fn the_states_follow_one_another_offline() {
    let (dir, _) = poll::loaded(3);
    let drafted = create(&dir, LAW, &[]);
    let lines: Vec<&str> = drafted.succeeds().lines().collect();
    assert_eq!(
        lines[..4],
        [
            "L2025-001: Eau / Water",
            "  state        draft (not binding)",
            "  choices      oui, non",
            "  results      live"
        ]
    );
    assert_eq!(
        lines[4..7],
        ["  opens        not set", "  closes       not set", "  registered   3"]
    );
    assert!(!drafted.stderr.contains("no loaded roll"), "{}", drafted.stderr);
    create(&dir, LAW, &[]).fails(3, &["the election L2025-001 already exists"]);
    // An id that no roll has is noticed.
    let mistyped = create(&dir, "l2025-001", &[]);
    assert!(mistyped.succeeds().contains("  registered   0\n"), "{}", mistyped.stdout);
    assert!(
        mistyped.stderr.contains("warning: no loaded roll has the law l2025-001")
            && mistyped.stderr.contains("the loaded rolls have L2025-001\n"),
        "{}",
        mistyped.stderr
    );
    let log_size = |dir: &TestDir| {
        election(dir, "show", &[&DATA[..], &["--json"]].concat()).json()["log_size"].as_u64()
    };
    for (wrong, wanted) in [("close", "closed"), ("certify", "certified"), ("purge", "purged")] {
        let before = log_size(&dir);
        election(&dir, wrong, &DATA).fails(3, &["the election is draft", wanted]);
        assert_eq!(log_size(&dir), before, "{wrong} left something in the log");
    }
    assert!(election(&dir, "open", &DATA).succeeds().contains("  state        open (not binding)"));
    for wrong in ["open", "certify", "purge"] {
        election(&dir, wrong, &DATA).fails(3, &["the election is open"]);
    }
    assert!(
        election(&dir, "close", &DATA).succeeds().contains("  state        closed (not binding)")
    );
    for wrong in ["open", "close", "purge"] {
        election(&dir, wrong, &DATA).fails(3, &["the election is closed"]);
    }
    assert!(
        election(&dir, "certify", &DATA)
            .succeeds()
            .contains("  state        certified (not binding)")
    );
    for wrong in ["open", "close", "certify"] {
        election(&dir, wrong, &DATA).fails(3, &["the election is certified"]);
    }
    let purged = election(&dir, "purge", &DATA);
    purged.succeeds();
    let peppers = std::fs::read_dir(dir.path("node/keys/pepper")).expect("a folder");
    let names: Vec<_> = peppers.map(|entry| entry.expect("a file").file_name()).collect();
    let [pepper] = names.as_slice() else { panic!("{names:?}") };
    let file = format!("node/keys/pepper/{}", pepper.to_str().expect("text"));
    assert!(
        purged.stderr.contains(&format!("{file}, the pepper of the roll, stays: delete it")),
        "{}",
        purged.stderr
    );
    // No election needs it any more.
    std::fs::remove_file(dir.path(&file)).expect("removed");
    election(&dir, "show", &DATA).succeeds();
}

#[test]
fn elections_that_break_a_rule_are_not_created() {
    let (dir, _) = poll::loaded(3);
    for (more, code, said) in [
        (&["--opens", "2026-11-21T08:00:00"][..], 3, "opens: expected a time with its offset"),
        (&["--closes", "tomorrow"], 3, "closes: expected a time with its offset"),
        (
            &["--opens", "2036-11-22T08:00:00-05:00", "--closes", "2036-11-22T13:00:00Z"],
            3,
            "no later than it opens",
        ),
        (
            &["--closes", "2020-01-01T00:00:00Z"],
            3,
            "closes: the poll would close at 2020-01-01T00:00:00Z, and it is",
        ),
        (
            &["--opens", "2020-01-01T00:00:00Z"],
            3,
            "opens: the poll would open at 2020-01-01T00:00:00Z, and it is",
        ),
        (&["--choice", "seul"], 3, "2 to 100 choices, this one has 1"),
        (&["--choice", "a", "--choice", "a"], 3, "the choice 'a' is given twice"),
        (&["--choice", "a|b", "--choice", "c"], 3, "choices: a choice has 1 to 50 characters"),
        (&["--results", "sometimes"], 2, "live, after_vote and after_close"),
        (&["--publish-every", "0"], 2, "--publish-every"),
        (&["--title-fr", "", "--blank"], 2, "--title-fr"),
    ] {
        create(&dir, LAW, more).fails(code, &[said]);
    }
    dir.run(&["election", "create", LAW, "--title-fr", "", "--title-en", "W", "--data", "node"])
        .fails(3, &["title"]);
    create(&dir, &"x".repeat(51), &[]).fails(2, &["a law id has 1 to 50 characters"]);
    create(&dir, "a|b", &[]).fails(2, &["<LAW_ID>"]);
    create(&dir, LAW, &["--node", "ftp://x"]).fails(2, &["hint: such as http://127.0.0.1:8080"]);
    let list = dir.run(&["election", "list", "--data", "node"]);
    assert_eq!(list.succeeds(), "no elections\n");
    assert_eq!(support::names_in(&dir.path("node/keys/ballot")), Vec::<String>::new());
    election(&dir, "show", &DATA).fails(
        3,
        &[
            "there is no election L2025-001",
            "hint: list the elections with `votekit election list`",
        ],
    );
    election(&dir, "show", &["--data", "elsewhere"])
        .fails(3, &["the data folder elsewhere does not exist", "hint: "]);
    assert!(!dir.exists("elsewhere"));
    election(&dir, "show", &[]).fails(2, &["--data"]);
}

#[test]
fn choices_have_labels_and_times_are_shown_in_utc() {
    let (dir, _) = poll::loaded(3);
    let choices = [
        "--choice",
        "tremblay=Alice Tremblay",
        "--choice",
        "roy=Jean Roy|John Roy",
        "--choice",
        "aucun",
        "--blank",
    ];
    let times = ["--opens", "2036-11-21T08:00:00-05:00", "--closes", "2036-11-22T08:00:00-05:00"];
    let texts = [
        "--description-fr",
        "Qui?",
        "--description-en",
        "Who?",
        "--results",
        "after_vote",
        "--publish-every",
        "5",
        "--json",
    ];
    let made = create(&dir, "MAIRE-2025", &[&choices[..], &times, &texts].concat()).json();
    assert_eq!(
        made["choices"],
        serde_json::json!([
            { "id": "tremblay", "fr": "Alice Tremblay", "en": "Alice Tremblay" },
            { "id": "roy", "fr": "Jean Roy", "en": "John Roy" },
            { "id": "aucun", "fr": "aucun", "en": "aucun" },
            { "id": "blanc", "fr": "Bulletin blanc", "en": "Blank ballot" },
        ])
    );
    assert_eq!(
        (&made["opens"], &made["closes"]),
        (&"2036-11-21T13:00:00Z".into(), &"2036-11-22T13:00:00Z".into())
    );
    assert_eq!(made["description"], serde_json::json!({ "fr": "Qui?", "en": "Who?" }));
    assert_eq!(
        (&made["results"], &made["state"], &made["binding"]),
        (&"after_vote".into(), &"draft".into(), &false.into())
    );
    create(&dir, LAW, &[]).succeeds();
    let list = dir.run(&["election", "list", "--data", "node"]);
    let rows: Vec<&str> =
        list.succeeds().lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(rows, [LAW, "MAIRE-2025"]);
    assert_eq!(
        dir.run(&["election", "list", "--data", "node", "--json"]).json().as_array().map(Vec::len),
        Some(2)
    );
}

#[test]
fn no_poll_opens_without_a_roll() {
    let (dir, _) = poll::loaded(3);
    create(&dir, "L2", &[]).succeeds();
    dir.run(&["election", "open", "L2", "--yes", "--data", "node"])
        .fails(3, &["no roll has been loaded for this election"]);
}

#[test]
fn a_binding_election_names_every_rule_it_lacks() {
    let (dir, _) = poll::hashed(3);
    dir.run(&["hashgen", "roll.csv", "--out", "plain"]).succeeds();
    dir.run(&["load", "plain", "--data", "node"]).succeeds();
    create(&dir, LAW, &["--binding", "--results", "live"]).succeeds();
    let (pepper, results, tls) =
        ("hashed under a pepper", "shown after the close only", "reach the node over TLS");
    let refused = |dir: &TestDir, more: &[&str], missing: &[&str], met: &[&str]| {
        let outcome = election(dir, "open", &[&DATA[..], more].concat());
        outcome.fails(3, &["a binding election cannot open"]);
        outcome.fails(3, missing);
        assert!(met.iter().all(|rule| !outcome.stderr.contains(rule)), "{}", outcome.stderr);
    };
    refused(&dir, &[], &[pepper, results, tls, "must be named after your organisation"], &[]);
    refused(&dir, &["--waive", "results"], &[pepper, tls], &[results]);
    refused(&dir, &["--behind-tls-proxy"], &[pepper, results], &[tls]);
    election(&dir, "open", &["--waive", "tls", "--data", "node"])
        .fails(3, &["'tls' is not a rule that can be waived"]);
    // The verifier refuses a binding log that is named as a test.
    let (dir, _) = poll::hashed(3);
    let named = ["--log-base", "elections.example/test", "--pepper-file", "referendum.pepper"];
    dir.run(&[&["load", "hashes", "--data", "node"][..], &named].concat()).succeeds();
    create(&dir, LAW, &["--binding"]).succeeds();
    refused(&dir, &["--behind-tls-proxy"], &["must not have the name of a test"], &[tls]);
    // The default is after_close, so with a pepper only TLS is missing.
    let (dir, _) = poll::drafted(3, &["--binding"]);
    refused(&dir, &[], &[tls], &[pepper, results]);
    let opened = election(&dir, "open", &["--behind-tls-proxy", "--data", "node"]);
    assert!(opened.succeeds().contains("  state        open (binding)"));
    assert!(
        opened.stdout.contains("leaves, elections.example/L2025-001\n"),
        "a binding log is not under /test/"
    );
    // A waiver is recorded in the public log.
    let (dir, _) = poll::drafted(3, &["--binding", "--results", "live"]);
    election(&dir, "open", &["--waive", "results", "--behind-tls-proxy", "--data", "node"])
        .succeeds();
    dir.run(&["export", "bundle", "bundle", "--data", "node"]).succeeds();
    assert!(
        String::from_utf8_lossy(&dir.read("bundle/leaves.jsonl"))
            .contains("\"waivers\":[\"results\"]")
    );
}

#[test]
fn a_running_node_is_administered_with_its_token() {
    let (dir, electors) = poll::drafted(3, &[]);
    let node = Node::serve(&dir);
    let admin = ["--node", &node.admin, "--data", "node"];
    election(&dir, "open", &DATA)
        .fails(4, &["node is in use by another votekit process", "hint: ", "--node"]);
    // Reading takes no lock.
    assert!(election(&dir, "show", &DATA).succeeds().contains("  state        draft"));
    election(&dir, "show", &["--node", &node.admin])
        .fails(2, &["administrator's token", "hint: ", "--token-file"]);
    dir.write("token", "00".repeat(32));
    let wrong = election(&dir, "open", &["--node", &node.admin, "--token-file", "token"]);
    wrong.fails(4, &["administrator's token of its data folder", "hint: "]);
    assert!(!wrong.stderr.contains("0000"), "{}", wrong.stderr);
    assert_eq!(
        election(&dir, "show", &[&admin[..], &["--json"]].concat()).json()["state"],
        "draft"
    );
    election(&dir, "open", &["--node", &node.public, "--data", "node"]).fails(3, &[]);
    let closed_port = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address");
    let unused_address = format!("http://{closed_port}");
    election(&dir, "open", &["--node", &unused_address, "--data", "node"])
        .fails(4, &["cannot be reached", "hint: check the address, and that the node is running"]);
    assert!(election(&dir, "open", &admin).succeeds().contains("  state        open"));
    election(&dir, "open", &admin).fails(3, &["it cannot be"]);
    dir.run(&[&["election", "close", "NOPE", "--yes"][..], &admin].concat())
        .fails(3, &["election"]);
    let http = Http::new();
    assert_eq!(
        http.vote(&node.public, &electors[0], "oui", "k", 10).expect("an answer").json()["status"],
        "accepted"
    );
    let closed = election(&dir, "close", &[&admin[..], &["--json"]].concat()).json();
    assert_eq!(
        (&closed["state"], &closed["accepted"], &closed["received"]),
        (&"closed".into(), &1.into(), &1.into())
    );
    let late = http.vote(&node.public, &electors[1], "oui", "k", 10).expect("an answer");
    assert_eq!((late.status, &late.json()["code"]), (409, &"closed".into()));
    assert_eq!(support::mode_of(&dir.path("node/keys/admin-token")), 0o600);
    let json = election(&dir, "open", &[&admin[..], &["--json"]].concat());
    let error: serde_json::Value = serde_json::from_str(&json.stderr).expect("JSON");
    assert_eq!((json.code, &error["error"]["kind"]), (3, &"bad-input".into()), "{}", json.stderr);
    node.stop();
}

#[test]
fn a_close_under_way_leaves_no_vote_behind() {
    let (dir, electors) = poll::opened(300);
    let node = Node::serve(&dir);
    let answered = std::thread::scope(|scope| {
        let casting: Vec<_> = electors
            .chunks(100)
            .map(|share| {
                let public = node.public.clone();
                scope.spawn(move || {
                    let http = Http::new();
                    let answers = share.iter().map(|elector| {
                        http.vote(&public, elector, "oui", "k", 0).expect("an answer")
                    });
                    answers.map(|answer| (answer.status, answer.body)).collect::<Vec<_>>()
                })
            })
            .collect();
        let http = Http::new();
        while http.get(&format!("{}/api/v1/elections/{LAW}", node.public)).json()["accepted"]
            .as_u64()
            < Some(20)
        {}
        election(&dir, "close", &["--node", &node.admin, "--data", "node"]).succeeds();
        casting.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    let taken = answered.iter().filter(|(status, _)| *status == 202).count();
    let refused = answered
        .iter()
        .filter(|(status, body)| *status == 409 && body.contains("votekit:closed"))
        .count();
    assert_eq!(taken + refused, 300, "an answer was neither: {:?}", answered.last());
    let closed =
        election(&dir, "show", &["--node", &node.admin, "--data", "node", "--json"]).json();
    assert_eq!(
        (&closed["state"], &closed["received"], &closed["accepted"]),
        (&"closed".into(), &taken.into(), &taken.into())
    );
    assert!(
        dir.run(&["recount", "--data", "node"])
            .succeeds()
            .contains("the published totals are confirmed")
    );
    node.stop();
}

/// The log has the documented default, and a smaller number causes a warning.
#[test]
fn results_move_by_twenty_votes_unless_it_is_asked_for_otherwise() {
    for (policy, every) in [("live", "1"), ("live", "19"), ("after_vote", "5")] {
        let (dir, _) = poll::loaded(3);
        let created = create(&dir, LAW, &["--results", policy, "--publish-every", every]);
        created.succeeds();
        let said = format!("warning: with results {policy} and publish_every {every}");
        assert!(created.stderr.contains(&said), "{}", created.stderr);
    }
    for policy in ["live", "after_vote", "after_close"] {
        let (dir, _) = poll::loaded(3);
        let created = create(&dir, LAW, &["--results", policy]);
        created.succeeds();
        assert!(!created.stderr.contains("publish_every"), "{}", created.stderr);
        dir.run(&["export", "bundle", "bundle", "--data", "node"]).succeeds();
        let leaves = dir.read("bundle/leaves.jsonl");
        assert!(String::from_utf8_lossy(&leaves).contains(r#""publish_every":20"#));
    }
}

#[test]
fn a_draft_can_be_amended_and_an_election_annulled() {
    let (dir, _) = poll::drafted(3, &["--blank"]);
    let amend = |more: &[&str]| dir.run(&[&["election", "amend", LAW][..], &DATA, more].concat());
    let times = ["--opens", "2036-11-21T08:00:00-05:00", "--closes", "2036-11-22T08:00:00-05:00"];
    let changed = amend(
        &[&times[..], &["--title-en", "The Water Act", "--choice", "a=A", "--choice", "b"]]
            .concat(),
    );
    let said = changed.succeeds();
    assert!(said.starts_with("L2025-001: Loi sur l’eau / The Water Act\n"), "{said}");
    for line in [
        "  choices      a, b\n",
        "  closes       2036-11-22T08:00:00-05:00 (2036-11-22T13:00:00Z)\n",
        "  registered   3\n",
    ] {
        assert!(said.contains(line), "no {line:?} in {said}");
    }
    let unplanned = amend(&["--opens", "none", "--closes", "none"]);
    assert!(!unplanned.succeeds().contains("2036-11"), "{}", unplanned.stdout);
    amend(&["--closes", "tomorrow"]).fails(3, &["closes"]);
    amend(&times).succeeds();
    amend(&["--closes", "2020-01-01T00:00:00Z"]).fails(3, &["the poll closes (2020-01-01"]);
    amend(&["--title-fr", ""]).fails(3, &["title"]);
    let warned = amend(&["--publish-every", "1"]);
    warned.succeeds();
    assert!(warned.stderr.contains("warning: with results live and publish_every 1"));
    // From the log alone, and on a running node.
    let shown = election(&dir, "show", &[&DATA[..], &["--json"]].concat()).json();
    assert_eq!(
        (&shown["title"]["en"], &shown["choices"][0]["id"]),
        (&"The Water Act".into(), &"a".into())
    );
    let node = Node::serve(&dir);
    let admin = ["--node", &node.admin, "--data", "node"];
    dir.run(&[&["election", "amend", LAW, "--title-fr", "Eau"][..], &admin].concat()).succeeds();
    let annul = ["election", "annul", LAW, "--reason", "liste erronée"];
    dir.run(&[&annul[..], &admin].concat()).fails(2, &["cannot be undone", "hint: give --yes"]);
    // A draft is amended and an open poll is closed: only a closed election can be annulled.
    dir.run(&[&annul[..], &["--yes"], &admin].concat()).fails(3, &["the election is draft"]);
    let opens = |at| dir.run(&[&["election", "amend", LAW, "--opens", at][..], &admin].concat());
    opens("2020-01-01T00:00:00Z").fails(3, &["opens: the poll would open at 2020-01-01"]);
    opens("none").succeeds();
    election(&dir, "open", &admin).succeeds();
    election(&dir, "close", &[&admin[..], &["--early", "liste erronée"]].concat()).succeeds();
    let annulled = dir.run(&[&annul[..], &["--yes"], &admin].concat());
    assert!(annulled.succeeds().contains("  state        annulled"), "{}", annulled.stdout);
    election(&dir, "certify", &admin).fails(3, &["the election is annulled"]);
    node.stop();
    amend(&["--title-fr", "Loi"]).fails(3, &["the election is annulled: it cannot be amended"]);
}

const MEMBERS: [&str; 2] = ["--members", "members.csv"];
const LINKS: [&str; 4] = ["--csv", "links.csv", "--url", "https://vote.example.org"];
const LINK: &str = "https://vote.example.org/fr/accounts/invitation?token=";

fn no_election(dir: &TestDir) {
    assert_eq!(dir.run(&["election", "list", "--data", "node"]).succeeds(), "no elections\n");
}

#[test]
fn an_election_of_members_makes_their_accounts_and_links() {
    let (dir, _) = poll::loaded(3);
    dir.write("members.csv", "name,Email\nAlice Roy,Alice@example.org\n,bob@example.org\n");
    let created = create(&dir, "LOGO-2026", &[&MEMBERS[..], &LINKS].concat());
    let said = created.succeeds();
    assert!(said.contains("\n  registered   2\n"), "{said}");
    assert!(said.ends_with("\n2 links written to links.csv\n"), "{said}");
    assert!(!said.contains("token=") && created.stderr.is_empty(), "{said}{}", created.stderr);
    assert_eq!(support::mode_of(&dir.path("links.csv")), 0o600);
    let written = String::from_utf8(dir.read("links.csv")).expect("UTF-8");
    let lines: Vec<&str> = written.split("\r\n").collect();
    assert_eq!(lines[0], "\u{feff}email,role,link,expires");
    assert!(lines[1].starts_with(&format!("alice@example.org,voter,{LINK}")), "{}", lines[1]);
    assert!(lines[2].starts_with(&format!("bob@example.org,voter,{LINK}")), "{}", lines[2]);
    let accounts = dir.run(&["user", "list", "--data", "node", "--json"]).json();
    for (index, email) in ["alice@example.org", "bob@example.org"].into_iter().enumerate() {
        let account = &accounts[index];
        assert_eq!((&account["email"], &account["role"]), (&email.into(), &"voter".into()));
        assert_eq!(account["state"], "invited");
    }
    dir.run(&["election", "open", "LOGO-2026", "--yes", "--data", "node"]).succeeds();

    // A file is never overwritten, and nothing is created without its links.
    let again = create(&dir, "LOGO-2027", &[&MEMBERS[..], &LINKS].concat());
    again.fails(4, &["links.csv already exists"]);
    let elections = dir.run(&["election", "list", "--data", "node", "--json"]).json();
    assert_eq!(elections.as_array().map(Vec::len), Some(1));
    // Printed, if there is no file: new links, because the earlier links were not followed.
    let printed = create(&dir, "LOGO-2027", &MEMBERS);
    let link = "http://127.0.0.1:8080/fr/accounts/invitation?token=";
    assert_eq!(printed.succeeds().matches(link).count(), 2, "{}", printed.stdout);
    assert!(printed.stderr.starts_with("warning: http://127.0.0.1:8080 leads to the machine"));
}

#[test]
fn a_bad_row_of_members_creates_nothing() {
    let (dir, _) = poll::loaded(3);
    let add = ["user", "add", "official@example.org", "--role", "auditor", "--data", "node"];
    dir.run(&add).succeeds();
    let refuse = |rows: &str, texts: &[&str]| {
        dir.write("members.csv", format!("email,name\nalice@example.org,A\n{rows}"));
        let refused = create(&dir, "LOGO-2026", &[&MEMBERS[..], &LINKS].concat());
        refused.fails(3, texts);
        assert!(!dir.exists("links.csv"), "links to no accounts");
        no_election(&dir);
        let accounts = dir.run(&["user", "list", "--data", "node", "--json"]).json();
        assert_eq!(accounts.as_array().map(Vec::len), Some(1), "{rows}");
    };
    refuse("bob@,B\n", &["1 bad row; nothing was created", "members.csv: line 3, email: "]);
    refuse("Alice@Example.org,B\n", &["members.csv: line 3, email: the same as on line 2"]);
    refuse(",B\n", &["members.csv: line 3, email: the row has no e-mail address", "column email"]);
    refuse(
        "bob@example.org,B\nofficial@example.org,C\n",
        &[
            "1 bad row; nothing was created",
            "members.csv: line 4, email: is the address of an official",
            "votekit user list",
        ],
    );
    dir.write("members.csv", "name\nAlice\n");
    let refused = create(&dir, "LOGO-2026", &MEMBERS);
    refused.fails(3, &["line 2, email: the row has no e-mail address"]);
    dir.write("members.csv", "email\n");
    create(&dir, "LOGO-2026", &MEMBERS).fails(3, &["a header but no member"]);
    create(&dir, "LOGO-2026", &["--members", "absent.csv"]).fails(3, &["cannot read absent.csv"]);
    create(&dir, "LOGO-2026", &["--members", "members.csv", "--binding"]).fails(2, &["--binding"]);
    create(&dir, "LOGO-2026", &LINKS).fails(2, &["--members"]);
    no_election(&dir);
    // The law of a roll has its electors already.
    dir.write("members.csv", "email\nalice@example.org\n");
    create(&dir, LAW, &MEMBERS).fails(3, &["L2025-001 already has another roll"]);
    no_election(&dir);
}

#[test]
fn a_running_node_makes_an_election_of_members() {
    let dir = TestDir::new();
    let node = Node::serve(&dir);
    let admin = ["--node", &node.admin, "--json"];
    dir.write("members.csv", "email\nalice@example.org\nofficial@example.org\n");
    let add = ["user", "add", "official@example.org", "--role", "observer", "--data", "node"];
    dir.run(&add).succeeds();
    let refused = create(&dir, "LOGO-2026", &[&MEMBERS[..], &admin].concat());
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    // A line of warning comes before the error.
    let error = refused.stderr.lines().last().expect("an error");
    let error: serde_json::Value = serde_json::from_str(error).expect("JSON");
    let fault = &error["error"]["details"]["faults"][0];
    assert_eq!((&fault["line"], &fault["field"]), (&3.into(), &"email".into()));
    dir.write("members.csv", "email\nalice@example.org\n");
    let more = [&MEMBERS[..], &["--url", "https://vote.example.org"], &admin].concat();
    let created = create(&dir, "LOGO-2026", &more).json();
    assert_eq!((&created["state"], &created["registered"]), (&"draft".into(), &1.into()));
    let invited = &created["invitations"]["accounts"];
    assert_eq!(invited.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&invited[0]["email"], &invited[0]["role"]),
        (&"alice@example.org".into(), &"voter".into())
    );
    assert!(invited[0]["link"].as_str().expect("a link").starts_with(LINK), "{created}");
    node.stop();
}
