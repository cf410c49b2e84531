use proptest::prelude::*;

use super::*;
use crate::authority::sample::{SampleAuthority, authority_set, base, witness};
use crate::authority::set_rule::RESERVED_NAMES;
use crate::authority::vectors;
use crate::log::note::KeyError;

fn text() -> String {
    String::from_utf8(vectors::set().as_bytes().to_vec()).expect("ASCII")
}

fn refused(text: &str) -> (usize, AuthoritySetRule) {
    match AuthoritySet::parse(text.as_bytes()) {
        Err(AuthoritySetError::Malformed { line, rule }) => (line, rule),
        other => panic!("{text:?} gives {other:?}"),
    }
}

fn member(number: u8) -> AuthorityMember {
    SampleAuthority::new(number).member()
}

/// A usable key that no sample has: it is made from this number.
fn fresh(number: u8) -> [u8; 32] {
    let name = "fresh".parse().expect("a key name");
    *crate::log::note::SigningKey::from_seed(name, &[number; 32]).verifier().public_key()
}

#[test]
fn a_set_is_read_as_it_is_written() {
    let set = vectors::set();
    assert_eq!(AuthoritySet::parse(set.as_bytes()), Ok(set.clone()));
    assert_eq!(set.fingerprint(), Digest::compute(set.as_bytes()));
    assert_eq!((set.base().as_str(), set.quorum(), set.members().len()), (base().as_str(), 3, 4));
    assert!(!set.is_single() && authority_set(1, 1).is_single());
    for number in 1..=4 {
        let authority = SampleAuthority::new(number);
        let name = authority.name();
        assert_eq!(set.member(&name), Some(&member(number)));
        assert_eq!(AuthorityMember::parse_line(&member(number).to_string()), Ok(member(number)));
        let key = set.statement_key(&name).expect("a member");
        assert_eq!(key.name().as_str(), format!("votekit.example/statement/{name}"));
        assert_eq!(key.kind(), KeyKind::Ed25519);
        assert_eq!(*key.public_key(), authority.statement_key().public());
    }
    let stranger = SampleAuthority::new(5).name();
    assert_eq!((set.member(&stranger), set.statement_key(&stranger)), (None, None));
    assert_eq!(
        format!("{set:?}"),
        format!("AuthoritySet(votekit.example, 3 of 4, {})", set.fingerprint())
    );
}

#[test]
fn the_policy_of_an_election_follows_from_the_set() {
    let law_id = vectors::law_id();
    for binding in [false, true] {
        let policy = vectors::set().policy(&law_id, binding).expect("distinct key ids");
        let origin = origin_of(&base(), &law_id, binding).expect("a key name");
        assert!(policy.is_of_election(origin.as_str()));
        assert_eq!(policy.groups()[0].threshold, 3);
        for (place, number) in (1..=4).enumerate() {
            let authority = SampleAuthority::new(number);
            let log = authority.log_key(&law_id, binding);
            assert_eq!(policy.logs()[place].key, *log.verifier());
            let witness = &policy.witnesses()[place];
            assert_eq!(witness.name.to_string(), authority.name().to_string());
            assert_eq!(witness.key, *authority.cosigner().verifier());
        }
    }
    // The longest names of the most authorities fit into a policy.
    let long = |letter: char| letter.to_string().repeat(AuthoritySet::NAME_LENGTH_MAX);
    let members = (1..=32).map(|number| {
        let name = format!("{number:02}{}", &long('n')[2..]).parse().expect("a key name");
        AuthorityMember { name, ..member(number) }
    });
    let base = long('b').parse().expect("a key name");
    let set = AuthoritySet::new(base, 32, members.collect()).expect("the longest names");
    assert_eq!(AuthoritySet::parse(set.as_bytes()), Ok(set.clone()));
    assert!(set.policy(&law_id, true).is_ok());
}

