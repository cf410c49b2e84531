//! Target of administrative verbs: a running node, through its administration listener, or the data
//! folder of a stopped one.

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde::{Deserialize, Serialize};
use votekit_core::batch::NodePublicKey;
use votekit_core::id::{Digest, ElectionId, NodeId};
use votekit_core::log::note::KeyName;
use votekit_messages::InWords as _;
use votekit_node::config::Config;
use votekit_node::data_folder::{DataFolder, read_admin_token};
use votekit_node::memory::overwriting_stack;
use votekit_node::{AdminError, Node};
use votekit_node::{
    AmendElection, AnnulElection, CertifyElection, CloseElection, CreateElection, CreatedElection,
    CreatedWithMembers, ElectionView, LoadReport, MemberFault, OpenElection, RollView,
};
use zeroize::Zeroizing;

use crate::argument;
use crate::client::{Client, Problem, ProblemField};
use crate::error::CommandError;

/// Node to administer: a running one by its address, or a stopped one by its data folder
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AdminTargetArgs {
    /// Administration address of a running node, such as http://127.0.0.1:8081
    #[arg(long, alias = "admin", value_name = "URL")]
    node: Option<String>,

    /// Data folder of a stopped node, or of the running one, for its administrator's token
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// File with the administrator's token, if it is not in the data folder
    #[arg(long, value_name = "FILE", requires = "node")]
    token_file: Option<PathBuf>,
}

// A doc comment would replace the help of the commands that take these arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct ElectionArgs {
    /// Election
    #[arg(value_parser = argument::parse::<ElectionId>)]
    pub(crate) law_id: ElectionId,

    #[command(flatten)]
    pub(crate) target: AdminTargetArgs,
}

impl AdminTargetArgs {
    /// The data folder, if given.
    pub(crate) fn data(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// The data folder, unless a running node is addressed.
    pub(crate) fn data_of_stopped(&self) -> Option<&Path> {
        self.data.as_deref().filter(|_| self.node.is_none())
    }

    /// Returns the running node, with its token, or else the data folder.
    pub(crate) fn location(&self) -> Result<TargetLocation<'_>, CommandError> {
        if let Some(url) = &self.node {
            let (data, token_file) = (self.data.as_deref(), self.token_file.as_deref());
            return Ok(TargetLocation::Running(client(url, data, token_file)?));
        }
        let data = self.data.as_deref().ok_or_else(|| {
            CommandError::usage("give --data with the data folder of a stopped node, or --node with the address of a running one")
        })?;
        if data.exists() {
            return Ok(TargetLocation::Folder(data));
        }
        Err(CommandError::bad_input(format!("the data folder {} does not exist", data.display()))
            .hint("check the path; `votekit load` creates a data folder"))
    }
}

