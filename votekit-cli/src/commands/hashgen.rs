//! `votekit hashgen`: hashes an electoral roll, completely or not at all.

mod read;
mod chain;
mod contradictions;
mod faults;
mod shard_file;
mod write;
mod supplement;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};
use serde_json::json;
use votekit_core::credential::{CredentialHasher, HashScheme, Pepper};
use votekit_core::election::Definition;
use votekit_core::id::ElectionId;
use votekit_core::manifest::{LawRow, Manifest, ManifestBody, PepperMarks};
use votekit_core::roll::{HashedRoll, RollRules, RollWarning, RuleCount, count_by_rule};
use votekit_core::shard::{ShardFormat, ShardHead};

use crate::argument;
use crate::atomic_output::refuse_occupied;
use crate::commands::pepper;
use crate::context::Context;
use crate::error::CommandError;
use crate::interruption;
use crate::table_error::{self, RuleLine, plural};

/// Turn an electoral roll into hashes, on an offline machine
///
/// The roll is a CSV file whose first line names the columns nas, code and law_id, in any order;
/// other columns are ignored. Each row is one elector's right to vote on one law. The output is a
/// folder with sorted files of hashes (shards) and a manifest.json that lists them. It contains no
/// NAS and no code; operators load it.
///
/// Every row is checked. By default any bad row is an error: each is reported with its line, and
/// nothing is written. Two faults are always errors: the same elector and law with two different
/// codes, since only you know which one is right; and an unclosed quotation mark, since rows after
/// it may be lost.
///
/// A supplement changes a roll that is already hashed. It is checked against that roll, which
/// --roll names: no elector can get a second code while the first one is live, and only live codes
/// can be revoked.
///
/// The same roll, options and pepper always give the same bytes.
#[derive(Debug, clap::Args)]
#[command(override_usage = "\
votekit hashgen ROLL.csv --out DIR [OPTIONS]
       votekit hashgen --supplement-of MANIFEST --roll ROLL.csv [--add FILE] [--revoke FILE] --out DIR [OPTIONS]")]
#[command(after_help = "\
Examples:
  Hash a roll under a pepper, as a binding vote needs:
    votekit pepper generate -o referendum.pepper
    votekit hashgen roll.csv --out hashes --pepper-file referendum.pepper

  Skip up to 20 bad rows, and write them to a file for correction:
    votekit hashgen roll.csv --out hashes --on-error skip --max-rejects 20 --rejects rejects.csv

  Read a roll that is kept encrypted, without writing it to disk:
    gpg --decrypt roll.csv.gpg | votekit hashgen - --out hashes

  Register latecomers, and replace lost letters (the same elector in both files, with the new code \
  and the old one):
    votekit hashgen --supplement-of hashes/manifest.json --roll roll.csv --add new.csv \
    --revoke lost.csv --out supplement-1

  A second supplement, on top of the first:
    votekit hashgen --supplement-of supplement-1/manifest.json --roll roll.csv \
    --prior-add new.csv --prior-revoke lost.csv --add new-2.csv --out supplement-2")]
pub(crate) struct Args {
    /// Electoral roll; '-' reads standard input
    #[arg(
        value_name = "ROLL.csv",
        required_unless_present = "supplement_of",
        conflicts_with = "supplement_of"
    )]
    roll: Option<PathBuf>,

    /// Folder to create; must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Format of the hashes: json is readable by people, bin is half the size
    #[arg(long, value_enum, default_value_t = Format::Json, conflicts_with = "supplement_of")]
    format: Format,

    /// Hashes per file
    #[arg(long, value_name = "N", default_value_t = ShardHead::KEYS_MAX as u32, conflicts_with = "supplement_of")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=ShardHead::KEYS_MAX as i64))]
    shard_size: u32,

    /// Secret key made by 'votekit pepper generate'; binding votes need one
    #[arg(long, value_name = "F")]
    pepper_file: Option<PathBuf>,

    /// Hash only the rows of this law; may be repeated
    #[arg(
        long = "law", value_name = "ID", conflicts_with = "supplement_of",
        value_parser = argument::parse::<ElectionId>
    )]
    laws: Vec<ElectionId>,

    /// Refuse a NAS with a wrong check digit, and one of nine zeros
    #[arg(long)]
    check_digit: bool,

    /// On a bad row: stop, or skip it into the file of rejects
    #[arg(long, value_enum, default_value_t = OnError::Stop, conflicts_with = "supplement_of")]
    on_error: OnError,

    /// With --on-error skip: the maximum number of bad rows to skip, as a number or a share of all
    /// rows
    #[arg(long, value_name = "N|N%", default_value = "1%", conflicts_with = "supplement_of")]
    max_rejects: faults::RejectsMax,

    /// File for skipped rows, readable only by you [default: DIR-rejects.csv, beside DIR]
    #[arg(long, value_name = "FILE", conflicts_with = "supplement_of")]
    rejects: Option<PathBuf>,

    /// Day to write into the manifest, such as 2026-11-21; omitted by default, so that the same
    /// roll gives the same bytes
    #[arg(long, value_name = "D")]
    date: Option<String>,

    /// Number of processor cores to use [default: all]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,

    /// Make a supplement: changes to the roll of this manifest
    #[arg(long, value_name = "MANIFEST")]
    supplement_of: Option<PathBuf>,

    /// For a supplement: the roll that was hashed first; '-' reads standard input
    #[arg(long = "roll", value_name = "ROLL.csv", requires = "supplement_of")]
    parent_roll: Option<PathBuf>,

    /// For a supplement to a supplement: the additions of each earlier one, in order
    #[arg(long = "prior-add", value_name = "FILE", requires = "supplement_of")]
    prior_adds: Vec<PathBuf>,

    /// For a supplement to a supplement: the revocations of each earlier one, in order
    #[arg(long = "prior-revoke", value_name = "FILE", requires = "supplement_of")]
    prior_revokes: Vec<PathBuf>,

    /// For a supplement to a supplement: the manifests of the roll and of each supplement before
    /// the parent; not needed for those in folders beside the parent
    #[arg(long = "prior-manifest", value_name = "MANIFEST", requires = "supplement_of")]
    prior_manifests: Vec<PathBuf>,

    /// For a supplement: a roll of electors to add
    #[arg(long, value_name = "FILE", requires = "supplement_of")]
    add: Option<PathBuf>,

    /// For a supplement: a roll of electors to revoke, with the codes they were sent
    #[arg(long, value_name = "FILE", requires = "supplement_of")]
    revoke: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Json,
    Bin,
}

