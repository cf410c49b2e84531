//! Everything about one election: its steps, its accounts, its definition, its files, its log.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use votekit_core::election::{Choice, ResultsPolicy, State as ElectionState};
use votekit_core::id::ElectionId;
use votekit_node::{ElectionView, NodeView, OfficialView, PUBLISH_EVERY};

use super::actions::ActionLink;
use super::attention::Attention;
use super::done::Done;
use super::reconciliation::Reconciliation;
use super::summary::{ElectionSummary, moment};
use super::timeline::{TimelineStep, timeline};
use crate::accounts::Caller;
use crate::api::{PathText, law_id};
use crate::context::Api;
use crate::problem::Problem;
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::numbers::count;
use crate::web::official_visit::{ACCOUNT_READERS, OfficialBar, OfficialVisit};

#[derive(Template)]
#[template(path = "official_election.html")]
struct ElectionPage {
    frame: Frame,
    bar: OfficialBar,
    notice: &'static str,
    election: ElectionSummary,
    matters: Vec<&'static str>,
    timeline: Vec<TimelineStep>,
    actions: Vec<ActionLink>,
    /// Whether the page has advice about a draft that is not needed.
    is_draft: bool,
    accounts: Reconciliation,
    definition: DefinitionFacts,
    audit: AuditFacts,
    /// Whether the results can be downloaded: the same for all policies.
    has_files: bool,
    /// The nodes that take votes; for administrators and auditors.
    nodes: Option<Vec<NodeRow>>,
    nodes_are_away: bool,
    /// Empty for a draft: the page is public.
    results_href: String,
    files_href: String,
    /// The publication bundle; empty before the close, and if this node does not serve queries.
    bundle_href: String,
}

/// The definition in words.
struct DefinitionFacts {
    description: String,
    nature: &'static str,
    policy: &'static str,
    every: String,
    /// The warning about the votes that a small step of published counts reveals.
    reveals: String,
    /// The planned times, as a phrase; empty if none is planned.
    planned: String,
    choices: Vec<ChoiceFacts>,
    created_by: String,
}

/// A choice of the ballot.
struct ChoiceFacts {
    id: String,
    fr: String,
    en: String,
}

/// The values that auditors pin.
struct AuditFacts {
    origin: String,
    size: String,
    fingerprint: String,
    /// This address and the next are empty for a draft, whose log is not public.
    checkpoint_href: String,
    policy_href: String,
    manifests: Vec<String>,
}

/// A node that takes votes.
struct NodeRow {
    name: String,
    answers: &'static str,
    batches: String,
}

/// `GET /{lang}/officials/elections/{law_id}`.
pub(crate) async fn election(
    State(api): State<Arc<Api>>,
    PathText((lang, law)): PathText<(Lang, String)>,
    Extension(caller): Extension<Caller>,
    Done(done): Done,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    let visit = OfficialVisit::new(&api, lang, &caller);
    let Some((election, view)) = api.node.election(&law).zip(api.node.official_view(&law)) else {
        // The address that leads to the form in other systems; an election may have this id.
        if law.as_str() == "new" && visit.is_administrator() {
            return visit.redirect("/new");
        }
        return Err(api.unreadable(&law));
    };
    let summary = ElectionSummary::new(lang, &election, &view);
    let path = format!("/officials/elections/{law}");
    let nodes = nodes(&visit, &law).await;
    let actions = match visit.is_administrator() {
        true => ActionLink::all(lang, &summary.law_id, &summary.title, view.state),
        false => Vec::new(),
    };
    let is_halted = api.node.halted(&law).is_some();
    let matters = Attention::for_election(&view, is_halted, api.now().minute_floor());
    let notice = notice(lang, &done, view.state);
    let kept = if notice.is_empty() { "" } else { done.as_str() };
    let page = ElectionPage {
        frame: visit.frame(&summary.title, &path).about(&election).keeping("done", kept),
        bar: visit.bar(),
        notice,
        matters: matters.into_iter().map(|matter| matter.text(lang)).collect(),
        timeline: timeline(lang, &view),
        actions,
        is_draft: view.state == ElectionState::Draft,
        accounts: Reconciliation::new(lang, &view),
        definition: definition(lang, &election, &view, created_by(&visit, &law).await),
        audit: audit(lang, &election, &view),
        has_files: view.state >= ElectionState::Closed,
        nodes_are_away: nodes.is_err(),
        nodes: nodes.unwrap_or_default(),
        results_href: match view.state {
            ElectionState::Draft => String::new(),
            _ => format!("/{}/results/{law}", lang.code()),
        },
        files_href: format!("/{}{path}/results", lang.code()),
        bundle_href: match view.state >= ElectionState::Closed && visit.serves_queries() {
            true => format!("/{}{path}/bundle.zip", lang.code()),
            false => String::new(),
        },
        election: summary,
    };
    visit.answer(StatusCode::OK, &page)
}

