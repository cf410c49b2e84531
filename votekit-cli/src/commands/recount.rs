//! `votekit recount`: the evidence, decrypted and counted again by code that shares nothing with the tally.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::CommandError;
use crate::progress;
use crate::recount::{BatchName, Recount, recount};

/// Decrypt the evidence and count it again, by code that shares nothing with the tally
///
/// Needs the secret ballot key: for the electoral authority, or a judge it trusts. The log itself is checked by `votekit verify bundle`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit recount --bundle L2025-001/ --evidence batches/ --ballot-key ballot.key

Exit codes: 0 the published totals are confirmed; 3 something cannot be read; 5 something does not agree.")]
pub(crate) struct Args {
    /// The bundle's folder
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,

    /// The folder with every batch, each in a file <node>.<epoch>.<sequence>.batch
    #[arg(long, value_name = "DIR")]
    evidence: PathBuf,

    /// The file with the election's secret ballot key: one line, `votekit-ballot-key/1 ` and 64 hexadecimal digits
    #[arg(long, value_name = "FILE")]
    ballot_key: PathBuf,
}

/// Counts again and compares.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let key = read_ballot_key(&args.ballot_key)?;
    let leaves = args.bundle.join("leaves.jsonl");
    let file = File::open(&leaves).map_err(|error| CommandError::reading(&leaves, &error))?;
    let bar = progress::bytes("recounting", file.metadata().ok().map(|metadata| metadata.len()));
    let evidence = |name: &BatchName| read_batch(&args.evidence, name);
    let found = recount(BufReader::with_capacity(1 << 20, bar.wrap_read(file)), evidence, &key);
    bar.finish_and_clear();
    let found = found.map_err(|error| CommandError::reading(&args.evidence, &error))?;
    report(&found, context)
}

/// Prints what was counted; an error unless the published totals are confirmed.
///
/// # Errors
/// When something does not agree.
pub(crate) fn report(found: &Recount, context: &Context) -> Result<(), CommandError> {
    context.output.result(found)?;
    match found.differences.len() {
        0 => Ok(()),
        count => Err(CommandError::verification_failed(format!("the recount does not confirm the log: {count} differences"))),
    }
}

fn read_ballot_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, CommandError> {
    let text = fs::read_to_string(path).map_err(|error| CommandError::reading(path, &error))?;
    let text = Zeroizing::new(text);
    let mut key = Zeroizing::new([0; 32]);
    let digits = text.trim_ascii_end().strip_prefix("votekit-ballot-key/1 ").unwrap_or_default();
    const_hex::decode_to_slice(digits, key.as_mut_slice())
        .map_err(|_| CommandError::bad_input(format!("{} is no ballot key", path.display())))?;
    Ok(key)
}

fn read_batch(folder: &Path, name: &BatchName) -> io::Result<Option<Vec<u8>>> {
    // The node comes out of a file: only its own form may enter a path.
    if name.node.len() != 16 || !name.node.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    match fs::read(folder.join(format!("{}.{}.{}.batch", name.node, name.epoch, name.sequence))) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl fmt::Display for Recount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "recount of {}: {} batches, {} envelopes, {} accepted", self.law_id, self.batches, self.envelopes, self.accepted)?;
        for (choice, count) in &self.choices {
            writeln!(out, "{count:>12}  {choice}")?;
        }
        writeln!(out, "{:>12}  spoiled", self.spoiled)?;
        for difference in &self.differences {
            writeln!(out, "  {difference}")?;
        }
        match (&self.published, self.differences.is_empty()) {
            (Some(_), true) => write!(out, "CONFIRMED: the evidence gives the totals that the log opens"),
            (None, true) => write!(out, "COUNTED: the log opens no totals yet to compare with"),
            (_, false) => write!(out, "NOT CONFIRMED: see the differences above"),
        }
    }
}
