use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::ballot::{BallotSecretKey, ChoiceIndex};
use crate::batch::{Batch, BatchHeader, NodeKey};
use crate::credential::RegistryKey;
use crate::electorate::{Changes, KeyList};
use crate::envelope::Envelope;
use crate::fixed_rng::FixedRng;
use crate::id::{BatchNumber, Epoch, RequestId, Sequence};
use crate::reconcile::Report;

/// The minute that the times of these tests count from.
const START: u64 = 29_400_000;
const WINDOW: Window =
    Window { opens: Some(UnixMinutes(START + 100)), closes: Some(UnixMinutes(START + 200)) };
const SCHEME: HashScheme = HashScheme::Sha256;

fn hash(elector: u8) -> CredentialHash {
    CredentialHash::from_bytes([elector; 32])
}

fn electorate() -> Electorate {
    let mut electorate = Electorate::default();
    let keys = (0..20).map(|elector| RegistryKey::from_bytes([elector; 32])).collect();
    electorate.add_roll(Arc::new(KeyList::new(keys).expect("ascending"))).expect("few");
    let revoked = RegistryKey::from_bytes([19; 32]);
    electorate.apply(&Changes { revoke: vec![revoked], ..Changes::default() });
    electorate
}

fn envelope(request: u8, elector: u8, minute: u64) -> Envelope {
    Envelope {
        request: RequestId::from_bytes([request; 16]),
        hash: hash(elector),
        received: UnixMinutes(START + minute),
        choice: ChoiceIndex(0),
    }
}

fn batch(sequence: u64, last: bool, envelopes: &[Envelope]) -> VerifiedBatch {
    let node = NodeKey::from_seed(&[2; 32]);
    let number =
        BatchNumber { node: node.node_id(), epoch: Epoch(1), sequence: Sequence(sequence) };
    let law_id: ElectionId = "L1".parse().expect("law id");
    let header = BatchHeader {
        law_id: law_id.clone(),
        number,
        confirmed_through: Sequence(sequence - 1),
        last,
    };
    let ballot = BallotSecretKey::from_seed(&[1; 32]).public_key();
    let sealed = Batch::seal(header, envelopes, &ballot, &node, &mut FixedRng::new(1));
    Arc::new(sealed.expect("sealed")).verify(&law_id, &node.public_key()).expect("own signature")
}

fn decisions() -> DecisionState {
    DecisionState::new("L1".parse().expect("law id"), electorate())
}

fn decide(
    decisions: &mut DecisionState,
    batch: &VerifiedBatch,
) -> Result<Vec<Outcome>, OrderError> {
    let mut pending = PendingDecisions::default();
    let outcomes = decisions.decide(&mut pending, batch, SCHEME, &WINDOW, 0)?;
    decisions.apply(pending);
    Ok(outcomes)
}

#[test]
fn every_rule_in_its_order() {
    let mut decisions = decisions();
    let batch = batch(
        1,
        false,
        &[
            envelope(5, 2, 99),
            envelope(1, 1, 150),
            envelope(2, 1, 150),
            envelope(1, 1, 150),
            envelope(1, 3, 150),
            envelope(3, 99, 150),
            envelope(3, 98, 150),
            envelope(4, 19, 150),
            envelope(7, 2, 199),
            envelope(6, 2, 200),
        ],
    );
    let outcomes = decide(&mut decisions, &batch).expect("the next batch");
    for (outcome, envelope) in outcomes.iter().zip(batch.envelopes()) {
        assert!(outcome.names(&envelope));
    }
    let decisions: Vec<_> =
        outcomes.iter().map(|outcome| outcome.entry().map(|entry| entry.decision)).collect();
    let digests: Vec<_> = batch.envelopes().map(|envelope| envelope.digest()).collect();
    let invalid =
        |reason, index: usize| Some(Decision::Invalid { reason, envelope: digests[index] });
    assert_eq!(
        decisions,
        [
            invalid(InvalidReason::Early, 0),
            Some(Decision::Accepted { hash: hash(1) }),
            Some(Decision::Duplicate { hash: hash(1), attempt: 2 }),
            None,
            invalid(InvalidReason::Clash, 4),
            invalid(InvalidReason::Unknown, 5),
            invalid(InvalidReason::Clash, 6),
            invalid(InvalidReason::Revoked, 7),
            Some(Decision::Accepted { hash: hash(2) }),
            invalid(InvalidReason::Late, 9),
        ]
    );
}

#[test]
fn a_batch_of_another_election_is_not_decided() {
    let mut decisions = DecisionState::new("L2".parse().expect("law id"), electorate());
    let refused = decide(&mut decisions, &batch(1, false, &[envelope(1, 1, 150)]));
    assert!(matches!(refused, Err(OrderError::Law { .. })));
    assert!(decisions.requests().is_empty());
}

