//! The command line as a whole: its verbs and their common options. Help texts are the
//! documentation: man pages are generated from them.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::commands::Command;
use crate::error::CommandError;
use crate::output::Output;

/// Hold a referendum or an election among millions of electors, and let anyone verify it
#[derive(Debug, Parser)]
#[command(
    name = "votekit",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(after_long_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Print results and errors as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  a fault inside votekit: please report it
  2  the command was not understood
  3  the input (a roll, a file, a vote) is bad; nothing was changed
  4  the disk, a folder, a server or the configuration is at fault
  5  verification failed
  6  consistent, but nothing proves who made it";

/// Parses the command line. Prints help and version, and reports usage errors on standard error.
///
/// # Errors
/// The exit code: 0 after help or version, 2 after a usage error.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let error = match Cli::try_parse_from(&arguments) {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    if !error.use_stderr() {
        // Not an error: the reader closed the pipe because it has seen enough.
        let _ = error.print();
        return Err(ExitCode::SUCCESS);
    }
    let mistake = CommandError::usage(error.to_string());
    if arguments.iter().any(|argument| argument == "--json") {
        Output::new(true).error(&mistake);
    } else {
        let _ = error.print();
    }
    Err(mistake.exit_code())
}

/// Returns the whole command tree, for completions and man pages.
pub(crate) fn tree() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_tree_is_sound() {
        super::tree().debug_assert();
    }
}
