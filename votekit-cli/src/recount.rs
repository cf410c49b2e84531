//! The recount: decrypts the evidence and counts it again, by code that shares nothing with the
//! tally.
//!
//! It parses leaves and batches with its own code, following `docs/formats.md`, uses the `hpke`
//! crate directly, and counts into a plain list. It uses no decision, tally, batch, registry or
//! commitment of the core: if one of them has a bug, the recount does not have the same bug.
//!
//! For each batch of the log it reads the batch's bytes and compares their digest. Leaf i after the
//! batch must be about envelope i. It opens the sealed choices, makes every decision again, and
//! counts the choices of accepted entries. Totals are compared where the log opens them. Without
//! the rolls that the log names it cannot know who was registered, and trusts the log for that.

mod batch;
mod line;
mod rolls;
mod decisions;

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use batch::EvidenceBatch;
use decisions::Decisions;
use line::{Line, LogDecision, LogDefinition, LogOutcome};
use rolls::Rolls;
use serde::Serialize;

pub(crate) use rolls::{RollRows, shorten};

/// The number of a batch, as the log writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct BatchName {
    /// 16 hexadecimal digits.
    pub(crate) node: String,
    pub(crate) epoch: u32,
    pub(crate) sequence: u64,
}

/// Result of the recount.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Recount {
    /// Id of the law, from the log.
    pub(crate) law_id: String,
    /// Batches decrypted.
    pub(crate) batches: u64,
    /// Envelopes in them.
    pub(crate) envelopes: u64,
    /// Votes that the log accepted.
    pub(crate) accepted: u64,
    /// Choices with their counts.
    pub(crate) choices: Vec<(String, u64)>,
    /// Accepted votes whose choice cannot be read.
    pub(crate) spoiled: u64,
    /// Latest totals opened in the log: the choices, then spoiled votes.
    pub(crate) published: Option<Vec<u64>>,
    /// Whether all rolls were available, so that each credential was looked up in them.
    pub(crate) rolls_checked: bool,
    /// All differences; empty if the published totals are confirmed.
    pub(crate) differences: Vec<Difference>,
}

/// A difference between the log and the evidence.
#[derive(Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(crate) enum Difference {
    /// The evidence lacks a batch that the log names.
    #[error("line {line}: batch {node}/{epoch}/{sequence} is missing from the evidence")]
    Missing { line: u64, node: String, epoch: u32, sequence: u64 },
    /// The evidence of a batch differs from the batch that the log names.
    #[error("line {line}: the evidence of batch {node}/{epoch}/{sequence} {what}")]
    Batch { line: u64, node: String, epoch: u32, sequence: u64, what: String },
    /// A line of the log cannot be read, or is not in order.
    #[error("line {line}: {what}")]
    Log { line: u64, what: String },
    /// A leaf is not about the envelope at its position.
    #[error("line {line}: the leaf does not decide envelope {envelope} of its batch")]
    Entry { line: u64, envelope: usize },
    /// A batch has more or fewer leaves than envelopes.
    #[error("line {line}: the batch has {leaves} leaves for {envelopes} envelopes")]
    Count { line: u64, leaves: usize, envelopes: usize },
    /// A decision does not follow from the envelopes.
    #[error("line {line}: {what}")]
    Decision { line: u64, what: String },
    /// The totals of the log differ from the count.
    #[error("line {line}: the log opens {published:?}, the evidence counts {counted:?}")]
    Totals { line: u64, published: Vec<u64>, counted: Vec<u64> },
}

impl Difference {
    /// The line of the log.
    fn line(&self) -> u64 {
        match self {
            Self::Missing { line, .. }
            | Self::Batch { line, .. }
            | Self::Log { line, .. }
            | Self::Entry { line, .. }
            | Self::Count { line, .. }
            | Self::Decision { line, .. }
            | Self::Totals { line, .. } => *line,
        }
    }
}

/// Other data that a recount reads with the log.
pub(crate) trait Evidence {
    /// Returns the bytes of a batch, or `None` if it has been lost.
    fn batch(&self, name: &BatchName) -> io::Result<Option<Vec<u8>>>;

    /// Returns the rows for this election of the roll or supplement whose manifest has this digest,
    /// or `None` if they are not available.
    fn roll(&self, manifest: &[u8; 32]) -> io::Result<Option<RollRows>>;
}

