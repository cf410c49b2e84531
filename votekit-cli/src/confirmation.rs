//! Asks for confirmation before a step that cannot be undone.

use std::io::{self, BufRead as _, IsTerminal as _};

use crate::context::Context;
use crate::error::CommandError;

/// Confirmation of a step that cannot be undone
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct YesArgs {
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

impl YesArgs {
    /// Whether the user must confirm.
    ///
    /// # Errors
    /// When the user must confirm, and standard input is not a terminal.
    pub(crate) fn must_ask(self, step: &str) -> Result<bool, CommandError> {
        if self.yes {
            return Ok(false);
        }
        if io::stdin().is_terminal() {
            return Ok(true);
        }
        Err(CommandError::usage(format!(
            "{step} cannot be undone, and there is no terminal to ask for confirmation"
        ))
        .hint("give --yes to confirm"))
    }
}

/// States what will happen, and asks the user to type the id of the election.
///
/// # Errors
/// When another answer is given; nothing was changed then.
pub(crate) fn ask(context: &Context, statement: &str, id: &str) -> Result<(), CommandError> {
    context
        .output
        .question(format_args!("{statement}\nType {id} to continue, or Enter to cancel: "));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| {
        CommandError::bad_input(format!("cannot read the answer: {error}; nothing was changed"))
    })?;
    if answer.trim() == id {
        return Ok(());
    }
    let hint = format!("the answer must be exactly {id}");
    Err(CommandError::bad_input("not confirmed: nothing was changed").hint(hint))
}
