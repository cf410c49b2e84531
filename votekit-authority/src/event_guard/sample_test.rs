//! An authority that checks the blocks of a small election: its facts, and its log. All facts
//! satisfy the rules until a test changes them.

use std::sync::Arc;

use votekit_core::authority::{AuthorityMember, AuthoritySet, TermLeader};
use votekit_core::ballot::{BallotPublicKey, BallotSecretKey};
use votekit_core::batch::{NodeKey, NodePublicKey};
use votekit_core::binding::BindingRule;
use votekit_core::credential::{HashScheme, RegistryKey};
use votekit_core::election::{Bilingual, Choice, Definition, ResultsPolicy, State, Window};
use votekit_core::election_log::{
    BlockContent, BlockMaker, ElectionLog, Evidence, LogEvent, Proposal, ReplaySource, RollContent,
    RollLoad,
};
use votekit_core::electorate::KeyList;
use votekit_core::id::{Digest, ElectionId, Epoch, NodeId, Sequence};
use votekit_core::instant::{UnixMillis, UnixMinutes, UnixSeconds};
use votekit_core::log::leaf::{BatchLeaf, RollEvent};

use super::{EpochFacts, Facts, LeaseFacts, ProposalFacts, RollFacts};
use crate::quiescence::EpochProgress;

/// The term of every proposal; `authority-1` leads in it.
pub(super) const TERM: u64 = 3;

/// Half a minute after [`minute`] 100.
pub(super) const NOW: UnixMillis = UnixMillis((EPOCH + 100) * 60_000 + 30_000);

/// The minute that minutes count from.
const EPOCH: u64 = 29_400_000;

/// The facts of one authority.
pub(super) struct World {
    pub(super) law_id: ElectionId,
    pub(super) first_leaf: u64,
    pub(super) now: Option<UnixMillis>,
    pub(super) leadership: TermLeader,
    pub(super) proposed_at: UnixSeconds,
    pub(super) takes_votes: bool,
    pub(super) signed_by: Vec<TermLeader>,
    pub(super) authorities: AuthoritySet,
    pub(super) state: Option<State>,
    pub(super) is_open_after: bool,
    pub(super) planned: Window,
    pub(super) ballot_key: Option<BallotPublicKey>,
    pub(super) rolls: Vec<RollFacts>,
    pub(super) admitted: Vec<NodePublicKey>,
    pub(super) unmet: Option<Vec<BindingRule>>,
    pub(super) latest_stamp: Option<UnixMinutes>,
    pub(super) epochs: Option<Vec<EpochFacts>>,
    pub(super) is_settled: bool,
    pub(super) observed: Vec<(NodeId, Epoch, Sequence)>,
}

impl World {
    pub(super) fn new() -> Self {
        let roll = RollFacts {
            manifest: manifest(1),
            parent: None,
            scheme: HashScheme::Sha256,
            is_signed: true,
        };
        Self {
            law_id: law_id(),
            first_leaf: 0,
            now: Some(NOW),
            leadership: leader(TERM, 1),
            proposed_at: NOW.seconds(),
            takes_votes: false,
            signed_by: vec![leader(TERM, 1)],
            authorities: authorities(),
            state: Some(State::Draft),
            is_open_after: false,
            planned: Window { opens: Some(minute(95)), closes: Some(minute(200)) },
            ballot_key: Some(ballot_key().public_key()),
            rolls: vec![roll],
            admitted: vec![node_key().public_key()],
            unmet: Some(vec![]),
            latest_stamp: Some(minute(100)),
            epochs: Some(vec![]),
            is_settled: true,
            observed: vec![],
        }
    }

    pub(super) fn facts(&self) -> Facts<'_> {
        let leases = |epochs| LeaseFacts { epochs, is_settled: self.is_settled };
        Facts {
            law_id: &self.law_id,
            first_leaf: self.first_leaf,
            now: self.now,
            proposal: ProposalFacts {
                leadership: &self.leadership,
                proposed_at: self.proposed_at,
                takes_votes: self.takes_votes,
                signed_by: &self.signed_by,
            },
            authorities: &self.authorities,
            state: self.state,
            is_open_after: self.is_open_after,
            planned: self.planned,
            ballot_key: self.ballot_key,
            rolls: &self.rolls,
            admitted: &self.admitted,
            unmet: self.unmet.as_deref(),
            latest_stamp: self.latest_stamp,
            leases: self.epochs.as_deref().map(leases),
            observed: &self.observed,
        }
    }

    /// The only epoch.
    pub(super) fn epoch(&mut self) -> &mut EpochFacts {
        match self.epochs.as_deref_mut() {
            Some([epoch]) => epoch,
            other => panic!("one epoch, not {other:?}"),
        }
    }
}

