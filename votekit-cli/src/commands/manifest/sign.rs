//! `votekit manifest sign`.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use votekit_core::log::note::{KeyName, Note, Signature};
use votekit_core::manifest::Manifest;
use votekit_messages::InWords as _;

use super::{key, verify};
use crate::argument;
use crate::atomic_output::replace;
use crate::context::Context;
use crate::error::CommandError;

/// Sign the manifest of a hashed roll
///
/// The whole folder is verified first, as by 'votekit manifest verify'. The signature is added to
/// manifest.note; officials sign one after the other.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit manifest sign hashes --key marie.key")]
pub(super) struct Args {
    /// Folder made by 'votekit hashgen'
    dir: PathBuf,

    /// Your key, made by 'votekit manifest keygen'
    #[arg(long, value_name = "FILE")]
    key: PathBuf,

    /// Refuse to sign unless the key has this name
    #[arg(long, value_parser = argument::parse::<KeyName>)]
    name: Option<KeyName>,
}

#[derive(Serialize)]
struct Report {
    manifest_sha256: String,
    signed_by: String,
    signatures: usize,
    note: PathBuf,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "manifest: {}", self.manifest_sha256)?;
        writeln!(
            formatter,
            "signed by {}, {} in {}",
            self.signed_by,
            self.signatures,
            self.note.display()
        )
    }
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let key = key::read(&args.key, context)?;
    let name = key.verifier().name().clone();
    if args.name.as_ref().is_some_and(|asked| *asked != name) {
        return Err(CommandError::bad_input(format!(
            "{} is the key of {name}",
            args.key.display()
        )));
    }
    let folder = verify::Folder::read(&args.dir)?;
    folder.refuse_findings()?;
    let text = folder.manifest.note_text();
    let path = args.dir.join(Manifest::NOTE_FILE_NAME);
    let mut signatures = earlier_signatures(&path, &text)?;
    if signatures.iter().any(|signature| key.verifier().is_named_by(signature)) {
        return Err(CommandError::bad_input(format!(
            "{} is already signed by {name}",
            path.display()
        )));
    }
    signatures.push(key.sign(&text));
    let count = signatures.len();
    let note =
        Note::new(text, signatures).map_err(|error| CommandError::internal(error.in_words()))?;
    replace(&path, note.to_string().as_bytes())?;
    context.output.result(&Report {
        manifest_sha256: folder.manifest.digest().to_hex(),
        signed_by: name.to_string(),
        signatures: count,
        note: path,
    })
}

/// Returns the existing signatures, which must be on this same manifest.
fn earlier_signatures(path: &Path, text: &str) -> Result<Vec<Signature>, CommandError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(CommandError::reading(path, &error)),
    };
    let note = Note::parse(&bytes).map_err(|error| {
        CommandError::bad_input(format!("{}: {}", path.display(), error.in_words()))
    })?;
    if note.text() != text {
        return Err(CommandError::bad_input(format!("{} signs another manifest", path.display()))
            .hint(
                "the manifest was changed after it was signed: remove the note, and have the \
                 manifest signed again",
            ));
    }
    Ok(note.signatures().to_vec())
}
