use proptest::prelude::*;

use super::snapshot::tests::encoded;
use super::tests::{Stored, append, batch, close, keys, maker, opened, seal, votes};
use super::*;
use crate::election::ResultsPolicy;
use crate::log::tile;

/// The log after the first blocks of a stored one.
fn follower(stored: &mut Stored, blocks: usize) -> ElectionLog {
    let leaves: Vec<_> = stored.blocks[..blocks].iter().map(|one| one.leaves.clone()).collect();
    let mut replay = LogReplay::new();
    for leaves in leaves {
        replay.read(&leaves, &keys().ballot, stored).expect("own log");
    }
    replay.finish().expect("a log has a block")
}

fn check(log: &ElectionLog, leaves: &[u8], stored: &mut Stored) -> Result<Proposal, CheckError> {
    log.check(leaves, &keys().ballot, stored)
}

/// The bytes of a block's leaves.
fn texts(block: &Block) -> Vec<Vec<u8>> {
    leaves_of_block(&block.leaves).map(|leaf| leaf.expect("whole").to_vec()).collect()
}

fn block_of(texts: &[Vec<u8>]) -> Vec<u8> {
    let mut leaves = Vec::new();
    texts.iter().for_each(|leaf| tile::push_entry(&mut leaves, leaf).expect("short"));
    leaves
}

/// A log with a supplement, votes of every kind, a retired epoch and a certification.
fn whole(votes: &[Vec<(u8, u8, u16)>]) -> (ElectionLog, Stored) {
    let (mut log, mut stored) = opened(ResultsPolicy::Live, 2);
    for (sequence, votes) in (1..).zip(votes) {
        seal(&mut log, &mut stored, &[batch(sequence, false, votes)]);
    }
    seal(&mut log, &mut stored, &[batch(votes.len() as u64 + 1, true, &[(90, 5, 1), (91, 6, 0)])]);
    let retire = LogEvent::Retire { node: keys().node.node_id(), epoch: crate::id::Epoch(2) };
    stored.blocks.push(append(&mut log, &[retire], &maker(170)).expect("open"));
    close(&mut log, &mut stored);
    let certify = LogEvent::Certify { witness_waiver: None };
    stored.blocks.push(append(&mut log, &[certify], &maker(202)).expect("closed"));
    (log, stored)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// A dropped proposal leaves no trace. An applied one results in the state that a follower
    /// reaches with `check`, and a new reader with `LogReplay`.
    #[test]
    fn propose_check_and_replay_agree(votes in votes()) {
        let (log, mut stored) = whole(&votes);
        let mut following = follower(&mut stored, 1);
        for number in 1..stored.blocks.len() {
            let leaves = stored.blocks[number].leaves.clone();
            let before = encoded(&following);
            let first = check(&following, &leaves, &mut stored).expect("an honest block");
            drop(first);
            prop_assert_eq!(&encoded(&following), &before, "a dropped proposal left a trace");
            let proposal = check(&following, &leaves, &mut stored).expect("an honest block");
            prop_assert_eq!(&proposal.block.leaves, &leaves);
            prop_assert_eq!(proposal.block.root, stored.blocks[number].root);
            following.apply(proposal.effect);
            prop_assert_eq!(&encoded(&following), &encoded(&follower(&mut stored, number + 1)));
        }
        prop_assert_eq!(encoded(&following), encoded(&log));
    }

    /// A proposal that is dropped leaves no trace in the log that made it, nor does a refused one,
    /// whatever their content: the snapshot has the same bytes, and the same proposal follows.
    #[test]
    fn a_dropped_proposal_leaves_no_trace(votes in votes()) {
        let (_, mut stored) = whole(&votes);
        let (ballot_key, node) = (keys().ballot, keys().node.node_id());
        let mut made = [0_usize; 4];
        for blocks in 1..=stored.blocks.len() {
            let log = follower(&mut stored, blocks);
            let before = encoded(&log);
            let progress = log.decisions().epochs().progress(node, crate::id::Epoch(1));
            let next = batch(progress.through.next().0, false, &[(95, 7, 1)]);
            let batches: Vec<_> = log.verify_batch(&next).into_iter().collect();
            let closing = [LogEvent::Closing { closes: minute_of(200), reason: None }];
            let certify = [LogEvent::Certify { witness_waiver: None }];
            let contents = [
                (BlockContent::Events(&closing), 199),
                (BlockContent::Batches { batches: &batches, ballot_key: &ballot_key }, 202),
                (BlockContent::Close, 202),
                (BlockContent::Events(&certify), 202),
            ];
            for ((content, at), made) in contents.iter().zip(&mut made) {
                let propose = || log.propose(content, &maker(*at)).map(|own| own.block.leaves);
                let first = propose();
                prop_assert_eq!(&encoded(&log), &before, "a proposal left a trace");
                prop_assert_eq!(&propose(), &first);
                *made += usize::from(first.is_ok());
            }
        }
        prop_assert!(made.iter().all(|count| *count > 0), "never possible: {:?}", made);
    }

    /// Every edit of a block of votes or of the close is refused, except in what a leader chooses
    /// freely: term, name and time in the `block` leaf. Events and their parameters are inputs: in
    /// a block of events only what follows from them is compared.
    #[test]
    fn every_edited_block_is_refused(
        votes in votes(),
        number in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        byte in any::<prop::sample::Index>(),
        edit in 0..5_u8,
        flip in 1..=255_u8,
    ) {
        let (_, mut stored) = whole(&votes);
        let number = 1 + number.index(stored.blocks.len() - 1);
        let log = follower(&mut stored, number);
        let honest = stored.blocks[number].clone();
        let mut texts = texts(&honest);
        let first = String::from_utf8(texts[0].clone()).expect("canonical");
        let is_derived = first.contains("\"leaf\":\"batch\"") || first.contains("\"closed\"");
        let place = place.index(texts.len());
        match edit {
            0 => drop(texts.remove(place)),
            1 => texts.insert(place, texts[place].clone()),
            2 if place + 1 < texts.len() => texts.swap(place, place + 1),
            3 => {
                let byte = byte.index(texts[place].len());
                texts[place][byte] ^= flip;
            }
            _ => texts.truncate(place),
        }
        let edited = block_of(&texts);
        prop_assume!(edited != honest.leaves);
        match check(&log, &edited, &mut stored) {
            Err(CheckError::Refused(refused)) => {
                let end = honest.first_leaf + texts.len() as u64;
                prop_assert!((honest.first_leaf..=end).contains(&refused.leaf), "{}", refused);
            }
            // A batch number that is not stored: the block cannot be decided yet.
            Err(error) => {
                let is_missing = matches!(error, CheckError::MissingEvidence { .. });
                prop_assert!(is_missing && edit == 3, "{}", error);
            }
            // Another valid choice of the leader, or another valid event.
            Ok(_) => {
                let leaf = String::from_utf8(texts[place].clone()).expect("canonical");
                let block_leaf = leaf.contains("\"leaf\":\"block\"") && edit == 3;
                prop_assert!(block_leaf || !is_derived, "{leaf}");
            }
        }
    }
}

