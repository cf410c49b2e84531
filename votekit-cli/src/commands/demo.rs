//! `votekit demo`: a whole referendum, from the roll to the verified result, with the commands that
//! real people would give.

mod ballots;
mod steps;

use std::path::PathBuf;

use crate::context::Context;
use crate::error::CommandError;

/// Hold a small referendum from roll to verified result, and show each step
///
/// Everything is real: the roll is hashed under a pepper, a node is started, votes of every kind
/// are cast over HTTP (valid, blank, duplicate, unknown, revoked, refused, and one repeated with
/// its key), the poll is closed and reconciled, the stored votes are recounted by other code, and
/// the publication bundle and one receipt are verified with the pinned policy.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit demo
  votekit demo --electors 10000 --dir votekit-demo --keep
  votekit demo --engine services --registry redis://127.0.0.1:6379 \\
    --ballot-box amqp://guest:guest@127.0.0.1 --ledger postgres://postgres@127.0.0.1/postgres")]
pub(crate) struct Args {
    /// Electors on the sample roll
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(20..=10_000_000))]
    electors: u32,

    /// The folder for all files; it must be new or empty
    #[arg(long, value_name = "DIR", default_value = "votekit-demo")]
    dir: PathBuf,

    /// The engine the node runs on; services wants --registry, --ballot-box and --ledger (`cargo
    /// xtask services up` starts servers to try)
    #[cfg(feature = "services")]
    #[arg(long, value_enum, default_value_t = Engine::Embedded)]
    engine: Engine,

    #[cfg(feature = "services")]
    #[command(flatten)]
    services: crate::services_args::ServicesArgs,

    /// Go on serving when the demo is done, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// What the node of the demo runs on.
#[cfg(feature = "services")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    /// One process, no server.
    Embedded,
    /// Redis, RabbitMQ and PostgreSQL, in a corner of their own.
    Services,
}

impl Args {
    /// What a node and the commands are told of the services, in their environment: a prefix and a
    /// schema keep demos apart. None for the embedded engine.
    #[cfg(feature = "services")]
    fn services(&self) -> Result<Vec<(&'static str, String)>, CommandError> {
        if self.engine == Engine::Embedded {
            return Ok(Vec::new());
        }
        let since =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let corner = format!("demo_{}", since.as_millis());
        self.services.corner(&corner).ok_or_else(|| {
            CommandError::usage("--engine services wants --registry, --ballot-box and --ledger")
                .hint("they can stand in the environment too, as VOTEKIT_REGISTRY, VOTEKIT_BALLOT_BOX and VOTEKIT_LEDGER")
        })
    }

    #[cfg(not(feature = "services"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with services")]
    fn services(&self) -> Result<Vec<(&'static str, String)>, CommandError> {
        Ok(Vec::new())
    }
}

/// Runs the demo.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    steps::run(&args, context)
}
