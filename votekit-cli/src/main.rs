//! The votekit command line: hold a referendum or an election, and let anyone verify it.
//!
//! `commands` declares the verbs, `commands/<verb>.rs` contains the arguments and the action of
//! each, `cli` parses the command line, `error` maps errors to exit codes. Data goes to standard
//! output, everything else to standard error.

#[cfg(feature = "node")]
mod admin_target;
mod allocator;
mod argument;
mod atomic_output;
#[cfg(feature = "node")]
mod ballot_call;
mod bundle_folder;
mod cli;
#[cfg(feature = "node")]
mod client;
mod commands;
mod context;
mod error;
mod interruption;
#[cfg(feature = "node")]
mod invitation_links;
#[cfg(feature = "node")]
mod log_source;
#[cfg(feature = "node")]
mod node_errors;
mod output;
mod progress;
#[cfg(feature = "node")]
mod prompt;
mod random;
#[cfg(feature = "node")]
mod records;
#[cfg(feature = "node")]
mod recount;
#[cfg(feature = "node")]
mod signals;
mod table_error;

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
