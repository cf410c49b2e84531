//! Commitments and their openings.

use std::collections::VecDeque;

use super::Line;
use crate::bundle::Rule;
use crate::commitment::{Commitment, CommitmentSum};
use crate::tally::Totals;

/// The commitments not yet opened, the sum of those before, and the totals last opened.
#[derive(Default)]
pub(super) struct TotalsCheck {
    sum: Option<CommitmentSum>,
    /// Under `live`, the least number of new votes, and of votes held back.
    live: Option<u64>,
    /// Blocks after `through`.
    pending: VecDeque<Pending>,
    through: u64,
    /// Votes accepted up to `through`.
    accepted: u64,
    values: Vec<u64>,
}

/// The commitments of one block.
struct Pending {
    height: u64,
    line: u64,
    commitments: Vec<Commitment>,
    /// Votes accepted up to this block, itself included.
    accepted: u64,
}

impl TotalsCheck {
    pub(super) fn set_ballot(&mut self, choices: usize, live: Option<u64>) {
        self.sum = Some(CommitmentSum::new(choices + 1));
        self.live = live;
    }

    pub(super) fn take_counts(
        &mut self,
        commitments: &[Commitment],
        height: u64,
        accepted: u64,
        line: &mut Line<'_>,
    ) {
        if commitments.iter().any(Commitment::is_identity) {
            line.fail(
                Rule::CountsForm,
                format_args!("a commitment is the neutral element, which hides nothing"),
            );
        }
        let pending =
            Pending { height, line: line.number, commitments: commitments.to_vec(), accepted };
        self.pending.push_back(pending);
    }

    pub(super) fn take_totals(
        &mut self,
        totals: &Totals,
        height: u64,
        closing: bool,
        accepted: u64,
        line: &mut Line<'_>,
    ) {
        let through = totals.through;
        if through > height || through < self.through || (closing && through != height) {
            let what = format_args!(
                "totals through block {through} in block {height}, after totals through {}",
                self.through
            );
            line.fail(Rule::TotalsPlace, what);
        }
        let before = self.accepted;
        self.add_through(through, line);
        if !closing {
            self.check_policy(before, accepted, line);
        }
        if self.sum.as_ref().is_some_and(|sum| !sum.opens_to(&totals.values, &totals.blindings)) {
            line.fail(
                Rule::TotalsOpen,
                format_args!(
                    "the totals do not open the sum of the commitments through block {through}"
                ),
            );
        }
        if self.values.iter().zip(&totals.values).any(|(before, now)| now < before) {
            line.fail(Rule::TotalsFall, format_args!("a total is lower than it was"));
        }
        let sum: u128 = totals.values.iter().map(|value| u128::from(*value)).sum();
        if sum != u128::from(self.accepted) {
            let what = format_args!(
                "the totals add up to {sum}, {} votes were accepted through block {through}",
                self.accepted
            );
            line.fail(Rule::TotalsSum, what);
        }
        self.through = through.max(self.through);
        self.values.clone_from(&totals.values);
    }

    /// Adds the commitments that no totals opened, only to check their form.
    pub(super) fn finish(&mut self, line: &mut Line<'_>) {
        self.add_through(u64::MAX, line);
    }

    fn check_policy(&self, before: u64, accepted: u64, line: &mut Line<'_>) {
        let Some(publish_every) = self.live else {
            line.fail(
                Rule::TotalsPolicy,
                format_args!("totals before the close, which the results policy forbids"),
            );
            return;
        };
        let (new, held_back) = (self.accepted - before, accepted - self.accepted);
        if new < publish_every || (publish_every > 1 && held_back < publish_every) {
            let what = format_args!(
                "totals of {new} new votes with {held_back} held back, at least {publish_every} each are needed"
            );
            line.fail(Rule::TotalsPolicy, what);
        }
    }

    fn add_through(&mut self, through: u64, line: &mut Line<'_>) {
        let Some(sum) = &mut self.sum else { return };
        while let Some(block) = self.pending.pop_front_if(|block| block.height <= through) {
            if let Err(error) = sum.add(&block.commitments) {
                let mut line = Line { failures: line.failures, number: block.line };
                line.fail(Rule::CountsForm, format_args!("{error}"));
            }
            self.accepted = block.accepted;
        }
    }
}
