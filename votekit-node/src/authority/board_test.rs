use votekit_core::instant::UnixSeconds;
use votekit_core::log::checkpoint::Cosigner;
use votekit_core::log::merkle::leaf_hash;

use super::*;
use crate::authority::block_room::BLOCKS_MAX as BLOCKS_IN_ALL_MAX;
use crate::authority::row_room::ROWS_MAX;

fn name(text: &str) -> KeyName {
    text.parse().expect("a name")
}

/// A block of the log, with one leaf a block.
fn point(height: u64) -> LogPoint {
    LogPoint { height, size: height, ..LogPoint::empty() }
}

/// Makes an election one whose first block is certified.
fn settle(board: &Board, law_id: &str) {
    board.forget(&law_id.parse().expect("a law id"), point(1));
}

fn vote(board: &Board, by: &str, term: u64) {
    let leadership = TermLeader { term, leader: name("a1") };
    let vote = Vote { leadership, elections: Vec::new() };
    board.add_statement(&name(by), StatementBody::Vote(vote));
}

#[test]
fn rows_far_ahead_displace_no_round_and_are_read_again_once_they_are_near() {
    let board = Board::default();
    let law_id: ElectionId = "L1".parse().expect("a law id");
    let line = |by, height| {
        board.add_cosigned(name(by), &law_id, height, cosigned(height, b"root"));
    };
    board.forget(&law_id, point(3));
    line("a1", 5);
    for height in 6..=200 {
        line("a3", height);
    }
    assert!(board.rows(&law_id, 5).is_some() && board.rows(&law_id, 36).is_some());
    assert!(board.rows(&law_id, 37).is_none(), "there is no room for it");
    board.forget(&law_id, point(4));
    assert!(!board.take_incomplete(), "nothing of use is missing");
    board.forget(&law_id, point(5));
    assert!(board.take_incomplete() && !board.take_incomplete());
    line("a3", 37);
    assert!(board.rows(&law_id, 37).is_some());
    line("a3", 5);
    assert!(board.rows(&law_id, 5).is_none(), "it is in the log");
}

#[test]
fn votes_of_one_authority_displace_no_other_ones() {
    let board = Board::default();
    for by in ["a1", "a2"] {
        vote(&board, by, 7);
    }
    for term in 8..100 {
        vote(&board, "a3", term);
    }
    let voters = board.votes(&TermLeader { term: 7, leader: name("a1") });
    assert_eq!(voters.into_keys().collect::<Vec<_>>(), [name("a1"), name("a2")]);
    assert_eq!([1, 2, 3, 4, 0].map(|count| board.voted_term(count)), [99, 7, 7, 0, 0]);
}

fn proposal(law_id: &str, leader: &str, term: u64, size: u64) -> ProposalRow {
    let point = LogPoint { height: 2, size, ..LogPoint::empty() };
    let proposal = BlockProposal {
        law_id: law_id.parse().expect("a law id"),
        leadership: TermLeader { term, leader: name(leader) },
        first_leaf: size - 1,
        leaf_count: 1,
        point,
        digest: Digest::compute(&size.to_be_bytes()),
        takes_votes: true,
        proposed_at: UnixSeconds(1_763_712_000),
    };
    ProposalRow::new(proposal, Vec::new(), vec![1; 8])
}

fn cosigned(size: u64, root: &[u8]) -> CosignedCheckpoint {
    let checkpoint = Checkpoint::new(&name("votes.example/L1"), size, leaf_hash(root));
    let cosigner = Cosigner::from_seed(name("votes.example/authority/a1"), &[1; 32]);
    let line = cosigner.cosign(&checkpoint, UnixSeconds(1_763_712_000)).expect("a time");
    CosignedCheckpoint { checkpoint, line }
}

