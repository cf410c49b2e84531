//! A Redis Cluster: three masters, each with a replica.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::account::Account;
use super::install::Programs;
use super::ports::{HOST, Ports};
use super::server::REDIS_NODES;
use super::site::Site;

/// The shipped settings; addresses and folders are added to them.
const SETTINGS: &str = include_str!("../../../../deploy/redis/votekit.conf");

/// Creates the folders of all nodes.
pub(super) fn prepare(site: &Site) -> Result<()> {
    let account = Account::named("redis")?;
    for node in 1..=REDIS_NODES {
        let folder = site.folder.join(format!("redis-{node}"));
        account.make_folder(&folder)?;
        account.write(&folder.join("votekit.conf"), SETTINGS)?;
    }
    Ok(())
}

/// The command that starts a node.
pub(super) fn command(site: &Site, programs: &Programs, node: u8) -> Result<Command> {
    let folder = site.folder.join(format!("redis-{node}"));
    let mut command = Account::named("redis")?.command(&programs.redis_server, &folder);
    command.arg("votekit.conf").args(["--bind", &HOST.to_string()]);
    command.args([
        "--port",
        &site.ports.redis(node).to_string(),
        "--cluster-port",
        &site.ports.redis_bus(node).to_string(),
    ]);
    command.arg("--dir").arg(&folder).args(["--logfile", "log", "--daemonize", "no"]);
    Ok(command)
}

/// Whether a node answers.
pub(super) fn answers(ports: Ports, node: u8) -> bool {
    query(ports, node, "PING").is_ok()
}

/// Creates a cluster from nodes that do not know each other.
pub(super) fn make_cluster(site: &Site, programs: &Programs) -> Result<()> {
    let nodes = (1..=REDIS_NODES).map(|node| format!("{HOST}:{}", site.ports.redis(node)));
    let mut command = Command::new(&programs.redis_cli);
    command.args(["--cluster", "create"]).args(nodes).args([
        "--cluster-replicas",
        "1",
        "--cluster-yes",
    ]);
    let made = command.output().context("starting redis-cli")?;
    ensure!(
        made.status.success(),
        "redis-cli could not make the cluster:\n{}",
        String::from_utf8_lossy(&made.stdout)
    );
    Ok(())
}

/// Whether the cluster serves every slot, every replica is in sync with its master, and every node
/// knows so: after a failover the news takes time, and a node that came back stays a master without
/// slots until it learns who serves them.
pub(super) fn cluster_is_whole(ports: Ports) -> bool {
    (1..=REDIS_NODES).all(|node| {
        let serves =
            query(ports, node, "CLUSTER INFO").is_ok_and(|info| info.contains("cluster_state:ok"));
        let follows = query(ports, node, "INFO replication").is_ok_and(|info| {
            info.contains("master_link_status:up")
                || (info.contains("role:master") && info.contains("state=online"))
        });
        let knows = query(ports, node, "CLUSTER NODES")
            .and_then(|text| parse_nodes(&text, ports))
            .is_ok_and(|nodes| has_settled(&nodes));
        serves && follows && knows
    })
}

/// Whether every node is present, as a master that serves slots or as a replica of such a master.
fn has_settled(nodes: &[RedisNode]) -> bool {
    let serves = |node: &RedisNode| node.is_master && !node.slots.is_empty();
    let settled = |node: &RedisNode| {
        let master = node.replica_of.and_then(|master| nodes.get(usize::from(master) - 1));
        !node.has_failed && (serves(node) || master.is_some_and(serves))
    };
    // Sorted by number. A node that is just joining is listed twice.
    nodes.iter().map(|node| node.node).eq(1..=REDIS_NODES) && nodes.iter().all(settled)
}

/// Deletes all data of a master.
pub(super) fn empty(ports: Ports, node: u8) -> Result<()> {
    query(ports, node, "FLUSHALL").map(drop)
}

/// A node, as described by the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RedisNode {
    /// Its number, counted from 1.
    pub(crate) node: u8,
    pub(crate) is_master: bool,
    /// A majority of masters considers it failed.
    pub(crate) has_failed: bool,
    /// The number of its master, if it is a replica.
    pub(crate) replica_of: Option<u8>,
    /// The slots it serves, as `0-5460`.
    pub(crate) slots: Vec<String>,
}

