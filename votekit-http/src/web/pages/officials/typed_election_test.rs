//! The typed election: the kept values, and the errors at their fields.

use votekit_core::instant::UnixSeconds;

use super::*;

const NOW: &str = "2026-11-20T12:00:00Z";

fn now() -> UnixMinutes {
    UnixSeconds::from_rfc3339(NOW).expect("a time").minute_floor()
}

/// A form without an error, as a browser sends it.
const GOOD: &str = "law_id=L2026-001&title_fr=Loi+sur+l%E2%80%99eau&title_en=Water+Act\
    &description_fr=Une%0D%0Aligne&description_en=&rows=3&choice_0_id=oui&choice_0_fr=Oui\
    &choice_0_en=Yes&choice_1_id=&choice_1_fr=&choice_1_en=&choice_2_id=non&choice_2_fr=Non\
    &choice_2_en=No&blank=on&nature=test&results=live&publish_every=20\
    &opens=2026-11-21T08:00&opens_offset=-05:00&closes=2026-11-22T08:00&closes_offset=-05:00";

fn typed(changes: &[(&str, &str)]) -> TypedElection {
    let mut fields: Vec<(String, String)> = GOOD
        .split('&')
        .filter_map(|field| field.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        fields.push(((*name).to_owned(), (*value).to_owned()));
    }
    let body: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    TypedElection::from_form(&FormBody::from_text(&body.join("&")))
}

fn errors(changes: &[(&str, &str)]) -> Vec<String> {
    match typed(changes).check(Lang::Fr, now(), None, None) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.fields.into_iter().map(|error| error.field).collect(),
    }
}

#[test]
fn a_good_form_becomes_a_definition() {
    let checked = typed(&[]).check(Lang::En, now(), None, None).expect("no error");
    let definition = checked.definition;
    assert_eq!(definition.law_id.as_str(), "L2026-001");
    assert_eq!(definition.title.fr, "Loi sur l’eau");
    assert_eq!(definition.description.fr, "Une ligne", "line breaks become spaces");
    let ids: Vec<_> = definition.choices.iter().map(|choice| choice.id.as_str()).collect();
    assert_eq!(ids, ["oui", "non", BLANK], "the empty row does not count");
    assert_eq!(checked.choices.len(), 3);
    assert_eq!(checked.opens.as_deref(), Some("2026-11-21T08:00:00-05:00"));
    assert_eq!(definition.closes.expect("planned").to_rfc3339(), "2026-11-22T13:00:00Z");
    assert!(!definition.binding);
}

#[test]
fn each_error_has_its_field() {
    assert!(errors(&[]).is_empty());
    let long = "x".repeat(501);
    for (changes, expected) in [
        (&[("law_id", "")][..], vec!["law_id"]),
        (&[("law_id", "L%2F..")], vec!["law_id"]),
        (&[("title_fr", ""), ("title_en", "%20%20")], vec!["title_fr", "title_en"]),
        (&[("title_fr", long.as_str())], vec!["title_fr"]),
        (&[("title_en", "a%E2%80%AEb")], vec!["title_en"]),
        (&[("nature", "")], vec!["nature"]),
        (&[("nature", "official")], vec!["nature"]),
        (&[("results", "never")], vec!["results"]),
        (&[("publish_every", "0")], vec!["publish_every"]),
        (&[("publish_every", "-1")], vec!["publish_every"]),
        (&[("choice_1_fr", "Peut-%C3%AAtre")], vec!["choice_1_en", "choice_1_id"]),
        (&[("choice_0_id", "OUI")], vec!["choice_0_id"]),
        (&[("choice_2_id", "oui")], vec!["choice_0_id"]),
        (&[("choice_2_en", "Yes")], vec!["choice_0_id"]),
        (&[("opens", "21/11/2026")], vec!["opens"]),
        (&[("opens_offset", "")], vec!["opens_offset"]),
        (&[("opens", "2026-11-20T06:59")], vec!["opens"]),
        (&[("closes", "2026-11-20T06:00")], vec!["closes"]),
        (&[("closes", "2026-11-21T08:00")], vec!["closes"]),
    ] {
        assert_eq!(errors(changes), expected, "{changes:?}");
    }
    let empty = [("choice_0_id", ""), ("choice_0_fr", ""), ("choice_0_en", ""), ("blank", "")];
    assert_eq!(errors(&empty), ["choice_0_id"], "one choice is left");
    assert_eq!(errors(&[("opens", ""), ("closes", "")]), [""; 0], "times are optional");
}

#[test]
fn rows_are_added_and_removed_within_their_limits() {
    let mut election = TypedElection::new(None);
    assert_eq!(election.choices.len(), ROWS_MIN);
    election.add_row();
    assert_eq!((election.choices.len(), &election.choices[2]), (3, &TypedChoice::default()));
    election.remove_row(0);
    assert_eq!(election.choices[0].id, "non");
    election.remove_row(0);
    assert_eq!(election.choices[0], TypedChoice::default(), "the last two are emptied");
    election.remove_row(99);
    assert_eq!(election.choices.len(), ROWS_MIN);
    for _ in 0..2 * Definition::CHOICES_MAX {
        election.add_row();
    }
    assert_eq!(election.choices.len(), Definition::CHOICES_MAX);
    let many = typed(&[("rows", "4000000000")]);
    assert_eq!(many.choices.len(), Definition::CHOICES_MAX);
    assert_eq!(typed(&[("rows", "x")]).choices.len(), ROWS_MIN);
}

#[test]
fn draft_fills_its_form_again() {
    let checked = typed(&[]).check(Lang::Fr, now(), None, None).expect("no error");
    let form = TypedElection::from_definition(&checked.definition, None);
    assert!(form.has_blank && form.nature == TEST && form.policy == "live");
    assert_eq!(form.choices.len(), 2, "the blank choice has its own box");
    assert_eq!(form.opens.local, "2026-11-21T13:00");
    let zone = "EST5EDT,M3.2.0,M11.1.0".parse().expect("a rule");
    let in_zone = TypedElection::from_definition(&checked.definition, Some(&zone));
    assert_eq!(in_zone.opens.local, "2026-11-21T08:00");
    let same = in_zone.check(Lang::Fr, now(), None, Some(&zone)).expect("no error");
    assert_eq!(same.definition, checked.definition);
    let again = form.check(Lang::Fr, now(), None, None).expect("no error");
    assert_eq!(again.definition, checked.definition);
    let later = UnixMinutes(checked.definition.opens.expect("planned").0 + 1);
    let planned = checked.definition.opens;
    assert!(form.check(Lang::Fr, later, planned, None).is_ok(), "planned before, and passed since");
    assert!(form.check(Lang::Fr, later, None, None).is_err());
}
