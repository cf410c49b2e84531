use super::*;
use crate::authority::vectors;
use crate::id::IdError;
use crate::log::note::KeyError;

fn text(statement: &Statement) -> String {
    statement.text(vectors::set().base())
}

fn parse(text: &str) -> Result<Statement, StatementError> {
    Statement::parse_text(text, &vectors::set())
}

/// Replaces the first `from` and returns the line and the rule at which reading stops.
fn refused(statement: &Statement, from: &str, to: &str) -> (usize, StatementRule) {
    let text = text(statement);
    assert!(text.contains(from), "{from:?} in {text}");
    match parse(&text.replacen(from, to, 1)) {
        Err(StatementError::Malformed { line, rule }) => (line, rule),
        other => panic!("{from:?} -> {to:?} gives {other:?}"),
    }
}

#[test]
fn a_statement_is_read_as_it_is_written() {
    for (name, statement) in vectors::statements() {
        assert_eq!(parse(&text(&statement)), Ok(statement.clone()), "{name}");
        assert!(name.starts_with(statement.body.kind()), "{name}");
        assert_eq!(statement.body.leadership().term, 5);
    }
}

#[test]
fn each_rule_of_the_head_is_enforced() {
    let name = |position| StatementRule::Name(KeyError::NameCharacter { position });
    let stranger = StatementRule::NotMember("authority-5".parse().expect("a key name"));
    let number = |least| StatementRule::Number { least };
    let base = StatementRule::Base(vectors::set().base().clone());
    for (from, to, line, rule) in [
        ("votekit-statement/1", "votekit-statement/2", 1, StatementRule::Format(FORMAT)),
        ("votekit-statement/1", "votekit-proposal/1", 1, StatementRule::Format(FORMAT)),
        ("votekit-statement/1\n", "", 1, StatementRule::Format(FORMAT)),
        ("base votekit.example", "base votekit.example2", 2, base.clone()),
        ("base votekit.example", "base  votekit.example", 2, base),
        ("base ", "", 2, StatementRule::Field("base")),
        ("authority authority-1", "authority authority-5", 3, stranger.clone()),
        ("authority authority-1", "authority  authority-1", 3, name(1)),
        ("authority authority-1", "authority authority-1 ", 3, name(12)),
        ("authority authority-1\n", "", 3, StatementRule::Field("authority")),
        ("authority authority-1\n", "authority\n", 3, StatementRule::Field("authority")),
        ("incarnation 2", "incarnation 0", 4, number(1)),
        ("incarnation 2", "incarnation 02", 4, number(1)),
        ("incarnation 2", "incarnation 9007199254740992", 4, number(1)),
        ("incarnation 2", "incarnation -2", 4, number(1)),
        ("kind suspect", "kind Suspect", 5, StatementRule::Kind),
        ("kind suspect", "kind cosign", 5, StatementRule::Kind),
        ("kind suspect", "kind accept", 8, StatementRule::Field("election")),
        ("kind suspect", "kind vote", 8, StatementRule::Trailing),
        ("term 5", "term 0", 6, number(1)),
        ("term 5\nleader authority-2", "leader authority-2\nterm 5", 6, field("term")),
        ("leader authority-2", "leader authority-5", 7, stranger),
        ("reason left-out", "reason left out", 8, StatementRule::Reason),
        ("reason left-out", "reason LEFT-OUT", 8, StatementRule::Reason),
        ("reason left-out\n", "reason left-out\nreason idle\n", 9, StatementRule::Trailing),
        ("reason left-out\n", "reason left-out\n\n", 9, StatementRule::Trailing),
        ("reason left-out\n", "", 8, field("reason")),
    ] {
        assert_eq!(refused(&vectors::suspect(), from, to), (line, rule), "{from:?} -> {to:?}");
    }
    let largest =
        text(&vectors::suspect()).replace("incarnation 2", "incarnation 9007199254740991");
    assert!(parse(&largest).is_ok());
}

fn field(name: &'static str) -> StatementRule {
    StatementRule::Field(name)
}

#[test]
fn every_reason_has_its_name() {
    for (reason, name) in [
        (SuspectReason::Refused, "refused"),
        (SuspectReason::LeftOut, "left-out"),
        (SuspectReason::Idle, "idle"),
        (SuspectReason::Stepdown, "step-down"),
    ] {
        let changed = text(&vectors::suspect()).replace("left-out", name);
        let statement = parse(&changed).expect("a reason");
        let StatementBody::Suspect(suspect) = statement.body else { panic!("a suspect") };
        assert_eq!((suspect.reason, suspect.reason.to_string().as_str()), (reason, name));
    }
}

