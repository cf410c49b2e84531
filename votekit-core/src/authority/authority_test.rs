//! The file `authorities`, statements and proposals: one form each, and every change refused.

use proptest::prelude::*;

use super::*;
use crate::id::{Digest, ElectionId};
use crate::instant::UnixSeconds;
use crate::log::merkle::TreeHash;
use crate::log::note::{KeyName, SigningKey};

fn name(text: &str) -> KeyName {
    text.parse().expect("a key name")
}

fn law(text: &str) -> ElectionId {
    text.parse().expect("an id")
}

fn base() -> KeyName {
    name("example.org/vote")
}

fn public(seed: u8) -> [u8; 32] {
    *SigningKey::from_seed(name("key"), &[seed; 32]).verifier().public_key()
}

fn member(number: u8) -> AuthorityMember {
    AuthorityMember {
        name: name(&format!("a{number}")),
        log: public(number),
        cosigner: public(number + 32),
        statement: public(number + 64),
        transport: [number; 32],
    }
}

fn key(number: u8) -> StatementKey {
    StatementKey::from_seed(&base(), &name(&format!("a{number}")), &[number + 64; 32])
}

fn set(count: u8, quorum: usize) -> AuthoritySet {
    AuthoritySet::new(base(), quorum, (1..=count).map(member).collect()).expect("a set")
}

fn point(height: u64) -> LogPoint {
    LogPoint { height, size: height * 3, root: TreeHash::from_bytes([7; 32]) }
}

fn leadership() -> TermLeader {
    TermLeader { term: 12, leader: name("a2") }
}

fn bodies() -> Vec<StatementBody> {
    let accepted = AcceptedBlock { term: 11, point: point(5) };
    let vote = |law_id, accepted| ElectionVote { law_id, certified: point(4), accepted };
    vec![
        StatementBody::Vote(Vote { leadership: leadership(), elections: vec![] }),
        StatementBody::Vote(Vote {
            leadership: leadership(),
            elections: vec![vote(law("L1"), None), vote(law("L2"), Some(accepted))],
        }),
        StatementBody::Accept(Accept {
            law_id: law("L1"),
            leadership: leadership(),
            point: point(5),
        }),
        StatementBody::Refuse(Refuse {
            law_id: law("L1"),
            leadership: leadership(),
            height: 5,
            digest: Digest::of(b"block"),
            leaf: 17,
            rule: "differs".to_owned(),
            own: Some(Digest::of(b"own")),
            theirs: None,
        }),
        StatementBody::Suspect(Suspect {
            leadership: leadership(),
            reason: SuspectReason::LeftOut,
        }),
    ]
}

fn proposal() -> BlockProposal {
    BlockProposal {
        law_id: law("L1"),
        leadership: leadership(),
        first_leaf: 12,
        leaf_count: 3,
        point: point(5),
        digest: Digest::of(b"block"),
        takes_votes: true,
        proposed_at: UnixSeconds(1_800_000_000),
    }
}

#[test]
fn the_file_has_one_form() {
    let set = set(4, 3);
    assert_eq!(AuthoritySet::parse(set.as_bytes()).as_ref(), Ok(&set));
    let text = String::from_utf8(set.as_bytes().to_vec()).expect("text");
    let a1 = text.lines().nth(3).expect("a line").to_owned();
    for (line, bad) in [
        (1, text.replace("authorities/1", "authorities/2")),
        (2, text.replace("base example", "bäse example")),
        (3, text.replace("quorum 3", "quorum 03")),
        (3, text.replace("quorum 3", "quorum 2")),
        (3, text.replace("quorum 3", "quorum 5")),
        (4, text.replace("authority a1 ", "authority  a1 ")),
        (4, text.replace("authority a1 ", "authority a/1 ")),
        (4, text.replace("authority a1 ", "authority both ")),
        (4, text.replace(&a1, &a1.to_uppercase())),
        (5, text.replace("authority a2 ", "authority a1 ")),
        (7, text.trim_end().to_owned()),
        (8, format!("{text}\n")),
        (8, format!("{text}{a1}\n")),
    ] {
        let error = AuthoritySet::parse(bad.as_bytes()).expect_err(&bad);
        assert_eq!(error.line, line, "{error}: {bad}");
    }
    assert!(AuthoritySet::parse(b"").is_err());
    assert!(AuthoritySet::parse(text.replace('\n', "\r\n").as_bytes()).is_err());
}

