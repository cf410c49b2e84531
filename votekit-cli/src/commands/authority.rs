//! `votekit authority`: the keys of one of several authorities.

mod keygen;
mod renew;
mod show;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use votekit_node::data_folder::DataFolder;

use crate::context::Context;
use crate::error::CommandError;

/// Make and show the keys of one of several authorities
///
/// Several authorities, each on its own machine and under its own administrator, decide every vote
/// again and sign the log together. Each makes its keys itself; only public keys leave its machine.
/// `votekit policy make` makes one file of all of them, which every machine installs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Keygen(keygen::Args),
    Show(show::Args),
    Renew(renew::Args),
}

/// Runs `votekit authority`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    match args.action {
        Action::Keygen(args) => keygen::run(&args, context),
        Action::Show(args) => show::run(&args, context),
        Action::Renew(args) => renew::run(&args, context),
    }
}

/// The line of an authority with new keys, as printed.
#[derive(Serialize)]
struct NewKeys {
    name: String,
    base: String,
    line: String,
    data: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    retired: Option<PathBuf>,
}

impl NewKeys {
    fn read(
        folder: &DataFolder,
        data: &Path,
        retired: Option<PathBuf>,
    ) -> Result<Self, CommandError> {
        Ok(Self {
            name: folder.authority()?.to_string(),
            base: folder.base()?.to_string(),
            line: folder.authority_member()?.to_string(),
            data: data.to_owned(),
            retired,
        })
    }
}

impl fmt::Display for NewKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.line)
    }
}
