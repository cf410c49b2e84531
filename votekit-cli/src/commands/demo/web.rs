//! The demo of the pages: a small election whose poll stays open, an election of members, and the
//! accounts of an official and a member.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Args;
use super::ballots::read_roll;
use super::node_process::NodeProcess;
use super::steps::{CREATE, Demo, LAW};
use crate::context::Context;
use crate::error::CommandError;

/// Credentials of the sample roll that the demo prints.
const SHOWN_MAX: usize = 5;

/// The official that the demo invites.
const OFFICIAL: &str = "official@example.com";

/// The election of members.
const MEMBERS_LAW: &str = "M2025-001";

/// The members of that election, as a file.
const MEMBERS: &str = "email\nalice@example.com\n";

/// The addresses for voting and signing in, and the credentials.
#[derive(Serialize)]
struct Report {
    electors: u32,
    node: String,
    pages: Vec<Page>,
    credentials: Vec<Sample>,
    accounts: Vec<Account>,
}

#[derive(Serialize)]
struct Page {
    what: &'static str,
    url: String,
}

/// NAS and code of an elector of the sample roll. No NAS in it was ever issued.
#[derive(Serialize)]
struct Sample {
    nas: String,
    code: String,
}

/// An account, and the one-time link with which its holder chooses a password.
#[derive(Serialize, Deserialize)]
struct Account {
    email: String,
    role: String,
    link: String,
}

/// The part of an output that has one-time links.
#[derive(Deserialize)]
struct Invitations {
    accounts: Vec<Account>,
}

/// Runs `votekit demo --web`.
pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let mut demo = Demo::begin(args, context)?;
    demo.prepare_roll(args.electors())?;
    let node = if demo.has_services() {
        let node = demo.serve()?;
        open_poll(&mut demo, Some(&node))?;
        node
    } else {
        open_poll(&mut demo, None)?;
        demo.serve()?
    };
    let mut accounts = invite(&mut demo, &node)?;
    accounts.extend(open_to_members(&mut demo, &node)?);
    context.output.warning(
        "each vote changes the results, and reveals its choice to a reader who compares them \
         before and after: for demonstrations only",
    );
    let report = Report {
        electors: args.electors(),
        pages: pages(&node.public),
        credentials: samples(&demo.path("roll.csv"))?,
        accounts,
        node: node.public.clone(),
    };
    node.keep(context, || context.output.result(&report))
}

fn open_poll(demo: &mut Demo<'_>, running: Option<&NodeProcess>) -> Result<(), CommandError> {
    demo.say(
        "Operators load the hashes into a node; officials create an election and open the poll",
    );
    let (node, pepper) = (demo.path("node"), demo.path("referendum.pepper"));
    let mut admin = vec!["--data", node.as_str()];
    if let Some(running) = running {
        admin.extend(["--node", running.admin.as_str()]);
    }
    let hashes = demo.path("hashes");
    demo.votekit(&[&["load", &hashes, "--pepper-file", &pepper], &admin[..]].concat())?;
    let create = [&CREATE[..], &["--results", "live", "--publish-every", "1"]].concat();
    demo.votekit(&[&create[..], &admin[..]].concat())?;
    demo.votekit(&[&["election", "open", LAW, "--yes"], &admin[..]].concat())
}

fn invite(demo: &mut Demo<'_>, node: &NodeProcess) -> Result<Vec<Account>, CommandError> {
    demo.say("An official is invited: the node sends no e-mail, so its one-time link is printed");
    let data = demo.path("node");
    let account = ["user", "add", OFFICIAL, "--role", "administrator"];
    let target = ["--url", &node.public, "--data", &data, "--json"];
    links(demo.json(&[&account[..], &target].concat())?)
}

/// Creates the election of members and opens its poll. Returns the members with their links, which
/// begin with the address of the running node.
fn open_to_members(demo: &mut Demo<'_>, node: &NodeProcess) -> Result<Vec<Account>, CommandError> {
    demo.say("The members of an association, who have accounts and no roll, choose a logo");
    demo.write("members.csv", MEMBERS)?;
    let (members, data) = (demo.path("members.csv"), demo.path("node"));
    let create = [
        "election",
        "create",
        MEMBERS_LAW,
        "--title-fr",
        "Choix du logo",
        "--title-en",
        "Choice of a logo",
        "--choice",
        "feuille=Une feuille d’érable|A maple leaf",
        "--choice",
        "iris=Un iris versicolore|A blue flag iris",
        "--choice",
        "harfang=Un harfang des neiges|A snowy owl",
        "--results",
        "live",
        "--publish-every",
        "1",
    ];
    let of_members = ["--members", &members, "--url", &node.public];
    let admin = ["--node", &node.admin, "--data", &data];
    let mut created = demo.json(&[&create[..], &of_members, &admin, &["--json"]].concat())?;
    demo.votekit(&[&["election", "open", MEMBERS_LAW, "--yes"], &admin[..]].concat())?;
    links(created["invitations"].take())
}

/// The accounts of an output, with their links.
fn links(output: Value) -> Result<Vec<Account>, CommandError> {
    let invitations: Invitations = serde_json::from_value(output)
        .map_err(|error| CommandError::internal(format!("the output has no links: {error}")))?;
    Ok(invitations.accounts)
}

fn pages(node: &str) -> Vec<Page> {
    let page = |what, path: String| Page { what, url: format!("{node}{path}") };
    vec![
        page("vote, in French", "/fr/".to_owned()),
        page("vote, in English", "/en/".to_owned()),
        page("results, in French", format!("/fr/results/{LAW}")),
        page("results, in English", format!("/en/results/{LAW}")),
        page("accounts, in French", "/fr/accounts/sign-in".to_owned()),
        page("accounts, in English", "/en/accounts/sign-in".to_owned()),
    ]
}

fn samples(roll: &str) -> Result<Vec<Sample>, CommandError> {
    let text =
        fs::read_to_string(roll).map_err(|error| CommandError::reading(Path::new(roll), &error))?;
    let electors = read_roll(&text).into_iter().take(SHOWN_MAX);
    Ok(electors.map(|elector| Sample { nas: elector.nas, code: elector.code }).collect())
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "\nAn election of {} electors is open, and one of the members; both are not binding",
            self.electors
        )?;
        writeln!(formatter, "\nPages")?;
        for Page { what, url } in &self.pages {
            writeln!(formatter, "  {what:<21} {url}")?;
        }
        writeln!(formatter, "\nCredentials of the sample roll, each for one vote")?;
        for Sample { nas, code } in &self.credentials {
            writeln!(formatter, "  NAS {nas}   code {code}")?;
        }
        writeln!(formatter, "\nAccounts, each with the one-time link with which it begins")?;
        for Account { email, role, link } in &self.accounts {
            writeln!(formatter, "  {email}, {role}\n    {link}")?;
        }
        Ok(())
    }
}
