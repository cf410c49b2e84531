//! The configuration of a node: addresses, limits, names. Flags override the environment, which
//! overrides the file, which overrides these defaults.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use votekit_core::batch::Batch;

use crate::address_range::AddressRange;
use crate::node_name::NodeName;
use crate::time_zone::TimeZone;

/// All settings of a node. The defaults suit one node on its own machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address for voters and readers.
    pub listen: SocketAddr,
    /// The address for administration: loopback unless there is a reason.
    pub admin_listen: SocketAddr,
    /// The address for metrics.
    pub metrics_listen: SocketAddr,
    /// PEM certificate chain of the public listener.
    pub tls_cert: Option<PathBuf>,
    /// PEM private key of the public listener.
    pub tls_key: Option<PathBuf>,
    /// The proxies in front that terminate TLS. Only their `X-Forwarded-For` is trusted; and with
    /// any of them plain HTTP may leave this machine on the public listener.
    pub tls_proxies: Vec<AddressRange>,
    /// Whether administration and metrics, which speak plain HTTP, may leave this machine.
    pub admin_beyond_loopback: bool,
    /// Votes per second that this node takes; 0 lifts the limit.
    pub rate_limit_per_second: u32,
    /// Votes per second from one address prefix (an IPv4 address, an IPv6 /64); 0 lifts the limit.
    /// The default is a fifth of the above.
    pub rate_limit_per_address_per_second: Option<u32>,
    /// Read requests (all but votes) per second from one address prefix; 0 lifts the limit.
    pub read_limit_per_address_per_second: u32,
    /// Whether the networks around a loopback address count toward shares too.
    pub loopback_wide_shares: bool,
    /// Requests refused with 429 per second: beyond that a refusal waits for its turn, at most a
    /// second, and its connection with it. So a flood costs no more than this. 0 lifts the limit.
    pub refusals_per_second: u32,
    /// The largest request body in bytes.
    pub body_bytes_max: usize,
    /// The timeout of a request, in seconds.
    pub request_timeout_seconds: u64,
    /// The timeout for the headers of a request, in seconds.
    pub header_timeout_seconds: u64,
    /// Open connections. At the limit, the connections that are idle longest, and those just
    /// answered, are closed in favour of new connections.
    pub connections_max: usize,
    /// Open connections from one address prefix; 0 lifts the limit. Connections from a proxy are
    /// not counted.
    pub connections_per_address_max: usize,
    /// The longest life of a connection, in seconds; its last request is still answered. 0 lifts
    /// the limit.
    pub connection_seconds_max: u64,
    /// Requests answered on one connection; 0 lifts the limit.
    pub connection_requests_max: u32,
    /// Readers of live updates: event streams and WebSockets. They do not count as connections;
    /// beyond the limit 503. 0: none.
    pub live_readers_max: usize,
    /// Origins, besides the host of the node itself, whose pages may open a WebSocket.
    pub live_origins: Vec<String>,
    /// Origins whose pages may make calls with the token of an account. None by default.
    pub cors_origins: Vec<String>,
    /// The networks from which officials sign in and work; empty: from everywhere. Members of an
    /// association, and everything that needs no account, are not subject to it.
    pub officials_from: Vec<AddressRange>,
    /// Votes waiting for their batch, per election; beyond that voters are asked to retry.
    pub queue_votes_max: usize,
    /// The largest number of votes in a batch.
    pub batch_votes_max: usize,
    /// Leaves by which the log of an election grows between two snapshots; a snapshot is also
    /// written at the stop. 0: no snapshot is written.
    pub snapshot_leaves: u64,
    /// Whether a start reads every log from its first leaf and ignores snapshots.
    pub replay: bool,
    /// Whether a start from a snapshot is followed by a comparison of it with the whole log.
    pub scrub: bool,
    /// The throttle on wrong codes.
    pub throttle: ThrottleConfig,
    /// The texts of the pages about the organisation that conducts the poll.
    pub pages: PagesConfig,
    /// The name of this node among those that share its data folder. A node without a name has the
    /// folder to itself.
    pub name: Option<NodeName>,
    /// The roles of this node: all, unless other nodes on the same services have the rest.
    pub roles: Vec<Role>,
    /// The time after which one of several authorities steps down as leader, in seconds, so that
    /// the authorities alternate; 0: no limit.
    pub leader_term_seconds: u64,
    /// The registry: `redis://` or `rediss://`. Together with the two below it replaces the
    /// embedded engine.
    pub registry: Option<String>,
    /// The ballot box: `amqp://` or `amqps://`.
    pub ballot_box: Option<String>,
    /// The ledger: `postgres://`.
    pub ledger: Option<String>,
    /// The lowest level of log lines written: error, warn, info, debug or trace.
    pub log_level: String,
    /// The file to which audit events are appended; without it they are not written.
    pub audit_log: Option<PathBuf>,
}

