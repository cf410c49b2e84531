//! `votekit completions`: prints shell completion scripts.

use clap_complete::Shell;

use crate::context::Context;
use crate::error::CommandError;

/// Print a shell completion script
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit completions bash > ~/.local/share/bash-completion/completions/votekit
  votekit completions zsh > ~/.zfunc/_votekit
  votekit completions fish > ~/.config/fish/completions/votekit.fish")]
pub(crate) struct Args {
    /// Shell that the script is for
    #[arg(value_enum)]
    shell: Shell,
}

/// Writes the script to standard output.
pub(crate) fn run(
    args: Args,
    mut tree: clap::Command,
    context: &Context,
) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut tree, "votekit", &mut script);
    context.output.data(&script)
}
