use ed25519_dalek::SigningKey;
use serde_json::json;

use crate::sample::{OUTSIDE, Sample, answered, entry, request, unanswered, vote};
use crate::{Report, Rule};

#[track_caller]
fn finds(sample: &Sample, rules: &[Rule]) -> Report {
    let report = sample.check();
    let found: Vec<Rule> = report.violations.iter().map(|violation| violation.rule).collect();
    assert_eq!(found, rules, "{report}");
    report
}

#[test]
fn what_agrees_has_no_violation_and_is_counted() {
    let report = finds(&Sample::good(), &[]);
    assert_eq!((report.votes, report.sent, report.answered, report.unanswered), (7, 7, 5, 2));
    assert_eq!(
        (report.decided, report.accepted, report.duplicate, report.invalid, report.replayed),
        (6, 4, 1, 1, 1)
    );
    assert_eq!((report.sendings, report.decisions, report.checkpoints), (9, 1, 1));
}

#[test]
fn a_lost_vote_is_found() {
    let mut sample = Sample::good();
    // Another request replaces it, so that all the accounts still agree.
    sample.leaves[2] = entry(999, "accepted", Some(5));
    let report = finds(&sample, &[Rule::Lost, Rule::NotCounted]);
    assert!(report.violations[0].to_string().contains(&request(101)), "{report}");
    assert_eq!(report.violations[0].line, 11, "the line that answered: {report}");
}

#[test]
fn a_request_that_is_decided_twice_is_found() {
    let mut sample = Sample::good();
    sample.leaves.insert(6, entry(101, "duplicate", Some(2)));
    sample.results["duplicate"] = 2.into();
    sample.results["replayed"] = 0.into();
    // Replaces the replay leaf.
    sample.leaves.remove(9);
    sample.leaves[9]["report"] =
        json!({"received": 7, "accepted": 4, "duplicate": 2, "invalid": 1, "replayed": 0});
    let report = finds(&sample, &[Rule::Doubled]);
    assert_eq!(report.violations[0].line, 7);
}

#[test]
fn a_key_that_became_two_requests_is_found() {
    let mut sample = Sample::good();
    sample.journal.push(answered(1, 105));
    finds(&sample, &[Rule::Doubled, Rule::WrongDecision, Rule::WrongCount, Rule::WrongCount]);
    let mut sample = Sample::good();
    // Vote 5 is of another row, and gets the request id of vote 0.
    sample.journal.push(answered(5, 100));
    let found = sample.check();
    assert!(found.violations_of(Rule::Doubled) == 1, "{found}");
}

#[test]
fn an_elector_who_counts_twice_is_found() {
    let mut sample = Sample::good();
    sample.leaves[5]["decision"] = "accepted".into();
    sample.leaves[9]["report"]["accepted"] = 5.into();
    sample.leaves[9]["report"]["duplicate"] = 0.into();
    sample.results["accepted"] = 5.into();
    sample.results["duplicate"] = 0.into();
    sample.results["choices"][1]["count"] = 3.into();
    finds(&sample, &[Rule::ReportedOtherwise, Rule::AcceptedTwice]);
}

#[test]
fn a_second_vote_that_counts_before_the_first_is_found() {
    let mut sample = Sample::good();
    sample.leaves.swap(1, 5);
    finds(&sample, &[Rule::WrongDecision]);
}

#[test]
fn an_invented_entry_is_found() {
    let mut sample = Sample::good();
    // Row 5 sent one vote without an answer, so one entry is possible, not two.
    sample.leaves[4]["count"] = 5.into();
    sample.leaves.insert(8, entry(201, "accepted", Some(5)));
    sample.leaves[10]["report"]["received"] = 8.into();
    sample.leaves[10]["report"]["accepted"] = 5.into();
    sample.results["received"] = 8.into();
    sample.results["accepted"] = 5.into();
    sample.results["choices"][0]["count"] = 3.into();
    finds(&sample, &[]);
    sample.journal[7]["row"] = 4.into();
    finds(&sample, &[Rule::Unexplained]);
    // There are no more entries of unknown credentials than were sent.
    let mut sample = Sample::good();
    sample.leaves.insert(6, entry(202, "invalid", None));
    let report = sample.check();
    assert_eq!(report.violations_of(Rule::Unexplained), 1, "{report}");
}

#[test]
fn votes_that_were_refused_explain_nothing() {
    let mut sample = Sample::good();
    sample.journal[14] =
        json!({"line": "outcome", "seq": 5, "at_us": 1, "status": 503, "code": "unavailable"});
    finds(&sample, &[Rule::Unexplained, Rule::WrongCount]);
    // One unanswered sending is enough to explain it.
    sample.journal.push(unanswered(5));
    finds(&sample, &[]);
}

