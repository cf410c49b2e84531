//! `votekit manifest verify`: recomputes every digest and count, and verifies signatures.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;
use votekit_core::bundle::is_system_file;
use votekit_core::log::note::{Note, VerifierKey};
use votekit_core::manifest::{FileRow, LawRow, Manifest};
use votekit_messages::InWords as _;

use crate::argument;
use crate::bundle_folder::warn_of_system_files;
use crate::commands::pepper;
use crate::context::Context;
use crate::error::CommandError;
use crate::output::plain;
use crate::progress;

/// Verify a hashed roll: every file, every count, and the officials' signatures
///
/// Every file that the manifest lists is read again in full. All faults are listed, not only the
/// first. Without --vkey, signatures are not checked.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit manifest verify hashes
  votekit manifest verify hashes --vkey 'elections.example/marie+0f1e2d3c+AQ…' --pepper-file referendum.pepper")]
pub(super) struct Args {
    /// Folder made by 'votekit hashgen'
    dir: PathBuf,

    /// Verifier key of an official who must have signed; may be repeated
    #[arg(
        long = "vkey", value_name = "VKEY",
        value_parser = argument::parse::<VerifierKey>
    )]
    vkeys: Vec<VerifierKey>,

    /// Also check that the roll was hashed under this pepper
    #[arg(long, value_name = "F")]
    pepper_file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    manifest_sha256: String,
    laws: Vec<LawRow>,
    files: usize,
    /// Names whose signatures were checked.
    signed_by: Vec<String>,
    /// Names on signatures that were not checked, because their key was not given.
    unchecked_signatures: Vec<String>,
    /// Whether a pepper was given and matched.
    pepper_checked: bool,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for LawRow { law_id, registered, revoked, .. } in &self.laws {
            match revoked {
                0 => writeln!(formatter, "{law_id}: {registered} registered")?,
                _ => writeln!(formatter, "{law_id}: {registered} added, {revoked} revoked")?,
            }
        }
        writeln!(formatter, "files: {}, all as the manifest states", self.files)?;
        for name in &self.signed_by {
            writeln!(formatter, "signed by {name}: checked")?;
        }
        for name in &self.unchecked_signatures {
            let name = plain(name);
            writeln!(formatter, "signature of {name}: NOT checked (give the key with --vkey)")?;
        }
        if self.signed_by.is_empty() && self.unchecked_signatures.is_empty() {
            writeln!(formatter, "signatures: none")?;
        }
        if self.pepper_checked {
            writeln!(formatter, "pepper: the one given is the right one")?;
        }
        writeln!(formatter, "manifest: {}", self.manifest_sha256)
    }
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let mut folder = Folder::read(&args.dir)?;
    if let Some(path) = &args.pepper_file {
        let pepper = pepper::read(path, context)?;
        folder
            .findings
            .extend(folder.manifest.hasher(Some(&pepper)).err().map(|error| error.in_words()));
    }
    folder.check_signatures(&args.vkeys)?;
    folder.refuse_findings()?;
    warn_of_system_files(context, &folder.system_files);
    let body = folder.manifest.body();
    context.output.result(&Report {
        manifest_sha256: folder.manifest.digest().to_hex(),
        laws: body.laws.clone(),
        files: body.shards.len() + body.changes.len(),
        signed_by: args.vkeys.iter().map(|key| key.name().to_string()).collect(),
        unchecked_signatures: folder.other_signatures(&args.vkeys)?,
        pepper_checked: args.pepper_file.is_some(),
    })
}

/// A folder that was read in full, with all its faults.
pub(super) struct Folder {
    pub(super) manifest: Manifest,
    path: PathBuf,
    findings: Vec<String>,
    system_files: Vec<String>,
}

impl Folder {
    /// Reads the manifest and compares every file with it.
    pub(super) fn read(path: &Path) -> Result<Self, CommandError> {
        let manifest_path = path.join(Manifest::FILE_NAME);
        let bytes = fs::read(&manifest_path)
            .map_err(|error| CommandError::reading(&manifest_path, &error))?;
        let manifest = Manifest::parse(&bytes).map_err(|error| {
            let words = error.in_words();
            CommandError::verification_failed(format!("{}: {words}", manifest_path.display()))
        })?;
        let rows: Vec<&FileRow> =
            manifest.body().shards.iter().chain(&manifest.body().changes).collect();
        let bar = progress::count("Checking files", Some(rows.len() as u64));
        let check = |row: &&FileRow| {
            let checked = check_file(path, &manifest, row);
            bar.inc(1);
            checked.err()
        };
        let mut findings: Vec<String> = rows.par_iter().filter_map(check).collect();
        bar.finish_and_clear();
        let (system_files, unlisted): (Vec<String>, Vec<String>) =
            unlisted(path, &rows)?.into_iter().partition(|name| is_system_file(name));
        let missing = |name: &String| format!("{} is not in the manifest", plain(name));
        findings.extend(unlisted.iter().map(missing));
        Ok(Self { path: path.to_owned(), findings, system_files, manifest })
    }

