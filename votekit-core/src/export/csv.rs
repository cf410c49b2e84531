//! Results as CSV (RFC 4180): one row per count, for spreadsheets.

use std::borrow::Cow;

use super::json::percent;
use crate::results::Results;

/// The results as CSV with the columns `law_id,kind,id,label_fr,label_en,count`: one row of kind
/// `choice` per choice, one `spoiled`, then one `total` per sum.
///
/// A text that a spreadsheet would run as a formula (it starts with `=`, `+`, `-`, `@`, a tab, a
/// carriage return or a line feed) is prefixed with an apostrophe.
#[must_use]
pub fn to_csv(results: &Results) -> Vec<u8> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let law = inert(results.law_id().as_str());
    let mut row = |kind: &str, id: &str, fr: &str, en: &str, count: &str| {
        let fields = [law.as_ref(), kind, &inert(id), &inert(fr), &inert(en), count];
        writer
            .write_record(fields)
            .expect("writing to memory does not fail, and every row has six fields");
    };
    for (choice, count) in results.definition.choices.iter().zip(&results.counts.choices) {
        row("choice", choice.id.as_str(), &choice.fr, &choice.en, &count.to_string());
    }
    row(
        "spoiled",
        "spoiled",
        "Votes illisibles",
        "Spoiled votes",
        &results.counts.spoiled.to_string(),
    );
    let report = &results.report;
    for (id, fr, en, count) in [
        ("total_votes", "Total des votes", "Total votes", results.counts.total()),
        ("registered", "Électeurs inscrits", "Registered electors", results.registered),
        ("received", "Envois reçus", "Envelopes received", report.received),
        ("accepted", "Votes acceptés", "Votes accepted", report.accepted),
        ("duplicate", "Votes en double", "Duplicate votes", report.duplicate),
        ("invalid", "Votes invalides", "Invalid votes", report.invalid),
        ("replayed", "Envois répétés", "Envelopes replayed", report.replayed),
    ] {
        row("total", id, fr, en, &count.to_string());
    }
    row(
        "total",
        "turnout_percent",
        "Taux de participation",
        "Turnout",
        &percent(results.turnout_basis_points()),
    );
    let rows = writer.into_inner().expect("writing to memory does not fail");
    [b"law_id,kind,id,label_fr,label_en,count\r\n".as_slice(), &rows].concat()
}

/// The cell for a text, with an apostrophe before one that a spreadsheet would run as a formula.
#[must_use]
pub fn inert(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}