/// Running node to ask: its administration address, and its administrator's token
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RunningNodeArgs {
    /// Administration address of a running node, such as http://127.0.0.1:8081
    #[arg(long, alias = "node", value_name = "URL")]
    admin: String,

    /// Data folder of that node, for its administrator's token
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// File with the administrator's token, if it is not in the data folder
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl RunningNodeArgs {
    /// The node, with its token.
    pub(crate) fn client(&self) -> Result<Client, CommandError> {
        client(&self.admin, self.data.as_deref(), self.token_file.as_deref())
    }
}

/// Target named on the command line.
pub(crate) enum TargetLocation<'a> {
    /// A running node.
    Running(Client),
    /// An existing folder.
    Folder(&'a Path),
}

/// Target on which an administrative verb works.
pub(crate) enum AdminTarget {
    /// A running node.
    Running(Client),
    /// The data folder of a stopped node, opened by this process.
    Local(Node),
}

impl AdminTarget {
    /// Connects to the node, or opens the data folder, which must exist.
    pub(crate) async fn open(args: &AdminTargetArgs, config: Config) -> Result<Self, CommandError> {
        match args.location()? {
            TargetLocation::Running(client) => Ok(Self::Running(client)),
            TargetLocation::Folder(data) => {
                let folder = DataFolder::open_existing(data)?;
                Ok(Self::Local(Node::start(folder, config).await?))
            }
        }
    }

    /// Installs the ballot key of an election that is created next. Returns its public half.
    pub(crate) async fn install_ballot_key(
        &self,
        law_id: &ElectionId,
        file: &Path,
    ) -> Result<String, CommandError> {
        #[derive(Serialize)]
        struct Install<'a> {
            file: &'a Path,
        }
        #[derive(Deserialize)]
        struct Installed {
            public_key: String,
        }
        match self {
            Self::Running(client) => {
                let file = absolute(file)?;
                let path = format!("/api/v1/admin/elections/{law_id}/ballot-key");
                let installed: Installed =
                    client.call(Method::POST, &path, Some(&Install { file: &file })).await?;
                Ok(installed.public_key)
            }
            Self::Local(node) => Ok(node.install_ballot_key(law_id, file).await?.to_hex()),
        }
    }

    pub(crate) async fn create(
        &self,
        request: CreateElection,
    ) -> Result<CreatedElection, CommandError> {
        match self {
            Self::Running(client) => {
                client.call(Method::POST, "/api/v1/admin/elections", Some(&request)).await
            }
            Self::Local(node) => node.create(request).await.map_err(CommandError::from),
        }
    }

    /// Creates an election of members. The inner error has the refused members, each by the index
    /// of the address.
    pub(crate) async fn create_with_members(
        &self,
        request: CreateElection,
        emails: &[String],
    ) -> Result<Result<CreatedWithMembers, Vec<RefusedMember>>, CommandError> {
        #[derive(Serialize)]
        struct NewElection<'a> {
            #[serde(flatten)]
            election: CreateElection,
            eligible_voters: &'a [String],
        }
        match self {
            Self::Running(client) => {
                let body = NewElection { election: request, eligible_voters: emails };
                let path = "/api/v1/admin/elections";
                let answer = client.exchange(Method::POST, path, Some(&body)).await?;
                if !answer.is_refusal() {
                    return client.parse(&answer).map(Ok);
                }
                let faults = member_faults(answer.problem());
                if faults.is_empty() { Err(answer.refusal()) } else { Ok(Err(faults)) }
            }
            Self::Local(node) => match node.create_with_addresses(request, emails).await {
                Ok(created) => Ok(Ok(created)),
                Err(AdminError::Members { faults }) => {
                    Ok(Err(faults.into_iter().map(RefusedMember::from).collect()))
                }
                Err(error) => Err(error.into()),
            },
        }
    }

    pub(crate) async fn open_poll(
        &self,
        law_id: &ElectionId,
        request: OpenElection,
    ) -> Result<ElectionView, CommandError> {
        match self {
            Self::Running(client) => post(client, law_id, "open", Some(&request)).await,
            Self::Local(node) => node.open(law_id, request).await.map_err(CommandError::from),
        }
    }

    pub(crate) async fn close_poll(
        &self,
        law_id: &ElectionId,
        request: CloseElection,
    ) -> Result<ElectionView, CommandError> {
        match self {
            Self::Running(client) => post(client, law_id, "close", Some(&request)).await,
            Self::Local(node) => node.close_with(law_id, request).await.map_err(CommandError::from),
        }
    }

    pub(crate) async fn amend(
        &self,
        law_id: &ElectionId,
        request: AmendElection,
    ) -> Result<CreatedElection, CommandError> {
        match self {
            Self::Running(client) => {
                let path = format!("/api/v1/admin/elections/{law_id}/amend");
                client.call(Method::POST, &path, Some(&request)).await
            }
            Self::Local(node) => node.amend(law_id, request).await.map_err(CommandError::from),
        }
    }

    pub(crate) async fn annul(
        &self,
        law_id: &ElectionId,
        request: AnnulElection,
    ) -> Result<ElectionView, CommandError> {
        match self {
            Self::Running(client) => post(client, law_id, "annul", Some(&request)).await,
            Self::Local(node) => node.annul(law_id, request).await.map_err(CommandError::from),
        }
    }

    pub(crate) async fn certify(
        &self,
        law_id: &ElectionId,
        request: CertifyElection,
    ) -> Result<ElectionView, CommandError> {
        match self {
            Self::Running(client) => post(client, law_id, "certify", Some(&request)).await,
            Self::Local(node) => {
                node.certify_with(law_id, request).await.map_err(CommandError::from)
            }
        }
    }

    pub(crate) async fn purge(&self, law_id: &ElectionId) -> Result<ElectionView, CommandError> {
        match self {
            Self::Running(client) => post(client, law_id, "purge", None::<&()>).await,
            Self::Local(node) => {
                node.purge(law_id).await?;
                let unknown = || AdminError::UnknownElection { law_id: law_id.clone() }.into();
                node.election(law_id).ok_or_else(unknown)
            }
        }
    }

    pub(crate) async fn admit_node(
        &self,
        law_id: &ElectionId,
        key: NodePublicKey,
    ) -> Result<ElectionView, CommandError> {
        #[derive(Serialize)]
        struct Admit {
            public_key: String,
        }
        match self {
            Self::Running(client) => {
                post(client, law_id, "nodes", Some(&Admit { public_key: key.to_string() })).await
            }
            Self::Local(node) => node.admit_node(law_id, key).await.map_err(CommandError::from),
        }
    }

    pub(crate) async fn retire_node(
        &self,
        law_id: &ElectionId,
        id: NodeId,
    ) -> Result<ElectionView, CommandError> {
        match self {
            Self::Running(client) => {
                post(client, law_id, &format!("nodes/{id}/retire"), None::<&()>).await
            }
            Self::Local(node) => node.retire_node(law_id, id).await.map_err(CommandError::from),
        }
    }

    pub(crate) async fn discard_roll(&self, manifest: &Digest) -> Result<RollView, CommandError> {
        match self {
            Self::Running(client) => {
                let path = format!("/api/v1/admin/rolls/{manifest}");
                client.call(Method::DELETE, &path, None::<&()>).await
            }
            Self::Local(node) => node.discard_roll(manifest).await.map_err(CommandError::from),
        }
    }

    pub(crate) async fn load(
        &self,
        folder: &Path,
        pepper_file: Option<&Path>,
        replace: bool,
    ) -> Result<LoadReport, CommandError> {
        #[derive(Serialize)]
        struct Roll<'a> {
            folder: &'a Path,
            pepper_file: Option<&'a Path>,
            replace: bool,
        }
        match self {
            Self::Running(client) => {
                let (folder, pepper) = (absolute(folder)?, pepper_file.map(absolute).transpose()?);
                let roll = Roll { folder: &folder, pepper_file: pepper.as_deref(), replace };
                client.call(Method::POST, "/api/v1/admin/rolls", Some(&roll)).await
            }
            Self::Local(node) if replace => Ok(node.replace_roll(folder, pepper_file).await?),
            Self::Local(node) => Ok(node.load(folder, pepper_file).await?),
        }
    }

    /// Closes the folder, if this process opened it.
    pub(crate) async fn close(self) {
        if let Self::Local(node) = self {
            node.shutdown().await;
        }
    }
}

