use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::ballot::ChoiceIndex;
use crate::batch::{BatchHeader, NodeKey};
use crate::commitment::CommitmentSum;
use crate::credential::{CredentialHash, RegistryKey};
use crate::election::{Bilingual, Choice};
use crate::envelope::Envelope;
use crate::fixed_rng::FixedRng;
use crate::id::{BatchNumber, Epoch, RequestId, Sequence};
use crate::instant::UnixMillis;
use crate::log::leaf::BatchLeaf;

const ELECTORS: u8 = 30;

pub(super) struct Keys {
    pub(super) ballot: BallotSecretKey,
    pub(super) node: NodeKey,
}

pub(super) fn keys() -> Keys {
    Keys { ballot: BallotSecretKey::from_seed(&[1; 32]), node: NodeKey::from_seed(&[2; 32]) }
}

pub(super) fn maker(at: u64) -> BlockMaker {
    BlockMaker { term: 1, leader: "authority-1".to_owned(), at: UnixSeconds(at) }
}

fn roll() -> RollContent {
    let keys = (0..ELECTORS).map(|elector| RegistryKey::from_bytes([elector; 32])).collect();
    RollContent::Roll(Arc::new(KeyList::new(keys).expect("ascending")))
}

fn definition(results: ResultsPolicy, publish_every: u64) -> Definition {
    let text = Bilingual { fr: "Loi".to_owned(), en: "Law".to_owned() };
    Definition {
        law_id: "L1".parse().expect("law id"),
        title: text.clone(),
        description: text,
        choices: ["oui", "non"]
            .map(|id| Choice::with_customary_labels(id.parse().expect("choice id")))
            .to_vec(),
        binding: false,
        results,
        publish_every,
        opens: None,
        closes: None,
        ballot_key: keys().ballot.public_key(),
    }
}

pub(super) fn batch(sequence: u64, last: bool, votes: &[(u8, u8, u16)]) -> Arc<Batch> {
    let keys = keys();
    let number =
        BatchNumber { node: keys.node.node_id(), epoch: Epoch(1), sequence: Sequence(sequence) };
    let law_id = "L1".parse().expect("law id");
    let header = BatchHeader { law_id, number, confirmed_through: Sequence(sequence - 1), last };
    let envelopes: Vec<_> = votes
        .iter()
        .map(|(request, elector, choice)| Envelope {
            request: RequestId::from_bytes([*request; 16]),
            hash: CredentialHash::from_bytes([*elector; 32]),
            received: UnixMillis(150_000),
            choice: ChoiceIndex(*choice),
        })
        .collect();
    let mut rng = FixedRng::new(3);
    Arc::new(
        Batch::seal(header, &envelopes, &keys.ballot.public_key(), &keys.node, &mut rng)
            .expect("sealed"),
    )
}

/// What a node stores: blocks and evidence.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) blocks: Vec<Block>,
    batches: HashMap<BatchNumber, Arc<Batch>>,
    pub(super) supplements: HashMap<Digest, RollContent>,
    pub(super) purged: bool,
}

impl Stored {
    pub(super) fn content(&self, manifest: &Digest) -> RollContent {
        self.supplements.get(manifest).cloned().unwrap_or_else(roll)
    }
}

impl ReplaySource for Stored {
    fn roll(&mut self, event: &RollEvent) -> Option<RollContent> {
        Some(self.content(&event.manifest))
    }

    fn choices(&mut self, leaf: &BatchLeaf) -> Option<Vec<(RequestId, Option<ChoiceIndex>)>> {
        let batch = self.batches.get(&leaf.number()).filter(|_| !self.purged)?;
        let requests = batch.envelopes().map(|envelope| envelope.request);
        Some(requests.zip(batch.open(&keys().ballot)).collect())
    }
}

