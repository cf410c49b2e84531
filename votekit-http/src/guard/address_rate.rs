//! A rate for each address, and larger ones for the networks around it.

use std::time::Duration;

use votekit_node::limits::address_prefix::{FACTORS, Shares};
use votekit_node::limits::rate_limit::KeyedRateLimit;

/// Limits requests of one kind by address prefix.
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

    /// Takes one from the address and from every network around it, or returns how long to wait.
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
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::*;
    use votekit_node::limits::address_prefix::DigestKey;

    #[test]
    fn a_home_with_many_networks_has_the_rates_of_a_few_addresses() {
        let (key, rate) = (DigestKey::random(), AddressRate::per_second(10));
        let taken = |addresses: &mut dyn Iterator<Item = IpAddr>| {
            addresses.filter(|address| rate.take(&key.shares(*address, false)).is_ok()).count()
        };
        // The clock continues meanwhile: a few more are earned.
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
