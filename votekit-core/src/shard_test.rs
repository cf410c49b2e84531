//! Shards and change files: written bytes read back, and nothing else is accepted.

use proptest::prelude::*;

use super::*;
use crate::id::Digest;

const FORMATS: [ShardFormat; 2] = [ShardFormat::Json, ShardFormat::Binary];

fn head(shard: u32, shards: u32) -> ShardHead {
    ShardHead { law_id: "L2025-001".parse().expect("a law id"), shard, shards }
}

fn key(byte: u8) -> RegistryKey {
    RegistryKey::from_bytes([byte; 32])
}

#[test]
fn golden_vectors_hold() {
    let keys = [b"one".as_slice(), b"two", b"three"]
        .map(|text| RegistryKey::from_bytes(*Digest::compute(text).as_bytes()));
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    let json = include_bytes!("../../fixtures/vectors/shard/L2025-001.0001.json");
    let binary = const_hex::decode(
        include_str!("../../fixtures/vectors/shard/L2025-001.0001.bin.hex").trim(),
    )
    .expect("hex");
    assert_eq!(head(1, 2).encode(ShardFormat::Json, &keys), json);
    assert_eq!(head(1, 2).encode(ShardFormat::Binary, &keys), binary);
    let empty = include_bytes!("../../fixtures/vectors/shard/L2025-001.0002.json");
    assert_eq!(head(2, 2).encode(ShardFormat::Json, &[]), empty);
    let changes = Changes::new(
        "L2025-001".parse().expect("a law id"),
        vec![key(2), key(1)],
        vec![key(3)],
        vec![(key(5), key(4))],
    );
    let file = include_bytes!("../../fixtures/vectors/shard/L2025-001.changes.json");
    assert_eq!(changes.expect("disjoint").encode(), file);
}

#[test]
fn names_follow_the_format() {
    assert_eq!(head(12, 20).file_name(ShardFormat::Json), "L2025-001.0012.json");
    assert_eq!(ShardFormat::from_file_name("L.0001.bin"), Some(ShardFormat::Binary));
    assert_eq!(ShardFormat::from_file_name("json"), None);
}

#[test]
fn order_and_repetition_are_refused() {
    for format in FORMATS {
        let swapped = head(1, 1).encode(format, &[key(2), key(1)]);
        assert_eq!(ShardHead::decode(format, &swapped), Err(ShardError::Order { key: 2 }));
        let repeated = head(1, 1).encode(format, &[key(1), key(2), key(2)]);
        assert_eq!(ShardHead::decode(format, &repeated), Err(ShardError::Order { key: 3 }));
    }
}

#[test]
fn numbers_beyond_their_range_are_refused() {
    for format in FORMATS {
        let beyond = head(3, 2).encode(format, &[]);
        assert_eq!(
            ShardHead::decode(format, &beyond),
            Err(ShardError::Number { shard: 3, shards: 2 })
        );
        let zero = head(0, 2).encode(format, &[]);
        assert_eq!(
            ShardHead::decode(format, &zero),
            Err(ShardError::Number { shard: 0, shards: 2 })
        );
        for shard in [1, 10_000] {
            let shards = 10_000;
            let too_many = head(shard, shards).encode(format, &[]);
            let refused = ShardHead::decode(format, &too_many);
            assert_eq!(refused, Err(ShardError::Number { shard, shards }));
        }
    }
    let json = String::from_utf8(head(1, 1).encode(ShardFormat::Json, &[])).expect("ASCII");
    let many = json.replace("\"count\":0", "\"count\":1000001");
    let refused = ShardHead::decode(ShardFormat::Json, many.as_bytes());
    assert_eq!(refused, Err(ShardError::TooMany { count: 1_000_001 }));
    let leading = json.replace("\"count\":0", "\"count\":00");
    assert!(matches!(
        ShardHead::decode(ShardFormat::Json, leading.as_bytes()),
        Err(ShardError::Malformed { .. })
    ));
}

#[test]
fn capitals_and_white_space_are_refused() {
    let json =
        String::from_utf8(head(1, 1).encode(ShardFormat::Json, &[key(0xab)])).expect("ASCII");
    let capitals = json.replace(&"ab".repeat(32), &"AB".repeat(32));
    assert_eq!(
        ShardHead::decode(ShardFormat::Json, capitals.as_bytes()),
        Err(ShardError::Key { key: 1 })
    );
    for edited in
        [json.replace(",\"shard\"", ", \"shard\""), json.replace("]}\n", "]}"), format!("{json}\n")]
    {
        assert!(ShardHead::decode(ShardFormat::Json, edited.as_bytes()).is_err(), "{edited:?}");
    }
}