/// A member whom a node refuses.
#[derive(Debug)]
pub(crate) struct RefusedMember {
    /// The index of the address in the list, from 0.
    pub(crate) index: usize,
    /// The rule that it breaks, in words.
    pub(crate) rule: String,
}

impl From<MemberFault> for RefusedMember {
    fn from(fault: MemberFault) -> Self {
        Self { index: fault.index, rule: fault.rule.in_words() }
    }
}

/// The members whom a running node refuses.
fn member_faults(problem: Problem) -> Vec<RefusedMember> {
    let fault = |error: ProblemField| {
        let index = MemberFault::index_of(&error.field)?;
        Some(RefusedMember { index, rule: error.rule })
    };
    problem.errors.into_iter().filter_map(fault).collect()
}

/// The path of a file as the running node, which is on this machine, finds it.
fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    std::path::absolute(path).map_err(|error| CommandError::reading(path, &error))
}

async fn post<A: Serialize>(
    client: &Client,
    law_id: &ElectionId,
    verb: &str,
    body: Option<&A>,
) -> Result<ElectionView, CommandError> {
    client.call(Method::POST, &format!("/api/v1/admin/elections/{law_id}/{verb}"), body).await
}

/// Opens a data folder, creating it if needed, and starts the node in it without listeners.
pub(crate) async fn start(
    data: &Path,
    base: Option<&str>,
    config: Config,
) -> Result<Node, CommandError> {
    let base = base_name(base)?;
    let folder = match &config.name {
        None => DataFolder::open(data, base.as_ref())?,
        Some(name) => DataFolder::open_named(data, base.as_ref(), name)?,
    };
    Ok(Node::start(folder, config).await?)
}

fn client(
    url: &str,
    data: Option<&Path>,
    token_file: Option<&Path>,
) -> Result<Client, CommandError> {
    Ok(Client::new(url)?.for_secrets()?.with_token(token(data, token_file)?))
}

fn token(
    data: Option<&Path>,
    token_file: Option<&Path>,
) -> Result<Zeroizing<String>, CommandError> {
    match (token_file, data) {
        (Some(path), _) => read_token(path),
        (None, Some(data)) => Ok(read_admin_token(data)?),
        (None, None) => Err(CommandError::usage(
            "a running node requires the administrator's token",
        )
        .hint(
            "give its data folder with --data, or the file DATA/keys/admin-token with --token-file",
        )),
    }
}

/// Reads a file with the administrator's token.
pub(crate) fn read_token(path: &Path) -> Result<Zeroizing<String>, CommandError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| CommandError::reading(path, &error))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// Runs asynchronous work to completion, on this thread.
pub(crate) fn run<T>(
    work: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    runtime()?.block_on(overwriting_stack(work))
}

/// Creates the runtime of one command.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::configuration(format!("cannot start threads: {error}")))
}

/// Parses the name that the logs of a new folder begin with.
pub(crate) fn base_name(base: Option<&str>) -> Result<Option<KeyName>, CommandError> {
    base.map(str::parse::<KeyName>).transpose().map_err(|error| {
        let words = error.in_words();
        CommandError::usage(format!("--log-base: {words}")).hint("such as elections.example.ca")
    })
}

/// Opens the target, runs one operation on it, and closes it after any outcome.
pub(crate) fn with_target<T>(
    args: &AdminTargetArgs,
    config: Config,
    work: impl AsyncFnOnce(&AdminTarget) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    run(async {
        let target = AdminTarget::open(args, config).await?;
        let done = work(&target).await;
        target.close().await;
        done
    })
}
