//! Casts one vote, from the prompt or from standard input.

use std::fmt;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use reqwest::Method;
use serde::Serialize;
use votekit_core::credential::{AccessCode, Nas};
use votekit_core::id::ElectionId;
use votekit_messages::InWords;
use votekit_node::ElectionView;
use zeroize::Zeroizing;

use crate::atomic_output::{Secrecy, write_new};
use crate::ballot_call::{self, Ballot, VoteAnswer};
use crate::client::Client;
use crate::context::Context;
use crate::error::CommandError;
use crate::output::{plain, to_stderr};
use crate::prompt;

#[derive(Serialize)]
#[serde(transparent)]
struct Report(VoteAnswer);

pub(super) async fn run(
    client: &Client,
    law: Option<ElectionId>,
    receipt: Option<&Path>,
    wait_seconds: u64,
    context: &Context,
) -> Result<(), CommandError> {
    if let Some(path) = receipt.filter(|path| path.exists()) {
        return Err(CommandError::configuration(format!("{} already exists", path.display()))
            .hint("choose another file for the receipt: votekit never overwrites"));
    }
    let law = match law {
        Some(law) => law.to_string(),
        None => {
            prompt_for("Law", Shown::Yes, |law| law.parse::<ElectionId>().map(drop).map_err(wrong))?
                .to_string()
        }
    };
    let election: ElectionView =
        client.call(Method::GET, &format!("/api/v1/elections/{law}"), None::<&()>).await?;
    let (fr, en) = (plain(&election.title.fr), plain(&election.title.en));
    context.output.note(format_args!("{fr} / {en}"));
    for choice in &election.choices {
        let (id, fr, en) = (plain(&choice.id), plain(&choice.fr), plain(&choice.en));
        context.output.note(format_args!("  {id:<12} {fr} / {en}"));
    }
    let nas =
        prompt_for("NAS", Shown::Yes, |nas| Nas::parse(nas.as_bytes()).map(drop).map_err(wrong))?;
    let code = prompt_for("Access code", Shown::No, |code| {
        AccessCode::parse(code.as_bytes()).map(drop).map_err(wrong)
    })?;
    let vote = prompt_for("Vote", Shown::Yes, |vote| {
        let known: Vec<&str> = election.choices.iter().map(|choice| choice.id.as_str()).collect();
        let hint = || format!("choose one of: {}", plain(&known.join(", ")));
        if known.contains(&vote) {
            Ok(())
        } else {
            Err(CommandError::bad_input("the ballot has no such choice").hint(hint()))
        }
    })?;
    let ballot = Ballot { nas: &nas, code: &code, law_id: &law, vote: &vote };
    let answer =
        match ballot_call::cast(client, &ballot, &ballot_call::fresh_key()?, wait_seconds).await? {
            Ok(answer) => answer,
            Err(refused) => return Err(refused.refusal()),
        };
    let request = answer.request_id.clone();
    // Printed first: the outcome must be shown even if the receipt fails.
    context.output.result(&Report(answer))?;
    match receipt {
        None => Ok(()),
        Some(path) => write_receipt(client, &request, path).await.map_err(|error| {
            let hint = format!(
                "the vote is stored; get its receipt from /api/v1/vote/{request}/receipt of the \
                 node"
            );
            CommandError::new(error.kind, format!("cannot write the receipt: {error}")).hint(hint)
        }),
    }
}

async fn write_receipt(client: &Client, request: &str, path: &Path) -> Result<(), CommandError> {
    let proof =
        client.send(Method::GET, &format!("/api/v1/vote/{request}/receipt"), &[], None).await?;
    if proof.status != 200 {
        return Err(proof.refusal());
    }
    write_new(path, Secrecy::Private, &proof.body)
}

/// Whether the terminal echoes the input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Yes,
    No,
}

/// Prompts at the terminal until the answer satisfies the rule, or reads the next line of standard
/// input. A voter who mistypes is prompted again: the next input must not end up in the shell.
fn prompt_for(
    what: &str,
    shown: Shown,
    rule: impl Fn(&str) -> Result<(), CommandError>,
) -> Result<Zeroizing<String>, CommandError> {
    let is_terminal = io::stdin().is_terminal();
    loop {
        let line = read(what, is_terminal && shown == Shown::No, is_terminal)?;
        let Err(error) = rule(&line) else { return Ok(line) };
        if !is_terminal {
            return Err(error);
        }
        let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        to_stderr(&format!("{}{hint}\n", plain(&error.message)));
    }
}

fn wrong(error: impl InWords) -> CommandError {
    CommandError::bad_input(error.in_words())
}

/// Reads the next line, trimmed.
fn read(what: &str, hidden: bool, prompt: bool) -> Result<Zeroizing<String>, CommandError> {
    let failed = |error: io::Error| CommandError::bad_input(format!("cannot read {what}: {error}"));
    let ended = || {
        CommandError::bad_input(format!("{what} is missing: the input ended"))
            .hint("give the NAS, the access code and the vote, one per line")
    };
    if prompt {
        let mut stderr = io::stderr();
        write!(stderr, "{what}: ").and_then(|()| stderr.flush()).map_err(failed)?;
    }
    if hidden {
        return prompt::read_line().map_err(failed)?.ok_or_else(ended);
    }
    let mut line = Zeroizing::new(String::new());
    io::stdin().lock().read_line(&mut line).map_err(failed)?;
    if line.is_empty() {
        return Err(ended());
    }
    Ok(Zeroizing::new(line.trim().to_owned()))
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = &self.0;
        match answer.status.as_str() {
            "accepted" => writeln!(formatter, "Your vote is recorded and counts.")?,
            "duplicate" => writeln!(
                formatter,
                "This credential has voted before (attempt {}). The first vote counts; this one does not.",
                answer.attempt_count.unwrap_or(2)
            )?,
            "invalid" => writeln!(
                formatter,
                "This vote does not count: {}.",
                match answer.reason.as_deref() {
                    Some("unknown") =>
                        "no such credential is registered. Check the NAS and the access code",
                    Some("revoked") =>
                        "this access code was replaced. Use the code of the latest letter",
                    Some("early") => "the poll was not open yet",
                    Some("late") => "the poll was closed",
                    _ => "the node gave no reason",
                }
            )?,
            _ => writeln!(formatter, "Your vote is stored; it is not decided yet.")?,
        }
        writeln!(formatter, "request {}", plain(&answer.request_id))
    }
}
