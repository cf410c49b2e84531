//! The addresses of a server and its TLS identity, acquired before the node starts.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket};
use votekit_node::config::Config;

use super::ServeError;
use super::tls::TlsIdentity;

/// The most connections that the system completes before they are accepted.
const BACKLOG: u32 = 4096;

/// The bound addresses and the TLS identity of a server. They are acquired before the node starts:
/// reading its logs may take an hour, and a wrong address or file must be reported before that. No
/// client can connect yet, and no other process can bind the addresses.
pub struct Reserved {
    pub(super) sockets: [(SocketAddr, TcpSocket); 3],
    pub(super) tls: Option<Arc<TlsIdentity>>,
}

impl fmt::Debug for Reserved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Reserved({:?})", self.sockets.each_ref().map(|(address, _)| address))
    }
}

impl Reserved {
    /// Checks the configuration, reads the TLS files and binds the addresses.
    ///
    /// # Errors
    /// The first [`ServeError`], naming the address or file.
    pub fn bind(config: &Config) -> Result<Self, ServeError> {
        Self::try_of(config).map_err(|mut faults| faults.swap_remove(0))
    }

    /// Does the same as [`Reserved::bind`], and returns every fault.
    ///
    /// # Errors
    /// At least one.
    pub fn try_of(config: &Config) -> Result<Self, Vec<ServeError>> {
        let mut faults: Vec<ServeError> =
            config.check().err().map(Into::into).into_iter().collect();
        let tls = match (&config.tls_cert, &config.tls_key) {
            (Some(cert), Some(key)) => match TlsIdentity::read(cert, key) {
                Ok(identity) => Some(Arc::new(identity)),
                Err(error) => {
                    faults.push(error);
                    None
                }
            },
            _ => None,
        };
        let addresses = [
            ("listen", config.listen),
            ("admin_listen", config.admin_listen),
            ("metrics_listen", config.metrics_listen),
        ];
        let mut sockets = Vec::new();
        for (index, (second, address)) in addresses.into_iter().enumerate() {
            let mut before = addresses[..index].iter();
            if let Some((first, _)) = before.find(|(_, other)| overlap(*other, address)) {
                faults.push(ServeError::SameAddress { first, second, address });
                continue;
            }
            match bind_socket(address) {
                Ok(socket) => sockets.push((address, socket)),
                Err(source) => faults.push(ServeError::Bind { address, source }),
            }
        }
        match <[_; 3]>::try_from(sockets) {
            Ok(sockets) if faults.is_empty() => Ok(Self { sockets, tls }),
            _ => Err(faults),
        }
    }
}

/// Whether two listeners need the same port of an address.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() != 0 && one.port() == other.port() && {
        // `[::ffff:127.0.0.1]` is 127.0.0.1 under another name.
        let ips = [one.ip().to_canonical(), other.ip().to_canonical()];
        ips[0] == ips[1] || includes(ips[0], ips[1]) || includes(ips[1], ips[0])
    }
}

/// Whether a listener on all interfaces receives connections to another address. A listener on
/// `[::]` receives IPv4 too: sockets are dual-stack unless the system is configured otherwise. A
/// listener on `0.0.0.0` receives nothing by IPv6.
fn includes(any: IpAddr, ip: IpAddr) -> bool {
    any.is_unspecified() && (any.is_ipv6() || ip.is_ipv4())
}

/// Binds an address so that no other process can bind it too.
fn bind_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // With `SO_REUSEADDR` Linux lets several sockets have one address until one of them listens, so
    // two nodes that read their logs would not detect each other.
    match socket.bind(address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            // A restarted node can bind its address at once, while old connections are in
            // TIME-WAIT. An address that another process has bound without this option is still
            // refused.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.set_reuseaddr(false)?;
        }
        bound => bound?,
    }
    Ok(socket)
}

/// Listens on a bound address.
pub(super) fn listen(socket: TcpSocket) -> io::Result<TcpListener> {
    // Connections inherit the option: without it they would block the address after a restart.
    socket.set_reuseaddr(true)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpStream;

    use super::*;

    #[test]
    fn listeners_overlap_where_one_receives_what_is_sent_to_the_other() {
        for (one, other, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("0.0.0.0:80", "[::]:80", true),
            ("[::]:80", "[::1]:80", true),
            ("[::]:80", "192.0.2.1:80", true),
            ("[::1]:80", "127.0.0.1:80", false),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
            ("[::ffff:0.0.0.0]:80", "127.0.0.1:80", true),
            ("[::ffff:0.0.0.0]:80", "[::1]:80", false),
        ] {
            let [a, b] = [one, other].map(|text| text.parse().expect("an address"));
            assert_eq!((overlap(a, b), overlap(b, a)), (expected, expected), "{one} {other}");
        }
    }

    fn any_port() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn an_address_that_is_bound_but_not_listening_is_taken() {
        let held = bind_socket(any_port()).expect("a free port");
        let address = held.local_addr().expect("an address");
        let error = bind_socket(address).expect_err("it is taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(held);
        bind_socket(address).expect("it is free again");
    }

    #[tokio::test]
    async fn connections_of_an_earlier_run_do_not_hold_an_address() {
        let listener = listen(bind_socket(any_port()).expect("a free port")).expect("it listens");
        let address = listener.local_addr().expect("an address");
        let mut client = TcpStream::connect(address).await.expect("a connection");
        let (served, _) = listener.accept().await.expect("a connection");
        // The side that closes first keeps the connection in TIME-WAIT.
        drop(served);
        assert_eq!(client.read(&mut [0]).await.expect("closed in order"), 0);
        drop((client, listener));
        let again = bind_socket(address).expect("only an old connection is there");
        let error = bind_socket(address).expect_err("it is taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        listen(again).expect("it listens");
    }
}
