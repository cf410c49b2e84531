//! The authorities of a demo and its ingest node: their folders, their nodes, and who leads.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use tokio::runtime::Runtime;
use votekit_node::config::Role;
use votekit_node::data_folder::{DataFolder, read_admin_token};
use votekit_node::{AuthorityRole, ClusterView};
use votekit_store::Ledger;

use super::local_nodes::{LocalNode, LocalNodes};
use super::node_process::NodeProcess;
use super::steps::{Demo, LAW, unexpected};
use super::wire::Wire;
use crate::admin_target;
use crate::client::Client;
use crate::error::CommandError;

/// The name that the logs of the demo begin with.
const BASE: &str = "elections.example";

/// The names of the authorities.
const NAMES: [&str; 4] = ["quebec", "montreal", "laval", "gatineau"];

/// The name of the node that takes the votes.
const INGEST: &str = "ingest-1";

/// How long the demo waits for a leader, or for a node to follow the log.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Interval between two polls of a node.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A running node.
enum RunningNode {
    /// In a separate process.
    Process(NodeProcess),
    /// In this process.
    Local(LocalNode),
}

impl RunningNode {
    fn public(&self) -> &str {
        match self {
            Self::Process(node) => &node.public,
            Self::Local(node) => &node.public,
        }
    }

    fn admin(&self) -> &str {
        match self {
            Self::Process(node) => &node.admin,
            Self::Local(node) => &node.admin,
        }
    }
}

/// A node with its own data folder.
struct Member {
    name: &'static str,
    data: String,
    roles: &'static [Role],
    wire: Wire,
    /// The variables that make a process use that wire; empty for a node in this process, and where
    /// the network cannot be cut.
    environment: Vec<(&'static str, String)>,
    node: Option<RunningNode>,
}

impl Member {
    fn new(demo: &Demo<'_>, name: &'static str, roles: &'static [Role]) -> Self {
        let (wire, environment) = (Wire::default(), Vec::new());
        Self { name, data: demo.path(name), roles, wire, environment, node: None }
    }

    fn node(&self) -> Result<&RunningNode, CommandError> {
        self.node.as_ref().ok_or_else(|| unexpected(&format!("{} does not run", self.name)))
    }

    /// Arguments by which a command administers this node.
    fn target(&self) -> Result<[&str; 4], CommandError> {
        Ok(["--node", self.node()?.admin(), "--data", &self.data])
    }

    /// Whether it is an authority that leads, as far as it knows.
    async fn leads(&self) -> Result<bool, CommandError> {
        let Some(node) = &self.node else { return Ok(false) };
        let token = read_admin_token(Path::new(&self.data))?;
        let client = Client::new(node.admin())?.for_secrets()?.with_token(token);
        let shown: Result<ClusterView, CommandError> =
            client.call(Method::GET, "/api/v1/admin/nodes", None::<&()>).await;
        // A node that cannot answer now is asked again.
        let Ok(view) = shown else { return Ok(false) };
        let is_leader =
            |name: &str, role| view.own.as_deref() == Some(name) && role == AuthorityRole::Leader;
        Ok(view.authorities.iter().any(|authority| is_leader(&authority.name, authority.role)))
    }