#[test]
fn each_rule_of_a_vote_is_enforced() {
    let root = |byte: u8| const_hex::encode([byte; 32]);
    let (seven, eight) = (root(7), root(8));
    let certified = format!("certified 7 700 {seven}");
    let accepted = format!("accepted 4 8 812 {eight}");
    let empty = format!("certified 0 0 {}", crate::log::merkle::empty_root());
    let law = StatementRule::Id(IdError::LawCharacter { position: 1 });
    let cases: Vec<(&str, String, usize, StatementRule)> = vec![
        ("election L2025-001", "election  L2025-001".to_owned(), 8, law),
        ("election L2025-002", "election L2025-001".to_owned(), 11, StatementRule::ElectionOrder),
        ("election L2025-001", "election L2025-003".to_owned(), 11, StatementRule::ElectionOrder),
        ("election L2025-002", "elections L2025-002".to_owned(), 11, StatementRule::Trailing),
        (certified.as_str(), String::new(), 9, field("certified")),
        (certified.as_str(), format!("certified 7 6 {seven}"), 9, StatementRule::Point),
        (certified.as_str(), format!("certified 07 700 {seven}"), 9, StatementRule::Point),
        (certified.as_str(), format!("certified 7  700 {seven}"), 9, StatementRule::Point),
        (certified.as_str(), format!("certified 7 700 {seven} "), 9, StatementRule::Point),
        (certified.as_str(), format!("certified 7 700 {}", &seven[1..]), 9, StatementRule::Point),
        (certified.as_str(), "certified 7 700".to_owned(), 9, StatementRule::Point),
        (certified.as_str(), format!("certified 8 700 {seven}"), 10, StatementRule::AcceptedHeight),
        (empty.as_str(), format!("certified 0 0 {seven}"), 12, StatementRule::Point),
        (empty.as_str(), empty.replace("0 0", "0 1"), 12, StatementRule::Point),
        (accepted.as_str(), format!("accepted 5 8 812 {eight}"), 10, StatementRule::AcceptedTerm),
        (accepted.as_str(), format!("accepted 0 8 812 {eight}"), 10, StatementRule::AcceptedForm),
        (accepted.as_str(), format!("accepted 8 812 {eight}"), 10, StatementRule::AcceptedForm),
        (accepted.as_str(), format!("{accepted}\n{accepted}"), 11, StatementRule::Trailing),
    ];
    for (from, to, line, rule) in cases {
        assert_eq!(refused(&vectors::vote(), from, &to), (line, rule), "{from:?} -> {to:?}");
    }
    // An authority without any election votes too.
    let mut statement = vectors::vote();
    if let StatementBody::Vote(vote) = &mut statement.body {
        vote.elections.clear();
    }
    assert_eq!(parse(&text(&statement)), Ok(statement));
}

#[test]
fn each_rule_of_an_accept_is_enforced() {
    let digits = StatementRule::Id(IdError::Hex { expected: 64 });
    for (from, to, line, rule) in [
        ("election L2025-001\n", "", 8, field("election")),
        ("height 8", "height 0", 9, StatementRule::Number { least: 1 }),
        ("size 812", "size 7", 10, StatementRule::Number { least: 8 }),
        ("size 812\n", "", 10, field("size")),
        ("root 08", "root 8", 11, digits.clone()),
        ("root 08", "root 0G", 11, digits),
        ("0808\n", "0808\nroot\n", 12, StatementRule::Trailing),
    ] {
        assert_eq!(refused(&vectors::accept(), from, to), (line, rule), "{from:?} -> {to:?}");
    }
}

#[test]
fn each_rule_of_a_refusal_is_enforced() {
    let digits = StatementRule::Id(IdError::Hex { expected: 64 });
    let long = format!("rule {}", "a".repeat(41));
    for (from, to, line, rule) in [
        ("height 8", "height 0", 9, StatementRule::Number { least: 1 }),
        ("digest ", "digest none", 10, digits.clone()),
        ("leaf 705", "leaf 0705", 11, StatementRule::Number { least: 0 }),
        ("rule entry-decision", "rule entry_decision", 12, StatementRule::RuleName),
        ("rule entry-decision", "rule Entry", 12, StatementRule::RuleName),
        ("rule entry-decision", "rule ", 12, StatementRule::RuleName),
        ("rule entry-decision", "rule", 12, field("rule")),
        ("rule entry-decision", long.as_str(), 12, StatementRule::RuleName),
        ("own ", "own none", 13, digits.clone()),
        ("own ", "own", 13, field("own")),
        ("theirs ", "theirs NONE", 14, digits),
    ] {
        assert_eq!(refused(&vectors::refuse(), from, to), (line, rule), "{from:?} -> {to:?}");
    }
    let longest = format!("rule {}", "a".repeat(Refuse::RULE_LENGTH_MAX));
    let text = text(&vectors::refuse()).replace("rule entry-decision", &longest);
    assert!(parse(&text).is_ok());
}
