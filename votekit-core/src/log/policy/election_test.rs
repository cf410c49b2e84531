use super::*;
use crate::log::checkpoint::Cosigner;
use crate::log::policy::PolicyName;
use crate::log::samples::{authorities, origin};

fn public(count: u8) -> Vec<Authority> {
    authorities(count).into_iter().map(|authority| authority.public).collect()
}

/// An outside witness, by number, whose key has another name than itself.
fn witness(number: u8) -> Witness {
    let key = "witness.example".parse().expect("a key name");
    Witness {
        name: format!("w{number}").parse().expect("a name"),
        key: Cosigner::from_seed(key, &[0x40 | number; 32]).verifier().clone(),
        url: None,
    }
}

fn refused(made: Result<Policy, PolicyError>) -> (usize, PolicyRule) {
    match made {
        Err(PolicyError::Malformed { line, rule }) => (line, rule),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_quorum_is_a_majority_or_more() {
    for count in 1..=5u8 {
        let authorities = public(count);
        let members = authorities.len();
        let least = members / 2 + 1;
        for quorum in 0..=members + 1 {
            let made = Policy::for_election(&authorities, quorum);
            if (least..=members).contains(&quorum) {
                let policy = made.expect("a majority or more");
                assert!(policy.is_of_election(origin().as_str()), "{quorum} of {count}");
                assert_eq!(policy.groups()[0].threshold, quorum);
                assert_eq!(policy.authorities(), policy.witnesses().iter().collect::<Vec<_>>());
                for bits in 0..1u32 << count {
                    let cosigned: Vec<bool> =
                        (0..count).map(|index| bits >> index & 1 == 1).collect();
                    assert_eq!(policy.is_quorum(&cosigned), bits.count_ones() as usize >= quorum);
                }
            } else {
                let rule = if (1..=members).contains(&quorum) {
                    PolicyRule::Majority { least }
                } else {
                    PolicyRule::Threshold { members }
                };
                assert_eq!(refused(made), (2 * members + 1, rule), "{quorum} of {count}");
            }
        }
    }
}

#[test]
fn the_policy_with_outside_witnesses_has_exactly_these_bytes() {
    let authorities = public(3);
    let witnesses =
        [witness(1), Witness { url: Some(b"https://witness.example/".to_vec()), ..witness(2) }];
    let made = Policy::for_election_with_witnesses(&authorities, 2, &witnesses, 1);
    let policy = made.expect("distinct keys");
    let [a, b, c] = [0, 1, 2].map(|index: usize| &authorities[index]);
    let expected = format!(
        "log {}\nlog {}\nlog {}\nwitness a1 {}\nwitness a2 {}\nwitness a3 {}\nwitness w1 {}\n\
         witness w2 {} https://witness.example/\ngroup authorities 2 a1 a2 a3\n\
         group witnesses 1 w1 w2\ngroup both all authorities witnesses\nquorum both\n",
        a.log_key,
        b.log_key,
        c.log_key,
        a.cosigner_key,
        b.cosigner_key,
        c.cosigner_key,
        witnesses[0].key,
        witnesses[1].key,
    );
    assert_eq!(String::from_utf8_lossy(policy.as_bytes()), expected);
    assert!(policy.is_of_election(origin().as_str()));
    assert!(!policy.is_of_election("example.org/vote/L2025-001"));
    let names: Vec<String> = policy.authorities().iter().map(|one| one.name.to_string()).collect();
    assert_eq!(names, ["a1", "a2", "a3"]);
    for bits in 0..32u32 {
        let cosigned: Vec<bool> = (0..5).map(|index| bits >> index & 1 == 1).collect();
        let is_quorum = (bits & 7).count_ones() >= 2 && bits >> 3 != 0;
        assert_eq!(policy.is_quorum(&cosigned), is_quorum, "{bits:05b}");
    }
    for (from, to) in [
        // A minority; a quorum that leaves one group out; other names, orders and forms.
        ("authorities 2 ", "authorities 1 "),
        ("quorum both", "quorum authorities"),
        ("quorum both", "quorum witnesses"),
        ("both all", "both any"),
        ("both all", "both 2"),
        ("witnesses 1 ", "witnesses any "),
        ("authorities witnesses", "witnesses authorities"),
        ("group witnesses 1 w1 w2", "group witnesses 1 w2 w1"),
        ("group both", "#\ngroup both"),
    ] {
        assert!(expected.contains(from), "{from}");
        let changed = Policy::parse(expected.replace(from, to).as_bytes()).expect("a policy");
        assert!(!changed.is_of_election(origin().as_str()), "{from} -> {to}");
    }
}

#[test]
fn outside_witnesses_that_cannot_be_are_refused_by_line_and_rule() {
    let authorities = public(3);
    let made = |witnesses: &[Witness], quorum| {
        Policy::for_election_with_witnesses(&authorities, 2, witnesses, quorum)
    };
    assert_eq!(made(&[], 0), Policy::for_election(&authorities, 2));
    assert_eq!(refused(made(&[], 1)), (8, PolicyRule::Threshold { members: 0 }));
    for quorum in [0, 3] {
        let threshold = PolicyRule::Threshold { members: 2 };
        assert_eq!(refused(made(&[witness(1), witness(2)], quorum)), (10, threshold));
    }
    assert_eq!(refused(made(&[witness(1), witness(1)], 1)), (8, PolicyRule::DuplicateKey));
    for url in ["", "a b", "a\nquorum none", "caf\u{e9}"] {
        let witness = Witness { url: Some(url.as_bytes().to_vec()), ..witness(2) };
        assert_eq!(refused(made(&[self::witness(1), witness], 1)), (8, PolicyRule::WitnessForm));
    }
    let named = |name: &str| Witness { name: name.parse().expect("a name"), ..witness(1) };
    assert_eq!(refused(made(&[named("w+1")], 1)), (7, PolicyRule::WitnessForm));
    for (name, line) in [("a1", 7), ("authorities", 8), ("witnesses", 9), ("both", 10)] {
        let rule = PolicyRule::DuplicateName(name.parse().expect("a name"));
        assert_eq!(refused(made(&[named(name)], 1)), (line, rule), "{name}");
    }
    let log = Cosigner::from_seed("w".parse().expect("a key name"), &[2; 32]);
    let shared = Witness { key: log.verifier().clone(), ..witness(1) };
    assert_eq!(refused(made(&[shared], 1)), (7, PolicyRule::SharedKey));
}

#[test]
fn names_in_a_policy_hold_no_white_space() {
    assert_eq!("w1".parse::<PolicyName>().map(|name| name.to_string()), Ok("w1".to_owned()));
    for bad in ["", " ", "a b", "a\n", "a\tb", "\u{7f}"] {
        assert!(bad.parse::<PolicyName>().is_err(), "{bad:?}");
    }
}
