use proptest::prelude::*;

use super::*;
use crate::log::encoding::base64;

const EXAMPLE_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE: &str = "This is an example message.\n\n— example.com/foo \
    Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
const QUASIMODO: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\
    — quasimodo.example/salvatore \
    NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";

fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(name.parse().expect("a name"), &[seed; 32])
}

fn malformed(line: usize, rule: NoteRule) -> Result<Note, NoteError> {
    Err(NoteError::Malformed { line, rule })
}

#[test]
fn the_example_of_the_specification_verifies() {
    let key: VerifierKey = EXAMPLE_KEY.parse().expect("a key");
    assert_eq!(key.to_string(), EXAMPLE_KEY);
    assert_eq!((key.name().as_str(), key.kind()), ("example.com/foo", KeyKind::Ed25519));
    let note: Note = EXAMPLE.parse().expect("a note");
    assert_eq!(note.to_string(), EXAMPLE);
    let expected = Ok(vec![VerifiedSignature { key: 0, at: None }]);
    assert_eq!(note.verify(std::slice::from_ref(&key)), expected);
    assert_eq!(note.verify_strict(&[key]), expected);
}

#[test]
fn a_text_may_hold_empty_lines() {
    let note: Note = QUASIMODO.parse().expect("a note");
    assert_eq!(note.to_string(), QUASIMODO);
    assert!(note.text().ends_with("\n\ned è subito sera.\n"));
    assert_eq!(note.signatures()[0].key_id().to_hex(), "367ba04b");
    assert_eq!(note.signatures()[0].as_bytes().len(), 64);
    for text in ["\n", "\n\n", "a\n\n", "\n\na\n\n\n"] {
        let note = Note::new(text.to_owned(), vec![key("a", 1).sign(text)]).expect("a note");
        assert_eq!(note.to_string().parse(), Ok(note.clone()));
        assert!(note.verify_strict(&[key("a", 1).verifier().clone()]).is_ok());
    }
}

#[test]
fn a_malformed_note_is_refused_by_line_and_rule() {
    let cases: &[(&[u8], usize, NoteRule)] = &[
        (b"", 1, NoteRule::Separator),
        (b"text", 1, NoteRule::Separator),
        (b"text\n", 2, NoteRule::Separator),
        (b"text\n\n", 3, NoteRule::NoSignature),
        (b"te\rxt\n\n", 1, NoteRule::ControlCharacter),
        (b"text\n\n\t", 3, NoteRule::ControlCharacter),
        (b"text\n\xff\n\n", 2, NoteRule::Utf8),
        ("text\n\n— a AAAAAAA=".as_bytes(), 3, NoteRule::SignatureForm),
        ("text\n\n- a AAAAAAA=\n".as_bytes(), 3, NoteRule::SignatureForm),
        ("text\n\n— aAAAAAAA=\n".as_bytes(), 3, NoteRule::SignatureForm),
        ("text\n\n—  AAAAAAA=\n".as_bytes(), 3, NoteRule::Name(KeyError::NameEmpty)),
        (
            "text\n\n— a+b AAAAAAA=\n".as_bytes(),
            3,
            NoteRule::Name(KeyError::NameCharacter { position: 2 }),
        ),
        (
            "text\n\n— a\u{a0}b AAAAAAA=\n".as_bytes(),
            3,
            NoteRule::Name(KeyError::NameCharacter { position: 2 }),
        ),
        (
            "text\n\n— a\u{2028}b AAAAAAA=\n".as_bytes(),
            3,
            NoteRule::Name(KeyError::NameCharacter { position: 2 }),
        ),
        ("text\n\n— a  AAAAAAA=\n".as_bytes(), 3, NoteRule::Base64),
        ("text\n\n— a AAAAAAA= \n".as_bytes(), 3, NoteRule::Base64),
        ("text\n\n— a AAAAAAA\n".as_bytes(), 3, NoteRule::Base64),
        ("text\n\n— a AAAAAAB=\n".as_bytes(), 3, NoteRule::Base64),
        ("text\n\n— a AAAAAA==\n".as_bytes(), 3, NoteRule::Short),
        ("text\n\n— a \n".as_bytes(), 3, NoteRule::Short),
        ("text\n\n— a AAAAAAA=\nx".as_bytes(), 4, NoteRule::SignatureForm),
    ];
    for (bytes, line, rule) in cases {
        assert_eq!(
            Note::parse(bytes),
            malformed(*line, *rule),
            "{:?}",
            String::from_utf8_lossy(bytes)
        );
    }
    let signature = key("a", 1).sign("x\n");
    assert_eq!(Note::new("x".to_owned(), vec![signature.clone()]), malformed(1, NoteRule::TextEnd));
    assert_eq!(Note::new(String::new(), vec![signature.clone()]), malformed(1, NoteRule::TextEnd));
    assert_eq!(
        Note::new("x\ty\n".to_owned(), vec![signature]),
        malformed(1, NoteRule::ControlCharacter)
    );
}

