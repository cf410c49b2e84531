//! `votekit verify`: verifies a published election, or a voter's receipt, offline.

mod bundle;
mod receipt;

use std::fs;
use std::path::PathBuf;

use votekit_core::bundle::verify::Pin;
use votekit_core::id::Digest;
use votekit_core::log::policy::Policy;
use votekit_messages::InWords as _;

use crate::context::Context;
use crate::error::CommandError;

/// Verify a published election, or a voter's receipt, offline and without trusting anyone
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Bundle(bundle::Args),
    Receipt(receipt::Args),
}

/// Runs `votekit verify`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    match args.action {
        Action::Bundle(args) => bundle::run(&args, context),
        Action::Receipt(args) => receipt::run(&args, context),
    }
}

/// What the verifier already trusts.
#[derive(Debug, clap::Args)]
struct Trust {
    /// Policy file, obtained from elsewhere than the bundle
    #[arg(long, value_name = "FILE", conflicts_with = "fingerprint")]
    policy: Option<PathBuf>,

    /// SHA-256 of the policy file, obtained from elsewhere: 64 hexadecimal digits, optionally in
    /// groups separated by spaces or colons
    #[arg(long, value_name = "HEX", value_parser = parse_fingerprint)]
    fingerprint: Option<Digest>,
}

impl Trust {
    /// Returns the pinned policy or fingerprint, if any.
    fn pin(&self) -> Result<Option<Pin>, CommandError> {
        let Some(path) = &self.policy else {
            return Ok(self.fingerprint.map(Pin::Fingerprint));
        };
        let bytes = fs::read(path).map_err(|error| CommandError::reading(path, &error))?;
        match Policy::parse(&bytes) {
            Ok(_) => Ok(Some(Pin::Policy(bytes))),
            Err(error) => {
                let words = error.in_words();
                Err(CommandError::bad_input(format!("{} is not a policy: {words}", path.display()))
                    .hint(PIN_HINT))
            }
        }
    }
}

/// Parses a fingerprint as copied from paper: in capitals, in groups, with colons.
fn parse_fingerprint(text: &str) -> Result<Digest, String> {
    let is_digit = |character: &char| !character.is_whitespace() && *character != ':';
    let digits: String = text.chars().filter(is_digit).collect();
    digits.to_ascii_lowercase().parse().map_err(|error: votekit_core::id::IdError| error.in_words())
}

/// Hint for getting from exit code 6 to 0.
const PIN_HINT: &str = "get the policy or its fingerprint from the electoral authority, not from the bundle, and give it with --policy or --fingerprint";