/// The notice after a step. It is shown only while it is true: an address alone makes no claim.
fn notice(lang: Lang, done: &str, state: ElectionState) -> &'static str {
    match (done, state) {
        ("created", ElectionState::Draft) => lang.notice_created(),
        ("amended", ElectionState::Draft) => lang.notice_amended(),
        ("loaded", ElectionState::Draft | ElectionState::Open) => lang.notice_loaded(),
        ("open", ElectionState::Open) => lang.notice_opened(),
        ("close", ElectionState::Closed) => lang.notice_closed(),
        ("certify", ElectionState::Certified) => lang.notice_certified(),
        ("annul", ElectionState::Annulled) => lang.notice_annulled(),
        _ => "",
    }
}

fn definition(
    lang: Lang,
    election: &ElectionView,
    view: &OfficialView,
    created_by: String,
) -> DefinitionFacts {
    let definition = &view.definition;
    let is_stepped = definition.results != ResultsPolicy::AfterClose;
    let is_revealing = is_stepped && definition.publish_every < PUBLISH_EVERY;
    let planned = moment(lang, definition.opens).zip(moment(lang, definition.closes));
    let every = || lang.definition_every(&count(lang, definition.publish_every));
    let choice = |choice: &Choice| ChoiceFacts {
        id: choice.id.to_string(),
        fr: choice.fr.clone(),
        en: choice.en.clone(),
    };
    DefinitionFacts {
        description: lang.pick(&election.description).to_owned(),
        nature: if definition.binding { lang.nature_binding() } else { lang.nature_test() },
        policy: match definition.results {
            ResultsPolicy::Live => lang.policy_live(),
            ResultsPolicy::AfterVote => lang.policy_after_vote(),
            _ => lang.policy_after_close(),
        },
        every: if is_stepped { every() } else { String::new() },
        reveals: match is_revealing {
            true => lang.step_reveals(definition.publish_every),
            false => String::new(),
        },
        planned: planned
            .map(|(opens, closes)| lang.planned_between(&opens.text, &closes.text))
            .unwrap_or_default(),
        choices: definition.choices.iter().map(choice).collect(),
        created_by,
    }
}

fn audit(lang: Lang, election: &ElectionView, view: &OfficialView) -> AuditFacts {
    let href = |part: &str| match view.state {
        ElectionState::Draft => String::new(),
        _ => format!("/log/{}/{part}", election.law_id),
    };
    AuditFacts {
        origin: election.origin.clone(),
        size: count(lang, election.log_size),
        fingerprint: election.policy_fingerprint.clone(),
        checkpoint_href: href("checkpoint"),
        policy_href: href("policy"),
        manifests: view.manifests.iter().map(|manifest| manifest.to_hex()).collect(),
    }
}

/// The account that created an election, for those who read accounts. Empty if it is not known: the
/// command line creates elections without an account.
async fn created_by(visit: &OfficialVisit<'_>, law: &ElectionId) -> String {
    if !ACCOUNT_READERS.contains(&visit.caller.role) {
        return String::new();
    }
    let accounts = visit.api.node.accounts();
    let Ok(creators) = accounts.creators().await else { return String::new() };
    let Some((_, id)) = creators.into_iter().find(|(created, _)| created == law) else {
        return String::new();
    };
    match accounts.account(id).await {
        Ok(Some(account)) => account.email,
        _ => String::new(),
    }
}

/// The nodes that take votes; `None` for observers. A node that cannot read them shows a notice:
/// the rest of the page does not depend on them.
async fn nodes(
    visit: &OfficialVisit<'_>,
    law: &ElectionId,
) -> Result<Option<Vec<NodeRow>>, Problem> {
    if !ACCOUNT_READERS.contains(&visit.caller.role) {
        return Ok(None);
    }
    let lang = visit.lang;
    let row = |node: NodeView| NodeRow {
        name: node.name.unwrap_or(node.node),
        answers: if node.answering { lang.answer_yes() } else { lang.answer_no() },
        batches: count(lang, node.epochs.iter().map(|epoch| epoch.sealed).sum()),
    };
    let nodes = visit.api.node.nodes(law).await?;
    Ok(Some(nodes.into_iter().map(row).collect()))
}
