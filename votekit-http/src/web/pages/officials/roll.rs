//! The roll of an election: the roll in effect, the form that uploads the files of a hashed roll,
//! and the buttons that load or discard the uploaded files. The files can also be uploaded through
//! the HTTP interface, or be on the node's machine.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use votekit_core::election::State as ElectionState;
use votekit_core::id::ElectionId;
use votekit_messages::InWords as _;
use votekit_node::{ElectionView, OfficialView, UploadError, UploadView};

use super::done::Done;
use crate::accounts::Caller;
use crate::api::election_admin::record_act;
use crate::api::{PathText, law_id};
use crate::context::Api;
use crate::problem::Problem;
use crate::web::assets;
use crate::web::form_fields::FormErrors;
use crate::web::frame::Frame;
use crate::web::lang::Lang;
use crate::web::numbers::count;
use crate::web::official_visit::{OfficialBar, OfficialVisit, read_form};

/// Names of files that are listed; a large roll has thousands.
const FILES_SHOWN_MAX: usize = 20;

#[derive(Template)]
#[template(path = "official_roll.html")]
struct RollPage {
    frame: Frame,
    bar: OfficialBar,
    errors: FormErrors,
    notice: &'static str,
    law_id: String,
    registered: String,
    manifests: Vec<String>,
    /// Whether the state of the election takes a roll.
    takes_rolls: bool,
    /// The uploaded files; `None` if they cannot be read.
    upload: Option<Upload>,
    /// Whether the roll can replace the present one.
    may_replace: bool,
    action: String,
    token: String,
    /// The form that uploads files, its token, its error and its script.
    files_action: String,
    files_token: String,
    files_error: String,
    files_script: &'static str,
    back_href: String,
}

/// The uploaded files.
struct Upload {
    manifest: String,
    files: NameList,
    missing: NameList,
    unlisted: NameList,
    is_complete: bool,
}

/// Names, the first of many.
struct NameList {
    rows: Vec<FileRow>,
    /// How many more there are, as a phrase; empty if there are none.
    more: String,
}

struct FileRow {
    name: String,
    bytes: String,
}

/// `GET /{lang}/officials/elections/{law_id}/roll`.
pub(crate) async fn roll(
    State(api): State<Arc<Api>>,
    PathText((lang, law)): PathText<(Lang, String)>,
    Extension(caller): Extension<Caller>,
    Done(done): Done,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    let visit = OfficialVisit::new(&api, lang, &caller);
    page(&visit, &law, FormErrors::default(), &done).await
}

/// `POST /{lang}/officials/elections/{law_id}/roll`: loads or discards the uploaded files.
pub(crate) async fn change(
    State(api): State<Arc<Api>>,
    PathText((lang, law)): PathText<(Lang, String)>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    let form = read_form(&api, &caller, &purpose(&law), request).await?;
    let visit = OfficialVisit::new(&api, lang, &caller);
    let done = match form.text("step") {
        "discard" => {
            let discarded = api.node.discard_upload(&law).await;
            discarded.map(|()| (format!("/elections/{law}/roll?done=discarded"), "discard-roll"))
        }
        "load" => {
            let replaces = form.text("replace") == "on";
            let loaded = api.node.load_upload(&law, replaces).await;
            loaded.map(|_| (format!("/elections/{law}?done=loaded"), "load-roll"))
        }
        _ => return page(&visit, &law, FormErrors::default(), "").await,
    };
    match done {
        Ok((path, action)) => {
            record_act(action, &law, &caller);
            visit.redirect(&path)
        }
        Err(error) => page(&visit, &law, refused(lang, error), "").await,
    }
}

/// The page, with the errors of one of its forms, or a notice about the last action.
///
/// # Errors
/// [`Problem`].
pub(super) async fn page(
    visit: &OfficialVisit<'_>,
    law: &ElectionId,
    errors: FormErrors,
    done: &str,
) -> Result<Response, Problem> {
    let (api, lang) = (visit.api, visit.lang);
    let election = api.node.election(law).ok_or(Problem::UnknownElection)?;
    let view = api.node.official_view(law).ok_or_else(|| api.unreadable(law))?;
    let path = format!("/officials/elections/{law}/roll");
    let upload = api.node.upload(law).await.ok().map(|upload| Upload::new(lang, upload));
    let is_empty = upload.as_ref().is_some_and(|upload| upload.files.rows.is_empty());
    let (notice, kept) = match done {
        "discarded" if is_empty => (lang.roll_discarded(), done),
        "uploaded" if !is_empty => (lang.upload_done(), done),
        _ => ("", ""),
    };
    let status = errors.status();
    let page = RollPage {
        frame: frame(visit, &election, &path).with_error(!errors.is_empty()).keeping("done", kept),
        bar: visit.bar(),
        notice,
        law_id: law.to_string(),
        registered: lang.roll_registered(&count(lang, view.registered)),
        manifests: view.manifests.iter().map(|manifest| manifest.to_hex()).collect(),
        takes_rolls: takes_rolls(&view),
        upload,
        may_replace: view.state == ElectionState::Draft && !view.manifests.is_empty(),
        action: format!("/{}{path}", lang.code()),
        token: visit.caller.form_token(&purpose(law)),
        files_action: format!("/{}{path}/files", lang.code()),
        files_token: visit.caller.form_token(&files_purpose(law)),
        files_error: errors.at("files"),
        files_script: assets::upload_script(),
        back_href: format!("/{}/officials/elections/{law}", lang.code()),
        errors,
    };
    visit.answer(status, &page)
}

fn frame(visit: &OfficialVisit<'_>, election: &ElectionView, path: &str) -> Frame {
    let title = visit.lang.roll_title(visit.lang.pick(&election.title));
    visit.frame(&title, path).about(election)
}

/// Before the close: a draft takes a roll, an open poll supplements.
fn takes_rolls(view: &OfficialView) -> bool {
    matches!(view.state, ElectionState::Draft | ElectionState::Open)
}

fn purpose(law: &ElectionId) -> String {
    format!("roll\n{law}")
}

/// The purpose of the form that uploads files, for its token.
pub(super) fn files_purpose(law: &ElectionId) -> String {
    format!("roll-files\n{law}")
}

fn refused(lang: Lang, error: UploadError) -> FormErrors {
    match error {
        UploadError::Admin(error) => FormErrors::from_call(lang, error),
        error => {
            let detail = error.in_words();
            FormErrors::from_problem(lang, detail, Problem::from(error))
        }
    }
}

impl Upload {
    fn new(lang: Lang, upload: UploadView) -> Self {
        let kept = upload.files.into_iter().map(|kept| (kept.file, count(lang, kept.bytes)));
        let unnumbered = |name: String| (name, String::new());
        Self {
            manifest: upload.manifest.unwrap_or_default(),
            files: NameList::new(lang, kept),
            missing: NameList::new(lang, upload.missing.into_iter().map(unnumbered)),
            unlisted: NameList::new(lang, upload.unlisted.into_iter().map(unnumbered)),
            is_complete: upload.complete,
        }
    }
}

impl NameList {
    fn new(lang: Lang, names: impl ExactSizeIterator<Item = (String, String)>) -> Self {
        let left = names.len().saturating_sub(FILES_SHOWN_MAX) as u64;
        let shown = names.take(FILES_SHOWN_MAX);
        Self {
            rows: shown.map(|(name, bytes)| FileRow { name, bytes }).collect(),
            more: if left > 0 { lang.roll_more(&count(lang, left)) } else { String::new() },
        }
    }
}
