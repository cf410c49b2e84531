//! `votekit authority show`.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use votekit_node::data_folder::{DataFolder, FolderError};

use crate::context::Context;
use crate::error::CommandError;

/// Print the line of an authority, and the fingerprint of the file of the authorities in its folder
///
/// The output is an input of `votekit policy make`, which also compares the base. After the file is
/// installed as DATA/authorities, every machine must show the same fingerprint. Nothing is written;
/// a running node may be using the data folder.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit authority show --data node/")]
pub(super) struct Args {
    /// Data folder of the authority
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

#[derive(Serialize)]
struct Report {
    name: String,
    base: String,
    line: String,
    /// The file in the folder, if it exists and can be read.
    authorities: Option<Installed>,
}

#[derive(Serialize)]
struct Installed {
    fingerprint: String,
    quorum: usize,
    count: usize,
    /// Whether it lists this authority with these keys.
    fits: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let folder = DataFolder::peek(&args.data)?;
    if !folder.is_authority() {
        return Err(FolderError::NotAuthority { path: args.data.clone() }.into());
    }
    let report = Report {
        name: folder.authority()?.to_string(),
        base: folder.base()?.to_string(),
        line: folder.authority_member()?.to_string(),
        authorities: installed(&folder, context),
    };
    context.output.result(&report)
}

/// The installed file. A fault of the file is only a warning, because the printed line is useful
/// without it.
fn installed(folder: &DataFolder, context: &Context) -> Option<Installed> {
    let set = folder.authorities().unwrap_or_else(|error| {
        context.output.warning(CommandError::from(error).message);
        None
    })?;
    let fits = match folder.own_authority(&set) {
        Ok(Some(_)) => true,
        Ok(None) => {
            context.output.warning(format_args!(
                "{} does not list this authority: the node does not start as one",
                folder.authorities_path().display()
            ));
            false
        }
        Err(error) => {
            context.output.warning(CommandError::from(error).message);
            false
        }
    };
    Some(Installed {
        fingerprint: set.fingerprint().to_hex(),
        quorum: set.quorum(),
        count: set.members().len(),
        fits,
    })
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "base {}\n{}", self.base, self.line)?;
        // A comment: the whole output can be given to `policy make`.
        match &self.authorities {
            Some(Installed { fingerprint, quorum, count, .. }) => writeln!(
                formatter,
                "# installed: SHA-256 {fingerprint}, quorum {quorum} of {count}"
            ),
            None => writeln!(formatter, "# installed: none"),
        }
    }
}
