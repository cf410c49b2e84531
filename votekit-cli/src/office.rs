//! Where administrative verbs are carried out: on a running node through its administration
//! listener, or in the data folder of a stopped one.

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde::Serialize;
use votekit_core::batch::NodePublicKey;
use votekit_core::id::{LawId, NodeId};
use votekit_core::manifest::ManifestError;
use votekit_node::config::Config;
use votekit_node::data_folder::{DataFolder, FolderError, read_admin_token};
use votekit_node::engine::EngineError;
#[cfg(feature = "services")]
use votekit_node::engine::services::url::AddressError;
use votekit_node::node::{AdminError, Node, NodeError};
use votekit_node::{CreateElection, ElectionView, LoadReport, NodeView, OpenElection, RollError};
use zeroize::Zeroizing;

use crate::client::Client;
use crate::error::CommandError;

/// Which node: a running one by its address, or a stopped one by its data folder
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct OfficeArgs {
    /// The administration address of a running node, such as http://127.0.0.1:8081
    #[arg(long, value_name = "URL")]
    node: Option<String>,

    /// The data folder: of a stopped node, or of the running one, for its administrator's token
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// The file with the administrator's token, when it is not in the data folder
    #[arg(long, value_name = "FILE", requires = "node")]
    token_file: Option<PathBuf>,
}

impl OfficeArgs {
    /// The data folder, if it is given.
    pub(crate) fn data(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// The data folder, unless a running node is meant.
    pub(crate) fn data_of_stopped(&self) -> Option<&Path> {
        self.data.as_deref().filter(|_| self.node.is_none())
    }
}

/// The place where administrative verbs are carried out.
pub(crate) enum Office {
    /// A running node.
    Running(Client),
    /// The data folder of a stopped node, opened by this process.
    Here(Node),
}

impl Office {
    /// Reaches the node, or opens the folder.
    pub(crate) async fn open(args: &OfficeArgs, config: Config) -> Result<Self, CommandError> {
        if let Some(url) = &args.node {
            return Ok(Self::Running(Client::new(url)?.for_secrets()?.with_token(token(args)?)));
        }
        let data = args.data.as_deref().ok_or_else(|| {
            CommandError::usage("give --data with the data folder of a stopped node, or --node with the address of a running one")
        })?;
        if !data.exists() {
            return Err(CommandError::bad_input(format!(
                "there is no data folder {}",
                data.display()
            ))
            .hint("`votekit load` makes one; is the path right?"));
        }
        Ok(Self::Here(start(data, None, config).await?))
    }

    pub(crate) async fn create(
        &self,
        request: CreateElection,
    ) -> Result<ElectionView, CommandError> {
        match self {
            Self::Running(client) => {
                client.call(Method::POST, "/api/v1/admin/elections", Some(&request)).await
            }
            Self::Here(node) => node.create(request).await.map_err(CommandError::from),
        }
    }

    pub(crate) async fn open_poll(
        &self,
        law_id: &LawId,
        request: OpenElection,
    ) -> Result<ElectionView, CommandError> {
        match self {
            Self::Running(client) => act(client, law_id, "open", Some(&request)).await,
            Self::Here(node) => node.open(law_id, request).await.map_err(CommandError::from),
        }
    }

    pub(crate) async fn close_poll(&self, law_id: &LawId) -> Result<ElectionView, CommandError> {
        match self {
            Self::Running(client) => act(client, law_id, "close", None::<&()>).await,
            Self::Here(node) => node.close(law_id).await.map_err(CommandError::from),
        }
    }

    pub(crate) async fn certify(&self, law_id: &LawId) -> Result<ElectionView, CommandError> {
        match self {
            Self::Running(client) => act(client, law_id, "certify", None::<&()>).await,
            Self::Here(node) => node.certify(law_id).await.map_err(CommandError::from),
        }
    }

    pub(crate) async fn purge(&self, law_id: &LawId) -> Result<ElectionView, CommandError> {
        match self {
            Self::Running(client) => act(client, law_id, "purge", None::<&()>).await,
            Self::Here(node) => {
                node.purge(law_id).await?;
                self.election(law_id).await
            }
        }
    }

    pub(crate) async fn nodes(&self, law_id: &LawId) -> Result<Vec<NodeView>, CommandError> {
        match self {
            Self::Running(client) => {
                client
                    .call(
                        Method::GET,
                        &format!("/api/v1/admin/elections/{law_id}/nodes"),
                        None::<&()>,
                    )
                    .await
            }
            Self::Here(node) => node.nodes(law_id).await.map_err(CommandError::from),
        }
    }