impl From<Format> for ShardFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Json => Self::Json,
            Format::Bin => Self::Binary,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnError {
    Stop,
    Skip,
}

/// Shortest access code with which a binding election opens.
const BINDING_CODE_LENGTH_MIN: u32 = Definition::BINDING_CODE_LENGTH_MIN;

/// Name and version written to manifests.
const TOOL: &str = concat!("votekit ", env!("CARGO_PKG_VERSION"));

/// Runs `votekit hashgen`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    // Checked before the work, not after it.
    refuse_occupied(&args.out)?;
    interruption::sweep_when_interrupted()?;
    let pepper = args.pepper_file.as_deref().map(|path| pepper::read(path, context)).transpose()?;
    match (&args.roll, &args.supplement_of) {
        (_, Some(parent)) => supplement::run(&args, parent, pepper.as_ref(), context),
        (Some(roll), None) => hash_roll(&args, roll, pepper.as_ref(), context),
        (None, None) => Err(CommandError::usage("give the file of the roll")),
    }
}

fn hash_roll(
    args: &Args,
    path: &Path,
    pepper: Option<&Pepper>,
    context: &Context,
) -> Result<(), CommandError> {
    let started = Instant::now();
    let skip = args.on_error == OnError::Skip;
    let rejects = skip
        .then(|| args.rejects.clone().unwrap_or_else(|| write::default_rejects_path(&args.out)));
    let mut rules = RollRules::default();
    rules.check_digit = args.check_digit;
    rules.laws.extend(args.laws.iter().cloned());
    let hasher = pepper.map_or_else(CredentialHasher::plain, CredentialHasher::peppered);
    let threads = read::threads(args.threads);
    let mut source = read::Source::open(path, skip)?;
    let file = read::hash(&mut source, &rules, &hasher, threads)?;
    let roll = file.rows.finish(&threads);

    faults::refuse_conflicts(&[(source.name(), &roll)])?;
    if skip {
        faults::refuse_skipping(source.name(), &roll, args.max_rejects)?;
    } else {
        faults::refuse_faults(
            &[(source.name(), &roll)],
            "correct these rows, or skip a few into a file of rejects with --on-error skip",
        )?;
    }
    refuse_missing(source.name(), &roll, &rules)?;
    let staged_rejects = match &rejects {
        Some(path) if !roll.faults.is_empty() => {
            Some(faults::write_rejects(path, &mut source, &roll)?)
        }
        _ => None,
    };
    let head = ManifestBody {
        tool: TOOL.to_owned(),
        scheme: hasher.scheme(),
        pepper: pepper.map(PepperMarks::new),
        date: args.date.clone(),
        parent: None,
        roll: roll.facts(file.sha256),
        laws: Vec::new(),
        shards: Vec::new(),
        changes: Vec::new(),
    };
    let folder = write::Folder {
        out: &args.out,
        format: args.format.into(),
        shard_size: args.shard_size as usize,
    };
    let (manifest, flush) = folder.write(head, &roll.laws, staged_rejects, threads)?;
    let rejects = rejects.filter(|_| !roll.faults.is_empty());
    let warnings = roll.warnings();
    warnings.iter().for_each(|warning| context.output.warning(warning));
    context.output.result(&Summary::new(args, &manifest, &roll, rejects, started.elapsed(), flush))
}

