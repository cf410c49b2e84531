use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::ballot::{BallotSecretKey, ChoiceIndex};
use crate::batch::{BatchError, BatchHeader, NodeKey};
use crate::commitment::CommitmentSum;
use crate::credential::{CredentialHash, RegistryKey};
use crate::election::{Bilingual, Choice, ResultsPolicy};
use crate::electorate::KeyList;
use crate::envelope::Envelope;
use crate::fixed_rng::FixedRng;
use crate::id::{BatchNumber, Epoch, RequestId, Sequence};
use crate::log::leaf::{BatchLeaf, RollEvent};

const ELECTORS: u8 = 30;

/// The minute that the times of these tests count from.
const EPOCH: u64 = 29_400_000;

pub(super) struct Keys {
    pub(super) ballot: BallotSecretKey,
    pub(super) node: NodeKey,
}

pub(super) fn keys() -> Keys {
    Keys { ballot: BallotSecretKey::from_seed(&[1; 32]), node: NodeKey::from_seed(&[2; 32]) }
}

pub(super) fn maker(at: u64) -> BlockMaker {
    BlockMaker { term: 1, leader: "authority-1".to_owned(), at: minute(at) }
}

pub(super) fn minute(after: u64) -> UnixMinutes {
    UnixMinutes(EPOCH + after)
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
            received: minute(150),
            choice: ChoiceIndex(*choice),
        })
        .collect();
    let mut rng = FixedRng::new(3);
    Arc::new(
        Batch::seal(header, &envelopes, &keys.ballot.public_key(), &keys.node, &mut rng)
            .expect("sealed"),
    )
}

/// The data that a node stores: blocks and evidence.
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

    fn evidence(&mut self, leaf: &BatchLeaf) -> Option<Evidence> {
        let batch = self.batches.get(&leaf.number()).filter(|_| !self.purged)?;
        Some(Evidence { batch: Arc::clone(batch), choices: batch.open(&keys().ballot) })
    }
}

pub(super) fn opened(results: ResultsPolicy, publish_every: u64) -> (ElectionLog, Stored) {
    let (mut log, first) = ElectionLog::begin(definition(results, publish_every), &maker(90));
    let load = RollLoad {
        manifest: Digest::from_bytes([7; 32]),
        parent: None,
        replaces: None,
        scheme: HashScheme::Sha256,
        content: roll(),
    };
    let acts = [
        LogEvent::Load(load),
        LogEvent::Admit(keys().node.public_key()),
        LogEvent::Open { opens: minute(100), waivers: vec![] },
    ];
    let second = append(&mut log, &acts, &maker(100)).expect("a draft with a roll opens");
    (log, Stored { blocks: vec![first, second], ..Stored::default() })
}

/// Proposes events and applies them.
pub(super) fn append(
    log: &mut ElectionLog,
    events: &[LogEvent],
    maker: &BlockMaker,
) -> Result<Block, ElectionLogError> {
    let Proposal { block, effect, .. } = log.propose(&BlockContent::Events(events), maker)?;
    log.apply(effect);
    Ok(block)
}

/// Proposes the close and applies it.
pub(super) fn end(log: &mut ElectionLog, maker: &BlockMaker) -> Result<Block, ElectionLogError> {
    let Proposal { block, effect, .. } = log.propose(&BlockContent::Close, maker)?;
    log.apply(effect);
    Ok(block)
}

pub(super) fn seal(log: &mut ElectionLog, stored: &mut Stored, batches: &[Arc<Batch>]) {
    let mut verified = Vec::new();
    for batch in batches {
        verified.push(log.verify_batch(batch).expect("an admitted node's batch"));
        stored.batches.insert(batch.number(), Arc::clone(batch));
    }
    let content = BlockContent::Batches { batches: &verified, ballot_key: &keys().ballot };
    let Proposal { block, effect, refused } = log.propose(&content, &maker(160)).expect("open");
    assert_eq!(refused, []);
    log.apply(effect);
    stored.blocks.push(block);
}

