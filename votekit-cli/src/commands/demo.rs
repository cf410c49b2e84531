//! `votekit demo`: a whole referendum, from the roll to the verified result, with the commands that
//! its participants would run.

mod ballots;
mod wire;
#[cfg(feature = "services")]
mod link;
mod local_nodes;
mod node_process;
mod steps;
mod cluster;
mod false_count;
mod authorities;
mod web;

use std::path::PathBuf;

use crate::context::Context;
use crate::error::CommandError;

/// Run a small referendum from roll to verified result, and show each step
///
/// Everything is real: the roll is hashed under a pepper, a node is started, votes of every kind
/// are cast over HTTP (valid, blank, duplicate, unknown, revoked, refused, and one repeated with
/// its idempotency key), the poll is closed and reconciled, the stored votes are recounted by
/// independent code, and the publication bundle and one receipt are verified with the pinned
/// policy.
///
/// With --web two small elections stay open instead, one of the roll and one of members with
/// accounts; their results move with each vote. The node serves the pages on which people vote and
/// read results, and the demo prints their addresses, credentials to vote with, and the one-time
/// links of an official's account and of a member's.
///
/// With --authorities several authorities decide every vote, each with its own data folder and
/// keys, and a quorum of them signs the log. The leader is killed during the poll: another one
/// leads, and the demo prints how long a voter waited. With the keys of the killed one a false
/// count is proposed, and the others refuse it. It rejoins; then the network of another one is cut
/// and restored. Without services the nodes share this process and one embedded ledger; with
/// services each is a process of its own.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit demo
  votekit demo --electors 10000 --dir votekit-demo --keep
  votekit demo --web
  votekit demo --authorities 3 --dir votekit-authorities
  votekit demo --engine services --registry redis://127.0.0.1:6379 \\
    --ballot-box amqp://guest:guest@127.0.0.1 --ledger postgres://postgres@127.0.0.1/postgres")]
pub(crate) struct Args {
    /// Number of electors on the sample roll; 200 by default, and 20 with --web
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(20..=10_000_000))]
    electors: Option<u32>,

    /// Folder for all files; must be new or empty
    #[arg(long, value_name = "DIR", default_value = "votekit-demo")]
    dir: PathBuf,

    /// Engine of the node; services requires --registry, --ballot-box and --ledger (`cargo xtask
    /// services up` starts servers for trials)
    #[cfg(feature = "services")]
    #[arg(long, value_enum, default_value_t = Engine::Embedded)]
    engine: Engine,

    #[cfg(feature = "services")]
    #[command(flatten)]
    services: crate::commands::serve::ServicesArgs,

    /// Keep the node running after the demo, until Ctrl-C
    #[arg(long)]
    keep: bool,

    /// Leave elections open to vote in on the pages of their node, until Ctrl-C
    #[arg(long, conflicts_with = "keep")]
    web: bool,

    /// Number of authorities, 3 (of which 2 are a quorum) or 4 (of which 3 are)
    #[arg(long, value_name = "N", conflicts_with_all = ["keep", "web"], value_parser = clap::value_parser!(u8).range(3..=4))]
    authorities: Option<u8>,
}

/// Engine of the demo's node.
#[cfg(feature = "services")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    /// One process, no server
    Embedded,
    /// Redis, RabbitMQ and PostgreSQL, under a separate prefix and schema
    Services,
}

impl Args {
    fn electors(&self) -> u32 {
        self.electors.unwrap_or(if self.web { 20 } else { 200 })
    }

    /// Returns environment variables for the node and the commands: the addresses of the services,
    /// with a prefix and a schema that keep demos apart. Empty for the embedded engine.
    #[cfg(feature = "services")]
    fn services(&self) -> Result<Vec<(&'static str, String)>, CommandError> {
        if self.engine == Engine::Embedded {
            return Ok(Vec::new());
        }
        let since =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let corner = format!("demo_{}", since.as_millis());
        self.services.corner(&corner).ok_or_else(|| {
            CommandError::usage("--engine services requires --registry, --ballot-box and --ledger")
                .hint(
                    "or set VOTEKIT_REGISTRY, VOTEKIT_BALLOT_BOX and VOTEKIT_LEDGER in the \
                     environment",
                )
        })
    }

    #[cfg(not(feature = "services"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with services")]
    fn services(&self) -> Result<Vec<(&'static str, String)>, CommandError> {
        Ok(Vec::new())
    }
}

/// Runs `votekit demo`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    match args.authorities {
        Some(count) => authorities::run(&args, usize::from(count), context),
        None if args.web => web::run(&args, context),
        None => steps::run(&args, context),
    }
}
