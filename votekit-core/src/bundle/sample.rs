//! A small, valid election for tests: its roll, its log of several blocks with votes of every kind,
//! its evidence, and bundles of any leaves.
//!
//! Every key derives from a fixed seed that `fixtures/README.md` lists: never use one for a real
//! election.

use std::sync::Arc;

use super::{MemorySource, Writer, file};
use crate::authority::sample::SampleAuthority;
use crate::ballot::{BallotSecretKey, ChoiceIndex};
use crate::batch::{Batch, BatchHeader, NodeKey, VerifiedBatch};
use crate::credential::{
    Credential, CredentialHash, CredentialHasher, HashScheme, Pepper, RegistryKey,
};
use crate::election::{Bilingual, Choice, Definition, ResultsPolicy};
use crate::election_log::{
    Block, BlockContent, BlockMaker, ElectionLog, LogEvent, Proposal, RollContent, RollLoad,
    leaves_of_block,
};
use crate::electorate;
use crate::envelope::Envelope;
use crate::fixed_rng::FixedRng;
use crate::id::{BatchNumber, Digest, ElectionId, Epoch, RequestId, Sequence};
use crate::instant::{UnixMinutes, UnixSeconds};
use crate::log::checkpoint::{Checkpoint, Cosigner, SignedCheckpoint, cosigner_name_of, origin_of};
use crate::log::leaf::Leaf;
use crate::log::merkle::{RootHasher, TreeHash, leaf_hash};
use crate::log::note::{KeyName, Signature, SigningKey};
use crate::log::policy::{Authority, Policy};
use crate::log::proof::Proof;
use crate::manifest::{FileRow, LawRow, Manifest, ManifestBody, PepperMarks, RollFacts};
use crate::shard::{Changes, ShardFormat, ShardHead};

/// When the sample's poll opens: 2025-11-21T04:40:00Z.
pub const OPENS: UnixMinutes = UnixMinutes(29_395_000);
/// When it closes, a day later.
pub const CLOSES: UnixMinutes = UnixMinutes(OPENS.0 + 1440);
/// The base of the sample's origin.
pub use crate::authority::sample::BASE;

/// The electors of the sample's first roll.
const ELECTORS: u32 = 12;

/// An election as its node stores it: leaves, evidence, rolls.
pub struct Sample {
    /// The leaves' canonical bytes, in order.
    pub leaves: Vec<Vec<u8>>,
    /// The batches, in the order of the log.
    pub batches: Vec<Arc<Batch>>,
    /// The folder of the roll: manifest and shard.
    pub roll: MemorySource,
    /// The folder of the supplement: manifest and changes.
    pub supplement: MemorySource,
}

/// The keys of the single authority of an election.
pub struct AuthorityKeys {
    /// Signs checkpoints as the log.
    pub log: SigningKey,
    /// Cosigns them.
    pub cosigner: Cosigner,
}

/// The secret ballot key of the sample.
#[must_use]
pub fn ballot_key() -> BallotSecretKey {
    BallotSecretKey::from_seed(&[1; 32])
}

/// The ingest key of a node of the sample, 0 or 1.
#[must_use]
pub fn node_key(node: u8) -> NodeKey {
    NodeKey::from_seed(&[2 + node; 32])
}

/// The law of the sample.
///
/// # Panics
/// Never: the id is well formed.
#[must_use]
pub fn law_id() -> ElectionId {
    "L2025-001".parse().expect("a law id")
}

/// The keys of an authority from a seed byte: 11 for the sample's.
///
/// # Panics
/// Never: the names are well formed.
#[must_use]
pub fn authority_keys(seed: u8) -> AuthorityKeys {
    let base: KeyName = BASE.parse().expect("a key name");
    let origin = origin_of(&base, &law_id(), false).expect("a key name");
    let cosigner = cosigner_name_of(&base, "authority-1").expect("a key name");
    AuthorityKeys {
        log: SigningKey::from_seed(origin, &[seed; 32]),
        cosigner: Cosigner::from_seed(cosigner, &[seed + 1; 32]),
    }
}

