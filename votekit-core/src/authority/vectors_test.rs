//! The golden vectors of `fixtures/vectors/authorities/`: four authorities of which three are a
//! quorum, and a statement of each kind.

use super::sample::{SampleAuthority, authority_set, witness};
use super::{
    Accept, AcceptedBlock, AuthoritySet, AuthorityStatus, BlockProposal, ElectionStatus,
    ElectionVote, LogPoint, NodeAdmission, Refuse, Statement, StatementBody, Suspect,
    SuspectReason, TermLeader, Vote,
};
use crate::ballot::BallotSecretKey;
use crate::batch::NodeKey;
use crate::id::{Digest, ElectionId};
use crate::instant::UnixSeconds;
use crate::log::merkle::TreeHash;

pub(crate) fn set() -> AuthoritySet {
    authority_set(4, 3)
}

/// The same authorities with three outside witnesses, of which two must cosign.
pub(crate) fn witnessed() -> AuthoritySet {
    let witnesses = vec![
        witness(1, "https://w1.witness.example/logs"),
        witness(2, "https://w2.witness.example/"),
        witness(3, "http://w3.witness.example:8080"),
    ];
    set().with_witnesses(witnesses, 2).expect("three witnesses")
}

pub(crate) fn law_id() -> ElectionId {
    "L2025-001".parse().expect("a law id")
}

/// Authority 2 leads in term 5.
fn leadership() -> TermLeader {
    TermLeader { term: 5, leader: SampleAuthority::new(2).name() }
}

/// The end of the log after the block of height 8.
fn eighth() -> LogPoint {
    LogPoint { height: 8, size: 812, root: TreeHash::from_bytes([8; 32]) }
}

pub(crate) fn vote() -> Statement {
    let seventh = LogPoint { height: 7, size: 700, root: TreeHash::from_bytes([7; 32]) };
    let first = ElectionVote {
        law_id: law_id(),
        certified: seventh,
        accepted: Some(AcceptedBlock { term: 4, point: eighth() }),
    };
    let second = ElectionVote {
        law_id: "L2025-002".parse().expect("a law id"),
        certified: LogPoint::empty(),
        accepted: None,
    };
    let vote = Vote { leadership: leadership(), elections: vec![first, second] };
    statement(3, 6, StatementBody::Vote(vote))
}

pub(crate) fn accept() -> Statement {
    let accept = Accept { law_id: law_id(), leadership: leadership(), point: eighth() };
    statement(1, 2, StatementBody::Accept(accept))
}

pub(crate) fn refuse() -> Statement {
    let refuse = Refuse {
        law_id: law_id(),
        leadership: leadership(),
        height: 8,
        digest: Digest::compute(b"leaves"),
        leaf: 705,
        rule: "entry-decision".to_owned(),
        own: Some(Digest::compute(b"own leaf")),
        theirs: Some(Digest::compute(b"their leaf")),
    };
    statement(4, 1, StatementBody::Refuse(refuse))
}

/// Refused as a whole: no leaf differs.
pub(crate) fn refuse_block() -> Statement {
    let mut statement = refuse();
    if let StatementBody::Refuse(refuse) = &mut statement.body {
        (refuse.leaf, refuse.rule) = (811, "block-minute-behind".to_owned());
        (refuse.own, refuse.theirs) = (None, None);
    }
    statement
}

pub(crate) fn suspect() -> Statement {
    let suspect = Suspect { leadership: leadership(), reason: SuspectReason::LeftOut };
    statement(1, 2, StatementBody::Suspect(suspect))
}

pub(crate) fn proposal() -> BlockProposal {
    BlockProposal {
        law_id: law_id(),
        leadership: leadership(),
        first_leaf: 700,
        leaf_count: 112,
        point: eighth(),
        digest: Digest::compute(b"leaves"),
        takes_votes: true,
        proposed_at: UnixSeconds(1_763_712_000),
    }
}

/// Authority 1 is halted in the second election, and its clock is behind.
pub(crate) fn status() -> AuthorityStatus {
    let election = |law_id: &str, height, is_halted| ElectionStatus {
        law_id: law_id.parse().expect("a law id"),
        height,
        is_halted,
    };
    AuthorityStatus {
        authority: SampleAuthority::new(1).name(),
        incarnation: 2,
        at: UnixSeconds(1_763_712_000),
        clock_offset: -1250,
        free_bytes: Some(104_857_600),
        signs: true,
        elections: vec![election("L2025-001", 8, false), election("L2025-002", 0, true)],
    }
}

/// An ingest node, admitted at authority 2.
pub(crate) fn admission() -> NodeAdmission {
    NodeAdmission {
        authority: SampleAuthority::new(2).name(),
        node: "ingest-1".to_owned(),
        key: NodeKey::from_seed(&[2; 32]).public_key(),
        transport: BallotSecretKey::from_seed(&[172; 32]).public_key(),
        is_retired: false,
    }
}

fn statement(authority: u8, incarnation: u64, body: StatementBody) -> Statement {
    Statement { authority: SampleAuthority::new(authority).name(), incarnation, body }
}

/// Every statement, with the name of its file.
pub(crate) fn statements() -> [(&'static str, Statement); 5] {
    [
        ("vote", vote()),
        ("accept", accept()),
        ("refuse", refuse()),
        ("refuse-block", refuse_block()),
        ("suspect", suspect()),
    ]
}

/// Every file, by its name below `fixtures/vectors/`.
pub(crate) fn files() -> Vec<(String, Vec<u8>)> {
    let set = set();
    let policy = set.policy(&law_id(), true).expect("distinct key ids");
    let statement_key = |authority: &str| {
        let mut all = (1..=4).map(|number| SampleAuthority::new(number).statement_key());
        all.find(|key| key.name().as_str() == authority).expect("one of four")
    };
    let mut files = vec![
        ("authorities".to_owned(), set.as_bytes().to_vec()),
        ("authorities.fingerprint".to_owned(), format!("{}\n", set.fingerprint()).into_bytes()),
        ("policy".to_owned(), policy.as_bytes().to_vec()),
        ("proposal.note".to_owned(), statement_key("authority-2").sign_proposal(&proposal())),
        ("status.note".to_owned(), statement_key("authority-1").sign_status(&status())),
        ("admission.note".to_owned(), statement_key("authority-2").sign_admission(&admission())),
    ];
    let policy = witnessed().policy(&law_id(), true).expect("distinct key ids");
    files.push(("witnessed".to_owned(), witnessed().as_bytes().to_vec()));
    files.push(("witnessed.policy".to_owned(), policy.as_bytes().to_vec()));
    for (name, statement) in statements() {
        let key = statement_key(statement.authority.as_str());
        files.push((format!("{name}.note"), key.sign_statement(&statement)));
    }
    files.into_iter().map(|(name, bytes)| (format!("authorities/{name}"), bytes)).collect()
}