#[test]
fn each_rule_of_the_file_is_enforced() {
    let line = |number: usize| text().lines().nth(number - 1).expect("a line").to_owned();
    let [log, cosigner, transport] =
        [member(1).log, member(2).cosigner, member(4).transport].map(const_hex::encode);
    let [log, cosigner, transport] = [&log, &cosigner, &transport].map(String::as_str);
    let (zeros, capitals) = ("0".repeat(64), log.to_uppercase());
    let (zeros, capitals) = (zeros.as_str(), capitals.as_str());
    let key_form = |key| AuthoritySetRule::KeyForm(key);
    let cases: Vec<(&str, &str, usize, AuthoritySetRule)> = vec![
        ("authorities/1", "authorities/2", 1, AuthoritySetRule::Format),
        ("votekit-auth", " votekit-auth", 1, AuthoritySetRule::Format),
        ("authorities/1\n", "authorities/1\r\n", 1, AuthoritySetRule::Format),
        ("base votekit", "Base votekit", 2, AuthoritySetRule::BaseForm),
        ("base votekit", "base  votekit", 2, name_rule(1)),
        ("votekit.example\n", "votekit.example \n", 2, name_rule(16)),
        ("votekit.example\n", "votekit+example\n", 2, name_rule(8)),
        ("votekit.example\n", "\n", 2, AuthoritySetRule::Name(KeyError::NameEmpty)),
        ("quorum 3", "quorum 03", 3, AuthoritySetRule::QuorumForm),
        ("quorum 3", "quorum +3", 3, AuthoritySetRule::QuorumForm),
        ("quorum 3", "quorum all", 3, AuthoritySetRule::QuorumForm),
        ("quorum 3\n", "", 3, AuthoritySetRule::QuorumForm),
        ("quorum 3", "quorum 2", 3, AuthoritySetRule::Quorum { authorities: 4, least: 3 }),
        ("quorum 3", "quorum 5", 3, AuthoritySetRule::Quorum { authorities: 4, least: 3 }),
        ("authority authority-2 ", "authority authority-2  ", 5, AuthoritySetRule::MemberForm),
        ("authority authority-2 ", "authority ", 5, AuthoritySetRule::MemberForm),
        ("authority authority-2 ", "authority\tauthority-2 ", 5, AuthoritySetRule::MemberForm),
        ("authority authority-2 ", "\nauthority authority-2 ", 5, AuthoritySetRule::MemberForm),
        ("authority-2 ", "authority+2 ", 5, name_rule(10)),
        ("authority-2 ", "authority-1 ", 5, duplicate_name(1)),
        ("authority-2 ", "authority\u{7f}2 ", 5, AuthoritySetRule::NameCharacter),
        (log, capitals, 4, key_form(AuthorityKey::Log)),
        (log, &log[1..], 4, key_form(AuthorityKey::Log)),
        (cosigner, "x", 5, key_form(AuthorityKey::Cosigner)),
        (transport, &transport[2..], 7, key_form(AuthorityKey::Transport)),
        (cosigner, zeros, 5, AuthoritySetRule::KeyPoint(AuthorityKey::Cosigner)),
        (transport, zeros, 7, AuthoritySetRule::KeyPoint(AuthorityKey::Transport)),
        (cosigner, log, 5, AuthoritySetRule::DuplicateKey(AuthorityKey::Cosigner)),
        (transport, log, 7, AuthoritySetRule::DuplicateKey(AuthorityKey::Transport)),
    ];
    for (from, to, line, rule) in cases {
        assert!(text().contains(from), "{from:?}");
        assert_eq!(refused(&text().replacen(from, to, 1)), (line, rule), "{from:?} -> {to:?}");
    }
    assert_eq!(refused(""), (1, AuthoritySetRule::Format));
    assert_eq!(refused("votekit-authorities/1\n"), (2, AuthoritySetRule::BaseForm));
    assert_eq!(refused(text().trim_end()), (7, AuthoritySetRule::LineEnd));
    assert_eq!(refused(&(text() + "\n")), (8, AuthoritySetRule::MemberForm));
    assert_eq!(refused(&(text() + &line(4) + "\n")), (8, duplicate_name(1)));
    let turned = format!("{}\n{}\n{}\n{}\n", line(1), line(3), line(2), line(4));
    assert_eq!(refused(&turned), (2, AuthoritySetRule::BaseForm));
    let mut bytes = text().into_bytes();
    bytes.splice(60..61, [0xff]);
    let utf8 = AuthoritySetError::Malformed { line: 4, rule: AuthoritySetRule::Utf8 };
    assert_eq!(AuthoritySet::parse(&bytes), Err(utf8));
    let long = vec![b'\n'; AuthoritySet::BYTES_MAX + 1];
    let (length, max) = (long.len(), AuthoritySet::BYTES_MAX);
    assert_eq!(AuthoritySet::parse(&long), Err(AuthoritySetError::TooLong { length, max }));
}

