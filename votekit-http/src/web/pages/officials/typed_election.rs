//! The definition of an election as officials type it: kept from one form to the next, and checked
//! by the rules of the core before the node is called, so that each error has its field and the
//! language of the page.

use votekit_core::ballot::BallotPublicKey;
use votekit_core::election::{
    BLANK, Bilingual, Choice, ChoiceId, Definition, ResultsPolicy, TextPart, check_text,
};
use votekit_core::id::ElectionId;
use votekit_core::instant::{UnixMinutes, UnixSeconds};
use votekit_node::time_zone::TimeZone;
use votekit_node::{ChoiceRequest, PUBLISH_EVERY};

use crate::guard::form_body::FormBody;
use crate::web::form_fields::FormErrors;
use crate::web::lang::Lang;
use crate::web::typed_time::{TimeFault, TypedTime};

/// The rows for choices of a new form.
const ROWS_MIN: usize = 2;

/// The nature of an election, as the form names it.
pub(super) const TEST: &str = "test";
pub(super) const BINDING: &str = "binding";

/// A choice as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TypedChoice {
    pub(super) id: String,
    pub(super) fr: String,
    pub(super) en: String,
}

/// An election as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TypedElection {
    pub(super) law_id: String,
    pub(super) title: TypedText,
    pub(super) description: TypedText,
    pub(super) choices: Vec<TypedChoice>,
    pub(super) has_blank: bool,
    /// [`TEST`], [`BINDING`], or empty while none is chosen.
    pub(super) nature: String,
    /// The name of a results policy.
    pub(super) policy: String,
    pub(super) publish_every: String,
    pub(super) opens: TypedTime,
    pub(super) closes: TypedTime,
}

/// A text as typed in both languages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TypedText {
    pub(super) fr: String,
    pub(super) en: String,
}

/// A definition that breaks no rule, ready for a request to the node. Times are in RFC 3339.
#[derive(Debug)]
pub(super) struct CheckedElection {
    pub(super) definition: Definition,
    pub(super) choices: Vec<ChoiceRequest>,
    pub(super) opens: Option<String>,
    pub(super) closes: Option<String>,
}

impl TypedElection {
    /// The form for a new election: a question with yes and no, results after the close. Its nature
    /// is left open: a default would be overlooked.
    pub(super) fn new(zone: Option<&TimeZone>) -> Self {
        let customary = |id: &str| {
            let id: ChoiceId = id.parse().expect("a choice id");
            TypedChoice::from_choice(&Choice::with_customary_labels(id))
        };
        Self {
            choices: vec![customary("oui"), customary("non")],
            policy: ResultsPolicy::AfterClose.as_str().to_owned(),
            publish_every: PUBLISH_EVERY.to_string(),
            opens: TypedTime::planned(None, zone),
            closes: TypedTime::planned(None, zone),
            ..Self::default()
        }
    }

    /// The form that amends a draft.
    pub(super) fn from_definition(definition: &Definition, zone: Option<&TimeZone>) -> Self {
        let blank: ChoiceId = BLANK.parse().expect("a choice id");
        let blank = Choice::with_customary_labels(blank);
        let text = |text: &Bilingual| TypedText { fr: text.fr.clone(), en: text.en.clone() };
        let nature = if definition.binding { BINDING } else { TEST };
        // Its own box puts the blank choice last; anywhere else it is a row like the others.
        let has_blank = definition.choices.last() == Some(&blank);
        let rows = definition.choices.len() - usize::from(has_blank);
        let rows = definition.choices.iter().take(rows);
        Self {
            law_id: definition.law_id.to_string(),
            title: text(&definition.title),
            description: text(&definition.description),
            choices: rows.map(TypedChoice::from_choice).collect(),
            has_blank,
            nature: nature.to_owned(),
            policy: definition.results.as_str().to_owned(),
            publish_every: definition.publish_every.to_string(),
            opens: TypedTime::planned(definition.opens, zone),
            closes: TypedTime::planned(definition.closes, zone),
        }
    }

