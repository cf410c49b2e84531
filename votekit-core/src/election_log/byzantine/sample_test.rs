//! A small election made by honest proposals, with votes of every kind, and forgeries of its
//! blocks. Minutes count from [`minute`] 0, leaf indices from the first leaf of a block.
//!
//! | block | minute | leaves |
//! | --- | --- | --- |
//! | 0 | 90 | 0 draft, 1 block |
//! | 1 | 91 | 0 roll, 1 and 2 nodes admitted, 3 block |
//! | 2 | 100 | 0 open, 1 block |
//! | 3 | 120 | 0 batch A 1, 1 to 8 its leaves, 9 counts, 10 totals, 11 block |
//! | 4 | 130 | 0 supplement, 1 block |
//! | 5 | 150 | 0 batch A 2, 1 to 4; 5 batch A 3, 6; 7 batch B 1, 8, 9; 10 counts, totals, block |
//! | 6 | 199 | 0 closing, 1 block |
//! | 7 | 201 | 0 batch A 4, 1 and 2; 3 batch B 2; 4 counts, 5 totals, 6 block |
//! | 8 | 202 | 0 node A, epoch 2 retired, 1 block |
//! | 9 | 205 | 0 closed, 1 totals, 2 block |
//! | 10 | 210 | 0 certified, 1 block |
//! | 11 | 211 | 0 purged, 1 block |

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::ballot::{BallotSecretKey, ChoiceIndex};
use crate::batch::{Batch, BatchHeader, NodeKey};
use crate::commitment::BlockContext;
use crate::credential::{CredentialHash, HashScheme, RegistryKey};
use crate::decision::{Decision, Entry, InvalidReason, Replay};
use crate::election::{Bilingual, Choice, Definition, ResultsPolicy};
use crate::election_log::{
    Block, BlockContent, BlockMaker, ElectionLog, Evidence, LogEvent, LogReplay, Proposal,
    ReplaySource, RollContent, RollLoad, batch_leaf, leaves_of_block,
};
use crate::electorate::{Changes, KeyList};
use crate::envelope::{Envelope, EnvelopeDigest};
use crate::fixed_rng::FixedRng;
use crate::id::{BatchNumber, Digest, ElectionId, Epoch, RequestId, Sequence};
use crate::instant::UnixMinutes;
use crate::log::leaf::{self, BatchLeaf, BlockLeaf, Leaf, RollEvent};
use crate::log::tile;
use crate::tally::{self, Counts, Totals};

/// Number of blocks of the sample.
pub(super) const BLOCKS: usize = 12;

const ELECTORS: u8 = 30;
const CHOICES: usize = 3;

/// The key seeds of the two admitted nodes, and of a node that is not admitted.
pub(super) const A: u8 = 2;
pub(super) const B: u8 = 3;
pub(super) const STRANGER: u8 = 4;

/// One vote: request, elector, minute, choice.
pub(super) type Vote = (u8, u8, u64, u16);

pub(super) const EARLY: Vote = (1, 1, 99, 0);
pub(super) const YES: Vote = (2, 2, 110, 0);
pub(super) const NO: Vote = (3, 3, 110, 1);
pub(super) const UNKNOWN: Vote = (4, 60, 110, 0);
pub(super) const AGAIN: Vote = (5, 2, 110, 1);
/// A second copy of [`YES`].
pub(super) const COPY: Vote = (2, 2, 111, 0);
pub(super) const BLANK: Vote = (6, 4, 111, 2);
pub(super) const SPOILED: Vote = (7, 9, 111, 9);
pub(super) const REVOKED: Vote = (10, 5, 140, 0);
/// By the new code of elector 2, whose replacement the log refused: elector 2 has voted.
pub(super) const REFUSED: Vote = (11, 33, 140, 1);
pub(super) const LAST_IN_TIME: Vote = (17, 11, 199, 0);
pub(super) const LATE: Vote = (18, 12, 200, 1);
/// In a batch after the end of its epoch.
pub(super) const AFTER_END: Vote = (50, 21, 199, 0);
/// In a batch of the stranger.
pub(super) const OF_STRANGER: Vote = (51, 20, 142, 0);

