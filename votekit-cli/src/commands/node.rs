//! `votekit node`: shows, admits and retires the ingest nodes of an election.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use votekit_core::id::ElectionId;
use votekit_node::NodeView;
use votekit_node::config::Config;
use votekit_node::data_folder::DataFolder;

use crate::admin_target::{self, AdminTargetArgs};
use crate::context::Context;
use crate::error::CommandError;
use crate::output::plain;
use crate::records::Records;

/// Show, admit and retire the nodes that take votes
///
/// The log of an election names the nodes whose batches it takes. Nodes with a name in the data
/// folder are admitted when the poll opens; one that joins later is admitted by its public key. A
/// node that is permanently gone is retired: what it confirmed counts, and the close no longer
/// waits for it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the nodes of an election: epochs, batches in the log, and whether they may be answering
    /// voters
    List(ElectionArgs),
    /// Show the public keys of the nodes that have a name in a data folder
    Keys(KeysArgs),
    /// Admit a node, so that its batches are taken
    Admit(NodeArgs),
    /// Retire a node that is permanently gone
    ///
    /// The node can no longer answer voters; what it confirmed is decided; its numbers above that
    /// are void, and the log records this. Wait until its process is dead: one that still runs
    /// begins a new epoch. The command can be repeated.
    Retire(NodeArgs),
}

#[derive(Debug, clap::Args)]
struct ElectionArgs {
    /// Election
    law_id: ElectionId,

    #[command(flatten)]
    target: AdminTargetArgs,
}

#[derive(Debug, clap::Args)]
struct KeysArgs {
    /// Data folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

#[derive(Debug, clap::Args)]
struct NodeArgs {
    /// Election
    law_id: ElectionId,

    /// Node: its name in the data folder, its id, or to admit it, its public key
    #[arg(id = "which", value_name = "NODE")]
    node: String,

    #[command(flatten)]
    target: AdminTargetArgs,
}

/// The list, as printed.
#[derive(Serialize)]
#[serde(transparent)]
struct List(Vec<NodeView>);

/// A key, as printed.
#[derive(Serialize)]
struct Key {
    name: String,
    node: String,
    public_key: String,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Keys(Vec<Key>);

/// Runs `votekit node`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    match args.action {
        Action::Keys(args) => context.output.result(&Keys(keys(&args.data)?)),
        Action::List(args) => {
            let nodes = admin_target::run(async {
                Records::open(&args.target)?.nodes(&args.law_id).await
            })?;
            context.output.result(&List(nodes))
        }
        Action::Admit(args) => {
            let key = match args.target.data().map(keys).transpose()?.unwrap_or_default() {
                named if named.iter().any(|key| key.name == args.node) => named
                    .into_iter()
                    .find(|key| key.name == args.node)
                    .map(|key| key.public_key)
                    .unwrap_or_default(),
                _ => args.node.clone(),
            };
            let key = key.parse().map_err(|_| {
                CommandError::usage(format!(
                    "'{}' is neither the name nor the public key of a node",
                    args.node
                ))
                .hint("`votekit node keys --data DIR` lists both; with --node give --data too")
            })?;
            admin_target::with_target(&args.target, Config::default(), async |target| {
                target.admit_node(&args.law_id, key).await
            })?;
            list(&args, context)
        }
        Action::Retire(args) => {
            let nodes = admin_target::run(async {
                Records::open(&args.target)?.nodes(&args.law_id).await
            })?;
            let node = find(&nodes, &args.node)?;
            admin_target::with_target(&args.target, Config::default(), async |target| {
                target.retire_node(&args.law_id, node).await
            })?;
            list(&args, context)
        }
    }
}

fn list(args: &NodeArgs, context: &Context) -> Result<(), CommandError> {
    let nodes =
        admin_target::run(async { Records::open(&args.target)?.nodes(&args.law_id).await })?;
    context.output.result(&List(nodes))
}

fn keys(data: &std::path::Path) -> Result<Vec<Key>, CommandError> {
    let named = DataFolder::peek(data)?.named_nodes()?;
    let key =
        |(name, key): (votekit_node::node_name::NodeName, votekit_core::batch::NodePublicKey)| {
            Key {
                name: name.to_string(),
                node: key.node_id().to_string(),
                public_key: key.to_string(),
            }
        };
    Ok(named.into_iter().map(key).collect())
}

fn find(nodes: &[NodeView], wanted: &str) -> Result<votekit_core::id::NodeId, CommandError> {
    let found = nodes.iter().find(|node| {
        node.name.as_deref() == Some(wanted) || node.node == wanted || node.public_key == wanted
    });
    let node = found.and_then(|node| node.node.parse().ok());
    node.ok_or_else(|| {
        CommandError::bad_input(format!("the election does not admit the node '{wanted}'"))
            .hint("`votekit node list` shows the admitted nodes")
    })
}

impl fmt::Display for List {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return writeln!(formatter, "no node is admitted");
        }
        writeln!(
            formatter,
            "{:<16}  {:<16}  {:<9}  epochs (batches in the log)",
            "node", "name", "answering"
        )?;
        for node in &self.0 {
            let epoch = |epoch: &votekit_node::EpochView| {
                format!(
                    "{} ({}{})",
                    epoch.epoch,
                    epoch.sealed,
                    if epoch.ended { ", ended" } else { "" }
                )
            };
            let epochs = node.epochs.iter().map(epoch).collect::<Vec<_>>().join(" ");
            let answering = if node.answering { "yes" } else { "no" };
            writeln!(
                formatter,
                "{:<16}  {:<16}  {answering:<9}  {epochs}",
                plain(&node.node),
                plain(node.name.as_deref().unwrap_or("-"))
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Key { name, node, public_key } in &self.0 {
            writeln!(formatter, "{name:<16}  {node}  {public_key}")?;
        }
        Ok(())
    }
}
