use proptest::prelude::*;

use super::*;
use crate::fixed_rng::FixedRng;

fn envelope(seed: u8, choice: u16) -> Envelope {
    Envelope {
        request: RequestId::from_bytes([seed; 16]),
        hash: CredentialHash::from_bytes([seed ^ 0xff; 32]),
        received: UnixMinutes(29_400_000),
        choice: ChoiceIndex(choice),
    }
}

fn keys() -> (BallotSecretKey, NodeKey) {
    (BallotSecretKey::from_seed(&[1; 32]), NodeKey::from_seed(&[2; 32]))
}

fn law_id() -> ElectionId {
    "L2025-001".parse().expect("law id")
}

fn seal(envelopes: &[Envelope], last: bool) -> Arc<Batch> {
    let (ballot, node) = keys();
    let number = BatchNumber { node: node.node_id(), epoch: Epoch(3), sequence: Sequence(7) };
    let header = BatchHeader { law_id: law_id(), number, confirmed_through: Sequence(6), last };
    Arc::new(
        Batch::seal(header, envelopes, &ballot.public_key(), &node, &mut FixedRng::new(5))
            .expect("sealed"),
    )
}

fn parse(bytes: Vec<u8>) -> Result<Arc<Batch>, BatchError> {
    Batch::parse(bytes).map(Arc::new)
}

proptest! {
    #[test]
    fn sealed_batches_read_back(
        choices in prop::collection::vec((any::<u8>(), any::<u16>()), 0..40),
        last: bool,
    ) {
        let envelopes: Vec<Envelope> =
            choices.iter().map(|(seed, choice)| envelope(*seed, *choice)).collect();
        let batch = seal(&envelopes, last);
        let read = parse(batch.as_bytes().to_vec()).expect("own bytes");
        prop_assert_eq!(&read, &batch);
        let (ballot, node) = keys();
        let verified = read.verify(&law_id(), &node.public_key()).expect("own signature");
        let sealed = batch.verify(&law_id(), &node.public_key()).expect("own signature");
        prop_assert_eq!(verified.envelopes_digest(), sealed.envelopes_digest());
        let opened: Vec<_> = envelopes.iter().map(|envelope| Some(envelope.choice)).collect();
        prop_assert_eq!(read.open(&ballot), opened);
        for (sealed, envelope) in read.envelopes().zip(&envelopes) {
            prop_assert_eq!(
                (sealed.request, sealed.hash, sealed.received),
                (envelope.request, envelope.hash, envelope.received)
            );
        }
    }

    #[test]
    fn any_changed_byte_is_refused(position in any::<prop::sample::Index>(), flip in 1_u8..) {
        let batch = seal(&[envelope(1, 0), envelope(2, 1)], false);
        let mut bytes = batch.as_bytes().to_vec();
        let position = position.index(bytes.len());
        bytes[position] ^= flip;
        let key = keys().1.public_key();
        let accepted = parse(bytes).and_then(|batch| batch.verify(&law_id(), &key));
        prop_assert!(accepted.is_err(), "byte {} changed and still accepted", position);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let with_magic = [MAGIC.as_slice(), &bytes].concat();
        let _ = Batch::parse(bytes);
        let _ = Batch::parse(with_magic);
    }
}

/// The node that seals a batch knows that the signature is valid, and one that receives it checks
/// the signature once: the sealer, the follower and the block use what the validator has checked.
#[test]
fn a_signature_is_checked_once_for_a_key() {
    let (_, node) = keys();
    let sealed = seal(&[envelope(1, 0)], false);
    assert!(sealed.verified.get().is_some_and(|(key, _)| *key == node.public_key()));
    let read = parse(sealed.as_bytes().to_vec()).expect("own bytes");
    assert!(read.verified.get().is_none(), "it may have been changed on its way");
    let first = read.verify(&law_id(), &node.public_key()).expect("own signature");
    let (key, digest) = *read.verified.get().expect("checked");
    assert_eq!((key, digest), (node.public_key(), first.envelopes_digest()));
    assert_eq!(read.verify(&law_id(), &node.public_key()), Ok(first));
}

#[test]
fn another_key_spoils_every_choice_but_loses_no_envelope() {
    let batch = seal(&[envelope(1, 0), envelope(2, 1)], false);
    assert_eq!(batch.open(&BallotSecretKey::from_seed(&[99; 32])), vec![None, None]);
}

#[test]
fn another_nodes_key_is_distinguished() {
    let batch = seal(&[envelope(1, 0)], false);
    let other = NodeKey::from_seed(&[77; 32]).public_key();
    assert_eq!(batch.verify(&law_id(), &other), Err(BatchError::Node { number: batch.number() }));
}

#[test]
fn a_batch_of_another_election_is_not_verified() {
    let batch = seal(&[envelope(1, 0)], false);
    let other: ElectionId = "L2".parse().expect("law id");
    let refused = batch.verify(&other, &keys().1.public_key()).expect_err("another election");
    assert!(matches!(refused, BatchError::Law { expected, .. } if expected == other));
}

#[test]
fn numbers_out_of_range_are_not_sealed() {
    let (ballot, node) = keys();
    let number = BatchNumber { node: node.node_id(), epoch: Epoch(1), sequence: Sequence(1) };
    let good =
        BatchHeader { law_id: law_id(), number, confirmed_through: Sequence(0), last: false };
    let numbered = |epoch, sequence, confirmed| BatchHeader {
        number: BatchNumber { epoch: Epoch(epoch), sequence: Sequence(sequence), ..number },
        confirmed_through: Sequence(confirmed),
        ..good.clone()
    };
    let seal = |header, envelopes: &[Envelope]| {
        let sealed =
            Batch::seal(header, envelopes, &ballot.public_key(), &node, &mut FixedRng::new(5));
        sealed.map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(seal(good.clone(), &[]), Ok(()));
    for (header, field) in [
        (numbered(0, 1, 0), "epoch"),
        (numbered(1, 0, 0), "sequence"),
        (numbered(1, 1 << 53, 0), "sequence"),
        (numbered(1, 2, 2), "confirmed-through"),
    ] {
        assert_eq!(seal(header, &[]), Err(format!("batch header: {field} out of range")));
    }
    let many = vec![envelope(1, 0); Batch::COUNT_MAX + 1];
    assert_eq!(seal(good.clone(), &many), Err("batch header: count out of range".to_owned()));
    let later = Envelope { received: UnixMinutes(29_400_001), ..envelope(1, 0) };
    let ancient = Envelope { received: UnixMinutes(5), ..envelope(1, 0) };
    for (envelopes, place) in [(vec![later, envelope(2, 0)], 1), (vec![ancient], 0)] {
        let refused = seal(good.clone(), &envelopes).expect_err("a minute out of order");
        assert!(refused.starts_with(&format!("envelope {place}: ")), "{refused}");
    }
}

fn golden() -> Arc<Batch> {
    seal(&[envelope(1, 0), envelope(2, 1), envelope(3, 65535)], true)
}

#[test]
#[ignore = "writes the golden vector after a deliberate change of format: cargo test -p votekit-core -- --ignored write_the_golden"]
fn write_the_golden_batch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/vectors/batch.hex");
    std::fs::write(path, const_hex::encode(golden().as_bytes()) + "\n").expect("written");
}

#[test]
fn the_golden_vector_is_reproduced() {
    let batch = golden();
    let golden = include_str!("../../fixtures/vectors/batch.hex");
    assert_eq!(const_hex::encode(batch.as_bytes()), golden.trim_end());
}
