//! Each guard on both sides, and what a new leader proposes.

use std::collections::BTreeMap;

use votekit_core::authority::{
    Accept, AcceptedBlock, BlockProposal, ElectionVote, LogPoint, TermLeader, Vote,
};
use votekit_core::id::{Digest, ElectionId};
use votekit_core::instant::UnixSeconds;
use votekit_core::log::merkle::TreeHash;
use votekit_core::log::note::KeyName;

use super::*;

const FOUR: Quorum = Quorum { authorities: 4, quorum: 3 };

fn name(number: u8) -> KeyName {
    format!("a{number}").parse().expect("a key name")
}

fn law() -> ElectionId {
    "L1".parse().expect("an id")
}

fn leadership(term: u64) -> TermLeader {
    TermLeader { term, leader: name(1) }
}

fn point(height: u64, root: u8) -> LogPoint {
    LogPoint { height, size: height * 2, root: TreeHash::from_bytes([root; 32]) }
}

fn proposal(term: u64, point: LogPoint) -> BlockProposal {
    BlockProposal {
        law_id: law(),
        leadership: leadership(term),
        first_leaf: point.size - 2,
        leaf_count: 2,
        point,
        digest: Digest::compute(b"leaves"),
        takes_votes: true,
        proposed_at: UnixSeconds(0),
    }
}

fn seen(accepts: &[(u8, u64, LogPoint)]) -> RoundView {
    let mut view = RoundView::new(accepts.first().map_or(3, |(_, _, point)| point.height));
    for (by, term, point) in accepts {
        let leadership = leadership(*term);
        view.add_accept(name(*by), &Accept { law_id: law(), leadership, point: *point });
    }
    view
}

/// A memory that certified height 2 and promised term 5.
fn memory() -> RoundMemory {
    let mut memory = RoundMemory::default();
    memory.record_certified(&law(), point(2, 2));
    memory.record_vote(leadership(5));
    memory
}

#[test]
fn a_promise_only_rises() {
    let memory = memory();
    assert!(memory.vote(&leadership(5), true).is_err());
    assert!(memory.vote(&leadership(4), true).is_err());
    assert!(memory.vote(&leadership(6), false).is_err());
    let other = TermLeader { term: 5, leader: name(2) };
    assert!(memory.vote(&other, true).is_err(), "one vote a term");
    let vote = memory.vote(&leadership(6), true).expect("a later term");
    assert_eq!(vote.elections[0].certified, point(2, 2));
}

#[test]
fn a_promise_rises_by_a_bounded_number_of_terms() {
    let memory = memory();
    let highest = 5 + TERM_STEP_MAX;
    assert!(memory.vote(&leadership(highest), true).is_ok());
    let term = highest + 1;
    assert_eq!(memory.vote(&leadership(term), true), Err(NoVote::FarAhead { term, highest }));
    let all = leadership(u64::MAX);
    assert!(matches!(memory.vote(&all, true), Err(NoVote::FarAhead { .. })));
    // Others have signed a later term while this authority was away.
    assert!(memory.vote_within(&leadership(term), true, 6).is_ok());
    assert!(memory.vote_within(&all, true, 6).is_err());
    assert!(memory.vote_within(&leadership(term), true, 4).is_err(), "the own promise counts too");
    // The first promise, on a ledger that is in use.
    let new = RoundMemory::default();
    assert!(new.vote(&leadership(50_000), true).is_ok());
    assert!(new.vote(&leadership(FIRST_TERM_MAX + 1), true).is_err());
    let far = FIRST_TERM_MAX + 7;
    assert!(new.vote_within(&leadership(far + TERM_STEP_MAX), true, far).is_ok());
}

#[test]
fn a_vote_reports_what_was_accepted() {
    let mut memory = memory();
    let accepted = memory
        .accept(&proposal(5, point(3, 3)), &point(3, 3), &seen(&[]), FOUR)
        .expect("the next block of the promised leadership");
    memory.record_accepted(&law(), accepted);
    let vote = memory.vote(&leadership(6), true).expect("a later term");
    assert_eq!(vote.elections[0].accepted, Some(AcceptedBlock { term: 5, point: point(3, 3) }));
    memory.record_certified(&law(), point(3, 3));
    let vote = memory.vote(&leadership(6), true).expect("a later term");
    assert_eq!(vote.elections[0].accepted, None, "certified blocks are settled");
}

#[test]
fn a_block_is_accepted_in_the_promised_leadership_only() {
    let memory = memory();
    let own = point(3, 3);
    let accept = |proposal: &BlockProposal| memory.accept(proposal, &own, &seen(&[]), FOUR);
    assert!(accept(&proposal(5, own)).is_ok());
    for term in [4, 6] {
        assert_eq!(accept(&proposal(term, own)), Err(NotAccepted::NotPromised { term }));
    }
    let mut foreign = proposal(5, own);
    foreign.leadership.leader = name(2);
    assert!(matches!(accept(&foreign), Err(NotAccepted::NotPromised { .. })));
    assert_eq!(accept(&proposal(5, point(3, 4))), Err(NotAccepted::OtherBytes));
    let far = proposal(5, point(4, 3));
    assert_eq!(accept(&far), Err(NotAccepted::NotNext { height: 4, next: 3 }));
    let mut gap = proposal(5, own);
    gap.first_leaf = 3;
    assert!(matches!(accept(&gap), Err(NotAccepted::NotNext { .. })));
}