impl AuthorityKeys {
    /// The policy with this one authority.
    ///
    /// # Panics
    /// Never: one authority makes a policy.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let name = "authority-1".parse().expect("a key name");
        let (log_key, cosigner_key) =
            (self.log.verifier().clone(), self.cosigner.verifier().clone());
        Policy::of_election(&[Authority { name, log_key, cosigner_key }], 1).expect("one authority")
    }

    /// A checkpoint of these leaves, signed and cosigned.
    ///
    /// # Panics
    /// Never: the key is named after the origin.
    #[must_use]
    pub fn checkpoint(&self, leaves: &[Vec<u8>]) -> SignedCheckpoint {
        self.checkpoint_at(leaves, UnixSeconds(60 * (CLOSES.0 + 62)))
    }

    /// A checkpoint of these leaves, cosigned at a time.
    ///
    /// # Panics
    /// Never: the key is named after the origin.
    #[must_use]
    pub fn checkpoint_at(&self, leaves: &[Vec<u8>], at: UnixSeconds) -> SignedCheckpoint {
        let root: RootHasher = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
        let checkpoint = Checkpoint::new(self.log.verifier().name(), root.size(), root.root());
        let signature = checkpoint.sign(&self.log).expect("named after the origin");
        let cosignature = self.cosigner.cosign(&checkpoint, at).expect("a time");
        SignedCheckpoint::new(checkpoint, signature, [cosignature]).expect("two signatures")
    }
}

/// A checkpoint of these leaves by several of [`SampleAuthority`], by number: `signer` signs as the
/// log, and each of `cosigners` cosigns, in this order.
///
/// # Panics
/// For a number that is not from 1 to 32.
#[must_use]
pub fn checkpoint_by(signer: u8, cosigners: &[u8], leaves: &[Vec<u8>]) -> SignedCheckpoint {
    let log_key = SampleAuthority::new(signer).log_key(&law_id(), false);
    let root: RootHasher = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
    let checkpoint = Checkpoint::new(log_key.verifier().name(), root.size(), root.root());
    let signature = checkpoint.sign(&log_key).expect("named after the origin");
    let cosignatures = cosigners.iter().map(|number| {
        let cosigner = SampleAuthority::new(*number).cosigner();
        cosigner.cosign(&checkpoint, UnixSeconds(60 * (CLOSES.0 + 62))).expect("a time")
    });
    let cosignatures: Vec<Signature> = cosignatures.collect();
    SignedCheckpoint::new(checkpoint, signature, cosignatures).expect("few signatures")
}

/// The credential hash of an elector of the sample, by number; electors from 12 on are not in the
/// first roll.
///
/// # Panics
/// Never: the credential is well formed.
#[must_use]
pub fn hash(elector: u32) -> CredentialHash {
    let nas = format!("0{elector:08}");
    let credential = Credential::parse(nas.as_bytes(), b"ABCD2345", law_id().as_str().as_bytes())
        .expect("well formed");
    CredentialHasher::peppered(&pepper()).hash(&credential)
}

/// The pepper of the sample.
#[must_use]
pub fn pepper() -> Pepper {
    Pepper::from_bytes([7; 32])
}

fn key(elector: u32) -> RegistryKey {
    HashScheme::HmacSha256.registry_key(&hash(elector))
}

/// The definition of the sample's election.
///
/// # Panics
/// Never: the definition is well formed.
#[must_use]
pub fn definition(results: ResultsPolicy, publish_every: u64) -> Definition {
    let text = |fr: &str, en: &str| Bilingual { fr: fr.to_owned(), en: en.to_owned() };
    Definition {
        law_id: law_id(),
        title: text("Loi sur l'eau", "Water Act"),
        description: text("Faut-il protéger les lacs ?", "Shall the lakes be protected?"),
        choices: ["oui", "non", "blanc"]
            .map(|id| Choice::with_customary_labels(id.parse().expect("a choice")))
            .to_vec(),
        binding: false,
        results,
        publish_every,
        opens: Some(OPENS),
        closes: Some(CLOSES),
        ballot_key: ballot_key().public_key(),
    }
}

/// One vote of the sample: request, elector, minutes after the opening, choice.
pub type Vote = (u8, u32, i64, u16);

