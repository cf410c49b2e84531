//! The recount: decrypts the evidence and counts it again, by code that shares nothing with the
//! tally.
//!
//! It reads leaves and batches by itself, from `docs/formats.md`, uses the `hpke` crate directly,
//! and counts into a plain list. From the core it takes no decision, tally, batch, registry or
//! commitment: should one of those be wrong, the recount is not wrong in the same way.
//!
//! For each batch of the log it asks for the batch's bytes, holds them against the digest and the
//! entries that follow in the log, opens the sealed choices, and counts those of accepted entries.
//! Totals are compared where the log opens them.

mod batch;
mod line;

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use serde::Serialize;

use batch::EvidenceBatch;
use line::{Line, LogDefinition, LogEntry};

/// The number of a batch, as the log writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct BatchName {
    /// 16 hexadecimal digits.
    pub(crate) node: String,
    pub(crate) epoch: u32,
    pub(crate) sequence: u64,
}

/// What the recount came to.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Recount {
    /// The law, from the log.
    pub(crate) law_id: String,
    /// Batches decrypted.
    pub(crate) batches: u64,
    /// Envelopes in them.
    pub(crate) envelopes: u64,
    /// Votes that the log accepted.
    pub(crate) accepted: u64,
    /// Each choice with its count.
    pub(crate) choices: Vec<(String, u64)>,
    /// Accepted votes whose choice cannot be read.
    pub(crate) spoiled: u64,
    /// The totals last opened in the log: the choices, then spoiled votes.
    pub(crate) published: Option<Vec<u64>>,
    /// Everything that does not agree; empty if the published totals are confirmed.
    pub(crate) differences: Vec<Difference>,
}

/// Something that does not agree.
#[derive(Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(crate) enum Difference {
    /// The log names a batch that the evidence lacks.
    #[error("line {line}: batch {node}/{epoch}/{sequence} is missing from the evidence")]
    Missing { line: u64, node: String, epoch: u32, sequence: u64 },
    /// The evidence is not what the log names.
    #[error("line {line}: the evidence of batch {node}/{epoch}/{sequence} {what}")]
    Batch { line: u64, node: String, epoch: u32, sequence: u64, what: String },
    /// A line of the log cannot be read, or stands where it cannot.
    #[error("line {line}: {what}")]
    Log { line: u64, what: String },
    /// An entry of the log is of no envelope of its batch, in order.
    #[error("line {line}: the entry agrees with no envelope of its batch")]
    Entry { line: u64 },
    /// The totals of the log are not what was counted.
    #[error("line {line}: the log opens {published:?}, the evidence counts {counted:?}")]
    Totals { line: u64, published: Vec<u64>, counted: Vec<u64> },
}

/// Counts again: `leaves` is the log, a leaf a line; `evidence` gives the bytes of a batch, or none
/// if it has been lost.
///
/// # Errors
/// When the log or the evidence cannot be read. What does not agree is in [`Recount::differences`].
pub(crate) fn recount(
    mut leaves: impl BufRead,
    mut evidence: impl FnMut(&BatchName) -> io::Result<Option<Vec<u8>>>,
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
        counting.take_line(number, text.trim_ascii_end(), &mut evidence)?;
    }
    counting.count_batch(&mut evidence)?;
    Ok(counting.finish())
}

/// A batch of the log whose entries are being read.
struct Open {
    line: u64,
    name: BatchName,
    digest: String,
    count: u64,
    entries: Vec<(u64, LogEntry)>,
}

struct Counting<'a> {
    ballot_key: &'a [u8; 32],
    definition: Option<LogDefinition>,
    open: Option<Open>,
    /// The choices, then spoiled votes.
    counts: Vec<u64>,
    height: u64,
    /// The counts as each block since the last totals left them.
    history: BTreeMap<u64, Vec<u64>>,
    found: Recount,
}

impl<'a> Counting<'a> {
    fn new(ballot_key: &'a [u8; 32]) -> Self {
        Self {
            ballot_key,
            definition: None,
            open: None,
            counts: Vec::new(),
            height: 0,
            history: BTreeMap::new(),
            found: Recount::default(),
        }
    }

    fn take_line(
        &mut self,
        number: u64,
        text: &[u8],
        evidence: &mut impl FnMut(&BatchName) -> io::Result<Option<Vec<u8>>>,
    ) -> io::Result<()> {
        let line = match Line::read(text) {
            Ok(line) => line,
            Err(what) => {
                self.found.differences.push(Difference::Log { line: number, what });
                return Ok(());
            }
        };
        if let Line::Entry(entry) = line {
            match &mut self.open {
                Some(open) => open.entries.push((number, entry)),
                None => self.found.differences.push(Difference::Log {
                    line: number,
                    what: "an entry of no batch".to_owned(),
                }),
            }
            return Ok(());
        }
        self.count_batch(evidence)?;
        match line {
            Line::Draft(definition) => {
                self.counts = vec![0; definition.choices.len() + 1];
                self.found.law_id.clone_from(&definition.law_id);
                self.definition = Some(definition);
            }
            Line::Batch { name, count, digest } => {
                self.open = Some(Open { line: number, name, digest, count, entries: Vec::new() });
            }
            Line::Totals { through, values } => self.compare(number, through, values),
            Line::Block { height } => {
                self.height = height;
                self.history.insert(height, self.counts.clone());
            }
            Line::Entry(_) | Line::Other => {}
        }
        Ok(())
    }

    /// Decrypts the batch whose entries have all been read, and counts it.
    fn count_batch(
        &mut self,
        evidence: &mut impl FnMut(&BatchName) -> io::Result<Option<Vec<u8>>>,
    ) -> io::Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let accepted = open.entries.iter().filter(|(_, entry)| entry.accepted).count() as u64;
        self.found.accepted += accepted;
        let damaged = |what: String| {
            let BatchName { node, epoch, sequence } = open.name.clone();
            Difference::Batch { line: open.line, node, epoch, sequence, what }
        };
        let bytes = match evidence(&open.name) {
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

    /// Entries follow the order of the envelopes; envelopes between them are replays.
    fn count_envelopes(&mut self, open: &Open, batch: &EvidenceBatch<'_>) {
        self.found.batches += 1;
        self.found.envelopes += batch.count() as u64;
        let choices = batch.decrypt(self.ballot_key);
        let mut place = 0;
        for (line, entry) in &open.entries {
            let Some(skipped) =
                (place..batch.count()).position(|place| batch.request(place) == entry.request)
            else {
                self.found.differences.push(Difference::Entry { line: *line });
                continue;
            };
            place += skipped;
            let hash_agrees = entry.hash.is_none_or(|hash| hash == batch.hash(place));
            if !hash_agrees || entry.minute != batch.received_millis(place) / 60_000 {
                self.found.differences.push(Difference::Entry { line: *line });
            }
            if entry.accepted {
                let choice = choices.as_ref().map(|choices| usize::from(choices[place]));
                let spoiled = self.counts.len().saturating_sub(1);
                let slot = choice.filter(|choice| *choice < spoiled).unwrap_or(spoiled);
                if let Some(count) = self.counts.get_mut(slot) {
                    *count += 1;
                }
            }
            place += 1;
        }
    }

    fn compare(&mut self, line: u64, through: u64, published: Vec<u64>) {
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
                let what = format!("totals through block {through}, which is not there");
                self.found.differences.push(Difference::Log { line, what });
            }
        }
        self.history.retain(|height, _| *height > through);
        self.found.published = Some(published);
    }

    fn finish(mut self) -> Recount {
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

#[cfg(test)]
#[path = "recount_test.rs"]
mod tests;
