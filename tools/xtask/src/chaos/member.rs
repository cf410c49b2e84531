//! A node of an installation on services: its process, its addresses, its links to the servers.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::link::{Link, Wire};
use crate::chaos::LAW;
use crate::chaos::node::{Addresses, CONFIG, Node, answer};
use crate::services::Site;

/// The part of a node. Each part has a role in the path of a vote, so that the effect of its death
/// can be observed. Nodes that follow the log and nodes that seal both publish their checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Ingest,
    Validate,
    Seal,
    /// An authority, with its own data folder, in an installation with several authorities.
    Authority,
    /// A node, with its own data folder, that takes votes in an installation with several
    /// authorities.
    Intake,
}

impl Part {
    const fn roles(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Validate => "validate,query",
            Self::Seal | Self::Authority => "seal,query",
            Self::Intake => "ingest,validate,query",
        }
    }

    /// Whether its nodes take votes.
    pub(crate) const fn takes_votes(self) -> bool {
        matches!(self, Self::Ingest | Self::Intake)
    }

    /// Whether its nodes share one data folder, in which each has a name.
    const fn shares_folder(self) -> bool {
        matches!(self, Self::Ingest | Self::Validate | Self::Seal)
    }
}

/// A service that a node can be cut off from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Registry,
    BallotBox,
    Ledger,
}

impl Service {
    pub(crate) const ALL: [Self; 3] = [Self::Registry, Self::BallotBox, Self::Ledger];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::BallotBox => "ballot box",
            Self::Ledger => "ledger",
        }
    }
}

/// A node and its links; killed on drop.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) part: Part,
    pub(crate) addresses: Addresses,
    registry: Vec<Link>,
    ballot_box: Link,
    ledger: Link,
    services: [String; 3],
    /// The file of its settings, in the folder of the run.
    pub(crate) config: String,
    /// Environment variables of its process from its next start on.
    pub(crate) environment: Vec<(&'static str, String)>,
    node: Option<Node>,
}

impl Member {
    /// A node that is not started yet. `number` must differ between nodes: it selects the
    /// addresses.
    pub(crate) fn new(part: Part, name: &str, number: u64, site: &Site) -> Result<Self> {
        let redis: Vec<u16> =
            (1..=crate::services::REDIS_NODES).map(|node| site.ports.redis(node)).collect();
        let registry = Link::to_cluster(&redis)?;
        let (ballot_box, ledger) =
            (Link::new(site.ports.amqp())?, Link::new(site.ports.postgresql())?);
        let through = |url: String, port: u16, link: &Link| {
            url.replace(&format!(":{port}"), &format!(":{}", link.port()))
        };
        let services = [
            through(site.registry_url(), redis[0], &registry[0]),
            through(site.ballot_box_url(), site.ports.amqp(), &ballot_box),
            through(site.ledger_url(), site.ports.postgresql(), &ledger),
        ];
        let addresses = Addresses::for_episode(number);
        Ok(Self {
            name: name.to_owned(),
            part,
            addresses,
            registry,
            ballot_box,
            ledger,
            services,
            config: CONFIG.to_owned(),
            environment: Vec::new(),
            node: None,
        })
    }

    /// Starts its process and waits until it is ready.
    pub(crate) fn start(&mut self, votekit: &Path, folder: &Path) -> Result<()> {
        ensure!(self.node.is_none(), "{} runs already", self.name);
        let mut command = Command::new(votekit);
        command.args(["serve", "--data", self.data(), "--init", "--roles", self.part.roles()]);
        if self.part.shares_folder() {
            command.args(["--name", &self.name]);
        }
        for (option, url) in ["--registry", "--ballot-box", "--ledger"].iter().zip(&self.services) {
            command.args([*option, url]);
        }
        command.envs(self.environment.iter().map(|(name, value)| (*name, value)));
        let mut node = Node::launch(command, folder, self.addresses, &self.config, &self.log())?;
        node.wait_ready()
            .with_context(|| format!("{}, see {}", self.name, folder.join(self.log()).display()))?;
        self.node = Some(node);
        Ok(())
    }

    /// The data folder, inside the folder of the run.
    pub(crate) fn data(&self) -> &str {
        if self.part.shares_folder() { "shared" } else { &self.name }
    }

    pub(crate) fn log(&self) -> String {
        format!("{}.log", self.name)
    }

    /// Whether its process has been started, and not killed or stopped since.
    pub(crate) fn is_up(&self) -> bool {
        self.node.is_some()
    }

    /// Fails when the process ended without being killed or stopped.
    pub(crate) fn check_runs(&mut self) -> Result<()> {
        if let Some(node) = &mut self.node {
            ensure!(
                node.runs()?,
                "{} ended unexpectedly with {}, see {}",
                self.name,
                node.wait_end()?,
                self.log()
            );
        }
        Ok(())
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.node.take().with_context(|| format!("{} does not run", self.name))?.kill()
    }

    /// Stops it in order.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let stopped = self.node.take().map_or(Ok(()), Node::stop);
        stopped.with_context(|| self.name.clone())
    }

    /// Sends it a signal, such as STOP or CONT.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        self.node.as_ref().with_context(|| format!("{} does not run", self.name))?.signal(signal)
    }

    /// Cuts its links to one service, or restores them.
    pub(crate) fn wire(&self, service: Service, wire: Wire) {
        match service {
            Service::Registry => self.registry.iter().for_each(|link| link.set(wire)),
            Service::BallotBox => self.ballot_box.set(wire),
            Service::Ledger => self.ledger.set(wire),
        }
    }

    /// Number of leaves of the log that it has read.
    pub(crate) fn log_size(&self) -> Option<u64> {
        let election = answer(self.addresses.public(), &format!("/api/v1/elections/{LAW}"))?;
        serde_json::from_str::<serde_json::Value>(&election).ok()?["log_size"].as_u64()
    }

    /// The sum of a metric of the node over the lines that contain `label`.
    pub(crate) fn metric(&self, name: &str, label: &str) -> Option<f64> {
        let text = answer(self.addresses.metrics(), "/metrics")?;
        let values = text.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with([' ', '{'])) && line.contains(label)
        });
        Some(values.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }

    /// Votes accepted since its start.
    pub(crate) fn taken(&self) -> Option<f64> {
        self.metric("votes_submitted_total", "")
    }

    /// Whether it is the leading sealer.
    pub(crate) fn leads(&self) -> bool {
        matches!(self.part, Part::Seal | Part::Authority)
            && self.metric("node_leading", "").is_some_and(|leads| leads > 0.5)
    }
}
