//! `votekit hashgen --supplement-of`: late registrations and lost letters, as changes to a roll
//! that is already hashed.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use votekit_core::credential::{CredentialHasher, Pepper};
use votekit_core::id::Digest;
use votekit_core::manifest::{FileRow, LawRow, Manifest, ManifestBody, ManifestError, RollFacts};
use votekit_core::roll::parallel::ScopedThreads;
use votekit_core::roll::{
    GatheredRoll, HashedSupplement, RollRules, RollWarning, hash_supplement, short_codes,
};
use votekit_core::shard::Changes;
use votekit_messages::InWords as _;

use super::chain::{Chain, ReadRoll, read_manifest, read_roll};
use super::contradictions::{self, ChangeNames};
use super::{Args, TOOL, faults, read, write};
use crate::atomic_output::StagedFolder;
use crate::context::Context;
use crate::error::CommandError;

/// Makes a supplement.
pub(super) fn run(
    args: &Args,
    parent_path: &Path,
    pepper: Option<&Pepper>,
    context: &Context,
) -> Result<(), CommandError> {
    if args.add.is_none() && args.revoke.is_none() {
        return Err(CommandError::usage("a supplement needs --add FILE, --revoke FILE or both"));
    }
    let roll = args.parent_roll.as_deref().ok_or_else(|| {
        CommandError::usage("a supplement needs --roll ROLL.csv, the roll that it changes")
            .hint("the roll is needed to detect a second code for one elector")
    })?;
    let parent = read_manifest(parent_path)?;
    let hasher = parent.hasher(pepper).map_err(|error| pepper_error(&error))?;
    let threads = read::threads(args.threads);
    let add = read_changes(args, args.add.as_deref(), &hasher, threads)?;
    let revoke = read_changes(args, args.revoke.as_deref(), &hasher, threads)?;
    let chain = Chain::find(parent.clone(), parent_path, &args.prior_manifests)?;
    let before = chain.read_files(args, roll, &hasher, threads)?;
    let live = before.live(&add.rows, &revoke.rows)?;
    let mut warnings = code_warnings(&add.rows, before.roll());

    let names = ChangeNames { add: add.name, revoke: revoke.name };
    let hashed = hash_supplement(&live, add.rows, revoke.rows).map_err(|error| {
        let reason = error.in_words();
        CommandError::internal(format!("the changes would be inconsistent: {reason}"))
    })?;
    refuse_bad_rows(&names, &hashed)?;
    refuse_unknown_laws(chain.root(), &hashed)?;
    contradictions::refuse(&hashed.contradictions, &names, &before)?;
    warnings.extend(
        hashed.readmissions.iter().map(|found| contradictions::readmitted(found, &names, &before)),
    );

    let facts = RollFacts {
        sha256: RollFacts::supplement_digest(
            args.add.is_some().then_some(add.digest),
            args.revoke.is_some().then_some(revoke.digest),
        ),
        rows: hashed.add.rows + hashed.revoke.rows,
        duplicates: 0,
        rejects: 0,
        code_length_min: hashed.add.code_length_min,
    };
    let manifest = write_folder(args, &parent, facts, &hashed.changes)?;
    warnings.iter().for_each(|warning| context.output.warning(warning));
    let report = Report {
        out: args.out.clone(),
        manifest_sha256: manifest.digest(),
        parent_sha256: parent.digest(),
        laws: hashed.changes.iter().map(LawReport::new).collect(),
        warnings,
        pepper_file: args.pepper_file.clone(),
    };
    context.output.result(&report)
}

fn pepper_error(error: &ManifestError) -> CommandError {
    CommandError::bad_input(error.in_words()).hint(
        "a supplement is hashed under its parent's pepper: give the same --pepper-file, or none",
    )
}

fn read_changes(
    args: &Args,
    path: Option<&Path>,
    hasher: &CredentialHasher,
    threads: ScopedThreads,
) -> Result<ReadRoll, CommandError> {
    let Some(path) = path else { return Ok(ReadRoll::absent()) };
    let mut rules = RollRules::default();
    rules.check_digit = args.check_digit;
    read_roll(path, &rules, hasher, threads)
}

