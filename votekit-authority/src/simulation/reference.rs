//! The reference: decides the votes of the certified blocks again, by rules of its own.
//!
//! It shares no code with the decisions of votekit-core: it knows the votes in clear, and a table
//! or two are enough for twenty electors.

use std::collections::{BTreeMap, BTreeSet};

use votekit_core::credential::CredentialHash;
use votekit_core::decision::{Decision, Entry, InvalidReason, Replay};
use votekit_core::election_log::leaves_of_block;
use votekit_core::envelope::{Envelope, EnvelopeDigest};
use votekit_core::id::{BatchNumber, RequestId};
use votekit_core::instant::UnixMinutes;
use votekit_core::log::leaf::{BatchLeaf, ElectionEvent, Leaf};
use votekit_core::reconcile::Report;
use votekit_core::tally::Counts;

use super::election::{Election, is_elector};
use super::row::Leaves;
use super::violation::{Rule, Violation};

/// How far the poll has come in the certified log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Draft,
    Open,
    Closing,
    Closed,
}

/// The state that follows from the certified blocks.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) phase: Phase,
    pub(super) report: Report,
    pub(super) counts: Counts,
    pub(super) sealed: BTreeSet<BatchNumber>,
    opens: UnixMinutes,
    closes: Option<UnixMinutes>,
    requests: BTreeMap<RequestId, CredentialHash>,
    attempts: BTreeMap<CredentialHash, u32>,
}

impl Reference {
    pub(super) fn new(choices: usize) -> Self {
        Self {
            phase: Phase::Draft,
            report: Report::default(),
            counts: Counts::zero(choices),
            sealed: BTreeSet::new(),
            opens: UnixMinutes(0),
            closes: None,
            requests: BTreeMap::new(),
            attempts: BTreeMap::new(),
        }
    }

    /// Reads the next certified block.
    pub(super) fn read(&mut self, block: &Leaves, election: &Election) -> Result<(), Violation> {
        let differs = |detail: String| Violation { rule: Rule::DecisionDiffers, detail };
        let mut leaves = leaves_of_block(&block.bytes);
        while let Some(bytes) = leaves.next() {
            let leaf = bytes.and_then(|bytes| Leaf::parse(bytes).ok());
            match leaf.ok_or_else(|| differs("a leaf does not parse".to_owned()))? {
                Leaf::Election(event) => self.take_event(&event)?,
                Leaf::Batch(batch) => self.decide(&batch, &mut leaves, election)?,
                leaf @ (Leaf::Entry(_) | Leaf::Replay(_)) => {
                    return Err(differs(format!("{leaf:?} is about no envelope")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn take_event(&mut self, event: &ElectionEvent) -> Result<(), Violation> {
        match event {
            ElectionEvent::Open { opens, .. } => {
                self.phase = Phase::Open;
                self.opens = *opens;
            }
            ElectionEvent::Closing { closes, .. } => {
                self.phase = Phase::Closing;
                self.closes = Some(*closes);
            }
            ElectionEvent::Closed { report, .. } => {
                self.phase = Phase::Closed;
                if *report != self.report {
                    let detail = format!("the close reports {report}, not {}", self.report);
                    return Err(Violation { rule: Rule::Unbalanced, detail });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn decide<'a>(
        &mut self,
        leaf: &BatchLeaf,
        leaves: &mut impl Iterator<Item = Option<&'a [u8]>>,
        election: &Election,
    ) -> Result<(), Violation> {
        let number = leaf.number();
        if !self.sealed.insert(number) {
            let detail = format!("batch {number}");
            return Err(Violation { rule: Rule::SealedTwice, detail });
        }
        let differs = |what: &str| Violation {
            rule: Rule::DecisionDiffers,
            detail: format!("batch {number}: {what}"),
        };
        let planned = election.planned(&number).ok_or_else(|| differs("not one of the run"))?;
        if leaf.digest != planned.batch.digest() {
            return Err(differs("another digest"));
        }
        for (index, vote) in planned.votes.iter().enumerate() {
            let expected = self.outcome(vote).to_bytes();
            if leaves.next().flatten() != Some(expected.as_slice()) {
                return Err(differs(&format!("the decision on envelope {index}")));
            }
        }
        Ok(())
    }

    /// The leaf of a vote, by the rules in their order.
    fn outcome(&mut self, vote: &Envelope) -> Leaf {
        let Envelope { request, hash, received, choice } = *vote;
        let envelope = EnvelopeDigest::new(&request, received, &hash);
        self.report.received += 1;
        let known = self.requests.get(&request).copied();
        if known == Some(hash) {
            self.report.replayed += 1;
            return Leaf::Replay(Replay { request, envelope });
        }
        // A clash leaves the request with its first credential.
        self.requests.entry(request).or_insert(hash);
        let reason = if known.is_some() {
            Some(InvalidReason::Clash)
        } else if received < self.opens {
            Some(InvalidReason::Early)
        } else if self.closes.is_some_and(|closes| received >= closes) {
            Some(InvalidReason::Late)
        } else if !is_elector(&hash) {
            Some(InvalidReason::Unknown)
        } else {
            None
        };
        let decision = match reason {
            Some(reason) => {
                self.report.invalid += 1;
                Decision::Invalid { reason, envelope }
            }
            None => {
                let attempt = self.attempts.entry(hash).or_default();
                *attempt += 1;
                if *attempt == 1 {
                    self.report.accepted += 1;
                    match self.counts.choices.get_mut(usize::from(choice.0)) {
                        Some(count) => *count += 1,
                        None => self.counts.spoiled += 1,
                    }
                    Decision::Accepted { hash }
                } else {
                    self.report.duplicate += 1;
                    Decision::Duplicate { hash, attempt: *attempt }
                }
            }
        };
        Leaf::Entry(Entry { request, decision, minute: received })
    }
}
