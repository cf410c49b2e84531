//! The requests that create, amend, open, close, certify and annul an election.
//!
//! A request becomes a definition here, or an error with every field that breaks a rule. Nothing
//! is read or written.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use votekit_core::ballot::BallotPublicKey;
use votekit_core::election::{
    BLANK, Bilingual, Choice, ChoiceId, ChoiceIdError, Definition, ResultsPolicy,
};
use votekit_core::instant::{TimeError, UnixMinutes, UnixSeconds};

use crate::call_rule::{CallRule, FieldFault};
use crate::error::AdminError;

/// The default number of accepted votes that must be new before results are updated.
pub const PUBLISH_EVERY: u64 = 20;

/// A requested choice: only its id, or with its labels.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "must be a list of ids, or of objects with id, fr and en")]
pub enum ChoiceRequest {
    /// Only the id. `oui`, `non` and `blanc` get their customary labels; any other choice is
    /// labelled by its id.
    Id(String),
    /// The id with its labels.
    Labelled {
        /// The id.
        id: String,
        /// The French label.
        fr: String,
        /// The English label.
        en: String,
    },
}

/// The definition of a new election.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateElection {
    /// The law put to the vote.
    #[schema(pattern = "^[A-Za-z0-9._-]+$", min_length = 1, max_length = 50)]
    pub law_id: String,
    /// The French title.
    #[schema(min_length = 1, max_length = 500)]
    pub title_fr: String,
    /// The English title.
    #[schema(min_length = 1, max_length = 500)]
    pub title_en: String,
    /// The French description.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description_fr: String,
    /// The English description.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description_en: String,
    /// The choices; `oui` and `non` when the field is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "some_choices")]
    #[schema(min_items = 1, max_items = 100)]
    pub choices: Vec<ChoiceRequest>,
    /// Whether a blank vote can be cast.
    #[serde(default)]
    pub blank: bool,
    /// Whether the result is binding.
    #[serde(default)]
    pub binding: bool,
    /// `live`, `after_vote` or `after_close`. The default is `live`, or `after_close` for a binding
    /// election.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub results: Option<ResultsPolicy>,
    /// Under `live` and `after_vote`: results are updated once this many accepted votes are new and
    /// as many newer votes are withheld. The default is 20. With 1 every vote updates them and
    /// reveals its choice to anyone who reads them before and after it: for demonstrations.
    #[serde(default)]
    pub publish_every: Option<u64>,
    /// The opening of the poll, in RFC 3339 with its offset.
    #[serde(default)]
    pub opens: Option<String>,
    /// The closing of the poll, in RFC 3339 with its offset.
    #[serde(default)]
    pub closes: Option<String>,
}

/// Options for opening an election.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OpenElection {
    /// Names of the waived rules of a binding election: `results`. Each waiver is recorded in the
    /// log.
    #[schema(value_type = Vec<Waiver>, max_items = 1)]
    pub waivers: Vec<String>,
}

/// Options for closing a poll.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CloseElection {
    /// The reason for closing before the planned end; recorded in the log. Required then, ignored
    /// after the planned end.
    pub reason: Option<String>,
}

/// Options for certifying a result.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CertifyElection {
    /// The reason for certifying before enough outside witnesses have cosigned; recorded in the
    /// log. Required then, ignored when none is missing.
    pub witness_waiver: Option<String>,
}

/// Changes to the definition of a draft. Fields that are not given keep their values.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AmendElection {
    /// The French title.
    pub title_fr: Option<String>,
    /// The English title.
    pub title_en: Option<String>,
    /// The French description.
    pub description_fr: Option<String>,
    /// The English description.
    pub description_en: Option<String>,
    /// All choices, in ballot order; they replace the existing ones.
    pub choices: Option<Vec<ChoiceRequest>>,
    /// `live`, `after_vote` or `after_close`.
    #[schema(value_type = Option<String>)]
    pub results: Option<ResultsPolicy>,
    /// The number of accepted votes that must be new before results move.
    pub publish_every: Option<u64>,
    /// The opening of the poll, in RFC 3339 with its offset; `none` for no planned time.
    pub opens: Option<String>,
    /// The closing of the poll, in RFC 3339 with its offset; `none` for no planned time.
    pub closes: Option<String>,
}