#[test]
fn copies_of_earlier_cosignatures_keep_the_present_one_out_in_no_order() {
    let law_id: ElectionId = "L1".parse().expect("a law id");
    let own = cosigned(100, b"own");
    let copies: Vec<CosignedCheckpoint> = (60..90).map(|size| cosigned(size, b"earlier")).collect();
    for index in [0, 1, COSIGNED_MAX, copies.len()] {
        let board = Board::default();
        let mut rows = copies.clone();
        rows.insert(index, own.clone());
        rows.reverse();
        for row in rows {
            board.add_cosigned(name("a1"), &law_id, 2, row);
        }
        let rows = board.rows(&law_id, 2).expect("rows");
        assert_eq!(rows.cosignature(&name("a1"), &own.checkpoint), Some(&own.line));
        assert_eq!(rows.cosignature(&name("a2"), &own.checkpoint), None);
        let other = cosigned(100, b"other");
        assert_eq!(rows.cosignature(&name("a1"), &other.checkpoint), None);
        assert_eq!(rows.cosigned[&name("a1")].len(), COSIGNED_MAX);
    }
}

#[test]
fn a_liar_fills_neither_a_height_nor_the_board() {
    let board = Board::default();
    let law_id: ElectionId = "L1".parse().expect("a law id");
    settle(&board, "L1");
    board.add_proposal(proposal("L1", "a1", 7, 3));
    for size in 4..100 {
        board.add_proposal(proposal("L1", "a2", 7, size));
    }
    let of = |leader: &str| -> Vec<ProposalRow> {
        let rows = board.rows(&law_id, 2).expect("rows").proposals;
        rows.into_iter().filter(|row| row.proposal.leadership.leader == name(leader)).collect()
    };
    let (honest, liar) = (of("a1"), of("a2"));
    assert_eq!(honest.len(), 1);
    let kept: Vec<(u64, usize)> =
        liar.iter().map(|row| (row.proposal.point.size, row.leaves.len())).collect();
    assert_eq!(kept, [(4, 8), (5, 0)], "the first, and evidence");
    for term in 8..100 {
        board.add_proposal(proposal("L1", "a2", term, 4));
    }
    let kept = of("a2");
    let with_block = kept.iter().filter(|row| row.has_block());
    let terms: Vec<u64> = with_block.map(|row| row.proposal.leadership.term).collect();
    assert_eq!(terms, (84..100).collect::<Vec<u64>>(), "blocks of the last leaderships");
    assert_eq!(of("a1").len(), 1);
    for number in 0..=ELECTIONS_MAX {
        settle(&board, &format!("F{number}"));
    }
    let elections = || board.inner.lock().elections.len();
    assert_eq!(elections(), ELECTIONS_MAX + 2, "those with a log are not counted");
    board.add_proposal(proposal("G1", "a2", 7, 3));
    assert_eq!(elections(), ELECTIONS_MAX + 2);
}

#[test]
fn rows_of_a_liar_that_no_round_needs_are_bounded_over_all_elections() {
    let board = Board::default();
    let law_id: ElectionId = "L1".parse().expect("a law id");
    settle(&board, "L1");
    for number in 0..2 * ROWS_MAX {
        board.add_proposal(proposal(&format!("F{number}"), "a2", 7, 3));
    }
    assert_eq!(board.inner.lock().elections.len(), ROWS_MAX + 1);
    assert!(!board.take_incomplete(), "there is no room yet");
    // The present round needs no room, and each authority has its own.
    let accept = |by: &str, height| {
        let leadership = TermLeader { term: 7, leader: name("a1") };
        let accept = Accept { law_id: law_id.clone(), leadership, point: point(height) };
        board.add_statement(&name(by), StatementBody::Accept(accept));
    };
    let accepts = |height| {
        let rows = board.rows(&law_id, height);
        rows.map_or(0, |rows| rows.view.count_accepts(&point(height)))
    };
    for by in ["a1", "a2", "a1", "a2"] {
        accept(by, 2);
        accept(by, 3);
    }
    assert_eq!((accepts(2), accepts(3)), (2, 1));
    board.add_proposal(proposal("L1", "a2", 7, 3));
    assert_eq!(board.rows(&law_id, 2).expect("rows").proposals.len(), 1);
    // Rows that were left out are read again once their height is the next.
    board.forget(&law_id, point(2));
    assert!(board.take_incomplete() && !board.take_incomplete());
    accept("a2", 3);
    assert_eq!(accepts(3), 2);
    for number in 0..ROWS_MAX / 2 {
        board.forget(&format!("F{number}").parse().expect("a law id"), point(2));
    }
    assert!(board.take_incomplete(), "half of the room is free");
}

