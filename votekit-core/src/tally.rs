//! The tally: accepted votes by choice, and what a block publishes of them.
//!
//! A block commits to its counts ([`commit`]); sums are opened with [`Tally::open`].

use serde::{Deserialize, Serialize};

use crate::ballot::{BallotSecretKey, ChoiceIndex};
use crate::commitment::{Blinding, BlockContext, Commitment};
use crate::decision::{Decision, Entry};

/// Votes by choice, in the definition's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// One count per choice, including the blank one if the ballot has it.
    pub choices: Vec<u64>,
    /// Accepted votes whose sealed choice did not decrypt or names no choice.
    pub spoiled: u64,
}

impl Counts {
    /// Zero counts for this many choices.
    #[must_use]
    pub fn zero(choices: usize) -> Self {
        Self { choices: vec![0; choices], spoiled: 0 }
    }

    /// Counts the choice of one envelope if its entry accepted it.
    pub fn count(&mut self, entry: Option<&Entry>, choice: Option<ChoiceIndex>) {
        if !entry.is_some_and(|entry| matches!(entry.decision, Decision::Accepted { .. })) {
            return;
        }
        match choice.and_then(|choice| self.choices.get_mut(usize::from(choice.0))) {
            Some(count) => *count += 1,
            None => self.spoiled += 1,
        }
    }

    /// The sum over all choices and spoiled votes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.choices.iter().sum::<u64>() + self.spoiled
    }

    /// Adds another count.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.choices.iter_mut().zip(&other.choices) {
            *sum += count;
        }
        self.spoiled += other.spoiled;
    }

    /// The counts in the order of commitments and openings: the choices, then spoiled votes.
    #[must_use]
    pub fn in_order(&self) -> Vec<u64> {
        self.choices.iter().copied().chain([self.spoiled]).collect()
    }

    /// The counts from values in that order. `None` if there are none.
    #[must_use]
    pub fn from_order(values: &[u64]) -> Option<Self> {
        let (spoiled, choices) = values.split_last()?;
        Some(Self { choices: choices.to_vec(), spoiled: *spoiled })
    }
}

/// The sums of all counts of blocks 1 to `through`, opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// The height of the last block in the sums.
    pub through: u64,
    /// One sum per choice in the definition's order, then one for spoiled votes.
    pub values: Vec<u64>,
    /// The sums of the blindings, in the same order.
    pub blindings: Vec<Blinding>,
}

/// The commitments of one block to its counts, one per choice and one for spoiled votes.
#[must_use]
pub fn commit(counts: &Counts, key: &BallotSecretKey, content: &BlockContext) -> Vec<Commitment> {
    let commitments = counts.in_order().into_iter().zip(0_u16..).map(|(value, choice)| {
        Commitment::to_value(value, &Blinding::derive(key, content, choice))
            .expect("derived blindings are canonical")
    });
    commitments.collect()
}

/// The running tally of an election: the sums over all blocks so far, with the sums of their
/// blindings.
#[derive(Debug, Clone)]
pub struct Tally {
    counts: Counts,
    blindings: Vec<Blinding>,
    height: u64,
}

impl Tally {
    /// An empty tally for this many choices.
    #[must_use]
    pub fn new(choices: usize) -> Self {
        Self {
            counts: Counts::zero(choices),
            blindings: vec![Blinding::zero(); choices + 1],
            height: 0,
        }
    }

    /// Adds the counts of a block that has a `counts` leaf.
    pub fn add_block(
        &mut self,
        counts: &Counts,
        key: &BallotSecretKey,
        content: &BlockContext,
        height: u64,
    ) {
        self.counts.add(counts);
        for (sum, choice) in self.blindings.iter_mut().zip(0_u16..) {
            let blinding = Blinding::derive(key, content, choice);
            *sum = sum.plus(&blinding).expect("derived blindings are canonical");
        }
        self.height = height;
    }

    /// The tally that an opening states.
    ///
    /// `None` if the opening has no counts.
    #[must_use]
    pub fn opened(totals: &Totals) -> Option<Self> {
        let counts = Counts::from_order(&totals.values)?;
        Some(Self { counts, blindings: totals.blindings.clone(), height: totals.through })
    }

    /// The height of the last block in the sums.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.height
    }

    /// The sums so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Opens the sums as those of all blocks up to `through`. No block between [`Tally::height`]
    /// and `through` may have counts.
    #[must_use]
    pub fn open(&self, through: u64) -> Totals {
        Totals { through, values: self.counts.in_order(), blindings: self.blindings.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commitment::CommitmentSum;

    #[test]
    fn an_opening_matches_the_commitments_of_all_blocks() {
        let key = BallotSecretKey::from_seed(&[3; 32]);
        let mut tally = Tally::new(2);
        let mut sum = CommitmentSum::new(3);
        for height in 2..6 {
            let counts = Counts { choices: vec![height, 2 * height], spoiled: 1 };
            let content = BlockContext::new(&[0; 32], &height.to_be_bytes());
            sum.add(&commit(&counts, &key, &content)).expect("three commitments");
            tally.add_block(&counts, &key, &content, height);
        }
        let totals = tally.open(5);
        assert_eq!(totals.values, [14, 28, 4]);
        assert!(sum.opens_to(&totals.values, &totals.blindings));
    }
}