/// Refuses a requested law that has no good row (its id is probably misspelt), and a roll without a
/// good row (it would register no elector).
fn refuse_missing(name: &str, roll: &HashedRoll, rules: &RollRules) -> Result<(), CommandError> {
    let missing =
        rules.laws.iter().find(|law_id| roll.laws.iter().all(|law| law.law_id() != *law_id));
    match missing {
        Some(law_id) => {
            Err(CommandError::bad_input(format!("{name}: no valid row for the law {law_id}")))
        }
        None if roll.laws.is_empty() => {
            Err(CommandError::bad_input(format!("{name}: the roll has a header but no valid row")))
        }
        None => Ok(()),
    }
}

/// Summary of the run, and the next steps.
#[derive(Serialize)]
struct Summary {
    out: PathBuf,
    manifest_sha256: String,
    scheme: votekit_core::credential::HashScheme,
    laws: Vec<LawRow>,
    rows: u64,
    duplicates: u64,
    rejects: u64,
    ignored_rows_of_other_laws: u64,
    rejects_file: Option<PathBuf>,
    #[serde(serialize_with = "rules_as_json")]
    left_out_by_rule: Vec<RuleCount>,
    /// Length of the shortest code in characters.
    code_length_min: u32,
    #[serde(serialize_with = "warnings_as_json")]
    warnings: Vec<RollWarning>,
    elapsed_seconds: f64,
    /// Part of `elapsed_seconds` that the final flush to disk took.
    flush_seconds: f64,
    rows_per_second: u64,
}

impl Summary {
    fn new(
        args: &Args,
        manifest: &Manifest,
        roll: &HashedRoll,
        rejects: Option<PathBuf>,
        elapsed: Duration,
        flush: Duration,
    ) -> Self {
        let elapsed = elapsed.as_secs_f64();
        Self {
            out: args.out.clone(),
            manifest_sha256: manifest.digest().to_hex(),
            scheme: manifest.body().scheme,
            laws: manifest.body().laws.clone(),
            rows: roll.rows,
            duplicates: roll.duplicates,
            rejects: roll.rejects(),
            ignored_rows_of_other_laws: roll.ignored,
            rejects_file: rejects,
            left_out_by_rule: count_by_rule(&roll.faults),
            code_length_min: roll.code_length_min,
            warnings: roll.warnings(),
            elapsed_seconds: elapsed,
            flush_seconds: flush.as_secs_f64(),
            rows_per_second: (roll.rows as f64 / elapsed.max(1e-9)) as u64,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for law in &self.laws {
            let LawRow { law_id, registered, shards, .. } = law;
            writeln!(
                formatter,
                "{law_id}: {registered} registered, {shards} {}",
                plural(u64::from(*shards), "shard")
            )?;
        }
        if let Some(file) = &self.rejects_file {
            let left_out = faults::left_out(self.rejects, self.duplicates);
            writeln!(formatter, "skipped: {left_out}, listed in {}", file.display())?;
            for rule in &self.left_out_by_rule {
                writeln!(formatter, "  {}", RuleLine(rule))?;
            }
        }
        if (1..BINDING_CODE_LENGTH_MIN).contains(&self.code_length_min) {
            writeln!(
                formatter,
                "shortest code: {} characters; a binding election needs {BINDING_CODE_LENGTH_MIN}",
                self.code_length_min
            )?;
        }
        if self.ignored_rows_of_other_laws > 0 {
            writeln!(formatter, "ignored: {} rows of other laws", self.ignored_rows_of_other_laws)?;
        }
        let (rows, elapsed, flush) = (self.rows, self.elapsed_seconds, self.flush_seconds);
        writeln!(
            formatter,
            "{rows} rows in {elapsed:.1} s ({flush:.1} s of it for the disk), {} a second",
            self.rows_per_second
        )?;
        writeln!(formatter, "manifest: {}", self.manifest_sha256)?;
        let out = self.out.display();
        let keyed = self.scheme == HashScheme::HmacSha256;
        if !keyed {
            writeln!(formatter, "no pepper: for a trial only; a binding election needs one")?;
        }
        let pepper = if keyed { " --pepper-file PEPPER" } else { "" };
        writeln!(
            formatter,
            "next: note that number; verify the folder with 'votekit manifest verify \
             {out}{pepper}',\n      \
             sign it with 'votekit manifest sign {out} --key KEY', then hand it to the operators, \
             who load it\n      \
             with 'votekit load {out} --data DATA --log-base YOUR.NAME{pepper}'"
        )
    }
}

fn rules_as_json<S: Serializer>(rules: &[RuleCount], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(rules.iter().map(table_error::counted))
}

/// Serialises warnings with their stable codes.
fn warnings_as_json<S: Serializer>(
    warnings: &[RollWarning],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let described =
        |warning: &RollWarning| json!({ "code": warning.code(), "text": warning.to_string() });
    serializer.collect_seq(warnings.iter().map(described))
}