/// Epoch 1 of the admitted node: fenced, and sealed as far as it is staged.
pub(super) fn epoch(sealed: u64, is_ended: bool) -> EpochFacts {
    EpochFacts {
        progress: EpochProgress {
            node: node_key().node_id(),
            epoch: Epoch(1),
            is_given: true,
            is_missing: false,
            is_admitted: true,
            staged_through: Some(Sequence(sealed)).filter(|staged| staged.0 > 0),
            unsigned_through: None,
            sealed_through: Sequence(sealed),
            is_open: sealed > 0 && !is_ended,
            is_ended,
        },
        is_fenced: true,
        has_lease: false,
        confirmed_through: Sequence(0),
    }
}

/// How far an election has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Draft,
    Rolled,
    Open,
    Closing,
}

/// The log of the election at a stage, by honest blocks of the last ten minutes.
pub(super) fn log_at(stage: Stage) -> ElectionLog {
    let (mut log, _) = ElectionLog::begin(definition(), &maker(90));
    let admit = LogEvent::Admit(node_key().public_key());
    let closing = LogEvent::Closing { closes: minute(99), reason: Some("panne".to_owned()) };
    let steps = [
        (Stage::Rolled, 91, vec![LogEvent::Load(load()), admit]),
        (Stage::Open, 95, vec![LogEvent::Open { opens: minute(95), waivers: vec![] }]),
        (Stage::Closing, 98, vec![closing]),
    ];
    for (_, at, events) in steps.into_iter().filter(|(reached, _, _)| *reached <= stage) {
        let content = BlockContent::Events(&events);
        let Proposal { effect, .. } = log.propose(&content, &maker(at)).expect("honest");
        log.apply(effect);
    }
    log
}

pub(super) fn maker(at: u64) -> BlockMaker {
    BlockMaker { term: TERM, leader: "authority-1".to_owned(), at: minute(at) }
}

pub(super) fn load() -> RollLoad {
    RollLoad {
        manifest: manifest(1),
        parent: None,
        replaces: None,
        scheme: HashScheme::Sha256,
        content: roll(),
    }
}

fn roll() -> RollContent {
    let keys = (0..30).map(|elector| RegistryKey::from_bytes([elector; 32])).collect();
    RollContent::Roll(Arc::new(KeyList::new(keys).expect("ascending")))
}

/// Has every roll and no batch.
pub(super) struct Rolls;

impl ReplaySource for Rolls {
    fn roll(&mut self, _: &RollEvent) -> Option<RollContent> {
        Some(roll())
    }

    fn evidence(&mut self, _: &BatchLeaf) -> Option<Evidence> {
        None
    }
}

pub(super) fn definition() -> Definition {
    let text = Bilingual { fr: "Loi".to_owned(), en: "Law".to_owned() };
    Definition {
        law_id: law_id(),
        title: text.clone(),
        description: text,
        choices: ["oui", "non"]
            .map(|id| Choice::with_customary_labels(id.parse().expect("choice id")))
            .to_vec(),
        binding: false,
        results: ResultsPolicy::AfterClose,
        publish_every: 1,
        opens: Some(minute(95)),
        closes: Some(minute(200)),
        ballot_key: ballot_key().public_key(),
    }
}

/// Four authorities. No two keys of theirs are the same, nor that of a node.
fn authorities() -> AuthoritySet {
    let signing = |seed: u8| *NodeKey::from_seed(&[seed; 32]).public_key().as_bytes();
    let member = |number: u8| AuthorityMember {
        name: leader(TERM, number).leader,
        log: signing(10 * number),
        cosigner: signing(10 * number + 1),
        statement: signing(10 * number + 2),
        transport: *BallotSecretKey::from_seed(&[10 * number + 3; 32]).public_key().as_bytes(),
    };
    let base = "votekit.example".parse().expect("a key name");
    AuthoritySet::new(base, 3, (1..=4).map(member).collect()).expect("four authorities")
}

pub(super) fn leader(term: u64, number: u8) -> TermLeader {
    TermLeader { term, leader: format!("authority-{number}").parse().expect("a key name") }
}

fn law_id() -> ElectionId {
    "L1".parse().expect("law id")
}

pub(super) fn ballot_key() -> BallotSecretKey {
    BallotSecretKey::from_seed(&[1; 32])
}

/// The key of the admitted ingest node.
pub(super) fn node_key() -> NodeKey {
    NodeKey::from_seed(&[2; 32])
}

pub(super) const fn minute(after: u64) -> UnixMinutes {
    UnixMinutes(EPOCH + after)
}

pub(super) fn manifest(roll: u8) -> Digest {
    Digest::from_bytes([roll; 32])
}
