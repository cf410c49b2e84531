//! A link between a node and a server that can be cut: all traffic of a node to a server passes
//! through one.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

/// The state of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Wire {
    /// All bytes arrive.
    Whole = 0,
    /// No bytes arrive, without an error, like a network that loses everything. They arrive once
    /// the link is whole again.
    Silent = 1,
    /// Existing and new connections are closed.
    Broken = 2,
    /// The link is permanently gone.
    Gone = 3,
    /// Bytes of the node do not arrive; those of the server do.
    Unheard = 4,
    /// Bytes of the server do not arrive; those of the node do.
    Deaf = 5,
}

/// A loopback port that forwards to another.
#[derive(Debug)]
pub(crate) struct Link {
    port: u16,
    shared: Arc<LinkState>,
}

#[derive(Debug)]
struct LinkState {
    server: SocketAddr,
    wire: AtomicU8,
    connections: AtomicU64,
    open: Mutex<HashMap<u64, [TcpStream; 2]>>,
    /// Ports that the server announces, and their replacements: a Redis Cluster redirects its
    /// clients from node to node.
    replacements: Mutex<Vec<(String, String)>>,
}

impl Link {
    /// A link to a server on this machine.
    pub(crate) fn new(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a port for a link")?;
        let shared = Arc::new(LinkState {
            server: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            wire: AtomicU8::new(Wire::Whole as u8),
            connections: AtomicU64::new(0),
            open: Mutex::default(),
            replacements: Mutex::default(),
        });
        let link = Self { port: listener.local_addr()?.port(), shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.is(Wire::Gone) {
                    return;
                }
                // On failure the client's connection is closed, as if the server were down.
                let _ = shared.connect(client);
            }
        });
        Ok(link)
    }

    /// Links to servers that redirect their clients to one another: they announce the links' ports
    /// instead.
    pub(crate) fn to_cluster(ports: &[u16]) -> Result<Vec<Self>> {
        let links = ports.iter().map(|port| Self::new(*port)).collect::<Result<Vec<_>>>()?;
        let replacements: Vec<_> = ports
            .iter()
            .zip(&links)
            .map(|(port, link)| (format!(":{port}"), format!(":{}", link.port)))
            .collect();
        for link in &links {
            link.shared
                .replacements
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone_from(&replacements);
        }
        Ok(links)
    }

    /// The port to connect to instead of the server's.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Cuts or restores the link.
    pub(crate) fn set(&self, wire: Wire) {
        self.shared.wire.store(wire as u8, Ordering::SeqCst);
        if matches!(wire, Wire::Broken | Wire::Gone) {
            self.shared
                .open()
                .values()
                .flatten()
                .for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.set(Wire::Gone);
        // The accepting thread notices it with the next connection.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl LinkState {
    fn is(&self, wire: Wire) -> bool {
        self.wire.load(Ordering::SeqCst) == wire as u8
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, [TcpStream; 2]>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> Result<()> {
        if self.is(Wire::Broken) {
            return Ok(());
        }
        let server = TcpStream::connect_timeout(&self.server, Duration::from_secs(1))?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        self.open().insert(number, [client.try_clone()?, server.try_clone()?]);
        let (from_client, from_server) = (client.try_clone()?, server.try_clone()?);
        let (there, back) = (Arc::clone(self), Arc::clone(self));
        std::thread::spawn(move || there.carry(number, Wire::Unheard, from_client, server, &[]));
        std::thread::spawn(move || {
            let replacements =
                back.replacements.lock().unwrap_or_else(PoisonError::into_inner).clone();
            back.carry(number, Wire::Deaf, from_server, client, &replacements);
        });
        Ok(())
    }

    /// Forwards one direction, which the state `held_up_by` blocks, until either side closes it;
    /// then closes the other side too.
    fn carry(
        &self,
        number: u64,
        held_up_by: Wire,
        mut from: TcpStream,
        mut to: TcpStream,
        replacements: &[(String, String)],
    ) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            while self.is(Wire::Silent) || self.is(held_up_by) {
                std::thread::sleep(Duration::from_millis(10));
            }
            let data = &mut buffer[..length];
            replacements.iter().for_each(|(port, instead)| {
                replace_port(data, port.as_bytes(), instead.as_bytes())
            });
            if to.write_all(data).is_err() {
                break;
            }
        }
        if let Some(streams) = self.open().remove(&number) {
            streams.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        }
    }
}