/// Warns of codes that are shorter than those of the roll.
fn code_warnings(add: &GatheredRoll, roll: &GatheredRoll) -> Vec<String> {
    let short = short_codes(add.code_lengths(), roll.code_lengths());
    short.iter().map(RollWarning::to_string).collect()
}

fn refuse_bad_rows(names: &ChangeNames, hashed: &HashedSupplement) -> Result<(), CommandError> {
    let (add, revoke) = (&names.add, &names.revoke);
    let rolls = [(add.as_str(), &hashed.add), (revoke.as_str(), &hashed.revoke)];
    faults::refuse_conflicts(&rolls)?;
    faults::refuse_faults(&rolls, "correct these rows")?;
    if hashed.changes.is_empty() {
        return Err(CommandError::bad_input("there is nothing to add or revoke"));
    }
    Ok(())
}

/// Refuses laws that the roll does not have.
fn refuse_unknown_laws(root: &Manifest, hashed: &HashedSupplement) -> Result<(), CommandError> {
    let unknown = hashed.changes.iter().find(|changes| root.law(changes.law_id()).is_none());
    let Some(changes) = unknown else { return Ok(()) };
    let law_id = changes.law_id();
    let error = CommandError::bad_input(format!(
        "the law {law_id} is not in the roll that this supplement belongs to"
    ));
    let same = |law: &&LawRow| law.law_id.as_str().eq_ignore_ascii_case(law_id.as_str());
    Err(match root.body().laws.iter().find(same) {
        Some(law) => error.hint(format!("the roll spells it {}", law.law_id)),
        None => error,
    })
}

fn write_folder(
    args: &Args,
    parent: &Manifest,
    roll: RollFacts,
    changes: &[Changes],
) -> Result<Manifest, CommandError> {
    let folder = StagedFolder::create(&args.out)?;
    let mut body = ManifestBody {
        tool: TOOL.to_owned(),
        scheme: parent.body().scheme,
        pepper: parent.body().pepper,
        date: args.date.clone(),
        parent: Some(parent.digest()),
        roll,
        laws: Vec::new(),
        shards: Vec::new(),
        changes: Vec::new(),
    };
    for changes in changes {
        let (law_id, bytes) = (changes.law_id().clone(), changes.encode());
        let (registered, revoked) = (changes.added_count(), changes.revoked_count());
        let file = Changes::file_name(&law_id);
        folder.write(&file, &bytes)?;
        let row = FileRow {
            file,
            law_id: law_id.clone(),
            shard: 1,
            count: registered + revoked,
            sha256: Digest::compute(&bytes),
        };
        body.changes.push(row);
        body.laws.push(LawRow { law_id, registered, shards: 0, revoked });
    }
    let manifest = write::finish_manifest(body)?;
    folder.write(Manifest::FILE_NAME, &manifest.encode())?;
    folder.commit()?;
    Ok(manifest)
}

#[derive(Serialize)]
struct Report {
    out: PathBuf,
    manifest_sha256: Digest,
    parent_sha256: Digest,
    laws: Vec<LawReport>,
    warnings: Vec<String>,
    /// The file of the pepper under which the supplement is hashed.
    #[serde(skip)]
    pepper_file: Option<PathBuf>,
}

#[derive(Serialize)]
struct LawReport {
    law_id: String,
    added: usize,
    revoked: usize,
    replaced: usize,
}

impl LawReport {
    fn new(changes: &Changes) -> Self {
        Self {
            law_id: changes.law_id().to_string(),
            added: changes.add().len(),
            revoked: changes.revoke().len(),
            replaced: changes.replace().len(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for LawReport { law_id, added, revoked, replaced } in &self.laws {
            writeln!(formatter, "{law_id}: {added} added, {revoked} revoked, {replaced} replaced")?;
        }
        writeln!(formatter, "manifest: {}", self.manifest_sha256)?;
        writeln!(
            formatter,
            "next: verify {0} with 'votekit manifest verify {0}{1}', sign it as the roll was \
             signed, then hand it to the\n      \
             operators, who load it with 'votekit load {0} --data DATA'",
            self.out.display(),
            match &self.pepper_file {
                Some(file) => format!(" --pepper-file {}", file.display()),
                None => String::new(),
            }
        )
    }
}
