//! `POST /{lang}/officials/elections/{law_id}/roll/files`: the files of a hashed roll, as a browser
//! sends them with or without a script. Each file is processed separately, as by the HTTP
//! interface; the first refused file ends the form.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use votekit_core::id::ElectionId;
use votekit_messages::InWords as _;
use votekit_node::{FileRule, UploadError};

use super::roll::{files_purpose, page};
use crate::accounts::Caller;
use crate::api::roll_upload::{STALL_TIME, UPLOAD_TIME};
use crate::api::{PathText, law_id};
use crate::context::Api;
use crate::guard::multipart_body::{MultipartBody, MultipartError, MultipartLimits};
use crate::guard::same_origin::check_same_origin;
use crate::problem::Problem;
use crate::web::form_fields::FormErrors;
use crate::web::lang::Lang;
use crate::web::official_visit::{ADMINISTRATORS, OfficialVisit};

/// The largest upload of one election, with the heads of its parts, and its files with the token.
const LIMITS: MultipartLimits = MultipartLimits {
    bytes_max: (4 << 30) + (64 << 20),
    parts_max: 10_002,
    stall_time: STALL_TIME,
    part_time: UPLOAD_TIME,
};

/// How long the rest of a form is read after a file was refused. A browser that is still sending
/// after that may show its own error.
const DISCARD_TIME: Duration = Duration::from_secs(60);

/// The token of a form.
const TOKEN_BYTES_MAX: usize = 64;

/// Why a form was not accepted completely.
enum FormFault {
    /// Its first field is not the token of this page.
    Foreign,
    /// The body.
    Body(MultipartError),
    /// The session has ended meanwhile, or cannot be read.
    Session(Box<Problem>),
    /// A file.
    File { shown: String, error: Box<UploadError> },
}

impl From<MultipartError> for FormFault {
    fn from(error: MultipartError) -> Self {
        Self::Body(error)
    }
}

/// Takes the files of a form.
pub(crate) async fn upload(
    State(api): State<Arc<Api>>,
    PathText((lang, law)): PathText<(Lang, String)>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    let (head, body) = request.into_parts();
    check_same_origin(&head.headers, api.sessions.is_confidential())?;
    let mut form = MultipartBody::new(&head.headers, body, LIMITS)?;
    let visit = OfficialVisit::new(&api, lang, &caller);
    let mut errors = FormErrors::default();
    match take_files(&visit, &law, &head.headers, &mut form).await {
        Ok(0) => errors.add("files", lang.upload_none()),
        // The script needs no page: it sends one file after the other.
        Ok(_) if !wants_page(&head.headers) => return Ok(StatusCode::NO_CONTENT.into_response()),
        Ok(_) => return visit.redirect(&format!("/elections/{law}/roll?done=uploaded")),
        Err(FormFault::Foreign) => return Err(Problem::ForeignOrigin),
        Err(FormFault::Session(problem)) => return Err(*problem),
        Err(FormFault::Body(MultipartError::Timeout)) => return Err(Problem::RequestTimeout),
        Err(FormFault::Body(MultipartError::Malformed)) => {
            errors.add("files", lang.upload_cut());
        }
        Err(FormFault::Body(MultipartError::TooLarge)) => {
            errors.add("files", lang.upload_too_large());
        }
        Err(FormFault::File { shown, error }) => {
            errors = refused(lang, &shown, *error);
        }
    }
    form.discard(DISCARD_TIME).await;
    page(&visit, &law, errors, "").await
}

