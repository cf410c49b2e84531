//! Generates the votes: vote `n` of a run is a function of the roll, the mix and the seed, so that
//! a run can be repeated.
//!
//! Kinds are spread evenly and add up exactly: with 5% duplicates every twentieth vote is one.
//! First votes go through the roll in shuffled order, each row once; a duplicate repeats the
//! credential of an earlier first vote, which may still be in flight; an unknown vote has a
//! well-formed credential that is not in the roll.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use votekit_core::id::ElectionId;

use crate::error::{LoadError, MixError};
use crate::roll_source::RollSource;
use crate::share::Share;
use crate::shuffle::{Shuffle, Stream, draw, draw_below};

/// The id of the blank choice, as the log and the results write it.
pub const BLANK_CHOICE: &str = "blanc";

/// The votes to send, in shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MixOptions {
    /// Choices with their weights; not empty.
    pub choices: Vec<WeightedChoice>,
    /// Share of votes, of any kind, that are blank.
    pub blank: Share,
    /// Share of votes that repeat a credential.
    pub duplicates: Share,
    /// Share of votes with an invented credential.
    pub unknown: Share,
    /// The seed of the run.
    pub seed: u64,
}

impl Default for MixOptions {
    fn default() -> Self {
        let choices =
            ["oui", "non"].map(|id| WeightedChoice { id: id.to_owned(), weight: 1 }).into();
        Self { choices, blank: Share::NONE, duplicates: Share::NONE, unknown: Share::NONE, seed: 1 }
    }
}

/// A choice and its weight relative to the others. Written `oui` or `oui=55`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedChoice {
    /// The choice's id: 1 to 50 of `A-Za-z0-9._-`.
    pub id: String,
    /// At least 1.
    pub weight: u32,
}

impl FromStr for WeightedChoice {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        let (id, weight) = text.split_once('=').unwrap_or((text, "1"));
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let weight: u32 = weight.parse().map_err(|_| MixError::Choice)?;
        if id.is_empty()
            || id.len() > 50
            || !id.bytes().all(known)
            || !(1..=1_000_000).contains(&weight)
        {
            return Err(MixError::Choice);
        }
        Ok(Self { id: id.to_owned(), weight })
    }
}

/// The kind of vote intended. The node decides the actual result: a duplicate may well arrive
/// first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BallotKind {
    /// The first vote of its row in this run.
    First,
    /// A vote of a row that already voted in this run.
    Duplicate,
    /// A vote with a credential that is not in the roll.
    Unknown,
}

/// One vote to send. Its `Debug` output omits the credential.
#[derive(Clone, Copy)]
pub struct Ballot<'mix> {
    /// The number of the vote in the run, from 0.
    pub sequence: u64,
    /// The intended kind.
    pub kind: BallotKind,
    /// The row of the roll, from 1; `None` for an invented credential.
    pub row: Option<u32>,
    /// The election's id.
    pub law_id: &'mix str,
    /// The choice's id.
    pub choice: &'mix str,
    nas: u32,
    code: Code<'mix>,
    tail: &'mix [u8],
}

#[derive(Clone, Copy)]
enum Code<'mix> {
    Row(&'mix [u8]),
    Invented([u8; 10]),
}

impl Ballot<'_> {
    /// Appends the JSON body of `POST /api/v1/vote`.
    pub fn write_body(&self, body: &mut Vec<u8>) {
        body.extend_from_slice(b"{\"nas\":\"");
        let mut number = self.nas;
        let mut digits = [b'0'; 9];
        for digit in digits.iter_mut().rev() {
            *digit += (number % 10) as u8;
            number /= 10;
        }
        body.extend_from_slice(&digits);
        body.extend_from_slice(b"\",\"code\":\"");
        match &self.code {
            Code::Row(code) => body.extend_from_slice(code),
            Code::Invented(code) => body.extend_from_slice(code),
        }
        body.extend_from_slice(self.tail);
    }
}

impl fmt::Debug for Ballot<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Ballot({} {:?} row {:?} {} {})",
            self.sequence, self.kind, self.row, self.law_id, self.choice
        )
    }
}

/// The votes of a run, by sequence number.
#[derive(Debug)]
pub struct BallotMix {
    roll: RollSource,
    shuffle: Shuffle,
    options: MixOptions,
    /// Duplicates as a share of the votes that are not unknown.
    duplicates_of_known: Share,
    /// Cumulative weights of the choices. The blank choice comes last and has no entry.
    weights_through: Vec<u64>,
    choice_ids: Vec<String>,
    /// The end of the body for each law and choice, ordered by law, then choice.
    tails: Vec<Vec<u8>>,
}