#[test]
fn numbers_must_follow() {
    let mut decisions = decisions();
    let mut attempt =
        |batch: &VerifiedBatch| decide(&mut decisions, batch).map(|outcomes| outcomes.len());
    assert!(matches!(
        attempt(&batch(2, false, &[])),
        Err(OrderError::Gap { expected: Sequence(1), .. })
    ));
    assert_eq!(attempt(&batch(1, false, &[envelope(1, 1, 150)])), Ok(1));
    assert!(matches!(attempt(&batch(1, false, &[])), Err(OrderError::Sealed { .. })));
    assert_eq!(attempt(&batch(2, true, &[])), Ok(0));
    assert!(matches!(attempt(&batch(3, false, &[])), Err(OrderError::Ended { .. })));
}

fn batches() -> impl Strategy<Value = Vec<Vec<(u8, u8, u64)>>> {
    prop::collection::vec(prop::collection::vec((0_u8..60, 0_u8..25, 95_u64..205), 0..30), 1..8)
}

proptest! {
    /// Invariants 2, 3 and 4; and the state read back from the log equals the state that wrote it.
    #[test]
    fn decisions_keep_the_invariants(batches in batches()) {
        let mut replayed = decisions();
        let mut replay = PendingDecisions::default();
        // All batches of the election in one block, compared with one block per batch.
        let (one_block, mut whole) = (decisions(), PendingDecisions::default());
        let mut decisions = decisions();
        let mut decided: BTreeMap<RequestId, CredentialHash> = BTreeMap::new();
        let mut minute = 85;
        let mut accepted = BTreeSet::new();
        let mut attempts: BTreeMap<CredentialHash, u32> = BTreeMap::new();
        let mut report = Report::default();
        for (sequence, envelopes) in (1..).zip(&batches) {
            let mut envelopes: Vec<_> = envelopes
                .iter()
                .map(|(request, elector, _)| envelope(*request, *elector, minute))
                .collect();
            minute += 20;
            for envelope in &mut envelopes {
                envelope.received.0 += u64::from(sequence == 3);
            }
            let batch = batch(sequence, false, &envelopes);
            let outcomes = decide(&mut decisions, &batch).expect("the next batch");
            let in_one_block = one_block.decide(&mut whole, &batch, SCHEME, &WINDOW, 0);
            prop_assert_eq!(in_one_block.as_ref(), Ok(&outcomes));
            prop_assert_eq!(outcomes.len(), envelopes.len());
            for (envelope, outcome) in batch.envelopes().zip(&outcomes) {
                prop_assert!(outcome.names(&envelope));
                report.count(outcome.entry());
                let first = decided.get(&envelope.request).copied();
                decided.entry(envelope.request).or_insert(envelope.hash);
                let Some(entry) = outcome.entry() else {
                    prop_assert_eq!(first, Some(envelope.hash));
                    continue;
                };
                let is_clash = matches!(
                    entry.decision,
                    Decision::Invalid { reason: InvalidReason::Clash, .. }
                );
                prop_assert_eq!(is_clash, first.is_some());
                replayed.take_entry(&mut replay, entry, SCHEME, 0);
                match entry.decision {
                    Decision::Accepted { hash } => {
                        prop_assert!(accepted.insert(hash), "accepted twice");
                        attempts.insert(hash, 1);
                    }
                    Decision::Duplicate { hash, attempt } => {
                        let count =
                            attempts.get_mut(&hash).expect("a duplicate follows an acceptance");
                        *count += 1;
                        prop_assert_eq!(attempt, *count);
                    }
                    Decision::Invalid { .. } => {}
                }
            }
        }
        prop_assert_eq!(
            report.received,
            report.accepted + report.duplicate + report.invalid + report.replayed
        );
        prop_assert_eq!(report.accepted, decisions.electorate().voted());
        // Nothing changes before the decisions are applied.
        prop_assert!(one_block.requests().is_empty() && one_block.electorate().voted() == 0);
        prop_assert_eq!(one_block.epochs().iter().count(), 0);
        let mut one_block = one_block;
        one_block.apply(whole);
        replayed.apply(replay);
        prop_assert_eq!(one_block.requests().decided(), decisions.requests().decided());
        prop_assert!(one_block.epochs().iter().eq(decisions.epochs().iter()));
        prop_assert_eq!(replayed.requests().len(), decisions.requests().len());
        for elector in 0..25 {
            let key = SCHEME.registry_key(&hash(elector));
            let status = decisions.electorate().look_up(&key);
            prop_assert_eq!(one_block.electorate().look_up(&key), status);
            prop_assert_eq!(replayed.electorate().look_up(&key), status);
        }
    }
}