    pub(crate) async fn admit_node(
        &self,
        law_id: &LawId,
        key: NodePublicKey,
    ) -> Result<ElectionView, CommandError> {
        #[derive(Serialize)]
        struct Admit {
            public_key: String,
        }
        match self {
            Self::Running(client) => {
                act(client, law_id, "nodes", Some(&Admit { public_key: key.to_string() })).await
            }
            Self::Here(node) => node.admit_node(law_id, key).await.map_err(CommandError::from),
        }
    }

    pub(crate) async fn retire_node(
        &self,
        law_id: &LawId,
        id: NodeId,
    ) -> Result<ElectionView, CommandError> {
        match self {
            Self::Running(client) => {
                act(client, law_id, &format!("nodes/{id}/retire"), None::<&()>).await
            }
            Self::Here(node) => node.retire_node(law_id, id).await.map_err(CommandError::from),
        }
    }

    pub(crate) async fn elections(&self) -> Result<Vec<ElectionView>, CommandError> {
        match self {
            Self::Running(client) => {
                client.call(Method::GET, "/api/v1/admin/elections", None::<&()>).await
            }
            Self::Here(node) => Ok(node.elections()),
        }
    }

    pub(crate) async fn election(&self, law_id: &LawId) -> Result<ElectionView, CommandError> {
        match self {
            Self::Running(client) => {
                client
                    .call(Method::GET, &format!("/api/v1/admin/elections/{law_id}"), None::<&()>)
                    .await
            }
            Self::Here(node) => node
                .election(law_id)
                .ok_or_else(|| AdminError::UnknownElection { law_id: law_id.clone() }.into()),
        }
    }

    pub(crate) async fn load(
        &self,
        folder: &Path,
        pepper_file: Option<&Path>,
    ) -> Result<LoadReport, CommandError> {
        #[derive(Serialize)]
        struct Roll<'a> {
            folder: &'a Path,
            pepper_file: Option<&'a Path>,
        }
        match self {
            Self::Running(client) => {
                let absolute = |path: &Path| {
                    std::path::absolute(path).map_err(|error| CommandError::reading(path, &error))
                };
                let (folder, pepper) = (absolute(folder)?, pepper_file.map(absolute).transpose()?);
                let roll = Roll { folder: &folder, pepper_file: pepper.as_deref() };
                client.call(Method::POST, "/api/v1/admin/rolls", Some(&roll)).await
            }
            Self::Here(node) => node.load(folder, pepper_file).await.map_err(CommandError::from),
        }
    }

    /// Lets go of the folder, if this process opened it.
    pub(crate) async fn leave(self) {
        if let Self::Here(node) = self {
            node.shutdown().await;
        }
    }
}

async fn act<A: Serialize>(
    client: &Client,
    law_id: &LawId,
    verb: &str,
    body: Option<&A>,
) -> Result<ElectionView, CommandError> {
    client.call(Method::POST, &format!("/api/v1/admin/elections/{law_id}/{verb}"), body).await
}

/// Opens a data folder, making it if need be, and starts the node in it without listeners.
pub(crate) async fn start(
    data: &Path,
    base: Option<&str>,
    config: Config,
) -> Result<Node, CommandError> {
    let base = base.map(str::parse).transpose().map_err(|error| {
        CommandError::usage(format!("--base: {error}")).hint("such as elections.example.ca")
    })?;
    let folder = match &config.name {
        None => DataFolder::open(data, base.as_ref())?,
        Some(name) => DataFolder::open_named(data, base.as_ref(), name)?,
    };
    Ok(Node::start(folder, config).await?)
}

fn token(args: &OfficeArgs) -> Result<Zeroizing<String>, CommandError> {
    match (&args.token_file, &args.data) {
        (Some(path), _) => {
            let text = std::fs::read_to_string(path).map_err(|error| CommandError::reading(path, &error))?;
            Ok(Zeroizing::new(text.trim().to_owned()))
        }
        (None, Some(data)) => Ok(read_admin_token(data)?),
        (None, None) => Err(CommandError::usage("a running node wants the administrator's token")
            .hint("give its data folder with --data, or the file DATA/keys/admin-token with --token-file")),
    }
}

