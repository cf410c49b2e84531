//! An official's signing key: created here, kept in a file that only its owner can read.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use votekit_core::log::note::{KeyName, SigningKey};
use zeroize::Zeroizing;

use crate::argument;
use crate::atomic_output::{Secrecy, write_new};
use crate::commands::pepper::read_secret;
use crate::context::Context;
use crate::error::CommandError;
use crate::random::random_bytes;

/// Start of the single line of a key file; the name and 64 hexadecimal digits follow, each after a
/// space.
const PREFIX: &str = "votekit-official-key/1";

/// Make a signing key for an official
///
/// Only you can read the file; share it with no one. The command prints the verifier key, which is
/// not secret. Hand it, in person, to those who are to check your signatures; they give it to
/// 'votekit manifest verify --vkey'.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit manifest keygen --name elections.example/marie-tremblay -o marie.key")]
pub(super) struct Args {
    /// Your name in signatures, without spaces and plus signs: best an address that you control,
    /// and your name
    #[arg(long, value_parser = argument::parse::<KeyName>)]
    name: KeyName,

    /// File to create
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Serialize)]
struct Report {
    vkey: String,
    file: PathBuf,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.vkey)
    }
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let seed = random_bytes::<32>()?;
    let digits = Zeroizing::new(const_hex::encode(seed.as_slice()));
    let text = Zeroizing::new(format!("{PREFIX} {} {}\n", args.name, *digits));
    write_new(&args.output, Secrecy::Private, text.as_bytes())?;
    let vkey = SigningKey::from_seed(args.name, &seed).verifier().to_string();
    context.output.result(&Report { vkey, file: args.output })
}

/// Reads a key file.
pub(super) fn read(path: &Path, context: &Context) -> Result<SigningKey, CommandError> {
    let text = read_secret(path, context)?;
    parse(&text).ok_or_else(|| {
        CommandError::bad_input(format!("{} is not a signing key", path.display()))
            .hint("make one with 'votekit manifest keygen'")
    })
}

fn parse(text: &str) -> Option<SigningKey> {
    let mut words = text.strip_suffix('\n').unwrap_or(text).split(' ');
    let (prefix, name, digits) = (words.next()?, words.next()?, words.next()?);
    if prefix != PREFIX || words.next().is_some() || digits.len() != 64 {
        return None;
    }
    let mut seed = Zeroizing::new([0; 32]);
    const_hex::decode_to_slice(digits, seed.as_mut_slice()).ok()?;
    Some(SigningKey::from_seed(name.parse().ok()?, &seed))
}
