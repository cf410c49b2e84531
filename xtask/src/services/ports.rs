//! Which port is whose: all servers of a rig listen in one block of ports, on the loopback address
//! alone.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// The only address that anything listens on.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Ports in a block.
const BLOCK: u16 = 32;

/// Where a free block is looked for: below the ports that Linux gives to outgoing connections, so
/// that none of those takes the port of a server that is down for a moment.
const SEARCHED: std::ops::Range<u16> = 20_000..32_000;

/// A block of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ports {
    base: u16,
}

impl Ports {
    /// The block that begins here.
    ///
    /// # Errors
    /// When a port of it is taken.
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
        // Runs that begin together begin their search apart.
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

    /// Of a Redis node, counted from 1.
    pub(crate) fn redis(self, node: u8) -> u16 {
        self.base + u16::from(node) - 1
    }

    /// Over which Redis nodes speak with one another.
    pub(crate) fn redis_bus(self, node: u8) -> u16 {
        self.base + 9 + u16::from(node)
    }

    pub(crate) fn amqp(self) -> u16 {
        self.base + 20
    }

    /// Over which Erlang nodes speak with one another, and RabbitMQ with its command line.
    pub(crate) fn erlang(self) -> u16 {
        self.base + 21
    }

    /// Where Erlang nodes ask for one another.
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
    fn a_taken_port_is_told() -> Result<()> {
        let ports = Ports::free()?;
        let _holder = TcpListener::bind((HOST, ports.amqp()))?;
        let error = Ports::at(ports.base).expect_err("one port is taken").to_string();
        // Another program may have taken a port of the block meanwhile: then that one is told.
        assert!(error.contains("is taken; the block goes to"), "{error}");
        assert!(Ports::at(80).is_err());
        Ok(())
    }
}
