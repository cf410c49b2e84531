//! `votekit user`: officials are invited, listed, disabled and reset, in the data folder and beside
//! a running node.
#![cfg(feature = "node")]

mod support;

use std::fs;

use rusqlite::Connection;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use support::node::Node;
use support::poll;
use support::{Outcome, TestDir, mode_of, names_in};

const DATA: [&str; 2] = ["--data", "node"];
const URL: [&str; 2] = ["--url", "https://vote.example.org"];
const LINK: &str = "https://vote.example.org/fr/accounts/invitation?token=";

fn user(dir: &TestDir, arguments: &[&str]) -> Outcome {
    dir.run(&[&["user"], arguments, &DATA].concat())
}

fn add(dir: &TestDir, emails: &[&str], role: &str) -> Outcome {
    user(dir, &[&["add"], emails, &["--role", role], &URL].concat())
}

fn list(dir: &TestDir) -> Value {
    user(dir, &["list", "--json"]).json()
}

/// The states of the accounts, by address.
fn states(dir: &TestDir) -> Vec<(String, String)> {
    let listed = list(dir);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let rows = listed.as_array().expect("a list").iter();
    rows.map(|row| (text(&row["email"]), text(&row["state"]))).collect()
}

fn accounts(dir: &TestDir) -> Connection {
    Connection::open(dir.path("node/accounts.sqlite")).expect("the accounts")
}

/// Makes an account active, as its holder does with the link.
fn accept(dir: &TestDir, email: &str) {
    let sql = "UPDATE account SET state = 'active', password = 'hash', totp = x'0102', \
               invitation = NULL, invitation_expires = NULL, version = version + 1 WHERE email = ?1";
    assert_eq!(accounts(dir).execute(sql, [email]).expect("SQL"), 1, "{email}");
}

fn tokens(text: &str) -> Vec<String> {
    let links = text.split(LINK).skip(1);
    let is_of_token = |c: &char| c.is_ascii_alphanumeric() || ['-', '_'].contains(c);
    links.map(|rest| rest.chars().take_while(is_of_token).collect()).collect()
}

#[test]
fn officials_are_invited_by_links_whose_tokens_are_stored_nowhere() {
    let (dir, _) = poll::loaded(3);
    let invited = add(&dir, &["B@example.org", "a@example.org"], "administrator");
    let tokens = tokens(invited.succeeds());
    assert!(invited.stderr.is_empty(), "{}", invited.stderr);
    assert_eq!(tokens.len(), 2, "{}", invited.stdout);
    assert!(invited.stdout.starts_with("b@example.org (administrator), until 2"));
    assert_ne!(tokens[0], tokens[1]);
    let connection = accounts(&dir);
    for (token, email) in tokens.iter().zip(["b@example.org", "a@example.org"]) {
        assert_eq!(token.len(), 43, "32 bytes in base64url: {token}");
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let sql = "SELECT email FROM account WHERE invitation = ?1";
        let found: String =
            connection.query_row(sql, [digest], |row| row.get(0)).expect("an account");
        assert_eq!(found, email);
        for name in names_in(&dir.path("node")) {
            let Ok(bytes) = fs::read(dir.path("node").join(&name)) else { continue };
            let found = bytes.windows(token.len()).any(|window| window == token.as_bytes());
            assert!(!found, "a token stands in {name}");
        }
    }
    drop(connection);
    assert_eq!(mode_of(&dir.path("node/accounts.sqlite")), 0o600);
    let listed = list(&dir);
    assert_eq!(
        (&listed[0]["email"], &listed[1]["email"]),
        (&"a@example.org".into(), &"b@example.org".into())
    );
    assert_eq!(listed[0]["role"], "administrator");
    assert_eq!(listed[0]["state"], "invited");
    assert_eq!(listed[0]["second_factor"], false);
    assert!(listed[0]["created"].as_str() < listed[0]["link_expires"].as_str(), "{listed}");
    let printed = user(&dir, &["list"]);
    let lines: Vec<&str> = printed.succeeds().lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("email          role "), "{}", lines[0]);
    assert!(lines[1].starts_with("a@example.org  administrator  invited   2"), "{}", lines[1]);
    assert!(lines[1].contains("Z  no (link until 2"), "{}", lines[1]);
    // For programs.
    let json =
        user(&dir, &[&["add", "c@example.org", "--role", "auditor", "--json"], &URL[..]].concat())
            .json();
    assert_eq!(json["accounts"][0]["email"], "c@example.org");
    assert!(json["accounts"][0]["link"].as_str().expect("a link").starts_with(LINK));
}

