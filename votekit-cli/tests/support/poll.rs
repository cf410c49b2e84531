//! A poll to vote in: a sample roll, hashed under a pepper, loaded into the folder `node` of a test
//! folder.

use super::TestDir;

/// The law put to the vote.
pub(crate) const LAW: &str = "L2025-001";

/// A row of the sample roll.
#[derive(Debug, Clone)]
pub(crate) struct Elector {
    pub(crate) nas: String,
    pub(crate) code: String,
}

/// A test folder with `roll.csv`, `referendum.pepper` and `hashes`, and nothing loaded.
pub(crate) fn hashed(electors: u32) -> (TestDir, Vec<Elector>) {
    let dir = TestDir::new();
    let electors = electors.to_string();
    dir.run(&[
        "roll",
        "sample",
        "--electors",
        &electors,
        "--law",
        LAW,
        "--seed",
        "7",
        "-o",
        "roll.csv",
    ])
    .succeeds();
    dir.run(&["pepper", "generate", "-o", "referendum.pepper"]).succeeds();
    dir.run(&["hashgen", "roll.csv", "--out", "hashes", "--pepper-file", "referendum.pepper"])
        .succeeds();
    let electors = electors_of(&dir);
    (dir, electors)
}

/// The same, with the roll loaded.
pub(crate) fn loaded(electors: u32) -> (TestDir, Vec<Elector>) {
    let (dir, electors) = hashed(electors);
    dir.run(&[
        "load",
        "hashes",
        "--data",
        "node",
        "--log-base",
        "elections.example",
        "--pepper-file",
        "referendum.pepper",
    ])
    .succeeds();
    (dir, electors)
}

/// The same, with a draft election, created with further options.
pub(crate) fn drafted(electors: u32, more: &[&str]) -> (TestDir, Vec<Elector>) {
    let (dir, electors) = loaded(electors);
    let create = [
        "election",
        "create",
        LAW,
        "--title-fr",
        "Loi sur l’eau",
        "--title-en",
        "Water Act",
        "--data",
        "node",
    ];
    dir.run(&[&create, more].concat()).succeeds();
    (dir, electors)
}

/// The same, with the poll open. Results are live and move with each vote; a blank vote is allowed.
pub(crate) fn opened(electors: u32) -> (TestDir, Vec<Elector>) {
    let (dir, electors) = drafted(electors, &["--blank", "--publish-every", "1"]);
    dir.run(&["election", "open", LAW, "--yes", "--data", "node"]).succeeds();
    (dir, electors)
}

/// A file for `votekit cast --from` with these votes.
pub(crate) fn votes<'a>(rows: impl IntoIterator<Item = (&'a Elector, &'a str)>) -> String {
    let rows = rows
        .into_iter()
        .map(|(elector, vote)| format!("{},{},{LAW},{vote}\n", elector.nas, elector.code));
    format!("nas,code,law_id,vote\n{}", rows.collect::<String>())
}

/// Makes a supplement, in the folder `supplement`, that revokes one elector's credential.
pub(crate) fn revoke(dir: &TestDir, elector: &Elector) {
    revoke_into(dir, elector, "supplement");
}

/// The same, in another folder.
pub(crate) fn revoke_into(dir: &TestDir, elector: &Elector, folder: &str) {
    dir.write("lost.csv", format!("nas,code,law_id\n{},{},{LAW}\n", elector.nas, elector.code));
    let supplement = [
        "hashgen",
        "--supplement-of",
        "hashes/manifest.json",
        "--roll",
        "roll.csv",
        "--revoke",
        "lost.csv",
        "--out",
        folder,
    ];
    dir.run(&[&supplement[..], &["--pepper-file", "referendum.pepper"]].concat()).succeeds();
}

fn electors_of(dir: &TestDir) -> Vec<Elector> {
    let roll = String::from_utf8(dir.read("roll.csv")).expect("UTF-8");
    let rows = roll.lines().skip(1).map(|line| {
        let mut fields = line.split(',').map(str::to_owned);
        Elector { nas: fields.next().expect("a NAS"), code: fields.next().expect("a code") }
    });
    rows.collect()
}
