//! The Byzantine corpus: false blocks, made by editing honest ones as a lying leader would, each
//! with the leaf and the rule by which [`ElectionLog::check`] refuses it.
//!
//! Some values are chosen by the leader and cannot be recomputed from the log: its name and term,
//! the minute, the parameters of an event. The corpus also lists blocks in which these values are
//! false, with the part of the system that checks them: an event guard of votekit-authority, the
//! suspicion of a leader that leaves batches out, or the officials.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::snapshot::tests::encoded;
use super::{CheckError, ElectionLog, leaves_of_block};

#[path = "byzantine/events_test.rs"]
mod events;
#[path = "byzantine/forms_test.rs"]
mod forms;
#[path = "byzantine/sample_test.rs"]
mod sample;
#[path = "byzantine/votes_test.rs"]
mod votes;

use sample::{BLOCKS, Forgery, ballot_key, block_of, sample, texts};

/// A false block.
struct Case {
    name: &'static str,
    /// The block of the sample that is forged.
    block: usize,
    edit: Edit,
    expected: Verdict,
}

/// How an honest block is forged.
enum Edit {
    /// By its leaves; the rest of a block of votes is then made to fit.
    Settled(fn(&mut Forgery)),
    /// By its leaves alone.
    Leaves(fn(&mut Forgery)),
    /// By the texts of its leaves.
    Texts(fn(&mut Vec<String>)),
    /// By its bytes.
    Bytes(fn(&mut Vec<u8>)),
}

/// The result of checking a block. Leaf indices count from the block's first leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Refused {
        place: u64,
        rule: &'static str,
    },
    /// It waits for an input.
    Waits {
        place: u64,
        input: &'static str,
    },
    /// The check cannot see it; the part of the system that does.
    LeftTo(&'static str),
}

/// The rule of a leaf that follows from the inputs in another form.
const DIFFERS: &str = "differs";

/// A refusal.
const fn at(place: u64, rule: &'static str) -> Verdict {
    Verdict::Refused { place, rule }
}

/// A wait for an input.
const fn waits_at(place: u64, input: &'static str) -> Verdict {
    Verdict::Waits { place, input }
}

/// A block that the check accepts.
const fn left_to(part: &'static str) -> Verdict {
    Verdict::LeftTo(part)
}

fn settled(name: &'static str, block: usize, expected: Verdict, edit: fn(&mut Forgery)) -> Case {
    Case { name, block, expected, edit: Edit::Settled(edit) }
}

fn leaves(name: &'static str, block: usize, expected: Verdict, edit: fn(&mut Forgery)) -> Case {
    Case { name, block, expected, edit: Edit::Leaves(edit) }
}

fn in_texts(
    name: &'static str,
    block: usize,
    expected: Verdict,
    edit: fn(&mut Vec<String>),
) -> Case {
    Case { name, block, expected, edit: Edit::Texts(edit) }
}

fn in_bytes(name: &'static str, block: usize, expected: Verdict, edit: fn(&mut Vec<u8>)) -> Case {
    Case { name, block, expected, edit: Edit::Bytes(edit) }
}

/// Replaces the first `from` in the text of a leaf.
fn rewrite(text: &mut String, from: &str, to: &str) {
    assert!(text.contains(from), "{text} has no {from}");
    *text = text.replacen(from, to, 1);
}

impl Case {
    /// The false block, and the inputs of the authority that checks it.
    fn forge(&self) -> (Vec<u8>, Forgery) {
        let mut forgery = Forgery::new(self.block);
        let bytes = match self.edit {
            Edit::Settled(edit) => {
                edit(&mut forgery);
                forgery.settle();
                forgery.bytes()
            }
            Edit::Leaves(edit) => {
                edit(&mut forgery);
                forgery.bytes()
            }
            Edit::Texts(edit) => {
                let leaves = forgery.leaves.iter().map(|leaf| leaf.to_bytes());
                let mut texts: Vec<String> =
                    leaves.map(|leaf| String::from_utf8(leaf).expect("leaves are text")).collect();
                edit(&mut texts);
                block_of(&texts.into_iter().map(String::into_bytes).collect::<Vec<_>>())
            }
            Edit::Bytes(edit) => {
                let mut bytes = forgery.bytes();
                edit(&mut bytes);
                bytes
            }
        };
        (bytes, forgery)
    }