/// Each batch: node, sequence, whether it ends its epoch, votes.
const BATCHES: [(u8, u64, bool, &[Vote]); 8] = [
    (A, 1, false, &[EARLY, YES, NO, UNKNOWN, AGAIN, COPY, BLANK, SPOILED]),
    (A, 2, false, &[REVOKED, REFUSED, (12, 7, 141, 0), (13, 3, 141, 0)]),
    (A, 3, false, &[(14, 8, 142, 1)]),
    (B, 1, false, &[(15, 32, 141, 0), (16, 10, 143, 2)]),
    (A, 4, true, &[LAST_IN_TIME, LATE]),
    (B, 2, true, &[]),
    (A, 5, true, &[AFTER_END]),
    (STRANGER, 1, false, &[OF_STRANGER]),
];

/// The batches, the rolls, and what a false source makes of them.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) batches: BTreeMap<BatchNumber, Arc<Batch>>,
    pub(super) rolls: BTreeMap<Digest, RollContent>,
}

impl ReplaySource for Source {
    fn roll(&mut self, event: &RollEvent) -> Option<RollContent> {
        self.rolls.get(&event.manifest).cloned()
    }

    fn evidence(&mut self, leaf: &BatchLeaf) -> Option<Evidence> {
        let batch = self.batches.get(&leaf.number())?;
        Some(Evidence { batch: Arc::clone(batch), choices: batch.open(&ballot_key()) })
    }
}

pub(super) struct Sample {
    /// The honest blocks.
    pub(super) blocks: Vec<Block>,
    /// The log after each block.
    logs: Vec<ElectionLog>,
    source: Source,
}

/// The sample, made once.
pub(super) fn sample() -> &'static Sample {
    static SAMPLE: LazyLock<Sample> = LazyLock::new(Sample::make);
    &SAMPLE
}

impl Sample {
    fn make() -> Self {
        let source = Source::new();
        let (mut log, first) = ElectionLog::begin(definition(), &maker(90));
        let mut blocks = vec![first];
        let roll = load(1, None, &source);
        let nodes = [A, B].map(|seed| LogEvent::Admit(node_key(seed).public_key()));
        let [first_node, second_node] = nodes;
        record(&mut log, &mut blocks, &[roll, first_node, second_node], 91);
        let open = LogEvent::Open { opens: minute(100), waivers: vec![] };
        record(&mut log, &mut blocks, &[open], 100);
        seal(&mut log, &mut blocks, &[(A, 1)], 120);
        record(&mut log, &mut blocks, &[load(2, Some(1), &source)], 130);
        seal(&mut log, &mut blocks, &[(A, 2), (A, 3), (B, 1)], 150);
        let closing = LogEvent::Closing { closes: minute(200), reason: None };
        record(&mut log, &mut blocks, &[closing], 199);
        seal(&mut log, &mut blocks, &[(A, 4), (B, 2)], 201);
        let retire = LogEvent::Retire { node: node_key(A).node_id(), epoch: Epoch(2) };
        record(&mut log, &mut blocks, &[retire], 202);
        append(&mut log, &mut blocks, &BlockContent::Close, 205);
        let certify = LogEvent::Certify { witness_waiver: None };
        record(&mut log, &mut blocks, &[certify], 210);
        record(&mut log, &mut blocks, &[LogEvent::Purge], 211);
        assert_eq!(blocks.len(), BLOCKS);
        let logs = (1..=BLOCKS).map(|count| replayed(&blocks[..count], source.clone())).collect();
        Self { blocks, logs, source }
    }

    /// The log before a block, which is not the first.
    pub(super) fn log_before(&self, number: usize) -> &ElectionLog {
        &self.logs[number - 1]
    }