#[test]
fn a_row_that_is_read_again_takes_no_further_place() {
    let board = Board::default();
    let law_id: ElectionId = "L1".parse().expect("a law id");
    let line = cosigned(3, b"root");
    for _ in 0..2 * ROWS_MAX {
        board.add_proposal(proposal("L1", "a2", 7, 3));
        board.add_cosigned(name("a2"), &law_id, 2, line.clone());
    }
    board.add_proposal(proposal("L2", "a2", 7, 3));
    assert!(board.rows(&"L2".parse().expect("a law id"), 2).is_some(), "there is room");
}

#[test]
fn cosignatures_of_certified_blocks_are_not_kept_under_later_heights() {
    let board = Board::default();
    let law_id: ElectionId = "L1".parse().expect("a law id");
    board.forget(&law_id, point(4));
    for height in 5..9 {
        board.add_cosigned(name("a1"), &law_id, height, cosigned(4, b"earlier"));
        board.add_cosigned(name("a1"), &law_id, height, cosigned(5, b"own"));
    }
    let lines = |height| {
        let rows = board.rows(&law_id, height).expect("rows");
        rows.cosigned.get(&name("a1")).map_or(0, Vec::len)
    };
    assert_eq!([lines(5), lines(6)], [1, 1]);
    board.forget(&law_id, point(5));
    assert_eq!([lines(6), lines(8)], [0, 0]);
}

#[test]
fn blocks_of_a_liar_over_all_elections_are_bounded_and_displace_no_other_ones() {
    let board = Board::default();
    let name_of = |number: usize| format!("F{number:04}");
    let has_block = |number: usize, leader: &str| {
        let law_id = name_of(number).parse().expect("a law id");
        let rows = board.rows(&law_id, 2).expect("rows").proposals;
        rows.iter().any(|row| row.is_by(&name(leader)) && row.has_block())
    };
    for number in 0..=BLOCKS_IN_ALL_MAX {
        settle(&board, &name_of(number));
        board.add_proposal(proposal(&name_of(number), "a2", 7, 3));
    }
    let left_out = BLOCKS_IN_ALL_MAX;
    assert!(has_block(left_out - 1, "a2") && !has_block(left_out, "a2"));
    board.add_proposal(proposal(&name_of(left_out), "a1", 6, 3));
    assert!(has_block(left_out, "a1"), "another leader has room of its own");
    assert!(!board.take_incomplete(), "there is no room yet");
    board.add_proposal(proposal(&name_of(left_out), "a2", 7, 3));
    assert!(!has_block(left_out, "a2"));
    for number in 0..BLOCKS_IN_ALL_MAX / 2 {
        board.forget(&name_of(number).parse().expect("a law id"), point(2));
    }
    assert!(board.take_incomplete() && !board.take_incomplete());
    board.add_proposal(proposal(&name_of(left_out), "a2", 7, 3));
    assert!(has_block(left_out, "a2"), "it is read again");
}

#[test]
fn blocks_of_a_new_term_displace_those_of_the_leaders_earlier_ones() {
    let board = Board::default();
    for number in 0..BLOCKS_IN_ALL_MAX {
        settle(&board, &format!("F{number:04}"));
        board.add_proposal(proposal(&format!("F{number:04}"), "a2", 7, 3));
    }
    settle(&board, "L1");
    board.add_proposal(proposal("L1", "a2", 6, 3));
    let law_id: ElectionId = "L1".parse().expect("a law id");
    let blocks = || {
        let rows = board.rows(&law_id, 2).expect("rows").proposals;
        rows.iter().filter(|row| row.has_block()).count()
    };
    assert_eq!(blocks(), 0, "an earlier term displaces no later one");
    board.add_proposal(proposal("L1", "a2", 8, 4));
    assert_eq!(blocks(), 1);
    let law_id: ElectionId = "F0000".parse().expect("a law id");
    let rows = board.rows(&law_id, 2).expect("rows").proposals;
    assert!(rows.iter().all(|row| !row.has_block()));
}
