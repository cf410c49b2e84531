use proptest::prelude::*;

use super::*;
use crate::instant::UnixSeconds;
use crate::log::checkpoint::{Checkpoint, Cosigner, SignedCheckpoint};
use crate::log::merkle::leaf_hash;
use crate::log::note::{NoteError, SigningKey};
use crate::log::samples::{authorities, authority, origin, policy, signed};

fn witness_key(number: u8) -> String {
    Cosigner::from_seed("witness".parse().expect("a name"), &[number; 32]).verifier().to_string()
}

fn log_key(number: u8) -> String {
    SigningKey::from_seed("log".parse().expect("a name"), &[number; 32]).verifier().to_string()
}

fn rule_at(text: &str) -> (usize, PolicyRule) {
    match Policy::parse(text.as_bytes()) {
        Err(PolicyError::Malformed { line, rule }) => (line, rule),
        other => panic!("{text:?} gives {other:?}"),
    }
}

fn name(text: &str) -> PolicyName {
    PolicyName(text.as_bytes().to_vec())
}

/// The example of tlog-policy, with keys filled in.
#[test]
fn the_example_of_the_specification() {
    let key = witness_key;
    let text = format!(
        "log {}\n\nwitness X1 {}\nwitness X2 {}\nwitness X3 {}\ngroup X-witnesses 2 X1 X2 X3\n\nwitness Y1 {}\nwitness Y2 {}\n\
         witness Y3 {}\ngroup Y-witnesses any Y1 Y2 Y3\n\ngroup X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n",
        log_key(1),
        key(1),
        key(2),
        key(3),
        key(4),
        key(5),
        key(6),
    );
    let policy = Policy::parse(text.as_bytes()).expect("a policy");
    assert_eq!(policy.as_bytes(), text.as_bytes());
    assert_eq!((policy.logs().len(), policy.witnesses().len(), policy.groups().len()), (1, 6, 3));
    for bits in 0..64u32 {
        let cosigned: Vec<bool> = (0..6).map(|index| bits >> index & 1 == 1).collect();
        let x = cosigned[..3].iter().filter(|one| **one).count();
        let y = cosigned[3..].iter().filter(|one| **one).count();
        assert_eq!(policy.is_quorum(&cosigned), x >= 2 && y >= 1, "{bits:06b}");
    }
    assert!(!policy.is_quorum(&[]));
}

#[test]
fn white_space_comments_and_opaque_names() {
    let text =
        format!(" \t\n#\n \t# quorum nobody\nlog\t {} \t https://example.org/a b\n", log_key(1));
    assert_eq!(rule_at(&text).1, PolicyRule::LogForm);
    let mut bytes = format!(
        " \t\n#\n \t# caf\u{e9}\n\tlog\t {} \t https://example.org/# \nwitness ",
        log_key(1)
    )
    .into_bytes();
    bytes.extend_from_slice(b"\xff\xfe ");
    bytes.extend_from_slice(format!("{} x\nquorum  ", witness_key(1)).as_bytes());
    bytes.extend_from_slice(b"\xff\xfe \n# after\n");
    let policy = Policy::parse(&bytes).expect("a policy");
    assert_eq!(policy.logs()[0].url.as_deref(), Some(&b"https://example.org/#"[..]));
    assert_eq!(policy.witnesses()[0].name.as_bytes(), b"\xff\xfe");
    assert_eq!(policy.quorum(), Some(Member::Witness(0)));
    assert!(!policy.is_of_election("log"));
    // A Kelvin sign is not a K.
    let kelvin = format!("witness \u{212a} {}\nquorum K\n", witness_key(1));
    assert_eq!(rule_at(&kelvin), (2, PolicyRule::UndefinedName(name("K"))));
}