/// Seals a batch of the sample.
///
/// # Panics
/// Never: the ballot key is good.
#[must_use]
pub fn batch(node: u8, sequence: u64, last: bool, votes: &[Vote]) -> Arc<Batch> {
    let key = node_key(node);
    let number = BatchNumber { node: key.node_id(), epoch: Epoch(1), sequence: Sequence(sequence) };
    let header =
        BatchHeader { law_id: law_id(), number, confirmed_through: Sequence(sequence - 1), last };
    let envelopes: Vec<Envelope> = votes
        .iter()
        .map(|(request, elector, minute, choice)| Envelope {
            request: RequestId::from_bytes(
                *Digest::of(&[*request]).as_bytes().first_chunk().expect("16 of 32 bytes"),
            ),
            hash: hash(*elector),
            received: UnixMinutes(OPENS.0.saturating_add_signed(*minute)),
            choice: ChoiceIndex(*choice),
        })
        .collect();
    let mut rng = FixedRng::new(10 * node + sequence as u8);
    Arc::new(
        Batch::seal(header, &envelopes, &ballot_key().public_key(), &key, &mut rng)
            .expect("a good key"),
    )
}

impl Sample {
    /// A whole election, certified: two nodes, a supplement, and votes accepted, blank, spoiled,
    /// duplicate, replayed, clashing, unknown, revoked, early and late.
    ///
    /// # Panics
    /// Never: every event follows from the one before.
    #[must_use]
    pub fn certified() -> Self {
        let mut making = Making::open(definition(ResultsPolicy::Live, 2));
        let first = [(5, 2, -1, 0), (1, 0, 0, 0), (2, 1, 0, 1), (3, 1, 1, 0), (4, 50, 1, 0)];
        making.vote(&[batch(0, 1, false, &first)]);
        making.vote(&[
            batch(0, 2, false, &[(6, 2, 2, 0), (1, 0, 2, 0), (7, 3, 2, 2)]),
            batch(1, 1, false, &[(8, 1, 2, 1), (9, 4, 2, 9)]),
        ]);
        making.supplement();
        let late =
            [(10, 5, 67, 0), (11, 20, 67, 0), (12, 21, 67, 1), (1, 9, 68, 0), (13, 6, 1440, 1)];
        making.vote(&[batch(1, 2, false, &late)]);
        making.record(LogEvent::Closing { closes: CLOSES, reason: None }, CLOSES.0);
        making.vote(&[batch(0, 3, true, &[(14, 7, 1439, 0)]), batch(1, 3, true, &[])]);
        making.close();
        making.certify();
        making.sample
    }

    /// The bundle of these leaves, signed by an authority whose seed byte is 11.
    #[must_use]
    pub fn bundle(&self) -> MemorySource {
        self.bundle_of(&self.leaves, &authority_keys(11))
    }

    /// The bundle of any leaves that begin with a draft, in order or not.
    ///
    /// # Panics
    /// When the leaves cannot be put into a bundle.
    #[must_use]
    pub fn bundle_of(&self, leaves: &[Vec<u8>], authority: &AuthorityKeys) -> MemorySource {
        self.bundle_under(leaves, &authority.policy(), &authority.checkpoint(leaves))
    }

    /// As [`Sample::bundle_of`], under any policy and with any checkpoint.
    ///
    /// # Panics
    /// When the leaves cannot be put into a bundle.
    #[must_use]
    pub fn bundle_under(
        &self,
        leaves: &[Vec<u8>],
        policy: &Policy,
        checkpoint: &SignedCheckpoint,
    ) -> MemorySource {
        let mut writer = Writer::new();
        let mut lines = Vec::new();
        leaves.iter().for_each(|leaf| writer.leaf(leaf, &mut lines).expect("a leaf"));
        let manifests =
            [&self.roll, &self.supplement].map(|folder| folder[Manifest::FILE_NAME].clone());
        let files = writer
            .finish(checkpoint.to_string().as_bytes(), policy.as_bytes(), &manifests)
            .expect("a bundle");
        let files = files.into_iter().map(|file| (file.name, file.bytes));
        files.chain([(file::LEAVES.to_owned(), lines)]).collect()
    }

