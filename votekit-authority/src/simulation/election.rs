//! The election of a run: its definition, its electors, its ingest nodes and all their votes.

use std::collections::BTreeMap;
use std::sync::Arc;

use votekit_core::ballot::{BallotSecretKey, ChoiceIndex};
use votekit_core::batch::{Batch, BatchHeader, NodeKey, NodePublicKey};
use votekit_core::credential::{CredentialHash, HashScheme, RegistryKey};
use votekit_core::election::{Bilingual, Choice, Definition, ResultsPolicy};
use votekit_core::election_log::{
    Block, BlockContent, BlockMaker, ElectionLog, Evidence, LogEvent, Proposal, RollContent,
    RollLoad,
};
use votekit_core::electorate::KeyList;
use votekit_core::envelope::Envelope;
use votekit_core::id::{BatchNumber, Digest, ElectionId, Epoch, NodeId, RequestId, Sequence};
use votekit_core::instant::UnixMinutes;

use super::random::Random;

/// The planned opening: 2025-11-21T04:40:00Z. A poll that opens later has early votes.
pub(super) const OPENS: UnixMinutes = UnixMinutes(29_395_000);
/// The effective closing. The last batch of a node holds votes of that minute and later.
pub(super) const CLOSES: UnixMinutes = UnixMinutes(OPENS.0 + 40);
/// The minute of the first vote, counted from the opening.
const FIRST_VOTE: u64 = 3;
/// The one epoch of each ingest node.
pub(super) const EPOCH: Epoch = Epoch(1);

const ELECTORS: u64 = 20;
/// A choice that is not on the ballot: the vote is spoiled.
const NO_CHOICE: ChoiceIndex = ChoiceIndex(9);

/// The election, and what its voters will do.
#[derive(Debug)]
pub(super) struct Election {
    pub(super) law_id: ElectionId,
    pub(super) definition: Definition,
    pub(super) ballot_key: BallotSecretKey,
    roll: Arc<KeyList>,
    keys: Vec<NodePublicKey>,
    /// The batches of each ingest node, in order; each last one ends its epoch.
    pub(super) batches: Vec<Vec<BatchNumber>>,
    planned: BTreeMap<BatchNumber, PlannedBatch>,
}

/// A batch, and its votes in clear.
#[derive(Debug)]
pub(super) struct PlannedBatch {
    pub(super) batch: Arc<Batch>,
    pub(super) votes: Vec<Envelope>,
}

impl Election {
    pub(super) fn new(ingest_nodes: usize, random: &mut Random) -> Self {
        let ballot_key = BallotSecretKey::from_seed(&[1; 32]);
        let electors = (0..ELECTORS).map(|elector| RegistryKey::from_bytes([elector as u8; 32]));
        let roll = KeyList::new(electors.collect()).expect("ascending keys");
        let mut election = Self {
            law_id: "L2025-001".parse().expect("an id"),
            definition: definition(&ballot_key, random.happens(1, 2)),
            ballot_key,
            roll: Arc::new(roll),
            keys: Vec::new(),
            batches: Vec::new(),
            planned: BTreeMap::new(),
        };
        let mut planner = VotePlanner { random, issued: Vec::new(), requests: 0 };
        for node in 0..ingest_nodes {
            election.plan_node(&NodeKey::from_seed(&[2 + node as u8; 32]), &mut planner);
        }
        election
    }

    fn plan_node(&mut self, key: &NodeKey, planner: &mut VotePlanner<'_>) {
        let ballot_key = self.ballot_key.public_key();
        let count = 3 + planner.random.below(4);
        let mut minute = OPENS.0 + FIRST_VOTE;
        let mut numbers = Vec::new();
        for sequence in 1..=count {
            let number =
                BatchNumber { node: key.node_id(), epoch: EPOCH, sequence: Sequence(sequence) };
            let header = BatchHeader {
                law_id: self.law_id.clone(),
                number,
                confirmed_through: Sequence(sequence - 1),
                last: sequence == count,
            };
            minute += planner.random.below(3);
            let mut votes = planner.votes(UnixMinutes(minute));
            if header.last {
                votes.extend(planner.votes(CLOSES));
            }
            let random = &mut *planner.random;
            let batch = Batch::seal(header, &votes, &ballot_key, key, random);
            let batch = Arc::new(batch.expect("a usable ballot key"));
            self.planned.insert(number, PlannedBatch { batch, votes });
            numbers.push(number);
        }
        self.keys.push(key.public_key());
        self.batches.push(numbers);
    }