pub(super) fn close(log: &mut ElectionLog, stored: &mut Stored) {
    let act = LogEvent::Closing { closes: minute(200), reason: None };
    stored.blocks.push(append(log, &[act], &maker(199)).expect("open"));
    stored.blocks.push(end(log, &maker(201)).expect("reconciled"));
}

/// An election with these batches of votes, closed or still open.
pub(super) fn voted(
    votes: &[Vec<(u8, u8, u16)>],
    results: ResultsPolicy,
    publish_every: u64,
    is_closed: bool,
) -> (ElectionLog, Stored) {
    let (mut log, mut stored) = opened(results, publish_every);
    for (sequence, votes) in (1..).zip(votes) {
        seal(&mut log, &mut stored, &[batch(sequence, false, votes)]);
    }
    if is_closed {
        seal(&mut log, &mut stored, &[batch(votes.len() as u64 + 1, true, &[])]);
        close(&mut log, &mut stored);
    }
    (log, stored)
}

fn read_back(stored: &mut Stored) -> ElectionLog {
    let blocks: Vec<_> = stored.blocks.iter().map(|block| block.leaves.clone()).collect();
    let mut replay = LogReplay::new();
    for leaves in blocks {
        replay.read(&leaves, &keys().ballot, stored).expect("own log");
    }
    replay.finish().expect("a log has a block")
}

fn leaves(stored: &Stored) -> Vec<Leaf> {
    let leaves = stored.blocks.iter().flat_map(|block| leaves_of_block(&block.leaves));
    leaves.map(|leaf| Leaf::parse(leaf.expect("whole")).expect("canonical")).collect()
}

pub(super) fn votes() -> impl Strategy<Value = Vec<Vec<(u8, u8, u16)>>> {
    // The choice is a function of the request, as for the ids of idempotent requests.
    let vote = (0_u8..80, 0_u8..40)
        .prop_map(|(request, elector)| (request, elector, u16::from(request) % 3));
    prop::collection::vec(prop::collection::vec(vote, 0..12), 0..8)
}

pub(super) fn policy() -> impl Strategy<Value = ResultsPolicy> {
    use ResultsPolicy::{AfterClose, AfterVote, Live};
    prop::sample::select(vec![Live, AfterVote, AfterClose])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The log read back equals the log made, every opening matches the commitments, the accounts
    /// add up, and purged evidence leaves the totals.
    #[test]
    fn a_log_reads_back_as_it_was_made(
        votes in votes(),
        every in 1_u64..6,
        policy in policy(),
        closing: bool,
    ) {
        let (mut log, mut stored) = voted(&votes, policy, every, closing);
        if closing {
            prop_assert_eq!(log.results().counts.total(), log.report().accepted);
        }
        let back = read_back(&mut stored);
        prop_assert_eq!(back.results(), log.results());
        prop_assert_eq!(back.tree().root(), log.tree().root());
        prop_assert_eq!(back.decisions().requests().len(), log.decisions().requests().len());
        check_openings(&leaves(&stored), policy, every);
        if closing {
            // The log states the purge first, as a node does before it destroys anything.
            let acts = [LogEvent::Certify { witness_waiver: None }, LogEvent::Purge];
            stored.blocks.push(append(&mut log, &acts, &maker(202)).expect("closed"));
            stored.purged = true;
            let purged = read_back(&mut stored);
            prop_assert_eq!(purged.evidence_missing(), !votes.is_empty() || closing);
            prop_assert_eq!(purged.results(), log.results());
        }
    }
}