    /// The result of checking the block. The log is the same before and after.
    fn verdict(&self) -> Verdict {
        let (bytes, mut forgery) = self.forge();
        if self.block == 0 {
            return compare(ElectionLog::check_first(&bytes).map(|_| ()), 0, &self.expected);
        }
        let log = sample().log_before(self.block);
        let before = encoded(log);
        let checked = log.check(&bytes, &ballot_key(), &mut forgery.source);
        assert_eq!(encoded(log), before, "{}: the check left a trace", self.name);
        let checked = checked.map(|proposal| {
            assert_eq!(proposal.block.leaves, bytes, "{}: other bytes", self.name);
        });
        compare(checked, log.tree().size(), &self.expected)
    }
}

/// The verdict; an accepted block is left to whom the corpus says.
fn compare(checked: Result<(), CheckError>, first: u64, expected: &Verdict) -> Verdict {
    let waits = |leaf: u64, input| Verdict::Waits { place: leaf - first, input };
    match checked {
        Ok(()) => match expected {
            Verdict::LeftTo(_) => *expected,
            _ => Verdict::LeftTo("no part of the system"),
        },
        Err(CheckError::Refused(refused)) => {
            Verdict::Refused { place: refused.leaf - first, rule: refused.rule.as_str() }
        }
        Err(CheckError::MissingRoll { leaf, .. }) => waits(leaf, "roll"),
        Err(CheckError::MissingEvidence { leaf, .. }) => waits(leaf, "evidence"),
        Err(CheckError::UnknownSums { leaf }) => waits(leaf, "sums"),
    }
}

fn corpus() -> Vec<Case> {
    let parts = [votes::decisions(), votes::batches(), votes::sums(), votes::times()];
    let more = [events::drafts_and_rolls(), events::polls(), events::order(), forms::forms()];
    parts.into_iter().chain(more).flatten().collect()
}

/// One line a case: name, block, and what the check says of it.
fn row(case: &Case, found: &Verdict) -> String {
    let mut row = format!("{:52} block {:2}  ", case.name, case.block);
    let written = match found {
        Verdict::Refused { place, rule } => write!(row, "leaf {place:2}  {rule}"),
        Verdict::Waits { place, input } => write!(row, "leaf {place:2}  waits for {input}"),
        Verdict::LeftTo(part) => write!(row, "left to {part}"),
    };
    written.expect("a string takes every text");
    if *found != case.expected {
        row.push_str(&format!("   EXPECTED {:?}", case.expected));
    }
    row
}

#[test]
#[expect(clippy::print_stdout, reason = "the table is for people who read the test's output")]
fn every_false_block_is_refused_with_its_leaf_and_rule() {
    let corpus = corpus();
    let mut names = BTreeSet::new();
    let mut rules = BTreeSet::new();
    let mut wrong = Vec::new();
    for case in &corpus {
        assert!(names.insert(case.name), "{} is there twice", case.name);
        let honest = sample().blocks.get(case.block).map(|block| block.leaves.as_slice());
        let has_own_source = matches!(case.expected, Verdict::Waits { .. })
            || matches!(case.expected, Verdict::Refused { rule: "evidence", .. });
        // A case may leave the block as it is and change what the authority has of it.
        assert!(has_own_source || Some(case.forge().0.as_slice()) != honest, "{}", case.name);
        let found = case.verdict();
        println!("{}", row(case, &found));
        if let Verdict::Refused { rule, .. } = found {
            rules.insert(rule);
        }
        if found != case.expected {
            wrong.push(row(case, &found));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), corpus.len(), wrong.join("\n"));
    // `replayed-choice` is a rule of the replay: the node that signed the batch broke it.
    let all = [
        "differs",
        "draft",
        "event",
        "evidence",
        "malformed",
        "order",
        "shape",
        "truncated",
        "votes",
    ];
    assert!(rules.iter().eq(all.iter()), "a rule without a case: {rules:?}");
}