/// Replaces `:PORT` with another of the same length, unless a digit follows.
fn replace_port(data: &mut [u8], port: &[u8], instead: &[u8]) {
    // Another length would invalidate the length prefixes of the protocol.
    if port.len() != instead.len() {
        return;
    }
    let mut from = 0;
    while let Some(found) = data[from..].windows(port.len()).position(|window| window == port) {
        let (start, end) = (from + found, from + found + port.len());
        if data.get(end).is_none_or(|byte| !byte.is_ascii_digit()) {
            data[start..end].copy_from_slice(instead);
        }
        from = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_replaced_by_link_ports() {
        let mut data =
            *b"*3\r\n$9\r\n127.0.0.1\r\n:20001\r\n-MOVED 1 127.0.0.1:20001\r\n:200015\r\n";
        replace_port(&mut data, b":20001", b":45678");
        assert_eq!(
            &data[..],
            b"*3\r\n$9\r\n127.0.0.1\r\n:45678\r\n-MOVED 1 127.0.0.1:45678\r\n:200015\r\n"
        );
    }

    #[test]
    fn a_link_carries_is_cut_and_is_mended() -> Result<()> {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let link = Link::new(server.local_addr()?.port())?;
        let echo = std::thread::spawn(move || -> Result<()> {
            for _ in 0..2 {
                let (mut stream, _) = server.accept()?;
                let mut data = [0; 2];
                stream.read_exact(&mut data)?;
                stream.write_all(&data)?;
                // Wait until the other side closes the connection.
                let _ = stream.read(&mut data);
            }
            Ok(())
        });
        let say = || -> Result<TcpStream> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port()))?;
            stream.write_all(b"hi")?;
            let mut heard = [0; 2];
            stream.read_exact(&mut heard)?;
            assert_eq!(&heard, b"hi");
            Ok(stream)
        };
        let mut held = say()?;
        link.set(Wire::Broken);
        assert_eq!(held.read(&mut [0])?, 0, "the connection was ended");
        assert!(say().is_err());
        link.set(Wire::Whole);
        drop(say()?);
        echo.join().expect("no panic")
    }

    #[test]
    fn a_link_can_be_cut_in_one_direction() -> Result<()> {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let link = Link::new(server.local_addr()?.port())?;
        let mut node_side = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port()))?;
        let (mut server_side, _) = server.accept()?;
        let hears_nothing = |stream: &mut TcpStream| -> Result<bool> {
            stream.set_read_timeout(Some(Duration::from_millis(200)))?;
            let heard = stream.read(&mut [0]);
            stream.set_read_timeout(None)?;
            Ok(heard.is_err())
        };
        let mut heard = [0];

        link.set(Wire::Unheard);
        node_side.write_all(b"a")?;
        server_side.write_all(b"b")?;
        node_side.read_exact(&mut heard)?;
        assert_eq!(&heard, b"b");
        assert!(hears_nothing(&mut server_side)?);

        link.set(Wire::Deaf);
        server_side.read_exact(&mut heard)?;
        assert_eq!(&heard, b"a");
        server_side.write_all(b"c")?;
        assert!(hears_nothing(&mut node_side)?);

        // Blocked bytes are lost with the connection.
        link.set(Wire::Broken);
        link.set(Wire::Whole);
        assert_eq!(node_side.read(&mut heard)?, 0);
        Ok(())
    }
}
