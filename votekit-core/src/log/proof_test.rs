use proptest::prelude::*;

use super::*;
use crate::log::checkpoint::Checkpoint;
use crate::log::merkle::prove_inclusion;
use crate::log::samples::{SampleTree, authorities, leaf, origin, policy, signed};

fn sample(index: u64, size: u64, extra: &[u8]) -> Proof {
    let tree = SampleTree::with_size(size);
    let path = prove_inclusion(&tree, index, size).expect("in the tree");
    let checkpoint =
        signed(&Checkpoint::new(&origin(), size, tree.builder.root()), &authorities(1), &[0]);
    Proof::new(extra, index, path, checkpoint)
}

fn one_authority() -> Policy {
    policy(&authorities(1))
}

#[test]
fn a_receipt_proves_its_leaf() {
    for (index, size) in [(0, 1), (0, 2), (5, 13), (299, 300)] {
        let proof = sample(index, size, &leaf(index));
        let bytes = proof.to_string().into_bytes();
        assert_eq!(Proof::parse(&bytes), Ok(proof));
        let read = Proof::parse(&bytes).expect("a proof");
        let verified = read.verify(read.extra(), &one_authority()).expect("it is in the log");
        assert_eq!((verified.index, verified.checkpoint.checkpoint().size()), (index, size));
        assert_eq!(read.verify_strict(read.extra(), &one_authority()), Ok(verified));
        assert_eq!(
            read.verify(b"another leaf", &one_authority()),
            Err(ProofVerifyError::Inclusion(merkle::ProofError::Root))
        );
    }
}

#[test]
fn the_form_is_that_of_the_specification() {
    let text = sample(1, 3, b"leaf 1").to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["c2sp.org/tlog-proof@v1", "extra bGVhZiAx", "index 1"]);
    assert_eq!(lines[5..8], ["", "example.org/vote/test/L2025-001", "3"]);
    let text = sample(0, 1, b"").to_string();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 0\n\nexample.org/"));
    assert_eq!(Proof::parse(text.as_bytes()).expect("a proof").extra(), b"");
}

#[test]
fn another_policy_refuses_the_same_proof() {
    let proof = sample(3, 9, b"");
    let three = policy(&authorities(3));
    assert!(matches!(
        proof.verify(&leaf(3), &three),
        Err(ProofVerifyError::Checkpoint(VerifyError::NoQuorum { cosigned: 1 }))
    ));
}

#[test]
fn malformed_proofs_are_refused_by_line_and_rule() {
    let good = sample(1, 3, b"x").to_string();
    let cases = [
        (String::new(), 1, ProofRule::Cut),
        ("c2sp.org/tlog-proof@v1".to_owned(), 1, ProofRule::Cut),
        ("c2sp.org/tlog-proof@v1\n".to_owned(), 2, ProofRule::Cut),
        (good.replace("@v1", "@v2"), 1, ProofRule::Header),
        (good.replace('\n', "\r\n"), 1, ProofRule::Header),
        (format!("\n{good}"), 1, ProofRule::Header),
        (good.replace("extra eA==", "extra eA="), 2, ProofRule::Extra),
        (good.replace("extra eA==", "extra eB=="), 2, ProofRule::Extra),
        (good.replace("extra eA==", "extra "), 2, ProofRule::Extra),
        (good.replace("extra eA==", "extra  eA=="), 2, ProofRule::Extra),
        (good.replace("extra eA==", "extra"), 2, ProofRule::Index),
        (good.replace("extra eA==", "extra eA==\nextra eA=="), 3, ProofRule::Index),
        (good.replace("index 1", "index 01"), 3, ProofRule::Index),
        (good.replace("index 1", "index 1\r"), 3, ProofRule::Index),
        (good.replace("index 1", "index"), 3, ProofRule::Index),
        (good.replace("index 1", "index 1\nAQ=="), 4, ProofRule::Hash),
        (good.replace("index 1", "index 1\n "), 4, ProofRule::Hash),
        (good.split_once("\n\n").expect("two parts").0.to_owned(), 5, ProofRule::Cut),
    ];
    for (text, line, rule) in cases {
        assert_eq!(
            Proof::parse(text.as_bytes()),
            Err(ProofFormatError::Malformed { line, rule }),
            "{text:?}"
        );
    }
    let hash = good.lines().nth(3).expect("a hash");
    let high = good.replacen(hash, &vec![hash; 64].join("\n"), 1);
    assert_eq!(
        Proof::parse(high.as_bytes()),
        Err(ProofFormatError::Malformed { line: 68, rule: ProofRule::TooManyHashes })
    );
    let no_checkpoint = format!("{}\n\n", good.split_once("\n\n").expect("two parts").0);
    assert!(matches!(
        Proof::parse(no_checkpoint.as_bytes()),
        Err(ProofFormatError::Checkpoint { after_line: 6, .. })
    ));
    let long = vec![b'x'; Proof::BYTES_MAX + 1];
    assert_eq!(
        Proof::parse(&long),
        Err(ProofFormatError::TooLong { length: long.len(), max: Proof::BYTES_MAX })
    );
}

/// The extra data carries the leaf, so that every byte of a receipt is covered.
#[test]
fn any_changed_byte_of_a_receipt_is_noticed() {
    let bytes = sample(5, 13, &leaf(5)).to_string().into_bytes();
    let policy = one_authority();
    let holds = |bytes: &[u8]| {
        Proof::parse(bytes).is_ok_and(|proof| proof.verify_strict(proof.extra(), &policy).is_ok())
    };
    assert!(holds(&bytes));
    for place in 0..bytes.len() {
        for change in [0x01, 0x02, 0x20, 0x80] {
            let mut changed = bytes.clone();
            changed[place] ^= change;
            assert!(!holds(&changed), "byte {place} ^ {change}");
        }
        let mut shorter = bytes.clone();
        shorter.remove(place);
        assert!(!holds(&shorter), "byte {place} removed");
        assert!(!holds(&bytes[..place]), "cut at {place}");
    }
    assert!(!holds(&[&bytes[..], b"\n"].concat()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn proofs_are_read_back(
        index: u64,
        extra in prop::collection::vec(any::<u8>(), 0..99),
        path in prop::collection::vec(any::<[u8; 32]>(), 0..=64),
    ) {
        let path = path.into_iter().map(TreeHash::from_bytes).collect();
        let proof = Proof::new(&extra, index, path, sample(0, 1, b"").checkpoint);
        prop_assert_eq!(Proof::parse(proof.to_string().as_bytes()), Ok(proof));
    }

    #[test]
    fn any_bytes_are_a_proof_or_an_error(
        head in "(c2sp.org/tlog-proof@v1\n)?(extra [A-Z]{0,4}=?\n)?(index [0-9]{0,3}\n)?",
        tail in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [head.as_bytes(), &tail].concat();
        if let Ok(proof) = Proof::parse(&bytes) {
            prop_assert_eq!(proof.to_string().into_bytes(), bytes);
        }
    }
}
