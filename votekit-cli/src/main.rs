//! The votekit command line: hold a referendum or an election, and let anyone verify it.
//!
//! `commands` declares the verbs, `commands/<verb>.rs` contains the arguments and the action of
//! each, `cli` parses the command line, `error` maps errors to exit codes. Data goes to standard
//! output, everything else to standard error.

mod argument;
mod error;
mod output;
#[cfg(feature = "node")]
mod client;
#[cfg(feature = "node")]
mod admin_target;
mod allocator;
mod interruption;
mod atomic_output;
mod random;
#[cfg(feature = "node")]
mod ballot_call;
mod context;
mod progress;
mod bundle_folder;
mod table_error;
#[cfg(feature = "node")]
mod invitation_links;
#[cfg(feature = "node")]
mod log_source;
#[cfg(feature = "node")]
mod prompt;
#[cfg(feature = "node")]
mod records;
#[cfg(feature = "node")]
mod recount;
#[cfg(feature = "node")]
mod signals;
mod commands;
mod cli;
#[cfg(feature = "node")]
mod node_errors;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let context = context::Context::new(cli.json);
    match commands::run(cli.command, cli::tree, &context) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            context.output.error(&error);
            error.exit_code()
        }
    }
}