fn name_rule(position: usize) -> AuthoritySetRule {
    AuthoritySetRule::Name(KeyError::NameCharacter { position })
}

fn duplicate_name(number: u8) -> AuthoritySetRule {
    AuthoritySetRule::DuplicateName(SampleAuthority::new(number).name())
}

#[test]
fn sets_that_cannot_be_are_refused_by_line_and_rule() {
    let made =
        |quorum, members: Vec<AuthorityMember>| match AuthoritySet::new(base(), quorum, members) {
            Err(AuthoritySetError::Malformed { line, rule }) => Some((line, rule)),
            Err(other) => panic!("{other}"),
            Ok(_) => None,
        };
    let first = |count: u8| (1..=count).map(member).collect::<Vec<_>>();
    assert_eq!(made(1, Vec::new()), Some((4, AuthoritySetRule::Count)));
    assert_eq!(made(32, first(32)), None);
    let mut many = first(32);
    many.push(member(1));
    assert_eq!(made(17, many), Some((36, AuthoritySetRule::Count)));
    for (count, least) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)] {
        let authorities = usize::from(count);
        for quorum in 0..=authorities + 1 {
            let fault = (3, AuthoritySetRule::Quorum { authorities, least });
            let fits = (least..=authorities).contains(&quorum);
            assert_eq!(made(quorum, first(count)), (!fits).then_some(fault), "{quorum} of {count}");
        }
    }
    // Every pair of uses, of one authority and of two.
    for (one, other) in (0..8usize).flat_map(|one| (0..one).map(move |other| (one, other))) {
        let mut members = first(2);
        let shared = fresh(1);
        for place in [one, other] {
            *key_of(&mut members[place / 4], place % 4) = shared;
        }
        let kind = members[0].keys()[one % 4].0;
        let fault = (4 + one / 4, AuthoritySetRule::DuplicateKey(kind));
        assert_eq!(made(2, members), Some(fault), "{other} and {one}");
    }
    let name: KeyName = "a/b".parse().expect("a key name");
    let members = vec![AuthorityMember { name, ..member(1) }];
    assert_eq!(made(1, members), Some((4, AuthoritySetRule::NameSlash)));
    for name in RESERVED_NAMES {
        let name: KeyName = name.parse().expect("a key name");
        let members = vec![AuthorityMember { name: name.clone(), ..member(1) }];
        assert_eq!(made(1, members), Some((4, AuthoritySetRule::ReservedName(name))));
    }
    let long: KeyName = "n".repeat(256).parse().expect("a key name");
    let length = AuthoritySetRule::NameLength { length: 256 };
    let members = vec![AuthorityMember { name: long.clone(), ..member(1) }];
    assert_eq!(made(1, members), Some((4, length.clone())));
    let fault = AuthoritySetError::Malformed { line: 2, rule: length };
    assert_eq!(AuthoritySet::new(long, 1, first(1)), Err(fault));
}

