//! Source of an election's public log: the data folder of a node, with an installation's ledger if
//! there is one beside it, or the tiles of a running node.

use std::path::{Path, PathBuf};

use reqwest::Method;
use votekit_core::bundle::{WriteError, Writer};
use votekit_core::id::{Digest, ElectionId};
use votekit_core::log::checkpoint::SignedCheckpoint;
use votekit_core::log::tile::{self, TILE_WIDTH, TilePath};
use votekit_messages::InWords as _;
use votekit_node::archive::Archive;
#[cfg(feature = "services")]
use votekit_store::services::url::{Service, ServiceAddress};

use crate::admin_target::read_token;
use crate::argument;
use crate::client::Client;
use crate::error::CommandError;

/// Source of the log: a data folder, or a running node
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LogArgs {
    /// Public address of a running node, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL", required_unless_present = "data", conflicts_with = "data")]
    node: Option<String>,

    /// Data folder of a node, running or stopped
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// File with the administrator's token of that node, for the log of a draft
    #[arg(long, value_name = "FILE", requires = "node", conflicts_with = "data")]
    token_file: Option<PathBuf>,

    #[command(flatten)]
    ledger: LedgerArgs,

    /// Election; may be omitted when there is only one
    #[arg(long, value_name = "LAW_ID", value_parser = argument::parse::<ElectionId>)]
    election: Option<ElectionId>,
}

/// Source of the log and of its evidence: a data folder
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ArchiveArgs {
    /// Data folder of a node, running or stopped
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,

    #[command(flatten)]
    pub(crate) ledger: LedgerArgs,

    /// Election; may be omitted when there is only one
    #[arg(long, value_name = "LAW_ID", value_parser = argument::parse::<ElectionId>)]
    election: Option<ElectionId>,
}

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

/// Hint for an election that a node does not show.
const DRAFT_HINT: &str = "only officials can read the log of a draft until the poll opens: give \
                          --election, and either --data, or --node with --token-file";

/// The log of one election, opened for reading.
pub(crate) struct LogSource {
    pub(crate) law_id: ElectionId,
    kind: Kind,
}

enum Kind {
    Folder(Box<Archive>),
    Node(Client),
}

/// Other data read with the leaves of a log.
pub(crate) struct LogHead {
    /// Signed checkpoint.
    pub(crate) checkpoint: Vec<u8>,
    /// Policy that verifies it.
    pub(crate) policy: Vec<u8>,
    /// Manifests that the log names.
    pub(crate) manifests: Vec<Vec<u8>>,
}

impl ArchiveArgs {
    /// Opens the archive, and selects the election.
    pub(crate) fn open(&self) -> Result<(Archive, ElectionId), CommandError> {
        let archive = self.ledger.open(&self.data)?;
        let law_id = choose(&archive, self.election.as_ref())?;
        Ok((archive, law_id))
    }
}

impl LedgerArgs {
    /// Opens the archive: the PostgreSQL ledger if its address is given, else only the data folder.
    pub(crate) fn open(&self, data: &Path) -> Result<Archive, CommandError> {
        #[cfg(feature = "services")]
        if let Some(address) = self.address()? {
            return Ok(Archive::open_services(data, &address)?);
        }
        Ok(Archive::open(data)?)
    }

    /// Returns the address of the PostgreSQL ledger, if it is given.
    #[cfg(feature = "services")]
    pub(crate) fn address(&self) -> Result<Option<ServiceAddress>, CommandError> {
        let read = |text| ServiceAddress::parse(Service::PostgreSql, text);
        Ok(self.ledger.as_deref().map(read).transpose()?)
    }
}

impl LogSource {
    /// Opens the requested log.
    pub(crate) async fn open(args: &LogArgs) -> Result<Self, CommandError> {
        match (&args.node, &args.data) {
            (Some(url), _) => {
                let client = Client::new(url)?;
                let law_id = match &args.election {
                    Some(law_id) => law_id.clone(),
                    None => only_opened(&client).await?,
                };
                let client = match &args.token_file {
                    Some(path) => client.for_secrets()?.with_token(read_token(path)?),
                    None => client,
                };
                Ok(Self { law_id, kind: Kind::Node(client) })
            }
            (None, Some(data)) => {
                let archive = args.ledger.open(data)?;
                let law_id = choose(&archive, args.election.as_ref())?;
                Ok(Self { law_id, kind: Kind::Folder(Box::new(archive)) })
            }
            (None, None) => Err(CommandError::usage("give --node or --data")),
        }
    }

