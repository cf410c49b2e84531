//! The subcommands: one file each, with its `Args` and its `run`.

#[cfg(feature = "node")]
pub(crate) mod authority;
pub(crate) mod pepper;
pub(crate) mod ballot_key;
#[cfg(feature = "node")]
pub(crate) mod batch;
#[cfg(feature = "node")]
pub(crate) mod cast;
pub(crate) mod completions;
#[cfg(feature = "services")]
pub(crate) mod dead_letters;
#[cfg(feature = "node")]
pub(crate) mod serve;
#[cfg(feature = "node")]
pub(crate) mod demo;
pub(crate) mod roll;
#[cfg(feature = "node")]
pub(crate) mod election;
#[cfg(feature = "node")]
pub(crate) mod export;
pub(crate) mod hashgen;
#[cfg(feature = "node")]
pub(crate) mod leader;
#[cfg(feature = "node")]
pub(crate) mod ledger;
#[cfg(feature = "services")]
pub(crate) mod registry;
#[cfg(feature = "node")]
pub(crate) mod load;
#[cfg(feature = "loadtest")]
pub(crate) mod loadtest;
pub(crate) mod man;
pub(crate) mod manifest;
#[cfg(feature = "node")]
pub(crate) mod node;
#[cfg(feature = "node")]
pub(crate) mod nodes;
pub(crate) mod policy;
#[cfg(feature = "node")]
pub(crate) mod recount;
#[cfg(feature = "node")]
pub(crate) mod results;
#[cfg(feature = "node")]
pub(crate) mod review;
#[cfg(feature = "node")]
pub(crate) mod user;
pub(crate) mod verify;
#[cfg(feature = "node")]
pub(crate) mod witness;

use clap::Subcommand;

use crate::context::Context;
use crate::error::CommandError;

/// One variant per subcommand; its arguments and its `run` are in `commands/<name>.rs`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Roll(roll::Args),
    Hashgen(Box<hashgen::Args>),
    Pepper(pepper::Args),
    BallotKey(ballot_key::Args),
    Manifest(manifest::Args),
    #[cfg(feature = "node")]
    Load(load::Args),
    #[cfg(feature = "node")]
    Election(election::Args),
    #[cfg(feature = "node")]
    Serve(Box<serve::Args>),
    #[cfg(feature = "node")]
    User(user::Args),
    #[cfg(feature = "services")]
    Registry(registry::Args),
    #[cfg(feature = "node")]
    Authority(authority::Args),
    Policy(policy::Args),
    #[cfg(feature = "node")]
    Node(node::Args),
    #[cfg(feature = "node")]
    Nodes(nodes::Args),
    #[cfg(feature = "node")]
    Leader(leader::Args),
    #[cfg(feature = "node")]
    Ledger(ledger::Args),
    #[cfg(feature = "node")]
    Witness(witness::Args),
    #[cfg(feature = "node")]
    Cast(cast::Args),
    #[cfg(feature = "node")]
    Results(results::Args),
    #[cfg(feature = "node")]
    Export(export::Args),
    Verify(verify::Args),
    #[cfg(feature = "node")]
    Recount(recount::Args),
    #[cfg(feature = "node")]
    Batch(batch::Args),
    #[cfg(feature = "node")]
    Review(review::Args),
    #[cfg(feature = "services")]
    DeadLetters(dead_letters::Args),
    #[cfg(feature = "loadtest")]
    Loadtest(Box<loadtest::Args>),
    #[cfg(feature = "node")]
    Demo(demo::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Man(man::Args),
}

/// Runs one subcommand. `tree` returns the whole command tree, for completions and man pages.
///
/// # Errors
/// The error of the subcommand.
pub(crate) fn run(
    command: Command,
    tree: fn() -> clap::Command,
    context: &Context,
) -> Result<(), CommandError> {
    match command {
        Command::Roll(args) => roll::run(args, context),
        Command::Hashgen(args) => hashgen::run(*args, context),
        Command::Pepper(args) => pepper::run(args, context),
        Command::BallotKey(args) => ballot_key::run(args, context),
        Command::Manifest(args) => manifest::run(args, context),
        Command::Verify(args) => verify::run(args, context),
        #[cfg(feature = "node")]
        Command::Recount(args) => recount::run(args, context),
        #[cfg(feature = "node")]
        Command::Batch(args) => batch::run(args, context),
        #[cfg(feature = "node")]
        Command::Cast(args) => cast::run(args, context),
        #[cfg(feature = "services")]
        Command::DeadLetters(args) => dead_letters::run(args, context),
        #[cfg(feature = "node")]
        Command::Demo(args) => demo::run(args, context),
        #[cfg(feature = "node")]
        Command::Election(args) => election::run(args, context),
        #[cfg(feature = "node")]
        Command::Export(args) => export::run(args, context),
        #[cfg(feature = "node")]
        Command::Load(args) => load::run(args, context),
        #[cfg(feature = "services")]
        Command::Registry(args) => registry::run(args, context),
        #[cfg(feature = "node")]
        Command::Authority(args) => authority::run(args, context),
        Command::Policy(args) => policy::run(args, context),
        #[cfg(feature = "node")]
        Command::Node(args) => node::run(args, context),
        #[cfg(feature = "node")]
        Command::Nodes(args) => nodes::run(args, context),
        #[cfg(feature = "node")]
        Command::Leader(args) => leader::run(args, context),
        #[cfg(feature = "node")]
        Command::Ledger(args) => ledger::run(args, context),
        #[cfg(feature = "node")]
        Command::Witness(args) => witness::run(args, context),
        #[cfg(feature = "node")]
        Command::Results(args) => results::run(args, context),
        #[cfg(feature = "node")]
        Command::Review(args) => review::run(args, context),
        #[cfg(feature = "node")]
        Command::Serve(args) => serve::run(*args, context),
        #[cfg(feature = "node")]
        Command::User(args) => user::run(args, context),
        #[cfg(feature = "loadtest")]
        Command::Loadtest(args) => loadtest::run(*args, context),
        Command::Completions(args) => completions::run(args, tree(), context),
        Command::Man(args) => man::run(args, tree()),
    }
}