    /// Returns the names on the signatures of this manifest that none of the keys made. Fails if
    /// the note is not of this manifest.
    fn other_signatures(&self, keys: &[VerifierKey]) -> Result<Vec<String>, CommandError> {
        let path = self.path.join(Manifest::NOTE_FILE_NAME);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(|error| CommandError::reading(&path, &error))?,
        };
        let note = Note::parse(&bytes).ok().filter(|note| note.text() == self.manifest.note_text());
        let Some(note) = note else {
            return Err(CommandError::verification_failed(format!(
                "{} does not sign this manifest",
                path.display()
            )));
        };
        let names = note.signatures().iter().map(|signature| signature.name().to_string());
        Ok(names.filter(|name| keys.iter().all(|key| key.name().as_str() != name)).collect())
    }

    /// Adds a finding for every key that has not signed.
    fn check_signatures(&mut self, keys: &[VerifierKey]) -> Result<(), CommandError> {
        if keys.is_empty() {
            return Ok(());
        }
        let path = self.path.join(Manifest::NOTE_FILE_NAME);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(|error| CommandError::reading(&path, &error))?,
        };
        if bytes.is_empty() {
            self.findings.push(format!(
                "{} is missing: the manifest is not signed",
                Manifest::NOTE_FILE_NAME
            ));
            return Ok(());
        }
        self.findings.extend(check_note(&bytes, &self.manifest.note_text(), keys));
        Ok(())
    }

    /// Fails with all findings, if there are any.
    pub(super) fn refuse_findings(&self) -> Result<(), CommandError> {
        if self.findings.is_empty() {
            return Ok(());
        }
        let list: String = self.findings.iter().map(|finding| format!("\n  {finding}")).collect();
        Err(CommandError::verification_failed(format!(
            "{} does not verify:{list}",
            self.path.display()
        ))
        .hint("do not load it; get the folder again from the official who made it")
        .details(json!({ "findings": self.findings })))
    }
}

fn check_file(folder: &Path, manifest: &Manifest, row: &FileRow) -> Result<(), String> {
    let bytes = fs::read(folder.join(&row.file))
        .map_err(|error| CommandError::reading(row.file.as_ref(), &error).message)?;
    let checked = if manifest.is_supplement() {
        manifest.read_changes(row, &bytes).map(drop)
    } else {
        manifest.read_shard(row, &bytes).map(drop)
    };
    checked.map_err(|error| error.in_words())
}

/// Returns the files that the manifest does not list: someone added them.
fn unlisted(folder: &Path, rows: &[&FileRow]) -> Result<Vec<String>, CommandError> {
    let mut listed: BTreeSet<&str> = rows.iter().map(|row| row.file.as_str()).collect();
    listed.extend([Manifest::FILE_NAME, Manifest::NOTE_FILE_NAME]);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| CommandError::reading(folder, &error))? {
        let name = entry.map_err(|error| CommandError::reading(folder, &error))?.file_name();
        match name.to_str() {
            Some(name) if listed.contains(name) => {}
            _ => names.push(name.to_string_lossy().into_owned()),
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn check_note(bytes: &[u8], text: &str, keys: &[VerifierKey]) -> Vec<String> {
    let note = match Note::parse(bytes) {
        Ok(note) if note.text() == text => note,
        Ok(_) => return vec![format!("{} signs another manifest", Manifest::NOTE_FILE_NAME)],
        Err(error) => {
            return vec![format!("{}: {}", Manifest::NOTE_FILE_NAME, error.in_words())];
        }
    };
    keys.iter()
        .filter_map(|key| {
            note.verify(std::slice::from_ref(key))
                .err()
                .map(|error| format!("{}: {}", key.name(), error.in_words()))
        })
        .collect()
}