pub(super) fn opened(results: ResultsPolicy, publish_every: u64) -> (Chronicle, Stored) {
    let (mut chronicle, first) = Chronicle::begin(definition(results, publish_every), &maker(90));
    let load = RollLoad {
        manifest: Digest::from_bytes([7; 32]),
        parent: None,
        scheme: HashScheme::Sha256,
        content: roll(),
    };
    let acts = [
        Act::Load(load),
        Act::Admit(keys().node.public_key()),
        Act::Open { opens: UnixSeconds(100), waivers: vec![] },
    ];
    let second = chronicle.record(&acts, &maker(100)).expect("a draft with a roll opens");
    (chronicle, Stored { blocks: vec![first, second], ..Stored::default() })
}

pub(super) fn seal(chronicle: &mut Chronicle, stored: &mut Stored, batches: &[Arc<Batch>]) {
    for batch in batches {
        chronicle.check_batch(batch).expect("an admitted node's batch");
        stored.batches.insert(batch.number(), Arc::clone(batch));
    }
    let Sealed { block, refused } =
        chronicle.seal(batches, &keys().ballot, &maker(160)).expect("open");
    assert_eq!(refused, []);
    stored.blocks.push(block);
}

pub(super) fn close(chronicle: &mut Chronicle, stored: &mut Stored) {
    let act = Act::Closing { closes: UnixSeconds(200) };
    stored.blocks.push(chronicle.record(&[act], &maker(199)).expect("open"));
    stored.blocks.push(chronicle.close(&maker(201)).expect("reconciled"));
}

fn read_back(stored: &mut Stored) -> Chronicle {
    let blocks: Vec<_> = stored.blocks.iter().map(|block| block.leaves.clone()).collect();
    let mut chronicle = None;
    for leaves in blocks {
        chronicle =
            Some(Chronicle::replay(chronicle, &leaves, &keys().ballot, stored).expect("own log"));
    }
    chronicle.expect("a log has a block")
}

fn leaves(stored: &Stored) -> Vec<Leaf> {
    let leaves = stored.blocks.iter().flat_map(|block| leaves_of_block(&block.leaves));
    leaves.map(|leaf| Leaf::parse(leaf.expect("whole")).expect("canonical")).collect()
}

