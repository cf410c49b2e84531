//! The close, and the check of what every authority publishes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use votekit_checker::{Inputs, Report};

use super::cluster::Cluster;
use crate::chaos::LAW;
use crate::chaos::load::Load;
use crate::chaos::member::Part;

impl Cluster {
    /// Closes the election under load, and waits until every node has read the close.
    pub(crate) fn close(&mut self, mut load: Load) -> Result<()> {
        self.fleet.admin_command(&["election", "close", LAW, "--yes"])?;
        self.reaches("closed")?;
        load.stop()?;
        load.finish()?;
        self.fleet.check_run()
    }

    /// Exports the bundle of every authority, verifies each, and compares each with the answers to
    /// voters, and with every checkpoint that was published. Returns the report of the first, with
    /// the violations of all.
    pub(crate) fn check(&mut self, seen: Vec<PathBuf>) -> Result<Report> {
        let mut found: Option<Report> = None;
        let mut heads = Vec::new();
        for index in self.fleet.members_of(Part::Authority) {
            let member = &self.fleet.members[index];
            let bundle = format!("bundle-{}", member.name);
            let node = format!("http://{}", member.addresses.public());
            self.fleet.command(&[
                "export",
                "bundle",
                &bundle,
                "--node",
                &node,
                "--election",
                LAW,
            ])?;
            let verify = ["verify", "bundle", &bundle, "--policy", "policy"];
            self.fleet.command(&[&verify[..], &["--shards", "hashes"]].concat())?;
            let bundle = self.fleet.folder.join(bundle);
            heads.push((member.name.clone(), head(&bundle.join("checkpoint"))?));
            let report = votekit_checker::check(&Inputs {
                journals: vec![self.fleet.folder.join("journal.jsonl")],
                bundle,
                roll: self.fleet.folder.join("roll.csv"),
                policy: self.fleet.folder.join("policy"),
                // Once is enough: the bundles are of one log, as is checked below.
                checkpoints: if found.is_none() { seen.clone() } else { Vec::new() },
            })?;
            match &mut found {
                None => found = Some(report),
                Some(first) => first.violations.extend(report.violations),
            }
        }
        ensure!(
            heads.windows(2).all(|pair| pair[0].1 == pair[1].1),
            "the authorities publish different logs: {heads:?}"
        );
        found.context("there are authorities")
    }
}

/// The text of a checkpoint: origin, size and root, without its signatures.
fn head(checkpoint: &Path) -> Result<String> {
    let note = fs::read_to_string(checkpoint)
        .with_context(|| format!("reading {}", checkpoint.display()))?;
    let (text, _) = note.split_once("\n\n").context("a checkpoint without signatures")?;
    Ok(text.to_owned())
}