#[test]
fn each_rule_is_enforced() {
    let (log, witness, other) = (log_key(1), witness_key(1), witness_key(2));
    let cases = [
        ("quorum none".to_owned(), 1, PolicyRule::LineEnd),
        ("quorum none\r\n".to_owned(), 1, PolicyRule::ControlCharacter),
        ("quorum none\n#\x7f\n".to_owned(), 2, PolicyRule::ControlCharacter),
        ("quorum none\n#\0\n".to_owned(), 2, PolicyRule::ControlCharacter),
        ("Quorum none\n".to_owned(), 1, PolicyRule::Keyword),
        ("quorum\u{a0}none\n".to_owned(), 1, PolicyRule::Keyword),
        ("log\n".to_owned(), 1, PolicyRule::LogForm),
        ("witness a\n".to_owned(), 1, PolicyRule::WitnessForm),
        (format!("witness a {witness} url more\n"), 1, PolicyRule::WitnessForm),
        ("quorum\n".to_owned(), 1, PolicyRule::QuorumForm),
        ("quorum none none\n".to_owned(), 1, PolicyRule::QuorumForm),
        ("quorum none # why\n".to_owned(), 1, PolicyRule::QuorumForm),
        ("quorum none\nquorum none\n".to_owned(), 2, PolicyRule::SecondQuorum),
        ("quorum a\n".to_owned(), 1, PolicyRule::UndefinedName(name("a"))),
        (format!("quorum a\nwitness a {witness}\n"), 1, PolicyRule::UndefinedName(name("a"))),
        ("log a+b\n".to_owned(), 1, PolicyRule::Key(crate::log::note::KeyError::Form)),
        (format!("log {witness}\n"), 1, kind_rule(LOG_KIND, WITNESS_KIND)),
        (format!("witness a {log}\n"), 1, kind_rule(WITNESS_KIND, LOG_KIND)),
        (format!("log {log}\nlog {log} url\n"), 2, PolicyRule::DuplicateKey),
        (format!("witness a {witness}\nwitness b {witness}\n"), 2, PolicyRule::DuplicateKey),
        (
            format!("witness a {witness}\nwitness a {other}\n"),
            2,
            PolicyRule::DuplicateName(name("a")),
        ),
        (format!("witness a {witness}\ngroup a any a\n"), 2, PolicyRule::DuplicateName(name("a"))),
        (format!("witness none {witness}\n"), 1, PolicyRule::ReservedName),
        (format!("witness a {witness}\ngroup none any a\n"), 2, PolicyRule::ReservedName),
        (format!("witness a {witness}\ngroup g any none\n"), 2, PolicyRule::ReservedName),
        ("group g any g\n".to_owned(), 1, PolicyRule::UndefinedName(name("g"))),
        (format!("witness a {witness}\ngroup g any\n"), 2, PolicyRule::GroupForm),
        ("group g\n".to_owned(), 1, PolicyRule::GroupForm),
        (format!("witness a {witness}\ngroup g 0 a\n"), 2, PolicyRule::Threshold { members: 1 }),
        (format!("witness a {witness}\ngroup g 2 a\n"), 2, PolicyRule::Threshold { members: 1 }),
        (format!("witness a {witness}\ngroup g 01 a\n"), 2, PolicyRule::Threshold { members: 1 }),
        (format!("witness a {witness}\ngroup g most a\n"), 2, PolicyRule::Threshold { members: 1 }),
        (
            format!("witness a {witness}\ngroup g any a a\n"),
            2,
            PolicyRule::SecondMembership(name("a")),
        ),
        (
            format!("witness a {witness}\ngroup g any a\ngroup h any a\n"),
            3,
            PolicyRule::SecondMembership(name("a")),
        ),
    ];
    for (text, line, rule) in cases {
        assert_eq!(rule_at(&text), (line, rule), "{text:?}");
    }
    assert_eq!(Policy::parse(b""), Err(PolicyError::NoQuorum));
    assert_eq!(Policy::parse(b"# quorum none\n"), Err(PolicyError::NoQuorum));
    let long = vec![b'\n'; Policy::BYTES_MAX + 1];
    assert_eq!(
        Policy::parse(&long),
        Err(PolicyError::TooLong { length: long.len(), max: Policy::BYTES_MAX })
    );
    let mut not_text = b"log a+".to_vec();
    not_text.extend_from_slice(b"\xff\n");
    assert_eq!(
        Policy::parse(&not_text),
        Err(PolicyError::Malformed { line: 1, rule: PolicyRule::KeyText })
    );
}

fn kind_rule(expected: crate::log::note::KeyKind, found: crate::log::note::KeyKind) -> PolicyRule {
    PolicyRule::KeyKind { expected, found }
}

#[test]
fn thirty_two_of_each_are_accepted() {
    let mut text = String::new();
    for number in 1..=32 {
        text += &format!(
            "log {}\nwitness w{number} {}\ngroup g{number} all w{number}\n",
            log_key(number),
            witness_key(number)
        );
    }
    text += "quorum g32\n";
    assert!(Policy::parse(text.as_bytes()).is_ok());
    // Deeply nested groups are evaluated without recursion.
    let mut tower = format!("witness w {}\ngroup g0 any w\n", witness_key(1));
    for level in 1..Policy::ENTRIES_MAX {
        tower += &format!("group g{level} any g{}\n", level - 1);
    }
    let top = Policy::parse(format!("{tower}quorum g255\n").as_bytes()).expect("a policy");
    assert!(top.is_quorum(&[true]) && !top.is_quorum(&[false]));
    assert_eq!(rule_at(&format!("{tower}group more any g255\n")), (258, PolicyRule::TooMany));
}

