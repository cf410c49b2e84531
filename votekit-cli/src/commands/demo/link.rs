//! Ports through which an authority of a demo, in a separate process, reaches PostgreSQL and
//! RabbitMQ, so that its network can be cut.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;

use reqwest::Url;
use votekit_store::services::url::{Service, ServiceAddress};

use super::wire::Wire;
use crate::error::CommandError;

/// The services whose connections are cut: without them an authority neither reads nor writes, and
/// takes no batch that it could not stage.
const LINKED: [(&str, Service); 2] =
    [("VOTEKIT_BALLOT_BOX", Service::RabbitMq), ("VOTEKIT_LEDGER", Service::PostgreSql)];

/// Environment variables that lead one process over its own wire. Empty when a service is on
/// another machine or uses TLS: its certificate does not name this machine.
pub(super) fn through_wire(
    services: &[(&'static str, String)],
    wire: &Wire,
) -> Result<Vec<(&'static str, String)>, CommandError> {
    let mut through = Vec::new();
    for (name, service) in LINKED {
        let Some((_, url)) = services.iter().find(|(known, _)| *known == name) else {
            return Ok(Vec::new());
        };
        let address = ServiceAddress::parse(service, url)?;
        if !is_plain_here(&address) {
            return Ok(Vec::new());
        }
        let port = link(address.host().to_owned(), address.port(), wire.clone())
            .map_err(|error| CommandError::configuration(format!("no port for a link: {error}")))?;
        through.push((name, with_port(url, port)?));
    }
    Ok(through)
}

fn is_plain_here(address: &ServiceAddress) -> bool {
    let host = address.host();
    let is_here = host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let is_verified = address.parameter("sslmode").is_some_and(|mode| mode == "verify-full");
    is_here && !address.is_tls() && address.ca_file().is_none() && !is_verified
}

/// The same address on another port of this machine.
fn with_port(url: &str, port: u16) -> Result<String, CommandError> {
    let refused = || CommandError::internal("the address of a service takes no other port");
    let mut url: Url = url.trim().parse().map_err(|_| refused())?;
    url.set_host(Some("127.0.0.1")).map_err(|_| refused())?;
    url.set_port(Some(port)).map_err(|()| refused())?;
    Ok(url.into())
}

/// Opens a port that forwards to a server, as long as this process lives.
fn link(host: String, port: u16, wire: Wire) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let own = listener.local_addr()?.port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // On failure the client's connection is closed, as if the server were down.
            let _ = forward(client, (&host, port), &wire);
        }
    });
    Ok(own)
}

fn forward(client: TcpStream, server: (&str, u16), wire: &Wire) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, from_server) = (client.try_clone()?, server.try_clone()?);
    if wire.connect([client.try_clone()?, server.try_clone()?]) {
        thread::spawn(move || carry(from_client, server));
        thread::spawn(move || carry(from_server, client));
    }
    Ok(())
}

/// Forwards one direction until either side ends it; then ends both.
fn carry(mut from: TcpStream, mut to: TcpStream) {
    // An error ends the connection, as a close does.
    let _ = io::copy(&mut from, &mut to);
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
