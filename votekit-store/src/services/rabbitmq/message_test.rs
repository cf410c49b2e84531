use votekit_core::ballot::{BallotSecretKey, ChoiceIndex};
use votekit_core::batch::{BatchHeader, NodeKey};
use votekit_core::credential::CredentialHash;
use votekit_core::envelope::Envelope;
use votekit_core::id::{BatchNumber, Epoch, RequestId, Sequence};
use votekit_core::instant::UnixMinutes;

use super::*;
use crate::Hint;
use crate::services::rabbitmq::review;

fn batch(count: u8) -> Batch {
    let node = NodeKey::from_seed(&[1; 32]);
    let number = BatchNumber { node: node.node_id(), epoch: Epoch(1), sequence: Sequence(1) };
    let law_id = "L1".parse().expect("a law id");
    let header = BatchHeader { law_id, number, confirmed_through: Sequence(0), last: false };
    let envelopes: Vec<_> = (0..count)
        .map(|index| Envelope {
            request: RequestId::from_bytes([index; 16]),
            hash: CredentialHash::from_bytes([index; 32]),
            received: UnixMinutes(28_333_333),
            choice: ChoiceIndex(1),
        })
        .collect();
    let ballot_key = BallotSecretKey::from_seed(&[9; 32]).public_key();
    Batch::seal(
        header,
        &envelopes,
        &ballot_key,
        &node,
        &mut rand_core::UnwrapErr(getrandom::SysRng),
    )
    .expect("the ballot key is usable")
}

#[test]
fn hints_travel_and_only_their_own_form_is_read() {
    let batch = batch(5);
    let hints = vec![
        Hint::Accepted,
        Hint::Unknown,
        Hint::Revoked,
        Hint::Duplicate { attempt: 2 },
        Hint::Duplicate { attempt: u32::MAX },
    ];
    for hints in [hints, Hints::new()] {
        let bytes = write_with_hints(&batch, &hints);
        let (read, read_hints) = read_with_hints(&bytes).expect("what was written reads");
        assert_eq!((&read, &read_hints), (&batch, &hints));
        for end in 0..bytes.len() {
            assert!(read_with_hints(&bytes[..end]).is_err(), "cut at {end}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(read_with_hints(&longer).is_err());
    }
}

#[test]
fn empty_hints_are_refused() {
    let batch = batch(2);
    let with = |hints: &[u8]| [MAGIC.as_slice(), hints, batch.as_bytes()].concat();
    for (hints, reason) in [
        (&[0, 0, 0, 1, 0][..], "it has 1 hints for 2 envelopes"),
        (&[0, 0, 0, 2, 0, 9], "unknown hint 9"),
        (&[0, 0, 0, 2, 0, 3, 0, 0, 0, 1], "attempt number 1"),
        (&[0xff, 0xff, 0xff, 0xff], "announces"),
    ] {
        let error = read_with_hints(&with(hints)).expect_err(reason);
        assert!(error.contains(reason), "{error}");
    }
    assert!(read_with_hints(batch.as_bytes()).is_err());
}

/// The vectors of `fixtures/vectors/queue/` were made from `batch.hex` according to
/// `docs/formats.md`, section 5, not by this code.
#[test]
fn the_golden_messages_are_reproduced() {
    let bytes = include_str!("../../../../fixtures/vectors/batch.hex").trim_end();
    let batch = read_batch(&const_hex::decode(bytes).expect("hexadecimal")).expect("a batch");
    let hints = vec![Hint::Accepted, Hint::Unknown, Hint::Duplicate { attempt: 2 }];
    let validated = include_str!("../../../../fixtures/vectors/queue/validated.hex");
    assert_eq!(const_hex::encode(write_with_hints(&batch, &hints)), validated.trim_end());
    let without_hints =
        include_str!("../../../../fixtures/vectors/queue/validated-without-hints.hex");
    assert_eq!(
        const_hex::encode(write_with_hints(&batch, &Hints::new())),
        without_hints.trim_end()
    );
    let (_, note) = review::unexpected(&batch, &hints).expect("two are not expected");
    let golden = include_bytes!("../../../../fixtures/vectors/queue/review.json");
    assert_eq!(note, golden);
    let (_, note) = review::refused(&batch, "batch header: epoch out of range");
    let golden = include_bytes!("../../../../fixtures/vectors/queue/review-refused.json");
    assert_eq!(note, golden);
    let reason = "not a batch: no VKBATCH1";
    let (_, note) = review::unreadable(b"not a batch", reason);
    let golden = include_bytes!("../../../../fixtures/vectors/queue/review-unreadable.json");
    assert_eq!(note, golden);
}