#[test]
fn every_key_of_the_file_is_another_one() {
    for exchange in [
        |member: &mut AuthorityMember| member.log = public(1),
        |member: &mut AuthorityMember| member.cosigner = public(1),
        |member: &mut AuthorityMember| member.statement = public(33),
        |member: &mut AuthorityMember| member.transport = [1; 32],
        |member: &mut AuthorityMember| member.cosigner = member.log,
    ] {
        let mut second = member(2);
        exchange(&mut second);
        let error = AuthoritySet::new(base(), 2, vec![member(1), second]).expect_err("one key");
        assert_eq!(error.line, 5);
        assert!(matches!(error.rule, AuthoritySetRule::SecondKey { .. }), "{error}");
    }
}

#[test]
fn the_policy_names_the_quorum_of_the_file() {
    let policy = set(4, 3).policy(&law("L1"), true);
    let text = String::from_utf8(policy.as_bytes().to_vec()).expect("text");
    assert!(text.ends_with("group authorities 3 a1 a2 a3 a4\nquorum authorities\n"), "{text}");
    assert!(policy.is_of_election("example.org/vote/L1"));
    assert!(!policy.is_of_election("example.org/vote/test/L1"));
    let minority = text.replace("authorities 3", "authorities 2");
    let minority = crate::log::policy::Policy::parse(minority.as_bytes()).expect("a policy");
    assert!(!minority.is_of_election("example.org/vote/L1"));
}

#[test]
fn statements_and_proposals_are_read_as_they_were_signed() {
    let set = set(4, 3);
    for body in bodies() {
        let statement = Statement { authority: name("a1"), incarnation: 3, body };
        let bytes = key(1).sign_statement(&statement);
        assert_eq!(set.verify_statement(&bytes), Ok(statement));
    }
    assert_eq!(set.verify_proposal(&key(2).sign_proposal(&proposal())), Ok(proposal()));
}

#[test]
fn a_statement_under_another_key_is_refused() {
    let set = set(4, 3);
    for body in bodies() {
        let statement = Statement { authority: name("a1"), incarnation: 3, body };
        assert!(set.verify_statement(&key(2).sign_statement(&statement)).is_err());
        let stranger = StatementKey::from_seed(&base(), &name("a9"), &[9; 32]);
        let foreign = Statement { authority: name("a9"), ..statement.clone() };
        assert_eq!(
            set.verify_statement(&stranger.sign_statement(&foreign)),
            Err(StatementError::Unknown { name: name("a9") })
        );
        let elsewhere = StatementKey::from_seed(&name("other.org"), &name("a1"), &[65; 32]);
        assert_eq!(
            set.verify_statement(&elsewhere.sign_statement(&statement)),
            Err(StatementError::Base { base: name("other.org") })
        );
    }
    // A proposal is signed by its leader.
    assert!(set.verify_proposal(&key(1).sign_proposal(&proposal())).is_err());
}

#[test]
fn every_changed_byte_is_refused() {
    let set = set(3, 2);
    let mut notes: Vec<(Vec<u8>, bool)> = bodies()
        .into_iter()
        .map(|body| Statement { authority: name("a1"), incarnation: 3, body })
        .map(|statement| (key(1).sign_statement(&statement), false))
        .collect();
    notes.push((key(2).sign_proposal(&proposal()), true));
    for (bytes, is_proposal) in notes {
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            let refused = if is_proposal {
                set.verify_proposal(&changed).is_err()
            } else {
                set.verify_statement(&changed).is_err()
            };
            assert!(refused, "byte {place} of {}", String::from_utf8_lossy(&bytes));
        }
    }
}

proptest! {
    #[test]
    fn votes_survive_the_round_trip(
        term in any::<u64>(),
        incarnation in any::<u64>(),
        heights in proptest::collection::btree_map("[A-Za-z0-9][A-Za-z0-9._-]{0,11}", any::<(u64, bool)>(), 0..5),
    ) {
        let elections = heights.into_iter().map(|(law_id, (height, is_accepted))| {
            let certified = LogPoint { height, ..point(1) };
            let accepted = is_accepted.then_some(AcceptedBlock { term, point: point(2) });
            ElectionVote { law_id: law(&law_id), certified, accepted }
        });
        let mut elections: Vec<_> = elections.collect();
        elections.sort_by(|one, other| one.law_id.cmp(&other.law_id));
        let leadership = TermLeader { term, leader: name("a2") };
        let body = StatementBody::Vote(Vote { leadership, elections });
        let statement = Statement { authority: name("a1"), incarnation, body };
        let bytes = key(1).sign_statement(&statement);
        prop_assert_eq!(set(3, 2).verify_statement(&bytes), Ok(statement));
    }
}