/// Changes each derived field of a block by one: the refusal names the leaf and the rule.
#[test]
fn a_refusal_names_the_leaf_and_the_rule() {
    let votes = [vec![(1, 1, 0), (2, 1, 1), (3, 77, 0), (1, 1, 0)], vec![(4, 2, 1), (5, 3, 0)]];
    let (_, mut stored) = whole(&votes);
    let place = |stored: &Stored, kind: &str| {
        let is = |text: &Vec<u8>| String::from_utf8_lossy(text).contains(kind);
        let blocks = stored.blocks.iter().enumerate();
        let mut found =
            blocks.filter_map(|(number, block)| Some((number, texts(block).iter().position(is)?)));
        found.next().unwrap_or_else(|| panic!("no {kind}"))
    };
    let mut refused = |kind: &str, from: &str, to: &str| {
        let (number, place) = place(&stored, kind);
        let log = follower(&mut stored, number);
        let mut texts = texts(&stored.blocks[number]);
        let text = String::from_utf8(texts[place].clone()).expect("text");
        assert!(text.contains(from), "{text}");
        texts[place] = text.replacen(from, to, 1).into_bytes();
        let error = check(&log, &block_of(&texts), &mut stored).expect_err(kind);
        let CheckError::Refused(refused) = error else { panic!("{error}") };
        assert_eq!(refused.leaf, log.tree().size() + place as u64, "{refused}");
        assert_eq!(refused.theirs.as_deref(), Some(texts[place].as_slice()));
        refused.rule.as_str()
    };
    let duplicate = "\"decision\":\"duplicate\"";
    assert_eq!(refused(duplicate, "\"attempt\":2", "\"attempt\":3"), "differs");
    assert_eq!(refused("\"reason\":\"unknown\"", "unknown", "revoked"), "differs");
    assert_eq!(refused("\"leaf\":\"batch\"", "\"sequence\":1", "\"sequence\":2"), "order");
    assert_eq!(refused("\"leaf\":\"batch\"", "\"count\":4", "\"count\":5"), "evidence");
    assert_eq!(refused("\"leaf\":\"totals\"", "\"values\":[", "\"values\":[1"), "differs");
    assert_eq!(refused("\"state\":\"closed\"", "\"accepted\":", "\"accepted\":1"), "differs");
    assert_eq!(refused("\"state\":\"open\"", "\"registered\":30", "\"registered\":31"), "differs");
    assert_eq!(refused("\"leaf\":\"roll\"", "\"loaded\":30", "\"loaded\":29"), "differs");
    assert_eq!(refused("\"event\":\"retired\"", "\"through\":0", "\"through\":1"), "differs");
    assert_eq!(refused("\"height\":2", "\"height\":2", "\"height\":3"), "differs");
    assert_eq!(refused("\"leaf\":\"replay\"", "replay\"", "repla\""), "malformed");
    let (number, _) = place(&stored, "\"state\":\"certified\"");
    let log = follower(&mut stored, number);
    let mut texts = texts(&stored.blocks[number]);
    let text = String::from_utf8(texts[0].clone()).expect("text");
    let (start, _) = text.split_once("\"results\":\"").expect("a digest");
    texts[0] = format!("{start}\"results\":\"{}\"}}", "0".repeat(64)).into_bytes();
    let error = check(&log, &block_of(&texts), &mut stored).expect_err("another result");
    assert!(error.to_string().contains("is not the one that follows"), "{error}");
}

