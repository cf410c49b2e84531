//! `votekit load`: brings a hashed roll into a node's data folder.

#[cfg(feature = "services")]
mod shared_registry;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use votekit_node::config::Config;
use votekit_node::{LoadOutcome, LoadReport};

use crate::context::Context;
use crate::error::CommandError;
use crate::office::{self, Office, OfficeArgs};

/// Load a hashed roll, or a supplement to one, into a node, or into a registry on Redis
///
/// Every digest, count and signature is checked before anything changes. Loading the same roll
/// again changes nothing, and never lets anyone vote twice. The roll takes effect in each election
/// of its laws that exists, and in one that is created later.
///
/// With --registry the roll goes into the registry that nodes share, and nowhere else: the nodes
/// load it from their own folder. A load that was interrupted is run again. The servers' settings
/// are looked at first; with --data the officials and peppers of that folder count.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit load hashes/ --data node/ --pepper-file referendum.pepper
  votekit load supplement/ --node http://127.0.0.1:8081 --data node/
  votekit load hashes/ --registry rediss://redis.example.ca:6379?ca_file=ca.pem --pepper-file referendum.pepper")]
pub(crate) struct Args {
    /// The folder that `votekit hashgen` made
    folder: PathBuf,

    /// The pepper that the roll was hashed under; needed the first time
    #[arg(long, value_name = "FILE")]
    pepper_file: Option<PathBuf>,

    /// The name that the logs of a new data folder begin with, such as elections.example.ca
    #[arg(long, value_name = "NAME", conflicts_with = "node")]
    base: Option<String>,

    /// The registry that nodes share: the address of a Redis server, or of one node of a cluster
    #[cfg(feature = "services")]
    #[arg(long, value_name = "URL", conflicts_with_all = ["node", "base"])]
    registry: Option<String>,

    #[command(flatten)]
    office: OfficeArgs,
}

#[derive(Serialize)]
struct Report(LoadReport);

/// Loads a roll.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    #[cfg(feature = "services")]
    if let Some(url) = &args.registry {
        return shared_registry::run(&args, url, context);
    }
    let made = args.office.data_of_stopped().map(Made::before);
    let loaded = office::run(async {
        let office = match args.office.data_of_stopped() {
            Some(data) => {
                Office::Here(office::start(data, args.base.as_deref(), Config::default()).await?)
            }
            None => Office::open(&args.office, Config::default()).await?,
        };
        let loaded = office.load(&args.folder, args.pepper_file.as_deref()).await;
        office.leave().await;
        loaded
    });
    if let (Err(_), Some(made)) = (&loaded, made) {
        made.undo();
    }
    context.output.result(&Report(loaded?))
}

/// What stood in a data folder before this call. A roll that is refused must not leave a new folder
/// behind, with the wrong name in it for good.
struct Made<'a> {
    data: &'a Path,
    existed: bool,
    names: BTreeSet<OsString>,
}

impl<'a> Made<'a> {
    fn before(data: &'a Path) -> Self {
        Self { data, existed: data.exists(), names: names_in(data) }
    }

    /// Removes what was made in a folder that was no data folder before. What cannot be removed
    /// stays: the failure itself is what is told.
    fn undo(self) {
        if self.names.contains(OsStr::new("votekit.toml")) {
            return;
        }
        for name in names_in(self.data).difference(&self.names) {
            let path = self.data.join(name);
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
        if !self.existed {
            let _ = fs::remove_dir(self.data);
        }
    }
}

fn names_in(folder: &Path) -> BTreeSet<OsString> {
    fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.file_name()).collect())
        .unwrap_or_default()
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.0;
        for law in &report.laws {
            match law.outcome {
                LoadOutcome::Loaded => {
                    writeln!(
                        formatter,
                        "{}: loaded, {} electors registered",
                        law.law_id, law.registered
                    )?;
                }
                LoadOutcome::Kept => writeln!(
                    formatter,
                    "{}: {} credentials kept; they take effect when the election is created",
                    law.law_id, law.keys
                )?,
                LoadOutcome::Unchanged => {
                    writeln!(
                        formatter,
                        "{}: loaded before, nothing changed ({} electors)",
                        law.law_id, law.registered
                    )?;
                }
            }
        }
        writeln!(formatter, "manifest: {}", report.manifest)
    }
}