#[test]
fn outside_witnesses_are_read_as_they_are_written_and_nest_in_the_policy() {
    let set = vectors::witnessed();
    assert_eq!(AuthoritySet::parse(set.as_bytes()), Ok(set.clone()));
    assert_eq!((set.witnesses().len(), set.witness_quorum()), (3, 2));
    for witness in set.witnesses() {
        assert_eq!(SetWitness::parse_line(&witness.to_string()).as_ref(), Ok(witness));
    }
    let urls = set.witnesses().iter().map(SetWitness::submission_url);
    assert_eq!(
        urls.collect::<Vec<_>>(),
        [
            "https://w1.witness.example/logs/add-checkpoint",
            "https://w2.witness.example/add-checkpoint",
            "http://w3.witness.example:8080/add-checkpoint",
        ]
    );
    let policy = set.policy(&vectors::law_id(), true).expect("distinct key ids");
    assert!(policy.is_of_election("votekit.example/L2025-001"));
    assert_eq!((policy.outside_witnesses().len(), policy.witness_quorum()), (3, 2));
    assert_eq!(policy.authorities().len(), 4);
    let without = set.with_witnesses(Vec::new(), 0).expect("none");
    assert_eq!(without, vectors::set());
}

#[test]
fn each_rule_on_outside_witnesses_is_enforced() {
    let text = || String::from_utf8(vectors::witnessed().as_bytes().to_vec()).expect("ASCII");
    let key = witness(1, "").key.to_string();
    let of_log = key.replacen("+", "x+", 1);
    let authority = SampleAuthority::new(1).cosigner().verifier().to_string();
    let [key, authority] = [&key, &authority].map(String::as_str);
    let url = "https://w1.witness.example/logs";
    let feeder = |name: &str| AuthoritySetRule::UnknownFeeder(name.parse().expect("a key name"));
    let taken = |name: &str| AuthoritySetRule::DuplicateName(name.parse().expect("a key name"));
    let reserved = |name: &str| AuthoritySetRule::ReservedName(name.parse().expect("a key name"));
    let count = |witnesses| AuthoritySetRule::WitnessQuorum { witnesses };
    let cases: Vec<(&str, &str, usize, AuthoritySetRule)> = vec![
        ("witness w1 ", "witness  w1 ", 8, AuthoritySetRule::WitnessForm),
        ("witness w1 ", "witness ", 8, AuthoritySetRule::WitnessForm),
        ("witness w1 ", "witness authority-2 ", 8, taken("authority-2")),
        ("witness w2 ", "witness w1 ", 9, taken("w1")),
        ("witness w2 ", "witness both ", 9, reserved("both")),
        ("witness w2 ", "witness a/b ", 9, AuthoritySetRule::NameSlash),
        (key, authority, 8, AuthoritySetRule::DuplicateWitnessKey),
        (url, "ftp://w1.witness.example/", 8, AuthoritySetRule::WitnessUrl),
        (url, "https://", 8, AuthoritySetRule::WitnessUrl),
        (url, "https:///logs", 8, AuthoritySetRule::WitnessUrl),
        (url, "https://é/", 8, AuthoritySetRule::WitnessUrl),
        ("logs authority-1", "logs authority-9", 8, feeder("authority-9")),
        ("witness-quorum 2", "witness-quorum 0", 11, count(3)),
        ("witness-quorum 2", "witness-quorum 4", 11, count(3)),
        ("witness-quorum 2", "witness-quorum 02", 11, AuthoritySetRule::WitnessQuorumForm),
        ("witness-quorum 2\n", "", 10, AuthoritySetRule::WitnessQuorumForm),
        ("witness-quorum 2\n", "witness-quorum 2\n\n", 11, AuthoritySetRule::WitnessForm),
    ];
    for (from, to, line, rule) in cases {
        assert!(text().contains(from), "{from:?}");
        assert_eq!(refused(&text().replacen(from, to, 1)), (line, rule), "{from:?} -> {to:?}");
    }
    let malformed = refused(&text().replacen(key, &of_log, 1));
    assert!(matches!(malformed, (8, AuthoritySetRule::WitnessKey(KeyError::Id { .. }))));
    let log = SampleAuthority::new(9).log_key(&vectors::law_id(), true).verifier().to_string();
    assert_eq!(
        refused(&text().replacen(key, &log, 1)),
        (8, AuthoritySetRule::WitnessKeyKind),
        "a key that does not cosign"
    );
    let alone = self::text() + "witness-quorum 1\n";
    assert_eq!(refused(&alone), (8, AuthoritySetRule::WitnessQuorumForm));
    let set = vectors::set();
    let of_none = set.clone().with_witnesses(Vec::new(), 1);
    let fault = AuthoritySetError::Malformed { line: 8, rule: count(0) };
    assert_eq!(of_none, Err(fault));
    let many = (1..=32).map(|number| witness(number, "http://w/")).collect::<Vec<_>>();
    let many = [many.clone(), many].concat();
    let fault = AuthoritySetError::Malformed { line: 40, rule: AuthoritySetRule::WitnessCount };
    assert_eq!(set.with_witnesses(many, 1), Err(fault));
}

