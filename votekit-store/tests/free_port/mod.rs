//! Ports for servers that a test starts, kills and starts again.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port below the range for outgoing connections: a port in that range could be taken before the
/// server has it, and while the server is down.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 6_000) as u16;
    let free = (0..6_000).find_map(|_| {
        let port = 25_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 6_000;
        TcpListener::bind(("127.0.0.1", port)).ok().map(|_| port)
    });
    free.expect("a free port")
}