#[test]
fn the_policy_of_an_election_has_exactly_these_bytes() {
    let authorities = authorities(3);
    let policy = policy(&authorities);
    let [a, b, c] = [0, 1, 2].map(|index| &authorities[index].public);
    let expected = format!(
        "log {}\nlog {}\nlog {}\nwitness a1 {}\nwitness a2 {}\nwitness a3 {}\ngroup authorities 2 a1 a2 a3\nquorum authorities\n",
        a.log_key, b.log_key, c.log_key, a.cosigner_key, b.cosigner_key, c.cosigner_key
    );
    assert_eq!(policy.as_bytes(), expected.as_bytes());
    assert_eq!(policy.fingerprint(), Digest::compute(expected.as_bytes()));
    assert!(policy.is_of_election(origin().as_str()));
    assert!(!policy.is_of_election("example.org/vote/L2025-001"));
    let commented = Policy::parse(format!("{expected}#\n").as_bytes()).expect("a policy");
    assert!(!commented.is_of_election(origin().as_str()));
    let fewer = Policy::parse(expected.replace("authorities 2", "authorities 1").as_bytes())
        .expect("a policy");
    assert!(!fewer.is_of_election(origin().as_str()));
    let no_log = expected.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>();
    assert!(!Policy::parse(no_log.as_bytes()).expect("a policy").is_of_election(origin().as_str()));
    assert!(!Policy::parse(b"quorum none\n").expect("a policy").is_of_election(origin().as_str()));
}

#[test]
fn a_cosigner_key_that_is_not_named_after_its_authority_makes_no_policy_of_an_election() {
    let [first, second] = [1, 2].map(|number| authority(number).public);
    let exchanged = [
        Authority { name: second.name.clone(), ..first.clone() },
        Authority { name: first.name, ..second },
    ];
    let policy = Policy::for_election(&exchanged, 2).expect("two authorities");
    assert!(!policy.is_of_election(origin().as_str()));
}

