use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::authority::sample::{SampleAuthority, authority_set, base};
use crate::authority::{
    Accept, AcceptedBlock, ElectionVote, LogPoint, Refuse, StatementBody, StatementRule, Suspect,
    SuspectReason, TermLeader, Vote, vectors,
};
use crate::id::{Digest, ElectionId};
use crate::instant::UnixSeconds;
use crate::log::merkle::TreeHash;

fn key(number: u8) -> StatementKey {
    SampleAuthority::new(number).statement_key()
}

/// The note of a statement, signed by an authority that it may not name.
fn signed(number: u8, statement: &Statement) -> Vec<u8> {
    key(number).sign_statement(statement)
}

fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/vectors/authorities");
    std::fs::read(folder.join(name)).expect("the vector")
}

#[test]
fn the_golden_statements_verify_under_the_golden_set() {
    let set = AuthoritySet::parse(&golden("authorities")).expect("a set");
    assert_eq!(set, vectors::set());
    for (name, statement) in vectors::statements() {
        let bytes = golden(&format!("{name}.note"));
        assert_eq!(set.verify_statement(&bytes), Ok(statement), "{name}");
    }
    assert_eq!(set.verify_proposal(&golden("proposal.note")), Ok(vectors::proposal()));
}

#[test]
fn a_statement_counts_only_under_the_key_of_the_authority_it_names() {
    let set = vectors::set();
    let unknown_key = |number: u8, line| -> Result<Statement, StatementError> {
        let name = format!("votekit.example/statement/authority-{number}");
        let name = name.parse().expect("a key name");
        Err(NoteError::UnknownKey { line, name }.into())
    };
    for number in [1, 2, 4, 5] {
        let bytes = signed(number, &vectors::vote());
        assert_eq!(set.verify_statement(&bytes), unknown_key(number, 14), "{number}");
    }
    for number in [1, 3, 4] {
        let bytes = key(number).sign_proposal(&vectors::proposal());
        let error = set.verify_proposal(&bytes).expect_err("the leader did not sign");
        assert!(matches!(error, StatementError::Note(NoteError::UnknownKey { .. })), "{error}");
    }
    // The right name with another key, and the authority's other keys under that name.
    let text = vectors::vote().text(&base());
    let name = key(3).key.verifier().name().clone();
    for seed in [1, 32 + 3, 64 + 3, 128 + 3] {
        let signature = SigningKey::from_seed(name.clone(), &[seed; 32]).sign(&text);
        let bytes = format!("{text}\n{signature}\n");
        assert!(set.verify_statement(bytes.as_bytes()).is_err(), "{seed}");
    }
    // Of another set with the same names.
    let changed = authority_set(3, 2);
    assert!(changed.verify_statement(&signed(3, &vectors::vote())).is_ok());
    assert!(changed.verify_statement(&signed(4, &vectors::refuse())).is_err());
}

#[test]
fn a_statement_has_one_signature() {
    let set = vectors::set();
    let text = vectors::vote().text(&base());
    let [own, other] = [3, 1].map(|number| key(number).key.sign(&text).to_string());
    let verified = |lines: &str| set.verify_statement(format!("{text}\n{lines}").as_bytes());
    assert!(verified(&format!("{own}\n")).is_ok());
    for lines in [
        String::new(),
        format!("{own}\n{own}\n"),
        format!("{own}\n{other}\n"),
        format!("{other}\n{own}\n"),
        format!("{own}\n— stranger AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"),
        own.clone(),
    ] {
        assert!(matches!(verified(&lines), Err(StatementError::Note(_))), "{lines:?}");
    }
}

#[test]
fn a_statement_of_another_base_is_refused() {
    let elsewhere: KeyName = "votekit.elsewhere".parse().expect("a key name");
    let name = SampleAuthority::new(3).name();
    let key = StatementKey::from_seed(&elsewhere, &name, &[96 + 3; 32]);
    assert_eq!((key.name(), key.public()), (&name, self::key(3).public()));
    let fault = StatementError::Malformed { line: 2, rule: StatementRule::Base(base()) };
    let set = vectors::set();
    assert_eq!(set.verify_statement(&key.sign_statement(&vectors::vote())), Err(fault.clone()));
    assert_eq!(set.verify_proposal(&key.sign_proposal(&vectors::proposal())), Err(fault));
}

