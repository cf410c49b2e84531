//! `votekit hashgen --supplement-of`: late registrations and lost letters, as changes to a roll
//! that is already hashed.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use votekit_core::credential::{CredentialHasher, Pepper};
use votekit_core::id::Digest;
use votekit_core::manifest::{FileRow, LawRow, Manifest, ManifestBody, ManifestError, RollFacts};
use votekit_core::roll::{GatheredRoll, HashedSupplement, RollRules, hash_supplement};
use votekit_core::shard::Changes;

use super::{Args, TOOL, faults, read, write};
use crate::atomic_output::StagedFolder;
use crate::context::Context;
use crate::error::CommandError;

/// Makes a supplement.
pub(super) fn run(
    args: &Args,
    parent: &Path,
    pepper: Option<&Pepper>,
    context: &Context,
) -> Result<(), CommandError> {
    if args.add.is_none() && args.revoke.is_none() {
        return Err(CommandError::usage("a supplement needs --add FILE, --revoke FILE or both"));
    }
    let parent = read_manifest(parent)?;
    let hasher = parent.hasher(pepper).map_err(|error| pepper_error(&error))?;
    let (add, add_digest) = read_changes(args, args.add.as_deref(), &hasher)?;
    let (revoke, revoke_digest) = read_changes(args, args.revoke.as_deref(), &hasher)?;
    let hashed = hash_supplement(add, revoke).map_err(|error| {
        CommandError::internal(format!("the changes would be inconsistent: {error}"))
    })?;
    refuse_bad_rows(args, &hashed)?;
    refuse_unknown_laws(&parent, &hashed)?;

    let facts = RollFacts {
        sha256: RollFacts::supplement_digest(add_digest, revoke_digest),
        rows: hashed.add.rows + hashed.revoke.rows,
        duplicates: 0,
        rejects: 0,
        code_length_min: hashed.add.code_length_min,
    };
    let manifest = write_folder(args, &parent, facts, &hashed.changes)?;
    let report = Report {
        out: args.out.clone(),
        manifest_sha256: manifest.digest(),
        parent_sha256: parent.digest(),
        laws: hashed.changes.iter().map(LawReport::new).collect(),
    };
    context.output.result(&report)
}

/// Reads a manifest, given itself or its folder.
fn read_manifest(path: &Path) -> Result<Manifest, CommandError> {
    let path = if path.is_dir() { path.join(Manifest::FILE_NAME) } else { path.to_owned() };
    let bytes = fs::read(&path).map_err(|error| CommandError::reading(&path, &error))?;
    Manifest::parse(&bytes)
        .map_err(|error| CommandError::bad_input(format!("{}: {error}", path.display())))
}

fn pepper_error(error: &ManifestError) -> CommandError {
    CommandError::bad_input(error.to_string()).hint(
        "a supplement is hashed as its parent is: give --pepper-file the same pepper, or none",
    )
}

fn read_changes(
    args: &Args,
    path: Option<&Path>,
    hasher: &CredentialHasher,
) -> Result<(GatheredRoll, Option<Digest>), CommandError> {
    let Some(path) = path else { return Ok((GatheredRoll::default(), None)) };
    let rules = RollRules { check_digit: args.check_digit, ..RollRules::default() };
    let mut source = read::Source::open(path, false)?;
    let (hashes, digest) = read::hash(&mut source, &rules, hasher, &read::pool(args.threads)?)?;
    Ok((hashes, Some(digest)))
}

fn refuse_bad_rows(args: &Args, hashed: &HashedSupplement) -> Result<(), CommandError> {
    let name = |path: &Option<PathBuf>| {
        path.as_ref().map_or_else(String::new, |path| path.display().to_string())
    };
    let (add, revoke) = (name(&args.add), name(&args.revoke));
    faults::refuse_conflicts(&add, &hashed.add)?;
    faults::refuse_conflicts(&revoke, &hashed.revoke)?;
    faults::refuse_faults(&[(&add, &hashed.add), (&revoke, &hashed.revoke)], "mend these rows")?;
    match hashed.unchanged.first() {
        None if hashed.changes.is_empty() => Err(CommandError::bad_input("there is nothing to add or revoke")),
        None => Ok(()),
        Some(same) => Err(CommandError::bad_input(format!(
            "{add} line {} adds what {revoke} line {} revokes: the same elector, law {} and code",
            same.first_line, same.line, same.law_id
        ))
        .hint("a replacement has the new code in the file of additions and the old one in the file of revocations")),
    }
}

/// The laws of a roll are known; those of a supplement's supplement are only known to the node that
/// loads it.
fn refuse_unknown_laws(parent: &Manifest, hashed: &HashedSupplement) -> Result<(), CommandError> {
    let unknown = hashed.changes.iter().find(|changes| parent.law(changes.law_id()).is_none());
    match unknown {
        Some(changes) if !parent.is_supplement() => Err(CommandError::bad_input(format!(
            "the law {} is not in the roll that this supplement belongs to",
            changes.law_id()
        ))),
        _ => Ok(()),
    }
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
            sha256: Digest::of(&bytes),
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
            "next: hand {} to the operators, who load it with 'votekit load'",
            self.out.display()
        )
    }
}
