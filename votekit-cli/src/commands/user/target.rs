//! The store of the accounts: a data folder, or PostgreSQL.

use std::path::PathBuf;
use std::sync::Arc;

use votekit_node::data_folder::{Belonging, DataFolder};
use votekit_store::Accounts;
use votekit_store::embedded::EmbeddedAccounts;
#[cfg(feature = "services")]
use votekit_store::services::postgres::PostgresAccounts;
#[cfg(feature = "services")]
use votekit_store::services::url::{Service, ServiceAddress};

use crate::error::CommandError;

/// Place of the accounts: the data folder of a node, or the ledger of nodes that use services
#[derive(Debug, Clone, clap::Args)]
pub(super) struct TargetArgs {
    /// Data folder of a node, running or stopped
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Ledger of nodes that use services, such as
    /// postgres://votekit@db:5432/votekit?password_file=FILE; --data may be omitted then
    #[cfg(feature = "services")]
    #[arg(long, env = "VOTEKIT_LEDGER", hide_env_values = true, value_name = "URL")]
    ledger: Option<String>,
}

impl TargetArgs {
    /// Opens the accounts for changes.
    pub(super) async fn open(&self) -> Result<Arc<dyn Accounts>, CommandError> {
        let folder = self.folder()?;
        if let Some(accounts) = self.open_services(folder.as_ref()).await? {
            return Ok(accounts);
        }
        let folder = embedded(folder)?;
        Ok(Arc::new(EmbeddedAccounts::open(folder.path())?))
    }

    /// Opens the accounts for reading; `None` if none were ever made. Writes nothing.
    pub(super) async fn open_read_only(&self) -> Result<Option<Arc<dyn Accounts>>, CommandError> {
        let folder = self.folder()?;
        if let Some(accounts) = self.open_services(folder.as_ref()).await? {
            return Ok(Some(accounts));
        }
        let folder = embedded(folder)?;
        let accounts = EmbeddedAccounts::open_read_only(folder.path())?;
        Ok(accounts.map(|accounts| Arc::new(accounts) as Arc<dyn Accounts>))
    }

    fn folder(&self) -> Result<Option<DataFolder>, CommandError> {
        Ok(self.data.as_deref().map(DataFolder::peek).transpose()?)
    }

    #[cfg(feature = "services")]
    async fn open_services(
        &self,
        folder: Option<&DataFolder>,
    ) -> Result<Option<Arc<dyn Accounts>>, CommandError> {
        let Some(url) = &self.ledger else { return Ok(None) };
        let address = ServiceAddress::parse(Service::PostgreSql, url)?;
        let accounts = PostgresAccounts::open(&address).await?;
        if let Some(folder) = folder {
            let installation = accounts.installation().await?;
            folder.check_belonging(&Belonging::Services { installation })?;
        }
        Ok(Some(Arc::new(accounts)))
    }

    #[cfg(not(feature = "services"))]
    async fn open_services(
        &self,
        _folder: Option<&DataFolder>,
    ) -> Result<Option<Arc<dyn Accounts>>, CommandError> {
        Ok(None)
    }
}

/// The folder, if its ledger is in it.
fn embedded(folder: Option<DataFolder>) -> Result<DataFolder, CommandError> {
    let folder = folder.ok_or_else(|| {
        CommandError::usage("give --data with the data folder of a node")
            .hint("nodes that use services have their accounts in the ledger: --ledger URL")
    })?;
    folder.check_belonging(&Belonging::Itself)?;
    Ok(folder)
}