#[test]
fn a_statement_is_no_proposal_and_a_proposal_no_statement() {
    let set = vectors::set();
    let statement = signed(3, &vectors::vote());
    let proposal = key(2).sign_proposal(&vectors::proposal());
    for (error, format) in [
        (set.verify_proposal(&statement).expect_err("a vote"), "votekit-proposal/1"),
        (set.verify_statement(&proposal).expect_err("a proposal"), "votekit-statement/1"),
    ] {
        let rule = StatementRule::Format(format);
        assert_eq!(error, StatementError::Malformed { line: 1, rule });
    }
}

#[test]
fn no_byte_of_a_statement_can_change() {
    let set = vectors::set();
    let statements = vectors::statements();
    for (name, statement) in &statements {
        let key = SampleAuthority::new(statement.authority.as_str().as_bytes()[10] - b'0');
        let bytes = key.statement_key().sign_statement(statement);
        assert_eq!(set.verify_statement(&bytes).as_ref(), Ok(statement));
        changes(&bytes, |changed| {
            assert!(set.verify_statement(changed).is_err(), "{name}: {changed:?}");
        });
    }
    let bytes = key(2).sign_proposal(&vectors::proposal());
    changes(&bytes, |changed| assert!(set.verify_proposal(changed).is_err(), "{changed:?}"));
}

/// Each byte changed in three ways, or removed.
fn changes(bytes: &[u8], mut check: impl FnMut(&[u8])) {
    for place in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        for change in [0x01, 0x20, 0x80] {
            changed[place] ^= change;
            check(&changed);
            changed[place] ^= change;
        }
        changed.remove(place);
        check(&changed);
    }
}