#[test]
fn impossible_elections_have_no_policy() {
    let one = authority(1).public;
    let mut namesake = authority(2).public;
    namesake.name = one.name.clone();
    let mut reserved = one.clone();
    reserved.name = "authorities".parse().expect("a name");
    let mut swapped = one.clone();
    std::mem::swap(&mut swapped.log_key, &mut swapped.cosigner_key);
    let mut elsewhere = authority(2).public;
    elsewhere.log_key =
        SigningKey::from_seed("example.org/other".parse().expect("a name"), &[2; 32])
            .verifier()
            .clone();
    let mut shared = authority(2).public;
    shared.cosigner_key =
        Cosigner::from_seed("a".parse().expect("a name"), &[1; 32]).verifier().clone();
    let made =
        |authorities: &[Authority]| Policy::for_election(authorities, authorities.len() / 2 + 1);
    let refused = |authorities: &[Authority]| match made(authorities) {
        Err(PolicyError::Malformed { line, rule }) => (line, rule),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&[one.clone(), elsewhere]), (2, PolicyRule::SecondOrigin));
    assert_eq!(refused(&[one.clone(), shared]), (4, PolicyRule::SharedKey));
    for bad in
        [vec![], vec![one.clone(), one.clone()], vec![one, namesake], vec![reserved], vec![swapped]]
    {
        assert!(made(&bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_majority_of_authorities_makes_a_checkpoint_count() {
    let checkpoint = Checkpoint::new(&origin(), 1, leaf_hash(b"leaf"));
    for count in 1..=5u8 {
        let authorities = authorities(count);
        let policy = policy(&authorities);
        for bits in 0..1u32 << count {
            let cosigners: Vec<usize> =
                (0..usize::from(count)).filter(|index| bits >> index & 1 == 1).collect();
            let bytes = signed(&checkpoint, &authorities, &cosigners).to_string().into_bytes();
            let enough = 2 * cosigners.len() > usize::from(count);
            for verified in [policy.verify(&bytes), policy.verify_strict(&bytes)] {
                match verified {
                    Ok(verified) => {
                        assert!(enough);
                        assert_eq!(verified.checkpoint(), &checkpoint);
                        let names: Vec<_> = verified
                            .cosignatures()
                            .iter()
                            .map(|one| one.witness.to_string())
                            .collect();
                        assert_eq!(
                            names,
                            cosigners
                                .iter()
                                .map(|index| format!("a{}", index + 1))
                                .collect::<Vec<_>>()
                        );
                        assert!(
                            verified
                                .cosignatures()
                                .iter()
                                .all(|one| one.at == UnixSeconds(1_763_700_000))
                        );
                    }
                    Err(error) => {
                        assert!(!enough);
                        assert_eq!(error, VerifyError::NoQuorum { cosigned: cosigners.len() });
                    }
                }
            }
        }
    }
}

#[test]
fn cosignatures_alone_are_not_enough() {
    let checkpoint = Checkpoint::new(&origin(), 1, leaf_hash(b"leaf"));
    let authorities = authorities(1);
    let cosign =
        || authorities[0].cosigner.cosign(&checkpoint, UnixSeconds(1)).expect("an honest time");
    let no_log = VerifyError::NoLog { origin: origin().as_str().to_owned() };
    // No log signature; one by an unknown key of the log's name; one by a log of the policy for
    // another origin.
    let alone = SignedCheckpoint::new(checkpoint.clone(), cosign(), []).expect("a checkpoint");
    assert_eq!(policy(&authorities).verify_checkpoint(&alone), Err(no_log.clone()));
    let stranger = signed(&checkpoint, &[authority(9)], &[0]);
    assert_eq!(policy(&authorities).verify_checkpoint(&stranger), Err(no_log));
    let elsewhere =
        Checkpoint::new(&"example.org/other".parse().expect("a name"), 1, leaf_hash(b"leaf"));
    let log_line = authorities[0].log_key.sign(&elsewhere.text());
    let cosigned =
        authorities[0].cosigner.cosign(&elsewhere, UnixSeconds(1)).expect("an honest time");
    let foreign = SignedCheckpoint::new(elsewhere, log_line, [cosigned]).expect("a checkpoint");
    assert_eq!(
        policy(&authorities).verify_checkpoint(&foreign),
        Err(VerifyError::NoLog { origin: "example.org/other".to_owned() })
    );
}

#[test]
fn a_cosignature_of_another_checkpoint_is_fatal() {
    let authorities = authorities(3);
    let policy = policy(&authorities);
    let ours = Checkpoint::new(&origin(), 1, leaf_hash(b"leaf"));
    let other = Checkpoint::new(&origin(), 1, leaf_hash(b"other"));
    let cosign = |index: usize, of: &Checkpoint| {
        authorities[index].cosigner.cosign(of, UnixSeconds(1)).expect("an honest time")
    };
    let log_line = ours.sign(&authorities[0].log_key).expect("its own log");
    let lines = [cosign(0, &ours), cosign(1, &ours), cosign(2, &other)];
    let mixed = SignedCheckpoint::new(ours, log_line, lines).expect("a checkpoint");
    assert!(matches!(
        policy.verify_checkpoint(&mixed),
        Err(VerifyError::Note(NoteError::Signature { line: 8, .. }))
    ));
}

#[test]
fn strict_reading_allows_one_order_and_nothing_else() {
    let authorities = authorities(3);
    let policy = policy(&authorities);
    let checkpoint = Checkpoint::new(&origin(), 1, leaf_hash(b"leaf"));
    let good = signed(&checkpoint, &authorities, &[0, 1, 2]);
    assert!(policy.verify_checkpoint_strict(&good).is_ok());
    let lines = good.note().signatures();
    let second_log = checkpoint.sign(&authorities[1].log_key).expect("its own log");
    let stranger =
        authority(9).cosigner.cosign(&checkpoint, UnixSeconds(1)).expect("an honest time");
    let arranged = |lines: &[&crate::log::note::Signature]| {
        let lines: Vec<_> = lines.iter().map(|line| (*line).clone()).collect();
        SignedCheckpoint::new(checkpoint.clone(), lines[0].clone(), lines[1..].iter().cloned())
            .expect("a checkpoint")
    };
    let [log, a, b, c] = lines else { panic!("four lines") };
    for (lines, line) in
        [(vec![a, log, b, c], 5), (vec![log, b, a, c], 7), (vec![log, &second_log, a, b], 6)]
    {
        assert!(policy.verify_checkpoint(&arranged(&lines)).is_ok());
        assert_eq!(
            policy.verify_checkpoint_strict(&arranged(&lines)),
            Err(VerifyError::Order { line })
        );
    }
    for lines in [vec![log, a, b, &stranger], vec![log, a, b, b]] {
        assert!(policy.verify_checkpoint(&arranged(&lines)).is_ok());
        assert!(matches!(
            policy.verify_checkpoint_strict(&arranged(&lines)),
            Err(VerifyError::Note(_))
        ));
    }
    // A witness that repeats itself is still one witness.
    assert_eq!(
        policy.verify_checkpoint(&arranged(&[log, a, a])),
        Err(VerifyError::NoQuorum { cosigned: 1 })
    );

    let extended =
        Checkpoint::parse_text(&format!("{}extension\n", checkpoint.text())).expect("a checkpoint");
    let extended = signed(&extended, &authorities, &[0, 1]);
    assert!(policy.verify_checkpoint(&extended).is_ok());
    assert_eq!(policy.verify_checkpoint_strict(&extended), Err(VerifyError::Extension));
}

#[test]
fn any_changed_byte_of_a_checkpoint_is_noticed() {
    let authorities = authorities(1);
    let policy = policy(&authorities);
    let checkpoint = Checkpoint::new(&origin(), 1234, leaf_hash(b"leaf"));
    let bytes = signed(&checkpoint, &authorities, &[0]).to_string().into_bytes();
    for index in 0..bytes.len() {
        for change in [0x01, 0x20, 0x80] {
            let mut changed = bytes.clone();
            changed[index] ^= change;
            assert!(policy.verify_strict(&changed).is_err(), "byte {index} ^ {change}");
            assert!(policy.verify(&changed).is_err(), "byte {index} ^ {change}");
        }
        let mut shorter = bytes.clone();
        shorter.remove(index);
        assert!(policy.verify_strict(&shorter).is_err(), "byte {index} removed");
    }
    for extra in ["\n", " ", "— x AAAAAAA=\n"] {
        assert!(policy.verify_strict(&[&bytes, extra.as_bytes()].concat()).is_err());
    }
}

/// A random policy as generated. Members are numbers: witnesses first, then groups.
#[derive(Debug, Clone)]
struct Meant {
    witnesses: usize,
    groups: Vec<(usize, Vec<usize>)>,
    quorum: usize,
}

impl Meant {
    fn has_witnessed(&self, number: usize, cosigned: &[bool]) -> bool {
        let Some(group) = number.checked_sub(self.witnesses) else { return cosigned[number] };
        let (threshold, members) = &self.groups[group];
        members.iter().filter(|member| self.has_witnessed(**member, cosigned)).count() >= *threshold
    }

    fn text(&self) -> String {
        let mut text = String::new();
        (0..self.witnesses).for_each(|number| {
            text += &format!("witness n{number} {}\n", witness_key(number as u8 + 1))
        });
        for (index, (threshold, members)) in self.groups.iter().enumerate() {
            let threshold = match threshold {
                1 => "any".to_owned(),
                threshold if *threshold == members.len() => "all".to_owned(),
                threshold => threshold.to_string(),
            };
            let members: String = members.iter().map(|member| format!(" n{member}")).collect();
            text += &format!("group n{} {threshold}{members}\n", self.witnesses + index);
        }
        text + &format!("quorum n{}\n", self.quorum)
    }
}

/// Each group takes some of the names that are not members yet.
fn meant() -> impl Strategy<Value = Meant> {
    (1..=6usize, prop::collection::vec((any::<u32>(), any::<u32>()), 0..6), any::<usize>())
        .prop_map(|(witnesses, picks, quorum)| {
            let mut free: Vec<usize> = (0..witnesses).collect();
            let mut groups: Vec<(usize, Vec<usize>)> = Vec::new();
            for (mask, threshold) in picks {
                let (members, rest): (Vec<usize>, Vec<usize>) =
                    free.iter().partition(|number| mask >> **number & 1 == 1);
                if members.is_empty() {
                    continue;
                }
                free = rest;
                free.push(witnesses + groups.len());
                groups.push((threshold as usize % members.len() + 1, members));
            }
            let quorum = quorum % (witnesses + groups.len());
            Meant { witnesses, groups, quorum }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn quorums_match_brute_force(meant in meant()) {
        let policy = Policy::parse(meant.text().as_bytes()).expect("a policy");
        for bits in 0..1u32 << meant.witnesses {
            let cosigned: Vec<bool> =
                (0..meant.witnesses).map(|index| bits >> index & 1 == 1).collect();
            prop_assert_eq!(
                policy.is_quorum(&cosigned),
                meant.has_witnessed(meant.quorum, &cosigned)
            );
        }
    }

    #[test]
    fn any_bytes_are_a_policy_or_an_error(bytes in "((log|witness|group|quorum|#)?[ \t]{0,2}(none|any|all|a|1|\\PC)?[ \n]){0,8}") {
        if let Ok(policy) = Policy::parse(bytes.as_bytes()) {
            prop_assert_eq!(policy.as_bytes(), bytes.as_bytes());
        }
    }
}
