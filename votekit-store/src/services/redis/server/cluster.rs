//! A cluster: the master of each slot, and one pipeline per master.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{
    Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, RedisResult, TlsCertificates, Value,
};
use tokio::sync::RwLock;

use super::{CONNECTION_TIMEOUT, Keyed, RESPONSE_TIMEOUT, Target, with_scripts};

const SLOTS: usize = 16_384;
/// redis-rs's own limit on a request with its retries. Its default would cut them off in a
/// failover; every caller here has a shorter timeout, or a longer one and retries.
const OVERALL_TIMEOUT: Duration = Duration::from_secs(10);
/// After this number of consecutive failures all connections are reopened: all of them may be
/// stale, so that the other nodes cannot be discovered through them.
const FAILURES_MAX: u32 = 3;

/// A cluster and its topology.
pub(super) struct Cluster {
    seed: ConnectionInfo,
    certificates: Option<TlsCertificates>,
    state: RwLock<State>,
    failures: AtomicU32,
}

#[derive(Clone)]
struct State {
    connection: ClusterConnection,
    topology: Arc<Topology>,
}

/// The master of each slot, and the addresses of all nodes.
pub(super) struct Topology {
    /// By slot, an index into `masters`.
    owners: Vec<u16>,
    /// Each master's address, and one of its slots.
    masters: Vec<(String, u16)>,
    /// All known addresses, including replicas.
    nodes: Vec<(String, u16)>,
}

impl Cluster {
    /// Connects to every node that the first one reports.
    pub(super) async fn open(
        seed: ConnectionInfo,
        certificates: Option<TlsCertificates>,
    ) -> RedisResult<Self> {
        let state = connect(&seed, certificates.clone(), &[]).await?;
        let nodes = state.topology.nodes.clone();
        let state = connect(&seed, certificates.clone(), &nodes).await?;
        Ok(Self { seed, certificates, state: RwLock::new(state), failures: AtomicU32::new(0) })
    }

    /// One round trip to each master that has a key, concurrently.
    pub(super) async fn run(&self, commands: &[Keyed]) -> RedisResult<Vec<Value>> {
        let State { connection, topology } = self.state.read().await.clone();
        let mut indices: BTreeMap<u16, (u16, Vec<usize>)> = BTreeMap::new();
        for (index, keyed) in commands.iter().enumerate() {
            let slot = slot_of(keyed.key.as_bytes());
            let owner = topology.owners.get(usize::from(slot)).copied().unwrap_or(u16::MAX);
            indices.entry(owner).or_insert_with(|| (slot, Vec::new())).1.push(index);
        }
        let mut queries = Vec::with_capacity(indices.len());
        for (slot, indices) in indices.into_values() {
            queries.push(query_master(connection.clone(), slot, indices, commands));
        }
        let mut gathered = vec![Value::Nil; commands.len()];
        // Waits for all of them even after an error: no request may still be in flight when the
        // caller continues.
        for answered in join_all(queries).await {
            let (indices, values) = answered?;
            for (index, value) in indices.into_iter().zip(values) {
                gathered[index] = value;
            }
        }
        self.failures.store(0, Ordering::Relaxed);
        Ok(gathered)
    }

    pub(super) async fn on_each(&self, command: &Cmd) -> RedisResult<Vec<(String, Value)>> {
        let State { mut connection, topology } = self.state.read().await.clone();
        let mut answers = Vec::with_capacity(topology.masters.len());
        for (address, slot) in &topology.masters {
            let value = connection
                .route_command(command.clone(), RoutingInfo::SingleNode(master_of(*slot)))
                .await?;
            answers.push((address.clone(), value));
        }
        Ok(answers)
    }

    pub(super) async fn on_replicas(
        &self,
        command: &Cmd,
        limit: Duration,
    ) -> Vec<(String, RedisResult<Value>)> {
        let State { connection, topology } = self.state.read().await.clone();
        let is_replica = |(host, port): &&(String, u16)| {
            let name = format!("{host}:{port}");
            topology.masters.iter().all(|(master, _)| *master != name)
        };
        let queries = topology.nodes.iter().filter(is_replica).map(|(host, port)| {
            let (mut connection, command) = (connection.clone(), command.clone());
            async move {
                let routing = SingleNodeRoutingInfo::ByAddress { host: host.clone(), port: *port };
                let answer = tokio::time::timeout(
                    limit,
                    connection.route_command(command, RoutingInfo::SingleNode(routing)),
                )
                .await;
                let answer = answer.unwrap_or_else(|_| {
                    Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut)))
                });
                (format!("{host}:{port} (a replica)"), answer.and_then(Value::extract_error))
            }
        });
        join_all(queries).await
    }

    /// Refreshes the topology; after repeated failures, connects again.
    pub(super) async fn refresh_topology(&self, _error: &RedisError) {
        let State { mut connection, topology } = self.state.read().await.clone();
        if self.failures.fetch_add(1, Ordering::Relaxed) < FAILURES_MAX {
            if let Ok(topology) = Topology::fetch(&mut connection).await {
                self.state.write().await.topology = Arc::new(topology);
            }
        } else if let Ok(state) =
            connect(&self.seed, self.certificates.clone(), &topology.nodes).await
        {
            *self.state.write().await = state;
            self.failures.store(0, Ordering::Relaxed);
        }
    }
}

