//! Where a request comes from, for the back-off alone: the address is neither logged nor kept.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address at the other end of the connection: an extension of each request.
#[derive(Clone, Copy)]
pub(crate) struct PeerAddress(pub(crate) IpAddr);

/// The client's address: the peer's, or behind a proxy the last address of the last `X-Forwarded-For`, which the proxy itself has written. Those
/// before it are only claims.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, behind_proxy: bool) -> IpAddr {
    if behind_proxy { forwarded_for(headers).unwrap_or(peer) } else { peer }
}

fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all(&FORWARDED_FOR).iter().next_back()?.to_str().ok()?.rsplit(',').next()?.trim();
    // Some proxies add the port.
    last.parse().ok().or_else(|| last.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(values: &[&'static str], behind_proxy: bool) -> String {
        let headers = values.iter().map(|value| (FORWARDED_FOR.clone(), HeaderValue::from_static(value))).collect();
        client_address(IpAddr::from([192, 0, 2, 1]), &headers, behind_proxy).to_string()
    }

    #[test]
    fn only_a_proxys_own_word_counts() {
        assert_eq!(client(&["203.0.113.9"], false), "192.0.2.1");
        assert_eq!(client(&["10.0.0.1, 203.0.113.9"], true), "203.0.113.9");
        assert_eq!(client(&["203.0.113.9", "2001:db8::1"], true), "2001:db8::1");
        assert_eq!(client(&["203.0.113.9:4711"], true), "203.0.113.9");
        assert_eq!(client(&["203.0.113.9, unknown"], true), "192.0.2.1");
        assert_eq!(client(&[], true), "192.0.2.1");
    }
}