    /// The values of a form.
    pub(super) fn from_form(form: &FormBody) -> Self {
        let trimmed = |name: &str| form.text(name).trim().to_owned();
        let text = |name: &str| TypedText {
            fr: in_one_line(form.text(&format!("{name}_fr"))),
            en: in_one_line(form.text(&format!("{name}_en"))),
        };
        let rows = form.text("rows").parse().unwrap_or(ROWS_MIN);
        let rows = rows.clamp(ROWS_MIN, Definition::CHOICES_MAX);
        let choice = |row: usize| TypedChoice {
            id: trimmed(&format!("choice_{row}_id")),
            fr: trimmed(&format!("choice_{row}_fr")),
            en: trimmed(&format!("choice_{row}_en")),
        };
        Self {
            law_id: trimmed("law_id"),
            title: text("title"),
            description: text("description"),
            choices: (0..rows).map(choice).collect(),
            has_blank: form.text("blank") == "on",
            nature: form.text("nature").to_owned(),
            policy: form.text("results").to_owned(),
            publish_every: trimmed("publish_every"),
            opens: TypedTime::from_form(form, "opens"),
            closes: TypedTime::from_form(form, "closes"),
        }
    }

    /// Adds an empty row for a choice, if the ballot has room for it.
    pub(super) fn add_row(&mut self) {
        if self.choices.len() < Definition::CHOICES_MAX {
            self.choices.push(TypedChoice::default());
        }
    }

    /// Removes a row, but never the last two: they are emptied.
    pub(super) fn remove_row(&mut self, row: usize) {
        if self.choices.len() > ROWS_MIN && row < self.choices.len() {
            self.choices.remove(row);
        } else if let Some(choice) = self.choices.get_mut(row) {
            *choice = TypedChoice::default();
        }
    }

    /// Checks everything. `now` is the present minute: planned times that have passed are refused,
    /// except an opening that was planned `before`. `zone` is that of the poll, if there is one.
    ///
    /// # Errors
    /// Each error with its field, in the language of the page.
    pub(super) fn check(
        &self,
        lang: Lang,
        now: UnixMinutes,
        before: Option<UnixMinutes>,
        zone: Option<&TimeZone>,
    ) -> Result<CheckedElection, FormErrors> {
        let mut errors = FormErrors::default();
        let law_id: Option<ElectionId> = self.law_id.parse().ok();
        if law_id.is_none() {
            let is_empty = self.law_id.is_empty();
            errors.add("law_id", if is_empty { lang.field_missing() } else { lang.law_id_wrong() });
        }
        if ![TEST, BINDING].contains(&self.nature.as_str()) {
            errors.add("nature", lang.nature_missing());
        }
        let policy = policy(&self.policy);
        if policy.is_none() {
            errors.add("results", lang.policy_missing());
        }
        let every = self.publish_every.parse::<u64>().ok().filter(|every| *every > 0);
        if every.is_none() {
            errors.add("publish_every", lang.every_wrong());
        }
        let opens = time(lang, &mut errors, "opens", self.opens.rfc3339(zone));
        let closes = time(lang, &mut errors, "closes", self.closes.rfc3339(zone));
        let choices = self.checked_choices(lang, &mut errors);
        let definition = Definition {
            // Stand-ins where a field is wrong, so that the other fields are checked too.
            law_id: law_id.unwrap_or_else(|| "law".parse().expect("a law id")),
            title: self.title.to_bilingual(),
            description: self.description.to_bilingual(),
            choices: choices.clone(),
            binding: self.nature == BINDING,
            results: policy.unwrap_or(ResultsPolicy::AfterClose),
            publish_every: every.unwrap_or(PUBLISH_EVERY),
            opens: minute(opens.as_deref(), UnixSeconds::minute_floor),
            closes: minute(closes.as_deref(), UnixSeconds::minute_ceil),
            ballot_key: BallotPublicKey::from_bytes([9; 32]),
        };
        if definition.opens.is_some_and(|opens| opens < now && before != Some(opens)) {
            errors.add("opens", lang.opens_past());
        }
        if definition.closes.is_some_and(|closes| closes <= now) {
            errors.add("closes", lang.closes_past());
        }
        let has_wrong_row = errors.fields.iter().any(|error| error.field.starts_with("choice_"));
        for (field, fault) in definition.faults() {
            if !(has_wrong_row && field == "choices") {
                errors.add(field_id(field), lang.definition_rule(&fault));
            }
        }
        let labelled =
            |Choice { id, fr, en }| ChoiceRequest::Labelled { id: String::from(id), fr, en };
        let choices = choices.into_iter().map(labelled).collect();
        let checked = CheckedElection { definition, choices, opens, closes };
        if errors.is_empty() { Ok(checked) } else { Err(errors) }
    }

