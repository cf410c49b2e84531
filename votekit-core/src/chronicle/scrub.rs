//! Reading a whole log again, beside the chronicle that was restored from a snapshot of it:
//! everything the snapshot told must follow from the leaves and the evidence.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Chronicle, ReplaySource, leaves_of_block};
use crate::ballot::ChoiceIndex;
use crate::credential::HashScheme;
use crate::decision::{Decision, Entry};
use crate::id::{BatchNumber, RequestId};
use crate::log::leaf::{Leaf, LeafError};
use crate::log::merkle::{TreeBuilder, TreeHash, leaf_hash};
use crate::registry::{Elector, KeyList};
use crate::request_index::Decided;
use crate::tally::Counts;

/// A log that is being read again up to the size that a chronicle had. Keeps kilobytes.
pub struct Scrub {
    lists: Vec<(Elector, Arc<KeyList>)>,
    scheme: Option<HashScheme>,
    expected: Expected,
    tree: TreeBuilder,
    height: u64,
    decided: usize,
    counts: Counts,
    /// The choices of the current batch, by request. `None` when its evidence is gone.
    choices: Option<HashMap<RequestId, Option<ChoiceIndex>>>,
    /// Some evidence was gone: the counts cannot be made again.
    evidence_missing: bool,
}

/// What must come out.
struct Expected {
    size: u64,
    height: u64,
    root: TreeHash,
    decided: usize,
    counts: Counts,
}

/// What is wrong with a log, its evidence, or what was made of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScrubError {
    /// A leaf does not read.
    #[error("leaf {index}: {error}")]
    Leaf {
        /// Its index in the log.
        index: u64,
        /// What is wrong.
        error: LeafError,
    },
    /// A leaf contradicts what the node works with.
    #[error("leaf {index}: {rule}")]
    Contradiction {
        /// Its index in the log.
        index: u64,
        /// What should hold.
        rule: &'static str,
    },
    /// The evidence of a batch is gone, or is not what the log names.
    #[error("leaf {index}: the stored batch {number} is gone or is not the one that was sealed")]
    Evidence {
        /// The index of the batch's leaf.
        index: u64,
        /// The batch.
        number: BatchNumber,
    },
    /// All leaves read, and give something else than was signed or shown.
    #[error("{size} leaves were read again: {rule}")]
    Whole {
        /// Leaves read.
        size: u64,
        /// What should hold.
        rule: &'static str,
    },
}

impl Scrub {
    /// Begins to read the log of a chronicle again, up to where it is now.
    #[must_use]
    pub fn new(chronicle: &Chronicle) -> Self {
        let expected = Expected {
            size: chronicle.tree.size(),
            height: chronicle.height,
            root: chronicle.tree.root(),
            decided: chronicle.fold.requests().len(),
            counts: chronicle.tally.counts().clone(),
        };
        Self {
            lists: chronicle
                .electorate
                .lists()
                .map(|(first, keys)| (first, Arc::clone(keys)))
                .collect(),
            scheme: None,
            tree: TreeBuilder::new(),
            height: 0,
            decided: 0,
            counts: Counts::zero(expected.counts.choices.len()),
            choices: None,
            evidence_missing: false,
            expected,
        }
    }

    /// The height of the block to be read next; `None` when all are read.
    #[must_use]
    pub fn next_height(&self) -> Option<u64> {
        (self.height < self.expected.height).then_some(self.height + 1)
    }

    /// Leaves read so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Decided requests read so far: where those of the next block begin.
    #[must_use]
    pub fn decided(&self) -> usize {
        self.decided
    }

    /// Reads the next block. `decided` are the requests from [`Scrub::decided`] on, at least those
    /// of the block, as the node has them. `purged` says whether evidence may be gone.
    ///
    /// # Errors
    /// [`ScrubError`]; reading on is of no use then.
    pub fn read(
        &mut self,
        leaves: &[u8],
        decided: &[Decided],
        purged: bool,
        source: &mut dyn ReplaySource,
    ) -> Result<(), ScrubError> {
        let first = self.decided;
        let mut full_tiles = Vec::new();
        for bytes in leaves_of_block(leaves) {
            let index = self.tree.size();
            let bytes = bytes
                .ok_or(ScrubError::Contradiction { index, rule: "the block's bytes go on" })?;
            match Leaf::parse(bytes).map_err(|error| ScrubError::Leaf { index, error })? {
                Leaf::Roll(event) => self.scheme = Some(event.scheme),
                Leaf::Batch(batch) => {
                    self.choices =
                        source.choices(&batch).map(|choices| choices.into_iter().rev().collect());
                    if self.choices.is_none() && !purged {
                        return Err(ScrubError::Evidence { index, number: batch.number() });
                    }
                    self.evidence_missing |= self.choices.is_none();
                }
                Leaf::Entry(entry) => {
                    self.entry(&entry, index, decided.get(self.decided - first))?
                }
                _ => {}
            }
            self.tree.append(leaf_hash(bytes), &mut full_tiles);
            full_tiles.clear();
        }
        self.height += 1;
        Ok(())
    }

    /// Holds what was read against what the chronicle had.
    ///
    /// # Errors
    /// [`ScrubError::Whole`].
    pub fn finish(&self) -> Result<(), ScrubError> {
        let Expected { size, height, root, decided, counts } = &self.expected;
        let rules = [
            (
                self.tree.size() == *size && self.height == *height,
                "the log has as many leaves and blocks as at the start",
            ),
            (self.tree.root() == *root, "they have the root that is signed"),
            (self.decided == *decided, "they decide the requests that the node knows"),
            (
                self.evidence_missing || self.counts == *counts,
                "the evidence gives the sums that the node counts with",
            ),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(ScrubError::Whole { size: self.tree.size(), rule }),
            None => Ok(()),
        }
    }

    fn entry(
        &mut self,
        entry: &Entry,
        index: u64,
        known: Option<&Decided>,
    ) -> Result<(), ScrubError> {
        let elector =
            match (&entry.decision, self.scheme) {
                (Decision::Accepted { hash } | Decision::Duplicate { hash, .. }, Some(scheme)) => {
                    let key = scheme.registry_key(hash);
                    let find = |(first, keys): &(Elector, Arc<KeyList>)| {
                        keys.find(&key).map(|place| Elector(first.0 + place as u32))
                    };
                    let found = self.lists.iter().find_map(find);
                    Some(found.ok_or(ScrubError::Contradiction {
                        index,
                        rule: "who votes is registered",
                    })?)
                }
                _ => None,
            };
        if known != Some(&Decided::new(entry.request, index, elector)) {
            return Err(ScrubError::Contradiction {
                index,
                rule: "the node knows the request with this entry and elector",
            });
        }
        self.decided += 1;
        let choice = self
            .choices
            .as_ref()
            .and_then(|choices| choices.get(&entry.request).copied().flatten());
        self.counts.count(Some(entry), choice);
        Ok(())
    }
}

impl std::fmt::Debug for Scrub {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Scrub({} of {} leaves)", self.tree.size(), self.expected.size)
    }
}
