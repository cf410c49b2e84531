//! Source of stored votes and logs: a data folder, or an installation's ledger beside it.

use std::path::Path;

use votekit_node::archive::Archive;
#[cfg(feature = "services")]
use votekit_store::services::url::{Service, ServiceAddress};

use crate::error::CommandError;

/// Location of the ledger, unless it is in the data folder
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct LedgerArgs {
    /// Read the ledger from PostgreSQL, such as
    /// postgres://votekit@db:5432/votekit?password_file=FILE; the folder given with --data has the
    /// keys
    #[cfg(feature = "services")]
    #[arg(long, env = "VOTEKIT_LEDGER", hide_env_values = true, value_name = "URL")]
    ledger: Option<String>,
}

impl LedgerArgs {
    /// Opens the archive: the PostgreSQL ledger if one is given, else the data folder alone.
    pub(crate) fn open(&self, data: &Path) -> Result<Archive, CommandError> {
        #[cfg(feature = "services")]
        if let Some(address) = self.address()? {
            return Ok(Archive::open_services(data, &address)?);
        }
        Ok(Archive::open(data)?)
    }

    /// Returns the address of the PostgreSQL ledger, if one is given.
    #[cfg(feature = "services")]
    pub(crate) fn address(&self) -> Result<Option<ServiceAddress>, CommandError> {
        let read = |text| ServiceAddress::parse(Service::PostgreSql, text);
        Ok(self.ledger.as_deref().map(read).transpose()?)
    }
}