/// A role of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes votes and publishes them in batches.
    Ingest,
    /// Verifies batches and gets hints on them from the registry.
    Validate,
    /// Stages validated batches, and seals them when it leads. Only this role has rolls, evidence
    /// and ballot keys: the other roles follow the log as it is stored.
    Seal,
    /// Serves results, receipts and logs.
    Query,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Ingest, Self::Validate, Self::Seal, Self::Query];

    /// Its name in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Validate => "validate",
            Self::Seal => "seal",
            Self::Query => "query",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| "a role is ingest, validate, seal or query".to_owned())
    }
}

impl Default for Config {
    fn default() -> Self {
        let local = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            listen: local(8080),
            admin_listen: local(8081),
            metrics_listen: local(9090),
            tls_cert: None,
            tls_key: None,
            tls_proxies: Vec::new(),
            admin_beyond_loopback: false,
            rate_limit_per_second: 1000,
            rate_limit_per_address_per_second: None,
            read_limit_per_address_per_second: 1000,
            loopback_wide_shares: false,
            refusals_per_second: 5000,
            body_bytes_max: 16 * 1024,
            request_timeout_seconds: 35,
            header_timeout_seconds: 10,
            connections_max: 10_000,
            connections_per_address_max: 1000,
            connection_seconds_max: 60,
            connection_requests_max: 1000,
            live_readers_max: 5000,
            live_origins: Vec::new(),
            cors_origins: Vec::new(),
            officials_from: Vec::new(),
            queue_votes_max: 65_536,
            batch_votes_max: 4096,
            snapshot_leaves: 131_072,
            replay: false,
            scrub: true,
            throttle: ThrottleConfig::default(),
            pages: PagesConfig::default(),
            name: None,
            roles: Role::ALL.to_vec(),
            leader_term_seconds: 0,
            registry: None,
            ballot_box: None,
            ledger: None,
            log_level: "info".to_owned(),
            audit_log: None,
        }
    }
}

