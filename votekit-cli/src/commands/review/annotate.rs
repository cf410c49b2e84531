//! `votekit review annotate`.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use votekit_core::id::RequestId;
use votekit_core::instant::UnixSeconds;
use votekit_store::embedded::EmbeddedLedger;
use votekit_store::{Documents, ReviewNote};

use super::case;
use crate::admin_target;
use crate::argument;
use crate::context::Context;
use crate::error::CommandError;
use crate::log_source::ArchiveArgs;

/// Add a remark to a decided request
///
/// The remark is stored in the ledger, outside the log, with the time; it changes no decision and
/// is not part of what is published. Without --ledger, the node of the data folder must be stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  votekit review annotate 0c6f3a1d9b8e47f2a5d0c3b6e9f81724 --by 'M. Roy' --text 'letter returned, new code sent' --data node/")]
pub(super) struct Args {
    /// Request
    #[arg(value_parser = argument::parse::<RequestId>)]
    request: RequestId,

    /// Name of the reviewer, at most 200 bytes
    #[arg(long, value_name = "NAME")]
    by: String,

    /// Remark, at most 2000 bytes, without NAS, access code or name of an elector
    #[arg(long, value_name = "TEXT")]
    text: String,

    #[command(flatten)]
    source: ArchiveArgs,
}

#[derive(Serialize)]
struct Kept {
    request: String,
    at: String,
    by: String,
    text: String,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let note = ReviewNote {
        request: args.request,
        at: UnixSeconds(now),
        by: args.by.clone(),
        text: args.text.clone(),
    };
    if let Some(rule) = note.broken_rule() {
        return Err(CommandError::bad_input(rule));
    }
    if holds_nas(&args.by) || holds_nas(&args.text) {
        return Err(CommandError::bad_input("the remark contains nine digits, like a NAS")
            .hint("name the request only: a remark must not identify an elector"));
    }
    let (archive, law_id) = args.source.open()?;
    case::find(&archive, &law_id, args.request)?
        .ok_or_else(|| case::unknown(&law_id, args.request))?;
    drop(archive);
    admin_target::run(async {
        #[cfg(feature = "services")]
        if let Some(address) = args.source.ledger.address()? {
            let ledger = votekit_store::services::postgres::PostgresLedger::open(&address).await?;
            return Ok(ledger.add_review_note(&law_id, &note).await?);
        }
        let ledger = EmbeddedLedger::open(&args.source.data).map_err(|error| {
            CommandError::from(error).hint("if a node is running on the data folder, stop it first")
        })?;
        Ok(ledger.add_review_note(&law_id, &note).await?)
    })?;
    context.output.result(&Kept {
        request: note.request.to_hex(),
        at: note.at.to_rfc3339(),
        by: note.by,
        text: note.text,
    })
}

/// Whether a text has nine digits in a row, optionally separated by single spaces or hyphens.
fn holds_nas(text: &str) -> bool {
    let mut digits = 0;
    let mut gap = false;
    for character in text.chars() {
        match character {
            '0'..='9' => {
                digits += 1;
                gap = false;
            }
            ' ' | '-' if digits > 0 && !gap => gap = true,
            _ => (digits, gap) = (0, false),
        }
        if digits == 9 {
            return true;
        }
    }
    false
}

impl fmt::Display for Kept {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "kept: {} {} {}: {}", self.request, self.at, self.by, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::holds_nas;

    #[test]
    fn texts_that_may_contain_a_nas_are_detected() {
        for text in ["123456789", "NAS 123 456 789.", "123-456-789", "x123456789y"] {
            assert!(holds_nas(text), "{text}");
        }
        for text in ["", "12345678", "2026-11-21 at 8:00", "12  345 678 9", "1234-5678"] {
            assert!(!holds_nas(text), "{text}");
        }
    }
}
