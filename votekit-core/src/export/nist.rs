//! Results as a NIST SP 1500-100 version 2 election results report, in its JSON form.
//!
//! The report has one contest, always a ballot measure: votekit has no candidates or parties, only
//! choices with labels. A blank vote is a choice of the ballot, so it is a selection with its
//! count; a spoiled vote is a ballot without a readable selection, an undervote in the standard's
//! terms. The times are those of the log, never those of the machine that writes the report.

use serde::Serialize;

use crate::election::{Bilingual, State};
use crate::instant::UnixMinutes;
use crate::results::Results;

const ELECTORATE: &str = "gp-electorate";

/// The results as pretty-printed JSON that is valid under the standard's schema, with a final line
/// feed.
#[must_use]
pub fn to_nist(results: &Results) -> Vec<u8> {
    let mut bytes =
        serde_json::to_vec_pretty(&election_report(results)).expect("a report has text keys only");
    bytes.push(b'\n');
    bytes
}

fn election_report(results: &Results) -> ElectionReport<'_> {
    ElectionReport {
        kind: "ElectionResults.ElectionReport",
        election: [election(results)],
        external_identifier: [
            ExternalIdentifier::new("log-size", results.log_size.to_string()),
            ExternalIdentifier::new("log-root", results.log_root.to_hex()),
        ],
        format: "summary-contest",
        generated_date: results.updated_at.to_rfc3339(),
        gp_unit: [electorate(results)],
        is_test: !results.definition.binding,
        issuer: "votekit",
        issuer_abbreviation: "votekit",
        sequence_end: 1,
        sequence_start: 1,
        status: match results.state {
            State::Draft => "pre-election",
            State::Open | State::Closing => "unofficial-partial",
            State::Closed => "unofficial-complete",
            State::Certified => "certified",
            State::Annulled => "correction",
        },
        test_type: (!results.definition.binding)
            .then_some("consultation or test: nothing binding is decided"),
        vendor_application_id: "votekit",
    }
}

fn electorate(results: &Results) -> ReportingUnit {
    ReportingUnit {
        id: ELECTORATE,
        kind: "ElectionResults.ReportingUnit",
        name: text([("fr", "Ensemble des électeurs inscrits"), ("en", "All registered electors")]),
        other_type: "electorate",
        unit_type: "other",
        voters_participated: results.report.accepted,
        voters_registered: results.registered,
    }
}

fn election(results: &Results) -> Election<'_> {
    let definition = &results.definition;
    let start = results.opened.or(definition.opens).unwrap_or(results.updated_at);
    let end = results.closed.or(definition.closes).unwrap_or(results.updated_at).max(start);
    Election {
        kind: "ElectionResults.Election",
        ballot_counts: [BallotCounts {
            kind: "ElectionResults.BallotCounts",
            ballots_cast: results.report.accepted,
            ballots_rejected: results.report.duplicate + results.report.invalid,
            gp_unit_id: ELECTORATE,
            count_type: "total",
        }],
        contest: [contest(results)],
        count_status: [count_status(results)],
        election_scope_id: ELECTORATE,
        end_date: date(end),
        external_identifier: [ExternalIdentifier::new(
            "law-id",
            definition.law_id.as_str().to_owned(),
        )],
        name: bilingual(&definition.title),
        other_type: if is_referendum(results) { "referendum" } else { "vote" },
        start_date: date(start),
        election_type: "other",
    }
}

fn contest(results: &Results) -> BallotMeasureContest<'_> {
    let definition = &results.definition;
    let choices = definition.choices.iter().zip(&results.counts.choices);
    BallotMeasureContest {
        id: "contest",
        kind: "ElectionResults.BallotMeasureContest",
        ballot_title: bilingual(&definition.title),
        contest_selection: (1..)
            .zip(choices)
            .map(|(place, (choice, count))| BallotMeasureSelection {
                id: format!("choice-{}", choice.id),
                kind: "ElectionResults.BallotMeasureSelection",
                selection: text([("fr", choice.fr.as_str()), ("en", choice.en.as_str())]),
                sequence_order: place,
                vote_counts: [VoteCounts {
                    kind: "ElectionResults.VoteCounts",
                    count: *count,
                    gp_unit_id: ELECTORATE,
                    count_type: "total",
                }],
            })
            .collect(),
        count_status: [count_status(results)],
        election_district_id: ELECTORATE,
        full_text: has_description(results).then(|| bilingual(&definition.description)),
        name: definition.law_id.as_str(),
        other_counts: [OtherCounts {
            kind: "ElectionResults.OtherCounts",
            gp_unit_id: ELECTORATE,
            overvotes: 0,
            undervotes: results.counts.spoiled,
        }],
        other_type: (!is_referendum(results)).then_some("choice"),
        contest_type: if is_referendum(results) { "referendum" } else { "other" },
        vote_variation: "plurality",
    }
}

fn count_status(results: &Results) -> CountStatus {
    let status = match results.state {
        State::Draft => "not-processed",
        State::Open | State::Closing => "in-process",
        State::Closed | State::Certified | State::Annulled => "completed",
    };
    CountStatus { kind: "ElectionResults.CountStatus", status, count_type: "total" }
}

