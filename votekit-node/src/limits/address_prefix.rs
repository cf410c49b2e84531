//! Client address prefixes as keyed digests. Limits and the throttle count by prefix.
//!
//! ```text
//! IPv4    /32 × 1    /24 × 2
//! IPv6    /64 × 1    /56 × 2    /48 × 4        × the share of one address
//! ```
//!
//! One household has a whole IPv6 /56, and a rented server often a /48: with shares by /64 alone
//! they would have 256 or 65,536 shares.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

/// An address prefix as a keyed digest. Kept in memory only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(u64);

impl fmt::Debug for Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Prefix(redacted)")
    }
}

/// The prefixes an address counts under, narrowest first, each with the factor by which its share
/// exceeds that of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    narrow: Prefix,
    wide: [Option<(Prefix, u32)>; 2],
}

/// The factors of [`Shares`], in ascending order.
pub const FACTORS: [u32; 3] = [1, 2, 4];

impl Shares {
    /// The narrowest prefix: an IPv4 address or an IPv6 /64.
    pub fn narrow(&self) -> Prefix {
        self.narrow
    }

    /// Every prefix with its factor.
    pub fn iter(&self) -> impl Iterator<Item = (Prefix, u32)> {
        std::iter::once((self.narrow, FACTORS[0])).chain(self.wide.into_iter().flatten())
    }
}

/// The random digest key of one process.
#[derive(Clone)]
pub struct DigestKey(RandomState);

impl DigestKey {
    /// Generates a key unique to this process.
    pub fn random() -> Self {
        Self(RandomState::new())
    }

    /// Digests any other value under the same key.
    pub fn digest(&self, value: impl std::hash::Hash) -> u64 {
        self.0.hash_one(value)
    }

    /// Digests the IPv4 address or the IPv6 /64.
    pub fn prefix(&self, address: IpAddr) -> Prefix {
        let address = address.to_canonical();
        self.prefix_of(address, if address.is_ipv4() { 32 } else { 64 })
    }

    /// The prefixes an address counts under; with `narrow_only`, only the narrowest.
    pub fn shares(&self, address: IpAddr, narrow_only: bool) -> Shares {
        let address = address.to_canonical();
        let prefix = |bits, factor| Some((self.prefix_of(address, bits), factor));
        let wide = match address {
            _ if narrow_only => [None, None],
            IpAddr::V4(_) => [prefix(24, FACTORS[1]), None],
            IpAddr::V6(_) => [prefix(56, FACTORS[1]), prefix(48, FACTORS[2])],
        };
        Shares { narrow: self.prefix(address), wide }
    }

    /// Family and length are hashed too: prefixes of different lengths share one table.
    fn prefix_of(&self, address: IpAddr, length_bits: u8) -> Prefix {
        let (family, bits) = match address {
            IpAddr::V4(address) => {
                (4_u8, u128::from(address.to_bits() >> (32 - u32::from(length_bits))))
            }
            IpAddr::V6(address) => (6, address.to_bits() >> (128 - u32::from(length_bits))),
        };
        Prefix(self.digest((family, length_bits, bits)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(key: &DigestKey, address: &str) -> Vec<(Prefix, u32)> {
        key.shares(address.parse().expect("an address"), false).iter().collect()
    }

    #[test]
    fn an_ipv6_network_is_one_prefix_and_a_mapped_address_is_ipv4() {
        let key = DigestKey::random();
        let prefix = |address: &str| key.prefix(address.parse().expect("an address"));
        assert_eq!(prefix("2001:db8::1"), prefix("2001:db8::ffff:1"));
        assert_ne!(prefix("2001:db8::1"), prefix("2001:db8:0:1::1"));
        assert_eq!(prefix("::ffff:192.0.2.7"), prefix("192.0.2.7"));
        let other = DigestKey::random();
        let elsewhere = other.prefix("192.0.2.7".parse().expect("an address"));
        assert_ne!(prefix("192.0.2.7"), elsewhere, "each process has its own key");
    }

    #[test]
    fn an_address_counts_under_wider_prefixes_with_larger_shares() {
        let key = DigestKey::random();
        let [one, neighbour, other] =
            ["192.0.2.1", "192.0.2.2", "192.0.3.1"].map(|address| shares(&key, address));
        assert_eq!(one.iter().map(|(_, factor)| *factor).collect::<Vec<_>>(), [1, 2]);
        assert_ne!(one[0], neighbour[0]);
        assert_eq!(one[1], neighbour[1]);
        assert_ne!(one[1], other[1]);
        let [one, home, site] = ["2001:db8:0:100::1", "2001:db8:0:1ff::1", "2001:db8:0:200::1"]
            .map(|address| shares(&key, address));
        assert_eq!(one.iter().map(|(_, factor)| *factor).collect::<Vec<_>>(), [1, 2, 4]);
        assert_eq!((one[0] == home[0], one[1] == home[1]), (false, true));
        assert_eq!((one[1] == site[1], one[2] == site[2]), (false, true));
        let narrow = key.shares("192.0.2.1".parse().expect("an address"), true);
        assert_eq!(narrow.iter().collect::<Vec<_>>(), one_of(&key));
    }

    fn one_of(key: &DigestKey) -> Vec<(Prefix, u32)> {
        vec![(key.prefix("192.0.2.1".parse().expect("an address")), 1)]
    }
}