/// The reason for annulling an election.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnnulElection {
    /// The reason; recorded in the log.
    pub reason: String,
}

/// A rule of binding elections that can be waived.
#[allow(
    dead_code,
    reason = "for the documentation: waivers are read as text, so that a refusal names the reason"
)]
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum Waiver {
    /// That results are shown after the close only.
    Results,
}

impl CreateElection {
    /// Builds the requested definition, with the key its choices are encrypted to, or names every
    /// field that breaks a rule at this minute.
    pub(super) fn definition(
        self,
        ballot_key: BallotPublicKey,
        now: UnixMinutes,
    ) -> Result<Definition, AdminError> {
        let mut choices = if self.choices.is_empty() {
            vec![ChoiceRequest::Id("oui".to_owned()), ChoiceRequest::Id("non".to_owned())]
        } else {
            self.choices
        };
        let has_blank = choices.iter().any(|choice| choice.id() == BLANK);
        if self.blank && !has_blank {
            choices.push(ChoiceRequest::Id(BLANK.to_owned()));
        }
        let default_policy =
            if self.binding { ResultsPolicy::AfterClose } else { ResultsPolicy::Live };
        let mut faults = Vec::new();
        let law_id = kept(&mut faults, "law_id", self.law_id.parse());
        let choices: Option<Vec<_>> = choices
            .into_iter()
            .map(|choice| kept(&mut faults, "choices", choice.choice()))
            .collect();
        let opens = planned(self.opens.as_deref(), UnixSeconds::minute_floor);
        let opens = kept(&mut faults, "opens", opens).flatten();
        let closes = planned(self.closes.as_deref(), UnixSeconds::minute_ceil);
        let closes = kept(&mut faults, "closes", closes).flatten();
        let choices_are_wrong = choices.is_none();
        let definition = Definition {
            // A placeholder for a wrong law id, so that the other fields are checked too.
            law_id: law_id.unwrap_or_else(|| "law".parse().expect("a law id")),
            title: Bilingual { fr: self.title_fr, en: self.title_en },
            description: Bilingual { fr: self.description_fr, en: self.description_en },
            choices: choices.unwrap_or_default(),
            binding: self.binding,
            results: self.results.unwrap_or(default_policy),
            publish_every: self.publish_every.unwrap_or(PUBLISH_EVERY),
            opens,
            closes,
            ballot_key,
        };
        faultless(definition, faults, choices_are_wrong, Amended { opens: true, now })
    }
}

impl AmendElection {
    /// Applies these changes to a definition, or names every field that breaks a rule at this
    /// minute.
    pub(super) fn apply(
        self,
        mut definition: Definition,
        now: UnixMinutes,
    ) -> Result<Definition, AdminError> {
        let planned_before = definition.opens;
        let set = |target: &mut String, text: Option<String>| {
            if let Some(text) = text {
                *target = text;
            }
        };
        set(&mut definition.title.fr, self.title_fr);
        set(&mut definition.title.en, self.title_en);
        set(&mut definition.description.fr, self.description_fr);
        set(&mut definition.description.en, self.description_en);
        let mut faults = Vec::new();
        let mut choices_are_wrong = false;
        if let Some(choices) = self.choices {
            let choices: Option<Vec<_>> = choices
                .into_iter()
                .map(|choice| kept(&mut faults, "choices", choice.choice()))
                .collect();
            choices_are_wrong = choices.is_none();
            definition.choices = choices.unwrap_or_default();
        }
        definition.results = self.results.unwrap_or(definition.results);
        definition.publish_every = self.publish_every.unwrap_or(definition.publish_every);
        if let Some(opens) = self.opens {
            let opens = amended(&opens, UnixSeconds::minute_floor);
            definition.opens = kept(&mut faults, "opens", opens).flatten();
        }
        if let Some(closes) = self.closes {
            let closes = amended(&closes, UnixSeconds::minute_ceil);
            definition.closes = kept(&mut faults, "closes", closes).flatten();
        }
        // An opening that has passed since it was planned is not an error of this request.
        let opens = definition.opens != planned_before;
        faultless(definition, faults, choices_are_wrong, Amended { opens, now })
    }
}

