//! The form that defines an election, new or a draft, as the template shows it.

use askama::Template;
use axum::response::Response;
use votekit_core::election::Definition;

use super::typed_election::{BINDING, TEST, TypedChoice, TypedElection};
use crate::problem::Problem;
use crate::web::form_fields::{ChoiceField, FormErrors, TextField};
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::official_visit::{OfficialBar, OfficialVisit};
use crate::web::typed_time::{TypedTime, offsets};

#[derive(Template)]
#[template(path = "official_election_form.html")]
struct ElectionFormPage {
    frame: Frame,
    bar: OfficialBar,
    lead: &'static str,
    errors: FormErrors,
    action: String,
    token: String,
    back_href: String,
    button: &'static str,
    identity: Vec<TextField>,
    /// Absent from the form that amends a draft.
    nature: Option<ChoiceField>,
    rows: Vec<ChoiceRow>,
    can_add: bool,
    add_has_focus: bool,
    has_blank: bool,
    results: ChoiceField,
    every: TextField,
    times_hint: &'static str,
    times: Vec<TimeFields>,
}

/// The fields of one choice.
struct ChoiceRow {
    legend: String,
    fields: Vec<TextField>,
    /// The value that the button for removing the row sends.
    remove: String,
    remove_label: String,
}

/// The fields of one planned time.
struct TimeFields {
    legend: &'static str,
    local: TextField,
    offset: ChoiceField,
}

/// The element with the focus after rows were added or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowFocus {
    /// As the browser has it.
    None,
    /// In the first field of the last row.
    LastRow,
    /// On the button that adds a row.
    AddButton,
}

/// The parts that differ between a new election and a draft.
pub(super) struct FormKind {
    pub(super) title: String,
    pub(super) lead: &'static str,
    /// The path of the page after its language.
    pub(super) path: String,
    pub(super) button: &'static str,
    /// The purpose of the form, for its token.
    pub(super) purpose: String,
    /// The path of the page to which the form leads back, after `/{lang}/officials`.
    pub(super) back: String,
    pub(super) is_new: bool,
}

/// Carries out a button that changes the rows. `None` for the button that sends the form.
pub(super) fn change_rows(typed: &mut TypedElection, button: &str) -> Option<RowFocus> {
    if button == "add" {
        typed.add_row();
        return Some(RowFocus::LastRow);
    }
    let row = button.strip_prefix("remove-")?.parse().ok()?;
    typed.remove_row(row);
    Some(RowFocus::AddButton)
}

/// The page with the form as it was typed.
///
/// # Errors
/// [`Problem::Internal`].
pub(super) fn page(
    visit: &OfficialVisit<'_>,
    kind: FormKind,
    typed: &TypedElection,
    mut errors: FormErrors,
    focus: RowFocus,
) -> Result<Response, Problem> {
    let lang = visit.lang;
    let status = errors.status();
    let identity = identity(lang, typed, kind.is_new, &errors);
    let rows = rows(lang, typed, &errors, focus);
    let has_zone = visit.zone().is_some();
    let offsets = offsets(lang, has_zone);
    let times = vec![
        time(lang, ("opens", lang.opens_label()), &typed.opens, &offsets, &errors),
        time(lang, ("closes", lang.closes_label()), &typed.closes, &offsets, &errors),
    ];
    name_fields(&mut errors, &identity, &rows, &times);
    let frame = visit.frame(&kind.title, &kind.path).with_error(!errors.is_empty());
    let page = ElectionFormPage {
        frame,
        bar: visit.bar(),
        lead: kind.lead,
        action: format!("/{}{}", lang.code(), kind.path),
        token: visit.caller.form_token(&kind.purpose),
        back_href: format!("/{}/officials{}", lang.code(), kind.back),
        button: kind.button,
        identity,
        nature: kind.is_new.then(|| nature(lang, typed, &errors)),
        rows,
        can_add: typed.choices.len() < Definition::CHOICES_MAX,
        add_has_focus: focus == RowFocus::AddButton,
        has_blank: typed.has_blank,
        results: results(lang, typed, &errors),
        every: TextField::new("publish_every", lang.every_label())
            .hint(lang.every_hint())
            .value(typed.publish_every.clone())
            .kind("number")
            .errors(&errors),
        times_hint: if has_zone { lang.times_hint_zone() } else { lang.times_hint() },
        times,
        errors,
    };
    visit.answer(status, &page)
}

