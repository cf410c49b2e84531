//! `votekit pepper`: generates peppers and shows their ids.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use votekit_core::credential::Pepper;
use votekit_messages::InWords as _;
use zeroize::Zeroizing;

use crate::atomic_output::{Secrecy, write_new};
use crate::context::Context;
use crate::error::CommandError;
use crate::random::random_bytes;

/// Make a pepper: the secret key that protects a hashed roll
///
/// Without a pepper, anyone who steals the hashes can find each elector's code by trying all codes.
/// With one, the hashes are worthless to anyone who does not have the pepper too. The offline
/// machine that hashes the roll and the nodes that take votes need the same pepper; no one else may
/// have it. Keep one copy in a safe until the result is certified.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Generate(GenerateArgs),
    Show(ShowArgs),
}

/// Generate a new pepper from the machine's random numbers
///
/// Only you can read the file. An existing file is never overwritten: a lost pepper cannot be made
/// again. The command prints the pepper's id, which distinguishes peppers and is not secret.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit pepper generate -o referendum.pepper")]
struct GenerateArgs {
    /// File to create
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Print the id of a pepper, never the pepper
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit pepper show referendum.pepper")]
struct ShowArgs {
    /// Pepper file
    file: PathBuf,
}

#[derive(Serialize)]
struct Report {
    id: String,
    file: PathBuf,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.id)
    }
}

/// Runs `votekit pepper`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    match args.action {
        Action::Generate(args) => generate(args, context),
        Action::Show(args) => {
            let pepper = read(&args.file, context)?;
            context.output.result(&Report { id: pepper.id().to_hex(), file: args.file })
        }
    }
}

fn generate(args: GenerateArgs, context: &Context) -> Result<(), CommandError> {
    let pepper = Pepper::from_bytes(*random_bytes::<32>()?);
    write_new(&args.output, Secrecy::Private, pepper.to_file_text().as_bytes())?;
    context.output.note(format_args!(
        "wrote {}: hand it to 'votekit hashgen --pepper-file', keep one copy in a safe, and keep \
         it secret",
        args.output.display()
    ));
    context.output.result(&Report { id: pepper.id().to_hex(), file: args.output })
}

/// Reads a pepper file; warns if others can read it too.
pub(crate) fn read(path: &Path, context: &Context) -> Result<Pepper, CommandError> {
    let text = read_secret(path, context)?;
    Pepper::from_file_text(&text).map_err(|error| {
        CommandError::bad_input(format!("{}: {}", path.display(), error.in_words()))
    })
}

/// Reads a small file with a secret; warns if others can read it too.
pub(crate) fn read_secret(
    path: &Path,
    context: &Context,
) -> Result<Zeroizing<String>, CommandError> {
    let failed = |error: &std::io::Error| CommandError::reading(path, error);
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|error| failed(&error))?);
    let mode = fs::metadata(path).map_err(|error| failed(&error))?.permissions().mode();
    if mode & 0o077 != 0 {
        context.output.warning(format_args!(
            "{0} is readable by others: run 'chmod 600 {0}'",
            path.display()
        ));
    }
    Ok(text)
}