    /// The choices of the rows that are not empty, and the blank one. A wrong row is an error at
    /// its field, and is left out.
    fn checked_choices(&self, lang: Lang, errors: &mut FormErrors) -> Vec<Choice> {
        let mut choices = Vec::new();
        for (row, typed) in self.choices.iter().enumerate() {
            if *typed == TypedChoice::default() {
                continue;
            }
            for (part, text) in [("fr", &typed.fr), ("en", &typed.en)] {
                let checked = check_text(TextPart::ChoiceLabel, text, 1..=100);
                if let Err(fault) = checked {
                    errors.add(format!("choice_{row}_{part}"), lang.definition_rule(&fault));
                }
            }
            match typed.id.parse() {
                Ok(id) => choices.push(Choice { id, fr: typed.fr.clone(), en: typed.en.clone() }),
                Err(_) => errors.add(format!("choice_{row}_id"), lang.choice_id_wrong()),
            }
        }
        if self.has_blank && !choices.iter().any(|choice| choice.id.as_str() == BLANK) {
            let blank = BLANK.parse().expect("a choice id");
            choices.push(Choice::with_customary_labels(blank));
        }
        choices
    }
}

impl TypedChoice {
    fn from_choice(choice: &Choice) -> Self {
        Self { id: choice.id.to_string(), fr: choice.fr.clone(), en: choice.en.clone() }
    }
}

impl TypedText {
    fn to_bilingual(&self) -> Bilingual {
        Bilingual { fr: self.fr.clone(), en: self.en.clone() }
    }
}

/// The id of the form's field for a field of the definition.
fn field_id(field: &'static str) -> &'static str {
    match field {
        // The list of choices as a whole is reported at its first row.
        "choices" => "choice_0_id",
        "body" => "title_fr",
        field => field,
    }
}

fn policy(name: &str) -> Option<ResultsPolicy> {
    let policies = [ResultsPolicy::Live, ResultsPolicy::AfterVote, ResultsPolicy::AfterClose];
    policies.into_iter().find(|policy| policy.as_str() == name)
}

/// The time in RFC 3339; a wrong time is an error at its field.
fn time(
    lang: Lang,
    errors: &mut FormErrors,
    name: &'static str,
    typed: Result<Option<String>, TimeFault>,
) -> Option<String> {
    match typed {
        Ok(time) => time,
        Err(TimeFault::Local) => {
            errors.add(name, lang.time_wrong());
            None
        }
        Err(TimeFault::Offset) => {
            errors.add(format!("{name}_offset"), lang.offset_missing());
            None
        }
        Err(TimeFault::Change) => {
            errors.add(format!("{name}_offset"), lang.offset_changes());
            None
        }
    }
}

fn minute(time: Option<&str>, round: fn(UnixSeconds) -> UnixMinutes) -> Option<UnixMinutes> {
    UnixSeconds::from_rfc3339(time?).ok().map(round)
}

/// A text without line breaks: the log takes one line. Several spaces become one.
fn in_one_line(text: &str) -> String {
    let words = text.split([' ', '\r', '\n', '\t']).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "typed_election_test.rs"]
mod tests;