    /// The receipt of the leaf at an index, from the checkpoint of the whole log.
    ///
    /// # Panics
    /// When there is no such leaf.
    #[must_use]
    pub fn receipt(&self, index: usize) -> Proof {
        self.receipt_at(index, self.leaves.len())
    }

    /// The receipt of the leaf at an index, from the checkpoint of the first `size` leaves.
    ///
    /// # Panics
    /// When there are fewer leaves, or none at that index.
    #[must_use]
    pub fn receipt_at(&self, index: usize, size: usize) -> Proof {
        let leaves = &self.leaves[..size];
        let hashes: Vec<TreeHash> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
        let checkpoint = authority_keys(11).checkpoint(leaves);
        Proof::new(&self.leaves[index], index as u64, path(&hashes, index), checkpoint)
    }

    /// The leaves, parsed.
    ///
    /// # Panics
    /// Never: they were written.
    #[must_use]
    pub fn parsed(&self) -> Vec<Leaf> {
        self.leaves.iter().map(|leaf| Leaf::parse(leaf).expect("own leaf")).collect()
    }
}

/// The inclusion proof, computed as RFC 6962 section 2.1.1 defines it.
fn path(hashes: &[TreeHash], index: usize) -> Vec<TreeHash> {
    if hashes.len() == 1 {
        return Vec::new();
    }
    let root = |part: &[TreeHash]| part.iter().copied().collect::<RootHasher>().root();
    let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
    let (mut below, sibling) = if index < left.len() {
        (path(left, index), root(right))
    } else {
        (path(right, index - left.len()), root(left))
    };
    below.push(sibling);
    below
}

/// A sample under construction.
pub struct Making {
    /// The sample so far.
    pub sample: Sample,
    log: ElectionLog,
    time: u64,
    manifest: Digest,
}

impl Making {
    /// An election with its roll loaded, its two nodes admitted and the poll open.
    ///
    /// # Panics
    /// Never: every event follows from the one before.
    #[must_use]
    pub fn open(definition: Definition) -> Self {
        let (log, first) = ElectionLog::begin(definition, &maker(OPENS.0 - 60));
        let (roll, keys) = roll_folder();
        let supplement = supplement_folder(Digest::of(&roll[Manifest::FILE_NAME]));
        let manifest = Digest::of(&roll[Manifest::FILE_NAME]);
        let sample = Sample { leaves: Vec::new(), batches: Vec::new(), roll, supplement };
        let mut making = Self { sample, log, time: OPENS.0 - 50, manifest };
        making.push(&first);
        let load = RollLoad {
            manifest,
            parent: None,
            replaces: None,
            scheme: HashScheme::HmacSha256,
            content: RollContent::Roll(Arc::new(
                electorate::KeyList::new(keys).expect("ascending"),
            )),
        };
        let mut events = vec![LogEvent::Load(load)];
        events.extend([0, 1].map(|node| LogEvent::Admit(node_key(node).public_key())));
        events.push(LogEvent::Open { opens: OPENS, waivers: Vec::new() });
        making.append(&BlockContent::Events(&events));
        making.time = OPENS.0 + 1;
        making
    }

    /// Seals batches in one block.
    ///
    /// # Panics
    /// When a batch is not the next of its epoch.
    pub fn vote(&mut self, batches: &[Arc<Batch>]) {
        let verified: Vec<VerifiedBatch> = batches
            .iter()
            .map(|batch| self.log.verify_batch(batch).expect("an admitted node"))
            .collect();
        self.append(&BlockContent::Batches { batches: &verified, ballot_key: &ballot_key() });
        self.sample.batches.extend_from_slice(batches);
    }

    /// Records one event.
    ///
    /// # Panics
    /// When the event is not possible.
    pub fn record(&mut self, event: LogEvent, time: u64) {
        self.time = self.time.max(time);
        self.append(&BlockContent::Events(&[event]));
    }

