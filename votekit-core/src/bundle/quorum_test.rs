//! Bundles under several authorities, with and without outside witnesses.

use super::*;
use crate::authority::sample::{SampleAuthority, authority_set};
use crate::bundle::sample::checkpoint_by;
use crate::bundle::{ReceiptVerdict, check_receipt};
use crate::instant::UnixSeconds;
use crate::log::checkpoint::{Cosigner, SignedCheckpoint};
use crate::log::policy::{Authority, Policy, Witness};
use crate::log::proof::Proof;

/// Bundles under one policy, each with its name and the rule it breaks.
type Cases = Vec<(String, MemorySource, Option<Rule>)>;

/// The policy of the sample under the authorities 1 to `count`.
fn policy(count: u8, quorum: usize) -> Policy {
    authority_set(count, quorum).policy(&sample::law_id(), false).expect("distinct key ids")
}

/// An outside witness, by number.
fn cosigner(number: u8) -> Cosigner {
    let name = format!("witness.example/w{number}").parse().expect("a key name");
    Cosigner::from_seed(name, &[200 + number; 32])
}

/// Three of four authorities, and one of two outside witnesses.
fn witnessed() -> Policy {
    let authorities: Vec<Authority> = (1..=4)
        .map(|number| {
            let authority = SampleAuthority::new(number);
            Authority {
                name: authority.name(),
                log_key: authority.log_key(&sample::law_id(), false).verifier().clone(),
                cosigner_key: authority.cosigner().verifier().clone(),
            }
        })
        .collect();
    let witness = |number: u8, url: Option<&str>| Witness {
        name: format!("w{number}").parse().expect("a name"),
        key: cosigner(number).verifier().clone(),
        url: url.map(|url| url.as_bytes().to_vec()),
    };
    let witnesses = [witness(1, Some("https://witness.example/")), witness(2, None)];
    Policy::for_election_with_witnesses(&authorities, 3, &witnesses, 1).expect("distinct keys")
}

/// The checkpoint cosigned by these authorities, then by these outside witnesses.
fn witnessed_checkpoint(leaves: &[Vec<u8>], own: &[u8], outside: &[u8]) -> SignedCheckpoint {
    let by_authorities = checkpoint_by(1, own, leaves);
    let checkpoint = by_authorities.unverified().clone();
    let signatures = by_authorities.note().signatures();
    let at = UnixSeconds(60 * (CLOSES.0 + 63));
    let by_witnesses = outside
        .iter()
        .map(|number| cosigner(*number).cosign(&checkpoint, at).expect("a time"))
        .collect::<Vec<_>>();
    let cosignatures = signatures[1..].iter().cloned().chain(by_witnesses);
    SignedCheckpoint::new(checkpoint, signatures[0].clone(), cosignatures).expect("few signatures")
}

/// Bundles for which both verifiers must give the same verdict, by the pinned policy.
pub(super) fn cases() -> Vec<(Policy, Cases)> {
    let sample = Sample::certified();
    let refused = Some(Rule::Checkpoint);
    let mut all = Vec::new();
    let under = |policy: Policy, checkpoints: Vec<(String, SignedCheckpoint, Option<Rule>)>| {
        let cases: Cases = checkpoints
            .into_iter()
            .map(|(name, checkpoint, rule)| {
                (name, sample.bundle_under(&sample.leaves, &policy, &checkpoint), rule)
            })
            .collect();
        (policy, cases)
    };

    let signed = |signer: u8, cosigners: &[u8]| checkpoint_by(signer, cosigners, &sample.leaves);
    let mut of_four = vec![
        ("log signature of the second".to_owned(), signed(2, &[1, 3, 4]), None),
        ("cosignatures in another order".to_owned(), signed(1, &[4, 2, 1]), None),
        ("log signature of a fifth".to_owned(), signed(5, &[1, 2, 3, 4]), refused),
        ("cosignature of a fifth".to_owned(), signed(1, &[1, 2, 5]), refused),
        ("one authority twice".to_owned(), signed(1, &[1, 2, 2]), refused),
    ];
    for bits in 0..16u8 {
        let cosigners: Vec<u8> = (1..=4).filter(|number| bits >> (number - 1) & 1 == 1).collect();
        let rule = if cosigners.len() >= 3 { None } else { refused };
        of_four.push((format!("cosigned by {cosigners:?}"), signed(1, &cosigners), rule));
    }
    all.push(under(policy(4, 3), of_four));
    all.push(under(
        policy(4, 4),
        vec![
            ("all four".to_owned(), signed(1, &[1, 2, 3, 4]), None),
            ("three where four are asked".to_owned(), signed(1, &[1, 2, 3]), refused),
        ],
    ));
    let with = |own: &[u8], outside: &[u8]| witnessed_checkpoint(&sample.leaves, own, outside);
    all.push(under(
        witnessed(),
        vec![
            ("a witness".to_owned(), with(&[1, 2, 3], &[2]), None),
            ("all".to_owned(), with(&[1, 2, 3, 4], &[1, 2]), None),
            ("no witness".to_owned(), with(&[1, 2, 3, 4], &[]), refused),
            ("a witness for an authority".to_owned(), with(&[1, 2], &[1, 2]), refused),
        ],
    ));
    all.push((witnessed(), waived(&sample)));
    let text = String::from_utf8(policy(4, 3).as_bytes().to_vec()).expect("ASCII");
    for (quorum, bad) in [("2", "a minority"), ("any", "a word")] {
        let text = text.replace("group authorities 3 ", &format!("group authorities {quorum} "));
        let policy = Policy::parse(text.as_bytes()).expect("a policy, if of no election");
        let rule = Some(Rule::PolicyForm);
        all.push(under(policy, vec![(bad.to_owned(), signed(1, &[1, 2, 3, 4]), rule)]));
    }
    all
}