    /// The log's name, size and root, once this node has a log.
    async fn head(&self) -> Result<Option<String>, CommandError> {
        let client = Client::new(self.node()?.public())?;
        let path = format!("/log/{LAW}/checkpoint");
        let answer = client.send(Method::GET, &path, &[], None).await?;
        let text = String::from_utf8_lossy(&answer.body);
        let head = text.lines().take(3).collect::<Vec<_>>().join("\n");
        Ok((answer.status == 200).then_some(head))
    }
}

/// The nodes of the demo. Dropping it ends them.
pub(super) struct Cluster {
    authorities: Vec<Member>,
    ingest: Member,
    /// The state that nodes in this process share; `None` on services. Dropped after the nodes.
    local: Option<LocalNodes>,
    pub(super) quorum: u64,
}

impl Cluster {
    /// Makes the keys of the authorities, the file that names them all, and the data folders.
    pub(super) fn make(demo: &mut Demo<'_>, count: usize) -> Result<Self, CommandError> {
        let mut authorities = Vec::new();
        for name in NAMES.into_iter().take(count) {
            let mut authority = Member::new(demo, name, &[Role::Seal, Role::Query]);
            authority.environment = through_wire(demo, &authority.wire)?;
            authorities.push(authority);
        }
        let ingest = Member::new(demo, INGEST, &[Role::Ingest, Role::Validate, Role::Query]);
        demo.say("Each authority makes its keys itself, in its own data folder");
        let mut lines = Vec::new();
        for Member { name, data, .. } in &authorities {
            let keygen = ["authority", "keygen", "--data", data, "--name", name, "--base", BASE];
            let made = demo.json(&[&keygen[..], &["--json"]].concat())?;
            let file = format!("{name}.line");
            demo.write(&file, &format!("{}\n", made["line"].as_str().unwrap_or_default()))?;
            lines.push(demo.path(&file));
        }
        demo.say("One file has all public keys and the quorum; every machine gets the same bytes");
        let majority = (count / 2 + 1).to_string();
        let file = demo.path("authorities");
        let mut make = vec!["policy", "make", "--quorum", &majority, "--base", BASE, "-o", &file];
        make.extend(lines.iter().map(String::as_str));
        demo.votekit(&make)?;
        let base = admin_target::base_name(Some(BASE))?;
        drop(DataFolder::open(Path::new(&ingest.data), base.as_ref())?);
        for Member { data, .. } in authorities.iter().chain([&ingest]) {
            let copy = Path::new(data).join("authorities");
            fs::copy(&file, &copy).map_err(|error| CommandError::writing(&copy, &error))?;
        }
        let show = ["policy", "show", "--authorities", &file, LAW, "--json"];
        let policy = demo.json(&show)?;
        demo.write("policy", policy["policy"].as_str().unwrap_or_default())?;
        let quorum = policy["quorum"].as_u64().unwrap_or_default();
        demo.note(format!("  quorum {quorum} of {count}; the policy of the election is pinned"));
        let local = match demo.has_services() {
            true => None,
            false => Some(LocalNodes::open(Path::new(&demo.path("ledger")))?),
        };
        Ok(Self { authorities, ingest, local, quorum })
    }

    /// Starts every node.
    pub(super) fn start(&mut self, demo: &mut Demo<'_>) -> Result<(), CommandError> {
        demo.say("Every authority runs a node, and another node takes the votes");
        if self.local.is_some() {
            demo.note("all of them in this process, over one embedded ledger");
        }
        for index in 0..self.authorities.len() {
            self.start_authority(demo, index)?;
        }
        let node = start(self.local.as_ref(), demo, &self.ingest)?;
        demo.note(format!("{INGEST} answers at {}", node.public()));
        self.ingest.node = Some(node);
        let leader = self.leader()?;
        demo.note(format!("{} leads", self.name(leader)));
        Ok(())
    }

    /// Starts an authority that does not run.
    pub(super) fn start_authority(
        &mut self,
        demo: &Demo<'_>,
        index: usize,
    ) -> Result<(), CommandError> {
        let node = start(self.local.as_ref(), demo, &self.authorities[index])?;
        self.authorities[index].node = Some(node);
        Ok(())
    }

    /// Kills the node of an authority. Returns the moment.
    pub(super) fn kill(&mut self, index: usize) -> Instant {
        let killed = Instant::now();
        match self.authorities[index].node.take() {
            Some(RunningNode::Local(node)) => node.kill(),
            // A process is killed when it is dropped.
            process => drop(process),
        }
        killed
    }