#[test]
fn a_file_of_officials_gets_a_private_file_of_links() {
    let (dir, _) = poll::loaded(3);
    dir.write(
        "officials.csv",
        "Email;Role;Name\r\n=1+1@example.org;Auditor;A\r\nb@example.org;observer;B\r\n",
    );
    let from = [&["add", "--from", "officials.csv", "--csv", "links.csv"], &URL[..]].concat();
    let invited = user(&dir, &from);
    assert_eq!(invited.succeeds(), "2 links written to links.csv\n");
    assert_eq!(mode_of(&dir.path("links.csv")), 0o600);
    let written = String::from_utf8(dir.read("links.csv")).expect("UTF-8");
    let lines: Vec<&str> = written.split("\r\n").collect();
    assert_eq!(lines[0], "\u{feff}email,role,link,expires");
    assert!(lines[1].starts_with(&format!("'=1+1@example.org,auditor,{LINK}")), "{}", lines[1]);
    assert!(lines[2].starts_with(&format!("b@example.org,observer,{LINK}")), "{}", lines[2]);
    assert_eq!((lines[3], lines.len()), ("", 4));
    let token = &tokens(&written)[0];
    assert!(!invited.stdout.contains(token) && !invited.stderr.contains(token));
    // A file is never overwritten, and no account is made without its link.
    dir.write("more.csv", "email,role\nc@example.org,auditor\n");
    let more = [&["add", "--from", "more.csv", "--csv", "links.csv"], &URL[..]].concat();
    user(&dir, &more).fails(4, &["links.csv already exists"]);
    assert_eq!(String::from_utf8(dir.read("links.csv")).expect("UTF-8"), written);
    assert_eq!(list(&dir).as_array().expect("a list").len(), 2);
}

#[test]
fn all_officials_are_invited_or_none() {
    let (dir, _) = poll::loaded(3);
    add(&dir, &["known@example.org"], "auditor").succeeds();
    let refuse = |rows: &str, texts: &[&str]| {
        dir.write("officials.csv", format!("email,role\ngood@example.org,auditor\n{rows}"));
        let from = ["add", "--from", "officials.csv", "--csv", "links.csv"];
        let refused = user(&dir, &[&from, &URL[..]].concat());
        refused.fails(3, texts);
        assert!(!dir.exists("links.csv"), "links to no accounts");
        assert_eq!(list(&dir).as_array().expect("a list").len(), 1, "{rows}");
        refused
    };
    refuse("bad,auditor\n", &["1 bad row; no account was made", "officials.csv: line 3, email: "]);
    refuse(
        "a@example.org,king\n",
        &["line 3, role: the role is administrator, auditor or observer"],
    );
    refuse("a@example.org,voter\n", &["line 3, role: "]);
    refuse("GOOD@example.org,observer\n", &["line 3, email: good@example.org is in line 2 too"]);
    refuse(
        "Known@Example.org,administrator\n",
        &[
            "line 3, email: known@example.org has an account already (auditor, invited)",
            "votekit user reset",
        ],
    );
    refuse("a@example.org,\"auditor\n", &["line 3: a quotation mark is missing"]);
    add(&dir, &["x@example.org", "X@example.org"], "auditor")
        .fails(3, &["address 2: x@example.org is address 1 too"]);
    add(&dir, &["nonsense"], "auditor")
        .fails(3, &["address 1: an e-mail address contains exactly one @"]);
    let faults = refuse("bad,king\nworse,auditor\n", &["3 bad rows"]);
    assert_eq!(faults.stderr.matches("officials.csv: line").count(), 3, "{}", faults.stderr);
    let from = ["add", "--from", "officials.csv", "--json"];
    let json = user(&dir, &[&from, &URL[..]].concat());
    let error: Value = serde_json::from_str(&json.stderr).expect("JSON");
    assert_eq!(error["error"]["details"]["faults_total"], 3);
    assert_eq!(error["error"]["details"]["faults"][0]["line"], 3);
}