/// A leader that is replaced leaves a proposal behind that anyone with the ledger can read, besides
/// the block that replaced it. With equal blindings, equal counts would be equal commitments.
#[test]
fn two_blocks_proposed_at_one_height_share_no_commitment() {
    let (log, _) = opened(ResultsPolicy::AfterClose, 1);
    let commitments_of = |votes: &[(u8, u8, u16)]| {
        let batch = log.verify_batch(&batch(1, false, votes)).expect("an admitted node's batch");
        let content = BlockContent::Batches { batches: &[batch], ballot_key: &keys().ballot };
        let Proposal { block, .. } = log.propose(&content, &maker(160)).expect("open");
        let mut leaves = leaves_of_block(&block.leaves);
        let counts = leaves.find_map(|leaf| match Leaf::parse(leaf?).ok()? {
            Leaf::Counts(counts) => Some(counts.commitments),
            _ => None,
        });
        counts.expect("a block of batches has commitments")
    };
    let (one, other) = (commitments_of(&[(1, 1, 0)]), commitments_of(&[(2, 2, 0)]));
    assert!(one.iter().all(|commitment| !other.contains(commitment)), "{one:?} {other:?}");
    assert_eq!(one, commitments_of(&[(1, 1, 0)]));
}

/// Each `totals` leaf opens the commitments before it. Under `live`, neither the range of new votes
/// nor what is held back is smaller than `every`.
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
    let (mut log, mut stored) = opened(ResultsPolicy::AfterClose, 1);
    seal(&mut log, &mut stored, &[batch(1, false, &[(1, 1, 0)])]);
    append(&mut log, &[LogEvent::Closing { closes: minute(200), reason: None }], &maker(199))
        .expect("open");
    assert!(matches!(end(&mut log, &maker(201)), Err(ElectionLogError::OpenEpoch { .. })));
    seal(&mut log, &mut stored, &[batch(2, true, &[])]);
    assert!(end(&mut log, &maker(201)).is_ok());
}

#[test]
fn a_closing_far_ahead_is_refused() {
    let (mut log, _) = opened(ResultsPolicy::AfterClose, 1);
    let mut record = |closes: u64| {
        let act = LogEvent::Closing { closes: minute(closes), reason: None };
        append(&mut log, &[act], &maker(195)).map(|_| ())
    };
    let (closes, at) = (minute(201), minute(195));
    assert_eq!(record(201), Err(ElectionLogError::FarClosing { closes, at }));
    assert_eq!(record(200), Ok(()));
}

#[test]
fn strangers_and_forgers_are_refused() {
    let (log, _) = opened(ResultsPolicy::AfterClose, 1);
    let good = batch(1, false, &[(1, 1, 0)]);
    assert!(log.verify_batch(&good).is_ok());
    let mut bytes = good.as_bytes().to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let forged = Arc::new(Batch::parse(bytes).expect("reads"));
    assert!(matches!(
        log.verify_batch(&forged),
        Err(ElectionLogError::Batch(BatchError::Signature { .. }))
    ));
    let (draft, _) = ElectionLog::begin(definition(ResultsPolicy::Live, 1), &maker(1));
    assert!(matches!(draft.verify_batch(&good), Err(ElectionLogError::NotAdmitted { .. })));
}

#[test]
fn acts_out_of_order_are_refused() {
    let (mut draft, _) = ElectionLog::begin(definition(ResultsPolicy::Live, 1), &maker(1));
    let open = LogEvent::Open { opens: minute(100), waivers: vec![] };
    assert_eq!(
        append(&mut draft, std::slice::from_ref(&open), &maker(2)).unwrap_err(),
        ElectionLogError::NoRoll
    );
    let (mut log, _) = opened(ResultsPolicy::Live, 1);
    assert!(matches!(
        append(&mut log, &[open], &maker(2)),
        Err(ElectionLogError::State { state: State::Open, .. })
    ));
    assert!(matches!(end(&mut log, &maker(2)), Err(ElectionLogError::State { .. })));
    let again = RollLoad {
        manifest: Digest::from_bytes([8; 32]),
        parent: None,
        replaces: None,
        scheme: HashScheme::Sha256,
        content: roll(),
    };
    assert!(matches!(
        append(&mut log, &[LogEvent::Load(again)], &maker(2)),
        Err(ElectionLogError::State { state: State::Open, .. })
    ));
    let supplement = LogEvent::Load(RollLoad {
        manifest: Digest::from_bytes([9; 32]),
        parent: log.last_manifest(),
        replaces: None,
        scheme: HashScheme::Sha256,
        content: RollContent::Supplement(Arc::default()),
    });
    let closing = LogEvent::Closing { closes: minute(200), reason: None };
    append(&mut log, &[supplement.clone(), closing], &maker(199)).expect("open");
    assert!(matches!(
        append(&mut log, &[supplement], &maker(199)),
        Err(ElectionLogError::State { state: State::Closing, .. })
    ));
}

