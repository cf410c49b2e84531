//! The networks from which officials work (`officials_from`).

use std::net::IpAddr;

use axum::http::Extensions;
use votekit_node::config::Config;

/// Whether the address of a request is in one of these networks, as an extension of the request.
/// The address itself is not stored.
#[derive(Debug, Clone, Copy)]
struct OfficialsNetwork(bool);

/// Records whether a request comes from one of the networks, if the settings name any.
pub(crate) fn record(extensions: &mut Extensions, address: IpAddr, config: &Config) {
    if !config.officials_from.is_empty() {
        extensions.insert(OfficialsNetwork(config.admits_officials_from(address)));
    }
}

/// Whether officials may work from the address of a request. If the settings name networks, a
/// request with an unknown address is refused.
pub(crate) fn is_officials_network(extensions: &Extensions, config: &Config) -> bool {
    config.officials_from.is_empty()
        || extensions.get::<OfficialsNetwork>().is_some_and(|network| network.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn officials_work_only_from_their_networks() {
        let config = |networks: &[&str]| Config {
            officials_from: networks.iter().map(|one| one.parse().expect("a range")).collect(),
            ..Config::default()
        };
        let is_admitted = |config: &Config, address: &str| {
            let mut extensions = Extensions::new();
            record(&mut extensions, address.parse().expect("an address"), config);
            is_officials_network(&extensions, config)
        };
        assert!(is_admitted(&config(&[]), "203.0.113.9"));
        let office = config(&["10.0.0.0/8"]);
        assert!(is_admitted(&office, "10.1.2.3"));
        assert!(!is_admitted(&office, "203.0.113.9"));
        assert!(!is_officials_network(&Extensions::new(), &office), "no address is known");
    }
}