    /// The log as every run begins with it: the draft, then the roll and the ingest nodes.
    pub(super) fn base(&self) -> (ElectionLog, [Block; 2]) {
        let maker = |before| BlockMaker {
            term: 1,
            leader: "a1".to_owned(),
            at: UnixMinutes(OPENS.0 - before),
        };
        let (mut log, draft) = ElectionLog::begin(self.definition.clone(), &maker(60));
        let load = RollLoad {
            manifest: Digest::compute(b"the manifest of the roll"),
            parent: None,
            replaces: None,
            scheme: HashScheme::Sha256,
            content: self.roll(),
        };
        let mut events = vec![LogEvent::Load(load)];
        events.extend(self.keys.iter().map(|key| LogEvent::Admit(*key)));
        let Proposal { block, effect, .. } = log
            .propose(&BlockContent::Events(&events), &maker(50))
            .expect("a draft takes a roll and nodes");
        log.apply(effect);
        (log, [draft, block])
    }

    pub(super) fn roll(&self) -> RollContent {
        RollContent::Roll(Arc::clone(&self.roll))
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.keys.iter().map(NodePublicKey::node_id)
    }

    pub(super) fn planned(&self, number: &BatchNumber) -> Option<&PlannedBatch> {
        self.planned.get(number)
    }

    /// All batches of the run.
    pub(super) fn numbers(&self) -> impl Iterator<Item = &BatchNumber> {
        self.planned.keys()
    }

    /// The evidence of a batch. The choices are planned, so nothing is decrypted. In a real round,
    /// the leader decrypts each batch, and all others would detect a difference.
    pub(super) fn evidence(&self, number: &BatchNumber) -> Option<Evidence> {
        let PlannedBatch { batch, votes } = self.planned.get(number)?;
        let choices = votes.iter().map(|vote| Some(vote.choice)).collect();
        Some(Evidence { batch: Arc::clone(batch), choices })
    }
}

/// Whether the roll has a credential: the reference's own knowledge of the roll.
pub(super) fn is_elector(credential: &CredentialHash) -> bool {
    (0..ELECTORS).any(|elector| *credential == hash(elector))
}

fn hash(elector: u64) -> CredentialHash {
    CredentialHash::from_bytes([elector as u8; 32])
}

fn definition(ballot_key: &BallotSecretKey, is_live: bool) -> Definition {
    let text = Bilingual { fr: "Loi".to_owned(), en: "Act".to_owned() };
    let choices =
        ["oui", "non"].map(|id| Choice::with_customary_labels(id.parse().expect("a choice id")));
    Definition {
        law_id: "L2025-001".parse().expect("an id"),
        title: text.clone(),
        description: text,
        choices: choices.to_vec(),
        binding: false,
        results: if is_live { ResultsPolicy::Live } else { ResultsPolicy::AfterClose },
        publish_every: 2,
        opens: Some(OPENS),
        closes: None,
        ballot_key: ballot_key.public_key(),
    }
}

/// Draws votes of every kind.
struct VotePlanner<'a> {
    random: &'a mut Random,
    issued: Vec<Envelope>,
    requests: u64,
}

impl VotePlanner<'_> {
    /// Up to three votes that arrive in a minute.
    fn votes(&mut self, received: UnixMinutes) -> Vec<Envelope> {
        (0..self.random.below(4)).map(|_| self.vote(received)).collect()
    }

    fn vote(&mut self, received: UnixMinutes) -> Envelope {
        let kind = self.random.below(20);
        let vote = match kind {
            // A client sends a request again.
            0..=2 if !self.issued.is_empty() => Envelope { received, ..self.earlier() },
            // A faulty node gives one id to two requests.
            3 if !self.issued.is_empty() => {
                Envelope { received, hash: hash(self.random.below(ELECTORS)), ..self.earlier() }
            }
            // A credential of no roll.
            4 | 5 => self.new_vote(received, ELECTORS + self.requests % 5),
            _ => {
                let elector = self.random.below(ELECTORS);
                self.new_vote(received, elector)
            }
        };
        self.issued.push(vote);
        vote
    }

    fn earlier(&mut self) -> Envelope {
        self.issued[self.random.index(self.issued.len())]
    }

    fn new_vote(&mut self, received: UnixMinutes, elector: u64) -> Envelope {
        self.requests += 1;
        let id = Digest::compute(&self.requests.to_be_bytes());
        let choice = match self.random.below(12) {
            0 => NO_CHOICE,
            choice => ChoiceIndex((choice % 2) as u16),
        };
        Envelope {
            request: RequestId::from_bytes(*id.as_bytes().first_chunk().expect("16 of 32 bytes")),
            hash: hash(elector),
            received,
            choice,
        }
    }
}