impl BallotMix {
    /// Creates the mix for the votes of `roll`.
    ///
    /// # Errors
    /// [`LoadError::Mix`] when the options contradict themselves.
    pub fn new(roll: RollSource, options: MixOptions) -> Result<Self, LoadError> {
        let [duplicates, unknown] =
            [options.duplicates, options.unknown].map(|share| u64::from(share.parts_per_million()));
        let all = u64::from(Share::ALL.parts_per_million());
        if options.choices.is_empty() {
            return Err(MixError::NoChoice.into());
        }
        if duplicates + unknown >= all {
            return Err(MixError::NoFirstVote.into());
        }
        // Rounded up, so that no more rows are needed than the shares say; below 100%, so that some
        // votes are first votes.
        let of_known = (duplicates * all).div_ceil(all - unknown).min(all - 1);
        let of_known = u32::try_from(of_known).unwrap_or(0);
        let duplicates_of_known = Share::from_parts_per_million(of_known).unwrap_or_default();
        let weights_through = options
            .choices
            .iter()
            .scan(0, |sum, choice| {
                *sum += u64::from(choice.weight);
                Some(*sum)
            })
            .collect();
        let choice_ids: Vec<String> = options
            .choices
            .iter()
            .map(|choice| choice.id.clone())
            .chain([BLANK_CHOICE.to_owned()])
            .collect();
        let tail = |law: &str, choice: &str| {
            format!("\",\"law_id\":\"{law}\",\"vote\":\"{choice}\"}}").into_bytes()
        };
        let tails = roll
            .laws()
            .iter()
            .flat_map(|law| choice_ids.iter().map(move |choice| tail(law.as_str(), choice)))
            .collect();
        let shuffle = Shuffle::new(options.seed, roll.len());
        Ok(Self { roll, shuffle, options, duplicates_of_known, weights_through, choice_ids, tails })
    }

    /// Rows of the roll that the first `votes` votes use.
    #[must_use]
    pub fn first_votes(&self, votes: u64) -> u64 {
        let known = votes - self.options.unknown.part_of(votes);
        known - self.duplicates_of_known.part_of(known)
    }

    /// Rows of the roll.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.roll.len()
    }

    /// The elections voted on.
    #[must_use]
    pub fn laws(&self) -> &[ElectionId] {
        self.roll.laws()
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.options.seed
    }

    /// Votes that can be sent before the roll has no row left for a first vote.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        // A binary search: at least one vote in a million is a first vote, and `first_votes` is
        // monotonic.
        let mut possible = 0;
        let mut impossible =
            (self.rows() + 2).saturating_mul(u64::from(Share::ALL.parts_per_million()));
        while impossible - possible > 1 {
            let middle = possible + (impossible - possible) / 2;
            if self.first_votes(middle) <= self.rows() {
                possible = middle
            } else {
                impossible = middle
            }
        }
        possible
    }

    /// Returns an error if the roll is too small for `votes` votes.
    ///
    /// # Errors
    /// [`LoadError::RollTooSmall`].
    pub fn check_capacity(&self, votes: u64) -> Result<(), LoadError> {
        let needed = self.first_votes(votes);
        if needed > self.rows() {
            return Err(LoadError::RollTooSmall { needed, available: self.rows() });
        }
        Ok(())
    }

    /// Vote number `sequence`, from 0; `None` once the roll is used up.
    #[must_use]
    pub fn ballot(&self, sequence: u64) -> Option<Ballot<'_>> {
        let seed = self.options.seed;
        let firsts = self.first_votes(sequence);
        let (kind, credential) = if self.options.unknown.takes(sequence) {
            (BallotKind::Unknown, None)
        } else if self.duplicates_of_known.takes(sequence - self.options.unknown.part_of(sequence))
            && firsts > 0
        {
            (BallotKind::Duplicate, Some(draw_below(seed, Stream::Repeat, sequence, firsts)))
        } else {
            (BallotKind::First, Some(firsts))
        };
        let (row, nas, code, law_index) = match credential {
            Some(index) if index >= self.roll.len() => return None,
            Some(index) => {
                let row = self.roll.row(self.shuffle.position(index));
                (Some(row.number), row.nas, Code::Row(row.code), row.law_index)
            }
            None => self.invented(sequence),
        };
        let choice_index = self.choice_index(sequence);
        Some(Ballot {
            sequence,
            kind,
            row,
            law_id: self.roll.laws()[law_index].as_str(),
            choice: &self.choice_ids[choice_index],
            nas,
            code,
            tail: &self.tails[law_index * self.choice_ids.len() + choice_index],
        })
    }

    /// A NAS that is never issued (its first digit is 0) with 10 random characters. The chance that
    /// a given row of the roll has this pair is one in 36^10.
    fn invented(&self, sequence: u64) -> (Option<u32>, u32, Code<'static>, usize) {
        const ALPHABET: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let seed = self.options.seed;
        let nas = draw_below(seed, Stream::Invented(0), sequence, 100_000_000) as u32;
        let law_index =
            draw_below(seed, Stream::Invented(1), sequence, self.roll.laws().len() as u64) as usize;
        let mut word = draw(seed, Stream::Invented(2), sequence);
        let code = std::array::from_fn(|_| {
            let character = ALPHABET[(word % 36) as usize];
            word /= 36;
            character
        });
        (None, nas, Code::Invented(code), law_index)
    }

    fn choice_index(&self, sequence: u64) -> usize {
        let seed = self.options.seed;
        let word = draw(seed, Stream::Choice, sequence);
        if word % u64::from(Share::ALL.parts_per_million())
            < u64::from(self.options.blank.parts_per_million())
        {
            return self.choice_ids.len() - 1;
        }
        // The remainder above used the low bits of `word`: take other bits for the choice.
        let weight_all = self.weights_through.last().copied().unwrap_or(1);
        let point = (word >> 20) % weight_all;
        self.weights_through.partition_point(|through| *through <= point)
    }
}

#[cfg(test)]
#[path = "ballot_mix_test.rs"]
mod tests;