    /// The batches and rolls as stored.
    pub(super) fn source(&self) -> Source {
        self.source.clone()
    }

    /// The leaves of a block.
    pub(super) fn leaves(&self, number: usize) -> Vec<Leaf> {
        texts(&self.blocks[number].leaves)
            .iter()
            .map(|text| Leaf::parse(text).expect("an honest leaf"))
            .collect()
    }
}

impl Source {
    fn new() -> Self {
        let batches = BATCHES.map(|(node, sequence, last, votes)| {
            (number(node, sequence), batch(node, sequence, last, votes))
        });
        let roll = |electors: std::ops::Range<u8>| {
            RollContent::Roll(Arc::new(
                KeyList::new(electors.map(key).collect()).expect("ascending"),
            ))
        };
        let changes = Changes {
            add: vec![key(31)],
            revoke: vec![key(5)],
            replace: vec![(key(6), key(32)), (key(2), key(33))],
            readmit: vec![],
        };
        let rolls = [
            (manifest(1), roll(0..ELECTORS)),
            (manifest(2), RollContent::Supplement(Arc::new(changes))),
            // A roll of other electors, at hand and never loaded.
            (manifest(3), roll(100..112)),
        ];
        Self { batches: BTreeMap::from(batches), rolls: BTreeMap::from(rolls) }
    }
}

fn record(log: &mut ElectionLog, blocks: &mut Vec<Block>, events: &[LogEvent], at: u64) {
    append(log, blocks, &BlockContent::Events(events), at);
}

fn seal(log: &mut ElectionLog, blocks: &mut Vec<Block>, batches: &[(u8, u64)], at: u64) {
    let source = Source::new();
    let verified: Vec<_> = batches
        .iter()
        .map(|(node, sequence)| log.verify_batch(&source.batches[&number(*node, *sequence)]))
        .collect::<Result<_, _>>()
        .expect("batches of admitted nodes");
    let content = BlockContent::Batches { batches: &verified, ballot_key: &ballot_key() };
    append(log, blocks, &content, at);
}

fn append(log: &mut ElectionLog, blocks: &mut Vec<Block>, content: &BlockContent<'_>, at: u64) {
    let Proposal { block, effect, refused } = log.propose(content, &maker(at)).expect("honest");
    assert_eq!(refused, []);
    log.apply(effect);
    blocks.push(block);
}

fn replayed(blocks: &[Block], mut source: Source) -> ElectionLog {
    let mut replay = LogReplay::new();
    for block in blocks {
        replay.read(&block.leaves, &ballot_key(), &mut source).expect("an honest block");
    }
    replay.finish().expect("a log has a block")
}

fn load(roll: u8, parent: Option<u8>, source: &Source) -> LogEvent {
    LogEvent::Load(RollLoad {
        manifest: manifest(roll),
        parent: parent.map(manifest),
        replaces: None,
        scheme: HashScheme::Sha256,
        content: source.rolls[&manifest(roll)].clone(),
    })
}

pub(super) fn definition() -> Definition {
    let text = Bilingual { fr: "Loi".to_owned(), en: "Law".to_owned() };
    Definition {
        law_id: law_id(),
        title: text.clone(),
        description: text,
        choices: ["oui", "non", "blanc"]
            .map(|id| Choice::with_customary_labels(id.parse().expect("choice id")))
            .to_vec(),
        binding: false,
        results: ResultsPolicy::Live,
        publish_every: 1,
        opens: Some(minute(100)),
        closes: Some(minute(200)),
        ballot_key: ballot_key().public_key(),
    }
}

fn batch(node: u8, sequence: u64, last: bool, votes: &[Vote]) -> Arc<Batch> {
    let envelopes: Vec<Envelope> = votes
        .iter()
        .map(|(id, elector, received, choice)| Envelope {
            request: request(*id),
            hash: hash(*elector),
            received: minute(*received),
            choice: ChoiceIndex(*choice),
        })
        .collect();
    let header = BatchHeader {
        law_id: law_id(),
        number: number(node, sequence),
        confirmed_through: Sequence(sequence - 1),
        last,
    };
    let mut rng = FixedRng::new(10 * node + sequence as u8);
    let sealed =
        Batch::seal(header, &envelopes, &ballot_key().public_key(), &node_key(node), &mut rng);
    Arc::new(sealed.expect("a good key"))
}