/// Counts again: `leaves` is the log, one leaf per line.
///
/// # Errors
/// When the log or the evidence cannot be read. Differences are in [`Recount::differences`].
pub(crate) fn recount(
    mut leaves: impl BufRead,
    evidence: &impl Evidence,
    ballot_key: &[u8; 32],
) -> io::Result<Recount> {
    let mut counting = Counting::new(ballot_key);
    let mut text = Vec::new();
    let mut number = 0;
    loop {
        text.clear();
        if leaves.read_until(b'\n', &mut text)? == 0 {
            break;
        }
        number += 1;
        counting.take_line(number, text.trim_ascii_end(), evidence)?;
    }
    counting.count_batch(evidence)?;
    Ok(counting.finish())
}

/// A batch of the log whose leaves are being read.
struct Open {
    line: u64,
    name: BatchName,
    digest: String,
    count: u64,
    outcomes: Vec<(u64, LogOutcome)>,
}

struct Counting<'a> {
    ballot_key: &'a [u8; 32],
    definition: Option<LogDefinition>,
    /// First minute whose votes count, and first minute whose votes no longer count.
    opens: Option<u64>,
    closes: Option<u64>,
    rolls: Rolls,
    decisions: Decisions,
    open: Option<Open>,
    /// Counts of the choices, then of spoiled votes.
    counts: Vec<u64>,
    height: u64,
    /// Counts after each block since the last totals.
    history: BTreeMap<u64, Vec<u64>>,
    found: Recount,
}

impl<'a> Counting<'a> {
    fn new(ballot_key: &'a [u8; 32]) -> Self {
        Self {
            ballot_key,
            definition: None,
            opens: None,
            closes: None,
            rolls: Rolls::default(),
            decisions: Decisions::default(),
            open: None,
            counts: Vec::new(),
            height: 0,
            history: BTreeMap::new(),
            found: Recount::default(),
        }
    }

    fn take_line(&mut self, number: u64, text: &[u8], evidence: &impl Evidence) -> io::Result<()> {
        let line = match Line::read(text) {
            Ok(line) => line,
            Err(what) => {
                self.found.differences.push(Difference::Log { line: number, what });
                return Ok(());
            }
        };
        if let Line::Outcome(outcome) = line {
            match &mut self.open {
                Some(open) => open.outcomes.push((number, outcome)),
                None => self.found.differences.push(Difference::Log {
                    line: number,
                    what: "an entry of no batch".to_owned(),
                }),
            }
            return Ok(());
        }
        self.count_batch(evidence)?;
        match line {
            Line::Opening { opens } => self.opens = Some(opens),
            Line::Closing { closes } => self.closes = Some(closes),
            Line::Definition(definition) => {
                self.closes = definition.closes;
                self.counts = vec![0; definition.choices.len() + 1];
                self.found.law_id.clone_from(&definition.law_id);
                self.definition = Some(definition);
            }
            Line::Roll { manifest, is_root, is_keyed } => {
                let rows = evidence.roll(&manifest)?;
                let line = u32::try_from(number).unwrap_or(u32::MAX);
                self.rolls.load(line, is_root, is_keyed, rows);
            }
            Line::Batch { name, count, digest } => {
                self.open = Some(Open { line: number, name, digest, count, outcomes: Vec::new() });
            }
            Line::Totals { through, values } => self.compare(number, through, values),
            Line::Block { height } => {
                self.height = height;
                self.history.insert(height, self.counts.clone());
            }
            Line::Outcome(_) | Line::Other => {}
        }
        Ok(())
    }

