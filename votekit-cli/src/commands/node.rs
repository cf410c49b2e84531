//! `votekit node`: shows, admits and retires the ingest nodes of an election.

use std::fmt;
use std::path::PathBuf;

use reqwest::Method;
use serde::Serialize;
use votekit_core::id::ElectionId;
use votekit_messages::InWords as _;
use votekit_node::config::Config;
use votekit_node::data_folder::DataFolder;
use votekit_node::node_name::NodeName;
use votekit_node::node_record::{NodeRecord, NodeRecordError};
use votekit_node::{AdmittedNode, NodeView, RetiredNode};

use crate::admin_target::{self, AdminTargetArgs, ElectionArgs, TargetLocation};
use crate::argument;
use crate::context::Context;
use crate::error::CommandError;
use crate::output::plain;
use crate::records::Records;

/// Show, admit and retire the nodes that take votes
///
/// The log of an election names the nodes whose batches it takes. Nodes with a name in the data
/// folder, and nodes that were admitted by their record, are admitted when the poll opens; one that
/// joins later is admitted by its public key. A node that is permanently gone is retired: the votes
/// that it confirmed count, and the close no longer waits for it.
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
    Show(ShowArgs),
    Admit(AdmitArgs),
    Retire(RetireArgs),
}

#[derive(Debug, clap::Args)]
struct KeysArgs {
    /// Data folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// Print the record of a node with a data folder of its own: its name and its public keys
///
/// Nothing in it is secret. The administrator of the leader admits the node with `votekit node
/// admit`. The folder exists once the node was started, or made with `votekit serve --init`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit node show --data node/ --name ingest-1")]
struct ShowArgs {
    /// Data folder of the node
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// Name of the node in the installation: 1 to 40 of a-z, 0-9 and -
    #[arg(long, value_parser = argument::parse::<NodeName>)]
    name: NodeName,
}

/// Admit a node, so that its batches are taken
///
/// With an election and a node: in the log of that election. With the record of a node that has a
/// data folder of its own, as `votekit node show` prints it: in the installation, for all elections
/// that open later. The record is sent to the node that leads.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit node admit L2025-001 ingest-2 --data node/
  votekit node admit \"$(cat ingest-2.record)\" --admin http://127.0.0.1:8081 --data node/")]
struct AdmitArgs {
    /// Election; or the record of a node, in quotation marks
    #[arg(value_name = "LAW_ID|RECORD")]
    subject: String,

    /// Node, with an election: its name in the data folder, or its public key
    #[arg(id = "which", value_name = "NODE")]
    node: Option<String>,

    #[command(flatten)]
    target: AdminTargetArgs,
}

/// Retire a node that is permanently gone
///
/// The node can no longer answer voters. The votes that it confirmed are decided; the numbers of
/// later batches are void, and the log records this. Wait until its process is dead. The command
/// can be repeated.
///
/// With an election and a node: in that election; a process that still runs begins a new epoch.
/// With only the name of a node that was admitted by its record: in the installation, which means
/// in every election that takes votes or is closing, and for all that open later. The name is sent
/// to the node that leads.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit node retire L2025-001 ingest-2 --node http://127.0.0.1:8081 --data shared/
  votekit node retire ingest-2 --admin http://127.0.0.1:8081 --data node/")]
struct RetireArgs {
    /// Election; or the name under which a node was admitted by its record
    #[arg(value_name = "LAW_ID|NAME")]
    subject: String,

    /// Node, with an election: its name in the data folder, its id, or its public key
    #[arg(id = "which", value_name = "NODE")]
    node: Option<String>,

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

/// The record of a node, as printed.
#[derive(Serialize)]
struct Record {
    record: String,
    #[serde(flatten)]
    node: AdmittedNode,
}

/// A node that was admitted, as printed.
#[derive(Serialize)]
#[serde(transparent)]
struct Admitted(AdmittedNode);

/// A node that was retired from the installation, as printed.
#[derive(Serialize)]
#[serde(transparent)]
struct Retired(RetiredNode);

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
        Action::Show(args) => {
            let record = record(&args)?;
            let node = AdmittedNode::from(&record);
            context.output.result(&Record { record: record.to_string(), node })
        }
        Action::Admit(args) if args.subject.starts_with(RECORD_START) => {
            admit_record(&args, context)
        }
        Action::Admit(args) => admit_to_election(&args, context),
        Action::Retire(args) => match &args.node {
            Some(node) => retire_in_election(&args, node, context),
            None => retire_record(&args, context),
        },
    }
}

/// The start of the record of a node. No law id has a space.
const RECORD_START: &str = "node ";

