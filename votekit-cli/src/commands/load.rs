//! `votekit load`: loads a hashed roll into a node's data folder.

#[cfg(feature = "services")]
mod shared_registry;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, Permissions};
use std::path::{Path, PathBuf};

use serde::Serialize;
use votekit_core::manifest::Manifest;
use votekit_node::config::Config;
use votekit_node::data_folder::DataFolder;
use votekit_node::{LoadOutcome, LoadReport, LoadedLaw, SupplementReport, keep_roll_of_stopped};

use crate::admin_target::{self, AdminTarget, AdminTargetArgs};
use crate::context::Context;
use crate::error::CommandError;
use crate::output::plain;

/// Load a hashed roll or a supplement into a node, or into a registry on Redis
///
/// Every digest, count and signature is checked before anything changes. Loading the same roll
/// again changes nothing, and never lets anyone vote twice. The roll takes effect in each existing
/// election of its laws, and in those created later. A law has one roll: a second roll is refused.
/// `votekit roll discard` removes a roll that no election uses; --replace replaces the roll until
/// the election opens.
///
/// If there is no data folder yet, it is created in a new or empty folder.
///
/// One of several authorities takes no votes and needs no pepper: without it, the roll is loaded
/// and the pepper is not compared. While its node is stopped, the roll is kept in its folder.
///
/// With --registry the roll is loaded only into the registry that nodes share: the nodes load it
/// from their own folder. An interrupted load can be run again. The servers' settings are checked
/// first; with --data, the officials and peppers of that folder apply.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit load hashes/ --data node/ --pepper-file referendum.pepper
  votekit load supplement/ --node http://127.0.0.1:8081 --data node/
  votekit load hashes/ --registry rediss://redis.example.ca:6379?ca_file=ca.pem --pepper-file referendum.pepper")]
pub(crate) struct Args {
    /// Folder made by `votekit hashgen`
    folder: PathBuf,

    /// Pepper that the roll was hashed under; needed the first time
    #[arg(long, value_name = "FILE")]
    pepper_file: Option<PathBuf>,

    /// Replace the roll of these laws, while their elections are drafts; the public log keeps both
    #[arg(long)]
    replace: bool,

    /// Name that the logs of a new data folder begin with, such as elections.example.ca
    #[arg(long, value_name = "NAME", conflicts_with = "node")]
    log_base: Option<String>,

    /// Registry that nodes share: address of a Redis server, or of one node of a cluster
    #[cfg(feature = "services")]
    #[arg(long, value_name = "URL", conflicts_with_all = ["node", "log_base", "replace"])]
    registry: Option<String>,

    #[command(flatten)]
    target: AdminTargetArgs,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Report {
    report: LoadReport,
    /// Whether there is a file of signatures beside the manifest.
    #[serde(skip)]
    has_note: bool,
}

/// Runs `votekit load`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    #[cfg(feature = "services")]
    if let Some(url) = &args.registry {
        return shared_registry::run(&args, url, context);
    }
    if let Some(data) = args.target.data_of_stopped()
        && let Some(folder) = stopped_authority(data, args.log_base.as_deref())?
    {
        return keep(&folder, &args, context);
    }
    let made = args.target.data_of_stopped().map(Made::before);
    let new_trial_folder = args
        .target
        .data_of_stopped()
        .filter(|data| args.log_base.is_none() && !DataFolder::is_one(data));
    let loaded = admin_target::run(async {
        let target = match args.target.data_of_stopped() {
            Some(data) => AdminTarget::Local(
                admin_target::start(data, args.log_base.as_deref(), Config::default()).await?,
            ),
            None => AdminTarget::open(&args.target, Config::default()).await?,
        };
        let loaded = target.load(&args.folder, args.pepper_file.as_deref(), args.replace).await;
        target.close().await;
        loaded
    });
    if let (Err(_), Some(made)) = (&loaded, made) {
        made.undo();
    }
    let report = loaded?;
    if let Some(data) = new_trial_folder {
        warn_of_trial_name(data, context);
    }
    print(report, &args.folder, context)
}

/// Warns that the logs of a new folder have a name for trials: it is permanent.
fn warn_of_trial_name(data: &Path, context: &Context) {
    context.output.warning(format_args!(
        "the logs of {} begin with {} from now on, a name for trials, with which no binding \
         election opens: for an election that matters, load the roll into a new folder with \
         --log-base and a name that you own, such as elections.example.ca",
        plain(&data.display().to_string()),
        DataFolder::DEFAULT_BASE
    ));
}

/// Opens the folder of one of several authorities. No node is started on it: the ledger of such an
/// installation is shared, and no node would use a ledger in this folder.
fn stopped_authority(data: &Path, base: Option<&str>) -> Result<Option<DataFolder>, CommandError> {
    if !data.join("authorities").exists() || !DataFolder::is_one(data) {
        return Ok(None);
    }
    if !DataFolder::peek(data)?.is_of_several_authorities()? {
        return Ok(None);
    }
    let base = admin_target::base_name(base)?;
    Ok(Some(DataFolder::open(data, base.as_ref())?))
}