/// Another batch under the number of A 3, signed by its node.
pub(super) fn second_batch() -> Arc<Batch> {
    batch(A, 3, false, &[(14, 8, 142, 0), (19, 13, 142, 0)])
}

fn law_id() -> ElectionId {
    "L1".parse().expect("law id")
}

fn maker(at: u64) -> BlockMaker {
    BlockMaker { term: 1, leader: "authority-1".to_owned(), at: minute(at) }
}

pub(super) fn ballot_key() -> BallotSecretKey {
    BallotSecretKey::from_seed(&[1; 32])
}

pub(super) fn node_key(seed: u8) -> NodeKey {
    NodeKey::from_seed(&[seed; 32])
}

pub(super) fn minute(after: u64) -> UnixMinutes {
    UnixMinutes(29_400_000 + after)
}

pub(super) fn manifest(roll: u8) -> Digest {
    Digest::from_bytes([roll; 32])
}

pub(super) fn number(node: u8, sequence: u64) -> BatchNumber {
    BatchNumber { node: node_key(node).node_id(), epoch: Epoch(1), sequence: Sequence(sequence) }
}

pub(super) fn request(id: u8) -> RequestId {
    RequestId::from_bytes([id; 16])
}

fn hash(elector: u8) -> CredentialHash {
    CredentialHash::from_bytes([elector; 32])
}

fn key(elector: u8) -> RegistryKey {
    HashScheme::Sha256.registry_key(&hash(elector))
}

/// The leaf of a batch.
pub(super) fn leaf_of(node: u8, sequence: u64) -> Leaf {
    let batch = &sample().source.batches[&number(node, sequence)];
    let verified = batch.verify(&law_id(), &node_key(node).public_key()).expect("own batch");
    Leaf::Batch(batch_leaf(&verified))
}

/// The leaf that decides a vote.
pub(super) fn decided((id, _, received, _): Vote, decision: Decision) -> Leaf {
    Leaf::Entry(Entry { request: request(id), decision, minute: minute(received) })
}

/// The leaf that a second copy of a vote gets.
pub(super) fn replay(vote: Vote) -> Leaf {
    Leaf::Replay(Replay { request: request(vote.0), envelope: envelope_digest(vote) })
}

pub(super) fn accepted(elector: u8) -> Decision {
    Decision::Accepted { hash: hash(elector) }
}

pub(super) fn duplicate(elector: u8, attempt: u32) -> Decision {
    Decision::Duplicate { hash: hash(elector), attempt }
}

pub(super) fn invalid(vote: Vote, reason: InvalidReason) -> Decision {
    Decision::Invalid { reason, envelope: envelope_digest(vote) }
}

fn envelope_digest((id, elector, received, _): Vote) -> EnvelopeDigest {
    EnvelopeDigest::new(&request(id), minute(received), &hash(elector))
}

/// The texts of a block's leaves.
pub(super) fn texts(leaves: &[u8]) -> Vec<Vec<u8>> {
    leaves_of_block(leaves).map(|leaf| leaf.expect("whole").to_vec()).collect()
}

/// A block with these leaves.
pub(super) fn block_of(texts: &[Vec<u8>]) -> Vec<u8> {
    let mut leaves = Vec::new();
    texts.iter().for_each(|text| tile::push_entry(&mut leaves, text).expect("short"));
    leaves
}

/// A block being forged: the leaves of an honest block, and the inputs of the authority that checks
/// it.
pub(super) struct Forgery {
    pub(super) leaves: Vec<Leaf>,
    pub(super) source: Source,
    /// The choice that the forger counts for each request.
    pub(super) choices: BTreeMap<RequestId, ChoiceIndex>,
    number: usize,
}

