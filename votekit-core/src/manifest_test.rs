//! The manifest's codec and rules, and the comparison of files with their rows.

use proptest::prelude::*;

use super::*;

fn law(text: &str) -> ElectionId {
    text.parse().expect("a law id")
}

fn keys(count: u8) -> Vec<RegistryKey> {
    (0..count).map(|byte| RegistryKey::from_bytes([byte; 32])).collect()
}

fn shard_row(head: &ShardHead, keys: &[RegistryKey]) -> FileRow {
    let bytes = head.encode(ShardFormat::Json, keys);
    FileRow {
        file: head.file_name(ShardFormat::Json),
        law_id: head.law_id.clone(),
        shard: head.shard,
        count: keys.len() as u64,
        sha256: Digest::compute(&bytes),
    }
}

/// Two laws; the second has two shards.
fn body() -> ManifestBody {
    let heads = [("L1", 1, 1, 3), ("L2", 1, 2, 2), ("L2", 2, 2, 1)];
    let shards = heads.map(|(id, shard, shards, count)| {
        shard_row(&ShardHead { law_id: law(id), shard, shards }, &keys(count))
    });
    ManifestBody {
        tool: "votekit 0.1.0".to_owned(),
        scheme: HashScheme::Sha256,
        pepper: None,
        date: Some("2026-11-21".to_owned()),
        parent: None,
        roll: RollFacts {
            sha256: Digest::compute(b"roll"),
            rows: 9,
            duplicates: 1,
            rejects: 2,
            code_length_min: 6,
        },
        laws: vec![
            LawRow { law_id: law("L1"), registered: 3, shards: 1, revoked: 0 },
            LawRow { law_id: law("L2"), registered: 3, shards: 2, revoked: 0 },
        ],
        shards: shards.to_vec(),
        changes: Vec::new(),
    }
}

fn supplement_body() -> ManifestBody {
    let changes = Changes::new(law("L1"), keys(2), Vec::new(), Vec::new()).expect("disjoint");
    let row = FileRow {
        file: Changes::file_name(&law("L1")),
        law_id: law("L1"),
        shard: 1,
        count: 2,
        sha256: Digest::compute(&changes.encode()),
    };
    ManifestBody {
        parent: Some(Digest::compute(b"parent")),
        roll: RollFacts {
            sha256: RollFacts::supplement_digest(None, None),
            rows: 2,
            duplicates: 0,
            rejects: 0,
            code_length_min: 8,
        },
        laws: vec![LawRow { law_id: law("L1"), registered: 2, shards: 0, revoked: 0 }],
        shards: Vec::new(),
        changes: vec![row],
        ..body()
    }
}

fn refused(change: impl FnOnce(&mut ManifestBody)) -> ManifestError {
    let mut body = body();
    change(&mut body);
    Manifest::new(body).expect_err("an inconsistent manifest")
}

#[test]
fn golden_vector_holds() {
    let manifest = Manifest::new(body()).expect("consistent");
    let bytes = include_bytes!("../../fixtures/vectors/manifest/manifest.json");
    assert_eq!(String::from_utf8_lossy(&manifest.encode()), String::from_utf8_lossy(bytes));
    assert_eq!(Manifest::parse(bytes), Ok(manifest.clone()));
    assert_eq!(manifest.note_text(), format!("votekit-manifest/1\n{}\n", Digest::compute(bytes)));
    let supplement = include_bytes!("../../fixtures/vectors/manifest/supplement.json");
    assert_eq!(Manifest::new(supplement_body()).expect("consistent").encode(), supplement);
}

