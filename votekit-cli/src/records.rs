//! Source of verbs that only read: a running node, or the data folder of any node. Nothing is
//! written and no lock is taken.

use reqwest::Method;
use votekit_core::id::ElectionId;
use votekit_node::AdminError;
use votekit_node::archive::Archive;
use votekit_node::{ElectionView, NodeView, RollView};

use crate::admin_target::{AdminTargetArgs, TargetLocation};
use crate::client::Client;
use crate::error::CommandError;

/// Source that a verb reads from.
pub(crate) enum Records {
    /// A running node.
    Running(Client),
    /// A data folder.
    Folder(Box<Archive>),
}

impl Records {
    /// Connects to the node, or opens the folder for reading.
    pub(crate) fn open(args: &AdminTargetArgs) -> Result<Self, CommandError> {
        match args.location()? {
            TargetLocation::Running(client) => Ok(Self::Running(client)),
            TargetLocation::Folder(data) => Ok(Self::Folder(Box::new(Archive::open(data)?))),
        }
    }

    pub(crate) async fn elections(&self) -> Result<Vec<ElectionView>, CommandError> {
        match self {
            Self::Running(client) => {
                client.call(Method::GET, "/api/v1/admin/elections", None::<&()>).await
            }
            Self::Folder(archive) => {
                let mut laws = archive.elections()?;
                laws.sort_unstable();
                let views = laws.iter().map(|law_id| archive.election(law_id));
                Ok(views.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
            }
        }
    }

    pub(crate) async fn election(&self, law_id: &ElectionId) -> Result<ElectionView, CommandError> {
        match self {
            Self::Running(client) => {
                let path = format!("/api/v1/admin/elections/{law_id}");
                client.call(Method::GET, &path, None::<&()>).await
            }
            Self::Folder(archive) => archive.election(law_id)?.ok_or_else(|| unknown(law_id)),
        }
    }

    pub(crate) async fn nodes(&self, law_id: &ElectionId) -> Result<Vec<NodeView>, CommandError> {
        match self {
            Self::Running(client) => {
                let path = format!("/api/v1/admin/elections/{law_id}/nodes");
                client.call(Method::GET, &path, None::<&()>).await
            }
            Self::Folder(archive) => archive.nodes(law_id)?.ok_or_else(|| unknown(law_id)),
        }
    }

    pub(crate) async fn rolls(&self) -> Result<Vec<RollView>, CommandError> {
        match self {
            Self::Running(client) => {
                client.call(Method::GET, "/api/v1/admin/rolls", None::<&()>).await
            }
            Self::Folder(archive) => Ok(archive.rolls()?),
        }
    }
}

fn unknown(law_id: &ElectionId) -> CommandError {
    AdminError::UnknownElection { law_id: law_id.clone() }.into()
}
