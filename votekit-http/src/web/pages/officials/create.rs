//! Creating an election, and amending a draft. A button that adds or removes a choice shows the
//! form again and checks nothing.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use votekit_core::election::State as ElectionState;
use votekit_core::election_log::Change;
use votekit_core::id::ElectionId;
use votekit_node::{AdminError, AmendElection, CreateElection, OfficialView};

use super::election_form::{FormKind, RowFocus, change_rows, page};
use super::typed_election::{CheckedElection, TypedElection};
use crate::accounts::Caller;
use crate::api::election_admin::record_act;
use crate::api::{PathText, law_id};
use crate::context::Api;
use crate::problem::Problem;
use crate::web::form_fields::FormErrors;
use crate::web::lang::Lang;
use crate::web::official_visit::{OfficialVisit, read_form};

/// The purpose of the form for a new election.
const CREATE: &str = "create";

/// Removes a planned time of a draft.
const NO_TIME: &str = "none";

/// `GET /{lang}/officials/new`.
pub(crate) async fn new_form(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let visit = OfficialVisit::new(&api, lang, &caller);
    let errors = FormErrors::default();
    let typed = TypedElection::new(visit.zone());
    page(&visit, new_election_form(lang), &typed, errors, RowFocus::None)
}

/// `POST /{lang}/officials/new`.
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    PathText(lang): PathText<Lang>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let form = read_form(&api, &caller, CREATE, request).await?;
    let visit = OfficialVisit::new(&api, lang, &caller);
    let mut typed = TypedElection::from_form(&form);
    if let Some(focus) = change_rows(&mut typed, form.text("step")) {
        return page(&visit, new_election_form(lang), &typed, FormErrors::default(), focus);
    }
    let checked = match typed.check(lang, api.now().minute_floor(), None, visit.zone()) {
        Ok(checked) => checked,
        Err(errors) => {
            return page(&visit, new_election_form(lang), &typed, errors, RowFocus::None);
        }
    };
    let law = checked.definition.law_id.clone();
    match api.node.create(checked.into_create()).await {
        Ok(_) => {
            record_act("create", &law, &caller);
            record_creator(&api, &caller, &law).await;
            visit.redirect(&format!("/elections/{law}?done=created"))
        }
        Err(error) => {
            let is_taken = matches!(error, AdminError::Exists { .. });
            let mut errors = FormErrors::from_call(lang, error);
            if is_taken {
                errors.add("law_id", lang.problem("election-exists").title);
            }
            page(&visit, new_election_form(lang), &typed, errors, RowFocus::None)
        }
    }
}

/// `GET /{lang}/officials/elections/{law_id}/amend`.
pub(crate) async fn amend_form(
    State(api): State<Arc<Api>>,
    PathText((lang, law)): PathText<(Lang, String)>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    let view = draft(&api, &law)?;
    let visit = OfficialVisit::new(&api, lang, &caller);
    let typed = TypedElection::from_definition(&view.definition, visit.zone());
    page(&visit, draft_form(lang, &view), &typed, FormErrors::default(), RowFocus::None)
}

/// `POST /{lang}/officials/elections/{law_id}/amend`.
pub(crate) async fn amend(
    State(api): State<Arc<Api>>,
    PathText((lang, law)): PathText<(Lang, String)>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    let view = draft(&api, &law)?;
    let form = read_form(&api, &caller, &amend_purpose(&law), request).await?;
    let visit = OfficialVisit::new(&api, lang, &caller);
    // The id and the nature are not in the form: they cannot change.
    let fixed = TypedElection::from_definition(&view.definition, visit.zone());
    let mut typed = TypedElection {
        law_id: fixed.law_id,
        nature: fixed.nature,
        ..TypedElection::from_form(&form)
    };
    if let Some(focus) = change_rows(&mut typed, form.text("step")) {
        return page(&visit, draft_form(lang, &view), &typed, FormErrors::default(), focus);
    }
    let (now, before) = (api.now().minute_floor(), view.definition.opens);
    let amended = match typed.check(lang, now, before, visit.zone()) {
        Ok(checked) => api.node.amend(&law, checked.into_amend()).await,
        Err(errors) => {
            return page(&visit, draft_form(lang, &view), &typed, errors, RowFocus::None);
        }
    };
    match amended {
        Ok(_) => {
            record_act("amend", &law, &caller);
            visit.redirect(&format!("/elections/{law}?done=amended"))
        }
        Err(error) => {
            let errors = FormErrors::from_call(lang, error);
            page(&visit, draft_form(lang, &view), &typed, errors, RowFocus::None)
        }
    }
}

/// Stores who created an election. The election exists without it: a failure is a warning.
async fn record_creator(api: &Api, caller: &Caller, law_id: &ElectionId) {
    if let Err(error) = api.node.accounts().record_creator(law_id, caller.id).await {
        tracing::warn!(event = "creator_not_recorded", %law_id, %error, "creator not recorded");
    }
}

/// The election, if it can be amended.
fn draft(api: &Api, law: &ElectionId) -> Result<OfficialView, Problem> {
    let view = api.node.official_view(law).ok_or_else(|| api.unreadable(law))?;
    match view.state {
        ElectionState::Draft => Ok(view),
        state => Err(AdminError::State { state, wanted: Change::Amend }.into()),
    }
}

fn new_election_form(lang: Lang) -> FormKind {
    FormKind {
        title: lang.form_new_title().to_owned(),
        lead: lang.form_new_lead(),
        path: "/officials/new".to_owned(),
        button: lang.form_create_button(),
        purpose: CREATE.to_owned(),
        back: String::new(),
        is_new: true,
    }
}

fn draft_form(lang: Lang, view: &OfficialView) -> FormKind {
    let law = &view.definition.law_id;
    let title = match lang {
        Lang::Fr => &view.definition.title.fr,
        Lang::En => &view.definition.title.en,
    };
    FormKind {
        title: lang.action_on(lang.action_amend(), title),
        lead: lang.form_amend_lead(),
        path: format!("/officials/elections/{law}/amend"),
        button: lang.form_amend_button(),
        purpose: amend_purpose(law),
        back: format!("/elections/{law}"),
        is_new: false,
    }
}

fn amend_purpose(law: &ElectionId) -> String {
    format!("amend\n{law}")
}

impl CheckedElection {
    fn into_create(self) -> CreateElection {
        let definition = self.definition;
        CreateElection {
            law_id: definition.law_id.to_string(),
            title_fr: definition.title.fr,
            title_en: definition.title.en,
            description_fr: definition.description.fr,
            description_en: definition.description.en,
            choices: self.choices,
            // `blank` is one of the choices, if it was selected.
            blank: false,
            binding: definition.binding,
            results: Some(definition.results),
            publish_every: Some(definition.publish_every),
            opens: self.opens,
            closes: self.closes,
        }
    }

    fn into_amend(self) -> AmendElection {
        let definition = self.definition;
        AmendElection {
            title_fr: Some(definition.title.fr),
            title_en: Some(definition.title.en),
            description_fr: Some(definition.description.fr),
            description_en: Some(definition.description.en),
            choices: Some(self.choices),
            results: Some(definition.results),
            publish_every: Some(definition.publish_every),
            opens: Some(self.opens.unwrap_or_else(|| NO_TIME.to_owned())),
            closes: Some(self.closes.unwrap_or_else(|| NO_TIME.to_owned())),
        }
    }
}
