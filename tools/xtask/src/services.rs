//! `cargo xtask services`: a Redis Cluster, RabbitMQ and PostgreSQL on private ports of this
//! machine, with the shipped settings.
//!
//! ```text
//! site ─▶ rig ─┬─ redis       three masters, three replicas
//!              ├─ rabbitmq    one node, and its epmd
//!              ├─ postgresql  one server
//!              └─ guard       ends them when this program cannot
//! ```
//!
//! Checks, chaos and benchmarks use [`Rig`] directly; the verbs are for manual experiments.

mod account;
mod guard;
mod install;
mod ports;
mod site;
mod postgresql;
mod process;
mod rabbitmq;
mod server;
mod redis;
mod rig;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Subcommand;

pub(crate) use self::install::{Programs, clock_library};
pub(crate) use self::rig::Rig;
pub(crate) use self::server::{REDIS_NODES, Server};
pub(crate) use self::site::{Site, TEST_VARIABLES};
use crate::project;

/// Run Redis Cluster, RabbitMQ and PostgreSQL on private ports of this machine.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

impl Arguments {
    /// Whether this is the guard of servers that another xtask started.
    pub(crate) fn is_guard(&self) -> bool {
        matches!(self.verb, Verb::Guard(_))
    }
}

#[derive(Subcommand)]
enum Verb {
    /// Start all servers, wait until each answers, and print their addresses as shell exports.
    Up {
        /// The folder for all stored data; removed at the end [default: one among the temporary
        /// files].
        #[arg(long, value_name = "DIR")]
        folder: Option<PathBuf>,
        /// The first of 32 ports to use [default: some free ones].
        #[arg(long, value_name = "BASE")]
        ports: Option<u16>,
    },
    /// Stop all servers and remove their folder.
    Down,
    /// Show for each server whether it runs and answers.
    Status,
    /// Kill a server at once.
    Kill { server: Server },
    /// Stop a server's processes, with its connections open.
    Pause { server: Server },
    /// Continue a paused server.
    Resume { server: Server },
    /// Start a server again on its stored data, and wait until it answers.
    Restart { server: Server },
    /// Wait until standard input closes, then stop the servers recorded in a file.
    #[command(hide = true)]
    Guard(guard::Arguments),
}

/// Executes a verb.
///
/// # Errors
/// When a server does not react as requested, or servers already run.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let record = record_file()?;
    match &arguments.verb {
        Verb::Up { folder, ports } => up(folder.as_deref(), *ports),
        Verb::Down => {
            let ended = rig::stop(&record)?;
            println!("{ended} servers stopped");
            Ok(())
        }
        Verb::Status => status(&Rig::found(&record)?),
        Verb::Kill { server } => Rig::found(&record)?.kill(*server),
        Verb::Pause { server } => Rig::found(&record)?.pause(*server),
        Verb::Resume { server } => Rig::found(&record)?.resume(*server),
        Verb::Restart { server } => {
            let mut rig = Rig::found(&record)?;
            rig.launch(*server)?;
            rig.wait_ready(*server)
        }
        Verb::Guard(arguments) => guard::run(arguments, rig::stop),
    }
}

/// The file that records the servers of `up`.
fn record_file() -> Result<PathBuf> {
    Ok(project::target_dir()?.join("services.json"))
}

fn up(folder: Option<&std::path::Path>, ports: Option<u16>) -> Result<()> {
    let record = record_file()?;
    ensure!(
        !rig::is_running(&record)?,
        "servers are already running: cargo xtask services status lists them, down stops them"
    );
    let rig = Rig::start(Site::make(folder, ports)?, &record, Programs::find()?)?;
    let site = rig.site();
    let addresses = [site.registry_url(), site.ballot_box_url(), site.ledger_url()];
    let variables = ["VOTEKIT_REGISTRY", "VOTEKIT_BALLOT_BOX", "VOTEKIT_LEDGER"];
    for (variable, address) in
        variables.iter().chain(&TEST_VARIABLES).zip(addresses.iter().chain(&addresses))
    {
        println!("export {variable}='{address}'");
    }
    eprintln!("stored in {}; to be stopped by: cargo xtask services down", site.folder.display());
    eprintln!("to ask RabbitMQ: {}", rabbitmq::control_line(site));
    rig.leave()
}

fn status(rig: &Rig) -> Result<()> {
    for server in Server::all() {
        let state = match (rig.runs(server), rig.answers(server)) {
            (true, true) => "answers",
            (true, false) => "runs, and does not answer",
            (false, _) => "does not run",
        };
        let pid = rig.process(server).map_or_else(String::new, |process| process.pid.to_string());
        println!("{:<11} {pid:>8}  {state}", server.to_string());
    }
    for node in rig.redis_nodes()? {
        let role = match (node.is_master, node.replica_of) {
            (true, _) => format!("master of {}", node.slots.join(" ")),
            (false, Some(master)) => format!("replica of redis-{master}"),
            (false, None) => "replica of nobody".to_owned(),
        };
        println!(
            "redis-{}: {role}{}",
            node.node,
            if node.has_failed { ", taken for lost" } else { "" }
        );
    }
    println!("the Redis Cluster is {}", if rig.redis_is_whole() { "whole" } else { "not whole" });
    Ok(())
}

/// Installs missing programs and starts servers for this program only, in a temporary folder on
/// free ports.
///
/// # Errors
/// When a program is missing and cannot be installed, or a server does not start.
pub(crate) fn start_for_a_run() -> Result<Rig> {
    let programs = Programs::find_or_install()?;
    let site = Site::make(None, None)?;
    let record = site.folder.join("services.json");
    Rig::start(site, &record, programs)
}