#[test]
fn no_other_block_is_accepted_once_one_is_cosigned_or_agreed() {
    let mut memory = memory();
    let (own, other) = (point(3, 3), point(3, 9));
    let agreed = seen(&[(1, 4, other), (2, 4, other), (3, 4, other)]);
    assert_eq!(
        memory.accept(&proposal(5, own), &own, &agreed, FOUR),
        Err(NotAccepted::OtherAcceptedByQuorum { height: 3 })
    );
    let minority = seen(&[(1, 4, other), (2, 4, other), (3, 3, other)]);
    assert!(memory.accept(&proposal(5, own), &own, &minority, FOUR).is_ok());
    memory.record_cosigned(&law(), other);
    assert_eq!(
        memory.accept(&proposal(5, own), &own, &seen(&[]), FOUR),
        Err(NotAccepted::CosignedOther { height: 3 })
    );
}

#[test]
fn only_the_first_of_two_blocks_of_a_term_is_accepted() {
    let mut memory = memory();
    let (first, second) = (point(3, 3), point(3, 9));
    let accept = |memory: &RoundMemory, own: LogPoint| {
        memory.accept(&proposal(5, own), &own, &seen(&[]), FOUR)
    };
    let accepted = accept(&memory, first).expect("the first proposal");
    memory.record_accepted(&law(), accepted);
    assert_eq!(accept(&memory, first), Ok(accepted), "the same again");
    assert_eq!(accept(&memory, second), Err(NotAccepted::AcceptedOther { height: 3, term: 5 }));
    // In a later term another block may be chosen.
    memory.record_vote(leadership(6));
    assert!(memory.accept(&proposal(6, second), &second, &seen(&[]), FOUR).is_ok());
}

#[test]
fn no_block_is_cosigned_beside_another_that_a_quorum_has_accepted() {
    let (own, other) = (point(3, 3), point(3, 9));
    let accepts =
        |term: u64, point: LogPoint| [(1_u8, term, point), (2, term, point), (3, term, point)];
    let both = [accepts(4, other), accepts(5, own)].concat();
    assert_eq!(
        memory().cosign(&law(), &own, &seen(&both), FOUR),
        Err(NotCosigned::OtherAcceptedByQuorum { height: 3 })
    );
}

#[test]
fn a_block_is_cosigned_once_a_quorum_has_accepted_it_in_one_term() {
    let mut memory = memory();
    let own = point(3, 3);
    let cosign = |memory: &RoundMemory, view: &RoundView| memory.cosign(&law(), &own, view, FOUR);
    for few in [
        seen(&[]),
        seen(&[(1, 5, own), (2, 5, own)]),
        seen(&[(1, 5, own), (2, 5, own), (3, 4, own)]),
        seen(&[(1, 5, own), (1, 4, own), (2, 5, own)]),
    ] {
        assert!(matches!(cosign(&memory, &few), Err(NotCosigned::TooFewAccepts { .. })));
    }
    let enough = seen(&[(1, 5, own), (2, 5, own), (3, 5, own)]);
    assert_eq!(cosign(&memory, &enough), Ok(()));
    memory.record_cosigned(&law(), own);
    assert_eq!(cosign(&memory, &enough), Ok(()), "the same again");
    memory.record_cosigned(&law(), point(3, 9));
    assert_eq!(cosign(&memory, &enough), Err(NotCosigned::CosignedOther { height: 3 }));
    memory.record_certified(&law(), own);
    assert!(matches!(cosign(&memory, &enough), Err(NotCosigned::NotNext { .. })));
}

#[test]
fn accepts_of_a_liar_are_bounded_and_displace_no_other_ones() {
    let mut view = seen(&[(1, 5, point(3, 3)), (2, 5, point(3, 3)), (3, 5, point(3, 3))]);
    for term in 6..3000 {
        let accept = Accept { law_id: law(), leadership: leadership(term), point: point(3, 9) };
        view.add_accept(name(4), &accept);
    }
    assert_eq!(view.accepted_by_quorum(FOUR).map(|accepted| accepted.term), Some(5));
    assert!(format!("{view:?}").matches("a4").count() <= 1024);
}

fn votes(reports: &[Option<(u64, LogPoint)>]) -> BTreeMap<KeyName, Vote> {
    reports
        .iter()
        .zip(1..)
        .map(|(report, number)| {
            let accepted = report.map(|(term, point)| AcceptedBlock { term, point });
            let election = ElectionVote { law_id: law(), certified: point(2, 2), accepted };
            (name(number), Vote { leadership: leadership(9), elections: vec![election] })
        })
        .collect()
}

#[test]
fn a_new_leader_proposes_the_block_accepted_last() {
    let (x, y) = (point(3, 3), point(3, 9));
    let head = point(2, 2);
    let choice = |reports: &[Option<(u64, LogPoint)>], excluded: &[LogPoint]| {
        choose(FOUR, &votes(reports), &law(), &head, &RoundView::new(3), excluded)
    };
    let again = |term, point| Choice::Again(AcceptedBlock { term, point });
    assert_eq!(choice(&[None, None], &[]), Choice::StepDown, "too few votes");
    assert_eq!(choice(&[None, None, None], &[]), Choice::Free);
    assert_eq!(choice(&[None, Some((4, x)), None], &[]), again(4, x));
    assert_eq!(choice(&[Some((5, y)), Some((4, x)), None], &[]), again(5, y));
    // A block that cannot be made is passed over only when a quorum does not report it.
    assert_eq!(choice(&[Some((5, y)), None, None], &[y]), Choice::StepDown);
    assert_eq!(choice(&[Some((5, y)), None, None, None], &[y]), Choice::Free);
    assert_eq!(choice(&[Some((5, y)), Some((3, x)), None, None], &[y]), again(3, x));
}

#[test]
fn a_new_leader_waits_for_a_ledger_that_lacks_a_certified_block() {
    let votes = votes(&[None, None, None]);
    let choice = choose(FOUR, &votes, &law(), &point(1, 1), &RoundView::new(2), &[]);
    assert_eq!(choice, Choice::Behind { certified: point(2, 2) });
}
