//! Addresses of the services that replace the embedded engine.

use votekit_node::config::Config;

/// Addresses of a node's services: all three, or none for the embedded engine
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ServicesArgs {
    /// Registry: redis://HOST:PORT, or rediss:// with TLS; one server, or any node of a cluster
    #[arg(long, value_name = "URL", env = "VOTEKIT_REGISTRY", hide_env_values = true)]
    registry: Option<String>,

    /// Ballot box: amqp://USER@HOST:PORT/VHOST?password_file=FILE, or amqps:// with TLS
    #[arg(long, value_name = "URL", env = "VOTEKIT_BALLOT_BOX", hide_env_values = true)]
    ballot_box: Option<String>,

    /// Ledger: postgres://USER@HOST:PORT/DATABASE?password_file=FILE
    #[arg(long, value_name = "URL", env = "VOTEKIT_LEDGER", hide_env_values = true)]
    ledger: Option<String>,
}

impl ServicesArgs {
    /// Applies the given addresses, which take precedence over the configuration file.
    pub(crate) fn apply(&self, config: &mut Config) {
        config.registry = self.registry.clone().or(config.registry.take());
        config.ballot_box = self.ballot_box.clone().or(config.ballot_box.take());
        config.ledger = self.ledger.clone().or(config.ledger.take());
    }

    /// Returns the three addresses as environment variables, with a prefix or schema that is used
    /// only here. `None` if one is missing.
    #[cfg(feature = "services")]
    pub(crate) fn corner(&self, name: &str) -> Option<Vec<(&'static str, String)>> {
        let within = |address: &str, parameter: &str| {
            let join = if address.contains('?') { '&' } else { '?' };
            format!("{address}{join}{parameter}={name}")
        };
        Some(vec![
            ("VOTEKIT_REGISTRY", within(self.registry.as_deref()?, "prefix")),
            ("VOTEKIT_BALLOT_BOX", within(self.ballot_box.as_deref()?, "prefix")),
            ("VOTEKIT_LEDGER", within(self.ledger.as_deref()?, "schema")),
        ])
    }
}