pub(super) fn votes() -> impl Strategy<Value = Vec<Vec<(u8, u8, u16)>>> {
    prop::collection::vec(prop::collection::vec((0_u8..80, 0_u8..40, 0_u16..3), 0..12), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// What is read back is what was made; every opening matches the commitments; the accounts add
    /// up; purged evidence leaves the totals.
    #[test]
    fn a_log_reads_back_as_it_was_made(
        votes in votes(),
        every in 1_u64..6,
        policy in prop::sample::select(vec![ResultsPolicy::Live, ResultsPolicy::AfterVote, ResultsPolicy::AfterClose]),
        closing: bool,
    ) {
        let (mut chronicle, mut stored) = opened(policy, every);
        for (sequence, votes) in (1..).zip(&votes) {
            seal(&mut chronicle, &mut stored, &[batch(sequence, false, votes)]);
        }
        if closing {
            seal(&mut chronicle, &mut stored, &[batch(votes.len() as u64 + 1, true, &[])]);
            close(&mut chronicle, &mut stored);
            prop_assert_eq!(chronicle.results().counts.total(), chronicle.report().accepted);
        }
        let back = read_back(&mut stored);
        prop_assert_eq!(back.results(), chronicle.results());
        prop_assert_eq!(back.tree().root(), chronicle.tree().root());
        prop_assert_eq!(back.fold().requests().len(), chronicle.fold().requests().len());
        check_openings(&leaves(&stored), policy, every);
        if closing {
            stored.purged = true;
            let purged = read_back(&mut stored);
            prop_assert_eq!(purged.evidence_missing(), !votes.is_empty() || closing);
            prop_assert_eq!(purged.results(), chronicle.results());
        }
    }
}

/// Each `totals` leaf opens the commitments before it, and under `live` no range is smaller than
/// `every`, nor is what is held back.
fn check_openings(leaves: &[Leaf], policy: ResultsPolicy, every: u64) {
    let mut sums = vec![CommitmentSum::new(3)];
    let (mut height, mut accepted, mut accepted_at, mut published, mut closed) =
        (0, 0, vec![0], 0, false);
    for leaf in leaves {
        match leaf {
            Leaf::Counts(counts) => {
                let mut sum = sums.last().expect("never empty").clone();
                sum.add(&counts.commitments).expect("three commitments");
                sums.push(sum);
                accepted_at.push(accepted);
            }
            Leaf::Entry(entry)
                if matches!(entry.decision, crate::decision::Decision::Accepted { .. }) =>
            {
                accepted += 1
            }
            Leaf::Election(ElectionEvent::Closed { .. }) => closed = true,
            Leaf::Totals(totals) => {
                let total: u64 = totals.values.iter().sum();
                assert!(
                    sums.iter().any(|sum| sum.opens_to(&totals.values, &totals.blindings)),
                    "opens some prefix"
                );
                if !closed {
                    assert_eq!(policy, ResultsPolicy::Live);
                    assert!(total - published >= every, "{total} {published} {every}");
                    assert!(every == 1 || accepted - total >= every);
                }
                assert!(totals.through <= height + 1);
                published = total;
            }
            Leaf::Block(_) => height += 1,
            _ => {}
        }
    }
}

#[test]
fn a_close_waits_for_open_epochs() {
    let (mut chronicle, mut stored) = opened(ResultsPolicy::AfterClose, 1);
    seal(&mut chronicle, &mut stored, &[batch(1, false, &[(1, 1, 0)])]);
    chronicle.record(&[Act::Closing { closes: UnixSeconds(200) }], &maker(199)).expect("open");
    assert!(matches!(chronicle.close(&maker(201)), Err(ChronicleError::OpenEpoch { .. })));
    seal(&mut chronicle, &mut stored, &[batch(2, true, &[])]);
    assert!(chronicle.close(&maker(201)).is_ok());
}

#[test]
fn strangers_and_forgers_are_refused() {
    let (chronicle, _) = opened(ResultsPolicy::AfterClose, 1);
    let good = batch(1, false, &[(1, 1, 0)]);
    assert_eq!(chronicle.check_batch(&good), Ok(()));
    let mut bytes = good.as_bytes().to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let forged = Batch::parse(bytes).expect("reads");
    assert!(matches!(
        chronicle.check_batch(&forged),
        Err(ChronicleError::Batch(BatchError::Signature { .. }))
    ));
    let (draft, _) = Chronicle::begin(definition(ResultsPolicy::Live, 1), &maker(1));
    assert!(matches!(draft.check_batch(&good), Err(ChronicleError::NotAdmitted { .. })));
}

#[test]
fn acts_out_of_order_are_refused() {
    let (mut draft, _) = Chronicle::begin(definition(ResultsPolicy::Live, 1), &maker(1));
    let open = Act::Open { opens: UnixSeconds(100), waivers: vec![] };
    assert_eq!(
        draft.record(std::slice::from_ref(&open), &maker(2)).unwrap_err(),
        ChronicleError::NoRoll
    );
    let (mut chronicle, _) = opened(ResultsPolicy::Live, 1);
    assert!(matches!(
        chronicle.record(&[open], &maker(2)),
        Err(ChronicleError::State { state: State::Open, .. })
    ));
    assert!(matches!(chronicle.close(&maker(2)), Err(ChronicleError::State { .. })));
    let again = RollLoad {
        manifest: Digest::from_bytes([8; 32]),
        parent: None,
        scheme: HashScheme::Sha256,
        content: roll(),
    };
    assert_eq!(
        chronicle.record(&[Act::Load(again)], &maker(2)).unwrap_err(),
        ChronicleError::SecondRoll
    );
}
