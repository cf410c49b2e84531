use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::ballot::{BallotSecretKey, ChoiceIndex};
use crate::batch::{BatchHeader, NodeKey};
use crate::credential::RegistryKey;
use crate::envelope::Envelope;
use crate::fixed_rng::FixedRng;
use crate::id::RequestId;
use crate::instant::{UnixMillis, UnixSeconds};
use crate::reconcile::Report;
use crate::registry::{Changes, KeyList};

const WINDOW: Window = Window { opens: Some(UnixSeconds(100)), closes: Some(UnixSeconds(200)) };
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

fn envelope(request: u8, elector: u8, second: u64) -> Envelope {
    Envelope {
        request: RequestId::from_bytes([request; 16]),
        hash: hash(elector),
        received: UnixMillis(second * 1000),
        choice: ChoiceIndex(0),
    }
}

fn batch(sequence: u64, last: bool, envelopes: &[Envelope]) -> Batch {
    let node = NodeKey::from_seed(&[2; 32]);
    let number =
        BatchNumber { node: node.node_id(), epoch: Epoch(1), sequence: Sequence(sequence) };
    let header = BatchHeader {
        law_id: "L1".parse().expect("law id"),
        number,
        confirmed_through: Sequence(sequence - 1),
        last,
    };
    let ballot = BallotSecretKey::from_seed(&[1; 32]).public_key();
    Batch::seal(header, envelopes, &ballot, &node, &mut FixedRng::new(1)).expect("sealed")
}

fn decide(fold: &mut Fold, electorate: &mut Electorate, batch: &Batch) -> Vec<Option<Entry>> {
    fold.decide(batch, electorate, SCHEME, &WINDOW, 0).expect("the next batch")
}

#[test]
fn every_rule_in_its_order() {
    let (mut fold, mut electorate) = (Fold::default(), electorate());
    let batch = batch(
        1,
        false,
        &[
            envelope(1, 1, 150),
            envelope(2, 1, 150),
            envelope(1, 1, 150),
            envelope(3, 99, 150),
            envelope(4, 19, 150),
            envelope(5, 2, 99),
            envelope(6, 2, 200),
            envelope(7, 2, 199),
        ],
    );
    let decisions: Vec<_> = decide(&mut fold, &mut electorate, &batch)
        .into_iter()
        .map(|entry| entry.map(|entry| entry.decision))
        .collect();
    let invalid = |reason| Some(Decision::Invalid { reason });
    assert_eq!(
        decisions,
        [
            Some(Decision::Accepted { hash: hash(1) }),
            Some(Decision::Duplicate { hash: hash(1), attempt: 2 }),
            None,
            invalid(InvalidReason::Unknown),
            invalid(InvalidReason::Revoked),
            invalid(InvalidReason::Early),
            invalid(InvalidReason::Late),
            Some(Decision::Accepted { hash: hash(2) }),
        ]
    );
}

#[test]
fn numbers_must_follow() {
    let (mut fold, mut electorate) = (Fold::default(), electorate());
    let mut attempt = |batch: &Batch| {
        fold.decide(batch, &mut electorate, SCHEME, &WINDOW, 0).map(|entries| entries.len())
    };
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
    /// Invariants 2, 3 and 4, and that the state read back from the log is the state that wrote it.
    #[test]
    fn decisions_keep_the_invariants(batches in batches()) {
        let (mut fold, mut electorate_now) = (Fold::default(), electorate());
        let (mut replayed_fold, mut replayed_electorate) = (Fold::default(), electorate());
        let mut decided = BTreeSet::new();
        let mut accepted = BTreeSet::new();
        let mut attempts: BTreeMap<CredentialHash, u32> = BTreeMap::new();
        let mut report = Report::default();
        for (sequence, envelopes) in (1..).zip(&batches) {
            let envelopes: Vec<_> = envelopes.iter().map(|(request, elector, second)| envelope(*request, *elector, *second)).collect();
            let batch = batch(sequence, false, &envelopes);
            let entries = decide(&mut fold, &mut electorate_now, &batch);
            prop_assert_eq!(entries.len(), envelopes.len());
            replayed_fold.take_batch(batch.number(), false).expect("the next batch");
            for (envelope, entry) in envelopes.iter().zip(&entries) {
                report.count(entry.as_ref());
                prop_assert_eq!(entry.is_none(), !decided.insert(envelope.request));
                let Some(entry) = entry else { continue };
                prop_assert_eq!(entry.request, envelope.request);
                replayed_fold.replay(entry, &mut replayed_electorate, SCHEME, 0);
                match entry.decision {
                    Decision::Accepted { hash } => {
                        prop_assert!(accepted.insert(hash), "accepted twice");
                        attempts.insert(hash, 1);
                    }
                    Decision::Duplicate { hash, attempt } => {
                        let count = attempts.get_mut(&hash).expect("a duplicate follows an acceptance");
                        *count += 1;
                        prop_assert_eq!(attempt, *count);
                    }
                    Decision::Invalid { .. } => {}
                }
            }
        }
        prop_assert_eq!(report.received, report.accepted + report.duplicate + report.invalid + report.replayed);
        prop_assert_eq!(report.accepted, electorate_now.voted());
        prop_assert_eq!(replayed_electorate.voted(), electorate_now.voted());
        prop_assert_eq!(replayed_fold.requests().len(), fold.requests().len());
        for elector in 0..25 {
            let key = SCHEME.registry_key(&hash(elector));
            prop_assert_eq!(replayed_electorate.look_up(&key), electorate_now.look_up(&key));
        }
    }
}