    /// Decrypts and counts the batch whose leaves have all been read.
    fn count_batch(&mut self, evidence: &impl Evidence) -> io::Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let is_accepted =
            |outcome: &&(u64, LogOutcome)| outcome.1.decision == LogDecision::Accepted;
        self.found.accepted += open.outcomes.iter().filter(is_accepted).count() as u64;
        let damaged = |what: String| {
            let BatchName { node, epoch, sequence } = open.name.clone();
            Difference::Batch { line: open.line, node, epoch, sequence, what }
        };
        let bytes = match evidence.batch(&open.name) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                let BatchName { node, epoch, sequence } = open.name;
                self.found.differences.push(Difference::Missing {
                    line: open.line,
                    node,
                    epoch,
                    sequence,
                });
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.found.differences.push(damaged(format!("is damaged: {error}")));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let law_id = self.definition.as_ref().map_or("", |definition| definition.law_id.as_str());
        match EvidenceBatch::read(&bytes)
            .and_then(|batch| batch.agrees(law_id, &open.name, &open.digest, open.count))
        {
            Ok(batch) => self.count_envelopes(&open, &batch),
            Err(what) => self.found.differences.push(damaged(what)),
        }
        Ok(())
    }

    /// Compares leaf i with envelope i, and counts the choices.
    fn count_envelopes(&mut self, open: &Open, batch: &EvidenceBatch<'_>) {
        self.found.batches += 1;
        self.found.envelopes += batch.count() as u64;
        let (leaves, envelopes) = (open.outcomes.len(), batch.count());
        if leaves != envelopes {
            let line = open.line;
            self.found.differences.push(Difference::Count { line, leaves, envelopes });
        }
        let choices = batch.decrypt(self.ballot_key);
        for (index, (line, outcome)) in (0..envelopes).zip(&open.outcomes) {
            let line = *line;
            if !names(outcome, batch, index) {
                self.found.differences.push(Difference::Entry { line, envelope: index });
                continue;
            }
            self.check_time(line, outcome.decision, batch.minute(index));
            let choice = choices.as_ref().map(|choices| choices[index]);
            let key = self.rolls.key_of(&batch.hash(index));
            self.decisions.push(line, outcome.request, key, outcome.decision, choice);
            if outcome.decision == LogDecision::Accepted {
                let spoiled = self.counts.len().saturating_sub(1);
                // A choice that is unreadable or out of range counts as spoiled.
                let slot = choice.map(usize::from).filter(|choice| *choice < spoiled);
                if let Some(count) = self.counts.get_mut(slot.unwrap_or(spoiled)) {
                    *count += 1;
                }
            }
        }
    }

    fn check_time(&mut self, line: u64, decision: LogDecision, minute: u64) {
        let early = self.opens.is_none_or(|opens| minute < opens);
        let late = !early && self.closes.is_some_and(|closes| minute >= closes);
        let agrees = match decision {
            // A request that was decided before is not decided by its time.
            LogDecision::Replay | LogDecision::Clash => true,
            LogDecision::Early => early,
            LogDecision::Late => late,
            _ => !early && !late,
        };
        if !agrees {
            let what = format!("the decision does not agree with the envelope's minute {minute}");
            self.found.differences.push(Difference::Decision { line, what });
        }
    }

    fn compare(&mut self, line: u64, through: u64, published: Vec<u64>) {
        // Totals through the block being read: its counts are not in the history yet.
        let counted = if self.height.checked_add(1) == Some(through) {
            Some(&self.counts)
        } else {
            self.history.get(&through)
        };
        match counted {
            Some(counted) if *counted == published => {}
            Some(counted) => {
                let counted = counted.clone();
                self.found.differences.push(Difference::Totals {
                    line,
                    published: published.clone(),
                    counted,
                });
            }
            None => {
                let what = format!("totals through block {through}, which does not exist");
                self.found.differences.push(Difference::Log { line, what });
            }
        }
        self.history.retain(|height, _| *height > through);
        self.found.published = Some(published);
    }

    fn finish(mut self) -> Recount {
        let rolls = std::mem::take(&mut self.rolls);
        let (mut differences, rolls_checked) = std::mem::take(&mut self.decisions).check(rolls);
        self.found.differences.append(&mut differences);
        self.found.rolls_checked = rolls_checked;
        let Some((spoiled, choices)) = self.counts.split_last() else {
            self.found
                .differences
                .push(Difference::Log { line: 1, what: "the log defines no election".to_owned() });
            return self.found;
        };
        let ids = self.definition.into_iter().flat_map(|definition| definition.choices);
        self.found.choices = ids.map(|choice| choice.id).zip(choices.iter().copied()).collect();
        self.found.spoiled = *spoiled;
        self.found
    }
}

/// Whether a leaf is about an envelope: its request, and H and minute, or cᵢ.
fn names(outcome: &LogOutcome, batch: &EvidenceBatch<'_>, index: usize) -> bool {
    outcome.request == batch.request(index)
        && outcome.hash.is_none_or(|hash| hash == batch.hash(index))
        && outcome.envelope.is_none_or(|digest| digest == batch.envelope_digest(index))
        && outcome.minute.is_none_or(|minute| minute == batch.minute(index))
}

#[cfg(test)]
#[path = "recount_test.rs"]
mod tests;