#[test]
fn one_authority_that_feeds_too_many_witnesses_is_named() {
    let fed = |feeders: &[u8], quorum| {
        let witnesses = (1..).zip(feeders).map(|(number, feeder)| SetWitness {
            fed_by: SampleAuthority::new(*feeder).name(),
            ..witness(number, "http://w/")
        });
        let set = vectors::set().with_witnesses(witnesses.collect(), quorum).expect("witnesses");
        set.can_lock_witnesses().map(KeyName::to_string)
    };
    assert_eq!(vectors::set().can_lock_witnesses(), None);
    assert_eq!(fed(&[1, 2, 3], 2), None);
    assert_eq!(fed(&[1, 2, 3], 3), Some("authority-1".to_owned()));
    assert_eq!(fed(&[1, 2, 2], 2), Some("authority-2".to_owned()));
    assert_eq!(fed(&[4], 1), Some("authority-4".to_owned()));
    let alone = authority_set(1, 1).with_witnesses(vec![witness(1, "http://w/")], 1);
    assert_eq!(alone.expect("a witness").can_lock_witnesses(), None);
}

fn key_of(member: &mut AuthorityMember, place: usize) -> &mut [u8; 32] {
    match place {
        0 => &mut member.log,
        1 => &mut member.cosigner,
        2 => &mut member.statement,
        _ => &mut member.transport,
    }
}

proptest! {
    #[test]
    fn any_set_is_read_as_it_is_written(
        base in "[a-z0-9./-]{1,40}",
        names in prop::collection::btree_set("[A-Za-z0-9._-]{1,20}x", 1..=6),
        more in 0..6usize,
    ) {
        let members: Vec<AuthorityMember> = (1..)
            .zip(names)
            .map(|(number, name)| {
                AuthorityMember { name: name.parse().expect("a key name"), ..member(number) }
            })
            .collect();
        let quorum = (members.len() / 2 + 1 + more).min(members.len());
        let set = AuthoritySet::new(base.parse().expect("a key name"), quorum, members);
        let set = set.expect("well formed");
        prop_assert_eq!(AuthoritySet::parse(set.as_bytes()), Ok(set.clone()));
    }

    #[test]
    fn changed_bytes_are_another_set_or_none(
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = text().into_bytes();
        let place = place.index(bytes.len());
        if cut {
            bytes.remove(place);
        } else {
            bytes[place] = byte;
        }
        if let Ok(set) = AuthoritySet::parse(&bytes) {
            prop_assert_eq!(set.as_bytes(), bytes.as_slice());
            prop_assert_eq!(set == vectors::set(), bytes == text().into_bytes());
        }
    }
}