/// The faults of a configuration. `Display` is for logs; the edges make the sentences.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
// Exhaustive: the edges have a sentence for each variant.
pub enum ConfigError {
    /// The file is not valid TOML of this shape.
    #[error("{message}")]
    Syntax {
        /// The parser's message, with line and column.
        message: String,
    },
    /// A certificate needs its key, and the reverse.
    #[error("tls_cert or tls_key missing")]
    HalfTls,
    /// Votes would cross a network in clear.
    #[error("{address} without TLS beyond this machine")]
    PlainBeyondLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// Administration or metrics would cross a network in clear.
    #[error("{setting} = {address} is plain HTTP beyond this machine")]
    InternalBeyondLoopback {
        /// The setting.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// A batch cannot contain this many votes.
    #[error("batch_votes_max above {maximum}")]
    BatchVotes {
        /// The largest number allowed.
        maximum: usize,
    },
    /// Some of the services are named, but not all.
    #[error("{missing} missing beside the other services")]
    HalfServices {
        /// The setting that is missing.
        missing: &'static str,
    },
    /// A node without a role does nothing.
    #[error("none of the roles ingest, validate, seal and query")]
    NoRole,
    /// The log level does not exist.
    #[error("log_level = \"{level}\" is not a level")]
    LogLevel {
        /// The given text.
        level: String,
    },
    /// A page's origin is not written as browsers send it.
    #[error("{setting} = \"{origin}\" is not an origin")]
    Origin {
        /// The setting.
        setting: &'static str,
        /// The given text.
        origin: String,
    },
    /// A limit is zero.
    #[error("{name} is 0")]
    Zero {
        /// The setting.
        name: &'static str,
    },
}

impl Config {
    /// Parses the text of a TOML file. Unknown settings are refused.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`].
    ///
    /// ```
    /// use votekit_node::config::Config;
    /// let config = Config::from_toml("listen = \"127.0.0.1:9000\"\nrate_limit_per_second = 0\n")?;
    /// assert_eq!(config.listen.port(), 9000);
    /// assert!(Config::from_toml("listn = \"127.0.0.1:9000\"").is_err());
    /// # Ok::<(), votekit_node::config::ConfigError>(())
    /// ```
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Syntax { message: error.to_string() })
    }

    /// Checks the settings against one another.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err(ConfigError::HalfTls);
        }
        let services = [
            ("registry", &self.registry),
            ("ballot_box", &self.ballot_box),
            ("ledger", &self.ledger),
        ];
        if self.has_services()
            && let Some((missing, _)) = services.iter().find(|(_, address)| address.is_none())
        {
            return Err(ConfigError::HalfServices { missing });
        }
        if self.roles.is_empty() {
            return Err(ConfigError::NoRole);
        }
        if !self.listen.ip().is_loopback() && !self.is_confidential() {
            return Err(ConfigError::PlainBeyondLoopback { address: self.listen });
        }
        for (setting, address) in
            [("admin_listen", self.admin_listen), ("metrics_listen", self.metrics_listen)]
        {
            if !address.ip().is_loopback() && !self.admin_beyond_loopback {
                return Err(ConfigError::InternalBeyondLoopback { setting, address });
            }
        }
        if crate::logging::check_log_level(&self.log_level).is_err() {
            return Err(ConfigError::LogLevel { level: self.log_level.clone() });
        }
        for (setting, origins) in
            [("live_origins", &self.live_origins), ("cors_origins", &self.cors_origins)]
        {
            if let Some(origin) = origins.iter().find(|origin| !is_origin(origin)) {
                return Err(ConfigError::Origin { setting, origin: origin.clone() });
            }
        }
        for (name, value) in [
            ("body_bytes_max", self.body_bytes_max),
            ("connections_max", self.connections_max),
            ("queue_votes_max", self.queue_votes_max),
            ("batch_votes_max", self.batch_votes_max),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero { name });
            }
        }
        if self.batch_votes_max > Batch::COUNT_MAX {
            return Err(ConfigError::BatchVotes { maximum: Batch::COUNT_MAX });
        }
        Ok(())
    }

    /// Whether votes reach this node encrypted, by its own TLS or a proxy's.
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        self.tls_cert.is_some() || !self.tls_proxies.is_empty()
    }

    /// Whether the node runs on services, instead of the embedded engine.
    #[must_use]
    pub fn has_services(&self) -> bool {
        self.registry.is_some() || self.ballot_box.is_some() || self.ledger.is_some()
    }

    /// Whether an address is a proxy's.
    #[must_use]
    pub fn is_tls_proxy(&self, address: IpAddr) -> bool {
        self.tls_proxies.iter().any(|proxies| proxies.contains(address))
    }

    /// Whether officials may work from an address.
    #[must_use]
    pub fn admits_officials_from(&self, address: IpAddr) -> bool {
        self.officials_from.is_empty()
            || self.officials_from.iter().any(|network| network.contains(address))
    }

    /// Attempts a second to sign in with an account from one address prefix; 0: no limit. A tenth
    /// of the votes: checking a password costs the node far more than accepting a vote.
    #[must_use]
    pub fn sign_in_limit_per_address(&self) -> u32 {
        self.rate_limit_per_address().div_ceil(10)
    }

    /// Votes per second from one address prefix; 0: no limit.
    #[must_use]
    pub fn rate_limit_per_address(&self) -> u32 {
        let share = || self.rate_limit_per_second.div_ceil(5);
        self.rate_limit_per_address_per_second.unwrap_or_else(share)
    }

    /// Whether an address counts without the networks that contain it: voters on this machine are
    /// tests, and several of its addresses represent several voters.
    #[must_use]
    pub fn counts_alone(&self, address: IpAddr) -> bool {
        address.to_canonical().is_loopback() && !self.loopback_wide_shares
    }

    /// The timeout of a request.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_seconds)
    }
}

/// Whether a text is an origin as browsers write it in the field `Origin`: in lower case, without a
/// path.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        let is_allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte)
        };
        !host.is_empty() && host.bytes().all(is_allowed)
    })
}

/// The throttle: how many wrong codes are free, how long the waits are after that, and how many
/// votes with wrong codes are stored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThrottleConfig {
    /// Whether the throttle is on.
    pub enabled: bool,
    /// Wrong codes for one NAS that an address prefix (an IPv4 address, an IPv6 /64) may send
    /// without a wait.
    pub wrong_free: u32,
    /// The first wait, in seconds. Each further wrong code doubles it.
    pub delay_seconds_min: u64,
    /// The longest wait, in seconds.
    pub delay_seconds_max: u64,
    /// The age of its last wrong code at which a pair of prefix and NAS is evicted, in seconds.
    pub forget_seconds: u64,
    /// The largest number of pairs of prefix and NAS remembered.
    pub pairs_max: usize,
    /// Votes with a wrong code stored per second; 0: all are stored.
    pub wrong_stored_per_second: u32,
    /// The same from one address prefix; 0: no limit.
    pub wrong_stored_per_address_per_second: u32,
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            wrong_free: 5,
            delay_seconds_min: 1,
            delay_seconds_max: 60,
            forget_seconds: 24 * 3600,
            pairs_max: 1_000_000,
            wrong_stored_per_second: 20,
            wrong_stored_per_address_per_second: 2,
        }
    }
}