#[test]
fn the_blocks_that_the_corpus_forges_are_accepted_as_they_were_made() {
    assert!(ElectionLog::check_first(&sample().blocks[0].leaves).is_ok());
    for number in 1..BLOCKS {
        let block = &sample().blocks[number];
        let forgery = Forgery::new(number);
        assert_eq!(forgery.bytes(), block.leaves, "block {number} as its leaves");
        let log = sample().log_before(number);
        let proposal = log.check(&block.leaves, &ballot_key(), &mut sample().source());
        assert_eq!(proposal.expect("honest").block.root, block.root, "block {number}");
    }
    // Settling an honest block changes nothing: what a forger recomputes is what the log computes.
    for number in [3, 5, 7] {
        let mut forgery = Forgery::new(number);
        forgery.settle();
        assert_eq!(forgery.bytes(), sample().blocks[number].leaves, "block {number} settled");
    }
}

/// The fields that a leader states freely, by the kind of their leaf.
const INPUTS: [(&str, &[&str]); 6] = [
    ("block", &["term", "leader", "sealed_at"]),
    ("roll", &["manifest", "scheme"]),
    ("admitted", &["key"]),
    ("open", &["opens", "waivers"]),
    ("closing", &["closes", "reason"]),
    ("retired", &["node", "epoch"]),
];

/// The fields in which two blocks differ, each with the kind of its leaf.
fn changed_fields(honest: &[u8], changed: &[u8]) -> Vec<(String, String)> {
    let parse = |text: &[u8]| -> serde_json::Map<String, serde_json::Value> {
        serde_json::from_slice(text).expect("an accepted leaf is JSON")
    };
    let mut fields = Vec::new();
    for (honest, changed) in texts(honest).iter().zip(texts(changed)) {
        let (honest, changed) = (parse(honest), parse(&changed));
        let kind = ["state", "event", "leaf"].iter().find_map(|name| honest.get(*name)?.as_str());
        let kind = kind.expect("a leaf has a kind");
        let differs = honest.iter().filter(|(name, value)| changed.get(*name) != Some(*value));
        fields.extend(differs.map(|(name, _)| (kind.to_owned(), name.clone())));
    }
    fields
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(384))]

    /// A block of which one byte is changed is refused, and leaves no trace in the log; unless the
    /// byte belongs to what the leader states freely, and the block is then another valid one.
    #[test]
    fn no_byte_of_an_honest_block_changes_unnoticed(
        number in 1..BLOCKS,
        position in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let honest = &sample().blocks[number].leaves;
        let mut changed = honest.clone();
        let position = position.index(changed.len());
        changed[position] ^= flip;
        let log = sample().log_before(number);
        let before = encoded(log);
        let checked = log.check(&changed, &ballot_key(), &mut sample().source());
        prop_assert_eq!(encoded(log), before, "the check left a trace");
        match checked {
            Ok(proposal) => {
                prop_assert_eq!(&proposal.block.leaves, &changed);
                let count = leaves_of_block(honest).count();
                prop_assert_eq!(leaves_of_block(&changed).count(), count);
                for (kind, field) in changed_fields(honest, &changed) {
                    let inputs = INPUTS.iter().find(|(of, _)| *of == kind);
                    let is_input = inputs.is_some_and(|(_, fields)| fields.contains(&&*field));
                    prop_assert!(is_input, "block {}: {} of {}", number, field, kind);
                }
            }
            Err(CheckError::Refused(refused)) => {
                let block = &sample().blocks[number];
                let end = block.first_leaf + u64::from(block.leaf_count);
                prop_assert!((block.first_leaf..=end).contains(&refused.leaf), "{}", refused);
            }
            // Another batch or another manifest is named: the authority waits for it.
            Err(CheckError::MissingEvidence { .. } | CheckError::MissingRoll { .. }) => {}
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
    }
}
