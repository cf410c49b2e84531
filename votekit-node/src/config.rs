//! What a node is told: addresses, limits, names. Flags over environment over file over these defaults.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::throttle::ThrottleConfig;
use votekit_core::batch::Batch;

/// Everything a node can be told. The defaults suit one node on its own machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where voters and readers come in.
    pub listen: SocketAddr,
    /// Where administration comes in: loopback unless there is a reason.
    pub admin_listen: SocketAddr,
    /// Where metrics are read.
    pub metrics_listen: SocketAddr,
    /// PEM certificate chain of the public listener.
    pub tls_cert: Option<PathBuf>,
    /// PEM private key of the public listener.
    pub tls_key: Option<PathBuf>,
    /// Whether a proxy in front terminates TLS: then `X-Forwarded-For` is believed, and plain HTTP beyond loopback allowed.
    pub behind_tls_proxy: bool,
    /// Votes taken a second by this instance; 0 lifts the limit.
    pub rate_limit_per_second: u32,
    /// The largest request body in bytes.
    pub body_bytes_max: usize,
    /// How long a request may take, in seconds.
    pub request_timeout_seconds: u64,
    /// How long the headers of a request may take to arrive, in seconds.
    pub header_timeout_seconds: u64,
    /// Connections held at once.
    pub connections_max: usize,
    /// Votes waiting for their batch, an election; beyond that voters are asked to come back.
    pub queue_votes_max: usize,
    /// Votes in one batch at the most.
    pub batch_votes_max: usize,
    /// A snapshot is written whenever the log of an election has grown by so many leaves, and at the stop; 0: never.
    pub snapshot_leaves: u64,
    /// Whether a start reads every log from its first leaf, and looks at no snapshot.
    pub replay: bool,
    /// Whether what a start took from a snapshot is held against the whole log afterwards.
    pub scrub: bool,
    /// The back-off on wrong credentials.
    pub throttle: ThrottleConfig,
    /// Log lines from this level on: error, warn, info, debug or trace.
    pub log_level: String,
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
            behind_tls_proxy: false,
            rate_limit_per_second: 1000,
            body_bytes_max: 16 * 1024,
            request_timeout_seconds: 35,
            header_timeout_seconds: 10,
            connections_max: 10_000,
            queue_votes_max: 65_536,
            batch_votes_max: 4096,
            snapshot_leaves: 131_072,
            replay: false,
            scrub: true,
            throttle: ThrottleConfig::default(),
            log_level: "info".to_owned(),
        }
    }
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file is no TOML of this shape.
    #[error("{message}")]
    Syntax {
        /// What the reader says, with line and column.
        message: String,
    },
    /// A certificate needs its key, and the reverse.
    #[error("tls_cert and tls_key belong together: one is missing")]
    HalfTls,
    /// Votes would cross a network in clear.
    #[error("listening on {address} beyond this machine needs TLS: give tls_cert and tls_key, or behind_tls_proxy")]
    PlainBeyondLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// A batch cannot hold so many votes.
    #[error("batch_votes_max can be at most {maximum}")]
    BatchVotes {
        /// The most there can be.
        maximum: usize,
    },
    /// A limit is zero.
    #[error("{name} must be at least 1")]
    Zero {
        /// The setting.
        name: &'static str,
    },
}

impl Config {
    /// Reads a TOML file's text. Unknown settings are refused.
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
        if !self.listen.ip().is_loopback() && !self.is_confidential() {
            return Err(ConfigError::PlainBeyondLoopback { address: self.listen });
        }
        for address in [self.admin_listen, self.metrics_listen] {
            if !address.ip().is_loopback() && !self.behind_tls_proxy {
                return Err(ConfigError::PlainBeyondLoopback { address });
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
        self.tls_cert.is_some() || self.behind_tls_proxy
    }

    /// How long a request may take.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_seconds)
    }
}
