use getrandom::SysRng;
use proptest::prelude::*;
use rand_core::UnwrapErr;
use votekit_core::ballot::{BallotPublicKey, BallotSecretKey, ChoiceIndex};
use votekit_core::batch::{BatchHeader, NodeKey};
use votekit_core::credential::{CredentialHash, HashScheme, RegistryKey};
use votekit_core::election::{Bilingual, Choice, Definition, ResultsPolicy};
use votekit_core::election_log::{
    BlockContent, BlockMaker, LogEvent, Proposal, RollContent, RollLoad,
};
use votekit_core::electorate::KeyList;
use votekit_core::envelope::Envelope;
use votekit_core::id::RequestId;
use votekit_store::Hints;

use super::*;

/// The minute in which the queue is asked for a block.
const NOW: UnixMinutes = UnixMinutes(29_400_100);

fn node_key() -> NodeKey {
    NodeKey::from_seed(&[1; 32])
}

fn ballot_key() -> BallotPublicKey {
    BallotSecretKey::from_seed(&[9; 32]).public_key()
}

fn staged(id: u64, sequence: u64) -> Staged {
    staged_votes(id, sequence, 0, NOW)
}

/// A staged batch of as many votes as `count`, received in one minute.
fn staged_votes(id: u64, sequence: u64, count: usize, received: UnixMinutes) -> Staged {
    let node = node_key();
    let number =
        BatchNumber { node: node.node_id(), epoch: Epoch(1), sequence: Sequence(sequence) };
    let law_id = "L1".parse().expect("a law id");
    let header = BatchHeader { law_id, number, confirmed_through: Sequence(0), last: false };
    let vote = Envelope {
        request: RequestId::from_bytes([3; 16]),
        hash: CredentialHash::from_bytes([4; 32]),
        received,
        choice: ChoiceIndex(0),
    };
    let votes = vec![vote; count];
    let sealed = Batch::seal(header, &votes, &ballot_key(), &node, &mut UnwrapErr(SysRng));
    let batch = Arc::new(sealed.expect("the ballot key is usable"));
    Staged { id: StagingId(id), batch, hints: Hints::new() }
}

/// The log of an open poll, with the node of the batches.
fn open_log() -> ElectionLog {
    let text = Bilingual { fr: "Loi".to_owned(), en: "Law".to_owned() };
    let choices = ["oui", "non"];
    let definition = Definition {
        law_id: "L1".parse().expect("a law id"),
        title: text.clone(),
        description: text,
        choices: choices
            .map(|id| Choice::with_customary_labels(id.parse().expect("a choice id")))
            .to_vec(),
        binding: false,
        results: ResultsPolicy::AfterClose,
        publish_every: 1,
        opens: Some(UnixMinutes(NOW.0 - 5)),
        closes: Some(UnixMinutes(NOW.0 + 500)),
        ballot_key: ballot_key(),
    };
    let keys = KeyList::new(vec![RegistryKey::from_bytes([7; 32])]).expect("one key");
    let load = RollLoad {
        manifest: Digest::compute(b"manifest"),
        parent: None,
        replaces: None,
        scheme: HashScheme::Sha256,
        content: RollContent::Roll(Arc::new(keys)),
    };
    let opens = UnixMinutes(NOW.0 - 5);
    let maker = |at| BlockMaker { term: 1, leader: "authority".to_owned(), at };
    let (mut log, _) = ElectionLog::begin(definition, &maker(UnixMinutes(NOW.0 - 9)));
    let admit = LogEvent::Admit(node_key().public_key());
    let open = LogEvent::Open { opens, waivers: Vec::new() };
    for events in [vec![LogEvent::Load(load), admit], vec![open]] {
        let content = BlockContent::Events(&events);
        let Proposal { effect, .. } = log.propose(&content, &maker(opens)).expect("allowed");
        log.apply(effect);
    }
    log
}

/// The sequence numbers of the next block, of `most` batches at most.
fn next_block(queue: &mut SealQueue, log: &ElectionLog, most: usize) -> Vec<u64> {
    let block = queue.next_block(log, NOW.0 * 60_000, most);
    block.iter().map(|batch| batch.number().sequence.0).collect()
}

#[test]
fn a_block_stays_within_its_batches_when_the_first_of_them_was_staged_last() {
    let (mut queue, log) = (SealQueue::new(StagingId(4)), open_log());
    for (id, sequence) in [(5, 2), (6, 3), (7, 4), (8, 1), (9, 5)] {
        queue.put(staged(id, sequence));
    }
    for most in 0..=6 {
        let expected: Vec<u64> = (1..=5).take(most).collect();
        assert_eq!(next_block(&mut queue, &log, most), expected, "at most {most}");
    }
}