fn record(args: &ShowArgs) -> Result<NodeRecord, CommandError> {
    let folder = DataFolder::peek(&args.data)?;
    let named = folder.named_nodes()?;
    if !named.is_empty() && !named.iter().any(|(name, _)| *name == args.name) {
        return Err(CommandError::bad_input(format!(
            "no node in {} has the name {}",
            args.data.display(),
            args.name
        ))
        .hint("`votekit node keys` lists the nodes that have a name there"));
    }
    Ok(folder.node_record(&args.name)?)
}

fn admit_record(args: &AdmitArgs, context: &Context) -> Result<(), CommandError> {
    #[derive(Serialize)]
    struct Body {
        name: String,
        public_key: String,
        transport_key: String,
    }
    if args.node.is_some() {
        return Err(CommandError::usage("a record must be the only argument")
            .hint("put the whole line into quotation marks"));
    }
    let wrong =
        |error: NodeRecordError| CommandError::usage(error.in_words()).hint_if(error.hint());
    let record: NodeRecord = args.subject.trim_end().parse().map_err(wrong)?;
    let TargetLocation::Running(client) = args.target.location()? else {
        return Err(CommandError::usage(
            "a record can only be sent to the running node that leads",
        )
        .hint("give its administration address with --admin"));
    };
    let body = Body {
        name: record.name.to_string(),
        public_key: record.key.to_hex(),
        transport_key: record.transport.to_hex(),
    };
    let admitted = admin_target::run(async {
        client.call(Method::POST, "/api/v1/admin/nodes", Some(&body)).await
    })?;
    context.output.result(&Admitted(admitted))
}

fn retire_in_election(
    args: &RetireArgs,
    node: &str,
    context: &Context,
) -> Result<(), CommandError> {
    let law_id = election(&args.subject, "the first argument is an election")?;
    let nodes = admin_target::run(async { Records::open(&args.target)?.nodes(&law_id).await })?;
    let node = find(&nodes, node)?;
    admin_target::with_target(&args.target, Config::default(), async |target| {
        target.retire_node(&law_id, node).await
    })?;
    list(&law_id, &args.target, context)
}

fn retire_record(args: &RetireArgs, context: &Context) -> Result<(), CommandError> {
    let name: NodeName = args.subject.parse().map_err(|_| {
        CommandError::usage(format!("'{}' is not the name of a node", args.subject)).hint(
            "give an election and the node, or only the name of a node that `votekit nodes` \
             lists",
        )
    })?;
    let TargetLocation::Running(client) = args.target.location()? else {
        return Err(CommandError::usage(
            "the name can only be sent to the running node that leads",
        )
        .hint("give its administration address with --admin"));
    };
    let path = format!("/api/v1/admin/nodes/{name}/retire");
    let retired = admin_target::run(async { client.call(Method::POST, &path, None::<&()>).await })?;
    context.output.result(&Retired(retired))
}

fn election(text: &str, hint: &str) -> Result<ElectionId, CommandError> {
    text.parse().map_err(|error: votekit_core::id::IdError| {
        CommandError::usage(format!("'{text}': {}", error.in_words())).hint(hint)
    })
}

fn admit_to_election(args: &AdmitArgs, context: &Context) -> Result<(), CommandError> {
    let hint = "the first argument is an election, or the record of a node";
    let law_id = election(&args.subject, hint)?;
    let node = args.node.as_ref().ok_or_else(|| {
        CommandError::usage("give the node after the election: its name or its public key")
            .hint("`votekit node keys --data DIR` lists both")
    })?;
    let named = args.target.data().map(keys).transpose()?.unwrap_or_default();
    let key = named.into_iter().find(|key| key.name == *node).map(|key| key.public_key);
    let key = key.unwrap_or_else(|| node.clone()).parse().map_err(|_| {
        CommandError::usage(format!("'{node}' is neither the name nor the public key of a node"))
            .hint("`votekit node keys --data DIR` lists both; with --node give --data too")
    })?;
    admin_target::with_target(&args.target, Config::default(), async |target| {
        target.admit_node(&law_id, key).await
    })?;
    list(&law_id, &args.target, context)
}

fn list(
    law_id: &ElectionId,
    target: &AdminTargetArgs,
    context: &Context,
) -> Result<(), CommandError> {
    let nodes = admin_target::run(async { Records::open(target)?.nodes(law_id).await })?;
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

impl fmt::Display for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.record)
    }
}

impl fmt::Display for Admitted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "admitted {}: {}", plain(&self.0.name), plain(&self.0.node))
    }
}

impl fmt::Display for Retired {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RetiredNode { node, elections } = &self.0;
        write!(formatter, "retired {}: {}", plain(&node.name), plain(&node.node))?;
        for law_id in elections {
            write!(formatter, ", ended in {}", plain(law_id))?;
        }
        Ok(())
    }
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