/// The texts of the pages about the organisation that conducts the poll. Plain text, in both
/// languages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PagesConfig {
    /// Its name in French.
    pub organisation_fr: String,
    /// Its name in English.
    pub organisation_en: String,
    /// How voters reach it: a telephone number or an e-mail address.
    pub contact: String,
    /// Its privacy statement, in French.
    pub privacy_fr: String,
    /// Its privacy statement, in English.
    pub privacy_en: String,
    /// The zone of the times on the pages, in addition to UTC; without it, only UTC.
    pub time_zone: Option<TimeZone>,
    /// The name of the zone in French; by default the short name of its rule.
    pub time_zone_fr: String,
    /// The name of the zone in English.
    pub time_zone_en: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_with_host_bits_is_refused_with_its_line() {
        let error = Config::from_toml("tls_proxies = [\"10.0.0.5/24\"]")
            .expect_err("no network")
            .to_string();
        assert!(error.contains("line 1") && error.contains("bits set after"), "{error}");
    }

    #[test]
    fn a_proxy_lets_only_the_public_listener_leave_the_machine() {
        let elsewhere: SocketAddr = "192.0.2.1:80".parse().expect("an address");
        let plain = Config { listen: elsewhere, ..Config::default() };
        assert_eq!(plain.check(), Err(ConfigError::PlainBeyondLoopback { address: elsewhere }));
        let proxied = Config { tls_proxies: vec!["192.0.2.7".parse().expect("a range")], ..plain };
        assert_eq!(proxied.check(), Ok(()));
        assert!(proxied.is_tls_proxy("192.0.2.7".parse().expect("an address")));
        assert!(!proxied.is_tls_proxy("192.0.2.8".parse().expect("an address")));
        let internal = Config { admin_listen: elsewhere, ..proxied };
        assert_eq!(
            internal.check(),
            Err(ConfigError::InternalBeyondLoopback {
                setting: "admin_listen",
                address: elsewhere
            })
        );
        assert_eq!(Config { admin_beyond_loopback: true, ..internal }.check(), Ok(()));
    }

    #[test]
    fn a_time_zone_is_a_rule() {
        let config = Config::from_toml("[pages]\ntime_zone = \"EST5EDT,M3.2.0,M11.1.0\"");
        let zone = config.expect("a rule").pages.time_zone.expect("given");
        assert_eq!(zone.to_string(), "EST/EDT");
        let error = Config::from_toml("[pages]\ntime_zone = \"America/Toronto\"")
            .expect_err("a name")
            .to_string();
        assert!(error.contains("line 2") && error.contains("EST5EDT"), "{error}");
    }

    #[test]
    fn an_origin_has_no_path_and_no_capital() {
        let check = |setting: &str, origin: &str| {
            let (origins, mut config) = (vec![origin.to_owned()], Config::default());
            match setting {
                "live_origins" => config.live_origins = origins,
                _ => config.cors_origins = origins,
            }
            config.check()
        };
        for setting in ["live_origins", "cors_origins"] {
            for origin in ["https://a.example", "http://127.0.0.1:8080", "https://[::1]:8443"] {
                assert_eq!(check(setting, origin), Ok(()), "{origin}");
            }
            for origin in
                ["", "a.example", "https://", "https://a.example/", "https://A.example", "*"]
            {
                let origin = origin.to_owned();
                assert_eq!(check(setting, &origin), Err(ConfigError::Origin { setting, origin }));
            }
        }
    }

    #[test]
    fn officials_work_from_everywhere_unless_networks_are_given() {
        let admits = |networks: &[&str], address: &str| {
            let officials_from =
                networks.iter().map(|network| network.parse().expect("a range")).collect();
            let config = Config { officials_from, ..Config::default() };
            config.admits_officials_from(address.parse().expect("an address"))
        };
        assert!(admits(&[], "203.0.113.9"));
        assert!(admits(&["10.0.0.0/8", "2001:db8::/32"], "2001:db8::7"));
        assert!(admits(&["10.0.0.0/8"], "::ffff:10.1.2.3"));
        assert!(!admits(&["10.0.0.0/8"], "203.0.113.9"));
        assert!(Config::from_toml("officials_from = [\"10.0.0.5/24\"]").is_err());
    }

    #[test]
    fn the_share_of_an_address_follows_the_rate_unless_it_is_given() {
        let share = |rate, given| {
            let config = Config {
                rate_limit_per_second: rate,
                rate_limit_per_address_per_second: given,
                ..Config::default()
            };
            config.rate_limit_per_address()
        };
        let sign_ins = |rate| {
            Config { rate_limit_per_second: rate, ..Config::default() }.sign_in_limit_per_address()
        };
        assert_eq!([sign_ins(1000), sign_ins(1), sign_ins(0)], [20, 1, 0]);
        assert_eq!([share(1000, None), share(1, None), share(0, None)], [200, 1, 0]);
        assert_eq!([share(1000, Some(0)), share(0, Some(7))], [0, 7]);
    }
}
