//! False blocks of votes: decisions, batches, sums and minutes.

use std::sync::Arc;

use super::sample::{
    A, AFTER_END, AGAIN, BLANK, COPY, EARLY, LAST_IN_TIME, LATE, NO, OF_STRANGER, REFUSED, REVOKED,
    SPOILED, STRANGER, UNKNOWN, YES, accepted, decided, duplicate, invalid, leaf_of, minute,
    number, replay, request, sample, second_batch,
};
use super::{Case, DIFFERS, at, leaves, left_to, settled, waits_at};
use crate::ballot::ChoiceIndex;
use crate::batch::{Batch, BatchSignature};
use crate::commitment::Blinding;
use crate::decision::InvalidReason;
use crate::id::{Digest, Sequence};

/// Decisions of one envelope each, and the order of the envelopes.
pub(super) fn decisions() -> Vec<Case> {
    use InvalidReason::{Early, Late, Revoked, Unknown};
    let mut cases = vec![
        settled("an unregistered credential accepted", 3, at(4, DIFFERS), |f| {
            f.entry(4).decision = accepted(UNKNOWN.1);
        }),
        settled("a revoked credential accepted", 5, at(1, DIFFERS), |f| {
            f.entry(1).decision = accepted(REVOKED.1);
        }),
        settled("a second live credential of an elector accepted", 5, at(2, DIFFERS), |f| {
            f.entry(2).decision = accepted(REFUSED.1);
        }),
        settled("a duplicate accepted: a second vote", 3, at(5, DIFFERS), |f| {
            f.entry(5).decision = accepted(AGAIN.1);
        }),
        settled("an acceptance as a duplicate", 3, at(3, DIFFERS), |f| {
            f.entry(3).decision = duplicate(NO.1, 2);
        }),
        settled("a duplicate with another attempt", 3, at(5, DIFFERS), |f| {
            f.entry(5).decision = duplicate(AGAIN.1, 3);
        }),
        settled("an acceptance as an unknown credential", 3, at(3, DIFFERS), |f| {
            f.entry(3).decision = invalid(NO, Unknown);
        }),
        settled("an unknown credential as a revoked one", 3, at(4, DIFFERS), |f| {
            f.entry(4).decision = invalid(UNKNOWN, Revoked);
        }),
        settled("an acceptance as a clash", 3, at(3, DIFFERS), |f| {
            f.entry(3).decision = invalid(NO, InvalidReason::Clash);
        }),
        settled("an early vote as in time", 3, at(1, DIFFERS), |f| {
            f.entry(1).decision = accepted(EARLY.1);
        }),
        settled("an early vote as in time, its minute moved", 3, at(1, DIFFERS), |f| {
            f.entry(1).decision = accepted(EARLY.1);
            f.entry(1).minute = minute(100);
        }),
        settled("a vote in time as early", 3, at(2, DIFFERS), |f| {
            f.entry(2).decision = invalid(YES, Early);
        }),
        settled("a late vote as in time", 7, at(2, DIFFERS), |f| {
            f.entry(2).decision = accepted(LATE.1);
        }),
        settled("a vote in time as late", 7, at(1, DIFFERS), |f| {
            f.entry(1).decision = invalid(LAST_IN_TIME, Late);
        }),
        settled("a vote as a replay", 3, at(3, DIFFERS), |f| f.leaves[3] = replay(NO)),
        settled("a replay as a duplicate", 3, at(6, DIFFERS), |f| {
            f.leaves[6] = decided(COPY, duplicate(COPY.1, 3));
        }),
        settled("a replay as a vote", 3, at(6, DIFFERS), |f| {
            f.leaves[6] = decided(COPY, accepted(COPY.1));
        }),
    ];
    cases.extend(envelopes());
    cases
}

