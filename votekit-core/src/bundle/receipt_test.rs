use super::*;
use crate::bundle::MemorySource;
use crate::bundle::sample::{Sample, authority_keys};
use crate::decision::Decision;

/// The sample, its bundle, and the index of its first accepted vote.
fn sample() -> (Sample, MemorySource, usize) {
    let sample = Sample::certified();
    let is_accepted = |leaf: &Leaf| match leaf {
        Leaf::Entry(entry) => matches!(entry.decision, Decision::Accepted { .. }),
        _ => false,
    };
    let place = sample.parsed().iter().position(is_accepted).expect("an accepted vote");
    let bundle = sample.bundle();
    (sample, bundle, place)
}

fn policy() -> Pin {
    Pin::Policy(authority_keys(11).policy().as_bytes().to_vec())
}

fn fingerprint() -> Pin {
    Pin::Fingerprint(authority_keys(11).policy().fingerprint())
}

/// The verdict without its content.
fn verdict(receipt: &[u8], bundle: Option<&dyn Source>, pin: Option<&Pin>) -> Verdict {
    check_receipt(receipt, bundle, pin).expect("readable").verdict()
}

/// The fault of a receipt that is wrong.
fn fault(receipt: &str, bundle: Option<&dyn Source>, pin: &Pin) -> ReceiptFault {
    match check_receipt(receipt.as_bytes(), bundle, Some(pin)).expect("readable") {
        ReceiptVerdict::Failed(fault) => fault,
        other => panic!("{other:?}"),
    }
}

/// Why a receipt cannot be checked.
fn error(receipt: &str, bundle: Option<&dyn Source>, pin: Option<&Pin>) -> ReceiptError {
    check_receipt(receipt.as_bytes(), bundle, pin).expect_err("cannot be checked")
}

#[test]
fn a_receipt_is_proven_only_under_a_pin() {
    let (sample, bundle, place) = sample();
    let receipt = sample.receipt(place).to_string();
    let (receipt, bundle) = (receipt.as_bytes(), Some(&bundle as &dyn Source));
    assert_eq!(verdict(receipt, None, Some(&policy())), Verdict::Proven);
    assert_eq!(verdict(receipt, bundle, Some(&policy())), Verdict::Proven);
    assert_eq!(verdict(receipt, bundle, Some(&fingerprint())), Verdict::Proven);
    assert_eq!(verdict(receipt, bundle, None), Verdict::Consistent);

    let checked = check_receipt(receipt, bundle, Some(&policy())).expect("readable");
    let ReceiptVerdict::Proven(recorded) = checked else { panic!("proven above") };
    assert!(matches!(recorded.entry.decision, Decision::Accepted { .. }) && recorded.in_bundle);
    assert_eq!(recorded.inclusion.index, place as u64);
}

#[test]
fn a_receipt_that_is_wrong_fails_with_its_fault() {
    let (sample, bundle, place) = sample();
    let receipt = sample.receipt(place).to_string();
    let stranger = authority_keys(31).policy();
    let pin = Pin::Policy(stranger.as_bytes().to_vec());
    assert!(matches!(fault(&receipt, None, &pin), ReceiptFault::Proof(_)));
    let pin = Pin::Fingerprint(stranger.fingerprint());
    assert_eq!(fault(&receipt, Some(&bundle), &pin), ReceiptFault::PolicyPinned);
    let of_draft = sample.receipt(0).to_string();
    assert_eq!(fault(&of_draft, None, &policy()), ReceiptFault::NoDecision);

    let cut = sample.bundle_of(&sample.leaves[..place], &authority_keys(11));
    let ReceiptFault::Bundle(failures) = fault(&receipt, Some(&cut), &policy()) else {
        panic!("the bundle ends before the decision")
    };
    assert_eq!(failures.list()[0].rule, Rule::Root);
}

/// Signatures that such a policy accepts are no majority of any authorities.
#[test]
fn a_policy_without_a_majority_of_authorities_proves_nothing() {
    let (sample, bundle, place) = sample();
    let receipt = sample.receipt(place).to_string();
    let whole = String::from_utf8(authority_keys(11).policy().as_bytes().to_vec()).expect("ASCII");
    let groupless: String = whole
        .lines()
        .filter(|line| !line.starts_with("group "))
        .map(|line| format!("{line}\n"))
        .collect();
    for changed in
        [groupless.replace("quorum authorities", "quorum none"), format!("{whole}# a comment\n")]
    {
        assert_ne!(changed, whole);
        let pin = Pin::Policy(changed.into_bytes());
        let found = fault(&receipt, None, &pin);
        assert!(matches!(found, ReceiptFault::PolicyForm { .. }), "{found:?}");
        assert!(matches!(fault(&receipt, Some(&bundle), &pin), ReceiptFault::PolicyForm { .. }));
    }
}

#[test]
fn uncheckable_receipts_are_errors() {
    let (sample, bundle, place) = sample();
    let receipt = sample.receipt(place).to_string();
    assert!(matches!(error("no proof", None, Some(&policy())), ReceiptError::Form(_)));
    assert!(matches!(error(&receipt, None, None), ReceiptError::NoPolicy));
    assert!(matches!(error(&receipt, None, Some(&fingerprint())), ReceiptError::NoPolicy));
    let bad = Pin::Policy(b"no policy".to_vec());
    assert!(matches!(error(&receipt, None, Some(&bad)), ReceiptError::Policy(_)));
    let mut without = bundle;
    without.remove(file::POLICY);
    let ReceiptError::Read(unread) = error(&receipt, Some(&without), None) else {
        panic!("there is no policy to read")
    };
    assert_eq!(unread.file, file::POLICY);
}