    /// Loads the sample's supplement: adds elector 21, replaces 8 by 20, revokes 5, and would
    /// revoke 0, who has voted.
    ///
    /// # Panics
    /// Never: it was made for this roll.
    pub fn supplement(&mut self) {
        let changes = Changes::decode(&self.sample.supplement[&Changes::file_name(&law_id())])
            .expect("own bytes");
        let load = RollLoad {
            manifest: Digest::of(&self.sample.supplement[Manifest::FILE_NAME]),
            parent: Some(self.manifest),
            replaces: None,
            scheme: HashScheme::HmacSha256,
            content: RollContent::Supplement(Arc::new(electorate::Changes::from(&changes))),
        };
        self.record(LogEvent::Load(load), OPENS.0 + 60);
    }

    /// Closes the election, ten minutes after the poll.
    ///
    /// # Panics
    /// When it cannot be closed.
    pub fn close(&mut self) {
        self.time = CLOSES.0 + 10;
        self.append(&BlockContent::Close);
    }

    /// Certifies the result.
    ///
    /// # Panics
    /// Before the close.
    pub fn certify(&mut self) {
        self.record(LogEvent::Certify { witness_waiver: None }, CLOSES.0 + 60);
    }

    fn append(&mut self, content: &BlockContent<'_>) {
        let Proposal { block, effect, refused } =
            self.log.propose(content, &maker(self.time)).expect("the content fits");
        assert_eq!(refused.len(), 0, "every batch follows");
        self.log.apply(effect);
        self.push(&block);
    }

    fn push(&mut self, block: &Block) {
        let leaves = leaves_of_block(&block.leaves).map(|leaf| leaf.expect("own block").to_vec());
        self.sample.leaves.extend(leaves);
        self.time += 1;
    }
}

fn maker(at: u64) -> BlockMaker {
    BlockMaker { term: 1, leader: "authority-1".to_owned(), at: UnixMinutes(at) }
}

fn roll_folder() -> (MemorySource, Vec<RegistryKey>) {
    let mut keys: Vec<RegistryKey> = (0..ELECTORS).map(key).collect();
    keys.sort_unstable();
    let head = ShardHead { law_id: law_id(), shard: 1, shards: 1 };
    let (name, bytes) = (head.file_name(ShardFormat::Json), head.encode(ShardFormat::Json, &keys));
    let row = FileRow {
        file: name.clone(),
        law_id: law_id(),
        shard: 1,
        count: keys.len() as u64,
        sha256: Digest::of(&bytes),
    };
    let law = LawRow { law_id: law_id(), registered: keys.len() as u64, shards: 1, revoked: 0 };
    let manifest = manifest(None, ELECTORS.into(), law, vec![row], Vec::new());
    (MemorySource::from([(name, bytes), (Manifest::FILE_NAME.to_owned(), manifest)]), keys)
}

fn supplement_folder(parent: Digest) -> MemorySource {
    let changes =
        Changes::new(law_id(), vec![key(21)], vec![key(5), key(0)], vec![(key(8), key(20))])
            .expect("disjoint");
    let (added, revoked) = (changes.added_count(), changes.revoked_count());
    let (name, bytes) = (Changes::file_name(&law_id()), changes.encode());
    let row = FileRow {
        file: name.clone(),
        law_id: law_id(),
        shard: 1,
        count: added + revoked,
        sha256: Digest::of(&bytes),
    };
    let law = LawRow { law_id: law_id(), registered: added, shards: 0, revoked };
    let manifest = manifest(Some(parent), added + revoked, law, Vec::new(), vec![row]);
    MemorySource::from([(name, bytes), (Manifest::FILE_NAME.to_owned(), manifest)])
}

fn manifest(
    parent: Option<Digest>,
    rows: u64,
    law: LawRow,
    shards: Vec<FileRow>,
    changes: Vec<FileRow>,
) -> Vec<u8> {
    let roll = RollFacts {
        sha256: Digest::of(b"sample roll"),
        rows,
        duplicates: 0,
        rejects: 0,
        code_length_min: 8,
    };
    let manifest = Manifest::new(ManifestBody {
        tool: "votekit 0.1.0".to_owned(),
        scheme: HashScheme::HmacSha256,
        pepper: Some(PepperMarks::new(&pepper())),
        date: None,
        parent,
        roll,
        laws: vec![law],
        shards,
        changes,
    });
    manifest.expect("its counts agree").encode()
}
