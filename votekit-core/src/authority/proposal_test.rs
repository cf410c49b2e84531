use super::*;
use crate::authority::vectors;
use crate::id::IdError;

fn parse(text: &str) -> Result<BlockProposal, StatementError> {
    BlockProposal::parse_text(text, &vectors::set())
}

fn text() -> String {
    vectors::proposal().text(vectors::set().base())
}

#[test]
fn a_proposal_is_read_as_it_is_written() {
    assert_eq!(parse(&text()), Ok(vectors::proposal()));
    let closing = BlockProposal { takes_votes: false, ..vectors::proposal() };
    assert_eq!(parse(&closing.text(vectors::set().base())), Ok(closing));
}

#[test]
fn each_rule_of_a_proposal_is_enforced() {
    let number = |least| StatementRule::Number { least };
    let digits = StatementRule::Id(IdError::Hex { expected: 64 });
    let stranger = StatementRule::NotMember("authority-9".parse().expect("a key name"));
    for (from, to, line, rule) in [
        ("votekit-proposal/1", "votekit-statement/1", 1, StatementRule::Format(FORMAT)),
        ("base votekit", "base elsewhere", 2, base_rule()),
        ("election L2025-001\nterm 5", "term 5\nelection L2025-001", 3, field("election")),
        ("election L", "election /", 3, StatementRule::Id(IdError::LawCharacter { position: 1 })),
        ("term 5", "term 0", 4, number(1)),
        ("leader authority-2", "leader authority-9", 5, stranger),
        ("height 8", "height 0", 6, number(1)),
        ("first 700", "first 0700", 7, number(0)),
        ("count 112", "count 0", 8, number(1)),
        ("count 112", "count 4294967296", 8, number(1)),
        ("size 812", "size 811", 9, StatementRule::Size),
        ("size 812", "size 7", 9, number(8)),
        ("first 700", "first 9007199254740991", 9, StatementRule::Size),
        ("root 08", "root 0", 10, digits.clone()),
        ("digest ", "digest 0", 11, digits),
        ("takes-votes yes", "takes-votes true", 12, StatementRule::Flag),
        ("takes-votes yes", "takes-votes  yes", 12, StatementRule::Flag),
        ("at 1763712000", "at 0", 13, StatementRule::Time),
        ("at 1763712000", "at 253402300800", 13, StatementRule::Time),
        ("at 1763712000", "at 1763712000.5", 13, number(0)),
        ("at 1763712000\n", "", 13, field("at")),
        ("at 1763712000\n", "at 1763712000\nat 1\n", 14, StatementRule::Trailing),
    ] {
        assert!(text().contains(from), "{from:?}");
        let fault = StatementError::Malformed { line, rule };
        assert_eq!(parse(&text().replacen(from, to, 1)), Err(fault), "{from:?} -> {to:?}");
    }
    assert!(parse(&text().replace("at 1763712000", "at 253402300799")).is_ok());
}

fn base_rule() -> StatementRule {
    StatementRule::Base(vectors::set().base().clone())
}

fn field(name: &'static str) -> StatementRule {
    StatementRule::Field(name)
}