#[test]
fn a_draft_is_amended_and_its_roll_replaced_until_it_opens() {
    let (mut log, first) = ElectionLog::begin(definition(ResultsPolicy::Live, 1), &maker(1));
    let load = |manifest: u8, replaces: Option<u8>, keys: std::ops::Range<u8>| {
        let keys = keys.map(|elector| RegistryKey::from_bytes([elector; 32])).collect();
        LogEvent::Load(RollLoad {
            manifest: Digest::from_bytes([manifest; 32]),
            parent: None,
            replaces: replaces.map(|manifest| Digest::from_bytes([manifest; 32])),
            scheme: HashScheme::Sha256,
            content: RollContent::Roll(Arc::new(KeyList::new(keys).expect("ascending"))),
        })
    };
    let mut stored = Stored { blocks: vec![first], ..Stored::default() };
    let mut record = |log: &mut ElectionLog, act: LogEvent| {
        append(log, &[act], &maker(2)).map(|block| stored.blocks.push(block))
    };
    record(&mut log, load(7, None, 0..10)).expect("the first roll");
    assert_eq!(record(&mut log, load(8, None, 0..30)), Err(ElectionLogError::SecondRoll));
    assert_eq!(record(&mut log, load(8, Some(6), 0..30)), Err(ElectionLogError::Replaces));
    record(&mut log, load(8, Some(7), 0..30)).expect("names the roll that it replaces");
    assert_eq!(log.electorate().registered(), 30);
    assert_eq!(log.manifests(), [Digest::from_bytes([8; 32])]);

    let amended = |change: &dyn Fn(&mut Definition)| {
        let mut definition = definition(ResultsPolicy::AfterClose, 1);
        definition.choices.push(Choice::with_customary_labels("blanc".parse().expect("id")));
        change(&mut definition);
        LogEvent::Amend { definition: Box::new(definition) }
    };
    for (what, change) in [
        (
            FixedPart::Law,
            (&|d: &mut Definition| d.law_id = "L2".parse().expect("law id"))
                as &dyn Fn(&mut Definition),
        ),
        (FixedPart::Binding, &|d| d.binding = true),
        (FixedPart::BallotKey, &|d| {
            d.ballot_key = BallotSecretKey::from_seed(&[9; 32]).public_key()
        }),
    ] {
        let refused = record(&mut log, amended(change)).expect_err(&what.to_string());
        assert_eq!(refused, ElectionLogError::Amendment { what });
    }
    let refused = record(&mut log, amended(&|d| d.title.fr = " ".to_owned()));
    assert!(matches!(refused, Err(ElectionLogError::Definition(_))));
    record(&mut log, amended(&|d| d.closes = Some(minute(200)))).expect("a good amendment");
    assert_eq!(log.results().counts.choices.len(), 3);
    let acts = [
        LogEvent::Admit(keys().node.public_key()),
        LogEvent::Open { opens: minute(100), waivers: vec![] },
    ];
    stored.blocks.push(append(&mut log, &acts, &maker(100)).expect("opens"));
    let late = append(&mut log, &[amended(&|_| {})], &maker(101));
    assert!(matches!(late, Err(ElectionLogError::State { state: State::Open, .. })));
    seal(&mut log, &mut stored, &[batch(1, true, &[(1, 25, 2)])]);

    let early = LogEvent::Closing { closes: minute(150), reason: None };
    let planned = minute(200);
    assert_eq!(
        append(&mut log, &[early], &maker(149)).unwrap_err(),
        ElectionLogError::EarlyReason { closes: minute(150), planned }
    );
    let reason = Some("a fire alarm".to_owned());
    let early = LogEvent::Closing { closes: minute(160), reason };
    stored.blocks.push(append(&mut log, &[early], &maker(159)).expect("a reason"));
    stored.blocks.push(end(&mut log, &maker(161)).expect("reconciled"));
    let replaced = stored.content(&Digest::from_bytes([8; 32]));
    let ten = (0..10).map(|elector| RegistryKey::from_bytes([elector; 32])).collect();
    let ten = RollContent::Roll(Arc::new(KeyList::new(ten).expect("ascending")));
    stored.supplements.insert(Digest::from_bytes([7; 32]), ten);
    stored.supplements.insert(Digest::from_bytes([8; 32]), replaced);
    let back = read_back(&mut stored);
    assert_eq!(back.results(), log.results());
    assert_eq!(back.tree().root(), log.tree().root());
}