#[test]
fn changes_are_disjoint_sorted_and_canonical() {
    let law = || "L1".parse().expect("a law id");
    assert_eq!(
        Changes::new(law(), vec![key(1)], vec![key(1)], vec![]),
        Err(ChangesError::Repeated)
    );
    assert_eq!(
        Changes::new(law(), vec![], vec![], vec![(key(1), key(1))]),
        Err(ChangesError::Repeated)
    );
    let changes = Changes::new(law(), vec![key(1), key(2)], vec![], vec![]).expect("disjoint");
    let text = String::from_utf8(changes.encode()).expect("ASCII");
    let swapped = text
        .replace(&"01".repeat(32), "x")
        .replace(&"02".repeat(32), &"01".repeat(32))
        .replace('x', &"02".repeat(32));
    // The replaced `x` does not occur in the format's name.
    assert_eq!(Changes::decode(swapped.as_bytes()), Err(ChangesError::Order { list: "add" }));
    assert_eq!(Changes::decode(text.trim_end().as_bytes()), Err(ChangesError::NotCanonical));
    assert_eq!(
        Changes::decode(text.replace(",\"revoke\"", ", \"revoke\"").as_bytes()),
        Err(ChangesError::NotCanonical)
    );
    assert!(matches!(
        Changes::decode(text.replace("\"add\"", "\"more\"").as_bytes()),
        Err(ChangesError::Json { .. })
    ));
}

fn sorted_keys() -> impl Strategy<Value = Vec<RegistryKey>> {
    prop::collection::btree_set(any::<[u8; 32]>(), 0..20)
        .prop_map(|keys| keys.into_iter().map(RegistryKey::from_bytes).collect())
}

fn heads() -> impl Strategy<Value = ShardHead> {
    ("[A-Za-z0-9_-]{1,50}", 1_u32..=9_999).prop_flat_map(|(law_id, shards)| {
        (1..=shards).prop_map(move |shard| ShardHead {
            law_id: law_id.parse().expect("a law id"),
            shard,
            shards,
        })
    })
}

proptest! {
    #[test]
    fn shards_read_back(head in heads(), keys in sorted_keys()) {
        for format in FORMATS {
            let bytes = head.encode(format, &keys);
            prop_assert_eq!(ShardHead::decode(format, &bytes), Ok((head.clone(), keys.clone())));
        }
    }

    /// Each value has one encoding, so a decoder that accepts changed bytes must return another
    /// value.
    #[test]
    fn one_changed_byte_is_refused_or_is_another_shard(
        head in heads(),
        keys in sorted_keys(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        for format in FORMATS {
            let mut bytes = head.encode(format, &keys);
            let place = place.index(bytes.len());
            prop_assume!(bytes[place] != byte);
            bytes[place] = byte;
            if let Ok((other, others)) = ShardHead::decode(format, &bytes) {
                prop_assert_eq!(other.encode(format, &others), bytes);
                prop_assert_ne!((&other, &others), (&head, &keys));
            }
        }
    }

    #[test]
    fn a_cut_shard_is_refused(
        head in heads(),
        keys in sorted_keys(),
        place in any::<prop::sample::Index>(),
    ) {
        for format in FORMATS {
            let bytes = head.encode(format, &keys);
            prop_assert!(ShardHead::decode(format, &bytes[..place.index(bytes.len())]).is_err());
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        for format in FORMATS {
            drop(ShardHead::decode(format, &bytes));
        }
        drop(Changes::decode(&bytes));
    }

    #[test]
    fn changes_read_back(keys in prop::collection::btree_set(any::<[u8; 32]>(), 4..30)) {
        let keys: Vec<RegistryKey> = keys.into_iter().map(RegistryKey::from_bytes).collect();
        let (add, rest) = keys.split_at(keys.len() / 4);
        let (revoke, rest) = rest.split_at(rest.len() / 3);
        let pairs = rest.chunks_exact(2).map(|pair| (pair[1], pair[0])).collect();
        let changes = Changes::new("L1".parse().expect("a law id"), add.to_vec(), revoke.to_vec(), pairs).expect("disjoint");
        prop_assert_eq!(Changes::decode(&changes.encode()), Ok(changes));
    }
}

#[test]
fn readmissions_are_pairs_of_their_own_and_are_left_out_when_there_are_none() {
    let law = "L1".parse().expect("a law id");
    let changes = Changes::new(law, vec![key(1)], vec![], vec![]).expect("disjoint");
    assert!(!String::from_utf8_lossy(&changes.encode()).contains("readmit"));
    let changes = changes.with_readmissions(vec![(key(2), key(3))]).expect("disjoint");
    assert_eq!((changes.added_count(), changes.revoked_count()), (2, 0));
    let bytes = changes.encode();
    assert_eq!(Changes::decode(&bytes).as_ref(), Ok(&changes));
    let text = String::from_utf8(bytes).expect("JSON");
    assert!(text.contains(r#""replace":[],"readmit":[[""#), "{text}");
    let empty = text.split_once(r#","readmit""#).expect("a list").0.to_owned();
    assert_eq!(
        Changes::decode(format!("{empty},\"readmit\":[]}}\n").as_bytes()),
        Err(ChangesError::NotCanonical)
    );
    assert_eq!(changes.with_readmissions(vec![(key(1), key(3))]), Err(ChangesError::Repeated));
}