/// Envelopes in another order, dropped, added and exchanged.
fn envelopes() -> Vec<Case> {
    vec![
        settled("two envelopes in the other order", 3, at(2, DIFFERS), |f| {
            f.leaves.swap(2, 3);
        }),
        settled("an envelope dropped", 3, at(3, DIFFERS), |f| drop(f.leaves.remove(3))),
        settled("the last envelope dropped", 3, at(8, DIFFERS), |f| {
            drop(f.leaves.remove(8));
        }),
        settled("an envelope added", 3, at(4, DIFFERS), |f| {
            f.leaves.insert(4, decided((60, 20, 110, 0), accepted(20)));
        }),
        settled("an envelope exchanged for another voter's", 3, at(3, DIFFERS), |f| {
            f.leaves[3] = decided((60, 20, 110, 0), accepted(20));
        }),
        settled("an accepted vote given to another credential", 3, at(3, DIFFERS), |f| {
            f.entry(3).decision = accepted(20);
        }),
        settled("an entry with another request, so that no receipt fits", 3, at(3, DIFFERS), |f| {
            f.entry(3).request = request(60);
        }),
        settled("an invalid vote that names another envelope", 3, at(4, DIFFERS), |f| {
            f.entry(4).decision = invalid(EARLY, InvalidReason::Unknown);
        }),
        settled("a replay that names another envelope", 3, at(6, DIFFERS), |f| {
            f.leaves[6] = replay(YES);
        }),
        settled("an entry with another minute", 3, at(3, DIFFERS), |f| {
            f.entry(3).minute = minute(111);
        }),
    ]
}

/// Batches dropped, altered, repeated, in another order, and of other nodes.
pub(super) fn batches() -> Vec<Case> {
    let mut cases = vec![
        settled("a batch dropped from the middle of its epoch", 5, at(0, "order"), |f| {
            drop(f.leaves.drain(0..5));
        }),
        settled("two batches of an epoch in the other order", 5, at(0, "order"), |f| {
            f.leaves[..7].rotate_left(5);
        }),
        settled("a batch twice in a block", 5, at(7, "order"), |f| {
            f.leaves.insert(7, leaf_of(A, 3));
            f.leaves.insert(8, replay((14, 8, 142, 1)));
        }),
        settled("a batch of an earlier block again", 7, at(0, "order"), |f| {
            f.leaves.insert(0, leaf_of(A, 3));
            f.leaves.insert(1, replay((14, 8, 142, 1)));
        }),
        leaves("a batch after the end of its epoch", 8, at(0, "order"), |f| {
            let entry = decided(AFTER_END, accepted(AFTER_END.1));
            f.votes(vec![leaf_of(A, 5), entry], 202);
        }),
        settled("a batch with another sequence", 5, at(5, "order"), |f| {
            f.batch(5).sequence = Sequence(4);
        }),
        settled("a batch of a node that is not admitted", 5, at(7, "evidence"), |f| {
            f.leaves.insert(7, leaf_of(STRANGER, 1));
            f.leaves.insert(8, decided(OF_STRANGER, accepted(OF_STRANGER.1)));
        }),
        leaves("a batch that this authority does not have", 5, waits_at(5, "evidence"), |f| {
            drop(f.source.batches.remove(&number(A, 3)));
        }),
        // Both later batches still follow, so the block is a valid one: omission shows in time.
        settled(
            "a batch left out",
            5,
            left_to("the suspicion of a leader that leaves batches out"),
            |f| drop(f.leaves.drain(5..7)),
        ),
    ];
    cases.extend(altered_batches());
    cases
}

/// Batches whose leaf differs from the stored batch, or whose stored batch is forged.
fn altered_batches() -> Vec<Case> {
    vec![
        settled("a batch with another digest", 5, at(5, "evidence"), |f| {
            f.batch(5).digest = Digest::from_bytes([7; 32]);
        }),
        settled("a batch with another digest of its envelopes", 5, at(5, "evidence"), |f| {
            f.batch(5).envelopes = Digest::from_bytes([7; 32]);
        }),
        settled("a batch with another signature", 5, at(5, "evidence"), |f| {
            f.batch(5).signature = BatchSignature::from_bytes([7; 64]);
        }),
        settled("a batch with another count", 5, at(5, "evidence"), |f| {
            f.batch(5).count = 2;
        }),
        settled("a batch with another confirmed-through", 5, at(5, "evidence"), |f| {
            f.batch(5).confirmed = Sequence(1);
        }),
        settled("a batch that ends its epoch too early", 5, at(5, "evidence"), |f| {
            f.batch(5).last = true;
        }),
        leaves("another batch of the node under the same number", 5, at(5, "evidence"), |f| {
            drop(f.source.batches.insert(number(A, 3), second_batch()));
        }),
        leaves("a stored batch whose signature is forged", 5, at(5, "evidence"), |f| {
            let batch = &f.source.batches[&number(A, 3)];
            let mut bytes = batch.as_bytes().to_vec();
            *bytes.last_mut().expect("a signature") ^= 1;
            let forged = Arc::new(Batch::parse(bytes).expect("it has the form of a batch"));
            drop(f.source.batches.insert(number(A, 3), forged));
        }),
    ]
}

