//! The steps that cannot be undone: a page that describes the effect and asks for the id of the
//! election, and the form that takes the step.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use votekit_core::binding::BindingRule;
use votekit_core::election::{State as ElectionState, TextPart, check_text};
use votekit_core::election_log::REASON_LENGTH_MAX;
use votekit_core::id::ElectionId;
use votekit_node::{
    AdminError, AnnulElection, CloseElection, ElectionView, OfficialView, OpenElection,
};

use super::actions::Step;
use super::reconciliation::Reconciliation;
use super::summary::{moment, state_name};
use crate::accounts::Caller;
use crate::api::election_admin::record_act;
use crate::api::{PathText, law_id};
use crate::context::Api;
use crate::guard::form_body::FormBody;
use crate::problem::Problem;
use crate::web::form_fields::{FormErrors, TextField};
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::official_visit::{OfficialBar, OfficialVisit, read_form};

#[derive(Template)]
#[template(path = "official_step.html")]
struct StepPage {
    frame: Frame,
    bar: OfficialBar,
    errors: FormErrors,
    /// Why the step is not possible now, with the state; empty if it is possible.
    not_now: String,
    /// The alternative; empty if there is none.
    instead: &'static str,
    needs_roll: bool,
    /// Requirements of a binding election that are not met.
    missing: Vec<String>,
    effect: &'static str,
    /// That the planned closing has not come.
    early: String,
    /// The accounts: the zero report of an opening, or the figures before a close.
    accounts: Option<Reconciliation>,
    is_opening: bool,
    offers_waiver: bool,
    has_waiver: bool,
    fields: Vec<TextField>,
    action: String,
    token: String,
    button: &'static str,
    is_danger: bool,
    back_href: String,
}

/// The typed values that confirm a step.
#[derive(Default)]
struct Typed {
    confirm: String,
    reason: String,
    waives_results: bool,
}

/// An election and the step that is to be taken.
struct Target {
    law: ElectionId,
    step: Step,
    election: ElectionView,
    view: OfficialView,
}

/// `GET /{lang}/officials/elections/{law_id}/{step}`.
pub(crate) async fn form(
    State(api): State<Arc<Api>>,
    PathText((lang, law, step)): PathText<(Lang, String, Step)>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let target = Target::find(&api, &law, step)?;
    let visit = OfficialVisit::new(&api, lang, &caller);
    page(&visit, &target, &Typed::default(), FormErrors::default()).await
}

/// `POST /{lang}/officials/elections/{law_id}/{step}`.
pub(crate) async fn take(
    State(api): State<Arc<Api>>,
    PathText((lang, law, step)): PathText<(Lang, String, Step)>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let target = Target::find(&api, &law, step)?;
    let form = read_form(&api, &caller, &step.purpose(target.law.as_str()), request).await?;
    let visit = OfficialVisit::new(&api, lang, &caller);
    let typed = Typed::from_form(&form);
    let errors = typed.check(lang, &target, target.needs_reason(&api));
    if !errors.is_empty() {
        return page(&visit, &target, &typed, errors).await;
    }
    match target.take(&api, &typed).await {
        Ok(()) => {
            let Target { law, step, .. } = &target;
            record_act(step.code(), law, &caller);
            visit.redirect(&format!("/elections/{law}?done={}", step.code()))
        }
        Err(error) => {
            // The state may have changed meanwhile.
            let target = Target::find(&api, target.law.as_str(), step)?;
            page(&visit, &target, &typed, FormErrors::from_call(lang, error)).await
        }
    }
}

impl Target {
    fn find(api: &Api, law: &str, step: Step) -> Result<Self, Problem> {
        let law = law_id(law)?;
        let election = api.node.election(&law).ok_or(Problem::UnknownElection)?;
        let view = api.node.official_view(&law).ok_or_else(|| api.unreadable(&law))?;
        Ok(Self { law, step, election, view })
    }

    /// Whether the log requires a reason: it publishes it.
    fn needs_reason(&self, api: &Api) -> bool {
        let now = api.now().minute_floor();
        let is_early = || self.view.definition.closes.is_some_and(|closes| now < closes);
        match self.step {
            Step::Annul => true,
            Step::Close => self.view.state == ElectionState::Open && is_early(),
            Step::Open | Step::Certify => false,
        }
    }

    async fn take(&self, api: &Api, typed: &Typed) -> Result<(), AdminError> {
        let (node, law) = (&api.node, &self.law);
        let reason = Some(typed.reason.clone()).filter(|reason| !reason.is_empty());
        match self.step {
            Step::Open => {
                let is_waived = typed.waives_results && self.view.definition.binding;
                let waivers = if is_waived {
                    vec![BindingRule::RESULTS_WAIVER.to_owned()]
                } else {
                    Vec::new()
                };
                node.open(law, OpenElection { waivers }).await.map(drop)
            }
            Step::Close => node.close_with(law, CloseElection { reason }).await.map(drop),
            Step::Certify => node.certify(law).await.map(drop),
            Step::Annul => {
                let reason = typed.reason.clone();
                node.annul(law, AnnulElection { reason }).await.map(drop)
            }
        }
    }
}

