use proptest::prelude::*;

use super::tests::{maker, opened, policy, voted, votes};
use super::*;
use crate::election::ResultsPolicy;

/// A log that follows the blocks of another, and the number of outcomes reported.
fn followed(blocks: &[Block]) -> (ElectionLog, usize) {
    let mut outcomes = 0;
    let mut log = ElectionLog::follow_first(&blocks[0].leaves).expect("a draft");
    for block in &blocks[1..] {
        let effect = log.follow(&block.leaves, &mut |_| outcomes += 1).expect("whole");
        log.apply(effect);
    }
    (log, outcomes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A followed log answers every question about the election as the log that decides does, and
    /// reports each outcome.
    #[test]
    fn a_followed_log_equals_the_deciding_one(
        votes in votes(),
        every in 1_u64..6,
        policy in policy(),
        closing: bool,
    ) {
        let (log, stored) = voted(&votes, policy, every, closing);
        let (followed, outcomes) = followed(&stored.blocks);
        prop_assert_eq!(outcomes, votes.iter().map(Vec::len).sum::<usize>());
        prop_assert_eq!(followed.root(), log.root());
        let (theirs, own) = (followed.results(), log.results());
        prop_assert_eq!(theirs.state, own.state);
        prop_assert_eq!((theirs.registered, theirs.report), (own.registered, own.report));
        // Sums that the log does not open are known only to holders of the ballot key.
        prop_assert_eq!(followed.knows_counts(), policy == ResultsPolicy::Live || closing);
        if followed.knows_counts() {
            prop_assert_eq!(theirs.counts, own.counts);
        }
        prop_assert_eq!(followed.manifests(), log.manifests());
        for decided in log.decisions().requests().decided() {
            let request = decided.request();
            let (theirs, own) = (followed.decisions().requests(), log.decisions().requests());
            prop_assert_eq!(theirs.get(request), own.get(request));
        }
        let refused = followed.propose(&BlockContent::Close, &maker(300));
        prop_assert_eq!(refused.err(), Some(ElectionLogError::Followed));
    }
}

#[test]
fn a_supplement_changes_the_count_of_a_followed_electorate() {
    let roll = |parent: Option<u8>, loaded, added, revoked| {
        let digest = |byte| Digest::from_bytes([byte; 32]);
        crate::log::leaf::RollEvent {
            manifest: digest(9),
            parent: parent.map(digest),
            replaces: None,
            scheme: HashScheme::Sha256,
            loaded,
            added,
            revoked,
            refused: 0,
        }
    };
    let (_, stored) = opened(ResultsPolicy::Live, 1);
    let (log, _) = followed(&stored.blocks[..1]);
    let registered = |events: &[crate::log::leaf::RollEvent]| {
        let mut next = propose::NextState::new(&log);
        events.iter().try_for_each(|event| next.count_roll(event, 7))?;
        Ok::<_, ElectionLogError>(next.electorate().registered())
    };
    assert_eq!(registered(&[roll(None, 30, 0, 0), roll(Some(9), 0, 4, 2)]), Ok(32));
    // A roll replaces all before it.
    assert_eq!(registered(&[roll(None, 30, 0, 0), roll(None, 8, 0, 0)]), Ok(8));
    let more = registered(&[roll(None, 3, 0, 0), roll(Some(9), 0, 0, 4)]);
    assert!(matches!(more, Err(ElectionLogError::Contradiction { index: 7, .. })), "{more:?}");
}
