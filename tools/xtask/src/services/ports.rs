//! The assignment of ports: all servers of a rig listen in one block of ports, only on the loopback
//! address.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// The only address the servers listen on.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Ports in a block.
const BLOCK: u16 = 32;

/// The range searched for a free block: below the ports that Linux uses for outgoing connections,
/// so that none of those takes the port of a server that is down for a moment.
const SEARCHED: std::ops::Range<u16> = 20_000..32_000;

/// A block of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ports {
    base: u16,
}

impl Ports {
    /// The block that starts at `base`.
    ///
    /// # Errors
    /// When a port of the block is taken.
    pub(crate) fn at(base: u16) -> Result<Self> {
        ensure!(
            (1024..=u16::MAX - BLOCK).contains(&base),
            "--ports {base}: a block of {BLOCK} ports from 1024 to 65535 is wanted"
        );
        let ports = Self { base };
        match ports.taken() {
            Some(port) => bail!(
                "--ports {base}: port {port} is taken; the block goes to {}",
                base + BLOCK - 1
            ),
            None => Ok(ports),
        }
    }

    /// A block in which every port is free now.
    pub(crate) fn free() -> Result<Self> {
        // Runs that start together start their search at different blocks.
        let blocks = usize::from((SEARCHED.end - SEARCHED.start) / BLOCK);
        let first = std::process::id() as usize % blocks;
        let bases = SEARCHED.step_by(BLOCK.into()).cycle().skip(first).take(blocks);
        match bases.map(|base| Self { base }).find(|ports| ports.taken().is_none()) {
            Some(ports) => Ok(ports),
            None => {
                bail!("no {BLOCK} free ports in a row from {} to {}", SEARCHED.start, SEARCHED.end)
            }
        }
    }

    fn taken(self) -> Option<u16> {
        (self.base..self.base + BLOCK).find(|port| TcpListener::bind((HOST, *port)).is_err())
    }

    /// The client port of a Redis node, counted from 1.
    pub(crate) fn redis(self, node: u8) -> u16 {
        self.base + u16::from(node) - 1
    }

    /// The cluster bus port of a Redis node.
    pub(crate) fn redis_bus(self, node: u8) -> u16 {
        self.base + 9 + u16::from(node)
    }

    pub(crate) fn amqp(self) -> u16 {
        self.base + 20
    }

    /// The Erlang distribution port, also used by RabbitMQ's command line.
    pub(crate) fn erlang(self) -> u16 {
        self.base + 21
    }

    /// The port of epmd, where Erlang nodes find each other.
    pub(crate) fn epmd(self) -> u16 {
        self.base + 22
    }

    pub(crate) fn postgresql(self) -> u16 {
        self.base + 30
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_reported() -> Result<()> {
        let ports = Ports::free()?;
        let _holder = TcpListener::bind((HOST, ports.amqp()))?;
        let error = Ports::at(ports.base).expect_err("one port is taken").to_string();
        // Another program may have taken another port of the block: then the error names that port.
        assert!(error.contains("is taken; the block goes to"), "{error}");
        assert!(Ports::at(80).is_err());
        Ok(())
    }
}
