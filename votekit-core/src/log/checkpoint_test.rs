use proptest::prelude::*;

use super::*;
use crate::log::merkle::leaf_hash;
use crate::log::samples::{authorities, authority, origin, signed};

const BEHIND_THE_SOFA: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
    — example.com/behind-the-sofa \
    Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
    — witness.example.com/w1 \
    jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

#[test]
fn the_example_of_the_specification_is_read() {
    let signed = SignedCheckpoint::parse(BEHIND_THE_SOFA.as_bytes()).expect("a checkpoint");
    assert_eq!(signed.to_string(), BEHIND_THE_SOFA);
    let checkpoint = signed.unverified();
    assert_eq!(
        (checkpoint.origin(), checkpoint.size()),
        ("example.com/behind-the-sofa", 20_852_163)
    );
    assert_eq!(
        base64(checkpoint.root().as_bytes()),
        "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
    );
    assert_eq!(checkpoint.text(), signed.note().text());
    // The time in the witness's line is the one of the specification's example message.
    let cosignature = signed.note().signatures()[1].as_bytes();
    assert_eq!(cosignature.len(), 72);
    assert_eq!(cosignature[..8], 1_679_315_147u64.to_be_bytes());
}

#[test]
fn the_cosigned_message_is_that_of_the_specification() {
    let text =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let message = cosigned_message(UnixSeconds(1_679_315_147), text);
    assert_eq!(message, Some(format!("cosignature/v1\ntime 1679315147\n{text}")));
}

#[test]
fn origins_differ_for_binding_and_test_elections() {
    let base = "example.org/vote".parse().expect("a name");
    let law = "L2025-001".parse().expect("a law");
    assert_eq!(
        origin_of(&base, &law, true).expect("a name").as_str(),
        "example.org/vote/L2025-001"
    );
    assert_eq!(
        origin_of(&base, &law, false).expect("a name").as_str(),
        "example.org/vote/test/L2025-001"
    );
    assert_eq!(
        cosigner_name_of(&base, "a1").expect("a name").as_str(),
        "example.org/vote/authority/a1"
    );
    assert!(cosigner_name_of(&base, "").is_err());
    assert!(cosigner_name_of(&base, "a 1").is_err());
}

#[test]
fn malformed_texts_are_refused_by_line_and_rule() {
    const ROOT: &str = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    let cases = [
        ("o\n".to_owned(), 2, CheckpointRule::Lines),
        ("o\n1\n".to_owned(), 3, CheckpointRule::Lines),
        (format!("\n1\n{ROOT}\n"), 1, CheckpointRule::Empty),
        (format!("o\n\n{ROOT}\n"), 2, CheckpointRule::Empty),
        (format!("o\n1\n{ROOT}\n\n"), 4, CheckpointRule::Empty),
        (format!("o\n1\n{ROOT}\nx\n\ny\n"), 5, CheckpointRule::Empty),
        (format!("o\n01\n{ROOT}\n"), 2, CheckpointRule::Size),
        (format!("o\n-1\n{ROOT}\n"), 2, CheckpointRule::Size),
        (format!("o\n1 \n{ROOT}\n"), 2, CheckpointRule::Size),
        (format!("o\n18446744073709551616\n{ROOT}\n"), 2, CheckpointRule::Size),
        (format!("o\n1\n{}\n", &ROOT[1..]), 3, CheckpointRule::Root),
        (format!("o\n1\n{ROOT} \n"), 3, CheckpointRule::Root),
        ("o\n1\nAQ==\n".to_owned(), 3, CheckpointRule::Root),
    ];
    for (text, line, rule) in cases {
        assert_eq!(
            Checkpoint::parse_text(&text),
            Err(CheckpointError::Malformed { line, rule }),
            "{text:?}"
        );
    }
    assert!(matches!(
        Checkpoint::parse_text(&format!("o\n1\n{ROOT}")),
        Err(CheckpointError::Note(_))
    ));
    assert!(matches!(
        Checkpoint::parse_text(&format!("o\r\n1\n{ROOT}\n")),
        Err(CheckpointError::Note(_))
    ));
}