impl Forgery {
    /// The block of this number; without leaves after the last.
    pub(super) fn new(number: usize) -> Self {
        let leaves = if number < BLOCKS { sample().leaves(number) } else { Vec::new() };
        let votes = BATCHES.into_iter().flat_map(|(_, _, _, votes)| votes);
        let choices = votes.map(|(id, _, _, choice)| (request(*id), ChoiceIndex(*choice)));
        let choices = choices.collect();
        Self { leaves, source: sample().source(), choices, number }
    }

    /// The entry at an index.
    pub(super) fn entry(&mut self, place: usize) -> &mut Entry {
        match &mut self.leaves[place] {
            Leaf::Entry(entry) => entry,
            other => panic!("no entry: {other:?}"),
        }
    }

    /// The batch leaf at an index.
    pub(super) fn batch(&mut self, place: usize) -> &mut BatchLeaf {
        match &mut self.leaves[place] {
            Leaf::Batch(batch) => batch,
            other => panic!("no batch: {other:?}"),
        }
    }

    /// The totals at an index.
    pub(super) fn totals(&mut self, place: usize) -> &mut Totals {
        match &mut self.leaves[place] {
            Leaf::Totals(totals) => totals,
            other => panic!("no totals: {other:?}"),
        }
    }

    /// The last leaf.
    pub(super) fn block(&mut self) -> &mut BlockLeaf {
        match self.leaves.last_mut() {
            Some(Leaf::Block(block)) => block,
            other => panic!("no block leaf: {other:?}"),
        }
    }

    /// Replaces the content of the block by events.
    pub(super) fn events(&mut self, events: Vec<Leaf>, at: u64) {
        self.leaves = events;
        self.leaves.push(Leaf::Block(BlockLeaf {
            height: self.number as u64 + 1,
            term: 1,
            leader: "authority-1".to_owned(),
            sealed_at: minute(at),
        }));
    }

    /// Replaces the content of the block by a batch and its entries.
    pub(super) fn votes(&mut self, mut content: Vec<Leaf>, at: u64) {
        content.push(Leaf::Counts(leaf::CountsLeaf { commitments: vec![] }));
        content.push(Leaf::Totals(Totals { through: 1, values: vec![], blindings: vec![] }));
        self.events(content, at);
        self.settle();
    }

    /// Makes the rest of a block of votes fit its entries, as a careful forger does: commitments,
    /// opened totals and the block's minute.
    pub(super) fn settle(&mut self) {
        let log = sample().log_before(self.number);
        let height = log.height() + 1;
        let mut counts = Counts::zero(CHOICES);
        let mut latest = UnixMinutes(0);
        for leaf in &self.leaves {
            if let Leaf::Entry(entry) = leaf {
                counts.count(Some(entry), self.choices.get(&entry.request).copied());
                latest = latest.max(entry.minute);
            }
        }
        let before = self.leaves.iter().take_while(|leaf| !matches!(leaf, Leaf::Counts(_)));
        let before = block_of(&before.map(Leaf::to_bytes).collect::<Vec<_>>());
        let content = BlockContext::new(log.state.root.as_bytes(), &before);
        let mut sums = log.state.tally.clone();
        sums.add_block(&counts, &ballot_key(), &content, height);
        for leaf in &mut self.leaves {
            match leaf {
                Leaf::Counts(leaf) => {
                    leaf.commitments = tally::commit(&counts, &ballot_key(), &content);
                }
                Leaf::Totals(totals) => *totals = sums.open(height),
                Leaf::Block(block) => block.sealed_at = block.sealed_at.max(latest),
                _ => {}
            }
        }
    }

    /// The bytes of the block.
    pub(super) fn bytes(&self) -> Vec<u8> {
        block_of(&self.leaves.iter().map(Leaf::to_bytes).collect::<Vec<_>>())
    }
}
