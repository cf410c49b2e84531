use super::*;
use crate::instant::UnixSeconds;
use crate::log::checkpoint::Cosigner;
use crate::log::merkle::empty_root;
use crate::log::policy::{Authority, VerifyError};
use crate::log::samples::{authorities, origin};

const AT: UnixSeconds = UnixSeconds(1_700_000_000);

fn cosigner(number: u8) -> Cosigner {
    let name = format!("witness.example/w{number}").parse().expect("a key name");
    Cosigner::from_seed(name, &[0x40 | number; 32])
}

fn line(number: u8, checkpoint: &Checkpoint) -> Vec<u8> {
    cosigner(number).cosign(checkpoint, AT).expect("a time").to_string().into_bytes()
}

/// Two of three authorities, and two of three outside witnesses.
fn policy() -> Policy {
    let own: Vec<Authority> = authorities(3).into_iter().map(|one| one.public).collect();
    let witnesses = [1, 2, 3].map(|number: u8| Witness {
        name: format!("w{number}").parse().expect("a name"),
        key: cosigner(number).verifier().clone(),
        url: None,
    });
    Policy::for_election_with_witnesses(&own, 2, &witnesses, 2).expect("distinct keys")
}

fn checkpoint() -> Checkpoint {
    Checkpoint::new(&origin(), 0, empty_root())
}

/// The checkpoint, cosigned by the first authorities.
fn signed(count: usize) -> SignedCheckpoint {
    let own = authorities(3);
    let log_signature = checkpoint().sign(&own[0].log_key).expect("its own log");
    let lines = own.iter().take(count).map(|one| one.cosigner.cosign(&checkpoint(), AT));
    let lines = lines.collect::<Result<Vec<_>, _>>().expect("a time");
    SignedCheckpoint::new(checkpoint(), log_signature, lines).expect("few signatures")
}

fn names(missing: &[PolicyName]) -> Vec<String> {
    missing.iter().map(PolicyName::to_string).collect()
}

#[test]
fn the_authorities_alone_are_enough_for_sealing_only() {
    let (policy, enough, few) = (policy(), signed(2), signed(1));
    let note = |signed: &SignedCheckpoint| signed.to_string().into_bytes();
    assert!(policy.verify_checkpoint_by_authorities(&enough).is_ok());
    assert!(policy.verify_strict_by_authorities(&note(&enough)).is_ok());
    let none = Err(VerifyError::NoQuorum { cosigned: 2 });
    assert_eq!(policy.verify_checkpoint(&enough), none);
    assert_eq!(policy.verify_strict(&note(&enough)), none);
    let none = Err(VerifyError::NoQuorum { cosigned: 1 });
    assert_eq!(policy.verify_checkpoint_by_authorities(&few), none);
    assert_eq!(policy.verify_strict_by_authorities(&note(&few)), none);
    // Without outside witnesses both are the same.
    let own: Vec<Authority> = authorities(3).into_iter().map(|one| one.public).collect();
    let alone = Policy::for_election(&own, 2).expect("distinct keys");
    assert!(alone.verify_checkpoint(&enough).is_ok());
    assert!(alone.verify_checkpoint_by_authorities(&enough).is_ok());
    assert_eq!(alone.verify_checkpoint_by_authorities(&few), none);
    assert!(alone.outside_witnesses().is_empty());
    assert_eq!((policy.witness_quorum(), alone.witness_quorum()), (2, 0));
}

#[test]
fn lines_of_witnesses_are_added_in_the_order_of_the_policy() {
    let policy = policy();
    let [one, two, three] = [1, 2, 3].map(|number| line(number, &checkpoint()));
    let with = |lines: &[&Vec<u8>]| {
        policy.with_witness_lines(&signed(2), lines.iter().map(|line| line.as_slice()))
    };
    let none = with(&[]);
    assert_eq!((&none.checkpoint, none.is_witnessed), (&signed(2), false));
    assert_eq!(names(&none.missing), ["w1", "w2", "w3"]);
    let all = with(&[&three, &one, &two]);
    assert!(all.is_witnessed && all.missing.is_empty());
    assert!(policy.verify_checkpoint_strict(&all.checkpoint).is_ok());
    let both = with(&[&two, &one]);
    assert_eq!((names(&both.missing), both.is_witnessed), (vec!["w3".to_owned()], true));
    assert!(policy.verify_checkpoint_strict(&both.checkpoint).is_ok());
    let again = policy.with_witness_lines(&both.checkpoint, [one.as_slice(), two.as_slice()]);
    assert_eq!(again, both, "a line that is there is not added again");
}

#[test]
fn a_line_that_is_not_of_the_checkpoint_is_left_out() {
    let policy = policy();
    let other = Checkpoint::new(&origin(), 1, empty_root());
    let (of_other, by_stranger) = (line(1, &other), line(4, &checkpoint()));
    let good = line(2, &checkpoint());
    let lines = [of_other.as_slice(), by_stranger.as_slice(), b"no line", good.as_slice()];
    let witnessed = policy.with_witness_lines(&signed(2), lines);
    assert_eq!(
        (names(&witnessed.missing), witnessed.is_witnessed),
        (vec!["w1".to_owned(), "w3".to_owned()], false)
    );
    assert!(policy.verify_checkpoint_by_authorities(&witnessed.checkpoint).is_ok());
}
