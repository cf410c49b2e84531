//! Journals of the load client (`votekit-load/1`): the votes it sent and the answers it received.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{ReadError, read_text};

/// A parsed journal.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) path: PathBuf,
    /// Indexed by sequence number.
    pub(crate) votes: Vec<Vote>,
}

/// One vote with every answer and decision the journal has for it.
#[derive(Debug)]
pub(crate) struct Vote {
    /// The line of the `vote` record, from 1.
    pub(crate) line: usize,
    /// The row of the roll, from 1; `None` for a credential that is not in the roll.
    pub(crate) row: Option<u64>,
    pub(crate) choice: String,
    pub(crate) sendings: Vec<Sending>,
    /// Decisions reported to the voter: line, request id, decision.
    pub(crate) decisions: Vec<(usize, String, String)>,
}

/// The outcome of sending a vote once.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) line: usize,
    pub(crate) request: Option<String>,
    pub(crate) fate: Fate,
    /// Whether the request may have reached the node.
    pub(crate) left: bool,
}

/// The outcome of one sending, as the voter knows it. The order of the variants matters: the
/// greatest value takes precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// It was not sent, or the node reported that nothing was stored.
    NotStored,
    /// No answer, or an answer that does not show whether the vote is stored.
    Unknown,
    /// The node reported that it is stored.
    Durable,
}

impl Vote {
    /// The final outcome, as the voter knows it: the greatest outcome of its sendings. A vote
    /// without any outcome may have been sent.
    pub(crate) fn fate(&self) -> Fate {
        self.sendings.iter().map(|sending| sending.fate).max().unwrap_or(Fate::Unknown)
    }

    /// The request ids the node returned, each with its line.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (&str, usize)> {
        self.sendings.iter().filter_map(|sending| Some((sending.request.as_deref()?, sending.line)))
    }
}

/// Reads a journal. Ignores an incomplete last line.
pub(crate) fn read(path: &Path) -> Result<Journal, ReadError> {
    let text = read_text(path)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    let mut votes: Vec<Vote> = Vec::new();
    for (index, line_text) in whole.lines().enumerate() {
        let line = index + 1;
        let malformed = |problem: &str| ReadError::form(path, line, problem);
        let value: Value =
            serde_json::from_str(line_text).map_err(|error| malformed(&error.to_string()))?;
        let text_of = |name: &str| value[name].as_str().map(str::to_owned);
        let kind = value["line"].as_str().unwrap_or_default();
        if (kind == "start") != (line == 1) || (line == 1 && value["format"] != "votekit-load/1") {
            return Err(malformed(
                "expected one line of kind start, of the format votekit-load/1, at the beginning",
            ));
        }
        let known = value["seq"].as_u64().and_then(|seq| usize::try_from(seq).ok());
        match kind {
            "start" | "end" => {}
            "vote" => {
                if known != Some(votes.len()) {
                    return Err(malformed("votes are numbered from 0 without a gap"));
                }
                let choice = text_of("choice").ok_or_else(|| malformed("a vote has a choice"))?;
                let row = value["row"].as_u64();
                if row.is_none() != (value["kind"] == "unknown") {
                    return Err(malformed(
                        "a vote has a row of the roll unless its credential is invented",
                    ));
                }
                votes.push(Vote { line, row, choice, sendings: Vec::new(), decisions: Vec::new() });
            }
            "outcome" | "decision" => {
                let vote = known
                    .and_then(|seq| votes.get_mut(seq))
                    .ok_or_else(|| malformed("no such vote was announced"))?;
                let (request, state) = (text_of("request_id"), text_of("state"));
                if let (Some(request), Some(state)) =
                    (&request, state.filter(|state| state != "pending"))
                {
                    vote.decisions.push((line, request.clone(), state));
                }
                if kind == "outcome" {
                    let left = value["error"] != "connect" && value["error"] != "unsent";
                    vote.sendings.push(Sending { line, request, fate: fate(&value), left });
                }
            }
            _ => return Err(malformed("a line of an unknown kind")),
        }
    }
    Ok(Journal { path: path.to_owned(), votes })
}

fn fate(outcome: &Value) -> Fate {
    match outcome["status"].as_u64() {
        Some(200 | 202) if outcome["request_id"].is_string() => Fate::Durable,
        Some(503) if outcome["code"] == "busy" || outcome["code"] == "unavailable" => {
            Fate::NotStored
        }
        Some(400 | 404 | 409 | 413 | 415 | 429) => Fate::NotStored,
        Some(_) => Fate::Unknown,
        // The client reports these as never sent to the node.
        None if outcome["error"] == "connect" || outcome["error"] == "unsent" => Fate::NotStored,
        None => Fate::Unknown,
    }
}
