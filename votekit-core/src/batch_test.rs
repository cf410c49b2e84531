use proptest::prelude::*;

use super::*;
use crate::fixed_rng::FixedRng;

fn envelope(seed: u8, choice: u16) -> Envelope {
    Envelope {
        request: RequestId::from_bytes([seed; 16]),
        hash: CredentialHash::from_bytes([seed ^ 0xff; 32]),
        received: UnixMillis(1_700_000_000_000 + u64::from(seed)),
        choice: ChoiceIndex(choice),
    }
}

fn keys() -> (BallotSecretKey, NodeKey) {
    (BallotSecretKey::from_seed(&[1; 32]), NodeKey::from_seed(&[2; 32]))
}

fn seal(envelopes: &[Envelope], last: bool) -> Batch {
    let (ballot, node) = keys();
    let number = BatchNumber { node: node.node_id(), epoch: Epoch(3), sequence: Sequence(7) };
    let law_id = "L2025-001".parse().expect("law id");
    let header = BatchHeader { law_id, number, confirmed_through: Sequence(6), last };
    Batch::seal(header, envelopes, &ballot.public_key(), &node, &mut FixedRng::new(5))
        .expect("sealed")
}

proptest! {
    #[test]
    fn what_is_sealed_reads_back(choices in prop::collection::vec((any::<u8>(), any::<u16>()), 0..40), last: bool) {
        let envelopes: Vec<Envelope> = choices.iter().map(|(seed, choice)| envelope(*seed, *choice)).collect();
        let batch = seal(&envelopes, last);
        let read = Batch::parse(batch.as_bytes().to_vec()).expect("own bytes");
        prop_assert_eq!(&read, &batch);
        let (ballot, node) = keys();
        prop_assert_eq!(read.verify(&node.public_key()), Ok(()));
        let opened: Vec<_> = envelopes.iter().map(|envelope| Some(envelope.choice)).collect();
        prop_assert_eq!(read.open(&ballot), opened);
        for (sealed, envelope) in read.envelopes().zip(&envelopes) {
            prop_assert_eq!((sealed.request, sealed.hash, sealed.received), (envelope.request, envelope.hash, envelope.received));
        }
    }

    #[test]
    fn any_changed_byte_is_refused(position in any::<prop::sample::Index>(), flip in 1_u8..) {
        let batch = seal(&[envelope(1, 0), envelope(2, 1)], false);
        let mut bytes = batch.as_bytes().to_vec();
        let position = position.index(bytes.len());
        bytes[position] ^= flip;
        let accepted = Batch::parse(bytes).and_then(|batch| batch.verify(&keys().1.public_key()));
        prop_assert!(accepted.is_err(), "byte {} changed and still accepted", position);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let with_magic = [MAGIC.as_slice(), &bytes].concat();
        let _ = Batch::parse(bytes);
        let _ = Batch::parse(with_magic);
    }
}

#[test]
fn another_key_spoils_every_choice_but_loses_no_envelope() {
    let batch = seal(&[envelope(1, 0), envelope(2, 1)], false);
    assert_eq!(batch.open(&BallotSecretKey::from_seed(&[99; 32])), vec![None, None]);
}

#[test]
fn another_nodes_key_is_told_apart() {
    let batch = seal(&[envelope(1, 0)], false);
    let other = NodeKey::from_seed(&[77; 32]).public_key();
    assert_eq!(batch.verify(&other), Err(BatchError::Node { number: batch.number() }));
}

#[test]
fn the_golden_vector_is_reproduced() {
    let batch = seal(&[envelope(1, 0), envelope(2, 1), envelope(3, 65535)], true);
    let golden = include_str!("../../fixtures/vectors/batch.hex");
    assert_eq!(const_hex::encode(batch.as_bytes()), golden.trim_end());
}
