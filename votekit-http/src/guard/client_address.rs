//! The address of a client, for the limits and the back-off only: it is neither logged nor stored.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};
use votekit_node::config::Config;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address: the peer's, unless the peer is one of our proxies. Then it is the last
/// address in `X-Forwarded-For` that is not one of our proxies: a proxy appends the address it saw,
/// and everything before that is only a claim.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, config: &Config) -> IpAddr {
    if config.tls_proxies.is_empty() || !config.is_tls_proxy(peer) {
        return peer;
    }
    let mut client = peer;
    for text in headers
        .get_all(&FORWARDED_FOR)
        .iter()
        .rev()
        .flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','))
    {
        let Some(address) = parse(text) else { break };
        client = address;
        if !config.is_tls_proxy(address) {
            break;
        }
    }
    client
}

fn parse(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    // Some proxies add the port, and some write an IPv6 address in brackets without one.
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    text.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| bracketed?.parse().ok().map(IpAddr::V6))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(peer: [u8; 4], values: &[&'static str]) -> String {
        let headers = values
            .iter()
            .map(|value| (FORWARDED_FOR.clone(), HeaderValue::from_static(value)))
            .collect();
        let tls_proxies =
            ["192.0.2.1", "10.0.0.0/8"].map(|range| range.parse().expect("a range")).to_vec();
        client_address(IpAddr::from(peer), &headers, &Config { tls_proxies, ..Config::default() })
            .to_string()
    }

    #[test]
    fn only_a_proxys_own_word_counts() {
        let (stranger, proxy) = ([198, 51, 100, 7], [192, 0, 2, 1]);
        assert_eq!(
            client(stranger, &["203.0.113.9"]),
            "198.51.100.7",
            "whoever is no proxy is the client"
        );
        assert_eq!(client(proxy, &["198.51.100.1, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(client(proxy, &["203.0.113.9", "2001:db8::1"]), "2001:db8::1");
        assert_eq!(client(proxy, &["203.0.113.9:4711"]), "203.0.113.9");
        for bracketed in ["[2001:db8::1]", "[2001:db8::1]:4711", "198.51.100.1, [2001:db8::1] "] {
            assert_eq!(client(proxy, &[bracketed]), "2001:db8::1", "{bracketed}");
        }
        for wrong in ["[203.0.113.9]", "[2001:db8::1", "2001:db8::1]", "[]", "[[2001:db8::1]]"] {
            assert_eq!(client(proxy, &[wrong]), "192.0.2.1", "{wrong}");
        }
        assert_eq!(client(proxy, &["203.0.113.9, unknown"]), "192.0.2.1");
        assert_eq!(client(proxy, &[]), "192.0.2.1");
    }

    #[test]
    fn proxies_in_a_row_are_passed_over() {
        assert_eq!(
            client([192, 0, 2, 1], &["198.51.100.1, 203.0.113.9", "10.0.0.4, 10.0.0.5"]),
            "203.0.113.9"
        );
        assert_eq!(client([192, 0, 2, 1], &["10.0.0.4"]), "10.0.0.4", "one of our own machines");
    }
}