#[test]
fn accounts_are_made_and_listed_beside_a_running_node() {
    let dir = TestDir::new();
    let node = Node::serve(&dir);
    let invited = add(&dir, &["a@example.org"], "administrator");
    assert_eq!(tokens(invited.succeeds()).len(), 1);
    assert_eq!(states(&dir), [("a@example.org".to_owned(), "invited".to_owned())]);
    accept(&dir, "a@example.org");
    user(&dir, &["disable", "a@example.org", "--force"]).succeeds();
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode_of(&dir.path(&format!("node/accounts.sqlite{suffix}"))), 0o600, "{suffix}");
    }
    node.stop();
    assert_eq!(states(&dir), [("a@example.org".to_owned(), "disabled".to_owned())]);
}

#[test]
fn a_disabled_account_has_no_session_and_no_link() {
    let (dir, _) = poll::loaded(3);
    add(&dir, &["a@example.org", "b@example.org"], "administrator").succeeds();
    accept(&dir, "a@example.org");
    // An administrator who has not accepted yet cannot help.
    user(&dir, &["disable", "A@example.org"])
        .fails(3, &["a@example.org is the last active administrator", "--force"]);
    accept(&dir, "b@example.org");
    let connection = accounts(&dir);
    connection
        .execute_batch(
            "INSERT INTO account_session (account, kind, expires, idle_until)
                SELECT id, 'pages', 9999999999, 9999999999 FROM account;
             INSERT INTO account_token (token, session)
                SELECT randomblob(32), id FROM account_session;",
        )
        .expect("SQL");
    drop(connection);
    let disabled = user(&dir, &["disable", "A@example.org"]);
    assert_eq!(disabled.succeeds(), "a@example.org (administrator): disabled\n");
    let count = |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        accounts(&dir).query_row(&sql, [], |row| row.get(0)).expect("SQL")
    };
    assert_eq!((count("account_session"), count("account_token")), (1, 1));
    // Again, without an effect; and the other administrator is the last now.
    user(&dir, &["disable", "a@example.org"]).succeeds();
    user(&dir, &["disable", "b@example.org"]).fails(3, &["last active administrator"]);
    let enabled = user(&dir, &["enable", "a@example.org"]);
    assert_eq!(enabled.succeeds(), "a@example.org (administrator): active\n");
    user(&dir, &["disable", "b@example.org"]).succeeds();
    user(&dir, &["disable", "a@example.org", "--force"]).succeeds();
    // A link of a disabled account is void, and stays so.
    add(&dir, &["c@example.org"], "observer").succeeds();
    user(&dir, &["disable", "c@example.org"]).succeeds();
    let enabled = user(&dir, &["enable", "c@example.org"]);
    assert_eq!(enabled.succeeds(), "c@example.org (observer): invited\n");
    assert!(enabled.stderr.contains("has no password and no link"), "{}", enabled.stderr);
    assert_eq!(list(&dir)[2]["link_expires"], Value::Null);
    user(&dir, &["enable", "d@example.org"])
        .fails(3, &["there is no account with the address d@example.org", "votekit user list"]);
}