/// Names the fields whose messages do not say which field they are about.
fn name_fields(
    errors: &mut FormErrors,
    identity: &[TextField],
    rows: &[ChoiceRow],
    times: &[TimeFields],
) {
    for field in identity {
        errors.label(&field.name, &field.label);
    }
    for row in rows {
        for field in &row.fields {
            errors.label(&field.name, &format!("{}, {}", row.legend, field.label));
        }
    }
    for time in times {
        errors.label(&time.local.name, time.legend);
        errors.label(&time.offset.name, time.legend);
    }
}

fn identity(
    lang: Lang,
    typed: &TypedElection,
    is_new: bool,
    errors: &FormErrors,
) -> Vec<TextField> {
    type Text = &'static str;
    let text = |name: Text, label: Text, hint: Text, value: &str, of: Lang| {
        TextField::new(name, label).hint(hint).value(value).lang(of).errors(errors)
    };
    let law_id = TextField::new("law_id", lang.law_id_label())
        .hint(lang.law_id_hint())
        .value(typed.law_id.clone())
        .errors(errors);
    let (title, description) = (&typed.title, &typed.description);
    let (short, long) = (lang.title_hint(), lang.description_hint());
    let fields = [
        text("title_fr", lang.title_fr_label(), short, &title.fr, Lang::Fr),
        text("title_en", lang.title_en_label(), short, &title.en, Lang::En),
        text("description_fr", lang.description_fr_label(), long, &description.fr, Lang::Fr)
            .kind("textarea")
            .optional(),
        text("description_en", lang.description_en_label(), long, &description.en, Lang::En)
            .kind("textarea")
            .optional(),
    ];
    is_new.then_some(law_id).into_iter().chain(fields).collect()
}

fn nature(lang: Lang, typed: &TypedElection, errors: &FormErrors) -> ChoiceField {
    let options = [
        (TEST, lang.nature_test(), lang.nature_test_hint()),
        (BINDING, lang.nature_binding(), lang.nature_binding_hint()),
    ];
    ChoiceField::new("nature", lang.form_nature(), &options, &typed.nature).errors(errors)
}

fn results(lang: Lang, typed: &TypedElection, errors: &FormErrors) -> ChoiceField {
    let options = [
        ("after_close", lang.policy_after_close(), lang.policy_after_close_hint()),
        ("after_vote", lang.policy_after_vote(), lang.policy_after_vote_hint()),
        ("live", lang.policy_live(), lang.policy_live_hint()),
    ];
    ChoiceField::new("results", lang.form_results(), &options, &typed.policy).errors(errors)
}

fn rows(lang: Lang, typed: &TypedElection, errors: &FormErrors, focus: RowFocus) -> Vec<ChoiceRow> {
    let last = typed.choices.len().saturating_sub(1);
    let row = |(row, choice): (usize, &TypedChoice)| {
        let number = row + 1;
        let field = |part: &str, label: &'static str, value: &str| {
            TextField::new(format!("choice_{row}_{part}"), label)
                .value(value)
                .optional()
                .errors(errors)
        };
        let id = field("id", lang.choice_id_label(), &choice.id);
        let has_focus = focus == RowFocus::LastRow && row == last;
        ChoiceRow {
            legend: lang.choice_number(number),
            fields: vec![
                TextField { has_focus, ..id },
                field("fr", lang.choice_fr_label(), &choice.fr).lang(Lang::Fr),
                field("en", lang.choice_en_label(), &choice.en).lang(Lang::En),
            ],
            remove: format!("remove-{row}"),
            remove_label: lang.choice_remove_label(number),
        }
    };
    typed.choices.iter().enumerate().map(row).collect()
}

fn time(
    lang: Lang,
    (name, legend): (&'static str, &'static str),
    typed: &TypedTime,
    offsets: &[(&'static str, &'static str, &'static str)],
    errors: &FormErrors,
) -> TimeFields {
    let offset = format!("{name}_offset");
    TimeFields {
        legend,
        local: TextField::new(name, lang.local_label())
            .hint(lang.local_hint())
            .value(typed.local.clone())
            .kind("datetime-local")
            .optional()
            .errors(errors),
        offset: ChoiceField::new(offset, lang.offset_label(), offsets, &typed.offset)
            .errors(errors),
    }
}
