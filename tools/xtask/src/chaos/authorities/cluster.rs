//! Several authorities, two nodes that take votes, the servers they share, and one open election.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::chaos::LAW;
use crate::chaos::alarms::audit_log;
use crate::chaos::fleet::Fleet;
use crate::chaos::load::LoadPlan;
use crate::chaos::member::{Member, Part};
use crate::chaos::node::{Addresses, PROCESS_TIMEOUT, answer};
use crate::services::Rig;

/// The base name of the logs: the default of a data folder.
const BASE: &str = "votekit.example";

/// Settings of every node, after the path of its audit log: no limits, since all voters and readers
/// come from one address.
const SETTINGS: &str = "read_limit_per_address_per_second = 0\nconnection_requests_max = 0\n\
    connection_seconds_max = 0\n[throttle]\nenabled = false\n";

/// The file of the authorities, in the folder of the run and in every data folder.
const AUTHORITIES: &str = "authorities";

/// The nodes and the servers.
pub(crate) struct Cluster {
    pub(crate) fleet: Fleet,
    /// The program of an authority that lies, if there is one.
    pub(crate) liar: Option<PathBuf>,
    /// The library that changes the clock of a process, if there is one.
    pub(crate) clock: Option<PathBuf>,
}

impl Cluster {
    /// Nodes that are not started yet: `authorities` authorities, and two that take votes.
    pub(crate) fn new(
        votekit: &Path,
        folder: &Path,
        rig: Rig,
        authorities: u64,
        liar: Option<PathBuf>,
    ) -> Result<Self> {
        let mut members = Vec::new();
        for number in 1..=authorities {
            let name = format!("authority-{number}");
            members.push(member(Part::Authority, &name, number, &rig)?);
        }
        for number in 1..=2 {
            let name = format!("ingest-{number}");
            members.push(member(Part::Intake, &name, authorities + number, &rig)?);
        }
        Ok(Self { fleet: Fleet::new(votekit, folder, rig, members), liar, clock: None })
    }

    /// Makes the folders, starts all nodes, and opens an election over a new roll.
    pub(crate) fn open(&mut self, plan: &LoadPlan) -> Result<()> {
        self.make_folders()?;
        let fleet = &mut self.fleet;
        fleet.make_roll(plan)?;
        for index in 0..fleet.members.len() {
            fleet.start(index)?;
        }
        // Every authority needs the roll to decide, and has it before there is an election.
        for index in fleet.members_of(Part::Authority) {
            let admin = fleet.admin(index);
            let data = fleet.members[index].data();
            fleet.command(&["load", "hashes", "--node", &admin, "--data", data])?;
        }
        for index in fleet.members_of(Part::Intake) {
            let (data, name) = (fleet.members[index].data(), &fleet.members[index].name);
            let record = fleet.command(&["node", "show", "--data", data, "--name", name])?;
            fleet.admin_command(&["node", "admit", record.trim_end()])?;
        }
        fleet.open_election()?;
        // The policy that voters know before the first vote. It follows from the file of the
        // authorities.
        let policy = fleet.command(&["policy", "show", "--authorities", AUTHORITIES, LAW])?;
        fs::write(fleet.folder.join("policy"), policy).context("writing the policy")?;
        self.reaches("open")
    }

    /// Makes the folder of each authority with its keys, and gives all nodes the same file of the
    /// authorities.
    fn make_folders(&self) -> Result<()> {
        let fleet = &self.fleet;
        let mut lines = Vec::new();
        for index in fleet.members_of(Part::Authority) {
            let name = &fleet.members[index].name;
            let keygen = ["authority", "keygen", "--data", name, "--name", name, "--base", BASE];
            lines.push(fleet.command(&keygen)?.trim_end().to_owned());
        }
        // All but one: 2 of 3, 3 of 4.
        let quorum = (lines.len() - 1).to_string();
        let make = ["policy", "make", "--quorum", &quorum, "--base", BASE, "-o", AUTHORITIES];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        fleet.command(&[&make[..], &lines].concat())?;
        fleet.members.iter().try_for_each(|member| self.equip(member))
    }

    /// Gives a node its settings, and its data folder the file of the authorities.
    pub(crate) fn equip(&self, member: &Member) -> Result<()> {
        let folder = &self.fleet.folder;
        let settings = format!("audit_log = {:?}\n{SETTINGS}", audit_log(&member.name));
        fs::write(folder.join(&member.config), settings)
            .with_context(|| format!("writing {}", member.config))?;
        let data = folder.join(member.data());
        fs::create_dir_all(&data).with_context(|| format!("making {}", data.display()))?;
        fs::copy(folder.join(AUTHORITIES), data.join(AUTHORITIES))
            .with_context(|| format!("copying the file of the authorities to {}", member.name))?;
        Ok(())
    }

    /// The names and addresses of the authorities.
    pub(crate) fn named_authorities(&self) -> Vec<(String, Addresses)> {
        let indices = self.fleet.members_of(Part::Authority);
        let members = indices.iter().map(|index| &self.fleet.members[*index]);
        members.map(|member| (member.name.clone(), member.addresses)).collect()
    }

    /// Waits until every node shows the election in a state, with the same number of leaves.
    pub(crate) fn reaches(&self, wanted: &str) -> Result<()> {
        let path = format!("/api/v1/elections/{LAW}");
        let begun = Instant::now();
        loop {
            let shown: Vec<(Option<String>, Option<u64>)> = self
                .fleet
                .members
                .iter()
                .map(|member| {
                    let text = answer(member.addresses.public(), &path).unwrap_or_default();
                    let shown: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
                    (shown["state"].as_str().map(str::to_owned), shown["log_size"].as_u64())
                })
                .collect();
            let is_there = |(state, size): &(Option<String>, Option<u64>)| {
                state.as_deref() == Some(wanted) && *size == shown[0].1
            };
            if shown.iter().all(is_there) {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < PROCESS_TIMEOUT,
                "every node should show the election {wanted} by now: {shown:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A node with settings of its own.
pub(crate) fn member(part: Part, name: &str, number: u64, rig: &Rig) -> Result<Member> {
    let mut member = Member::new(part, name, number, rig.site())?;
    member.config = format!("{name}.toml");
    Ok(member)
}