    /// Stops every node as operators do, the node that accepts votes first.
    pub(super) fn stop(mut self) -> Result<(), CommandError> {
        for member in [&mut self.ingest].into_iter().chain(&mut self.authorities) {
            match (member.node.take(), &self.local) {
                (Some(RunningNode::Process(node)), _) => node.stop()?,
                (Some(RunningNode::Local(node)), Some(local)) => local.stop(node)?,
                _ => {}
            }
        }
        if let Some(local) = self.local {
            local.close();
        }
        Ok(())
    }

    /// The name of an authority.
    pub(super) fn name(&self, index: usize) -> &'static str {
        self.authorities[index].name
    }

    /// The data folder of an authority.
    pub(super) fn data(&self, index: usize) -> &Path {
        Path::new(&self.authorities[index].data)
    }

    /// The ledger of the installation. Its connections belong to a runtime.
    pub(super) fn ledger(
        &self,
        demo: &Demo<'_>,
        runtime: &Runtime,
    ) -> Result<Arc<dyn Ledger>, CommandError> {
        match &self.local {
            Some(local) => Ok(local.ledger()),
            None => open_ledger(demo, runtime),
        }
    }

    /// The index of an authority that runs, is not in `indices`, and whose network can be cut.
    pub(super) fn other_than(&self, indices: &[usize]) -> Option<usize> {
        (0..self.authorities.len()).find(|index| {
            let Member { node, environment, .. } = &self.authorities[*index];
            let can_be_cut = self.local.is_some() || !environment.is_empty();
            !indices.contains(index) && node.is_some() && can_be_cut
        })
    }

    /// The network of an authority.
    pub(super) fn wire(&self, index: usize) -> &Wire {
        &self.authorities[index].wire
    }

    /// Public address of the node that takes the votes.
    pub(super) fn public(&self) -> Result<&str, CommandError> {
        Ok(self.ingest.node()?.public())
    }

    /// Waits until an authority leads, and returns its index.
    pub(super) fn leader(&self) -> Result<usize, CommandError> {
        let mut leader = None;
        admin_target::run(wait_until("an authority leads", async || {
            leader = self.find_leader().await?;
            Ok(leader.is_some())
        }))?;
        leader.ok_or_else(|| unexpected("no authority leads"))
    }

    /// Asks the authority that leads to step down; nothing if none leads at this moment.
    pub(super) fn step_down(&self, demo: &Demo<'_>) -> Result<(), CommandError> {
        let Some(leader) = admin_target::run(self.find_leader())? else { return Ok(()) };
        let target = self.authorities[leader].target()?;
        demo.votekit(&[&["leader", "step-down"][..], &target].concat())
    }

