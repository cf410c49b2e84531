//! `GET /api/v1/elections/{law_id}/bundle`: officials download the publication bundle.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::Method;
use axum::response::Response;

use crate::accounts::Caller;
use crate::api::{LawPath, PathText, law_id};
use crate::bundle_download::bundle_answer;
use crate::context::Api;
use crate::problem::{Problem, ProblemDocument};

/// Returns the publication bundle of a closed election, with which anyone verifies it offline.
///
/// The archive has one folder with the files that votekit export bundle writes. It begins once the
/// node has read the whole log, and is sent while the log is read again. An account downloads one
/// bundle at a time, and a node sends two. `HEAD` makes no bundle: its answer has no length.
#[utoipa::path(
    get, path = "/api/v1/elections/{law_id}/bundle", tag = "officials", operation_id = "downloadBundle", security(("account" = [])),
    params(LawPath),
    responses(
        (status = 200, description = "A ZIP archive of stored files, of the announced length: a shorter answer was cut off", body = [u8], content_type = "application/zip", headers(("Content-Disposition" = String, description = "Its file name, as in `attachment; filename=\"L2025-001-bundle.zip\"`"))),
        (status = 403, description = "`forbidden`: only an official may", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`wrong-state`: it is not closed; `witnesses-missing`: a verifier would refuse the bundle until outside witnesses have cosigned the log", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 421, body = ProblemDocument, content_type = "application/problem+json",
            description = "`not-served-here`: ask a node with the role query"
        ),
        (status = 503, description = "`too-many-downloads`", body = ProblemDocument, content_type = "application/problem+json", headers(("Retry-After" = String, description = "Seconds"))),
    )
)]
pub(crate) async fn download(
    State(api): State<Arc<Api>>,
    method: Method,
    Extension(caller): Extension<Caller>,
    PathText(law): PathText<String>,
) -> Result<Response, Problem> {
    bundle_answer(&api, &caller, &law_id(&law)?, &method).await
}