/// Runs asynchronous work to its end on this thread's runtime.
pub(crate) fn run<T>(
    work: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
            CommandError::configuration(format!("the system gives no threads: {error}"))
        })?;
    runtime.block_on(work)
}

/// Opens the office, does one thing in it, and leaves it whatever came of it.
pub(crate) fn within<T>(
    args: &OfficeArgs,
    config: Config,
    work: impl AsyncFnOnce(&Office) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    run(async {
        let office = Office::open(args, config).await?;
        let done = work(&office).await;
        office.leave().await;
        done
    })
}

impl From<FolderError> for CommandError {
    fn from(error: FolderError) -> Self {
        let failed = Self::configuration(error.to_string());
        match error {
            FolderError::InUse { .. } => failed.hint(
                "a node is running on it: stop it, or reach it with --node and the administration address it told at its start",
            ),
            FolderError::Newer { .. } => failed.hint("use the votekit that wrote it, or a newer one"),
            FolderError::OtherLedger { .. } => failed.hint(
                "are --registry, --ballot-box and --ledger, or the variables VOTEKIT_REGISTRY, VOTEKIT_BALLOT_BOX and VOTEKIT_LEDGER, those of this installation?",
            ),
            FolderError::OtherBase { .. } => failed.hint("leave --base out"),
            FolderError::Io { ref path, ref source } => Self::using(path, source),
            _ => failed,
        }
    }
}

impl From<NodeError> for CommandError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Folder(error) => error.into(),
            NodeError::Engine(error) => error.into(),
            NodeError::Log { .. } | NodeError::Checkpoint { .. } => Self::configuration(error.to_string())
                .hint("nothing was changed: keep the folder as it is, and bring back a copy from before the damage"),
            NodeError::Roll(RollError::Manifest { source: ManifestError::PepperMissing { ref id }, .. }) => {
                Self::configuration(error.to_string())
                    .hint(format!("bring keys/pepper/{} back from the back-up of the data folder", id.to_hex()))
            }
            NodeError::Roll(RollError::Folder(error)) => error.into(),
            NodeError::Forked { .. } => Self::configuration(error.to_string()).hint(
                "nothing was changed: put the newer ledger back. Only if you know that nobody was shown a checkpoint or receipt beyond this one: `votekit serve --replay`",
            ),
            #[cfg(feature = "services")]
            NodeError::Address(error) => error.into(),
            other => Self::configuration(other.to_string()),
        }
    }
}

/// Whatever verb was given the address.
#[cfg(feature = "services")]
impl From<AddressError> for CommandError {
    fn from(error: AddressError) -> Self {
        Self::configuration(error.to_string())
            .hint("docs/operations.md tells the forms of addresses")
    }
}

impl From<AdminError> for CommandError {
    fn from(error: AdminError) -> Self {
        let text = error.to_string();
        match error {
            AdminError::UnknownElection { .. } => Self::bad_input(text).hint("`votekit election list` shows those there are"),
            AdminError::Roll(RollError::Read { ref path, ref source }) => {
                Self::reading(path, source).hint("is this the folder that `votekit hashgen` made, whole?")
            }
            AdminError::Roll(RollError::Manifest {
                source: ManifestError::PepperMissing { .. } | ManifestError::PepperOther { .. } | ManifestError::PepperUnasked,
                ..
            }) => Self::bad_input(text)
                .hint("give --pepper-file the pepper of the roll; `votekit pepper show FILE` tells which is which"),
            AdminError::Engine(error) => error.into(),
            AdminError::Stopping | AdminError::Unanswered => Self::configuration(text),
            AdminError::NotLeading { .. } => {
                Self::configuration(text).hint("give --node the administration address of the node that leads")
            }
            AdminError::Answering { .. } | AdminError::Missing { .. } | AdminError::NotEnded { .. } => {
                Self::bad_input(text).hint("a node that is gone for good is let go with `votekit node retire`")
            }
            AdminError::Folder(error) | AdminError::Roll(RollError::Folder(error)) => error.into(),
            AdminError::Setup(error) => (*error).into(),
            _ => Self::bad_input(text),
        }
    }
}

impl From<EngineError> for CommandError {
    fn from(error: EngineError) -> Self {
        let failed = Self::configuration(error.to_string());
        match error {
            EngineError::Misconfigured { hint, .. } => failed.hint(hint),
            _ => failed,
        }
    }
}