#[test]
fn a_statement_that_breaks_its_form_is_refused_even_when_signed() {
    let set = vectors::set();
    let mut statement = vectors::refuse();
    for rule in ["", "two words", "two\nlines", "a\nown none\ntheirs none", "tab\t"] {
        let StatementBody::Refuse(refuse) = &mut statement.body else { panic!("a refusal") };
        rule.clone_into(&mut refuse.rule);
        assert!(set.verify_statement(&signed(4, &statement)).is_err(), "{rule:?}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let printed = format!("{:?}", key(1));
    assert!(printed.contains("secret redacted") && printed.contains("statement/authority-1"));
    assert!(!printed.contains(&const_hex::encode([97; 32])));
}

const MAX: u64 = (1 << 53) - 1;

fn member() -> impl Strategy<Value = KeyName> {
    (1..=4u8).prop_map(|number| SampleAuthority::new(number).name())
}

fn leadership() -> impl Strategy<Value = TermLeader> {
    (1..=MAX, member()).prop_map(|(term, leader)| TermLeader { term, leader })
}

/// A point at a height from 1.
fn point() -> impl Strategy<Value = LogPoint> {
    (1..=MAX, any::<prop::sample::Index>(), any::<[u8; 32]>()).prop_map(|(height, more, root)| {
        let size = height + more.index((MAX - height + 1) as usize) as u64;
        LogPoint { height, size, root: TreeHash::from_bytes(root) }
    })
}

fn law_id() -> impl Strategy<Value = ElectionId> {
    "[A-Za-z0-9_-][A-Za-z0-9._-]{0,49}".prop_map(|text| text.parse().expect("a law id"))
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

/// The report of a vote on one election: certified or empty, with or without an accepted block
/// above.
fn holding() -> impl Strategy<Value = (LogPoint, Option<LogPoint>)> {
    (prop::option::of(point()), prop::option::of(point())).prop_map(|(certified, accepted)| {
        let certified = certified.unwrap_or_default();
        (certified, accepted.filter(|accepted| accepted.height > certified.height))
    })
}

/// Elections in their order, each with what is held of it and the term of the accepted block.
fn vote() -> impl Strategy<Value = StatementBody> {
    let elections = prop::collection::btree_map(law_id(), (holding(), 1..=MAX), 0..5);
    (leadership(), elections).prop_map(|(leadership, elections)| {
        let mut votes = Vec::new();
        for (law_id, ((certified, accepted), term)) in elections {
            let accepted = accepted
                .filter(|_| term < leadership.term)
                .map(|point| AcceptedBlock { term, point });
            votes.push(ElectionVote { law_id, certified, accepted });
        }
        StatementBody::Vote(Vote { leadership, elections: votes })
    })
}

fn refuse() -> impl Strategy<Value = StatementBody> {
    let leaves = (prop::option::of(digest()), prop::option::of(digest()));
    (law_id(), leadership(), 1..=MAX, digest(), 0..=MAX, "[a-z0-9-]{1,40}", leaves).prop_map(
        |(law_id, leadership, height, digest, leaf, rule, (own, theirs))| {
            let refuse = Refuse { law_id, leadership, height, digest, leaf, rule, own, theirs };
            StatementBody::Refuse(refuse)
        },
    )
}

fn body() -> impl Strategy<Value = StatementBody> {
    let accept = (law_id(), leadership(), point()).prop_map(|(law_id, leadership, point)| {
        StatementBody::Accept(Accept { law_id, leadership, point })
    });
    let reason = prop::sample::select(vec![
        SuspectReason::Refused,
        SuspectReason::LeftOut,
        SuspectReason::Idle,
        SuspectReason::Stepdown,
    ]);
    let suspect = (leadership(), reason)
        .prop_map(|(leadership, reason)| StatementBody::Suspect(Suspect { leadership, reason }));
    prop_oneof![vote(), accept, refuse(), suspect]
}

fn proposal() -> impl Strategy<Value = BlockProposal> {
    let place = (1..=MAX, 0..=MAX, 1..=u32::MAX, any::<[u8; 32]>());
    let seconds = 946_684_800..=253_402_300_799u64;
    (law_id(), leadership(), place, digest(), any::<bool>(), seconds).prop_map(
        |(law_id, leadership, (height, first, count, root), digest, takes_votes, at)| {
            let first_leaf = first.min(MAX - u64::from(count));
            let size = first_leaf + u64::from(count);
            let root = TreeHash::from_bytes(root);
            BlockProposal {
                law_id,
                leadership,
                first_leaf,
                leaf_count: count,
                point: LogPoint { height: height.min(size), size, root },
                digest,
                takes_votes,
                proposed_at: UnixSeconds(at),
            }
        },
    )
}

proptest! {
    #[test]
    fn any_statement_is_read_as_it_is_written(
        number in 1..=4u8,
        incarnation in 1..=MAX,
        body in body(),
    ) {
        let authority = SampleAuthority::new(number).name();
        let statement = Statement { authority, incarnation, body };
        let bytes = signed(number, &statement);
        let read = vectors::set().verify_statement(&bytes);
        prop_assert_eq!(read.as_ref(), Ok(&statement));
        prop_assert_eq!(signed(number, &statement), bytes);
    }

    #[test]
    fn any_proposal_is_read_as_it_is_written(proposal in proposal()) {
        let number = (1..=4)
            .find(|number| SampleAuthority::new(*number).name() == proposal.leadership.leader)
            .expect("one of four");
        let bytes = key(number).sign_proposal(&proposal);
        prop_assert_eq!(vectors::set().verify_proposal(&bytes), Ok(proposal));
    }

    /// Any text is a statement or an error, and what is read is written again byte for byte.
    #[test]
    fn any_lines_are_a_statement_in_its_one_form_or_an_error(
        places in prop::collection::vec((0..16usize, 0..16usize), 0..4),
        which in 0..5usize,
    ) {
        let (_, statement) = &vectors::statements()[which];
        let text = statement.text(&base());
        let mut lines: Vec<&str> = text.lines().collect();
        for (from, to) in places {
            let count = lines.len();
            if from % 2 == 0 {
                lines.swap(from % count, to % count);
            } else {
                lines.insert(to % count, lines[from % count]);
            }
        }
        let changed: String = lines.iter().map(|line| format!("{line}\n")).collect();
        if let Ok(read) = Statement::parse_text(&changed, &vectors::set()) {
            prop_assert_eq!(read.text(&base()), changed);
        }
    }
}
