//! Whatever votes are available, what a quorum may have accepted is not passed over.

use proptest::prelude::*;
use votekit_core::authority::{Accept, TermLeader};
use votekit_core::log::merkle::TreeHash;

use super::*;

/// The report of a vote on the next height: the term of its accept, and the block.
type Report = Option<(u64, u8)>;

fn name(index: usize) -> KeyName {
    format!("authority-{index}").parse().expect("a key name")
}

fn law() -> ElectionId {
    "L1".parse().expect("an id")
}

fn leadership() -> TermLeader {
    TermLeader { term: 9, leader: name(0) }
}

fn point(height: u64, root: u8) -> LogPoint {
    LogPoint { height, size: height * 2, root: TreeHash::from_bytes([root; 32]) }
}

fn block((term, root): (u64, u8)) -> AcceptedBlock {
    AcceptedBlock { term, point: point(3, root) }
}

fn vote(certified: LogPoint, report: Report) -> Vote {
    let election = ElectionVote { law_id: law(), certified, accepted: report.map(block) };
    Vote { leadership: leadership(), elections: vec![election] }
}

/// The votes of the authorities that have one, over a log of two blocks.
fn votes(reports: &[Option<Report>]) -> BTreeMap<KeyName, Vote> {
    let cast = reports.iter().enumerate();
    cast.filter_map(|(index, report)| Some((name(index), vote(point(2, 2), (*report)?)))).collect()
}

fn chosen(quorum: Quorum, reports: &[Option<Report>], excluded: &[u8]) -> Choice {
    let excluded: Vec<LogPoint> = excluded.iter().map(|root| point(3, *root)).collect();
    let seen = RoundView::new(3);
    choose(quorum, &votes(reports), &law(), &point(2, 2), &seen, &excluded)
}

const FOUR: Quorum = Quorum { authorities: 4, quorum: 3 };

#[test]
fn a_later_block_of_one_vote_yields_to_one_that_a_quorum_may_have_accepted() {
    let (early, late) = (Some(Some((5, 1))), Some(Some((6, 2))));
    let none = Some(None);
    // With all votes available, no quorum can have accepted the later one.
    assert_eq!(chosen(FOUR, &[early, early, none, late], &[]), Choice::Again(block((5, 1))));
    // With three, both may be agreed: then the later leader had found the earlier one free.
    assert_eq!(chosen(FOUR, &[early, early, None, late], &[]), Choice::Again(block((6, 2))));
    assert_eq!(chosen(FOUR, &[early, none, none, late], &[]), Choice::Again(block((6, 2))));
}

#[test]
fn two_blocks_of_one_term_wait_for_the_vote_that_decides() {
    let (one, other) = (Some(Some((5, 1))), Some(Some((5, 2))));
    let none = Some(None);
    // More votes for one of them prove nothing: an authority that lies adds its own.
    assert_eq!(chosen(FOUR, &[one, other, other, None], &[]), Choice::StepDown);
    assert_eq!(chosen(FOUR, &[one, other, other, none], &[]), Choice::Again(block((5, 2))));
    assert_eq!(chosen(FOUR, &[one, one, other, none], &[]), Choice::Again(block((5, 1))));
}

#[test]
fn an_invented_certified_height_delays_nothing_while_a_quorum_is_at_hand() {
    let invented = vote(point(9, 9), None);
    let mut votes = votes(&[Some(None), Some(None)]);
    votes.insert(name(3), invented);
    let head = point(2, 2);
    let choice = |votes: &BTreeMap<KeyName, Vote>| {
        choose(FOUR, votes, &law(), &head, &RoundView::new(3), &[])
    };
    assert_eq!(choice(&votes), Choice::Behind { certified: point(9, 9) });
    votes.insert(name(2), vote(point(2, 2), None));
    assert_eq!(choice(&votes), Choice::Free);
}

#[test]
fn a_leader_that_cannot_make_an_agreed_block_steps_down() {
    let mut seen = RoundView::new(3);
    for index in 0..3 {
        let leadership = TermLeader { term: 4, leader: name(1) };
        seen.add_accept(name(index), &Accept { law_id: law(), leadership, point: point(3, 7) });
    }
    let votes = votes(&[Some(None); 4]);
    let choice =
        |excluded: &[LogPoint]| choose(FOUR, &votes, &law(), &point(2, 2), &seen, excluded);
    assert_eq!(choice(&[]), Choice::Again(block((4, 7))));
    assert_eq!(choice(&[point(3, 7)]), Choice::StepDown);
}