/// The facts that decide whether a planned time is in the past.
struct Amended {
    /// Whether the request sets the opening.
    opens: bool,
    now: UnixMinutes,
}

/// Returns the definition if it breaks no rule, else every fault with its field.
fn faultless(
    definition: Definition,
    mut faults: Vec<FieldFault>,
    choices_are_wrong: bool,
    amended: Amended,
) -> Result<Definition, AdminError> {
    let broken = definition.faults();
    faults.extend(
        broken
            .into_iter()
            .filter(|(field, _)| !(choices_are_wrong && *field == "choices"))
            .map(|(field, error)| FieldFault { field, rule: error.into() }),
    );
    for past in past_times(&definition, &amended) {
        if !faults.iter().any(|fault| fault.field == past.field) {
            faults.push(past);
        }
    }
    if faults.is_empty() { Ok(definition) } else { Err(AdminError::Fields { errors: faults }) }
}

/// The planned times that are in the past: such a poll could never open, or would not open at the
/// time in its definition.
fn past_times(definition: &Definition, amended: &Amended) -> Vec<FieldFault> {
    let Amended { opens, now } = *amended;
    let opening = definition
        .opens
        .filter(|at| opens && *at < now)
        .map(|opens| FieldFault { field: "opens", rule: CallRule::OpensInPast { opens, now } });
    let closing = definition
        .closes
        .filter(|at| *at <= now)
        .map(|closes| FieldFault { field: "closes", rule: CallRule::ClosesInPast { closes, now } });
    opening.into_iter().chain(closing).collect()
}

/// Reads a list of choices. An empty list is a mistake: without the field, the default choices
/// apply.
fn some_choices<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<ChoiceRequest>, D::Error> {
    let choices = Vec::<ChoiceRequest>::deserialize(deserializer)?;
    if choices.is_empty() {
        let error = "an election has 2 to 100 choices: leave this out for oui and non";
        return Err(D::Error::custom(error));
    }
    Ok(choices)
}

/// Returns the value of a field, or adds its error to `faults`.
fn kept<T, E: Into<CallRule>>(
    faults: &mut Vec<FieldFault>,
    field: &'static str,
    value: Result<T, E>,
) -> Option<T> {
    value.map_err(|error| faults.push(FieldFault { field, rule: error.into() })).ok()
}

impl ChoiceRequest {
    fn id(&self) -> &str {
        match self {
            Self::Id(id) | Self::Labelled { id, .. } => id,
        }
    }

    fn choice(self) -> Result<Choice, ChoiceIdError> {
        let id: ChoiceId = self.id().parse()?;
        Ok(match self {
            Self::Id(_) => Choice::with_customary_labels(id),
            Self::Labelled { fr, en, .. } => Choice { id, fr, en },
        })
    }
}

/// Parses a planned time and rounds it to the minute.
fn planned(
    text: Option<&str>,
    round: fn(UnixSeconds) -> UnixMinutes,
) -> Result<Option<UnixMinutes>, TimeError> {
    text.map(|text| UnixSeconds::from_rfc3339(text).map(round)).transpose()
}

/// Parses an amended planned time, rounded to the minute; `none` removes it.
fn amended(
    text: &str,
    round: fn(UnixSeconds) -> UnixMinutes,
) -> Result<Option<UnixMinutes>, TimeError> {
    planned(Some(text).filter(|text| *text != "none"), round)
}
