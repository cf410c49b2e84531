//! Where stored votes and logs are read: a data folder, or the ledger of an installation beside it.

use std::path::Path;

use votekit_node::archive::Archive;
#[cfg(feature = "services")]
use votekit_store::services::url::{Service, ServiceAddress};

use crate::error::CommandError;

/// Where the ledger is, unless it is in the data folder
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct LedgerArgs {
    /// The ledger of an installation on PostgreSQL, such as
    /// postgres://votekit@db:5432/votekit?password_file=FILE; read with --data, whose folder has
    /// the keys
    #[cfg(feature = "services")]
    #[arg(long, env = "VOTEKIT_LEDGER", hide_env_values = true, value_name = "URL")]
    ledger: Option<String>,
}

impl LedgerArgs {
    /// Opens the ledger that is meant.
    pub(crate) fn open(&self, data: &Path) -> Result<Archive, CommandError> {
        #[cfg(feature = "services")]
        if let Some(address) = self.address()? {
            return Ok(Archive::open_services(data, &address)?);
        }
        Ok(Archive::open(data)?)
    }

    /// The address, when there is one.
    #[cfg(feature = "services")]
    pub(crate) fn address(&self) -> Result<Option<ServiceAddress>, CommandError> {
        let read = |text| ServiceAddress::parse(Service::PostgreSql, text);
        Ok(self.ledger.as_deref().map(read).transpose()?)
    }
}