#[test]
fn after_the_certification_only_annulment_and_purge_follow() {
    let (mut log, mut stored) = opened(ResultsPolicy::AfterClose, 1);
    seal(&mut log, &mut stored, &[batch(1, true, &[(1, 1, 0)])]);
    close(&mut log, &mut stored);
    let mut record = |act: LogEvent| append(&mut log, &[act], &maker(210)).map(|_| ());
    assert!(matches!(record(LogEvent::Purge), Err(ElectionLogError::State { .. })));
    let certify = |waiver: &str| LogEvent::Certify { witness_waiver: Some(waiver.to_owned()) };
    assert!(matches!(record(certify("")), Err(ElectionLogError::Definition(_))));
    record(LogEvent::Certify { witness_waiver: None }).expect("closed");
    for act in [
        LogEvent::Admit(keys().node.public_key()),
        LogEvent::Retire { node: keys().node.node_id(), epoch: Epoch(2) },
        LogEvent::Closing { closes: minute(300), reason: None },
        LogEvent::Annul { reason: "\u{202e}".to_owned() },
    ] {
        assert!(record(act).is_err());
    }
    record(LogEvent::Annul { reason: "the court's order of 3 December".to_owned() })
        .expect("certified");
    record(LogEvent::Purge).expect("annulled");
    assert_eq!(record(LogEvent::Purge), Err(ElectionLogError::Purged));
}