    async fn find_leader(&self) -> Result<Option<usize>, CommandError> {
        for (index, authority) in self.authorities.iter().enumerate() {
            if authority.leads().await? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Runs a command on the leader; runs it again if another authority has become the leader.
    pub(super) fn by_leader(
        &self,
        demo: &Demo<'_>,
        arguments: &[&str],
    ) -> Result<Value, CommandError> {
        let until = Instant::now() + WAIT_TIMEOUT;
        loop {
            let target = self.authorities[self.leader()?].target()?;
            match demo.json(&[arguments, &target, &["--json"]].concat()) {
                Err(error) if error.message.contains("does not lead") && Instant::now() < until => {
                    std::thread::sleep(POLL_INTERVAL);
                }
                answered => return answered,
            }
        }
    }

    /// Loads the hashed roll into the data folder of every node. Only the node that takes the votes
    /// gets the pepper.
    pub(super) fn load_roll(&self, demo: &Demo<'_>) -> Result<(), CommandError> {
        let (hashes, pepper) = (demo.path("hashes"), demo.path("referendum.pepper"));
        let load = ["load", &hashes];
        for authority in &self.authorities {
            demo.votekit(&[&load[..], &authority.target()?].concat())?;
        }
        let with_pepper = ["--pepper-file", &pepper];
        demo.votekit(&[&load[..], &with_pepper, &self.ingest.target()?].concat())
    }

    /// Admits the node that takes the votes.
    pub(super) fn admit_ingest(&self, demo: &Demo<'_>) -> Result<(), CommandError> {
        let show = ["node", "show", "--data", &self.ingest.data, "--name", INGEST, "--json"];
        let shown = demo.json(&show)?;
        let record = shown["record"].as_str().unwrap_or_default();
        self.by_leader(demo, &["node", "admit", record]).map(drop)
    }

    /// Waits until the node that takes the votes sees the election in a state.
    pub(super) fn wait_for_state(&self, state: &str) -> Result<(), CommandError> {
        let client = Client::new(self.public()?)?;
        let path = format!("/api/v1/elections/{LAW}");
        let what = format!("the election is {state}");
        admin_target::run(wait_until(&what, async || {
            let answer = client.send(Method::GET, &path, &[], None).await?;
            let shown: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            Ok(shown["state"] == state)
        }))
    }

    /// Waits until an authority has the log that the node of the voters has.
    pub(super) fn wait_for_log(&self, index: usize) -> Result<(), CommandError> {
        let what = format!("{} has the log of the others", self.name(index));
        admin_target::run(wait_until(&what, async || self.has_log(index).await))
    }

    /// Whether an authority has the log that the node of the voters has.
    pub(super) async fn has_log(&self, index: usize) -> Result<bool, CommandError> {
        let own = self.authorities[index].head().await?;
        Ok(own.is_some() && own == self.ingest.head().await?)
    }
}

/// Starts a node in this process, or with services in its own.
fn start(
    local: Option<&LocalNodes>,
    demo: &Demo<'_>,
    member: &Member,
) -> Result<RunningNode, CommandError> {
    let Member { name, data, roles, wire, environment, .. } = member;
    if let Some(local) = local {
        return local.start(Path::new(data), roles, wire).map(RunningNode::Local);
    }
    let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    let roles = roles.join(",");
    let mut serve = vec!["serve", "--data", data, "--roles", &roles];
    for listener in ["--listen", "--admin-listen", "--metrics-listen"] {
        serve.extend([listener, "127.0.0.1:0"]);
    }
    serve.extend(["--rate-limit", "0", "--json"]);
    demo.start_node(&serve, &format!("{name}.log"), environment).map(RunningNode::Process)
}

#[cfg(feature = "services")]
fn through_wire(demo: &Demo<'_>, wire: &Wire) -> Result<Vec<(&'static str, String)>, CommandError> {
    super::link::through_wire(demo.services(), wire)
}

#[cfg(not(feature = "services"))]
#[expect(clippy::unnecessary_wraps, reason = "as with services")]
fn through_wire(_: &Demo<'_>, _: &Wire) -> Result<Vec<(&'static str, String)>, CommandError> {
    Ok(Vec::new())
}

#[cfg(feature = "services")]
fn open_ledger(demo: &Demo<'_>, runtime: &Runtime) -> Result<Arc<dyn Ledger>, CommandError> {
    use votekit_store::services::postgres::PostgresLedger;
    use votekit_store::services::url::{Service, ServiceAddress};
    let url = demo.services().iter().find(|(name, _)| *name == "VOTEKIT_LEDGER");
    let (_, url) = url.ok_or_else(|| unexpected("the demo has no ledger"))?;
    let address = ServiceAddress::parse(Service::PostgreSql, url)?;
    Ok(Arc::new(runtime.block_on(PostgresLedger::open(&address))?))
}

#[cfg(not(feature = "services"))]
fn open_ledger(_: &Demo<'_>, _: &Runtime) -> Result<Arc<dyn Ledger>, CommandError> {
    Err(unexpected("the demo has no ledger"))
}

/// Waits until a condition is true.
async fn wait_until(
    what: &str,
    mut is_true: impl AsyncFnMut() -> Result<bool, CommandError>,
) -> Result<(), CommandError> {
    let until = Instant::now() + WAIT_TIMEOUT;
    while !is_true().await? {
        if Instant::now() >= until {
            let seconds = WAIT_TIMEOUT.as_secs();
            return Err(unexpected(&format!("after {seconds} s it is not so that {what}")));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}
