//! An address range in the configuration: one address, or a network in CIDR notation.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::Deserialize;

/// One address, such as `10.0.0.5`, or a network, such as `10.0.0.0/24` or `2001:db8::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AddressRange(IpNet);

/// The text is not an address range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an address or a network such as 10.0.0.0/24: {rule}")]
pub struct AddressRangeError {
    text: String,
    rule: &'static str,
}

impl AddressRange {
    /// Whether the range contains `address`. An IPv4-mapped IPv6 address counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl From<IpAddr> for AddressRange {
    /// The range of one address.
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical().into())
    }
}

impl FromStr for AddressRange {
    type Err = AddressRangeError;

    fn from_str(text: &str) -> Result<Self, AddressRangeError> {
        let refused = |rule| AddressRangeError { text: text.to_owned(), rule };
        let (address, length) =
            text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr =
            address.parse().map_err(|_| refused("the address cannot be parsed"))?;
        let Some(length) = length else { return Ok(address.into()) };
        let length: u32 =
            length.parse().map_err(|_| refused("the length after the slash is not a number"))?;
        let network = IpNet::new(address, length.try_into().unwrap_or(u8::MAX))
            .map_err(|_| refused("the length after the slash is longer than an address"))?;
        if network != network.trunc() {
            return Err(refused("the address has bits set after the network's length"));
        }
        Ok(Self(network))
    }
}

impl TryFrom<String> for AddressRange {
    type Error = AddressRangeError;

    fn try_from(text: String) -> Result<Self, AddressRangeError> {
        text.parse()
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(range: &str, address: &str) -> bool {
        let range: AddressRange = range.parse().unwrap_or_else(|error| panic!("{error}"));
        range.contains(address.parse().expect("an address"))
    }

    #[test]
    fn a_range_holds_its_addresses_and_no_others() {
        for (range, inside, outside) in [
            ("10.0.0.5", "10.0.0.5", "10.0.0.4"),
            ("10.0.0.0/24", "10.0.0.255", "10.0.1.0"),
            ("10.0.0.4/31", "::ffff:10.0.0.5", "10.0.0.6"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::1", "::1", "127.0.0.1"),
            ("::/0", "fe80::1", "10.0.0.1"),
        ] {
            assert!(contains(range, inside), "{inside} in {range}");
            assert!(!contains(range, outside), "{outside} in {range}");
        }
    }

    #[test]
    fn malformed_ranges_are_refused_with_their_rule() {
        for (text, rule) in [
            ("proxy.example.ca", "cannot be parsed"),
            ("10.0.0.0/", "not a number"),
            ("10.0.0.0/33", "longer"),
            ("10.0.0.0/300", "longer"),
            ("10.0.0.5/24", "bits set after"),
            ("2001:db8::1/64", "bits set after"),
        ] {
            let error = text.parse::<AddressRange>().expect_err(text).to_string();
            assert!(error.contains(rule) && error.contains(text), "{error}");
        }
    }
}