/// The sample, certified with a waiver of the outside witnesses.
fn with_waiver(sample: &Sample, reason: &str) -> Vec<Vec<u8>> {
    edited(sample, |leaves| {
        for leaf in leaves {
            if let Leaf::Election(ElectionEvent::Certified { witness_waiver, .. }) = leaf {
                *witness_waiver = Some(reason.to_owned());
            }
        }
    })
}

/// Bundles of a log that waives its outside witnesses.
fn waived(sample: &Sample) -> Cases {
    let leaves = with_waiver(sample, "witnesses cannot be reached");
    let bundle = |leaves: &[Vec<u8>], own: &[u8], outside: &[u8]| {
        let checkpoint = witnessed_checkpoint(leaves, own, outside);
        sample.bundle_under(leaves, &witnessed(), &checkpoint)
    };
    let refused = Some(Rule::Checkpoint);
    let empty = with_waiver(sample, "");
    vec![
        ("waived, no witness".to_owned(), bundle(&leaves, &[1, 2, 3], &[]), None),
        ("waived, a witness".to_owned(), bundle(&leaves, &[1, 2, 3], &[1]), None),
        ("waived, too few authorities".to_owned(), bundle(&leaves, &[1, 2], &[1]), refused),
        ("an empty waiver".to_owned(), bundle(&empty, &[1, 2, 3], &[1]), Some(Rule::State)),
    ]
}

#[test]
fn a_waiver_in_the_log_stands_in_for_outside_witnesses() {
    let sample = Sample::certified();
    let pin = || Some(Pin::Policy(witnessed().as_bytes().to_vec()));
    let verified = |bundle: &MemorySource| {
        let options = Options { pin: pin(), ..Options::default() };
        verify(bundle, &options).expect("memory reads")
    };
    let cases = waived(&sample);
    let unwitnessed = verified(&cases[0].1);
    assert!(unwitnessed.is_proven() && !unwitnessed.is_witnessed);
    assert_eq!(unwitnessed.witness_waiver.as_deref(), Some("witnesses cannot be reached"));
    let with_witness = verified(&cases[1].1);
    assert!(with_witness.is_proven() && with_witness.is_witnessed);
    let checkpoint = witnessed_checkpoint(&sample.leaves, &[1, 2, 3], &[]);
    let missing = verified(&sample.bundle_under(&sample.leaves, &witnessed(), &checkpoint));
    assert_eq!((missing.is_proven(), missing.witness_waiver.as_deref()), (false, None));
    assert!(missing.failures.list()[0].found.contains("fewer than 1 of the outside witnesses"));
}

#[test]
fn a_quorum_of_authorities_and_of_witnesses_proves_a_bundle() {
    for (policy, cases) in cases() {
        let pin = || Some(Pin::Policy(policy.as_bytes().to_vec()));
        for (name, bundle, rule) in cases {
            let options = Options { pin: pin(), ..Options::default() };
            let verification = verify(&bundle, &options).expect("memory reads");
            assert_eq!(rules(&verification), rule.into_iter().collect(), "{name}");
            assert_eq!(verification.is_proven(), rule.is_none(), "{name}");
        }
    }
}

#[test]
fn an_outside_witness_leads_no_block() {
    let sample = Sample::certified();
    let policy = witnessed();
    let bundle = |leader: &str| {
        let leaves = edited(&sample, |leaves| {
            for leaf in leaves {
                if let Leaf::Block(block) = leaf {
                    block.leader = leader.to_owned();
                }
            }
        });
        let checkpoint = witnessed_checkpoint(&leaves, &[1, 2, 3], &[1]);
        sample.bundle_under(&leaves, &policy, &checkpoint)
    };
    let pinned =
        || Options { pin: Some(Pin::Policy(policy.as_bytes().to_vec())), ..Options::default() };
    for (leader, broken) in
        [("authority-4", false), ("w1", true), ("authority-5", true), ("authorities", true)]
    {
        let verification = verify(&bundle(leader), &pinned()).expect("memory reads");
        assert_eq!(rules(&verification).contains(&Rule::BlockLeader), broken, "{leader}");
    }
}

#[test]
fn a_receipt_needs_the_quorum_too() {
    let sample = Sample::certified();
    let place = find(&sample.parsed(), is_accepted);
    let of_one = sample.receipt(place);
    let pin = Pin::Policy(policy(4, 3).as_bytes().to_vec());
    let receipt = |cosigners: &[u8]| {
        let checkpoint = checkpoint_by(3, cosigners, &sample.leaves);
        Proof::new(of_one.extra(), of_one.index(), of_one.path().to_vec(), checkpoint).to_string()
    };
    let verdict = |cosigners: &[u8]| {
        let receipt = receipt(cosigners);
        check_receipt(receipt.as_bytes(), None, Some(&pin)).expect("readable")
    };
    assert!(matches!(verdict(&[1, 3, 4]), ReceiptVerdict::Proven(_)));
    assert!(matches!(verdict(&[1, 3]), ReceiptVerdict::Failed(_)));
    // Outside witnesses see no receipt.
    let outside = Pin::Policy(witnessed().as_bytes().to_vec());
    let of_three = check_receipt(receipt(&[1, 3, 4]).as_bytes(), None, Some(&outside));
    assert!(matches!(of_three, Ok(ReceiptVerdict::Proven(_))));
    assert!(
        check_receipt(of_one.to_string().as_bytes(), None, Some(&pin))
            .is_ok_and(|verdict| verdict.verdict() == Verdict::Failed)
    );
}
