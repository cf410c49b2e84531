//! `votekit ballot-key`: makes the ballot key of an election, and shows its public half.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use votekit_core::ballot::BallotSecretKey;
use votekit_core::key_file;
use votekit_messages::InWords as _;

use crate::atomic_output::{Secrecy, write_new};
use crate::commands::pepper::read_secret;
use crate::context::Context;
use crate::error::CommandError;
use crate::random::random_bytes;

/// Make the ballot key of an election, to which the choices of voters are encrypted
///
/// Without one, the node that creates the election makes the key itself. Officials who want to make
/// it do so offline, and hand the file to `votekit election create --ballot-key`. The public half
/// is in the definition of the election, which the public log contains; the secret half decrypts
/// every vote, and no one else may have it.
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

/// Generate a new ballot key from the machine's random numbers
///
/// Only you can read the file, which contains the secret half. An existing file is never
/// overwritten. The command prints the public half, which is not secret: note it, and compare it
/// with the election's.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit ballot-key generate -o L2025-001.key")]
struct GenerateArgs {
    /// File to create
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Print the public half of a ballot key, never the secret
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit ballot-key show L2025-001.key")]
struct ShowArgs {
    /// File of the ballot key
    file: PathBuf,
}

#[derive(Serialize)]
struct Report {
    public_key: String,
    file: PathBuf,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.public_key)
    }
}

/// Runs `votekit ballot-key`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    match args.action {
        Action::Generate(args) => generate(args, context),
        Action::Show(args) => {
            let key = read(&args.file, context)?;
            let public_key = key.public_key().to_hex();
            context.output.result(&Report { public_key, file: args.file })
        }
    }
}

fn generate(args: GenerateArgs, context: &Context) -> Result<(), CommandError> {
    let seed = random_bytes::<32>()?;
    let key = BallotSecretKey::from_seed(&seed);
    let text = key_file::to_text(key.expose_bytes());
    write_new(&args.output, Secrecy::Private, text.as_bytes())?;
    context.output.note(format_args!(
        "wrote {}: hand it to 'votekit election create --ballot-key', and keep it secret; it is \
         for one election",
        args.output.display()
    ));
    context.output.result(&Report { public_key: key.public_key().to_hex(), file: args.output })
}

fn read(path: &Path, context: &Context) -> Result<BallotSecretKey, CommandError> {
    let text = read_secret(path, context)?;
    let secret = key_file::parse(&text).map_err(|error| {
        CommandError::bad_input(format!("{}: {}", path.display(), error.in_words()))
    })?;
    Ok(BallotSecretKey::from_bytes(*secret))
}