/// Commitments, opened totals, the report of the close.
pub(super) fn sums() -> Vec<Case> {
    vec![
        settled("a vote committed to for another choice", 3, at(9, DIFFERS), |f| {
            f.choices.insert(request(NO.0), ChoiceIndex(0));
        }),
        settled("a blank vote committed to as a yes", 3, at(9, DIFFERS), |f| {
            f.choices.insert(request(BLANK.0), ChoiceIndex(0));
        }),
        settled("a spoiled vote committed to as a yes", 3, at(9, DIFFERS), |f| {
            f.choices.insert(request(SPOILED.0), ChoiceIndex(0));
        }),
        leaves("the commitments of another block", 5, at(10, DIFFERS), |f| {
            f.leaves[10] = sample().leaves(3).swap_remove(9);
        }),
        leaves("no commitments", 3, at(9, DIFFERS), |f| drop(f.leaves.remove(9))),
        leaves("a vote opened for another choice", 3, at(10, DIFFERS), |f| {
            let values = &mut f.totals(10).values;
            (values[0], values[1]) = (values[0] + 1, values[1] - 1);
        }),
        leaves("totals with another blinding", 3, at(10, DIFFERS), |f| {
            f.totals(10).blindings[0] = Blinding::zero();
        }),
        leaves("totals through another block", 5, at(11, DIFFERS), |f| {
            f.totals(11).through = 5;
        }),
        leaves("no totals where they are due", 3, at(10, DIFFERS), |f| {
            drop(f.leaves.remove(10));
        }),
        leaves("totals twice", 3, at(11, DIFFERS), |f| {
            f.leaves.insert(11, f.leaves[10].clone());
        }),
        leaves("totals at the close that move a vote", 9, at(1, DIFFERS), |f| {
            let values = &mut f.totals(1).values;
            (values[0], values[1]) = (values[0] - 1, values[1] + 1);
        }),
        leaves("no totals at the close", 9, at(1, DIFFERS), |f| drop(f.leaves.remove(1))),
    ]
}

/// Minutes, heights, and the maker of a block.
pub(super) fn times() -> Vec<Case> {
    vec![
        leaves("a block before the last one", 5, at(12, DIFFERS), |f| {
            f.block().sealed_at = minute(129);
        }),
        leaves("a block before a vote in it", 5, at(12, DIFFERS), |f| {
            f.block().sealed_at = minute(142);
        }),
        leaves("a block with another height", 5, at(12, DIFFERS), |f| {
            f.block().height += 1;
        }),
        leaves("a block of no term", 5, at(12, "malformed"), |f| f.block().term = 0),
        leaves(
            "a block dated back within the log's bounds",
            5,
            left_to("guard block-minute-behind"),
            |f| f.block().sealed_at = minute(145),
        ),
        leaves("a block of tomorrow", 5, left_to("guard block-minute-ahead"), |f| {
            f.block().sealed_at = minute(1590);
        }),
        leaves("a block of a term to come", 5, left_to("guard term-ahead"), |f| f.block().term = 9),
        leaves(
            "a block of a leader that the policy has not",
            5,
            left_to("guard leader-unknown"),
            |f| f.block().leader = "authority-9".to_owned(),
        ),
        leaves("a block in the name of another authority", 5, left_to("guard leader-other"), |f| {
            f.block().leader = "authority-2".to_owned();
        }),
    ]
}
