use serde_json::Value;

use super::{csv::to_csv, json::certified_digest, json::to_json, nist::to_nist};
use crate::ballot::BallotPublicKey;
use crate::election::{Bilingual, Choice, Definition, ResultsPolicy, State};
use crate::id::Digest;
use crate::instant::UnixMinutes;
use crate::reconcile::Report;
use crate::results::Results;
use crate::tally::Counts;

fn results(choices: &[&str], counts: &[u64]) -> Results {
    let text =
        |text: &str| Bilingual { fr: format!("{text}, « fr »"), en: format!("{text}, \"en\"") };
    let definition = Definition {
        law_id: "L2025-001".parse().expect("law id"),
        title: text("Title"),
        description: text("Description"),
        choices: choices
            .iter()
            .map(|id| Choice::with_customary_labels(id.parse().expect("choice id")))
            .collect(),
        binding: true,
        results: ResultsPolicy::AfterClose,
        publish_every: 1,
        opens: None,
        closes: None,
        ballot_key: BallotPublicKey::from_bytes([9; 32]),
    };
    let counts = Counts { choices: counts.to_vec(), spoiled: 1 };
    let accepted = counts.total();
    Results {
        definition,
        state: State::Certified,
        opened: Some(UnixMinutes(29_395_000)),
        closed: Some(UnixMinutes(29_396_440)),
        registered: 3 * accepted,
        report: Report { received: accepted + 6, accepted, duplicate: 3, invalid: 2, replayed: 1 },
        counts,
        log_size: 99,
        log_root: Digest::of(b"root"),
        updated_at: UnixMinutes(29_396_500),
    }
}

fn schema() -> jsonschema::Validator {
    let schema = include_str!(
        "../../../fixtures/reference/nist-sp-1500-100-v2-election-results-reporting.schema.json"
    );
    let schema: Value = serde_json::from_str(schema).expect("the schema is JSON");
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .expect("the schema is a schema")
}

#[test]
fn the_nist_report_is_valid_in_every_state_and_shape() {
    let validator = schema();
    for choices in [["oui", "non", "blanc"], ["alice", "bob", "carol"]] {
        for state in [State::Draft, State::Open, State::Closing, State::Closed, State::Certified] {
            let mut results = Results { state, ..results(&choices, &[5, 3, 1]) };
            for closed in [results.closed, None] {
                results.closed = closed;
                let report: Value = serde_json::from_slice(&to_nist(&results)).expect("JSON");
                let errors: Vec<String> =
                    validator.iter_errors(&report).map(|error| error.to_string()).collect();
                assert_eq!(errors, [""; 0], "{choices:?} {state}");
            }
        }
    }
}

#[test]
fn the_schema_refuses_what_it_should() {
    let mut report: Value =
        serde_json::from_slice(&to_nist(&results(&["oui", "non"], &[1, 2]))).expect("JSON");
    report["Election"][0]["Contest"][0]["Type"] = "plebiscite".into();
    assert!(!schema().is_valid(&report));
}

#[test]
fn json_says_everything_and_reads_back() {
    let document: Value =
        serde_json::from_slice(&to_json(&results(&["oui", "non", "blanc"], &[5, 3, 1])))
            .expect("JSON");
    assert_eq!(document["oui_count"], 5);
    assert_eq!(document["non_count"], 3);
    assert_eq!(document["blank_count"], 1);
    assert_eq!(document["total_votes"], 10);
    assert_eq!(document["turnout"], "33.33");
    assert_eq!(document["turnout_basis_points"], 3333);
    assert_eq!(document["closed"], "2025-11-22T04:40:00Z");
    assert_eq!(document["choices"][2]["id"], "blanc");
    let other: Value =
        serde_json::from_slice(&to_json(&results(&["alice", "bob"], &[5, 3]))).expect("JSON");
    assert_eq!(other.get("oui_count"), None);
}

#[test]
fn certification_is_of_the_closed_result() {
    let certified = results(&["oui", "non"], &[5, 3]);
    let closed = Results { state: State::Closed, ..certified.clone() };
    assert_eq!(certified_digest(&certified), certified_digest(&closed));
    assert_eq!(certified_digest(&closed), Digest::of(&to_json(&closed)));
}

#[test]
fn csv_reads_back_and_runs_no_formula() {
    let mut results = results(&["oui", "non"], &[5, 3]);
    results.definition.choices[0].fr = "=HYPERLINK(\"x\"), oui".to_owned();
    results.definition.choices[1].en = "-1+1".to_owned();
    // Definitions have no control characters, but the exporter does not rely on that.
    for (id, label) in [("lf", "\n=1"), ("tab", "\t=1"), ("cr", "\r=1")] {
        let (fr, en) = (label.to_owned(), "plain".to_owned());
        results.definition.choices.push(Choice { id: id.parse().expect("choice id"), fr, en });
        results.counts.choices.push(0);
    }
    let bytes = to_csv(&results);
    assert!(bytes.starts_with(b"law_id,kind,id,label_fr,label_en,count\r\n"));
    assert!(bytes.ends_with(b"\r\n"));
    let rows: Vec<Vec<String>> = ::csv::Reader::from_reader(bytes.as_slice())
        .records()
        .map(|row| row.expect("six fields").iter().map(str::to_owned).collect())
        .collect();
    assert_eq!(rows[0], ["L2025-001", "choice", "oui", "'=HYPERLINK(\"x\"), oui", "Yes", "5"]);
    assert_eq!(rows[1][4], "'-1+1");
    for (row, label) in rows[2..5].iter().zip(["'\n=1", "'\t=1", "'\r=1"]) {
        assert_eq!(row[3], label);
    }
    assert_eq!(rows[5][5], "1");
    assert_eq!(rows.last().map(|row| row[5].as_str()), Some("33.33"));
    assert!(
        rows.iter()
            .flatten()
            .all(|field| !field.starts_with(['=', '+', '-', '@', '\n', '\t', '\r']))
    );
}
