//! The fields of forms as the templates show them: label, hint, value kept, error at the field; and
//! the summary of all errors before the form.

use axum::http::StatusCode;
use votekit_messages::InWords as _;
use votekit_node::AdminError;

use super::lang::Lang;
use crate::problem::Problem;

/// A text field, or a text area.
#[derive(Default)]
pub(crate) struct TextField {
    /// Its name and its id.
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) hint: String,
    pub(crate) error: String,
    pub(crate) value: String,
    /// The type of the input; `textarea` for a text area.
    pub(crate) kind: &'static str,
    pub(crate) autocomplete: &'static str,
    /// The language of the typed text, if it is not that of the page.
    pub(crate) lang: &'static str,
    pub(crate) is_required: bool,
    /// Whether the page opens with the focus here.
    pub(crate) has_focus: bool,
}

impl TextField {
    pub(crate) fn new(name: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            label: label.into(),
            kind: "text",
            autocomplete: "off",
            is_required: true,
            ..Self::default()
        }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    pub(crate) fn value(self, value: impl Into<String>) -> Self {
        Self { value: value.into(), ..self }
    }

    pub(crate) fn kind(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }

    pub(crate) fn autocomplete(self, autocomplete: &'static str) -> Self {
        Self { autocomplete, ..self }
    }

    pub(crate) fn lang(self, lang: Lang) -> Self {
        Self { lang: lang.code(), ..self }
    }

    pub(crate) fn optional(self) -> Self {
        Self { is_required: false, ..self }
    }

    /// Takes the error of this field from those of the form.
    pub(crate) fn errors(self, errors: &FormErrors) -> Self {
        Self { error: errors.at(&self.name), ..self }
    }

    /// The ids of hint and error, for `aria-describedby`.
    pub(crate) fn described(&self) -> String {
        described(&self.name, &self.hint, &self.error)
    }
}

/// An option of a [`ChoiceField`].
pub(crate) struct FieldOption {
    pub(crate) value: &'static str,
    pub(crate) label: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) is_chosen: bool,
}

/// One choice among several: radio buttons, or a list.
pub(crate) struct ChoiceField {
    /// Its name; the id of a list. The options of radio buttons add their number.
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) error: String,
    pub(crate) options: Vec<FieldOption>,
}

impl ChoiceField {
    /// The options, each with its value, label and hint; the option with the value `chosen` is
    /// selected.
    pub(crate) fn new(
        name: impl Into<String>,
        label: impl Into<String>,
        options: &[(&'static str, &'static str, &'static str)],
        chosen: &str,
    ) -> Self {
        let option = |&(value, label, hint): &(&'static str, &'static str, &'static str)| {
            FieldOption { value, label, hint, is_chosen: value == chosen }
        };
        let options = options.iter().map(option).collect();
        Self { name: name.into(), label: label.into(), error: String::new(), options }
    }

    /// Takes the error of this field from those of the form.
    pub(crate) fn errors(self, errors: &FormErrors) -> Self {
        Self { error: errors.at(&self.name), ..self }
    }
}

fn described(name: &str, hint: &str, error: &str) -> String {
    let mut ids = Vec::new();
    if !hint.is_empty() {
        ids.push(format!("{name}-hint"));
    }
    if !error.is_empty() {
        ids.push(format!("{name}-error"));
    }
    ids.join(" ")
}

/// A message about a field.
#[derive(Debug)]
pub(crate) struct FieldMessage {
    /// The id of the field.
    pub(crate) field: String,
    /// The label of the field, for a summary of many fields; empty where the message suffices.
    pub(crate) label: String,
    pub(crate) message: String,
}

/// The errors of a form: at its fields, or of the call as a whole.
#[derive(Debug, Default)]
pub(crate) struct FormErrors {
    pub(crate) fields: Vec<FieldMessage>,
    /// The error of the call as a whole. Empty if only fields are wrong.
    pub(crate) title: &'static str,
    pub(crate) advice: &'static str,
    /// Reasons, one sentence each.
    pub(crate) reasons: Vec<String>,
    /// The words of the node, in English: names of files, nodes and digests.
    pub(crate) detail: String,
    status: Option<StatusCode>,
}

impl FormErrors {
    /// The errors of a call that the node refused.
    pub(crate) fn from_call(lang: Lang, error: AdminError) -> Self {
        let reasons = match &error {
            AdminError::NotSafe { missing } => {
                missing.iter().map(|rule| lang.binding_rule(rule)).collect()
            }
            _ => Vec::new(),
        };
        let detail = error.in_words();
        Self { reasons, ..Self::from_problem(lang, detail, Problem::from(error)) }
    }

    /// The errors of a call that failed with this problem. `detail` is for officials, in English.
    pub(crate) fn from_problem(lang: Lang, detail: String, problem: Problem) -> Self {
        let kind = problem.kind();
        let text = lang.problem(kind.code);
        let fields = match problem {
            Problem::Malformed { errors } => errors,
            _ => Vec::new(),
        };
        let at_field = |error: crate::problem::FieldProblem| FieldMessage {
            field: error.field.into_owned(),
            label: String::new(),
            message: lang.field_refused().to_owned(),
        };
        Self {
            fields: fields.into_iter().map(at_field).collect(),
            title: text.title,
            advice: text.advice,
            reasons: Vec::new(),
            detail,
            status: Some(kind.status),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.title.is_empty()
    }

    /// Adds an error at a field. Only the first error of a field is kept.
    pub(crate) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        let field = field.into();
        if self.fields.iter().all(|other| other.field != field) {
            let (label, message) = (String::new(), message.into());
            self.fields.push(FieldMessage { field, label, message });
        }
    }

    /// Names a field in the summary: in a long form the message alone does not say which it is.
    pub(crate) fn label(&mut self, field: &str, label: &str) {
        if let Some(error) = self.fields.iter_mut().find(|error| error.field == field) {
            error.label = label.to_owned();
        }
    }

    /// The error at a field; empty if it has none.
    pub(crate) fn at(&self, field: &str) -> String {
        let message = self.fields.iter().find(|error| error.field == field);
        message.map(|error| error.message.clone()).unwrap_or_default()
    }

    /// The status of a page with these errors.
    pub(crate) fn status(&self) -> StatusCode {
        let default =
            if self.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        self.status.unwrap_or(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_keeps_its_first_error_and_names_its_parts() {
        let mut errors = FormErrors::default();
        assert!(errors.is_empty() && errors.status() == StatusCode::OK);
        errors.add("email", "first");
        errors.add("email", "second");
        let field = TextField::new("email", "E-mail").errors(&errors);
        assert_eq!((field.error.as_str(), field.described().as_str()), ("first", "email-error"));
        let field = field.hint("Type it.");
        assert_eq!(field.described(), "email-hint email-error");
        assert_eq!(TextField::new("other", "Other").errors(&errors).described(), "");
        assert_eq!(errors.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }

    #[test]
    fn a_refused_call_has_its_title_status_and_the_words_of_the_node() {
        let law_id = "L1".parse().expect("a law id");
        let errors = FormErrors::from_call(Lang::Fr, AdminError::Exists { law_id });
        assert_eq!(errors.status(), StatusCode::CONFLICT);
        assert_eq!(errors.title, "Ce scrutin existe déjà");
        assert!(errors.detail.contains("L1"), "{}", errors.detail);
        let rule = votekit_node::CallRule::AnsweringNode;
        let errors = FormErrors::from_call(Lang::En, AdminError::Field { field: "closes", rule });
        assert_eq!(errors.at("closes"), "This field is not accepted.");
    }
}