impl Typed {
    fn from_form(form: &FormBody) -> Self {
        Self {
            confirm: form.text("confirm").trim().to_owned(),
            reason: form.text("reason").trim().to_owned(),
            waives_results: form.text("waive") == "results",
        }
    }

    fn check(&self, lang: Lang, target: &Target, needs_reason: bool) -> FormErrors {
        let mut errors = FormErrors::default();
        if needs_reason
            && let Err(error) = check_text(TextPart::Reason, &self.reason, 1..=REASON_LENGTH_MAX)
        {
            errors.add("reason", lang.definition_rule(&error));
            errors.label("reason", lang.reason_label());
        }
        if self.confirm != target.law.as_str() {
            errors.add("confirm", lang.confirm_wrong(target.law.as_str()));
        }
        errors
    }
}

async fn page(
    visit: &OfficialVisit<'_>,
    target: &Target,
    typed: &Typed,
    errors: FormErrors,
) -> Result<Response, Problem> {
    let (api, lang) = (visit.api, visit.lang);
    let Target { law, step, election, view } = target;
    let path = format!("/officials/elections/{law}/{}", step.code());
    let title = lang.action_on(step.action(lang, view.state), lang.pick(&election.title));
    let is_possible = step.is_possible(view.state);
    let is_opening = *step == Step::Open && is_possible;
    let missing = match is_opening {
        true => api.node.missing_to_open(law, &[]).await?,
        false => Vec::new(),
    };
    let offers_waiver = missing.contains(&BindingRule::Results);
    let rules = missing.iter().filter(|rule| **rule != BindingRule::Results);
    let needs_reason = target.needs_reason(api);
    let shows_accounts = matches!(step, Step::Open | Step::Close | Step::Certify);
    let status = errors.status();
    let page = StepPage {
        frame: visit.frame(&title, &path).about(election).with_error(!errors.is_empty()),
        bar: visit.bar(),
        not_now: match is_possible {
            true => String::new(),
            false => lang.step_not_now_text(state_name(lang, view.state)),
        },
        instead: if is_possible { "" } else { instead(lang, *step, view.state) },
        needs_roll: is_opening && view.manifests.is_empty(),
        missing: rules.map(|rule| lang.binding_rule(rule)).collect(),
        effect: effect(lang, *step, view.state),
        early: early(lang, *step, view, needs_reason),
        accounts: shows_accounts.then(|| Reconciliation::new(lang, view)),
        is_opening,
        offers_waiver,
        has_waiver: typed.waives_results,
        fields: fields(lang, law, typed, needs_reason, &errors),
        action: format!("/{}{path}", lang.code()),
        token: visit.caller.form_token(&step.purpose(law.as_str())),
        button: step.action(lang, view.state),
        is_danger: *step == Step::Annul,
        back_href: format!("/{}/officials/elections/{law}", lang.code()),
        errors,
    };
    visit.answer(status, &page)
}

fn effect(lang: Lang, step: Step, state: ElectionState) -> &'static str {
    match step {
        Step::Open => lang.open_effect(),
        Step::Close if state == ElectionState::Closing => lang.close_resume_effect(),
        Step::Close => lang.close_effect(),
        Step::Certify => lang.certify_effect(),
        Step::Annul => lang.annul_effect(),
    }
}

/// The advice for a step that the state does not allow.
fn instead(lang: Lang, step: Step, state: ElectionState) -> &'static str {
    match (step, state) {
        (Step::Annul, ElectionState::Draft) => lang.discard_draft(),
        (Step::Annul, ElectionState::Open | ElectionState::Closing) => lang.annul_after_close(),
        _ => "",
    }
}

/// That a close comes before the planned closing; empty otherwise.
fn early(lang: Lang, step: Step, view: &OfficialView, needs_reason: bool) -> String {
    let closes = moment(lang, view.definition.closes);
    let closes = closes.filter(|_| step == Step::Close && needs_reason);
    closes.map(|closes| lang.close_early(&closes.text)).unwrap_or_default()
}

fn fields(
    lang: Lang,
    law: &ElectionId,
    typed: &Typed,
    needs_reason: bool,
    errors: &FormErrors,
) -> Vec<TextField> {
    let reason = TextField::new("reason", lang.reason_label())
        .hint(lang.reason_hint())
        .value(typed.reason.clone())
        .errors(errors);
    let confirm = TextField::new("confirm", lang.confirm_label(law.as_str()))
        .value(typed.confirm.clone())
        .errors(errors);
    needs_reason.then_some(reason).into_iter().chain([confirm]).collect()
}