fn keep(folder: &DataFolder, args: &Args, context: &Context) -> Result<(), CommandError> {
    if args.replace {
        return Err(CommandError::usage(
            "--replace depends on the state of the elections, which this folder does not contain",
        )
        .hint("start the node of this authority, and give its address with --node"));
    }
    let report = keep_roll_of_stopped(folder, &args.folder, args.pepper_file.as_deref())?;
    print(report, &args.folder, context)
}

fn print(report: LoadReport, folder: &Path, context: &Context) -> Result<(), CommandError> {
    report.laws.iter().filter_map(refusals).for_each(|text| context.output.warning(text));
    if report.without_pepper {
        context.output.note("an authority has no pepper: the pepper was not compared");
    }
    let has_note = folder.join(Manifest::NOTE_FILE_NAME).exists();
    context.output.result(&Report { report, has_note })
}

/// Describes a supplement's failed revocations: officials must know of them before they send
/// another letter.
fn refusals(law: &LoadedLaw) -> Option<String> {
    let SupplementReport { refused, unknown, .. } = law.changes?;
    let mut parts = Vec::new();
    if refused > 0 {
        let revocations = if refused == 1 { "revocation was" } else { "revocations were" };
        parts.push(format!(
            "{refused} {revocations} refused: the code has been used, its vote counts, and a \
             replacement was not added"
        ));
    }
    if unknown > 0 {
        let revocations = if unknown == 1 { "revocation is" } else { "revocations are" };
        parts.push(format!("{unknown} {revocations} of a code that is not registered"));
    }
    (!parts.is_empty()).then(|| format!("{}: {}", plain(&law.law_id), parts.join("; ")))
}

/// State of a data folder before this call. A refused roll must not leave behind a new folder,
/// which would keep a wrong name permanently.
struct Made<'a> {
    data: &'a Path,
    /// Permissions of the folder, if it existed.
    existed: Option<Permissions>,
    names: BTreeSet<OsString>,
}

impl<'a> Made<'a> {
    fn before(data: &'a Path) -> Self {
        let existed = fs::metadata(data).ok().map(|found| found.permissions());
        Self { data, existed, names: names_in(data) }
    }

    /// Removes the files created in a folder that was not a data folder before, and restores the
    /// permissions of an existing folder. Errors are ignored: the failed load is reported.
    fn undo(self) {
        if let Some(permissions) = &self.existed
            && fs::metadata(self.data).is_ok_and(|found| found.permissions() != *permissions)
        {
            let _ = fs::set_permissions(self.data, permissions.clone());
        }
        if self.names.contains(OsStr::new("votekit.toml")) {
            return;
        }
        for name in names_in(self.data).difference(&self.names) {
            let path = self.data.join(name);
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
        if self.existed.is_none() {
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
        let Self { report, has_note } = self;
        for law in &report.laws {
            let law_id = plain(&law.law_id);
            let LoadedLaw { keys, outcome, registered, changes, .. } = law;
            match (outcome, changes) {
                (LoadOutcome::Loaded, None) => {
                    writeln!(formatter, "{law_id}: loaded, {registered} electors registered")?;
                }
                (LoadOutcome::Loaded, Some(changes)) => writeln!(
                    formatter,
                    "{law_id}: loaded, {}; {registered} electors registered",
                    Counts(changes)
                )?,
                (LoadOutcome::Kept, None) => writeln!(
                    formatter,
                    "{law_id}: {keys} credentials kept; they take effect when the election is created"
                )?,
                (LoadOutcome::Kept, Some(changes)) => writeln!(
                    formatter,
                    "{law_id}: kept, {}; it takes effect when the election is created",
                    Counts(changes)
                )?,
                (LoadOutcome::Unchanged, _) => writeln!(
                    formatter,
                    "{law_id}: loaded before, nothing changed ({registered} electors)"
                )?,
            }
        }
        match report.signed_by.as_slice() {
            [] if *has_note => {
                writeln!(formatter, "signatures not verified: this node requires none")?;
            }
            [] => writeln!(formatter, "unsigned: this node requires no signature")?,
            names => writeln!(formatter, "signed by {}", plain(&names.join(", ")))?,
        }
        writeln!(formatter, "manifest: {}", plain(&report.manifest))
    }
}

/// Describes the changes of a supplement. Refused and unknown changes are shown only if there are
/// any.
struct Counts<'a>(&'a SupplementReport);

impl fmt::Display for Counts<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SupplementReport { added, replaced, revoked, refused, unknown } = self.0;
        write!(formatter, "{added} added, {replaced} replaced, {revoked} revoked")?;
        for (count, word) in [(refused, "refused"), (unknown, "unknown")] {
            if *count > 0 {
                write!(formatter, ", {count} {word}")?;
            }
        }
        Ok(())
    }
}