#[test]
fn a_hundred_signatures_and_a_mebibyte_are_the_limits() {
    let note = |count: usize| format!("text\n\n{}", "— a AAAAAAA=\n".repeat(count));
    assert!(Note::parse(note(16).as_bytes()).is_ok());
    assert!(Note::parse(note(100).as_bytes()).is_ok());
    assert_eq!(Note::parse(note(101).as_bytes()), malformed(103, NoteRule::TooManySignatures));
    let long = format!("{}\n\n— a AAAAAAA=\n", "x".repeat(Note::BYTES_MAX));
    assert_eq!(
        Note::parse(long.as_bytes()),
        Err(NoteError::TooLong { length: long.len(), max: Note::BYTES_MAX })
    );
}

#[test]
fn verifying_ignores_strangers_and_strict_verifying_does_not() {
    let text = "text\n".to_owned();
    let (known, namesake, stranger) = (key("a", 1), key("a", 2), key("b", 1));
    let keys = [known.verifier().clone()];
    let signed =
        |signatures: &[Signature]| Note::new(text.clone(), signatures.to_vec()).expect("a note");

    let mixed = signed(&[stranger.sign(&text), known.sign(&text), namesake.sign(&text)]);
    assert_eq!(mixed.verify(&keys), Ok(vec![VerifiedSignature { key: 0, at: None }]));
    let unknown = |line, key: &SigningKey| {
        Err(NoteError::UnknownKey { line, name: key.verifier().name().clone() })
    };
    assert_eq!(mixed.verify_strict(&keys), unknown(3, &stranger));
    assert_eq!(
        signed(&[known.sign(&text), namesake.sign(&text)]).verify_strict(&keys),
        unknown(4, &namesake)
    );

    assert_eq!(signed(&[stranger.sign(&text)]).verify(&keys), Err(NoteError::NoKnownKey));
    assert_eq!(mixed.verify(&[]), Err(NoteError::NoKnownKey));

    let twice = signed(&[known.sign(&text), known.sign(&text)]);
    assert!(twice.verify(&keys).is_ok());
    assert_eq!(
        twice.verify_strict(&keys),
        Err(NoteError::Repeated { line: 4, name: known.verifier().name().clone() })
    );

    // A valid line does not excuse an invalid one that names a known key.
    let half = signed(&[known.sign(&text), known.sign("other\n")]);
    let name = known.verifier().name().clone();
    let error = Err(NoteError::Signature { line: 4, name, cause: SignatureError::Mismatch });
    assert_eq!(half.verify(&keys), error);
    assert_eq!(half.verify_strict(&keys), error);
}

