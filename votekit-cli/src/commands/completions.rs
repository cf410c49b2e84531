//! `votekit completions`: makes the Tab key complete votekit's commands.

use clap_complete::Shell;

use crate::cli;
use crate::context::Context;
use crate::error::CommandError;

/// Print a script that lets the Tab key complete votekit commands
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit completions bash > ~/.local/share/bash-completion/completions/votekit
  votekit completions zsh > ~/.zfunc/_votekit
  votekit completions fish > ~/.config/fish/completions/votekit.fish")]
pub(crate) struct Args {
    /// The shell that the script is for
    #[arg(value_enum)]
    shell: Shell,
}

/// Writes the script to standard output.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::tree(), "votekit", &mut script);
    context.output.data(&script)
}