#[test]
fn a_block_stays_within_its_votes_when_the_first_batch_was_staged_last() {
    let (mut queue, log) = (SealQueue::new(StagingId(4)), open_log());
    let full = BLOCK_VOTES_MAX / Batch::COUNT_MAX;
    for sequence in 2..=full as u64 + 2 {
        queue.put(staged_votes(3 + sequence, sequence, Batch::COUNT_MAX, NOW));
    }
    queue.put(staged(50, 1));
    let expected: Vec<u64> = (1..=full as u64 + 1).collect();
    assert_eq!(next_block(&mut queue, &log, 256), expected);
}

#[test]
fn a_batch_ahead_of_the_clock_waits_behind_a_predecessor_that_was_staged_later() {
    let (mut queue, log) = (SealQueue::new(StagingId(4)), open_log());
    queue.put(staged_votes(5, 2, 1, UnixMinutes(NOW.0 + 10)));
    queue.put(staged(6, 3));
    queue.put(staged(7, 1));
    assert_eq!(next_block(&mut queue, &log, 256), [1]);
}

fn mark(staged: &Staged) -> StagingMark {
    StagingMark { id: staged.id, batch: Some(staged.batch.digest()) }
}

#[test]
fn a_batch_that_is_read_again_elsewhere_waits_once() {
    let mut queue = SealQueue::new(StagingId(4));
    let first = staged(5, 1);
    let moved = Staged { id: StagingId(9), ..first.clone() };
    let size = first.batch.as_bytes().len();
    queue.put(first);
    queue.put(staged(6, 2));
    queue.put(moved.clone());
    assert_eq!(queue.waiting.keys().map(|id| id.0).collect::<Vec<_>>(), [6, 9]);
    assert_eq!(queue.last(), mark(&moved));
    let number = moved.batch.number();
    assert_eq!(queue.remove(&number).map(|batch| batch.number()), Some(number));
    assert!(queue.batch(&number).is_none() && queue.bytes > 0 && queue.bytes < 2 * size);
}

#[test]
fn a_position_names_its_batch_unless_it_is_that_of_the_head() {
    let mut queue = SealQueue::new(StagingId(4));
    assert_eq!(queue.last(), StagingMark::from_head(StagingId(4)));
    let first = Digest::compute(b"the batch up to which the head seals");
    queue.note_first(first);
    assert_eq!(queue.last(), StagingMark { id: StagingId(4), batch: Some(first) });
    let one = staged(7, 1);
    queue.skip(&one);
    queue.note_first(first);
    assert_eq!(queue.last(), mark(&one), "batches were read");
    let seven = mark(&one);
    assert_eq!(seven.at_least(StagingId(6)), seven);
    for head in [7, 20] {
        let head = StagingId(head);
        assert_eq!(seven.at_least(head), StagingMark::from_head(head), "it moves nothing");
    }
}

#[test]
fn a_row_that_is_no_batch_is_read_past_and_nothing_is_sealed_through_it() {
    let mut queue = SealQueue::new(StagingId(4));
    let (first, second) = (staged(5, 1), staged(8, 2));
    let numbers = [first.batch.number(), second.batch.number()];
    queue.put(first.clone());
    queue.pass_over(StagingId(6));
    assert_eq!((queue.read_through(), queue.last()), (StagingId(6), mark(&first)));
    assert_eq!(queue.sealed_through_numbers(&numbers[..1]), mark(&first));
    queue.put(second.clone());
    assert_eq!(queue.read_through(), StagingId(8));
    assert_eq!(queue.sealed_through_numbers(&numbers), mark(&second));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Positions of other elections lie between those that are read.
    #[test]
    fn a_block_seals_through_the_last_batch_read_before_the_first_that_stays(
        rows in proptest::collection::vec((1_u64..4, any::<bool>(), any::<bool>()), 0..8),
    ) {
        let (mut queue, mut id) = (SealQueue::new(StagingId(5)), 5);
        let mut expected = StagingMark::from_head(StagingId(5));
        let (mut sealed, mut stays) = (Vec::new(), false);
        for (sequence, (gap, is_kept, is_sealed)) in (1..).zip(rows) {
            id += gap;
            let one = staged(id, sequence);
            stays |= is_kept && !is_sealed;
            if !stays {
                expected = mark(&one);
            }
            if !is_kept {
                queue.skip(&one);
                continue;
            }
            if is_sealed {
                sealed.push(one.batch.number());
            }
            queue.put(one);
        }
        prop_assert_eq!(queue.sealed_through_numbers(&sealed), expected);
        for number in &sealed {
            queue.remove(number);
        }
        prop_assert_eq!(queue.sealed_through_numbers(&[]), expected);
    }
}