/// A sealer edited the leaves: replay and scrub compare the log with its evidence and name the
/// rule.
#[test]
fn a_log_that_differs_from_its_evidence_is_refused() {
    use crate::decision::{Decision, Entry, Replay};
    let made = || {
        let (mut log, mut stored) = opened(ResultsPolicy::AfterClose, 1);
        let votes = [(1, 1, 0), (2, 2, 1), (1, 1, 0), (3, 60, 0)];
        seal(&mut log, &mut stored, &[batch(1, true, &votes)]);
        (log, stored)
    };
    let edited = |edit: &dyn Fn(&mut Vec<Leaf>)| {
        let (log, mut stored) = made();
        let block = stored.blocks.last_mut().expect("a block");
        let mut leaves: Vec<Leaf> = leaves_of_block(&block.leaves)
            .map(|leaf| Leaf::parse(leaf.expect("whole")).expect("canonical"))
            .collect();
        edit(&mut leaves);
        let mut builder = BlockBuilder::new(0);
        leaves.iter().for_each(|leaf| builder.push(leaf));
        block.leaves = builder.leaves;
        let blocks: Vec<_> = stored.blocks.iter().map(|block| block.leaves.clone()).collect();
        let mut replay = LogReplay::new();
        let found = blocks
            .iter()
            .try_for_each(|leaves| replay.read(leaves, &keys().ballot, &mut stored))
            .expect_err("replayed");
        let mut scrub = Scrub::new(&log);
        let index = log.decisions().requests();
        let find_first =
            |requests: &[RequestId]| requests.iter().map(|one| index.find_first(one)).collect();
        let scrubbed = blocks
            .iter()
            .try_for_each(|leaves| scrub.read(leaves, &find_first, false, &mut stored))
            .expect_err("scrubbed");
        (found, scrubbed.to_string())
    };
    let is = |edit: &dyn Fn(&mut Vec<Leaf>), leaf: u64, check: &str, scrub: &str| {
        let (refused, scrubbed) = edited(edit);
        let ReplayError::Check(CheckError::Refused(refused)) = refused else { panic!("{refused}") };
        // The log before the block has 6 leaves: the draft and its block, three events and theirs.
        assert_eq!((refused.leaf, refused.rule.as_str()), (6 + leaf, check), "{refused}");
        assert!(scrubbed.contains(scrub), "{scrubbed}");
    };
    let entry = |leaf: &Leaf| match leaf {
        Leaf::Entry(entry) => *entry,
        other => panic!("no entry: {other:?}"),
    };
    // A vote dropped and counted as replayed.
    is(
        &|leaves| {
            let Entry { request, .. } = entry(&leaves[2]);
            let digest = crate::envelope::EnvelopeDigest::new(
                &request,
                minute(150),
                &CredentialHash::from_bytes([2; 32]),
            );
            leaves[2] = Leaf::Replay(Replay { request, envelope: digest });
        },
        2,
        "differs",
        "the leaf's decision on envelope 1",
    );
    is(&|leaves| drop(leaves.remove(2)), 2, "differs", "the leaf does not decide envelope 1");
    is(&|leaves| leaves.swap(1, 2), 1, "differs", "the leaf does not decide envelope 0");
    is(
        &|leaves| {
            let Entry { request, minute, decision } = entry(&leaves[1]);
            let Decision::Accepted { hash } = decision else { panic!("accepted") };
            let envelope = crate::envelope::EnvelopeDigest::new(&request, minute, &hash);
            let decision =
                Decision::Invalid { reason: crate::decision::InvalidReason::Unknown, envelope };
            leaves[1] = Leaf::Entry(Entry { request, minute, decision });
        },
        1,
        "differs",
        "the leaf's decision on envelope 0",
    );
    is(
        &|leaves| drop(leaves.remove(4)),
        4,
        "differs",
        "a batch has one leaf per envelope: found 3 for 4",
    );
    is(
        &|leaves| {
            let Leaf::Batch(batch) = &mut leaves[0] else { panic!("a batch") };
            batch.count = 5;
        },
        0,
        "evidence",
        "the leaf is not that of the stored batch",
    );
}

/// A faulty ingest node gives one id to two requests.
#[test]
fn one_id_with_another_credential_is_a_clash_and_with_another_choice_a_fault() {
    let (mut log, mut stored) = opened(ResultsPolicy::AfterClose, 1);
    seal(&mut log, &mut stored, &[batch(1, false, &[(1, 1, 0), (2, 50, 0)])]);
    seal(&mut log, &mut stored, &[batch(2, false, &[(1, 2, 0), (2, 51, 0), (2, 50, 0)])]);
    let report = log.report();
    assert_eq!((report.accepted, report.invalid, report.replayed), (1, 3, 1));
    let back = read_back(&mut stored);
    assert_eq!(back.report(), log.report());
    seal(&mut log, &mut stored, &[batch(3, true, &[(1, 1, 1)])]);
    let blocks: Vec<_> = stored.blocks.iter().map(|block| block.leaves.clone()).collect();
    let mut replay = LogReplay::new();
    let replayed =
        blocks.iter().try_for_each(|leaves| replay.read(leaves, &keys().ballot, &mut stored));
    let error = replayed.expect_err("another choice").to_string();
    assert!(error.contains("repeats a request with another choice"), "{error}");
}