/// A block whose second copy of a request carries another choice is refused before anything of it
/// is applied or recorded: the replay then reads another block in its place.
#[test]
fn a_refused_block_leaves_the_replay_unchanged() {
    let (mut log, mut stored) = opened(ResultsPolicy::AfterClose, 1);
    seal(&mut log, &mut stored, &[batch(1, false, &[(1, 1, 0)])]);
    let ballot_key = keys().ballot;
    let mut replay = LogReplay::new();
    for leaves in stored.blocks.iter().map(|block| block.leaves.clone()).collect::<Vec<_>>() {
        replay.read(&leaves, &ballot_key, &mut stored).expect("own log");
    }
    let state = |replay: &LogReplay| encoded(replay.log().expect("a log has a block"));
    let (before, size) = (state(&replay), log.tree().size());
    seal(&mut log, &mut stored, &[batch(2, true, &[(2, 2, 0), (1, 1, 1)])]);
    let false_block = stored.blocks.pop().expect("sealed").leaves;
    for _ in 0..2 {
        let read = replay.read(&false_block, &ballot_key, &mut stored);
        let error = read.expect_err("another choice");
        let ReplayError::Check(CheckError::Refused(refused)) = error else { panic!("{error}") };
        assert_eq!((refused.leaf, refused.rule.as_str()), (size + 2, "replayed-choice"));
        assert_eq!(state(&replay), before, "the refused block was applied");
    }
    // The choice of request 2 in the refused block is not compared with.
    let mut honest = follower(&mut stored, 3);
    seal(&mut honest, &mut stored, &[batch(2, true, &[(2, 2, 1), (2, 2, 1)])]);
    let leaves = stored.blocks[3].leaves.clone();
    replay.read(&leaves, &ballot_key, &mut stored).expect("an honest block");
    assert_eq!(state(&replay), encoded(&honest));
}

#[test]
#[should_panic(expected = "a block follows the log it was made for")]
fn a_stale_effect_is_not_applied() {
    let (mut log, mut stored) = opened(ResultsPolicy::Live, 2);
    let content = [LogEvent::Closing { closes: minute_of(200), reason: None }];
    let stale = log.propose(&BlockContent::Events(&content), &maker(199)).expect("open");
    seal(&mut log, &mut stored, &[batch(1, true, &[])]);
    log.apply(stale.effect);
}

fn minute_of(after: u64) -> UnixMinutes {
    super::tests::minute(after)
}