#[test]
fn malformed_verifier_keys_are_refused() {
    let refused = |text: &str| text.parse::<VerifierKey>().expect_err(text);
    let encoded = |bytes: &[u8]| format!("a+00000000+{}", base64(bytes));
    assert_eq!(refused(""), KeyError::Form);
    assert_eq!(refused("a+00000000"), KeyError::Form);
    assert_eq!(refused("+00000000+AQ=="), KeyError::NameEmpty);
    assert_eq!(refused("a b+00000000+AQ=="), KeyError::NameCharacter { position: 2 });
    assert_eq!(refused("a\n+00000000+AQ=="), KeyError::NameCharacter { position: 2 });
    assert_eq!(refused("a+0000000+AQ=="), KeyError::Form);
    assert_eq!(refused(&EXAMPLE_KEY.replace("530d903a", "530D903A")), KeyError::Form);
    assert_eq!(refused("a+00000000+AQ"), KeyError::Base64);
    assert_eq!(refused("a+00000000+"), KeyError::Form);
    assert_eq!(refused(&encoded(&[1; 32])), KeyError::Length { length: 31 });
    assert_eq!(refused(&encoded(&[1; 34])), KeyError::Length { length: 33 });
    assert_eq!(refused(&encoded(&[6; 1313])), KeyError::Kind { byte: 6 });
    // The neutral element, of order 1, under which a forged signature would verify.
    let mut neutral = [0; 33];
    (neutral[0], neutral[1]) = (1, 1);
    assert_eq!(refused(&encoded(&neutral)), KeyError::Point);
    assert_eq!(
        refused(&EXAMPLE_KEY.replace("foo", "bar")).to_string(),
        "found key id 530d903a, expected c6fb2e3e"
    );
    assert!(matches!(refused(&EXAMPLE_KEY.replace("530d903a", "530d903b")), KeyError::Id { .. }));
}

#[test]
fn the_type_makes_another_id() {
    let name: KeyName = "a".parse().expect("a name");
    let public_key = *key("a", 1).verifier().public_key();
    let ids =
        [KeyKind::Ed25519, KeyKind::CosignatureV1].map(|kind| KeyId::new(&name, kind, &public_key));
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn secrets_are_not_printed() {
    let printed = format!("{:?}", key("a", 0xab));
    assert!(printed.contains("redacted"));
    assert!(!printed.to_lowercase().contains(&"ab".repeat(4)) && !printed.contains("171, 171"));
}

/// Every byte of the example is covered: by the text's signature, or by the form of the signature
/// line.
#[test]
fn any_changed_byte_of_a_note_is_noticed() {
    let keys = [EXAMPLE_KEY.parse().expect("a key")];
    for place in 0..EXAMPLE.len() {
        for change in [0x01, 0x20, 0x80] {
            let mut bytes = EXAMPLE.as_bytes().to_vec();
            bytes[place] ^= change;
            let verified = Note::parse(&bytes).is_ok_and(|note| note.verify(&keys).is_ok());
            assert!(!verified, "byte {place} ^ {change}");
        }
    }
}

proptest! {
    #[test]
    fn notes_are_read_back(
        text in "([^\\x00-\\x1f]{0,9}\n){1,5}",
        names in prop::collection::vec("[a-zé/.—-]{1,9}", 1..5),
        seed: u8,
    ) {
        let keys: Vec<SigningKey> = names.iter().map(|name| key(name, seed)).collect();
        let note = Note::new(text.clone(), keys.iter().map(|key| key.sign(&text)).collect()).expect("a note");
        prop_assert_eq!(Note::parse(note.to_string().as_bytes()), Ok(note.clone()));
        let verifiers: Vec<VerifierKey> = keys.iter().map(|key| key.verifier().clone()).collect();
        prop_assert_eq!(note.verify(&verifiers).map(|verified| verified.len()), Ok(names.len()));
        for verifier in verifiers {
            prop_assert_eq!(verifier.to_string().parse::<VerifierKey>(), Ok(verifier));
        }
    }

    #[test]
    fn what_parses_is_canonical(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert_eq!(note.to_string().into_bytes(), bytes);
        }
    }

    #[test]
    fn near_notes_are_refused_or_canonical(
        place in 0..QUASIMODO.len(),
        remove in 0usize..4,
        insert in "[\n\r +=—A]{0,3}",
    ) {
        let mut bytes = QUASIMODO.as_bytes().to_vec();
        let end = (place + remove).min(bytes.len());
        bytes.splice(place..end, insert.into_bytes());
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert_eq!(note.to_string().into_bytes(), bytes);
        }
    }

    #[test]
    fn any_text_is_a_key_or_an_error(text in "\\PC{0,40}") {
        if let Ok(key) = text.parse::<VerifierKey>() {
            prop_assert_eq!(key.to_string(), text);
        }
    }
}
