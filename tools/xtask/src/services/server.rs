//! The names of the servers of a rig.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// Nodes of the Redis Cluster: three masters, each with a replica.
pub(crate) const REDIS_NODES: u8 = 6;

/// A server that can be killed and started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) enum Server {
    /// A node of the Redis Cluster, counted from 1.
    Redis(u8),
    /// Erlang's port mapper daemon, which RabbitMQ needs to start.
    Epmd,
    RabbitMq,
    PostgreSql,
}

impl Server {
    /// All servers in starting order: the slowest first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [Self::Epmd, Self::RabbitMq, Self::PostgreSql]
            .into_iter()
            .chain((1..=REDIS_NODES).map(Self::Redis))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redis(node) => write!(formatter, "redis-{node}"),
            Self::Epmd => formatter.write_str("epmd"),
            Self::RabbitMq => formatter.write_str("rabbitmq"),
            Self::PostgreSql => formatter.write_str("postgresql"),
        }
    }
}

impl FromStr for Server {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match Self::all().find(|server| server.to_string() == name) {
            Some(server) => Ok(server),
            None => {
                let names: Vec<String> = Self::all().map(|server| server.to_string()).collect();
                bail!("no server '{name}'; there are: {}", names.join(", "))
            }
        }
    }
}

impl From<Server> for String {
    fn from(server: Server) -> Self {
        server.to_string()
    }
}

impl TryFrom<String> for Server {
    type Error = anyhow::Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        assert_eq!(Server::all().count(), 9);
        for server in Server::all() {
            assert_eq!(server.to_string().parse::<Server>().ok(), Some(server));
        }
        assert!("redis-7".parse::<Server>().is_err());
    }
}