fn quorums() -> impl Strategy<Value = Quorum> {
    let sizes = vec![(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (5, 4)];
    proptest::sample::select(sizes).prop_map(|(authorities, quorum)| Quorum { authorities, quorum })
}

fn reports() -> impl Strategy<Value = Report> {
    proptest::option::weighted(0.7, (1..=5_u64, 1..=3_u8))
}

proptest! {
    /// Of the blocks reported, one is passed over only when a quorum of votes does not report it:
    /// every one if the leader is free, and those of the same or a later term beside the chosen.
    #[test]
    fn a_block_is_passed_over_only_when_a_quorum_does_not_report_it(
        quorum in quorums(),
        cast in proptest::collection::vec(proptest::option::weighted(0.9, reports()), 5),
        excluded in proptest::collection::vec(1..=3_u8, 0..2),
    ) {
        let cast = &cast[..quorum.authorities];
        let reported: Vec<Report> = cast.iter().flatten().copied().collect();
        let without = |root: u8| {
            reported.iter().filter(|report| report.is_none_or(|(_, other)| other != root)).count()
        };
        let choice = chosen(quorum, cast, &excluded);
        let term_min = match &choice {
            Choice::Free => 0,
            Choice::Again(again) => again.term,
            Choice::Behind { .. } => return Err(TestCaseError::fail("no vote is ahead")),
            Choice::StepDown => u64::MAX,
        };
        for (term, root) in reported.iter().flatten() {
            let is_chosen =
                matches!(&choice, Choice::Again(again) if again.point == point(3, *root));
            if *term >= term_min && !is_chosen {
                prop_assert!(without(*root) >= quorum.quorum, "{choice:?} over {term} {root}");
            }
        }
        if let Choice::Again(again) = &choice {
            prop_assert!(reported.iter().flatten().any(|report| block(*report) == *again));
        }
        let mut terms: Vec<(u64, u8)> = reported.iter().flatten().copied().collect();
        terms.sort_unstable();
        terms.dedup();
        let has_two_of_a_term = terms.windows(2).any(|pair| pair[0].0 == pair[1].0);
        if reported.len() >= quorum.quorum && excluded.is_empty() && !has_two_of_a_term {
            prop_assert_ne!(choice, Choice::StepDown);
        }
    }

    /// A block that a quorum accepted is chosen from any quorum of votes, or the leader steps down,
    /// while fewer than 2q − n authorities lie. It steps down only when its predecessor proposed
    /// two blocks.
    #[test]
    fn an_agreed_block_is_never_passed_over(
        quorum in quorums(),
        order in Just(vec![0, 1, 2, 3, 4_usize]).prop_shuffle(),
        liars in proptest::sample::subsequence(vec![0, 1, 2, 3, 4_usize], 0..=4),
        others in proptest::collection::vec(reports(), 5),
        absent in proptest::collection::vec(any::<bool>(), 5),
    ) {
        let Quorum { authorities, quorum: least } = quorum;
        let mut liars: Vec<usize> = liars.into_iter().filter(|it| *it < authorities).collect();
        liars.truncate(2 * least - authorities - 1);
        let order: Vec<usize> = order.into_iter().filter(|index| *index < authorities).collect();
        let agreeing = &order[..least];
        let reported = others.iter().take(authorities).enumerate().map(|(index, other)| {
            let accepts = agreeing.contains(&index) && !liars.contains(&index);
            if accepts { Some((5, 1)) } else { *other }
        });
        let mut cast: Vec<Option<Report>> = reported.map(Some).collect();
        let mut absences = authorities - least;
        for (vote, is_absent) in cast.iter_mut().zip(&absent) {
            if *is_absent && absences > 0 {
                *vote = None;
                absences -= 1;
            }
        }
        let choice = chosen(quorum, &cast, &[]);
        let rival = cast.iter().flatten().flatten().any(|(term, root)| *term == 5 && *root != 1);
        let agreed = Choice::Again(block((5, 1)));
        prop_assert!(choice == agreed || (rival && choice == Choice::StepDown), "{choice:?}");
    }
}