#[test]
fn a_wrong_decision_is_found() {
    let mut sample = Sample::good();
    sample.leaves[6] = entry(104, "accepted", Some(5));
    sample.leaves[7] = entry(105, "invalid", None);
    let report = sample.check();
    assert_eq!(
        report.violations_of(Rule::WrongDecision),
        1,
        "somebody's vote counts for row 5: {report}"
    );
    let mut sample = Sample::good();
    sample.leaves[3] = entry(102, "invalid", None);
    let report = sample.check();
    assert_eq!(
        (report.violations_of(Rule::WrongDecision), report.violations_of(Rule::NotCounted)),
        (1, 1),
        "{report}"
    );
}

#[test]
fn a_wrong_count_is_found() {
    let mut sample = Sample::good();
    sample.results["choices"] = json!([{"id": "oui", "count": 3}, {"id": "non", "count": 1}]);
    finds(&sample, &[Rule::WrongCount, Rule::WrongCount]);
    let mut sample = Sample::good();
    sample.results["spoiled"] = 1.into();
    finds(&sample, &[Rule::WrongCount]);
}

/// It is unknown which of two unanswered votes of one row counted: both counts are possible, no
/// other is.
#[test]
fn unanswered_votes_give_bounds() {
    let mut sample = Sample::good();
    sample.journal.insert(8, vote(7, Some(4), "oui"));
    finds(&sample, &[]);
    sample.results["choices"] = json!([{"id": "oui", "count": 3}, {"id": "non", "count": 1}]);
    finds(&sample, &[]);
    sample.results["choices"] = json!([{"id": "oui", "count": 4}, {"id": "non", "count": 0}]);
    finds(&sample, &[Rule::WrongCount, Rule::WrongCount]);
}

#[test]
fn accounts_that_do_not_add_up_are_found() {
    let mut sample = Sample::good();
    sample.leaves[9]["report"]["replayed"] = 0.into();
    finds(&sample, &[Rule::Accounts]);
    let mut sample = Sample::good();
    sample.leaves.pop();
    finds(&sample, &[Rule::Accounts]);
    let mut sample = Sample::good();
    sample.leaves[4]["count"] = 5.into();
    let report = sample.check();
    assert_eq!(report.violations_of(Rule::Accounts), 2, "received, in two places: {report}");
}

#[test]
fn a_wrong_root_and_a_strange_signature_are_found() {
    let mut sample = Sample::good();
    sample.root = Some([9; 32]);
    finds(&sample, &[Rule::WrongRoot]);
    let mut sample = Sample::good();
    sample.key = SigningKey::from_bytes(&[8; 32]);
    finds(&sample, &[Rule::NotSigned]);
}

#[test]
fn a_log_that_takes_back_what_it_signed_is_found() {
    let mut sample = Sample::good();
    sample.seen = Some(sample.leaves[..5].to_vec());
    finds(&sample, &[]);
    sample.seen = Some(vec![sample.leaves[0].clone(), entry(555, "accepted", Some(5))]);
    finds(&sample, &[Rule::WrongRoot]);
    sample.seen = Some(sample.leaves.iter().cloned().chain([json!({"leaf": "block"})]).collect());
    finds(&sample, &[Rule::WrongRoot]);
}

#[test]
fn outside_witnesses_cosign_the_last_checkpoint_unless_the_log_waives_them() {
    let mut sample = Sample::good();
    sample.has_outside = true;
    sample.seen = Some(sample.leaves[..5].to_vec());
    sample.cosigned_by = Some(vec![11, 12, OUTSIDE]);
    finds(&sample, &[]);
    sample.cosigned_by = Some(vec![11, 12]);
    finds(&sample, &[Rule::NoQuorum]);
    let mut certified = json!({"leaf": "election", "state": "certified"});
    sample.leaves.push(certified.clone());
    finds(&sample, &[Rule::NoQuorum]);
    certified["witness_waiver"] = "out of reach".into();
    *sample.leaves.last_mut().expect("the certified leaf") = certified;
    finds(&sample, &[]);
    sample.cosigned_by = Some(vec![11]);
    finds(&sample, &[Rule::NoQuorum, Rule::NoQuorum]);
}

#[test]
fn a_checkpoint_without_the_quorum_is_found() {
    let mut sample = Sample::good();
    for cosigned_by in [&[11, 12][..], &[12, 13], &[11, 12, 13]] {
        sample.cosigned_by = Some(cosigned_by.to_vec());
        finds(&sample, &[]);
    }
    // A cosigner that the policy does not name, and one that signs twice, are not a quorum.
    for cosigned_by in [&[][..], &[11], &[11, 14], &[11, 11]] {
        sample.cosigned_by = Some(cosigned_by.to_vec());
        finds(&sample, &[Rule::NoQuorum]);
    }
}