fn is_referendum(results: &Results) -> bool {
    results.has_choice("oui") && results.has_choice("non")
}

fn has_description(results: &Results) -> bool {
    let description = &results.definition.description;
    !description.fr.is_empty() && !description.en.is_empty()
}

/// The day in UTC, as `YYYY-MM-DD`.
fn date(at: UnixMinutes) -> String {
    let instant = at.to_rfc3339();
    instant.split('T').next().unwrap_or_default().to_owned()
}

fn bilingual(text_: &Bilingual) -> InternationalizedText<'_> {
    text([("fr", text_.fr.as_str()), ("en", text_.en.as_str())])
}

fn text<'a>(contents: [(&'static str, &'a str); 2]) -> InternationalizedText<'a> {
    let string = |(language, content)| LanguageString {
        kind: "ElectionResults.LanguageString",
        content,
        language,
    };
    InternationalizedText {
        kind: "ElectionResults.InternationalizedText",
        text: contents.map(string),
    }
}

/// The standard's classes, with the attributes that votekit fills in. Field order is the order in
/// the file.
macro_rules! classes {
    ($($name:ident $(<$life:lifetime>)? { $($field:ident / $wire:literal : $type:ty,)* })*) => {
        $(#[derive(Serialize)]
        struct $name $(<$life>)? {
            $(#[serde(rename = $wire)] $field: $type,)*
        })*
    };
}

classes! {
    ReportingUnit {
        id / "@id": &'static str,
        kind / "@type": &'static str,
        name / "Name": InternationalizedText<'static>,
        other_type / "OtherType": &'static str,
        unit_type / "Type": &'static str,
        voters_participated / "VotersParticipated": u64,
        voters_registered / "VotersRegistered": u64,
    }
    Election<'a> {
        kind / "@type": &'static str,
        ballot_counts / "BallotCounts": [BallotCounts; 1],
        contest / "Contest": [BallotMeasureContest<'a>; 1],
        count_status / "CountStatus": [CountStatus; 1],
        election_scope_id / "ElectionScopeId": &'static str,
        end_date / "EndDate": String,
        external_identifier / "ExternalIdentifier": [ExternalIdentifier; 1],
        name / "Name": InternationalizedText<'a>,
        other_type / "OtherType": &'static str,
        start_date / "StartDate": String,
        election_type / "Type": &'static str,
    }
    BallotCounts {
        kind / "@type": &'static str,
        ballots_cast / "BallotsCast": u64,
        ballots_rejected / "BallotsRejected": u64,
        gp_unit_id / "GpUnitId": &'static str,
        count_type / "Type": &'static str,
    }
    BallotMeasureSelection<'a> {
        id / "@id": String,
        kind / "@type": &'static str,
        selection / "Selection": InternationalizedText<'a>,
        sequence_order / "SequenceOrder": u16,
        vote_counts / "VoteCounts": [VoteCounts; 1],
    }
    VoteCounts {
        kind / "@type": &'static str,
        count / "Count": u64,
        gp_unit_id / "GpUnitId": &'static str,
        count_type / "Type": &'static str,
    }
    OtherCounts {
        kind / "@type": &'static str,
        gp_unit_id / "GpUnitId": &'static str,
        overvotes / "Overvotes": u64,
        undervotes / "Undervotes": u64,
    }
    CountStatus {
        kind / "@type": &'static str,
        status / "Status": &'static str,
        count_type / "Type": &'static str,
    }
    ExternalIdentifier {
        kind / "@type": &'static str,
        other_type / "OtherType": &'static str,
        identifier_type / "Type": &'static str,
        value / "Value": String,
    }
    InternationalizedText<'a> {
        kind / "@type": &'static str,
        text / "Text": [LanguageString<'a>; 2],
    }
    LanguageString<'a> {
        kind / "@type": &'static str,
        content / "Content": &'a str,
        language / "Language": &'static str,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ElectionReport<'a> {
    #[serde(rename = "@type")]
    kind: &'static str,
    election: [Election<'a>; 1],
    external_identifier: [ExternalIdentifier; 2],
    format: &'static str,
    generated_date: String,
    gp_unit: [ReportingUnit; 1],
    is_test: bool,
    issuer: &'static str,
    issuer_abbreviation: &'static str,
    sequence_end: u32,
    sequence_start: u32,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    test_type: Option<&'static str>,
    vendor_application_id: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BallotMeasureContest<'a> {
    #[serde(rename = "@id")]
    id: &'static str,
    #[serde(rename = "@type")]
    kind: &'static str,
    ballot_title: InternationalizedText<'a>,
    contest_selection: Vec<BallotMeasureSelection<'a>>,
    count_status: [CountStatus; 1],
    election_district_id: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    full_text: Option<InternationalizedText<'a>>,
    name: &'a str,
    other_counts: [OtherCounts; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    other_type: Option<&'static str>,
    #[serde(rename = "Type")]
    contest_type: &'static str,
    vote_variation: &'static str,
}

impl ExternalIdentifier {
    fn new(other_type: &'static str, value: String) -> Self {
        Self {
            kind: "ElectionResults.ExternalIdentifier",
            other_type,
            identifier_type: "other",
            value,
        }
    }
}