#[test]
fn a_reset_account_starts_again_with_a_link() {
    let (dir, _) = poll::loaded(3);
    add(&dir, &["a@example.org"], "administrator").succeeds();
    accept(&dir, "a@example.org");
    assert_eq!(list(&dir)[0]["second_factor"], true);
    let reset = user(&dir, &[&["reset", "a@example.org", "--hours", "1"], &URL[..]].concat());
    let token = tokens(reset.succeeds()).remove(0);
    let sql =
        "SELECT password IS NULL AND totp IS NULL AND state = 'invited', invitation FROM account";
    let (is_reset, digest): (bool, [u8; 32]) = accounts(&dir)
        .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("an account");
    assert!(is_reset);
    let expected: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    assert_eq!(digest, expected);
    let csv = [&["reset", "a@example.org", "--csv", "link.csv"], &URL[..]].concat();
    assert_eq!(user(&dir, &csv).succeeds(), "1 link written to link.csv\n");
    assert!(String::from_utf8(dir.read("link.csv")).expect("UTF-8").contains(LINK));
    user(&dir, &["disable", "a@example.org"]).succeeds();
    user(&dir, &["reset", "a@example.org"])
        .fails(3, &["a@example.org is disabled", "votekit user enable"]);
}

#[test]
fn an_expired_link_is_shown_as_such() {
    let (dir, _) = poll::loaded(3);
    add(&dir, &["a@example.org"], "observer").succeeds();
    accounts(&dir).execute("UPDATE account SET invitation_expires = 1000", ()).expect("SQL");
    let listed = user(&dir, &["list"]);
    assert!(listed.succeeds().contains("(link expired 1970-01-01T00:16:40Z)"), "{}", listed.stdout);
}

#[test]
fn links_that_others_could_use_are_warned_of() {
    let (dir, _) = poll::loaded(3);
    let local = user(&dir, &["add", "a@example.org", "--role", "observer"]);
    assert!(local.succeeds().contains("http://127.0.0.1:8080/fr/accounts/invitation?token="));
    assert!(local.stderr.starts_with("warning: http://127.0.0.1:8080 leads to the machine"));
    let open = ["add", "b@example.org", "--role", "observer", "--url", "http://vote.example.org/"];
    let open = user(&dir, &open);
    assert!(open.succeeds().contains("http://vote.example.org/fr/accounts/invitation?token="));
    assert!(open.stderr.starts_with("warning: http://vote.example.org is not encrypted"));
}

#[test]
fn a_list_writes_nothing() {
    let (dir, _) = poll::loaded(3);
    for name in names_in(&dir.path("node")).iter().filter(|name| name.starts_with("accounts.")) {
        fs::remove_file(dir.path("node").join(name)).expect("removed");
    }
    let before = names_in(&dir.path("node"));
    assert_eq!(user(&dir, &["list"]).succeeds(), "no accounts\n");
    assert_eq!(list(&dir), serde_json::json!([]));
    assert_eq!(names_in(&dir.path("node")), before);
}

#[test]
fn mistakes_in_arguments_and_places_are_reported() {
    let (dir, _) = poll::loaded(3);
    dir.run(&["user", "list"]).fails(2, &["give --data"]);
    dir.run(&["user", "list", "--data", "elsewhere"]).fails(3, &["not the data folder of a node"]);
    user(&dir, &["add", "a@example.org"]).fails(2, &["--role"]);
    add(&dir, &["a@example.org"], "voter").fails(2, &["administrator, auditor or observer"]);
    user(&dir, &["add", "--role", "auditor"]).fails(2, &["EMAIL"]);
    user(&dir, &["add", "--from", "a.csv", "--role", "auditor"]).fails(2, &["--role"]);
    user(&dir, &["add", "--from", "absent.csv"]).fails(3, &["cannot read absent.csv"]);
    for (option, value) in [("--hours", "0"), ("--hours", "721"), ("--url", "vote.example.org")] {
        user(&dir, &["add", "a@example.org", "--role", "auditor", option, value])
            .fails(2, &[option]);
    }
    user(&dir, &["disable", "nonsense"]).fails(2, &["one @"]);
    accounts(&dir).pragma_update(None, "user_version", 99).expect("set");
    for verb in [&["list"][..], &["add", "a@example.org", "--role", "auditor"]] {
        user(&dir, verb).fails(4, &["written by a newer version of votekit"]);
    }
    dir.write("node/accounts.sqlite", "no database");
    user(&dir, &["list"]).fails(4, &["accounts holds damaged data"]);
}