    /// Reads the whole log into a bundle's writer; passes pieces of `leaves.jsonl` to `lines` as
    /// they are read.
    pub(crate) async fn read(
        &self,
        writer: &mut Writer,
        mut lines: impl FnMut(&[u8]) -> Result<(), CommandError>,
    ) -> Result<LogHead, CommandError> {
        let mut out = Vec::new();
        match &self.kind {
            Kind::Folder(archive) => {
                let unknown =
                    || CommandError::bad_input(format!("there is no election {}", self.law_id));
                let checkpoint = archive.checkpoint(&self.law_id)?.ok_or_else(unknown)?;
                archive.for_each_leaf(&self.law_id, |leaf| {
                    out.clear();
                    writer.leaf(leaf, &mut out)?;
                    lines(&out)
                })?;
                let policy = archive.policy(&self.law_id)?;
                let mut manifests = Vec::new();
                for digest in writer.account().manifests() {
                    manifests.extend(archive.manifest(digest)?);
                }
                Ok(LogHead { checkpoint, policy, manifests })
            }
            Kind::Node(client) => {
                let log = format!("/log/{}", self.law_id);
                let checkpoint = get(client, &format!("{log}/checkpoint")).await?;
                let policy = get(client, &format!("{log}/policy")).await?;
                let size = SignedCheckpoint::parse(&checkpoint)
                    .map_err(|_| not_a_node())?
                    .unverified()
                    .size();
                let mut next = 0;
                while next < size {
                    let width = u16::try_from((size - next).min(u64::from(TILE_WIDTH)))
                        .unwrap_or(TILE_WIDTH);
                    let path = TilePath::Entries { index: next / u64::from(TILE_WIDTH), width };
                    let bundle = get(client, &format!("{log}/{path}")).await?;
                    for leaf in tile::entries(&bundle) {
                        out.clear();
                        writer.leaf(leaf.map_err(|_| not_a_node())?, &mut out)?;
                        lines(&out)?;
                    }
                    next += u64::from(width);
                }
                let mut manifests = Vec::new();
                for digest in writer.account().manifests() {
                    manifests.push(get(client, &format!("{log}/manifest/{digest}")).await?);
                }
                Ok(LogHead { checkpoint, policy, manifests })
            }
        }
    }
}

/// Selects the election in a data folder.
pub(crate) fn choose(
    archive: &Archive,
    wanted: Option<&ElectionId>,
) -> Result<ElectionId, CommandError> {
    let elections = archive.elections()?;
    match wanted {
        Some(wanted) if elections.contains(wanted) => Ok(wanted.clone()),
        Some(wanted) => Err(CommandError::bad_input(format!("there is no election {wanted}"))
            .hint(format!("the elections are: {}", names(&elections)))),
        None => only(elections),
    }
}

/// The only election that a node lists for everyone.
async fn only_opened(client: &Client) -> Result<ElectionId, CommandError> {
    let elections: Vec<votekit_node::ElectionView> =
        client.call(Method::GET, "/api/v1/elections", None::<&()>).await?;
    if elections.is_empty() {
        return Err(CommandError::bad_input("no election has been opened yet").hint(DRAFT_HINT));
    }
    let laws = elections.iter().map(|election| election.law_id.parse());
    only(laws.collect::<Result<_, _>>().map_err(|_| not_a_node())?)
}

fn only(mut elections: Vec<ElectionId>) -> Result<ElectionId, CommandError> {
    match elections.len() {
        1 => Ok(elections.remove(0)),
        0 => Err(CommandError::bad_input("no election exists yet")
            .hint("create one with `votekit election create`")),
        _ => Err(CommandError::usage("there are several elections")
            .hint(format!("choose with --election: {}", names(&elections)))),
    }
}

fn names(elections: &[ElectionId]) -> String {
    elections.iter().map(ElectionId::as_str).collect::<Vec<_>>().join(", ")
}

async fn get(client: &Client, path: &str) -> Result<Vec<u8>, CommandError> {
    let answer = client.send(Method::GET, path, &[], None).await?;
    match answer.status {
        200 => Ok(answer.body),
        404 if answer.problem().code == "unknown-election" => {
            Err(answer.refusal().hint(DRAFT_HINT))
        }
        _ => Err(answer.refusal()),
    }
}

fn not_a_node() -> CommandError {
    CommandError::configuration("the answers are not from a votekit node").hint("check the address")
}

impl From<WriteError> for CommandError {
    fn from(error: WriteError) -> Self {
        Self::verification_failed(error.in_words())
            .hint("the log cannot be parsed: report this to the operator of the node")
    }
}

/// Hexadecimal digest of bytes, for reports.
pub(crate) fn fingerprint(bytes: &[u8]) -> String {
    Digest::compute(bytes).to_hex()
}