/// The nodes, as described by the first node that answers.
pub(super) fn nodes(ports: Ports) -> Result<Vec<RedisNode>> {
    match (1..=REDIS_NODES).find_map(|node| query(ports, node, "CLUSTER NODES").ok()) {
        Some(text) => parse_nodes(&text, ports),
        None => bail!("no Redis node answers"),
    }
}

/// Parses lines of `ID ADDRESS FLAGS MASTER PING PONG EPOCH LINK SLOT…`.
fn parse_nodes(text: &str, ports: Ports) -> Result<Vec<RedisNode>> {
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let number = |row: &[&str]| {
        let (_, port) = row.get(1)?.split_once('@')?.0.rsplit_once(':')?;
        (1..=REDIS_NODES).find(|node| ports.redis(*node).to_string() == port)
    };
    let mut nodes = Vec::new();
    for row in &rows {
        let (Some(node), Some(flags)) = (number(row), row.get(2)) else {
            bail!("CLUSTER NODES said {row:?}")
        };
        let flags: Vec<&str> = flags.split(',').collect();
        nodes.push(RedisNode {
            node,
            is_master: flags.contains(&"master"),
            has_failed: flags.contains(&"fail"),
            replica_of: rows
                .iter()
                .find(|other| other[0] == row[3])
                .and_then(|master| number(master)),
            slots: row.iter().skip(8).map(|slots| (*slots).to_owned()).collect(),
        });
    }
    nodes.sort_by_key(|node| node.node);
    Ok(nodes)
}

/// Sends one inline command, and returns its answer: a simple or a bulk string.
fn query(ports: Ports, node: u8, command: &str) -> Result<String> {
    let timeout = Duration::from_secs(1);
    let mut stream =
        TcpStream::connect_timeout(&SocketAddr::from((HOST, ports.redis(node))), timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    answer.read_line(&mut line)?;
    let (kind, rest) = line.trim_end().split_at_checked(1).context("an empty answer")?;
    match kind {
        "+" => Ok(rest.to_owned()),
        "$" => {
            let mut text = vec![0; rest.parse()?];
            answer.read_exact(&mut text)?;
            Ok(String::from_utf8(text)?)
        }
        _ => bail!("{command}: {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read() -> Result<()> {
        let ports = Ports::free()?;
        let [first, second] = [ports.redis(1), ports.redis(2)];
        let text = format!(
            "aa 127.0.0.1:{second}@1 slave bb 0 0 1 connected\n\
             bb 127.0.0.1:{first}@2 myself,master,fail - 0 0 1 connected 0-5460 7000\n"
        );
        let nodes = parse_nodes(&text, ports)?;
        let master = RedisNode {
            node: 1,
            is_master: true,
            has_failed: true,
            replica_of: None,
            slots: vec!["0-5460".into(), "7000".into()],
        };
        let replica = RedisNode {
            node: 2,
            is_master: false,
            has_failed: false,
            replica_of: Some(1),
            slots: vec![],
        };
        assert_eq!(nodes, [master, replica]);
        assert!(parse_nodes("what?", ports).is_err());
        Ok(())
    }

    #[test]
    fn a_cluster_has_settled_once_every_node_has_its_part() {
        let node = |node: u8| RedisNode {
            node,
            is_master: node <= 3,
            has_failed: false,
            replica_of: node.checked_sub(3).filter(|master| *master > 0),
            slots: if node <= 3 { vec![format!("{node}-{node}")] } else { vec![] },
        };
        let settled: Vec<_> = (1..=REDIS_NODES).map(node).collect();
        assert!(has_settled(&settled));
        assert!(!has_settled(&settled[1..]), "one is not known");
        let mut came_back = settled.clone();
        came_back[3] = RedisNode { is_master: true, replica_of: None, ..node(4) };
        assert!(!has_settled(&came_back), "a master without slots");
        let mut lost = settled.clone();
        lost[0].has_failed = true;
        assert!(!has_settled(&lost), "a master that failed");
        let mut in_a_row = settled;
        in_a_row[5].replica_of = Some(4);
        assert!(!has_settled(&in_a_row), "the replica of a replica");
    }
}