/// The answers of one master, with the positions of their commands.
async fn query_master(
    connection: ClusterConnection,
    slot: u16,
    indices: Vec<usize>,
    commands: &[Keyed],
) -> RedisResult<(Vec<usize>, Vec<Value>)> {
    let these: Vec<&Cmd> = indices.iter().map(|index| &commands[*index].command).collect();
    let values = with_scripts(&these, Target::Slot(connection, slot)).await?;
    Ok((indices, values))
}

async fn connect(
    seed: &ConnectionInfo,
    certificates: Option<TlsCertificates>,
    nodes: &[(String, u16)],
) -> RedisResult<State> {
    let mut seeds = vec![seed.clone()];
    seeds.extend(
        nodes.iter().map(|(host, port)| seed.clone().set_addr(at(seed.addr(), host, *port))),
    );
    let mut builder = ClusterClient::builder(seeds)
        .connection_timeout(CONNECTION_TIMEOUT)
        .response_timeout(RESPONSE_TIMEOUT)
        .overall_response_timeout(Some(OVERALL_TIMEOUT))
        .retries(3)
        .min_retry_wait(20)
        .max_retry_wait(200);
    if let Some(certificates) = certificates {
        builder = builder.certs(certificates);
    }
    let mut connection = builder.build()?.get_async_connection().await?;
    let topology = Arc::new(Topology::fetch(&mut connection).await?);
    Ok(State { connection, topology })
}

/// An address of the same kind, for another node.
fn at(like: &ConnectionAddr, host: &str, port: u16) -> ConnectionAddr {
    match like {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
            host: host.to_owned(),
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host.to_owned(), port),
    }
}

impl Topology {
    async fn fetch(connection: &mut ClusterConnection) -> RedisResult<Self> {
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let slots = connection
            .route_command(command, RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random))
            .await?;
        Self::read(&slots.extract_error()?)
            .ok_or_else(|| RedisError::from((ErrorKind::Parse, "CLUSTER SLOTS cannot be parsed")))
    }

    /// Parses ranges of slots, each with its master and its replicas: `[[first, last, [host, port,
    /// …], …], …]`.
    fn read(slots: &Value) -> Option<Self> {
        let mut topology =
            Self { owners: vec![u16::MAX; SLOTS], masters: Vec::new(), nodes: Vec::new() };
        for range in array(slots)? {
            let [first, last, nodes @ ..] = array(range)? else { return None };
            let (first, last) = (number(first)?, number(last)?);
            let mut addresses = Vec::new();
            for node in nodes {
                let [host, port, ..] = array(node)? else { return None };
                // An empty host is the node that was asked, which is a seed already.
                if let Some(host) = text(host).filter(|host| !host.is_empty() && host != "?") {
                    addresses.push((host, number(port)?));
                }
            }
            let name = addresses.first().map_or_else(
                || "the first node".to_owned(),
                |(host, port)| format!("{host}:{port}"),
            );
            let index = match topology.masters.iter().position(|(known, _)| *known == name) {
                Some(index) => index,
                None => {
                    topology.masters.push((name, first));
                    topology.masters.len() - 1
                }
            };
            topology
                .owners
                .get_mut(usize::from(first)..=usize::from(last))?
                .fill(u16::try_from(index).ok()?);
            for address in addresses {
                if !topology.nodes.contains(&address) {
                    topology.nodes.push(address);
                }
            }
        }
        Some(topology)
    }
}

pub(super) fn master_of(slot: u16) -> SingleNodeRoutingInfo {
    SingleNodeRoutingInfo::SpecificNode(Route::new(slot, SlotAddr::Master))
}

/// CRC-16 (XMODEM) of the text in the first braces, or of the whole key.
fn slot_of(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    let mut crc: u16 = 0;
    for byte in tag.unwrap_or(key) {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
    }
    crc % SLOTS as u16
}

fn array(value: &Value) -> Option<&[Value]> {
    if let Value::Array(values) = value { Some(values) } else { None }
}

fn number(value: &Value) -> Option<u16> {
    if let Value::Int(number) = value { u16::try_from(*number).ok() } else { None }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot_of(b"123456789"), 0x31C3);
        assert_eq!(slot_of(b"votekit:{L1:6:3f}:d"), slot_of(b"votekit:{L1:6:3f}"));
        assert_eq!(slot_of(b"{}x"), slot_of(b"{}x"));
        assert_ne!(slot_of(b"{}x"), slot_of(b"{}y"));
    }

    #[test]
    fn ranges_of_one_master_are_one_round_trip() {
        let node =
            |port| Value::Array(vec![Value::BulkString(b"127.0.0.1".to_vec()), Value::Int(port)]);
        let range = |first, last, ports: &[i64]| {
            let mut range = vec![Value::Int(first), Value::Int(last)];
            range.extend(ports.iter().map(|port| node(*port)));
            Value::Array(range)
        };
        let slots = Value::Array(vec![
            range(0, 99, &[1, 4]),
            range(100, 16_383, &[2]),
            range(50, 60, &[2]),
        ]);
        let topology = Topology::read(&slots).expect("it reads");
        assert_eq!(topology.masters.len(), 2);
        assert_eq!((topology.owners[0], topology.owners[55], topology.owners[16_383]), (0, 1, 1));
        assert_eq!(topology.nodes.len(), 3);
        assert!(Topology::read(&Value::Array(vec![range(0, 16_384, &[1])])).is_none());
        assert!(Topology::read(&Value::Nil).is_none());
    }
}
