//! The addresses of the services, in place of the embedded engine.

use votekit_node::config::Config;

/// Where a node's services are: all three, or none for the embedded engine
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ServicesArgs {
    /// The registry: redis://HOST:PORT, or rediss:// by TLS; one server, or any node of a cluster
    #[arg(long, value_name = "URL", env = "VOTEKIT_REGISTRY", hide_env_values = true)]
    registry: Option<String>,

    /// The ballot box: amqp://USER@HOST:PORT/VHOST?password_file=FILE, or amqps:// by TLS
    #[arg(long, value_name = "URL", env = "VOTEKIT_BALLOT_BOX", hide_env_values = true)]
    ballot_box: Option<String>,

    /// The ledger: postgres://USER@HOST:PORT/DATABASE?password_file=FILE
    #[arg(long, value_name = "URL", env = "VOTEKIT_LEDGER", hide_env_values = true)]
    ledger: Option<String>,
}

impl ServicesArgs {
    /// What is given here counts over the file.
    pub(crate) fn apply(&self, config: &mut Config) {
        config.registry = self.registry.clone().or(config.registry.take());
        config.ballot_box = self.ballot_box.clone().or(config.ballot_box.take());
        config.ledger = self.ledger.clone().or(config.ledger.take());
    }
}
