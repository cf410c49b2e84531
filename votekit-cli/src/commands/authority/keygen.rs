//! `votekit authority keygen`.

use std::path::PathBuf;

use votekit_core::authority::AuthorityMember;
use votekit_core::ballot::BallotSecretKey;
use votekit_core::log::note::{KeyName, SigningKey};
use votekit_messages::InWords as _;
use votekit_node::data_folder::DataFolder;

use super::NewKeys;
use crate::argument;
use crate::context::Context;
use crate::error::CommandError;

/// Make the data folder of an authority, with its keys and an empty memory
///
/// Run it on the authority's own machine, as the account that runs the node. The keys never leave
/// the folder. The command prints one line with the public keys, which are not secret: hand it to
/// the person who makes the file of the authorities, and read the line to each other to compare it.
///
/// The memory records every statement that the authority has signed. Never restore it from a
/// backup: an authority that forgets a statement could sign one that contradicts it. After a loss
/// run `votekit authority renew`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit authority keygen --data node/ --name quebec --base elections.example.ca
  votekit authority keygen --data node/ --name quebec --base elections.example.ca > quebec.line")]
pub(super) struct Args {
    /// Data folder to create: new or empty
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// Name of the authority in signatures and policies, without spaces, plus signs and slashes
    #[arg(long, value_parser = argument::parse::<KeyName>)]
    name: KeyName,

    /// Name that all logs begin with: the same for every authority, such as elections.example.ca
    #[arg(
        long, default_value = DataFolder::DEFAULT_BASE,
        value_parser = argument::parse::<KeyName>
    )]
    base: KeyName,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    check_name(&args.name)?;
    let folder = DataFolder::create_authority(&args.data, &args.base, &args.name)?;
    let keys = NewKeys::read(&folder, &args.data, None)?;
    context.output.note(format_args!(
        "made {}: this line goes into the file of the authorities, of the base {}",
        args.data.display(),
        args.base
    ));
    if args.base.as_str() == DataFolder::DEFAULT_BASE {
        context.output.note(format_args!(
            "{} is a name for trials: for an election that matters, give --base with a name that \
             you own",
            args.base
        ));
    }
    context.output.result(&keys)
}

/// Checks the name by the rules of the file, before any key is made: with public keys that are of
/// no use, since everyone knows their secret halves.
fn check_name(name: &KeyName) -> Result<(), CommandError> {
    let key = *SigningKey::from_seed(name.clone(), &[1; 32]).verifier().public_key();
    let transport = *BallotSecretKey::from_seed(&[1; 32]).public_key().as_bytes();
    let (name, log, cosigner, statement) = (name.clone(), key, key, key);
    let named = AuthorityMember { name, log, cosigner, statement, transport };
    match AuthorityMember::parse_line(&named.to_string()) {
        Ok(_) => Ok(()),
        Err(rule) => Err(CommandError::usage(format!("--name: {}", rule.in_words()))
            .hint("such as quebec, or authority-1")),
    }
}