#[test]
fn extension_lines_of_others_are_kept() {
    let text = "some log\n0\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\none\ntwo two\n";
    let checkpoint = Checkpoint::parse_text(text).expect("a checkpoint");
    assert_eq!(checkpoint.extensions(), ["one", "two two"]);
    assert_eq!(checkpoint.text(), text);
}

#[test]
fn an_authority_signs_and_cosigns() {
    let checkpoint = Checkpoint::new(&origin(), 1, leaf_hash(b"leaf"));
    let authority = authority(1);
    let signed = signed(&checkpoint, &authorities(1), &[0]);
    let keys = [authority.log_key.verifier().clone(), authority.cosigner.verifier().clone()];
    let verified = signed.note().verify_strict(&keys).expect("its own signatures");
    assert_eq!(
        verified.iter().map(|line| line.at).collect::<Vec<_>>(),
        [None, Some(UnixSeconds(1_763_700_000))]
    );
    assert_eq!(keys[1].to_string().parse(), Ok(keys[1].clone()));
    assert_eq!(SignedCheckpoint::parse(signed.to_string().as_bytes()), Ok(signed));

    let elsewhere =
        Checkpoint::new(&"example.org/other".parse().expect("a name"), 1, leaf_hash(b"leaf"));
    assert!(matches!(elsewhere.sign(&authority.log_key), Err(CheckpointError::Origin { .. })));
    assert!(format!("{:?}", authority.cosigner).contains("redacted"));
}

#[test]
fn times_end_before_two_to_the_sixty_three() {
    let checkpoint = Checkpoint::new(&origin(), 1, leaf_hash(b"leaf"));
    let cosigner = authority(1).cosigner;
    let at = UnixSeconds(1 << 63);
    assert_eq!(cosigner.cosign(&checkpoint, at), Err(CheckpointError::Time { at }));
    let last = cosigner.cosign(&checkpoint, UnixSeconds((1 << 63) - 1)).expect("the last time");
    assert!(cosigner.verifier().verify(&checkpoint.text(), last.as_bytes()).is_ok());
    let mut late = last.as_bytes().to_vec();
    late[..8].copy_from_slice(&(1u64 << 63).to_be_bytes());
    use crate::log::note::SignatureError;
    assert_eq!(cosigner.verifier().verify(&checkpoint.text(), &late), Err(SignatureError::Time));
    assert_eq!(
        cosigner.verifier().verify(&checkpoint.text(), &late[..71]),
        Err(SignatureError::Length { length: 71 })
    );
    assert_eq!(
        cosigner.verifier().verify(&checkpoint.text(), &[]),
        Err(SignatureError::Length { length: 0 })
    );
}

#[test]
fn a_cosignature_is_for_these_very_lines() {
    let cosigner = authority(1).cosigner;
    let checkpoint = Checkpoint::new(&origin(), 7, leaf_hash(b"leaf"));
    let line = cosigner.cosign(&checkpoint, UnixSeconds(5)).expect("an honest time");
    let others = [
        Checkpoint::new(&"example.org/other".parse().expect("a name"), 7, leaf_hash(b"leaf")),
        Checkpoint::new(&origin(), 8, leaf_hash(b"leaf")),
        Checkpoint::new(&origin(), 7, leaf_hash(b"other")),
    ];
    assert_eq!(
        cosigner.verifier().verify(&checkpoint.text(), line.as_bytes()),
        Ok(Some(UnixSeconds(5)))
    );
    for other in others {
        assert!(cosigner.verifier().verify(&other.text(), line.as_bytes()).is_err());
    }
}

proptest! {
    #[test]
    fn texts_are_read_back(size: u64, root: [u8; 32]) {
        let checkpoint = Checkpoint::new(&origin(), size, TreeHash::from_bytes(root));
        prop_assert_eq!(Checkpoint::parse_text(&checkpoint.text()), Ok(checkpoint));
    }

    #[test]
    fn what_parses_is_canonical(bytes in "([^\\x00]{0,9}\n)?[0-9]{1,3}\n[A-Za-z0-9+/]{42,43}=\n(x?\n)?\n?— a A{6}[A-Z]=\n?") {
        if let Ok(signed) = SignedCheckpoint::parse(bytes.as_bytes()) {
            prop_assert_eq!(signed.to_string(), bytes);
            prop_assert_eq!(signed.unverified().text(), signed.note().text());
        }
    }
}
