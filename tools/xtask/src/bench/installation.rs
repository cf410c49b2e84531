//! An installation of one or several authorities, and one process that takes votes, over servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::node::{self, LAW, Node, ServeOption};
use super::services::engines;
use crate::project;
use crate::services::Site;

/// The base name of the logs of several authorities: the default of a data folder.
const BASE: &str = "votekit.example";

/// A running installation.
pub(super) struct Installation {
    votekit: PathBuf,
    engines: [ServeOption; 3],
    authorities: Vec<Authority>,
    /// Takes votes, validates them, and follows the log.
    pub(super) intake: Node,
    intake_data: PathBuf,
}

struct Authority {
    data: PathBuf,
    /// `None` after it was killed.
    node: Option<Node>,
}

impl Installation {
    /// Starts all processes in an empty folder. A single authority shares its data folder with the
    /// process that takes votes; of several each has its own, and all but one are a quorum.
    pub(super) fn start(votekit: &Path, folder: &Path, site: &Site, count: usize) -> Result<Self> {
        let engines = engines(site);
        let roles = |roles: &str| {
            let roles = [("--roles", roles.to_owned())];
            engines.iter().cloned().chain(roles).collect::<Vec<ServeOption>>()
        };
        let (seal, ingest) = (roles("seal,query"), roles("ingest,validate,query"));
        let mut authorities = Vec::new();
        let (intake, intake_data);
        if count == 1 {
            let data = folder.join("data");
            let node = Node::start_on(votekit, &data, "sealer", &seal)?;
            intake = Node::start_on(votekit, &data, "ingest-1", &ingest)?;
            intake_data = data.clone();
            authorities.push(Authority { data, node: Some(node) });
        } else {
            intake_data = folder.join("ingest-1");
            let folders = make_folders(votekit, folder, count, &intake_data)?;
            for data in folders {
                let node = Some(Node::start_in(votekit, &data, &seal)?);
                authorities.push(Authority { data, node });
            }
            intake = Node::start_in(votekit, &intake_data, &ingest)?;
        }
        let votekit = votekit.to_owned();
        Ok(Self { votekit, engines, authorities, intake, intake_data })
    }

    /// Loads a roll, creates the election and opens it.
    pub(super) fn open_poll(&self, hashes: &Path) -> Result<()> {
        for authority in &self.authorities {
            node::load(&self.votekit, hashes, &authority.data, authority.node.as_ref())?;
        }
        let leader = &self.authorities[self.leader()?];
        let node = leader.node.as_ref().context("a leader runs")?;
        if self.authorities.len() > 1 {
            let mut show = Command::new(&self.votekit);
            show.args(["node", "show", "--name", "ingest-1", "--data"]).arg(&self.intake_data);
            let record = output(&mut show)?;
            let mut admit = Command::new(&self.votekit);
            admit.args(["node", "admit", &record, "--node", &node.admin_url, "--data"]);
            output(admit.arg(&leader.data))?;
        }
        node::create_and_open(&self.votekit, &leader.data, Some(node))?;
        node::wait_until("the node that takes votes shows the open poll", || {
            let shown = self.intake.get(&format!("/api/v1/elections/{LAW}"));
            shown.is_ok_and(|text| text.contains("\"state\":\"open\""))
        })
    }

    /// The index of the leading authority; waits until there is a leader.
    pub(super) fn leader(&self) -> Result<usize> {
        let leads = |authority: &Authority| {
            authority
                .node
                .as_ref()
                .is_some_and(|node| node.metric("node_leading").is_ok_and(|leads| leads > 0.5))
        };
        node::wait_until("an authority leads", || self.authorities.iter().any(leads))?;
        self.authorities.iter().position(leads).context("the leader has changed this moment")
    }

    /// Kills an authority.
    pub(super) fn kill(&mut self, index: usize) -> Result<()> {
        self.authorities[index].node.take().context("it runs")?.kill()
    }

    /// Starts a killed authority again, and waits until it has read the log.
    pub(super) fn restart(&mut self, index: usize) -> Result<()> {
        let roles = [("--roles", "seal,query".to_owned())];
        let options = [&self.engines[..], &roles].concat();
        let authority = &mut self.authorities[index];
        authority.node = Some(Node::start_in(&self.votekit, &authority.data, &options)?);
        let node = authority.node.as_ref().context("it was started")?;
        let wanted = self.intake.decided()?;
        node::wait_until("a restarted authority has read the log", || {
            node.decided().is_ok_and(|decided| decided >= wanted)
        })
    }

    /// Processor time that all processes of the installation used so far, in seconds.
    pub(super) fn processor_seconds(&self) -> Result<f64> {
        let authorities = self.authorities.iter().filter_map(|authority| authority.node.as_ref());
        authorities.chain([&self.intake]).map(Node::processor_seconds).sum()
    }

    /// Stops all processes in order.
    pub(super) fn stop(self) -> Result<()> {
        self.intake.stop()?;
        for authority in self.authorities {
            if let Some(node) = authority.node {
                node.stop()?;
            }
        }
        Ok(())
    }
}

/// Makes the folder of each authority, and gives every node the same file of the authorities.
fn make_folders(
    votekit: &Path,
    folder: &Path,
    count: usize,
    intake_data: &Path,
) -> Result<Vec<PathBuf>> {
    let (mut folders, mut lines) = (Vec::new(), Vec::new());
    for number in 1..=count {
        let name = format!("authority-{number}");
        let data = folder.join(&name);
        let mut keygen = Command::new(votekit);
        keygen.args(["authority", "keygen", "--name", &name, "--base", BASE, "--data"]);
        lines.push(output(keygen.arg(&data))?);
        folders.push(data);
    }
    let file = folder.join("authorities");
    let mut make = Command::new(votekit);
    make.args(["policy", "make", "--base", BASE, "--quorum", &(count - 1).to_string()]);
    output(make.arg("--output").arg(&file).args(&lines))?;
    fs::create_dir(intake_data)?;
    for data in folders.iter().map(PathBuf::as_path).chain([intake_data]) {
        fs::copy(&file, data.join("authorities"))?;
    }
    Ok(folders)
}

/// Runs a command to its end, and returns what it prints, without white space around.
fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().context("starting votekit")?;
    ensure!(
        output.status.success(),
        "{}: {}",
        project::words(command),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