/// Checks the token and stores each file; returns the number of files.
async fn take_files(
    visit: &OfficialVisit<'_>,
    law: &ElectionId,
    headers: &HeaderMap,
    form: &mut MultipartBody,
) -> Result<u64, FormFault> {
    let first = form.next_part().await?;
    if !first.is_some_and(|part| part.name == "token" && part.file.is_none()) {
        return Err(FormFault::Foreign);
    }
    let token = form.text(TOKEN_BYTES_MAX).await.map_err(|_| FormFault::Foreign)?;
    if !visit.caller.admits(&files_purpose(law), &token) {
        return Err(FormFault::Foreign);
    }
    let mut files = 0;
    while let Some(part) = form.next_part().await? {
        // A browser sends an empty name where no file was chosen.
        let Some(file) = part.file.filter(|file| !file.is_empty()) else { continue };
        files += 1;
        if files > 1 {
            check_session(visit, headers)
                .await
                .map_err(|problem| FormFault::Session(problem.into()))?;
        }
        let fault = |error: UploadError| {
            // A name with unusual characters is not repeated.
            let shown = match error {
                UploadError::Name => visit.lang.upload_file_number(files),
                _ => file.clone(),
            };
            FormFault::File { shown, error: Box::new(error) }
        };
        let mut upload = visit.api.node.begin_upload(law, &file, None).map_err(fault)?;
        while let Some(bytes) = form.content().await? {
            upload.write(&bytes).await.map_err(fault)?;
        }
        upload.finish().await.map_err(fault)?;
    }
    Ok(files)
}

/// Refuses the next file once the session has ended, or the account has another role: a form may
/// take hours. Like a form for each file, this renews the session.
async fn check_session(visit: &OfficialVisit<'_>, headers: &HeaderMap) -> Result<(), Problem> {
    let caller = visit.api.accounts.page_session(headers).await?;
    let lasts = caller
        .is_some_and(|caller| (caller.id, caller.role) == (visit.caller.id, visit.caller.role));
    if lasts { Ok(()) } else { Err(Problem::WrongRole { needs: ADMINISTRATORS }) }
}

/// Whether the answer must be a page: a browser that shows the answer to a form requests HTML.
fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("text/html"))
}

/// The errors of the page after a file was refused: at the field, in the language of the page.
fn refused(lang: Lang, file: &str, error: UploadError) -> FormErrors {
    let reason = match &error {
        UploadError::Admin(_) => "",
        UploadError::NotHashed => lang.upload_not_hashed(),
        UploadError::Name | UploadError::Refused { rule: FileRule::Name, .. } => {
            lang.upload_wrong_name()
        }
        UploadError::Refused { rule: FileRule::Digest { .. }, .. } => lang.upload_wrong_digest(),
        UploadError::Refused { rule: FileRule::Manifest(_) | FileRule::NoLaw, .. } => {
            lang.upload_wrong_manifest()
        }
        UploadError::Refused { .. } | UploadError::NoPepper { .. } => lang.upload_wrong_beginning(),
        UploadError::OtherLaw { .. } => lang.upload_other_law(),
        UploadError::TooLarge { .. } | UploadError::TooMuch { .. } => lang.upload_too_large(),
        UploadError::NoRoom => lang.upload_no_room(),
        UploadError::Busy { .. } => lang.upload_busy(),
    };
    let detail = error.in_words();
    match error {
        UploadError::Admin(error) => FormErrors::from_call(lang, error),
        _ => {
            let mut errors = FormErrors::default();
            errors.add("files", lang.upload_refused(file, reason));
            errors.detail = detail;
            errors
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_file_is_named_with_its_reason_at_the_field() {
        let errors = refused(Lang::En, "roll.csv", UploadError::NotHashed);
        let message = errors.at("files");
        assert!(message.starts_with("roll.csv: ") && message.contains("hashgen"), "{message}");
        assert_eq!(errors.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let law_id: ElectionId = "L1".parse().expect("a law id");
        let errors = refused(Lang::Fr, "a.json", UploadError::Busy { law_id });
        assert!(errors.at("files").starts_with("a.json\u{a0}: "), "{}", errors.at("files"));
        assert!(!errors.detail.is_empty());
    }

    #[test]
    fn a_script_gets_no_page() {
        let accepts = |value: &'static str| {
            let value = axum::http::HeaderValue::from_static(value);
            wants_page(&HeaderMap::from_iter([(ACCEPT, value)]))
        };
        assert!(accepts("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(!accepts("*/*") && !wants_page(&HeaderMap::new()));
    }
}
