//! The address of a client, and the rates by address. For the limits and the back-off only: it is
//! neither logged nor stored.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use votekit_node::config::Config;
use votekit_node::limits::address_prefix::{FACTORS, Shares};
use votekit_node::limits::rate_limit::KeyedRateLimit;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address: the peer's, unless the peer is a configured proxy. Then it is the last
/// address in `X-Forwarded-For` that does not belong to a configured proxy: a proxy appends the
/// address it saw, and everything before that is only a claim.
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

/// Limits requests of one kind by address prefix: a rate for each address, and larger rates for the
/// networks around it.
pub(crate) struct AddressRate {
    /// In the order of [`FACTORS`].
    limits: [KeyedRateLimit; FACTORS.len()],
}

impl AddressRate {
    /// `rate` a second from one address, with a burst of one second's worth; 0 lifts the limit.
    pub(crate) fn per_second(rate: u32) -> Self {
        let limit = |factor| KeyedRateLimit::per_second(rate.saturating_mul(factor));
        Self { limits: FACTORS.map(limit) }
    }

    /// Records one request for the address and for every network around it, or returns how long to
    /// wait.
    pub(crate) fn take(&self, shares: &Shares) -> Result<(), Duration> {
        for (prefix, factor) in shares.iter() {
            if let Some(at) = FACTORS.iter().position(|known| *known == factor) {
                self.limits[at].take(prefix)?;
            }
        }
        Ok(())
    }

    /// Evicts prefixes that have their whole burst again. Called every few seconds.
    pub(crate) fn forget_quiet(&self) {
        self.limits.iter().for_each(KeyedRateLimit::forget_quiet);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use axum::http::HeaderValue;
    use votekit_node::limits::address_prefix::DigestKey;

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
            "the last address that is not a proxy's"
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

    #[test]
    fn a_home_with_many_networks_has_the_rates_of_a_few_addresses() {
        let (key, rate) = (DigestKey::random(), AddressRate::per_second(10));
        let taken = |addresses: &mut dyn Iterator<Item = IpAddr>| {
            addresses.filter(|address| rate.take(&key.shares(*address, false)).is_ok()).count()
        };
        // The clock continues meanwhile: a few more requests are earned.
        let network =
            |number: u32| Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(number) << 64).into();
        let home = taken(&mut (0..256).map(network));
        assert!((20..40).contains(&home), "{home}: two shares, though each network has its own");
        let site = taken(&mut (256..4096).map(network));
        assert!((20..80).contains(&site), "{site}: four shares in all");
        let neighbours = taken(&mut (0..=255).map(|host| Ipv4Addr::new(192, 0, 2, host).into()));
        assert!((20..40).contains(&neighbours), "{neighbours}");
        assert_eq!(taken(&mut std::iter::once(Ipv4Addr::new(192, 0, 3, 1).into())), 1);
    }
}