#[test]
fn counts_numbers_and_names_must_agree() {
    let cases = [
        (refused(|body| body.laws[0].registered = 4), "law L1: found 3 keys, expected 4"),
        (refused(|body| body.shards[2].count = 7), "found 9 keys"),
        (refused(|body| body.roll.rows = 10), "expected 10"),
        (
            refused(|body| {
                body.roll.rows = 1 << 53;
                body.roll.rejects += (1 << 53) - 9;
            }),
            "9007199254740992, over 2^53 - 1",
        ),
        (refused(|body| body.laws.swap(0, 1)), ": repeated or not ascending"),
        (refused(|body| body.shards.swap(1, 2)), "law L2: shard numbers, not 1 to 2"),
        (refused(|body| drop(body.shards.remove(2))), "law L2: shard numbers, not 1 to 2"),
        (refused(|body| body.laws.truncate(1)), "of an unlisted law"),
        (refused(|body| body.shards[0].file = "../L1.0001.json".into()), "file name"),
        (refused(|body| body.shards[0].file = "/etc/L1.0001.json".into()), "file name"),
        (refused(|body| body.shards[0].file = "L2.0001.json".into()), "file name"),
        (refused(|body| body.date = Some("2026-13-01".into())), "date not"),
        (refused(|body| body.scheme = HashScheme::HmacSha256), "contradict"),
        (
            refused(|body| body.parent = Some(Digest::compute(b"x"))),
            "fields of a roll and of a supplement",
        ),
        (refused(|body| body.laws[0].revoked = 1), "fields of a roll and of a supplement"),
        (
            refused(|body| body.pepper = Some(PepperMarks::new(&Pepper::from_bytes([1; 32])))),
            "contradict",
        ),
        (
            // A law without electors has one empty shard, not none.
            refused(|body| {
                let law_id = law("L3");
                body.laws.push(LawRow { law_id, registered: 0, shards: 0, revoked: 0 });
            }),
            "fields of a roll and of a supplement",
        ),
        (
            // Correctly named and numbered, but one more shard than a law may have.
            refused(|body| {
                body.shards.truncate(1);
                body.shards.extend((1..=10_000).map(|shard| {
                    shard_row(&ShardHead { law_id: law("L2"), shard, shards: 10_000 }, &[])
                }));
                body.laws[1].shards = 10_000;
                body.laws[1].registered = 0;
                body.roll.rows = 6;
            }),
            "law L2: shard numbers, not 1 to 10000",
        ),
    ];
    for (error, expected) in cases {
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_shard_too_large_is_refused() {
    let error = refused(|body| {
        body.laws[0].registered = 1_000_001;
        body.shards[0].count = 1_000_001;
        body.roll.rows = 1_000_007;
    });
    assert!(matches!(error, ManifestError::ShardCount { .. }), "{error}");
}

#[test]
fn only_canonical_bytes_are_read() {
    let text =
        String::from_utf8(Manifest::new(body()).expect("consistent").encode()).expect("UTF-8");
    for edited in [
        text.replace("  \"tool\"", "  \"note\": 1,\n  \"tool\""),
        text.replace("\"date\": ", "\"date\":  "),
        text.trim_end().to_owned(),
        format!("{text}\n"),
        text.replace("votekit 0.1.0", "votekit\\u00200.1.0"),
    ] {
        assert!(Manifest::parse(edited.as_bytes()).is_err(), "{edited}");
    }
    let other = text.replace("votekit-manifest/1", "votekit-manifest/2");
    assert!(matches!(Manifest::parse(other.as_bytes()), Err(ManifestError::Json { .. })));
}

#[test]
fn files_are_held_against_their_rows() {
    let manifest = Manifest::new(body()).expect("consistent");
    let row = &manifest.body().shards[1];
    let head = ShardHead { law_id: law("L2"), shard: 1, shards: 2 };
    let mut bytes = head.encode(ShardFormat::Json, &keys(2));
    assert_eq!(manifest.read_shard(row, &bytes), Ok(keys(2)));
    bytes[200] ^= 1;
    assert!(matches!(manifest.read_shard(row, &bytes), Err(ManifestError::FileDigest { .. })));

    // A row with the digest of the wrong shard.
    let mut body = body();
    let other =
        ShardHead { law_id: law("L2"), shard: 2, shards: 2 }.encode(ShardFormat::Json, &keys(2));
    body.shards[1].sha256 = Digest::compute(&other);
    let manifest = Manifest::new(body).expect("consistent");
    let row = &manifest.body().shards[1];
    assert!(matches!(manifest.read_shard(row, &other), Err(ManifestError::ShardHead { .. })));
}

#[test]
fn change_files_are_held_against_their_rows() {
    let manifest = Manifest::new(supplement_body()).expect("consistent");
    let row = &manifest.body().changes[0];
    let changes = Changes::new(law("L1"), keys(2), Vec::new(), Vec::new()).expect("disjoint");
    assert_eq!(manifest.read_changes(row, &changes.encode()), Ok(changes));
    let mut body = supplement_body();
    let moved =
        Changes::new(law("L1"), keys(1), vec![RegistryKey::from_bytes([9; 32])], Vec::new())
            .expect("disjoint");
    body.changes[0].sha256 = Digest::compute(&moved.encode());
    let manifest = Manifest::new(body).expect("consistent");
    let refused = manifest.read_changes(&manifest.body().changes[0], &moved.encode());
    assert!(matches!(refused, Err(ManifestError::ChangesCount { .. })));
}

#[test]
fn the_pepper_must_be_the_manifests() {
    let (pepper, other) = (Pepper::from_bytes([1; 32]), Pepper::from_bytes([2; 32]));
    let plain = Manifest::new(body()).expect("consistent");
    assert!(plain.hasher(None).is_ok());
    assert!(matches!(plain.hasher(Some(&pepper)), Err(ManifestError::PepperUnasked)));
    let marked = ManifestBody {
        scheme: HashScheme::HmacSha256,
        pepper: Some(PepperMarks::new(&pepper)),
        ..body()
    };
    let keyed = Manifest::new(marked).expect("consistent");
    assert!(keyed.hasher(Some(&pepper)).is_ok());
    assert!(matches!(keyed.hasher(Some(&other)), Err(ManifestError::PepperOther { .. })));
    assert!(matches!(keyed.hasher(None), Err(ManifestError::PepperMissing { .. })));
}

#[test]
fn the_length_of_the_shortest_code_is_one_that_a_code_can_have() {
    let of = |code_length_min| {
        let body = body();
        Manifest::new(ManifestBody { roll: RollFacts { code_length_min, ..body.roll }, ..body })
    };
    for length in [0, 3, 33, 77] {
        assert_eq!(of(length), Err(ManifestError::CodeLength { length }));
    }
    assert!(of(4).is_ok() && of(32).is_ok());
}

proptest! {
    #[test]
    fn manifests_read_back(
        tool in "\\PC{0,20}",
        counts in prop::collection::vec(0_u8..9, 1..6),
        duplicates in 0_u64..9,
    ) {
        let head = |place: usize, count: u8| {
            (ShardHead { law_id: law(&format!("L{place}")), shard: 1, shards: 1 }, keys(count))
        };
        let shards: Vec<_> =
            counts.iter().enumerate().map(|(place, count)| head(place, *count)).collect();
        let registered: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        let manifest = Manifest::new(ManifestBody {
            tool,
            roll: RollFacts {
                sha256: Digest::compute(b"roll"),
                rows: registered + duplicates,
                duplicates,
                rejects: 0,
                code_length_min: if registered > 0 { 8 } else { 0 },
            },
            laws: shards
                .iter()
                .map(|(head, keys)| LawRow {
                    law_id: head.law_id.clone(),
                    registered: keys.len() as u64,
                    shards: 1,
                    revoked: 0,
                })
                .collect(),
            shards: shards.iter().map(|(head, keys)| shard_row(head, keys)).collect(),
            ..body()
        });
        let manifest = manifest.expect("consistent");
        prop_assert_eq!(Manifest::parse(&manifest.encode()), Ok(manifest));
    }

    #[test]
    fn one_changed_byte_is_refused_or_changes_the_digest(
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let manifest = Manifest::new(body()).expect("consistent");
        let mut bytes = manifest.encode();
        let place = place.index(bytes.len());
        prop_assume!(bytes[place] != byte);
        bytes[place] = byte;
        if let Ok(other) = Manifest::parse(&bytes) {
            prop_assert_ne!(other.digest(), manifest.digest());
        }
    }

    #[test]
    fn any_text_is_read_without_panic(text in "\\PC{0,60}") {
        drop(Manifest::parse(text.as_bytes()));
    }
}
