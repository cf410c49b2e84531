//! Results as CSV (RFC 4180): one row per count, for spreadsheets.

use std::borrow::Cow;

use crate::results::Results;

const COLUMNS: [&str; 6] = ["law_id", "kind", "id", "label_fr", "label_en", "count"];

/// The results as CSV with the columns `law_id,kind,id,label_fr,label_en,count`: one row of kind
/// `choice` per choice, one `spoiled`, then one `total` per sum. No cell is a formula: see
/// [`escape_formula`].
#[must_use]
pub fn to_csv(results: &Results) -> Vec<u8> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let mut write = |fields: [&str; 6]| {
        writer
            .write_record(fields)
            .expect("writing to memory does not fail, and every row has six fields");
    };
    write(COLUMNS);
    let law_id = escape_formula(results.law_id().as_str());
    let mut write_count = |kind: &str, id: &str, fr: &str, en: &str, count: &str| {
        let (id, fr, en) = (escape_formula(id), escape_formula(fr), escape_formula(en));
        write([&*law_id, kind, &*id, &*fr, &*en, count]);
    };
    for (choice, count) in results.definition.choices.iter().zip(&results.counts.choices) {
        write_count("choice", choice.id.as_str(), &choice.fr, &choice.en, &count.to_string());
    }
    let spoiled = results.counts.spoiled.to_string();
    write_count("spoiled", "spoiled", "Votes illisibles", "Spoiled votes", &spoiled);
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
        write_count("total", id, fr, en, &count.to_string());
    }
    let turnout = results.turnout_percent();
    write_count("total", "turnout_percent", "Taux de participation", "Turnout", &turnout);
    writer.into_inner().expect("writing to memory does not fail")
}

/// Precedes a text by an apostrophe if a spreadsheet would run it as a formula: if it starts with
/// `=`, `+`, `-`, `@`, a tab, a carriage return or a line feed.
#[must_use]
pub fn escape_formula(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}
